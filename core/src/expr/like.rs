//! `LIKE`: `%` is any string, `_` any character, and the escape makes the next character plain.
//!
//! The match runs once over the text and goes back only to the latest `%`, letting it take one
//! character more: an earlier `%` need never be revisited, because it already found the leftmost
//! place where what follows it fits. Time is at most text × pattern, space constant.

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

/// Whether `text` matches. 22025 where an escape ends the pattern and text is left.
pub fn matches(text: &str, pattern: &str, escape: Option<char>) -> SqlResult<bool> {
    let tokens = tokens(pattern, escape);
    let mut rest = text.chars();
    let mut at = 0;
    // Where to go on after the latest `%`: its place in the pattern and the text it starts from.
    let mut retry: Option<(usize, std::str::Chars)> = None;
    loop {
        match tokens.get(at) {
            Some(Token::Any) => {
                at += 1;
                retry = Some((at, rest.clone()));
                continue;
            }
            Some(token) => {
                let fits = match (rest.next(), token) {
                    (Some(_), Token::One) => true,
                    (Some(c), Token::Plain(wanted)) => c == *wanted,
                    (Some(_), Token::Dangling) => return Err(dangling_escape()),
                    _ => false,
                };
                if fits {
                    at += 1;
                    continue;
                }
            }
            None if rest.as_str().is_empty() => return Ok(true),
            None => {}
        }
        // No way on from here: the latest `%` takes one more character.
        let Some((after, from)) = &mut retry else { return Ok(false) };
        if from.next().is_none() {
            return Ok(false);
        }
        at = *after;
        rest = from.clone();
    }
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
        ] {
            assert_eq!(matches(text, pattern, Some('\\')).unwrap(), expected, "{text} {pattern}");
        }
        assert!(matches("a\\", "a\\", None).unwrap());
        let error = matches("ab", "a\\", Some('\\')).unwrap_err();
        assert_eq!(error.message, "LIKE pattern must not end with escape character");
        assert_eq!(escape_character("ab").unwrap_err().message, "invalid escape string");
        assert_eq!(literal_prefix("ab\\%c%d", Some('\\')), ("ab%c".to_owned(), false));
        assert_eq!(literal_prefix("ab", Some('\\')), ("ab".to_owned(), true));
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
            prop_assert_eq!(matches(&text, &pattern, Some('\\')).unwrap(), expected);
        }
    }
}
