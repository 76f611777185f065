//! One event in JSON: an object, on a line of its own or not.
//!
//! Strings stand for keywords and strings alike: one that begins with `:` is a keyword, and the
//! names of functions, types and steps may be written either way.

use super::cursor::{Cursor, Syntax};
use super::scan::Delimiters;
use super::{Atom, Collection, Event, Stop, bad, lossy};

pub(super) enum Json {}

impl Syntax for Json {
    const DELIMITERS: &'static Delimiters = &Delimiters::new(b" \n,\t\r[]{}\":");
    const LIST_OPEN: &'static [u8] = b"[";
    const LIST_CLOSE: &'static [u8] = b"]";
    const SEPARATOR: u8 = b',';
    const NAME_BEGIN: u8 = b'"';

    fn skip_blank(text: &[u8], at: usize, _depth: u32) -> Result<usize, Stop> {
        Ok(skip_blank(text, at))
    }

    fn event(cursor: &mut Cursor<'_, Json>, event: &mut Event) -> Result<(), Stop> {
        cursor.expect(b'{')?;
        cursor.blank();
        if cursor.peek()? == b'}' {
            cursor.at += 1;
            return Ok(());
        }
        loop {
            cursor.blank();
            let name = Json::name(cursor)?;
            cursor.colon()?;
            cursor.field(name, event)?;
            cursor.blank();
            if cursor.peek()? == b'}' {
                cursor.at += 1;
                return Ok(());
            }
            cursor.expect(b',')?;
        }
    }

    /// What is between the quotes, without a colon, escapes as they stand.
    fn name<'a>(cursor: &mut Cursor<'a, Json>) -> Result<&'a [u8], Stop> {
        let (start, end) = cursor.expect_string()?;
        let text = &cursor.text[start..end];
        Ok(text.strip_prefix(b":").unwrap_or(text))
    }

    fn value(cursor: &mut Cursor<'_, Json>, depth: u32) -> Result<(), Stop> {
        match cursor.peek()? {
            b'[' => cursor.items(Collection::Vector, b']', depth),
            b'{' => cursor.items(Collection::Map, b'}', depth),
            b'"' => {
                let (start, end) = cursor.string()?;
                cursor.quoted(start, end)
            }
            b'-' | b'0'..=b'9' => cursor.number(),
            _ => Json::word(cursor),
        }
    }

    /// `null`, `true`, `false`, and numbers that are no small integers.
    fn word(cursor: &mut Cursor<'_, Json>) -> Result<(), Stop> {
        let start = cursor.at;
        let end = cursor.word_end(start)?;
        let word = &cursor.text[start..end];
        let is_number = word.iter().any(u8::is_ascii_digit)
            && word.iter().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte));
        cursor.at = end;
        match word {
            b"null" => cursor.scalar(Atom::NIL),
            b"true" | b"false" => cursor.symbol(word)?,
            _ if is_number => cursor.symbol(word)?,
            _ => {
                let found = lossy(if word.is_empty() { &cursor.text[start..=start] } else { word });
                return bad(format!("expected a value, found {found:?}"));
            }
        }
        Ok(())
    }
}

fn skip_blank(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

impl Cursor<'_, Json> {
    fn blank(&mut self) {
        self.at = skip_blank(self.text, self.at);
    }

    fn expect(&mut self, byte: u8) -> Result<(), Stop> {
        if self.peek()? != byte {
            let found = lossy(&self.text[self.at..=self.at]);
            return bad(format!("expected {:?}, found {found:?}", char::from(byte)));
        }
        self.at += 1;
        Ok(())
    }

    fn expect_string(&mut self) -> Result<(usize, usize), Stop> {
        if self.peek()? != b'"' {
            let found = lossy(&self.text[self.at..=self.at]);
            return bad(format!("expected a string, found {found:?}"));
        }
        self.string()
    }

    /// What is between a name and its value.
    fn colon(&mut self) -> Result<(), Stop> {
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(())
    }

    /// Appends the string between such quotes.
    fn quoted(&mut self, start: usize, end: usize) -> Result<(), Stop> {
        let is_keyword = self.text[start] == b':' && end > start + 1;
        let range = if is_keyword { start..end } else { start - 1..end + 1 };
        self.symbol(&self.text[range])
    }

    fn items(&mut self, kind: Collection, close: u8, depth: u32) -> Result<(), Stop> {
        self.collection(kind, depth, |cursor| {
            cursor.blank();
            if cursor.peek()? == close {
                return Ok(());
            }
            loop {
                cursor.blank();
                if kind == Collection::Map {
                    cursor.object_key()?;
                    Json::value(cursor, depth + 1)?;
                } else if !cursor.numbers() {
                    Json::value(cursor, depth + 1)?;
                }
                cursor.blank();
                if cursor.peek()? == close {
                    return Ok(());
                }
                cursor.expect(b',')?;
            }
        })
    }

    /// The keys of objects are strings even where EDN has integers: `{"0": 10}` is `{0 10}`.
    fn object_key(&mut self) -> Result<(), Stop> {
        let (start, end) = self.expect_string()?;
        let text = std::str::from_utf8(&self.text[start..end]).ok();
        let number = text.and_then(|text| text.parse().ok()).and_then(Atom::integer);
        match number {
            Some(number) => self.scalar(number),
            None => self.quoted(start, end)?,
        }
        self.colon()
    }
}
