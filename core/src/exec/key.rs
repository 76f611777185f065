//! Keys: of rows, of ranges, and of hash tables.

use crate::base::keycode::{self, prefix_end};
use crate::base::limits::KEY_BYTES_MAX;
use crate::base::schema::{ColumnIndex, Distribution, IndexDef, TableDef};
use crate::base::{BucketId, Datum, KeyOrder, SqlError, SqlResult, SqlState, SqlType};
use crate::bucket::bucket_of;
use crate::exec::reader::KeyRange;

/// First byte of the encoding of every value that is not NULL.
const NOT_NULL: u8 = 0x01;

/// A value made a key of another type.
#[derive(Clone, Debug, PartialEq)]
pub enum Fit {
    Exact(Datum),
    /// Smaller than every value of the type.
    Below,
    /// Larger than every value of the type.
    Above,
    /// NULL, which nothing equals.
    Null,
}

/// The value as one of `ty`: integers of another width are converted, others are what they are.
pub fn fit(value: Datum, ty: SqlType) -> Fit {
    let number = match value {
        Datum::Null => return Fit::Null,
        Datum::Int2(v) => i64::from(v),
        Datum::Int4(v) => i64::from(v),
        Datum::Int8(v) => v,
        other => return Fit::Exact(other),
    };
    let outside = |number: i64| if number < 0 { Fit::Below } else { Fit::Above };
    match ty {
        SqlType::Int2 => {
            i16::try_from(number).map_or_else(|_| outside(number), |v| Fit::Exact(Datum::Int2(v)))
        }
        SqlType::Int4 => {
            i32::try_from(number).map_or_else(|_| outside(number), |v| Fit::Exact(Datum::Int4(v)))
        }
        _ => Fit::Exact(Datum::Int8(number)),
    }
}

/// The primary key of a row.
pub fn primary_key(table: &TableDef, row: &[Datum]) -> SqlResult<Vec<u8>> {
    let mut key = Vec::with_capacity(16 * table.primary_key.len());
    for column in &table.primary_key {
        let at = usize::from(*column);
        keycode::encode(table.columns[at].ty, &row[at], KeyOrder::ASCENDING, &mut key)?;
    }
    check_length(&key)?;
    Ok(key)
}

/// 54000 if a key is longer than keys may be.
pub fn check_length(key: &[u8]) -> SqlResult<()> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(());
    }
    let message =
        format!("index row size {} exceeds the maximum of {KEY_BYTES_MAX} bytes", key.len());
    Err(SqlError::new(SqlState::ProgramLimitExceeded, message))
}

/// The bucket of a row whose distribution columns `value` gives.
pub fn bucket<'v>(
    table: &TableDef,
    count: impl FnOnce() -> u16,
    value: impl Fn(ColumnIndex) -> &'v Datum,
) -> SqlResult<BucketId> {
    match &table.distribution {
        Distribution::Global => Ok(BucketId::GLOBAL),
        Distribution::Sharded { columns, .. } => {
            let typed: Vec<(SqlType, &Datum)> = columns
                .iter()
                .map(|column| (table.columns[usize::from(*column)].ty, value(*column)))
                .collect();
            bucket_of(&typed, count())
        }
    }
}

/// The part of an index key that its own columns make; `None` when one of them is NULL, so that
/// the row conflicts with no other.
pub fn unique_prefix(
    table: &TableDef,
    index: &IndexDef,
    row: &[Datum],
) -> SqlResult<Option<Vec<u8>>> {
    let mut key = Vec::with_capacity(16 * index.columns.len());
    for column in &index.columns {
        let at = usize::from(column.column);
        if row[at].is_null() {
            return Ok(None);
        }
        let order = KeyOrder { descending: column.descending, nulls_first: column.nulls_first };
        keycode::encode(table.columns[at].ty, &row[at], order, &mut key)?;
    }
    Ok(Some(key))
}

/// The keys that begin with `prefix`.
pub fn prefix_range(prefix: Vec<u8>) -> KeyRange {
    let end = prefix_end(&prefix);
    KeyRange { start: prefix, end }
}

/// One end of a range, as values: the bound, and whether it belongs to the range.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    pub value: Datum,
    pub inclusive: bool,
}

/// The keys that begin with `prefix` and whose next column, of type `ty`, is not NULL and within
/// the ends. `None` when there is none.
pub fn bounded_range(
    prefix: &[u8],
    ty: SqlType,
    order: KeyOrder,
    lower: Option<End>,
    upper: Option<End>,
) -> SqlResult<Option<KeyRange>> {
    let Some(lower) = fit_end(lower, ty, Fit::Below) else { return Ok(None) };
    let Some(upper) = fit_end(upper, ty, Fit::Above) else { return Ok(None) };
    let (first, last) = if order.descending { (upper, lower) } else { (lower, upper) };
    let encoded = |end: &End| -> SqlResult<Vec<u8>> {
        let mut key = prefix.to_vec();
        keycode::encode(ty, &end.value, order, &mut key)?;
        Ok(key)
    };
    let mut not_null = prefix.to_vec();
    not_null.push(NOT_NULL);
    let start = match &first {
        None => Some(not_null.clone()),
        Some(end) if end.inclusive => Some(encoded(end)?),
        Some(end) => prefix_end(&encoded(end)?),
    };
    let end = match &last {
        None => prefix_end(&not_null),
        Some(end) if end.inclusive => prefix_end(&encoded(end)?),
        Some(end) => Some(encoded(end)?),
    };
    let range = start.map(|start| KeyRange { start, end });
    Ok(range.filter(|range| !range.is_empty()))
}

/// The end in the column's type; `Some(None)` where it bounds nothing, `None` where nothing is
/// within. `free` is the outside that bounds nothing.
fn fit_end(end: Option<End>, ty: SqlType, free: Fit) -> Option<Option<End>> {
    let Some(End { value, inclusive }) = end else { return Some(None) };
    match fit(value, ty) {
        Fit::Exact(value) => Some(Some(End { value, inclusive })),
        outside if outside == free => Some(None),
        _ => None,
    }
}

/// Appends bytes that are equal for equal values: integers of all widths alike, text types alike.
/// False, with nothing useful appended, when a value is NULL.
pub fn hash_key(ty: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<bool> {
    let widened = match value {
        Datum::Null => return Ok(false),
        Datum::Int2(v) => Some(Datum::Int8(i64::from(*v))),
        Datum::Int4(v) => Some(Datum::Int8(i64::from(*v))),
        Datum::Int8(_) => None,
        value => {
            keycode::encode(ty, value, KeyOrder::ASCENDING, out)?;
            return Ok(true);
        }
    };
    let value = widened.as_ref().unwrap_or(value);
    keycode::encode(SqlType::Int8, value, KeyOrder::ASCENDING, out)?;
    Ok(true)
}

/// Appends bytes that are equal for values that are not distinct: NULL is like NULL.
pub fn group_key(ty: SqlType, value: &Datum, out: &mut Vec<u8>) -> SqlResult<()> {
    if !hash_key(ty, value, out)? {
        keycode::encode(ty, &Datum::Null, KeyOrder::ASCENDING, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A range holds exactly the keys of the values within its ends.
        #[test]
        fn ranges_hold_what_is_within(
            value in any::<i8>(), low in prop::option::of((any::<i64>(), any::<bool>())),
            high in prop::option::of((-200i64..200, any::<bool>())), descending in any::<bool>(),
        ) {
            let order = KeyOrder { descending, nulls_first: descending };
            let end = |end: Option<(i64, bool)>| {
                end.map(|(v, inclusive)| End { value: Datum::Int8(v), inclusive })
            };
            let range = bounded_range(b"p", SqlType::Int2, order, end(low), end(high)).unwrap();
            let key = |value: &Datum| {
                let mut key = b"p".to_vec();
                keycode::encode(SqlType::Int2, value, order, &mut key).unwrap();
                key.extend_from_slice(b"rest");
                key
            };
            let v = i64::from(value);
            let within = low.is_none_or(|(l, i)| v > l || (i && v == l))
                && high.is_none_or(|(h, i)| v < h || (i && v == h));
            let held = |value: &Datum| range.as_ref().is_some_and(|r| r.contains(&key(value)));
            prop_assert_eq!(held(&Datum::Int2(value.into())), within);
            prop_assert!(!held(&Datum::Null));
        }
    }
}
