//! Conversions between types: which are allowed where, after PostgreSQL's `pg_cast`, and what they
//! do.
//!
//! Beside the rows of the table, any type converts to text by assignment and from text explicitly,
//! through its text form; and an array converts where its elements do.

use std::sync::Arc;

use super::cast::CastContext::{Assignment, Explicit, Implicit};
use crate::base::{
    Datum, Numeric, SqlError, SqlResult, SqlState, SqlType, compare, datetime, numeric, text_format,
};

/// Where a conversion stands, which decides whether it is allowed. Each context allows what the
/// ones before it allow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CastContext {
    /// Anywhere in an expression.
    Implicit,
    /// The value of a column in INSERT or UPDATE.
    Assignment,
    /// `CAST(x AS t)` or `x::t`.
    Explicit,
}

/// Source, targets, and the first context that allows them.
type Row = (SqlType, &'static [SqlType], CastContext);

const INTEGERS_FROM_NUMERIC: &[SqlType] = &[SqlType::Int2, SqlType::Int4, SqlType::Int8];

static CASTS: &[Row] = &[
    (
        SqlType::Int2,
        &[
            SqlType::Int4,
            SqlType::Int8,
            SqlType::Float4,
            SqlType::Float8,
            SqlType::Numeric,
            SqlType::Oid,
        ],
        Implicit,
    ),
    (
        SqlType::Int4,
        &[SqlType::Int8, SqlType::Float4, SqlType::Float8, SqlType::Numeric, SqlType::Oid],
        Implicit,
    ),
    (SqlType::Int8, &[SqlType::Float4, SqlType::Float8, SqlType::Numeric, SqlType::Oid], Implicit),
    (SqlType::Float4, &[SqlType::Float8], Implicit),
    (SqlType::Numeric, &[SqlType::Float4, SqlType::Float8], Implicit),
    (SqlType::Char, &[SqlType::Text], Implicit),
    (SqlType::Name, &[SqlType::Text], Implicit),
    (SqlType::Text, &[SqlType::Bpchar, SqlType::Varchar, SqlType::Name], Implicit),
    (SqlType::Varchar, &[SqlType::Text, SqlType::Name, SqlType::Bpchar], Implicit),
    (SqlType::Bpchar, &[SqlType::Varchar, SqlType::Text, SqlType::Name], Implicit),
    (SqlType::Date, &[SqlType::Timestamp, SqlType::TimestampTz], Implicit),
    (SqlType::Timestamp, &[SqlType::TimestampTz], Implicit),
    (SqlType::Int4, &[SqlType::Int2], Assignment),
    (SqlType::Int8, &[SqlType::Int2, SqlType::Int4], Assignment),
    (SqlType::Float4, INTEGERS_FROM_NUMERIC, Assignment),
    (SqlType::Float4, &[SqlType::Numeric], Assignment),
    (SqlType::Float8, INTEGERS_FROM_NUMERIC, Assignment),
    (SqlType::Float8, &[SqlType::Float4, SqlType::Numeric], Assignment),
    (SqlType::Numeric, INTEGERS_FROM_NUMERIC, Assignment),
    (SqlType::Oid, &[SqlType::Int4, SqlType::Int8], Assignment),
    (SqlType::Text, &[SqlType::Char], Assignment),
    (SqlType::Varchar, &[SqlType::Char], Assignment),
    (SqlType::Bpchar, &[SqlType::Char], Assignment),
    (SqlType::Timestamp, &[SqlType::Date], Assignment),
    (SqlType::TimestampTz, &[SqlType::Timestamp, SqlType::Date], Assignment),
    (SqlType::Bool, &[SqlType::Int4], Explicit),
    (SqlType::Int4, &[SqlType::Bool, SqlType::Char], Explicit),
    (SqlType::Char, &[SqlType::Int4], Explicit),
];

fn is_string(ty: SqlType) -> bool {
    ty.info().category == 'S'
}

/// The first context that allows the conversion; `None` if none does. A type converts to itself.
pub fn cast_context(from: SqlType, to: SqlType) -> Option<CastContext> {
    if from == to || from == SqlType::Unknown {
        return Some(Implicit);
    }
    if from == SqlType::Void || to == SqlType::Void || to == SqlType::Unknown {
        return None;
    }
    let listed = CASTS.iter().find(|(source, targets, _)| *source == from && targets.contains(&to));
    if let Some((_, _, context)) = listed {
        return Some(*context);
    }
    match (from.element(), to.element()) {
        (Some(from), Some(to)) => cast_context(from, to),
        _ if is_string(to) => Some(Assignment),
        _ if is_string(from) => Some(Explicit),
        _ => None,
    }
}

/// Whether the conversion is allowed where it stands.
pub fn can_coerce(from: SqlType, to: SqlType, context: CastContext) -> bool {
    cast_context(from, to).is_some_and(|needed| needed <= context)
}

/// Whether a value of `from` is a value of `to` as it is, with the same bytes and meaning.
pub fn is_relabel(from: SqlType, to: SqlType) -> bool {
    let texts = [SqlType::Text, SqlType::Varchar];
    from == to
        || (texts.contains(&from) && (texts.contains(&to) || to == SqlType::Bpchar))
        || (from == SqlType::Name && to == SqlType::Text)
}

/// 42846.
pub fn cannot_cast(from: SqlType, to: SqlType) -> SqlError {
    let (from, to) = (from.info().sql_name, to.info().sql_name);
    SqlError::new(SqlState::CannotCoerce, format!("cannot cast type {from} to {to}"))
}

/// The value of type `from` as a value of type `to`, before its type modifier. NULL stays NULL.
///
/// Errors: 22003, 22P02, … of the value; 42846 where no conversion exists.
pub fn convert(value: Datum, from: SqlType, to: SqlType) -> SqlResult<Datum> {
    if value.is_null() || is_relabel(from, to) {
        return Ok(value);
    }
    if let Some(converted) = convert_number(&value, to)? {
        return Ok(converted);
    }
    match (value, to) {
        (Datum::Text(text), _) if is_string(from) || from == SqlType::Unknown => {
            convert_text(text, from, to)
        }
        (Datum::Text(text), SqlType::Int4) if from == SqlType::Char => {
            Ok(Datum::Int4(i32::from(text.bytes().next().unwrap_or(0) as i8)))
        }
        (Datum::Int4(v), SqlType::Char) => int4_to_char(v),
        (Datum::Int4(v), SqlType::Bool) => Ok(Datum::Bool(v != 0)),
        (Datum::Bool(v), SqlType::Int4) => Ok(Datum::Int4(i32::from(v))),
        (Datum::Bool(v), to) if is_string(to) => Ok(Datum::text(if v { "true" } else { "false" })),
        (Datum::Date(v), SqlType::Timestamp | SqlType::TimestampTz) => {
            datetime::date_to_timestamp(v).map(Datum::Timestamp)
        }
        (Datum::Timestamp(v), SqlType::Date) => Ok(Datum::Date(datetime::timestamp_to_date(v))),
        // The session's time zone is UTC.
        (value @ Datum::Timestamp(_), SqlType::Timestamp | SqlType::TimestampTz) => Ok(value),
        (Datum::Array(elements), _) if to.element().is_some() => convert_array(&elements, from, to),
        (value, to) if is_string(to) => {
            text_format::parse(to, -1, &text_format::to_string(from, &value))
        }
        _ => Err(cannot_cast(from, to)),
    }
}

fn convert_array(elements: &[Datum], from: SqlType, to: SqlType) -> SqlResult<Datum> {
    let (Some(from), Some(to)) = (from.element(), to.element()) else {
        return Err(cannot_cast(from, to));
    };
    let converted = elements.iter().map(|e| convert(e.clone(), from, to));
    Ok(Datum::Array(converted.collect::<SqlResult<Arc<[Datum]>>>()?))
}

fn convert_text(text: Arc<str>, from: SqlType, to: SqlType) -> SqlResult<Datum> {
    let text = if from == SqlType::Bpchar && to != SqlType::Bpchar {
        compare::trimmed(&text).into()
    } else {
        text
    };
    match to {
        SqlType::Text | SqlType::Varchar | SqlType::Bpchar => Ok(Datum::Text(text)),
        _ => text_format::parse(to, -1, &text),
    }
}

fn int4_to_char(value: i32) -> SqlResult<Datum> {
    match u8::try_from(value) {
        Ok(0) => Ok(Datum::text("")),
        Ok(byte) if byte.is_ascii() => Ok(Datum::text(char::from(byte).to_string())),
        Ok(_) => Err(SqlError::unsupported("a \"char\" that is not ASCII")),
        Err(_) if (-128..0).contains(&value) => {
            Err(SqlError::unsupported("a \"char\" that is not ASCII"))
        }
        Err(_) => Err(numeric::out_of_range("\"char\"")),
    }
}

/// A number as another kind of number; `None` if either is none.
fn convert_number(value: &Datum, to: SqlType) -> SqlResult<Option<Datum>> {
    let converted = match value {
        Datum::Int2(v) => convert_integer(i64::from(*v), to)?,
        Datum::Int4(v) => convert_integer(i64::from(*v), to)?,
        Datum::Int8(v) => convert_integer(*v, to)?,
        Datum::Oid(v) => match to {
            // An oid above 2^31 becomes a negative integer: the bits are kept.
            SqlType::Int4 => Some(Datum::Int4(*v as i32)),
            SqlType::Int8 => Some(Datum::Int8(i64::from(*v))),
            _ => None,
        },
        Datum::Float4(v) => convert_float(f64::from(*v), to, Numeric::from_f32(*v))?,
        Datum::Float8(v) => convert_float(*v, to, Numeric::from_f64(*v))?,
        Datum::Numeric(v) => convert_numeric(v, to)?,
        _ => None,
    };
    Ok(converted)
}

fn narrow<T: TryFrom<i64>>(value: i64, ty: SqlType) -> SqlResult<T> {
    T::try_from(value).map_err(|_| numeric::out_of_range(ty.info().sql_name))
}

fn convert_integer(value: i64, to: SqlType) -> SqlResult<Option<Datum>> {
    Ok(Some(match to {
        SqlType::Int2 => Datum::Int2(narrow(value, to)?),
        SqlType::Int4 => Datum::Int4(narrow(value, to)?),
        SqlType::Int8 => Datum::Int8(value),
        SqlType::Float4 => Datum::Float4(value as f32),
        SqlType::Float8 => Datum::Float8(value as f64),
        SqlType::Numeric => Datum::Numeric(Numeric::from(value)),
        SqlType::Oid => match (u32::try_from(value), i32::try_from(value)) {
            (Ok(oid), _) => Datum::Oid(oid),
            (_, Ok(negative)) => Datum::Oid(negative as u32),
            _ => return Err(numeric::out_of_range("OID")),
        },
        _ => return Ok(None),
    }))
}

/// Rounds half to even, as PostgreSQL's `rint`.
fn float_to_integer(value: f64, ty: SqlType) -> SqlResult<i64> {
    let rounded = value.round_ties_even();
    // -2^63 is exact as a double, 2^63 is the first double out of range.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        return Err(numeric::out_of_range(ty.info().sql_name));
    }
    Ok(rounded as i64)
}

fn convert_float(value: f64, to: SqlType, exact: Numeric) -> SqlResult<Option<Datum>> {
    Ok(Some(match to {
        SqlType::Int2 => Datum::Int2(narrow(float_to_integer(value, to)?, to)?),
        SqlType::Int4 => Datum::Int4(narrow(float_to_integer(value, to)?, to)?),
        SqlType::Int8 => Datum::Int8(float_to_integer(value, to)?),
        SqlType::Float4 => Datum::Float4(narrow_float(value)?),
        SqlType::Float8 => Datum::Float8(value),
        SqlType::Numeric => Datum::Numeric(exact),
        _ => return Ok(None),
    }))
}

fn narrow_float(value: f64) -> SqlResult<f32> {
    let narrowed = value as f32;
    if narrowed.is_infinite() && !value.is_infinite() {
        return Err(float_overflow());
    }
    if narrowed == 0.0 && value != 0.0 {
        return Err(float_underflow());
    }
    Ok(narrowed)
}

/// 22003.
pub fn float_overflow() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "value out of range: overflow")
}

/// 22003.
pub fn float_underflow() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "value out of range: underflow")
}

fn convert_numeric(value: &Numeric, to: SqlType) -> SqlResult<Option<Datum>> {
    let name = to.info().sql_name;
    Ok(Some(match to {
        SqlType::Int2 => Datum::Int2(narrow(value.to_i64(name)?, to)?),
        SqlType::Int4 => Datum::Int4(narrow(value.to_i64(name)?, to)?),
        SqlType::Int8 => Datum::Int8(value.to_i64(name)?),
        SqlType::Float4 => Datum::Float4(value.to_f32()?),
        SqlType::Float8 => Datum::Float8(value.to_f64()?),
        SqlType::Numeric => Datum::Numeric(value.clone()),
        _ => return Ok(None),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Source type, its text, target type, the answer of `(source 'text')::target`.
    #[test]
    fn values_convert_as_in_postgresql() {
        use SqlType::*;
        for (from, text, to, expected) in [
            (Float8, "2.5", Int4, "2"),
            (Float8, "3.5", Int4, "4"),
            (Float8, "-2.5", Int4, "-2"),
            (Numeric, "2.5", Int4, "3"),
            (Float8, "NaN", Int4, "integer out of range"),
            (Float8, "1e20", Int8, "bigint out of range"),
            (Float8, "9223372036854775807", Int8, "bigint out of range"),
            (Int8, "2147483648", Int4, "integer out of range"),
            (Int4, "40000", Int2, "smallint out of range"),
            (Numeric, "NaN", Int4, "cannot convert NaN to integer"),
            (Float8, "1e50", Float4, "value out of range: overflow"),
            (Float8, "1e-50", Float4, "value out of range: underflow"),
            (Float4, "0.1", Float8, "0.10000000149011612"),
            (Float4, "0.1", Numeric, "0.1"),
            (Bool, "t", Text, "true"),
            (Bool, "t", Int4, "1"),
            (Int4, "2", Bool, "t"),
            (Bpchar, "a  ", Text, "a"),
            (Date, "2020-01-02", Timestamp, "2020-01-02 00:00:00"),
            (TimestampTz, "2020-01-02 03:00+00", Date, "2020-01-02"),
            (Text, "12", Int4, "12"),
            (Text, "x", Int4, "invalid input syntax for type integer: \"x\""),
            (Int4, "65", Char, "A"),
            (Int4, "-1", Oid, "4294967295"),
            (Int8, "-5000000000", Oid, "OID out of range"),
            (Int4Array, "{1,NULL}", TextArray, "{1,NULL}"),
            (TextArray, "{1,2}", Int8Array, "{1,2}"),
            (Bool, "t", Date, "cannot cast type boolean to date"),
        ] {
            let value = text_format::parse(from, -1, text).unwrap();
            let got = match convert(value, from, to) {
                Ok(value) => text_format::to_string(to, &value),
                Err(error) => error.message,
            };
            assert_eq!(got, expected, "{from:?} {text} to {to:?}");
        }
    }

    #[test]
    fn contexts_nest() {
        assert!(can_coerce(SqlType::Int4, SqlType::Int8, Implicit));
        assert!(!can_coerce(SqlType::Int8, SqlType::Int4, Implicit));
        assert!(can_coerce(SqlType::Int8, SqlType::Int4, Assignment));
        assert!(!can_coerce(SqlType::Text, SqlType::Int4, Assignment));
        assert!(can_coerce(SqlType::Text, SqlType::Int4, Explicit));
        assert!(can_coerce(SqlType::Uuid, SqlType::Text, Assignment));
        assert!(!can_coerce(SqlType::Bool, SqlType::Date, Explicit));
        assert!(can_coerce(SqlType::Unknown, SqlType::Uuid, Implicit));
        assert!(can_coerce(SqlType::Int4Array, SqlType::Int8Array, Implicit));
    }
}
