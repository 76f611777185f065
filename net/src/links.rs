//! Links to peers: one connection a lane, dialled by the sender.
//!
//! A snapshot must not delay a heartbeat, so each lane has its own connection; the bulk one is
//! dialled when first needed. Connections carry messages one way, from the side that dialled; the
//! other way has its own. Only answers to askers (peers without an address) go back on the
//! connection that asked.
//!
//! ```text
//!            send                   dialled                     hung, broken
//!   absent ────────▶ dialling ─────────────────▶ up ───────────────────────────▶ dialling
//!                     │     ▲  backoff 10 ms … 500 ms, half of it random
//!                     └─────┘  failed: what waits is dropped       unused for a minute: absent
//! ```
//! Whoever dials here is there: a dialler that waits for its next try does not wait any longer.
//! `LinkUp` and `LinkDown` tell of the fast lane. Each outgoing queue is bounded: a message beyond
//! [`QUEUE_BYTES_MAX`] is dropped, and so is everything queued when a connection ends. TCP keeps the
//! order within one connection, and nothing is ever sent twice.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use basalt_core::seam::{Event, Lane, Mono, PeerAddr, Rng};
use bytes::{Buf, Bytes};

use crate::counters::add;
use crate::frame::{self, Kind};
use crate::gate::Gate;
use crate::inbox::{Inbox, Input, OutletId};
use crate::machine::Wire;
use crate::outlet::Outlet;
use crate::platform::{Platform, Writer};

/// Bytes that may wait for one connection.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
const BACKOFF_MIN: Duration = Duration::from_millis(10);
const BACKOFF_MAX: Duration = Duration::from_millis(500);
/// A peer that nothing was sent to for so long is not dialled any more.
const UNUSED_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Dialling,
    Up,
}

/// One dialled connection.
struct Path<W> {
    state: State,
    /// Which dial this is; what an earlier connection still reports is ignored.
    dial: u64,
    outlet: Outlet<W>,
    nudge: Rc<Nudge>,
    /// Frames of this turn.
    frames: Vec<u8>,
    used: Mono,
    dirty: bool,
}

/// A connection of an asker, to answer on.
struct Asker<W> {
    outlet: Outlet<W>,
    frames: Vec<u8>,
    dirty: bool,
}

/// All connections on which this reactor sends to peers.
pub struct Links<P: Platform, M> {
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    advertised: PeerAddr,
    paths: BTreeMap<(PeerAddr, Lane), Path<P::Writer>>,
    askers: BTreeMap<PeerAddr, Asker<P::Writer>>,
    dirty: Vec<(PeerAddr, Lane)>,
    dirty_askers: Vec<PeerAddr>,
    jitter: Rng,
    next_dial: u64,
}

impl<P: Platform, M: Wire> Links<P, M> {
    pub fn new(platform: P, inbox: Rc<Inbox<P, M>>, advertised: PeerAddr) -> Links<P, M> {
        let jitter = Rng::from_seed(platform.seed()).fork("net/jitter");
        Links {
            platform,
            inbox,
            advertised,
            paths: BTreeMap::new(),
            askers: BTreeMap::new(),
            dirty: Vec::new(),
            dirty_askers: Vec::new(),
            jitter,
            next_dial: 1,
        }
    }

    /// Queues a message for the end of the turn.
    pub fn send(&mut self, to: PeerAddr, lane: Lane, msg: &M, now: Mono) {
        if to.0.starts_with("client:") {
            return self.answer(to, lane, msg);
        }
        let key = (to, lane);
        if !self.paths.contains_key(&key) {
            self.open(key.clone(), now);
        }
        let Some(path) = self.paths.get_mut(&key) else { return };
        path.used = now;
        let queued_bytes = path.outlet.queued_bytes() + path.frames.len();
        if !queue(&mut path.frames, queued_bytes, lane, msg) {
            return add(&self.inbox.counters.peer_messages_dropped, 1);
        }
        add(&self.inbox.counters.peer_messages_sent, 1);
        if !path.dirty {
            path.dirty = true;
            self.dirty.push(key);
        }
    }

    fn answer(&mut self, to: PeerAddr, lane: Lane, msg: &M) {
        let sent = self.askers.get_mut(&to).is_some_and(|asker| {
            let queued_bytes = asker.outlet.queued_bytes() + asker.frames.len();
            queue(&mut asker.frames, queued_bytes, lane, msg)
        });
        if !sent {
            return add(&self.inbox.counters.peer_messages_dropped, 1);
        }
        add(&self.inbox.counters.peer_messages_sent, 1);
        if let Some(asker) = self.askers.get_mut(&to).filter(|asker| !asker.dirty) {
            asker.dirty = true;
            self.dirty_askers.push(to);
        }
    }

    /// Starts to dial.
    fn open(&mut self, key: (PeerAddr, Lane), now: Mono) {
        let gate = Rc::new(Gate::default());
        let outlet = Outlet::new(None, gate.clone());
        let nudge = Rc::new(Nudge::default());
        let path = Path {
            state: State::Dialling,
            dial: 0,
            outlet,
            nudge: nudge.clone(),
            frames: Vec::new(),
            used: now,
            dirty: false,
        };
        self.paths.insert(key.clone(), path);
        let dialler = Dialler {
            platform: self.platform.clone(),
            inbox: self.inbox.clone(),
            advertised: self.advertised.clone(),
            peer: key.0,
            lane: key.1,
            gate,
            nudge,
            jitter: Rng::from_u64(self.jitter.next_u64()),
            // Dials of one path are numbered from here; no two paths share a number.
            dial: self.next_dial << 32,
        };
        self.next_dial += 1;
        self.platform.spawn(dialler.run());
    }

    pub fn dialled(
        &mut self,
        peer: PeerAddr,
        lane: Lane,
        dial: u64,
        writer: P::Writer,
    ) -> Option<Event<M>> {
        let path = self.paths.get_mut(&(peer.clone(), lane))?;
        path.state = State::Up;
        path.dial = dial;
        path.outlet.put_back(writer);
        if !path.dirty {
            path.dirty = true;
            self.dirty.push((peer.clone(), lane));
        }
        tracing::debug!(peer = %peer.0, ?lane, "connected to a peer");
        (lane == Lane::Fast).then_some(Event::LinkUp { peer })
    }

    /// Nobody answers: what waits is too old by the time somebody does.
    pub fn dial_failed(&mut self, peer: PeerAddr, lane: Lane, now: Mono) {
        add(&self.inbox.counters.peer_dials_failed, 1);
        let key = (peer, lane);
        let Some(path) = self.paths.get_mut(&key) else { return };
        path.outlet.reset();
        path.frames.clear();
        if now.since(path.used) >= UNUSED_MAX {
            path.outlet.gate().shut();
            self.paths.remove(&key);
        }
    }

    /// The peer has dialled here: it can be dialled.
    pub fn peer_came(&self, peer: &PeerAddr) {
        let lanes = [Lane::Fast, Lane::Bulk].map(|lane| self.paths.get(&(peer.clone(), lane)));
        let dialling = lanes.into_iter().flatten().filter(|path| path.state == State::Dialling);
        dialling.for_each(|path| path.nudge.give());
    }

    /// The connection of `dial` has ended; its dialler tries anew.
    pub fn hung(&mut self, peer: PeerAddr, lane: Lane, dial: u64) -> Option<Event<M>> {
        let path = self.paths.get_mut(&(peer.clone(), lane))?;
        if path.dial != dial || path.state != State::Up {
            return None;
        }
        path.state = State::Dialling;
        path.outlet.reset();
        path.frames.clear();
        tracing::debug!(peer = %peer.0, ?lane, "lost the connection to a peer");
        (lane == Lane::Fast).then_some(Event::LinkDown { peer })
    }

    /// A blocked connection has written everything.
    pub fn drained(&mut self, peer: PeerAddr, lane: Lane, dial: u64, writer: P::Writer) {
        let Some(path) = self.paths.get_mut(&(peer.clone(), lane)) else { return };
        if path.dial == dial && path.state == State::Up {
            path.outlet.put_back(writer);
            if !path.dirty {
                path.dirty = true;
                self.dirty.push((peer, lane));
            }
        }
    }

    pub fn asker_came(&mut self, asker: PeerAddr, writer: P::Writer, gate: Rc<Gate>) -> Event<M> {
        let outlet = Outlet::new(Some(writer), gate);
        self.askers.insert(asker.clone(), Asker { outlet, frames: Vec::new(), dirty: false });
        Event::LinkUp { peer: asker }
    }

    pub fn asker_gone(&mut self, asker: PeerAddr) -> Option<Event<M>> {
        let gone = self.askers.remove(&asker)?;
        gone.outlet.gate().shut();
        Some(Event::LinkDown { peer: asker })
    }

    pub fn asker_drained(&mut self, asker: PeerAddr, writer: P::Writer) {
        let Some(held) = self.askers.get_mut(&asker) else { return };
        held.outlet.put_back(writer);
        if !held.dirty {
            held.dirty = true;
            self.dirty_askers.push(asker);
        }
    }

    /// One write for each connection of this turn; appends the links that turned out broken.
    pub fn flush(&mut self, events: &mut Vec<Event<M>>) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for (peer, lane) in dirty.drain(..) {
            let Some(path) = self.paths.get_mut(&(peer.clone(), lane)) else { continue };
            path.dirty = false;
            path.outlet.push(Bytes::from(std::mem::take(&mut path.frames)));
            let dial = path.dial;
            let id = || OutletId::Peer { peer: peer.clone(), lane, dial };
            if path.outlet.flush(&self.platform, &self.inbox, id).is_err() {
                // The dialler reads the same failure and dials again.
                events.extend(self.hung(peer, lane, dial));
            }
        }
        self.dirty = dirty;
        for asker in std::mem::take(&mut self.dirty_askers) {
            let Some(held) = self.askers.get_mut(&asker) else { continue };
            held.dirty = false;
            held.outlet.push(Bytes::from(std::mem::take(&mut held.frames)));
            let id = || OutletId::Asker(asker.clone());
            if held.outlet.flush(&self.platform, &self.inbox, id).is_err() {
                events.extend(self.asker_gone(asker));
            }
        }
    }
}

/// Appends a message's frame unless the queue is full or the message too large.
fn queue<M: Wire>(frames: &mut Vec<u8>, queued_bytes: usize, lane: Lane, msg: &M) -> bool {
    if queued_bytes >= QUEUE_BYTES_MAX {
        return false;
    }
    match frame::append(frames, Kind::Message(lane), |out| msg.encode(out)) {
        Ok(()) => true,
        Err(error) => {
            tracing::error!(%error, "a message to a peer cannot be sent");
            false
        }
    }
}

/// Ends a dialler's wait before its time.
#[derive(Debug, Default)]
struct Nudge {
    given: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Nudge {
    fn give(&self) {
        self.given.set(true);
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Waits for `sleep` to end, or for a nudge: whether it was one.
    async fn cuts_short(&self, sleep: impl Future<Output = ()>) -> bool {
        let mut sleep = pin!(sleep);
        poll_fn(|context| {
            if self.given.take() {
                return Poll::Ready(true);
            }
            self.waiting.replace(Some(context.waker().clone()));
            sleep.as_mut().poll(context).map(|()| false)
        })
        .await
    }
}

/// Keeps one path connected.
struct Dialler<P: Platform, M> {
    platform: P,
    inbox: Rc<Inbox<P, M>>,
    advertised: PeerAddr,
    peer: PeerAddr,
    lane: Lane,
    gate: Rc<Gate>,
    nudge: Rc<Nudge>,
    jitter: Rng,
    dial: u64,
}

impl<P: Platform, M: Wire> Dialler<P, M> {
    async fn run(mut self) {
        let mut backoff = BACKOFF_MIN;
        while !self.gate.is_shut() {
            self.dial += 1;
            let (peer, lane, dial) = (self.peer.clone(), self.lane, self.dial);
            let mut connected = false;
            match self.connect().await {
                Ok((mut reader, writer)) => {
                    connected = true;
                    self.inbox.push(Input::Dialled { peer: peer.clone(), lane, dial, writer });
                    if self.hold(&mut reader).await {
                        backoff = BACKOFF_MIN;
                    }
                    self.inbox.push(Input::Hung { peer, lane, dial });
                }
                Err(error) => {
                    tracing::debug!(peer = %peer.0, %error, "cannot connect to a peer");
                    self.inbox.push(Input::DialFailed { peer, lane });
                }
            }
            // Strangers may claim to be the peer as often as they like.
            let least = self.jittered(BACKOFF_MIN);
            self.platform.sleep(least).await;
            let rest = self.jittered(backoff - BACKOFF_MIN);
            if connected {
                // Two that hang up on each other would never rest.
                self.platform.sleep(rest).await;
                self.nudge.given.set(false);
            } else if self.nudge.cuts_short(self.platform.sleep(rest)).await {
                backoff = BACKOFF_MIN;
                continue;
            }
            backoff = (backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// Half of it at least.
    fn jittered(&mut self, time: Duration) -> Duration {
        let half = time.as_nanos() as u64 / 2;
        Duration::from_nanos(half + self.jitter.below(half + 1))
    }

    async fn connect(&self) -> io::Result<(P::Reader, P::Writer)> {
        let (reader, mut writer) = self.platform.connect(&self.peer.0).await?;
        let mut hello = frame::hello(Some(&self.advertised)).map_err(io::Error::other)?;
        poll_fn(|context| {
            while !hello.is_empty() {
                match writer.poll_write(context, &[IoSlice::new(&hello)]) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    Poll::Ready(Ok(bytes)) => hello.advance(bytes),
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        Ok((reader, writer))
    }

    /// Waits for the connection's end. Whether it lasted a while.
    async fn hold(&self, reader: &mut P::Reader) -> bool {
        let start = self.platform.now().mono;
        poll_fn(|context| {
            if let Poll::Ready(Err(_)) = self.gate.poll_may_read(context) {
                return Poll::Ready(());
            }
            // A peer sends nothing on a connection that it did not dial.
            self.inbox.poll_read(reader, context, |_| ()).map(|_| ())
        })
        .await;
        self.platform.now().mono.since(start) >= BACKOFF_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use super::*;

    #[test]
    fn a_nudge_ends_a_wait_once_and_is_not_missed_before_it() {
        let nudge = Nudge::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut waits = |nudge: &Nudge| {
            let mut wait = Box::pin(nudge.cuts_short(std::future::pending()));
            let first = wait.as_mut().poll(&mut context);
            nudge.give();
            (first, wait.as_mut().poll(&mut context))
        };
        assert_eq!(waits(&nudge), (Poll::Pending, Poll::Ready(true)));
        assert_eq!(waits(&nudge), (Poll::Pending, Poll::Ready(true)));
        nudge.give();
        assert_eq!(pin!(nudge.cuts_short(async {})).poll(&mut context), Poll::Ready(true));
        assert_eq!(pin!(nudge.cuts_short(async {})).poll(&mut context), Poll::Ready(false));
    }
}
