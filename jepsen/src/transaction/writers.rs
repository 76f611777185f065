//! Who wrote each value of each key.

use crate::history::{Atom, History, KeyId, OperationId, Outcome, PackedStep, StepKind};
use crate::verdict::CheckError;

/// Who wrote a value, in one word: the operation, and whether it wrote to the key before and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Writer(u32);

impl Writer {
    /// Nobody wrote it. Neither this nor the next has a bit for a repetition.
    pub const NOBODY: Writer = Writer(u32::MAX << 2);
    /// Only an operation that failed.
    pub const ABORTED: Writer = Writer((u32::MAX - 1) << 2);

    fn new(id: OperationId, is_repeat: bool, is_intermediate: bool) -> Writer {
        assert!(
            id.0 < Writer::ABORTED.0 >> 2,
            "a history of transactions holds fewer than 2^30 of them"
        );
        Writer(id.0 << 2 | u32::from(is_repeat) << 1 | u32::from(is_intermediate))
    }

    /// The operation, unless it is nobody or failed.
    pub fn operation(self) -> Option<OperationId> {
        (self.0 < Writer::ABORTED.0).then_some(OperationId(self.0 >> 2))
    }

    /// Whether the operation wrote to the key before.
    pub fn is_repeat(self) -> bool {
        self.0 >> 1 & 1 == 1
    }

    /// Whether the operation wrote to the key again.
    pub fn is_intermediate(self) -> bool {
        self.0 & 1 == 1
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Write {
    pub value: Atom,
    pub writer: Writer,
    failed_by: Option<OperationId>,
}

/// All writes of a history, by key and value.
pub(super) struct Writers {
    /// Where the writes of each key start; one more at the end.
    starts: Vec<u32>,
    writes: Vec<Write>,
}

impl Writers {
    /// The writes of one kind of step.
    ///
    /// # Errors
    /// Where two operations that did not fail write the same value to the same key: then no read
    /// says which of them it saw.
    pub fn new(history: &History, kind: StepKind) -> Result<Writers, CheckError> {
        let (starts, mut writes) = writes_by_key(history, kind);
        for key in 0..history.key_count() {
            let of_key = &mut writes[starts[key] as usize..starts[key + 1] as usize];
            of_key.sort_unstable_by_key(|write| (write.value, write.writer.0));
            settle_repeats(history, KeyId(key as u32), of_key)?;
        }
        Ok(Writers { starts, writes })
    }

    /// The writes of a key, by value.
    pub fn of(&self, key: KeyId) -> &[Write] {
        let key = key.0 as usize;
        &self.writes[self.starts[key] as usize..self.starts[key + 1] as usize]
    }

    fn find(&self, key: KeyId, value: Atom) -> Option<&Write> {
        let of_key = self.of(key);
        of_key.binary_search_by_key(&value, |write| write.value).ok().map(|at| &of_key[at])
    }

    pub fn writer(&self, key: KeyId, value: Atom) -> Writer {
        self.find(key, value).map_or(Writer::NOBODY, |write| write.writer)
    }

    /// The failed operation that wrote a value.
    pub fn aborted_by(&self, key: KeyId, value: Atom) -> Option<OperationId> {
        self.find(key, value).and_then(|write| write.failed_by)
    }
}

/// All writes, grouped by key in order of operations, and where each group starts.
fn writes_by_key(history: &History, kind: StepKind) -> (Vec<u32>, Vec<Write>) {
    let mut starts = vec![0u32; history.key_count() + 1];
    for (_, operation) in history.operations() {
        for step in history.steps_of(operation).iter().filter(|s| s.kind == kind) {
            starts[step.key.0 as usize + 1] += 1;
        }
    }
    for key in 0..history.key_count() {
        starts[key + 1] += starts[key];
    }
    let nothing = Write { value: Atom::NIL, writer: Writer::NOBODY, failed_by: None };
    let mut writes = vec![nothing; starts[history.key_count()] as usize];
    let mut next = starts.clone();
    for (id, operation) in history.operations() {
        let steps = history.steps_of(operation);
        for (index, step) in steps.iter().enumerate() {
            if step.kind != kind {
                continue;
            }
            let is_again = |other: &PackedStep| other.kind == kind && other.key == step.key;
            let is_repeat = steps[..index].iter().any(is_again);
            let is_intermediate = steps[index + 1..].iter().any(is_again);
            let failed = operation.outcome == Outcome::Fail;
            let place = &mut next[step.key.0 as usize];
            writes[*place as usize] = Write {
                value: step.atom(),
                writer: if failed {
                    Writer::ABORTED
                } else {
                    Writer::new(id, is_repeat, is_intermediate)
                },
                failed_by: failed.then_some(id),
            };
            *place += 1;
        }
    }
    (starts, writes)
}

/// Where an element was written again after a failure, makes all of its entries the one that did
/// not fail.
fn settle_repeats(history: &History, key: KeyId, of_key: &mut [Write]) -> Result<(), CheckError> {
    for same in of_key.chunk_by_mut(|a, b| a.value == b.value).filter(|same| same.len() >= 2) {
        let done: Vec<OperationId> = same.iter().filter_map(|a| a.writer.operation()).collect();
        if let [first, second, ..] = done[..] {
            let who = match first == second {
                true => format!("T{} writes twice", first.0),
                false => format!("T{} and T{} both write", first.0, second.0),
            };
            return Err(CheckError(format!(
                "{who} {} to {}; the values of a key must be unique",
                history.names.text(same[0].value),
                history.key_name(key),
            )));
        }
        let settled = same[0];
        same.fill(settled);
    }
    Ok(())
}
