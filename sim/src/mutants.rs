//! Planting each known bug, to see in how many seeds and by which check it is caught.

use basalt_core::seam::probe::Canary;

use crate::plan::Plan;
use crate::run::run;
use crate::scenario::SCENARIOS;
use crate::toy;

/// A bug that can be planted in a subject, the scenario in which it shows soonest, and the checks that
/// may find it, separated by spaces.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    pub name: &'static str,
    pub home: &'static str,
    pub fitting: &'static str,
}

/// Where each bug shows soonest; those not named are at home in `everything`.
const HOMES: &[(&str, &[&str])] = &[
    (
        "disk",
        &[
            "AckBeforeCommit",
            "AckBeforePersist",
            "IgnoreSyncError",
            "IgnoreBatchChecksum",
            "KeepIdentity",
            "KeepHold",
        ],
    ),
    ("net", &["AckAfterLosingLead", "KeepSpeculation", "CarryOutTwice", "SliceReadsNewest"]),
    ("clock", &["KeepLeaseOnTransfer"]),
    ("dc3", &["ServeOldCatalog"]),
    // It takes statements over many rows.
    ("calm-big", &["SliceWritesBlindly", "RunOldPlan"]),
];

impl Mutant {
    /// Whether it is this check's business to find the bug.
    pub fn fits(&self, check: &str) -> bool {
        self.fitting.split(' ').any(|name| name == check)
    }
}

/// A seed that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Catch {
    /// Seeds run until then, this one included.
    pub seeds: u64,
    pub check: &'static str,
    pub message: String,
}

/// How a mutant fared.
#[derive(Clone, Debug)]
pub struct Caught {
    pub mutant: Mutant,
    /// The first failure, where a check found it whose business it is not: a crash, say.
    pub before: Option<Catch>,
    /// The first failure by a fitting check.
    pub by_fitting: Option<Catch>,
}

/// The bugs of a subject.
pub fn mutants(subject: &str) -> Vec<Mutant> {
    let of = |name: &'static str, fitting: &'static str| {
        let home = HOMES.iter().find(|(_, names)| names.contains(&name));
        Mutant { name, home: home.map_or("everything", |(scenario, _)| scenario), fitting }
    };
    if subject.starts_with("toy-") {
        return toy::BUGS.iter().map(|(name, fitting)| of(name, fitting)).collect();
    }
    Canary::ALL.iter().map(|(canary, fitting)| of(canary.name(), fitting)).collect()
}

/// Runs `seeds` seeds of the mutant's home, then as many of all other scenarios together, each in turn,
/// until a fitting check catches it.
pub fn hunt(mutant: Mutant, seeds: u64, make: &dyn Fn(u64, &str) -> Plan) -> Caught {
    let mut caught = Caught { mutant, before: None, by_fitting: None };
    let others = SCENARIOS.iter().map(|s| s.name).filter(|name| *name != mutant.home);
    let others: Vec<&str> = others.collect();
    let elsewhere = (0..seeds).zip(others.into_iter().cycle());
    let places = (0..seeds).map(|seed| (seed, mutant.home)).chain(elsewhere);
    for ((seed, scenario), count) in places.zip(1..) {
        let mut plan = make(seed, scenario);
        plan.canaries = vec![mutant.name.to_owned()];
        let Some(failure) = run(&plan).failure else { continue };
        let check = failure.check.name();
        let message = format!("{scenario} seed {seed}: {}", failure.message);
        let catch = Catch { seeds: count, check, message };
        if mutant.fits(check) {
            caught.by_fitting = Some(catch);
            break;
        }
        caught.before.get_or_insert(catch);
    }
    caught
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;

    #[test]
    fn every_home_is_a_scenario_and_every_bug_in_it_exists() {
        let all = mutants("basalt");
        for (scenario, names) in HOMES {
            assert!(Scenario::by_name(scenario).is_some(), "{scenario}");
            let unknown = names.iter().find(|name| !all.iter().any(|mutant| mutant.name == **name));
            assert_eq!(unknown, None, "no bug has this name");
        }
    }
}
