//! Schema changes as names and positions; ids are given when the ring applies them.

use crate::base::UserId;
use crate::base::schema::{ColumnDef, ColumnIndex, Engine};

/// One DDL statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ddl {
    CreateTable(CreateTable),
    CreateIndex(CreateIndex),
    DropTables(Drop),
    DropIndexes(Drop),
    Truncate(Drop),
    AlterTable(AlterTable),
    RenameIndex {
        schema: String,
        name: String,
        to: String,
    },
    /// `IF [NOT] EXISTS` leaves nothing to do; the notice says so.
    Nothing {
        tag: &'static str,
        notice: String,
    },
}

impl Ddl {
    /// The command tag.
    pub fn tag(&self) -> &'static str {
        match self {
            Ddl::CreateTable(_) => "CREATE TABLE",
            Ddl::CreateIndex(_) => "CREATE INDEX",
            Ddl::DropTables(_) => "DROP TABLE",
            Ddl::DropIndexes(_) => "DROP INDEX",
            Ddl::Truncate(_) => "TRUNCATE TABLE",
            Ddl::AlterTable(_) => "ALTER TABLE",
            Ddl::RenameIndex { .. } => "ALTER INDEX",
            Ddl::Nothing { tag, .. } => tag,
        }
    }
}

/// `CREATE TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTable {
    pub schema: String,
    pub name: String,
    pub if_not_exists: bool,
    /// As declared, in order; none hidden.
    pub columns: Vec<ColumnDef>,
    /// Empty: the table gets a hidden one.
    pub primary_key: Vec<ColumnIndex>,
    /// `CONSTRAINT name`; `None` gives `t_pkey`.
    pub primary_key_name: Option<String>,
    pub uniques: Vec<Unique>,
    pub distribution: Placement,
    pub engine: Engine,
    pub unlogged: bool,
}

/// A `UNIQUE` constraint of a new table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// `None` gives `t_a_key`.
    pub name: Option<String>,
    pub columns: Vec<ColumnIndex>,
}

/// The `DISTRIBUTED` clause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    Global,
    /// No columns: by the primary key. No tier: the default one.
    Sharded {
        columns: Vec<ColumnIndex>,
        tier: Option<String>,
    },
}

/// `CREATE INDEX`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIndex {
    pub schema: String,
    pub table: String,
    /// `None` gives `t_a_idx`.
    pub name: Option<String>,
    pub if_not_exists: bool,
    pub columns: Vec<IndexKey>,
    pub unique: bool,
}

/// One column of a new index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexKey {
    pub column: String,
    pub descending: bool,
    pub nulls_first: bool,
}

/// Existing objects to drop or empty, each by schema and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    pub names: Vec<(String, String)>,
    /// For the objects that `IF EXISTS` skips.
    pub notices: Vec<String>,
}

/// `ALTER TABLE`, one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlterTable {
    pub schema: String,
    pub name: String,
    pub alteration: Alteration,
}

/// The action of an `ALTER TABLE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alteration {
    RenameTo(String),
    RenameColumn {
        from: String,
        to: String,
    },
    /// Nullable and without a default, so that the rows there are need not change.
    AddColumn {
        column: ColumnDef,
        if_not_exists: bool,
    },
    /// For rows inserted from now on; `None` drops it.
    SetDefault {
        column: String,
        default: Option<String>,
    },
    OwnerTo(UserId),
}
