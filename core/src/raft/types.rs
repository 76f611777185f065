//! Our words for what raft-rs keeps in protobuf messages.

use bytes::Bytes;
use raft::eraftpb;

use crate::base::codec::{CodecResult, Reader, Writer};
use crate::base::{InstanceId, LogIndex, Term};

/// What an entry of the log holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryKind {
    /// A change of the group's state; empty for the entry a new leader begins its term with.
    Normal,
    /// A change of the membership, in raft's own encoding.
    Config,
}

/// One entry of a group's log.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Entry {
    pub index: LogIndex,
    pub term: Term,
    pub kind: EntryKind,
    pub data: Bytes,
}

/// What a member must remember across restarts to keep its promises.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct HardState {
    pub term: Term,
    /// Whom this member voted for in `term`; 0 for nobody.
    pub vote: InstanceId,
    pub commit: LogIndex,
}

/// Who belongs to a group.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Membership {
    pub voters: Vec<InstanceId>,
    pub learners: Vec<InstanceId>,
    /// Voters of the configuration being left; empty unless in a joint configuration.
    pub voters_outgoing: Vec<InstanceId>,
    /// Will be learners once the joint configuration is left.
    pub learners_next: Vec<InstanceId>,
    pub auto_leave: bool,
}

/// The log position a snapshot stands for.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct SnapshotMeta {
    pub index: LogIndex,
    pub term: Term,
    pub membership: Membership,
}

/// One wish of a membership change; several together form one joint change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    AddVoter(InstanceId),
    AddLearner(InstanceId),
    Remove(InstanceId),
}

impl Membership {
    /// A group whose only voter is `id`.
    pub fn single(id: InstanceId) -> Membership {
        Membership { voters: vec![id], ..Membership::default() }
    }

    /// Whether `id` is named in any role.
    pub fn contains(&self, id: InstanceId) -> bool {
        self.members().any(|m| m == id)
    }

    /// Whether `id` has a vote in any configuration in force.
    pub fn votes(&self, id: InstanceId) -> bool {
        self.voters.contains(&id) || self.voters_outgoing.contains(&id)
    }

    /// Whether two configurations are in force.
    pub fn is_joint(&self) -> bool {
        !self.voters_outgoing.is_empty()
    }

    /// Everyone named, possibly more than once.
    pub fn members(&self) -> impl Iterator<Item = InstanceId> + '_ {
        self.voters
            .iter()
            .chain(&self.learners)
            .chain(&self.voters_outgoing)
            .chain(&self.learners_next)
            .copied()
    }

    pub fn encode(&self, w: &mut Writer) {
        for list in [&self.voters, &self.learners, &self.voters_outgoing, &self.learners_next] {
            w.list(list, |w, id| w.varint(id.0));
        }
        w.bool(self.auto_leave);
    }

    pub fn decode(r: &mut Reader) -> CodecResult<Membership> {
        let mut list = || r.list(|r| Ok(InstanceId(r.varint()?)));
        let (voters, learners, voters_outgoing, learners_next) =
            (list()?, list()?, list()?, list()?);
        Ok(Membership { voters, learners, voters_outgoing, learners_next, auto_leave: r.bool()? })
    }

    pub(super) fn to_raft(&self) -> eraftpb::ConfState {
        // One order on both ways, see `from_raft`.
        let ids = |list: &[InstanceId]| {
            let mut ids: Vec<u64> = list.iter().map(|id| id.0).collect();
            ids.sort_unstable();
            ids
        };
        let mut state = eraftpb::ConfState::default();
        state.set_voters(ids(&self.voters));
        state.set_learners(ids(&self.learners));
        state.set_voters_outgoing(ids(&self.voters_outgoing));
        state.set_learners_next(ids(&self.learners_next));
        state.auto_leave = self.auto_leave;
        state
    }

    pub(super) fn from_raft(state: &eraftpb::ConfState) -> Membership {
        let ids = |list: &[u64]| {
            let mut ids: Vec<InstanceId> = list.iter().map(|id| InstanceId(*id)).collect();
            // raft-rs keeps members in hash sets: their order differs between runs.
            ids.sort_unstable();
            ids
        };
        Membership {
            voters: ids(state.get_voters()),
            learners: ids(state.get_learners()),
            voters_outgoing: ids(state.get_voters_outgoing()),
            learners_next: ids(state.get_learners_next()),
            auto_leave: state.auto_leave,
        }
    }
}

impl SnapshotMeta {
    pub(super) fn to_raft(&self) -> eraftpb::Snapshot {
        let mut snapshot = eraftpb::Snapshot::default();
        let meta = snapshot.mut_metadata();
        meta.index = self.index.0;
        meta.term = self.term.0;
        meta.set_conf_state(self.membership.to_raft());
        snapshot
    }

    pub(super) fn from_raft(snapshot: &eraftpb::Snapshot) -> SnapshotMeta {
        let meta = snapshot.get_metadata();
        SnapshotMeta {
            index: LogIndex(meta.index),
            term: Term(meta.term),
            membership: Membership::from_raft(meta.get_conf_state()),
        }
    }
}

impl HardState {
    pub(super) fn from_raft(state: &eraftpb::HardState) -> HardState {
        HardState {
            term: Term(state.term),
            vote: InstanceId(state.vote),
            commit: LogIndex(state.commit),
        }
    }

    pub(super) fn to_raft(self) -> eraftpb::HardState {
        let mut state = eraftpb::HardState::default();
        state.term = self.term.0;
        state.vote = self.vote.0;
        state.commit = self.commit.0;
        state
    }
}

impl Entry {
    pub(super) fn from_raft(entry: &eraftpb::Entry) -> Entry {
        Entry {
            index: LogIndex(entry.index),
            term: Term(entry.term),
            kind: match entry.get_entry_type() {
                eraftpb::EntryType::EntryNormal => EntryKind::Normal,
                eraftpb::EntryType::EntryConfChange | eraftpb::EntryType::EntryConfChangeV2 => {
                    EntryKind::Config
                }
            },
            data: entry.data.clone(),
        }
    }

    pub(super) fn to_raft(&self) -> eraftpb::Entry {
        let mut entry = eraftpb::Entry::default();
        entry.index = self.index.0;
        entry.term = self.term.0;
        entry.set_entry_type(match self.kind {
            EntryKind::Normal => eraftpb::EntryType::EntryNormal,
            EntryKind::Config => eraftpb::EntryType::EntryConfChangeV2,
        });
        entry.data = self.data.clone();
        entry
    }
}
