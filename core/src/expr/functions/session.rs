//! Who asks, where, and what: the session's information functions, and random values.

use super::integer;
use crate::base::typmod;
use crate::base::{Datum, SqlError, SqlResult, SqlType};
use crate::expr::context::EvalContext;
use crate::expr::function::{ANY, Function, row};

const TEXT: SqlType = SqlType::Text;
const NAME: SqlType = SqlType::Name;
const INT4: SqlType = SqlType::Int4;

#[rustfmt::skip]
pub(super) static ROWS: &[Function] = &[
    row(89, "version", &[], TEXT, |_, c| Ok(Datum::Text(c.session.version.clone()))).stable(),
    row(745, "current_user", &[], NAME, |_, c| Ok(Datum::Text(c.session.current_user.clone()))).stable(),
    row(746, "session_user", &[], NAME, |_, c| Ok(Datum::Text(c.session.session_user.clone()))).stable(),
    row(16_303, "user", &[], NAME, |_, c| Ok(Datum::Text(c.session.current_user.clone()))).stable(),
    row(16_304, "current_role", &[], NAME, |_, c| Ok(Datum::Text(c.session.current_user.clone()))).stable(),
    row(861, "current_database", &[], NAME, |_, c| Ok(Datum::Text(c.session.database.clone()))).stable(),
    row(16_305, "current_catalog", &[], NAME, |_, c| Ok(Datum::Text(c.session.database.clone()))).stable(),
    row(1402, "current_schema", &[], NAME, |_, c| {
        Ok(c.session.schema.clone().map_or(Datum::Null, Datum::Text))
    }).stable(),
    row(2026, "pg_backend_pid", &[], INT4, |_, c| Ok(Datum::Int4(c.session.backend_pid))).stable(),
    // Its type is void in PostgreSQL, which prints as nothing, too. There are no advisory locks.
    row(2892, "pg_advisory_unlock_all", &[], TEXT, |_, _| Ok(Datum::text(""))).volatile(),
    row(810, "pg_client_encoding", &[], NAME, |_, _| Ok(Datum::text("UTF8"))).stable(),
    row(1039, "getdatabaseencoding", &[], NAME, |_, _| Ok(Datum::text("UTF8"))).stable(),
    row(1597, "pg_encoding_to_char", &[INT4], NAME, |a, _| Ok(Datum::text(encoding_name(integer(a, 0)?)))).stable(),
    row(3432, "gen_random_uuid", &[], SqlType::Uuid, |_, c| random_uuid(c)).volatile(),
    row(1081, "format_type", &[SqlType::Oid, INT4], TEXT, |a, _| format_type(a)).sees_nulls().stable(),
    row(440, "num_nonnulls", &[ANY], INT4, |a, _| super::count(a.iter().filter(|v| !v.is_null()).count())).sees_nulls().variadic(),
    row(438, "num_nulls", &[ANY], INT4, |a, _| super::count(a.iter().filter(|v| v.is_null()).count())).sees_nulls().variadic(),
];

/// Number 6 is UTF8 in PostgreSQL's list; no database here has another.
fn encoding_name(encoding: i64) -> &'static str {
    if encoding == 6 { "UTF8" } else { "" }
}

/// Version 4: random but for the version and variant bits.
fn random_uuid(context: &EvalContext) -> SqlResult<Datum> {
    let Ok(mut rng) = context.rng.try_borrow_mut() else {
        return Err(SqlError::internal("the random stream is in use"));
    };
    let mut uuid = [0; 16];
    rng.fill(&mut uuid);
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Ok(Datum::Uuid(uuid))
}

fn format_type(args: &[Datum]) -> SqlResult<Datum> {
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    let oid = u32::try_from(integer(args, 0)?).unwrap_or(0);
    let given = if args[1].is_null() { None } else { Some(integer(args, 1)?) };
    let Some(ty) = SqlType::from_oid(oid) else {
        return Ok(Datum::text(if oid == 0 { "-" } else { "???" }));
    };
    let modifier = given.and_then(|m| i32::try_from(m).ok()).unwrap_or(-1);
    // Without a modifier at all, `char` is shown by the name that means any length.
    let plain = given.is_none() && ty == SqlType::Bpchar;
    let shown = if plain { "character".to_owned() } else { typmod::format_type(ty, modifier) };
    Ok(Datum::text(shown))
}
