//! SELECT: from its tables to its output columns.
//!
//! Order of the nodes above the FROM clause, where each is left out when its clause is missing:
//! `Filter` (WHERE), `Aggregate`, `Filter` (HAVING), `Project` (the select list, then what only
//! ORDER BY needs), `Distinct`, `Sort`, `Limit`, `Project` (drops what only ORDER BY needed).

use sqlparser::ast::{
    self, Distinct, GroupByExpr, Select, SelectItem, SelectItemQualifiedWildcardKind,
};

use super::aggregate::Grouping;
use super::query::{BoundQuery, Ending, RowCounts, bare, column_expr};
use super::scope::{Found, Scope};
use super::subquery::PendingMark;
use super::{At, Binder};
use crate::base::limits::TARGETS_MAX;
use crate::base::{SqlError, SqlResult, SqlState, SqlType};
use crate::expr::{CastContext, Expr};
use crate::sql::parse::names::no_string;
use crate::sql::parse::{fold, object_name};
use crate::sql::plan::logical::{AggregateCall, Group, SortKey};
use crate::sql::plan::{Logical, ResultColumn};

/// The select list while it is being bound.
#[derive(Default)]
struct Outputs {
    exprs: Vec<Expr>,
    columns: Vec<ResultColumn>,
}

/// An ORDER BY item: a column of the select list, or an expression beside it.
enum OrderItem {
    Output(usize),
    Beside(Expr),
}

impl Binder<'_> {
    pub(super) fn select(&mut self, select: &Select, ending: Ending<'_>) -> SqlResult<BoundQuery> {
        refuse_extras(select)?;
        let (mut plan, scope) = self.table_list(&select.from)?;
        if let Some(condition) = &select.selection {
            plan = self.filter(plan, &scope, condition, "WHERE")?;
        }
        let mut at = At::new(&scope, "SELECT");
        at.aggregates = Some(Vec::new());
        let mut outputs = self.select_list(&select.projection, &mut at)?;
        let keys = self.group_keys(&select.group_by, &outputs, &mut at)?;
        let mut having = match &select.having {
            Some(having) => {
                at.clause = "HAVING";
                Some(self.condition(having, &mut at)?)
            }
            None => None,
        };
        at.clause = "ORDER BY";
        let mut order = self.order_items(ending.order, &outputs, &mut at)?;
        let beside = order.iter_mut().filter_map(|(item, _)| match item {
            OrderItem::Beside(expr) => Some(expr),
            OrderItem::Output(_) => None,
        });
        let mut exprs: Vec<&mut Expr> =
            outputs.exprs.iter_mut().chain(&mut having).chain(beside).collect();
        let calls = at.aggregates.take().unwrap_or_default();
        if keys.is_some() || !calls.is_empty() || select.having.is_some() {
            let grouping = Grouping { scope: &scope, keys: keys.unwrap_or_default() };
            plan =
                group(plan, grouping, calls, &mut exprs, &mut at).map_err(|(error, column)| {
                    match at.columns.iter().find(|(index, _)| Some(*index) == column) {
                        Some((_, span)) => self.at(error, *span),
                        None => error,
                    }
                })?;
        }
        plan = at.settle(plan, exprs);
        if let Some(having) = having {
            plan = Logical::Filter { input: Box::new(plan), conditions: having.conjuncts() };
        }
        let counts = self.row_counts(ending, &scope)?;
        self.project(plan, outputs, order, is_distinct(select)?, counts)
    }

    /// Puts a condition over a plan.
    pub(super) fn filter(
        &mut self,
        plan: Logical,
        scope: &Scope,
        condition: &ast::Expr,
        clause: &'static str,
    ) -> SqlResult<Logical> {
        let mut at = At::new(scope, clause);
        let mut condition = self.condition(condition, &mut at)?;
        let input = Box::new(at.settle(plan, [&mut condition]));
        Ok(Logical::Filter { input, conditions: condition.conjuncts() })
    }

    fn project(
        &mut self,
        plan: Logical,
        outputs: Outputs,
        order: Vec<(OrderItem, &ast::OrderByExpr)>,
        distinct: bool,
        counts: RowCounts,
    ) -> SqlResult<BoundQuery> {
        let Outputs { mut exprs, columns } = outputs;
        let width = exprs.len();
        let mut keys = Vec::with_capacity(order.len());
        for (item, written) in order {
            let index = match item {
                OrderItem::Output(index) => {
                    self.sortable(&mut exprs[index])?;
                    index
                }
                OrderItem::Beside(expr) => match exprs.iter().position(|known| *known == expr) {
                    Some(index) => index,
                    None if distinct => {
                        return Err(SqlError::new(
                            SqlState::InvalidColumnReference,
                            "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
                        ));
                    }
                    None => {
                        exprs.push(expr);
                        exprs.len() - 1
                    }
                },
            };
            let expr = Expr::Column { index, ty: exprs[index].ty(), typmod: exprs[index].typmod() };
            keys.push(sort_key(expr, written));
        }
        let total = exprs.len();
        check_target_count(total)?;
        let columns: Vec<ResultColumn> = columns
            .into_iter()
            .zip(&exprs)
            .map(|(column, expr)| ResultColumn { ty: expr.ty(), typmod: expr.typmod(), ..column })
            .collect();
        let mut plan = Logical::Project { input: Box::new(plan), exprs };
        if distinct {
            plan = Logical::Distinct { input: Box::new(plan) };
        }
        if !keys.is_empty() {
            plan = Logical::Sort { input: Box::new(plan), keys };
        }
        plan = counts.over(plan);
        if total > width {
            let exprs = (0..width).map(|index| column_expr(&columns, index)).collect();
            plan = Logical::Project { input: Box::new(plan), exprs };
        }
        Ok(BoundQuery { plan, columns })
    }

    /// Makes text of an untyped output column that is sorted by.
    fn sortable(&mut self, expr: &mut Expr) -> SqlResult<()> {
        if expr.ty() == SqlType::Unknown {
            let taken = std::mem::replace(expr, Expr::bool(true));
            *expr = self.exprs.coerce(taken, SqlType::Text, -1, CastContext::Implicit)?;
        }
        Ok(())
    }

    fn select_list(&mut self, items: &[SelectItem], at: &mut At<'_>) -> SqlResult<Outputs> {
        let mut outputs = Outputs::default();
        for item in items {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = column_name(expr);
                    self.output(expr, name, at, &mut outputs)?;
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    no_string(alias)?;
                    self.output(expr, fold(alias), at, &mut outputs)?;
                }
                SelectItem::Wildcard(_) => {
                    if at.scope.tables.is_empty() && at.scope.star.is_empty() {
                        return Err(SqlError::new(
                            SqlState::SyntaxError,
                            "SELECT * with no tables specified is not valid",
                        ));
                    }
                    for index in at.scope.star.clone() {
                        outputs.column(at.scope, index);
                    }
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    _,
                ) => self.star_of(name, at, &mut outputs)?,
                _ => return Err(SqlError::unsupported("this item of a select list")),
            }
            // Every item may be a star over a wide table.
            check_target_count(outputs.exprs.len())?;
        }
        Ok(outputs)
    }

    /// `RETURNING`: the expressions and their columns.
    pub(super) fn returning(
        &mut self,
        items: &[SelectItem],
        scope: &Scope,
    ) -> SqlResult<(Vec<Expr>, Vec<ResultColumn>)> {
        let mut at = At::new(scope, "RETURNING");
        let mut outputs = self.select_list(items, &mut at)?;
        at.no_marks()?;
        for (expr, column) in outputs.exprs.iter_mut().zip(&mut outputs.columns) {
            self.sortable(expr)?;
            (column.ty, column.typmod) = (expr.ty(), expr.typmod());
        }
        Ok((outputs.exprs, outputs.columns))
    }

    fn output(
        &mut self,
        expr: &ast::Expr,
        name: String,
        at: &mut At<'_>,
        outputs: &mut Outputs,
    ) -> SqlResult<()> {
        let bound = self.expr(expr, at)?;
        let origin = match &bound {
            Expr::Column { index, .. } => at.scope.columns.get(*index).and_then(|c| c.origin),
            _ => None,
        };
        let (ty, typmod) = (bound.ty(), bound.typmod());
        outputs.columns.push(ResultColumn { name, ty, typmod, origin });
        outputs.exprs.push(bound);
        Ok(())
    }

    fn star_of(
        &mut self,
        name: &ast::ObjectName,
        at: &At<'_>,
        outputs: &mut Outputs,
    ) -> SqlResult<()> {
        let name = object_name(name)?;
        let Some(table) = at.scope.table(name.schema.as_deref(), &name.name) else {
            let message = format!("missing FROM-clause entry for table \"{}\"", name.name);
            return Err(self.error_at(SqlState::UndefinedTable, message, name.span));
        };
        for index in at.scope.star_of(table) {
            outputs.column(at.scope, index);
        }
        Ok(())
    }

    /// The GROUP BY keys over the ungrouped rows; `None` without the clause.
    fn group_keys(
        &mut self,
        group_by: &GroupByExpr,
        outputs: &Outputs,
        at: &mut At<'_>,
    ) -> SqlResult<Option<Vec<Expr>>> {
        let GroupByExpr::Expressions(items, modifiers) = group_by else {
            return Err(SqlError::unsupported("GROUP BY ALL"));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unsupported("GROUPING SETS, CUBE and ROLLUP"));
        }
        if items.is_empty() {
            return Ok(None);
        }
        let (aggregates, named) = (at.aggregates.take(), at.columns.len());
        at.clause = "GROUP BY";
        let mut keys = Vec::with_capacity(items.len());
        for item in items {
            let mut key = self.group_key(item, outputs, at)?;
            self.sortable(&mut key)?;
            let (mut aggregated, mut marked) = (false, false);
            key.walk(&mut |e| {
                let at = if let Expr::Column { index, .. } = e { *index } else { 0 };
                aggregated |= at >= super::AGGREGATE_COLUMN;
                marked |= (super::MARK_COLUMN..super::AGGREGATE_COLUMN).contains(&at);
            });
            if marked {
                return Err(SqlError::unsupported("such a subquery in GROUP BY"));
            }
            if aggregated {
                return Err(SqlError::new(
                    SqlState::GroupingError,
                    "aggregate functions are not allowed in GROUP BY",
                ));
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        at.aggregates = aggregates;
        at.columns.truncate(named);
        Ok(Some(keys))
    }

    /// A position, else an input column, else an output column's name, else an expression.
    fn group_key(
        &mut self,
        item: &ast::Expr,
        outputs: &Outputs,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        let item = bare(item);
        if let Some(index) = self.output_position(item, &outputs.columns, at.clause)? {
            return Ok(outputs.exprs[index].clone());
        }
        if let ast::Expr::Identifier(ident) = item
            && at.scope.column(&fold(ident)) == Found::Nothing
            && let Some(index) = self.output_named(ident, outputs)?
        {
            return Ok(outputs.exprs[index].clone());
        }
        self.expr(item, at)
    }

    fn order_items<'q>(
        &mut self,
        items: &'q [ast::OrderByExpr],
        outputs: &Outputs,
        at: &mut At<'_>,
    ) -> SqlResult<Vec<(OrderItem, &'q ast::OrderByExpr)>> {
        let mut bound = Vec::with_capacity(items.len());
        for item in items {
            bound.push((self.order_item(&item.expr, outputs, at)?, item));
        }
        Ok(bound)
    }

    /// A position, else an output column's name, else an expression over the input.
    fn order_item(
        &mut self,
        item: &ast::Expr,
        outputs: &Outputs,
        at: &mut At<'_>,
    ) -> SqlResult<OrderItem> {
        let item = bare(item);
        if let Some(index) = self.output_position(item, &outputs.columns, at.clause)? {
            return Ok(OrderItem::Output(index));
        }
        if let ast::Expr::Identifier(ident) = item
            && let Some(index) = self.output_named(ident, outputs)?
        {
            return Ok(OrderItem::Output(index));
        }
        let mut expr = self.expr(item, at)?;
        self.sortable(&mut expr)?;
        Ok(OrderItem::Beside(expr))
    }

    /// The output column of a name; 42702 when several, different ones have it.
    fn output_named(&self, ident: &ast::Ident, outputs: &Outputs) -> SqlResult<Option<usize>> {
        let name = fold(ident);
        let mut matches = (0..outputs.columns.len()).filter(|at| outputs.columns[*at].name == name);
        let Some(first) = matches.next() else { return Ok(None) };
        if matches.any(|other| outputs.exprs[other] != outputs.exprs[first]) {
            let message = format!("ORDER BY \"{name}\" is ambiguous");
            return Err(self.error_at(SqlState::AmbiguousColumn, message, ident.span));
        }
        Ok(Some(first))
    }
}

impl Outputs {
    fn column(&mut self, scope: &Scope, index: usize) {
        let column = &scope.columns[index];
        self.exprs.push(Expr::Column { index, ty: column.ty, typmod: column.typmod });
        self.columns.push(ResultColumn {
            name: column.name.clone(),
            ty: column.ty,
            typmod: column.typmod,
            origin: column.origin,
        });
    }
}

/// Puts a grouping over a plan and makes `exprs`, and the marks in them, expressions over groups.
fn group(
    plan: Logical,
    mut grouping: Grouping<'_>,
    calls: Vec<AggregateCall>,
    exprs: &mut [&mut Expr],
    at: &mut At<'_>,
) -> Result<Logical, (SqlError, Option<usize>)> {
    let in_marks = at.marks.iter_mut().flat_map(PendingMark::exprs_mut);
    let mut all: Vec<&mut Expr> = exprs.iter_mut().map(|e| &mut **e).chain(in_marks).collect();
    for expr in &all {
        grouping.add_dependent(expr);
    }
    for expr in &mut all {
        grouping.rewrite(expr)?;
    }
    Ok(Logical::Aggregate(Group { input: Box::new(plan), keys: grouping.keys, calls }))
}

/// The key for an ORDER BY item: NULLs last when ascending, first when descending.
pub(super) fn sort_key(expr: Expr, item: &ast::OrderByExpr) -> SortKey {
    let descending = matches!(item.options.sort, Some(ast::OrderBySort::Desc));
    let nulls_first = item.options.nulls_first.unwrap_or(descending);
    SortKey { expr, descending, nulls_first }
}

/// `54011` for more columns than a result may have; those only ORDER BY needs count, too.
pub(super) fn check_target_count(count: usize) -> SqlResult<()> {
    if count <= TARGETS_MAX {
        return Ok(());
    }
    let message = format!("target lists can have at most {TARGETS_MAX} entries");
    Err(SqlError::new(SqlState::TooManyColumns, message))
}

fn is_distinct(select: &Select) -> SqlResult<bool> {
    match &select.distinct {
        None | Some(Distinct::All) => Ok(false),
        Some(Distinct::Distinct) => Ok(true),
        Some(Distinct::On(_)) => Err(SqlError::unsupported("SELECT DISTINCT ON")),
    }
}

fn refuse_extras(select: &Select) -> SqlResult<()> {
    let refused = [
        (select.into.is_some(), "SELECT INTO"),
        (select.top.is_some(), "TOP"),
        (!select.lateral_views.is_empty(), "LATERAL VIEW"),
        (!select.named_window.is_empty(), "WINDOW"),
        (select.qualify.is_some(), "QUALIFY"),
        (select.prewhere.is_some(), "PREWHERE"),
        (!select.connect_by.is_empty(), "CONNECT BY"),
        (!select.cluster_by.is_empty(), "CLUSTER BY"),
        (!select.distribute_by.is_empty(), "DISTRIBUTE BY"),
        (!select.sort_by.is_empty(), "SORT BY"),
        (select.value_table_mode.is_some(), "SELECT AS"),
        (select.exclude.is_some(), "EXCLUDE"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(SqlError::unsupported(what)),
        None => Ok(()),
    }
}

/// The name PostgreSQL gives an output column without an alias.
pub(super) fn column_name(expr: &ast::Expr) -> String {
    named(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// The name, and whether it is a good one: a cast's type name gives way to its operand's.
fn named(expr: &ast::Expr) -> Option<(String, bool)> {
    use ast::Expr as E;
    let good = |name: &str| Some((name.to_owned(), true));
    match expr {
        E::Identifier(ident) => Some((fold(ident), true)),
        E::CompoundIdentifier(parts) => parts.last().map(|ident| (fold(ident), true)),
        E::Function(call) => match object_name(&call.name) {
            Ok(name) => Some((name.name, true)),
            Err(_) => None,
        },
        E::Nested(inner) | E::Collate { expr: inner, .. } => named(inner),
        E::Cast { expr, data_type, .. } => match named(expr) {
            Some((name, true)) => Some((name, true)),
            _ => type_name(data_type),
        },
        E::TypedString(typed) => type_name(&typed.data_type),
        E::Case { else_result, .. } => match else_result.as_deref().and_then(named) {
            Some((name, true)) => Some((name, true)),
            _ => Some(("case".to_owned(), false)),
        },
        E::Exists { negated: false, .. } => good("exists"),
        E::Subquery(query) => subquery_name(query),
        E::Array(_) => good("array"),
        E::CompoundFieldAccess { root, .. } => named(root),
        E::Extract { .. } => good("extract"),
        E::Ceil { .. } => good("ceil"),
        E::Floor { .. } => good("floor"),
        E::Position { .. } => good("position"),
        E::Substring { shorthand: true, .. } => good("substr"),
        E::Substring { .. } => good("substring"),
        E::Trim { trim_where, .. } => good(match trim_where {
            None | Some(ast::TrimWhereField::Both) => "btrim",
            Some(ast::TrimWhereField::Leading) => "ltrim",
            Some(ast::TrimWhereField::Trailing) => "rtrim",
        }),
        E::AtTimeZone { .. } => good("timezone"),
        E::Tuple(_) => good("row"),
        _ => None,
    }
}

fn type_name(ty: &ast::DataType) -> Option<(String, bool)> {
    let (ty, _) = super::types::resolve(ty).ok()?;
    Some((ty.info().name.to_owned(), false))
}

fn subquery_name(query: &ast::Query) -> Option<(String, bool)> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else { return None };
    match select.projection.first()? {
        SelectItem::ExprWithAlias { alias, .. } => Some((fold(alias), true)),
        SelectItem::UnnamedExpr(expr) => named(expr).map(|(name, _)| (name, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::base::SqlState;
    use crate::base::limits::TARGETS_MAX;
    use crate::sql::testing::TestDb;

    /// Whatever makes columns makes at most as many as PostgreSQL's; one more is refused.
    #[test]
    fn results_have_a_bounded_number_of_columns() {
        let mut db = TestDb::new();
        let columns: Vec<String> = (0..800).map(|k| format!("c{k} int")).collect();
        db.run(&format!("CREATE TABLE wide (id int PRIMARY KEY, {})", columns.join(", ")));
        let items = |count: usize| vec!["1"; count].join(", ");
        let stars = "*, ".repeat(2);
        let rest = TARGETS_MAX - 2 * 801;
        for (head, tail, fits) in [
            ("SELECT ".to_owned(), "", TARGETS_MAX),
            ("VALUES (".to_owned(), ")", TARGETS_MAX),
            ("SELECT 1 UNION VALUES (".to_owned(), ")", 0),
            (format!("SELECT {stars}"), " FROM wide", rest),
            (format!("DELETE FROM wide RETURNING {stars}"), "", rest),
        ] {
            for count in [fits, fits + 1, 70_000].into_iter().filter(|count| *count > 1) {
                let planned = db.prepare(&format!("{head}{}{tail}", items(count)));
                let state = planned.map(|_| ()).map_err(|error| error.state);
                let expected = if count <= fits { Ok(()) } else { Err(SqlState::TooManyColumns) };
                assert_eq!(state, expected, "{count} items behind {head}");
            }
        }
    }
}
