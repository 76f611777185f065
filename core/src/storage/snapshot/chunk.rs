//! Chunks: what a snapshot is cut into.
//!
//! | offset | bytes | field   | meaning                                                    |
//! |--------|-------|---------|------------------------------------------------------------|
//! | 0      | 4     | magic   | `BSNP`                                                     |
//! | 4      | 2     | version | 1                                                          |
//! | 6      | 2     | kind    | 1 meta, 2 rows                                             |
//! | 8      | 8     | number  | 0 for the meta chunk, then 1, 2, …                         |
//! | 16     | 4     | len     | bytes of payload                                           |
//! | 20     | 4     | crc     | CRC-32 (IEEE) of bytes 0..20 and the payload               |
//! | 24     | len   | payload |                                                            |
//!
//! Meta payload: group, index, term, timestamp as varints; varint length and bytes of the group's
//! small state. Rows payload, one after the other: varint table, varint bucket, varint length and
//! key, varint timestamp, varint log index, varint length and row.

use bytes::Bytes;

use super::SnapshotDamage;
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{BucketId, GroupId, LogIndex, RowWrite, TableId, Term, Timestamp};
use crate::storage::version::AsOf;

pub(super) const HEADER: usize = 24;
const MAGIC: [u8; 4] = *b"BSNP";
const CHUNK_VERSION: u16 = 1;

/// What a chunk holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Meta = 1,
    Rows = 2,
}

/// What a snapshot is a snapshot of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotMeta {
    pub group: GroupId,
    /// Everything up to this entry is in it.
    pub index: LogIndex,
    pub term: Term,
    /// Rows are as of this timestamp.
    pub ts: Timestamp,
    /// What the group keeps besides rows, opaque here.
    pub state: Bytes,
}

impl SnapshotMeta {
    /// The place in time its rows are seen at.
    pub fn as_of(&self) -> AsOf {
        AsOf { ts: self.ts, log_index: self.index }
    }

    /// The snapshot's first chunk.
    pub fn to_chunk(&self) -> Bytes {
        let mut w = begin();
        w.varint(self.group.0);
        w.varint(self.index.0);
        w.varint(self.term.0);
        w.varint(self.ts.0);
        w.bytes(&self.state);
        seal(w, Kind::Meta, 0)
    }

    /// Reads a snapshot's first chunk.
    pub fn from_chunk(chunk: &Bytes) -> Result<SnapshotMeta, SnapshotDamage> {
        let (header, payload) = open(chunk)?;
        if header.kind != Kind::Meta || header.number != 0 {
            return Err(SnapshotDamage::Corrupt("the first chunk is not the meta chunk".into()));
        }
        let mut r = Reader::new(payload, "snapshot meta");
        let meta = SnapshotMeta {
            group: GroupId(r.varint()?),
            index: LogIndex(r.varint()?),
            term: Term(r.varint()?),
            ts: Timestamp(r.varint()?),
            state: r.bytes()?,
        };
        r.finish()?;
        Ok(meta)
    }
}

/// A chunk's header, checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct ChunkHeader {
    pub kind: Kind,
    pub number: u64,
}

/// A writer with room for the header.
pub(super) fn begin() -> Writer {
    let mut w = Writer::new();
    w.raw(&[0; HEADER]);
    w
}

/// Fills the header in.
pub(super) fn seal(w: Writer, kind: Kind, number: u64) -> Bytes {
    let mut bytes = w.into_vec();
    let len = u32::try_from(bytes.len() - HEADER).expect("a chunk is far below 4 GiB");
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[4..6].copy_from_slice(&CHUNK_VERSION.to_le_bytes());
    bytes[6..8].copy_from_slice(&(kind as u16).to_le_bytes());
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    bytes[16..20].copy_from_slice(&len.to_le_bytes());
    let crc = checksum(&bytes);
    bytes[20..24].copy_from_slice(&crc.to_le_bytes());
    Bytes::from(bytes)
}

/// Checks a whole chunk; gives its payload.
pub(super) fn open(chunk: &Bytes) -> Result<(ChunkHeader, Bytes), SnapshotDamage> {
    let len = payload_bytes(chunk)?;
    if chunk.len() != HEADER + len {
        return Err(SnapshotDamage::Corrupt(format!(
            "a chunk of {} bytes says it has {}",
            chunk.len(),
            HEADER + len
        )));
    }
    let mut r = Reader::new(chunk.slice(4..HEADER), "snapshot chunk");
    let (version, kind, number) = (r.u16()?, r.u16()?, r.u64()?);
    let (_, crc) = (r.u32()?, r.u32()?);
    if crc != checksum(chunk) {
        return Err(SnapshotDamage::Corrupt("a chunk's checksum does not match".into()));
    }
    if version > CHUNK_VERSION {
        let error = CodecError::NewerVersion { what: "snapshot chunk", version: version.into() };
        return Err(error.into());
    }
    let kind = match kind {
        1 => Kind::Meta,
        2 => Kind::Rows,
        other => {
            return Err(SnapshotDamage::Corrupt(format!("a chunk of unknown kind {other}")));
        }
    };
    Ok((ChunkHeader { kind, number }, chunk.slice(HEADER..)))
}

/// The payload's length, from a chunk's first bytes.
pub(super) fn payload_bytes(start: &[u8]) -> Result<usize, SnapshotDamage> {
    match start.get(..HEADER) {
        Some(header) if header[0..4] == MAGIC => {
            Ok(u32::from_le_bytes([header[16], header[17], header[18], header[19]]) as usize)
        }
        _ => Err(SnapshotDamage::Corrupt("bytes that are not a chunk".into())),
    }
}

fn checksum(chunk: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chunk[..20]);
    hasher.update(&chunk[HEADER..]);
    hasher.finalize()
}

/// A row as a chunk holds it.
pub(super) struct ChunkRow<'a> {
    pub table: TableId,
    pub bucket: BucketId,
    pub key: &'a [u8],
    pub as_of: AsOf,
    pub row: &'a [u8],
}

impl ChunkRow<'_> {
    pub fn write(&self, w: &mut Writer) {
        w.varint(self.table.0.into());
        w.varint(self.bucket.0.into());
        w.bytes(self.key);
        w.varint(self.as_of.ts.0);
        w.varint(self.as_of.log_index.0);
        w.bytes(self.row);
    }
}

pub(super) fn read_row(r: &mut Reader) -> CodecResult<(AsOf, RowWrite)> {
    let table = TableId(r.varint_as()?);
    let bucket = BucketId(r.varint_as()?);
    let key = r.bytes()?;
    let as_of = AsOf { ts: Timestamp(r.varint()?), log_index: LogIndex(r.varint()?) };
    let row = Some(r.bytes()?);
    Ok((as_of, RowWrite { table, bucket, key, row }))
}
