//! Text input of dates and timestamps.
//!
//! It takes what PostgreSQL's does for the ISO and the common American and European spellings, in
//! any order of date, time and zone:
//!
//! ```text
//!   2024-02-29 13:14:15.5+05:30      20240229T131415Z      Feb 29, 2024 1:14 pm
//!   2/29/2024      29-Feb-2024       0044-03-15 BC         infinity   epoch
//! ```
//!
//! A scanner turns the text into [`Fields`], then the fields are checked against the calendar; the
//! errors tell a bad format (22007) from a bad value (22008).
//!
//! Left out: time zone names other than UTC's, and `now`, `today` and their like: the core has no
//! clock to read here. Source: manual, appendix B.

use super::datetime::{
    Civil, DATE_INFINITY, DATE_MAX, DATE_MIN, DATE_NEG_INFINITY, DAY_MICROS, EPOCH_DAYS,
    HOUR_MICROS, MINUTE_MICROS, SECOND_MICROS, TIMESTAMP_INFINITY, TIMESTAMP_NEG_INFINITY,
    civil_from_days, days_from_civil, month_days, out_of_range, timestamp_is_valid,
};
use super::{SqlError, SqlResult, SqlState};

/// Why a text is not a date or time; the caller adds text and type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Problem {
    BadFormat,
    FieldOverflow,
    /// Month or day out of range: perhaps they are exchanged.
    MonthDayOverflow,
    ZoneOverflow,
}

impl Problem {
    fn error(self, text: &str, type_name: &str) -> SqlError {
        let field = format!("date/time field value out of range: \"{text}\"");
        match self {
            Problem::BadFormat => SqlError::new(
                SqlState::InvalidDatetimeFormat,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            Problem::FieldOverflow => SqlError::new(SqlState::DatetimeFieldOverflow, field),
            Problem::MonthDayOverflow => SqlError::new(SqlState::DatetimeFieldOverflow, field)
                .with_hint("Perhaps you need a different \"datestyle\" setting."),
            Problem::ZoneOverflow => SqlError::new(
                SqlState::InvalidTimeZoneDisplacement,
                format!("time zone displacement out of range: \"{text}\""),
            ),
        }
    }
}

/// What a text says, field by field.
#[derive(Debug, Default)]
struct Fields {
    date: Option<Civil>,
    /// Microseconds of the day; may be a whole day for `24:00`.
    time: Option<i64>,
    /// Seconds east of UTC.
    zone: Option<i64>,
    before_christ: bool,
    /// Whether the day of the week was named; nothing is made of it.
    weekday: bool,
    afternoon: Option<bool>,
    /// Numbers of a date spelled with spaces, before its month is known, as `5 Jan 2020`.
    loose: Vec<(i64, usize)>,
    month: Option<i64>,
}

/// Numbers of a date, at most.
const LOOSE_MAX: usize = 3;

/// A special value or the fields of an ordinary one.
enum Parsed {
    Infinity,
    NegInfinity,
    Epoch,
    Fields(Fields),
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const DAYS: [&str; 7] =
    ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];

/// 1..=12 for a month's name or its first three letters.
fn month_named(word: &str) -> Option<i64> {
    let at = MONTHS
        .iter()
        .position(|m| *m == word || m[..3] == *word || (word == "sept" && *m == "september"))?;
    Some(at as i64 + 1)
}

/// Splits text into fields, left to right.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn take(&mut self, keep: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !keep(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn accept(&mut self, wanted: char) -> bool {
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    /// At most `i32::MAX`, as in PostgreSQL, so that sums and products of fields stay in range.
    fn number(&mut self) -> Result<(i64, usize), Problem> {
        let digits = self.take(|c| c.is_ascii_digit());
        if digits.is_empty() {
            return Err(Problem::BadFormat);
        }
        let number: i32 = digits.parse().map_err(|_| Problem::FieldOverflow)?;
        Ok((i64::from(number), digits.len()))
    }
}

fn scan(text: &str) -> Result<Parsed, Problem> {
    let lower = text.trim().to_ascii_lowercase();
    match lower.as_str() {
        "infinity" => return Ok(Parsed::Infinity),
        "-infinity" => return Ok(Parsed::NegInfinity),
        "epoch" => return Ok(Parsed::Epoch),
        _ => {}
    }
    let mut fields = Fields::default();
    let mut scanner = Scanner { rest: &lower };
    while let Some(next) = scanner.peek() {
        match next {
            c if c.is_ascii_whitespace() || c == ',' => {
                scanner.accept(c);
            }
            '0'..='9' => scan_number(&mut scanner, &mut fields)?,
            '+' | '-' => scan_zone(&mut scanner, &mut fields)?,
            c if c.is_ascii_alphabetic() => scan_word(&mut scanner, &mut fields)?,
            _ => return Err(Problem::BadFormat),
        }
    }
    settle_loose_date(&mut fields)?;
    Ok(Parsed::Fields(fields))
}

/// A date, a time or a lone number.
fn scan_number(scanner: &mut Scanner, fields: &mut Fields) -> Result<(), Problem> {
    let start = scanner.rest;
    let (value, width) = scanner.number()?;
    match scanner.peek() {
        Some(':') => {
            scanner.rest = start;
            scan_time(scanner, fields)
        }
        Some(delimiter @ ('-' | '/' | '.'))
            if fields.date.is_none() && fields.month.is_none() && fields.loose.is_empty() =>
        {
            scanner.accept(delimiter);
            scan_delimited_date(scanner, fields, (value, width), delimiter)
        }
        _ => lone_number(scanner, fields, value, width),
    }
}

/// The digits of `20240229`, `131415` after a date, or a part of a spelled date.
fn lone_number(
    scanner: &mut Scanner,
    fields: &mut Fields,
    value: i64,
    width: usize,
) -> Result<(), Problem> {
    let no_date = fields.date.is_none() && fields.loose.is_empty() && fields.month.is_none();
    match width {
        8 if no_date => set_date(fields, value / 10_000, value / 100 % 100, value % 100),
        6 if no_date => {
            set_date(fields, two_digit_year(value / 10_000), value / 100 % 100, value % 100)
        }
        6 | 4 if fields.date.is_some() && fields.time.is_none() => {
            let seconds = if width == 6 { value % 100 } else { 0 };
            let value = if width == 6 { value / 100 } else { value };
            let fraction = scan_fraction(scanner)?;
            set_time(fields, value / 100, value % 100, seconds, fraction)
        }
        _ if fields.date.is_none() && fields.loose.len() < LOOSE_MAX => {
            fields.loose.push((value, width));
            Ok(())
        }
        _ => Err(Problem::BadFormat),
    }
}

fn two_digit_year(year: i64) -> i64 {
    if year < 70 { 2000 + year } else { 1900 + year }
}

fn full_year((year, width): (i64, usize), before_christ: bool) -> i64 {
    if width <= 2 && !before_christ { two_digit_year(year) } else { year }
}

/// `2024-02-29`, `2/29/2024`, `29-feb-2024`, `2024-feb-29`, `2024-060`, after the first number and delimiter.
/// Only a zone may stand before it.
fn scan_delimited_date(
    scanner: &mut Scanner,
    fields: &mut Fields,
    first: (i64, usize),
    delimiter: char,
) -> Result<(), Problem> {
    if fields.time.is_some() || fields.before_christ || fields.weekday {
        return Err(Problem::BadFormat);
    }
    if scanner.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
        let month =
            month_named(scanner.take(|c| c.is_ascii_alphabetic())).ok_or(Problem::BadFormat)?;
        if !scanner.accept(delimiter) {
            return Err(Problem::BadFormat);
        }
        let last = scanner.number()?;
        let (year, day) = if first.1 > 2 { (first, last) } else { (last, first) };
        return set_date(fields, full_year(year, follows_bc(scanner)), month, day.0);
    }
    let second = scanner.number()?;
    let of_year = is_day_of_year(first, second);
    if scanner.accept(delimiter) == of_year {
        return Err(Problem::BadFormat);
    }
    if of_year {
        return set_day_of_year(fields, first.0, second.0, follows_bc(scanner));
    }
    let third = scanner.number()?;
    if scanner.peek().is_some_and(|c| matches!(c, '-' | '/' | '.')) {
        return Err(Problem::BadFormat);
    }
    let before_christ = follows_bc(scanner);
    if first.1 > 2 {
        set_date(fields, full_year(first, before_christ), second.0, third.0)
    } else {
        set_date(fields, full_year(third, before_christ), first.0, second.0)
    }
}

/// Whether the second of two numbers is the day of the first, a year: it has three digits.
fn is_day_of_year(year: (i64, usize), day: (i64, usize)) -> bool {
    year.1 > 2 && day.1 == 3 && (1..=366).contains(&day.0)
}

fn set_day_of_year(
    fields: &mut Fields,
    year: i64,
    day: i64,
    before_christ: bool,
) -> Result<(), Problem> {
    let counted = |year| if before_christ { 1 - year } else { year };
    let start = days_from_civil(Civil { year: counted(year), month: 1, day: 1 });
    let Civil { year, month, day } = civil_from_days(start + day - 1);
    set_date(fields, counted(year), month, day)
}

fn follows_bc(scanner: &Scanner) -> bool {
    scanner.rest.trim_end().ends_with("bc")
}

fn set_date(fields: &mut Fields, year: i64, month: i64, day: i64) -> Result<(), Problem> {
    if fields.date.is_some() {
        return Err(Problem::BadFormat);
    }
    fields.date = Some(Civil { year, month, day });
    Ok(())
}

/// `hh:mm[:ss[.ffffff]]`.
fn scan_time(scanner: &mut Scanner, fields: &mut Fields) -> Result<(), Problem> {
    let (hour, _) = scanner.number()?;
    if !scanner.accept(':') {
        return Err(Problem::BadFormat);
    }
    let (minute, _) = scanner.number()?;
    let (mut second, mut fraction) = (0, 0);
    if scanner.accept(':') {
        (second, _) = scanner.number()?;
        fraction = scan_fraction(scanner)?;
    }
    set_time(fields, hour, minute, second, fraction)
}

/// Microseconds of `.ffffff…`, rounded as PostgreSQL does: the nearest to a double, half to even; 0 where
/// there is none.
fn scan_fraction(scanner: &mut Scanner) -> Result<i64, Problem> {
    if !scanner.accept('.') {
        return Ok(0);
    }
    let digits = scanner.take(|c| c.is_ascii_digit());
    let fraction: f64 = format!("0.{digits}0").parse().map_err(|_| Problem::BadFormat)?;
    Ok((fraction * SECOND_MICROS as f64).round_ties_even() as i64)
}

fn set_time(
    fields: &mut Fields,
    hour: i64,
    minute: i64,
    second: i64,
    fraction: i64,
) -> Result<(), Problem> {
    if fields.time.is_some() {
        return Err(Problem::BadFormat);
    }
    let time = hour * HOUR_MICROS + minute * MINUTE_MICROS + second * SECOND_MICROS + fraction;
    if hour > 24 || minute > 59 || second > 60 || time > DAY_MICROS {
        return Err(Problem::FieldOverflow);
    }
    fields.time = Some(time);
    Ok(())
}

/// `+hh[:mm[:ss]]`, `+hhmm`.
fn scan_zone(scanner: &mut Scanner, fields: &mut Fields) -> Result<(), Problem> {
    let nothing_before = fields.time.is_none() && fields.date.is_none();
    if nothing_before || fields.zone.is_some() {
        return Err(Problem::BadFormat);
    }
    let sign = if scanner.accept('-') { -1 } else { 1 };
    if sign > 0 {
        scanner.accept('+');
    }
    let (mut hour, width) = scanner.number()?;
    let (mut minute, mut second) = (0, 0);
    if scanner.accept(':') {
        minute = scanner.number()?.0;
        if scanner.accept(':') {
            second = scanner.number()?.0;
        }
    } else if width > 2 {
        (hour, minute) = (hour / 100, hour % 100);
    }
    if hour > 15 || minute > 59 || second > 59 {
        return Err(Problem::ZoneOverflow);
    }
    fields.zone = Some(sign * (hour * 3600 + minute * 60 + second));
    Ok(())
}

fn scan_word(scanner: &mut Scanner, fields: &mut Fields) -> Result<(), Problem> {
    let word = scanner.take(|c| c.is_ascii_alphabetic());
    match word {
        "t" if fields.date.is_some() && fields.time.is_none() => Ok(()),
        "z" | "utc" | "gmt" | "ut" | "zulu" => match fields.zone.replace(0) {
            None => Ok(()),
            Some(_) => Err(Problem::BadFormat),
        },
        "bc" => {
            fields.before_christ = true;
            Ok(())
        }
        "ad" => Ok(()),
        "am" | "pm" if fields.time.is_some() => {
            fields.afternoon = Some(word == "pm");
            Ok(())
        }
        _ if DAYS.iter().any(|d| *d == word || d[..3] == *word) => {
            fields.weekday = true;
            Ok(())
        }
        _ => {
            let month = month_named(word).ok_or(Problem::BadFormat)?;
            if fields.month.is_some() || fields.date.is_some() {
                return Err(Problem::BadFormat);
            }
            fields.month = Some(month);
            if scanner.accept('-') {
                // `jan-05-2020`: the rest is numbers with hyphens.
                fields.loose.push(scanner.number()?);
                if !scanner.accept('-') {
                    return Err(Problem::BadFormat);
                }
            }
            Ok(())
        }
    }
}

/// Makes the date of `5 jan 2020`, `jan 5 2020`, `2020 jan 5`, `1 5 2020`, `2020 1 5` and `2020 005`.
fn settle_loose_date(fields: &mut Fields) -> Result<(), Problem> {
    let Some(month) = fields.month else {
        return match fields.loose[..] {
            [] => Ok(()),
            [year, day] if is_day_of_year(year, day) => {
                set_day_of_year(fields, year.0, day.0, fields.before_christ)
            }
            [year, month, _] if is_day_of_year(year, month) => Err(Problem::BadFormat),
            [year, month, day] if year.1 > 2 => set_date(fields, year.0, month.0, day.0),
            [month, day, year] => {
                let year = full_year(year, fields.before_christ);
                set_date(fields, year, month.0, day.0)
            }
            _ => Err(Problem::BadFormat),
        };
    };
    let [first, second] = fields.loose[..] else { return Err(Problem::BadFormat) };
    let (year, day) = if first.1 > 2 { (first, second) } else { (second, first) };
    let year = full_year(year, fields.before_christ);
    set_date(fields, year, month, day.0)
}

impl Fields {
    /// The day, checked against the calendar.
    fn days(&self) -> Result<i64, Problem> {
        let mut civil = self.date.ok_or(Problem::BadFormat)?;
        if self.before_christ {
            if civil.year == 0 {
                return Err(Problem::FieldOverflow);
            }
            civil.year = 1 - civil.year;
        } else if civil.year == 0 {
            return Err(Problem::FieldOverflow);
        }
        if !(1..=12).contains(&civil.month) || !(1..=31).contains(&civil.day) {
            return Err(Problem::MonthDayOverflow);
        }
        if civil.day > month_days(civil.year, civil.month) {
            return Err(Problem::FieldOverflow);
        }
        if civil.year > 6_000_000 {
            // Beyond every date; kept small so that the arithmetic stays in range.
            civil.year = 6_000_000;
        }
        Ok(days_from_civil(civil))
    }

    /// Microseconds of the day, with `am` and `pm` applied.
    fn micros(&self) -> Result<i64, Problem> {
        let time = self.time.unwrap_or(0);
        let Some(afternoon) = self.afternoon else { return Ok(time) };
        let hour = time / HOUR_MICROS;
        if hour > 12 {
            return Err(Problem::FieldOverflow);
        }
        let base = time % HOUR_MICROS + (hour % 12) * HOUR_MICROS;
        Ok(if afternoon { base + 12 * HOUR_MICROS } else { base })
    }
}

/// Text input of `date`. A time in the text is checked and dropped.
pub fn parse_date(text: &str) -> SqlResult<i32> {
    let problem = |p: Problem| p.error(text, "date");
    let days = match scan(text).map_err(problem)? {
        Parsed::Infinity => return Ok(DATE_INFINITY),
        Parsed::NegInfinity => return Ok(DATE_NEG_INFINITY),
        Parsed::Epoch => -EPOCH_DAYS,
        Parsed::Fields(fields) => {
            fields.micros().map_err(problem)?;
            fields.days().map_err(problem)?
        }
    };
    if !(DATE_MIN..=DATE_MAX).contains(&days) {
        let message = format!("date out of range: \"{text}\"");
        return Err(SqlError::new(SqlState::DatetimeFieldOverflow, message));
    }
    i32::try_from(days).map_err(|_| out_of_range("date"))
}

/// Text input of `timestamp` and `timestamptz`. The zone of a text is ignored by the first and
/// taken off by the second; a text without one is in UTC.
pub fn parse_timestamp(text: &str, with_zone: bool) -> SqlResult<i64> {
    let type_name = if with_zone { "timestamp with time zone" } else { "timestamp" };
    let problem = |p: Problem| p.error(text, type_name);
    let fields = match scan(text).map_err(problem)? {
        Parsed::Infinity => return Ok(TIMESTAMP_INFINITY),
        Parsed::NegInfinity => return Ok(TIMESTAMP_NEG_INFINITY),
        Parsed::Epoch => return Ok(-EPOCH_DAYS * DAY_MICROS),
        Parsed::Fields(fields) => fields,
    };
    let days = fields.days().map_err(problem)?;
    let micros = fields.micros().map_err(problem)?;
    let zone = if with_zone { fields.zone.unwrap_or(0) } else { 0 };
    let total =
        i128::from(days) * i128::from(DAY_MICROS) + i128::from(micros - zone * SECOND_MICROS);
    match i64::try_from(total) {
        Ok(micros) if timestamp_is_valid(micros) && micros != i64::MAX && micros != i64::MIN => {
            Ok(micros)
        }
        _ => {
            let message = format!("timestamp out of range: \"{text}\"");
            Err(SqlError::new(SqlState::DatetimeFieldOverflow, message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::datetime::{write_date, write_timestamp};
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

    /// As PostgreSQL 15 answers `select 'input'::date`.
    #[test]
    fn dates_are_read_in_many_spellings() {
        for (input, expected) in [
            ("2024-02-29", "2024-02-29"),
            (" 2020-1-2 ", "2020-01-02"),
            ("20200102", "2020-01-02"),
            ("Jan 5, 2020", "2020-01-05"),
            ("5 January 2020", "2020-01-05"),
            ("5-Jan-2020", "2020-01-05"),
            ("1/2/03", "2003-01-02"),
            ("1/2/1999", "1999-01-02"),
            ("2020.123", "2020-05-02"),
            ("2024-060", "2024-02-29"),
            ("2024/060", "2024-02-29"),
            ("2024 060", "2024-02-29"),
            ("2023-366", "2024-01-01"),
            ("2024-060 BC", "2024-03-01 BC"),
            ("2024 02 29", "2024-02-29"),
            ("2024 2 9", "2024-02-09"),
            ("02 29 2024", "2024-02-29"),
            ("2024-2-029", "2024-02-29"),
            ("2024 02 029", "2024-02-29"),
            ("2024-02-29 thu", "2024-02-29"),
            ("thu Feb 29 2024", "2024-02-29"),
            ("0044-03-15 BC", "0044-03-15 BC"),
            ("12345-01-01", "12345-01-01"),
            ("infinity", "infinity"),
            ("epoch", "1970-01-01"),
            ("4714-11-24 BC", "4714-11-24 BC"),
            ("5874897-12-31", "5874897-12-31"),
            ("2020-01-02 03:04:05", "2020-01-02"),
        ] {
            assert_eq!(shown_date(parse_date(input).unwrap()), expected, "{input}");
        }
    }

    #[test]
    fn timestamps_are_read_with_time_and_zone() {
        for (input, with_zone, expected) in [
            ("2020-01-02T03:04:05.1234567Z", true, "2020-01-02 03:04:05.123457+00"),
            ("20200102T030405", false, "2020-01-02 03:04:05"),
            ("2000-01-01 0:0:0.0000005", false, "2000-01-01 00:00:00"),
            ("2000-01-01 0:0:0.0000015", false, "2000-01-01 00:00:00.000002"),
            ("2000-01-01 0:0:0.0000025", false, "2000-01-01 00:00:00.000002"),
            ("2000-01-01 0:0:0.00000050001", false, "2000-01-01 00:00:00.000001"),
            ("2000-01-01 0:0:59.9999999", false, "2000-01-01 00:01:00"),
            ("2024-02-29 12:34:56.", false, "2024-02-29 12:34:56"),
            ("2024-02-29 123456.7", false, "2024-02-29 12:34:56.7"),
            ("12:34 20240229", false, "2024-02-29 12:34:00"),
            ("10:00 2024 02 29", false, "2024-02-29 10:00:00"),
            ("Feb 29 12:34 2024", false, "2024-02-29 12:34:00"),
            ("2024-02-28 bc 10:00", false, "2024-02-28 10:00:00 BC"),
            ("2024-02-29 12:34:56 Z", true, "2024-02-29 12:34:56+00"),
            ("5 Jan 2020 10:00 pm", false, "2020-01-05 22:00:00"),
            ("2020-01-01 24:00", false, "2020-01-02 00:00:00"),
            ("2020-01-01 00:00:60", false, "2020-01-01 00:01:00"),
            ("2020-06-05 04:05 +05:30", true, "2020-06-04 22:35:00+00"),
            ("2020-06-05 04:05-0530", true, "2020-06-05 09:35:00+00"),
            ("2020-06-05 04:05-0530", false, "2020-06-05 04:05:00"),
            ("2020-06-05", true, "2020-06-05 00:00:00+00"),
            ("0044-03-15 BC", true, "0044-03-15 00:00:00+00 BC"),
            ("-infinity", true, "-infinity"),
            ("4714-11-24 BC", false, "4714-11-24 00:00:00 BC"),
            ("294276-12-31 23:59:59.999999", false, "294276-12-31 23:59:59.999999"),
        ] {
            assert_eq!(shown(parse_timestamp(input, with_zone).unwrap(), with_zone), expected);
        }
    }

    #[test]
    fn large_fields_are_out_of_range() {
        for field in ["2147483647", "2147483648", "9223372036854775807", "9223372036854775808"] {
            for text in [
                format!("2020-01-01 {field}:00:00"),
                format!("2020-01-01 00:{field}"),
                format!("2020-01-01 00:00:{field}"),
                format!("{field}-01-01"),
                format!("2020-{field}-01"),
                format!("{field}.123"),
                format!("2020-01-01 00:00 +{field}"),
                format!("{field}-01-01 bc"),
            ] {
                let state = parse_timestamp(&text, true).unwrap_err().state;
                let expected =
                    [SqlState::DatetimeFieldOverflow, SqlState::InvalidTimeZoneDisplacement];
                assert!(expected.contains(&state), "{text}: {state:?}");
                assert!(parse_date(&text).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn refusals_are_worded_as_postgresql_does() {
        let date = |text: &str| parse_date(text).unwrap_err();
        let time = |text: &str| parse_timestamp(text, false).unwrap_err();
        for (error, code, message) in [
            (date("2020-13-01"), "22008", "date/time field value out of range: \"2020-13-01\""),
            (date("2020-02-30"), "22008", "date/time field value out of range: \"2020-02-30\""),
            (date("x"), "22007", "invalid input syntax for type date: \"x\""),
            (date(""), "22007", "invalid input syntax for type date: \"\""),
            (date("2024-002-29"), "22007", "invalid input syntax for type date: \"2024-002-29\""),
            (date("2024 002 29"), "22007", "invalid input syntax for type date: \"2024 002 29\""),
            (date("2024.367"), "22007", "invalid input syntax for type date: \"2024.367\""),
            (
                date("2024 02 29 30"),
                "22007",
                "invalid input syntax for type date: \"2024 02 29 30\"",
            ),
            (date("2024 02"), "22007", "invalid input syntax for type date: \"2024 02\""),
            (
                date("thu 2024-02-29"),
                "22007",
                "invalid input syntax for type date: \"thu 2024-02-29\"",
            ),
            (date("24 02 29"), "22008", "date/time field value out of range: \"24 02 29\""),
            (
                time("12:34 2024-02-29"),
                "22007",
                "invalid input syntax for type timestamp: \"12:34 2024-02-29\"",
            ),
            (
                time("12:34 29-Feb-2024"),
                "22007",
                "invalid input syntax for type timestamp: \"12:34 29-Feb-2024\"",
            ),
            (
                time("2024-02-29 12:34:56+02Z"),
                "22007",
                "invalid input syntax for type timestamp: \"2024-02-29 12:34:56+02Z\"",
            ),
            (
                time("2024-02-29 12:34 UTC Z"),
                "22007",
                "invalid input syntax for type timestamp: \"2024-02-29 12:34 UTC Z\"",
            ),
            (date("4714-11-23 BC"), "22008", "date out of range: \"4714-11-23 BC\""),
            (date("6000000-01-01"), "22008", "date out of range: \"6000000-01-01\""),
            (time("x"), "22007", "invalid input syntax for type timestamp: \"x\""),
            (time("300000-01-01"), "22008", "timestamp out of range: \"300000-01-01\""),
            (
                time("2020-01-01 25:00"),
                "22008",
                "date/time field value out of range: \"2020-01-01 25:00\"",
            ),
            (
                time("2020-01-01 00:00+17"),
                "22009",
                "time zone displacement out of range: \"2020-01-01 00:00+17\"",
            ),
        ] {
            assert_eq!((error.state.code(), error.message.as_str()), (code, message));
        }
        assert!(date("2020-13-01").fields.hint.is_some());
        assert!(date("2020-02-30").fields.hint.is_none());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[0-9a-z:./+ -]{0,30}") {
            let _ = parse_date(&text);
            let _ = parse_timestamp(&text, true);
        }
    }
}
