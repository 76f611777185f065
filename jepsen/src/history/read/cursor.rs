//! One event, as far as EDN and JSON agree on it: which fields it has, how words become atoms, and
//! how values lie flat in the nodes. What a format has of its own is its [`Syntax`].

use std::marker::PhantomData;

use super::scan::{Delimiters, digits};
use super::{Atom, Collection, DEPTH_MAX, Event, FunctionName, Names, Node, Stop, TOO_DEEP};
use super::{bad, event_type, function_name};

pub(super) trait Syntax: Sized {
    /// Which bytes end a word.
    const DELIMITERS: &'static Delimiters;
    /// What opens and what closes a list of all events.
    const LIST_OPEN: &'static [u8];
    const LIST_CLOSE: &'static [u8];
    /// What most writers put between two values of a list.
    const SEPARATOR: u8;
    /// With what the name of a field, a type or a function begins.
    const NAME_BEGIN: u8;

    /// Where blanks end. So many values are open around them.
    fn skip_blank(text: &[u8], at: usize, depth: u32) -> Result<usize, Stop>;

    /// Takes an event, each field with [`Cursor::field`].
    fn event(cursor: &mut Cursor<'_, Self>, event: &mut Event) -> Result<(), Stop>;

    /// Takes the name of a field, a type or a function, and returns it bare.
    fn name<'a>(cursor: &mut Cursor<'a, Self>) -> Result<&'a [u8], Stop>;

    /// Appends the nodes of a value. So many values are open around it.
    fn value(cursor: &mut Cursor<'_, Self>, depth: u32) -> Result<(), Stop>;

    /// Appends a scalar that is no string and no small integer.
    fn word(cursor: &mut Cursor<'_, Self>) -> Result<(), Stop>;
}

/// Parses the event that starts at `at`, adds the nodes of its value, and returns where it ends.
pub(super) fn event<S: Syntax>(
    text: &[u8],
    at: usize,
    event: &mut Event,
    nodes: &mut Vec<Atom>,
    names: &mut Names,
) -> Result<usize, Stop> {
    let mut cursor = Cursor::<S> { text, at, nodes, names, keeps_names: true, syntax: PhantomData };
    S::event(&mut cursor, event)?;
    Ok(cursor.at)
}

/// Where the value that starts at `at` ends.
pub(super) fn value_end<S: Syntax>(text: &[u8], at: usize, depth: u32) -> Result<usize, Stop> {
    let (nodes, names) = (&mut Vec::new(), &mut Names::default());
    let mut cursor =
        Cursor::<S> { text, at, nodes, names, keeps_names: false, syntax: PhantomData };
    S::value(&mut cursor, depth)?;
    Ok(cursor.at)
}

/// A place in the text, and what came of the text before it.
pub(super) struct Cursor<'a, S> {
    pub text: &'a [u8],
    pub at: usize,
    nodes: &'a mut Vec<Atom>,
    names: &'a mut Names,
    /// Whether what is parsed is of use, or only its end is looked for.
    keeps_names: bool,
    syntax: PhantomData<S>,
}

impl<'a, S: Syntax> Cursor<'a, S> {
    pub fn peek(&self) -> Result<u8, Stop> {
        self.text.get(self.at).copied().ok_or(Stop::More)
    }

    /// Takes the value of a field.
    pub fn field(&mut self, name: &[u8], event: &mut Event) -> Result<(), Stop> {
        match name {
            b"process" => event.process = Some(self.scalar_field("process")?),
            b"time" => event.time_ns = self.time()?,
            b"type" => event.kind = Some(event_type(S::name(self)?)?),
            b"f" if self.peek()? == S::NAME_BEGIN => {
                event.function = Some(function_name(S::name(self)?, self.names));
            }
            b"f" => event.function = Some(FunctionName::Other(self.scalar_field("f")?)),
            b"value" => {
                let first = self.nodes.len() as u32;
                S::value(self, 0)?;
                event.value = first..self.nodes.len() as u32;
            }
            _ => self.skip_value()?,
        }
        Ok(())
    }

    fn scalar_field(&mut self, field: &str) -> Result<Atom, Stop> {
        let start = self.nodes.len();
        S::value(self, 0)?;
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
        S::value(self, 0)?;
        self.keeps_names = true;
        self.nodes.truncate(start);
        Ok(())
    }

    /// Takes an opening bracket and what `items` takes, up to a closing bracket, and that.
    #[inline(always)]
    pub fn collection(
        &mut self,
        kind: Collection,
        depth: u32,
        items: impl FnOnce(&mut Self) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        if depth == DEPTH_MAX {
            return bad(TOO_DEEP);
        }
        self.at += 1;
        let head = self.nodes.len();
        self.scalar(Node::head(kind, 0));
        items(self)?;
        self.at += 1;
        self.nodes[head] = Node::head(kind, self.nodes.len() - head - 1);
        Ok(())
    }

    /// Takes integers without a sign, one separator between each two, as far as they go: a list.
    /// Says whether there were any.
    #[inline(always)]
    pub fn numbers(&mut self) -> bool {
        let (text, first) = (self.text, self.at);
        let mut at = first;
        while let Some((n, end)) = digits(text, at)
            && S::DELIMITERS.has(text[end])
        {
            self.scalar(Atom::from(n));
            self.at = end;
            at = end + usize::from(text[end] == S::SEPARATOR);
        }
        self.at > first
    }

    pub fn number(&mut self) -> Result<(), Stop> {
        let Some((number, end)) = S::DELIMITERS.integer(self.text, self.at) else {
            return S::word(self);
        };
        self.at = end;
        self.scalar(number);
        Ok(())
    }

    /// Where the word that starts at `start` ends.
    pub fn word_end(&self, start: usize) -> Result<usize, Stop> {
        S::DELIMITERS.word_end(self.text, start).ok_or(Stop::More)
    }

    /// Takes a string and returns where it begins and ends between its quotes.
    pub fn string(&mut self) -> Result<(usize, usize), Stop> {
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

    /// Appends a scalar that keeps its text.
    #[inline]
    pub fn symbol(&mut self, text: &[u8]) -> Result<(), Stop> {
        let atom = match self.names.recall(text) {
            Some(atom) => atom,
            None if !self.keeps_names => Atom::NIL,
            None => match std::str::from_utf8(text) {
                Ok(text) => self.names.intern(text),
                Err(_) => return bad("the text is not UTF-8"),
            },
        };
        self.scalar(atom);
        Ok(())
    }

    pub fn scalar(&mut self, atom: Atom) {
        self.nodes.push(atom);
    }
}
