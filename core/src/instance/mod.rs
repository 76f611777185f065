//! The top: everything of one instance, behind one `step`.
//!
//! A shell calls [`Instance::step`] for each event of a turn and [`Instance::end_turn`] once after
//! them. Events only put things where they belong; the turn's end does the work:
//!
//! ```text
//!   step: bytes → session queue · message → Raft or a task · disk result → log or a task
//!   end_turn: timers → (tasks → one Ready a group)* → one write of the log → client output → wake-up
//!             nothing to do → wake-up
//! ```
//!
//! * [`boot`](self) recovers or joins, [`catch_up`] sees to it that the catalog is new enough; [`ring`] and
//!   [`shard`] are the two Raft members; [`serve`] answers other instances; [`engine`] runs statements for
//!   sessions, [`catalog_changes`] those that change the catalog; [`governing`] is the loop of the ring's
//!   leader; [`snapshots`] cuts logs and brings newcomers up to date, which are [`receivers`] to their
//!   leader; [`reach`] knows who hears whom and finds detours; [`members`] writes down where the others are.
//! * [`replay`] gives an instance a recording of what another was given.

mod boot;
mod catalog_changes;
mod catalog_view;
mod catch_up;
mod clients;
pub mod config;
mod counting;
mod decisions;
mod durability;
mod engine;
mod forwarding;
mod gates;
mod governing;
mod identity;
mod index_build;
mod inspect;
mod members;
pub mod message;
mod reach;
mod reader;
mod receivers;
pub mod replay;
mod requests;
pub mod result_rows;
mod ring;
mod running;
mod serve;
mod serving;
mod shard;
mod small_file;
mod snapshots;
mod state;
#[cfg(test)]
mod tests;
mod timers;
mod turn;
pub mod watch;

use std::cell::RefCell;
use std::rc::Rc;

pub use config::{Config, Limits, Times};
pub use identity::FILE as IDENTITY_FILE;
pub use message::Msg;
use message::{Body, Response, ResponseKind};
use state::{Phase, Shared, State};

use crate::seam::{
    DiskOk, Effect, Effects, Event, Executor, Inspect, Mono, Now, PeerAddr, Rng, StopReason,
};
use crate::storage::wal::WalEvent;

/// One instance: a shard replica and a member of the ring.
pub struct Instance {
    executor: Executor,
    state: Shared,
    /// Since the last turn there was an event that asks for something by itself.
    stirred: bool,
    /// The last turn left work to this one.
    more: bool,
}

impl Instance {
    /// An instance that has not read its disk yet: the first event must be [`Event::Boot`].
    pub fn new(config: Config, seed: [u8; 32]) -> Instance {
        let executor = Executor::new();
        let state = State::new(config, Rng::from_seed(seed), executor.spawner());
        Instance { executor, state: Rc::new(RefCell::new(state)), stirred: false, more: false }
    }

    /// Takes one event. Its consequences follow at the latest in [`Instance::end_turn`].
    pub fn step(&mut self, now: Now, event: Event<Msg>, effects: &mut Effects<Msg>) {
        let state = &mut *self.state.borrow_mut();
        state.now = now;
        if state.phase == Phase::Stopped {
            return;
        }
        self.stirred |= !matches!(event, Event::Tick | Event::Flushed { .. });
        match event {
            Event::Boot => {
                state.counting.booted(now.mono);
                state.spawner.spawn(boot::boot(self.state.clone()));
            }
            Event::Tick => state.asked_wake = Mono::NEVER,
            Event::Accepted { conn, kind, remote } => {
                clients::accepted(&self.state, state, conn, kind, &remote);
            }
            Event::Bytes { conn, bytes } => state.clients.bytes(conn, bytes),
            Event::Flushed { conn, bytes } => state.clients.flushed(conn, bytes),
            Event::Closed { conn } => {
                let closed = state.clients.closed(conn);
                state.counting.metrics.connections_closed += u64::from(closed);
            }
            Event::Peer { from, msg } => Self::peer(&self.state, state, from, msg),
            Event::LinkUp { peer } => {
                state.broken_links.remove(&peer);
            }
            Event::LinkDown { peer } => state.link_down(&peer),
            Event::DiskDone { op, result } => {
                if let Some(result) = state.disk.complete(op, result) {
                    state.log_done(op, &result);
                }
            }
            Event::Inspect { request, what: Inspect::Cluster } => {
                state.spawner.spawn(inspect::show_cluster(self.state.clone(), request));
            }
            Event::Inspect { request, what } => {
                let body = state.inspect(what);
                effects.push(Effect::Inspected { request, body });
            }
            Event::Shutdown => {
                state.spawner.spawn(governing::leave(self.state.clone()));
            }
        }
    }

    /// Ends a turn: does what its events asked for, and says when to be called again.
    pub fn end_turn(&mut self, now: Now, effects: &mut Effects<Msg>) {
        {
            let state = &mut *self.state.borrow_mut();
            state.now = now;
            if state.phase == Phase::Stopped {
                effects.append(&mut state.effects);
                return;
            }
            let stirred = std::mem::take(&mut self.stirred) || self.more;
            if !stirred && !self.executor.has_ready() && state.is_quiet() {
                state.end_quietly();
                effects.append(&mut state.effects);
                return;
            }
            state.advance_time();
        }
        boot::end_if_lost(&self.state);
        governing::advance(&self.state);
        snapshots::advance(&self.state);
        members::advance(&self.state);
        catch_up::advance(&self.state);
        let mut more = true;
        let rounds = if crate::buggify!("turn: one round") { 1 } else { turn::MAX_ROUNDS };
        for _ in 0..rounds {
            self.executor.run_until_stalled();
            let moved = self.state.borrow_mut().drive_groups();
            more = moved || self.executor.has_ready();
            if !more {
                break;
            }
        }
        let state = &mut *self.state.borrow_mut();
        let disk = state.disk.clone();
        state.durability.flush(&disk);
        state
            .effects
            .extend(disk.take_ops().into_iter().map(|(op, what)| Effect::Disk { op, what }));
        state.flush_raft();
        state.follow_leaders();
        state.flush_clients();
        state.count_turn();
        // What leaves can let a session go on.
        self.more = more || self.executor.has_ready();
        state.schedule(self.more);
        effects.append(&mut state.effects);
    }

    fn peer(shared: &Shared, state: &mut State, from: PeerAddr, msg: Msg) {
        state.counting.metrics.messages_received += 1;
        let own = state.cluster_tag();
        let stranger = matches!(
            msg.body,
            Body::Join(_) | Body::JoinReply(_) | Body::Status { .. } | Body::Expel { .. }
        );
        if msg.cluster != own && !stranger {
            if own == 0 || msg.cluster == 0 {
                // Members speak to one that joins before it has heard that it is one, and hear it.
                tracing::debug!(from = %from.0, "message from before joining dropped");
            } else {
                tracing::warn!(from = %from.0, "message of another cluster dropped");
            }
            return;
        }
        match msg.body {
            Body::Raft(messages) => {
                for (group, message) in messages {
                    state.raft_message(shared, &from, group, message);
                }
            }
            Body::Join(join) => {
                state.spawner.spawn(governing::answer_join(shared.clone(), from, *join));
            }
            Body::JoinReply(reply) => state.join_replied(reply),
            Body::Request(request) => {
                if !state.arrived.is_new(&from, request.id) {
                    return;
                }
                let me = shared.clone();
                state.spawner.spawn(serve::answer(me, from, request.id, request.what));
            }
            Body::Response(Response { id, what }) => {
                let sender = state.instance_at(&from);
                if what == ResponseKind::StillRunning {
                    let deadline = state.now.mono + state.config.times.statement_patience;
                    state.requests.goes_on(id, sender, deadline);
                } else {
                    state.requests.answered(id, sender, what);
                }
            }
            Body::SnapshotPull(pull) => {
                state.spawner.spawn(snapshots::send_chunk(shared.clone(), from, pull));
            }
            Body::SnapshotChunk(chunk) => state.snapshots.arrived(chunk),
            Body::Report(report) => {
                if state.is_member(report.from, &from) {
                    state.governing.reported(state.now.mono, report);
                }
            }
            Body::Status { request } => {
                state.spawner.spawn(inspect::tell_status(shared.clone(), from, request));
            }
            Body::Expel { request, uuid, force } => {
                let task = governing::expel(shared.clone(), from, request, uuid, force);
                state.spawner.spawn(task);
            }
            Body::Expelled(id) => {
                if id == state.me() && matches!(state.phase, Phase::Running | Phase::Leaving) {
                    state.stop(StopReason::Expelled);
                }
            }
            Body::Withdraw { request } => state.serving.withdrawn(&from, request),
            Body::StatusReply { .. } | Body::ExpelReply { .. } => {}
            Body::Hello(hello) => state.hello_arrived(from, hello),
            Body::Envelope(envelope) => {
                if let Some((from, msg)) = state.envelope_arrived(envelope) {
                    Self::peer(shared, state, from, msg);
                }
            }
        }
    }
}

impl State {
    fn raft_message(
        &mut self,
        shared: &Shared,
        from: &PeerAddr,
        group: crate::base::GroupId,
        message: crate::raft::Message,
    ) {
        let idle = matches!(self.phase, Phase::Booting | Phase::Damaged);
        if message.to() != self.me() || idle {
            return;
        }
        self.learned(message.from(), from);
        if let Some(offer) = message.snapshot() {
            snapshots::offered(shared, self, group, offer, message);
            return;
        }
        let now = self.now.mono;
        if let Some(member) = self.group_mut(group) {
            member.message(now, message);
        }
    }

    fn link_down(&mut self, peer: &PeerAddr) {
        self.broken_links.insert(peer.clone());
        if self.reach.detour(peer).is_none() {
            self.serving.link_down(peer);
        }
        let Some(id) = self.instance_at(peer) else { return };
        if self.reach.detour(peer).is_none() {
            let deadline = self.now.mono + self.config.times.group.heartbeat();
            self.requests.link_down(id, deadline);
        }
        for group in
            [self.ring.as_mut().map(|r| &mut r.group), self.shard.as_mut().map(|s| &mut s.group)]
                .into_iter()
                .flatten()
        {
            group.report_unreachable(id);
        }
    }

    /// A disk operation that no task waits for is the log's, or nobody's.
    fn log_done(&mut self, op: crate::base::OpId, result: &crate::seam::DiskResult) {
        let disk = self.disk.clone();
        let Some(wal) = self.durability.wal_mut() else { return };
        let done = Ok(DiskOk::Done);
        let result = if crate::canary!(IgnoreSyncError) { &done } else { result };
        match wal.disk_done(op, result, &disk) {
            WalEvent::Failed(error) => self.stop(StopReason::DiskFailed(error.message)),
            WalEvent::Durable(_) => self.counting.log_durable(self.now.mono),
            WalEvent::NotMine | WalEvent::Progress => {}
        }
    }
}
