//! `numeric`: exact decimals with PostgreSQL's scales, limits and special values.
//!
//! A finite value is an integer and a scale: `1.50` is 150 at scale 2. The scale is what is shown
//! and is kept by every operation as PostgreSQL keeps it, so `1.50 + 1` is `2.50` and `1.50 * 2.0`
//! is `3.000`. Addition and multiplication are exact. Division, roots and powers pick a scale that
//! gives at least 16 significant digits ([`division_scale`] and its neighbours), then round half
//! away from zero. PostgreSQL computes in base 10,000, and that shows: where it counts digits to
//! pick a scale, it counts groups of four, and so do we.
//!
//! Limits: 131,072 digits before the point, 16,383 after it. NaN equals itself and is larger than
//! everything, Infinity included. Source: `numeric.c`; manual 8.1.2.

use std::cmp::Ordering;

use bigdecimal::BigDecimal;
use bigdecimal::num_bigint::{BigInt, Sign};
use bigdecimal::num_traits::{Signed, ToPrimitive, Zero};

use super::{Numeric, SqlError, SqlResult, SqlState};

/// Most digits after the point.
const SCALE_MAX: i64 = 16_383;
/// Most digits before the point.
const INTEGER_DIGITS_MAX: i64 = 131_072;
/// Significant digits that inexact results have at least.
const SIGNIFICANT_DIGITS_MIN: i64 = 16;
/// Largest scale an inexact result is given.
const RESULT_SCALE_MAX: i64 = 1_000;
/// Decimal digits in one digit of PostgreSQL's representation.
const GROUP_DIGITS: i64 = 4;

fn overflow() -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "value overflows numeric format")
}

/// `22012`.
pub fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DivisionByZero, "division by zero")
}

fn ten_to(power: i64) -> BigInt {
    BigInt::from(10u8).pow(u32::try_from(power).expect("scales are bounded by SCALE_MAX"))
}

/// `value / divisor`, rounded half away from zero.
fn divide_rounded(value: &BigInt, divisor: &BigInt) -> BigInt {
    let doubled: BigInt = value.abs() * 2u8 + divisor.abs();
    let quotient = doubled / (divisor.abs() * 2u8);
    if value.is_negative() == divisor.is_negative() { quotient } else { -quotient }
}

/// Decimal digits of `|value|`; 0 has none.
fn digit_count(value: &BigInt) -> i64 {
    if value.is_zero() {
        return 0;
    }
    // log10(2) from both sides gives at most two candidates.
    let low = ((value.bits() - 1) as f64 * std::f64::consts::LOG10_2) as i64;
    let reaches = value.magnitude() >= ten_to(low).magnitude();
    let reaches_next = value.magnitude() >= ten_to(low + 1).magnitude();
    low + i64::from(reaches) + i64::from(reaches_next)
}

/// A finite value taken apart: `digits × 10^-scale`, scale ≥ 0.
#[derive(Clone, Debug)]
struct Decimal {
    digits: BigInt,
    scale: i64,
}

impl Decimal {
    fn of(value: &BigDecimal) -> Decimal {
        let (digits, scale) = value.as_bigint_and_scale();
        let mut decimal = Decimal { digits: digits.into_owned(), scale };
        if decimal.scale < 0 {
            decimal.digits *= ten_to(-decimal.scale);
            decimal.scale = 0;
        }
        decimal
    }

    /// The digits at a scale not below the own.
    fn digits_at(&self, scale: i64) -> BigInt {
        if scale == self.scale {
            self.digits.clone()
        } else {
            &self.digits * ten_to(scale - self.scale)
        }
    }

    /// The value at `scale`, rounded half away from zero if that loses digits.
    fn rounded(&self, scale: i64) -> Decimal {
        if scale >= self.scale {
            return Decimal { digits: self.digits_at(scale), scale };
        }
        let lost = self.scale - scale;
        // More digits lost than there are, and one: nothing is left to round up.
        if lost > digit_count(&self.digits) + 1 {
            return Decimal { digits: BigInt::zero(), scale };
        }
        Decimal { digits: divide_rounded(&self.digits, &ten_to(lost)), scale }
    }

    fn truncated(&self, scale: i64) -> Decimal {
        if scale >= self.scale {
            return Decimal { digits: self.digits_at(scale), scale };
        }
        let lost = self.scale - scale;
        if lost > digit_count(&self.digits) {
            return Decimal { digits: BigInt::zero(), scale };
        }
        Decimal { digits: &self.digits / ten_to(lost), scale }
    }

    /// With a negative scale brought back to 0, as it is shown.
    fn shown(self) -> Decimal {
        if self.scale >= 0 {
            return self;
        }
        Decimal { digits: self.digits * ten_to(-self.scale), scale: 0 }
    }

    /// Digits before the point; negative when zeros follow it, as -1 for 0.01.
    fn integer_digits(&self) -> i64 {
        digit_count(&self.digits) - self.scale
    }

    /// Power of 10,000 of the first group of four digits, and that group. `(0, 0)` for zero.
    fn leading_group(&self) -> (i64, i64) {
        if self.digits.is_zero() {
            return (0, 0);
        }
        let weight = (self.integer_digits() - 1).div_euclid(GROUP_DIGITS);
        let unit = Decimal { digits: self.digits.abs(), scale: self.scale + weight * GROUP_DIGITS };
        let first = if unit.scale >= 0 {
            unit.truncated(0).digits
        } else {
            unit.digits * ten_to(-unit.scale)
        };
        (weight, first.to_i64().expect("a group of four digits"))
    }

    fn finish(self) -> SqlResult<Numeric> {
        if self.scale > SCALE_MAX || self.integer_digits() > INTEGER_DIGITS_MAX {
            return Err(overflow());
        }
        Ok(Numeric::Finite(Box::new(BigDecimal::new(self.digits, self.scale))))
    }
}

/// Scale of a quotient: enough for 16 significant digits, not below the operands' scales.
fn division_scale(dividend: &Decimal, divisor: &Decimal) -> i64 {
    let (dividend_weight, dividend_first) = dividend.leading_group();
    let (divisor_weight, divisor_first) = divisor.leading_group();
    let mut weight = dividend_weight - divisor_weight;
    if dividend_first <= divisor_first {
        weight -= 1;
    }
    (SIGNIFICANT_DIGITS_MIN - weight * GROUP_DIGITS)
        .max(dividend.scale)
        .max(divisor.scale)
        .clamp(0, RESULT_SCALE_MAX)
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Numeric {
        Numeric::Finite(Box::new(BigDecimal::new(BigInt::from(value), 0)))
    }
}

impl Numeric {
    /// The integer, at scale 0.
    pub fn from_i128(value: i128) -> Numeric {
        Numeric::Finite(Box::new(BigDecimal::new(BigInt::from(value), 0)))
    }

    /// `digits × 10^-scale`.
    pub fn from_parts(digits: i64, scale: u16) -> Numeric {
        Numeric::Finite(Box::new(BigDecimal::new(BigInt::from(digits), i64::from(scale))))
    }

    /// -1, 0 or 1 at scale 0; NaN for NaN.
    pub fn sign(&self) -> Numeric {
        match self {
            Numeric::NaN => Numeric::NaN,
            other => Numeric::from(other.signum()),
        }
    }

    /// -1, 0 or 1; 1 for NaN, which sorts above everything.
    fn signum(&self) -> i64 {
        match self {
            Numeric::NegInfinity => -1,
            Numeric::Infinity | Numeric::NaN => 1,
            Numeric::Finite(v) => match v.sign() {
                Sign::Minus => -1,
                Sign::NoSign => 0,
                Sign::Plus => 1,
            },
        }
    }

    pub fn is_zero(&self) -> bool {
        self.signum() == 0
    }

    fn decimal(&self) -> Option<Decimal> {
        match self {
            Numeric::Finite(v) => Some(Decimal::of(v)),
            _ => None,
        }
    }

    #[must_use]
    pub fn negate(&self) -> Numeric {
        match self {
            Numeric::NegInfinity => Numeric::Infinity,
            Numeric::Infinity => Numeric::NegInfinity,
            Numeric::NaN => Numeric::NaN,
            Numeric::Finite(v) => Numeric::Finite(Box::new(-v.as_ref())),
        }
    }

    #[must_use]
    pub fn abs(&self) -> Numeric {
        if self.signum() < 0 { self.negate() } else { self.clone() }
    }

    pub fn add(&self, other: &Numeric) -> SqlResult<Numeric> {
        let (Some(a), Some(b)) = (self.decimal(), other.decimal()) else {
            return Ok(match (self, other) {
                (Numeric::NaN, _) | (_, Numeric::NaN) => Numeric::NaN,
                (Numeric::Infinity, Numeric::NegInfinity)
                | (Numeric::NegInfinity, Numeric::Infinity) => Numeric::NaN,
                (Numeric::Finite(_), infinite) => infinite.clone(),
                (infinite, _) => infinite.clone(),
            });
        };
        let scale = a.scale.max(b.scale);
        Decimal { digits: a.digits_at(scale) + b.digits_at(scale), scale }.finish()
    }

    pub fn subtract(&self, other: &Numeric) -> SqlResult<Numeric> {
        self.add(&other.negate())
    }

    pub fn multiply(&self, other: &Numeric) -> SqlResult<Numeric> {
        let (Some(a), Some(b)) = (self.decimal(), other.decimal()) else {
            return Ok(match self.special_sign(other) {
                Some(0) | None => Numeric::NaN,
                Some(sign) => infinity(sign),
            });
        };
        let product = Decimal { digits: a.digits * b.digits, scale: a.scale + b.scale };
        if product.scale > SCALE_MAX {
            product.rounded(SCALE_MAX).finish()
        } else {
            product.finish()
        }
    }

    /// Product of the signs; `None` if either is NaN.
    fn special_sign(&self, other: &Numeric) -> Option<i64> {
        if matches!(self, Numeric::NaN) || matches!(other, Numeric::NaN) {
            return None;
        }
        Some(self.signum() * other.signum())
    }

    /// What a quotient or remainder is when an operand is not finite.
    fn divide_special(&self, other: &Numeric, remainder: bool) -> SqlResult<Numeric> {
        let Some(_) = self.special_sign(other) else { return Ok(Numeric::NaN) };
        if other.is_zero() {
            return Err(division_by_zero());
        }
        match (self, other) {
            (Numeric::Finite(_), _) if remainder => Ok(self.clone()),
            (Numeric::Finite(_), _) => Ok(Numeric::from(0)),
            (_, Numeric::Finite(_)) if !remainder => Ok(infinity(self.signum() * other.signum())),
            _ => Ok(Numeric::NaN),
        }
    }

    pub fn divide(&self, other: &Numeric) -> SqlResult<Numeric> {
        let (Some(a), Some(b)) = (self.decimal(), other.decimal()) else {
            return self.divide_special(other, false);
        };
        if b.digits.is_zero() {
            return Err(division_by_zero());
        }
        let scale = division_scale(&a, &b);
        quotient(&a, &b, scale).finish()
    }

    /// The quotient cut to an integer: `div(a, b)`.
    pub fn divide_integer(&self, other: &Numeric) -> SqlResult<Numeric> {
        let (Some(a), Some(b)) = (self.decimal(), other.decimal()) else {
            return self.divide_special(other, false);
        };
        if b.digits.is_zero() {
            return Err(division_by_zero());
        }
        let scale = a.scale.max(b.scale);
        Decimal { digits: a.digits_at(scale) / b.digits_at(scale), scale: 0 }.finish()
    }

    /// Has the sign of the dividend.
    pub fn remainder(&self, other: &Numeric) -> SqlResult<Numeric> {
        let (Some(a), Some(b)) = (self.decimal(), other.decimal()) else {
            return self.divide_special(other, true);
        };
        if b.digits.is_zero() {
            return Err(division_by_zero());
        }
        let scale = a.scale.max(b.scale);
        Decimal { digits: a.digits_at(scale) % b.digits_at(scale), scale }.finish()
    }

    /// Rounded half away from zero to `scale` digits after the point; a negative scale rounds
    /// before it.
    pub fn round(&self, scale: i32) -> SqlResult<Numeric> {
        let Some(value) = self.decimal() else { return Ok(self.clone()) };
        let scale = i64::from(scale).clamp(-INTEGER_DIGITS_MAX, SCALE_MAX);
        value.rounded(scale).shown().finish()
    }

    /// Cut to `scale` digits after the point.
    pub fn truncate(&self, scale: i32) -> SqlResult<Numeric> {
        let Some(value) = self.decimal() else { return Ok(self.clone()) };
        let scale = i64::from(scale).clamp(-INTEGER_DIGITS_MAX, SCALE_MAX);
        value.truncated(scale).shown().finish()
    }

    /// The largest integer not above.
    pub fn floor(&self) -> SqlResult<Numeric> {
        let Some(value) = self.decimal() else { return Ok(self.clone()) };
        let mut cut = value.truncated(0);
        if value.digits.is_negative() && cut.digits_at(value.scale) != value.digits {
            cut.digits -= 1;
        }
        cut.finish()
    }

    /// The smallest integer not below.
    pub fn ceil(&self) -> SqlResult<Numeric> {
        Ok(self.negate().floor()?.negate())
    }

    pub fn sqrt(&self) -> SqlResult<Numeric> {
        let Some(value) = self.decimal() else {
            return match self {
                Numeric::NegInfinity => Err(negative_root()),
                other => Ok(other.clone()),
            };
        };
        if value.digits.is_negative() {
            return Err(negative_root());
        }
        let (weight, _) = value.leading_group();
        let root_weight = (weight + 1) * GROUP_DIGITS / 2 - 1;
        let scale = (SIGNIFICANT_DIGITS_MIN - root_weight).max(value.scale);
        let scale = scale.clamp(0, RESULT_SCALE_MAX.max(value.scale));
        let square = value.digits_at((2 * scale).max(value.scale));
        let root = square.sqrt();
        // (root + ½)² = root² + root + ¼: a remainder above root rounds up.
        let up = square - &root * &root > root;
        Decimal { digits: root + i32::from(up), scale }.finish()
    }

    /// `self ^ exponent`. Exponents that are not integers give 0A000.
    pub fn power(&self, exponent: &Numeric) -> SqlResult<Numeric> {
        let (Some(base), Some(exp)) = (self.decimal(), exponent.decimal()) else {
            return Ok(self.power_special(exponent));
        };
        if base.digits.is_zero() && exp.digits.is_negative() {
            return Err(SqlError::new(
                SqlState::InvalidArgumentForPower,
                "zero raised to a negative power is undefined",
            ));
        }
        let whole = exp.truncated(0);
        if whole.digits_at(exp.scale) != exp.digits {
            if base.digits.is_negative() {
                return Err(SqlError::new(
                    SqlState::InvalidArgumentForPower,
                    "a negative number raised to a non-integer power yields a complex result",
                ));
            }
            return Err(SqlError::unsupported("numeric raised to a fractional power"));
        }
        let Some(exp) = whole.digits.to_i32() else {
            return Err(SqlError::unsupported("numeric raised to a power above 2^31"));
        };
        let scale = SIGNIFICANT_DIGITS_MIN.max(base.scale).min(RESULT_SCALE_MAX);
        integer_power(&base, exp, scale)?.finish()
    }

    fn power_special(&self, exponent: &Numeric) -> Numeric {
        let one = Numeric::from(1);
        // x^0 and 1^x are 1 even for NaN.
        if exponent.is_zero() || *self == one {
            return one;
        }
        if matches!(self, Numeric::NaN) || matches!(exponent, Numeric::NaN) {
            return Numeric::NaN;
        }
        let grows = match exponent {
            Numeric::Finite(_) => exponent.signum() > 0,
            _ => {
                let order = self.abs().cmp(&one);
                if order.is_eq() {
                    return one;
                }
                order.is_gt() == (exponent.signum() > 0)
            }
        };
        if !grows {
            return Numeric::from(0);
        }
        let odd = exponent.decimal().is_some_and(|e| e.scale == 0 && e.digits.bit(0));
        infinity(if self.signum() < 0 && odd { -1 } else { 1 })
    }

    /// Rounds to `numeric(p,s)`'s scale and checks its precision; -1 is no modifier.
    pub fn apply_typmod(self, typmod: i32) -> SqlResult<Numeric> {
        let Some((precision, scale)) = typmod_parts(typmod) else { return Ok(self) };
        let value = match &self {
            Numeric::NaN => return Ok(self),
            Numeric::Finite(v) => Decimal::of(v),
            _ => {
                return Err(field_overflow(format!(
                    "A field with precision {precision}, scale {scale} cannot hold an infinite value."
                )));
            }
        };
        let rounded = value.rounded(i64::from(scale)).shown();
        let digits_max = i64::from(precision - scale);
        if !rounded.digits.is_zero() && rounded.integer_digits() > digits_max {
            let bound = if digits_max == 0 { "1".to_owned() } else { format!("10^{digits_max}") };
            return Err(field_overflow(format!(
                "A field with precision {precision}, scale {scale} must round to an absolute \
                 value less than {bound}."
            )));
        }
        rounded.finish()
    }

    /// Rounded half away from zero to an integer; `type_name` is for the error.
    pub fn to_i64(&self, type_name: &str) -> SqlResult<i64> {
        let refused = |what| {
            let message = format!("cannot convert {what} to {type_name}");
            Err(SqlError::new(SqlState::FeatureNotSupported, message))
        };
        let value = match self {
            Numeric::Finite(v) => Decimal::of(v).rounded(0),
            Numeric::NaN => return refused("NaN"),
            _ => return refused("infinity"),
        };
        value.digits.to_i64().ok_or_else(|| out_of_range(type_name))
    }

    /// The value, if it is an integer that fits.
    pub fn to_i128(&self) -> Option<i128> {
        let value = self.decimal()?;
        let whole = value.truncated(0);
        (whole.digits_at(value.scale) == value.digits).then(|| whole.digits.to_i128()).flatten()
    }

    /// The nearest double. 22003 if its magnitude is too large.
    pub fn to_f64(&self) -> SqlResult<f64> {
        let value = match self {
            Numeric::NegInfinity => return Ok(f64::NEG_INFINITY),
            Numeric::Infinity => return Ok(f64::INFINITY),
            Numeric::NaN => return Ok(f64::NAN),
            Numeric::Finite(_) => super::float::parse_f64(&self.to_string())?,
        };
        Ok(value)
    }

    /// The nearest float. 22003 if its magnitude is too large.
    pub fn to_f32(&self) -> SqlResult<f32> {
        match self {
            Numeric::Finite(_) => super::float::parse_f32(&self.to_string()),
            other => Ok(other.to_f64()? as f32),
        }
    }

    /// The double at 15 significant digits, as PostgreSQL's cast.
    pub fn from_f64(value: f64) -> Numeric {
        from_float(value, 14)
    }

    /// The float at 6 significant digits, as PostgreSQL's cast.
    pub fn from_f32(value: f32) -> Numeric {
        from_float(f64::from(value), 5)
    }

    /// Text input: digits with an optional point and exponent, `NaN`, `[+-]Infinity`, `[+-]inf`.
    pub fn parse(text: &str) -> SqlResult<Numeric> {
        let invalid = || {
            let message = format!("invalid input syntax for type numeric: \"{text}\"");
            SqlError::new(SqlState::InvalidTextRepresentation, message)
        };
        let trimmed = text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}');
        let (negative, body) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        if body.eq_ignore_ascii_case("infinity") || body.eq_ignore_ascii_case("inf") {
            return Ok(infinity(if negative { -1 } else { 1 }));
        }
        if trimmed.eq_ignore_ascii_case("nan") {
            return Ok(Numeric::NaN);
        }
        let (mantissa, exponent) = match body.find(['e', 'E']) {
            Some(at) => (&body[..at], parse_exponent(&body[at + 1..]).ok_or_else(invalid)?),
            None => (body, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.len() + fraction.len() == 0 || !all_digits(whole) || !all_digits(fraction) {
            return Err(invalid());
        }
        let digits = format!("{whole}{fraction}");
        let digits = digits.trim_start_matches('0');
        let mut scale = fraction.len() as i64 - exponent;
        if digits.is_empty() {
            scale = scale.max(0);
        }
        // Before the digits are read, which takes a square of their number.
        if scale.max(0) > SCALE_MAX || digits.len() as i64 - scale > INTEGER_DIGITS_MAX {
            return Err(overflow());
        }
        let mut digits = digits.parse::<BigInt>().unwrap_or_default();
        if negative {
            digits = -digits;
        }
        Decimal { digits, scale }.shown().finish()
    }
}

/// An exponent, saturated: nothing so large is accepted anyway.
fn parse_exponent(text: &str) -> Option<i64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(sign * digits.parse::<i64>().map_or(1 << 40, |v| v.min(1 << 40)))
}

fn from_float(value: f64, digits_after_first: usize) -> Numeric {
    if value.is_nan() {
        return Numeric::NaN;
    }
    if value.is_infinite() {
        return infinity(if value > 0.0 { 1 } else { -1 });
    }
    let text = format!("{value:.digits_after_first$e}");
    let (mantissa, exponent) = text.split_once('e').expect("exponent form has an e");
    let mantissa = mantissa.trim_end_matches('0').trim_end_matches('.');
    Numeric::parse(&format!("{mantissa}e{exponent}")).expect("a float's digits are a numeric")
}

fn infinity(sign: i64) -> Numeric {
    if sign < 0 { Numeric::NegInfinity } else { Numeric::Infinity }
}

fn negative_root() -> SqlError {
    SqlError::new(SqlState::InvalidArgumentForPower, "cannot take square root of a negative number")
}

/// 22003 `integer out of range`.
pub fn out_of_range(type_name: &str) -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, format!("{type_name} out of range"))
}

fn field_overflow(detail: String) -> SqlError {
    SqlError::new(SqlState::NumericValueOutOfRange, "numeric field overflow").with_detail(detail)
}

/// Precision and scale of a type modifier of `numeric`; the scale may be negative.
pub fn typmod_parts(typmod: i32) -> Option<(i32, i32)> {
    if typmod < 4 {
        return None;
    }
    let packed = typmod - 4;
    // The scale is an 11-bit two's complement number.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    Some(((packed >> 16) & 0xffff, scale))
}

fn quotient(dividend: &Decimal, divisor: &Decimal, scale: i64) -> Decimal {
    let shift = scale + divisor.scale - dividend.scale;
    let digits = if shift >= 0 {
        divide_rounded(&(&dividend.digits * ten_to(shift)), &divisor.digits)
    } else {
        divide_rounded(&dividend.digits, &(&divisor.digits * ten_to(-shift)))
    };
    Decimal { digits, scale }
}

/// `base ^ exponent` at `scale`, with guard digits as PostgreSQL's `power_var_int` keeps them.
fn integer_power(base: &Decimal, exponent: i32, scale: i64) -> SqlResult<Decimal> {
    match exponent {
        0 => return Ok(Decimal { digits: ten_to(scale), scale }),
        1 => return Ok(base.rounded(scale)),
        -1 => return Ok(quotient(&Decimal { digits: BigInt::from(1), scale: 0 }, base, scale)),
        2 => {
            let square = Decimal { digits: &base.digits * &base.digits, scale: base.scale * 2 };
            return Ok(square.rounded(scale));
        }
        _ if base.digits.is_zero() => return Ok(Decimal { digits: BigInt::zero(), scale }),
        _ => {}
    }
    let magnitude = (base.integer_digits() - 1) as f64 + leading_fraction(base).log10();
    let result_magnitude = f64::from(exponent) * magnitude;
    if result_magnitude > INTEGER_DIGITS_MAX as f64 + 1.0 {
        return Err(overflow());
    }
    if result_magnitude + 1.0 < -(scale as f64) {
        return Ok(Decimal { digits: BigInt::zero(), scale });
    }
    let significant =
        1 + scale + result_magnitude as i64 + exponent.unsigned_abs().ilog10() as i64 + 8;
    let power = power_by_squaring(base, exponent.unsigned_abs(), significant.max(9) + 8);
    if exponent < 0 {
        let one = Decimal { digits: BigInt::from(1), scale: 0 };
        return Ok(quotient(&one, &power, scale));
    }
    Ok(if power.scale >= 0 { power.rounded(scale) } else { power.shown().rounded(scale) })
}

/// The first digits as a number in [1, 10).
fn leading_fraction(value: &Decimal) -> f64 {
    let count = digit_count(&value.digits);
    let kept = value.digits.abs() / ten_to((count - 16).max(0));
    kept.to_f64().expect("sixteen digits fit a double") / 10f64.powi(count.min(16) as i32 - 1)
}

/// Keeps `significant` digits between steps. The result's scale may be negative.
fn power_by_squaring(base: &Decimal, exponent: u32, significant: i64) -> Decimal {
    let trim = |value: Decimal| {
        let excess = digit_count(&value.digits) - significant;
        if excess <= 0 {
            return value;
        }
        Decimal { digits: value.digits / ten_to(excess), scale: value.scale - excess }
    };
    let mut result = Decimal { digits: BigInt::from(1), scale: 0 };
    let mut square = base.clone();
    let mut rest = exponent;
    while rest > 0 {
        if rest & 1 == 1 {
            result = trim(Decimal {
                digits: &result.digits * &square.digits,
                scale: result.scale + square.scale,
            });
        }
        rest >>= 1;
        if rest > 0 {
            square =
                trim(Decimal { digits: &square.digits * &square.digits, scale: square.scale * 2 });
        }
    }
    result
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Numeric) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Numeric {
    /// -Infinity, the finite ones by value, Infinity, NaN. Scale does not matter.
    fn cmp(&self, other: &Numeric) -> Ordering {
        let rank = |n: &Numeric| match n {
            Numeric::NegInfinity => 0,
            Numeric::Finite(_) => 1,
            Numeric::Infinity => 2,
            Numeric::NaN => 3,
        };
        match (self, other) {
            (Numeric::Finite(a), Numeric::Finite(b)) => a.cmp(b),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

impl std::fmt::Display for Numeric {
    /// Plain digits with the value's scale: never an exponent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = match self {
            Numeric::NegInfinity => return f.write_str("-Infinity"),
            Numeric::Infinity => return f.write_str("Infinity"),
            Numeric::NaN => return f.write_str("NaN"),
            Numeric::Finite(v) => Decimal::of(v),
        };
        let digits = value.digits.magnitude().to_string();
        if value.digits.is_negative() {
            f.write_str("-")?;
        }
        let scale = usize::try_from(value.scale).expect("the scale is not negative");
        if scale == 0 {
            return f.write_str(&digits);
        }
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        write!(f, "{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(text: &str) -> Numeric {
        Numeric::parse(text).unwrap()
    }

    /// Each line as PostgreSQL 15 answers it.
    #[test]
    fn arithmetic_keeps_postgresql_scales() {
        let cases = [
            ("1.0", "/", "3", "0.33333333333333333333"),
            ("1", "/", "3.0", "0.33333333333333333333"),
            ("10000.0", "/", "3", "3333.3333333333333333"),
            ("0.0001", "/", "3", "0.000033333333333333333333"),
            ("1e10", "/", "3", "3333333333.33333333"),
            ("2.5", "/", "1.25", "2.0000000000000000"),
            ("7", "/", "7", "1.00000000000000000000"),
            ("-7", "/", "2", "-3.5000000000000000"),
            ("1.50", "+", "1", "2.50"),
            ("1.50", "*", "2.0", "3.000"),
            ("1.50", "-", "1.5", "0.00"),
            ("-7.5", "%", "2", "-1.5"),
            ("Infinity", "+", "-Infinity", "NaN"),
            ("Infinity", "*", "0", "NaN"),
            ("Infinity", "*", "-2", "-Infinity"),
            ("5", "/", "Infinity", "0"),
            ("5", "%", "Infinity", "5"),
            ("Infinity", "/", "-2", "-Infinity"),
            ("NaN", "/", "0", "NaN"),
            ("2", "^", "3", "8.0000000000000000"),
            ("2.5", "^", "2", "6.2500000000000000"),
            ("2", "^", "-1", "0.5000000000000000"),
            ("10", "^", "20", "100000000000000000000.0000000000000000"),
            ("1.0001", "^", "1000", "1.1051653926032327"),
            ("0", "^", "0", "1.0000000000000000"),
            ("NaN", "^", "0", "1"),
            ("-Infinity", "^", "3", "-Infinity"),
        ];
        for (left, op, right, expected) in cases {
            let (a, b) = (n(left), n(right));
            let result = match op {
                "+" => a.add(&b),
                "-" => a.subtract(&b),
                "*" => a.multiply(&b),
                "/" => a.divide(&b),
                "%" => a.remainder(&b),
                _ => a.power(&b),
            };
            assert_eq!(result.unwrap().to_string(), expected, "{left} {op} {right}");
        }
        assert_eq!(n("Infinity").divide(&n("0")).unwrap_err().state, SqlState::DivisionByZero);
    }

    #[test]
    fn roots_have_sixteen_digits() {
        let cases = [
            ("2", "1.414213562373095"),
            ("0.0001", "0.01000000000000000"),
            ("10000", "100.0000000000000"),
            ("123456789012", "351364.18288152252"),
            ("2.00000000000000000000000", "1.41421356237309504880169"),
            ("0", "0.000000000000000"),
            ("5e-10", "0.000022360679774997897"),
        ];
        for (input, expected) in cases {
            assert_eq!(n(input).sqrt().unwrap().to_string(), expected, "sqrt({input})");
        }
    }

    #[test]
    fn rounding_is_half_away_from_zero() {
        let cases = [
            ("2.5", 0, "3"),
            ("-2.5", 0, "-3"),
            ("0.05", 1, "0.1"),
            ("0.049", 1, "0.0"),
            ("1250", -2, "1300"),
            ("1.5", 3, "1.500"),
            ("0.4", -3, "0"),
        ];
        for (input, scale, expected) in cases {
            assert_eq!(n(input).round(scale).unwrap().to_string(), expected, "{input}");
        }
        assert_eq!(n("-2.5").floor().unwrap().to_string(), "-3");
        assert_eq!(n("-2.5").ceil().unwrap().to_string(), "-2");
        assert_eq!(n("2.0").floor().unwrap().to_string(), "2");
        assert_eq!(n("-1.29").truncate(1).unwrap().to_string(), "-1.2");
    }

    #[test]
    fn type_modifiers_round_and_refuse() {
        let typmod = |p: i32, s: i32| ((p << 16) | (s & 0x7ff)) + 4;
        assert_eq!(n("99.994").apply_typmod(typmod(4, 2)).unwrap().to_string(), "99.99");
        assert_eq!(n("12345").apply_typmod(typmod(3, -2)).unwrap().to_string(), "12300");
        let error = n("99.995").apply_typmod(typmod(4, 2)).unwrap_err();
        assert_eq!(
            error.fields.detail.as_deref(),
            Some(
                "A field with precision 4, scale 2 must round to an absolute value less than 10^2."
            )
        );
        let error = n("0.9999").apply_typmod(typmod(3, 3)).unwrap_err();
        assert!(error.fields.detail.unwrap().ends_with("less than 1."));
        assert_eq!(n("NaN").apply_typmod(typmod(3, 3)).unwrap(), Numeric::NaN);
        assert!(n("inf").apply_typmod(typmod(3, 3)).is_err());
    }

    #[test]
    fn input_forms() {
        for (input, expected) in [
            (" 1.50 ", "1.50"),
            ("-.5", "-0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.5e-3", "0.0015"),
            ("-0", "0"),
            ("-iNf", "-Infinity"),
            ("nan", "NaN"),
            ("000123", "123"),
            ("0e999999", "0"),
            ("0.001e5", "100"),
            (&format!("0.{}1e200001", "0".repeat(200_000)), "1"),
            (&format!("0.{}e131072", "9".repeat(131_072)), &"9".repeat(131_072)),
        ] {
            assert_eq!(n(input).to_string(), expected);
        }
        for input in ["", ".", "1e", "1e+", "--1", "1 2", "0x1", "-nan", "1e1e1"] {
            let error = Numeric::parse(input).unwrap_err();
            assert_eq!(error.state, SqlState::InvalidTextRepresentation, "{input}");
        }
        // The last one is refused before it is read, which would take minutes.
        let long = format!("0.{}e16000000", "9".repeat(16_000_000));
        for input in ["1e1000000", "1e3000000000000000000000", "1e-20000", &long] {
            assert_eq!(Numeric::parse(input).unwrap_err().state, SqlState::NumericValueOutOfRange);
        }
    }

    #[test]
    fn floats_convert_at_their_decimal_digits() {
        assert_eq!(Numeric::from_f64(0.1 + 0.2).to_string(), "0.3");
        assert_eq!(Numeric::from_f64(1e20).to_string(), "100000000000000000000");
        assert_eq!(Numeric::from_f32(0.1).to_string(), "0.1");
        assert_eq!(Numeric::from_f32(16_777_216.0).to_string(), "16777200");
        assert_eq!(n("0.1").to_f64().unwrap(), 0.1);
        assert_eq!(n("2.5").to_i64("integer").unwrap(), 3);
        assert_eq!(n("1e30").to_i64("bigint").unwrap_err().message, "bigint out of range");
    }

    #[test]
    fn order_puts_nan_last() {
        let sorted = ["-Infinity", "-1", "0.00", "0.5", "1e10", "Infinity", "NaN"].map(n);
        assert!(sorted.windows(2).all(|w| w[0] < w[1]));
        assert_eq!(n("1.0").cmp(&n("1.000")), Ordering::Equal);
    }
}
