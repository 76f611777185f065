//! The rows of one Raft group's tables.
//!
//! # Model
//!
//! A key leads to its versions, newest first, each with the timestamp of its transaction and the
//! index of the log entry that made it. Readers name a timestamp and see the newest version at or
//! below it. A leader applies an entry when it appends it; should it lose leadership, the versions
//! above the commit index are popped:
//!
//! ```text
//!   log     1   2   3   4   5          undo list: the keys written by 4 and 5
//!                   │       │          committed(4): forget 4's
//!            committed   applied       undo_above(3): pop the versions of 4 and 5
//! ```
//!
//! # Garbage
//!
//! Each write over an older version queues its key. Once no reader can be below the write's
//! timestamp, what is under it goes: work follows writes, never table sizes. What a snapshot scan
//! still needs is kept by a hold. Dropped tables, indexes and buckets disappear at once and are freed
//! in slices.
//!
//! Everything here is the same on every replica, except how much garbage is left.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::rc::{Rc, Weak};

use xxhash_rust::xxh3::Xxh3;

use super::key::Key;
use super::memory::allocation_bytes;
use super::merge::Merge;
use super::ordered::{ALL_KEYS, KeyRange, OrderedIndex};
use super::secondary::{IndexEntry, SecondaryIndex};
use super::table::{BucketTree, Building, IndexHit, Seen, Table, see};
use super::version::{AsOf, Chain, Version};
use crate::base::schema::TableRef;
use crate::base::{
    BucketId, IndexId, LogIndex, RowWrite, SqlError, SqlResult, SqlState, TableId, Timestamp,
};

/// Bytes of a key of an index, before anybody knows them.
const INDEX_KEY_BYTES: usize = 32;

/// A key a log entry wrote to.
#[derive(Clone, Debug)]
struct Touched {
    log_index: LogIndex,
    ts: Timestamp,
    table: TableId,
    bucket: BucketId,
    key: Key,
}

impl Touched {
    fn bytes(&self) -> u64 {
        size_of::<Touched>() as u64 + self.key.heap_bytes()
    }
}

/// What was dropped and is being freed.
#[derive(Debug)]
enum Doomed {
    Table(Box<Table>),
    Index(SecondaryIndex),
    Bucket { table: TableId, bucket: BucketId, tree: Box<BucketTree> },
}

/// A promise that garbage collection keeps what a reader as of some time needs, until it is dropped.
#[derive(Debug)]
#[must_use = "without it the versions may go"]
pub struct Hold(Rc<AsOf>);

/// The tables of a group.
#[derive(Debug, Default)]
pub struct Store {
    tables: BTreeMap<TableId, Table>,
    /// When each table was created, truncated or got another definition: the `shapings` of that time.
    shaped: BTreeMap<TableId, u64>,
    shapings: u64,
    /// The highest entry applied.
    applied: LogIndex,
    /// Entries up to here are never undone.
    committed: LogIndex,
    /// Keys written by entries above `committed`, in log order.
    undo: VecDeque<Touched>,
    /// Keys with something to collect, in log order.
    superseded: VecDeque<Touched>,
    /// Bytes of the keys in `undo` and `superseded`.
    queued_bytes: u64,
    /// Bytes of `tables` and `doomed`.
    held_bytes: u64,
    doomed: VecDeque<Doomed>,
    holds: Vec<Weak<AsOf>>,
    /// Reads below this may miss versions that were collected.
    readable_from: Timestamp,
}

impl Store {
    pub fn new() -> Store {
        Store::default()
    }

    // Tables

    /// Adds an empty table; an existing one with its id is altered.
    pub fn create_table(&mut self, def: TableRef) {
        if self.tables.contains_key(&def.id) {
            return self.alter_table(def);
        }
        self.shape(def.id);
        self.tables.insert(def.id, Table::new(def));
    }

    /// Takes a table's changed definition. New indexes are filled from its rows, vanished ones go.
    /// Columns may only have been added at the end.
    pub fn alter_table(&mut self, def: TableRef) {
        let id = def.id;
        if self.table(id).is_none_or(|known| *known == def) {
            return;
        }
        self.finish_buckets(id);
        self.shape(id);
        let gone = self.change(id, |table| table.alter(def));
        self.doom_indexes(gone.into_iter().flatten());
    }

    pub fn drop_table(&mut self, table: TableId) {
        self.shaped.remove(&table);
        let dropped = self.tables.remove(&table);
        self.doomed.extend(dropped.map(|table| Doomed::Table(Box::new(table))));
    }

    /// Drops all rows of a table.
    pub fn truncate_table(&mut self, id: TableId) {
        let Some(def) = self.table(id).cloned() else { return };
        self.finish_buckets(id);
        self.drop_table(id);
        self.create_table(def);
    }

    /// Drops the rows of a bucket in all tables.
    pub fn drop_bucket(&mut self, bucket: BucketId) {
        let ids: Vec<TableId> = self.tables.keys().copied().collect();
        for id in ids {
            let tree = self.tables.get_mut(&id).and_then(|table| table.take_bucket(bucket));
            self.doomed.extend(tree.map(|tree| Doomed::Bucket { table: id, bucket, tree }));
            // What fills an index must not meet rows of a bucket that is gone and came back.
            if self.building(id).is_some() {
                self.finish_buckets(id);
            }
        }
    }

    /// Tells one shape of a table from another: it changes when the table is truncated or gets another
    /// definition. `None`: there is no such table.
    pub fn shape_of(&self, table: TableId) -> Option<u64> {
        self.shaped.get(&table).copied()
    }

    fn shape(&mut self, table: TableId) {
        self.shapings += 1;
        self.shaped.insert(table, self.shapings);
    }

    /// Changes a table and counts what it takes; `None` if there is none.
    fn change<T>(&mut self, id: TableId, change: impl FnOnce(&mut Table) -> T) -> Option<T> {
        let table = self.tables.get_mut(&id)?;
        let before = table.bytes();
        let result = change(table);
        self.held_bytes = self.held_bytes + table.bytes() - before;
        Some(result)
    }

    fn doom_indexes(&mut self, gone: impl Iterator<Item = SecondaryIndex>) {
        for index in gone {
            self.held_bytes += index.bytes();
            self.doomed.push_back(Doomed::Index(index));
        }
    }

    // Indexes in the making

    /// Begins to build an index of a definition that comes into force with [`Store::alter_table`].
    /// Readers do not see it before. `false`: there is no such table or index.
    pub fn begin_index(&mut self, def: &TableRef, index: IndexId) -> bool {
        let Some(index) = def.indexes.iter().find(|i| i.id == index) else { return false };
        self.finish_buckets(def.id);
        self.change(def.id, |table| table.begin_index(def, index)).is_some()
    }

    /// Puts up to `budget` more rows of a table into the index being built; gives how many. Fewer than
    /// `budget`: it is complete.
    pub fn fill_index(&mut self, table: TableId, budget: usize) -> usize {
        self.change(table, |table| table.fill_index(budget)).unwrap_or(0)
    }

    /// What a complete index being built holds, as [`Store::index_scan`] tells it, with the rows as of
    /// a position of the log.
    pub fn scan_building(
        &self,
        table: TableId,
        range: KeyRange<'_>,
        at: LogIndex,
    ) -> impl Iterator<Item = IndexHit<'_>> {
        let at = AsOf { ts: Timestamp::MAX, log_index: at };
        let found = self.tables.get(&table).and_then(|t| Some((t, t.building()?.index())));
        let pending = !self.doomed.is_empty();
        let hits = found.map(|(table, index)| table.index_scan(index, range, at, pending));
        hits.into_iter().flatten()
    }

    /// Gives up the index being built.
    pub fn abandon_index(&mut self, table: TableId) {
        let gone = self.change(table, Table::abandon_index);
        self.doom_indexes(gone.flatten().into_iter());
    }

    fn building(&self, table: TableId) -> Option<&Building> {
        self.tables.get(&table)?.building()
    }

    /// An estimate of what one more index of a table adds, for admission.
    pub fn index_bytes(&self, table: TableId) -> u64 {
        let entry = OrderedIndex::<IndexEntry>::ENTRY_BYTES + allocation_bytes(INDEX_KEY_BYTES);
        self.table_keys(table) * entry
    }

    pub fn table(&self, table: TableId) -> Option<&TableRef> {
        self.tables.get(&table).map(Table::def)
    }

    pub fn tables(&self) -> impl Iterator<Item = &TableRef> {
        self.tables.values().map(Table::def)
    }

    // Reads

    /// What a read at `at` finds under a key; `None` if the key has no version at all.
    pub fn get(
        &self,
        table: TableId,
        bucket: BucketId,
        key: &[u8],
        at: Timestamp,
    ) -> Option<Seen<'_>> {
        Some(see(self.chain(table, bucket, key)?, AsOf::ts(at)))
    }

    /// Timestamp and log index of a key's newest version, a delete included.
    pub fn newest(
        &self,
        table: TableId,
        bucket: BucketId,
        key: &[u8],
    ) -> Option<(Timestamp, LogIndex)> {
        let newest = self.chain(table, bucket, key)?.newest();
        Some((newest.ts(), newest.log_index()))
    }

    /// All versions of a key, newest first.
    pub fn versions(&self, table: TableId, bucket: BucketId, key: &[u8]) -> &[Version] {
        self.chain(table, bucket, key).map_or(&[], Chain::versions)
    }

    /// The keys of a bucket in order, with what a read at `at` finds: also deletes and rows that are
    /// newer than the read, with `row` being `None`.
    pub fn scan<'a>(
        &'a self,
        table: TableId,
        bucket: BucketId,
        range: KeyRange<'_>,
        at: Timestamp,
    ) -> impl DoubleEndedIterator<Item = (&'a [u8], Seen<'a>)> + use<'a> {
        let tree = self.tables.get(&table).and_then(|t| t.bucket(bucket));
        let keys = tree.map(|tree| tree.range(range)).unwrap_or_default();
        keys.map(move |(key, chain)| (key.as_slice(), see(chain, AsOf::ts(at))))
    }

    /// The buckets of a table that hold something, in order, from `first` on.
    pub fn buckets_from(&self, table: TableId, first: BucketId) -> impl Iterator<Item = BucketId> {
        let table = self.tables.get(&table).into_iter();
        table.flat_map(move |table| table.buckets_from(first)).map(|(bucket, _)| bucket)
    }

    /// As [`Store::scan`], bucket after bucket: in key order only within each.
    pub fn scan_buckets<'a>(
        &'a self,
        table: TableId,
        range: KeyRange<'a>,
        at: Timestamp,
    ) -> impl Iterator<Item = (BucketId, &'a [u8], Seen<'a>)> + use<'a> {
        let buckets = self.tables.get(&table).into_iter().flat_map(Table::buckets);
        buckets.flat_map(move |(bucket, tree)| {
            let see = move |(key, chain)| (bucket, Key::as_slice(key), see(chain, AsOf::ts(at)));
            tree.range(range).map(see)
        })
    }

    /// As [`Store::scan`], over all buckets, in key order: a merge.
    pub fn scan_ordered<'a>(
        &'a self,
        table: TableId,
        range: KeyRange<'_>,
        at: Timestamp,
    ) -> impl Iterator<Item = (BucketId, &'a [u8], Seen<'a>)> + use<'a> {
        let buckets = self.tables.get(&table).into_iter().flat_map(Table::buckets);
        Merge::new(buckets.map(|(bucket, tree)| (bucket, tree.range(range))))
            .map(move |(bucket, key, chain)| (bucket, key.as_slice(), see(chain, AsOf::ts(at))))
    }

    /// The entries of a secondary index in order. Those whose `seen.row` is `None` are no result, but
    /// tell of versions that were seen or are newer.
    pub fn index_scan<'a>(
        &'a self,
        table: TableId,
        index: IndexId,
        range: KeyRange<'_>,
        at: Timestamp,
    ) -> impl DoubleEndedIterator<Item = IndexHit<'a>> + use<'a> {
        let found = self.tables.get(&table).and_then(|table| Some((table, table.index(index)?)));
        let pending = !self.doomed.is_empty();
        let hits =
            found.map(|(table, index)| table.index_scan(index, range, AsOf::ts(at), pending));
        hits.into_iter().flatten()
    }

    /// Whether a read at `at` still finds everything. 40001 if versions it needs may be gone.
    pub fn check_readable(&self, at: Timestamp) -> SqlResult<()> {
        if at >= self.readable_from {
            return Ok(());
        }
        Err(SqlError::new(SqlState::SerializationFailure, "snapshot too old")
            .with_detail("The transaction is older than the versions that are kept.")
            .with_hint("Retry the transaction."))
    }

    fn chain(&self, table: TableId, bucket: BucketId, key: &[u8]) -> Option<&Chain> {
        self.tables.get(&table)?.chain(bucket, key)
    }

    // Writes

    /// Applies a log entry's writes; never fails. `false` and no effect if the entry was applied
    /// before. Writes to a table that was dropped earlier in the log are left out.
    pub fn apply(&mut self, log_index: LogIndex, ts: Timestamp, writes: &[RowWrite]) -> bool {
        self.apply_each(log_index, writes.iter().map(|write| (ts, write)))
    }

    /// As [`Store::apply`], with a timestamp a row: rows that came from another shard keep theirs.
    pub fn apply_moved(&mut self, log_index: LogIndex, rows: &[(Timestamp, RowWrite)]) -> bool {
        self.apply_each(log_index, rows.iter().map(|(ts, write)| (*ts, write)))
    }

    fn apply_each<'a>(
        &mut self,
        log_index: LogIndex,
        writes: impl Iterator<Item = (Timestamp, &'a RowWrite)>,
    ) -> bool {
        if log_index <= self.applied {
            return false;
        }
        self.applied = log_index;
        for (ts, write) in writes {
            self.put(log_index, ts, write);
        }
        true
    }

    fn put(&mut self, log_index: LogIndex, ts: Timestamp, write: &RowWrite) {
        let &RowWrite { table: id, bucket, .. } = write;
        let put = |table: &mut Table| {
            let version = Version::new(ts, log_index, write.row.as_deref());
            table.put(bucket, &write.key, version)
        };
        let Some(collect) = self.change(id, put) else { return };
        let touched = Touched { log_index, ts, table: id, bucket, key: Key::new(&write.key) };
        if collect {
            self.queued_bytes += touched.bytes();
            self.superseded.push_back(touched.clone());
        }
        if log_index > self.committed {
            self.queued_bytes += touched.bytes();
            self.undo.push_back(touched);
        }
    }

    /// Adds a row of a snapshot. Only while nothing was applied yet.
    pub(super) fn load(&mut self, as_of: AsOf, write: &RowWrite) {
        self.committed = self.committed.max(as_of.log_index);
        self.put(as_of.log_index, as_of.ts, write);
    }

    /// Declares everything up to `index` applied and committed: at the end of loading a snapshot.
    pub(super) fn loaded(&mut self, at: AsOf) {
        assert_eq!(self.applied, LogIndex(0), "a snapshot is loaded into an empty store");
        self.applied = at.log_index;
        self.readable_from = self.readable_from.max(at.ts);
        self.committed(at.log_index);
    }

    /// Timestamp of the newest write to a table, whether it was undone since or not.
    pub fn newest_write(&self, table: TableId) -> Timestamp {
        self.tables.get(&table).map_or(Timestamp(0), Table::newest_write)
    }

    /// The highest entry applied.
    pub fn applied(&self) -> LogIndex {
        self.applied
    }

    /// Entries up to `index` are committed and will never be undone.
    pub fn committed(&mut self, index: LogIndex) {
        self.committed = self.committed.max(index);
        while let Some(touched) = self.undo.front()
            && touched.log_index <= index
        {
            self.queued_bytes -= touched.bytes();
            self.undo.pop_front();
        }
    }

    /// Pops the versions of all entries above `index`, which must not be below what is committed.
    pub fn undo_above(&mut self, index: LogIndex) {
        assert!(
            index >= self.committed,
            "undo above {index}, but entries up to {} are committed",
            self.committed
        );
        while self.superseded.back().is_some_and(|touched| touched.log_index > index)
            && let Some(touched) = self.superseded.pop_back()
        {
            self.queued_bytes -= touched.bytes();
        }
        while self.undo.back().is_some_and(|touched| touched.log_index > index)
            && let Some(touched) = self.undo.pop_back()
        {
            self.queued_bytes -= touched.bytes();
            self.undo_one(touched, index);
        }
        self.applied = self.applied.min(index);
    }

    fn undo_one(&mut self, touched: Touched, index: LogIndex) {
        let Touched { table: id, bucket, key, .. } = touched;
        self.change(id, |table| {
            table.take_versions(bucket, key.as_slice(), |chain| {
                chain.take_unless(|version| version.log_index() <= index)
            });
        });
        let Some(newest) = self.chain(id, bucket, key.as_slice()).map(Chain::newest) else {
            return;
        };
        if newest.row().is_none() {
            // Its turn may have come while a version stood above it.
            let (ts, log_index) = (newest.ts(), newest.log_index());
            let touched = Touched { ts, log_index, table: id, bucket, key };
            self.queued_bytes += touched.bytes();
            let at = self.superseded.partition_point(|t| t.log_index < log_index);
            self.superseded.insert(at, touched);
        }
    }

    // Garbage

    /// Keeps what a reader at `at` needs for as long as the hold lives.
    pub fn hold(&mut self, at: AsOf) -> Hold {
        let at = Rc::new(at);
        self.holds.push(Rc::downgrade(&at));
        Hold(at)
    }

    /// Whether a hold is this store's.
    pub fn keeps(&self, hold: &Hold) -> bool {
        self.holds.iter().any(|known| std::ptr::eq(known.as_ptr(), Rc::as_ptr(&hold.0)))
    }

    /// Holds that live.
    pub fn holds(&self) -> usize {
        self.holds.iter().filter(|hold| hold.strong_count() > 0).count()
    }

    /// Rows with versions that wait to be freed.
    pub fn superseded(&self) -> usize {
        self.superseded.len()
    }

    /// Frees what no reader at or above `watermark` needs, up to `budget` rows. `true` if the budget
    /// ended it and there may be more.
    pub fn gc(&mut self, watermark: Timestamp, budget: usize) -> bool {
        if self.holds.is_empty() && self.superseded.is_empty() && self.doomed.is_empty() {
            return false;
        }
        let limit = AsOf { ts: watermark, log_index: self.committed };
        self.holds.retain(|hold| hold.strong_count() > 0);
        let held = self.holds.iter().filter_map(Weak::upgrade);
        let horizon = held.fold(limit, |at, hold| at.min(*hold));
        let mut left = budget;
        while left > 0 && self.collect_one(horizon) {
            left -= 1;
        }
        while left > 0 && !self.doomed.is_empty() {
            left -= self.sweep_doomed(left).max(1);
        }
        left == 0
    }

    /// Prunes the key whose turn it is; `false` if it is too early for it.
    fn collect_one(&mut self, horizon: AsOf) -> bool {
        let ripe = |t: &Touched| t.ts <= horizon.ts && t.log_index <= horizon.log_index;
        if !self.superseded.front().is_some_and(ripe) {
            return false;
        }
        let Some(touched) = self.superseded.pop_front() else { return false };
        self.queued_bytes -= touched.bytes();
        self.readable_from = self.readable_from.max(horizon.ts);
        self.change(touched.table, |table| {
            let prune = |chain: &mut Chain| chain.prune(horizon);
            table.take_versions(touched.bucket, touched.key.as_slice(), prune);
        });
        true
    }

    /// Frees up to `budget` rows of what was dropped first; gives how many.
    fn sweep_doomed(&mut self, budget: usize) -> usize {
        let Some(mut doomed) = self.doomed.pop_front() else { return 0 };
        let before = doomed.bytes();
        let swept = match &mut doomed {
            Doomed::Table(table) => table.sweep(budget),
            Doomed::Index(index) => index.sweep(budget),
            Doomed::Bucket { table, bucket, tree } => {
                self.change(*table, |table| table.sweep_rows(*bucket, tree, budget)).unwrap_or(0)
            }
        };
        self.held_bytes -= before;
        if swept == budget {
            self.held_bytes += doomed.bytes();
            self.doomed.push_front(doomed);
        }
        swept
    }

    /// Frees a table's dropped buckets at once: they are in the indexes it has, not in those it will
    /// have.
    fn finish_buckets(&mut self, id: TableId) {
        let is_bucket = |d: &Doomed| matches!(d, Doomed::Bucket { table, .. } if *table == id);
        if !self.doomed.iter().any(is_bucket) {
            return;
        }
        let (buckets, others): (VecDeque<_>, _) =
            std::mem::take(&mut self.doomed).into_iter().partition(is_bucket);
        self.doomed = others;
        for doomed in buckets {
            if let Doomed::Bucket { bucket, mut tree, .. } = doomed {
                self.change(id, |table| table.sweep_rows(bucket, &mut tree, usize::MAX));
            }
        }
    }

    /// Parts dropped and not freed yet.
    pub fn doomed(&self) -> usize {
        self.doomed.len()
    }

    // Measures

    /// Bytes of everything here.
    pub fn bytes(&self) -> u64 {
        self.held_bytes + self.queued_bytes
    }

    /// Bytes of a table's rows and indexes; those of buckets being freed included.
    pub fn table_bytes(&self, table: TableId) -> u64 {
        self.tables.get(&table).map_or(0, Table::bytes)
    }

    /// Keys of a table, deleted ones that garbage collection has not reached included.
    pub fn table_keys(&self, table: TableId) -> u64 {
        let buckets = self.tables.get(&table).into_iter().flat_map(Table::buckets);
        buckets.map(|(_, tree)| tree.len() as u64).sum()
    }

    /// An estimate of what writing a row adds, for admission.
    pub fn write_bytes(write: &RowWrite) -> u64 {
        let row = write.row.as_ref().map_or(0, |row| row.len());
        BucketTree::ENTRY_BYTES
            + Key::new(&write.key).heap_bytes()
            + allocation_bytes(row + 17)
            + 2 * size_of::<Touched>() as u64
    }

    /// A hash over every definition and every row there is now, equal on replicas that applied the
    /// same entries. Asked again, it looks at the buckets that were written to since.
    pub fn state_hash(&self) -> u64 {
        let mut hash = Xxh3::new();
        for (id, table) in &self.tables {
            hash.update(&id.0.to_le_bytes());
            hash.update(&table.digest().to_le_bytes());
        }
        hash.digest()
    }

    /// The first key at or after a position, in table, bucket and key order: for snapshots.
    pub(super) fn rows_from(
        &self,
        (table, bucket, after): (TableId, BucketId, Option<&[u8]>),
    ) -> impl Iterator<Item = (TableId, BucketId, &[u8], &Chain)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.tables.range(table..).flat_map(move |(id, rows)| {
            let from = if *id == table { bucket } else { BucketId(0) };
            rows.buckets_from(from).flat_map(move |(number, tree)| {
                let first = *id == table && number == bucket;
                let range = if first { (start, Bound::Unbounded) } else { ALL_KEYS };
                tree.range(range).map(move |(key, chain)| (*id, number, key.as_slice(), chain))
            })
        })
    }

    pub(super) fn each_table(&self) -> impl Iterator<Item = &Table> {
        self.tables.values()
    }

    /// Rows of a table's buckets that were dropped and are not freed: its indexes have them.
    pub(super) fn doomed_rows(&self, id: TableId) -> impl Iterator<Item = (BucketId, &BucketTree)> {
        self.doomed.iter().filter_map(move |doomed| match doomed {
            Doomed::Bucket { table, bucket, tree } if *table == id => Some((*bucket, &**tree)),
            _ => None,
        })
    }

    /// Bytes of the keys in the queues, counted anew.
    pub(super) fn recount_queued(&self) -> u64 {
        self.undo.iter().chain(&self.superseded).map(Touched::bytes).sum()
    }

    /// Bytes of what was dropped.
    pub(super) fn doomed_bytes(&self) -> u64 {
        self.doomed.iter().map(Doomed::bytes).sum()
    }
}

impl Doomed {
    fn bytes(&self) -> u64 {
        match self {
            Doomed::Table(table) => table.bytes(),
            Doomed::Index(index) => index.bytes(),
            // Still counted by its table.
            Doomed::Bucket { .. } => 0,
        }
    }
}
