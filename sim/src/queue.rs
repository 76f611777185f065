//! Timed events, earliest first; events of one time come out in the order they went in.
//!
//! A binary heap of entries held inline: no allocation per event once the heap has grown.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// One event and when it is due, in nanoseconds of true time.
struct Entry<T> {
    at_ns: u64,
    sequence: u64,
    item: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at_ns, self.sequence) == (other.at_ns, other.sequence)
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    /// Reversed: the heap keeps its greatest on top, we want the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.sequence).cmp(&(self.at_ns, self.sequence))
    }
}

/// The events to come. Time of what comes out never goes back.
pub struct Queue<T> {
    heap: BinaryHeap<Entry<T>>,
    next_sequence: u64,
    last_ns: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue { heap: BinaryHeap::new(), next_sequence: 0, last_ns: 0 }
    }
}

impl<T> Queue<T> {
    /// Adds an event; one due in the past comes out now.
    pub fn push(&mut self, at_ns: u64, item: T) {
        let at_ns = at_ns.max(self.last_ns);
        self.heap.push(Entry { at_ns, sequence: self.next_sequence, item });
        self.next_sequence += 1;
    }

    /// The earliest event and its time.
    pub fn pop(&mut self) -> Option<(u64, T)> {
        let entry = self.heap.pop()?;
        assert!(entry.at_ns >= self.last_ns, "time went back: {} < {}", entry.at_ns, self.last_ns);
        self.last_ns = entry.at_ns;
        Some((entry.at_ns, entry.item))
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
