//! Strongly connected components: Tarjan's algorithm (1972) without recursion.

use super::{Graph, Mask, unpack};

/// Nodes whose component is already known.
const DONE: u32 = u32::MAX;
const UNSEEN: u32 = 0;

struct Frame {
    node: u32,
    next_edge: u32,
    /// When the node was first seen.
    index: u32,
}

/// The components of more than one node under the edges in `mask`, each sorted by node, in the
/// order in which they are completed.
pub(crate) fn components(graph: &Graph, mask: Mask) -> Vec<Vec<u32>> {
    // The least index reachable so far, per node on the stack.
    let mut low = vec![UNSEEN; graph.node_count()];
    let mut stack: Vec<u32> = Vec::new();
    let mut frames: Vec<Frame> = Vec::new();
    let mut seen = 0;
    let mut found = Vec::new();
    for root in 0..graph.node_count() as u32 {
        if low[root as usize] != UNSEEN {
            continue;
        }
        enter(root, graph, &mut low, &mut stack, &mut frames, &mut seen);
        while let Some(frame) = frames.last_mut() {
            let node = frame.node;
            if frame.next_edge < graph.starts[node as usize + 1] {
                let (target, reason) = unpack(graph.edges[frame.next_edge as usize]);
                frame.next_edge += 1;
                if !mask.has(reason) {
                    continue;
                }
                match low[target as usize] {
                    UNSEEN => enter(target, graph, &mut low, &mut stack, &mut frames, &mut seen),
                    DONE => {}
                    other => low[node as usize] = low[node as usize].min(other),
                }
                continue;
            }
            let index = frame.index;
            frames.pop();
            if low[node as usize] == index {
                close(node, &mut low, &mut stack, &mut found);
            } else if let Some(parent) = frames.last() {
                let parent = parent.node as usize;
                low[parent] = low[parent].min(low[node as usize]);
            }
        }
    }
    found
}

fn enter(
    node: u32,
    graph: &Graph,
    low: &mut [u32],
    stack: &mut Vec<u32>,
    frames: &mut Vec<Frame>,
    seen: &mut u32,
) {
    *seen += 1;
    low[node as usize] = *seen;
    stack.push(node);
    frames.push(Frame { node, next_edge: graph.starts[node as usize], index: *seen });
}

/// Takes the component of `root` off the stack.
fn close(root: u32, low: &mut [u32], stack: &mut Vec<u32>, found: &mut Vec<Vec<u32>>) {
    let place = stack.iter().rposition(|&node| node == root).expect("the root is on the stack");
    for &node in &stack[place..] {
        low[node as usize] = DONE;
    }
    if stack.len() - place >= 2 {
        let mut component = stack[place..].to_vec();
        component.sort_unstable();
        found.push(component);
    }
    stack.truncate(place);
}

#[cfg(test)]
mod tests {
    use super::super::EdgeList;
    use super::*;
    use crate::verdict::EdgeReason;

    #[test]
    fn circles_are_found_by_reason() {
        let mut list = EdgeList::default();
        for (from, to) in [(0, 1), (1, 2), (2, 0), (2, 3), (4, 3), (5, 5)] {
            list.push(from, to, EdgeReason::WriteWrite);
        }
        list.push(3, 4, EdgeReason::ReadWrite);
        let graph = Graph::new(6, &[list]);
        let writes = Mask::of(&[EdgeReason::WriteWrite]);
        assert_eq!(components(&graph, writes), [vec![0, 1, 2]]);
        let all = writes.with(Mask::of(&[EdgeReason::ReadWrite]));
        assert_eq!(components(&graph, all), [vec![3, 4], vec![0, 1, 2]]);
    }

    #[test]
    fn a_long_path_does_not_exhaust_the_stack() {
        let mut list = EdgeList::default();
        for node in 0..1_000_000 {
            list.push(node, node + 1, EdgeReason::WriteWrite);
        }
        list.push(1_000_000, 0, EdgeReason::WriteWrite);
        let graph = Graph::new(1_000_001, &[list]);
        let found = components(&graph, Mask::of(&[EdgeReason::WriteWrite]));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].len(), 1_000_001);
    }
}
