//! What can happen to an instance.

use std::sync::Arc;

use bytes::Bytes;

use super::disk::DiskResult;
use crate::base::{ConnId, OpId};

/// The advertised `host:port` of an instance, or `client:N` for a peer connection that announced
/// no address (a status query, for example); such an address is only good for answering.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PeerAddr(pub Arc<str>);

impl PeerAddr {
    pub fn new(s: impl Into<Arc<str>>) -> PeerAddr {
        PeerAddr(s.into())
    }
}

/// What speaks on a client connection.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ConnKind {
    /// PostgreSQL protocol over the network: passwords are checked.
    Postgres,
    /// PostgreSQL protocol over the local admin socket: the superuser, without a password.
    Admin,
}

/// A question of the shell about the instance, answered by `Effect::Inspected` in the same step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Inspect {
    /// Prometheus text.
    Metrics,
    /// `/api/v1/cluster`: JSON.
    Cluster,
    /// `/health/live` and `/health/ready`: JSON with `live` and `ready`.
    Health,
}

/// One thing that happened. `M` is the message between instances.
#[derive(Clone, Debug)]
pub enum Event<M> {
    /// The first event of a process: recover from disk, then serve.
    Boot,
    /// The time asked for by `Effect::Wake` has come. Early and spurious ticks are harmless.
    Tick,
    Accepted {
        conn: ConnId,
        kind: ConnKind,
        /// For logs and `pg_stat_activity` only.
        remote: Box<str>,
    },
    Bytes {
        conn: ConnId,
        bytes: Bytes,
    },
    /// So many bytes of earlier `Effect::Write`s have left the shell. A shell may report sums, and
    /// may leave less than 16 KiB unreported.
    Flushed {
        conn: ConnId,
        bytes: usize,
    },
    /// The other side closed, or the shell did after `Effect::Close`. No further event names `conn`.
    Closed {
        conn: ConnId,
    },
    Peer {
        from: PeerAddr,
        msg: M,
    },
    /// Messages to `peer` now have a way. Sent once per change; messages in between may be lost.
    LinkUp {
        peer: PeerAddr,
    },
    LinkDown {
        peer: PeerAddr,
    },
    DiskDone {
        op: OpId,
        result: DiskResult,
    },
    Inspect {
        request: u64,
        what: Inspect,
    },
    /// SIGTERM: hand leadership over, finish what was acknowledged, then `Effect::Stop`.
    Shutdown,
}
