use super::*;

const F: FileId = FileId(1);
const LOSE_ALL_ORDERS: [Order; 2] = [Order::Prefix, Order::Any];

fn disk(seed: u64) -> Disk {
    Disk::new(Rng::from_u64(seed).fork("disk"), Latency::default())
}

fn run(disk: &mut Disk, op: DiskOp) -> DiskResult {
    let issued = disk.issue(0, op);
    disk.complete(issued.done_ns, issued.token).expect("not stalled").expect("the process lives")
}

fn open(disk: &mut Disk, path: &str, mode: OpenMode) -> DiskResult {
    run(disk, DiskOp::Open { file: F, path: path.into(), mode })
}

fn write(disk: &mut Disk, offset: u64, data: &'static [u8], then: Sync) -> DiskResult {
    run(disk, DiskOp::WriteAt { file: F, offset, data: Bytes::from_static(data), then })
}

fn read(disk: &mut Disk, len: u32) -> Vec<u8> {
    match run(disk, DiskOp::ReadAt { file: F, offset: 0, len }) {
        Ok(DiskOk::Read(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

fn loss(order: Order) -> Loss {
    Loss { order, tear: Tear::Sectors, tail: Tail::AsWritten, names: Names::LoseEntries }
}

#[test]
fn what_was_synced_survives_every_power_failure() {
    for seed in 0..200 {
        let mut disk = disk(seed);
        open(&mut disk, "a", OpenMode::Create).unwrap();
        run(&mut disk, DiskOp::SyncDir { dir: "".into() }).unwrap();
        write(&mut disk, 0, b"hello", Sync::Data).unwrap();
        write(&mut disk, 5, b" world", Sync::No).unwrap();
        disk.power_failed(loss(LOSE_ALL_ORDERS[seed as usize % 2]));
        open(&mut disk, "a", OpenMode::Existing).unwrap();
        let bytes = read(&mut disk, 100);
        assert!(bytes == b"hello" || bytes == b"hello world", "{bytes:?}");
    }
}

#[test]
fn unsynced_writes_are_sometimes_lost_and_sometimes_reordered() {
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        let mut disk = disk(seed);
        open(&mut disk, "a", OpenMode::Create).unwrap();
        run(&mut disk, DiskOp::SyncDir { dir: "".into() }).unwrap();
        write(&mut disk, 0, b"1", Sync::No).unwrap();
        write(&mut disk, 1, b"2", Sync::No).unwrap();
        disk.power_failed(loss(Order::Any));
        open(&mut disk, "a", OpenMode::Existing).unwrap();
        seen.insert(read(&mut disk, 2));
    }
    let all: [&[u8]; 4] = [b"", b"1", b"12", b"\x002"];
    assert_eq!(seen, all.iter().map(|s| s.to_vec()).collect());
}

#[test]
fn a_name_is_durable_only_after_its_directory_was_synced() {
    let mut outcomes = BTreeSet::new();
    for seed in 0..50 {
        let mut disk = disk(seed);
        open(&mut disk, "a", OpenMode::Create).unwrap();
        write(&mut disk, 0, b"x", Sync::Data).unwrap();
        disk.power_failed(loss(Order::Prefix));
        outcomes.insert(open(&mut disk, "a", OpenMode::Existing).is_ok());
    }
    assert_eq!(outcomes.len(), 2, "sometimes kept, sometimes lost");
}

#[test]
fn a_rename_is_old_or_new_and_never_neither() {
    for seed in 0..100 {
        let mut disk = disk(seed);
        open(&mut disk, "new", OpenMode::Create).unwrap();
        write(&mut disk, 0, b"x", Sync::Data).unwrap();
        run(&mut disk, DiskOp::SyncDir { dir: "".into() }).unwrap();
        run(&mut disk, DiskOp::Rename { from: "new".into(), to: "current".into() }).unwrap();
        disk.power_failed(loss(Order::Prefix));
        let Ok(DiskOk::Names(names)) = run(&mut disk, DiskOp::List { dir: "".into() }) else {
            panic!("no list")
        };
        assert!(names == ["new"] || names == ["current"], "{names:?}");
    }
}

#[test]
fn torn_writes_keep_sector_bounds() {
    let big: Bytes = vec![7u8; 3_000].into();
    let mut lengths = BTreeSet::new();
    for seed in 0..200 {
        let mut disk = disk(seed);
        open(&mut disk, "a", OpenMode::Create).unwrap();
        run(&mut disk, DiskOp::SyncDir { dir: "".into() }).unwrap();
        run(&mut disk, DiskOp::WriteAt { file: F, offset: 100, data: big.clone(), then: Sync::No })
            .unwrap();
        disk.power_failed(loss(Order::Prefix));
        open(&mut disk, "a", OpenMode::Existing).unwrap();
        let bytes = read(&mut disk, 10_000);
        assert!(bytes.is_empty() || bytes.len() == 3_100 || bytes.len().is_multiple_of(512));
        lengths.insert(bytes.len());
    }
    assert!(lengths.len() > 3, "several ways to tear: {lengths:?}");
}

#[test]
fn a_failed_fsync_may_lose_what_a_second_fsync_confirms() {
    let mut lost = 0;
    for seed in 0..50 {
        let mut disk = disk(seed);
        open(&mut disk, "a", OpenMode::Create).unwrap();
        run(&mut disk, DiskOp::SyncDir { dir: "".into() }).unwrap();
        write(&mut disk, 0, b"x", Sync::No).unwrap();
        disk.faults.fsync_error_ppm = 1_000_000;
        assert!(run(&mut disk, DiskOp::Sync { file: F }).is_err());
        disk.faults.fsync_error_ppm = 0;
        assert!(run(&mut disk, DiskOp::Sync { file: F }).is_ok());
        assert_eq!(read(&mut disk, 1), b"x", "the process still sees it");
        disk.power_failed(loss(Order::Prefix));
        open(&mut disk, "a", OpenMode::Existing).unwrap();
        lost += usize::from(read(&mut disk, 1).is_empty());
    }
    assert!((10..40).contains(&lost), "{lost} of 50 lost");
}

#[test]
fn a_full_disk_refuses_growth_and_allows_overwriting() {
    let mut disk = disk(1);
    open(&mut disk, "a", OpenMode::Create).unwrap();
    write(&mut disk, 0, b"abc", Sync::Data).unwrap();
    disk.faults.full = true;
    assert!(write(&mut disk, 0, b"xyz", Sync::No).is_ok());
    let refused = write(&mut disk, 2, b"xyz", Sync::No).unwrap_err();
    assert_eq!(refused.kind, DiskErrorKind::NoSpace);
}

#[test]
fn an_old_image_brings_back_old_bytes() {
    let mut disk = disk(1);
    open(&mut disk, "a", OpenMode::Create).unwrap();
    run(&mut disk, DiskOp::SyncDir { dir: "".into() }).unwrap();
    write(&mut disk, 0, b"old", Sync::Data).unwrap();
    let image = disk.image();
    write(&mut disk, 0, b"new", Sync::Data).unwrap();
    disk.restore(image);
    open(&mut disk, "a", OpenMode::Existing).unwrap();
    assert_eq!(read(&mut disk, 3), b"old");
    disk.wipe();
    assert!(open(&mut disk, "a", OpenMode::Existing).is_err());
}

#[test]
fn a_stalled_disk_completes_after_the_stall() {
    let mut disk = disk(1);
    let issued = disk.issue(0, DiskOp::List { dir: "".into() });
    disk.faults.stalled_until_ns = 5_000_000_000;
    assert_eq!(disk.complete(issued.done_ns, issued.token), Err(5_000_000_000));
    assert!(disk.complete(5_000_000_000, issued.token).unwrap().is_some());
}

#[test]
fn what_befalls_a_copy_leaves_the_disk_as_it_is() {
    let mut disk = disk(3);
    open(&mut disk, "a", OpenMode::Create).unwrap();
    write(&mut disk, 0, b"hello", Sync::No).unwrap();
    disk.faults.full = true;
    let mut copy = disk.copy(Rng::from_u64(4));
    copy.power_failed(loss(Order::Prefix));
    open(&mut copy, "b", OpenMode::Create).unwrap();
    write(&mut copy, 0, b"other", Sync::Data).unwrap();
    assert_eq!(read(&mut disk, 5), b"hello");
    assert!(disk.unsynced().is_something());
}

#[test]
fn a_loss_may_be_anything_legal() {
    let mut rng = Rng::from_u64(1);
    let drawn: std::collections::BTreeSet<String> =
        (0..4_000).map(|_| format!("{:?}", Loss::draw(&mut rng))).collect();
    assert_eq!(drawn.len(), 3 * 3 * 3 * 4);
}

#[test]
fn what_is_unsynced_is_known_until_it_is_durable() {
    let mut disk = disk(5);
    open(&mut disk, "a", OpenMode::Create).unwrap();
    assert_eq!(disk.unsynced(), Unsynced { names: 1, ..Unsynced::default() });
    run(&mut disk, DiskOp::SyncDir { dir: "".into() }).unwrap();
    assert!(!disk.unsynced().is_something());
    let data = Bytes::from_static(&[1; 600]);
    let offset = PAGE_BYTES - 500;
    let write = disk.issue(0, DiskOp::WriteAt { file: F, offset, data, then: Sync::Data });
    let wide =
        Unsynced { changes: 1, sectors: 2, pages: 2, has_grown: true, ..Unsynced::default() };
    assert_eq!(disk.unsynced(), wide);
    assert!(disk.makes_durable(write.token));
    disk.complete(write.done_ns, write.token).unwrap();
    assert_eq!(disk.unsynced(), Unsynced::default());
    let len = 2 * PAGE_BYTES;
    let grow = disk.issue(0, DiskOp::Allocate { file: F, len, reserve: len });
    assert_eq!(disk.unsynced(), Unsynced { changes: 1, has_grown: true, ..Unsynced::default() });
    disk.complete(grow.done_ns, grow.token).unwrap();
    let read = disk.issue(0, DiskOp::ReadAt { file: F, offset: 0, len: 1 });
    assert!(!disk.makes_durable(read.token));
    run(&mut disk, DiskOp::Rename { from: "a".into(), to: "b".into() }).unwrap();
    assert_eq!(disk.unsynced(), Unsynced { names: 1, renames: 1, ..Unsynced::default() });
}
