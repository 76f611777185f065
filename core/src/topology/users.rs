//! Users, roles and what they may do.
//!
//! A privilege is a row: *grantor* gave *grantee* the right to *privilege* on *object*. Roles are
//! grantees too; being a member of one is the privilege `execute` on it. Everyone is a member of
//! `public`. A superuser may do everything; an owner may do everything with what it owns.
//!
//! PostgreSQL's words map onto Picodata's: `SELECT` is `read`; `INSERT`, `UPDATE`, `DELETE` and
//! `TRUNCATE` are `write`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::base::codec::{CodecResult, Reader, Writer};
use crate::base::{SqlError, SqlResult, SqlState, TableId, UserId, Wire};
use crate::{wire_struct, wire_tags};

/// The superuser every cluster starts with.
pub const ADMIN: UserId = UserId(10);
pub const ADMIN_NAME: &str = "admin";
/// The role everyone is a member of.
pub const PUBLIC: UserId = UserId(2);
pub const PUBLIC_NAME: &str = "public";

/// How many users and roles a cluster may have.
pub const MAX_USERS: usize = 10_000;

/// Whether somebody can log in as it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UserKind {
    User,
    Role,
}

impl UserKind {
    pub fn name(self) -> &'static str {
        match self {
            UserKind::User => "user",
            UserKind::Role => "role",
        }
    }
}

/// What the server keeps instead of a password: `SCRAM-SHA-256$<iterations>:<salt>$<stored>:<server>`.
/// Not shown by `Debug`, so that it reaches no log or trace.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier(pub String);

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(…)")
    }
}

/// Bytes nobody outside the cluster knows. Shown nowhere, not by `Debug` either.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Wire for Secret {
    fn write(&self, w: &mut Writer) {
        w.bytes(&self.0);
    }

    fn read(r: &mut Reader) -> CodecResult<Secret> {
        match r.bytes()?.as_ref().try_into() {
            Ok(bytes) => Ok(Secret(bytes)),
            Err(_) => r.invalid("a secret that has not 32 bytes"),
        }
    }
}

/// A user or role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub id: UserId,
    pub name: String,
    pub kind: UserKind,
    pub superuser: bool,
    /// `NOLOGIN` keeps the user and its rights but refuses connections.
    pub login: bool,
    /// `None`: no password, so no login over the network.
    pub verifier: Option<Verifier>,
    pub owner: UserId,
    /// The catalog version that last changed it.
    pub schema_version: u64,
}

/// What a privilege allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    Read,
    Write,
    Create,
    Alter,
    Drop,
    /// On a role: to be a member of it.
    Execute,
}

impl Privilege {
    pub fn name(self) -> &'static str {
        match self {
            Privilege::Read => "read",
            Privilege::Write => "write",
            Privilege::Create => "create",
            Privilege::Alter => "alter",
            Privilege::Drop => "drop",
            Privilege::Execute => "execute",
        }
    }

    /// The privilege named in a `GRANT`, in Picodata's or PostgreSQL's words.
    pub fn parse(word: &str) -> Option<Privilege> {
        match word.to_ascii_lowercase().as_str() {
            "read" | "select" => Some(Privilege::Read),
            "write" | "insert" | "update" | "delete" | "truncate" => Some(Privilege::Write),
            "create" => Some(Privilege::Create),
            "alter" => Some(Privilege::Alter),
            "drop" => Some(Privilege::Drop),
            "execute" => Some(Privilege::Execute),
            _ => None,
        }
    }
}

/// What a privilege is about; `None` stands for all objects of the kind, as in `GRANT CREATE TABLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Object {
    Table(Option<TableId>),
    User(Option<UserId>),
    Role(Option<UserId>),
}

impl Object {
    pub fn kind_name(self) -> &'static str {
        match self {
            Object::Table(_) => "table",
            Object::User(_) => "user",
            Object::Role(_) => "role",
        }
    }

    /// The object's id, or -1 for all of its kind.
    pub fn id(self) -> i64 {
        let id = match self {
            Object::Table(id) => id.map(|t| t.0),
            Object::User(id) | Object::Role(id) => id.map(|u| u.0),
        };
        id.map_or(-1, i64::from)
    }

    /// The same kind without a particular object.
    pub fn all(self) -> Object {
        match self {
            Object::Table(_) => Object::Table(None),
            Object::User(_) => Object::User(None),
            Object::Role(_) => Object::Role(None),
        }
    }

    /// Whether `GRANT privilege ON self` means anything.
    fn accepts(self, privilege: Privilege) -> bool {
        use Privilege::{Alter, Create, Drop, Execute, Read, Write};
        let allowed: &[Privilege] = match self {
            Object::Table(Some(_)) => &[Read, Write, Alter, Drop],
            Object::Table(None) => &[Read, Write, Create, Alter, Drop],
            Object::User(Some(_)) => &[Alter, Drop],
            Object::User(None) => &[Create, Alter, Drop],
            Object::Role(Some(_)) => &[Execute, Alter, Drop],
            Object::Role(None) => &[Create, Alter, Drop],
        };
        allowed.contains(&privilege)
    }
}

/// A right given to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    pub grantee: UserId,
    pub object: Object,
    pub privilege: Privilege,
}

/// Who gave a right, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantedBy {
    pub grantor: UserId,
    pub schema_version: u64,
}

/// A change of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    Rename(String),
    Password(Option<Verifier>),
    Login(bool),
}

/// All users, roles and rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Users {
    by_id: BTreeMap<UserId, User>,
    grants: BTreeMap<Grant, GrantedBy>,
}

impl Default for Users {
    /// `admin` and `public`, as every cluster starts.
    fn default() -> Users {
        let user = |id, name: &str, kind, superuser| User {
            id,
            name: name.into(),
            kind,
            superuser,
            login: kind == UserKind::User,
            verifier: None,
            owner: ADMIN,
            schema_version: 0,
        };
        let admin = user(ADMIN, ADMIN_NAME, UserKind::User, true);
        let public = user(PUBLIC, PUBLIC_NAME, UserKind::Role, false);
        Users { by_id: BTreeMap::from([(ADMIN, admin), (PUBLIC, public)]), grants: BTreeMap::new() }
    }
}

impl Users {
    pub fn get(&self, id: UserId) -> Option<&User> {
        self.by_id.get(&id)
    }

    pub fn by_name(&self, name: &str) -> Option<&User> {
        self.by_id.values().find(|u| u.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.by_id.values()
    }

    pub fn grants(&self) -> impl Iterator<Item = (&Grant, &GrantedBy)> {
        self.grants.iter()
    }

    /// The user called `name`, or 42704.
    pub fn require(&self, name: &str) -> SqlResult<&User> {
        self.by_name(name).ok_or_else(|| undefined(name))
    }

    /// Whether `user` holds `privilege` on `object`, itself or through its roles, or is a superuser.
    /// Ownership is the caller's to know.
    pub fn holds(&self, user: UserId, privilege: Privilege, object: Object) -> bool {
        let holders = self.with_roles(user);
        if holders.iter().any(|id| self.get(*id).is_some_and(|u| u.superuser)) {
            return true;
        }
        holders.iter().any(|&grantee| {
            [object, object.all()]
                .iter()
                .any(|&object| self.grants.contains_key(&Grant { grantee, object, privilege }))
        })
    }

    /// Whether `user` is `role` or a member of it, directly or through others.
    pub fn is_member(&self, user: UserId, role: UserId) -> bool {
        self.with_roles(user).contains(&role)
    }

    /// `user`, `public`, and every role reached from `user`.
    fn with_roles(&self, user: UserId) -> BTreeSet<UserId> {
        let mut found = BTreeSet::from([user, PUBLIC]);
        let mut open = vec![user];
        while let Some(member) = open.pop() {
            for role in self.roles_of(member) {
                if found.insert(role) {
                    open.push(role);
                }
            }
        }
        found
    }

    fn roles_of(&self, member: UserId) -> impl Iterator<Item = UserId> + '_ {
        let first = Grant {
            grantee: member,
            object: Object::Role(Some(UserId(0))),
            privilege: Privilege::Read,
        };
        self.grants
            .range(first..)
            .take_while(move |(g, _)| g.grantee == member)
            .filter(|(g, _)| g.privilege == Privilege::Execute)
            .filter_map(|(g, _)| match g.object {
                Object::Role(role) => role,
                _ => None,
            })
    }

    /// Adds a user. 42710 if the name is taken.
    pub(super) fn create(&mut self, user: User) -> SqlResult<()> {
        if self.by_id.len() >= MAX_USERS {
            return Err(SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                format!("a cluster has at most {MAX_USERS} users and roles"),
            ));
        }
        self.check_new_name(&user.name)?;
        self.by_id.insert(user.id, user);
        Ok(())
    }

    fn check_new_name(&self, name: &str) -> SqlResult<()> {
        super::ddl::check_name(name)?;
        if self.by_name(name).is_some() {
            return Err(SqlError::new(
                SqlState::DuplicateObject,
                format!("role \"{name}\" already exists"),
            ));
        }
        Ok(())
    }

    pub(super) fn alter(
        &mut self,
        id: UserId,
        change: &UserChange,
        schema_version: u64,
    ) -> SqlResult<()> {
        if let UserChange::Rename(name) = change {
            if id == ADMIN || id == PUBLIC {
                return Err(SqlError::unsupported("renaming a built-in role"));
            }
            self.check_new_name(name)?;
        }
        let user = self.by_id.get_mut(&id).ok_or_else(|| undefined_id(id))?;
        match change {
            UserChange::Rename(name) => user.name.clone_from(name),
            UserChange::Password(_) if user.kind == UserKind::Role => {
                return Err(SqlError::unsupported("a password of a role"));
            }
            UserChange::Password(verifier) => user.verifier.clone_from(verifier),
            UserChange::Login(login) => user.login = *login,
        }
        user.schema_version = schema_version;
        Ok(())
    }

    /// Removes a user with every right given to it. The caller has checked that it owns no table.
    pub(super) fn drop(&mut self, id: UserId) -> SqlResult<()> {
        let user = self.get(id).ok_or_else(|| undefined_id(id))?;
        if id == ADMIN || id == PUBLIC {
            return Err(SqlError::new(
                SqlState::DependentObjectsStillExist,
                format!(
                    "cannot drop role {} because it is required by the database system",
                    user.name
                ),
            ));
        }
        self.by_id.remove(&id);
        self.grants.retain(|g, _| {
            g.grantee != id
                && g.object != Object::User(Some(id))
                && g.object != Object::Role(Some(id))
        });
        for user in self.by_id.values_mut().filter(|u| u.owner == id) {
            user.owner = ADMIN;
        }
        Ok(())
    }

    /// Adds a right. False if it was there already.
    pub(super) fn grant(&mut self, grant: Grant, by: GrantedBy) -> SqlResult<bool> {
        if self.get(grant.grantee).is_none() {
            return Err(undefined_id(grant.grantee));
        }
        if !grant.object.accepts(grant.privilege) {
            return Err(SqlError::new(
                SqlState::SyntaxErrorOrAccessRuleViolation,
                format!(
                    "invalid privilege type {} for {}",
                    grant.privilege.name(),
                    grant.object.kind_name()
                ),
            ));
        }
        self.check_target(grant)?;
        Ok(self.grants.insert(grant, by).is_none())
    }

    fn check_target(&self, grant: Grant) -> SqlResult<()> {
        match grant.object {
            Object::User(Some(id)) if self.get(id).is_none() => Err(undefined_id(id)),
            Object::Role(Some(role)) => {
                let Some(found) = self.get(role) else { return Err(undefined_id(role)) };
                if grant.privilege == Privilege::Execute && self.is_member(role, grant.grantee) {
                    let member = self.get(grant.grantee).map_or("?", |u| u.name.as_str());
                    return Err(SqlError::new(
                        SqlState::SyntaxErrorOrAccessRuleViolation,
                        format!("role \"{}\" is a member of role \"{member}\"", found.name),
                    ));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes a right away. False if nobody had given it.
    pub(super) fn revoke(&mut self, grant: &Grant) -> bool {
        self.grants.remove(grant).is_some()
    }

    /// Forgets every right on a dropped table.
    pub(super) fn forget_table(&mut self, table: TableId) {
        self.grants.retain(|g, _| g.object != Object::Table(Some(table)));
    }
}

/// `42704`: nobody is called that.
pub fn undefined(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedObject, format!("role \"{name}\" does not exist"))
}

fn undefined_id(id: UserId) -> SqlError {
    SqlError::new(SqlState::UndefinedObject, format!("role with OID {id} does not exist"))
}

impl Wire for Verifier {
    fn write(&self, w: &mut Writer) {
        self.0.write(w);
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(Verifier(Wire::read(r)?))
    }
}

impl Wire for Object {
    fn write(&self, w: &mut Writer) {
        match self {
            Object::Table(id) => {
                w.u8(0);
                id.write(w);
            }
            Object::User(id) => {
                w.u8(1);
                id.write(w);
            }
            Object::Role(id) => {
                w.u8(2);
                id.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        match r.u8()? {
            0 => Ok(Object::Table(Wire::read(r)?)),
            1 => Ok(Object::User(Wire::read(r)?)),
            2 => Ok(Object::Role(Wire::read(r)?)),
            tag => r.unknown_tag(tag),
        }
    }
}

impl Wire for UserChange {
    fn write(&self, w: &mut Writer) {
        match self {
            UserChange::Rename(name) => {
                w.u8(0);
                name.write(w);
            }
            UserChange::Password(verifier) => {
                w.u8(1);
                verifier.write(w);
            }
            UserChange::Login(login) => {
                w.u8(2);
                login.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        match r.u8()? {
            0 => Ok(UserChange::Rename(Wire::read(r)?)),
            1 => Ok(UserChange::Password(Wire::read(r)?)),
            2 => Ok(UserChange::Login(Wire::read(r)?)),
            tag => r.unknown_tag(tag),
        }
    }
}

wire_tags!(UserKind { User = 0, Role = 1 });
wire_tags!(Privilege { Read = 0, Write = 1, Create = 2, Alter = 3, Drop = 4, Execute = 5 });
wire_struct!(User { id, name, kind, superuser, login, verifier, owner, schema_version });
wire_struct!(Grant { grantee, object, privilege });
wire_struct!(GrantedBy { grantor, schema_version });
wire_struct!(Users { by_id, grants });

#[cfg(test)]
mod tests {
    use super::*;

    fn add(users: &mut Users, id: u32, name: &str, kind: UserKind) -> UserId {
        let user = User {
            id: UserId(id),
            name: name.into(),
            kind,
            superuser: false,
            login: true,
            verifier: None,
            owner: ADMIN,
            schema_version: 1,
        };
        users.create(user).unwrap();
        UserId(id)
    }

    fn grant(users: &mut Users, grantee: UserId, privilege: Privilege, object: Object) {
        let by = GrantedBy { grantor: ADMIN, schema_version: 1 };
        users.grant(Grant { grantee, object, privilege }, by).unwrap();
    }

    #[test]
    fn rights_come_through_roles_and_all_and_public() {
        let mut users = Users::default();
        let ann = add(&mut users, 100, "ann", UserKind::User);
        let readers = add(&mut users, 101, "readers", UserKind::Role);
        let staff = add(&mut users, 102, "staff", UserKind::Role);
        let table = Object::Table(Some(TableId(20_000)));
        assert!(!users.holds(ann, Privilege::Read, table));
        grant(&mut users, ann, Privilege::Execute, Object::Role(Some(staff)));
        grant(&mut users, staff, Privilege::Execute, Object::Role(Some(readers)));
        grant(&mut users, readers, Privilege::Read, table);
        assert!(users.holds(ann, Privilege::Read, table));
        assert!(!users.holds(ann, Privilege::Write, table));
        grant(&mut users, ann, Privilege::Create, Object::Table(None));
        assert!(users.holds(ann, Privilege::Create, Object::Table(None)));
        grant(&mut users, PUBLIC, Privilege::Write, table);
        assert!(users.holds(ann, Privilege::Write, table));
        assert!(users.holds(ADMIN, Privilege::Drop, table));
    }

    #[test]
    fn roles_form_no_cycle() {
        let mut users = Users::default();
        let a = add(&mut users, 100, "a", UserKind::Role);
        let b = add(&mut users, 101, "b", UserKind::Role);
        grant(&mut users, a, Privilege::Execute, Object::Role(Some(b)));
        let back =
            Grant { grantee: b, object: Object::Role(Some(a)), privilege: Privilege::Execute };
        let by = GrantedBy { grantor: ADMIN, schema_version: 1 };
        assert!(users.grant(back, by).is_err());
    }

    #[test]
    fn a_verifier_is_never_printed() {
        let text = format!("{:?}", Verifier("SCRAM-SHA-256$4096:salt$secret:secret".into()));
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn dropping_a_user_takes_its_rights_along() {
        let mut users = Users::default();
        let ann = add(&mut users, 100, "ann", UserKind::User);
        grant(&mut users, ann, Privilege::Create, Object::Table(None));
        users.drop(ann).unwrap();
        assert_eq!(users.grants().count(), 0);
        assert!(users.drop(ADMIN).is_err());
    }
}
