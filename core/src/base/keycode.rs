//! Memcomparable keys: bytes whose order is the order of the values they encode.
//!
//! An index key is its columns' encodings, one after the other. Each is prefix-free, so no column
//! runs into the next, and each can be decoded.
//!
//! | part | bytes |
//! |---|---|
//! | NULL | `00` if NULLs come first, else `02` |
//! | value | `01`, then the body; all body bytes inverted when descending |
//!
//! | type | body |
//! |---|---|
//! | bool | `00`, `01` |
//! | int2, int4, int8, date, timestamp | big-endian, sign bit inverted |
//! | oid, uuid, "char" | big-endian, as they are |
//! | float4, float8 | big-endian bits: all inverted if negative, else the sign bit; NaN is all ones |
//! | text, bytea, … | each `00` becomes `00 FF`; end is `00 01`; char(n) without trailing blanks |
//! | numeric | class: `00` -Infinity, `01` negative, `02` zero, `03` positive, `04` Infinity, `05` NaN |
//! | … finite | power of ten of the first digit (4 bytes, sign bit inverted), pairs of digits plus 1, `00`; all inverted if negative |
//! | arrays | elements as `01 body` or `02` for NULL, then `00` |
//!
//! Values that are equal have equal bytes, so a decoded value is *an* equal value: -0 becomes 0,
//! `1.50` becomes `1.5`, `char(n)` loses its blanks. The row keeps the original.

use std::sync::Arc;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};

use super::{
    Datum, Numeric, SqlError, SqlResult, SqlState, SqlType, binary_format, compare, limits,
};

/// Direction of one key column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct KeyOrder {
    pub descending: bool,
    pub nulls_first: bool,
}

impl KeyOrder {
    /// PostgreSQL's default: NULLs last.
    pub const ASCENDING: KeyOrder = KeyOrder { descending: false, nulls_first: false };
    /// PostgreSQL's default for DESC: NULLs first.
    pub const DESCENDING: KeyOrder = KeyOrder { descending: true, nulls_first: true };
}

const NULL_FIRST: u8 = 0x00;
const NOT_NULL: u8 = 0x01;
const NULL_LAST: u8 = 0x02;

const ESCAPE: u8 = 0x00;
const ESCAPED_ZERO: u8 = 0xFF;
const TEXT_END: u8 = 0x01;

const ARRAY_END: u8 = 0x00;

/// Whether values of the type can be ordered, hence be in keys.
pub fn is_orderable(ty: SqlType) -> bool {
    !matches!(ty, SqlType::Json | SqlType::Void)
}

/// Appends the encoding of a value of type `ty`.
///
/// Errors: 42883 for a type without an order, XX000 if the value is not of the type.
pub fn encode(ty: SqlType, value: &Datum, order: KeyOrder, out: &mut Vec<u8>) -> SqlResult<()> {
    if value.is_null() {
        out.push(if order.nulls_first { NULL_FIRST } else { NULL_LAST });
        return Ok(());
    }
    out.push(NOT_NULL);
    let start = out.len();
    encode_body(ty, value, out)?;
    if order.descending {
        invert(&mut out[start..]);
    }
    Ok(())
}

/// The encoding of a whole key. 54000 if it is longer than a key may be.
pub fn encode_key<'a>(
    columns: impl IntoIterator<Item = (SqlType, &'a Datum, KeyOrder)>,
) -> SqlResult<Vec<u8>> {
    let mut out = Vec::with_capacity(32);
    for (ty, value, order) in columns {
        encode(ty, value, order, &mut out)?;
    }
    if out.len() > limits::KEY_BYTES_MAX {
        return Err(SqlError::new(
            SqlState::ProgramLimitExceeded,
            format!("index row size {} exceeds maximum {}", out.len(), limits::KEY_BYTES_MAX),
        ));
    }
    Ok(out)
}

/// Takes one value off the front of `input`. XX001 for bytes that no value encodes to.
pub fn decode(ty: SqlType, order: KeyOrder, input: &mut &[u8]) -> SqlResult<Datum> {
    match take::<1>(input)?[0] {
        NOT_NULL => decode_body(ty, &mut Input { rest: input, inverted: order.descending }),
        NULL_FIRST if order.nulls_first => Ok(Datum::Null),
        NULL_LAST if !order.nulls_first => Ok(Datum::Null),
        _ => Err(corrupt("a key column starts with an unknown byte")),
    }
}

/// The smallest byte string above everything that starts with `prefix`; `None` if there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|b| *b != 0xFF)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

fn invert(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}

fn corrupt(message: &str) -> SqlError {
    SqlError::new(SqlState::DataCorrupted, message)
}

/// Bits of a double in the order of doubles; one pattern for every NaN, one for both zeros.
fn float_bits(value: f64) -> u64 {
    if value.is_nan() {
        return u64::MAX;
    }
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn float_from_bits(bits: u64) -> f64 {
    if bits == u64::MAX {
        return f64::NAN;
    }
    f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })
}

fn encode_body(ty: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    match (ty, value) {
        (SqlType::Bool, Datum::Bool(v)) => out.push(u8::from(*v)),
        (SqlType::Int2, Datum::Int2(v)) => out.extend_from_slice(&(v ^ i16::MIN).to_be_bytes()),
        (SqlType::Int4, Datum::Int4(v)) | (SqlType::Date, Datum::Date(v)) => {
            out.extend_from_slice(&(v ^ i32::MIN).to_be_bytes());
        }
        (SqlType::Int8, Datum::Int8(v))
        | (SqlType::Timestamp | SqlType::TimestampTz, Datum::Timestamp(v)) => {
            out.extend_from_slice(&(v ^ i64::MIN).to_be_bytes());
        }
        (SqlType::Oid, Datum::Oid(v)) => out.extend_from_slice(&v.to_be_bytes()),
        (SqlType::Uuid, Datum::Uuid(v)) => out.extend_from_slice(v),
        (SqlType::Float8, Datum::Float8(v)) => out.extend_from_slice(&float_bits(*v).to_be_bytes()),
        // A float is ordered by the double of the same value.
        (SqlType::Float4, Datum::Float4(v)) => {
            out.extend_from_slice(&float_bits(f64::from(*v)).to_be_bytes());
        }
        (SqlType::Numeric, Datum::Numeric(v)) => encode_numeric(v, out),
        (SqlType::Char, Datum::Text(v)) => out.push(v.bytes().next().unwrap_or(0)),
        (SqlType::Bpchar, Datum::Text(v)) => encode_bytes(compare::trimmed(v).as_bytes(), out),
        (SqlType::Text | SqlType::Varchar | SqlType::Name | SqlType::Unknown, Datum::Text(v)) => {
            encode_bytes(v.as_bytes(), out)
        }
        (SqlType::Bytea, Datum::Bytea(v)) => encode_bytes(v, out),
        (_, Datum::Array(elements)) if ty.element().is_some() => {
            let element = ty.element().unwrap_or(SqlType::Text);
            for value in elements.iter() {
                encode(element, value, KeyOrder::ASCENDING, out)?;
            }
            out.push(ARRAY_END);
        }
        _ if !is_orderable(ty) => return Err(not_orderable(ty)),
        _ => {
            let name = ty.info().name;
            return Err(SqlError::internal(format!("{value:?} is not a value of type {name}")));
        }
    }
    Ok(())
}

/// 42883, as PostgreSQL words it where a type has no order.
pub fn not_orderable(ty: SqlType) -> SqlError {
    let message =
        format!("could not identify a comparison function for type {}", ty.info().sql_name);
    SqlError::new(SqlState::UndefinedFunction, message)
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    for byte in bytes {
        out.push(*byte);
        if *byte == ESCAPE {
            out.push(ESCAPED_ZERO);
        }
    }
    out.extend_from_slice(&[ESCAPE, TEXT_END]);
}

fn encode_numeric(value: &Numeric, out: &mut Vec<u8>) {
    let value = match value {
        Numeric::NegInfinity => return out.push(0),
        Numeric::Infinity => return out.push(4),
        Numeric::NaN => return out.push(5),
        Numeric::Finite(v) => v,
    };
    let (digits, scale) = value.as_bigint_and_scale();
    let negative = match digits.sign() {
        Sign::NoSign => return out.push(2),
        Sign::Minus => true,
        Sign::Plus => false,
    };
    let text = digits.magnitude().to_string();
    let power = text.len() as i64 - 1 - scale;
    let power = i32::try_from(power).expect("a numeric's digits are bounded");
    out.push(if negative { 1 } else { 3 });
    let start = out.len();
    out.extend_from_slice(&(power ^ i32::MIN).to_be_bytes());
    for pair in text.trim_end_matches('0').as_bytes().chunks(2) {
        let low = pair.get(1).map_or(0, |d| d - b'0');
        out.push((pair[0] - b'0') * 10 + low + 1);
    }
    out.push(0);
    if negative {
        invert(&mut out[start..]);
    }
}

fn take<const N: usize>(input: &mut &[u8]) -> SqlResult<[u8; N]> {
    let (head, rest) = input.split_first_chunk().ok_or_else(|| corrupt("a key is too short"))?;
    *input = rest;
    Ok(*head)
}

/// The bytes of a body, inverted back where it is descending.
struct Input<'a, 'b> {
    rest: &'a mut &'b [u8],
    inverted: bool,
}

impl Input<'_, '_> {
    fn take<const N: usize>(&mut self) -> SqlResult<[u8; N]> {
        let mut bytes = take::<N>(self.rest)?;
        if self.inverted {
            invert(&mut bytes);
        }
        Ok(bytes)
    }

    fn byte(&mut self) -> SqlResult<u8> {
        Ok(self.take::<1>()?[0])
    }

    fn bytes(&mut self) -> SqlResult<Vec<u8>> {
        let mut out = Vec::new();
        loop {
            match self.byte()? {
                ESCAPE => match self.byte()? {
                    ESCAPED_ZERO => out.push(0),
                    TEXT_END => return Ok(out),
                    _ => return Err(corrupt("a key holds an unknown escape")),
                },
                byte => out.push(byte),
            }
        }
    }
}

fn decode_body(ty: SqlType, input: &mut Input) -> SqlResult<Datum> {
    Ok(match ty {
        SqlType::Bool => Datum::Bool(input.byte()? != 0),
        SqlType::Int2 => Datum::Int2(i16::from_be_bytes(input.take()?) ^ i16::MIN),
        SqlType::Int4 => Datum::Int4(i32::from_be_bytes(input.take()?) ^ i32::MIN),
        SqlType::Date => Datum::Date(i32::from_be_bytes(input.take()?) ^ i32::MIN),
        SqlType::Int8 => Datum::Int8(i64::from_be_bytes(input.take()?) ^ i64::MIN),
        SqlType::Timestamp | SqlType::TimestampTz => {
            Datum::Timestamp(i64::from_be_bytes(input.take()?) ^ i64::MIN)
        }
        SqlType::Oid => Datum::Oid(u32::from_be_bytes(input.take()?)),
        SqlType::Uuid => Datum::Uuid(input.take()?),
        SqlType::Float8 => Datum::Float8(float_from_bits(u64::from_be_bytes(input.take()?))),
        SqlType::Float4 => Datum::Float4(float_from_bits(u64::from_be_bytes(input.take()?)) as f32),
        SqlType::Numeric => Datum::Numeric(decode_numeric(input)?),
        SqlType::Char => match input.byte()? {
            0 => Datum::text(""),
            byte if byte.is_ascii() => Datum::text(char::from(byte).to_string()),
            _ => return Err(corrupt("a key holds a \"char\" that is not ASCII")),
        },
        SqlType::Text | SqlType::Varchar | SqlType::Bpchar | SqlType::Name | SqlType::Unknown => {
            let bytes = input.bytes()?;
            Datum::text(binary_format::decode_text(&bytes)?)
        }
        SqlType::Bytea => Datum::Bytea(input.bytes()?.into()),
        SqlType::Json | SqlType::Void => return Err(not_orderable(ty)),
        array => decode_array(array.element().unwrap_or(SqlType::Text), input)?,
    })
}

fn decode_array(element: SqlType, input: &mut Input) -> SqlResult<Datum> {
    let mut elements = Vec::new();
    loop {
        match input.byte()? {
            ARRAY_END => return Ok(Datum::Array(Arc::from(elements))),
            NOT_NULL => elements.push(decode_body(element, input)?),
            NULL_LAST => elements.push(Datum::Null),
            _ => return Err(corrupt("a key's array holds an unknown byte")),
        }
    }
}

fn decode_numeric(input: &mut Input) -> SqlResult<Numeric> {
    let negative = match input.byte()? {
        0 => return Ok(Numeric::NegInfinity),
        1 => true,
        2 => return Ok(Numeric::from(0)),
        3 => false,
        4 => return Ok(Numeric::Infinity),
        5 => return Ok(Numeric::NaN),
        _ => return Err(corrupt("a key holds an unknown class of numeric")),
    };
    input.inverted ^= negative;
    let power = i64::from(i32::from_be_bytes(input.take()?) ^ i32::MIN);
    let mut text = String::new();
    loop {
        match input.byte()? {
            0 => break,
            pair @ 1..=100 => {
                text.push(char::from(b'0' + (pair - 1) / 10));
                text.push(char::from(b'0' + (pair - 1) % 10));
            }
            _ => return Err(corrupt("a key holds an unknown digit of numeric")),
        }
    }
    input.inverted ^= negative;
    let text = text.trim_end_matches('0');
    if text.is_empty() || !(-20_000..=140_000).contains(&power) {
        return Err(corrupt("a key holds a numeric without digits or out of range"));
    }
    let digits: BigInt = text.parse().map_err(|_| corrupt("a key holds a malformed numeric"))?;
    let value =
        BigDecimal::new(if negative { -digits } else { digits }, text.len() as i64 - 1 - power);
    let scale = value.fractional_digit_count().max(0);
    Ok(Numeric::Finite(Box::new(value.with_scale(scale))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text_format;
    use proptest::prelude::*;

    fn key(ty: SqlType, value: &Datum, order: KeyOrder) -> Vec<u8> {
        let mut out = Vec::new();
        encode(ty, value, order, &mut out).unwrap();
        out
    }

    /// Values of a type, small and special ones often.
    fn values(ty: SqlType) -> BoxedStrategy<Datum> {
        let text = prop_oneof!["[ab\u{1}\u{7f}é ]{0,4}", ".{0,6}"]
            .prop_map(|s| Datum::text(s.replace('\0', "")));
        let numeric = prop_oneof![
            Just(Numeric::NaN),
            Just(Numeric::Infinity),
            Just(Numeric::NegInfinity),
            (-120i64..120, 0u16..4).prop_map(|(d, s)| Numeric::from_parts(d, s)),
            (any::<i64>(), 0u16..40).prop_map(|(d, s)| Numeric::from_parts(d, s)),
        ];
        match ty {
            SqlType::Bool => any::<bool>().prop_map(Datum::Bool).boxed(),
            SqlType::Int2 => any::<i16>().prop_map(Datum::Int2).boxed(),
            SqlType::Int4 => any::<i32>().prop_map(Datum::Int4).boxed(),
            SqlType::Int8 => any::<i64>().prop_map(Datum::Int8).boxed(),
            SqlType::Float4 => {
                prop_oneof![Just(0.0f32), Just(-0.0), any::<u32>().prop_map(f32::from_bits)]
                    .prop_map(Datum::Float4)
                    .boxed()
            }
            SqlType::Float8 => {
                prop_oneof![Just(0.0f64), Just(-0.0), any::<u64>().prop_map(f64::from_bits)]
                    .prop_map(Datum::Float8)
                    .boxed()
            }
            SqlType::Numeric => numeric.prop_map(Datum::Numeric).boxed(),
            SqlType::Bytea => {
                prop::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255), any::<u8>()], 0..5)
                    .prop_map(|v| Datum::Bytea(v.into()))
                    .boxed()
            }
            SqlType::Date => any::<i32>().prop_map(Datum::Date).boxed(),
            SqlType::Timestamp | SqlType::TimestampTz => {
                any::<i64>().prop_map(Datum::Timestamp).boxed()
            }
            SqlType::Uuid => any::<[u8; 16]>().prop_map(Datum::Uuid).boxed(),
            SqlType::Oid => any::<u32>().prop_map(Datum::Oid).boxed(),
            SqlType::Char => "[a-z]?".prop_map(Datum::text).boxed(),
            array if array.element().is_some() => {
                let element = values(ty.element().unwrap());
                prop::collection::vec(prop_oneof![Just(Datum::Null), element], 0..4)
                    .prop_map(|v| Datum::Array(v.into()))
                    .boxed()
            }
            _ => text.boxed(),
        }
    }

    fn typed_pairs() -> impl Strategy<Value = (SqlType, Datum, Datum)> {
        let orderable: Vec<SqlType> =
            SqlType::ALL.into_iter().filter(|t| is_orderable(*t)).collect();
        prop::sample::select(orderable).prop_flat_map(|ty| {
            let value = || prop_oneof![1 => Just(Datum::Null), 9 => values(ty)];
            (Just(ty), value(), value())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn bytes_are_ordered_as_values(
            (ty, a, b) in typed_pairs(), descending in any::<bool>(), nulls_first in any::<bool>()
        ) {
            let order = KeyOrder { descending, nulls_first };
            let expected = compare::compare_ordered(ty, &a, &b, order);
            prop_assert_eq!(key(ty, &a, order).cmp(&key(ty, &b, order)), expected);
        }

        #[test]
        fn keys_decode_to_equal_values(
            (ty, a, b) in typed_pairs(), descending in any::<bool>(), nulls_first in any::<bool>()
        ) {
            let order = KeyOrder { descending, nulls_first };
            let joined = [key(ty, &a, order), key(ty, &b, order)].concat();
            let mut rest = joined.as_slice();
            for value in [&a, &b] {
                let back = decode(ty, order, &mut rest).unwrap();
                prop_assert!(compare::compare_ordered(ty, &back, value, order).is_eq());
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            for ty in SqlType::ALL {
                let _ = decode(ty, KeyOrder::ASCENDING, &mut bytes.as_slice());
                let _ = decode(ty, KeyOrder::DESCENDING, &mut bytes.as_slice());
            }
        }
    }

    /// Keys are on disk in snapshots and logs: these bytes may never change.
    #[test]
    fn golden_bytes() {
        for (ty, text, expected) in [
            (SqlType::Int4, "1", "0180000001"),
            (SqlType::Int8, "-1", "017fffffffffffffff"),
            (SqlType::Bool, "t", "0101"),
            (SqlType::Text, "ab", "0161620001"),
            (SqlType::Bytea, "\\x00ff", "0100ffff0001"),
            (SqlType::Bpchar, "a  ", "01610001"),
            (SqlType::Float8, "1", "01bff0000000000000"),
            (SqlType::Float4, "-1", "01400fffffffffffff"),
            (SqlType::Numeric, "12.50", "0103800000010d3300"),
            (SqlType::Numeric, "-12.5", "01017ffffffef2ccff"),
            (SqlType::Numeric, "0.0", "0102"),
            (SqlType::Date, "2000-01-02", "0180000001"),
            (SqlType::Int4Array, "{1,NULL}", "0101800000010200"),
        ] {
            let value = text_format::parse(ty, -1, text).unwrap();
            let bytes = key(ty, &value, KeyOrder::ASCENDING);
            let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, expected, "{ty:?} {text}");
        }
        assert_eq!(key(SqlType::Int2, &Datum::Int2(1), KeyOrder::DESCENDING), [1, 0x7f, 0xfe]);
        assert_eq!(key(SqlType::Int2, &Datum::Null, KeyOrder::DESCENDING), [0]);
        assert_eq!(key(SqlType::Int2, &Datum::Null, KeyOrder::ASCENDING), [2]);
    }

    #[test]
    fn prefixes_have_ends() {
        assert_eq!(prefix_end(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(prefix_end(&[1, 0xFF]), Some(vec![2]));
        assert_eq!(prefix_end(&[0xFF]), None);
        assert_eq!(prefix_end(&[]), None);
    }

    #[test]
    fn long_keys_and_unordered_types_are_refused() {
        let long = Datum::text("x".repeat(limits::KEY_BYTES_MAX));
        let error = encode_key([(SqlType::Text, &long, KeyOrder::ASCENDING)]).unwrap_err();
        assert_eq!(error.state, SqlState::ProgramLimitExceeded);
        let error = encode_key([(SqlType::Json, &long, KeyOrder::ASCENDING)]).unwrap_err();
        assert_eq!(error.message, "could not identify a comparison function for type json");
    }
}
