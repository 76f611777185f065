//! Faults: what can go wrong, how a seed draws its share, and what keeps a run survivable.
//!
//! - [`kind`]: the table of kinds, with stable ids and names.
//! - [`struck`]: counts of what each kind did.
//! - [`swarm`]: each seed picks a subset of kinds and an intensity and duration for each occurrence
//!   (swarm testing: a run with *everything* hides what a run with two kinds shows).
//! - [`atlas`]: which occurrences a group can survive; survivable runs never lose a majority of a
//!   group's durable copies.
//!
//! What was drawn is data in the plan; the world carries out the plan and draws nothing more.

pub mod atlas;
pub mod kind;
pub mod struck;
pub mod swarm;

pub use atlas::Budget;
pub use kind::{Area, Damage, Kind};
pub use struck::Struck;
