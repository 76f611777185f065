//! Planting each known bug, to see in how many seeds and by which check it is caught.

use basalt_core::seam::probe::Canary;

use crate::plan::Plan;
use crate::run::run;
use crate::toy;

/// A bug that can be planted in a subject, and the checks that may find it, separated by spaces.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    pub name: &'static str,
    pub fitting: &'static str,
}

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
    if subject.starts_with("toy-") {
        return toy::BUGS.iter().map(|(name, fitting)| Mutant { name, fitting }).collect();
    }
    Canary::ALL.iter().map(|(canary, fitting)| Mutant { name: canary.name(), fitting }).collect()
}

/// Runs seeds, one scenario after the other, until a fitting check catches the mutant.
pub fn hunt(
    mutant: Mutant,
    seeds: u64,
    scenarios: &[&str],
    make: &dyn Fn(u64, &str) -> Plan,
) -> Caught {
    let mut caught = Caught { mutant, before: None, by_fitting: None };
    for seed in 0..seeds {
        let scenario = scenarios[seed as usize % scenarios.len()];
        let mut plan = make(seed, scenario);
        plan.canaries = vec![mutant.name.to_owned()];
        let Some(failure) = run(&plan).failure else { continue };
        let check = failure.check.name();
        let message = format!("{scenario} seed {seed}: {}", failure.message);
        let catch = Catch { seeds: seed + 1, check, message };
        if mutant.fits(check) {
            caught.by_fitting = Some(catch);
            break;
        }
        caught.before.get_or_insert(catch);
    }
    caught
}
