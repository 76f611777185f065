//! Everything that has a byte form in messages, logs and files.
//!
//! ```text
//! kind u8   0 message · 1 ring entry · 2 shard entry · 3 chunks of a snapshot · 4 recording
//!           5 ring snapshot · 6 expression · 7 schema change
//!           the bit 0x80 repairs the checksums of 3 and 4
//! bytes
//! ```
//!
//! Where a value can be compared, the promise is about values. Bytes of the second encoding must
//! equal those of the first in any case: what is written has one form.

mod seeds;

use basalt_core::base::codec::{CodecResult, Reader, Writer};
use basalt_core::expr::Expr;
use basalt_core::instance::message::Msg;
use basalt_core::seam::{Item, RecordingReader, RecordingWriter};
use basalt_core::storage::Store;
use basalt_core::storage::snapshot::{SnapshotLoad, SnapshotMeta};
use basalt_core::topology::ddl::SchemaChange;
use basalt_core::topology::{RingEntry, RingState};
use basalt_core::txn::entry::ShardEntry;
use bytes::Bytes;
pub use seeds::seeds;

use crate::schema::Schema;

const REPAIR: u8 = 0x80;

/// See the module.
pub fn run(data: &[u8]) {
    let Some((kind, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    let repair = kind & REPAIR != 0;
    match kind & !REPAIR {
        0 => same(bytes.into(), Msg::decode, |msg| {
            let mut out = Vec::new();
            msg.encode(&mut out);
            out.into()
        }),
        1 => same(bytes.into(), RingEntry::decode, RingEntry::encode),
        2 => same(bytes.into(), ShardEntry::decode, ShardEntry::encode),
        3 => {
            if repair {
                repair_chunks(&mut bytes);
            }
            chunks(&bytes.into());
        }
        4 => {
            if repair {
                repair_recording(&mut bytes);
            }
            recording(&bytes);
        }
        5 => same(bytes.into(), RingState::decode_snapshot, RingState::encode_snapshot),
        6 => same_bytes(bytes.into(), decode_expr, encode_expr),
        7 => same(bytes.into(), SchemaChange::decode, |change| change.encode().into()),
        _ => {}
    }
}

/// Decoded, encoded and decoded again, it is equal.
fn same<T: PartialEq + std::fmt::Debug>(
    bytes: Bytes,
    decode: impl Fn(Bytes) -> CodecResult<T>,
    encode: impl Fn(&T) -> Bytes,
) {
    let Ok(value) = decode(bytes.clone()) else { return };
    let again = decode(encode(&value)).expect("what was encoded can be decoded");
    assert_eq!(value, again, "decoded, encoded, decoded");
    same_bytes(bytes, decode, encode);
}

/// As [`same`], for values that may hold a NaN.
fn same_bytes<T>(
    bytes: Bytes,
    decode: impl Fn(Bytes) -> CodecResult<T>,
    encode: impl Fn(&T) -> Bytes,
) {
    let Ok(value) = decode(bytes) else { return };
    let first = encode(&value);
    let again = decode(first.clone()).expect("what was encoded can be decoded");
    assert_eq!(first, encode(&again), "encoded twice");
}

fn decode_expr(bytes: Bytes) -> CodecResult<Expr> {
    let mut r = Reader::new(bytes, "expression");
    let expr = Expr::decode(&mut r)?;
    r.finish()?;
    Ok(expr)
}

fn encode_expr(expr: &Expr) -> Bytes {
    let mut w = Writer::new();
    expr.encode(&mut w);
    w.into_bytes()
}

const CHUNK_HEADER: usize = 24;

/// The ranges of the chunks: where each says it ends.
fn split_chunks(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut ranges, mut start) = (Vec::new(), 0);
    while let Some(len) = bytes.get(start + 16..start + 20) {
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let end = bytes.len().min(start + CHUNK_HEADER + len);
        ranges.push(start..end);
        start = end;
    }
    ranges
}

fn repair_chunks(bytes: &mut [u8]) {
    for range in split_chunks(bytes) {
        let chunk = &mut bytes[range];
        if chunk.len() < CHUNK_HEADER {
            continue;
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&chunk[..20]);
        hasher.update(&chunk[CHUNK_HEADER..]);
        chunk[20..24].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
}

/// Loads a snapshot: the meta chunk, then rows.
fn chunks(bytes: &Bytes) {
    let mut chunks = split_chunks(bytes).into_iter().map(|range| bytes.slice(range));
    let Some(meta) = chunks.next() else { return };
    let Ok(mut load) = SnapshotLoad::start(&meta) else { return };
    assert_eq!(SnapshotMeta::from_chunk(&load.meta().to_chunk()).as_ref(), Ok(load.meta()));
    let mut store = Store::new();
    store.create_table(Schema::get().accounts().clone());
    for chunk in chunks {
        if load.chunk(&mut store, &chunk).is_err() {
            return;
        }
    }
    let index = load.meta().index;
    load.finish(&mut store);
    assert_eq!(store.applied(), index, "what a loaded snapshot covers");
}

/// Magic and version, and what comes before a record's body.
const RECORDING_PROLOGUE: usize = 9;
const RECORD_FRAME: usize = 12;

fn repair_recording(bytes: &mut [u8]) {
    let mut start = RECORDING_PROLOGUE;
    while let Some(len) = bytes.get(start..start + 4) {
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let body = start + RECORD_FRAME..start + RECORD_FRAME + len;
        let end = body.end;
        let Some(body) = bytes.get(body) else { return };
        let crc = crc32fast::hash(body);
        bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        let check = crc32fast::hash(&bytes[start..start + 8]);
        bytes[start + 8..start + RECORD_FRAME].copy_from_slice(&check.to_le_bytes());
        start = end;
    }
}

/// Reads a recording, writes what was read, and reads that: it is written the same.
fn recording(bytes: &[u8]) {
    let Some(first) = rewritten(bytes) else { return };
    let second = rewritten(&first).expect("what was written can be read");
    assert_eq!(first, second, "a recording written twice");
}

/// The records up to the first that cannot be read, without effects; `None` without a start.
fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut reader = RecordingReader::new();
    reader.feed(bytes);
    let mut writer = RecordingWriter::new(&reader.header().ok()??).ok()?;
    while let Ok(Some(item)) = reader.next_item::<Msg>() {
        match item {
            Item::Event(now, event) => writer.event(now, &event).expect("what was read is short"),
            Item::EndOfTurn(now, _) => writer.end_turn::<Msg>(now, &[]),
        }
    }
    Some(writer.bytes().to_vec())
}
