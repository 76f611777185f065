//! Files that an instance writes as a whole: `identity`, `members`, `lost`.
//!
//! Those that are not plain words have a frame:
//!
//! ```text
//! magic   8 bytes
//! version u8
//! …       what the file says
//! crc32   u32      of everything before
//! ```

use bytes::Bytes;
use uuid::Uuid;

use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::seam::{DiskError, DiskErrorKind, DiskOp, OpenMode, Sync};
use crate::storage::disk::{DiskHandle, ROOT_DIR};

/// The frame of one kind of file.
pub struct Frame {
    /// For errors.
    pub what: &'static str,
    pub magic: [u8; 8],
    pub version: u8,
}

impl Frame {
    pub fn encode(&self, write: impl FnOnce(&mut Writer)) -> Bytes {
        let mut w = Writer::new();
        w.raw(&self.magic);
        w.u8(self.version);
        write(&mut w);
        let crc = crc32fast::hash(w.as_slice());
        w.u32(crc);
        w.into_bytes()
    }

    /// # Errors
    /// The file is of another kind, is damaged, or was written by a newer version.
    pub fn decode<T>(
        &self,
        bytes: Bytes,
        read: impl FnOnce(&mut Reader) -> CodecResult<T>,
    ) -> CodecResult<T> {
        let what = self.what;
        let Some(body) = bytes.len().checked_sub(4) else {
            return Err(CodecError::Truncated { what, needed: 4, left: bytes.len() });
        };
        let mut r = Reader::new(bytes.slice(..body), what);
        if r.raw(8)? != self.magic.as_slice() {
            return r.invalid("it does not begin as one does");
        }
        let version = r.u8()?;
        if version != self.version {
            return Err(CodecError::NewerVersion { what, version: version.into() });
        }
        let crc = Reader::new(bytes.slice(body..), what).u32()?;
        if crc != crc32fast::hash(&bytes[..body]) {
            return r.invalid("its checksum is wrong");
        }
        let value = read(&mut r)?;
        r.finish()?;
        Ok(value)
    }
}

/// Sixteen bytes.
pub fn read_uuid(r: &mut Reader) -> CodecResult<Uuid> {
    let bytes = r.raw(16)?;
    Uuid::from_slice(&bytes).or_else(|_| r.invalid("a uuid of other than 16 bytes"))
}

/// The first `max` bytes of a file; `None` if there is none of this name.
pub async fn read(disk: &DiskHandle, name: &str, max: u64) -> Result<Option<Bytes>, DiskError> {
    let (file, len) = match disk.open(name, OpenMode::Existing).await {
        Err(error) if error.kind == DiskErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let bytes = disk.read_all(file, len.min(max)).await;
    disk.close(file).await?;
    Ok(Some(bytes?))
}

/// Writes a file: the whole of it, or what was there before, is there after a crash.
pub async fn write(disk: &DiskHandle, name: &str, data: Bytes) -> Result<(), DiskError> {
    let new = format!("{name}.new");
    let (file, _) = disk.open(&new, OpenMode::Truncate).await?;
    let written = async {
        disk.run(DiskOp::WriteAt { file, offset: 0, data, then: Sync::Data }).await?;
        disk.run(DiskOp::Sync { file }).await
    };
    let written = written.await;
    disk.close(file).await?;
    written?;
    disk.run(DiskOp::Rename { from: new.into(), to: name.into() }).await?;
    disk.sync_dir(ROOT_DIR).await
}
