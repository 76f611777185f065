//! The byte stream of a client, cut into frames.
//!
//! A frame of the steady protocol is `tag u8, length i32, body`; the length counts itself and the
//! body. Packets before login have no tag. A length is judged as soon as its four bytes are here, so
//! a client that announces 2 GiB is refused at once and nothing is set aside for it.
//!
//! A chunk that ends on a frame border is handed on without copying; only the torn frame at the end
//! of a chunk is copied, once, to be joined with what follows.

use bytes::{Buf, Bytes, BytesMut};

use super::frontend::Frame;
use super::protocol_violation;
use crate::base::{SqlError, SqlResult};

/// The largest packet before login, as in PostgreSQL.
pub const STARTUP_LIMIT_BYTES: usize = 10_000;

/// The smallest packet before login: a length and a code.
const STARTUP_MIN_BYTES: usize = 8;

/// The largest message while a password is checked: the client is still a stranger.
pub const LOGIN_LIMIT_BYTES: usize = 65_535;

/// Bytes received and not yet taken. At most one of the two parts holds bytes.
#[derive(Debug, Default)]
pub struct Input {
    /// As it came from the shell.
    chunk: Bytes,
    /// A torn frame and what came after it.
    joined: BytesMut,
}

impl Input {
    pub fn push(&mut self, bytes: Bytes) {
        if self.joined.is_empty() && self.chunk.is_empty() {
            self.chunk = bytes;
            return;
        }
        self.join();
        self.joined.extend_from_slice(&bytes);
    }

    /// Bytes waiting to be taken.
    pub fn len(&self) -> usize {
        self.chunk.len() + self.joined.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Throws everything away.
    pub fn clear(&mut self) {
        *self = Input::default();
    }

    /// The next packet before login, without its length, or `None` until it is complete.
    pub fn startup_packet(&mut self) -> SqlResult<Option<Bytes>> {
        let Some(length) = self.length_at(0) else { return Ok(None) };
        let valid = usize::try_from(length)
            .ok()
            .filter(|n| (STARTUP_MIN_BYTES..=STARTUP_LIMIT_BYTES).contains(n));
        let Some(length) = valid else {
            return Err(protocol_violation("invalid length of startup packet"));
        };
        Ok(self.take(length).map(|packet| packet.slice(4..)))
    }

    /// The next frame, or `None` until it is complete. `limit` bounds the body in bytes.
    pub fn frame(&mut self, limit: usize) -> SqlResult<Option<Frame>> {
        let Some(length) = self.length_at(1) else { return Ok(None) };
        let valid = usize::try_from(length).ok().filter(|n| *n >= 4 && *n - 4 <= limit);
        let Some(length) = valid else { return Err(bad_length(length, limit)) };
        Ok(self.take(length + 1).map(|mut packet| {
            let tag = packet[0];
            packet.advance(5);
            Frame { tag, body: packet }
        }))
    }

    /// Whether a whole frame (or one that will be refused) is waiting.
    pub fn has_frame(&self) -> bool {
        match self.length_at(1) {
            Some(length) => usize::try_from(length).map_or(true, |n| self.len() > n),
            None => false,
        }
    }

    fn head(&self) -> &[u8] {
        if self.joined.is_empty() { &self.chunk } else { &self.joined }
    }

    fn length_at(&self, offset: usize) -> Option<i32> {
        let bytes = self.head().get(offset..offset + 4)?;
        Some(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    fn take(&mut self, len: usize) -> Option<Bytes> {
        if !self.joined.is_empty() {
            if self.joined.len() < len {
                return None;
            }
            let packet = self.joined.split_to(len).freeze();
            if self.joined.is_empty() {
                // An empty buffer would still hold on to the memory of a large message.
                self.joined = BytesMut::new();
            }
            return Some(packet);
        }
        if self.chunk.len() >= len {
            return Some(self.chunk.split_to(len));
        }
        None
    }

    fn join(&mut self) {
        if !self.chunk.is_empty() {
            self.joined.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
        }
    }
}

fn bad_length(length: i32, limit: usize) -> SqlError {
    if length < 4 {
        return protocol_violation(format!("invalid message length {length}"));
    }
    protocol_violation(format!("message length {length} exceeds the limit of {limit} bytes"))
        .with_hint("Send less in one message, or raise the server's limit on message size.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame_bytes(tag: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        out.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn a_length_is_judged_before_the_body_arrives() {
        let mut input = Input::default();
        input.push(Bytes::from_static(b"Q\x7f\xff\xff\xff"));
        let error = input.frame(1000).unwrap_err();
        assert_eq!(error.message, "message length 2147483647 exceeds the limit of 1000 bytes");
        let mut input = Input::default();
        input.push(Bytes::from_static(b"Q\0\0\0\x03"));
        assert_eq!(input.frame(1000).unwrap_err().message, "invalid message length 3");
        let mut input = Input::default();
        input.push(Bytes::from_static(b"Q\xff\xff\xff\xff"));
        assert_eq!(input.frame(1000).unwrap_err().message, "invalid message length -1");
    }

    #[test]
    fn the_limit_itself_passes() {
        let mut input = Input::default();
        input.push(frame_bytes(b'd', &[7; 10]).into());
        assert_eq!(input.frame(10).unwrap().unwrap().body.len(), 10);
        input.push(frame_bytes(b'd', &[7; 11]).into());
        assert!(input.frame(10).is_err());
    }

    #[test]
    fn startup_packets_are_at_most_ten_thousand_bytes() {
        let mut input = Input::default();
        input.push(Bytes::copy_from_slice(&10_001i32.to_be_bytes()));
        assert!(input.startup_packet().is_err());
        let mut input = Input::default();
        input.push(Bytes::copy_from_slice(&10_000i32.to_be_bytes()));
        assert_eq!(input.startup_packet(), Ok(None));
        let mut input = Input::default();
        input.push(Bytes::copy_from_slice(&7i32.to_be_bytes()));
        assert!(input.startup_packet().is_err());
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            cuts in prop::collection::vec(1usize..50, 1..40),
        ) {
            let stream: Vec<u8> = bodies.iter().flat_map(|b| frame_bytes(b'd', b)).collect();
            let mut input = Input::default();
            let mut seen = Vec::new();
            let (mut at, mut turn) = (0, 0);
            while at < stream.len() {
                let end = stream.len().min(at + cuts[turn % cuts.len()]);
                input.push(Bytes::copy_from_slice(&stream[at..end]));
                (at, turn) = (end, turn + 1);
                // Sometimes several chunks gather before anyone looks.
                if turn % 3 != 0 || at == stream.len() {
                    while let Some(frame) = input.frame(1000).unwrap() {
                        seen.push(frame.body.to_vec());
                    }
                }
            }
            prop_assert_eq!(seen, bodies);
            prop_assert!(input.is_empty());
        }
    }
}
