//! The table of operators, after PostgreSQL's `pg_operator`.

use super::function::Function;
use super::tree::CompareOp;
use crate::base::SqlType;

/// What an operator does with its operands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Action {
    Compare(CompareOp),
    Call(&'static Function),
    Like { negated: bool, case_insensitive: bool },
}

/// A row of the table.
#[derive(Debug, PartialEq)]
pub struct Operator {
    pub name: &'static str,
    /// `None` for a prefix operator.
    pub left: Option<SqlType>,
    pub right: SqlType,
    pub result: SqlType,
    pub action: Action,
}
