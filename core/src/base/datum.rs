//! A value of a SQL type, as expressions compute with it.
//!
//! Rows in storage stay bytes (see [`super::row`]); a `Datum` exists while a value is being
//! computed with, sent or received. The date and time values count from 2000-01-01, as
//! PostgreSQL's binary format does.

use std::sync::Arc;

use bigdecimal::BigDecimal;

/// An exact decimal, or one of PostgreSQL's three special values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Numeric {
    NegInfinity,
    Finite(Box<BigDecimal>),
    Infinity,
    NaN,
}

/// One value. The variants are representations, not types: `text`, `varchar` and `json` are all
/// [`Datum::Text`]; `date` is [`Datum::Date`]; `timestamp` and `timestamptz` are both
/// [`Datum::Timestamp`]. The type comes from the expression or column.
#[derive(Clone, Debug, PartialEq)]
pub enum Datum {
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    /// text, varchar, bpchar, name, "char", json, unknown.
    Text(Arc<str>),
    Bytea(Arc<[u8]>),
    /// Days since 2000-01-01; `i32::MAX` is infinity, `i32::MIN` is -infinity.
    Date(i32),
    /// Microseconds since 2000-01-01 00:00 (UTC for timestamptz); `i64::MAX`/`MIN` are ±infinity.
    Timestamp(i64),
    Uuid([u8; 16]),
    Oid(u32),
    /// A one-dimensional array; elements may be `Null`.
    Array(Arc<[Datum]>),
}

impl Datum {
    /// Bytes of the value and of what it points to, which others may point to as well.
    pub fn memory_bytes(&self) -> usize {
        std::mem::size_of::<Datum>()
            + match self {
                Datum::Text(text) => text.len(),
                Datum::Bytea(bytes) => bytes.len(),
                Datum::Array(elements) => elements.iter().map(Datum::memory_bytes).sum(),
                Datum::Numeric(Numeric::Finite(_)) => 64,
                _ => 0,
            }
    }

    /// Whether this is SQL's NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Datum::Null)
    }

    /// A text value.
    pub fn text(s: impl Into<Arc<str>>) -> Datum {
        Datum::Text(s.into())
    }
}
