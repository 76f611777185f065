//! `->` and `->>` on `json`.
//!
//! A `json` value is its text, checked on input; a part of it is a part of that text, so blanks and
//! digits stay as they were written. [`Scanner`] finds where values begin and end and nothing more.

use super::{integer, text};
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType};
use crate::expr::function::{Function, row};

const TEXT: SqlType = SqlType::Text;
const JSON: SqlType = SqlType::Json;
const INT4: SqlType = SqlType::Int4;

#[rustfmt::skip]
pub(super) static ROWS: &[Function] = &[
    row(3947, "json_object_field", &[JSON, TEXT], JSON, |a, _| as_json(field(text(a, 0)?, text(a, 1)?)?)),
    row(3948, "json_object_field_text", &[JSON, TEXT], TEXT, |a, _| as_text(field(text(a, 0)?, text(a, 1)?)?)),
    row(3949, "json_array_element", &[JSON, INT4], JSON, |a, _| as_json(element(text(a, 0)?, integer(a, 1)?)?)),
    row(3950, "json_array_element_text", &[JSON, INT4], TEXT, |a, _| as_text(element(text(a, 0)?, integer(a, 1)?)?)),
    row(3968, "json_typeof", &[JSON], TEXT, |a, _| Ok(Datum::text(kind(text(a, 0)?)))),
    row(3956, "json_array_length", &[JSON], INT4, |a, _| array_length(text(a, 0)?)),
];

fn malformed() -> SqlError {
    SqlError::new(SqlState::InvalidTextRepresentation, "invalid input syntax for type json")
}

fn as_json(part: Option<&str>) -> SqlResult<Datum> {
    Ok(part.map_or(Datum::Null, Datum::text))
}

/// A string without its quotes and escapes; JSON's null is SQL's.
fn as_text(part: Option<&str>) -> SqlResult<Datum> {
    match part {
        None | Some("null") => Ok(Datum::Null),
        Some(part) if part.starts_with('"') => Ok(Datum::text(unquoted(part)?)),
        Some(part) => Ok(Datum::text(part)),
    }
}

fn unquoted(part: &str) -> SqlResult<String> {
    let text: String = serde_json::from_str(part).map_err(|_| malformed())?;
    if text.contains('\0') {
        let message = "unsupported Unicode escape sequence";
        return Err(SqlError::new(SqlState::UntranslatableCharacter, message)
            .with_detail("\\u0000 cannot be converted to text."));
    }
    Ok(text)
}

fn kind(json: &str) -> &'static str {
    match json.trim_start().bytes().next() {
        Some(b'{') => "object",
        Some(b'[') => "array",
        Some(b'"') => "string",
        Some(b't' | b'f') => "boolean",
        Some(b'n') => "null",
        _ => "number",
    }
}

/// The value of the last key of that name, of an object.
fn field<'a>(json: &'a str, key: &str) -> SqlResult<Option<&'a str>> {
    let mut scanner = Scanner { rest: json.trim() };
    if !scanner.accept(b'{') || scanner.accept(b'}') {
        return Ok(None);
    }
    let mut found = None;
    loop {
        let name = unquoted(scanner.value()?)?;
        if !scanner.accept(b':') {
            return Err(malformed());
        }
        let value = scanner.value()?;
        if name == key {
            found = Some(value);
        }
        if !scanner.accept(b',') {
            return Ok(found);
        }
    }
}

/// The elements of an array; `None` for a value that is none.
fn array_elements(json: &str) -> SqlResult<Option<Vec<&str>>> {
    let mut scanner = Scanner { rest: json.trim() };
    if !scanner.accept(b'[') {
        return Ok(None);
    }
    let mut values = Vec::new();
    if scanner.accept(b']') {
        return Ok(Some(values));
    }
    loop {
        values.push(scanner.value()?);
        if !scanner.accept(b',') {
            return Ok(Some(values));
        }
    }
}

/// Element `at` of an array, from 0; negative counts from the end.
fn element(json: &str, at: i64) -> SqlResult<Option<&str>> {
    let Some(values) = array_elements(json)? else { return Ok(None) };
    let at = if at < 0 { values.len() as i64 + at } else { at };
    Ok(usize::try_from(at).ok().and_then(|at| values.get(at).copied()))
}

fn array_length(json: &str) -> SqlResult<Datum> {
    match (array_elements(json)?, kind(json)) {
        (Some(values), _) => super::count(values.len()),
        (None, "object") => Err(super::invalid_parameter("cannot get array length of a non-array")),
        (None, _) => Err(super::invalid_parameter("cannot get array length of a scalar")),
    }
}

/// Takes values off the front of valid JSON.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn accept(&mut self, wanted: u8) -> bool {
        let rest = self.rest.trim_start();
        if rest.as_bytes().first() != Some(&wanted) {
            return false;
        }
        self.rest = &rest[1..];
        true
    }

    /// The text of the next value.
    fn value(&mut self) -> SqlResult<&'a str> {
        let rest = self.rest.trim_start();
        let end = match rest.as_bytes().first() {
            Some(b'"') => string_end(rest.as_bytes(), 0),
            Some(b'{' | b'[') => nested_end(rest.as_bytes()),
            Some(_) => rest.find([',', ']', '}', ' ', '\t', '\n', '\r', ':']).or(Some(rest.len())),
            None => None,
        };
        let (value, after) = end.and_then(|at| rest.split_at_checked(at)).ok_or_else(malformed)?;
        self.rest = after;
        Ok(value)
    }
}

/// Where the string that starts at `start` ends.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    None
}

/// Where the object or array at the front ends.
fn nested_end(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0usize, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                at = string_end(bytes, at)?;
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 1 => return Some(at + 1),
            b'}' | b']' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_text() {
        let json = r#" {"a" : [1, 2.50 ,{"b":"x,]"}], "c\u0041":null, "a2":"q\"\n"} "#;
        assert_eq!(field(json, "a").unwrap(), Some(r#"[1, 2.50 ,{"b":"x,]"}]"#));
        assert_eq!(field(json, "cA").unwrap(), Some("null"));
        assert_eq!(as_text(field(json, "cA").unwrap()).unwrap(), Datum::Null);
        assert_eq!(as_text(field(json, "a2").unwrap()).unwrap(), Datum::text("q\"\n"));
        assert_eq!(field(json, "zz").unwrap(), None);
        let array = field(json, "a").unwrap().unwrap();
        assert_eq!(element(array, 1).unwrap(), Some("2.50"));
        assert_eq!(element(array, -1).unwrap(), Some(r#"{"b":"x,]"}"#));
        assert_eq!(element(array, 3).unwrap(), None);
        assert_eq!(element("1", 0).unwrap(), None);
        assert_eq!(array_length("[]").unwrap(), Datum::Int4(0));
        let zero = r#"{"a":"x\u0000y"}"#;
        assert_eq!(field(zero, "a").unwrap(), Some(r#""x\u0000y""#));
        assert_eq!(as_text(field(zero, "a").unwrap()).unwrap_err().state.code(), "22P05");
    }
}
