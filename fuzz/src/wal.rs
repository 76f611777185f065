//! Segments of the write-ahead log, whatever is in them.
//!
//! ```text
//! flags u8             bit 0: checksums are repaired, so that damage gets behind them;
//!                      bit 1: what follows are choices of records instead, see `log_builder`
//! seq u8, sectors u8   a segment's number (255: the last there can be) and length
//! bytes                sectors × 512, or what is left; then the next segment
//! ```

use basalt_core::base::{GroupId, InstanceId, LogIndex, Term};
use basalt_core::storage::DiskHandle;
use basalt_core::storage::wal::{
    HardState, LogEntry, Record, Recovered, RecoveredGroup, SnapshotMark, Wal, WalConfig,
    WalDamage, WalEvent, WalOwner, recover,
};
use bytes::Bytes;

use crate::memory_disk::MemoryDisk;
use crate::{Seeds, log_builder};

const REPAIR: u8 = 1;
const BUILT: u8 = 2;
pub(crate) const SECTOR: usize = 512;
pub(crate) const HEADER: usize = 40;
const OWNER: WalOwner = WalOwner { cluster: [1; 16], instance: [2; 16] };
const CONFIG: WalConfig = WalConfig { segment_bytes: 4096, spare_segments: 1, piece_bytes: 1536 };
/// The group the log goes on with.
const GROUP: GroupId = GroupId(77);

type Outcome = Result<(Wal, Recovered), WalDamage>;

/// See the module.
pub fn run(data: &[u8]) {
    let Some((flags, segments)) = data.split_first() else { return };
    let built = flags & BUILT != 0;
    let segments = if built { log_builder::segments(segments, OWNER) } else { split(segments) };
    let mut disk = MemoryDisk::default();
    for (seq, mut bytes) in segments {
        if built || flags & REPAIR != 0 {
            repair(seq, &mut bytes);
        }
        disk.put(format!("wal/{seq:016x}"), bytes);
    }
    let Ok((_, first)) = recovered(&mut disk) else { return };
    check_contiguous(&first);
    if first.durable.0 >= u64::MAX >> 1 {
        // The last number that recovery takes: there is none to go on with.
        return;
    }
    let (wal, second) = recovered(&mut disk).expect("what was recovered once is recovered again");
    assert_eq!((&first.groups, first.durable), (&second.groups, second.durable));
    go_on(wal, &mut disk);
    let (_, third) = recovered(&mut disk).expect("a log that went on is recovered");
    assert_eq!(third.durable.0, first.durable.0 + 1, "one record was added");
    let mut expected = first.groups;
    expected.entry(GROUP).or_default().hard_state = added().1;
    for (id, group) in expected {
        // A group of which nothing is known may be forgotten.
        let found = third.groups.get(&id).cloned().unwrap_or_default();
        assert_eq!(needed(found), needed(group), "of group {id}");
    }
}

fn split(mut rest: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let mut segments = Vec::new();
    while let [seq, sectors, bytes @ ..] = rest {
        let len = bytes.len().min(usize::from(*sectors) * SECTOR);
        let seq = if *seq == u8::MAX { u64::MAX } else { u64::from(*seq) };
        segments.push((seq, bytes[..len].to_vec()));
        rest = &bytes[len..];
    }
    segments
}

/// Gives every batch the number of its segment and the checksum it needs.
fn repair(seq: u64, segment: &mut [u8]) {
    for start in (0..segment.len()).step_by(SECTOR) {
        let batch = &mut segment[start..];
        if batch.len() < HEADER || !batch.starts_with(b"BWAL") {
            continue;
        }
        batch[8..16].copy_from_slice(&seq.to_le_bytes());
        let len = u32::from_le_bytes([batch[28], batch[29], batch[30], batch[31]]) as usize;
        let Some(payload) = batch.get(HEADER..HEADER + len) else { continue };
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&seq.to_le_bytes());
        hasher.update(&batch[..32]);
        hasher.update(payload);
        batch[32..36].copy_from_slice(&hasher.finalize().to_le_bytes());
    }
}

fn recovered(disk: &mut MemoryDisk) -> Outcome {
    disk.block_on(|handle| recover(handle, OWNER, CONFIG))
}

fn check_contiguous(recovered: &Recovered) {
    for (id, group) in &recovered.groups {
        for pair in group.entries.windows(2) {
            assert_eq!(pair[0].index.0 + 1, pair[1].index.0, "entries of group {id}");
        }
        let covered = group.mark.as_ref().map_or(0, |m| m.index.0);
        if let Some(first) = group.entries.first() {
            assert!(first.index.0 <= covered.saturating_add(1), "group {id} begins too late");
        }
        for older in &group.older_marks {
            assert!(older.index.0 < covered, "group {id} has {older:?} before its mark");
            let (first, last) = (group.entries.first(), group.entries.last());
            let goes_on = first.is_some_and(|first| first.index.0 <= older.index.0 + 1)
                && last.is_some_and(|last| last.index.0 >= covered);
            assert!(goes_on, "group {id} cannot go on from {older:?}");
        }
    }
}

/// Entries that the snapshot covers may still be there, or not; so may earlier marks, which only a log
/// that was written by this code repeats in the heads of its segments.
fn needed(mut group: RecoveredGroup) -> RecoveredGroup {
    group.older_marks.clear();
    let covered = group.mark.as_ref().map_or(LogIndex(0), |mark| mark.index);
    group.entries.retain(|entry| entry.index > covered);
    group
}

fn added() -> (Record, HardState) {
    let state = HardState { term: Term(9), vote: InstanceId(0), commit: LogIndex(0) };
    (Record::HardState(GROUP, state), state)
}

/// Appends a record and does what the log asks for, until it asks for nothing.
fn go_on(mut wal: Wal, disk: &mut MemoryDisk) {
    let executor = basalt_core::seam::Executor::new();
    let handle = DiskHandle::new(executor.spawner());
    let lsn = wal.append(&[added().0]);
    drain(&mut wal, &handle, disk);
    assert_eq!(wal.durable(), lsn, "everything asked for was done");
}

fn drain(wal: &mut Wal, handle: &DiskHandle, disk: &mut MemoryDisk) {
    wal.flush(handle);
    for _ in 0..1000 {
        let ops = handle.take_ops();
        if ops.is_empty() {
            return;
        }
        for (id, op) in ops {
            let event = wal.disk_done(id, &disk.carry_out(op), handle);
            assert!(matches!(event, WalEvent::Durable(_) | WalEvent::Progress), "{event:?}");
        }
        wal.flush(handle);
    }
    panic!("the log never comes to rest");
}

/// Logs of one and of several segments, as the log itself writes them.
pub fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    for (name, batches) in [("empty", 0), ("one-batch", 1), ("three", 3), ("many-segments", 12)] {
        let mut disk = MemoryDisk::default();
        let (mut wal, _) = recovered(&mut disk).expect("an empty disk is an empty log");
        let executor = basalt_core::seam::Executor::new();
        let handle = DiskHandle::new(executor.spawner());
        for number in 1..=batches {
            wal.append(&history(number));
            drain(&mut wal, &handle, &mut disk);
        }
        seeds.push((name.to_owned(), input(&disk)));
    }
    seeds.push(("torn".into(), torn(&seeds[2].1)));
    for step in [1, 5, 37, 101, 183] {
        let choices = (0..120u8).map(|k| k.wrapping_mul(step));
        seeds.push((format!("built-{step}"), [BUILT].into_iter().chain(choices).collect()));
    }
    seeds
}

/// The last sector of a log never arrived.
fn torn(whole: &[u8]) -> Vec<u8> {
    let mut torn = whole[..whole.len() - SECTOR].to_vec();
    torn[0] = 0;
    torn
}

/// The records of the `number`th batch of a seed.
fn history(number: u64) -> Vec<Record> {
    let (group, index) = (GroupId(1 + number % 2), LogIndex(1 + (number - 1) / 2));
    let data = Bytes::from(vec![number as u8; 300]);
    let entry = LogEntry { index, term: Term(2), kind: 1, data };
    let state = HardState { term: Term(2), vote: InstanceId(1), commit: index };
    let mut records = vec![Record::Entry(group, entry), Record::HardState(group, state)];
    if number == 6 {
        let conf = Bytes::from_static(b"conf");
        records.push(Record::SnapshotMark(group, SnapshotMark { index, term: Term(2), conf }));
    }
    if number == 9 {
        records.push(Record::Truncate { group: GroupId(3), from: LogIndex(1) });
        records.push(Record::Remove(GroupId(3)));
    }
    records
}

/// The input that is this disk; zeros at the end are left out.
fn input(disk: &MemoryDisk) -> Vec<u8> {
    let mut input = vec![REPAIR];
    for (path, content) in disk.files() {
        let seq = path.rsplit('/').next().and_then(|name| u64::from_str_radix(name, 16).ok());
        let used = content.iter().rposition(|b| *b != 0).map_or(0, |at| at / SECTOR + 1);
        input.push(seq.unwrap_or(0) as u8);
        input.push(used as u8);
        input.extend_from_slice(&content[..used * SECTOR]);
    }
    input
}
