//! A short cycle out of one that was found.
//!
//! A search walks real time an instant at a time and a process an operation at a time, so that its
//! edges are few. What it finds may therefore be long where one step of order would do:
//!
//! ```text
//!   T1 -process-> T2 -process-> … -process-> T9 -rw-> T1    is    T1 -process-> T9 -rw-> T1
//! ```
//!
//! First the fewest steps along the cycle are taken, with jumps from any operation to any that
//! comes later by process or by real time; its first edge, which makes it what it is, stays. Then
//! few operations are left, and among them the shortest cycle of all is searched for.

use std::collections::BTreeMap;

use super::search::{Component, Rule, starts};
use super::walk::{Scratch, Walk};
use super::{EdgeList, Graph};
use crate::verdict::EdgeReason;

type Cycle = Vec<(u32, EdgeReason)>;

/// Among so many operations all pairs are looked at.
const OPERATIONS_MAX: usize = 64;

/// A cycle of the same rule through some operations of `cycle`, with instants of time left out.
///
/// No worse cycle than the rule's may be in the component under the rule's order: then a jump,
/// which leaves out edges and adds none of data, cannot make it one.
pub(super) fn shortened(component: &Component, cycle: &[(u32, EdgeReason)], rule: Rule) -> Cycle {
    let cycle = with_jumps(component, cycle, rule);
    match cycle.len() {
        0..=OPERATIONS_MAX => shortest_among(component, &cycle, rule),
        _ => cycle,
    }
}

/// The way to a place of a cycle in the fewest steps.
#[derive(Clone, Copy)]
struct Reached {
    steps: u32,
    from: usize,
    reason: EdgeReason,
}

fn with_jumps(component: &Component, cycle: &[(u32, EdgeReason)], rule: Rule) -> Cycle {
    // From an operation to an instant leads real time, and it leads on to the next operation.
    let path: Cycle =
        cycle.iter().copied().filter(|(node, _)| component.is_operation(*node)).collect();
    let node_at = |place: usize| path[place % path.len()].0 as usize;
    let mut reached = vec![Reached { steps: 0, from: 0, reason: path[0].1 }];
    let mut ended = Ended::default();
    let mut ended_of_process: BTreeMap<u32, Ended> = BTreeMap::new();
    for place in 1..=path.len() {
        let node = node_at(place);
        let (began, ends) = component.times[node];
        let of_process = ended_of_process.entry(component.processes[node]).or_default();
        let step = |(steps, from), reason| Reached { steps: steps + 1, from, reason };
        let along = step((reached[place - 1].steps, place - 1), path[place - 1].1);
        let jumps = [(&*of_process, EdgeReason::Process), (&ended, EdgeReason::Realtime)];
        let best = jumps
            .into_iter()
            .filter(|(_, reason)| rule.mask.has(*reason))
            .filter_map(|(ended, reason)| Some(step(ended.fewest_before(began)?, reason)))
            .fold(along, |best, jump| if jump.steps < best.steps { jump } else { best });
        reached.push(best);
        ended.insert(ends, best.steps, place);
        of_process.insert(ends, best.steps, place);
    }
    let mut short = Vec::new();
    let mut place = path.len();
    while place > 0 {
        let Reached { from, reason, .. } = reached[place];
        short.push((path[from].0, reason));
        place = from;
    }
    short.reverse();
    short
}

/// Places by the time at which their operations ended, only those of which none that ended earlier
/// was reached in as few steps: the later, the fewer.
#[derive(Default)]
struct Ended(BTreeMap<u32, (u32, usize)>);

impl Ended {
    /// The steps to the place that was reached in the fewest of those that ended before, and it.
    fn fewest_before(&self, time: u32) -> Option<(u32, usize)> {
        self.0.range(..time).next_back().map(|(_, known)| *known)
    }

    fn insert(&mut self, time: u32, steps: u32, place: usize) {
        let is_fewest = |known: Option<(u32, usize)>| known.is_none_or(|(known, _)| steps < known);
        if !is_fewest(self.0.range(..=time).next_back().map(|(_, known)| *known)) {
            return;
        }
        while let Some((&later, &(known, _))) = self.0.range(time..).next()
            && steps <= known
        {
            self.0.remove(&later);
        }
        self.0.insert(time, (steps, place));
    }
}

/// The shortest cycle among the operations of one.
fn shortest_among(component: &Component, cycle: &[(u32, EdgeReason)], rule: Rule) -> Cycle {
    let mut operations: Vec<u32> = cycle.iter().map(|(node, _)| *node).collect();
    operations.sort_unstable();
    operations.dedup();
    let small = cut_out(component, &operations);
    let all: Vec<u32> = (0..operations.len() as u32).collect();
    let starts = starts(&small, &all, &rule, |_| true);
    let states = operations.len() * 2;
    let (everywhere, mut scratch) = (vec![0; states], Scratch::new(states));
    let mut walk = Walk::new(&small.graph, rule, (&everywhere, 0), &mut scratch);
    let shortest = walk.shortest(&starts).expect("the operations of a cycle hold a cycle");
    shortest.into_iter().map(|(node, reason)| (operations[node as usize], reason)).collect()
}

/// Some operations, sorted, with an edge for each pair that process or real time orders.
fn cut_out(component: &Component, operations: &[u32]) -> Component {
    let times: Vec<(u32, u32)> = operations.iter().map(|&n| component.times[n as usize]).collect();
    let processes: Vec<u32> = operations.iter().map(|&n| component.processes[n as usize]).collect();
    let moments = times.iter().map(|(began, _)| *began).collect();
    let mut edges = EdgeList::default();
    for (from, &node) in operations.iter().enumerate() {
        for (target, reason) in component.graph.edges(node) {
            if let Ok(to) = operations.binary_search(&target) {
                edges.push(from as u32, to as u32, reason);
            }
        }
        for to in (0..operations.len()).filter(|&to| times[from].1 < times[to].0) {
            if processes[from] == processes[to] {
                edges.push(from as u32, to as u32, EdgeReason::Process);
            }
            edges.push(from as u32, to as u32, EdgeReason::Realtime);
        }
    }
    Component { graph: Graph::new(operations.len(), &[edges]), times, processes, moments }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::{CycleClass, Family};
    use EdgeReason::{Process, ReadWrite, Realtime, WriteRead};

    /// Operations one after the other, each read by the next, of two processes by turns; the last
    /// did not see what the first wrote.
    fn chain(length: u32) -> (Component, Cycle) {
        let mut edges = EdgeList::default();
        let mut cycle = vec![(length - 1, ReadWrite)];
        for node in 0..length - 1 {
            edges.push(node, node + 1, WriteRead);
            cycle.push((node, WriteRead));
        }
        edges.push(length - 1, 0, ReadWrite);
        let graph = Graph::new(length as usize, &[edges]);
        let times = (0..length).map(|node| (2 * node, 2 * node + 1)).collect();
        let processes = (0..length).map(|node| node % 2).collect();
        let moments = (0..length).map(|node| 2 * node).collect();
        (Component { graph, times, processes, moments }, cycle)
    }

    #[test]
    fn a_cycle_jumps_by_the_order_that_its_rule_knows() {
        for length in [10, 100_000] {
            let (component, cycle) = chain(length);
            let short =
                |family| shortened(&component, &cycle, Rule::new(family, CycleClass::GSingle));
            let last = length - 1;
            assert_eq!(short(Family::Realtime), [(last, ReadWrite), (0, Realtime)]);
            let by_process = short(Family::Process);
            assert_eq!(by_process.len(), 3, "{by_process:?}");
            assert_eq!(by_process.iter().filter(|(_, reason)| *reason == Process).count(), 1);
        }
    }

    #[test]
    fn without_order_a_long_cycle_stays_as_it_is() {
        let (component, cycle) = chain(1000);
        let rule = Rule::new(Family::Plain, CycleClass::GSingle);
        assert_eq!(shortened(&component, &cycle, rule), cycle);
    }

    #[test]
    fn of_places_that_ended_those_of_few_steps_are_known() {
        let mut ended = Ended::default();
        for (time, steps, place) in [(5, 3, 1), (9, 2, 2), (7, 3, 3), (12, 2, 4), (8, 1, 5)] {
            ended.insert(time, steps, place);
        }
        let before = |time| ended.fewest_before(time);
        assert_eq!(
            [5, 6, 8, 9, 100].map(before),
            [None, Some((3, 1)), Some((3, 1)), Some((1, 5)), Some((1, 5))]
        );
    }
}
