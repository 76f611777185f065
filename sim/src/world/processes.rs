//! Processes: start, end, and what becomes of them in between.

use basalt_core::seam::{Event, StopReason};

use super::host::Process;
use super::{Happening, World};
use crate::check::Check;
use crate::disk::Loss;
use crate::faults::Kind;
use crate::node::Node;

/// A supervisor starts a stopped instance again after this long.
const SUPERVISOR_NS: u64 = 400_000_000;

impl<N: Node> World<'_, N> {
    /// Starts a process on a machine that is on and has none.
    pub(super) fn boot(&mut self, host: u16) {
        let machine = &mut self.hosts[usize::from(host)];
        if machine.is_running() || machine.held_down > 0 {
            return;
        }
        machine.incarnation += 1;
        machine.stopped = None;
        let name = format!("node/{}/{}", machine.identity.name, machine.incarnation);
        let mut seed = [0; 32];
        self.root.fork(&name).fill(&mut seed);
        machine.process = Some(Process::new(N::boot(&machine.identity, seed)));
        self.monitor.process_began(host);
        self.network.process_began(self.now_ns, host, &mut self.queue);
        self.give(host, Event::Boot);
    }

    /// Ends the process. With a loss, the machine loses power too.
    pub(super) fn kill(&mut self, host: u16, power: Option<Loss>) {
        let machine = &mut self.hosts[usize::from(host)];
        // Also where none runs: events still on their way to the last one must miss.
        machine.incarnation += 1;
        machine.remember_groups();
        let ran = machine.process.take().is_some();
        machine.views.clear();
        machine.kill_switch = None;
        match power {
            Some(loss) => machine.disk.power_failed(loss),
            None => machine.disk.process_died(),
        }
        if ran {
            self.monitor.process_ended(host);
            self.network.process_ended(self.now_ns, host, power.is_some(), &mut self.queue);
            self.connections_of_ended(host, power.is_some());
        }
    }

    /// The instance asked to stop: its process exits, and a supervisor starts it again later.
    pub(super) fn instance_stopped(&mut self, host: u16, reason: StopReason) {
        self.kill(host, None);
        let machine = &mut self.hosts[usize::from(host)];
        let incarnation = machine.incarnation;
        machine.stopped = Some(reason.clone());
        let asked =
            [(StopReason::Shutdown, Kind::ProcessStop), (StopReason::Expelled, Kind::Expel)];
        asked.iter().for_each(|(why, kind)| self.struck.note_if(reason == *why, *kind));
        let machine = &mut self.hosts[usize::from(host)];
        match &reason {
            StopReason::Unusable(text) if !machine.is_damaged => {
                let name = machine.identity.name.clone();
                self.fail(Check::Acks, format!("{name} refuses a sound disk: {text}"));
            }
            StopReason::LostEntries(text) if !machine.is_damaged => {
                let name = machine.identity.name.clone();
                self.fail(Check::Acks, format!("{name} lost entries on a sound disk: {text}"));
            }
            // An operator does what it asks for.
            StopReason::Unusable(text) if text.contains("--peer") => {
                machine.identity.may_bootstrap = false;
                let at_ns = self.now_ns + SUPERVISOR_NS;
                self.queue.push(at_ns, Happening::Restart { host, incarnation });
            }
            // Only an operator helps now.
            StopReason::Unusable(_) | StopReason::Expelled => {}
            StopReason::DiskFailed(_)
            | StopReason::LostEntries(_)
            | StopReason::Refused(_)
            | StopReason::Shutdown => {
                if reason != StopReason::Shutdown {
                    self.stopped_after_healing(host, &format!("{reason:?}"));
                }
                let at_ns = self.now_ns + SUPERVISOR_NS;
                self.queue.push(at_ns, Happening::Restart { host, incarnation });
            }
        }
    }

    pub(super) fn restart(&mut self, host: u16, incarnation: u32) {
        if self.hosts[usize::from(host)].incarnation == incarnation {
            self.boot(host);
        }
    }
}
