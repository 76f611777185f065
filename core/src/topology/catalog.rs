//! The catalog as sessions and the binder read it: tables by name, and who may do what.
//!
//! A [`Catalog`] is shared by `Arc`; the ring makes a new one with each change, so a session that
//! holds one sees one version from begin to end.

use crate::base::schema::{TableDef, TableRef};
use crate::base::{CatalogVersion, IndexId, SqlError, SqlResult, SqlState, TableId, UserId};
use crate::wire_struct;

use super::ddl::{PUBLIC_SCHEMA, Relation, Tables};
use super::users::{Object, Privilege, User, UserKind, Users, Verifier};

/// Tables, users and rights at one catalog version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalog {
    pub version: CatalogVersion,
    /// The schema version every shard moves to; it trails while a change is in progress.
    pub schema_version: CatalogVersion,
    /// The next free oid of a table, index or user.
    pub next_oid: u32,
    pub tables: Tables,
    pub users: Users,
}

impl Default for Catalog {
    fn default() -> Catalog {
        Catalog {
            version: CatalogVersion(0),
            schema_version: CatalogVersion(0),
            next_oid: TableId::FIRST_USER.0,
            tables: Tables::default(),
            users: Users::default(),
        }
    }
}

/// What a user wants to do, and to what.
#[derive(Clone, Copy, Debug)]
pub enum Access<'a> {
    Read(&'a TableDef),
    Write(&'a TableDef),
    CreateTable,
    /// `ALTER TABLE`, `CREATE INDEX`, `DROP INDEX`, `TRUNCATE`.
    AlterTable(&'a TableDef),
    DropTable(&'a TableDef),
    /// `GRANT … ON t`.
    GrantOn(&'a TableDef),
    CreateUser,
    CreateRole,
    AlterUser(&'a User),
    DropUser(&'a User),
    /// `ALTER SYSTEM`, `GRANT CREATE TABLE`, expel and the like.
    Administer,
}

impl Catalog {
    /// The operable table of this name; no schema means `public`.
    pub fn lookup(&self, schema: Option<&str>, name: &str) -> Option<&TableRef> {
        if schema.is_some_and(|s| s != PUBLIC_SCHEMA) {
            return None;
        }
        self.tables.by_name(name).filter(|t| t.operable)
    }

    /// The operable table of this name, or 42P01 as PostgreSQL words it.
    pub fn table(&self, schema: Option<&str>, name: &str) -> SqlResult<&TableRef> {
        if let Some(table) = self.lookup(schema, name) {
            return Ok(table);
        }
        if let (None | Some(PUBLIC_SCHEMA), Some(Relation::Index(..))) =
            (schema, self.tables.relation(name))
        {
            return Err(SqlError::new(
                SqlState::WrongObjectType,
                format!("\"{name}\" is an index"),
            ));
        }
        let full = schema.map_or(name.to_owned(), |s| format!("{s}.{name}"));
        Err(SqlError::new(SqlState::UndefinedTable, format!("relation \"{full}\" does not exist")))
    }

    /// The index of this name, a primary key's too, and its operable table.
    pub fn index(&self, schema: Option<&str>, name: &str) -> Option<(&TableRef, IndexId)> {
        if schema.is_some_and(|s| s != PUBLIC_SCHEMA) {
            return None;
        }
        match self.tables.relation(name)? {
            Relation::Index(table, index) => Some((self.by_id(table)?, index)),
            Relation::Table(_) => None,
        }
    }

    /// The operable table with this id.
    pub fn by_id(&self, id: TableId) -> Option<&TableRef> {
        self.tables.get(id).filter(|t| t.operable)
    }

    /// The user called `name` if it may log in; the caller checks the password against
    /// [`User::verifier`]. 28000 otherwise.
    pub fn login(&self, name: &str) -> SqlResult<&User> {
        let refuse =
            |message| Err(SqlError::new(SqlState::InvalidAuthorizationSpecification, message));
        match self.users.by_name(name) {
            Some(user) if user.kind == UserKind::User && user.login => Ok(user),
            Some(user) => refuse(format!("role \"{}\" is not permitted to log in", user.name)),
            None => refuse(format!("role \"{name}\" does not exist")),
        }
    }

    /// What the password of `name` is checked against; `None` if it has none or does not exist.
    pub fn verifier(&self, name: &str) -> Option<&Verifier> {
        self.users.by_name(name)?.verifier.as_ref()
    }

    pub fn is_superuser(&self, user: UserId) -> bool {
        self.users.get(user).is_some_and(|u| u.superuser)
    }

    /// Allows `access` to `user`, or refuses with 42501.
    ///
    /// System tables are readable by anyone and written by no one; they are not asked about here.
    pub fn check(&self, user: UserId, access: Access<'_>) -> SqlResult<()> {
        if self.is_superuser(user) || self.allows(user, access) {
            return Ok(());
        }
        Err(SqlError::new(SqlState::InsufficientPrivilege, refusal(access)))
    }

    /// The same question about a table, by the privilege's name.
    pub fn check_privilege(
        &self,
        user: UserId,
        privilege: Privilege,
        table: &TableDef,
    ) -> SqlResult<()> {
        self.check(
            user,
            match privilege {
                Privilege::Read | Privilege::Execute => Access::Read(table),
                Privilege::Write => Access::Write(table),
                Privilege::Create => Access::CreateTable,
                Privilege::Alter => Access::AlterTable(table),
                Privilege::Drop => Access::DropTable(table),
            },
        )
    }

    fn allows(&self, user: UserId, access: Access<'_>) -> bool {
        let holds = |privilege, object| self.users.holds(user, privilege, object);
        let on_table = |privilege, table: &TableDef| {
            self.users.is_member(user, table.owner)
                || holds(privilege, Object::Table(Some(table.id)))
        };
        match access {
            Access::Read(table) => on_table(Privilege::Read, table),
            Access::Write(table) => on_table(Privilege::Write, table),
            Access::AlterTable(table) => on_table(Privilege::Alter, table),
            Access::DropTable(table) => on_table(Privilege::Drop, table),
            Access::GrantOn(table) => self.users.is_member(user, table.owner),
            Access::CreateTable => holds(Privilege::Create, Object::Table(None)),
            Access::CreateUser => holds(Privilege::Create, Object::User(None)),
            Access::CreateRole => holds(Privilege::Create, Object::Role(None)),
            // Otherwise the right to alter users would be the right to become the superuser.
            Access::AlterUser(other) | Access::DropUser(other) if other.superuser => false,
            Access::AlterUser(other) => {
                other.id == user || other.owner == user || holds(Privilege::Alter, object_of(other))
            }
            Access::DropUser(other) => {
                other.owner == user || holds(Privilege::Drop, object_of(other))
            }
            Access::Administer => false,
        }
    }
}

fn object_of(user: &User) -> Object {
    match user.kind {
        UserKind::User => Object::User(Some(user.id)),
        UserKind::Role => Object::Role(Some(user.id)),
    }
}

/// PostgreSQL's words for "no".
fn refusal(access: Access<'_>) -> String {
    match access {
        Access::Read(table) | Access::Write(table) => {
            format!("permission denied for table {}", table.name)
        }
        Access::AlterTable(table) | Access::DropTable(table) | Access::GrantOn(table) => {
            format!("must be owner of table {}", table.name)
        }
        Access::CreateTable => format!("permission denied for schema {PUBLIC_SCHEMA}"),
        Access::CreateUser | Access::CreateRole => "permission denied to create role".into(),
        Access::AlterUser(_) => "permission denied to alter role".into(),
        Access::DropUser(_) => "permission denied to drop role".into(),
        Access::Administer => "permission denied: only a superuser may do that".into(),
    }
}

wire_struct!(Catalog { version, schema_version, next_oid, tables, users });
