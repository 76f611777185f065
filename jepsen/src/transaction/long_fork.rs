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

use super::story::{anomaly, tell};
use crate::history::{Atom, History, KeyId, OperationId, Outcome, PackedStep, StepKind};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, Statistics, Verdict};

/// Checks a history of single writes and of reads of several keys.
///
/// # Errors
/// Where a key is written twice, or an operation is neither a write nor a read.
pub fn check_long_fork(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    let written = writes(history)?;
    let found = find(history, &written);
    let statistics = Statistics {
        operations: history.operation_count(),
        keys: history.key_count(),
        ..Statistics::default()
    };
    Ok(tell(history, found, statistics, options, &|_, _, _| String::new()))
}

/// The one write of a key.
#[derive(Clone, Copy)]
struct Written {
    by: OperationId,
    value: Atom,
}

/// The write of each key that has one. One that failed counts where no other follows.
fn writes(history: &History) -> Result<Vec<Option<Written>>, CheckError> {
    let mut written: Vec<Option<Written>> = vec![None; history.key_count()];
    let has_failed = |id: OperationId| history.operation(id).outcome == Outcome::Fail;
    for (id, operation) in history.operations() {
        for step in history.steps_of(operation) {
            let place = &mut written[step.key.0 as usize];
            match (step.kind, *place) {
                (StepKind::Read | StepKind::ReadUnknown, _) => {}
                (StepKind::Write, Some(before)) if !has_failed(before.by) && !has_failed(id) => {
                    let key = history.key_name(step.key);
                    return Err(CheckError(format!(
                        "T{} and T{} both write {key}; a long-fork history writes each key once",
                        before.by.0, id.0
                    )));
                }
                (StepKind::Write, Some(_)) if has_failed(id) => {}
                (StepKind::Write, _) => *place = Some(Written { by: id, value: step.atom() }),
                _ => {
                    let words = history.describe(id);
                    return Err(CheckError(format!("neither a read nor a write: {words}")));
                }
            }
        }
    }
    Ok(written)
}

/// Two keys of which one operation saw the write of the first and not that of the second.
type Pair = (KeyId, KeyId);

fn find(history: &History, written: &[Option<Written>]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    // The first operation that saw a pair; `None` once a fork of it was told.
    let mut seen: BTreeMap<Pair, Option<OperationId>> = BTreeMap::new();
    for (id, steps) in history.committed() {
        let reads = steps.iter().filter(|step| step.kind == StepKind::Read);
        let (with, without): (Vec<&PackedStep>, Vec<&PackedStep>) =
            reads.partition(|step| !step.atom().is_nil());
        found.extend(with.iter().filter_map(|step| unwritten(history, id, step, written)));
        for pair in with.iter().flat_map(|a| without.iter().map(move |b| (a.key, b.key))) {
            seen.entry(pair).or_insert(Some(id));
            let Some(opposite) = seen.get_mut(&(pair.1, pair.0)).and_then(Option::take) else {
                continue;
            };
            seen.insert(pair, None);
            found.push(fork(history, pair, [opposite, id], written));
        }
    }
    found
}

/// What is wrong with the value that was read, if it is not the one that was written.
fn unwritten(
    history: &History,
    id: OperationId,
    step: &PackedStep,
    written: &[Option<Written>],
) -> Option<Anomaly> {
    let text = history.names.text(step.atom());
    match written[step.key.0 as usize].filter(|written| written.value == step.atom()) {
        None => Some(anomaly(AnomalyKind::GarbageRead, vec![id], format!("nobody wrote {text}"))),
        Some(Written { by, .. }) if history.operation(by).outcome == Outcome::Fail => {
            let words = format!("{text} was written by a failed operation");
            Some(anomaly(AnomalyKind::G1a, vec![by, id], words))
        }
        Some(_) => None,
    }
}

/// The second operation saw the pair, and the first saw it the other way round.
fn fork(
    history: &History,
    (one, other): Pair,
    [first, second]: [OperationId; 2],
    written: &[Option<Written>],
) -> Anomaly {
    let name = |key: KeyId| history.key_name(key);
    let words = format!(
        "T{} saw {} without {}, and T{} saw {} without {}",
        first.0,
        name(other),
        name(one),
        second.0,
        name(one),
        name(other)
    );
    let writers = [one, other].map(|key| written[key.0 as usize].map(|written| written.by));
    let operations = writers.into_iter().flatten().chain([first, second]).collect();
    anomaly(AnomalyKind::LongFork, operations, words)
}
