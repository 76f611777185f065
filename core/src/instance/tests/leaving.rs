//! Clean stops, and what a client of the instance that stops hears.

use super::*;

const CLIENT: ConnId = ConnId(3);

/// Three instances, one that leads the rows and one that does not, and a client of the second one.
fn cluster() -> (World, usize, usize) {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    let other = (leader + 1) % 3;
    world.connect(other, CLIENT);
    assert!(world.says(other, CLIENT, "create table t (id int primary key, v bigint)", "CREATE"));
    let fill = "insert into t select g, 1 from generate_series(1, 5000) g";
    assert!(world.says(other, CLIENT, fill, "INSERT 0 5000"));
    world.turn_time = 20 * MS;
    (world, leader, other)
}

fn stop(world: &mut World, at: usize) {
    world.push(at, 0, Happening::Event(Box::new(Event::Shutdown)));
}

/// Runs until an instance has stopped, and gives how long that took.
fn until_stopped(world: &mut World, at: usize) -> Duration {
    let start = world.now;
    while world.nodes[at].stopped.is_none() {
        world.run(Duration::from_millis(1));
        assert!(world.now - start < 10_000 * MS, "it does not stop");
    }
    Duration::from_nanos(world.now - start)
}

#[test]
fn a_leader_that_stops_has_handed_over_whenever_it_was_told_to() {
    for offset in 0..20 {
        let mut world = three();
        world.run(Duration::from_millis(10 * offset));
        let leader = world.leaders(GroupId(1))[0];
        stop(&mut world, leader);
        let took = until_stopped(&mut world, leader);
        assert!(took < Duration::from_secs(1), "after {took:?}");
        for group in [GroupId::RING, GroupId(1)] {
            let taken = world.leaders(group).iter().any(|at| *at != leader);
            assert!(taken, "told {offset} ticks on: nobody leads group {group}");
        }
    }
}

#[test]
fn a_statement_under_way_ends_before_its_instance_does() {
    let (mut world, _, other) = cluster();
    world.query(
        other,
        CLIENT,
        "insert into t select 9000, count(*) from t, generate_series(1, 150) g",
    );
    world.run(Duration::from_millis(100));
    stop(&mut world, other);
    world.run(Duration::from_millis(100));
    assert_eq!(world.answer(other, CLIENT), None, "it takes longer");
    let took = until_stopped(&mut world, other);
    assert!(took < Duration::from_millis(2500), "it was not interrupted: {took:?}");
    let (said, _) = world.answer(other, CLIENT).unwrap();
    assert!(said.starts_with("CINSERT 0 1Z"), "{said}");
    assert!(said.contains("57P01"), "{said}");
}

#[test]
fn an_interrupted_change_may_have_been_made_and_its_client_hears_so() {
    let (mut world, _, other) = cluster();
    world.query(other, CLIENT, "insert into t select 9000, count(*) from t a, t b");
    world.run(Duration::from_millis(100));
    stop(&mut world, other);
    let took = until_stopped(&mut world, other);
    assert!(took > Duration::from_secs(2), "it had its time: {took:?}");
    let (said, _) = world.answer(other, CLIENT).unwrap();
    assert!(said.contains("FATAL") && said.contains("08007"), "{said}");
    assert!(!said.contains("57P01"), "{said}");
}

#[test]
fn who_comes_while_it_stops_is_sent_away() {
    let (mut world, _, other) = cluster();
    world.query(other, CLIENT, "select count(*) from t a, t b");
    stop(&mut world, other);
    world.run(Duration::from_millis(100));
    let late = ConnId(4);
    world.connect(other, late);
    assert!(world.said(other, late, "57P03"), "{:?}", world.answer(other, late));
}

/// The leader loses its way to who asked; that one, still there, notices nothing.
#[test]
fn a_forwarded_statement_survives_a_broken_link() {
    let mut world = World::new();
    world.add(2);
    world.run(Duration::from_millis(100));
    world.add(2);
    world.run(Duration::from_secs(2));
    let leader = world.leaders(GroupId(1))[0];
    let other = 1 - leader;
    world.connect(other, CLIENT);
    assert!(world.says(other, CLIENT, "create table t (id int primary key, v bigint)", "CREATE"));
    let fill = "insert into t select g, 1 from generate_series(1, 20000) g";
    assert!(world.says(other, CLIENT, fill, "INSERT 0 20000"));
    world.turn_time = 20 * MS;
    world.query(other, CLIENT, "update t set v = v * 2");
    world.run(Duration::from_millis(10));
    assert!(world.state(leader, |s| !s.serving.is_idle()), "it runs on the leader");
    let peer = PeerAddr::new(world.nodes[other].config.address.as_str());
    for event in [Event::LinkDown { peer: peer.clone() }, Event::LinkUp { peer }] {
        world.push(leader, 0, Happening::Event(Box::new(event)));
    }
    world.run(Duration::from_secs(5));
    let (said, _) = world.answer(other, CLIENT).unwrap();
    assert!(said.contains("UPDATE 20000"), "{said}");
    assert!(world.says(other, CLIENT, "select sum(v) from t", "40000"));
}

#[test]
fn every_instance_shows_what_the_rings_leader_knows() {
    let mut world = three();
    let leader = world.leaders(GroupId::RING)[0];
    let page = |world: &mut World, at: usize| {
        let what = crate::seam::Inspect::Cluster;
        world.push(at, 0, Happening::Event(Box::new(Event::Inspect { request: 1, what })));
        world.run(Duration::from_secs(1));
        std::mem::take(&mut world.nodes[at].page)
    };
    let of_leader = page(&mut world, leader);
    assert!(of_leader.contains(r#""reachable":true"#), "{of_leader}");
    let other = (leader + 1) % 3;
    assert_eq!(page(&mut world, other), of_leader);

    // Alone it knows its own groups' members, and not who hears whom.
    for gone in (0..3).filter(|at| *at != other) {
        world.kill(gone);
    }
    world.run(Duration::from_millis(50));
    let alone = page(&mut world, other);
    assert!(
        alone.contains(r#""role":"voter""#) && alone.contains(r#""reachable":null"#),
        "{alone}"
    );
}

#[test]
fn the_superuser_comes_in_where_nobody_leads() {
    let mut world = three();
    for at in 0..3 {
        world.kill(at);
    }
    world.start(0);
    world.run(Duration::from_secs(2));
    world.connect(0, CLIENT);
    assert!(world.said(0, CLIENT, "WARNING"), "{:?}", world.answer(0, CLIENT));
    assert!(world.says(0, CLIENT, "select count(*) from _pico_instance", "SELECT 1"));
    let stranger = ConnId(4);
    let event = Event::Accepted { conn: stranger, kind: ConnKind::Postgres, remote: "x".into() };
    world.push(0, 0, Happening::Event(Box::new(event)));
    world.run(Duration::from_millis(10));
    assert!(world.said(0, stranger, "57P03"), "{:?}", world.answer(0, stranger));
    for at in 1..3 {
        world.start(at);
    }
    world.run(Duration::from_secs(2));
    assert!(world.says(0, CLIENT, "create table t (id int primary key)", "CREATE TABLE"));
}

#[test]
fn the_salts_of_strangers_are_the_same_everywhere_and_not_of_the_uuid() {
    let world = three();
    let secrets: Vec<_> = (0..3).map(|at| world.state(at, |s| s.salt_secret())).collect();
    assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    let uuid = world.state(0, |s| s.identity.as_ref().unwrap().cluster);
    assert!(!secrets[0].starts_with(uuid.as_bytes()));
}
