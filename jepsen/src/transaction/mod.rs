//! Histories of transactions: the graph of what depends on what, and the cycles in it.
//!
//! ```text
//! history ─▶ versions of each key ─▶ edges ww, wr, rw ─┐
//!         └▶ instants of real time ────────────────────┴▶ components ─▶ cycles ─▶ verdict
//! ```
//!
//! Three workloads give versions: [`list_append`], where every read shows the order of all writes
//! before it, [`rw_register`], where only some of the order can be known, and
//! [`closed_predicate`], where each key changes once and reads may ask for all that match. What they
//! find has no words until [`story`] tells the examples that a verdict keeps. Follows Kingsbury and
//! Alvaro, *Elle: Inferring Isolation Anomalies from Experimental Observations* (2020), and Adya,
//! *Weak Consistency* (1999).

mod closed_predicate;
mod cycles;
mod instants;
mod list_append;
mod list_versions;
mod long_fork;
mod readers;
mod rw_register;
mod story;
mod writers;

pub use closed_predicate::check_closed_predicate;
pub use list_append::check_list_append;
pub use long_fork::check_long_fork;
pub use rw_register::check_rw_register;

use crate::history::PackedStep;

/// Whether an earlier step of the transaction is on the same key.
pub(crate) fn is_repeated(steps: &[PackedStep], index: usize) -> bool {
    steps[..index].iter().any(|earlier| earlier.key == steps[index].key)
}
