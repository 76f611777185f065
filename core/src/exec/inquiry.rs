//! A subquery with one value.

use std::task::{Poll, ready};

use super::ExecContext;
use super::operator::{Operator, Row, open};
use crate::base::{Datum, SqlError, SqlResult, SqlState};
use crate::sql::plan::Physical;

/// A subquery under way.
pub struct Inquiry<'p> {
    operator: Box<dyn Operator + 'p>,
    wants: Wants,
}

enum Wants {
    /// Whether there is a row.
    Existence,
    /// The value of the only column of the only row; the row, once it was met.
    Value(Option<Row>),
}

impl<'p> Inquiry<'p> {
    /// Whether a subquery has a row.
    pub fn exists(plan: &'p Physical) -> Inquiry<'p> {
        Inquiry { operator: open(plan), wants: Wants::Existence }
    }

    /// The value of a subquery of one column: NULL without a row, 21000 with several.
    pub fn scalar(plan: &'p Physical) -> Inquiry<'p> {
        Inquiry { operator: open(plan), wants: Wants::Value(None) }
    }

    pub fn answer(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Datum>> {
        loop {
            let rows = ready!(self.operator.next(context))?;
            match (&mut self.wants, rows) {
                (Wants::Existence, rows) => return Poll::Ready(Ok(Datum::Bool(rows.is_some()))),
                (Wants::Value(met), None) => {
                    let value = met.take().and_then(|mut row| row.pop());
                    return Poll::Ready(Ok(value.unwrap_or(Datum::Null)));
                }
                (Wants::Value(met), Some(mut rows)) => {
                    if met.is_some() || rows.len() > 1 {
                        return Poll::Ready(Err(several()));
                    }
                    *met = rows.pop();
                }
            }
        }
    }
}

fn several() -> SqlError {
    SqlError::new(
        SqlState::CardinalityViolation,
        "more than one row returned by a subquery used as an expression",
    )
}
