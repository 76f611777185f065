//! A change of one row: what statements produce, log entries carry and storage applies.

use bytes::Bytes;

use super::ids::{BucketId, TableId};

/// Puts or deletes one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowWrite {
    pub table: TableId,
    pub bucket: BucketId,
    /// The primary key, memcomparable.
    pub key: Bytes,
    /// The new row image; `None` deletes.
    pub row: Option<Bytes>,
}
