//! Instances that lost their data or their identity, and whom they ask to be taken back.

use super::members::Members;
use super::*;

/// Damages the log of the founder, which is told no peer but itself, and starts it again.
fn founder_with_a_damaged_log(world: &mut World) {
    assert_eq!(world.nodes[0].config.peers, ["i1:3301"]);
    world.kill(0);
    damage_the_log(world, 0);
    world.start(0);
    world.run(Duration::from_secs(8));
}

fn damage_the_log(world: &mut World, at: usize) {
    let disk = &mut world.nodes[at].disk;
    let log = disk.paths().into_iter().find(|path| path.starts_with("wal/")).unwrap();
    disk.file(&log)[3] ^= 1;
}

#[test]
fn the_founder_comes_back_through_those_it_has_written_down() {
    let mut world = three();
    let cluster = world.state(1, State::cluster_tag);
    founder_with_a_damaged_log(&mut world);
    assert_eq!(world.nodes[0].stopped, None);
    assert_eq!(world.state(0, |s| s.me()), InstanceId(4));
    assert_eq!(world.online(1), 3);
    assert_eq!(world.voters(0, GroupId(1)), [2, 3, 4]);
    // A crash between giving up the old identity and having a new one is no reason to found a cluster.
    world.kill(0);
    world.nodes[0].disk.remove(identity::FILE);
    world.start(0);
    world.run(Duration::from_secs(12));
    assert_eq!(world.state(0, State::cluster_tag), cluster);
    assert_eq!(world.state(0, |s| s.me()), InstanceId(5));
    assert_eq!(world.online(1), 3);
}

#[test]
fn a_founder_that_the_others_cannot_take_back_without_its_vote_keeps_its_data() {
    let mut world = World::new();
    world.add(2);
    world.run(Duration::from_millis(100));
    world.add(2);
    world.run(Duration::from_secs(3));
    assert_eq!(world.voters(0, GroupId::RING), [1, 2]);
    founder_with_a_damaged_log(&mut world);
    let stopped = world.nodes[0].stopped.clone();
    assert!(matches!(stopped, Some(StopReason::Unusable(_))), "{stopped:?}");
    assert!(world.nodes[0].disk.paths().contains(&identity::FILE.to_owned()));
}

/// Three instances of which the ring can lose any, in replica sets of at most so many.
fn three_in_sets_of(replication_factor: u8) -> World {
    let mut world = World::new();
    for _ in 0..3 {
        world.add(replication_factor);
        world.run(Duration::from_secs(2));
    }
    assert_eq!(world.voters(0, GroupId::RING), [1, 2, 3]);
    world
}

#[test]
fn a_founder_without_which_nobody_would_lead_its_rows_keeps_its_data() {
    for (replication_factor, voters) in [(2, vec![1, 2]), (1, vec![1])] {
        let mut world = three_in_sets_of(replication_factor);
        assert_eq!(world.voters(0, GroupId(1)), voters);
        founder_with_a_damaged_log(&mut world);
        let stopped = world.nodes[0].stopped.clone();
        assert!(
            matches!(&stopped, Some(StopReason::Unusable(why)) if why.contains("stays in place")),
            "{stopped:?}"
        );
        let paths = world.nodes[0].disk.paths();
        assert!(paths.contains(&identity::FILE.to_owned()), "{paths:?}");
        assert!(!paths.iter().any(|path| path.starts_with("damaged/")), "{paths:?}");
        let members = world.state(1, |s| {
            let ring = &s.ring.as_ref().unwrap().state;
            ring.instances.values().filter(|i| i.is_member()).map(|i| i.id.0).collect::<Vec<_>>()
        });
        assert_eq!(members, [1, 2, 3], "its place is kept");
    }
}

#[test]
fn one_that_is_told_of_nobody_and_has_no_rows_comes_back_though_its_set_ends() {
    let mut world = three_in_sets_of(2);
    assert_eq!(world.voters(2, GroupId(2)), [3]);
    world.nodes[2].config.peers = vec![world.nodes[2].config.address.clone()];
    world.kill(2);
    damage_the_log(&mut world, 2);
    world.start(2);
    world.run(Duration::from_secs(8));
    assert_eq!(world.nodes[2].stopped, None);
    assert_eq!(world.voters(2, GroupId(3)), [4]);
    assert_eq!(world.online(0), 3);
}

#[test]
fn no_cluster_is_founded_where_there_was_one_with_others_that_decide_nothing_alone() {
    for replication_factor in 1..3 {
        let mut world = World::new();
        world.add(replication_factor);
        world.run(Duration::from_secs(2));
        assert!(!world.nodes[0].disk.paths().contains(&members::FILE.to_owned()), "it is alone");
        world.add(replication_factor);
        world.run(Duration::from_secs(2));
        assert_eq!(file_of_members(&mut world).addresses, [""; 0]);
        world.kill(0);
        world.nodes[0].disk.remove(identity::FILE);
        world.start(0);
        world.run(Duration::from_secs(2));
        asks_for_a_peer(&world);
    }
}

#[test]
fn a_list_of_members_that_cannot_be_read_tells_nothing() {
    let mut world = three();
    let file = world.nodes[0].disk.file(members::FILE);
    let at = file.len() / 2;
    file[at] ^= 1;
    world.kill(0);
    world.start(0);
    world.run(Duration::from_secs(3));
    assert_eq!(world.online(1), 3, "it is a hint only");
    founder_with_a_damaged_log(&mut world);
    assert_eq!(world.nodes[0].stopped, None, "and was written anew");
    assert_eq!(world.online(1), 3);
    // Where the log is damaged too, somebody else has to say whom to ask.
    world.nodes[0].disk.file(members::FILE)[12] ^= 1;
    founder_with_a_damaged_log(&mut world);
    asks_for_a_peer(&world);
    world.kill(0);
    world.nodes[0].config.peers.push("i2:3301".into());
    world.start(0);
    world.run(Duration::from_secs(8));
    assert_eq!(world.nodes[0].stopped, None);
    assert_eq!(world.online(1), 3);
    world.nodes[0].config.peers.pop();
    // Without an identity, it is a reason not to found a cluster.
    world.kill(0);
    world.nodes[0].disk.remove(identity::FILE);
    world.nodes[0].disk.file(members::FILE)[12] ^= 1;
    world.start(0);
    world.run(Duration::from_secs(1));
    let stopped = world.nodes[0].stopped.clone();
    assert!(matches!(stopped, Some(StopReason::Unusable(_))), "{stopped:?}");
}

#[test]
fn a_list_of_members_of_another_cluster_tells_nothing() {
    let mut world = three();
    let own = world.nodes[0].disk.file(members::FILE);
    let cluster_at = 9..25;
    own[cluster_at].fill(7);
    let body = own.len() - 4;
    let crc = crc32fast::hash(&own[..body]).to_le_bytes();
    own[body..].copy_from_slice(&crc);
    founder_with_a_damaged_log(&mut world);
    asks_for_a_peer(&world);
}

fn asks_for_a_peer(world: &World) {
    let stopped = world.nodes[0].stopped.as_ref();
    assert!(
        matches!(stopped, Some(StopReason::Unusable(why)) if why.contains("--peer")),
        "{stopped:?}"
    );
}

fn file_of_members(world: &mut World) -> Members {
    Members::decode(Bytes::copy_from_slice(world.nodes[0].disk.file(members::FILE))).unwrap()
}

#[test]
fn a_list_of_members_that_the_disk_does_not_give_keeps_no_instance_down() {
    let mut world = three();
    let before = file_of_members(&mut world);
    world.kill(0);
    world.nodes[0].no_members = true;
    world.nodes[0].disk.file(members::FILE).clear();
    world.start(0);
    world.run(Duration::from_secs(3));
    assert_eq!(world.nodes[0].stopped, None);
    assert_eq!(world.online(1), 3);
    assert_eq!(file_of_members(&mut world), before, "it was written anew");
}

/// An operator has `asked` take an instance out of the cluster.
fn expel(world: &mut World, asked: usize, uuid: uuid::Uuid) {
    let body = Body::Expel { request: 1, uuid, force: true };
    let event = Event::Peer { from: PeerAddr::new("operator:1"), msg: Msg { cluster: 0, body } };
    world.push(asked, MS, Happening::Event(Box::new(event)));
    world.run(Duration::from_secs(3));
}

/// Three, of which the first and another are left.
fn two_of_three() -> World {
    let mut world = three();
    let out = (1..3).find(|at| !world.leaders(GroupId::RING).contains(at)).unwrap();
    let uuid = world.state(out, |s| s.identity.as_ref().unwrap().uuid);
    expel(&mut world, 0, uuid);
    assert_eq!(world.voters(0, GroupId::RING).len(), 2);
    world
}

#[test]
fn one_that_was_expelled_before_it_heard_of_the_ring_again_is_told() {
    let mut world = three();
    world.kill(0);
    damage_the_log(&mut world, 0);
    world.start(0);
    let is_back = |world: &World| {
        world.state(0, |s| s.identity.as_ref().is_some_and(|own| own.id == InstanceId(4)))
    };
    while !is_back(&world) {
        world.run(Duration::from_micros(100));
    }
    // Its new name is on disk, and nothing else yet.
    world.run(Duration::from_millis(2));
    let knows_the_cluster =
        |s: &State| s.ring.as_ref().is_some_and(|ring| ring.state.cluster.is_some());
    assert!(!world.state(0, knows_the_cluster));
    let uuid = world.state(0, |s| s.identity.as_ref().unwrap().uuid);
    world.kill(0);
    expel(&mut world, 1, uuid);
    world.start(0);
    world.run(Duration::from_secs(5));
    let stopped = world.nodes[0].stopped.clone();
    assert!(matches!(stopped, Some(StopReason::Expelled)), "{stopped:?}");
}

#[test]
fn no_cluster_is_founded_where_another_member_may_live_on() {
    let mut world = two_of_three();
    assert_eq!(file_of_members(&mut world).addresses, [""; 0], "nobody can decide without it");
    world.kill(0);
    world.nodes[0].disk.remove(identity::FILE);
    let before = world.nodes[0].disk.paths();
    world.start(0);
    world.run(Duration::from_secs(2));
    asks_for_a_peer(&world);
    assert_eq!(world.nodes[0].disk.paths(), before, "nothing is moved");
}

#[test]
fn without_an_identity_those_that_are_configured_are_asked_and_nobody_else() {
    let mut world = three();
    // One that founds a cluster of its own, later.
    world.add(3);
    world.kill(3);
    world.nodes[3].config.peers = vec!["i4:3301".into()];
    world.kill(0);
    world.nodes[0].disk.remove(identity::FILE);
    world.nodes[0].config.peers = vec!["i1:3301".into(), "i4:3301".into()];
    world.start(0);
    world.run(Duration::from_secs(5));
    assert_eq!(world.state(0, |s| s.phase), Phase::Joining);
    world.start(3);
    world.run(Duration::from_secs(8));
    assert_eq!(world.state(0, State::cluster_tag), world.state(3, State::cluster_tag));
    assert_ne!(world.state(0, State::cluster_tag), world.state(1, State::cluster_tag));
}
