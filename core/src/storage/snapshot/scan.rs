//! Making a snapshot's chunks.

use bytes::Bytes;

use super::SnapshotMeta;
use super::chunk::{ChunkRow, HEADER, Kind, begin, seal};
use crate::base::{BucketId, TableId};
use crate::storage::key::Key;
use crate::storage::store::{Hold, Store};
use crate::storage::version::AsOf;

/// What one slice may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SliceLimits {
    /// A chunk ends with the row that reaches this.
    pub bytes: usize,
    /// Keys looked at, whether they have a row to ship or not.
    pub keys: usize,
}

impl Default for SliceLimits {
    /// About 200 µs of work.
    fn default() -> SliceLimits {
        SliceLimits { bytes: 256 << 10, keys: 1_000 }
    }
}

/// What a slice gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanStep {
    /// A chunk with at least one row.
    Chunk(Bytes),
    /// None of the keys looked at has a row in the snapshot; there are more keys.
    Nothing,
    /// The chunk before was the last.
    Done,
}

/// A scan under way.
#[derive(Debug)]
pub struct SnapshotScan {
    at: AsOf,
    hold: Hold,
    position: (TableId, BucketId, Option<Key>),
    /// Of the next chunk.
    number: u64,
}

impl SnapshotScan {
    /// Starts a scan of what `meta` is about. `meta.index` must be committed, and applied.
    pub fn start(store: &mut Store, meta: &SnapshotMeta) -> SnapshotScan {
        assert!(
            meta.index <= store.applied(),
            "a snapshot at {}, applied is {}",
            meta.index,
            store.applied()
        );
        let at = meta.as_of();
        let hold = store.hold(at);
        SnapshotScan { at, hold, position: (TableId(0), BucketId(0), None), number: 1 }
    }

    /// Whether it was begun with this store: another state may have taken that one's place.
    pub fn is_of(&self, store: &Store) -> bool {
        store.keeps(&self.hold)
    }

    /// The next slice.
    pub fn next_chunk(&mut self, store: &Store, limits: SliceLimits) -> ScanStep {
        let mut w = begin();
        let mut last = None;
        let mut drop_one = crate::canary!(SnapshotDropsRow);
        let (table, bucket, after) = &self.position;
        let keys = store.rows_from((*table, *bucket, after.as_ref().map(Key::as_slice)));
        for (table, bucket, key, chain) in keys.take(limits.keys.max(1)) {
            last = Some((table, bucket, key));
            let Some(version) = chain.as_of(self.at) else { continue };
            let Some(row) = version.row() else { continue };
            if std::mem::take(&mut drop_one) {
                continue;
            }
            let as_of = AsOf { ts: version.ts(), log_index: version.log_index() };
            ChunkRow { table, bucket, key, as_of, row }.write(&mut w);
            if w.len() >= limits.bytes {
                break;
            }
        }
        let Some((table, bucket, key)) = last else { return ScanStep::Done };
        self.position = (table, bucket, Some(Key::new(key)));
        if w.len() == HEADER {
            return ScanStep::Nothing;
        }
        self.number += 1;
        ScanStep::Chunk(seal(w, Kind::Rows, self.number - 1))
    }
}
