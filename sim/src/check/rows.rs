//! Results of SQL against a plain model: rows that only one client uses.
//!
//! The client's confirmed updates apply in order; one of unknown outcome may apply at any later time
//! or never. So the model is the set of values the row can have, each with the unknown updates already
//! in it; a read keeps those that fit and must leave at least one.

use std::collections::{BTreeMap, BTreeSet};

use crate::workload::{History, Op, Outcome, own_row_next};

/// Past this many unresolved updates a row is no longer judged: the set would grow too large.
const UNKNOWN_MAX: usize = 6;

/// A value and which of the unknown updates are in it.
type Possible = BTreeSet<(i64, u32)>;

#[derive(Debug)]
struct Row {
    possible: Possible,
    unknown: Vec<(i64, i64)>,
}

impl Row {
    fn new() -> Row {
        Row { possible: BTreeSet::from([(0, 0)]), unknown: Vec::new() }
    }

    /// Lets any unknown updates apply, in any order.
    fn settle(&mut self) {
        let mut todo: Vec<(i64, u32)> = self.possible.iter().copied().collect();
        while let Some((value, applied)) = todo.pop() {
            for (k, (factor, add)) in self.unknown.iter().enumerate() {
                let next = (own_row_next(value, *factor, *add), applied | 1 << k);
                if applied & (1 << k) == 0 && self.possible.insert(next) {
                    todo.push(next);
                }
            }
        }
    }

    fn update(&mut self, factor: i64, add: i64) {
        self.settle();
        let next = |(value, applied): (i64, u32)| (own_row_next(value, factor, add), applied);
        self.possible = std::mem::take(&mut self.possible).into_iter().map(next).collect();
    }

    fn read(&mut self, seen: i64) -> Result<(), String> {
        self.settle();
        let before: BTreeSet<i64> = self.possible.iter().map(|(value, _)| *value).collect();
        self.possible.retain(|(value, _)| *value == seen);
        if self.possible.is_empty() {
            return Err(format!("read {seen}, the model allows {before:?}"));
        }
        Ok(())
    }
}

pub fn judge(history: &History, _complete: bool) -> Result<(), String> {
    let mut rows: BTreeMap<(u16, u64), Row> = BTreeMap::new();
    for operation in history.operations() {
        let begun = operation.begun;
        let (Op::OwnUpdate { row, .. } | Op::OwnRead { row }) = begun.op else { continue };
        let model = rows.entry((begun.client, row)).or_insert_with(Row::new);
        if model.unknown.len() <= UNKNOWN_MAX {
            apply(model, begun.op, operation.outcome())
                .map_err(|why| format!("row {row} of client c{}: {why}", begun.client))?;
        }
    }
    Ok(())
}

fn apply(row: &mut Row, op: Op, outcome: Option<&Outcome>) -> Result<(), String> {
    match (op, outcome) {
        (Op::OwnUpdate { factor, add, .. }, Some(Outcome::Ok(_))) => row.update(factor, add),
        (Op::OwnUpdate { .. }, Some(Outcome::Fail(_))) => {}
        (Op::OwnUpdate { factor, add, .. }, _) => row.unknown.push((factor, add)),
        (Op::OwnRead { .. }, Some(Outcome::Ok(rows))) => {
            let [(_, Some(value))] = rows.as_slice() else {
                return Err(format!("read as {rows:?}"));
            };
            row.read(*value)?;
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Entry;

    fn run(operations: &[(Op, Outcome)]) -> Result<(), String> {
        let mut history = History::default();
        for (time_ns, (op, outcome)) in (0u64..).zip(operations) {
            let entry =
                |outcome| Entry { time_ns, process: time_ns as u32, client: 0, op: *op, outcome };
            history.push(entry(Outcome::Invoked));
            history.push(entry(outcome.clone()));
        }
        judge(&history, true)
    }

    fn update(factor: i64, add: i64) -> Op {
        Op::OwnUpdate { row: 0, factor, add }
    }

    fn read(value: i64) -> (Op, Outcome) {
        (Op::OwnRead { row: 0 }, Outcome::Ok(vec![(0, Some(value))]))
    }

    #[test]
    fn confirmed_updates_apply_in_order() {
        let ok = Outcome::Ok(vec![]);
        let updates = [(update(2, 5), ok.clone()), (update(3, 1), ok.clone())];
        assert!(run(&[updates[0].clone(), updates[1].clone(), read(16)]).is_ok());
        assert!(run(&[updates[0].clone(), updates[1].clone(), read(7)]).is_err(), "other order");
        assert!(run(&[updates[0].clone(), read(0)]).is_err(), "lost");
    }

    #[test]
    fn an_unknown_update_applies_once_at_any_time_or_never() {
        let unknown = (update(2, 5), Outcome::Info(String::new()));
        let ok = (update(3, 1), Outcome::Ok(vec![]));
        for value in [1, 7, 16] {
            assert!(run(&[unknown.clone(), ok.clone(), read(value)]).is_ok(), "{value}");
        }
        assert!(run(&[unknown.clone(), ok.clone(), read(37)]).is_err(), "applied twice");
        assert!(run(&[unknown, ok, read(7), read(1)]).is_err(), "undone again");
    }
}
