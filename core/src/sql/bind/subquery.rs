//! Subqueries in expressions.
//!
//! One that depends on nothing around it is run once, before the statement: `(SELECT …)` and
//! `EXISTS` become a parameter ([`super::SUBQUERY_PARAM`]), `IN` a [`Mark`] column over a hash of
//! its rows. Where a parameter's subquery fails, the error waits until something looks at the
//! parameter: CASE may pass it by. A correlated one is a `Mark` column too, run anew for each row of
//! its input: the columns it takes from around it are parameters ([`super::OUTER_PARAM`]) that the
//! mark sets.
//!
//! ```text
//!   SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.x = t.a)
//!
//!   Filter  #mark
//!   └── Mark exists, sets $outer = t.a
//!       ├── Scan t
//!       └── Scan u  x = $outer
//! ```

use std::rc::Rc;

use sqlparser::ast;

use super::expr::row_parts;
use super::query::BoundQuery;
use super::scope::{Found, Scope};
use super::{At, Binder, BoundSubquery, MARK_COLUMN, OUTER_PARAM, SUBQUERY_PARAM};
use crate::base::{SqlError, SqlResult, SqlState, SqlType};
use crate::expr::aggregate::resolve_aggregate;
use crate::expr::{CompareOp, Expr};
use crate::sql::plan::logical::{AggregateCall, Group, MarkArgument, MarkKind};
use crate::sql::plan::{Logical, SubqueryKind};

/// The scope around a subquery that is being bound.
pub(super) struct Outer {
    scope: Rc<Scope>,
    /// Columns of the scope that the subquery takes, and the parameters that carry them.
    arguments: Vec<MarkArgument>,
}

/// A mark not yet put over its input.
pub(super) struct PendingMark {
    pub subquery: Logical,
    pub kind: MarkKind,
    pub arguments: Vec<MarkArgument>,
    pub ty: SqlType,
}

/// A subquery and how it depends on what is around it.
struct Inner {
    bound: BoundQuery,
    arguments: Vec<MarkArgument>,
    is_correlated: bool,
}

impl Binder<'_> {
    /// Looks a column up in the scopes around, innermost first; what is found is a parameter.
    pub(super) fn outer_column(
        &mut self,
        at: &At<'_>,
        look: impl Fn(&Scope) -> Found,
    ) -> SqlResult<Option<Expr>> {
        for level in (0..self.outer.len()).rev() {
            let index = match look(&self.outer[level].scope) {
                Found::Nothing => continue,
                Found::Ambiguous => {
                    let message = "column reference to an outer query is ambiguous";
                    return Err(SqlError::new(SqlState::AmbiguousColumn, message));
                }
                Found::Column(index) => index,
            };
            if at.in_aggregate {
                return Err(SqlError::unsupported("an outer column inside an aggregate"));
            }
            let column = &self.outer[level].scope.columns[index];
            let value = Expr::Column { index, ty: column.ty, typmod: column.typmod };
            let known = self.outer[level].arguments.iter().find(|known| known.value == value);
            if let Some(known) = known {
                self.outer_uses += 1;
                return Ok(Some(known.param.clone()));
            }
            let param = Expr::Param { index: OUTER_PARAM + self.outer_params, ty: column.ty };
            self.outer_params += 1;
            self.outer_uses += 1;
            let argument = MarkArgument { param: param.clone(), value };
            self.outer[level].arguments.push(argument);
            return Ok(Some(param));
        }
        Ok(None)
    }

    fn inner(&mut self, query: &ast::Query, at: &At<'_>) -> SqlResult<Inner> {
        let uses = self.outer_uses;
        self.outer.push(Outer { scope: Rc::new(at.scope.clone()), arguments: Vec::new() });
        let bound = self.deeper(|binder| binder.query(query));
        let outer = self.outer.pop().expect("pushed above");
        let is_correlated = self.outer_uses > uses;
        if is_correlated && at.in_aggregate {
            return Err(SqlError::unsupported("a correlated subquery inside an aggregate"));
        }
        Ok(Inner { bound: bound?, arguments: outer.arguments, is_correlated })
    }

    pub(super) fn scalar_subquery(
        &mut self,
        query: &ast::Query,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let inner = self.inner(query, at)?;
        let [column] = inner.bound.columns.as_slice() else {
            return Err(one_column());
        };
        let ty = column.ty;
        Ok(self.value_of(inner, SubqueryKind::Scalar, ty, at))
    }

    /// `ARRAY(SELECT …)`: the values of the only column, an empty array for no row.
    pub(super) fn array_of_rows(&mut self, query: &ast::Query, at: &mut At<'_>) -> SqlResult<Expr> {
        let mut inner = self.inner(query, at)?;
        let [column] = inner.bound.columns.as_mut_slice() else {
            return Err(one_column());
        };
        let value = Expr::Column { index: 0, ty: column.ty, typmod: column.typmod };
        let aggregate = resolve_aggregate("array_agg", &[column.ty])?;
        let call = AggregateCall {
            aggregate,
            args: vec![value],
            distinct: false,
            filter: None,
            order: Vec::new(),
        };
        let no_rows = Expr::literal("{}");
        let collected = Expr::column(0, aggregate.result);
        let array = self.exprs.coalesce(vec![collected, no_rows])?;
        column.ty = aggregate.result;
        inner.bound.plan = Logical::Project {
            input: Box::new(Logical::Aggregate(Group {
                input: Box::new(inner.bound.plan),
                keys: Vec::new(),
                calls: vec![call],
            })),
            exprs: vec![array],
        };
        Ok(self.value_of(inner, SubqueryKind::Scalar, aggregate.result, at))
    }

    pub(super) fn exists(
        &mut self,
        query: &ast::Query,
        negated: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let inner = self.inner(query, at)?;
        let exists = self.value_of(inner, SubqueryKind::Exists, SqlType::Bool, at);
        Ok(if negated { Expr::Not(Box::new(exists)) } else { exists })
    }

    fn value_of(&mut self, inner: Inner, kind: SubqueryKind, ty: SqlType, at: &mut At<'_>) -> Expr {
        if !inner.is_correlated {
            self.subqueries.push(BoundSubquery { kind, plan: inner.bound.plan });
            return Expr::Param { index: SUBQUERY_PARAM + self.subqueries.len() - 1, ty };
        }
        let kind = match kind {
            SubqueryKind::Scalar => MarkKind::Scalar,
            SubqueryKind::Exists => MarkKind::Exists,
        };
        at.mark(PendingMark { subquery: inner.bound.plan, kind, arguments: inner.arguments, ty })
    }

    /// `key IN (SELECT …)`.
    pub(super) fn in_subquery(
        &mut self,
        key: &ast::Expr,
        query: &ast::Query,
        negated: bool,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if at.in_aggregate {
            return Err(SqlError::unsupported("IN with a subquery inside an aggregate"));
        }
        let keys = match row_parts(key) {
            Some(parts) => self.exprs(parts, at)?,
            None => vec![self.expr(key, at)?],
        };
        let Inner { bound, arguments, .. } = self.inner(query, at)?;
        if bound.columns.len() != keys.len() {
            let few = bound.columns.len() < keys.len();
            let message = format!("subquery has too {} columns", if few { "few" } else { "many" });
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for (index, (key, column)) in keys.into_iter().zip(&bound.columns).enumerate() {
            let other = Expr::Column { index, ty: column.ty, typmod: column.typmod };
            match self.exprs.binary("=", key, other)? {
                Expr::Compare { op: CompareOp::Eq, left, right } => {
                    lefts.push(*left);
                    rights.push(*right);
                }
                _ => return Err(SqlError::unsupported("IN over values of this type")),
            }
        }
        let kind = MarkKind::In { keys: lefts, matches: rights };
        let mark = PendingMark { subquery: bound.plan, kind, arguments, ty: SqlType::Bool };
        let found = at.mark(mark);
        Ok(if negated { Expr::Not(Box::new(found)) } else { found })
    }
}

fn one_column() -> SqlError {
    SqlError::new(SqlState::SyntaxError, "subquery must return only one column")
}

impl At<'_> {
    /// Notes a mark; the expression stands for its column.
    fn mark(&mut self, mark: PendingMark) -> Expr {
        let ty = mark.ty;
        self.marks.push(mark);
        Expr::column(MARK_COLUMN + self.marks.len() - 1, ty)
    }

    /// Puts the marks met so far over `input` and makes `exprs`, which are over its rows, use
    /// their columns. The marks' own expressions are over the same rows.
    pub(super) fn settle<'e>(
        &mut self,
        mut input: Logical,
        exprs: impl IntoIterator<Item = &'e mut Expr>,
    ) -> Logical {
        let width = input.width();
        let move_column = |expr: &mut Expr| {
            expr.rewrite(&mut |e| {
                if let Expr::Column { index, .. } = e
                    && *index >= MARK_COLUMN
                {
                    *index = *index - MARK_COLUMN + width;
                }
            });
        };
        exprs.into_iter().for_each(move_column);
        for mut mark in self.marks.drain(..) {
            mark.exprs_mut().into_iter().for_each(move_column);
            let PendingMark { subquery, kind, arguments, ty } = mark;
            input = Logical::Mark(crate::sql::plan::logical::Mark {
                input: Box::new(input),
                subquery: Box::new(subquery),
                kind,
                arguments,
                ty,
            });
        }
        input
    }

    /// Refuses marks where the input cannot be widened.
    pub(super) fn no_marks(&self) -> SqlResult<()> {
        let what = match self.marks.first().map(|mark| &mark.kind) {
            None => return Ok(()),
            Some(MarkKind::In { .. }) => "IN with a subquery",
            Some(_) => "a correlated subquery",
        };
        Err(SqlError::unsupported(format_args!("{what} in {}", self.clause)))
    }
}

impl PendingMark {
    /// The expressions over the input's rows.
    pub(super) fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let keys = match &mut self.kind {
            MarkKind::In { keys, .. } => keys.as_mut_slice(),
            MarkKind::Scalar | MarkKind::Exists => &mut [],
        };
        keys.iter_mut().chain(self.arguments.iter_mut().map(|a| &mut a.value)).collect()
    }
}
