//! Operators: each gives batches of rows when asked, and asks its inputs.
//!
//! Where the slice of the statement is spent an operator answers `Pending` and keeps what it has: asked
//! again in the next slice, it goes on.

use std::task::{Poll, ready};

use super::ExecContext;
use super::aggregate::Aggregation;
use super::join::{HashJoining, LoopJoining};
use super::mark::Marking;
use super::memory::row_bytes;
use super::scan::{SeriesScan, TableScanning, VirtualScanning};
use super::set::{Distinguishing, SetMerging};
use super::sort::Sorting;
use crate::base::schema::ColumnIndex;
use crate::base::{Datum, RowRef, SqlError, SqlResult, SqlState};
use crate::expr::Expr;
use crate::expr::context::{ColumnSource, NoRow};
use crate::sql::plan::Physical;

/// Most rows of a batch.
pub const BATCH_ROWS: usize = 1_024;

/// Bytes of values that a batch is made of before it ends early: one value alone may have 16 MiB.
pub const BATCH_BYTES: usize = 4 << 20;

/// The values of a row.
pub type Row = Vec<Datum>;

/// A part of a running query.
pub trait Operator {
    /// The next rows, never none and at most [`BATCH_ROWS`]; `None` at the end.
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>>;
}

/// The operator for a plan.
pub fn open(plan: &Physical) -> Box<dyn Operator + '_> {
    match plan {
        Physical::Scan(scan) => Box::new(TableScanning::new(scan)),
        Physical::VirtualScan(scan) => Box::new(VirtualScanning::new(scan)),
        Physical::Series(series) => Box::new(SeriesScan::new(series)),
        Physical::Values { rows } => Box::new(Literals { rows, at: 0 }),
        Physical::Filter { input, condition } => {
            Box::new(Filtering { input: open(input), condition, rest: Vec::new().into_iter() })
        }
        Physical::Project { input, exprs } => {
            Box::new(Projecting { input: open(input), exprs, kept: Vec::new().into_iter() })
        }
        Physical::HashJoin(join) => Box::new(HashJoining::new(join)),
        Physical::NestedLoop(join) => Box::new(LoopJoining::new(join)),
        Physical::Mark(mark) => Box::new(Marking::new(mark)),
        Physical::Aggregate(node) => Box::new(Aggregation::new(node)),
        Physical::Distinct { input, types } => Box::new(Distinguishing::new(open(input), types)),
        Physical::Sort { input, keys, top } => {
            Box::new(Sorting::new(open(input), keys, top.as_ref()))
        }
        Physical::Limit { input, limit, offset } => {
            Box::new(Limiting::new(open(input), limit.as_ref(), offset.as_ref()))
        }
        Physical::Append { left, right } => {
            Box::new(Appending { inputs: [Some(open(left)), Some(open(right))] })
        }
        Physical::SetOperation { kind, all, left, right, types } => {
            Box::new(SetMerging::new(*kind, *all, open(left), open(right), types))
        }
    }
}

/// An operator whose rows are all taken, one by one.
pub struct Input<'p> {
    operator: Box<dyn Operator + 'p>,
    /// Rows that are still to be taken.
    rest: std::vec::IntoIter<Row>,
}

impl<'p> Input<'p> {
    pub fn new(operator: Box<dyn Operator + 'p>) -> Input<'p> {
        Input { operator, rest: Vec::new().into_iter() }
    }

    /// Takes every row, or those that come before the slice is spent.
    pub fn drain(
        &mut self,
        context: &ExecContext<'_>,
        mut take: impl FnMut(Row) -> SqlResult<()>,
    ) -> Poll<SqlResult<()>> {
        loop {
            if self.rest.len() == 0 {
                match ready!(self.operator.next(context))? {
                    Some(batch) => self.rest = batch.into_iter(),
                    None => return Poll::Ready(Ok(())),
                }
            } else if context.slice.is_spent() {
                return Poll::Pending;
            }
            for row in self.rest.by_ref() {
                take(row)?;
                if context.slice.tire() {
                    break;
                }
            }
        }
    }
}

/// The values of expressions over a row, in one piece of memory: a `collect` of results does not know how
/// many come.
pub fn evaluated<'e>(
    exprs: impl ExactSizeIterator<Item = &'e Expr>,
    row: &dyn ColumnSource,
    context: &ExecContext<'_>,
) -> SqlResult<Row> {
    let mut values = Vec::with_capacity(exprs.len());
    for expr in exprs {
        values.push(expr.eval(row, &context.eval)?);
    }
    Ok(values)
}

/// These columns of a stored row, in one piece of memory as well.
pub fn project(row: RowRef<'_>, columns: &[ColumnIndex]) -> SqlResult<Row> {
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        values.push(row.datum(usize::from(*column))?);
    }
    Ok(values)
}

struct Literals<'p> {
    rows: &'p [Vec<Expr>],
    at: usize,
}

impl Operator for Literals<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        let rows = &self.rows[self.at..];
        if !rows.is_empty() && context.slice.is_spent() {
            return Poll::Pending;
        }
        let mut rows = rows.iter().take(BATCH_ROWS);
        let batch = computed(context, || {
            let row = rows.next()?;
            Some(evaluated(row.iter(), &NoRow, context))
        })?;
        self.at += batch.len();
        Poll::Ready(Ok((!batch.is_empty()).then_some(batch)))
    }
}

struct Filtering<'p> {
    input: Box<dyn Operator + 'p>,
    condition: &'p Expr,
    /// Rows of the input that are still to be looked at.
    rest: std::vec::IntoIter<Row>,
}

impl Operator for Filtering<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        loop {
            if self.rest.len() == 0 {
                match ready!(self.input.next(context))? {
                    Some(batch) => self.rest = batch.into_iter(),
                    None => return Poll::Ready(Ok(None)),
                }
            } else if context.slice.is_spent() {
                return Poll::Pending;
            }
            let mut kept = Vec::with_capacity(self.rest.len());
            for row in self.rest.by_ref() {
                if self.condition.eval_condition(&row, &context.eval)? {
                    kept.push(row);
                }
                if context.slice.tire() {
                    break;
                }
            }
            if !kept.is_empty() {
                return Poll::Ready(Ok(Some(kept)));
            }
        }
    }
}

struct Projecting<'p> {
    input: Box<dyn Operator + 'p>,
    exprs: &'p [Expr],
    /// Rows of the input that are for the next batch.
    kept: std::vec::IntoIter<Row>,
}

impl Operator for Projecting<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        if self.kept.len() == 0 {
            let Some(batch) = ready!(self.input.next(context))? else {
                return Poll::Ready(Ok(None));
            };
            self.kept = batch.into_iter();
        } else if context.slice.is_spent() {
            return Poll::Pending;
        }
        let batch = computed(context, || {
            let row = self.kept.next()?;
            Some(evaluated(self.exprs.iter(), &row, context))
        });
        Poll::Ready(batch.map(Some))
    }
}

/// Rows that `next` computes: all of them, or those up to [`BATCH_BYTES`]. Such a batch counts as a full
/// one, since long values take as long as many rows. It ends where the slice does, too.
fn computed(
    context: &ExecContext<'_>,
    mut next: impl FnMut() -> Option<SqlResult<Row>>,
) -> SqlResult<Vec<Row>> {
    let mut batch = Vec::new();
    let mut bytes = 0;
    while let Some(row) = next() {
        let row = row?;
        bytes += row_bytes(&row);
        batch.push(row);
        if bytes >= BATCH_BYTES {
            context.slice.look_at(BATCH_ROWS.saturating_sub(batch.len()));
            break;
        }
        if context.slice.tire() {
            break;
        }
    }
    Ok(batch)
}

struct Limiting<'p> {
    input: Box<dyn Operator + 'p>,
    limit: Option<&'p Expr>,
    offset: Option<&'p Expr>,
    /// Rows to skip and rows to give, once known.
    left: Option<(u64, u64)>,
}

impl<'p> Limiting<'p> {
    fn new(
        input: Box<dyn Operator + 'p>,
        limit: Option<&'p Expr>,
        offset: Option<&'p Expr>,
    ) -> Limiting<'p> {
        Limiting { input, limit, offset, left: None }
    }
}

/// The value of LIMIT; `u64::MAX` for none.
pub fn limit_value(expr: Option<&Expr>, context: &ExecContext<'_>) -> SqlResult<u64> {
    let negative = || SqlError::new(SqlState::InvalidRowCountInLimit, "LIMIT must not be negative");
    Ok(row_count(expr, context, negative)?.unwrap_or(u64::MAX))
}

/// The value of OFFSET; 0 for none.
pub fn offset_value(expr: Option<&Expr>, context: &ExecContext<'_>) -> SqlResult<u64> {
    let negative =
        || SqlError::new(SqlState::InvalidRowCountInOffset, "OFFSET must not be negative");
    Ok(row_count(expr, context, negative)?.unwrap_or(0))
}

fn row_count(
    expr: Option<&Expr>,
    context: &ExecContext<'_>,
    negative: impl FnOnce() -> SqlError,
) -> SqlResult<Option<u64>> {
    let Some(expr) = expr else { return Ok(None) };
    match expr.eval(&NoRow, &context.eval)? {
        Datum::Int8(count) => u64::try_from(count).map(Some).map_err(|_| negative()),
        Datum::Null => Ok(None),
        other => Err(SqlError::internal(format!("a row count of {other:?}"))),
    }
}

impl Operator for Limiting<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        let (skip, give) = match &mut self.left {
            Some(left) => left,
            None => {
                let skip = offset_value(self.offset, context)?;
                self.left.insert((skip, limit_value(self.limit, context)?))
            }
        };
        while *give > 0 {
            let Some(mut batch) = ready!(self.input.next(context))? else { break };
            let skipped = (*skip).min(batch.len() as u64);
            *skip -= skipped;
            batch.drain(..skipped as usize);
            batch.truncate(usize::try_from(*give).unwrap_or(usize::MAX));
            *give -= batch.len() as u64;
            if !batch.is_empty() {
                return Poll::Ready(Ok(Some(batch)));
            }
        }
        Poll::Ready(Ok(None))
    }
}

struct Appending<'p> {
    inputs: [Option<Box<dyn Operator + 'p>>; 2],
}

impl Operator for Appending<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        for input in &mut self.inputs {
            let Some(open) = input else { continue };
            if let Some(batch) = ready!(open.next(context))? {
                return Poll::Ready(Ok(Some(batch)));
            }
            *input = None;
        }
        Poll::Ready(Ok(None))
    }
}
