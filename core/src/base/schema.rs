//! The shape of a table, as storage, planner and catalog all see it.

use std::sync::Arc;

use super::ids::{CatalogVersion, IndexId, TableId, UserId};
use super::types::SqlType;

/// Position of a column in its table, from 0. `attnum` is one more.
pub type ColumnIndex = u16;

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDef {
    pub name: String,
    pub ty: SqlType,
    /// PostgreSQL's `atttypmod`; -1 for none. varchar(n): n + 4; numeric(p,s): (p << 16 | s) + 4.
    pub typmod: i32,
    pub nullable: bool,
    /// SQL text of the default expression.
    pub default: Option<String>,
    /// A column the user did not declare: `SELECT *` skips it.
    pub hidden: bool,
}

/// Where the rows of a table live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Distribution {
    /// On every replica set.
    Global,
    /// In the bucket of the hash of these columns, in the named tier. The primary key contains them.
    Sharded { columns: Vec<ColumnIndex>, tier: String },
}

/// The storage engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Memtx,
    Vinyl,
}

/// A secondary index. Its key is these columns followed by the primary key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexDef {
    pub id: IndexId,
    pub name: String,
    pub columns: Vec<IndexColumn>,
    pub unique: bool,
}

/// One column of an index key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexColumn {
    pub column: ColumnIndex,
    pub descending: bool,
    /// PostgreSQL's default: NULLs last when ascending, first when descending.
    pub nulls_first: bool,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDef {
    pub id: TableId,
    pub schema: String,
    pub name: String,
    pub owner: UserId,
    pub columns: Vec<ColumnDef>,
    /// Never empty: a table declared without a primary key gets a hidden one.
    pub primary_key: Vec<ColumnIndex>,
    /// Name and oid of the primary key's index, as the catalog shows it.
    pub primary_key_name: String,
    pub primary_key_id: IndexId,
    pub distribution: Distribution,
    pub engine: Engine,
    pub unlogged: bool,
    pub indexes: Vec<IndexDef>,
    /// The catalog version that last changed this table.
    pub version: CatalogVersion,
    /// False between the ring's decision to create the table and the last shard's acknowledgement.
    pub operable: bool,
}

/// A table shared between catalog, plans and storage.
pub type TableRef = Arc<TableDef>;

impl TableDef {
    /// The position of the column called `name` (already folded to its stored spelling).
    pub fn column(&self, name: &str) -> Option<ColumnIndex> {
        let at = self.columns.iter().position(|c| c.name == name)?;
        ColumnIndex::try_from(at).ok()
    }

    /// The columns whose hash picks the bucket; empty for a global table.
    pub fn distribution_columns(&self) -> &[ColumnIndex] {
        match &self.distribution {
            Distribution::Global => &[],
            Distribution::Sharded { columns, .. } => columns,
        }
    }
}
