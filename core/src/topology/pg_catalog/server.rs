//! The server around the tables: databases, schemas, roles, settings, access methods.

use super::{BTREE, DATABASE_OID, HEAP, SCHEMAS, table};
use crate::base::Datum;
use crate::base::SqlType::{Bool, Char, Int4, Name, Oid, Text, TextArray, TimestampTz};
use crate::topology::users::{ADMIN, Object, Privilege, User, UserKind};
use crate::topology::virtual_table::{DATABASE, View, VirtualTable, letter, text};

/// UTF8 in PostgreSQL's numbering of encodings.
const UTF8: i32 = 6;

pub(super) static TABLES: [VirtualTable; 12] = [
    table(
        2615,
        "pg_namespace",
        &[("oid", Oid), ("nspname", Name), ("nspowner", Oid), ("nspacl", TextArray)],
        namespaces,
    ),
    table(
        1262,
        "pg_database",
        &[
            ("oid", Oid),
            ("datname", Name),
            ("datdba", Oid),
            ("encoding", Int4),
            ("datlocprovider", Char),
            ("datistemplate", Bool),
            ("datallowconn", Bool),
            ("datconnlimit", Int4),
            ("datfrozenxid", Int4),
            ("datminmxid", Int4),
            ("dattablespace", Oid),
            ("datcollate", Text),
            ("datctype", Text),
            ("daticulocale", Text),
            ("datcollversion", Text),
            ("datacl", TextArray),
        ],
        databases,
    ),
    table(
        1213,
        "pg_tablespace",
        &[
            ("oid", Oid),
            ("spcname", Name),
            ("spcowner", Oid),
            ("spcacl", TextArray),
            ("spcoptions", TextArray),
        ],
        tablespaces,
    ),
    table(
        2601,
        "pg_am",
        &[("oid", Oid), ("amname", Name), ("amhandler", Oid), ("amtype", Char)],
        access_methods,
    ),
    table(
        2612,
        "pg_language",
        &[
            ("oid", Oid),
            ("lanname", Name),
            ("lanowner", Oid),
            ("lanispl", Bool),
            ("lanpltrusted", Bool),
            ("lanplcallfoid", Oid),
            ("laninline", Oid),
            ("lanvalidator", Oid),
            ("lanacl", TextArray),
        ],
        languages,
    ),
    table(
        12_020,
        "pg_roles",
        &[
            ("rolname", Name),
            ("rolsuper", Bool),
            ("rolinherit", Bool),
            ("rolcreaterole", Bool),
            ("rolcreatedb", Bool),
            ("rolcanlogin", Bool),
            ("rolreplication", Bool),
            ("rolconnlimit", Int4),
            ("rolpassword", Text),
            ("rolvaliduntil", TimestampTz),
            ("rolbypassrls", Bool),
            ("rolconfig", TextArray),
            ("oid", Oid),
        ],
        roles,
    ),
    table(
        1260,
        "pg_authid",
        &[
            ("oid", Oid),
            ("rolname", Name),
            ("rolsuper", Bool),
            ("rolinherit", Bool),
            ("rolcreaterole", Bool),
            ("rolcreatedb", Bool),
            ("rolcanlogin", Bool),
            ("rolreplication", Bool),
            ("rolbypassrls", Bool),
            ("rolconnlimit", Int4),
            ("rolpassword", Text),
            ("rolvaliduntil", TimestampTz),
        ],
        authids,
    ),
    table(
        12_021,
        "pg_user",
        &[
            ("usename", Name),
            ("usesysid", Oid),
            ("usecreatedb", Bool),
            ("usesuper", Bool),
            ("userepl", Bool),
            ("usebypassrls", Bool),
            ("passwd", Text),
            ("valuntil", TimestampTz),
            ("useconfig", TextArray),
        ],
        users,
    ),
    table(
        12_022,
        "pg_group",
        &[("groname", Name), ("grosysid", Oid), ("grolist", crate::base::SqlType::Int4Array)],
        groups,
    ),
    table(
        1261,
        "pg_auth_members",
        &[("roleid", Oid), ("member", Oid), ("grantor", Oid), ("admin_option", Bool)],
        memberships,
    ),
    table(
        crate::topology::virtual_table::PG_SETTINGS,
        "pg_settings",
        &[
            ("name", Text),
            ("setting", Text),
            ("unit", Text),
            ("category", Text),
            ("short_desc", Text),
            ("extra_desc", Text),
            ("context", Text),
            ("vartype", Text),
            ("source", Text),
            ("min_val", Text),
            ("max_val", Text),
            ("enumvals", TextArray),
            ("boot_val", Text),
            ("reset_val", Text),
            ("sourcefile", Text),
            ("sourceline", Int4),
            ("pending_restart", Bool),
        ],
        settings,
    ),
    table(
        12_024,
        "pg_timezone_names",
        &[("name", Text), ("abbrev", Text), ("utc_offset", Text), ("is_dst", Bool)],
        time_zones,
    ),
];

fn namespaces(_: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |(name, oid): &(&str, u32)| {
        vec![Datum::Oid(*oid), text(*name), Datum::Oid(ADMIN.0), Datum::Null]
    };
    SCHEMAS.iter().map(row).collect()
}

fn databases(_: &View<'_>) -> Vec<Vec<Datum>> {
    vec![vec![
        Datum::Oid(DATABASE_OID),
        text(DATABASE),
        Datum::Oid(ADMIN.0),
        Datum::Int4(UTF8),
        letter('c'),
        Datum::Bool(false),
        Datum::Bool(true),
        Datum::Int4(-1),
        Datum::Int4(0),
        Datum::Int4(0),
        Datum::Oid(1663),
        text("C"),
        text("C"),
        Datum::Null,
        Datum::Null,
        Datum::Null,
    ]]
}

fn tablespaces(_: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |oid, name: &str| {
        vec![Datum::Oid(oid), text(name), Datum::Oid(ADMIN.0), Datum::Null, Datum::Null]
    };
    vec![row(1663, "pg_default"), row(1664, "pg_global")]
}

fn access_methods(_: &View<'_>) -> Vec<Vec<Datum>> {
    let row =
        |oid, name: &str, kind| vec![Datum::Oid(oid), text(name), Datum::Oid(0), letter(kind)];
    vec![row(HEAP, "heap", 't'), row(BTREE, "btree", 'i')]
}

fn languages(_: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |oid, name: &str| {
        vec![
            Datum::Oid(oid),
            text(name),
            Datum::Oid(ADMIN.0),
            Datum::Bool(false),
            Datum::Bool(false),
            Datum::Oid(0),
            Datum::Oid(0),
            Datum::Oid(0),
            Datum::Null,
        ]
    };
    vec![row(12, "internal"), row(14, "sql")]
}

/// Whether a role may make others; superusers may.
fn creates_roles(view: &View<'_>, user: &User) -> bool {
    view.ring.catalog.users.holds(user.id, Privilege::Create, Object::User(None))
}

fn can_login(user: &User) -> bool {
    user.kind == UserKind::User && user.login
}

fn roles(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |u: &User| {
        vec![
            text(u.name.as_str()),
            Datum::Bool(u.superuser),
            Datum::Bool(true),
            Datum::Bool(creates_roles(view, u)),
            Datum::Bool(false),
            Datum::Bool(can_login(u)),
            Datum::Bool(false),
            Datum::Int4(-1),
            text("********"),
            Datum::Null,
            Datum::Bool(u.superuser),
            Datum::Null,
            Datum::Oid(u.id.0),
        ]
    };
    view.ring.catalog.users.iter().map(row).collect()
}

/// As [`roles`]; the password is NULL, for superusers too.
fn authids(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |u: &User| {
        vec![
            Datum::Oid(u.id.0),
            text(u.name.as_str()),
            Datum::Bool(u.superuser),
            Datum::Bool(true),
            Datum::Bool(creates_roles(view, u)),
            Datum::Bool(false),
            Datum::Bool(can_login(u)),
            Datum::Bool(false),
            Datum::Bool(u.superuser),
            Datum::Int4(-1),
            Datum::Null,
            Datum::Null,
        ]
    };
    view.ring.catalog.users.iter().map(row).collect()
}

fn users(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |u: &User| {
        vec![
            text(u.name.as_str()),
            Datum::Oid(u.id.0),
            Datum::Bool(false),
            Datum::Bool(u.superuser),
            Datum::Bool(false),
            Datum::Bool(u.superuser),
            text("********"),
            Datum::Null,
            Datum::Null,
        ]
    };
    view.ring.catalog.users.iter().filter(|u| can_login(u)).map(row).collect()
}

fn groups(view: &View<'_>) -> Vec<Vec<Datum>> {
    let users = &view.ring.catalog.users;
    let members = |role| {
        let direct = memberships_of(view).filter(move |(of, _, _)| *of == role);
        crate::topology::virtual_table::array(
            direct.map(|(_, member, _)| Datum::Int4(member.cast_signed())),
        )
    };
    let roles = users.iter().filter(|u| u.kind == UserKind::Role);
    roles.map(|u| vec![text(u.name.as_str()), Datum::Oid(u.id.0), members(u.id.0)]).collect()
}

/// Role, member, grantor.
fn memberships_of<'a>(view: &View<'a>) -> impl Iterator<Item = (u32, u32, u32)> + use<'a> {
    view.ring.catalog.users.grants().filter_map(|(grant, by)| match grant.object {
        Object::Role(Some(role)) if grant.privilege == Privilege::Execute => {
            Some((role.0, grant.grantee.0, by.grantor.0))
        }
        _ => None,
    })
}

fn memberships(view: &View<'_>) -> Vec<Vec<Datum>> {
    memberships_of(view)
        .map(|(role, member, grantor)| {
            vec![Datum::Oid(role), Datum::Oid(member), Datum::Oid(grantor), Datum::Bool(false)]
        })
        .collect()
}

fn settings(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |s: &crate::topology::virtual_table::SettingRow| {
        let mut row = vec![
            text(s.name.as_str()),
            text(s.value.as_str()),
            Datum::Null,
            text("Client Connection Defaults"),
            text(s.description.as_str()),
            Datum::Null,
            text("user"),
            text("string"),
            text(if s.value == s.default { "default" } else { "session" }),
        ];
        row.resize(12, Datum::Null);
        row.extend([text(s.default.as_str()), text(s.default.as_str())]);
        row.resize(16, Datum::Null);
        row.push(Datum::Bool(false));
        row
    };
    view.settings.iter().map(row).collect()
}

fn time_zones(_: &View<'_>) -> Vec<Vec<Datum>> {
    vec![vec![text("UTC"), text("UTC"), text("00:00:00"), Datum::Bool(false)]]
}
