//! Choice among overloaded operators and functions, and common types (PostgreSQL, chapter 10).

use super::function::Function;
use super::operator::Operator;
use crate::base::{SqlError, SqlResult, SqlType};

/// The operator for operands of these types; `left` is `None` for a prefix operator.
///
/// Errors: 42883 `operator does not exist: integer = text`, 42725 `operator is not unique: …`.
pub fn resolve_operator(
    name: &str,
    left: Option<SqlType>,
    right: SqlType,
) -> SqlResult<&'static Operator> {
    let _ = (left, right);
    Err(SqlError::unsupported(format!("operator {name}")))
}

/// The function for arguments of these types.
///
/// Errors: 42883 `function foo(integer) does not exist`, 42725 `function … is not unique`.
pub fn resolve_function(name: &str, args: &[SqlType]) -> SqlResult<&'static Function> {
    let _ = args;
    Err(SqlError::unsupported(format!("function {name}")))
}

/// The type that all of `types` convert to, for `construct` as errors name it: `CASE`, `COALESCE`,
/// `VALUES`, `UNION`, `IN`, `GREATEST`, `ARRAY`. Text when all are unknown.
///
/// Errors: 42804 `CASE types integer and text cannot be matched`.
pub fn common_type(construct: &str, types: &[SqlType]) -> SqlResult<SqlType> {
    let _ = types;
    Err(SqlError::unsupported(construct))
}
