//! Turns in which there is nothing to do.

use super::*;

#[test]
fn a_tick_that_comes_too_early_asks_again_and_what_left_asks_for_nothing() {
    const CONN: ConnId = ConnId(7);
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    world.connect(leader, CONN);
    assert!(world.says(leader, CONN, "create table t (id int primary key)", "CREATE"));
    world.run(Duration::from_secs(1));
    let instance = world.nodes[leader].instance.as_mut().unwrap();
    let mut turn = |at: Mono, event| {
        let now = Now { mono: at, wall: Wall(1_700_000_001_000_000) };
        let mut effects = Vec::new();
        instance.step(now, event, &mut effects);
        instance.end_turn(now, &mut effects);
        // A turn with something to do looks for logs to cut.
        (effects, instance.state.borrow().snapshots.looks_next())
    };
    let wake = |effects: &[Effect<Msg>]| {
        let wakes = effects.iter().filter_map(|effect| match effect {
            Effect::Wake { at } => Some(*at),
            _ => None,
        });
        wakes.last().expect("an instance asks to be woken")
    };
    // Up to a pause that is longer than that between two such looks.
    let mut now = Mono(world.now);
    let (due, looks) = loop {
        let (effects, looks) = turn(now, Event::Tick);
        let due = wake(&effects);
        if due > Mono(looks.0 + 1) {
            break (due, looks);
        }
        now = due;
    };
    let just_before = Mono(due.0 - 1);
    let (effects, then) = turn(just_before, Event::Flushed { conn: CONN, bytes: 1 });
    assert!(effects.is_empty() && then == looks, "that wake-up is on its way");
    let (effects, then) = turn(just_before, Event::Tick);
    assert!(matches!(effects[..], [Effect::Wake { at }] if at == due), "{effects:?}");
    assert_eq!(then, looks);
    assert!(turn(due, Event::Tick).1 > looks, "it is due");
}
