//! A leader whose memory is full refuses what adds to it, before anything is in the log; what is in the log,
//! every replica applies.

use super::*;

const CONN: ConnId = ConnId(7);
const ROOM: u64 = 1 << 20;

fn set_memory(world: &World, at: usize, bytes: u64) {
    let me = world.nodes[at].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().config.limits.memory = bytes;
}

/// Three instances with a table, of which the leader has some room and the others have none.
fn three_with_little_room() -> (World, usize) {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    world.connect(leader, CONN);
    assert!(world.says(leader, CONN, "create table t (id int primary key, v text)", "CREATE"));
    let used = world.state(leader, |s| s.shard.as_ref().unwrap().store.bytes());
    for at in 0..3 {
        set_memory(&world, at, if at == leader { used + ROOM } else { 1 });
    }
    (world, leader)
}

/// Inserts large rows until one is refused; gives how many went in.
fn fill(world: &mut World, at: usize) -> usize {
    let insert = |id: usize| format!("insert into t values ({id}, repeat('x', 50000))");
    let went_in = (0..100).take_while(|id| world.says(at, CONN, &insert(*id), "INSERT 0 1"));
    let rows = went_in.count();
    assert!(world.said(at, CONN, "C53200"), "{:?}", world.answer(at, CONN));
    rows
}

#[test]
fn a_full_memory_refuses_growth_until_rows_are_deleted() {
    let (mut world, leader) = three_with_little_room();
    let rows = fill(&mut world, leader);
    assert!((10..22).contains(&rows), "{rows} rows of 50 kB in 85 % of 1 MiB");
    let update = "update t set v = repeat('y', 50000)";
    assert!(world.says(leader, CONN, update, "C53200"));
    assert!(world.says(leader, CONN, "select id from t", &format!("SELECT {rows}")));
    let half = rows / 2;
    let delete = format!("delete from t where id < {half}");
    assert!(world.says(leader, CONN, &delete, &format!("DELETE {half}")));
    let insert = "insert into t values (1000, repeat('z', 50000))";
    assert!(world.says(leader, CONN, insert, "INSERT 0 1"), "{:?}", world.answer(leader, CONN));
    assert!(world.says(leader, CONN, "select id from t", &format!("SELECT {}", rows - half + 1)));
}

#[test]
fn followers_apply_what_they_would_not_take_as_leaders() {
    let (mut world, leader) = three_with_little_room();
    let follower = (leader + 1) % 3;
    world.connect(follower, CONN);
    let rows = fill(&mut world, follower);
    assert!(rows > 9, "the leader decides, whichever instance is asked");
    assert!(world.says(follower, CONN, "delete from t where id = 0", "DELETE 1"));
    world.run(Duration::from_secs(1));
    for at in 0..3 {
        assert_eq!(world.nodes[at].stopped, None);
    }
    world.check_stores();
    let applied = |at| world.state(at, |s| s.shard.as_ref().unwrap().applied);
    assert!((0..3).all(|at| applied(at) == applied(leader)));
}
