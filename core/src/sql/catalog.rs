//! What the planner asks about the schema. The layer above implements it over the ring's state.

use std::sync::Arc;

use crate::base::schema::TableRef;
use crate::base::{CatalogVersion, IndexId, SqlType, TableId, UserId};
use crate::topology::virtual_table;

/// A table made up from the state of the cluster: `pg_class`, `_pico_instance`, … Read only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualTable {
    /// Its oid; also what identifies it to whoever makes the rows.
    pub id: TableId,
    pub schema: String,
    pub name: String,
    pub columns: Vec<VirtualColumn>,
}

/// A column of a virtual table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualColumn {
    pub name: String,
    pub ty: SqlType,
}

/// What a name in FROM stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    Table(TableRef),
    Virtual(Arc<VirtualTable>),
}

impl Relation {
    /// The virtual table of this name.
    pub fn built_in(schema: &str, name: &str) -> Option<Relation> {
        let found = virtual_table::find(Some(schema), name)?;
        let column = |(name, ty): &(&str, _)| VirtualColumn { name: (*name).to_owned(), ty: *ty };
        Some(Relation::Virtual(Arc::new(VirtualTable {
            id: TableId(found.oid),
            schema: found.schema.to_owned(),
            name: found.name.to_owned(),
            columns: found.columns.iter().map(column).collect(),
        })))
    }

    pub fn id(&self) -> TableId {
        match self {
            Relation::Table(table) => table.id,
            Relation::Virtual(table) => table.id,
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Relation::Table(table) => &table.name,
            Relation::Virtual(table) => &table.name,
        }
    }

    /// Columns, hidden ones too.
    pub fn width(&self) -> usize {
        match self {
            Relation::Table(table) => table.columns.len(),
            Relation::Virtual(table) => table.columns.len(),
        }
    }

    /// Name, type and type modifier of the column at `index`.
    pub fn column(&self, index: usize) -> Option<(&str, SqlType, i32)> {
        match self {
            Relation::Table(table) => {
                table.columns.get(index).map(|c| (c.name.as_str(), c.ty, c.typmod))
            }
            Relation::Virtual(table) => {
                table.columns.get(index).map(|c| (c.name.as_str(), c.ty, -1))
            }
        }
    }
}

/// One version of the schema. Names are in their stored spelling.
pub trait Catalog {
    fn version(&self) -> CatalogVersion;
    /// The operable table or virtual table of this name.
    fn relation(&self, schema: &str, name: &str) -> Option<Relation>;
    fn table(&self, id: TableId) -> Option<TableRef>;
    /// The index of this name (a primary key's too) and its table.
    fn index(&self, schema: &str, name: &str) -> Option<(TableRef, IndexId)>;
    fn has_schema(&self, name: &str) -> bool;
    fn has_tier(&self, name: &str) -> bool;
    fn user(&self, name: &str) -> Option<UserId>;
}
