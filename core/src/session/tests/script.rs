//! Conversations as text.
//!
//! A script is `> step` lines, each followed by the replies of the server. Parts of a step are
//! separated by ` ; ` and their messages are sent together:
//!
//! | part | does |
//! |---|---|
//! | `connect k=v …` | opens a connection over the admin socket |
//! | `open` | the same, without showing the replies |
//! | `Q sql` | Query |
//! | `P name\|sql\|oids` | Parse |
//! | `B portal\|statement\|values\|results` | Bind; values separated by commas, `NULL`; results `t` or `b` |
//! | `DS name`, `DP name`, `E portal\|rows`, `CS name`, `CP name` | Describe, Execute, Close |
//! | `S`, `H`, `X` | Sync, Flush, Terminate |
//! | `hex 51 00 …` | bytes as they are |
//! | `hold`, `doubt` | writes wait from now on; their leader is replaced |
//! | `commit`, `undo`, `lose` | what waits is committed, replaced, or lost |
//! | `release`, `cancel`, `advance ms` | the slow statement ends; …; time passes |
//! | `wind-down`, `shutdown` | the server stops once all is answered; now |

use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::fake::Fake;
use crate::base::ConnId;
use crate::exec::Pool;
use crate::pgwire::client::{self, BindRequest};
use crate::pgwire::transcript::transcript;
use crate::pgwire::{CancelKey, Format};
use crate::seam::{ConnKind, Executor, Rng};
use crate::session::{Gate, Handle, SessionLimits, Sessions};

/// A connection and the database behind it.
pub struct World {
    pub executor: Executor,
    pub sessions: Rc<Sessions>,
    pub engine: Rc<Fake>,
    pub handle: Handle,
    /// Chunks of what is sent are at most so long.
    pub chunk: usize,
    pub closed: bool,
}

impl World {
    pub fn new(kind: ConnKind, limits: SessionLimits) -> World {
        let executor = Executor::new();
        let spawner = executor.spawner();
        let results = Pool::new(2 * limits.result_bytes, "Results");
        let sessions = Sessions::new(spawner.clone(), Rng::from_u64(3), limits, results);
        let engine = Fake::new(spawner);
        let handle = sessions.open(&engine, ConnId(1), kind);
        World { executor, sessions, engine, handle, chunk: usize::MAX, closed: false }
    }

    /// Sends bytes and gives what comes back, without reporting it as flushed.
    pub fn exchange(&mut self, bytes: &[u8]) -> Vec<u8> {
        for chunk in bytes.chunks(self.chunk) {
            self.handle.receive(Bytes::copy_from_slice(chunk));
            self.run();
        }
        self.collect()
    }

    /// Gives turns to whoever wants one.
    pub fn run(&mut self) {
        self.executor.run_until_stalled();
        while self.sessions.turns().are_wanted() {
            self.turn();
        }
    }

    /// Gives one turn.
    pub fn turn(&mut self) {
        self.sessions.turns().begin();
        self.executor.run_until_stalled();
    }

    /// Runs what is ready and takes what may leave.
    pub fn collect(&mut self) -> Vec<u8> {
        let mut replies = Vec::new();
        loop {
            self.run();
            let mut conns = Vec::new();
            self.sessions.flush_list().take(&mut conns);
            if conns.is_empty() {
                return replies;
            }
            let flush = self.handle.drain();
            replies.extend_from_slice(&flush.bytes);
            self.handle.flushed(flush.bytes.len());
            if flush.close {
                self.closed = true;
                self.handle.closed();
            }
        }
    }

    pub fn connect(&mut self) -> Vec<u8> {
        let mut out = BytesMut::new();
        client::startup_packet(&mut out, 0, &[("user", "admin")]);
        self.exchange(&out)
    }
}

/// Runs a script in pieces of `chunk` bytes and compares.
pub fn check(name: &str, script: &str, chunk: usize) {
    let mut world = World::new(ConnKind::Admin, SessionLimits::default());
    let mut actual = String::new();
    let mut replaced = false;
    for line in script.lines() {
        if line.is_empty() || line.starts_with('#') {
            replaced = false;
        }
        if let Some(step) = line.strip_prefix("> ") {
            if step.starts_with("connect") || step == "open" {
                world = World::new(ConnKind::Admin, SessionLimits::default());
                world.chunk = chunk;
            }
            actual.push_str(line);
            actual.push('\n');
            actual.push_str(&run(&mut world, step));
            replaced = true;
        } else if !replaced {
            actual.push_str(line);
            actual.push('\n');
        }
    }
    if actual != script {
        let at = actual.lines().zip(script.lines()).position(|(a, b)| a != b);
        panic!("{name}: differs in line {:?}; now it is\n{actual}", at.map(|k| k + 1));
    }
}

fn run(world: &mut World, step: &str) -> String {
    let mut out = BytesMut::new();
    for part in step.split(" ; ") {
        let (word, rest) = part.split_once(' ').unwrap_or((part, ""));
        if !message(&mut out, word, rest) {
            act(world, word, rest);
        }
    }
    let mut text = transcript(&world.exchange(&out));
    if world.closed {
        text.push_str("closed\n");
    }
    text
}

fn act(world: &mut World, word: &str, rest: &str) {
    let engine = &world.engine;
    match word {
        "open" => drop(world.connect()),
        "hold" => *engine.gate.borrow_mut() = Some(Gate::new()),
        "commit" => engine.gate.borrow_mut().take().expect("held").open(),
        "doubt" => engine.gate.borrow().as_ref().expect("held").doubt(),
        "undo" => engine.gate.borrow_mut().take().expect("held").undo(),
        "lose" => engine.gate.borrow_mut().take().expect("held").lose(),
        "release" => engine.waiting.borrow_mut().remove(0).resolve(()),
        "cancel" => world.handle.cancel(),
        "advance" => engine.advance(rest.parse::<u64>().expect("milliseconds") * 1_000_000),
        "wind-down" => world.handle.wind_down(),
        "shutdown" => world.handle.shutdown(),
        "cancel-wrong" => {
            world.sessions.cancel(&CancelKey { pid: 1, secret: Bytes::from_static(b"nope") });
        }
        other => panic!("no step {other}"),
    }
}

/// Appends a message; `false` if the word is none.
fn message(out: &mut BytesMut, word: &str, rest: &str) -> bool {
    let mut fields = rest.split('|');
    let mut field = || fields.next().unwrap_or("");
    match word {
        "connect" => {
            let mut parameters = vec![("user", "admin")];
            parameters.extend(rest.split(' ').filter_map(|pair| pair.split_once('=')));
            client::startup_packet(out, 0, &parameters);
        }
        "Q" => client::query(out, rest),
        "P" => {
            let (name, sql) = (field(), field());
            let oids: Vec<u32> = field().split(',').filter_map(|oid| oid.parse().ok()).collect();
            client::parse(out, name, sql, &oids);
        }
        "B" => {
            let (portal, statement) = (field(), field());
            let values = field().split(',').filter(|v| !v.is_empty());
            let parameters = values
                .map(|v| (v != "NULL").then(|| Bytes::copy_from_slice(v.as_bytes())))
                .collect();
            let result_format = if field() == "b" { Format::Binary } else { Format::Text };
            let parameter_format = Format::Text;
            let request =
                BindRequest { portal, statement, parameter_format, parameters, result_format };
            client::bind(out, request);
        }
        "DS" => client::describe_statement(out, rest),
        "DP" => client::describe_portal(out, rest),
        "E" => client::execute(out, field(), field().parse().unwrap_or(0)),
        "CS" => client::close_statement(out, rest),
        "CP" => client::close_portal(out, rest),
        "S" => client::sync(out),
        "H" => client::flush(out),
        "X" => client::terminate(out),
        "hex" => {
            let bytes = rest.split(' ').map(|b| u8::from_str_radix(b, 16).expect("hex"));
            out.extend(bytes);
        }
        _ => return false,
    }
    true
}
