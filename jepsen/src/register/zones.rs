//! Registers whose values are written once each: decided by the zones of their values.
//!
//! The operations of one value (its write and its reads) must lie together in any order. Let `f`
//! be the first end among them and `s` the last beginning. If `f < s`, the register certainly held
//! the value from `f` to `s` (a *forward* zone); otherwise all of them have the time `s..f` in
//! common (a *backward* zone), and one moment in it is enough.
//!
//! ```text
//!   write 1 ├──┤f                    forward zone of 1: f..s
//!   read  1          s├────┤
//!   write 2      s├─┤f               backward zone of 2, inside that of 1: impossible
//! ```
//!
//! A history is linearizable iff no value is read before its write begins, no two forward zones
//! overlap, and no backward zone lies inside a forward one (Gibbons and Korach, *Testing Shared
//! Memories*, 1997, section 4).

use crate::history::{NEVER, OperationId};

use super::{Action, Call, NIL_VALUE, Refutation};

/// Times are events counted from 1, so that 0 is before all of them.
#[derive(Clone, Copy)]
struct Zone {
    write: Option<(OperationId, u32)>,
    first_end: u32,
    first_ended: Option<OperationId>,
    last_start: u32,
    last_started: Option<OperationId>,
    has_reads: bool,
    is_certain: bool,
}

impl Zone {
    const EMPTY: Zone = Zone {
        write: None,
        first_end: NEVER,
        first_ended: None,
        last_start: 0,
        last_started: None,
        has_reads: false,
        is_certain: false,
    };

    fn add(&mut self, call: &Call) {
        let (start, end) = (call.invoked + 1, call.deadline.saturating_add(1));
        if end < self.first_end {
            self.first_end = end;
            self.first_ended = Some(call.id);
        }
        if self.last_started.is_none() || start > self.last_start {
            self.last_start = start;
            self.last_started = Some(call.id);
        }
        self.is_certain |= call.deadline != NEVER;
    }

    fn is_forward(&self) -> bool {
        self.first_end < self.last_start
    }

    fn operations(&self) -> Vec<OperationId> {
        let mut ids: Vec<OperationId> =
            [self.write.map(|(id, _)| id), self.first_ended, self.last_started]
                .into_iter()
                .flatten()
                .collect();
        ids.sort();
        ids.dedup();
        ids
    }
}

/// Decides a register, or returns `None` where its values are not unique.
pub(super) fn decide(calls: &[Call], value_count: usize) -> Option<Option<Refutation>> {
    let mut zones = vec![Zone::EMPTY; value_count];
    for call in calls {
        match call.action {
            Action::Swap { .. } => return None,
            Action::Write(value) => {
                let zone = &mut zones[value as usize];
                if value == NIL_VALUE || zone.write.is_some() {
                    return None;
                }
                zone.write = Some((call.id, call.invoked));
                zone.add(call);
            }
            Action::Read(value) => {
                zones[value as usize].has_reads = true;
                zones[value as usize].add(call);
            }
        }
    }
    Some(find_early_read(calls, &zones).or_else(|| find_conflict(zones)))
}

/// A read that ended before the write of its value began, or of a value without a write.
fn find_early_read(calls: &[Call], zones: &[Zone]) -> Option<Refutation> {
    for call in calls {
        let Action::Read(value) = call.action else { continue };
        if value == NIL_VALUE {
            continue;
        }
        match zones[value as usize].write {
            None => {
                let words = "a value was read that nobody wrote".to_string();
                return Some(Refutation { operations: vec![call.id], words });
            }
            Some((write, invoked)) if call.deadline < invoked => {
                let words = "a read ended before the write of its value began".to_string();
                return Some(Refutation { operations: vec![call.id, write], words });
            }
            Some(_) => {}
        }
    }
    None
}

fn find_conflict(mut zones: Vec<Zone>) -> Option<Refutation> {
    // Nil was there before everything.
    let nil = &mut zones[NIL_VALUE as usize];
    if nil.has_reads {
        nil.first_end = 0;
        nil.first_ended = None;
    }
    // A write of unknown outcome that nobody read need not have happened.
    zones.retain(|zone| zone.has_reads || zone.is_certain);
    let (mut forward, backward): (Vec<Zone>, Vec<Zone>) =
        zones.into_iter().partition(Zone::is_forward);
    forward.sort_by_key(|zone| zone.first_end);
    for pair in forward.windows(2) {
        if pair[1].first_end < pair[0].last_start {
            return Some(conflict(
                &pair[0],
                &pair[1],
                "two values were both current at one time: each was there before and seen after \
                 the same moment",
            ));
        }
    }
    for zone in &backward {
        let after = forward.partition_point(|other| other.first_end < zone.last_start);
        let Some(around) = after.checked_sub(1).map(|index| &forward[index]) else { continue };
        if zone.first_end < around.last_start {
            return Some(conflict(
                around,
                zone,
                "a value was there before and after another that must have come in between",
            ));
        }
    }
    None
}

fn conflict(one: &Zone, other: &Zone, words: &str) -> Refutation {
    let mut operations = one.operations();
    operations.extend(other.operations());
    Refutation { operations, words: words.to_string() }
}
