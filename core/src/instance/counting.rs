//! What `/metrics` counts, where it happens.
//!
//! Times are differences of turn times: a statement that is answered in the turn it arrived in took
//! none. What waits for a commit is timed until the turn that lets its reply go.

use std::collections::{BTreeMap, VecDeque};

use super::state::State;
use crate::admin::metrics::Metrics;
use crate::base::{GroupId, LogIndex, Term};
use crate::group::Group;
use crate::seam::{Effect, Mono};

/// Counters of this life of the instance.
#[derive(Debug, Default)]
pub struct Counting {
    /// What only grows; gauges are filled in when somebody asks.
    pub metrics: Metrics,
    booted: Mono,
    /// Statements whose replies wait for a position of the log, by position.
    waiting: VecDeque<Waiting>,
    /// The last term in which this member led each group, and how many there were.
    led: BTreeMap<GroupId, (Term, u64)>,
    /// The log's batch under way: its number, and since when.
    batch: (u64, Mono),
}

#[derive(Debug)]
struct Waiting {
    position: LogIndex,
    began: Mono,
    writes: bool,
}

impl Counting {
    pub fn booted(&mut self, now: Mono) {
        self.booted = now;
    }

    pub fn uptime_seconds(&self, now: Mono) -> u64 {
        now.since(self.booted).as_secs()
    }

    pub fn elections_won(&self, group: GroupId) -> u64 {
        self.led.get(&group).map_or(0, |(_, times)| *times)
    }

    /// A statement that began at `began` was answered, or will be once `position` is committed.
    pub fn statement(&mut self, now: Mono, began: Mono, position: Option<LogIndex>, writes: bool) {
        let Some(position) = position else {
            self.metrics.statement_time.observe(now.since(began));
            return;
        };
        let later = self.waiting.iter().rev().take_while(|w| w.position > position).count();
        let at = self.waiting.len() - later;
        self.waiting.insert(at, Waiting { position, began, writes });
    }

    /// The rows' group has committed up to `committed`; `None`: this member does not lead it, and
    /// whoever still waits is told that its outcome is unknown.
    fn committed(&mut self, now: Mono, committed: Option<LogIndex>) {
        let Some(committed) = committed else {
            self.waiting.clear();
            return;
        };
        while self.waiting.front().is_some_and(|w| w.position <= committed) {
            let Some(done) = self.waiting.pop_front() else { break };
            let took = now.since(done.began);
            self.metrics.statement_time.observe(took);
            if done.writes {
                self.metrics.commit_time.observe(took);
            }
        }
    }

    fn look_at(&mut self, group: &Group) {
        let (term, times) = self.led.entry(group.id()).or_default();
        if group.is_leader() && *term != group.term() {
            *term = group.term();
            *times += 1;
        }
    }

    /// The log has begun `batches` batches.
    fn log_written(&mut self, now: Mono, batches: u64) {
        if self.batch.0 != batches {
            self.batch = (batches, now);
        }
    }

    /// The log's batch under way is durable.
    pub fn log_durable(&mut self, now: Mono) {
        self.metrics.wal_sync_time.observe(now.since(self.batch.1));
    }
}

impl State {
    /// At the end of a turn.
    pub fn count_turn(&mut self) {
        let now = self.now.mono;
        self.counting.metrics.turns += 1;
        let sent =
            self.effects.iter().filter(|effect| matches!(effect, Effect::Send { .. })).count();
        self.counting.metrics.messages_sent += sent as u64;
        if let Some(ring) = &self.ring {
            self.counting.look_at(&ring.group);
        }
        if let Some(shard) = &self.shard {
            self.counting.look_at(&shard.group);
            let committed = shard.group.is_leader().then(|| shard.group.committed());
            self.counting.committed(now, committed);
        }
        if let Some(wal) = self.durability.wal() {
            let written = wal.written();
            self.counting.metrics.wal_batches = written.batches;
            self.counting.metrics.wal_bytes = written.bytes;
            self.counting.log_written(now, written.batches);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_reply_is_timed_until_its_position_is_committed() {
        let mut counting = Counting::default();
        for (position, began, writes) in [(5, 0, true), (4, 1, false), (6, 2, true)] {
            counting.statement(Mono(2 * MS), Mono(began * MS), Some(LogIndex(position)), writes);
        }
        counting.committed(Mono(3 * MS), Some(LogIndex(4)));
        assert_eq!(counting.metrics.statement_time.sum_us, 2_000);
        assert_eq!(counting.metrics.commit_time.count, 0);
        counting.committed(Mono(4 * MS), Some(LogIndex(5)));
        assert_eq!(
            (counting.metrics.commit_time.count, counting.metrics.commit_time.sum_us),
            (1, 4_000)
        );
        counting.committed(Mono(9 * MS), None);
        counting.committed(Mono(9 * MS), Some(LogIndex(9)));
        assert_eq!(counting.metrics.statement_time.count, 2, "a lost reply is not timed");
    }
}
