//! One event in JSON: an object, on a line of its own or not.
//!
//! Strings stand for keywords and strings alike: one that begins with `:` is a keyword, and the
//! names of functions, types and steps may be written either way.

use super::scan::{Delimiters, digits};
use super::{Atom, Collection, DEPTH_MAX, Event, FunctionName, Names, Node, Stop, TOO_DEEP};
use super::{bad, event_type, function_name, lossy};

pub(super) fn skip_blank(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// Parses the event that starts at `at`, adds the nodes of its value, and returns where it ends.
pub(super) fn event(
    text: &[u8],
    at: usize,
    event: &mut Event,
    nodes: &mut Vec<Atom>,
    names: &mut Names,
) -> Result<usize, Stop> {
    let mut parser = Parser { text, at, nodes, names, keeps_names: true };
    parser.event(event)?;
    Ok(parser.at)
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    nodes: &'a mut Vec<Atom>,
    names: &'a mut Names,
    /// Whether what is parsed is of use, or only its end is looked for.
    keeps_names: bool,
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
            b"time" => event.time_ns = self.time()?,
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
                let first = self.nodes.len() as u32;
                self.value(0)?;
                event.value = first..self.nodes.len() as u32;
            }
            _ => self.skip_value()?,
        }
        Ok(())
    }

    /// A time that is no integer is none.
    fn time(&mut self) -> Result<i64, Stop> {
        self.keeps_names = false;
        let time = self.scalar_field("time")?;
        self.keeps_names = true;
        Ok(time.as_integer().unwrap_or(0))
    }

    fn skip_value(&mut self) -> Result<(), Stop> {
        let start = self.nodes.len();
        self.keeps_names = false;
        self.value(0)?;
        self.keeps_names = true;
        self.nodes.truncate(start);
        Ok(())
    }

    fn scalar_field(&mut self, field: &str) -> Result<Atom, Stop> {
        let start = self.nodes.len();
        self.value(0)?;
        let atom = self.nodes[start];
        self.nodes.truncate(start);
        match Node::of(atom) {
            Node::Scalar => Ok(atom),
            Node::Head(..) => bad(format!("the {field} must be a scalar")),
        }
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
            b'[' => self.collection(Collection::Vector, b']', depth),
            b'{' => self.collection(Collection::Map, b'}', depth),
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
        let text = &self.text[range];
        if let Some(atom) = self.names.recall(text) {
            return Ok(atom);
        }
        self.intern(text)
    }

    fn intern(&mut self, text: &[u8]) -> Result<Atom, Stop> {
        if !self.keeps_names {
            return Ok(Atom::NIL);
        }
        match std::str::from_utf8(text) {
            Ok(text) => Ok(self.names.intern(text)),
            Err(_) => bad("the text is not UTF-8"),
        }
    }

    fn collection(&mut self, kind: Collection, close: u8, depth: u32) -> Result<(), Stop> {
        if depth == DEPTH_MAX {
            return bad(TOO_DEEP);
        }
        self.at += 1;
        let head = self.nodes.len();
        self.nodes.push(Node::head(kind, 0));
        self.blank();
        if self.peek()? == close {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blank();
            match kind {
                Collection::Map => self.object_key()?,
                _ => self.numbers(),
            }
            self.blank();
            self.value(depth + 1)?;
            self.blank();
            if self.peek()? == close {
                break;
            }
            self.expect(b',')?;
        }
        self.at += 1;
        self.nodes[head] = Node::head(kind, self.nodes.len() - head - 1);
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
        let Some((number, end)) = DELIMITERS.integer(self.text, self.at) else {
            return self.word();
        };
        self.at = end;
        self.scalar(number);
        Ok(())
    }

    /// Takes integers without a sign, each with a comma after it, as far as they go: a list.
    fn numbers(&mut self) {
        let text = self.text;
        while let Some((n, end)) = digits(text, self.at)
            && text[end] == b','
        {
            self.scalar(Atom::from(n));
            self.at = end + 1;
        }
    }

    /// `null`, `true`, `false`, and numbers that are no small integers.
    fn word(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let Some(end) = DELIMITERS.word_end(self.text, start) else { return Err(Stop::More) };
        let word = &self.text[start..end];
        let is_number = word.iter().any(u8::is_ascii_digit)
            && word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
        let atom = match word {
            b"null" => Atom::NIL,
            b"true" | b"false" => self.intern(word)?,
            _ if is_number => self.intern(word)?,
            b"" => {
                let found = lossy(&self.text[start..start + 1]);
                return bad(format!("expected a value, found {found:?}"));
            }
            _ => return bad(format!("expected a value, found {:?}", lossy(word))),
        };
        self.at = end;
        self.scalar(atom);
        Ok(())
    }

    fn scalar(&mut self, atom: Atom) {
        self.nodes.push(atom);
    }
}

/// Which bytes end a word.
static DELIMITERS: Delimiters = Delimiters::new(b" \n,\t\r[]{}\":");

fn without_colon(text: &[u8]) -> &[u8] {
    text.strip_prefix(b":").unwrap_or(text)
}
