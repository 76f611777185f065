//! Turns in which there is nothing to do.

use super::*;
use crate::group::GroupTimes;

#[test]
fn a_tick_that_comes_too_early_asks_again_and_what_left_asks_for_nothing() {
    const CONN: ConnId = ConnId(7);
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    world.connect(leader, CONN);
    assert!(world.says(leader, CONN, "create table t (id int primary key)", "CREATE"));
    world.run(Duration::from_secs(1));
    let now = Now { mono: Mono(world.now), wall: Wall(1_700_000_001_000_000) };
    let instance = world.nodes[leader].instance.as_mut().unwrap();
    let mut turn = |event| {
        let mut effects = Vec::new();
        instance.step(now, event, &mut effects);
        instance.end_turn(now, &mut effects);
        effects
    };
    turn(Event::Tick);
    assert!(turn(Event::Flushed { conn: CONN, bytes: 1 }).is_empty());
    let asked = turn(Event::Tick);
    let [Effect::Wake { at }] = asked[..] else { panic!("{asked:?}") };
    assert!(at > now.mono && at.since(now.mono) <= GroupTimes::default().heartbeat());
    assert!(turn(Event::Flushed { conn: CONN, bytes: 1 }).is_empty(), "that wake-up is on its way");
}
