//! Acknowledgements: what was confirmed is there, what was refused is not, and each unknown outcome
//! turns out one way only.
//!
//! Judged on the rows inserted (each id once, never updated): every later read must hold what was
//! confirmed before it began and nothing refused or invented; a row seen once stays.

use std::collections::{BTreeMap, BTreeSet};

use crate::workload::{History, Op, Operation, Outcome, Rows};

pub fn judge(history: &History) -> Result<(), String> {
    let operations = history.operations();
    batches(&operations)?;
    let mut invoked = BTreeSet::new();
    let mut refused = BTreeSet::new();
    // When each id was first certain: confirmed, or seen.
    let mut certain: BTreeMap<i64, u64> = BTreeMap::new();
    let mut reads: Vec<Read<'_>> = Vec::new();
    for operation in &operations {
        let begun = operation.begun;
        let ended = operation.ended.map(|(entry, _)| (&entry.outcome, entry.time_ns));
        match (begun.op, ended) {
            (Op::Insert { id }, outcome) => {
                invoked.insert(id);
                match outcome {
                    Some((Outcome::Ok(_), at_ns)) => {
                        certain.insert(id, at_ns);
                    }
                    Some((Outcome::Fail(_), _)) => {
                        refused.insert(id);
                    }
                    _ => {}
                }
            }
            (Op::ReadInserted, Some((Outcome::Ok(rows), ended_ns))) => {
                reads.push(Read { began_ns: begun.time_ns, ended_ns, only: None, rows });
            }
            (Op::ReadOneInserted { id }, Some((Outcome::Ok(rows), ended_ns))) => {
                reads.push(Read { began_ns: begun.time_ns, ended_ns, only: Some(id), rows });
            }
            _ => {}
        }
    }
    reads.sort_by_key(|read| read.began_ns);
    for Read { began_ns, ended_ns, only, rows } in reads {
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
        if let Some(id) = seen.iter().find(|id| only.is_some_and(|only| only != **id)) {
            return Err(format!("row {id} was given instead of {only:?}"));
        }
        let (low, high) = only.map_or((i64::MIN, i64::MAX), |id| (id, id));
        let mut expected = certain.range(low..=high);
        let lost = expected.find(|(id, at_ns)| **at_ns < began_ns && !seen.contains(id));
        if let Some((id, at_ns)) = lost {
            let at_s = at_ns / 1_000_000_000;
            return Err(format!("the insert of {id} was certain at second {at_s}, and it is gone"));
        }
        for id in seen {
            let since_ns = certain.entry(id).or_insert(ended_ns);
            *since_ns = ended_ns.min(*since_ns);
        }
    }
    Ok(())
}

/// Batches of rows are there whole or not at all.
fn batches(operations: &[Operation<'_>]) -> Result<(), String> {
    let mut batches = BTreeMap::new();
    for operation in operations {
        match (operation.begun.op, operation.ended.map(|(entry, at)| (&entry.outcome, at))) {
            (Op::BatchInsert { batch, .. }, Some((Outcome::Fail(_), _))) => {
                batches.remove(&batch);
            }
            (Op::BatchInsert { batch, rows }, ended) => {
                let certain_at = match ended {
                    Some((Outcome::Ok(_), at)) => at,
                    _ => u64::MAX,
                };
                batches.insert(batch, (rows as i64, certain_at));
            }
            _ => {}
        }
    }
    // By invocation: who ended before another began comes first.
    for read in operations {
        let (Op::BatchRead, Some((ended, ended_at))) = (read.begun.op, read.ended) else {
            continue;
        };
        let Outcome::Ok(rows) = &ended.outcome else { continue };
        let seen: BTreeMap<i64, Option<i64>> = rows.iter().copied().collect();
        for (batch, count) in &seen {
            let expected = batches.get(batch).map_or(0, |(rows, _)| *rows);
            if *count != Some(expected) {
                return Err(format!("batch {batch} has {count:?} rows, not {expected}"));
            }
        }
        let lost = |(batch, (_, at)): &(&i64, &(i64, u64))| {
            *at < read.begun_at && !seen.contains_key(*batch)
        };
        if let Some((batch, _)) = batches.iter().find(lost) {
            return Err(format!("batch {batch} was confirmed or seen, and it is gone"));
        }
        for (batch, (_, certain_at)) in &mut batches {
            if seen.contains_key(batch) {
                *certain_at = ended_at.min(*certain_at);
            }
        }
    }
    Ok(())
}

/// A read of the rows inserted, or of `only` one of them.
struct Read<'a> {
    began_ns: u64,
    ended_ns: u64,
    only: Option<i64>,
    rows: &'a Rows,
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
        judge(&history)
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

    #[test]
    fn a_batch_is_there_whole_or_not_at_all() {
        let judge = |insert: Outcome, reads: &[&[(i64, i64)]]| {
            let ok = |seen: &[(i64, i64)]| {
                Outcome::Ok(seen.iter().map(|(batch, rows)| (*batch, Some(*rows))).collect())
            };
            let insert = (0, Op::BatchInsert { batch: 5, rows: 100 }, insert);
            let reads = reads.iter().map(|seen| (1, Op::BatchRead, ok(seen)));
            super::judge(&History::one_by_one([insert].into_iter().chain(reads)))
        };
        let unknown = Outcome::Info(String::new());
        assert!(judge(Outcome::Ok(vec![]), &[&[(5, 100)]]).is_ok());
        assert!(judge(Outcome::Ok(vec![]), &[&[]]).is_err(), "lost");
        assert!(judge(Outcome::Ok(vec![]), &[&[(5, 99)]]).is_err(), "one row is missing");
        assert!(judge(Outcome::Fail(String::new()), &[&[(5, 100)]]).is_err(), "refused");
        assert!(judge(unknown.clone(), &[&[]]).is_ok());
        assert!(judge(unknown.clone(), &[&[], &[(5, 100)], &[(5, 100)]]).is_ok());
        assert!(judge(unknown.clone(), &[&[(5, 50)]]).is_err(), "half of it");
        assert!(judge(unknown, &[&[(5, 100)], &[]]).is_err(), "seen, then gone");
    }

    #[test]
    fn a_read_of_one_row_makes_it_certain_and_misses_no_other() {
        let judge = |one: &[i64], all: &[i64]| {
            let mut history = History::default();
            let mut push = |time_ns, process, op, outcome| {
                history.push(Entry { time_ns, process, client: 0, op, outcome });
            };
            let rows = |ids: &[i64]| Outcome::Ok(ids.iter().map(|id| (*id, None)).collect());
            for (process, id) in [(0, 7), (1, 8)] {
                push(1, process, Op::Insert { id }, Outcome::Invoked);
                push(2, process, Op::Insert { id }, Outcome::Info(String::new()));
            }
            push(3, 2, Op::ReadOneInserted { id: 7 }, Outcome::Invoked);
            push(4, 2, Op::ReadOneInserted { id: 7 }, rows(one));
            push(5, 3, Op::ReadInserted, Outcome::Invoked);
            push(6, 3, Op::ReadInserted, rows(all));
            push(7, 4, Op::ReadOneInserted { id: 7 }, Outcome::Invoked);
            push(8, 4, Op::ReadOneInserted { id: 7 }, rows(one));
            judge(&history)
        };
        assert!(judge(&[7], &[7]).is_ok());
        assert!(judge(&[7], &[7, 8]).is_ok());
        assert!(judge(&[], &[8]).is_ok());
        assert!(judge(&[7], &[8]).is_err(), "seen, then lost");
        assert!(judge(&[], &[7, 8]).is_err(), "seen by all, then lost to one");
        assert!(judge(&[8], &[8]).is_err(), "another row than was asked for");
    }
}
