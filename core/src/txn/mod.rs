//! Timestamps and commit rules.

pub mod clock;
pub mod entry;

pub use clock::Clock;
pub use entry::ShardEntry;
