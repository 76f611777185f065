//! Bytes for peers, for storage and for keys.

use std::hint::black_box;

use basalt_core::base::codec::{Reader, Writer};
use basalt_core::base::{GroupId, KeyOrder, RowRef, SqlType, Timestamp, keycode};
use basalt_core::instance::Msg;
use basalt_core::instance::message::Body;
use basalt_core::raft::Message;
use basalt_core::txn::entry::ShardEntry;
use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};

use crate::accounts::{Accounts, values};

/// Entries of the message between instances.
const ENTRIES: u64 = 16;

pub fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("codec");
    messages(&mut group);
    rows(&mut group);
    keys(&mut group);
    group.finish();
}

fn messages(group: &mut BenchmarkGroup<'_, WallTime>) {
    let msg = Msg { cluster: 3, body: Body::Raft(vec![(GroupId(1), append())]) };
    let mut encoded = Vec::new();
    msg.encode(&mut encoded);
    let encoded = Bytes::from(encoded);
    assert_eq!(Msg::decode(encoded.clone()).as_ref(), Ok(&msg));
    group.throughput(Throughput::Bytes(encoded.len() as u64));
    let mut out = Vec::with_capacity(encoded.len());
    group.bench_function("append of 16 entries, encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&msg).encode(&mut out);
            assert_eq!(out.len(), encoded.len());
        });
    });
    group.bench_function("append of 16 entries, decode", |bencher| {
        bencher.iter(|| Msg::decode(black_box(encoded.clone())).expect("encoded above"));
    });
}

/// What a leader sends after 16 inserts of one row.
fn append() -> Message {
    const VERSION: u8 = 1;
    const APPEND: u8 = 3;
    const NORMAL: u8 = 0;
    let (term, before) = (12, 1_000_000);
    let accounts = Accounts::new();
    let mut w = Writer::new();
    w.raw(&[VERSION, APPEND, 0]);
    // To, from, term, log term, index, commit; commit term, reject hint, request and priority.
    for field in [2, 1, term, term, before, before, 0, 0, 0, 0] {
        w.varint(field);
    }
    w.varint(ENTRIES);
    for k in 1..=ENTRIES {
        let write = accounts.write(k.cast_signed());
        w.u8(NORMAL);
        w.varint(term);
        w.varint(before + k);
        w.bytes(&ShardEntry::encode_write(Timestamp(1 << 62 | k), &[write]));
    }
    let mut r = Reader::new(w.into_bytes(), "raft message");
    let message = Message::decode(&mut r).expect("a message as instances write it");
    r.finish().expect("no more than that");
    message
}

fn rows(group: &mut BenchmarkGroup<'_, WallTime>) {
    let layout = Accounts::new().layout;
    let values = values(1_234_567);
    let mut row = Vec::new();
    layout.encode(&values, &mut row).expect("values of the columns' types");
    let decode = |row: &[u8]| RowRef::new(&layout, row).and_then(|row| row.datums());
    assert_eq!(decode(&row).as_deref(), Ok(values.as_slice()));
    group.throughput(Throughput::Bytes(row.len() as u64));
    let mut out = Vec::with_capacity(row.len());
    group.bench_function("row of 4 columns, encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            layout.encode(black_box(&values), &mut out).expect("as above");
            assert_eq!(out.len(), row.len());
        });
    });
    group.bench_function("row of 4 columns, decode", |bencher| {
        bencher.iter(|| decode(black_box(&row)).expect("encoded above"));
    });
}

fn keys(group: &mut BenchmarkGroup<'_, WallTime>) {
    let [id, owner, _, since] = values(1_234_567);
    let descending = KeyOrder { descending: true, nulls_first: true };
    let one = [(SqlType::Int8, &id, KeyOrder::ASCENDING)];
    let two = [(SqlType::Text, &owner, descending), (SqlType::TimestampTz, &since, descending)];
    for (name, columns) in [("key of bigint", one.as_slice()), ("key of text and timestamp", &two)]
    {
        let encode = || keycode::encode_key(black_box(columns).iter().copied());
        let key = encode().expect("a short key");
        let mut rest = key.as_slice();
        for (ty, value, order) in columns {
            assert_eq!(keycode::decode(*ty, *order, &mut rest).as_ref(), Ok(*value));
        }
        group.throughput(Throughput::Bytes(key.len() as u64));
        group.bench_function(format!("{name}, encode"), |bencher| {
            bencher.iter(|| encode().expect("a short key"));
        });
    }
}
