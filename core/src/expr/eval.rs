//! Evaluation.

use super::context::{ColumnSource, EvalContext};
use super::tree::Expr;
use crate::base::{Datum, SqlError, SqlResult};

impl Expr {
    /// The value over one row. Errors are deterministic: the same row, parameters and context give
    /// the same error.
    pub fn eval(&self, row: &dyn ColumnSource, context: &EvalContext) -> SqlResult<Datum> {
        let _ = (row, context);
        Err(SqlError::unsupported("evaluation"))
    }

    /// Whether a condition holds: NULL does not.
    pub fn eval_condition(&self, row: &dyn ColumnSource, context: &EvalContext) -> SqlResult<bool> {
        Ok(matches!(self.eval(row, context)?, Datum::Bool(true)))
    }
}
