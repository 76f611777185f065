//! A bank: money moves between accounts, so every read of all of them has the same total.

use crate::history::{Atom, Function, History, OperationId, Outcome, StepKind};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, Statistics, Verdict};

#[derive(Clone, Copy, Debug, Default)]
pub struct BankOptions {
    /// What the balances add up to; where it is not given, that of the first read.
    pub total: Option<i64>,
    /// Whether an account may be overdrawn.
    pub allow_negative: bool,
}

/// Checks every read of balances.
///
/// # Errors
/// Where a balance is no number.
pub fn check_bank(
    history: &History,
    bank: &BankOptions,
    options: &CheckOptions,
) -> Result<Verdict, CheckError> {
    let mut found = Vec::new();
    let mut expected = bank.total.map(|total| (i128::from(total), "the total is".to_string()));
    for (id, operation) in history.operations() {
        if operation.outcome != Outcome::Ok {
            continue;
        }
        let Some(balances) = balances(history, id)? else { continue };
        if balances.is_empty() && expected.is_none() {
            continue;
        }
        let total = balances.iter().map(|(_, balance)| i128::from(*balance)).sum();
        let (wanted, source) = expected
            .get_or_insert_with(|| (total, format!("the first read of all, T{}, shows", id.0)));
        if total != *wanted {
            let words = format!("the balances add up to {total}, and {source} {wanted}");
            found.push(tell(history, AnomalyKind::WrongTotal, id, words));
        }
        for (account, balance) in balances.iter().filter(|(_, balance)| *balance < 0) {
            if !bank.allow_negative {
                let name = history.names.text(*account);
                let words = format!("account {name} holds {balance}");
                found.push(tell(history, AnomalyKind::NegativeBalance, id, words));
            }
        }
    }
    let statistics = Statistics {
        operations: history.operation_count(),
        keys: history.key_count(),
        ..Statistics::default()
    };
    Ok(Verdict::new(found, options, &[], statistics))
}

type Balances = Vec<(Atom, i64)>;

/// The balances an operation read; `None` for operations that are no read.
fn balances(history: &History, id: OperationId) -> Result<Option<Balances>, CheckError> {
    let mut balances = Vec::new();
    let operation = history.operation(id);
    for step in history.steps_of(operation) {
        if step.kind != StepKind::Read {
            return Ok(None);
        }
        let Some(balance) = step.atom().as_integer() else {
            let words = history.describe(id);
            return Err(CheckError(format!("a balance is no integer: {words}")));
        };
        balances.push((history.key_atom(step.key), balance));
    }
    // Of no account at all, which is a read too.
    let is_read = operation.function == Function::Read || !balances.is_empty();
    Ok(is_read.then_some(balances))
}

fn tell(history: &History, kind: AnomalyKind, id: OperationId, words: String) -> Anomaly {
    let story = vec![history.describe(id), words];
    Anomaly { kind, operations: vec![id], story, cycle: Vec::new() }
}
