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
use super::ordered::{ALL_KEYS, KeyRange};
use super::secondary::SecondaryIndex;
use super::table::{BucketTree, IndexHit, Seen, Table, see};
use super::version::{AsOf, Chain, Version};
use crate::base::schema::TableRef;
use crate::base::{
    BucketId, IndexId, LogIndex, RowWrite, SqlError, SqlResult, SqlState, TableId, Timestamp,
};

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
    Bucket { table: TableId, tree: Box<BucketTree> },
}

/// A promise that garbage collection keeps what a reader as of some time needs, until it is dropped.
#[derive(Debug)]
#[must_use = "without it the versions may go"]
pub struct Hold(Rc<AsOf>);

/// The tables of a group.
#[derive(Debug, Default)]
pub struct Store {
    tables: BTreeMap<TableId, Table>,
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
        match self.tables.get_mut(&def.id) {
            Some(_) => self.alter_table(def),
            None => drop(self.tables.insert(def.id, Table::new(def))),
        }
    }

    /// Takes a table's changed definition. New indexes are filled from its rows, vanished ones go.
    /// Columns may only have been added at the end.
    pub fn alter_table(&mut self, def: TableRef) {
        self.finish_buckets(def.id);
        let Some(table) = self.tables.get_mut(&def.id) else { return };
        self.doomed.extend(table.alter(def).into_iter().map(Doomed::Index));
    }

    pub fn drop_table(&mut self, table: TableId) {
        let dropped = self.tables.remove(&table);
        self.doomed.extend(dropped.map(|table| Doomed::Table(Box::new(table))));
    }

    /// Drops the rows of a bucket in all tables.
    pub fn drop_bucket(&mut self, bucket: BucketId) {
        for (id, table) in &mut self.tables {
            let tree = table.take_bucket(bucket);
            self.doomed.extend(tree.map(|tree| Doomed::Bucket { table: *id, tree }));
        }
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

    /// The buckets of a table that hold something, in order.
    pub fn buckets(&self, table: TableId) -> impl Iterator<Item = BucketId> {
        self.tables.get(&table).into_iter().flat_map(Table::buckets).map(|(bucket, _)| bucket)
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
        let Some(table) = self.tables.get_mut(&id) else { return };
        let version = Version::new(ts, log_index, write.row.as_deref());
        let collect = table.put(bucket, &write.key, version);
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
        let Some(table) = self.tables.get_mut(&id) else { return };
        table.take_versions(bucket, key.as_slice(), |chain| {
            chain.take_unless(|version| version.log_index() <= index)
        });
        let Some(newest) = table.chain(bucket, key.as_slice()).map(Chain::newest) else { return };
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
        if let Some(table) = self.tables.get_mut(&touched.table) {
            let prune = |chain: &mut Chain| chain.prune(horizon);
            table.take_versions(touched.bucket, touched.key.as_slice(), prune);
        }
        true
    }

    /// Frees up to `budget` rows of what was dropped first; gives how many.
    fn sweep_doomed(&mut self, budget: usize) -> usize {
        let Some(mut doomed) = self.doomed.pop_front() else { return 0 };
        let swept = match &mut doomed {
            Doomed::Table(table) => table.sweep(budget),
            Doomed::Index(index) => index.sweep(budget),
            Doomed::Bucket { table, tree } => match self.tables.get_mut(table) {
                Some(table) => table.sweep_rows(tree, budget),
                None => 0,
            },
        };
        if swept == budget {
            self.doomed.push_front(doomed);
        }
        swept
    }

    /// Frees a table's dropped buckets at once: they are in the indexes it has, not in those it will
    /// have.
    fn finish_buckets(&mut self, id: TableId) {
        let Some(rows) = self.tables.get_mut(&id) else { return };
        for doomed in &mut self.doomed {
            if let Doomed::Bucket { table, tree } = doomed
                && *table == id
            {
                rows.sweep_rows(tree, usize::MAX);
            }
        }
    }

    // Measures

    /// Bytes of everything here.
    pub fn bytes(&self) -> u64 {
        let tables: u64 = self.tables.values().map(Table::bytes).sum();
        let doomed: u64 = self.doomed.iter().map(Doomed::bytes).sum();
        tables + doomed + self.queued_bytes
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

    /// A hash over every row there is now, equal on replicas that applied the same entries.
    pub fn state_hash(&self) -> u64 {
        let mut hash = Xxh3::new();
        for (id, table) in &self.tables {
            hash.update(&id.0.to_le_bytes());
            for (bucket, tree) in table.buckets() {
                for (key, chain) in tree.range(ALL_KEYS) {
                    let newest = chain.newest();
                    let Some(row) = newest.row() else { continue };
                    hash.update(&bucket.0.to_le_bytes());
                    hash.update(&newest.ts().0.to_le_bytes());
                    for bytes in [key.as_slice(), row] {
                        hash.update(&(bytes.len() as u64).to_le_bytes());
                        hash.update(bytes);
                    }
                }
            }
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
            let buckets = rows.buckets().filter(move |(bucket, _)| *bucket >= from);
            buckets.flat_map(move |(number, tree)| {
                let first = *id == table && number == bucket;
                let range = if first { (start, Bound::Unbounded) } else { ALL_KEYS };
                tree.range(range).map(move |(key, chain)| (*id, number, key.as_slice(), chain))
            })
        })
    }

    /// The bytes as counted from nothing, dropped parts left out.
    #[cfg(test)]
    pub(super) fn recount_bytes(&self) -> u64 {
        let queued = self.undo.iter().chain(&self.superseded).map(Touched::bytes).sum::<u64>();
        self.tables.values().map(Table::recount_bytes).sum::<u64>() + queued
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
