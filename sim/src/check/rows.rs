//! Results of SQL against a plain model: rows that only one client uses.

use std::collections::BTreeMap;

use super::possible::Possible;
use crate::workload::{History, KEYS_PER_CLIENT, Op, Outcome, Rows, own_keys, own_row_next};

/// Factor and summand of an update.
type Update = (i64, i64);
type Row = Possible<i64, Update>;

fn next(value: &i64, (factor, add): &Update) -> Option<i64> {
    Some(own_row_next(*value, *factor, *add))
}

pub fn judge(history: &History) -> Result<(), String> {
    let mut rows: BTreeMap<(u16, u64), Row> = BTreeMap::new();
    for operation in history.operations() {
        let (op, client) = (operation.begun.op, operation.begun.client);
        if let (Op::OwnReadAll, Some(Outcome::Ok(seen))) = (op, operation.outcome()) {
            read_all(&mut rows, seen)?;
        }
        let (Op::OwnUpdate { row, .. } | Op::OwnRead { row }) = op else { continue };
        let model = rows.entry((client, row)).or_insert_with(|| Row::new(0, next));
        apply(model, op, operation.outcome()).map_err(|why| told(client, row, &why))?;
    }
    Ok(())
}

fn apply(row: &mut Row, op: Op, outcome: Option<&Outcome>) -> Result<(), String> {
    match (op, outcome) {
        (Op::OwnUpdate { factor, add, .. }, Some(Outcome::Ok(_))) => row
            .go(|value| next(value, &(factor, add)))
            .map_err(|before| format!("updated where the model allows {before:?}")),
        (Op::OwnUpdate { .. }, Some(Outcome::Fail(_))) => Ok(()),
        (Op::OwnUpdate { factor, add, .. }, _) => {
            row.may((factor, add));
            Ok(())
        }
        (Op::OwnRead { .. }, Some(Outcome::Ok(rows))) => match rows.as_slice() {
            [(_, Some(value))] => read(row, *value),
            _ => Err(format!("read as {rows:?}")),
        },
        _ => Ok(()),
    }
}

fn read(row: &mut Row, seen: i64) -> Result<(), String> {
    row.go(|value| (*value == seen).then_some(seen))
        .map_err(|before| format!("read {seen}, the model allows {before:?}"))
}

/// The last look: every row there was at first, and 0 in those that were never updated.
fn read_all(rows: &mut BTreeMap<(u16, u64), Row>, seen: &Rows) -> Result<(), String> {
    let keys: Vec<i64> = seen.iter().map(|(key, _)| *key).collect();
    if !keys.iter().copied().eq(own_keys()) {
        return Err(format!("rows came or went: {keys:?} are there"));
    }
    for (key, value) in seen {
        let (client, row) = ((key / KEYS_PER_CLIENT) as u16, (key % KEYS_PER_CLIENT) as u64);
        let value = value.ok_or_else(|| told(client, row, "NULL"))?;
        let model = rows.entry((client, row)).or_insert_with(|| Row::new(0, next));
        read(model, value).map_err(|why| told(client, row, &why))?;
    }
    Ok(())
}

fn told(client: u16, row: u64, why: &str) -> String {
    format!("row {row} of client c{client}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(operations: &[(Op, Outcome)]) -> Result<(), String> {
        let of_one = operations.iter().cloned().map(|(op, outcome)| (1, op, outcome));
        judge(&History::one_by_one(of_one))
    }

    fn update(factor: i64, add: i64) -> Op {
        Op::OwnUpdate { row: 0, factor, add }
    }

    fn read(value: i64) -> (Op, Outcome) {
        (Op::OwnRead { row: 0 }, Outcome::Ok(vec![(1_000, Some(value))]))
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
    fn the_last_look_finds_every_row_as_it_was_left() {
        let look = |change: &dyn Fn(&mut Rows)| {
            let mut rows: Rows = own_keys().map(|key| (key, Some(0))).collect();
            rows[0].1 = Some(5);
            change(&mut rows);
            run(&[(update(2, 5), Outcome::Ok(vec![])), (Op::OwnReadAll, Outcome::Ok(rows))])
        };
        assert!(look(&|_| ()).is_ok());
        assert!(look(&|rows| rows[0].1 = Some(15)).is_err(), "updated twice");
        assert!(look(&|rows| rows[1].1 = Some(5)).is_err(), "one that nobody updated");
        assert!(look(&|rows| rows[1].1 = None).is_err(), "NULL");
        assert!(look(&|rows| rows.truncate(9)).is_err(), "the last one is gone");
        assert!(look(&|rows| rows.push((99_000, Some(0)))).is_err(), "one too many");
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
