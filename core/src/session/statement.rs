//! Prepared statements and portals of a session, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::engine::Tag;
use super::rows::ResultFormats;
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType};
use crate::exec::Memory;
use crate::sql::plan::Prepared;

/// A prepared statement.
#[derive(Clone, Debug)]
pub(super) struct Statement {
    pub sql: String,
    /// Declared types of the first parameters.
    pub types: Vec<SqlType>,
    /// `None` for an empty statement.
    pub prepared: Option<Arc<Prepared>>,
}

/// The prepared statements of a session.
#[derive(Debug, Default)]
pub(super) struct Statements {
    unnamed: Option<Statement>,
    named: BTreeMap<String, Statement>,
}

impl Statements {
    /// Adds a statement. Only the unnamed one may be replaced.
    pub fn insert(&mut self, name: &str, statement: Statement, limit: usize) -> SqlResult<()> {
        if name.is_empty() {
            self.unnamed = Some(statement);
            return Ok(());
        }
        if self.named.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicatePreparedStatement, message));
        }
        if self.named.len() >= limit {
            return Err(too_many("prepared statements", limit));
        }
        self.named.insert(name.to_owned(), statement);
        Ok(())
    }

    pub fn get_mut(&mut self, name: &str) -> SqlResult<&mut Statement> {
        let found = if name.is_empty() { self.unnamed.as_mut() } else { self.named.get_mut(name) };
        found.ok_or_else(|| no_statement(name))
    }

    /// Whether there was such a statement.
    pub fn remove(&mut self, name: &str) -> bool {
        if name.is_empty() {
            self.unnamed.take().is_some()
        } else {
            self.named.remove(name).is_some()
        }
    }

    pub fn clear(&mut self) {
        *self = Statements::default();
    }
}

/// `26000`.
pub(super) fn no_statement(name: &str) -> SqlError {
    let message = if name.is_empty() {
        "unnamed prepared statement does not exist".to_owned()
    } else {
        format!("prepared statement \"{name}\" does not exist")
    };
    SqlError::new(SqlState::InvalidSqlStatementName, message)
}

fn too_many(what: &str, limit: usize) -> SqlError {
    let message = format!("a session may have at most {limit} {what}");
    SqlError::new(SqlState::ConfigurationLimitExceeded, message)
        .with_hint("Close those that are not needed any more.")
}

/// A statement with its parameters, about to run or part-way through its rows.
#[derive(Debug, Default)]
pub(super) struct Portal {
    /// `None` for an empty statement.
    pub prepared: Option<Arc<Prepared>>,
    pub params: Vec<Datum>,
    pub formats: ResultFormats,
    pub state: PortalState,
}

#[derive(Debug, Default)]
pub(super) enum PortalState {
    #[default]
    Fresh,
    /// It ran; rows from `sent` on, whole messages, wait for the next `Execute`.
    Suspended {
        rows: Vec<u8>,
        /// Counts them, if they are many.
        kept: Memory,
        sent: usize,
        tag: Tag,
    },
    Finished,
}

/// The portals of a session. The unnamed one keeps its buffers for the next `Bind`.
#[derive(Debug, Default)]
pub(super) struct Portals {
    unnamed: Portal,
    unnamed_exists: bool,
    named: BTreeMap<String, Portal>,
}

impl Portals {
    /// A fresh portal to be filled. Only the unnamed one may be replaced.
    pub fn make(&mut self, name: &str, limit: usize) -> SqlResult<&mut Portal> {
        if name.is_empty() {
            self.unnamed_exists = true;
            self.unnamed.state = PortalState::Fresh;
            self.unnamed.params.clear();
            return Ok(&mut self.unnamed);
        }
        if self.named.contains_key(name) {
            let message = format!("cursor \"{name}\" already exists");
            return Err(SqlError::new(SqlState::DuplicateCursor, message));
        }
        if self.named.len() >= limit {
            return Err(too_many("portals", limit));
        }
        Ok(self.named.entry(name.to_owned()).or_default())
    }

    pub fn get_mut(&mut self, name: &str) -> SqlResult<&mut Portal> {
        let found = if name.is_empty() {
            self.unnamed_exists.then_some(&mut self.unnamed)
        } else {
            self.named.get_mut(name)
        };
        found.ok_or_else(|| {
            let message = format!("portal \"{name}\" does not exist");
            SqlError::new(SqlState::InvalidCursorName, message)
        })
    }

    /// Whether there was such a portal.
    pub fn remove(&mut self, name: &str) -> bool {
        if name.is_empty() {
            let existed = std::mem::take(&mut self.unnamed_exists);
            self.unnamed.prepared = None;
            self.unnamed.state = PortalState::Fresh;
            return existed;
        }
        self.named.remove(name).is_some()
    }

    /// The end of a transaction ends its portals.
    pub fn clear(&mut self) {
        if self.unnamed_exists {
            self.remove("");
        }
        self.named.clear();
    }
}
