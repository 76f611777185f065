//! Queries: WITH, set operations, VALUES, and what stands around a SELECT.

use std::rc::Rc;

use sqlparser::ast::{
    self, Cte, Fetch, LimitClause, OrderByKind, Query, SetExpr, SetOperator, SetQuantifier,
};

use super::scope::{Scope, ScopeColumn, ScopeTable};
use super::{At, Binder};
use crate::base::{SqlError, SqlResult, SqlState, SqlType};
use crate::expr::{CastContext, Expr};
use crate::sql::parse::fold;
use crate::sql::plan::logical::SetKind;
use crate::sql::plan::{Logical, ResultColumn};

/// A bound query: its plan and the columns of its rows.
#[derive(Clone, Debug)]
pub struct BoundQuery {
    pub plan: Logical,
    pub columns: Vec<ResultColumn>,
}

/// What follows the body of a query.
#[derive(Clone, Copy, Default)]
pub(super) struct Ending<'q> {
    pub order: &'q [ast::OrderByExpr],
    pub limit: Option<&'q ast::Expr>,
    pub offset: Option<&'q ast::Expr>,
}

impl Ending<'_> {
    fn is_empty(&self) -> bool {
        self.order.is_empty() && self.limit.is_none() && self.offset.is_none()
    }
}

impl Binder<'_> {
    /// A query whose untyped columns became text.
    pub fn query(&mut self, query: &Query) -> SqlResult<BoundQuery> {
        let mut bound = self.untyped_query(query)?;
        self.resolve_unknown(&mut bound)?;
        Ok(bound)
    }

    /// A query whose untyped columns take their type from where it is used.
    pub(super) fn untyped_query(&mut self, query: &Query) -> SqlResult<BoundQuery> {
        self.deeper(|binder| {
            let before = binder.ctes.len();
            let bound = binder.query_with(query);
            binder.ctes.truncate(before);
            bound
        })
    }

    fn query_with(&mut self, query: &Query) -> SqlResult<BoundQuery> {
        self.with(query)?;
        let ending = ending(query)?;
        self.body(&query.body, ending)
    }

    /// Binds the common table expressions of a query and puts them in scope.
    pub(super) fn with(&mut self, query: &Query) -> SqlResult<()> {
        let Some(with) = &query.with else { return Ok(()) };
        for (at, cte) in with.cte_tables.iter().enumerate() {
            let name = fold(&cte.alias.name);
            if with.cte_tables[..at].iter().any(|other| fold(&other.alias.name) == name) {
                let message = format!("WITH query name \"{name}\" specified more than once");
                return Err(self.error_at(SqlState::DuplicateAlias, message, cte.alias.name.span));
            }
            if with.recursive && mentions(&cte.query, &name) {
                return Err(SqlError::unsupported("WITH RECURSIVE"));
            }
            let bound = self.cte(cte)?;
            self.ctes.push((name, Rc::new(bound)));
        }
        Ok(())
    }

    fn cte(&mut self, cte: &Cte) -> SqlResult<BoundQuery> {
        if matches!(*cte.query.body, SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_)) {
            return Err(SqlError::unsupported("a data-modifying statement in WITH"));
        }
        let mut bound = self.query(&cte.query)?;
        let names: Vec<String> = cte.alias.columns.iter().map(|c| fold(&c.name)).collect();
        rename(&mut bound, &fold(&cte.alias.name), &names)?;
        Ok(bound)
    }

    fn body(&mut self, body: &SetExpr, ending: Ending<'_>) -> SqlResult<BoundQuery> {
        match body {
            SetExpr::Select(select) => self.select(select, ending),
            SetExpr::Query(query) if ending.is_empty() => self.untyped_query(query),
            SetExpr::Query(query) => {
                let bound = self.untyped_query(query)?;
                self.end_by_output(bound, ending, false)
            }
            SetExpr::Values(values) => {
                let bound = self.values(values)?;
                self.end_by_output(bound, ending, false)
            }
            SetExpr::SetOperation { .. } => {
                let bound = self.set_operations(body)?;
                self.end_by_output(bound, ending, true)
            }
            SetExpr::Table(_) => Err(SqlError::unsupported("TABLE t here")),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(SqlError::unsupported("a data-modifying statement inside a query"))
            }
        }
    }

    /// A chain of set operations, which the parser nests to the left: read without recursion.
    fn set_operations(&mut self, body: &SetExpr) -> SqlResult<BoundQuery> {
        let mut steps = Vec::new();
        let mut first = body;
        while let SetExpr::SetOperation { left, op, set_quantifier, right } = first {
            steps.push((op, set_quantifier, right.as_ref()));
            first = left;
        }
        if steps.len() + self.depth > crate::base::limits::EXPR_DEPTH_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded"));
        }
        let mut left = self.body(first, Ending::default())?;
        while let Some((op, quantifier, right)) = steps.pop() {
            let right = self.deeper(|binder| binder.body(right, Ending::default()))?;
            left = self.set_operation(*op, *quantifier, left, right)?;
        }
        Ok(left)
    }

    fn set_operation(
        &mut self,
        op: SetOperator,
        quantifier: SetQuantifier,
        mut left: BoundQuery,
        mut right: BoundQuery,
    ) -> SqlResult<BoundQuery> {
        let (kind, name) = match op {
            SetOperator::Union => (SetKind::Union, "UNION"),
            SetOperator::Intersect => (SetKind::Intersect, "INTERSECT"),
            SetOperator::Except => (SetKind::Except, "EXCEPT"),
            SetOperator::Minus => return Err(SqlError::unsupported("MINUS")),
        };
        let all = match quantifier {
            SetQuantifier::All => true,
            SetQuantifier::Distinct | SetQuantifier::None => false,
            _ => return Err(SqlError::unsupported("a set operation BY NAME")),
        };
        if left.columns.len() != right.columns.len() {
            let message = format!("each {name} query must have the same number of columns");
            return Err(SqlError::new(SqlState::SyntaxError, message));
        }
        let types = left.columns.iter().zip(&right.columns);
        let mut common = Vec::with_capacity(left.columns.len());
        for (l, r) in types {
            common.push(crate::expr::resolve::common_type(name, &[l.ty, r.ty])?);
        }
        for (index, ty) in common.into_iter().enumerate() {
            self.convert(&mut left, index, ty, -1, CastContext::Implicit)?;
            self.convert(&mut right, index, ty, -1, CastContext::Implicit)?;
            let column = &mut left.columns[index];
            if column.typmod != right.columns[index].typmod {
                column.typmod = -1;
            }
            column.origin = None;
        }
        let plan = Logical::SetOperation {
            kind,
            all,
            left: Box::new(left.plan),
            right: Box::new(right.plan),
        };
        Ok(BoundQuery { plan, columns: left.columns })
    }

    fn values(&mut self, values: &ast::Values) -> SqlResult<BoundQuery> {
        let scope = Scope::default();
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            super::select::check_target_count(row.content.len())?;
            let mut at = At::new(&scope, "VALUES");
            rows.push(self.exprs(&row.content, &mut at)?);
            at.no_marks()?;
        }
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "VALUES lists must all be the same length",
            ));
        }
        let mut columns = Vec::with_capacity(width);
        for index in 0..width {
            let mut cells: Vec<&mut Expr> = rows.iter_mut().map(|row| &mut row[index]).collect();
            let ty = if cells.iter().all(|cell| cell.ty() == SqlType::Unknown) {
                SqlType::Unknown
            } else {
                self.exprs.unify("VALUES", &mut cells)?
            };
            let name = format!("column{}", index + 1);
            columns.push(ResultColumn { name, ty, typmod: -1, origin: None });
        }
        Ok(BoundQuery { plan: Logical::Values { width, rows }, columns })
    }

    /// ORDER BY, LIMIT and OFFSET over the output columns of a query.
    fn end_by_output(
        &mut self,
        mut bound: BoundQuery,
        ending: Ending<'_>,
        is_set_operation: bool,
    ) -> SqlResult<BoundQuery> {
        if !ending.order.is_empty() {
            self.resolve_unknown(&mut bound)?;
            let scope = output_scope(&bound);
            let mut keys = Vec::with_capacity(ending.order.len());
            for key in ending.order {
                let item = bare(&key.expr);
                let expr = match self.output_position(item, &bound.columns, "ORDER BY")? {
                    Some(index) => column_expr(&bound.columns, index),
                    None if is_set_operation && !matches!(item, ast::Expr::Identifier(_)) => {
                        return Err(SqlError::new(
                            SqlState::FeatureNotSupported,
                            "invalid UNION/INTERSECT/EXCEPT ORDER BY clause",
                        )
                        .with_detail(
                            "Only result column names can be used, not expressions or functions.",
                        )
                        .with_hint(
                            "Add the expression/function to every SELECT, or move the UNION into a FROM clause.",
                        ));
                    }
                    None => {
                        let mut at = At::new(&scope, "ORDER BY");
                        let expr = self.expr(&key.expr, &mut at)?;
                        at.no_marks()?;
                        expr
                    }
                };
                keys.push(super::select::sort_key(expr, key));
            }
            bound.plan = Logical::Sort { input: Box::new(bound.plan), keys };
        }
        let scope = if is_set_operation { Scope::default() } else { output_scope(&bound) };
        bound.plan = self.row_counts(ending, &scope)?.over(bound.plan);
        Ok(bound)
    }

    /// LIMIT and OFFSET of a query with these columns, which they must not name.
    pub(super) fn row_counts(&mut self, ending: Ending<'_>, scope: &Scope) -> SqlResult<RowCounts> {
        let limit = self.row_count(ending.limit, "LIMIT", scope)?;
        let offset = self.row_count(ending.offset, "OFFSET", scope)?;
        Ok(RowCounts { limit, offset })
    }

    fn row_count(
        &mut self,
        expr: Option<&ast::Expr>,
        clause: &'static str,
        scope: &Scope,
    ) -> SqlResult<Option<Expr>> {
        let Some(expr) = expr else { return Ok(None) };
        let mut at = At::new(scope, clause);
        let bound = self.expr(expr, &mut at)?;
        if let Some((_, span)) = at.columns.first() {
            let message = format!("argument of {clause} must not contain variables");
            return Err(self.error_at(SqlState::InvalidColumnReference, message, *span));
        }
        at.no_marks()?;
        let from = bound.ty();
        let int8 = self.exprs.coerce(bound, SqlType::Int8, -1, CastContext::Assignment);
        int8.map(Some).map_err(|error| {
            if error.state != SqlState::CannotCoerce {
                return error;
            }
            let message = format!(
                "argument of {clause} must be type bigint, not type {}",
                from.info().sql_name
            );
            SqlError::new(SqlState::DatatypeMismatch, message)
        })
    }

    /// The output column an ORDER BY or GROUP BY item names by its number.
    pub(super) fn output_position(
        &mut self,
        item: &ast::Expr,
        columns: &[ResultColumn],
        clause: &str,
    ) -> SqlResult<Option<usize>> {
        let (is_negative, constant) = signed(item);
        let ast::Expr::Value(value) = constant else { return Ok(None) };
        let position = match &value.value {
            ast::Value::Placeholder(_) => return Ok(None),
            ast::Value::Number(digits, _) => {
                let sign = if is_negative { "-" } else { "" };
                format!("{sign}{digits}").parse::<i32>().ok()
            }
            // PostgreSQL makes constants of signed numbers only.
            _ if !std::ptr::eq(constant, item) => return Ok(None),
            _ => None,
        };
        let Some(position) = position else {
            let message = format!("non-integer constant in {clause}");
            return Err(self.error_at(SqlState::SyntaxError, message, value.span));
        };
        match usize::try_from(position) {
            Ok(at) if (1..=columns.len()).contains(&at) => Ok(Some(at - 1)),
            _ => Err(self.error_at(
                SqlState::InvalidColumnReference,
                format!("{clause} position {position} is not in select list"),
                value.span,
            )),
        }
    }

    /// Makes text of the columns that are still untyped.
    pub(super) fn resolve_unknown(&mut self, bound: &mut BoundQuery) -> SqlResult<()> {
        for index in 0..bound.columns.len() {
            if bound.columns[index].ty == SqlType::Unknown {
                self.convert(bound, index, SqlType::Text, -1, CastContext::Implicit)?;
            }
        }
        Ok(())
    }

    /// Converts a column of a query's rows.
    pub(super) fn convert(
        &mut self,
        bound: &mut BoundQuery,
        index: usize,
        ty: SqlType,
        typmod: i32,
        context: CastContext,
    ) -> SqlResult<()> {
        let column = &bound.columns[index];
        if column.ty == ty && (typmod == -1 || typmod == column.typmod) {
            return Ok(());
        }
        if column.ty == SqlType::Unknown && self.convert_inside(&mut bound.plan, index, ty)? {
            bound.columns[index].ty = ty;
        } else {
            let input = std::mem::replace(&mut bound.plan, Logical::one_row());
            let mut exprs: Vec<Expr> =
                (0..bound.columns.len()).map(|at| column_expr(&bound.columns, at)).collect();
            let taken = std::mem::replace(&mut exprs[index], Expr::bool(true));
            exprs[index] = self.exprs.coerce(taken, ty, typmod, context)?;
            bound.plan = Logical::Project { input: Box::new(input), exprs };
            let column = &mut bound.columns[index];
            (column.ty, column.typmod, column.origin) = (ty, typmod, None);
        }
        Ok(())
    }

    /// Converts an untyped column where it is computed; false if that place is not found.
    fn convert_inside(&mut self, plan: &mut Logical, index: usize, ty: SqlType) -> SqlResult<bool> {
        let mut cells: Vec<&mut Expr> = match plan {
            Logical::Project { exprs, .. } => vec![&mut exprs[index]],
            Logical::Values { rows, .. } => rows.iter_mut().map(|row| &mut row[index]).collect(),
            Logical::Limit { input, .. } | Logical::Distinct { input } => {
                return self.convert_inside(input, index, ty);
            }
            Logical::Sort { input, keys } => {
                for key in keys.iter_mut() {
                    key.expr.rewrite(&mut |e| {
                        if let Expr::Column { index: at, ty: known, .. } = e
                            && *at == index
                        {
                            *known = ty;
                        }
                    });
                }
                return self.convert_inside(input, index, ty);
            }
            _ => return Ok(false),
        };
        if let [Expr::Column { index, ty: SqlType::Unknown, .. }] = cells.as_slice() {
            let inner = *index;
            let Logical::Project { input, exprs } = plan else { return Ok(false) };
            let done = self.convert_inside(input, inner, ty)?;
            if done {
                for expr in exprs {
                    if let Expr::Column { index, ty: known, .. } = expr
                        && *index == inner
                    {
                        *known = ty;
                    }
                }
            }
            return Ok(done);
        }
        for cell in &mut cells {
            let taken = std::mem::replace(*cell, Expr::bool(true));
            **cell = self.exprs.coerce(taken, ty, -1, CastContext::Implicit)?;
        }
        Ok(true)
    }
}

/// An expression without parentheses around it: `ORDER BY (1)` is `ORDER BY 1`.
pub(super) fn bare(mut expr: &ast::Expr) -> &ast::Expr {
    while let ast::Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

/// What is under the minus signs and parentheses of an expression, and whether they negate it.
fn signed(expr: &ast::Expr) -> (bool, &ast::Expr) {
    let mut is_negative = false;
    let mut expr = bare(expr);
    while let ast::Expr::UnaryOp { op: ast::UnaryOperator::Minus, expr: operand } = expr {
        is_negative = !is_negative;
        expr = bare(operand);
    }
    (is_negative, expr)
}

/// How many rows a query gives, and how many before it passes over.
pub(super) struct RowCounts {
    limit: Option<Expr>,
    offset: Option<Expr>,
}

impl RowCounts {
    /// The plan with the counts over it.
    pub fn over(self, plan: Logical) -> Logical {
        let RowCounts { limit, offset } = self;
        if limit.is_none() && offset.is_none() {
            return plan;
        }
        Logical::Limit { input: Box::new(plan), limit, offset }
    }
}

/// The column at `index` of rows with these columns.
pub(super) fn column_expr(columns: &[ResultColumn], index: usize) -> Expr {
    Expr::Column { index, ty: columns[index].ty, typmod: columns[index].typmod }
}

/// The scope of a query's output columns, in no table.
fn output_scope(bound: &BoundQuery) -> Scope {
    let columns = bound.columns.iter().map(|column| ScopeColumn {
        name: column.name.clone(),
        ty: column.ty,
        typmod: column.typmod,
        origin: column.origin,
        shy: false,
    });
    Scope { columns: columns.collect(), tables: Vec::new(), star: Vec::new() }
}

/// The scope of a query used as a table.
pub(super) fn table_scope(bound: &BoundQuery, name: &str) -> Scope {
    let mut scope = output_scope(bound);
    scope.star = (0..scope.columns.len()).collect();
    if !name.is_empty() {
        scope.tables.push(ScopeTable {
            name: name.to_owned(),
            schema: None,
            first: 0,
            count: bound.columns.len(),
            key: Vec::new(),
        });
    }
    scope
}

/// Gives the first columns the names of an alias's list.
pub(super) fn rename(bound: &mut BoundQuery, table: &str, names: &[String]) -> SqlResult<()> {
    let available = bound.columns.len();
    if names.len() > available {
        let message = format!(
            "table \"{table}\" has {available} columns available but {} columns specified",
            names.len()
        );
        return Err(SqlError::new(SqlState::InvalidColumnReference, message));
    }
    for (column, name) in bound.columns.iter_mut().zip(names) {
        column.name.clone_from(name);
    }
    Ok(())
}

fn ending(query: &Query) -> SqlResult<Ending<'_>> {
    refuse_extras(query)?;
    let mut ending = Ending::default();
    if let Some(order) = &query.order_by {
        match &order.kind {
            OrderByKind::Expressions(keys) => ending.order = keys,
            OrderByKind::All(_) => return Err(SqlError::unsupported("ORDER BY ALL")),
        }
    }
    match &query.limit_clause {
        None => {}
        Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
            ending.limit = limit.as_ref();
            ending.offset = offset.as_ref().map(|offset| &offset.value);
        }
        Some(LimitClause::LimitOffset { .. }) => return Err(SqlError::unsupported("LIMIT BY")),
        Some(LimitClause::OffsetCommaLimit { .. }) => {
            return Err(SqlError::new(SqlState::SyntaxError, "LIMIT #,# syntax is not supported")
                .with_hint("Use separate LIMIT and OFFSET clauses."));
        }
    }
    if let Some(Fetch { with_ties, percent, quantity }) = &query.fetch {
        if *with_ties || *percent {
            return Err(SqlError::unsupported("FETCH FIRST … WITH TIES or PERCENT"));
        }
        static ONE: std::sync::LazyLock<ast::Expr> = std::sync::LazyLock::new(|| {
            ast::Expr::value(ast::Value::Number("1".to_owned(), false))
        });
        ending.limit = Some(quantity.as_ref().unwrap_or(&ONE));
    }
    Ok(ending)
}

/// FOR UPDATE and FOR SHARE are hints: validation at commit keeps what they promise.
fn refuse_extras(query: &Query) -> SqlResult<()> {
    if query.locks.iter().any(|lock| lock.nonblock.is_some()) {
        return Err(SqlError::unsupported("NOWAIT and SKIP LOCKED"));
    }
    if query.for_clause.is_some()
        || query.settings.is_some()
        || query.format_clause.is_some()
        || !query.pipe_operators.is_empty()
    {
        return Err(SqlError::unsupported("this clause of a query"));
    }
    Ok(())
}

/// Whether the text of a query names `name` as a table; over-approximated.
fn mentions(query: &Query, name: &str) -> bool {
    let text = query.to_string().to_lowercase();
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}
