//! The disk as `core` asks for it: numbered files in the instance's own directory.
//!
//! A file is opened under a [`FileId`] that the instance chooses, and addressed by it until closed.
//! Operations on one file are carried out in the order they were asked for; operations on different
//! files may overlap. Nothing is durable before a completed `Sync` (or `Sync::Data` with a write) of
//! the file and, for a name made, renamed or removed, a completed `SyncDir`.

use std::sync::Arc;

use bytes::Bytes;

/// A file the instance opened; chosen by the instance, unique while open.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u32);

/// Whether a write is made durable before it completes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sync {
    No,
    /// `fdatasync` after the write.
    Data,
}

/// How a file is opened. All modes read and write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OpenMode {
    /// The file must exist, else `NotFound`.
    Existing,
    /// The file is made if missing.
    Create,
    /// The file is made empty, whatever was there.
    Truncate,
}

/// One operation. Paths are relative to the data directory, with `/`; only plain ASCII names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiskOp {
    Open {
        file: FileId,
        path: Arc<str>,
        mode: OpenMode,
    },
    Close {
        file: FileId,
    },
    ReadAt {
        file: FileId,
        offset: u64,
        len: u32,
    },
    WriteAt {
        file: FileId,
        offset: u64,
        data: Bytes,
        then: Sync,
    },
    Sync {
        file: FileId,
    },
    /// Extends the file to `len` bytes of written zeros and makes data and length durable. Takes room for
    /// `reserve` bytes in all first, or fails, where the file system can: a full disk shows before anything
    /// is written.
    Allocate {
        file: FileId,
        len: u64,
        reserve: u64,
    },
    Rename {
        from: Arc<str>,
        to: Arc<str>,
    },
    Remove {
        path: Arc<str>,
    },
    /// Names in a directory, sorted; an empty list where it does not exist.
    List {
        dir: Arc<str>,
    },
    MakeDir {
        dir: Arc<str>,
    },
    SyncDir {
        dir: Arc<str>,
    },
}

/// What a completed operation gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DiskOk {
    Done,
    /// The file's length in bytes.
    Opened {
        len: u64,
    },
    /// Shorter than asked only at the end of the file.
    Read(Bytes),
    Names(Vec<String>),
}

/// Why an operation failed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DiskErrorKind {
    NotFound,
    NoSpace,
    PermissionDenied,
    Io,
}

/// A failed operation: its kind for the code, its message for the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DiskError {
    pub kind: DiskErrorKind,
    pub message: String,
}

pub type DiskResult = Result<DiskOk, DiskError>;
