//! Building an index beside the other work, and judging whether it may be unique.
//!
//! A table of a million rows takes seconds to index, and an instance that is silent for so long loses its
//! lease. So the change that asks for an index only begins it, and every turn goes on with a bounded
//! number of rows:
//!
//! ```text
//!   log     … w w CREATE w w w w …            the schema version moves, or the change is refused
//!                   │                                                │
//!                   begin ── fill, some rows a turn ── judge ────────┘   on each replica, in its own time
//! ```
//!
//! What comes of it is the same on every replica although each ends at another position of its log: the
//! rows are judged as they were *at the change*, whose versions a hold keeps. The old definition is in
//! force until then. Nobody reads the index, and writes go on; where it is to be unique, the leader makes
//! writers of the table wait, for they do not know of the rule yet, and a leader of a later term does
//! the same until it has judged for itself. So what is written behind the change obeys the rule that the
//! judgement, once it is made, puts in force.
//!
//! A schema change that follows ends the building at once. A snapshot waits for it: what it says of
//! tables and schema must be of one moment.

use std::ops::Bound;

use crate::base::schema::{IndexDef, TableRef};
use crate::base::{
    CatalogVersion, Datum, LogIndex, RowLayout, RowRef, SqlError, SqlResult, SqlState, TableId,
    Timestamp,
};
use crate::storage::{AsOf, Hold, Store};
use crate::topology::ddl::{SchemaChange, SchemaOp};

/// An index being built, and what is to be when it is done.
#[derive(Debug)]
pub struct IndexBuild {
    /// The schema version that asks for it.
    pub version: CatalogVersion,
    /// The definition with it.
    pub table: TableRef,
    index: IndexDef,
    /// The change's position: the rows as of here are judged.
    at: LogIndex,
    /// Keeps them.
    _hold: Hold,
    is_filled: bool,
    judgement: Judgement,
}

/// How far the rows were looked at for duplicates.
#[derive(Debug, Default)]
struct Judgement {
    /// The last key of the index that was looked at.
    after: Option<Vec<u8>>,
    /// The values of the last row that had no NULL among them.
    last: Option<Vec<Datum>>,
}

impl IndexBuild {
    /// Begins the building that a change at `at` asks for; `None` if there is nothing to build.
    pub fn begin(store: &mut Store, change: &SchemaChange, at: LogIndex) -> Option<IndexBuild> {
        let SchemaOp::CreateIndex { table, index } = &change.op else { return None };
        let def = table.indexes.iter().find(|def| def.id == *index)?.clone();
        if !store.begin_index(table, def.id) {
            return None;
        }
        Some(IndexBuild {
            version: change.version,
            table: table.clone(),
            index: def,
            at,
            _hold: store.hold(AsOf { ts: Timestamp::MAX, log_index: at }),
            is_filled: false,
            judgement: Judgement::default(),
        })
    }

    /// The table whose writers have to wait for the end.
    pub fn closed_to_writers(&self) -> Option<TableId> {
        self.index.unique.then_some(self.table.id)
    }

    /// Goes on with about `rows` rows. `None`: there is more to do. `Some`: the definition may come into
    /// force, or `23505`, alike on every replica.
    pub fn advance(&mut self, store: &mut Store, rows: usize) -> Option<SqlResult<()>> {
        if !self.is_filled {
            self.is_filled = store.fill_index(self.table.id, rows) < rows;
            if !self.is_filled {
                crate::sometimes!("index: built in more than one turn");
                return None;
            }
        }
        if !self.index.unique {
            return Some(Ok(()));
        }
        self.judge(store, rows).transpose()
    }

    /// Looks at `rows` more entries; `None` if that is not all.
    fn judge(&mut self, store: &Store, rows: usize) -> SqlResult<Option<()>> {
        let layout = RowLayout::new(&self.table.columns, 0);
        let after = self.judgement.after.take();
        let start = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut looked_at = 0;
        for hit in store.scan_building(self.table.id, (start, Bound::Unbounded), self.at) {
            if let Some(row) = hit.seen.row {
                self.judge_row(&RowRef::new(&layout, row)?)?;
            }
            looked_at += 1;
            if looked_at == rows {
                self.judgement.after = Some(hit.index_key.to_vec());
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    /// `23505` if the row has the values of the one before it. NULLs differ from one another.
    fn judge_row(&mut self, row: &RowRef<'_>) -> SqlResult<()> {
        let columns = self.index.columns.iter().map(|c| row.datum(usize::from(c.column)));
        let values = columns.collect::<SqlResult<Vec<Datum>>>()?;
        if values.iter().any(Datum::is_null) {
            return Ok(());
        }
        if self.judgement.last.as_ref() == Some(&values) {
            let message = format!("could not create unique index \"{}\"", self.index.name);
            return Err(SqlError::new(SqlState::UniqueViolation, message)
                .with_detail("Some values of its columns are there more than once."));
        }
        self.judgement.last = Some(values);
        Ok(())
    }
}
