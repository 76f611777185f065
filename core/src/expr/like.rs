//! `LIKE`: `%` is any string, `_` any character, and the escape makes the next character plain.
//!
//! The `%` cut a pattern into segments. The first has to be where the text begins and the last where it
//! ends; each of the others is looked for once, behind the one before it: its leftmost place will do, since
//! it leaves the most text to those that follow.
//!
//! ```text
//!   %iss%s_%pi      m[iss]is[si]p[pi]      each in its leftmost place, the last at the end
//! ```
//!
//! A plain segment is found in linear time. One with a `_` is tried at each place, which is text × segment
//! at most and counts as [`Work`].

use super::work::Work;
use crate::base::{SqlError, SqlResult, SqlState};

/// What one place of a pattern asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Plain(char),
    /// An escape with nothing after it: an error once the match gets here with text left.
    Dangling,
}

/// The escape that an `ESCAPE` operand names; `None` for the empty one, which means no escape.
///
/// Errors: 22025 for more than one character.
pub fn escape_character(escape: &str) -> SqlResult<Option<char>> {
    let mut chars = escape.chars();
    match (chars.next(), chars.next()) {
        (first, None) => Ok(first),
        _ => Err(SqlError::new(SqlState::InvalidEscapeSequence, "invalid escape string")
            .with_hint("Escape string must be empty or one character.")),
    }
}

/// Whether `text` matches. 22025 where an escape ends the pattern and text is left; 54000 where text and
/// pattern take too many steps.
pub fn matches(text: &str, pattern: &str, escape: Option<char>, work: &Work) -> SqlResult<bool> {
    let (mut segment, mut more) = Segment::cut(pattern, escape);
    let Some(mut rest) = segment.strip(text) else { return Ok(false) };
    while let Some(pattern) = more {
        (segment, more) = Segment::cut(pattern, escape);
        if more.is_none() && !segment.dangling {
            return Ok(segment.ends(rest));
        }
        let Some(after) = segment.find(rest, work)? else { return Ok(false) };
        rest = after;
    }
    // Nothing may follow the segment, which is in its place.
    match (segment.dangling, rest.is_empty()) {
        (true, false) => Err(dangling_escape()),
        (dangling, nothing_left) => Ok(nothing_left && !dangling),
    }
}

/// What stands between two `%`.
#[derive(Default)]
struct Segment {
    /// `None` is any character.
    chars: Vec<Option<char>>,
    /// Whether an escape with nothing behind it follows.
    dangling: bool,
}

impl Segment {
    /// The first segment of a pattern, and what follows its `%`, if there is one.
    fn cut(pattern: &str, escape: Option<char>) -> (Segment, Option<&str>) {
        let mut segment = Segment::default();
        let mut chars = pattern.chars();
        while let Some(c) = chars.next() {
            match c {
                c if Some(c) == escape => match chars.next() {
                    Some(plain) => segment.chars.push(Some(plain)),
                    None => segment.dangling = true,
                },
                '%' => return (segment, Some(chars.as_str())),
                '_' => segment.chars.push(None),
                c => segment.chars.push(Some(c)),
            }
        }
        (segment, None)
    }

    /// What follows it at the front of a text.
    fn strip<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text.chars();
        self.chars.iter().all(|wanted| fits(*wanted, rest.next())).then_some(rest.as_str())
    }

    /// Whether a text ends with it.
    fn ends(&self, text: &str) -> bool {
        let mut rest = text.chars().rev();
        self.chars.iter().rev().all(|wanted| fits(*wanted, rest.next()))
    }

    /// What follows its leftmost place.
    fn find<'t>(&self, text: &'t str, work: &Work) -> SqlResult<Option<&'t str>> {
        let plain: Option<String> = self.chars.iter().copied().collect();
        if let Some(plain) = plain {
            return Ok(text.find(&plain).map(|at| &text[at + plain.len()..]));
        }
        let mut from = text.chars();
        loop {
            let front = from.as_str();
            let pairs = self.chars.iter().zip(front.chars());
            let fitting = pairs.take_while(|(wanted, c)| fits(**wanted, Some(*c))).count();
            work.spend(1 + fitting as u64)?;
            if fitting == self.chars.len() {
                return Ok(self.strip(front));
            }
            if from.next().is_none() {
                return Ok(None);
            }
        }
    }
}

fn fits(wanted: Option<char>, found: Option<char>) -> bool {
    found.is_some() && (wanted.is_none() || wanted == found)
}

fn dangling_escape() -> SqlError {
    SqlError::new(
        SqlState::InvalidEscapeSequence,
        "LIKE pattern must not end with escape character",
    )
}

fn tokens(pattern: &str, escape: Option<char>) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        tokens.push(match c {
            c if Some(c) == escape => chars.next().map_or(Token::Dangling, Token::Plain),
            '%' => Token::Any,
            '_' => Token::One,
            c => Token::Plain(c),
        });
    }
    tokens
}

/// The text that every match starts with, and whether that text is the whole match: what an index
/// can be asked for.
pub fn literal_prefix(pattern: &str, escape: Option<char>) -> (String, bool) {
    let tokens = tokens(pattern, escape);
    let plain = tokens.iter().map_while(|t| match t {
        Token::Plain(c) => Some(*c),
        _ => None,
    });
    let prefix: String = plain.collect();
    let whole = prefix.chars().count() == tokens.len();
    (prefix, whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matched(text: &str, pattern: &str, escape: Option<char>) -> SqlResult<bool> {
        matches(text, pattern, escape, &Work::default())
    }

    #[test]
    fn patterns() {
        for (text, pattern, expected) in [
            ("abc", "abc", true),
            ("abc", "a%", true),
            ("abc", "_b_", true),
            ("abc", "%c", true),
            ("abc", "%d", false),
            ("abc", "", false),
            ("", "%", true),
            ("", "", true),
            ("a%c", "a\\%c", true),
            ("abc", "a\\%c", false),
            ("äöü", "_ö_", true),
            ("aXbXc", "a%b%c", true),
            ("aab", "%ab", true),
            ("mississippi", "%iss%ip%", true),
            ("mississippi", "%iss%s_%pi", true),
            ("mississippi", "%iss%i_s%pi", true),
            ("abab", "ab%ab", true),
            ("aba", "ab%ba", false),
            ("äöü", "%_ü", true),
            ("äöü", "_%__", true),
            ("äö", "_%__", false),
            ("", "%%", true),
            ("abc", "x\\", false),
            ("ab", "%b\\", false),
        ] {
            assert_eq!(matched(text, pattern, Some('\\')).unwrap(), expected, "{text} {pattern}");
        }
        assert!(matched("a\\", "a\\", None).unwrap());
        for (text, pattern) in [("ab", "a\\"), ("bab", "%b\\"), ("abc", "%\\")] {
            let error = matched(text, pattern, Some('\\')).unwrap_err();
            assert_eq!(error.message, "LIKE pattern must not end with escape character");
        }
        assert_eq!(escape_character("ab").unwrap_err().message, "invalid escape string");
        assert_eq!(literal_prefix("ab\\%c%d", Some('\\')), ("ab%c".to_owned(), false));
        assert_eq!(literal_prefix("ab", Some('\\')), ("ab".to_owned(), true));
    }

    /// The text is as long as a value may be, and the segment almost fits at each of its places.
    #[test]
    fn long_patterns_take_linear_time() {
        let text = "a".repeat(crate::base::limits::VALUE_BYTES_MAX);
        let plain = format!("%{}b%", "a".repeat(1 << 20));
        let work = Work::new(100);
        assert!(!matches(&text, &plain, Some('\\'), &work).unwrap());
        let many = "%a".repeat(1 << 20);
        assert!(matches(&text, &many, Some('\\'), &work).unwrap());
        assert_eq!(work.spent(), 0);
    }

    #[test]
    fn segments_with_any_character_are_bounded() {
        let text = "a".repeat(1_000);
        let pattern = format!("%_{}b%", "a".repeat(99));
        let steps = |limit| {
            let work = Work::new(limit);
            matches(&text, &pattern, Some('\\'), &work).map(|found| (found, work.spent()))
        };
        let (found, needed) = steps(u64::MAX).unwrap();
        assert!(!found && needed > 90_000, "{needed}");
        assert_eq!(steps(needed).unwrap(), (false, needed));
        assert_eq!(steps(needed - 1).unwrap_err().state.code(), "54000");
    }

    /// The definition, word by word.
    fn model(text: &[char], pattern: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('%', rest)) => (0..=text.len()).any(|skip| model(&text[skip..], rest)),
            Some(('_', rest)) => !text.is_empty() && model(&text[1..], rest),
            Some((c, rest)) => text.first() == Some(c) && model(&text[1..], rest),
        }
    }

    proptest! {
        #[test]
        fn matches_as_defined(text in "[ab]{0,8}", pattern in "[ab%_]{0,6}") {
            let chars = |s: &str| s.chars().collect::<Vec<char>>();
            let expected = model(&chars(&text), &chars(&pattern));
            prop_assert_eq!(matched(&text, &pattern, Some('\\')).unwrap(), expected);
        }
    }
}
