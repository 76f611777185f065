//! One instance's loop: wait, gather, step, carry out, flush.
//!
//! Waiting goes in three stages. Work at hand: no wait. After a turn that served one or two callers,
//! who are likely to answer at once, the sockets are polled for [`Config::spin`] before sleeping: a
//! sleeping core takes longer to wake than such a caller to answer. Turns of more callers sleep at
//! once, since sleeping gathers a batch. Spinning that keeps being in vain is tried less and less.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use basalt_core::base::OpId;
use basalt_core::seam::{
    ConnKind, DiskResult, Effect, Effects, Event, Mono, Now, PeerAddr, StopReason,
};
use tokio::sync::oneshot;

use crate::clients::{self, Clients};
use crate::counters::add;
use crate::doorbell::Doorbell;
use crate::inbox::{Inbox, Input, OutletId};
use crate::links::Links;
use crate::machine::Machine;
use crate::mailbox::Neighbours;
use crate::platform::{Disk, Endpoint, Listener, Platform};
use crate::{http, inbound};

/// Connections of peers at once: two lanes of more instances than a cluster has.
pub const PEER_CONNECTIONS_MAX: usize = 8192;
/// Callers in a turn up to which the reactor spins before it sleeps.
const SPIN_CALLERS_MAX: usize = 2;

/// Where a reactor listens and how it behaves.
#[derive(Clone, Debug)]
pub struct Config {
    /// `host:port` for peers.
    pub listen: String,
    /// What other instances dial; the address bound if absent.
    pub advertise: Option<String>,
    pub pg_listen: Option<String>,
    pub http_listen: Option<String>,
    pub admin_socket: Option<PathBuf>,
    /// PostgreSQL connections beyond this are refused.
    pub connections_max: usize,
    /// Connections of peers beyond this are closed.
    pub peer_connections_max: usize,
    /// How long to poll before sleeping; zero never spins.
    pub spin: Duration,
}

/// The addresses a reactor got.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    pub listen: String,
    pub advertise: PeerAddr,
    pub pg: Option<String>,
    pub http: Option<String>,
    pub admin: Option<String>,
}

/// Why a reactor could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address} for {what}: {source}")]
    Listen { what: &'static str, address: String, source: io::Error },
    #[error("cannot start the thread of an instance: {0}")]
    Thread(io::Error),
    #[error("cannot pin an instance to core {core}: {source}")]
    Pin { core: usize, source: io::Error },
}

struct Listeners<P: Platform> {
    peer: P::Listener,
    pg: Option<P::Listener>,
    http: Option<P::Listener>,
    admin: Option<P::Listener>,
}

/// Listens, makes the machine with `make` and runs it until it stops.
///
/// `make` gets the bound addresses and fresh randomness, and runs before the first event.
pub async fn run<P: Platform, M: Machine>(
    platform: P,
    config: Config,
    neighbours: Neighbours<M::Msg>,
    make: impl FnOnce(&Bound, [u8; 32]) -> M,
) -> Result<StopReason, StartError> {
    let listeners = Listeners::open(&platform, &config).await?;
    let disk = platform.disk(neighbours.doorbell().clone()).map_err(StartError::Thread)?;
    let bound = listeners.bound(&config);
    let machine = make(&bound, platform.seed());
    let inbox = Rc::new(Inbox::new(neighbours.doorbell().clone()));
    listeners.serve(&platform, &inbox, config.peer_connections_max);
    let reactor =
        Reactor::new(platform, inbox, disk, machine, &config, bound.advertise, neighbours);
    Ok(reactor.run().await)
}

impl<P: Platform> Listeners<P> {
    async fn open(platform: &P, config: &Config) -> Result<Listeners<P>, StartError> {
        let tcp = |address: &String| Endpoint::Tcp(address.clone());
        let peer = listen(platform, "peers", tcp(&config.listen)).await?;
        let mut listeners = Listeners { peer, pg: None, http: None, admin: None };
        if let Some(address) = &config.pg_listen {
            listeners.pg = Some(listen(platform, "PostgreSQL clients", tcp(address)).await?);
        }
        if let Some(address) = &config.http_listen {
            listeners.http = Some(listen(platform, "HTTP", tcp(address)).await?);
        }
        if let Some(path) = &config.admin_socket {
            let endpoint = Endpoint::Unix(path.clone());
            listeners.admin = Some(listen(platform, "the admin console", endpoint).await?);
        }
        Ok(listeners)
    }

    fn bound(&self, config: &Config) -> Bound {
        let listen = self.peer.address();
        let address = |listener: &Option<P::Listener>| listener.as_ref().map(Listener::address);
        Bound {
            advertise: PeerAddr::new(config.advertise.clone().unwrap_or_else(|| listen.clone())),
            listen,
            pg: address(&self.pg),
            http: address(&self.http),
            admin: address(&self.admin),
        }
    }

    fn serve<M: crate::machine::Wire>(
        self,
        platform: &P,
        inbox: &Rc<Inbox<P, M>>,
        peers_max: usize,
    ) {
        let (p, i) = (|| platform.clone(), || inbox.clone());
        platform.spawn(inbound::accept(p(), i(), self.peer, peers_max));
        if let Some(listener) = self.pg {
            platform.spawn(clients::accept(p(), i(), listener, ConnKind::Postgres));
        }
        if let Some(listener) = self.admin {
            platform.spawn(clients::accept(p(), i(), listener, ConnKind::Admin));
        }
        if let Some(listener) = self.http {
            platform.spawn(http::accept(p(), i(), listener));
        }
    }
}

async fn listen<P: Platform>(
    platform: &P,
    what: &'static str,
    endpoint: Endpoint,
) -> Result<P::Listener, StartError> {
    platform.listen(&endpoint).await.map_err(|source| {
        let address = match endpoint {
            Endpoint::Tcp(address) => address,
            Endpoint::Unix(path) => path.display().to_string(),
        };
        StartError::Listen { what, address, source }
    })
}

struct Reactor<P: Platform, M: Machine> {
    platform: P,
    inbox: Rc<Inbox<P, M::Msg>>,
    doorbell: Arc<Doorbell>,
    disk: P::Disk,
    machine: M,
    clients: Clients<P, M::Msg>,
    links: Links<P, M::Msg>,
    neighbours: Neighbours<M::Msg>,
    advertise: PeerAddr,
    inspections: BTreeMap<u64, oneshot::Sender<String>>,
    next_inspection: u64,
    timer: Timer,
    spin: Spin,
    /// The next turn's events, as far as known.
    events: Vec<Event<M::Msg>>,
    /// Empty between turns; kept for their memory.
    inputs: Vec<Input<P, M::Msg>>,
    completions: Vec<(OpId, DiskResult)>,
    effects: Effects<M::Msg>,
}

impl<P: Platform, M: Machine> Reactor<P, M> {
    fn new(
        platform: P,
        inbox: Rc<Inbox<P, M::Msg>>,
        disk: P::Disk,
        machine: M,
        config: &Config,
        advertise: PeerAddr,
        neighbours: Neighbours<M::Msg>,
    ) -> Reactor<P, M> {
        let mut events = vec![Event::Boot];
        events.extend(neighbours.addresses().map(|peer| Event::LinkUp { peer: peer.clone() }));
        Reactor {
            doorbell: neighbours.doorbell().clone(),
            disk,
            machine,
            clients: Clients::new(platform.clone(), inbox.clone(), config.connections_max),
            links: Links::new(platform.clone(), inbox.clone(), advertise.clone()),
            neighbours,
            advertise,
            inspections: BTreeMap::new(),
            next_inspection: 1,
            timer: Timer { at: Mono::NEVER, armed: None },
            spin: Spin { limit: config.spin, callers: 0, misses: 0, skip: 0 },
            events,
            inputs: Vec::new(),
            completions: Vec::new(),
            effects: Vec::new(),
            platform,
            inbox,
        }
    }

    async fn run(mut self) -> StopReason {
        loop {
            self.wait().await;
            if let Some(reason) = self.turn() {
                return reason;
            }
        }
    }

    fn has_work(&self) -> bool {
        !self.events.is_empty()
            || !self.inbox.is_empty()
            || self.disk.has_done()
            || self.neighbours.has_news()
            || self.doorbell.shutdown_requested()
            || (self.timer.at != Mono::NEVER && self.platform.now().mono >= self.timer.at)
    }

    async fn wait(&mut self) {
        if self.has_work() {
            // Turn after turn of the machine's own work: the sockets get a look between them.
            if self.inbox.is_empty() {
                self.platform.yield_now().await;
            }
            return;
        }
        if self.spin.is_worth_it() {
            let end = self.platform.now().mono + self.spin.limit;
            while self.platform.now().mono < end {
                self.platform.yield_now().await;
                if self.has_work() {
                    return self.spin.hit();
                }
            }
            self.spin.miss();
        }
        add(&self.inbox.counters.parks, 1);
        poll_fn(|context| self.poll_parked(context)).await;
    }

    fn poll_parked(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.doorbell.park(context.waker());
        if self.has_work() || self.timer.poll(&self.platform, context).is_ready() {
            self.doorbell.unpark();
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// One turn. Gives the reason if the machine stops.
    fn turn(&mut self) -> Option<StopReason> {
        self.gather();
        let now = self.platform.now();
        if now.mono >= self.timer.at {
            self.timer.at = Mono::NEVER;
            self.events.push(Event::Tick);
        }
        if self.events.is_empty() {
            return None;
        }
        self.step_all(now);
        let stop = self.carry_out(now.mono);
        self.clients.flush(&mut self.events);
        self.links.flush(&mut self.events);
        stop
    }

    fn gather(&mut self) {
        let mut inputs = std::mem::take(&mut self.inputs);
        self.inbox.take(&mut inputs);
        self.spin.callers = inputs.len();
        for input in inputs.drain(..) {
            let event = self.event_of(input);
            self.events.extend(event);
        }
        self.inputs = inputs;
        let (events, counters) = (&mut self.events, &self.inbox.counters);
        let mut gone = Vec::new();
        self.neighbours.receive(
            |from, msg| {
                add(&counters.peer_messages_received, 1);
                events.push(Event::Peer { from: from.clone(), msg });
            },
            |peer| gone.push(Event::LinkDown { peer: peer.clone() }),
        );
        events.append(&mut gone);
        self.disk.take_done(&mut self.completions);
        self.spin.callers += self.completions.len();
        let done = self.completions.drain(..);
        self.events.extend(done.map(|(op, result)| Event::DiskDone { op, result }));
        if self.doorbell.take_shutdown() {
            self.events.push(Event::Shutdown);
        }
    }

    /// What the machine has to know of an input, after the shell has done its part.
    fn event_of(&mut self, input: Input<P, M::Msg>) -> Option<Event<M::Msg>> {
        match input {
            Input::Accepted { kind, reader, writer, remote } => {
                self.clients.accept(kind, reader, writer, remote)
            }
            Input::Bytes { conn, bytes } => self.clients.heard(conn, bytes),
            Input::Gone { conn } => self.clients.gone(conn),
            Input::Drained { outlet, writer, bytes } => match outlet {
                OutletId::Client(conn) => self.clients.drained(conn, writer, bytes),
                OutletId::Peer { peer, lane, dial } => {
                    self.links.drained(peer, lane, dial, writer);
                    None
                }
                OutletId::Asker(asker) => {
                    self.links.asker_drained(asker, writer);
                    None
                }
            },
            Input::Broken { outlet } => match outlet {
                OutletId::Client(conn) => self.clients.gone(conn),
                OutletId::Peer { peer, lane, dial } => self.links.hung(peer, lane, dial),
                OutletId::Asker(asker) => self.links.asker_gone(asker),
            },
            Input::Dialled { peer, lane, dial, writer } => {
                self.links.dialled(peer, lane, dial, writer)
            }
            Input::DialFailed { peer, lane } => {
                self.links.dial_failed(peer, lane, self.platform.now().mono);
                None
            }
            Input::Hung { peer, lane, dial } => self.links.hung(peer, lane, dial),
            Input::PeerCame { peer } => {
                self.links.peer_came(&peer);
                None
            }
            Input::AskerCame { asker, writer, gate } => {
                Some(self.links.asker_came(asker, writer, gate))
            }
            Input::AskerGone { asker } => self.links.asker_gone(asker),
            Input::Peer { from, msg } => Some(Event::Peer { from, msg }),
            Input::Inspect { what, reply } => {
                let request = self.next_inspection;
                self.next_inspection += 1;
                self.inspections.insert(request, reply);
                Some(Event::Inspect { request, what })
            }
        }
    }

    fn step_all(&mut self, now: Now) {
        add(&self.inbox.counters.turns, 1);
        add(&self.inbox.counters.events, self.events.len());
        for event in self.events.drain(..) {
            self.machine.step(now, event, &mut self.effects);
        }
        self.machine.end_turn(now, &mut self.effects);
    }

    fn carry_out(&mut self, now: Mono) -> Option<StopReason> {
        let mut stop = None;
        let mut effects = std::mem::take(&mut self.effects);
        for effect in effects.drain(..) {
            match effect {
                Effect::Write { conn, bytes } => self.clients.write(conn, bytes),
                Effect::Send { to, lane, msg } if to == self.advertise => {
                    let _ = lane;
                    self.events.push(Event::Peer { from: to, msg });
                }
                Effect::Send { to, lane, msg } => match self.neighbours.send(&to, msg) {
                    Ok(true) => add(&self.inbox.counters.peer_messages_sent, 1),
                    Ok(false) => add(&self.inbox.counters.peer_messages_dropped, 1),
                    Err(msg) => self.links.send(to, lane, &msg, now),
                },
                Effect::Disk { op, what } => {
                    add(&self.inbox.counters.disk_operations, 1);
                    self.disk.submit(op, what);
                }
                Effect::Close { conn } => self.clients.close(conn),
                Effect::Throttle { conn, paused } => self.clients.throttle(conn, paused),
                Effect::Wake { at } => self.timer.at = at,
                Effect::Inspected { request, body } => {
                    if let Some(reply) = self.inspections.remove(&request) {
                        // The asker may have gone meanwhile.
                        let _ = reply.send(body);
                    }
                }
                Effect::Stop(reason) => stop = stop.or(Some(reason)),
            }
        }
        self.effects = effects;
        stop
    }
}

/// The one timer: when the machine wants its tick, and the sleep that is under way.
struct Timer {
    at: Mono,
    /// Set for a time at or before `at`, or not set. An early end only makes the reactor look.
    armed: Option<(Mono, Sleep)>,
}

type Sleep = Pin<Box<dyn Future<Output = ()>>>;

impl Timer {
    /// Ready when the sleep ended. Machines move their next tick often; a sleep that is early
    /// enough is kept, which spares most of the timer's upkeep.
    fn poll<P: Platform>(&mut self, platform: &P, context: &mut Context<'_>) -> Poll<()> {
        if self.at == Mono::NEVER {
            return Poll::Pending;
        }
        if self.armed.as_ref().is_none_or(|(armed, _)| *armed > self.at) {
            let (platform, duration) = (platform.clone(), self.at.since(platform.now().mono));
            self.armed = Some((self.at, Box::pin(async move { platform.sleep(duration).await })));
        }
        let Some((_, sleep)) = &mut self.armed else { return Poll::Pending };
        let polled = sleep.as_mut().poll(context);
        if polled.is_ready() {
            self.armed = None;
        }
        polled
    }
}

/// Whether to poll a little before sleeping.
struct Spin {
    limit: Duration,
    /// What the last turn served.
    callers: usize,
    /// Spins in vain since the last good one.
    misses: u32,
    /// Turns to go without.
    skip: u32,
}

impl Spin {
    const MISSES_MIN: u32 = 4;

    fn is_worth_it(&mut self) -> bool {
        if self.limit.is_zero() || !(1..=SPIN_CALLERS_MAX).contains(&self.callers) {
            return false;
        }
        if self.skip > 0 {
            self.skip -= 1;
            return false;
        }
        true
    }

    fn hit(&mut self) {
        self.misses = 0;
    }

    fn miss(&mut self) {
        self.misses = (self.misses + 1).min(Self::MISSES_MIN + 6);
        if self.misses > Self::MISSES_MIN {
            self.skip = 1 << (self.misses - Self::MISSES_MIN);
        }
    }
}
