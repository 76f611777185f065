//! Frames between instances, and the hello that opens a connection.
//!
//! ```text
//! offset  size  field
//!      0     4  length of what follows the checksum, little-endian
//!      4     4  CRC-32 of what follows, little-endian
//!      8     1  kind: 0 fast lane, 1 bulk lane, 2 hello
//!      9     …  payload
//!
//! hello:  "BSLT"  version u16  oldest version understood u16  advertised address (varint length, text)
//! ```
//! The first frame of a connection is a hello and only the first is. An empty address means that
//! the sender cannot be dialled; answers go back on the same connection. A hello may grow at its
//! end: what an older reader does not know it leaves unread.
//!
//! Any byte that does not fit drops the connection. A cut connection loses the messages in flight,
//! which the protocols above allow; a damaged message is never delivered.

use basalt_core::base::codec::{CodecError, CodecResult, Reader, Writer};
use basalt_core::base::limits;
use basalt_core::seam::{Lane, PeerAddr};
use bytes::{Buf, Bytes, BytesMut};

/// The largest frame, header included.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// A stranger may make us keep this much before it has said hello.
pub const HELLO_BYTES_MAX: usize = 1 << 10;
/// Version of the framing and the hello.
pub const VERSION: u16 = 1;
/// The oldest version whose frames we read.
pub const VERSION_OLDEST: u16 = 1;

const HEADER_BYTES: usize = 8;
const MAGIC: &[u8; 4] = b"BSLT";

// What the core puts into one message has room, whatever stands around it.
const _: () = assert!(limits::FORWARDED_BYTES_MAX + (4 << 20) < FRAME_BYTES_MAX);
const _: () = assert!(HELLO_BYTES_MAX < FRAME_BYTES_MAX && FRAME_BYTES_MAX <= u32::MAX as usize);

/// Why bytes from a peer are not a frame of ours, or a frame cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame of {bytes} bytes, at most {limit} are allowed")]
    TooLarge { bytes: usize, limit: usize },
    #[error("an empty frame")]
    Empty,
    #[error("a frame with a wrong checksum")]
    Checksum,
    #[error("a frame of unknown kind {0}")]
    UnknownKind(u8),
    #[error("not a Basalt peer: {0}")]
    BadHello(CodecError),
    #[error("protocol version {theirs}, this build understands {VERSION_OLDEST} to {VERSION}")]
    Version { theirs: u16 },
}

/// What a frame is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Message(Lane),
    Hello,
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Kind::Message(Lane::Fast) => 0,
            Kind::Message(Lane::Bulk) => 1,
            Kind::Hello => 2,
        }
    }

    fn from_byte(byte: u8) -> Result<Kind, FrameError> {
        match byte {
            0 => Ok(Kind::Message(Lane::Fast)),
            1 => Ok(Kind::Message(Lane::Bulk)),
            2 => Ok(Kind::Hello),
            other => Err(FrameError::UnknownKind(other)),
        }
    }
}

/// Appends one frame whose payload `write` appends. On an error `out` is as before.
pub fn append(
    out: &mut Vec<u8>,
    kind: Kind,
    write: impl FnOnce(&mut Vec<u8>),
) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    out.push(kind.byte());
    write(out);
    let bytes = out.len() - start;
    if bytes > FRAME_BYTES_MAX {
        out.truncate(start);
        return Err(FrameError::TooLarge { bytes, limit: FRAME_BYTES_MAX });
    }
    let body = start + HEADER_BYTES;
    let checksum = crc32fast::hash(&out[body..]);
    let len = (bytes - HEADER_BYTES) as u32;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..body].copy_from_slice(&checksum.to_le_bytes());
    Ok(())
}

/// The first frame of a connection. `advertised` is `None` for a client without an address.
pub fn hello(advertised: Option<&PeerAddr>) -> Result<Bytes, FrameError> {
    let mut out = Vec::new();
    append(&mut out, Kind::Hello, |out| {
        let mut writer = Writer::new();
        writer.raw(MAGIC);
        writer.u16(VERSION);
        writer.u16(VERSION_OLDEST);
        writer.bytes(advertised.map_or("", |a| &a.0).as_bytes());
        out.extend_from_slice(writer.as_slice());
    })?;
    Ok(Bytes::from(out))
}

/// The advertised address in a hello, `None` if it is empty.
pub fn read_hello(payload: Bytes) -> Result<Option<PeerAddr>, FrameError> {
    let (version, oldest, address) = hello_fields(payload).map_err(FrameError::BadHello)?;
    if oldest > VERSION || version < VERSION_OLDEST {
        return Err(FrameError::Version { theirs: version });
    }
    Ok((!address.is_empty()).then(|| PeerAddr::new(address)))
}

fn hello_fields(payload: Bytes) -> CodecResult<(u16, u16, String)> {
    let mut reader = Reader::new(payload, "hello of a peer");
    if reader.raw(MAGIC.len())? != MAGIC[..] {
        return reader.invalid("it does not start with the magic bytes");
    }
    Ok((reader.u16()?, reader.u16()?, reader.string()?))
}

/// Cuts a stream of bytes into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    limit: usize,
}

impl Decoder {
    /// Expects a hello first: frames are small until [`Decoder::allow_messages`].
    pub fn new() -> Decoder {
        Decoder { buffer: BytesMut::new(), limit: HELLO_BYTES_MAX }
    }

    pub fn allow_messages(&mut self) {
        self.limit = FRAME_BYTES_MAX;
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, `None` until more bytes come. After an error the stream is useless.
    pub fn next_frame(&mut self) -> Result<Option<(Kind, Bytes)>, FrameError> {
        let Some(header) = self.buffer.get(..HEADER_BYTES) else { return Ok(None) };
        let mut header = header;
        let len = header.get_u32_le() as usize;
        let checksum = header.get_u32_le();
        let bytes = HEADER_BYTES + len;
        if bytes > self.limit {
            return Err(FrameError::TooLarge { bytes, limit: self.limit });
        }
        if len == 0 {
            return Err(FrameError::Empty);
        }
        if self.buffer.len() < bytes {
            return Ok(None);
        }
        let mut body = self.buffer.split_to(bytes).freeze();
        body.advance(HEADER_BYTES);
        if crc32fast::hash(&body) != checksum {
            return Err(FrameError::Checksum);
        }
        let kind = Kind::from_byte(body.get_u8())?;
        Ok(Some((kind, body)))
    }
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            Just(Kind::Message(Lane::Fast)),
            Just(Kind::Message(Lane::Bulk)),
            Just(Kind::Hello)
        ]
    }

    fn decode_all(decoder: &mut Decoder) -> Result<Vec<(Kind, Bytes)>, FrameError> {
        let mut frames = Vec::new();
        while let Some(frame) = decoder.next_frame()? {
            frames.push(frame);
        }
        Ok(frames)
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            frames in prop::collection::vec((kind(), prop::collection::vec(any::<u8>(), 0..300)), 0..20),
            cuts in prop::collection::vec(1usize..200, 1..20),
        ) {
            let mut stream = Vec::new();
            for (kind, payload) in &frames {
                append(&mut stream, *kind, |out| out.extend_from_slice(payload)).unwrap();
            }
            let mut decoder = Decoder::new();
            decoder.allow_messages();
            let mut out = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.push(now);
                out.extend(decode_all(&mut decoder).unwrap());
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            let expected: Vec<_> =
                frames.into_iter().map(|(kind, payload)| (kind, Bytes::from(payload))).collect();
            prop_assert_eq!(out, expected);
        }

        #[test]
        fn a_damaged_frame_is_never_delivered(
            payload in prop::collection::vec(any::<u8>(), 0..100),
            position in any::<prop::sample::Index>(),
            flip in 1u8..=255,
        ) {
            let mut stream = Vec::new();
            append(&mut stream, Kind::Message(Lane::Fast), |out| out.extend_from_slice(&payload))
                .unwrap();
            let position = position.index(stream.len());
            stream[position] ^= flip;
            let mut decoder = Decoder::new();
            decoder.allow_messages();
            decoder.push(&stream);
            prop_assert!(!matches!(decoder.next_frame(), Ok(Some(_))));
        }

        #[test]
        fn no_bytes_make_a_decoder_panic(stream in prop::collection::vec(any::<u8>(), 0..500)) {
            let mut decoder = Decoder::new();
            decoder.push(&stream);
            let _ = decode_all(&mut decoder);
            let _ = read_hello(Bytes::from(stream));
        }
    }

    #[test]
    fn a_hello_gives_the_address_back() {
        for address in [None, Some(PeerAddr::new("db1:3301"))] {
            let mut decoder = Decoder::new();
            decoder.push(&hello(address.as_ref()).unwrap());
            let (kind, payload) = decoder.next_frame().unwrap().unwrap();
            assert_eq!(kind, Kind::Hello);
            assert_eq!(read_hello(payload), Ok(address));
        }
    }

    #[test]
    fn a_stranger_cannot_make_us_wait_for_a_large_frame() {
        let mut decoder = Decoder::new();
        decoder.push(b"GET / HTTP/1.1\r\n");
        assert!(matches!(decoder.next_frame(), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn no_length_makes_us_wait_for_more_than_a_frame_may_have() {
        for len in [FRAME_BYTES_MAX as u32, i32::MAX as u32, u32::MAX] {
            let mut decoder = Decoder::new();
            decoder.allow_messages();
            decoder.push(&len.to_le_bytes());
            decoder.push(&[0; 4]);
            assert!(matches!(decoder.next_frame(), Err(FrameError::TooLarge { .. })), "{len}");
        }
    }

    #[test]
    fn a_newer_peer_that_dropped_our_version_is_refused() {
        let mut writer = Writer::new();
        writer.raw(MAGIC);
        writer.u16(VERSION + 2);
        writer.u16(VERSION + 1);
        writer.bytes(b"");
        let theirs = VERSION + 2;
        assert_eq!(read_hello(writer.into_bytes()), Err(FrameError::Version { theirs }));
    }
}
