//! This instance's member of its replica set: the group, the rows, and the replies held back.
//!
//! The leader executes at append and releases at commit. A write is applied to memory in the turn
//! that proposes it; its reply, and the reply of any read that could have seen it, is *gated* on the
//! log position. A follower applies when an entry is committed. Leadership lost, versions above the
//! commit index are popped; leadership won, the whole tail is applied before the first statement.
//!
//! ```text
//!        applied            committed           speculated = last index
//!   ────────┴──────────────────┴──────────────────────┴
//!   emitted by raft            gates open up to here   gates wait
//! ```
//!
//! Schema entries are never speculated: they take effect when they are committed, and writes behind
//! one wait for that.

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::schema::TableDef;
use crate::base::{
    CatalogVersion, Datum, IndexId, LogIndex, RowLayout, RowRef, RowWrite, SqlError, SqlResult,
    SqlState, TableId, Term, Timestamp,
};
use crate::group::Group;
use crate::raft::{Entry, EntryKind, ProposeError};
use crate::seam::{Completion, Now, Resolver, Spawner};
use crate::storage::snapshot::{SnapshotMeta, SnapshotScan};
use crate::storage::{ALL_KEYS, Store};
use crate::topology::ddl::{SchemaChange, SchemaOp};
use crate::txn::{Clock, ShardEntry};

/// Superseded versions freed in one turn: so many, and a part of those that wait, so that statements of
/// many rows cannot leave garbage behind faster than it goes.
const GARBAGE_PER_TURN: usize = 256;
const GARBAGE_PART: usize = 8;

/// How the wait for a log position ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    Committed,
    /// Leadership was lost first: it may be committed or not.
    Lost,
}

/// Somebody who hears of a release.
pub trait Gated {
    fn release(self: Box<Self>, release: Release);
}

impl Gated for Resolver<Release> {
    fn release(self: Box<Self>, release: Release) {
        self.resolve(release);
    }
}

/// The member.
pub struct ShardMember {
    pub group: Group,
    pub store: Store,
    pub clock: Clock,
    /// Everything up to here was committed, emitted by raft and applied.
    pub applied: LogIndex,
    /// Term of the entry at `applied`.
    pub applied_term: Term,
    /// Timestamp of the newest write up to `applied`.
    pub applied_at: Timestamp,
    /// The schema version of the newest schema entry up to `applied`.
    pub schema: CatalogVersion,
    /// The schema change that was refused last, and why.
    pub refused: Option<(CatalogVersion, SqlError)>,
    /// Writes up to here are in the store; at least `applied`.
    speculated: LogIndex,
    /// The term this member leads, once it has begun to act on it.
    leading: Option<Term>,
    /// Committed while this member led: memory shows exactly these entries, whatever a later leader
    /// put behind them.
    settled: LogIndex,
    /// By log position, ascending.
    gates: VecDeque<(LogIndex, Box<dyn Gated>)>,
}

impl std::fmt::Debug for ShardMember {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ShardMember({:?}, applied {}, speculated {})",
            self.group, self.applied, self.speculated
        )
    }
}

/// What a snapshot of a shard says besides its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShardPosition {
    pub applied_at: Timestamp,
    pub schema: CatalogVersion,
}

impl ShardMember {
    pub fn new(
        group: Group,
        store: Store,
        applied: LogIndex,
        applied_term: Term,
        position: ShardPosition,
    ) -> ShardMember {
        let mut clock = Clock::default();
        clock.observe(position.applied_at);
        ShardMember {
            group,
            store,
            clock,
            applied,
            applied_term,
            applied_at: position.applied_at,
            schema: position.schema,
            refused: None,
            speculated: applied,
            leading: None,
            settled: applied,
            gates: VecDeque::new(),
        }
    }

    /// Whether statements may run here at `now`: this member leads, under a lease, and its memory
    /// shows everything in its log.
    pub fn may_serve(&self, now: Now) -> bool {
        self.leading == Some(self.group.term())
            && self.group.may_serve(now.mono)
            && self.speculated >= self.group.last_index()
    }

    /// Whether memory shows entries that are not applied yet.
    pub fn is_ahead(&self) -> bool {
        self.speculated > self.applied
    }

    /// Appends the writes of one statement and applies them to memory. The reply must be gated on
    /// the index that is returned.
    ///
    /// # Errors
    /// This member does not lead; nothing was done.
    pub fn write(&mut self, now: Now, writes: &[RowWrite]) -> Result<LogIndex, ProposeError> {
        assert!(self.may_serve(now), "a write while this member may not serve");
        let timestamp = self.clock.tick(now.wall);
        let index = self.group.propose(ShardEntry::encode_write(timestamp, writes))?;
        assert_eq!(index.0, self.speculated.0 + 1, "a proposal behind entries not applied");
        self.store.apply(index, timestamp, writes);
        self.speculated = index;
        Ok(index)
    }

    /// Appends a schema change.
    ///
    /// # Errors
    /// This member does not lead.
    pub fn propose_schema(
        &mut self,
        version: CatalogVersion,
        change: &SchemaChange,
    ) -> Result<LogIndex, ProposeError> {
        self.group.propose(ShardEntry::Schema { version, change: change.encode().into() }.encode())
    }

    /// The position a reply must wait for, if it may show anything that is not committed yet.
    pub fn unsettled(&self) -> Option<LogIndex> {
        (self.speculated > self.group.committed()).then_some(self.speculated)
    }

    /// Tells `waiter` when `index` is committed, or that leadership was lost before.
    pub fn gate(&mut self, index: LogIndex, waiter: Box<dyn Gated>) {
        if self.leading != Some(self.group.term()) {
            waiter.release(Release::Lost);
        } else if index <= self.group.committed() || crate::canary!(AckBeforeCommit) {
            waiter.release(Release::Committed);
        } else {
            // Positions are asked for in ascending order but for reads between writes.
            let at = self.gates.partition_point(|(other, _)| *other <= index);
            self.gates.insert(at, (index, waiter));
        }
    }

    /// As a completion.
    pub fn wait_committed(&mut self, spawner: &Spawner, index: LogIndex) -> Completion<Release> {
        let (completion, resolver) = spawner.completion();
        self.gate(index, Box::new(resolver));
        completion
    }

    /// A hash over what every replica has alike once it applied as far as this one.
    pub fn state_hash(&self) -> u64 {
        let state = [self.store.state_hash(), self.schema.0, self.applied_at.0];
        xxh3_64(&state.map(u64::to_le_bytes).concat())
    }

    /// How many wait for a position.
    pub fn gates(&self) -> usize {
        self.gates.len()
    }

    /// Applies one committed entry, unless memory shows it already.
    pub fn apply(&mut self, entry: &Entry) {
        assert_eq!(entry.index.0, self.applied.0 + 1, "a shard applies in order");
        match entry.kind {
            EntryKind::Config => {
                if let Err(error) = self.group.apply_change(entry) {
                    tracing::warn!(%error, index = %entry.index, "membership change refused");
                }
            }
            EntryKind::Normal if entry.data.is_empty() => {}
            EntryKind::Normal => self.apply_normal(entry),
        }
        self.applied = entry.index;
        self.applied_term = entry.term;
        self.speculated = self.speculated.max(entry.index);
    }

    fn apply_normal(&mut self, entry: &Entry) {
        match ShardEntry::decode(entry.data.clone()) {
            Ok(ShardEntry::Write { timestamp, writes }) => {
                if entry.index > self.speculated {
                    self.clock.observe(timestamp);
                    self.store.apply(entry.index, timestamp, &writes);
                }
                self.applied_at = timestamp;
            }
            Ok(ShardEntry::Schema { version, change }) => match SchemaChange::decode(change) {
                Ok(change) => self.apply_schema(version, &change),
                Err(error) => panic!("schema entry {} of our own log: {error}", entry.index),
            },
            Err(error) => panic!("entry {} of our own log: {error}", entry.index),
        }
    }

    /// Every replica decides alike whether the change fits; a refusal is remembered for the governor.
    fn apply_schema(&mut self, version: CatalogVersion, change: &SchemaChange) {
        if version <= self.schema {
            return;
        }
        let current =
            matches!(change.op, SchemaOp::Everything(_)) || change.previous == self.schema;
        if !current {
            return;
        }
        match self.change_tables(&change.op) {
            Ok(()) => {
                self.refused = None;
                self.schema = version;
            }
            Err(error) => self.refused = Some((version, error)),
        }
    }

    fn change_tables(&mut self, op: &SchemaOp) -> SqlResult<()> {
        match op {
            SchemaOp::CreateTable(table) => self.store.create_table(table.clone()),
            SchemaOp::DropTable(id) => self.store.drop_table(*id),
            SchemaOp::AlterTable(table) | SchemaOp::DropIndex { table, .. } => {
                self.store.alter_table(table.clone());
            }
            SchemaOp::CreateIndex { table, index } => {
                let before = self.store.table(table.id).cloned();
                self.store.alter_table(table.clone());
                if let Err(error) = self.check_unique(table, *index) {
                    if let Some(before) = before {
                        self.store.alter_table(before);
                    }
                    return Err(error);
                }
            }
            SchemaOp::Truncate(id) => self.store.truncate_table(*id),
            SchemaOp::Everything(tables) => {
                let known: Vec<TableId> = self.store.tables().map(|t| t.id).collect();
                for id in known.into_iter().filter(|id| tables.iter().all(|t| t.id != *id)) {
                    self.store.drop_table(id);
                }
                for table in tables {
                    self.store.create_table(table.clone());
                }
            }
        }
        Ok(())
    }

    /// `23505` if a new unique index has two rows of one key. NULLs differ from one another.
    fn check_unique(&self, table: &TableDef, index: IndexId) -> SqlResult<()> {
        let Some(def) = table.indexes.iter().find(|i| i.id == index && i.unique) else {
            return Ok(());
        };
        let layout = RowLayout::new(&table.columns, 0);
        let mut last: Option<Vec<Datum>> = None;
        for hit in self.store.index_scan(table.id, index, ALL_KEYS, Timestamp::MAX) {
            let Some(row) = hit.seen.row else { continue };
            let row = RowRef::new(&layout, row)?;
            let columns = def.columns.iter().map(|c| row.datum(usize::from(c.column)));
            let values = columns.collect::<SqlResult<Vec<Datum>>>()?;
            if values.iter().any(Datum::is_null) {
                continue;
            }
            if last.as_ref() == Some(&values) {
                return Err(SqlError::new(
                    SqlState::UniqueViolation,
                    format!("could not create unique index \"{}\"", def.name),
                )
                .with_detail("Some values of its columns are there more than once."));
            }
            last = Some(values);
        }
        Ok(())
    }

    /// Begins a snapshot of what is applied.
    pub fn begin_snapshot(&mut self, meta: &SnapshotMeta) -> SnapshotScan {
        // Entries without rows leave no trace in the store: tell it how far the log has come.
        if self.store.applied() < meta.index {
            self.store.apply(meta.index, meta.ts, &[]);
        }
        SnapshotScan::start(&mut self.store, meta)
    }

    /// The term this member acts as the leader of: its memory shows everything that term appended.
    pub fn leading(&self) -> Option<Term> {
        self.leading
    }

    /// Notices leadership won or lost. Must run before the turn's committed entries are applied: they
    /// may replace entries that memory shows.
    pub fn follow_role(&mut self) {
        let leads = self.group.is_leader().then(|| self.group.term());
        if self.leading == leads {
            return;
        }
        if self.leading.is_some() {
            self.step_down();
        }
        self.leading = leads;
    }

    /// Pops what is not known to be committed and tells everyone who waits that nothing is known.
    fn step_down(&mut self) {
        let keep = self.settled.max(self.applied);
        if self.speculated > keep && !crate::canary!(KeepSpeculation) {
            crate::sometimes!("shard: writes undone that lost their leader");
            self.store.undo_above(keep);
            self.speculated = keep;
        }
        for (_, waiter) in std::mem::take(&mut self.gates) {
            crate::sometimes!("shard: a reply whose leader stepped down");
            let lied = crate::canary!(AckAfterLosingLead);
            waiter.release(if lied { Release::Committed } else { Release::Lost });
        }
    }

    /// After the turn's entries are applied: a leader catches up with its own log and lets go what
    /// is committed.
    pub fn settle(&mut self) {
        self.let_go();
        // Statements begin with the newest rows; those that go on, and snapshots being scanned, hold what
        // they need.
        let budget = GARBAGE_PER_TURN + self.store.superseded() / GARBAGE_PART;
        self.store.gc(self.applied_at, budget);
    }

    fn let_go(&mut self) {
        if self.leading.is_none() {
            self.store.committed(self.applied);
            return;
        }
        self.speculate();
        let committed = self.group.committed().min(self.speculated);
        self.settled = self.settled.max(committed);
        self.store.committed(committed);
        while self.gates.front().is_some_and(|(index, _)| *index <= committed) {
            let Some((_, waiter)) = self.gates.pop_front() else { break };
            waiter.release(Release::Committed);
        }
    }

    /// Applies the log's tail to memory, up to the first schema change that is not committed.
    fn speculate(&mut self) {
        while self.speculated < self.group.last_index() {
            let next = LogIndex(self.speculated.0 + 1);
            let Some(entry) = self.group.node().entry(next) else { break };
            if entry.kind == EntryKind::Normal && !entry.data.is_empty() {
                match ShardEntry::decode(entry.data) {
                    Ok(ShardEntry::Write { timestamp, writes }) => {
                        self.clock.observe(timestamp);
                        crate::sometimes!("shard: a new leader runs the tail of its log");
                        if !crate::canary!(SkipTail) {
                            self.store.apply(next, timestamp, &writes);
                        }
                    }
                    Ok(ShardEntry::Schema { .. }) => break,
                    Err(error) => panic!("entry {next} of our own log: {error}"),
                }
            }
            self.speculated = next;
        }
    }

    /// Takes over the state of a snapshot.
    pub fn restore(&mut self, store: Store, index: LogIndex, term: Term, position: ShardPosition) {
        assert!(index > self.applied, "a snapshot at {index} behind {}", self.applied);
        self.store = store;
        self.clock.observe(position.applied_at);
        self.applied = index;
        self.applied_term = term;
        self.applied_at = position.applied_at;
        self.schema = position.schema;
        self.speculated = index;
        self.settled = index;
    }
}
