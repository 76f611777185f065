//! The governor: compares what the ring wants with what there is, and says what to do next.
//!
//! Runs on the ring's leader only. [`plan`] is a pure function of a [`GovernorView`]: the ring's state
//! plus facts the leader sees (who answers, who leads and votes where, which schema each shard has).
//! It is *level-triggered*: nothing is remembered between calls, so a lost step, a new leader or a
//! crash only means that the same step comes out again, and carrying out a step twice is harmless.
//!
//! ```text
//!   join        Offline/Offline ─ reachable ─► target Online ─► learner in its group and in the ring
//!               ─ caught up ─► voter in its group (joint change) ─► current Online ─► ring voter, if chosen
//!   silence     Online/Online ─ > timeout ─► Offline/Offline; its votes stay until somebody takes over
//!   expel       target Expelled ─► leadership away ─► out of the groups ─► current Expelled
//!   DDL         pending ─► PushSchema to each shard not yet there ─► DdlCommit, or DdlAbort on refusal
//! ```
//!
//! Replica-set failover is not here: that is Raft, and needs no governor.
//!
//! The caller carries out steps and calls again after something changed, at most once a turn. A
//! proposal in flight will be planned again; the caller skips a step equal to one still in flight.

mod membership;
mod schema;
mod states;
pub mod view;

use super::ddl::SchemaChange;
use super::entry::RingEntry;
use crate::base::{GroupId, InstanceId};
pub use view::{GovernorView, GroupFacts, InstanceFacts, silence_tolerated};

use std::collections::BTreeSet;
use std::fmt;

/// Steps of one plan at most; the rest comes with the next.
pub const STEPS_MAX: usize = 200;

/// One change of a group's members, done as a single joint configuration change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipChange {
    pub add_learners: BTreeSet<InstanceId>,
    /// Learners that become voters.
    pub promote: BTreeSet<InstanceId>,
    /// Voters that become learners.
    pub demote: BTreeSet<InstanceId>,
    /// Voters or learners that leave.
    pub remove: BTreeSet<InstanceId>,
}

impl MembershipChange {
    pub fn is_empty(&self) -> bool {
        [&self.add_learners, &self.promote, &self.demote, &self.remove]
            .into_iter()
            .all(BTreeSet::is_empty)
    }
}

/// Something to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    ProposeRing(RingEntry),
    /// To the group's leader; the ring's own is this instance.
    ChangeMembership {
        group: GroupId,
        change: MembershipChange,
    },
    TransferLeader {
        group: GroupId,
        to: InstanceId,
    },
    /// To the group's leader, which appends it to its log unless it is there already.
    PushSchema {
        group: GroupId,
        change: SchemaChange,
    },
}

/// What to do next, at most [`STEPS_MAX`] steps, most urgent first.
pub fn plan(view: &GovernorView<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    if view.ring.cluster.is_none() {
        return steps;
    }
    states::plan(view, &mut steps);
    membership::plan(view, &mut steps);
    schema::plan(view, &mut steps);
    steps.truncate(STEPS_MAX);
    steps
}

impl fmt::Display for MembershipChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("learn", &self.add_learners),
            ("promote", &self.promote),
            ("demote", &self.demote),
            ("remove", &self.remove),
        ];
        for (name, ids) in parts {
            if !ids.is_empty() {
                let ids: Vec<String> = ids.iter().map(|id| id.to_string()).collect();
                write!(f, " {name} {}", ids.join(","))?;
            }
        }
        Ok(())
    }
}

/// As `_pico_property` and the tests show a step.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::ProposeRing(entry) => write!(f, "propose {}", view::describe(entry)),
            Step::ChangeMembership { group, change } => write!(f, "group {group}{change}"),
            Step::TransferLeader { group, to } => write!(f, "group {group} lead {to}"),
            Step::PushSchema { group, change } => write!(
                f,
                "group {group} schema {} to {} {}",
                change.previous, change.version, change.op
            ),
        }
    }
}
