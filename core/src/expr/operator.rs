//! The table of operators, after PostgreSQL's `pg_operator`.
//!
//! The six comparisons exist for every pair in [`COMPARABLE`] and for every array type; the others
//! have a row each, naming the function behind them.

use super::function::{self, Function};
use super::tree::CompareOp;
use crate::base::SqlType;

/// What an operator does with its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Compare(CompareOp),
    Call(&'static Function),
    Like { negated: bool, case_insensitive: bool },
}

/// An operator for operands of certain types.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Operator {
    pub name: &'static str,
    /// `None` for a prefix operator.
    pub left: Option<SqlType>,
    pub right: SqlType,
    pub result: SqlType,
    pub action: Action,
}

/// Types that compare with each other without a conversion.
static COMPARABLE: &[(SqlType, SqlType)] = &[
    (SqlType::Bool, SqlType::Bool),
    (SqlType::Int2, SqlType::Int2),
    (SqlType::Int2, SqlType::Int4),
    (SqlType::Int2, SqlType::Int8),
    (SqlType::Int4, SqlType::Int2),
    (SqlType::Int4, SqlType::Int4),
    (SqlType::Int4, SqlType::Int8),
    (SqlType::Int8, SqlType::Int2),
    (SqlType::Int8, SqlType::Int4),
    (SqlType::Int8, SqlType::Int8),
    (SqlType::Float4, SqlType::Float4),
    (SqlType::Float4, SqlType::Float8),
    (SqlType::Float8, SqlType::Float4),
    (SqlType::Float8, SqlType::Float8),
    (SqlType::Numeric, SqlType::Numeric),
    (SqlType::Text, SqlType::Text),
    (SqlType::Text, SqlType::Name),
    (SqlType::Name, SqlType::Text),
    (SqlType::Name, SqlType::Name),
    (SqlType::Bpchar, SqlType::Bpchar),
    (SqlType::Char, SqlType::Char),
    (SqlType::Bytea, SqlType::Bytea),
    (SqlType::Date, SqlType::Date),
    (SqlType::Date, SqlType::Timestamp),
    (SqlType::Date, SqlType::TimestampTz),
    (SqlType::Timestamp, SqlType::Date),
    (SqlType::Timestamp, SqlType::Timestamp),
    (SqlType::Timestamp, SqlType::TimestampTz),
    (SqlType::TimestampTz, SqlType::Date),
    (SqlType::TimestampTz, SqlType::Timestamp),
    (SqlType::TimestampTz, SqlType::TimestampTz),
    (SqlType::Uuid, SqlType::Uuid),
    (SqlType::Oid, SqlType::Oid),
];

/// Types that LIKE matches on its left side; the pattern is text.
const MATCHED: [SqlType; 3] = [SqlType::Text, SqlType::Name, SqlType::Bpchar];

/// Name, left side, right side, oid of the function.
type Row = (&'static str, Option<SqlType>, SqlType, u32);

const INT2: Option<SqlType> = Some(SqlType::Int2);
const INT4: Option<SqlType> = Some(SqlType::Int4);
const INT8: Option<SqlType> = Some(SqlType::Int8);
const FLOAT4: Option<SqlType> = Some(SqlType::Float4);
const FLOAT8: Option<SqlType> = Some(SqlType::Float8);
const NUMERIC: Option<SqlType> = Some(SqlType::Numeric);
const DATE: Option<SqlType> = Some(SqlType::Date);
const JSON: Option<SqlType> = Some(SqlType::Json);

#[rustfmt::skip]
static CALLS: &[Row] = &[
    ("+", INT2, SqlType::Int2, 176),  ("+", INT2, SqlType::Int4, 178),  ("+", INT2, SqlType::Int8, 841),
    ("+", INT4, SqlType::Int2, 179),  ("+", INT4, SqlType::Int4, 177),  ("+", INT4, SqlType::Int8, 1278),
    ("+", INT8, SqlType::Int2, 837),  ("+", INT8, SqlType::Int4, 1274), ("+", INT8, SqlType::Int8, 463),
    ("-", INT2, SqlType::Int2, 180),  ("-", INT2, SqlType::Int4, 182),  ("-", INT2, SqlType::Int8, 942),
    ("-", INT4, SqlType::Int2, 183),  ("-", INT4, SqlType::Int4, 181),  ("-", INT4, SqlType::Int8, 1279),
    ("-", INT8, SqlType::Int2, 838),  ("-", INT8, SqlType::Int4, 1275), ("-", INT8, SqlType::Int8, 464),
    ("*", INT2, SqlType::Int2, 152),  ("*", INT2, SqlType::Int4, 170),  ("*", INT2, SqlType::Int8, 943),
    ("*", INT4, SqlType::Int2, 171),  ("*", INT4, SqlType::Int4, 141),  ("*", INT4, SqlType::Int8, 1280),
    ("*", INT8, SqlType::Int2, 839),  ("*", INT8, SqlType::Int4, 1276), ("*", INT8, SqlType::Int8, 465),
    ("/", INT2, SqlType::Int2, 153),  ("/", INT2, SqlType::Int4, 172),  ("/", INT2, SqlType::Int8, 948),
    ("/", INT4, SqlType::Int2, 173),  ("/", INT4, SqlType::Int4, 154),  ("/", INT4, SqlType::Int8, 1281),
    ("/", INT8, SqlType::Int2, 840),  ("/", INT8, SqlType::Int4, 1277), ("/", INT8, SqlType::Int8, 466),
    ("%", INT2, SqlType::Int2, 155),  ("%", INT4, SqlType::Int4, 156),  ("%", INT8, SqlType::Int8, 945),
    ("+", FLOAT4, SqlType::Float4, 204), ("+", FLOAT4, SqlType::Float8, 281),
    ("+", FLOAT8, SqlType::Float4, 285), ("+", FLOAT8, SqlType::Float8, 218),
    ("-", FLOAT4, SqlType::Float4, 205), ("-", FLOAT4, SqlType::Float8, 282),
    ("-", FLOAT8, SqlType::Float4, 286), ("-", FLOAT8, SqlType::Float8, 219),
    ("*", FLOAT4, SqlType::Float4, 202), ("*", FLOAT4, SqlType::Float8, 279),
    ("*", FLOAT8, SqlType::Float4, 283), ("*", FLOAT8, SqlType::Float8, 216),
    ("/", FLOAT4, SqlType::Float4, 203), ("/", FLOAT4, SqlType::Float8, 280),
    ("/", FLOAT8, SqlType::Float4, 284), ("/", FLOAT8, SqlType::Float8, 217),
    ("^", FLOAT8, SqlType::Float8, 232),
    ("+", NUMERIC, SqlType::Numeric, 1724), ("-", NUMERIC, SqlType::Numeric, 1725),
    ("*", NUMERIC, SqlType::Numeric, 1726), ("/", NUMERIC, SqlType::Numeric, 1727),
    ("%", NUMERIC, SqlType::Numeric, 1729), ("^", NUMERIC, SqlType::Numeric, 1739),
    ("+", DATE, SqlType::Int4, 1141), ("+", INT4, SqlType::Date, 2550),
    ("-", DATE, SqlType::Int4, 1142), ("-", DATE, SqlType::Date, 1140),
    ("+", None, SqlType::Int2, 1911), ("+", None, SqlType::Int4, 1912), ("+", None, SqlType::Int8, 1910),
    ("+", None, SqlType::Float4, 1913), ("+", None, SqlType::Float8, 1914), ("+", None, SqlType::Numeric, 1915),
    ("-", None, SqlType::Int2, 213), ("-", None, SqlType::Int4, 212), ("-", None, SqlType::Int8, 462),
    ("-", None, SqlType::Float4, 206), ("-", None, SqlType::Float8, 220), ("-", None, SqlType::Numeric, 1771),
    ("@", None, SqlType::Int2, 1253), ("@", None, SqlType::Int4, 1251), ("@", None, SqlType::Int8, 1230),
    ("@", None, SqlType::Float4, 207), ("@", None, SqlType::Float8, 221), ("@", None, SqlType::Numeric, 1704),
    ("|/", None, SqlType::Float8, 230), ("||/", None, SqlType::Float8, 231),
    ("&", INT2, SqlType::Int2, 1892), ("&", INT4, SqlType::Int4, 1898), ("&", INT8, SqlType::Int8, 1904),
    ("|", INT2, SqlType::Int2, 1893), ("|", INT4, SqlType::Int4, 1899), ("|", INT8, SqlType::Int8, 1905),
    ("#", INT2, SqlType::Int2, 1894), ("#", INT4, SqlType::Int4, 1900), ("#", INT8, SqlType::Int8, 1906),
    ("~", None, SqlType::Int2, 1895), ("~", None, SqlType::Int4, 1901), ("~", None, SqlType::Int8, 1907),
    ("<<", INT2, SqlType::Int4, 1896), ("<<", INT4, SqlType::Int4, 1902), ("<<", INT8, SqlType::Int4, 1908),
    (">>", INT2, SqlType::Int4, 1897), (">>", INT4, SqlType::Int4, 1903), (">>", INT8, SqlType::Int4, 1909),
    ("||", Some(SqlType::Text), SqlType::Text, 1258),
    ("||", Some(SqlType::Bytea), SqlType::Bytea, 2011),
    ("->", JSON, SqlType::Text, 3947), ("->", JSON, SqlType::Int4, 3949),
    ("->>", JSON, SqlType::Text, 3948), ("->>", JSON, SqlType::Int4, 3950),
    ("~", Some(SqlType::Text), SqlType::Text, 1254), ("~", Some(SqlType::Name), SqlType::Text, 79), ("~", Some(SqlType::Bpchar), SqlType::Text, 1658),
    ("!~", Some(SqlType::Text), SqlType::Text, 1256), ("!~", Some(SqlType::Name), SqlType::Text, 1252), ("!~", Some(SqlType::Bpchar), SqlType::Text, 1659),
    ("~*", Some(SqlType::Text), SqlType::Text, 1238), ("~*", Some(SqlType::Name), SqlType::Text, 1240), ("~*", Some(SqlType::Bpchar), SqlType::Text, 1656),
    ("!~*", Some(SqlType::Text), SqlType::Text, 1239), ("!~*", Some(SqlType::Name), SqlType::Text, 1241), ("!~*", Some(SqlType::Bpchar), SqlType::Text, 1657),
    ("^@", Some(SqlType::Text), SqlType::Text, 3696),
];

/// Operators that PostgreSQL has over types that are supported, and this server has not: name and
/// sides. Those over arrays are [`super::resolve`]'s.
static LACKING: &[(&str, SqlType, SqlType)] = &[
    ("-", SqlType::Timestamp, SqlType::Timestamp),
    ("-", SqlType::TimestampTz, SqlType::TimestampTz),
    ("||", SqlType::Bytea, SqlType::Text),
    ("||", SqlType::Text, SqlType::Bytea),
    ("~~", SqlType::Bytea, SqlType::Bytea),
    ("!~~", SqlType::Bytea, SqlType::Bytea),
    ("@@", SqlType::Text, SqlType::Text),
    ("~<~", SqlType::Text, SqlType::Text),
    ("~<=~", SqlType::Text, SqlType::Text),
    ("~>=~", SqlType::Text, SqlType::Text),
    ("~>~", SqlType::Text, SqlType::Text),
];

/// The sides of the operators of this name that are lacking.
pub fn lacking(name: &str) -> impl Iterator<Item = (SqlType, SqlType)> {
    LACKING.iter().filter(move |row| row.0 == name).map(|(_, left, right)| (*left, *right))
}

fn compare_named(name: &str) -> Option<CompareOp> {
    CompareOp::ALL.into_iter().find(|op| op.name() == name)
}

/// The function behind a comparison's `LIKE` form, as `~~*`.
fn like_named(name: &str) -> Option<(&'static str, Action)> {
    [("~~", false, false), ("!~~", true, false), ("~~*", false, true), ("!~~*", true, true)]
        .into_iter()
        .find(|(candidate, _, _)| *candidate == name)
        .map(|(name, negated, case_insensitive)| (name, Action::Like { negated, case_insensitive }))
}

/// Every operator of this name; those with a left side if `binary`, else the prefix ones.
pub fn named(name: &str, binary: bool) -> impl Iterator<Item = Operator> {
    let op = compare_named(name).filter(|_| binary);
    let like = like_named(name).filter(|_| binary);
    let compared = op.into_iter().flat_map(|op| {
        let arrays = SqlType::ALL.into_iter().filter(|t| t.element().is_some());
        let pairs = COMPARABLE.iter().copied().chain(arrays.map(|t| (t, t)));
        pairs.map(move |(left, right)| bool_operator(op.name(), left, right, Action::Compare(op)))
    });
    let matched = like.into_iter().flat_map(|(name, action)| {
        MATCHED.map(|left| bool_operator(name, left, SqlType::Text, action))
    });
    let called = calls(name).filter(move |o| o.left.is_some() == binary);
    compared.chain(matched).chain(called)
}

fn bool_operator(name: &'static str, left: SqlType, right: SqlType, action: Action) -> Operator {
    Operator { name, left: Some(left), right, result: SqlType::Bool, action }
}

fn calls(name: &str) -> impl Iterator<Item = Operator> {
    CALLS.iter().filter(move |(candidate, ..)| *candidate == name).filter_map(
        |(name, left, right, oid)| {
            let function = function::by_oid(*oid)?;
            let (left, right, result) = (*left, *right, function.result);
            Some(Operator { name, left, right, result, action: Action::Call(function) })
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_agree_with_their_functions() {
        for (name, left, right, oid) in CALLS {
            let function = function::by_oid(*oid).unwrap_or_else(|| panic!("{name} {oid}"));
            let operands: Vec<SqlType> = left.iter().copied().chain([*right]).collect();
            assert_eq!(function.args, operands.as_slice(), "{name} {oid}");
        }
    }

    #[test]
    fn cross_type_comparisons_exist_both_ways() {
        for (left, right) in COMPARABLE {
            assert!(COMPARABLE.contains(&(*right, *left)));
        }
    }
}
