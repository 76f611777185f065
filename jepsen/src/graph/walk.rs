//! Breadth-first search from an edge back to where it began: a shortest cycle.

use super::Graph;
use super::search::Rule;
use crate::verdict::EdgeReason;

/// An edge with which a cycle can begin: from, to, and why.
pub(super) type Start = (u32, u32, EdgeReason);

/// What a breadth-first search remembers of each state, kept from search to search. A state is a
/// node and, in the lowest bit, whether it was entered through an anti-dependency (always 0 where
/// that does not matter).
pub(super) struct Scratch {
    /// The search in which the state was last seen.
    seen: Vec<u32>,
    parents: Vec<(u32, EdgeReason)>,
    epoch: u32,
}

impl Scratch {
    pub fn new(states: usize) -> Scratch {
        Scratch {
            seen: vec![0; states],
            parents: vec![(0, EdgeReason::WriteWrite); states],
            epoch: 0,
        }
    }
}

pub(super) struct Walk<'a> {
    graph: &'a Graph,
    rule: Rule,
    part_of: &'a [u32],
    part: u32,
    scratch: &'a mut Scratch,
    /// Places of nodes that grow along every edge but the first.
    places: Option<&'a [u32]>,
    steps: u64,
}

/// Once a cycle of some depth is known, shorter ones of that depth are looked for no longer.
const STEPS_AFTER_FOUND: u64 = 20_000_000;
/// After so many steps without a cycle, any will do.
const STEPS_BEFORE_FOUND: u64 = 200_000_000;

impl<'a> Walk<'a> {
    /// A search by `rule` among the states whose `part_of` is `part`.
    pub fn new(
        graph: &'a Graph,
        rule: Rule,
        (part_of, part): (&'a [u32], u32),
        scratch: &'a mut Scratch,
    ) -> Walk<'a> {
        Walk { graph, rule, part_of, part, scratch, places: None, steps: 0 }
    }

    /// Leaves out what comes after where the cycle began, by places that grow along every edge but
    /// its first.
    pub fn follow(&mut self, places: &'a [u32]) {
        self.places = Some(places);
    }

    /// The shortest cycle that begins with one of the edges, and why each node precedes the next.
    pub fn shortest(&mut self, starts: &[Start]) -> Option<Vec<(u32, EdgeReason)>> {
        if starts.is_empty() {
            return None;
        }
        let states = self.graph.node_count() * 2;
        let mut depth = 1;
        let mut steps_before = 0;
        loop {
            let mut best: Option<Vec<(u32, EdgeReason)>> = None;
            self.steps = 0;
            let takes_any = steps_before > STEPS_BEFORE_FOUND;
            for start in starts {
                let limit = best.as_ref().map_or(depth, |best| best.len() - 2);
                if let Some(cycle) = self.back(*start, limit) {
                    best = Some(cycle);
                }
                let is_shortest = best.as_ref().is_some_and(|best| best.len() == 2);
                let is_enough = takes_any || self.steps > STEPS_AFTER_FOUND;
                if is_shortest || best.is_some() && is_enough {
                    break;
                }
            }
            if best.is_some() || depth > states {
                return best;
            }
            steps_before += self.steps;
            depth = match depth {
                _ if steps_before > STEPS_BEFORE_FOUND => states + 1,
                0..8 => depth + 1,
                _ => depth * 2,
            };
        }
    }

    /// The cycle of at most `depth` further edges that begins with `start`, if there is one.
    fn back(&mut self, start: Start, depth: usize) -> Option<Vec<(u32, EdgeReason)>> {
        let (home, first, reason) = start;
        self.scratch.epoch += 1;
        let epoch = self.scratch.epoch;
        let entered = self.state(first, reason);
        self.scratch.seen[entered as usize] = epoch;
        let place_of_home = self.places.map(|places| places[home as usize]);
        let mut frontier = vec![entered];
        for _ in 0..depth {
            let mut next = Vec::new();
            for state in frontier {
                let adjacent = self.rule.nonadjacent && state & 1 == 1;
                for (target, reason) in self.graph.edges(state / 2) {
                    self.steps += 1;
                    let is_anti = reason.is_anti();
                    if !self.rule.mask.has(reason) || adjacent && is_anti {
                        continue;
                    }
                    if target == home && !(self.rule.nonadjacent && is_anti) {
                        return Some(self.cycle(start, state, reason));
                    }
                    let place = self.places.map(|places| places[target as usize]);
                    if place > place_of_home {
                        continue;
                    }
                    let reached = self.state(target, reason);
                    let is_inside = self.part_of[reached as usize] == self.part;
                    if is_inside && self.scratch.seen[reached as usize] != epoch {
                        self.scratch.seen[reached as usize] = epoch;
                        self.scratch.parents[reached as usize] = (state, reason);
                        next.push(reached);
                    }
                }
            }
            if next.is_empty() {
                return None;
            }
            frontier = next;
        }
        None
    }

    fn state(&self, node: u32, reason: EdgeReason) -> u32 {
        node * 2 + u32::from(self.rule.nonadjacent && reason.is_anti())
    }

    fn cycle(&self, start: Start, last: u32, closing: EdgeReason) -> Vec<(u32, EdgeReason)> {
        let (home, first, reason) = start;
        let entered = self.state(first, reason);
        let mut edges = vec![(last / 2, closing)];
        let mut state = last;
        while state != entered {
            let (parent, reason) = self.scratch.parents[state as usize];
            edges.push((parent / 2, reason));
            state = parent;
        }
        edges.push((home, reason));
        edges.reverse();
        edges
    }
}
