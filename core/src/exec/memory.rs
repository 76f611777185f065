//! The bounds on what one statement keeps in memory, and on what all of them do.

use std::cell::Cell;
use std::rc::Rc;

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
    pool: Rc<Pool>,
}

/// Counts what all statements of an instance keep together, of one kind.
#[derive(Debug)]
pub struct Pool {
    used: Cell<usize>,
    limit: usize,
    /// What is kept, as an error names it.
    what: &'static str,
}

impl Pool {
    pub fn new(limit: usize, what: &'static str) -> Rc<Pool> {
        Rc::new(Pool { used: Cell::new(0), limit, what })
    }

    pub fn used(&self) -> usize {
        self.used.get()
    }
}

/// Bytes that a kept row is counted with.
pub fn row_bytes(row: &[Datum]) -> usize {
    ROW_BYTES + row.iter().map(Datum::memory_bytes).sum::<usize>()
}

impl Memory {
    /// Of a statement that may keep `limit` bytes, as long as the pool has them.
    pub fn new(limit: usize, pool: &Rc<Pool>) -> Memory {
        Memory { used: Cell::new(0), limit, pool: pool.clone() }
    }

    /// Counts bytes about to be kept; 53200 when they are too many.
    pub fn take(&self, bytes: usize) -> SqlResult<()> {
        let used = self.used.get().saturating_add(bytes);
        if used > self.limit {
            let detail = format!("The statement needs more than {} bytes of memory.", self.limit);
            return Err(out_of_memory().with_detail(detail));
        }
        let together = self.pool.used.get().saturating_add(bytes);
        if together > self.pool.limit {
            let Pool { limit, what, .. } = *self.pool;
            let detail = format!("{what} need more than {limit} bytes together.");
            return Err(out_of_memory().with_detail(detail).with_hint("Retry the statement."));
        }
        self.used.set(used);
        self.pool.used.set(together);
        Ok(())
    }

    /// Counts a row about to be kept.
    pub fn take_row(&self, row: &[Datum]) -> SqlResult<()> {
        self.take(row_bytes(row))
    }

    /// Counts an entry of a tree keyed by bytes.
    pub fn take_key(&self, key: &[u8]) -> SqlResult<()> {
        self.take(ROW_BYTES + key.len())
    }

    /// Gives back what was counted.
    pub fn give(&self, bytes: usize) {
        let given = bytes.min(self.used.get());
        self.used.set(self.used.get() - given);
        self.pool.used.set(self.pool.used.get() - given);
    }

    /// Gives back what is counted beyond so many bytes.
    pub fn keep_at_most(&self, bytes: usize) {
        self.give(self.used().saturating_sub(bytes));
    }

    /// Takes over so many bytes, or all there are, of what another one of the same pool has counted.
    pub fn take_over(&self, other: &Memory, bytes: usize) {
        assert!(Rc::ptr_eq(&self.pool, &other.pool), "bytes of another pool");
        let bytes = bytes.min(other.used());
        other.used.set(other.used() - bytes);
        self.used.set(self.used() + bytes);
    }

    pub fn used(&self) -> usize {
        self.used.get()
    }

    pub fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        self.give(self.used());
    }
}

fn out_of_memory() -> SqlError {
    SqlError::new(SqlState::OutOfMemory, "out of memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_share_what_there_is() {
        let pool = Pool::new(100, "All");
        let one = Memory::new(80, &pool);
        one.take(80).unwrap();
        assert!(one.take(1).unwrap_err().fields.detail.unwrap().contains("more than 80 bytes"));
        let other = Memory::new(80, &pool);
        other.take(20).unwrap();
        assert!(other.take(1).unwrap_err().fields.detail.unwrap().contains("100 bytes together"));
        one.give(10);
        other.take(10).unwrap();
        drop(one);
        assert_eq!((pool.used(), other.used()), (30, 30));
        let third = Memory::new(80, &pool);
        third.take_over(&other, usize::MAX);
        third.keep_at_most(20);
        assert_eq!((pool.used(), other.used(), third.used()), (20, 0, 20));
        third.give(1_000);
        assert_eq!(pool.used(), 0);
    }
}
