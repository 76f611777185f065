//! Statements that travel: from the instance a client is connected to, to the leader of the rows, and their
//! results back.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::engine::{renew_catalog, starting};
use super::gates::Release;
use super::message::{Forwarded, RequestKind, ResponseKind};
use super::result_rows::{ResultRows, ResultWriter};
use super::running::{self, Statement};
use super::serve::outcome_unknown;
use super::state::{Shared, State};
use crate::base::{
    Datum, GroupId, LogIndex, SqlError, SqlResult, SqlState, SqlType, binary_format, limits,
};
use crate::exec::{CommandTag, Memory, RowSink};
use crate::session::settings::{Fixed, Settings};
use crate::session::{
    Call, Interrupt, RowWriter, SessionContext, depends_on_schema, session_values,
};

/// The request that a statement travels in.
///
/// # Errors
/// `54000`: it is too long.
pub fn request_of(group: GroupId, call: &Call<'_>) -> SqlResult<RequestKind> {
    let mut parameters = Vec::with_capacity(call.params.len());
    for (ty, value) in call.prepared.params.iter().zip(call.params) {
        let bytes = match value {
            Datum::Null => None,
            value => {
                let mut out = Vec::new();
                binary_format::encode(*ty, value, &mut out)?;
                Some(Bytes::from(out))
            }
        };
        parameters.push((*ty as u8, bytes));
    }
    let sizes = parameters.iter().map(|(_, value)| value.as_ref().map_or(0, Bytes::len));
    check_length(call.prepared.text.len() + sizes.sum::<usize>())?;
    let statement = Forwarded {
        user: call.context.user,
        sql: call.prepared.text.to_string(),
        parameters,
        search_path: call.context.search_path.to_vec(),
        settings: call.context.settings.borrow().changed(),
        backend_pid: call.context.values.backend_pid,
    };
    Ok(RequestKind::Statement { group, statement })
}

/// Gives the rows of a response to a client.
pub fn take_rows(sink: &mut RowWriter<'_>, types: &[u8], rows: &ResultRows) -> SqlResult<()> {
    let types: Option<Vec<SqlType>> = types.iter().map(|tag| SqlType::from_tag(*tag)).collect();
    let types = types.ok_or_else(|| SqlError::internal("a reply with an unknown type"))?;
    rows.each(&types, |row| sink.row(row))
}

/// Runs a statement that another instance sent here, and waits until its reply may leave.
pub async fn run_forwarded(me: &Shared, asked: &Forwarded, interrupt: &Interrupt) -> ResponseKind {
    let Answered { response, wait, _kept } = match run_request(me, asked, interrupt).await {
        Ok(Some(answered)) => answered,
        Ok(None) => return ResponseKind::NotLeader(None),
        Err(error) => return ResponseKind::Failed(error),
    };
    let wait = wait.and_then(|index| {
        let state = &mut *me.borrow_mut();
        let spawner = state.spawner.clone();
        state.shard.as_mut().map(|shard| shard.wait_committed(&spawner, index))
    });
    match wait {
        Some(wait) => match wait.await {
            Some(Release::Committed) => response,
            // Nothing was done, and the next leader is asked.
            Some(Release::Undone) => ResponseKind::NotLeader(None),
            _ => ResponseKind::Failed(outcome_unknown()),
        },
        None => response,
    }
}

/// A response that may have to wait.
struct Answered {
    response: ResponseKind,
    /// What it shows is committed with this position.
    wait: Option<LogIndex>,
    /// Counts its rows while it waits.
    _kept: Option<Memory>,
}

impl Answered {
    fn with_rows(tag: CommandTag, rows: ResultWriter, wait: Option<LogIndex>) -> Answered {
        let (tag, count) = tag.to_wire();
        let types = rows.types().iter().map(|ty| *ty as u8).collect();
        let (rows, kept) = rows.finish();
        let response = ResponseKind::Rows { tag, count, types, rows };
        Answered { response, wait, _kept: Some(kept) }
    }
}

/// `None`: this instance does not lead, and nothing was done.
async fn run_request(
    me: &Shared,
    asked: &Forwarded,
    interrupt: &Interrupt,
) -> SqlResult<Option<Answered>> {
    let (types, params) = decode_parameters(&asked.parameters)?;
    let context = me.borrow().forwarded_context(asked)?;
    let prepare = || me.borrow_mut().prepare(&context, &asked.sql, &types);
    let prepared = match prepare() {
        Err(error) if depends_on_schema(&error) => {
            renew_catalog(me, &error, interrupt).await?;
            prepare()?
        }
        prepared => prepared?,
    };
    if !me.borrow().runs_here(&prepared) {
        return Ok(None);
    }
    let statement = Statement { prepared: &prepared, params: &params, context: &context };
    let columns = prepared.columns.as_deref().unwrap_or(&[]);
    let types = columns.iter().map(|column| column.ty).collect();
    let mut rows = ResultWriter::new(types, &me.borrow().workbench.results);
    let ran = running::run(me, statement, interrupt, &mut rows).await;
    let Some((result, wait)) = ran else { return Ok(None) };
    Ok(Some(match result {
        Ok(tag) => Answered::with_rows(tag, rows, wait),
        Err(error) => Answered { response: ResponseKind::Failed(error), wait, _kept: None },
    }))
}

type Parameters = (Vec<SqlType>, Vec<Datum>);

fn decode_parameters(parameters: &[(u8, Option<Bytes>)]) -> SqlResult<Parameters> {
    let bad = || SqlError::new(SqlState::ProtocolViolation, "a parameter of an unknown type");
    let mut types = Vec::with_capacity(parameters.len());
    let mut params = Vec::with_capacity(parameters.len());
    for (tag, value) in parameters {
        let ty = SqlType::from_tag(*tag).ok_or_else(bad)?;
        params.push(match value {
            None => Datum::Null,
            Some(bytes) => binary_format::decode(ty, bytes)?,
        });
        types.push(ty);
    }
    Ok((types, params))
}

impl State {
    fn forwarded_context(&self, asked: &Forwarded) -> SqlResult<SessionContext> {
        let Some(ring) = &self.ring else { return Err(starting()) };
        let Some(known) = ring.state.catalog.users.get(asked.user) else {
            return Err(SqlError::new(SqlState::UndefinedObject, "the user was dropped"));
        };
        let mut settings = Settings::new(&Fixed { user: &known.name, superuser: known.superuser });
        for (name, value) in &asked.settings {
            settings.set_text(name, value)?;
        }
        let name: Arc<str> = known.name.as_str().into();
        Ok(SessionContext {
            user: asked.user,
            superuser: known.superuser,
            values: session_values(&name, &asked.search_path, asked.backend_pid),
            search_path: asked.search_path.as_slice().into(),
            settings: Rc::new(RefCell::new(settings)),
            is_elsewhere: true,
        })
    }
}

/// What travels between two instances for one statement has a bound.
fn check_length(bytes: usize) -> SqlResult<()> {
    if bytes <= limits::FORWARDED_BYTES_MAX {
        return Ok(());
    }
    let limit = limits::FORWARDED_BYTES_MAX;
    let message = format!("a statement of {bytes} bytes, maximum {limit} through another instance");
    Err(SqlError::new(SqlState::ProgramLimitExceeded, message)
        .with_hint("Connect to the instance that leads the replica set."))
}
