//! Shadow recovery: what a machine would come back with if it lost power at this moment.
//!
//! Now and then a copy of a machine's disk loses power, and a process that nobody hears starts on it.
//! It must come back by itself, with every entry its leader has heard it acknowledge, with the state its
//! group has at that index, and, where nothing is unsynced, knowing who votes as well as the living one
//! does. The machine itself notices nothing.

use basalt_core::seam::{Effect, Event, Mono};

use super::World;
use crate::check::Check;
use crate::disk::{Disk, Loss};
use crate::node::Node;

/// One sample in so many has a shadow, of the machines in turn.
const EVERY: u64 = 24;
/// A recovery takes no more turns than this.
const TURNS_MAX: u32 = 10_000;
/// Turns in which a shadow that is back applies what it knows to be committed.
const SETTLING_TURNS: u32 = 8;

/// How a shadow ended up.
enum Back<N> {
    Running(N),
    /// Still at its recovery, or asking others to take it in.
    Waiting,
    Stopped(String),
}

impl<N: Node> World<'_, N> {
    /// Takes the shadow that is due at a sample, if one is.
    pub(super) fn shadow_when_due(&mut self) {
        self.samples += 1;
        if self.samples.is_multiple_of(EVERY) {
            let host = (self.samples / EVERY) % self.hosts.len() as u64;
            self.look_inside(host as u16);
        }
    }

    /// Looks at the rows an instance holds, and at those it would come back with.
    pub(super) fn look_inside(&mut self, host: u16) {
        if let Some(process) = &self.hosts[usize::from(host)].process {
            self.monitor.check_stores(host, &process.node);
            self.take_failure();
        }
        self.shadow(host);
    }

    fn shadow(&mut self, host: u16) {
        let machine = &self.hosts[usize::from(host)];
        let was_ready = machine.process.as_ref().is_some_and(|process| process.node.is_ready());
        if self.excuses.cover(Check::Replicas) || (machine.is_damaged && !was_ready) {
            return;
        }
        let must_be_back = was_ready && !machine.is_damaged;
        let name = machine.identity.name.clone();
        match self.recover(host) {
            Back::Running(node) => {
                let mut views = Vec::new();
                node.groups(self.hosts[usize::from(host)].clock.read(self.now_ns), &mut views);
                let machine = &self.hosts[usize::from(host)];
                let is_durable = must_be_back && !machine.disk.unsynced().is_something();
                let durable = if is_durable { machine.views.as_slice() } else { &[] };
                self.monitor.shadow(host, durable, &views, &node);
                self.take_failure();
            }
            Back::Stopped(why) if must_be_back => {
                self.fail(
                    Check::Replicas,
                    format!("{name} would not survive a power failure: {why}"),
                );
            }
            Back::Waiting if must_be_back => {
                let message = format!("{name} would not come back from a power failure by itself");
                self.fail(Check::Replicas, message);
            }
            Back::Stopped(_) | Back::Waiting => {}
        }
    }

    /// Starts a process on a copy of the machine's disk that has lost power, and lets it work until it
    /// has nothing to do but wait for others.
    fn recover(&self, host: u16) -> Back<N> {
        let machine = &self.hosts[usize::from(host)];
        let mut rng = self.root.fork(&format!("shadow/{}/{}", machine.identity.name, self.samples));
        let mut disk = machine.disk.copy(rng.fork("disk"));
        disk.power_failed(Loss::draw(&mut rng));
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        let mut node = N::boot(&machine.identity, seed);
        let mut now = machine.clock.read(self.now_ns);
        let mut inbox = vec![Event::Boot];
        let mut effects = Vec::new();
        let mut settling = 0;
        for _ in 0..TURNS_MAX {
            inbox.drain(..).for_each(|event| node.step(now, event, &mut effects));
            node.end_turn(now, &mut effects);
            let mut wake = None;
            for effect in effects.drain(..) {
                match effect {
                    Effect::Disk { op, what } => {
                        let result = at_once(&mut disk, what);
                        inbox.push(Event::DiskDone { op, result });
                    }
                    Effect::Wake { at } => wake = Some(at),
                    Effect::Stop(reason) => return Back::Stopped(format!("{reason:?}")),
                    _ => {}
                }
            }
            settling += u32::from(node.is_ready());
            if settling > SETTLING_TURNS {
                return Back::Running(node);
            }
            if inbox.is_empty() {
                let Some(at) = wake.filter(|at| *at < Mono::NEVER) else { break };
                // Back, it would soon want to lead: its clock stands still.
                now.mono = if settling > 0 { now.mono } else { now.mono.max(at) };
                inbox.push(Event::Tick);
            }
        }
        if settling > 0 { Back::Running(node) } else { Back::Waiting }
    }
}

/// Carries out an operation on a disk where nothing fails and nothing takes time.
fn at_once(disk: &mut Disk, what: basalt_core::seam::DiskOp) -> basalt_core::seam::DiskResult {
    let issued = disk.issue(0, what);
    let done = disk.complete(issued.done_ns, issued.token);
    done.ok().flatten().expect("a sound disk completes what it was asked for")
}
