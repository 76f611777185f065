//! What execution reads from: one snapshot of the rows, with the transaction's own writes over it.
//!
//! The transaction layer implements [`Reader`] over storage and notes what was read, to validate
//! it at commit. A scan keeps no cursor open: it is asked for the rows behind a [`ScanPosition`]
//! again and again, so a statement may stop between two batches and go on later.

use bytes::Bytes;

use crate::base::schema::TableDef;
use crate::base::{BucketId, Datum, IndexId, SqlResult};
use crate::sql::catalog::VirtualTable;

/// One snapshot.
pub trait Reader {
    /// Number of buckets of the table's tier; not asked for global tables.
    fn bucket_count(&self, table: &TableDef) -> u16;

    /// The row with this primary key.
    fn get(&self, table: &TableDef, bucket: BucketId, key: &[u8]) -> SqlResult<Option<Bytes>>;

    /// Looks at the next keys, at most `limit`, appends the rows that are under them, in key order
    /// within each bucket or index, and moves the position behind them. At the end it sets
    /// [`ScanPosition::done`]. Gives how many keys it looked at.
    fn scan(
        &self,
        request: &ScanRequest<'_>,
        position: &mut ScanPosition,
        limit: usize,
        rows: &mut Vec<Bytes>,
    ) -> SqlResult<usize>;

    /// All rows of a virtual table, with all its columns.
    fn virtual_rows(&self, table: &VirtualTable) -> SqlResult<Vec<Vec<Datum>>>;
}

/// Rows to be scanned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanRequest<'a> {
    pub table: &'a TableDef,
    pub source: ScanSource,
    /// Of the primary key, or of the index's columns followed by the primary key.
    pub range: KeyRange,
}

/// What is scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanSource {
    /// Every bucket that the reader covers, lowest first.
    AllBuckets,
    Bucket(BucketId),
    Index(IndexId),
}

/// Keys from `start`, which is included, to `end`, which is not; `None` has no end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    pub start: Vec<u8>,
    pub end: Option<Vec<u8>>,
}

impl KeyRange {
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_slice() && self.end.as_ref().is_none_or(|end| key < end.as_slice())
    }

    pub fn is_empty(&self) -> bool {
        self.end.as_ref().is_some_and(|end| *end <= self.start)
    }
}

/// How far a scan has come. Execution makes it, the reader moves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPosition {
    /// The last key looked at: its bucket (for an index, any) and its key.
    pub after: Option<(BucketId, Vec<u8>)>,
    pub done: bool,
}
