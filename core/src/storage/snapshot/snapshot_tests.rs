//! Snapshots taken while writes go on, through a file on a disk that crashes, against the state they
//! are a snapshot of.

use bytes::Bytes;
use proptest::prelude::*;

use super::file::{clean, list};
use super::*;
use crate::base::{GroupId, LogIndex, Term, Timestamp};
use crate::seam::{Executor, Rng};
use crate::storage::model_disk::ModelDisk;
use crate::storage::store_tests::{put, table, write};
use crate::storage::{DiskHandle, Store};

fn meta(index: u64, ts: u64) -> SnapshotMeta {
    SnapshotMeta {
        group: GroupId(3),
        index: LogIndex(index),
        term: Term(2),
        ts: Timestamp(ts),
        state: Bytes::from_static(b"prepared and decided"),
    }
}

fn empty_store() -> Store {
    let mut store = Store::new();
    store.create_table(table(1, true));
    store.create_table(table(2, false));
    store
}

/// A store that takes random writes, one entry a call.
struct Writes {
    rng: Rng,
    store: Store,
    index: u64,
}

impl Writes {
    fn one(&mut self) {
        self.index += 1;
        let (table, id) = (self.rng.range(1, 2) as u32, self.rng.below(40) as i64);
        let bucket = (id % 5) as u16;
        let write = match self.rng.below(4) {
            0 => write(table, bucket, id, None),
            value => put(table, bucket, id, value as i32),
        };
        let index = LogIndex(self.index);
        self.store.apply(index, Timestamp(self.index * 10), &[write]);
    }

    fn commit(&mut self) {
        self.store.committed(LogIndex(self.index));
    }
}

/// Scans in slices of random size, with writes, commits and garbage collection in between.
fn scan_under_load(writes: &mut Writes, meta: &SnapshotMeta) -> Vec<Bytes> {
    let mut scan = SnapshotScan::start(&mut writes.store, meta);
    let mut chunks = vec![meta.to_chunk()];
    loop {
        let limits = SliceLimits {
            bytes: writes.rng.range(1, 200) as usize,
            keys: writes.rng.range(1, 10) as usize,
        };
        match scan.next_chunk(&writes.store, limits) {
            ScanStep::Chunk(chunk) => chunks.push(chunk),
            ScanStep::Nothing => {}
            ScanStep::Done => break,
        }
        for _ in 0..writes.rng.below(6) {
            writes.one();
        }
        if writes.rng.chance(500_000) {
            writes.commit();
            writes.store.gc(Timestamp::MAX, 100);
        }
    }
    drop(scan);
    chunks
}

fn load(chunks: &[Bytes]) -> Result<Store, SnapshotDamage> {
    let mut store = empty_store();
    let mut load = SnapshotLoad::start(&chunks[0])?;
    for chunk in &chunks[1..] {
        load.chunk(&mut store, chunk)?;
    }
    load.finish(&mut store);
    Ok(store)
}

fn written(seed: u64, entries: u64) -> Writes {
    let mut writes = Writes { rng: Rng::from_u64(seed), store: empty_store(), index: 0 };
    (0..entries).for_each(|_| writes.one());
    writes.commit();
    writes
}

async fn write_file(disk: DiskHandle, chunks: Vec<Bytes>) -> Result<(), SnapshotDamage> {
    let mut writer = SnapshotWriter::create(disk, &SnapshotMeta::from_chunk(&chunks[0])?).await?;
    for chunk in &chunks[1..] {
        writer.append(chunk.clone()).await?;
    }
    writer.finish().await
}

async fn read_file(disk: DiskHandle, index: LogIndex) -> Result<Vec<Bytes>, SnapshotDamage> {
    let mut reader = SnapshotReader::open(disk, GroupId(3), index).await?;
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk().await? {
        chunks.push(chunk);
    }
    reader.close().await?;
    Ok(chunks)
}

/// Runs `task` as one process: `None` if the disk's crash point ended it.
fn process<T: 'static, F: Future<Output = T> + 'static>(
    disk: &mut ModelDisk,
    task: impl FnOnce(DiskHandle) -> F,
) -> Option<T> {
    disk.close_all();
    let mut executor = Executor::new();
    let handle = DiskHandle::new(executor.spawner());
    let task = task(handle.clone());
    disk.block_on(&mut executor, &handle, task)
}

fn sample_chunks() -> Vec<Bytes> {
    let mut writes = written(1, 100);
    scan_under_load(&mut writes, &meta(100, 1000))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_scan_under_load_gives_the_state_it_began_with(seed in any::<u64>()) {
        let mut writes = written(seed, 60);
        let expected = writes.store.state_hash();
        // What is not committed is not in it, even if its timestamp is below.
        for _ in 0..5 {
            writes.one();
        }
        let chunks = scan_under_load(&mut writes, &meta(60, 640));
        let mut loaded = load(&chunks).unwrap();
        prop_assert_eq!(loaded.state_hash(), expected);
        prop_assert_eq!(loaded.applied(), LogIndex(60));
        loaded.gc(Timestamp(0), usize::MAX);
        prop_assert_eq!(loaded.bytes(), loaded.recount_bytes());
    }

    #[test]
    fn a_crash_leaves_a_whole_snapshot_or_none(seed in any::<u64>()) {
        let mut rng = Rng::from_u64(seed);
        let chunks = sample_chunks();
        let mut disk = ModelDisk::default();
        disk.ops_left = Some(rng.below(60));
        let input = chunks.clone();
        let done = process(&mut disk, |disk| write_file(disk, input)).is_some();
        disk.crash(&mut rng);
        let list = |disk: &mut ModelDisk| {
            process(disk, |disk| async move { list(&disk, GroupId(3)).await.unwrap() }).unwrap()
        };
        let found = list(&mut disk);
        prop_assert!(!done || found == [LogIndex(100)]);
        for index in found {
            prop_assert_eq!(process(&mut disk, |disk| read_file(disk, index)).unwrap(), Ok(chunks.clone()));
        }
        process(&mut disk, |disk| async move { clean(&disk, GroupId(3), &[]).await }).unwrap().unwrap();
        prop_assert_eq!(list(&mut disk), []);
        prop_assert!(disk.paths().is_empty());
    }

    #[test]
    fn a_flipped_bit_is_found(at in any::<prop::sample::Index>(), bit in 0..8) {
        let chunks = sample_chunks();
        let mut disk = ModelDisk::default();
        process(&mut disk, |disk| write_file(disk, chunks)).unwrap().unwrap();
        let path = disk.paths().remove(0);
        let content = disk.file(&path);
        let at = at.index(content.len());
        content[at] ^= 1u8 << bit;
        let outcome = process(&mut disk, |disk| read_file(disk, LogIndex(100))).unwrap();
        prop_assert!(matches!(outcome, Err(SnapshotDamage::Corrupt(_))), "{:?}", outcome);
    }

    #[test]
    fn no_bytes_make_loading_panic(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut chunk = chunk::begin();
        chunk.raw(&noise);
        let chunk = chunk::seal(chunk, chunk::Kind::Rows, 1);
        let _ = load(&[meta(1, 1).to_chunk(), chunk]);
        prop_assert!(SnapshotLoad::start(&Bytes::from(noise)).is_err());
    }
}

#[test]
fn chunks_are_taken_in_order_and_once() {
    let chunks = sample_chunks();
    for order in [vec![0, 2, 1], vec![0, 1, 1], vec![1], vec![0, 0]] {
        let chosen: Vec<Bytes> = order.iter().map(|at| chunks[*at].clone()).collect();
        assert!(matches!(load(&chosen), Err(SnapshotDamage::Corrupt(_))), "{order:?}");
    }
}

#[test]
fn a_missing_or_short_file_is_told_apart() {
    let mut disk = ModelDisk::default();
    let outcome = process(&mut disk, |disk| read_file(disk, LogIndex(100))).unwrap();
    assert!(matches!(outcome, Err(SnapshotDamage::Disk(_))), "{outcome:?}");
    process(&mut disk, |disk| write_file(disk, sample_chunks())).unwrap().unwrap();
    let path = disk.paths().remove(0);
    for len in [0, 10, 500] {
        disk.file(&path).truncate(len);
        let outcome = process(&mut disk, |disk| read_file(disk, LogIndex(100))).unwrap();
        assert!(matches!(outcome, Err(SnapshotDamage::Corrupt(_))), "{len}: {outcome:?}");
    }
}

#[test]
fn the_snapshots_that_are_needed_are_kept() {
    let mut disk = ModelDisk::default();
    for index in [5, 70, 300] {
        process(&mut disk, |disk| write_file(disk, vec![meta(index, 1).to_chunk()]))
            .unwrap()
            .unwrap();
    }
    let left_by = |disk: &mut ModelDisk, needed: &[u64]| {
        let needed: Vec<LogIndex> = needed.iter().map(|index| LogIndex(*index)).collect();
        let clean = |disk| async move { clean(&disk, GroupId(3), &needed).await };
        process(disk, clean).unwrap().unwrap();
        process(disk, |disk| async move { list(&disk, GroupId(3)).await }).unwrap().unwrap()
    };
    assert_eq!(left_by(&mut disk, &[1, 5, 70, 300]), [5, 70, 300].map(LogIndex));
    // The newest was fetched, and not taken over.
    assert_eq!(left_by(&mut disk, &[5, 70]), [5, 70].map(LogIndex));
    assert_eq!(left_by(&mut disk, &[70]), [70].map(LogIndex));
}

/// A later release must still read these.
#[test]
fn golden_bytes() {
    let mut w = chunk::begin();
    let as_of = crate::storage::AsOf { ts: Timestamp(300), log_index: LogIndex(7) };
    let (table, bucket) = (crate::base::TableId(16_384), crate::base::BucketId(9));
    chunk::ChunkRow { table, bucket, key: b"key", as_of, row: b"row" }.write(&mut w);
    let rows = chunk::seal(w, chunk::Kind::Rows, 1);
    let hex = |bytes: &Bytes| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut meta = meta(300, 5);
    meta.state = Bytes::from_static(b"s");
    assert_eq!([hex(&meta.to_chunk()), hex(&rows)], GOLDEN);
}

const GOLDEN: [&str; 2] = [
    "42534e5001000100000000000000000007000000e100e52803ac0202050173",
    "42534e500100020001000000000000000f000000a169e47f80800109036b6579ac020703726f77",
];
