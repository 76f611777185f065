//! One execution of a statement: the plain call, or the wait where one is needed.

use std::sync::Arc;
use std::time::Duration;

use super::engine::{Attempt, Call, Engine, Outcome, SessionContext, Tag};
use super::output::Stretch;
use super::rows::{ResultFormats, RowWriter};
use super::wire::{Wire, drive};
use crate::base::{Datum, SqlResult};
use crate::exec::{Memory, RowSink};
use crate::pgwire::backend;
use crate::sql::plan::Prepared;

/// What is executed.
#[derive(Clone, Copy)]
pub(super) struct Execution<'a> {
    pub prepared: &'a Arc<Prepared>,
    pub params: &'a [Datum],
    pub formats: &'a ResultFormats,
    pub context: &'a SessionContext,
    pub timeout: Option<Duration>,
}

/// Where the rows go.
pub(super) enum Rows<'a> {
    /// To the client.
    Reply,
    /// Into the buffer of a portal, to be sent piece by piece.
    Portal(&'a mut Vec<u8>, &'a Memory),
}

/// Runs a statement. Rows, notices and whatever follows wait for its gate; so does its error.
/// Gives the tag of the completion, which is not written yet.
pub(super) async fn run<E: Engine>(
    wire: &mut Wire,
    engine: &E,
    execution: Execution<'_>,
    mut rows_to: Rows<'_>,
) -> SqlResult<Tag> {
    let Execution { prepared, params, formats, context, timeout } = execution;
    let shared = wire.shared.clone();
    let call = Call { prepared, params, context, interrupt: &shared.interrupt };
    let columns = prepared.columns.as_deref().unwrap_or(&[]);
    let limit = wire.sessions.limits.result_bytes;
    // What follows this place in the replies depends on the outcome.
    let mut mark = wire.out.bytes.len();

    let in_doubt = wire.is_in_doubt();
    let (buffer, kept) = rows_to.buffer(&mut wire.out);
    let mut rows = RowWriter::new(buffer, columns, formats, limit, kept);
    let attempt = if in_doubt { Attempt::MustWait } else { engine.try_execute(&call, &mut rows) };
    let outcome = match attempt {
        Attempt::Done(outcome) => outcome,
        Attempt::MustWait => {
            rows.restart();
            // Replies to earlier statements need not wait for this one.
            wire.hand_over();
            mark = wire.out.bytes.len();
            let (buffer, kept) = rows_to.buffer(&mut wire.out);
            let mut rows = RowWriter::new(buffer, columns, formats, limit, kept);
            let timer = timeout.map(|t| engine.deadline(engine.now() + t));
            shared.begin_statement();
            let running = async {
                // Where it runs now, an earlier change may never have happened.
                if let Err(error) = shared.certainty().await {
                    return Outcome { result: Err(error), gate: None };
                }
                engine.execute(&call, &mut rows).await
            };
            let outcome = drive(&shared, &wire.sessions, timer, running).await;
            shared.end_statement();
            outcome
        }
    };
    settle(wire, outcome, mark)
}

/// Puts the gate in front of the reply, with what announced it, and writes what is written either way.
fn settle(wire: &mut Wire, outcome: Outcome, mark: usize) -> SqlResult<Tag> {
    if let Some(gate) = &outcome.gate {
        wire.out.gate(wire.reply_begins(mark), gate);
    }
    match outcome.result {
        Ok(done) => {
            for notice in &done.notices {
                wire.notice(notice);
            }
            Ok(done.tag)
        }
        Err(error) => {
            wire.out.truncate(mark);
            Err(error)
        }
    }
}

/// Appends `CommandComplete`.
pub(super) fn complete(wire: &mut Wire, tag: Tag) {
    wire.sessions.counters.borrow_mut().statements += 1;
    backend::command_complete(&mut wire.out.bytes, tag.words, tag.rows);
    wire.end_reply();
}

impl Rows<'_> {
    fn buffer<'b>(&'b mut self, reply: &'b mut Stretch) -> (&'b mut Vec<u8>, &'b Memory) {
        match self {
            Rows::Reply => (&mut reply.bytes, &reply.kept),
            Rows::Portal(buffer, kept) => (buffer, kept),
        }
    }
}
