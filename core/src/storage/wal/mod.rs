//! The write-ahead log: one an instance, shared by all its Raft groups.
//!
//! # Model
//!
//! Records gather in memory; [`Wal::flush`], called at the end of each turn, writes what gathered as
//! one batch with one `fdatasync`, unless one is in flight: then the next batch gathers meanwhile.
//! A completed batch makes its [`Lsn`]s durable. [`Wal`] is a state machine: it asks for operations
//! through a [`DiskHandle`](super::DiskHandle) and is told of their results.
//!
//! ```text
//!   wal/0000000000000007   sealed, oldest: what it holds was released, will be renamed to …0011
//!   wal/0000000000000008   sealed, needed: group 3 has entries in it that no snapshot covers
//!   wal/0000000000000009   current: batch batch batch zeros…
//!   wal/000000000000000a   next: allocated ahead, in pieces between writes; holds no batch of its own yet
//! ```
//!
//! The first batch of a segment repeats the hard state and snapshot mark of every group, so an older
//! segment is needed for its entries only. Segments are given up oldest first, once every entry in
//! them is released, truncated or overwritten; a released file is renamed to become the next
//! segment. Formats: [`batch`] and [`record`].
//!
//! As long as the entries behind an earlier mark are not released, recovery finds that mark too, and the
//! log can go on from its snapshot: the segment of the first such entry is there, and the mark is in
//! its head, which repeats it, or behind that.
//!
//! # Why a crash at each point is safe
//!
//! | crash                                  | what recovery sees                                          |
//! |----------------------------------------|-------------------------------------------------------------|
//! | in a batch's write                     | a bad last batch: cut; nothing in it was reported durable   |
//! | after the write, before its sync       | all or part of it; what is whole is kept, and written again with a sync, since it may be in the page cache only |
//! | while the next segment is allocated    | a last file without a batch: becomes the next segment       |
//! | in a recycling rename                  | the old name: a released segment is read again, no harm; the new name: as above, since checksums are seeded by the sequence number |
//! | in recovery                            | recovery changes only what it would cut or rewrite again    |
//!
//! The next segment is made only after the current one holds a durable batch. So a segment without
//! a batch is corrupt unless it is the last, sequence numbers have no holes, and lsns have none.
//! Anything else is corruption: the instance may have acknowledged what it lost, and must not vote
//! again under its id. Damage to the very last batch alone cannot be told from a torn write.

pub mod batch;
#[cfg(test)]
mod crash_tests;
mod log;
pub mod record;
mod recover;

use std::collections::BTreeMap;

pub use log::{Wal, WalEvent};
pub use record::{HardState, LogEntry, Record, SnapshotMark, WalOwner};
pub use recover::recover;

use crate::base::GroupId;
use crate::base::codec::CodecError;
use crate::seam::DiskError;

/// The directory of the segments.
pub const WAL_DIR: &str = "wal";

/// Number of a record in the whole log; the first is 1. Durable up to `Lsn(n)` means records 1..=n are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Lsn(pub u64);

/// Sizes of the log's parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalConfig {
    /// A segment's size, unless a batch needs a larger one. A multiple of 512, at least 2,048.
    pub segment_bytes: u64,
    /// Released segments kept for reuse; more are removed.
    pub spare_segments: usize,
    /// A new segment is filled with zeros in pieces of so many bytes; between them the log is written.
    pub piece_bytes: u64,
}

impl Default for WalConfig {
    fn default() -> WalConfig {
        WalConfig { segment_bytes: 64 << 20, spare_segments: 2, piece_bytes: 1 << 20 }
    }
}

/// What the log holds of one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredGroup {
    pub hard_state: HardState,
    /// The latest snapshot mark, if there is one.
    pub mark: Option<SnapshotMark>,
    /// Earlier marks that every entry up to the end of the log follows, oldest first.
    pub older_marks: Vec<SnapshotMark>,
    /// Contiguous; starts at or before the entry after the mark.
    pub entries: Vec<LogEntry>,
}

/// What the log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    pub groups: BTreeMap<GroupId, RecoveredGroup>,
    /// Everything up to here is durable.
    pub durable: Lsn,
    /// Where a torn batch was cut off, if one was.
    pub cut: Option<WalPosition>,
    /// The log held nothing: a new instance, or one that lost its disk.
    pub fresh: bool,
}

/// A place in the log, for messages.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalPosition {
    pub segment_seq: u64,
    pub offset: u64,
}

impl std::fmt::Display for WalPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{WAL_DIR}/{} at byte {}", segment_name(self.segment_seq), self.offset)
    }
}

/// Why the log cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WalDamage {
    /// Something before valid data is bad or missing. The instance may have acknowledged what is
    /// lost: it must not vote again under its id.
    #[error("the log is corrupt: {at}: {why}; the instance must rejoin under a new identity")]
    Corrupt { at: WalPosition, why: String },
    #[error("{at} belongs to another instance or cluster; was the data directory copied?")]
    Foreign { at: WalPosition, found: WalOwner },
    #[error("{at} was written by a newer version ({source}); run that version or a later one")]
    Newer { at: WalPosition, source: CodecError },
    #[error("the log cannot be read: {}", .0.message)]
    Disk(DiskError),
}

impl From<DiskError> for WalDamage {
    fn from(error: DiskError) -> WalDamage {
        WalDamage::Disk(error)
    }
}

fn segment_name(seq: u64) -> String {
    format!("{seq:016x}")
}

fn segment_path(seq: u64) -> String {
    format!("{WAL_DIR}/{seq:016x}")
}

/// The sequence number in a segment's name; `None` for a file that is not a segment.
fn segment_seq(name: &str) -> Option<u64> {
    let seq = u64::from_str_radix(name, 16).ok()?;
    (segment_name(seq) == name).then_some(seq)
}
