//! One instance, the only one of its cluster, with a disk in memory and one client.
//!
//! Time is counted, not read: a turn takes [`TURN_NS`], and an instance that waits is at once where
//! its wait ends. What a turn asked of the disk is done before the next one. So an insert takes two
//! turns, one until its log entry is written and one that answers, a read takes one.

use std::collections::BTreeMap;

use basalt_core::base::ConnId;
use basalt_core::instance::{Config, Instance, Limits, Msg, Times};
use basalt_core::pgwire::client::{self, Client, ClientEvent, Login, Reply};
use basalt_core::seam::{ConnKind, Effect, Effects, Event, Inspect, Mono, Now, Wall};
use basalt_fuzz::memory_disk::MemoryDisk;
use bytes::{Bytes, BytesMut};

use crate::statements::Exchange;

const TURN_NS: u64 = 10_000;
/// More than any one thing here takes.
const TURNS_MAX: usize = 100_000;
const WALL_AT_ZERO: u64 = 1_700_000_000_000_000;
const CONN: ConnId = ConnId(1);

/// See the module.
pub struct World {
    instance: Instance,
    disk: MemoryDisk,
    now_ns: u64,
    /// When the instance wants to be called again.
    wake: Mono,
    /// For the next turn.
    events: Vec<Event<Msg>>,
    effects: Effects<Msg>,
    /// What the client was sent since it last sent something.
    output: Vec<u8>,
}

impl World {
    /// Starts an instance on a disk, empty or of an earlier life, and runs it until it is ready.
    pub fn start(disk: MemoryDisk, now_ns: u64) -> World {
        let mut world = World {
            instance: Instance::new(config(), [7; 32]),
            disk,
            now_ns,
            wake: Mono::NEVER,
            events: vec![Event::Boot],
            effects: Effects::new(),
            output: Vec::new(),
        };
        for _ in 0..TURNS_MAX {
            world.turn();
            if world.inspect(Inspect::Health).contains("\"ready\":true") {
                return world;
            }
        }
        panic!("not ready after {TURNS_MAX} turns");
    }

    /// Connects the client, as the superuser. The connection is what is needed later to ask anything.
    pub fn connect(&mut self) -> Client {
        let kind = ConnKind::Admin;
        self.events.push(Event::Accepted { conn: CONN, kind, remote: "bench".into() });
        let login = Login { user: "admin", database: "basalt", password: None, nonce: "nonce" };
        let mut client = Client::new(login);
        let mut startup = BytesMut::new();
        client.startup(&mut startup);
        let event = self.converse(&mut client, startup);
        assert_eq!(event, ClientEvent::Ready);
        client
    }

    /// Asks one query in the simple protocol, which must succeed.
    pub fn query(&mut self, client: &mut Client, sql: &str) -> Reply {
        let mut request = BytesMut::new();
        client::query(&mut request, sql);
        match self.converse(client, request) {
            ClientEvent::Reply(reply) if reply.error.is_none() => reply,
            other => panic!("{sql}: {other:?}"),
        }
    }

    fn converse(&mut self, client: &mut Client, request: BytesMut) -> ClientEvent {
        self.send(request.freeze());
        for _ in 0..TURNS_MAX {
            self.turn();
            let output = Bytes::from(std::mem::take(&mut self.output));
            client.receive(output, &mut BytesMut::new()).expect("the protocol is kept");
            if let Some(event) = client.event() {
                return event;
            }
        }
        panic!("no answer after {TURNS_MAX} turns");
    }

    /// Sends a request and runs until all of its reply is there, which is compared byte for byte.
    pub fn exchange(&mut self, exchange: &Exchange) {
        self.send(exchange.request.clone());
        for _ in 0..TURNS_MAX {
            self.turn();
            if self.output.len() >= exchange.reply.len() {
                break;
            }
        }
        let (output, reply) = (&self.output, &exchange.reply);
        assert!(output == reply, "{}\nis not\n{}", output.escape_ascii(), reply.escape_ascii());
    }

    /// What the instance answers to a question of its shell.
    pub fn inspect(&mut self, what: Inspect) -> String {
        let mut effects = Effects::new();
        self.instance.step(self.now(), Event::Inspect { request: 1, what }, &mut effects);
        match effects.pop() {
            Some(Effect::Inspected { body, .. }) => body,
            other => panic!("{other:?} in answer to {what:?}"),
        }
    }

    /// A copy of all files, as a next life finds them.
    pub fn copy_disk(&self) -> MemoryDisk {
        let mut copy = MemoryDisk::default();
        for (path, content) in self.disk.files() {
            copy.put(path.to_owned(), content.to_vec());
        }
        copy
    }

    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.now_ns), wall: Wall(WALL_AT_ZERO + self.now_ns / 1000) }
    }

    fn send(&mut self, bytes: Bytes) {
        self.output.clear();
        self.events.push(Event::Bytes { conn: CONN, bytes });
    }

    fn turn(&mut self) {
        self.now_ns += TURN_NS;
        if self.events.is_empty() {
            assert!(self.wake < Mono::NEVER, "nothing will ever happen again");
            self.now_ns = self.now_ns.max(self.wake.0);
        }
        let now = self.now();
        let mut effects = std::mem::take(&mut self.effects);
        for event in self.events.drain(..) {
            self.instance.step(now, event, &mut effects);
        }
        if self.wake <= now.mono {
            self.wake = Mono::NEVER;
            self.instance.step(now, Event::Tick, &mut effects);
        }
        self.instance.end_turn(now, &mut effects);
        effects.drain(..).for_each(|effect| self.carry_out(effect));
        self.effects = effects;
    }

    fn carry_out(&mut self, effect: Effect<Msg>) {
        match effect {
            Effect::Write { conn, bytes } => {
                self.output.extend_from_slice(&bytes);
                self.events.push(Event::Flushed { conn, bytes: bytes.len() });
            }
            Effect::Disk { op, what } => {
                let result = self.disk.carry_out(what);
                self.events.push(Event::DiskDone { op, result });
            }
            Effect::Wake { at } => self.wake = at,
            // The client waits for its answers anyway.
            Effect::Throttle { .. } => {}
            effect => panic!("an instance alone and in good health wants {effect:?}"),
        }
    }
}

/// As `basalt run` with no option.
fn config() -> Config {
    Config {
        address: "i1:3301".into(),
        pg_address: "i1:4327".into(),
        http_address: String::new(),
        peers: Vec::new(),
        cluster_name: None,
        instance_name: None,
        replicaset_name: None,
        tier: "default".into(),
        replication_factor: 1,
        failure_domain: BTreeMap::new(),
        limits: Limits::default(),
        times: Times::default(),
    }
}
