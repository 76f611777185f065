//! The trace hash: one 64-bit number over every event and effect of a run.
//!
//! Two runs of one seed have the same hash on any machine, or something leaked. The hash is fed the
//! wire form of messages and the bytes of everything else; no pointer, no `Debug` text, no `usize`
//! whose width could differ.

use xxhash_rust::xxh3::Xxh3;

use super::disk::{DiskOk, DiskOp, DiskResult, Sync};
use super::effect::{Effect, Lane, StopReason};
use super::event::{ConnKind, Event, Inspect, PeerAddr};
use super::time::Now;

/// A message that can feed the trace hash: its wire bytes.
pub trait Traced {
    /// Shows its wire form to `see`, once.
    fn with_wire(&self, see: &mut dyn FnMut(&[u8]));
}

/// Stands for a message of a peer.
const RECEIVED: u64 = 7;

/// A rolling hash.
#[derive(Clone)]
pub struct Trace {
    hash: Xxh3,
    count: u64,
}

impl Default for Trace {
    fn default() -> Trace {
        Trace { hash: Xxh3::new(), count: 0 }
    }
}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Trace({} items, {:016x})", self.count, self.digest())
    }
}

impl Trace {
    pub fn new() -> Trace {
        Trace::default()
    }

    /// The hash so far.
    pub fn digest(&self) -> u64 {
        self.hash.digest()
    }

    /// How many events and effects were fed.
    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn number(&mut self, value: u64) {
        self.hash.update(&value.to_le_bytes());
    }

    /// As so many calls of [`Trace::number`].
    fn numbers<const N: usize>(&mut self, values: [u64; N]) {
        self.hash.update(values.map(u64::to_le_bytes).as_flattened());
    }

    /// Length first, so that neighbouring fields cannot run into each other.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hash.update(bytes);
    }

    /// As [`Trace::event`] of a message whose wire form is at hand.
    pub fn peer_event(&mut self, now: Now, from: &PeerAddr, wire: &[u8]) {
        self.count += 1;
        self.numbers([now.mono.0, now.wall.0, RECEIVED, from.0.len() as u64]);
        self.hash.update(from.0.as_bytes());
        self.bytes(wire);
    }

    /// As [`Trace::effect`] of a message whose wire form is at hand.
    pub fn send_effect(&mut self, to: &PeerAddr, lane: Lane, wire: &[u8]) {
        self.count += 1;
        self.sent(to, lane, wire);
    }

    fn count_at(&mut self, now: Now) {
        self.count += 1;
        self.numbers([now.mono.0, now.wall.0]);
    }

    fn received(&mut self, from: &PeerAddr, wire: &[u8]) {
        self.number(RECEIVED);
        self.bytes(from.0.as_bytes());
        self.bytes(wire);
    }

    fn sent(&mut self, to: &PeerAddr, lane: Lane, wire: &[u8]) {
        let lane = match lane {
            Lane::Fast => 0,
            Lane::Bulk => 1,
        };
        self.numbers([101, to.0.len() as u64]);
        self.hash.update(to.0.as_bytes());
        self.numbers([lane, wire.len() as u64]);
        self.hash.update(wire);
    }

    pub fn event<M: Traced>(&mut self, now: Now, event: &Event<M>) {
        self.count_at(now);
        match event {
            Event::Boot => self.number(1),
            Event::Tick => self.number(2),
            Event::Accepted { conn, kind, remote } => {
                self.number(3);
                self.number(conn.0);
                self.number(match kind {
                    ConnKind::Postgres => 0,
                    ConnKind::Admin => 1,
                });
                self.bytes(remote.as_bytes());
            }
            Event::Bytes { conn, bytes } => {
                self.number(4);
                self.number(conn.0);
                self.bytes(bytes);
            }
            Event::Flushed { conn, bytes } => {
                self.numbers([5, conn.0, *bytes as u64]);
            }
            Event::Closed { conn } => {
                self.number(6);
                self.number(conn.0);
            }
            Event::Peer { from, msg } => msg.with_wire(&mut |wire| self.received(from, wire)),
            Event::LinkUp { peer } => {
                self.number(8);
                self.bytes(peer.0.as_bytes());
            }
            Event::LinkDown { peer } => {
                self.number(9);
                self.bytes(peer.0.as_bytes());
            }
            Event::DiskDone { op, result } => {
                self.number(10);
                self.number(op.0);
                self.disk_result(result);
            }
            Event::Inspect { request, what } => {
                self.number(11);
                self.number(*request);
                self.number(match what {
                    Inspect::Metrics => 0,
                    Inspect::Cluster => 1,
                    Inspect::Health => 2,
                });
            }
            Event::Shutdown => self.number(12),
        }
    }

    pub fn effect<M: Traced>(&mut self, effect: &Effect<M>) {
        self.count += 1;
        match effect {
            Effect::Send { to, lane, msg } => {
                msg.with_wire(&mut |wire| self.sent(to, *lane, wire));
            }
            Effect::Write { conn, bytes } => {
                self.number(102);
                self.number(conn.0);
                self.bytes(bytes);
            }
            Effect::Close { conn } => {
                self.number(103);
                self.number(conn.0);
            }
            Effect::Throttle { conn, paused } => {
                self.number(104);
                self.number(conn.0);
                self.number(u64::from(*paused));
            }
            Effect::Disk { op, what } => {
                self.number(105);
                self.number(op.0);
                self.disk_op(what);
            }
            Effect::Wake { at } => {
                self.numbers([106, at.0]);
            }
            Effect::Inspected { request, body } => {
                self.number(107);
                self.number(*request);
                self.bytes(body.as_bytes());
            }
            Effect::Stop(reason) => {
                self.number(108);
                self.stop_reason(reason);
            }
        }
    }

    fn stop_reason(&mut self, reason: &StopReason) {
        let (tag, text) = match reason {
            StopReason::Shutdown => (0, ""),
            StopReason::Expelled => (1, ""),
            StopReason::DiskFailed(text) => (2, text.as_str()),
            StopReason::Unusable(text) => (3, text.as_str()),
            StopReason::Refused(text) => (4, text.as_str()),
            StopReason::LostEntries(text) => (5, text.as_str()),
        };
        self.number(tag);
        self.bytes(text.as_bytes());
    }

    fn disk_op(&mut self, op: &DiskOp) {
        match op {
            DiskOp::Open { file, path, mode } => {
                self.number(1);
                self.number(u64::from(file.0));
                self.bytes(path.as_bytes());
                self.number(*mode as u64);
            }
            DiskOp::Close { file } => {
                self.number(2);
                self.number(u64::from(file.0));
            }
            DiskOp::ReadAt { file, offset, len } => {
                self.number(3);
                self.number(u64::from(file.0));
                self.number(*offset);
                self.number(u64::from(*len));
            }
            DiskOp::WriteAt { file, offset, data, then } => {
                self.number(4);
                self.number(u64::from(file.0));
                self.number(*offset);
                self.bytes(data);
                self.number(u64::from(*then == Sync::Data));
            }
            DiskOp::Sync { file } => {
                self.number(5);
                self.number(u64::from(file.0));
            }
            DiskOp::Allocate { file, len, reserve } => {
                self.number(6);
                self.number(u64::from(file.0));
                self.number(*len);
                self.number(*reserve);
            }
            DiskOp::Rename { from, to } => {
                self.number(7);
                self.bytes(from.as_bytes());
                self.bytes(to.as_bytes());
            }
            DiskOp::Remove { path } => {
                self.number(8);
                self.bytes(path.as_bytes());
            }
            DiskOp::List { dir } => {
                self.number(9);
                self.bytes(dir.as_bytes());
            }
            DiskOp::MakeDir { dir } => {
                self.number(10);
                self.bytes(dir.as_bytes());
            }
            DiskOp::SyncDir { dir } => {
                self.number(11);
                self.bytes(dir.as_bytes());
            }
        }
    }

    fn disk_result(&mut self, result: &DiskResult) {
        match result {
            Ok(DiskOk::Done) => self.number(1),
            Ok(DiskOk::Opened { len }) => {
                self.number(2);
                self.number(*len);
            }
            Ok(DiskOk::Read(bytes)) => {
                self.number(3);
                self.bytes(bytes);
            }
            Ok(DiskOk::Names(names)) => {
                self.number(4);
                self.number(names.len() as u64);
                for name in names {
                    self.bytes(name.as_bytes());
                }
            }
            Err(error) => {
                self.number(5);
                self.number(error.kind as u64);
                self.bytes(error.message.as_bytes());
            }
        }
    }
}
