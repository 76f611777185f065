//! Timed events, earliest first; events of one time come out in the order they went in.
//!
//! A binary heap of small keys; what they stand for lies still beside it until its time comes. No
//! allocation per event once both have grown.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// From the highest bits down: when an event is due, in nanoseconds of true time; how many were added before
/// it; the slot in which it lies. So one comparison tells which of two is earlier.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Key(u128);

/// Bits of a key that say where its event lies.
const SLOT_BITS: u32 = 24;
const SLOTS_MAX: u64 = 1 << SLOT_BITS;
const SEQUENCE_MAX: u64 = u64::MAX >> SLOT_BITS;

impl Key {
    fn new(at_ns: u64, sequence: u64, slot: u64) -> Key {
        assert!(slot < SLOTS_MAX && sequence <= SEQUENCE_MAX, "event {sequence} in slot {slot}");
        Key(u128::from(at_ns) << 64 | u128::from(sequence << SLOT_BITS | slot))
    }

    fn at_ns(self) -> u64 {
        (self.0 >> 64) as u64
    }

    fn slot(self) -> usize {
        (self.0 as u64 % SLOTS_MAX) as usize
    }
}

/// The events to come. Time of what comes out never goes back.
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Key>>,
    slots: Vec<Option<T>>,
    /// Slots without an event.
    free: Vec<u32>,
    next_sequence: u64,
    last_ns: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue {
            heap: BinaryHeap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            next_sequence: 0,
            last_ns: 0,
        }
    }
}

impl<T> Queue<T> {
    /// Adds an event; one due in the past comes out now.
    pub fn push(&mut self, at_ns: u64, item: T) {
        let at_ns = at_ns.max(self.last_ns);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(item);
                u64::from(slot)
            }
            None => {
                self.slots.push(Some(item));
                self.slots.len() as u64 - 1
            }
        };
        self.heap.push(Reverse(Key::new(at_ns, self.next_sequence, slot)));
        self.next_sequence += 1;
    }

    /// The earliest event and its time.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let Reverse(key) = self.heap.pop()?;
        let (at_ns, slot) = (key.at_ns(), key.slot());
        assert!(at_ns >= self.last_ns, "time went back: {at_ns} < {}", self.last_ns);
        self.last_ns = at_ns;
        self.free.push(slot as u32);
        let item = self.slots[slot].take().expect("a key stands for an event");
        Some((at_ns, item))
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earliest_first_and_ties_in_order_of_arrival() {
        let mut queue = Queue::default();
        for (at, name) in [(5, "c"), (1, "a"), (5, "d"), (2, "b")] {
            queue.push(at, name);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, vec![(1, "a"), (2, "b"), (5, "c"), (5, "d")]);
    }

    #[test]
    fn what_is_due_in_the_past_comes_out_now() {
        let mut queue = Queue::default();
        queue.push(10, 1);
        queue.pop();
        queue.push(3, 2);
        assert_eq!(queue.pop(), Some((10, 2)));
    }
}
