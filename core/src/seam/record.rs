//! The flight recorder: every event of an instance as bytes, so that a run can be repeated.
//!
//! An instance is a function of its configuration, its seed and its events. A recording holds these,
//! and after each turn the trace hash of the events and effects so far: a replay that computes another
//! hash has found the first turn that went differently.
//!
//! ```text
//! recording  "BSLTREC\0"  version u8 (1)  record*
//! record     len u32  crc32 of the body u32  crc32 of these 8 bytes u32  body
//! body       0 start, the first record alone: seed 32 bytes, version of the program,
//!              configuration as JSON
//!            1 event: mono u64, wall u64, tag u8, fields   (tags as in `Trace`)
//!            2 end of turn: mono u64, wall u64, trace hash u64
//! ```
//! A recording cut short anywhere is one of a shorter run: the length has a checksum of its own, so
//! that a damaged one is not taken for the end.

use bytes::{Buf, Bytes, BytesMut};

use super::disk::{DiskError, DiskErrorKind, DiskOk, DiskResult};
use super::effect::Effect;
use super::event::{ConnKind, Event, Inspect, PeerAddr};
use super::time::{Mono, Now, Wall};
use super::trace::{Trace, Traced};
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{ConnId, OpId};

const MAGIC: &[u8; 8] = b"BSLTREC\0";
const VERSION: u8 = 1;
/// What comes before the first record.
const PROLOGUE_BYTES: usize = MAGIC.len() + 1;
/// What comes before a record's body.
const FRAME_BYTES: usize = 12;
/// A record's body at most: more than a message of a peer or one read of the disk ever is.
const BODY_BYTES_MAX: usize = 512 << 20;

const START: u8 = 0;
const EVENT: u8 = 1;
const END_OF_TURN: u8 = 2;

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
    /// The version of the program that ran. Another one may rightly do something else.
    pub program: String,
    /// The instance's configuration as JSON.
    pub config: String,
}

/// One record after the start.
#[derive(Clone, Debug)]
pub enum Item<M> {
    Event(Now, Event<M>),
    /// The turn ended with this trace hash over all events and effects so far.
    EndOfTurn(Now, u64),
}

/// An event is too long to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of {bytes} bytes cannot be recorded")]
pub struct TooLong {
    pub bytes: usize,
}

/// Makes the bytes of a recording, for the shell to store in order.
#[derive(Debug)]
pub struct RecordingWriter {
    trace: Trace,
    bytes: Vec<u8>,
}

impl RecordingWriter {
    /// A recording whose first bytes are made.
    ///
    /// # Errors
    /// The configuration is longer than any can be.
    pub fn new(header: &RecordingHeader) -> Result<RecordingWriter, TooLong> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(VERSION);
        let mut w = Writer::new();
        w.u8(START);
        w.raw(&header.seed);
        w.str(&header.program);
        w.str(&header.config);
        append_record(w.as_slice(), &mut bytes)?;
        Ok(RecordingWriter { trace: Trace::new(), bytes })
    }

    /// Records an event the instance is to be given.
    ///
    /// # Errors
    /// The event is too long; the recording must end with the one before.
    pub fn event<M: Recorded + Traced>(
        &mut self,
        now: Now,
        event: &Event<M>,
    ) -> Result<(), TooLong> {
        let mut w = Writer::new();
        w.u8(EVENT);
        write_now(&mut w, now);
        write_event(&mut w, event);
        append_record(w.as_slice(), &mut self.bytes)?;
        self.trace.event(now, event);
        Ok(())
    }

    /// Records the end of a turn and what the instance made of the turn's events.
    pub fn end_turn<M: Traced>(&mut self, now: Now, effects: &[Effect<M>]) {
        for effect in effects {
            self.trace.effect(effect);
        }
        let mut w = Writer::new();
        w.u8(END_OF_TURN);
        write_now(&mut w, now);
        w.u64(self.trace.digest());
        append_record(w.as_slice(), &mut self.bytes).expect("the end of a turn is short");
    }

    /// The bytes made since [`RecordingWriter::clear`].
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Forgets the bytes made so far, which have been stored.
    pub fn clear(&mut self) {
        // One huge event should not hold its memory for ever.
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
    }
}

fn append_record(body: &[u8], out: &mut Vec<u8>) -> Result<(), TooLong> {
    let bytes = body.len();
    let len = u32::try_from(bytes).ok().filter(|_| bytes <= BODY_BYTES_MAX);
    let Some(len) = len else { return Err(TooLong { bytes }) };
    let mut frame = [0; FRAME_BYTES];
    frame[..4].copy_from_slice(&len.to_le_bytes());
    frame[4..8].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let check = crc32fast::hash(&frame[..8]);
    frame[8..].copy_from_slice(&check.to_le_bytes());
    out.extend_from_slice(&frame);
    out.extend_from_slice(body);
    Ok(())
}

/// What is wrong with a recording, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {offset}: {why}")]
pub struct BadRecording {
    /// Where the record begins that cannot be read.
    pub offset: u64,
    pub why: CodecError,
}

/// Reads a recording piece by piece; holds no more than the record it is at and the last piece.
#[derive(Debug, Default)]
pub struct RecordingReader {
    held: BytesMut,
    /// Where `held` begins in the recording.
    offset: u64,
}

impl RecordingReader {
    pub fn new() -> RecordingReader {
        RecordingReader::default()
    }

    /// Takes the next bytes of the recording.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// Bytes taken that are not a whole record yet.
    pub fn left(&self) -> usize {
        self.held.len()
    }

    /// The start of the recording, to be read before anything else; `None` until more bytes come.
    ///
    /// # Errors
    /// The bytes do not begin as a recording does.
    pub fn header(&mut self) -> Result<Option<RecordingHeader>, BadRecording> {
        let offset = self.offset;
        self.try_header().map_err(|why| BadRecording { offset, why })
    }

    /// The next record; `None` until more bytes come, for ever at the end and where the recording
    /// was cut short.
    ///
    /// # Errors
    /// A record is damaged, or is none of this build.
    pub fn next_item<M: Recorded>(&mut self) -> Result<Option<Item<M>>, BadRecording> {
        let offset = self.offset;
        let body = self.body_at(0).map_err(|why| BadRecording { offset, why })?;
        body.map(read_item).transpose().map_err(|why| BadRecording { offset, why })
    }

    fn try_header(&mut self) -> CodecResult<Option<RecordingHeader>> {
        let what = "recording";
        let known = self.held.len().min(MAGIC.len());
        if self.held[..known] != MAGIC[..known] {
            return Err(CodecError::Invalid { what, why: "it does not begin as a recording does" });
        }
        let Some(&version) = self.held.get(MAGIC.len()) else { return Ok(None) };
        if version != VERSION {
            return Err(CodecError::NewerVersion { what, version: version.into() });
        }
        let Some(body) = self.body_at(PROLOGUE_BYTES)? else { return Ok(None) };
        let mut r = Reader::new(body, "start of a recording");
        let tag = r.u8()?;
        if tag != START {
            return r.unknown_tag(tag);
        }
        let mut seed = [0; 32];
        seed.copy_from_slice(&r.raw(32)?);
        let header = RecordingHeader { seed, program: r.string()?, config: r.string()? };
        r.finish()?;
        Ok(Some(header))
    }

    /// Takes the record that begins `skip` bytes on, and what is before it.
    fn body_at(&mut self, skip: usize) -> CodecResult<Option<Bytes>> {
        let what = "recording";
        let begin = skip + FRAME_BYTES;
        let Some(frame) = self.held.get(skip..begin) else { return Ok(None) };
        let field = |k: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| frame[4 * k + byte]));
        let (len, crc, check) = (field(0) as usize, field(1), field(2));
        if crc32fast::hash(&frame[..8]) != check || len > BODY_BYTES_MAX {
            return Err(CodecError::Invalid { what, why: "a record's length is damaged" });
        }
        let Some(body) = self.held.get(begin..begin + len) else { return Ok(None) };
        if crc32fast::hash(body) != crc {
            return Err(CodecError::Invalid { what, why: "a record's checksum is wrong" });
        }
        // A copy: what the instance keeps of it must not keep the pieces around it.
        let body = Bytes::copy_from_slice(body);
        self.held.advance(begin + len);
        self.offset += (begin + len) as u64;
        Ok(Some(body))
    }
}

fn read_item<M: Recorded>(body: Bytes) -> CodecResult<Item<M>> {
    let mut r = Reader::new(body, "recorded event");
    let item = match r.u8()? {
        EVENT => Item::Event(read_now(&mut r)?, read_event(&mut r)?),
        END_OF_TURN => Item::EndOfTurn(read_now(&mut r)?, r.u64()?),
        tag => return r.unknown_tag(tag),
    };
    r.finish()?;
    Ok(item)
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
        fn with_wire(&self, see: &mut dyn FnMut(&[u8])) {
            see(&self.0);
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

    /// A recording of one turn an event, and how often its turns end.
    fn recording() -> (RecordingHeader, Vec<u8>) {
        let header = RecordingHeader { seed: [7; 32], program: "1".into(), config: "{}".into() };
        let mut writer = RecordingWriter::new(&header).unwrap();
        let mut bytes = Vec::new();
        for (k, event) in events().into_iter().enumerate() {
            let now = Now { mono: Mono(k as u64), wall: Wall(5) };
            writer.event(now, &event).unwrap();
            writer.end_turn::<Word>(now, &[Effect::Close { conn: ConnId(k as u64) }]);
            bytes.extend_from_slice(writer.bytes());
            writer.clear();
        }
        (header, bytes)
    }

    /// Everything in a recording that comes in pieces of this length.
    fn read(
        bytes: &[u8],
        piece: usize,
    ) -> Result<(Option<RecordingHeader>, Vec<Item<Word>>), BadRecording> {
        let mut reader = RecordingReader::new();
        let (mut header, mut items) = (None, Vec::new());
        for piece in bytes.chunks(piece) {
            reader.feed(piece);
            if header.is_none() {
                header = reader.header()?;
            }
            while header.is_some()
                && let Some(item) = reader.next_item()?
            {
                items.push(item);
            }
        }
        Ok((header, items))
    }

    #[test]
    fn a_recording_repeats_the_run() {
        let (header, bytes) = recording();
        for piece in [1, 7, bytes.len()] {
            let (found, items) = read(&bytes, piece).unwrap();
            assert_eq!(found.as_ref(), Some(&header));
            let mut again = Trace::new();
            let mut turns = 0;
            for item in items {
                match item {
                    Item::Event(now, event) => again.event(now, &event),
                    Item::EndOfTurn(_, hash) => {
                        again.effect::<Word>(&Effect::Close { conn: ConnId(turns) });
                        assert_eq!(hash, again.digest());
                        turns += 1;
                    }
                }
            }
            assert_eq!(turns, events().len() as u64);
        }
    }

    #[test]
    fn a_recording_cut_short_is_one_of_a_shorter_run() {
        let (_, bytes) = recording();
        let mut last = 0;
        for cut in 0..bytes.len() {
            let (header, items) = read(&bytes[..cut], 64).unwrap();
            assert!(items.len() >= last && (header.is_some() || items.is_empty()), "{cut}");
            last = items.len();
        }
        assert_eq!(last, 2 * events().len() - 1);
    }

    #[test]
    fn each_changed_bit_is_found_and_placed() {
        let (_, bytes) = recording();
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bad = read(&bytes, 64).unwrap_err();
            assert!(bad.offset <= bit as u64 / 8, "{bad} for byte {}", bit / 8);
        }
    }

    #[test]
    fn what_is_not_a_recording_is_refused() {
        let refused = |bytes: &[u8]| read(bytes, 64).unwrap_err().to_string();
        let expected = "at byte 0: recording: it does not begin as a recording does";
        assert_eq!(refused(b"{\"seed\": 7}"), expected);
        assert_eq!(refused(b"B\0"), expected);
        let newer = [MAGIC.as_slice(), &[VERSION + 1]].concat();
        assert!(refused(&newer).contains("newer"), "{}", refused(&newer));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(tail in proptest::collection::vec(0u8.., 0..99)) {
            let (_, mut bytes) = recording();
            // Behind a frame that is sound, so that the fields are reached.
            append_record(&tail, &mut bytes).unwrap();
            let _ = read(&bytes, 64);
            let _ = read(&tail, 64);
        }
    }
}
