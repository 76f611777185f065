//! The versions of one key, newest first.
//!
//! Most keys have one version, and it is one allocation:
//!
//! | offset | bytes | field                       |
//! |--------|-------|-----------------------------|
//! | 0      | 8     | commit timestamp            |
//! | 8      | 8     | log index                   |
//! | 16     | 1     | 1 for a row, 0 for a delete |
//! | 17     |       | the row                     |
//!
//! Timestamps fall from newest to oldest. Log indexes usually do too, but a transaction over several
//! shards may commit below a version of another key, and moved rows keep their old timestamps.

use super::memory::allocation_bytes;
use crate::base::{LogIndex, Timestamp};

const HEADER: usize = 17;

/// One version of one row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version(Box<[u8]>);

impl Version {
    /// `row` is `None` for a delete.
    pub fn new(ts: Timestamp, log_index: LogIndex, row: Option<&[u8]>) -> Version {
        let mut bytes = Vec::with_capacity(HEADER + row.map_or(0, <[u8]>::len));
        bytes.extend_from_slice(&ts.0.to_le_bytes());
        bytes.extend_from_slice(&log_index.0.to_le_bytes());
        bytes.push(u8::from(row.is_some()));
        bytes.extend_from_slice(row.unwrap_or_default());
        Version(bytes.into_boxed_slice())
    }

    pub fn ts(&self) -> Timestamp {
        Timestamp(self.number(0))
    }

    pub fn log_index(&self) -> LogIndex {
        LogIndex(self.number(8))
    }

    /// The row; `None` for a delete.
    pub fn row(&self) -> Option<&[u8]> {
        (self.0[16] == 1).then(|| &self.0[HEADER..])
    }

    pub fn heap_bytes(&self) -> u64 {
        allocation_bytes(self.0.len())
    }

    fn number(&self, at: usize) -> u64 {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.0[at..at + 8]);
        u64::from_le_bytes(bytes)
    }
}

/// A place in time: versions with a timestamp and a log index at or below these exist for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AsOf {
    pub ts: Timestamp,
    pub log_index: LogIndex,
}

impl AsOf {
    /// As of a timestamp, whatever the log index: what transactions read.
    pub fn ts(ts: Timestamp) -> AsOf {
        AsOf { ts, log_index: LogIndex(u64::MAX) }
    }

    pub fn includes(self, version: &Version) -> bool {
        version.ts() <= self.ts && version.log_index() <= self.log_index
    }

    /// The earlier of both, in each respect.
    pub fn min(self, other: AsOf) -> AsOf {
        AsOf { ts: self.ts.min(other.ts), log_index: self.log_index.min(other.log_index) }
    }
}

/// The versions of a key. Never empty in a tree.
#[derive(Clone, Debug)]
pub enum Chain {
    One(Version),
    /// Newest first, by timestamp, then by log index.
    Many(Box<Vec<Version>>),
}

const _: () = assert!(size_of::<Chain>() == 16);

impl Chain {
    pub fn versions(&self) -> &[Version] {
        match self {
            Chain::One(version) => std::slice::from_ref(version),
            Chain::Many(versions) => versions,
        }
    }

    pub fn newest(&self) -> &Version {
        &self.versions()[0]
    }

    /// The version a reader at `at` sees.
    pub fn as_of(&self, at: AsOf) -> Option<&Version> {
        self.versions().iter().find(|version| at.includes(version))
    }

    /// Puts a version in its place; gives the one of the same log index and timestamp it replaces.
    pub fn insert(&mut self, version: Version) -> Option<Version> {
        let rank = |v: &Version| (v.ts(), v.log_index());
        let own = rank(&version);
        let versions = self.make_many();
        let at = versions.partition_point(|v| rank(v) > own);
        if versions.get(at).is_some_and(|v| rank(v) == own) {
            let replaced = std::mem::replace(&mut versions[at], version);
            self.compact();
            return Some(replaced);
        }
        versions.insert(at, version);
        None
    }

    /// Takes out the versions for which `keep` is false. The chain must be dropped if it is empty
    /// afterwards.
    pub fn take_unless(&mut self, mut keep: impl FnMut(&Version) -> bool) -> Vec<Version> {
        let versions = self.make_many();
        let taken = versions.extract_if(.., |version| !keep(version)).collect();
        self.compact();
        taken
    }

    /// Takes out what no reader at `horizon` or later can see: everything below the version seen at
    /// `horizon`, and that version too if it is a delete and the newest.
    pub fn prune(&mut self, horizon: AsOf) -> Vec<Version> {
        let Some(seen) = self.versions().iter().position(|v| horizon.includes(v)) else {
            return Vec::new();
        };
        let gone = seen == 0 && self.newest().row().is_none();
        if gone && crate::canary!(CollectDeleteAlone) {
            let taken = vec![self.make_many().remove(0)];
            self.compact();
            return taken;
        }
        let keep = if gone { 0 } else { seen + 1 };
        if keep == self.versions().len() {
            return Vec::new();
        }
        let taken = self.make_many().split_off(keep);
        self.compact();
        taken
    }

    pub fn is_empty(&self) -> bool {
        self.versions().is_empty()
    }

    /// Bytes allocated besides the chain itself and its versions.
    pub fn overhead_bytes(&self) -> u64 {
        match self {
            Chain::One(_) => 0,
            Chain::Many(many) => {
                let slots = many.len() * size_of::<Version>();
                allocation_bytes(size_of::<Vec<Version>>()) + allocation_bytes(slots)
            }
        }
    }

    fn make_many(&mut self) -> &mut Vec<Version> {
        if let Chain::One(_) = self {
            let empty = Chain::Many(Box::default());
            let Chain::One(version) = std::mem::replace(self, empty) else {
                unreachable!("it was one version")
            };
            self.make_many().push(version);
        }
        match self {
            Chain::Many(versions) => versions,
            Chain::One(_) => unreachable!("it was just made many"),
        }
    }

    fn compact(&mut self) {
        if let Chain::Many(versions) = self {
            if versions.len() == 1 {
                *self = Chain::One(versions.swap_remove(0));
            } else {
                versions.shrink_to_fit();
            }
        }
    }
}
