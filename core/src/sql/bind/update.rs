//! UPDATE.

use sqlparser::ast::{Update, UpdateTableFromKind};

use super::statement::BoundUpdate;
use super::{At, Binder};
use crate::base::{SqlError, SqlResult};
use crate::sql::catalog::Relation;
use crate::sql::plan::Logical;
use crate::sql::plan::logical::{Join, JoinKind};

impl Binder<'_> {
    pub(super) fn update(&mut self, update: &Update) -> SqlResult<BoundUpdate> {
        if update.or.is_some()
            || update.output.is_some()
            || !update.order_by.is_empty()
            || update.limit.is_some()
            || !update.table.joins.is_empty()
        {
            return Err(SqlError::unsupported("this clause of UPDATE"));
        }
        let (table, alias) = self.target_factor(&update.table.relation)?;
        let (mut source, mut scope) = self.scan(Relation::Table(table.clone()), alias)?;
        let from = match &update.from {
            None => &[][..],
            Some(UpdateTableFromKind::AfterSet(from) | UpdateTableFromKind::BeforeSet(from)) => {
                from
            }
        };
        if !from.is_empty() {
            let (right, right_scope) = self.table_list(from)?;
            let (left, right) = (Box::new(source), Box::new(right));
            source = Logical::Join(Join { kind: JoinKind::Inner, left, right, on: Vec::new() });
            scope.append(right_scope)?;
        }
        if let Some(condition) = &update.selection {
            self.touches.read(table.id);
            source = self.filter(source, &scope, condition, "WHERE")?;
        }
        let mut at = At::new(&scope, "UPDATE");
        let mut assignments = self.assignments(&table, &update.assignments, &mut at)?;
        source = at.settle(source, assignments.iter_mut().map(|(_, value)| value));
        let returning = match &update.returning {
            Some(items) => Some(self.returning(items, &scope)?),
            None => None,
        };
        Ok(BoundUpdate { table, source, assignments, returning })
    }
}
