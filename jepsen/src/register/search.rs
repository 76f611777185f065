//! Registers with compare-and-set or repeated values: all orders, explored event by event.
//!
//! Wing and Gong's search in the just-in-time form of Lowe (*Testing for Linearizability*, 2017): a
//! *configuration* is what may be true after the events so far (the value of the register and which
//! open operations have taken effect). An operation takes effect only when some end of an
//! operation demands it, so the set of configurations stays small:
//!
//! * An open read that matches takes effect at once: that can never harm.
//! * A write that nobody may see (no open read or compare-and-set of its value) is *silent*. It
//!   can hide just before any write that took effect while it was open, so those are remembered as
//!   `covered` instead of trying all subsets of silent writes.
//! * An operation of unknown outcome is forgotten when nothing is left that needs its value, and of
//!   several that would do the same, the first to begin is the first to take effect.
//!
//! When a configuration must let an open operation take effect, it tries all sequences of other
//! open operations that are not silent before it. If no configuration is left, the history is not
//! linearizable. The problem is NP-complete (Gibbons and Korach 1997): where there are too many
//! configurations, the search says so and gives up.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;

use crate::history::{AtomHasher, NEVER, OperationId};
use crate::verdict::CheckError;

use super::{Action, Call, Decision, NIL_VALUE, Refutation};

/// Open operations, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Slots<const W: usize>([u64; W]);

impl<const W: usize> Slots<W> {
    const NONE: Slots<W> = Slots([0; W]);

    fn has(&self, slot: usize) -> bool {
        self.0[slot / 64] >> (slot % 64) & 1 == 1
    }

    fn add(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn and_not(mut self, other: &Slots<W>) -> Slots<W> {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word &= !other;
        }
        self
    }

    fn or(mut self, other: &Slots<W>) -> Slots<W> {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
        self
    }

    fn each(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, word)| {
            let mut word = word;
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Configuration<const W: usize> {
    value: u32,
    done: Slots<W>,
    /// Open writes that may have hidden before a write that took effect since they began.
    covered: Slots<W>,
}

type Seen<const W: usize> = HashSet<Configuration<W>, BuildHasherDefault<AtomHasher>>;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum EventKind {
    Begin,
    End,
    /// An operation of unknown outcome is of no more use.
    Forget,
}

/// Decides a register.
///
/// # Errors
/// Where more operations are open at once, or more orders possible, than the search has room for.
pub(super) fn decide(calls: &[Call], value_count: usize) -> Decision {
    let events = events(calls, value_count);
    let open_max = open_max(&events);
    match open_max {
        0..=64 => Search::<1>::new(calls).run(&events),
        65..=256 => Search::<4>::new(calls).run(&events),
        257..=2048 => Search::<32>::new(calls).run(&events),
        _ => Err(CheckError(format!(
            "{open_max} operations on one register are open at once; the search holds 2048"
        ))),
    }
}

/// `(time, kind, call)` in order of time.
fn events(calls: &[Call], value_count: usize) -> Vec<(u32, EventKind, u32)> {
    let needed_until = needed_until(calls, value_count);
    let mut events = Vec::with_capacity(calls.len() * 2);
    for (index, call) in calls.iter().enumerate() {
        let index = index as u32;
        if call.deadline != NEVER {
            events.push((call.invoked, EventKind::Begin, index));
            events.push((call.deadline, EventKind::End, index));
            continue;
        }
        let (Action::Read(value) | Action::Write(value) | Action::Swap { new: value, .. }) =
            call.action;
        let until = needed_until[value as usize];
        if until > call.invoked {
            events.push((call.invoked, EventKind::Begin, index));
            events.push((until, EventKind::Forget, index));
        }
    }
    events.sort_unstable();
    events
}

/// For each value, the last end of an operation that needs the register to hold it.
fn needed_until(calls: &[Call], value_count: usize) -> Vec<u32> {
    let mut until = vec![0; value_count];
    for call in calls.iter().filter(|call| call.deadline != NEVER) {
        if let Action::Read(value) | Action::Swap { old: value, .. } = call.action {
            until[value as usize] = until[value as usize].max(call.deadline);
        }
    }
    // An uncertain compare-and-set needs its old value as long as its new one is needed.
    loop {
        let mut changed = false;
        // A chain of them is mostly in order of time, and is needed from its end on.
        for call in calls.iter().rev().filter(|call| call.deadline == NEVER) {
            let Action::Swap { old, new } = call.action else { continue };
            if until[old as usize] < until[new as usize] {
                until[old as usize] = until[new as usize];
                changed = true;
            }
        }
        if !changed {
            return until;
        }
    }
}

fn open_max(events: &[(u32, EventKind, u32)]) -> usize {
    let (mut open, mut open_max) = (0usize, 0);
    for (_, kind, _) in events {
        match kind {
            EventKind::Begin => open += 1,
            EventKind::End | EventKind::Forget => open -= 1,
        }
        open_max = open_max.max(open);
    }
    open_max
}

const NO_SLOT: u32 = u32::MAX;
/// Configurations explored, all together: some tens of seconds.
const EXPLORED_MAX: u64 = 1 << 26;
/// Memory of the configurations tried at one end of an operation.
const TRIED_BYTES_MAX: usize = 1 << 28;

struct Search<'a, const W: usize> {
    calls: &'a [Call],
    slot_of: Vec<u32>,
    /// The call in each slot that is taken.
    open: Vec<u32>,
    taken: Slots<W>,
    reads: Slots<W>,
    writes: Slots<W>,
    /// Writes that will certainly take effect.
    certain_writes: Slots<W>,
    /// For each slot of an operation of unknown outcome, those that began before and would do the
    /// same.
    twins: Vec<Slots<W>>,
    explored: u64,
    explored_max: u64,
    configurations: Vec<Configuration<W>>,
    next: Vec<Configuration<W>>,
    next_seen: Seen<W>,
    tried: Seen<W>,
    stack: Vec<Configuration<W>>,
}

impl<'a, const W: usize> Search<'a, W> {
    fn new(calls: &'a [Call]) -> Search<'a, W> {
        let start = Configuration { value: NIL_VALUE, done: Slots::NONE, covered: Slots::NONE };
        Search {
            calls,
            slot_of: vec![NO_SLOT; calls.len()],
            open: vec![0; W * 64],
            taken: Slots::NONE,
            reads: Slots::NONE,
            writes: Slots::NONE,
            certain_writes: Slots::NONE,
            twins: vec![Slots::NONE; W * 64],
            explored: 0,
            explored_max: EXPLORED_MAX,
            configurations: vec![start],
            next: Vec::new(),
            next_seen: Seen::default(),
            tried: Seen::default(),
            stack: Vec::new(),
        }
    }

    fn run(mut self, events: &[(u32, EventKind, u32)]) -> Decision {
        for &(_, kind, call) in events {
            match kind {
                EventKind::Begin => self.begin(call),
                EventKind::Forget => {
                    let slot = self.slot_of[call as usize] as usize;
                    self.release(slot);
                    self.next.clear();
                    self.next_seen.clear();
                    for index in 0..self.configurations.len() {
                        let configuration = self.configurations[index];
                        self.keep(configuration, slot);
                    }
                    std::mem::swap(&mut self.configurations, &mut self.next);
                }
                EventKind::End => {
                    let slot = self.slot_of[call as usize] as usize;
                    if !self.end(slot)? {
                        return Ok(Some(self.refute(call)));
                    }
                    self.release(slot);
                }
            }
        }
        Ok(None)
    }

    fn begin(&mut self, call: u32) {
        let slot = (0..W * 64).find(|&slot| !self.taken.has(slot)).expect("a slot is free");
        self.slot_of[call as usize] = slot as u32;
        self.open[slot] = call;
        self.taken.add(slot);
        match self.calls[call as usize].action {
            Action::Read(value) => {
                self.reads.add(slot);
                for configuration in &mut self.configurations {
                    if configuration.value == value {
                        configuration.done.add(slot);
                    }
                }
            }
            Action::Write(_) => {
                self.writes.add(slot);
                if self.is_certain(slot) {
                    self.certain_writes.add(slot);
                }
            }
            Action::Swap { .. } => {}
        }
        self.twins[slot] = Slots::NONE;
        if !self.is_certain(slot) {
            let mut others = self.taken;
            others.remove(slot);
            for other in others.each() {
                if !self.is_certain(other) && self.action(other) == self.action(slot) {
                    self.twins[slot].add(other);
                }
            }
        }
    }

    fn is_certain(&self, slot: usize) -> bool {
        self.calls[self.open[slot] as usize].deadline != NEVER
    }

    fn release(&mut self, slot: usize) {
        self.taken.remove(slot);
        self.reads.remove(slot);
        self.writes.remove(slot);
        self.certain_writes.remove(slot);
        if !self.is_certain(slot) {
            for twins in &mut self.twins {
                twins.remove(slot);
            }
        }
    }

    /// Keeps the configurations in which the operation in `slot` took effect. Returns whether
    /// there are any; if not, the configurations are as before.
    ///
    /// # Errors
    /// Where they are too many.
    fn end(&mut self, slot: usize) -> Result<bool, CheckError> {
        self.next.clear();
        self.next_seen.clear();
        self.tried.clear();
        for index in 0..self.configurations.len() {
            let configuration = self.configurations[index];
            if configuration.done.has(slot) {
                self.keep(configuration, slot);
                continue;
            }
            if configuration.covered.has(slot) {
                self.keep(configuration, slot);
            }
            self.stack.push(configuration);
        }
        while let Some(configuration) = self.stack.pop() {
            self.explored += 1;
            let tried_bytes = self.tried.len() * size_of::<Configuration<W>>();
            if self.explored > self.explored_max || tried_bytes > TRIED_BYTES_MAX {
                return Err(self.give_up(slot));
            }
            self.explore(configuration, slot);
        }
        if self.next.is_empty() {
            return Ok(false);
        }
        std::mem::swap(&mut self.configurations, &mut self.next);
        Ok(true)
    }

    fn give_up(&self, slot: usize) -> CheckError {
        let call = &self.calls[self.open[slot] as usize];
        let unknown = self.taken.each().filter(|&slot| !self.is_certain(slot)).count();
        CheckError(format!(
            "nobody knows: until T{} ended at event {}, the operations on its register have too \
             many possible orders; the outcome of {unknown} is unknown",
            call.id.0, call.deadline
        ))
    }

    fn explore(&mut self, from: Configuration<W>, target: usize) {
        if let Some(reached) = self.apply(&from, target) {
            self.keep(reached, target);
        }
        for slot in self.taken.and_not(&self.reads).and_not(&from.done).each() {
            let has_twin_left = !self.twins[slot].and_not(&from.done).is_empty();
            if slot == target || has_twin_left || self.is_silent(&from, slot) {
                continue;
            }
            let Some(reached) = self.apply(&from, slot) else { continue };
            if reached.done.has(target) {
                self.keep(reached, target);
            } else if self.tried.insert(reached) {
                self.stack.push(reached);
            }
        }
    }

    /// Whether a write could take effect without any open operation noticing.
    fn is_silent(&self, from: &Configuration<W>, slot: usize) -> bool {
        let Action::Write(value) = self.action(slot) else { return false };
        !self.taken.and_not(&self.writes).and_not(&from.done).each().any(|other| {
            match self.action(other) {
                Action::Read(wanted) | Action::Swap { old: wanted, .. } => wanted == value,
                Action::Write(_) => false,
            }
        })
    }

    fn action(&self, slot: usize) -> Action {
        self.calls[self.open[slot] as usize].action
    }

    /// What is true after the operation in `slot` took effect, if it could.
    fn apply(&self, from: &Configuration<W>, slot: usize) -> Option<Configuration<W>> {
        let mut after = *from;
        match self.action(slot) {
            Action::Read(value) if value != from.value => return None,
            Action::Read(_) => {}
            Action::Write(value) => {
                after.value = value;
                after.covered = after.covered.or(&self.certain_writes.and_not(&from.done));
            }
            Action::Swap { old, .. } if old != from.value => return None,
            Action::Swap { new, .. } => after.value = new,
        }
        after.done.add(slot);
        for read in self.reads.and_not(&after.done).each() {
            if self.action(read) == Action::Read(after.value) {
                after.done.add(read);
            }
        }
        after.covered = after.covered.and_not(&after.done);
        Some(after)
    }

    /// Adds a configuration to the next ones, without `slot`.
    fn keep(&mut self, mut configuration: Configuration<W>, slot: usize) {
        configuration.done.remove(slot);
        configuration.covered.remove(slot);
        if self.next_seen.insert(configuration) {
            self.next.push(configuration);
        }
    }

    /// The operation whose end could not be explained, the writes that could be current, and what
    /// else was open.
    fn refute(&self, call: u32) -> Refutation {
        let culprit = &self.calls[call as usize];
        let mut values: Vec<u32> = self.configurations.iter().map(|c| c.value).collect();
        values.sort_unstable();
        values.dedup();
        let before = self.calls.iter().rev().filter(|other| other.invoked < culprit.deadline);
        let mut operations: Vec<OperationId> = Vec::new();
        for &value in &values {
            let writes = |call: &&Call| match call.action {
                Action::Write(new) | Action::Swap { new, .. } => new == value,
                Action::Read(_) => false,
            };
            operations.extend(before.clone().find(|call| writes(call)).map(|call| call.id));
        }
        let slots = self.taken.each().filter(|&slot| self.open[slot] != call);
        operations.extend(slots.map(|slot| self.calls[self.open[slot] as usize].id));
        operations.sort();
        operations.dedup();
        operations.retain(|&id| id != culprit.id);
        operations.insert(0, culprit.id);
        let words = format!(
            "the first operation cannot have taken effect by its end; {} possible before it, \
             written by or open beside it are the others",
            match values.len() {
                1 => "one value was".to_string(),
                count => format!("{count} values were"),
            }
        );
        Refutation { operations, words }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn swaps(pairs: impl Iterator<Item = (u32, u32)>) -> Vec<Call> {
        let calls = pairs.enumerate().map(|(index, (old, new))| {
            let (id, action) = (OperationId(index as u32), Action::Swap { old, new });
            Call { id, action, invoked: index as u32, deadline: NEVER }
        });
        calls.collect()
    }

    fn read(calls: &mut Vec<Call>, value: u32) {
        let at = calls.len() as u32 + 1000;
        let (id, action) = (OperationId(calls.len() as u32), Action::Read(value));
        calls.push(Call { id, action, invoked: 2 * at, deadline: 2 * at + 1 });
    }

    #[test]
    fn too_many_orders_are_an_error_and_no_verdict() {
        let mut calls = swaps((0..8).flat_map(|old| (1..8).map(move |new| (old, new))));
        for value in [1, 2, 3, 4, 5, 6, 7, 1, 2, 3] {
            read(&mut calls, value);
        }
        let mut search = Search::<1>::new(&calls);
        search.explored_max = 1000;
        let error = search.run(&events(&calls, 8)).unwrap_err();
        assert!(error.0.contains("too many possible orders"), "{error}");
        assert!(error.0.contains("the outcome of 56 is unknown"), "{error}");
    }

    #[test]
    fn of_equal_operations_of_unknown_outcome_one_order_is_tried() {
        let mut calls = swaps((0..30).flat_map(|_| [(0, 1), (1, 0)]));
        for index in 0..30 {
            read(&mut calls, 1 - index % 2);
        }
        let mut search = Search::<1>::new(&calls);
        search.explored_max = 10_000;
        assert!(search.run(&events(&calls, 2)).unwrap().is_none());
    }
}
