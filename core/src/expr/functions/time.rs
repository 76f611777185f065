//! Dates and timestamps: the present, fields, truncation, arithmetic in days.

use super::{date, float, integer, text, timestamp};
use crate::base::datetime::{self, Moment};
use crate::base::{Datum, Numeric, SqlError, SqlResult, SqlState, SqlType};
use crate::expr::function::{Function, row};

const TEXT: SqlType = SqlType::Text;
const DATE: SqlType = SqlType::Date;
const TIMESTAMP: SqlType = SqlType::Timestamp;
const TIMESTAMPTZ: SqlType = SqlType::TimestampTz;
const INT4: SqlType = SqlType::Int4;
const FLOAT8: SqlType = SqlType::Float8;
const NUMERIC: SqlType = SqlType::Numeric;
const BOOL: SqlType = SqlType::Bool;

// SQL's own words for the present have no oid in PostgreSQL; theirs are from the range it leaves
// to system objects made at initdb.
#[rustfmt::skip]
pub(super) static ROWS: &[Function] = &[
    row(1299, "now", &[], TIMESTAMPTZ, |_, c| Ok(Datum::Timestamp(c.transaction_time))).stable(),
    row(2647, "transaction_timestamp", &[], TIMESTAMPTZ, |_, c| Ok(Datum::Timestamp(c.transaction_time))).stable(),
    row(2648, "statement_timestamp", &[], TIMESTAMPTZ, |_, c| Ok(Datum::Timestamp(c.statement_time))).stable(),
    // Time does not pass within a turn, so the statement's time is the clock's.
    row(2649, "clock_timestamp", &[], TIMESTAMPTZ, |_, c| Ok(Datum::Timestamp(c.statement_time))).volatile(),
    row(16_300, "current_timestamp", &[], TIMESTAMPTZ, |_, c| Ok(Datum::Timestamp(c.transaction_time))).stable(),
    row(16_301, "localtimestamp", &[], TIMESTAMP, |_, c| Ok(Datum::Timestamp(c.transaction_time))).stable(),
    row(16_302, "current_date", &[], DATE, |_, c| Ok(Datum::Date(datetime::timestamp_to_date(c.transaction_time)))).stable(),
    row(1217, "date_trunc", &[TEXT, TIMESTAMPTZ], TIMESTAMPTZ, |a, _| truncate(a, true)).stable(),
    row(2020, "date_trunc", &[TEXT, TIMESTAMP], TIMESTAMP, |a, _| truncate(a, false)),
    row(6199, "extract", &[TEXT, DATE], NUMERIC, |a, _| extract(a, Moment::Date(date(a, 1)?))),
    row(6202, "extract", &[TEXT, TIMESTAMP], NUMERIC, |a, _| extract(a, moment(a, false)?)),
    row(6203, "extract", &[TEXT, TIMESTAMPTZ], NUMERIC, |a, _| extract(a, moment(a, true)?)).stable(),
    row(1384, "date_part", &[TEXT, DATE], FLOAT8, |a, _| date_part(a, Moment::Date(date(a, 1)?))),
    row(2021, "date_part", &[TEXT, TIMESTAMP], FLOAT8, |a, _| date_part(a, moment(a, false)?)),
    row(1171, "date_part", &[TEXT, TIMESTAMPTZ], FLOAT8, |a, _| date_part(a, moment(a, true)?)).stable(),
    row(1141, "date_pli", &[DATE, INT4], DATE, |a, _| add(date(a, 0)?, integer(a, 1)?)),
    row(2550, "integer_pl_date", &[INT4, DATE], DATE, |a, _| add(date(a, 1)?, integer(a, 0)?)),
    row(1142, "date_mii", &[DATE, INT4], DATE, |a, _| add(date(a, 0)?, -integer(a, 1)?)),
    row(1140, "date_mi", &[DATE, DATE], INT4, |a, _| difference(date(a, 0)?, date(a, 1)?)),
    row(3846, "make_date", &[INT4, INT4, INT4], DATE, |a, _| make_date(a)),
    row(1158, "to_timestamp", &[FLOAT8], TIMESTAMPTZ, |a, _| to_timestamp(float(a, 0)?)),
    row(1373, "isfinite", &[DATE], BOOL, |a, _| {
        Ok(Datum::Bool(![i32::MIN, i32::MAX].contains(&date(a, 0)?)))
    }),
    row(2048, "isfinite", &[TIMESTAMP], BOOL, |a, _| Ok(Datum::Bool(![i64::MIN, i64::MAX].contains(&timestamp(a, 0)?)))),
    row(1389, "isfinite", &[TIMESTAMPTZ], BOOL, |a, _| Ok(Datum::Bool(![i64::MIN, i64::MAX].contains(&timestamp(a, 0)?)))),
];

fn moment(args: &[Datum], with_zone: bool) -> SqlResult<Moment> {
    Ok(Moment::Timestamp { micros: timestamp(args, 1)?, with_zone })
}

fn truncate(args: &[Datum], with_zone: bool) -> SqlResult<Datum> {
    datetime::truncate(text(args, 0)?, timestamp(args, 1)?, with_zone).map(Datum::Timestamp)
}

fn extract(args: &[Datum], moment: Moment) -> SqlResult<Datum> {
    Ok(datetime::extract(text(args, 0)?, moment)?.map_or(Datum::Null, Datum::Numeric))
}

fn date_part(args: &[Datum], moment: Moment) -> SqlResult<Datum> {
    // PostgreSQL casts a date to a timestamp first, and so knows its hours.
    let moment = match moment {
        Moment::Date(days) => {
            Moment::Timestamp { micros: datetime::date_to_timestamp(days)?, with_zone: false }
        }
        timestamp => timestamp,
    };
    match datetime::extract(text(args, 0)?, moment)? {
        Some(value) => Numeric::to_f64(&value).map(Datum::Float8),
        None => Ok(Datum::Null),
    }
}

fn add(date: i32, days: i64) -> SqlResult<Datum> {
    datetime::add_days(date, days).map(Datum::Date)
}

fn difference(a: i32, b: i32) -> SqlResult<Datum> {
    let infinite = [datetime::DATE_INFINITY, datetime::DATE_NEG_INFINITY];
    if infinite.contains(&a) || infinite.contains(&b) {
        return Err(SqlError::new(
            SqlState::DatetimeFieldOverflow,
            "cannot subtract infinite dates",
        ));
    }
    // Two dates are less than 2^32 days apart, but may be more than 2^31.
    Ok(Datum::Int4(a.wrapping_sub(b)))
}

fn make_date(args: &[Datum]) -> SqlResult<Datum> {
    let (year, month, day) = (integer(args, 0)?, integer(args, 1)?, integer(args, 2)?);
    let refused = || {
        let message = format!("date field value out of range: {year}-{month:02}-{day:02}");
        SqlError::new(SqlState::DatetimeFieldOverflow, message)
    };
    let era = if year < 0 { " BC" } else { "" };
    let text = format!("{:04}-{month:02}-{day:02}{era}", year.unsigned_abs());
    if year == 0 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return Err(refused());
    }
    datetime::parse_date(&text).map(Datum::Date).map_err(|_| refused())
}

/// Seconds since 1970.
fn to_timestamp(seconds: f64) -> SqlResult<Datum> {
    if seconds.is_nan() {
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, "timestamp cannot be NaN"));
    }
    if seconds.is_infinite() {
        return Ok(Datum::Timestamp(if seconds > 0.0 { i64::MAX } else { i64::MIN }));
    }
    let micros = ((seconds - 946_684_800.0) * 1_000_000.0).round_ties_even();
    let in_range = micros.abs() < 9.2e18;
    match micros as i64 {
        micros if in_range && datetime::timestamp_is_valid(micros) => Ok(Datum::Timestamp(micros)),
        _ => Err(SqlError::new(
            SqlState::DatetimeFieldOverflow,
            format!("timestamp out of range: \"{seconds}\""),
        )),
    }
}
