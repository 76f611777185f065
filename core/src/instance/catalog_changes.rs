//! Statements that change the catalog: entries of the ring, proposed one after the other.

use std::cell::Cell;
use std::time::Duration;

use super::decisions;
use super::engine::{failed, no_leader, starting, unless_interrupted};
use super::message::{RequestKind, ResponseKind};
use super::requests::Answer;
use super::serve::{self, outcome_unknown};
use super::state::Shared;
use crate::base::{GroupId, LogIndex, SqlError, SqlResult, SqlState};
use crate::seam::Mono;
use crate::session::writing;
use crate::session::{Call, Done, Interrupt, Notice, Outcome, Tag};
use crate::sql::parse::DdlOptions;
use crate::sql::plan::{Ddl, Plan};
use crate::topology::RingEntry;
use crate::topology::ddl::{DdlResult, DdlStatus};

/// Proposes an entry to the ring, and waits until this instance has applied it. Errors say whether the
/// entry may have been made all the same, also when the statement is interrupted.
async fn propose(
    me: &Shared,
    interrupt: &Interrupt,
    entry: &RingEntry,
    deadline: Mono,
) -> SqlResult<LogIndex> {
    interrupt.check()?;
    let request = RequestKind::Ring { entry: entry.encode() };
    let sent = Cell::new(false);
    let proposed = async {
        match serve::ask_leader_telling(me, GroupId::RING, request, deadline, &sent).await {
            Answer::Response(ResponseKind::Applied { index }) => {
                let reached = {
                    let state = &mut *me.borrow_mut();
                    let Some(ring) = &mut state.ring else { return Err(starting()) };
                    ring.wait_applied(&state.spawner, index)
                };
                reached.await.map(|()| index).ok_or_else(outcome_unknown)
            }
            Answer::Response(ResponseKind::Failed(error)) => Err(error),
            Answer::NotDone => Err(no_leader(GroupId::RING)),
            _ => Err(outcome_unknown()),
        }
    };
    // Who is cut off right now may never hear of it, or get there.
    let late = me.borrow_mut().deadline(deadline);
    let proposed = serve::in_time(unless_interrupted(interrupt, proposed), late).await;
    if let Some(ring) = &mut me.borrow_mut().ring {
        ring.forget_abandoned();
    }
    match proposed {
        Some(result) => result,
        None if sent.get() => Err(outcome_unknown()),
        None => Err(interrupt.check().err().unwrap_or_else(|| no_leader(GroupId::RING))),
    }
}

/// Changes rehearsed in one turn.
const REHEARSED_AT_ONCE: usize = 50;

/// The error of a statement of several changes, `done` of which were made before it.
pub fn after_changes(error: SqlError, done: usize) -> SqlError {
    if done == 0 {
        return error;
    }
    let mut told = format!("Changes of this statement that were made before: {done}.");
    if let Some(detail) = &error.fields.detail {
        told = format!("{detail}\n{told}");
    }
    let mut error = error.with_detail(told);
    // These say that nothing was done.
    if let SqlState::CannotConnectNow | SqlState::QueryCanceled | SqlState::AdminShutdown =
        error.state
    {
        error.state = SqlState::StatementCompletionUnknown;
        error.message = format!("the statement was carried out in part: {}", error.message);
    }
    error
}

/// Refuses, before anything is done, what would be refused half-way. What other sessions change meanwhile
/// can still end a statement half-way.
async fn rehearse(me: &Shared, entries: &[RingEntry]) -> SqlResult<()> {
    if entries.len() < 2 {
        return Ok(());
    }
    let state = me.borrow().ring.as_ref().map(|ring| ring.state.clone());
    let mut state = state.ok_or_else(starting)?;
    for (k, part) in entries.chunks(REHEARSED_AT_ONCE).enumerate() {
        if k > 0 {
            serve::pause(me).await;
        }
        for entry in part {
            state.apply(LogIndex(state.applied.0 + 1), entry)?;
        }
    }
    Ok(())
}

/// A change of users, rights or configuration.
pub async fn decision(me: &Shared, call: &Call<'_>) -> Outcome {
    let (entries, deadline) = {
        let state = &mut *me.borrow_mut();
        let deadline = state.now.mono + state.config.times.statement_patience;
        let entries = match (&call.prepared.plan, &state.ring) {
            (Plan::AlterSystem(stmt), Some(ring)) => {
                decisions::of_alter_system(&ring.state, call.context.user, stmt)
            }
            (Plan::Access(stmt), Some(_)) => decisions::of_access(state, call.context, stmt),
            _ => Err(starting()),
        };
        match entries {
            Ok(entries) => (entries, deadline),
            Err(error) => return failed(error),
        }
    };
    if let Err(error) = rehearse(me, &entries).await {
        return failed(error);
    }
    for (done, entry) in entries.into_iter().enumerate() {
        if let Err(error) = propose(me, call.interrupt, &entry, deadline).await {
            return failed(after_changes(error, done));
        }
    }
    serve::everyone_reached(me, everyone_by(me)).await;
    let tag = Tag { words: words_of(&call.prepared.plan), rows: None };
    Outcome { result: Ok(Done { tag, notices: Vec::new() }), gate: None }
}

fn words_of(plan: &Plan) -> &'static str {
    match plan {
        Plan::Ddl(ddl, _) => ddl.tag(),
        Plan::AlterSystem(_) => "ALTER SYSTEM",
        plan => writing(plan).unwrap_or(""),
    }
}

/// A schema change: decided by the ring, carried out by every replica set, then finished.
pub async fn schema_change(
    me: &Shared,
    call: &Call<'_>,
    ddl: &Ddl,
    options: &DdlOptions,
) -> Outcome {
    let deadline = {
        let state = me.borrow();
        state.now.mono + options.timeout.unwrap_or(state.config.times.statement_patience)
    };
    let mut notices = Vec::new();
    let told = match ddl {
        Ddl::DropTables(drop) | Ddl::DropIndexes(drop) | Ddl::Truncate(drop) => {
            drop.notices.clone()
        }
        Ddl::Nothing { notice, .. } => vec![notice.clone()],
        _ => Vec::new(),
    };
    notices.extend(told.into_iter().map(notice));
    let entries = decisions::of_ddl(ddl, call.context.user);
    for (done, entry) in entries.into_iter().enumerate() {
        let ticket = match propose(me, call.interrupt, &entry, deadline).await {
            Ok(ticket) => ticket,
            Err(error) => return failed(after_changes(error, done)),
        };
        match finished(me, call, ticket, deadline).await {
            Ok(DdlResult::Done) => {}
            Ok(DdlResult::Nothing(text)) => notices.push(notice(text)),
            Ok(DdlResult::Failed(error)) | Err(error) => {
                return failed(after_changes(error, done));
            }
        }
    }
    notices.extend(ddl.warnings().into_iter().map(warning));
    notices.extend(
        serve::in_force(me, call.interrupt, options.wait, everyone_by(me), deadline)
            .await
            .map(warning),
    );
    let tag = Tag { words: words_of(&call.prepared.plan), rows: None };
    Outcome { result: Ok(Done { tag, notices }), gate: None }
}

/// How long a change waits for the other instances to see it.
const EVERYONE_PATIENCE: Duration = Duration::from_secs(1);

fn everyone_by(me: &Shared) -> Mono {
    me.borrow().now.mono + EVERYONE_PATIENCE
}

fn notice(text: String) -> Notice {
    Notice { severity: "NOTICE", message: SqlError::new(SqlState::SuccessfulCompletion, text) }
}

fn warning(text: String) -> Notice {
    Notice { severity: "WARNING", message: SqlError::new(SqlState::Warning, text) }
}

/// Waits until the ring says how the schema change with this ticket ended.
async fn finished(
    me: &Shared,
    call: &Call<'_>,
    ticket: LogIndex,
    deadline: Mono,
) -> SqlResult<DdlResult> {
    let goes_on = |why: &str| {
        let message = format!("the schema change goes on, but {why}");
        SqlError::new(SqlState::StatementCompletionUnknown, message)
            .with_hint("Look at _pico_table for its end.")
    };
    loop {
        {
            let state = me.borrow();
            let Some(ring) = &state.ring else { return Err(goes_on("the instance starts anew")) };
            match ring.state.ddl.status(ticket) {
                DdlStatus::Finished(result) => return Ok(result),
                DdlStatus::Decided => return Ok(DdlResult::Done),
                DdlStatus::Forgotten => {
                    let message = "the schema change ended, and nobody remembers how";
                    return Err(SqlError::new(SqlState::StatementCompletionUnknown, message)
                        .with_hint("Look at _pico_table for its end."));
                }
                DdlStatus::Waiting | DdlStatus::InProgress => {}
            }
            if state.now.mono >= deadline {
                return Err(goes_on("took longer than this statement may wait"));
            }
        }
        if let Some(reason) = call.interrupt.reason() {
            return Err(goes_on(&format!("nobody waits for it: {}", reason.error().message)));
        }
        serve::pause(me).await;
    }
}
