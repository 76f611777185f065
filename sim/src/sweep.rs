//! Many seeds on many threads, each world on a thread of its own.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::check::{Check, Failure};
use crate::faults::{Kind, Struck};
use crate::plan::Plan;
use crate::repeat::{Other, compare};
use crate::run::{Verdict, run};

/// One run of a sweep, without the weight of its history.
#[derive(Clone, Debug)]
pub struct Done {
    pub seed: u64,
    pub scenario: String,
    pub trace_hash: u64,
    pub failure: Option<Failure>,
    pub confirmed: u64,
}

/// What a sweep came to.
#[derive(Debug, Default)]
pub struct Summary {
    pub runs: Vec<Done>,
    pub simulated_ns: u128,
    pub events: u64,
    pub confirmed: u64,
    pub repeated: u64,
    pub wall_s: f64,
    pub marks: BTreeMap<&'static str, u64>,
    /// Faults of each kind in the plans, and how often they did something.
    pub planned: Struck,
    pub struck: Struck,
}

impl Summary {
    pub fn failures(&self) -> impl Iterator<Item = &Done> {
        self.runs.iter().filter(|done| done.failure.is_some())
    }

    /// Kinds that were planned and never did anything.
    pub fn idle(&self) -> Vec<Kind> {
        let is_idle = |kind: &Kind| self.planned.of(*kind) > 0 && self.struck.of(*kind) == 0;
        Kind::ALL.iter().copied().filter(is_idle).collect()
    }

    /// What was confirmed, and how fast: the line before the last.
    pub fn rates_line(&self) -> String {
        format!(
            "operations confirmed {}, a second: {:.0} simulated s, {:.0} events",
            self.confirmed,
            self.simulated_s() / self.wall_s,
            self.events as f64 / self.wall_s,
        )
    }

    /// The line that ends every sweep. Programs read it, so its form is fixed.
    pub fn last_line(&self) -> String {
        format!(
            "seeds {}, failures {}, simulated {:.2} h, wall {:.1} s, events {}, determinism checked {}",
            self.runs.len(),
            self.failures().count(),
            self.simulated_s() / 3600.0,
            self.wall_s,
            self.events,
            self.repeated,
        )
    }

    fn simulated_s(&self) -> f64 {
        self.simulated_ns as f64 / 1e9
    }

    /// A crash weighs more than a failed check, a failed check more than a missed deadline.
    pub fn exit_status(&self) -> u8 {
        let statuses = self.failures().filter_map(|done| done.failure.as_ref());
        let status = |failure: &Failure| failure.check.exit_status();
        statuses.map(status).max_by_key(|status| [0, 2, 1, 3][usize::from(*status)]).unwrap_or(0)
    }
}

/// Runs every plan; `each` hears of each run as it ends. Of the passes, one in ten is run again in
/// another process, and so is every failure.
pub fn sweep(
    plans: &[(u64, String)],
    make: &(dyn Fn(u64, &str) -> Plan + Sync),
    jobs: usize,
    other: Option<Other<'_>>,
    each: &(dyn Fn(&Plan, &Verdict) + Sync),
) -> Summary {
    let began = Instant::now();
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Done)>> = Mutex::default();
    let summary: Mutex<Summary> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let work = || {
                loop {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    let Some((seed, scenario)) = plans.get(k) else { return };
                    let plan = make(*seed, scenario);
                    let (verdict, repeated) = run_and_compare(&plan, other);
                    each(&plan, &verdict);
                    add(&mut lock(&summary), &plan, &verdict, repeated);
                    lock(&results).push((k, done(&plan, verdict)));
                }
            };
            let worker = std::thread::Builder::new().stack_size(STACK_BYTES);
            worker.spawn_scoped(scope, work).expect("a thread can be made");
        }
    });
    let mut runs = results.into_inner().expect("no worker panics");
    runs.sort_by_key(|(k, _)| *k);
    let mut summary = summary.into_inner().expect("no worker panics");
    summary.runs = runs.into_iter().map(|(_, done)| done).collect();
    summary.wall_s = began.elapsed().as_secs_f64();
    summary
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no worker panics")
}

/// Statements nest deeply.
const STACK_BYTES: usize = 16 << 20;

/// Runs a plan, and some once more in a process that has run no other: nothing of an earlier world may be
/// left on a thread.
fn run_and_compare(plan: &Plan, other: Option<Other<'_>>) -> (Verdict, bool) {
    let mut verdict = run(plan);
    let wanted = verdict.failure.is_some() || plan.seed.is_multiple_of(10);
    let Some(other) = other.filter(|_| wanted) else { return (verdict, false) };
    if let Err(message) = compare(plan, &verdict, other) {
        verdict.story.push(format!("FAILED determinism: {message}"));
        verdict.failure = Some(Failure::new(Check::Determinism, message));
    }
    (verdict, true)
}

fn add(summary: &mut Summary, plan: &Plan, verdict: &Verdict, repeated: bool) {
    plan.faults.iter().for_each(|fault| summary.planned.note(fault.kind));
    summary.struck.add(&verdict.struck);
    summary.simulated_ns += u128::from(verdict.simulated_ns);
    summary.events += verdict.events;
    summary.confirmed += verdict.confirmed;
    summary.repeated += u64::from(repeated);
    for (mark, count) in &verdict.marks {
        *summary.marks.entry(mark).or_default() += count;
    }
}

fn done(plan: &Plan, verdict: Verdict) -> Done {
    Done {
        seed: plan.seed,
        scenario: plan.scenario.clone(),
        trace_hash: verdict.trace_hash,
        failure: verdict.failure,
        confirmed: verdict.confirmed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_has_the_form_that_programs_read() {
        let summary = Summary {
            simulated_ns: 7_200_000_000_000,
            events: 12,
            repeated: 3,
            wall_s: 1.26,
            ..Summary::default()
        };
        assert_eq!(
            summary.last_line(),
            "seeds 0, failures 0, simulated 2.00 h, wall 1.3 s, events 12, determinism checked 3"
        );
    }
}
