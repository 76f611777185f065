//! Faults at work: what each kind does when it begins and when it ends.

use std::cmp::Reverse;

use basalt_core::base::GroupId;
use basalt_core::seam::{Event, PeerAddr, StopReason};

use super::blackout::{lies_in_wait, loss_of};
use super::{Happening, World};
use crate::disk::DiskFaults;
use crate::faults::{Area, Damage, Kind};
use crate::node::Node;
use crate::plan::Fault;

/// The address an operator's command comes from.
const OPERATOR: &str = "operator:3301";

impl<N: Node> World<'_, N> {
    pub(super) fn fault_begins(&mut self, index: u32) {
        if self.phase.is_over_with_faults() {
            return;
        }
        let fault = self.plan.faults[index as usize].clone();
        self.tell(format!("fault {index} begins: {}", fault.describe()));
        let leader = self.leader_meant(&fault);
        self.active.push((index, fault.clone(), leader));
        match fault.kind.area() {
            Area::Network | Area::Topology | Area::Client => {}
            _ => self.active_changed(),
        }
        for node in fault.nodes.clone() {
            self.begin_on(node, index, &fault);
        }
        self.active_changed();
        // A power failure that lies in wait lasts from when it strikes.
        if !lies_in_wait(fault.kind) {
            self.fault_lasts(index, &fault);
        }
    }

    pub(super) fn fault_lasts(&mut self, index: u32, fault: &Fault) {
        if let Some(for_ms) = fault.for_ms {
            let at_ns = self.now_ns + for_ms * 1_000_000;
            self.queue.push(at_ns, Happening::FaultEnds { fault: index });
        }
    }

    pub(super) fn fault_ends(&mut self, index: u32) {
        // What did not heal with the core stays as it is.
        if self.chosen_core.is_none() {
            self.heal(index);
        }
    }

    /// Ends a fault on all instances that heal.
    fn heal(&mut self, index: u32) {
        let Some(at) = self.active.iter().position(|(active, _, _)| *active == index) else {
            return;
        };
        let fault = self.active[at].1.clone();
        let stays = if self.chosen_core.is_some() { self.what_stays(&fault) } else { None };
        match &stays {
            Some(stays) => {
                self.tell(format!("fault {index} stays for good: {}", stays.describe()));
                self.active[at].1 = stays.clone();
            }
            None => {
                self.tell(format!("fault {index} ends: {}", fault.kind.name()));
                self.active.remove(at);
            }
        }
        self.active_changed();
        let stay = stays.map_or(Vec::new(), |stays| stays.nodes);
        for node in fault.nodes.iter().copied().filter(|node| !stay.contains(node)) {
            self.end_on(node, index, &fault);
        }
    }

    /// Everything that can heal heals now, or only what the core needs.
    pub(super) fn heal_all(&mut self) {
        if let Some(core) = &self.chosen_core {
            self.network.heal_between(core);
        }
        let healing: Vec<u32> = self
            .active
            .iter()
            .filter(|(_, fault, _)| fault.for_ms.is_some())
            .map(|(index, _, _)| *index)
            .collect();
        for index in healing {
            self.heal(index);
        }
        self.fail_power_overdue();
        for host in
            (0..self.hosts.len() as u16).filter(|host| self.heals(*host)).collect::<Vec<_>>()
        {
            let machine = &mut self.hosts[usize::from(host)];
            machine.kill_switch = None;
            machine.clock.heal(self.now_ns);
            self.schedule_wake(host, self.now_ns);
            self.boot(host);
        }
    }

    /// The instance that led a group as of its last turn, by the highest term: a replica set, or, for
    /// every other fault, the ring.
    fn leader_meant(&self, fault: &Fault) -> Option<u16> {
        let leaders = self.hosts.iter().flat_map(|host| {
            let node = host.identity.node;
            host.views.iter().filter(|view| view.is_leader).map(move |view| (view, node))
        });
        let of_ring = fault.amount.is_multiple_of(2);
        let wanted = leaders.filter(|(view, _)| (view.group == GroupId::RING) == of_ring);
        // Of the replica sets it is the first that holds the rows.
        let chosen = wanted.max_by_key(|(view, node)| (Reverse(view.group), view.term, *node));
        chosen.map(|(_, node)| node)
    }

    /// Lasting conditions of network and disks follow from the list of active faults.
    fn active_changed(&mut self) {
        let active: Vec<(Fault, Option<u16>)> =
            self.active.iter().map(|(_, fault, leader)| (fault.clone(), *leader)).collect();
        self.network.apply(self.now_ns, &active, &mut self.queue);
        for host in 0..self.hosts.len() as u16 {
            let faults = self.disk_faults(host);
            self.hosts[usize::from(host)].disk.faults = faults;
        }
    }

    fn disk_faults(&self, host: u16) -> DiskFaults {
        let mut faults = DiskFaults::default();
        for (index, fault, _) in &self.active {
            if !fault.nodes.contains(&host) {
                continue;
            }
            let ppm = u32::try_from(fault.amount).unwrap_or(u32::MAX);
            match fault.kind {
                Kind::DiskSyncError => faults.fsync_error_ppm = ppm,
                Kind::DiskLyingSync => faults.fsync_lies = true,
                Kind::DiskReadError => faults.read_error_ppm = ppm,
                Kind::DiskWriteError => faults.write_error_ppm = ppm,
                Kind::DiskMisdirected => faults.misdirected_write_ppm = ppm,
                Kind::DiskStaleRead => faults.stale_read_ppm = ppm,
                Kind::DiskShortIo => faults.short_io = true,
                Kind::DiskSlow => faults.slow_factor = ppm,
                Kind::DiskStall => {
                    faults.stalled_until_ns = faults.stalled_until_ns.max(self.ends_at_ns(*index));
                }
                Kind::DiskFull => faults.full = true,
                // What waits for the disk is written at once, in one write that can be torn.
                Kind::DiskTornSector | Kind::DiskTornPages => {
                    let until_ns = self.gathers_until_ns(host, *index);
                    faults.stalled_until_ns = faults.stalled_until_ns.max(until_ns);
                }
                _ => {}
            }
        }
        faults
    }

    fn ends_at_ns(&self, index: u32) -> u64 {
        if self.chosen_core.is_some() {
            return u64::MAX;
        }
        let fault = &self.plan.faults[index as usize];
        let length_ms = fault.for_ms.unwrap_or(0);
        self.chaos_begins_ns + (fault.at_ms + length_ms) * 1_000_000
    }

    fn begin_on(&mut self, node: u16, index: u32, fault: &Fault) {
        let now_ns = self.now_ns;
        let machine = &mut self.hosts[usize::from(node)];
        if fault.kind.damage() != Damage::None {
            machine.is_damaged = true;
        }
        let ran = machine.is_running();
        if fault.kind.acts_at_once() {
            self.struck.note_if(ran, fault.kind);
        }
        let signed =
            |amount: u64| if amount.is_multiple_of(2) { amount as i64 } else { -(amount as i64) };
        match fault.kind {
            Kind::ClientReset => {
                self.reset_connections(node, u32::try_from(fault.amount).unwrap_or(u32::MAX));
            }
            Kind::DiskBitRot => self.rot(node, fault.amount),
            Kind::ClockDrift => machine.clock.set_rate(now_ns, fault.amount as i64 % 1_001 - 500),
            Kind::ClockStepForward => machine.clock.step_wall(now_ns, fault.amount as i64),
            Kind::ClockStepBack => machine.clock.step_wall(now_ns, -(fault.amount as i64)),
            Kind::ClockFreeze => machine.clock.freeze_wall(now_ns),
            Kind::ClockStrobe => machine.clock.set_strobe(fault.amount, 3_000_000),
            Kind::ClockSkew => machine.clock.step_wall(now_ns, signed(fault.amount)),
            Kind::ClockSmear => machine.clock.set_wall_rate(now_ns, signed(fault.amount) % 500),
            Kind::MonoJump => machine.clock.step_mono(now_ns, fault.amount),
            Kind::ProcessPause => machine.paused += 1,
            Kind::ProcessSlow => machine.cpu_factor = fault.amount,
            Kind::ProcessKillIo => self.set_kill_switch(node, index, fault),
            // What an instance reads, it reads when it starts.
            Kind::DiskStaleRead => self.start_again(node),
            Kind::DiskReadError if fault.amount.is_multiple_of(2) => self.start_again(node),
            Kind::ProcessStop => {
                machine.held_down += 1;
                self.give(node, Event::Shutdown);
            }
            Kind::Expel => self.expel(node),
            Kind::LateJoin => {
                self.struck.note(fault.kind);
                self.power_on(node);
            }
            Kind::ProcessKillRecovery => {
                self.kill(node, Some(loss_of(fault)));
                self.boot(node);
                self.set_kill_switch(node, index, fault);
            }
            Kind::ProcessOldImage => machine.saved_image = Some(machine.disk.image()),
            Kind::ProcessWiped => {
                machine.held_down += 1;
                self.kill(node, None);
                let machine = &mut self.hosts[usize::from(node)];
                machine.disk.wipe();
                machine.forget_groups();
                machine.identity.may_bootstrap = false;
                // Alone, it would have nobody to join: it stays off.
                machine.held_down += u32::from(machine.identity.peers.len() == 1);
            }
            Kind::ProcessKill | Kind::PermanentLoss => {
                machine.held_down += 1;
                self.kill(node, None);
            }
            kind if lies_in_wait(kind) => self.power_will_fail(node, index, fault),
            _ => {}
        }
        self.schedule_wake(node, now_ns);
    }

    fn end_on(&mut self, node: u16, index: u32, fault: &Fault) {
        let now_ns = self.now_ns;
        let machine = &mut self.hosts[usize::from(node)];
        match fault.kind {
            Kind::ClockDrift => machine.clock.set_rate(now_ns, 0),
            Kind::ClockFreeze | Kind::ClockSmear => machine.clock.set_wall_rate(now_ns, 0),
            Kind::ClockStrobe => machine.clock.set_strobe(0, 1),
            Kind::ProcessPause => {
                machine.paused -= 1;
                self.schedule_turn(node);
            }
            Kind::ProcessSlow => machine.cpu_factor = 1,
            Kind::ProcessKillIo | Kind::ProcessKillRecovery => {
                machine.kill_switch = None;
                self.boot(node);
            }
            Kind::DiskLyingSync => {
                self.kill(node, Some(loss_of(fault)));
                self.boot(node);
            }
            Kind::ProcessOldImage => {
                self.kill(node, None);
                let machine = &mut self.hosts[usize::from(node)];
                if let Some(image) = machine.saved_image.take() {
                    self.struck.note(fault.kind);
                    machine.disk.restore(image);
                }
                self.boot(node);
            }
            Kind::ProcessWiped | Kind::ProcessKill | Kind::ProcessStop => self.power_on(node),
            kind if lies_in_wait(kind) => {
                let never_failed = self.take_doom(node, index);
                if !never_failed {
                    self.power_on(node);
                }
            }
            _ => {}
        }
        self.schedule_wake(node, now_ns);
    }

    fn start_again(&mut self, node: u16) {
        self.kill(node, None);
        self.boot(node);
    }

    fn power_on(&mut self, node: u16) {
        self.hosts[usize::from(node)].held_down -= 1;
        self.boot(node);
    }

    fn rot(&mut self, node: u16, bits: u64) {
        for _ in 0..bits {
            if let Some(place) = self.hosts[usize::from(node)].disk.rot_a_bit(N::LOG_DIR) {
                self.struck.note(Kind::DiskBitRot);
                self.tell(format!("n{} rots: {place}", node + 1));
            }
        }
    }

    /// Asks an instance that runs to expel another, as the operator's command does.
    fn expel(&mut self, victim: u16) {
        let machine = &mut self.hosts[usize::from(victim)];
        if let Some(process) = &machine.process {
            machine.expulsion = process.node.expulsion().or(machine.expulsion.take());
        }
        let Some(bytes) = machine.expulsion.clone() else { return };
        let others = (0..self.hosts.len() as u16)
            .filter(|host| *host != victim && self.hosts[usize::from(*host)].is_running());
        let others: Vec<u16> = others.collect();
        let Some(through) = others.get(self.samples as usize % others.len().max(1)) else { return };
        let msg = N::decode(bytes).expect("what was just encoded can be read");
        self.give(*through, Event::Peer { from: PeerAddr::new(OPERATOR), msg });
    }

    /// Operators repeat themselves until the instance is gone.
    pub(super) fn expel_on(&mut self) {
        let expelling = self.active.iter().filter(|(_, fault, _)| fault.kind == Kind::Expel);
        let victims: Vec<u16> = expelling.flat_map(|(_, fault, _)| fault.nodes.clone()).collect();
        for victim in victims {
            if !self.is_expelled(victim) {
                self.expel(victim);
            }
        }
    }

    /// Whether an instance that was to be expelled has stopped because it is.
    pub(super) fn is_expelled(&self, host: u16) -> bool {
        self.hosts[usize::from(host)].stopped == Some(StopReason::Expelled)
    }
}
