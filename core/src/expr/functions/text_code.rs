//! Strings as codes: characters and numbers, quoting, hexadecimal, base 64, digests.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::{bytes, integer, invalid_parameter, text};
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType, text_format};
use crate::expr::function::{Function, row};

const TEXT: SqlType = SqlType::Text;
const BYTEA: SqlType = SqlType::Bytea;
const INT4: SqlType = SqlType::Int4;
const INT8: SqlType = SqlType::Int8;

/// Oid of the function that shows a boolean as its output does, `t` or `f`: what `concat` sees.
/// PostgreSQL has it as `boolout`.
pub(in crate::expr) const BOOL_OUTPUT: u32 = 1243;

/// Bytes of a line of base 64: 76 characters.
const LINE_BYTES: usize = 57;

pub(super) static ROWS: &[Function] = &[
    row(1620, "ascii", &[TEXT], INT4, |a, _| {
        Ok(Datum::Int4(text(a, 0)?.chars().next().map_or(0, |c| c as i32)))
    }),
    row(1621, "chr", &[INT4], TEXT, |a, _| chr(integer(a, 0)?)),
    row(2089, "to_hex", &[INT4], TEXT, |a, _| {
        Ok(Datum::text(format!("{:x}", integer(a, 0)? as i32)))
    }),
    row(2090, "to_hex", &[INT8], TEXT, |a, _| Ok(Datum::text(format!("{:x}", integer(a, 0)?)))),
    row(3334, "pg_size_pretty", &[INT8], TEXT, |a, _| Ok(Datum::text(size_pretty(integer(a, 0)?)))),
    row(1282, "quote_ident", &[TEXT], TEXT, |a, _| Ok(Datum::text(quote_ident(text(a, 0)?)))),
    row(1283, "quote_literal", &[TEXT], TEXT, |a, _| Ok(Datum::text(quote_literal(text(a, 0)?)))),
    row(1289, "quote_nullable", &[TEXT], TEXT, |a, _| match &a[0] {
        Datum::Null => Ok(Datum::text("NULL")),
        _ => Ok(Datum::text(quote_literal(text(a, 0)?))),
    })
    .sees_nulls(),
    row(1946, "encode", &[BYTEA, TEXT], TEXT, |a, _| encode(bytes(a, 0)?, text(a, 1)?)),
    row(1947, "decode", &[TEXT, TEXT], BYTEA, |a, _| decode(text(a, 0)?, text(a, 1)?)),
    row(3420, "sha256", &[BYTEA], BYTEA, |a, _| {
        Ok(Datum::Bytea(Sha256::digest(bytes(a, 0)?).to_vec().into()))
    }),
    row(BOOL_OUTPUT, "boolout", &[SqlType::Bool], TEXT, |a, _| {
        Ok(Datum::text(text_format::to_string(SqlType::Bool, &a[0])))
    }),
];

fn chr(code: i64) -> SqlResult<Datum> {
    let refused = |message: &str| Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
    if code < 0 {
        return Err(invalid_parameter("character number must be positive"));
    }
    if code == 0 {
        return refused("null character not permitted");
    }
    match u32::try_from(code).ok().and_then(char::from_u32) {
        Some(c) => Ok(Datum::text(c.to_string())),
        None => refused(&format!("requested character not valid for encoding: {code}")),
    }
}

/// `20 MB`: a count of bytes in the unit that leaves it below 10,240, to the nearest.
fn size_pretty(bytes: i64) -> String {
    if bytes.unsigned_abs() < 10 * 1_024 {
        return format!("{bytes} bytes");
    }
    // Counted in halves of the unit, for the rounding.
    let mut halves = bytes / 512;
    let mut unit = "kB";
    for larger in ["MB", "GB", "TB", "PB"] {
        if halves.unsigned_abs() < 20 * 1_024 - 1 {
            break;
        }
        halves /= 1_024;
        unit = larger;
    }
    format!("{} {unit}", (halves + if halves < 0 { -1 } else { 1 }) / 2)
}

/// An identifier as SQL needs it: in quotes unless it is plain and lower case. Keywords are quoted
/// too, where a plain one would not parse as a name.
fn quote_ident(name: &str) -> String {
    let plain_start = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if plain_start && name.chars().all(plain) && !RESERVED.contains(&name) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// PostgreSQL's key words that are not plain names (manual, appendix C: all but "non-reserved").
#[rustfmt::skip]
static RESERVED: &[&str] = &[
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "between", "bigint", "binary", "bit", "boolean", "both", "case", "cast", "char", "character",
    "check", "coalesce", "collate", "collation", "column", "concurrently", "constraint", "create",
    "cross", "current_catalog", "current_date", "current_role", "current_schema", "current_time",
    "current_timestamp", "current_user", "dec", "decimal", "default", "deferrable", "desc",
    "distinct", "do", "else", "end", "except", "exists", "extract", "false", "fetch", "float",
    "for", "foreign", "freeze", "from", "full", "grant", "greatest", "group", "grouping", "having",
    "ilike", "in", "initially", "inner", "inout", "int", "integer", "intersect", "interval",
    "into", "is", "isnull", "join", "lateral", "leading", "least", "left", "like", "limit",
    "localtime", "localtimestamp", "national", "natural", "nchar", "none", "normalize", "not",
    "notnull", "null", "nullif", "numeric", "offset", "on", "only", "or", "order", "out", "outer",
    "overlaps", "overlay", "placing", "position", "precision", "primary", "real", "references",
    "returning", "right", "row", "select", "session_user", "setof", "similar", "smallint", "some",
    "substring", "symmetric", "table", "tablesample", "then", "time", "timestamp", "to",
    "trailing", "treat", "trim", "true", "union", "unique", "user", "using", "values", "varchar",
    "variadic", "verbose", "when", "where", "window", "with", "xmlattributes", "xmlconcat",
    "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse", "xmlpi", "xmlroot",
    "xmlserialize", "xmltable",
];

fn quote_literal(s: &str) -> String {
    let quoted = s.replace('\'', "''");
    if s.contains('\\') {
        return format!("E'{}'", quoted.replace('\\', "\\\\"));
    }
    format!("'{quoted}'")
}

fn unknown_encoding(name: &str) -> SqlError {
    invalid_parameter(format!("unrecognized encoding: \"{name}\""))
}

fn encode(value: &[u8], format: &str) -> SqlResult<Datum> {
    let encoded = match format.to_ascii_lowercase().as_str() {
        "hex" => {
            let shown = text_format::to_string(SqlType::Bytea, &Datum::Bytea(value.into()));
            shown.trim_start_matches("\\x").to_owned()
        }
        "base64" => {
            // Lines of 76 characters, as MIME has them; each full one ends, the last one too.
            let line = |bytes: &[u8]| match bytes.len() {
                LINE_BYTES => STANDARD.encode(bytes) + "\n",
                _ => STANDARD.encode(bytes),
            };
            value.chunks(LINE_BYTES).map(line).collect()
        }
        "escape" => value
            .iter()
            .map(|byte| match byte {
                b'\\' => "\\\\".to_owned(),
                0 | 0x80.. => format!("\\{byte:03o}"),
                byte => char::from(*byte).to_string(),
            })
            .collect(),
        _ => return Err(unknown_encoding(format)),
    };
    Ok(Datum::text(encoded))
}

fn decode(value: &str, format: &str) -> SqlResult<Datum> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => text_format::parse(SqlType::Bytea, -1, &format!("\\x{value}")),
        "escape" if !value.starts_with("\\x") => text_format::parse(SqlType::Bytea, -1, value),
        "escape" => Err(SqlError::new(
            SqlState::InvalidTextRepresentation,
            "invalid input syntax for type bytea",
        )),
        "base64" => {
            let compact: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            match STANDARD.decode(compact) {
                Ok(bytes) => Ok(Datum::Bytea(bytes.into())),
                Err(_) => Err(invalid_parameter("invalid base64 end sequence")),
            }
        }
        _ => Err(unknown_encoding(format)),
    }
}
