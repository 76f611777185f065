//! Histories written by hand, a line an operation: `process begin-end outcome steps`.

use basalt_jepsen::history::{Atom, Function, History, OperationId, Outcome, Predicate, Step};

/// A step that owns its list.
#[derive(Clone, Debug, PartialEq)]
pub enum OwnedStep {
    Append(Atom, Atom),
    Write(Atom, Atom),
    Swap(Atom, Atom, Atom),
    Read(Atom, Option<Atom>),
    ReadList(Atom, Vec<Atom>),
    /// A write of an operation that says what is there before everything else.
    Init(Atom, Atom),
    Delete(Atom),
    ReadWhere(Predicate, Vec<[Atom; 2]>),
}

impl OwnedStep {
    pub fn borrowed(&self) -> Step<'_> {
        match self {
            OwnedStep::Append(key, value) => Step::Append { key: *key, value: *value },
            OwnedStep::Write(key, value) | OwnedStep::Init(key, value) => {
                Step::Write { key: *key, value: *value }
            }
            OwnedStep::Delete(key) => Step::Delete { key: *key },
            OwnedStep::ReadWhere(predicate, rows) => {
                Step::ReadWhere { predicate: *predicate, rows: Some(rows) }
            }
            OwnedStep::Swap(key, old, new) => {
                Step::CompareAndSet { key: *key, old: *old, new: *new }
            }
            OwnedStep::Read(key, value) => Step::Read { key: *key, value: *value },
            OwnedStep::ReadList(key, elements) => Step::ReadList { key: *key, elements },
        }
    }

    /// What an invocation shows of it.
    pub fn invoked(&self) -> Step<'_> {
        match self {
            OwnedStep::Read(key, _) | OwnedStep::ReadList(key, _) => {
                Step::Read { key: *key, value: None }
            }
            OwnedStep::ReadWhere(predicate, _) => {
                Step::ReadWhere { predicate: *predicate, rows: None }
            }
            _ => self.borrowed(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Told {
    pub process: i64,
    pub begin: i64,
    /// `None` where it never ended.
    pub end: Option<i64>,
    pub outcome: Outcome,
    pub steps: Vec<OwnedStep>,
}

/// Puts the operations in order of time. Of equal times, beginnings come first.
pub fn record(told: &[Told]) -> History {
    let mut history = History::new();
    let mut events: Vec<(i64, bool, usize)> = Vec::new();
    for (index, operation) in told.iter().enumerate() {
        events.push((operation.begin, false, index));
        events.extend(operation.end.map(|end| (end, true, index)));
    }
    events.sort();
    let mut ids: Vec<Option<OperationId>> = vec![None; told.len()];
    for (time, is_end, index) in events {
        let operation = &told[index];
        if is_end {
            let steps: Vec<Step<'_>> = operation.steps.iter().map(OwnedStep::borrowed).collect();
            let id = ids[index].expect("it has begun");
            history.complete(id, time, operation.outcome, &steps);
        } else {
            let steps: Vec<Step<'_>> = operation.steps.iter().map(OwnedStep::invoked).collect();
            let process = Atom::from(operation.process);
            let function = match operation.steps[0] {
                OwnedStep::Init(..) => Function::Init,
                _ => Function::Transaction,
            };
            ids[index] = Some(history.invoke(process, time, function, &steps));
        }
    }
    history
}

/// Parses a line. Keys are single letters.
pub fn parse(line: &str) -> Told {
    let mut words = line.trim().splitn(4, ' ');
    let mut next = || words.next().unwrap_or_else(|| panic!("a word is missing: {line}"));
    let process = next().parse().expect("a process is a number");
    let (begin, end) = next().split_once('-').expect("begin-end");
    let outcome = match next() {
        "ok" => Outcome::Ok,
        "fail" => Outcome::Fail,
        "info" => Outcome::Info,
        other => panic!("{other} is no outcome: {line}"),
    };
    let steps = next().split(", ").map(|step| parse_step(step.trim())).collect();
    Told { process, begin: begin.parse().expect("a time"), end: end.parse().ok(), outcome, steps }
}

fn parse_step(text: &str) -> OwnedStep {
    let (verb, rest) = text.split_once(' ').expect("a step");
    let key = |text: &str| Atom::from(i64::from(text.as_bytes()[0]));
    match verb {
        "delete" => return OwnedStep::Delete(key(rest)),
        "rp" => {
            let (predicate, rows) = rest.split_once(' ').expect("a predicate and rows");
            let rows = rows.trim_matches(['{', '}']).split_whitespace().collect::<Vec<_>>();
            let rows = rows.chunks(2).map(|row| [key(row[0]), Atom::from(number(row[1]))]);
            return OwnedStep::ReadWhere(parse_predicate(predicate), rows.collect());
        }
        _ => {}
    }
    let (key, value) = rest.split_once(' ').expect("a key and a value");
    let key = Atom::from(i64::from(key.as_bytes()[0]));
    let number = |text: &str| match text {
        "nil" => Atom::NIL,
        _ => Atom::from(number(text)),
    };
    match (verb, value.strip_prefix('[')) {
        ("append", _) => OwnedStep::Append(key, number(value)),
        ("init", _) => OwnedStep::Init(key, number(value)),
        ("w", _) => OwnedStep::Write(key, number(value)),
        ("cas", _) => {
            let (old, new) = value.split_once(' ').expect("old and new");
            OwnedStep::Swap(key, number(old), number(new))
        }
        ("r", Some(list)) => {
            let list = list.trim_end_matches(']').split_whitespace().map(number).collect();
            OwnedStep::ReadList(key, list)
        }
        ("r", None) if value == "?" => OwnedStep::Read(key, None),
        ("r", None) => OwnedStep::Read(key, Some(number(value))),
        _ => panic!("{verb} is no step"),
    }
}

fn number(text: &str) -> i64 {
    text.parse().unwrap_or_else(|_| panic!("{text} is no number"))
}

/// `all`, `=1` or `mod2=1`.
fn parse_predicate(text: &str) -> Predicate {
    match text.split_once('=') {
        None if text == "all" => Predicate::All,
        Some(("", value)) => Predicate::Equals(Atom::from(number(value))),
        Some((modulus, remainder)) => {
            let modulus = number(modulus.trim_start_matches("mod"));
            Predicate::Modulo { modulus, remainder: number(remainder) }
        }
        None => panic!("{text} is no predicate"),
    }
}
