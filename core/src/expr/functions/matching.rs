//! The functions behind `~`, `!~`, `~*` and `!~*`.
//!
//! The pattern is compiled at each call; a constant one in a condition over many rows is compiled
//! as often as there are rows.

use super::text;
use crate::base::{Datum, SqlResult, SqlType};
use crate::expr::context::EvalContext;
use crate::expr::function::{Function, row};
use crate::expr::regex::Regex;

const TEXT: SqlType = SqlType::Text;
const NAME: SqlType = SqlType::Name;
const BPCHAR: SqlType = SqlType::Bpchar;
const BOOL: SqlType = SqlType::Bool;

pub(super) static ROWS: &[Function] = &[
    row(1254, "textregexeq", &[TEXT, TEXT], BOOL, matches),
    row(79, "nameregexeq", &[NAME, TEXT], BOOL, matches),
    row(1658, "bpcharregexeq", &[BPCHAR, TEXT], BOOL, matches),
    row(1256, "textregexne", &[TEXT, TEXT], BOOL, matches_not),
    row(1252, "nameregexne", &[NAME, TEXT], BOOL, matches_not),
    row(1659, "bpcharregexne", &[BPCHAR, TEXT], BOOL, matches_not),
    row(1238, "texticregexeq", &[TEXT, TEXT], BOOL, matches_any_case),
    row(1240, "nameicregexeq", &[NAME, TEXT], BOOL, matches_any_case),
    row(1656, "bpcharicregexeq", &[BPCHAR, TEXT], BOOL, matches_any_case),
    row(1239, "texticregexne", &[TEXT, TEXT], BOOL, matches_not_any_case),
    row(1241, "nameicregexne", &[NAME, TEXT], BOOL, matches_not_any_case),
    row(1657, "bpcharicregexne", &[BPCHAR, TEXT], BOOL, matches_not_any_case),
];

fn is_match(args: &[Datum], case_insensitive: bool, context: &EvalContext) -> SqlResult<bool> {
    Regex::new(text(args, 1)?, case_insensitive)?.is_match(text(args, 0)?, context.work)
}

fn matches(args: &[Datum], context: &EvalContext) -> SqlResult<Datum> {
    is_match(args, false, context).map(Datum::Bool)
}

fn matches_not(args: &[Datum], context: &EvalContext) -> SqlResult<Datum> {
    is_match(args, false, context).map(|m| Datum::Bool(!m))
}

fn matches_any_case(args: &[Datum], context: &EvalContext) -> SqlResult<Datum> {
    is_match(args, true, context).map(Datum::Bool)
}

fn matches_not_any_case(args: &[Datum], context: &EvalContext) -> SqlResult<Datum> {
    is_match(args, true, context).map(|m| Datum::Bool(!m))
}
