//! One member of one Raft group.

use bytes::Bytes;
use protobuf::Message as _;
use raft::eraftpb::{self, ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2};
use raft::{Config, RawNode, StateRole};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::log::Log;
use super::message::Message;
use super::types::{Change, Entry, EntryKind, HardState, Membership, SnapshotMeta};
use crate::base::{GroupId, InstanceId, LogIndex, Term};

/// What a member is in its term.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Role {
    Follower,
    Candidate,
    Leader,
}

/// What a member starts from.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub group: GroupId,
    pub id: InstanceId,
    /// Ticks without a leader before a follower campaigns, at least; twice that at most.
    pub election_ticks: usize,
    /// Ticks between two heartbeats of a leader.
    pub heartbeat_ticks: usize,
    /// Seed of the election timeouts.
    pub seed: u64,
    /// Largest append message in bytes, except that one entry always fits.
    pub max_append_bytes: u64,
    /// Append messages to one follower that may be unanswered.
    pub max_inflight: usize,
    /// Whether a commit is told by a message of its own, and not with the next append or heartbeat.
    pub tells_commits: bool,
}

/// Why a proposal was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    /// Not the leader, or about to hand leadership over.
    #[error("not the leader of the group")]
    NotLeader,
    /// A membership change is still under way.
    #[error("a membership change is under way")]
    Busy,
}

/// How far one other member is, as the leader sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    pub id: InstanceId,
    pub matched: LogIndex,
    /// Not known to be silent. Raft-rs itself forgets this in every election timeout; a
    /// [`Group`](crate::group::Group) says who was heard within the last one.
    pub recent_active: bool,
}

/// What one turn asks of the instance, in this order.
#[derive(Debug, Default)]
pub struct Ready {
    /// To be given back to [`Node::persisted`] once everything below is durable.
    pub number: u64,
    /// A snapshot taken over from the leader. In one batch with `hard_state`.
    pub snapshot: Option<SnapshotMeta>,
    pub entries: Vec<Entry>,
    pub hard_state: Option<HardState>,
    /// May leave now.
    pub messages: Vec<Message>,
    /// Must wait until this `Ready` is durable.
    pub persisted_messages: Vec<Message>,
    /// Newly committed and persisted here, in order, each exactly once.
    pub committed: Vec<Entry>,
    /// Contexts of [`Node::confirm`] that a quorum has answered.
    pub confirmed: Vec<Bytes>,
}

/// An election timeout, and what it was worked out for.
#[derive(Clone, Copy)]
struct Timeout {
    term: u64,
    attempt: u64,
    ticks: usize,
}

/// One member of one group.
pub struct Node {
    raw: RawNode<Log>,
    config: NodeConfig,
    /// Elections this member has called since it started: a part of the timeout's hash.
    attempt: u64,
    /// The election timeout as last worked out.
    timeout: Option<Timeout>,
    /// In force here.
    membership: Membership,
    /// Proof that what this member has acknowledged is not in its log.
    lost: Option<String>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Node({:?} {:?} {:?} {:?})",
            self.config.group,
            self.config.id,
            self.role(),
            self.term()
        )
    }
}

impl Node {
    /// Starts from what recovery found: a snapshot position and the entries after it.
    ///
    /// `hard_state.commit` must lie within the log; raft-rs refuses to start otherwise, so it is
    /// clamped here: a commit index is a hint that the leader will send again.
    pub fn new(
        config: NodeConfig,
        snapshot: SnapshotMeta,
        mut hard_state: HardState,
        entries: &[Entry],
    ) -> Node {
        let applied = snapshot.index.0;
        let last = entries.last().map_or(snapshot.index, |e| e.index);
        hard_state.commit = hard_state.commit.clamp(snapshot.index, last);
        let entries = entries.iter().map(Entry::to_raft).collect();
        let log = Log::new(snapshot, hard_state, entries);
        let raft_config = Config {
            id: config.id.0,
            election_tick: config.election_ticks,
            heartbeat_tick: config.heartbeat_ticks,
            applied,
            max_size_per_msg: config.max_append_bytes,
            max_inflight_msgs: config.max_inflight,
            skip_bcast_commit: !config.tells_commits,
            check_quorum: true,
            pre_vote: true,
            max_uncommitted_size: raft::NO_LIMIT,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let raw = RawNode::new(&raft_config, log, &logger)
            .expect("the configuration is valid and the log was checked");
        let mut node = Node {
            raw,
            config,
            attempt: 0,
            timeout: None,
            membership: Membership::default(),
            lost: None,
        };
        node.membership_moved();
        node.fix_timeout();
        node
    }

    /// Makes the election timeout a function of the seed: raft-rs draws another one now and then.
    fn fix_timeout(&mut self) {
        let (term, attempt) = (self.raw.raft.term, self.attempt);
        let known = self.timeout.filter(|known| (known.term, known.attempt) == (term, attempt));
        let timeout = known.unwrap_or_else(|| Timeout {
            term,
            attempt,
            ticks: self.timeout_of(term, attempt),
        });
        self.timeout = Some(timeout);
        self.raw.raft.set_randomized_election_timeout(timeout.ticks);
    }

    fn timeout_of(&self, term: u64, attempt: u64) -> usize {
        let mut input = [0u8; 32];
        let parts = [self.config.group.0, self.config.id.0, term, attempt];
        for (chunk, part) in input.chunks_exact_mut(8).zip(parts) {
            chunk.copy_from_slice(&part.to_le_bytes());
        }
        let span = self.config.election_ticks;
        let extra = xxh3_64_with_seed(&input, self.config.seed) % span as u64;
        span + extra as usize
    }

    pub fn role(&self) -> Role {
        match self.raw.raft.state {
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
            StateRole::Leader => Role::Leader,
        }
    }

    pub fn is_leader(&self) -> bool {
        self.role() == Role::Leader
    }

    pub fn term(&self) -> Term {
        Term(self.raw.raft.term)
    }

    pub fn group(&self) -> GroupId {
        self.config.group
    }

    pub fn id(&self) -> InstanceId {
        self.config.id
    }

    /// The leader of the current term, if this member knows it.
    pub fn leader(&self) -> Option<InstanceId> {
        match self.raw.raft.leader_id {
            0 => None,
            id => Some(InstanceId(id)),
        }
    }

    /// The highest index known to be committed, persisted here or not.
    pub fn committed(&self) -> LogIndex {
        LogIndex(self.raw.raft.raft_log.committed)
    }

    /// The highest index that may be applied here: committed, and persisted here.
    pub fn appliable(&self) -> LogIndex {
        let log = &self.raw.raft.raft_log;
        LogIndex(log.committed.min(log.persisted))
    }

    pub fn first_index(&self) -> LogIndex {
        LogIndex(self.raw.raft.raft_log.first_index())
    }

    pub fn last_index(&self) -> LogIndex {
        LogIndex(self.raw.raft.raft_log.last_index())
    }

    /// Term of an entry, if the log still knows it.
    pub fn entry_term(&self, index: LogIndex) -> Option<Term> {
        self.raw.raft.raft_log.term(index.0).ok().map(Term)
    }

    /// Whether an entry of the current term is committed: before that, a leader knows neither what
    /// is committed nor that it still leads.
    pub fn committed_in_term(&self) -> bool {
        self.raw.raft.commit_to_current_term()
    }

    /// Whether a change of membership may be in the log behind `applied`. Leader only.
    pub fn change_pending(&self, applied: LogIndex) -> bool {
        self.raw.raft.pending_conf_index > applied.0
    }

    /// Stops leading; whoever is elected next leads in a later term.
    pub fn step_down(&mut self) {
        let term = self.raw.raft.term;
        self.raw.raft.become_follower(term, raft::INVALID_ID);
        self.fix_timeout();
    }

    /// Whether leadership is being handed over.
    pub fn is_transferring(&self) -> bool {
        self.raw.raft.lead_transferee.is_some()
    }

    /// Bytes of log entries held in memory.
    pub fn log_bytes(&self) -> usize {
        self.raw.store().bytes()
    }

    /// Those of them that are not covered by the newest snapshot.
    pub fn log_bytes_behind_snapshot(&self) -> usize {
        self.raw.store().bytes_behind_snapshot()
    }

    /// Entry `index`, stable or not.
    pub fn entry(&self, index: LogIndex) -> Option<Entry> {
        if let Some(entry) = self.raw.store().get(index.0) {
            let unstable = &self.raw.raft.raft_log.unstable;
            if index.0 < unstable.offset {
                return Some(Entry::from_raft(entry));
            }
        }
        let unstable = &self.raw.raft.raft_log.unstable;
        let at = usize::try_from(index.0.checked_sub(unstable.offset)?).ok()?;
        unstable.entries.get(at).map(Entry::from_raft)
    }

    /// The membership in force here.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    fn membership_moved(&mut self) {
        self.membership = Membership::from_raft(&self.raw.raft.prs().conf().to_conf_state());
    }

    /// The others, by id, as the leader sees them; empty on a follower.
    pub fn progress(&self) -> Vec<Progress> {
        if !self.is_leader() {
            return Vec::new();
        }
        let mut all: Vec<Progress> = self
            .raw
            .raft
            .prs()
            .iter()
            .map(|(id, p)| Progress {
                id: InstanceId(*id),
                matched: LogIndex(p.matched),
                recent_active: p.recent_active,
            })
            .collect();
        all.sort_unstable_by_key(|p| p.id);
        all
    }

    /// Who is being sent a snapshot, in no order, which one, and whether its heartbeats say that it has it;
    /// nobody on a follower.
    pub fn snapshot_receivers(&self) -> impl Iterator<Item = (InstanceId, LogIndex, bool)> {
        let members = self.raw.raft.prs().iter().filter(|_| self.is_leader());
        let receiving = members.filter(|(_, p)| p.state == raft::ProgressState::Snapshot);
        receiving.map(|(id, p)| {
            let has_it = p.committed_index >= p.pending_snapshot;
            (InstanceId(*id), LogIndex(p.pending_snapshot), has_it)
        })
    }

    /// One tick of time. It does not count while this member would elect itself alone and its log is not
    /// durable yet: the library insists on that.
    pub fn tick(&mut self) {
        let was = self.raw.raft.state;
        if was != StateRole::Leader && self.is_only_voter() && !self.log_is_durable() {
            return;
        }
        let fired = self.raw.tick();
        if fired && was != StateRole::Leader {
            self.attempt += 1;
        }
        self.fix_timeout();
    }

    fn is_only_voter(&self) -> bool {
        let Membership { voters, voters_outgoing, .. } = &self.membership;
        voters_outgoing.is_empty() && voters.as_slice() == [InstanceId(self.raw.raft.id)]
    }

    fn log_is_durable(&self) -> bool {
        let log = &self.raw.raft.raft_log;
        log.persisted == log.last_index()
    }

    /// Ticks counted since a leader was heard, a vote given or a campaign begun.
    pub fn silent_ticks(&self) -> usize {
        self.raw.raft.election_elapsed
    }

    /// Ticks until something can happen by itself; `None` if nothing can.
    pub fn ticks_to_event(&self) -> Option<usize> {
        let raft = &self.raw.raft;
        match raft.state {
            StateRole::Leader => {
                let beat = raft.heartbeat_timeout().saturating_sub(raft.heartbeat_elapsed());
                let quorum = raft.election_timeout().saturating_sub(raft.election_elapsed);
                Some(beat.min(quorum).max(1))
            }
            _ if !raft.promotable() => None,
            _ => {
                let left = raft.randomized_election_timeout().saturating_sub(raft.election_elapsed);
                Some(left.max(1))
            }
        }
    }

    /// Takes a message. One that raft-rs refuses (from a stranger, for example) is dropped, and so is
    /// one that shows that this member has lost entries: raft-rs would panic.
    pub fn step(&mut self, message: Message) {
        if self.shows_loss(&message.0) {
            return;
        }
        let may_restore = message.0.get_msg_type() == eraftpb::MessageType::MsgSnapshot;
        if let Err(error) = self.raw.step(message.0) {
            tracing::debug!(group = %self.config.group, %error, "raft message refused");
        }
        if may_restore {
            self.membership_moved();
        }
        self.fix_timeout();
    }

    /// Why this member must not go on under its id: entries that it has acknowledged are gone.
    pub fn lost_entries(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// Whether a heartbeat proves that acknowledged entries are gone from this log.
    ///
    /// A leader sends in it the commit index, but no more than this member has acknowledged *in the
    /// leader's term*, and what was acknowledged is durable and can be replaced in a later term only.
    /// So no heartbeat of the present term, however late or often it comes, names an entry behind the
    /// end of a log that is whole. (An append says more: its commit index may be ahead of what it
    /// brings, and raft-rs takes the smaller.)
    fn shows_loss(&mut self, message: &eraftpb::Message) -> bool {
        let last = self.last_index();
        let lost = message.get_msg_type() == eraftpb::MessageType::MsgHeartbeat
            && message.term >= self.raw.raft.term
            && message.commit > last.0
            && !self.is_leader();
        if lost {
            let group = self.config.group;
            self.lost.get_or_insert_with(|| {
                format!(
                    "the log of group {group} ends at {last}, but entries up to {} were acknowledged",
                    message.commit
                )
            });
        }
        lost
    }

    /// Appends an entry to the log of the leader and returns its index.
    pub fn propose(&mut self, data: Bytes) -> Result<LogIndex, ProposeError> {
        if !self.is_leader() || self.is_transferring() {
            return Err(ProposeError::NotLeader);
        }
        let mut message = eraftpb::Message::default();
        message.set_msg_type(eraftpb::MessageType::MsgPropose);
        message.from = self.config.id.0;
        let mut entry = eraftpb::Entry::default();
        entry.data = data;
        message.entries = vec![entry].into();
        self.raw.raft.step(message).map_err(|_| ProposeError::NotLeader)?;
        Ok(self.last_index())
    }

    /// Proposes a change of membership, always through a joint configuration that is left by itself.
    pub fn propose_change(&mut self, changes: &[Change]) -> Result<LogIndex, ProposeError> {
        assert!(!changes.is_empty(), "an empty change means leaving a joint configuration");
        let mut change = ConfChangeV2::default();
        change.set_transition(ConfChangeTransition::Implicit);
        let singles: Vec<ConfChangeSingle> = changes.iter().map(single).collect();
        change.set_changes(singles.into());
        self.propose_conf(&change)
    }

    /// Proposes to leave a joint configuration that nobody else will leave.
    pub fn leave_joint(&mut self) -> Result<LogIndex, ProposeError> {
        self.propose_conf(&ConfChangeV2::default())
    }

    fn propose_conf(&mut self, change: &ConfChangeV2) -> Result<LogIndex, ProposeError> {
        if !self.is_leader() || self.is_transferring() {
            return Err(ProposeError::NotLeader);
        }
        // raft-rs would append an empty entry instead of refusing.
        if self.raw.raft.has_pending_conf() {
            return Err(ProposeError::Busy);
        }
        self.raw
            .propose_conf_change(Vec::new(), change.clone())
            .map_err(|_| ProposeError::NotLeader)?;
        Ok(self.last_index())
    }

    /// Makes a committed change of membership effective; returns the membership from now on.
    ///
    /// # Errors
    /// The entry is not a membership change, or cannot follow the present membership. Deterministic:
    /// every replica gets the same error and goes on with the membership it had.
    pub fn apply_change(&mut self, entry: &Entry) -> Result<Membership, String> {
        assert_eq!(entry.kind, EntryKind::Config, "entry {} changes no membership", entry.index);
        let mut change = ConfChangeV2::default();
        change.merge_from_bytes(&entry.data).map_err(|e| e.to_string())?;
        let state = self.raw.apply_conf_change(&change).map_err(|e| e.to_string())?;
        self.membership = Membership::from_raft(&state);
        if self.is_leader() && !self.membership.votes(self.config.id) {
            // raft-rs would go on leading, and fails on the next answer of a member: it looks for the
            // leader's own progress.
            self.step_down();
        }
        self.fix_timeout();
        Ok(self.membership.clone())
    }

    /// Asks a quorum whether this leader still leads; the answer comes as `Ready::confirmed`.
    pub fn confirm(&mut self, context: Vec<u8>) {
        if self.is_leader() {
            self.raw.read_index(context);
        }
    }

    /// Hands leadership to `to`, if it can catch up within an election timeout.
    pub fn transfer_leader(&mut self, to: InstanceId) {
        self.raw.transfer_leader(to.0);
    }

    /// Campaigns at once: for the only voter of a new group.
    pub fn campaign(&mut self) {
        let _ = self.raw.campaign();
        self.fix_timeout();
    }

    /// Tells the leader that messages to `id` were lost.
    pub fn report_unreachable(&mut self, id: InstanceId) {
        self.raw.report_unreachable(id.0);
    }

    /// Tells the leader how sending a snapshot to `id` ended.
    pub fn report_snapshot(&mut self, id: InstanceId, ok: bool) {
        let status = if ok { raft::SnapshotStatus::Finish } else { raft::SnapshotStatus::Failure };
        self.raw.report_snapshot(id.0, status);
    }

    pub fn has_ready(&self) -> bool {
        self.raw.has_ready()
    }

    /// Everything this turn produced. Entries are in the in-memory log when this returns; they are
    /// durable when the caller says so with [`Node::persisted`].
    pub fn ready(&mut self) -> Ready {
        let mut raw = self.raw.ready();
        let mut out = Ready { number: raw.number(), ..Ready::default() };
        if raw.snapshot().get_metadata().index != 0 {
            let meta = SnapshotMeta::from_raft(raw.snapshot());
            self.raw.mut_store().restore(meta.clone());
            out.snapshot = Some(meta);
        }
        let entries = raw.take_entries();
        self.raw.mut_store().append(&entries);
        out.entries = entries.iter().map(Entry::from_raft).collect();
        if let Some(state) = raw.hs() {
            let state = HardState::from_raft(state);
            self.raw.mut_store().set_hard_state(state);
            out.hard_state = Some(state);
        }
        out.messages = raw.take_messages().into_iter().map(Message).collect();
        out.persisted_messages = raw.take_persisted_messages().into_iter().map(Message).collect();
        out.committed = raw.take_committed_entries().iter().map(Entry::from_raft).collect();
        out.confirmed = raw.take_read_states().into_iter().map(|s| s.request_ctx.into()).collect();
        self.raw.advance_append_async(raw);
        out
    }

    /// Everything up to the `Ready` of this number is durable.
    pub fn persisted(&mut self, number: u64) {
        self.raw.on_persist_ready(number);
    }

    /// Entries up to `index` have been applied. A snapshot's are before the snapshot is durable; raft
    /// hears of them when it is, with the next call.
    pub fn applied(&mut self, index: LogIndex) {
        let log = &self.raw.raft.raft_log;
        let index = index.0.min(log.committed).min(log.persisted);
        if index > log.applied {
            self.raw.advance_apply_to(index);
        }
    }

    /// A snapshot at this position is on disk here.
    pub fn set_snapshot(&mut self, meta: SnapshotMeta) {
        self.raw.mut_store().set_snapshot(meta);
    }

    /// Whether a member needs a snapshot and the newest one is from before it belonged to the group.
    pub fn needs_newer_snapshot(&self) -> bool {
        let known = &self.snapshot().membership;
        let before = self.first_index().0 - 1;
        self.is_leader()
            && *known != self.membership
            && (self.raw.raft.prs().iter())
                .any(|(id, p)| p.matched < before && !known.contains(InstanceId(*id)))
    }

    /// The newest snapshot on disk.
    pub fn snapshot(&self) -> &SnapshotMeta {
        self.raw.store().snapshot()
    }

    /// Forgets entries up to `index`, which the newest snapshot covers.
    pub fn truncate(&mut self, index: LogIndex) {
        self.raw.mut_store().truncate(index);
    }
}

fn single(change: &Change) -> ConfChangeSingle {
    let (kind, id) = match change {
        Change::AddVoter(id) => (ConfChangeType::AddNode, id),
        Change::AddLearner(id) => (ConfChangeType::AddLearnerNode, id),
        Change::Remove(id) => (ConfChangeType::RemoveNode, id),
    };
    let mut out = ConfChangeSingle::default();
    out.set_change_type(kind);
    out.node_id = id.0;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member with the entries 2, 3 and 4 of term 2, of which 2 is committed, takes the messages of a
    /// leader, one a line: term, what, position and its term, commit. What follows `->` is its last
    /// entry, what it takes for committed, and whether it knows that it has lost something.
    const WHAT_A_LEADER_SAYS: &str = "
        2 heartbeat 0/0 commit 2 -> last 4 committed 2
        2 heartbeat 0/0 commit 4 -> last 4 committed 4
        2 heartbeat 0/0 commit 5 -> last 4 committed 2 lost
        3 heartbeat 0/0 commit 5 -> last 4 committed 2 lost
        1 heartbeat 0/0 commit 9 -> last 4 committed 2
        2 append 4/2 commit 9 -> last 5 committed 5
        2 append 7/2 commit 9 -> last 4 committed 2
        3 append 2/2 commit 9 -> last 3 committed 3
        3 append 3/1 commit 9 -> last 4 committed 2
        1 append 3/1 commit 9 -> last 4 committed 2
        2 append 1/1 commit 9 -> last 4 committed 2
    ";

    fn follower() -> Node {
        let membership =
            Membership { voters: [1, 2, 3].map(InstanceId).to_vec(), ..Membership::default() };
        let meta = SnapshotMeta { index: LogIndex(1), term: Term(1), membership };
        let entries = [2, 3, 4].map(|index| Entry {
            index: LogIndex(index),
            term: Term(2),
            kind: EntryKind::Normal,
            data: Bytes::new(),
        });
        let hard_state = HardState { term: Term(2), commit: LogIndex(2), ..HardState::default() };
        let config = NodeConfig {
            group: GroupId(1),
            id: InstanceId(1),
            election_ticks: 15,
            heartbeat_ticks: 3,
            seed: 7,
            max_append_bytes: 1 << 20,
            max_inflight: 256,
            tells_commits: true,
        };
        Node::new(config, meta, hard_state, &entries)
    }

    fn message(line: &str) -> Message {
        let words: Vec<&str> = line.split([' ', '/']).collect();
        let number = |at: usize| words[at].parse::<u64>().unwrap();
        let mut message = eraftpb::Message::default();
        (message.from, message.to, message.term) = (2, 1, number(0));
        (message.index, message.log_term, message.commit) = (number(2), number(3), number(5));
        message.set_msg_type(match words[1] {
            "heartbeat" => eraftpb::MessageType::MsgHeartbeat,
            _ => eraftpb::MessageType::MsgAppend,
        });
        if words[1] == "append" {
            let mut entry = eraftpb::Entry::default();
            (entry.index, entry.term) = (message.index + 1, message.term);
            message.entries = vec![entry].into();
        }
        Message(message)
    }

    #[test]
    fn only_a_heartbeat_of_the_present_leader_proves_that_acknowledged_entries_are_gone() {
        for line in WHAT_A_LEADER_SAYS.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (said, expected) = line.split_once(" -> ").unwrap();
            let mut node = follower();
            node.step(message(said));
            let lost = if node.lost_entries().is_some() { " lost" } else { "" };
            let shown = format!("last {} committed {}{lost}", node.last_index(), node.committed());
            assert_eq!(shown, expected, "{said}");
        }
    }
}
