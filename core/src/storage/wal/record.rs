//! The records inside a batch.
//!
//! | field   | bytes  | meaning                                                     |
//! |---------|--------|-------------------------------------------------------------|
//! | kind    | 1      | see below                                                   |
//! | version | 1      | format version of this record, 1                            |
//! | group   | varint | the Raft group; 0 (unused) in a `Segment` record            |
//! | body    |        | by kind                                                     |
//!
//! | kind | record       | body                                                               |
//! |------|--------------|--------------------------------------------------------------------|
//! | 1    | Entry        | varint index, varint term, u8 entry kind, varint length, data      |
//! | 2    | HardState    | varint term, varint vote (0 = none), varint commit                 |
//! | 3    | SnapshotMark | varint index, varint term, varint length, configuration            |
//! | 4    | Truncate     | varint from                                                        |
//! | 5    | Remove       | –                                                                  |
//! | 9    | Segment      | cluster 16 bytes, instance 16 bytes, varint number of records carried |

use bytes::Bytes;

use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{GroupId, InstanceId, LogIndex, Term};

/// The newest record version this build writes and reads.
const RECORD_VERSION: u8 = 1;

const ENTRY: u8 = 1;
const HARD_STATE: u8 = 2;
const SNAPSHOT_MARK: u8 = 3;
const TRUNCATE: u8 = 4;
const REMOVE: u8 = 5;
const SEGMENT: u8 = 9;

/// Whose log this is. A segment of another owner is refused: it was copied or mounted by mistake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct WalOwner {
    pub cluster: [u8; 16],
    pub instance: [u8; 16],
}

/// One entry of a group's Raft log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LogEntry {
    pub index: LogIndex,
    pub term: Term,
    /// The Raft library's entry type, opaque here.
    pub kind: u8,
    pub data: Bytes,
}

/// What a Raft member must never forget.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HardState {
    pub term: Term,
    /// `InstanceId(0)` for no vote in this term.
    pub vote: InstanceId,
    pub commit: LogIndex,
}

/// A durable snapshot covers everything up to `index`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SnapshotMark {
    pub index: LogIndex,
    pub term: Term,
    /// The group's membership at `index`, opaque here.
    pub conf: Bytes,
}

/// One fact about one group.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Record {
    /// Replaces whatever the log held at and after `index`.
    Entry(GroupId, LogEntry),
    HardState(GroupId, HardState),
    /// A log that ends below the mark is emptied and starts after it. Entries above it stay; an
    /// installed snapshot that conflicts with them is preceded by `Truncate { from: 0 }`.
    SnapshotMark(GroupId, SnapshotMark),
    /// Drops the entries at and after `from`.
    Truncate {
        group: GroupId,
        from: LogIndex,
    },
    /// The instance left the group: everything about it is forgotten.
    Remove(GroupId),
}

impl Record {
    pub fn group(&self) -> GroupId {
        match self {
            Record::Entry(group, _)
            | Record::HardState(group, _)
            | Record::SnapshotMark(group, _)
            | Record::Truncate { group, .. }
            | Record::Remove(group) => *group,
        }
    }

    pub(super) fn write(&self, w: &mut Writer) {
        let kind = match self {
            Record::Entry(..) => ENTRY,
            Record::HardState(..) => HARD_STATE,
            Record::SnapshotMark(..) => SNAPSHOT_MARK,
            Record::Truncate { .. } => TRUNCATE,
            Record::Remove(..) => REMOVE,
        };
        w.u8(kind);
        w.u8(RECORD_VERSION);
        w.varint(self.group().0);
        match self {
            Record::Entry(_, entry) => {
                w.varint(entry.index.0);
                w.varint(entry.term.0);
                w.u8(entry.kind);
                w.bytes(&entry.data);
            }
            Record::HardState(_, state) => {
                w.varint(state.term.0);
                w.varint(state.vote.0);
                w.varint(state.commit.0);
            }
            Record::SnapshotMark(_, mark) => {
                w.varint(mark.index.0);
                w.varint(mark.term.0);
                w.bytes(&mark.conf);
            }
            Record::Truncate { from, .. } => w.varint(from.0),
            Record::Remove(_) => {}
        }
    }
}

/// What a batch may hold: facts, and at the head of a segment's first batch its `Segment` record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Item {
    Fact(Record),
    /// The segment's owner; the next `carried` records repeat what earlier segments said.
    Segment {
        owner: WalOwner,
        carried: u64,
    },
}

pub(super) fn write_segment(w: &mut Writer, owner: &WalOwner, carried: u64) {
    w.u8(SEGMENT);
    w.u8(RECORD_VERSION);
    w.varint(0);
    w.raw(&owner.cluster);
    w.raw(&owner.instance);
    w.varint(carried);
}

/// Reads one item. The fields of an entry share the memory of the batch.
pub(super) fn read_item(r: &mut Reader) -> CodecResult<Item> {
    let kind = r.u8()?;
    let version = r.u8()?;
    if version > RECORD_VERSION {
        return Err(CodecError::NewerVersion { what: "log record", version: version.into() });
    }
    let group = GroupId(r.varint()?);
    let record = match kind {
        ENTRY => Record::Entry(
            group,
            LogEntry {
                index: LogIndex(r.varint()?),
                term: Term(r.varint()?),
                kind: r.u8()?,
                data: r.bytes()?,
            },
        ),
        HARD_STATE => Record::HardState(
            group,
            HardState {
                term: Term(r.varint()?),
                vote: InstanceId(r.varint()?),
                commit: LogIndex(r.varint()?),
            },
        ),
        SNAPSHOT_MARK => Record::SnapshotMark(
            group,
            SnapshotMark {
                index: LogIndex(r.varint()?),
                term: Term(r.varint()?),
                conf: Bytes::copy_from_slice(&r.bytes()?),
            },
        ),
        TRUNCATE => Record::Truncate { group, from: LogIndex(r.varint()?) },
        REMOVE => Record::Remove(group),
        SEGMENT => {
            let owner = WalOwner { cluster: uuid(r)?, instance: uuid(r)? };
            return Ok(Item::Segment { owner, carried: r.varint()? });
        }
        other => return r.unknown_tag(other),
    };
    Ok(Item::Fact(record))
}

fn uuid(r: &mut Reader) -> CodecResult<[u8; 16]> {
    let mut id = [0; 16];
    id.copy_from_slice(&r.raw(16)?);
    Ok(id)
}
