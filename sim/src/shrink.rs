//! Making a failing plan smaller while the same check still fails (Zeller's ddmin).
//!
//! In turn: the time after the failure, faults, operations, instances, and the length of what is left;
//! again until nothing goes. Streams are named after places, so leaving one thing out leaves the draws
//! of the rest as they were.

use std::time::Instant;

use crate::check::Check;
use crate::faults::Budget;
use crate::plan::{ClientPlan, Plan};
use crate::run::{Verdict, run};

/// A smaller plan and how it got there.
#[derive(Debug)]
pub struct Shrunk {
    pub plan: Plan,
    pub verdict: Verdict,
    pub runs: u32,
}

/// What shrinking may cost: so many runs, the last of them begun before `until`.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub runs: u32,
    pub until: Option<Instant>,
}

impl Bounds {
    fn are_reached(&self, runs: u32) -> bool {
        runs >= self.runs || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

struct Shrinker<'a> {
    check: Check,
    best: Plan,
    verdict: Verdict,
    runs: u32,
    bounds: Bounds,
    progress: &'a mut dyn FnMut(u32, &Plan),
}

/// Shrinks a plan whose run came to `verdict`. `None`: there is no failure that another run could show.
pub fn shrink(
    plan: &Plan,
    verdict: &Verdict,
    bounds: Bounds,
    progress: &mut dyn FnMut(u32, &Plan),
) -> Option<Shrunk> {
    let check = verdict.failure.as_ref()?.check;
    if check == Check::Determinism {
        return None;
    }
    let (best, verdict) = (plan.clone(), verdict.clone());
    let mut shrinker = Shrinker { check, best, verdict, runs: 0, bounds, progress };
    loop {
        let before = shrinker.best.clone();
        shrinker.cut_time();
        shrinker.drop_faults();
        shrinker.drop_operations();
        shrinker.drop_instances();
        shrinker.shorten_faults();
        shrinker.drop_knobs();
        if shrinker.best == before || bounds.are_reached(shrinker.runs) {
            break;
        }
    }
    Some(Shrunk { plan: shrinker.best, verdict: shrinker.verdict, runs: shrinker.runs })
}

impl Shrinker<'_> {
    /// Takes the candidate if the same check fails on it.
    fn attempt(&mut self, candidate: Plan) -> bool {
        if candidate == self.best || self.bounds.are_reached(self.runs) {
            return false;
        }
        if !candidate.beyond_budget
            && !Budget::is_survivable(&candidate.topology, &candidate.faults)
        {
            return false;
        }
        self.runs += 1;
        let verdict = run(&candidate);
        let same = verdict.failure.as_ref().is_some_and(|failure| failure.check == self.check);
        if same {
            self.best = candidate;
            self.verdict = verdict;
        }
        (self.progress)(self.runs, &self.best);
        same
    }

    fn cut_time(&mut self) {
        let mut chaos_ms = self.best.chaos_ms;
        while chaos_ms > 100 {
            chaos_ms /= 2;
            let mut candidate = self.best.clone();
            candidate.chaos_ms = chaos_ms;
            candidate.faults.retain(|fault| fault.at_ms < chaos_ms);
            if !self.attempt(candidate) {
                break;
            }
        }
    }

    fn drop_faults(&mut self) {
        let faults = self.best.faults.clone();
        self.minimise(faults, |plan, faults| plan.faults = faults);
    }

    fn drop_operations(&mut self) {
        let clients = self.best.clients.clone();
        self.minimise(clients.clone(), |plan, clients| plan.clients = clients);
        for k in 0..self.best.clients.len() {
            let ops = self.best.clients[k].ops.clone();
            self.minimise(ops, |plan, ops| plan.clients[k].ops = ops);
        }
        let mut candidate = self.best.clone();
        candidate.clients.retain(|client: &ClientPlan| !client.ops.is_empty());
        self.attempt(candidate);
    }

    /// Five instances, then three, then one; faults of those that went go too.
    fn drop_instances(&mut self) {
        for count in [1u16, 3] {
            if usize::from(count) >= self.best.topology.nodes.len() {
                continue;
            }
            let mut candidate = self.best.clone();
            candidate.topology.nodes.truncate(usize::from(count));
            candidate.topology.replication_factor =
                candidate.topology.replication_factor.min(count as u8);
            for fault in &mut candidate.faults {
                fault.nodes.retain(|node| *node < count);
                fault.peers.retain(|node| *node < count);
            }
            candidate.faults.retain(|fault| !fault.nodes.is_empty());
            candidate.core.retain(|node| *node < count);
            if self.attempt(candidate) {
                return;
            }
        }
    }

    fn shorten_faults(&mut self) {
        for k in 0..self.best.faults.len() {
            while let Some(for_ms) = self.best.faults[k].for_ms.filter(|ms| *ms > 10) {
                let mut candidate = self.best.clone();
                candidate.faults[k].for_ms = Some(for_ms / 2);
                if !self.attempt(candidate) {
                    break;
                }
            }
        }
    }

    fn drop_knobs(&mut self) {
        let mut candidate = self.best.clone();
        candidate.buggify = false;
        self.attempt(candidate);
        let mut candidate = self.best.clone();
        candidate.core.clear();
        self.attempt(candidate);
        let mut candidate = self.best.clone();
        candidate.founder_is_told_of_nobody = false;
        self.attempt(candidate);
        for k in 0..self.best.clients.len() {
            let mut candidate = self.best.clone();
            candidate.clients[k].followers = 0;
            self.attempt(candidate);
        }
        for name in self.best.limits.keys().cloned().collect::<Vec<_>>() {
            let mut candidate = self.best.clone();
            candidate.limits.remove(&name);
            self.attempt(candidate);
        }
    }

    /// ddmin: tries to leave out ever smaller chunks of a list.
    fn minimise<T: Clone>(&mut self, mut items: Vec<T>, set: impl Fn(&mut Plan, Vec<T>)) {
        let mut chunk = items.len();
        while chunk > 0 && !items.is_empty() {
            let mut at = 0;
            while at < items.len() {
                let mut fewer = items.clone();
                fewer.drain(at..(at + chunk).min(items.len()));
                let mut candidate = self.best.clone();
                set(&mut candidate, fewer.clone());
                if self.attempt(candidate) {
                    items = fewer;
                } else {
                    at += chunk;
                }
            }
            chunk /= 2;
        }
    }
}
