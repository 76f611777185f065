//! Members of groups: who learns, who votes, who leaves, who leads.
//!
//! One configuration change at a time per group, in the order: learners in, then one joint change
//! that promotes those that caught up, and takes the vote or the membership from those that are to
//! lose it. A change is held back if it could not commit or would leave a group that cannot: the
//! voters after it must have a majority that is reachable.
//!
//! Every instance follows the ring: it cannot serve anybody without the catalog. The few that are
//! chosen vote in it; all others are its learners, which its leader feeds. In its replica set,
//! every instance votes.
//!
//! ```text
//!   instances        1      2        3          4            5              6
//!   ring voters      1      1,2      1,2,3      1,2,3        1,2,3,4,5      1,2,3,4,5
//!   ring learners                               4                           6
//! ```

use std::collections::BTreeSet;

use super::view::{GovernorView, GroupFacts};
use super::{MembershipChange, Step};
use crate::base::{GroupId, InstanceId};
use crate::topology::model::{Presence, ReplicasetState};
use crate::topology::placement::{VoterCandidate, choose_ring_voters};

/// Who is to be in a group.
struct Wanted {
    voters: BTreeSet<InstanceId>,
    /// Those that follow without a vote.
    learners: BTreeSet<InstanceId>,
}

impl Wanted {
    fn contains(&self, id: InstanceId) -> bool {
        self.voters.contains(&id) || self.learners.contains(&id)
    }
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
            let wanted = Wanted { voters, learners: BTreeSet::new() };
            plan_group(view, set.id, facts, &wanted, steps);
        }
    }
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
    let members = view.ring.instances.values().filter(|i| i.is_member()).map(|i| i.id);
    let learners = members.filter(|id| !voters.contains(id)).collect();
    Wanted { voters, learners }
}

fn plan_group(
    view: &GovernorView<'_>,
    group: GroupId,
    facts: &GroupFacts,
    wanted: &Wanted,
    steps: &mut Vec<Step>,
) {
    let Some(leader) = facts.leader else { return };
    if facts.changing {
        return;
    }
    let mut change = choose_change(view, facts, wanted);
    // The leader goes last, after it has handed over to somebody who stays.
    let leader_leaves = change.remove.remove(&leader) || change.demote.remove(&leader);
    if change.is_empty() && leader_leaves {
        steps.extend(hand_over(view, facts, wanted).map(|to| Step::TransferLeader { group, to }));
    } else if !change.is_empty() && can_commit(view, facts, &change) {
        steps.push(Step::ChangeMembership { group, change });
    }
}

/// The next change on the way from the facts to what is wanted; empty if there is none to make now.
fn choose_change(view: &GovernorView<'_>, facts: &GroupFacts, wanted: &Wanted) -> MembershipChange {
    let mut change = MembershipChange::default();
    let is_new = |id: &InstanceId| !facts.voters.contains(id) && !facts.learners.contains(id);
    let newcomers = wanted.voters.union(&wanted.learners).filter(|id| is_new(id));
    change.add_learners.extend(newcomers.filter(|id| view.is_reachable(**id)));
    // Where nobody can vote yet, those that do go on until somebody can.
    if !change.is_empty() || wanted.voters.is_empty() {
        return change;
    }
    let ready = wanted.voters.iter().filter(|id| {
        facts.learners.contains(id) && view.is_reachable(**id) && view.has_caught_up(facts, **id)
    });
    change.promote.extend(ready);
    let complete =
        wanted.voters.iter().all(|id| facts.voters.contains(id) || change.promote.contains(id));
    // A voter that is merely to be replaced loses its vote to the one that replaces it, not before.
    let expelled = |id: &InstanceId| view.ring.instances.get(id).is_none_or(|i| !i.is_member());
    let strangers = facts.voters.union(&facts.learners).filter(|id| !wanted.contains(**id));
    change.remove.extend(strangers.filter(|id| complete || expelled(id)));
    change.demote.extend(facts.voters.intersection(&wanted.learners).filter(|_| complete));
    change
}

/// Whether the voters before and after the change each have a reachable majority.
fn can_commit(view: &GovernorView<'_>, facts: &GroupFacts, change: &MembershipChange) -> bool {
    let after: BTreeSet<InstanceId> = facts
        .voters
        .union(&change.promote)
        .filter(|id| !change.remove.contains(id) && !change.demote.contains(id))
        .copied()
        .collect();
    let majority = |voters: &BTreeSet<InstanceId>| {
        voters.iter().filter(|id| view.is_reachable(**id)).count() > voters.len() / 2
    };
    majority(&facts.voters) && majority(&after)
}

/// The voter that takes the lead from one that loses its vote: it keeps its own, answers, and is least behind.
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
