//! The statements in a query text, as byte ranges.
//!
//! Almost every text is one statement without a semicolon inside; that is seen without parsing. Any
//! other text is cut into pieces, of which only one at a time is read.

use std::ops::Range;

use crate::base::SqlResult;
use crate::sql::parse::{self, Piece, Pieces};

/// The statements of a query text, in order.
pub(super) enum Text<'a> {
    /// One that needs no reading to be found; `None` for blanks.
    One(Option<Range<usize>>),
    /// Any number of them.
    Pieces(Pieces<'a>),
}

/// The statements of `sql`, not read yet. Error: 54001 for a text that is too long.
pub(super) fn statements(sql: &str) -> SqlResult<Text<'_>> {
    Ok(match obviously_one(sql) {
        Some(only) => Text::One((!only.is_empty()).then_some(only)),
        None => Text::Pieces(parse::pieces(sql)?),
    })
}

/// The only statement of `sql`; `None` for blanks and comments. Error: 42601 for several.
pub(super) fn only_statement(sql: &str) -> SqlResult<Option<Range<usize>>> {
    if let Some(only) = obviously_one(sql) {
        return Ok((!only.is_empty()).then_some(only));
    }
    Ok(parse::parse_only(sql)?.map(|parsed| parsed.range))
}

/// Reads a statement, only to see whether it can be read.
pub(super) fn check(sql: &str, piece: Piece) -> SqlResult<()> {
    parse::parse_piece(sql, piece).map(drop)
}

/// The range of the statement where no semicolon and no leading comment can hide another one.
fn obviously_one(sql: &str) -> Option<Range<usize>> {
    let blank = |c: char| c.is_ascii_whitespace();
    let text = sql.trim_end_matches(|c| blank(c) || c == ';');
    let start = text.len() - text.trim_start_matches(blank).len();
    let body = &text[start..];
    let hidden = body.contains(';') || body.starts_with("--") || body.starts_with("/*");
    // A semicolon cut off the end may have been part of a trailing comment or string.
    let cut_open = text.len() < sql.len() && (body.contains("--") || body.contains("/*"));
    (!hidden && !cut_open && !ends_inside_quotes(body)).then_some(start..text.len())
}

/// Whether quotes are unbalanced, so that what was cut off the end may belong to a string.
fn ends_inside_quotes(body: &str) -> bool {
    let odd = |quote: u8| body.bytes().filter(|b| *b == quote).count() % 2 == 1;
    odd(b'\'') || odd(b'"') || body.contains('$') && body.contains("$$")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(sql: &str) -> Vec<&str> {
        match statements(sql).unwrap() {
            Text::One(only) => only.into_iter().map(|range| &sql[range]).collect(),
            Text::Pieces(pieces) => pieces.map(|piece| &sql[piece.range]).collect(),
        }
    }

    #[test]
    fn statements_are_found() {
        assert_eq!(split("SELECT 1"), ["SELECT 1"]);
        assert_eq!(split("  SELECT 1 ;; \n"), ["SELECT 1"]);
        assert_eq!(split("SELECT 1; SELECT 2;"), ["SELECT 1", "SELECT 2"]);
        assert_eq!(split("SELECT ';'; SELECT 2"), ["SELECT ';'", "SELECT 2"]);
        assert_eq!(split("SELECT ';'"), ["SELECT ';'"]);
        for empty in ["", " ;; ", "-- nothing", "/* ; */"] {
            assert_eq!(split(empty), [""; 0], "{empty}");
        }
    }

    #[test]
    fn only_one_statement_may_be_prepared() {
        assert_eq!(only_statement("SELECT 1;"), Ok(Some(0..8)));
        assert_eq!(only_statement(";"), Ok(None));
        let error = only_statement("SELECT 1; SELECT 2").unwrap_err();
        assert_eq!(error.message, "cannot insert multiple commands into a prepared statement");
    }
}
