//! How much evaluation may compute before others have their turn.
//!
//! An instance answers nobody while it evaluates an expression: neither clients nor peers nor a cancel
//! request. A value may have 16 MiB and a pattern thousands of states, so one call can be text × pattern:
//! hours. What takes longer than a few reads counts its steps here, of some nanoseconds each, and is
//! refused where they are too many.
//!
//! | what | steps |
//! |---|---|
//! | a call or a conversion | the bytes of its values; of numerics the square of their length in words |
//! | `~` | states entered and tried, instructions of the compiled pattern |
//! | `LIKE` | characters compared of segments with a `_`: plain ones are searched in linear time |
//! | `= ANY (array)` | elements |
//!
//! The executor ends a slice behind a row whose expressions took many steps, so that a thousand rows of a
//! million steps each are refused by nobody: the bound is on what cannot be interrupted, which is a row.

use std::cell::Cell;

use crate::base::{Datum, Numeric, SqlError, SqlResult, SqlState, limits};

/// Steps of evaluation that nothing interrupts (54000): well below a second.
pub const STEPS_MAX: u64 = 200_000_000;

/// Counts the steps of evaluation.
#[derive(Debug)]
pub struct Work {
    spent: Cell<u64>,
    limit: u64,
}

impl Default for Work {
    fn default() -> Work {
        Work::new(STEPS_MAX)
    }
}

impl Work {
    pub fn new(limit: u64) -> Work {
        Work { spent: Cell::new(0), limit }
    }

    /// Counts steps about to be made, or just made; 54000 when they are too many.
    pub fn spend(&self, steps: u64) -> SqlResult<()> {
        let spent = self.spent.get().saturating_add(steps);
        self.spent.set(spent);
        if spent > self.limit {
            let message = "evaluation of an expression takes too many steps";
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message)
                .with_hint("Use shorter values or a simpler pattern."));
        }
        Ok(())
    }

    pub fn spent(&self) -> u64 {
        self.spent.get()
    }
}

/// Bytes of text and byte strings in a value, and one for each element of an array.
fn bytes(value: &Datum) -> usize {
    match value {
        Datum::Text(text) => text.len(),
        Datum::Bytea(bytes) => bytes.len(),
        Datum::Array(elements) => elements.iter().map(|element| 1 + bytes(element)).sum(),
        _ => 0,
    }
}

/// Steps that reading or making a value counts.
pub fn steps_of(value: &Datum) -> u64 {
    match value {
        Datum::Numeric(Numeric::Finite(number)) => {
            let words = number.as_bigint_and_scale().0.bits() / 64;
            // Products and quotients take a square of them, of steps that are short.
            words * words / 4
        }
        other => bytes(other) as u64,
    }
}

/// Refuses a value larger than a row may hold, before expressions make it grow further.
pub fn check_size(value: &Datum) -> SqlResult<()> {
    if bytes(value) > limits::VALUE_BYTES_MAX {
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, "requested length too large"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_allowed() {
        let work = Work::new(10);
        work.spend(10).unwrap();
        let error = work.spend(1).unwrap_err();
        assert_eq!(error.state.code(), "54000");
        assert_eq!(error.message, "evaluation of an expression takes too many steps");
    }

    #[test]
    fn values_count_by_their_length() {
        let array = Datum::Array([Datum::text("ab"), Datum::Null].into());
        for (value, steps) in [
            (Datum::Null, 0),
            (Datum::Int8(7), 0),
            (Datum::text("äb"), 3),
            (array, 4),
            (Datum::Numeric(Numeric::parse("12.5").unwrap()), 0),
            (Datum::Numeric(Numeric::parse(&"9".repeat(10_000)).unwrap()), 67_340),
        ] {
            assert_eq!(steps_of(&value), steps, "{value:?}");
        }
        check_size(&Datum::text("x".repeat(limits::VALUE_BYTES_MAX))).unwrap();
        let error = check_size(&Datum::text("x".repeat(limits::VALUE_BYTES_MAX + 1))).unwrap_err();
        assert_eq!(error.state.code(), "54000");
    }
}
