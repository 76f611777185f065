//! The log as raft-rs reads it, in memory: what is behind the newest snapshot, and before it what somebody
//! may still need.
//!
//! Entries are here from the moment raft hands them over, before they are durable: raft-rs requires
//! that they can be read before `advance_append_async`. What is durable is the write-ahead log's
//! business.
//!
//! ```text
//!     truncated     first = truncated + 1 … snapshot.index … last
//!     ─────────────┬──────────────────────────────────────────────
//!     forgotten    │ entries (front … back), contiguous
//! ```

use std::collections::VecDeque;

use raft::eraftpb;
use raft::{GetEntriesContext, RaftState, Storage, StorageError};

use super::types::{HardState, SnapshotMeta};
use crate::base::{InstanceId, LogIndex};

/// What raft-rs reads.
#[derive(Debug)]
pub(super) struct Log {
    /// Terms before the first entry: the position everything up to which is forgotten.
    truncated: (u64, u64),
    entries: VecDeque<eraftpb::Entry>,
    /// The newest snapshot that can be sent; its index is at least `truncated`.
    snapshot: SnapshotMeta,
    hard_state: HardState,
    /// Bytes of entry data held.
    bytes: usize,
    /// Those that `snapshot` covers.
    covered_bytes: usize,
}

impl Log {
    /// A log as recovered: everything up to `snapshot`, then `entries`.
    pub fn new(snapshot: SnapshotMeta, hard_state: HardState, entries: Vec<eraftpb::Entry>) -> Log {
        let truncated = (snapshot.index.0, snapshot.term.0);
        let mut log = Log {
            truncated,
            entries: VecDeque::new(),
            snapshot,
            hard_state,
            bytes: 0,
            covered_bytes: 0,
        };
        log.append(&entries);
        log
    }

    pub fn first(&self) -> u64 {
        self.truncated.0 + 1
    }

    pub fn last(&self) -> u64 {
        self.truncated.0 + self.entries.len() as u64
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of entry data behind the newest snapshot.
    pub fn bytes_behind_snapshot(&self) -> usize {
        self.bytes - self.covered_bytes
    }

    pub fn set_hard_state(&mut self, state: HardState) {
        self.hard_state = state;
    }

    /// Adds entries, replacing what they overlap.
    pub fn append(&mut self, entries: &[eraftpb::Entry]) {
        let Some(head) = entries.first() else { return };
        assert!(
            head.index >= self.first() && head.index <= self.last() + 1,
            "entry {} does not follow a log of {}..={}",
            head.index,
            self.first(),
            self.last()
        );
        assert!(
            self.entries.is_empty() || head.index > self.snapshot.index.0,
            "entry {} takes the place of one that snapshot {} covers",
            head.index,
            self.snapshot.index
        );
        while self.last() >= head.index {
            self.bytes -= self.entries.pop_back().map_or(0, |e| e.data.len());
        }
        self.bytes += entries.iter().map(|e| e.data.len()).sum::<usize>();
        self.entries.extend(entries.iter().cloned());
    }

    /// Entry `index`, if it is still held.
    pub fn get(&self, index: u64) -> Option<&eraftpb::Entry> {
        let at = index.checked_sub(self.first())?;
        self.entries.get(usize::try_from(at).ok()?)
    }

    /// Takes over a snapshot from the leader: everything before and everything else is forgotten.
    pub fn restore(&mut self, snapshot: SnapshotMeta) {
        self.truncated = (snapshot.index.0, snapshot.term.0);
        self.entries.clear();
        (self.bytes, self.covered_bytes) = (0, 0);
        self.snapshot = snapshot;
    }

    /// Notes that a snapshot at `snapshot.index` is on disk here.
    pub fn set_snapshot(&mut self, snapshot: SnapshotMeta) {
        assert!(
            snapshot.index >= self.snapshot.index,
            "snapshot {} after snapshot {}",
            snapshot.index,
            self.snapshot.index
        );
        let held_to = |index: LogIndex| {
            let entries = index.0.saturating_sub(self.truncated.0);
            self.entries.len().min(usize::try_from(entries).unwrap_or(usize::MAX))
        };
        let newly = self.entries.range(held_to(self.snapshot.index)..held_to(snapshot.index));
        self.covered_bytes += newly.map(|entry| entry.data.len()).sum::<usize>();
        self.snapshot = snapshot;
    }

    pub fn snapshot(&self) -> &SnapshotMeta {
        &self.snapshot
    }

    /// Forgets entries up to `index`, which a snapshot on disk must cover.
    pub fn truncate(&mut self, index: LogIndex) {
        assert!(
            index <= self.snapshot.index,
            "entries up to {index} are needed: the snapshot is at {}",
            self.snapshot.index
        );
        while self.truncated.0 < index.0 {
            let Some(entry) = self.entries.pop_front() else { break };
            self.bytes -= entry.data.len();
            // Only what a snapshot covers is forgotten.
            self.covered_bytes -= entry.data.len();
            self.truncated = (entry.index, entry.term);
        }
    }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.to_raft(), self.snapshot.membership.to_raft()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low < self.first() {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        assert!(high <= self.last() + 1, "entries to {high} of a log to {}", self.last());
        let budget = max_size.into().unwrap_or(u64::MAX);
        let mut size = 0u64;
        let mut out = Vec::with_capacity((high - low) as usize);
        let from = (low - self.first()) as usize;
        let to = (high - self.first()) as usize;
        for entry in self.entries.range(from..to) {
            size += entry.data.len() as u64 + 16;
            if !out.is_empty() && size > budget {
                break;
            }
            out.push(entry.clone());
        }
        Ok(out)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.truncated.0 {
            return Ok(self.truncated.1);
        }
        if index == self.snapshot.index.0 {
            return Ok(self.snapshot.term.0);
        }
        if index < self.truncated.0 {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        match self.get(index) {
            Some(entry) => Ok(entry.term),
            None => Err(raft::Error::Store(StorageError::Unavailable)),
        }
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.first())
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// A member that the snapshot does not know would refuse it: a newer one has to be taken first.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<eraftpb::Snapshot> {
        let knows = self.snapshot.membership.contains(InstanceId(to));
        if self.snapshot.index.0 == 0 || self.snapshot.index.0 < request_index || !knows {
            return Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(self.snapshot.to_raft())
    }
}
