//! What operators see: the status table, the cluster as JSON, the metrics.
//!
//! Pure renderings of a [`ClusterView`] or a [`Metrics`]; whoever serves the admin socket or HTTP
//! sends the text.

mod cluster;
pub mod metrics;
mod status;
mod table;

use std::collections::BTreeMap;

use crate::base::{GroupId, InstanceId};
use crate::topology::RingState;
use crate::topology::governor::{GroupFacts, InstanceFacts};

pub use cluster::cluster_json;
pub use metrics::Metrics;
pub use status::status_text;

/// The ring's state, and live facts where this instance has them: the ring's leader knows them all,
/// others may know none. A missing fact is shown as `-` or `null`, never guessed.
#[derive(Clone, Copy)]
pub struct ClusterView<'a> {
    pub ring: &'a RingState,
    pub instances: &'a BTreeMap<InstanceId, InstanceFacts>,
    pub groups: &'a BTreeMap<GroupId, GroupFacts>,
}

/// What an instance is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Leader,
    Voter,
    Learner,
    /// Known not to be a member.
    None,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Leader => "leader",
            Part::Voter => "voter",
            Part::Learner => "learner",
            Part::None => "-",
        }
    }
}

impl ClusterView<'_> {
    /// The instance's part in a group; `None` where the group's members are not known here.
    fn part(&self, group: GroupId, id: InstanceId) -> Option<Part> {
        let facts = self.groups.get(&group)?;
        Some(if facts.leader == Some(id) {
            Part::Leader
        } else if facts.voters.contains(&id) {
            Part::Voter
        } else if facts.learners.contains(&id) {
            Part::Learner
        } else {
            Part::None
        })
    }

    /// Entries the instance is behind the leader of a group; 0 for the leader.
    fn lag(&self, group: GroupId, id: InstanceId) -> Option<u64> {
        let facts = self.groups.get(&group)?;
        if facts.leader == Some(id) { Some(0) } else { facts.lag.get(&id).copied() }
    }

    /// The leader of a group: as seen live, or, where nothing of the group is known, as the ring recorded it
    /// last.
    fn leader(&self, group: GroupId) -> Option<InstanceId> {
        let recorded = || self.ring.replicasets.get(&group)?.current_master;
        self.groups.get(&group).map_or_else(recorded, |facts| facts.leader)
    }

    /// How many buckets a replica set owns.
    fn bucket_count(&self, set: GroupId) -> u64 {
        let owned = self.ring.buckets.iter().filter(|(_, range)| range.owner == set);
        owned.map(|((_, first), range)| u64::from(range.last) - u64::from(*first) + 1).sum()
    }
}

#[cfg(test)]
mod tests;
