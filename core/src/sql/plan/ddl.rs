//! Schema changes as names and positions; ids are given when the ring applies them.

use crate::base::schema::Engine;
use crate::topology::ddl::{AlterTableRequest, CreateIndexRequest, CreateTableRequest};

/// One DDL statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ddl {
    CreateTable(CreateTableRequest),
    CreateIndex(CreateIndexRequest),
    DropTables(Drop),
    DropIndexes(Drop),
    Truncate(Drop),
    AlterTable(AlterTableRequest),
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

    /// What the statement asks for and does not get, a sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let Ddl::CreateTable(CreateTableRequest { name, unlogged, engine, .. }) = self else {
            return Vec::new();
        };
        let logged =
            unlogged.then(|| format!("UNLOGGED has no effect: table \"{name}\" is logged"));
        let in_memory = (*engine == Engine::Vinyl)
            .then(|| format!("USING VINYL has no effect: table \"{name}\" is kept in memory"));
        logged.into_iter().chain(in_memory).collect()
    }
}

/// Existing objects to drop or empty, each by schema and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    pub names: Vec<(String, String)>,
    /// Also for objects that somebody else drops meanwhile.
    pub if_exists: bool,
    /// For the objects that `IF EXISTS` skips.
    pub notices: Vec<String>,
}
