//! The log against a simple model: random histories, crashes at any disk operation with loss and
//! tearing of what was not durable, damage of any byte.
//!
//! ```text
//!   append ─ append ─ flush ─ op op ✗      states of the model:  s0 s1 s2 s3 s4 s5
//!                                                                       └ reported durable
//!   recover = one of s2..=s5
//! ```

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::base::codec::Writer;
use crate::base::{InstanceId, LogIndex, Term};
use crate::seam::{DiskErrorKind, DiskOp, Executor, Rng};
use crate::storage::DiskHandle;
use crate::storage::model_disk::ModelDisk;

const OWNER: WalOwner = WalOwner { cluster: [1; 16], instance: [2; 16] };
const SMALL: WalConfig = WalConfig { segment_bytes: 4096, spare_segments: 1, piece_bytes: 1536 };

/// A group as its owner knows it; entries are those since the beginning.
#[derive(Clone, Debug, Default, PartialEq)]
struct ModelGroup {
    state: RecoveredGroup,
    released: LogIndex,
}

type Model = BTreeMap<GroupId, ModelGroup>;

impl ModelGroup {
    fn last(&self) -> u64 {
        let covered = self.state.mark.as_ref().map_or(0, |m| m.index.0);
        self.state.entries.last().map_or(covered, |e| e.index.0.max(covered))
    }

    fn apply(&mut self, record: &Record) {
        match record {
            Record::Entry(_, entry) => {
                self.state.entries.retain(|e| e.index < entry.index);
                self.state.entries.push(entry.clone());
            }
            Record::HardState(_, state) => self.state.hard_state = *state,
            Record::SnapshotMark(_, mark) => {
                if self.state.entries.last().is_some_and(|e| e.index < mark.index) {
                    self.state.entries.clear();
                }
                self.state.older_marks.retain(|older| older.index < mark.index);
                let earlier = self.state.mark.replace(mark.clone());
                self.state.older_marks.extend(earlier.filter(|older| older.index < mark.index));
            }
            Record::Truncate { from, .. } => {
                self.state.entries.retain(|e| e.index < *from);
                if self.state.mark.as_ref().is_some_and(|mark| *from <= mark.index) {
                    self.state.older_marks.clear();
                }
            }
            Record::Remove(_) => {}
        }
    }

    /// Whether `got` holds this state; entries that were released may be missing.
    fn matches(&self, got: &RecoveredGroup) -> bool {
        let own = &self.state.entries;
        let needed = own.iter().filter(|e| e.index > self.released).count();
        got.hard_state == self.state.hard_state
            && got.mark == self.state.mark
            && self.older_marks_match(got)
            && got.entries.len() >= needed
            && own.ends_with(&got.entries)
    }
}

impl ModelGroup {
    /// An earlier mark is one that was made, and one behind which nothing was released is there.
    fn older_marks_match(&self, got: &RecoveredGroup) -> bool {
        let own = &self.state;
        let covered = own.mark.as_ref().map_or(LogIndex(0), |mark| mark.index);
        let goes_on = |older: &&SnapshotMark| {
            (older.index.0 + 1..=covered.0).all(|at| own.entries.iter().any(|e| e.index.0 == at))
        };
        let needed = own.older_marks.iter().filter(|older| older.index >= self.released);
        got.older_marks.iter().all(|older| own.older_marks.contains(older) && goes_on(&older))
            && needed.filter(goes_on).all(|older| got.older_marks.contains(older))
    }
}

/// A group of which nothing is remembered (its empty log was truncated) may be there or not.
fn matches(model: &Model, got: &Recovered) -> bool {
    let something = |state: &RecoveredGroup| *state != RecoveredGroup::default();
    let expected = model.iter().filter(|(_, m)| something(&m.state));
    let found = got.groups.iter().filter(|(_, g)| something(g));
    expected.clone().count() == found.clone().count()
        && expected.zip(found).all(|((a, m), (b, g))| a == b && m.matches(g))
}

/// One instance's life after life on one disk.
struct World {
    rng: Rng,
    disk: ModelDisk,
    config: WalConfig,
    /// The states that recovery may give, by the lsn that reaches them.
    states: Vec<(Lsn, Model)>,
    durable: Lsn,
    recycled: bool,
}

impl World {
    fn new(seed: u64) -> World {
        let mut rng = Rng::from_u64(seed);
        let spare_segments = rng.below(3) as usize;
        World {
            rng,
            disk: ModelDisk::default(),
            config: WalConfig { spare_segments, ..SMALL },
            states: vec![(Lsn(0), Model::new())],
            durable: Lsn(0),
            recycled: false,
        }
    }

    /// Recovers, checks what came back and lives until the next crash.
    fn life(&mut self) {
        let mut executor = Executor::new();
        let disk = DiskHandle::new(executor.spawner());
        if self.rng.chance(200_000) {
            self.disk.ops_left = Some(self.rng.below(12));
        }
        let task = recover(disk.clone(), OWNER, self.config);
        if let Some(outcome) = self.disk.block_on(&mut executor, &disk, task) {
            let (wal, recovered) = outcome.expect("a crash alone never damages the log");
            self.adopt(&recovered);
            self.disk.ops_left = Some(self.rng.below(150));
            self.work(wal, &disk);
        }
        // Of a process that is killed, everything written is still there, durable or not.
        if self.rng.chance(300_000) {
            self.disk.close_all();
            self.disk.ops_left = None;
        } else {
            self.disk.crash(&mut self.rng);
        }
    }

    fn adopt(&mut self, recovered: &Recovered) {
        assert!(recovered.durable >= self.durable, "{recovered:?} lost {:?}", self.durable);
        let state = self.states.iter().find(|(lsn, _)| *lsn == recovered.durable);
        let (lsn, mut model) = state.expect("a batch ends where an append ends").clone();
        assert!(matches(&model, recovered), "at {lsn:?}\n{model:?}\n{recovered:?}");
        model.retain(|id, _| recovered.groups.contains_key(id));
        for (id, group) in &mut model {
            group.released = LogIndex(0);
            group.state.entries = recovered.groups[id].entries.clone();
            group.state.older_marks = recovered.groups[id].older_marks.clone();
        }
        self.states = vec![(lsn, model)];
        self.durable = lsn;
    }

    fn work(&mut self, mut wal: Wal, disk: &DiskHandle) {
        let mut pending = VecDeque::new();
        loop {
            for _ in 0..self.rng.below(4) {
                self.append_something(&mut wal);
            }
            wal.flush(disk);
            pending.extend(disk.take_ops());
            if pending.is_empty() {
                self.append_something(&mut wal);
            }
            for _ in 0..self.rng.below(4) {
                let Some((id, op)) = pending.pop_front() else { break };
                self.recycled |= matches!(op, DiskOp::Rename { .. });
                let Some(result) = self.disk.run(op) else { return };
                match wal.disk_done(id, &result, disk) {
                    WalEvent::Durable(lsn) => self.durable = lsn,
                    WalEvent::Progress => {}
                    other => panic!("{other:?}"),
                }
                pending.extend(disk.take_ops());
            }
        }
    }

    fn append_something(&mut self, wal: &mut Wal) {
        let mut model = self.states.last().expect("never empty").1.clone();
        let id = GroupId(self.rng.below(3));
        let group = model.entry(id).or_default();
        let records = self.draw_records(id, group);
        records.iter().for_each(|record| group.apply(record));
        if matches!(records[..], [Record::Remove(_)]) {
            model.remove(&id);
        }
        let lsn = wal.append(&records);
        self.states.push((lsn, model));
        if self.rng.chance(200_000) {
            self.release(wal, id);
        }
    }

    fn draw_records(&mut self, id: GroupId, group: &ModelGroup) -> Vec<Record> {
        let covered = group.state.mark.as_ref().map_or(0, |m| m.index.0);
        let commit = group.state.hard_state.commit.0.max(covered);
        let (last, term) = (group.last(), group.state.hard_state.term.0);
        let state = |term, commit| {
            let commit = LogIndex(commit);
            Record::HardState(id, HardState { term: Term(term), vote: InstanceId(3), commit })
        };
        match self.rng.below(20) {
            0 => vec![Record::Truncate {
                group: id,
                from: LogIndex(self.rng.range(commit, last) + 1),
            }],
            1 => vec![Record::Remove(id)],
            // A snapshot of another member replaces the log.
            2 => {
                let to = last + self.rng.range(1, 20);
                let truncate = Record::Truncate { group: id, from: LogIndex(0) };
                vec![truncate, mark(id, to, term), state(term + 1, to)]
            }
            3..=5 => vec![mark(id, commit, term)],
            6..=8 => vec![state(term + 1, self.rng.range(commit, last))],
            _ => {
                let from = if self.rng.chance(100_000) { commit } else { last };
                let first = self.rng.range(from, last) + 1;
                let count = self.rng.range(1, 5);
                let big = self.rng.chance(20_000);
                (first..first + count).map(|index| self.entry(id, index, term, big)).collect()
            }
        }
    }

    fn entry(&mut self, id: GroupId, index: u64, term: u64, big: bool) -> Record {
        let mut data = vec![0; self.rng.below(if big { 6000 } else { 300 }) as usize];
        self.rng.fill(&mut data);
        let (index, term) = (LogIndex(index), Term(term));
        Record::Entry(id, LogEntry { index, term, kind: 0, data: data.into() })
    }

    fn release(&mut self, wal: &mut Wal, id: GroupId) {
        let Some(group) = self.states.last_mut().expect("never empty").1.get_mut(&id) else {
            return;
        };
        let Some(mark) = &group.state.mark else { return };
        let older = group.state.older_marks.last().filter(|_| self.rng.chance(700_000));
        let index = older.unwrap_or(mark).index;
        group.released = index.max(group.released);
        wal.release(id, index);
        // It may take effect as soon as the state of now is durable, and stays in effect.
    }
}

fn mark(id: GroupId, index: u64, term: u64) -> Record {
    let (index, term) = (LogIndex(index), Term(term));
    Record::SnapshotMark(id, SnapshotMark { index, term, conf: Bytes::from_static(b"conf") })
}

fn entry(id: u64, index: u64, data: &'static [u8]) -> Record {
    let (index, term) = (LogIndex(index), Term(1));
    Record::Entry(GroupId(id), LogEntry { index, term, kind: 0, data: Bytes::from_static(data) })
}

fn recover_on(disk: &mut ModelDisk, owner: WalOwner) -> Result<(Wal, Recovered), WalDamage> {
    disk.close_all();
    let mut executor = Executor::new();
    let handle = DiskHandle::new(executor.spawner());
    let task = recover(handle.clone(), owner, SMALL);
    disk.block_on(&mut executor, &handle, task).expect("no crash point is set")
}

/// Flushes and carries out everything asked for.
fn settle(wal: &mut Wal, disk: &mut ModelDisk, handle: &DiskHandle) {
    loop {
        wal.flush(handle);
        let ops = handle.take_ops();
        if ops.is_empty() {
            return;
        }
        for (id, op) in ops {
            let result = disk.run(op).expect("no crash point is set");
            let event = wal.disk_done(id, &result, handle);
            assert!(!matches!(event, WalEvent::NotMine | WalEvent::Failed(_)), "{event:?}");
        }
    }
}

/// A log of `batches` batches of one entry each for group 1.
fn written_log(batches: u64) -> ModelDisk {
    let mut disk = ModelDisk::default();
    let (mut wal, recovered) = recover_on(&mut disk, OWNER).unwrap();
    assert!(recovered.fresh);
    let handle = DiskHandle::new(Executor::new().spawner());
    for index in 1..=batches {
        wal.append(&[entry(1, index, &[7; 700])]);
        settle(&mut wal, &mut disk, &handle);
    }
    disk
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_was_reported_durable_survives_any_crash(seed in any::<u64>()) {
        // Batches of one append and segments left early, in some of the cases.
        #[cfg(feature = "canaries")]
        crate::seam::probe::begin_run(Vec::new(), Some(Rng::from_u64(seed).fork("buggify")));
        let mut world = World::new(seed);
        for _ in 0..8 {
            world.life();
        }
        #[cfg(feature = "canaries")]
        crate::seam::probe::begin_run(Vec::new(), None);
    }

    #[test]
    fn a_flipped_bit_is_never_taken_for_data(seed in any::<u64>()) {
        let mut rng = Rng::from_u64(seed);
        let batches = rng.range(1, 12);
        let mut disk = written_log(batches);
        let paths = disk.paths();
        let path = rng.choose(&paths).expect("a log has segments").clone();
        let content = disk.file(&path);
        let at = rng.below(content.len() as u64) as usize;
        content[at] ^= 1 << rng.below(8);
        match recover_on(&mut disk, OWNER) {
            Ok((_, recovered)) => {
                // Either padding or zeros were hit, or the last batch.
                prop_assert!(recovered.durable.0 + 1 >= batches);
                let entries = recovered.groups.get(&GroupId(1)).map_or(&[][..], |g| &g.entries);
                prop_assert!(entries.iter().all(|e| e.data[..] == [7; 700]));
            }
            Err(WalDamage::Corrupt { .. }) => {}
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn no_bytes_make_recovery_panic(content in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut disk = written_log(1);
        *disk.file("wal/0000000000000001") = content;
        let _ = recover_on(&mut disk, OWNER);
    }
}

#[test]
fn released_segments_are_used_again() {
    let recycled = (0..20).filter(|seed| {
        let mut world = World::new(*seed);
        (0..8).for_each(|_| world.life());
        world.recycled
    });
    assert!(recycled.count() > 5);
}

#[test]
fn the_log_stays_small_while_groups_release() {
    let mut disk = ModelDisk::default();
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    for index in 1..=200 {
        wal.append(&[entry(1, index, &[7; 700])]);
        if index % 10 == 0 {
            wal.append(&[mark(GroupId(1), index, 1)]);
            wal.release(GroupId(1), LogIndex(index));
        }
        settle(&mut wal, &mut disk, &handle);
        assert!(wal.bytes_retained() < 30_000, "{} at {index}", wal.bytes_retained());
    }
    let paths = disk.paths();
    assert!(paths.len() <= 5, "{paths:?}");
    assert!(paths.last().unwrap().as_str() > "wal/0000000000000020", "{paths:?}");
    assert_eq!(wal.pinned_by(), []);
}

#[test]
fn a_group_that_does_not_release_is_named() {
    let mut disk = ModelDisk::default();
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    wal.append(&[entry(2, 1, b"idle")]);
    for index in 1..=20 {
        wal.append(&[entry(1, index, &[7; 700])]);
        settle(&mut wal, &mut disk, &handle);
    }
    wal.append(&[mark(GroupId(1), 20, 1)]);
    wal.release(GroupId(1), LogIndex(20));
    settle(&mut wal, &mut disk, &handle);
    assert_eq!(wal.pinned_by(), [(GroupId(2), LogIndex(1))]);
    wal.append(&[Record::Remove(GroupId(2))]);
    settle(&mut wal, &mut disk, &handle);
    assert_eq!(wal.pinned_by(), []);
}

#[test]
fn one_write_is_in_flight_and_the_rest_gathers() {
    let mut disk = ModelDisk::default();
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    settle(&mut wal, &mut disk, &handle);
    assert_eq!(wal.append(&[entry(1, 1, b"a")]), Lsn(1));
    wal.flush(&handle);
    let first = handle.take_ops();
    assert_eq!(first.len(), 1);
    assert_eq!(wal.append(&[entry(1, 2, b"b"), entry(1, 3, b"c")]), Lsn(3));
    wal.flush(&handle);
    assert_eq!(handle.take_ops(), []);
    let (id, op) = first.into_iter().next().unwrap();
    let result = disk.run(op).unwrap();
    assert_eq!(wal.disk_done(id, &result, &handle), WalEvent::Durable(Lsn(1)));
    assert!(wal.bytes_waiting() > 0);
    settle(&mut wal, &mut disk, &handle);
    assert_eq!((wal.durable(), wal.bytes_waiting()), (Lsn(3), 0));
}

#[test]
fn the_log_is_written_between_two_pieces_of_a_new_segment() {
    let mut disk = ModelDisk::default();
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    settle(&mut wal, &mut disk, &handle);
    let mut pending = VecDeque::new();
    let mut lengths = BTreeMap::new();
    let mut done = String::new();
    for index in 1..=200 {
        wal.append(&[entry(1, index, &[7; 20])]);
        wal.flush(&handle);
        pending.extend(handle.take_ops());
        let (id, op) = pending.pop_front().unwrap();
        match &op {
            DiskOp::Allocate { file, len, reserve } => {
                let before = lengths.insert(*file, *len).unwrap_or(0);
                assert!(*len - before <= SMALL.piece_bytes && *reserve >= *len, "{op:?}");
                done.push('a');
            }
            DiskOp::WriteAt { .. } => done.push('w'),
            _ => {}
        }
        let result = disk.run(op).unwrap();
        assert!(!matches!(wal.disk_done(id, &result, &handle), WalEvent::Failed(_)));
    }
    assert!(done.matches('a').count() > 12 && !done.contains("aa"), "{done}");
}

#[test]
fn the_first_write_after_a_start_waits_for_one_piece() {
    let mut fresh = ModelDisk::default();
    for disk in [&mut fresh, &mut written_log(3)] {
        let (mut wal, _) = recover_on(disk, OWNER).unwrap();
        let handle = DiskHandle::new(Executor::new().spawner());
        let written = wal.append(&[entry(1, 4, b"d")]);
        let mut lengths = Vec::new();
        while wal.durable() < written {
            wal.flush(&handle);
            let (id, op) = handle.take_ops().remove(0);
            if let DiskOp::Allocate { len, .. } = &op {
                lengths.push(*len);
            }
            let result = disk.run(op).unwrap();
            assert!(!matches!(wal.disk_done(id, &result, &handle), WalEvent::Failed(_)));
        }
        assert_eq!(lengths, [SMALL.segment_bytes]);
    }
}

#[test]
fn a_failed_write_stops_the_log() {
    let mut disk = ModelDisk::default();
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    settle(&mut wal, &mut disk, &handle);
    wal.append(&[entry(1, 1, b"a")]);
    wal.flush(&handle);
    let (id, _) = handle.take_ops().remove(0);
    let error = DiskError { kind: DiskErrorKind::Io, message: "fsync".into() };
    assert_eq!(wal.disk_done(id, &Err(error.clone()), &handle), WalEvent::Failed(error));
    wal.append(&[entry(1, 2, b"b")]);
    wal.flush(&handle);
    assert_eq!(handle.take_ops(), [], "nothing is retried");
    assert_eq!(wal.durable(), Lsn(0));
}

#[test]
fn damage_before_good_batches_is_corruption() {
    type Damage = fn(&mut ModelDisk);
    let damages: [(&str, Damage); 5] = [
        ("first batch of a segment", |d| d.file("wal/0000000000000002")[100] ^= 1),
        ("batch inside a segment", |d| d.file("wal/0000000000000001")[1100] ^= 1),
        ("zero-filled segment", |d| d.file("wal/0000000000000002").fill(0)),
        ("truncated segment", |d| d.file("wal/0000000000000002").truncate(600)),
        ("missing segment", |d| d.remove("wal/0000000000000002")),
    ];
    for (what, damage) in damages {
        let mut disk = written_log(10);
        damage(&mut disk);
        let outcome = recover_on(&mut disk, OWNER);
        assert!(matches!(outcome, Err(WalDamage::Corrupt { .. })), "{what}: {outcome:?}");
    }
}

#[test]
fn missing_oldest_segments_are_corruption() {
    let mut disk = written_log(10);
    disk.remove("wal/0000000000000001");
    let outcome = recover_on(&mut disk, OWNER);
    assert!(matches!(outcome, Err(WalDamage::Corrupt { .. })), "{outcome:?}");
}

#[test]
fn a_bad_last_batch_is_cut_for_good() {
    let mut disk = written_log(2);
    disk.file("wal/0000000000000001")[1100] ^= 1;
    let (_, recovered) = recover_on(&mut disk, OWNER).unwrap();
    assert_eq!(recovered.cut, Some(WalPosition { segment_seq: 1, offset: 1024 }));
    assert_eq!(recovered.durable, Lsn(1));
    // Repairing the bit later must not bring the batch back.
    disk.file("wal/0000000000000001")[1100] ^= 1;
    assert_eq!(recover_on(&mut disk, OWNER).unwrap().1.durable, Lsn(1));
}

/// Recovers a log of one segment with these records in one batch, its checksum in order.
fn recover_crafted(lsn: u64, write: impl Fn(&mut Writer)) -> Result<(Wal, Recovered), WalDamage> {
    let mut w = Writer::new();
    w.raw(&[0; batch::HEADER]);
    write(&mut w);
    let mut bytes = w.into_vec();
    batch::seal(&mut bytes, 1, Lsn(lsn), 2);
    let mut disk = written_log(1);
    *disk.file("wal/0000000000000001") = bytes;
    recover_on(&mut disk, OWNER)
}

fn crafted(record: &Record) -> Result<(Wal, Recovered), WalDamage> {
    recover_crafted(1, |w| {
        record::write_segment(w, &OWNER, 0);
        record.write(w);
    })
}

#[test]
fn numbers_to_which_no_log_counts_are_corruption() {
    let id = GroupId(1);
    let state = |term, commit| {
        let state = HardState { term: Term(term), vote: InstanceId(0), commit: LogIndex(commit) };
        Record::HardState(id, state)
    };
    assert!(crafted(&entry(1, 1, b"")).is_ok());
    let from_zero = recover_crafted(0, |w| {
        record::write_segment(w, &OWNER, 0);
        entry(1, 1, b"").write(w);
    });
    assert!(matches!(from_zero, Err(WalDamage::Corrupt { .. })), "lsn 0: {from_zero:?}");
    assert!(crafted(&mark(id, u64::MAX >> 1, 1)).is_ok());
    for number in [1 << 63, u64::MAX] {
        let records = [
            entry(1, number, b""),
            mark(id, number, 1),
            mark(id, 1, number),
            state(number, 0),
            state(1, number),
        ];
        for record in records {
            let found = crafted(&record);
            assert!(matches!(found, Err(WalDamage::Corrupt { .. })), "{record:?}: {found:?}");
        }
        let found = recover_crafted(number, |w| {
            record::write_segment(w, &OWNER, 0);
            entry(1, 1, b"").write(w);
        });
        assert!(matches!(found, Err(WalDamage::Corrupt { .. })), "lsn {number}: {found:?}");
        let found = recover_crafted(1, |w| {
            record::write_segment(w, &OWNER, number);
            entry(1, 1, b"").write(w);
        });
        assert!(matches!(found, Err(WalDamage::Corrupt { .. })), "carries {number}: {found:?}");
    }
}

#[test]
fn a_log_cut_in_padding_goes_on_in_a_new_segment() {
    let mut disk = written_log(1);
    let segment = disk.file("wal/0000000000000001");
    let used = segment.iter().rposition(|byte| *byte != 0).expect("a batch") + 1;
    assert!(!used.is_multiple_of(512), "a batch of {used} bytes needs no padding");
    segment.truncate(used);
    let (mut wal, recovered) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    let lsn = wal.append(&[entry(1, 2, b"more")]);
    settle(&mut wal, &mut disk, &handle);
    assert_eq!((wal.durable(), lsn), (lsn, Lsn(recovered.durable.0 + 1)));
    let (_, recovered) = recover_on(&mut disk, OWNER).unwrap();
    assert_eq!(recovered.durable, lsn);
}

#[test]
fn a_copied_log_is_refused() {
    let mut disk = written_log(1);
    let other = WalOwner { instance: [9; 16], ..OWNER };
    let outcome = recover_on(&mut disk, other);
    assert!(matches!(outcome, Err(WalDamage::Foreign { found: OWNER, .. })), "{outcome:?}");
}

#[test]
fn a_newer_log_is_refused() {
    let mut bytes = vec![0; batch::HEADER];
    bytes.extend_from_slice(&[1, 200, 1]);
    batch::seal(&mut bytes, 1, Lsn(1), 1);
    let mut disk = written_log(1);
    disk.file("wal/0000000000000001")[..512].copy_from_slice(&bytes);
    let outcome = recover_on(&mut disk, OWNER);
    assert!(matches!(outcome, Err(WalDamage::Newer { .. })), "{outcome:?}");
}

#[test]
fn a_log_that_is_kept_for_an_earlier_mark_names_both_however_many_segments_later() {
    let mut disk = ModelDisk::default();
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    for index in 1..=40 {
        wal.append(&[entry(1, index, &[7; 700])]);
        settle(&mut wal, &mut disk, &handle);
        if index == 10 || index == 20 {
            wal.append(&[mark(GroupId(1), index, 1)]);
            wal.release(GroupId(1), LogIndex(10));
            // No segment that holds the mark holds an entry that it does not cover.
            for commit in 1..=10 {
                let state = HardState { commit: LogIndex(commit), ..HardState::default() };
                wal.append(&[mark(GroupId(2), 10, 1), Record::HardState(GroupId(2), state)]);
                settle(&mut wal, &mut disk, &handle);
            }
        }
    }
    assert!(disk.paths()[0].as_str() > "wal/0000000000000002", "{:?}", disk.paths());
    let indexes = |marks: &[SnapshotMark]| marks.iter().map(|m| m.index.0).collect::<Vec<_>>();
    let (mut wal, recovered) = recover_on(&mut disk, OWNER).unwrap();
    let group = &recovered.groups[&GroupId(1)];
    assert_eq!(group.mark.as_ref().unwrap().index, LogIndex(20));
    assert_eq!(indexes(&group.older_marks), [10]);
    assert!(group.entries[0].index <= LogIndex(11), "{}", group.entries[0].index);
    // Once it is let go, nobody is told of the earlier one.
    wal.release(GroupId(1), LogIndex(20));
    for index in 41..=60 {
        wal.append(&[entry(1, index, &[7; 700])]);
        settle(&mut wal, &mut disk, &handle);
    }
    let (_, recovered) = recover_on(&mut disk, OWNER).unwrap();
    assert_eq!(recovered.groups[&GroupId(1)].older_marks, []);
    // A snapshot of another member takes the place of the whole log.
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let truncate = Record::Truncate { group: GroupId(1), from: LogIndex(0) };
    wal.append(&[mark(GroupId(1), 60, 1), truncate, mark(GroupId(1), 99, 1)]);
    wal.append(&[entry(1, 100, b"a")]);
    settle(&mut wal, &mut disk, &handle);
    let (_, recovered) = recover_on(&mut disk, OWNER).unwrap();
    assert_eq!(recovered.groups[&GroupId(1)].older_marks, []);
}

/// The first batch of a log, byte for byte: a later release must still read it.
#[test]
fn golden_bytes() {
    let mut disk = ModelDisk::default();
    let (mut wal, _) = recover_on(&mut disk, OWNER).unwrap();
    let handle = DiskHandle::new(Executor::new().spawner());
    let state = HardState { term: Term(300), vote: InstanceId(2), commit: LogIndex(4) };
    wal.append(&[
        mark(GroupId(1), 4, 2),
        Record::HardState(GroupId(1), state),
        entry(1, 5, b"abc"),
        Record::Truncate { group: GroupId(0), from: LogIndex(9) },
        Record::Remove(GroupId(0)),
    ]);
    settle(&mut wal, &mut disk, &handle);
    let content = disk.file("wal/0000000000000001");
    let text: Vec<String> = content[..128]
        .chunks(16)
        .map(|line| line.iter().map(|b| format!("{b:02x}")).collect())
        .collect();
    assert_eq!(text, GOLDEN);
}

const GOLDEN: [&str; 8] = [
    "4257414c010000000100000000000000",
    "01000000000000000600000046000000",
    "e9231724000000000901000101010101",
    "01010101010101010101010202020202",
    "02020202020202020202020003010104",
    "0204636f6e66020101ac020204010101",
    "05010003616263040100090501000000",
    "00000000000000000000000000000000",
];
