//! What statements read: rows of the store as of one moment, and tables computed from the ring.
//!
//! The reader notes the highest log position of any version it saw, a delete included: the reply waits
//! for it to be committed.

use std::cell::Cell;
use std::ops::Bound;

use bytes::Bytes;

use super::shard::ShardMember;
use crate::base::schema::{Distribution, TableDef};
use crate::base::{BucketId, Datum, LogIndex, SqlError, SqlResult, SqlState, Timestamp, UserId};
use crate::exec::{Reader, RowSink, ScanPosition, ScanRequest, ScanSource, point};
use crate::sql::catalog::VirtualTable;
use crate::sql::plan::PointPlan;
use crate::storage::table::Seen;
use crate::topology::RingState;
use crate::topology::virtual_table::{self, SettingRow, View};

/// One statement's view.
pub struct StoreReader<'a> {
    /// `None` for a statement that reads virtual tables only.
    pub shard: Option<&'a ShardMember>,
    pub ring: &'a RingState,
    pub user: UserId,
    pub settings: &'a [SettingRow],
    /// Rows are as of here.
    at: Timestamp,
    observed: Cell<LogIndex>,
}

impl<'a> StoreReader<'a> {
    pub fn new(
        shard: Option<&'a ShardMember>,
        ring: &'a RingState,
        user: UserId,
        settings: &'a [SettingRow],
        at: Timestamp,
    ) -> StoreReader<'a> {
        StoreReader { shard, ring, user, settings, at, observed: Cell::new(LogIndex(0)) }
    }

    /// The highest log position of anything seen.
    pub fn observed(&self) -> LogIndex {
        self.observed.get()
    }

    /// The point path: the row goes to the sink as it is stored; how many rows that were.
    pub fn point(
        &self,
        plan: &PointPlan,
        params: &[Datum],
        buffer: &mut point::KeyBuffer,
        sink: &mut dyn RowSink,
    ) -> SqlResult<u64> {
        let count = || self.bucket_count(&plan.table);
        let Some(bucket) = point::locate(plan, params, count, buffer)? else { return Ok(0) };
        let store = &self.shard(&plan.table)?.store;
        let seen = store.get(plan.table.id, bucket, buffer.key(), self.at);
        point::send(plan, seen.and_then(|seen| self.note(&seen)), sink)
    }

    fn note<'s>(&self, seen: &Seen<'s>) -> Option<&'s [u8]> {
        self.observed.set(self.observed.get().max(seen.log_index));
        seen.row
    }

    /// The store, if it has this version of the table: a plan may be older or newer than the log.
    fn shard(&self, table: &TableDef) -> SqlResult<&'a ShardMember> {
        let shard = self.shard.ok_or_else(|| SqlError::internal("no rows are at hand here"))?;
        match shard.store.table(table.id) {
            Some(known) if known.version == table.version => Ok(shard),
            Some(_) if crate::canary!(RunOldPlan) => Ok(shard),
            Some(_) => Err(changed(table)),
            None => Err(SqlError::new(
                SqlState::UndefinedTable,
                format!("relation \"{}\" does not exist", table.name),
            )),
        }
    }
}

/// `40001`: the table's definition is not the one the statement was planned with.
fn changed(table: &TableDef) -> SqlError {
    SqlError::new(
        SqlState::SerializationFailure,
        format!("the definition of table \"{}\" has changed", table.name),
    )
    .with_hint("Retry the statement.")
}

impl Reader for StoreReader<'_> {
    fn bucket_count(&self, table: &TableDef) -> u16 {
        match &table.distribution {
            Distribution::Global => 1,
            Distribution::Sharded { tier, .. } => {
                self.ring.tiers.get(tier).map_or(1, |tier| tier.bucket_count.max(1))
            }
        }
    }

    fn get(&self, table: &TableDef, bucket: BucketId, key: &[u8]) -> SqlResult<Option<Bytes>> {
        let store = &self.shard(table)?.store;
        let Some(seen) = store.get(table.id, bucket, key, self.at) else { return Ok(None) };
        Ok(self.note(&seen).map(Bytes::copy_from_slice))
    }

    fn scan(
        &self,
        request: &ScanRequest<'_>,
        position: &mut ScanPosition,
        limit: usize,
        rows: &mut Vec<Bytes>,
    ) -> SqlResult<usize> {
        let store = &self.shard(request.table)?.store;
        let table = request.table.id;
        let after = position.after.take();
        let end = match &request.range.end {
            Some(end) => Bound::Excluded(end.as_slice()),
            None => Bound::Unbounded,
        };
        let start = |resume: Option<&Vec<u8>>| match resume {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Included(request.range.start.clone()),
        };
        let mut batch = Batch { reader: self, limit, looked_at: 0, rows, position };
        match request.source {
            ScanSource::Bucket(bucket) => {
                let from = start(after.as_ref().map(|(_, key)| key));
                let range = (from.as_ref().map(Vec::as_slice), end);
                for (key, seen) in store.scan(table, bucket, range, self.at) {
                    if batch.add(bucket, key, &seen) {
                        return Ok(limit);
                    }
                }
            }
            ScanSource::AllBuckets => {
                let first = after.as_ref().map_or(BucketId(0), |(bucket, _)| *bucket);
                for bucket in store.buckets_from(table, first) {
                    let resume = after.as_ref().filter(|(b, _)| *b == bucket).map(|(_, key)| key);
                    let from = start(resume);
                    let range = (from.as_ref().map(Vec::as_slice), end);
                    for (key, seen) in store.scan(table, bucket, range, self.at) {
                        if batch.add(bucket, key, &seen) {
                            return Ok(limit);
                        }
                    }
                }
            }
            ScanSource::Index(index) => {
                let from = start(after.as_ref().map(|(_, key)| key));
                let range = (from.as_ref().map(Vec::as_slice), end);
                for hit in store.index_scan(table, index, range, self.at) {
                    if batch.add(hit.bucket, hit.index_key, &hit.seen) {
                        return Ok(limit);
                    }
                }
            }
        }
        let looked_at = batch.looked_at;
        position.done = true;
        Ok(looked_at)
    }

    fn virtual_rows(&self, table: &VirtualTable) -> SqlResult<Vec<Vec<Datum>>> {
        let Some(found) = virtual_table::by_oid(table.id.0) else {
            return Err(SqlError::internal(format!("virtual table {} is not there", table.name)));
        };
        let view = View { ring: self.ring, user: self.user, settings: self.settings };
        Ok((found.rows)(&view))
    }
}

/// Rows of one call of `scan`.
struct Batch<'a, 'r> {
    reader: &'a StoreReader<'a>,
    limit: usize,
    looked_at: usize,
    rows: &'r mut Vec<Bytes>,
    position: &'r mut ScanPosition,
}

impl Batch<'_, '_> {
    /// Takes the row under a key, if there is one; `true` when the batch is full, with the position
    /// behind it.
    fn add(&mut self, bucket: BucketId, key: &[u8], seen: &Seen<'_>) -> bool {
        if let Some(row) = self.reader.note(seen) {
            self.rows.push(Bytes::copy_from_slice(row));
        }
        self.looked_at += 1;
        let full = self.looked_at == self.limit;
        if full {
            self.position.after = Some((bucket, key.to_vec()));
        }
        full
    }
}
