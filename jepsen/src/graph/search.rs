//! The anomalies of one strongly connected component, each with a shortest cycle.
//!
//! From the weakest projection up: writes only (G0), with reads of writes (G1c), with exactly one
//! anti-dependency (G-single), with several of which no two follow each other (G-nonadjacent), with
//! any (G2-item); first from the data alone, then with the order of processes, then with real
//! time. Whether a class is there is decided by components alone, in linear time:
//!
//! * G0 and G1c are components of a projection.
//! * A cycle without adjacent anti-dependencies is a component of the *product*: each node twice,
//!   by whether it was entered through an anti-dependency, and those leave only from the first.
//!
//! ```text
//!   (u, no) ──rw──▶ (v, yes)      (v, yes) ──ww, wr──▶ (w, no)      (v, yes) ──rw──▶ never
//! ```
//!
//! Only where a class is known to be there is a cycle searched for, breadth first from the edges
//! one of which must be in it, to growing depths, so that short cycles in giant components are cheap.
//!
//! Anti-dependencies of predicates take part only after that, and only in classes that rule out
//! more than what the component was found to show already.
//!
//! A class is not searched for again with more edges where it, or a worse one, was found with
//! fewer. Therefore a cycle found with the order of processes or real time needs that order.

use super::order::Order;
use super::shorten::shortened;
use super::walk::{Scratch, Start, Walk};
use super::{EdgeList, Graph, Mask, components};
use crate::verdict::{CycleClass, EdgeReason, Family};

const WRITES: Mask = Mask::of(&[EdgeReason::WriteWrite]);
const READS: Mask = Mask::of(&[EdgeReason::WriteRead]);
const ANTI: Mask = Mask::of(&[EdgeReason::ReadWrite]);
const PREDICATES: Mask = Mask::of(&[EdgeReason::PredicateReadWrite]);

fn order_of(family: Family) -> Mask {
    match family {
        Family::Plain => Mask::of(&[]),
        Family::Process => Mask::of(&[EdgeReason::Process]),
        Family::Realtime => Mask::of(&[EdgeReason::Process, EdgeReason::Realtime]),
    }
}

/// A component with its own node numbers. Operations come first, instants of real time after.
pub(crate) struct Component {
    pub graph: Graph,
    /// For each operation, the events of its invocation and its certain end.
    pub times: Vec<(u32, u32)>,
    /// For each operation, its process.
    pub processes: Vec<u32>,
    /// For each node, when it began, as an event.
    pub moments: Vec<u32>,
}

impl Component {
    pub fn is_operation(&self, node: u32) -> bool {
        (node as usize) < self.times.len()
    }

    fn has_predicates(&self) -> bool {
        let nodes = 0..self.graph.node_count() as u32;
        let mut edges = nodes.flat_map(|node| self.graph.edges(node));
        edges.any(|(_, reason)| PREDICATES.has(reason))
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundCycle {
    pub family: Family,
    pub class: CycleClass,
    /// Operations of the component and why each precedes the next; the last precedes the first.
    pub edges: Vec<(u32, EdgeReason)>,
}

/// What a cycle may contain.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    family: Family,
    class: CycleClass,
    /// The edges that may close the cycle after its first one.
    pub mask: Mask,
    /// No two anti-dependencies in a row.
    pub nonadjacent: bool,
}

impl Rule {
    pub fn new(family: Family, class: CycleClass) -> Rule {
        use CycleClass as Class;
        let any = if class.has_predicate() { ANTI.with(PREDICATES) } else { ANTI };
        let edges = match class {
            Class::G0 => WRITES,
            Class::G1c | Class::GSingle | Class::GSinglePredicate => WRITES.with(READS),
            Class::GNonadjacent | Class::GNonadjacentPredicate | Class::G2Item | Class::G2 => {
                WRITES.with(READS).with(any)
            }
        };
        let nonadjacent = matches!(class, Class::GNonadjacent | Class::GNonadjacentPredicate);
        Rule { family, class, mask: edges.with(order_of(family)), nonadjacent }
    }

    /// Whether exactly one anti-dependency is in the cycle, with which it begins.
    pub fn is_single(&self) -> bool {
        matches!(self.class, CycleClass::GSingle | CycleClass::GSinglePredicate)
    }

    /// Whether the cycle may have no edge with which it can begin and which leads back, but only
    /// others that do: those of items beside one of a predicate.
    fn can_begin_forward(&self) -> bool {
        matches!(self.class, CycleClass::GNonadjacentPredicate | CycleClass::G2)
    }

    /// Whether a cycle of this class can begin with an edge.
    fn begins_with(&self, reason: EdgeReason) -> bool {
        match self.class {
            CycleClass::G0 | CycleClass::G1c => self.mask.has(reason),
            class if class.has_predicate() => PREDICATES.has(reason),
            _ => ANTI.has(reason),
        }
    }
}

/// Finds the worst anomalies of each part of a component.
pub(crate) fn find_cycles(component: &Component) -> Vec<FoundCycle> {
    let mut found: Vec<FoundCycle> = Vec::new();
    let has_predicates = component.has_predicates();
    for family in [Family::Plain, Family::Process, Family::Realtime] {
        find_of_items(component, family, &mut found);
        if has_predicates {
            find_of_predicates(component, family, &mut found);
        }
    }
    found
}

fn worst_rank(found: &[FoundCycle]) -> u32 {
    found.iter().map(|cycle| cycle.class.rank()).min().unwrap_or(u32::MAX)
}

/// Adds what is worse than anything found with fewer edges.
fn find_of_items(component: &Component, family: Family, found: &mut Vec<FoundCycle>) {
    let worst = worst_rank(found);
    let wanted = |class: CycleClass| class.rank() < worst;
    let mut search = Search::new(component);
    for class in [CycleClass::G0, CycleClass::G1c] {
        if wanted(class) {
            search.find_in_projection(Rule::new(family, class), found);
        }
    }
    if wanted(CycleClass::GSingle) {
        let wants_fork = wanted(CycleClass::GNonadjacent);
        search.find_without_adjacent(family, CycleClass::GSingle, wants_fork, found);
    }
    if wanted(CycleClass::G2Item) {
        search.find_in_projection(Rule::new(family, CycleClass::G2Item), found);
    }
}

fn find_of_predicates(component: &Component, family: Family, found: &mut Vec<FoundCycle>) {
    let is_wanted = |class: CycleClass, found: &[FoundCycle]| class.rank() < worst_rank(found);
    let mut search = Search::new(component);
    let single = CycleClass::GSinglePredicate;
    if is_wanted(single, found) {
        let wants_fork = is_wanted(CycleClass::GNonadjacentPredicate, found);
        search.find_without_adjacent(family, single, wants_fork, found);
    }
    if is_wanted(CycleClass::G2, found) {
        search.find_in_projection(Rule::new(family, CycleClass::G2), found);
    }
}

struct Search<'a> {
    component: &'a Component,
    /// Nodes of components that were explained in this family.
    covered: Vec<bool>,
    /// For each state, the part it was last put in.
    part_of: Vec<u32>,
    part: u32,
    order: Order,
    scratch: Scratch,
}

impl<'a> Search<'a> {
    fn new(component: &'a Component) -> Search<'a> {
        let node_count = component.graph.node_count();
        Search {
            component,
            covered: vec![false; node_count],
            part_of: vec![0; node_count * 2],
            part: 0,
            order: Order::new(node_count),
            scratch: Scratch::new(node_count * 2),
        }
    }

    /// Makes `states` the part that searches stay inside of.
    fn enclose(&mut self, states: impl Iterator<Item = u32>) {
        self.part += 1;
        assert!(self.part > 0, "part 0 is no part");
        for state in states {
            self.part_of[state as usize] = self.part;
        }
    }

    fn is_inside(&self, state: u32) -> bool {
        self.part_of[state as usize] == self.part
    }

    fn find_in_projection(&mut self, rule: Rule, found: &mut Vec<FoundCycle>) {
        for part in components(&self.component.graph, rule.mask) {
            if part.iter().any(|&node| self.covered[node as usize]) {
                continue;
            }
            self.enclose(part.iter().map(|node| node * 2));
            let mut starts = starts(self.component, &part, &rule, |to| self.is_inside(to * 2));
            self.order(&part, &rule);
            starts.retain(|start| rule.can_begin_forward() || self.order.leads_back(start));
            if let Some(cycle) = self.shortest(&starts, &rule) {
                found.push(cycle);
                self.cover(&part);
            }
        }
    }

    /// Puts the nodes of the part that is enclosed in an order in which few edges lead back.
    fn order(&mut self, nodes: &[u32], rule: &Rule) {
        if matches!(rule.class, CycleClass::G0 | CycleClass::G1c) {
            self.order.by_time(self.component, nodes);
            return;
        }
        let (part_of, part) = (&self.part_of, self.part);
        let inside = |node: u32| part_of[node as usize * 2] == part;
        let mask = rule.mask.without(ANTI.with(PREDICATES));
        self.order.by_edges(self.component, nodes, mask, inside);
    }

    fn cover(&mut self, part: &[u32]) {
        for &node in part {
            self.covered[node as usize] = true;
        }
    }

    /// A cycle with one anti-dependency, of class `single`, and where there is none and it is
    /// wanted, one with several of which no two are adjacent.
    fn find_without_adjacent(
        &mut self,
        family: Family,
        single: CycleClass,
        wants_fork: bool,
        found: &mut Vec<FoundCycle>,
    ) {
        let fork = match single.has_predicate() {
            true => CycleClass::GNonadjacentPredicate,
            false => CycleClass::GNonadjacent,
        };
        let (single, fork) = (Rule::new(family, single), Rule::new(family, fork));
        let any = Mask::of(&[EdgeReason::WriteWrite, EdgeReason::ReadWrite]);
        for part in components(&self.product(&fork), any) {
            let mut nodes: Vec<u32> = part.iter().map(|state| state / 2).collect();
            nodes.dedup();
            if nodes.iter().any(|&node| self.covered[node as usize]) {
                continue;
            }
            self.enclose(part.iter().copied());
            let inside = |target: u32| self.is_inside(target * 2 + 1);
            let mut starts = starts(self.component, &nodes, &fork, inside);
            starts.retain(|(from, ..)| self.is_inside(*from * 2));
            if starts.is_empty() {
                continue;
            }
            self.enclose(nodes.iter().map(|node| node * 2));
            self.order(&nodes, &single);
            let back: Vec<Start> =
                starts.iter().copied().filter(|start| self.order.leads_back(start)).collect();
            let mut cycle = self.shortest(&back, &single);
            if cycle.is_none() && wants_fork {
                self.enclose(part.iter().copied());
                let starts = if fork.can_begin_forward() { &starts } else { &back };
                cycle = self.shortest(starts, &fork);
            }
            if let Some(cycle) = cycle {
                found.push(cycle);
                self.cover(&nodes);
            }
        }
    }

    /// Each node twice: entered otherwise (even) and through an anti-dependency (odd).
    fn product(&self, rule: &Rule) -> Graph {
        let graph = &self.component.graph;
        let mut edges = EdgeList::default();
        for node in 0..graph.node_count() as u32 {
            for (target, reason) in graph.edges(node).filter(|(_, r)| rule.mask.has(*r)) {
                if reason.is_anti() {
                    edges.push(node * 2, target * 2 + 1, EdgeReason::ReadWrite);
                } else {
                    edges.push(node * 2, target * 2, EdgeReason::WriteWrite);
                    edges.push(node * 2 + 1, target * 2, EdgeReason::WriteWrite);
                }
            }
        }
        Graph::new(graph.node_count() * 2, &[edges])
    }

    /// A shortest cycle that begins with one of `starts`.
    fn shortest(&mut self, starts: &[Start], rule: &Rule) -> Option<FoundCycle> {
        let inside = (self.part_of.as_slice(), self.part);
        let graph = &self.component.graph;
        let mut walk = Walk::new(graph, *rule, inside, &mut self.scratch);
        if rule.is_single() {
            walk.follow(self.order.places());
        }
        let cycle = walk.shortest(starts)?;
        let edges = shortened(self.component, &cycle, *rule);
        assert!(fits(&edges, rule.class), "{edges:?} is no {:?}", rule.class);
        Some(FoundCycle { family: rule.family, class: rule.class, edges })
    }
}

/// The edges between some nodes with which a cycle of a rule can begin.
pub(super) fn starts(
    component: &Component,
    nodes: &[u32],
    rule: &Rule,
    inside: impl Fn(u32) -> bool,
) -> Vec<Start> {
    let mut starts = Vec::new();
    for &node in nodes.iter().filter(|&&node| component.is_operation(node)) {
        for (target, reason) in component.graph.edges(node) {
            if rule.begins_with(reason) && inside(target) {
                starts.push((node, target, reason));
            }
        }
    }
    starts
}

/// Whether a cycle has the anti-dependencies of its class.
fn fits(edges: &[(u32, EdgeReason)], class: CycleClass) -> bool {
    let is_anti = |(_, reason): &(u32, EdgeReason)| reason.is_anti();
    let has_predicate = edges.iter().any(|(_, reason)| PREDICATES.has(*reason));
    let count = edges.iter().filter(|edge| is_anti(edge)).count();
    let followers = edges.iter().cycle().skip(1);
    let has_adjacent = edges.iter().zip(followers).any(|(a, b)| is_anti(a) && is_anti(b));
    has_predicate == class.has_predicate()
        && match class.rank() {
            0 | 1 => count == 0,
            2 => count == 1,
            3 => count >= 2 && !has_adjacent,
            _ => has_adjacent,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use EdgeReason::{PredicateReadWrite, Process, ReadWrite, Realtime, WriteRead, WriteWrite};

    fn names(edges: &[(u32, u32, EdgeReason)], operations: usize) -> Vec<String> {
        let mut list = EdgeList::default();
        let mut nodes = operations;
        for &(from, to, reason) in edges {
            list.push(from, to, reason);
            nodes = nodes.max(from.max(to) as usize + 1);
        }
        let graph = Graph::new(nodes, &[list]);
        // All at once, so that real time is what the edges say.
        let (times, processes) = (vec![(0, u32::MAX); operations], vec![0; operations]);
        let moments = vec![0; nodes];
        let component = Component { graph, times, processes, moments };
        find_cycles(&component)
            .iter()
            .map(|cycle| format!("{:?} {:?} {}", cycle.family, cycle.class, cycle.edges.len()))
            .collect()
    }

    #[test]
    fn each_class_is_told_from_its_neighbours() {
        let cases: [(&[Start], &str); 14] = [
            (&[(0, 1, WriteWrite), (1, 0, WriteWrite)], "Plain G0 2"),
            (&[(0, 1, WriteWrite), (1, 0, WriteRead)], "Plain G1c 2"),
            (&[(0, 1, ReadWrite), (1, 2, WriteWrite), (2, 0, WriteRead)], "Plain GSingle 3"),
            (&[(0, 1, ReadWrite), (1, 0, ReadWrite)], "Plain G2Item 2"),
            (
                &[(0, 1, ReadWrite), (1, 2, WriteRead), (2, 3, ReadWrite), (3, 0, WriteRead)],
                "Plain GNonadjacent 4",
            ),
            (
                &[(0, 1, ReadWrite), (1, 2, ReadWrite), (2, 3, WriteRead), (3, 0, WriteRead)],
                "Plain G2Item 4",
            ),
            (
                &[
                    (0, 1, ReadWrite),
                    (1, 2, WriteRead),
                    (2, 3, ReadWrite),
                    (3, 0, WriteRead),
                    (1, 3, ReadWrite),
                ],
                "Plain GNonadjacent 4",
            ),
            (&[(0, 1, WriteWrite), (1, 0, Process)], "Process G0 2"),
            (&[(0, 1, ReadWrite), (1, 0, Process)], "Process GSingle 2"),
            (&[(0, 1, ReadWrite), (1, 2, ReadWrite), (2, 0, Process)], "Process G2Item 3"),
            (&[(0, 1, PredicateReadWrite), (1, 0, WriteRead)], "Plain GSinglePredicate 2"),
            (&[(0, 1, PredicateReadWrite), (1, 0, ReadWrite)], "Plain G2 2"),
            (
                &[
                    (0, 1, ReadWrite),
                    (1, 2, WriteRead),
                    (2, 3, PredicateReadWrite),
                    (3, 0, WriteRead),
                ],
                "Plain GNonadjacentPredicate 4",
            ),
            (&[(0, 1, PredicateReadWrite), (1, 0, Process)], "Process GSinglePredicate 2"),
        ];
        for (edges, expected) in cases {
            assert_eq!(names(edges, 4), [expected], "{edges:?}");
        }
        assert!(names(&[(0, 1, WriteWrite), (1, 2, ReadWrite), (0, 2, Realtime)], 3).is_empty());
    }

    #[test]
    fn the_worst_of_each_family_is_told_and_what_it_implies_is_not() {
        let edges = [
            (0, 1, ReadWrite),
            (1, 0, ReadWrite),
            (1, 0, Process),
            (2, 3, WriteWrite),
            (3, 2, WriteRead),
            (3, 0, WriteRead),
            (1, 2, WriteRead),
        ];
        assert_eq!(names(&edges, 4), ["Plain G1c 2"]);
        assert_eq!(names(&edges[..3], 2), ["Plain G2Item 2", "Process GSingle 2"]);
        let skews = [(0, 1, ReadWrite), (1, 0, ReadWrite), (0, 1, PredicateReadWrite)];
        assert_eq!(names(&skews, 2), ["Plain G2Item 2"]);
        let phantom = [&skews[..], &[(1, 0, WriteRead)]].concat();
        assert_eq!(names(&phantom, 2), ["Plain GSingle 2"]);
        let phantom = [&skews[2..], &[(1, 0, WriteRead), (1, 0, ReadWrite)]].concat();
        assert_eq!(names(&phantom, 2), ["Plain GSinglePredicate 2"]);
        let both = [&skews[..2], &[(0, 2, PredicateReadWrite), (2, 0, WriteRead)]].concat();
        assert_eq!(names(&both, 3), ["Plain G2Item 2", "Plain GSinglePredicate 2"]);
    }
}
