//! Snapshots of a group's rows, made while writes go on.
//!
//! [`SnapshotScan`] walks the tables in slices, each a bounded number of keys, and sees every row as
//! of one timestamp and log index; a hold keeps garbage collection from taking what it still needs.
//! What it sees becomes checksummed chunks. [`SnapshotLoad`] puts them into an empty store. On disk a
//! snapshot is one file, [`file`]; between instances the same chunks travel one by one.
//!
//! ```text
//!   scan:  ─ slice ─┬─ slice ─┬─ slice ─┐        writes between the slices are above the
//!                 chunk 1   chunk 2   chunk 3     timestamp or the index: not seen
//!   file:  meta │ chunk 1 │ chunk 2 │ chunk 3 │ footer
//! ```
//!
//! Rows written to a table or bucket that is dropped during the scan may be missing; the log after
//! the snapshot's index holds the drop.

pub mod chunk;
pub mod file;
mod load;
mod scan;
#[cfg(test)]
mod snapshot_tests;

pub use chunk::SnapshotMeta;
pub use file::{SNAPSHOT_DIR, SnapshotReader, SnapshotWriter};
pub use load::SnapshotLoad;
pub use scan::{ScanStep, SliceLimits, SnapshotScan};

use crate::base::codec::CodecError;
use crate::seam::DiskError;

/// Why a snapshot cannot be used. Another one, from this disk or from a peer, may be good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotDamage {
    #[error("the snapshot is corrupt: {0}")]
    Corrupt(String),
    #[error("the snapshot was written by a newer version ({0})")]
    Newer(CodecError),
    #[error("the snapshot cannot be read or written: {}", .0.message)]
    Disk(DiskError),
}

impl From<DiskError> for SnapshotDamage {
    fn from(error: DiskError) -> SnapshotDamage {
        SnapshotDamage::Disk(error)
    }
}

impl From<CodecError> for SnapshotDamage {
    fn from(error: CodecError) -> SnapshotDamage {
        match error {
            CodecError::NewerVersion { .. } => SnapshotDamage::Newer(error),
            other => SnapshotDamage::Corrupt(other.to_string()),
        }
    }
}
