//! The log while the instance runs.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::batch::{HEADER, SECTOR, seal, size_on_disk};
use super::record::{Record, SnapshotMark, WalOwner, write_segment};
use super::{HardState, Lsn, WAL_DIR, WalConfig, segment_path};
use crate::base::codec::Writer;
use crate::base::{GroupId, LogIndex, OpId};
use crate::seam::{DiskError, DiskOp, DiskResult, FileId, OpenMode, Sync};
use crate::storage::DiskHandle;

/// What a completed disk operation meant for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalEvent {
    /// The operation was not the log's.
    NotMine,
    /// Something moved on; nothing new is durable.
    Progress,
    /// Every record up to here is durable.
    Durable(Lsn),
    /// The disk failed. Nothing that is not yet durable will ever be; the instance must stop.
    Failed(DiskError),
}

/// What a log gave to the disk since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    pub batches: u64,
    pub bytes: u64,
}

/// The write-ahead log; made by [`super::recover`].
#[derive(Debug)]
pub struct Wal {
    written: Written,
    config: WalConfig,
    owner: WalOwner,
    tracker: Tracker,
    /// Batches not yet written, oldest first. Only the last takes more records.
    gathering: VecDeque<Gathering>,
    /// The one batch being written.
    writing: Option<Writing>,
    /// The one chain of operations on files other than the write.
    job: Option<Job>,
    /// The segment after the current one, ready to be written to.
    next: Option<Segment>,
    /// A file with the next sequence number exists, from before the last crash.
    leftover: bool,
    /// Files of sealed segments, still open.
    to_close: Vec<FileId>,
    last_lsn: Lsn,
    durable: Lsn,
    failed: bool,
}

/// Records on their way to one batch.
#[derive(Debug)]
struct Gathering {
    /// Room for the header, then the records.
    bytes: Writer,
    records: u32,
    first_lsn: Lsn,
    changes: Vec<Change>,
}

#[derive(Debug)]
struct Writing {
    op: OpId,
    bytes_on_disk: u64,
    last_lsn: Lsn,
    changes: Vec<Change>,
}

/// What a record means for which segments are needed.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Entries {
        group: GroupId,
        first: LogIndex,
        last: LogIndex,
    },
    HardState(GroupId, HardState),
    Mark(GroupId, SnapshotMark),
    Truncate {
        group: GroupId,
        from: LogIndex,
    },
    Remove(GroupId),
    /// Not a record: it follows those whose durability it waits for.
    Release {
        group: GroupId,
        index: LogIndex,
    },
}

#[derive(Debug)]
pub(super) struct Segment {
    pub seq: u64,
    pub file: FileId,
    /// The file's length.
    pub len: u64,
    /// Where the next batch goes.
    pub end: u64,
    /// The highest entry of each group in it that was neither truncated nor overwritten.
    pub highest: BTreeMap<GroupId, LogIndex>,
}

/// Disk operations done one after the other.
#[derive(Debug)]
struct Job {
    op: OpId,
    steps: VecDeque<DiskOp>,
    then: JobResult,
}

#[derive(Debug)]
enum JobResult {
    NextReady(Segment),
    NextGrown(u64),
    Trimmed,
}

/// What the durable batches say.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    groups: BTreeMap<GroupId, GroupTrack>,
    /// Oldest first; sequence numbers have no holes and the current segment's follows.
    pub sealed: VecDeque<Segment>,
    pub current: Option<Segment>,
}

#[derive(Debug, Default)]
struct GroupTrack {
    hard_state: Option<HardState>,
    mark: Option<SnapshotMark>,
    last: LogIndex,
    released: LogIndex,
}

impl Wal {
    pub(super) fn new(
        config: WalConfig,
        owner: WalOwner,
        tracker: Tracker,
        durable: Lsn,
        leftover: bool,
    ) -> Wal {
        assert!(
            config.segment_bytes >= 2048
                && config.segment_bytes <= 1 << 31
                && config.segment_bytes.is_multiple_of(SECTOR as u64),
            "a WAL segment of {} bytes",
            config.segment_bytes
        );
        assert!(
            config.piece_bytes > 0 && config.piece_bytes.is_multiple_of(SECTOR as u64),
            "pieces of {} bytes",
            config.piece_bytes
        );
        Wal {
            written: Written::default(),
            config,
            owner,
            tracker,
            gathering: VecDeque::new(),
            writing: None,
            job: None,
            next: None,
            leftover,
            to_close: Vec::new(),
            last_lsn: durable,
            durable,
            failed: false,
        }
    }

    /// Adds records that become durable together or not at all; gives the lsn of the last.
    pub fn append(&mut self, records: &[Record]) -> Lsn {
        let Some((first, rest)) = records.split_first() else { return self.last_lsn };
        let mut encoded = Writer::new();
        first.write(&mut encoded);
        rest.iter().for_each(|record| record.write(&mut encoded));
        let first_lsn = Lsn(self.last_lsn.0 + 1);
        let full = self.config.segment_bytes / 2;
        let fits = |g: &Gathering| (g.bytes.len() + encoded.len()) as u64 <= full;
        if !self.gathering.back().is_some_and(fits) || crate::buggify!("wal: a batch of its own") {
            let mut bytes = Writer::new();
            bytes.raw(&[0; HEADER]);
            self.gathering.push_back(Gathering { bytes, records: 0, first_lsn, changes: vec![] });
        }
        let gathering = self.gathering.back_mut().expect("one was just made sure of");
        gathering.bytes.raw(encoded.as_slice());
        for record in records {
            gathering.records += 1;
            self.last_lsn.0 += 1;
            push_change(&mut gathering.changes, record);
        }
        self.last_lsn
    }

    /// Starts writing what gathered, unless a write is in flight, and looks after the files.
    /// Called once at the end of each turn.
    pub fn flush(&mut self, disk: &DiskHandle) {
        if self.failed {
            return;
        }
        self.start_write(disk);
        self.housekeep(disk);
    }

    /// Takes the result of an operation.
    pub fn disk_done(&mut self, op: OpId, result: &DiskResult, disk: &DiskHandle) -> WalEvent {
        let is_write = self.writing.as_ref().is_some_and(|w| w.op == op);
        let is_job = self.job.as_ref().is_some_and(|j| j.op == op);
        if !is_write && !is_job {
            return WalEvent::NotMine;
        }
        if let Err(error) = result {
            // What the file holds now is unknown, and asking again would only hide that.
            self.failed = true;
            return WalEvent::Failed(error.clone());
        }
        if self.failed {
            return WalEvent::Progress;
        }
        if is_write {
            self.write_done();
            return WalEvent::Durable(self.durable);
        }
        self.job_step_done(disk);
        WalEvent::Progress
    }

    /// What was given to the disk so far.
    pub fn written(&self) -> Written {
        self.written
    }

    /// Every record up to here is durable.
    pub fn durable(&self) -> Lsn {
        self.durable
    }

    /// The lsn of the last record appended.
    pub fn last_lsn(&self) -> Lsn {
        self.last_lsn
    }

    /// Entries of `group` up to `index` are no longer needed. `index` must not exceed the group's
    /// snapshot mark; takes effect once everything appended so far is durable.
    pub fn release(&mut self, group: GroupId, index: LogIndex) {
        let change = Change::Release { group, index };
        if let Some(batch) = self.gathering.back_mut() {
            batch.changes.push(change);
        } else if let Some(writing) = &mut self.writing {
            writing.changes.push(change);
        } else {
            self.tracker.apply(change);
        }
    }

    /// Bytes appended and not yet durable.
    #[cfg(test)]
    pub(super) fn bytes_waiting(&self) -> u64 {
        let gathered: usize = self.gathering.iter().map(|batch| batch.bytes.len()).sum();
        gathered as u64 + self.writing.as_ref().map_or(0, |writing| writing.bytes_on_disk)
    }

    /// Whether [`Wal::bytes_retained`] is more than `bytes`.
    pub fn retains_more_than(&self, bytes: u64) -> bool {
        let all = self.tracker.sealed.iter().map(|s| s.len).sum::<u64>()
            + self.tracker.current.as_ref().map_or(0, |s| s.end);
        // The sum over all segments is an upper bound, and needs no look at the groups.
        all > bytes && self.bytes_retained() > bytes
    }

    /// Bytes from the oldest needed segment to the end: what only snapshots can shrink.
    pub fn bytes_retained(&self) -> u64 {
        let needed = self.tracker.sealed.iter().skip(self.tracker.releasable());
        let current = self.tracker.current.as_ref().map_or(0, |s| s.end);
        needed.map(|s| s.len).sum::<u64>() + current
    }

    /// The groups whose entries keep the oldest needed segment, each with the index up to which it
    /// must release for the segment to go. Empty when only the current segment is needed.
    pub fn pinned_by(&self) -> Vec<(GroupId, LogIndex)> {
        let Some(oldest) = self.tracker.sealed.get(self.tracker.releasable()) else {
            return Vec::new();
        };
        oldest
            .highest
            .iter()
            .filter(|&(group, last)| *last > self.tracker.released(*group))
            .map(|(group, last)| (*group, *last))
            .collect()
    }

    fn start_write(&mut self, disk: &DiskHandle) {
        if self.writing.is_some() {
            return;
        }
        let Some(batch) = self.gathering.front() else { return };
        let payload = batch.bytes.len() - HEADER;
        // A file that was cut in the padding of its last batch is shorter than what it holds.
        let room = self.tracker.current.as_ref().map_or(0, |s| s.len.saturating_sub(s.end));
        let fits = room >= size_on_disk(payload) as u64;
        let head = if fits && !self.leaves_segment_early() {
            Head::default()
        } else {
            let head = self.segment_head();
            let needed = size_on_disk(head.bytes.len() + payload) as u64;
            if !self.switch_segment(needed, disk) {
                return;
            }
            head
        };
        let batch = self.gathering.pop_front().expect("looked at above");
        self.write(batch, head, disk);
    }

    /// Whether to go on in the next segment, which is ready, though the current one has room.
    fn leaves_segment_early(&self) -> bool {
        let used = |segment: &Segment| segment.end >= segment.len / 4;
        self.next.is_some()
            && self.tracker.current.as_ref().is_some_and(used)
            && crate::buggify!("wal: the next segment early")
    }

    fn write(&mut self, batch: Gathering, head: Head, disk: &DiskHandle) {
        let segment = self.tracker.current.as_ref().expect("a segment with room");
        let last_lsn = Lsn(batch.first_lsn.0 + u64::from(batch.records) - 1);
        let mut bytes = batch.bytes.into_vec();
        bytes.splice(HEADER..HEADER, head.bytes);
        seal(&mut bytes, segment.seq, batch.first_lsn, batch.records + head.records);
        let bytes_on_disk = bytes.len() as u64;
        assert!(
            segment.end + bytes_on_disk <= segment.len,
            "a batch of {bytes_on_disk} bytes at {} of {}",
            segment.end,
            segment.len
        );
        let op = disk.submit(DiskOp::WriteAt {
            file: segment.file,
            offset: segment.end,
            data: Bytes::from(bytes),
            then: if crate::canary!(SkipSync) { Sync::No } else { Sync::Data },
        });
        self.written.batches += 1;
        self.written.bytes += bytes_on_disk;
        self.writing = Some(Writing { op, bytes_on_disk, last_lsn, changes: batch.changes });
    }

    fn write_done(&mut self) {
        let done = self.writing.take().expect("the completed write");
        let segment = self.tracker.current.as_mut().expect("the segment written to");
        segment.end += done.bytes_on_disk;
        for change in done.changes {
            self.tracker.apply(change);
        }
        self.durable = done.last_lsn;
    }

    /// The `Segment` record and what it carries: every group's state before the batch to come.
    fn segment_head(&self) -> Head {
        let mut carried = Writer::new();
        let mut records = 0;
        for (group, track) in &self.tracker.groups {
            if let Some(mark) = &track.mark {
                Record::SnapshotMark(*group, mark.clone()).write(&mut carried);
                records += 1;
            }
            if let Some(state) = track.hard_state {
                Record::HardState(*group, state).write(&mut carried);
                records += 1;
            }
        }
        let mut bytes = Writer::new();
        write_segment(&mut bytes, &self.owner, u64::from(records));
        bytes.raw(carried.as_slice());
        Head { bytes: bytes.into_vec(), records: records + 1 }
    }

    /// Makes the next segment the current one. `false`: it is not ready, or too small, and a later
    /// flush tries again.
    fn switch_segment(&mut self, needed: u64, disk: &DiskHandle) -> bool {
        let Some(next) = self.next.take_if(|next| next.len >= needed) else {
            self.grow_next(needed, disk);
            return false;
        };
        if let Some(sealed) = self.tracker.current.replace(next) {
            self.to_close.push(sealed.file);
            self.tracker.sealed.push_back(sealed);
        }
        true
    }

    fn grow_next(&mut self, needed: u64, disk: &DiskHandle) {
        let (None, Some(next)) = (&self.job, &self.next) else { return };
        let steps = self.pieces(next.file, next.len, needed).collect();
        self.start_job(steps, JobResult::NextGrown(needed), disk);
    }

    /// Fills a file with zeros from `len` bytes to more of them. A shell's disk may do one thing at a time: in
    /// one go whoever commits would wait for all of them. Where there is no segment to write to, as after a start, everybody does.
    fn pieces(&self, file: FileId, len: u64, needed: u64) -> impl Iterator<Item = DiskOp> + use<> {
        let is_waited_for = self.tracker.current.is_none();
        let piece = if is_waited_for { needed } else { self.config.piece_bytes };
        let count = (needed - len).div_ceil(piece).max(1);
        (1..=count).map(move |k| {
            let len = needed.min(len + k * piece);
            DiskOp::Allocate { file, len, reserve: needed }
        })
    }

    /// Starts the next piece of work on files, if there is one and none is going on.
    fn housekeep(&mut self, disk: &DiskHandle) {
        if self.job.is_some() {
            return;
        }
        // The next segment's file proves that the current one holds a durable batch.
        let current_started = self.tracker.current.as_ref().is_none_or(|s| s.end > 0);
        if self.next.is_none() && current_started {
            let (steps, segment) = self.plan_next(disk);
            self.start_job(steps, JobResult::NextReady(segment), disk);
        } else if self.tracker.sealed.len() > self.config.spare_segments
            && self.tracker.releasable() > self.config.spare_segments
        {
            let steps = self.plan_trim();
            self.start_job(steps, JobResult::Trimmed, disk);
        }
    }

    fn plan_next(&mut self, disk: &DiskHandle) -> (VecDeque<DiskOp>, Segment) {
        let seq = self.tracker.last_seq() + 1;
        let file = disk.new_file();
        let path: std::sync::Arc<str> = segment_path(seq).into();
        let mut steps: VecDeque<DiskOp> =
            self.to_close.drain(..).map(|file| DiskOp::Close { file }).collect();
        let len = self.config.segment_bytes;
        let mut written = 0;
        if !std::mem::take(&mut self.leftover) && self.oldest_is_reusable() {
            let oldest = self.tracker.sealed.pop_front().expect("the oldest is reusable");
            steps.push_back(DiskOp::Rename {
                from: segment_path(oldest.seq).into(),
                to: path.clone(),
            });
            written = oldest.len;
        }
        steps.push_back(DiskOp::Open { file, path, mode: OpenMode::Create });
        steps.extend(self.pieces(file, written, len));
        steps.push_back(DiskOp::SyncDir { dir: WAL_DIR.into() });
        (steps, Segment { seq, file, len, end: 0, highest: BTreeMap::new() })
    }

    /// A file of another size is left to be trimmed.
    fn oldest_is_reusable(&self) -> bool {
        let same_size = |s: &Segment| s.len == self.config.segment_bytes;
        self.tracker.releasable() > 0 && self.tracker.sealed.front().is_some_and(same_size)
    }

    fn plan_trim(&mut self) -> VecDeque<DiskOp> {
        let mut steps: VecDeque<DiskOp> =
            self.to_close.drain(..).map(|file| DiskOp::Close { file }).collect();
        let oldest = self.tracker.sealed.pop_front().expect("a releasable segment");
        steps.push_back(DiskOp::Remove { path: segment_path(oldest.seq).into() });
        // Durable before the following one goes: the names left must have no hole.
        steps.push_back(DiskOp::SyncDir { dir: WAL_DIR.into() });
        steps
    }

    fn start_job(&mut self, mut steps: VecDeque<DiskOp>, then: JobResult, disk: &DiskHandle) {
        let first = steps.pop_front().expect("a job has steps");
        self.job = Some(Job { op: disk.submit(first), steps, then });
    }

    fn job_step_done(&mut self, disk: &DiskHandle) {
        let mut job = self.job.take().expect("the job of the completed step");
        if let Some(step) = job.steps.pop_front() {
            job.op = disk.submit(step);
            self.job = Some(job);
            return;
        }
        match job.then {
            JobResult::NextReady(segment) => self.next = Some(segment),
            JobResult::NextGrown(len) => {
                self.next.as_mut().expect("the segment that grew").len = len;
            }
            JobResult::Trimmed => {}
        }
    }
}

/// What precedes the records in a segment's first batch.
#[derive(Default)]
struct Head {
    bytes: Vec<u8>,
    records: u32,
}

/// Consecutive entries become one change.
fn push_change(changes: &mut Vec<Change>, record: &Record) {
    let change = change_of(record);
    if let Change::Entries { group, first, .. } = change
        && let Some(Change::Entries { group: same, last, .. }) = changes.last_mut()
        && *same == group
        && last.0 + 1 == first.0
    {
        *last = first;
        return;
    }
    changes.push(change);
}

pub(super) fn change_of(record: &Record) -> Change {
    match record {
        Record::Entry(group, entry) => {
            Change::Entries { group: *group, first: entry.index, last: entry.index }
        }
        Record::HardState(group, state) => Change::HardState(*group, *state),
        Record::SnapshotMark(group, mark) => Change::Mark(*group, mark.clone()),
        Record::Truncate { group, from } => Change::Truncate { group: *group, from: *from },
        Record::Remove(group) => Change::Remove(*group),
    }
}

impl Tracker {
    /// Takes a change that is durable in the current segment.
    pub(super) fn apply(&mut self, change: Change) {
        match change {
            Change::Entries { group, first, last } => {
                if first <= self.groups.entry(group).or_default().last {
                    self.forget_from(group, first);
                }
                self.groups.entry(group).or_default().last = last;
                let current = self.current.as_mut().expect("entries are in a segment");
                current.highest.insert(group, last);
            }
            Change::HardState(group, state) => {
                self.groups.entry(group).or_default().hard_state = Some(state);
            }
            Change::Mark(group, mark) => {
                let track = self.groups.entry(group).or_default();
                track.last = track.last.max(mark.index);
                track.mark = Some(mark);
            }
            Change::Truncate { group, from } => self.forget_from(group, from),
            Change::Release { group, index } => self.release(group, index),
            Change::Remove(group) => {
                self.groups.remove(&group);
                for segment in self.sealed.iter_mut().chain(&mut self.current) {
                    segment.highest.remove(&group);
                }
            }
        }
    }

    fn forget_from(&mut self, group: GroupId, from: LogIndex) {
        let kept = LogIndex(from.0.saturating_sub(1));
        let track = self.groups.entry(group).or_default();
        track.last = track.last.min(kept);
        for segment in self.sealed.iter_mut().chain(&mut self.current) {
            if let Some(highest) = segment.highest.get_mut(&group) {
                *highest = kept.min(*highest);
            }
        }
    }

    fn release(&mut self, group: GroupId, index: LogIndex) {
        let Some(track) = self.groups.get_mut(&group) else { return };
        let covered = track.mark.as_ref().map_or(LogIndex(0), |m| m.index);
        assert!(
            index <= covered,
            "group {group} releases entries up to {index}, its snapshot covers {covered}"
        );
        track.released = track.released.max(index);
    }

    fn released(&self, group: GroupId) -> LogIndex {
        self.groups.get(&group).map_or(LogIndex(u64::MAX), |t| t.released)
    }

    /// How many of the oldest sealed segments hold nothing that is needed.
    fn releasable(&self) -> usize {
        // Until the current segment has its first batch, the last sealed one has the only copy of
        // the groups' state.
        let started = self.current.as_ref().is_some_and(|s| s.end > 0);
        let candidates = self.sealed.len() - usize::from(!started && !self.sealed.is_empty());
        let needed = |s: &Segment| s.highest.iter().any(|(g, last)| *last > self.released(*g));
        self.sealed.iter().take(candidates).take_while(|s| !needed(s)).count()
    }

    fn last_seq(&self) -> u64 {
        let sealed = self.sealed.back().map_or(0, |s| s.seq);
        self.current.as_ref().map_or(sealed, |s| s.seq)
    }
}
