//! What was found, in words.
//!
//! A broken database shows millions of anomalies, and few of them are told. So they are found
//! without words, and only those that a verdict keeps as examples get them.

use crate::history::{History, OperationId};
use crate::verdict::{
    Anomaly, AnomalyKind, CheckOptions, CycleEdge, EdgeReason, Model, Statistics, Verdict,
};

/// Says why one operation precedes another by their data.
pub(super) type Explain<'a> = &'a dyn Fn(OperationId, OperationId, EdgeReason) -> String;

/// Edges of a cycle that are told.
const EDGES_MAX: usize = 40;

/// An anomaly that is no cycle: the operations that show it and the reason.
pub(super) fn anomaly(kind: AnomalyKind, operations: Vec<OperationId>, reason: String) -> Anomaly {
    Anomaly { kind, operations, story: vec![reason], cycle: Vec::new() }
}

/// The verdict on transactions, its examples with their operations and reasons in words.
pub(super) fn tell(
    history: &History,
    found: Vec<Anomaly>,
    statistics: Statistics,
    options: &CheckOptions,
    explain: Explain<'_>,
) -> Verdict {
    let mut verdict = Verdict::new(found, options, &Model::TRANSACTIONAL, statistics);
    for anomaly in &mut verdict.anomalies {
        let mut story = history.describe_all(&anomaly.operations);
        for edge in anomaly.cycle.iter_mut().take(EDGES_MAX) {
            edge.words = words(history, edge, explain);
            let CycleEdge { from, to, reason, words } = edge;
            story.push(format!("T{} -{}-> T{}: {words}", from.0, reason.name(), to.0));
        }
        story.append(&mut anomaly.story);
        anomaly.story = story;
    }
    verdict
}

fn words(history: &History, edge: &CycleEdge, explain: Explain<'_>) -> String {
    let CycleEdge { from, to, reason, .. } = *edge;
    match reason {
        EdgeReason::Process => format!(
            "process {} ran T{} before T{}",
            history.names.text(history.process_atom(history.operation(from).process)),
            from.0,
            to.0
        ),
        EdgeReason::Realtime => format!(
            "T{} ended at event {}, before T{} began at event {}",
            from.0,
            history.operation(from).completed,
            to.0,
            history.operation(to).invoked
        ),
        _ => explain(from, to, reason),
    }
}
