//! How to find the rows of a table that satisfy conditions: whole key, range of a key, or all.
//!
//! A condition `column = value` or `column < value` whose value depends on no row bounds a key.
//! Paths, best first:
//!
//! 1. every column of the primary key is equal to something: single rows ([`Access::Get`]);
//! 2. the distribution columns are equal to something and the key begins with bounds: a range in
//!    one bucket;
//! 3. a unique index with all columns equal, then the index with most equal columns;
//! 4. a range of the primary key in every bucket; a range of an index; one bucket; everything.

use super::physical::{Access, Buckets, Limit, RangeExprs};
use crate::base::schema::{ColumnIndex, TableDef};
use crate::base::{SqlType, keycode};
use crate::expr::{CompareOp, Expr};

/// A path and the conditions it leaves to be checked.
pub struct Path {
    pub access: Access,
    /// Positions of the conditions that the path ensures.
    pub ensured: Vec<usize>,
}

/// Most keys that one `Get` looks up.
const KEYS_MAX: usize = 1_000;

/// A condition that bounds a column.
struct Bound<'c> {
    /// Position among the conditions.
    at: usize,
    column: ColumnIndex,
    op: CompareOp,
    value: &'c Expr,
}

/// Chooses the path for conditions over a table's columns.
pub fn choose(table: &TableDef, conditions: &[Expr]) -> Path {
    let bounds: Vec<Bound<'_>> =
        conditions.iter().enumerate().filter_map(|(at, c)| bound(table, at, c)).collect();
    if let Some(path) = whole_key(table, &bounds) {
        return path;
    }
    if let Some(path) = key_list(table, conditions) {
        return path;
    }
    let bucket = one_bucket(table, &bounds);
    let (key, key_ensured) = range(&bounds, &table.primary_key);
    let key_bounded = !key_ensured.is_empty();
    if let (Some(bucket), true) = (&bucket, key_bounded) {
        let buckets = bucket.clone();
        return Path { access: Access::KeyRange { range: key, buckets }, ensured: key_ensured };
    }
    let index = best_index(table, &bounds);
    match index {
        Some((path, equal)) if equal > key.equal.len() || !key_bounded => path,
        _ if key_bounded => Path {
            access: Access::KeyRange { range: key, buckets: Buckets::All },
            ensured: key_ensured,
        },
        _ => match bucket {
            Some(buckets) if !table.distribution_columns().is_empty() => Path {
                access: Access::KeyRange { range: RangeExprs::default(), buckets },
                ensured: Vec::new(),
            },
            _ => Path { access: Access::Full, ensured: Vec::new() },
        },
    }
}

/// Reads a condition as a bound of a column, if it is one that keys can express.
fn bound<'c>(table: &TableDef, at: usize, condition: &'c Expr) -> Option<Bound<'c>> {
    let Expr::Compare { op, left, right } = condition else { return None };
    if *op == CompareOp::Ne {
        return None;
    }
    let (column, op, value) = match (left.as_ref(), right.as_ref()) {
        (Expr::Column { index, .. }, value) if value.is_row_independent() => (*index, *op, value),
        (value, Expr::Column { index, .. }) if value.is_row_independent() => {
            (*index, op.commuted(), value)
        }
        _ => return None,
    };
    let ty = table.columns.get(column)?.ty;
    let column = ColumnIndex::try_from(column).ok()?;
    fits_key(ty, value.ty()).then_some(Bound { at, column, op, value })
}

/// Whether a value of one type can be made a key of another, or known to lie outside of it.
fn fits_key(column: SqlType, value: SqlType) -> bool {
    let is_integer = |ty| matches!(ty, SqlType::Int2 | SqlType::Int4 | SqlType::Int8);
    let is_text = |ty| matches!(ty, SqlType::Text | SqlType::Varchar | SqlType::Name);
    keycode::is_orderable(column)
        && (column == value
            || (is_integer(column) && is_integer(value))
            || (is_text(column) && is_text(value)))
}

fn equal_to<'c, 'b>(bounds: &'b [Bound<'c>], column: ColumnIndex) -> Option<&'b Bound<'c>> {
    bounds.iter().find(|bound| bound.column == column && bound.op == CompareOp::Eq)
}

fn whole_key(table: &TableDef, bounds: &[Bound<'_>]) -> Option<Path> {
    let parts: Option<Vec<&Bound<'_>>> =
        table.primary_key.iter().map(|column| equal_to(bounds, *column)).collect();
    let parts = parts?;
    let key = parts.iter().map(|part| part.value.clone()).collect();
    let ensured = parts.iter().map(|part| part.at).collect();
    Some(Path { access: Access::Get { keys: vec![key] }, ensured })
}

/// `key IN (values)` on a primary key of one column.
fn key_list(table: &TableDef, conditions: &[Expr]) -> Option<Path> {
    let [column] = table.primary_key.as_slice() else { return None };
    let ty = table.columns[usize::from(*column)].ty;
    conditions.iter().enumerate().find_map(|(at, condition)| {
        let Expr::InList { input, list, negated: false } = condition else { return None };
        let usable = matches!(input.as_ref(), Expr::Column { index, .. } if *index == usize::from(*column))
            && list.len() <= KEYS_MAX
            && list.iter().all(|e| e.is_row_independent() && fits_key(ty, e.ty()));
        usable.then(|| Path {
            access: Access::Get { keys: list.iter().map(|e| vec![e.clone()]).collect() },
            ensured: vec![at],
        })
    })
}

/// The bucket, where the distribution columns are equal to something.
fn one_bucket(table: &TableDef, bounds: &[Bound<'_>]) -> Option<Buckets> {
    let values: Option<Vec<Expr>> = table
        .distribution_columns()
        .iter()
        .map(|column| equal_to(bounds, *column).map(|bound| bound.value.clone()))
        .collect();
    values.map(Buckets::One)
}

/// The range of a key with these columns: equal ones first, then the bounds of the next.
fn range(bounds: &[Bound<'_>], columns: &[ColumnIndex]) -> (RangeExprs, Vec<usize>) {
    let mut range = RangeExprs::default();
    let mut ensured = Vec::new();
    for column in columns {
        if let Some(bound) = equal_to(bounds, *column) {
            range.equal.push(bound.value.clone());
            ensured.push(bound.at);
            continue;
        }
        for bound in bounds.iter().filter(|bound| bound.column == *column) {
            let limit = Limit {
                value: bound.value.clone(),
                inclusive: matches!(bound.op, CompareOp::Le | CompareOp::Ge),
            };
            let end = match bound.op {
                CompareOp::Gt | CompareOp::Ge => &mut range.lower,
                _ => &mut range.upper,
            };
            if end.is_none() {
                *end = Some(limit);
                ensured.push(bound.at);
            }
        }
        break;
    }
    (range, ensured)
}

/// The index with most equal columns, and how many; a range counts when nothing is equal.
fn best_index(table: &TableDef, bounds: &[Bound<'_>]) -> Option<(Path, usize)> {
    let mut best: Option<(Path, usize)> = None;
    for (index, def) in table.indexes.iter().enumerate() {
        let columns: Vec<ColumnIndex> = def.columns.iter().map(|c| c.column).collect();
        let (range, ensured) = range(bounds, &columns);
        if ensured.is_empty() {
            continue;
        }
        let mut score = range.equal.len();
        if def.unique && score == columns.len() {
            score += columns.len();
        }
        if best.as_ref().is_none_or(|(_, known)| score > *known) {
            best = Some((Path { access: Access::Index { index, range }, ensured }, score));
        }
    }
    best
}
