//! Histories in, verdicts out: which anomalies does a recorded history of a database show, and
//! which consistency models survive? Knows nothing of Basalt.
//!
//! ```text
//!   EDN, JSON lines ─▶ history ─▶ transaction ─▶ graph ─▶ verdict ─▶ draw
//!   or calls           │           ww, wr, rw…    cycles   anomalies   dot, svg, html
//!                      ├─▶ register    (linearizability, a key at a time)
//!                      └─▶ invariant   (sets, banks, unique ids)
//!   generator ─▶ history          toy databases of known strength, to check the checker
//! ```
//!
//! A caller pushes operations with [`history::History::invoke`] and
//! [`history::History::complete`] in the order in which they happen, and asks one of the `check_*`
//! functions at the end. Everything is deterministic; threads never change a verdict, and with
//! [`CheckOptions::threads`] at 1, as it is by default, none is started.

pub mod draw;
pub mod generator;
mod graph;
pub mod history;
mod invariant;
mod parallel;
mod register;
mod transaction;
mod verdict;

pub use invariant::{BankOptions, check_bank, check_set, check_unique_ids};
pub use register::check_register;
pub use transaction::{
    check_closed_predicate, check_list_append, check_long_fork, check_rw_register,
};
pub use verdict::{
    Anomaly, AnomalyKind, CheckError, CheckOptions, CycleClass, CycleEdge, EdgeReason, Family,
    Model, Statistics, Verdict,
};
