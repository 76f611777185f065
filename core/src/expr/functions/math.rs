//! Numbers: the operators on them and the mathematical functions.
//!
//! Integers fail on overflow (22003) and on division by zero (22012). Floats fail where a finite
//! computation becomes infinite or a non-zero one becomes zero, as in PostgreSQL. `power`, `exp`,
//! `ln` and `cbrt` of floats use the platform's mathematical library, whose last digit may differ
//! between platforms; that cannot make replicas differ, because the log carries computed rows.

use super::{float, integer, invalid_parameter, numeric};
use crate::base::numeric::{division_by_zero, out_of_range};
use crate::base::{Datum, Numeric, SqlError, SqlResult, SqlState, SqlType};
use crate::expr::cast::{float_overflow, float_underflow};
use crate::expr::context::EvalContext;
use crate::expr::function::{Function, row};

const INT2: SqlType = SqlType::Int2;
const INT4: SqlType = SqlType::Int4;
const INT8: SqlType = SqlType::Int8;
const FLOAT4: SqlType = SqlType::Float4;
const FLOAT8: SqlType = SqlType::Float8;
const NUMERIC: SqlType = SqlType::Numeric;

#[rustfmt::skip]
pub(super) static ROWS: &[Function] = &[
    row(176, "int2pl", &[INT2, INT2], INT2, |a, _| arithmetic::<i16>(a, i64::checked_add)),
    row(178, "int24pl", &[INT2, INT4], INT4, |a, _| arithmetic::<i32>(a, i64::checked_add)),
    row(841, "int28pl", &[INT2, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_add)),
    row(179, "int42pl", &[INT4, INT2], INT4, |a, _| arithmetic::<i32>(a, i64::checked_add)),
    row(177, "int4pl", &[INT4, INT4], INT4, |a, _| arithmetic::<i32>(a, i64::checked_add)),
    row(1278, "int48pl", &[INT4, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_add)),
    row(837, "int82pl", &[INT8, INT2], INT8, |a, _| arithmetic::<i64>(a, i64::checked_add)),
    row(1274, "int84pl", &[INT8, INT4], INT8, |a, _| arithmetic::<i64>(a, i64::checked_add)),
    row(463, "int8pl", &[INT8, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_add)),
    row(180, "int2mi", &[INT2, INT2], INT2, |a, _| arithmetic::<i16>(a, i64::checked_sub)),
    row(182, "int24mi", &[INT2, INT4], INT4, |a, _| arithmetic::<i32>(a, i64::checked_sub)),
    row(942, "int28mi", &[INT2, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_sub)),
    row(183, "int42mi", &[INT4, INT2], INT4, |a, _| arithmetic::<i32>(a, i64::checked_sub)),
    row(181, "int4mi", &[INT4, INT4], INT4, |a, _| arithmetic::<i32>(a, i64::checked_sub)),
    row(1279, "int48mi", &[INT4, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_sub)),
    row(838, "int82mi", &[INT8, INT2], INT8, |a, _| arithmetic::<i64>(a, i64::checked_sub)),
    row(1275, "int84mi", &[INT8, INT4], INT8, |a, _| arithmetic::<i64>(a, i64::checked_sub)),
    row(464, "int8mi", &[INT8, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_sub)),
    row(152, "int2mul", &[INT2, INT2], INT2, |a, _| arithmetic::<i16>(a, i64::checked_mul)),
    row(170, "int24mul", &[INT2, INT4], INT4, |a, _| arithmetic::<i32>(a, i64::checked_mul)),
    row(943, "int28mul", &[INT2, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_mul)),
    row(171, "int42mul", &[INT4, INT2], INT4, |a, _| arithmetic::<i32>(a, i64::checked_mul)),
    row(141, "int4mul", &[INT4, INT4], INT4, |a, _| arithmetic::<i32>(a, i64::checked_mul)),
    row(1280, "int48mul", &[INT4, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_mul)),
    row(839, "int82mul", &[INT8, INT2], INT8, |a, _| arithmetic::<i64>(a, i64::checked_mul)),
    row(1276, "int84mul", &[INT8, INT4], INT8, |a, _| arithmetic::<i64>(a, i64::checked_mul)),
    row(465, "int8mul", &[INT8, INT8], INT8, |a, _| arithmetic::<i64>(a, i64::checked_mul)),
    row(153, "int2div", &[INT2, INT2], INT2, |a, _| division::<i16>(a)),
    row(172, "int24div", &[INT2, INT4], INT4, |a, _| division::<i32>(a)),
    row(948, "int28div", &[INT2, INT8], INT8, |a, _| division::<i64>(a)),
    row(173, "int42div", &[INT4, INT2], INT4, |a, _| division::<i32>(a)),
    row(154, "int4div", &[INT4, INT4], INT4, |a, _| division::<i32>(a)),
    row(1281, "int48div", &[INT4, INT8], INT8, |a, _| division::<i64>(a)),
    row(840, "int82div", &[INT8, INT2], INT8, |a, _| division::<i64>(a)),
    row(1277, "int84div", &[INT8, INT4], INT8, |a, _| division::<i64>(a)),
    row(466, "int8div", &[INT8, INT8], INT8, |a, _| division::<i64>(a)),
    row(155, "int2mod", &[INT2, INT2], INT2, |a, _| remainder::<i16>(a)),
    row(156, "int4mod", &[INT4, INT4], INT4, |a, _| remainder::<i32>(a)),
    row(945, "int8mod", &[INT8, INT8], INT8, |a, _| remainder::<i64>(a)),
    row(940, "mod", &[INT2, INT2], INT2, |a, _| remainder::<i16>(a)),
    row(941, "mod", &[INT4, INT4], INT4, |a, _| remainder::<i32>(a)),
    row(947, "mod", &[INT8, INT8], INT8, |a, _| remainder::<i64>(a)),
    row(1911, "int2up", &[INT2], INT2, |a, _| Ok(a[0].clone())),
    row(1912, "int4up", &[INT4], INT4, |a, _| Ok(a[0].clone())),
    row(1910, "int8up", &[INT8], INT8, |a, _| Ok(a[0].clone())),
    row(213, "int2um", &[INT2], INT2, |a, _| unary::<i16>(a, i64::checked_neg)),
    row(212, "int4um", &[INT4], INT4, |a, _| unary::<i32>(a, i64::checked_neg)),
    row(462, "int8um", &[INT8], INT8, |a, _| unary::<i64>(a, i64::checked_neg)),
    row(1253, "int2abs", &[INT2], INT2, |a, _| unary::<i16>(a, i64::checked_abs)),
    row(1251, "int4abs", &[INT4], INT4, |a, _| unary::<i32>(a, i64::checked_abs)),
    row(1230, "int8abs", &[INT8], INT8, |a, _| unary::<i64>(a, i64::checked_abs)),
    row(1398, "abs", &[INT2], INT2, |a, _| unary::<i16>(a, i64::checked_abs)),
    row(1397, "abs", &[INT4], INT4, |a, _| unary::<i32>(a, i64::checked_abs)),
    row(1396, "abs", &[INT8], INT8, |a, _| unary::<i64>(a, i64::checked_abs)),
    row(1892, "int2and", &[INT2, INT2], INT2, |a, _| bits::<i16>(a, |x, y| x & y)),
    row(1898, "int4and", &[INT4, INT4], INT4, |a, _| bits::<i32>(a, |x, y| x & y)),
    row(1904, "int8and", &[INT8, INT8], INT8, |a, _| bits::<i64>(a, |x, y| x & y)),
    row(1893, "int2or", &[INT2, INT2], INT2, |a, _| bits::<i16>(a, |x, y| x | y)),
    row(1899, "int4or", &[INT4, INT4], INT4, |a, _| bits::<i32>(a, |x, y| x | y)),
    row(1905, "int8or", &[INT8, INT8], INT8, |a, _| bits::<i64>(a, |x, y| x | y)),
    row(1894, "int2xor", &[INT2, INT2], INT2, |a, _| bits::<i16>(a, |x, y| x ^ y)),
    row(1900, "int4xor", &[INT4, INT4], INT4, |a, _| bits::<i32>(a, |x, y| x ^ y)),
    row(1906, "int8xor", &[INT8, INT8], INT8, |a, _| bits::<i64>(a, |x, y| x ^ y)),
    row(1895, "int2not", &[INT2], INT2, |a, _| unary::<i16>(a, |x| Some(!x))),
    row(1901, "int4not", &[INT4], INT4, |a, _| unary::<i32>(a, |x| Some(!x))),
    row(1907, "int8not", &[INT8], INT8, |a, _| unary::<i64>(a, |x| Some(!x))),
    row(1896, "int2shl", &[INT2, INT4], INT2, |a, _| shift2(a, |x, by| x.wrapping_shl(by))),
    row(1902, "int4shl", &[INT4, INT4], INT4, |a, _| shift4(a, i32::wrapping_shl)),
    row(1908, "int8shl", &[INT8, INT4], INT8, |a, _| shift8(a, i64::wrapping_shl)),
    row(1897, "int2shr", &[INT2, INT4], INT2, |a, _| shift2(a, |x, by| x.wrapping_shr(by))),
    row(1903, "int4shr", &[INT4, INT4], INT4, |a, _| shift4(a, i32::wrapping_shr)),
    row(1909, "int8shr", &[INT8, INT4], INT8, |a, _| shift8(a, i64::wrapping_shr)),
    row(5044, "gcd", &[INT4, INT4], INT4, |a, _| gcd::<i32>(a)),
    row(5045, "gcd", &[INT8, INT8], INT8, |a, _| gcd::<i64>(a)),
    row(204, "float4pl", &[FLOAT4, FLOAT4], FLOAT4, |a, _| float4(a, |x, y| x + y, false)),
    row(205, "float4mi", &[FLOAT4, FLOAT4], FLOAT4, |a, _| float4(a, |x, y| x - y, false)),
    row(202, "float4mul", &[FLOAT4, FLOAT4], FLOAT4, |a, _| float4(a, |x, y| x * y, true)),
    row(203, "float4div", &[FLOAT4, FLOAT4], FLOAT4, |a, _| { check_divisor(a)?; float4(a, |x, y| x / y, true) }),
    row(281, "float48pl", &[FLOAT4, FLOAT8], FLOAT8, |a, _| float8(a, |x, y| x + y, false)),
    row(285, "float84pl", &[FLOAT8, FLOAT4], FLOAT8, |a, _| float8(a, |x, y| x + y, false)),
    row(218, "float8pl", &[FLOAT8, FLOAT8], FLOAT8, |a, _| float8(a, |x, y| x + y, false)),
    row(282, "float48mi", &[FLOAT4, FLOAT8], FLOAT8, |a, _| float8(a, |x, y| x - y, false)),
    row(286, "float84mi", &[FLOAT8, FLOAT4], FLOAT8, |a, _| float8(a, |x, y| x - y, false)),
    row(219, "float8mi", &[FLOAT8, FLOAT8], FLOAT8, |a, _| float8(a, |x, y| x - y, false)),
    row(279, "float48mul", &[FLOAT4, FLOAT8], FLOAT8, |a, _| float8(a, |x, y| x * y, true)),
    row(283, "float84mul", &[FLOAT8, FLOAT4], FLOAT8, |a, _| float8(a, |x, y| x * y, true)),
    row(216, "float8mul", &[FLOAT8, FLOAT8], FLOAT8, |a, _| float8(a, |x, y| x * y, true)),
    row(280, "float48div", &[FLOAT4, FLOAT8], FLOAT8, |a, _| { check_divisor(a)?; float8(a, |x, y| x / y, true) }),
    row(284, "float84div", &[FLOAT8, FLOAT4], FLOAT8, |a, _| { check_divisor(a)?; float8(a, |x, y| x / y, true) }),
    row(217, "float8div", &[FLOAT8, FLOAT8], FLOAT8, |a, _| { check_divisor(a)?; float8(a, |x, y| x / y, true) }),
    row(1913, "float4up", &[FLOAT4], FLOAT4, |a, _| Ok(a[0].clone())),
    row(1914, "float8up", &[FLOAT8], FLOAT8, |a, _| Ok(a[0].clone())),
    row(206, "float4um", &[FLOAT4], FLOAT4, |a, _| Ok(Datum::Float4(-float(a, 0)? as f32))),
    row(220, "float8um", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(-float(a, 0)?))),
    row(207, "float4abs", &[FLOAT4], FLOAT4, |a, _| Ok(Datum::Float4(float(a, 0)?.abs() as f32))),
    row(221, "float8abs", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.abs()))),
    row(1394, "abs", &[FLOAT4], FLOAT4, |a, _| Ok(Datum::Float4(float(a, 0)?.abs() as f32))),
    row(1395, "abs", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.abs()))),
    row(2308, "ceil", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.ceil()))),
    row(2320, "ceiling", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.ceil()))),
    row(2309, "floor", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.floor()))),
    row(1342, "round", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.round_ties_even()))),
    row(1343, "trunc", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.trunc()))),
    row(2310, "sign", &[FLOAT8], FLOAT8, |a, _| float_sign(a)),
    row(1344, "sqrt", &[FLOAT8], FLOAT8, |a, _| float_sqrt(a)),
    row(230, "dsqrt", &[FLOAT8], FLOAT8, |a, _| float_sqrt(a)),
    row(1345, "cbrt", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.cbrt()))),
    row(231, "dcbrt", &[FLOAT8], FLOAT8, |a, _| Ok(Datum::Float8(float(a, 0)?.cbrt()))),
    row(232, "dpow", &[FLOAT8, FLOAT8], FLOAT8, |a, _| float_power(a)),
    row(1368, "power", &[FLOAT8, FLOAT8], FLOAT8, |a, _| float_power(a)),
    row(1346, "pow", &[FLOAT8, FLOAT8], FLOAT8, |a, _| float_power(a)),
    row(1347, "exp", &[FLOAT8], FLOAT8, |a, _| float_exp(a)),
    row(1341, "ln", &[FLOAT8], FLOAT8, |a, _| float_log(a, f64::ln)),
    row(1340, "log", &[FLOAT8], FLOAT8, |a, _| float_log(a, f64::log10)),
    row(1194, "log10", &[FLOAT8], FLOAT8, |a, _| float_log(a, f64::log10)),
    row(1610, "pi", &[], FLOAT8, |_, _| Ok(Datum::Float8(std::f64::consts::PI))),
    row(1598, "random", &[], FLOAT8, |_, context| random(context)).volatile(),
    row(1724, "numeric_add", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::add)),
    row(1725, "numeric_sub", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::subtract)),
    row(1726, "numeric_mul", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::multiply)),
    row(1727, "numeric_div", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::divide)),
    row(1729, "numeric_mod", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::remainder)),
    row(1728, "mod", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::remainder)),
    row(1973, "div", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::divide_integer)),
    row(1739, "numeric_power", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::power)),
    row(2169, "power", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::power)),
    row(1738, "pow", &[NUMERIC, NUMERIC], NUMERIC, |a, _| pair(a, Numeric::power)),
    row(1915, "numeric_uplus", &[NUMERIC], NUMERIC, |a, _| Ok(a[0].clone())),
    row(1771, "numeric_uminus", &[NUMERIC], NUMERIC, |a, _| Ok(Datum::Numeric(numeric(a, 0)?.negate()))),
    row(1704, "numeric_abs", &[NUMERIC], NUMERIC, |a, _| Ok(Datum::Numeric(numeric(a, 0)?.abs()))),
    row(1705, "abs", &[NUMERIC], NUMERIC, |a, _| Ok(Datum::Numeric(numeric(a, 0)?.abs()))),
    row(1711, "ceil", &[NUMERIC], NUMERIC, |a, _| numeric(a, 0)?.ceil().map(Datum::Numeric)),
    row(2167, "ceiling", &[NUMERIC], NUMERIC, |a, _| numeric(a, 0)?.ceil().map(Datum::Numeric)),
    row(1712, "floor", &[NUMERIC], NUMERIC, |a, _| numeric(a, 0)?.floor().map(Datum::Numeric)),
    row(1706, "sign", &[NUMERIC], NUMERIC, |a, _| Ok(Datum::Numeric(numeric(a, 0)?.sign()))),
    row(1730, "sqrt", &[NUMERIC], NUMERIC, |a, _| numeric(a, 0)?.sqrt().map(Datum::Numeric)),
    row(1708, "round", &[NUMERIC], NUMERIC, |a, _| numeric(a, 0)?.round(0).map(Datum::Numeric)),
    row(1707, "round", &[NUMERIC, INT4], NUMERIC, |a, _| numeric(a, 0)?.round(scale(a)?).map(Datum::Numeric)),
    row(1710, "trunc", &[NUMERIC], NUMERIC, |a, _| numeric(a, 0)?.truncate(0).map(Datum::Numeric)),
    row(1709, "trunc", &[NUMERIC, INT4], NUMERIC, |a, _| numeric(a, 0)?.truncate(scale(a)?).map(Datum::Numeric)),
    row(2557, "bool", &[INT4], SqlType::Bool, |a, _| Ok(Datum::Bool(integer(a, 0)? != 0))),
];

/// The integer types, by the name errors give them and the way back to a value.
trait Width: TryFrom<i64> {
    const TYPE_NAME: &'static str;
    fn datum(self) -> Datum;
}

impl Width for i16 {
    const TYPE_NAME: &'static str = "smallint";
    fn datum(self) -> Datum {
        Datum::Int2(self)
    }
}

impl Width for i32 {
    const TYPE_NAME: &'static str = "integer";
    fn datum(self) -> Datum {
        Datum::Int4(self)
    }
}

impl Width for i64 {
    const TYPE_NAME: &'static str = "bigint";
    fn datum(self) -> Datum {
        Datum::Int8(self)
    }
}

/// The result in its width, or 22003.
fn fit<W: Width>(result: Option<i64>) -> SqlResult<Datum> {
    match result.map(W::try_from) {
        Some(Ok(value)) => Ok(value.datum()),
        _ => Err(out_of_range(W::TYPE_NAME)),
    }
}

fn arithmetic<W: Width>(args: &[Datum], op: fn(i64, i64) -> Option<i64>) -> SqlResult<Datum> {
    fit::<W>(op(integer(args, 0)?, integer(args, 1)?))
}

fn unary<W: Width>(args: &[Datum], op: fn(i64) -> Option<i64>) -> SqlResult<Datum> {
    fit::<W>(op(integer(args, 0)?))
}

fn bits<W: Width>(args: &[Datum], op: fn(i64, i64) -> i64) -> SqlResult<Datum> {
    fit::<W>(Some(op(integer(args, 0)?, integer(args, 1)?)))
}

fn division<W: Width>(args: &[Datum]) -> SqlResult<Datum> {
    let divisor = integer(args, 1)?;
    if divisor == 0 {
        return Err(division_by_zero());
    }
    fit::<W>(integer(args, 0)?.checked_div(divisor))
}

fn remainder<W: Width>(args: &[Datum]) -> SqlResult<Datum> {
    let divisor = integer(args, 1)?;
    if divisor == 0 {
        return Err(division_by_zero());
    }
    fit::<W>(Some(integer(args, 0)?.wrapping_rem(divisor)))
}

fn gcd<W: Width>(args: &[Datum]) -> SqlResult<Datum> {
    let (mut a, mut b) = (integer(args, 0)?.unsigned_abs(), integer(args, 1)?.unsigned_abs());
    while b != 0 {
        (a, b) = (b, a % b);
    }
    fit::<W>(i64::try_from(a).ok())
}

/// The shift's count; the machine's own masking of large counts is what PostgreSQL shows.
fn shift_count(args: &[Datum]) -> SqlResult<u32> {
    Ok(integer(args, 1)? as u32)
}

/// Shifts in 32 bits, as C does with a 16-bit operand, then cuts.
fn shift2(args: &[Datum], op: fn(i32, u32) -> i32) -> SqlResult<Datum> {
    Ok(Datum::Int2(op(integer(args, 0)? as i32, shift_count(args)?) as i16))
}

fn shift4(args: &[Datum], op: fn(i32, u32) -> i32) -> SqlResult<Datum> {
    Ok(Datum::Int4(op(integer(args, 0)? as i32, shift_count(args)?)))
}

fn shift8(args: &[Datum], op: fn(i64, u32) -> i64) -> SqlResult<Datum> {
    Ok(Datum::Int8(op(integer(args, 0)?, shift_count(args)?)))
}

/// Refuses division by zero; NaN divided by zero is NaN.
fn check_divisor(args: &[Datum]) -> SqlResult<()> {
    if float(args, 1)? == 0.0 && !float(args, 0)?.is_nan() {
        return Err(division_by_zero());
    }
    Ok(())
}

/// `may_vanish`: a zero result of operands that are not zero is an underflow.
fn float8(args: &[Datum], op: fn(f64, f64) -> f64, may_vanish: bool) -> SqlResult<Datum> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    let result = op(a, b);
    check_float(result.is_infinite(), result == 0.0, a, b, may_vanish)?;
    Ok(Datum::Float8(result))
}

fn float4(args: &[Datum], op: fn(f32, f32) -> f32, may_vanish: bool) -> SqlResult<Datum> {
    let (a, b) = (float(args, 0)?, float(args, 1)?);
    let result = op(a as f32, b as f32);
    check_float(result.is_infinite(), result == 0.0, a, b, may_vanish)?;
    Ok(Datum::Float4(result))
}

fn check_float(infinite: bool, zero: bool, a: f64, b: f64, may_vanish: bool) -> SqlResult<()> {
    if infinite && !a.is_infinite() && !b.is_infinite() {
        return Err(float_overflow());
    }
    // Dividing by infinity is zero in earnest.
    if may_vanish && zero && a != 0.0 && b != 0.0 && !b.is_infinite() {
        return Err(float_underflow());
    }
    Ok(())
}

fn float_sign(args: &[Datum]) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    let sign = if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        0.0
    };
    Ok(Datum::Float8(sign))
}

fn float_sqrt(args: &[Datum]) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    if value < 0.0 {
        return Err(power_error("cannot take square root of a negative number"));
    }
    Ok(Datum::Float8(value.sqrt()))
}

fn power_error(message: &str) -> SqlError {
    SqlError::new(SqlState::InvalidArgumentForPower, message)
}

fn float_power(args: &[Datum]) -> SqlResult<Datum> {
    let (base, exponent) = (float(args, 0)?, float(args, 1)?);
    if base == 0.0 && exponent < 0.0 {
        return Err(power_error("zero raised to a negative power is undefined"));
    }
    if base < 0.0 && base.is_finite() && exponent.is_finite() && exponent.fract() != 0.0 {
        return Err(power_error(
            "a negative number raised to a non-integer power yields a complex result",
        ));
    }
    let result = base.powf(exponent);
    check_finite(result, base.is_finite() && exponent.is_finite(), base == 0.0)?;
    Ok(Datum::Float8(result))
}

/// Overflow and underflow of a result whose arguments were finite.
fn check_finite(result: f64, finite: bool, may_be_zero: bool) -> SqlResult<()> {
    if finite && result.is_infinite() {
        return Err(float_overflow());
    }
    if finite && result == 0.0 && !may_be_zero {
        return Err(float_underflow());
    }
    Ok(())
}

fn float_exp(args: &[Datum]) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    let result = value.exp();
    check_finite(result, value.is_finite(), false)?;
    Ok(Datum::Float8(result))
}

fn float_log(args: &[Datum], log: fn(f64) -> f64) -> SqlResult<Datum> {
    let value = float(args, 0)?;
    let refused = |what: &str| {
        let message = format!("cannot take logarithm of {what}");
        Err(SqlError::new(SqlState::InvalidArgumentForLogarithm, message))
    };
    if value == 0.0 {
        return refused("zero");
    }
    if value < 0.0 {
        return refused("a negative number");
    }
    Ok(Datum::Float8(log(value)))
}

/// Uniform in 0 ≤ x < 1, 53 bits.
fn random(context: &EvalContext) -> SqlResult<Datum> {
    let Ok(mut rng) = context.rng.try_borrow_mut() else {
        return Err(SqlError::internal("the random stream is in use"));
    };
    Ok(Datum::Float8((rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64))
}

fn pair(args: &[Datum], op: fn(&Numeric, &Numeric) -> SqlResult<Numeric>) -> SqlResult<Datum> {
    op(numeric(args, 0)?, numeric(args, 1)?).map(Datum::Numeric)
}

fn scale(args: &[Datum]) -> SqlResult<i32> {
    i32::try_from(integer(args, 1)?).map_err(|_| invalid_parameter("scale out of range"))
}
