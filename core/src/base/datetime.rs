//! Dates and timestamps: the calendar, output, fields and truncation.
//!
//! A date counts days and a timestamp microseconds from 2000-01-01, in the Gregorian calendar
//! extended to all years. PostgreSQL's range reaches from 4714-11-24 BC to year 5874897 (dates) or
//! 294276 (timestamps), which is wider than chrono's, so the calendar here is own arithmetic: the
//! year is counted from March, which puts the leap day last, in cycles of 400 years.
//!
//! Output is the ISO style, in UTC; input is [`super::datetime_input`]. Source: manual, 8.5 and 9.9.

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::BigInt;

use super::{Numeric, SqlError, SqlResult, SqlState};

pub use super::datetime_input::{parse_date, parse_timestamp};

/// Microseconds of a day.
pub const DAY_MICROS: i64 = 86_400_000_000;
pub(super) const HOUR_MICROS: i64 = 3_600_000_000;
pub(super) const MINUTE_MICROS: i64 = 60_000_000;
pub(super) const SECOND_MICROS: i64 = 1_000_000;
/// Days from 1970-01-01 to 2000-01-01.
pub(super) const EPOCH_DAYS: i64 = 10_957;
/// Julian day number of 2000-01-01.
const JULIAN_DAY: i64 = 2_451_545;
/// 4714-11-24 BC, the first Julian day, and the first timestamp's day.
pub(super) const DATE_MIN: i64 = -JULIAN_DAY;
/// 5874897-12-31.
pub(super) const DATE_MAX: i64 = 2_145_031_948;
/// 294277-01-01: the first day without timestamps.
const TIMESTAMP_DAYS_END: i64 = 106_751_983;

pub const DATE_INFINITY: i32 = i32::MAX;
pub const DATE_NEG_INFINITY: i32 = i32::MIN;
pub const TIMESTAMP_INFINITY: i64 = i64::MAX;
pub const TIMESTAMP_NEG_INFINITY: i64 = i64::MIN;

/// A day of the calendar. Year 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

/// Days since 2000-01-01 of a day of the calendar; months outside 1..=12 are not checked.
pub fn days_from_civil(civil: Civil) -> i64 {
    let year = if civil.month <= 2 { civil.year - 1 } else { civil.year };
    let cycle = year.div_euclid(400);
    let year_of_cycle = year.rem_euclid(400);
    let month_from_march = (civil.month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + civil.day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    // 730,425 days from 0000-03-01 to 2000-01-01.
    cycle * 146_097 + day_of_cycle - 730_425
}

/// The day of the calendar, of days since 2000-01-01.
pub fn civil_from_days(days: i64) -> Civil {
    let shifted = days + 730_425;
    let cycle = shifted.div_euclid(146_097);
    let day_of_cycle = shifted.rem_euclid(146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524
        - day_of_cycle / 146_096)
        / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_cycle + cycle * 400 + i64::from(month <= 2);
    Civil { year, month, day }
}

pub(super) fn month_days(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Microseconds since 2000-01-01 UTC, of microseconds since the Unix epoch.
pub fn timestamp_from_unix_micros(micros: u64) -> i64 {
    i64::try_from(micros).unwrap_or(i64::MAX / 2) - EPOCH_DAYS * DAY_MICROS
}

pub(super) fn out_of_range(what: &str) -> SqlError {
    SqlError::new(SqlState::DatetimeFieldOverflow, format!("{what} out of range"))
}

/// Whether a timestamp read from bytes is one: infinite or within PostgreSQL's range.
pub fn timestamp_is_valid(micros: i64) -> bool {
    micros == TIMESTAMP_INFINITY
        || micros == TIMESTAMP_NEG_INFINITY
        || (DATE_MIN * DAY_MICROS..TIMESTAMP_DAYS_END * DAY_MICROS).contains(&micros)
}

/// Whether a date read from bytes is one.
pub fn date_is_valid(days: i32) -> bool {
    days == DATE_INFINITY
        || days == DATE_NEG_INFINITY
        || (DATE_MIN..=DATE_MAX).contains(&i64::from(days))
}

/// Midnight of the day.
pub fn date_to_timestamp(days: i32) -> SqlResult<i64> {
    match days {
        DATE_INFINITY => Ok(TIMESTAMP_INFINITY),
        DATE_NEG_INFINITY => Ok(TIMESTAMP_NEG_INFINITY),
        days if (DATE_MIN..TIMESTAMP_DAYS_END).contains(&i64::from(days)) => {
            Ok(i64::from(days) * DAY_MICROS)
        }
        _ => Err(SqlError::new(SqlState::DatetimeFieldOverflow, "date out of range for timestamp")),
    }
}

/// The day a timestamp is in.
pub fn timestamp_to_date(micros: i64) -> i32 {
    match micros {
        TIMESTAMP_INFINITY => DATE_INFINITY,
        TIMESTAMP_NEG_INFINITY => DATE_NEG_INFINITY,
        micros => {
            i32::try_from(micros.div_euclid(DAY_MICROS)).expect("a timestamp's day is a date")
        }
    }
}

/// A date moved by days; infinite dates stay.
pub fn add_days(date: i32, days: i64) -> SqlResult<i32> {
    if date == DATE_INFINITY || date == DATE_NEG_INFINITY {
        return Ok(date);
    }
    let moved = i64::from(date) + days;
    if !(DATE_MIN..=DATE_MAX).contains(&moved) {
        return Err(out_of_range("date"));
    }
    i32::try_from(moved).map_err(|_| out_of_range("date"))
}

/// Rounds to `timestamp(p)`: `precision` fraction digits, half away from zero.
///
/// Errors: 22008 for what rounds to the first moment after the last timestamp. PostgreSQL lets that one in.
pub fn round_timestamp(micros: i64, precision: i32) -> SqlResult<i64> {
    let infinite = micros == TIMESTAMP_INFINITY || micros == TIMESTAMP_NEG_INFINITY;
    if infinite || !(0..6).contains(&precision) {
        return Ok(micros);
    }
    let unit = 10i64.pow(6 - precision.unsigned_abs());
    let rounded = if micros >= 0 {
        (micros + unit / 2) / unit * unit
    } else {
        -((unit / 2 - micros) / unit * unit)
    };
    if timestamp_is_valid(rounded) { Ok(rounded) } else { Err(out_of_range("timestamp")) }
}

fn write_civil(civil: Civil, out: &mut Vec<u8>) -> bool {
    let before_christ = civil.year <= 0;
    let year = if before_christ { 1 - civil.year } else { civil.year };
    out.extend_from_slice(format!("{year:04}-{:02}-{:02}", civil.month, civil.day).as_bytes());
    before_christ
}

/// Appends the ISO form.
pub fn write_date(days: i32, out: &mut Vec<u8>) {
    match days {
        DATE_INFINITY => out.extend_from_slice(b"infinity"),
        DATE_NEG_INFINITY => out.extend_from_slice(b"-infinity"),
        days => {
            if write_civil(civil_from_days(i64::from(days)), out) {
                out.extend_from_slice(b" BC");
            }
        }
    }
}

/// Appends the ISO form; `with_zone` adds `+00`.
pub fn write_timestamp(micros: i64, with_zone: bool, out: &mut Vec<u8>) {
    match micros {
        TIMESTAMP_INFINITY => return out.extend_from_slice(b"infinity"),
        TIMESTAMP_NEG_INFINITY => return out.extend_from_slice(b"-infinity"),
        _ => {}
    }
    let before_christ = write_civil(civil_from_days(micros.div_euclid(DAY_MICROS)), out);
    let time = micros.rem_euclid(DAY_MICROS);
    let (hour, minute) = (time / HOUR_MICROS, time / MINUTE_MICROS % 60);
    let (second, fraction) = (time / SECOND_MICROS % 60, time % SECOND_MICROS);
    out.extend_from_slice(format!(" {hour:02}:{minute:02}:{second:02}").as_bytes());
    if fraction != 0 {
        let digits = format!("{fraction:06}");
        out.push(b'.');
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
    if with_zone {
        out.extend_from_slice(b"+00");
    }
    if before_christ {
        out.extend_from_slice(b" BC");
    }
}

/// What `extract` and `date_part` look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Date(i32),
    Timestamp { micros: i64, with_zone: bool },
}

impl Moment {
    fn type_name(self) -> &'static str {
        match self {
            Moment::Date(_) => "date",
            Moment::Timestamp { with_zone: false, .. } => "timestamp without time zone",
            Moment::Timestamp { with_zone: true, .. } => "timestamp with time zone",
        }
    }

    /// -1 or 1 for infinities.
    fn infinite_sign(self) -> Option<i64> {
        match self {
            Moment::Date(DATE_INFINITY) => Some(1),
            Moment::Date(DATE_NEG_INFINITY) => Some(-1),
            Moment::Timestamp { micros: TIMESTAMP_INFINITY, .. } => Some(1),
            Moment::Timestamp { micros: TIMESTAMP_NEG_INFINITY, .. } => Some(-1),
            _ => None,
        }
    }

    fn micros(self) -> i128 {
        match self {
            Moment::Date(days) => i128::from(days) * i128::from(DAY_MICROS),
            Moment::Timestamp { micros, .. } => i128::from(micros),
        }
    }

    fn days(self) -> i64 {
        match self {
            Moment::Date(days) => i64::from(days),
            Moment::Timestamp { micros, .. } => micros.div_euclid(DAY_MICROS),
        }
    }
}

/// ISO week and its year.
fn iso_week(days: i64) -> (i64, i64) {
    // The week belongs to the year of its Thursday. 2000-01-01 was a Saturday.
    let weekday = (days + 5).rem_euclid(7);
    let thursday = days - weekday + 3;
    let year = civil_from_days(thursday).year;
    let first = days_from_civil(Civil { year, month: 1, day: 1 });
    ((thursday - first) / 7 + 1, year)
}

/// Years as shown: there is no year 0.
fn shown_year(year: i64) -> i64 {
    if year > 0 { year } else { year - 1 }
}

fn century(year: i64) -> i64 {
    if year > 0 { (year + 99) / 100 } else { -((99 - (year - 1)) / 100) }
}

fn millennium(year: i64) -> i64 {
    if year > 0 { (year + 999) / 1000 } else { -((999 - (year - 1)) / 1000) }
}

/// The one spelling of a field's name, as PostgreSQL abbreviates them.
fn field_named(name: &str) -> Option<&'static str> {
    const FIELDS: [(&str, &[&str]); 22] = [
        ("microseconds", &["microsecond", "us", "usec", "usecs"]),
        ("milliseconds", &["millisecond", "ms", "msec", "msecs"]),
        ("second", &["seconds", "s", "sec", "secs"]),
        ("minute", &["minutes", "m", "min", "mins"]),
        ("hour", &["hours", "h", "hr", "hrs"]),
        ("day", &["days", "d"]),
        ("week", &["weeks", "w"]),
        ("month", &["months", "mon", "mons"]),
        ("quarter", &["qtr"]),
        ("year", &["years", "y", "yr", "yrs"]),
        ("decade", &["decades", "dec", "decs"]),
        ("century", &["centuries", "c", "cent"]),
        ("millennium", &["millennia", "mil", "mils"]),
        ("dow", &[]),
        ("isodow", &[]),
        ("doy", &[]),
        ("isoyear", &[]),
        ("epoch", &[]),
        ("julian", &["jd", "j"]),
        ("timezone", &[]),
        ("timezone_hour", &[]),
        ("timezone_minute", &[]),
    ];
    let lower = name.to_ascii_lowercase();
    let found = FIELDS.iter().find(|(field, others)| *field == lower || others.contains(&&*lower));
    found.map(|(field, _)| *field)
}

fn unit_error(name: &str, known: bool, type_name: &str) -> SqlError {
    if known {
        let message = format!("unit \"{name}\" not supported for type {type_name}");
        SqlError::new(SqlState::FeatureNotSupported, message)
    } else {
        let message = format!("unit \"{name}\" not recognized for type {type_name}");
        SqlError::new(SqlState::InvalidParameterValue, message)
    }
}

/// `extract(field FROM moment)`. `None` is SQL's NULL: a part of an infinite moment that does not
/// grow with it.
pub fn extract(field: &str, moment: Moment) -> SqlResult<Option<Numeric>> {
    let Some(name) = field_named(field) else {
        return Err(unit_error(field, false, moment.type_name()));
    };
    let of_time = ["microseconds", "milliseconds", "second", "minute", "hour"].contains(&name);
    let of_zone = name.starts_with("timezone");
    let refused = match moment {
        Moment::Date(_) => of_time || of_zone,
        Moment::Timestamp { with_zone, .. } => of_zone && !with_zone,
    };
    if refused {
        return Err(unit_error(field, true, moment.type_name()));
    }
    if let Some(sign) = moment.infinite_sign() {
        let grows = ["year", "decade", "century", "millennium", "isoyear", "epoch", "julian"];
        let infinity = if sign > 0 { Numeric::Infinity } else { Numeric::NegInfinity };
        return Ok(grows.contains(&name).then_some(infinity));
    }
    Ok(Some(extract_finite(name, moment)))
}

fn extract_finite(name: &str, moment: Moment) -> Numeric {
    let days = moment.days();
    let civil = civil_from_days(days);
    let time = i64::try_from(moment.micros() - i128::from(days) * i128::from(DAY_MICROS))
        .expect("a time of day is less than a day");
    let whole = match name {
        "microseconds" => time % MINUTE_MICROS,
        "milliseconds" => return Numeric::from_parts(time % MINUTE_MICROS, 3),
        "second" => return Numeric::from_parts(time % MINUTE_MICROS, 6),
        "minute" => time / MINUTE_MICROS % 60,
        "hour" => time / HOUR_MICROS,
        "day" => civil.day,
        "week" => iso_week(days).0,
        "month" => civil.month,
        "quarter" => (civil.month - 1) / 3 + 1,
        "year" => shown_year(civil.year),
        "decade" => civil.year.div_euclid(10),
        "century" => century(civil.year),
        "millennium" => millennium(civil.year),
        "dow" => (days + 6).rem_euclid(7),
        "isodow" => (days + 5).rem_euclid(7) + 1,
        "doy" => days - days_from_civil(Civil { year: civil.year, month: 1, day: 1 }) + 1,
        "isoyear" => shown_year(iso_week(days).1),
        "epoch" => return epoch(moment),
        "julian" => return julian(moment, days, time),
        // The session's zone is UTC.
        _ => 0,
    };
    Numeric::from(whole)
}

/// Seconds since 1970.
fn epoch(moment: Moment) -> Numeric {
    let micros = moment.micros() + i128::from(EPOCH_DAYS) * i128::from(DAY_MICROS);
    match moment {
        Moment::Date(_) => Numeric::from((micros / i128::from(SECOND_MICROS)) as i64),
        Moment::Timestamp { .. } => {
            let digits = BigInt::from(micros);
            Numeric::Finite(Box::new(BigDecimal::new(digits, 6)))
        }
    }
}

/// The Julian day with its fraction.
fn julian(moment: Moment, days: i64, time: i64) -> Numeric {
    let day = Numeric::from(days + JULIAN_DAY);
    if matches!(moment, Moment::Date(_)) {
        return day;
    }
    let fraction = Numeric::from_parts(time, 6).divide(&Numeric::from(86_400));
    fraction.and_then(|f| day.add(&f)).unwrap_or(Numeric::NaN)
}

/// `date_trunc(field, timestamp)`.
pub fn truncate(field: &str, micros: i64, with_zone: bool) -> SqlResult<i64> {
    let moment = Moment::Timestamp { micros, with_zone };
    let Some(name) = field_named(field) else {
        return Err(unit_error(field, false, moment.type_name()));
    };
    if moment.infinite_sign().is_some() {
        return Ok(micros);
    }
    let days = micros.div_euclid(DAY_MICROS);
    let civil = civil_from_days(days);
    let first_of = |year: i64, month: i64| days_from_civil(Civil { year, month, day: 1 });
    let day = match name {
        "microseconds" => return Ok(micros),
        "milliseconds" => return Ok(micros.div_euclid(1_000) * 1_000),
        "second" => return Ok(micros.div_euclid(SECOND_MICROS) * SECOND_MICROS),
        "minute" => return Ok(micros.div_euclid(MINUTE_MICROS) * MINUTE_MICROS),
        "hour" => return Ok(micros.div_euclid(HOUR_MICROS) * HOUR_MICROS),
        "day" => days,
        "week" => days - (days + 5).rem_euclid(7),
        "month" => first_of(civil.year, civil.month),
        "quarter" => first_of(civil.year, (civil.month - 1) / 3 * 3 + 1),
        "year" => first_of(civil.year, 1),
        "decade" => first_of(civil.year.div_euclid(10) * 10, 1),
        "century" => first_of((civil.year - 1).div_euclid(100) * 100 + 1, 1),
        "millennium" => first_of((civil.year - 1).div_euclid(1000) * 1000 + 1, 1),
        _ => {
            let known = name.starts_with("timezone");
            return Err(unit_error(field, known, moment.type_name()));
        }
    };
    match day.checked_mul(DAY_MICROS) {
        Some(micros) if timestamp_is_valid(micros) => Ok(micros),
        _ => Err(out_of_range("timestamp")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown_date(days: i32) -> String {
        let mut out = Vec::new();
        write_date(days, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn shown(micros: i64, with_zone: bool) -> String {
        let mut out = Vec::new();
        write_timestamp(micros, with_zone, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn fields_of_a_timestamp() {
        let micros = parse_timestamp("2024-12-30 13:14:15.5", false).unwrap();
        let moment = Moment::Timestamp { micros, with_zone: false };
        for (field, expected) in [
            ("year", "2024"),
            ("month", "12"),
            ("day", "30"),
            ("hour", "13"),
            ("second", "15.500000"),
            ("milliseconds", "15500.000"),
            ("microseconds", "15500000"),
            ("epoch", "1735564455.500000"),
            ("week", "1"),
            ("isoyear", "2025"),
            ("dow", "1"),
            ("isodow", "1"),
            ("doy", "365"),
            ("quarter", "4"),
            ("century", "21"),
            ("decade", "202"),
            ("millennium", "3"),
            ("julian", "2460675.55156828703703703704"),
        ] {
            assert_eq!(extract(field, moment).unwrap().unwrap().to_string(), expected, "{field}");
        }
        assert_eq!(
            extract("parsec", moment).unwrap_err().message,
            "unit \"parsec\" not recognized for type timestamp without time zone"
        );
        let date = Moment::Date(parse_date("2000-01-01").unwrap());
        assert_eq!(
            extract("hour", date).unwrap_err().message,
            "unit \"hour\" not supported for type date"
        );
        assert_eq!(extract("epoch", date).unwrap().unwrap().to_string(), "946684800");
        assert_eq!(extract("day", Moment::Date(DATE_INFINITY)).unwrap(), None);
        assert_eq!(extract("year", Moment::Date(DATE_INFINITY)).unwrap(), Some(Numeric::Infinity));
    }

    #[test]
    fn rounding_stays_in_range() {
        for (text, precision, expected) in [
            ("2020-01-01 00:00:00.5", 0, "2020-01-01 00:00:01"),
            ("1999-12-31 23:59:59.5", 0, "1999-12-31 23:59:59"),
            ("294276-12-31 23:59:59.4", 0, "294276-12-31 23:59:59"),
            ("294276-12-31 23:59:59.999999", 6, "294276-12-31 23:59:59.999999"),
            ("4714-11-24 00:00:00.4 BC", 0, "4714-11-24 00:00:00 BC"),
            ("infinity", 0, "infinity"),
        ] {
            let micros = parse_timestamp(text, false).unwrap();
            assert_eq!(shown(round_timestamp(micros, precision).unwrap(), false), expected);
        }
        let last = parse_timestamp("294276-12-31 23:59:59.999999", false).unwrap();
        for precision in 0..6 {
            let error = round_timestamp(last, precision).unwrap_err();
            assert_eq!((error.state.code(), &*error.message), ("22008", "timestamp out of range"));
        }
    }

    #[test]
    fn truncation() {
        let micros = parse_timestamp("2024-08-30 13:14:15.5", false).unwrap();
        for (field, expected) in [
            ("second", "2024-08-30 13:14:15"),
            ("hour", "2024-08-30 13:00:00"),
            ("day", "2024-08-30 00:00:00"),
            ("week", "2024-08-26 00:00:00"),
            ("month", "2024-08-01 00:00:00"),
            ("quarter", "2024-07-01 00:00:00"),
            ("year", "2024-01-01 00:00:00"),
            ("decade", "2020-01-01 00:00:00"),
            ("century", "2001-01-01 00:00:00"),
            ("millennium", "2001-01-01 00:00:00"),
        ] {
            assert_eq!(shown(truncate(field, micros, false).unwrap(), false), expected, "{field}");
        }
    }

    proptest! {
        #[test]
        fn the_calendar_is_its_own_inverse(days in DATE_MIN..=DATE_MAX) {
            prop_assert_eq!(days_from_civil(civil_from_days(days)), days);
            let text = shown_date(i32::try_from(days).unwrap());
            prop_assert_eq!(i64::from(parse_date(&text).unwrap()), days);
        }

        #[test]
        fn timestamps_read_back(micros in DATE_MIN * DAY_MICROS..TIMESTAMP_DAYS_END * DAY_MICROS) {
            for with_zone in [false, true] {
                prop_assert_eq!(parse_timestamp(&shown(micros, with_zone), with_zone).unwrap(), micros);
            }
        }
    }
}
