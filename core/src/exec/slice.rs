//! How far a statement goes before others have their turn.
//!
//! An instance answers nobody while it works on a statement: neither clients nor peers nor a cancel
//! request. So a statement that looks at many rows is run in slices. Operators count the rows they
//! look at; where a slice is spent, those that read rows answer [`Poll::Pending`], and those above
//! pass it on and keep what they have. The next slice asks again and goes on from there.
//!
//! ```text
//!   Execution::advance ─► Sort ─► Filter ─► Scan     8 batches, then Pending, up to the top
//!   … other sessions, peers, heartbeats …
//!   Execution::advance ─► Sort ─► Filter ─► Scan     8 more; Sort still holds the first 8
//! ```
//!
//! [`Poll::Pending`]: std::task::Poll::Pending

use std::cell::Cell;

use super::operator::BATCH_ROWS;

/// Rows, or pairs of rows of a join, that a slice looks at: some milliseconds of work.
pub const SLICE_ROWS: usize = 8 * BATCH_ROWS;

/// The rows left to a statement until the others' turn.
#[derive(Debug)]
pub struct Slice {
    rows: usize,
    left: Cell<usize>,
    batch: usize,
}

impl Slice {
    /// A slice that ends with the batch that reaches `rows`.
    pub fn new(rows: usize) -> Slice {
        let rows = rows.max(1);
        Slice { rows, left: Cell::new(rows), batch: rows.min(BATCH_ROWS) }
    }

    /// For a statement that is run in one go.
    pub fn endless() -> Slice {
        Slice::new(usize::MAX)
    }

    /// Counts rows looked at.
    pub fn look_at(&self, rows: usize) {
        self.left.set(self.left.get().saturating_sub(rows));
    }

    /// Rows looked at so far, at most those of the slice.
    pub fn looked_at(&self) -> usize {
        self.rows - self.left.get()
    }

    pub fn is_spent(&self) -> bool {
        self.left.get() == 0
    }

    /// Rows to be asked for at once.
    pub fn batch_rows(&self) -> usize {
        self.batch
    }
}
