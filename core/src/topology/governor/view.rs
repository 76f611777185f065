//! What the governor looks at, and words for what it decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::base::{CatalogVersion, GroupId, InstanceId, SqlError};
use crate::seam::Now;
use crate::topology::config;
use crate::topology::entry::RingEntry;
use crate::topology::ring::RingState;

/// The ring's state and the facts around it.
#[derive(Debug)]
pub struct GovernorView<'a> {
    pub now: Now,
    pub ring: &'a RingState,
    /// Every instance, this one too; one without facts is not reachable, but not lost either.
    pub instances: BTreeMap<InstanceId, InstanceFacts>,
    /// Groups without facts are left alone; [`GroupId::RING`] is one of them.
    pub groups: BTreeMap<GroupId, GroupFacts>,
}

/// What the ring's leader knows about an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceFacts {
    /// It answered lately and is not shutting down.
    pub reachable: bool,
    /// How long this has been so.
    pub for_time: Duration,
}

/// What the leader of a group last told about it; without one, of its schema, what any member did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupFacts {
    /// Who told; `None` once it leads no more, or is stalled or silent.
    pub leader: Option<InstanceId>,
    /// Voters of the configuration in force; of the incoming half while it is joint.
    pub voters: BTreeSet<InstanceId>,
    pub learners: BTreeSet<InstanceId>,
    /// A configuration change is in the log and not yet done: no other may start.
    pub changing: bool,
    /// Entries each member other than the leader is behind; absent where nothing is known.
    pub lag: BTreeMap<InstanceId, u64>,
    /// The schema version of the group's log. Not used for the ring.
    pub schema: CatalogVersion,
    /// The pushed version it refused, and why.
    pub refused: Option<(CatalogVersion, SqlError)>,
}

impl GovernorView<'_> {
    pub(super) fn is_reachable(&self, id: InstanceId) -> bool {
        self.instances.get(&id).is_some_and(|facts| facts.reachable)
    }

    /// Whether the instance was silent for longer than the cluster tolerates.
    pub(super) fn is_lost(&self, id: InstanceId) -> bool {
        let tolerated = silence_tolerated(self.ring);
        self.instances.get(&id).is_some_and(|facts| !facts.reachable && facts.for_time > tolerated)
    }

    /// Whether a member of a group has nearly everything its leader has.
    pub(super) fn has_caught_up(&self, group: &GroupFacts, id: InstanceId) -> bool {
        let tolerated = self.ring.config_number(config::CATCH_UP_LAG_MAX);
        group.leader == Some(id) || group.lag.get(&id).is_some_and(|lag| *lag <= tolerated)
    }
}

/// How long an instance may be silent before it counts as offline.
pub fn silence_tolerated(ring: &RingState) -> Duration {
    Duration::from_secs(ring.config_number(config::AUTO_OFFLINE_TIMEOUT))
}

/// An entry in a few words.
pub(super) fn describe(entry: &RingEntry) -> String {
    match entry {
        RingEntry::SetInstanceState { id, current, target, reason, .. } => {
            let mut text = format!("instance {id}");
            if let Some(presence) = current {
                text += &format!(" current {}", presence.name());
            }
            if let Some(presence) = target {
                text += &format!(" target {}", presence.name());
            }
            format!("{text} ({reason})")
        }
        RingEntry::SetReplicasetMaster { id, current: Some(master), .. } => {
            format!("replica set {id} master {master}")
        }
        RingEntry::SetReplicasetState { id, state, weight } => {
            format!("replica set {id} {} weight {weight}", state.name())
        }
        RingEntry::DdlCommit { version } => format!("commit schema {version}"),
        RingEntry::DdlAbort { version, error } => {
            format!("abort schema {version}: {}", error.message)
        }
        RingEntry::SetClusterVersion { version } => format!("cluster version {version}"),
        other => format!("{other:?}"),
    }
}
