//! Sets that only grow: an element that was added, or was read once, is in every later read.

use crate::history::{Atom, History, KeyId, Lookup, OperationId, Outcome, StepKind};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, Statistics, Verdict};

/// What is known of one element.
struct Element {
    atom: Atom,
    added_by: OperationId,
    /// Whether some add of it may have happened, and when the first such began.
    possible_from: Option<u32>,
    /// The event after which it is certainly there, and the operation that shows it.
    certain: Option<(u32, OperationId)>,
}

/// One set.
#[derive(Default)]
struct Set {
    elements: Vec<Element>,
    index: Lookup<Atom, u32>,
    reads: Vec<(OperationId, Vec<Atom>)>,
}

/// The event after which an element is certainly there, the operation that shows it, and it.
type Known = (u32, OperationId, Atom);

/// Checks every set of a history.
///
/// # Errors
/// Where an operation is no add (or append) and no read of a collection.
pub fn check_set(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    let mut sets: Vec<Set> = Vec::new();
    sets.resize_with(history.key_count(), Set::default);
    for (id, operation) in history.operations() {
        for step in history.steps_of(operation) {
            let set = &mut sets[step.key.0 as usize];
            match (step.kind, history.elements(step)) {
                (StepKind::Append, _) => set.add(history, id, step.atom()),
                (StepKind::ReadUnknown, _) => {}
                (_, Some(elements)) if operation.outcome == Outcome::Ok => {
                    set.reads.push((id, elements.to_vec()));
                }
                (_, Some(_)) => {}
                (_, None) => {
                    let words = history.describe(id);
                    return Err(CheckError(format!("no operation of a set: {words}")));
                }
            }
        }
    }
    let mut found = Vec::new();
    for (key, set) in sets.iter_mut().enumerate() {
        set.check(history, KeyId(key as u32), &mut found);
    }
    let statistics = Statistics {
        operations: history.operation_count(),
        keys: sets.len(),
        ..Statistics::default()
    };
    Ok(Verdict::new(found, options, &[], statistics))
}

impl Set {
    fn add(&mut self, history: &History, id: OperationId, atom: Atom) {
        let operation = history.operation(id);
        let index = *self.index.entry(atom).or_insert(self.elements.len() as u32);
        if index as usize == self.elements.len() {
            self.elements.push(Element { atom, added_by: id, possible_from: None, certain: None });
        }
        let element = &mut self.elements[index as usize];
        if operation.outcome == Outcome::Fail {
            return;
        }
        if element.possible_from.is_none() {
            element.possible_from = Some(operation.invoked);
            element.added_by = id;
        }
        element.learn(operation.deadline(), id);
    }

    fn check(&mut self, history: &History, key: KeyId, found: &mut Vec<Anomaly>) {
        for (id, elements) in &mut self.reads {
            find_duplicates(history, *id, elements, found);
            let completed = history.operation(*id).completed;
            for atom in elements.iter() {
                let known = self.index.get(atom).map(|&index| &mut self.elements[index as usize]);
                match known {
                    Some(element) if element.possible_from.is_some_and(|at| at < completed) => {
                        element.learn(completed, *id);
                    }
                    unexpected => {
                        let element = unexpected.map(|element| &*element);
                        found.push(tell_unexpected(history, *id, *atom, element));
                    }
                }
            }
        }
        let mut certain: Vec<Known> = self
            .elements
            .iter()
            .filter_map(|element| element.certain.map(|(at, by)| (at, by, element.atom)))
            .collect();
        certain.sort_unstable();
        for (id, elements) in &self.reads {
            let invoked = history.operation(*id).invoked;
            let known = certain.partition_point(|(at, ..)| *at < invoked);
            let is_lost = |(.., atom): &Known| elements.binary_search(atom).is_err();
            // An element is lost once, however often it is missed.
            for (_, shown_by, atom) in certain.extract_if(..known, |known| is_lost(known)) {
                found.push(tell_lost(history, key, *id, shown_by, atom));
            }
        }
    }
}

impl Element {
    fn learn(&mut self, at: u32, by: OperationId) {
        if self.certain.is_none_or(|(known, _)| at < known) {
            self.certain = Some((at, by));
        }
    }
}

/// Leaves the elements sorted.
fn find_duplicates(
    history: &History,
    id: OperationId,
    elements: &mut [Atom],
    found: &mut Vec<Anomaly>,
) {
    elements.sort_unstable();
    for pair in elements.windows(2).filter(|pair| pair[0] == pair[1]) {
        let name = history.names.text(pair[0]);
        let story = vec![history.describe(id), format!("{name} is in it twice")];
        let kind = AnomalyKind::DuplicateElements;
        found.push(Anomaly { kind, operations: vec![id], story, cycle: Vec::new() });
    }
}

fn tell_unexpected(
    history: &History,
    id: OperationId,
    atom: Atom,
    element: Option<&Element>,
) -> Anomaly {
    let name = history.names.text(atom);
    let mut operations = vec![id];
    let mut story = vec![history.describe(id)];
    match element {
        None => story.push(format!("nobody added {name}")),
        Some(element) => {
            operations.push(element.added_by);
            story.push(history.describe(element.added_by));
            let begun_later = element.possible_from.is_some();
            story.push(match begun_later {
                true => format!("{name} was read before its add began"),
                false => format!("the add of {name} failed"),
            });
        }
    }
    Anomaly { kind: AnomalyKind::UnexpectedElement, operations, story, cycle: Vec::new() }
}

fn tell_lost(
    history: &History,
    key: KeyId,
    id: OperationId,
    shown_by: OperationId,
    atom: Atom,
) -> Anomaly {
    let key = history.key_atom(key);
    let of_key =
        if key.is_nil() { String::new() } else { format!(" of {}", history.names.text(key)) };
    let name = history.names.text(atom);
    let story = vec![
        history.describe(shown_by),
        history.describe(id),
        format!("element {name}{of_key} was there before T{} began and is not in it", id.0),
    ];
    let operations = vec![shown_by, id];
    Anomaly { kind: AnomalyKind::LostElement, operations, story, cycle: Vec::new() }
}
