//! FROM: tables, subqueries and joins.

use sqlparser::ast::{
    FunctionArg, FunctionArgExpr, Ident, Join as AstJoin, JoinConstraint, JoinOperator, Query,
    TableAlias, TableFactor, TableWithJoins,
};

use super::query::{rename, table_scope};
use super::scope::{Found, Scope, ScopeColumn, ScopeTable, ambiguous};
use super::{At, Binder, BoundQuery};
use crate::base::limits::RELATIONS_MAX;
use crate::base::{SqlError, SqlResult, SqlState, SqlType};
use crate::expr::{CastContext, Expr};
use crate::sql::catalog::Relation;
use crate::sql::parse::names::QualifiedName;
use crate::sql::parse::{fold, object_name};
use crate::sql::plan::logical::{Join, JoinKind, Scan, Series};
use crate::sql::plan::{Logical, ResultColumn};

impl Binder<'_> {
    /// The cross join of a FROM list; one row without columns when it is empty.
    pub(super) fn table_list(&mut self, from: &[TableWithJoins]) -> SqlResult<(Logical, Scope)> {
        let mut items = from.iter();
        let Some(first) = items.next() else { return Ok((Logical::one_row(), Scope::default())) };
        let (mut plan, mut scope) = self.table_item(first)?;
        for item in items {
            let (right, right_scope) = self.table_item(item)?;
            plan = cross(plan, right);
            scope.append(right_scope)?;
        }
        Ok((plan, scope))
    }

    fn table_item(&mut self, item: &TableWithJoins) -> SqlResult<(Logical, Scope)> {
        let (mut plan, mut scope) = self.factor(&item.relation)?;
        for join in &item.joins {
            (plan, scope) = self.join(plan, scope, join)?;
        }
        Ok((plan, scope))
    }

    fn factor(&mut self, factor: &TableFactor) -> SqlResult<(Logical, Scope)> {
        self.relations += 1;
        if self.relations > RELATIONS_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded")
                .with_hint(format!("A statement joins at most {RELATIONS_MAX} relations.")));
        }
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                refuse_table_extras(factor)?;
                self.table_factor(&object_name(name)?, alias.as_ref())
            }
            TableFactor::Table {
                name, alias, args: Some(args), with_ordinality: false, ..
            } => self.table_function(&object_name(name)?, &args.args, alias.as_ref()),
            TableFactor::Function { name, args, alias, with_ordinality: false, .. } => {
                self.table_function(&object_name(name)?, args, alias.as_ref())
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                self.derived(subquery, alias.as_ref())
            }
            TableFactor::Derived { .. } => Err(SqlError::unsupported("LATERAL")),
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.deeper(|binder| binder.table_item(table_with_joins))
            }
            TableFactor::NestedJoin { .. } => Err(SqlError::unsupported("an alias of a join")),
            TableFactor::UNNEST { .. } => Err(SqlError::unsupported("unnest in FROM")),
            _ => Err(SqlError::unsupported("this item of FROM")),
        }
    }

    fn table_factor(
        &mut self,
        name: &QualifiedName,
        alias: Option<&TableAlias>,
    ) -> SqlResult<(Logical, Scope)> {
        if name.schema.is_none() {
            let cte = self.ctes.iter().rev().find(|(cte, _)| *cte == name.name);
            if let Some((_, bound)) = cte {
                let bound = BoundQuery::clone(bound);
                return self.aliased(bound, &name.name, alias);
            }
        }
        let relation = self.relation(name)?;
        self.touches.read(relation.id());
        self.scan(relation, alias)
    }

    /// A scan of all columns of a relation.
    pub(super) fn scan(
        &mut self,
        relation: Relation,
        alias: Option<&TableAlias>,
    ) -> SqlResult<(Logical, Scope)> {
        let table = scope_table(&relation, alias);
        let name = table.name.clone();
        let mut columns = scope_columns(&relation);
        if let Some(alias) = alias {
            let visible: Vec<usize> = (0..columns.len()).filter(|at| !columns[*at].shy).collect();
            if alias.columns.len() > visible.len() {
                let message = format!(
                    "table \"{name}\" has {} columns available but {} columns specified",
                    visible.len(),
                    alias.columns.len()
                );
                return Err(SqlError::new(SqlState::InvalidColumnReference, message));
            }
            for (at, new) in visible.into_iter().zip(&alias.columns) {
                columns[at].name = fold(&new.name);
            }
        }
        let mut scope = Scope::default();
        scope.add(table, columns)?;
        let columns = (0..relation.width()).collect();
        let scan = Scan { relation, alias: name, conditions: Vec::new(), columns };
        Ok((Logical::Scan(scan), scope))
    }

    fn derived(
        &mut self,
        query: &Query,
        alias: Option<&TableAlias>,
    ) -> SqlResult<(Logical, Scope)> {
        let bound = self.deeper(|binder| binder.query(query))?;
        let Some(alias) = alias else {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "subquery in FROM must have an alias",
            )
            .with_hint("For example, FROM (SELECT ...) [AS] foo."));
        };
        let name = fold(&alias.name);
        self.aliased(bound, &name, Some(alias))
    }

    fn aliased(
        &mut self,
        mut bound: BoundQuery,
        name: &str,
        alias: Option<&TableAlias>,
    ) -> SqlResult<(Logical, Scope)> {
        let name = alias.map_or_else(|| name.to_owned(), |alias| fold(&alias.name));
        let names: Vec<String> =
            alias.iter().flat_map(|alias| &alias.columns).map(|c| fold(&c.name)).collect();
        rename(&mut bound, &name, &names)?;
        let scope = table_scope(&bound, &name);
        Ok((bound.plan, scope))
    }

    fn table_function(
        &mut self,
        name: &QualifiedName,
        args: &[FunctionArg],
        alias: Option<&TableAlias>,
    ) -> SqlResult<(Logical, Scope)> {
        if name.name != "generate_series" {
            return Err(SqlError::unsupported(format_args!("function {} in FROM", name.name)));
        }
        let scope = Scope::default();
        let mut at = At::new(&scope, "FROM");
        let mut bounds = Vec::with_capacity(3);
        for arg in args {
            let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg else {
                return Err(SqlError::unsupported("a named argument"));
            };
            bounds.push(self.expr(expr, &mut at)?);
        }
        at.no_marks()?;
        let plan = self.series(bounds)?;
        let Logical::Series(series) = &plan else {
            return Err(SqlError::internal("a series that is none"));
        };
        let column = alias.map_or_else(|| name.name.clone(), |alias| fold(&alias.name));
        let column = ResultColumn { name: column, ty: series.ty, typmod: -1, origin: None };
        let bound = BoundQuery { plan, columns: vec![column] };
        self.aliased(bound, &name.name, alias)
    }

    fn series(&mut self, mut bounds: Vec<Expr>) -> SqlResult<Logical> {
        if !(2..=3).contains(&bounds.len()) {
            return Err(SqlError::new(
                SqlState::UndefinedFunction,
                "function generate_series needs two or three arguments",
            ));
        }
        if bounds.len() == 2 {
            bounds.push(Expr::constant(crate::base::Datum::Int4(1), SqlType::Int4));
        }
        let ty = if bounds.iter().any(|bound| bound.ty() == SqlType::Int8) {
            SqlType::Int8
        } else {
            SqlType::Int4
        };
        for bound in &mut bounds {
            let known = matches!(
                bound.ty(),
                SqlType::Unknown | SqlType::Int2 | SqlType::Int4 | SqlType::Int8
            );
            if !known {
                let what = bound.ty().info().sql_name;
                return Err(SqlError::unsupported(format_args!("generate_series over {what}")));
            }
            let taken = std::mem::replace(bound, Expr::bool(true));
            *bound = self.exprs.coerce(taken, ty, -1, CastContext::Implicit)?;
        }
        let step = bounds.pop().expect("three bounds");
        let stop = bounds.pop().expect("three bounds");
        let start = bounds.pop().expect("three bounds");
        Ok(Logical::Series(Series { start, stop, step, ty }))
    }

    fn join(
        &mut self,
        left: Logical,
        left_scope: Scope,
        join: &AstJoin,
    ) -> SqlResult<(Logical, Scope)> {
        let (right, right_scope) = self.factor(&join.relation)?;
        use JoinOperator as J;
        let (kind, flipped, constraint) = match &join.join_operator {
            J::Join(c) | J::Inner(c) => (JoinKind::Inner, false, c),
            J::CrossJoin(c @ JoinConstraint::None) => (JoinKind::Inner, false, c),
            J::Left(c) | J::LeftOuter(c) => (JoinKind::Left, false, c),
            J::Right(c) | J::RightOuter(c) => (JoinKind::Left, true, c),
            J::FullOuter(c) => (JoinKind::Full, false, c),
            _ => return Err(SqlError::unsupported("this kind of join")),
        };
        let is_cross = matches!(join.join_operator, J::CrossJoin(_));
        if *constraint == JoinConstraint::None && !is_cross {
            let message = "syntax error: a JOIN needs ON or USING";
            return Err(SqlError::new(SqlState::SyntaxError, message)
                .with_hint("Write CROSS JOIN for all pairs of rows."));
        }
        let left_width = left_scope.columns.len();
        let right_width = right_scope.columns.len();
        let mut scope = left_scope;
        let names = match constraint {
            JoinConstraint::Using(names) => {
                let mut idents = Vec::new();
                for name in names {
                    idents.push(object_name(name)?.name);
                }
                idents
            }
            JoinConstraint::Natural => shared_names(&scope, &right_scope),
            _ => Vec::new(),
        };
        let pairs = using_pairs(&scope, &right_scope, &names)?;
        scope.append(right_scope)?;
        let mut on = Vec::new();
        for (l, r) in &pairs {
            let (left, right) = (scope_expr(&scope, *l), scope_expr(&scope, left_width + *r));
            on.push(self.exprs.binary("=", left, right)?);
        }
        if !pairs.is_empty() && kind == JoinKind::Full {
            return Err(SqlError::unsupported("FULL JOIN with USING"));
        }
        merge(&mut scope, left_width, &pairs, flipped);
        if let JoinConstraint::On(condition) = constraint {
            let mut at = At::new(&scope, "JOIN/ON");
            on = self.condition(condition, &mut at)?.conjuncts();
            at.no_marks()?;
        }
        if !flipped {
            let join = Join { kind, left: Box::new(left), right: Box::new(right), on };
            return Ok((Logical::Join(join), scope));
        }
        let plan = flip(left, right, left_width, right_width, on, &scope);
        Ok((plan, scope))
    }
}

/// A right join: the left join of the exchanged sides, with the columns put back in order.
fn flip(
    left: Logical,
    right: Logical,
    left_width: usize,
    right_width: usize,
    mut on: Vec<Expr>,
    scope: &Scope,
) -> Logical {
    let swapped = |index: usize| {
        if index < left_width { index + right_width } else { index - left_width }
    };
    for condition in &mut on {
        condition.rewrite(&mut |e| {
            if let Expr::Column { index, .. } = e {
                *index = swapped(*index);
            }
        });
    }
    let join = Join { kind: JoinKind::Left, left: Box::new(right), right: Box::new(left), on };
    let exprs = scope.columns.iter().enumerate().map(|(at, column)| Expr::Column {
        index: swapped(at),
        ty: column.ty,
        typmod: column.typmod,
    });
    Logical::Project { input: Box::new(Logical::Join(join)), exprs: exprs.collect() }
}

fn cross(left: Logical, right: Logical) -> Logical {
    let (left, right) = (Box::new(left), Box::new(right));
    Logical::Join(Join { kind: JoinKind::Inner, left, right, on: Vec::new() })
}

fn scope_expr(scope: &Scope, index: usize) -> Expr {
    let column = &scope.columns[index];
    Expr::Column { index, ty: column.ty, typmod: column.typmod }
}

fn shared_names(left: &Scope, right: &Scope) -> Vec<String> {
    let names = left.star.iter().map(|at| left.columns[*at].name.clone());
    names.filter(|name| right.star.iter().any(|at| right.columns[*at].name == *name)).collect()
}

/// Positions of the merged columns in the left and in the right scope.
fn using_pairs(left: &Scope, right: &Scope, names: &[String]) -> SqlResult<Vec<(usize, usize)>> {
    let find = |scope: &Scope, side: &str, name: &str| match scope.column(name) {
        Found::Column(index) => Ok(index),
        Found::Nothing => Err(SqlError::new(
            SqlState::UndefinedColumn,
            format!("column \"{name}\" specified in USING clause does not exist in {side} table"),
        )),
        Found::Ambiguous => Err(ambiguous(&Ident::new(name)).0),
    };
    names.iter().map(|name| Ok((find(left, "left", name)?, find(right, "right", name)?))).collect()
}

/// Hides one of each pair of merged columns and puts the other first in `*`. The one that stays is
/// of the side that a left or right join keeps.
fn merge(scope: &mut Scope, left_width: usize, pairs: &[(usize, usize)], right_stays: bool) {
    let mut first = Vec::with_capacity(pairs.len());
    for (left, right) in pairs {
        let right = left_width + right;
        let (stays, hides) = if right_stays { (right, *left) } else { (*left, right) };
        scope.columns[hides].shy = true;
        scope.star.retain(|at| *at != hides && *at != stays);
        first.push(stays);
    }
    scope.star.splice(0..0, first);
}

fn scope_table(relation: &Relation, alias: Option<&TableAlias>) -> ScopeTable {
    let schema = match relation {
        Relation::Table(table) => &table.schema,
        Relation::Virtual(table) => &table.schema,
    };
    let key = match relation {
        Relation::Table(table) => table.primary_key.iter().map(|c| usize::from(*c)).collect(),
        Relation::Virtual(_) => Vec::new(),
    };
    let name = alias.map_or_else(|| relation.name().to_owned(), |alias| fold(&alias.name));
    let schema = alias.is_none().then(|| schema.clone());
    ScopeTable { name, schema, first: 0, count: 0, key }
}

/// The columns of a relation, as a scope has them.
pub(super) fn scope_columns(relation: &Relation) -> Vec<ScopeColumn> {
    (0..relation.width())
        .filter_map(|index| {
            let (name, ty, typmod) = relation.column(index)?;
            let shy = match relation {
                Relation::Table(table) => table.columns[index].hidden,
                Relation::Virtual(_) => false,
            };
            let number = i16::try_from(index + 1).unwrap_or(i16::MAX);
            let origin = Some((relation.id(), number));
            Some(ScopeColumn { name: name.to_owned(), ty, typmod, origin, shy })
        })
        .collect()
}

fn refuse_table_extras(factor: &TableFactor) -> SqlResult<()> {
    let TableFactor::Table {
        with_hints,
        version,
        with_ordinality,
        partitions,
        sample,
        index_hints,
        json_path,
        ..
    } = factor
    else {
        return Ok(());
    };
    let extra = !with_hints.is_empty()
        || version.is_some()
        || *with_ordinality
        || !partitions.is_empty()
        || sample.is_some()
        || !index_hints.is_empty()
        || json_path.is_some();
    if extra { Err(SqlError::unsupported("this clause of a table in FROM")) } else { Ok(()) }
}
