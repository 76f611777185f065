//! What evaluation may look at beside the expression: the row, the parameters, the session.

use std::cell::RefCell;
use std::sync::Arc;

use super::function::Function;
use crate::base::{Datum, RowRef, SqlError, SqlResult};
use crate::seam::Rng;

/// A row that gives its values by position.
pub trait ColumnSource {
    /// The value of column `index`, counted as `Expr::Column` counts.
    fn datum(&self, index: usize) -> SqlResult<Datum>;
}

impl ColumnSource for [Datum] {
    fn datum(&self, index: usize) -> SqlResult<Datum> {
        match self.get(index) {
            Some(value) => Ok(value.clone()),
            None => Err(no_such_column(index, self.len())),
        }
    }
}

impl ColumnSource for Vec<Datum> {
    fn datum(&self, index: usize) -> SqlResult<Datum> {
        self.as_slice().datum(index)
    }
}

impl ColumnSource for RowRef<'_> {
    fn datum(&self, index: usize) -> SqlResult<Datum> {
        RowRef::datum(self, index)
    }
}

/// No row: for expressions over parameters and constants only.
#[derive(Clone, Copy, Debug)]
pub struct NoRow;

impl ColumnSource for NoRow {
    fn datum(&self, index: usize) -> SqlResult<Datum> {
        Err(no_such_column(index, 0))
    }
}

fn no_such_column(index: usize, width: usize) -> SqlError {
    SqlError::internal(format!("column {index} of a row of {width} columns"))
}

/// What the session's information functions answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionValues {
    pub current_user: Arc<str>,
    pub session_user: Arc<str>,
    pub database: Arc<str>,
    /// `current_schema`; `None` when the search path names no schema.
    pub schema: Option<Arc<str>>,
    /// What `version()` prints.
    pub version: Arc<str>,
    /// What `pg_backend_pid()` gives.
    pub backend_pid: i32,
}

/// Functions whose answer is in the catalog or the session's settings. The layers above `expr`
/// implement them; the table rows marked [`super::function::Body::Catalog`] end up here.
pub trait CatalogFunctions {
    /// The value of `function`; the arguments have its declared types and may be NULL unless the
    /// function is strict.
    fn call(&self, function: &'static Function, args: &[Datum]) -> SqlResult<Datum>;
}

/// Everything an expression may look at beside its row.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// Values of `$1`…, of the types the statement gave them.
    pub params: &'a [Datum],
    /// Start of the transaction, microseconds since 2000-01-01 UTC: `now()`.
    pub transaction_time: i64,
    /// Arrival of the statement, microseconds since 2000-01-01 UTC: `statement_timestamp()`.
    pub statement_time: i64,
    pub session: &'a SessionValues,
    /// The stream of `gen_random_uuid()` and `random()`.
    pub rng: &'a RefCell<Rng>,
    /// `None` where no catalog is at hand; its functions are then refused.
    pub catalog: Option<&'a dyn CatalogFunctions>,
}
