//! Histories in, verdicts out.
pub mod draw;
pub mod generator;
mod graph;
pub mod history;
mod invariant;
mod register;
mod transaction;
mod verdict;

pub use invariant::{BankOptions, check_bank, check_set, check_unique_ids};
pub use register::check_register;
pub use transaction::{check_list_append, check_long_fork, check_rw_register};
pub use verdict::{
    Anomaly, AnomalyKind, CheckError, CheckOptions, CycleClass, CycleEdge, EdgeReason, Family,
    Model, Statistics, Verdict,
};
