//! Tests of the topology: helpers that build a small cluster, and the scripts.

mod codec;
mod ddl;
mod governor;
mod placement;
mod ring;
mod virtual_tables;

use uuid::Uuid;

use super::RingEntry;
use super::entry::Bootstrap;
use super::model::{Endpoints, FailureDomain, InstanceSeed, Presence, ReplicasetSeed, Tier};
use super::placement::{JoinPlan, JoinRequest, parse_failure_domain, plan_join, predecessor};
use super::ring::{ApplyOutcome, RingState};
use crate::base::{GroupId, InstanceId, LogIndex, SqlResult};
use crate::seam::Wall;

pub(crate) fn uuid(n: u64) -> Uuid {
    Uuid::from_u64_pair(0, n)
}

pub(crate) fn bootstrap(factor: u8, domain: &str) -> RingEntry {
    let bootstrap = Box::new(Bootstrap {
        cluster_uuid: uuid(1),
        cluster_name: "demo".into(),
        version: 1,
        tiers: vec![Tier::default_with_factor(factor)],
        replicaset: ReplicasetSeed {
            id: GroupId(1),
            name: "default_1".into(),
            uuid: uuid(2),
            tier: "default".into(),
        },
        instance: InstanceSeed {
            id: InstanceId(1),
            name: "default_1_1".into(),
            uuid: uuid(101),
            replicaset: GroupId(1),
            failure_domain: parse_failure_domain(domain).unwrap(),
            endpoints: endpoints(1),
            version: "0.1.0".into(),
            format_version: 1,
        },
        admin: None,
        at: Wall(1_000_000),
    });
    RingEntry::Bootstrap(bootstrap, None)
}

fn endpoints(k: u64) -> Endpoints {
    Endpoints { peer: format!("h{k}:3301"), pg: format!("h{k}:4327"), http: format!("h{k}:5327") }
}

/// A cluster of one instance.
pub(crate) fn cluster(factor: u8, domain: &str) -> RingState {
    let mut state = RingState::new();
    apply(&mut state, bootstrap(factor, domain)).unwrap();
    state
}

/// Applies an entry at the next index.
pub(crate) fn apply(state: &mut RingState, entry: RingEntry) -> ApplyOutcome {
    let index = LogIndex(state.applied.0 + 1);
    state.apply(index, &entry)
}

pub(crate) fn join_request(k: u64, tier: &str, domain: FailureDomain) -> JoinRequest {
    JoinRequest {
        uuid: uuid(100 + k),
        new_replicaset_uuid: uuid(1_000 + k),
        tier: tier.into(),
        failure_domain: domain,
        replaces: None,
        instance_name: None,
        replicaset_name: None,
        endpoints: endpoints(k),
        version: "0.1.0".into(),
        format_version: 1,
    }
}

/// Plans and applies a join.
pub(crate) fn join(state: &mut RingState, request: &JoinRequest) -> SqlResult<InstanceId> {
    match plan_join(state, request, Wall(2_000_000))? {
        JoinPlan::Member(id) => Ok(id),
        JoinPlan::Propose(entries) => {
            for entry in entries {
                apply(state, entry)?;
            }
            Ok(*state.instances.keys().next_back().unwrap())
        }
    }
}

/// Makes an instance Online, as the governor would after a while.
pub(crate) fn set_online(state: &mut RingState, id: InstanceId) {
    let online = Some(Presence::Online);
    let entry = RingEntry::SetInstanceState {
        id,
        current: online,
        target: online,
        reason: "wakeup".into(),
        at: Wall(3_000_000),
    };
    apply(state, entry).unwrap();
}
