//! Asking for disk operations, from state machines and from `async fn`s.
//!
//! One handle an instance numbers the operations and the open files, and queues what was asked for
//! until the turn's end. A result goes to whoever awaits it; if nobody does, it is handed back, for
//! the state machine that knows the operation's id:
//!
//! ```text
//!   submit(op) ─┐                        ┌─ a task awaits it: the task becomes ready
//!               ├─ take_ops ─ the shell ─┤ complete(id, result)
//!   run(op)    ─┘                        └─ nobody does: the result is handed back
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;

use crate::base::OpId;
use crate::seam::{
    DiskError, DiskErrorKind, DiskOk, DiskOp, DiskResult, FileId, OpenMode, Resolver, Spawner,
};

/// The directory all paths are relative to, as an operation names it.
pub const ROOT_DIR: &str = "";

/// Queues disk operations; cheap to clone.
#[derive(Clone, Debug)]
pub struct DiskHandle {
    shared: Rc<Shared>,
}

#[derive(Debug)]
struct Shared {
    spawner: Spawner,
    next_op: Cell<u64>,
    next_file: Cell<u32>,
    queued: RefCell<Vec<(OpId, DiskOp)>>,
    awaited: RefCell<BTreeMap<OpId, Resolver<DiskResult>>>,
}

impl DiskHandle {
    pub fn new(spawner: Spawner) -> DiskHandle {
        DiskHandle {
            shared: Rc::new(Shared {
                spawner,
                next_op: Cell::new(1),
                next_file: Cell::new(1),
                queued: RefCell::default(),
                awaited: RefCell::default(),
            }),
        }
    }

    /// Asks for an operation whose result comes back from [`DiskHandle::complete`].
    pub fn submit(&self, op: DiskOp) -> OpId {
        let id = OpId(self.shared.next_op.get());
        self.shared.next_op.set(id.0 + 1);
        self.shared.queued.borrow_mut().push((id, op));
        id
    }

    /// Carries out an operation: for tasks.
    pub async fn run(&self, op: DiskOp) -> DiskResult {
        let id = self.submit(op);
        let (completion, resolver) = self.shared.spawner.completion();
        self.shared.awaited.borrow_mut().insert(id, resolver);
        completion.await.unwrap_or_else(|| {
            Err(DiskError { kind: DiskErrorKind::Io, message: "the instance is stopping".into() })
        })
    }

    /// A file id that was never used before.
    pub fn new_file(&self) -> FileId {
        let file = FileId(self.shared.next_file.get());
        self.shared.next_file.set(file.0 + 1);
        file
    }

    /// The operations asked for since the last call, in order.
    pub fn take_ops(&self) -> Vec<(OpId, DiskOp)> {
        self.shared.queued.take()
    }

    /// Gives a result to the task that awaits it, or back if none does.
    pub fn complete(&self, op: OpId, result: DiskResult) -> Option<DiskResult> {
        match self.shared.awaited.borrow_mut().remove(&op) {
            Some(resolver) => {
                resolver.resolve(result);
                None
            }
            None => Some(result),
        }
    }

    /// The names in `dir`, sorted.
    pub async fn list(&self, dir: &str) -> Result<Vec<String>, DiskError> {
        match self.run(DiskOp::List { dir: dir.into() }).await? {
            DiskOk::Names(names) => Ok(names),
            other => Err(unexpected("list", &other)),
        }
    }

    /// Opens a file; gives its id and its length in bytes.
    pub async fn open(&self, path: &str, mode: OpenMode) -> Result<(FileId, u64), DiskError> {
        let file = self.new_file();
        match self.run(DiskOp::Open { file, path: path.into(), mode }).await? {
            DiskOk::Opened { len } => Ok((file, len)),
            other => Err(unexpected("open", &other)),
        }
    }

    /// Up to `len` bytes from `offset`; fewer only at the end of the file.
    pub async fn read_at(&self, file: FileId, offset: u64, len: u32) -> Result<Bytes, DiskError> {
        match self.run(DiskOp::ReadAt { file, offset, len }).await? {
            DiskOk::Read(bytes) => Ok(bytes),
            other => Err(unexpected("read", &other)),
        }
    }

    /// Everything in a file of `len` bytes.
    pub async fn read_all(&self, file: FileId, len: u64) -> Result<Bytes, DiskError> {
        let Ok(len) = u32::try_from(len) else {
            return Err(DiskError {
                kind: DiskErrorKind::Io,
                message: format!("a file of {len} bytes is too large to be one of ours"),
            });
        };
        self.read_at(file, 0, len).await
    }

    pub async fn close(&self, file: FileId) -> Result<(), DiskError> {
        self.run(DiskOp::Close { file }).await.map(drop)
    }

    pub async fn sync_dir(&self, dir: &str) -> Result<(), DiskError> {
        if crate::canary!(SkipSyncDir) {
            return Ok(());
        }
        self.run(DiskOp::SyncDir { dir: dir.into() }).await.map(drop)
    }
}

/// The shell answered with the result of another kind of operation.
fn unexpected(operation: &str, got: &DiskOk) -> DiskError {
    DiskError { kind: DiskErrorKind::Io, message: format!("{operation} was answered by {got:?}") }
}
