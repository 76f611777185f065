//! A catalog and a store for tests: tables made by the DDL plans themselves, rows in a tree.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::bind::BindContext;
use super::catalog::{Catalog, Relation, VirtualColumn, VirtualTable};
use super::parse;
use super::plan::{Ddl, Plan, PointPlan, Prepared, layout_of};
use super::prepare;
use crate::base::schema::{ColumnDef, Distribution, IndexColumn, IndexDef, TableDef, TableRef};
use crate::base::{
    BucketId, CatalogVersion, Datum, IndexId, KeyOrder, RowRef, RowWrite, SqlError, SqlResult,
    SqlState, SqlType, TableId, UserId, keycode, text_format,
};
use crate::exec::operator::open;
use crate::exec::{
    CommandTag, ExecContext, ExecOutcome, Execution, Memory, Pool, Reader, ScanPosition,
    ScanRequest, ScanSource, Slice, point,
};
use crate::expr::work::Work;
use crate::expr::{EvalContext, SessionValues};
use crate::seam::Rng;
use crate::topology::ddl::{
    CreateTableRequest, DistributionRequest, IndexKeyRequest, UniqueRequest,
};

/// A database of one session.
pub struct TestDb {
    pub tables: Vec<TableRef>,
    rows: BTreeMap<(TableId, BucketId, Vec<u8>), Bytes>,
    version: u64,
    next_id: u32,
    search_path: Vec<String>,
    rng: RefCell<Rng>,
    pub memory_limit: usize,
}

const BUCKETS: u16 = 30;

impl Default for TestDb {
    fn default() -> Self {
        Self::new()
    }
}

impl TestDb {
    pub fn new() -> TestDb {
        TestDb {
            tables: Vec::new(),
            rows: BTreeMap::new(),
            version: 1,
            next_id: 16_384,
            search_path: vec!["public".into()],
            rng: RefCell::new(Rng::from_u64(1)),
            memory_limit: 16 << 20,
        }
    }

    /// Runs every statement of a text; what a client would see of each, a line an item.
    pub fn run(&mut self, text: &str) -> String {
        match self.try_run(text, &[]) {
            Ok(lines) => lines.join("\n"),
            Err(e) => shown_error(&e),
        }
    }

    pub fn try_run(&mut self, text: &str, params: &[&str]) -> SqlResult<Vec<String>> {
        let mut lines = Vec::new();
        for parsed in parse::parse(text)? {
            let context =
                BindContext { catalog: self, search_path: &self.search_path, user: UserId(1) };
            let prepared = prepare(&parsed.stmt, &parsed.source(text), context, Vec::new())
                .map_err(|e| parse::moved(e, text, parsed.range.start))?;
            self.run_prepared(&prepared, params, &mut lines)?;
        }
        Ok(lines)
    }

    pub fn prepare(&self, text: &str) -> SqlResult<Prepared> {
        let parsed = parse::parse(text)?.remove(0);
        let context =
            BindContext { catalog: self, search_path: &self.search_path, user: UserId(1) };
        prepare(&parsed.stmt, &parsed.source(text), context, Vec::new())
    }

    fn run_prepared(
        &mut self,
        prepared: &Prepared,
        params: &[&str],
        lines: &mut Vec<String>,
    ) -> SqlResult<()> {
        if let Plan::Ddl(ddl, _) = &prepared.plan {
            lines.push(self.change_schema(ddl));
            return Ok(());
        }
        if let Plan::Session(_) | Plan::Access(_) | Plan::AlterSystem(_) = &prepared.plan {
            lines.push("not run here".into());
            return Ok(());
        }
        let params: SqlResult<Vec<Datum>> = params
            .iter()
            .zip(&prepared.params)
            .map(|(text, ty)| match *text {
                "NULL" => Ok(Datum::Null),
                text => text_format::parse(*ty, -1, text),
            })
            .collect();
        let (rows, outcome) = self.execute(prepared, &params?)?;
        if let Some(columns) = &prepared.columns {
            let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
            lines.push(names.join(" | "));
            for row in rows {
                let cells: Vec<String> = row
                    .iter()
                    .zip(columns)
                    .map(|(value, column)| match value {
                        Datum::Null => "NULL".into(),
                        value => text_format::to_string(column.ty, value),
                    })
                    .collect();
                lines.push(cells.join(" | "));
            }
        }
        lines.push(outcome.tag.to_string());
        self.apply(outcome.writes);
        Ok(())
    }

    pub fn execute(
        &self,
        prepared: &Prepared,
        params: &[Datum],
    ) -> SqlResult<(Vec<Vec<Datum>>, ExecOutcome)> {
        let rng = RefCell::new(self.rng.borrow().clone());
        let whole = self.run_in_slices(prepared, params, &self.rng, Slice::endless);
        let rows = if self.rows.len() > 1000 { 100 } else { 1 };
        let cut = self.run_in_slices(prepared, params, &rng, || Slice::new(rows));
        assert_eq!(whole, cut, "{}: cut into slices it does something else", prepared.text);
        if let Plan::Point(plan) = &prepared.plan
            && params.len() == prepared.params.len()
        {
            let point = self.run_point(plan, params);
            assert_eq!(whole, point, "{}: the point path does something else", prepared.text);
        }
        whole
    }

    /// The point path as an instance takes it: with the statement's own parameters and no more.
    fn run_point(
        &self,
        plan: &PointPlan,
        params: &[Datum],
    ) -> SqlResult<(Vec<Vec<Datum>>, ExecOutcome)> {
        let row = point::execute(plan, params, self, &mut point::KeyBuffer::default())?;
        let mut rows: Vec<Vec<Datum>> = Vec::new();
        let sent = point::send(plan, row.as_deref(), &mut rows)?;
        Ok((rows, ExecOutcome { tag: CommandTag::Select(sent), writes: Vec::new() }))
    }

    /// How many slices of so many rows a statement takes.
    pub fn slices(&self, text: &str, rows: usize) -> usize {
        let mut slices = 0;
        let slice = || {
            slices += 1;
            Slice::new(rows)
        };
        self.run_in_slices(&self.prepare(text).unwrap(), &[], &self.rng, slice).unwrap();
        slices
    }

    /// How many rows each batch of a query has.
    pub fn batches(&self, text: &str) -> Vec<usize> {
        let prepared = self.prepare(text).unwrap();
        let Plan::Query(plan) = &prepared.plan else { panic!("{text} is no query") };
        let memory = Memory::new(self.memory_limit, &Pool::new(usize::MAX, "All"));
        // Room for what subqueries take from the rows around them.
        let params = vec![Datum::Null; prepared.outer_params];
        self.with_eval(&params, &self.rng, |eval| {
            let context =
                ExecContext { reader: self, eval, memory: &memory, slice: &Slice::endless() };
            let mut operator = open(plan);
            let mut batches = Vec::new();
            while let Poll::Ready(Ok(Some(batch))) = operator.next(&context) {
                batches.push(batch.len());
            }
            batches
        })
    }

    fn run_in_slices(
        &self,
        prepared: &Prepared,
        params: &[Datum],
        rng: &RefCell<Rng>,
        mut slice: impl FnMut() -> Slice,
    ) -> SqlResult<(Vec<Vec<Datum>>, ExecOutcome)> {
        let memory = Memory::new(self.memory_limit, &Pool::new(usize::MAX, "All"));
        let mut rows: Vec<Vec<Datum>> = Vec::new();
        self.with_eval(params, rng, |eval| {
            let mut execution = Execution::new(prepared, eval.params, memory)?;
            loop {
                match execution.advance(self, eval, &slice(), &mut rows) {
                    Poll::Ready(outcome) => return Ok((rows, outcome?)),
                    Poll::Pending => {}
                }
            }
        })
    }

    fn with_eval<T>(
        &self,
        params: &[Datum],
        rng: &RefCell<Rng>,
        what: impl FnOnce(EvalContext<'_>) -> T,
    ) -> T {
        let session = SessionValues {
            current_user: "admin".into(),
            session_user: "admin".into(),
            database: "basalt".into(),
            schema: Some("public".into()),
            version: "PostgreSQL 15.0 (Basalt)".into(),
            backend_pid: 1,
        };
        what(EvalContext {
            params,
            failures: &[],
            transaction_time: 0,
            statement_time: 0,
            session: &session,
            rng,
            catalog: None,
            work: &Work::default(),
            case_operand: None,
        })
    }

    pub fn apply(&mut self, writes: Vec<RowWrite>) {
        for write in writes {
            let place = (write.table, write.bucket, write.key.to_vec());
            match write.row {
                Some(row) => self.rows.insert(place, row),
                None => self.rows.remove(&place),
            };
        }
    }

    fn id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    pub fn change_schema(&mut self, ddl: &Ddl) -> String {
        self.version += 1;
        match ddl {
            Ddl::CreateTable(create) => {
                let table = self.table_of(create);
                self.tables.push(Arc::new(table));
                let warnings = ddl.warnings().into_iter().map(|w| format!("WARNING {w}\n"));
                warnings.chain(["CREATE TABLE".into()]).collect()
            }
            Ddl::CreateIndex(create) => {
                let id = IndexId(self.id());
                let at = self.tables.iter().position(|t| t.name == create.table).unwrap();
                let mut table = TableDef::clone(&self.tables[at]);
                let column = |key: &IndexKeyRequest| IndexColumn {
                    column: table.column(&key.column).unwrap(),
                    descending: key.descending,
                    nulls_first: key.nulls_first,
                };
                let columns = create.columns.iter().map(column).collect();
                let name = create.name.clone().unwrap_or_else(|| format!("{}_idx", table.name));
                table.indexes.push(IndexDef { id, name, columns, unique: create.unique });
                self.tables[at] = Arc::new(table);
                "CREATE INDEX".into()
            }
            Ddl::DropTables(drop) => {
                self.tables.retain(|t| !drop.names.contains(&(t.schema.clone(), t.name.clone())));
                let mut lines: Vec<String> =
                    drop.notices.iter().map(|n| format!("NOTICE {n}")).collect();
                lines.push("DROP TABLE".into());
                lines.join("\n")
            }
            Ddl::DropIndexes(drop) => {
                for table in &mut self.tables {
                    let mut def = TableDef::clone(table);
                    def.indexes.retain(|i| !drop.names.iter().any(|(_, name)| *name == i.name));
                    *table = Arc::new(def);
                }
                "DROP INDEX".into()
            }
            Ddl::Truncate(drop) => {
                for (_, name) in &drop.names {
                    let id = self.tables.iter().find(|t| t.name == *name).unwrap().id;
                    self.rows.retain(|(table, _, _), _| *table != id);
                }
                "TRUNCATE TABLE".into()
            }
            Ddl::AlterTable(_) | Ddl::RenameIndex { .. } => format!("{ddl:?}"),
            Ddl::Nothing { tag, notice } => format!("NOTICE {notice}\n{tag}"),
        }
    }

    fn table_of(&mut self, create: &CreateTableRequest) -> TableDef {
        let mut columns = create.columns.clone();
        let mut primary_key = create.primary_key.clone();
        if primary_key.is_empty() {
            primary_key.push(columns.len() as u16);
            columns.push(ColumnDef {
                name: "_rowid".into(),
                ty: SqlType::Uuid,
                typmod: -1,
                nullable: false,
                default: None,
                hidden: true,
            });
        }
        let distribution = match &create.distribution {
            DistributionRequest::Global => Distribution::Global,
            DistributionRequest::Sharded { columns, tier } => Distribution::Sharded {
                columns: if columns.is_empty() { primary_key.clone() } else { columns.clone() },
                tier: tier.clone().unwrap_or_else(|| "default".into()),
            },
        };
        let unique = |id: u32, unique: &UniqueRequest| IndexDef {
            id: IndexId(id),
            name: unique.name.clone().unwrap_or_else(|| {
                let names: Vec<&str> =
                    unique.columns.iter().map(|c| columns[usize::from(*c)].name.as_str()).collect();
                format!("{}_{}_key", create.name, names.join("_"))
            }),
            columns: unique
                .columns
                .iter()
                .map(|c| IndexColumn { column: *c, descending: false, nulls_first: false })
                .collect(),
            unique: true,
        };
        let first = self.next_id + 10;
        self.next_id += 100;
        let indexes = create.uniques.iter().zip(first..).map(|(u, id)| unique(id, u)).collect();
        TableDef {
            id: TableId(self.next_id),
            schema: create.schema.clone(),
            name: create.name.clone(),
            owner: UserId(1),
            primary_key,
            primary_key_name: create
                .primary_key_name
                .clone()
                .unwrap_or_else(|| format!("{}_pkey", create.name)),
            primary_key_id: IndexId(self.next_id + 1),
            distribution,
            engine: create.engine,
            unlogged: create.unlogged,
            indexes,
            version: CatalogVersion(self.version),
            operable: true,
            columns,
        }
    }

    /// Keys and rows of an index, by scanning the table.
    fn index_rows(&self, table: &TableDef, id: IndexId) -> Vec<(Vec<u8>, Bytes)> {
        let layout = layout_of(&Arc::new(table.clone()));
        let index = table.indexes.iter().find(|i| i.id == id).unwrap();
        let mut rows = Vec::new();
        for ((owner, _, key), bytes) in &self.rows {
            if *owner != table.id {
                continue;
            }
            let row = RowRef::new(&layout, bytes).unwrap();
            let mut index_key = Vec::new();
            for c in &index.columns {
                let order = KeyOrder { descending: c.descending, nulls_first: c.nulls_first };
                let at = usize::from(c.column);
                let value = row.datum(at).unwrap();
                keycode::encode(table.columns[at].ty, &value, order, &mut index_key).unwrap();
            }
            index_key.extend_from_slice(key);
            rows.push((index_key, bytes.clone()));
        }
        rows.sort();
        rows
    }
}

impl Reader for TestDb {
    fn bucket_count(&self, _table: &TableDef) -> u16 {
        BUCKETS
    }

    fn get(&self, table: &TableDef, bucket: BucketId, key: &[u8]) -> SqlResult<Option<Bytes>> {
        Ok(self.rows.get(&(table.id, bucket, key.to_vec())).cloned())
    }

    fn scan(
        &self,
        request: &ScanRequest<'_>,
        position: &mut ScanPosition,
        limit: usize,
        rows: &mut Vec<Bytes>,
    ) -> SqlResult<usize> {
        let all: Box<dyn Iterator<Item = (BucketId, Vec<u8>, Bytes)>> = match request.source {
            ScanSource::Index(id) => {
                let rows = self.index_rows(request.table, id).into_iter();
                Box::new(rows.map(|(key, row)| (BucketId(0), key, row)))
            }
            _ => {
                let (bucket, key) = position.after.clone().unwrap_or((BucketId(0), Vec::new()));
                let rows = self.rows.range((request.table.id, bucket, key)..);
                let rows = rows.take_while(|((table, _, _), _)| *table == request.table.id);
                Box::new(rows.map(|((_, bucket, key), row)| (*bucket, key.clone(), row.clone())))
            }
        };
        let wanted = |bucket: BucketId, key: &[u8]| {
            let here = match request.source {
                ScanSource::Bucket(one) => one == bucket,
                _ => true,
            };
            let behind = position.after.as_ref().is_none_or(|(b, k)| (bucket, key) > (*b, k));
            here && behind && request.range.contains(key)
        };
        // Small batches, so that tests see scans go on.
        let limit = limit.min(3);
        let mut found: Vec<_> =
            all.filter(|(bucket, key, _)| wanted(*bucket, key)).take(limit + 1).collect();
        position.done = found.len() <= limit;
        found.truncate(limit);
        let looked_at = found.len();
        for (bucket, key, row) in found {
            rows.push(row);
            position.after = Some((bucket, key));
        }
        Ok(looked_at)
    }

    fn virtual_rows(&self, table: &VirtualTable) -> SqlResult<Vec<Vec<Datum>>> {
        assert_eq!(table.name, "pg_tables");
        Ok(self
            .tables
            .iter()
            .map(|t| vec![Datum::text(t.schema.as_str()), Datum::text(t.name.as_str())])
            .collect())
    }
}

impl Catalog for TestDb {
    fn version(&self) -> CatalogVersion {
        CatalogVersion(self.version)
    }

    fn relation(&self, schema: &str, name: &str) -> Option<Relation> {
        if (schema, name) == ("pg_catalog", "pg_tables") {
            let column = |name: &str| VirtualColumn { name: name.into(), ty: SqlType::Name };
            return Some(Relation::Virtual(Arc::new(VirtualTable {
                id: TableId(12_000),
                schema: schema.into(),
                name: name.into(),
                columns: vec![column("schemaname"), column("tablename")],
            })));
        }
        let table = self.tables.iter().find(|t| t.schema == schema && t.name == name)?;
        Some(Relation::Table(table.clone()))
    }

    fn table(&self, id: TableId) -> Option<TableRef> {
        self.tables.iter().find(|t| t.id == id).cloned()
    }

    fn index(&self, schema: &str, name: &str) -> Option<(TableRef, IndexId)> {
        self.tables.iter().filter(|t| t.schema == schema).find_map(|t| {
            if t.primary_key_name == name {
                return Some((t.clone(), t.primary_key_id));
            }
            let index = t.indexes.iter().find(|i| i.name == name)?;
            Some((t.clone(), index.id))
        })
    }

    fn has_schema(&self, name: &str) -> bool {
        matches!(name, "public" | "pg_catalog")
    }

    fn has_tier(&self, name: &str) -> bool {
        matches!(name, "default" | "hot")
    }

    fn user(&self, name: &str) -> Option<UserId> {
        (name == "admin").then_some(UserId(1))
    }
}

/// An error as one line and its details.
pub fn shown_error(e: &SqlError) -> String {
    let mut text = format!("ERROR {} {}", e.state.code(), e.message);
    if let Some(position) = e.fields.position {
        text.push_str(&format!(" @{position}"));
    }
    if let Some(detail) = &e.fields.detail {
        text.push_str(&format!("\n  DETAIL {detail}"));
    }
    if let Some(hint) = &e.fields.hint {
        text.push_str(&format!("\n  HINT {hint}"));
    }
    assert_ne!(e.state, SqlState::InternalError, "{text}");
    text
}
