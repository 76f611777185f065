//! Everything that has a byte form in messages, logs and files.
//!
//! ```text
//! kind u8   0 message · 1 ring entry · 2 shard entry · 3 chunks of a snapshot · 4 recording
//!           5 ring snapshot · 6 expression; the bit 0x80 repairs the checksums of 3 and 4
//! bytes
//! ```
//!
//! Where a value can be compared, the promise is about values. Bytes of the second encoding must
//! equal those of the first in any case: what is written has one form.

use basalt_core::base::codec::{CodecResult, Reader, Writer};
use basalt_core::base::{
    BucketId, CatalogVersion, GroupId, InstanceId, LogIndex, RowWrite, SqlError, SqlState, SqlType,
    TableId, Term, Timestamp, UserId,
};
use basalt_core::expr::Expr;
use basalt_core::instance::message::{
    Body, GroupReport, Join, JoinReply, Msg, Report, Request, RequestKind, Response, ResponseKind,
    SnapshotPull,
};
use basalt_core::raft::{Change, Membership};
use basalt_core::seam::record::write_item;
use basalt_core::seam::{ConnKind, Event, Item, Mono, Now, Recording, RecordingHeader, Wall};
use basalt_core::storage::Store;
use basalt_core::storage::snapshot::{SnapshotLoad, SnapshotMeta};
use basalt_core::topology::{RingEntry, RingState};
use basalt_core::txn::entry::ShardEntry;
use bytes::Bytes;

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
            recording(bytes.into());
        }
        5 => same(bytes.into(), RingState::decode_snapshot, RingState::encode_snapshot),
        6 => same_bytes(bytes.into(), decode_expr, encode_expr),
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

/// Where records begin: behind magic, version, seed and configuration.
fn records_at(bytes: &[u8]) -> Option<usize> {
    let mut r = Reader::new(Bytes::copy_from_slice(bytes), "recording");
    r.raw(41).ok()?;
    r.bytes().ok()?;
    Some(bytes.len() - r.left())
}

fn repair_recording(bytes: &mut [u8]) {
    let Some(mut start) = records_at(bytes) else { return };
    while let Some(len) = bytes.get(start..start + 4) {
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let Some(body) = bytes.get(start + 8..start + 8 + len) else { return };
        let crc = crc32fast::hash(body);
        bytes[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        start += 8 + len;
    }
}

/// Reads a recording, writes what was read, and reads that: it is written the same.
fn recording(bytes: Bytes) {
    let Some(first) = rewritten(bytes) else { return };
    let second = rewritten(first.clone()).expect("what was written can be read");
    assert_eq!(first, second, "a recording written twice");
}

/// The records up to the first that cannot be read; `None` without a header.
fn rewritten(bytes: Bytes) -> Option<Bytes> {
    let (header, mut recording) = Recording::open(bytes).ok()?;
    let mut out = header.encode();
    while let Ok(Some(item)) = recording.next_item::<Msg>() {
        write_item(&item, &mut out);
    }
    Some(out.into())
}

/// One of each kind, as this build writes them.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = bodies().into_iter().map(message).collect();
    let prefixed = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    let write = RowWrite {
        table: TableId(16_400),
        bucket: BucketId(7),
        key: Bytes::from_static(b"k"),
        row: Some(Bytes::from_static(b"row")),
    };
    let entry = ShardEntry::Write { timestamp: Timestamp(9), writes: vec![write] };
    seeds.push(prefixed(2, &entry.encode()));
    for entry in ring_entries() {
        seeds.push(prefixed(1, &entry.encode()));
    }
    seeds.push(prefixed(3 | REPAIR, &snapshot()));
    seeds.push(prefixed(4 | REPAIR, &sample_recording()));
    seeds.push(prefixed(5, &RingState::new().encode_snapshot()));
    let operands = [Expr::column(1, SqlType::Bool), Expr::bool(true), Expr::literal("t")];
    seeds.push(prefixed(6, &encode_expr(&Expr::and(operands))));
    seeds
}

fn message(body: Body) -> Vec<u8> {
    let mut bytes = vec![0];
    Msg { cluster: 3, body }.encode(&mut bytes);
    bytes
}

fn bodies() -> Vec<Body> {
    let (group, id, index) = (GroupId(1), InstanceId(2), LogIndex(300));
    let error = SqlError::new(SqlState::UniqueViolation, "no").with_detail("because");
    let membership = Membership { voters: vec![id], ..Membership::default() };
    let request = |what| Body::Request(Request { id: 7, what });
    let response = |what| Body::Response(Response { id: 7, what });
    let report = GroupReport {
        group,
        term: Term(2),
        leads: true,
        committed: index,
        applied: index,
        schema: CatalogVersion(1),
        membership: Some(membership),
        progress: vec![(id, index, true)],
        changing: false,
        refused: Some((CatalogVersion(1), error.clone())),
    };
    vec![
        Body::Join(Join {
            uuid: Default::default(),
            address: "h:1".into(),
            pg_address: "h:2".into(),
            http_address: "h:3".into(),
            name: Some("n".into()),
            replicaset: None,
            tier: "default".into(),
            failure_domain: vec![("DC".into(), "A".into())],
            version: "1".into(),
            cluster_name: None,
            replaces: None,
        }),
        Body::JoinReply(JoinReply::Elsewhere(Some("h:1".into()))),
        request(RequestKind::Statement {
            group,
            user: UserId(1),
            sql: "SELECT $1".into(),
            parameters: vec![(SqlType::Int4 as u8, Some(Bytes::from_static(&[0, 0, 0, 1])))],
            settings: vec![("a".into(), "b".into())],
        }),
        request(RequestKind::Membership { group, changes: vec![Change::AddVoter(id)] }),
        request(RequestKind::RingIndex),
        response(ResponseKind::Failed(error)),
        response(ResponseKind::Rows { tag: 1, count: 1, types: vec![3], rows: vec![vec![None]] }),
        Body::SnapshotPull(SnapshotPull { group, index, chunk: 1 }),
        Body::Report(Report { from: id, leaving: false, groups: vec![report] }),
        Body::StatusReply { request: 1, text: "ok".into() },
    ]
}

fn ring_entries() -> Vec<RingEntry> {
    vec![
        RingEntry::DdlCommit { version: CatalogVersion(129) },
        RingEntry::Expel { id: InstanceId(3), force: true, at: Wall(300) },
        RingEntry::SetConfig { key: "k".into(), tier: String::new(), value: Some("v".into()) },
    ]
}

/// A snapshot of one row, sealed by the target's own repair.
fn snapshot() -> Vec<u8> {
    let meta = SnapshotMeta {
        group: GroupId(1),
        index: LogIndex(5),
        term: Term(2),
        ts: Timestamp(9),
        state: Bytes::from_static(b"state"),
    };
    let mut w = Writer::new();
    for field in [16_400, 7] {
        w.varint(field);
    }
    w.bytes(b"key");
    w.varint(8);
    w.varint(4);
    w.bytes(b"row");
    let payload = w.into_vec();
    let mut bytes = meta.to_chunk().to_vec();
    bytes.extend_from_slice(b"BSNP\x01\x00\x02\x00\x01\0\0\0\0\0\0\0");
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&payload);
    bytes
}

fn sample_recording() -> Vec<u8> {
    let now = Now { mono: Mono(1), wall: Wall(2) };
    let conn = basalt_core::base::ConnId(4);
    let mut bytes = RecordingHeader { seed: [7; 32], config: "{}".into() }.encode();
    let peer = Event::Peer {
        from: basalt_core::seam::PeerAddr::new("h:1"),
        msg: Msg { cluster: 3, body: Body::Status { request: 1 } },
    };
    let events = [
        Event::Boot,
        Event::Accepted { conn, kind: ConnKind::Postgres, remote: "h".into() },
        Event::Bytes { conn, bytes: Bytes::from_static(b"Q") },
        peer,
    ];
    for event in events {
        write_item(&Item::Event(now, event), &mut bytes);
        write_item(&Item::<Msg>::EndOfTurn(now, 99), &mut bytes);
    }
    bytes
}
