//! Results that clients do not read: together they are bounded, and whoever reads makes room.

use bytes::BytesMut;

use super::*;
use crate::pgwire::client::{self, BindRequest};

const STALLED: ConnId = ConnId(7);
const OTHER: ConnId = ConnId(8);
/// 30 MiB, of the 40 that there are.
const LONG: &str = "select repeat('x', 1048576) from generate_series(1, 30)";

/// One instance with little room for results, and two clients, of which one does not read.
fn two_clients() -> World {
    let mut world = World::new();
    world.add(1);
    world.kill(0);
    world.nodes[0].config.limits.statements_memory = 40 << 20;
    world.start(0);
    world.run(Duration::from_secs(1));
    for conn in [STALLED, OTHER] {
        world.connect(0, conn);
    }
    world.nodes[0].unread.insert(STALLED, 0);
    world
}

fn kept(world: &World) -> usize {
    world.state(0, |s| s.workbench.results.used())
}

/// While the one does not read, the other gets short answers, and no long ones.
fn finds_no_room(world: &mut World) {
    assert!((28 << 20..31 << 20).contains(&kept(world)), "{}", kept(world));
    assert!(world.says(0, OTHER, LONG, "C53200"), "{:?}", world.answer(0, OTHER));
    assert!(world.says(0, OTHER, "select 1", "SELECT 1"));
    assert!((28 << 20..31 << 20).contains(&kept(world)), "what failed keeps nothing");
}

fn finds_room(world: &mut World) {
    world.run(Duration::from_secs(1));
    assert_eq!(kept(world), 0);
    assert!(world.says(0, OTHER, LONG, "SELECT 30"));
    world.run(Duration::from_secs(1));
    assert_eq!(kept(world), 0);
}

#[test]
fn what_is_not_read_takes_the_room_of_others() {
    let mut world = two_clients();
    assert!(world.says(0, STALLED, LONG, "SELECT 30"));
    finds_no_room(&mut world);
    world.reads(0, STALLED);
    finds_room(&mut world);
}

#[test]
fn a_client_that_goes_makes_room() {
    let mut world = two_clients();
    assert!(world.says(0, STALLED, LONG, "SELECT 30"));
    finds_no_room(&mut world);
    world.push(0, 0, Happening::Event(Box::new(Event::Closed { conn: STALLED })));
    finds_room(&mut world);
}

#[test]
fn the_rows_of_a_portal_count_until_it_ends() {
    let mut world = two_clients();
    let mut message = BytesMut::new();
    client::parse(&mut message, "", LONG, &[]);
    client::bind(&mut message, BindRequest { portal: "p", ..BindRequest::default() });
    client::execute(&mut message, "p", 1);
    world.send(0, STALLED, message.to_vec());
    world.run(Duration::from_secs(1));
    finds_no_room(&mut world);
    let mut goes_on = |world: &mut World, max_rows| {
        message.clear();
        client::execute(&mut message, "p", max_rows);
        world.send(0, STALLED, message.to_vec());
        world.run(Duration::from_secs(1));
    };
    goes_on(&mut world, 2);
    finds_no_room(&mut world);
    world.reads(0, STALLED);
    goes_on(&mut world, 0);
    assert!(world.said(0, STALLED, "SELECT 27"), "they are counted once");
    finds_room(&mut world);
}
