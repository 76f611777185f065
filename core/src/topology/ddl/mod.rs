//! Schema changes, in two phases, one at a time.
//!
//! ```text
//!  session            ring log               each replica set's own log        visible to queries
//!  CREATE TABLE t ──► Prepare v8  (t not operable)                             no
//!                                ──push──►   SchemaChange 7→8: create t        no
//!                     Commit v8  ◄─ack all─                                    yes, catalog 9
//!                  or Abort      ◄─refused─  then SchemaChange ?→10: the tables there are
//! ```
//!
//! A shard moves from one *schema version* to the next by the [`SchemaChange`]s in its own log, so
//! what a log entry means never depends on when the ring was heard. A change names the version it
//! builds on; a shard that is elsewhere (new, or left behind by an abort) gets
//! [`SchemaOp::Everything`] instead and drops what is not in it. Changes that lose data (drop,
//! truncate) cannot be aborted once prepared, and no shard may refuse them.
//!
//! A crash between any two steps leaves the pending change in the ring's state; the next leader's
//! governor pushes it again, and shards answer a version they already have with its ack.
//!
//! [`request`] is what a statement asks for, in names; [`resolve`] turns it into ids and definitions,
//! when the ring applies it; [`SchemaChange`] is what shards are told.

mod request;
mod resolve;
mod tables;

use std::collections::VecDeque;
use std::fmt;

use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::limits::NAME_BYTES_MAX;
use crate::base::schema::TableRef;
use crate::base::{
    CatalogVersion, IndexId, LogIndex, SqlError, SqlResult, SqlState, TableId, UserId, Wire,
};
use crate::wire_struct;

pub use request::{
    AlterTableRequest, CreateIndexRequest, CreateTableRequest, DdlRequest, DistributionRequest,
    DropRequest, IndexKeyRequest, TableAlteration, UniqueRequest,
};
pub use resolve::{Resolution, Resolver};
pub use tables::{Relation, Tables};

/// The only schema tables of users live in.
pub const PUBLIC_SCHEMA: &str = "public";
pub const INDEX_COLUMNS_MAX: usize = 32;
pub const INDEXES_MAX: usize = 128;
pub const TABLES_MAX: usize = 65_000;
/// Schema changes waiting for the one in progress.
pub const QUEUE_MAX: usize = 64;
/// Finished schema changes whose result is remembered for sessions that ask late.
const FINISHED_MAX: usize = 128;

/// What a shard does to its tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaOp {
    CreateTable(TableRef),
    DropTable(TableId),
    /// The same rows under a new definition: renamed, or with a nullable column added at the end.
    AlterTable(TableRef),
    /// Build the named index of this new definition. The shard may refuse: 23505.
    CreateIndex {
        table: TableRef,
        index: IndexId,
    },
    DropIndex {
        table: TableRef,
        index: IndexId,
    },
    Truncate(TableId),
    /// Exactly these tables: drop others, create missing ones, take over changed definitions.
    Everything(Vec<TableRef>),
}

/// One step of a shard from schema version `previous` to `version`.
///
/// A shard makes it if it is at `previous`, or if it is [`SchemaOp::Everything`] and newer than what
/// the shard has. Otherwise the entry changes nothing: it was superseded while under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// The version the shard must be at; any older one for [`SchemaOp::Everything`].
    pub previous: CatalogVersion,
    pub version: CatalogVersion,
    pub op: SchemaOp,
}

/// Format of [`SchemaChange`] in a shard's log.
const SCHEMA_CHANGE_FORMAT: u8 = 1;

impl SchemaChange {
    /// Format byte, then the fields.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(SCHEMA_CHANGE_FORMAT);
        self.write(&mut w);
        w.into_vec()
    }

    pub fn decode(bytes: bytes::Bytes) -> CodecResult<SchemaChange> {
        let mut r = Reader::new(bytes, "schema change");
        let version = r.u8()?;
        if version > SCHEMA_CHANGE_FORMAT {
            return Err(CodecError::NewerVersion {
                what: "schema change",
                version: version.into(),
            });
        }
        let change = SchemaChange::read(&mut r)?;
        r.finish()?;
        Ok(change)
    }
}

/// The schema change in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingDdl {
    /// Log index of its Prepare entry: what its session waits for.
    pub ticket: LogIndex,
    pub by: UserId,
    pub change: SchemaChange,
}

impl PendingDdl {
    /// Whether an abort can still undo it on every shard.
    pub fn can_abort(&self) -> bool {
        !matches!(self.change.op, SchemaOp::DropTable(_) | SchemaOp::Truncate(_))
    }
}

/// A schema change waiting for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedDdl {
    pub ticket: LogIndex,
    pub by: UserId,
    pub request: DdlRequest,
}

/// How a schema change ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DdlResult {
    Done,
    /// `IF [NOT] EXISTS` made it a no-op; the notice says so.
    Nothing(String),
    Failed(SqlError),
}

/// What a session learns about its schema change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DdlStatus {
    Waiting,
    InProgress,
    Finished(DdlResult),
    /// No change that takes time: it was decided when its entry was applied.
    Decided,
    /// It ended too long ago: nobody remembers how.
    Forgotten,
}

/// The one in progress, those waiting, and how the last ones ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DdlState {
    pub pending: Option<PendingDdl>,
    /// Oldest first; at most [`QUEUE_MAX`].
    pub queue: VecDeque<QueuedDdl>,
    /// Oldest first; at most [`FINISHED_MAX`].
    finished: VecDeque<(LogIndex, DdlResult)>,
}

impl DdlState {
    fn may_have_forgotten(&self, ticket: LogIndex) -> bool {
        let is_full = self.finished.len() >= FINISHED_MAX;
        is_full && self.finished.front().is_some_and(|(oldest, _)| ticket < *oldest)
    }

    /// Where the schema change with this ticket stands.
    pub fn status(&self, ticket: LogIndex) -> DdlStatus {
        if self.pending.as_ref().is_some_and(|p| p.ticket == ticket) {
            return DdlStatus::InProgress;
        }
        if self.queue.iter().any(|q| q.ticket == ticket) {
            return DdlStatus::Waiting;
        }
        match self.finished.iter().find(|(t, _)| *t == ticket) {
            Some((_, result)) => DdlStatus::Finished(result.clone()),
            None if self.may_have_forgotten(ticket) => DdlStatus::Forgotten,
            None => DdlStatus::Decided,
        }
    }

    /// Puts a change at the end of the queue, or refuses with 53400.
    pub(super) fn enqueue(&mut self, ddl: QueuedDdl) -> SqlResult<()> {
        if self.queue.len() >= QUEUE_MAX {
            return Err(SqlError::new(
                SqlState::ConfigurationLimitExceeded,
                format!("{QUEUE_MAX} schema changes are waiting already"),
            )
            .with_hint("Retry when some of them are done."));
        }
        self.queue.push_back(ddl);
        Ok(())
    }

    pub(super) fn finish(&mut self, ticket: LogIndex, result: DdlResult) {
        while self.finished.len() >= FINISHED_MAX {
            self.finished.pop_front();
        }
        self.finished.push_back((ticket, result));
    }
}

/// Refuses an empty name and one longer than PostgreSQL keeps.
pub fn check_name(name: &str) -> SqlResult<()> {
    if name.is_empty() {
        return Err(SqlError::new(SqlState::SyntaxError, "zero-length delimited identifier"));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(SqlError::new(
            SqlState::NameTooLong,
            format!("name \"{name}\" is longer than {NAME_BYTES_MAX} bytes"),
        ));
    }
    Ok(())
}

/// In a few words, for logs and `_pico_property`.
impl fmt::Display for SchemaOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SchemaOp::CreateTable(table) => write!(f, "create table {}", table.name),
            SchemaOp::DropTable(id) => write!(f, "drop table {id}"),
            SchemaOp::AlterTable(table) => write!(f, "alter table {}", table.name),
            SchemaOp::CreateIndex { table, index } => {
                write!(f, "create index {index} of {}", table.name)
            }
            SchemaOp::DropIndex { table, index } => {
                write!(f, "drop index {index} of {}", table.name)
            }
            SchemaOp::Truncate(id) => write!(f, "truncate {id}"),
            SchemaOp::Everything(tables) => {
                let names: Vec<&str> = tables.iter().map(|t| t.name.as_str()).collect();
                write!(f, "everything: {}", names.join(" "))
            }
        }
    }
}

impl Wire for SchemaOp {
    fn write(&self, w: &mut Writer) {
        let mut tag = |tag: u8| w.u8(tag);
        match self {
            SchemaOp::CreateTable(table) => {
                tag(0);
                table.write(w);
            }
            SchemaOp::DropTable(id) => {
                tag(1);
                id.write(w);
            }
            SchemaOp::AlterTable(table) => {
                tag(2);
                table.write(w);
            }
            SchemaOp::CreateIndex { table, index } => {
                tag(3);
                table.write(w);
                index.write(w);
            }
            SchemaOp::DropIndex { table, index } => {
                tag(4);
                table.write(w);
                index.write(w);
            }
            SchemaOp::Truncate(id) => {
                tag(5);
                id.write(w);
            }
            SchemaOp::Everything(tables) => {
                tag(6);
                tables.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(match r.u8()? {
            0 => SchemaOp::CreateTable(Wire::read(r)?),
            1 => SchemaOp::DropTable(Wire::read(r)?),
            2 => SchemaOp::AlterTable(Wire::read(r)?),
            3 => SchemaOp::CreateIndex { table: Wire::read(r)?, index: Wire::read(r)? },
            4 => SchemaOp::DropIndex { table: Wire::read(r)?, index: Wire::read(r)? },
            5 => SchemaOp::Truncate(Wire::read(r)?),
            6 => SchemaOp::Everything(Wire::read(r)?),
            tag => return r.unknown_tag(tag),
        })
    }
}

impl Wire for DdlResult {
    fn write(&self, w: &mut Writer) {
        match self {
            DdlResult::Done => w.u8(0),
            DdlResult::Nothing(notice) => {
                w.u8(1);
                notice.write(w);
            }
            DdlResult::Failed(error) => {
                w.u8(2);
                error.write(w);
            }
        }
    }
    fn read(r: &mut Reader) -> CodecResult<Self> {
        match r.u8()? {
            0 => Ok(DdlResult::Done),
            1 => Ok(DdlResult::Nothing(Wire::read(r)?)),
            2 => Ok(DdlResult::Failed(Wire::read(r)?)),
            tag => r.unknown_tag(tag),
        }
    }
}

wire_struct!(SchemaChange { previous, version, op });
wire_struct!(PendingDdl { ticket, by, change });
wire_struct!(QueuedDdl { ticket, by, request });
wire_struct!(DdlState { pending, queue, finished });
