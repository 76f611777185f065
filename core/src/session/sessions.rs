//! All sessions of an instance: what they share, how one is opened, how one is cancelled.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::engine::Engine;
use super::handle::{Handle, Shared};
use super::output::{FlushList, Output};
use super::task;
use super::turns::Turns;
use crate::base::{ConnId, SqlState};
use crate::exec::Pool;
use crate::pgwire::CancelKey;
use crate::seam::{ConnKind, Rng, Spawner};

/// Bounds of one session. At each the client sees what is said here.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// A larger message ends the connection (08P01).
    pub message_bytes: usize,
    /// Received and not yet looked at: reading pauses above.
    pub input_bytes: usize,
    /// Written and not yet sent: the next message waits above.
    pub output_bytes: usize,
    /// Bytes of one result (54000).
    pub result_bytes: usize,
    /// Named prepared statements (53400).
    pub statements: usize,
    /// Named portals (53400).
    pub portals: usize,
    /// From the connection to the end of the login (57014).
    pub login: Duration,
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits {
            message_bytes: 64 << 20,
            input_bytes: 1 << 20,
            output_bytes: 4 << 20,
            result_bytes: 256 << 20,
            statements: 10_000,
            portals: 1_000,
            login: Duration::from_secs(60),
        }
    }
}

/// The sessions of an instance.
#[derive(Debug)]
pub struct Sessions {
    pub(super) spawner: Spawner,
    pub(super) limits: SessionLimits,
    /// Counts results that clients have not read yet.
    pub(super) results: Rc<Pool>,
    pub(super) rng: RefCell<Rng>,
    flush: FlushList,
    pub(super) turns: Turns,
    cancellable: RefCell<BTreeMap<u32, Cancellable>>,
    next_pid: Cell<u32>,
    pub(super) counters: RefCell<Counters>,
}

/// What all sessions together did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Statements that completed.
    pub statements: u64,
    /// Errors told to clients.
    pub errors: BTreeMap<SqlState, u64>,
}

impl Counters {
    pub fn error(&mut self, state: SqlState) {
        *self.errors.entry(state).or_default() += 1;
    }
}

#[derive(Debug)]
struct Cancellable {
    secret: Bytes,
    handle: Handle,
}

impl Sessions {
    /// `results`: what all results together may take until they are read (53200).
    pub fn new(
        spawner: Spawner,
        rng: Rng,
        limits: SessionLimits,
        results: Rc<Pool>,
    ) -> Rc<Sessions> {
        Rc::new(Sessions {
            spawner,
            limits,
            results,
            rng: RefCell::new(rng),
            flush: FlushList::default(),
            turns: Turns::default(),
            cancellable: RefCell::default(),
            next_pid: Cell::new(1),
            counters: RefCell::default(),
        })
    }

    /// Counts an error that the owner's outcome brought about.
    pub fn count_error(&self, state: SqlState) {
        self.counters.borrow_mut().error(state);
    }

    pub fn counters(&self) -> Counters {
        self.counters.borrow().clone()
    }

    /// Starts the session of a new connection.
    pub fn open<E: Engine>(
        self: &Rc<Sessions>,
        engine: &Rc<E>,
        conn: ConnId,
        kind: ConnKind,
    ) -> Handle {
        let ticket = self.flush.ticket(conn);
        let output = Output::new(ticket.clone(), &self.results);
        let shared = Rc::new(Shared::new(ticket, output, self.limits.input_bytes));
        let handle = Handle { shared };
        let task = task::run(self.clone(), engine.clone(), handle.clone(), kind);
        self.spawner.spawn(task);
        handle
    }

    /// Connections with something to drain.
    pub fn flush_list(&self) -> &FlushList {
        &self.flush
    }

    /// The turns that sessions wait for.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Sessions that are logged in.
    pub fn count(&self) -> usize {
        self.cancellable.borrow().len()
    }

    /// Cancels what the session with this key runs; a wrong key does nothing.
    pub fn cancel(&self, key: &CancelKey) {
        let sessions = self.cancellable.borrow();
        if let Some(session) = sessions.get(&key.pid)
            && same(&session.secret, &key.secret)
        {
            session.handle.cancel();
        }
    }

    /// Gives a logged-in session its cancel key, with a secret of `secret_bytes`.
    pub(super) fn register(&self, handle: &Handle, secret_bytes: usize) -> CancelKey {
        let mut sessions = self.cancellable.borrow_mut();
        let mut pid = self.next_pid.get();
        while sessions.contains_key(&pid) {
            pid = next(pid);
        }
        self.next_pid.set(next(pid));
        let mut secret = vec![0; secret_bytes];
        self.rng.borrow_mut().fill(&mut secret);
        let secret = Bytes::from(secret);
        let session = Cancellable { secret: secret.clone(), handle: handle.clone() };
        sessions.insert(pid, session);
        CancelKey { pid, secret }
    }

    pub(super) fn unregister(&self, pid: u32) {
        self.cancellable.borrow_mut().remove(&pid);
    }
}

/// The next process id; clients read it as a positive signed number.
fn next(pid: u32) -> u32 {
    if pid >= i32::MAX as u32 { 1 } else { pid + 1 }
}

/// Compares without telling by its duration where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |d, (x, y)| d | (x ^ y)) == 0
}
