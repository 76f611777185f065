//! Who leads rows without the catalog that goes with them.

use super::*;

const CONN: ConnId = ConnId(7);

#[test]
fn who_leads_a_replica_set_without_the_catalog_hands_it_over() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let me = world.nodes[leader].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().give_way();
    world.run(Duration::from_millis(200));
    let now = world.leaders(GroupId(1));
    assert!(now.len() == 1 && now != [leader], "{now:?}");
}

/// Three instances with a table that two of them know to have another column, and where the rows and the ring
/// are led.
fn three_with_an_old_catalog_at_the_rows() -> (World, usize, usize) {
    let mut world = three();
    let [rows, ring] = [0, 1];
    for (group, to) in [(GroupId(1), rows), (GroupId::RING, ring)] {
        if let [leader] = world.leaders(group)[..]
            && leader != to
        {
            let id = world.state(to, |s| s.me());
            let me = world.nodes[leader].instance.as_ref().unwrap().state.clone();
            let state = &mut *me.borrow_mut();
            let group = if group == GroupId::RING {
                &mut state.ring.as_mut().unwrap().group
            } else {
                &mut state.shard.as_mut().unwrap().group
            };
            group.transfer_leader(id);
        }
        world.run(Duration::from_secs(1));
        assert_eq!(world.leaders(group), [to]);
    }
    world.connect(ring, CONN);
    assert!(world.says(ring, CONN, "create table t (id int primary key)", "CREATE TABLE"));
    world.run(Duration::from_secs(1));
    world.nodes[rows].misses = |group, m| group == GroupId::RING && m.entry_bytes() > 0;
    world.query(ring, CONN, "alter table t add v int");
    world.run(Duration::from_secs(1));
    (world, rows, ring)
}

#[test]
fn who_leads_rows_that_stay_ahead_of_its_catalog_hands_them_over() {
    let (mut world, rows, ring) = three_with_an_old_catalog_at_the_rows();
    assert!(world.says(ring, CONN, "select * from t", "40001"), "{:?}", world.answer(ring, CONN));
    assert_eq!(world.leaders(GroupId(1)), [rows], "it may catch up yet");
    world.run(Duration::from_secs(10));
    let now = world.leaders(GroupId(1));
    assert!(now.len() == 1 && now != [rows], "{now:?}");
    assert!(
        world.says(ring, CONN, "select * from t", "SELECT 0"),
        "{:?}",
        world.answer(ring, CONN)
    );
}

#[test]
fn they_stay_where_they_are_while_nobody_leads_the_ring() {
    let (mut world, rows, _) = three_with_an_old_catalog_at_the_rows();
    world.nodes.iter_mut().for_each(|node| node.misses = |group, _| group == GroupId::RING);
    world.run(Duration::from_secs(20));
    assert_eq!(world.leaders(GroupId(1)), [rows]);
}
