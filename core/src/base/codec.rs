//! Reading and writing of fields in disk records and wire messages.
//!
//! Little-endian fixed-width integers, LEB128 varints, and length-prefixed bytes. A reader never
//! panics and never allocates more than its input holds: every length is checked against what is left.

use bytes::{Buf as _, Bytes};

/// Why bytes could not be read: they are not what a writer of ours makes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    #[error("{what}: {needed} bytes needed, {left} left")]
    Truncated { what: &'static str, needed: usize, left: usize },
    #[error("{what}: unknown tag {tag}")]
    UnknownTag { what: &'static str, tag: u64 },
    #[error("{what}: {why}")]
    Invalid { what: &'static str, why: &'static str },
    #[error("{what}: version {version} is newer than this build understands")]
    NewerVersion { what: &'static str, version: u64 },
    #[error("{left} bytes left over after {what}")]
    TrailingBytes { what: &'static str, left: usize },
}

/// Result of reading.
pub type CodecResult<T> = Result<T, CodecError>;

/// Appends fields to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
}

impl Writer {
    pub fn new() -> Writer {
        Writer::default()
    }

    /// A writer that goes on behind what `buffer` holds; [`Writer::into_vec`] gives it back.
    pub fn append_to(buffer: Vec<u8>) -> Writer {
        Writer { buffer }
    }

    pub fn with_capacity(bytes: usize) -> Writer {
        Writer { buffer: Vec::with_capacity(bytes) }
    }

    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub fn u8(&mut self, v: u8) {
        self.buffer.push(v);
    }

    pub fn bool(&mut self, v: bool) {
        self.buffer.push(u8::from(v));
    }

    pub fn u16(&mut self, v: u16) {
        self.buffer.extend_from_slice(&v.to_le_bytes());
    }

    pub fn u32(&mut self, v: u32) {
        self.buffer.extend_from_slice(&v.to_le_bytes());
    }

    pub fn u64(&mut self, v: u64) {
        self.buffer.extend_from_slice(&v.to_le_bytes());
    }

    pub fn i32(&mut self, v: i32) {
        self.buffer.extend_from_slice(&v.to_le_bytes());
    }

    pub fn i64(&mut self, v: i64) {
        self.buffer.extend_from_slice(&v.to_le_bytes());
    }

    /// LEB128: 7 bits a byte, low bits first; 1 to 10 bytes.
    pub fn varint(&mut self, mut v: u64) {
        if v < 0x80 {
            return self.buffer.push(v as u8);
        }
        let (mut bytes, mut len) = ([0; 10], 0);
        while v >= 0x80 {
            bytes[len] = (v as u8) | 0x80;
            len += 1;
            v >>= 7;
        }
        bytes[len] = v as u8;
        self.buffer.extend_from_slice(&bytes[..=len]);
    }

    /// Varint length, then the bytes.
    pub fn bytes(&mut self, v: &[u8]) {
        self.varint(v.len() as u64);
        self.buffer.extend_from_slice(v);
    }

    pub fn str(&mut self, v: &str) {
        self.bytes(v.as_bytes());
    }

    /// The bytes as they are, without a length.
    pub fn raw(&mut self, v: &[u8]) {
        self.buffer.extend_from_slice(v);
    }

    /// One byte of presence, then the value by `write`.
    pub fn option<T>(&mut self, v: Option<T>, write: impl FnOnce(&mut Writer, T)) {
        self.bool(v.is_some());
        if let Some(v) = v {
            write(self, v);
        }
    }

    /// Varint count, then each element by `write`.
    pub fn list<T>(&mut self, items: &[T], mut write: impl FnMut(&mut Writer, &T)) {
        self.varint(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    pub fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    pub fn into_vec(self) -> Vec<u8> {
        self.buffer
    }

    pub fn into_bytes(self) -> Bytes {
        Bytes::from(self.buffer)
    }
}

/// Takes fields from the front of a buffer. Byte fields share the buffer's memory.
#[derive(Clone, Debug)]
pub struct Reader {
    rest: Bytes,
    /// What is being read, for errors.
    what: &'static str,
}

impl Reader {
    pub fn new(bytes: Bytes, what: &'static str) -> Reader {
        Reader { rest: bytes, what }
    }

    /// Bytes not yet read.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Everything not yet read.
    pub fn rest(self) -> Bytes {
        self.rest
    }

    /// Succeeds when everything was read.
    pub fn finish(self) -> CodecResult<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(CodecError::TrailingBytes { what: self.what, left: self.rest.len() })
        }
    }

    pub fn invalid<T>(&self, why: &'static str) -> CodecResult<T> {
        Err(CodecError::Invalid { what: self.what, why })
    }

    pub fn unknown_tag<T>(&self, tag: impl Into<u64>) -> CodecResult<T> {
        Err(CodecError::UnknownTag { what: self.what, tag: tag.into() })
    }

    /// The next `len` bytes, without a length prefix, shared with the input.
    pub fn raw(&mut self, len: usize) -> CodecResult<Bytes> {
        if self.rest.len() < len {
            return self.truncated(len);
        }
        Ok(self.rest.split_to(len))
    }

    fn array<const N: usize>(&mut self) -> CodecResult<[u8; N]> {
        let Some(bytes) = self.rest.first_chunk::<N>().copied() else { return self.truncated(N) };
        self.rest.advance(N);
        Ok(bytes)
    }

    fn truncated<T>(&self, needed: usize) -> CodecResult<T> {
        Err(CodecError::Truncated { what: self.what, needed, left: self.rest.len() })
    }

    pub fn u8(&mut self) -> CodecResult<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn bool(&mut self) -> CodecResult<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => self.invalid("a truth value other than 0 and 1"),
        }
    }

    pub fn u16(&mut self) -> CodecResult<u16> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub fn u32(&mut self) -> CodecResult<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub fn u64(&mut self) -> CodecResult<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn i32(&mut self) -> CodecResult<i32> {
        Ok(i32::from_le_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> CodecResult<i64> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub fn varint(&mut self) -> CodecResult<u64> {
        let first = self.u8()?;
        let mut value = u64::from(first & 0x7f);
        if first < 0x80 {
            return Ok(value);
        }
        for shift in (7..64).step_by(7) {
            let byte = self.u8()?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return self.invalid("a varint above 64 bits");
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.invalid("a varint of more than ten bytes")
    }

    /// A varint that must fit `T`.
    pub fn varint_as<T: TryFrom<u64>>(&mut self) -> CodecResult<T> {
        let value = self.varint()?;
        match T::try_from(value) {
            Ok(v) => Ok(v),
            Err(_) => self.invalid("a number too large for its field"),
        }
    }

    pub fn bytes(&mut self) -> CodecResult<Bytes> {
        let len: usize = self.varint_as()?;
        self.raw(len)
    }

    pub fn string(&mut self) -> CodecResult<String> {
        let bytes = self.bytes()?;
        match std::str::from_utf8(&bytes) {
            Ok(s) => Ok(s.to_owned()),
            Err(_) => self.invalid("text that is not UTF-8"),
        }
    }

    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Reader) -> CodecResult<T>,
    ) -> CodecResult<Option<T>> {
        if self.bool()? { Ok(Some(read(self)?)) } else { Ok(None) }
    }

    /// A list; each element takes at least one byte, which bounds the count.
    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Reader) -> CodecResult<T>,
    ) -> CodecResult<Vec<T>> {
        let count: usize = self.varint_as()?;
        if count > self.rest.len() {
            return Err(CodecError::Truncated {
                what: self.what,
                needed: count,
                left: self.rest.len(),
            });
        }
        let mut items = Vec::with_capacity(count.min(1024));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(a in any::<u64>(), b in any::<Vec<u8>>(), c in any::<Option<u32>>()) {
            let mut w = Writer::new();
            w.varint(a);
            w.bytes(&b);
            w.option(c, Writer::u32);
            let mut r = Reader::new(w.into_bytes(), "test");
            prop_assert_eq!(r.varint().unwrap(), a);
            prop_assert_eq!(r.bytes().unwrap(), Bytes::from(b));
            prop_assert_eq!(r.option(Reader::u32).unwrap(), c);
            prop_assert!(r.finish().is_ok());
        }

        #[test]
        fn no_bytes_make_a_reader_panic(input in any::<Vec<u8>>()) {
            let mut r = Reader::new(Bytes::from(input), "test");
            let _ = r.list(|r| r.bytes());
            let _ = r.string();
            let _ = r.varint_as::<u16>();
        }
    }
}
