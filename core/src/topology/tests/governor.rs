//! Scripts of the governor: a small world in which its steps are carried out at once.
//!
//! A line of a script is something that happens; `plan` prints the steps and carries them out,
//! `settle` repeats that, in silence, until nothing is left to do, and prints the cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::ddl::table;
use super::*;
use crate::base::{SqlError, SqlState};
use crate::seam::Now;
use crate::topology::ddl::{CreateTableRequest, DdlRequest, DropRequest, SchemaOp};
use crate::topology::governor::{GovernorView, GroupFacts, InstanceFacts, Step, plan};
use crate::topology::model::BucketRange;
use crate::topology::users::ADMIN;

struct World {
    ring: RingState,
    up: BTreeMap<InstanceId, bool>,
    groups: BTreeMap<GroupId, GroupFacts>,
    /// Shards refuse to create tables of this name.
    refuses: Option<String>,
    joined: u64,
}

impl World {
    fn new(factor: u8) -> World {
        let mut world = World {
            ring: cluster(factor, ""),
            up: BTreeMap::from([(InstanceId(1), true)]),
            groups: BTreeMap::new(),
            refuses: None,
            joined: 1,
        };
        let ring = GroupFacts {
            leader: Some(InstanceId(1)),
            voters: [InstanceId(1)].into(),
            ..GroupFacts::default()
        };
        world.groups.insert(GroupId::RING, ring);
        world.found_groups();
        world
    }

    /// Founders start their groups, alone.
    fn found_groups(&mut self) {
        for set in self.ring.replicasets.values() {
            let Some(founder) = set.founder else { continue };
            self.groups.entry(set.id).or_insert_with(|| GroupFacts {
                leader: Some(founder),
                voters: [founder].into(),
                ..GroupFacts::default()
            });
        }
    }

    fn plan(&self) -> Vec<Step> {
        let facts = |up: bool| InstanceFacts { reachable: up, for_time: Duration::from_secs(60) };
        plan(&GovernorView {
            now: Now::default(),
            ring: &self.ring,
            instances: self.up.iter().map(|(id, up)| (*id, facts(*up))).collect(),
            groups: self.groups.clone(),
        })
    }

    fn carry_out(&mut self, step: Step) {
        match step {
            Step::ProposeRing(entry) => {
                apply(&mut self.ring, entry).unwrap_or_else(|e| panic!("rejected: {e}"));
                self.found_groups();
            }
            Step::ChangeMembership { group, change } => {
                let up = |id: &InstanceId| self.up[id];
                let facts = self.groups.get_mut(&group).unwrap();
                let alive = |facts: &GroupFacts| {
                    facts.voters.iter().filter(|id| up(id)).count() * 2 > facts.voters.len()
                };
                assert!(alive(facts), "group {group} cannot commit{change}");
                facts.learners.extend(&change.add_learners);
                for id in &change.promote {
                    assert!(facts.learners.remove(id), "{id} was no learner");
                    facts.voters.insert(*id);
                }
                for id in &change.demote {
                    assert!(facts.voters.remove(id), "{id} was no voter");
                    facts.learners.insert(*id);
                }
                for id in &change.remove {
                    facts.voters.remove(id);
                    facts.learners.remove(id);
                }
                assert!(alive(facts), "group {group} is dead after{change}");
                assert!(facts.voters.contains(&facts.leader.unwrap()), "the leader left");
                let members = facts.voters.union(&facts.learners);
                facts.lag = members.map(|id| (*id, 0)).collect();
            }
            Step::TransferLeader { group, to } => {
                let facts = self.groups.get_mut(&group).unwrap();
                assert!(facts.voters.contains(&to) && self.up[&to]);
                facts.leader = Some(to);
            }
            Step::PushSchema { group, change } => {
                let facts = self.groups.get_mut(&group).unwrap();
                let refused = match &change.op {
                    SchemaOp::CreateTable(table) => Some(&table.name) == self.refuses.as_ref(),
                    _ => false,
                };
                if refused {
                    let error = SqlError::new(SqlState::OutOfMemory, "out of memory");
                    facts.refused = Some((change.version, error));
                } else if change.previous == facts.schema
                    || matches!(change.op, SchemaOp::Everything(_)) && change.version > facts.schema
                {
                    facts.schema = change.version;
                }
            }
        }
    }

    /// Raft, in one line: a group led by somebody who is down elects the first voter that is up.
    fn elect(&mut self) {
        for facts in self.groups.values_mut() {
            let live = facts.voters.iter().filter(|id| self.up[id]);
            if live.clone().count() * 2 <= facts.voters.len() {
                facts.leader = None;
            } else if facts.leader.is_none_or(|id| !self.up[&id]) {
                facts.leader = live.clone().next().copied();
            }
        }
    }

    /// Rounds until there is nothing to do; panics if that never comes.
    fn settle(&mut self) {
        for _ in 0..50 {
            self.elect();
            let steps = self.plan();
            if steps.is_empty() {
                return;
            }
            for step in steps {
                self.carry_out(step);
            }
        }
        panic!("still busy: {:?}", self.plan());
    }

    fn show(&self) -> String {
        let mut out = String::new();
        for i in self.ring.instances.values() {
            writeln!(out, "  {} {} {}", i.id, i.name, i.current.presence.name()).unwrap();
        }
        for (id, facts) in &self.groups {
            let ids = |set: &std::collections::BTreeSet<InstanceId>| {
                set.iter().map(InstanceId::to_string).collect::<Vec<_>>().join(",")
            };
            let leader = facts.leader.map_or("none".into(), |id| id.to_string());
            write!(out, "  group {id} leader {leader} voters {}", ids(&facts.voters)).unwrap();
            if !facts.learners.is_empty() {
                write!(out, " learners {}", ids(&facts.learners)).unwrap();
            }
            if let Some(set) = self.ring.replicasets.get(id) {
                write!(out, " {} schema {}", set.state.name(), facts.schema).unwrap();
            }
            out.push('\n');
        }
        out
    }

    fn join(&mut self, domain: FailureDomain) {
        self.joined += 1;
        let request = join_request(self.joined, "default", domain);
        let id = join(&mut self.ring, &request).unwrap();
        self.up.insert(id, true);
        self.found_groups();
    }

    fn line(&mut self, line: &str, out: &mut String) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let id = || InstanceId(words[1].parse().unwrap());
        match words[0] {
            "join" => {
                let domain = words.get(1).map_or(String::new(), |d| (*d).to_owned());
                self.join(parse_failure_domain(&domain).unwrap());
            }
            "down" => {
                self.up.insert(id(), false);
            }
            "up" => {
                self.up.insert(id(), true);
            }
            "expel" => {
                apply(&mut self.ring, RingEntry::Expel { id: id(), force: true, at: Wall(5) })
                    .unwrap();
            }
            "lag" => {
                let lag = words[2].parse().unwrap();
                for facts in self.groups.values_mut() {
                    facts.lag.insert(id(), lag);
                }
            }
            // The upper half of the buckets moves to a replica set, as if they had been handed over.
            "own" => {
                let set = GroupId(words[1].parse().unwrap());
                let ((tier, first), range) = self.ring.buckets.first_key_value().unwrap();
                let (tier, first, all) = (tier.clone(), *first, *range);
                let middle = (first + all.last) / 2;
                let lower = BucketRange { last: middle, ..all };
                let upper = BucketRange { last: all.last, owner: set };
                self.ring.buckets.insert((tier.clone(), first), lower);
                self.ring.buckets.insert((tier, middle + 1), upper);
            }
            "refuse" => self.refuses = Some(words[1].into()),
            "create" => {
                let request = DdlRequest::CreateTable(CreateTableRequest { ..table(words[1]) });
                let entry = RingEntry::DdlPrepare { by: ADMIN, request: Box::new(request) };
                apply(&mut self.ring, entry).unwrap();
            }
            "drop" => {
                let request = DdlRequest::DropTable(DropRequest {
                    schema: "public".into(),
                    name: words[1].into(),
                    if_exists: false,
                });
                let entry = RingEntry::DdlPrepare { by: ADMIN, request: Box::new(request) };
                apply(&mut self.ring, entry).unwrap();
            }
            "plan" => {
                self.elect();
                for step in self.plan() {
                    writeln!(out, "  {step}").unwrap();
                    self.carry_out(step);
                }
            }
            "settle" => {
                self.settle();
                out.push_str(&self.show());
            }
            other => panic!("{other}"),
        }
    }
}

/// Runs a script: each line, then what it printed, indented.
fn run(factor: u8, script: &str) -> String {
    let mut world = World::new(factor);
    let mut out = String::new();
    for line in script.lines().map(str::trim).filter(|l| !l.is_empty()) {
        writeln!(out, "{line}").unwrap();
        world.line(line, &mut out);
    }
    out
}

/// Runs the commands of a golden script and compares everything that is printed.
fn check(script: &str) {
    let expected: Vec<&str> =
        script.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let factor = script.lines().find_map(|l| l.strip_prefix("# Replication factor "));
    let factor = factor.and_then(|l| l.trim_end_matches('.').parse().ok()).expect("a factor");
    let commands: Vec<&str> = expected.iter().filter(|l| !l.starts_with(' ')).copied().collect();
    let got = run(factor, &commands.join("\n"));
    assert_eq!(got, expected.join("\n") + "\n", "\n--- got ---\n{got}");
}

macro_rules! scripts {
    ($($name:ident,)*) => {$(
        #[test]
        fn $name() {
            check(include_str!(concat!("governor/", stringify!($name), ".script")));
        }
    )*};
}

scripts! {
    a_single_instance_comes_online_by_itself,
    a_joining_instance_learns_catches_up_and_votes,
    a_silent_instance_goes_offline_and_keeps_its_votes_until_replaced,
    an_expelled_leader_hands_over_before_it_leaves,
    a_table_is_committed_when_the_last_shard_has_it,
    a_refused_table_is_aborted_and_its_shards_are_reset,
    a_new_replica_set_gets_the_whole_schema,
    a_schema_change_waits_for_a_shard_without_a_leader,
    a_schema_change_does_not_wait_for_a_shard_without_buckets,
    an_instance_too_many_opens_a_second_replica_set_and_can_be_expelled_with_it,
    the_fourth_of_four_follows_the_ring_without_a_vote,
    of_five_instances_one_is_expelled_and_another_loses_its_vote_only,
    an_offline_voter_of_the_ring_stays_its_learner_when_the_fourth_takes_its_vote,
}

/// Something that happens to a cluster.
#[derive(Clone, Debug)]
enum Happening {
    Join(&'static str),
    Flip(u64),
    Expel(u64),
    Create(u8),
    Drop(u8),
    /// Carry out only the first steps of a plan: the rest is lost.
    Plan(usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let domain = prop_oneof![Just("dc=a"), Just("dc=b"), Just("dc=c"), Just("")];
    let one = prop_oneof![
        3 => domain.prop_map(Happening::Join),
        3 => (1..8u64).prop_map(Happening::Flip),
        1 => (1..8u64).prop_map(Happening::Expel),
        1 => (0..3u8).prop_map(Happening::Create),
        1 => (0..3u8).prop_map(Happening::Drop),
        6 => (0..6usize).prop_map(Happening::Plan),
    ];
    proptest::collection::vec(one, 0..40)
}

fn happen(world: &mut World, happening: &Happening) {
    let prepare = |world: &mut World, request| {
        let entry = RingEntry::DdlPrepare { by: ADMIN, request: Box::new(request) };
        let _ = apply(&mut world.ring, entry);
    };
    match happening {
        Happening::Join(domain) if world.ring.instances.len() < 8 => {
            world.join(parse_failure_domain(domain).unwrap());
        }
        Happening::Join(_) => {}
        Happening::Flip(id) => {
            if let Some(up) = world.up.get_mut(&InstanceId(*id)) {
                *up = !*up;
            }
        }
        Happening::Expel(id) => {
            let entry = RingEntry::Expel { id: InstanceId(*id), force: true, at: Wall(5) };
            let _ = apply(&mut world.ring, entry);
        }
        Happening::Create(k) => {
            prepare(world, DdlRequest::CreateTable(table(&format!("t{k}"))));
        }
        Happening::Drop(k) => prepare(
            world,
            DdlRequest::DropTable(DropRequest {
                schema: "public".into(),
                name: format!("t{k}"),
                if_exists: true,
            }),
        ),
        Happening::Plan(count) => {
            world.elect();
            // Only a leader governs, and only a live quorum commits what it proposes.
            if world.groups[&GroupId::RING].leader.is_some() {
                for step in world.plan().into_iter().take(*count) {
                    world.carry_out(step);
                }
            }
        }
    }
}

proptest! {
    /// Whatever happened, once everyone is up again the cluster comes to rest where it should.
    #[test]
    fn a_healed_cluster_comes_to_rest(all in happenings()) {
        let mut world = World::new(3);
        for happening in &all {
            happen(&mut world, happening);
        }
        for up in world.up.values_mut() {
            *up = true;
        }
        world.settle();
        let ring = &world.ring;
        for instance in ring.instances.values() {
            let wanted = if instance.is_member() { Presence::Online } else { Presence::Expelled };
            prop_assert_eq!(instance.current.presence, wanted);
        }
        prop_assert!(ring.ddl.pending.is_none() && ring.ddl.queue.is_empty());
        for set in ring.replicasets.values() {
            let members: std::collections::BTreeSet<_> = ring.members(set.id).map(|i| i.id).collect();
            if !members.is_empty() {
                prop_assert_eq!(&world.groups[&set.id].voters, &members);
                prop_assert!(world.groups[&set.id].learners.is_empty());
                prop_assert_eq!(world.groups[&set.id].schema, ring.catalog.schema_version);
            }
        }
        let GroupFacts { voters, learners, .. } = &world.groups[&GroupId::RING];
        let members: std::collections::BTreeSet<_> =
            ring.instances.values().filter(|i| i.is_member()).map(|i| i.id).collect();
        prop_assert_eq!(voters.len(), crate::topology::placement::voter_count(members.len()));
        prop_assert!(voters.union(learners).eq(&members), "{:?} {:?}", voters, learners);
    }
}
