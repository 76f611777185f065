//! Sweeps over the toys: sound ones pass, each planted bug is found, and runs repeat.

use crate::check::Check;
use crate::run::{run, subject};
use crate::scenario::{SCENARIOS, Scenario, plan};
use crate::toy::BUGS;

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
        assert!(names.contains(fitting), "{bug}: expected {fitting}, found {names:?}");
    }
}
