//! Rows in memory, their versions and indexes; the write-ahead log.

mod buckets;
mod check;
pub mod disk;
pub mod key;
pub mod memory;
mod merge;
#[cfg(test)]
pub(crate) mod model_disk;
pub mod ordered;
pub mod secondary;
pub mod snapshot;
pub mod store;
#[cfg(test)]
mod store_tests;
pub mod table;
pub mod version;
pub mod wal;

pub use disk::DiskHandle;
pub use memory::{Demand, MemoryLimit};
pub use ordered::{ALL_KEYS, KeyRange};
pub use store::{Hold, Store};
pub use table::{IndexHit, Seen};
pub use version::{AsOf, Version};
