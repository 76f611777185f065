//! A table's rows in key order: a merge of its buckets.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::btree_map::Range;

use super::key::Key;
use super::version::Chain;
use crate::base::BucketId;

/// Gives the smallest key of all buckets, again and again.
pub struct Merge<'a> {
    heads: BinaryHeap<Head<'a>>,
}

/// The next row of one bucket, and those after it.
struct Head<'a> {
    key: &'a Key,
    bucket: BucketId,
    chain: &'a Chain,
    rest: Range<'a, Key, Chain>,
}

impl<'a> Merge<'a> {
    pub fn new(buckets: impl Iterator<Item = (BucketId, Range<'a, Key, Chain>)>) -> Merge<'a> {
        Merge { heads: buckets.filter_map(|(bucket, rows)| head(bucket, rows)).collect() }
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = (BucketId, &'a Key, &'a Chain);

    fn next(&mut self) -> Option<Self::Item> {
        let Head { key, bucket, chain, rest } = self.heads.pop()?;
        self.heads.extend(head(bucket, rest));
        Some((bucket, key, chain))
    }
}

fn head<'a>(bucket: BucketId, mut rest: Range<'a, Key, Chain>) -> Option<Head<'a>> {
    let (key, chain) = rest.next()?;
    Some(Head { key, bucket, chain, rest })
}

impl Ord for Head<'_> {
    /// The smallest key is the greatest head: a heap gives the greatest first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.key, other.bucket).cmp(&(self.key, self.bucket))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head<'_> {}
