//! A second opinion on linearizability: the checker of `basalt-jepsen`, which shares no code with
//! ours. That the two disagree is a failure of its own.

use basalt_jepsen::history::{self, Atom, Function, Step};
use basalt_jepsen::{CheckOptions, check_register};

use crate::workload::{History, Op, Outcome};

/// `Err` when the other checker comes to another verdict.
pub fn agrees(ours: &History, verdict: &Result<(), String>) -> Result<(), String> {
    let theirs = check_register(&registers(ours), &CheckOptions::default())
        .map_err(|error| format!("the second checker cannot read the history: {error}"))?;
    if theirs.is_clean() == verdict.is_ok() {
        return Ok(());
    }
    Err(format!("two checkers disagree: ours says {verdict:?}, the other {theirs}"))
}

/// The operations on registers and pairs, in the other checker's form. Registers start with nil there.
fn registers(ours: &History) -> history::History {
    let mut theirs = history::History::new();
    let mut open = std::collections::BTreeMap::new();
    for entry in &ours.entries {
        // Pairs are registers of their own, with odd keys.
        let (key, written) = match entry.op {
            Op::Write { key, value } => (key * 2, Some(value)),
            Op::Read { key } => (key * 2, None),
            Op::PairWrite { pair, value } => (pair * 2 + 1, Some(value)),
            Op::PairRead { pair } => (pair * 2 + 1, None),
            _ => continue,
        };
        let key = Atom::from(key as i64);
        let step = match (written, &entry.outcome) {
            (Some(value), _) => Step::Write { key, value: Atom::from(value) },
            (None, Outcome::Ok(rows)) => {
                let value = rows.first().and_then(|(_, value)| *value).filter(|value| *value != 0);
                Step::Read { key, value: Some(value.map_or(Atom::NIL, Atom::from)) }
            }
            (None, _) => Step::Read { key, value: None },
        };
        let time_ns = entry.time_ns as i64;
        let outcome = match entry.outcome {
            Outcome::Invoked => {
                let function = if written.is_some() { Function::Write } else { Function::Read };
                let process = Atom::from(i64::from(entry.process));
                open.insert(entry.process, theirs.invoke(process, time_ns, function, &[step]));
                continue;
            }
            Outcome::Ok(_) => history::Outcome::Ok,
            Outcome::Fail(_) => history::Outcome::Fail,
            Outcome::Info(_) => history::Outcome::Info,
        };
        if let Some(id) = open.remove(&entry.process) {
            theirs.complete(id, time_ns, outcome, &[step]);
        }
    }
    theirs
}
