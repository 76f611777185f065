//! The SQL standard's view of the same catalog, as PostgreSQL 15 has it.

use super::relations::is_view;
use super::{ShownIndex, shown_indexes};
use crate::base::SqlType::{Int4, Name, Text};
use crate::base::schema::TableDef;
use crate::base::{Datum, SqlType};
use crate::topology::virtual_table::{
    DATABASE, INFORMATION_SCHEMA, View, VirtualColumn, VirtualTable, all, int, no_rows, text,
    text_or_null, user_tables,
};

const fn table(
    offset: u32,
    name: &'static str,
    columns: &'static [VirtualColumn],
    rows: fn(&View<'_>) -> Vec<Vec<Datum>>,
) -> VirtualTable {
    let oid = super::INFORMATION_SCHEMA_OID + offset;
    VirtualTable { schema: INFORMATION_SCHEMA, name, oid, columns, rows }
}

pub(super) static TABLES: [VirtualTable; 12] = [
    table(
        1,
        "schemata",
        &[
            ("catalog_name", Name),
            ("schema_name", Name),
            ("schema_owner", Name),
            ("default_character_set_catalog", Name),
            ("default_character_set_schema", Name),
            ("default_character_set_name", Name),
            ("sql_path", Text),
        ],
        schemata,
    ),
    table(
        2,
        "tables",
        &[
            ("table_catalog", Name),
            ("table_schema", Name),
            ("table_name", Name),
            ("table_type", Text),
            ("self_referencing_column_name", Name),
            ("reference_generation", Text),
            ("user_defined_type_catalog", Name),
            ("user_defined_type_schema", Name),
            ("user_defined_type_name", Name),
            ("is_insertable_into", Text),
            ("is_typed", Text),
            ("commit_action", Text),
        ],
        tables,
    ),
    table(
        3,
        "columns",
        &[
            ("table_catalog", Name),
            ("table_schema", Name),
            ("table_name", Name),
            ("column_name", Name),
            ("ordinal_position", Int4),
            ("column_default", Text),
            ("is_nullable", Text),
            ("data_type", Text),
            ("character_maximum_length", Int4),
            ("character_octet_length", Int4),
            ("numeric_precision", Int4),
            ("numeric_precision_radix", Int4),
            ("numeric_scale", Int4),
            ("datetime_precision", Int4),
            ("interval_type", Text),
            ("interval_precision", Int4),
            ("character_set_catalog", Name),
            ("character_set_schema", Name),
            ("character_set_name", Name),
            ("collation_catalog", Name),
            ("collation_schema", Name),
            ("collation_name", Name),
            ("domain_catalog", Name),
            ("domain_schema", Name),
            ("domain_name", Name),
            ("udt_catalog", Name),
            ("udt_schema", Name),
            ("udt_name", Name),
            ("scope_catalog", Name),
            ("scope_schema", Name),
            ("scope_name", Name),
            ("maximum_cardinality", Int4),
            ("dtd_identifier", Name),
            ("is_self_referencing", Text),
            ("is_identity", Text),
            ("identity_generation", Text),
            ("identity_start", Text),
            ("identity_increment", Text),
            ("identity_maximum", Text),
            ("identity_minimum", Text),
            ("identity_cycle", Text),
            ("is_generated", Text),
            ("generation_expression", Text),
            ("is_updatable", Text),
        ],
        columns,
    ),
    table(
        4,
        "table_constraints",
        &[
            ("constraint_catalog", Name),
            ("constraint_schema", Name),
            ("constraint_name", Name),
            ("table_catalog", Name),
            ("table_schema", Name),
            ("table_name", Name),
            ("constraint_type", Text),
            ("is_deferrable", Text),
            ("initially_deferred", Text),
            ("enforced", Text),
            ("nulls_distinct", Text),
        ],
        table_constraints,
    ),
    table(
        5,
        "key_column_usage",
        &[
            ("constraint_catalog", Name),
            ("constraint_schema", Name),
            ("constraint_name", Name),
            ("table_catalog", Name),
            ("table_schema", Name),
            ("table_name", Name),
            ("column_name", Name),
            ("ordinal_position", Int4),
            ("position_in_unique_constraint", Int4),
        ],
        key_column_usage,
    ),
    table(
        6,
        "constraint_column_usage",
        &[
            ("table_catalog", Name),
            ("table_schema", Name),
            ("table_name", Name),
            ("column_name", Name),
            ("constraint_catalog", Name),
            ("constraint_schema", Name),
            ("constraint_name", Name),
        ],
        constraint_column_usage,
    ),
    table(
        7,
        "referential_constraints",
        &[
            ("constraint_catalog", Name),
            ("constraint_schema", Name),
            ("constraint_name", Name),
            ("unique_constraint_catalog", Name),
            ("unique_constraint_schema", Name),
            ("unique_constraint_name", Name),
            ("match_option", Text),
            ("update_rule", Text),
            ("delete_rule", Text),
        ],
        no_rows,
    ),
    table(
        8,
        "check_constraints",
        &[
            ("constraint_catalog", Name),
            ("constraint_schema", Name),
            ("constraint_name", Name),
            ("check_clause", Text),
        ],
        no_rows,
    ),
    table(
        9,
        "views",
        &[
            ("table_catalog", Name),
            ("table_schema", Name),
            ("table_name", Name),
            ("view_definition", Text),
            ("check_option", Text),
            ("is_updatable", Text),
            ("is_insertable_into", Text),
            ("is_trigger_updatable", Text),
            ("is_trigger_deletable", Text),
            ("is_trigger_insertable_into", Text),
        ],
        views,
    ),
    table(
        10,
        "sequences",
        &[
            ("sequence_catalog", Name),
            ("sequence_schema", Name),
            ("sequence_name", Name),
            ("data_type", Text),
            ("numeric_precision", Int4),
            ("numeric_precision_radix", Int4),
            ("numeric_scale", Int4),
            ("start_value", Text),
            ("minimum_value", Text),
            ("maximum_value", Text),
            ("increment", Text),
            ("cycle_option", Text),
        ],
        no_rows,
    ),
    table(
        11,
        "routines",
        &[
            ("specific_catalog", Name),
            ("specific_schema", Name),
            ("specific_name", Name),
            ("routine_catalog", Name),
            ("routine_schema", Name),
            ("routine_name", Name),
            ("routine_type", Text),
            ("data_type", Text),
            ("routine_definition", Text),
        ],
        no_rows,
    ),
    table(
        12,
        "domain_constraints",
        &[
            ("constraint_catalog", Name),
            ("constraint_schema", Name),
            ("constraint_name", Name),
            ("domain_catalog", Name),
            ("domain_schema", Name),
            ("domain_name", Name),
            ("is_deferrable", Text),
            ("initially_deferred", Text),
        ],
        no_rows,
    ),
];

fn yes_or_no(yes: bool) -> Datum {
    text(if yes { "YES" } else { "NO" })
}

fn schemata(_: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |(name, _): &(&str, u32)| {
        let mut row = vec![text(DATABASE), text(*name), text(crate::topology::users::ADMIN_NAME)];
        row.resize(7, Datum::Null);
        row
    };
    super::SCHEMAS.iter().map(row).collect()
}

fn tables(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |schema: &str, name: &str, is_view: bool, writable: bool| {
        let mut row = vec![
            text(DATABASE),
            text(schema),
            text(name),
            text(if is_view { "VIEW" } else { "BASE TABLE" }),
        ];
        row.resize(9, Datum::Null);
        row.extend([yes_or_no(writable), text("NO"), Datum::Null]);
        row
    };
    let own = user_tables(view).map(|t| row(&t.schema, &t.name, false, true));
    own.chain(all().map(|t| row(t.schema, t.name, is_view(t), false))).collect()
}

fn columns(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for table in user_tables(view) {
        let shown = table.columns.iter().enumerate().filter(|(_, c)| !c.hidden);
        rows.extend(shown.map(|(k, c)| {
            column(&Column {
                schema: &table.schema,
                table: &table.name,
                name: &c.name,
                number: k + 1,
                ty: c.ty,
                typmod: c.typmod,
                nullable: c.nullable,
                default: c.default.as_deref(),
                updatable: true,
            })
        }));
    }
    for table in all() {
        rows.extend(table.columns.iter().enumerate().map(|(k, (name, ty))| {
            column(&Column {
                schema: table.schema,
                table: table.name,
                name,
                number: k + 1,
                ty: *ty,
                typmod: -1,
                nullable: true,
                default: None,
                updatable: false,
            })
        }));
    }
    rows
}

struct Column<'a> {
    schema: &'a str,
    table: &'a str,
    name: &'a str,
    number: usize,
    ty: SqlType,
    typmod: i32,
    nullable: bool,
    default: Option<&'a str>,
    updatable: bool,
}

fn column(c: &Column<'_>) -> Vec<Datum> {
    let info = c.ty.info();
    let (length, octets) = character_lengths(c.ty, c.typmod);
    let [precision, radix, scale] = numeric_sizes(c.ty, c.typmod);
    let mut row = vec![
        text(DATABASE),
        text(c.schema),
        text(c.table),
        text(c.name),
        int(c.number),
        text_or_null(c.default),
        yes_or_no(c.nullable),
        text(if info.category == 'A' { "ARRAY" } else { info.sql_name }),
        length,
        octets,
        precision,
        radix,
        scale,
        datetime_precision(c.ty),
    ];
    row.resize(25, Datum::Null);
    row.extend([text(DATABASE), text(super::super::virtual_table::PG_CATALOG), text(info.name)]);
    row.resize(32, Datum::Null);
    row.extend([text(c.number.to_string()), text("NO"), text("NO")]);
    row.resize(40, Datum::Null);
    row.extend([text("NO"), text("NEVER"), Datum::Null, yes_or_no(c.updatable)]);
    row
}

/// Characters and bytes a value may have; NULL where the type sets no bound.
fn character_lengths(ty: SqlType, typmod: i32) -> (Datum, Datum) {
    /// Bytes of the longest UTF-8 character.
    const CHARACTER_BYTES_MAX: i32 = 4;
    match ty {
        SqlType::Varchar | SqlType::Bpchar if typmod >= 4 => {
            let characters = typmod - 4;
            (Datum::Int4(characters), Datum::Int4(characters.saturating_mul(CHARACTER_BYTES_MAX)))
        }
        SqlType::Varchar | SqlType::Text => (Datum::Null, Datum::Int4(1 << 30)),
        _ => (Datum::Null, Datum::Null),
    }
}

/// Precision, its radix, and scale.
fn numeric_sizes(ty: SqlType, typmod: i32) -> [Datum; 3] {
    let binary = |bits, scale: Option<i32>| {
        [Datum::Int4(bits), Datum::Int4(2), scale.map_or(Datum::Null, Datum::Int4)]
    };
    match ty {
        SqlType::Int2 => binary(16, Some(0)),
        SqlType::Int4 => binary(32, Some(0)),
        SqlType::Int8 => binary(64, Some(0)),
        SqlType::Float4 => binary(24, None),
        SqlType::Float8 => binary(53, None),
        SqlType::Numeric if typmod >= 4 => {
            let packed = typmod - 4;
            [Datum::Int4(packed >> 16 & 0xffff), Datum::Int4(10), Datum::Int4(packed & 0xffff)]
        }
        SqlType::Numeric => [Datum::Null, Datum::Int4(10), Datum::Null],
        _ => [Datum::Null, Datum::Null, Datum::Null],
    }
}

fn datetime_precision(ty: SqlType) -> Datum {
    match ty {
        SqlType::Date => Datum::Int4(0),
        SqlType::Timestamp | SqlType::TimestampTz => Datum::Int4(6),
        _ => Datum::Null,
    }
}

/// Each primary or unique key of each table.
fn each_key<'a>(view: &View<'a>) -> Vec<(&'a TableDef, ShownIndex<'a>)> {
    user_tables(view)
        .flat_map(|t| shown_indexes(t).into_iter().filter(|i| i.unique).map(move |i| (t, i)))
        .collect()
}

/// Catalog, schema and name of something in the table's schema.
fn full_name(table: &TableDef, name: &str) -> [Datum; 3] {
    [text(DATABASE), text(table.schema.as_str()), text(name)]
}

fn table_constraints(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |(table, index): (&TableDef, ShownIndex<'_>)| {
        let mut row = full_name(table, index.name).to_vec();
        row.extend(full_name(table, &table.name));
        row.push(text(if index.primary { "PRIMARY KEY" } else { "UNIQUE" }));
        row.extend([text("NO"), text("NO"), text("YES"), text("YES")]);
        row
    };
    each_key(view).into_iter().map(row).collect()
}

fn key_column_usage(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for (table, index) in each_key(view) {
        for (k, key) in index.columns.iter().enumerate() {
            let mut row = full_name(table, index.name).to_vec();
            row.extend(full_name(table, &table.name));
            let column = &table.columns[usize::from(key.column)];
            row.extend([text(column.name.as_str()), int(k + 1), Datum::Null]);
            rows.push(row);
        }
    }
    rows
}

fn constraint_column_usage(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for (table, index) in each_key(view) {
        for key in &index.columns {
            let mut row = full_name(table, &table.name).to_vec();
            row.push(text(table.columns[usize::from(key.column)].name.as_str()));
            row.extend(full_name(table, index.name));
            rows.push(row);
        }
    }
    rows
}

fn views(_: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |t: &VirtualTable| {
        let mut row = vec![text(DATABASE), text(t.schema), text(t.name), Datum::Null, text("NONE")];
        row.resize_with(10, || text("NO"));
        row
    };
    all().filter(|t| is_view(t)).map(row).collect()
}
