//! `pg_catalog` and `information_schema`: enough for psql's `\d`, drivers' start-up and ORMs.
//!
//! Columns and their order are PostgreSQL 15's, so that `SELECT *` and positional readers work; what
//! Basalt does not have (large objects, triggers, policies, …) is an empty table, because tools join
//! with it. Differences: `aclitem[]` columns are `text[]` and NULL; `int2vector` and `oidvector` are
//! `integer[]`, whose elements count from 1; `regproc` columns are `oid`; `xid` columns are `integer`.
//!
//! - [`relations`] pg_class, pg_attribute, pg_index, pg_constraint and the views over them
//! - [`types`] pg_type, pg_proc, pg_collation
//! - [`server`] databases, schemas, roles, settings, access methods
//! - [`absent`] what Basalt does not have
//! - [`information_schema`]
//! - [`definition`] the texts of `pg_get_indexdef` and `pg_get_constraintdef`
//! - [`functions`] what `pg_table_is_visible()` and the like answer

mod absent;
pub mod definition;
pub mod functions;
mod information_schema;
mod relations;
mod server;
mod types;

use super::virtual_table::{INFORMATION_SCHEMA, PG_CATALOG, View, VirtualColumn, VirtualTable};
use crate::base::schema::{ColumnIndex, IndexColumn, TableDef};
use crate::base::{Datum, SqlType};

/// Oids of the schemas.
pub const PG_CATALOG_OID: u32 = 11;
pub const PUBLIC_OID: u32 = 2_200;
pub const INFORMATION_SCHEMA_OID: u32 = 13_000;
/// Oid of the one database.
pub const DATABASE_OID: u32 = 5;
const HEAP: u32 = 2;
const BTREE: u32 = 403;
/// Collations: the database's, and byte order.
const DEFAULT_COLLATION: u32 = 100;
const C_COLLATION: u32 = 950;

/// Every table of both schemas.
pub(super) fn tables() -> impl Iterator<Item = &'static VirtualTable> {
    relations::TABLES
        .iter()
        .chain(&types::TABLES)
        .chain(&server::TABLES)
        .chain(&absent::TABLES)
        .chain(&information_schema::TABLES)
}

const fn table(
    oid: u32,
    name: &'static str,
    columns: &'static [VirtualColumn],
    rows: fn(&View<'_>) -> Vec<Vec<Datum>>,
) -> VirtualTable {
    VirtualTable { schema: PG_CATALOG, name, oid, columns, rows }
}

/// The schemas there are, with their oids.
pub(super) const SCHEMAS: [(&str, u32); 3] = [
    (PG_CATALOG, PG_CATALOG_OID),
    (super::ddl::PUBLIC_SCHEMA, PUBLIC_OID),
    (INFORMATION_SCHEMA, INFORMATION_SCHEMA_OID),
];

fn schema_oid(name: &str) -> u32 {
    SCHEMAS.iter().find(|(schema, _)| *schema == name).map_or(0, |(_, oid)| *oid)
}

/// An index as the catalog shows it.
pub struct ShownIndex<'a> {
    pub oid: u32,
    pub name: &'a str,
    pub primary: bool,
    pub unique: bool,
    pub columns: Vec<IndexColumn>,
}

/// The indexes of a table, the primary key's first unless it is hidden.
pub fn shown_indexes(table: &TableDef) -> Vec<ShownIndex<'_>> {
    let mut shown = Vec::with_capacity(table.indexes.len() + 1);
    let hidden = |k: &ColumnIndex| table.columns[usize::from(*k)].hidden;
    if !table.primary_key.iter().any(hidden) {
        let ascending = |&column| IndexColumn { column, descending: false, nulls_first: false };
        shown.push(ShownIndex {
            oid: table.primary_key_id.0,
            name: &table.primary_key_name,
            primary: true,
            unique: true,
            columns: table.primary_key.iter().map(ascending).collect(),
        });
    }
    shown.extend(table.indexes.iter().map(|i| ShownIndex {
        oid: i.id.0,
        name: &i.name,
        primary: false,
        unique: i.unique,
        columns: i.columns.clone(),
    }));
    shown
}

/// `typalign`: where a value of the type may start.
fn alignment(ty: SqlType) -> char {
    match (ty, ty.info().len) {
        (SqlType::Name | SqlType::Uuid, _) | (_, 1 | -2) => 'c',
        (_, 2) => 's',
        (_, 8) => 'd',
        _ => 'i',
    }
}

/// `typstorage`: whether a long value would be kept elsewhere.
fn storage(ty: SqlType) -> char {
    match (ty, ty.info().len) {
        (SqlType::Numeric, _) => 'm',
        (_, -1) => 'x',
        _ => 'p',
    }
}

fn is_by_value(ty: SqlType) -> bool {
    matches!(ty.info().len, 1 | 2 | 4 | 8)
}

fn collation(ty: SqlType) -> u32 {
    match ty {
        SqlType::Name => C_COLLATION,
        SqlType::Text | SqlType::Varchar | SqlType::Bpchar | SqlType::TextArray => {
            DEFAULT_COLLATION
        }
        _ => 0,
    }
}
