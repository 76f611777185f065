//! How far a statement goes before others have their turn.
//!
//! An instance answers nobody while it works on a statement: neither clients nor peers nor a cancel
//! request. So a statement that looks at many rows is run in slices. Operators count the rows they
//! look at; where a slice is spent, those that read rows, give rows they kept or are not done with a
//! batch answer [`Poll::Pending`], and those above pass it on and keep what they have. The next slice
//! asks again and goes on from there. A row whose expressions take many [steps](crate::expr::work) ends
//! the slice as well, once it is done.
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
use crate::expr::work::{STEPS_MAX, Work};

/// Rows, or pairs of rows of a join, that a slice looks at: some milliseconds of work.
pub const SLICE_ROWS: usize = 8 * BATCH_ROWS;
/// Steps of evaluation after which a slice ends with the row: some milliseconds as well.
pub const SLICE_STEPS: u64 = 4_000_000;

const _: () = assert!(SLICE_STEPS * 10 <= STEPS_MAX);

/// The rows left to a statement until the others' turn.
#[derive(Debug)]
pub struct Slice {
    rows: usize,
    left: Cell<usize>,
    batch: usize,
    work: Work,
    /// Whether expressions have taken what they may.
    tired: Cell<bool>,
}

impl Slice {
    /// A slice that ends with the batch that reaches `rows`.
    pub fn new(rows: usize) -> Slice {
        let rows = rows.max(1);
        let (left, batch) = (Cell::new(rows), rows.min(BATCH_ROWS));
        Slice { rows, left, batch, work: Work::default(), tired: Cell::new(false) }
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
        self.left.get() == 0 || self.tired.get()
    }

    /// Counts the steps of its expressions.
    pub fn work(&self) -> &Work {
        &self.work
    }

    /// Ends the slice if expressions have taken what they may; says so. To be called behind each row, when
    /// what was done for it is kept.
    pub fn tire(&self) -> bool {
        let is_endless = self.rows == usize::MAX;
        self.tired.set(!is_endless && self.work.spent() >= SLICE_STEPS);
        self.tired.get()
    }

    /// Rows to be asked for at once.
    pub fn batch_rows(&self) -> usize {
        self.batch
    }
}
