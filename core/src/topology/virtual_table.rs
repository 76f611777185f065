//! Tables that are computed, not stored: the cluster's state as SQL sees it.
//!
//! A [`VirtualTable`] is a row of a static list: name, columns, and a function from a [`View`] to
//! rows. The executor scans it like any table; nobody writes to it, anyone may read it. Oids below
//! 16,384 are PostgreSQL's own where PostgreSQL has the table.
//!
//! `_pico_*` tables live in `pg_catalog`, which every search path includes, so `\dt` shows a user's
//! own tables only; they are also found under `public`, where Picodata has them.

use std::sync::Arc;

use super::ddl::PUBLIC_SCHEMA;
use super::ring::RingState;
use super::{pg_catalog, system_tables};
use crate::base::schema::TableDef;
use crate::base::{Datum, SqlType, UserId};

pub const PG_CATALOG: &str = "pg_catalog";
pub const INFORMATION_SCHEMA: &str = "information_schema";
/// The one database there is.
pub const DATABASE: &str = "basalt";

/// What rows are made from: one moment of the cluster, seen by one session.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub ring: &'a RingState,
    pub user: UserId,
    /// The session's settings, for `pg_settings`.
    pub settings: &'a [SettingRow],
}

/// The oid of `pg_settings`.
pub const PG_SETTINGS: u32 = 12_023;

/// A row of `pg_settings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingRow {
    pub name: String,
    pub value: String,
    pub default: String,
    pub description: String,
}

/// A column of a virtual table: name and type.
pub type VirtualColumn = (&'static str, SqlType);

/// A table computed from a [`View`].
pub struct VirtualTable {
    pub schema: &'static str,
    pub name: &'static str,
    pub oid: u32,
    pub columns: &'static [VirtualColumn],
    /// Rows in no promised order; each has one datum a column, of the column's type.
    pub rows: fn(&View<'_>) -> Vec<Vec<Datum>>,
}

/// Every virtual table.
pub fn all() -> impl Iterator<Item = &'static VirtualTable> {
    system_tables::TABLES.iter().chain(pg_catalog::tables())
}

/// The virtual table of this name; without a schema, as an unqualified name finds it.
pub fn find(schema: Option<&str>, name: &str) -> Option<&'static VirtualTable> {
    let schema = match schema {
        Some(PUBLIC_SCHEMA) if name.starts_with("_pico_") => PG_CATALOG,
        Some(schema) => schema,
        None => PG_CATALOG,
    };
    all().find(|t| t.schema == schema && t.name == name)
}

/// Whether a schema of this name exists.
pub fn has_schema(name: &str) -> bool {
    pg_catalog::SCHEMAS.iter().any(|(schema, _)| *schema == name)
}

/// The virtual table with this oid.
pub fn by_oid(oid: u32) -> Option<&'static VirtualTable> {
    all().find(|t| t.oid == oid)
}

/// No rows: a table PostgreSQL has for something Basalt does not have.
pub(super) fn no_rows(_: &View<'_>) -> Vec<Vec<Datum>> {
    Vec::new()
}

/// Tables of users that statements may use.
pub(super) fn user_tables<'a>(view: &View<'a>) -> impl Iterator<Item = &'a TableDef> {
    view.ring.catalog.tables.iter().map(|t| &**t).filter(|t| t.operable)
}

pub(super) fn text(s: impl Into<Arc<str>>) -> Datum {
    Datum::text(s)
}

/// The text, or NULL for none.
pub(super) fn text_or_null(s: Option<impl Into<Arc<str>>>) -> Datum {
    s.map_or(Datum::Null, |s| Datum::text(s))
}

/// An unsigned number as `bigint`.
pub(super) fn bigint(n: impl Into<u64>) -> Datum {
    Datum::Int8(i64::try_from(n.into()).unwrap_or(i64::MAX))
}

pub(super) fn small(n: usize) -> Datum {
    Datum::Int2(i16::try_from(n).unwrap_or(i16::MAX))
}

pub(super) fn int(n: usize) -> Datum {
    Datum::Int4(i32::try_from(n).unwrap_or(i32::MAX))
}

/// One of PostgreSQL's one-letter codes.
pub(super) fn letter(c: char) -> Datum {
    Datum::text(c.to_string())
}

pub(super) fn array(items: impl IntoIterator<Item = Datum>) -> Datum {
    Datum::Array(items.into_iter().collect())
}
