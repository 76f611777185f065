//! Between operations and bytes.

use super::history::Rows;
use super::op::Op;

/// What a client asks.
#[derive(Clone, Copy, Debug)]
pub enum Request {
    /// The k-th step of making the tables and their first rows; safe to repeat.
    Setup(usize),
    Op(Op),
}

/// What came back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// A write was done on so many rows.
    Done { rows: u64 },
    /// A read: key and value of each row, in order of keys. A NULL value is `None`.
    Rows(Rows),
    /// Refused: nothing of it will ever be visible. `retry`: the same may succeed later.
    Refused { code: String, message: String, retry: bool },
    /// The server does not know whether it was done.
    Unknown { code: String, message: String },
}

impl Answer {
    /// Whether an instance had no room for it.
    pub fn has_no_room(&self) -> bool {
        matches!(self, Answer::Refused { code, .. } if NO_ROOM.contains(&code.as_str()))
    }
}

/// What instances have too little room for. A statement they refuse for that does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tight {
    /// Rows: what adds to them is refused; a delete is only where next to nothing is left.
    Rows,
    /// Writes that are not confirmed: all others wait, and are refused when that takes too long.
    Unconfirmed,
    /// A message: one longer than this ends its connection.
    Message { bytes: u64 },
    /// What a statement keeps while it runs, and its result.
    Statement,
}

impl Tight {
    /// Whether it is a reason to refuse the operation with the SQLSTATE.
    pub fn refuses(self, op: Op, code: &str) -> bool {
        match self {
            Tight::Rows => code == "53200" && (op.adds() || op.deletes()),
            Tight::Unconfirmed => code == "53200" && !op.is_read(),
            // Those behind the long one fail with it.
            Tight::Message { .. } => code == "08P01",
            Tight::Statement => NO_ROOM.contains(&code),
        }
    }

    /// Whether it still may be once nobody else asks for anything.
    pub fn lasts(self, op: Op) -> bool {
        match self {
            Tight::Rows => op.adds(),
            Tight::Statement => op.is_read(),
            Tight::Unconfirmed | Tight::Message { .. } => false,
        }
    }
}

/// What bytes from the server amount to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Said {
    /// The greeting is over: requests may be sent. `warned`: what the server knows of the cluster may be old.
    Ready {
        warned: bool,
    },
    Answer(Answer),
    /// The server will not serve this connection. `undone`: the requests that wait for their answers were not
    /// carried out.
    Goodbye {
        why: String,
        undone: bool,
    },
}

/// How a client comes in, and what it may be told.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// Over the network; otherwise over the local socket, as the superuser.
    pub has_password: bool,
    /// Instances refuse what they have no room for.
    pub tight: Option<Tight>,
}

/// SQLSTATEs of an instance that has no room for a statement.
const NO_ROOM: &[&str] = &["53200", "54000"];

/// Clients that have nothing to say.
#[derive(Debug)]
pub struct NoWire;

impl Wire for NoWire {
    fn new(_: &str, _: Manner) -> NoWire {
        NoWire
    }

    fn setup_steps() -> usize {
        0
    }

    fn audit() -> Vec<Op> {
        Vec::new()
    }

    fn greet(&mut self, _: &mut Vec<u8>) {}

    fn ask(&mut self, _: u16, _: Request, _: &mut Vec<u8>) {}

    fn feed(&mut self, _: &[u8], _: &mut Vec<u8>) -> Result<Vec<Said>, String> {
        Ok(Vec::new())
    }
}

/// One connection's protocol, from the client's side. Makes bytes, holds no socket.
pub trait Wire {
    fn new(client: &str, manner: Manner) -> Self;
    /// How many steps making the tables takes.
    fn setup_steps() -> usize;
    /// Reads that cover everything the clients may have written.
    fn audit() -> Vec<Op>;
    /// The first bytes on a connection.
    fn greet(&mut self, out: &mut Vec<u8>);
    /// `client` tells apart the rows that belong to one client only.
    fn ask(&mut self, client: u16, request: Request, out: &mut Vec<u8>);
    /// Whether `client` may ask again before it has its answers, which come in the order of its requests.
    fn pipelines(_client: u16) -> bool {
        false
    }
    /// Takes bytes in any pieces; may answer into `out`. An error is a breach of the protocol.
    fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Vec<Said>, String>;
}
