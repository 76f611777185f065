//! The buckets of a table that hold something.
//!
//! ```text
//!   bucket   0    1    2    3   …  3000
//!   slot     –    1    –    0            two bytes each, as far as the highest that was written to
//!   trees    [3] [1]                     in order of first use
//!   in use   0101…                       a bit each: who reads all buckets does not ask each of them
//! ```
//! A sharded table is in 3,000 buckets, most of which hold nothing where it is small. A global one is in
//! bucket 0.

use crate::base::BucketId;

/// No slot: at most so many buckets are in use.
const NONE: u16 = u16::MAX;

/// Trees by bucket.
#[derive(Debug, Default)]
pub(super) struct Buckets<T> {
    slots: Vec<u16>,
    trees: Vec<(BucketId, Box<T>)>,
    in_use: Vec<u64>,
}

impl<T: Default> Buckets<T> {
    fn slot(&self, bucket: BucketId) -> Option<usize> {
        let slot = *self.slots.get(usize::from(bucket.0))?;
        (slot != NONE).then_some(usize::from(slot))
    }

    pub fn get(&self, bucket: BucketId) -> Option<&T> {
        Some(&self.trees[self.slot(bucket)?].1)
    }

    pub fn get_mut(&mut self, bucket: BucketId) -> Option<&mut T> {
        let slot = self.slot(bucket)?;
        Some(&mut self.trees[slot].1)
    }

    /// The tree of a bucket, an empty one if there is none yet.
    pub fn get_or_insert(&mut self, bucket: BucketId) -> &mut T {
        let slot = self.slot(bucket).unwrap_or_else(|| self.insert(bucket));
        &mut self.trees[slot].1
    }

    fn insert(&mut self, bucket: BucketId) -> usize {
        let (at, slot) = (usize::from(bucket.0), self.trees.len());
        assert!(slot < usize::from(NONE), "{slot} buckets are in use");
        if at >= self.slots.len() {
            self.slots.resize(at + 1, NONE);
            self.in_use.resize(at / 64 + 1, 0);
        }
        self.slots[at] = slot as u16;
        self.in_use[at / 64] |= 1 << (at % 64);
        self.trees.push((bucket, Box::default()));
        slot
    }

    /// Takes a bucket's tree out, in constant time.
    pub fn take(&mut self, bucket: BucketId) -> Option<Box<T>> {
        let slot = self.slot(bucket)?;
        let at = usize::from(bucket.0);
        self.slots[at] = NONE;
        self.in_use[at / 64] &= !(1 << (at % 64));
        let (of, tree) = self.trees.swap_remove(slot);
        assert_eq!(of, bucket, "slot {slot} holds another bucket");
        if let Some((moved, _)) = self.trees.get(slot) {
            self.slots[usize::from(moved.0)] = slot as u16;
        }
        Some(tree)
    }

    /// Takes any bucket's tree out.
    pub fn pop(&mut self) -> Option<(BucketId, Box<T>)> {
        let (bucket, _) = self.trees.last()?;
        let bucket = *bucket;
        Some((bucket, self.take(bucket)?))
    }

    /// Those from `first` on, in order.
    pub fn from(&self, first: BucketId) -> impl Iterator<Item = (BucketId, &T)> {
        let (start, skipped) = (usize::from(first.0) / 64, first.0 % 64);
        let words = self.in_use.iter().enumerate().skip(start);
        let buckets = words.flat_map(move |(at, word)| {
            let mut left = if at == start { word & (u64::MAX << skipped) } else { *word };
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some(BucketId((at * 64) as u16 + bit as u16))
            })
        });
        buckets.filter_map(|bucket| Some((bucket, self.get(bucket)?)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::seam::Rng;

    const EDGES: [u16; 11] = [0, 1, 62, 63, 64, 65, 127, 128, 2_999, 3_000, u16::MAX];

    fn at(rng: &mut Rng) -> BucketId {
        BucketId(EDGES[rng.below(EDGES.len() as u64) as usize])
    }

    #[test]
    fn behaves_as_a_map() {
        let mut rng = Rng::from_u64(3).fork("buckets");
        let mut buckets: Buckets<u32> = Buckets::default();
        let mut model: BTreeMap<BucketId, u32> = BTreeMap::new();
        for round in 0..4_000 {
            let bucket = at(&mut rng);
            match rng.below(3) {
                0 => assert_eq!(buckets.take(bucket).map(|tree| *tree), model.remove(&bucket)),
                1 => {
                    *buckets.get_or_insert(bucket) = round;
                    model.insert(bucket, round);
                }
                _ => assert_eq!(buckets.get_mut(bucket), model.get_mut(&bucket)),
            }
            let first = at(&mut rng);
            let found: Vec<_> = buckets.from(first).map(|(bucket, tree)| (bucket, *tree)).collect();
            let expected: Vec<_> = model.range(first..).map(|(b, tree)| (*b, *tree)).collect();
            assert_eq!(found, expected, "round {round} from {first:?}");
        }
        while let Some((bucket, tree)) = buckets.pop() {
            assert_eq!(Some(*tree), model.remove(&bucket));
        }
        assert!(model.is_empty());
    }
}
