//! The statements in a query text, as byte ranges.
//!
//! Almost every text is one statement without a semicolon inside; that is seen without parsing. Any
//! other text goes through the parser, which also checks all of it before the first statement runs,
//! as in PostgreSQL.

use std::ops::Range;

use crate::base::{SqlError, SqlResult, SqlState};
use crate::sql::parse;

/// The statements of `sql`, in order; none for blanks and comments.
pub(super) fn statements(sql: &str) -> SqlResult<Vec<Range<usize>>> {
    if let Some(only) = obviously_one(sql) {
        return Ok(if only.is_empty() { Vec::new() } else { vec![only] });
    }
    Ok(parse::parse(sql)?.into_iter().map(|parsed| parsed.range).collect())
}

/// The only statement of `sql`; `None` for blanks and comments. Error: 42601 for several.
pub(super) fn only_statement(sql: &str) -> SqlResult<Option<Range<usize>>> {
    if let Some(only) = obviously_one(sql) {
        return Ok((!only.is_empty()).then_some(only));
    }
    let mut parsed = parse::parse(sql)?.into_iter();
    let first = parsed.next().map(|parsed| parsed.range);
    if parsed.next().is_some() {
        let message = "cannot insert multiple commands into a prepared statement";
        return Err(SqlError::new(SqlState::SyntaxError, message));
    }
    Ok(first)
}

/// The error of a part of `sql` that starts at byte `start`, with its position in the whole.
pub(super) fn moved(mut error: SqlError, sql: &str, start: usize) -> SqlError {
    if let Some(position) = &mut error.fields.position {
        let before = sql.get(..start).map_or(0, |text| text.chars().count());
        *position = position.saturating_add(u32::try_from(before).unwrap_or(u32::MAX));
    }
    error
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
        statements(sql).unwrap().into_iter().map(|range| &sql[range]).collect()
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

    #[test]
    fn positions_are_of_the_whole_text() {
        let sql = "SELECT 'ä'; SELEC";
        let error = SqlError::new(SqlState::SyntaxError, "x").at(1);
        assert_eq!(moved(error, sql, 13).fields.position, Some(13));
    }
}
