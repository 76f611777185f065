//! The phases of a run: set up, rage, heal, look, rest.
//!
//! ```text
//!   Setup ──tables made──► Chaos ──time is up──► Heal ──clients done──► Audit ──read──► Rest ──► Over
//! ```
//! Each phase but `Chaos` has a deadline, and missing it is a failure of liveness. Beyond-budget runs
//! end quietly when they miss one.
//!
//! The *core* of a cluster ([`healing`](super::healing)) is every instance that is not lost for good, or those
//! that alone heal. Once they are healed all of it has to run, be healthy and vote ([`Recovery`]); a
//! client on each of its instances writes a row and reads it back; and at the end of the rest all members
//! of a group are at one index.

use std::collections::BTreeMap;

use basalt_core::base::GroupId;
use basalt_core::group::GroupTimes;

use super::host::Host;
use super::{Happening, SAMPLE_NS, World};
use crate::check::Check;
use crate::faults::Kind;
use crate::node::{FILES, GroupView, Node, SNAPSHOTS_READ};
use crate::plan::{Fault, Plan};
use crate::workload::{Client, Op, REGISTERS, Request, Role, Wire};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Setup,
    Chaos,
    Heal,
    Audit,
    Rest { since_ns: u64 },
    Over,
}

/// How the cluster comes back once everything is healed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Recovery {
    healed_ns: u64,
    /// When the core was first seen whole.
    whole_ns: Option<u64>,
}

impl Phase {
    pub(super) fn is_over_with_faults(self) -> bool {
        matches!(self, Phase::Heal | Phase::Audit | Phase::Rest { .. } | Phase::Over)
    }
}

const SETUP_NS: u64 = 60_000_000_000;
const RECOVERY_MS: u64 = 12_000;
const RECOVERY_ELECTIONS: u64 = 20;
/// An instance may stop so long after everything healed because of what went wrong before.
const LAST_STOP_NS: u64 = 2_000_000_000;
/// Each client asks a core that heals alone so often, and so often at the end: every answer may take some
/// timeouts where what an outsider that leads sends is mostly lost.
const REQUESTS_TO_CORE: usize = 6;
const READS_OF_CORE: usize = 3;
const CORE_AUDIT_NS: u64 = 600_000_000_000;
const AUDIT_NS: u64 = 30_000_000_000;
/// At least so long, and until what was kept for the clients is let go.
const REST_NS: u64 = 1_000_000_000;
/// Longer than anything may wait for an instance that does not answer.
const REST_MAX_NS: u64 = 20_000_000_000;
/// Two instances share the ring and a replica set, at most.
const GROUPS_SHARED: u64 = 2;

/// How long the core may take to be whole again once everything is healed: some elections and what
/// elections do not measure. A connection is known to be dead after [`network::CUT_TIMEOUT_NS`], the
/// governor begins a step that was lost again after five seconds, and one that lost its disk needs two.
///
/// [`network::CUT_TIMEOUT_NS`]: crate::network::CUT_TIMEOUT_NS
fn recovery_ns(plan: &Plan) -> u64 {
    let usual = GroupTimes::default();
    let limit = |name: &str, usual: u64| plan.limits.get(name).copied().unwrap_or(usual);
    let tick_ms = limit("tick_ms", usual.tick.as_millis() as u64);
    let election_ms = tick_ms * limit("election_ticks", usual.election_ticks as u64);
    (RECOVERY_MS + RECOVERY_ELECTIONS * election_ms) * 1_000_000
}

impl<N: Node> World<'_, N> {
    /// An instance of the core that ends itself long after everything healed will do so again.
    pub(super) fn stopped_after_healing(&mut self, host: u16, why: &str) {
        let healed = self.phase.is_over_with_faults();
        let late = self.now_ns > self.recovery.healed_ns + LAST_STOP_NS;
        let is_core = !self.lost().contains(&host);
        if healed && late && is_core && !self.plan.beyond_budget {
            let name = &self.hosts[usize::from(host)].identity.name;
            self.not_live(&format!("{name} stops though everything is healed: {why}"));
        }
    }

    pub(super) fn begin(&mut self) {
        for host in 0..self.hosts.len() as u16 {
            // The founder first, the others a little later, as an operator's script would.
            let at_ns = u64::from(host) * 20_000_000;
            self.queue.push(at_ns, Happening::Restart { host, incarnation: 0 });
        }
        self.queue.push(SAMPLE_NS, Happening::Sample);
        self.queue.push(SETUP_NS, Happening::PhaseCheck);
        let steps = (0..N::Wire::setup_steps()).map(Request::Setup).collect();
        self.add_client(0, Role::Setup, steps, 0);
    }

    /// Moves on when the present phase is done; fails when it took too long.
    pub(super) fn check_phase(&mut self) {
        let all_done = self.clients.iter().all(Client::is_done);
        let chaos_ns = self.plan.chaos_ms * 1_000_000;
        let heal_ns = chaos_ns + self.plan.heal_ms * 1_000_000;
        let chaos_for_ns = self.now_ns.saturating_sub(self.chaos_begins_ns);
        self.watch_recovery();
        match self.phase {
            Phase::Setup if all_done && self.is_formed() => self.begin_chaos(),
            Phase::Setup if self.now_ns >= SETUP_NS => self.not_live("the cluster did not form"),
            Phase::Chaos if chaos_for_ns >= chaos_ns => self.begin_heal(),
            Phase::Heal if all_done && self.is_recovered() => self.begin_audit(),
            Phase::Heal if chaos_for_ns >= heal_ns => {
                self.not_live("not every client and instance finished after everything healed");
            }
            Phase::Audit if all_done => self.begin_rest(),
            Phase::Audit if chaos_for_ns >= heal_ns + self.audit_ns() => {
                self.not_live("the last reads did not finish");
            }
            Phase::Rest { since_ns } if self.now_ns >= since_ns + REST_NS => self.rest(since_ns),
            _ => {}
        }
    }

    /// Whether every instance is a full member: only then a plan's faults are what they seem.
    fn is_formed(&self) -> bool {
        let there = || self.hosts.iter().filter(|host| !self.plan.joins_late(host.identity.node));
        let size = there().count();
        let formed = |host: &Host<N>| {
            host.process.as_ref().is_some_and(|process| process.node.is_formed(size))
        };
        there().all(formed)
            && are_sets(there().flat_map(|host| &host.views), self.copies(size), size)
    }

    /// Members of a full replica set of so many instances.
    fn copies(&self, size: usize) -> usize {
        self.plan.topology.copies().min(size)
    }

    /// Instances that are counted on.
    pub(super) fn core(&self) -> impl Iterator<Item = &Host<N>> {
        let lost = self.lost();
        self.hosts.iter().filter(move |host| !lost.contains(&host.identity.node))
    }

    /// Whether every group has a leader and every instance of the core is back: it runs, is healthy
    /// and, where nobody is lost for good, sees every group complete. A cluster that lost more than it
    /// survives is only asked what it can give: that whoever runs is through with its recovery.
    fn is_recovered(&self) -> bool {
        let size = self.hosts.len();
        let is_led = |view: &GroupView| {
            let at_work = self.hosts.iter().filter(|host| host.is_running() && host.paused == 0);
            let mut leaders = at_work.flat_map(|host| &host.views).filter(|other| other.is_leader);
            leaders.any(|leader| leader.group == view.group && leader.term >= view.term)
        };
        let anyone_lost = !self.lost().is_empty();
        let is_back = |host: &Host<N>| match &host.process {
            None => self.plan.beyond_budget,
            Some(process) if self.plan.beyond_budget => process.node.is_ready(),
            Some(process) => {
                process.node.is_healthy() && (anyone_lost || process.node.is_formed(size))
            }
        };
        let expels = || self.plan.faults.iter().any(|fault| fault.kind == Kind::Expel);
        let are_whole = || {
            let views = self.core().flat_map(|host| &host.views);
            are_sets(views, self.copies(size), size)
        };
        self.everyone_expelled_is_gone()
            && self.core().all(is_back)
            && (anyone_lost || self.plan.beyond_budget || expels() || are_whole())
            && self.core().flat_map(|host| &host.views).all(is_led)
    }

    fn everyone_expelled_is_gone(&self) -> bool {
        let expelled = self.plan.faults.iter().filter(|fault| fault.kind == Kind::Expel);
        expelled.flat_map(|fault| &fault.nodes).all(|node| self.is_expelled(*node))
    }

    /// Looks whether the core is whole, which it has to be in time, whatever the clients still do.
    fn watch_recovery(&mut self) {
        if self.recovery.whole_ns.is_some() || self.phase != Phase::Heal {
            return;
        }
        let after_ns = self.now_ns - self.recovery.healed_ns;
        if self.is_recovered() {
            self.recovery.whole_ns = Some(self.now_ns);
            self.tell(format!(
                "the core is whole {} ms after everything healed",
                after_ns / 1_000_000
            ));
        } else if after_ns >= recovery_ns(self.plan) {
            self.not_live("not every instance came back after everything healed");
        }
    }

    /// Two members of a group on the core that are not at one index, or what one has not applied.
    fn straggler(&self) -> Option<String> {
        if self.plan.beyond_budget {
            return None;
        }
        let views = || self.core().flat_map(|host| host.views.iter().map(move |view| (host, view)));
        let first = |group: GroupId| views().map(|(_, view)| view).find(|view| view.group == group);
        let (host, view) = views().find(|(_, view)| {
            let commit = first(view.group).map(|view| view.commit);
            Some(view.commit) != commit || Some(view.applied) != commit
        })?;
        let other = first(view.group)?;
        Some(format!("{}: {view}; another member: {other}", host.identity.name))
    }

    fn begin_chaos(&mut self) {
        self.phase = Phase::Chaos;
        self.chaos_begins_ns = self.now_ns;
        self.tell("the cluster is set up".to_owned());
        if !self.plan.founder_is_told_of_nobody {
            // From now on the founder, too, is started with its peers.
            for host in &mut self.hosts {
                host.identity.may_bootstrap = host.identity.peers.len() == 1;
            }
        }
        for (k, fault) in self.plan.faults.iter().enumerate() {
            let at_ns = self.now_ns + fault.at_ms * 1_000_000;
            self.queue.push(at_ns, Happening::FaultBegins { fault: k as u32 });
        }
        let first = self.clients.len() as u16;
        for client in &self.plan.clients {
            let requests = client.ops.iter().copied().map(Request::Op).collect();
            self.add_client(client.dc, Role::Worker, requests, client.think_us);
        }
        for (of, client) in (first..).zip(&self.plan.clients) {
            for _ in 0..client.followers {
                self.add_client(client.dc, Role::Follower { of }, Vec::new(), 0);
            }
        }
        let ends_ns = self.now_ns + self.plan.chaos_ms * 1_000_000;
        let healed_ns = ends_ns + self.plan.heal_ms * 1_000_000;
        for at_ns in [ends_ns, healed_ns, healed_ns + AUDIT_NS, healed_ns + CORE_AUDIT_NS] {
            self.queue.push(at_ns, Happening::PhaseCheck);
        }
    }

    fn begin_heal(&mut self) {
        self.phase = Phase::Heal;
        self.recovery.healed_ns = self.now_ns;
        self.chosen_core = self.choose_core();
        self.tell(match &self.chosen_core {
            None => "everything heals".to_owned(),
            Some(core) => {
                let names: Vec<String> = core.iter().map(|node| format!("n{}", node + 1)).collect();
                format!("only a core heals: {}", names.join(","))
            }
        });
        self.heal_all();
        if self.chosen_core.is_some() {
            self.leave_to_the_core();
        }
        for client in 0..self.clients.len() as u16 {
            let mut moves = Vec::new();
            self.clients[usize::from(client)].start(self.now_ns, &mut moves);
            for what in moves {
                self.do_move(client, what);
            }
        }
        self.check_phase();
    }

    /// Clients leave the instances that did not heal, and have less to do: an outsider may lead for good,
    /// from behind links that are slow and lose messages, and then everything takes its time.
    fn leave_to_the_core(&mut self) {
        self.clients.iter_mut().for_each(|client| client.shorten(REQUESTS_TO_CORE));
        for node in self.lost() {
            self.break_connections(node);
        }
    }

    /// Everything is read twice, by whoever where it likes; and on every instance of the core one writes
    /// a register and reads it. All of it must succeed.
    fn begin_audit(&mut self) {
        self.phase = Phase::Audit;
        self.tell("clients are done; the last reads begin".to_owned());
        let reads: Vec<Request> = N::Wire::audit().into_iter().map(Request::Op).collect();
        let each = if self.chosen_core.is_some() { READS_OF_CORE } else { reads.len().max(1) };
        for dc in 0..2 {
            let dc = dc % self.plan.topology.dcs().max(1);
            for reads in reads.chunks(each) {
                self.add_client(dc, Role::Auditor, reads.to_vec(), 0);
            }
        }
        if !reads.is_empty() && !self.plan.beyond_budget {
            let core: Vec<u16> = self.core().map(|host| host.identity.node).collect();
            core.into_iter().for_each(|node| self.probe(node));
        }
    }

    fn audit_ns(&self) -> u64 {
        if self.chosen_core.is_some() { CORE_AUDIT_NS } else { AUDIT_NS }
    }

    /// A client that stays with one instance.
    fn probe(&mut self, node: u16) {
        let key = u64::from(node) % REGISTERS;
        // No client of the plan has that many operations.
        let value = (self.clients.len() as i64 + 1) * 1_000_000 + 900_000;
        let requests = [Op::Write { key, value }, Op::Read { key }].map(Request::Op).to_vec();
        self.stays_with.insert(self.clients.len() as u16, node);
        let dc = self.hosts[usize::from(node)].identity.dc;
        self.add_client(dc, Role::Auditor, requests, 0);
    }

    fn begin_rest(&mut self) {
        self.phase = Phase::Rest { since_ns: self.now_ns };
        self.queue.push(self.now_ns + REST_NS, Happening::PhaseCheck);
    }

    /// Ends the run once every instance has let go of what it kept, or had time enough.
    fn rest(&mut self, since_ns: u64) {
        let mut resources = Vec::new();
        let mut too_much = None;
        // Who is lost for good, or did not heal with the core, may ask it for ever.
        let lost = self.lost();
        let asking = self.hosts.iter().filter(|host| lost.contains(&host.identity.node));
        let asking = asking.filter(|host| host.is_running()).count() as u64;
        // Who did not heal may wait for ever for the others.
        for host in self.hosts.iter().filter(|host| self.heals(host.identity.node)) {
            let Some(process) = &host.process else { continue };
            resources.clear();
            process.node.resources(&mut resources);
            let by_others = |name: &str| {
                let by = if N::USED_BY_OTHERS.contains(&name) { asking } else { 0 };
                by * GROUPS_SHARED
            };
            resources.iter_mut().for_each(|(name, _, bound)| *bound += by_others(name));
            let read = resources.iter().find(|(name, ..)| *name == SNAPSHOTS_READ);
            let files = N::OPEN_FILES + read.map_or(0, |(_, snapshots, _)| *snapshots);
            resources.push((FILES, host.disk.open_files() as u64, files));
            let found = resources.iter().find(|(_, value, bound)| value > bound);
            too_much = too_much.or(found.map(|found| (host.identity.node, *found)));
        }
        let is_late = self.now_ns >= since_ns + REST_MAX_NS;
        match (too_much, self.straggler()) {
            (Some((node, (name, value, bound))), _) if is_late => {
                let node = node + 1;
                let message = format!("n{node}: {name}: {value} after a rest, bound {bound}");
                self.fail(Check::Resources, message);
            }
            (None, Some(straggler)) if is_late => {
                self.not_live(&format!("after a rest members are apart: {straggler}"));
            }
            (None, None) => {
                self.phase = Phase::Over;
                (0..self.hosts.len() as u16).for_each(|host| self.look_inside(host));
            }
            _ => self.queue.push(self.now_ns + SAMPLE_NS, Happening::PhaseCheck),
        }
    }

    fn not_live(&mut self, what: &str) {
        if self.plan.beyond_budget {
            self.tell(format!("beyond budget, so it may stop: {what}"));
            self.phase = Phase::Over;
            return;
        }
        let mut lines = vec![what.to_owned()];
        let missing = self.missing_precondition();
        lines.push(format!("missing: {}", missing.as_deref().unwrap_or("no precondition")));
        lines.extend(self.clients.iter().filter(|c| !c.is_done()).map(Client::describe).take(4));
        for host in &self.hosts {
            let name = &host.identity.name;
            let state = match (&host.process, &host.stopped) {
                (Some(process), _) if process.node.is_healthy() => "healthy".to_owned(),
                (Some(process), _) if process.node.is_ready() => "running, not healthy".to_owned(),
                (Some(_), _) => "recovering".to_owned(),
                (None, Some(reason)) => format!("stopped: {reason:?}"),
                (None, None) => "off".to_owned(),
            };
            lines.push(format!("{name} is {state}"));
            lines.extend(host.views.iter().map(GroupView::to_string));
        }
        self.fail(Check::Liveness, lines.join("; "));
    }

    /// Instances a client may try: all of them while faults rage, then only those that came back.
    pub(super) fn reachable(&self) -> Vec<u16> {
        let gone = |node: u16| {
            let for_good =
                |fault: &Fault| fault.for_ms.is_none() && fault.outcasts().contains(&node);
            !self.heals(node) || self.active.iter().any(|(_, fault, _)| for_good(fault))
        };
        let over = self.phase.is_over_with_faults();
        (0..self.hosts.len() as u16)
            .filter(|node| !over || (!gone(*node) && self.hosts[usize::from(*node)].is_running()))
            .collect()
    }

    fn add_client(&mut self, dc: u8, role: Role, requests: Vec<Request>, think_us: u64) {
        let id = self.clients.len() as u16;
        let rng = self.root.fork(&format!("client/c{id}"));
        let manner = (think_us, self.plan.manner());
        let mut client = Client::new(id, dc, role, requests, manner, rng);
        let mut moves = Vec::new();
        client.start(self.now_ns, &mut moves);
        self.clients.push(client);
        self.client_wake_ns.push(u64::MAX);
        self.client_connection.push(None);
        for what in moves {
            self.do_move(id, what);
        }
    }
}

/// Whether the members with these views are in as many replica sets as so many instances make, all of
/// them full but for one with the rest. The toys have no groups.
fn are_sets<'a>(
    views: impl Iterator<Item = &'a GroupView>,
    copies: usize,
    instances: usize,
) -> bool {
    let voting = views.filter(|view| view.group != GroupId::RING && view.votes.is_voter);
    let voters: BTreeMap<GroupId, usize> =
        voting.map(|view| (view.group, view.votes.voters)).collect();
    let smaller = voters.values().filter(|voters| **voters != copies).count();
    voters.is_empty() || (voters.len() == instances.div_ceil(copies) && smaller <= 1)
}

#[cfg(test)]
mod tests {
    use basalt_core::base::{InstanceId, LogIndex, Term};

    use super::*;
    use crate::node::Votes;

    #[test]
    fn only_one_replica_set_may_be_smaller() {
        let formed = |members: &[(u64, usize)], copies: usize| {
            let views: Vec<GroupView> = members
                .iter()
                .map(|(group, voters)| GroupView {
                    group: GroupId(*group),
                    member: InstanceId(1),
                    term: Term(1),
                    is_leader: false,
                    last: LogIndex(1),
                    commit: LogIndex(1),
                    applied: LogIndex(1),
                    lease_until: None,
                    votes: Votes { voters: *voters, is_voter: true, is_changing: false },
                })
                .collect();
            are_sets(views.iter(), copies, views.len())
        };
        assert!(formed(&[(1, 3), (1, 3), (1, 3), (2, 1)], 3));
        assert!(!formed(&[(1, 1), (2, 1), (3, 1), (4, 1)], 3), "each alone");
        assert!(!formed(&[(1, 2), (1, 2), (2, 2), (2, 2)], 3), "two by two");
        assert!(formed(&[(1, 2), (1, 2), (2, 1)], 2));
        assert!(formed(&[(1, 1), (2, 1)], 1));
    }
}
