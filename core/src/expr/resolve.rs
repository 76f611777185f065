//! Choice among overloaded operators and functions, and common types (PostgreSQL, chapter 10).
//!
//! Candidates are those whose arguments the given types convert to implicitly; an untyped literal
//! converts to anything. Among them, in this order, until one is left:
//!
//! 1. an exact match; an untyped operand of an operator counts as the other operand's type;
//! 2. most arguments of exactly the given type;
//! 3. most arguments of the given type or a preferred type of its category;
//! 4. for untyped arguments: the string category if any candidate takes it, else the one category
//!    that all take; within it a preferred type if any candidate takes one;
//! 5. the untyped taken for the type that all the others have.

use super::cast::{self, CastContext};
use super::function::{self, ANY, ANY_ARRAY, Function};
use super::operator::{self, Operator};
use crate::base::{SqlError, SqlResult, SqlState, SqlType};

/// The operator for operands of these types; `left` is `None` for a prefix operator.
///
/// Errors: 42883 `operator does not exist: integer = text`, 42725 `operator is not unique: …`, 0A000
/// where PostgreSQL has one.
pub fn resolve_operator(name: &str, left: Option<SqlType>, right: SqlType) -> SqlResult<Operator> {
    // The parser of PostgreSQL knows one name only.
    let name = if name == "!=" { "<>" } else { name };
    // An untyped operand is first taken for the type of the other one.
    let assumed = match (left, right) {
        (Some(SqlType::Unknown), other) | (Some(other), SqlType::Unknown) => (Some(other), other),
        typed => typed,
    };
    // Rule 1 alone decides nearly always, and needs no list.
    let mut all = operator::named(name, left.is_some());
    if let Some(exact) = all.find(|o| (o.left, o.right) == assumed) {
        return Ok(exact);
    }
    let operands = |left: Option<SqlType>, right| left.into_iter().chain([right]).collect();
    let given: Vec<SqlType> = operands(left, right);
    let candidates: Vec<(Operator, Vec<SqlType>)> =
        operator::named(name, left.is_some()).map(|o| (o, operands(o.left, o.right))).collect();
    match choose(candidates, &given, &operands(assumed.0, assumed.1)) {
        Choice::One(operator) => Ok(operator),
        Choice::None if left.is_some_and(|left| is_lacking(name, left, right)) => {
            let text = operator_text(name, left, right);
            Err(SqlError::unsupported(format_args!("operator {text}")))
        }
        Choice::None => Err(no_operator(name, left, right)),
        Choice::Many => Err(ambiguous_operator(name, left, right)),
    }
}

/// Whether PostgreSQL has an operator for these operands that this server has not.
fn is_lacking(name: &str, left: SqlType, right: SqlType) -> bool {
    let sides = [left, right];
    let is_untyped = sides.contains(&SqlType::Unknown);
    let has = |wanted: fn(&SqlType) -> bool| sides.iter().any(wanted);
    match name {
        "&&" | "@>" | "<@" if has(|ty| ty.element().is_some()) => left == right || is_untyped,
        "||" if has(|ty| ty.element().is_some()) => {
            common_type(name, &sides.map(|ty| ty.element().unwrap_or(ty))).is_ok()
        }
        // The other one is an interval.
        "+" if has(|ty| matches!(ty, SqlType::Timestamp | SqlType::TimestampTz)) => is_untyped,
        _ => {
            let rows = operator::lacking(name).map(|(left, right)| ((), vec![left, right]));
            choose(rows.collect(), &sides, &sides) != Choice::None
        }
    }
}

fn operator_text(name: &str, left: Option<SqlType>, right: SqlType) -> String {
    let right = right.info().sql_name;
    match left {
        Some(left) => format!("{} {name} {right}", left.info().sql_name),
        None => format!("{name} {right}"),
    }
}

fn no_operator(name: &str, left: Option<SqlType>, right: SqlType) -> SqlError {
    let message = format!("operator does not exist: {}", operator_text(name, left, right));
    SqlError::new(SqlState::UndefinedFunction, message).with_hint(if left.is_some() {
        "No operator matches the given name and argument types. You might need to add explicit \
         type casts."
    } else {
        "No operator matches the given name and argument type. You might need to add an explicit \
         type cast."
    })
}

fn ambiguous_operator(name: &str, left: Option<SqlType>, right: SqlType) -> SqlError {
    let message = format!("operator is not unique: {}", operator_text(name, left, right));
    SqlError::new(SqlState::AmbiguousFunction, message).with_hint(
        "Could not choose a best candidate operator. You might need to add explicit type casts.",
    )
}

/// The function for arguments of these types.
///
/// Errors: 42883 `function foo(integer) does not exist`, 42725 `function … is not unique`.
pub fn resolve_function(name: &str, args: &[SqlType]) -> SqlResult<&'static Function> {
    let candidates: Vec<(&'static Function, Vec<SqlType>)> =
        function::named(name).filter_map(|f| Some((f, expanded_arguments(f, args)?))).collect();
    match choose(candidates, args, args) {
        Choice::One(function) => Ok(function),
        Choice::None => Err(no_function(name, args)),
        Choice::Many => Err(ambiguous_function(name, args)),
    }
}

/// The types a function wants for so many arguments, with `any` filled in by what is given; `None`
/// if the count does not fit.
fn expanded_arguments(function: &Function, given: &[SqlType]) -> Option<Vec<SqlType>> {
    let declared = function.args;
    let fits = if function.variadic {
        given.len() >= declared.len()
    } else {
        given.len() == declared.len()
    };
    if !fits {
        return None;
    }
    let repeated = declared.last().copied();
    let wanted = (0..given.len()).map(|k| declared.get(k).copied().or(repeated));
    given
        .iter()
        .zip(wanted)
        .map(|(given, wanted)| match wanted? {
            ANY if *given == SqlType::Unknown => Some(SqlType::Text),
            ANY => Some(*given),
            ANY_ARRAY => given.element().map(|_| *given),
            wanted => Some(wanted),
        })
        .collect()
}

fn signature(name: &str, args: &[SqlType]) -> String {
    let types: Vec<&str> = args.iter().map(|t| t.info().sql_name).collect();
    format!("{name}({})", types.join(", "))
}

/// 42883 for a function, scalar or aggregate.
pub fn no_function(name: &str, args: &[SqlType]) -> SqlError {
    let message = format!("function {} does not exist", signature(name, args));
    SqlError::new(SqlState::UndefinedFunction, message).with_hint(
        "No function matches the given name and argument types. You might need to add explicit \
         type casts.",
    )
}

/// 42725 for a function, scalar or aggregate.
pub fn ambiguous_function(name: &str, args: &[SqlType]) -> SqlError {
    let message = format!("function {} is not unique", signature(name, args));
    SqlError::new(SqlState::AmbiguousFunction, message).with_hint(
        "Could not choose a best candidate function. You might need to add explicit type casts.",
    )
}

/// Outcome of a choice among candidates.
#[derive(Debug, PartialEq)]
pub enum Choice<T> {
    None,
    One(T),
    Many,
}

/// Chooses by the rules at the top. `given` are the types as they are; `assumed` are the ones an
/// exact match is looked for with.
pub fn choose<T>(
    candidates: Vec<(T, Vec<SqlType>)>,
    given: &[SqlType],
    assumed: &[SqlType],
) -> Choice<T> {
    let accepts = |wanted: &[SqlType], from: &[SqlType]| {
        wanted.len() == from.len()
            && from
                .iter()
                .zip(wanted)
                .all(|(from, to)| cast::can_coerce(*from, *to, CastContext::Implicit))
    };
    let mut rest: Vec<(T, Vec<SqlType>)> =
        candidates.into_iter().filter(|(_, wanted)| accepts(wanted, given)).collect();
    if let Some(at) = rest.iter().position(|(_, wanted)| wanted == assumed) {
        return Choice::One(rest.swap_remove(at).0);
    }
    keep_best(&mut rest, |wanted| {
        pairs(given, wanted).filter(|(given, wanted)| given == wanted).count()
    });
    keep_best(&mut rest, |wanted| {
        pairs(given, wanted)
            .filter(|(given, wanted)| given == wanted || is_preferred_in(*wanted, *given))
            .count()
    });
    if rest.len() > 1 && given.contains(&SqlType::Unknown) {
        keep_by_category(&mut rest, given);
    }
    if rest.len() > 1 {
        keep_by_assumption(&mut rest, given);
    }
    match rest.len() {
        0 => Choice::None,
        1 => Choice::One(rest.swap_remove(0).0),
        _ => Choice::Many,
    }
}

/// Given and wanted types of the typed arguments.
fn pairs<'a>(
    given: &'a [SqlType],
    wanted: &'a [SqlType],
) -> impl Iterator<Item = (SqlType, SqlType)> {
    given.iter().copied().zip(wanted.iter().copied()).filter(|(g, _)| *g != SqlType::Unknown)
}

fn is_preferred_in(ty: SqlType, category_of: SqlType) -> bool {
    ty.info().preferred && ty.info().category == category_of.info().category
}

fn keep_best<T>(rest: &mut Vec<(T, Vec<SqlType>)>, score: impl Fn(&[SqlType]) -> usize) {
    let best = rest.iter().map(|(_, wanted)| score(wanted)).max();
    rest.retain(|(_, wanted)| Some(score(wanted)) == best);
}

/// Rule 4. Leaves the candidates alone where the categories do not decide.
fn keep_by_category<T>(rest: &mut Vec<(T, Vec<SqlType>)>, given: &[SqlType]) {
    let unknown = (0..given.len()).filter(|k| given[*k] == SqlType::Unknown);
    let mut wanted_categories = Vec::new();
    for k in unknown {
        let mut categories: Vec<char> = rest.iter().map(|(_, w)| w[k].info().category).collect();
        categories.sort_unstable();
        categories.dedup();
        let category = match categories[..] {
            [only] => only,
            _ if categories.contains(&'S') => 'S',
            _ => return,
        };
        let prefer =
            rest.iter().any(|(_, w)| w[k].info().category == category && w[k].info().preferred);
        wanted_categories.push((k, category, prefer));
    }
    let fits = |wanted: &[SqlType]| {
        wanted_categories.iter().all(|(k, category, prefer)| {
            let info = wanted[*k].info();
            info.category == *category && (info.preferred || !prefer)
        })
    };
    if rest.iter().any(|(_, wanted)| fits(wanted)) {
        rest.retain(|(_, wanted)| fits(wanted));
    }
}

/// Rule 5.
fn keep_by_assumption<T>(rest: &mut Vec<(T, Vec<SqlType>)>, given: &[SqlType]) {
    let mut known = given.iter().copied().filter(|t| *t != SqlType::Unknown);
    let Some(first) = known.next() else { return };
    if !given.contains(&SqlType::Unknown) || !known.all(|t| t == first) {
        return;
    }
    let accepts = |wanted: &[SqlType]| {
        wanted.iter().all(|to| cast::can_coerce(first, *to, CastContext::Implicit))
    };
    if rest.iter().filter(|(_, wanted)| accepts(wanted)).count() == 1 {
        rest.retain(|(_, wanted)| accepts(wanted));
    }
}

/// The type that all of `types` convert to, for `construct` as errors name it: `CASE`, `COALESCE`,
/// `VALUES`, `UNION`, `IN`, `GREATEST`, `ARRAY`. Text when all are unknown.
///
/// Errors: 42804 `CASE types integer and text cannot be matched`.
pub fn common_type(construct: &str, types: &[SqlType]) -> SqlResult<SqlType> {
    let mut known = types.iter().copied().filter(|t| *t != SqlType::Unknown);
    let Some(mut chosen) = known.next() else { return Ok(SqlType::Text) };
    for next in known {
        if next == chosen {
            continue;
        }
        if next.info().category != chosen.info().category {
            let (chosen, next) = (chosen.info().sql_name, next.info().sql_name);
            return Err(SqlError::new(
                SqlState::DatatypeMismatch,
                format!("{construct} types {chosen} and {next} cannot be matched"),
            ));
        }
        let forth = cast::can_coerce(chosen, next, CastContext::Implicit);
        let back = cast::can_coerce(next, chosen, CastContext::Implicit);
        if !chosen.info().preferred && forth && !back {
            chosen = next;
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use SqlType::*;

    fn operator(name: &str, left: SqlType, right: SqlType) -> String {
        match resolve_operator(name, Some(left), right) {
            Ok(o) => operator_text(o.name, o.left, o.right),
            Err(error) => error.message,
        }
    }

    /// As PostgreSQL 15 chooses.
    #[test]
    fn operators() {
        for (name, left, right, expected) in [
            ("+", Int4, Int4, "integer + integer"),
            ("+", Int4, Unknown, "integer + integer"),
            ("+", Int4, Numeric, "numeric + numeric"),
            ("+", Int8, Float4, "double precision + real"),
            ("+", Float4, Numeric, "real + double precision"),
            ("+", Unknown, Unknown, "operator is not unique: unknown + unknown"),
            ("-", Date, Unknown, "date - date"),
            ("+", Date, Unknown, "date + integer"),
            ("=", Varchar, Unknown, "text = text"),
            ("=", Varchar, Text, "text = text"),
            ("=", Bpchar, Varchar, "character = character"),
            ("=", Bpchar, Text, "text = text"),
            ("=", Bpchar, Unknown, "character = character"),
            ("=", Name, Unknown, "name = name"),
            ("=", Name, Text, "name = text"),
            ("=", Unknown, Unknown, "text = text"),
            ("=", Int4, Int8, "integer = bigint"),
            ("=", Int4, Text, "operator does not exist: integer = text"),
            ("=", Bool, Int4, "operator does not exist: boolean = integer"),
            ("<", Json, Json, "operator does not exist: json < json"),
            ("=", Uuid, Unknown, "uuid = uuid"),
            ("=", Uuid, Text, "operator does not exist: uuid = text"),
            ("=", Oid, Int4, "oid = oid"),
            ("=", Oid, Int8, "oid = oid"),
            ("=", Timestamp, Unknown, "timestamp without time zone = timestamp without time zone"),
            ("=", Date, TimestampTz, "date = timestamp with time zone"),
            ("||", Unknown, Unknown, "text || text"),
            ("||", Text, Unknown, "text || text"),
            ("~~", Varchar, Unknown, "text ~~ text"),
            ("~~", Int4, Unknown, "operator does not exist: integer ~~ unknown"),
            ("&", Int2, Int4, "integer & integer"),
            ("^", Int4, Int4, "double precision ^ double precision"),
            ("^", Numeric, Int4, "numeric ^ numeric"),
            ("%", Int8, Int4, "bigint % bigint"),
            ("=", Int4Array, Unknown, "integer[] = integer[]"),
            ("||", Int4Array, Int8, "operator integer[] || bigint is not supported"),
            ("||", Int4Array, Unknown, "operator integer[] || unknown is not supported"),
            ("||", Int4Array, Text, "operator does not exist: integer[] || text"),
            ("@>", Int4Array, Int4Array, "operator integer[] @> integer[] is not supported"),
            ("@>", Int4, Int4, "operator does not exist: integer @> integer"),
            ("||", Bytea, Varchar, "operator bytea || character varying is not supported"),
            ("-", TimestampTz, Date, "operator timestamp with time zone - date is not supported"),
            (
                "+",
                Timestamp,
                Unknown,
                "operator timestamp without time zone + unknown is not supported",
            ),
            ("-", Uuid, Uuid, "operator does not exist: uuid - uuid"),
        ] {
            assert_eq!(operator(name, left, right), expected, "{left:?} {name} {right:?}");
        }
        let prefix = |right| resolve_operator("-", None, right);
        assert_eq!(prefix(Int4).unwrap().result, Int4);
        assert_eq!(prefix(Unknown).unwrap().result, Float8);
        assert_eq!(prefix(Text).unwrap_err().message, "operator does not exist: - text");
    }

    #[test]
    fn functions() {
        let resolve = |name: &str, args: &[SqlType]| match resolve_function(name, args) {
            Ok(f) => format!("{} {}", signature(f.name, f.args), f.result.info().name),
            Err(error) => error.message,
        };
        for (name, args, expected) in [
            ("abs", &[Unknown][..], "abs(double precision) float8"),
            ("abs", &[Int2], "abs(smallint) int2"),
            ("round", &[Int4], "round(double precision) float8"),
            ("round", &[Numeric], "round(numeric) numeric"),
            ("round", &[Float8, Int4], "function round(double precision, integer) does not exist"),
            ("length", &[Unknown], "length(text) int4"),
            ("length", &[Varchar], "length(text) int4"),
            ("lower", &[Int4], "function lower(integer) does not exist"),
            ("substr", &[Unknown, Unknown], "substr(text, integer) text"),
            ("mod", &[Int4, Int8], "mod(bigint, bigint) int8"),
            ("power", &[Int4, Int4], "power(double precision, double precision) float8"),
            (
                "date_trunc",
                &[Unknown, Date],
                "date_trunc(text, timestamp with time zone) timestamptz",
            ),
            ("concat", &[Unknown, Int4, Bool], "concat(unknown) text"),
            ("now", &[], "now() timestamptz"),
            ("nosuch", &[Int4, Unknown], "function nosuch(integer, unknown) does not exist"),
        ] {
            assert_eq!(resolve(name, args), expected, "{name} {args:?}");
        }
    }

    #[test]
    fn common_types() {
        let common = |types: &[SqlType]| match common_type("CASE", types) {
            Ok(ty) => ty.info().name.to_owned(),
            Err(error) => error.message,
        };
        assert_eq!(common(&[Int4, Unknown]), "int4");
        assert_eq!(common(&[Int4, Int8, Numeric]), "numeric");
        assert_eq!(common(&[Numeric, Int4]), "numeric");
        assert_eq!(common(&[Numeric, Float8]), "float8");
        assert_eq!(common(&[Unknown, Unknown]), "text");
        assert_eq!(common(&[Varchar, Text]), "varchar");
        assert_eq!(common(&[Text, Varchar]), "text");
        assert_eq!(common(&[Date, Timestamp]), "timestamp");
        assert_eq!(common(&[Int4, Text]), "CASE types integer and text cannot be matched");
    }
}
