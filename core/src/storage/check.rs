//! Whether a store is what it says it is: looked at from outside, by tests and the simulator.
//!
//! Everything here looks at every version of every row: for small stores.

use std::collections::BTreeMap;

use super::key::Key;
use super::ordered::ALL_KEYS;
use super::secondary::SecondaryIndex;
use super::store::Store;
use super::table::{BucketTree, Table};
use super::version::{Chain, Version};
use crate::base::{BucketId, TableId, Timestamp};

/// Rows of one bucket.
type Rows<'a> = (BucketId, &'a BucketTree);

impl Store {
    /// Every entry of an index stands for versions there are, and every version has its entry; the
    /// bytes are those one counts. `Err` says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        for table in self.each_table() {
            self.check_table(table).map_err(|why| format!("table {}: {why}", table.def().name))?;
        }
        let (counted, there) = (self.bytes(), self.recount_bytes());
        if counted == there {
            return Ok(());
        }
        Err(format!("{counted} bytes are counted and {there} are there"))
    }

    /// The bytes as counted from nothing.
    pub(super) fn recount_bytes(&self) -> u64 {
        let rows = |table: &Table| self.rows(table).map(|(_, tree)| row_bytes(tree)).sum::<u64>();
        let indexes =
            |table: &Table| indexes(table).map(SecondaryIndex::recount_bytes).sum::<u64>();
        let tables = self.each_table().map(|table| rows(table) + indexes(table)).sum::<u64>();
        tables + self.recount_queued() + self.doomed_bytes()
    }

    /// The bytes that the newest rows take with their index entries, one version each: what is here beyond
    /// that is old, undone, deleted or dropped, and goes once nobody needs it.
    pub fn needed_bytes(&self) -> u64 {
        let live = |(key, chain): (&Key, &Chain)| match chain.newest().row() {
            Some(_) => BucketTree::ENTRY_BYTES + key.heap_bytes() + chain.newest().heap_bytes(),
            None => 0,
        };
        let rows = |table: &Table| -> u64 {
            table.buckets().flat_map(|(_, tree)| tree.range(ALL_KEYS)).map(live).sum()
        };
        let entries =
            |table: &Table| indexes(table).map(SecondaryIndex::recount_bytes).sum::<u64>();
        self.each_table().map(|table| rows(table) + entries(table)).sum()
    }

    /// A table's rows, those of dropped buckets that its indexes still have included.
    fn rows<'a>(&'a self, table: &'a Table) -> impl Iterator<Item = Rows<'a>> {
        let id: TableId = table.def().id;
        table.buckets().chain(self.doomed_rows(id))
    }

    fn check_table(&self, table: &Table) -> Result<(), String> {
        let newest = self.rows(table).flat_map(|(_, tree)| tree.range(ALL_KEYS));
        let newest = newest.map(|(_, chain)| chain.newest().ts()).max();
        if newest.unwrap_or(Timestamp(0)) > table.newest_write() {
            return Err(format!("a version is newer than {}", table.newest_write()));
        }
        for index in indexes(table) {
            self.check_index(table, index)
                .map_err(|why| format!("index {}: {why}", index.def().name))?;
        }
        Ok(())
    }

    fn check_index(&self, table: &Table, index: &SecondaryIndex) -> Result<(), String> {
        let building = table.building().filter(|b| std::ptr::eq(b.index(), index));
        let mut expected: BTreeMap<Vec<u8>, (BucketId, u32)> = BTreeMap::new();
        for (bucket, tree) in self.rows(table) {
            for (key, chain) in tree.range(ALL_KEYS) {
                let key = key.as_slice();
                if building.is_some_and(|b| !b.covers(bucket, key)) {
                    continue;
                }
                for row in chain.versions().iter().filter_map(Version::row) {
                    let index_key = index.key_of(table.layout(), row, key);
                    let index_key =
                        index_key.ok_or_else(|| format!("row {key:02x?} is damaged"))?;
                    expected.entry(index_key).or_insert((bucket, 0)).1 += 1;
                }
            }
        }
        for (key, entry) in index.entries().range(ALL_KEYS) {
            let found = expected.remove(key.as_slice());
            if found != Some((entry.bucket, entry.versions)) {
                return Err(format!("{key:?} is {entry:?}, and {found:?} is there"));
            }
        }
        match expected.first_key_value() {
            Some((key, versions)) => Err(format!("{key:02x?} of {versions:?} is missing")),
            None => Ok(()),
        }
    }
}

fn indexes(table: &Table) -> impl Iterator<Item = &SecondaryIndex> {
    table.indexes().iter().chain(table.building().map(|building| building.index()))
}

fn row_bytes(tree: &BucketTree) -> u64 {
    let rows = tree.range(ALL_KEYS).map(|(key, chain)| {
        let versions: u64 = chain.versions().iter().map(Version::heap_bytes).sum();
        BucketTree::ENTRY_BYTES + key.heap_bytes() + chain.overhead_bytes() + versions
    });
    rows.sum()
}
