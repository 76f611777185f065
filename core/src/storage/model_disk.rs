//! A disk for tests: it keeps what was written apart from what is durable, and can lose and tear the
//! difference.
//!
//! Contents: unsynced writes survive a crash sector by sector, at random. Names: changes survive in
//! order, up to a random one. An allocation is durable when done.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::DiskHandle;
use crate::seam::{
    DiskError, DiskErrorKind, DiskOk, DiskOp, DiskResult, Executor, FileId, OpenMode, Rng, Sync,
};

const SECTOR: usize = 512;

#[derive(Clone, Debug, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link(String, usize),
    Rename(String, String),
    Remove(String),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct ModelDisk {
    inodes: Vec<Inode>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    unsynced_names: Vec<NameChange>,
    open: BTreeMap<FileId, usize>,
    /// Operations to carry out before every further one is ignored; `None` for no limit.
    pub ops_left: Option<u64>,
}

impl ModelDisk {
    /// Carries out one operation; `None` once the crash point is reached.
    pub fn run(&mut self, op: DiskOp) -> Option<DiskResult> {
        if let Some(left) = &mut self.ops_left {
            if *left == 0 {
                // The operation under way when the power goes may have happened in part.
                if let DiskOp::WriteAt { file, offset, data, .. } = op {
                    self.write(file, offset, &data);
                }
                return None;
            }
            *left -= 1;
        }
        Some(self.carry_out(op))
    }

    /// Crashes: keeps a random part of what was not durable.
    pub fn crash(&mut self, rng: &mut Rng) {
        for inode in &mut self.inodes {
            let mut survived = inode.durable.clone();
            survived.resize(inode.durable.len().max(inode.content.len()), 0);
            let mut longest = inode.durable.len();
            for start in (0..inode.content.len()).step_by(SECTOR) {
                let end = (start + SECTOR).min(inode.content.len());
                if rng.chance(500_000) {
                    survived[start..end].copy_from_slice(&inode.content[start..end]);
                    longest = longest.max(end);
                }
            }
            survived.truncate(longest);
            inode.content = survived.clone();
            inode.durable = survived;
        }
        let kept = rng.range(0, self.unsynced_names.len() as u64) as usize;
        let changes: Vec<NameChange> = self.unsynced_names.drain(..).take(kept).collect();
        for change in changes {
            apply_name(&mut self.durable_names, change);
        }
        self.names = self.durable_names.clone();
        self.open.clear();
        self.ops_left = None;
    }

    /// Ends the process: what it wrote stays, its open files are gone.
    pub fn close_all(&mut self) {
        self.open.clear();
    }

    pub fn open_files(&self) -> usize {
        self.open.len()
    }

    /// The content of a file, to look at or to damage.
    pub fn file(&mut self, path: &str) -> &mut Vec<u8> {
        let inode = self.names[path];
        &mut self.inodes[inode].content
    }

    pub fn remove(&mut self, path: &str) {
        self.names.remove(path);
    }

    pub fn paths(&self) -> Vec<String> {
        self.names.keys().cloned().collect()
    }

    /// Runs what was asked for until `task` is done, or the crash point: then `None`.
    pub fn block_on<T: 'static>(
        &mut self,
        executor: &mut Executor,
        disk: &DiskHandle,
        task: impl Future<Output = T> + 'static,
    ) -> Option<T> {
        let slot = std::rc::Rc::new(std::cell::RefCell::new(None));
        let filled = slot.clone();
        executor.spawner().spawn(async move { *filled.borrow_mut() = Some(task.await) });
        executor.run_until_stalled();
        loop {
            if let Some(value) = slot.borrow_mut().take() {
                return Some(value);
            }
            for (id, op) in disk.take_ops() {
                let result = self.run(op)?;
                assert_eq!(disk.complete(id, result), None, "only the task asks");
            }
            executor.run_until_stalled();
        }
    }

    fn write(&mut self, file: FileId, offset: u64, data: &[u8]) {
        let content = &mut self.inodes[self.open[&file]].content;
        let (start, end) = (offset as usize, offset as usize + data.len());
        content.resize(content.len().max(end), 0);
        content[start..end].copy_from_slice(data);
    }

    fn sync(&mut self, file: FileId) {
        let inode = &mut self.inodes[self.open[&file]];
        inode.durable = inode.content.clone();
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name(&mut self.names, change.clone());
        self.unsynced_names.push(change);
    }

    fn open(&mut self, file: FileId, path: &Arc<str>, mode: OpenMode) -> DiskResult {
        assert!(!self.open.contains_key(&file), "{file:?} is open already");
        let inode = match (self.names.get(&**path), mode) {
            (None, OpenMode::Existing) => {
                return Err(DiskError { kind: DiskErrorKind::NotFound, message: path.to_string() });
            }
            (Some(inode), _) => *inode,
            (None, _) => {
                self.inodes.push(Inode::default());
                self.change_name(NameChange::Link(path.to_string(), self.inodes.len() - 1));
                self.inodes.len() - 1
            }
        };
        if mode == OpenMode::Truncate {
            self.inodes[inode].content.clear();
        }
        self.open.insert(file, inode);
        Ok(DiskOk::Opened { len: self.inodes[inode].content.len() as u64 })
    }

    fn carry_out(&mut self, op: DiskOp) -> DiskResult {
        match op {
            DiskOp::Open { file, path, mode } => return self.open(file, &path, mode),
            DiskOp::Close { file } => {
                self.open.remove(&file).expect("an open file is closed");
            }
            DiskOp::ReadAt { file, offset, len } => {
                let content = &self.inodes[self.open[&file]].content;
                let start = content.len().min(offset as usize);
                let end = content.len().min(start + len as usize);
                return Ok(DiskOk::Read(Bytes::copy_from_slice(&content[start..end])));
            }
            DiskOp::WriteAt { file, offset, data, then } => {
                self.write(file, offset, &data);
                if then == Sync::Data {
                    self.sync(file);
                }
            }
            DiskOp::Sync { file } => self.sync(file),
            DiskOp::Allocate { file, len, .. } => {
                let content = &mut self.inodes[self.open[&file]].content;
                content.resize(content.len().max(len as usize), 0);
                self.sync(file);
            }
            DiskOp::Rename { from, to } => {
                self.change_name(NameChange::Rename(from.to_string(), to.to_string()));
            }
            DiskOp::Remove { path } => self.change_name(NameChange::Remove(path.to_string())),
            DiskOp::List { dir } => {
                let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
                let below = self.names.keys().filter_map(|path| path.strip_prefix(&prefix));
                let mut names: Vec<_> = below.filter_map(|path| path.split('/').next()).collect();
                names.dedup();
                return Ok(DiskOk::Names(names.into_iter().map(str::to_owned).collect()));
            }
            DiskOp::MakeDir { .. } => {}
            DiskOp::SyncDir { .. } => {
                self.unsynced_names.clear();
                self.durable_names = self.names.clone();
            }
        }
        Ok(DiskOk::Done)
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: NameChange) {
    match change {
        NameChange::Link(path, inode) => {
            names.insert(path, inode);
        }
        NameChange::Rename(from, to) => {
            let inode = names.remove(&from).expect("the renamed file exists");
            names.insert(to, inode);
        }
        NameChange::Remove(path) => {
            names.remove(&path).expect("the removed file exists");
        }
    }
}
