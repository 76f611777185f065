//! PostgreSQL's frontend/backend protocol, version 3, as pure functions of bytes.
//!
//! ```text
//!   bytes in ──► input ──► connection ──► frontend        session
//!                (frames)  (startup,      (a message      (what a message
//!                           login,         in a frame)     means)
//!                           skip to Sync)                     │
//!   bytes out ◄────────────────── backend ◄───────────────────┘
//!                                 (replies)
//! ```
//!
//! * [`input`] cuts the byte stream into frames and refuses lengths no client may send.
//! * [`connection`] is the state machine of a connection: negotiation, startup, login.
//! * [`frontend`] reads one message out of a frame; every field borrows from it.
//! * [`backend`] appends replies to a buffer.
//! * [`scram`] is both sides of SCRAM-SHA-256 and the stored form of a password.
//! * [`transcript`] prints replies, for people.
//! * [`client`] is the other end of the wire, for the simulator and for tests.
//!
//! The crate `pgwire` is named here only. Its encoders are the client's, so the two ends of the wire
//! come from different hands. Its decoders are not used on what clients send: they read past the
//! end of a short message (a panic) and copy every string; ours check each length and borrow.
//!
//! Source: PostgreSQL 15 manual, chapter 55; for minor version 2 the manual of PostgreSQL 18.

pub mod backend;
pub mod client;
pub mod connection;
pub mod frontend;
pub mod input;
pub mod scram;
pub mod transcript;

pub use connection::{CancelKey, Connection, Item, Startup};
pub use frontend::{Bind, Format, Formats, Frame, Message, Target};

use crate::base::{SqlError, SqlState};

/// How bad an error is: what field `S` of an `ErrorResponse` says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The statement failed; the connection goes on.
    Error,
    /// The connection ends after this message.
    Fatal,
}

/// `08P01`: the client broke the protocol.
pub fn protocol_violation(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::ProtocolViolation, message)
}
