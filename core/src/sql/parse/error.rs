//! From sqlparser's errors to PostgreSQL's.
//!
//! sqlparser says `Expected: …, found: x at Line: 1, Column: 8`; PostgreSQL says
//! `syntax error at or near "x"` with the position of `x`. The place is read back from the text of
//! the error, the token from the place.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan, TokenizerError};

use super::source::Source;
use crate::base::{SqlError, SqlState};

/// `syntax error at or near "x"`, or `at end of input` when `token` is the end.
pub fn unexpected(source: &Source<'_>, token: &TokenWithSpan) -> SqlError {
    let text = source.slice(token.span);
    if token.token == Token::EOF || text.is_empty() {
        return SqlError::new(SqlState::SyntaxError, "syntax error at end of input")
            .at(source.end_position());
    }
    let error = SqlError::new(SqlState::SyntaxError, format!("syntax error at or near \"{text}\""));
    match source.position(token.span.start) {
        Some(position) => error.at(position),
        None => error,
    }
}

/// The error of a part of `text` that starts at byte `start`, with its position in the whole.
pub fn moved(mut error: SqlError, text: &str, start: usize) -> SqlError {
    if let Some(position) = &mut error.fields.position {
        let before = text.get(..start).map_or(0, |text| text.chars().count());
        *position = position.saturating_add(u32::try_from(before).unwrap_or(u32::MAX));
    }
    error
}

/// The error for text too long or nested too deeply to be planned.
pub fn too_complex(hint: &str) -> SqlError {
    SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded").with_hint(hint)
}

/// What the parser complained of; `tokens` are the statement's, `next` the one it stopped at.
pub fn from_parser(
    source: &Source<'_>,
    tokens: &[TokenWithSpan],
    next: &TokenWithSpan,
    error: &ParserError,
) -> SqlError {
    let text = match error {
        ParserError::RecursionLimitExceeded => {
            return too_complex("Simplify the statement: it is nested too deeply.");
        }
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text,
    };
    let Some(place) = place_in(text) else { return unexpected(source, next) };
    let found = tokens.iter().find(|token| token.span.start == place);
    unexpected(source, found.unwrap_or(next))
}

/// What the tokenizer complained of.
pub fn from_tokenizer(source: &Source<'_>, error: &TokenizerError) -> SqlError {
    let what = tokenizer_words(&error.message);
    let near = source.text().get(source.byte(error.location)..).unwrap_or("");
    let near = if what == "syntax error" {
        near.get(..near.chars().next().map_or(0, char::len_utf8)).unwrap_or("")
    } else {
        near
    };
    let result = if near.is_empty() {
        SqlError::new(SqlState::SyntaxError, format!("{what} at end of input"))
    } else {
        SqlError::new(SqlState::SyntaxError, format!("{what} at or near \"{near}\""))
    };
    match source.position(error.location) {
        Some(position) => result.at(position),
        None => result,
    }
}

fn tokenizer_words(message: &str) -> &'static str {
    let has = |part: &str| message.contains(part);
    if has("close delimiter") {
        "unterminated quoted identifier"
    } else if has("dollar") {
        "unterminated dollar-quoted string"
    } else if has("comment") {
        "unterminated /* comment"
    } else if has("nterminated") {
        "unterminated quoted string"
    } else {
        "syntax error"
    }
}

/// Reads ` at Line: 3, Column: 8` from the end of a message.
fn place_in(message: &str) -> Option<Location> {
    let (_, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    let digits = column.find(|c: char| !c.is_ascii_digit()).unwrap_or(column.len());
    Some(Location { line: line.parse().ok()?, column: column.get(..digits)?.parse().ok()? })
}
