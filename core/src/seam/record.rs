//! The flight recorder: every event of an instance as bytes, so that a run can be repeated.
//!
//! An instance is a function of its configuration, its seed and its events. A recording holds these,
//! and after each turn the trace hash of the events and effects so far: a replay that computes another
//! hash has found the first turn that went differently.
//!
//! ```text
//! header   "BSLTREC\0"  version u8 (1)  seed 32 bytes  configuration bytes (JSON)
//! record   len u32  crc32 u32  body
//! body     1 event: mono u64, wall u64, tag u8, fields   (tags as in `Trace`)
//!          2 end of turn: mono u64, wall u64, trace hash u64
//! ```
//! A recording cut short anywhere is one of a shorter run.

use bytes::Bytes;

use super::disk::{DiskError, DiskErrorKind, DiskOk, DiskResult};
use super::event::{ConnKind, Event, Inspect, PeerAddr};
use super::time::{Mono, Now, Wall};
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{ConnId, OpId};

const MAGIC: &[u8; 8] = b"BSLTREC\0";
const VERSION: u8 = 1;

/// A message that can be recorded: its wire bytes.
pub trait Recorded: Sized {
    fn to_wire(&self) -> Vec<u8>;

    /// # Errors
    /// The bytes are not a message of this build.
    fn from_wire(bytes: Bytes) -> CodecResult<Self>;
}

/// What a recording begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordingHeader {
    pub seed: [u8; 32],
    /// The instance's configuration as JSON.
    pub config: String,
}

/// One record.
#[derive(Clone, Debug)]
pub enum Item<M> {
    Event(Now, Event<M>),
    /// The turn ended with this trace hash over all events and effects so far.
    EndOfTurn(Now, u64),
}

impl RecordingHeader {
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(MAGIC);
        w.u8(VERSION);
        w.raw(&self.seed);
        w.str(&self.config);
        w.into_vec()
    }
}

/// Appends one framed record to `out`.
pub fn write_item<M: Recorded>(item: &Item<M>, out: &mut Vec<u8>) {
    let mut w = Writer::new();
    match item {
        Item::Event(now, event) => {
            w.u8(1);
            write_now(&mut w, *now);
            write_event(&mut w, event);
        }
        Item::EndOfTurn(now, hash) => {
            w.u8(2);
            write_now(&mut w, *now);
            w.u64(*hash);
        }
    }
    let body = w.as_slice();
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(body).to_le_bytes());
    out.extend_from_slice(body);
}

/// Reads a recording.
#[derive(Debug)]
pub struct Recording {
    rest: Reader,
}

impl Recording {
    /// # Errors
    /// The bytes do not begin as a recording does.
    pub fn open(bytes: Bytes) -> CodecResult<(RecordingHeader, Recording)> {
        let what = "recording";
        let mut r = Reader::new(bytes, what);
        if r.raw(MAGIC.len())? != MAGIC.as_slice() {
            return r.invalid("it does not begin as a recording does");
        }
        let version = r.u8()?;
        if version != VERSION {
            return Err(CodecError::NewerVersion { what, version: version.into() });
        }
        let mut seed = [0; 32];
        seed.copy_from_slice(&r.raw(32)?);
        let config = r.string()?;
        Ok((RecordingHeader { seed, config }, Recording { rest: r }))
    }

    /// The next record; `None` at the end, also where the recording was cut short.
    ///
    /// # Errors
    /// A whole record is damaged.
    pub fn next_item<M: Recorded>(&mut self) -> CodecResult<Option<Item<M>>> {
        let mut r = self.rest.clone();
        let (Ok(len), Ok(crc)) = (r.u32(), r.u32()) else { return Ok(None) };
        let Ok(body) = r.raw(len as usize) else { return Ok(None) };
        if crc32fast::hash(&body) != crc {
            return r.invalid("a record's checksum is wrong");
        }
        self.rest = r;
        let mut r = Reader::new(body, "recorded event");
        let item = match r.u8()? {
            1 => Item::Event(read_now(&mut r)?, read_event(&mut r)?),
            2 => Item::EndOfTurn(read_now(&mut r)?, r.u64()?),
            tag => return r.unknown_tag(tag),
        };
        r.finish()?;
        Ok(Some(item))
    }
}

fn write_now(w: &mut Writer, now: Now) {
    w.u64(now.mono.0);
    w.u64(now.wall.0);
}

fn read_now(r: &mut Reader) -> CodecResult<Now> {
    Ok(Now { mono: Mono(r.u64()?), wall: Wall(r.u64()?) })
}

fn write_event<M: Recorded>(w: &mut Writer, event: &Event<M>) {
    match event {
        Event::Boot => w.u8(1),
        Event::Tick => w.u8(2),
        Event::Accepted { conn, kind, remote } => {
            w.u8(3);
            w.varint(conn.0);
            w.u8(match kind {
                ConnKind::Postgres => 0,
                ConnKind::Admin => 1,
            });
            w.str(remote);
        }
        Event::Bytes { conn, bytes } => {
            w.u8(4);
            w.varint(conn.0);
            w.bytes(bytes);
        }
        Event::Flushed { conn, bytes } => {
            w.u8(5);
            w.varint(conn.0);
            w.varint(*bytes as u64);
        }
        Event::Closed { conn } => {
            w.u8(6);
            w.varint(conn.0);
        }
        Event::Peer { from, msg } => {
            w.u8(7);
            w.str(&from.0);
            w.bytes(&msg.to_wire());
        }
        Event::LinkUp { peer } => {
            w.u8(8);
            w.str(&peer.0);
        }
        Event::LinkDown { peer } => {
            w.u8(9);
            w.str(&peer.0);
        }
        Event::DiskDone { op, result } => {
            w.u8(10);
            w.varint(op.0);
            write_result(w, result);
        }
        Event::Inspect { request, what } => {
            w.u8(11);
            w.varint(*request);
            w.u8(match what {
                Inspect::Metrics => 0,
                Inspect::Cluster => 1,
                Inspect::Health => 2,
            });
        }
        Event::Shutdown => w.u8(12),
    }
}

fn read_event<M: Recorded>(r: &mut Reader) -> CodecResult<Event<M>> {
    Ok(match r.u8()? {
        1 => Event::Boot,
        2 => Event::Tick,
        3 => Event::Accepted {
            conn: ConnId(r.varint()?),
            kind: match r.u8()? {
                0 => ConnKind::Postgres,
                1 => ConnKind::Admin,
                tag => return r.unknown_tag(tag),
            },
            remote: r.string()?.into(),
        },
        4 => Event::Bytes { conn: ConnId(r.varint()?), bytes: r.bytes()? },
        5 => Event::Flushed { conn: ConnId(r.varint()?), bytes: r.varint_as()? },
        6 => Event::Closed { conn: ConnId(r.varint()?) },
        7 => Event::Peer { from: PeerAddr::new(r.string()?), msg: M::from_wire(r.bytes()?)? },
        8 => Event::LinkUp { peer: PeerAddr::new(r.string()?) },
        9 => Event::LinkDown { peer: PeerAddr::new(r.string()?) },
        10 => Event::DiskDone { op: OpId(r.varint()?), result: read_result(r)? },
        11 => Event::Inspect {
            request: r.varint()?,
            what: match r.u8()? {
                0 => Inspect::Metrics,
                1 => Inspect::Cluster,
                2 => Inspect::Health,
                tag => return r.unknown_tag(tag),
            },
        },
        12 => Event::Shutdown,
        tag => return r.unknown_tag(tag),
    })
}

fn write_result(w: &mut Writer, result: &DiskResult) {
    match result {
        Ok(DiskOk::Done) => w.u8(1),
        Ok(DiskOk::Opened { len }) => {
            w.u8(2);
            w.varint(*len);
        }
        Ok(DiskOk::Read(bytes)) => {
            w.u8(3);
            w.bytes(bytes);
        }
        Ok(DiskOk::Names(names)) => {
            w.u8(4);
            w.list(names, |w, name| w.str(name));
        }
        Err(error) => {
            w.u8(5);
            w.u8(match error.kind {
                DiskErrorKind::NotFound => 0,
                DiskErrorKind::NoSpace => 1,
                DiskErrorKind::PermissionDenied => 2,
                DiskErrorKind::Io => 3,
            });
            w.str(&error.message);
        }
    }
}

fn read_result(r: &mut Reader) -> CodecResult<DiskResult> {
    Ok(match r.u8()? {
        1 => Ok(DiskOk::Done),
        2 => Ok(DiskOk::Opened { len: r.varint()? }),
        3 => Ok(DiskOk::Read(r.bytes()?)),
        4 => Ok(DiskOk::Names(r.list(Reader::string)?)),
        5 => Err(DiskError {
            kind: match r.u8()? {
                0 => DiskErrorKind::NotFound,
                1 => DiskErrorKind::NoSpace,
                2 => DiskErrorKind::PermissionDenied,
                3 => DiskErrorKind::Io,
                tag => return r.unknown_tag(tag),
            },
            message: r.string()?,
        }),
        tag => return r.unknown_tag(tag),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seam::{Trace, Traced};

    #[derive(Clone, Debug)]
    struct Word(Vec<u8>);

    impl Recorded for Word {
        fn to_wire(&self) -> Vec<u8> {
            self.0.clone()
        }
        fn from_wire(bytes: Bytes) -> CodecResult<Word> {
            Ok(Word(bytes.to_vec()))
        }
    }

    impl Traced for Word {
        fn trace(&self, trace: &mut Trace) {
            trace.bytes(&self.0);
        }
    }

    fn events() -> Vec<Event<Word>> {
        let conn = ConnId(3);
        let error = DiskError { kind: DiskErrorKind::NoSpace, message: "full".into() };
        vec![
            Event::Boot,
            Event::Accepted { conn, kind: ConnKind::Admin, remote: "unix".into() },
            Event::Bytes { conn, bytes: Bytes::from_static(b"Q") },
            Event::Peer { from: PeerAddr::new("a:1"), msg: Word(vec![1, 2]) },
            Event::DiskDone { op: OpId(9), result: Err(error) },
            Event::DiskDone { op: OpId(10), result: Ok(DiskOk::Names(vec!["x".into()])) },
            Event::Inspect { request: 1, what: Inspect::Health },
            Event::Shutdown,
        ]
    }

    #[test]
    fn a_recording_repeats_the_run() {
        let header = RecordingHeader { seed: [7; 32], config: "{}".into() };
        let mut bytes = header.encode();
        let mut trace = Trace::new();
        for (k, event) in events().into_iter().enumerate() {
            let now = Now { mono: Mono(k as u64), wall: Wall(5) };
            trace.event(now, &event);
            write_item(&Item::Event(now, event), &mut bytes);
            write_item(&Item::<Word>::EndOfTurn(now, trace.digest()), &mut bytes);
        }
        let whole = Bytes::from(bytes);
        let (found, mut recording) = Recording::open(whole.clone()).unwrap();
        assert_eq!(found, header);
        let mut again = Trace::new();
        let mut turns = 0;
        while let Some(item) = recording.next_item::<Word>().unwrap() {
            match item {
                Item::Event(now, event) => again.event(now, &event),
                Item::EndOfTurn(_, hash) => {
                    assert_eq!(hash, again.digest());
                    turns += 1;
                }
            }
        }
        assert_eq!(turns, events().len());
        // Cut short: the records before the cut are still there.
        let (_, mut short) = Recording::open(whole.slice(..whole.len() - 3)).unwrap();
        let mut items = 0;
        while short.next_item::<Word>().unwrap().is_some() {
            items += 1;
        }
        assert_eq!(items, 2 * events().len() - 1);
    }
}
