//! Randomness: one seed, forked by name.
//!
//! Each use draws from its own stream, so a draw more in one place never shifts another's.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A seeded stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: [u8; 32],
    stream: ChaCha8Rng,
}

impl Rng {
    /// A generator whose every draw follows from `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Rng {
        Rng { seed, stream: ChaCha8Rng::from_seed(seed) }
    }

    /// A generator from a small seed, for simulation.
    pub fn from_u64(seed: u64) -> Rng {
        let mut bytes = [0; 32];
        for (k, part) in bytes.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&xxh3_64_with_seed(&seed.to_le_bytes(), k as u64).to_le_bytes());
        }
        Rng::from_seed(bytes)
    }

    /// An independent stream for `name`. Depends on the seed and the name only, not on draws made.
    pub fn fork(&self, name: &str) -> Rng {
        let mut bytes = [0; 32];
        let mut input = Vec::with_capacity(32 + name.len());
        input.extend_from_slice(&self.seed);
        input.extend_from_slice(name.as_bytes());
        for (k, part) in bytes.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&xxh3_64_with_seed(&input, k as u64).to_le_bytes());
        }
        Rng::from_seed(bytes)
    }

    pub fn next_u64(&mut self) -> u64 {
        self.stream.next_u64()
    }

    /// Uniform in `0..bound`; `bound` must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a draw below 0 has no answer");
        // The high half of a 64 × 64 bit product: bias below 2^-64 × bound, no division.
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `low..=high`.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "an empty range {low}..={high}");
        match (high - low).checked_add(1) {
            Some(width) => low + self.below(width),
            None => self.next_u64(),
        }
    }

    /// True with probability `per_million` in 1,000,000.
    pub fn chance(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.stream.fill_bytes(bytes);
    }

    /// One element, or `None` of an empty slice.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        if items.is_empty() { None } else { items.get(self.below(items.len() as u64) as usize) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_depend_on_names_not_on_draws() {
        let mut a = Rng::from_u64(7);
        let before = a.fork("net").next_u64();
        a.next_u64();
        assert_eq!(a.fork("net").next_u64(), before);
        assert_ne!(a.fork("disk").next_u64(), before);
    }

    #[test]
    fn the_stream_is_the_same_on_every_machine() {
        assert_eq!(Rng::from_u64(1).fork("golden").below(1_000_000), GOLDEN);
    }

    const GOLDEN: u64 = 484_672;
}
