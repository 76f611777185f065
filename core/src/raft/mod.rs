//! Consensus: the only module that names raft-rs.
//!
//! [`Node`] is one member of one Raft group: messages, ticks and proposals in; log entries to
//! persist, messages to send and committed entries out, as one [`Ready`] a turn. Everything it shows
//! is in our own words ([`Entry`], [`HardState`], [`Membership`], [`Message`]); the wire form is ours
//! too ([`message`]).
//!
//! What raft-rs 0.7 does differently from what one would expect, and what is done about it here:
//!
//! * It draws election timeouts from a thread-local generator. Every call that can reset the timer is
//!   followed by setting the timeout to a hash of (seed, group, id, term, attempt).
//! * Followers forward proposals. [`Node::propose`] refuses unless this member leads.
//! * `committed_entries` stop at what is persisted *here*; a quorum elsewhere may be ahead.
//!   [`Node::committed`] is the real commit index and releases acknowledgements.
//! * `read_index` is dropped silently before the first commit of a term: [`Node::confirm`] may simply
//!   not be answered.
//! * A leader that steps down before it applied the entry into a joint configuration forgets to leave
//!   it: [`Node::leave_joint`] is asked for again by whoever leads.

// Protobuf messages have private fields: no struct literal can name them all.
#![allow(clippy::field_reassign_with_default)]

mod log;
pub mod message;
mod node;
mod types;

pub use message::Message;
pub use node::{Node, NodeConfig, Progress, ProposeError, Ready, Role};
pub use types::{Change, Entry, EntryKind, HardState, Membership, SnapshotMeta};
