//! How often a fault of each kind did something: a kind that never does shows nothing.

use std::collections::BTreeMap;

use super::Kind;

/// Counts by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Struck {
    counts: BTreeMap<Kind, u64>,
}

impl Struck {
    pub fn note(&mut self, kind: Kind) {
        *self.counts.entry(kind).or_default() += 1;
    }

    pub fn note_if(&mut self, did: bool, kind: Kind) {
        if did {
            self.note(kind);
        }
    }

    pub fn add(&mut self, other: &Struck) {
        for (kind, count) in &other.counts {
            *self.counts.entry(*kind).or_default() += count;
        }
    }

    pub fn of(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }
}
