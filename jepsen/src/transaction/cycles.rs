//! From the edges of a history to its cyclic anomalies.

use std::collections::BTreeMap;

use super::instants::instants;
use crate::graph::{Component, EdgeList, FoundCycle, Graph, Mask, components, find_cycles};
use crate::history::{History, OperationId, Outcome};
use crate::verdict::{Anomaly, AnomalyKind, CycleEdge, EdgeReason, Statistics};

const ALL: Mask = Mask::of(&[
    EdgeReason::WriteWrite,
    EdgeReason::WriteRead,
    EdgeReason::ReadWrite,
    EdgeReason::PredicateReadWrite,
    EdgeReason::Realtime,
]);

/// Finds all cyclic anomalies of a history whose data dependencies are `edges`, without words.
pub(super) fn cyclic_anomalies(
    history: &History,
    mut edges: Vec<EdgeList>,
) -> (Vec<Anomaly>, Statistics) {
    let (realtime, instants) = instants(history);
    edges.push(realtime);
    let graph = Graph::new(history.operation_count() + instants.len(), &edges);
    drop(edges);
    let parts = components(&graph, ALL);
    let statistics = Statistics {
        operations: history.operation_count(),
        keys: history.key_count(),
        edges: graph.edge_count(),
        components: parts.len(),
    };
    let mut found = Vec::new();
    for part in &parts {
        let component = cut_out(history, &graph, &instants, part);
        found.extend(find_cycles(&component).iter().map(|cycle| anomaly(cycle, part)));
    }
    (found, statistics)
}

/// A component as a graph of its own, with the order of processes, which real time contains and
/// which is therefore not in the large graph.
fn cut_out(history: &History, graph: &Graph, instants: &[u32], part: &[u32]) -> Component {
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
    let mut times: Vec<(u32, u32)> = Vec::with_capacity(operation_count);
    let mut processes = Vec::with_capacity(operation_count);
    for (index, &node) in part[..operation_count].iter().enumerate() {
        let operation = history.operation(OperationId(node));
        times.push((operation.invoked, operation.deadline()));
        processes.push(operation.process);
        // A caller may let a process do two things at once; they have no order.
        if let Some(&before) = last_of_process.get(&operation.process)
            && times[before as usize].1 < operation.invoked
        {
            edges.push(before, index as u32, EdgeReason::Process);
        }
        // What nobody knows the end of may happen after what its process did next.
        if operation.outcome == Outcome::Ok {
            last_of_process.insert(operation.process, index as u32);
        }
    }
    let of_operations = times.iter().map(|(began, _)| *began);
    let of_instants = part[operation_count..]
        .iter()
        .map(|&node| instants[node as usize - history.operation_count()]);
    let moments = of_operations.chain(of_instants).collect();
    Component { graph: Graph::new(part.len(), &[edges]), times, processes, moments }
}

fn anomaly(cycle: &FoundCycle, part: &[u32]) -> Anomaly {
    let kind = AnomalyKind::Cycle(cycle.family, cycle.class);
    let operations: Vec<OperationId> =
        cycle.edges.iter().map(|(node, _)| OperationId(part[*node as usize])).collect();
    let followers = operations.iter().cycle().skip(1);
    let cycle = cycle
        .edges
        .iter()
        .zip(operations.iter().zip(followers))
        .map(|((_, reason), (&from, &to))| {
            let (reason, words) = (*reason, String::new());
            CycleEdge { from, to, reason, words }
        })
        .collect();
    Anomaly { kind, operations, story: Vec::new(), cycle }
}
