//! Dependency graphs over dense node numbers, in compressed sparse rows.
//!
//! An edge is one word: the target and, in the low three bits, the [`EdgeReason`]. Parallel edges
//! of different reasons are separate words, so that a projection is a mask over reasons.

mod components;
mod order;
mod search;
mod shorten;
mod walk;

pub(crate) use components::components;
pub(crate) use search::{Component, FoundCycle, find_cycles};

use crate::verdict::EdgeReason;

const REASON_BITS: u32 = 3;
/// Nodes are at most so many.
const NODE_LIMIT: u32 = 1 << (32 - REASON_BITS);

/// A set of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mask(u8);

impl Mask {
    pub const fn of(reasons: &[EdgeReason]) -> Mask {
        let mut bits = 0;
        let mut index = 0;
        while index < reasons.len() {
            bits |= 1 << reasons[index] as u8;
            index += 1;
        }
        Mask(bits)
    }

    pub const fn with(self, other: Mask) -> Mask {
        Mask(self.0 | other.0)
    }

    pub const fn without(self, other: Mask) -> Mask {
        Mask(self.0 & !other.0)
    }

    pub const fn has(self, reason: EdgeReason) -> bool {
        self.0 >> reason as u8 & 1 == 1
    }
}

/// Edges in any order, on their way into a graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct EdgeList(Vec<(u32, u32)>);

impl EdgeList {
    /// Adds an edge; one from a node to itself says nothing and is left out.
    pub fn push(&mut self, from: u32, to: u32, reason: EdgeReason) {
        debug_assert!(from < NODE_LIMIT && to < NODE_LIMIT);
        if from != to {
            self.0.push((from, to << REASON_BITS | reason as u32));
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Graph {
    /// Where the edges of each node start; one more at the end.
    starts: Vec<u32>,
    edges: Vec<u32>,
}

impl Graph {
    pub fn new(node_count: usize, lists: &[EdgeList]) -> Graph {
        let edge_count: usize = lists.iter().map(|list| list.0.len()).sum();
        assert!(node_count <= NODE_LIMIT as usize, "{node_count} nodes do not fit into a word");
        assert!(edge_count <= u32::MAX as usize, "{edge_count} edges do not fit into a word");
        let mut starts = vec![0u32; node_count + 1];
        for (from, _) in lists.iter().flat_map(|list| &list.0) {
            starts[*from as usize + 1] += 1;
        }
        for node in 0..node_count {
            starts[node + 1] += starts[node];
        }
        let mut edges = vec![0u32; starts[node_count] as usize];
        let mut next = starts.clone();
        for (from, packed) in lists.iter().flat_map(|list| &list.0) {
            let place = &mut next[*from as usize];
            edges[*place as usize] = *packed;
            *place += 1;
        }
        Graph { starts, edges }
    }

    pub fn node_count(&self) -> usize {
        self.starts.len() - 1
    }

    pub fn edge_count(&self) -> usize {
        self.edges.len()
    }

    /// The targets of a node's edges, each with its reason.
    pub fn edges(&self, node: u32) -> impl Iterator<Item = (u32, EdgeReason)> {
        let range = self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize;
        self.edges[range].iter().map(|&packed| unpack(packed))
    }
}

fn unpack(packed: u32) -> (u32, EdgeReason) {
    let reason = match packed & ((1 << REASON_BITS) - 1) {
        0 => EdgeReason::WriteWrite,
        1 => EdgeReason::WriteRead,
        2 => EdgeReason::ReadWrite,
        3 => EdgeReason::PredicateReadWrite,
        4 => EdgeReason::Process,
        _ => EdgeReason::Realtime,
    };
    (packed >> REASON_BITS, reason)
}
