//! Strings and byte strings: cutting, joining, searching, padding.
//!
//! Positions count characters from 1. Case conversion is character by character, as PostgreSQL's:
//! a character whose other case is several characters stays as it is.

use std::collections::BTreeMap;

use super::{bytes, check_length, count, integer, invalid_parameter, text};
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType};
use crate::expr::function::{ANY, Function, row};

const TEXT: SqlType = SqlType::Text;
const BPCHAR: SqlType = SqlType::Bpchar;
const BYTEA: SqlType = SqlType::Bytea;
const INT4: SqlType = SqlType::Int4;
const BOOL: SqlType = SqlType::Bool;

#[rustfmt::skip]
pub(super) static ROWS: &[Function] = &[
    row(1258, "textcat", &[TEXT, TEXT], TEXT, |a, _| join(&[text(a, 0)?, text(a, 1)?])),
    row(2011, "byteacat", &[BYTEA, BYTEA], BYTEA, |a, _| join_bytes(bytes(a, 0)?, bytes(a, 1)?)),
    row(870, "lower", &[TEXT], TEXT, |a, _| Ok(Datum::text(lower(text(a, 0)?)))),
    row(871, "upper", &[TEXT], TEXT, |a, _| Ok(Datum::text(upper(text(a, 0)?)))),
    row(872, "initcap", &[TEXT], TEXT, |a, _| Ok(Datum::text(initcap(text(a, 0)?)))),
    row(1317, "length", &[TEXT], INT4, |a, _| count(text(a, 0)?.chars().count())),
    row(1318, "length", &[BPCHAR], INT4, |a, _| count(trimmed(a)?.chars().count())),
    row(2010, "length", &[BYTEA], INT4, |a, _| count(bytes(a, 0)?.len())),
    row(1381, "char_length", &[TEXT], INT4, |a, _| count(text(a, 0)?.chars().count())),
    row(1372, "char_length", &[BPCHAR], INT4, |a, _| count(trimmed(a)?.chars().count())),
    row(1369, "character_length", &[TEXT], INT4, |a, _| count(text(a, 0)?.chars().count())),
    row(1367, "character_length", &[BPCHAR], INT4, |a, _| count(trimmed(a)?.chars().count())),
    row(1374, "octet_length", &[TEXT], INT4, |a, _| count(text(a, 0)?.len())),
    row(1375, "octet_length", &[BPCHAR], INT4, |a, _| count(text(a, 0)?.len())),
    row(720, "octet_length", &[BYTEA], INT4, |a, _| count(bytes(a, 0)?.len())),
    row(1811, "bit_length", &[TEXT], INT4, |a, _| count(text(a, 0)?.len() * 8)),
    row(1810, "bit_length", &[BYTEA], INT4, |a, _| count(bytes(a, 0)?.len() * 8)),
    row(937, "substring", &[TEXT, INT4], TEXT, |a, _| substring(a)),
    row(936, "substring", &[TEXT, INT4, INT4], TEXT, |a, _| substring(a)),
    row(883, "substr", &[TEXT, INT4], TEXT, |a, _| substring(a)),
    row(877, "substr", &[TEXT, INT4, INT4], TEXT, |a, _| substring(a)),
    row(2013, "substring", &[BYTEA, INT4], BYTEA, |a, _| substring_bytes(a)),
    row(2012, "substring", &[BYTEA, INT4, INT4], BYTEA, |a, _| substring_bytes(a)),
    row(2086, "substr", &[BYTEA, INT4], BYTEA, |a, _| substring_bytes(a)),
    row(2085, "substr", &[BYTEA, INT4, INT4], BYTEA, |a, _| substring_bytes(a)),
    row(1405, "overlay", &[TEXT, TEXT, INT4], TEXT, |a, _| overlay(a)),
    row(1404, "overlay", &[TEXT, TEXT, INT4, INT4], TEXT, |a, _| overlay(a)),
    row(885, "btrim", &[TEXT], TEXT, |a, _| trim(a, true, true)),
    row(884, "btrim", &[TEXT, TEXT], TEXT, |a, _| trim(a, true, true)),
    row(881, "ltrim", &[TEXT], TEXT, |a, _| trim(a, true, false)),
    row(875, "ltrim", &[TEXT, TEXT], TEXT, |a, _| trim(a, true, false)),
    row(882, "rtrim", &[TEXT], TEXT, |a, _| trim(a, false, true)),
    row(876, "rtrim", &[TEXT, TEXT], TEXT, |a, _| trim(a, false, true)),
    row(3060, "left", &[TEXT, INT4], TEXT, |a, _| left(a)),
    row(3061, "right", &[TEXT, INT4], TEXT, |a, _| right(a)),
    row(879, "lpad", &[TEXT, INT4], TEXT, |a, _| pad(a, true)),
    row(873, "lpad", &[TEXT, INT4, TEXT], TEXT, |a, _| pad(a, true)),
    row(880, "rpad", &[TEXT, INT4], TEXT, |a, _| pad(a, false)),
    row(874, "rpad", &[TEXT, INT4, TEXT], TEXT, |a, _| pad(a, false)),
    row(1622, "repeat", &[TEXT, INT4], TEXT, |a, _| repeat(a)),
    row(2087, "replace", &[TEXT, TEXT, TEXT], TEXT, |a, _| replace(a)),
    row(878, "translate", &[TEXT, TEXT, TEXT], TEXT, |a, _| translate(a)),
    row(849, "position", &[TEXT, TEXT], INT4, |a, _| position(text(a, 0)?, text(a, 1)?)),
    row(868, "strpos", &[TEXT, TEXT], INT4, |a, _| position(text(a, 0)?, text(a, 1)?)),
    row(2088, "split_part", &[TEXT, TEXT, INT4], TEXT, |a, _| split_part(a)),
    row(3062, "reverse", &[TEXT], TEXT, |a, _| Ok(Datum::text(text(a, 0)?.chars().rev().collect::<String>()))),
    row(3696, "starts_with", &[TEXT, TEXT], BOOL, |a, _| Ok(Datum::Bool(text(a, 0)?.starts_with(text(a, 1)?)))),
    row(3058, "concat", &[ANY], TEXT, |a, _| concat(a)).sees_nulls().variadic().stable(),
    row(3059, "concat_ws", &[TEXT, ANY], TEXT, |a, _| concat_ws(a)).sees_nulls().variadic().stable(),
];

fn join(parts: &[&str]) -> SqlResult<Datum> {
    check_length(parts.iter().map(|p| p.len()).sum())?;
    Ok(Datum::text(parts.concat()))
}

fn join_bytes(a: &[u8], b: &[u8]) -> SqlResult<Datum> {
    check_length(a.len() + b.len())?;
    Ok(Datum::Bytea([a, b].concat().into()))
}

fn single(mut mapped: impl Iterator<Item = char>, original: char) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(only), None) => only,
        _ => original,
    }
}

/// Lower case, character by character.
pub(in crate::expr) fn lower(s: &str) -> String {
    s.chars().map(|c| single(c.to_lowercase(), c)).collect()
}

fn upper(s: &str) -> String {
    s.chars().map(|c| single(c.to_uppercase(), c)).collect()
}

fn initcap(s: &str) -> String {
    let mut in_word = false;
    s.chars()
        .map(|c| {
            let cased =
                if in_word { single(c.to_lowercase(), c) } else { single(c.to_uppercase(), c) };
            in_word = c.is_alphanumeric();
            cased
        })
        .collect()
}

/// `char(n)` as its length counts: without trailing blanks.
fn trimmed(args: &[Datum]) -> SqlResult<&str> {
    Ok(crate::base::compare::trimmed(text(args, 0)?))
}

/// Start (from 0) and length of `substring(x, start [, length])` in a string of any length.
fn substring_range(args: &[Datum]) -> SqlResult<(usize, usize)> {
    let start = integer(args, 1)?;
    let end = if args.len() > 2 {
        let length = integer(args, 2)?;
        if length < 0 {
            return Err(SqlError::new(
                SqlState::SubstringError,
                "negative substring length not allowed",
            ));
        }
        start + length
    } else {
        i64::MAX
    };
    let first = start.max(1);
    let length = end.saturating_sub(first).max(0);
    // Both are positive here, and no string is longer than usize.
    Ok(((first - 1) as usize, length as usize))
}

fn substring(args: &[Datum]) -> SqlResult<Datum> {
    let (skip, take) = substring_range(args)?;
    let part: String = text(args, 0)?.chars().skip(skip).take(take).collect();
    Ok(Datum::text(part))
}

fn substring_bytes(args: &[Datum]) -> SqlResult<Datum> {
    let (skip, take) = substring_range(args)?;
    let part: Vec<u8> = bytes(args, 0)?.iter().copied().skip(skip).take(take).collect();
    Ok(Datum::Bytea(part.into()))
}

fn overlay(args: &[Datum]) -> SqlResult<Datum> {
    let (base, placed, start) = (text(args, 0)?, text(args, 1)?, integer(args, 2)?);
    if start <= 0 {
        return Err(SqlError::new(
            SqlState::SubstringError,
            "negative substring length not allowed",
        ));
    }
    let length = match args.get(3) {
        Some(_) => integer(args, 3)?,
        None => placed.chars().count() as i64,
    };
    let head: String = base.chars().take((start - 1) as usize).collect();
    let tail: String = base.chars().skip((start - 1 + length).max(0) as usize).collect();
    join(&[&head, placed, &tail])
}

fn trim(args: &[Datum], at_start: bool, at_end: bool) -> SqlResult<Datum> {
    let set = if args.len() > 1 { text(args, 1)? } else { " " };
    // In order, so that a long set is not searched from its start for each character.
    let mut set: Vec<char> = set.chars().collect();
    set.sort_unstable();
    let in_set = |c: char| set.binary_search(&c).is_ok();
    let mut rest = text(args, 0)?;
    if at_start {
        rest = rest.trim_start_matches(in_set);
    }
    if at_end {
        rest = rest.trim_end_matches(in_set);
    }
    Ok(Datum::text(rest))
}

/// The characters that `left` and `right` keep: `n`, or all but `-n`.
fn kept(s: &str, n: i64) -> usize {
    let total = s.chars().count() as i64;
    let kept = if n < 0 { (total + n).max(0) } else { n.min(total) };
    kept as usize
}

fn left(args: &[Datum]) -> SqlResult<Datum> {
    let s = text(args, 0)?;
    let part: String = s.chars().take(kept(s, integer(args, 1)?)).collect();
    Ok(Datum::text(part))
}

fn right(args: &[Datum]) -> SqlResult<Datum> {
    let s = text(args, 0)?;
    let total = s.chars().count();
    let part: String = s.chars().skip(total - kept(s, integer(args, 1)?)).collect();
    Ok(Datum::text(part))
}

fn pad(args: &[Datum], at_start: bool) -> SqlResult<Datum> {
    let s = text(args, 0)?;
    let width = usize::try_from(integer(args, 1)?).unwrap_or(0);
    let fill = if args.len() > 2 { text(args, 2)? } else { " " };
    let length = s.chars().count();
    if width <= length || fill.is_empty() {
        return Ok(Datum::text(s.chars().take(width).collect::<String>()));
    }
    check_length(s.len() + (width - length) * 4)?;
    let padding: String = fill.chars().cycle().take(width - length).collect();
    if at_start { join(&[&padding, s]) } else { join(&[s, &padding]) }
}

fn repeat(args: &[Datum]) -> SqlResult<Datum> {
    let s = text(args, 0)?;
    let times = usize::try_from(integer(args, 1)?).unwrap_or(0);
    check_length(s.len().saturating_mul(times))?;
    Ok(Datum::text(s.repeat(times)))
}

fn replace(args: &[Datum]) -> SqlResult<Datum> {
    let (s, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    if from.is_empty() {
        return Ok(args[0].clone());
    }
    let times = s.matches(from).count();
    check_length(s.len().saturating_add(times.saturating_mul(to.len())))?;
    Ok(Datum::text(s.replace(from, to)))
}

fn translate(args: &[Datum]) -> SqlResult<Datum> {
    let (s, from, to) = (text(args, 0)?, text(args, 1)?, text(args, 2)?);
    let mut to = to.chars();
    let mut map: BTreeMap<char, Option<char>> = BTreeMap::new();
    for c in from.chars() {
        let becomes = to.next();
        // The first of a character's places counts.
        map.entry(c).or_insert(becomes);
    }
    let mapped = s.chars().filter_map(|c| map.get(&c).copied().unwrap_or(Some(c)));
    Ok(Datum::text(mapped.collect::<String>()))
}

/// Position of `part` in `s`, from 1; 0 if it is not there.
fn position(s: &str, part: &str) -> SqlResult<Datum> {
    match s.find(part) {
        Some(at) => count(s[..at].chars().count() + 1),
        None => Ok(Datum::Int4(0)),
    }
}

fn split_part(args: &[Datum]) -> SqlResult<Datum> {
    let (s, delimiter, field) = (text(args, 0)?, text(args, 1)?, integer(args, 2)?);
    if field == 0 {
        return Err(invalid_parameter("field position must not be zero"));
    }
    let at = usize::try_from(field.unsigned_abs() - 1).unwrap_or(usize::MAX);
    let found = if delimiter.is_empty() {
        (at == 0).then_some(s)
    } else if field > 0 {
        s.split(delimiter).nth(at)
    } else {
        s.rsplit(delimiter).nth(at)
    };
    Ok(Datum::text(found.unwrap_or("")))
}

/// The builder has converted the arguments to text.
fn concat(args: &[Datum]) -> SqlResult<Datum> {
    let parts: Vec<&str> = (0..args.len()).filter_map(|k| text(args, k).ok()).collect();
    join(&parts)
}

fn concat_ws(args: &[Datum]) -> SqlResult<Datum> {
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    let separator = text(args, 0)?;
    let parts: Vec<&str> = (1..args.len()).filter_map(|k| text(args, k).ok()).collect();
    check_length(parts.iter().map(|p| p.len() + separator.len()).sum())?;
    Ok(Datum::text(parts.join(separator)))
}
