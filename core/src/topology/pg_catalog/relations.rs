//! Tables, columns, indexes and constraints.

use super::definition::create_index;
use super::{
    BTREE, HEAP, ShownIndex, alignment, collation, is_by_value, schema_oid, shown_indexes, storage,
    table,
};
use crate::base::SqlType::{Bool, Char, Float4, Int2, Int4, Int4Array, Name, Oid, Text, TextArray};
use crate::base::schema::TableDef;
use crate::base::{Datum, SqlType};
use crate::topology::users::ADMIN;
use crate::topology::virtual_table::{
    PG_CATALOG, View, VirtualTable, all, array, int, letter, small, text, user_tables,
};

pub(super) static TABLES: [VirtualTable; 8] = [
    table(
        1259,
        "pg_class",
        &[
            ("oid", Oid),
            ("relname", Name),
            ("relnamespace", Oid),
            ("reltype", Oid),
            ("reloftype", Oid),
            ("relowner", Oid),
            ("relam", Oid),
            ("relfilenode", Oid),
            ("reltablespace", Oid),
            ("relpages", Int4),
            ("reltuples", Float4),
            ("relallvisible", Int4),
            ("reltoastrelid", Oid),
            ("relhasindex", Bool),
            ("relisshared", Bool),
            ("relpersistence", Char),
            ("relkind", Char),
            ("relnatts", Int2),
            ("relchecks", Int2),
            ("relhasrules", Bool),
            ("relhastriggers", Bool),
            ("relhassubclass", Bool),
            ("relrowsecurity", Bool),
            ("relforcerowsecurity", Bool),
            ("relispopulated", Bool),
            ("relreplident", Char),
            ("relispartition", Bool),
            ("relrewrite", Oid),
            ("relfrozenxid", Int4),
            ("relminmxid", Int4),
            ("relacl", TextArray),
            ("reloptions", TextArray),
            ("relpartbound", Text),
        ],
        classes,
    ),
    table(
        1249,
        "pg_attribute",
        &[
            ("attrelid", Oid),
            ("attname", Name),
            ("atttypid", Oid),
            ("attstattarget", Int4),
            ("attlen", Int2),
            ("attnum", Int2),
            ("attndims", Int4),
            ("attcacheoff", Int4),
            ("atttypmod", Int4),
            ("attbyval", Bool),
            ("attalign", Char),
            ("attstorage", Char),
            ("attcompression", Char),
            ("attnotnull", Bool),
            ("atthasdef", Bool),
            ("atthasmissing", Bool),
            ("attidentity", Char),
            ("attgenerated", Char),
            ("attisdropped", Bool),
            ("attislocal", Bool),
            ("attinhcount", Int4),
            ("attcollation", Oid),
            ("attacl", TextArray),
            ("attoptions", TextArray),
            ("attfdwoptions", TextArray),
            ("attmissingval", TextArray),
        ],
        attributes,
    ),
    table(
        2604,
        "pg_attrdef",
        &[("oid", Oid), ("adrelid", Oid), ("adnum", Int2), ("adbin", Text)],
        defaults,
    ),
    table(
        2610,
        "pg_index",
        &[
            ("indexrelid", Oid),
            ("indrelid", Oid),
            ("indnatts", Int2),
            ("indnkeyatts", Int2),
            ("indisunique", Bool),
            ("indnullsnotdistinct", Bool),
            ("indisprimary", Bool),
            ("indisexclusion", Bool),
            ("indimmediate", Bool),
            ("indisclustered", Bool),
            ("indisvalid", Bool),
            ("indcheckxmin", Bool),
            ("indisready", Bool),
            ("indislive", Bool),
            ("indisreplident", Bool),
            ("indkey", Int4Array),
            ("indcollation", Int4Array),
            ("indclass", Int4Array),
            ("indoption", Int4Array),
            ("indexprs", Text),
            ("indpred", Text),
        ],
        indexes,
    ),
    table(
        2606,
        "pg_constraint",
        &[
            ("oid", Oid),
            ("conname", Name),
            ("connamespace", Oid),
            ("contype", Char),
            ("condeferrable", Bool),
            ("condeferred", Bool),
            ("convalidated", Bool),
            ("conrelid", Oid),
            ("contypid", Oid),
            ("conindid", Oid),
            ("conparentid", Oid),
            ("confrelid", Oid),
            ("confupdtype", Char),
            ("confdeltype", Char),
            ("confmatchtype", Char),
            ("conislocal", Bool),
            ("coninhcount", Int4),
            ("connoinherit", Bool),
            ("conkey", Int4Array),
            ("confkey", Int4Array),
            ("conpfeqop", Int4Array),
            ("conppeqop", Int4Array),
            ("conffeqop", Int4Array),
            ("confdelsetcols", Int4Array),
            ("conexclop", Int4Array),
            ("conbin", Text),
        ],
        constraints,
    ),
    table(
        12_010,
        "pg_tables",
        &[
            ("schemaname", Name),
            ("tablename", Name),
            ("tableowner", Name),
            ("tablespace", Name),
            ("hasindexes", Bool),
            ("hasrules", Bool),
            ("hastriggers", Bool),
            ("rowsecurity", Bool),
        ],
        pg_tables,
    ),
    table(
        12_011,
        "pg_indexes",
        &[
            ("schemaname", Name),
            ("tablename", Name),
            ("indexname", Name),
            ("tablespace", Name),
            ("indexdef", Text),
        ],
        pg_indexes,
    ),
    table(
        12_012,
        "pg_views",
        &[("schemaname", Name), ("viewname", Name), ("viewowner", Name), ("definition", Text)],
        pg_views,
    ),
];

/// What `pg_class` says about a relation, as far as it differs between relations.
struct Class<'a> {
    oid: u32,
    name: &'a str,
    schema: u32,
    owner: u32,
    access_method: u32,
    kind: char,
    columns: usize,
    has_index: bool,
    persistence: char,
}

fn classes(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for table in user_tables(view) {
        let indexes = shown_indexes(table);
        let schema = schema_oid(&table.schema);
        let owner = table.owner.0;
        let persistence = if table.unlogged { 'u' } else { 'p' };
        rows.push(class(&Class {
            oid: table.id.0,
            name: &table.name,
            schema,
            owner,
            access_method: HEAP,
            kind: 'r',
            columns: table.columns.iter().filter(|c| !c.hidden).count(),
            has_index: !indexes.is_empty(),
            persistence,
        }));
        rows.extend(indexes.iter().map(|index| {
            class(&Class {
                oid: index.oid,
                name: index.name,
                schema,
                owner,
                access_method: BTREE,
                kind: 'i',
                columns: index.columns.len(),
                has_index: false,
                persistence,
            })
        }));
    }
    rows.extend(all().map(|t| {
        class(&Class {
            oid: t.oid,
            name: t.name,
            schema: schema_oid(t.schema),
            owner: ADMIN.0,
            access_method: if is_view(t) { 0 } else { HEAP },
            kind: if is_view(t) { 'v' } else { 'r' },
            columns: t.columns.len(),
            has_index: false,
            persistence: 'p',
        })
    }));
    rows
}

/// Computed tables that PostgreSQL has as tables are shown as such.
pub(super) fn is_view(table: &VirtualTable) -> bool {
    table.schema != PG_CATALOG || table.oid >= 12_000
}

fn class(c: &Class<'_>) -> Vec<Datum> {
    let no = Datum::Bool(false);
    vec![
        Datum::Oid(c.oid),
        text(c.name),
        Datum::Oid(c.schema),
        Datum::Oid(0),
        Datum::Oid(0),
        Datum::Oid(c.owner),
        Datum::Oid(c.access_method),
        Datum::Oid(c.oid),
        Datum::Oid(0),
        Datum::Int4(0),
        Datum::Float4(-1.0),
        Datum::Int4(0),
        Datum::Oid(0),
        Datum::Bool(c.has_index),
        no.clone(),
        letter(c.persistence),
        letter(c.kind),
        small(c.columns),
        Datum::Int2(0),
        no.clone(),
        no.clone(),
        no.clone(),
        no.clone(),
        no.clone(),
        Datum::Bool(true),
        letter(if c.kind == 'r' && c.schema == super::PUBLIC_OID { 'd' } else { 'n' }),
        no,
        Datum::Oid(0),
        Datum::Int4(0),
        Datum::Int4(0),
        Datum::Null,
        Datum::Null,
        Datum::Null,
    ]
}

/// What `pg_attribute` says about a column, as far as it differs between columns.
struct Attribute<'a> {
    relation: u32,
    name: &'a str,
    ty: SqlType,
    typmod: i32,
    /// From 1.
    number: usize,
    not_null: bool,
    has_default: bool,
}

fn attributes(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for table in user_tables(view) {
        let shown = table.columns.iter().enumerate().filter(|(_, c)| !c.hidden);
        rows.extend(shown.map(|(k, c)| {
            attribute(&Attribute {
                relation: table.id.0,
                name: &c.name,
                ty: c.ty,
                typmod: c.typmod,
                number: k + 1,
                not_null: !c.nullable,
                has_default: c.default.is_some(),
            })
        }));
        for index in shown_indexes(table) {
            rows.extend(index.columns.iter().enumerate().map(|(k, key)| {
                let c = &table.columns[usize::from(key.column)];
                attribute(&Attribute {
                    relation: index.oid,
                    name: &c.name,
                    ty: c.ty,
                    typmod: c.typmod,
                    number: k + 1,
                    not_null: false,
                    has_default: false,
                })
            }));
        }
    }
    for table in all() {
        rows.extend(table.columns.iter().enumerate().map(|(k, (name, ty))| {
            attribute(&Attribute {
                relation: table.oid,
                name,
                ty: *ty,
                typmod: -1,
                number: k + 1,
                not_null: false,
                has_default: false,
            })
        }));
    }
    rows
}

fn attribute(a: &Attribute<'_>) -> Vec<Datum> {
    let no = Datum::Bool(false);
    let dimensions = i32::from(a.ty.info().category == 'A');
    vec![
        Datum::Oid(a.relation),
        text(a.name),
        Datum::Oid(a.ty.info().oid),
        Datum::Int4(-1),
        Datum::Int2(a.ty.info().len),
        small(a.number),
        Datum::Int4(dimensions),
        Datum::Int4(-1),
        Datum::Int4(a.typmod),
        Datum::Bool(is_by_value(a.ty)),
        letter(alignment(a.ty)),
        letter(storage(a.ty)),
        text(""),
        Datum::Bool(a.not_null),
        Datum::Bool(a.has_default),
        no.clone(),
        text(""),
        text(""),
        no,
        Datum::Bool(true),
        Datum::Int4(0),
        Datum::Oid(collation(a.ty)),
        Datum::Null,
        Datum::Null,
        Datum::Null,
        Datum::Null,
    ]
}

/// The expression is SQL text already, so `pg_get_expr` has nothing to do. A default has no oid of
/// its own: one is made from its table's and its column's number.
fn defaults(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for table in user_tables(view) {
        for (k, column) in table.columns.iter().enumerate() {
            let Some(default) = &column.default else { continue };
            let number = u32::try_from(k + 1).unwrap_or(u32::MAX);
            rows.push(vec![
                Datum::Oid(table.id.0.wrapping_add(number << 21)),
                Datum::Oid(table.id.0),
                small(k + 1),
                text(default.as_str()),
            ]);
        }
    }
    rows
}

/// Each shown index of each table.
fn each_index<'a>(
    view: &View<'a>,
) -> impl Iterator<Item = (&'a TableDef, ShownIndex<'a>)> + use<'a> {
    let tables: Vec<&'a TableDef> = user_tables(view).collect();
    tables.into_iter().flat_map(|t| shown_indexes(t).into_iter().map(move |i| (t, i)))
}

fn numbers(index: &ShownIndex<'_>) -> Datum {
    array(index.columns.iter().map(|key| int(usize::from(key.column) + 1)))
}

fn indexes(view: &View<'_>) -> Vec<Vec<Datum>> {
    let (yes, no) = (Datum::Bool(true), Datum::Bool(false));
    each_index(view)
        .map(|(table, index)| {
            let key_type = |k: u16| table.columns[usize::from(k)].ty;
            let collations =
                index.columns.iter().map(|k| Datum::Int4(collation(key_type(k.column)) as i32));
            let options = index
                .columns
                .iter()
                .map(|k| Datum::Int4(i32::from(k.descending) | i32::from(k.nulls_first) << 1));
            vec![
                Datum::Oid(index.oid),
                Datum::Oid(table.id.0),
                small(index.columns.len()),
                small(index.columns.len()),
                Datum::Bool(index.unique),
                no.clone(),
                Datum::Bool(index.primary),
                no.clone(),
                yes.clone(),
                no.clone(),
                yes.clone(),
                no.clone(),
                yes.clone(),
                yes.clone(),
                no.clone(),
                numbers(&index),
                array(collations),
                array(index.columns.iter().map(|_| Datum::Int4(0))),
                array(options),
                Datum::Null,
                Datum::Null,
            ]
        })
        .collect()
}

/// Primary keys and unique keys; they share the oid of their index.
fn constraints(view: &View<'_>) -> Vec<Vec<Datum>> {
    let (yes, no) = (Datum::Bool(true), Datum::Bool(false));
    each_index(view)
        .filter(|(_, index)| index.unique)
        .map(|(table, index)| {
            let mut row = vec![
                Datum::Oid(index.oid),
                text(index.name),
                Datum::Oid(schema_oid(&table.schema)),
                letter(if index.primary { 'p' } else { 'u' }),
                no.clone(),
                no.clone(),
                yes.clone(),
                Datum::Oid(table.id.0),
                Datum::Oid(0),
                Datum::Oid(index.oid),
                Datum::Oid(0),
                Datum::Oid(0),
                letter(' '),
                letter(' '),
                letter(' '),
                yes.clone(),
                Datum::Int4(0),
                yes.clone(),
                numbers(&index),
            ];
            row.resize(26, Datum::Null);
            row
        })
        .collect()
}

fn pg_tables(view: &View<'_>) -> Vec<Vec<Datum>> {
    let users = &view.ring.catalog.users;
    let row = |schema: &str, name: &str, owner, has_index: bool| {
        let owner = users.get(owner).map_or("", |u| u.name.as_str());
        let no = Datum::Bool(false);
        vec![
            text(schema),
            text(name),
            text(owner),
            Datum::Null,
            Datum::Bool(has_index),
            no.clone(),
            no.clone(),
            no,
        ]
    };
    let own =
        user_tables(view).map(|t| row(&t.schema, &t.name, t.owner, !shown_indexes(t).is_empty()));
    let system = all().filter(|t| !is_view(t)).map(|t| row(t.schema, t.name, ADMIN, false));
    own.chain(system).collect()
}

fn pg_indexes(view: &View<'_>) -> Vec<Vec<Datum>> {
    each_index(view)
        .map(|(table, index)| {
            vec![
                text(table.schema.as_str()),
                text(table.name.as_str()),
                text(index.name),
                Datum::Null,
                text(create_index(table, &index)),
            ]
        })
        .collect()
}

fn pg_views(view: &View<'_>) -> Vec<Vec<Datum>> {
    let owner = view.ring.catalog.users.get(ADMIN).map_or("", |u| u.name.as_str());
    all()
        .filter(|t| is_view(t))
        .map(|t| vec![text(t.schema), text(t.name), text(owner), Datum::Null])
        .collect()
}
