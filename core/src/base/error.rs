//! The error a user sees: a SQLSTATE, a message and PostgreSQL's optional fields.

use std::fmt;

pub use super::sqlstate::SqlState;

/// Optional parts of an error, boxed so that `Result<T, SqlError>` stays small.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFields {
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// 1-based character position in the query text.
    pub position: Option<u32>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub data_type: Option<String>,
    pub constraint: Option<String>,
}

/// PostgreSQL's message when a prepared statement's table has changed.
const PLAN_CHANGED: &str = "cached plan must not change result type";

/// An error of a statement, ready to become an `ErrorResponse`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SqlError {
    pub state: SqlState,
    /// What was tried and what is wrong: PostgreSQL's primary message, lower case, no full stop.
    pub message: String,
    pub fields: Box<ErrorFields>,
}

/// Result of anything a statement does.
pub type SqlResult<T> = Result<T, SqlError>;

impl SqlError {
    pub fn new(state: SqlState, message: impl Into<String>) -> SqlError {
        SqlError { state, message: message.into(), fields: Box::default() }
    }

    /// `0A000`: the part of SQL named by `what` is not supported.
    pub fn unsupported(what: impl fmt::Display) -> SqlError {
        SqlError::new(SqlState::FeatureNotSupported, format!("{what} is not supported"))
    }

    /// `0A000`: a prepared statement would now have other parameters or columns than its client was
    /// told.
    pub fn plan_changed() -> SqlError {
        SqlError::new(SqlState::FeatureNotSupported, PLAN_CHANGED)
    }

    /// The function of PostgreSQL that reports this, where drivers know the error by it: they prepare
    /// the statement anew and run it again.
    pub fn routine(&self) -> Option<&'static str> {
        let plan_changed =
            self.state == SqlState::FeatureNotSupported && self.message == PLAN_CHANGED;
        plan_changed.then_some("RevalidateCachedQuery")
    }

    /// `XX000`: a broken invariant of ours, reported instead of a panic.
    pub fn internal(message: impl Into<String>) -> SqlError {
        SqlError::new(SqlState::InternalError, message)
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> SqlError {
        self.fields.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> SqlError {
        self.fields.hint = Some(hint.into());
        self
    }

    /// `position` is 1-based, in characters.
    #[must_use]
    pub fn at(mut self, position: u32) -> SqlError {
        self.fields.position = Some(position);
        self
    }

    #[must_use]
    pub fn with_table(mut self, schema: &str, table: &str) -> SqlError {
        self.fields.schema = Some(schema.to_owned());
        self.fields.table = Some(table.to_owned());
        self
    }

    #[must_use]
    pub fn with_column(mut self, column: &str) -> SqlError {
        self.fields.column = Some(column.to_owned());
        self
    }

    #[must_use]
    pub fn with_constraint(mut self, constraint: &str) -> SqlError {
        self.fields.constraint = Some(constraint.to_owned());
        self
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (SQLSTATE {})", self.message, self.state.code())
    }
}

impl std::error::Error for SqlError {}
