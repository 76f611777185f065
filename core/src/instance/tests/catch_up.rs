//! Who leads rows without the catalog that goes with them.

use super::*;

const CONN: ConnId = ConnId(7);

#[test]
fn who_leads_a_replica_set_without_the_catalog_hands_it_over() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let me = world.nodes[leader].instance.as_ref().unwrap().state.clone();
    let task = {
        let me = me.clone();
        async move { crate::instance::catch_up::give_way(&me, None).await }
    };
    me.borrow().spawner.spawn(task);
    world.run(Duration::from_millis(200));
    let now = world.leaders(GroupId(1));
    assert!(now.len() == 1 && now != [leader], "{now:?}");
}

/// Instances with a table that all but the first `stale` know to have another column, and where the rows and
/// the ring are led.
fn old_catalogs_at_the_rows(count: u8, stale: usize) -> (World, usize, usize) {
    let mut world = one_replica_set_of(count);
    let [rows, ring] = [0, usize::from(count) - 1];
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
    for node in &mut world.nodes[..stale] {
        node.misses = |group, m| group == GroupId::RING && m.entry_bytes() > 0;
    }
    world.query(ring, CONN, "alter table t add v int");
    world.run(Duration::from_secs(1));
    (world, rows, ring)
}

#[test]
fn who_leads_rows_that_stay_ahead_of_its_catalog_hands_them_over() {
    let (mut world, rows, ring) = old_catalogs_at_the_rows(3, 1);
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
fn they_are_not_handed_to_one_that_lacks_the_catalog_too() {
    let (mut world, rows, ring) = old_catalogs_at_the_rows(5, 2);
    for node in 0..5 {
        let [voters, votes] = [GroupId::RING, GroupId(1)].map(|group| {
            world.state(node, |s| s.group(group).map_or(0, |g| g.membership().voters.len()))
        });
        assert_eq!((voters, votes), (5, 5));
    }
    assert_eq!(world.leaders(GroupId(1)), [rows]);
    world.run(Duration::from_secs(10));
    let now = world.leaders(GroupId(1));
    assert!(now.len() == 1 && now[0] > 1, "{now:?}");
    assert!(world.says(ring, CONN, "select * from t", "SELECT 0"));
}

#[test]
fn they_stay_where_they_are_while_nobody_leads_the_ring() {
    let (mut world, rows, _) = old_catalogs_at_the_rows(3, 1);
    world.nodes.iter_mut().for_each(|node| node.misses = |group, _| group == GroupId::RING);
    world.run(Duration::from_secs(20));
    assert_eq!(world.leaders(GroupId(1)), [rows]);
}
