//! Invariants of statements that write several rows: the bank keeps its total, a pair is never seen
//! half written; and every transfer is in the accounts as often as it was made.
//!
//! A read of the bank shows each account with every transfer that was confirmed before the read
//! began, with none that was refused, and with any of those under way or of unknown outcome. Where
//! these are few, the same choice of them must explain all accounts at once.

use std::collections::BTreeSet;

use crate::workload::{ACCOUNT_START, ACCOUNTS, History, Op, Operation, Outcome, Rows};

/// Past this many open transfers, each account is explained on its own.
const OPEN_TOGETHER_MAX: usize = 10;

type Balances = [i64; ACCOUNTS as usize];

pub fn judge(history: &History) -> Result<(), String> {
    let operations = history.operations();
    let is_transfer = |o: &&Operation<'_>| matches!(o.begun.op, Op::Transfer { .. });
    let made: Vec<&Operation<'_>> = operations.iter().filter(is_transfer).collect();
    for operation in &operations {
        let Some(Outcome::Ok(rows)) = operation.outcome() else { continue };
        match operation.begun.op {
            Op::BankRead => {
                let balances = bank(rows)?;
                let (base, open) = transfers(&made, operation);
                explain(&balances, base, &open)
                    .map_err(|why| format!("the bank holds {balances:?}, but {why}"))?;
            }
            Op::PairRead { pair } => pair_is_whole(pair, rows)?,
            _ => {}
        }
    }
    Ok(())
}

fn bank(rows: &Rows) -> Result<Balances, String> {
    let balances: Vec<i64> = rows.iter().filter_map(|(_, balance)| *balance).collect();
    let total: i64 = balances.iter().sum();
    let expected = ACCOUNTS as i64 * ACCOUNT_START;
    match balances.try_into() {
        Ok(balances) if total == expected => Ok(balances),
        _ => Err(format!(
            "the bank holds {total} in {} accounts, not {expected}: {rows:?}",
            rows.len()
        )),
    }
}

/// The balances with what was certain when a read began, and the transfers that may be in it too.
fn transfers(made: &[&Operation<'_>], read: &Operation<'_>) -> (Balances, Vec<Balances>) {
    let mut base = [ACCOUNT_START; ACCOUNTS as usize];
    let mut open = Vec::new();
    let read_ended_at = read.ended.map_or(u64::MAX, |(_, at)| at);
    for transfer in made.iter().take_while(|transfer| transfer.begun_at < read_ended_at) {
        let Op::Transfer { from, to, amount } = transfer.begun.op else { continue };
        let mut moved = [0; ACCOUNTS as usize];
        moved[from as usize] -= amount;
        moved[to as usize] += amount;
        match transfer.ended.map(|(entry, at)| (&entry.outcome, at)) {
            Some((Outcome::Fail(_), _)) => {}
            Some((Outcome::Ok(_), at)) if at < read.begun_at => base = sum(base, moved),
            _ => open.push(moved),
        }
    }
    (base, open)
}

fn sum(a: Balances, b: Balances) -> Balances {
    std::array::from_fn(|k| a[k] + b[k])
}

/// `Err` if no choice of the open transfers leads from `base` to `seen`.
fn explain(seen: &Balances, base: Balances, open: &[Balances]) -> Result<(), String> {
    if open.len() <= OPEN_TOGETHER_MAX {
        return match reach(base, open, sum).contains(seen) {
            true => Ok(()),
            false => Err(format!("{base:?} was certain, and {} transfers are open", open.len())),
        };
    }
    for (k, balance) in seen.iter().enumerate() {
        let moved: Vec<i64> = open.iter().map(|moved| moved[k]).filter(|m| *m != 0).collect();
        if !reach(base[k], &moved, |a, b| a + b).contains(balance) {
            return Err(format!("account {k} had {} for certain, and {moved:?} is open", base[k]));
        }
    }
    Ok(())
}

/// Everything that comes of `base` and some of the open changes.
fn reach<T: Copy + Ord>(base: T, open: &[T], sum: impl Fn(T, T) -> T) -> BTreeSet<T> {
    let mut reached = BTreeSet::from([base]);
    for change in open {
        let more: Vec<T> = reached.iter().map(|from| sum(*from, *change)).collect();
        reached.extend(more);
    }
    reached
}

fn pair_is_whole(pair: u64, rows: &[(i64, Option<i64>)]) -> Result<(), String> {
    match rows {
        [(_, Some(a)), (_, Some(b))] if a == b => Ok(()),
        _ => Err(format!("pair {pair} was seen as {rows:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Entry;

    fn run(transfer: Outcome, moved: i64) -> Result<(), String> {
        let mut history = History::default();
        let mut push = |process, op, outcome| {
            history.push(Entry { time_ns: 0, process, client: 0, op, outcome });
        };
        let op = Op::Transfer { from: 0, to: 1, amount: 5 };
        push(0, op, Outcome::Invoked);
        push(0, op, transfer);
        let mut rows: Rows = (0..ACCOUNTS as i64).map(|k| (k, Some(ACCOUNT_START))).collect();
        rows[0].1 = Some(ACCOUNT_START - moved);
        rows[1].1 = Some(ACCOUNT_START + moved);
        push(1, Op::BankRead, Outcome::Invoked);
        push(1, Op::BankRead, Outcome::Ok(rows));
        judge(&history)
    }

    #[test]
    fn a_transfer_is_there_once_if_confirmed_never_if_refused() {
        let (ok, fail, info) = (
            || Outcome::Ok(Vec::new()),
            || Outcome::Fail(String::new()),
            || Outcome::Info(String::new()),
        );
        assert!(run(ok(), 5).is_ok());
        assert!(run(ok(), 0).is_err(), "lost");
        assert!(run(ok(), 10).is_err(), "twice");
        assert!(run(fail(), 0).is_ok());
        assert!(run(fail(), 5).is_err(), "refused and made");
        assert!(run(info(), 0).is_ok() && run(info(), 5).is_ok());
        assert!(run(info(), 10).is_err(), "unknown and twice");
    }

    #[test]
    fn open_transfers_explain_all_accounts_at_once_or_many_each_alone() {
        let moved = |from: usize, to: usize| {
            let mut moved = [0; ACCOUNTS as usize];
            (moved[from], moved[to]) = (-1, 1);
            moved
        };
        let base = [0; ACCOUNTS as usize];
        let half = [-1, 0, 1, 0, 0, 0];
        assert!(explain(&half, base, &[moved(0, 1), moved(1, 2)]).is_ok());
        assert!(explain(&half, base, &[moved(0, 1), moved(3, 2)]).is_err());
        assert!(explain(&half, base, &[moved(0, 2); 20]).is_ok());
        assert!(explain(&[-1, 0, 0, 1, 0, 0], base, &[moved(0, 2); 20]).is_err());
    }
}
