//! The task's side of a connection: the next item, replies, and waiting.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;

use super::engine::{Notice, Reason};
use super::handle::Shared;
use super::output::Stretch;
use super::sessions::Sessions;
use crate::base::{SqlError, SqlResult, SqlState};
use crate::pgwire::{Connection, Item, Severity, backend};
use crate::seam::Completion;

/// Replies are handed over in pieces of about this size while more are being written.
const HAND_OVER_BYTES: usize = 64 << 10;

/// One connection, as the task of its session reads and writes it.
#[derive(Debug)]
pub(super) struct Wire {
    pub connection: Connection,
    /// Replies not yet handed over to the output.
    pub out: Stretch,
    /// From where on `out` announces a reply that is still to come (`ParseComplete`, `RowDescription`): it
    /// leaves with that reply, in one piece.
    announced: Option<usize>,
    pub shared: Rc<Shared>,
    pub sessions: Rc<Sessions>,
    /// The client has asked for something that is not answered to its end.
    pub answering: bool,
    /// The session ends in a statement whose outcome nobody knows: more than that the server stops, this
    /// is what the client has to hear.
    unknown: Option<SqlError>,
}

impl Wire {
    pub fn new(sessions: Rc<Sessions>, shared: Rc<Shared>) -> Wire {
        let connection = Connection::new(sessions.limits.message_bytes);
        let out = Stretch::new(&sessions.results);
        Wire { connection, out, announced: None, shared, sessions, answering: false, unknown: None }
    }

    /// The next thing to deal with; `None` when the session is over (the client was told why).
    pub async fn next(&mut self) -> Option<Item> {
        loop {
            match self.shared.ending() {
                Some(reason @ (Reason::Shutdown | Reason::LoginTimedOut)) => {
                    let error = self.unknown.take().unwrap_or_else(|| reason.error());
                    self.fatal(&error);
                    return None;
                }
                Some(_) => return None,
                None if self.shared.is_winding_down() && !self.answering => {
                    self.fatal(&Reason::Shutdown.error());
                    return None;
                }
                None => {}
            }
            if self.is_output_full() {
                self.room().await;
                continue;
            }
            match self.connection.next(&mut self.out.bytes) {
                Item::Wait => match self.shared.take_input() {
                    Some(bytes) => self.connection.push(bytes),
                    None => self.change().await,
                },
                Item::Terminate => return None,
                Item::Fatal(error) => {
                    self.fatal(&error);
                    return None;
                }
                item => {
                    self.answering = matches!(item, Item::Frame(_));
                    return Some(item);
                }
            }
        }
    }

    /// Lets the replies written so far go to the client, as their gates allow.
    pub fn hand_over(&mut self) {
        if self.announced == Some(0) {
            return;
        }
        let announcement = self.announced.map(|at| self.out.bytes.split_off(at));
        self.shared.output.borrow_mut().absorb(&mut self.out);
        if let Some(announcement) = announcement {
            self.out.bytes = announcement;
            self.announced = Some(0);
        }
    }

    /// As [`Wire::hand_over`], with what announces a reply that is still to come.
    pub fn flush(&mut self) {
        self.announced = None;
        self.hand_over();
    }

    /// What is written next announces a reply.
    pub fn announce(&mut self) {
        self.announced.get_or_insert(self.out.bytes.len());
    }

    /// With what was written last the reply is there that was announced.
    pub fn end_reply(&mut self) {
        self.announced = None;
    }

    /// Where in `out` a reply begins whose rows begin at `rows`.
    pub fn reply_begins(&self, rows: usize) -> usize {
        self.announced.unwrap_or(rows)
    }

    /// Reports an error, unless the session ends anyway: then its end is what the client is told.
    pub fn error(&mut self, error: &SqlError) {
        if self.shared.ending().is_some() {
            if is_unknown(error.state) {
                self.unknown = Some(error.clone());
            }
            return;
        }
        self.sessions.counters.borrow_mut().error(error.state);
        backend::error_response(&mut self.out.bytes, Severity::Error, error);
        self.end_reply();
    }

    pub fn fatal(&mut self, error: &SqlError) {
        self.sessions.counters.borrow_mut().error(error.state);
        backend::error_response(&mut self.out.bytes, Severity::Fatal, error);
    }

    pub fn notice(&mut self, notice: &Notice) {
        backend::notice_response(&mut self.out.bytes, notice.severity, &notice.message);
    }

    /// Waits for the owner to do something.
    async fn change(&mut self) {
        self.hand_over();
        let _ = self.shared.next_change(&self.sessions.spawner).await;
    }

    /// As [`Wire::change`], where the client has to read more before there is anything to do.
    async fn room(&mut self) {
        self.shared.waits_for_room.set(true);
        self.change().await;
        self.shared.waits_for_room.set(false);
    }

    /// Waits for a later turn in the middle of a message, and until the client has read most of what
    /// it was told. Error: the session was interrupted meanwhile.
    pub async fn pause(&mut self) -> SqlResult<()> {
        self.hand_over();
        self.shared.begin_statement();
        let _ = self.sessions.turns.later(&self.sessions.spawner).await;
        while self.shared.interrupt.reason().is_none() && self.is_output_full() {
            self.room().await;
        }
        let interrupted = self.shared.interrupt.check();
        self.shared.end_statement();
        interrupted
    }

    /// As [`Output::is_in_doubt`](super::output::Output::is_in_doubt), of everything written so far.
    pub fn is_in_doubt(&self) -> bool {
        self.out.is_in_doubt() || self.shared.output.borrow().is_in_doubt()
    }

    pub fn is_output_full(&mut self) -> bool {
        let limit = self.sessions.limits.output_bytes;
        if self.out.bytes.len() > HAND_OVER_BYTES.min(limit) {
            self.flush();
        }
        self.shared.output.borrow().pending() > limit
    }
}

/// Whether a statement that failed so may have been carried out all the same.
fn is_unknown(state: SqlState) -> bool {
    matches!(state, SqlState::TransactionResolutionUnknown | SqlState::StatementCompletionUnknown)
}

/// Polls `future` to its end. It is polled again whenever the session is interrupted, and when
/// `timer` is up, which interrupts it.
pub(super) async fn drive<F: Future>(
    shared: &Shared,
    sessions: &Sessions,
    mut timer: Option<Completion<()>>,
    future: F,
) -> F::Output {
    let mut future = pin!(future);
    let mut change = shared.next_change(&sessions.spawner);
    poll_fn(|context| {
        while Pin::new(&mut change).poll(context).is_ready() {
            change = shared.next_change(&sessions.spawner);
        }
        let time_is_up = timer.as_mut().is_some_and(|t| Pin::new(t).poll(context).is_ready());
        if time_is_up {
            shared.interrupt.raise(Reason::TimedOut);
            timer = None;
        }
        future.as_mut().poll(context)
    })
    .await
}
