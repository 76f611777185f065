//! Turns of a process: events in, effects out, each carried out in order.

use basalt_core::base::OpId;
use basalt_core::seam::{Effect, Event, Lane, PeerAddr, StopReason};
use bytes::Bytes;

use super::blackout::Moment;
use super::host::Arrival;
use super::{CHECKPOINT_EVERY, Happening, World};
use crate::network::{LinkEvent, LinkOutcome};
use crate::node::Node;

/// What a turn costs a healthy CPU, and each event in it.
const TURN_NS: u64 = 3_000;
const EVENT_NS: u64 = 1_500;

impl<N: Node> World<'_, N> {
    /// Puts an event into the inbox of the process on a machine, if one runs.
    pub(super) fn give(&mut self, host: u16, event: Event<N::Msg>) {
        self.arrive(host, Arrival::Event(event));
    }

    fn arrive(&mut self, host: u16, arrival: Arrival<N::Msg>) {
        let Some(process) = &mut self.hosts[usize::from(host)].process else { return };
        process.inbox.push(arrival);
        self.schedule_turn(host);
    }

    pub(super) fn schedule_turn(&mut self, host: u16) {
        let machine = &mut self.hosts[usize::from(host)];
        let incarnation = machine.incarnation;
        if machine.paused > 0 {
            return;
        }
        let Some(process) = &mut machine.process else { return };
        if !process.turn_scheduled && !process.inbox.is_empty() {
            process.turn_scheduled = true;
            let at_ns = process.busy_until_ns.max(self.now_ns);
            self.queue.push(at_ns, Happening::Turn { host, incarnation });
        }
    }

    pub(super) fn turn(&mut self, host: u16, incarnation: u32) {
        let machine = &mut self.hosts[usize::from(host)];
        if machine.incarnation != incarnation {
            return;
        }
        let Some(process) = &mut machine.process else { return };
        process.turn_scheduled = false;
        if machine.paused > 0 {
            return;
        }
        let now = machine.clock.read(self.now_ns);
        let mut events = std::mem::take(&mut process.inbox);
        let mut effects = std::mem::take(&mut self.effects);
        let cost_ns = (TURN_NS + EVENT_NS * events.len() as u64) * machine.cpu_factor;
        process.busy_until_ns = self.now_ns + cost_ns;
        self.trace.number(u64::from(host));
        for arrival in events.drain(..) {
            let event = match arrival {
                Arrival::Event(event) => {
                    self.trace.event(now, &event);
                    event
                }
                Arrival::Message { from, wire } => {
                    self.trace.peer_event(now, &from, &wire);
                    let msg = N::decode(wire).expect("an undamaged message can be read");
                    Event::Peer { from, msg }
                }
            };
            if let Some(record) = &mut self.recorder {
                record(self.now_ns, host, format!("{event:?}"));
            }
            process.node.step(now, event, &mut effects);
        }
        process.node.end_turn(now, &mut effects);
        process.inbox = events;
        self.look_at_groups(host);
        self.carry_out_all(host, incarnation, cost_ns, &mut effects);
        effects.clear();
        self.effects = effects;
        self.checkpoint();
    }

    fn look_at_groups(&mut self, host: u16) {
        let machine = &mut self.hosts[usize::from(host)];
        let Some(process) = &machine.process else { return };
        let now = machine.clock.read(self.now_ns);
        machine.views.clear();
        process.node.groups(now, &mut machine.views);
        if !machine.views.is_empty() {
            self.monitor.look(self.now_ns, host, &machine.views, &machine.clock, &process.node);
            self.take_failure();
        }
    }

    fn checkpoint(&mut self) {
        let due = (self.checkpoints.len() as u64 + 1) * CHECKPOINT_EVERY;
        if self.trace.count() >= due {
            self.checkpoints.push(self.trace.digest());
        }
    }

    fn carry_out_all(
        &mut self,
        host: u16,
        incarnation: u32,
        cost_ns: u64,
        effects: &mut Vec<Effect<N::Msg>>,
    ) {
        let at_ns = self.now_ns + cost_ns;
        for effect in effects.drain(..) {
            if self.kill_switch_strikes(host, &effect) {
                return;
            }
            let uses_disk = matches!(effect, Effect::Disk { .. });
            if let Some(record) = &mut self.recorder {
                record(at_ns, host, format!("=> {effect:?}"));
            }
            if let Effect::Send { to, lane, msg } = &effect {
                self.send(host, at_ns, to, *lane, msg);
            } else {
                self.trace.effect(&effect);
                self.carry_out(host, at_ns, effect);
            }
            if uses_disk && self.power_fails(host, Moment::Asked) {
                return;
            }
            if self.hosts[usize::from(host)].incarnation != incarnation {
                return;
            }
        }
    }

    /// Encodes a message once, for the trace and for the wire.
    fn send(&mut self, host: u16, at_ns: u64, to: &PeerAddr, lane: Lane, msg: &N::Msg) {
        self.encoded.clear();
        N::encode(msg, &mut self.encoded);
        self.trace.send_effect(to, lane, &self.encoded);
        let Some(to) = self.by_address.get(to) else { return };
        let bytes = Bytes::copy_from_slice(&self.encoded);
        self.network.send(at_ns, host, to, lane, bytes, &mut self.queue);
    }

    fn carry_out(&mut self, host: u16, at_ns: u64, effect: Effect<N::Msg>) {
        match effect {
            Effect::Send { .. } => unreachable!("sent by `send`"),
            Effect::Write { conn, bytes } => self.node_writes(host, at_ns, conn, bytes),
            Effect::Close { conn } => self.node_closes(host, at_ns, conn),
            Effect::Throttle { conn, paused } => self.throttle(host, conn, paused),
            Effect::Disk { op, what } => {
                let machine = &mut self.hosts[usize::from(host)];
                let issued = machine.disk.issue(at_ns, what);
                let incarnation = machine.incarnation;
                let done = Happening::Disk { host, incarnation, op, token: issued.token };
                self.queue.push(issued.done_ns, done);
            }
            Effect::Wake { at } => {
                if let Some(process) = &mut self.hosts[usize::from(host)].process {
                    process.wake = Some(at);
                }
                self.schedule_wake(host, at_ns);
            }
            Effect::Inspected { .. } => {}
            Effect::Stop(reason) => self.stopped(host, reason),
        }
    }

    /// Makes sure that the world looks at the wake-up time no later than it comes.
    pub(super) fn schedule_wake(&mut self, host: u16, not_before_ns: u64) {
        let machine = &mut self.hosts[usize::from(host)];
        let Some(process) = &mut machine.process else { return };
        let Some(when_ns) = process.wake.and_then(|wake| machine.clock.when(wake)) else { return };
        let when_ns = when_ns.max(not_before_ns);
        if when_ns < process.wake_check_ns {
            process.wake_check_ns = when_ns;
            let incarnation = machine.incarnation;
            self.queue.push(when_ns, Happening::Wake { host, incarnation });
        }
    }

    pub(super) fn check_wake(&mut self, host: u16, incarnation: u32) {
        let machine = &mut self.hosts[usize::from(host)];
        if machine.incarnation != incarnation {
            return;
        }
        let Some(process) = &mut machine.process else { return };
        if self.now_ns < process.wake_check_ns {
            return;
        }
        process.wake_check_ns = u64::MAX;
        let Some(wake) = process.wake else { return };
        if machine.clock.mono(self.now_ns) >= wake {
            process.wake = None;
            self.give(host, Event::Tick);
        } else {
            self.schedule_wake(host, self.now_ns);
        }
    }

    pub(super) fn disk_done(&mut self, host: u16, incarnation: u32, op: OpId, token: u64) {
        let machine = &mut self.hosts[usize::from(host)];
        if machine.incarnation != incarnation {
            return;
        }
        if machine.disk.makes_durable(token) && self.power_fails(host, Moment::Durable) {
            return;
        }
        let machine = &mut self.hosts[usize::from(host)];
        match machine.disk.complete(self.now_ns, token) {
            Ok(Some(result)) => self.give(host, Event::DiskDone { op, result }),
            Ok(None) => {}
            Err(when_ns) => {
                self.queue.push(when_ns, Happening::Disk { host, incarnation, op, token });
            }
        }
    }

    pub(super) fn link_event(&mut self, link: u32, epoch: u32, event: LinkEvent) {
        let (from, to) = self.network.ends(link);
        let alive = self.hosts[usize::from(to)].is_running();
        let outcome = self.network.happen(self.now_ns, link, epoch, event, alive, &mut self.queue);
        let peer = |of: u16| self.hosts[usize::from(of)].identity.address.clone();
        match outcome {
            LinkOutcome::Nothing => {}
            LinkOutcome::Deliver { bytes, .. } => {
                let from = peer(from);
                self.arrive(to, Arrival::Message { from, wire: bytes });
            }
            LinkOutcome::Up => {
                let peer = peer(to);
                self.give(from, Event::LinkUp { peer });
            }
            LinkOutcome::Down => {
                let peer = peer(to);
                self.give(from, Event::LinkDown { peer });
            }
            LinkOutcome::Damaged { bytes } => {
                // The frame's checksum catches it; the decoder must still not panic on such bytes.
                let _ = N::decode(bytes);
            }
        }
    }

    fn stopped(&mut self, host: u16, reason: StopReason) {
        let name = self.hosts[usize::from(host)].identity.name.clone();
        self.tell(format!("{name} stops: {reason:?}"));
        self.instance_stopped(host, reason);
    }
}
