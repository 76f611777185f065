//! From the edges of a history to its cyclic anomalies.

use std::collections::BTreeMap;

use super::instants::instants;
use crate::graph::{Component, EdgeList, FoundCycle, Graph, Mask, components, find_cycles};
use crate::history::{History, OperationId, Outcome};
use crate::verdict::{Anomaly, AnomalyKind, CheckOptions, CycleEdge, EdgeReason, Statistics};

/// Says why one operation precedes another by their data.
pub(super) type Explain<'a> = &'a dyn Fn(OperationId, OperationId, EdgeReason) -> String;

const ALL: Mask = Mask::of(&[
    EdgeReason::WriteWrite,
    EdgeReason::WriteRead,
    EdgeReason::ReadWrite,
    EdgeReason::PredicateReadWrite,
    EdgeReason::Realtime,
]);

/// Finds all cyclic anomalies of a history whose data dependencies are `edges`.
pub(super) fn cyclic_anomalies(
    history: &History,
    mut edges: Vec<EdgeList>,
    options: &CheckOptions,
    explain: Explain<'_>,
) -> (Vec<Anomaly>, Statistics) {
    let (realtime, node_count) = instants(history);
    edges.push(realtime);
    let graph = Graph::new(node_count, &edges);
    drop(edges);
    let parts = components(&graph, ALL);
    let statistics = Statistics {
        operations: history.operation_count(),
        keys: history.key_count(),
        edges: graph.edge_count(),
        components: parts.len(),
    };
    let mut shown: BTreeMap<AnomalyKind, usize> = BTreeMap::new();
    let mut found = Vec::new();
    for part in &parts {
        let component = cut_out(history, &graph, part);
        for cycle in find_cycles(&component) {
            let kind = AnomalyKind::Cycle(cycle.family, cycle.class);
            let count = shown.entry(kind).or_default();
            *count += 1;
            let in_words = *count <= options.examples_max;
            found.push(tell_cycle(history, &cycle, part, kind, in_words.then_some(explain)));
        }
    }
    (found, statistics)
}

/// A component as a graph of its own, with the order of processes, which real time contains and
/// which is therefore not in the large graph.
fn cut_out(history: &History, graph: &Graph, part: &[u32]) -> Component {
    let operation_count = part.partition_point(|&node| (node as usize) < history.operation_count());
    let mut edges = EdgeList::default();
    for (index, &node) in part.iter().enumerate() {
        for (target, reason) in graph.edges(node) {
            if let Ok(target) = part.binary_search(&target) {
                edges.push(index as u32, target as u32, reason);
            }
        }
    }
    let mut last_of_process: BTreeMap<u32, u32> = BTreeMap::new();
    let mut times = Vec::with_capacity(operation_count);
    for (index, &node) in part[..operation_count].iter().enumerate() {
        let operation = history.operation(OperationId(node));
        times.push((operation.invoked, operation.deadline()));
        if let Some(&before) = last_of_process.get(&operation.process) {
            edges.push(before, index as u32, EdgeReason::Process);
        }
        // What nobody knows the end of may happen after what its process did next.
        if operation.outcome == Outcome::Ok {
            last_of_process.insert(operation.process, index as u32);
        }
    }
    Component { graph: Graph::new(part.len(), &[edges]), times }
}

fn tell_cycle(
    history: &History,
    cycle: &FoundCycle,
    part: &[u32],
    kind: AnomalyKind,
    explain: Option<Explain<'_>>,
) -> Anomaly {
    let operation = |node: u32| OperationId(part[node as usize]);
    let operations: Vec<OperationId> =
        cycle.edges.iter().map(|(node, _)| operation(*node)).collect();
    let Some(explain) = explain else {
        return Anomaly { kind, operations, story: Vec::new(), cycle: Vec::new() };
    };
    let mut story: Vec<String> = operations.iter().map(|&id| history.describe(id)).collect();
    let mut edges = Vec::with_capacity(operations.len());
    for (index, (_, reason)) in cycle.edges.iter().enumerate() {
        let (from, to) = (operations[index], operations[(index + 1) % operations.len()]);
        let words = match reason {
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
            _ => explain(from, to, *reason),
        };
        story.push(format!("T{} -{}-> T{}: {words}", from.0, reason.name(), to.0));
        edges.push(CycleEdge { from, to, reason: *reason, words });
    }
    Anomaly { kind, operations, story, cycle: edges }
}
