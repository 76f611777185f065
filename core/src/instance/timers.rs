//! Waiting for a time, as a completion.

use std::collections::BTreeMap;

use crate::seam::{Completion, Mono, Resolver, Spawner};

/// Tasks asleep, by time.
#[derive(Debug, Default)]
pub struct Timers {
    /// The second part of the key keeps two timers of one time apart, first asked first woken.
    queue: BTreeMap<(Mono, u64), Resolver<()>>,
    next: u64,
}

impl Timers {
    /// A completion that resolves at `at`, or in the next turn if that has passed.
    pub fn sleep_until(&mut self, spawner: &Spawner, at: Mono) -> Completion<()> {
        let (completion, resolver) = spawner.completion();
        self.queue.insert((at, self.next), resolver);
        self.next += 1;
        completion
    }

    /// Wakes everyone whose time has come.
    pub fn fire(&mut self, now: Mono) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().resolve(());
        }
    }

    /// Tasks asleep.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// When [`Timers::fire`] should be called next.
    pub fn next_wake(&self) -> Mono {
        self.queue.first_key_value().map_or(Mono::NEVER, |((at, _), _)| *at)
    }
}
