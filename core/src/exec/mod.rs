//! From plan to rows and writes.
//!
//! [`execute`] runs one prepared statement against one [`Reader`] snapshot. Rows go to a
//! [`RowSink`]; changes are collected and come back as [`RowWrite`]s, so a statement changes
//! everything or nothing. Nothing here waits, and the same snapshot, parameters and context give the
//! same rows and writes.
//!
//! ```text
//!   Physical ──open──► Operator tree ──batches of rows──► RowSink
//!                          │                          └─► Changes ──► Vec<RowWrite>
//!                          └── Reader: get, scan
//! ```

mod aggregate;
mod changes;
mod dml;
mod join;
pub mod key;
mod mark;
pub mod memory;
pub mod operator;
pub mod point;
pub mod reader;
mod scan;
mod set;
pub mod sink;
mod sort;
#[cfg(test)]
mod tests;

pub use memory::Memory;
pub use reader::{KeyRange, Reader, ScanPosition, ScanRequest, ScanSource};
pub use sink::RowSink;

use std::fmt;

use crate::base::{Datum, RowWrite, SqlError, SqlResult, SqlState};
use crate::expr::EvalContext;
use crate::sql::explain;
use crate::sql::plan::{Physical, Plan, Prepared, SubqueryKind};
use operator::open;

/// What a running statement may look at.
pub struct ExecContext<'a> {
    pub reader: &'a dyn Reader,
    /// Parameters: the statement's own, then the values of its subqueries.
    pub eval: EvalContext<'a>,
    pub memory: &'a Memory,
}

/// What a statement did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecOutcome {
    pub tag: CommandTag,
    /// At most one a row, ordered by bucket and key.
    pub writes: Vec<RowWrite>,
}

/// The command tag of a statement that is executed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandTag {
    Select(u64),
    Insert(u64),
    Update(u64),
    Delete(u64),
    Explain,
}

impl CommandTag {
    /// Tag and count, as one instance tells another.
    pub fn to_wire(self) -> (u8, u64) {
        match self {
            CommandTag::Select(count) => (1, count),
            CommandTag::Insert(count) => (2, count),
            CommandTag::Update(count) => (3, count),
            CommandTag::Delete(count) => (4, count),
            CommandTag::Explain => (5, 0),
        }
    }

    /// `None` for a tag of a newer version.
    pub fn from_wire(tag: u8, count: u64) -> Option<CommandTag> {
        match tag {
            1 => Some(CommandTag::Select(count)),
            2 => Some(CommandTag::Insert(count)),
            3 => Some(CommandTag::Update(count)),
            4 => Some(CommandTag::Delete(count)),
            5 => Some(CommandTag::Explain),
            _ => None,
        }
    }
}

impl fmt::Display for CommandTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandTag::Select(count) => write!(f, "SELECT {count}"),
            CommandTag::Insert(count) => write!(f, "INSERT 0 {count}"),
            CommandTag::Update(count) => write!(f, "UPDATE {count}"),
            CommandTag::Delete(count) => write!(f, "DELETE {count}"),
            CommandTag::Explain => write!(f, "EXPLAIN"),
        }
    }
}

/// Runs a query or a change of rows.
///
/// `eval.params` are the values of the statement's parameters, of the types in
/// [`Prepared::params`]. When it fails, rows may already have gone to the sink.
pub fn execute(
    prepared: &Prepared,
    reader: &dyn Reader,
    eval: EvalContext<'_>,
    memory: &Memory,
    sink: &mut dyn RowSink,
) -> SqlResult<ExecOutcome> {
    if eval.params.len() != prepared.params.len() {
        return Err(SqlError::new(
            SqlState::ProtocolViolation,
            format!(
                "bind message supplies {} parameters, but prepared statement requires {}",
                eval.params.len(),
                prepared.params.len()
            ),
        ));
    }
    if prepared.subqueries.is_empty() && prepared.outer_params == 0 {
        let context = ExecContext { reader, eval, memory };
        return run(prepared, &context, sink);
    }
    let own = eval.params.len();
    let mut params = eval.params.to_vec();
    params.resize(own + prepared.subqueries.len() + prepared.outer_params, Datum::Null);
    for (at, subquery) in prepared.subqueries.iter().enumerate() {
        let value = {
            let eval = EvalContext { params: &params, ..eval };
            let context = ExecContext { reader, eval, memory };
            match subquery.kind {
                SubqueryKind::Scalar => scalar(&subquery.plan, &context)?,
                SubqueryKind::Exists => exists(&subquery.plan, &context)?,
            }
        };
        params[own + at] = value;
    }
    let eval = EvalContext { params: &params, ..eval };
    run(prepared, &ExecContext { reader, eval, memory }, sink)
}

fn run(
    prepared: &Prepared,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<ExecOutcome> {
    let no_writes = |tag| Ok(ExecOutcome { tag, writes: Vec::new() });
    match &prepared.plan {
        Plan::Query(plan) => no_writes(CommandTag::Select(query(plan, context, sink)?)),
        Plan::Point(plan) => {
            let mut buffer = point::KeyBuffer::default();
            let row = point::execute(plan, context.eval.params, context.reader, &mut buffer)?;
            let count = point::send(plan, row.as_deref(), sink)?;
            no_writes(CommandTag::Select(count))
        }
        Plan::Insert(plan) => dml::insert(plan, context, sink),
        Plan::Update(plan) => dml::update(plan, context, sink),
        Plan::Delete(plan) => dml::delete(plan, context, sink),
        Plan::Explain(plan) => {
            for line in explain::lines(plan) {
                sink.row(&[Datum::text(line)])?;
            }
            no_writes(CommandTag::Explain)
        }
        Plan::Ddl(..) | Plan::Access(_) | Plan::AlterSystem(_) | Plan::Session(_) => {
            Err(SqlError::internal("a statement that the session runs came to the executor"))
        }
    }
}

fn query(plan: &Physical, context: &ExecContext<'_>, sink: &mut dyn RowSink) -> SqlResult<u64> {
    let mut operator = open(plan);
    let mut count = 0;
    while let Some(batch) = operator.next(context)? {
        count += batch.len() as u64;
        for row in &batch {
            sink.row(row)?;
        }
    }
    Ok(count)
}

/// Whether a subquery has a row.
fn exists(plan: &Physical, context: &ExecContext<'_>) -> SqlResult<Datum> {
    Ok(Datum::Bool(open(plan).next(context)?.is_some()))
}

/// The value of a subquery of one column: NULL without a row, 21000 with several.
fn scalar(plan: &Physical, context: &ExecContext<'_>) -> SqlResult<Datum> {
    let mut operator = open(plan);
    let Some(mut rows) = operator.next(context)? else { return Ok(Datum::Null) };
    if rows.len() > 1 || operator.next(context)?.is_some() {
        return Err(SqlError::new(
            SqlState::CardinalityViolation,
            "more than one row returned by a subquery used as an expression",
        ));
    }
    Ok(rows.pop().and_then(|mut row| row.pop()).unwrap_or(Datum::Null))
}
