//! Secondary indexes: per table, over all its buckets on this shard.
//!
//! The key is the indexed columns' encodings followed by the primary key, so entries are unique and
//! lead back to their row (a primary key belongs to one bucket only). An entry exists as long as *any* version of its row has the indexed
//! values; a reader fetches the row's version it sees and skips the entry if that version has
//! other values:
//!
//! ```text
//!   row 7:  versions  (a=2, ts 30)  (a=1, ts 10)      index on a:  1·7 → 1 version   2·7 → 1 version
//!
//!   reader at 20: 1·7 → version 10 has a=1: a hit;   2·7 → version 10 has a=1: skipped
//! ```

use std::collections::btree_map::Entry;

use super::key::Key;
use super::ordered::OrderedIndex;
use crate::base::schema::{IndexDef, TableDef};
use crate::base::{BucketId, KeyOrder, RowLayout, RowRef, SqlType, keycode};

/// Where an index entry leads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IndexEntry {
    pub bucket: BucketId,
    /// How many bytes at the key's end are the primary key.
    primary_key_bytes: u16,
    /// Versions of the row that have these values.
    pub versions: u32,
}

const _: () = assert!(size_of::<IndexEntry>() == 8);

impl IndexEntry {
    /// The primary key in an index key.
    pub fn primary_key(self, index_key: &[u8]) -> &[u8] {
        &index_key[index_key.len() - usize::from(self.primary_key_bytes)..]
    }
}

/// An indexed column.
#[derive(Clone, Copy, Debug)]
struct IndexedColumn {
    column: usize,
    ty: SqlType,
    order: KeyOrder,
}

/// One index of one table.
#[derive(Debug)]
pub struct SecondaryIndex {
    def: IndexDef,
    columns: Vec<IndexedColumn>,
    entries: OrderedIndex<IndexEntry>,
    bytes: u64,
}

impl SecondaryIndex {
    /// An empty index. Columns the table does not have are left out.
    pub fn new(table: &TableDef, def: &IndexDef) -> SecondaryIndex {
        let columns = def.columns.iter().filter_map(|indexed| {
            let column = usize::from(indexed.column);
            let ty = table.columns.get(column)?.ty;
            let order =
                KeyOrder { descending: indexed.descending, nulls_first: indexed.nulls_first };
            Some(IndexedColumn { column, ty, order })
        });
        SecondaryIndex {
            columns: columns.collect(),
            def: def.clone(),
            entries: OrderedIndex::default(),
            bytes: 0,
        }
    }

    pub fn def(&self) -> &IndexDef {
        &self.def
    }

    /// Whether it is what a definition asks for, under whatever name.
    pub fn serves(&self, def: &IndexDef) -> bool {
        let IndexDef { id, name: _, columns, unique } = &self.def;
        (id, columns, unique) == (&def.id, &def.columns, &def.unique)
    }

    pub fn rename(&mut self, name: &str) {
        if self.def.name != name {
            name.clone_into(&mut self.def.name);
        }
    }

    pub fn entries(&self) -> &OrderedIndex<IndexEntry> {
        &self.entries
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The index key of a row; `None` if the row's bytes cannot be read, which a row that was checked
    /// when it was written never is.
    pub fn key_of(&self, layout: &RowLayout, row: &[u8], primary_key: &[u8]) -> Option<Vec<u8>> {
        let row = RowRef::new(layout, row).ok()?;
        let mut key = Vec::with_capacity(primary_key.len() + 16);
        for indexed in &self.columns {
            let value = row.datum(indexed.column).ok()?;
            keycode::encode(indexed.ty, &value, indexed.order, &mut key).ok()?;
        }
        key.extend_from_slice(primary_key);
        Some(key)
    }

    /// A version with this key came to be.
    pub fn add(&mut self, key: &[u8], bucket: BucketId, primary_key: &[u8]) {
        let Ok(primary_key_bytes) = u16::try_from(primary_key.len()) else { return };
        let key = Key::new(key);
        let bytes = entry_bytes(&key);
        match self.entries.entry(key) {
            Entry::Occupied(mut entry) => entry.get_mut().versions += 1,
            Entry::Vacant(vacant) => {
                vacant.insert(IndexEntry { bucket, primary_key_bytes, versions: 1 });
                self.bytes += bytes;
            }
        }
    }

    /// A version with this key is gone.
    pub fn remove(&mut self, key: &[u8]) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        entry.versions -= 1;
        if entry.versions == 0 {
            self.entries.remove(key);
            self.bytes -= entry_bytes(&Key::new(key));
        }
    }

    /// Drops up to `budget` entries; gives how many.
    pub fn sweep(&mut self, budget: usize) -> usize {
        let mut swept = 0;
        while swept < budget
            && let Some((key, _)) = self.entries.pop_first()
        {
            self.bytes -= entry_bytes(&key);
            swept += 1;
        }
        swept
    }

    /// The bytes as counted from nothing.
    pub fn recount_bytes(&self) -> u64 {
        self.entries.range(super::ordered::ALL_KEYS).map(|(key, _)| entry_bytes(key)).sum()
    }
}

fn entry_bytes(key: &Key) -> u64 {
    OrderedIndex::<IndexEntry>::ENTRY_BYTES + key.heap_bytes()
}
