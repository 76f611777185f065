//! From one parsed statement to a [`Prepared`]: bind, rewrite, lower.

use std::sync::Arc;

use super::bind::{BindContext, Binder, Bound, OUTER_PARAM, SUBQUERY_PARAM};
use super::bind::{BoundConflict, Returning};
use super::parse::{Source, Stmt};
use super::plan::{
    ConflictUpdate, Delete, Explain, Insert, Logical, OnConflict, Physical, Plan, PointPlan,
    Prepared, ResultColumn, Subquery, Touches, Update, lower,
};
use super::rules::rewrite;
use crate::base::{SqlResult, SqlType};
use crate::expr::Expr;

/// The plan of a statement. `source` is the whole query text, for positions in errors; `params`
/// are the types the client declared, `Unknown` where it left them open.
pub fn prepare(
    stmt: &Stmt,
    source: &Source<'_>,
    context: BindContext<'_>,
    params: Vec<SqlType>,
) -> SqlResult<Prepared> {
    let catalog_version = context.catalog.version();
    let without_rows = |plan: Plan, touches: Touches| Prepared {
        text: source.text().into(),
        plan,
        params: Vec::new(),
        columns: None,
        subqueries: Vec::new(),
        outer_params: 0,
        touches,
        catalog_version,
    };
    let mut binder = Binder::new(context, source, params);
    let statement = match stmt {
        Stmt::Sql(statement) => statement,
        Stmt::Ddl(ddl) => {
            let change = binder.schema_change(ddl)?;
            return Ok(without_rows(Plan::Ddl(change, ddl.options), binder.touches));
        }
        Stmt::Session(stmt) => {
            return Ok(without_rows(Plan::Session(stmt.clone()), binder.touches));
        }
        Stmt::Access(stmt) => {
            return Ok(without_rows(Plan::Access(stmt.clone()), binder.touches));
        }
        Stmt::AlterSystem(stmt) => {
            return Ok(without_rows(Plan::AlterSystem(stmt.clone()), binder.touches));
        }
    };
    let bound = binder.statement(statement)?;
    let params = binder.param_types()?;
    let finish = Finish { own: params.len(), subqueries: binder.subqueries.len() };
    let subqueries = std::mem::take(&mut binder.subqueries)
        .into_iter()
        .map(|subquery| Subquery { kind: subquery.kind, plan: finish.plan(subquery.plan) })
        .collect();
    let prepared = Prepared {
        text: source.text().into(),
        plan: Plan::Session(super::parse::SessionStmt::ShowAll),
        params,
        columns: None,
        subqueries,
        outer_params: binder.outer_params,
        touches: std::mem::take(&mut binder.touches),
        catalog_version,
    };
    Ok(finish.statement(bound, prepared))
}

/// What is done to everything bound once all parameters are known.
struct Finish {
    /// How many parameters the statement itself has.
    own: usize,
    /// How many stand for subqueries.
    subqueries: usize,
}

impl Finish {
    fn statement(&self, bound: Bound, mut prepared: Prepared) -> Prepared {
        let (plan, columns) = match bound {
            Bound::Query { plan, columns } => (self.query(plan), Some(columns)),
            Bound::Insert(insert) => {
                let (returning, columns) = self.returning(insert.returning);
                let plan = Insert {
                    layout: super::plan::layout_of(&insert.table),
                    table: insert.table,
                    source: self.plan(insert.source),
                    on_conflict: self.conflict(insert.on_conflict),
                    returning,
                };
                (Plan::Insert(plan), columns)
            }
            Bound::Update(update) => {
                let (returning, columns) = self.returning(update.returning);
                let plan = Update {
                    layout: super::plan::layout_of(&update.table),
                    table: update.table,
                    source: self.plan(update.source),
                    assignments: self.assignments(update.assignments),
                    returning,
                };
                (Plan::Update(plan), columns)
            }
            Bound::Delete(delete) => {
                let (returning, columns) = self.returning(delete.returning);
                let plan = Delete {
                    layout: super::plan::layout_of(&delete.table),
                    table: delete.table,
                    source: self.plan(delete.source),
                    returning,
                };
                (Plan::Delete(plan), columns)
            }
            Bound::Explain { of, buckets, json } => {
                let inner = self.statement(*of, prepared.clone());
                let plan = Explain { of: Arc::new(inner), buckets, json };
                let column = ResultColumn {
                    name: "QUERY PLAN".into(),
                    ty: if json { SqlType::Json } else { SqlType::Text },
                    typmod: -1,
                    origin: None,
                };
                (Plan::Explain(plan), Some(vec![column]))
            }
        };
        prepared.plan = plan;
        prepared.columns = columns;
        prepared
    }

    fn query(&self, plan: Logical) -> Plan {
        let plan = self.plan(plan);
        match PointPlan::of(&plan, self.own) {
            Some(point) => Plan::Point(point),
            None => Plan::Query(plan),
        }
    }

    fn plan(&self, mut plan: Logical) -> Physical {
        plan.rewrite_exprs(&mut |expr| self.renumber(expr));
        lower(rewrite(plan))
    }

    fn expr(&self, mut expr: Expr) -> Expr {
        self.renumber(&mut expr);
        expr.fold()
    }

    /// Moves the parameters of subqueries behind the statement's own.
    fn renumber(&self, expr: &mut Expr) {
        expr.rewrite(&mut |e| {
            if let Expr::Param { index, .. } = e {
                if *index >= OUTER_PARAM {
                    *index = *index - OUTER_PARAM + self.own + self.subqueries;
                } else if *index >= SUBQUERY_PARAM {
                    *index = *index - SUBQUERY_PARAM + self.own;
                }
            }
        });
    }

    fn returning(&self, returning: Returning) -> (Option<Vec<Expr>>, Option<Vec<ResultColumn>>) {
        match returning {
            None => (None, None),
            Some((exprs, columns)) => {
                (Some(exprs.into_iter().map(|e| self.expr(e)).collect()), Some(columns))
            }
        }
    }

    fn assignments(&self, assignments: Vec<(u16, Expr)>) -> Vec<(u16, Expr)> {
        assignments.into_iter().map(|(column, e)| (column, self.expr(e))).collect()
    }

    fn conflict(&self, conflict: BoundConflict) -> OnConflict {
        match conflict {
            BoundConflict::Error => OnConflict::Error,
            BoundConflict::Nothing(arbiter) => OnConflict::Nothing(arbiter),
            BoundConflict::Update { arbiter, change } => OnConflict::Update(ConflictUpdate {
                arbiter,
                assignments: self.assignments(change.assignments),
                condition: change.condition.map(|e| self.expr(e)),
            }),
        }
    }
}
