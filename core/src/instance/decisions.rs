//! Statements that change the catalog: from the binder's words to entries of the ring.

use std::collections::BTreeSet;

use super::state::State;
use crate::base::error::SqlState;
use crate::base::limits::CATALOG_CHANGES_MAX;
use crate::base::{SqlError, SqlResult, UserId};
use crate::pgwire::scram;
use crate::seam::Rng;
use crate::session::SessionContext;
use crate::sql::parse::{
    AccessStmt, AlterSystem, Grant, Objects, Privilege as Word, Rights, SetValue, SystemScope,
    UserChange as Change, UserOptions,
};
use crate::sql::plan::Ddl;
use crate::sql::plan::ddl::Drop;
use crate::topology::catalog::Access;
use crate::topology::ddl::{DdlRequest, DropRequest, PUBLIC_SCHEMA};
use crate::topology::entry::CreateUser;
use crate::topology::password::check_password;
use crate::topology::users::{self, Object, Privilege, User, UserChange, UserKind, Verifier};
use crate::topology::{RingEntry, RingState};

/// The entries of a schema change, one an object, to be proposed in order.
pub fn of_ddl(ddl: &Ddl, by: UserId) -> Vec<RingEntry> {
    let requests: Vec<DdlRequest> = match ddl.clone() {
        Ddl::CreateTable(request) => vec![DdlRequest::CreateTable(request)],
        Ddl::CreateIndex(request) => vec![DdlRequest::CreateIndex(request)],
        Ddl::AlterTable(request) => vec![DdlRequest::AlterTable(request)],
        Ddl::DropTables(drop) => of_drop(drop).map(DdlRequest::DropTable).collect(),
        Ddl::DropIndexes(drop) => of_drop(drop).map(DdlRequest::DropIndex).collect(),
        Ddl::Truncate(drop) => {
            let truncate = |(schema, name)| DdlRequest::Truncate { schema, name };
            drop.names.into_iter().map(truncate).collect()
        }
        Ddl::RenameIndex { schema, name, to } => vec![DdlRequest::RenameIndex { schema, name, to }],
        Ddl::Nothing { .. } => Vec::new(),
    };
    requests
        .into_iter()
        .map(|request| RingEntry::DdlPrepare { by, request: Box::new(request) })
        .collect()
}

fn of_drop(drop: Drop) -> impl Iterator<Item = DropRequest> {
    let if_exists = drop.if_exists;
    drop.names.into_iter().map(move |(schema, name)| DropRequest { schema, name, if_exists })
}

/// The entries of a statement about users and rights. Refuses what the user may not do.
pub fn of_access(
    state: &mut State,
    context: &SessionContext,
    stmt: &AccessStmt,
) -> SqlResult<Vec<RingEntry>> {
    let by = context.user;
    let iterations = state.config.limits.scram_iterations;
    let mut rng = Rng::from_seed(state.random());
    let ring = ring_of(state)?;
    match stmt {
        AccessStmt::CreateUser { name, if_not_exists, options } => {
            may(ring, by, Object::User(None), Privilege::Create)?;
            let verifier = match &options.password {
                Some(password) => Some(verifier(ring, password, iterations, &mut rng)?),
                None => None,
            };
            Ok(vec![RingEntry::CreateUser(CreateUser {
                name: name.clone(),
                kind: UserKind::User,
                if_not_exists: *if_not_exists,
                login: options.login.unwrap_or(true),
                verifier,
                owner: by,
            })])
        }
        AccessStmt::CreateRole { name, if_not_exists } => {
            may(ring, by, Object::Role(None), Privilege::Create)?;
            Ok(vec![RingEntry::CreateUser(CreateUser {
                name: name.clone(),
                kind: UserKind::Role,
                if_not_exists: *if_not_exists,
                login: false,
                verifier: None,
                owner: by,
            })])
        }
        AccessStmt::AlterUser { name, change } => {
            let user = ring.catalog.users.require(name)?;
            if user.id != by {
                may(ring, by, object_of(user), Privilege::Alter)?;
            }
            let changes = match change {
                Change::Rename(to) => vec![UserChange::Rename(to.clone())],
                Change::Options(options) => changes_of(ring, options, iterations, &mut rng)?,
            };
            let entry = |change| RingEntry::AlterUser { id: user.id, change };
            Ok(changes.into_iter().map(entry).collect())
        }
        AccessStmt::DropUser { names, if_exists } | AccessStmt::DropRole { names, if_exists } => {
            let mut dropped = Vec::new();
            for name in names {
                if *if_exists && ring.catalog.users.by_name(name).is_none() {
                    continue;
                }
                let user = ring.catalog.users.require(name)?;
                may(ring, by, object_of(user), Privilege::Drop)?;
                dropped.push(user.id);
            }
            let mut seen = BTreeSet::new();
            dropped.retain(|id| seen.insert(*id));
            bounded(dropped.len())?;
            Ok(dropped.into_iter().map(|id| RingEntry::DropUser { id }).collect())
        }
        AccessStmt::Grant(grant) => rights(ring, by, grant, false),
        AccessStmt::Revoke(grant) => rights(ring, by, grant, true),
    }
}

fn ring_of(state: &State) -> SqlResult<&RingState> {
    match &state.ring {
        Some(ring) => Ok(&ring.state),
        None => Err(SqlError::new(SqlState::CannotConnectNow, "the instance is starting up")),
    }
}

fn object_of(user: &User) -> Object {
    match user.kind {
        UserKind::User => Object::User(Some(user.id)),
        UserKind::Role => Object::Role(Some(user.id)),
    }
}

fn may(ring: &RingState, by: UserId, object: Object, privilege: Privilege) -> SqlResult<()> {
    let catalog = &ring.catalog;
    if catalog.is_superuser(by) || catalog.users.holds(by, privilege, object) {
        return Ok(());
    }
    catalog.check(by, Access::Administer)
}

fn verifier(
    ring: &RingState,
    password: &str,
    iterations: u32,
    rng: &mut Rng,
) -> SqlResult<Verifier> {
    check_password(ring, password)?;
    Ok(Verifier(scram::Verifier::of_password(password, iterations, rng).stored_form()))
}

fn changes_of(
    ring: &RingState,
    options: &UserOptions,
    iterations: u32,
    rng: &mut Rng,
) -> SqlResult<Vec<UserChange>> {
    let mut changes = Vec::new();
    if let Some(password) = &options.password {
        changes.push(UserChange::Password(Some(verifier(ring, password, iterations, rng)?)));
    }
    if let Some(login) = options.login {
        changes.push(UserChange::Login(login));
    }
    Ok(changes)
}

fn rights(ring: &RingState, by: UserId, grant: &Grant, revoke: bool) -> SqlResult<Vec<RingEntry>> {
    let users = &ring.catalog.users;
    let mut pairs: BTreeSet<(Object, Privilege)> = BTreeSet::new();
    match &grant.rights {
        Rights::Roles(names) => {
            for name in names {
                pairs.insert((Object::Role(Some(users.require(name)?.id)), Privilege::Execute));
            }
        }
        Rights::Privileges { privileges, on } => {
            for object in objects(ring, on)? {
                for word in privileges {
                    pairs.extend(words(*word, object)?.into_iter().map(|p| (object, p)));
                }
            }
        }
    }
    for (object, _) in &pairs {
        let own = match object {
            Object::Table(Some(id)) => ring.catalog.by_id(*id).is_some_and(|t| t.owner == by),
            _ => false,
        };
        if !own {
            ring.catalog.check(by, Access::Administer)?;
        }
    }
    let grantees = grant.grantees.iter().map(|name| Ok(users.require(name)?.id));
    let grantees = grantees.collect::<SqlResult<BTreeSet<UserId>>>()?;
    bounded(pairs.len().saturating_mul(grantees.len()))?;
    let mut entries = Vec::new();
    for grantee in grantees {
        for (object, privilege) in &pairs {
            let grant = users::Grant { grantee, object: *object, privilege: *privilege };
            entries.push(if revoke {
                RingEntry::Revoke { grant }
            } else {
                RingEntry::Grant { grantor: by, grant }
            });
        }
    }
    Ok(entries)
}

/// 54000 for more changes than a statement may make.
fn bounded(changes: usize) -> SqlResult<()> {
    if changes <= CATALOG_CHANGES_MAX {
        return Ok(());
    }
    let message =
        format!("a statement can make at most {CATALOG_CHANGES_MAX} changes of users and rights");
    Err(SqlError::new(SqlState::ProgramLimitExceeded, message)
        .with_detail(format!("This one would make {changes}."))
        .with_hint("Write it as several statements."))
}

fn objects(ring: &RingState, on: &Objects) -> SqlResult<Vec<Object>> {
    let users = &ring.catalog.users;
    match on {
        Objects::AllTables => Ok(vec![Object::Table(None)]),
        Objects::AllUsers => Ok(vec![Object::User(None)]),
        Objects::AllRoles => Ok(vec![Object::Role(None)]),
        Objects::Tables(names) => names
            .iter()
            .map(|name| {
                let parts: Vec<String> =
                    name.0.iter().filter_map(|p| p.as_ident()).map(folded).collect();
                let (schema, table) = match parts.as_slice() {
                    [table] => (PUBLIC_SCHEMA, table.as_str()),
                    [schema, table] => (schema.as_str(), table.as_str()),
                    _ => return Err(SqlError::new(SqlState::SyntaxError, "improper table name")),
                };
                Ok(Object::Table(Some(ring.catalog.table(Some(schema), table)?.id)))
            })
            .collect(),
        Objects::Users(names) => {
            names.iter().map(|n| Ok(Object::User(Some(users.require(n)?.id)))).collect()
        }
        Objects::Roles(names) => {
            names.iter().map(|n| Ok(Object::Role(Some(users.require(n)?.id)))).collect()
        }
    }
}

/// An identifier in its stored spelling.
fn folded(ident: &sqlparser::ast::Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

fn words(word: Word, object: Object) -> SqlResult<Vec<Privilege>> {
    use Privilege::{Alter, Create, Drop, Execute, Read, Write};
    Ok(match word {
        Word::Read => vec![Read],
        Word::Write => vec![Write],
        Word::Create => vec![Create],
        Word::Alter => vec![Alter],
        Word::Drop => vec![Drop],
        Word::Execute => vec![Execute],
        Word::All => match object {
            Object::Table(Some(_)) => vec![Read, Write, Alter, Drop],
            Object::Table(None) => vec![Read, Write, Create, Alter, Drop],
            Object::User(Some(_)) | Object::Role(Some(_)) => vec![Alter, Drop],
            Object::User(None) | Object::Role(None) => vec![Create, Alter, Drop],
        },
        Word::Login => {
            return Err(SqlError::unsupported("GRANT LOGIN").with_hint("Use ALTER USER … LOGIN."));
        }
    })
}

/// The entries of `ALTER SYSTEM`.
pub fn of_alter_system(
    ring: &RingState,
    by: UserId,
    stmt: &AlterSystem,
) -> SqlResult<Vec<RingEntry>> {
    ring.catalog.check(by, Access::Administer)?;
    let (key, value, scope) = match stmt {
        AlterSystem::Set { name, value, scope } => (name.clone(), set_value(value)?, scope),
        AlterSystem::Reset { name, scope } => (name.clone(), None, scope),
        AlterSystem::ResetAll { .. } => {
            let keys = ring.config.keys().cloned();
            return Ok(keys
                .map(|(key, tier)| RingEntry::SetConfig { key, tier, value: None })
                .collect());
        }
    };
    let tiers = match scope {
        SystemScope::Cluster => vec![String::new()],
        SystemScope::Tier(tier) => vec![tier.clone()],
        SystemScope::AllTiers => ring.tiers.keys().cloned().collect(),
    };
    let entry = |tier| RingEntry::SetConfig { key: key.clone(), tier, value: value.clone() };
    Ok(tiers.into_iter().map(entry).collect())
}

fn set_value(value: &SetValue) -> SqlResult<Option<String>> {
    Ok(match value {
        SetValue::Default => None,
        SetValue::Values(values) => match values.as_slice() {
            [one] => Some(one.clone()),
            _ => {
                return Err(SqlError::new(
                    SqlState::InvalidParameterValue,
                    "one value is expected",
                ));
            }
        },
    })
}
