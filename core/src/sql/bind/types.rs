//! Names of types as SQL writes them.

use sqlparser::ast::{
    ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo,
};

use crate::base::{SqlError, SqlResult, SqlState, SqlType};
use crate::sql::parse::object_name;

/// PostgreSQL's type modifier for "none".
pub const NO_TYPMOD: i32 = -1;
/// Bytes PostgreSQL adds to a length or precision to make it a type modifier.
const TYPMOD_HEADER: i32 = 4;
const CHARACTERS_MAX: u64 = 10_485_760;
const PRECISION_MAX: u64 = 1_000;

/// The type and type modifier that a type's spelling stands for.
///
/// Errors: 42704 for a name of nothing, 0A000 for a type of PostgreSQL that this server lacks,
/// 22023 for a length or precision out of bounds.
pub fn resolve(ty: &DataType) -> SqlResult<(SqlType, i32)> {
    let plain = |ty: SqlType| Ok((ty, NO_TYPMOD));
    match ty {
        DataType::Bool | DataType::Boolean => plain(SqlType::Bool),
        DataType::SmallInt(None) | DataType::Int2(None) => plain(SqlType::Int2),
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => {
            plain(SqlType::Int4)
        }
        DataType::BigInt(None) | DataType::Int8(None) => plain(SqlType::Int8),
        DataType::Real | DataType::Float4 => plain(SqlType::Float4),
        DataType::Float(precision) => float(precision),
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(ExactNumberInfo::None) => {
            plain(SqlType::Float8)
        }
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info),
        DataType::Text | DataType::String(None) => plain(SqlType::Text),
        DataType::Varchar(length)
        | DataType::CharacterVarying(length)
        | DataType::CharVarying(length) => characters(SqlType::Varchar, "varchar", length, None),
        DataType::Char(length) | DataType::Character(length) => {
            characters(SqlType::Bpchar, "char", length, Some(1))
        }
        DataType::Bytea => plain(SqlType::Bytea),
        DataType::Date => plain(SqlType::Date),
        DataType::Timestamp(precision, zone) => timestamp(*precision, zone),
        DataType::Datetime(precision) => timestamp(*precision, &TimezoneInfo::Tz),
        DataType::Uuid => plain(SqlType::Uuid),
        DataType::JSON => plain(SqlType::Json),
        DataType::Array(element) => array(element),
        DataType::Custom(name, arguments) => custom(name, arguments),
        other => Err(SqlError::unsupported(format_args!("type {}", lower(other)))),
    }
}

/// The type of catalog names this is, as `regclass`, if it is one that casts understand.
pub fn name_type(ty: &DataType) -> Option<&'static str> {
    const NAMES: [&str; 5] = ["regclass", "regtype", "regproc", "regnamespace", "regrole"];
    let spelled = match ty {
        DataType::Regclass => "regclass".to_owned(),
        DataType::Custom(name, arguments) if arguments.is_empty() => object_name(name).ok()?.name,
        _ => return None,
    };
    NAMES.into_iter().find(|name| *name == spelled)
}

fn lower(ty: &DataType) -> String {
    ty.to_string().to_lowercase()
}

fn float(precision: &ExactNumberInfo) -> SqlResult<(SqlType, i32)> {
    match precision {
        ExactNumberInfo::None => Ok((SqlType::Float8, NO_TYPMOD)),
        ExactNumberInfo::Precision(1..=24) => Ok((SqlType::Float4, NO_TYPMOD)),
        ExactNumberInfo::Precision(25..=53) => Ok((SqlType::Float8, NO_TYPMOD)),
        ExactNumberInfo::Precision(0) => Err(SqlError::new(
            SqlState::InvalidParameterValue,
            "precision for type float must be at least 1 bit",
        )),
        _ => Err(SqlError::new(
            SqlState::InvalidParameterValue,
            "precision for type float must be less than 54 bits",
        )),
    }
}

fn numeric(info: &ExactNumberInfo) -> SqlResult<(SqlType, i32)> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok((SqlType::Numeric, NO_TYPMOD)),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if !(1..=PRECISION_MAX).contains(&precision) {
        let message =
            format!("NUMERIC precision {precision} must be between 1 and {PRECISION_MAX}");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    if !(-(PRECISION_MAX as i64)..=PRECISION_MAX as i64).contains(&scale) {
        let message = format!("NUMERIC scale {scale} must be between -1000 and 1000");
        return Err(SqlError::new(SqlState::InvalidParameterValue, message));
    }
    Ok((SqlType::Numeric, ((precision as i32) << 16 | scale as i32 & 0x7ff) + TYPMOD_HEADER))
}

fn characters(
    ty: SqlType,
    name: &str,
    length: &Option<CharacterLength>,
    default: Option<i32>,
) -> SqlResult<(SqlType, i32)> {
    let invalid = |what: String| Err(SqlError::new(SqlState::InvalidParameterValue, what));
    match length {
        None => Ok((ty, default.map_or(NO_TYPMOD, |n| n + TYPMOD_HEADER))),
        Some(CharacterLength::Max) => Err(SqlError::unsupported("a length of MAX")),
        Some(CharacterLength::IntegerLength { length: 0, .. }) => {
            invalid(format!("length for type {name} must be at least 1"))
        }
        Some(CharacterLength::IntegerLength { length, .. }) if *length > CHARACTERS_MAX => {
            invalid(format!("length for type {name} cannot exceed {CHARACTERS_MAX}"))
        }
        Some(CharacterLength::IntegerLength { length, .. }) => {
            Ok((ty, *length as i32 + TYPMOD_HEADER))
        }
    }
}

fn timestamp(precision: Option<u64>, zone: &TimezoneInfo) -> SqlResult<(SqlType, i32)> {
    let ty = match zone {
        TimezoneInfo::None | TimezoneInfo::WithoutTimeZone => SqlType::Timestamp,
        TimezoneInfo::WithTimeZone | TimezoneInfo::Tz => SqlType::TimestampTz,
    };
    match precision {
        None => Ok((ty, NO_TYPMOD)),
        Some(digits) => Ok((ty, digits.min(6) as i32)),
    }
}

fn array(element: &ArrayElemTypeDef) -> SqlResult<(SqlType, i32)> {
    let (ArrayElemTypeDef::SquareBracket(inner, _) | ArrayElemTypeDef::Qualified(inner, _)) =
        element
    else {
        return Err(SqlError::unsupported("this array type"));
    };
    let (inner, _) = resolve(inner)?;
    match inner.array() {
        Some(ty) => Ok((ty, NO_TYPMOD)),
        None => Err(SqlError::unsupported(format_args!("type {}[]", inner.info().sql_name))),
    }
}

fn custom(name: &ObjectName, arguments: &[String]) -> SqlResult<(SqlType, i32)> {
    let qualified = object_name(name)?;
    let known = match qualified.name.as_str() {
        "name" => Some(SqlType::Name),
        "oid" => Some(SqlType::Oid),
        "char" => Some(SqlType::Char),
        "bpchar" => Some(SqlType::Bpchar),
        "timestamptz" => Some(SqlType::TimestampTz),
        "int2" => Some(SqlType::Int2),
        "int4" => Some(SqlType::Int4),
        "int8" => Some(SqlType::Int8),
        "float4" => Some(SqlType::Float4),
        "float8" => Some(SqlType::Float8),
        "numeric" => Some(SqlType::Numeric),
        "bool" => Some(SqlType::Bool),
        "text" => Some(SqlType::Text),
        "varchar" => Some(SqlType::Varchar),
        "void" => Some(SqlType::Void),
        _ => None,
    };
    if let (Some(ty), true) = (known, arguments.is_empty()) {
        return Ok((ty, NO_TYPMOD));
    }
    if known.is_some() || is_known_elsewhere(&qualified.name) {
        return Err(SqlError::unsupported(format_args!("type {}", qualified.name)));
    }
    let message = format!("type \"{}\" does not exist", qualified.display());
    Err(SqlError::new(SqlState::UndefinedObject, message))
}

/// Types that PostgreSQL or Picodata has and this server does not.
fn is_known_elsewhere(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "serial",
        "serial2",
        "serial4",
        "serial8",
        "bigserial",
        "smallserial",
        "money",
        "time",
        "timetz",
        "interval",
        "jsonb",
        "xml",
        "inet",
        "cidr",
        "macaddr",
        "macaddr8",
        "bit",
        "varbit",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "tsvector",
        "tsquery",
        "regclass",
        "regtype",
        "regproc",
        "regprocedure",
        "regnamespace",
        "regrole",
        "regoper",
        "regoperator",
        "int4range",
        "int8range",
        "numrange",
        "tsrange",
        "tstzrange",
        "daterange",
        "unsigned",
        "oidvector",
        "int2vector",
        "pg_lsn",
        "xid",
        "cid",
        "tid",
        "jsonpath",
        "citext",
        "hstore",
        "record",
        "anyelement",
    ];
    NAMES.contains(&name)
}
