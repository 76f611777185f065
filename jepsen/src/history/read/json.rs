//! One event in JSON: an object, on a line of its own or not.
//!
//! Strings stand for keywords and strings alike: one that begins with `:` is a keyword, and the
//! names of functions, types and steps may be written either way.

use super::{Atom, Event, FunctionName, Names, Node, NodeKind, Stop, bad, event_type};
use super::{function_name, lossy};

const DEPTH_MAX: u32 = 32;

pub(super) fn skip_blank(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Parses the event that starts at `at` and returns where it ends.
pub(super) fn event(
    text: &[u8],
    at: usize,
    event: &mut Event,
    names: &mut Names,
) -> Result<usize, Stop> {
    let mut nodes = std::mem::take(&mut event.value);
    let mut parser = Parser { text, at, nodes: &mut nodes, names };
    let result = parser.event(event);
    let end = parser.at;
    event.value = nodes;
    result.map(|()| end)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Node>,
    names: &'a mut Names,
}

impl Parser<'_> {
    fn peek(&self) -> Result<u8, Stop> {
        self.text.get(self.at).copied().ok_or(Stop::More)
    }

    fn blank(&mut self) {
        self.at = skip_blank(self.text, self.at);
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek()? != byte {
            let found = lossy(&self.text[self.at..self.at + 1]);
            return bad(format!("expected {:?}, found {found:?}", char::from(byte)));
        }
        self.at += 1;
        Ok(())
    }

    fn event(&mut self, event: &mut Event) -> Result<(), Stop> {
        self.expect(b'{')?;
        self.blank();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blank();
            let name = self.string_range()?;
            self.blank();
            self.expect(b':')?;
            self.blank();
            self.field(name, event)?;
            self.blank();
            if self.peek()? == b'}' {
                self.at += 1;
                return Ok(());
            }
            self.expect(b',')?;
        }
    }

    fn field(&mut self, name: (usize, usize), event: &mut Event) -> Result<(), Stop> {
        let text = self.text;
        match without_colon(&text[name.0..name.1]) {
            b"process" => event.process = Some(self.scalar_field("process")?),
            b"time" => event.time_ns = self.scalar_field("time")?.as_integer().unwrap_or(0),
            b"type" => {
                let (start, end) = self.string_range()?;
                event.kind = Some(event_type(without_colon(&text[start..end]))?);
            }
            b"f" if self.peek()? == b'"' => {
                let (start, end) = self.string_range()?;
                let name = without_colon(&text[start..end]);
                event.function = Some(function_name(name, self.names));
            }
            b"f" => event.function = Some(FunctionName::Other(self.scalar_field("f")?)),
            b"value" => {
                self.nodes.clear();
                self.value(0)?;
            }
            _ => {
                let start = self.nodes.len();
                self.value(0)?;
                self.nodes.truncate(start);
            }
        }
        Ok(())
    }

    fn scalar_field(&mut self, field: &str) -> Result<Atom, Stop> {
        let start = self.nodes.len();
        self.value(0)?;
        let node = self.nodes[start];
        self.nodes.truncate(start);
        if node.kind != NodeKind::Scalar {
            return bad(format!("the {field} must be a scalar"));
        }
        Ok(node.atom)
    }

    /// The bytes between the quotes, escapes as they stand.
    fn string_range(&mut self) -> Result<(usize, usize), Stop> {
        if self.peek()? != b'"' {
            let found = lossy(&self.text[self.at..self.at + 1]);
            return bad(format!("expected a string, found {found:?}"));
        }
        let start = self.at + 1;
        let mut at = start;
        loop {
            match self.text.get(at) {
                None => return Err(Stop::More),
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        Ok((start, at))
    }

    fn value(&mut self, depth: u32) -> Result<(), Stop> {
        match self.peek()? {
            b'[' => self.collection(NodeKind::Vector, b']', depth),
            b'{' => self.collection(NodeKind::Map, b'}', depth),
            b'"' => {
                let (start, end) = self.string_range()?;
                let atom = self.string_atom(start, end)?;
                self.scalar(atom);
                Ok(())
            }
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    fn string_atom(&mut self, start: usize, end: usize) -> Result<Atom, Stop> {
        let keyword = self.text.get(start) == Some(&b':') && end > start + 1;
        let range = if keyword { start..end } else { start - 1..end + 1 };
        match std::str::from_utf8(&self.text[range]) {
            Ok(text) => Ok(self.names.intern(text)),
            Err(_) => bad("the text is not UTF-8"),
        }
    }

    fn collection(&mut self, kind: NodeKind, close: u8, depth: u32) -> Result<(), Stop> {
        if depth == DEPTH_MAX {
            return bad(format!("values nested deeper than {DEPTH_MAX}"));
        }
        self.at += 1;
        let head = self.nodes.len();
        self.nodes.push(Node { kind, span: 0, atom: Atom::NIL });
        self.blank();
        if self.peek()? == close {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blank();
            if kind == NodeKind::Map {
                self.object_key()?;
            }
            self.value(depth + 1)?;
            self.blank();
            if self.peek()? == close {
                break;
            }
            self.expect(b',')?;
        }
        self.at += 1;
        self.nodes[head].span = (self.nodes.len() - head - 1) as u32;
        Ok(())
    }

    /// The keys of objects are strings even where EDN has integers: `{"0": 10}` is `{0 10}`.
    fn object_key(&mut self) -> Result<(), Stop> {
        let (start, end) = self.string_range()?;
        let text = std::str::from_utf8(&self.text[start..end]).ok();
        let number = text.and_then(|text| text.parse().ok()).and_then(Atom::integer);
        let atom = match number {
            Some(atom) => atom,
            None => self.string_atom(start, end)?,
        };
        self.scalar(atom);
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let mut at = start + usize::from(self.text[start] == b'-');
        let mut magnitude: i64 = 0;
        while let Some(digit @ b'0'..=b'9') = self.text.get(at) {
            magnitude = magnitude.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
            at += 1;
        }
        let Some(&next) = self.text.get(at) else { return Err(Stop::More) };
        const DIGITS_SAFE: usize = 18;
        if !is_delimiter(next) || at - start > DIGITS_SAFE {
            return self.word();
        }
        self.at = at;
        let n = if self.text[start] == b'-' { -magnitude } else { magnitude };
        self.scalar(Atom::from(n));
        Ok(())
    }

    /// `null`, `true`, `false`, and numbers that are no small integers.
    fn word(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let rest = &self.text[start..];
        let Some(length) = rest.iter().position(|&b| is_delimiter(b)) else {
            return Err(Stop::More);
        };
        let word = &rest[..length];
        let numeric = word.first().is_some_and(|b| b.is_ascii_digit() || *b == b'-');
        let atom = match word {
            b"null" => Atom::NIL,
            b"true" | b"false" => self.names.intern(&lossy(word)),
            _ if numeric && word.is_ascii() => self.names.intern(&lossy(word)),
            _ => return bad(format!("expected a value, found {:?}", lossy(word))),
        };
        self.at = start + length;
        self.scalar(atom);
        Ok(())
    }

    fn scalar(&mut self, atom: Atom) {
        self.nodes.push(Node { kind: NodeKind::Scalar, span: 0, atom });
    }
}

/// Which bytes end a word.
static DELIMITERS: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b" \n,\t\r[]{}\":";
    let mut index = 0;
    while index < bytes.len() {
        table[bytes[index] as usize] = true;
        index += 1;
    }
    table
};

fn is_delimiter(byte: u8) -> bool {
    DELIMITERS[byte as usize]
}

fn without_colon(text: &[u8]) -> &[u8] {
    text.strip_prefix(b":").unwrap_or(text)
}
