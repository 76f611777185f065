//! Rows in memory, their versions and indexes; the write-ahead log.

pub mod disk;
#[cfg(test)]
mod model_disk;
pub mod wal;

pub use disk::DiskHandle;
