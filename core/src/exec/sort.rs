//! Sorting, whole or only the first rows.

use std::cmp::Ordering;

use super::ExecContext;
use super::operator::{BATCH_ROWS, Operator, Row, limit_value, offset_value};
use crate::base::{Datum, KeyOrder, SqlResult, SqlType, compare};
use crate::sql::plan::logical::SortKey;
use crate::sql::plan::physical::Top;

/// A top-N of more rows than this is sorted as a whole.
const TOP_ROWS_MAX: u64 = 16 * BATCH_ROWS as u64;

/// A row with the values it is sorted by.
pub type Keyed = (Row, Row);

/// Sorts its input by keys; equal rows keep their order.
pub struct Sorting<'p> {
    input: Box<dyn Operator + 'p>,
    keys: &'p [SortKey],
    top: Option<&'p Top>,
    sorted: Option<std::vec::IntoIter<Keyed>>,
}

impl<'p> Sorting<'p> {
    pub fn new(
        input: Box<dyn Operator + 'p>,
        keys: &'p [SortKey],
        top: Option<&'p Top>,
    ) -> Sorting<'p> {
        Sorting { input, keys, top, sorted: None }
    }

    /// Rows that are enough for the limit above; `None` for all.
    fn wanted(&self, context: &ExecContext<'_>) -> SqlResult<Option<usize>> {
        let Some(top) = self.top else { return Ok(None) };
        let limit = limit_value(Some(&top.limit), context)?;
        let offset = offset_value(top.offset.as_ref(), context)?;
        let wanted = limit.saturating_add(offset);
        Ok((wanted <= TOP_ROWS_MAX).then_some(wanted as usize))
    }

    fn sort(&mut self, context: &ExecContext<'_>) -> SqlResult<Vec<Keyed>> {
        let wanted = self.wanted(context)?;
        let order = Order::new(self.keys);
        let mut rows: Vec<Keyed> = Vec::new();
        while let Some(batch) = self.input.next(context)? {
            for row in batch {
                if wanted.is_none() {
                    context.memory.take_row(&row)?;
                }
                let keys: SqlResult<Row> =
                    self.keys.iter().map(|key| key.expr.eval(&row, &context.eval)).collect();
                rows.push((keys?, row));
            }
            if let Some(wanted) = wanted
                && rows.len() >= 2 * wanted.max(BATCH_ROWS)
            {
                rows.sort_by(|a, b| order.compare(&a.0, &b.0));
                rows.truncate(wanted);
            }
        }
        rows.sort_by(|a, b| order.compare(&a.0, &b.0));
        if let Some(wanted) = wanted {
            rows.truncate(wanted);
        }
        Ok(rows)
    }
}

impl Operator for Sorting<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> SqlResult<Option<Vec<Row>>> {
        if self.sorted.is_none() {
            self.sorted = Some(self.sort(context)?.into_iter());
        }
        let Some(sorted) = &mut self.sorted else { return Ok(None) };
        let batch: Vec<Row> = sorted.take(BATCH_ROWS).map(|(_, row)| row).collect();
        Ok((!batch.is_empty()).then_some(batch))
    }
}

/// The order of sort keys' values.
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

    pub fn compare(&self, a: &[Datum], b: &[Datum]) -> Ordering {
        let pairs = self.columns.iter().zip(a.iter().zip(b));
        pairs
            .map(|((ty, order), (a, b))| compare::compare_ordered(*ty, a, b, *order))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}
