//! The bound on what one statement keeps in memory.

use std::cell::Cell;

use crate::base::{Datum, SqlError, SqlResult, SqlState};

/// Bytes a statement may keep unless configured otherwise.
pub const STATEMENT_BYTES_MAX: usize = 256 << 20;
/// Bytes of the vector that holds a row, and of its place in a list or tree.
const ROW_BYTES: usize = 48;

/// Counts what sorts, groups, joins and changes of one statement keep. What an operator drops
/// early is still counted until the statement ends.
#[derive(Debug)]
pub struct Memory {
    used: Cell<usize>,
    limit: usize,
}

impl Memory {
    pub fn new(limit: usize) -> Memory {
        Memory { used: Cell::new(0), limit }
    }

    /// Counts bytes about to be kept; 53200 when they are too many.
    pub fn take(&self, bytes: usize) -> SqlResult<()> {
        let used = self.used.get().saturating_add(bytes);
        if used > self.limit {
            return Err(SqlError::new(SqlState::OutOfMemory, "out of memory").with_detail(
                format!("The statement needs more than {} bytes of memory.", self.limit),
            ));
        }
        self.used.set(used);
        Ok(())
    }

    /// Counts a row about to be kept.
    pub fn take_row(&self, row: &[Datum]) -> SqlResult<()> {
        self.take(ROW_BYTES + row.iter().map(Datum::memory_bytes).sum::<usize>())
    }

    /// Counts an entry of a tree keyed by bytes.
    pub fn take_key(&self, key: &[u8]) -> SqlResult<()> {
        self.take(ROW_BYTES + key.len())
    }

    /// Gives back what was counted.
    pub fn give(&self, bytes: usize) {
        self.used.set(self.used.get().saturating_sub(bytes));
    }

    pub fn used(&self) -> usize {
        self.used.get()
    }
}
