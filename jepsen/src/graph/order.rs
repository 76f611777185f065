//! Numbers for nodes, such that a cycle must contain one of few edges.
//!
//! In any order of the nodes a cycle leads back somewhere. Where an order keeps all edges but the
//! anti-dependencies, only those lead back; and where it is that of time as far as it can be, few
//! do: most readers of a version came before who wrote over it. A search for cycles need begin only
//! there.
//!
//! ```text
//!   T1 r x []   ──rw──▶   T2 append x 1        forward: no cycle begins here
//!   T2 append x 1   ──realtime──▶   T3 r x []   ──rw──▶ T2        back
//! ```

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::search::Component;
use super::{Mask, walk::Start};

/// Places of nodes, kept from part to part of a component.
pub(super) struct Order {
    places: Vec<u32>,
    /// How many edges lead to a node from such as have no place yet.
    waiting: Vec<u32>,
}

impl Order {
    pub fn new(node_count: usize) -> Order {
        Order { places: vec![0; node_count], waiting: vec![0; node_count] }
    }

    /// Orders the nodes of a part by time.
    pub fn by_time(&mut self, component: &Component, nodes: &[u32]) {
        let mut sorted = nodes.to_vec();
        sorted.sort_unstable_by_key(|&node| (component.moments[node as usize], node));
        for (place, node) in sorted.into_iter().enumerate() {
            self.places[node as usize] = place as u32;
        }
    }

    /// Orders the nodes of a part, in which no cycle of `mask` is, such that all edges of `mask` lead
    /// to a later place, and otherwise by time (Kahn 1962).
    pub fn by_edges(
        &mut self,
        component: &Component,
        nodes: &[u32],
        mask: Mask,
        inside: impl Fn(u32) -> bool,
    ) {
        let edges = |node: u32| {
            let edges = component.graph.edges(node);
            edges.filter(|(to, reason)| mask.has(*reason) && inside(*to)).map(|(to, _)| to)
        };
        for &node in nodes {
            self.waiting[node as usize] = 0;
        }
        for target in nodes.iter().flat_map(|&node| edges(node)) {
            self.waiting[target as usize] += 1;
        }
        let entry = |node: u32| Reverse((component.moments[node as usize], node));
        let free = nodes.iter().filter(|&&node| self.waiting[node as usize] == 0);
        let mut free: BinaryHeap<Reverse<(u32, u32)>> = free.map(|&node| entry(node)).collect();
        let mut place = 0;
        while let Some(Reverse((_, node))) = free.pop() {
            self.places[node as usize] = place;
            place += 1;
            for target in edges(node) {
                let waiting = &mut self.waiting[target as usize];
                *waiting -= 1;
                if *waiting == 0 {
                    free.push(entry(target));
                }
            }
        }
        assert!(place as usize == nodes.len(), "{place} of {} nodes are in no cycle", nodes.len());
    }

    pub fn leads_back(&self, (from, to, _): &Start) -> bool {
        self.places[*to as usize] < self.places[*from as usize]
    }

    pub fn places(&self) -> &[u32] {
        &self.places
    }
}
