//! Unique ids: no value is handed out twice.

use crate::history::{Atom, History, OperationId, Outcome, StepKind};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, Statistics, Verdict};

/// Checks that all generated values are different.
///
/// # Errors
/// Where an operation generates nothing.
pub fn check_unique_ids(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    let mut given: Vec<(Atom, OperationId)> = Vec::new();
    for (id, operation) in history.operations() {
        for step in history.steps_of(operation) {
            if step.kind != StepKind::Generate {
                let words = history.describe(id);
                return Err(CheckError(format!("not a generated value: {words}")));
            }
            if operation.outcome == Outcome::Ok {
                given.push((step.atom(), id));
            }
        }
    }
    given.sort_unstable();
    let mut found = Vec::new();
    for pair in given.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() >= 2) {
        let operations: Vec<OperationId> = pair.iter().map(|(_, id)| *id).collect();
        let story = history.describe_all(&operations);
        found.push(Anomaly {
            kind: AnomalyKind::DuplicateId,
            operations,
            story,
            cycle: Vec::new(),
        });
    }
    let operations = history.operation_count();
    let statistics = Statistics { operations, keys: 1, ..Statistics::default() };
    Ok(Verdict::new(found, options, &[], statistics))
}
