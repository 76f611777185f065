//! A session as its owner sees it: bytes in, bytes out, and the few things that may happen to it.
//!
//! The owner (the instance) and the task of the session share one [`Shared`]; nothing else passes
//! between them. Both sides run on one thread, in turns:
//!
//! ```text
//!   Event::Bytes  ──► Handle::receive ──► inbox ──► the task, when polled ──► output
//!   Event::Closed ──► Handle::closed                                            │
//!   gate opens    ──────────────────────────────► FlushList ──► Handle::drain ◄─┘ ──► Effect::Write
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;

use super::engine::{Interrupt, Reason};
use super::output::{FlushTicket, Output};
use crate::base::{SqlResult, SqlState};
use crate::seam::{Completion, Resolver, Spawner};

/// What the owner must do for a connection now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flush {
    /// To be written; may be empty.
    pub bytes: Bytes,
    /// Close after writing.
    pub close: bool,
    /// The client is told that what it was to hear was not done, or that nobody knows.
    pub error: Option<SqlState>,
    /// Stop (`true`) or go on (`false`) reading from the connection; `None` for no change.
    pub throttle: Option<bool>,
}

/// A session; clones are the same session.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Rc<Shared>,
}

impl Handle {
    /// Bytes of the client have come.
    pub fn receive(&self, bytes: Bytes) {
        let shared = &self.shared;
        if shared.ending.get().is_some() {
            return;
        }
        shared.inbox_bytes.set(shared.inbox_bytes.get() + bytes.len());
        shared.inbox.borrow_mut().push_back(bytes);
        if shared.is_overfull() {
            shared.ticket.request();
        }
        shared.wake();
    }

    /// So many written bytes have left the shell.
    pub fn flushed(&self, bytes: usize) {
        self.shared.output.borrow_mut().flushed(bytes);
        if self.shared.waits_for_room.get() {
            self.shared.wake();
        }
    }

    /// The connection is gone.
    pub fn closed(&self) {
        self.shared.output.borrow_mut().abandon();
        self.shared.end(Reason::Disconnected);
    }

    /// A cancel request named this session: ends the statement it waits for, if any.
    pub fn cancel(&self) {
        if self.shared.executing.get() {
            self.shared.interrupt.raise(Reason::Cancelled);
            self.shared.wake();
        }
    }

    /// The server is about to stop: the client is told, and the connection closed, once what it has
    /// asked is answered. Until then the session goes on.
    pub fn wind_down(&self) {
        if !self.shared.winding_down.replace(true) {
            self.shared.wake();
        }
    }

    /// The server stops: what runs is interrupted, the client told and the connection closed.
    pub fn shutdown(&self) {
        self.shared.end(Reason::Shutdown);
    }

    /// What to write, close or throttle now.
    pub fn drain(&self) -> Flush {
        let shared = &self.shared;
        let drained = shared.output.borrow_mut().drain();
        if drained.close {
            shared.end(Reason::Disconnected);
        } else if shared.doubts.replace(false) {
            shared.wake();
        }
        let paused = shared.is_overfull();
        let changed = shared.paused.replace(paused) != paused;
        Flush {
            bytes: drained.bytes,
            close: drained.close,
            error: drained.error,
            throttle: changed.then_some(paused),
        }
    }

    /// Whether the task of the session has ended.
    pub fn is_finished(&self) -> bool {
        self.shared.finished.get()
    }
}

/// What owner and task share.
#[derive(Debug)]
pub(super) struct Shared {
    inbox: RefCell<VecDeque<Bytes>>,
    inbox_bytes: Cell<usize>,
    /// Above so many bytes in the inbox reading is paused.
    inbox_limit: usize,
    /// As last told to the owner.
    paused: Cell<bool>,
    pub output: RefCell<Output>,
    pub interrupt: Interrupt,
    /// A statement is running, so there is something to interrupt.
    pub executing: Cell<bool>,
    /// The session ends as soon as the task notices.
    ending: Cell<Option<Reason>>,
    /// The session ends as soon as nothing is left to answer.
    winding_down: Cell<bool>,
    logged_in: Cell<bool>,
    finished: Cell<bool>,
    /// The task waits for what becomes of an earlier reply.
    pub doubts: Cell<bool>,
    /// The task waits until the client has read more of its output.
    pub waits_for_room: Cell<bool>,
    waker: RefCell<Option<Resolver<()>>>,
    ticket: FlushTicket,
}

impl Shared {
    pub fn new(ticket: FlushTicket, output: Output, inbox_limit: usize) -> Shared {
        Shared {
            inbox: RefCell::default(),
            inbox_bytes: Cell::new(0),
            inbox_limit,
            paused: Cell::new(false),
            output: RefCell::new(output),
            interrupt: Interrupt::default(),
            executing: Cell::new(false),
            ending: Cell::new(None),
            winding_down: Cell::new(false),
            finished: Cell::new(false),
            doubts: Cell::new(false),
            waits_for_room: Cell::new(false),
            logged_in: Cell::new(false),
            waker: RefCell::new(None),
            ticket,
        }
    }

    /// A completion for the next thing the owner does. An earlier one is given up.
    pub fn next_change(&self, spawner: &Spawner) -> Completion<()> {
        let (completion, resolver) = spawner.completion();
        *self.waker.borrow_mut() = Some(resolver);
        completion
    }

    pub fn ending(&self) -> Option<Reason> {
        self.ending.get()
    }

    pub fn is_winding_down(&self) -> bool {
        self.winding_down.get()
    }

    pub fn take_input(&self) -> Option<Bytes> {
        let bytes = self.inbox.borrow_mut().pop_front()?;
        self.inbox_bytes.set(self.inbox_bytes.get() - bytes.len());
        if self.paused.get() && !self.is_overfull() {
            self.ticket.request();
        }
        Some(bytes)
    }

    /// From here on the client may take its time.
    pub fn logged_in(&self) {
        self.logged_in.set(true);
    }

    /// Time for the login is up.
    pub fn login_is_late(&self) {
        if !self.logged_in.get() {
            self.end(Reason::LoginTimedOut);
        }
    }

    /// The task is over: what was written leaves, then the connection closes.
    pub fn finish(&self) {
        self.finished.set(true);
        self.output.borrow_mut().finish();
    }

    /// A statement begins that can be interrupted.
    pub fn begin_statement(&self) {
        self.interrupt.clear();
        self.executing.set(true);
        if let Some(reason) = self.ending.get() {
            self.interrupt.raise(reason);
        }
    }

    /// Within [`drive`](super::wire::drive): waits until nothing that was answered can be taken back. Error:
    /// the session was interrupted meanwhile.
    pub async fn certainty(&self) -> SqlResult<()> {
        poll_fn(|_| {
            if let Err(error) = self.interrupt.check() {
                return Poll::Ready(Err(error));
            }
            if self.output.borrow().is_certain() {
                return Poll::Ready(Ok(()));
            }
            crate::sometimes!("session: a statement waits for the end of the one before");
            self.doubts.set(true);
            Poll::Pending
        })
        .await
    }

    pub fn end_statement(&self) {
        self.executing.set(false);
        self.interrupt.clear();
    }

    fn is_overfull(&self) -> bool {
        self.inbox_bytes.get() > self.inbox_limit
    }

    fn end(&self, reason: Reason) {
        if self.ending.get().is_none() || reason == Reason::Disconnected {
            self.ending.set(Some(reason));
        }
        self.interrupt.raise(reason);
        self.wake();
    }

    fn wake(&self) {
        let waker = self.waker.borrow_mut().take();
        if let Some(waker) = waker {
            waker.resolve(());
        }
    }
}
