//! This instance's member of its replica set: the group, the rows, and the replies held back.
//!
//! The leader executes at append and releases at commit. A write is applied to memory in the turn
//! that proposes it; its reply, and the reply of any read that could have seen it, is *gated* on the
//! log position. A follower applies when an entry is committed. Leadership lost, versions above the
//! commit index are popped, and the gates wait for what the next leader makes of their entries
//! ([`gates`](super::gates)); leadership won, the whole tail is applied before the first statement.
//!
//! ```text
//!        applied            committed           speculated = last index
//!   ────────┴──────────────────┴──────────────────────┴
//!   emitted by raft            gates open up to here   gates wait
//! ```
//!
//! Schema entries are never speculated: they take effect when they are committed, and writes behind
//! one wait for that. An index takes its time beyond that: see [`index_build`](super::index_build).

use std::collections::VecDeque;

use xxhash_rust::xxh3::xxh3_64;

use super::gates::{Gated, Gates, Release};
use super::index_build::IndexBuild;
use crate::base::{
    CatalogVersion, LogIndex, RowWrite, SqlError, SqlResult, TableId, Term, Timestamp,
};
use crate::exec::slice::SLICE_ROWS;
use crate::group::Group;
use crate::raft::{Entry, EntryKind, ProposeError};
use crate::seam::{Completion, Mono, Now, Spawner};
use crate::storage::snapshot::{SnapshotMeta, SnapshotScan};
use crate::storage::{Demand, MemoryLimit, Store};
use crate::topology::ddl::{SchemaChange, SchemaOp};
use crate::txn::{Clock, ShardEntry};

/// Rows with superseded versions, or dropped ones, that are freed in one turn: as many as a statement looks
/// at. Long statements together leave no more behind in a turn.
const GARBAGE_PER_TURN: usize = SLICE_ROWS;
/// Many statements that are done in their first slice can leave more behind in one turn: then this part of
/// what waits is freed, so that what waits stays below so many times what a turn leaves behind.
const GARBAGE_PART: usize = 16;

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
    gates: Gates,
    /// The index that the newest schema entry asks for, until it is built and judged.
    building: Option<IndexBuild>,
    /// Rows of it that are looked at in one turn.
    index_rows: usize,
    /// There is more to free already.
    has_garbage: bool,
    uncommitted: Uncommitted,
}

/// Bytes of writes in this leader's log that are not known to be committed.
#[derive(Debug, Default)]
struct Uncommitted {
    /// In log order.
    entries: VecDeque<(LogIndex, u64)>,
    bytes: u64,
}

impl Uncommitted {
    fn push(&mut self, index: LogIndex, bytes: usize) {
        self.entries.push_back((index, bytes as u64));
        self.bytes += bytes as u64;
    }

    /// Everything up to `index` is committed.
    fn committed(&mut self, index: LogIndex) {
        while let Some((at, bytes)) = self.entries.front().copied()
            && at <= index
        {
            self.entries.pop_front();
            self.bytes -= bytes;
        }
    }
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
        index_rows: usize,
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
            gates: Gates::default(),
            building: None,
            index_rows,
            has_garbage: false,
            uncommitted: Uncommitted::default(),
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
        let entry = ShardEntry::encode_write(timestamp, writes);
        let bytes = entry.len();
        let index = self.group.propose(entry)?;
        self.uncommitted.push(index, bytes);
        assert_eq!(index.0, self.speculated.0 + 1, "a proposal behind entries not applied");
        self.store.apply(index, timestamp, writes);
        self.speculated = index;
        Ok(index)
    }

    /// Bytes of writes in this leader's log that no majority has confirmed.
    pub fn uncommitted_bytes(&self) -> u64 {
        self.uncommitted.bytes
    }

    /// Refuses a change that would ask for more memory than there is, before anybody builds anything. The
    /// governor hears of it as of any other refusal.
    ///
    /// # Errors
    /// `53200`.
    pub fn admit_schema(&mut self, limit: MemoryLimit, change: &SchemaChange) -> SqlResult<()> {
        let SchemaOp::CreateIndex { table, .. } = &change.op else { return Ok(()) };
        let used = self.store.bytes() + self.uncommitted.bytes;
        let admitted = limit.admit(used, self.store.index_bytes(table.id), Demand::Growth);
        admitted.inspect_err(|error| self.refused = Some((change.version, error.clone())))
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

    /// Tells `waiter` how the entry at `index` ends, which this member shows as its group's leader.
    pub fn gate(&mut self, index: LogIndex, waiter: Box<dyn Gated>) {
        let leads = self.leading == Some(self.group.term());
        match self.group.node().entry_term(index).filter(|_| leads) {
            _ if leads && (index <= self.group.committed() || crate::canary!(AckBeforeCommit)) => {
                waiter.release(Release::Committed);
            }
            Some(term) => self.gates.add(index, term, waiter),
            None => waiter.release(Release::Lost),
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
        self.gates.applied(entry.index, entry.term);
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
                Ok(change) => self.apply_schema(entry.index, version, &change),
                Err(error) => panic!("schema entry {} of our own log: {error}", entry.index),
            },
            Err(error) => panic!("entry {} of our own log: {error}", entry.index),
        }
    }

    /// Every replica decides alike whether the change fits; a refusal is remembered for the governor.
    fn apply_schema(&mut self, at: LogIndex, version: CatalogVersion, change: &SchemaChange) {
        if self.building.as_ref().is_some_and(|building| building.version == version) {
            return;
        }
        self.build_index(usize::MAX);
        if version <= self.schema {
            return;
        }
        let current =
            matches!(change.op, SchemaOp::Everything(_)) || change.previous == self.schema;
        if !current {
            return;
        }
        self.building = IndexBuild::begin(&mut self.store, change, at);
        if self.building.is_some() {
            self.build_index(self.index_rows);
        } else {
            self.change_tables(&change.op);
            self.changed(version);
        }
    }

    fn changed(&mut self, version: CatalogVersion) {
        self.refused = None;
        self.schema = version;
    }

    /// Goes on with the index that is being built, if there is one.
    fn build_index(&mut self, rows: usize) {
        let Some(mut building) = self.building.take() else { return };
        match building.advance(&mut self.store, rows) {
            None if rows == usize::MAX => unreachable!("no bound, and yet there is more to do"),
            None => self.building = Some(building),
            Some(Ok(())) => {
                self.store.alter_table(building.table.clone());
                self.changed(building.version);
            }
            Some(Err(error)) => {
                self.store.abandon_index(building.table.id);
                self.refused = Some((building.version, error));
            }
        }
    }

    /// The index being built.
    pub fn building(&self) -> Option<&IndexBuild> {
        self.building.as_ref()
    }

    fn change_tables(&mut self, op: &SchemaOp) {
        match op {
            SchemaOp::CreateTable(table) => self.store.create_table(table.clone()),
            SchemaOp::DropTable(id) => self.store.drop_table(*id),
            SchemaOp::AlterTable(table)
            | SchemaOp::DropIndex { table, .. }
            | SchemaOp::CreateIndex { table, .. } => self.store.alter_table(table.clone()),
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
    }

    /// Begins a snapshot of what is applied. Not while an index is built.
    pub fn begin_snapshot(&mut self, meta: &SnapshotMeta) -> SnapshotScan {
        assert!(self.building.is_none(), "a snapshot while an index is built");
        // Entries without rows leave no trace in the store: tell it how far the log has come.
        if self.store.applied() < meta.index {
            self.store.apply(meta.index, meta.ts, &[]);
        }
        SnapshotScan::start(&mut self.store, meta)
    }

    /// The term this member acts as the leader of: its memory shows everything that term appended.
    /// `None` from the moment it has lost the lead, also before it has given up what it showed.
    pub fn leading(&self) -> Option<Term> {
        self.leading.filter(|term| self.group.is_leader() && self.group.term() == *term)
    }

    /// Notices leadership won or lost. Must run before the turn's committed entries are applied: they
    /// may replace entries that memory shows. Whoever waits for an entry of a lost lead hears of it until
    /// `until`.
    pub fn follow_role(&mut self, until: Mono) {
        let leads = self.group.is_leader().then(|| self.group.term());
        if self.leading == leads {
            return;
        }
        if self.leading.is_some() {
            self.step_down(until);
        }
        self.leading = leads;
    }

    /// Pops what is not known to be committed.
    fn step_down(&mut self, until: Mono) {
        self.uncommitted = Uncommitted::default();
        let keep = self.settled.max(self.applied);
        if self.speculated > keep && !crate::canary!(KeepSpeculation) {
            crate::sometimes!("shard: writes undone that lost their leader");
            self.store.undo_above(keep);
            self.speculated = keep;
        }
        self.gates.lead_lost(keep, until);
    }

    /// Gives up those that have waited for too long for what became of a lost lead's entries.
    pub fn expire(&mut self, now: Mono) {
        self.gates.expire(now);
    }

    /// This instance is about to stop: whoever waits for a lost lead's entries is told what is known.
    pub fn stop_waiting(&mut self) {
        self.gates.expire(Mono::NEVER);
    }

    /// When this member should be looked at next, at the latest.
    pub fn next_wake(&self) -> Mono {
        self.group.next_wake().min(self.gates.next_wake())
    }

    /// In every turn with something to do: frees what nobody reads any more, and goes on with the index
    /// that is being built.
    pub fn tidy(&mut self) {
        // Statements begin with the newest rows; those that go on, and snapshots being scanned, hold what
        // they need.
        let budget = GARBAGE_PER_TURN.max(self.store.superseded() / GARBAGE_PART);
        let one = self.store.superseded() > 1 && crate::buggify!("shard: one row of garbage");
        let budget = if one { 1 } else { budget };
        self.has_garbage = self.store.gc(self.applied_at, budget);
        let one = self.building.is_some() && crate::buggify!("shard: one row of an index");
        self.build_index(if one { 1 } else { self.index_rows });
    }

    /// Whether [`ShardMember::tidy`] has more to do at once.
    pub fn is_untidy(&self) -> bool {
        // Where a few rows stand for many, the building takes the turns that come by themselves.
        let presses = self.building.is_some() && self.index_rows >= SLICE_ROWS;
        self.has_garbage || presses
    }

    /// After the turn's entries are applied: a leader catches up with its own log and lets go what
    /// is committed.
    pub fn settle(&mut self) {
        if self.leading.is_none() {
            self.store.committed(self.applied);
            return;
        }
        self.speculate();
        let committed = self.group.committed().min(self.speculated);
        self.settled = self.settled.max(committed);
        self.store.committed(committed);
        self.uncommitted.committed(committed);
        self.gates.committed(committed);
    }

    /// Applies the log's tail to memory, up to the first schema change that is not committed.
    fn speculate(&mut self) {
        while self.speculated < self.group.last_index() {
            let next = LogIndex(self.speculated.0 + 1);
            let Some(entry) = self.group.node().entry(next) else { break };
            if entry.kind == EntryKind::Normal && !entry.data.is_empty() {
                let bytes = entry.data.len();
                match ShardEntry::decode(entry.data) {
                    Ok(ShardEntry::Write { timestamp, writes }) => {
                        self.clock.observe(timestamp);
                        self.uncommitted.push(next, bytes);
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
        self.building = None;
        self.store = store;
        self.clock.observe(position.applied_at);
        self.applied = index;
        self.applied_term = term;
        self.applied_at = position.applied_at;
        self.schema = position.schema;
        self.speculated = index;
        self.settled = index;
        self.gates.restored(index);
    }
}
