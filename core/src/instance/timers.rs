//! Waiting for a time, as a completion.

use std::collections::BTreeMap;

use crate::seam::{Completion, Mono, Resolver, Spawner};

/// Who waits for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A task that waits for nothing else.
    Sleep,
    /// A task that waits for something, but no longer than until then.
    Deadline,
}

#[derive(Debug)]
struct Timer {
    kind: Kind,
    resolver: Resolver<()>,
}

/// Those that wait, by time.
#[derive(Debug, Default)]
pub struct Timers {
    /// The second part of the key keeps two timers of one time apart, first asked first woken.
    queue: BTreeMap<(Mono, u64), Timer>,
    next: u64,
    /// Timers that were still waited for when the rest was cleared away.
    kept: usize,
}

/// Fewer timers than this are not worth a look at who still waits.
const FEW: usize = 64;

impl Timers {
    /// A completion that resolves at `at`, or in the next turn if that has passed. The task that awaits it
    /// waits for nothing else.
    pub fn sleep_until(&mut self, spawner: &Spawner, at: Mono) -> Completion<()> {
        self.add(spawner, at, Kind::Sleep)
    }

    /// As [`Timers::sleep_until`], for a task that waits for something else too.
    pub fn deadline(&mut self, spawner: &Spawner, at: Mono) -> Completion<()> {
        self.add(spawner, at, Kind::Deadline)
    }

    fn add(&mut self, spawner: &Spawner, at: Mono, kind: Kind) -> Completion<()> {
        self.clear_abandoned();
        let (completion, resolver) = spawner.completion();
        self.queue.insert((at, self.next), Timer { kind, resolver });
        self.next += 1;
        completion
    }

    /// Lets timers go that nobody waits for any more, most of them deadlines of statements that ended in
    /// time. It looks at all of them, each time they have doubled: so there are at most twice as many as are
    /// waited for, and a few, and a timer costs two looks.
    fn clear_abandoned(&mut self) {
        if self.queue.len() < FEW + 2 * self.kept {
            return;
        }
        self.queue.retain(|_, timer| !timer.resolver.is_abandoned());
        self.kept = self.queue.len();
    }

    /// Wakes everyone whose time has come.
    pub fn fire(&mut self, now: Mono) {
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > now {
                break;
            }
            entry.remove().resolver.resolve(());
        }
    }

    /// Tasks asleep: those that wait for nothing but a time.
    pub fn asleep(&self) -> usize {
        let asleep = |t: &&Timer| t.kind == Kind::Sleep && !t.resolver.is_abandoned();
        self.queue.values().filter(asleep).count()
    }

    /// When [`Timers::fire`] should be called next.
    pub fn next_wake(&self) -> Mono {
        self.queue.first_key_value().map_or(Mono::NEVER, |((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_that_nobody_waits_for_are_let_go() {
        let (mut timers, spawner) = (Timers::default(), Spawner::default());
        let slept = timers.sleep_until(&spawner, Mono(1 << 40));
        let mut waited: Vec<_> =
            (0..100).map(|at| timers.deadline(&spawner, Mono((2 << 40) + at))).collect();
        for at in 0..10_000 {
            drop(timers.deadline(&spawner, Mono((3 << 40) + at)));
            assert!(timers.queue.len() <= FEW + 2 * 101, "{}", timers.queue.len());
        }
        assert_eq!(timers.asleep(), 1, "the others wait for something else");
        drop(slept);
        assert_eq!(timers.asleep(), 0);
        waited.truncate(1);
        timers.clear_abandoned();
        timers.fire(Mono(4 << 40));
        assert_eq!(timers.next_wake(), Mono::NEVER);
    }
}
