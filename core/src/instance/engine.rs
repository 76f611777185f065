//! Statements: run here when this instance leads, sent to the leader when another does.
//!
//! A statement that only reads tables computed from the ring runs anywhere. Everything else runs on
//! the leader of the replica set, as of one moment: see [`running`]. A schema change or a change of
//! rights is a proposal to the ring.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;

use super::catalog_changes;
use super::catalog_view::CatalogView;
use super::catch_up;
use super::forwarding;
use super::gates::{Gated, Release};
use super::message::ResponseKind;
use super::reader::StoreReader;
use super::requests::Answer;
use super::running::{self, Statement};
use super::serve::{self, outcome_unknown};
use super::state::{Shared, State};
use crate::base::{
    CatalogVersion, Datum, GroupId, LogIndex, RowWrite, SqlError, SqlResult, SqlState, SqlType,
    TableId, Timestamp, UserId, limits,
};
use crate::exec::{CommandTag, Pool, RowSink, point};
use crate::pgwire::scram;
use crate::seam::{Completion, Mono, Rng, Wall};
use crate::session::{
    Attempt, Call, Credentials, Done, Engine, Gate, Interrupt, Notice, Outcome, RowWriter,
    SessionContext,
};
use crate::sql::bind::BindContext;
use crate::sql::cache::{CacheKey, CacheLimits, PlanCache};
use crate::sql::parse;
use crate::sql::plan::{Plan, Prepared};
use crate::sql::prepare;
use crate::storage::{Demand, MemoryLimit, Store};
use crate::topology::catalog::Access;
use crate::topology::users::Privilege;

/// The part of a statement's patience after which it is no use to ask for the newest catalog.
const RENEWAL_PART: u32 = 4;
/// Microseconds from the Unix epoch to 2000-01-01.
const TO_2000_US: i64 = 946_684_800_000_000;

/// What sessions of this instance run statements with.
pub struct InstanceEngine {
    me: Shared,
}

/// What statements share: plans, memory, room for keys, the stream of `random()`.
#[derive(Debug)]
pub struct Workbench {
    plans: PlanCache,
    pub memory: Rc<Pool>,
    /// Of results that nobody has read yet.
    pub results: Rc<Pool>,
    key: point::KeyBuffer,
    pub rng: Rc<RefCell<Rng>>,
    /// The gate of the highest position waited for: replies of one turn share it.
    gate: Option<(LogIndex, Gate)>,
}

impl Workbench {
    /// `memory`: bytes that the statements under way may keep together, and their results once more.
    pub fn new(rng: Rng, memory: usize) -> Workbench {
        Workbench {
            plans: PlanCache::new(CacheLimits::default()),
            memory: Pool::new(memory, "The statements under way"),
            results: Pool::new(memory, "Results that clients have not read yet"),
            key: point::KeyBuffer::default(),
            rng: Rc::new(RefCell::new(rng)),
            gate: None,
        }
    }
}

/// Opens a session's gate.
struct Opens(Gate);

impl Gated for Opens {
    fn doubt(&self) {
        self.0.doubt();
    }

    fn release(self: Box<Self>, release: Release) {
        match release {
            Release::Committed => self.0.open(),
            Release::Undone => self.0.undo(),
            Release::Lost => self.0.lose(),
        }
    }
}

impl InstanceEngine {
    pub fn new(me: Shared) -> InstanceEngine {
        InstanceEngine { me }
    }
}

impl Engine for InstanceEngine {
    fn login(&self, name: &str) -> Option<Credentials> {
        let state = self.me.borrow();
        let user = state.ring.as_ref()?.state.catalog.login(name).ok()?;
        Some(Credentials {
            id: user.id,
            superuser: user.superuser,
            verifier: user.verifier.as_ref().and_then(|v| scram::Verifier::parse(&v.0)),
        })
    }

    fn salt_secret(&self) -> [u8; 32] {
        self.me.borrow().salt_secret()
    }

    fn greeting(&self) -> Option<Notice> {
        self.me.borrow().greeting()
    }

    fn catalog_version(&self) -> CatalogVersion {
        self.me.borrow().catalog_version()
    }

    fn prepare(
        &self,
        context: &SessionContext,
        sql: &str,
        types: &[SqlType],
    ) -> SqlResult<Arc<Prepared>> {
        let state = &mut *self.me.borrow_mut();
        let prepared = state.prepare(context, sql, types);
        // An old catalog may lack what the statement is about; no text is right for that.
        prepared.map_err(|error| match error.state {
            SqlState::SyntaxError => error,
            _ if state.caught_up => error,
            _ => catalog_may_be_old(&error),
        })
    }

    fn renew_catalog<'a>(
        &'a self,
        doubt: &'a SqlError,
        interrupt: &'a Interrupt,
    ) -> impl Future<Output = SqlResult<()>> + 'a {
        renew_catalog(&self.me, doubt, interrupt)
    }

    fn try_execute(&self, call: &Call<'_>, rows: &mut RowWriter<'_>) -> Attempt {
        let state = &mut *self.me.borrow_mut();
        if !state.runs_here(call.prepared) || state.is_held_back(call.prepared).is_some() {
            return Attempt::MustWait;
        }
        let ran = match &call.prepared.plan {
            Plan::Point(plan) => state.run_point(plan, call.params, rows),
            _ => match running::try_run(state, call.statement(), rows) {
                Poll::Ready(ran) => ran,
                Poll::Pending => return Attempt::MustWait,
            },
        };
        let began = state.now.mono;
        Attempt::Done(state.outcome(ran, call.prepared, began))
    }

    fn execute<'a>(
        &'a self,
        call: &'a Call<'a>,
        rows: &'a mut RowWriter<'_>,
    ) -> impl Future<Output = Outcome> + 'a {
        execute(&self.me, call, rows)
    }

    fn turn_is_full(&self) -> bool {
        self.me.borrow().slices.are_enough()
    }

    fn timer(&self, at: Mono) -> Completion<()> {
        self.me.borrow_mut().sleep_until(at)
    }

    fn deadline(&self, at: Mono) -> Completion<()> {
        self.me.borrow_mut().deadline(at)
    }

    fn now(&self) -> Mono {
        self.me.borrow().now.mono
    }
}

impl<'a> Call<'a> {
    fn statement(&self) -> Statement<'a> {
        Statement { prepared: self.prepared, params: self.params, context: self.context }
    }
}

/// What a statement did here: its tag, and the position its reply must wait for.
pub type Ran = (SqlResult<CommandTag>, Option<LogIndex>);

/// A table computed from the ring; PostgreSQL reserves the ids below.
fn is_virtual(table: &TableId) -> bool {
    *table < TableId::FIRST_USER
}

impl State {
    fn catalog_version(&self) -> CatalogVersion {
        self.ring.as_ref().map_or(CatalogVersion(0), |ring| ring.state.catalog.version)
    }

    /// Plans a statement, or finds its plan; then checks that the user may run it. Rights change the
    /// catalog version, so a plan is checked again whenever they did.
    pub fn prepare(
        &mut self,
        context: &SessionContext,
        sql: &str,
        types: &[SqlType],
    ) -> SqlResult<Arc<Prepared>> {
        let Some(ring) = &self.ring else { return Err(starting()) };
        let catalog = CatalogView { ring: &ring.state };
        let key = CacheKey {
            text: sql.into(),
            params: types.to_vec(),
            search_path: context.search_path.clone(),
            catalog_version: ring.state.catalog.version,
        };
        let plan = match self.workbench.plans.get(&key) {
            Some(plan) => {
                self.counting.metrics.plan_cache_hits += 1;
                plan
            }
            None => {
                self.counting.metrics.plan_cache_misses += 1;
                let Some(parsed) = parse::parse_only(sql)? else {
                    return Err(SqlError::internal("a statement without a token"));
                };
                let bind = BindContext {
                    catalog: &catalog,
                    search_path: &context.search_path,
                    user: context.user,
                };
                let source = parsed.source(sql);
                let mut plan = prepare(&parsed.stmt, &source, bind, types.to_vec())?;
                plan.text = key.text.clone();
                let plan = Arc::new(plan);
                self.workbench.plans.insert(key, plan.clone());
                plan
            }
        };
        self.check_rights(context, &plan)?;
        Ok(plan)
    }

    fn check_rights(&self, context: &SessionContext, plan: &Prepared) -> SqlResult<()> {
        let Some(ring) = &self.ring else { return Err(starting()) };
        let catalog = &ring.state.catalog;
        if context.superuser {
            return Ok(());
        }
        let reads = plan.touches.reads.iter().map(|id| (id, Privilege::Read));
        let writes = plan.touches.writes.iter().map(|id| (id, Privilege::Write));
        for (id, privilege) in reads.chain(writes).filter(|(id, _)| !is_virtual(id)) {
            if let Some(table) = catalog.by_id(*id) {
                let access = match privilege {
                    Privilege::Write => Access::Write(table),
                    _ => Access::Read(table),
                };
                catalog.check(context.user, access)?;
            }
        }
        Ok(())
    }

    /// Whether a statement runs on this instance.
    pub fn runs_here(&self, prepared: &Prepared) -> bool {
        match &prepared.plan {
            Plan::Ddl(..) | Plan::Access(_) | Plan::AlterSystem(_) => false,
            _ if self.ring.is_none() => false,
            _ if reads_ring_only(prepared) => true,
            // What a table is may have changed since.
            _ if !self.caught_up => false,
            // An instance of another replica set leads a shard without these rows.
            _ => self
                .shard
                .as_ref()
                .is_some_and(|s| s.group.id() == self.rows_at && s.may_serve(self.now)),
        }
    }

    /// The point path: no operators, no copy of the row.
    fn run_point(
        &mut self,
        plan: &crate::sql::plan::PointPlan,
        params: &[Datum],
        sink: &mut dyn RowSink,
    ) -> Ran {
        let (Some(ring), Some(shard)) = (&self.ring, &self.shard) else {
            return (Err(starting()), None);
        };
        let reader = StoreReader::new(Some(shard), &ring.state, UserId(0), &[], Timestamp::MAX);
        let sent = reader.point(plan, params, &mut self.workbench.key, sink);
        let observed = reader.observed();
        (sent.map(CommandTag::Select), self.unsettled(observed))
    }

    /// The position a reply waits for that may show everything up to `observed`.
    pub fn unsettled(&self, observed: LogIndex) -> Option<LogIndex> {
        let committed = self.shard.as_ref()?.group.committed();
        let waits = observed > committed && !crate::canary!(ReadUncommitted);
        if waits {
            crate::sometimes!("read: waits for what it shows");
        }
        waits.then_some(observed)
    }

    pub fn commit(&mut self, writes: &[RowWrite]) -> SqlResult<LogIndex> {
        let now = self.now;
        check_write(writes)?;
        let limit = MemoryLimit { bytes: self.config.limits.memory };
        let Some(shard) = &mut self.shard else { return Err(starting()) };
        let grows = writes.iter().any(|w| w.row.is_some());
        let extra = writes.iter().map(Store::write_bytes).sum();
        let demand = if grows { Demand::Growth } else { Demand::Delete };
        limit.admit(shard.store.bytes() + shard.uncommitted_bytes(), extra, demand)?;
        let writes = match writes {
            [some @ .., _] if !some.is_empty() && crate::canary!(LoseLastRow) => some,
            all => all,
        };
        shard.write(now, writes).map_err(|_| {
            SqlError::new(SqlState::SerializationFailure, "leadership changed during the statement")
                .with_hint("Retry the statement.")
        })
    }

    fn outcome(&mut self, (result, wait): Ran, prepared: &Prepared, began: Mono) -> Outcome {
        let writes = !prepared.touches.writes.is_empty();
        self.counting.statement(self.now.mono, began, wait, writes);
        let gate = wait.map(|index| self.gate_at(index));
        Outcome { result: result.map(|tag| Done { tag: tag.into(), notices: Vec::new() }), gate }
    }

    fn gate_at(&mut self, index: LogIndex) -> Gate {
        if let Some((at, gate)) = &self.workbench.gate
            && *at == index
            && gate.state() == crate::session::GateState::Pending
        {
            return gate.clone();
        }
        let gate = Gate::new();
        if let Some(shard) = &mut self.shard {
            shard.gate(index, Box::new(Opens(gate.clone())));
        }
        self.workbench.gate = Some((index, gate.clone()));
        gate
    }

    /// The replica set that holds the rows.
    pub fn data_group(&self) -> GroupId {
        let own = self.shard.as_ref().map_or(GroupId(1), |s| s.group.id());
        let Some(ring) = &self.ring else { return own };
        let default = ring.state.tiers.values().find(|t| t.is_default);
        default.and_then(|tier| ring.state.bucket_owner(&tier.name, 1)).unwrap_or(own)
    }
}

/// A statement's changes are one entry of the log: refused when it could not travel to the followers.
fn check_write(writes: &[RowWrite]) -> SqlResult<()> {
    let bytes: usize =
        writes.iter().map(|w| w.key.len() + w.row.as_ref().map_or(0, Bytes::len)).sum();
    if bytes <= limits::WRITE_BYTES_MAX {
        return Ok(());
    }
    let limit = limits::WRITE_BYTES_MAX;
    let message = format!("statement writes {bytes} bytes at once, maximum {limit}");
    Err(SqlError::new(SqlState::ProgramLimitExceeded, message)
        .with_hint("Write the rows in several statements."))
}

pub fn reads_ring_only(prepared: &Prepared) -> bool {
    prepared.touches.writes.is_empty() && prepared.touches.reads.iter().all(is_virtual)
}

pub fn starting() -> SqlError {
    SqlError::new(SqlState::CannotConnectNow, "the instance is starting up")
}

/// `57P03`: what an instance says of its catalog before it has heard of the ring's leader.
fn catalog_may_be_old(error: &SqlError) -> SqlError {
    SqlError::new(SqlState::CannotConnectNow, "the instance does not know the present catalog yet")
        .with_detail(format!("By the one it has: {}.", error.message))
        .with_hint("Retry when a majority of the instances is up.")
}

/// Waits until this instance has the catalog as the ring's leader has it now. Errors: `57P03`, with
/// `doubt` in its detail, or that of `interrupt`.
pub async fn renew_catalog(me: &Shared, doubt: &SqlError, interrupt: &Interrupt) -> SqlResult<()> {
    if crate::canary!(ServeOldCatalog) {
        return Ok(());
    }
    let (version, deadline) = {
        let state = me.borrow();
        (
            state.catalog_version(),
            state.now.mono + state.config.times.statement_patience / RENEWAL_PART,
        )
    };
    match unless_interrupted(interrupt, catch_up::reach_ring(me, deadline)).await {
        Some(Some(_)) if me.borrow().catalog_version() == version => Ok(()),
        Some(Some(_)) => {
            crate::sometimes!("statement: an error by an old catalog is not told");
            Ok(())
        }
        Some(None) => Err(catalog_may_be_old(doubt)),
        None => interrupt.check(),
    }
}

pub fn since_2000(wall: Wall) -> i64 {
    i64::try_from(wall.0).unwrap_or(i64::MAX).saturating_sub(TO_2000_US)
}

/// Runs a statement that has to wait for somebody.
async fn execute(me: &Shared, call: &Call<'_>, rows: &mut RowWriter<'_>) -> Outcome {
    let began = me.borrow().now.mono;
    let outcome = match &call.prepared.plan {
        Plan::Ddl(ddl, options) => catalog_changes::schema_change(me, call, ddl, options).await,
        Plan::Access(_) | Plan::AlterSystem(_) => catalog_changes::decision(me, call).await,
        _ => match on_leader(me, call, rows).await {
            Ended::Here(ran) => return me.borrow_mut().outcome(ran, call.prepared, began),
            Ended::Elsewhere(outcome) => outcome,
        },
    };
    let state = &mut *me.borrow_mut();
    state.counting.statement(state.now.mono, began, None, false);
    outcome
}

pub fn failed(error: SqlError) -> Outcome {
    Outcome { result: Err(error), gate: None }
}

/// Where a statement was carried out.
enum Ended {
    Here(Ran),
    Elsewhere(Outcome),
}

/// Waits until this instance may run the statement, or sends it to the one that may.
async fn on_leader(me: &Shared, call: &Call<'_>, rows: &mut RowWriter<'_>) -> Ended {
    let failed = |error| Ended::Elsewhere(failed(error));
    let (group, deadline) = {
        let state = me.borrow();
        (state.data_group(), state.now.mono + state.config.times.statement_patience)
    };
    let writes = !call.prepared.touches.writes.is_empty();
    loop {
        if let Err(error) = call.interrupt.check() {
            return failed(error);
        }
        {
            let state = me.borrow();
            if !state.runs_here(call.prepared) && state.now.mono >= deadline {
                return failed(no_leader(group));
            }
        }
        if me.borrow().runs_here(call.prepared) {
            match running::run(me, call.statement(), call.interrupt, rows).await {
                Some(ran) => return Ended::Here(ran),
                None => rows.restart(),
            }
        }
        let request = match forwarding::request_of(group, call) {
            Ok(request) => request,
            Err(error) => return failed(error),
        };
        let asked = serve::ask_once(me, group, request, deadline);
        let Some(answer) = unless_interrupted(call.interrupt, asked).await else {
            // It was sent: a write may be carried out all the same.
            let error = if writes { Err(outcome_unknown()) } else { call.interrupt.check() };
            return failed(error.err().unwrap_or_else(outcome_unknown));
        };
        match answer {
            Answer::Response(ResponseKind::Rows { tag, count, types, rows: values }) => {
                let result = forwarding::take_rows(rows, &types, &values);
                let tag = CommandTag::from_wire(tag, count);
                let done = result.and_then(|()| match tag {
                    Some(tag) => Ok(Done { tag: tag.into(), notices: Vec::new() }),
                    None => Err(SqlError::internal("a reply with an unknown tag")),
                });
                // A change was made; only its rows cannot be told.
                let done = if writes { done.map_err(|_| outcome_unknown()) } else { done };
                return Ended::Elsewhere(Outcome { result: done, gate: None });
            }
            Answer::Response(ResponseKind::Failed(error)) => return failed(error),
            Answer::Unknown if writes => return failed(outcome_unknown()),
            _ => serve::pause(me).await,
        }
    }
}

/// Waits for `future`, or gives `None` as soon as the statement is to end.
pub async fn unless_interrupted<T>(
    interrupt: &Interrupt,
    future: impl Future<Output = T>,
) -> Option<T> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|context| match interrupt.reason() {
        Some(_) => Poll::Ready(None),
        None => future.as_mut().poll(context).map(Some),
    })
    .await
}

/// `57P03`: nothing was done; nobody leads for too long.
pub fn no_leader(group: GroupId) -> SqlError {
    SqlError::new(
        SqlState::CannotConnectNow,
        format!("replica set {group} has no leader that can be reached"),
    )
    .with_detail("Nothing was done.")
    .with_hint("Retry when a majority of its instances is up.")
}
