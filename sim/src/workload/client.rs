//! One client: a small state machine with the retry logic an application would have.
//!
//! ```text
//!   Away ──connect──► Greeting ──ready──► Idle ──ask──► Waiting ──answer──► Idle …
//!     ▲                  │                                 │
//!     └──── refused, closed, timed out ◄───────────────────┘   (a write in flight: outcome unknown)
//! ```
//! A refusal that may pass is tried again a few times with a growing pause; an unknown outcome never
//! is, and the client goes on as a new process. Some clients ask several things at once, each as a
//! process of its own, and try none of them again.

use std::collections::VecDeque;

use basalt_core::seam::Rng;

use super::history::{Entry, History, Outcome};
use super::op::Op;
use super::wire::{Answer, Manner, Request, Said, Wire};

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct InFlight {
    request: Request,
    process: u32,
}

/// What a client is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// Makes the tables; repeats each step until it succeeds.
    Setup,
    /// Carries out its part of the plan.
    Worker,
    /// Reads what another client has just begun to write, on the instance where it writes it: who
    /// sees more than is certain sees it there and then.
    Follower { of: u16 },
    /// Reads everything at the end; repeats each read until it succeeds.
    Auditor,
}

/// What a client wants done.
#[derive(Debug)]
pub enum Move {
    /// Over the network with a password, or over the local socket.
    Connect {
        node: u16,
        has_password: bool,
    },
    Send(Vec<u8>),
    Close,
    /// Call `on_timer` then; replaces an earlier one.
    WakeAt(u64),
}

/// What a client may know of the world.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    pub now_ns: u64,
    /// Instances it may connect to.
    pub reachable: &'a [u16],
    /// Faults are over: no more pauses for thought.
    pub hurry: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Away,
    Connecting,
    Greeting,
    Idle,
    Waiting,
    Done,
}

const CONNECT_TIMEOUT_NS: u64 = 2_000_000_000;
const ANSWER_TIMEOUT_NS: u64 = 5_000_000_000;
const RETRIES: u32 = 6;
/// Who is refused for want of room tries once more, and then does something else.
const ROOM_RETRIES: u32 = 1;
/// Who pipelines asks so many things at once, at most; and more than one every so many times. The others
/// go at once, or each within so long after the one before.
const PIPELINE_MAX: u64 = 4;
const PIPELINES_EVERY: u64 = 4;
const PIPELINE_PAUSE_NS: u64 = 250_000_000;
/// A follower reads within this time of the write.
const FOLLOWS_WITHIN_NS: u64 = 16 << 20;

/// One client.
pub struct Client<W> {
    pub id: u16,
    pub dc: u8,
    pub role: Role,
    requests: Vec<Request>,
    /// The request to send, or the first in flight.
    at: usize,
    /// In the order of their answers.
    in_flight: VecDeque<InFlight>,
    /// More than one was, when it last asked.
    pipelined: bool,
    /// How many more it sends before it has its answers, and when the next of them.
    more: u64,
    more_at_ns: u64,
    /// When it gives up waiting.
    give_up_ns: u64,
    attempt: u32,
    process: u32,
    think_ns: u64,
    state: State,
    /// When the present state is given up or the next step is due.
    deadline_ns: u64,
    wire: Option<W>,
    connection_failures: u32,
    /// Connections made, which makes each one's nonce its own.
    connections: u32,
    manner: Manner,
    /// The write it has just begun.
    begun: Option<Op>,
    /// For a follower: it goes once it has its answer.
    leaves: bool,
    rng: Rng,
}

impl<W: Wire> Client<W> {
    /// `manner`: but who makes the tables comes over the local socket.
    pub fn new(
        id: u16,
        dc: u8,
        role: Role,
        requests: Vec<Request>,
        (think_us, manner): (u64, Manner),
        rng: Rng,
    ) -> Self {
        let has_password = manner.has_password && role != Role::Setup;
        let follows = matches!(role, Role::Follower { .. });
        let state = if requests.is_empty() && !follows { State::Done } else { State::Away };
        Client {
            id,
            dc,
            role,
            requests,
            at: 0,
            in_flight: VecDeque::new(),
            pipelined: false,
            more: 0,
            more_at_ns: u64::MAX,
            give_up_ns: 0,
            attempt: 0,
            process: u32::from(id),
            think_ns: think_us * 1_000,
            state,
            deadline_ns: 0,
            wire: None,
            connection_failures: 0,
            connections: 0,
            manner: Manner { has_password, ..manner },
            begun: None,
            leaves: false,
            rng,
        }
    }

    /// Whether nothing is left to do; whoever follows another is done between two cues, too.
    pub fn is_done(&self) -> bool {
        self.state == State::Done || (self.follows() && self.at == self.requests.len())
    }

    pub fn has_left(&self) -> bool {
        self.state == State::Done
    }

    fn follows(&self) -> bool {
        matches!(self.role, Role::Follower { .. })
    }

    /// The write it has begun since the last call.
    pub fn take_begun(&mut self) -> Option<Op> {
        self.begun.take()
    }

    /// For a follower: the client it follows begins this write. `beside`: on the instance where this
    /// one is connected, too.
    pub fn cue(&mut self, now_ns: u64, write: Op, beside: bool, moves: &mut Vec<Move>) {
        if self.state != State::Idle || self.at < self.requests.len() {
            return;
        }
        if !beside {
            moves.push(Move::Close);
            self.away();
            self.due_in(now_ns, 0, moves);
        } else if let Some(read) = write.shown_by() {
            self.requests = vec![Request::Op(read)];
            self.at = 0;
            self.attempt = 0;
            // From behind its heels to some way behind, each as likely.
            let doublings = self.rng.below(u64::from(FOLLOWS_WITHIN_NS.ilog2()));
            let pause_ns = self.rng.below(2 << doublings);
            self.due_in(now_ns, pause_ns, moves);
        }
    }

    /// Cuts its work short: so many requests more, and it is done.
    pub fn shorten(&mut self, more: usize) {
        if self.role == Role::Worker {
            self.requests.truncate(self.at + self.in_flight.len() + more);
        }
    }

    /// For a follower: whom it follows is done.
    pub fn leave(&mut self, moves: &mut Vec<Move>) {
        self.leaves = true;
        if self.state != State::Waiting {
            self.finish(moves);
        }
    }

    fn finish(&mut self, moves: &mut Vec<Move>) {
        moves.push(Move::Close);
        self.wire = None;
        self.state = State::Done;
    }

    /// What it is at, for the story of a cluster that does not heal.
    pub fn describe(&self) -> String {
        let request = self.requests.get(self.at);
        format!("client c{} ({:?}) is {:?} at {request:?}", self.id, self.role, self.state)
    }

    /// Asks to be woken soon; the first call, and the one when faults are over.
    pub fn start(&mut self, now_ns: u64, moves: &mut Vec<Move>) {
        if matches!(self.state, State::Away | State::Idle) {
            self.due_in(now_ns, 1_000_000, moves);
        }
    }

    pub fn on_timer(&mut self, s: Situation<'_>, history: &mut History, moves: &mut Vec<Move>) {
        if s.now_ns < self.deadline_ns {
            return;
        }
        match self.state {
            State::Away => self.connect(s, moves),
            State::Idle => self.ask(s, history, moves),
            State::Waiting if s.now_ns < self.give_up_ns => {
                let mut bytes = Vec::new();
                self.send_more(s.now_ns, history, &mut bytes);
                if !bytes.is_empty() {
                    moves.push(Move::Send(bytes));
                }
                self.wait(s.now_ns, moves);
            }
            State::Connecting | State::Greeting | State::Waiting => {
                moves.push(Move::Close);
                self.lost(s.now_ns, "timed out", history, moves);
            }
            State::Done => {}
        }
    }

    pub fn on_open(&mut self, now_ns: u64, moves: &mut Vec<Move>) {
        let mut wire = W::new(&format!("c{}x{}", self.id, self.connections), self.manner);
        let mut bytes = Vec::new();
        wire.greet(&mut bytes);
        self.wire = Some(wire);
        self.state = State::Greeting;
        moves.push(Move::Send(bytes));
        self.due_in(now_ns, CONNECT_TIMEOUT_NS, moves);
    }

    pub fn on_closed(&mut self, now_ns: u64, history: &mut History, moves: &mut Vec<Move>) {
        self.lost(now_ns, "connection closed", history, moves);
    }

    /// Bytes from the server. `Err` is a breach of the protocol by the server.
    pub fn on_bytes(
        &mut self,
        s: Situation<'_>,
        bytes: &[u8],
        history: &mut History,
        moves: &mut Vec<Move>,
    ) -> Result<(), String> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        let mut out = Vec::new();
        let said = wire.feed(bytes, &mut out)?;
        if !out.is_empty() {
            moves.push(Move::Send(out));
        }
        for said in said {
            match said {
                Said::Ready { warned: true } if self.role == Role::Auditor => {
                    moves.push(Move::Close);
                    self.lost(s.now_ns, "may know old things", history, moves);
                    return Ok(());
                }
                Said::Ready { .. } if self.state == State::Greeting => {
                    self.state = State::Idle;
                    self.connection_failures = 0;
                    self.pause(s, moves);
                }
                Said::Ready { .. } => {}
                Said::Answer(answer) if self.state == State::Waiting => {
                    self.answered(s, answer, history, moves)?;
                }
                Said::Answer(answer) => {
                    return Err(format!("an answer nobody asked for: {answer:?}"));
                }
                Said::Goodbye { why, undone } => {
                    moves.push(Move::Close);
                    // What came behind it was not done either.
                    while undone && let Some(of) = self.in_flight.pop_front() {
                        self.ended(s.now_ns, of, Outcome::Fail(why.clone()), history);
                        self.go_on();
                    }
                    self.lost(s.now_ns, &why, history, moves);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn connect(&mut self, s: Situation<'_>, moves: &mut Vec<Move>) {
        let Some(node) = self.rng.choose(s.reachable).copied() else {
            self.due_in(s.now_ns, 500_000_000, moves);
            return;
        };
        self.state = State::Connecting;
        self.connections += 1;
        moves.push(Move::Connect { node, has_password: self.manner.has_password });
        self.due_in(s.now_ns, CONNECT_TIMEOUT_NS, moves);
    }

    fn ask(&mut self, s: Situation<'_>, history: &mut History, moves: &mut Vec<Move>) {
        let Some(request) = self.requests.get(self.at).copied() else {
            if self.follows() {
                return;
            }
            self.finish(moves);
            return;
        };
        let mut bytes = Vec::new();
        self.send(s.now_ns, request, history, &mut bytes);
        self.pipelined = false;
        self.more = 0;
        if W::pipelines(self.id) && self.role == Role::Worker && self.attempt == 0 {
            self.draw_pipeline(s.now_ns, history, &mut bytes);
        }
        moves.push(Move::Send(bytes));
        self.state = State::Waiting;
        self.give_up_ns = s.now_ns + ANSWER_TIMEOUT_NS;
        self.wait(s.now_ns, moves);
    }

    /// For an answer, or for the time to ask more.
    fn wait(&mut self, now_ns: u64, moves: &mut Vec<Move>) {
        let until_ns =
            if self.more > 0 { self.more_at_ns.min(self.give_up_ns) } else { self.give_up_ns };
        // Where turns take their time, an answer comes late, too: then it is time at once.
        self.due_in(now_ns, until_ns.saturating_sub(now_ns), moves);
    }

    fn send(&mut self, now_ns: u64, request: Request, history: &mut History, bytes: &mut Vec<u8>) {
        let request = match request {
            Request::Op(op) => {
                let op = op.attempt(self.attempt);
                self.record(now_ns, (self.process, op), Outcome::Invoked, history);
                if !op.is_read() {
                    self.begun = Some(op);
                }
                Request::Op(op)
            }
            setup @ Request::Setup(_) => setup,
        };
        let wire = self.wire.as_mut().expect("an idle client is connected");
        wire.ask(self.id, request, bytes);
        self.in_flight.push_back(InFlight { request, process: self.process });
    }

    /// Draws how many of the next requests are sent before the answers come, and when.
    fn draw_pipeline(&mut self, now_ns: u64, history: &mut History, bytes: &mut Vec<u8>) {
        if self.rng.below(PIPELINES_EVERY) != 0 {
            return;
        }
        self.more = self.rng.range(1, PIPELINE_MAX - 1);
        if self.rng.below(2) == 0 {
            self.more_at_ns = now_ns + 1 + self.rng.below(PIPELINE_PAUSE_NS);
            return;
        }
        while self.more > 0 {
            self.send_more(now_ns, history, bytes);
        }
    }

    /// Sends the next request behind those in flight, if there is one.
    fn send_more(&mut self, now_ns: u64, history: &mut History, bytes: &mut Vec<u8>) {
        let next = self.requests.get(self.at + self.in_flight.len()).copied();
        let Some(next @ Request::Op(_)) = next.filter(|_| self.more > 0) else {
            self.more = 0;
            return;
        };
        self.more -= 1;
        self.more_at_ns = now_ns + 1 + self.rng.below(PIPELINE_PAUSE_NS);
        self.pipelined = true;
        self.process += 1_000;
        self.send(now_ns, next, history, bytes);
    }

    /// A request has its outcome. After an unknown one the client goes on as another process.
    fn ended(&mut self, now_ns: u64, of: InFlight, outcome: Outcome, history: &mut History) {
        if matches!(outcome, Outcome::Info(_)) {
            self.process += 1_000;
        }
        if let Request::Op(op) = of.request {
            self.record(now_ns, (of.process, op), outcome, history);
        }
    }

    fn answered(
        &mut self,
        s: Situation<'_>,
        answer: Answer,
        history: &mut History,
        moves: &mut Vec<Move>,
    ) -> Result<(), String> {
        let of = self.in_flight.pop_front().ok_or("an answer to nothing")?;
        let request = of.request;
        let refused = match &answer {
            Answer::Refused { retry, .. } => Some(*retry),
            _ => None,
        };
        let unknown = matches!(answer, Answer::Unknown { .. });
        let no_room = answer.has_no_room();
        if let Request::Op(op) = request {
            let outcome = outcome(op, answer)?;
            self.ended(s.now_ns, of, outcome, history);
        } else if refused == Some(false) {
            return Err(format!("setup was refused: {answer:?}"));
        }
        let gives_up = no_room && self.may_lack_room(request);
        let must_succeed = self.must_succeed() && !gives_up;
        let retry = match refused {
            // The moment to follow has passed.
            Some(_) if self.follows() || self.pipelined => false,
            Some(_) if no_room && self.role == Role::Worker => self.attempt < ROOM_RETRIES,
            Some(retry) => must_succeed || (retry && self.attempt < RETRIES),
            None => unknown && must_succeed,
        };
        if self.leaves {
            self.finish(moves);
            return Ok(());
        }
        if !self.in_flight.is_empty() {
            self.next_request();
            self.give_up_ns = s.now_ns + ANSWER_TIMEOUT_NS;
            self.wait(s.now_ns, moves);
            return Ok(());
        }
        self.state = State::Idle;
        // Another instance may know better, or should say the same.
        let elsewhere = matches!(request, Request::Op(Op::CatalogRead));
        if unknown || elsewhere || (retry && self.attempt % 3 == 2) {
            moves.push(Move::Close);
            self.away();
        }
        if retry {
            self.attempt += 1;
            let pause_ns = 20_000_000 << self.attempt.min(5);
            let jitter = self.rng.below(pause_ns);
            self.due_in(s.now_ns, pause_ns / 2 + jitter, moves);
        } else {
            self.next_request();
            if elsewhere {
                self.due_in(s.now_ns, 0, moves);
            } else {
                self.pause(s, moves);
            }
        }
        Ok(())
    }

    /// The connection is gone; a request in flight may or may not be carried out.
    fn lost(&mut self, now_ns: u64, why: &str, history: &mut History, moves: &mut Vec<Move>) {
        if self.state == State::Done {
            return;
        }
        while let Some(of) = self.in_flight.pop_front() {
            self.ended(now_ns, of, Outcome::Info(why.to_owned()), history);
            self.go_on();
        }
        if self.leaves {
            self.finish(moves);
            return;
        }
        if self.follows() {
            self.requests.clear();
            self.at = 0;
        }
        self.connection_failures += 1;
        self.away();
        let pause_ns = 10_000_000 << self.connection_failures.min(6);
        let jitter = self.rng.below(pause_ns);
        self.due_in(now_ns, pause_ns / 2 + jitter, moves);
    }

    /// A request has failed, or nobody knows: to the next, or once more.
    fn go_on(&mut self) {
        if self.must_succeed() {
            self.attempt += 1;
        } else {
            self.next_request();
        }
    }

    fn must_succeed(&self) -> bool {
        matches!(self.role, Role::Setup | Role::Auditor)
    }

    /// Whether there may be no room for it at the end, either, when nothing goes away any more.
    fn may_lack_room(&self, request: Request) -> bool {
        let Request::Op(op) = request else { return false };
        self.manner.tight.is_some_and(|tight| tight.lasts(op))
    }

    fn away(&mut self) {
        self.state = State::Away;
        self.wire = None;
    }

    fn next_request(&mut self) {
        self.at += 1;
        self.attempt = 0;
    }

    fn pause(&mut self, s: Situation<'_>, moves: &mut Vec<Move>) {
        let think_ns = if s.hurry { 0 } else { self.think_ns };
        let pause_ns = if think_ns == 0 { 0 } else { self.rng.below(think_ns * 2) };
        self.due_in(s.now_ns, pause_ns, moves);
    }

    fn due_in(&mut self, now_ns: u64, in_ns: u64, moves: &mut Vec<Move>) {
        self.deadline_ns = now_ns + in_ns;
        moves.push(Move::WakeAt(self.deadline_ns));
    }

    fn record(
        &self,
        time_ns: u64,
        (process, op): (u32, Op),
        outcome: Outcome,
        history: &mut History,
    ) {
        history.push(Entry { time_ns, process, client: self.id, op, outcome });
    }
}

/// What an answer means for the operation. `Err`: an answer no such operation can have.
fn outcome(op: Op, answer: Answer) -> Result<Outcome, String> {
    match answer {
        Answer::Rows(rows) if op.is_read() => Ok(Outcome::Ok(rows)),
        Answer::Done { rows } if !op.is_read() && op.rows_written().contains(&rows) => {
            let varies = op.rows_written().start() < op.rows_written().end();
            Ok(Outcome::Ok(if varies { vec![(rows as i64, None)] } else { Vec::new() }))
        }
        Answer::Refused { code, message, .. } => Ok(Outcome::Fail(format!("{code} {message}"))),
        Answer::Unknown { code, message } => Ok(Outcome::Info(format!("{code} {message}"))),
        other => Err(format!("{op:?} was answered by {other:?}")),
    }
}
