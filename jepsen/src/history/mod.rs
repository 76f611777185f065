//! A history: what each process asked, what it was told, and in which order that happened.
//!
//! An *operation* begins with an invocation and ends with `ok`, `fail` (it certainly did not
//! happen), `info` (nobody knows), or not at all (as `info`). The position of those events in the
//! history is its real time: `a` precedes `b` if `a` ended before `b` began. An operation is a
//! list of *steps* (Elle's micro-operations) on keys.
//!
//! ```text
//!   event     0        1        2        3
//!   process 0 ├─ append x 1 ────┤ ok
//!   process 1          ├─ read x ────────┤ ok [1]
//! ```
//!
//! A history of ten million transactions must fit in memory with every list that was read. Since
//! almost every list read is a prefix of a longer one of the same key, a history keeps the longest
//! list of each key and for each read only a length; lists that fit nowhere are kept aside, and
//! are an anomaly each.

mod atom;
mod predicate;
pub mod read;
pub mod write;

use std::ops::Range;

pub use atom::{Atom, Names};
pub(crate) use atom::{AtomHasher, Dense, Lookup};
pub use predicate::Predicate;

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It happened, and its values are what the process saw.
    Ok,
    /// It did not happen and never will.
    Fail,
    /// It may have happened, may happen later, or never.
    Info,
}

/// What an operation is for, as far as a writer must repeat it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Transaction,
    Read,
    Write,
    CompareAndSet,
    Add,
    Transfer,
    Generate,
    /// Says what is there before everything else.
    Init,
}

/// One step of an operation, as callers give and get it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// A read of a register; `None` where the answer is not known.
    Read {
        key: Atom,
        value: Option<Atom>,
    },
    /// A read of a list or a set.
    ReadList {
        key: Atom,
        elements: &'a [Atom],
    },
    Write {
        key: Atom,
        value: Atom,
    },
    Append {
        key: Atom,
        value: Atom,
    },
    CompareAndSet {
        key: Atom,
        old: Atom,
        new: Atom,
    },
    Debit {
        key: Atom,
        amount: Atom,
    },
    Credit {
        key: Atom,
        amount: Atom,
    },
    /// A value handed out that should be unique.
    Generate {
        value: Atom,
    },
    Delete {
        key: Atom,
    },
    /// A read of all keys whose values match; `rows` are they, or `None` where the answer is not
    /// known.
    ReadWhere {
        predicate: Predicate,
        rows: Option<&'a [[Atom; 2]]>,
    },
}

impl Step<'_> {
    /// What is asked, without an answer.
    fn asked(self) -> Self {
        match self {
            Step::Read { key, .. } | Step::ReadList { key, .. } => Step::Read { key, value: None },
            Step::ReadWhere { predicate, .. } => Step::ReadWhere { predicate, rows: None },
            other => other,
        }
    }
}

/// The place of an operation in its history, in order of invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(pub u32);

/// A key by order of first sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyId(pub u32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StepKind {
    ReadUnknown,
    Read,
    /// The value is a length: the elements are that many first ones of the key's longest list.
    ReadPrefix,
    /// The value is an index into `History::stray_lists`.
    ReadStray,
    Write,
    Append,
    /// Always followed by a `Swap` of the same key.
    Compare,
    Swap,
    Debit,
    Credit,
    Generate,
    Delete,
    /// The value is an index into `History::row_reads`.
    ReadWhere,
}

/// What a predicate read asked for and saw.
#[derive(Clone, Debug)]
pub(crate) struct RowRead {
    pub predicate: Predicate,
    pub rows: Option<Box<[[Atom; 2]]>>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PackedStep {
    value: i64,
    pub key: KeyId,
    pub kind: StepKind,
}

impl PackedStep {
    pub fn atom(&self) -> Atom {
        Atom::from_bits(self.value)
    }

    pub fn length(&self) -> usize {
        self.value as usize
    }
}

/// An event that never came.
pub(crate) const NEVER: u32 = u32::MAX;

#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub process: u32,
    /// The position of the invocation among all events.
    pub invoked: u32,
    /// The position of the end among all events, or `NEVER`.
    pub completed: u32,
    first_step: u32,
    step_count: u32,
    pub outcome: Outcome,
    pub function: Function,
    pub invoked_ns: i64,
    pub completed_ns: i64,
}

impl Operation {
    /// The moment after which the effects are certain: never for an unknown outcome.
    pub fn deadline(&self) -> u32 {
        if self.outcome == Outcome::Ok { self.completed } else { NEVER }
    }
}

/// Operations in order of invocation. See the module's page.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub(crate) names: Names,
    processes: Dense,
    keys: Dense,
    operations: Vec<Operation>,
    steps: Vec<PackedStep>,
    /// For each key, the longest list read of which all `ReadPrefix` are a prefix.
    longest: Vec<Vec<Atom>>,
    stray_lists: Vec<Box<[Atom]>>,
    row_reads: Vec<RowRead>,
    event_count: u32,
}

impl History {
    pub fn new() -> History {
        History::default()
    }

    /// The atom of a text, for keys and values that are not integers.
    pub fn name(&mut self, text: &str) -> Atom {
        self.names.intern(text)
    }

    /// Begins an operation. Its outcome is unknown until [`History::complete`] says otherwise, and
    /// so is what its steps read, whatever they say.
    pub fn invoke(
        &mut self,
        process: Atom,
        time_ns: i64,
        function: Function,
        steps: &[Step<'_>],
    ) -> OperationId {
        self.begin(process, time_ns, function, steps.iter().copied())
    }

    pub(crate) fn begin<'a>(
        &mut self,
        process: Atom,
        time_ns: i64,
        function: Function,
        steps: impl Iterator<Item = Step<'a>>,
    ) -> OperationId {
        let id = OperationId(self.operations.len() as u32);
        let invoked = self.next_event();
        let process = self.processes.index(process);
        let first_step = self.steps.len() as u32;
        self.push_steps(steps.map(Step::asked));
        self.operations.push(Operation {
            process,
            invoked,
            completed: NEVER,
            first_step,
            step_count: self.steps.len() as u32 - first_step,
            outcome: Outcome::Info,
            function,
            invoked_ns: time_ns,
            completed_ns: time_ns,
        });
        id
    }

    /// Ends an operation. With `Ok`, `steps` are what happened and replace those of the invocation;
    /// with `Fail` and `Info` those of the invocation stay and `steps` are not looked at.
    ///
    /// # Panics
    /// Where the operation was completed before.
    pub fn complete(
        &mut self,
        id: OperationId,
        time_ns: i64,
        outcome: Outcome,
        steps: &[Step<'_>],
    ) {
        self.end(id, time_ns, outcome, steps.iter().copied());
    }

    pub(crate) fn end<'a>(
        &mut self,
        id: OperationId,
        time_ns: i64,
        outcome: Outcome,
        steps: impl Iterator<Item = Step<'a>>,
    ) {
        let event = self.next_event();
        let operation = &mut self.operations[id.0 as usize];
        assert!(operation.completed == NEVER, "operation {} completed twice", id.0);
        operation.completed = event;
        operation.completed_ns = time_ns;
        operation.outcome = outcome;
        if outcome == Outcome::Ok {
            self.replace_steps(id, steps);
        }
    }

    fn next_event(&mut self) -> u32 {
        let event = self.event_count;
        assert!(event < NEVER - 1, "a history holds fewer than 2^32 events");
        self.event_count += 1;
        event
    }

    /// Steps of a transaction keep their number, so they are written over in place.
    fn replace_steps<'a>(&mut self, id: OperationId, steps: impl Iterator<Item = Step<'a>>) {
        let start = self.steps.len() as u32;
        self.push_steps(steps);
        let count = self.steps.len() as u32 - start;
        let operation = &mut self.operations[id.0 as usize];
        if count == operation.step_count {
            let first = operation.first_step as usize;
            self.steps.copy_within(start as usize.., first);
            self.steps.truncate(start as usize);
        } else {
            operation.first_step = start;
            operation.step_count = count;
        }
    }

    fn push_steps<'a>(&mut self, steps: impl Iterator<Item = Step<'a>>) {
        for step in steps {
            match step {
                Step::Read { key, value: None } => {
                    self.push(key, StepKind::ReadUnknown, Atom::NIL);
                }
                Step::Read { key, value: Some(value) } => self.push(key, StepKind::Read, value),
                Step::ReadList { key, elements } => self.push_list(key, elements),
                Step::Write { key, value } => self.push(key, StepKind::Write, value),
                Step::Append { key, value } => self.push(key, StepKind::Append, value),
                Step::CompareAndSet { key, old, new } => {
                    self.push(key, StepKind::Compare, old);
                    self.push(key, StepKind::Swap, new);
                }
                Step::Debit { key, amount } => self.push(key, StepKind::Debit, amount),
                Step::Credit { key, amount } => self.push(key, StepKind::Credit, amount),
                Step::Generate { value } => self.push(Atom::NIL, StepKind::Generate, value),
                Step::Delete { key } => self.push(key, StepKind::Delete, Atom::NIL),
                Step::ReadWhere { predicate, rows } => self.push_row_read(predicate, rows),
            }
        }
        assert!(self.steps.len() < u32::MAX as usize, "a history holds fewer than 2^32 steps");
    }

    fn push(&mut self, key: Atom, kind: StepKind, value: Atom) {
        let key = self.key_id(key);
        self.steps.push(PackedStep { value: value.bits(), key, kind });
    }

    fn push_list(&mut self, key: Atom, elements: &[Atom]) {
        let key = self.key_id(key);
        let longest = &mut self.longest[key.0 as usize];
        let shared = longest.len().min(elements.len());
        let (kind, value) = if longest[..shared] == elements[..shared] {
            longest.extend_from_slice(&elements[shared..]);
            (StepKind::ReadPrefix, elements.len())
        } else {
            self.stray_lists.push(elements.into());
            (StepKind::ReadStray, self.stray_lists.len() - 1)
        };
        self.steps.push(PackedStep { value: value as i64, key, kind });
    }

    fn push_row_read(&mut self, predicate: Predicate, rows: Option<&[[Atom; 2]]>) {
        for [key, _] in rows.unwrap_or_default() {
            self.key_id(*key);
        }
        self.row_reads.push(RowRead { predicate, rows: rows.map(Into::into) });
        let key = self.key_id(Atom::NIL);
        let value = (self.row_reads.len() - 1) as i64;
        self.steps.push(PackedStep { value, key, kind: StepKind::ReadWhere });
    }

    pub(crate) fn key_id(&mut self, key: Atom) -> KeyId {
        let id = self.keys.index(key);
        if self.longest.len() <= id as usize {
            self.longest.push(Vec::new());
        }
        KeyId(id)
    }

    pub fn operation_count(&self) -> usize {
        self.operations.len()
    }

    pub fn event_count(&self) -> usize {
        self.event_count as usize
    }

    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn key_atom(&self, key: KeyId) -> Atom {
        self.keys.atom(key.0)
    }

    pub(crate) fn key_name(&self, key: KeyId) -> String {
        self.names.text(self.key_atom(key))
    }

    pub(crate) fn find_key(&self, key: Atom) -> Option<KeyId> {
        self.keys.find(key).map(KeyId)
    }

    pub(crate) fn process_atom(&self, process: u32) -> Atom {
        self.processes.atom(process)
    }

    pub(crate) fn longest(&self, key: KeyId) -> &[Atom] {
        &self.longest[key.0 as usize]
    }

    /// Whether any list was read that neither begins nor continues the longest of its key.
    pub(crate) fn has_stray_lists(&self) -> bool {
        !self.stray_lists.is_empty()
    }

    pub(crate) fn operation(&self, id: OperationId) -> &Operation {
        &self.operations[id.0 as usize]
    }

    pub(crate) fn operations(&self) -> impl Iterator<Item = (OperationId, &Operation)> {
        self.operations.iter().enumerate().map(|(index, op)| (OperationId(index as u32), op))
    }

    /// The operations that certainly happened, with their steps.
    pub(crate) fn committed(&self) -> impl Iterator<Item = (OperationId, &[PackedStep])> {
        self.committed_of(0..self.operations.len() as u32)
    }

    /// Those of a range of operations.
    pub(crate) fn committed_of(
        &self,
        range: Range<u32>,
    ) -> impl Iterator<Item = (OperationId, &[PackedStep])> {
        range.map(OperationId).filter_map(|id| {
            let operation = self.operation(id);
            (operation.outcome == Outcome::Ok).then(|| (id, self.steps_of(operation)))
        })
    }

    pub(crate) fn steps_of(&self, operation: &Operation) -> &[PackedStep] {
        let first = operation.first_step as usize;
        &self.steps[first..first + operation.step_count as usize]
    }

    /// The elements a list step saw; `None` for other steps. A read of nil is an empty list.
    pub(crate) fn elements(&self, step: &PackedStep) -> Option<&[Atom]> {
        match step.kind {
            StepKind::ReadPrefix => Some(&self.longest(step.key)[..step.length()]),
            StepKind::ReadStray => Some(&self.stray_lists[step.length()]),
            StepKind::Read if step.atom().is_nil() => Some(&[]),
            _ => None,
        }
    }

    /// What a predicate read asked for and saw; `None` for other steps.
    pub(crate) fn row_read(&self, step: &PackedStep) -> Option<&RowRead> {
        (step.kind == StepKind::ReadWhere).then(|| &self.row_reads[step.value as usize])
    }

    /// How an operation ended; `Info` where it has not.
    pub fn outcome(&self, id: OperationId) -> Outcome {
        self.operation(id).outcome
    }

    /// The steps of an operation as they were given.
    pub fn steps(&self, id: OperationId) -> Vec<Step<'_>> {
        self.unpack(self.steps_of(self.operation(id)))
    }

    fn unpack<'a>(&'a self, packed: &'a [PackedStep]) -> Vec<Step<'a>> {
        let mut steps = Vec::with_capacity(packed.len());
        for (index, step) in packed.iter().enumerate() {
            let key = self.key_atom(step.key);
            let value = step.atom();
            steps.push(match step.kind {
                StepKind::ReadUnknown => Step::Read { key, value: None },
                StepKind::Read => Step::Read { key, value: Some(value) },
                StepKind::ReadPrefix | StepKind::ReadStray => {
                    let elements = self.elements(step).expect("a list step has elements");
                    Step::ReadList { key, elements }
                }
                StepKind::Write => Step::Write { key, value },
                StepKind::Append => Step::Append { key, value },
                StepKind::Compare => {
                    Step::CompareAndSet { key, old: value, new: packed[index + 1].atom() }
                }
                StepKind::Swap => continue,
                StepKind::Debit => Step::Debit { key, amount: value },
                StepKind::Credit => Step::Credit { key, amount: value },
                StepKind::Generate => Step::Generate { value },
                StepKind::Delete => Step::Delete { key },
                StepKind::ReadWhere => {
                    let RowRead { predicate, rows } = &self.row_reads[step.value as usize];
                    Step::ReadWhere { predicate: *predicate, rows: rows.as_deref() }
                }
            });
        }
        steps
    }

    /// One line about an operation: `T3 (process 1, events 4–7, ok): append x 1, read y [2]`.
    pub fn describe(&self, id: OperationId) -> String {
        let operation = self.operation(id);
        let end = match operation.completed {
            NEVER => "…".to_string(),
            event => event.to_string(),
        };
        let outcome = match operation.outcome {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        };
        format!(
            "T{} (process {}, events {}–{end}, {outcome}): {}",
            id.0,
            self.names.text(self.process_atom(operation.process)),
            operation.invoked,
            self.describe_steps(id)
        )
    }

    /// A line each about some operations, and how many more there are.
    pub(crate) fn describe_all(&self, ids: &[OperationId]) -> Vec<String> {
        const TOLD_MAX: usize = 40;
        let mut lines: Vec<String> =
            ids.iter().take(TOLD_MAX).map(|&id| self.describe(id)).collect();
        if ids.len() > TOLD_MAX {
            lines.push(format!("… and {} more", ids.len() - TOLD_MAX));
        }
        lines
    }

    /// The steps of an operation in words.
    pub fn describe_steps(&self, id: OperationId) -> String {
        let words: Vec<String> = self.steps(id).iter().map(|s| self.step_words(s)).collect();
        words.join(", ")
    }

    fn step_words(&self, step: &Step<'_>) -> String {
        let text = |atom: &Atom| self.names.text(*atom);
        let named = |key: &Atom| if key.is_nil() { String::new() } else { text(key) + " " };
        match step {
            Step::Read { key, value: None } => format!("read {}?", named(key)),
            Step::Read { key, value: Some(value) } => format!("read {}{}", named(key), text(value)),
            Step::ReadList { key, elements } => {
                format!("read {}{}", named(key), self.list_words(elements))
            }
            Step::Write { key, value } => format!("write {}{}", named(key), text(value)),
            Step::Append { key, value } => format!("append {}{}", named(key), text(value)),
            Step::CompareAndSet { key, old, new } => {
                format!("cas {}{} → {}", named(key), text(old), text(new))
            }
            Step::Debit { key, amount } => format!("debit {}{}", named(key), text(amount)),
            Step::Credit { key, amount } => format!("credit {}{}", named(key), text(amount)),
            Step::Generate { value } => format!("generate {}", text(value)),
            Step::Delete { key } => format!("delete {}", text(key)),
            Step::ReadWhere { predicate, rows } => {
                let question = predicate.words(&self.names);
                let Some(rows) = rows else { return format!("read {question}?") };
                let rows: Vec<String> =
                    rows.iter().map(|[key, value]| text(key) + " " + &text(value)).collect();
                format!("read {question} {{{}}}", rows.join(", "))
            }
        }
    }

    /// A list in brackets, its middle left out where it is long.
    pub(crate) fn list_words(&self, elements: &[Atom]) -> String {
        const ENDS: usize = 6;
        let texts = |part: &[Atom]| {
            part.iter().map(|&atom| self.names.text(atom)).collect::<Vec<_>>().join(" ")
        };
        if elements.len() <= 2 * ENDS + 1 {
            return format!("[{}]", texts(elements));
        }
        let (head, tail) = (&elements[..ENDS], &elements[elements.len() - ENDS..]);
        format!("[{} … {} ({} elements)]", texts(head), texts(tail), elements.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn atoms(numbers: &[i64]) -> Vec<Atom> {
        numbers.iter().map(|&n| Atom::from(n)).collect()
    }

    #[test]
    fn lists_are_kept_once_and_given_back_as_they_were_read() {
        let mut history = History::new();
        let key = history.name(":x");
        let lists = [vec![1, 2], vec![1], vec![1, 2, 3], vec![2], vec![]];
        let mut ids = Vec::new();
        for list in &lists {
            let read = Step::Read { key, value: None };
            let id = history.invoke(Atom::from(0), 0, Function::Transaction, &[read]);
            let elements = &atoms(list);
            history.complete(id, 1, Outcome::Ok, &[Step::ReadList { key, elements }]);
            ids.push(id);
        }
        for (list, &id) in lists.iter().zip(&ids) {
            assert_eq!(history.steps(id), vec![Step::ReadList { key, elements: &atoms(list) }]);
        }
        assert_eq!(history.steps.len(), lists.len(), "steps are replaced in place");
        assert_eq!(history.stray_lists.len(), 1, "only [2] is no prefix");
        assert_eq!(history.describe(ids[0]), "T0 (process 0, events 0–1, ok): read :x [1 2]");
    }

    #[test]
    fn what_an_invocation_claims_to_read_is_not_believed() {
        let mut history = History::new();
        let key = history.name(":x");
        let claim = atoms(&[1, 2]);
        for (outcome, seen) in [(Outcome::Fail, &[][..]), (Outcome::Ok, &[1, 3])] {
            let asked = Step::ReadList { key, elements: &claim };
            let id = history.invoke(Atom::from(0), 0, Function::Transaction, &[asked]);
            assert_eq!(history.steps(id), [Step::Read { key, value: None }]);
            let answer = atoms(seen);
            history.complete(id, 1, outcome, &[Step::ReadList { key, elements: &answer }]);
        }
        assert!(!history.has_stray_lists());
        assert_eq!(history.longest(KeyId(0)), atoms(&[1, 3]));
    }

    #[test]
    fn an_operation_that_never_ends_is_unknown() {
        let mut history = History::new();
        let step = Step::CompareAndSet { key: Atom::NIL, old: Atom::from(1), new: Atom::from(2) };
        let id = history.invoke(Atom::from(3), 0, Function::CompareAndSet, &[step]);
        assert_eq!(history.outcome(id), Outcome::Info);
        assert_eq!(history.steps(id), vec![step]);
        assert_eq!(history.describe(id), "T0 (process 3, events 0–…, info): cas 1 → 2");
    }
}
