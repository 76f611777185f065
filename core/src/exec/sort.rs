//! Sorting, whole or only the first rows.

use std::cmp::Ordering;
use std::task::{Poll, ready};

use itertools::Itertools;

use super::ExecContext;
use super::memory::{Memory, row_bytes};
use super::operator::{BATCH_ROWS, Input, Operator, Row, evaluated, limit_value, offset_value};
use crate::base::{Datum, KeyOrder, SqlResult, SqlType, compare};
use crate::expr::Expr;
use crate::sql::plan::logical::SortKey;
use crate::sql::plan::physical::Top;

/// A top-N of more rows than this is sorted as a whole.
const TOP_ROWS_MAX: u64 = 16 * BATCH_ROWS as u64;

/// A row with the values it is sorted by.
pub type Keyed = (Row, Row);

/// Rows are sorted in runs of so many as they come, and the runs merged as they are asked for: no
/// single step is long.
const RUN_ROWS: usize = 8 * BATCH_ROWS;

/// Sorts its input by keys; equal rows keep their order.
pub struct Sorting<'p> {
    input: Input<'p>,
    keys: &'p [SortKey],
    top: Option<&'p Top>,
    stage: Stage,
}

enum Stage {
    New,
    Taking(Runs),
    Giving(Box<dyn Iterator<Item = Row>>),
}

/// Rows on their way into order.
struct Runs {
    order: Order,
    /// The keys that are no columns of the row.
    computed: Vec<usize>,
    /// Rows that are enough for the limit above; `None` for all.
    wanted: Option<usize>,
    /// In order, each of [`RUN_ROWS`].
    sorted: Vec<Vec<Keyed>>,
    rows: Vec<Keyed>,
}

impl Runs {
    fn add(&mut self, keys: Row, row: Row, memory: &Memory) -> SqlResult<()> {
        let bytes = self.bytes(&keys, &row);
        if let Err(error) = memory.take(bytes) {
            // Where little would go, each row to come would sort them all.
            let wanted = self.wanted.ok_or_else(|| error.clone())?;
            if self.rows.len() <= wanted + wanted / 8 {
                return Err(error);
            }
            self.cut(wanted, memory);
            memory.take(bytes)?;
        }
        self.rows.push((keys, row));
        match self.wanted {
            None if self.rows.len() == RUN_ROWS => {
                self.sort();
                self.sorted.push(std::mem::take(&mut self.rows));
            }
            Some(wanted) if self.rows.len() >= 2 * wanted.max(BATCH_ROWS) => {
                self.cut(wanted, memory);
            }
            _ => {}
        }
        Ok(())
    }

    /// Bytes of a row with its keys. What a key that is a column points to is counted with the row.
    fn bytes(&self, keys: &Row, row: &Row) -> usize {
        let beyond = |at: &usize| keys[*at].memory_bytes() - size_of::<Datum>();
        let computed = self.computed.iter().map(beyond).sum::<usize>();
        row_bytes(row) + size_of_val(keys.as_slice()) + computed
    }

    /// Drops the rows behind the first `wanted` and gives back what they took.
    fn cut(&mut self, wanted: usize, memory: &Memory) {
        self.sort();
        let dropped = self.rows.split_off(wanted.min(self.rows.len()));
        memory.give(dropped.iter().map(|(keys, row)| self.bytes(keys, row)).sum());
    }

    fn sort(&mut self) {
        self.rows.sort_by(|a, b| self.order.compare(&a.0, &b.0));
    }

    /// All rows in order; none are left here.
    fn merge(&mut self) -> Box<dyn Iterator<Item = Row>> {
        self.sort();
        let (order, wanted) = (self.order.clone(), self.wanted.unwrap_or(usize::MAX));
        let (mut sorted, rows) = (std::mem::take(&mut self.sorted), std::mem::take(&mut self.rows));
        if sorted.is_empty() {
            return Box::new(rows.into_iter().take(wanted).map(|(_, row)| row));
        }
        sorted.push(rows);
        let numbered = |(number, run): (usize, Vec<Keyed>)| {
            run.into_iter().map(move |(keys, row)| (keys, number, row))
        };
        let runs = sorted.into_iter().enumerate().map(numbered);
        // Of equal rows those of the earlier run come first.
        let merged =
            runs.kmerge_by(move |a, b| order.compare(&a.0, &b.0).then(a.1.cmp(&b.1)).is_lt());
        Box::new(merged.map(|(_, _, row)| row))
    }
}

impl<'p> Sorting<'p> {
    pub fn new(
        input: Box<dyn Operator + 'p>,
        keys: &'p [SortKey],
        top: Option<&'p Top>,
    ) -> Sorting<'p> {
        Sorting { input: Input::new(input), keys, top, stage: Stage::New }
    }

    fn start(&self, context: &ExecContext<'_>) -> SqlResult<Runs> {
        let wanted = match self.top {
            None => None,
            Some(top) => {
                let limit = limit_value(Some(&top.limit), context)?;
                let wanted = limit.saturating_add(offset_value(top.offset.as_ref(), context)?);
                (wanted <= TOP_ROWS_MAX).then_some(wanted as usize)
            }
        };
        let order = Order::new(self.keys);
        let keys = self.keys.iter().enumerate();
        let computed = keys.filter(|(_, key)| !matches!(key.expr, Expr::Column { .. }));
        let computed = computed.map(|(at, _)| at).collect();
        Ok(Runs { order, computed, wanted, sorted: Vec::new(), rows: Vec::new() })
    }
}

impl Operator for Sorting<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        if matches!(self.stage, Stage::New) {
            self.stage = Stage::Taking(self.start(context)?);
        }
        if let Stage::Taking(runs) = &mut self.stage {
            ready!(self.input.drain(context, |row| {
                let keys = evaluated(self.keys.iter().map(|key| &key.expr), &row, context)?;
                runs.add(keys, row, context.memory)
            }))?;
            self.stage = Stage::Giving(runs.merge());
        }
        let Stage::Giving(rows) = &mut self.stage else { return Poll::Ready(Ok(None)) };
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        let batch: Vec<Row> = rows.take(BATCH_ROWS).collect();
        context.slice.look_at(batch.len());
        Poll::Ready(Ok((!batch.is_empty()).then_some(batch)))
    }
}

/// The order of sort keys' values.
#[derive(Clone)]
pub struct Order {
    columns: Vec<(SqlType, KeyOrder)>,
}

impl Order {
    pub fn new(keys: &[SortKey]) -> Order {
        let column = |key: &SortKey| {
            let (descending, nulls_first) = (key.descending, key.nulls_first);
            (key.expr.ty(), KeyOrder { descending, nulls_first })
        };
        Order { columns: keys.iter().map(column).collect() }
    }

    /// And then by values of these types, ascending.
    #[must_use]
    pub fn then(mut self, types: impl Iterator<Item = SqlType>) -> Order {
        self.columns.extend(types.map(|ty| (ty, KeyOrder::ASCENDING)));
        self
    }

    pub fn compare(&self, a: &[Datum], b: &[Datum]) -> Ordering {
        let pairs = self.columns.iter().zip(a.iter().zip(b));
        pairs
            .map(|((ty, order), (a, b))| compare::compare_ordered(*ty, a, b, *order))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}
