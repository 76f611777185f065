//! Reading tables, virtual tables and series.

use std::collections::BTreeSet;
use std::task::{Poll, ready};

use bytes::Bytes;

use super::ExecContext;
use super::key::{self, End, Fit, fit};
use super::operator::{BATCH_ROWS, Operator, Row, project};
use super::reader::{KeyRange, ScanPosition, ScanRequest, ScanSource};
use crate::base::schema::{ColumnIndex, TableDef};
use crate::base::{
    BucketId, Datum, KeyOrder, RowRef, SqlError, SqlResult, SqlState, SqlType, keycode,
};
use crate::expr::Expr;
use crate::expr::context::NoRow;
use crate::sql::plan::logical::Series;
use crate::sql::plan::physical::{Access, Buckets, Limit, RangeExprs, TableScan, VirtualScan};

/// Reads a table by its access path.
pub struct TableScanning<'p> {
    plan: &'p TableScan,
    state: ScanState<'p>,
    /// Stored rows that are still to be looked at.
    rest: std::vec::IntoIter<Bytes>,
}

enum ScanState<'p> {
    New,
    Keys { keys: Vec<(BucketId, Vec<u8>)>, at: usize },
    Range { request: ScanRequest<'p>, position: ScanPosition },
}

impl<'p> TableScanning<'p> {
    pub fn new(plan: &'p TableScan) -> TableScanning<'p> {
        TableScanning { plan, state: ScanState::New, rest: Vec::new().into_iter() }
    }

    /// The next stored rows, unfiltered; `None` at the end.
    fn fetch(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Bytes>>>> {
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        Poll::Ready(self.fetch_now(context))
    }

    fn fetch_now(&mut self, context: &ExecContext<'_>) -> SqlResult<Option<Vec<Bytes>>> {
        if matches!(self.state, ScanState::New) {
            self.state = start(self.plan, context)?;
        }
        let table: &'p TableDef = &self.plan.table;
        let mut rows = Vec::new();
        match &mut self.state {
            ScanState::New => Err(SqlError::internal("a scan that did not start")),
            ScanState::Keys { keys, at } => {
                if *at >= keys.len() {
                    return Ok(None);
                }
                let end = keys.len().min(*at + context.slice.batch_rows());
                context.slice.look_at(end - *at);
                for (bucket, key) in &keys[*at..end] {
                    rows.extend(context.reader.get(table, *bucket, key)?);
                }
                *at = end;
                Ok(Some(rows))
            }
            ScanState::Range { request, position } => {
                if position.done {
                    return Ok(None);
                }
                let limit = context.slice.batch_rows();
                context.slice.look_at(context.reader.scan(request, position, limit, &mut rows)?);
                Ok(Some(rows))
            }
        }
    }
}

impl Operator for TableScanning<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        loop {
            if self.rest.len() == 0 {
                match ready!(self.fetch(context))? {
                    Some(stored) => self.rest = stored.into_iter(),
                    None => return Poll::Ready(Ok(None)),
                }
            } else if context.slice.is_spent() {
                return Poll::Pending;
            }
            let mut batch = Vec::with_capacity(self.rest.len());
            for bytes in self.rest.by_ref() {
                let row = RowRef::new(&self.plan.layout, &bytes)?;
                let wanted = match &self.plan.filter {
                    Some(filter) => filter.eval_condition(&row, &context.eval)?,
                    None => true,
                };
                if wanted {
                    batch.push(project(row, &self.plan.columns)?);
                }
                if context.slice.tire() {
                    break;
                }
            }
            if !batch.is_empty() {
                return Poll::Ready(Ok(Some(batch)));
            }
        }
    }
}

/// Where a scan begins: its keys, or its range, from the values of its expressions.
fn start<'p>(plan: &'p TableScan, context: &ExecContext<'_>) -> SqlResult<ScanState<'p>> {
    let table: &TableDef = &plan.table;
    let nothing = ScanState::Keys { keys: Vec::new(), at: 0 };
    let (source, range) = match &plan.access {
        Access::Get { keys } => {
            let keys = whole_keys(table, keys, context)?;
            return Ok(ScanState::Keys { keys, at: 0 });
        }
        Access::Full => (ScanSource::AllBuckets, Some(KeyRange::default())),
        Access::KeyRange { range, buckets } => {
            let columns: Vec<(SqlType, KeyOrder)> = table
                .primary_key
                .iter()
                .map(|c| (table.columns[usize::from(*c)].ty, KeyOrder::ASCENDING))
                .collect();
            let source = match buckets {
                Buckets::All => ScanSource::AllBuckets,
                Buckets::One(values) => match bucket_of(table, values, context)? {
                    Some(bucket) => ScanSource::Bucket(bucket),
                    None => return Ok(nothing),
                },
            };
            (source, key_range(&columns, range, context)?)
        }
        Access::Index { index, range } => {
            let def = &table.indexes[*index];
            let columns: Vec<(SqlType, KeyOrder)> = def
                .columns
                .iter()
                .map(|c| {
                    let (descending, nulls_first) = (c.descending, c.nulls_first);
                    let order = KeyOrder { descending, nulls_first };
                    (table.columns[usize::from(c.column)].ty, order)
                })
                .collect();
            (ScanSource::Index(def.id), key_range(&columns, range, context)?)
        }
    };
    let Some(range) = range else { return Ok(nothing) };
    let request = ScanRequest { table: &plan.table, source, range };
    Ok(ScanState::Range { request, position: ScanPosition::default() })
}

fn value(expr: &Expr, context: &ExecContext<'_>) -> SqlResult<Datum> {
    expr.eval(&NoRow, &context.eval)
}

/// The keys of a `Get` with their buckets, each once, in order; those that no row can have are
/// left out.
fn whole_keys(
    table: &TableDef,
    keys: &[Vec<Expr>],
    context: &ExecContext<'_>,
) -> SqlResult<Vec<(BucketId, Vec<u8>)>> {
    let mut found = BTreeSet::new();
    'keys: for key in keys {
        let mut values = Vec::with_capacity(key.len());
        for (expr, column) in key.iter().zip(&table.primary_key) {
            match fit(value(expr, context)?, table.columns[usize::from(*column)].ty) {
                Fit::Exact(value) => values.push(value),
                _ => continue 'keys,
            }
        }
        let of = |column: ColumnIndex| {
            let at = table.primary_key.iter().position(|key| *key == column);
            &values[at.expect("the primary key contains the distribution columns")]
        };
        let bucket = key::bucket(table, || context.reader.bucket_count(table), of)?;
        let mut bytes = Vec::new();
        for (value, column) in values.iter().zip(&table.primary_key) {
            let ty = table.columns[usize::from(*column)].ty;
            keycode::encode(ty, value, KeyOrder::ASCENDING, &mut bytes)?;
        }
        found.insert((bucket, bytes));
    }
    Ok(found.into_iter().collect())
}

fn bucket_of(
    table: &TableDef,
    exprs: &[Expr],
    context: &ExecContext<'_>,
) -> SqlResult<Option<BucketId>> {
    let columns = table.distribution_columns();
    let mut values = Vec::with_capacity(exprs.len());
    for (expr, column) in exprs.iter().zip(columns) {
        match fit(value(expr, context)?, table.columns[usize::from(*column)].ty) {
            Fit::Exact(value) => values.push(value),
            _ => return Ok(None),
        }
    }
    let of = |column: ColumnIndex| {
        let at = columns.iter().position(|known| *known == column);
        &values[at.expect("a distribution column is among them")]
    };
    key::bucket(table, || context.reader.bucket_count(table), of).map(Some)
}

/// The keys in a range over columns of these types and orders; `None` when there is none.
fn key_range(
    columns: &[(SqlType, KeyOrder)],
    range: &RangeExprs,
    context: &ExecContext<'_>,
) -> SqlResult<Option<KeyRange>> {
    let mut prefix = Vec::new();
    for (expr, (ty, order)) in range.equal.iter().zip(columns) {
        match fit(value(expr, context)?, *ty) {
            Fit::Exact(value) => keycode::encode(*ty, &value, *order, &mut prefix)?,
            _ => return Ok(None),
        }
    }
    if range.lower.is_none() && range.upper.is_none() {
        return Ok(Some(key::prefix_range(prefix)));
    }
    let Some((ty, order)) = columns.get(range.equal.len()) else {
        return Err(SqlError::internal("a range over no column"));
    };
    let lower = end(range.lower.as_ref(), context)?;
    let upper = end(range.upper.as_ref(), context)?;
    key::bounded_range(&prefix, *ty, *order, lower, upper)
}

fn end(limit: Option<&Limit>, context: &ExecContext<'_>) -> SqlResult<Option<End>> {
    let Some(limit) = limit else { return Ok(None) };
    Ok(Some(End { value: value(&limit.value, context)?, inclusive: limit.inclusive }))
}

/// Reads a virtual table, which is small and comes as a whole.
pub struct VirtualScanning<'p> {
    plan: &'p VirtualScan,
    rows: Option<std::vec::IntoIter<Row>>,
}

impl<'p> VirtualScanning<'p> {
    pub fn new(plan: &'p VirtualScan) -> VirtualScanning<'p> {
        VirtualScanning { plan, rows: None }
    }
}

impl Operator for VirtualScanning<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        let rows = match &mut self.rows {
            Some(rows) => rows,
            None => {
                let rows = context.reader.virtual_rows(&self.plan.table)?;
                self.rows.insert(rows.into_iter())
            }
        };
        let mut batch = Vec::new();
        let count = rows.len();
        for row in rows.by_ref() {
            let wanted = match &self.plan.filter {
                Some(filter) => filter.eval_condition(&row, &context.eval)?,
                None => true,
            };
            if wanted {
                batch.push(self.plan.columns.iter().map(|at| row[*at].clone()).collect());
            }
            if batch.len() == BATCH_ROWS || context.slice.tire() {
                break;
            }
        }
        context.slice.look_at(count - rows.len());
        if batch.is_empty() && rows.len() > 0 {
            return Poll::Pending;
        }
        Poll::Ready(Ok((!batch.is_empty()).then_some(batch)))
    }
}

/// Gives `generate_series`.
pub struct SeriesScan<'p> {
    plan: &'p Series,
    /// Next value, last value and step; the outer `None` before the start, the inner at the end.
    left: Option<Option<(i64, i64, i64)>>,
}

impl<'p> SeriesScan<'p> {
    pub fn new(plan: &'p Series) -> SeriesScan<'p> {
        SeriesScan { plan, left: None }
    }

    fn start(&self, context: &ExecContext<'_>) -> SqlResult<Option<(i64, i64, i64)>> {
        let mut bounds = [0; 3];
        let exprs = [&self.plan.start, &self.plan.stop, &self.plan.step];
        for (bound, expr) in bounds.iter_mut().zip(exprs) {
            *bound = match value(expr, context)? {
                Datum::Int2(v) => i64::from(v),
                Datum::Int4(v) => i64::from(v),
                Datum::Int8(v) => v,
                _ => return Ok(None),
            };
        }
        let [start, stop, step] = bounds;
        if step == 0 {
            return Err(SqlError::new(
                SqlState::InvalidParameterValue,
                "step size cannot equal zero",
            ));
        }
        Ok(Some((start, stop, step)))
    }
}

impl Operator for SeriesScan<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        let mut left = match self.left {
            Some(left) => left,
            None => self.start(context)?,
        };
        let mut batch = Vec::new();
        while let Some((next, stop, step)) = left {
            let within = if step > 0 { next <= stop } else { next >= stop };
            if !within || batch.len() == context.slice.batch_rows() {
                left = left.filter(|_| within);
                break;
            }
            batch.push(vec![match self.plan.ty {
                SqlType::Int8 => Datum::Int8(next),
                _ => Datum::Int4(next as i32),
            }]);
            left = next.checked_add(step).map(|next| (next, stop, step));
        }
        self.left = Some(left);
        context.slice.look_at(batch.len());
        Poll::Ready(Ok((!batch.is_empty()).then_some(batch)))
    }
}
