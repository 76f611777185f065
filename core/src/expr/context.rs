//! What evaluation may look at beside the expression: the row, the parameters, the session.

use std::cell::RefCell;
use std::sync::Arc;

use super::function::Function;
use super::work::Work;
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

/// Why a parameter has no value: the subquery it stands for failed. CASE and its like may pass the
/// parameter by; whoever looks at it gets the error.
#[derive(Clone, Debug)]
pub struct Failure {
    /// As `Expr::Param` counts.
    pub param: usize,
    pub error: SqlError,
}

/// Everything an expression may look at beside its row.
#[derive(Clone, Copy)]
pub struct EvalContext<'a> {
    /// Values of `$1`…, of the types the statement gave them.
    pub params: &'a [Datum],
    /// The parameters that have none.
    pub failures: &'a [Failure],
    /// Start of the transaction, microseconds since 2000-01-01 UTC: `now()`.
    pub transaction_time: i64,
    /// Arrival of the statement, microseconds since 2000-01-01 UTC: `statement_timestamp()`.
    pub statement_time: i64,
    pub session: &'a SessionValues,
    /// The stream of `gen_random_uuid()` and `random()`.
    pub rng: &'a RefCell<Rng>,
    /// `None` where no catalog is at hand; its functions are then refused.
    pub catalog: Option<&'a dyn CatalogFunctions>,
    /// Steps of what nothing interrupts.
    pub work: &'a Work,
    /// The operand of the CASE whose condition is evaluated.
    pub case_operand: Option<&'a Datum>,
}

/// Runs `body` with a context that belongs to no session, for values that depend on none, and that
/// allows so many steps.
pub fn detached<T>(steps: u64, body: impl FnOnce(&EvalContext) -> T) -> T {
    let empty: Arc<str> = "".into();
    let session = SessionValues {
        current_user: empty.clone(),
        session_user: empty.clone(),
        database: empty.clone(),
        schema: None,
        version: empty,
        backend_pid: 0,
    };
    let rng = RefCell::new(Rng::from_u64(0));
    body(&EvalContext {
        params: &[],
        failures: &[],
        transaction_time: 0,
        statement_time: 0,
        session: &session,
        rng: &rng,
        catalog: None,
        work: &Work::new(steps),
        case_operand: None,
    })
}

/// Runs `body` with a context of known values.
#[cfg(test)]
pub(super) fn test_context<T>(params: &[Datum], body: impl FnOnce(&EvalContext) -> T) -> T {
    let session = SessionValues {
        current_user: "alice".into(),
        session_user: "bob".into(),
        database: "basalt".into(),
        schema: Some("public".into()),
        version: "PostgreSQL 15.0 (Basalt)".into(),
        backend_pid: 42,
    };
    let rng = RefCell::new(Rng::from_u64(7));
    body(&EvalContext {
        params,
        failures: &[],
        transaction_time: 646_012_800_000_000,
        statement_time: 646_012_801_000_000,
        session: &session,
        rng: &rng,
        catalog: None,
        work: &Work::default(),
        case_operand: None,
    })
}
