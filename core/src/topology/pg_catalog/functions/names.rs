//! Names and oids: `to_regclass`, `'t'::regclass`, `oid::regtype` and the like.
//!
//! Basalt has no types `regclass` and so on. A cast from text to one gives the `oid` the name stands
//! for ([`RingFunctions::named`], the `…in` functions), and a cast from `oid` gives the name as
//! `text` (the `…out` functions): what catalog queries use them for. A number or `-` in place of a
//! name is taken as the oid itself or as 0.

use super::RingFunctions;
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType, UserId};
use crate::expr::function;
use crate::topology::pg_catalog::SCHEMAS;
use crate::topology::pg_catalog::definition::quote_identifier;
use crate::topology::virtual_table::PG_CATALOG;

impl RingFunctions<'_> {
    /// `None` for a function that is not about names.
    pub(super) fn named(&self, function: &str, args: &[Datum]) -> Option<SqlResult<Datum>> {
        Some(match (function, args) {
            ("to_regclass", [Datum::Text(text)]) => or_null(self.find_relation(text)),
            ("to_regtype", [Datum::Text(text)]) => or_null(find_type(text)),
            ("regclassin", [Datum::Text(text)]) => oid_of(text, |t| self.find_relation(t)),
            ("regtypein", [Datum::Text(text)]) => oid_of(text, find_type),
            ("regprocin", [Datum::Text(text)]) => oid_of(text, find_function),
            ("regnamespacein", [Datum::Text(text)]) => oid_of(text, find_schema),
            ("regrolein", [Datum::Text(text)]) => oid_of(text, |t| self.find_role(t)),
            ("regclassout", [Datum::Oid(oid)]) => Ok(name_of(*oid, self.shown_relation(*oid))),
            ("regtypeout", [Datum::Oid(oid)]) => {
                let shown = SqlType::from_oid(*oid).map(|ty| ty.info().sql_name.to_owned());
                Ok(name_of(*oid, shown))
            }
            ("regprocout", [Datum::Oid(oid)]) => {
                Ok(name_of(*oid, function::by_oid(*oid).map(|f| f.name.to_owned())))
            }
            ("regnamespaceout", [Datum::Oid(oid)]) => {
                let schema = SCHEMAS.iter().find(|(_, known)| known == oid);
                Ok(name_of(*oid, schema.map(|(name, _)| quote_identifier(name))))
            }
            ("regroleout", [Datum::Oid(oid)]) => {
                let user = self.ring.catalog.users.get(UserId(*oid));
                Ok(name_of(*oid, user.map(|u| quote_identifier(&u.name))))
            }
            _ => return None,
        })
    }

    /// The oid of the table or index that `text` names as SQL would, or 42P01.
    pub(super) fn find_relation(&self, text: &str) -> SqlResult<u32> {
        let parts = split(text)?;
        let found = match parts.as_slice() {
            [name] => self.unqualified(name),
            [schema, name] | [_, schema, name] => self.in_schema(schema, name),
            _ => return Err(invalid_name(text)),
        };
        found.ok_or_else(|| {
            let message = format!("relation \"{}\" does not exist", parts.join("."));
            SqlError::new(SqlState::UndefinedTable, message)
        })
    }

    fn find_role(&self, text: &str) -> SqlResult<u32> {
        match split(text)?.as_slice() {
            [name] => Ok(self.ring.catalog.users.require(name)?.id.0),
            _ => Err(invalid_name(text)),
        }
    }

    /// With its schema only where the name alone would not find it.
    fn shown_relation(&self, oid: u32) -> Option<String> {
        let (schema, name) = self.relation_name(oid)?;
        if self.unqualified(name) == Some(oid) {
            return Some(quote_identifier(name));
        }
        Some(format!("{}.{}", quote_identifier(schema), quote_identifier(name)))
    }
}

/// Whether a type's name alone finds it: all types are in `pg_catalog`. NULL for no type.
pub(super) fn type_is_visible(oid: u32) -> Datum {
    SqlType::from_oid(oid).map_or(Datum::Null, |_| Datum::Bool(true))
}

fn or_null(found: SqlResult<u32>) -> SqlResult<Datum> {
    match found {
        Ok(oid) => Ok(Datum::Oid(oid)),
        Err(error) if error.state == SqlState::InvalidName => Err(error),
        Err(_) => Ok(Datum::Null),
    }
}

fn oid_of(text: &str, find: impl FnOnce(&str) -> SqlResult<u32>) -> SqlResult<Datum> {
    match text {
        "-" => Ok(Datum::Oid(0)),
        text => Ok(Datum::Oid(text.parse().or_else(|_| find(text))?)),
    }
}

fn name_of(oid: u32, name: Option<String>) -> Datum {
    match name {
        Some(name) => Datum::text(name),
        None if oid == 0 => Datum::text("-"),
        None => Datum::text(oid.to_string()),
    }
}

fn find_schema(text: &str) -> SqlResult<u32> {
    let parts = split(text)?;
    let [name] = parts.as_slice() else { return Err(invalid_name(text)) };
    let found = SCHEMAS.iter().find(|(schema, _)| schema == name).map(|(_, oid)| *oid);
    found.ok_or_else(|| {
        SqlError::new(SqlState::InvalidSchemaName, format!("schema \"{name}\" does not exist"))
    })
}

fn find_function(text: &str) -> SqlResult<u32> {
    let parts = split(text)?;
    let name = in_pg_catalog(&parts).ok_or_else(|| invalid_name(text))?;
    let mut known = function::named(name);
    let undefined = |message| Err(SqlError::new(SqlState::UndefinedFunction, message));
    match (known.next(), known.next()) {
        (Some(one), None) => Ok(one.oid),
        (None, _) => undefined(format!("function \"{text}\" does not exist")),
        (Some(_), Some(_)) => undefined(format!("more than one function named \"{text}\"")),
    }
}

/// `int4`, `integer`, `pg_catalog.int4`, `character varying(10)`, `_int4`, `integer[]`.
fn find_type(text: &str) -> SqlResult<u32> {
    let (element, is_array) = match text.trim().strip_suffix("[]") {
        Some(element) => (element.trim_end(), true),
        None => (text.trim(), false),
    };
    let base = match element.split_once('(') {
        Some((before, after)) => {
            let after = after.split_once(')').map_or("", |(_, after)| after);
            format!("{}{after}", before.trim_end())
        }
        None => element.to_owned(),
    };
    let missing =
        || SqlError::new(SqlState::UndefinedObject, format!("type \"{text}\" does not exist"));
    let folded = base.to_lowercase();
    let spelled = SqlType::ALL.into_iter().find(|ty| ty.info().sql_name == folded);
    let found = spelled.or_else(|| {
        let parts = split(&base).ok()?;
        let name = in_pg_catalog(&parts)?;
        let long =
            [("decimal", SqlType::Numeric), ("int", SqlType::Int4), ("float", SqlType::Float8)];
        let alias = long.into_iter().find(|(alias, _)| *alias == name).map(|(_, ty)| ty);
        alias.or_else(|| SqlType::ALL.into_iter().find(|ty| ty.info().name == name))
    });
    let oid = match (found, is_array) {
        (Some(ty), false) => ty.info().oid,
        (Some(ty), true) => ty.info().array_oid,
        (None, _) => 0,
    };
    if oid == 0 { Err(missing()) } else { Ok(oid) }
}

/// The name without its schema, if that is `pg_catalog` or left out.
fn in_pg_catalog(parts: &[String]) -> Option<&str> {
    match parts {
        [name] => Some(name),
        [schema, name] if schema == PG_CATALOG => Some(name),
        _ => None,
    }
}

/// The parts of a dotted name as SQL reads them: folded to lower case unless quoted. 42602 otherwise.
fn split(text: &str) -> SqlResult<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.trim();
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_part(quoted).ok_or_else(|| invalid_name(text))?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].trim().to_lowercase(), &rest[end..])
            }
        };
        if part.is_empty() || part.contains('"') && !rest.starts_with('"') {
            return Err(invalid_name(text));
        }
        parts.push(part);
        let after = after.trim_start();
        if after.is_empty() {
            return Ok(parts);
        }
        rest = after.strip_prefix('.').ok_or_else(|| invalid_name(text))?.trim_start();
    }
}

/// A quoted name after its opening quote, and what follows the closing one.
fn quoted_part(text: &str) -> Option<(String, &str)> {
    let mut part = String::new();
    let mut rest = text;
    loop {
        let (before, after) = rest.split_once('"')?;
        part.push_str(before);
        match after.strip_prefix('"') {
            Some(more) => {
                part.push('"');
                rest = more;
            }
            None => return Some((part, after)),
        }
    }
}

fn invalid_name(text: &str) -> SqlError {
    SqlError::new(SqlState::InvalidName, format!("invalid name syntax: \"{text}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_split_as_sql_reads_them() {
        let parts = |text: &str| split(text).map(|p| p.join("|")).map_err(|e| e.state);
        assert_eq!(parts("T").unwrap(), "t");
        assert_eq!(parts(" public . \"My \"\"T\"\".x\" ").unwrap(), "public|My \"T\".x");
        assert_eq!(parts("a.b.c").unwrap(), "a|b|c");
        for bad in ["", ".", "a.", "\"open", "\"a\"b", "a\"b", "\"\""] {
            assert_eq!(parts(bad), Err(SqlState::InvalidName), "{bad}");
        }
    }

    #[test]
    fn types_are_found_by_each_of_their_names() {
        let found = |text| find_type(text).ok().and_then(SqlType::from_oid);
        for name in ["int4", "INTEGER", "int", "pg_catalog.int4"] {
            assert_eq!(found(name), Some(SqlType::Int4), "{name}");
        }
        assert_eq!(found("character varying(10)"), Some(SqlType::Varchar));
        assert_eq!(found("timestamp with time zone"), Some(SqlType::TimestampTz));
        assert_eq!(found("integer[]"), Some(SqlType::Int4Array));
        assert_eq!(found("_int4"), Some(SqlType::Int4Array));
        assert_eq!(found("public.int4"), None);
        assert_eq!(found("hstore"), None);
    }
}
