//! Filling a store from a snapshot's chunks.

use bytes::Bytes;

use super::chunk::{Kind, open, read_row};
use super::{SnapshotDamage, SnapshotMeta};
use crate::base::codec::Reader;
use crate::storage::store::Store;

/// A snapshot being loaded: the meta chunk first, then the others in order.
#[derive(Debug)]
pub struct SnapshotLoad {
    meta: SnapshotMeta,
    next: u64,
    rows: u64,
}

impl SnapshotLoad {
    /// Takes the meta chunk.
    pub fn start(chunk: &Bytes) -> Result<SnapshotLoad, SnapshotDamage> {
        Ok(SnapshotLoad { meta: SnapshotMeta::from_chunk(chunk)?, next: 1, rows: 0 })
    }

    pub fn meta(&self) -> &SnapshotMeta {
        &self.meta
    }

    /// Rows loaded so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the next chunk's rows to `store`, which must have the tables and nothing applied. After an
    /// error the store is useless.
    pub fn chunk(&mut self, store: &mut Store, chunk: &Bytes) -> Result<(), SnapshotDamage> {
        let (header, payload) = open(chunk)?;
        if header.kind != Kind::Rows || header.number != self.next {
            return Err(SnapshotDamage::Corrupt(format!(
                "chunk {} where {} should be",
                header.number, self.next
            )));
        }
        self.next += 1;
        let mut r = Reader::new(payload, "snapshot chunk");
        while r.left() > 0 {
            let (as_of, write) = read_row(&mut r)?;
            if store.table(write.table).is_none() {
                let why = format!("a row of table {}, which is unknown", write.table);
                return Err(SnapshotDamage::Corrupt(why));
            }
            store.load(as_of, &write);
            self.rows += 1;
        }
        Ok(())
    }

    /// Everything is loaded: the store has applied the snapshot's index.
    pub fn finish(self, store: &mut Store) -> SnapshotMeta {
        store.loaded(self.meta.as_of());
        self.meta
    }
}
