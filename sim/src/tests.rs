//! Sweeps over the toys: sound ones pass, each planted bug is found, and runs repeat.

use std::process::Command;

use crate::check::Check;
use crate::faults::Kind;
use crate::mutants::{hunt, mutants};
use crate::plan::{Fault, Plan};
use crate::repeat::{ECHO_PREFIX, Window, compare, echo};
use crate::run::{run, subject};
use crate::scenario::{SCENARIOS, Scenario, plan};
use crate::shrink::{Bounds, shrink};
use crate::toy::BUGS;
use crate::workload::{Entry, Op, Outcome};

fn toy_plan(scenario: &str, seed: u64) -> crate::plan::Plan {
    let scenario = Scenario::by_name(scenario).expect("a scenario of that name");
    plan(scenario, seed, subject("toy-quorum").expect("the toy"))
}

#[test]
fn a_sound_toy_passes_every_scenario() {
    let mut confirmed = 0;
    for scenario in SCENARIOS {
        for seed in 0..12 {
            let verdict = run(&toy_plan(scenario.name, seed));
            let story = verdict.story.join("\n");
            assert_eq!(verdict.failure, None, "{} seed {seed}\n{story}", scenario.name);
            confirmed += verdict.confirmed;
        }
    }
    assert!(confirmed > 10_000, "{confirmed} operations confirmed in all");
}

#[test]
fn the_same_plan_gives_the_same_trace() {
    for seed in 0..8 {
        let plan = toy_plan("everything", seed);
        let (a, b) = (run(&plan), run(&plan));
        assert_eq!(a.trace_hash, b.trace_hash);
        assert_eq!(a.checkpoints, b.checkpoints);
        assert_ne!(a.trace_hash, run(&toy_plan("everything", seed + 100)).trace_hash);
    }
}

#[test]
fn each_planted_bug_is_found_by_a_fitting_check() {
    for (bug, fitting) in BUGS {
        let mut found = Vec::new();
        for seed in 0..60 {
            for scenario in ["everything", "disk", "net"] {
                let mut plan = toy_plan(scenario, seed);
                plan.canaries = vec![(*bug).to_owned()];
                found.extend(run(&plan).failure.map(|failure| failure.check));
            }
            if found.len() >= 2 {
                break;
            }
        }
        let names: Vec<_> = found.iter().map(|check: &Check| check.name()).collect();
        let is_found = fitting.split(' ').any(|name| names.contains(&name));
        assert!(is_found, "{bug}: expected {fitting}, found {names:?}");
    }
}

const SEEDS_MAX: u64 = 100;

/// Each in its home, where it shows soonest.
#[test]
fn each_planted_bug_of_the_database_is_found_by_a_fitting_check() {
    let abilities = subject("basalt").expect("the database");
    let make = |seed: u64, name: &str| plan(Scenario::by_name(name).unwrap(), seed, abilities);
    let mut missed = Vec::new();
    for mutant in mutants("basalt") {
        let caught = hunt(mutant, SEEDS_MAX, &make);
        println!("{:<20} {:<10} {:?}", mutant.name, mutant.home, caught.by_fitting);
        if caught.by_fitting.is_none_or(|catch| catch.seeds > SEEDS_MAX) {
            missed.push(format!("{} in {}, but {:?}", mutant.name, mutant.home, caught.before));
        }
    }
    assert!(missed.is_empty(), "missed within {SEEDS_MAX} seeds:\n{}", missed.join("\n"));
}

/// The scenarios of the database, eight seeds each.
#[test]
fn the_database_passes_every_scenario() {
    let plans: Vec<(u64, String)> =
        SCENARIOS.iter().flat_map(|s| (0..8).map(|seed| (seed, s.name.to_owned()))).collect();
    let abilities = subject("basalt").expect("the database");
    let make = |seed: u64, name: &str| plan(Scenario::by_name(name).unwrap(), seed, abilities);
    let failures = std::sync::Mutex::new(Vec::new());
    let each = |plan: &crate::plan::Plan, verdict: &crate::run::Verdict| {
        if verdict.failure.is_some() {
            let nowhere = std::path::Path::new("no bundle is written");
            failures.lock().unwrap().push(crate::report::describe(plan, verdict, nowhere));
        }
    };
    let summary = crate::sweep::sweep(&plans, &make, 2, Some(&other), &each);
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}\n{}", failures.join("\n"), summary.last_line());
    assert!(summary.confirmed > 10_000, "{}", summary.last_line());
}

/// Plans that found what hardly any other does.
const RARE: [(&str, u64); 8] = [
    // A snapshot's file was gone before a slow follower had pulled it.
    ("everything", 1484),
    // A new leader cut the log of the ring under a member with a full disk, which led the rows.
    ("forever", 501),
    // A name given up twice before the ring was heard of.
    ("everything", 1001),
    // A replica set without buckets that has no leader any more, and is asked to follow the schema.
    ("everything", 1345),
    // A full disk for which a snapshot is opened again and again.
    ("forever", 1299),
    // A disk that stalls for good under the only instance of a replica set, which is asked to follow the
    // schema.
    ("disk", 961_493),
    // An instance of the core that has not joined, and gets a place where nobody heals.
    ("dc3", 1749),
    // The offer of a snapshot lost, and then the word that it was taken over.
    ("dc3", 1937),
];

#[test]
fn plans_that_found_something_rare_find_it_no_more() {
    let abilities = subject("basalt").expect("the database");
    for (name, seed) in RARE {
        let plan = plan(Scenario::by_name(name).expect("a scenario"), seed, abilities);
        let verdict = run(&plan);
        assert_eq!(verdict.failure, None, "{name} {seed}\n{}", verdict.story.join("\n"));
    }
}

/// Where memory is full, growth is refused and nothing else; what was deleted makes room.
#[test]
fn the_database_refuses_what_it_has_no_memory_for_and_goes_on() {
    let abilities = subject("basalt").expect("the database");
    let scenario = Scenario::by_name("calm-big").expect("a scenario of that name");
    let deletes = |plan: &Plan| {
        let ops = plan.clients.iter().flat_map(|client| &client.ops);
        ops.filter(|op| matches!(op, Op::ItemDelete { .. })).count()
    };
    let plans = (0..1_000).map(|seed| plan(scenario, seed, abilities));
    let mut gone_on = 0;
    for mut plan in plans.filter(|plan| plan.tight().is_none() && deletes(plan) > 10).take(8) {
        plan.limits.insert("memory_bytes".to_owned(), 44 << 10);
        let verdict = run(&plan);
        assert_eq!(verdict.failure, None, "seed {}", plan.seed);
        let entries = &verdict.history.entries;
        let after = |from: usize, fits: &dyn Fn(&Entry) -> bool| {
            entries[from..].iter().position(fits).map(|at| from + at)
        };
        let is_refused =
            |e: &Entry| matches!(&e.outcome, Outcome::Fail(why) if why.starts_with("53200"));
        let is_deleted = |e: &Entry| {
            matches!(e.op, Op::ItemDelete { .. }) && e.outcome == Outcome::Ok(vec![(1, None)])
        };
        let is_added = |e: &Entry| e.op.rows_added() > 0 && matches!(e.outcome, Outcome::Ok(_));
        let more = entries.iter().find(|e| is_refused(e) && !e.op.adds());
        assert_eq!(more.map(|e| e.op), None, "seed {}: refused for want of room", plan.seed);
        let deleted = after(0, &is_refused).and_then(|at| after(at, &is_deleted));
        let added = deleted.and_then(|at| after(at, &is_added));
        gone_on += u32::from(added.is_some());
    }
    assert!(gone_on > 1, "{gone_on} of 8 plans were refused, deleted and went on");
}

/// With a damaged log it asks those it has written down; with a wiped disk those it is given then.
/// Plans of scenario `disk` for a replica set of three, in which everything heals.
fn plans_of_three() -> impl Iterator<Item = Plan> {
    let abilities = subject("basalt").expect("the database");
    let scenario = Scenario::by_name("disk").expect("a scenario of that name");
    let all = (0..).map(move |seed| Plan { core: Vec::new(), ..plan(scenario, seed, abilities) });
    all.filter(|plan| plan.topology.copies() == 3 && plan.topology.nodes.len() == 3)
}

#[test]
fn a_leader_whose_disk_hangs_makes_way_and_is_back_when_it_goes_on() {
    const MADE_WAY: &str = "group: a leader whose disk hangs makes way";
    let mut made_way = 0;
    for mut plan in plans_of_three().take(6) {
        // Elections as usual: the disk hangs for twice as long as a leader waits.
        plan.limits.retain(|name, _| !name.contains("tick"));
        for node in 0..3 {
            plan.faults = vec![Fault {
                kind: Kind::DiskStall,
                at_ms: 100,
                for_ms: Some(5_000),
                nodes: vec![node],
                peers: Vec::new(),
                amount: 1,
            }];
            let verdict = run(&plan);
            assert_eq!(verdict.failure, None, "seed {}\n{}", plan.seed, verdict.story.join("\n"));
            made_way += verdict.marks.get(MADE_WAY).copied().unwrap_or(0).min(1);
        }
    }
    assert!(made_way > 3, "{made_way} of 18");
}

#[test]
fn a_founder_that_is_told_of_nobody_comes_back() {
    const ASKED: &str = "boot: the others are known from the list of members only";
    let fault = |kind: Kind, at_ms: u64, amount: u64| {
        let (for_ms, nodes, peers) = (Some(200), vec![0], Vec::new());
        Fault { kind, at_ms, for_ms, nodes, peers, amount }
    };
    // Few enough to leave the list of members alone, as a rule, and enough to hit the log.
    let rots = [fault(Kind::DiskBitRot, 500, 4), fault(Kind::ProcessKill, 600, 1)];
    let is_wiped = [fault(Kind::ProcessWiped, 600, 1)];
    let mut asked = [0; 3];
    for mut plan in plans_of_three().take(12) {
        let ways = [(true, rots.to_vec()), (false, rots.to_vec()), (true, is_wiped.to_vec())];
        for ((told_of_nobody, faults), asked) in ways.into_iter().zip(&mut asked) {
            plan.founder_is_told_of_nobody = told_of_nobody;
            plan.faults = faults;
            let verdict = run(&plan);
            assert_eq!(verdict.failure, None, "seed {}\n{}", plan.seed, verdict.story.join("\n"));
            *asked += verdict.marks.get(ASKED).copied().unwrap_or(0).min(1);
        }
    }
    assert!(asked[0] > 2 && asked[1..] == [0, 0], "plans in which they were asked: {asked:?}");
}

/// This test binary again, as the process that repeats a plan.
fn other(window: Option<Window>) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the test has a path"));
    command.args(["--exact", "tests::repeats_a_plan_when_asked_to", "--nocapture"]);
    command.env_clear().env("BASALT_SIM_ECHO", serde_json::to_string(&window).unwrap());
    command
}

#[test]
fn repeats_a_plan_when_asked_to() {
    let Ok(window) = std::env::var("BASALT_SIM_ECHO") else { return };
    let text = std::io::read_to_string(std::io::stdin()).unwrap();
    let mut plan = crate::plan::Plan::from_json(&text).unwrap();
    if plan.canaries.iter().any(|name| name == "test-other-process-differs") {
        plan.faults.clear();
    }
    let echo = echo(&plan, serde_json::from_str(&window).unwrap());
    println!("\n{ECHO_PREFIX}{}", serde_json::to_string(&echo).unwrap());
}

#[test]
fn another_process_gives_the_same_trace_or_the_difference_is_found() {
    for seed in 0..3 {
        let plan = toy_plan("everything", seed);
        compare(&plan, &run(&plan), &other).unwrap();
    }
    let mut plan = toy_plan("net", 1);
    plan.canaries = vec!["test-other-process-differs".to_owned()];
    let difference = compare(&plan, &run(&plan), &other).unwrap_err();
    assert!(difference.contains("first divergent event is number"), "{difference}");
}

#[test]
fn a_failing_plan_shrinks_to_a_handful() {
    let mut plan = toy_plan("disk", 3);
    plan.canaries = vec!["toy-ack-before-sync".to_owned()];
    let bounds = Bounds { runs: 300, until: None };
    let shrunk = shrink(&plan, &run(&plan), bounds, &mut |_, _| {}).expect("the plan fails");
    let ops: usize = shrunk.plan.clients.iter().map(|client| client.ops.len()).sum();
    assert!(shrunk.plan.faults.len() <= 3, "{:?}", shrunk.plan.faults);
    assert!(ops <= 10, "{ops} operations");
    assert_eq!(shrunk.verdict.failure.map(|f| f.check), Some(Check::Linearizability));
}
