//! Everything an instance is made of, and what the tasks inside it borrow.
//!
//! Tasks hold a [`Shared`] and borrow it between two waits, never across one.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::catch_up::RowsAhead;
use super::clients::Clients;
use super::config::Config;
use super::counting::Counting;
use super::durability::Durability;
use super::engine::Workbench;
use super::governing::Governing;
use super::identity::Identity;
use super::members::Remembered;
use super::message::{Body, Msg};
use super::reach::Reach;
use super::requests::{Arrived, Requests};
use super::ring::RingMember;
use super::running::Slices;
use super::serving::Serving;
use super::shard::ShardMember;
use super::snapshots::Snapshots;
use super::timers::Timers;
use crate::base::{GroupId, InstanceId, LogIndex};
use crate::group::Group;
use crate::raft;
use crate::seam::{
    Completion, Effect, Effects, Lane, Mono, Now, PeerAddr, Rng, Spawner, StopReason,
};
use crate::storage::disk::DiskHandle;
use crate::topology::model::Presence;

/// What a task holds.
pub type Shared = Rc<RefCell<State>>;

/// Where in its life an instance is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Reading its disk.
    Booting,
    /// Asking for an identity.
    Joining,
    Running,
    /// Handing leadership over, finishing what was acknowledged.
    Leaving,
    /// What it acknowledged is gone from its log: it only notes that, and stops.
    Damaged,
    Stopped,
}

/// One instance.
pub struct State {
    pub config: Config,
    pub rng: Rng,
    /// The time of this turn.
    pub now: Now,
    pub effects: Effects<Msg>,
    /// Raft messages of this turn.
    raft_batches: Vec<RaftBatch>,
    /// The wake-up that was asked for and has not come.
    pub asked_wake: Mono,
    pub spawner: Spawner,
    pub disk: DiskHandle,
    pub phase: Phase,
    /// The ring's state here was once as new as the leader's: a catalog older than that must not
    /// answer anybody.
    pub caught_up: bool,
    /// Whether the rows led here have a newer schema than the catalog here.
    pub rows_ahead: RowsAhead,
    pub identity: Option<Identity>,
    pub durability: Durability,
    pub workbench: Workbench,
    /// What `/metrics` counts.
    pub counting: Counting,
    pub ring: Option<RingMember>,
    pub shard: Option<ShardMember>,
    /// Where instances are reached; the ring's word, and who spoke to us.
    pub addresses: BTreeMap<InstanceId, PeerAddr>,
    /// The replica set that holds the rows, as of the end of the last turn.
    pub rows_at: GroupId,
    /// What `rows_at` follows from: how far the ring's state was, and which group is here.
    pub rows_at_known: (Option<LogIndex>, Option<GroupId>),
    /// Who led each group when this instance last looked.
    pub leaders: BTreeMap<GroupId, InstanceId>,
    /// Where messages are known not to arrive now.
    pub broken_links: BTreeSet<PeerAddr>,
    pub reach: Reach,
    pub requests: Requests,
    pub serving: Serving,
    pub slices: Slices,
    pub arrived: Arrived,
    pub timers: Timers,
    pub clients: Clients,
    pub snapshots: Snapshots,
    pub members: Remembered,
    pub governing: Governing,
    /// Answers to our `Join` messages, by arrival.
    pub join_replies: Vec<super::message::JoinReply>,
}

/// Raft messages of one turn for one peer.
struct RaftBatch {
    to: InstanceId,
    entry_bytes: usize,
    messages: Vec<(GroupId, raft::Message)>,
}

/// A batch with so many bytes of entries is full.
const RAFT_BATCH_BYTES: usize = 256 << 10;

impl State {
    pub fn new(config: Config, rng: Rng, spawner: Spawner) -> State {
        let memory = config.limits.statements_memory;
        let workbench = Workbench::new(rng.fork("statements"), memory);
        let requests = Requests::new(rng.fork("requests").next_u64());
        State {
            workbench,
            counting: Counting::default(),
            config,
            rng,
            now: Now::default(),
            effects: Vec::new(),
            raft_batches: Vec::new(),
            asked_wake: Mono::NEVER,
            disk: DiskHandle::new(spawner.clone()),
            spawner,
            phase: Phase::Booting,
            caught_up: false,
            rows_ahead: RowsAhead::default(),
            identity: None,
            durability: Durability::default(),
            ring: None,
            shard: None,
            addresses: BTreeMap::new(),
            rows_at: GroupId(1),
            rows_at_known: (None, None),
            leaders: BTreeMap::new(),
            broken_links: BTreeSet::new(),
            reach: Reach::default(),
            requests,
            serving: Serving::default(),
            slices: Slices::default(),
            arrived: Arrived::default(),
            timers: Timers::default(),
            clients: Clients::default(),
            snapshots: Snapshots::default(),
            members: Remembered::default(),
            governing: Governing::default(),
            join_replies: Vec::new(),
        }
    }

    /// This instance's id; 0 before it has one.
    pub fn me(&self) -> InstanceId {
        self.identity.as_ref().map_or(InstanceId(0), |i| i.id)
    }

    /// The tag of this instance's cluster in messages; 0 before it has one.
    pub fn cluster_tag(&self) -> u64 {
        self.identity.as_ref().map_or(0, |i| Msg::cluster_tag(i.cluster))
    }

    /// The member of `group` on this instance.
    pub fn group(&self, group: GroupId) -> Option<&Group> {
        if group == GroupId::RING {
            return self.ring.as_ref().map(|r| &r.group);
        }
        self.shard.as_ref().map(|s| &s.group).filter(|g| g.id() == group)
    }

    pub fn group_mut(&mut self, group: GroupId) -> Option<&mut Group> {
        if group == GroupId::RING {
            return self.ring.as_mut().map(|r| &mut r.group);
        }
        self.shard.as_mut().map(|s| &mut s.group).filter(|g| g.id() == group)
    }

    /// Who leads `group`, as far as this instance knows.
    pub fn leader_of(&self, group: GroupId) -> Option<InstanceId> {
        if let Some(member) = self.group(group) {
            return member.leader();
        }
        self.ring.as_ref()?.state.replicasets.get(&group)?.current_master
    }

    /// Ends this instance: nothing is acknowledged from here on.
    pub fn stop(&mut self, reason: StopReason) {
        if self.phase != Phase::Stopped {
            tracing::info!(?reason, "stopping");
            self.phase = Phase::Stopped;
            self.effects.push(Effect::Stop(reason));
        }
    }

    // --- peers --------------------------------------------------------------------------------

    pub fn send(&mut self, to: PeerAddr, lane: Lane, body: Body) {
        let msg = Msg { cluster: self.cluster_tag(), body };
        let leaving = self.on_its_way(to, lane, msg);
        self.effects.push(leaving);
    }

    /// Sends to an instance by id; `false` if nobody knows where it is.
    pub fn send_to(&mut self, to: InstanceId, lane: Lane, body: Body) -> bool {
        let Some(address) = self.address_of(to) else { return false };
        self.send(address, lane, body);
        true
    }

    pub fn address_of(&self, id: InstanceId) -> Option<PeerAddr> {
        if let Some(address) = self.addresses.get(&id) {
            return Some(address.clone());
        }
        let known = self.ring.as_ref()?.state.instances.get(&id)?;
        Some(PeerAddr::new(known.endpoints.peer.as_str()))
    }

    /// Whether an instance belongs to the cluster, as far as this one knows. One that was expelled and
    /// still speaks is told.
    pub fn is_member(&mut self, id: InstanceId, at: &PeerAddr) -> bool {
        let ring = self.ring.as_ref().map(|ring| &ring.state);
        let Some(instance) = ring.and_then(|ring| ring.instances.get(&id)) else { return false };
        let expelled = instance.current.presence == Presence::Expelled;
        if expelled {
            self.send(at.clone(), Lane::Fast, Body::Expelled(id));
        }
        !expelled
    }

    /// Instance `id` is reached at `address`. Who was there before, under an older id, is gone: its data
    /// was lost, and the instance came back as another one.
    pub fn learned(&mut self, id: InstanceId, address: &PeerAddr) {
        if self.addresses.get(&id) == Some(address) {
            return;
        }
        if self.addresses.iter().any(|(other, at)| at == address && *other > id) {
            return;
        }
        self.addresses.retain(|_, at| at != address);
        self.addresses.insert(id, address.clone());
    }

    /// The instance behind an address, if it is known.
    pub fn instance_at(&self, address: &PeerAddr) -> Option<InstanceId> {
        if let Some((id, _)) = self.addresses.iter().find(|(_, a)| *a == address) {
            return Some(*id);
        }
        let ring = &self.ring.as_ref()?.state;
        let mut members = ring.instances.values().filter(|i| i.is_member());
        members.find(|i| *i.endpoints.peer == *address.0).map(|i| i.id)
    }

    /// Takes messages of a group for the end of the turn: what all groups have for one peer leaves
    /// together.
    pub fn send_raft(&mut self, group: GroupId, messages: Vec<raft::Message>) {
        if messages.is_empty() {
            return;
        }
        for message in messages {
            let (to, bytes) = (message.to(), message.entry_bytes());
            match self.raft_batches.iter_mut().rev().find(|batch| batch.to == to) {
                Some(batch) if batch.entry_bytes < RAFT_BATCH_BYTES => {
                    batch.entry_bytes += bytes;
                    batch.messages.push((group, message));
                }
                _ => {
                    let messages = vec![(group, message)];
                    self.raft_batches.push(RaftBatch { to, entry_bytes: bytes, messages });
                }
            }
        }
    }

    pub fn flush_raft(&mut self) {
        let mut batches = std::mem::take(&mut self.raft_batches);
        for batch in batches.drain(..) {
            self.send_to(batch.to, Lane::Fast, Body::Raft(batch.messages));
        }
        self.raft_batches = batches;
    }

    // --- time ---------------------------------------------------------------------------------

    pub fn sleep_until(&mut self, at: Mono) -> Completion<()> {
        self.timers.sleep_until(&self.spawner, at)
    }

    /// As [`State::sleep_until`], for a task that waits for something else too.
    pub fn deadline(&mut self, at: Mono) -> Completion<()> {
        self.timers.deadline(&self.spawner, at)
    }

    /// Asks for bytes of randomness from the instance's own stream.
    pub fn random<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.rng.fill(&mut bytes);
        bytes
    }

    /// A fresh version 4 uuid from the seeded stream.
    pub fn random_uuid(&mut self) -> uuid::Uuid {
        uuid::Builder::from_random_bytes(self.random()).into_uuid()
    }
}
