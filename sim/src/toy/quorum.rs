//! Replicated registers with majorities (Attiya, Bar-Noy and Dolev, 1995), on a log that is synced
//! before anything is confirmed.
//!
//! Any instance serves any request: it asks a majority for the newest stamp, then stores the value
//! under a newer one (a write) or the same one (a read) at a majority. No leader, no terms.
//!
//! ```text
//!   client   A            B            C
//!     w 5 ──► Query ─────► Found
//!             Query ──────────────────► Found        a majority: newest stamp is 7
//!             Store 8:5 ─► append, sync, Stored
//!     ok ◄──  append, sync: a majority holds it
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use basalt_core::base::codec::{CodecResult, Reader, Writer};
use basalt_core::base::{ConnId, OpId};
use basalt_core::seam::{
    DiskOk, DiskOp, DiskResult, Effect, Effects, Event, FileId, Lane, Mono, Now, OpenMode,
    PeerAddr, StopReason, Sync, Traced,
};
use bytes::Bytes;

use super::line::{LineWire, take_line};
use crate::node::{Identity, Inspectable, Node};

/// Bugs that can be planted, and the check that fits.
pub const BUGS: &[(&str, &str)] = &[
    ("toy-ack-before-sync", "linearizability"),
    ("toy-minority-write", "linearizability"),
    ("toy-no-write-back", "linearizability"),
    ("toy-skip-sync-dir", "linearizability"),
    ("toy-stuck-after-restart", "liveness replicas"),
    ("toy-stops-after-restart", "liveness replicas"),
    ("toy-read-only-after-restart", "liveness"),
    ("toy-panic-on-link-down", "crash"),
];

/// Orders writes: counter, then a number no other process ever has.
type Stamp = (u64, u64);

/// Between instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    Query { request: u64, key: u64 },
    Found { request: u64, stamp: Stamp, value: i64 },
    Store { request: u64, key: u64, stamp: Stamp, value: i64 },
    Stored { request: u64 },
}

impl Message {
    fn write(&self, w: &mut Writer) {
        match self {
            Message::Query { request, key } => {
                w.u8(1);
                w.u64(*request);
                w.u64(*key);
            }
            Message::Found { request, stamp, value } => {
                w.u8(2);
                w.u64(*request);
                w.u64(stamp.0);
                w.u64(stamp.1);
                w.i64(*value);
            }
            Message::Store { request, key, stamp, value } => {
                w.u8(3);
                w.u64(*request);
                w.u64(*key);
                w.u64(stamp.0);
                w.u64(stamp.1);
                w.i64(*value);
            }
            Message::Stored { request } => {
                w.u8(4);
                w.u64(*request);
            }
        }
    }
}

impl Traced for Message {
    fn with_wire(&self, see: &mut dyn FnMut(&[u8])) {
        let mut w = Writer::new();
        self.write(&mut w);
        see(w.as_slice());
    }
}

const LOG: FileId = FileId(1);
const RECORD_BYTES: usize = 36;
const RESEND: Duration = Duration::from_millis(250);
const GIVE_UP: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Opening,
    SyncingDir,
    Reading,
    Serving,
}

/// A client's request under way.
#[derive(Debug)]
struct Pending {
    conn: ConnId,
    key: u64,
    /// What to write; `None` for a read.
    write: Option<i64>,
    phase: Phase,
    /// Who answered in this phase, one bit an instance.
    answered: u64,
    resend_at: Mono,
    give_up_at: Mono,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Ask { newest: (Stamp, i64) },
    Store { stamp: Stamp, value: i64 },
}

/// Who hears that a record is durable.
#[derive(Debug)]
enum Waiting {
    Own { request: u64 },
    Peer { to: PeerAddr, request: u64 },
}

/// One instance.
pub struct Quorum {
    identity: Identity,
    /// Unique to this process: the low part of its stamps and the high part of its request ids.
    tag: u64,
    state: State,
    log_len: u64,
    /// An earlier process wrote to the disk.
    is_restarted: bool,
    store: BTreeMap<u64, (Stamp, i64)>,
    next_id: u64,
    appending: BTreeMap<OpId, Waiting>,
    pending: BTreeMap<u64, Pending>,
    lines: BTreeMap<ConnId, Vec<u8>>,
}

impl Inspectable for Quorum {
    fn resources(&self, out: &mut Vec<(&'static str, u64, u64)>) {
        out.push(("pending requests", self.pending.len() as u64, 0));
    }

    fn is_ready(&self) -> bool {
        self.state == State::Serving
    }
}

impl Node for Quorum {
    type Msg = Message;
    type Wire = LineWire;
    const SUBJECT: &'static str = "toy-quorum";
    const OPEN_FILES: u64 = 1;

    fn boot(identity: &Identity, seed: [u8; 32]) -> Quorum {
        let mut tag = [0; 8];
        tag.copy_from_slice(&seed[..8]);
        Quorum {
            identity: identity.clone(),
            tag: u64::from_le_bytes(tag),
            state: State::Opening,
            log_len: 0,
            is_restarted: false,
            store: BTreeMap::new(),
            next_id: 0,
            appending: BTreeMap::new(),
            pending: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    fn step(&mut self, now: Now, event: Event<Message>, effects: &mut Effects<Message>) {
        match event {
            Event::Boot => {
                let open = DiskOp::Open { file: LOG, path: "log".into(), mode: OpenMode::Create };
                self.disk(open, effects);
            }
            Event::DiskDone { op, result } => self.disk_done(now, op, result, effects),
            Event::Peer { from, msg } if self.state == State::Serving => {
                self.message(now, from, msg, effects);
            }
            Event::Bytes { conn, bytes } => self.bytes(now, conn, &bytes, effects),
            Event::Closed { conn } => {
                self.lines.remove(&conn);
            }
            Event::Tick => self.tick(now, effects),
            Event::LinkDown { .. } => {
                assert!(!self.has_bug("toy-panic-on-link-down"), "planted: a link went down");
            }
            _ => {}
        }
    }

    fn end_turn(&mut self, _: Now, effects: &mut Effects<Message>) {
        let resend = self.pending.values().map(|p| p.resend_at.min(p.give_up_at)).min();
        if let Some(at) = resend {
            effects.push(Effect::Wake { at });
        }
    }

    fn encode(msg: &Message, out: &mut Vec<u8>) {
        let mut w = Writer::new();
        msg.write(&mut w);
        out.extend_from_slice(w.as_slice());
    }

    fn decode(bytes: Bytes) -> CodecResult<Message> {
        let mut r = Reader::new(bytes, "a toy's message");
        let msg = match r.u8()? {
            1 => Message::Query { request: r.u64()?, key: r.u64()? },
            2 => Message::Found { request: r.u64()?, stamp: (r.u64()?, r.u64()?), value: r.i64()? },
            3 => Message::Store {
                request: r.u64()?,
                key: r.u64()?,
                stamp: (r.u64()?, r.u64()?),
                value: r.i64()?,
            },
            4 => Message::Stored { request: r.u64()? },
            tag => return r.unknown_tag(tag),
        };
        r.finish()?;
        Ok(msg)
    }
}

impl Quorum {
    fn has_bug(&self, name: &str) -> bool {
        self.identity.canaries.iter().any(|planted| planted == name)
    }

    fn majority(&self) -> u32 {
        self.identity.peers.len() as u32 / 2 + 1
    }

    fn disk(&mut self, what: DiskOp, effects: &mut Effects<Message>) -> OpId {
        let op = OpId(self.next_id);
        self.next_id += 1;
        effects.push(Effect::Disk { op, what });
        op
    }

    fn disk_done(
        &mut self,
        now: Now,
        op: OpId,
        result: DiskResult,
        effects: &mut Effects<Message>,
    ) {
        let ok = match result {
            Ok(ok) => ok,
            Err(error) => {
                effects.push(Effect::Stop(StopReason::DiskFailed(error.message)));
                return;
            }
        };
        match (self.state, ok) {
            (State::Opening, DiskOk::Opened { len }) => {
                self.log_len = len;
                self.state = State::SyncingDir;
                let skip = self.has_bug("toy-skip-sync-dir");
                let sync = if skip {
                    DiskOp::List { dir: "".into() }
                } else {
                    DiskOp::SyncDir { dir: "".into() }
                };
                self.disk(sync, effects);
            }
            (State::SyncingDir, _) => {
                self.state = State::Reading;
                let len = u32::try_from(self.log_len).expect("a toy's log is small");
                self.disk(DiskOp::ReadAt { file: LOG, offset: 0, len }, effects);
            }
            (State::Reading, DiskOk::Read(bytes)) => {
                self.recover(&bytes);
                if self.is_restarted && self.has_bug("toy-stops-after-restart") {
                    let why = "planted: an old log".to_owned();
                    effects.push(Effect::Stop(StopReason::DiskFailed(why)));
                }
            }
            _ => self.appended(now, op, effects),
        }
    }

    /// Takes records up to the first that is not whole; what follows it was never confirmed.
    fn recover(&mut self, bytes: &[u8]) {
        let mut len = 0;
        for record in bytes.chunks_exact(RECORD_BYTES) {
            let Some((key, stamp, value)) = read_record(record) else { break };
            self.keep(key, stamp, value);
            len += RECORD_BYTES as u64;
        }
        self.log_len = len;
        self.is_restarted = len > 0;
        if len == 0 || !self.has_bug("toy-stuck-after-restart") {
            self.state = State::Serving;
        }
    }

    fn keep(&mut self, key: u64, stamp: Stamp, value: i64) {
        let held = self.store.entry(key).or_default();
        if stamp > held.0 {
            *held = (stamp, value);
        }
    }

    /// Appends a record; `waiting` hears of it once it is durable.
    fn append(
        &mut self,
        now: Now,
        (key, stamp, value): (u64, Stamp, i64),
        waiting: Waiting,
        effects: &mut Effects<Message>,
    ) {
        self.keep(key, stamp, value);
        let offset = self.log_len;
        self.log_len += RECORD_BYTES as u64;
        let data = record(key, stamp, value);
        let early = self.has_bug("toy-ack-before-sync");
        let then = if early { Sync::No } else { Sync::Data };
        let op = self.disk(DiskOp::WriteAt { file: LOG, offset, data, then }, effects);
        self.appending.insert(op, waiting);
        if early {
            self.appended(now, op, effects);
        }
    }

    fn appended(&mut self, now: Now, op: OpId, effects: &mut Effects<Message>) {
        match self.appending.remove(&op) {
            Some(Waiting::Own { request }) => {
                self.stored_by(now, usize::from(self.identity.node), request, effects);
            }
            Some(Waiting::Peer { to, request }) => {
                effects.push(Effect::Send {
                    to,
                    lane: Lane::Fast,
                    msg: Message::Stored { request },
                });
            }
            None => {}
        }
    }

    fn message(&mut self, now: Now, from: PeerAddr, msg: Message, effects: &mut Effects<Message>) {
        let Some(sender) = self.identity.peers.iter().position(|peer| *peer == from) else {
            return;
        };
        match msg {
            Message::Query { request, key } => {
                let (stamp, value) = self.store.get(&key).copied().unwrap_or_default();
                let msg = Message::Found { request, stamp, value };
                effects.push(Effect::Send { to: from, lane: Lane::Fast, msg });
            }
            Message::Store { request, key, stamp, value } => {
                let waiting = Waiting::Peer { to: from, request };
                self.append(now, (key, stamp, value), waiting, effects);
            }
            Message::Found { request, stamp, value } => {
                self.found_by(now, sender, request, (stamp, value), effects);
            }
            Message::Stored { request } => self.stored_by(now, sender, request, effects),
        }
    }

    fn bytes(&mut self, now: Now, conn: ConnId, bytes: &[u8], effects: &mut Effects<Message>) {
        let buffer = self.lines.entry(conn).or_default();
        buffer.extend_from_slice(bytes);
        let mut lines = Vec::new();
        while let Some(line) = take_line(buffer) {
            lines.push(line);
        }
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["hello"] => say(conn, "ready\n", effects),
                _ if self.state != State::Serving => say(conn, "refused\n", effects),
                ["r", key] => self.begin(now, conn, number(key) as u64, None, effects),
                ["w", ..] if self.is_restarted && self.has_bug("toy-read-only-after-restart") => {
                    say(conn, "refused\n", effects);
                }
                ["w", key, value] => {
                    self.begin(now, conn, number(key) as u64, Some(number(value)), effects);
                }
                _ => effects.push(Effect::Close { conn }),
            }
        }
    }

    fn begin(
        &mut self,
        now: Now,
        conn: ConnId,
        key: u64,
        write: Option<i64>,
        effects: &mut Effects<Message>,
    ) {
        // The tag makes an answer to an earlier process' request miss.
        let request = (self.tag << 20) | self.next_id;
        self.next_id += 1;
        let newest = self.store.get(&key).copied().unwrap_or_default();
        let pending = Pending {
            conn,
            key,
            write,
            phase: Phase::Ask { newest },
            answered: 0,
            resend_at: now.mono + RESEND,
            give_up_at: now.mono + GIVE_UP,
        };
        self.pending.insert(request, pending);
        self.broadcast(request, effects);
        self.found_by(now, usize::from(self.identity.node), request, newest, effects);
    }

    /// Sends the present phase's question to everyone who has not answered it.
    fn broadcast(&mut self, request: u64, effects: &mut Effects<Message>) {
        let Some(pending) = self.pending.get(&request) else { return };
        let key = pending.key;
        let msg = match pending.phase {
            Phase::Ask { .. } => Message::Query { request, key },
            Phase::Store { stamp, value } => Message::Store { request, key, stamp, value },
        };
        for (k, peer) in self.identity.peers.iter().enumerate() {
            if k != usize::from(self.identity.node) && pending.answered & (1 << k) == 0 {
                let (to, msg) = (peer.clone(), msg.clone());
                effects.push(Effect::Send { to, lane: Lane::Fast, msg });
            }
        }
    }

    fn found_by(
        &mut self,
        now: Now,
        who: usize,
        request: u64,
        found: (Stamp, i64),
        effects: &mut Effects<Message>,
    ) {
        let majority = self.majority();
        let tag = self.tag;
        let no_write_back = self.has_bug("toy-no-write-back");
        let Some(pending) = self.pending.get_mut(&request) else { return };
        let Phase::Ask { newest } = &mut pending.phase else { return };
        *newest = (*newest).max(found);
        pending.answered |= 1 << who;
        if pending.answered.count_ones() < majority {
            return;
        }
        let (stamp, value) = match pending.write {
            Some(value) => ((newest.0.0 + 1, tag), value),
            None => *newest,
        };
        pending.phase = Phase::Store { stamp, value };
        pending.answered = 0;
        pending.resend_at = now.mono + RESEND;
        let key = pending.key;
        if no_write_back && pending.write.is_none() {
            pending.answered = u64::MAX;
            self.finish_if_stored(request, effects);
            return;
        }
        self.broadcast(request, effects);
        self.append(now, (key, stamp, value), Waiting::Own { request }, effects);
    }

    fn stored_by(&mut self, _: Now, who: usize, request: u64, effects: &mut Effects<Message>) {
        let Some(pending) = self.pending.get_mut(&request) else { return };
        if matches!(pending.phase, Phase::Store { .. }) {
            pending.answered |= 1 << who;
            self.finish_if_stored(request, effects);
        }
    }

    fn finish_if_stored(&mut self, request: u64, effects: &mut Effects<Message>) {
        let minority = self.has_bug("toy-minority-write");
        let needed = if minority { 1 } else { self.majority() };
        let Some(pending) = self.pending.get(&request) else { return };
        let Phase::Store { value, .. } = pending.phase else { return };
        if pending.answered.count_ones() < needed {
            return;
        }
        match pending.write {
            Some(_) => say(pending.conn, "ok\n", effects),
            None => say(pending.conn, &format!("value {} {value}\n", pending.key), effects),
        }
        self.pending.remove(&request);
    }

    fn tick(&mut self, now: Now, effects: &mut Effects<Message>) {
        let late: Vec<u64> = self.pending.keys().copied().collect();
        for request in late {
            let Some(pending) = self.pending.get_mut(&request) else { continue };
            if now.mono >= pending.give_up_at {
                let conn = pending.conn;
                self.pending.remove(&request);
                say(conn, "unknown\n", effects);
            } else if now.mono >= pending.resend_at {
                pending.resend_at = now.mono + RESEND;
                self.broadcast(request, effects);
            }
        }
    }
}

fn say(conn: ConnId, line: &str, effects: &mut Effects<Message>) {
    effects.push(Effect::Write { conn, bytes: Bytes::copy_from_slice(line.as_bytes()) });
}

fn number(word: &str) -> i64 {
    word.parse().unwrap_or(0)
}

/// Key, counter, tag and value, eight bytes each, then their CRC-32.
fn record(key: u64, stamp: Stamp, value: i64) -> Bytes {
    let mut w = Writer::new();
    w.u64(key);
    w.u64(stamp.0);
    w.u64(stamp.1);
    w.i64(value);
    let crc = crc32fast::hash(w.as_slice());
    w.u32(crc);
    w.into_bytes()
}

fn read_record(bytes: &[u8]) -> Option<(u64, Stamp, i64)> {
    let mut r = Reader::new(Bytes::copy_from_slice(bytes), "a toy's record");
    let fields = (r.u64().ok()?, (r.u64().ok()?, r.u64().ok()?), r.i64().ok()?);
    let crc = crc32fast::hash(&bytes[..RECORD_BYTES - 4]);
    (r.u32().ok()? == crc && crc != 0).then_some(fields)
}
