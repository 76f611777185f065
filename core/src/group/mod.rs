//! One Raft group on one instance: time, lease, and messages held until they are durable.
//!
//! [`Group`] wraps a [`raft::Node`](crate::raft::Node) with what every group needs whatever its state
//! machine: ticks from the event's time, the leader's [`lease`], and the order "durable first" for a
//! follower's answers. The owner (the instance) persists what [`Group::take_ready`] returns, applies
//! what is committed, and says when it is durable.
//!
//! ```text
//!   message ─┐                      ┌─> entries, hard state ──> WAL ──┐
//!   propose ─┼─> Node ─> take_ready ┼─> messages ──> peers            │ ticket durable
//!   tick ────┘                      ├─> committed ──> state machine   │
//!                                   └─> held messages <───────────────┘─> peers
//! ```
//!
//! A leader that is to make way takes nothing more, commits its log, and only then lets its successor
//! campaign: whoever waits for an entry hears from the one that took it how it ended.

pub mod lease;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::base::{GroupId, InstanceId, LogIndex, Term};
use crate::raft::{
    Change, Entry, HardState, Membership, Message, Node, NodeConfig, Progress, ProposeError, Ready,
    Role, SnapshotMeta,
};
use crate::seam::Mono;
use lease::Lease;

/// Times of a group, all multiples of a tick.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupTimes {
    pub tick: Duration,
    /// Ticks without a leader before a follower campaigns, at least; twice that at most.
    pub election_ticks: usize,
    /// Ticks between two questions of the leader to its followers.
    pub heartbeat_ticks: usize,
}

impl Default for GroupTimes {
    fn default() -> GroupTimes {
        GroupTimes { tick: Duration::from_millis(10), election_ticks: 15, heartbeat_ticks: 3 }
    }
}

impl GroupTimes {
    pub fn election_timeout(&self) -> Duration {
        self.tick * u32::try_from(self.election_ticks).unwrap_or(u32::MAX)
    }

    pub fn heartbeat(&self) -> Duration {
        self.tick * u32::try_from(self.heartbeat_ticks).unwrap_or(u32::MAX)
    }
}

/// Answers that must not leave before a `Ready` is durable.
#[derive(Debug)]
struct Held {
    /// The `Ready`'s number.
    number: u64,
    /// The log position whose durability makes this `Ready` durable.
    ticket: u64,
    messages: Vec<Message>,
}

/// One group on one instance.
#[derive(Debug)]
pub struct Group {
    node: Node,
    times: GroupTimes,
    lease: Lease,
    /// The time up to which ticks were counted.
    ticked: Mono,
    /// When the leader asks its followers next.
    next_question: Mono,
    /// Votes are refused before this time: a promise given before a restart may still hold.
    no_votes_before: Mono,
    /// In order of number, and of ticket.
    held: VecDeque<Held>,
    /// The newest time this group was told.
    now: Mono,
    /// When this leader last heard from each other member.
    heard: BTreeMap<InstanceId, Mono>,
    /// The term this member leads, and since when.
    led_since: Option<(Term, Mono)>,
    /// Whom this leader makes way for once its log is committed, and until when it tries.
    making_way: Option<(InstanceId, Mono)>,
    /// Ticks counted since this member leads and its lease was valid last.
    ticks_without_lease: u64,
    /// Up to where this leader could apply its log last, and the ticks counted since with more to apply.
    waits_behind: (LogIndex, u64),
}

/// A leader without a lease for so many election timeouts leads no more.
const LEASELESS_TIMEOUTS: u64 = 8;

/// A leader that could apply nothing for so many election timeouts, with entries that wait, is stalled.
const STALLED_TIMEOUTS: u64 = 16;

/// A leader that was not heard for so many election timeouts leads no more.
const SILENT_TIMEOUTS: usize = 3;

/// A late wake-up: more ticks have passed than this many beyond the awaited ones.
const LATE_TICKS: u64 = 3;

impl Group {
    /// Starts a member from what recovery found. `restarted` says that it may have voted or answered
    /// a leader in an earlier life.
    pub fn new(
        group: GroupId,
        id: InstanceId,
        times: GroupTimes,
        seed: u64,
        now: Mono,
        restarted: bool,
        recovered: (SnapshotMeta, HardState, &[Entry]),
    ) -> Group {
        let (snapshot, hard_state, entries) = recovered;
        // Not both: an entry a round trip would be a cluster that stands still.
        let tiny = crate::buggify!("group: one entry an append");
        let one = !tiny && crate::buggify!("group: one append under way");
        let config = NodeConfig {
            group,
            id,
            election_ticks: times.election_ticks,
            // Our questions are heartbeats already; raft's own are for when nothing can be asked.
            heartbeat_ticks: times.election_ticks - 1,
            seed,
            max_append_bytes: if tiny { 1 } else { 1 << 20 },
            max_inflight: if one { 1 } else { 256 },
            // Who follows in the ring needs the catalog at once. Rows are read from the leader, who tells
            // the others with what it sends them next.
            tells_commits: group == GroupId::RING,
        };
        let no_votes_before = if restarted { now + times.election_timeout() } else { now };
        Group {
            node: Node::new(config, snapshot, hard_state, entries),
            times,
            lease: Lease::default(),
            ticked: now,
            next_question: now,
            no_votes_before,
            held: VecDeque::new(),
            now,
            heard: BTreeMap::new(),
            led_since: None,
            making_way: None,
            ticks_without_lease: 0,
            waits_behind: (LogIndex(0), 0),
        }
    }

    pub fn id(&self) -> GroupId {
        self.node.group()
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn role(&self) -> Role {
        self.node.role()
    }

    pub fn is_leader(&self) -> bool {
        self.node.is_leader()
    }

    pub fn term(&self) -> Term {
        self.node.term()
    }

    /// Who leads, as far as this member knows. One without a vote, which nobody tells of an election that
    /// it does not take part in, forgets a leader that has long been silent.
    pub fn leader(&self) -> Option<InstanceId> {
        let long = SILENT_TIMEOUTS * self.times.election_ticks;
        let hears = self.is_leader() || self.node.silent_ticks() < long;
        self.node.leader().filter(|_| hears)
    }

    pub fn committed(&self) -> LogIndex {
        self.node.committed()
    }

    pub fn last_index(&self) -> LogIndex {
        self.node.last_index()
    }

    pub fn membership(&self) -> &Membership {
        self.node.membership()
    }

    /// The others, by id, as the leader sees them; empty on a follower. A new leader takes nobody
    /// for silent before it has led for an election timeout.
    pub fn progress(&self) -> Vec<Progress> {
        let timeout = self.times.election_timeout();
        let leads_newly = self
            .led_since
            .is_none_or(|(term, since)| term != self.term() || self.now.since(since) <= timeout);
        let hears = |id| self.heard.get(&id).is_some_and(|at| self.now.since(*at) <= timeout);
        let mut all = self.node.progress();
        for member in &mut all {
            member.recent_active = leads_newly || hears(member.id);
        }
        all
    }

    /// The member that should lead in this one's place: it votes, is heard, and has most of the log.
    pub fn successor(&self) -> Option<InstanceId> {
        self.successor_of(|_| true)
    }

    /// As [`Group::successor`], of those that are `wanted`.
    pub fn successor_of(&self, wanted: impl Fn(InstanceId) -> bool) -> Option<InstanceId> {
        self.heirs()
            .filter(|p| wanted(p.id))
            .max_by_key(|p| (p.matched, std::cmp::Reverse(p.id)))
            .map(|p| p.id)
    }

    /// The members that could lead in this one's place.
    pub fn heirs(&self) -> impl Iterator<Item = Progress> {
        let votes = |id: &InstanceId| self.membership().voters.contains(id);
        self.progress()
            .into_iter()
            .filter(move |p| p.id != self.node.id() && votes(&p.id) && p.recent_active)
    }

    /// Why this member must not go on under its name: what it has acknowledged is gone.
    pub fn lost_entries(&self) -> Option<&str> {
        self.node.lost_entries()
    }

    /// Whether a change of membership is in the log behind `applied`.
    pub fn change_pending(&self, applied: LogIndex) -> bool {
        self.node.change_pending(applied)
    }

    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether this member leads, knows what is committed, nobody else can lead at `now`, and it is not
    /// about to make way for somebody.
    pub fn may_serve(&self, now: Mono) -> bool {
        self.is_leader()
            && self.making_way.is_none()
            && self.node.committed_in_term()
            && (self.lease.is_valid(self.node.term(), now) || crate::canary!(ServeWithoutLease))
    }

    /// Whether this member leads and could apply nothing of its log for long, though there is more: its disk
    /// hangs, or what is not committed waits for a member that is still to catch up. Whoever asks it for
    /// another entry waits as long.
    pub fn is_stalled(&self) -> bool {
        self.is_leader()
            && self.waits_behind.1 > STALLED_TIMEOUTS * self.times.election_ticks as u64
    }

    /// Takes a message of another member.
    pub fn message(&mut self, now: Mono, message: Message) {
        if message.asks_for_vote() && now < self.no_votes_before {
            tracing::debug!(group = %self.id(), "vote refused: restarted within an election timeout");
            return;
        }
        self.now = self.now.max(now);
        if self.is_leader() && self.membership().contains(message.from()) {
            self.heard.insert(message.from(), now);
        }
        self.count_before_message(now);
        let silent = self.node.silent_ticks();
        self.node.step(message);
        if self.node.silent_ticks() < silent {
            // A member that answers its leader promises a whole timeout from now on.
            self.ticked = now;
        }
    }

    /// Counts the ticks that passed before a message, as far as nothing happens by itself.
    ///
    /// Counted after it, they would shorten the silence that the message ended: with it the promise
    /// that the leader's lease stands on.
    fn count_before_message(&mut self, now: Mono) {
        let due = self.ticks_due(now);
        let (count, passed) = match self.ticks_awaited() {
            Some(awaited) if due > awaited + LATE_TICKS => (1.min(awaited - 1), due),
            Some(awaited) => (due.min(awaited - 1), due.min(awaited - 1)),
            None => (due.min(self.times.election_ticks as u64), due),
        };
        self.count(count, passed);
    }

    fn ticks_due(&self, now: Mono) -> u64 {
        now.since(self.ticked).as_nanos() as u64 / self.times.tick.as_nanos() as u64
    }

    /// Ticks until something happens by itself, at least one.
    fn ticks_awaited(&self) -> Option<u64> {
        self.node.ticks_to_event().map(|ticks| ticks as u64)
    }

    /// Counts `count` ticks for `passed` that have passed.
    fn count(&mut self, count: u64, passed: u64) {
        self.ticked = Mono(self.ticked.0 + passed * self.times.tick.as_nanos() as u64);
        self.ticks_without_lease += count;
        self.waits_behind.1 += count;
        for _ in 0..count {
            self.node.tick();
        }
    }

    /// Counts the ticks that have passed, and asks the followers when it is time.
    ///
    /// Never more than one thing happens by itself in one call. A wake-up that comes much later than
    /// asked for (a paused process) counts as a single tick: messages that waited in the sockets must
    /// be read before anyone decides that the leader is silent. Counting too few ticks is safe.
    pub fn advance(&mut self, now: Mono) {
        let due = self.ticks_due(now);
        let count = match self.ticks_awaited() {
            Some(awaited) if due > awaited + LATE_TICKS => 1,
            Some(awaited) => due.min(awaited),
            // A learner never campaigns, but it may be asked for a vote before it hears that it
            // has one: it has to know for how long the leader was silent.
            None => due.min(self.times.election_ticks as u64),
        };
        self.count(count, due);
        self.now = self.now.max(now);
        self.follow_leadership();
        if self.is_leader()
            && self.lease.is_given_up(self.node.term())
            && !self.node.is_transferring()
        {
            // Nobody took over, and this member gets no lease again in this term: it would lead without
            // serving for as long as the others hear it.
            tracing::info!(group = %self.id(), "nobody took over: leads no more");
            self.node.step_down();
        }
        self.give_up_without_lease(now);
        self.make_way_with_a_hung_disk();
        self.making_way = self.making_way.filter(|(_, until)| now < *until);
        if self.is_leader() && now >= self.next_question {
            // On multiples of the period: the questions of all groups of an instance leave together.
            let period = self.times.heartbeat().as_nanos() as u64;
            self.next_question = Mono((now.0 / period + 1) * period);
            self.node.confirm(now.0.to_le_bytes().to_vec());
        }
    }

    /// Steps down where answers keep coming too late for a lease. Followers hear such a leader all the same,
    /// so nobody else would ever lead, and nobody serve; one with faster links may win the next election.
    fn give_up_without_lease(&mut self, now: Mono) {
        // Nothing can be asked before the first entry of the term is committed, which may take as long as
        // a snapshot does.
        let can_ask = self.is_leader() && self.node.committed_in_term();
        if !can_ask || self.lease.is_valid(self.node.term(), now) {
            self.ticks_without_lease = 0;
        }
        if self.ticks_without_lease > LEASELESS_TIMEOUTS * self.times.election_ticks as u64 {
            crate::sometimes!("group: a leader whose answers come too late for a lease gives up");
            tracing::warn!(group = %self.id(), "answers come too late for a lease: leads no more");
            self.ticks_without_lease = 0;
            self.node.step_down();
        }
    }

    /// Makes way where the others commit what this leader's own disk does not take: it could apply none of
    /// it, so no change of the schema or the membership would ever end. Who waits for one to be applied here
    /// waits for the disk all the same.
    fn make_way_with_a_hung_disk(&mut self) {
        let appliable = self.node.appliable();
        let waits = self.is_leader() && appliable < self.last_index();
        if !waits || appliable != self.waits_behind.0 {
            self.waits_behind = (appliable, 0);
        }
        let may_try = self.making_way.is_none() && !self.node.is_transferring();
        if may_try
            && self.is_stalled()
            && appliable < self.committed()
            && self.others_decide()
            && let Some(successor) = self.successor()
        {
            crate::sometimes!("group: a leader whose disk hangs makes way");
            tracing::warn!(group = %self.id(), "its log was not durable for long: another one is to lead");
            self.transfer_leader(successor);
        }
    }

    /// Whether the voters that are heard, without this one, are a majority; while the voters change, of the
    /// old ones and of the new ones.
    fn others_decide(&self) -> bool {
        let Membership { voters, voters_outgoing, .. } = self.membership();
        let heard: Vec<InstanceId> = self
            .progress()
            .into_iter()
            .filter(|p| p.recent_active && p.id != self.node.id())
            .map(|p| p.id)
            .collect();
        let decide = |voters: &[InstanceId]| {
            2 * voters.iter().filter(|voter| heard.contains(voter)).count() > voters.len()
        };
        decide(voters) && (voters_outgoing.is_empty() || decide(voters_outgoing))
    }

    fn follow_leadership(&mut self) {
        let term = self.term();
        if !self.is_leader() {
            if let Some((led, _)) = self.led_since.take() {
                tracing::info!(group = %self.id(), %led, %term, "leads no more");
            }
            self.making_way = None;
        } else if self.led_since.is_none_or(|(led, _)| led != term) {
            tracing::info!(group = %self.id(), %term, "leads");
            self.led_since = Some((term, self.now));
            let membership = self.node.membership();
            self.heard.retain(|id, _| membership.contains(*id));
        }
    }

    /// When [`Group::advance`] should be called next.
    pub fn next_wake(&self) -> Mono {
        let ticks = match self.node.ticks_to_event() {
            Some(ticks) => {
                let ticks = u32::try_from(ticks).unwrap_or(u32::MAX);
                self.ticked + self.times.tick * ticks
            }
            None => Mono::NEVER,
        };
        if self.is_leader() { ticks.min(self.next_question) } else { ticks }
    }

    /// Appends an entry, if this member leads and goes on leading.
    pub fn propose(&mut self, data: Bytes) -> Result<LogIndex, ProposeError> {
        self.stays()?;
        self.node.propose(data)
    }

    pub fn propose_change(&mut self, changes: &[Change]) -> Result<LogIndex, ProposeError> {
        self.stays()?;
        self.node.propose_change(changes)
    }

    pub fn leave_joint(&mut self) -> Result<LogIndex, ProposeError> {
        self.stays()?;
        self.node.leave_joint()
    }

    fn stays(&self) -> Result<(), ProposeError> {
        self.making_way.is_none().then_some(()).ok_or(ProposeError::NotLeader)
    }

    pub fn apply_change(&mut self, entry: &Entry) -> Result<Membership, String> {
        self.node.apply_change(entry)
    }

    /// Entries up to `index` are applied.
    pub fn applied(&mut self, index: LogIndex) {
        self.node.applied(index);
    }

    /// Campaigns at once: for the only voter of a new group.
    pub fn campaign(&mut self) {
        self.node.campaign();
    }

    /// Hands leadership to `to`. From now on this leader takes nothing more; it gives its lease up, for
    /// the rest of the term, and lets `to` campaign as soon as its own log is committed: whoever waits
    /// for an entry of it still hears from this leader how it ended. Forgotten if that takes an election
    /// timeout, unless it is asked for again.
    pub fn transfer_leader(&mut self, to: InstanceId) {
        if self.is_leader() && !self.node.is_transferring() {
            self.making_way = Some((to, self.now + self.times.election_timeout()));
            self.make_way();
        }
    }

    fn make_way(&mut self) {
        let Some((to, _)) = self.making_way else { return };
        if self.committed() < self.last_index() {
            crate::sometimes!("group: a leader commits its log before it makes way");
            return;
        }
        self.making_way = None;
        if self.is_leader() {
            tracing::info!(group = %self.id(), %to, "makes way");
            if !crate::canary!(KeepLeaseOnTransfer) {
                self.lease.give_up(self.node.term());
            }
            self.node.transfer_leader(to);
        }
    }

    pub fn report_unreachable(&mut self, id: InstanceId) {
        self.node.report_unreachable(id);
    }

    pub fn report_snapshot(&mut self, id: InstanceId, ok: bool) {
        self.node.report_snapshot(id, ok);
    }

    pub fn set_snapshot(&mut self, meta: SnapshotMeta) {
        self.node.set_snapshot(meta);
    }

    pub fn truncate(&mut self, index: LogIndex) {
        self.node.truncate(index);
    }

    /// What this turn produced, or `None`. Confirmed questions have renewed the lease already.
    ///
    /// The caller persists snapshot, entries and hard state, then calls [`Group::hold`].
    pub fn take_ready(&mut self) -> Option<Ready> {
        self.make_way();
        if !self.node.has_ready() {
            return None;
        }
        let mut ready = self.node.ready();
        if self.asks_followers() {
            ready.messages.retain(|message| !message.is_bare_heartbeat());
        }
        for context in &ready.confirmed {
            let Ok(asked) = <[u8; 8]>::try_from(context.as_ref()) else { continue };
            let timeout = self.times.election_timeout();
            let asked = Mono(u64::from_le_bytes(asked));
            self.lease.renew(self.node.term(), asked, timeout);
        }
        Some(ready)
    }

    /// Whether this leader's questions reach all followers in every period: raft's own heartbeats bring
    /// nothing then.
    fn asks_followers(&self) -> bool {
        // Raft answers the question of an only voter by itself, and asks no learner.
        self.is_leader() && self.node.committed_in_term() && self.membership().voters.len() > 1
    }

    /// Holds a `Ready`'s answers until everything up to `ticket` is durable.
    pub fn hold(&mut self, number: u64, ticket: u64, messages: Vec<Message>) {
        if let Some(last) = self.held.back() {
            assert!(
                last.number < number && last.ticket <= ticket,
                "ready {number} at {ticket} after ready {} at {}",
                last.number,
                last.ticket
            );
        }
        self.held.push_back(Held { number, ticket, messages });
    }

    /// Everything up to `ticket` is durable: returns the answers that may leave now.
    pub fn durable(&mut self, ticket: u64) -> Vec<Message> {
        let mut out = Vec::new();
        if self.held.is_empty() {
            return out;
        }
        let mut number = None;
        let early = crate::canary!(AckBeforePersist);
        while self.held.front().is_some_and(|held| held.ticket <= ticket || early) {
            let Some(held) = self.held.pop_front() else { break };
            number = Some(held.number);
            out.extend(held.messages);
        }
        if let Some(number) = number {
            self.node.persisted(number);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::raft::EntryKind;

    const TICK_NS: u64 = 10_000_000;

    /// Three members whose messages arrive at once and whose disks are instant.
    struct Trio {
        members: BTreeMap<InstanceId, Group>,
        cut: Option<InstanceId>,
        /// What this one sends takes so long.
        slow: Option<(InstanceId, Duration)>,
        underway: Vec<(Mono, Message)>,
        /// Nothing becomes durable any more.
        stuck: bool,
        /// Nor with this one.
        hung: Option<InstanceId>,
        now: Mono,
        /// Messages that have arrived.
        arrived: usize,
        committed: BTreeMap<InstanceId, Vec<Bytes>>,
    }

    impl Trio {
        fn new(seed: u64) -> Trio {
            Trio::of(&[InstanceId(1), InstanceId(2), InstanceId(3)], seed)
        }

        /// As many as these.
        fn of(ids: &[InstanceId], seed: u64) -> Trio {
            Trio::in_group(GroupId(1), ids, seed)
        }

        fn in_group(group: GroupId, ids: &[InstanceId], seed: u64) -> Trio {
            let membership = Membership { voters: ids.to_vec(), ..Membership::default() };
            let start = SnapshotMeta { index: LogIndex(1), term: Term(1), membership };
            let hard = HardState { term: Term(1), commit: LogIndex(1), ..HardState::default() };
            let member = |id| {
                let recovered = (start.clone(), hard, [].as_slice());
                let times = GroupTimes::default();
                (id, Group::new(group, id, times, seed, Mono(0), false, recovered))
            };
            Trio {
                members: ids.iter().copied().map(member).collect(),
                cut: None,
                slow: None,
                underway: Vec::new(),
                stuck: false,
                hung: None,
                now: Mono(0),
                arrived: 0,
                committed: BTreeMap::new(),
            }
        }

        /// Three members that have elected a leader.
        fn led(seed: u64) -> (Trio, InstanceId) {
            let mut trio = Trio::new(seed);
            trio.run(60);
            let leader = trio.leaders()[0];
            (trio, leader)
        }

        /// Lets `ticks` ticks pass, delivering everything on the way. As in an instance, time advances
        /// when a member asked to be woken, and after its messages.
        fn run(&mut self, ticks: u64) {
            for _ in 0..ticks {
                self.now = Mono(self.now.0 + TICK_NS);
                for group in self.members.values_mut() {
                    if group.next_wake() <= self.now {
                        group.advance(self.now);
                    }
                }
                while self.deliver() {}
            }
        }

        fn deliver(&mut self) -> bool {
            let mut mail = Vec::new();
            for (id, group) in &mut self.members {
                let ready = group.take_ready();
                if let Some(ready) = &ready {
                    mail.extend(ready.messages.iter().cloned());
                    group.hold(ready.number, 0, ready.persisted_messages.clone());
                }
                if !self.stuck && self.hung != Some(*id) {
                    mail.extend(group.durable(0));
                }
                let Some(ready) = ready else { continue };
                let normal = ready.committed.iter().filter(|e| e.kind == EntryKind::Normal);
                let data = normal.map(|e| e.data.clone());
                self.committed.entry(*id).or_default().extend(data.filter(|d| !d.is_empty()));
                for change in ready.committed.iter().filter(|e| e.kind == EntryKind::Config) {
                    group.apply_change(change).unwrap();
                }
                if let Some(last) = ready.committed.last() {
                    group.applied(last.index);
                }
            }
            let slow = |message: &Message| self.slow.filter(|(id, _)| *id == message.from());
            let arrival = |message: &Message| match slow(message) {
                Some((_, delay)) => self.now + delay,
                None => self.now,
            };
            self.underway.extend(mail.into_iter().map(|message| (arrival(&message), message)));
            let now = self.now;
            let mail: Vec<_> = self.underway.extract_if(.., |(at, _)| *at <= now).collect();
            let any = !mail.is_empty();
            for (_, message) in mail {
                if self.cut.is_some_and(|id| id == message.to() || id == message.from()) {
                    continue;
                }
                if let Some(group) = self.members.get_mut(&message.to()) {
                    self.arrived += 1;
                    group.message(self.now, message);
                    group.advance(self.now);
                }
            }
            any
        }

        fn leaders(&self) -> Vec<InstanceId> {
            self.members.iter().filter(|(_, g)| g.is_leader()).map(|(id, _)| *id).collect()
        }
    }

    #[test]
    fn a_leader_whose_log_waits_for_its_disk_is_stalled_until_it_goes_on() {
        let leader = InstanceId(1);
        let mut lone = Trio::of(&[leader], 7);
        lone.run(60);
        lone.stuck = true;
        lone.run(500);
        assert!(!lone.members[&leader].is_stalled(), "there is nothing to commit");
        lone.members.get_mut(&leader).unwrap().propose(Bytes::from_static(b"x")).unwrap();
        lone.run(230);
        assert!(!lone.members[&leader].is_stalled(), "not for long");
        lone.run(20);
        assert!(lone.leaders() == [leader] && lone.members[&leader].is_stalled());
        lone.stuck = false;
        lone.run(5);
        assert!(lone.leaders() == [leader] && !lone.members[&leader].is_stalled());
    }

    #[test]
    fn a_leader_whose_disk_hangs_makes_room_for_one_that_applies_what_is_committed() {
        let (mut trio, old) = Trio::led(7);
        trio.hung = Some(old);
        trio.run(500);
        assert_eq!(trio.leaders(), [old], "there is nothing to write");
        trio.members.get_mut(&old).unwrap().propose(Bytes::from_static(b"x")).unwrap();
        trio.run(230);
        assert_eq!(trio.leaders(), [old], "not for long");
        assert!(trio.members[&old].committed() > trio.members[&old].node.appliable());
        trio.run(100);
        let leaders = trio.leaders();
        assert!(leaders.len() == 1 && leaders[0] != old, "{leaders:?}");
        let now = trio.now;
        let leader = trio.members.get_mut(&leaders[0]).unwrap();
        assert!(leader.may_serve(now));
        leader.propose(Bytes::from_static(b"y")).unwrap();
        trio.hung = None;
        trio.run(20);
        assert_eq!(trio.committed[&old], [&b"x"[..], b"y"]);
    }

    #[test]
    fn a_leader_whose_disk_hangs_goes_on_serving_where_the_others_are_no_majority() {
        let (mut trio, old) = Trio::led(7);
        trio.hung = Some(old);
        trio.members.get_mut(&old).unwrap().propose(Bytes::from_static(b"x")).unwrap();
        trio.run(5);
        let other = trio.members.keys().copied().find(|id| *id != old).unwrap();
        trio.cut = Some(other);
        trio.members.get_mut(&old).unwrap().propose(Bytes::from_static(b"y")).unwrap();
        for _ in 0..400 {
            trio.run(1);
            assert!(trio.leaders().contains(&old) && trio.members[&old].may_serve(trio.now));
        }
        assert!(trio.members[&old].is_stalled());
    }

    #[test]
    fn one_leader_commits_and_serves() {
        let mut trio = Trio::new(7);
        trio.run(60);
        let leaders = trio.leaders();
        assert_eq!(leaders.len(), 1);
        let now = trio.now;
        let leader = trio.members.get_mut(&leaders[0]).unwrap();
        assert!(leader.may_serve(now));
        leader.propose(Bytes::from_static(b"x")).unwrap();
        trio.run(5);
        for id in [1, 2, 3] {
            assert_eq!(trio.committed[&InstanceId(id)], [Bytes::from_static(b"x")]);
        }
    }

    #[test]
    fn followers_hear_of_a_commit_with_the_next_question_and_in_the_ring_at_once() {
        let ids = [1, 2, 3].map(InstanceId);
        for (group, messages, at_once) in [(GroupId(1), 4, 1), (GroupId::RING, 8, 3)] {
            let mut trio = Trio::in_group(group, &ids, 7);
            trio.run(60);
            let leader = trio.leaders()[0];
            let before = trio.arrived;
            trio.members.get_mut(&leader).unwrap().propose(Bytes::from_static(b"x")).unwrap();
            while trio.deliver() {}
            let knows = |trio: &Trio| trio.committed.values().filter(|all| all.len() == 1).count();
            assert_eq!((trio.arrived - before, knows(&trio)), (messages, at_once), "{group}");
            trio.run(3);
            assert_eq!(knows(&trio), 3);
        }
    }

    #[test]
    fn an_idle_leader_sends_its_questions_and_no_heartbeat_besides() {
        let (mut trio, leader) = Trio::led(7);
        let before = trio.arrived;
        trio.run(300);
        let (questions, followers, with_its_answer) = (100, 2, 2);
        assert_eq!(trio.arrived - before, questions * followers * with_its_answer);
        assert!(trio.members[&leader].may_serve(trio.now));
    }

    #[test]
    fn leases_of_an_old_and_a_new_leader_never_overlap() {
        for seed in 0..50 {
            let (mut trio, old) = Trio::led(seed);
            trio.cut = Some(old);
            for _ in 0..100 {
                trio.run(1);
                let serving: Vec<_> =
                    trio.members.values().filter(|g| g.may_serve(trio.now)).collect();
                assert!(serving.len() <= 1, "seed {seed}: {serving:?}");
            }
            let serving = trio.members.values().filter(|g| g.may_serve(trio.now)).count();
            assert_eq!(serving, 1, "seed {seed}: the majority elected nobody in a second");
            assert!(!trio.members[&old].may_serve(trio.now));
        }
    }

    #[test]
    fn the_silence_before_a_word_of_the_leader_does_not_count_after_it() {
        for seed in 0..20 {
            let (mut trio, leader) = Trio::led(seed);
            let heard = trio.now + Duration::from_millis(70);
            let leader = trio.members.get_mut(&leader).unwrap();
            leader.advance(heard);
            let word = leader.take_ready().unwrap().messages.remove(0);
            let follower = trio.members.get_mut(&word.to()).unwrap();
            follower.message(heard, word);
            follower.advance(heard);
            let promised = heard + GroupTimes::default().election_timeout();
            assert!(follower.next_wake() >= promised, "seed {seed}: campaigns too early");
        }
    }

    #[test]
    fn elections_are_a_function_of_the_seed() {
        let story = |seed| {
            let mut trio = Trio::new(seed);
            let mut leaders = Vec::new();
            for _ in 0..80 {
                trio.run(1);
                leaders.push(trio.leaders());
            }
            leaders
        };
        assert_eq!(story(3), story(3));
        assert!((4..40).any(|seed| story(seed) != story(3)), "the seed decides nothing");
    }

    #[test]
    fn a_leader_hears_its_live_followers_at_every_moment_and_a_silent_one_at_none() {
        let (mut trio, leader) = Trio::led(7);
        let away = *trio.members.keys().find(|id| **id != leader).unwrap();
        trio.cut = Some(away);
        let heard = |trio: &Trio| -> Vec<InstanceId> {
            let all = trio.members[&leader].progress().into_iter();
            all.filter(|p| p.id != leader && p.recent_active).map(|p| p.id).collect()
        };
        assert_eq!(heard(&trio).len(), 2, "not yet silent for an election timeout");
        trio.run(30);
        // Several times as long as raft's own check of its quorum takes to come round.
        for _ in 0..100 {
            trio.run(1);
            let live: Vec<_> =
                trio.members.keys().filter(|id| **id != leader && **id != away).copied().collect();
            assert_eq!(heard(&trio), live);
        }
    }

    const FIRST: InstanceId = InstanceId(1);
    const SECOND: InstanceId = InstanceId(2);
    const THIRD: InstanceId = InstanceId(3);

    /// Three members with a leader, the third of which takes itself for a learner.
    fn with_a_learner() -> (Trio, InstanceId) {
        let mut trio = Trio::new(7);
        let voters = vec![FIRST, SECOND];
        let membership = Membership { voters, learners: vec![THIRD], ..Membership::default() };
        let start = SnapshotMeta { index: LogIndex(1), term: Term(1), membership };
        let hard = HardState { term: Term(1), commit: LogIndex(1), ..HardState::default() };
        let recovered = (start, hard, [].as_slice());
        let times = GroupTimes::default();
        let learner = Group::new(GroupId(1), THIRD, times, 7, Mono(0), false, recovered);
        trio.members.insert(THIRD, learner);
        trio.run(60);
        let leader = trio.leaders()[0];
        (trio, leader)
    }

    #[test]
    fn a_learner_forgets_a_leader_that_is_long_silent_and_no_sooner() {
        let (mut trio, leader) = with_a_learner();
        let known = |trio: &Trio| trio.members[&THIRD].leader();
        assert_eq!(known(&trio), Some(leader));
        // It hears nobody from here on, not even of the others' elections.
        trio.cut = Some(THIRD);
        let mut silent = |ticks| {
            for _ in 0..ticks {
                trio.now = Mono(trio.now.0 + TICK_NS);
                trio.members.get_mut(&THIRD).unwrap().advance(trio.now);
            }
            known(&trio)
        };
        let almost = SILENT_TIMEOUTS * GroupTimes::default().election_ticks - 4;
        assert_eq!(silent(almost), Some(leader));
        assert_eq!(silent(4), None);
    }

    #[test]
    fn a_learner_votes_once_the_leader_was_silent_for_an_election_timeout() {
        // The third member does not know that it is more than a learner.
        let (mut trio, leader) = with_a_learner();
        let other = if leader == FIRST { SECOND } else { FIRST };
        trio.cut = Some(leader);
        trio.run(100);
        assert!(trio.leaders().contains(&other), "the learner's vote was needed");
    }

    #[test]
    fn a_transfer_that_nobody_takes_leaves_a_leader_that_serves() {
        let (mut trio, old) = Trio::led(7);
        let away = *trio.members.keys().find(|id| **id != old).unwrap();
        trio.cut = Some(away);
        trio.members.get_mut(&old).unwrap().transfer_leader(away);
        trio.run(100);
        let serving = trio.members.values().filter(|group| group.may_serve(trio.now)).count();
        assert_eq!(serving, 1);
    }

    #[test]
    fn a_leader_whose_answers_come_too_late_for_a_lease_makes_room_for_one_that_serves() {
        for seed in 0..10 {
            let (mut trio, old) = Trio::led(seed);
            // Slower step by step, so that the others are never out of patience; in the end answers take
            // longer than a lease lasts.
            for tenths in [6, 9] {
                trio.slow = Some((old, GroupTimes::default().election_timeout() * tenths / 10));
                trio.run(20);
            }
            assert_eq!(trio.leaders(), [old], "seed {seed}: it is heard");
            assert!(!trio.members[&old].may_serve(trio.now), "seed {seed}");
            let mut ticks = 0;
            while !trio.members.values().any(|group| group.may_serve(trio.now)) {
                trio.run(10);
                ticks += 10;
                assert!(ticks < 2_000, "seed {seed}: nobody serves after 20 s");
            }
            assert!(!trio.members[&old].may_serve(trio.now), "seed {seed}");
        }
    }

    #[test]
    fn a_leader_that_has_committed_nothing_yet_is_given_its_time() {
        let mut alone = Trio::of(&[FIRST], 7);
        alone.stuck = true;
        alone.run(60);
        assert_eq!(alone.leaders(), [FIRST]);
        let term = alone.members[&FIRST].term();
        alone.run(500);
        assert_eq!((alone.leaders(), alone.members[&FIRST].term()), (vec![FIRST], term));
        assert!(!alone.members[&FIRST].may_serve(alone.now));
        alone.stuck = false;
        alone.run(60);
        assert!(alone.members[&FIRST].may_serve(alone.now));
    }

    #[test]
    fn one_that_elects_itself_waits_for_its_disk() {
        let mut alone = Trio::of(&[FIRST], 7);
        alone.stuck = true;
        alone.run(60);
        alone.members.get_mut(&FIRST).unwrap().node.step_down();
        alone.run(200);
        assert_eq!(alone.leaders(), []);
        alone.stuck = false;
        alone.run(60);
        assert!(alone.members[&FIRST].may_serve(alone.now));
    }

    #[test]
    fn a_leader_that_was_removed_gives_way() {
        let (mut trio, old) = Trio::led(7);
        let leader = trio.members.get_mut(&old).unwrap();
        leader.propose_change(&[Change::Remove(old)]).unwrap();
        leader.propose(Bytes::from_static(b"after")).unwrap();
        trio.run(100);
        let leaders = trio.leaders();
        assert!(leaders.len() == 1 && leaders[0] != old, "{leaders:?}");
        assert_eq!(trio.members[&leaders[0]].membership().voters.len(), 2);
        let leader = trio.members.get_mut(&leaders[0]).unwrap();
        leader.propose(Bytes::from_static(b"on")).unwrap();
        trio.run(5);
        assert_eq!(trio.committed[&leaders[0]].last().unwrap().as_ref(), b"on");
    }

    #[test]
    fn a_leader_commits_what_it_took_before_it_makes_way() {
        let (mut trio, old) = Trio::led(7);
        let to = InstanceId(old.0 % 3 + 1);
        let now = trio.now;
        let group = trio.members.get_mut(&old).unwrap();
        let index = group.propose(Bytes::from_static(b"last")).unwrap();
        group.transfer_leader(to);
        assert!(!group.node().is_transferring());
        assert!(!group.may_serve(now), "nothing new is taken");
        assert_eq!(group.propose(Bytes::from_static(b"late")), Err(ProposeError::NotLeader));
        trio.run(10);
        assert_eq!(trio.leaders(), [to]);
        assert_eq!(trio.committed[&old].last().unwrap().as_ref(), b"last");
        assert!(trio.members[&old].committed() >= index);
    }

    #[test]
    fn a_leader_that_cannot_commit_does_not_make_way() {
        let (mut trio, old) = Trio::led(7);
        trio.cut = Some(old);
        let group = trio.members.get_mut(&old).unwrap();
        group.propose(Bytes::from_static(b"last")).unwrap();
        group.transfer_leader(InstanceId(old.0 % 3 + 1));
        let timeout = GroupTimes::default().election_timeout();
        group.advance(trio.now + timeout / 2);
        group.transfer_leader(InstanceId(old.0 % 3 + 1));
        group.advance(trio.now + timeout);
        assert!(group.making_way.is_some(), "it was asked again");
        group.advance(trio.now + timeout * 3 / 2);
        assert!(group.is_leader() && group.making_way.is_none());
    }

    #[test]
    fn a_transfer_ends_the_lease_at_once() {
        let (mut trio, leader) = Trio::led(7);
        let other = InstanceId(leader.0 % 3 + 1);
        let now = trio.now;
        let group = trio.members.get_mut(&leader).unwrap();
        group.transfer_leader(other);
        assert!(!group.may_serve(now));
        trio.run(10);
        assert_eq!(trio.leaders(), [other]);
    }
}
