//! Where the statements of a query text begin and end, found without reading them.
//!
//! A text of 16 MiB may be a million statements, whose trees and tokens would be gigabytes. So the text
//! is cut first, at the semicolons that are neither in a string, a name, a comment nor a dollar-quoted
//! text, and only one piece at a time is read:
//!
//! ```text
//! SELECT ';' ; /* ; */ SELECT 2 -- ;
//! └────────┘ ▲         └──────┘
//!  piece 1   semicolon piece 2
//! ```
//!
//! What is a token is decided by sqlparser, from the beginning of each piece. Where it does not see a
//! piece end where this module does, the piece is a syntax error, never another statement.

use std::ops::Range;

/// A statement that was not read yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From its first token to its last; never empty.
    pub range: Range<usize>,
    /// Behind its semicolon, or the end of the text.
    pub end: usize,
    /// A semicolon ends it.
    pub closed: bool,
}

/// The statements of a text, in order; blanks and comments alone are none.
#[derive(Clone, Copy, Debug)]
pub struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    pub fn new(text: &'a str) -> Pieces<'a> {
        Pieces { text, at: 0 }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Piece;

    fn next(&mut self) -> Option<Piece> {
        let mut found: Option<Range<usize>> = None;
        while let Some((kind, end)) = lexeme(self.text, self.at) {
            let start = std::mem::replace(&mut self.at, end);
            match (kind, found.take()) {
                (Lexeme::Blank, before) => found = before,
                (Lexeme::Semicolon, None) => {}
                (Lexeme::Semicolon, Some(range)) => {
                    return Some(Piece { range, end, closed: true });
                }
                (Lexeme::Other, before) => found = Some(before.map_or(start, |r| r.start)..end),
            }
        }
        found.map(|range| Piece { range, end: self.text.len(), closed: false })
    }
}

enum Lexeme {
    /// Blanks or a comment.
    Blank,
    Semicolon,
    Other,
}

/// What begins at byte `at`, and where it ends; `None` at the end of the text. What is opened and not
/// closed goes on to the end of the text.
fn lexeme(text: &str, at: usize) -> Option<(Lexeme, usize)> {
    let bytes = text.as_bytes();
    let next = bytes.get(at + 1).copied();
    let found = match *bytes.get(at)? {
        b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => (Lexeme::Blank, at + 1),
        b';' => (Lexeme::Semicolon, at + 1),
        b'-' if next == Some(b'-') => {
            let length = bytes[at..].iter().position(|b| matches!(b, b'\n' | b'\r'));
            (Lexeme::Blank, length.map_or(bytes.len(), |length| at + length))
        }
        b'/' if next == Some(b'*') => match comment_end(bytes, at + 2) {
            Some(end) => (Lexeme::Blank, end),
            None => (Lexeme::Other, bytes.len()),
        },
        quote @ (b'\'' | b'"') => (Lexeme::Other, quoted_end(bytes, at + 1, quote, false)),
        b'$' => (Lexeme::Other, dollar_end(text, at)),
        b'0'..=b'9' => (Lexeme::Other, number_end(bytes, at)),
        b'.' if next.is_some_and(|b| b.is_ascii_digit()) => (Lexeme::Other, number_end(bytes, at)),
        byte if is_word_start(byte) => (Lexeme::Other, word_end(bytes, at)),
        _ => (Lexeme::Other, at + 1),
    };
    Some(found)
}

/// Behind a comment that may hold others; `None` if it is not closed.
fn comment_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 1;
    while depth > 0 {
        let step = match bytes.get(at..at + 2)? {
            b"/*" => {
                depth += 1;
                2
            }
            b"*/" => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
    }
    Some(at)
}

/// Behind the closing quote; a doubled quote, and where `escapes` one behind a backslash, is none.
fn quoted_end(bytes: &[u8], mut at: usize, quote: u8, escapes: bool) -> usize {
    while let Some(byte) = bytes.get(at).copied() {
        let doubled = byte == quote && bytes.get(at + 1) == Some(&quote);
        at += match byte {
            b'\\' if escapes => 2,
            _ if doubled => 2,
            _ => 1,
        };
        if byte == quote && !doubled {
            return at;
        }
    }
    bytes.len()
}

/// Behind `$1`, `$$…$$` or `$tag$…$tag$`.
fn dollar_end(text: &str, at: usize) -> usize {
    let rest = &text[at + 1..];
    let tag = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let behind_tag = at + 1 + tag;
    if text.as_bytes().get(behind_tag) != Some(&b'$') {
        return behind_tag;
    }
    let opening = &text[at..=behind_tag];
    let body = at + opening.len();
    text[body..].find(opening).map_or(text.len(), |length| body + length + opening.len())
}

/// Behind a number: an `E` right after it begins a string only where it is no exponent.
fn number_end(bytes: &[u8], at: usize) -> usize {
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut end = at + digits(at);
    if bytes.get(at..end + 1) == Some(b"0x") {
        let hexadecimal = bytes[end + 1..].iter().take_while(|b| b.is_ascii_hexdigit());
        return end + 1 + hexadecimal.count();
    }
    if bytes.get(end) == Some(&b'.') {
        end += 1;
        end += digits(end);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = bytes.get(end + 1 + sign..).map_or(0, |_| digits(end + 1 + sign));
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    end
}

/// Behind a word, or behind the string it introduces: in `E'…'` and `X'…'` backslashes escape.
fn word_end(bytes: &[u8], at: usize) -> usize {
    let length = bytes[at..].iter().take_while(|b| is_word_part(**b)).count();
    let end = at + length;
    if bytes.get(end) == Some(&b'\'') && matches!(&bytes[at..end], b"E" | b"e" | b"X" | b"x") {
        return quoted_end(bytes, end + 1, b'\'', true);
    }
    end
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || !byte.is_ascii()
}

fn is_word_part(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sqlparser::tokenizer::{Token, Tokenizer};

    fn pieces(text: &str) -> Vec<&str> {
        Pieces::new(text).map(|piece| &text[piece.range]).collect()
    }

    #[test]
    fn semicolons_that_end_nothing_are_passed_over() {
        for (text, expected) in [
            ("", &[][..]),
            (" ;; -- ;\n /* ; /* ; */ ; */ ;", &[]),
            ("a; b ;c", &["a", "b", "c"]),
            (" /* x */ a /* y */ ; b -- z", &["a", "b"]),
            ("'a;''b;'; c", &["'a;''b;'", "c"]),
            (r"'\'; E'\';'; x'\';'; fooE'\'; b", &[r"'\'", r"E'\';'", r"x'\';'", r"fooE'\'", "b"]),
            (r"1E'\';'; 1e5E'\';'; 0", &[r"1E'\';'", r"1e5E'\';'", "0"]),
            ("\"a;\"\"b;\"; c", &["\"a;\"\"b;\"", "c"]),
            ("$$;$$; $a$ ; $$ ; $a$; $1; a$$; b", &["$$;$$", "$a$ ; $$ ; $a$", "$1", "a$$", "b"]),
            ("ä;'ö;'", &["ä", "'ö;'"]),
            ("1.5.0x$$;a", &["1.5.0x$$", "a"]),
            ("a; /* ;", &["a", "/* ;"]),
            ("a; 'b;", &["a", "'b;"]),
        ] {
            assert_eq!(pieces(text), expected, "{text}");
        }
    }

    /// The pieces as sqlparser's tokens of the whole text have them; `None` where it sees no tokens.
    fn by_tokens(text: &str) -> Option<usize> {
        let tokens = Tokenizer::new(&super::super::DIALECT, text).tokenize().ok()?;
        let statements = tokens.split(|token| *token == Token::SemiColon);
        Some(
            statements
                .filter(|tokens| tokens.iter().any(|t| !matches!(t, Token::Whitespace(_))))
                .count(),
        )
    }

    proptest! {
        /// Both cut every text alike, made of all that may hide a semicolon; but for operators, where
        /// sqlparser takes the beginning of a comment as a part.
        #[test]
        fn pieces_are_what_the_tokens_say(
            parts in prop::collection::vec(
                prop::sample::select(&[
                    ";", ";", ";", "'", "''", "\"", "\\", "$", "$$", "$a$", "$1", "E'", "e'", "x'",
                    "U&'", "N'", "b'", "--", "/*", "*/", "\n", "\r", " ", " ", "a", "E", "1", "1.5",
                    "1e5", "0x", ".", ",", "(", "ä", "\u{1f600}",
                ][..]),
                0..16,
            ),
        ) {
            let text = parts.concat();
            if let Some(count) = by_tokens(&text) {
                let pieces: Vec<Piece> = Pieces::new(&text).collect();
                prop_assert_eq!(pieces.len(), count, "{:?}", text);
                prop_assert!(pieces.iter().all(|piece| text.get(piece.range.clone()).is_some()));
            }
        }
    }
}
