//! How much one statement may write, and send from one instance to another.

use super::*;
use crate::base::limits::{FORWARDED_BYTES_MAX, WRITE_BYTES_MAX};

const CONN: ConnId = ConnId(7);
const ROW: usize = 15 << 20;

/// Writes so many large rows, with ids from `first` on.
fn insert(first: usize, rows: usize) -> String {
    let last = first + rows - 1;
    format!("insert into t select g, repeat('x', {ROW}) from generate_series({first}, {last}) g")
}

#[test]
fn a_statement_writes_as_much_as_travels_in_one_piece() {
    const { assert!(2 * ROW < WRITE_BYTES_MAX && 3 * ROW > WRITE_BYTES_MAX) };
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    world.connect(leader, CONN);
    assert!(world.says(leader, CONN, "create table t (id int primary key, v text)", "CREATE"));
    assert!(world.says(leader, CONN, &insert(1, 3), "C54000"));
    assert!(world.says(leader, CONN, &insert(1, 2), "INSERT 0 2"));
    world.run(Duration::from_secs(1));
    let rows = |s: &State| s.shard.as_ref().unwrap().store.tables().map(|t| t.id).next().unwrap();
    for at in 0..3 {
        let table = world.state(at, rows);
        let keys = world.state(at, |s| s.shard.as_ref().unwrap().store.table_keys(table));
        assert_eq!(keys, 2, "instance {at} has what was written, and nothing of what was refused");
    }
    assert!(world.says(leader, CONN, "select count(*) from t", "SELECT 1"), "and it goes on");
}

#[test]
fn what_goes_through_another_instance_has_a_bound_either_way() {
    const { assert!(3 * ROW < FORWARDED_BYTES_MAX && 4 * ROW > FORWARDED_BYTES_MAX) };
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let other = (leader + 1) % 3;
    for at in [leader, other] {
        world.connect(at, CONN);
    }
    assert!(world.says(leader, CONN, "create table t (id int primary key, v text)", "CREATE"));
    for first in [1, 3] {
        assert!(world.says(other, CONN, &insert(first, 2), "INSERT 0 2"));
    }
    assert!(world.says(leader, CONN, "select * from t", "SELECT 4"), "nothing travels");
    assert!(world.says(other, CONN, "select * from t", "C54000"));
    assert!(world.says(other, CONN, "select * from t where id < 4", "SELECT 3"));
    let endless = "select repeat('x', 1000) from generate_series(1, 2000000000) where (select count(*) from t) > 0";
    let ends = world.says(other, CONN, endless, "C54000");
    assert!(ends, "it ends where the bound is: {:?}", world.answer(other, CONN));
    assert!(asks(&mut world, leader, 4), "nothing travels");
    assert!(!asks(&mut world, other, 4));
    assert!(asks(&mut world, other, 3));
}

/// Runs a statement with so many large parameters; whether it was carried out. If not, it was too large.
fn asks(world: &mut World, at: usize, parameters: usize) -> bool {
    let marks: Vec<String> = (1..=parameters).map(|k| format!("${k}")).collect();
    let sql = format!("select id from t where id = 1 and v not in ({})", marks.join(", "));
    let large = "y".repeat(ROW);
    let mut message = bytes::BytesMut::new();
    let values = vec![Some(large.as_str()); parameters];
    crate::pgwire::client::extended_query(&mut message, &sql, &values);
    world.send(at, CONN, message.to_vec());
    world.run(Duration::from_secs(1));
    let refused = world.said(at, CONN, "C54000");
    assert_ne!(refused, world.said(at, CONN, "SELECT 1"));
    !refused
}
