//! Power failures: when they strike, and what they take.
//!
//! Most of the time nothing is unsynced, so a power failure at any old moment takes nothing. Three of
//! four lie in wait:
//!
//! ```text
//!   fault begins ──────────────► a write is asked for ──► or about to be durable ──► power fails
//!        │    first: what the kind needs (two pages to tear, a file that has grown)        │
//!        │    then: anything unsynced                                                      ▼
//!        └─── patience is over: it fails whatever there is                off for the fault's length
//! ```
//! The fourth strikes when it begins. Each is noted as having done something only where there was what
//! its kind needs.

use basalt_core::seam::{DiskOp, Effect, OpenMode};

use super::{Happening, World};
use crate::disk::{Loss, Names, Order, Tail, Tear, Unsynced};
use crate::faults::{Area, Kind};
use crate::node::Node;
use crate::plan::Fault;

/// Takes the machine's power before a chosen effect on its disk, or while something is unsynced.
#[derive(Clone, Copy, Debug)]
pub struct KillSwitch {
    /// The fault that set it, and its kind.
    fault: u32,
    kind: Kind,
    at: Aim,
    /// Such effects still to be carried out.
    effects_left: u64,
}

/// When a kill switch strikes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    /// Before any effect.
    Any,
    /// Before what makes or moves files or is about to make their names durable: rare, and soon over.
    Names,
    /// At this moment, with as much unsynced as the kind needs; from then on, with anything unsynced.
    Unsynced { when: Moment, anything_from_ns: u64 },
}

/// A moment at which something is unsynced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// An operation was just asked for.
    Asked,
    /// An operation is about to complete and to make something durable.
    Durable,
}

impl Aim {
    /// Whether it strikes before an effect like this.
    fn takes(self, what: &DiskOp) -> bool {
        match (self, what) {
            (Aim::Any, _) | (Aim::Names, DiskOp::SyncDir { .. }) => true,
            (Aim::Names, DiskOp::Rename { .. } | DiskOp::Allocate { .. }) => true,
            (Aim::Names, DiskOp::Open { mode, .. }) => *mode == OpenMode::Create,
            _ => false,
        }
    }
}

/// One power failure in so many strikes when its fault begins.
const AT_ONCE: u64 = 4;
/// How long the disk of a machine holds everything up, so that the next write is a wide one.
const GATHERING_MS: u64 = 500;

/// How long a power failure waits for something unsynced. Data centres go down when the plan says so,
/// or soon after.
fn patience_ms(kind: Kind) -> u64 {
    if kind.area() == Area::Topology { 300 } else { 3_000 }
}

/// Whether it takes the power of its machines when it finds something unsynced.
pub(super) fn lies_in_wait(kind: Kind) -> bool {
    kind.is_power_failure() && !matches!(kind, Kind::DiskLyingSync | Kind::ProcessKillIo)
}

impl<N: Node> World<'_, N> {
    pub(super) fn set_kill_switch(&mut self, node: u16, index: u32, fault: &Fault) {
        // Names change a hundred times less often than logs grow.
        let (at, effects_left) = if fault.amount.is_multiple_of(3) {
            (Aim::Names, fault.amount / 12)
        } else {
            (Aim::Any, fault.amount)
        };
        let switch = KillSwitch { fault: index, kind: fault.kind, at, effects_left };
        self.hosts[usize::from(node)].kill_switch = Some(switch);
    }

    /// Whether the process dies instead of carrying out this effect.
    pub(super) fn kill_switch_strikes(&mut self, host: u16, effect: &Effect<N::Msg>) -> bool {
        let Effect::Disk { what, .. } = effect else { return false };
        let machine = &mut self.hosts[usize::from(host)];
        let Some(switch) = &mut machine.kill_switch else { return false };
        if !switch.at.takes(what) {
            return false;
        }
        if switch.effects_left > 0 {
            switch.effects_left -= 1;
            return false;
        }
        self.struck.note(switch.kind);
        let name = machine.identity.name.clone();
        self.tell(format!("{name} loses power before {effect:?}").chars().take(160).collect());
        let loss = Loss::draw(&mut self.root.fork(&format!("loss/{host}/{}", self.now_ns)));
        self.kill(host, Some(loss));
        true
    }

    /// Dooms a machine: its power fails now or lies in wait, and is back when the fault ends.
    pub(super) fn power_will_fail(&mut self, node: u16, index: u32, fault: &Fault) {
        self.hosts[usize::from(node)].doomed.push(index);
        if fault.amount.is_multiple_of(AT_ONCE) {
            self.take_power(node, index);
            return;
        }
        let patience_ns = patience_ms(fault.kind) * 1_000_000;
        let draw = fault.amount / AT_ONCE;
        let when = if draw.is_multiple_of(2) { Moment::Asked } else { Moment::Durable };
        let switch = KillSwitch {
            fault: index,
            kind: fault.kind,
            at: Aim::Unsynced { when, anything_from_ns: self.now_ns + patience_ns / 3 * 2 },
            effects_left: draw / 2 % 2,
        };
        self.hosts[usize::from(node)].kill_switch = Some(switch);
        let at_ns = self.now_ns + patience_ns;
        self.queue.push(at_ns, Happening::PowerFails { host: node, fault: index });
    }

    /// Until when the disk of a machine that is doomed to tear a write completes nothing.
    pub(super) fn gathers_until_ns(&self, host: u16, index: u32) -> u64 {
        let fault = &self.plan.faults[index as usize];
        let waits = self.hosts[usize::from(host)].doomed.contains(&index);
        let begun_ns = self.chaos_begins_ns + fault.at_ms * 1_000_000;
        if waits { begun_ns + GATHERING_MS * 1_000_000 } else { 0 }
    }

    /// Whether the machine, at a moment with something unsynced, loses its power.
    pub(super) fn power_fails(&mut self, host: u16, moment: Moment) -> bool {
        let machine = &mut self.hosts[usize::from(host)];
        let Some(switch) = &mut machine.kill_switch else { return false };
        let Aim::Unsynced { when, anything_from_ns } = switch.at else { return false };
        if when != moment {
            return false;
        }
        let unsynced = machine.disk.unsynced();
        let anything = self.now_ns >= anything_from_ns && unsynced.is_something();
        if !anything && !shows(switch.kind, unsynced) {
            return false;
        }
        if switch.effects_left > 0 {
            switch.effects_left -= 1;
            return false;
        }
        let fault = switch.fault;
        self.take_power(host, fault);
        true
    }

    /// A power failure has waited long enough.
    pub(super) fn power_fails_at_last(&mut self, host: u16, fault: u32) {
        if self.hosts[usize::from(host)].doomed.contains(&fault) {
            self.take_power(host, fault);
        }
    }

    /// Power failures that never heal wait no longer.
    pub(super) fn fail_power_overdue(&mut self) {
        for host in 0..self.hosts.len() as u16 {
            for fault in self.hosts[usize::from(host)].doomed.clone() {
                self.take_power(host, fault);
            }
        }
    }

    /// The power fails, in a data centre that goes dark at once on every machine that is doomed.
    fn take_power(&mut self, node: u16, index: u32) {
        let fault = self.plan.faults[index as usize].clone();
        let together = fault.kind == Kind::DcPowerLoss;
        let nodes = if together { fault.nodes.clone() } else { vec![node] };
        for node in nodes {
            if !self.take_doom(node, index) {
                continue;
            }
            let machine = &mut self.hosts[usize::from(node)];
            machine.held_down += 1;
            let unsynced = machine.disk.unsynced();
            let goes_dark = fault.kind.area() == Area::Topology && machine.is_running();
            self.struck.note_if(goes_dark || shows(fault.kind, unsynced), fault.kind);
            self.tell(format!("n{} loses power with {unsynced:?}", node + 1));
            self.kill(node, Some(loss_of(&fault)));
        }
        if self.hosts.iter().all(|host| !host.doomed.contains(&index)) {
            self.fault_lasts(index, &fault);
        }
    }

    /// Takes a doom off a machine; `false` where its power failed already.
    pub(super) fn take_doom(&mut self, node: u16, index: u32) -> bool {
        let machine = &mut self.hosts[usize::from(node)];
        let at = machine.doomed.iter().position(|fault| *fault == index);
        machine.doomed.retain(|fault| *fault != index);
        machine.kill_switch.take_if(|switch| switch.fault == index);
        at.is_some()
    }
}

/// Whether a power failure of this kind takes what its name says from what is unsynced.
fn shows(kind: Kind, unsynced: Unsynced) -> bool {
    match kind {
        Kind::DiskTornSector => unsynced.sectors > 1,
        Kind::DiskTornPages => unsynced.pages > 1,
        Kind::DiskReorder => unsynced.changes > 1,
        Kind::FileLostRename => unsynced.renames > 0,
        Kind::FileLostEntry => unsynced.names > 0,
        Kind::FileTruncatedTail | Kind::FileZeroTail => unsynced.has_grown,
        _ => unsynced.is_something(),
    }
}

/// What a power failure of this kind does to unsynced bytes and names.
pub(super) fn loss_of(fault: &Fault) -> Loss {
    let prefix = Loss {
        order: Order::Prefix,
        tear: Tear::Whole,
        tail: Tail::AsWritten,
        names: Names::Prefix,
    };
    match fault.kind {
        Kind::DiskTornSector => Loss { tear: Tear::Sectors, ..prefix },
        Kind::DiskTornPages => Loss { tear: Tear::Pages, ..prefix },
        Kind::DiskReorder => Loss { order: Order::Any, tear: Tear::Pages, ..prefix },
        Kind::FileLostRename => Loss { names: Names::LoseRenames, ..prefix },
        Kind::FileLostEntry => Loss { names: Names::LoseEntries, ..prefix },
        Kind::FileTruncatedTail => Loss { tail: Tail::Truncated, ..prefix },
        Kind::FileZeroTail => Loss { tail: Tail::Zeroed, ..prefix },
        Kind::DiskLoseUnsynced => prefix,
        // The rest take what they get: it varies with the amount.
        _ => {
            let orders = [Order::KeepAll, Order::Prefix, Order::Any];
            let tears = [Tear::Whole, Tear::Sectors, Tear::Pages];
            let k = fault.amount as usize;
            Loss { order: orders[k % 3], tear: tears[k / 3 % 3], ..prefix }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::run::{Verdict, run, subject};
    use crate::scenario::{Scenario, plan};

    #[test]
    fn a_kill_switch_for_names_waits_for_what_moves_them() {
        let rename = DiskOp::Rename { from: "a".into(), to: "b".into() };
        let sync_dir = DiskOp::SyncDir { dir: "".into() };
        let list = DiskOp::List { dir: "".into() };
        let taken = |at: Aim| [&rename, &sync_dir, &list].map(|what| at.takes(what));
        assert_eq!(taken(Aim::Any), [true, true, true]);
        assert_eq!(taken(Aim::Names), [true, true, false]);
        let unsynced = Aim::Unsynced { when: Moment::Asked, anything_from_ns: 0 };
        assert_eq!(taken(unsynced), [false, false, false]);
    }

    #[test]
    fn a_kind_shows_only_with_what_its_name_says() {
        let small = Unsynced { changes: 1, sectors: 1, pages: 1, ..Unsynced::default() };
        let wide = Unsynced { sectors: 9, pages: 2, ..small };
        let two = Unsynced { changes: 2, ..small };
        let grown = Unsynced { has_grown: true, ..small };
        let shown = |kind| [small, wide, two, grown].map(|unsynced| shows(kind, unsynced));
        assert_eq!(shown(Kind::DiskLoseUnsynced), [true, true, true, true]);
        assert_eq!(shown(Kind::DiskTornSector), [false, true, false, false]);
        assert_eq!(shown(Kind::DiskTornPages), [false, true, false, false]);
        assert_eq!(shown(Kind::DiskReorder), [false, false, true, false]);
        assert_eq!(shown(Kind::FileTruncatedTail), [false, false, false, true]);
        let made = Unsynced { names: 1, ..Unsynced::default() };
        let moved = Unsynced { renames: 1, ..made };
        assert_eq!([made, moved].map(|u| shows(Kind::FileLostRename, u)), [false, true]);
        assert!(shows(Kind::FileLostEntry, made) && !shows(Kind::FileLostEntry, small));
        assert!(!shows(Kind::DiskLoseUnsynced, Unsynced::default()));
    }

    /// Three toys, and this as the only fault, a second after the start.
    fn alone(kind: Kind, for_ms: Option<u64>, amount: u64) -> Plan {
        let disk = Scenario::by_name("disk").expect("a scenario");
        let mut plan = plan(disk, 2, subject("toy-quorum").expect("the toy"));
        plan.topology.nodes = vec![0; 3];
        plan.topology.latency_us = vec![vec![100]];
        plan.topology.replication_factor = 3;
        plan.clients.iter_mut().for_each(|client| client.dc = 0);
        plan.faults =
            vec![Fault { kind, at_ms: 1_000, for_ms, nodes: vec![1], peers: vec![], amount }];
        plan
    }

    fn outages(verdict: &Verdict) -> usize {
        verdict.story.iter().filter(|line| line.contains("n2 loses power")).count()
    }

    #[test]
    fn a_power_failure_in_wait_strikes_once_and_finds_something() {
        for amount in [1, 2, 3, 5, 6, 7] {
            let verdict = run(&alone(Kind::DiskLoseUnsynced, Some(1_500), amount));
            assert_eq!(verdict.failure, None, "amount {amount}");
            assert_eq!(outages(&verdict), 1, "amount {amount}: {:#?}", verdict.story);
            assert_eq!(verdict.struck.of(Kind::DiskLoseUnsynced), 1, "amount {amount}");
        }
    }

    #[test]
    fn a_power_failure_that_finds_nothing_strikes_when_its_patience_ends_and_lasts_as_planned() {
        let mut plan = alone(Kind::DiskLoseUnsynced, Some(700), 1);
        plan.clients.clear();
        plan.chaos_ms = 10_000;
        let verdict = run(&plan);
        assert_eq!((&verdict.failure, verdict.struck.of(Kind::DiskLoseUnsynced)), (&None, 0));
        let at_s = |what: &str| -> f64 {
            let line = verdict.story.iter().find(|line| line.contains(what)).expect(what);
            line.trim_start().split(' ').next().and_then(|s| s.parse().ok()).expect("a time")
        };
        let (begins, fails) = (at_s("fault 0 begins"), at_s("n2 loses power"));
        let ends = at_s("fault 0 ends");
        assert!((fails - begins - 3.0).abs() < 1e-3, "after {}", fails - begins);
        assert!((ends - fails - 0.7).abs() < 1e-3, "for {}", ends - fails);
    }

    #[test]
    fn a_power_failure_for_good_happens_even_right_before_everything_heals() {
        let mut plan = alone(Kind::DcPowerLoss, None, 1);
        plan.clients.clear();
        plan.faults[0].at_ms = plan.chaos_ms - 1;
        let verdict = run(&plan);
        assert_eq!(verdict.failure, None);
        assert_eq!(outages(&verdict), 1, "{:#?}", verdict.story);
    }
}
