//! Statements read by our own grammar, chosen by their first words.

mod access;
mod session;
mod system;

use super::cursor::Cursor;
use super::statement::Stmt;
use crate::base::{SqlError, SqlResult};

/// Reads a statement of ours, or nothing if the first words are not ours.
pub fn parse(cursor: &mut Cursor<'_>) -> SqlResult<Option<Stmt>> {
    if let Some(what) = unsupported_by_name(cursor) {
        return Err(SqlError::unsupported(what));
    }
    if let Some(stmt) = session::parse(cursor)? {
        return Ok(Some(Stmt::Session(stmt)));
    }
    if let Some(stmt) = access::parse(cursor)? {
        return Ok(Some(Stmt::Access(stmt)));
    }
    Ok(system::parse(cursor)?.map(Stmt::AlterSystem))
}

/// Statements of the surface that sqlparser would call a syntax error.
fn unsupported_by_name(cursor: &Cursor<'_>) -> Option<&'static str> {
    const NAMES: &[(&[&str], &str)] = &[
        (&["CREATE", "PLUGIN"], "CREATE PLUGIN"),
        (&["ALTER", "PLUGIN"], "ALTER PLUGIN"),
        (&["DROP", "PLUGIN"], "DROP PLUGIN"),
        (&["BACKUP"], "BACKUP"),
        (&["AUDIT", "POLICY"], "AUDIT POLICY"),
        (&["COPY"], "COPY"),
        (&["DO"], "DO"),
        (&["LOCK"], "LOCK TABLE"),
        (&["CLUSTER"], "CLUSTER"),
        (&["REINDEX"], "REINDEX"),
        (&["SECURITY", "LABEL"], "SECURITY LABEL"),
    ];
    NAMES.iter().find(|(words, _)| cursor.sees(words)).map(|(_, name)| *name)
}
