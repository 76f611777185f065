//! The point path: one row by its primary key, without operators.
//!
//! Per call: encode the key into a reused buffer, hash its first bytes to a bucket, get. The row is
//! handed out as it is stored.

use bytes::Bytes;

use super::key::{self, Fit, fit};
use super::reader::Reader;
use super::sink::RowSink;
use crate::base::schema::{ColumnIndex, Distribution};
use crate::base::{BucketId, Datum, KeyOrder, RowRef, SqlError, SqlResult, keycode};
use crate::sql::plan::PointPlan;
use crate::sql::plan::point::{KeySlot, SlotSource};

/// Room for keys; keep one and use it again.
#[derive(Debug, Default)]
pub struct KeyBuffer {
    bytes: Vec<u8>,
}

impl KeyBuffer {
    /// The key that [`locate`] wrote last.
    pub fn key(&self) -> &[u8] {
        &self.bytes
    }
}

/// Writes the key of a point plan into the buffer and gives its bucket; `None` when no row can have
/// the key: it has a NULL, or a number outside its column's type.
pub fn locate(
    plan: &PointPlan,
    params: &[Datum],
    bucket_count: impl FnOnce() -> u16,
    buffer: &mut KeyBuffer,
) -> SqlResult<Option<BucketId>> {
    buffer.bytes.clear();
    let mut distribution_end = 0;
    for (at, slot) in plan.key.iter().enumerate() {
        let Fit::Exact(value) = slot_value(slot, params)? else { return Ok(None) };
        keycode::encode(slot.ty, &value, KeyOrder::ASCENDING, &mut buffer.bytes)?;
        if plan.distribution_prefix == Some(at + 1) {
            distribution_end = buffer.bytes.len();
        }
    }
    let bucket = match (&plan.table.distribution, plan.distribution_prefix) {
        (Distribution::Global, _) => BucketId::GLOBAL,
        (Distribution::Sharded { .. }, Some(_)) => {
            crate::bucket::bucket_of_key(&buffer.bytes[..distribution_end], bucket_count())
        }
        (Distribution::Sharded { .. }, None) => scattered_bucket(plan, params, bucket_count)?,
    };
    Ok(Some(bucket))
}

/// The row of a point plan as it is stored.
pub fn execute(
    plan: &PointPlan,
    params: &[Datum],
    reader: &dyn Reader,
    buffer: &mut KeyBuffer,
) -> SqlResult<Option<Bytes>> {
    let count = || reader.bucket_count(&plan.table);
    match locate(plan, params, count, buffer)? {
        Some(bucket) => reader.get(&plan.table, bucket, &buffer.bytes),
        None => Ok(None),
    }
}

/// Sends the plan's columns of a stored row; how many rows that were.
pub fn send(plan: &PointPlan, row: Option<&[u8]>, sink: &mut dyn RowSink) -> SqlResult<u64> {
    let Some(row) = row else { return Ok(0) };
    sink.stored(RowRef::new(&plan.layout, row)?, &plan.columns)?;
    Ok(1)
}

fn slot_value(slot: &KeySlot, params: &[Datum]) -> SqlResult<Fit> {
    let value = match &slot.source {
        SlotSource::Constant(value) => value,
        SlotSource::Param(index) => match params.get(*index) {
            Some(value) => value,
            None => return Err(SqlError::internal(format!("no value for ${}", index + 1))),
        },
    };
    Ok(fit(value.clone(), slot.ty))
}

/// The bucket where the distribution columns are not the first of the primary key.
fn scattered_bucket(
    plan: &PointPlan,
    params: &[Datum],
    bucket_count: impl FnOnce() -> u16,
) -> SqlResult<BucketId> {
    let mut values = Vec::with_capacity(plan.key.len());
    for slot in &plan.key {
        match slot_value(slot, params)? {
            Fit::Exact(value) => values.push(value),
            _ => return Err(SqlError::internal("a key that no row can have")),
        }
    }
    let of = |column: ColumnIndex| {
        let at = plan.table.primary_key.iter().position(|key| *key == column);
        &values[at.expect("the primary key contains the distribution columns")]
    };
    key::bucket(&plan.table, bucket_count, of)
}
