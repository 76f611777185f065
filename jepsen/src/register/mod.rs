//! Linearizability of registers: is there one order of the operations, which keeps real time, in
//! which every read returns the last write and every compare-and-set finds its old value?
//!
//! Keys are independent (P-compositionality, Herlihy and Wing 1990), so each is decided alone:
//! by [`zones`] in `n log n` where every value is written once and nothing is compared, by
//! [`search`] otherwise. Operations of unknown outcome may be placed anywhere after their
//! invocation, or nowhere. A register holds nil at first.

mod search;
mod zones;

use std::ops::Range;

use crate::history::{
    Atom, Dense, History, KeyId, NEVER, OperationId, Outcome, PackedStep, StepKind,
};
use crate::parallel::{map_parts, ranges};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, Model, Statistics, Verdict};

/// One operation on one register. Values are numbered by first sight; nil is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub id: OperationId,
    pub action: Action,
    pub invoked: u32,
    /// The event by which it has certainly happened, or `NEVER`.
    pub deadline: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Read(u32),
    Write(u32),
    Swap { old: u32, new: u32 },
}

const NIL_VALUE: u32 = 0;

/// Why the operations of a key have no order.
#[derive(Debug)]
pub(crate) struct Refutation {
    pub operations: Vec<OperationId>,
    pub words: String,
}

/// The operations of one key, in order of invocation, and the names of its values.
struct Register {
    key: KeyId,
    calls: Vec<Call>,
    values: Dense,
}

/// Checks that every register of a history is linearizable.
///
/// # Errors
/// Where an operation is no read, write or compare-and-set of one register.
pub fn check_register(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    let registers = split(history)?;
    let statistics = Statistics {
        operations: history.operation_count(),
        keys: registers.len(),
        ..Statistics::default()
    };
    let mut found = Vec::new();
    for (register, result) in registers.iter().zip(decide_all(&registers, options.threads)?) {
        if let Some(refutation) = result {
            found.push(tell(history, register, refutation));
        }
    }
    Ok(Verdict::new(found, options, &[Model::Linearizable], statistics))
}

/// Sorts the operations by key.
fn split(history: &History) -> Result<Vec<Register>, CheckError> {
    let mut registers: Vec<Option<Register>> = Vec::new();
    registers.resize_with(history.key_count(), || None);
    for (id, operation) in history.operations() {
        if operation.outcome == Outcome::Fail {
            continue;
        }
        let steps = history.steps_of(operation);
        let Some(first) = steps.first() else { continue };
        let register = registers[first.key.0 as usize].get_or_insert_with(|| {
            let mut values = Dense::default();
            values.index(Atom::NIL);
            Register { key: first.key, calls: Vec::new(), values }
        });
        let Some(action) = action(steps, &mut register.values) else {
            return Err(CheckError(format!(
                "the register model knows reads, writes and compare-and-set of one key; {} is \
                 none of them",
                history.describe(id)
            )));
        };
        let Some(action) = action.filter(|action| {
            operation.outcome == Outcome::Ok || !matches!(action, Action::Read(_))
        }) else {
            continue;
        };
        let deadline = operation.deadline();
        register.calls.push(Call { id, action, invoked: operation.invoked, deadline });
    }
    Ok(registers.into_iter().flatten().collect())
}

/// The action of one operation: `None` where it is none, `Some(None)` where it says nothing.
fn action(steps: &[PackedStep], values: &mut Dense) -> Option<Option<Action>> {
    Some(match steps {
        [step] => match step.kind {
            StepKind::ReadUnknown => None,
            StepKind::Read => Some(Action::Read(values.index(step.atom()))),
            StepKind::Write => Some(Action::Write(values.index(step.atom()))),
            _ => return None,
        },
        [old, new] if old.kind == StepKind::Compare && new.kind == StepKind::Swap => {
            let (old, new) = (values.index(old.atom()), values.index(new.atom()));
            Some(Action::Swap { old, new })
        }
        _ => return None,
    })
}

type Decision = Result<Option<Refutation>, CheckError>;

/// Decides each register, on several threads where asked; the order of results is that of keys.
fn decide_all(
    registers: &[Register],
    threads: usize,
) -> Result<Vec<Option<Refutation>>, CheckError> {
    let decide_range = |range: Range<u32>| -> Vec<Decision> {
        registers[range.start as usize..range.end as usize].iter().map(decide).collect()
    };
    let ranges = ranges(registers.len() as u32, threads);
    map_parts(ranges, decide_range).into_iter().flatten().collect()
}

fn decide(register: &Register) -> Decision {
    match zones::decide(&register.calls, register.values.len()) {
        Some(answer) => Ok(answer),
        None => search::decide(&register.calls, register.values.len()),
    }
}

fn tell(history: &History, register: &Register, refutation: Refutation) -> Anomaly {
    let key = history.key_atom(register.key);
    let name = match key.is_nil() {
        true => "the register".to_string(),
        false => format!("register {}", history.names.text(key)),
    };
    let mut story = history.describe_all(&refutation.operations);
    story.push(format!("{name}: {}", refutation.words));
    Anomaly {
        kind: AnomalyKind::Nonlinearizable,
        operations: refutation.operations,
        story,
        cycle: Vec::new(),
    }
}

#[cfg(test)]
mod tests;

/// Ends of intervals that never come are after all others.
const _: () = assert!(NEVER == u32::MAX);
