//! The binary form of every type, as PostgreSQL's send and receive functions have it.
//!
//! Numbers are big-endian. It is what drivers that ask for format 1 get, and what rows in storage
//! hold, so that a stored value goes to the wire as it is.
//!
//! `numeric` is base 10,000:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | count of digits that follow |
//! | 2 | weight: the first digit counts 10,000^weight; signed |
//! | 2 | sign: 0000 plus, 4000 minus, C000 NaN, D000 Infinity, F000 -Infinity |
//! | 2 | scale: decimal digits after the point |
//! | 2 each | the digits, without zeros at either end |
//!
//! An array is `dimensions, has-nulls, element oid`, per dimension `length, lower bound`, then each
//! element as `length, bytes`, all 4 bytes wide; the length of NULL is -1.

use std::sync::Arc;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;
use bigdecimal::num_traits::Signed;

use super::{
    Datum, Numeric, SqlError, SqlResult, SqlState, SqlType, datetime, limits, text_format,
};

const NUMERIC_NEGATIVE: u16 = 0x4000;
const NUMERIC_NAN: u16 = 0xC000;
const NUMERIC_INFINITY: u16 = 0xD000;
const NUMERIC_NEG_INFINITY: u16 = 0xF000;
/// What PostgreSQL sends as the scale of an infinity.
const NUMERIC_INFINITY_SCALE: u16 = 32;
/// Largest scale the format can say.
const NUMERIC_SCALE_MAX: u16 = 0x3FFF;

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidBinaryRepresentation, message)
}

fn wrong_length() -> SqlError {
    invalid("incorrect binary data format")
}

fn too_short() -> SqlError {
    SqlError::new(SqlState::ProtocolViolation, "insufficient data left in message")
}

fn fixed<const N: usize>(bytes: &[u8]) -> SqlResult<[u8; N]> {
    bytes.try_into().map_err(|_| if bytes.len() < N { too_short() } else { wrong_length() })
}

/// The value in `bytes` of a client, which nobody has looked at yet.
///
/// Errors: as [`decode`], 22P02 for text that is no JSON, 42622 for a name that is too long.
pub fn receive(ty: SqlType, bytes: &[u8]) -> SqlResult<Datum> {
    let value = decode(ty, bytes)?;
    check(ty, &value)?;
    Ok(value)
}

/// What [`decode`] takes on trust.
fn check(ty: SqlType, value: &Datum) -> SqlResult<()> {
    match (ty, value) {
        (SqlType::Json, Datum::Text(text)) => text_format::check_json(text),
        (SqlType::Name, Datum::Text(name)) if name.len() > limits::NAME_BYTES_MAX => {
            Err(SqlError::new(SqlState::NameTooLong, "identifier too long").with_detail(format!(
                "Identifier must be less than {} characters.",
                limits::NAME_BYTES_MAX + 1
            )))
        }
        (SqlType::NameArray, Datum::Array(names)) => {
            names.iter().try_for_each(|name| check(SqlType::Name, name))
        }
        _ => Ok(()),
    }
}

/// The value in `bytes` that [`encode`] made, without a type modifier. NULL has no binary form.
///
/// Errors: 08P01 for too few bytes, 22P03 for bytes that are no value of the type, 22021 for text
/// that is not UTF-8.
pub fn decode(ty: SqlType, bytes: &[u8]) -> SqlResult<Datum> {
    Ok(match ty {
        SqlType::Bool => Datum::Bool(fixed::<1>(bytes)?[0] != 0),
        SqlType::Int2 => Datum::Int2(i16::from_be_bytes(fixed(bytes)?)),
        SqlType::Int4 => Datum::Int4(i32::from_be_bytes(fixed(bytes)?)),
        SqlType::Int8 => Datum::Int8(i64::from_be_bytes(fixed(bytes)?)),
        SqlType::Float4 => Datum::Float4(f32::from_be_bytes(fixed(bytes)?)),
        SqlType::Float8 => Datum::Float8(f64::from_be_bytes(fixed(bytes)?)),
        SqlType::Oid => Datum::Oid(u32::from_be_bytes(fixed(bytes)?)),
        SqlType::Numeric => Datum::Numeric(decode_numeric(bytes)?),
        SqlType::Unknown
        | SqlType::Text
        | SqlType::Varchar
        | SqlType::Bpchar
        | SqlType::Name
        | SqlType::Json => Datum::text(decode_text(bytes)?),
        SqlType::Char => match fixed::<1>(bytes)? {
            [0] => Datum::text(""),
            [byte] if byte.is_ascii() => Datum::text(char::from(byte).to_string()),
            _ => return Err(SqlError::unsupported("a \"char\" that is not ASCII")),
        },
        SqlType::Bytea => Datum::Bytea(bytes.into()),
        SqlType::Date => match i32::from_be_bytes(fixed(bytes)?) {
            days if datetime::date_is_valid(days) => Datum::Date(days),
            _ => return Err(datetime::out_of_range("date")),
        },
        SqlType::Timestamp | SqlType::TimestampTz => match i64::from_be_bytes(fixed(bytes)?) {
            micros if datetime::timestamp_is_valid(micros) => Datum::Timestamp(micros),
            _ => return Err(datetime::out_of_range("timestamp")),
        },
        SqlType::Uuid => Datum::Uuid(fixed(bytes)?),
        SqlType::Void => Datum::text(""),
        array => decode_array(array.element().unwrap_or(SqlType::Text), bytes)?,
    })
}

/// Appends the binary form of a value that is not NULL.
///
/// Errors: XX000 if the value is not of the type.
pub fn encode(ty: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    match (ty, value) {
        (SqlType::Bool, Datum::Bool(v)) => out.push(u8::from(*v)),
        (SqlType::Int2, Datum::Int2(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Int4, Datum::Int4(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Int8, Datum::Int8(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Float4, Datum::Float4(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Float8, Datum::Float8(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Oid, Datum::Oid(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Numeric, Datum::Numeric(v)) => encode_numeric(v, out),
        (SqlType::Char, Datum::Text(v)) => out.push(v.bytes().next().unwrap_or(0)),
        (SqlType::Void, _) => {}
        (
            SqlType::Unknown
            | SqlType::Text
            | SqlType::Varchar
            | SqlType::Bpchar
            | SqlType::Name
            | SqlType::Json,
            Datum::Text(v),
        ) => out.extend_from_slice(v.as_bytes()),
        (SqlType::Bytea, Datum::Bytea(v)) => out.extend_from_slice(v),
        (SqlType::Date, Datum::Date(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Timestamp | SqlType::TimestampTz, Datum::Timestamp(v)) => {
            out.extend_from_slice(&v.to_be_bytes());
        }
        (SqlType::Uuid, Datum::Uuid(v)) => out.extend_from_slice(v),
        (array, value) => match (array.element(), value) {
            (Some(element), Datum::Array(v)) => encode_array(element, v, out)?,
            _ => {
                let name = ty.info().name;
                return Err(SqlError::internal(format!("{value:?} is not a value of type {name}")));
            }
        },
    }
    Ok(())
}

/// The text in `bytes`: UTF-8 without zero bytes. 22021 otherwise, naming the bad bytes.
pub fn decode_text(bytes: &[u8]) -> SqlResult<&str> {
    let bad = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => return Ok(text),
        Ok(_) => "0x00".to_owned(),
        Err(error) => {
            let rest = &bytes[error.valid_up_to()..];
            let count = expected_sequence_length(rest[0]).min(rest.len());
            let shown: Vec<String> = rest[..count].iter().map(|b| format!("0x{b:02x}")).collect();
            shown.join(" ")
        }
    };
    Err(SqlError::new(
        SqlState::CharacterNotInRepertoire,
        format!("invalid byte sequence for encoding \"UTF8\": {bad}"),
    ))
}

/// Bytes of the character that starts with `first`, as PostgreSQL reads its length.
fn expected_sequence_length(first: u8) -> usize {
    match first {
        0xC0..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF7 => 4,
        _ => 1,
    }
}

fn encode_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let mut header = |fields: [u16; 4]| {
        for field in fields {
            out.extend_from_slice(&field.to_be_bytes());
        }
    };
    let value = match value {
        Numeric::NaN => return header([0, 0, NUMERIC_NAN, 0]),
        Numeric::Infinity => return header([0, 0, NUMERIC_INFINITY, NUMERIC_INFINITY_SCALE]),
        Numeric::NegInfinity => {
            return header([0, 0, NUMERIC_NEG_INFINITY, NUMERIC_INFINITY_SCALE]);
        }
        Numeric::Finite(v) => v,
    };
    let (digits, scale) = value.as_bigint_and_scale();
    let negative = digits.is_negative();
    let scale_shown = u16::try_from(scale).expect("a numeric's scale is within 0..=16383");
    let (groups, weight) =
        numeric_groups(&digits.magnitude().to_string(), usize::from(scale_shown));
    let sign = if negative { NUMERIC_NEGATIVE } else { 0 };
    let count = u16::try_from(groups.len()).expect("a numeric has less than 2^16 groups");
    header([count, weight as u16, sign, scale_shown]);
    for group in groups {
        out.extend_from_slice(&group.to_be_bytes());
    }
}

/// Groups of four digits, aligned at the point, without zeros at the ends; and the weight of the
/// first.
fn numeric_groups(digits: &str, scale: usize) -> (Vec<u16>, i16) {
    let padded = format!("{digits:0>scale$}");
    let (whole, fraction) = padded.split_at(padded.len() - scale);
    let whole = format!("{}{whole}", "0".repeat(whole.len().wrapping_neg() % 4));
    let fraction = format!("{fraction}{}", "0".repeat(fraction.len().wrapping_neg() % 4));
    let aligned = [whole.as_bytes(), fraction.as_bytes()].concat();
    let value = |group: &[u8]| group.iter().fold(0, |v, d| v * 10 + u16::from(d - b'0'));
    let groups: Vec<u16> = aligned.chunks(4).map(value).collect();
    let Some(first) = groups.iter().position(|g| *g != 0) else { return (Vec::new(), 0) };
    let last = groups.iter().rposition(|g| *g != 0).unwrap_or(first);
    let weight = (whole.len() / 4) as i64 - 1 - first as i64;
    let weight = i16::try_from(weight).expect("a numeric has at most 2^15 groups a side");
    (groups[first..=last].to_vec(), weight)
}

fn decode_numeric(bytes: &[u8]) -> SqlResult<Numeric> {
    let field = |at: usize| -> SqlResult<u16> {
        let bytes = bytes.get(at..at + 2).ok_or_else(too_short)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let (count, weight, sign, scale) = (field(0)?, field(2)? as i16, field(4)?, field(6)?);
    let length = 8 + 2 * usize::from(count);
    if bytes.len() != length {
        return Err(if bytes.len() < length { too_short() } else { wrong_length() });
    }
    match sign {
        0 | NUMERIC_NEGATIVE => {}
        NUMERIC_NAN => return Ok(Numeric::NaN),
        NUMERIC_INFINITY => return Ok(Numeric::Infinity),
        NUMERIC_NEG_INFINITY => return Ok(Numeric::NegInfinity),
        _ => return Err(invalid("invalid sign in external \"numeric\" value")),
    }
    if scale > NUMERIC_SCALE_MAX {
        return Err(invalid("invalid scale in external \"numeric\" value"));
    }
    let mut digits = String::with_capacity(4 * usize::from(count) + 1);
    digits.push('0');
    for k in 0..usize::from(count) {
        let group = field(8 + 2 * k)?;
        if group > 9_999 {
            return Err(invalid("invalid digit in external \"numeric\" value"));
        }
        digits.push_str(&format!("{group:04}"));
    }
    let mut digits: BigInt = digits.parse().map_err(|_| wrong_length())?;
    if sign == NUMERIC_NEGATIVE {
        digits = -digits;
    }
    // The last group counts 10,000^(weight - count + 1).
    let exact_scale = 4 * (i64::from(count) - 1 - i64::from(weight));
    let value =
        if count == 0 { BigDecimal::new(digits, 0) } else { BigDecimal::new(digits, exact_scale) };
    // Digits beyond the announced scale are cut.
    Ok(Numeric::Finite(Box::new(value.with_scale(i64::from(scale)))))
}

fn encode_array(element: SqlType, values: &[Datum], out: &mut Vec<u8>) -> SqlResult<()> {
    let has_nulls = values.iter().any(Datum::is_null);
    let mut word = |v: u32| out.extend_from_slice(&v.to_be_bytes());
    word(u32::from(!values.is_empty()));
    word(u32::from(has_nulls));
    word(element.info().oid);
    if values.is_empty() {
        return Ok(());
    }
    word(u32::try_from(values.len()).map_err(|_| too_long())?);
    word(1);
    for value in values {
        let at = out.len();
        out.extend_from_slice(&(-1i32).to_be_bytes());
        if !value.is_null() {
            encode(element, value, out)?;
            let len = u32::try_from(out.len() - at - 4).map_err(|_| too_long())?;
            out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        }
    }
    Ok(())
}

fn too_long() -> SqlError {
    SqlError::new(
        SqlState::ProgramLimitExceeded,
        format!("array size exceeds the maximum allowed ({})", limits::ARRAY_ELEMENTS_MAX),
    )
}

/// Takes big-endian words and slices from the front.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn bytes(&mut self, len: usize) -> SqlResult<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(len).ok_or_else(too_short)?;
        self.0 = rest;
        Ok(head)
    }

    fn word(&mut self) -> SqlResult<i32> {
        Ok(i32::from_be_bytes(fixed(self.bytes(4)?)?))
    }
}

fn decode_array(element: SqlType, bytes: &[u8]) -> SqlResult<Datum> {
    let mut words = Words(bytes);
    let (dimensions, _has_nulls, oid) = (words.word()?, words.word()?, words.word()?);
    if SqlType::from_oid(oid as u32).map(representation) != Some(representation(element)) {
        return Err(SqlError::new(SqlState::DatatypeMismatch, "wrong element type"));
    }
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = words.word()?;
            if words.word()? != 1 {
                return Err(SqlError::unsupported("an array whose bounds do not start at 1"));
            }
            usize::try_from(count).map_err(|_| wrong_length())?
        }
        _ => return Err(SqlError::unsupported("an array of more than one dimension")),
    };
    // Each element takes four bytes at least, which bounds the count.
    if count > words.0.len() / 4 || count > limits::ARRAY_ELEMENTS_MAX {
        return Err(if count > limits::ARRAY_ELEMENTS_MAX { too_long() } else { too_short() });
    }
    let mut values = Vec::with_capacity(count);
    for _ in 0..count {
        let len = words.word()?;
        values.push(match usize::try_from(len) {
            Ok(len) => decode(element, words.bytes(len)?)?,
            Err(_) => Datum::Null,
        });
    }
    if !words.0.is_empty() {
        return Err(wrong_length());
    }
    Ok(Datum::Array(Arc::from(values)))
}

/// Text and varchar arrays are interchangeable.
fn representation(ty: SqlType) -> SqlType {
    if ty == SqlType::Varchar { SqlType::Text } else { ty }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text_format;
    use proptest::prelude::*;

    fn hex(ty: SqlType, text: &str) -> String {
        let value = text_format::parse(ty, -1, text).unwrap();
        let mut out = Vec::new();
        encode(ty, &value, &mut out).unwrap();
        let back = decode(ty, &out).unwrap();
        assert_eq!(text_format::to_string(ty, &back), text_format::to_string(ty, &value));
        out.iter().map(|b| format!("{b:02x}")).collect()
    }

    #[test]
    fn what_a_client_sends_is_checked_as_its_text_would_be() {
        let long = "n".repeat(64);
        assert_eq!(receive(SqlType::Json, b"[1]"), Ok(Datum::text("[1]")));
        let state = |ty, bytes: &[u8]| receive(ty, bytes).unwrap_err().state;
        assert_eq!(state(SqlType::Json, b""), SqlState::InvalidTextRepresentation);
        assert_eq!(state(SqlType::Name, long.as_bytes()), SqlState::NameTooLong);
        let mut names = Vec::new();
        let value = Datum::Array([Datum::Null, Datum::text(long)].into());
        encode(SqlType::NameArray, &value, &mut names).unwrap();
        assert_eq!(state(SqlType::NameArray, &names), SqlState::NameTooLong);
    }

    /// What PostgreSQL 15's send functions give.
    #[test]
    fn golden_bytes() {
        for (ty, text, expected) in [
            (SqlType::Bool, "t", "01"),
            (SqlType::Int2, "-2", "fffe"),
            (SqlType::Int4, "1", "00000001"),
            (SqlType::Int8, "-1", "ffffffffffffffff"),
            (SqlType::Float8, "1", "3ff0000000000000"),
            (SqlType::Float4, "-2", "c0000000"),
            (SqlType::Numeric, "-12345.6780", "0003000140000004000109291a7c"),
            (SqlType::Numeric, "0.00", "0000000000000002"),
            (SqlType::Numeric, "Infinity", "00000000d0000020"),
            (SqlType::Numeric, "-Infinity", "00000000f0000020"),
            (SqlType::Numeric, "NaN", "00000000c0000000"),
            (SqlType::Numeric, "0.00001", "0001fffe0000000503e8"),
            (SqlType::Numeric, "10000", "00010001000000000001"),
            (SqlType::Text, "ab", "6162"),
            (SqlType::Date, "2000-01-02", "00000001"),
            (SqlType::Timestamp, "2000-01-01 00:00:01", "00000000000f4240"),
            (
                SqlType::Int4Array,
                "{1,NULL}",
                "00000001000000010000001700000002000000010000000400000001ffffffff",
            ),
            (SqlType::TextArray, "{}", "000000000000000000000019"),
        ] {
            assert_eq!(hex(ty, text), expected, "{ty:?} {text}");
        }
    }

    #[test]
    fn bad_bytes_are_refused() {
        assert_eq!(decode(SqlType::Int4, &[1]).unwrap_err().state.code(), "08P01");
        assert_eq!(decode(SqlType::Int4, &[0; 5]).unwrap_err().state.code(), "22P03");
        let error = decode(SqlType::Text, &[b'a', 0xE4, b'b']).unwrap_err();
        assert_eq!(error.message, "invalid byte sequence for encoding \"UTF8\": 0xe4 0x62");
        let error = decode(SqlType::Text, &[0]).unwrap_err();
        assert_eq!(error.message, "invalid byte sequence for encoding \"UTF8\": 0x00");
        let digit = [0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10];
        assert!(decode(SqlType::Numeric, &digit).unwrap_err().message.contains("invalid digit"));
        let count = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7f, 255, 255, 255, 0, 0, 0, 1];
        assert!(decode(SqlType::Int4Array, &count).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            for ty in SqlType::ALL {
                let _ = decode(ty, &bytes);
            }
        }

        #[test]
        fn numerics_read_back(digits in any::<i64>(), scale in 0u16..30) {
            let value = Datum::Numeric(Numeric::from_parts(digits, scale));
            let mut out = Vec::new();
            encode(SqlType::Numeric, &value, &mut out).unwrap();
            let back = decode(SqlType::Numeric, &out).unwrap();
            let text = |v| text_format::to_string(SqlType::Numeric, v);
            prop_assert_eq!(text(&back), text(&value));
        }
    }
}
