//! The rows of the topology: cluster, tiers, replica sets, instances, bucket ranges.
//!
//! ```text
//!   cluster ⊃ tier "default" (factor 3) ⊃ replica set default_1 ⊃ instances default_1_1 … default_1_3
//!                └ buckets 1..=3000, in ranges, each owned by a replica set of the tier
//! ```
//!
//! *Current* is what the governor has seen done, *target* what it works towards.

use std::collections::BTreeMap;
use std::fmt;

use uuid::Uuid;

use crate::base::codec::{CodecResult, Reader, Writer};
use crate::base::{GroupId, InstanceId, Wire};
use crate::seam::Wall;
use crate::{wire_struct, wire_tags};

/// Buckets of a tier when its configuration names no count.
pub const DEFAULT_BUCKET_COUNT: u16 = 3_000;
/// The tier of an instance that names none.
pub const DEFAULT_TIER: &str = "default";

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    pub uuid: Uuid,
    pub name: String,
    /// No instance emits a format newer than this; it only grows, by one at a time.
    pub version: FormatVersion,
}

/// A generation of the log, message and snapshot formats.
pub type FormatVersion = u32;

/// The newest formats this build reads and writes.
pub const FORMAT_VERSION: FormatVersion = 2;

/// A class of instances with one replication factor and its own buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    pub name: String,
    /// Instances a replica set is filled up to; at least 1.
    pub replication_factor: u8,
    /// Whether its instances may vote in the ring.
    pub can_vote: bool,
    /// 0 for a tier that stores no sharded rows.
    pub bucket_count: u16,
    /// Where a table goes that names no tier; true for exactly one tier.
    pub is_default: bool,
}

impl Tier {
    /// The tier a cluster gets when nobody describes one.
    pub fn default_with_factor(replication_factor: u8) -> Tier {
        Tier {
            name: DEFAULT_TIER.into(),
            replication_factor,
            can_vote: true,
            bucket_count: DEFAULT_BUCKET_COUNT,
            is_default: true,
        }
    }
}

/// Whether a replica set counts as filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReplicasetState {
    /// Fewer instances were ever online than the replication factor asks for.
    NotReady,
    Ready,
    /// All its instances are expelled.
    Expelled,
}

impl ReplicasetState {
    pub fn name(self) -> &'static str {
        match self {
            ReplicasetState::NotReady => "not-ready",
            ReplicasetState::Ready => "ready",
            ReplicasetState::Expelled => "expelled",
        }
    }
}

/// The identity of a replica set, drawn by whoever proposes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicasetSeed {
    pub id: GroupId,
    pub name: String,
    pub uuid: Uuid,
    pub tier: String,
}

/// The instances of one Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicaset {
    /// Also its Raft group; never reused.
    pub id: GroupId,
    pub name: String,
    pub uuid: Uuid,
    pub tier: String,
    /// The instance that starts the Raft group, as its only voter: the first one added. Every
    /// other member starts empty and is added by the governor.
    pub founder: Option<InstanceId>,
    /// The group's leader as last seen by the governor.
    pub current_master: Option<InstanceId>,
    pub target_master: Option<InstanceId>,
    pub state: ReplicasetState,
    /// Share of buckets relative to its tier; 0 until ready.
    pub weight: u32,
}

impl Replicaset {
    pub fn new(seed: ReplicasetSeed) -> Replicaset {
        Replicaset {
            id: seed.id,
            name: seed.name,
            uuid: seed.uuid,
            tier: seed.tier,
            founder: None,
            current_master: None,
            target_master: None,
            state: ReplicasetState::NotReady,
            weight: 0,
        }
    }
}

/// What an instance is, or is wanted to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presence {
    Offline,
    Online,
    /// For ever: an expelled instance never comes back under its id.
    Expelled,
}

impl Presence {
    pub fn name(self) -> &'static str {
        match self {
            Presence::Offline => "Offline",
            Presence::Online => "Online",
            Presence::Expelled => "Expelled",
        }
    }
}

/// A presence and how many times it was entered anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresenceAt {
    pub presence: Presence,
    /// Grows each time the target turns Online; the current state carries the one it reached.
    pub incarnation: u64,
}

impl fmt::Display for PresenceAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.presence.name(), self.incarnation)
    }
}

/// Labels of the place an instance runs at, as `DC=msk RACK=7`. Keys are upper case.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FailureDomain(pub BTreeMap<String, String>);

impl FailureDomain {
    /// Whether both name the same value for some key: they may fail together.
    pub fn shares_with(&self, other: &FailureDomain) -> bool {
        self.0.iter().any(|(key, value)| other.0.get(key) == Some(value))
    }
}

/// Where an instance listens, as it advertises it; empty for an endpoint it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub peer: String,
    pub pg: String,
    pub http: String,
}

/// The identity of an instance, decided by placement before it is proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceSeed {
    pub id: InstanceId,
    pub name: String,
    pub uuid: Uuid,
    pub replicaset: GroupId,
    pub failure_domain: FailureDomain,
    pub endpoints: Endpoints,
    /// For people, as `0.1.0`.
    pub version: String,
    /// The newest formats it understands.
    pub format_version: FormatVersion,
}

/// One shard replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    pub id: InstanceId,
    pub name: String,
    pub uuid: Uuid,
    pub replicaset: GroupId,
    pub tier: String,
    pub failure_domain: FailureDomain,
    pub endpoints: Endpoints,
    pub version: String,
    pub format_version: FormatVersion,
    pub current: PresenceAt,
    pub target: PresenceAt,
    /// Why the target is what it is: `join`, `wakeup`, `unreachable`, `shutdown`, `expel`.
    pub target_reason: String,
    pub target_changed: Wall,
}

impl Instance {
    pub fn new(seed: InstanceSeed, tier: String, at: Wall) -> Instance {
        let offline = PresenceAt { presence: Presence::Offline, incarnation: 0 };
        Instance {
            id: seed.id,
            name: seed.name,
            uuid: seed.uuid,
            replicaset: seed.replicaset,
            tier,
            failure_domain: seed.failure_domain,
            endpoints: seed.endpoints,
            version: seed.version,
            format_version: seed.format_version,
            current: offline,
            target: offline,
            target_reason: "join".into(),
            target_changed: at,
        }
    }

    /// Whether nobody has asked to remove it.
    pub fn is_member(&self) -> bool {
        self.target.presence != Presence::Expelled
    }

    pub fn is_online(&self) -> bool {
        self.current.presence == Presence::Online
    }
}

/// The last and the owner of a run of buckets; the first is the key it is stored under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketRange {
    /// Inclusive.
    pub last: u16,
    pub owner: GroupId,
}

impl Wire for Wall {
    fn write(&self, w: &mut Writer) {
        self.0.write(w);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(Wall(Wire::read(r)?))
    }
}

impl Wire for FailureDomain {
    fn write(&self, w: &mut Writer) {
        self.0.write(w);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(FailureDomain(Wire::read(r)?))
    }
}

wire_tags!(ReplicasetState { NotReady = 0, Ready = 1, Expelled = 2 });
wire_tags!(Presence { Offline = 0, Online = 1, Expelled = 2 });
wire_struct!(Cluster { uuid, name, version });
wire_struct!(Tier { name, replication_factor, can_vote, bucket_count, is_default });
wire_struct!(ReplicasetSeed { id, name, uuid, tier });
wire_struct!(Replicaset {
    id,
    name,
    uuid,
    tier,
    founder,
    current_master,
    target_master,
    state,
    weight
});
wire_struct!(PresenceAt { presence, incarnation });
wire_struct!(Endpoints { peer, pg, http });
wire_struct!(InstanceSeed {
    id,
    name,
    uuid,
    replicaset,
    failure_domain,
    endpoints,
    version,
    format_version
});
wire_struct!(Instance {
    id,
    name,
    uuid,
    replicaset,
    tier,
    failure_domain,
    endpoints,
    version,
    format_version,
    current,
    target,
    target_reason,
    target_changed,
});
wire_struct!(BucketRange { last, owner });
