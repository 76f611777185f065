//! Acknowledgements: what was confirmed is there, what was refused is not, and each unknown outcome
//! turns out one way only.
//!
//! Judged on the rows inserted (each id once, never updated): every later full read must hold what
//! was confirmed before it began and nothing refused or invented; a row seen once stays.

use std::collections::BTreeSet;

use crate::workload::{History, Op, Outcome, Rows};

pub fn judge(history: &History, _complete: bool) -> Result<(), String> {
    let operations = history.operations();
    let mut invoked = BTreeSet::new();
    let mut refused = BTreeSet::new();
    // Time of confirmation (or of a sighting) and id.
    let mut certain: Vec<(u64, i64)> = Vec::new();
    let mut reads: Vec<(u64, u64, &Rows)> = Vec::new();
    for operation in &operations {
        let begun = operation.begun;
        let ended = operation.ended.map(|(entry, _)| (&entry.outcome, entry.time_ns));
        match (begun.op, ended) {
            (Op::Insert { id }, outcome) => {
                invoked.insert(id);
                match outcome {
                    Some((Outcome::Ok(_), at_ns)) => certain.push((at_ns, id)),
                    Some((Outcome::Fail(_), _)) => {
                        refused.insert(id);
                    }
                    _ => {}
                }
            }
            (Op::ReadInserted, Some((Outcome::Ok(rows), at_ns))) => {
                reads.push((begun.time_ns, at_ns, rows));
            }
            _ => {}
        }
    }
    reads.sort_by_key(|(began_ns, _, _)| *began_ns);
    for (began_ns, ended_ns, rows) in reads {
        let seen: BTreeSet<i64> = rows.iter().map(|(id, _)| *id).collect();
        if seen.len() != rows.len() {
            return Err("a row that was inserted once is there twice".to_owned());
        }
        if let Some(id) = seen.intersection(&refused).next() {
            return Err(format!("the insert of {id} was refused, and the row is there"));
        }
        if let Some(id) = seen.difference(&invoked).next() {
            return Err(format!("row {id} is there, and nobody inserted it"));
        }
        let lost = certain.iter().find(|(at_ns, id)| *at_ns < began_ns && !seen.contains(id));
        if let Some((at_ns, id)) = lost {
            let at_s = at_ns / 1_000_000_000;
            return Err(format!("the insert of {id} was certain at second {at_s}, and it is gone"));
        }
        certain.extend(seen.into_iter().map(|id| (ended_ns, id)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Entry;

    fn run(insert: Outcome, reads: &[&[i64]]) -> Result<(), String> {
        let mut history = History::default();
        let mut push = |time_ns, process, op, outcome| {
            history.push(Entry { time_ns, process, client: 0, op, outcome });
        };
        push(1, 0, Op::Insert { id: 7 }, Outcome::Invoked);
        push(2, 0, Op::Insert { id: 7 }, insert);
        for (k, ids) in (0u32..).zip(reads) {
            let rows = ids.iter().map(|id| (*id, None)).collect();
            push(10 + u64::from(k) * 2, k + 1, Op::ReadInserted, Outcome::Invoked);
            push(11 + u64::from(k) * 2, k + 1, Op::ReadInserted, Outcome::Ok(rows));
        }
        judge(&history, true)
    }

    #[test]
    fn confirmed_stays_refused_never_shows_unknown_resolves_once() {
        assert!(run(Outcome::Ok(vec![]), &[&[7]]).is_ok());
        assert!(run(Outcome::Ok(vec![]), &[&[]]).is_err());
        assert!(run(Outcome::Fail(String::new()), &[&[]]).is_ok());
        assert!(run(Outcome::Fail(String::new()), &[&[7]]).is_err());
        assert!(run(Outcome::Info(String::new()), &[&[], &[7]]).is_ok());
        assert!(run(Outcome::Info(String::new()), &[&[7], &[]]).is_err());
        assert!(run(Outcome::Ok(vec![]), &[&[7, 7]]).is_err());
        assert!(run(Outcome::Ok(vec![]), &[&[7, 8]]).is_err());
    }
}
