//! The phases of a run: set up, rage, heal, look, rest.
//!
//! ```text
//!   Setup ──tables made──► Chaos ──time is up──► Heal ──clients done──► Audit ──read──► Rest ──► Over
//! ```
//! Each phase but `Chaos` has a deadline, and missing it is a failure of liveness. Beyond-budget runs
//! end quietly when they miss one.

use super::host::Host;
use super::{Happening, SAMPLE_NS, World};
use crate::check::Check;
use crate::node::{GroupView, Node};
use crate::plan::Fault;
use crate::workload::{Client, Request, Role, Wire};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Setup,
    Chaos,
    Heal,
    Audit,
    Rest { since_ns: u64 },
    Over,
}

impl Phase {
    pub(super) fn is_over_with_faults(self) -> bool {
        matches!(self, Phase::Heal | Phase::Audit | Phase::Rest { .. } | Phase::Over)
    }
}

const SETUP_NS: u64 = 60_000_000_000;
const AUDIT_NS: u64 = 30_000_000_000;
/// At least so long, and until what was kept for the clients is let go.
const REST_NS: u64 = 1_000_000_000;
/// Longer than anything may wait for an instance that does not answer.
const REST_MAX_NS: u64 = 20_000_000_000;

impl<N: Node> World<'_, N> {
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
        match self.phase {
            Phase::Setup if all_done && self.is_formed() => self.begin_chaos(),
            Phase::Setup if self.now_ns >= SETUP_NS => self.not_live("the cluster did not form"),
            Phase::Chaos if chaos_for_ns >= chaos_ns => self.begin_heal(),
            Phase::Heal if all_done && self.is_recovered() => self.begin_audit(),
            Phase::Heal if chaos_for_ns >= heal_ns => {
                self.not_live("not every client and instance finished after everything healed");
            }
            Phase::Audit if all_done => self.begin_rest(),
            Phase::Audit if chaos_for_ns >= heal_ns + AUDIT_NS => {
                self.not_live("the last reads did not finish");
            }
            Phase::Rest { since_ns } if self.now_ns >= since_ns + REST_NS => self.rest(since_ns),
            _ => {}
        }
    }

    /// Whether every instance is a full member: only then a plan's faults are what they seem.
    fn is_formed(&self) -> bool {
        let size = self.hosts.len();
        let formed = |host: &Host<N>| {
            host.process.as_ref().is_some_and(|process| process.node.is_formed(size))
        };
        self.hosts.iter().all(formed)
    }

    /// Whether every instance that runs is ready, and every group has a leader; those that are lost
    /// for good aside.
    fn is_recovered(&self) -> bool {
        let lost = self.plan.lost_for_good();
        let core = || self.hosts.iter().filter(|host| !lost.contains(&host.identity.node));
        let is_led = |view: &GroupView| {
            let mut all = self.hosts.iter().flat_map(|host| &host.views);
            all.any(|other| other.group == view.group && other.is_leader)
        };
        let is_ready = |host: &Host<N>| host.process.as_ref().is_none_or(|p| p.node.is_ready());
        core().all(is_ready) && core().flat_map(|host| &host.views).all(is_led)
    }

    fn begin_chaos(&mut self) {
        self.phase = Phase::Chaos;
        self.chaos_begins_ns = self.now_ns;
        self.tell("the cluster is set up".to_owned());
        // From now on the founder, too, is started with its peers.
        for host in &mut self.hosts {
            host.identity.may_bootstrap = host.identity.peers.len() == 1;
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
        for at_ns in [ends_ns, healed_ns, healed_ns + AUDIT_NS] {
            self.queue.push(at_ns, Happening::PhaseCheck);
        }
    }

    fn begin_heal(&mut self) {
        self.phase = Phase::Heal;
        self.tell("everything heals".to_owned());
        self.heal_all();
        for client in 0..self.clients.len() as u16 {
            let mut moves = Vec::new();
            self.clients[usize::from(client)].start(self.now_ns, &mut moves);
            for what in moves {
                self.do_move(client, what);
            }
        }
        self.check_phase();
    }

    /// Two clients read everything, each where it likes; they must see the same.
    fn begin_audit(&mut self) {
        self.phase = Phase::Audit;
        self.tell("clients are done; the last reads begin".to_owned());
        let reads: Vec<Request> = N::Wire::audit().into_iter().map(Request::Op).collect();
        for dc in 0..2 {
            let dc = dc % self.plan.topology.dcs().max(1);
            self.add_client(dc, Role::Auditor, reads.clone(), 0);
        }
    }

    fn begin_rest(&mut self) {
        self.phase = Phase::Rest { since_ns: self.now_ns };
        self.queue.push(self.now_ns + REST_NS, Happening::PhaseCheck);
    }

    /// Ends the run once every instance has let go of what it kept, or had time enough.
    fn rest(&mut self, since_ns: u64) {
        let mut resources = Vec::new();
        let mut too_much = None;
        for host in &self.hosts {
            let Some(process) = &host.process else { continue };
            resources.clear();
            process.node.resources(&mut resources);
            resources.push(("open files", host.disk.open_files() as u64, N::OPEN_FILES));
            let found = resources.iter().find(|(_, value, bound)| value > bound);
            too_much = too_much.or(found.map(|found| (host.identity.node, *found)));
        }
        match too_much {
            Some((node, (name, value, bound))) if self.now_ns >= since_ns + REST_MAX_NS => {
                let node = node + 1;
                let message = format!("n{node}: {name}: {value} after a rest, bound {bound}");
                self.fail(Check::Resources, message);
            }
            Some(_) => self.queue.push(self.now_ns + SAMPLE_NS, Happening::PhaseCheck),
            None => self.phase = Phase::Over,
        }
    }

    fn not_live(&mut self, what: &str) {
        if self.plan.beyond_budget {
            self.tell(format!("beyond budget, so it may stop: {what}"));
            self.phase = Phase::Over;
            return;
        }
        let mut lines = vec![what.to_owned()];
        lines.extend(self.clients.iter().filter(|c| !c.is_done()).map(Client::describe).take(4));
        for host in &self.hosts {
            let name = &host.identity.name;
            let state = match (&host.process, &host.stopped) {
                (Some(process), _) if process.node.is_ready() => "ready".to_owned(),
                (Some(_), _) => "running, not ready".to_owned(),
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
            let for_good = |fault: &Fault| fault.for_ms.is_none() && fault.nodes.contains(&node);
            self.active.iter().any(|(_, fault, _)| for_good(fault))
        };
        let over = self.phase.is_over_with_faults();
        (0..self.hosts.len() as u16)
            .filter(|node| !over || (!gone(*node) && self.hosts[usize::from(*node)].is_running()))
            .collect()
    }

    fn add_client(&mut self, dc: u8, role: Role, requests: Vec<Request>, think_us: u64) {
        let id = self.clients.len() as u16;
        let rng = self.root.fork(&format!("client/c{id}"));
        let manner = (think_us, self.plan.passwords);
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
