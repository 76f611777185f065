//! A snapshot as a file: `snap/<group>/<index>`, both as 16 hexadecimal digits.
//!
//! | part   | bytes | content                                                         |
//! |--------|-------|-----------------------------------------------------------------|
//! | chunks |       | meta chunk, then chunks of rows, one after the other            |
//! | footer | 4     | magic `BSFT`                                                    |
//! |        | 4     | version, 1                                                      |
//! |        | 8     | number of chunks                                                |
//! |        | 8     | bytes of all chunks                                             |
//! |        | 4     | CRC-32 (IEEE) of all chunks                                     |
//! |        | 4     | CRC-32 (IEEE) of the footer before this field                   |
//!
//! It is written under the name `<index>.part`, synced, renamed, and the directory synced. A crash
//! before the rename is durable leaves a `.part` file that [`clean`] removes, or nothing.

use bytes::Bytes;

use super::chunk::{self, HEADER};
use super::{SnapshotDamage, SnapshotMeta};
use crate::base::codec::{CodecError, Reader, Writer};
use crate::base::{GroupId, LogIndex};
use crate::seam::{DiskOp, FileId, OpenMode, Sync};
use crate::storage::DiskHandle;
use crate::storage::disk::ROOT_DIR;

/// The directory of all groups' snapshots.
pub const SNAPSHOT_DIR: &str = "snap";
const MAGIC: [u8; 4] = *b"BSFT";
const FILE_VERSION: u32 = 1;
const FOOTER: usize = 32;

fn group_dir(group: GroupId) -> String {
    format!("{SNAPSHOT_DIR}/{:016x}", group.0)
}

fn file_path(group: GroupId, index: LogIndex) -> String {
    format!("{}/{:016x}", group_dir(group), index.0)
}

/// Writes one snapshot.
#[derive(Debug)]
pub struct SnapshotWriter {
    disk: DiskHandle,
    file: FileId,
    group: GroupId,
    index: LogIndex,
    chunks: u64,
    bytes: u64,
    crc: crc32fast::Hasher,
}

impl SnapshotWriter {
    /// Begins the file; the meta chunk is its first.
    pub async fn create(
        disk: DiskHandle,
        meta: &SnapshotMeta,
    ) -> Result<SnapshotWriter, SnapshotDamage> {
        let (group, index) = (meta.group, meta.index);
        disk.run(DiskOp::MakeDir { dir: SNAPSHOT_DIR.into() }).await?;
        disk.sync_dir(ROOT_DIR).await?;
        disk.run(DiskOp::MakeDir { dir: group_dir(group).into() }).await?;
        disk.sync_dir(SNAPSHOT_DIR).await?;
        let part = format!("{}.part", file_path(group, index));
        let (file, _) = disk.open(&part, OpenMode::Truncate).await?;
        let crc = crc32fast::Hasher::new();
        let mut writer = SnapshotWriter { disk, file, group, index, chunks: 0, bytes: 0, crc };
        match writer.append(meta.to_chunk()).await {
            Ok(()) => Ok(writer),
            Err(damage) => writer.abandon().await.and(Err(damage)),
        }
    }

    /// Adds a chunk, which is checked first: it may come from a peer.
    pub async fn append(&mut self, chunk: Bytes) -> Result<(), SnapshotDamage> {
        let (header, _) = chunk::open(&chunk)?;
        if header.number != self.chunks {
            return Err(SnapshotDamage::Corrupt(format!(
                "chunk {} where {} should be",
                header.number, self.chunks
            )));
        }
        self.crc.update(&chunk);
        self.chunks += 1;
        let offset = self.bytes;
        self.bytes += chunk.len() as u64;
        self.write(offset, chunk, Sync::No).await
    }

    /// Bytes written so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the snapshot durable under its name, or gives it up.
    pub async fn finish(self) -> Result<(), SnapshotDamage> {
        if let Err(damage) = self.write_footer().await {
            return self.abandon().await.and(Err(damage));
        }
        self.disk.close(self.file).await?;
        let path = file_path(self.group, self.index);
        let from = format!("{path}.part").into();
        self.disk.run(DiskOp::Rename { from, to: path.into() }).await?;
        self.disk.sync_dir(&group_dir(self.group)).await?;
        Ok(())
    }

    async fn write_footer(&self) -> Result<(), SnapshotDamage> {
        let mut w = Writer::new();
        w.raw(&MAGIC);
        w.u32(FILE_VERSION);
        w.u64(self.chunks);
        w.u64(self.bytes);
        w.u32(self.crc.clone().finalize());
        let own = crc32fast::hash(w.as_slice());
        w.u32(own);
        self.write(self.bytes, w.into_bytes(), Sync::No).await?;
        // The file grew, so its length must reach the disk too.
        self.disk.run(DiskOp::Sync { file: self.file }).await?;
        Ok(())
    }

    /// Gives the snapshot up and removes what was written.
    pub async fn abandon(self) -> Result<(), SnapshotDamage> {
        self.disk.close(self.file).await?;
        let path = format!("{}.part", file_path(self.group, self.index)).into();
        self.disk.run(DiskOp::Remove { path }).await?;
        Ok(())
    }

    async fn write(&self, offset: u64, data: Bytes, then: Sync) -> Result<(), SnapshotDamage> {
        let file = self.file;
        self.disk.run(DiskOp::WriteAt { file, offset, data, then }).await?;
        Ok(())
    }
}

/// Reads one snapshot, chunk by chunk.
#[derive(Debug)]
pub struct SnapshotReader {
    disk: DiskHandle,
    file: FileId,
    offset: u64,
    /// Bytes of all chunks.
    end: u64,
    /// Chunks not read yet.
    left: u64,
    crc: crc32fast::Hasher,
    expected_crc: u32,
}

impl SnapshotReader {
    /// Opens a finished snapshot; its footer is checked.
    pub async fn open(
        disk: DiskHandle,
        group: GroupId,
        index: LogIndex,
    ) -> Result<SnapshotReader, SnapshotDamage> {
        let (file, len) = disk.open(&file_path(group, index), OpenMode::Existing).await?;
        let Some(end) = len.checked_sub(FOOTER as u64) else {
            disk.close(file).await?;
            return corrupt("the file is shorter than its footer");
        };
        let footer = disk.read_at(file, end, FOOTER as u32).await.map_err(SnapshotDamage::from);
        match footer.and_then(|footer| read_footer(footer, end)) {
            Ok((left, expected_crc)) => {
                let crc = crc32fast::Hasher::new();
                Ok(SnapshotReader { disk, file, offset: 0, end, left, crc, expected_crc })
            }
            Err(damage) => {
                disk.close(file).await?;
                Err(damage)
            }
        }
    }

    /// Chunks not read yet, by the footer.
    pub fn chunks_left(&self) -> u64 {
        self.left
    }

    /// The next chunk, checked; `None` after the last. The first is the meta chunk.
    pub async fn next_chunk(&mut self) -> Result<Option<Bytes>, SnapshotDamage> {
        if self.left == 0 {
            let crc = self.crc.clone().finalize();
            if self.offset != self.end || crc != self.expected_crc {
                return corrupt("the chunks are not those the footer tells of");
            }
            return Ok(None);
        }
        let header = self.disk.read_at(self.file, self.offset, HEADER as u32).await?;
        let len = chunk::payload_bytes(&header)? + HEADER;
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        if self.offset + u64::from(len) > self.end {
            return corrupt("a chunk reaches past the end");
        }
        let bytes = self.disk.read_at(self.file, self.offset, len).await?;
        chunk::open(&bytes)?;
        self.crc.update(&bytes);
        self.offset += u64::from(len);
        self.left -= 1;
        Ok(Some(bytes))
    }

    pub async fn close(self) -> Result<(), SnapshotDamage> {
        Ok(self.disk.close(self.file).await?)
    }
}

/// The number of chunks and their checksum.
fn read_footer(footer: Bytes, chunk_bytes: u64) -> Result<(u64, u32), SnapshotDamage> {
    if footer.len() != FOOTER || footer[0..4] != MAGIC {
        return corrupt("there is no footer");
    }
    let own = crc32fast::hash(&footer[..FOOTER - 4]);
    let mut r = Reader::new(footer.slice(4..), "snapshot footer");
    let (version, chunks, bytes) = (r.u32()?, r.u64()?, r.u64()?);
    let (crc, expected) = (r.u32()?, r.u32()?);
    if own != expected || bytes != chunk_bytes {
        return corrupt("the footer is damaged");
    }
    if version > FILE_VERSION {
        let error = CodecError::NewerVersion { what: "snapshot", version: version.into() };
        return Err(error.into());
    }
    Ok((chunks, crc))
}

fn corrupt<T>(why: &str) -> Result<T, SnapshotDamage> {
    Err(SnapshotDamage::Corrupt(why.into()))
}

/// The indexes of a group's finished snapshots, oldest first.
pub async fn list(disk: &DiskHandle, group: GroupId) -> Result<Vec<LogIndex>, SnapshotDamage> {
    let names = disk.list(&group_dir(group)).await?;
    Ok(names.iter().filter_map(|name| finished_index(name)).collect())
}

/// Removes a group's unfinished snapshots and all finished ones that are not at a position in `needed`:
/// older ones, damaged ones, and newer ones that were fetched in vain. Must not run while one is being
/// written.
pub async fn clean(
    disk: &DiskHandle,
    group: GroupId,
    needed: &[LogIndex],
) -> Result<(), SnapshotDamage> {
    let dir = group_dir(group);
    let names = disk.list(&dir).await?;
    let needless = |name: &&String| match finished_index(name) {
        Some(index) => !needed.contains(&index),
        None => name.ends_with(".part"),
    };
    let mut gone = names.iter().filter(needless).peekable();
    if gone.peek().is_none() {
        return Ok(());
    }
    for name in gone {
        disk.run(DiskOp::Remove { path: format!("{dir}/{name}").into() }).await?;
    }
    disk.sync_dir(&dir).await?;
    Ok(())
}

/// The index in the name of a finished snapshot.
fn finished_index(name: &str) -> Option<LogIndex> {
    let index = u64::from_str_radix(name, 16).ok()?;
    (format!("{index:016x}") == name).then_some(LogIndex(index))
}
