//! Long fork: every key is written once, and two reads must not see two writes in opposite orders.
//!
//! ```text
//!   T1 writes x    T2 writes y    T3 reads x, not y    T4 reads y, not x
//! ```
//!
//! That is what parallel snapshot isolation allows and snapshot isolation does not (Sovran et al.,
//! *Transactional storage for geo-replicated systems*, 2011). For each pair of keys the first read
//! of either kind is remembered, so a read of `k` keys costs `k²`.

use std::collections::BTreeMap;

use super::story::{found as anomaly, verdict};
use crate::history::{Atom, History, KeyId, OperationId, Outcome, PackedStep, StepKind};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, Statistics, Verdict};

/// Checks a history of single writes and of reads of several keys.
///
/// # Errors
/// Where a key is written twice, or an operation is neither a write nor a read.
pub fn check_long_fork(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    let mut written: Vec<Option<(OperationId, Atom)>> = vec![None; history.key_count()];
    for (id, operation) in history.operations() {
        for step in history.steps_of(operation) {
            let place = &mut written[step.key.0 as usize];
            match (step.kind, *place) {
                (StepKind::Read | StepKind::ReadUnknown, _) => {}
                (StepKind::Write, None) => *place = Some((id, step.atom())),
                (StepKind::Write, Some((before, _))) => {
                    let key = history.names.text(history.key_atom(step.key));
                    return Err(CheckError(format!(
                        "T{} and T{} both write {key}; a long-fork history writes each key once",
                        before.0, id.0
                    )));
                }
                _ => {
                    let words = history.describe(id);
                    return Err(CheckError(format!("neither a read nor a write: {words}")));
                }
            }
        }
    }
    let found = find(history, &written);
    let statistics = Statistics {
        operations: history.operation_count(),
        keys: history.key_count(),
        ..Statistics::default()
    };
    Ok(verdict(history, found, statistics, options, &|_, _, _| String::new()))
}

fn find(history: &History, written: &[Option<(OperationId, Atom)>]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    // The first operation that saw the write of one key and not that of the other.
    let mut seen: BTreeMap<(KeyId, KeyId), OperationId> = BTreeMap::new();
    for (id, operation) in history.operations() {
        if operation.outcome != Outcome::Ok {
            continue;
        }
        let steps = history.steps_of(operation);
        let reads = steps.iter().filter(|step| step.kind == StepKind::Read);
        let (with, without): (Vec<&PackedStep>, Vec<&PackedStep>) =
            reads.partition(|step| !step.atom().is_nil());
        for step in &with {
            let expected = written[step.key.0 as usize].map(|(_, value)| value);
            if expected != Some(step.atom()) {
                let words = format!("nobody wrote {}", history.names.text(step.atom()));
                found.push(anomaly(AnomalyKind::GarbageRead, vec![id], words));
            }
        }
        for (one, other) in with.iter().flat_map(|a| without.iter().map(move |b| (a.key, b.key))) {
            seen.entry((one, other)).or_insert(id);
            let Some(&opposite) = seen.get(&(other, one)) else { continue };
            let name = |key: KeyId| history.names.text(history.key_atom(key));
            let words = format!(
                "T{} saw {} without {}, and T{} saw {} without {}",
                opposite.0,
                name(other),
                name(one),
                id.0,
                name(one),
                name(other)
            );
            let writer = |key: KeyId| written[key.0 as usize].map(|(writer, _)| writer);
            let operations = [writer(one), writer(other), Some(opposite), Some(id)];
            let operations = operations.into_iter().flatten().collect();
            found.push(anomaly(AnomalyKind::LongFork, operations, words));
        }
    }
    found
}
