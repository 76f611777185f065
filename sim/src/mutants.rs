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

/// How a mutant fared.
#[derive(Clone, Debug)]
pub struct Caught {
    pub mutant: Mutant,
    /// Seeds run until it was caught; `None` if it never was.
    pub seeds: Option<u64>,
    pub check: Option<&'static str>,
    pub message: String,
}

/// The bugs of a subject.
pub fn mutants(subject: &str) -> Vec<Mutant> {
    if subject.starts_with("toy-") {
        return toy::BUGS.iter().map(|(name, fitting)| Mutant { name, fitting }).collect();
    }
    Canary::ALL.iter().map(|(canary, fitting)| Mutant { name: canary.name(), fitting }).collect()
}

/// Runs seeds, one scenario after the other, until the mutant is caught.
pub fn hunt(
    mutant: Mutant,
    seeds: u64,
    scenarios: &[&str],
    make: &dyn Fn(u64, &str) -> Plan,
) -> Caught {
    for seed in 0..seeds {
        let scenario = scenarios[seed as usize % scenarios.len()];
        let mut plan = make(seed, scenario);
        plan.canaries = vec![mutant.name.to_owned()];
        if let Some(failure) = run(&plan).failure {
            let message = format!("{scenario} seed {seed}: {}", failure.message);
            let check = Some(failure.check.name());
            return Caught { mutant, seeds: Some(seed + 1), check, message };
        }
    }
    Caught { mutant, seeds: None, check: None, message: String::new() }
}
