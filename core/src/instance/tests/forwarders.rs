//! Instances beyond the replication factor: they hold no rows, and serve clients all the same.

use super::*;

const CONN: ConnId = ConnId(7);
const AWAY: usize = 2;

/// One instance with the rows and two without, each alone in its replica set.
fn three_of_factor_one() -> World {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_millis(100));
    world.add(1);
    world.add(1);
    world.run(Duration::from_secs(3));
    world
}

fn rows(world: &World, at: usize) -> u64 {
    world.state(at, |s| {
        let store = &s.shard.as_ref().unwrap().store;
        store.tables().map(|table| store.table_keys(table.id)).sum()
    })
}

/// Writes a row by way of the third instance, and reads it there.
fn serves(world: &mut World, id: u64) {
    world.connect(AWAY, CONN);
    let insert = format!("insert into t values ({id})");
    assert!(world.says(AWAY, CONN, &insert, "INSERT 0 1"), "{:?}", world.answer(AWAY, CONN));
    assert!(world.says(AWAY, CONN, &format!("select * from t where id = {id}"), "SELECT 1"));
    assert_eq!([0, 1, AWAY].map(|at| rows(world, at)), [id, 0, 0]);
}

#[test]
fn one_without_rows_serves_and_may_lose_its_disk() {
    let mut world = three_of_factor_one();
    let set = |world: &World, at| world.state(at, |s| s.shard.as_ref().unwrap().group.id().0);
    assert_eq!([0, 1, AWAY].map(|at| set(&world, at)), [1, 2, 3]);
    world.connect(AWAY, CONN);
    assert!(world.says(AWAY, CONN, "create table t (id int primary key)", "CREATE TABLE"));
    serves(&mut world, 1);
    world.kill(AWAY);
    world.nodes[AWAY].disk = ModelDisk::default();
    world.nodes[AWAY].config.peers.retain(|peer| peer != "i3:3301");
    world.start(AWAY);
    world.run(Duration::from_secs(10));
    assert_eq!(world.nodes[AWAY].stopped, None);
    assert_eq!((set(&world, AWAY), world.online(0)), (4, 3), "alone in a new replica set");
    serves(&mut world, 2);
}
