//! Disk operations, one at a time, inside one directory.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use basalt_core::seam::{
    DiskError, DiskErrorKind, DiskOk, DiskOp, DiskResult, FileId, OpenMode, Sync,
};
use bytes::Bytes;
use rustix::fs::FallocateFlags;

use super::data_dir::{DIRECTORY_MODE, FILE_MODE};
use crate::descriptors::patiently;

/// Zeros written by one call when a file is extended.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// The open files of one instance.
#[derive(Debug)]
pub struct Files {
    root: PathBuf,
    open: BTreeMap<FileId, File>,
}

impl Files {
    /// Works inside `root`, an existing directory.
    pub fn new(root: &Path) -> Files {
        Files { root: root.to_owned(), open: BTreeMap::new() }
    }

    /// Carries out one operation.
    pub fn run(&mut self, op: &DiskOp) -> DiskResult {
        match op {
            DiskOp::Open { file, path, mode } => self.open(*file, path, *mode),
            DiskOp::Close { file } => match self.open.remove(file) {
                Some(_) => Ok(DiskOk::Done),
                None => Err(not_open(*file)),
            },
            DiskOp::ReadAt { file, offset, len } => self.read(*file, *offset, *len),
            DiskOp::WriteAt { file, offset, data, then } => {
                self.write(*file, *offset, data)?;
                if *then == Sync::Data { self.sync(*file) } else { Ok(DiskOk::Done) }
            }
            DiskOp::Sync { file } => self.sync(*file),
            DiskOp::Allocate { file, len, reserve } => self.allocate(*file, *len, *reserve),
            DiskOp::Rename { from, to } => {
                let outcome = fs::rename(self.path(from)?, self.path(to)?);
                outcome.map_err(|error| failed("rename", from, &error))?;
                Ok(DiskOk::Done)
            }
            DiskOp::Remove { path } => {
                let outcome = fs::remove_file(self.path(path)?);
                outcome.map_err(|error| failed("remove", path, &error))?;
                Ok(DiskOk::Done)
            }
            DiskOp::List { dir } => self.list(dir),
            DiskOp::MakeDir { dir } => {
                let mut builder = DirBuilder::new();
                let outcome = builder.recursive(true).mode(DIRECTORY_MODE).create(self.path(dir)?);
                outcome.map_err(|error| failed("make directory", dir, &error))?;
                Ok(DiskOk::Done)
            }
            DiskOp::SyncDir { dir } => {
                let path = self.path(dir)?;
                let outcome = patiently(|| File::open(&path)).and_then(|dir| dir.sync_all());
                outcome.map_err(|error| failed("sync directory", dir, &error))?;
                Ok(DiskOk::Done)
            }
        }
    }

    /// Writes without making it durable.
    pub fn write(&self, file: FileId, offset: u64, data: &[u8]) -> DiskResult {
        let outcome = self.file(file)?.write_all_at(data, offset);
        outcome.map_err(|error| failed("write", file.0, &error))?;
        Ok(DiskOk::Done)
    }

    /// Makes everything written to a file durable.
    pub fn sync(&self, file: FileId) -> DiskResult {
        let outcome = self.file(file)?.sync_data();
        outcome.map_err(|error| failed("sync", file.0, &error))?;
        Ok(DiskOk::Done)
    }

    fn open(&mut self, id: FileId, path: &str, mode: OpenMode) -> DiskResult {
        if self.open.contains_key(&id) {
            return Err(refused(format!("{id:?} is open already")));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(FILE_MODE);
        match mode {
            OpenMode::Existing => {}
            OpenMode::Create => {
                options.create(true);
            }
            OpenMode::Truncate => {
                options.create(true).truncate(true);
            }
        }
        let whole = self.path(path)?;
        let opened = patiently(|| options.open(&whole));
        let file = opened.map_err(|error| failed("open", path, &error))?;
        let len = file.metadata().map_err(|error| failed("open", path, &error))?.len();
        self.open.insert(id, file);
        Ok(DiskOk::Opened { len })
    }

    fn read(&self, id: FileId, offset: u64, len: u32) -> DiskResult {
        let file = self.file(id)?;
        let failed = |error: io::Error| failed("read", id.0, &error);
        let present = file.metadata().map_err(failed)?.len().saturating_sub(offset);
        let mut buffer = vec![0; present.min(u64::from(len)) as usize];
        let mut filled = 0;
        while filled < buffer.len() {
            match file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(bytes) => filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        buffer.truncate(filled);
        Ok(DiskOk::Read(Bytes::from(buffer)))
    }

    /// Space is taken first; then zeros are written, because a sync after writing into merely reserved space
    /// still changes metadata.
    fn allocate(&self, id: FileId, len: u64, reserve: u64) -> DiskResult {
        let file = self.file(id)?;
        let failed = |error: io::Error| failed("allocate", id.0, &error);
        let mut end = file.metadata().map_err(failed)?.len();
        let reserve = reserve.max(len);
        if end < reserve {
            match rustix::fs::fallocate(file, FallocateFlags::KEEP_SIZE, end, reserve - end) {
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        while end < len {
            let part = (len - end).min(ZEROS.len() as u64);
            file.write_all_at(&ZEROS[..part as usize], end).map_err(failed)?;
            end += part;
        }
        file.sync_data().map_err(failed)?;
        Ok(DiskOk::Done)
    }

    /// Dot files and sockets in the directory are the shell's own and not shown.
    fn list(&self, dir: &str) -> DiskResult {
        let failed = |error: io::Error| failed("list", dir, &error);
        let path = self.path(dir)?;
        let entries = match patiently(|| fs::read_dir(&path)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(DiskOk::Names(Vec::new()));
            }
            Err(error) => return Err(failed(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if (kind.is_file() || kind.is_dir()) && !name.starts_with('.') {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(DiskOk::Names(names))
    }

    fn file(&self, id: FileId) -> Result<&File, DiskError> {
        self.open.get(&id).ok_or_else(|| not_open(id))
    }

    /// The path inside the directory; nothing leads out of it.
    fn path(&self, path: &str) -> Result<PathBuf, DiskError> {
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if inside {
            Ok(self.root.join(path))
        } else {
            Err(refused(format!("path {path:?} leads out of the data directory")))
        }
    }
}

fn not_open(file: FileId) -> DiskError {
    refused(format!("{file:?} is not open"))
}

fn refused(message: String) -> DiskError {
    DiskError { kind: DiskErrorKind::Io, message }
}

fn failed(what: &str, name: impl std::fmt::Display, error: &io::Error) -> DiskError {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => DiskErrorKind::NotFound,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => DiskErrorKind::NoSpace,
        io::ErrorKind::PermissionDenied => DiskErrorKind::PermissionDenied,
        _ => DiskErrorKind::Io,
    };
    DiskError { kind, message: format!("cannot {what} {name}: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAL: FileId = FileId(1);

    fn open(files: &mut Files, path: &str, mode: OpenMode) -> DiskResult {
        files.run(&DiskOp::Open { file: WAL, path: path.into(), mode })
    }

    fn read(files: &mut Files, offset: u64, len: u32) -> Bytes {
        match files.run(&DiskOp::ReadAt { file: WAL, offset, len }) {
            Ok(DiskOk::Read(bytes)) => bytes,
            other => panic!("a read gave {other:?}"),
        }
    }

    #[test]
    fn a_file_is_written_read_renamed_listed_and_removed() {
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::new(root.path());
        files.run(&DiskOp::MakeDir { dir: "wal".into() }).unwrap();
        assert_eq!(open(&mut files, "wal/1", OpenMode::Create), Ok(DiskOk::Opened { len: 0 }));
        let data = Bytes::from_static(b"abcdef");
        files.run(&DiskOp::WriteAt { file: WAL, offset: 2, data, then: Sync::Data }).unwrap();
        assert_eq!(read(&mut files, 0, 5), &b"\0\0abc"[..]);
        assert_eq!(read(&mut files, 6, 100), &b"ef"[..]);
        assert_eq!(read(&mut files, 60, 100), &b""[..]);
        files.run(&DiskOp::Rename { from: "wal/1".into(), to: "wal/2".into() }).unwrap();
        files.run(&DiskOp::SyncDir { dir: "wal".into() }).unwrap();
        let names = files.run(&DiskOp::List { dir: "wal".into() });
        assert_eq!(names, Ok(DiskOk::Names(vec!["2".to_owned()])));
        files.run(&DiskOp::Close { file: WAL }).unwrap();
        assert_eq!(open(&mut files, "wal/2", OpenMode::Existing), Ok(DiskOk::Opened { len: 8 }));
        files.run(&DiskOp::Close { file: WAL }).unwrap();
        assert_eq!(open(&mut files, "wal/2", OpenMode::Truncate), Ok(DiskOk::Opened { len: 0 }));
        files.run(&DiskOp::Remove { path: "wal/2".into() }).unwrap();
        assert_eq!(files.run(&DiskOp::List { dir: "wal".into() }), Ok(DiskOk::Names(vec![])));
        assert_eq!(files.run(&DiskOp::List { dir: "none".into() }), Ok(DiskOk::Names(vec![])));
    }

    #[test]
    fn what_it_makes_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::new(root.path());
        files.run(&DiskOp::MakeDir { dir: "wal/deep".into() }).unwrap();
        open(&mut files, "wal/deep/1", OpenMode::Create).unwrap();
        let mode = |path| root.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!([mode("wal"), mode("wal/deep"), mode("wal/deep/1")], [0o700, 0o700, 0o600]);
    }

    #[test]
    fn an_allocated_file_holds_zeros_behind_what_it_held() {
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::new(root.path());
        open(&mut files, "log", OpenMode::Create).unwrap();
        files.write(WAL, 0, b"head").unwrap();
        let len = 3 * ZEROS.len() as u64 + 17;
        files.run(&DiskOp::Allocate { file: WAL, len, reserve: len }).unwrap();
        let bytes = read(&mut files, 0, u32::MAX);
        assert_eq!(bytes.len() as u64, len);
        assert_eq!(&bytes[..4], b"head");
        assert!(bytes[4..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn room_for_all_pieces_is_taken_with_the_first() {
        use std::os::unix::fs::MetadataExt;
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::new(root.path());
        open(&mut files, "log", OpenMode::Create).unwrap();
        files.run(&DiskOp::Allocate { file: WAL, len: 1 << 16, reserve: 1 << 20 }).unwrap();
        let file = root.path().join("log").metadata().unwrap();
        assert_eq!(file.len(), 1 << 16);
        assert!(file.blocks() * 512 >= 1 << 20, "{} blocks", file.blocks());
        // However much room there is, no file is so long; and none is written before.
        let too_much = DiskOp::Allocate { file: WAL, len: 1 << 17, reserve: 1 << 62 };
        assert!(files.run(&too_much).is_err());
        assert_eq!(root.path().join("log").metadata().unwrap().len(), 1 << 16);
    }

    #[test]
    fn nothing_outside_the_directory_is_touched() {
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::new(root.path());
        for path in ["../x", "/etc/passwd", "a/../../x"] {
            assert!(open(&mut files, path, OpenMode::Create).is_err(), "{path}");
            assert!(files.run(&DiskOp::Remove { path: path.into() }).is_err(), "{path}");
        }
    }

    #[test]
    fn the_shells_own_files_are_not_listed() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(".lock"), "").unwrap();
        fs::write(root.path().join("identity"), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.path().join("admin.sock"));
        let mut files = Files::new(root.path());
        let names = files.run(&DiskOp::List { dir: "".into() });
        assert_eq!(names, Ok(DiskOk::Names(vec!["identity".to_owned()])));
    }

    #[test]
    fn a_missing_file_is_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let mut files = Files::new(root.path());
        let error = open(&mut files, "none", OpenMode::Existing).unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::NotFound);
    }
}
