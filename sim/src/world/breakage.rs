//! Faults at work: what each kind does when it begins and when it ends.

use basalt_core::seam::Effect;

use super::{Happening, World};
use crate::disk::{DiskFaults, Loss, Names, Order, Tail, Tear};
use crate::faults::{Area, Damage, Kind};
use crate::node::Node;
use crate::plan::Fault;

/// Kills the process at a chosen effect on its disk.
#[derive(Clone, Copy, Debug)]
pub struct KillSwitch {
    /// Effects on the disk still to be carried out.
    pub disk_effects_left: u64,
}

impl<N: Node> World<'_, N> {
    pub(super) fn fault_begins(&mut self, index: u32) {
        if self.phase.is_over_with_faults() {
            return;
        }
        let fault = self.plan.faults[index as usize].clone();
        self.tell(format!("fault {index} begins: {}", fault.describe()));
        let leader = self.leader();
        self.active.push((index, fault.clone(), leader));
        match fault.kind.area() {
            Area::Network | Area::Topology | Area::Client => {}
            _ => self.active_changed(),
        }
        for node in fault.nodes.clone() {
            self.begin_on(node, &fault);
        }
        self.active_changed();
        if let Some(for_ms) = fault.for_ms {
            let at_ns = self.now_ns + for_ms * 1_000_000;
            self.queue.push(at_ns, Happening::FaultEnds { fault: index });
        }
    }

    pub(super) fn fault_ends(&mut self, index: u32) {
        let Some(at) = self.active.iter().position(|(active, _, _)| *active == index) else {
            return;
        };
        let (_, fault, _) = self.active.remove(at);
        self.tell(format!("fault {index} ends: {}", fault.kind.name()));
        self.active_changed();
        for node in fault.nodes.clone() {
            self.end_on(node, &fault);
        }
    }

    /// Everything that can heal heals now.
    pub(super) fn heal_all(&mut self) {
        let healing: Vec<u32> = self
            .active
            .iter()
            .filter(|(_, fault, _)| fault.for_ms.is_some())
            .map(|(index, _, _)| *index)
            .collect();
        for index in healing {
            self.fault_ends(index);
        }
        for host in 0..self.hosts.len() as u16 {
            let machine = &mut self.hosts[usize::from(host)];
            machine.kill_switch = None;
            machine.clock.heal(self.now_ns);
            self.schedule_wake(host, self.now_ns);
            self.boot(host);
        }
    }

    /// The instance that led the data group as of its last turn, by the highest term.
    pub(super) fn leader(&self) -> Option<u16> {
        let leaders = self.hosts.iter().flat_map(|host| {
            let node = host.identity.node;
            host.views.iter().filter(|view| view.is_leader).map(move |view| (view, node))
        });
        leaders.max_by_key(|(view, node)| (view.group, view.term, *node)).map(|(_, node)| node)
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
                Kind::DiskStall => faults.stalled_until_ns = self.ends_at_ns(*index),
                Kind::DiskFull => faults.full = true,
                _ => {}
            }
        }
        faults
    }

    fn ends_at_ns(&self, index: u32) -> u64 {
        let fault = &self.plan.faults[index as usize];
        let length_ms = fault.for_ms.unwrap_or(0);
        self.chaos_begins_ns + (fault.at_ms + length_ms) * 1_000_000
    }

    fn begin_on(&mut self, node: u16, fault: &Fault) {
        let now_ns = self.now_ns;
        let machine = &mut self.hosts[usize::from(node)];
        if fault.kind.damage() != Damage::None {
            machine.is_damaged = true;
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
            Kind::ProcessKillIo => {
                machine.kill_switch = Some(KillSwitch { disk_effects_left: fault.amount });
            }
            Kind::ProcessKillRecovery => {
                self.kill(node, Some(self.loss(fault)));
                self.boot(node);
                self.hosts[usize::from(node)].kill_switch =
                    Some(KillSwitch { disk_effects_left: fault.amount });
            }
            Kind::ProcessOldImage => machine.saved_image = Some(machine.disk.image()),
            Kind::ProcessWiped => {
                machine.held_down += 1;
                self.kill(node, None);
                let machine = &mut self.hosts[usize::from(node)];
                machine.disk.wipe();
                machine.identity.may_bootstrap = false;
                // Alone, it would have nobody to join: it stays off.
                machine.held_down += u32::from(machine.identity.peers.len() == 1);
            }
            Kind::ProcessKill | Kind::PermanentLoss => {
                machine.held_down += 1;
                self.kill(node, None);
            }
            kind if kind.is_power_failure() && kind != Kind::DiskLyingSync => {
                machine.held_down += 1;
                self.kill(node, Some(self.loss(fault)));
            }
            _ => {}
        }
        self.schedule_wake(node, now_ns);
    }

    fn end_on(&mut self, node: u16, fault: &Fault) {
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
                self.kill(node, Some(self.loss(fault)));
                self.boot(node);
            }
            Kind::ProcessOldImage => {
                self.kill(node, None);
                let machine = &mut self.hosts[usize::from(node)];
                if let Some(image) = machine.saved_image.take() {
                    machine.disk.restore(image);
                }
                self.boot(node);
            }
            Kind::ProcessWiped | Kind::ProcessKill => self.power_on(node),
            kind if kind.is_power_failure() => self.power_on(node),
            _ => {}
        }
        self.schedule_wake(node, now_ns);
    }

    fn power_on(&mut self, node: u16) {
        self.hosts[usize::from(node)].held_down -= 1;
        self.boot(node);
    }

    fn rot(&mut self, node: u16, bits: u64) {
        for _ in 0..bits {
            if let Some(place) = self.hosts[usize::from(node)].disk.rot_a_bit() {
                self.tell(format!("n{} rots: {place}", node + 1));
            }
        }
    }

    /// What a power failure of this kind does to unsynced bytes and names.
    fn loss(&self, fault: &Fault) -> Loss {
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

    /// Whether the process dies instead of carrying out this effect.
    pub(super) fn kill_switch_strikes(&mut self, host: u16, effect: &Effect<N::Msg>) -> bool {
        if !matches!(effect, Effect::Disk { .. }) {
            return false;
        }
        let machine = &mut self.hosts[usize::from(host)];
        let Some(switch) = &mut machine.kill_switch else { return false };
        if switch.disk_effects_left > 0 {
            switch.disk_effects_left -= 1;
            return false;
        }
        let name = machine.identity.name.clone();
        self.tell(format!("{name} loses power before {effect:?}").chars().take(160).collect());
        let order = [Order::KeepAll, Order::Prefix, Order::Any][(self.now_ns % 3) as usize];
        let loss = Loss { order, tear: Tear::Sectors, tail: Tail::AsWritten, names: Names::Prefix };
        self.kill(host, Some(loss));
        true
    }
}
