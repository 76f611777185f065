//! One turn, after its events: timers, tasks, one `Ready` a group, one write of the log, client output.
//!
//! Tasks and Raft feed one another (a task proposes, a commit wakes a task), so both run in rounds
//! until nothing moves. Everything the rounds produced goes to disk in one batch.
//!
//! A turn that brings nothing but a tick too early, or word that bytes have left, ends before all that.

use super::message::{Body, Response, ResponseKind};
use super::ring::RingMember;
use super::shard::ShardMember;
use super::state::{Phase, State};
use crate::base::GroupId;
use crate::raft::Ready;
use crate::seam::{Effect, Lane, Mono, StopReason};

/// Rounds of tasks and Raft in one turn; more work waits for the next turn, which comes at once.
pub const MAX_ROUNDS: usize = 64;

/// The part of a statement's patience that a leader which was replaced has to tell how a change of the catalog
/// ended that was asked of it: nobody repeats one whose end is unknown.
const CHANGE_PATIENCE_PART: u32 = 5;

impl State {
    /// What time brings: sleepers, late requests, ticks.
    pub fn advance_time(&mut self) {
        let now = self.now.mono;
        self.timers.fire(now);
        self.requests.expire(now);
        for (asker, id) in self.serving.notices(now) {
            let going_on = Response { id, what: ResponseKind::StillRunning };
            self.send(asker, Lane::Fast, Body::Response(going_on));
        }
        self.slices.give();
        self.clients.begin_turn();
        if let Some(ring) = &mut self.ring {
            ring.group.advance(now);
            ring.follow_role(now + self.config.times.statement_patience);
            ring.expire(now);
        }
        if let Some(shard) = &mut self.shard {
            shard.group.advance(now);
            // What happens to a role happens when its messages come: before any statement of this turn.
            shard.follow_role(now + self.config.times.statement_patience);
            shard.expire(now);
            shard.tidy();
        }
        self.governing_advance();
        if matches!(self.phase, Phase::Running | Phase::Leaving) {
            self.reach_advance();
        }
    }

    /// One round of Raft; `false` if nothing moved.
    pub fn drive_groups(&mut self) -> bool {
        if matches!(self.phase, Phase::Damaged | Phase::Stopped) {
            return false;
        }
        self.release_durable();
        let ring = self.drive_ring();
        let shard = self.drive_shard();
        self.snapshots.drop_staged();
        ring || shard
    }

    /// Sends the answers whose `Ready` has become durable, and tells raft.
    fn release_durable(&mut self) {
        let durable = self.durability.durable();
        if let Some(ring) = &mut self.ring {
            let answers = ring.group.durable(durable);
            ring.group.applied(ring.applied);
            self.send_raft(GroupId::RING, answers);
        }
        if let Some(shard) = &mut self.shard {
            let answers = shard.group.durable(durable);
            let group = shard.group.id();
            shard.group.applied(shard.applied);
            self.send_raft(group, answers);
        }
    }

    /// Requests to a leader that was replaced are given little more time.
    pub fn follow_leaders(&mut self) {
        let now = self.now.mono;
        let soon = now + self.config.times.group.election_timeout();
        let later = now + self.config.times.statement_patience / CHANGE_PATIENCE_PART;
        let known =
            (self.ring.as_ref().map(|r| r.applied), self.shard.as_ref().map(|s| s.group.id()));
        if self.rows_at_known != known {
            self.rows_at = self.data_group();
            self.rows_at_known = known;
        }
        for group in [GroupId::RING, self.rows_at] {
            let leader = self.leader_of(group);
            if let Some(leader) = leader
                && self.leaders.insert(group, leader) != Some(leader)
            {
                self.requests.leader_changed(group, leader, soon, later);
            }
        }
    }

    fn drive_ring(&mut self) -> bool {
        let Some(ring) = &mut self.ring else { return false };
        let Some(mut ready) = ring.group.take_ready() else { return false };
        let ticket = self.durability.persist(GroupId::RING, &ready);
        let persisted = std::mem::take(&mut ready.persisted_messages);
        ring.group.hold(ready.number, ticket, persisted);
        ring.follow_role(self.now.mono + self.config.times.statement_patience);
        self.take_over_snapshot(GroupId::RING, &ready);
        self.send_ready(GroupId::RING, &mut ready);
        let Some(ring) = &mut self.ring else { return true };
        let applied = ready.committed.iter().try_for_each(|entry| ring.apply(entry));
        ring.group.applied(ring.applied);
        if let Err(why) = applied {
            self.stop(StopReason::Unusable(why));
        }
        true
    }

    fn drive_shard(&mut self) -> bool {
        let Some(shard) = &mut self.shard else { return false };
        let Some(mut ready) = shard.group.take_ready() else {
            shard.settle();
            return false;
        };
        let group = shard.group.id();
        let ticket = self.durability.persist(group, &ready);
        let persisted = std::mem::take(&mut ready.persisted_messages);
        shard.group.hold(ready.number, ticket, persisted);
        shard.follow_role(self.now.mono + self.config.times.statement_patience);
        self.take_over_snapshot(group, &ready);
        self.send_ready(group, &mut ready);
        let Some(shard) = &mut self.shard else { return true };
        for entry in &ready.committed {
            shard.apply(entry);
        }
        shard.group.applied(shard.applied);
        shard.settle();
        true
    }

    fn send_ready(&mut self, group: GroupId, ready: &mut Ready) {
        let messages = std::mem::take(&mut ready.messages);
        self.send_raft(group, messages);
    }

    /// Asks for the next wake-up. A turn with `more_work` is followed by another one at once.
    pub fn schedule(&mut self, more_work: bool) {
        let at = if more_work { self.now.mono } else { self.next_work() };
        self.wake_at(at);
    }

    /// Whether there is nothing to do in this turn, if no event of it asks for something by itself.
    pub fn is_quiet(&self) -> bool {
        self.next_work() > self.now.mono && !self.governing.wants_to_plan()
    }

    /// Ends a turn in which there is nothing to do.
    pub fn end_quietly(&mut self) {
        self.counting.metrics.turns += 1;
        self.schedule(false);
    }

    /// Unless one as early is on its way: a `Tick` too early asks again.
    fn wake_at(&mut self, at: Mono) {
        if at < self.asked_wake && self.phase != Phase::Stopped {
            self.asked_wake = at;
            self.effects.push(Effect::Wake { at });
        }
    }

    /// When there is something to do if nothing happens until then.
    fn next_work(&self) -> Mono {
        let untidy = self.shard.as_ref().is_some_and(ShardMember::is_untidy);
        if untidy || self.slices.are_wanted() || self.clients.want_a_turn() {
            return self.now.mono;
        }
        let mut at = self.timers.next_wake().min(self.requests.next_wake());
        at = at.min(self.serving.next_wake());
        let ring = self.ring.as_ref().map(RingMember::next_wake);
        let shard = self.shard.as_ref().map(ShardMember::next_wake);
        at = ring.into_iter().chain(shard).fold(at, Mono::min);
        if matches!(self.phase, Phase::Running | Phase::Leaving) {
            at = at.min(self.governing.next_wake()).min(self.reach.next_wake());
        }
        at
    }
}
