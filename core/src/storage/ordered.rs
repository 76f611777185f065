//! An ordered map from keys to values: what tables and indexes are made of.

use std::collections::BTreeMap;
use std::collections::btree_map::{Entry, Range};
use std::ops::Bound;

use super::key::Key;

/// A range of keys, by its ends.
pub type KeyRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Every key.
pub const ALL_KEYS: KeyRange<'static> = (Bound::Unbounded, Bound::Unbounded);

/// Keys in order of their bytes.
#[derive(Clone, Debug)]
pub struct OrderedIndex<V> {
    tree: BTreeMap<Key, V>,
}

impl<V> Default for OrderedIndex<V> {
    fn default() -> OrderedIndex<V> {
        OrderedIndex { tree: BTreeMap::new() }
    }
}

impl<V> OrderedIndex<V> {
    /// Bytes an entry takes in the tree, a share of the nodes' free room included.
    pub const ENTRY_BYTES: u64 = ((size_of::<Key>() + size_of::<V>()) * 3 / 2 + 8) as u64;

    pub fn len(&self) -> usize {
        self.tree.len()
    }

    pub fn is_empty(&self) -> bool {
        self.tree.is_empty()
    }

    pub fn get(&self, key: &[u8]) -> Option<&V> {
        self.tree.get(key)
    }

    pub fn get_mut(&mut self, key: &[u8]) -> Option<&mut V> {
        self.tree.get_mut(key)
    }

    pub fn entry(&mut self, key: Key) -> Entry<'_, Key, V> {
        self.tree.entry(key)
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<V> {
        self.tree.remove(key)
    }

    pub fn pop_first(&mut self) -> Option<(Key, V)> {
        self.tree.pop_first()
    }

    /// The entries in `range`, in order; none if it ends before it starts.
    pub fn range(&self, range: KeyRange<'_>) -> Range<'_, Key, V> {
        if is_backwards(range) { Range::default() } else { self.tree.range::<[u8], _>(range) }
    }
}

fn is_backwards((start, end): KeyRange<'_>) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match (start, end) {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(start), Included(end)) => start > end,
        (Included(start) | Excluded(start), Included(end) | Excluded(end)) => start >= end,
    }
}
