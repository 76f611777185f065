//! States of instances and replica sets, and the cluster's version.

use super::Step;
use super::view::GovernorView;
use crate::base::{GroupId, InstanceId};
use crate::topology::entry::RingEntry;
use crate::topology::model::{Instance, Presence, Replicaset, ReplicasetState};

pub(super) fn plan(view: &GovernorView<'_>, steps: &mut Vec<Step>) {
    for instance in view.ring.instances.values() {
        steps.extend(instance_state(view, instance).map(Step::ProposeRing));
    }
    for set in view.ring.replicasets.values() {
        steps.extend(replicaset_state(view, set).map(Step::ProposeRing));
        steps.extend(replicaset_master(view, set).map(Step::ProposeRing));
    }
    steps.extend(cluster_version(view).map(Step::ProposeRing));
}

/// The next state of an instance, if it is time for one.
fn instance_state(view: &GovernorView<'_>, instance: &Instance) -> Option<RingEntry> {
    use Presence::{Expelled, Offline, Online};
    let propose = |current, target, reason: &str| RingEntry::SetInstanceState {
        id: instance.id,
        current,
        target,
        reason: reason.into(),
        at: view.now.wall,
    };
    let (current, target) = (instance.current, instance.target);
    if current.presence == Expelled {
        return None;
    }
    if target.presence == Expelled {
        return has_left(view, instance).then(|| propose(Some(Expelled), None, "expel"));
    }
    if view.is_lost(instance.id) {
        let online = current.presence == Online || target.presence == Online;
        return online.then(|| propose(Some(Offline), Some(Offline), "unreachable"));
    }
    if target.presence == Offline && view.is_reachable(instance.id) {
        let reason = if target.incarnation == 0 { "join" } else { "wakeup" };
        return Some(propose(None, Some(Online), reason));
    }
    if target.presence == Offline && current.presence == Online {
        return Some(propose(Some(Offline), None, &instance.target_reason));
    }
    let arrived = target.presence == Online && current != target;
    (arrived && is_serving(view, instance))
        .then(|| propose(Some(Online), None, &instance.target_reason))
}

/// Whether an instance answers, follows the ring, and votes in its group, with nearly all of both logs.
fn is_serving(view: &GovernorView<'_>, instance: &Instance) -> bool {
    let follows_ring =
        view.groups.get(&GroupId::RING).is_some_and(|ring| view.has_caught_up(ring, instance.id));
    follows_ring
        && view.is_reachable(instance.id)
        && view.groups.get(&instance.replicaset).is_some_and(|group| {
            group.voters.contains(&instance.id) && view.has_caught_up(group, instance.id)
        })
}

/// Whether an expelled instance is in no group any more. Its replica set's group may die with it.
fn has_left(view: &GovernorView<'_>, instance: &Instance) -> bool {
    let absent = |group: GroupId| {
        view.groups.get(&group).is_some_and(|facts| {
            !facts.changing
                && !facts.voters.contains(&instance.id)
                && !facts.learners.contains(&instance.id)
        })
    };
    let set_ends = view.ring.members(instance.replicaset).next().is_none();
    absent(GroupId::RING) && (set_ends || absent(instance.replicaset))
}

/// Ready once as many instances are Online as the tier asks for; expelled with its last instance.
fn replicaset_state(view: &GovernorView<'_>, set: &Replicaset) -> Option<RingEntry> {
    let propose = |state, weight| Some(RingEntry::SetReplicasetState { id: set.id, state, weight });
    match set.state {
        ReplicasetState::Expelled => None,
        _ if is_abandoned(view, set) => propose(ReplicasetState::Expelled, 0),
        ReplicasetState::Ready => None,
        ReplicasetState::NotReady => {
            let online = view.ring.members(set.id).filter(|i| i.is_online()).count();
            let wanted = view.ring.tiers.get(&set.tier)?.replication_factor;
            if online >= usize::from(wanted) { propose(ReplicasetState::Ready, 1) } else { None }
        }
    }
}

/// Whether a replica set had instances, and all of them are expelled for good.
fn is_abandoned(view: &GovernorView<'_>, set: &Replicaset) -> bool {
    let mut instances = view.ring.instances.values().filter(|i| i.replicaset == set.id);
    set.founder.is_some() && instances.all(|i| i.current.presence == Presence::Expelled)
}

/// Records who leads, once it does.
fn replicaset_master(view: &GovernorView<'_>, set: &Replicaset) -> Option<RingEntry> {
    let leader: InstanceId = view.groups.get(&set.id)?.leader?;
    let known = view.ring.instances.get(&leader).is_some_and(|i| i.replicaset == set.id);
    let news = set.current_master != Some(leader) || set.target_master != Some(leader);
    (known && news && set.state != ReplicasetState::Expelled).then_some(
        RingEntry::SetReplicasetMaster { id: set.id, current: Some(leader), target: Some(leader) },
    )
}

/// Raises the cluster's version by one when every instance understands it, also those that are
/// away: they could not come back otherwise.
fn cluster_version(view: &GovernorView<'_>) -> Option<RingEntry> {
    let version = view.ring.cluster.as_ref()?.version.checked_add(1)?;
    let mut members = view.ring.instances.values().filter(|i| i.is_member()).peekable();
    members.peek()?;
    members.all(|i| i.format_version >= version).then_some(RingEntry::SetClusterVersion { version })
}
