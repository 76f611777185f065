//! One event in EDN: a map with keyword keys. Only what a history needs of EDN is understood;
//! tags are dropped, and scalars that are no integer keep their text.

use super::cursor::{Cursor, Syntax, value_end};
use super::scan::Delimiters;
use super::{Atom, Collection, DEPTH_MAX, Event, Stop, TOO_DEEP, bad, lossy};

pub(super) enum Edn {}

impl Syntax for Edn {
    const DELIMITERS: &'static Delimiters = &Delimiters::new(b" \n,\t\r[](){}\";");
    const LIST_OPEN: &'static [u8] = b"[(";
    const LIST_CLOSE: &'static [u8] = b"])";
    const SEPARATOR: u8 = b' ';
    const NAME_BEGIN: u8 = b':';

    /// Skips blanks, commas, comments and `#_` discards. What is discarded counts as open too, for
    /// discards nest as vectors do.
    #[inline]
    fn skip_blank(text: &[u8], mut at: usize, depth: u32) -> Result<usize, Stop> {
        while let Some(b' ' | b'\n' | b',') = text.get(at) {
            at += 1;
        }
        match text.get(at) {
            Some(b'\t' | b'\r' | b';' | b'#') => skip_rare_blank(text, at, depth),
            _ => Ok(at),
        }
    }

    fn event(cursor: &mut Cursor<'_, Edn>, event: &mut Event) -> Result<(), Stop> {
        cursor.skip_tag(0)?;
        if cursor.peek()? != b'{' {
            let rest = &cursor.text[cursor.at..];
            let word = rest.split(|b| b.is_ascii_whitespace()).next().unwrap_or(rest);
            return bad(format!("expected an operation {{…}}, found {:?}", lossy(word)));
        }
        cursor.at += 1;
        loop {
            cursor.blank(0)?;
            match cursor.peek()? {
                b'}' => {
                    cursor.at += 1;
                    return Ok(());
                }
                b':' => {
                    let name = Edn::name(cursor)?;
                    cursor.blank(0)?;
                    cursor.field(name, event)?;
                }
                _ => return bad("the keys of an operation must be keywords"),
            }
        }
    }

    /// A keyword without its colon.
    fn name<'a>(cursor: &mut Cursor<'a, Edn>) -> Result<&'a [u8], Stop> {
        if cursor.peek()? != b':' {
            return bad("expected a keyword");
        }
        let start = cursor.at + 1;
        cursor.at = cursor.word_end(start)?;
        Ok(&cursor.text[start..cursor.at])
    }

    fn value(cursor: &mut Cursor<'_, Edn>, depth: u32) -> Result<(), Stop> {
        cursor.blank(depth)?;
        if cursor.peek()? == b'#' {
            cursor.skip_tag(depth)?;
        }
        cursor.untagged(depth)
    }

    fn word(cursor: &mut Cursor<'_, Edn>) -> Result<(), Stop> {
        let start = cursor.at;
        let mut end = cursor.word_end(start)?;
        // A character such as `\]` is a word that begins with a delimiter.
        if cursor.text[start] == b'\\' && end == start + 1 {
            end = cursor.word_end(start + 2)?;
        }
        if end == start {
            return bad(format!("unexpected {:?}", lossy(&cursor.text[start..start + 1])));
        }
        cursor.at = end;
        match &cursor.text[start..end] {
            b"nil" => cursor.scalar(Atom::NIL),
            text => cursor.symbol(text)?,
        }
        Ok(())
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
                at = value_end::<Edn>(text, at + 2, depth + 1)?;
            }
            _ => return Ok(at),
        }
    }
}

impl Cursor<'_, Edn> {
    fn blank(&mut self, depth: u32) -> Result<(), Stop> {
        self.at = Edn::skip_blank(self.text, self.at, depth)?;
        Ok(())
    }

    #[inline(always)]
    fn untagged(&mut self, depth: u32) -> Result<(), Stop> {
        match self.peek()? {
            b'[' => self.items(Collection::Vector, b']', depth),
            b':' => Edn::word(self),
            b'-' | b'0'..=b'9' => self.number(),
            b'(' => self.items(Collection::Vector, b')', depth),
            b'{' => self.items(Collection::Map, b'}', depth),
            b'#' => {
                self.at += 1;
                self.items(Collection::Set, b'}', depth)
            }
            b'"' => {
                let (start, end) = self.string()?;
                self.symbol(&self.text[start - 1..end + 1])
            }
            _ => Edn::word(self),
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

    fn items(&mut self, kind: Collection, close: u8, depth: u32) -> Result<(), Stop> {
        self.collection(kind, depth, |cursor| {
            loop {
                cursor.numbers();
                cursor.blank(depth + 1)?;
                match cursor.peek()? {
                    byte if byte == close => return Ok(()),
                    b']' | b')' | b'}' => return bad("brackets do not match"),
                    b'#' => Edn::value(cursor, depth + 1)?,
                    _ => cursor.untagged(depth + 1)?,
                }
            }
        })
    }
}
