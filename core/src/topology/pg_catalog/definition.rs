//! The texts of `pg_get_indexdef` and `pg_get_constraintdef`, letter by letter PostgreSQL's: tools
//! parse them.

use super::{ShownIndex, shown_indexes};
use crate::base::schema::{IndexColumn, TableDef};
use crate::topology::ring::RingState;

/// `pg_get_indexdef(oid, column)`: the whole command for column 0, else that column's name.
/// `None` if there is no such index or column.
pub fn index_definition(ring: &RingState, oid: u32, column: u16) -> Option<String> {
    let (table, index) = find_index(ring, oid)?;
    match column.checked_sub(1) {
        None => Some(create_index(table, &index)),
        Some(at) => {
            let key = index.columns.get(usize::from(at))?;
            Some(quote_identifier(&table.columns[usize::from(key.column)].name))
        }
    }
}

/// `pg_get_constraintdef(oid)`: `None` if there is no such constraint.
pub fn constraint_definition(ring: &RingState, oid: u32) -> Option<String> {
    let (table, index) = find_index(ring, oid)?;
    index.unique.then(|| constraint(table, &index))
}

fn find_index(ring: &RingState, oid: u32) -> Option<(&TableDef, ShownIndex<'_>)> {
    ring.catalog.tables.iter().filter(|t| t.operable).find_map(|table| {
        let index = shown_indexes(table).into_iter().find(|i| i.oid == oid)?;
        Some((&**table, index))
    })
}

/// `CREATE UNIQUE INDEX t_pkey ON public.t USING btree (a, b DESC)`.
pub(super) fn create_index(table: &TableDef, index: &ShownIndex<'_>) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let keys: Vec<String> = index.columns.iter().map(|key| index_key(table, key)).collect();
    format!(
        "CREATE {unique}INDEX {} ON {}.{} USING btree ({})",
        quote_identifier(index.name),
        quote_identifier(&table.schema),
        quote_identifier(&table.name),
        keys.join(", ")
    )
}

fn index_key(table: &TableDef, key: &IndexColumn) -> String {
    let order = match (key.descending, key.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    };
    quote_identifier(&table.columns[usize::from(key.column)].name) + order
}

/// `PRIMARY KEY (a, b)` or `UNIQUE (a)`.
pub(super) fn constraint(table: &TableDef, index: &ShownIndex<'_>) -> String {
    let kind = if index.primary { "PRIMARY KEY" } else { "UNIQUE" };
    let columns: Vec<String> = index
        .columns
        .iter()
        .map(|key| quote_identifier(&table.columns[usize::from(key.column)].name))
        .collect();
    format!("{kind} ({})", columns.join(", "))
}

/// The name as it stands in SQL text: quoted if it would not be read back as it is.
pub fn quote_identifier(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && RESERVED.binary_search(&name).is_err();
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// PostgreSQL's keywords that are not plain names everywhere, sorted.
const RESERVED: [&str; 151] = [
    "all",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "authorization",
    "between",
    "bigint",
    "binary",
    "bit",
    "boolean",
    "both",
    "case",
    "cast",
    "char",
    "character",
    "check",
    "coalesce",
    "collate",
    "collation",
    "column",
    "concurrently",
    "constraint",
    "create",
    "cross",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "dec",
    "decimal",
    "default",
    "deferrable",
    "desc",
    "distinct",
    "do",
    "else",
    "end",
    "except",
    "exists",
    "extract",
    "false",
    "fetch",
    "float",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "grant",
    "greatest",
    "group",
    "grouping",
    "having",
    "ilike",
    "in",
    "initially",
    "inner",
    "inout",
    "int",
    "integer",
    "intersect",
    "interval",
    "into",
    "is",
    "isnull",
    "join",
    "lateral",
    "leading",
    "least",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "national",
    "natural",
    "nchar",
    "none",
    "normalize",
    "not",
    "notnull",
    "null",
    "nullif",
    "numeric",
    "offset",
    "on",
    "only",
    "or",
    "order",
    "out",
    "outer",
    "overlaps",
    "overlay",
    "placing",
    "position",
    "precision",
    "primary",
    "real",
    "references",
    "returning",
    "right",
    "row",
    "select",
    "session_user",
    "setof",
    "similar",
    "smallint",
    "some",
    "substring",
    "symmetric",
    "table",
    "tablesample",
    "then",
    "time",
    "timestamp",
    "to",
    "trailing",
    "treat",
    "trim",
    "true",
    "union",
    "unique",
    "user",
    "using",
    "values",
    "varchar",
    "variadic",
    "verbose",
    "when",
    "where",
    "window",
    "with",
    "xmlattributes",
    "xmlconcat",
    "xmlelement",
    "xmlexists",
    "xmlforest",
    "xmlnamespaces",
    "xmlparse",
    "xmlpi",
    "xmlroot",
    "xmlserialize",
    "xmltable",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_only_where_they_must_be() {
        assert!(RESERVED.is_sorted());
        for (name, shown) in [
            ("a_1", "a_1"),
            ("A", "\"A\""),
            ("user", "\"user\""),
            ("a\"b", "\"a\"\"b\""),
            ("1a", "\"1a\""),
        ] {
            assert_eq!(quote_identifier(name), shown);
        }
    }
}
