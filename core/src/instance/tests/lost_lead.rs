//! What a client hears of a change whose leader, or the way to it, is lost in the middle of it.

use super::*;

const CONN: ConnId = ConnId(7);
const UPDATE: &str = "update t set v = 2 where id = 1";

/// Three instances with a row in `t`, a client of each, and which instance leads.
fn three_with_a_row() -> (World, usize) {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    for at in 0..3 {
        world.connect(at, CONN);
    }
    assert!(world.says(leader, CONN, "create table t (id int primary key, v int)", "CREATE TABLE"));
    assert!(world.says(leader, CONN, "insert into t values (1, 1)", "INSERT 0 1"));
    (world, leader)
}

fn cut(world: &mut World, away: usize) {
    for (at, node) in world.nodes.iter_mut().enumerate() {
        node.deaf = (0..3).filter(|other| (*other == away) != (at == away)).collect();
    }
}

fn heal(world: &mut World) {
    world.nodes.iter_mut().for_each(|node| node.deaf.clear());
}

/// The instance that leads besides `old`.
fn next_leader(world: &World, old: usize) -> usize {
    let leaders = world.leaders(GroupId(1));
    *leaders.iter().find(|at| **at != old).expect("the others elect a leader")
}

#[test]
fn it_is_confirmed_if_the_next_leader_has_it() {
    let (mut world, old) = three_with_a_row();
    world.query(old, CONN, UPDATE);
    // The entry has left for the others; what they answer is lost.
    world.run(Duration::from_micros(500));
    cut(&mut world, old);
    world.run(Duration::from_secs(1));
    let next = next_leader(&world, old);
    assert_eq!(world.answer(old, CONN), None, "nothing is told that is not known");
    heal(&mut world);
    world.run(Duration::from_secs(1));
    assert!(world.said(old, CONN, "UPDATE 1"), "{:?}", world.answer(old, CONN));
    assert!(world.says(next, CONN, "select v, 'v' from t", "D2v"));
    assert!(world.says(old, CONN, "select v, 'v' from t", "D2v"), "the connection goes on");
}

#[test]
fn it_is_refused_if_the_next_leader_has_another_entry_in_its_place() {
    let (mut world, old) = three_with_a_row();
    cut(&mut world, old);
    world.query(old, CONN, UPDATE);
    world.run(Duration::from_secs(1));
    let next = next_leader(&world, old);
    assert!(world.says(next, CONN, "update t set v = v + 10", "UPDATE 1"));
    assert_eq!(world.answer(old, CONN), None);
    heal(&mut world);
    world.run(Duration::from_secs(1));
    assert!(world.said(old, CONN, "40001"), "{:?}", world.answer(old, CONN));
    assert!(world.says(next, CONN, "select v, 'v' from t", "D11v"));
}

#[test]
fn what_a_client_sends_behind_it_is_not_done_before() {
    let (mut world, old) = three_with_a_row();
    cut(&mut world, old);
    world.query(old, CONN, UPDATE);
    world.run(Duration::from_millis(1));
    world.query(old, CONN, "insert into t values (2, 2)");
    world.run(Duration::from_secs(1));
    world.query(old, CONN, "insert into t values (3, 3)");
    let next = next_leader(&world, old);
    heal(&mut world);
    world.run(Duration::from_secs(1));
    assert!(world.said(old, CONN, "40001"), "{:?}", world.answer(old, CONN));
    assert!(world.says(next, CONN, "select v, 'v' from t", "D1v"));
    assert!(world.says(next, CONN, "select id from t", "SELECT 1"));
}

#[test]
fn what_has_to_run_elsewhere_does_not_run_before_it() {
    let mut undone = 0;
    for delay in 1..16 {
        let (mut world, old) = three_with_a_row();
        // The ring is led by another one, where it could commit at once.
        let ring = (old + 1) % 3;
        let leader = world.leaders(GroupId::RING)[0];
        let id = world.state(ring, |s| s.me());
        let me = world.nodes[leader].instance.as_ref().unwrap().state.clone();
        me.borrow_mut().ring.as_mut().unwrap().group.transfer_leader(id);
        world.run(Duration::from_secs(1));
        assert_eq!(world.leaders(GroupId::RING), [ring]);
        // Its first message is lost, and it is cut off before it says so again.
        cut(&mut world, old);
        world.query(old, CONN, UPDATE);
        world.run(Duration::from_micros(500));
        heal(&mut world);
        world.query(old, CONN, "create user joe with password 'Xx123456'");
        world.run(Duration::from_millis(delay));
        cut(&mut world, old);
        world.run(Duration::from_secs(1));
        let next = next_leader(&world, old);
        heal(&mut world);
        world.run(Duration::from_secs(2));
        if world.said(old, CONN, "40001") {
            undone += 1;
            assert!(world.says(next, CONN, "drop user joe", "42704"), "after {delay} ms");
        }
    }
    assert!(undone > 0, "the change was always repeated in time");
}

#[test]
fn it_is_called_unknown_when_nobody_tells_for_long() {
    let (mut world, old) = three_with_a_row();
    cut(&mut world, old);
    world.query(old, CONN, UPDATE);
    world.run(Duration::from_secs(9));
    assert_eq!(world.answer(old, CONN), None);
    world.run(Duration::from_secs(3));
    assert!(world.said(old, CONN, "08007"), "{:?}", world.answer(old, CONN));
}

#[test]
fn one_sent_by_way_of_another_instance_is_done_by_the_next_leader() {
    let (mut world, old) = three_with_a_row();
    let other = (old + 1) % 3;
    world.query(other, CONN, UPDATE);
    // It reaches the leader, whose words reach nobody.
    world.run(Duration::from_micros(500));
    cut(&mut world, old);
    world.run(Duration::from_millis(250));
    heal(&mut world);
    world.run(Duration::from_secs(2));
    assert!(world.said(other, CONN, "UPDATE 1"), "{:?}", world.answer(other, CONN));
}

#[test]
fn an_answer_that_is_on_its_way_when_a_link_breaks_is_still_read() {
    let (mut world, leader) = three_with_a_row();
    let other = (leader + 1) % 3;
    world.query(other, CONN, UPDATE);
    world.run(Duration::from_millis(2));
    let peer = PeerAddr::new(world.nodes[leader].config.address.as_str());
    world.push(other, 0, Happening::Event(Box::new(Event::LinkDown { peer })));
    assert_eq!(world.answer(other, CONN), None);
    world.run(Duration::from_secs(1));
    assert!(world.said(other, CONN, "UPDATE 1"), "{:?}", world.answer(other, CONN));
}

/// Three instances, a client of each, and which one leads the ring.
fn three_with_clients() -> (World, usize) {
    let mut world = three();
    (0..3).for_each(|at| world.connect(at, CONN));
    let leader = world.leaders(GroupId::RING)[0];
    (world, leader)
}

const CREATE: &str = "create table made (id int primary key)";

/// Whether an instance has heard that the table is wanted or there.
fn has_heard(world: &World, at: usize) -> bool {
    world.state(at, |s| {
        let ring = &s.ring.as_ref().unwrap().state;
        ring.catalog.table(None, "made").is_ok() || ring.ddl.pending.is_some()
    })
}

#[test]
fn a_change_of_the_catalog_is_made_by_the_next_leader_of_the_ring() {
    let ways = [
        // The entry has left for the others, and is in the log of the next leader.
        (0, Some(Duration::from_micros(500))),
        (1, Some(Duration::from_millis(1))),
        // It is lost with the first leader, and another is in its place.
        (0, None),
    ];
    for (other, cut_after) in ways {
        let (mut world, old) = three_with_clients();
        let asked = (old + other) % 3;
        if cut_after.is_none() {
            cut(&mut world, old);
        }
        world.query(asked, CONN, CREATE);
        world.run(cut_after.unwrap_or_default());
        cut(&mut world, old);
        world.run(Duration::from_millis(900));
        let leaders = world.leaders(GroupId::RING);
        let next = *leaders.iter().find(|at| **at != old).expect("the others elect a leader");
        assert_eq!(has_heard(&world, next), cut_after.is_some(), "{other} {cut_after:?}");
        assert_eq!(world.answer(asked, CONN), None, "nothing is told that is not known");
        heal(&mut world);
        world.run(Duration::from_secs(3));
        assert!(world.said(asked, CONN, "CREATE TABLE"), "{:?}", world.answer(asked, CONN));
        assert!(world.says(asked, CONN, CREATE, "42P07"));
    }
}

#[test]
fn a_change_of_the_catalog_is_called_unknown_when_nobody_tells_for_long() {
    let ways = [
        ("create user joe with password 'Xx123456'", [9, 3]),
        ("create table made (id int primary key) option (timeout = 2)", [1, 2]),
    ];
    for (change, seconds) in ways {
        let (mut world, old) = three_with_clients();
        cut(&mut world, old);
        world.query(old, CONN, change);
        world.run(Duration::from_secs(seconds[0]));
        assert_eq!(world.answer(old, CONN), None);
        assert_eq!(world.kept(old).ring_waiters, 1);
        world.run(Duration::from_secs(seconds[1]));
        assert!(world.said(old, CONN, "08007"), "{:?}", world.answer(old, CONN));
        world.run(Duration::from_secs(9));
        assert_eq!(world.kept(old).ring_waiters, 0);
    }
}

#[test]
fn a_change_of_the_catalog_is_called_unknown_when_the_leader_that_was_asked_is_gone() {
    let (mut world, old) = three_with_clients();
    let asked = (old + 1) % 3;
    world.query(asked, CONN, CREATE);
    world.run(Duration::from_millis(1));
    world.kill(old);
    world.run(Duration::from_secs(3));
    assert!(world.said(asked, CONN, "08007"), "{:?}", world.answer(asked, CONN));
    assert!(world.says(asked, CONN, CREATE, "42P07"), "it was made once");
}
