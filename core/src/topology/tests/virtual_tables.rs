//! The cluster as SQL tables: golden rows, and rules every virtual table keeps.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::ddl::{run, table};
use super::*;
use crate::base::schema::ColumnDef;
use crate::base::{Datum, Numeric, SqlType};
use crate::topology::ddl::{
    CreateIndexRequest, CreateTableRequest, DdlRequest, DistributionRequest, IndexKeyRequest,
    UniqueRequest,
};
use crate::topology::entry::CreateUser;
use crate::topology::pg_catalog::definition::{constraint_definition, index_definition};
use crate::topology::users::{ADMIN, Grant, Object, Privilege, UserKind, Verifier};
use crate::topology::virtual_table::{SettingRow, View, VirtualTable, all, by_oid, find};

/// Two instances, a sharded table with a unique key and an index, a global one, a hidden key, a user.
fn sample() -> RingState {
    let mut state = cluster(2, "dc=a");
    let domain = parse_failure_domain("dc=b").unwrap();
    join(&mut state, &join_request(2, "default", domain)).unwrap();
    set_online(&mut state, InstanceId(1));
    apply(
        &mut state,
        RingEntry::SetReplicasetMaster {
            id: GroupId(1),
            current: Some(InstanceId(1)),
            target: Some(InstanceId(1)),
        },
    )
    .unwrap();
    let mut orders = table("orders");
    orders.columns[1].default = Some("'new'::text".into());
    orders.columns[1].ty = SqlType::Varchar;
    orders.columns[1].typmod = 14;
    orders.uniques = vec![UniqueRequest { name: None, columns: vec![0, 1] }];
    run(&mut state, DdlRequest::CreateTable(orders)).unwrap();
    let global = CreateTableRequest {
        distribution: DistributionRequest::Global,
        columns: vec![ColumnDef { nullable: false, ..ddl::column("Id", SqlType::Uuid) }],
        ..table("warehouse")
    };
    run(&mut state, DdlRequest::CreateTable(global)).unwrap();
    let plain = CreateTableRequest { primary_key: Vec::new(), ..table("plain") };
    run(&mut state, DdlRequest::CreateTable(plain)).unwrap();
    run(
        &mut state,
        DdlRequest::CreateIndex(CreateIndexRequest {
            schema: "public".into(),
            table: "orders".into(),
            name: None,
            if_not_exists: false,
            columns: vec![IndexKeyRequest {
                column: "b".into(),
                descending: true,
                nulls_first: true,
            }],
            unique: false,
        }),
    )
    .unwrap();
    let user = CreateUser {
        name: "ann".into(),
        kind: UserKind::User,
        if_not_exists: false,
        login: true,
        verifier: Some(Verifier("SCRAM-SHA-256$4096:c2FsdA==$hush:hush".into())),
        owner: ADMIN,
    };
    apply(&mut state, RingEntry::CreateUser(user)).unwrap();
    let grantee = state.catalog.users.by_name("ann").unwrap().id;
    let object = Object::Table(None);
    let grant = Grant { grantee, object, privilege: Privilege::Create };
    apply(&mut state, RingEntry::Grant { grantor: ADMIN, grant }).unwrap();
    state
}

fn rows(state: &RingState, table: &VirtualTable) -> Vec<Vec<Datum>> {
    let settings = [SettingRow {
        name: "DateStyle".into(),
        value: "ISO, MDY".into(),
        default: "ISO, MDY".into(),
        description: "How dates look.".into(),
    }];
    (table.rows)(&View { ring: state, user: ADMIN, settings: &settings })
}

fn show(datum: &Datum) -> String {
    match datum {
        Datum::Null => "∅".into(),
        Datum::Bool(v) => if *v { "t" } else { "f" }.into(),
        Datum::Int2(v) => v.to_string(),
        Datum::Int4(v) => v.to_string(),
        Datum::Int8(v) | Datum::Timestamp(v) => v.to_string(),
        Datum::Float4(v) => v.to_string(),
        Datum::Float8(v) => v.to_string(),
        Datum::Text(v) => v.to_string(),
        Datum::Oid(v) => v.to_string(),
        Datum::Array(items) => {
            format!("{{{}}}", items.iter().map(show).collect::<Vec<_>>().join(","))
        }
        other => format!("{other:?}"),
    }
}

/// The named columns of the rows that have `needle` in one of them; every column for none.
fn select(state: &RingState, name: &str, columns: &[&str], needle: &str) -> String {
    let (schema, name) = name.split_once('.').unwrap_or(("pg_catalog", name));
    let table = find(Some(schema), name).unwrap();
    let places: Vec<usize> = match columns {
        [] => (0..table.columns.len()).collect(),
        _ => columns
            .iter()
            .map(|c| table.columns.iter().position(|(n, _)| n == c).expect("a column"))
            .collect(),
    };
    let mut out = String::new();
    for row in rows(state, table) {
        let shown: Vec<String> = places.iter().map(|&k| show(&row[k])).collect();
        if needle.is_empty() || shown.iter().any(|s| s == needle) {
            writeln!(out, "{}", shown.join(" | ")).unwrap();
        }
    }
    out
}

#[test]
fn the_system_tables_show_the_cluster() {
    let state = sample();
    let mut out = String::new();
    for table in all().filter(|t| t.name.starts_with("_pico_")) {
        let text = select(&state, table.name, &[], "");
        if !text.is_empty() {
            writeln!(out, "{}\n{text}", table.name).unwrap();
        }
    }
    assert_eq!(out, include_str!("golden/system_tables.txt"), "\n--- got ---\n{out}");
}

#[test]
fn the_catalog_shows_what_psql_asks_for() {
    let state = sample();
    let mut out = String::new();
    let mut add = |name: &str, columns: &[&str], needle: &str| {
        writeln!(out, "{name} {}", columns.join(" ")).unwrap();
        writeln!(out, "{}", select(&state, name, columns, needle)).unwrap();
    };
    add(
        "pg_class",
        &["oid", "relname", "relkind", "relam", "relnatts", "relhasindex", "relnamespace"],
        "2200",
    );
    for relation in ["16384", "16385", "16389"] {
        let columns = ["attrelid", "attnum", "attname", "atttypid", "atttypmod", "attnotnull"];
        add("pg_attribute", &columns, relation);
    }
    add("pg_index", &["indexrelid", "indrelid", "indisunique", "indkey", "indoption"], "");
    add("pg_constraint", &["conname", "contype", "conrelid", "conkey"], "");
    add("pg_attrdef", &[], "");
    add("pg_indexes", &["tablename", "indexdef"], "");
    add("pg_roles", &["rolname", "rolsuper", "rolcanlogin", "oid"], "");
    add("pg_namespace", &["oid", "nspname"], "");
    add(
        "information_schema.columns",
        &[
            "table_name",
            "column_name",
            "ordinal_position",
            "column_default",
            "is_nullable",
            "data_type",
            "character_maximum_length",
            "udt_name",
        ],
        "orders",
    );
    add(
        "information_schema.key_column_usage",
        &["constraint_name", "table_name", "column_name", "ordinal_position"],
        "",
    );
    assert_eq!(out, include_str!("golden/catalog.txt"), "\n--- got ---\n{out}");
}

fn fits(datum: &Datum, ty: SqlType) -> bool {
    match (datum, ty) {
        (Datum::Null, _) => true,
        (Datum::Bool(_), SqlType::Bool)
        | (Datum::Int2(_), SqlType::Int2)
        | (Datum::Int4(_), SqlType::Int4)
        | (Datum::Int8(_), SqlType::Int8)
        | (Datum::Float4(_), SqlType::Float4)
        | (Datum::Float8(_), SqlType::Float8)
        | (Datum::Numeric(Numeric::Finite(_)), SqlType::Numeric)
        | (Datum::Timestamp(_), SqlType::Timestamp | SqlType::TimestampTz)
        | (Datum::Oid(_), SqlType::Oid)
        | (
            Datum::Text(_),
            SqlType::Text | SqlType::Name | SqlType::Char | SqlType::Json | SqlType::Varchar,
        ) => true,
        (Datum::Array(items), SqlType::TextArray) => items.iter().all(|i| fits(i, SqlType::Text)),
        (Datum::Array(items), SqlType::Int4Array) => items.iter().all(|i| fits(i, SqlType::Int4)),
        _ => false,
    }
}

#[test]
fn every_row_fits_its_columns_and_holds_no_secret() {
    let state = sample();
    for table in all() {
        for row in rows(&state, table) {
            assert_eq!(row.len(), table.columns.len(), "{}: {row:?}", table.name);
            for (datum, (name, ty)) in row.iter().zip(table.columns) {
                assert!(fits(datum, *ty), "{}.{name}: {datum:?} is no {ty:?}", table.name);
                assert!(!show(datum).contains("hush"), "{}.{name} shows a verifier", table.name);
            }
        }
    }
}

#[test]
fn oids_and_names_are_unique_and_findable() {
    let mut oids = BTreeSet::new();
    let mut names = BTreeSet::new();
    for table in all() {
        assert!(oids.insert(table.oid), "oid {} of {}", table.oid, table.name);
        assert!(names.insert((table.schema, table.name)), "{}", table.name);
        assert!(table.oid < 16_384);
        assert_eq!(by_oid(table.oid).unwrap().name, table.name);
        let columns: BTreeSet<&str> = table.columns.iter().map(|(name, _)| *name).collect();
        assert_eq!(columns.len(), table.columns.len(), "{}", table.name);
    }
    assert!(find(None, "_pico_instance").is_some());
    assert!(find(Some("public"), "_pico_instance").is_some());
    assert!(find(Some("public"), "pg_class").is_none());
    assert!(find(None, "tables").is_none());
    assert!(find(Some("information_schema"), "tables").is_some());
}

#[test]
fn oids_in_the_catalog_lead_somewhere() {
    let state = sample();
    let column = |table: &str, column: &str| -> Vec<String> {
        select(&state, table, &[column], "").lines().map(str::to_owned).collect()
    };
    let classes: BTreeSet<String> = column("pg_class", "oid").into_iter().collect();
    assert_eq!(classes.len(), column("pg_class", "oid").len(), "oids of pg_class repeat");
    let types: BTreeSet<String> = column("pg_type", "oid").into_iter().collect();
    assert_eq!(types.len(), column("pg_type", "oid").len(), "oids of pg_type repeat");
    let functions: BTreeSet<String> = column("pg_proc", "oid").into_iter().collect();
    for (table, name, among) in [
        ("pg_attribute", "attrelid", &classes),
        ("pg_attribute", "atttypid", &types),
        ("pg_index", "indexrelid", &classes),
        ("pg_index", "indrelid", &classes),
        ("pg_constraint", "conindid", &classes),
        ("pg_type", "typinput", &functions),
        ("pg_type", "typreceive", &functions),
    ] {
        for oid in column(table, name) {
            assert!(among.contains(&oid), "{table}.{name} {oid} leads nowhere");
        }
    }
}

#[test]
fn definitions_are_postgresqls() {
    let state = sample();
    let oid = |name: &str| {
        let row = select(&state, "pg_class", &["oid", "relname"], name);
        row.split(" | ").next().unwrap().parse::<u32>().unwrap()
    };
    let index = |name| index_definition(&state, oid(name), 0).unwrap();
    assert_eq!(
        index("orders_b_idx"),
        "CREATE INDEX orders_b_idx ON public.orders USING btree (b DESC)"
    );
    assert_eq!(
        index("warehouse_pkey"),
        "CREATE UNIQUE INDEX warehouse_pkey ON public.warehouse USING btree (\"Id\")"
    );
    let unique = oid("orders_a_b_key");
    assert_eq!(index_definition(&state, unique, 2).as_deref(), Some("b"));
    assert_eq!(index_definition(&state, unique, 3), None);
    assert_eq!(constraint_definition(&state, unique).as_deref(), Some("UNIQUE (a, b)"));
    assert_eq!(
        constraint_definition(&state, oid("orders_pkey")).as_deref(),
        Some("PRIMARY KEY (a)")
    );
    assert_eq!(constraint_definition(&state, oid("orders_b_idx")), None);
}
