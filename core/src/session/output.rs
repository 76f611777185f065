//! What a session has answered and what of it may leave.
//!
//! The leader executes at append and releases at commit: a statement is answered in memory the
//! moment it ran, but its reply must not be seen before the log position it depends on is committed.
//! So the output is one stream of bytes in order, in which a stretch may start with a *gate*:
//!
//! ```text
//!   bytes   [reply 1][reply 2        ][reply 3][reply 4]
//!   gates            ▲ Pending                 ▲ Open
//!   drain   ────────►│   nothing behind a closed gate leaves, open gate or not
//! ```
//!
//! Pipelined writes therefore do not wait for one another: statement 3 runs while reply 2 is gated. But it
//! does not run anywhere else, nor for a leader that was replaced meanwhile, before gate 2 is open: what
//! comes behind a change that never happened must not happen either.
//! When a gate is lost (the entry may have been overwritten by another leader) nobody knows the outcome:
//! everything behind it is dropped, the client gets a fatal `08007`, the connection ends. So it is with a
//! gate that is undone (the entry was overwritten), but for the error: a `40001`, nothing was done.
//!
//! A gate wakes whoever waits: opening it puts the connections behind it on the list of connections
//! to be flushed ([`FlushList`]), which the owner works off at the end of a turn.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::base::{ConnId, SqlError, SqlState};
use crate::exec::{Memory, Pool};
use crate::pgwire::{Severity, backend};

/// Whether what a reply depends on is committed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GateState {
    Pending,
    /// Pending, and decided by another leader than the one the replies behind it come from.
    Doubtful,
    Open,
    /// It never happened.
    Undone,
    /// It will never be known here whether it committed.
    Lost,
}

/// A condition replies wait for; clones are the same gate. One gate may serve all replies of a turn.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Rc<GateInner>,
}

#[derive(Debug)]
struct GateInner {
    state: Cell<GateState>,
    /// Connections to flush when the state changes.
    waiting: RefCell<Vec<FlushTicket>>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate::new()
    }
}

impl Gate {
    /// A pending gate.
    pub fn new() -> Gate {
        let state = Cell::new(GateState::Pending);
        Gate { inner: Rc::new(GateInner { state, waiting: RefCell::default() }) }
    }

    pub fn state(&self) -> GateState {
        self.inner.state.get()
    }

    /// Whether it is not known yet what becomes of the replies behind it.
    fn is_closed(&self) -> bool {
        matches!(self.state(), GateState::Pending | GateState::Doubtful)
    }

    fn is_in_doubt(&self) -> bool {
        !matches!(self.state(), GateState::Pending | GateState::Open)
    }

    /// The leader behind it was replaced: its end takes longer, and may be any.
    pub fn doubt(&self) {
        assert!(self.is_closed(), "a gate {:?} is in doubt", self.state());
        self.inner.state.set(GateState::Doubtful);
    }

    /// Lets the replies behind it go.
    pub fn open(&self) {
        self.settle(GateState::Open);
    }

    /// Takes the replies behind it back.
    pub fn undo(&self) {
        self.settle(GateState::Undone);
    }

    /// Gives the replies behind it up.
    pub fn lose(&self) {
        self.settle(GateState::Lost);
    }

    fn settle(&self, state: GateState) {
        let before = self.state();
        assert!(self.is_closed() || before == state, "a gate {before:?} became {state:?}");
        self.inner.state.set(state);
        for ticket in self.inner.waiting.borrow_mut().drain(..) {
            ticket.request();
        }
    }

    /// Whether two handles are of one gate.
    pub fn same(&self, other: &Gate) -> bool {
        Rc::ptr_eq(&self.inner, &other.inner)
    }

    fn notify(&self, ticket: &FlushTicket) {
        self.inner.waiting.borrow_mut().push(ticket.clone());
    }
}

/// Connections that have something to flush, in the order they got it, each once.
#[derive(Clone, Debug, Default)]
pub struct FlushList {
    conns: Rc<RefCell<Vec<ConnId>>>,
}

impl FlushList {
    /// Moves the list to the end of `into`.
    pub fn take(&self, into: &mut Vec<ConnId>) {
        into.append(&mut self.conns.borrow_mut());
    }

    pub fn is_empty(&self) -> bool {
        self.conns.borrow().is_empty()
    }

    /// What connection `conn` asks for a flush with.
    pub fn ticket(&self, conn: ConnId) -> FlushTicket {
        let inner = TicketInner { conn, listed: Cell::new(false), list: self.clone() };
        FlushTicket { inner: Rc::new(inner) }
    }
}

/// Puts one connection on the [`FlushList`].
#[derive(Clone, Debug)]
pub struct FlushTicket {
    inner: Rc<TicketInner>,
}

#[derive(Debug)]
struct TicketInner {
    conn: ConnId,
    /// On the list and not yet flushed.
    listed: Cell<bool>,
    list: FlushList,
}

impl FlushTicket {
    pub fn request(&self) {
        if !self.inner.listed.replace(true) {
            self.inner.list.conns.borrow_mut().push(self.inner.conn);
        }
    }

    fn served(&self) {
        self.inner.listed.set(false);
    }
}

/// Bytes in order with the gates between them: what a session writes replies into.
#[derive(Debug)]
pub struct Stretch {
    pub bytes: Vec<u8>,
    /// Counts what of them belongs to long results; never more than there are.
    pub kept: Memory,
    /// Offsets into `bytes`, not decreasing: bytes from there on need the gate.
    gates: VecDeque<(usize, Gate)>,
}

impl Stretch {
    /// An empty one, whose long results count in `results`.
    pub fn new(results: &Rc<Pool>) -> Stretch {
        let kept = Memory::new(usize::MAX, results);
        Stretch { bytes: Vec::new(), kept, gates: VecDeque::new() }
    }

    /// Takes everything from offset `len` on back.
    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len);
        self.kept.keep_at_most(len);
    }

    /// Bytes from offset `at` on wait for `gate`. Offsets must not decrease.
    pub fn gate(&mut self, at: usize, gate: &Gate) {
        assert!(at <= self.bytes.len(), "gate at {at} behind the end {}", self.bytes.len());
        match self.gates.back() {
            _ if gate.state() == GateState::Open => return,
            Some((_, last)) if last.same(gate) => return,
            Some((before, _)) => assert!(*before <= at, "gate at {at} before one at {before}"),
            None => {}
        }
        self.gates.push_back((at, gate.clone()));
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.gates.is_empty()
    }

    /// As [`Output::is_in_doubt`].
    pub fn is_in_doubt(&self) -> bool {
        self.gates.back().is_some_and(|(_, gate)| gate.is_in_doubt())
    }

    /// Empties it, keeping a buffer of ordinary size for the next replies.
    fn clear(&mut self) {
        self.gates.clear();
        self.kept.keep_at_most(0);
        if self.bytes.capacity() > KEPT_BYTES {
            self.bytes = Vec::new();
        } else {
            self.bytes.clear();
        }
    }
}

/// The largest buffer an idle session keeps.
const KEPT_BYTES: usize = 8 << 10;

/// What may leave now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// May be empty.
    pub bytes: Bytes,
    /// Close the connection after these bytes.
    pub close: bool,
    /// They end with the error of a gate that is lost or undone.
    pub error: Option<SqlState>,
}

/// The output of one connection.
#[derive(Debug)]
pub struct Output {
    bytes: BytesMut,
    /// Counts what of `bytes` and of those in flight belongs to long results.
    kept: Memory,
    /// Offsets into `bytes`, not decreasing.
    gates: VecDeque<(usize, Gate)>,
    ticket: FlushTicket,
    /// Drained and not yet reported as flushed by the shell, in bytes.
    in_flight: usize,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Open,
    /// Close when everything has been drained.
    Closing,
    /// A gate was lost or undone: the error was put in place of the rest.
    Lost,
    Closed,
}

impl Output {
    pub fn new(ticket: FlushTicket, results: &Rc<Pool>) -> Output {
        Output {
            bytes: BytesMut::new(),
            kept: Memory::new(usize::MAX, results),
            gates: VecDeque::new(),
            ticket,
            in_flight: 0,
            phase: Phase::Open,
        }
    }

    /// Takes over everything in `written`, which is left empty and may be written again.
    pub fn absorb(&mut self, written: &mut Stretch) {
        if written.is_empty() {
            return;
        }
        if self.phase == Phase::Open {
            let base = self.bytes.len();
            self.bytes.extend_from_slice(&written.bytes);
            self.kept.take_over(&written.kept, usize::MAX);
            for (at, gate) in written.gates.drain(..) {
                gate.notify(&self.ticket);
                self.gates.push_back((base + at, gate));
            }
            self.ticket.request();
        }
        written.clear();
    }

    /// Nothing more will be written; the connection closes once all is drained.
    pub fn finish(&mut self) {
        if self.phase == Phase::Open {
            self.phase = Phase::Closing;
            self.ticket.request();
        }
    }

    /// The client is gone: nothing needs to leave any more.
    pub fn abandon(&mut self) {
        self.phase = Phase::Closed;
        self.bytes = BytesMut::new();
        self.gates.clear();
        self.in_flight = 0;
        self.kept.keep_at_most(0);
    }

    /// Takes what may leave now.
    pub fn drain(&mut self) -> Drained {
        self.ticket.served();
        if self.phase == Phase::Closed {
            return Drained::default();
        }
        let mut error = None;
        while let Some((at, gate)) = self.gates.front() {
            match gate.state() {
                GateState::Open => {}
                GateState::Pending | GateState::Doubtful => break,
                GateState::Undone => {
                    error = Some(self.end_at(*at, &undone()));
                    break;
                }
                GateState::Lost => {
                    error = Some(self.end_at(*at, &outcome_unknown()));
                    break;
                }
            }
            self.gates.pop_front();
        }
        let free = self.gates.front().map_or(self.bytes.len(), |(at, _)| *at);
        let len = if free > 1 && crate::buggify!("session: output in pieces") {
            self.ticket.request();
            free / 2
        } else {
            free
        };
        for (at, _) in &mut self.gates {
            *at -= len;
        }
        let bytes = self.bytes.split_to(len).freeze();
        if self.bytes.is_empty() && len > KEPT_BYTES {
            // An empty buffer would still hold on to the large one.
            self.bytes = BytesMut::new();
        }
        self.in_flight += len;
        let close = self.phase != Phase::Open && self.bytes.is_empty() && self.gates.is_empty();
        if close {
            self.phase = Phase::Closed;
        }
        Drained { bytes, close, error }
    }

    /// The shell sent so many drained bytes.
    pub fn flushed(&mut self, bytes: usize) {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        self.kept.keep_at_most(self.pending());
    }

    /// Bytes not yet known to have left: gated, queued, or in the shell.
    pub fn pending(&self) -> usize {
        self.bytes.len() + self.in_flight
    }

    /// Whether a reply was given under a leader that was replaced before it could leave.
    pub fn is_in_doubt(&self) -> bool {
        // Nothing runs behind such a gate, so it is the last one.
        self.gates.back().is_some_and(|(_, gate)| gate.is_in_doubt())
    }

    /// Whether nothing that was answered can be taken back any more.
    pub fn is_certain(&self) -> bool {
        self.phase != Phase::Lost
            && self.gates.iter().all(|(_, gate)| gate.state() == GateState::Open)
    }

    /// Puts the error in the place of everything from there on.
    fn end_at(&mut self, at: usize, error: &SqlError) -> SqlState {
        self.bytes.truncate(at);
        self.gates.clear();
        let mut last = Vec::new();
        backend::error_response(&mut last, Severity::Fatal, error);
        self.bytes.extend_from_slice(&last);
        self.phase = Phase::Lost;
        error.state
    }
}

fn undone() -> SqlError {
    let message = "could not serialize access: leadership changed before the commit";
    SqlError::new(SqlState::SerializationFailure, message)
        .with_detail("Nothing was changed: another entry took the place of the change in the log.")
        .with_hint("Connect again and retry.")
}

/// `08007`: a leader was replaced before the commit was confirmed.
pub fn outcome_unknown() -> SqlError {
    let message = "outcome of the transaction is unknown";
    SqlError::new(SqlState::TransactionResolutionUnknown, message)
        .with_detail("The server lost leadership before the commit was confirmed.")
        .with_hint("Connect again and check whether the change was made.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plenty() -> Rc<Pool> {
        Pool::new(usize::MAX, "All")
    }

    fn output() -> (Output, FlushList) {
        let list = FlushList::default();
        (Output::new(list.ticket(ConnId(1)), &plenty()), list)
    }

    fn write(output: &mut Output, text: &str, gate: Option<&Gate>) {
        let mut stretch = output.stretch();
        if let Some(gate) = gate {
            stretch.gate(0, gate);
        }
        stretch.bytes.extend_from_slice(text.as_bytes());
        output.absorb(&mut stretch);
    }

    impl Output {
        fn stretch(&self) -> Stretch {
            Stretch::new(self.kept.pool())
        }
    }

    fn drained(output: &mut Output) -> String {
        String::from_utf8(output.drain().bytes.to_vec()).unwrap()
    }

    #[test]
    fn what_long_results_count_goes_as_they_are_sent() {
        let (mut output, _) = output();
        let pool = output.kept.pool().clone();
        let gate = Gate::new();
        let mut stretch = output.stretch();
        stretch.gate(0, &gate);
        stretch.bytes.resize(1_000, 7);
        stretch.kept.take(900).unwrap();
        output.absorb(&mut stretch);
        stretch.bytes.resize(500, 7);
        stretch.kept.take(400).unwrap();
        stretch.truncate(100);
        assert_eq!((stretch.kept.used(), pool.used()), (100, 1_000));
        drop(stretch);
        gate.open();
        assert_eq!(output.drain().bytes.len(), 1_000);
        output.flushed(50);
        assert_eq!(pool.used(), 900, "they are not sent yet");
        output.flushed(700);
        assert_eq!(pool.used(), 250);
        output.abandon();
        assert_eq!(pool.used(), 0, "nobody will read them");
    }

    #[test]
    fn replies_leave_in_order_and_only_behind_open_gates() {
        let (mut output, _) = output();
        let (first, second) = (Gate::new(), Gate::new());
        write(&mut output, "a", None);
        write(&mut output, "b", Some(&first));
        write(&mut output, "c", None);
        write(&mut output, "d", Some(&second));
        assert_eq!(drained(&mut output), "a");
        second.open();
        assert_eq!(drained(&mut output), "");
        first.open();
        assert_eq!(drained(&mut output), "bcd");
    }

    /// Now and then a part of what may leave is kept for a later turn: the connection is listed for it.
    #[cfg(feature = "canaries")]
    #[test]
    fn what_leaves_in_pieces_leaves_whole_and_in_order() {
        use crate::seam::{Rng, probe};
        let mut in_pieces = 0;
        for seed in 0..400 {
            probe::begin_run(Vec::new(), Some(Rng::from_u64(seed)));
            let (mut output, list) = output();
            let (open, closed) = (Gate::new(), Gate::new());
            open.open();
            write(&mut output, "one", None);
            write(&mut output, "two", Some(&open));
            write(&mut output, "three", Some(&closed));
            let (mut left, mut turns) = (String::new(), 0);
            let mut conns = Vec::new();
            while !list.is_empty() {
                list.take(&mut conns);
                left += &drained(&mut output);
                turns += 1;
            }
            assert_eq!(left, "onetwo", "seed {seed}");
            assert_eq!(output.pending(), "onetwothree".len());
            closed.open();
            output.finish();
            let mut has_closed = false;
            while !list.is_empty() {
                list.take(&mut conns);
                let last = output.drain();
                left += std::str::from_utf8(&last.bytes).unwrap();
                has_closed = last.close;
            }
            assert_eq!((left.as_str(), has_closed), ("onetwothree", true), "seed {seed}");
            in_pieces += u32::from(turns > 1);
        }
        probe::begin_run(Vec::new(), None);
        assert!(in_pieces > 10, "{in_pieces} of 400 seeds");
    }

    #[test]
    fn an_opened_gate_lists_the_connection_once() {
        let (mut output, list) = output();
        let gate = Gate::new();
        write(&mut output, "a", Some(&gate));
        write(&mut output, "b", Some(&gate));
        let mut conns = Vec::new();
        list.take(&mut conns);
        output.drain();
        assert_eq!(conns, [ConnId(1)]);
        gate.open();
        list.take(&mut conns);
        assert_eq!(conns, [ConnId(1), ConnId(1)]);
        assert_eq!(drained(&mut output), "ab");
        assert!(list.is_empty());
    }

    #[test]
    fn a_lost_gate_ends_the_connection() {
        let (mut output, _) = output();
        let gate = Gate::new();
        write(&mut output, "a", None);
        write(&mut output, "b", Some(&gate));
        write(&mut output, "c", None);
        gate.lose();
        let last = output.drain();
        assert!(last.close);
        let text = String::from_utf8_lossy(&last.bytes).into_owned();
        assert!(text.starts_with("aE") && text.contains("08007"), "{text:?}");
        let error = last.bytes.slice(1..);
        let length = u32::from_be_bytes(error[1..5].try_into().unwrap()) as usize;
        assert_eq!(error.len(), 1 + length, "nothing stands behind the error: {text:?}");
        write(&mut output, "more", None);
        assert_eq!(output.drain(), Drained::default());
    }

    #[test]
    fn finishing_waits_for_gates() {
        let (mut output, _) = output();
        let gate = Gate::new();
        write(&mut output, "a", Some(&gate));
        output.finish();
        assert_eq!(output.drain(), Drained::default());
        gate.open();
        let last = output.drain();
        assert_eq!((&last.bytes[..], last.close), (&b"a"[..], true));
    }

    #[test]
    fn pending_counts_what_the_shell_still_holds() {
        let (mut output, _) = output();
        write(&mut output, "abc", None);
        assert_eq!(output.pending(), 3);
        output.drain();
        assert_eq!(output.pending(), 3);
        output.flushed(2);
        assert_eq!(output.pending(), 1);
    }

    proptest! {
        /// Whatever the order of writing, opening and draining: the bytes that left are a prefix of
        /// those written, and it ends at the first closed gate.
        #[test]
        fn what_leaves_is_the_longest_released_prefix(
            steps in prop::collection::vec((0u8..3, 0usize..6), 1..60),
        ) {
            let (mut output, _) = output();
            let gates: Vec<Gate> = (0..6).map(|_| Gate::new()).collect();
            let (mut written, mut left) = (Vec::new(), Vec::new());
            for (step, k) in steps {
                match step {
                    0 => {
                        let byte = written.len() as u8;
                        let gate = (k > 0).then_some(&gates[k]);
                        let mut stretch = output.stretch();
                        if let Some(gate) = gate {
                            stretch.gate(0, gate);
                        }
                        stretch.bytes.extend_from_slice(&[byte]);
                        output.absorb(&mut stretch);
                        written.push((byte, gate.cloned()));
                    }
                    1 => gates[k].open(),
                    _ => left.extend_from_slice(&output.drain().bytes),
                }
            }
            left.extend_from_slice(&output.drain().bytes);
            let open = |g: &Option<Gate>| g.as_ref().is_none_or(|g| g.state() == GateState::Open);
            let expected: Vec<u8> =
                written.iter().take_while(|(_, g)| open(g)).map(|(b, _)| *b).collect();
            prop_assert_eq!(left, expected);
        }
    }
}
