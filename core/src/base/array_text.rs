//! The text form of arrays: `{a,"b c",NULL}`.
//!
//! An element is quoted where it is empty, reads `NULL`, or holds a brace, comma, quote, backslash
//! or blank. Only one dimension with bounds from 1: others give 0A000. Source: manual 8.15.

use super::{SqlError, SqlResult, SqlState, limits};

/// Splits a literal into its elements, unquoted; `None` is NULL.
///
/// Errors: 22P02 for what is no array, 0A000 for one of another shape, 54000 for too many elements.
pub fn split(text: &str) -> SqlResult<Vec<Option<String>>> {
    let body = text.trim_matches(is_blank);
    if body.starts_with('[') {
        return Err(SqlError::unsupported("an array literal with bounds"));
    }
    let Some(body) = body.strip_prefix('{') else {
        return Err(malformed(text, "Array value must start with \"{\" or dimension information."));
    };
    Parser { text, rest: body }.elements()
}

/// Appends the form of the elements, given by their text; `None` is NULL.
pub fn join<'a>(elements: impl Iterator<Item = Option<&'a [u8]>>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (k, element) in elements.enumerate() {
        if k > 0 {
            out.push(b',');
        }
        match element {
            None => out.extend_from_slice(b"NULL"),
            Some(bytes) if needs_quotes(bytes) => write_quoted(bytes, out),
            Some(bytes) => out.extend_from_slice(bytes),
        }
    }
    out.push(b'}');
}

fn is_blank(c: char) -> bool {
    c.is_ascii_whitespace() || c == '\u{b}'
}

fn needs_quotes(bytes: &[u8]) -> bool {
    let special =
        |b: &u8| matches!(b, b'{' | b'}' | b',' | b'"' | b'\\') || is_blank(char::from(*b));
    bytes.is_empty() || bytes.eq_ignore_ascii_case(b"null") || bytes.iter().any(special)
}

fn write_quoted(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
}

fn malformed(text: &str, detail: &str) -> SqlError {
    let message = format!("malformed array literal: \"{text}\"");
    SqlError::new(SqlState::InvalidTextRepresentation, message).with_detail(detail)
}

fn too_long() -> SqlError {
    let message =
        format!("array size exceeds the maximum allowed ({})", limits::ARRAY_ELEMENTS_MAX);
    SqlError::new(SqlState::ProgramLimitExceeded, message)
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Parser<'_> {
    fn elements(mut self) -> SqlResult<Vec<Option<String>>> {
        let mut elements = Vec::new();
        self.skip_blanks();
        if self.accept('}') {
            return self.end(elements);
        }
        loop {
            elements.push(self.element()?);
            if elements.len() > limits::ARRAY_ELEMENTS_MAX {
                return Err(too_long());
            }
            self.skip_blanks();
            if self.accept('}') {
                return self.end(elements);
            }
            if !self.accept(',') {
                let detail = match self.rest {
                    "" => "Unexpected end of input.",
                    _ => "Unexpected array element.",
                };
                return Err(malformed(self.text, detail));
            }
        }
    }

    fn end(mut self, elements: Vec<Option<String>>) -> SqlResult<Vec<Option<String>>> {
        self.skip_blanks();
        if self.rest.is_empty() {
            return Ok(elements);
        }
        Err(malformed(self.text, "Junk after closing right brace."))
    }

    fn element(&mut self) -> SqlResult<Option<String>> {
        self.skip_blanks();
        match self.rest.chars().next() {
            Some('"') => self.quoted().map(Some),
            Some('{') => Err(SqlError::unsupported("an array of more than one dimension")),
            Some(',' | '}') | None => Err(self.unexpected()),
            Some(_) => self.plain(),
        }
    }

    fn quoted(&mut self) -> SqlResult<String> {
        let mut value = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(value);
                }
                '\\' => match chars.next() {
                    Some((_, escaped)) => value.push(escaped),
                    None => break,
                },
                c => value.push(c),
            }
        }
        Err(malformed(self.text, "Unexpected end of input."))
    }

    fn plain(&mut self) -> SqlResult<Option<String>> {
        let mut value = String::new();
        // Blanks at the end do not count, unless they were escaped.
        let mut kept = 0;
        let mut escaped_any = false;
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                ',' | '}' => {
                    self.rest = &self.rest[at..];
                    value.truncate(kept);
                    let is_null = !escaped_any && value.eq_ignore_ascii_case("null");
                    return Ok((!is_null).then_some(value));
                }
                '"' => return Err(malformed(self.text, "Unexpected array element.")),
                '{' => return Err(malformed(self.text, "Unexpected \"{\" character.")),
                '\\' => {
                    let Some((_, escaped)) = chars.next() else { break };
                    value.push(escaped);
                    kept = value.len();
                    escaped_any = true;
                }
                c => {
                    value.push(c);
                    if !is_blank(c) {
                        kept = value.len();
                    }
                }
            }
        }
        Err(malformed(self.text, "Unexpected end of input."))
    }

    fn unexpected(&self) -> SqlError {
        match self.rest.chars().next() {
            Some(c) => malformed(self.text, &format!("Unexpected \"{c}\" character.")),
            None => malformed(self.text, "Unexpected end of input."),
        }
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches(is_blank);
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn joined(elements: &[Option<String>]) -> String {
        let mut out = Vec::new();
        join(elements.iter().map(|e| e.as_ref().map(|s| s.as_bytes())), &mut out);
        String::from_utf8(out).unwrap()
    }

    /// As PostgreSQL 15 answers `select 'input'::text[]`.
    #[test]
    fn literals_in_and_out() {
        for (input, expected) in [
            (
                r#"{a, "b c" ,NULL,"NULL",null,"",a\"b, x y }"#,
                r#"{a,"b c",NULL,"NULL",NULL,"","a\"b","x y"}"#,
            ),
            ("{}", "{}"),
            ("  { 1 , 2 } ", "{1,2}"),
        ] {
            assert_eq!(joined(&split(input).unwrap()), expected);
        }
    }

    #[test]
    fn malformed_literals() {
        for (input, detail) in [
            ("{1,2", "Unexpected end of input."),
            ("", "Array value must start with \"{\" or dimension information."),
            ("{1,2}x", "Junk after closing right brace."),
            ("{1,}", "Unexpected \"}\" character."),
            ("{,1}", "Unexpected \",\" character."),
        ] {
            let error = split(input).unwrap_err();
            assert_eq!(error.message, format!("malformed array literal: \"{input}\""));
            assert_eq!(error.fields.detail.as_deref(), Some(detail));
        }
        assert_eq!(split("{{1}}").unwrap_err().state, SqlState::FeatureNotSupported);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(elements in any::<Vec<Option<String>>>()) {
            prop_assert_eq!(split(&joined(&elements)).unwrap(), elements);
        }
    }
}
