//! Real time as a chain of instants.
//!
//! That every operation precedes all that began after it ended would be a quadratic number of
//! edges, and their transitive reduction still one for each pair of concurrent operations. An
//! *instant* is placed before a beginning that follows an end; then four edges or fewer an
//! operation have the same paths:
//!
//! ```text
//!   T1 ├────┤─┐               T3 ├───
//!   T2   ├────┴─▶ instant 1 ─▶─┘        ─▶ instant 2 ─▶ …
//! ```

use crate::graph::EdgeList;
use crate::history::{History, NEVER, Outcome};
use crate::verdict::EdgeReason;

/// The edges of real time, and of each instant the event before it. The nodes of instants follow
/// those of operations.
pub(super) fn instants(history: &History) -> (EdgeList, Vec<u32>) {
    let mut edges = EdgeList::default();
    let mut moments: Vec<u32> = Vec::new();
    let operation_count = history.operation_count() as u32;
    let mut ended: Vec<u32> = Vec::new();
    let mut current: Option<u32> = None;
    for (at, event) in events(history).into_iter().enumerate() {
        let Some((node, is_end)) = event.unpack() else { continue };
        if is_end {
            ended.push(node);
            continue;
        }
        if !ended.is_empty() {
            let instant = operation_count + moments.len() as u32;
            // An end came before, so this is not the first event.
            moments.push(at as u32 - 1);
            for before in ended.drain(..).chain(current) {
                edges.push(before, instant, EdgeReason::Realtime);
            }
            current = Some(instant);
        }
        if let Some(instant) = current {
            edges.push(instant, node, EdgeReason::Realtime);
        }
    }
    (edges, moments)
}

/// An event that matters: an operation and whether it is its end.
#[derive(Clone, Copy)]
struct Event(u32);

impl Event {
    const OTHER: Event = Event(u32::MAX);

    fn unpack(self) -> Option<(u32, bool)> {
        (self.0 != u32::MAX).then_some((self.0 >> 1, self.0 & 1 == 1))
    }
}

fn events(history: &History) -> Vec<Event> {
    let mut events = vec![Event::OTHER; history.event_count()];
    for (id, operation) in history.operations() {
        if operation.outcome == Outcome::Fail {
            continue;
        }
        events[operation.invoked as usize] = Event(id.0 << 1);
        let deadline = operation.deadline();
        if deadline != NEVER {
            events[deadline as usize] = Event(id.0 << 1 | 1);
        }
    }
    events
}
