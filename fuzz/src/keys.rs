//! Keys and rows: of values, and of any bytes.
//!
//! ```text
//! mode u8   0: two values of a type, drawn from the rest · 1: a type, an order, bytes of a key
//!           2: columns, bytes of a row · 3: columns and values of a row, drawn from the rest
//! ```

use std::cmp::Ordering;

use arbitrary::{Result, Unstructured};
use basalt_core::base::{
    Datum, KeyOrder, Numeric, RowLayout, RowRef, SqlType, binary_format, compare, keycode,
    text_format,
};

use crate::Seeds;

/// See the module.
pub fn run(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let mut u = Unstructured::new(rest);
    // Too little input is no finding.
    let _ = match mode % 4 {
        0 => values_of_keys(&mut u),
        1 => bytes_of_a_key(&mut u),
        2 => bytes_of_a_row(&mut u),
        _ => values_of_a_row(&mut u),
    };
}

fn draw_type(u: &mut Unstructured<'_>) -> Result<SqlType> {
    let ty = *u.choose(&SqlType::ALL)?;
    Ok(if keycode::is_orderable(ty) { ty } else { SqlType::Text })
}

fn draw_order(u: &mut Unstructured<'_>) -> Result<KeyOrder> {
    Ok(KeyOrder { descending: u.arbitrary()?, nulls_first: u.arbitrary()? })
}

/// A value of the type, or NULL.
fn draw(ty: SqlType, u: &mut Unstructured<'_>) -> Result<Datum> {
    if u.ratio(1, 16)? {
        return Ok(Datum::Null);
    }
    if let Some(element) = ty.element() {
        let count = u.int_in_range(0..=4)?;
        let elements: Result<Vec<Datum>> = (0..count).map(|_| draw(element, u)).collect();
        return Ok(Datum::Array(elements?.into()));
    }
    if ty == SqlType::Numeric {
        return draw_numeric(u).map(Datum::Numeric);
    }
    let len = match ty.info().len {
        len if len > 0 && ty != SqlType::Name => len as usize,
        _ => u.int_in_range(0..=12)?,
    };
    let bytes = u.bytes(len)?;
    Ok(binary_format::decode(ty, bytes).unwrap_or(Datum::Null))
}

fn draw_numeric(u: &mut Unstructured<'_>) -> Result<Numeric> {
    Ok(match u.int_in_range(0..=9)? {
        0 => Numeric::NaN,
        1 => Numeric::Infinity,
        2 => Numeric::NegInfinity,
        3 => Numeric::from_i128(u.arbitrary()?),
        // Few digits, so that equal ones meet.
        4 | 5 => Numeric::from_parts(u.int_in_range(-200..=200)?, u.int_in_range(0..=3)?),
        _ => Numeric::from_parts(u.arbitrary()?, u.int_in_range(0..=16_383)?),
    })
}

fn encoded(ty: SqlType, value: &Datum, order: KeyOrder) -> Vec<u8> {
    let mut key = Vec::new();
    keycode::encode(ty, value, order, &mut key).expect("a value of its own type");
    key
}

fn values_of_keys(u: &mut Unstructured<'_>) -> Result<()> {
    let (ty, order) = (draw_type(u)?, draw_order(u)?);
    let (a, b) = (draw(ty, u)?, draw(ty, u)?);
    let (key_a, key_b) = (encoded(ty, &a, order), encoded(ty, &b, order));
    let expected = compare::compare_ordered(ty, &a, &b, order);
    assert_eq!(key_a.cmp(&key_b), expected, "{ty:?} {order:?}: {a:?} and {b:?}");
    // Prefix-free: no key runs into what follows.
    assert!(expected == Ordering::Equal || !key_b.starts_with(&key_a), "{ty:?}: {a:?} in {b:?}");
    for (value, key) in [(a, key_a), (b, key_b)] {
        let mut rest = key.as_slice();
        let found = keycode::decode(ty, order, &mut rest).expect("its own key");
        assert!(rest.is_empty(), "{} bytes of {value:?} not read", rest.len());
        let same = compare::compare_ordered(ty, &value, &found, order);
        assert_eq!(same, Ordering::Equal, "{ty:?}: {value:?} came back as {found:?}");
    }
    Ok(())
}

fn bytes_of_a_key(u: &mut Unstructured<'_>) -> Result<()> {
    let (ty, order) = (draw_type(u)?, draw_order(u)?);
    let mut rest = u.peek_bytes(u.len()).unwrap_or_default();
    while !rest.is_empty() {
        let Ok(value) = keycode::decode(ty, order, &mut rest) else { break };
        // Bytes that no value has may be read, but mean a value with bytes of its own.
        let key = encoded(ty, &value, order);
        let again = keycode::decode(ty, order, &mut key.as_slice()).expect("its own key");
        assert!(
            compare::compare_ordered(ty, &value, &again, order).is_eq(),
            "{value:?}, {again:?}"
        );
    }
    Ok(())
}

fn draw_columns(u: &mut Unstructured<'_>) -> Result<Vec<SqlType>> {
    let count = u.int_in_range(0..=9)?;
    (0..count).map(|_| draw_type(u)).collect()
}

fn bytes_of_a_row(u: &mut Unstructured<'_>) -> Result<()> {
    let layout = RowLayout::of_types(draw_columns(u)?, 1);
    let bytes = u.peek_bytes(u.len()).unwrap_or_default();
    let Ok(row) = RowRef::new(&layout, bytes) else { return Ok(()) };
    for column in 0..row.len() {
        let (raw, value) = (row.raw(column), row.datum(column));
        assert!(raw.is_ok() || value.is_err(), "a value of column {column} without bytes");
    }
    if let Ok(values) = row.datums() {
        check_row(&layout, &values);
    }
    Ok(())
}

fn values_of_a_row(u: &mut Unstructured<'_>) -> Result<()> {
    let types = draw_columns(u)?;
    let values: Result<Vec<Datum>> = types.iter().map(|ty| draw(*ty, u)).collect();
    check_row(&RowLayout::of_types(types, 1), &values?);
    Ok(())
}

/// The values come back from a row of them, in all forms.
fn check_row(layout: &RowLayout, values: &[Datum]) {
    let mut bytes = Vec::new();
    layout.encode(values, &mut bytes).expect("values of their columns' types");
    let row = RowRef::new(layout, &bytes).expect("its own row");
    let found = row.datums().expect("its own row");
    for (column, (value, found)) in values.iter().zip(&found).enumerate() {
        let ty = layout.column_type(column).unwrap_or(SqlType::Text);
        let order = KeyOrder::ASCENDING;
        let same = compare::compare_ordered(ty, value, found, order).is_eq();
        assert!(same, "{ty:?}: {value:?} came back as {found:?}");
        if !value.is_null() {
            assert_eq!(text_format::to_string(ty, value), text_format::to_string(ty, found));
        }
    }
}

/// Values that meet edges, and a row.
pub fn seeds() -> Seeds {
    let mut seeds = Vec::new();
    for (number, ty) in (0u8..).zip(SqlType::ALL) {
        let pattern = (0..48u8).map(|k| k.wrapping_mul(number * 2 + 1));
        let mode = number % 4;
        let name = format!("{}-{ty:?}", ["order", "key", "row", "values"][usize::from(mode)]);
        seeds.push((name.to_lowercase(), [mode, number].into_iter().chain(pattern).collect()));
        if let SqlType::Int4 = ty {
            let mut row = vec![2, 1, number, 1, 0, 1, 0, 0];
            row.extend_from_slice(&7i32.to_be_bytes());
            seeds.push(("row-of-one-integer".into(), row));
        }
    }
    seeds
}
