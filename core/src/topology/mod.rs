//! What the cluster is and should become: the catalog and the topology, and who decides about them.
//!
//! The *ring* is the one Raft group every instance follows. Its log holds [`RingEntry`]s; applying
//! them gives the [`RingState`], the same on every instance:
//!
//! ```text
//!   join, DDL, GRANT …          plan(view) on the ring's leader
//!          │                            │ steps: propose, change members, push schema
//!          ▼                            ▼
//!   RingEntry ──── ring log ───► RingState::apply ───► catalog, placement, system tables
//! ```
//!
//! - [`model`] the rows: cluster, tiers, replica sets, instances, buckets
//! - [`entry`], [`ring`] the log entries and the state machine
//! - [`ddl`] schema changes in two phases, and what the shards are told
//! - [`users`], [`password`], [`config`], [`catalog`] rights, parameters and look-ups
//! - [`placement`] where a joining instance goes and who votes in the ring
//! - [`governor`] the loop that moves the actual state towards the desired one
//! - [`virtual_table`], [`system_tables`], [`pg_catalog`] the same state as SQL tables
//!
//! Nothing here does I/O, reads a clock or draws a random number: times and uuids come with entries.

pub mod catalog;
pub mod config;
pub mod ddl;
pub mod entry;
pub mod governor;
pub mod model;
pub mod password;
pub mod pg_catalog;
pub mod placement;
pub mod ring;
pub mod system_tables;
pub mod users;
pub mod virtual_table;

#[cfg(test)]
pub(crate) mod tests;

pub use entry::RingEntry;
pub use ring::{Applied, ApplyOutcome, RingState};
