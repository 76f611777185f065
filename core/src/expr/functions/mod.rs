//! The functions, by what they work on: each module holds its rows of the table and their bodies.

mod array;
mod catalog;
mod json;
mod matching;
mod math;
mod session;
mod text;
mod text_code;
mod time;

pub(super) use array::ARRAY_TO_STRING;
pub(super) use text::lower;
pub(super) use text_code::BOOL_OUTPUT;

use super::function::Function;
use crate::base::{Datum, Numeric, SqlError, SqlResult, SqlState, limits};

/// Every row of the table of functions.
pub(super) static TABLES: &[&[Function]] = &[
    math::ROWS,
    text::ROWS,
    text_code::ROWS,
    time::ROWS,
    session::ROWS,
    array::ROWS,
    json::ROWS,
    matching::ROWS,
    catalog::ROWS,
];

/// An argument of a representation that its declared type does not have: a broken invariant of
/// ours.
fn unexpected(args: &[Datum], at: usize) -> SqlError {
    SqlError::internal(format!("argument {at} of a function is {:?}", args.get(at)))
}

/// An integer of any width, or an oid.
fn integer(args: &[Datum], at: usize) -> SqlResult<i64> {
    match args.get(at) {
        Some(Datum::Int2(v)) => Ok(i64::from(*v)),
        Some(Datum::Int4(v)) => Ok(i64::from(*v)),
        Some(Datum::Int8(v)) => Ok(*v),
        Some(Datum::Oid(v)) => Ok(i64::from(*v)),
        _ => Err(unexpected(args, at)),
    }
}

/// A float of either width.
fn float(args: &[Datum], at: usize) -> SqlResult<f64> {
    match args.get(at) {
        Some(Datum::Float4(v)) => Ok(f64::from(*v)),
        Some(Datum::Float8(v)) => Ok(*v),
        _ => Err(unexpected(args, at)),
    }
}

fn numeric(args: &[Datum], at: usize) -> SqlResult<&Numeric> {
    match args.get(at) {
        Some(Datum::Numeric(v)) => Ok(v),
        _ => Err(unexpected(args, at)),
    }
}

fn text(args: &[Datum], at: usize) -> SqlResult<&str> {
    match args.get(at) {
        Some(Datum::Text(v)) => Ok(v),
        _ => Err(unexpected(args, at)),
    }
}

fn bytes(args: &[Datum], at: usize) -> SqlResult<&[u8]> {
    match args.get(at) {
        Some(Datum::Bytea(v)) => Ok(v),
        _ => Err(unexpected(args, at)),
    }
}

fn date(args: &[Datum], at: usize) -> SqlResult<i32> {
    match args.get(at) {
        Some(Datum::Date(v)) => Ok(*v),
        _ => Err(unexpected(args, at)),
    }
}

fn timestamp(args: &[Datum], at: usize) -> SqlResult<i64> {
    match args.get(at) {
        Some(Datum::Timestamp(v)) => Ok(*v),
        _ => Err(unexpected(args, at)),
    }
}

fn elements(args: &[Datum], at: usize) -> SqlResult<&[Datum]> {
    match args.get(at) {
        Some(Datum::Array(v)) => Ok(v),
        _ => Err(unexpected(args, at)),
    }
}

/// A length as `integer`.
fn count(length: usize) -> SqlResult<Datum> {
    match i32::try_from(length) {
        Ok(length) => Ok(Datum::Int4(length)),
        Err(_) => Err(crate::base::numeric::out_of_range("integer")),
    }
}

/// Refuses a value that would be too large, before it is made.
fn check_length(bytes: usize) -> SqlResult<()> {
    if bytes > limits::VALUE_BYTES_MAX {
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, "requested length too large"));
    }
    Ok(())
}

fn invalid_parameter(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, message)
}
