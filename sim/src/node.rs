//! What the world runs: a state machine behind the seam, and what the checks may ask it.

use std::collections::BTreeMap;

use basalt_core::base::codec::CodecResult;
use basalt_core::base::{GroupId, InstanceId, LogIndex, Term};
use basalt_core::seam::{Effects, Event, Mono, Now, PeerAddr, Traced};
use bytes::Bytes;

use crate::workload::Wire;

/// Who an instance is: what its command line and configuration file would say.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Position in the plan's topology, from 0; `n1` is 0.
    pub node: u16,
    pub name: String,
    pub address: PeerAddr,
    /// Every instance of the plan, this one included, in order.
    pub peers: Vec<PeerAddr>,
    pub dc: u8,
    pub replication_factor: u8,
    /// Whether every data centre holds exactly one instance.
    pub one_in_each_dc: bool,
    /// Whether it is told no peer but itself: an only instance, and the first one until the cluster is set
    /// up, or, in part of the plans, until its disk is wiped. Without data it founds a cluster.
    pub may_bootstrap: bool,
    pub limits: BTreeMap<String, u64>,
    pub canaries: Vec<String>,
}

/// The name of what a host's disk has open, among the resources.
pub const FILES: &str = "open files";

/// The name of the snapshots that others read from it; each is an open file.
pub const SNAPSHOTS_READ: &str = "snapshots open for followers";

/// A state machine under test.
pub trait Node: Inspectable + Sized {
    type Msg: Traced + std::fmt::Debug;
    /// How its clients speak.
    type Wire: Wire;

    /// The name a plan knows it by.
    const SUBJECT: &'static str;
    /// Files it has open after a rest, at most.
    const OPEN_FILES: u64;
    /// Directory of its log.
    const LOG_DIR: &str = "";
    /// Resources that others use, one in each group they share.
    const USED_BY_OTHERS: &[&str] = &[];

    /// A new process; the world sends `Event::Boot` first.
    fn boot(identity: &Identity, seed: [u8; 32]) -> Self;
    fn step(&mut self, now: Now, event: Event<Self::Msg>, effects: &mut Effects<Self::Msg>);
    /// After the events of a turn.
    fn end_turn(&mut self, now: Now, effects: &mut Effects<Self::Msg>);

    /// The message with which an operator has this instance expelled, encoded; `None` where nobody
    /// can be.
    fn expulsion(&self) -> Option<Bytes> {
        None
    }

    fn encode(msg: &Self::Msg, out: &mut Vec<u8>);
    fn decode(bytes: Bytes) -> CodecResult<Self::Msg>;
}

/// One member of one group, as the Raft checks see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GroupView {
    pub group: GroupId,
    /// The name it goes by in the group, which it gives up with its data.
    pub member: InstanceId,
    pub term: Term,
    pub is_leader: bool,
    /// The last entry of the log.
    pub last: LogIndex,
    pub commit: LogIndex,
    /// How far the state is.
    pub applied: LogIndex,
    /// While set, reads are served without asking anyone, up to this time of its own clock.
    pub lease_until: Option<Mono>,
    pub votes: Votes,
}

/// Who votes in a group, as far as a member knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Votes {
    pub voters: usize,
    /// Whether the member is one of them.
    pub is_voter: bool,
    /// Whether the old voters of an unfinished change are still asked.
    pub is_changing: bool,
}

impl std::fmt::Display for GroupView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let role = if self.is_leader { "leads" } else { "follows" };
        write!(
            f,
            "group {} {role} in term {}, {} of {} committed, {} applied",
            self.group, self.term, self.commit, self.last, self.applied
        )
    }
}

/// What the checks may ask. A machine without groups answers nothing and is checked from outside.
pub trait Inspectable {
    /// Adds a view of each group it is a member of.
    fn groups(&self, _now: Now, _out: &mut Vec<GroupView>) {}

    /// Adds each set of voters of which a group of its needs a majority, as far as it knows.
    fn electorates(&self, _out: &mut Vec<(GroupId, Vec<InstanceId>)>) {}

    /// Whether a cluster cannot do without a group: `false` where it knows that the group owns no buckets.
    fn keeps_state(&self, _group: GroupId) -> bool {
        true
    }

    /// Term and digest of an entry in its log; `None` where it is compacted away or not there.
    fn entry(&self, _group: GroupId, _index: LogIndex) -> Option<(Term, u64)> {
        None
    }

    /// Where it leads the group, hands each member and how far it acknowledged the log to `see`.
    fn acknowledged(&self, _group: GroupId, _see: &mut dyn FnMut(InstanceId, LogIndex)) {}

    /// Adds the index each group's applied state is at, where `wanted`, and the digest of the state.
    fn states(
        &self,
        _wanted: &dyn Fn(GroupId, LogIndex) -> bool,
        _out: &mut Vec<(GroupId, LogIndex, u64)>,
    ) {
    }

    /// Whether its rows, their indexes and its count of bytes fit together. Looks at every row.
    ///
    /// # Errors
    /// What does not fit.
    fn check_stores(&self) -> Result<(), String> {
        Ok(())
    }

    /// Queue lengths and sizes that must come back to their bounds: name, value, bound.
    fn resources(&self, _out: &mut Vec<(&'static str, u64, u64)>) {}

    /// Whether a cluster of so many instances is complete, as far as it knows.
    fn is_formed(&self, _instances: usize) -> bool {
        self.is_ready()
    }

    /// Whether it runs: it is through with its recovery.
    fn is_ready(&self) -> bool {
        true
    }

    /// Whether it says of itself that it serves clients, and takes part in every group it should.
    fn is_healthy(&self) -> bool {
        self.is_ready()
    }
}
