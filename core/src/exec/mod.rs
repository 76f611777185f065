//! From plan to rows and writes.
//!
//! An [`Execution`] runs one prepared statement against one [`Reader`] snapshot, in as many
//! [slices](slice) as it takes. Rows go to a [`RowSink`]; changes are collected and come back as
//! [`RowWrite`]s, so a statement changes everything or nothing. The same snapshot, parameters and
//! context give the same rows and writes, however the work is cut.
//!
//! ```text
//!   Physical ──open──► Operator tree ──batches of rows──► RowSink
//!                          │                          └─► Changes ──► Vec<RowWrite>
//!                          └── Reader: get, scan
//! ```

mod aggregate;
mod changes;
mod dml;
mod inquiry;
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
pub mod slice;
mod sort;
#[cfg(test)]
mod tests;

pub use memory::{Memory, Pool};
pub use reader::{KeyRange, Reader, ScanPosition, ScanRequest, ScanSource};
pub use sink::RowSink;
pub use slice::Slice;

use std::fmt;
use std::task::{Poll, ready};

use crate::base::{Datum, RowWrite, SqlError, SqlResult, SqlState};
use crate::expr::{EvalContext, Failure};
use crate::sql::explain;
use crate::sql::plan::{Plan, Prepared, SubqueryKind};
use dml::Change;
use inquiry::Inquiry;
use operator::{Operator, Row, open};

/// What a running statement may look at, and for how long.
#[derive(Clone, Copy)]
pub struct ExecContext<'a> {
    pub reader: &'a dyn Reader,
    /// Parameters: the statement's own, then the values of its subqueries.
    pub eval: EvalContext<'a>,
    pub memory: &'a Memory,
    pub slice: &'a Slice,
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

/// A query or a change of rows under way.
pub struct Execution<'p> {
    prepared: &'p Prepared,
    /// The statement's parameters, then the values of its subqueries, then room for what subqueries
    /// take from the rows around them.
    params: Vec<Datum>,
    memory: Memory,
    /// Subqueries whose outcome is known.
    answered: usize,
    /// Those of them that failed.
    failures: Vec<Failure>,
    inquiry: Option<Inquiry<'p>>,
    work: Option<Work<'p>>,
}

/// The part of a statement that gives or changes rows.
enum Work<'p> {
    Query { operator: Box<dyn Operator + 'p>, rows: u64 },
    Change(Change<'p>),
}

impl<'p> Execution<'p> {
    /// `params` are the values of the statement's parameters, of the types in [`Prepared::params`].
    ///
    /// # Errors
    /// 08P01 when there are too many or too few of them.
    pub fn new(
        prepared: &'p Prepared,
        params: &[Datum],
        memory: Memory,
    ) -> SqlResult<Execution<'p>> {
        if params.len() != prepared.params.len() {
            return Err(SqlError::new(
                SqlState::ProtocolViolation,
                format!(
                    "bind message supplies {} parameters, but prepared statement requires {}",
                    params.len(),
                    prepared.params.len()
                ),
            ));
        }
        let mut params = params.to_vec();
        let more = prepared.subqueries.len() + prepared.outer_params;
        params.resize(params.len() + more, Datum::Null);
        let (answered, failures) = (0, Vec::new());
        Ok(Execution { prepared, params, memory, answered, failures, inquiry: None, work: None })
    }

    /// Goes on until the end, or until the slice is spent: `Pending` then, to be called again with the
    /// same snapshot. When it fails, rows may already have gone to the sink.
    ///
    /// Whatever `eval` says, the parameters are those of [`Execution::new`], steps count in the slice, and
    /// failures are those of the subqueries here.
    pub fn advance(
        &mut self,
        reader: &dyn Reader,
        eval: EvalContext<'_>,
        slice: &Slice,
        sink: &mut dyn RowSink,
    ) -> Poll<SqlResult<ExecOutcome>> {
        ready!(self.answer_subqueries(reader, eval, slice))?;
        let Execution { prepared, params, memory, work, failures, .. } = self;
        let eval = EvalContext { params, failures, work: slice.work(), ..eval };
        let context = ExecContext { reader, eval, memory, slice };
        let done = |tag| Poll::Ready(Ok(ExecOutcome { tag, writes: Vec::new() }));
        let work = match work {
            Some(work) => work,
            None => match &prepared.plan {
                Plan::Query(plan) => work.insert(Work::Query { operator: open(plan), rows: 0 }),
                Plan::Insert(plan) => work.insert(Work::Change(Change::insert(plan))),
                Plan::Update(plan) => work.insert(Work::Change(Change::update(plan))),
                Plan::Delete(plan) => work.insert(Work::Change(Change::delete(plan))),
                Plan::Point(plan) => {
                    let mut buffer = point::KeyBuffer::default();
                    let row = point::execute(plan, context.eval.params, reader, &mut buffer)?;
                    return done(CommandTag::Select(point::send(plan, row.as_deref(), sink)?));
                }
                Plan::Explain(plan) => {
                    for line in explain::lines(plan) {
                        sink.row(&[Datum::text(line)])?;
                    }
                    return done(CommandTag::Explain);
                }
                Plan::Ddl(..) | Plan::Access(_) | Plan::AlterSystem(_) | Plan::Session(_) => {
                    let message = "a statement that the session runs came to the executor";
                    return Poll::Ready(Err(SqlError::internal(message)));
                }
            },
        };
        match work {
            Work::Query { operator, rows } => {
                ready!(send_rows(operator.as_mut(), rows, &context, sink))?;
                done(CommandTag::Select(*rows))
            }
            Work::Change(change) => change.advance(&context, sink),
        }
    }

    fn answer_subqueries(
        &mut self,
        reader: &dyn Reader,
        eval: EvalContext<'_>,
        slice: &Slice,
    ) -> Poll<SqlResult<()>> {
        while let Some(subquery) = self.prepared.subqueries.get(self.answered) {
            let inquiry = self.inquiry.get_or_insert_with(|| match subquery.kind {
                SubqueryKind::Scalar => Inquiry::scalar(&subquery.plan),
                SubqueryKind::Exists => Inquiry::exists(&subquery.plan),
            });
            let (params, failures) = (&self.params, &self.failures);
            let eval = EvalContext { params, failures, work: slice.work(), ..eval };
            let context = ExecContext { reader, eval, memory: &self.memory, slice };
            let param = self.prepared.params.len() + self.answered;
            match ready!(inquiry.answer(&context)) {
                Ok(value) => self.params[param] = value,
                Err(error) if is_of_values(&error) => self.failures.push(Failure { param, error }),
                Err(error) => return Poll::Ready(Err(error)),
            }
            self.answered += 1;
            self.inquiry = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// Whether an error says that values do not fit, and so concerns only who needs the outcome: not one
/// of memory, of the time, of an old plan.
fn is_of_values(error: &SqlError) -> bool {
    matches!(&error.state.code()[..2], "21" | "22" | "42")
}

fn send_rows(
    operator: &mut dyn Operator,
    count: &mut u64,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> Poll<SqlResult<()>> {
    while let Some(batch) = ready!(next_batch(operator, context))? {
        *count += batch.len() as u64;
        for row in &batch {
            sink.row(row)?;
        }
    }
    Poll::Ready(Ok(()))
}

/// The next rows for the top of a statement. Rows that an operator kept come without a look at a table:
/// here they count as well.
fn next_batch(
    operator: &mut dyn Operator,
    context: &ExecContext<'_>,
) -> Poll<SqlResult<Option<Vec<Row>>>> {
    if context.slice.is_spent() {
        return Poll::Pending;
    }
    let batch = ready!(operator.next(context))?;
    context.slice.look_at(batch.as_ref().map_or(0, Vec::len));
    Poll::Ready(Ok(batch))
}

/// Runs a statement in one go.
///
/// # Errors
/// As [`Execution::new`] and [`Execution::advance`].
pub fn execute(
    prepared: &Prepared,
    reader: &dyn Reader,
    eval: EvalContext<'_>,
    memory: Memory,
    sink: &mut dyn RowSink,
) -> SqlResult<ExecOutcome> {
    let mut execution = Execution::new(prepared, eval.params, memory)?;
    match execution.advance(reader, eval, &Slice::endless(), sink) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(SqlError::internal("an endless slice was spent")),
    }
}
