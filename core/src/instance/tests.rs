//! Whole instances in a small, kind world: one message a millisecond, disks that always work.
//!
//! The simulator in `sim` is the unkind one; this is where a change of the instance is seen first.

mod bounds;
mod catalog_changes;
mod catch_up;
mod coming_back;
mod forwarders;
mod full_memory;
mod golden;
mod leaving;
mod lost_lead;
mod quiet;
mod snapshot_files;
mod statements;
mod unread;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use bytes::Bytes;

use super::message::{Request, RequestKind};
use super::state::Phase;
use super::*;
use crate::base::{ConnId, GroupId, InstanceId, LogIndex};
use crate::raft::Message;
use crate::seam::{ConnKind, DiskError, DiskErrorKind, DiskOp, DiskResult, Mono, OpenMode, Wall};
use crate::storage::model_disk::ModelDisk;
use crate::topology::model::Presence;

const MS: u64 = 1_000_000;

enum Happening {
    Event(Box<Event<Msg>>),
    Wake,
}

struct Node {
    instance: Option<Instance>,
    disk: ModelDisk,
    config: Config,
    /// The wake-up that counts; earlier ones were replaced.
    wake: u64,
    lives: u64,
    stopped: Option<StopReason>,
    /// Messages from here to these are lost.
    deaf: Vec<usize>,
    /// Which Raft messages do not reach it.
    misses: fn(GroupId, &Message) -> bool,
    /// Happenings of an earlier life are dropped.
    life: u64,
    /// What it wrote to its clients, and when the last of it.
    said: BTreeMap<ConnId, (Vec<u8>, u64)>,
    /// The disk has no room for new snapshots; when each was refused.
    no_room: bool,
    refused: Vec<u64>,
    /// The disk does not give the list of members.
    no_members: bool,
    /// How often it asked each of the others whether it has a change.
    asked: BTreeMap<usize, usize>,
    /// The page it showed last.
    page: String,
    /// Clients that read nothing, and the bytes that wait for each.
    unread: BTreeMap<ConnId, usize>,
}

impl Node {
    fn disk(&mut self, now: u64, what: DiskOp) -> DiskResult {
        match &what {
            DiskOp::Open { path, mode, .. }
                if self.no_room && *mode != OpenMode::Existing && path.starts_with("snap/") =>
            {
                self.refused.push(now);
                Err(DiskError { kind: DiskErrorKind::NoSpace, message: "no room".into() })
            }
            DiskOp::Open { path, .. } if self.no_members && &**path == members::FILE => {
                Err(DiskError { kind: DiskErrorKind::Io, message: "it is broken".into() })
            }
            _ => self.disk.run(what).unwrap(),
        }
    }
}

struct World {
    now: u64,
    nodes: Vec<Node>,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, (usize, u64, Happening)>,
    next: u64,
    /// How long after the end of a turn the next may come, though more work waits.
    turn_time: u64,
}

impl World {
    fn new() -> World {
        World {
            now: 0,
            nodes: Vec::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next: 0,
            turn_time: 0,
        }
    }

    /// Adds an instance that joins through the first one, and starts it.
    fn add(&mut self, replication_factor: u8) -> usize {
        let number = self.nodes.len() + 1;
        let address = format!("i{number}:3301");
        let config = Config {
            address: address.clone(),
            pg_address: format!("i{number}:4327"),
            http_address: String::new(),
            peers: (1..=3).take(number).map(|k| format!("i{k}:3301")).collect(),
            cluster_name: None,
            instance_name: None,
            replicaset_name: None,
            tier: "default".into(),
            replication_factor,
            failure_domain: [("DC".to_owned(), format!("dc{number}"))].into(),
            limits: Limits { wal_segment: 1 << 16, ..Limits::default() },
            times: Times::default(),
        };
        self.nodes.push(Node {
            instance: None,
            disk: ModelDisk::default(),
            config,
            wake: 0,
            lives: 0,
            stopped: None,
            deaf: Vec::new(),
            misses: |_, _| false,
            life: 0,
            said: BTreeMap::new(),
            no_room: false,
            refused: Vec::new(),
            no_members: false,
            asked: BTreeMap::new(),
            page: String::new(),
            unread: BTreeMap::new(),
        });
        self.start(number - 1);
        number - 1
    }

    fn start(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.life += 1;
        node.stopped = None;
        node.lives += 1;
        let mut seed = [at as u8; 32];
        seed[0] = node.lives as u8;
        node.instance = Some(Instance::new(node.config.clone(), seed));
        self.push(at, 0, Happening::Event(Box::new(Event::Boot)));
    }

    fn kill(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        node.instance = None;
        node.life += 1;
        node.disk.close_all();
    }

    fn push(&mut self, to: usize, delay: u64, happening: Happening) {
        self.next += 1;
        self.queue.push(Reverse((self.now + delay, self.next)));
        self.happenings.insert(self.next, (to, self.nodes[to].life, happening));
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time.as_nanos() as u64;
        while let Some(Reverse((at, id))) = self.queue.peek().copied() {
            if at > end {
                break;
            }
            self.queue.pop();
            self.now = at;
            let (to, life, happening) = self.happenings.remove(&id).unwrap();
            if self.nodes[to].life == life {
                self.turn(to, id, happening);
            }
        }
        self.now = end;
    }

    fn turn(&mut self, to: usize, id: u64, happening: Happening) {
        let now = Now { mono: Mono(self.now), wall: Wall(1_700_000_000_000_000 + self.now / 1000) };
        let node = &mut self.nodes[to];
        let Some(instance) = &mut node.instance else { return };
        let mut effects = Vec::new();
        match happening {
            Happening::Event(event) => instance.step(now, *event, &mut effects),
            Happening::Wake if node.wake == id => {
                instance.step(now, Event::Tick, &mut effects);
            }
            Happening::Wake => return,
        }
        instance.end_turn(now, &mut effects);
        for effect in effects {
            self.effect(to, effect);
        }
    }

    fn effect(&mut self, from: usize, effect: Effect<Msg>) {
        match effect {
            Effect::Send { to, msg, .. } => {
                let Some(at) = self.nodes.iter().position(|n| *n.config.address == *to.0) else {
                    return;
                };
                if let Body::Request(Request { what: RequestKind::RingReached { .. }, .. }) =
                    msg.body
                {
                    *self.nodes[from].asked.entry(at).or_default() += 1;
                }
                if self.nodes[from].deaf.contains(&at) {
                    return;
                }
                let mut bytes = Vec::new();
                msg.encode(&mut bytes);
                let mut msg = Msg::decode(Bytes::from(bytes)).unwrap();
                if let Body::Raft(messages) = &mut msg.body {
                    messages.retain(|(group, m)| !(self.nodes[at].misses)(*group, m));
                }
                let from = PeerAddr::new(self.nodes[from].config.address.as_str());
                self.push(at, MS, Happening::Event(Box::new(Event::Peer { from, msg })));
            }
            Effect::Disk { op, what } => {
                let slow = matches!(what, DiskOp::WriteAt { .. } | DiskOp::Sync { .. });
                let result = self.nodes[from].disk(self.now, what);
                let delay = if slow { MS / 5 } else { MS / 50 };
                self.push(from, delay, Happening::Event(Box::new(Event::DiskDone { op, result })));
            }
            Effect::Wake { at } => {
                let delay = at.0.saturating_sub(self.now).max(self.turn_time);
                self.push(from, delay, Happening::Wake);
                self.nodes[from].wake = self.next;
            }
            Effect::Write { conn, bytes } => {
                let said = self.nodes[from].said.entry(conn).or_default();
                said.0.extend_from_slice(&bytes);
                said.1 = self.now;
                match self.nodes[from].unread.get_mut(&conn) {
                    Some(unread) => *unread += bytes.len(),
                    None => self.flushed(from, conn, bytes.len()),
                }
            }
            Effect::Close { conn } => {
                self.push(from, 0, Happening::Event(Box::new(Event::Closed { conn })));
            }
            Effect::Stop(reason) => self.nodes[from].stopped = Some(reason),
            Effect::Inspected { body, .. } => self.nodes[from].page = body,
            _ => {}
        }
    }

    fn flushed(&mut self, at: usize, conn: ConnId, bytes: usize) {
        let flushed = Event::Flushed { conn, bytes };
        self.push(at, MS, Happening::Event(Box::new(flushed)));
    }

    /// The client reads what has waited, and from now on everything.
    fn reads(&mut self, at: usize, conn: ConnId) {
        let unread = self.nodes[at].unread.remove(&conn).unwrap_or_default();
        self.flushed(at, conn, unread);
    }

    /// Logs the superuser in.
    fn connect(&mut self, at: usize, conn: ConnId) {
        let accepted = Event::Accepted { conn, kind: ConnKind::Admin, remote: "x".into() };
        self.push(at, 0, Happening::Event(Box::new(accepted)));
        let startup = [&[0, 0, 0, 20, 0, 3, 0, 0][..], b"user\0admin\0\0"].concat();
        self.send(at, conn, startup);
        self.run(Duration::from_secs(1));
    }

    /// Sends a query; what is answered replaces what was said before.
    fn query(&mut self, at: usize, conn: ConnId, sql: &str) {
        let len = (sql.len() as u32 + 5).to_be_bytes();
        self.send(at, conn, [b"Q", &len[..], sql.as_bytes(), b"\0"].concat());
    }

    fn send(&mut self, at: usize, conn: ConnId, bytes: Vec<u8>) {
        self.nodes[at].said.remove(&conn);
        let event = Event::Bytes { conn, bytes: bytes.into() };
        self.push(at, 0, Happening::Event(Box::new(event)));
    }

    /// The last answer on a connection as text, without what is not printable, and when it came.
    fn answer(&self, at: usize, conn: ConnId) -> Option<(String, u64)> {
        let (bytes, when) = self.nodes[at].said.get(&conn)?;
        let printable = bytes.iter().filter(|byte| (32..127).contains(*byte));
        Some((printable.map(|byte| char::from(*byte)).collect(), *when))
    }

    /// Runs a statement; whether the answer holds this text.
    fn says(&mut self, at: usize, conn: ConnId, sql: &str, text: &str) -> bool {
        self.query(at, conn, sql);
        self.run(Duration::from_secs(1));
        self.said(at, conn, text)
    }

    fn said(&self, at: usize, conn: ConnId, text: &str) -> bool {
        self.answer(at, conn).is_some_and(|(said, _)| said.contains(text))
    }

    /// Indexes and counts on every instance are what its rows say; replicas that have applied the same
    /// have the same.
    fn check_stores(&self) {
        let mut digests = BTreeMap::new();
        for node in &self.nodes {
            let instance = node.instance.as_ref().unwrap();
            assert_eq!(instance.check_stores(), Ok(()));
            instance.state_digests(&|_, _| true, &mut |group, applied, digest| {
                assert_eq!(*digests.entry((group, applied)).or_insert(digest), digest);
            });
        }
    }

    fn kept(&self, at: usize) -> watch::Kept {
        self.nodes[at].instance.as_ref().unwrap().kept()
    }

    fn state<T>(&self, at: usize, read: impl FnOnce(&State) -> T) -> T {
        read(&self.nodes[at].instance.as_ref().unwrap().state.borrow())
    }

    fn online(&self, at: usize) -> usize {
        self.state(at, |s| {
            let ring = &s.ring.as_ref().unwrap().state;
            ring.instances.values().filter(|i| i.current.presence == Presence::Online).count()
        })
    }

    fn voters(&self, at: usize, group: GroupId) -> Vec<u64> {
        self.state(at, |s| {
            s.group(group).unwrap().membership().voters.iter().map(|v| v.0).collect()
        })
    }

    fn leaders(&self, group: GroupId) -> Vec<usize> {
        (0..self.nodes.len())
            .filter(|at| self.nodes[*at].instance.is_some())
            .filter(|at| self.state(*at, |s| s.group(group).is_some_and(|g| g.is_leader())))
            .collect()
    }
}

fn three() -> World {
    one_replica_set_of(3)
}

fn one_replica_set_of(count: u8) -> World {
    let mut world = World::new();
    world.add(count);
    world.run(Duration::from_millis(100));
    for _ in 1..count {
        world.add(count);
    }
    world.run(Duration::from_secs(u64::from(count) - 1));
    world
}

#[test]
fn the_first_instance_founds_a_cluster() {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_millis(300));
    assert_eq!(world.state(0, |s| s.phase), Phase::Running);
    assert_eq!(world.state(0, |s| s.me()), InstanceId(1));
    assert_eq!(world.online(0), 1);
}

#[test]
fn three_instances_form_one_replica_set() {
    let world = three();
    for at in 0..3 {
        assert_eq!(world.online(at), 3, "as seen by instance {at}");
        assert_eq!(world.voters(at, GroupId::RING), [1, 2, 3]);
        assert_eq!(world.voters(at, GroupId(1)), [1, 2, 3]);
    }
    assert_eq!(world.leaders(GroupId::RING).len(), 1);
}

#[test]
fn a_killed_leader_is_replaced_and_comes_back() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    world.kill(leader);
    world.run(Duration::from_secs(1));
    assert_eq!(world.leaders(GroupId(1)).len(), 1, "nobody took over");
    world.run(Duration::from_secs(8));
    let other = world.leaders(GroupId::RING)[0];
    assert_eq!(world.online(other), 2, "the dead one is still called online");
    world.start(leader);
    world.run(Duration::from_secs(2));
    assert_eq!(world.online(leader), 3);
}

#[test]
fn all_three_killed_at_once_resume() {
    let mut world = three();
    for at in 0..3 {
        world.kill(at);
    }
    for at in 0..3 {
        world.start(at);
    }
    world.run(Duration::from_secs(2));
    for node in &world.nodes {
        assert_eq!(node.stopped, None);
    }
    assert_eq!(world.leaders(GroupId(1)).len(), 1);
    assert_eq!(world.online(0), 3);
    assert_eq!(world.voters(2, GroupId::RING), [1, 2, 3]);
}

#[test]
fn a_clean_stop_hands_leadership_over_first() {
    let mut world = three();
    let leader = world.leaders(GroupId(1))[0];
    world.push(leader, 0, Happening::Event(Box::new(Event::Shutdown)));
    world.run(Duration::from_millis(200));
    assert_eq!(world.nodes[leader].stopped, Some(StopReason::Shutdown));
    world.kill(leader);
    assert_eq!(world.leaders(GroupId(1)).len(), 1, "somebody leads already");
}

#[test]
fn a_damaged_log_is_set_aside_and_the_instance_comes_back_as_a_new_one() {
    let mut world = three();
    world.kill(2);
    let disk = &mut world.nodes[2].disk;
    let log = disk.paths().into_iter().find(|path| path.starts_with("wal/")).unwrap();
    // In the header of a segment: no torn tail.
    disk.file(&log)[3] ^= 1;
    world.nodes[2].config.peers.retain(|peer| peer != "i3:3301");
    world.start(2);
    world.run(Duration::from_secs(8));
    assert_eq!(world.nodes[2].stopped, None);
    assert_eq!(world.state(2, |s| s.me()), InstanceId(4));
    assert_eq!(world.online(0), 3);
    assert_eq!(world.voters(2, GroupId::RING), [1, 2, 4]);
    assert_eq!(world.voters(2, GroupId(1)), [1, 2, 4]);
    let aside = world.nodes[2].disk.paths();
    assert!(aside.iter().any(|path| path.starts_with("damaged/")), "{aside:?}");
}

#[test]
fn the_only_instance_of_a_cluster_with_a_damaged_log_stops() {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_secs(1));
    world.kill(0);
    let disk = &mut world.nodes[0].disk;
    let log = disk.paths().into_iter().find(|path| path.starts_with("wal/")).unwrap();
    disk.file(&log)[3] ^= 1;
    let before = disk.paths();
    world.start(0);
    world.run(Duration::from_secs(1));
    let stopped = world.nodes[0].stopped.clone();
    assert!(matches!(stopped, Some(StopReason::Unusable(_))), "{stopped:?}");
    assert_eq!(world.nodes[0].disk.paths(), before, "nothing is moved");
}

#[test]
fn an_instance_with_an_old_copy_of_its_disk_comes_back_as_a_new_one() {
    let mut world = three();
    let away = (0..3).find(|at| world.leaders(GroupId(1)) != [*at]).unwrap();
    let old = world.nodes[away].disk.clone();
    let (leader, conn) = (world.leaders(GroupId(1))[0], ConnId(7));
    world.connect(leader, conn);
    assert!(world.says(leader, conn, "create table t (id int primary key)", "CREATE TABLE"));
    for id in 0..3 {
        assert!(world.says(leader, conn, &format!("insert into t values ({id})"), "INSERT 0 1"));
    }
    world.kill(away);
    world.nodes[away].disk = old;
    world.nodes[away].disk.close_all();
    let own = world.nodes[away].config.address.clone();
    world.nodes[away].config.peers = vec!["i1:3301".into(), "i2:3301".into(), "i3:3301".into()];
    world.nodes[away].config.peers.retain(|peer| *peer != own);
    world.start(away);
    world.run(Duration::from_secs(1));
    let stopped = world.nodes[away].stopped.clone();
    assert!(matches!(stopped, Some(StopReason::LostEntries(_))), "{stopped:?}");
    // Whoever starts it again need not know.
    world.kill(away);
    world.start(away);
    world.run(Duration::from_secs(8));
    assert_eq!(world.nodes[away].stopped, None);
    assert_eq!(world.state(away, |s| s.me()), InstanceId(4));
    assert_eq!(world.online(leader), 3);
    assert!(!world.nodes[away].disk.paths().contains(&identity::LOST_FILE.to_owned()));
    world.kill(away);
    world.start(away);
    world.run(Duration::from_secs(2));
    assert_eq!(world.state(away, |s| (s.me(), s.caught_up)), (InstanceId(4), true));
}

fn four() -> World {
    let mut world = World::new();
    world.add(4);
    world.run(Duration::from_millis(100));
    for _ in 0..3 {
        world.add(4);
    }
    world.run(Duration::from_secs(3));
    world
}

#[test]
fn the_fourth_of_four_has_no_vote_in_the_ring_and_serves_as_the_others_do() {
    let mut world = four();
    for at in 0..4 {
        assert_eq!(world.online(at), 4, "as seen by instance {at}");
        assert_eq!(world.voters(at, GroupId(1)), [1, 2, 3, 4]);
        assert_eq!(world.voters(at, GroupId::RING), [1, 2, 3]);
    }
    let leader = world.leaders(GroupId(1))[0];
    let me = world.nodes[leader].instance.as_ref().unwrap().state.clone();
    me.borrow_mut().shard.as_mut().unwrap().group.transfer_leader(InstanceId(4));
    world.run(Duration::from_secs(1));
    assert_eq!(world.leaders(GroupId(1)), [3]);
    let conn = ConnId(7);
    world.connect(3, conn);
    assert!(world.says(3, conn, "create table t (id int primary key)", "CREATE TABLE"));
    assert!(world.says(3, conn, "insert into t values (1)", "INSERT 0 1"));
    world.connect(0, conn);
    assert!(world.says(0, conn, "select * from t", "SELECT 1"));
}

#[test]
fn the_ring_is_led_in_peace_while_it_has_learners_and_somebody_is_down() {
    let mut world = four();
    let leader = world.leaders(GroupId::RING)[0];
    let away = (0..4).find(|at| *at != leader).unwrap();
    world.kill(away);
    world.run(Duration::from_secs(60));
    assert_eq!(world.online(leader), 3);
    let mut reports = std::collections::BTreeSet::new();
    for _ in 0..500 {
        world.run(Duration::from_millis(10));
        reports.insert(world.state(leader, |s| s.governing.next_wake()));
    }
    // Four a second; learners on their way are worth twenty.
    assert!(reports.len() <= 22, "{} reports in five seconds", reports.len());
}

#[test]
fn answers_to_a_request_to_join_are_kept_while_somebody_waits_for_them() {
    let mut world = three();
    let reply = || message::JoinReply::Later("not now".into());
    for _ in 0..100 {
        let body = Body::JoinReply(reply());
        let from = PeerAddr::new("i2:3301");
        let event = Event::Peer { from, msg: Msg { cluster: 0, body } };
        world.push(0, MS, Happening::Event(Box::new(event)));
    }
    world.run(Duration::from_secs(1));
    assert_eq!(world.state(0, |s| s.join_replies.len()), 0);
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    let state = &mut *me.borrow_mut();
    state.phase = Phase::Joining;
    (0..100).for_each(|_| state.join_replied(reply()));
    assert_eq!(state.join_replies.len(), 16);
}

#[test]
fn what_one_instance_does_not_hear_reaches_it_through_another() {
    let mut world = three();
    let leader = world.leaders(GroupId::RING)[0];
    let [deaf, other] = [(leader + 1) % 3, (leader + 2) % 3];
    world.nodes[leader].deaf.push(deaf);
    world.run(Duration::from_secs(3));
    // The leader, and the one that hears everybody, keep everything going for the third.
    let led = |world: &World, at: usize| world.state(at, |s| s.leader_of(GroupId::RING));
    assert_eq!(led(&world, deaf), led(&world, other));
    let applied = |world: &World, at: usize| world.state(at, |s| s.ring.as_ref().unwrap().applied);
    assert_eq!(applied(&world, deaf), applied(&world, other));
    let at = |k: usize| PeerAddr::new(format!("i{}:3301", k + 1));
    assert!(world.state(leader, |s| s.reach.detour(&at(deaf)) == Some(&at(other))));
    world.nodes[leader].deaf.clear();
    world.run(Duration::from_secs(2));
    assert!(world.state(leader, |s| s.reach.detour(&at(deaf)).is_none()), "the link is back");
}

#[test]
fn an_expelled_instance_stops_also_one_that_was_away_meanwhile() {
    for away in [false, true] {
        let mut world = three();
        let out = (0..3).find(|at| !world.leaders(GroupId::RING).contains(at)).unwrap();
        let asked = (0..3).find(|at| *at != out).unwrap();
        let uuid = world.state(out, |s| {
            let id = s.me();
            s.ring.as_ref().unwrap().state.instances[&id].uuid
        });
        if away {
            world.kill(out);
            world.run(Duration::from_secs(3));
        }
        let body = Body::Expel { request: 1, uuid, force: true };
        let from = PeerAddr::new("operator:1");
        let event = Event::Peer { from, msg: Msg { cluster: 0, body } };
        world.push(asked, MS, Happening::Event(Box::new(event)));
        world.run(Duration::from_secs(3));
        if away {
            world.start(out);
            world.run(Duration::from_secs(3));
        }
        let stopped = &world.nodes[out].stopped;
        assert!(matches!(stopped, Some(StopReason::Expelled)), "away {away}: {stopped:?}");
        assert!(world.nodes[asked].stopped.is_none());
        assert_eq!(world.online(asked), 2);
    }
}

#[test]
fn who_asks_about_the_ring_is_not_kept_waiting_for_ever() {
    let mut world = three();
    let me = world.nodes[0].instance.as_ref().unwrap().state.clone();
    let before = world.kept(0);
    let what = message::RequestKind::RingReached { index: LogIndex(1_000_000) };
    let spawner = me.borrow().spawner.clone();
    spawner.spawn(serve::answer(me.clone(), PeerAddr::new("i2:3301"), 7, what));
    world.run(Duration::from_secs(1));
    assert_eq!(world.kept(0).ring_waiters, before.ring_waiters + 1);
    world.run(Duration::from_secs(6));
    assert_eq!(world.kept(0).ring_waiters, before.ring_waiters);
    assert_eq!(world.kept(0).tasks, before.tasks);
}

#[test]
fn a_newcomer_that_the_newest_snapshot_does_not_know_gets_a_newer_one() {
    let mut world = three();
    for at in 0..3 {
        let me = world.nodes[at].instance.as_ref().unwrap().state.clone();
        let spawner = me.borrow().spawner.clone();
        spawner.spawn(snapshots::take(me, GroupId::RING));
    }
    world.run(Duration::from_secs(1));
    let first = |s: &State| s.group(GroupId::RING).unwrap().node().first_index();
    assert!((0..3).all(|at| world.state(at, first).0 > 2), "the log begins behind a snapshot");
    // A disk that was lost: the instance comes back in its place, as a member nobody knew.
    world.kill(2);
    world.nodes[2].disk = ModelDisk::default();
    world.nodes[2].config.peers.retain(|peer| peer != "i3:3301");
    world.start(2);
    world.run(Duration::from_secs(8));
    assert_eq!(world.state(2, |s| s.me()), InstanceId(4));
    assert_eq!(world.online(2), 3);
}

#[test]
fn who_does_not_log_in_is_not_waited_for() {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_secs(2));
    let event = Event::Accepted { conn: ConnId(1), kind: ConnKind::Postgres, remote: "x".into() };
    world.push(0, 0, Happening::Event(Box::new(event)));
    world.connect(0, ConnId(2));
    world.run(Duration::from_secs(58));
    assert_eq!(world.state(0, |s| s.clients.count()), 2);
    world.run(Duration::from_secs(2));
    assert_eq!(world.state(0, |s| s.clients.count()), 1, "the one that logged in stays");
}

#[test]
fn an_instance_that_came_back_under_a_new_id_is_heard_where_the_old_one_was() {
    let mut world = three();
    world.kill(2);
    world.nodes[2].disk = ModelDisk::default();
    world.nodes[2].config.peers.retain(|peer| peer != "i3:3301");
    world.start(2);
    world.run(Duration::from_secs(8));
    let at = PeerAddr::new("i3:3301");
    for other in 0..2 {
        assert_eq!(world.state(other, |s| s.instance_at(&at)), Some(InstanceId(4)));
        // A word of the old one that was long on its way.
        let me = world.nodes[other].instance.as_ref().unwrap().state.clone();
        me.borrow_mut().learned(InstanceId(3), &at);
        assert_eq!(world.state(other, |s| s.instance_at(&at)), Some(InstanceId(4)));
    }
}

#[test]
fn an_instance_whose_log_is_gone_comes_back_as_a_new_one() {
    let mut world = three();
    world.kill(2);
    let disk = &mut world.nodes[2].disk;
    let log: Vec<_> = disk.paths().into_iter().filter(|path| path.starts_with("wal/")).collect();
    log.iter().for_each(|path| drop(disk.run(DiskOp::Remove { path: path.as_str().into() })));
    let path = "snap/0000000000000001/0000000000000009";
    for dir in ["snap", "snap/0000000000000001"] {
        disk.run(DiskOp::MakeDir { dir: dir.into() }).unwrap().unwrap();
    }
    let (file, mode) = (crate::seam::FileId(1 << 30), crate::seam::OpenMode::Create);
    disk.run(DiskOp::Open { file, path: path.into(), mode }).unwrap().unwrap();
    disk.close_all();
    world.nodes[2].config.peers.retain(|peer| peer != "i3:3301");
    world.start(2);
    world.run(Duration::from_secs(8));
    assert_eq!(world.nodes[2].stopped, None);
    assert_eq!(world.state(2, |s| s.me()), InstanceId(4));
    assert_eq!(world.voters(0, GroupId(1)), [1, 2, 4]);
    let paths = world.nodes[2].disk.paths();
    assert!(!paths.iter().any(|kept| kept == path), "{paths:?}");
    assert!(paths.iter().any(|kept| kept.ends_with("-snap-0000000000000001-0000000000000009")));
}

#[test]
fn what_happens_is_counted() {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_secs(2));
    let conn = ConnId(7);
    world.connect(0, conn);
    for (sql, said) in [
        ("create table t (id int primary key)", "CREATE TABLE"),
        ("insert into t values (1)", "INSERT 0 1"),
        ("insert into t values (1)", "23505"),
        ("select * from t", "SELECT 1"),
        ("select * from t", "SELECT 1"),
    ] {
        assert!(world.says(0, conn, sql, said), "{sql}");
    }
    let page = world.state(0, |s| s.inspect(crate::seam::Inspect::Metrics));
    let value = |name: &str| {
        let line = page.lines().find_map(|l| l.strip_prefix("basalt_")?.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{page}")).trim().to_owned()
    };
    assert_eq!(value("statements_total "), "4");
    assert_eq!(value("errors_total{sqlstate=\"23505\"} "), "1");
    assert_eq!(value("statement_seconds_count "), "5");
    assert_eq!(value("commit_seconds_count "), "1");
    assert_eq!(value("plan_cache_hits_total "), "2");
    assert_eq!(value("plan_cache_misses_total "), "3");
    assert_eq!(value("connections_opened_total "), "1");
    assert_eq!(value("uptime_seconds "), "7");
    assert_eq!(value("raft_elections_won_total{group=\"1\"} "), "1");
    assert_eq!(value("table_rows{table=\"t\"} "), "1");
    for moves in ["turns_total ", "wal_batches_total ", "wal_bytes_total ", "wal_sync_seconds_sum "]
    {
        assert_ne!(value(moves), "0", "{moves}");
    }
}

#[test]
fn when_there_are_too_many_clients_the_superuser_still_gets_in() {
    let mut world = World::new();
    world.add(1);
    world.run(Duration::from_secs(2));
    world.kill(0);
    world.nodes[0].config.limits.connections = 1;
    world.start(0);
    world.run(Duration::from_secs(2));
    let mut open_now = |conn: u64, kind: ConnKind| {
        let event = Event::Accepted { conn: ConnId(conn), kind, remote: "x".into() };
        world.push(0, 0, Happening::Event(Box::new(event)));
        world.run(Duration::from_millis(1));
        world.state(0, |s| s.clients.count())
    };
    assert_eq!(open_now(1, ConnKind::Postgres), 1);
    assert_eq!(open_now(2, ConnKind::Postgres), 1, "one too many");
    assert_eq!(open_now(3, ConnKind::Admin), 2);
    assert_eq!(world.state(0, |s| s.counting.metrics.connections_refused), 1);
}
