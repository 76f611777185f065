//! From the values of the distribution columns to a bucket.
//!
//! ```text
//!   bucket = murmur3_32(seed 13, key bytes of the values) % count + 1
//! ```
//!
//! The bytes are those of [`crate::base::keycode`], so values that are equal fall into one bucket:
//! `1.0` with `1.00`, -0 with 0. The values must have the columns' *declared* types. A literal `1`
//! compared with a `bigint` column is converted first: hashed as `integer`, it would be looked for
//! in another bucket than its row lies in.
//!
//! Buckets count from 1. The function is part of the data on disk and may never change.
//! Source: MurmurHash3_x86_32, Austin Appleby, public domain.

use crate::base::{BucketId, Datum, KeyOrder, SqlResult, SqlType, keycode};

/// Seed of the hash.
const SEED: u32 = 13;

/// The bucket of a row with these values in its distribution columns, in the order of the columns,
/// among `count` buckets.
///
/// Errors: those of [`keycode::encode`].
pub fn bucket_of(columns: &[(SqlType, &Datum)], count: u16) -> SqlResult<BucketId> {
    let mut key = Vec::with_capacity(32);
    for (ty, value) in columns {
        keycode::encode(*ty, value, KeyOrder::ASCENDING, &mut key)?;
    }
    Ok(bucket_of_key(&key, count))
}

/// The bucket of distribution columns whose key bytes are at hand.
pub fn bucket_of_key(key: &[u8], count: u16) -> BucketId {
    assert!(count > 0, "a tier without buckets");
    let bucket = murmur3_32(key, SEED) % u32::from(count) + 1;
    BucketId(u16::try_from(bucket).expect("a remainder of a u16, and one"))
}

/// MurmurHash3, 32 bits.
pub fn murmur3_32(bytes: &[u8], seed: u32) -> u32 {
    let scramble =
        |block: u32| block.wrapping_mul(0xcc9e_2d51).rotate_left(15).wrapping_mul(0x1b87_3593);
    let mut hash = seed;
    let mut blocks = bytes.chunks_exact(4);
    for block in &mut blocks {
        let block = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        hash = (hash ^ scramble(block)).rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let tail = blocks.remainder();
    let tail = tail.iter().rev().fold(0, |block, byte| block << 8 | u32::from(*byte));
    hash ^= scramble(tail);
    // Keys are far shorter than 4 GiB; the algorithm takes the length modulo 2^32.
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Numeric;
    use std::collections::BTreeMap;

    /// Vectors published with the algorithm's ports.
    #[test]
    fn published_vectors() {
        for (text, seed, expected) in [
            ("", 0, 0),
            ("", 1, 0x514e_28b7),
            ("", 0xffff_ffff, 0x81f1_6f39),
            ("a", 0x9747_b28c, 0x7fa0_9ea6),
            ("aa", 0x9747_b28c, 0x5d21_1726),
            ("aaa", 0x9747_b28c, 0x283e_0130),
            ("aaaa", 0x9747_b28c, 0x5a97_808a),
            ("Hello, world!", 0x9747_b28c, 0x2488_4cba),
            ("The quick brown fox jumps over the lazy dog", 0x9747_b28c, 0x2fa8_26cd),
        ] {
            assert_eq!(murmur3_32(text.as_bytes(), seed), expected, "{text:?} {seed:x}");
        }
    }

    /// Rows lie where this says: these numbers may never change.
    #[test]
    fn golden_buckets() {
        let bucket = |ty, value: Datum| bucket_of(&[(ty, &value)], 3000).unwrap().0;
        let got = [
            bucket(SqlType::Int4, Datum::Int4(1)),
            bucket(SqlType::Int8, Datum::Int8(1)),
            bucket(SqlType::Text, Datum::text("basalt")),
            bucket(SqlType::Uuid, Datum::Uuid([7; 16])),
        ];
        assert_eq!(got, GOLDEN);
    }

    const GOLDEN: [u16; 4] = [789, 1435, 639, 2151];

    #[test]
    fn equal_values_share_a_bucket() {
        let numeric = |digits, scale| {
            let value = Datum::Numeric(Numeric::from_parts(digits, scale));
            bucket_of(&[(SqlType::Numeric, &value)], 3000).unwrap()
        };
        assert_eq!(numeric(10, 1), numeric(100, 2));
        let padded = |s| bucket_of(&[(SqlType::Bpchar, &Datum::text(s))], 3000).unwrap();
        assert_eq!(padded("a"), padded("a   "));
    }

    #[test]
    fn buckets_fill_evenly() {
        let mut counts: BTreeMap<u16, u32> = BTreeMap::new();
        for k in 0..30_000 {
            let bucket = bucket_of(&[(SqlType::Int8, &Datum::Int8(k))], 30).unwrap();
            *counts.entry(bucket.0).or_default() += 1;
        }
        assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
        assert!(counts.values().all(|n| (850..1150).contains(n)), "{counts:?}");
    }
}
