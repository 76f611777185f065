//! Calls: functions, aggregates, and the syntax that stands for a call.

use sqlparser::ast::{
    self, CeilFloorKind, DateTimeField, DuplicateTreatment, FunctionArg, FunctionArgExpr,
    FunctionArguments, TrimWhereField,
};
use sqlparser::tokenizer::Span;

use super::{AGGREGATE_COLUMN, At, Binder};
use crate::base::{SqlError, SqlResult, SqlState, SqlType};
use crate::expr::Expr;
use crate::expr::aggregate::{is_aggregate, resolve_aggregate};
use crate::sql::parse::{names::QualifiedName, object_name};
use crate::sql::plan::logical::{AggregateCall, SortKey};

/// The parts of a call's parentheses.
#[derive(Default)]
struct Arguments<'q> {
    exprs: Vec<&'q ast::Expr>,
    star: bool,
    distinct: bool,
    order: &'q [ast::OrderByExpr],
}

impl Binder<'_> {
    pub(super) fn function(&mut self, call: &ast::Function, at: &mut At<'_>) -> SqlResult<Expr> {
        let name = object_name(&call.name)?;
        self.call(call, &name, at).map_err(|error| self.at(error, name.span))
    }

    fn call(
        &mut self,
        call: &ast::Function,
        name: &QualifiedName,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if call.over.is_some() {
            return Err(SqlError::unsupported("a window function"));
        }
        if !call.within_group.is_empty() || call.null_treatment.is_some() {
            return Err(SqlError::unsupported("WITHIN GROUP or a treatment of NULLs"));
        }
        if let (FunctionArguments::Subquery(query), "array") = (&call.args, name.name.as_str()) {
            return self.array_of_rows(query, at);
        }
        let arguments = arguments(&call.args)?;
        if is_aggregate(&name.name) {
            return self.aggregate(call, name, &arguments, at);
        }
        if arguments.star || arguments.distinct || call.filter.is_some() {
            let what = if arguments.star {
                format!(
                    "{}(*) specified, but {} is not an aggregate function",
                    name.name, name.name
                )
            } else {
                format!(
                    "DISTINCT or FILTER specified, but {} is not an aggregate function",
                    name.name
                )
            };
            return Err(SqlError::new(SqlState::WrongObjectType, what));
        }
        let mut args = Vec::with_capacity(arguments.exprs.len());
        for arg in arguments.exprs {
            args.push(self.expr(arg, at)?);
        }
        self.named_call(&name.name, args)
    }

    fn named_call(&mut self, name: &str, mut args: Vec<Expr>) -> SqlResult<Expr> {
        match (name, args.len()) {
            ("coalesce", 1..) => self.exprs.coalesce(args),
            ("greatest", 1..) => self.exprs.greatest(args),
            ("least", 1..) => self.exprs.least(args),
            ("nullif", 2) => {
                let right = args.remove(1);
                self.exprs.null_if(args.remove(0), right)
            }
            ("current_timestamp", 0) => self.exprs.call("now", args),
            _ => self.exprs.call(name, args),
        }
    }

    fn aggregate(
        &mut self,
        call: &ast::Function,
        name: &QualifiedName,
        arguments: &Arguments<'_>,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let grouping = |message: String| SqlError::new(SqlState::GroupingError, message);
        if at.in_aggregate {
            return Err(grouping("aggregate function calls cannot be nested".into()));
        }
        if at.aggregates.is_none() {
            let message = format!("aggregate functions are not allowed in {}", at.clause);
            return Err(grouping(message));
        }
        at.in_aggregate = true;
        let bound = self.aggregate_call(call, name, arguments, at);
        at.in_aggregate = false;
        let bound = bound?;
        let ty = bound.aggregate.result;
        let calls = at.aggregates.get_or_insert_default();
        let index = match calls.iter().position(|known| *known == bound) {
            Some(index) => index,
            None => {
                calls.push(bound);
                calls.len() - 1
            }
        };
        Ok(Expr::column(AGGREGATE_COLUMN + index, ty))
    }

    fn aggregate_call(
        &mut self,
        call: &ast::Function,
        name: &QualifiedName,
        arguments: &Arguments<'_>,
        at: &mut At<'_>,
    ) -> SqlResult<AggregateCall> {
        let mut args = Vec::with_capacity(arguments.exprs.len());
        for arg in &arguments.exprs {
            args.push(self.expr(arg, at)?);
        }
        if args.is_empty() && !arguments.star {
            let message =
                format!("{}(*) must be used to call a parameterless aggregate function", name.name);
            return Err(SqlError::new(SqlState::WrongObjectType, message));
        }
        let types: Vec<_> = args.iter().map(Expr::ty).collect();
        let aggregate = resolve_aggregate(&name.name, &types)?;
        for (arg, ty) in args.iter_mut().zip(aggregate.args) {
            // `Unknown` in the table stands for any type.
            let ty = match *ty {
                SqlType::Unknown if arg.ty() == SqlType::Unknown => SqlType::Text,
                SqlType::Unknown => arg.ty(),
                declared => declared,
            };
            let taken = std::mem::replace(arg, Expr::bool(true));
            *arg = self.exprs.coerce(taken, ty, -1, crate::expr::CastContext::Implicit)?;
        }
        let filter = match &call.filter {
            Some(filter) => {
                let filter = self.expr(filter, at)?;
                Some(self.exprs.condition("FILTER", filter)?)
            }
            None => None,
        };
        let order = self.aggregate_order(arguments, &args, at)?;
        Ok(AggregateCall { aggregate, args, distinct: arguments.distinct, filter, order })
    }

    fn aggregate_order(
        &mut self,
        arguments: &Arguments<'_>,
        args: &[Expr],
        at: &mut At<'_>,
    ) -> SqlResult<Vec<SortKey>> {
        let mut keys = Vec::with_capacity(arguments.order.len());
        for key in arguments.order {
            let expr = self.expr(&key.expr, at)?;
            if arguments.distinct && !args.contains(&expr) {
                return Err(SqlError::new(
                    SqlState::InvalidColumnReference,
                    "in an aggregate with DISTINCT, ORDER BY expressions must appear in argument list",
                ));
            }
            keys.push(super::select::sort_key(expr, key));
        }
        Ok(keys)
    }

    /// Syntax of its own that stands for a function.
    pub(super) fn special_function(
        &mut self,
        expr: &ast::Expr,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        use ast::Expr as E;
        match expr {
            E::Extract { field, expr, .. } => {
                let args = vec![Expr::literal(&field_name(field)?), self.expr(expr, at)?];
                self.exprs.call("extract", args)
            }
            E::Ceil { expr, field } => self.rounding("ceil", expr, field, at),
            E::Floor { expr, field } => self.rounding("floor", expr, field, at),
            E::Position { expr, r#in } => {
                let (needle, hay) = (self.expr(expr, at)?, self.expr(r#in, at)?);
                self.exprs.call("position", vec![hay, needle])
            }
            E::Substring { expr, substring_from, substring_for, .. } => {
                self.substring(expr, substring_from.as_deref(), substring_for.as_deref(), at)
            }
            E::Trim { trim_where, trim_what, expr, trim_characters } => {
                let what = trim_what.as_deref();
                let what = what.or(trim_characters.as_ref().and_then(|list| list.first()));
                self.trim(*trim_where, what, expr, at)
            }
            E::AtTimeZone { .. } => Err(SqlError::unsupported("AT TIME ZONE")),
            E::Interval(_) => Err(SqlError::unsupported("type interval")),
            E::SimilarTo { .. } => Err(SqlError::unsupported("SIMILAR TO")),
            E::Overlay { .. } => Err(SqlError::unsupported("OVERLAY")),
            E::Tuple(_) => Err(SqlError::unsupported("a row value here")),
            E::GroupingSets(_) | E::Cube(_) | E::Rollup(_) => {
                Err(SqlError::unsupported("GROUPING SETS, CUBE and ROLLUP"))
            }
            E::Wildcard(_) | E::QualifiedWildcard(..) => {
                Err(SqlError::new(SqlState::SyntaxError, "syntax error at or near \"*\""))
            }
            other => Err(SqlError::unsupported(format_args!("the expression {other}"))),
        }
    }

    fn rounding(
        &mut self,
        name: &str,
        expr: &ast::Expr,
        field: &CeilFloorKind,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if !matches!(field, CeilFloorKind::DateTimeField(DateTimeField::NoDateTime)) {
            return Err(SqlError::unsupported(format_args!("{name} to a field")));
        }
        let arg = self.expr(expr, at)?;
        self.exprs.call(name, vec![arg])
    }

    fn substring(
        &mut self,
        expr: &ast::Expr,
        from: Option<&ast::Expr>,
        count: Option<&ast::Expr>,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let mut args = vec![self.expr(expr, at)?];
        args.push(match from {
            Some(from) => self.expr(from, at)?,
            None => self.number("1", Span::empty())?,
        });
        if let Some(count) = count {
            args.push(self.expr(count, at)?);
        }
        self.exprs.call("substring", args)
    }

    fn trim(
        &mut self,
        side: Option<TrimWhereField>,
        what: Option<&ast::Expr>,
        expr: &ast::Expr,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let name = match side {
            None | Some(TrimWhereField::Both) => "btrim",
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
        };
        let mut args = vec![self.expr(expr, at)?];
        if let Some(what) = what {
            args.push(self.expr(what, at)?);
        }
        self.exprs.call(name, args)
    }
}

fn arguments(args: &FunctionArguments) -> SqlResult<Arguments<'_>> {
    let list = match args {
        FunctionArguments::None => return Ok(Arguments::default()),
        FunctionArguments::Subquery(_) => {
            return Err(SqlError::unsupported("a subquery in place of arguments"));
        }
        FunctionArguments::List(list) => list,
    };
    let mut result = Arguments {
        distinct: list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
        ..Arguments::default()
    };
    for arg in &list.args {
        match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => result.exprs.push(expr),
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => result.star = true,
            _ => return Err(SqlError::unsupported("a named argument")),
        }
    }
    for clause in &list.clauses {
        match clause {
            ast::FunctionArgumentClause::OrderBy(order) => result.order = order,
            _ => return Err(SqlError::unsupported("this clause of a call")),
        }
    }
    Ok(result)
}

/// The argument of `EXTRACT`, in lower case.
fn field_name(field: &DateTimeField) -> SqlResult<String> {
    match field {
        DateTimeField::Week(Some(_)) => Err(SqlError::unsupported("EXTRACT of such a week")),
        DateTimeField::Custom(ident) => Ok(ident.value.to_lowercase()),
        field => Ok(field.to_string().to_lowercase()),
    }
}
