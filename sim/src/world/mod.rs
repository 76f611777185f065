//! The world: machines, network and clients under one clock of true time.
//!
//! ```text
//!            ┌────────────── queue: (time, sequence) → happening ◄─────────────┐
//!            ▼                                                                 │
//!   pop the earliest ──► link │ disk │ timer │ client bytes │ fault │ phase    │
//!            │                └──► event into a process' inbox ──► turn        │
//!            │                                                      │          │
//!            └── checks look at the members of groups ◄── step …, end_turn     │
//!                                                           └── effects ───────┘
//! ```
//! A process works in turns: everything in its inbox, then `end_turn`, under one reading of its
//! clocks, as the production shell does. Time between happenings costs nothing.

mod blackout;
mod breakage;
mod connections;
mod healing;
mod host;
mod phases;
mod processes;
mod shadow;
mod turns;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use basalt_core::base::OpId;
use basalt_core::seam::{Effects, PeerAddr, Rng, Trace};

use crate::check::{Check, Excuses, Failure, Monitor};
use crate::clock::Clock;
use crate::disk::{Disk, Latency};
use crate::faults::{Kind, Struck};
use crate::network::{LinkEvent, Network};
use crate::node::{Identity, Node};
use crate::plan::{Fault, Plan};
use crate::queue::Queue;
use crate::workload::{Client, History};
use connections::Connection;
use host::Host;
use phases::{Phase, Recovery};

/// Something due at a time.
#[derive(Debug)]
pub enum Happening {
    Turn {
        host: u16,
        incarnation: u32,
    },
    Wake {
        host: u16,
        incarnation: u32,
    },
    Link {
        link: u32,
        epoch: u32,
        event: LinkEvent,
    },
    Disk {
        host: u16,
        incarnation: u32,
        op: OpId,
        token: u64,
    },
    /// A client's dial reaches its instance.
    Dial {
        connection: u32,
    },
    Dialled {
        connection: u32,
    },
    ToNode {
        connection: u32,
    },
    ToClient {
        connection: u32,
    },
    ClientClosed {
        connection: u32,
    },
    NodeClosed {
        connection: u32,
    },
    ClientTimer {
        client: u16,
        at_ns: u64,
    },
    FaultBegins {
        fault: u32,
    },
    FaultEnds {
        fault: u32,
    },
    /// A power failure that found nothing to strike at waits no longer.
    PowerFails {
        host: u16,
        fault: u32,
    },
    Restart {
        host: u16,
        incarnation: u32,
    },
    Sample,
    PhaseCheck,
}

/// How often samples of state are taken.
const SAMPLE_NS: u64 = 250_000_000;
/// Trace digests are kept every so many events and effects.
pub const CHECKPOINT_EVERY: u64 = 4_096;

/// Takes one line for each event and effect: true time, instance, text.
pub type Recorder<'a> = &'a mut (dyn FnMut(u64, u16, String) + 'a);

/// Where each machine is reached: few, so they are looked through.
struct Addresses(Vec<(PeerAddr, u16)>);

impl Addresses {
    fn get(&self, address: &PeerAddr) -> Option<u16> {
        // An address comes from here nearly always.
        let same = self.0.iter().find(|(known, _)| Arc::ptr_eq(&known.0, &address.0));
        same.or_else(|| self.0.iter().find(|(known, _)| known == address)).map(|(_, host)| *host)
    }
}

/// A cluster, its clients and everything that can go wrong with them.
pub struct World<'a, N: Node> {
    plan: &'a Plan,
    now_ns: u64,
    queue: Queue<Happening>,
    root: Rng,
    trace: Trace,
    checkpoints: Vec<u64>,
    recorder: Option<Recorder<'a>>,
    hosts: Vec<Host<N>>,
    by_address: Addresses,
    network: Network,
    effects: Effects<N::Msg>,
    encoded: Vec<u8>,
    clients: Vec<Client<N::Wire>>,
    /// When each client wants to be woken.
    client_wake_ns: Vec<u64>,
    client_connection: Vec<Option<u32>>,
    /// Clients that know one instance only.
    stays_with: BTreeMap<u16, u16>,
    connections: Vec<Connection>,
    history: History,
    /// Who alone has healed, once faults are over; `None` where everything has.
    chosen_core: Option<Vec<u16>>,
    /// Faults at work, and the leader at their start.
    active: Vec<(u32, Fault, Option<u16>)>,
    phase: Phase,
    recovery: Recovery,
    /// True time at which faults may begin.
    chaos_begins_ns: u64,
    monitor: Monitor,
    excuses: Excuses,
    failure: Option<Failure>,
    story: Vec<String>,
    happenings: u64,
    samples: u64,
    struck: Struck,
}

/// Everything a run leaves behind.
#[derive(Debug)]
pub struct Finished {
    pub failure: Option<Failure>,
    pub trace_hash: u64,
    pub checkpoints: Vec<u64>,
    /// Happenings taken from the queue, and events and effects that crossed the seam.
    pub happenings: u64,
    pub events: u64,
    pub simulated_ns: u64,
    /// How often a fault of each kind did something.
    pub struck: Struck,
    pub history: History,
    pub story: Vec<String>,
}

impl<'a, N: Node> World<'a, N> {
    pub fn new(plan: &'a Plan, recorder: Option<Recorder<'a>>) -> World<'a, N> {
        let root = Rng::from_u64(plan.seed);
        let hosts: Vec<Host<N>> = identities(plan)
            .into_iter()
            .map(|identity| {
                let mut rng = root.fork(&format!("clock/{}", identity.name));
                let offset_us = rng.below(200_001) as i64 - 100_000;
                let clock = Clock::new(rng.below(1_000_000_000_000), offset_us);
                let disk_rng = root.fork(&format!("disk/{}", identity.name));
                let mut disk = Disk::new(disk_rng, Latency::default());
                disk.keep_previous = plan.faults.iter().any(|f| f.kind == Kind::DiskStaleRead);
                let late = u32::from(plan.joins_late(identity.node));
                Host { held_down: late, ..Host::new(identity, clock, disk) }
            })
            .collect();
        let by_address = Addresses(
            hosts.iter().map(|host| (host.identity.address.clone(), host.identity.node)).collect(),
        );
        World {
            plan,
            now_ns: 0,
            queue: Queue::default(),
            network: Network::new(&plan.topology, &root),
            trace: Trace::new(),
            checkpoints: Vec::new(),
            recorder,
            by_address,
            effects: Vec::new(),
            encoded: Vec::new(),
            clients: Vec::new(),
            client_wake_ns: Vec::new(),
            client_connection: Vec::new(),
            stays_with: BTreeMap::new(),
            connections: Vec::new(),
            history: History::default(),
            chosen_core: None,
            active: Vec::new(),
            phase: Phase::Setup,
            recovery: Recovery::default(),
            chaos_begins_ns: 0,
            monitor: Monitor::new(hosts.len(), Excuses::of(plan)),
            excuses: Excuses::of(plan),
            failure: None,
            story: Vec::new(),
            happenings: 0,
            samples: 0,
            struck: Struck::default(),
            hosts,
            root,
        }
    }

    /// Carries out the plan to its end or to the first failure. `last_panic` tells what the panic
    /// just caught said.
    pub fn run(mut self, last_panic: &dyn Fn() -> String) -> Finished {
        // After a panic only what the world itself wrote down is looked at.
        if catch_unwind(AssertUnwindSafe(|| self.run_to_end())).is_err() {
            self.fail(Check::Crash, last_panic());
        }
        self.finish()
    }

    fn run_to_end(&mut self) {
        self.begin();
        while self.failure.is_none() && self.phase != Phase::Over {
            let Some((at_ns, happening)) = self.queue.pop() else {
                self.fail(Check::Liveness, "nothing will ever happen again".to_owned());
                return;
            };
            self.now_ns = at_ns;
            self.happenings += 1;
            self.happen(happening);
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Turn { host, incarnation } => self.turn(host, incarnation),
            Happening::Wake { host, incarnation } => self.check_wake(host, incarnation),
            Happening::Link { link, epoch, event } => self.link_event(link, epoch, event),
            Happening::Disk { host, incarnation, op, token } => {
                self.disk_done(host, incarnation, op, token);
            }
            Happening::Dial { connection } => self.dial_arrives(connection),
            Happening::Dialled { connection } => self.dialled(connection),
            Happening::ToNode { connection } => self.bytes_to_node(connection),
            Happening::ToClient { connection } => self.bytes_to_client(connection),
            Happening::ClientClosed { connection } => self.client_sees_close(connection),
            Happening::NodeClosed { connection } => self.node_sees_close(connection),
            Happening::ClientTimer { client, at_ns } => self.client_timer(client, at_ns),
            Happening::FaultBegins { fault } => self.fault_begins(fault),
            Happening::FaultEnds { fault } => self.fault_ends(fault),
            Happening::PowerFails { host, fault } => self.power_fails_at_last(host, fault),
            Happening::Restart { host, incarnation } => self.restart(host, incarnation),
            Happening::Sample => self.sample(),
            Happening::PhaseCheck => self.check_phase(),
        }
    }

    fn sample(&mut self) {
        self.queue.push(self.now_ns + SAMPLE_NS, Happening::Sample);
        for host in &self.hosts {
            if let Some(process) = &host.process {
                self.monitor.sample(host.identity.node, &process.node);
            }
        }
        self.take_failure();
        self.shadow_when_due();
        self.expel_on();
        if matches!(self.phase, Phase::Setup | Phase::Heal) {
            self.check_phase();
        }
    }

    /// The first failure counts; what comes after may be its consequence. One that a lie of the
    /// hardware excuses does not count, and the run goes on.
    fn fail(&mut self, check: Check, message: String) {
        if self.failure.is_none() && !self.excuses.cover(check) {
            self.tell(format!("FAILED {}: {message}", check.name()));
            self.failure = Some(Failure { check, message });
        }
    }

    fn take_failure(&mut self) {
        if let Some(failure) = self.monitor.take_failure() {
            self.fail(failure.check, failure.message);
        }
    }

    fn tell(&mut self, what: String) {
        let (s, us) = (self.now_ns / 1_000_000_000, self.now_ns / 1_000 % 1_000_000);
        self.story.push(format!("{s:>4}.{us:06} {what}"));
    }

    fn finish(self) -> Finished {
        let mut struck = self.struck;
        struck.add(&self.network.struck);
        self.hosts.iter().for_each(|host| struck.add(&host.disk.struck));
        let mut trace = self.trace;
        let mut outcome = String::new();
        for entry in &self.history.entries {
            trace.number(entry.time_ns);
            outcome.clear();
            write!(outcome, "{:?}", entry.outcome).expect("a string takes what is written to it");
            trace.bytes(outcome.as_bytes());
        }
        Finished {
            failure: self.failure,
            trace_hash: trace.digest(),
            checkpoints: self.checkpoints,
            happenings: self.happenings,
            events: trace.count(),
            simulated_ns: self.now_ns,
            struck,
            history: self.history,
            story: self.story,
        }
    }
}

fn identities(plan: &Plan) -> Vec<Identity> {
    let count = plan.topology.nodes.len() as u16;
    let peers: Vec<PeerAddr> = (1..=count).map(|k| PeerAddr::new(format!("n{k}:3301"))).collect();
    (0..count)
        .zip(&plan.topology.nodes)
        .map(|(node, dc)| Identity {
            node,
            name: format!("n{}", node + 1),
            address: peers[usize::from(node)].clone(),
            peers: peers.clone(),
            dc: *dc,
            replication_factor: plan.topology.replication_factor,
            one_in_each_dc: plan.topology.has_one_in_each_dc(),
            may_bootstrap: node == 0,
            limits: plan.limits.clone(),
            canaries: plan.canaries.clone(),
        })
        .collect()
}
