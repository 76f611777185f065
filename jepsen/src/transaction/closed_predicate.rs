//! Predicate reads in a closed universe: each key changes at most once.
//!
//! A read of all keys that match a predicate chooses a version of *every* key, also of those that
//! it does not return. Which, is known by elimination: a key has few versions, and one that
//! matches would have been returned.
//!
//! ```text
//!   x: unborn ─▶ 1 ─▶ dead       read where = 1 gives {}: it chose unborn or dead
//!   y: 0 (from the beginning) ─▶ 1                         it chose y = 0
//!
//!   ww   the writer of a version ─▶ the writer of the next
//!   wr   the writer of the version that was read or chosen ─▶ the reader
//!   rw   the reader of a version, also as a row that matched ─▶ the writer of the next
//!   rwp  the reader of a predicate ─▶ the writer of a later version of a key it did not return,
//!        where the one matches that did not
//! ```
//!
//! The history begins with an `:init` that says what is there, if anything; it is trusted to be
//! there. This is Elle's closed-predicate workload, after Adya, *Weak Consistency* (1999), section
//! 3.1.2: only here can an anti-dependency be one of a predicate, and only here can there be G2
//! beyond G2-item, and their kin G-single-predicate and G-nonadjacent-predicate. Every predicate
//! read costs the number of keys.

use std::collections::BTreeMap;

use super::cycles::cyclic_anomalies;
use super::story::{anomaly, tell};
use crate::graph::EdgeList;
use crate::history::{
    Atom, Function, History, KeyId, OperationId, Outcome, PackedStep, Predicate, RowRead, StepKind,
};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, EdgeReason, Verdict};

/// Checks a history of writes, inserts, deletes, reads of keys and predicate reads.
///
/// # Errors
/// Where an operation does anything else, a key is changed twice or to the value that it had, or
/// there are two inits.
pub fn check_closed_predicate(
    history: &History,
    options: &CheckOptions,
) -> Result<Verdict, CheckError> {
    let universe = Universe::new(history)?;
    let mut checker = Checker { history, universe, edges: Vec::new(), found: Vec::new() };
    checker.relate_writes();
    for (id, steps) in history.committed() {
        checker.take_reads(id, steps);
    }
    let mut list = EdgeList::default();
    for edge in &checker.edges {
        list.push(edge.from.0, edge.to.0, edge.reason);
    }
    let (cyclic, mut statistics) = cyclic_anomalies(history, vec![list]);
    statistics.keys = checker.universe.keys.iter().filter(|key| key.all.len() > 1).count();
    let mut found = std::mem::take(&mut checker.found);
    found.extend(cyclic);
    let explain = |from, to, reason| checker.explain(from, to, reason);
    Ok(tell(history, found, statistics, options, &explain))
}

/// A state of a key; nil where it is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Version {
    value: Atom,
    /// `None` for the unborn version.
    writer: Option<OperationId>,
}

/// All versions of a key: unborn, what the init wrote, and what the one change made of it.
struct Versions {
    all: Vec<Version>,
    /// The first version that a read may choose: the init's, where it wrote the key.
    first: usize,
}

impl Versions {
    fn new() -> Versions {
        Versions { all: vec![Version { value: Atom::NIL, writer: None }], first: 0 }
    }

    /// The place of the only version a read can have chosen, if there is only one.
    fn only(&self, fits: impl Fn(Atom) -> bool) -> Option<usize> {
        let mut places = (self.first..self.all.len()).filter(|&place| fits(self.all[place].value));
        places.next().filter(|_| places.next().is_none())
    }

    /// Whether the key was given one value twice, so that reads do not tell which they saw.
    fn repeat(&self) -> bool {
        self.all.len() > 2 && self.all[1].value == self.all[2].value
    }

    fn place_of(&self, value: Atom) -> Option<usize> {
        self.all.iter().position(|version| version.value == value)
    }
}

/// The versions of all keys.
struct Universe {
    keys: Vec<Versions>,
    /// What failed operations would have written.
    aborted: BTreeMap<(KeyId, Atom), OperationId>,
}

impl Universe {
    fn new(history: &History) -> Result<Universe, CheckError> {
        let mut keys: Vec<Versions> = Vec::new();
        keys.resize_with(history.key_count(), Versions::new);
        let mut universe = Universe { keys, aborted: BTreeMap::new() };
        let mut init: Option<OperationId> = None;
        for (id, operation) in history.operations() {
            let is_init = operation.function == Function::Init;
            if is_init && let Some(before) = init.replace(id) {
                return Err(CheckError(format!("T{} and T{} are both an init", before.0, id.0)));
            }
            for step in history.steps_of(operation) {
                universe.take_step(history, id, step)?;
            }
        }
        if let Some(init) = init {
            universe.put_first(history, init);
        }
        let is_refused =
            |versions: &Versions| versions.all.len() > 2 + versions.first || versions.repeat();
        match universe.keys.iter().position(is_refused) {
            None => Ok(universe),
            Some(key) => Err(universe.refuse(history, KeyId(key as u32))),
        }
    }

    fn take_step(
        &mut self,
        history: &History,
        id: OperationId,
        step: &PackedStep,
    ) -> Result<(), CheckError> {
        match step.kind {
            StepKind::Write | StepKind::Delete => {
                let value = step.atom();
                if history.operation(id).outcome == Outcome::Fail {
                    self.aborted.entry((step.key, value)).or_insert(id);
                } else {
                    let version = Version { value, writer: Some(id) };
                    self.keys[step.key.0 as usize].all.push(version);
                }
                Ok(())
            }
            StepKind::Read | StepKind::ReadUnknown | StepKind::ReadWhere => Ok(()),
            _ => {
                let words = history.describe(id);
                Err(CheckError(format!(
                    "closed-predicate knows writes, inserts, deletes and reads; {words} is \
                     something else"
                )))
            }
        }
    }

    /// Orders what the init wrote before the change of the key, wherever it stands.
    fn put_first(&mut self, history: &History, init: OperationId) {
        for step in history.steps_of(history.operation(init)) {
            let versions = &mut self.keys[step.key.0 as usize];
            let is_inits = |version: &Version| version.writer == Some(init);
            if let Some(place) = versions.all.iter().position(is_inits) {
                versions.all[1..=place].rotate_right(1);
                versions.first = 1;
            }
        }
    }

    fn refuse(&self, history: &History, key: KeyId) -> CheckError {
        let writers = self.versions(key).all.iter().filter_map(|version| version.writer);
        let writers: Vec<String> = writers.map(|id| format!("T{}", id.0)).collect();
        CheckError(format!(
            "{} change {}; a closed-predicate history changes each key once, to a new value",
            writers.join(" and "),
            history.key_name(key)
        ))
    }

    fn versions(&self, key: KeyId) -> &Versions {
        &self.keys[key.0 as usize]
    }
}

/// A step that reads, within its transaction.
#[derive(Clone, Copy)]
struct Reading<'a> {
    id: OperationId,
    steps: &'a [PackedStep],
    index: usize,
}

impl Reading<'_> {
    /// What the transaction itself made of a key in earlier steps; nil where it deleted it.
    fn own(&self, key: KeyId) -> Option<Atom> {
        let change = |step: &&PackedStep| {
            step.key == key && matches!(step.kind, StepKind::Write | StepKind::Delete)
        };
        self.steps[..self.index].iter().rev().find(change).map(|step| step.atom())
    }
}

/// A dependency and the key that shows it.
struct Dependency {
    from: OperationId,
    to: OperationId,
    reason: EdgeReason,
    key: KeyId,
    /// The place of the version that was read or written over.
    place: usize,
    /// Where a predicate read shows it.
    predicate: Option<Predicate>,
}

struct Checker<'a> {
    history: &'a History,
    universe: Universe,
    edges: Vec<Dependency>,
    found: Vec<Anomaly>,
}

impl Checker<'_> {
    fn relate_writes(&mut self) {
        for (key, versions) in self.universe.keys.iter().enumerate() {
            for (place, pair) in versions.all.windows(2).enumerate() {
                if let (Some(from), Some(to)) = (pair[0].writer, pair[1].writer) {
                    let (reason, key) = (EdgeReason::WriteWrite, KeyId(key as u32));
                    self.edges.push(Dependency { from, to, reason, key, place, predicate: None });
                }
            }
        }
    }

    fn take_reads(&mut self, id: OperationId, steps: &[PackedStep]) {
        for (index, step) in steps.iter().enumerate() {
            let reading = Reading { id, steps, index };
            match step.kind {
                StepKind::Read => self.take_value(reading, step.key, step.atom(), None),
                StepKind::ReadWhere => self.take_rows(reading),
                _ => {}
            }
        }
    }

    fn take_rows(&mut self, reading: Reading<'_>) {
        let (id, step) = (reading.id, &reading.steps[reading.index]);
        let history = self.history;
        let Some(RowRead { predicate, rows: Some(rows) }) = history.row_read(step) else {
            return;
        };
        let mut seen: BTreeMap<KeyId, Atom> = BTreeMap::new();
        for [key, value] in rows {
            let key = history.find_key(*key).expect("a history knows the keys of its rows");
            seen.insert(key, *value);
            if predicate.matches(*value) {
                self.take_value(reading, key, *value, Some(*predicate));
            } else {
                let words = format!(
                    "{} of {} does not match the predicate by which T{} read it",
                    self.text(*value),
                    self.history.key_name(key),
                    id.0
                );
                self.add(AnomalyKind::GarbageRead, vec![id], words);
            }
        }
        for key in (0..self.universe.keys.len() as u32).map(KeyId) {
            if !seen.contains_key(&key) && self.universe.versions(key).all.len() > 1 {
                self.take_absence(reading, key, *predicate);
            }
        }
    }

    /// A read of a key, alone or as a row of a predicate read, gave a value.
    fn take_value(
        &mut self,
        reading: Reading<'_>,
        key: KeyId,
        value: Atom,
        predicate: Option<Predicate>,
    ) {
        let id = reading.id;
        if let Some(own) = reading.own(key) {
            if own != value {
                self.add_internal(id, key, own);
            }
            return;
        }
        let versions = self.universe.versions(key);
        let place = match value.is_nil() {
            false => versions.place_of(value),
            true => match versions.only(Atom::is_nil) {
                Some(place) => Some(place),
                None if versions.all[versions.first..].iter().any(|v| v.value.is_nil()) => return,
                // The init is denied: it must have come after.
                None => Some(0),
            },
        };
        let Some(place) = place else {
            self.add_unwritten(id, key, value);
            return;
        };
        if versions.all[place].writer == Some(id) {
            let words = format!(
                "T{} read {} of {} before it wrote it",
                id.0,
                self.text(value),
                self.history.key_name(key)
            );
            self.add(AnomalyKind::FutureRead, vec![id], words);
            return;
        }
        self.depend(id, key, place, predicate);
        if let Some(to) = self.universe.versions(key).all.get(place + 1).and_then(|v| v.writer) {
            let reason = EdgeReason::ReadWrite;
            self.edges.push(Dependency { from: id, to, reason, key, place, predicate });
        }
    }

    /// A predicate read did not return a key.
    fn take_absence(&mut self, reading: Reading<'_>, key: KeyId, predicate: Predicate) {
        let id = reading.id;
        if let Some(own) = reading.own(key) {
            if predicate.matches(own) {
                self.add_internal(id, key, own);
            }
            return;
        }
        let versions = self.universe.versions(key);
        if versions.all[versions.first..].iter().all(|v| predicate.matches(v.value)) {
            let words = format!("all versions of {} match", self.history.key_name(key));
            self.add(AnomalyKind::PredicateReadMiss, vec![id], words);
            return;
        }
        let Some(place) = versions.only(|value| !predicate.matches(value)) else { return };
        if versions.all[place].writer == Some(id) {
            let words =
                format!("T{} read {} before it changed it", id.0, self.history.key_name(key));
            self.add(AnomalyKind::FutureRead, vec![id], words);
            return;
        }
        let later: Vec<OperationId> = versions.all[place + 1..]
            .iter()
            .filter(|version| predicate.matches(version.value))
            .filter_map(|version| version.writer)
            .collect();
        self.depend(id, key, place, Some(predicate));
        for to in later {
            let (reason, predicate) = (EdgeReason::PredicateReadWrite, Some(predicate));
            self.edges.push(Dependency { from: id, to, reason, key, place, predicate });
        }
    }

    /// The reader of a version comes after its writer.
    fn depend(&mut self, to: OperationId, key: KeyId, place: usize, predicate: Option<Predicate>) {
        if let Some(from) = self.universe.versions(key).all[place].writer {
            let reason = EdgeReason::WriteRead;
            self.edges.push(Dependency { from, to, reason, key, place, predicate });
        }
    }

    fn add(&mut self, kind: AnomalyKind, operations: Vec<OperationId>, words: String) {
        self.found.push(anomaly(kind, operations, words));
    }

    fn add_internal(&mut self, id: OperationId, key: KeyId, own: Atom) {
        let (key, own) = (self.history.key_name(key), self.text(own));
        let words = format!("T{} should have read {key} as {own}, after its own steps", id.0);
        self.add(AnomalyKind::Internal, vec![id], words);
    }

    fn add_unwritten(&mut self, id: OperationId, key: KeyId, value: Atom) {
        let (name, text) = (self.history.key_name(key), self.text(value));
        match self.universe.aborted.get(&(key, value)) {
            Some(&by) => {
                let words = format!("{text} was written to {name} by a failed operation");
                self.add(AnomalyKind::G1a, vec![by, id], words);
            }
            None => {
                let words = format!("nobody wrote {text} to {name}");
                self.add(AnomalyKind::GarbageRead, vec![id], words);
            }
        }
    }

    fn text(&self, atom: Atom) -> String {
        self.history.names.text(atom)
    }

    fn explain(&self, from: OperationId, to: OperationId, reason: EdgeReason) -> String {
        let is_it = |edge: &&Dependency| (edge.from, edge.to, edge.reason) == (from, to, reason);
        let edge = self.edges.iter().find(is_it).expect("an edge has a reason");
        let name = self.history.key_name(edge.key);
        let versions = &self.universe.versions(edge.key).all;
        let state = |place: usize| match versions[place] {
            Version { value, .. } if !value.is_nil() => self.text(value),
            Version { writer: None, .. } => "not there yet".to_string(),
            Version { .. } => "deleted".to_string(),
        };
        let read = match edge.predicate {
            None => format!("read {name} as {}", state(edge.place)),
            Some(predicate) => {
                let question = predicate.words(&self.history.names);
                format!("read {question} and so chose {name} as {}", state(edge.place))
            }
        };
        match reason {
            EdgeReason::WriteRead => format!("T{} {read}, by T{}", to.0, from.0),
            EdgeReason::WriteWrite => {
                let (before, after) = (state(edge.place), state(edge.place + 1));
                format!("T{} made {name} {after}, which T{} had made {before}", to.0, from.0)
            }
            _ => format!("T{} {read}, which T{} made {}", from.0, to.0, state(edge.place + 1)),
        }
    }
}
