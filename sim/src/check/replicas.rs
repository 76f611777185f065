//! Replicas: the state of a group is a function of its applied index.

use std::collections::BTreeMap;

use basalt_core::base::{GroupId, LogIndex};

use crate::node::{GroupView, Inspectable};

/// Digests seen, by group and applied index; old ones are forgotten.
#[derive(Default)]
pub struct ReplicaCheck {
    seen: BTreeMap<GroupId, BTreeMap<LogIndex, (u16, u64)>>,
    /// Where each host's state was when it was last digested.
    digested: BTreeMap<(u16, GroupId), LogIndex>,
    scratch: Vec<(GroupId, LogIndex, u64)>,
}

const KEPT: usize = 4_096;

impl ReplicaCheck {
    pub fn sample(&mut self, host: u16, node: &impl Inspectable) -> Result<(), String> {
        self.scratch.clear();
        let moved = |group, applied| self.digested.get(&(host, group)) != Some(&applied);
        node.states(&moved, &mut self.scratch);
        for (group, applied, _) in &self.scratch {
            self.digested.insert((host, *group), *applied);
        }
        self.agree(host)
    }

    /// Compares the state that a host would come back with, where it is of entries `committed` in
    /// its group: the only voter of a group goes on by itself.
    pub fn shadow(
        &mut self,
        host: u16,
        node: &impl Inspectable,
        committed: &dyn Fn(GroupId) -> LogIndex,
    ) -> Result<(), String> {
        self.scratch.clear();
        node.states(&|group, applied| applied <= committed(group), &mut self.scratch);
        self.agree(host)
    }

    /// Whether each digest just taken is what any other showed at that index.
    fn agree(&mut self, host: u16) -> Result<(), String> {
        for (group, applied, digest) in &self.scratch {
            let digests = self.seen.entry(*group).or_default();
            let (first, known) = *digests.entry(*applied).or_insert((host, *digest));
            if known != *digest {
                return Err(format!(
                    "{group:?} at applied index {applied}: n{} has {known:016x}, n{} {digest:016x}",
                    first + 1,
                    host + 1
                ));
            }
            while digests.len() > KEPT {
                digests.pop_first();
            }
        }
        Ok(())
    }

    /// What a new process recovered is looked at, also where the old one was seen.
    pub fn process_began(&mut self, host: u16) {
        self.digested.retain(|(of, _), _| *of != host);
    }
}

/// Whether a member that came `back` knows who votes as well as it did: a change of membership that it knew
/// to be committed is one that it acts on. One that is further than it was may know of a later change.
pub fn keeps_votes(durable: &[GroupView], back: &[GroupView]) -> Result<(), String> {
    for (was, is) in durable.iter().flat_map(|was| back.iter().map(move |is| (was, is))) {
        let same_member = (was.group, was.member) == (is.group, is.member);
        if same_member && is.applied <= was.applied && is.votes != was.votes {
            let (group, applied) = (was.group, is.applied);
            return Err(format!(
                "{group:?} at applied index {applied}: {:?} instead of {:?}",
                is.votes, was.votes
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use basalt_core::base::{InstanceId, Term};

    use super::*;
    use crate::node::Votes;

    struct At(u64, u64);

    impl Inspectable for At {
        fn states(
            &self,
            wanted: &dyn Fn(GroupId, LogIndex) -> bool,
            out: &mut Vec<(GroupId, LogIndex, u64)>,
        ) {
            if wanted(GroupId(1), LogIndex(self.0)) {
                out.push((GroupId(1), LogIndex(self.0), self.1));
            }
        }
    }

    #[test]
    fn equal_index_means_equal_state() {
        let mut check = ReplicaCheck::default();
        check.sample(0, &At(5, 50)).unwrap();
        check.sample(1, &At(6, 60)).unwrap();
        check.sample(2, &At(5, 50)).unwrap();
        check.sample(2, &At(5, 51)).unwrap();
        check.process_began(2);
        assert!(check.sample(2, &At(5, 51)).is_err());
        assert!(check.sample(1, &At(5, 51)).is_err());
        let mut shadow = |at: At| check.shadow(0, &at, &|_| LogIndex(6));
        shadow(At(6, 60)).unwrap();
        assert!(shadow(At(6, 61)).is_err(), "a shadow is looked at each time");
        shadow(At(7, 70)).unwrap();
        check.sample(1, &At(7, 71)).unwrap();
    }

    #[test]
    fn a_member_that_comes_back_knows_who_votes() {
        let view = |member: u64, applied: u64, voters: usize| GroupView {
            group: GroupId(1),
            member: InstanceId(member),
            term: Term(1),
            is_leader: false,
            last: LogIndex(9),
            commit: LogIndex(applied),
            applied: LogIndex(applied),
            lease_until: None,
            votes: Votes { voters, ..Votes::default() },
        };
        let was = [view(7, 5, 3)];
        keeps_votes(&was, &[view(7, 4, 3)]).unwrap();
        let forgot = keeps_votes(&was, &[view(7, 4, 2)]).unwrap_err();
        assert!(forgot.contains("voters: 2"), "{forgot}");
        keeps_votes(&was, &[view(7, 6, 4)]).unwrap();
        keeps_votes(&was, &[view(8, 4, 2)]).unwrap();
        keeps_votes(&[], &[view(7, 4, 2)]).unwrap();
    }
}
