//! Raft's promises, watched at every turn of every member.
//!
//! - *Election safety*: one leader a term.
//! - *State machine safety*: entries committed at one index are the same everywhere, for ever.
//! - *Leader completeness*: who becomes leader holds every entry committed before.
//! - *Durability*: a member holds every committed entry that it acknowledged, whatever befell it since.
//! - *Monotony*: within one process neither term nor commit index goes back.

use std::collections::BTreeMap;

use basalt_core::base::{GroupId, InstanceId, LogIndex, Term};

use crate::node::{GroupView, Inspectable};

/// What is known of one group.
#[derive(Default)]
struct Group {
    leader_of: BTreeMap<Term, u16>,
    committed: BTreeMap<LogIndex, Committed>,
    members: BTreeMap<u16, Member>,
    /// How far each member acknowledged what is committed, by its leaders' word.
    acknowledged: BTreeMap<InstanceId, LogIndex>,
}

/// An entry that some member saw as committed.
#[derive(Clone, Copy)]
struct Committed {
    /// Its term and digest.
    entry: (Term, u64),
    /// It was committed in this term or before. A leader of an earlier one, elected by votes that were
    /// long on their way, need not have it.
    by: Term,
}

/// What was last seen of a member's present process.
#[derive(Clone, Copy, Default)]
struct Member {
    term: Term,
    commit: LogIndex,
    /// Commit index up to which its entries were compared.
    compared: LogIndex,
    was_leader: bool,
}

/// Entries looked back at when a leader comes up or a member has recovered.
const COMPLETENESS_DEPTH: usize = 64;

pub struct RaftCheck {
    groups: BTreeMap<GroupId, Group>,
    hosts: usize,
}

impl RaftCheck {
    pub fn new(hosts: usize) -> RaftCheck {
        RaftCheck { groups: BTreeMap::new(), hosts }
    }

    pub fn process_began(&mut self, host: u16) {
        assert!(usize::from(host) < self.hosts, "host {host} of {}", self.hosts);
        for group in self.groups.values_mut() {
            group.members.remove(&host);
        }
    }

    pub fn process_ended(&mut self, host: u16) {
        for group in self.groups.values_mut() {
            group.members.remove(&host);
        }
    }

    pub fn look(
        &mut self,
        host: u16,
        views: &[GroupView],
        node: &impl Inspectable,
    ) -> Result<(), String> {
        for view in views {
            let group = self.groups.entry(view.group).or_default();
            let name = |what: String| format!("{:?} at n{}: {what}", view.group, host + 1);
            group.look(host, view, node).map_err(name)?;
        }
        Ok(())
    }
}

impl RaftCheck {
    /// The last entry of a group that any member saw as committed.
    pub fn last_committed(&self, group: GroupId) -> LogIndex {
        let known = self.groups.get(&group).and_then(|group| group.committed.last_key_value());
        known.map_or(LogIndex(0), |(index, _)| *index)
    }

    /// Whether a member that has just recovered has what it acknowledged of what was committed.
    pub fn keeps_acknowledged(
        &self,
        views: &[GroupView],
        node: &impl Inspectable,
    ) -> Result<(), String> {
        for view in views {
            let Some(group) = self.groups.get(&view.group) else { continue };
            let name = |what: String| format!("{:?}: {what}", view.group);
            group.acknowledged_is_there(view).map_err(name)?;
            group.acknowledged_agrees(view, node).map_err(name)?;
        }
        Ok(())
    }
}

impl Group {
    fn look(&mut self, host: u16, view: &GroupView, node: &impl Inspectable) -> Result<(), String> {
        let before = self.members.get(&host).copied();
        let mut member = before.unwrap_or_default();
        if view.term < member.term {
            return Err(format!("{:?} after {:?}", view.term, member.term));
        }
        if view.commit < member.commit {
            return Err(format!("commit went back from {} to {}", member.commit, view.commit));
        }
        if view.commit > view.last {
            return Err(format!("commit {} past the last entry {}", view.commit, view.last));
        }
        self.acknowledged_is_there(view)?;
        // What follows looks at what changed.
        let seen = (member.term, member.commit, member.was_leader);
        if before.is_some() && seen == (view.term, view.commit, view.is_leader) {
            return Ok(());
        }
        if view.is_leader && view.commit > member.commit {
            self.note_acknowledged(view, node);
        }
        let new_leader = view.is_leader && (!member.was_leader || view.term > member.term);
        member.term = view.term;
        member.commit = view.commit;
        member.was_leader = view.is_leader;
        self.entries_agree(&mut member, view, node)?;
        if new_leader {
            self.leader_came_up(host, view, node)?;
        }
        self.members.insert(host, member);
        Ok(())
    }

    fn entries_agree(
        &mut self,
        member: &mut Member,
        view: &GroupView,
        node: &impl Inspectable,
    ) -> Result<(), String> {
        for index in member.compared.0 + 1..=view.commit.0 {
            let index = LogIndex(index);
            let Some(here) = node.entry(view.group, index) else { continue };
            let first = Committed { entry: here, by: view.term };
            let known = self.committed.entry(index).or_insert(first);
            known.by = known.by.min(view.term);
            if known.entry != here {
                let known = known.entry;
                return Err(format!("entry {index} is {here:?} here and was {known:?} elsewhere"));
            }
        }
        member.compared = view.commit;
        Ok(())
    }

    fn acknowledged_is_there(&self, view: &GroupView) -> Result<(), String> {
        match self.acknowledged.get(&view.member) {
            Some(acknowledged) if view.last < *acknowledged => Err(format!(
                "the log ends at {}, the member acknowledged {acknowledged}",
                view.last
            )),
            _ => Ok(()),
        }
    }

    fn acknowledged_agrees(&self, view: &GroupView, node: &impl Inspectable) -> Result<(), String> {
        let Some(acknowledged) = self.acknowledged.get(&view.member) else { return Ok(()) };
        let newest_first = self.committed.range(..=*acknowledged).rev();
        for (index, known) in newest_first.take(COMPLETENESS_DEPTH) {
            let here = node.entry(view.group, *index);
            if here.is_some_and(|here| here != known.entry) {
                let known = known.entry;
                return Err(format!(
                    "entry {index} is {here:?}, committed and acknowledged {known:?}"
                ));
            }
        }
        Ok(())
    }

    fn note_acknowledged(&mut self, view: &GroupView, node: &impl Inspectable) {
        node.acknowledged(view.group, &mut |member, index| {
            let known = self.acknowledged.entry(member).or_default();
            *known = index.min(view.commit).max(*known);
        });
    }

    fn leader_came_up(
        &mut self,
        host: u16,
        view: &GroupView,
        node: &impl Inspectable,
    ) -> Result<(), String> {
        let first = *self.leader_of.entry(view.term).or_insert(host);
        if first != host {
            return Err(format!("leader of {:?}, which n{} leads", view.term, first + 1));
        }
        let before = self.committed.iter().rev().filter(|(_, known)| known.by <= view.term);
        for (index, known) in before.take(COMPLETENESS_DEPTH) {
            if view.last < *index {
                return Err(format!("leader with a log up to {}, {index} is committed", view.last));
            }
            let (here, known) = (node.entry(view.group, *index), known.entry);
            if here.is_some_and(|here| here != known) {
                return Err(format!("leader whose entry {index} is {here:?}, committed {known:?}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member whose log is a list of (term, digest).
    struct Log(Vec<(u64, u64)>);

    impl Inspectable for Log {
        fn entry(&self, _: GroupId, index: LogIndex) -> Option<(Term, u64)> {
            let (term, digest) = *self.0.get(index.0.checked_sub(1)? as usize)?;
            Some((Term(term), digest))
        }

        fn acknowledged(&self, _: GroupId, see: &mut dyn FnMut(InstanceId, LogIndex)) {
            see(InstanceId(8), LogIndex(9));
        }
    }

    fn view(term: u64, is_leader: bool, last: u64, commit: u64) -> GroupView {
        GroupView {
            group: GroupId(1),
            member: InstanceId(7),
            term: Term(term),
            is_leader,
            last: LogIndex(last),
            commit: LogIndex(commit),
            applied: LogIndex(commit),
            lease_until: None,
            votes: crate::node::Votes::default(),
        }
    }

    fn look(
        check: &mut RaftCheck,
        host: u16,
        v: GroupView,
        log: &[(u64, u64)],
    ) -> Result<(), String> {
        check.look(host, &[v], &Log(log.to_vec()))
    }

    #[test]
    fn a_sound_group_passes_and_each_broken_promise_is_named() {
        let log = [(1, 10), (1, 11)];
        let healthy = || {
            let mut check = RaftCheck::new(3);
            look(&mut check, 0, view(1, true, 2, 2), &log).unwrap();
            look(&mut check, 1, view(1, false, 2, 1), &log).unwrap();
            check
        };
        let broken = |host, v, log: &[(u64, u64)]| look(&mut healthy(), host, v, log).unwrap_err();
        assert!(broken(1, view(1, true, 2, 2), &log).contains("leads"));
        assert!(broken(1, view(1, false, 2, 2), &[(1, 10), (1, 99)]).contains("elsewhere"));
        assert!(broken(2, view(2, true, 1, 1), &log[..1]).contains("committed"));
        assert!(broken(2, view(2, true, 2, 1), &[(1, 10), (2, 9)]).contains("leader whose"));
        assert!(broken(0, view(1, true, 2, 1), &log).contains("went back"));
    }

    #[test]
    fn a_member_keeps_what_it_acknowledged_of_what_was_committed() {
        let log = [(1, 10), (1, 11)];
        let of = |member, view| GroupView { member: InstanceId(member), ..view };
        let mut check = RaftCheck::new(3);
        look(&mut check, 0, view(1, true, 2, 1), &log).unwrap();
        look(&mut check, 1, of(8, view(1, false, 1, 1)), &log).unwrap();
        look(&mut check, 0, view(1, true, 2, 2), &log).unwrap();
        check.process_ended(1);
        let back = view(1, false, 1, 1);
        look(&mut check, 1, of(9, back), &log).unwrap();
        let lost = look(&mut check, 1, of(8, back), &log).unwrap_err();
        assert!(lost.contains("acknowledged"), "{lost}");
        let recovered = |last, log: &[(u64, u64)]| {
            let views = [of(8, view(1, false, last, 1))];
            check.keeps_acknowledged(&views, &Log(log.to_vec()))
        };
        recovered(2, &log).unwrap();
        assert!(recovered(1, &log[..1]).unwrap_err().contains("acknowledged"));
        assert!(recovered(2, &[(1, 10), (1, 12)]).unwrap_err().contains("entry 2"));
    }

    #[test]
    fn a_leader_of_an_earlier_term_that_comes_up_late_need_not_have_what_was_committed_since() {
        let mut check = RaftCheck::new(3);
        look(&mut check, 0, view(4, true, 2, 2), &[(1, 10), (4, 11)]).unwrap();
        look(&mut check, 1, view(3, true, 2, 1), &[(1, 10), (3, 12)]).unwrap();
        let late = look(&mut check, 2, view(5, true, 2, 1), &[(1, 10), (3, 12)]);
        assert!(late.unwrap_err().contains("leader whose"));
    }
}
