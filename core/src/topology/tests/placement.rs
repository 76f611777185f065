//! Scripts of joins: who goes where, under which name.

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;
use crate::base::SqlState;
use crate::topology::model::Instance;
use crate::topology::placement::{VoterCandidate, check_tiers, choose_ring_voters, voter_count};

/// Runs `join [tier=T] [domain=D] [name=N] [set=S]` and `expel NAME` lines; answers one line each.
fn run(factor: u8, first_domain: &str, script: &str) -> String {
    let mut state = cluster(factor, first_domain);
    let mut out = String::new();
    for (k, line) in script.lines().map(str::trim).filter(|l| !l.is_empty()).enumerate() {
        let mut words = line.split_whitespace();
        let answer = match words.next().unwrap() {
            "join" => join_line(&mut state, k as u64 + 2, words),
            "expel" => {
                let name = words.next().unwrap();
                let id = state.instance_by_name(name).unwrap().id;
                let entry = RingEntry::Expel { id, force: true, at: Wall(5) };
                apply(&mut state, entry).map(|_| format!("expelled {name}"))
            }
            other => panic!("{other}"),
        };
        match answer {
            Ok(text) => writeln!(out, "{text}").unwrap(),
            Err(error) => writeln!(out, "{error}").unwrap(),
        }
    }
    out
}

fn join_line<'a>(
    state: &mut RingState,
    k: u64,
    words: impl Iterator<Item = &'a str>,
) -> SqlResult<String> {
    let mut request = join_request(k, "default", FailureDomain::default());
    for word in words {
        let (key, value) = word.split_once('=').unwrap();
        match key {
            "tier" => request.tier = value.into(),
            "domain" => request.failure_domain = parse_failure_domain(&value.replace(':', "="))?,
            "name" => request.instance_name = Some(value.into()),
            "set" => request.replicaset_name = Some(value.into()),
            other => panic!("{other}"),
        }
    }
    let id = join(state, &request)?;
    let instance = &state.instances[&id];
    let set = &state.replicasets[&instance.replicaset];
    Ok(format!("{} in {}", instance.name, set.name))
}

#[test]
fn three_instances_of_factor_three_fill_one_replica_set() {
    let out = run(3, "", "join\njoin\njoin");
    assert_eq!(
        out,
        "default_1_2 in default_1\ndefault_1_3 in default_1\ndefault_2_1 in default_2\n"
    );
}

#[test]
fn a_replica_set_never_gets_two_members_of_one_failure_domain() {
    let out = run(
        2,
        "dc=a",
        "join domain=dc:a
         join domain=DC:b
         join domain=dc:b
         join domain=dc:c",
    );
    assert_eq!(
        out,
        "default_2_1 in default_2
default_1_2 in default_1
default_2_2 in default_2
default_3_1 in default_3
"
    );
}

#[test]
fn an_instance_without_a_domain_fits_anywhere() {
    assert_eq!(run(2, r#"{"dc": "dc1"}"#, "join"), "default_1_2 in default_1\n");
}

#[test]
fn names_asked_for_are_given_or_refused() {
    let out = run(
        2,
        "",
        "join name=i2 set=default_1
         join name=i2
         join set=default_1
         join set=storage
         join tier=cold
         join name=default_2_1
         join",
    );
    assert_eq!(
        out,
        "i2 in default_1
instance name \"i2\" is taken (SQLSTATE 55000)
replica set \"default_1\" is full: it has 2 of 2 instances (SQLSTATE 55000)
storage_1 in storage
tier \"cold\" does not exist (SQLSTATE 55000)
default_2_1 in storage
default_2_2 in default_2
"
    );
}

#[test]
fn a_place_left_by_an_expelled_instance_is_filled_under_a_new_name() {
    let out = run(2, "", "join\nexpel default_1_2\njoin");
    assert_eq!(out, "default_1_2 in default_1\nexpelled default_1_2\ndefault_1_3 in default_1\n");
}

#[test]
fn a_replica_set_ends_with_its_last_instance_and_takes_nobody_in() {
    let out = run(1, "", "join\nexpel default_2_1\njoin\njoin set=default_2");
    assert_eq!(
        out,
        "default_2_1 in default_2
expelled default_2_1
default_3_1 in default_3
replica set \"default_2\" was expelled (SQLSTATE 55000)
"
    );
}

#[test]
fn a_newcomer_whose_only_companion_was_expelled_meanwhile_is_sent_elsewhere() {
    let mut state = cluster(2, "");
    for k in 2..4 {
        join(&mut state, &join_request(k, "default", FailureDomain::default())).unwrap();
    }
    let request = join_request(4, "default", FailureDomain::default());
    let JoinPlan::Propose(entries) = plan_join(&state, &request, Wall(5)).unwrap() else {
        panic!("not a member yet");
    };
    let alone = state.instance_by_name("default_2_1").unwrap().id;
    apply(&mut state, RingEntry::Expel { id: alone, force: true, at: Wall(5) }).unwrap();
    let rejected = apply(&mut state, entries.last().unwrap().clone()).unwrap_err();
    assert_eq!(rejected.state, SqlState::SerializationFailure);
    let id = join(&mut state, &request).unwrap();
    assert_eq!(state.instances[&id].name, "default_3_1");
}

#[test]
fn one_that_holds_no_rows_is_replaced_though_it_is_alone() {
    let set_of =
        |state: &RingState, id| state.replicasets[&state.instances[&id].replicaset].name.clone();
    // It says nothing of a set, or names the one it founded, at every start.
    for (set, sets) in [
        (None, ["default_2", "default_3", "default_4"]),
        (Some("default_2"), ["default_2", "default_3", "default_4"]),
        (Some("rows"), ["rows", "default_2", "default_3"]),
    ] {
        let mut state = cluster(1, "");
        let again = |k: u64| JoinRequest {
            replicaset_name: set.map(str::to_owned),
            endpoints: join_request(2, "default", FailureDomain::default()).endpoints,
            ..join_request(k, "default", FailureDomain::default())
        };
        let mut ids = Vec::new();
        for k in 2..5 {
            let id = join(&mut state, &again(k)).unwrap();
            set_online(&mut state, id);
            ids.push(id);
        }
        assert_eq!(ids.iter().map(|id| set_of(&state, *id)).collect::<Vec<_>>(), sets);
        let members = ids.iter().map(|id| state.instances[id].is_member());
        assert_eq!(members.collect::<Vec<_>>(), [false, false, true], "{set:?}");
    }
}

/// What somebody asks for who is to join: it was instance 2, alone or not, or was never here.
struct Comeback {
    factor: u8,
    /// The replica set that instance 2 founded, or joined.
    first: &'static str,
    /// Others in it.
    companions: u64,
    /// What the newcomer asks for.
    set: Option<&'static str>,
    /// Whether it has the address of instance 2, and whether it says that it was this instance.
    has_address: bool,
    replaces: bool,
    /// Where it goes if nothing comes in between.
    goes_to: &'static str,
}

impl Comeback {
    fn new(factor: u8, first: &'static str, goes_to: &'static str) -> Comeback {
        let set = Some(first);
        let (has_address, replaces) = (true, false);
        Comeback { factor, first, companions: 0, set, has_address, replaces, goes_to }
    }

    /// The first replica set is full, and the other has instance 2 and its companions.
    fn state(&self) -> RingState {
        let mut state = cluster(self.factor, "");
        for k in 0..u64::from(self.factor) - 1 {
            let other = join_request(30 + k, "default", FailureDomain::default());
            join(&mut state, &other).unwrap();
        }
        for k in (2..3).chain((0..self.companions).map(|k| 20 + k)) {
            let request = JoinRequest {
                replicaset_name: Some(self.first.to_owned()),
                ..join_request(k, "default", FailureDomain::default())
            };
            let id = join(&mut state, &request).unwrap();
            set_online(&mut state, id);
        }
        state
    }

    fn request(&self, k: u64) -> JoinRequest {
        let place = if self.has_address { 2 } else { 5 };
        JoinRequest {
            replicaset_name: self.set.map(str::to_owned),
            endpoints: join_request(place, "default", FailureDomain::default()).endpoints,
            replaces: self.replaces.then(|| uuid(102)),
            ..join_request(k, "default", FailureDomain::default())
        }
    }
}

#[test]
fn whatever_part_of_a_join_is_applied_when_it_is_planned_anew_it_ends_in_its_place() {
    let alone = |factor| Comeback::new(factor, "rows", "default_2");
    let with = |companions| Comeback { companions, ..Comeback::new(3, "rows", "rows") };
    let all = [
        alone(1),
        alone(3),
        Comeback { replaces: true, has_address: false, ..alone(3) },
        Comeback { set: None, ..alone(1) },
        Comeback { set: None, ..alone(3) },
        Comeback { set: Some("storage"), goes_to: "storage", ..alone(1) },
        with(1),
        Comeback { set: None, ..with(1) },
        Comeback { replaces: true, has_address: false, set: None, ..with(2) },
        // It was never here.
        Comeback { has_address: false, set: Some("storage"), goes_to: "storage", ..alone(1) },
        Comeback { has_address: false, set: None, goes_to: "rows", ..alone(3) },
    ];
    for (case, comeback) in all.iter().enumerate() {
        let JoinPlan::Propose(entries) =
            plan_join(&comeback.state(), &comeback.request(3), Wall(5)).unwrap()
        else {
            panic!("not a member yet");
        };
        for applied in 0..=entries.len() {
            for (another_joins, starts_again) in
                [(false, false), (true, false), (false, true), (true, true)]
            {
                let context = format!(
                    "case {case}, {applied} of {} entries, another joins: {another_joins}, starts again: \
                     {starts_again}",
                    entries.len()
                );
                let mut state = comeback.state();
                for entry in &entries[..applied] {
                    apply(&mut state, entry.clone()).unwrap();
                }
                if another_joins {
                    let another = join_request(40, "default", FailureDomain::default());
                    join(&mut state, &another).unwrap();
                }
                let request = comeback.request(if starts_again { 4 } else { 3 });
                join(&mut state, &request).unwrap_or_else(|error| panic!("{context}: {error}"));
                let newcomer = state.instances.values().find(|i| i.uuid == request.uuid).unwrap();
                assert!(newcomer.is_member(), "{context}");
                let there = |i: &&Instance| i.is_member() && i.endpoints == request.endpoints;
                assert_eq!(state.instances.values().filter(there).count(), 1, "{context}");
                let old = state.instances.values().find(|i| i.uuid == uuid(102)).unwrap();
                let stays = !comeback.has_address && !comeback.replaces;
                assert_eq!(old.is_member(), stays, "{context}");
                if !another_joins && !starts_again {
                    let set = &state.replicasets[&newcomer.replicaset];
                    assert_eq!(set.name, comeback.goes_to, "{context}");
                    let unused = state.replicasets.values().find(|set| set.founder.is_none());
                    assert_eq!(unused, None, "{context}");
                }
            }
        }
    }
}

#[test]
fn one_that_is_expelled_already_goes_where_it_was_though_an_earlier_set_has_room() {
    let back = Comeback { companions: 1, set: None, ..Comeback::new(3, "rows", "rows") };
    let stranger = Comeback {
        companions: 1,
        set: None,
        has_address: false,
        ..Comeback::new(3, "rows", "default_1")
    };
    for comeback in [back, stranger] {
        let mut state = comeback.state();
        for name in ["default_1_3", "rows_1"] {
            let id = state.instance_by_name(name).unwrap().id;
            apply(&mut state, RingEntry::Expel { id, force: true, at: Wall(5) }).unwrap();
        }
        let id = join(&mut state, &comeback.request(3)).unwrap();
        let set = &state.replicasets[&state.instances[&id].replicaset];
        assert_eq!(set.name, comeback.goes_to);
    }
}

#[test]
fn one_that_was_the_last_of_a_set_stays_with_those_it_was_with_since() {
    let mut state = cluster(2, "");
    join(&mut state, &join_request(30, "default", FailureDomain::default())).unwrap();
    let again = |k: u64| JoinRequest {
        replicaset_name: Some("rows".into()),
        endpoints: join_request(2, "default", FailureDomain::default()).endpoints,
        ..join_request(k, "default", FailureDomain::default())
    };
    let set_of =
        |state: &RingState, id| state.replicasets[&state.instances[&id].replicaset].name.clone();
    let mut sets = Vec::new();
    for k in 2..5 {
        let id = join(&mut state, &again(k)).unwrap();
        sets.push(set_of(&state, id));
        if k == 3 {
            let other =
                join(&mut state, &join_request(20, "default", FailureDomain::default())).unwrap();
            assert_eq!(set_of(&state, other), "default_2");
        }
    }
    assert_eq!(sets, ["rows", "default_2", "default_2"]);
    // Whoever was never in it is refused.
    let stranger = JoinRequest {
        endpoints: join_request(9, "default", FailureDomain::default()).endpoints,
        ..again(9)
    };
    let error = join(&mut state, &stranger).unwrap_err();
    assert_eq!(error.message, "replica set \"rows\" was expelled");
}

#[test]
fn asking_twice_gives_the_same_instance_and_an_expelled_one_stays_out() {
    let mut state = cluster(2, "");
    let request = join_request(2, "default", FailureDomain::default());
    let id = join(&mut state, &request).unwrap();
    assert_eq!(join(&mut state, &request).unwrap(), id);
    apply(&mut state, RingEntry::Expel { id, force: false, at: Wall(5) }).unwrap();
    let error = join(&mut state, &request).unwrap_err();
    assert_eq!(error.message, "instance default_1_2 was expelled");
}

#[test]
fn a_build_that_cannot_read_what_the_cluster_writes_is_refused() {
    let mut state = cluster(2, "");
    state.cluster.as_mut().unwrap().version = 2;
    let request = join_request(2, "default", FailureDomain::default());
    assert!(join(&mut state, &request).unwrap_err().message.contains("too old"));
}

#[test]
fn failure_domains_are_read_in_both_spellings() {
    let show = |text: &str| match parse_failure_domain(text) {
        Ok(domain) => format!("{:?}", domain.0),
        Err(error) => error.message,
    };
    assert_eq!(show(r#"{"dc": "dc1", "Rack": 7}"#), r#"{"DC": "dc1", "RACK": "7"}"#);
    assert_eq!(show("dc=dc1, rack=7"), r#"{"DC": "dc1", "RACK": "7"}"#);
    assert_eq!(show(""), "{}");
    assert_eq!(show("{}"), "{}");
    assert_eq!(show("dc"), "invalid failure domain: \"dc\" has no '='");
    assert_eq!(show("dc=a,DC=b"), "invalid failure domain: DC is given twice");
    assert_eq!(show("dc="), "invalid failure domain: \"\" is not a label");
    assert!(show("{\"dc\": [1]}").contains("neither text nor a number"));
    assert!(show("{\"dc\"").starts_with("invalid failure domain: "));
}

#[test]
fn tiers_are_checked_before_the_cluster_starts() {
    let tier = |name: &str| Tier { name: name.into(), ..Tier::default_with_factor(1) };
    let plain = |name: &str| Tier { is_default: false, ..tier(name) };
    let mut two = [plain("hot"), plain("default")];
    check_tiers(&mut two).unwrap();
    assert_eq!(two.map(|t| t.is_default), [false, true]);
    assert!(check_tiers(&mut [tier("a"), tier("b")]).is_err());
    assert!(check_tiers(&mut [plain("a"), plain("a")]).is_err());
    assert!(check_tiers(&mut [Tier { can_vote: false, ..tier("a") }]).is_err());
    assert!(check_tiers(&mut [Tier { replication_factor: 0, ..tier("a") }]).is_err());
}

fn candidate(id: u64, dc: &str, online: bool, votes_now: bool) -> VoterCandidate {
    let failure_domain = parse_failure_domain(&format!("dc={dc}")).unwrap();
    VoterCandidate { id: InstanceId(id), failure_domain, online, votes_now }
}

fn ids(candidates: &[VoterCandidate]) -> Vec<u64> {
    choose_ring_voters(candidates).into_iter().map(|id| id.0).collect()
}

#[test]
fn voters_spread_over_data_centres() {
    let on = |id, dc| candidate(id, dc, true, false);
    assert_eq!(ids(&[on(1, "a")]), [1]);
    assert_eq!(ids(&[on(1, "a"), on(2, "a")]), [1, 2]);
    assert_eq!(ids(&[on(1, "a"), on(2, "a"), on(3, "b"), on(4, "c")]), [1, 3, 4]);
    assert_eq!(
        ids(&[on(1, "a"), on(2, "a"), on(3, "a"), on(4, "b"), on(5, "b"), on(6, "c")]),
        [1, 2, 4, 5, 6]
    );
}

#[test]
fn an_offline_voter_is_replaced_only_if_somebody_can_take_over() {
    let three = [
        candidate(1, "a", true, true),
        candidate(2, "b", false, true),
        candidate(3, "c", true, true),
    ];
    assert_eq!(ids(&three), [1, 2, 3]);
    let mut four = three.to_vec();
    four.push(candidate(4, "c", true, false));
    assert_eq!(ids(&four), [1, 3, 4]);
}

fn candidates() -> impl Strategy<Value = Vec<VoterCandidate>> {
    proptest::collection::vec((0..3usize, any::<bool>(), any::<bool>()), 0..9).prop_map(|all| {
        let one = |(k, (dc, online, votes)): (usize, (usize, bool, bool))| {
            candidate(k as u64 + 1, ["a", "b", "c"][dc], online, votes)
        };
        all.into_iter().enumerate().map(one).collect()
    })
}

/// Up to eight candidates, each in one of three data centres and one of three racks across them.
fn crossed_candidates() -> impl Strategy<Value = Vec<VoterCandidate>> {
    let one = (0..3u8, 0..3u8, any::<bool>(), any::<bool>());
    proptest::collection::vec(one, 1..9).prop_map(|all| {
        let place = |(k, (dc, rack, online, votes_now)): (usize, (u8, u8, bool, bool))| {
            let domain = format!("dc={dc},rack={rack}");
            VoterCandidate {
                id: InstanceId(k as u64 + 1),
                failure_domain: parse_failure_domain(&domain).unwrap(),
                online,
                votes_now,
            }
        };
        all.into_iter().enumerate().map(place).collect()
    })
}

/// Offline members and pairs that share a failure domain: fewer is better, in that order.
fn harm(
    candidates: &[VoterCandidate],
    set: &std::collections::BTreeSet<InstanceId>,
) -> (usize, usize) {
    let members: Vec<_> = candidates.iter().filter(|c| set.contains(&c.id)).collect();
    let mut pairs = 0;
    for (k, one) in members.iter().enumerate() {
        let shares =
            |other: &&&VoterCandidate| other.failure_domain.shares_with(&one.failure_domain);
        pairs += members[k + 1..].iter().filter(shares).count();
    }
    (members.iter().filter(|c| !c.online).count(), pairs)
}

proptest! {
    // A set of the right size is drawn rarely, one that only a careless choice would change even less.
    #![proptest_config(ProptestConfig::with_cases(50_000))]
    #[test]
    fn voters_are_only_changed_for_better_ones(all in crossed_candidates()) {
        let now: std::collections::BTreeSet<_> =
            all.iter().filter(|c| c.votes_now).map(|c| c.id).collect();
        let chosen = choose_ring_voters(&all);
        if now.len() == voter_count(all.len()) && chosen != now {
            prop_assert!(harm(&all, &chosen) < harm(&all, &now), "{now:?} to {chosen:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_choice_of_voters_is_stable(mut all in candidates()) {
        let chosen = choose_ring_voters(&all);
        prop_assert_eq!(chosen.len(), voter_count(all.len()));
        for candidate in &mut all {
            candidate.votes_now = chosen.contains(&candidate.id);
        }
        prop_assert_eq!(choose_ring_voters(&all), chosen);
    }

    #[test]
    fn no_failure_domain_breaks_the_parser(text in "\\PC{0,40}") {
        let _ = parse_failure_domain(&text);
    }
}
