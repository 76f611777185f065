//! Order and equality of values: PostgreSQL's btree order of every type.
//!
//! Text is compared by its bytes (collation C), `char(n)` without its trailing blanks, floats with
//! -0 equal to 0 and NaN above everything, numerics by value whatever their scale, arrays element
//! by element and then by length. Values of different integer widths, of different float widths,
//! and of date and timestamp compare with each other, as PostgreSQL's cross-type operators do.

use std::cmp::Ordering;

use super::datetime::{self, DAY_MICROS};
use super::keycode::KeyOrder;
use super::{Datum, SqlType};

/// Order of two values that are not NULL. `ty` is the type of either side: it only matters whether
/// that is `char(n)`. Values of representations that no operator compares are ordered by
/// representation, so that this is a total order in any case. NULL sorts above all values.
pub fn compare(ty: SqlType, a: &Datum, b: &Datum) -> Ordering {
    match (a, b) {
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) if ty == SqlType::Bpchar => {
            trimmed(a).as_bytes().cmp(trimmed(b).as_bytes())
        }
        (Datum::Text(a), Datum::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Timestamp(a), Datum::Timestamp(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => {
            compare_arrays(ty.element().unwrap_or(SqlType::Text), a, b)
        }
        (Datum::Null, Datum::Null) => Ordering::Equal,
        _ => compare_across(a, b),
    }
}

/// Whether two values that are not NULL are equal.
pub fn equal(ty: SqlType, a: &Datum, b: &Datum) -> bool {
    compare(ty, a, b).is_eq()
}

/// Order of two values for sorting, NULL included.
pub fn compare_ordered(ty: SqlType, a: &Datum, b: &Datum, order: KeyOrder) -> Ordering {
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) if order.nulls_first => Ordering::Less,
        (true, false) => Ordering::Greater,
        (false, true) if order.nulls_first => Ordering::Greater,
        (false, true) => Ordering::Less,
        (false, false) if order.descending => compare(ty, b, a),
        (false, false) => compare(ty, a, b),
    }
}

/// `char(n)` as it counts: without trailing blanks.
pub fn trimmed(text: &str) -> &str {
    text.trim_end_matches(' ')
}

/// Order of doubles: NaN above everything and equal to itself, -0 equal to 0.
pub fn compare_f64(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Order of days and microseconds; infinities of both kinds are equal.
fn compare_date_timestamp(days: i32, micros: i64) -> Ordering {
    match days {
        datetime::DATE_INFINITY => datetime::TIMESTAMP_INFINITY.cmp(&micros),
        datetime::DATE_NEG_INFINITY => datetime::TIMESTAMP_NEG_INFINITY.cmp(&micros),
        _ if micros == datetime::TIMESTAMP_INFINITY => Ordering::Less,
        days => (i128::from(days) * i128::from(DAY_MICROS)).cmp(&i128::from(micros)),
    }
}

fn compare_arrays(element: SqlType, a: &[Datum], b: &[Datum]) -> Ordering {
    for (left, right) in a.iter().zip(b) {
        // Unlike elsewhere, a NULL element equals a NULL element and is above the others.
        let order = compare_ordered(element, left, right, KeyOrder::ASCENDING);
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

fn integer(value: &Datum) -> Option<i64> {
    match value {
        Datum::Int2(v) => Some(i64::from(*v)),
        Datum::Int4(v) => Some(i64::from(*v)),
        Datum::Int8(v) => Some(*v),
        Datum::Oid(v) => Some(i64::from(*v)),
        _ => None,
    }
}

fn float(value: &Datum) -> Option<f64> {
    match value {
        Datum::Float4(v) => Some(f64::from(*v)),
        Datum::Float8(v) => Some(*v),
        _ => None,
    }
}

fn compare_across(a: &Datum, b: &Datum) -> Ordering {
    if let (Some(a), Some(b)) = (integer(a), integer(b)) {
        return a.cmp(&b);
    }
    if let (Some(a), Some(b)) = (float(a), float(b)) {
        return compare_f64(a, b);
    }
    match (a, b) {
        (Datum::Date(a), Datum::Timestamp(b)) => compare_date_timestamp(*a, *b),
        (Datum::Timestamp(a), Datum::Date(b)) => compare_date_timestamp(*b, *a).reverse(),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Datum) -> u8 {
    match value {
        Datum::Bool(_) => 0,
        Datum::Int2(_) | Datum::Int4(_) | Datum::Int8(_) | Datum::Oid(_) => 1,
        Datum::Float4(_) | Datum::Float8(_) => 2,
        Datum::Numeric(_) => 3,
        Datum::Text(_) => 4,
        Datum::Bytea(_) => 5,
        Datum::Date(_) | Datum::Timestamp(_) => 6,
        Datum::Uuid(_) => 7,
        Datum::Array(_) => 8,
        Datum::Null => 9,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(ty: SqlType, a: Datum, b: Datum) -> Ordering {
        compare(ty, &a, &b)
    }

    #[test]
    fn special_values_have_their_places() {
        let f = |v: f64| Datum::Float8(v);
        assert!(order(SqlType::Float8, f(f64::NAN), f(f64::INFINITY)).is_gt());
        assert!(order(SqlType::Float8, f(f64::NAN), f(f64::NAN)).is_eq());
        assert!(order(SqlType::Float8, f(-0.0), f(0.0)).is_eq());
        let (one, padded) = (Datum::text("a"), Datum::text("a  "));
        assert!(order(SqlType::Bpchar, one.clone(), padded.clone()).is_eq());
        assert!(order(SqlType::Text, one, padded).is_lt());
        assert!(order(SqlType::Int8, Datum::Int8(3), Datum::Int2(3)).is_eq());
        assert!(order(SqlType::Date, Datum::Date(1), Datum::Timestamp(DAY_MICROS)).is_eq());
        assert!(order(SqlType::Date, Datum::Date(i32::MAX), Datum::Timestamp(i64::MAX)).is_eq());
    }

    #[test]
    fn arrays_compare_by_element_then_length() {
        let array = |v: &[i32]| Datum::Array(v.iter().map(|v| Datum::Int4(*v)).collect());
        assert!(order(SqlType::Int4Array, array(&[1, 2]), array(&[1, 2, 0])).is_lt());
        assert!(order(SqlType::Int4Array, array(&[2]), array(&[1, 9])).is_gt());
        let null = Datum::Array([Datum::Null].into());
        assert!(order(SqlType::Int4Array, null, array(&[9])).is_gt());
    }

    #[test]
    fn nulls_go_where_they_are_asked_to() {
        let (null, one) = (Datum::Null, Datum::Int4(1));
        let by = |descending, nulls_first| {
            compare_ordered(SqlType::Int4, &null, &one, KeyOrder { descending, nulls_first })
        };
        assert!(by(false, false).is_gt());
        assert!(by(true, true).is_lt());
        assert!(by(true, false).is_gt());
    }
}
