//! The thread that waits for the disk so that the reactor does not.
//!
//! One thread, one queue: operations run in the order submitted, so those on one file do. Writes that
//! ask to be durable and stand next to each other in the queue share their syncs: all are written,
//! each file is synced once, then all are reported. While one sync runs the next batch gathers.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use basalt_core::base::OpId;
use basalt_core::seam::{DiskOp, DiskResult, Sync};

use super::files::Files;
use crate::cores::Cores;
use crate::doorbell::Doorbell;
use crate::platform::Disk;

type Request = (OpId, DiskOp);

#[derive(Debug)]
struct Done {
    results: Mutex<Vec<(OpId, DiskResult)>>,
    any: AtomicBool,
    doorbell: Arc<Doorbell>,
}

impl Done {
    fn report(&self, results: impl IntoIterator<Item = (OpId, DiskResult)>) {
        self.results.lock().unwrap_or_else(PoisonError::into_inner).extend(results);
        self.any.store(true, Ordering::Release);
        self.doorbell.ring();
    }
}

/// A disk served by a thread. Dropping it finishes what was submitted.
#[derive(Debug)]
pub struct DiskThread {
    requests: Option<Sender<Request>>,
    done: Arc<Done>,
    thread: Option<JoinHandle<()>>,
}

impl DiskThread {
    /// Serves the directory `root`; rings `doorbell` after completions. With `cores` it runs on these,
    /// whatever the thread that starts it is pinned to.
    pub fn start(
        root: &Path,
        doorbell: Arc<Doorbell>,
        cores: Option<Cores>,
    ) -> io::Result<DiskThread> {
        let (requests, receiver) = channel();
        let done =
            Arc::new(Done { results: Mutex::default(), any: AtomicBool::new(false), doorbell });
        let files = Files::new(root);
        let reports = done.clone();
        let thread =
            std::thread::Builder::new().name("basalt-disk".to_owned()).spawn(move || {
                if let Some(error) = cores.and_then(|cores| cores.take().err()) {
                    tracing::warn!(%error, "the disk shares the core of its instance");
                }
                serve(files, &receiver, &reports);
            })?;
        Ok(DiskThread { requests: Some(requests), done, thread: Some(thread) })
    }
}

impl Disk for DiskThread {
    fn submit(&mut self, op: OpId, what: DiskOp) {
        let sender = self.requests.as_ref().expect("taken only by drop");
        sender.send((op, what)).expect("the thread ends after its sender");
    }

    fn has_done(&self) -> bool {
        self.done.any.load(Ordering::Acquire)
    }

    fn take_done(&mut self, done: &mut Vec<(OpId, DiskResult)>) {
        if self.done.any.swap(false, Ordering::Acquire) {
            let mut results = self.done.results.lock().unwrap_or_else(PoisonError::into_inner);
            done.append(&mut results);
        }
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(mut files: Files, requests: &Receiver<Request>, done: &Done) {
    while let Ok(first) = requests.recv() {
        let mut writes = Vec::new();
        for request in std::iter::once(first).chain(requests.try_iter()) {
            if matches!(request.1, DiskOp::WriteAt { .. }) {
                writes.push(request);
                continue;
            }
            done.report(write_all(&files, std::mem::take(&mut writes)));
            let (op, what) = request;
            done.report([(op, files.run(&what))]);
        }
        done.report(write_all(&files, writes));
    }
}

/// Carries out writes, with one sync a file for those that ask for one.
fn write_all(files: &Files, writes: Vec<Request>) -> Vec<(OpId, DiskResult)> {
    let mut results = Vec::with_capacity(writes.len());
    let mut unsynced = BTreeSet::new();
    for (op, what) in &writes {
        let DiskOp::WriteAt { file, offset, data, then } = what else { continue };
        if *then == Sync::Data {
            unsynced.insert(*file);
        }
        results.push((*op, files.write(*file, *offset, data)));
    }
    for file in unsynced {
        let Err(error) = files.sync(file) else { continue };
        for ((_, what), (_, result)) in writes.iter().zip(&mut results) {
            if matches!(what, DiskOp::WriteAt { file: of, then: Sync::Data, .. } if *of == file) {
                *result = Err(error.clone());
            }
        }
    }
    results
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_core::seam::{DiskOk, FileId, OpenMode};
    use bytes::Bytes;

    fn wait_for(disk: &mut DiskThread, count: usize) -> Vec<(OpId, DiskResult)> {
        let mut done = Vec::new();
        while done.len() < count {
            disk.take_done(&mut done);
            std::thread::yield_now();
        }
        done
    }

    #[test]
    fn operations_complete_in_order_with_their_own_results() {
        let root = tempfile::tempdir().unwrap();
        let mut disk = DiskThread::start(root.path(), Arc::default(), None).unwrap();
        let file = FileId(1);
        disk.submit(OpId(0), DiskOp::Open { file, path: "a".into(), mode: OpenMode::Create });
        for number in 1..=100u64 {
            // Every third write goes to a file that is not open and fails alone.
            let file = if number % 3 == 0 { FileId(2) } else { file };
            let data = Bytes::from(vec![number as u8; 10]);
            let then = if number % 2 == 0 { Sync::Data } else { Sync::No };
            disk.submit(OpId(number), DiskOp::WriteAt { file, offset: number * 10, data, then });
        }
        disk.submit(OpId(101), DiskOp::ReadAt { file, offset: 1000, len: 10 });
        let done = wait_for(&mut disk, 102);
        for (number, (op, result)) in done.iter().enumerate().take(101).skip(1) {
            assert_eq!(op.0, number as u64);
            assert_eq!(result.is_err(), number % 3 == 0, "operation {number}: {result:?}");
        }
        assert_eq!(done[101].1, Ok(DiskOk::Read(Bytes::from(vec![100; 10]))));
    }

    #[test]
    fn the_disk_is_not_bound_to_the_core_of_who_starts_it() {
        let allowed = |status: &str| {
            let line = status.lines().find(|line| line.starts_with("Cpus_allowed:"));
            line.map(str::to_owned)
        };
        let before = allowed(&std::fs::read_to_string("/proc/thread-self/status").unwrap());
        let pinned = std::thread::spawn(move || {
            let cores = Cores::of_this_thread().unwrap();
            let mut numbers = 0..1024;
            assert!(
                numbers.any(|core| Cores::only(core).unwrap().take().is_ok()),
                "no core at all"
            );
            let root = tempfile::tempdir().unwrap();
            let mut disk = DiskThread::start(root.path(), Arc::default(), Some(cores)).unwrap();
            disk.submit(OpId(0), DiskOp::List { dir: "".into() });
            wait_for(&mut disk, 1);
            // Those of other tests are not bound either.
            let mut seen = 0;
            for task in std::fs::read_dir("/proc/self/task").unwrap() {
                let Ok(status) = std::fs::read_to_string(task.unwrap().path().join("status"))
                else {
                    continue;
                };
                if status.starts_with("Name:\tbasalt-disk\n") {
                    seen += 1;
                    assert_eq!(allowed(&status), before);
                }
            }
            assert!(seen > 0);
        });
        pinned.join().unwrap();
    }

    #[test]
    fn dropping_the_disk_finishes_what_was_submitted() {
        let root = tempfile::tempdir().unwrap();
        let mut disk = DiskThread::start(root.path(), Arc::default(), None).unwrap();
        let file = FileId(7);
        disk.submit(OpId(0), DiskOp::Open { file, path: "a".into(), mode: OpenMode::Create });
        let data = Bytes::from_static(b"last words");
        disk.submit(OpId(1), DiskOp::WriteAt { file, offset: 0, data, then: Sync::Data });
        drop(disk);
        assert_eq!(std::fs::read(root.path().join("a")).unwrap(), b"last words");
    }
}
