//! Members of groups: who learns, who votes, who leaves, who leads.
//!
//! One configuration change at a time per group, in the order: learners in, then one joint change
//! that promotes those that caught up and takes out those that are to go. A change is held back if
//! it could not commit or would leave a group that cannot: the voters after it must have a
//! majority that is reachable.

use std::collections::BTreeSet;

use super::view::{GovernorView, GroupFacts};
use super::{MembershipChange, Step};
use crate::base::{GroupId, InstanceId};
use crate::topology::model::{Presence, ReplicasetState};
use crate::topology::placement::{VoterCandidate, choose_ring_voters};

/// Who is to be in a group.
struct Wanted {
    voters: BTreeSet<InstanceId>,
    /// Members that are to go. An instance the ring lets go still follows it, as everyone does.
    leave: BTreeSet<InstanceId>,
}

pub(super) fn plan(view: &GovernorView<'_>, steps: &mut Vec<Step>) {
    if let Some(facts) = view.groups.get(&GroupId::RING) {
        let wanted = ring_members(view, facts);
        plan_group(view, GroupId::RING, facts, &wanted, steps);
    }
    for set in view.ring.replicasets.values() {
        if set.state == ReplicasetState::Expelled {
            continue;
        }
        let Some(facts) = view.groups.get(&set.id) else { continue };
        let voters: BTreeSet<InstanceId> = view.ring.members(set.id).map(|i| i.id).collect();
        // The last instance of a set is not removed from it: the group ends with it.
        if !voters.is_empty() {
            let leave = strangers(facts, &voters);
            plan_group(view, set.id, facts, &Wanted { voters, leave }, steps);
        }
    }
}

/// Everyone in the group who is not among `voters`.
fn strangers(facts: &GroupFacts, voters: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
    facts.voters.union(&facts.learners).filter(|id| !voters.contains(id)).copied().collect()
}

fn ring_members(view: &GovernorView<'_>, facts: &GroupFacts) -> Wanted {
    let may_vote = |tier: &str| view.ring.tiers.get(tier).is_some_and(|t| t.can_vote);
    let candidates: Vec<VoterCandidate> = view
        .ring
        .instances
        .values()
        .filter(|i| i.is_member() && may_vote(&i.tier))
        .filter(|i| i.is_online() || facts.voters.contains(&i.id))
        .map(|i| VoterCandidate {
            id: i.id,
            failure_domain: i.failure_domain.clone(),
            online: i.current.presence == Presence::Online,
            votes_now: facts.voters.contains(&i.id),
        })
        .collect();
    let voters = choose_ring_voters(&candidates);
    let leave = strangers(facts, &voters);
    Wanted { voters, leave }
}

fn plan_group(
    view: &GovernorView<'_>,
    group: GroupId,
    facts: &GroupFacts,
    wanted: &Wanted,
    steps: &mut Vec<Step>,
) {
    let Some(leader) = facts.leader else { return };
    if facts.changing || wanted.voters.is_empty() {
        return;
    }
    let mut change = choose_change(view, facts, wanted);
    // The leader goes last, after it has handed over to somebody who stays.
    let leader_leaves = change.remove.remove(&leader);
    if change.is_empty() && leader_leaves {
        steps.extend(hand_over(view, facts, wanted).map(|to| Step::TransferLeader { group, to }));
    } else if !change.is_empty() && can_commit(view, facts, &change) {
        steps.push(Step::ChangeMembership { group, change });
    }
}

/// The next change on the way from the facts to what is wanted; empty if there is none to make now.
fn choose_change(view: &GovernorView<'_>, facts: &GroupFacts, wanted: &Wanted) -> MembershipChange {
    let mut change = MembershipChange::default();
    let newcomers = wanted.voters.iter().filter(|id| {
        !facts.voters.contains(id) && !facts.learners.contains(id) && view.is_reachable(**id)
    });
    change.add_learners.extend(newcomers);
    if !change.is_empty() {
        return change;
    }
    let ready = wanted.voters.iter().filter(|id| {
        facts.learners.contains(id) && view.is_reachable(**id) && view.has_caught_up(facts, **id)
    });
    change.promote.extend(ready);
    let complete =
        wanted.voters.iter().all(|id| facts.voters.contains(id) || change.promote.contains(id));
    // A voter that is merely to be replaced goes with the one that replaces it, not before.
    let expelled = |id: &InstanceId| view.ring.instances.get(id).is_none_or(|i| !i.is_member());
    change.remove.extend(wanted.leave.iter().filter(|id| complete || expelled(id)));
    change
}

/// Whether the voters before and after the change each have a reachable majority.
fn can_commit(view: &GovernorView<'_>, facts: &GroupFacts, change: &MembershipChange) -> bool {
    let after: BTreeSet<InstanceId> = facts
        .voters
        .union(&change.promote)
        .filter(|id| !change.remove.contains(id))
        .copied()
        .collect();
    let majority = |voters: &BTreeSet<InstanceId>| {
        voters.iter().filter(|id| view.is_reachable(**id)).count() > voters.len() / 2
    };
    majority(&facts.voters) && majority(&after)
}

/// The voter that takes the lead from one that must go: it stays, answers, and is least behind.
fn hand_over(view: &GovernorView<'_>, facts: &GroupFacts, wanted: &Wanted) -> Option<InstanceId> {
    let lag = |id: &InstanceId| facts.lag.get(id).copied().unwrap_or(u64::MAX);
    facts
        .voters
        .iter()
        .filter(|id| Some(**id) != facts.leader && wanted.voters.contains(id))
        .filter(|id| view.is_reachable(**id) && view.has_caught_up(facts, **id))
        .min_by_key(|id| (lag(id), **id))
        .copied()
}
