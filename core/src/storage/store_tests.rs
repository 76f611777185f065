//! The store against a naive model: a map from keys to lists of versions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::ordered::ALL_KEYS;
use super::store::Store;
use super::version::AsOf;
use crate::base::schema::{
    ColumnDef, Distribution, Engine, IndexColumn, IndexDef, TableDef, TableRef,
};
use crate::base::{
    BucketId, CatalogVersion, Datum, IndexId, KeyOrder, LogIndex, RowLayout, RowRef, RowWrite,
    SqlState, SqlType, TableId, Timestamp, UserId, keycode,
};
use crate::seam::Rng;

const INDEX: IndexId = IndexId(900);

fn column(name: &str, ty: SqlType) -> ColumnDef {
    ColumnDef { name: name.into(), ty, typmod: -1, nullable: true, default: None, hidden: false }
}

/// A table (id int8 primary key, value int4, pad text), with or without an index on value.
pub fn table(id: u32, indexed: bool) -> TableRef {
    let index = IndexDef {
        id: INDEX,
        name: "by_value".into(),
        columns: vec![IndexColumn { column: 1, descending: false, nulls_first: false }],
        unique: false,
    };
    Arc::new(TableDef {
        id: TableId(id),
        schema: "public".into(),
        name: format!("t{id}"),
        owner: UserId(1),
        columns: vec![
            column("id", SqlType::Int8),
            column("value", SqlType::Int4),
            column("pad", SqlType::Text),
        ],
        primary_key: vec![0],
        primary_key_name: format!("t{id}_pkey"),
        primary_key_id: IndexId(id + 500),
        distribution: Distribution::Sharded { columns: vec![0], tier: "default".into() },
        engine: Engine::Memtx,
        unlogged: false,
        indexes: if indexed { vec![index] } else { vec![] },
        version: CatalogVersion(1),
        operable: true,
    })
}

pub fn key(id: i64) -> Bytes {
    let mut out = Vec::new();
    keycode::encode(SqlType::Int8, &Datum::Int8(id), KeyOrder::ASCENDING, &mut out).unwrap();
    out.into()
}

fn row(id: i64, value: Option<i32>, pad: &str) -> Bytes {
    let layout = RowLayout::new(&table(1, false).columns, 0);
    let mut out = Vec::new();
    let value = value.map_or(Datum::Null, Datum::Int4);
    layout.encode(&[Datum::Int8(id), value, Datum::text(pad)], &mut out).unwrap();
    out.into()
}

fn value_of(row: &[u8]) -> Option<i32> {
    let layout = RowLayout::new(&table(1, false).columns, 0);
    match RowRef::new(&layout, row).unwrap().datum(1).unwrap() {
        Datum::Int4(value) => Some(value),
        Datum::Null => None,
        other => panic!("{other:?}"),
    }
}

pub fn write(table: u32, bucket: u16, id: i64, row: Option<Bytes>) -> RowWrite {
    RowWrite { table: TableId(table), bucket: BucketId(bucket), key: key(id), row }
}

/// A row with a value for the index.
pub fn put(table: u32, bucket: u16, id: i64, value: i32) -> RowWrite {
    write(table, bucket, id, Some(row(id, Some(value), "pad")))
}

type ModelKey = (TableId, BucketId, Bytes);
type ModelVersions = Vec<(Timestamp, LogIndex, Option<Bytes>)>;

/// The store and its model, moved in step.
struct Pair {
    rng: Rng,
    store: Store,
    /// Newest first. Nothing is ever collected here.
    model: BTreeMap<ModelKey, ModelVersions>,
    applied: u64,
    committed: u64,
    clock: u64,
    watermark: u64,
    indexed: bool,
    building: bool,
    hold: Option<(super::Hold, AsOf)>,
}

impl Pair {
    fn new(seed: u64) -> Pair {
        let mut store = Store::new();
        store.create_table(table(1, true));
        store.create_table(table(2, false));
        Pair {
            rng: Rng::from_u64(seed),
            store,
            model: BTreeMap::new(),
            applied: 0,
            committed: 0,
            clock: 0,
            watermark: 0,
            indexed: true,
            building: false,
            hold: None,
        }
    }

    fn step(&mut self) {
        match self.rng.below(27) {
            0 => self.undo(),
            1..=3 => self.commit(),
            4..=6 => self.collect(),
            7 => self.toggle_index(),
            8 => self.drop_bucket(),
            9 => self.toggle_hold(),
            10..=12 => self.build_index(),
            _ => self.apply(),
        }
    }

    fn apply(&mut self) {
        self.applied += self.rng.range(1, 2);
        self.clock += 1;
        // A transaction over several shards may commit below versions of other keys.
        let back = if self.rng.chance(300_000) { self.rng.below(5) } else { 0 };
        let ts = Timestamp(self.clock.saturating_sub(back).max(self.watermark + 1));
        let index = LogIndex(self.applied);
        let writes: Vec<RowWrite> = (0..self.rng.below(4)).map(|_| self.draw_write()).collect();
        let below = |write: &RowWrite| {
            let versions = self.model.get(&(write.table, write.bucket, write.key.clone()));
            versions.is_some_and(|v| v[0].0 >= ts)
        };
        let writes: Vec<RowWrite> = writes.into_iter().filter(|write| !below(write)).collect();
        assert!(self.store.apply(index, ts, &writes));
        assert!(!self.store.apply(index, ts, &writes), "applied once only");
        for write in writes {
            let versions = self.model.entry((write.table, write.bucket, write.key)).or_default();
            versions.retain(|(_, own, _)| *own != index);
            versions.insert(0, (ts, index, write.row));
        }
    }

    fn draw_write(&mut self) -> RowWrite {
        // A primary key has one bucket.
        let id = self.rng.below(12) as i64;
        let bucket = (id % 3) as u16;
        let table = self.rng.range(1, 2) as u32;
        let value = [None, Some(1), Some(2), Some(3)][self.rng.below(4) as usize];
        let pad = ["", "short", "a pad that is rather longer than the others are"];
        let pad = pad[self.rng.below(3) as usize];
        let keep = self.rng.chance(700_000);
        write(table, bucket, id, keep.then(|| row(id, value, pad)))
    }

    fn commit(&mut self) {
        self.committed = self.rng.range(self.committed, self.applied);
        self.store.committed(LogIndex(self.committed));
    }

    fn undo(&mut self) {
        let to = self.rng.range(self.committed, self.applied);
        self.applied = to;
        self.store.undo_above(LogIndex(to));
        for versions in self.model.values_mut() {
            versions.retain(|(_, index, _)| index.0 <= to);
        }
        self.model.retain(|_, versions| !versions.is_empty());
        assert_eq!(self.store.applied(), LogIndex(to));
    }

    fn collect(&mut self) {
        self.watermark = self.rng.range(self.watermark, self.clock);
        let budget = self.rng.below(6) as usize;
        self.store.gc(Timestamp(self.watermark), budget);
        let old = Timestamp(self.watermark);
        assert!(self.store.check_readable(old).is_ok());
    }

    fn toggle_index(&mut self) {
        self.indexed = !self.indexed;
        self.building = false;
        self.store.alter_table(table(1, self.indexed));
    }

    /// Row by row, as an index comes to be beside other work.
    fn build_index(&mut self) {
        if self.indexed {
            return;
        }
        if !self.building {
            self.building = self.store.begin_index(&table(1, true), INDEX);
            assert!(self.building);
        }
        let budget = self.rng.range(1, 4) as usize;
        let filled = self.store.fill_index(TableId(1), budget);
        match self.rng.below(10) {
            0 => {
                self.store.abandon_index(TableId(1));
                self.building = false;
            }
            _ if filled < budget => self.toggle_index(),
            _ => {}
        }
    }

    fn drop_bucket(&mut self) {
        // What was dropped is committed: a hand-over is never undone.
        self.committed = self.applied;
        self.store.committed(LogIndex(self.committed));
        let bucket = BucketId(self.rng.below(3) as u16);
        self.store.drop_bucket(bucket);
        self.model.retain(|(_, own, _), _| *own != bucket);
    }

    fn toggle_hold(&mut self) {
        match self.hold.take() {
            Some(_) => {}
            None => {
                let at = AsOf {
                    ts: Timestamp(self.rng.range(self.watermark, self.clock)),
                    log_index: LogIndex(self.committed),
                };
                self.hold = Some((self.store.hold(at), at));
            }
        }
    }

    fn model_as_of(versions: &ModelVersions, at: AsOf) -> Option<&Bytes> {
        let seen = versions.iter().find(|(ts, index, _)| *ts <= at.ts && *index <= at.log_index);
        seen.and_then(|(_, _, row)| row.as_ref())
    }

    fn check(&mut self) {
        let at = Timestamp(self.rng.range(self.watermark, self.clock + 2));
        for id in [TableId(1), TableId(2)] {
            self.check_table(id, at);
        }
        self.check_index(at);
        if let Some((_, at)) = self.hold {
            for ((table, bucket, key), versions) in &self.model {
                let seen = self.store.versions(*table, *bucket, key);
                let seen = seen.iter().find(|version| at.includes(version));
                assert_eq!(
                    seen.and_then(|v| v.row()),
                    Self::model_as_of(versions, at).map(|r| &r[..])
                );
            }
        }
        assert_eq!(self.store.check(), Ok(()));
        assert_eq!(self.digest_afresh(), self.store.state_hash());
    }

    /// The hash as a store says that was never asked before.
    fn digest_afresh(&self) -> u64 {
        let mut afresh = Store::new();
        afresh.create_table(table(1, self.indexed));
        afresh.create_table(table(2, false));
        for ((table, bucket, key), versions) in &self.model {
            let (ts, index, row) = &versions[0];
            let write =
                RowWrite { table: *table, bucket: *bucket, key: key.clone(), row: row.clone() };
            afresh.load(AsOf { ts: *ts, log_index: *index }, &write);
        }
        afresh.state_hash()
    }

    fn check_table(&self, id: TableId, at: Timestamp) {
        let expected: Vec<(BucketId, &[u8], &[u8])> = self
            .model
            .iter()
            .filter(|((table, _, _), _)| *table == id)
            .filter_map(|((_, bucket, key), versions)| {
                Some((*bucket, &key[..], &Self::model_as_of(versions, AsOf::ts(at))?[..]))
            })
            .collect();
        let scanned: Vec<_> = self
            .store
            .scan_buckets(id, ALL_KEYS, at)
            .filter_map(|(bucket, key, seen)| Some((bucket, key, seen.row?)))
            .collect();
        assert_eq!(scanned, expected, "table {id} at {at}");
        for (bucket, key, row) in &expected {
            let seen = self.store.get(id, *bucket, key, at).expect("it is there");
            assert_eq!(seen.row, Some(*row));
            let newest = &self.model[&(id, *bucket, Bytes::copy_from_slice(key))][0];
            assert_eq!((seen.newest_ts, seen.newest_log_index), (newest.0, newest.1));
            assert_eq!(self.store.newest(id, *bucket, key), Some((newest.0, newest.1)));
        }
        let mut in_key_order = expected.clone();
        in_key_order.sort_by_key(|(bucket, key, _)| (*key, *bucket));
        let merged: Vec<_> = self
            .store
            .scan_ordered(id, ALL_KEYS, at)
            .filter_map(|(bucket, key, seen)| Some((bucket, key, seen.row?)))
            .collect();
        assert_eq!(merged, in_key_order);
        self.check_ranges(id, at, &expected);
    }

    fn check_ranges(&self, id: TableId, at: Timestamp, rows: &[(BucketId, &[u8], &[u8])]) {
        for (low, high) in [(1, 4), (3, 3), (5, 2)] {
            let (low, high) = (key(low), key(high));
            let range = (Bound::Included(&low[..]), Bound::Excluded(&high[..]));
            let inside = |k: &[u8]| *k >= *low && *k < *high;
            let mut expected: Vec<&[u8]> = rows
                .iter()
                .filter(|(bucket, k, _)| *bucket == BucketId(1) && inside(k))
                .map(|(_, k, _)| *k)
                .collect();
            let scan = || self.store.scan(id, BucketId(1), range, at);
            let rows_of = |(k, seen): (_, super::Seen<'_>)| seen.row.map(|_| k);
            assert_eq!(scan().filter_map(rows_of).collect::<Vec<&[u8]>>(), expected);
            expected.reverse();
            assert_eq!(scan().rev().filter_map(rows_of).collect::<Vec<&[u8]>>(), expected);
        }
    }

    fn check_index(&self, at: Timestamp) {
        let mut found = Vec::new();
        let mut last_key: Option<&[u8]> = None;
        for hit in self.store.index_scan(TableId(1), INDEX, ALL_KEYS, at) {
            assert!(last_key.is_none_or(|last| last < hit.index_key), "in order, each once");
            last_key = Some(hit.index_key);
            if let Some(row) = hit.seen.row {
                found.push((value_of(row), hit.bucket, hit.primary_key.to_vec()));
            }
        }
        let expected: BTreeSet<_> = self
            .model
            .iter()
            .filter(|((table, _, _), _)| *table == TableId(1) && self.indexed)
            .filter_map(|((_, bucket, key), versions)| {
                let row = Self::model_as_of(versions, AsOf::ts(at))?;
                Some((value_of(row), *bucket, key.to_vec()))
            })
            .collect();
        assert_eq!(found.len(), expected.len(), "at {at}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
    }

    /// With every reader gone, one version a row is left, and equal state has an equal hash.
    fn end(mut self) {
        self.hold = None;
        self.store.committed(LogIndex(self.applied));
        assert!(!self.store.gc(Timestamp::MAX, usize::MAX));
        let mut replica = Store::new();
        replica.create_table(table(1, self.indexed));
        replica.create_table(table(2, false));
        let mut log: BTreeMap<LogIndex, Vec<(Timestamp, RowWrite)>> = BTreeMap::new();
        for ((table, bucket, key), versions) in &self.model {
            let kept = self.store.versions(*table, *bucket, key);
            let live = usize::from(versions[0].2.is_some());
            assert_eq!(kept.len(), live, "{kept:?} of {versions:?}");
            for (ts, index, row) in versions.iter().rev() {
                let (table, bucket, key) = (*table, *bucket, key.clone());
                let write = RowWrite { table, bucket, key, row: row.clone() };
                log.entry(*index).or_default().push((*ts, write));
            }
        }
        for (index, rows) in log {
            replica.apply_moved(index, &rows);
        }
        assert_eq!(replica.state_hash(), self.store.state_hash());
        replica.apply(LogIndex(u64::MAX), Timestamp::MAX, &[put(1, 0, 99, 1)]);
        assert_ne!(replica.state_hash(), self.store.state_hash());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_store_is_its_model(seed in any::<u64>()) {
        let mut pair = Pair::new(seed);
        for _ in 0..120 {
            pair.step();
            if pair.rng.chance(200_000) {
                pair.check();
            }
        }
        pair.check();
        pair.end();
    }
}

#[test]
fn a_reader_below_what_was_collected_is_told() {
    let mut store = Store::new();
    store.create_table(table(1, false));
    for (index, ts) in [(1, 10), (2, 20)] {
        store.committed(LogIndex(index));
        store.apply(LogIndex(index), Timestamp(ts), &[put(1, 1, 7, index as i32)]);
    }
    store.gc(Timestamp(19), 10);
    assert!(store.check_readable(Timestamp(15)).is_ok());
    store.gc(Timestamp(20), 10);
    assert!(store.check_readable(Timestamp(20)).is_ok());
    let refused = store.check_readable(Timestamp(15)).unwrap_err();
    assert_eq!(refused.state, SqlState::SerializationFailure);
}

#[test]
fn a_speculative_version_does_not_free_what_is_under_it() {
    let mut store = Store::new();
    store.create_table(table(1, false));
    store.apply(LogIndex(1), Timestamp(10), &[put(1, 1, 7, 1)]);
    store.committed(LogIndex(1));
    store.apply(LogIndex(2), Timestamp(20), &[put(1, 1, 7, 2)]);
    store.gc(Timestamp(100), 10);
    store.undo_above(LogIndex(1));
    let seen = store.get(TableId(1), BucketId(1), &key(7), Timestamp(100)).unwrap();
    assert_eq!(value_of(seen.row.unwrap()), Some(1));
}

#[test]
fn a_dropped_table_is_freed_in_slices() {
    let mut store = Store::new();
    store.create_table(table(1, true));
    let writes: Vec<RowWrite> = (0..100).map(|id| put(1, (id % 7) as u16, id, 1)).collect();
    store.committed(LogIndex(1));
    store.apply(LogIndex(1), Timestamp(1), &writes);
    assert!(store.bytes() > 10_000);
    store.drop_table(TableId(1));
    assert_eq!(store.scan_buckets(TableId(1), ALL_KEYS, Timestamp::MAX).count(), 0);
    let mut slices = 0;
    while store.gc(Timestamp(0), 10) {
        slices += 1;
    }
    assert!(slices >= 20, "{slices}");
    assert_eq!(store.bytes(), 0);
}

#[test]
fn a_renamed_index_is_not_built_anew() {
    let mut store = Store::new();
    store.create_table(table(1, true));
    let writes: Vec<RowWrite> = (0..100).map(|id| put(1, 1, id, id as i32)).collect();
    store.apply(LogIndex(1), Timestamp(1), &writes);
    let shape = store.shape_of(TableId(1));
    let mut renamed = TableDef::clone(&table(1, true));
    renamed.indexes[0].name = "another".into();
    store.alter_table(Arc::new(renamed));
    assert_ne!(store.shape_of(TableId(1)), shape);
    assert_eq!(store.doomed(), 0, "the old one was not thrown away");
    assert_eq!(store.table(TableId(1)).unwrap().indexes[0].name, "another");
    assert_eq!(store.index_scan(TableId(1), INDEX, ALL_KEYS, Timestamp::MAX).count(), 100);
    assert_eq!(store.check(), Ok(()));
}

#[test]
fn a_truncated_table_is_another_one() {
    let mut store = Store::new();
    store.create_table(table(1, true));
    store.create_table(table(2, false));
    store.apply(LogIndex(1), Timestamp(1), &[put(1, 1, 7, 7), put(1, 2, 8, 8), put(2, 1, 7, 7)]);
    let shapes = |store: &Store| [1, 2].map(|id| store.shape_of(TableId(id)));
    let [first, second] = shapes(&store);
    store.committed(LogIndex(1));
    store.drop_bucket(BucketId(2));
    store.truncate_table(TableId(1));
    assert_ne!(shapes(&store)[0], first);
    assert_eq!(shapes(&store)[1], second, "only that one");
    store.apply(LogIndex(2), Timestamp(2), &[put(1, 2, 8, 8)]);
    while store.gc(Timestamp(2), 1) {}
    assert_eq!(store.scan_buckets(TableId(1), ALL_KEYS, Timestamp::MAX).count(), 1);
    assert_eq!((store.doomed(), store.check()), (0, Ok(())));
}

#[test]
fn a_row_takes_less_than_200_bytes() {
    let mut store = Store::new();
    store.create_table(table(1, false));
    let row = Bytes::from(vec![7; 100]);
    for id in 1..=10_000u64 {
        let mut write = write(1, 1, 0, Some(row.clone()));
        write.key = Bytes::copy_from_slice(&id.to_be_bytes());
        store.committed(LogIndex(id));
        store.apply(LogIndex(id), Timestamp(id), &[write]);
    }
    assert!(store.bytes() / 10_000 <= 200, "{} bytes a row", store.bytes() / 10_000);
}
