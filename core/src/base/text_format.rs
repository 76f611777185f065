//! The text form of every type, as PostgreSQL's input and output functions have it.
//!
//! It is what simple queries return, what literals are written in, and what casts from and to text
//! go through.

use std::sync::Arc;

use super::{
    Datum, Numeric, SqlError, SqlResult, SqlState, SqlType, array_text, datetime, float, limits,
    typmod,
};

/// The value of `text`, fitted to `typmod` (-1 for none) as an assignment fits it.
///
/// Errors: 22P02 `invalid input syntax for type integer: "x"`, 22003, 22007, 22008, 22001.
pub fn parse(ty: SqlType, typmod: i32, text: &str) -> SqlResult<Datum> {
    let value = parse_plain(ty, text)?;
    typmod::apply(ty, typmod, value, false)
}

fn parse_plain(ty: SqlType, text: &str) -> SqlResult<Datum> {
    Ok(match ty {
        SqlType::Bool => Datum::Bool(parse_bool(text)?),
        SqlType::Int2 => Datum::Int2(parse_integer(text, ty)?),
        SqlType::Int4 => Datum::Int4(parse_integer(text, ty)?),
        SqlType::Int8 => Datum::Int8(parse_integer(text, ty)?),
        SqlType::Oid => Datum::Oid(parse_oid(text)?),
        SqlType::Float4 => Datum::Float4(float::parse_f32(text)?),
        SqlType::Float8 => Datum::Float8(float::parse_f64(text)?),
        SqlType::Numeric => Datum::Numeric(Numeric::parse(text)?),
        SqlType::Unknown | SqlType::Text | SqlType::Varchar | SqlType::Bpchar => {
            Datum::Text(checked_text(text)?)
        }
        SqlType::Name => Datum::text(cut_name(&checked_text(text)?)),
        SqlType::Char => Datum::Text(parse_char(text)?),
        SqlType::Json => {
            check_json(text)?;
            Datum::text(text)
        }
        SqlType::Bytea => Datum::Bytea(parse_bytea(text)?.into()),
        SqlType::Date => Datum::Date(datetime::parse_date(text)?),
        SqlType::Timestamp => Datum::Timestamp(datetime::parse_timestamp(text, false)?),
        SqlType::TimestampTz => Datum::Timestamp(datetime::parse_timestamp(text, true)?),
        SqlType::Uuid => Datum::Uuid(parse_uuid(text)?),
        SqlType::Void => Datum::text(""),
        array => parse_array(array.element().unwrap_or(SqlType::Text), text)?,
    })
}

/// Appends the text form of a value; nothing for NULL, which has none.
pub fn write(ty: SqlType, value: &Datum, out: &mut Vec<u8>) {
    match value {
        Datum::Null => {}
        Datum::Bool(v) => out.push(if *v { b't' } else { b'f' }),
        Datum::Int2(v) => write_integer(i64::from(*v), out),
        Datum::Int4(v) => write_integer(i64::from(*v), out),
        Datum::Int8(v) => write_integer(*v, out),
        Datum::Oid(v) => write_integer(i64::from(*v), out),
        Datum::Float4(v) => float::write_f32(*v, out),
        Datum::Float8(v) => float::write_f64(*v, out),
        Datum::Numeric(v) => out.extend_from_slice(v.to_string().as_bytes()),
        Datum::Text(v) => out.extend_from_slice(v.as_bytes()),
        Datum::Bytea(v) => write_bytea(v, out),
        Datum::Date(v) => datetime::write_date(*v, out),
        Datum::Timestamp(v) => datetime::write_timestamp(*v, ty == SqlType::TimestampTz, out),
        Datum::Uuid(v) => write_uuid(v, out),
        Datum::Array(elements) => write_array(ty, elements, out),
    }
}

/// The text form as a string.
pub fn to_string(ty: SqlType, value: &Datum) -> String {
    let mut out = Vec::new();
    write(ty, value, &mut out);
    String::from_utf8(out).expect("text forms are made of text")
}

/// 22P02.
pub fn invalid_syntax(type_name: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::InvalidTextRepresentation,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

fn trim_blanks(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
}

fn write_integer(mut value: i64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let negative = value < 0;
    loop {
        at -= 1;
        // The remainder has the sign of the value, so that i64::MIN needs no special case.
        digits[at] = b'0' + (value % 10).unsigned_abs() as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if negative {
        out.push(b'-');
    }
    out.extend_from_slice(&digits[at..]);
}

fn is_integer_syntax(body: &str) -> bool {
    let digits = body.strip_prefix(['+', '-']).unwrap_or(body);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

fn value_out_of_range(ty: SqlType, text: &str) -> SqlError {
    let name = ty.info().sql_name;
    SqlError::new(
        SqlState::NumericValueOutOfRange,
        format!("value \"{text}\" is out of range for type {name}"),
    )
}

fn parse_integer<T: std::str::FromStr>(text: &str, ty: SqlType) -> SqlResult<T> {
    let body = trim_blanks(text);
    if is_integer_syntax(body) {
        return body.parse().map_err(|_| value_out_of_range(ty, text));
    }
    // PostgreSQL reads digit by digit, as of a negative number: too many come before what does not belong.
    let digits = body.strip_prefix(['+', '-']).unwrap_or(body);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    if end > 0 && format!("-{}", &digits[..end]).parse::<T>().is_err() {
        return Err(value_out_of_range(ty, text));
    }
    Err(invalid_syntax(ty.info().sql_name, text))
}

/// Negative numbers wrap, as PostgreSQL lets them.
fn parse_oid(text: &str) -> SqlResult<u32> {
    let body = trim_blanks(text);
    if !is_integer_syntax(body) {
        return Err(invalid_syntax("oid", text));
    }
    let wide: i64 = body.parse().map_err(|_| value_out_of_range(SqlType::Oid, text))?;
    if let Ok(oid) = u32::try_from(wide) {
        return Ok(oid);
    }
    match i32::try_from(wide) {
        Ok(negative) => Ok(negative as u32),
        Err(_) => Err(value_out_of_range(SqlType::Oid, text)),
    }
}

/// A unique prefix of `true`, `false`, `yes`, `no`, or `on`, `off`, `1`, `0`.
fn parse_bool(text: &str) -> SqlResult<bool> {
    let word = trim_blanks(text).to_ascii_lowercase();
    let prefix_of = |full: &str| !word.is_empty() && full.starts_with(&word);
    if prefix_of("true") || prefix_of("yes") || word == "on" || word == "1" {
        return Ok(true);
    }
    if prefix_of("false") || prefix_of("no") || word == "of" || word == "off" || word == "0" {
        return Ok(false);
    }
    Err(invalid_syntax("boolean", text))
}

/// Text as it is, without the byte that PostgreSQL's strings cannot hold.
fn checked_text(text: &str) -> SqlResult<Arc<str>> {
    if text.contains('\0') {
        return Err(SqlError::new(
            SqlState::CharacterNotInRepertoire,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text.into())
}

/// At most 63 bytes, without cutting a character.
pub fn cut_name(name: &str) -> &str {
    let mut end = name.len().min(limits::NAME_BYTES_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// The first byte, which must be ASCII: the others are not text by themselves.
fn parse_char(text: &str) -> SqlResult<Arc<str>> {
    match checked_text(text)?.chars().next() {
        None => Ok("".into()),
        Some(c) if c.is_ascii() => Ok(c.to_string().into()),
        Some(_) => Err(SqlError::unsupported("a \"char\" that is not ASCII")),
    }
}

/// Errors: 22P02 for text that is no JSON.
pub fn check_json(text: &str) -> SqlResult<()> {
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(SqlError::new(
            SqlState::InvalidTextRepresentation,
            "invalid input syntax for type json",
        )
        .with_detail(format!("{error}."))),
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|d| d as u8)
}

fn parse_bytea(text: &str) -> SqlResult<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => parse_hex(digits),
        None => parse_escaped(text.as_bytes()),
    }
}

fn parse_hex(digits: &str) -> SqlResult<Vec<u8>> {
    let mut out = Vec::with_capacity(digits.len() / 2);
    let mut chars = digits.chars();
    let invalid = |message: String| SqlError::new(SqlState::InvalidParameterValue, message);
    let nibble = |c: char| {
        let digit = c.to_digit(16).map(|d| d as u8);
        digit.ok_or_else(|| invalid(format!("invalid hexadecimal digit: \"{c}\"")))
    };
    while let Some(high) = chars.next() {
        if high.is_ascii_whitespace() {
            continue;
        }
        let high = nibble(high)?;
        let Some(low) = chars.next() else {
            return Err(invalid("invalid hexadecimal data: odd number of digits".into()));
        };
        out.push(high << 4 | nibble(low)?);
    }
    Ok(out)
}

/// `\\` and `\ooo`; every other byte stands for itself.
fn parse_escaped(bytes: &[u8]) -> SqlResult<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = match (byte, after) {
            (b'\\', [b'\\', after @ ..]) => {
                out.push(b'\\');
                after
            }
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..]) => {
                out.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                after
            }
            (b'\\', _) => {
                return Err(SqlError::new(
                    SqlState::InvalidTextRepresentation,
                    "invalid input syntax for type bytea",
                ));
            }
            _ => {
                out.push(byte);
                after
            }
        };
    }
    Ok(out)
}

const HEX: &[u8; 16] = b"0123456789abcdef";

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

fn write_bytea(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\\x");
    write_hex(bytes, out);
}

/// Thirty-two digits, with a hyphen allowed after every fourth, in braces or not.
fn parse_uuid(text: &str) -> SqlResult<[u8; 16]> {
    let invalid = || invalid_syntax("uuid", text);
    let braced = text.strip_prefix('{').map(|t| t.strip_suffix('}').ok_or_else(invalid));
    let mut rest = braced.transpose()?.unwrap_or(text).as_bytes();
    let mut uuid = [0; 16];
    for (k, byte) in uuid.iter_mut().enumerate() {
        let [high, low, after @ ..] = rest else { return Err(invalid()) };
        let digits = hex_digit(*high).zip(hex_digit(*low)).ok_or_else(invalid)?;
        *byte = digits.0 << 4 | digits.1;
        rest = after;
        if k % 2 == 1 && k < 15 {
            rest = rest.strip_prefix(b"-").unwrap_or(rest);
        }
    }
    if rest.is_empty() { Ok(uuid) } else { Err(invalid()) }
}

fn write_uuid(uuid: &[u8; 16], out: &mut Vec<u8>) {
    for (k, part) in
        [&uuid[..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..]].iter().enumerate()
    {
        if k > 0 {
            out.push(b'-');
        }
        write_hex(part, out);
    }
}

fn parse_array(element: SqlType, text: &str) -> SqlResult<Datum> {
    let parts = array_text::split(text)?;
    let values = parts.into_iter().map(|part| match part {
        Some(text) => parse_plain(element, &text),
        None => Ok(Datum::Null),
    });
    Ok(Datum::Array(values.collect::<SqlResult<Arc<[Datum]>>>()?))
}

fn write_array(ty: SqlType, elements: &[Datum], out: &mut Vec<u8>) {
    let element = ty.element().unwrap_or(SqlType::Text);
    let texts: Vec<Option<Vec<u8>>> = elements
        .iter()
        .map(|value| {
            if value.is_null() {
                return None;
            }
            let mut text = Vec::new();
            write(element, value, &mut text);
            Some(text)
        })
        .collect();
    array_text::join(texts.iter().map(|t| t.as_deref()), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A type as the golden script names it, and its modifier.
    fn named(name: &str) -> (SqlType, i32) {
        let (base, argument) = match name.split_once('(') {
            Some((base, rest)) => (base, Some(rest.trim_end_matches(')'))),
            None => (name, None),
        };
        let numbers: Vec<i32> =
            argument.map_or(Vec::new(), |a| a.split(',').map(|n| n.parse().unwrap()).collect());
        let (ty, typmod) = match (base, numbers.as_slice()) {
            ("\"char\"", _) => (SqlType::Char, -1),
            ("char", [n]) => (SqlType::Bpchar, n + 4),
            ("varchar", [n]) => (SqlType::Varchar, n + 4),
            ("numeric", [p, s]) => (SqlType::Numeric, ((p << 16) | (s & 0x7ff)) + 4),
            ("timestamp", [p]) => (SqlType::Timestamp, *p),
            ("timestamptz", [p]) => (SqlType::TimestampTz, *p),
            ("int4[]", _) => (SqlType::Int4Array, -1),
            ("text[]", _) => (SqlType::TextArray, -1),
            (other, _) => (SqlType::ALL.into_iter().find(|t| t.info().name == other).unwrap(), -1),
        };
        (ty, typmod)
    }

    fn answer(name: &str, input: &str) -> String {
        let (ty, typmod) = named(name);
        match parse(ty, typmod, input) {
            Ok(value) => {
                let text = to_string(ty, &value);
                let bracketed = matches!(ty, SqlType::Char | SqlType::Bpchar | SqlType::Varchar);
                if bracketed { format!("= <{text}>") } else { format!("= {text}") }
            }
            Err(error) => {
                let mut text = format!("! {} {}", error.state.code(), error.message);
                // The detail of a JSON error is the parser's own.
                if let Some(detail) = error.fields.detail.filter(|_| ty != SqlType::Json) {
                    text.push_str(&format!(" | {detail}"));
                }
                if let Some(hint) = error.fields.hint {
                    text.push_str(&format!(" / {hint}"));
                }
                text
            }
        }
    }

    #[test]
    fn golden_script() {
        let mut wrong = Vec::new();
        let script = include_str!("golden/text_format.txt");
        for line in script.lines().filter(|l| !l.starts_with('#')) {
            let mut parts = line.splitn(3, " ~ ");
            let (Some(name), Some(input), Some(expected)) =
                (parts.next(), parts.next(), parts.next())
            else {
                panic!("not three parts: {line}")
            };
            let got = answer(name, input);
            if got != expected {
                wrong.push(format!("{name} ~ {input}\n  expected {expected}\n  got      {got}"));
            }
        }
        assert!(wrong.is_empty(), "{} lines differ:\n{}", wrong.len(), wrong.join("\n"));
    }

    #[test]
    fn text_holds_no_zero_bytes() {
        let error = parse(SqlType::Text, -1, "a\0b").unwrap_err();
        assert_eq!(error.message, "invalid byte sequence for encoding \"UTF8\": 0x00");
    }

    #[test]
    fn names_are_cut_between_characters() {
        let long = "ä".repeat(40);
        assert_eq!(cut_name(&long).len(), 62);
        assert_eq!(cut_name("short"), "short");
    }
}
