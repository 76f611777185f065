//! Text forms of `real` and `double precision`.
//!
//! Output is the shortest decimal that reads back as the same value, in PostgreSQL's layout: an
//! exponent below 10^-4 and from 10^15 (real: 10^6) on, at least two exponent digits.
//!
//! One difference to Rust's own shortest digits: PostgreSQL does not use a decimal that lies
//! exactly on the border to the neighbouring float, since a reader that does not round half to even
//! would take the neighbour. Such borders exist only between 2^20 and 2^140 or so.

use bigdecimal::num_bigint::BigInt;

use super::{SqlError, SqlResult, SqlState};

/// What the two widths differ in.
trait Float: Copy + PartialEq + std::fmt::LowerExp + std::str::FromStr {
    const TYPE_NAME: &'static str;
    /// First exponent of ten that is written in exponent form.
    const EXPONENT_FROM: i32;
    /// Mantissa bits, the implied one included.
    const MANTISSA_BITS: u32;
    fn to_f64(self) -> f64;
}

impl Float for f64 {
    const TYPE_NAME: &'static str = "double precision";
    const EXPONENT_FROM: i32 = 15;
    const MANTISSA_BITS: u32 = 53;
    fn to_f64(self) -> f64 {
        self
    }
}

impl Float for f32 {
    const TYPE_NAME: &'static str = "real";
    const EXPONENT_FROM: i32 = 6;
    const MANTISSA_BITS: u32 = 24;
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

/// Appends the text form.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    write(value, out);
}

/// Appends the text form.
pub fn write_f32(value: f32, out: &mut Vec<u8>) {
    write(value, out);
}

/// Text input of `double precision`.
pub fn parse_f64(text: &str) -> SqlResult<f64> {
    parse(text)
}

/// Text input of `real`.
pub fn parse_f32(text: &str) -> SqlResult<f32> {
    parse(text)
}

fn write<F: Float>(value: F, out: &mut Vec<u8>) {
    let wide = value.to_f64();
    if wide.is_nan() {
        out.extend_from_slice(b"NaN");
        return;
    }
    if wide.is_sign_negative() {
        out.push(b'-');
    }
    if wide.is_infinite() {
        out.extend_from_slice(b"Infinity");
        return;
    }
    let (digits, exponent) = shortest_digits(value);
    layout(&digits, exponent, F::EXPONENT_FROM, out);
}

/// Significant digits without sign, and the exponent of ten of the first one.
fn shortest_digits<F: Float>(value: F) -> (String, i32) {
    let mut text = format!("{value:e}");
    if may_have_border(value) {
        let mut precision = 0;
        while on_border(value, &text) {
            // The digits nearest to the value, one more each time, until they are inside.
            text = format!("{value:.precision$e}");
            if text.parse::<F>().ok() != Some(value) {
                text = format!("{value:e}");
            }
            precision += 1;
        }
    }
    let (mantissa, exponent) = text.split_once('e').expect("exponent form has an e");
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_end_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    (digits.to_owned(), exponent.parse().expect("the exponent is a number"))
}

fn may_have_border<F: Float>(value: F) -> bool {
    let magnitude = value.to_f64().abs();
    magnitude >= f64::from(1u32 << 20) && magnitude < 2f64.powi(140)
}

/// Whether the decimal is exactly half way to a neighbour of `value`.
fn on_border<F: Float>(value: F, text: &str) -> bool {
    let wide = value.to_f64().abs();
    let bits = wide.to_bits();
    let exponent = ((bits >> 52) as i32) - 1075;
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    // value = mantissa × 2^exponent; a unit of this width's last place is 2^unit.
    let unit = exponent + 53 - F::MANTISSA_BITS as i32;
    // Everything times four and to a common power of two, so that halves and quarters are whole.
    let shift = (unit - 2).min(0).min(exponent).unsigned_abs();
    let scaled = |value: u64, power: i32| BigInt::from(value) << (power + shift as i32) as usize;
    let exact = scaled(mantissa, exponent);
    let half_unit = scaled(1, unit - 1);
    let quarter_unit = scaled(1, unit - 2);
    let Some(decimal) = decimal_times(text, shift) else { return false };
    let distance = (&decimal - &exact).magnitude().clone();
    // Below a power of two the neighbour is only half as far.
    let is_power = mantissa == 1 << 52;
    distance == *half_unit.magnitude()
        || (is_power && decimal < exact && distance == *quarter_unit.magnitude())
}

/// `|decimal| × 2^shift`, where that is a whole number.
fn decimal_times(text: &str, shift: u32) -> Option<BigInt> {
    let (mantissa, exponent) = text.trim_start_matches('-').split_once('e')?;
    let fraction = mantissa.split_once('.').map_or(0, |(_, f)| f.len() as i32);
    let digits: BigInt = mantissa.replace('.', "").parse().ok()?;
    let power = exponent.parse::<i32>().ok()? - fraction;
    let shifted = digits << shift as usize;
    let ten = BigInt::from(10u8);
    if power >= 0 {
        return Some(shifted * ten.pow(power.unsigned_abs()));
    }
    let divisor = ten.pow(power.unsigned_abs());
    (&shifted % &divisor == BigInt::ZERO).then(|| shifted / divisor)
}

fn layout(digits: &str, exponent: i32, exponent_from: i32, out: &mut Vec<u8>) {
    let (first, rest) = digits.split_at(1);
    if exponent < -4 || exponent >= exponent_from {
        out.extend_from_slice(first.as_bytes());
        if !rest.is_empty() {
            out.push(b'.');
            out.extend_from_slice(rest.as_bytes());
        }
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.abs()).as_bytes());
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        out.extend_from_slice(digits.as_bytes());
    } else {
        let whole = exponent as usize + 1;
        if digits.len() <= whole {
            out.extend_from_slice(digits.as_bytes());
            out.extend(std::iter::repeat_n(b'0', whole - digits.len()));
        } else {
            out.extend_from_slice(&digits.as_bytes()[..whole]);
            out.push(b'.');
            out.extend_from_slice(&digits.as_bytes()[whole..]);
        }
    }
}

fn parse<F: Float>(text: &str) -> SqlResult<F> {
    let invalid = || {
        let message = format!("invalid input syntax for type {}: \"{text}\"", F::TYPE_NAME);
        SqlError::new(SqlState::InvalidTextRepresentation, message)
    };
    let body = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
    let unsigned = body.strip_prefix(['+', '-']).unwrap_or(body);
    let is_word = ["nan", "inf", "infinity"].iter().any(|w| unsigned.eq_ignore_ascii_case(w));
    let value = body.parse::<F>().map_err(|_| invalid())?;
    if is_word {
        return Ok(value);
    }
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b));
    let wide = value.to_f64();
    if wide.is_infinite() || (wide == 0.0 && !is_zero) {
        let message = format!("\"{text}\" is out of range for type {}", F::TYPE_NAME);
        return Err(SqlError::new(SqlState::NumericValueOutOfRange, message));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn double(value: f64) -> String {
        let mut out = Vec::new();
        write_f64(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn single(value: f32) -> String {
        let mut out = Vec::new();
        write_f32(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// As PostgreSQL 15 prints them.
    #[test]
    fn doubles() {
        let cases = [
            (1e15, "1e+15"),
            (1e14, "100000000000000"),
            (1e20, "1e+20"),
            (1e-4, "0.0001"),
            (1e-5, "1e-05"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1234.5, "1234.5"),
            (5.684341886080801e-14, "5.684341886080801e-14"),
            (9007199254740992.0, "9.007199254740992e+15"),
            (5e-324, "5e-324"),
            (9.223372036854776e18, "9.223372036854776e+18"),
            (f64::INFINITY, "Infinity"),
            (f64::NEG_INFINITY, "-Infinity"),
            (f64::NAN, "NaN"),
            (1e100, "1e+100"),
        ];
        for (value, expected) in cases {
            assert_eq!(double(value), expected);
        }
    }

    #[test]
    fn singles() {
        let cases = [
            (123_456.0, "123456"),
            (1_000_000.0, "1e+06"),
            (100_000.0, "100000"),
            (0.1, "0.1"),
            (16_777_216.0, "1.6777216e+07"),
            (33_554_432.0, "3.3554432e+07"),
            (1e-5, "1e-05"),
        ];
        for (value, expected) in cases {
            assert_eq!(single(value), expected);
        }
    }

    #[test]
    fn input() {
        assert_eq!(parse_f64(" 1.5 ").unwrap(), 1.5);
        assert_eq!(parse_f64("-inf").unwrap(), f64::NEG_INFINITY);
        assert_eq!(parse_f64("0e-400").unwrap(), 0.0);
        for (text, message) in [
            ("1e400", "\"1e400\" is out of range for type double precision"),
            ("1e-400", "\"1e-400\" is out of range for type double precision"),
            ("", "invalid input syntax for type double precision: \"\""),
            ("1 2", "invalid input syntax for type double precision: \"1 2\""),
        ] {
            assert_eq!(parse_f64(text).unwrap_err().message, message);
        }
        assert_eq!(
            parse_f32("1e50").unwrap_err().message,
            "\"1e50\" is out of range for type real"
        );
    }

    proptest! {
        #[test]
        fn output_reads_back(bits in any::<u64>(), narrow in any::<u32>()) {
            let value = f64::from_bits(bits);
            prop_assert!(value.is_nan() || parse_f64(&double(value)).unwrap() == value);
            let value = f32::from_bits(narrow);
            prop_assert!(value.is_nan() || parse_f32(&single(value)).unwrap() == value);
        }
    }
}
