//! Statements of any length, on one snapshot, in slices between which the instance does its other work.
//!
//! A statement whose first slice is enough runs in one turn, on the newest rows. A longer one goes on as
//! of its first slice: the versions it needs are held, and it queues for a slice, one statement a turn.
//!
//! ```text
//!   turn 1      turn 2      turn 3      turn 4
//!   A: slice    A: slice    B: slice    A: slice, end        B came in turn 2
//! ```
//!
//! What it reads is the state of one moment between its arrival and its reply; a table that is truncated
//! or redefined on the way has no such state any more, and the statement starts over. What it *writes* must
//! have been decided on the rows as they are when it writes: if another statement has changed one of its
//! tables by then, it starts over too. After [`ATTEMPTS`] of these it holds the other writers of its tables
//! back until it is done, so that a long change comes to its end under any load; they wait, readers do
//! not.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::{Rc, Weak};
use std::task::Poll;

use super::engine::{self, Ran};
use super::index_build::IndexBuild;
use super::reader::StoreReader;
use super::serve;
use super::state::{Shared, State};
use crate::base::{Datum, LogIndex, SqlError, SqlResult, SqlState, TableId, Term, Timestamp};
use crate::exec::slice::SLICE_ROWS;
use crate::exec::{ExecOutcome, Execution, Memory, RowSink, Slice};
use crate::expr::EvalContext;
use crate::seam::{Completion, Resolver, Spawner};
use crate::session::functions::SessionFunctions;
use crate::session::{Interrupt, SessionContext};
use crate::sql::plan::Prepared;
use crate::storage::{AsOf, Hold};
use crate::topology::pg_catalog::functions::RingFunctions;
use crate::topology::virtual_table::{PG_SETTINGS, SettingRow};

/// A change of rows starts over so often before it makes others wait.
const ATTEMPTS: u32 = 2;

/// Rows that short statements look at in a turn before others wait for the next one: some milliseconds
/// of work.
const TURN_ROWS: usize = 4 * SLICE_ROWS;

/// One statement with all it was given.
#[derive(Clone, Copy)]
pub struct Statement<'a> {
    pub prepared: &'a Prepared,
    pub params: &'a [Datum],
    pub context: &'a SessionContext,
}

/// The statements that wait for a slice, and those that others wait for.
#[derive(Debug, Default)]
pub struct Slices {
    queue: VecDeque<Resolver<()>>,
    /// Rows looked at in this turn.
    looked_at: Cell<usize>,
    /// The tables of statements that have others wait.
    alone: Vec<Weak<BTreeSet<TableId>>>,
}

impl Slices {
    /// Resolves when it is the statement's turn.
    fn next(&mut self, spawner: &Spawner) -> Completion<()> {
        let (completion, resolver) = spawner.completion();
        self.queue.push_back(resolver);
        completion
    }

    /// Gives the longest waiting statement a slice of this turn, which begins.
    pub fn give(&mut self) {
        self.looked_at.set(0);
        if let Some(statement) = self.queue.pop_front() {
            statement.resolve(());
        }
    }

    /// Whether enough rows were looked at in this turn.
    pub fn are_enough(&self) -> bool {
        self.looked_at.get() >= TURN_ROWS
    }

    /// Statements that have others wait.
    pub fn alone(&self) -> usize {
        self.alone.iter().filter(|tables| tables.strong_count() > 0).count()
    }

    /// Whether a statement waits for the next turn.
    pub fn are_wanted(&self) -> bool {
        !self.queue.is_empty()
    }
}

/// A statement under way on one snapshot.
pub struct Run<'a> {
    statement: Statement<'a>,
    execution: Execution<'a>,
    /// Microseconds since 2000, when it began.
    time: i64,
    /// What it reads is as of here.
    at: Timestamp,
    /// The term this instance led when it began; `None` if it reads none of its rows.
    term: Option<Term>,
    /// From the second slice on.
    held: Option<Held>,
    /// The highest log position of anything seen.
    observed: LogIndex,
    slice_rows: usize,
}

/// What makes the snapshot of a statement last.
struct Held {
    /// Keeps the versions it reads.
    _hold: Hold,
    /// Of its tables, as they were when it began.
    shapes: Vec<Option<u64>>,
}

/// How a run ended.
enum End {
    Ran(Ran),
    /// Leadership was lost on the way; nothing was changed.
    Lost,
    /// Its tables were redefined or truncated, or rows have changed under a change of rows; nothing was
    /// changed.
    Outdated,
}

impl<'a> Run<'a> {
    /// Begins a statement that [`State::runs_here`].
    ///
    /// # Errors
    /// As [`Execution::new`].
    pub fn begin(state: &State, statement: Statement<'a>) -> SqlResult<Run<'a>> {
        let Statement { prepared, params, .. } = statement;
        let pool = &state.workbench.memory;
        let memory = Memory::new(state.config.limits.statement_memory, pool);
        let shard = state.shard.as_ref().filter(|_| !engine::reads_ring_only(prepared));
        Ok(Run {
            statement,
            execution: Execution::new(prepared, params, memory)?,
            time: engine::since_2000(state.now.wall),
            at: shard.map_or(Timestamp::MAX, |shard| shard.clock.last()),
            term: shard.and_then(|shard| shard.leading()),
            held: None,
            observed: LogIndex(0),
            slice_rows: state.config.limits.slice_rows,
        })
    }
}

/// Runs a statement as far as this turn goes. `Pending`: it needs more than a slice, and is to be run by
/// [`run`] from its beginning.
pub fn try_run(state: &mut State, statement: Statement<'_>, sink: &mut dyn RowSink) -> Poll<Ran> {
    let mut run = match Run::begin(state, statement) {
        Ok(run) => run,
        Err(error) => return Poll::Ready((Err(error), None)),
    };
    match state.slice(&mut run, sink) {
        Poll::Ready(End::Ran(ran)) => Poll::Ready(ran),
        _ => {
            if crate::canary!(KeepMemory) {
                std::mem::forget(run.execution);
            }
            Poll::Pending
        }
    }
}

/// Runs a statement that [`State::runs_here`] to its end. `None`: leadership was lost before, and
/// nothing was done.
pub async fn run(
    me: &Shared,
    statement: Statement<'_>,
    interrupt: &Interrupt,
    sink: &mut dyn RowSink,
) -> Option<Ran> {
    let patience = me.borrow().config.times.statement_patience;
    let deadline = me.borrow().now.mono + patience;
    let mut alone = None;
    for attempt in 0.. {
        // What has to wait for others waits here.
        loop {
            let why = me.borrow().is_held_back(statement.prepared);
            // A statement that makes others wait does not wait for those that did so before.
            let Some(why) = why.filter(|why| alone.is_none() || *why != HeldBack::Statement) else {
                break;
            };
            if let Err(error) = interrupt.check() {
                return Some((Err(error), None));
            }
            if me.borrow().now.mono >= deadline {
                return Some((Err(why.error()), None));
            }
            serve::pause(me).await;
            if !me.borrow().runs_here(statement.prepared) {
                return None;
            }
        }
        let writes = !statement.prepared.touches.writes.is_empty();
        if writes && attempt >= ATTEMPTS && alone.is_none() {
            alone = Some(me.borrow_mut().hold_others_back(statement.prepared));
        }
        match run_once(me, statement, interrupt, sink).await {
            End::Ran(ran) => return Some(ran),
            End::Lost => return None,
            End::Outdated => sink.restart(),
        }
    }
    None
}

async fn run_once(
    me: &Shared,
    statement: Statement<'_>,
    interrupt: &Interrupt,
    sink: &mut dyn RowSink,
) -> End {
    let failed = |error| End::Ran((Err(error), None));
    let begun = Run::begin(&me.borrow(), statement);
    let mut run = match begun {
        Ok(run) => run,
        Err(error) => return failed(error),
    };
    loop {
        let turn = {
            let state = &mut *me.borrow_mut();
            if let Err(error) = interrupt.check() {
                return failed(error);
            }
            match state.slice(&mut run, sink) {
                Poll::Ready(end) => return end,
                Poll::Pending => state.slices.next(&state.spawner),
            }
        };
        if turn.await.is_none() {
            return End::Lost;
        }
        // A small slice stands for a long one.
        if run.slice_rows < SLICE_ROWS {
            serve::pause(me).await;
        }
    }
}

/// What makes a change of rows wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HeldBack {
    /// Another statement.
    Statement,
    /// A unique index of one of its tables that is being built: it would not know of the rule yet.
    UniqueIndex,
    /// What was written before and is not confirmed by a majority.
    Log,
}

impl HeldBack {
    /// `55P03`, or `53200` where the log is full of what nobody confirms.
    fn error(self) -> SqlError {
        let (state, message) = match self {
            HeldBack::Statement => {
                (SqlState::LockNotAvailable, "a long change of the same tables is under way")
            }
            HeldBack::UniqueIndex => {
                (SqlState::LockNotAvailable, "a unique index of the same table is being built")
            }
            HeldBack::Log => (
                SqlState::OutOfMemory,
                "too much was written that a majority of the replica set has not confirmed yet",
            ),
        };
        SqlError::new(state, message)
            .with_detail("Nothing was done.")
            .with_hint("Retry the statement.")
    }
}

/// The rows of `pg_settings`, if the statement reads it.
fn settings_for(statement: &Statement<'_>) -> Vec<SettingRow> {
    if statement.prepared.touches.reads.contains(&TableId(PG_SETTINGS)) {
        return statement.context.settings.borrow().rows();
    }
    Vec::new()
}

impl State {
    /// Goes on with a statement until its end or the end of its slice.
    fn slice(&mut self, run: &mut Run<'_>, sink: &mut dyn RowSink) -> Poll<End> {
        if run.term.is_some() && self.shard.as_ref().and_then(|s| s.leading()) != run.term {
            crate::sometimes!("statement: leadership lost between two slices");
            return Poll::Ready(End::Lost);
        }
        if run.held.as_ref().is_some_and(|held| held.shapes != self.shapes(run)) {
            crate::sometimes!("statement: its tables changed their shape between two slices");
            return Poll::Ready(End::Outdated);
        }
        match self.advance_run(run, sink) {
            Poll::Pending => {
                crate::sometimes!("statement: more than one slice");
                if run.held.is_none() {
                    run.held = self.hold(run);
                }
                Poll::Pending
            }
            Poll::Ready(Ok(outcome)) if !outcome.writes.is_empty() => {
                Poll::Ready(self.end_with_writes(run, &outcome))
            }
            Poll::Ready(result) => {
                let wait = self.unsettled(run.observed);
                Poll::Ready(End::Ran((result.map(|outcome| outcome.tag), wait)))
            }
        }
    }

    /// Makes what a statement has seen in its first slice last for the next ones.
    fn hold(&mut self, run: &Run<'_>) -> Option<Held> {
        let shapes = self.shapes(run);
        let shard = self.shard.as_mut()?;
        Some(Held { _hold: shard.store.hold(AsOf::ts(run.at)), shapes })
    }

    /// Of the tables of a statement, in its order.
    fn shapes(&self, run: &Run<'_>) -> Vec<Option<u64>> {
        let store = self.shard.as_ref().map(|shard| &shard.store);
        let touches = &run.statement.prepared.touches;
        let tables = touches.reads.iter().chain(&touches.writes);
        tables.map(|table| store.and_then(|store| store.shape_of(*table))).collect()
    }

    fn advance_run(
        &self,
        run: &mut Run<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<SqlResult<ExecOutcome>> {
        let Some(ring) = &self.ring else { return Poll::Ready(Err(engine::starting())) };
        let Statement { params, context, .. } = run.statement;
        let shard = self.shard.as_ref().filter(|_| run.term.is_some());
        let at = match run.held {
            Some(_) if crate::canary!(SliceReadsNewest) => Timestamp::MAX,
            _ => run.at,
        };
        let settings = settings_for(&run.statement);
        let reader = StoreReader::new(shard, &ring.state, context.user, &settings, at);
        let table_bytes = |table| self.shard.as_ref().map_or(0, |s| s.store.table_bytes(table));
        let ring_functions = RingFunctions {
            ring: &ring.state,
            user: context.user,
            search_path: &context.search_path,
            table_bytes: &table_bytes,
        };
        let functions = SessionFunctions { context, catalog: Some(&ring_functions) };
        let slice = Slice::new(run.slice_rows);
        let eval = EvalContext {
            params,
            failures: &[],
            transaction_time: run.time,
            statement_time: run.time,
            session: &context.values,
            rng: &self.workbench.rng,
            catalog: Some(&functions),
            work: slice.work(),
            case_operand: None,
        };
        let result = run.execution.advance(&reader, eval, &slice, sink);
        self.slices.looked_at.set(self.slices.looked_at.get() + slice.looked_at());
        run.observed = run.observed.max(reader.observed());
        result
    }

    /// Commits what a statement decided, if that is still right.
    fn end_with_writes(&mut self, run: &Run<'_>, outcome: &ExecOutcome) -> End {
        if self.is_held_back(run.statement.prepared) == Some(HeldBack::UniqueIndex) {
            crate::sometimes!("statement: a unique index is being built under it");
            return End::Outdated;
        }
        let Some(shard) = self.shard.as_ref().filter(|s| s.may_serve(self.now)) else {
            return End::Lost;
        };
        if run.held.is_some() {
            let touches = &run.statement.prepared.touches;
            let mut tables = touches.reads.iter().chain(&touches.writes);
            let changed = tables.any(|table| shard.store.newest_write(*table) > run.at);
            if changed && !crate::canary!(SliceWritesBlindly) {
                crate::sometimes!("statement: its rows changed under it");
                return End::Outdated;
            }
        }
        End::Ran(match self.commit(&outcome.writes) {
            Ok(index) => (Ok(outcome.tag), Some(index)),
            Err(error) => (Err(error), self.unsettled(run.observed)),
        })
    }

    /// What makes a statement wait, if anything does.
    pub fn is_held_back(&self, prepared: &Prepared) -> Option<HeldBack> {
        let writes = &prepared.touches.writes;
        if writes.is_empty() {
            return None;
        }
        let shard = self.shard.as_ref()?;
        let closed = shard.building().and_then(IndexBuild::closed_to_writers);
        if closed.is_some_and(|table| writes.contains(&table)) {
            return Some(HeldBack::UniqueIndex);
        }
        if shard.uncommitted_bytes() > self.config.limits.uncommitted {
            crate::sometimes!("statement: too much is unconfirmed for a write");
            return Some(HeldBack::Log);
        }
        let mut alone = self.slices.alone.iter().filter_map(Weak::upgrade);
        let others = alone.any(|tables| writes.iter().any(|table| tables.contains(table)));
        others.then_some(HeldBack::Statement)
    }

    /// Makes other writers of a statement's tables wait, for as long as what this gives lives.
    fn hold_others_back(&mut self, prepared: &Prepared) -> Rc<BTreeSet<TableId>> {
        crate::sometimes!("statement: it makes others wait");
        let touches = &prepared.touches;
        let alone = Rc::new(touches.reads.iter().chain(&touches.writes).copied().collect());
        self.slices.alone.retain(|other| other.strong_count() > 0);
        self.slices.alone.push(Rc::downgrade(&alone));
        alone
    }
}
