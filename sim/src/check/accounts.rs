//! Invariants of statements that write several rows: the bank keeps its total, a pair is never seen
//! half written.

use crate::workload::{ACCOUNT_START, ACCOUNTS, History, Op, Outcome};

pub fn judge(history: &History, _complete: bool) -> Result<(), String> {
    for entry in &history.entries {
        let Outcome::Ok(rows) = &entry.outcome else { continue };
        match entry.op {
            Op::BankRead => bank(rows)?,
            Op::PairRead { pair } => pair_is_whole(pair, rows)?,
            _ => {}
        }
    }
    Ok(())
}

fn bank(rows: &[(i64, Option<i64>)]) -> Result<(), String> {
    let total: i64 = rows.iter().filter_map(|(_, balance)| *balance).sum();
    let expected = ACCOUNTS as i64 * ACCOUNT_START;
    if rows.len() as u64 == ACCOUNTS && total == expected {
        return Ok(());
    }
    Err(format!("the bank holds {total} in {} accounts, not {expected}: {rows:?}", rows.len()))
}

fn pair_is_whole(pair: u64, rows: &[(i64, Option<i64>)]) -> Result<(), String> {
    match rows {
        [(_, Some(a)), (_, Some(b))] if a == b => Ok(()),
        _ => Err(format!("pair {pair} was seen as {rows:?}")),
    }
}
