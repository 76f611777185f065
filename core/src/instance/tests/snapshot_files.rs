//! Snapshots that fail, and files of those that are sent.

use super::message::SnapshotPull;
use super::*;
use crate::storage::wal::Wal;

const CONN: ConnId = ConnId(7);

/// One instance with a table, whose log is long after every write.
fn one_that_snapshots_often() -> World {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_secs(2));
    world.connect(0, CONN);
    assert!(world.says(0, CONN, "create table t (id int primary key, v int)", "CREATE TABLE"));
    assert!(world.says(0, CONN, "insert into t values (1, 1)", "INSERT 0 1"));
    world
}

fn no_room(world: &mut World, no_room: bool) {
    world.nodes[0].no_room = no_room;
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.log_before_snapshot = 1;
}

#[test]
fn a_snapshot_that_fails_is_tried_again_after_a_pause_and_holds_nothing_back() {
    let mut world = one_that_snapshots_often();
    let written = |w: &World| w.state(0, |s| s.counting.metrics.snapshots_written);
    no_room(&mut world, true);
    let before = written(&world);
    for _ in 0..5 {
        assert!(world.says(0, CONN, "update t set v = v + 1", "UPDATE 1"));
    }
    let refused = world.nodes[0].refused.clone();
    // Two groups, each at most once a second.
    assert!((4..=12).contains(&refused.len()), "{} attempts in five seconds", refused.len());
    let second = |k: usize| refused[k + 2] - refused[k] >= 1_000 * MS;
    assert!((0..refused.len() - 2).all(second), "{refused:?}");
    assert_eq!(written(&world), before);
    let kept = world.kept(0);
    assert_eq!((kept.holds, kept.superseded, kept.snapshots_under_way), (0, 0, 0));
    no_room(&mut world, false);
    world.run(Duration::from_secs(2));
    assert!(written(&world) > before, "with room again one is written");
}

/// Somebody asks for a chunk of the newest snapshot.
fn pull(world: &mut World, group: GroupId, chunk: u32) {
    let cluster = world.state(0, State::cluster_tag);
    let index = world.state(0, |s| s.group(group).unwrap().node().snapshot().index);
    let body = Body::SnapshotPull(SnapshotPull { group, index, chunk });
    let event = Event::Peer { from: PeerAddr::new("x:1"), msg: Msg { cluster, body } };
    world.push(0, MS, Happening::Event(Box::new(event)));
    world.run(Duration::from_millis(50));
}

#[test]
fn the_file_of_a_snapshot_is_closed_when_it_is_sent_and_when_nobody_asks_for_more() {
    let mut world = one_that_snapshots_often();
    no_room(&mut world, false);
    assert!(world.says(0, CONN, "update t set v = v + 1", "UPDATE 1"));
    world.nodes[0]
        .instance
        .as_ref()
        .unwrap()
        .state
        .borrow_mut()
        .config
        .limits
        .log_before_snapshot = 1 << 30;
    world.run(Duration::from_secs(1));
    let group = GroupId(1);
    let pull = |world: &mut World, chunk: u32| {
        pull(world, group, chunk);
        (world.kept(0).snapshot_readers, world.nodes[0].disk.open_files())
    };
    let files = world.nodes[0].disk.open_files();
    // What the snapshot is, its one row, and the end.
    assert_eq!(pull(&mut world, 0), (1, files + 1));
    assert_eq!(pull(&mut world, 1), (1, files + 1));
    assert_eq!(pull(&mut world, 2), (0, files));
    // Somebody who goes back, and is not heard of again.
    assert_eq!(pull(&mut world, 1), (1, files + 1));
    assert_eq!(pull(&mut world, 0), (1, files + 1));
    world.run(Duration::from_secs(4));
    assert_eq!(world.kept(0).snapshot_readers, 1);
    world.run(Duration::from_secs(2));
    assert_eq!((world.kept(0).snapshot_readers, world.nodes[0].disk.open_files()), (0, files));
}

/// Takes a snapshot of the rows in chunks of so many bytes.
fn take(world: &World, at: usize, chunk: usize) {
    let me = world.nodes[at].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.snapshot_chunk = chunk;
    let spawner = me.borrow().spawner.clone();
    spawner.spawn(snapshots::take(me, GroupId(1)));
}

/// Three instances: the leader of the rows, which has a snapshot of all of them in many small chunks, and
/// one that is down and needs it.
fn three_with_one_far_behind() -> (World, usize, usize) {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let away = (0..3).find(|at| *at != leader && world.leaders(GroupId::RING) != [*at]).unwrap();
    world.connect(leader, CONN);
    assert!(world.says(leader, CONN, "create table t (id int primary key)", "CREATE TABLE"));
    for from in 0..3 {
        let rows: Vec<String> = (0..100).map(|id| format!("({})", from * 100 + id)).collect();
        let sql = format!("insert into t values {}", rows.join(", "));
        assert!(world.says(leader, CONN, &sql, "INSERT 0 100"));
    }
    world.kill(away);
    world.run(Duration::from_secs(1));
    assert!(world.says(leader, CONN, "insert into t values (1000)", "INSERT 0 1"));
    take(&world, leader, 64);
    world.run(Duration::from_secs(2));
    (world, leader, away)
}

fn applied(world: &World, at: usize) -> LogIndex {
    world.state(at, |s| s.shard.as_ref().unwrap().applied)
}

#[test]
fn a_snapshot_that_is_fetched_is_not_swept_away_at_the_end_of_the_own_one() {
    let (mut world, leader, away) = three_with_one_far_behind();
    let newest = world.state(leader, |s| s.group(GroupId(1)).unwrap().last_index());
    world.start(away);
    while world.state(away, |s| s.phase) != Phase::Running {
        world.run(Duration::from_millis(1));
    }
    // One chunk is fetched in every two milliseconds.
    take(&world, away, 2_000);
    world.run(Duration::from_millis(300));
    let fetching = world.nodes[away].disk.paths().into_iter().any(|path| path.ends_with(".part"));
    assert!(fetching, "{:?}", world.nodes[away].disk.paths());
    // Less than it takes the leader to offer one again.
    world.run(Duration::from_secs(3));
    assert_eq!(applied(&world, away), newest);
}

#[test]
fn a_damaged_snapshot_is_replaced_when_somebody_needs_it() {
    let (mut world, leader, away) = three_with_one_far_behind();
    let index = world.state(leader, |s| s.group(GroupId(1)).unwrap().node().snapshot().index);
    assert_eq!(applied(&world, leader), index, "nothing is newer");
    let name = format!("{:016x}", index.0);
    let disk = &mut world.nodes[leader].disk;
    let of_rows = |path: &String| path.contains(&format!("{:016x}/", 1)) && path.ends_with(&name);
    let path = disk.paths().into_iter().find(of_rows).unwrap();
    let file = disk.file(&path);
    let at = file.len() - 40;
    file[at] ^= 1;
    world.start(away);
    // It hears at once that there is nothing to send, and a second later of another one.
    world.run(Duration::from_secs(4));
    assert!(applied(&world, away) > index);
    assert_eq!(applied(&world, away), applied(&world, leader));
    world.check_stores();
}

#[test]
fn a_snapshot_that_is_being_pulled_stays_while_newer_ones_are_taken() {
    let (mut world, leader, away) = three_with_one_far_behind();
    let index = world.state(leader, |s| s.group(GroupId(1)).unwrap().node().snapshot().index);
    let pulled = format!("{:016x}/{:016x}", 1, index.0);
    let is_there = |world: &World, at: usize, name: &str| {
        world.nodes[at].disk.paths().iter().any(|path| path.ends_with(name))
    };
    assert!(world.says(leader, CONN, "insert into t values (1001)", "INSERT 0 1"));
    world.start(away);
    while !is_there(&world, away, &format!("{pulled}.part")) {
        world.run(Duration::from_millis(1));
    }
    // A chunk gets lost twice, and before it is asked for again, two snapshots are taken.
    let silent = |world: &mut World, to: &[usize]| {
        world.nodes.iter_mut().for_each(|node| node.deaf = to.to_vec());
    };
    silent(&mut world, &[away]);
    take(&world, leader, 2_000);
    assert!(world.says(leader, CONN, "insert into t values (1002)", "INSERT 0 1"));
    take(&world, leader, 2_000);
    world.run(Duration::from_millis(100));
    silent(&mut world, &[]);
    let newest = |world: &World, at: usize| {
        world.state(at, |s| s.group(GroupId(1)).unwrap().node().snapshot().index)
    };
    assert_eq!(newest(&world, leader).0, index.0 + 2);
    assert!(is_there(&world, leader, &pulled), "{:?}", world.nodes[leader].disk.paths());
    // Sooner than another one could be offered, and without another.
    world.run(Duration::from_millis(1_500));
    assert_eq!(applied(&world, away), applied(&world, leader));
    assert_eq!(newest(&world, away), index);
    assert!(!is_there(&world, leader, &pulled), "nobody needs it any more");
}

#[test]
fn a_log_that_is_kept_for_somebody_makes_no_more_snapshots() {
    let (mut world, leader, away) = three_with_one_far_behind();
    let index = world.state(leader, |s| s.group(GroupId(1)).unwrap().node().snapshot().index);
    world.start(away);
    while receivers(&world, leader) == 0 {
        world.run(Duration::from_millis(1));
    }
    world.nodes.iter_mut().for_each(|node| node.deaf = vec![away]);
    let bytes =
        |world: &World| world.state(leader, |s| s.group(GroupId(1)).unwrap().node().log_bytes());
    let insert = |world: &mut World, from: usize| {
        let rows: Vec<String> = (from..from + 100).map(|id| format!("({id})")).collect();
        let sql = format!("insert into t values {}", rows.join(", "));
        assert!(world.says(leader, CONN, &sql, "INSERT 0 100"));
    };
    let before = bytes(&world);
    insert(&mut world, 2_000);
    let one = (bytes(&world) - before) as u64;
    let me = world.nodes[leader].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.log_before_snapshot = 5 * one / 2;
    let written = |world: &World| world.state(leader, |s| s.counting.metrics.snapshots_written);
    let before = written(&world);
    (1..4).for_each(|k| insert(&mut world, 2_000 + k * 100));
    assert!(bytes(&world) as u64 > 3 * one, "all of it is kept");
    let first = world.state(leader, |s| s.group(GroupId(1)).unwrap().node().first_index());
    assert_eq!((receivers(&world, leader), first.0 <= index.0 + 1), (1, true));
    assert_eq!(written(&world) - before, 1, "after the third");
}

/// The snapshots of a group on disk, oldest first.
fn files(world: &World, group: GroupId) -> Vec<String> {
    let dir = format!("snap/{:016x}/", group.0);
    let mut paths = world.nodes[0].disk.paths();
    paths.retain(|path| path.starts_with(&dir));
    paths
}

fn flip_a_bit(world: &mut World, path: &str) {
    let file = world.nodes[0].disk.file(path);
    let at = file.len() / 2;
    file[at] ^= 1;
}

/// One instance with fifteen rows and two snapshots of each group, and with more in its log.
fn one_with_two_snapshots() -> World {
    let mut world = one_that_snapshots_often();
    no_room(&mut world, false);
    for id in 2..12 {
        assert!(world.says(0, CONN, &format!("insert into t values ({id}, 1)"), "INSERT 0 1"));
    }
    assert!(world.says(0, CONN, "create table u (id int primary key)", "CREATE TABLE"));
    world.run(Duration::from_secs(2));
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.log_before_snapshot = 1 << 20;
    for id in 12..16 {
        assert!(world.says(0, CONN, &format!("insert into t values ({id}, 1)"), "INSERT 0 1"));
    }
    for group in [GroupId::RING, GroupId(1)] {
        assert_eq!(files(&world, group).len(), 2, "of {group}");
    }
    world
}

fn start_again(world: &mut World) {
    world.kill(0);
    world.start(0);
    world.run(Duration::from_secs(3));
}

fn is_all_there(world: &mut World) -> bool {
    world.connect(0, CONN);
    world.says(0, CONN, "select count(*), sum(id) from t", "15120")
        && world.says(0, CONN, "select count(*) from u", "SELECT 1")
}

#[test]
fn a_start_from_the_older_snapshot_loses_nothing() {
    for group in [GroupId::RING, GroupId(1)] {
        let mut world = one_with_two_snapshots();
        let before = files(&world, group);
        flip_a_bit(&mut world, &before[1]);
        start_again(&mut world);
        assert_eq!(world.nodes[0].stopped, None, "{group}");
        assert!(is_all_there(&mut world), "{group}: {:?}", world.answer(0, CONN));
        world.check_stores();
        assert_eq!(world.state(0, |s| s.counting.metrics.snapshots_unreadable), 1);
        // Another was taken in its place, which the same one backs.
        let after = files(&world, group);
        assert_eq!((after.len(), &after[0]), (2, &before[0]), "{group}: {before:?} {after:?}");
        flip_a_bit(&mut world, &after[1]);
        start_again(&mut world);
        assert!(is_all_there(&mut world), "{group}: {:?}", world.answer(0, CONN));
        start_again(&mut world);
        assert_eq!(world.state(0, |s| s.counting.metrics.snapshots_unreadable), 0);
        assert!(is_all_there(&mut world), "{group}: {:?}", world.answer(0, CONN));
    }
}

#[test]
fn the_state_a_group_begins_with_backs_its_first_snapshot() {
    let mut world = one_that_snapshots_often();
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    for group in [GroupId::RING, GroupId(1)] {
        me.borrow().spawner.spawn(snapshots::take(me.clone(), group));
    }
    drop(me);
    world.run(Duration::from_secs(1));
    for group in [GroupId::RING, GroupId(1)] {
        let taken = files(&world, group);
        assert_eq!(taken.len(), 1, "{group}");
        flip_a_bit(&mut world, &taken[0]);
    }
    start_again(&mut world);
    world.connect(0, CONN);
    assert!(world.says(0, CONN, "select v from t where id = 1", "SELECT 1"));
}

/// So many statements with much in the log, each; gives the most bytes of log that there were.
fn write_much(world: &mut World, statements: usize) -> u64 {
    let many: Vec<String> = (0..40).map(|id| format!("({}, 0)", id + 1_000)).collect();
    let mut most = 0;
    for _ in 0..statements {
        world.query(0, CONN, &format!("insert into t values {}", many.join(", ")));
        world.run(Duration::from_millis(20));
        assert!(world.said(0, CONN, "INSERT 0 40"), "{:?}", world.answer(0, CONN));
        world.query(0, CONN, "delete from t where id >= 1000");
        world.run(Duration::from_millis(20));
        most = most.max(world.kept(0).log_bytes);
    }
    most
}

#[test]
fn an_instance_whose_snapshots_are_both_damaged_says_so() {
    for group in [GroupId::RING, GroupId(1)] {
        let mut world = one_with_two_snapshots();
        write_much(&mut world, 120);
        assert!(world.says(0, CONN, "create table v (id int primary key)", "CREATE TABLE"));
        no_room(&mut world, false);
        assert!(world.says(0, CONN, "create table x (id int primary key)", "CREATE TABLE"));
        world.run(Duration::from_secs(2));
        write_much(&mut world, 120);
        for path in files(&world, group) {
            flip_a_bit(&mut world, &path);
        }
        start_again(&mut world);
        let stopped = &world.nodes[0].stopped;
        let told = matches!(stopped, Some(StopReason::Unusable(why)) if why.contains("snapshot"));
        assert!(told, "{group}: {stopped:?}");
    }
}

#[test]
fn the_log_that_is_kept_for_two_snapshots_is_bounded() {
    let mut world = one_that_snapshots_often();
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    let limit = 100 << 10;
    me.borrow_mut().config.limits.log_before_snapshot = limit;
    let segment = world.nodes[0].config.limits.wal_segment;
    let most = write_much(&mut world, 300);
    assert!(most > limit + 2 * segment, "the log was long: {most}");
    // As the module of snapshots says.
    assert!(most <= 3 * limit + 5 * segment, "{most}");
    // The ring rested meanwhile, and has two snapshots that the log goes on from all the same.
    for group in [GroupId::RING, GroupId(1)] {
        let of_group = files(&world, group);
        assert_eq!(of_group.len(), 2, "{of_group:?}");
        flip_a_bit(&mut world, &of_group[1]);
    }
    start_again(&mut world);
    world.connect(0, CONN);
    assert!(
        world.says(0, CONN, "select count(*), sum(v) from t", "11"),
        "{:?}",
        world.answer(0, CONN)
    );
}

/// Snapshots of one are taken after so many bytes of log.
const LOG_LIMIT: u64 = 100 << 10;

/// One instance with a row and two snapshots of each group, and more log behind the older of them than
/// is in one segment.
fn one_with_much_log_for_two_snapshots() -> World {
    let mut world = one_that_snapshots_often();
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.log_before_snapshot = LOG_LIMIT;
    write_much(&mut world, 250);
    for group in [GroupId::RING, GroupId(1)] {
        assert_eq!(files(&world, group).len(), 2, "of {group}");
    }
    world
}

/// Bytes of log beyond which it is not kept for two snapshots.
fn bound_for_two(world: &World) -> u64 {
    3 * LOG_LIMIT + 3 * world.nodes[0].config.limits.wal_segment
}

#[test]
fn the_log_of_the_older_snapshot_is_kept_while_the_newest_is_known_to_be_damaged() {
    let mut world = one_with_much_log_for_two_snapshots();
    let rows = GroupId(1);
    world.nodes[0].no_room = true;
    let before = files(&world, rows);
    flip_a_bit(&mut world, &before[1]);
    pull(&mut world, rows, 1);
    assert_eq!(world.state(0, |s| s.counting.metrics.snapshots_unreadable), 1);
    while world.kept(0).log_bytes <= 2 * bound_for_two(&world) {
        write_much(&mut world, 1);
    }
    // Nor is it given up by an instance that goes on from the older one.
    world.nodes[0].config.limits.log_before_snapshot = LOG_LIMIT;
    for _ in 0..2 {
        start_again(&mut world);
        assert_eq!(world.nodes[0].stopped, None);
        assert_eq!(files(&world, rows), before);
        world.connect(0, CONN);
        assert!(world.says(0, CONN, "select count(*), sum(v) from t", "11"));
    }
    // When another has taken its place, the log has its bound again.
    world.nodes[0].no_room = false;
    world.run(Duration::from_secs(3));
    let log = world.kept(0).log_bytes;
    assert!(log <= bound_for_two(&world), "{log}");
    start_again(&mut world);
    world.connect(0, CONN);
    assert!(world.says(0, CONN, "select count(*), sum(v) from t", "11"));
}

#[test]
fn the_log_of_the_older_snapshot_is_given_up_where_no_newer_one_comes() {
    let mut world = one_with_much_log_for_two_snapshots();
    world.nodes[0].no_room = true;
    let written = |w: &World| w.state(0, |s| s.counting.metrics.snapshots_written);
    let before = written(&world);
    let bound = bound_for_two(&world);
    let mut log = world.kept(0).log_bytes;
    let shrunk = (0..500).find(|_| {
        write_much(&mut world, 1);
        let was = std::mem::replace(&mut log, world.kept(0).log_bytes);
        log < was
    });
    assert!(shrunk.is_some() && log <= bound, "{log}");
    assert_eq!(written(&world), before);
    world.nodes[0].no_room = false;
    start_again(&mut world);
    world.connect(0, CONN);
    assert!(world.says(0, CONN, "select count(*), sum(v) from t", "11"));
}

#[test]
fn a_start_keeps_the_log_behind_the_older_snapshot() {
    for group in [GroupId::RING, GroupId(1)] {
        let mut world = one_with_much_log_for_two_snapshots();
        let log = world.kept(0).log_bytes;
        start_again(&mut world);
        assert!(world.kept(0).log_bytes >= log, "{} of {log}", world.kept(0).log_bytes);
        let newest = files(&world, group).remove(1);
        flip_a_bit(&mut world, &newest);
        start_again(&mut world);
        assert_eq!(world.nodes[0].stopped, None, "{group}");
        assert_eq!(world.state(0, |s| s.counting.metrics.snapshots_unreadable), 1);
        world.connect(0, CONN);
        assert!(world.says(0, CONN, "select count(*), sum(v) from t", "11"), "{group}");
    }
}

/// A crash when the snapshot that takes the place of a damaged one is durable, and the damaged one is there.
#[test]
fn a_start_between_two_snapshots_and_a_damaged_one_is_backed_by_the_sound_one() {
    let mut world = one_with_much_log_for_two_snapshots();
    // The ring needs nothing of the log that the rows do.
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    for table in ["u", "w"] {
        let create = format!("create table {table} (id int primary key)");
        assert!(world.says(0, CONN, &create, "CREATE TABLE"));
        me.borrow().spawner.spawn(snapshots::take(me.clone(), GroupId::RING));
        world.run(Duration::from_secs(1));
    }
    drop(me);
    let rows = GroupId(1);
    let before = files(&world, rows);
    let log = world.kept(0).log_bytes;
    flip_a_bit(&mut world, &before[1]);
    world.kill(0);
    world.start(0);
    let is_marked = |s: &State| {
        let is_durable = |wal: &Wal| wal.durable() == wal.last_lsn();
        s.counting.metrics.snapshots_written > 0 && s.durability.wal().is_some_and(is_durable)
    };
    while !world.state(0, is_marked) {
        world.run(Duration::from_micros(50));
    }
    let after = files(&world, rows);
    assert_eq!((after.len(), &after[..2]), (3, &before[..]), "{after:?}");
    start_again(&mut world);
    assert_eq!(world.state(0, |s| s.counting.metrics.snapshots_unreadable), 0);
    assert!(world.kept(0).log_bytes >= log, "{} of {log}", world.kept(0).log_bytes);
    flip_a_bit(&mut world, &after[2]);
    start_again(&mut world);
    assert_eq!(world.nodes[0].stopped, None);
    world.connect(0, CONN);
    assert!(world.says(0, CONN, "select count(*), sum(v) from t", "11"));
}

/// Three of which one was away for so long that it needs a snapshot of the rows; it is started now. Who leads, and
/// who was away.
fn one_needs_a_snapshot() -> (World, usize, usize) {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let away = (leader + 1) % 3;
    world.connect(leader, CONN);
    assert!(world.says(leader, CONN, "create table t (id int primary key, v int)", "CREATE"));
    assert!(world.says(leader, CONN, "insert into t values (1, 1)", "INSERT 0 1"));
    world.kill(away);
    let me = world.nodes[leader].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.log_before_snapshot = 1;
    for _ in 0..4 {
        assert!(world.says(leader, CONN, "update t set v = v + 1", "UPDATE 1"));
        world.run(Duration::from_millis(200));
    }
    me.borrow_mut().config.limits.log_before_snapshot = 1 << 30;
    world.run(Duration::from_millis(200));
    world.start(away);
    (world, leader, away)
}

fn receivers(world: &World, leader: usize) -> usize {
    world.state(leader, |s| s.shard.as_ref().unwrap().group.node().snapshot_receivers().count())
}

/// Whether the one that was away has all rows after so long.
fn has_all_within(world: &mut World, (leader, away): (usize, usize), time: Duration) -> bool {
    world.run(time);
    let applied = |at: usize| world.state(at, |s| s.shard.as_ref().unwrap().applied);
    applied(away) == applied(leader)
}

#[test]
fn a_follower_whose_word_of_its_snapshot_is_lost_gets_the_rest_soon() {
    let (mut world, leader, away) = one_needs_a_snapshot();
    let snapshot = world.state(leader, |s| s.group(GroupId(1)).unwrap().node().snapshot().index);
    let has_it = |world: &World| {
        world.state(away, |s| s.shard.as_ref().is_some_and(|shard| shard.applied >= snapshot))
    };
    while !has_it(&world) {
        world.run(Duration::from_micros(50));
    }
    world.nodes[away].deaf = vec![leader];
    world.run(Duration::from_millis(10));
    world.nodes[away].deaf.clear();
    assert_eq!(receivers(&world, leader), 1, "the leader has not heard of it");
    assert!(world.says(leader, CONN, "update t set v = v + 1", "UPDATE 1"));
    assert!(has_all_within(&mut world, (leader, away), Duration::from_millis(100)));
}

#[test]
fn a_follower_that_did_not_get_the_offer_of_a_snapshot_gets_another_soon() {
    let mut lost = 0;
    for delay in 1..20 {
        let (mut world, leader, away) = one_needs_a_snapshot();
        world.run(Duration::from_millis(delay));
        world.nodes[leader].deaf = vec![away];
        let before = receivers(&world, leader);
        world.run(Duration::from_millis(3));
        world.nodes[leader].deaf.clear();
        if before == 0 && receivers(&world, leader) == 1 {
            lost += 1;
            assert!(has_all_within(&mut world, (leader, away), Duration::from_millis(1_500)));
        }
    }
    assert!(lost > 0, "no offer was lost");
}
