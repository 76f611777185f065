//! The versions of every list: which operation appended each element, in the order of the longest
//! list that was read.
//!
//! ```text
//!   key x: longest list read [1 2 4]          appends of x sorted by element
//!          writers           [T0 T3 T5]       1→T0 2→T3 3→T4 4→T5
//!          never read        3 by T4: after all of [1 2 4], since they do not hold it
//! ```

use std::collections::BTreeSet;

use super::writers::{Write, Writer, Writers};
use crate::history::{Atom, History, KeyId, OperationId, Outcome, StepKind};
use crate::verdict::CheckError;

/// What is odd about the versions of a key: the first place in its longest list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Oddities {
    pub first_aborted: u32,
    pub first_garbage: u32,
    pub first_duplicate: u32,
}

const NOWHERE: u32 = u32::MAX;

pub(super) struct ListVersions {
    appends: Writers,
    writer_starts: Vec<u32>,
    /// By key, in the order of its longest list.
    writers: Vec<Writer>,
    pub oddities: Vec<Oddities>,
    /// For each key, how many elements of its longest list all reads agree on. What comes after is
    /// the order of some reads only, and nothing is inferred from it.
    agreed: Vec<u32>,
    /// For each key, certain operations whose last append no read shows.
    unread: Vec<Vec<OperationId>>,
}

impl ListVersions {
    /// # Errors
    /// As [`Writers::new`].
    pub fn new(history: &History) -> Result<ListVersions, CheckError> {
        let appends = Writers::new(history, StepKind::Append)?;
        let keys = history.key_count();
        let mut writer_starts = Vec::with_capacity(keys + 1);
        let mut writers: Vec<Writer> = Vec::new();
        let mut oddities = Vec::with_capacity(keys);
        let mut unread_of = Vec::with_capacity(keys);
        let mut is_read: Vec<bool> = Vec::new();
        let agreed = agreed(history);
        for key in (0..keys as u32).map(KeyId) {
            let of_key = appends.of(key);
            writer_starts.push(writers.len() as u32);
            is_read.clear();
            is_read.resize(of_key.len(), false);
            oddities.push(follow(history.longest(key), of_key, &mut is_read, &mut writers));
            let is_total = agreed[key.0 as usize] as usize == history.longest(key).len();
            unread_of.push(if is_total { unread(history, of_key, &is_read) } else { Vec::new() });
        }
        writer_starts.push(writers.len() as u32);
        Ok(ListVersions { appends, writer_starts, writers, oddities, agreed, unread: unread_of })
    }

    /// The writers of a key's longest list.
    pub fn writers(&self, key: KeyId) -> &[Writer] {
        let key = key.0 as usize;
        &self.writers[self.writer_starts[key] as usize..self.writer_starts[key + 1] as usize]
    }

    /// The writers of what all reads of a key agree on.
    pub fn agreed(&self, key: KeyId) -> &[Writer] {
        &self.writers(key)[..self.agreed[key.0 as usize] as usize]
    }

    /// Operations that certainly appended to the key, last, what no read shows.
    pub fn unread(&self, key: KeyId) -> &[OperationId] {
        &self.unread[key.0 as usize]
    }

    pub fn writer(&self, key: KeyId, value: Atom) -> Writer {
        self.appends.writer(key, value)
    }

    /// The failed operation that appended a value.
    pub fn aborted_by(&self, key: KeyId, value: Atom) -> Option<OperationId> {
        self.appends.aborted_by(key, value)
    }
}

/// For each key, the length of the longest list that begins all lists that fit.
fn agreed(history: &History) -> Vec<u32> {
    let keys = (0..history.key_count() as u32).map(KeyId);
    let mut agreed: Vec<u32> = keys.map(|key| history.longest(key).len() as u32).collect();
    if !history.has_stray_lists() {
        return agreed;
    }
    for (_, operation) in history.operations() {
        for step in history.steps_of(operation).iter().filter(|s| s.kind == StepKind::ReadStray) {
            let elements = history.elements(step).unwrap_or_default();
            let pairs = elements.iter().zip(history.longest(step.key));
            let shared = pairs.take_while(|(one, other)| one == other).count() as u32;
            let of_key = &mut agreed[step.key.0 as usize];
            *of_key = (*of_key).min(shared);
        }
    }
    agreed
}

/// Adds the writers of the longest list and marks the appends that are in it.
fn follow(
    longest: &[Atom],
    of_key: &[Write],
    is_read: &mut [bool],
    writers: &mut Vec<Writer>,
) -> Oddities {
    let mut oddities =
        Oddities { first_aborted: NOWHERE, first_garbage: NOWHERE, first_duplicate: NOWHERE };
    let mut garbage: BTreeSet<Atom> = BTreeSet::new();
    for (place, value) in longest.iter().enumerate() {
        let place = place as u32;
        let found = of_key.partition_point(|append| append.value < *value);
        let Some(append) = of_key.get(found).filter(|append| append.value == *value) else {
            oddities.first_garbage = oddities.first_garbage.min(place);
            if !garbage.insert(*value) {
                oddities.first_duplicate = oddities.first_duplicate.min(place);
            }
            writers.push(Writer::NOBODY);
            continue;
        };
        if append.writer == Writer::ABORTED {
            oddities.first_aborted = oddities.first_aborted.min(place);
        }
        if is_read[found] {
            oddities.first_duplicate = oddities.first_duplicate.min(place);
        }
        is_read[found] = true;
        writers.push(append.writer);
    }
    oddities
}

/// The certain operations whose last element of the key is unread, each once.
fn unread(history: &History, of_key: &[Write], is_read: &[bool]) -> Vec<OperationId> {
    let mut unread: Vec<OperationId> = Vec::new();
    for (index, append) in of_key.iter().enumerate() {
        // Of equal elements, which a failed operation leaves behind, the first stands for all.
        let is_same = index > 0 && of_key[index - 1].value == append.value;
        if is_read[index] || is_same {
            continue;
        }
        let Some(id) = append.writer.operation() else { continue };
        if history.operation(id).outcome == Outcome::Ok && !append.writer.is_intermediate() {
            unread.push(id);
        }
    }
    unread.sort_unstable();
    unread.dedup();
    unread
}
