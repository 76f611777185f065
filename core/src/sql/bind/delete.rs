//! DELETE.

use sqlparser::ast::{Delete, FromTable};

use super::Binder;
use super::statement::BoundDelete;
use crate::base::{SqlError, SqlResult};
use crate::sql::catalog::Relation;
use crate::sql::plan::Logical;
use crate::sql::plan::logical::{Join, JoinKind};

impl Binder<'_> {
    pub(super) fn delete(&mut self, delete: &Delete) -> SqlResult<BoundDelete> {
        let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) = &delete.from;
        let [target] = from.as_slice() else {
            return Err(SqlError::unsupported("DELETE from several tables"));
        };
        if !delete.tables.is_empty()
            || delete.output.is_some()
            || !delete.order_by.is_empty()
            || delete.limit.is_some()
            || !target.joins.is_empty()
        {
            return Err(SqlError::unsupported("this clause of DELETE"));
        }
        let (table, alias) = self.target_factor(&target.relation)?;
        let (mut source, mut scope) = self.scan(Relation::Table(table.clone()), alias)?;
        if let Some(using) = &delete.using {
            let (right, right_scope) = self.table_list(using)?;
            let (left, right) = (Box::new(source), Box::new(right));
            source = Logical::Join(Join { kind: JoinKind::Inner, left, right, on: Vec::new() });
            scope.append(right_scope)?;
        }
        if let Some(condition) = &delete.selection {
            self.touches.read(table.id);
            source = self.filter(source, &scope, condition, "WHERE")?;
        }
        let returning = match &delete.returning {
            Some(items) => Some(self.returning(items, &scope)?),
            None => None,
        };
        Ok(BoundDelete { table, source, returning })
    }
}
