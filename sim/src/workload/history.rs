//! What clients asked and saw, in order of true time.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::op::{Item, ItemChange, Op};

/// Keys and values of rows read, in order of keys; a row of several values is so many entries. For a
/// write that may touch several rows, their number is the only key.
pub type Rows = Vec<(i64, Option<i64>)>;

/// Where an operation stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    Invoked,
    /// Done; the rows of a read, or the number of rows written where it may vary.
    Ok(Rows),
    /// Certainly not done, and why.
    Fail(String),
    /// Nobody told, and why.
    Info(String),
}

/// One line of the history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    pub time_ns: u64,
    /// One invocation at a time; after an `Info` the client goes on as another process.
    pub process: u32,
    pub client: u16,
    pub op: Op,
    pub outcome: Outcome,
}

/// Both ends of an operation, with their places in the history, counted from 1: real time, without
/// ties.
#[derive(Clone, Copy, Debug)]
pub struct Operation<'a> {
    pub begun: &'a Entry,
    pub begun_at: u64,
    /// `None`: nobody ever heard of it again.
    pub ended: Option<(&'a Entry, u64)>,
}

impl<'a> Operation<'a> {
    pub fn outcome(&self) -> Option<&'a Outcome> {
        self.ended.map(|(entry, _)| &entry.outcome)
    }
}

/// All entries of a run.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub entries: Vec<Entry>,
}

impl History {
    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// Operations that each began when the one before had ended: who asked, what, and the outcome.
    #[cfg(test)]
    pub fn one_by_one(operations: impl IntoIterator<Item = (u16, Op, Outcome)>) -> History {
        let mut history = History::default();
        for (time_ns, (client, op, outcome)) in (0u64..).zip(operations) {
            let process = time_ns as u32;
            let entry = |outcome| Entry { time_ns, process, client, op, outcome };
            history.push(entry(Outcome::Invoked));
            history.push(entry(outcome));
        }
        history
    }

    /// Each operation once, in order of invocation.
    pub fn operations(&self) -> Vec<Operation<'_>> {
        let mut open = BTreeMap::<u32, usize>::new();
        let mut operations: Vec<Operation<'_>> = Vec::new();
        for (at, entry) in (1u64..).zip(&self.entries) {
            if entry.outcome == Outcome::Invoked {
                open.insert(entry.process, operations.len());
                operations.push(Operation { begun: entry, begun_at: at, ended: None });
            } else if let Some(k) = open.remove(&entry.process) {
                operations[k].ended = Some((entry, at));
            }
        }
        operations
    }

    /// How many operations ended well.
    pub fn ok_count(&self) -> u64 {
        self.entries.iter().filter(|e| matches!(e.outcome, Outcome::Ok(_))).count() as u64
    }

    /// Jepsen's form, one map a line.
    pub fn to_edn(&self) -> String {
        let mut out = String::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let (kind, rows, error) = match &entry.outcome {
                Outcome::Invoked => ("invoke", None, None),
                Outcome::Ok(rows) => ("ok", Some(rows), None),
                Outcome::Fail(why) => ("fail", None, Some(why)),
                Outcome::Info(why) => ("info", None, Some(why)),
            };
            let (function, value) = edn_operation(entry.op, rows.map(Vec::as_slice));
            let _ = write!(
                out,
                "{{:process {}, :type :{kind}, :f :{function}, :value {value}, :index {index}, \
                 :time {}",
                entry.process, entry.time_ns
            );
            if let Some(error) = error {
                let _ = write!(out, ", :error {error:?}");
            }
            out.push_str("}\n");
        }
        out
    }
}

fn edn_operation(op: Op, rows: Option<&[(i64, Option<i64>)]>) -> (&'static str, String) {
    let number = |value: Option<i64>| value.map_or("nil".to_owned(), |v| v.to_string());
    let first = || number(rows.and_then(|rows| rows.first()).and_then(|(_, value)| *value));
    let all = || {
        let Some(rows) = rows else { return "nil".to_owned() };
        let pairs: Vec<_> = rows.iter().map(|(k, v)| format!("{k} {}", number(*v))).collect();
        format!("{{{}}}", pairs.join(", "))
    };
    let list = || {
        let Some(rows) = rows else { return "nil".to_owned() };
        let pairs: Vec<_> = rows.iter().map(|(k, v)| format!("[{k} {}]", number(*v))).collect();
        format!("[{}]", pairs.join(" "))
    };
    match op {
        Op::Write { key, value } => ("write", format!("[{key} {value}]")),
        Op::Read { key } => ("read", format!("[{key} {}]", first())),
        Op::Insert { id } => ("add", id.to_string()),
        Op::ReadInserted => {
            let ids = rows.map(|rows| {
                rows.iter().map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(" ")
            });
            ("read-set", ids.map_or("nil".to_owned(), |ids| format!("#{{{ids}}}")))
        }
        Op::ReadOneInserted { id } => {
            let seen = rows.map_or("nil".to_owned(), |rows| (!rows.is_empty()).to_string());
            ("read-one", format!("[{id} {seen}]"))
        }
        Op::PairWrite { pair, value } => ("pair-write", format!("[{pair} {value}]")),
        Op::PairRead { pair } => ("pair-read", format!("[{pair} {}]", all())),
        Op::Transfer { from, to, amount } => {
            ("transfer", format!("{{:from {from}, :to {to}, :amount {amount}}}"))
        }
        Op::BankRead => ("bank-read", all()),
        Op::OwnUpdate { row, factor, add } => ("own-update", format!("[{row} {factor} {add}]")),
        Op::OwnRead { row } => ("own-read", format!("[{row} {}]", first())),
        Op::OwnReadAll => ("own-read-all", all()),
        Op::ItemInsert { row, item: Item { u, g, t } } => {
            let values = [u, g, t].map(number);
            ("item-insert", format!("[{row} {}]", values.join(" ")))
        }
        Op::ItemUpdate { row, to } => {
            let (column, value) = match to {
                ItemChange::U(value) => ("u", value),
                ItemChange::G(value) => ("g", value),
                ItemChange::T(value) => ("t", value),
            };
            ("item-update", format!("[{row} :{column} {}]", number(value)))
        }
        Op::ItemDelete { row } => ("item-delete", row.to_string()),
        Op::ItemDeleteGroup { g } => ("item-delete-group", g.to_string()),
        Op::ItemRead { by } => ("item-read", format!("[\"{by:?}\" {}]", list())),
        Op::BatchInsert { batch, rows } => ("batch-insert", format!("[{batch} {rows}]")),
        Op::BatchRead => ("batch-read", all()),
        Op::Schema { change } => ("schema", format!("\"{change:?}\"")),
        Op::ScratchInsert { id } => ("scratch-insert", id.to_string()),
        Op::ScratchRead => ("scratch-read", list()),
        Op::CatalogRead => ("catalog-read", list()),
    }
}
