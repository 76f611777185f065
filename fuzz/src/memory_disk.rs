//! A disk that does what it is asked, in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;

use basalt_core::seam::{
    DiskError, DiskErrorKind, DiskOk, DiskOp, DiskResult, Executor, FileId, OpenMode,
};
use basalt_core::storage::DiskHandle;
use bytes::Bytes;

/// Files by path. A file keeps its content when it is renamed while open.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    inodes: Vec<Vec<u8>>,
    names: BTreeMap<String, usize>,
    open: BTreeMap<FileId, usize>,
}

impl MemoryDisk {
    /// Adds a file.
    pub fn put(&mut self, path: String, content: Vec<u8>) {
        self.names.insert(path, self.inodes.len());
        self.inodes.push(content);
    }

    /// Path and content of every file.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.names.iter().map(|(path, inode)| (path.as_str(), self.inodes[*inode].as_slice()))
    }

    /// Runs a task that waits for this disk only, to its end.
    pub fn block_on<T, F>(&mut self, task: impl FnOnce(DiskHandle) -> F) -> T
    where
        T: 'static,
        F: Future<Output = T> + 'static,
    {
        self.open.clear();
        let mut executor = Executor::new();
        let disk = DiskHandle::new(executor.spawner());
        let slot = Rc::new(RefCell::new(None));
        let (filled, task) = (slot.clone(), task(disk.clone()));
        executor.spawner().spawn(async move { *filled.borrow_mut() = Some(task.await) });
        loop {
            executor.run_until_stalled();
            if let Some(value) = slot.borrow_mut().take() {
                return value;
            }
            let ops = disk.take_ops();
            assert!(!ops.is_empty(), "the task waits for nothing");
            for (id, op) in ops {
                disk.complete(id, self.carry_out(op));
            }
        }
    }

    /// Carries out one operation.
    pub fn carry_out(&mut self, op: DiskOp) -> DiskResult {
        match op {
            DiskOp::Open { file, path, mode } => return self.open(file, &path, mode),
            DiskOp::Close { file } => drop(self.open.remove(&file)),
            DiskOp::ReadAt { file, offset, len } => {
                let content = self.content(file);
                let start = content.len().min(offset as usize);
                let end = content.len().min(start + len as usize);
                return Ok(DiskOk::Read(Bytes::copy_from_slice(&content[start..end])));
            }
            DiskOp::WriteAt { file, offset, data, .. } => {
                let content = self.content(file);
                let end = offset as usize + data.len();
                content.resize(content.len().max(end), 0);
                content[offset as usize..end].copy_from_slice(&data);
            }
            DiskOp::Allocate { file, len, .. } => {
                let content = self.content(file);
                content.resize(content.len().max(len as usize), 0);
            }
            DiskOp::Rename { from, to } => {
                let inode = self.names.remove(&*from).ok_or_else(|| not_found(&from))?;
                self.names.insert(to.to_string(), inode);
            }
            DiskOp::Remove { path } => {
                self.names.remove(&*path).ok_or_else(|| not_found(&path))?;
            }
            DiskOp::List { dir } => {
                let prefix = format!("{dir}/");
                let names = self.names.keys().filter_map(|p| p.strip_prefix(&prefix));
                return Ok(DiskOk::Names(names.map(str::to_owned).collect()));
            }
            DiskOp::Sync { .. } | DiskOp::MakeDir { .. } | DiskOp::SyncDir { .. } => {}
        }
        Ok(DiskOk::Done)
    }

    fn open(&mut self, file: FileId, path: &str, mode: OpenMode) -> DiskResult {
        let inode = match self.names.get(path) {
            Some(inode) => *inode,
            None if mode == OpenMode::Existing => return Err(not_found(path)),
            None => {
                self.put(path.to_owned(), Vec::new());
                self.inodes.len() - 1
            }
        };
        if mode == OpenMode::Truncate {
            self.inodes[inode].clear();
        }
        self.open.insert(file, inode);
        Ok(DiskOk::Opened { len: self.inodes[inode].len() as u64 })
    }

    fn content(&mut self, file: FileId) -> &mut Vec<u8> {
        &mut self.inodes[self.open[&file]]
    }
}

fn not_found(path: &str) -> DiskError {
    DiskError { kind: DiskErrorKind::NotFound, message: path.to_owned() }
}
