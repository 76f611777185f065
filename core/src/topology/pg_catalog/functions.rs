//! SQL functions that look at the catalog: what is visible, how things are called and defined, who
//! may do what, and how large tables are here.
//!
//! [`RingFunctions`] answers the rows of `expr/functions/catalog.rs` that are not about the session.
//! What Basalt does not have (comments, sequences, view definitions) is NULL, as in PostgreSQL for an
//! object without one. The names `regclass` and its relatives stand for are in [`names`], rights in
//! [`rights`].

mod names;
mod rights;

use super::definition::{constraint_definition, index_definition};
use crate::base::{Datum, SqlError, SqlResult, TableId, UserId};
use crate::expr::CatalogFunctions;
use crate::expr::function::Function;
use crate::topology::ring::RingState;
use crate::topology::virtual_table;

/// The catalog as one session's functions see it.
#[derive(Clone, Copy)]
pub struct RingFunctions<'a> {
    pub ring: &'a RingState,
    pub user: UserId,
    /// Schemas of the session, `pg_catalog` before them unless it is named.
    pub search_path: &'a [String],
    /// Bytes the rows and indexes of a table take on this instance.
    pub table_bytes: &'a dyn Fn(TableId) -> u64,
}

impl CatalogFunctions for RingFunctions<'_> {
    fn call(&self, function: &'static Function, args: &[Datum]) -> SqlResult<Datum> {
        match self.answer(function.name, args) {
            Some(answer) => answer,
            None => Err(SqlError::unsupported(format_args!("{}()", function.name))),
        }
    }
}

impl RingFunctions<'_> {
    /// `None` for a function that is not about the catalog.
    fn answer(&self, name: &str, args: &[Datum]) -> Option<SqlResult<Datum>> {
        Some(match (name, args) {
            ("pg_table_is_visible", [Datum::Oid(oid)]) => Ok(self.relation_is_visible(*oid)),
            ("pg_type_is_visible", [Datum::Oid(oid)]) => Ok(names::type_is_visible(*oid)),
            // The functions there are all live in pg_catalog.
            ("pg_function_is_visible", [_]) => Ok(Datum::Bool(true)),
            ("pg_get_userbyid", [Datum::Oid(oid)]) => Ok(self.user_name(*oid)),
            ("pg_get_indexdef", [Datum::Oid(oid)]) => Ok(self.index_definition(*oid, 0)),
            ("pg_get_indexdef", [Datum::Oid(oid), Datum::Int4(column), _]) => {
                Ok(self.index_definition(*oid, *column))
            }
            ("pg_get_constraintdef", [Datum::Oid(oid), ..]) => {
                Ok(text_or_null(constraint_definition(self.ring, *oid)))
            }
            // Expressions are kept as SQL text already.
            ("pg_get_expr", [expr, _, ..]) => Ok(expr.clone()),
            ("pg_get_serial_sequence", [Datum::Text(table), _]) => {
                self.find_relation(table).map(|_| Datum::Null)
            }
            (
                "pg_get_viewdef"
                | "pg_get_partkeydef"
                | "pg_get_statisticsobjdef_columns"
                | "obj_description"
                | "shobj_description"
                | "col_description",
                _,
            ) => Ok(Datum::Null),
            ("pg_relation_is_publishable", [_]) => Ok(Datum::Bool(false)),
            ("pg_is_in_recovery", []) => Ok(Datum::Bool(false)),
            ("pg_relation_size" | "pg_table_size" | "pg_total_relation_size", [oid]) => {
                Ok(self.size(oid))
            }
            ("pg_indexes_size", [oid]) => Ok(self.size_of_indexes(oid)),
            _ => return self.named(name, args).or_else(|| self.right(name, args)),
        })
    }

    fn user_name(&self, oid: u32) -> Datum {
        match self.ring.catalog.users.get(UserId(oid)) {
            Some(user) => Datum::text(user.name.as_str()),
            None => Datum::text(format!("unknown (OID={oid})")),
        }
    }

    fn index_definition(&self, oid: u32, column: i32) -> Datum {
        let Ok(column) = u16::try_from(column) else { return Datum::Null };
        text_or_null(index_definition(self.ring, oid, column))
    }

    /// The size of a table with its indexes: they are kept together and counted together, so an
    /// index has no size of its own. NULL if there is no such relation.
    fn size(&self, oid: &Datum) -> Datum {
        let Datum::Oid(oid) = *oid else { return Datum::Null };
        if self.ring.catalog.by_id(TableId(oid)).is_some() {
            let bytes = (self.table_bytes)(TableId(oid));
            return Datum::Int8(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        if self.relation_name(oid).is_some() { Datum::Int8(0) } else { Datum::Null }
    }

    fn size_of_indexes(&self, oid: &Datum) -> Datum {
        match *oid {
            Datum::Oid(oid) if self.relation_name(oid).is_some() => Datum::Int8(0),
            _ => Datum::Null,
        }
    }

    /// Schema and name of a table, an index or a system table.
    fn relation_name(&self, oid: u32) -> Option<(&str, &str)> {
        for table in self.ring.catalog.tables.iter().filter(|t| t.operable) {
            if table.id.0 == oid {
                return Some((&table.schema, &table.name));
            }
            if table.primary_key_id.0 == oid {
                return Some((&table.schema, &table.primary_key_name));
            }
            if let Some(index) = table.indexes.iter().find(|i| i.id.0 == oid) {
                return Some((&table.schema, &index.name));
            }
        }
        virtual_table::by_oid(oid).map(|t| (t.schema, t.name))
    }

    /// Whether the name alone finds the relation; NULL if there is no such relation.
    fn relation_is_visible(&self, oid: u32) -> Datum {
        let Some((_, name)) = self.relation_name(oid) else { return Datum::Null };
        Datum::Bool(self.unqualified(name) == Some(oid))
    }

    /// The relation that a name without a schema means.
    fn unqualified(&self, name: &str) -> Option<u32> {
        let named = self.search_path.iter().any(|s| s == virtual_table::PG_CATALOG);
        let first = (!named).then_some(virtual_table::PG_CATALOG);
        let mut path = first.into_iter().chain(self.search_path.iter().map(String::as_str));
        path.find_map(|schema| self.in_schema(schema, name))
    }

    fn in_schema(&self, schema: &str, name: &str) -> Option<u32> {
        let catalog = &self.ring.catalog;
        if let Some(table) = catalog.lookup(Some(schema), name) {
            return Some(table.id.0);
        }
        if let Some((_, index)) = catalog.index(Some(schema), name) {
            return Some(index.0);
        }
        virtual_table::find(Some(schema), name).map(|t| t.oid)
    }
}

fn text_or_null(text: Option<String>) -> Datum {
    text.map_or(Datum::Null, Datum::text)
}
