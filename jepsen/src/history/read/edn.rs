//! One event in EDN: a map with keyword keys. Only what a history needs of EDN is understood;
//! tags are dropped, and scalars that are no integer keep their text.

use super::scan::{Delimiters, digits};
use super::{Atom, Collection, DEPTH_MAX, Event, FunctionName, Names, Node, Stop, TOO_DEEP};
use super::{bad, event_type, function_name, lossy};

/// Skips blanks, commas, comments and `#_` discards. So many values are open around it: what is
/// discarded counts too, for discards nest as vectors do.
#[inline]
pub(super) fn skip_blank(text: &[u8], mut at: usize, depth: u32) -> Result<usize, Stop> {
    while let Some(b' ' | b'\n' | b',') = text.get(at) {
        at += 1;
    }
    match text.get(at) {
        Some(b'\t' | b'\r' | b';' | b'#') => skip_rare_blank(text, at, depth),
        _ => Ok(at),
    }
}

fn skip_rare_blank(text: &[u8], mut at: usize, depth: u32) -> Result<usize, Stop> {
    loop {
        match text.get(at) {
            Some(b' ' | b'\n' | b',' | b'\t' | b'\r') => at += 1,
            Some(b';') => {
                let length = text[at..].iter().position(|&byte| byte == b'\n');
                at += length.ok_or(Stop::More)?;
            }
            Some(b'#') if text.get(at + 1) == Some(&b'_') => {
                if depth == DEPTH_MAX {
                    return bad(TOO_DEEP);
                }
                let mut discarded = Parser {
                    text,
                    at: at + 2,
                    nodes: &mut Vec::new(),
                    names: &mut Names::default(),
                    keeps_names: false,
                };
                discarded.value(depth + 1)?;
                at = discarded.at;
            }
            _ => return Ok(at),
        }
    }
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

    fn blank(&mut self, depth: u32) -> Result<(), Stop> {
        self.at = skip_blank(self.text, self.at, depth)?;
        Ok(())
    }

    fn event(&mut self, event: &mut Event) -> Result<(), Stop> {
        self.skip_tag(0)?;
        if self.peek()? != b'{' {
            let rest = &self.text[self.at..];
            let word = rest.split(|b| b.is_ascii_whitespace()).next().unwrap_or(rest);
            return bad(format!("expected an operation {{…}}, found {:?}", lossy(word)));
        }
        self.at += 1;
        loop {
            self.blank(0)?;
            match self.peek()? {
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                b':' => {
                    let name = self.keyword()?;
                    self.blank(0)?;
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
            b"time" => event.time_ns = self.time()?,
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
                let first = self.nodes.len() as u32;
                self.value(0)?;
                event.value = first..self.nodes.len() as u32;
            }
            _ => self.skip_value()?,
        }
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
        DELIMITERS.word_end(self.text, start).ok_or(Stop::More)
    }

    /// Appends the nodes of the value at the cursor.
    fn value(&mut self, depth: u32) -> Result<(), Stop> {
        self.blank(depth)?;
        if self.peek()? == b'#' {
            self.skip_tag(depth)?;
        }
        self.untagged(depth)
    }

    #[inline(always)]
    fn untagged(&mut self, depth: u32) -> Result<(), Stop> {
        match self.peek()? {
            b'[' => self.collection(Collection::Vector, b']', depth),
            b':' => self.word(),
            b'-' | b'0'..=b'9' => self.number(),
            b'(' => self.collection(Collection::Vector, b')', depth),
            b'{' => self.collection(Collection::Map, b'}', depth),
            b'#' => {
                self.at += 1;
                self.collection(Collection::Set, b'}', depth)
            }
            b'"' => self.string(),
            _ => self.word(),
        }
    }

    /// Drops `#some.Tag` and leaves the cursor at its value; `#{` is a set and no tag.
    fn skip_tag(&mut self, depth: u32) -> Result<(), Stop> {
        while self.peek()? == b'#' {
            match self.text.get(self.at + 1) {
                None => return Err(Stop::More),
                Some(b'{') => return Ok(()),
                Some(b'"') => self.at += 1,
                Some(_) => {
                    self.at = self.word_end(self.at + 1)?;
                    self.blank(depth)?;
                }
            }
        }
        Ok(())
    }

    fn collection(&mut self, kind: Collection, close: u8, depth: u32) -> Result<(), Stop> {
        if depth == DEPTH_MAX {
            return bad(TOO_DEEP);
        }
        self.at += 1;
        let head = self.nodes.len();
        self.nodes.push(Node::head(kind, 0));
        loop {
            self.numbers();
            self.blank(depth + 1)?;
            match self.peek()? {
                byte if byte == close => break,
                b']' | b')' | b'}' => return bad("brackets do not match"),
                b'#' => self.value(depth + 1)?,
                _ => self.untagged(depth + 1)?,
            }
        }
        self.at += 1;
        self.nodes[head] = Node::head(kind, self.nodes.len() - head - 1);
        Ok(())
    }

    /// Takes integers without a sign, one blank between each two, as far as they go: a list.
    fn numbers(&mut self) {
        let text = self.text;
        let mut at = self.at;
        while let Some((n, end)) = digits(text, at)
            && DELIMITERS.has(text[end])
        {
            self.scalar(Atom::from(n));
            self.at = end;
            at = end + usize::from(text[end] == b' ');
        }
    }

    fn number(&mut self) -> Result<(), Stop> {
        let Some((number, end)) = DELIMITERS.integer(self.text, self.at) else {
            return self.word();
        };
        self.at = end;
        self.scalar(number);
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
        let atom = match text {
            b"nil" => Atom::NIL,
            _ => match self.names.recall(text) {
                Some(atom) => atom,
                None => self.intern(text)?,
            },
        };
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
        if !self.keeps_names {
            return Ok(Atom::NIL);
        }
        match std::str::from_utf8(text) {
            Ok(text) => Ok(self.names.intern(text)),
            Err(_) => bad("the text is not UTF-8"),
        }
    }

    fn scalar(&mut self, atom: Atom) {
        self.nodes.push(atom);
    }
}

/// Which bytes end a word.
static DELIMITERS: Delimiters = Delimiters::new(b" \n,\t\r[](){}\";");
