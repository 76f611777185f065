//! One machine's disk: what it holds, what it would hold after a power failure, and how it fails.
//!
//! Every file exists twice: as the process sees it (`cached`) and as it is on the medium
//! (`durable`), with the list of changes in between (`pending`). Names exist twice in the same way.
//!
//! ```text
//!   WriteAt ──► cached            Sync completes ──► pending changes so far enter durable
//!          └──► pending           power failure  ──► each pending change is kept, lost or torn,
//!                                                    then cached = durable
//! ```
//! An operation takes effect on `cached` when it is asked for, in order, and on `durable` no earlier
//! than it completes. A failed fsync drops some pending changes for good while the process still
//! sees them, as Linux does: a second fsync succeeds and means nothing.

mod content;
mod power;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use basalt_core::seam::{
    DiskError, DiskErrorKind, DiskOk, DiskOp, DiskResult, FileId, OpenMode, Rng, Sync,
};
use bytes::Bytes;

use crate::faults::{Kind, Struck};
pub use content::{Content, PAGE_BYTES, SECTOR_BYTES};
pub use power::{Loss, Names, Order, Tail, Tear};

/// What goes wrong at present; set by the faults that are active.
#[derive(Clone, Debug, Default)]
pub struct DiskFaults {
    pub fsync_error_ppm: u32,
    /// fsync answers and does nothing.
    pub fsync_lies: bool,
    pub read_error_ppm: u32,
    pub write_error_ppm: u32,
    pub misdirected_write_ppm: u32,
    pub stale_read_ppm: u32,
    /// Writes are carried out in pieces, so that a power failure can fall between them.
    pub short_io: bool,
    /// Latency is this many times higher; 0 and 1 mean as usual.
    pub slow_factor: u32,
    /// Nothing completes before this true time.
    pub stalled_until_ns: u64,
    pub full: bool,
}

/// How long operations take on a quiet disk, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub read_ns: u64,
    pub write_ns: u64,
    pub sync_ns: u64,
    /// For each KiB moved.
    pub kib_ns: u64,
}

impl Default for Latency {
    fn default() -> Latency {
        Latency { read_ns: 60_000, write_ns: 12_000, sync_ns: 90_000, kib_ns: 1_000 }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct InodeId(u64);

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, data: Bytes },
    Extend { len: u64 },
    Truncate,
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, data } => content.write(*offset, data),
            Change::Extend { len } => content.extend(*len),
            Change::Truncate => content.truncate(0),
        }
    }

    /// Over how many units of this size, aligned in the file, a write goes.
    fn touches(&self, unit: u64) -> u64 {
        let Change::Write { offset, data } = self else { return 0 };
        (offset + data.len() as u64).div_ceil(unit) - offset / unit
    }
}

/// What is written and not on the medium yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Unsynced {
    /// Of files: writes, and changes of length.
    pub changes: usize,
    /// New, removed and renamed entries.
    pub names: usize,
    pub renames: usize,
    /// The most sectors, and pages, that one write goes over.
    pub sectors: u64,
    pub pages: u64,
    /// Whether a file is longer than on the medium.
    pub has_grown: bool,
}

impl Unsynced {
    pub fn is_something(&self) -> bool {
        self.changes > 0 || self.names > 0
    }
}

#[derive(Clone, Debug, Default)]
struct Inode {
    cached: Content,
    durable: Content,
    /// Changes not yet durable, oldest first, by sequence.
    pending: Vec<(u64, Change)>,
    /// When the last operation on the file completes; operations on one file keep their order.
    busy_until_ns: u64,
    /// The bytes before the last write, kept only where stale reads may happen.
    previous: Content,
}

#[derive(Clone, Debug)]
enum NameChange {
    Link { path: Arc<str>, inode: InodeId },
    Unlink { path: Arc<str> },
    Rename { from: Arc<str>, to: Arc<str>, inode: InodeId },
    MakeDir { dir: Arc<str> },
}

impl NameChange {
    /// The directory whose `SyncDir` makes the change durable.
    fn directory(&self) -> &str {
        let path = match self {
            NameChange::Link { path, .. } | NameChange::Unlink { path } => path,
            NameChange::Rename { to, .. } => to,
            NameChange::MakeDir { dir } => dir,
        };
        parent(path)
    }
}

/// Names and directories, as the process sees them or as they are on the medium.
#[derive(Clone, Debug, Default)]
struct Tree {
    files: BTreeMap<Arc<str>, InodeId>,
    dirs: BTreeSet<Arc<str>>,
}

impl Tree {
    fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Link { path, inode } => {
                self.files.insert(path.clone(), *inode);
            }
            NameChange::Unlink { path } => {
                self.files.remove(path);
            }
            NameChange::Rename { from, to, inode } => {
                self.files.remove(from);
                self.files.insert(to.clone(), *inode);
            }
            NameChange::MakeDir { dir } => {
                self.dirs.insert(dir.clone());
            }
        }
    }

    fn has_dir(&self, dir: &str) -> bool {
        dir.is_empty() || self.dirs.contains(dir)
    }
}

/// What becomes durable when an operation completes.
#[derive(Clone, Debug)]
enum Then {
    Nothing,
    File { inode: InodeId, up_to: u64 },
    Directory { dir: Arc<str>, up_to: u64 },
}

#[derive(Debug)]
struct InFlight {
    result: DiskResult,
    then: Then,
}

/// An operation under way: when it completes unless the disk stalls, and how to complete it.
#[derive(Clone, Copy, Debug)]
pub struct Issued {
    pub done_ns: u64,
    pub token: u64,
}

/// What is on the medium, to be put back later or into another machine. Cheap: shares pages.
#[derive(Clone, Debug)]
pub struct Image {
    inodes: BTreeMap<InodeId, Content>,
    tree: Tree,
    next_inode: u64,
}

/// Counts over the life of the disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskStats {
    pub operations: u64,
    pub syncs: u64,
    pub bytes_written: u64,
}

/// One machine's disk.
pub struct Disk {
    inodes: BTreeMap<InodeId, Inode>,
    cached: Tree,
    durable: Tree,
    pending_names: Vec<(u64, NameChange)>,
    open: BTreeMap<FileId, InodeId>,
    in_flight: BTreeMap<u64, InFlight>,
    next_inode: u64,
    next_sequence: u64,
    next_token: u64,
    /// Where the last write that became durable lies, by directory: at the end of a log, torn or rotten,
    /// it looks the same, so no instance could notice rot there.
    newest: BTreeMap<Arc<str>, (InodeId, Range<u64>)>,
    rng: Rng,
    latency: Latency,
    /// Whether stale reads may be asked for, which costs a copy of every write.
    pub keep_previous: bool,
    pub faults: DiskFaults,
    pub stats: DiskStats,
    /// How often a fault of each kind did something.
    pub struck: Struck,
}

impl Disk {
    pub fn new(rng: Rng, latency: Latency) -> Disk {
        Disk {
            inodes: BTreeMap::new(),
            cached: Tree::default(),
            durable: Tree::default(),
            pending_names: Vec::new(),
            open: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            next_inode: 0,
            next_sequence: 0,
            next_token: 0,
            newest: BTreeMap::new(),
            rng,
            latency,
            keep_previous: false,
            faults: DiskFaults::default(),
            stats: DiskStats::default(),
            struck: Struck::default(),
        }
    }

    /// Carries out `op` on what the process sees; `complete` gives the answer at `done_ns`.
    pub fn issue(&mut self, at_ns: u64, op: DiskOp) -> Issued {
        self.stats.operations += 1;
        let file = file_of(&op).and_then(|file| self.open.get(&file).copied());
        let cost = self.cost(&op);
        let (result, then) = self.carry_out(op);
        let start = file
            .and_then(|inode| self.inodes.get(&inode))
            .map_or(at_ns, |inode| at_ns.max(inode.busy_until_ns));
        let done_ns = start + cost;
        if let Some(inode) = file.and_then(|inode| self.inodes.get_mut(&inode)) {
            inode.busy_until_ns = done_ns;
        }
        let token = self.next_token;
        self.next_token += 1;
        self.in_flight.insert(token, InFlight { result, then });
        Issued { done_ns, token }
    }

    /// Ends an operation. `Err(when)`: the disk stalls, ask again then. `Ok(None)`: it was given up
    /// with the process.
    pub fn complete(&mut self, now_ns: u64, token: u64) -> Result<Option<DiskResult>, u64> {
        if now_ns < self.faults.stalled_until_ns {
            self.struck.note(Kind::DiskStall);
            return Err(self.faults.stalled_until_ns);
        }
        let Some(done) = self.in_flight.remove(&token) else { return Ok(None) };
        match done.then {
            Then::Nothing => {}
            Then::File { inode, up_to } => self.make_file_durable(inode, up_to),
            Then::Directory { dir, up_to } => self.make_names_durable(&dir, up_to),
        }
        Ok(Some(done.result))
    }

    /// The process is gone, the operating system is not: what was written stays as it is.
    pub fn process_died(&mut self) {
        self.open.clear();
        self.in_flight.clear();
        for inode in self.inodes.values_mut() {
            inode.busy_until_ns = 0;
        }
    }

    /// Another disk that holds the same, synced or not, and on which nothing fails.
    pub fn copy(&self, rng: Rng) -> Disk {
        Disk {
            inodes: self.inodes.clone(),
            cached: self.cached.clone(),
            durable: self.durable.clone(),
            pending_names: self.pending_names.clone(),
            next_inode: self.next_inode,
            next_sequence: self.next_sequence,
            ..Disk::new(rng, self.latency)
        }
    }

    /// What is on the medium now.
    pub fn image(&self) -> Image {
        let inodes = self.inodes.iter().map(|(id, inode)| (*id, inode.durable.clone())).collect();
        Image { inodes, tree: self.durable.clone(), next_inode: self.next_inode }
    }

    /// Another medium is put in while the machine is off.
    pub fn restore(&mut self, image: Image) {
        self.process_died();
        self.pending_names.clear();
        self.next_inode = self.next_inode.max(image.next_inode);
        self.cached = image.tree.clone();
        self.durable = image.tree;
        self.inodes = image
            .inodes
            .into_iter()
            .map(|(id, content)| {
                let inode = Inode { cached: content.clone(), durable: content, ..Inode::default() };
                (id, inode)
            })
            .collect();
    }

    /// A new, empty medium.
    pub fn wipe(&mut self) {
        self.restore(Image { inodes: BTreeMap::new(), tree: Tree::default(), next_inode: 0 });
    }

    /// Flips one bit somewhere in what was written; `None` on an empty disk and where the draw fell on
    /// the newest write in the directory `log`.
    pub fn rot_a_bit(&mut self, log: &str) -> Option<String> {
        let places: Vec<(Arc<str>, InodeId, u64)> = self
            .durable
            .files
            .iter()
            .flat_map(|(path, id)| {
                let pages = self.inodes.get(id).into_iter().flat_map(|i| i.durable.pages_written());
                pages.map(|page| (path.clone(), *id, page))
            })
            .collect();
        let (path, id, page) = self.rng.choose(&places)?.clone();
        let inode = self.inodes.get_mut(&id)?;
        let in_page = PAGE_BYTES.min(inode.durable.len().checked_sub(page * PAGE_BYTES)?);
        if in_page == 0 {
            return None;
        }
        let offset = page * PAGE_BYTES + self.rng.below(in_page);
        if self.newest.get(log).is_some_and(|(of, range)| *of == id && range.contains(&offset)) {
            return None;
        }
        let bit = self.rng.below(8) as u8;
        inode.durable.flip_bit(offset, bit);
        inode.cached.flip_bit(offset, bit);
        Some(format!("{path} at {offset}, bit {bit}"))
    }

    /// The last `bytes` of a random file vanish or turn to zeros.
    pub fn damage_tail(&mut self, zero: bool) -> Option<String> {
        let files: Vec<(Arc<str>, InodeId)> =
            self.durable.files.iter().map(|(path, id)| (path.clone(), *id)).collect();
        let (path, id) = self.rng.choose(&files)?.clone();
        let inode = self.inodes.get_mut(&id)?;
        let len = inode.durable.len();
        if len == 0 {
            return None;
        }
        let cut = len - self.rng.range(1, len.min(PAGE_BYTES));
        for content in [&mut inode.durable, &mut inode.cached] {
            if zero { content.zero(cut, len) } else { content.truncate(cut) }
        }
        Some(format!("{path} from {cut} of {len}"))
    }

    /// What a power failure may take now.
    pub fn unsynced(&self) -> Unsynced {
        let is_rename =
            |(_, change): &&(u64, NameChange)| matches!(change, NameChange::Rename { .. });
        let mut unsynced = Unsynced {
            names: self.pending_names.len(),
            renames: self.pending_names.iter().filter(is_rename).count(),
            ..Unsynced::default()
        };
        for inode in self.inodes.values() {
            for (_, change) in &inode.pending {
                unsynced.changes += 1;
                unsynced.sectors = unsynced.sectors.max(change.touches(SECTOR_BYTES));
                unsynced.pages = unsynced.pages.max(change.touches(PAGE_BYTES));
            }
            unsynced.has_grown |= inode.cached.len() > inode.durable.len();
        }
        unsynced
    }

    /// Whether something becomes durable when this operation completes.
    pub fn makes_durable(&self, token: u64) -> bool {
        self.in_flight.get(&token).is_some_and(|op| !matches!(op.then, Then::Nothing))
    }

    /// Bytes the process sees, of all files.
    pub fn bytes_held(&self) -> u64 {
        self.cached
            .files
            .values()
            .filter_map(|id| self.inodes.get(id))
            .map(|i| i.cached.len())
            .sum()
    }

    fn carry_out(&mut self, op: DiskOp) -> (DiskResult, Then) {
        match op {
            DiskOp::Open { file, path, mode } => (self.open(file, path, mode), Then::Nothing),
            DiskOp::Close { file } => {
                self.open.remove(&file);
                (Ok(DiskOk::Done), Then::Nothing)
            }
            DiskOp::ReadAt { file, offset, len } => (self.read(file, offset, len), Then::Nothing),
            DiskOp::WriteAt { file, offset, data, then } => self.write(file, offset, data, then),
            DiskOp::Sync { file } => self.sync(file),
            DiskOp::Allocate { file, len, .. } => self.allocate(file, len),
            DiskOp::Rename { from, to } => (self.rename(from, to), Then::Nothing),
            DiskOp::Remove { path } => (self.remove(path), Then::Nothing),
            DiskOp::List { dir } => (self.list(&dir), Then::Nothing),
            DiskOp::MakeDir { dir } => (self.make_dir(dir), Then::Nothing),
            DiskOp::SyncDir { dir } => self.sync_dir(dir),
        }
    }

    /// Files the process has open.
    pub fn open_files(&self) -> usize {
        self.open.len()
    }

    fn open(&mut self, file: FileId, path: Arc<str>, mode: OpenMode) -> DiskResult {
        assert!(!self.open.contains_key(&file), "{file:?} is opened while it is open: {path}");
        let existing = self.cached.files.get(&path).copied();
        let inode = match (existing, mode) {
            (Some(inode), OpenMode::Existing | OpenMode::Create) => inode,
            (Some(inode), OpenMode::Truncate) => {
                self.change(inode, Change::Truncate);
                inode
            }
            (None, OpenMode::Existing) => return Err(not_found(&path)),
            (None, _) if !self.cached.has_dir(parent(&path)) => return Err(not_found(&path)),
            (None, _) if self.faults.full => return Err(no_space()),
            (None, _) => self.make_file(path),
        };
        self.open.insert(file, inode);
        Ok(DiskOk::Opened { len: self.inodes[&inode].cached.len() })
    }

    fn make_file(&mut self, path: Arc<str>) -> InodeId {
        let inode = InodeId(self.next_inode);
        self.next_inode += 1;
        self.inodes.insert(inode, Inode::default());
        self.change_name(NameChange::Link { path, inode });
        inode
    }

    fn read(&mut self, file: FileId, offset: u64, len: u32) -> DiskResult {
        let inode = self.inode(file)?;
        if self.rng.chance(self.faults.read_error_ppm) {
            self.struck.note(Kind::DiskReadError);
            return Err(io_error("read failed"));
        }
        let stale = self.rng.chance(self.faults.stale_read_ppm);
        let inode = &self.inodes[&inode];
        let mut bytes = inode.cached.read(offset, len as usize);
        if stale {
            let old = inode.previous.read(offset, bytes.len());
            self.struck.note_if(bytes[..old.len()] != old, Kind::DiskStaleRead);
            bytes[..old.len()].copy_from_slice(&old);
        }
        Ok(DiskOk::Read(Bytes::from(bytes)))
    }

    fn write(&mut self, file: FileId, offset: u64, data: Bytes, then: Sync) -> (DiskResult, Then) {
        let inode = match self.inode(file) {
            Ok(inode) => inode,
            Err(error) => return (Err(error), Then::Nothing),
        };
        let end = offset + data.len() as u64;
        if self.faults.full && end > self.inodes[&inode].cached.len() {
            self.struck.note(Kind::DiskFull);
            return (Err(no_space()), Then::Nothing);
        }
        if self.rng.chance(self.faults.write_error_ppm) {
            self.struck.note(Kind::DiskWriteError);
            let reached = self.rng.below(data.len() as u64 + 1) as usize;
            self.change(inode, Change::Write { offset, data: data.slice(..reached) });
            return (Err(io_error("write failed")), Then::Nothing);
        }
        self.stats.bytes_written += data.len() as u64;
        let asked = offset;
        let offset = if self.rng.chance(self.faults.misdirected_write_ppm) {
            self.elsewhere(inode, offset)
        } else {
            offset
        };
        self.struck.note_if(offset != asked, Kind::DiskMisdirected);
        self.write_pieces(inode, offset, data);
        match then {
            Sync::No => (Ok(DiskOk::Done), Then::Nothing),
            Sync::Data => self.sync_inode(inode),
        }
    }

    fn write_pieces(&mut self, inode: InodeId, mut offset: u64, mut data: Bytes) {
        while self.faults.short_io && data.len() > 1 {
            self.struck.note(Kind::DiskShortIo);
            let piece = data.split_to(1 + self.rng.below(data.len() as u64 - 1) as usize);
            let len = piece.len() as u64;
            self.change(inode, Change::Write { offset, data: piece });
            offset += len;
        }
        self.change(inode, Change::Write { offset, data });
    }

    /// Another place in the same file, a whole number of sectors away.
    fn elsewhere(&mut self, inode: InodeId, offset: u64) -> u64 {
        let sectors = (self.inodes[&inode].cached.len() / SECTOR_BYTES).max(1);
        self.rng.below(sectors) * SECTOR_BYTES + offset % SECTOR_BYTES
    }

    fn sync(&mut self, file: FileId) -> (DiskResult, Then) {
        match self.inode(file) {
            Ok(inode) => self.sync_inode(inode),
            Err(error) => (Err(error), Then::Nothing),
        }
    }

    fn sync_inode(&mut self, inode: InodeId) -> (DiskResult, Then) {
        self.stats.syncs += 1;
        if self.faults.fsync_lies {
            self.struck.note(Kind::DiskLyingSync);
            return (Ok(DiskOk::Done), Then::Nothing);
        }
        if self.rng.chance(self.faults.fsync_error_ppm) {
            self.struck.note(Kind::DiskSyncError);
            self.drop_some_pending(inode);
            return (Err(io_error("fsync failed")), Then::Nothing);
        }
        (Ok(DiskOk::Done), Then::File { inode, up_to: self.next_sequence })
    }

    /// After a failed fsync the kernel marks pages clean that never reached the medium.
    fn drop_some_pending(&mut self, inode: InodeId) {
        let rng = &mut self.rng;
        let inode = self.inodes.get_mut(&inode).expect("an open file has an inode");
        inode.pending.retain(|_| rng.below(2) == 0);
    }

    fn allocate(&mut self, file: FileId, len: u64) -> (DiskResult, Then) {
        let inode = match self.inode(file) {
            Ok(inode) => inode,
            Err(error) => return (Err(error), Then::Nothing),
        };
        if self.faults.full {
            self.struck.note(Kind::DiskFull);
            return (Err(no_space()), Then::Nothing);
        }
        self.change(inode, Change::Extend { len });
        self.sync_inode(inode)
    }

    fn rename(&mut self, from: Arc<str>, to: Arc<str>) -> DiskResult {
        let Some(inode) = self.cached.files.get(&from).copied() else {
            return Err(not_found(&from));
        };
        self.change_name(NameChange::Rename { from, to, inode });
        Ok(DiskOk::Done)
    }

    fn remove(&mut self, path: Arc<str>) -> DiskResult {
        if !self.cached.files.contains_key(&path) {
            return Err(not_found(&path));
        }
        self.change_name(NameChange::Unlink { path });
        Ok(DiskOk::Done)
    }

    fn list(&self, dir: &str) -> DiskResult {
        let files = self.cached.files.keys();
        let mut names: Vec<String> = files
            .chain(self.cached.dirs.iter())
            .filter(|path| !path.is_empty() && parent(path) == dir)
            .map(|path| path.rsplit('/').next().unwrap_or(path).to_owned())
            .collect();
        names.sort();
        Ok(DiskOk::Names(names))
    }

    /// Succeeds where the directory exists already.
    fn make_dir(&mut self, dir: Arc<str>) -> DiskResult {
        if !self.cached.has_dir(&dir) {
            if !self.cached.has_dir(parent(&dir)) {
                return Err(not_found(&dir));
            }
            self.change_name(NameChange::MakeDir { dir });
        }
        Ok(DiskOk::Done)
    }

    fn sync_dir(&mut self, dir: Arc<str>) -> (DiskResult, Then) {
        if !self.cached.has_dir(&dir) {
            return (Err(not_found(&dir)), Then::Nothing);
        }
        if self.faults.fsync_lies {
            return (Ok(DiskOk::Done), Then::Nothing);
        }
        if self.rng.chance(self.faults.fsync_error_ppm) {
            return (Err(io_error("fsync of a directory failed")), Then::Nothing);
        }
        (Ok(DiskOk::Done), Then::Directory { dir, up_to: self.next_sequence })
    }

    fn inode(&self, file: FileId) -> Result<InodeId, DiskError> {
        self.open.get(&file).copied().ok_or_else(|| not_found(&format!("{file:?}")))
    }

    fn change(&mut self, inode: InodeId, change: Change) {
        let keep = self.keep_previous;
        let inode = self.inodes.get_mut(&inode).expect("an open file has an inode");
        if let (true, Change::Write { offset, data }) = (keep, &change) {
            let old = inode.cached.read(*offset, data.len());
            inode.previous.write(*offset, &old);
        }
        change.apply(&mut inode.cached);
        inode.pending.push((self.next_sequence, change));
        self.next_sequence += 1;
    }

    fn change_name(&mut self, change: NameChange) {
        self.cached.apply(&change);
        self.pending_names.push((self.next_sequence, change));
        self.next_sequence += 1;
    }

    fn make_file_durable(&mut self, inode: InodeId, up_to: u64) {
        let id = inode;
        let Some(inode) = self.inodes.get_mut(&id) else { return };
        let durable = &mut inode.durable;
        let mut newest = None;
        inode.pending.retain(|(sequence, change)| {
            let now = *sequence < up_to;
            if now {
                change.apply(durable);
            }
            if let (true, Change::Write { offset, data }) = (now, change) {
                newest = Some(*offset..offset + data.len() as u64);
            }
            !now
        });
        let Some(range) = newest else { return };
        let name = self.cached.files.iter().find(|(_, named)| **named == id);
        let dir = name.and_then(|(path, _)| path.rsplit_once('/')).map_or("", |(dir, _)| dir);
        match self.newest.get_mut(dir) {
            Some(known) => *known = (id, range),
            None => drop(self.newest.insert(dir.into(), (id, range))),
        }
    }

    fn make_names_durable(&mut self, dir: &str, up_to: u64) {
        let durable = &mut self.durable;
        self.pending_names.retain(|(sequence, change)| {
            let now = *sequence < up_to && change.directory() == dir;
            if now {
                durable.apply(change);
            }
            !now
        });
        self.drop_unnamed_inodes();
    }

    /// Forgets files that no name and no open file leads to.
    fn drop_unnamed_inodes(&mut self) {
        let pending = self.pending_names.iter().filter_map(|(_, change)| match change {
            NameChange::Link { inode, .. } | NameChange::Rename { inode, .. } => Some(*inode),
            NameChange::Unlink { .. } | NameChange::MakeDir { .. } => None,
        });
        let named = self.cached.files.values().chain(self.durable.files.values());
        let used: BTreeSet<InodeId> =
            named.chain(self.open.values()).copied().chain(pending).collect();
        self.inodes.retain(|id, _| used.contains(id));
    }

    fn cost(&mut self, op: &DiskOp) -> u64 {
        let latency = self.latency;
        let moved = |bytes: u64| bytes / 1_024 * latency.kib_ns;
        let base = match op {
            DiskOp::ReadAt { len, .. } => latency.read_ns + moved(u64::from(*len)),
            DiskOp::WriteAt { data, then: Sync::No, .. } => {
                latency.write_ns + moved(data.len() as u64)
            }
            DiskOp::WriteAt { data, then: Sync::Data, .. } => {
                latency.write_ns + latency.sync_ns + moved(data.len() as u64)
            }
            DiskOp::Sync { .. } | DiskOp::SyncDir { .. } => latency.sync_ns,
            DiskOp::Allocate { file, len, .. } => {
                let inode = self.open.get(file).and_then(|inode| self.inodes.get(inode));
                let held = inode.map_or(0, |inode| inode.cached.len());
                latency.sync_ns + moved(len.saturating_sub(held))
            }
            DiskOp::Open { .. } | DiskOp::Close { .. } | DiskOp::List { .. } => latency.write_ns,
            DiskOp::Rename { .. } | DiskOp::Remove { .. } | DiskOp::MakeDir { .. } => {
                latency.write_ns
            }
        };
        // Nine of ten near the median, a tail of ten times, as measured on SSDs.
        let spread = match self.rng.below(100) {
            0..90 => base + self.rng.below(base / 3 + 1),
            90..99 => base * 2,
            _ => base * 10,
        };
        self.struck.note_if(self.faults.slow_factor > 1, Kind::DiskSlow);
        spread * u64::from(self.faults.slow_factor.max(1))
    }
}

fn file_of(op: &DiskOp) -> Option<FileId> {
    match op {
        DiskOp::Open { file, .. }
        | DiskOp::Close { file }
        | DiskOp::ReadAt { file, .. }
        | DiskOp::WriteAt { file, .. }
        | DiskOp::Sync { file }
        | DiskOp::Allocate { file, .. } => Some(*file),
        DiskOp::Rename { .. }
        | DiskOp::Remove { .. }
        | DiskOp::List { .. }
        | DiskOp::MakeDir { .. }
        | DiskOp::SyncDir { .. } => None,
    }
}

/// The directory of a path; `""` is the data directory itself.
fn parent(path: &str) -> &str {
    path.rfind('/').map_or("", |slash| &path[..slash])
}

fn not_found(what: &str) -> DiskError {
    DiskError { kind: DiskErrorKind::NotFound, message: format!("{what}: no such file") }
}

fn no_space() -> DiskError {
    DiskError { kind: DiskErrorKind::NoSpace, message: "no space left on device".to_owned() }
}

fn io_error(what: &str) -> DiskError {
    DiskError { kind: DiskErrorKind::Io, message: what.to_owned() }
}

#[cfg(test)]
mod tests;
