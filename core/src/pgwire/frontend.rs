//! One message of a client, read out of its frame.
//!
//! Reading borrows: names, SQL text and parameter bytes are slices of the frame, lists stay in wire
//! form behind iterators. Everything is checked here once (lengths, UTF-8, format codes, nothing left
//! over), so the iterators cannot fail. A message that is wrong inside a sound frame is an error of
//! that message only; the stream is still in step.

use bytes::Bytes;

use super::protocol_violation;
use crate::base::{SqlError, SqlResult, SqlState};

/// A message as it travels: its tag and its body, shared with the receive buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    #[default]
    Text = 0,
    Binary = 1,
}

/// A statement or a portal, by name; the empty name is the unnamed one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'a> {
    Statement(&'a str),
    Portal(&'a str),
}

/// A message of a client after login.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    Query(&'a str),
    Parse {
        name: &'a str,
        sql: &'a str,
        /// Type oids of the first parameters; 0 leaves one open.
        types: Oids<'a>,
    },
    Bind(Bind<'a>),
    Describe(Target<'a>),
    Execute {
        portal: &'a str,
        /// 0 for all.
        max_rows: u32,
    },
    Close(Target<'a>),
    Flush,
    Sync,
    Terminate,
    FunctionCall,
    CopyData(&'a [u8]),
    CopyDone,
    CopyFail(&'a str),
}

/// The body of `Bind`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bind<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    pub parameter_formats: Formats<'a>,
    pub parameters: Parameters<'a>,
    pub result_formats: Formats<'a>,
}

/// Format codes: none (all text), one (for all), or one a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Formats<'a>(&'a [u8]);

impl Formats<'_> {
    /// How many codes were sent.
    pub fn count(self) -> usize {
        self.0.len() / 2
    }

    /// Whether the codes fit `values` values.
    pub fn fit(self, values: usize) -> bool {
        self.count() <= 1 || self.count() == values
    }

    /// The format of value `k`, given that the codes fit.
    pub fn of(self, k: usize) -> Format {
        let at = if self.count() > 1 { k } else { 0 };
        match self.0.get(2 * at + 1) {
            Some(1) => Format::Binary,
            _ => Format::Text,
        }
    }
}

/// Parameter values in wire form: `length i32 (-1: NULL), bytes` each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parameters<'a> {
    count: u16,
    bytes: &'a [u8],
}

impl<'a> Parameters<'a> {
    pub fn count(self) -> usize {
        usize::from(self.count)
    }

    /// The values in order; `None` is NULL.
    pub fn iter(self) -> impl Iterator<Item = Option<&'a [u8]>> {
        let mut rest = Cursor { rest: self.bytes };
        (0..self.count).map(move |_| rest.value().unwrap_or(None))
    }
}

/// Type oids in wire form.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Oids<'a>(&'a [u8]);

impl<'a> Oids<'a> {
    pub fn iter(self) -> impl Iterator<Item = u32> + 'a {
        self.0.chunks_exact(4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }
}

impl Frame {
    /// The message in this frame. Error: `08P01`, or `22021` for text that is not UTF-8.
    pub fn message(&self) -> SqlResult<Message<'_>> {
        let mut body = Cursor { rest: &self.body };
        let message = match self.tag {
            b'Q' => Message::Query(body.str()?),
            b'P' => Message::Parse { name: body.str()?, sql: body.str()?, types: body.oids()? },
            b'B' => Message::Bind(body.bind()?),
            b'D' => Message::Describe(body.target()?),
            b'E' => Message::Execute { portal: body.str()?, max_rows: body.max_rows()? },
            b'C' => Message::Close(body.target()?),
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'X' => Message::Terminate,
            b'F' => return Ok(Message::FunctionCall),
            b'd' => return Ok(Message::CopyData(&self.body)),
            b'c' => Message::CopyDone,
            b'f' => Message::CopyFail(body.str()?),
            tag => return Err(unknown_tag(tag)),
        };
        if !body.rest.is_empty() {
            return Err(protocol_violation("invalid message format"));
        }
        Ok(message)
    }

    /// Whether a client may send this tag after login. Another one means the stream is out of step.
    pub fn is_known(&self) -> bool {
        b"QPBDECHSXFdcf".contains(&self.tag)
    }
}

/// The error for a tag no client sends after login.
pub fn unknown_tag(tag: u8) -> SqlError {
    protocol_violation(format!("invalid frontend message type {tag}"))
}

/// Text that must be UTF-8. Error: `22021`, naming the first bad bytes as PostgreSQL does.
pub fn utf8(bytes: &[u8]) -> SqlResult<&str> {
    std::str::from_utf8(bytes).map_err(|e| {
        let bad = &bytes[e.valid_up_to()..];
        let shown: Vec<String> =
            bad.iter().take(e.error_len().unwrap_or(4)).map(|b| format!("0x{b:02x}")).collect();
        let message = format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" "));
        SqlError::new(SqlState::CharacterNotInRepertoire, message)
    })
}

/// Takes fields off the front of a message body.
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(super) fn raw(&mut self, len: usize) -> SqlResult<&'a [u8]> {
        let Some((head, rest)) = self.rest.split_at_checked(len) else {
            return Err(protocol_violation("insufficient data left in message"));
        };
        self.rest = rest;
        Ok(head)
    }

    pub(super) fn u8(&mut self) -> SqlResult<u8> {
        Ok(self.raw(1)?[0])
    }

    pub(super) fn u16(&mut self) -> SqlResult<u16> {
        let b = self.raw(2)?;
        Ok(u16::from_be_bytes([b[0], b[1]]))
    }

    pub(super) fn i32(&mut self) -> SqlResult<i32> {
        let b = self.raw(4)?;
        Ok(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Bytes up to a zero byte, which is taken too.
    pub(super) fn c_string(&mut self) -> SqlResult<&'a [u8]> {
        let Some(end) = self.rest.iter().position(|b| *b == 0) else {
            return Err(protocol_violation("invalid string in message"));
        };
        let text = &self.rest[..end];
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }

    pub(super) fn str(&mut self) -> SqlResult<&'a str> {
        utf8(self.c_string()?)
    }

    /// A length and so many bytes; -1 is NULL.
    pub(super) fn value(&mut self) -> SqlResult<Option<&'a [u8]>> {
        match self.i32()? {
            -1 => Ok(None),
            len => match usize::try_from(len) {
                Ok(len) => Ok(Some(self.raw(len)?)),
                Err(_) => Err(protocol_violation("invalid length of a parameter value")),
            },
        }
    }

    fn oids(&mut self) -> SqlResult<Oids<'a>> {
        let count = self.u16()?;
        Ok(Oids(self.raw(4 * usize::from(count))?))
    }

    fn max_rows(&mut self) -> SqlResult<u32> {
        // PostgreSQL takes a negative count for "all".
        Ok(u32::try_from(self.i32()?).unwrap_or(0))
    }

    fn target(&mut self) -> SqlResult<Target<'a>> {
        match self.u8()? {
            b'S' => Ok(Target::Statement(self.str()?)),
            b'P' => Ok(Target::Portal(self.str()?)),
            kind => Err(protocol_violation(format!("invalid message subtype {kind}"))),
        }
    }

    fn formats(&mut self) -> SqlResult<Formats<'a>> {
        let count = self.u16()?;
        let codes = self.raw(2 * usize::from(count))?;
        for code in codes.chunks_exact(2) {
            let code = i16::from_be_bytes([code[0], code[1]]);
            if !(0..=1).contains(&code) {
                let message = format!("unsupported format code: {code}");
                return Err(SqlError::new(SqlState::InvalidParameterValue, message));
            }
        }
        Ok(Formats(codes))
    }

    fn bind(&mut self) -> SqlResult<Bind<'a>> {
        let (portal, statement) = (self.str()?, self.str()?);
        let parameter_formats = self.formats()?;
        let parameters = self.parameters()?;
        if !parameter_formats.fit(parameters.count()) {
            return Err(protocol_violation(format!(
                "bind message has {} parameter formats but {} parameters",
                parameter_formats.count(),
                parameters.count()
            )));
        }
        let result_formats = self.formats()?;
        Ok(Bind { portal, statement, parameter_formats, parameters, result_formats })
    }

    fn parameters(&mut self) -> SqlResult<Parameters<'a>> {
        let count = self.u16()?;
        let all = self.rest;
        for _ in 0..count {
            self.value()?;
        }
        Ok(Parameters { count, bytes: &all[..all.len() - self.rest.len()] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgwire::messages::{extendedquery, simplequery};
    use proptest::prelude::*;

    /// The frame another implementation makes of a message.
    fn frame(message: &impl pgwire::messages::Message) -> Frame {
        let mut bytes = bytes::BytesMut::new();
        message.encode(&mut bytes).unwrap();
        let mut input = super::super::input::Input::default();
        input.push(bytes.freeze());
        input.frame(1 << 20).unwrap().unwrap()
    }

    #[test]
    fn messages_of_another_implementation_are_understood() {
        let query = frame(&simplequery::Query::new("SELECT 1".into()));
        assert_eq!(query.message(), Ok(Message::Query("SELECT 1")));

        let parse = extendedquery::Parse::new(Some("s".into()), "SELECT $1".into(), vec![23, 0]);
        let parse = frame(&parse);
        let Ok(Message::Parse { name, sql, types }) = parse.message() else { panic!() };
        assert_eq!((name, sql, types.iter().collect()), ("s", "SELECT $1", vec![23u32, 0]));

        let describe = frame(&extendedquery::Describe::new(b'S', Some("s".into())));
        assert_eq!(describe.message(), Ok(Message::Describe(Target::Statement("s"))));
        let close = frame(&extendedquery::Close::new(b'P', None));
        assert_eq!(close.message(), Ok(Message::Close(Target::Portal(""))));
        let execute = frame(&extendedquery::Execute::new(Some("p".into()), 7));
        assert_eq!(execute.message(), Ok(Message::Execute { portal: "p", max_rows: 7 }));
        assert_eq!(frame(&extendedquery::Sync::new()).message(), Ok(Message::Sync));
        assert_eq!(frame(&extendedquery::Flush::new()).message(), Ok(Message::Flush));
    }

    #[test]
    fn a_bind_keeps_formats_nulls_and_bytes() {
        let bind = frame(&extendedquery::Bind::new(
            Some("p".into()),
            Some("s".into()),
            vec![0, 1, 1],
            vec![Some(Bytes::from_static(b"12")), None, Some(Bytes::from_static(b"\0\xff"))],
            vec![1],
        ));
        let Ok(Message::Bind(bind)) = bind.message() else { panic!() };
        assert_eq!((bind.portal, bind.statement), ("p", "s"));
        let values: Vec<_> = bind.parameters.iter().collect();
        assert_eq!(values, [Some(&b"12"[..]), None, Some(&b"\0\xff"[..])]);
        let formats: Vec<_> = (0..3).map(|k| bind.parameter_formats.of(k)).collect();
        assert_eq!(formats, [Format::Text, Format::Binary, Format::Binary]);
        assert!(bind.result_formats.fit(9));
        assert_eq!(bind.result_formats.of(8), Format::Binary);
    }

    fn refused(tag: u8, body: &'static [u8]) -> String {
        Frame { tag, body: Bytes::from_static(body) }.message().unwrap_err().to_string()
    }

    #[test]
    fn broken_messages_are_errors() {
        let script = [
            (b'Q', &b"SELECT 1"[..], "invalid string in message (SQLSTATE 08P01)"),
            (b'Q', b"a\0b", "invalid message format (SQLSTATE 08P01)"),
            (
                b'Q',
                b"a\xffb\0",
                "invalid byte sequence for encoding \"UTF8\": 0xff (SQLSTATE 22021)",
            ),
            (b'B', b"", "invalid string in message (SQLSTATE 08P01)"),
            (b'B', b"\0\0\0\x05", "insufficient data left in message (SQLSTATE 08P01)"),
            (b'B', b"\0\0\0\x01\0\x02\0\0\0\0", "unsupported format code: 2 (SQLSTATE 22023)"),
            (b'B', b"\0\0\0\0\xff\xff\0\0", "insufficient data left in message (SQLSTATE 08P01)"),
            (
                b'B',
                b"\0\0\0\0\0\x01\xff\xff\xff\xfe\0\0",
                "invalid length of a parameter value (SQLSTATE 08P01)",
            ),
            (b'D', b"X\0", "invalid message subtype 88 (SQLSTATE 08P01)"),
            (b'P', b"\0\0\0\x01", "insufficient data left in message (SQLSTATE 08P01)"),
            (b'?', b"", "invalid frontend message type 63 (SQLSTATE 08P01)"),
        ];
        for (tag, body, expected) in script {
            assert_eq!(refused(tag, body), expected);
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(tag in prop::sample::select(&b"QPBDECHSXFdcfz"[..]), body in any::<Vec<u8>>()) {
            let frame = Frame { tag, body: body.into() };
            if let Ok(Message::Bind(bind)) = frame.message() {
                prop_assert_eq!(bind.parameters.iter().count(), bind.parameters.count());
            }
        }
    }
}
