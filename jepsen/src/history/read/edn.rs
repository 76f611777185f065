//! One event in EDN: a map with keyword keys. Only what a history needs of EDN is understood;
//! tags are dropped, and scalars that are no integer keep their text.

use super::{Atom, Event, FunctionName, Names, Node, NodeKind, Stop, bad, event_type};
use super::{function_name, lossy};

const DEPTH_MAX: u32 = 32;

/// Skips blanks, commas, comments and `#_` discards.
pub(super) fn skip_blank(text: &[u8], mut at: usize) -> Result<usize, Stop> {
    loop {
        match text.get(at) {
            Some(b' ' | b'\n' | b',' | b'\t' | b'\r') => at += 1,
            Some(b';') => {
                let length = text[at..].iter().position(|&byte| byte == b'\n');
                at += length.ok_or(Stop::More)?;
            }
            Some(b'#') if text.get(at + 1) == Some(&b'_') => {
                let mut discarded = Parser {
                    text,
                    at: at + 2,
                    nodes: &mut Vec::new(),
                    names: &mut Names::default(),
                };
                discarded.value(0)?;
                at = discarded.at;
            }
            _ => return Ok(at),
        }
    }
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

    fn blank(&mut self) -> Result<(), Stop> {
        self.at = skip_blank(self.text, self.at)?;
        Ok(())
    }

    fn event(&mut self, event: &mut Event) -> Result<(), Stop> {
        self.skip_tag()?;
        if self.peek()? != b'{' {
            let rest = &self.text[self.at..];
            let word = rest.split(|b| b.is_ascii_whitespace()).next().unwrap_or(rest);
            return bad(format!("expected an operation {{…}}, found {:?}", lossy(word)));
        }
        self.at += 1;
        loop {
            self.blank()?;
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                b':' => {
                    let name = self.keyword()?;
                    self.blank()?;
                    self.field(name, event)?;
                }
                _ => return bad("the keys of an operation must be keywords"),
            }
        }
    }

    fn field(&mut self, name: (usize, usize), event: &mut Event) -> Result<(), Stop> {
        let text = self.text;
        match &text[name.0..name.1] {
            b"process" => event.process = Some(self.scalar_field("process")?),
            b"time" => event.time_ns = self.scalar_field("time")?.as_integer().unwrap_or(0),
            b"type" => {
                let (start, end) = self.keyword()?;
                event.kind = Some(event_type(&text[start..end])?);
            }
            b"f" if self.peek()? == b':' => {
                let (start, end) = self.keyword()?;
                event.function = Some(function_name(&text[start..end], self.names));
            }
            b"f" => event.function = Some(FunctionName::Other(self.scalar_field("f")?)),
            b"value" => {
                self.nodes.clear();
                self.value(0)?;
            }
            _ => self.skip_value()?,
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

    fn skip_value(&mut self) -> Result<(), Stop> {
        let start = self.nodes.len();
        self.value(0)?;
        self.nodes.truncate(start);
        Ok(())
    }

    /// The name of a keyword, without its colon.
    fn keyword(&mut self) -> Result<(usize, usize), Stop> {
        if self.peek()? != b':' {
            return bad("expected a keyword");
        }
        let start = self.at + 1;
        let end = self.word_end(start)?;
        self.at = end;
        Ok((start, end))
    }

    fn word_end(&self, start: usize) -> Result<usize, Stop> {
        let rest = &self.text[start..];
        rest.iter().position(|&b| is_delimiter(b)).map(|length| start + length).ok_or(Stop::More)
    }

    /// Appends the nodes of the value at the cursor.
    fn value(&mut self, depth: u32) -> Result<(), Stop> {
        self.blank()?;
        self.skip_tag()?;
        match self.peek()? {
            b'[' => self.collection(NodeKind::Vector, b']', depth),
            b'(' => self.collection(NodeKind::Vector, b')', depth),
            b'{' => self.collection(NodeKind::Map, b'}', depth),
            b'#' => {
                self.at += 1;
                self.collection(NodeKind::Set, b'}', depth)
            }
            b'"' => self.string(),
            b'-' | b'0'..=b'9' => self.number(),
            _ => self.word(),
        }
    }

    /// Drops `#some.Tag` and leaves the cursor at its value; `#{` is a set and no tag.
    fn skip_tag(&mut self) -> Result<(), Stop> {
        while self.peek()? == b'#' {
            match self.text.get(self.at + 1) {
                None => return Err(Stop::More),
                Some(b'{') => return Ok(()),
                Some(b'"') => self.at += 1,
                Some(_) => {
                    self.at = self.word_end(self.at + 1)?;
                    self.blank()?;
                }
            }
        }
        Ok(())
    }

    fn collection(&mut self, kind: NodeKind, close: u8, depth: u32) -> Result<(), Stop> {
        if depth == DEPTH_MAX {
            return bad(format!("values nested deeper than {DEPTH_MAX}"));
        }
        self.at += 1;
        let head = self.nodes.len();
        self.nodes.push(Node { kind, span: 0, atom: Atom::NIL });
        loop {
            self.blank()?;
            match self.peek()? {
                byte if byte == close => break,
                b']' | b')' | b'}' => return bad("brackets do not match"),
                _ => self.value(depth + 1)?,
            }
        }
        self.at += 1;
        self.nodes[head].span = (self.nodes.len() - head - 1) as u32;
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
        if !is_delimiter(next) || at - start > DIGITS_SAFE || at == start {
            return self.word();
        }
        self.at = at;
        let n = if self.text[start] == b'-' { -magnitude } else { magnitude };
        self.scalar(Atom::from(n));
        Ok(())
    }

    fn word(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let mut end = self.word_end(start)?;
        // A character such as `\]` is a word that begins with a delimiter.
        if self.text[start] == b'\\' && end == start + 1 {
            end = self.word_end(start + 2)?;
        }
        if end == start {
            return bad(format!("unexpected {:?}", lossy(&self.text[start..start + 1])));
        }
        let text = &self.text[start..end];
        let atom = if text == b"nil" { Atom::NIL } else { self.intern(text)? };
        self.at = end;
        self.scalar(atom);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Stop> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            match self.text.get(at) {
                None => return Err(Stop::More),
                Some(b'"') => break,
                Some(b'\\') => at += 2,
                Some(_) => at += 1,
            }
        }
        self.at = at + 1;
        let atom = self.intern(&self.text[start..self.at])?;
        self.scalar(atom);
        Ok(())
    }

    fn intern(&mut self, text: &[u8]) -> Result<Atom, Stop> {
        match std::str::from_utf8(text) {
            Ok(text) => Ok(self.names.intern(text)),
            Err(_) => bad("the text is not UTF-8"),
        }
    }

    fn scalar(&mut self, atom: Atom) {
        self.nodes.push(Node { kind: NodeKind::Scalar, span: 0, atom });
    }
}

/// Which bytes end a word.
static DELIMITERS: [bool; 256] = {
    let mut table = [false; 256];
    let bytes = b" \n,\t\r[](){}\";";
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
