//! What an instance wants done.

use bytes::Bytes;

use super::disk::DiskOp;
use super::event::PeerAddr;
use super::time::Mono;
use crate::base::{ConnId, OpId};

/// Which of the connections to a peer carries a message. Order is kept within a lane only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Raft, leases, statements: small and urgent.
    Fast,
    /// Snapshot chunks, bucket moves.
    Bulk,
}

/// Why an instance stops for good. The shell logs it, drops the instance and exits.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum StopReason {
    /// `Event::Shutdown` was carried out.
    Shutdown,
    /// Removed from the cluster.
    Expelled,
    /// The disk failed: what it holds is unknown, so nothing may be acknowledged any more.
    DiskFailed(String),
    /// What is on disk cannot be used; the text says what to do.
    Unusable(String),
    /// What was acknowledged is gone from the disk, which has been noted there: started again, the
    /// instance comes back as a new one.
    LostEntries(String),
    /// The cluster refused this instance (other cluster id, unknown tier, newer version …).
    Refused(String),
}

/// One thing to do. Effects of one step are carried out in order, per destination.
#[derive(Clone, Debug)]
pub enum Effect<M> {
    /// May be lost, never reordered within (destination, lane).
    Send {
        to: PeerAddr,
        lane: Lane,
        msg: M,
    },
    Write {
        conn: ConnId,
        bytes: Bytes,
    },
    /// Close once everything written has left.
    Close {
        conn: ConnId,
    },
    /// Pause (`true`) or resume reading from a connection, to bound its input queue.
    Throttle {
        conn: ConnId,
        paused: bool,
    },
    Disk {
        op: OpId,
        what: DiskOp,
    },
    /// Send `Event::Tick` at this time. A later `Wake` replaces an earlier one.
    Wake {
        at: Mono,
    },
    Inspected {
        request: u64,
        body: String,
    },
    Stop(StopReason),
}

/// The effects of one step, in order.
pub type Effects<M> = Vec<Effect<M>>;
