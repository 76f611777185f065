//! What a checker may look at from outside: Raft members, log entries, digests of state.
//!
//! Nothing here changes anything, and production shells never call it.

use xxhash_rust::xxh3::xxh3_64;

use super::Instance;
use super::ring::RingMember;
use super::shard::ShardMember;
use super::state::Phase;
use crate::base::{GroupId, InstanceId, LogIndex, Term};
use crate::group::Group;
use crate::seam::{Mono, Now};
use crate::storage::Store;
use crate::storage::wal::Wal;

/// This instance's member of one group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberView {
    pub group: GroupId,
    pub member: InstanceId,
    pub term: Term,
    pub is_leader: bool,
    /// The last entry of the log.
    pub last: LogIndex,
    pub commit: LogIndex,
    /// How far the state here is.
    pub applied: LogIndex,
    /// While set, reads may be served without asking anyone, until this time of this instance's clock.
    pub lease_until: Option<Mono>,
    /// How many voters the member knows.
    pub voters: usize,
    /// Whether it is one of them itself.
    pub is_voter: bool,
    /// A change of membership is not finished here: its old voters are still asked.
    pub changing: bool,
}

/// What an instance keeps for others, and must let go once nobody wants anything of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// Client connections.
    pub sessions: u64,
    /// Sessions, answers to other instances, and what the instance does on its own; those that only
    /// wait for a time not counted.
    pub tasks: u64,
    /// Replies and schema changes that wait for a commit of the replica set.
    pub gates: u64,
    /// Who waits for the ring to apply something.
    pub ring_waiters: u64,
    /// Statements and questions sent to other instances that have no answer yet.
    pub requests: u64,
    /// Statements and questions of other instances that are being worked on.
    pub serving: u64,
    /// Steps of the governor under way.
    pub steps: u64,
    /// Statements that make others wait.
    pub alone: u64,
    /// Bytes that statements under way are counted with, and results that nobody has read.
    pub statement_bytes: u64,
    /// Bytes of writes that are not known to be committed.
    pub uncommitted_bytes: u64,
    /// What keeps old versions of rows from being freed.
    pub holds: u64,
    /// Rows with old versions that are not freed.
    pub superseded: u64,
    /// Dropped tables, indexes and buckets that are not freed.
    pub doomed: u64,
    /// Indexes being built.
    pub indexes_under_way: u64,
    /// Snapshots being taken or fetched.
    pub snapshots_under_way: u64,
    /// Snapshots fetched and not taken over.
    pub snapshots_staged: u64,
    /// Snapshots open for followers.
    pub snapshot_readers: u64,
    /// Bytes of the log on disk.
    pub log_bytes: u64,
}

impl Instance {
    /// What it keeps now.
    pub fn kept(&self) -> Kept {
        let state = self.state.borrow();
        let shard = state.shard.as_ref();
        let of_store = |count: fn(&Store) -> usize| shard.map_or(0, |s| count(&s.store) as u64);
        Kept {
            sessions: state.clients.count() as u64,
            tasks: self.tasks_awake(state.timers.asleep()),
            gates: shard.map_or(0, |s| s.gates() as u64),
            ring_waiters: state.ring.as_ref().map_or(0, |r| r.waiting() as u64),
            requests: state.requests.len() as u64,
            serving: state.serving.len() as u64,
            steps: state.governing.steps_under_way() as u64,
            alone: state.slices.alone() as u64,
            statement_bytes: {
                let workbench = &state.workbench;
                (workbench.memory.used() + workbench.results.used()) as u64
            },
            uncommitted_bytes: shard.map_or(0, ShardMember::uncommitted_bytes),
            holds: of_store(Store::holds),
            superseded: of_store(Store::superseded),
            doomed: of_store(Store::doomed),
            indexes_under_way: shard.map_or(0, |s| u64::from(s.building().is_some())),
            snapshots_under_way: state.snapshots.under_way() as u64,
            snapshots_staged: state.snapshots.staged() as u64,
            snapshot_readers: state.snapshots.readers() as u64,
            log_bytes: state.durability.wal().map_or(0, Wal::bytes_retained),
        }
    }

    /// Bytes of its store that are neither newest rows nor their index entries. It looks at all rows.
    pub fn surplus_bytes(&self) -> u64 {
        let state = self.state.borrow();
        let surplus = |store: &Store| store.bytes().saturating_sub(store.needed_bytes());
        state.shard.as_ref().map_or(0, |shard| surplus(&shard.store))
    }

    /// Tasks but for the `asleep`.
    fn tasks_awake(&self, asleep: usize) -> u64 {
        let all = self.executor.len();
        assert!(asleep <= all, "{asleep} of {all} tasks are asleep");
        (all - asleep) as u64
    }

    /// Whether it has an identity and its groups run.
    pub fn is_running(&self) -> bool {
        self.state.borrow().phase == Phase::Running
    }

    /// Whether it knows the ring as far as it was when it came up; until then it goes on asking.
    pub fn is_caught_up(&self) -> bool {
        self.state.borrow().caught_up
    }

    /// Whether it answers a probe of its health with *ready*.
    pub fn is_ready(&self) -> bool {
        self.state.borrow().is_ready()
    }

    /// The identity an operator names it by, once it has one.
    pub fn uuid(&self) -> Option<uuid::Uuid> {
        self.state.borrow().identity.as_ref().map(|identity| identity.uuid)
    }

    /// Hands each member of a group on this instance to `see`.
    pub fn members(&self, now: Now, see: &mut dyn FnMut(MemberView)) {
        let state = self.state.borrow();
        let ring = state.ring.as_ref().map(|ring| (&ring.group, ring.applied));
        let shard = state.shard.as_ref().map(|shard| (&shard.group, shard.applied));
        for (group, applied) in [ring, shard].into_iter().flatten() {
            see(view(group, applied, state.me(), now.mono));
        }
    }

    /// Hands each group and each set of voters of which it needs a majority, two while its membership
    /// changes, to `see`.
    pub fn electorates(&self, see: &mut dyn FnMut(GroupId, &[InstanceId])) {
        let state = self.state.borrow();
        let ring = state.ring.as_ref().map(|ring| &ring.group);
        let shard = state.shard.as_ref().map(|shard| &shard.group);
        for group in [ring, shard].into_iter().flatten() {
            let membership = group.membership();
            see(group.id(), &membership.voters);
            if membership.is_joint() {
                see(group.id(), &membership.voters_outgoing);
            }
        }
    }

    /// Whether a group is more than instances in waiting: the ring, or a replica set that owns buckets, as
    /// far as it is known here.
    pub fn keeps_state(&self, group: GroupId) -> bool {
        let state = self.state.borrow();
        let known = |ring: &&RingMember| ring.state.replicasets.contains_key(&group);
        let ring = state.ring.as_ref().filter(known);
        ring.is_none_or(|ring| ring.state.owns_buckets(group))
    }

    /// Term and digest of a log entry; `None` where the log does not reach.
    pub fn entry_digest(&self, group: GroupId, index: LogIndex) -> Option<(Term, u64)> {
        let state = self.state.borrow();
        let entry = state.group(group)?.node().entry(index)?;
        Some((entry.term, xxh3_64(&entry.data) ^ entry.kind as u64))
    }

    /// Hands each member of `group` and how far it acknowledged the log to `see`, where this instance
    /// leads the group.
    pub fn acknowledged(&self, group: GroupId, see: &mut dyn FnMut(InstanceId, LogIndex)) {
        let state = self.state.borrow();
        let members = state.group(group).map(Group::progress).unwrap_or_default();
        members.iter().for_each(|member| see(member.id, member.matched));
    }

    /// Hands group, applied index and a digest of the state at that index to `see`, where `wanted`.
    /// A leader's rows may show more than is applied, and an index that is being built less; then there is
    /// nothing to see.
    pub fn state_digests(
        &self,
        wanted: &dyn Fn(GroupId, LogIndex) -> bool,
        see: &mut dyn FnMut(GroupId, LogIndex, u64),
    ) {
        let state = self.state.borrow();
        if let Some(ring) = &state.ring
            && wanted(GroupId::RING, ring.applied)
        {
            see(GroupId::RING, ring.applied, ring.state.hash());
        }
        if let Some(shard) = &state.shard
            && !shard.is_ahead()
            && shard.building().is_none()
            && wanted(shard.group.id(), shard.applied)
        {
            see(shard.group.id(), shard.applied, shard.state_hash());
        }
    }

    /// Whether indexes and counts of the rows here are what the rows say. It looks at all of them.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check_stores(&self) -> Result<(), String> {
        let state = self.state.borrow();
        state.shard.as_ref().map_or(Ok(()), |shard| shard.store.check())
    }
}

fn view(group: &Group, applied: LogIndex, member: InstanceId, now: Mono) -> MemberView {
    MemberView {
        group: group.id(),
        member,
        term: group.term(),
        is_leader: group.is_leader(),
        last: group.last_index(),
        commit: group.committed(),
        applied,
        lease_until: group.may_serve(now).then(|| group.lease().until()),
        voters: group.membership().voters.len(),
        is_voter: group.membership().voters.contains(&member),
        changing: group.membership().is_joint(),
    }
}
