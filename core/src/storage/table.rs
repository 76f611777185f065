//! One table on this shard: a primary tree a bucket, and its secondary indexes.

use std::cell::RefCell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::buckets::Buckets;
use super::key::Key;
use super::ordered::{ALL_KEYS, KeyRange, OrderedIndex};
use super::secondary::SecondaryIndex;
use super::version::{AsOf, Chain, Version};
use crate::base::codec::Writer;
use crate::base::schema::{IndexDef, TableRef};
use crate::base::{BucketId, IndexId, LogIndex, RowLayout, Timestamp, Wire};

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

/// How much of a table an index has: rows in order of bucket and key.
#[derive(Debug)]
enum Filled {
    Nothing,
    UpTo(BucketId, Key),
    Everything,
}

/// An index that is being filled. Readers do not see it; writes to rows it has keep it right.
#[derive(Debug)]
pub struct Building {
    index: SecondaryIndex,
    filled: Filled,
}

impl Building {
    pub fn index(&self) -> &SecondaryIndex {
        &self.index
    }

    /// Whether the versions of this row are in it.
    pub fn covers(&self, bucket: BucketId, key: &[u8]) -> bool {
        match &self.filled {
            Filled::Nothing => false,
            Filled::UpTo(last, last_key) => (bucket, key) <= (*last, last_key.as_slice()),
            Filled::Everything => true,
        }
    }
}

/// A table's rows, indexes and byte count.
#[derive(Debug)]
pub struct Table {
    def: TableRef,
    /// Of the definition.
    def_digest: u64,
    layout: RowLayout,
    /// Made when first written to.
    buckets: Buckets<BucketTree>,
    indexes: Vec<SecondaryIndex>,
    building: Option<Building>,
    /// Of rows, without indexes.
    row_bytes: u64,
    newest_write: Timestamp,
    digests: RefCell<Digests>,
}

/// What of the rows is in a table's digest already. Nothing is kept where nobody asks.
#[derive(Debug, Default)]
struct Digests {
    /// Those that have been written to since somebody asked, once somebody has.
    changed: Option<BTreeSet<BucketId>>,
    /// Of the buckets with rows.
    of_bucket: BTreeMap<BucketId, u64>,
    /// Their sum: the digest of the rows, whatever order they were looked at in.
    sum: u64,
    /// What is digested.
    buffer: Vec<u8>,
}

impl Digests {
    fn written(&mut self, bucket: BucketId) {
        if let Some(changed) = &mut self.changed {
            changed.insert(bucket);
        }
    }

    fn set(&mut self, bucket: BucketId, tree: Option<&BucketTree>) {
        let digest = tree.map_or(NO_ROWS, |tree| digest_of_rows(bucket, tree, &mut self.buffer));
        let before = match digest {
            NO_ROWS => self.of_bucket.remove(&bucket),
            _ => self.of_bucket.insert(bucket, digest),
        };
        self.sum = self.sum.wrapping_add(digest).wrapping_sub(before.unwrap_or(NO_ROWS));
    }
}

impl Table {
    pub fn new(def: TableRef) -> Table {
        let layout = RowLayout::new(&def.columns, 0);
        let indexes = def.indexes.iter().map(|index| SecondaryIndex::new(&def, index)).collect();
        Table {
            layout,
            indexes,
            building: None,
            def_digest: digest_of(&def),
            def,
            buckets: Buckets::default(),
            row_bytes: 0,
            newest_write: Timestamp(0),
            digests: RefCell::default(),
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
        self.row_bytes + self.all_indexes().map(SecondaryIndex::bytes).sum::<u64>()
    }

    /// Every index, the one being filled included.
    fn all_indexes(&self) -> impl Iterator<Item = &SecondaryIndex> {
        self.indexes.iter().chain(self.building().map(Building::index))
    }

    /// Takes a changed definition: new indexes are filled unless they are already, vanished ones are
    /// given back.
    pub fn alter(&mut self, def: TableRef) -> Vec<SecondaryIndex> {
        self.layout = RowLayout::new(&def.columns, 0);
        let built = self.building.take_if(|b| matches!(b.filled, Filled::Everything));
        self.indexes.extend(built.map(|building| building.index));
        let is_kept = |index: &SecondaryIndex| def.indexes.iter().any(|d| index.serves(d));
        let (kept, mut gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.indexes).into_iter().partition(is_kept);
        self.indexes = kept;
        gone.extend(self.abandon_index());
        for wanted in &def.indexes {
            match self.indexes.iter_mut().find(|index| index.def().id == wanted.id) {
                Some(index) => index.rename(&wanted.name),
                None => {
                    self.begin_index(&def, wanted);
                    self.fill_index(usize::MAX);
                    let filled = self.building.take();
                    self.indexes.extend(filled.map(|building| building.index));
                }
            }
        }
        self.def_digest = digest_of(&def);
        self.def = def;
        gone
    }

    /// Begins to fill an index of a definition that is not in force yet: it comes into force with
    /// [`Table::alter`].
    pub fn begin_index(&mut self, def: &TableRef, index: &IndexDef) {
        assert!(self.building.is_none(), "one index of a table at a time");
        let index = SecondaryIndex::new(def, index);
        self.building = Some(Building { index, filled: Filled::Nothing });
    }

    /// The index being filled.
    pub fn building(&self) -> Option<&Building> {
        self.building.as_ref()
    }

    /// Gives up the index being filled.
    pub fn abandon_index(&mut self) -> Option<SecondaryIndex> {
        self.building.take().map(|building| building.index)
    }

    /// Puts up to `budget` more rows into the index being filled; gives how many. Fewer than `budget`:
    /// it is complete.
    pub fn fill_index(&mut self, budget: usize) -> usize {
        let Some(mut building) = self.building.take() else { return 0 };
        let (first, after) = match &building.filled {
            Filled::Nothing => (BucketId(0), None),
            Filled::UpTo(bucket, key) => (*bucket, Some(key.clone())),
            Filled::Everything => (BucketId(u16::MAX), None),
        };
        let done = matches!(building.filled, Filled::Everything);
        let from = after.as_ref().map_or(Bound::Unbounded, |key| Bound::Excluded(key.as_slice()));
        let rows = self.buckets_from(first).filter(|_| !done);
        let rows = rows.flat_map(|(bucket, tree)| {
            let range = if bucket == first { (from, Bound::Unbounded) } else { ALL_KEYS };
            tree.range(range).map(move |(key, chain)| (bucket, key, chain))
        });
        let (mut filled, mut last) = (0, None);
        for (bucket, key, chain) in rows.take(budget) {
            for row in chain.versions().iter().filter_map(Version::row) {
                let index = &mut building.index;
                if let Some(index_key) = index.key_of(&self.layout, row, key.as_slice()) {
                    index.add(&index_key, bucket, key.as_slice());
                }
            }
            filled += 1;
            last = Some((bucket, key));
        }
        building.filled = match last {
            Some((bucket, key)) if filled == budget => Filled::UpTo(bucket, key.clone()),
            _ => Filled::Everything,
        };
        self.building = Some(building);
        filled
    }

    /// The buckets that were written to, in order.
    pub fn buckets(&self) -> impl Iterator<Item = (BucketId, &BucketTree)> {
        self.buckets_from(BucketId(0))
    }

    /// As [`Table::buckets`], but for those before `first`.
    pub fn buckets_from(&self, first: BucketId) -> impl Iterator<Item = (BucketId, &BucketTree)> {
        self.buckets.from(first)
    }

    pub fn bucket(&self, bucket: BucketId) -> Option<&BucketTree> {
        self.buckets.get(bucket)
    }

    pub fn chain(&self, bucket: BucketId, key: &[u8]) -> Option<&Chain> {
        self.bucket(bucket)?.get(key)
    }

    pub fn indexes(&self) -> &[SecondaryIndex] {
        &self.indexes
    }

    pub fn layout(&self) -> &RowLayout {
        &self.layout
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
        self.digests.get_mut().written(bucket);
        self.index_version(bucket, key, &version);
        let (added, is_delete) = (version.heap_bytes(), version.row().is_none());
        let key = Key::new(key);
        let fresh = BucketTree::ENTRY_BYTES + key.heap_bytes();
        let tree = self.buckets.get_or_insert(bucket);
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
            self.forget(bucket, key.as_slice(), &replaced);
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
        self.digests.get_mut().written(bucket);
        let Some(tree) = self.buckets.get_mut(bucket) else { return };
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
        taken.iter().for_each(|version| self.forget(bucket, key, version));
    }

    /// Takes a bucket's tree out, in constant time. Its rows stay counted and indexed until
    /// [`Table::sweep_rows`] is done with it.
    pub fn take_bucket(&mut self, bucket: BucketId) -> Option<Box<BucketTree>> {
        self.digests.get_mut().written(bucket);
        self.buckets.take(bucket)
    }

    /// Drops up to `budget` rows of a bucket's tree that was taken out; gives how many.
    pub fn sweep_rows(&mut self, bucket: BucketId, tree: &mut BucketTree, budget: usize) -> usize {
        let mut swept = 0;
        while swept < budget
            && let Some((key, chain)) = tree.pop_first()
        {
            self.row_bytes -= BucketTree::ENTRY_BYTES + key.heap_bytes() + chain.overhead_bytes();
            let versions = chain.versions().iter();
            versions.for_each(|version| self.forget(bucket, key.as_slice(), version));
            swept += 1;
        }
        swept
    }

    /// Drops up to `budget` rows or index entries of a table that was dropped; gives how many.
    pub fn sweep(&mut self, budget: usize) -> usize {
        self.indexes.extend(self.building.take().map(|building| building.index));
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
            && let Some((bucket, mut rows)) = self.buckets.pop()
        {
            swept += self.sweep_rows(bucket, &mut rows, budget - swept);
            if !rows.is_empty() {
                *self.buckets.get_or_insert(bucket) = *rows;
            }
        }
        swept
    }

    fn index_version(&mut self, bucket: BucketId, key: &[u8], version: &Version) {
        let Some(row) = version.row() else { return };
        let building = self.building.as_mut().filter(|b| b.covers(bucket, key));
        for index in self.indexes.iter_mut().chain(building.map(|b| &mut b.index)) {
            if let Some(index_key) = index.key_of(&self.layout, row, key) {
                index.add(&index_key, bucket, key);
            }
        }
    }

    /// Takes a version that left its chain out of the count and the indexes.
    fn forget(&mut self, bucket: BucketId, key: &[u8], version: &Version) {
        self.row_bytes -= version.heap_bytes();
        let Some(row) = version.row() else { return };
        let building = self.building.as_mut().filter(|b| b.covers(bucket, key));
        for index in self.indexes.iter_mut().chain(building.map(|b| &mut b.index)) {
            if !crate::canary!(KeepIndexEntry)
                && let Some(index_key) = index.key_of(&self.layout, row, key)
            {
                index.remove(&index_key);
            }
        }
    }

    /// A digest of the definition and of every row there is now.
    pub fn digest(&self) -> u64 {
        let known = &mut *self.digests.borrow_mut();
        match known.changed.replace(BTreeSet::new()) {
            Some(changed) => {
                for bucket in changed {
                    known.set(bucket, self.bucket(bucket));
                }
            }
            None => self.buckets().for_each(|(bucket, tree)| known.set(bucket, Some(tree))),
        }
        let mut hash = Xxh3::new();
        hash.update(&self.def_digest.to_le_bytes());
        hash.update(&known.sum.to_le_bytes());
        hash.digest()
    }
}

fn digest_of(def: &TableRef) -> u64 {
    let mut encoded = Writer::new();
    def.write(&mut encoded);
    xxh3_64(&encoded.into_vec())
}

/// Digest of a bucket whose rows are all deleted: another replica may have freed it.
const NO_ROWS: u64 = 0;

/// The sum of its rows' digests. `buffer` is for what is digested.
fn digest_of_rows(bucket: BucketId, tree: &BucketTree, buffer: &mut Vec<u8>) -> u64 {
    let mut sum = NO_ROWS;
    for (key, chain) in tree.range(ALL_KEYS) {
        let newest = chain.newest();
        let Some(row) = newest.row() else { continue };
        buffer.clear();
        buffer.extend_from_slice(&bucket.0.to_le_bytes());
        buffer.extend_from_slice(&newest.ts().0.to_le_bytes());
        for bytes in [key.as_slice(), row] {
            buffer.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            buffer.extend_from_slice(bytes);
        }
        sum = sum.wrapping_add(xxh3_64(buffer));
    }
    sum
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
