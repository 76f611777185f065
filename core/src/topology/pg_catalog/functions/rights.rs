//! `has_table_privilege` and its relatives.
//!
//! The privileges are a comma-separated list, of which one is enough. PostgreSQL's `SELECT` is the
//! right to read, `INSERT`, `UPDATE`, `DELETE` and `TRUNCATE` the right to write; what Basalt has no
//! right for (`REFERENCES`, `TRIGGER`) belongs to the owner. `WITH GRANT OPTION` is the owner's, too.

use super::RingFunctions;
use crate::base::{Datum, SqlError, SqlResult, SqlState, TableId, UserId};
use crate::topology::catalog::Access;
use crate::topology::pg_catalog::SCHEMAS;
use crate::topology::virtual_table::{DATABASE, has_schema};
use crate::topology::{ddl::PUBLIC_SCHEMA, pg_catalog::PUBLIC_OID};

const TABLE: [&str; 7] =
    ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"];
const SCHEMA: [&str; 2] = ["CREATE", "USAGE"];
const DATABASE_RIGHTS: [&str; 4] = ["CREATE", "CONNECT", "TEMPORARY", "TEMP"];
const ROLE: [&str; 3] = ["USAGE", "MEMBER", "SET"];

/// One word of the list.
struct Right {
    name: &'static str,
    to_grant: bool,
}

impl RingFunctions<'_> {
    /// `None` for a function that is not about rights.
    pub(super) fn right(&self, function: &str, args: &[Datum]) -> Option<SqlResult<Datum>> {
        let (user, object, list) = match args {
            [object, Datum::Text(list)] => (Ok(self.user), object, list),
            [Datum::Text(user), object, Datum::Text(list)] => {
                (self.ring.catalog.users.require(user).map(|u| u.id), object, list)
            }
            _ => return None,
        };
        let has = |user| match function {
            "has_table_privilege" => self.on_table(user, object, list),
            "has_schema_privilege" => self.on_schema(user, object, list),
            "has_database_privilege" => self.on_database(user, object, list),
            _ => self.on_role(user, object, list),
        };
        let known = ["has_table_privilege", "has_schema_privilege", "has_database_privilege"];
        (known.contains(&function) || function == "pg_has_role").then(|| user.and_then(has))
    }

    fn on_table(&self, user: UserId, object: &Datum, list: &str) -> SqlResult<Datum> {
        let rights = parse(list, &TABLE)?;
        let oid = match object {
            Datum::Text(name) => self.find_relation(name)?,
            Datum::Oid(oid) => *oid,
            _ => return Ok(Datum::Null),
        };
        let catalog = &self.ring.catalog;
        let Some(table) = catalog.by_id(TableId(oid)) else {
            // Anyone reads system tables, nobody writes them.
            let reads = rights.iter().any(|r| r.name == "SELECT" && !r.to_grant);
            return Ok(self.relation_name(oid).map_or(Datum::Null, |_| Datum::Bool(reads)));
        };
        let access = |right: &Right| match right.name {
            _ if right.to_grant => Access::GrantOn(table),
            "SELECT" => Access::Read(table),
            "REFERENCES" | "TRIGGER" => Access::GrantOn(table),
            _ => Access::Write(table),
        };
        Ok(Datum::Bool(rights.iter().any(|r| catalog.check(user, access(r)).is_ok())))
    }

    fn on_schema(&self, user: UserId, object: &Datum, list: &str) -> SqlResult<Datum> {
        let rights = parse(list, &SCHEMA)?;
        let is_public = match object {
            Datum::Text(name) if has_schema(name) => &**name == PUBLIC_SCHEMA,
            Datum::Text(name) => {
                let message = format!("schema \"{name}\" does not exist");
                return Err(SqlError::new(SqlState::InvalidSchemaName, message));
            }
            Datum::Oid(oid) if SCHEMAS.iter().any(|(_, known)| known == oid) => *oid == PUBLIC_OID,
            _ => return Ok(Datum::Null),
        };
        let catalog = &self.ring.catalog;
        let creates = is_public && catalog.check(user, Access::CreateTable).is_ok();
        let superuser = catalog.is_superuser(user);
        Ok(Datum::Bool(rights.iter().any(|right| match right.name {
            _ if right.to_grant => superuser,
            "USAGE" => true,
            _ => creates,
        })))
    }

    /// Everyone may connect; there are no temporary tables, and schemas are given.
    fn on_database(&self, user: UserId, object: &Datum, list: &str) -> SqlResult<Datum> {
        let rights = parse(list, &DATABASE_RIGHTS)?;
        match object {
            Datum::Text(name) if &**name != DATABASE => {
                let message = format!("database \"{name}\" does not exist");
                Err(SqlError::new(SqlState::InvalidCatalogName, message))
            }
            Datum::Oid(oid) if *oid != super::super::DATABASE_OID => Ok(Datum::Null),
            _ => {
                let superuser = self.ring.catalog.is_superuser(user);
                let holds = |r: &Right| superuser || r.name == "CONNECT" && !r.to_grant;
                Ok(Datum::Bool(rights.iter().any(holds)))
            }
        }
    }

    fn on_role(&self, user: UserId, object: &Datum, list: &str) -> SqlResult<Datum> {
        let rights = parse(list, &ROLE)?;
        let users = &self.ring.catalog.users;
        let role = match object {
            Datum::Text(name) => users.require(name)?.id,
            Datum::Oid(oid) => UserId(*oid),
            _ => return Ok(Datum::Null),
        };
        let superuser = self.ring.catalog.is_superuser(user);
        let member = superuser || users.is_member(user, role);
        let holds = |r: &Right| if r.to_grant { superuser } else { member };
        Ok(Datum::Bool(rights.iter().any(holds)))
    }
}

/// The rights in a list, or 22023 for one that is not among `known`.
fn parse(list: &str, known: &[&'static str]) -> SqlResult<Vec<Right>> {
    let one = |word: &str| {
        let upper = word.trim().to_uppercase();
        let plain = upper.strip_suffix(" WITH GRANT OPTION");
        let plain = plain.or_else(|| upper.strip_suffix(" WITH ADMIN OPTION"));
        let name = known.iter().find(|k| **k == plain.unwrap_or(&upper));
        match name {
            Some(name) => Ok(Right { name, to_grant: plain.is_some() }),
            None => {
                let message = format!("unrecognized privilege type: \"{}\"", word.trim());
                Err(SqlError::new(SqlState::InvalidParameterValue, message))
            }
        }
    };
    list.split(',').map(one).collect()
}
