//! One table on this shard: a primary tree a bucket, and its secondary indexes.

use std::collections::btree_map::Entry;

use super::key::Key;
use super::ordered::{ALL_KEYS, KeyRange, OrderedIndex};
use super::secondary::SecondaryIndex;
use super::version::{AsOf, Chain, Version};
use crate::base::schema::{IndexDef, TableRef};
use crate::base::{BucketId, IndexId, LogIndex, RowLayout, Timestamp};

/// The rows of one bucket of one table.
pub type BucketTree = OrderedIndex<Chain>;

/// What a read found under a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen<'a> {
    /// The row as of the read; `None` if it did not exist then.
    pub row: Option<&'a [u8]>,
    /// Of the version that was seen, a delete included; zero where there was none yet.
    pub ts: Timestamp,
    pub log_index: LogIndex,
    /// Of the newest version, which may be later than the read.
    pub newest_ts: Timestamp,
    pub newest_log_index: LogIndex,
}

/// An entry of a secondary index that a scan met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexHit<'a> {
    pub index_key: &'a [u8],
    pub bucket: BucketId,
    pub primary_key: &'a [u8],
    /// Its `row` is `None` also where the version seen has other values in the indexed columns; the
    /// other fields still tell whether something newer exists.
    pub seen: Seen<'a>,
}

/// A table's rows, indexes and byte count.
#[derive(Debug)]
pub struct Table {
    def: TableRef,
    layout: RowLayout,
    /// By bucket id; made when first written to.
    buckets: Vec<Option<Box<BucketTree>>>,
    indexes: Vec<SecondaryIndex>,
    /// Of rows, without indexes.
    row_bytes: u64,
    newest_write: Timestamp,
}

impl Table {
    pub fn new(def: TableRef) -> Table {
        let layout = RowLayout::new(&def.columns, 0);
        let indexes = def.indexes.iter().map(|index| SecondaryIndex::new(&def, index)).collect();
        Table {
            layout,
            indexes,
            def,
            buckets: Vec::new(),
            row_bytes: 0,
            newest_write: Timestamp(0),
        }
    }

    pub fn def(&self) -> &TableRef {
        &self.def
    }

    /// Timestamp of the newest version that was ever put here.
    pub fn newest_write(&self) -> Timestamp {
        self.newest_write
    }

    /// Bytes of rows and indexes.
    pub fn bytes(&self) -> u64 {
        self.row_bytes + self.indexes.iter().map(SecondaryIndex::bytes).sum::<u64>()
    }

    /// Takes a changed definition: new indexes are filled, vanished ones are given back.
    pub fn alter(&mut self, def: TableRef) -> Vec<SecondaryIndex> {
        self.layout = RowLayout::new(&def.columns, 0);
        let is_kept = |index: &SecondaryIndex| def.indexes.iter().any(|d| d == index.def());
        let (kept, gone) = std::mem::take(&mut self.indexes).into_iter().partition(is_kept);
        self.indexes = kept;
        for index in &def.indexes {
            if self.index(index.id).is_none() {
                let filled = self.fill_index(&def, index);
                self.indexes.push(filled);
            }
        }
        self.def = def;
        gone
    }

    fn fill_index(&self, def: &TableRef, index: &IndexDef) -> SecondaryIndex {
        let mut filled = SecondaryIndex::new(def, index);
        for (bucket, tree) in self.buckets() {
            for (key, chain) in tree.range(ALL_KEYS) {
                for row in chain.versions().iter().filter_map(Version::row) {
                    if let Some(index_key) = filled.key_of(&self.layout, row, key.as_slice()) {
                        filled.add(&index_key, bucket, key.as_slice());
                    }
                }
            }
        }
        filled
    }

    /// The buckets that were written to, in order.
    pub fn buckets(&self) -> impl DoubleEndedIterator<Item = (BucketId, &BucketTree)> {
        self.buckets
            .iter()
            .enumerate()
            .filter_map(|(id, tree)| Some((BucketId(u16::try_from(id).ok()?), tree.as_deref()?)))
    }

    pub fn bucket(&self, bucket: BucketId) -> Option<&BucketTree> {
        self.buckets.get(usize::from(bucket.0))?.as_deref()
    }

    pub fn chain(&self, bucket: BucketId, key: &[u8]) -> Option<&Chain> {
        self.bucket(bucket)?.get(key)
    }

    pub fn index(&self, id: IndexId) -> Option<&SecondaryIndex> {
        self.indexes.iter().find(|index| index.def().id == id)
    }

    /// What an index holds in `range`, with the rows as of `at`.
    pub fn index_scan<'a>(
        &'a self,
        index: &'a SecondaryIndex,
        range: KeyRange<'_>,
        at: AsOf,
        rows_pending_sweep: bool,
    ) -> impl DoubleEndedIterator<Item = IndexHit<'a>> + use<'a> {
        index.entries().range(range).filter_map(move |(index_key, entry)| {
            let index_key = index_key.as_slice();
            let primary_key = entry.primary_key(index_key);
            // The bucket may have been dropped and the entry not yet be swept.
            let chain = self.chain(entry.bucket, primary_key)?;
            let mut seen = see(chain, at);
            // The only version of a row is the one its only index entry stands for.
            let only = matches!(chain, Chain::One(_)) && !rows_pending_sweep;
            if let Some(row) = seen.row
                && !only
                && index.key_of(&self.layout, row, primary_key).as_deref() != Some(index_key)
            {
                seen.row = None;
            }
            Some(IndexHit { index_key, bucket: entry.bucket, primary_key, seen })
        })
    }

    /// Adds a version. `true` if garbage collection will have something to do for it: it stands
    /// above another one or is a delete.
    pub fn put(&mut self, bucket: BucketId, key: &[u8], version: Version) -> bool {
        self.newest_write = self.newest_write.max(version.ts());
        self.index_version(bucket, key, &version);
        let (added, is_delete) = (version.heap_bytes(), version.row().is_none());
        let at = usize::from(bucket.0);
        if self.buckets.len() <= at {
            self.buckets.resize_with(at + 1, || None);
        }
        let key = Key::new(key);
        let fresh = BucketTree::ENTRY_BYTES + key.heap_bytes();
        let tree = self.buckets[at].get_or_insert_default();
        let (replaced, superseding) = match tree.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Chain::One(version));
                self.row_bytes += fresh;
                (None, false)
            }
            Entry::Occupied(mut entry) => {
                let chain = entry.get_mut();
                let before = chain.overhead_bytes();
                let replaced = chain.insert(version);
                self.row_bytes += chain.overhead_bytes();
                self.row_bytes -= before;
                (replaced, chain.versions().len() > 1)
            }
        };
        self.row_bytes += added;
        if let Some(replaced) = replaced {
            self.forget(key.as_slice(), &replaced);
        }
        superseding || is_delete
    }

    /// Changes the versions of a key by `take`, which gives those it took out.
    pub fn take_versions(
        &mut self,
        bucket: BucketId,
        key: &[u8],
        take: impl FnOnce(&mut Chain) -> Vec<Version>,
    ) {
        let tree = self.buckets.get_mut(usize::from(bucket.0)).and_then(Option::as_deref_mut);
        let Some(tree) = tree else { return };
        let Some(chain) = tree.get_mut(key) else { return };
        let before = chain.overhead_bytes();
        let taken = take(chain);
        self.row_bytes -= before;
        if chain.is_empty() {
            tree.remove(key);
            self.row_bytes -= BucketTree::ENTRY_BYTES + Key::new(key).heap_bytes();
        } else {
            self.row_bytes += chain.overhead_bytes();
        }
        taken.iter().for_each(|version| self.forget(key, version));
    }

    /// Takes a bucket's tree out, in constant time. Its rows stay counted and indexed until
    /// [`Table::sweep_rows`] is done with it.
    pub fn take_bucket(&mut self, bucket: BucketId) -> Option<Box<BucketTree>> {
        self.buckets.get_mut(usize::from(bucket.0))?.take()
    }

    /// Drops up to `budget` rows of a tree that was taken out; gives how many.
    pub fn sweep_rows(&mut self, tree: &mut BucketTree, budget: usize) -> usize {
        let mut swept = 0;
        while swept < budget
            && let Some((key, chain)) = tree.pop_first()
        {
            self.row_bytes -= BucketTree::ENTRY_BYTES + key.heap_bytes() + chain.overhead_bytes();
            chain.versions().iter().for_each(|version| self.forget(key.as_slice(), version));
            swept += 1;
        }
        swept
    }

    /// Drops up to `budget` rows or index entries of a table that was dropped; gives how many.
    pub fn sweep(&mut self, budget: usize) -> usize {
        let mut swept = 0;
        while swept < budget
            && let Some(index) = self.indexes.last_mut()
        {
            match index.sweep(budget - swept) {
                0 => drop(self.indexes.pop()),
                some => swept += some,
            }
        }
        while swept < budget
            && let Some(tree) = self.buckets.last_mut()
        {
            match tree.take() {
                Some(mut rows) => {
                    swept += self.sweep_rows(&mut rows, budget - swept);
                    if !rows.is_empty() {
                        *self.buckets.last_mut().expect("looked at above") = Some(rows);
                    }
                }
                None => drop(self.buckets.pop()),
            }
        }
        swept
    }

    fn index_version(&mut self, bucket: BucketId, key: &[u8], version: &Version) {
        let Some(row) = version.row() else { return };
        for index in &mut self.indexes {
            if let Some(index_key) = index.key_of(&self.layout, row, key) {
                index.add(&index_key, bucket, key);
            }
        }
    }

    /// Takes a version that left its chain out of the count and the indexes.
    fn forget(&mut self, key: &[u8], version: &Version) {
        self.row_bytes -= version.heap_bytes();
        let Some(row) = version.row() else { return };
        for index in &mut self.indexes {
            if !crate::canary!(KeepIndexEntry)
                && let Some(index_key) = index.key_of(&self.layout, row, key)
            {
                index.remove(&index_key);
            }
        }
    }

    /// The bytes as counted from nothing.
    #[cfg(test)]
    pub fn recount_bytes(&self) -> u64 {
        let rows = self.buckets().flat_map(|(_, tree)| tree.range(ALL_KEYS)).map(|(key, chain)| {
            let versions: u64 = chain.versions().iter().map(Version::heap_bytes).sum();
            BucketTree::ENTRY_BYTES + key.heap_bytes() + chain.overhead_bytes() + versions
        });
        rows.sum::<u64>() + self.indexes.iter().map(SecondaryIndex::recount_bytes).sum::<u64>()
    }
}

/// What a reader at `at` sees of a chain.
pub fn see(chain: &Chain, at: AsOf) -> Seen<'_> {
    let newest = chain.newest();
    let version = chain.as_of(at);
    Seen {
        row: version.and_then(Version::row),
        ts: version.map_or(Timestamp(0), Version::ts),
        log_index: version.map_or(LogIndex(0), Version::log_index),
        newest_ts: newest.ts(),
        newest_log_index: newest.log_index(),
    }
}
