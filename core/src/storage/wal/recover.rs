//! Reading the log back.
//!
//! [`Replay`] is fed whole segments in order and judges them; [`recover`] does the reading around it
//! and, before anyone acts on what was read, makes sure that it is durable: the last batch may have
//! been read from the page cache of a process that died before its sync, so it is written again.
//! The sector after it is cleared, so that a torn batch stays cut whatever happens next.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::batch::{Batch, Found, SECTOR, looks_torn, read_at};
use super::log::{Segment, Tracker, Wal, change_of};
use super::record::{Item, LogEntry, Record, WalOwner, read_item};
use super::{
    HardState, Lsn, Recovered, RecoveredGroup, SnapshotMark, WAL_DIR, WalConfig, WalDamage,
    WalPosition, segment_path, segment_seq,
};
use crate::base::codec::{CodecError, Reader};
use crate::base::{GroupId, LogIndex};
use crate::seam::{DiskError, DiskOp, FileId, OpenMode, Sync};
use crate::storage::DiskHandle;
use crate::storage::disk::ROOT_DIR;

/// No log counts this far: a larger number is damage, and there may be none after it.
const NUMBER_MAX: u64 = u64::MAX >> 1;

/// Reads the log of `owner`, makes what was read durable and gives the log to continue.
///
/// The operations it submits must be carried out for it to finish, and those of the returned
/// [`Wal`] follow by themselves with its first flush.
pub async fn recover(
    disk: DiskHandle,
    owner: WalOwner,
    config: WalConfig,
) -> Result<(Wal, Recovered), WalDamage> {
    disk.run(DiskOp::MakeDir { dir: WAL_DIR.into() }).await?;
    disk.sync_dir(ROOT_DIR).await?;
    let mut seqs: Vec<u64> =
        disk.list(WAL_DIR).await?.iter().filter_map(|name| segment_seq(name)).collect();
    seqs.sort_unstable();
    let mut replay = Replay::new(owner);
    for seq in &seqs {
        let (file, len) = disk.open(&segment_path(*seq), OpenMode::Existing).await?;
        let bytes = disk.read_all(file, len).await?;
        disk.close(file).await?;
        replay.segment(*seq, len, &bytes)?;
    }
    replay.check_end()?;
    for patch in replay.patches() {
        patch.write(&disk).await?;
    }
    disk.sync_dir(WAL_DIR).await?;
    Ok(replay.finish(config))
}

/// Bytes to write into a segment before the log may be used.
struct Patch {
    at: WalPosition,
    data: Bytes,
}

impl Patch {
    async fn write(self, disk: &DiskHandle) -> Result<(), DiskError> {
        let path = segment_path(self.at.segment_seq);
        let (file, _) = disk.open(&path, OpenMode::Existing).await?;
        disk.run(DiskOp::WriteAt {
            file,
            offset: self.at.offset,
            data: self.data,
            then: Sync::Data,
        })
        .await?;
        disk.close(file).await
    }
}

/// The log as far as it was read.
struct Replay {
    owner: WalOwner,
    groups: BTreeMap<GroupId, RecoveredGroup>,
    tracker: Tracker,
    /// The lsn the next batch must have; `None` before the first.
    expected: Option<Lsn>,
    previous_seq: Option<u64>,
    /// The last batch and where it is.
    last_batch: Option<Patch>,
    /// Where the last segment with a batch ends, and the one after it, with the sector found there.
    ends: Vec<Patch>,
    /// The last segment read holds no batch.
    empty_segment: Option<WalPosition>,
    cut: Option<WalPosition>,
}

fn corrupt<T>(at: WalPosition, why: impl Into<String>) -> Result<T, WalDamage> {
    Err(WalDamage::Corrupt { at, why: why.into() })
}

impl Replay {
    fn new(owner: WalOwner) -> Replay {
        Replay {
            owner,
            groups: BTreeMap::new(),
            tracker: Tracker::default(),
            expected: None,
            previous_seq: None,
            last_batch: None,
            ends: Vec::new(),
            empty_segment: None,
            cut: None,
        }
    }

    /// Takes the next segment, whose file has `len` bytes.
    fn segment(&mut self, seq: u64, len: u64, bytes: &Bytes) -> Result<(), WalDamage> {
        let start = WalPosition { segment_seq: seq, offset: 0 };
        check_number(start, seq)?;
        if let Some(at) = self.empty_segment {
            return corrupt(at, "no batch in a segment that is not the last");
        }
        if self.previous_seq.is_some_and(|previous| previous + 1 != seq) {
            return corrupt(start, "the segment before it is missing");
        }
        self.previous_seq = Some(seq);
        let segment = Segment { seq, file: FileId(0), len, end: 0, highest: BTreeMap::new() };
        self.tracker.sealed.extend(self.tracker.current.replace(segment));

        let end = self.batches(seq, bytes)?;
        self.check_nothing_follows(seq, bytes, end)?;
        let rest = bytes.slice(end.min(bytes.len())..bytes.len().min(end + SECTOR));
        let at = WalPosition { segment_seq: seq, offset: end as u64 };
        if end == 0 {
            // Not part of the log: the file that will be its next segment.
            self.empty_segment = Some(start);
            self.tracker.current = self.tracker.sealed.pop_back();
        } else {
            self.cut = None;
            self.ends.clear();
        }
        self.cut = self.cut.or(looks_torn(&rest, seq).then_some(at));
        self.ends.push(Patch { at, data: rest });
        Ok(())
    }

    /// Takes the batches from the segment's start; gives the offset after the last good one.
    fn batches(&mut self, seq: u64, bytes: &Bytes) -> Result<usize, WalDamage> {
        let mut offset = 0;
        loop {
            let at = WalPosition { segment_seq: seq, offset: offset as u64 };
            match read_at(bytes, offset, seq) {
                Found::Nothing => return Ok(offset),
                Found::Newer(version) => return Err(newer(at, version)),
                Found::Batch(batch) => {
                    self.batch(at, &batch)?;
                    let end = offset + batch.bytes_on_disk;
                    let data = bytes.slice(offset..end.min(bytes.len()));
                    self.last_batch = Some(Patch { at, data });
                    offset = end;
                    self.tracker.current.as_mut().expect("the segment being read").end = end as u64;
                }
            }
        }
    }

    /// A good batch after a bad spot shows that the bad spot is no torn tail.
    fn check_nothing_follows(&self, seq: u64, bytes: &Bytes, end: usize) -> Result<(), WalDamage> {
        for offset in (end + SECTOR..bytes.len()).step_by(SECTOR) {
            if read_at(bytes, offset, seq) != Found::Nothing {
                let at = WalPosition { segment_seq: seq, offset: end as u64 };
                return corrupt(at, format!("a bad batch before a good one at byte {offset}"));
            }
        }
        Ok(())
    }

    fn batch(&mut self, at: WalPosition, batch: &Batch) -> Result<(), WalDamage> {
        let lsn = batch.header.lsn;
        check_number(at, lsn.0)?;
        if lsn.0 == 0 {
            return corrupt(at, "lsn 0, though the first is 1");
        }
        if self.expected.is_some_and(|expected| expected != lsn) {
            let expected = self.expected.map_or(0, |e| e.0);
            return corrupt(at, format!("lsn {} where {expected} should be", lsn.0));
        }
        let mut reader = Reader::new(batch.payload.clone(), "log batch");
        let mut carried = 0;
        for number in 0..batch.header.records {
            match read_item(&mut reader).map_err(|error| unreadable(at, error))? {
                Item::Segment { owner, .. } if owner != self.owner => {
                    return Err(WalDamage::Foreign { at, found: owner });
                }
                Item::Segment { carried: count, .. } if at.offset == 0 && number == 0 => {
                    // The record that says so repeats nothing either.
                    carried = count.saturating_add(1);
                }
                Item::Fact(record) if at.offset > 0 || number > 0 => self.record(at, record)?,
                _ => return corrupt(at, "a segment's owner is not where it should be"),
            }
        }
        reader.finish().map_err(|error| unreadable(at, error))?;
        let Some(new) = u64::from(batch.header.records).checked_sub(carried) else {
            return corrupt(at, "fewer records than it says it carries");
        };
        self.expected = Some(Lsn(lsn.0 + new));
        Ok(())
    }

    fn record(&mut self, at: WalPosition, record: Record) -> Result<(), WalDamage> {
        check_number(at, largest_number(&record))?;
        self.tracker.apply(change_of(&record));
        let group = self.groups.entry(record.group()).or_default();
        match record {
            Record::Entry(id, entry) => {
                if let Err(last) = group.put(entry) {
                    return corrupt(at, format!("a gap after entry {last} of group {id}"));
                }
            }
            Record::HardState(_, state) => group.hard_state = state,
            Record::SnapshotMark(_, mark) => {
                if group.entries.last().is_some_and(|e| e.index < mark.index) {
                    group.entries.clear();
                }
                group.add_mark(mark);
            }
            Record::Truncate { from, .. } => {
                group.truncate(from);
                if group.mark.as_ref().is_some_and(|mark| from <= mark.index) {
                    group.older_marks.clear();
                }
            }
            Record::Remove(id) => {
                self.groups.remove(&id);
            }
        }
        Ok(())
    }

    /// Judges the log as a whole.
    fn check_end(&self) -> Result<(), WalDamage> {
        let at = self.ends.last().map_or(WalPosition { segment_seq: 1, offset: 0 }, |end| end.at);
        if self.expected.is_none() && at.segment_seq != 1 {
            return corrupt(at, "no batch in the only segment, which is not the first");
        }
        for (id, group) in &self.groups {
            let covered = group.covered();
            if group.entries.first().is_some_and(|e| e.index.0 > covered.0 + 1) {
                return corrupt(at, format!("entries of group {id} after {covered} are missing"));
            }
            let last = group.entries.last().map_or(covered, |e| e.index.max(covered));
            let HardState { commit, .. } = group.hard_state;
            if commit > last {
                return corrupt(
                    at,
                    format!("group {id} ends at {last}, but had committed {commit}"),
                );
            }
        }
        Ok(())
    }

    /// What must be written before the log may be used: the last batch again, and zeros after it.
    fn patches(&mut self) -> Vec<Patch> {
        let mut patches: Vec<Patch> = self.last_batch.take().into_iter().collect();
        let dirty = self.ends.drain(..).filter(|end| end.data.iter().any(|byte| *byte != 0));
        patches.extend(dirty.map(|end| Patch { data: vec![0; end.data.len()].into(), ..end }));
        patches
    }

    fn finish(mut self, config: WalConfig) -> (Wal, Recovered) {
        let fresh = self.expected.is_none();
        let durable = Lsn(self.expected.map_or(0, |next| next.0.saturating_sub(1)));
        self.tracker.sealed.extend(self.tracker.current.take());
        for group in self.groups.values_mut() {
            let older = std::mem::take(&mut group.older_marks);
            group.older_marks = older.into_iter().filter(|mark| group.goes_on_from(mark)).collect();
        }
        let leftover = self.empty_segment.is_some();
        let recovered = Recovered { groups: self.groups, durable, cut: self.cut, fresh };
        (Wal::new(config, self.owner, self.tracker, durable, leftover), recovered)
    }
}

fn check_number(at: WalPosition, number: u64) -> Result<(), WalDamage> {
    if number > NUMBER_MAX {
        return corrupt(at, format!("the number {number}, to which no log counts"));
    }
    Ok(())
}

/// The largest number in a record that others are counted from.
fn largest_number(record: &Record) -> u64 {
    match record {
        Record::Entry(_, entry) => entry.index.0.max(entry.term.0),
        Record::HardState(_, state) => state.commit.0.max(state.term.0),
        Record::SnapshotMark(_, mark) => mark.index.0.max(mark.term.0),
        Record::Truncate { .. } | Record::Remove(_) => 0,
    }
}

impl RecoveredGroup {
    /// Puts an entry after dropping those at and after its index. An empty log takes any; a gap is
    /// refused with the last index.
    fn put(&mut self, entry: LogEntry) -> Result<(), LogIndex> {
        self.truncate(entry.index);
        if let Some(last) = self.entries.last()
            && last.index.0 + 1 != entry.index.0
        {
            return Err(last.index);
        }
        // Entries outlive the segment's buffer.
        self.entries.push(LogEntry { data: Bytes::copy_from_slice(&entry.data), ..entry });
        Ok(())
    }

    /// Takes the mark that is the latest from here on. One that is repeated says nothing new.
    fn add_mark(&mut self, mark: SnapshotMark) {
        self.older_marks.retain(|older| older.index < mark.index);
        let earlier = self.mark.replace(mark);
        let covered = self.covered();
        self.older_marks.extend(earlier.filter(|earlier| earlier.index < covered));
    }

    fn covered(&self) -> LogIndex {
        self.mark.as_ref().map_or(LogIndex(0), |mark| mark.index)
    }

    /// Whether every entry behind an earlier mark is there.
    fn goes_on_from(&self, mark: &SnapshotMark) -> bool {
        self.entries.first().is_some_and(|first| first.index.0 <= mark.index.0 + 1)
            && self.entries.last().is_some_and(|last| last.index >= self.covered())
    }

    fn truncate(&mut self, from: LogIndex) {
        let Some(first) = self.entries.first() else { return };
        let kept = from.0.saturating_sub(first.index.0);
        self.entries.truncate(usize::try_from(kept).unwrap_or(usize::MAX));
    }
}

fn unreadable(at: WalPosition, error: CodecError) -> WalDamage {
    match error {
        CodecError::NewerVersion { .. } => WalDamage::Newer { at, source: error },
        other => WalDamage::Corrupt { at, why: other.to_string() },
    }
}

fn newer(at: WalPosition, version: u16) -> WalDamage {
    let source = CodecError::NewerVersion { what: "log batch", version: version.into() };
    WalDamage::Newer { at, source }
}
