//! What a check found, and what that says about the database.

mod anomaly;
mod model;

use std::fmt;

pub use anomaly::{Anomaly, AnomalyKind, CycleClass, CycleEdge, EdgeReason, Family};
pub use model::Model;

/// How a check should run.
#[derive(Clone, Copy, Debug)]
pub struct CheckOptions {
    /// Threads to use; the verdict does not depend on it.
    pub threads: usize,
    /// How many anomalies of one kind are explained; all are counted.
    pub examples_max: usize,
}

impl Default for CheckOptions {
    fn default() -> CheckOptions {
        CheckOptions { threads: 1, examples_max: 4 }
    }
}

/// The history does not fit the model it was to be checked against.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CheckError(pub String);

/// Sizes of what was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    pub operations: usize,
    pub keys: usize,
    /// Dependencies between operations; none for models without a graph.
    pub edges: usize,
    /// Strongly connected components of more than one operation.
    pub components: usize,
}

/// The result of one check.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// Worst first; at most `examples_max` of a kind.
    pub anomalies: Vec<Anomaly>,
    /// How often each kind was found, worst first.
    pub counts: Vec<(AnomalyKind, usize)>,
    /// The strongest models that nothing found rules out. Empty for checks that say nothing about
    /// isolation.
    pub strongest: Vec<Model>,
    /// The weakest models that are ruled out. Every stronger one is too.
    pub ruled_out: Vec<Model>,
    pub statistics: Statistics,
    /// Dependencies between the readers and the writers of one version that were too many to look
    /// at; an anomaly that only they show may be missed.
    pub edges_left_out: usize,
}

impl Verdict {
    /// Sorts what was found and draws the line between surviving and impossible models.
    /// `candidates` are the models the check can speak about.
    pub(crate) fn new(
        found: Vec<Anomaly>,
        options: &CheckOptions,
        candidates: &[Model],
        statistics: Statistics,
    ) -> Verdict {
        let mut found = found;
        found.sort_by(|a, b| a.kind.cmp(&b.kind).then_with(|| a.operations.cmp(&b.operations)));
        let mut verdict = Verdict { statistics, ..Verdict::default() };
        for anomaly in found {
            match verdict.counts.last_mut() {
                Some((kind, count)) if *kind == anomaly.kind => *count += 1,
                _ => verdict.counts.push((anomaly.kind, 1)),
            }
            let count = verdict.counts.last().map_or(0, |(_, count)| *count);
            if count <= options.examples_max {
                verdict.anomalies.push(anomaly);
            }
        }
        let kinds: Vec<AnomalyKind> = verdict.counts.iter().map(|(kind, _)| *kind).collect();
        (verdict.strongest, verdict.ruled_out) = model::boundary(&kinds, candidates);
        verdict
    }

    /// Whether nothing at all was found.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// Whether nothing was found that `model` forbids.
    pub fn satisfies(&self, model: Model) -> bool {
        self.counts.iter().all(|(kind, _)| !model.forbids(*kind))
    }

    /// The names of what was found, worst first.
    pub fn names(&self) -> Vec<&'static str> {
        self.counts.iter().map(|(kind, _)| kind.name()).collect()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.counts {
            writeln!(f, "{} ({count}): {}", kind.name(), kind.meaning())?;
            for anomaly in self.anomalies.iter().filter(|anomaly| anomaly.kind == *kind) {
                write!(f, "{anomaly}")?;
            }
        }
        if self.edges_left_out > 0 {
            writeln!(
                f,
                "left out: {} dependencies on versions that very many read and very many wrote over",
                self.edges_left_out
            )?;
        }
        let names = |models: &[Model]| {
            models.iter().map(|model| model.name()).collect::<Vec<_>>().join(", ")
        };
        if !self.ruled_out.is_empty() {
            writeln!(f, "ruled out: {} and all stronger", names(&self.ruled_out))?;
        }
        if !self.strongest.is_empty() {
            writeln!(f, "not ruled out: {} and all weaker", names(&self.strongest))?;
        }
        Ok(())
    }
}
