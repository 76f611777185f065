//! The core of a cluster: who has to live once faults are over.
//!
//! Mostly everything heals, and the core is every instance that is not lost for good. In some plans only a
//! core heals: the first instances in the plan's order that hold a quorum of every group that keeps rows (or
//! the ring), and of every other one that has a member among them. What was broken
//! on them, between them and on the clients' way to them is sound from then on; everything else stays as
//! it is for good. The core must then do what a whole cluster does, whatever the others say or hold back.
//!
//! ```text
//!   chaos:   n1 ══╳══ n2 ─ n3(paused)        core n1, n2:   n1 ───── n2 ─ n3(paused)
//!            ║ lossy  ║                                     ║ lossy   ║
//!            n4 ══╳══ n5(disk is full)                      n4 ══╳══ n5(disk is full)
//! ```
//! A quorum is one of what *anybody* knows or last knew of who votes, so that a change of membership that
//! is under way can end; and more than half of the instances, so that one about to begin can. Copies that
//! were damaged do not count: they may start over. Whoever has not joined yet is not part of it. Where only all instances are enough, and where nothing
//! would stay broken, everything heals.

use basalt_core::base::{GroupId, InstanceId};

use super::World;
use super::host::{Electorate, Host};
use crate::faults::{Area, Kind};
use crate::node::Node;
use crate::plan::Fault;

/// Whether a fault breaks links, and so heals link by link rather than on its instances.
pub(super) fn breaks_links(kind: Kind) -> bool {
    kind.area() == Area::Network || kind == Kind::DcCut
}

impl<N: Node> World<'_, N> {
    /// Of a plan that heals a core: who belongs to it. `None`: everything heals.
    pub(super) fn choose_core(&self) -> Option<Vec<u16>> {
        let order = &self.plan.core;
        let count = (1..order.len()).find(|count| self.suffices(&order[..*count]))?;
        let (core, outsiders) = order.split_at(count);
        self.stays_broken(outsiders).then(|| core.to_vec())
    }

    /// Whether anything is wrong with these instances, or between them and others.
    fn stays_broken(&self, nodes: &[u16]) -> bool {
        let stands_still = |node: &u16| {
            let host = &self.hosts[usize::from(*node)];
            !host.is_running() || host.paused > 0
        };
        let is_struck = |(_, fault, leader): &(u32, Fault, Option<u16>)| match fault.kind {
            Kind::DcLatency => false,
            kind if breaks_links(kind) => self.network.touches(fault, *leader, nodes),
            _ => fault.nodes.iter().any(|node| nodes.contains(node)),
        };
        nodes.iter().any(stands_still) || self.active.iter().any(is_struck)
    }

    /// Whether these instances can do without all others.
    fn suffices(&self, core: &[u16]) -> bool {
        let sound = |node: &&u16| !self.hosts[usize::from(**node)].is_damaged;
        let names = |node: &u16| self.members_on(*node);
        let members: Vec<InstanceId> = core.iter().flat_map(names).collect();
        let voting: Vec<InstanceId> = core.iter().filter(sound).flat_map(names).collect();
        let can_do = |(group, voters): (GroupId, Vec<InstanceId>)| {
            let is_outside =
                !self.keeps_state(group) && voters.iter().all(|id| !members.contains(id));
            is_outside || is_majority(&voters, |id| voting.contains(id))
        };
        // One that has not joined may be given a place in a group that does not heal.
        core.iter().all(|node| !self.members_on(*node).is_empty())
            && core.len() * 2 > self.hosts.len()
            && self.hosts.iter().flat_map(Host::electorates).all(can_do)
    }

    /// Whether nobody knows that a group owns no buckets.
    fn keeps_state(&self, group: GroupId) -> bool {
        let mut processes = self.hosts.iter().filter_map(|host| host.process.as_ref());
        processes.all(|process| process.node.keeps_state(group))
    }

    /// The names under which an instance is a member of groups, or was when it last ran.
    fn members_on(&self, node: u16) -> Vec<InstanceId> {
        let host = &self.hosts[usize::from(node)];
        let now: Vec<InstanceId> = host.views.iter().map(|view| view.member).collect();
        if now.is_empty() { host.last_members.clone() } else { now }
    }

    /// Whether an instance heals with all that touches it.
    pub(super) fn heals(&self, node: u16) -> bool {
        self.chosen_core.as_ref().is_none_or(|core| core.contains(&node))
    }

    /// Instances that nobody counts on once faults are over.
    pub(super) fn lost(&self) -> Vec<u16> {
        match &self.chosen_core {
            Some(core) => {
                (0..self.hosts.len() as u16).filter(|node| !core.contains(node)).collect()
            }
            None => self.plan.lost_for_good(),
        }
    }

    /// What of a fault stays when the core heals. Links of the core are sound in any case, and distance is
    /// one for all data centres.
    pub(super) fn what_stays(&self, fault: &Fault) -> Option<Fault> {
        if breaks_links(fault.kind) {
            return Some(fault.clone());
        }
        let mut stays = fault.clone();
        stays.nodes.retain(|node| !self.heals(*node));
        let is_something = !stays.nodes.is_empty() && fault.kind != Kind::DcLatency;
        is_something.then_some(stays)
    }

    /// The first thing that a live cluster needs and this one has not: a quorum that runs and hears each
    /// other, a leader, its lease, a way for clients.
    pub(super) fn missing_precondition(&self) -> Option<String> {
        let groups = self.core().flat_map(|host| &host.views).map(|view| view.group);
        let mut groups: Vec<GroupId> = groups.collect();
        groups.sort_unstable();
        groups.dedup();
        let of_groups = groups.into_iter().find_map(|group| self.missing_in(group));
        let of_clients = || {
            let deaf = self.core().find(|host| {
                !host.process.as_ref().is_some_and(|process| process.node.is_healthy())
            })?;
            Some(format!("{} takes no clients", deaf.identity.name))
        };
        of_groups.or_else(of_clients)
    }

    fn missing_in(&self, group: GroupId) -> Option<String> {
        if !self.hosts.iter().any(|host| self.hears_a_quorum(host, group)) {
            return Some(format!("no quorum of group {group} is connected"));
        }
        let all = self.hosts.iter().flat_map(|host| host.views.iter().map(move |v| (host, v)));
        let leaders = all.filter(|(_, view)| view.group == group && view.is_leader);
        let Some((host, view)) = leaders.max_by_key(|(_, view)| view.term) else {
            return Some(format!("group {group} has no leader"));
        };
        let name = &host.identity.name;
        if self.lost().contains(&host.identity.node) {
            return Some(format!("{name}, which did not heal, leads group {group}"));
        }
        view.lease_until.is_none().then(|| format!("{name} leads group {group} without a lease"))
    }

    /// Whether an instance runs and hears, and is heard by, a majority of those it knows to vote.
    fn hears_a_quorum(&self, host: &Host<N>, group: GroupId) -> bool {
        let here = host.identity.node;
        let hears = |other: &Host<N>| {
            let there = other.identity.node;
            let cut = self.network.is_cut(here, there) || self.network.is_cut(there, here);
            other.is_running() && other.paused == 0 && (there == here || !cut)
        };
        let heard: Vec<InstanceId> = self
            .hosts
            .iter()
            .filter(|other| hears(other))
            .flat_map(|other| &other.views)
            .filter(|view| view.group == group)
            .map(|view| view.member)
            .collect();
        let mut known = host.electorates();
        known.retain(|(of, _)| *of == group);
        host.is_running()
            && !known.is_empty()
            && known.iter().all(|(_, voters)| is_majority(voters, |id| heard.contains(id)))
    }
}

impl<N: Node> Host<N> {
    /// Each set of voters of which a group needs a majority, as the instance knows it, or last knew it.
    fn electorates(&self) -> Vec<Electorate> {
        let mut known = Vec::new();
        if let Some(process) = &self.process {
            process.node.electorates(&mut known);
        }
        if known.is_empty() { self.last_electorates.clone() } else { known }
    }

    /// Keeps what the process knows of its groups, before it goes.
    pub(super) fn remember_groups(&mut self) {
        let known = self.electorates();
        self.last_electorates = known;
        if !self.views.is_empty() {
            self.last_members = self.views.iter().map(|view| view.member).collect();
        }
    }

    /// Who it was goes with its disk.
    pub(super) fn forget_groups(&mut self) {
        self.last_electorates.clear();
        self.last_members.clear();
    }
}

fn is_majority(voters: &[InstanceId], has: impl Fn(&InstanceId) -> bool) -> bool {
    voters.iter().filter(|id| has(id)).count() * 2 > voters.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Check;
    use crate::plan::Plan;
    use crate::run::{Verdict, run, subject};
    use crate::scenario::{Scenario, plan};

    /// Five instances of the database in one place, and these faults.
    fn five(faults: Vec<Fault>, core: &[u16]) -> Verdict {
        let net = Scenario::by_name("net").expect("a scenario");
        let mut plan = plan(net, 2, subject("basalt").expect("the database"));
        plan.topology.nodes = vec![0; 5];
        plan.topology.latency_us = vec![vec![100]];
        plan.topology.replication_factor = 5;
        plan.clients.truncate(3);
        plan.clients.iter_mut().for_each(|client| client.dc = 0);
        plan.chaos_ms = 3_000;
        run(&Plan { faults, core: core.to_vec(), buggify: false, ..plan })
    }

    fn fault(kind: Kind, nodes: &[u16], peers: &[u16]) -> Fault {
        let (nodes, peers) = (nodes.to_vec(), peers.to_vec());
        Fault { kind, at_ms: 1_000, for_ms: Some(60_000), nodes, peers, amount: 1 }
    }

    fn told(verdict: &Verdict, what: &str) -> bool {
        verdict.story.iter().any(|line| line.contains(what))
    }

    #[test]
    fn the_first_instances_that_are_a_quorum_heal_and_the_rest_stays_broken() {
        let faults = vec![
            fault(Kind::ProcessPause, &[4, 1], &[]),
            fault(Kind::NetHalves, &[0, 3], &[1, 2, 4]),
        ];
        let verdict = five(faults, &[2, 0, 1, 4, 3]);
        assert_eq!(verdict.failure, None, "{:#?}", verdict.story);
        assert!(told(&verdict, "only a core heals: n3,n1,n2"), "{:#?}", verdict.story);
        assert!(told(&verdict, "fault 0 stays for good: process.pause on n5,"));
        assert!(told(&verdict, "fault 1 stays for good: net.halves on n1,n4 against n2,n3,n5"));
    }

    #[test]
    fn a_damaged_copy_is_no_part_of_a_quorum() {
        let faults = vec![fault(Kind::DiskBitRot, &[0], &[]), fault(Kind::ProcessPause, &[4], &[])];
        let verdict = five(faults, &[0, 1, 2, 3, 4]);
        assert_eq!(verdict.failure, None, "{:#?}", verdict.story);
        assert!(told(&verdict, "only a core heals: n1,n2,n3,n4"), "{:#?}", verdict.story);
    }

    #[test]
    fn where_nothing_would_stay_broken_everything_heals() {
        let core = [0, 1, 2, 3, 4];
        let lasting = |kind, nodes: &[u16], peers: &[u16]| fault(kind, nodes, peers);
        let over = |fault: Fault| Fault { for_ms: Some(500), ..fault };
        for faults in [
            vec![over(fault(Kind::ProcessPause, &[4], &[]))],
            vec![lasting(Kind::NetOneWay, &[0], &[1])],
            vec![lasting(Kind::ProcessPause, &[0], &[])],
        ] {
            let verdict = five(faults, &core);
            assert_eq!(verdict.failure, None, "{:#?}", verdict.story);
            assert!(told(&verdict, "everything heals"), "{:#?}", verdict.story);
        }
        for faults in [
            vec![lasting(Kind::NetOneWay, &[0], &[3])],
            vec![lasting(Kind::ProcessPause, &[4], &[])],
        ] {
            let verdict = five(faults, &core);
            assert_eq!(verdict.failure, None, "{:#?}", verdict.story);
            assert!(told(&verdict, "only a core heals: n1,n2,n3"), "{:#?}", verdict.story);
        }
    }

    #[test]
    fn a_cluster_that_does_not_come_back_says_what_is_missing() {
        let for_good = |nodes: &[u16], peers: &[u16]| Fault {
            for_ms: None,
            ..fault(Kind::NetHalves, nodes, peers)
        };
        let apart = vec![for_good(&[0, 1], &[2, 3, 4]), for_good(&[2, 3], &[0, 1, 4])];
        let failure = five(apart, &[]).failure.expect("three parts, and none has a quorum");
        assert_eq!(failure.check, Check::Liveness);
        let missing = "missing: no quorum of group 0 is connected";
        assert!(failure.message.contains(missing), "{}", failure.message);
    }
}
