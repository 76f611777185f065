//! The simulator's clients on madsim's network: they speak PostgreSQL's protocol, retry, and go
//! elsewhere when their instance does not answer.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use basalt_core::seam::Rng;
use basalt_net::platform::{Reader, Writer};
use basalt_sim::workload::{
    Client, History, Manner, Move, Op, PAIRS, PgWire, REGISTERS, Request, Role, Situation, Wire,
};
use madsim::time::timeout;

use crate::cluster::NODES;
use crate::platform::{Machine, elapsed_ns};
use crate::socket::{self, SimReader, SimWriter};

const ALL: [u16; NODES] = [0, 1, 2];

/// What the clients of a run share.
pub struct Scene {
    machines: Vec<Arc<Machine>>,
    pub history: RefCell<History>,
    /// Faults are over: no more pauses for thought.
    pub hurry: Cell<bool>,
    /// The first breach of the protocol.
    pub breach: RefCell<Option<String>>,
    running: Cell<usize>,
    /// What each client that still runs is at.
    states: RefCell<Vec<String>>,
}

impl Scene {
    pub fn new(machines: &[Arc<Machine>]) -> Rc<Scene> {
        Rc::new(Scene {
            machines: machines.to_vec(),
            history: RefCell::default(),
            hurry: Cell::new(false),
            breach: RefCell::default(),
            running: Cell::new(0),
            states: RefCell::default(),
        })
    }

    /// Sends a client on its way.
    pub fn spawn(self: &Rc<Scene>, role: Role, requests: Vec<Request>, think_us: u64, rng: &Rng) {
        let id = self.states.borrow().len() as u16;
        self.states.borrow_mut().push(String::new());
        self.running.set(self.running.get() + 1);
        let rng = rng.fork(&format!("client/c{id}"));
        let manner = Manner { has_password: true, tight: None };
        let client = Client::new(id, 0, role, requests, (think_us, manner), rng);
        let (scene, driven) = (self.clone(), Driver::new(client, self.clone()));
        madsim::task::spawn_local(async move {
            driven.run().await;
            scene.running.set(scene.running.get() - 1);
        });
    }

    pub fn all_done(&self) -> bool {
        self.running.get() == 0
    }

    /// What the clients that are not done are at.
    pub fn describe(&self) -> String {
        let states = self.states.borrow();
        states.iter().filter(|state| !state.is_empty()).cloned().collect::<Vec<_>>().join("; ")
    }
}

/// Requests that make the tables.
pub fn setup() -> Vec<Request> {
    (0..PgWire::setup_steps()).map(Request::Setup).collect()
}

/// Requests that read everything.
pub fn audit() -> Vec<Request> {
    PgWire::audit().into_iter().map(Request::Op).collect()
}

/// What one worker does: adds rows, writes and reads registers and pairs.
pub fn draw_work(client: u64, count: u64, rng: &mut Rng) -> Vec<Request> {
    let draw = |k: u64| {
        let unique = (client as i64 + 1) * 1_000_000 + k as i64;
        match rng.below(10) {
            0..=2 => Op::Insert { id: unique },
            3..=4 => Op::Write { key: rng.below(REGISTERS), value: unique },
            5..=6 => Op::Read { key: rng.below(REGISTERS) },
            7 => Op::PairWrite { pair: rng.below(PAIRS), value: unique },
            8 => Op::PairRead { pair: rng.below(PAIRS) },
            _ => Op::ReadInserted,
        }
    };
    (0..count).map(draw).map(Request::Op).collect()
}

type Dial = Pin<Box<dyn Future<Output = io::Result<(SimReader, SimWriter)>>>>;

enum Connection {
    None,
    Dialling(Dial),
    Open(SimReader, SimWriter),
}

enum Heard {
    Opened(SimReader, SimWriter),
    Bytes(Vec<u8>),
    Closed,
}

/// Carries out what one client wants.
struct Driver {
    client: Client<PgWire>,
    scene: Rc<Scene>,
    connection: Connection,
    wake_at_ns: u64,
}

impl Driver {
    fn new(client: Client<PgWire>, scene: Rc<Scene>) -> Driver {
        Driver { client, scene, connection: Connection::None, wake_at_ns: 0 }
    }

    async fn run(mut self) {
        let mut moves = Vec::new();
        self.client.start(elapsed_ns(), &mut moves);
        loop {
            for what in std::mem::take(&mut moves) {
                self.carry_out(what).await;
            }
            let id = usize::from(self.client.id);
            let done = self.client.is_done();
            let state = if done { String::new() } else { self.client.describe() };
            self.scene.states.borrow_mut()[id] = state;
            if done {
                return;
            }
            let left = Duration::from_nanos(self.wake_at_ns.saturating_sub(elapsed_ns()));
            let heard = timeout(left, self.connection.hear()).await.ok();
            if let Err(breach) = self.tell(heard, &mut moves) {
                let told = format!("client c{id}: {breach}");
                self.scene.breach.borrow_mut().get_or_insert(told);
                return;
            }
        }
    }

    fn tell(&mut self, heard: Option<Heard>, moves: &mut Vec<Move>) -> Result<(), String> {
        let now_ns = elapsed_ns();
        let hurry = self.scene.hurry.get();
        let situation = Situation { now_ns, reachable: &ALL, hurry };
        let history = &mut *self.scene.history.borrow_mut();
        match heard {
            None => self.client.on_timer(situation, history, moves),
            Some(Heard::Opened(reader, writer)) => {
                self.connection = Connection::Open(reader, writer);
                self.client.on_open(now_ns, moves);
            }
            Some(Heard::Bytes(bytes)) => {
                return self.client.on_bytes(situation, &bytes, history, moves);
            }
            Some(Heard::Closed) => {
                self.connection = Connection::None;
                self.client.on_closed(now_ns, history, moves);
            }
        }
        Ok(())
    }

    async fn carry_out(&mut self, what: Move) {
        match what {
            Move::Connect { node, has_password } => {
                let machine = &self.scene.machines[usize::from(node)];
                let address = match has_password {
                    true => machine.pg_address(),
                    false => machine.admin_address(),
                };
                let dial = async move { socket::connect(&address).await };
                self.connection = Connection::Dialling(Box::pin(dial));
            }
            Move::Send(bytes) => {
                if let Connection::Open(_, writer) = &mut self.connection {
                    // Reading shows that the connection is gone.
                    let _ = write_all(writer, &bytes).await;
                }
            }
            Move::Close => self.connection = Connection::None,
            Move::WakeAt(at_ns) => self.wake_at_ns = at_ns,
        }
    }
}

impl Connection {
    /// What comes next on it. May be given up and called again.
    async fn hear(&mut self) -> Heard {
        match self {
            Connection::None => pending().await,
            Connection::Dialling(dial) => match dial.as_mut().await {
                Ok((reader, writer)) => Heard::Opened(reader, writer),
                Err(_) => Heard::Closed,
            },
            Connection::Open(reader, _) => read(reader).await.map_or(Heard::Closed, Heard::Bytes),
        }
    }
}

/// Some bytes, `None` at the end of the stream.
pub async fn read(reader: &mut SimReader) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 16 << 10];
    let read = poll_fn(|context| reader.poll_read(context, &mut buffer)).await;
    let len = read.ok().filter(|len| *len > 0)?;
    buffer.truncate(len);
    Some(buffer)
}

pub async fn write_all(writer: &mut SimWriter, mut bytes: &[u8]) -> io::Result<()> {
    poll_fn(|context| {
        while !bytes.is_empty() {
            match writer.poll_write(context, &[io::IoSlice::new(bytes)]) {
                Poll::Ready(Ok(taken)) => bytes = &bytes[taken..],
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}
