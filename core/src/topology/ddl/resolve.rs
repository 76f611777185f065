//! From a request to definitions: ids drawn, names chosen, rules checked.
//!
//! Runs when the ring applies the request, on every instance alike: it reads nothing but the
//! request and the ring's state, and draws ids from the state's counter.
//!
//! Names follow PostgreSQL: `t_pkey`, `t_a_b_key` for a UNIQUE constraint, `t_a_b_idx` for an index,
//! cut to 63 bytes, with 1, 2, … added until free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{
    AlterTableRequest, CreateIndexRequest, CreateTableRequest, DdlRequest, DistributionRequest,
    DropRequest, INDEX_COLUMNS_MAX, INDEXES_MAX, PUBLIC_SCHEMA, Relation, SchemaOp, TABLES_MAX,
    TableAlteration, Tables, UniqueRequest, check_name,
};
use crate::base::limits::{NAME_BYTES_MAX, TABLE_COLUMNS_MAX};
use crate::base::schema::{
    ColumnDef, ColumnIndex, Distribution, Engine, IndexColumn, IndexDef, TableDef, TableRef,
};
use crate::base::{
    CatalogVersion, IndexId, SqlError, SqlResult, SqlState, SqlType, TableId, UserId,
};
use crate::topology::model::Tier;
use crate::topology::users::Users;

/// The column that makes rows of a table without a primary key distinct; a random UUID a row.
pub const HIDDEN_KEY_COLUMN: &str = "_rowid";
/// Names starting so belong to the system.
const RESERVED_PREFIX: &str = "_pico_";

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolution {
    Change(SchemaOp),
    /// Nothing to do; the notice says why.
    Nothing(String),
}

/// What requests are resolved against.
pub struct Resolver<'a> {
    pub tables: &'a Tables,
    pub tiers: &'a BTreeMap<String, Tier>,
    pub users: &'a Users,
    /// The version the changed definitions carry.
    pub version: CatalogVersion,
    /// The next free oid; moved past every id drawn. An unused draw leaves a gap, which is harmless.
    pub next_oid: u32,
}

impl Resolver<'_> {
    /// The change a request comes to, or why it cannot be. Every error is deterministic.
    pub fn resolve(&mut self, request: &DdlRequest) -> SqlResult<Resolution> {
        match request {
            DdlRequest::CreateTable(request) => self.create_table(request),
            DdlRequest::DropTable(request) => self.drop_table(request),
            DdlRequest::AlterTable(request) => self.alter_table(request),
            DdlRequest::CreateIndex(request) => self.create_index(request),
            DdlRequest::DropIndex(request) => self.drop_index(request),
            DdlRequest::RenameIndex { schema, name, to } => self.rename_index(schema, name, to),
            DdlRequest::Truncate { schema, name } => {
                check_schema(schema)?;
                Ok(Resolution::Change(SchemaOp::Truncate(self.table(name)?.id)))
            }
        }
    }

    fn create_table(&mut self, request: &CreateTableRequest) -> SqlResult<Resolution> {
        check_schema(&request.schema)?;
        check_relation_name(&request.name)?;
        if self.tables.relation(&request.name).is_some() {
            return exists_already(&request.name, request.if_not_exists);
        }
        if self.tables.len() >= TABLES_MAX {
            return Err(SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                format!("a cluster has at most {TABLES_MAX} tables"),
            ));
        }
        self.check_owner(request.owner)?;
        check_columns(&request.columns)?;
        let mut names = Names::new(self.tables);
        names.take(&request.name)?;
        let id = TableId(self.draw_oid());
        let primary_key_id = IndexId(self.draw_oid());
        let primary_key_name = match &request.primary_key_name {
            Some(name) => names.take(name)?,
            None => names.choose(&request.name, "", "pkey"),
        };
        let mut columns = request.columns.clone();
        let (primary_key, distribution) = self.keys(request, &mut columns)?;
        // The hidden key is a column like any other.
        check_column_count(columns.len())?;
        let mut table = TableDef {
            id,
            schema: request.schema.clone(),
            name: request.name.clone(),
            owner: request.owner,
            columns,
            primary_key,
            primary_key_name,
            primary_key_id,
            distribution,
            engine: request.engine,
            unlogged: request.unlogged,
            indexes: Vec::new(),
            version: self.version,
            operable: true,
        };
        for unique in &request.uniques {
            let index = self.unique_constraint(&table, unique, &mut names)?;
            table.indexes.push(index);
        }
        check_index_count(&table)?;
        Ok(Resolution::Change(SchemaOp::CreateTable(Arc::new(table))))
    }

    /// The primary key and the distribution; adds the hidden key column where none was declared.
    fn keys(
        &self,
        request: &CreateTableRequest,
        columns: &mut Vec<ColumnDef>,
    ) -> SqlResult<(Vec<ColumnIndex>, Distribution)> {
        check_positions(&request.primary_key, columns)?;
        let wanted = match &request.distribution {
            DistributionRequest::Global => {
                check_global(request)?;
                None
            }
            DistributionRequest::Sharded { columns: by, tier } => {
                check_positions(by, columns)?;
                Some((by, self.tier(tier.as_deref())?))
            }
        };
        let mut primary_key = request.primary_key.clone();
        if primary_key.is_empty() {
            primary_key = wanted.as_ref().map_or(Vec::new(), |(by, _)| (*by).clone());
            primary_key.push(add_hidden_key(columns)?);
        } else {
            for &k in &primary_key {
                columns[usize::from(k)].nullable = false;
            }
        }
        check_key(&primary_key, columns)?;
        let Some((by, tier)) = wanted else { return Ok((primary_key, Distribution::Global)) };
        let by = match by.is_empty() {
            true if request.primary_key.is_empty() => vec![primary_key[primary_key.len() - 1]],
            true => primary_key.clone(),
            false => by.clone(),
        };
        check_contains(&primary_key, &by, columns, "primary key")?;
        Ok((primary_key, Distribution::Sharded { columns: by, tier }))
    }

    /// The tier to put a sharded table in.
    fn tier(&self, name: Option<&str>) -> SqlResult<String> {
        let found = match name {
            Some(name) => self.tiers.get(name).ok_or_else(|| {
                SqlError::new(SqlState::UndefinedObject, format!("tier \"{name}\" does not exist"))
            })?,
            None => self.tiers.values().find(|t| t.is_default).ok_or_else(|| {
                SqlError::new(SqlState::UndefinedObject, "the cluster has no default tier")
                    .with_hint("Name one: DISTRIBUTED BY (…) IN TIER name.")
            })?,
        };
        if found.bucket_count == 0 {
            return Err(SqlError::new(
                SqlState::InvalidTableDefinition,
                format!(
                    "tier \"{}\" has no buckets, so it cannot store sharded tables",
                    found.name
                ),
            ));
        }
        Ok(found.name.clone())
    }

    fn unique_constraint(
        &mut self,
        table: &TableDef,
        request: &UniqueRequest,
        names: &mut Names,
    ) -> SqlResult<IndexDef> {
        check_positions(&request.columns, &table.columns)?;
        check_key(&request.columns, &table.columns)?;
        check_unique(table, &request.columns)?;
        let name = match &request.name {
            Some(name) => names.take(name)?,
            None => {
                names.choose(&table.name, &joined_names(&request.columns, &table.columns), "key")
            }
        };
        let columns = request
            .columns
            .iter()
            .map(|&column| IndexColumn { column, descending: false, nulls_first: false })
            .collect();
        Ok(IndexDef { id: IndexId(self.draw_oid()), name, columns, unique: true })
    }

    fn drop_table(&self, request: &DropRequest) -> SqlResult<Resolution> {
        check_schema(&request.schema)?;
        match self.tables.relation(&request.name) {
            Some(Relation::Table(id)) => Ok(Resolution::Change(SchemaOp::DropTable(id))),
            Some(Relation::Index(..)) => Err(SqlError::new(
                SqlState::WrongObjectType,
                format!("\"{}\" is not a table", request.name),
            )
            .with_hint("Use DROP INDEX to remove an index.")),
            None => missing("table", request),
        }
    }

    fn create_index(&mut self, request: &CreateIndexRequest) -> SqlResult<Resolution> {
        check_schema(&request.schema)?;
        let mut table = TableDef::clone(self.table(&request.table)?);
        let mut columns = Vec::with_capacity(request.columns.len());
        for key in &request.columns {
            let column = table.column(&key.column).ok_or_else(|| no_column(&key.column))?;
            let (descending, nulls_first) = (key.descending, key.nulls_first);
            columns.push(IndexColumn { column, descending, nulls_first });
        }
        let positions: Vec<ColumnIndex> = columns.iter().map(|c| c.column).collect();
        check_key(&positions, &table.columns)?;
        if request.unique {
            check_unique(&table, &positions)?;
        }
        let mut names = Names::new(self.tables);
        let name = match &request.name {
            Some(name) => {
                if self.tables.relation(name).is_some() {
                    return exists_already(name, request.if_not_exists);
                }
                names.take(name)?
            }
            None => names.choose(&table.name, &joined_names(&positions, &table.columns), "idx"),
        };
        let index = IndexId(self.draw_oid());
        table.indexes.push(IndexDef { id: index, name, columns, unique: request.unique });
        check_index_count(&table)?;
        table.version = self.version;
        Ok(Resolution::Change(SchemaOp::CreateIndex { table: Arc::new(table), index }))
    }

    fn drop_index(&self, request: &DropRequest) -> SqlResult<Resolution> {
        check_schema(&request.schema)?;
        let Some(relation) = self.tables.relation(&request.name) else {
            return missing("index", request);
        };
        let (mut table, index) = self.index(&request.name, relation)?;
        if index == table.primary_key_id {
            return Err(SqlError::new(
                SqlState::DependentObjectsStillExist,
                format!(
                    "cannot drop index {} because constraint {} on table {} requires it",
                    request.name, request.name, table.name
                ),
            ));
        }
        table.indexes.retain(|i| i.id != index);
        table.version = self.version;
        Ok(Resolution::Change(SchemaOp::DropIndex { table: Arc::new(table), index }))
    }

    fn rename_index(&self, schema: &str, name: &str, to: &str) -> SqlResult<Resolution> {
        check_schema(schema)?;
        let relation = self.tables.relation(name).ok_or_else(|| no_relation(name))?;
        let (mut table, index) = self.index(name, relation)?;
        let to = Names::new(self.tables).take(to)?;
        if index == table.primary_key_id {
            table.primary_key_name = to;
        } else if let Some(found) = table.indexes.iter_mut().find(|i| i.id == index) {
            found.name = to;
        }
        table.version = self.version;
        Ok(Resolution::Change(SchemaOp::AlterTable(Arc::new(table))))
    }

    fn alter_table(&self, request: &AlterTableRequest) -> SqlResult<Resolution> {
        check_schema(&request.schema)?;
        if request.if_exists && self.tables.by_name(&request.name).is_none() {
            return Ok(Resolution::Nothing(format!(
                "relation \"{}\" does not exist, skipping",
                request.name
            )));
        }
        let mut table = TableDef::clone(self.table(&request.name)?);
        match &request.alteration {
            TableAlteration::RenameTo(to) => {
                check_relation_name(to)?;
                table.name = Names::new(self.tables).take(to)?;
            }
            TableAlteration::RenameColumn { from, to } => rename_column(&mut table, from, to)?,
            TableAlteration::AddColumn { column, if_not_exists } => {
                if *if_not_exists && table.column(&column.name).is_some() {
                    return Ok(Resolution::Nothing(format!(
                        "column \"{}\" of relation \"{}\" already exists, skipping",
                        column.name, table.name
                    )));
                }
                add_column(&mut table, column)?;
            }
            TableAlteration::SetDefault { column, default } => {
                let at = table.column(column).ok_or_else(|| no_column_of(column, &table))?;
                table.columns[usize::from(at)].default.clone_from(default);
            }
            TableAlteration::OwnerTo(owner) => {
                self.check_owner(*owner)?;
                table.owner = *owner;
            }
        }
        table.version = self.version;
        Ok(Resolution::Change(SchemaOp::AlterTable(Arc::new(table))))
    }

    fn table(&self, name: &str) -> SqlResult<&TableRef> {
        match self.tables.relation(name) {
            Some(Relation::Index(..)) => {
                Err(SqlError::new(SqlState::WrongObjectType, format!("\"{name}\" is not a table")))
            }
            _ => self.tables.by_name(name).ok_or_else(|| no_relation(name)),
        }
    }

    /// The definition to change of the table `relation` is an index of.
    fn index(&self, name: &str, relation: Relation) -> SqlResult<(TableDef, IndexId)> {
        match relation {
            Relation::Index(table, index) => match self.tables.get(table) {
                Some(table) => Ok((TableDef::clone(table), index)),
                None => Err(no_relation(name)),
            },
            Relation::Table(_) => {
                Err(SqlError::new(SqlState::WrongObjectType, format!("\"{name}\" is not an index")))
            }
        }
    }

    fn check_owner(&self, owner: UserId) -> SqlResult<()> {
        match self.users.get(owner) {
            Some(_) => Ok(()),
            None => Err(SqlError::new(
                SqlState::UndefinedObject,
                format!("role with OID {owner} does not exist"),
            )),
        }
    }

    fn draw_oid(&mut self) -> u32 {
        let oid = self.next_oid;
        self.next_oid = oid.checked_add(1).expect("fewer than 2^32 objects were ever created");
        oid
    }
}

/// Names taken by the relations there are and by the objects of the statement so far.
struct Names<'a> {
    tables: &'a Tables,
    own: BTreeSet<String>,
}

impl<'a> Names<'a> {
    fn new(tables: &'a Tables) -> Names<'a> {
        Names { tables, own: BTreeSet::new() }
    }

    fn is_free(&self, name: &str) -> bool {
        self.tables.relation(name).is_none() && !self.own.contains(name)
    }

    /// Takes a name the user chose, or 42P07.
    fn take(&mut self, name: &str) -> SqlResult<String> {
        check_name(name)?;
        if !self.is_free(name) {
            return Err(duplicate_relation(name));
        }
        self.own.insert(name.to_owned());
        Ok(name.to_owned())
    }

    /// Takes the first free one of `table_columns_label`, `…_label1`, `…_label2`, …
    fn choose(&mut self, table: &str, columns: &str, label: &str) -> String {
        let mut attempt = 0u32;
        loop {
            let numbered =
                if attempt == 0 { label.to_owned() } else { format!("{label}{attempt}") };
            let name = object_name(table, columns, &numbered);
            if self.is_free(&name) {
                self.own.insert(name.clone());
                return name;
            }
            attempt += 1;
        }
    }
}

/// `table_columns_label` in 63 bytes: the longer of the first two parts is cut, as PostgreSQL does.
fn object_name(table: &str, columns: &str, label: &str) -> String {
    let separators = if columns.is_empty() { 1 } else { 2 };
    let room = NAME_BYTES_MAX - label.len() - separators;
    let (mut first, mut second) = (table.len(), columns.len());
    while first + second > room {
        if first > second {
            first -= 1;
        } else {
            second -= 1;
        }
    }
    let (table, columns) = (cut(table, first), cut(columns, second));
    if columns.is_empty() {
        format!("{table}_{label}")
    } else {
        format!("{table}_{columns}_{label}")
    }
}

/// At most `len` bytes of `text`, whole characters.
fn cut(text: &str, mut len: usize) -> &str {
    while !text.is_char_boundary(len) {
        len -= 1;
    }
    &text[..len]
}

fn joined_names(positions: &[ColumnIndex], columns: &[ColumnDef]) -> String {
    let names: Vec<&str> =
        positions.iter().map(|&k| columns[usize::from(k)].name.as_str()).collect();
    names.join("_")
}

fn check_schema(schema: &str) -> SqlResult<()> {
    match schema {
        PUBLIC_SCHEMA => Ok(()),
        "pg_catalog" | "information_schema" => Err(SqlError::new(
            SqlState::InsufficientPrivilege,
            format!("permission denied for schema {schema}"),
        )),
        _ => Err(SqlError::new(
            SqlState::InvalidSchemaName,
            format!("schema \"{schema}\" does not exist"),
        )),
    }
}

fn check_relation_name(name: &str) -> SqlResult<()> {
    check_name(name)?;
    if name.starts_with(RESERVED_PREFIX) {
        return Err(SqlError::new(
            SqlState::ReservedName,
            format!("unacceptable relation name \"{name}\""),
        )
        .with_detail(format!("The prefix \"{RESERVED_PREFIX}\" is reserved for system tables.")));
    }
    Ok(())
}

/// Refuses more columns than a row may have.
fn check_column_count(count: usize) -> SqlResult<()> {
    if count > TABLE_COLUMNS_MAX {
        return Err(SqlError::new(
            SqlState::TooManyColumns,
            format!("tables can have at most {TABLE_COLUMNS_MAX} columns"),
        )
        .with_hint("A table without a primary key has a hidden column for its key."));
    }
    Ok(())
}

fn check_columns(columns: &[ColumnDef]) -> SqlResult<()> {
    check_column_count(columns.len())?;
    let mut seen = BTreeSet::new();
    for column in columns {
        check_column(column)?;
        if !seen.insert(column.name.as_str()) {
            return Err(SqlError::new(
                SqlState::DuplicateColumn,
                format!("column \"{}\" specified more than once", column.name),
            ));
        }
    }
    Ok(())
}

fn check_column(column: &ColumnDef) -> SqlResult<()> {
    check_name(&column.name)?;
    if matches!(column.ty, SqlType::Unknown | SqlType::Void) {
        return Err(SqlError::new(
            SqlState::InvalidTableDefinition,
            format!("column \"{}\" has pseudo-type {}", column.name, column.ty.info().name),
        ));
    }
    Ok(())
}

/// Refuses positions outside the table and one named twice.
fn check_positions(positions: &[ColumnIndex], columns: &[ColumnDef]) -> SqlResult<()> {
    let mut seen = BTreeSet::new();
    for &k in positions {
        let Some(column) = columns.get(usize::from(k)) else {
            return Err(SqlError::internal(format!("a key names column {k} of {}", columns.len())));
        };
        if !seen.insert(k) {
            return Err(SqlError::new(
                SqlState::DuplicateColumn,
                format!("column \"{}\" appears twice in a key", column.name),
            ));
        }
    }
    Ok(())
}

/// Refuses a key with too many columns or with types that have no order.
fn check_key(positions: &[ColumnIndex], columns: &[ColumnDef]) -> SqlResult<()> {
    if positions.len() > INDEX_COLUMNS_MAX {
        return Err(SqlError::new(
            SqlState::TooManyColumns,
            format!("cannot use more than {INDEX_COLUMNS_MAX} columns in an index"),
        ));
    }
    for &k in positions {
        let ty = columns[usize::from(k)].ty;
        if ty == SqlType::Json || ty.info().category == 'A' {
            return Err(SqlError::new(
                SqlState::UndefinedObject,
                format!(
                    "data type {} has no default operator class for access method \"btree\"",
                    ty.info().sql_name
                ),
            ));
        }
    }
    Ok(())
}

fn check_global(request: &CreateTableRequest) -> SqlResult<()> {
    if request.engine == Engine::Vinyl {
        return Err(SqlError::unsupported("a global table with the engine vinyl"));
    }
    if request.unlogged {
        return Err(SqlError::unsupported("an unlogged global table"));
    }
    Ok(())
}

/// A unique key of a sharded table must contain the distribution key: each shard checks its own.
fn check_unique(table: &TableDef, key: &[ColumnIndex]) -> SqlResult<()> {
    check_contains(key, table.distribution_columns(), &table.columns, "unique key")
}

fn check_contains(
    key: &[ColumnIndex],
    wanted: &[ColumnIndex],
    columns: &[ColumnDef],
    what: &str,
) -> SqlResult<()> {
    let Some(&absent) = wanted.iter().find(|k| !key.contains(k)) else { return Ok(()) };
    Err(SqlError::new(
        SqlState::InvalidTableDefinition,
        format!("{what} must contain every column of the distribution key"),
    )
    .with_detail(format!(
        "It lacks the distribution column \"{}\".",
        columns[usize::from(absent)].name
    ))
    .with_hint("Add the column to the key, or choose another DISTRIBUTED BY."))
}

fn check_index_count(table: &TableDef) -> SqlResult<()> {
    if table.indexes.len() >= INDEXES_MAX {
        return Err(SqlError::new(
            SqlState::ConfigurationLimitExceeded,
            format!("a table has at most {INDEXES_MAX} indexes"),
        ));
    }
    Ok(())
}

/// Adds the hidden key column at the end, where it moves no declared column.
fn add_hidden_key(columns: &mut Vec<ColumnDef>) -> SqlResult<ColumnIndex> {
    if columns.iter().any(|c| c.name == HIDDEN_KEY_COLUMN) {
        return Err(SqlError::new(
            SqlState::DuplicateColumn,
            format!("column name \"{HIDDEN_KEY_COLUMN}\" conflicts with the hidden key's name"),
        )
        .with_hint("Declare a primary key, or call the column something else."));
    }
    columns.push(ColumnDef {
        name: HIDDEN_KEY_COLUMN.into(),
        ty: SqlType::Uuid,
        typmod: -1,
        nullable: false,
        default: None,
        hidden: true,
    });
    Ok(ColumnIndex::try_from(columns.len() - 1).expect("at most 1,601 columns"))
}

fn rename_column(table: &mut TableDef, from: &str, to: &str) -> SqlResult<()> {
    check_name(to)?;
    let at = table.column(from).ok_or_else(|| no_column(from))?;
    if table.column(to).is_some() {
        return Err(duplicate_column(to, table));
    }
    table.columns[usize::from(at)].name = to.to_owned();
    Ok(())
}

/// Adds a nullable column without a default: rows written before simply end earlier.
fn add_column(table: &mut TableDef, column: &ColumnDef) -> SqlResult<()> {
    check_column(column)?;
    if table.column(&column.name).is_some() {
        return Err(duplicate_column(&column.name, table));
    }
    if !column.nullable || column.default.is_some() {
        return Err(SqlError::unsupported(
            "adding a column that is NOT NULL or has a default to an existing table",
        )
        .with_hint("Add it as nullable, then UPDATE the rows and set the default."));
    }
    table.columns.push(column.clone());
    check_column_count(table.columns.len())
}

fn exists_already(name: &str, if_not_exists: bool) -> SqlResult<Resolution> {
    if if_not_exists {
        let notice = format!("relation \"{name}\" already exists, skipping");
        return Ok(Resolution::Nothing(notice));
    }
    Err(duplicate_relation(name))
}

fn missing(kind: &str, request: &DropRequest) -> SqlResult<Resolution> {
    let DropRequest { name, if_exists, .. } = request;
    if *if_exists {
        return Ok(Resolution::Nothing(format!("{kind} \"{name}\" does not exist, skipping")));
    }
    let state = if kind == "table" { SqlState::UndefinedTable } else { SqlState::UndefinedObject };
    Err(SqlError::new(state, format!("{kind} \"{name}\" does not exist")))
}

fn duplicate_relation(name: &str) -> SqlError {
    SqlError::new(SqlState::DuplicateTable, format!("relation \"{name}\" already exists"))
}

fn duplicate_column(name: &str, table: &TableDef) -> SqlError {
    SqlError::new(
        SqlState::DuplicateColumn,
        format!("column \"{name}\" of relation \"{}\" already exists", table.name),
    )
}

fn no_relation(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedTable, format!("relation \"{name}\" does not exist"))
}

fn no_column(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" does not exist"))
}

fn no_column_of(name: &str, table: &TableDef) -> SqlError {
    SqlError::new(
        SqlState::UndefinedColumn,
        format!("column \"{name}\" of relation \"{}\" does not exist", table.name),
    )
}
