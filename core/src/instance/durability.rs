//! What Raft wants remembered, into the write-ahead log.
//!
//! A `Ready`'s snapshot mark, entries and hard state are one append: durable together or not at all.
//! A commit index alone is hardly ever worth a write: it is a hint that a leader sends again, so it
//! rides along with the next append. Except where it covers a change of membership: a member that
//! came back without it would ask voters that have long left, and who may be gone for good, to elect
//! anybody who could send it again.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::base::codec::{Reader, Writer};
use crate::base::{GroupId, LogIndex};
use crate::raft::{Entry, EntryKind, HardState, Membership, Ready, SnapshotMeta};
use crate::storage::DiskHandle;
use crate::storage::wal::{self, LogEntry, Record, SnapshotMark, Wal};

/// The log, once recovery has made it.
#[derive(Debug, Default)]
pub struct Durability {
    wal: Option<Wal>,
    /// Of each group: the hard state in the log, and the one raft has.
    hard_states: BTreeMap<GroupId, (HardState, HardState)>,
}

impl Durability {
    /// From here on, what is persisted goes to `wal`.
    pub fn start(&mut self, wal: Wal, recovered: &BTreeMap<GroupId, HardState>) {
        self.wal = Some(wal);
        self.hard_states = recovered.iter().map(|(g, hs)| (*g, (*hs, *hs))).collect();
    }

    pub fn wal(&self) -> Option<&Wal> {
        self.wal.as_ref()
    }

    pub fn wal_mut(&mut self) -> Option<&mut Wal> {
        self.wal.as_mut()
    }

    /// Adds what a `Ready` must remember; returns the position that makes it durable.
    pub fn persist(&mut self, group: GroupId, ready: &Ready) -> u64 {
        let wal = self.wal.as_mut().expect("groups start after recovery");
        let (written, latest) = self.hard_states.entry(group).or_default();
        if let Some(state) = ready.hard_state {
            *latest = state;
        }
        let only_commit = (written.term, written.vote) == (latest.term, latest.vote);
        let changes_members = !crate::canary!(ForgetMembership)
            && ready.committed.iter().any(|e| e.kind == EntryKind::Config);
        let has_news = ready.snapshot.is_some() || !ready.entries.is_empty() || changes_members;
        if only_commit && !has_news && !crate::buggify!("durability: a commit index alone") {
            return wal.last_lsn().0;
        }
        let mut records = Vec::with_capacity(ready.entries.len() + 3);
        if let Some(meta) = &ready.snapshot {
            records.push(Record::Truncate { group, from: LogIndex(0) });
            records.push(mark(group, meta));
        }
        records.extend(ready.entries.iter().map(|e| Record::Entry(group, to_log(e))));
        if latest != written {
            let HardState { term, vote, commit } = *latest;
            records.push(Record::HardState(group, wal::HardState { term, vote, commit }));
            *written = *latest;
        }
        wal.append(&records).0
    }

    /// Notes that a snapshot at this position is on disk, and lets go of entries up to `release`.
    pub fn mark_snapshot(&mut self, group: GroupId, meta: &SnapshotMeta, release: LogIndex) {
        let wal = self.wal.as_mut().expect("groups start after recovery");
        wal.append(&[mark(group, meta)]);
        wal.release(group, release);
    }

    /// Lets go of entries up to `index`, which a snapshot in the log's marks covers.
    pub fn release(&mut self, group: GroupId, index: LogIndex) {
        self.wal.as_mut().expect("groups start after recovery").release(group, index);
    }

    /// The position up to which everything is durable.
    pub fn durable(&self) -> u64 {
        self.wal.as_ref().map_or(0, |wal| wal.durable().0)
    }

    /// Starts writing what gathered.
    pub fn flush(&mut self, disk: &DiskHandle) {
        if let Some(wal) = &mut self.wal {
            wal.flush(disk);
        }
    }
}

fn mark(group: GroupId, meta: &SnapshotMeta) -> Record {
    let mut conf = Writer::new();
    meta.membership.encode(&mut conf);
    let conf = conf.into_bytes();
    Record::SnapshotMark(group, SnapshotMark { index: meta.index, term: meta.term, conf })
}

fn to_log(entry: &Entry) -> LogEntry {
    let kind = match entry.kind {
        EntryKind::Normal => 0,
        EntryKind::Config => 1,
    };
    LogEntry { index: entry.index, term: entry.term, kind, data: entry.data.clone() }
}

/// An entry as recovery found it.
///
/// # Errors
/// Its kind is none of ours.
pub fn from_log(entry: &LogEntry) -> Result<Entry, String> {
    let kind = match entry.kind {
        0 => EntryKind::Normal,
        1 => EntryKind::Config,
        kind => return Err(format!("entry {} is of an unknown kind {kind}", entry.index)),
    };
    Ok(Entry { index: entry.index, term: entry.term, kind, data: entry.data.clone() })
}

/// A snapshot mark's position as recovery found it.
///
/// # Errors
/// The membership cannot be read.
pub fn meta_from_mark(mark: &SnapshotMark) -> Result<SnapshotMeta, String> {
    let mut r = Reader::new(Bytes::clone(&mark.conf), "membership");
    let membership = Membership::decode(&mut r).map_err(|e| e.to_string())?;
    r.finish().map_err(|e| e.to_string())?;
    Ok(SnapshotMeta { index: mark.index, term: mark.term, membership })
}
