//! A small catalog: a sharded table with an index, one with a column of every type, a global one.

use std::sync::{Arc, OnceLock};

use basalt_core::base::schema::{
    ColumnDef, Distribution, Engine, IndexColumn, IndexDef, TableDef, TableRef,
};
use basalt_core::base::{CatalogVersion, IndexId, SqlType, TableId, UserId, keycode};
use basalt_core::sql::BindContext;
use basalt_core::sql::catalog::{Catalog, Relation};

/// See the module.
pub struct Schema {
    tables: Vec<TableRef>,
    search_path: Vec<String>,
}

impl Schema {
    /// The only one there is.
    pub fn get() -> &'static Schema {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        SCHEMA.get_or_init(|| Schema {
            tables: vec![accounts(), everything(), settings()],
            search_path: vec!["public".into()],
        })
    }

    /// A table with an index.
    pub fn accounts(&self) -> &TableRef {
        &self.tables[0]
    }

    pub fn context(&self) -> BindContext<'_> {
        BindContext { catalog: self, search_path: &self.search_path, user: UserId(1) }
    }
}

fn column(name: &str, ty: SqlType, typmod: i32) -> ColumnDef {
    ColumnDef { name: name.into(), ty, typmod, nullable: true, default: None, hidden: false }
}

fn table(id: u32, name: &str, columns: Vec<ColumnDef>) -> TableDef {
    TableDef {
        id: TableId(id),
        schema: "public".into(),
        name: name.into(),
        owner: UserId(1),
        columns,
        primary_key: vec![0],
        primary_key_name: format!("{name}_pkey"),
        primary_key_id: IndexId(id + 1),
        distribution: Distribution::Sharded { columns: vec![0], tier: "default".into() },
        engine: Engine::Memtx,
        unlogged: false,
        indexes: Vec::new(),
        version: CatalogVersion(1),
        operable: true,
    }
}

fn accounts() -> TableRef {
    let columns = vec![
        column("id", SqlType::Int8, -1),
        ColumnDef { default: Some("'nobody'".into()), ..column("owner", SqlType::Text, -1) },
        ColumnDef { nullable: false, ..column("balance", SqlType::Numeric, (12 << 16 | 2) + 4) },
        column("since", SqlType::TimestampTz, -1),
    ];
    let key = |column| IndexColumn { column, descending: true, nulls_first: true };
    let index = |id, name: &str, columns: &[u16], unique| IndexDef {
        id: IndexId(id),
        name: name.into(),
        columns: columns.iter().map(|c| key(*c)).collect(),
        unique,
    };
    let indexes =
        vec![index(16_490, "by_owner", &[1, 3], false), index(16_491, "by_since", &[0, 3], true)];
    Arc::new(TableDef { indexes, ..table(16_400, "accounts", columns) })
}

fn everything() -> TableRef {
    let mut columns = vec![column("id", SqlType::Int4, -1)];
    for ty in SqlType::ALL {
        if keycode::is_orderable(ty) || ty == SqlType::Json {
            columns.push(column(&format!("c_{}", ty.info().name), ty, -1));
        }
    }
    Arc::new(table(16_500, "everything", columns))
}

fn settings() -> TableRef {
    let columns = vec![column("key", SqlType::Varchar, 44), column("value", SqlType::Bpchar, 12)];
    Arc::new(TableDef { distribution: Distribution::Global, ..table(16_600, "settings", columns) })
}

impl Catalog for Schema {
    fn version(&self) -> CatalogVersion {
        CatalogVersion(1)
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        if schema == "public"
            && let Some(table) = self.tables.iter().find(|t| t.name == name)
        {
            return Some(Relation::Table(table.clone()));
        }
        Relation::built_in(schema, name)
    }

    fn table(&self, id: TableId) -> Option<TableRef> {
        self.tables.iter().find(|t| t.id == id).cloned()
    }

    fn index(&self, _schema: &str, name: &str) -> Option<(TableRef, IndexId)> {
        self.tables.iter().find_map(|table| {
            let index = table.indexes.iter().find(|i| i.name == name)?;
            Some((table.clone(), index.id))
        })
    }

    fn has_schema(&self, name: &str) -> bool {
        ["public", "pg_catalog", "information_schema"].contains(&name)
    }

    fn has_tier(&self, name: &str) -> bool {
        name == "default"
    }

    fn user(&self, name: &str) -> Option<UserId> {
        (name == "admin").then_some(UserId(1))
    }
}
