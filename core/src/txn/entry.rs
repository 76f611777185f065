//! Entries of a replica set's log: effects, never SQL.
//!
//! ```text
//! version   u8       1
//! tag       u8       1 write · 2 schema
//! write     timestamp u64, count varint, then: table varint, bucket varint, key bytes, row option<bytes>
//! schema    catalog version varint, change bytes (the topology's encoding)
//! ```
//! An empty entry is the one a new leader begins its term with. Applying an entry cannot fail and
//! reads nothing but the state the log built: every replica gets the same.

use bytes::Bytes;

use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{BucketId, CatalogVersion, RowWrite, TableId, Timestamp};

const VERSION: u8 = 1;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShardEntry {
    /// The writes of one transaction, all visible at `timestamp`.
    Write { timestamp: Timestamp, writes: Vec<RowWrite> },
    /// The schema changes at this place of the log.
    Schema { version: CatalogVersion, change: Bytes },
}

impl ShardEntry {
    /// A `Write`, encoded without owning the writes.
    pub fn encode_write(timestamp: Timestamp, writes: &[RowWrite]) -> Bytes {
        let size: usize =
            writes.iter().map(|x| x.key.len() + x.row.as_ref().map_or(0, Bytes::len) + 16).sum();
        let mut w = Writer::with_capacity(size + 24);
        w.u8(VERSION);
        w.u8(1);
        w.u64(timestamp.0);
        w.list(writes, |w, write| {
            w.varint(write.table.0.into());
            w.varint(write.bucket.0.into());
            w.bytes(&write.key);
            w.option(write.row.as_deref(), Writer::bytes);
        });
        w.into_bytes()
    }

    pub fn encode(&self) -> Bytes {
        match self {
            ShardEntry::Write { timestamp, writes } => Self::encode_write(*timestamp, writes),
            ShardEntry::Schema { version, change } => {
                let mut w = Writer::new();
                w.u8(VERSION);
                w.u8(2);
                w.varint(version.0);
                w.bytes(change);
                w.into_bytes()
            }
        }
    }

    pub fn decode(bytes: Bytes) -> CodecResult<ShardEntry> {
        let mut r = Reader::new(bytes, "shard entry");
        let version = r.u8()?;
        if version != VERSION {
            return Err(CodecError::NewerVersion { what: "shard entry", version: version.into() });
        }
        let entry = match r.u8()? {
            1 => ShardEntry::Write {
                timestamp: Timestamp(r.u64()?),
                writes: r.list(|r| {
                    Ok(RowWrite {
                        table: TableId(r.varint_as()?),
                        bucket: BucketId(r.varint_as()?),
                        key: r.bytes()?,
                        row: r.option(Reader::bytes)?,
                    })
                })?,
            },
            2 => ShardEntry::Schema { version: CatalogVersion(r.varint()?), change: r.bytes()? },
            tag => return r.unknown_tag(tag),
        };
        r.finish()?;
        Ok(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let entry = ShardEntry::Write {
            timestamp: Timestamp(0x0102),
            writes: vec![
                RowWrite {
                    table: TableId(16_384),
                    bucket: BucketId(3_000),
                    key: Bytes::from_static(b"k"),
                    row: Some(Bytes::from_static(b"row")),
                },
                RowWrite {
                    table: TableId(16_384),
                    bucket: BucketId(1),
                    key: Bytes::from_static(b"l"),
                    row: None,
                },
            ],
        };
        let hex: String = entry.encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0101020100000000000002808001b817016b0103726f7780800101016c00");
        assert_eq!(ShardEntry::decode(entry.encode()).unwrap(), entry);
        let schema =
            ShardEntry::Schema { version: CatalogVersion(4), change: Bytes::from_static(b"x") };
        assert_eq!(ShardEntry::decode(schema.encode()).unwrap(), schema);
        assert!(ShardEntry::decode(Bytes::from_static(&[2, 1])).is_err());
    }
}
