//! The ring's state as the planner's catalog.

use crate::base::schema::TableRef;
use crate::base::{CatalogVersion, IndexId, TableId, UserId};
use crate::sql::catalog::{Catalog, Relation};
use crate::topology::RingState;
use crate::topology::ddl::PUBLIC_SCHEMA;
use crate::topology::virtual_table::{INFORMATION_SCHEMA, PG_CATALOG};

/// One moment of the ring.
pub struct CatalogView<'a> {
    pub ring: &'a RingState,
}

impl Catalog for CatalogView<'_> {
    fn version(&self) -> CatalogVersion {
        self.ring.catalog.version
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        if let Some(table) = self.ring.catalog.lookup(Some(schema), name) {
            return Some(Relation::Table(table.clone()));
        }
        Relation::built_in(schema, name)
    }

    fn table(&self, id: TableId) -> Option<TableRef> {
        self.ring.catalog.by_id(id).cloned()
    }

    fn index(&self, schema: &str, name: &str) -> Option<(TableRef, IndexId)> {
        if schema != PUBLIC_SCHEMA {
            return None;
        }
        self.ring.catalog.tables.iter().filter(|t| t.operable).find_map(|table| {
            if table.primary_key_name == name {
                return Some((table.clone(), table.primary_key_id));
            }
            let index = table.indexes.iter().find(|index| index.name == name)?;
            Some((table.clone(), index.id))
        })
    }

    fn has_schema(&self, name: &str) -> bool {
        [PUBLIC_SCHEMA, PG_CATALOG, INFORMATION_SCHEMA].contains(&name)
    }

    fn has_tier(&self, name: &str) -> bool {
        self.ring.tiers.contains_key(name)
    }

    fn user(&self, name: &str) -> Option<UserId> {
        self.ring.catalog.users.by_name(name).map(|u| u.id)
    }
}
