//! Linearizability of registers in which every write has a value of its own.
//!
//! With unique values it is decided exactly and fast (Gibbons and Korach, "Testing shared memories",
//! 1997). A *cluster* is a write and the reads that saw its value. Its *zone* lies between the
//! earliest end and the latest start in it:
//!
//! ```text
//!   forward zone (earliest end < latest start): the register must hold the value all that time
//!   backward zone (otherwise): some instant between them is enough
//! ```
//! A history is linearizable exactly when no read precedes its write, no two forward zones overlap,
//! and no backward zone lies wholly within a forward one. Pairs of rows count as one register.
//! A write of unknown outcome is left out if nobody saw its value, else it may end at any time.

use std::collections::{BTreeMap, BTreeSet};

use super::second;
use crate::workload::{History, Op, Operation, Outcome, Rows};

/// Value every register starts with; its write ended before time began.
const START: i64 = 0;

#[derive(Clone, Copy, Debug)]
struct Cluster {
    value: i64,
    write_start: u64,
    write_end: u64,
    earliest_end: u64,
    latest_start: u64,
    earliest_read_end: u64,
    was_read: bool,
}

impl Cluster {
    fn new(value: i64, start: u64, end: u64) -> Cluster {
        Cluster {
            value,
            write_start: start,
            write_end: end,
            earliest_end: end,
            latest_start: start,
            earliest_read_end: u64::MAX,
            was_read: false,
        }
    }

    fn is_forward(&self) -> bool {
        self.earliest_end < self.latest_start
    }

    /// Low and high end of the zone.
    fn zone(&self) -> (u64, u64) {
        let (a, b) = (self.earliest_end, self.latest_start);
        (a.min(b), a.max(b))
    }
}

pub fn judge(history: &History, _complete: bool) -> Result<(), String> {
    let mut registers: BTreeMap<Name, Register> = BTreeMap::new();
    for operation in history.operations() {
        if let Some((name, call)) = call(&operation)? {
            registers.entry(name).or_default().add(call, operation);
        }
    }
    let time = |place: u64| {
        let entry = place.checked_sub(1).and_then(|k| history.entries.get(k as usize));
        entry.map_or(0, |entry| entry.time_ns)
    };
    let verdict = registers.iter().try_for_each(|((table, key), register)| {
        register.judge(&time).map_err(|why| format!("{table} {key}: {why}"))
    });
    second::agrees(history, &verdict)?;
    verdict
}

/// Table and key of a register.
type Name = (&'static str, u64);

/// One operation on one register.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Call {
    Write(i64),
    /// What was read; `None` where nobody was told.
    Read(Option<i64>),
}

/// What an operation does to which register; `None` for those on other tables.
fn call(operation: &Operation<'_>) -> Result<Option<(Name, Call)>, String> {
    let seen = match operation.outcome() {
        Some(Outcome::Ok(rows)) => Some(rows),
        _ => None,
    };
    let first = |rows: &Rows| match rows.first() {
        Some((_, Some(value))) => Ok(*value),
        _ => Err(format!("{:?} gave {rows:?}", operation.begun.op)),
    };
    Ok(match operation.begun.op {
        Op::Write { key, value } => Some((("register", key), Call::Write(value))),
        Op::PairWrite { pair, value } => Some((("pair", pair), Call::Write(value))),
        Op::Read { key } => Some((("register", key), Call::Read(seen.map(first).transpose()?))),
        Op::PairRead { pair } => Some((("pair", pair), Call::Read(seen.map(first).transpose()?))),
        _ => None,
    })
}

/// The operations on one register.
#[derive(Default)]
struct Register {
    writes: BTreeMap<i64, Cluster>,
    /// Values that were certainly refused.
    refused: BTreeSet<i64>,
    /// Value, begin and end.
    reads: Vec<(i64, u64, u64)>,
}

impl Register {
    fn add(&mut self, call: Call, operation: Operation<'_>) {
        let began = operation.begun_at;
        let ended = operation.ended.map(|(entry, at)| (&entry.outcome, at));
        match (call, ended) {
            (Call::Write(value), Some((Outcome::Ok(_), end))) => {
                self.writes.insert(value, Cluster::new(value, began, end));
            }
            (Call::Write(value), Some((Outcome::Fail(_), _))) => {
                self.refused.insert(value);
            }
            (Call::Write(value), _) => {
                self.writes.insert(value, Cluster::new(value, began, u64::MAX));
            }
            (Call::Read(Some(value)), Some((_, end))) => self.reads.push((value, began, end)),
            (Call::Read(_), _) => {}
        }
    }

    /// `time`: the nanoseconds of a place in the history, for people.
    fn judge(&self, time: &dyn Fn(u64) -> u64) -> Result<(), String> {
        let mut clusters = self.writes.clone();
        clusters.insert(START, Cluster::new(START, 0, 0));
        for (value, start, end) in &self.reads {
            let Some(cluster) = clusters.get_mut(value) else {
                let what = if self.refused.contains(value) { "refused" } else { "never made" };
                let when = seconds(time(*end));
                return Err(format!("{value} was read at {when}, a write {what}"));
            };
            cluster.was_read = true;
            cluster.earliest_end = cluster.earliest_end.min(*end);
            cluster.latest_start = cluster.latest_start.max(*start);
            cluster.earliest_read_end = cluster.earliest_read_end.min(*end);
        }
        let seen: Vec<Cluster> = clusters
            .into_values()
            .filter(|cluster| cluster.was_read || cluster.write_end != u64::MAX)
            .collect();
        reads_follow_writes(&seen, time)?;
        zones_fit(seen).map_err(|(a, b)| conflict(&a, &b, time))
    }
}

fn reads_follow_writes(clusters: &[Cluster], time: &dyn Fn(u64) -> u64) -> Result<(), String> {
    for cluster in clusters {
        if cluster.earliest_read_end < cluster.write_start {
            return Err(format!(
                "{} was read by {}, before its write began at {}",
                cluster.value,
                seconds(time(cluster.earliest_read_end)),
                seconds(time(cluster.write_start))
            ));
        }
    }
    Ok(())
}

/// `Err`: two values that cannot both have been there.
fn zones_fit(mut clusters: Vec<Cluster>) -> Result<(), (Cluster, Cluster)> {
    clusters.sort_by_key(|cluster| (cluster.zone(), cluster.value));
    let forward: Vec<&Cluster> = clusters.iter().filter(|c| c.is_forward()).collect();
    for pair in forward.windows(2) {
        if pair[1].zone().0 < pair[0].zone().1 {
            return Err((*pair[0], *pair[1]));
        }
    }
    for backward in clusters.iter().filter(|c| !c.is_forward()) {
        let (low, high) = backward.zone();
        // Forward zones are disjoint by now: only the last one that starts before can hold it.
        let before = forward.partition_point(|f| f.zone().0 < low);
        if let Some(around) = before.checked_sub(1).map(|k| forward[k])
            && high < around.zone().1
        {
            return Err((*around, *backward));
        }
    }
    Ok(())
}

fn conflict(a: &Cluster, b: &Cluster, time: &dyn Fn(u64) -> u64) -> String {
    let describe = |c: &Cluster| {
        let (low, high) = c.zone();
        let kind = if c.is_forward() { "must hold from" } else { "must be set between" };
        format!("{} {kind} {} to {}", c.value, seconds(time(low)), seconds(time(high)))
    };
    format!("{}, but {}", describe(a), describe(b))
}

fn seconds(ns: u64) -> String {
    format!("{}.{:06} s", ns / 1_000_000_000, ns / 1_000 % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::Entry;
    use basalt_core::seam::Rng;

    /// `w5` or `r5`, start, end; end 0 is an unknown outcome.
    fn history(operations: &[(&str, u64, u64)]) -> History {
        let mut entries = Vec::new();
        for (process, (what, start, end)) in (0..).zip(operations) {
            let value: i64 = what[1..].parse().unwrap();
            let is_read = what.starts_with('r');
            let op = if is_read { Op::Read { key: 1 } } else { Op::Write { key: 1, value } };
            let rows = if is_read { vec![(1, Some(value))] } else { vec![] };
            let entry = |time_ns, outcome| Entry { time_ns, process, client: 0, op, outcome };
            entries.push(entry(*start, Outcome::Invoked));
            if *end > 0 {
                entries.push(entry(*end, Outcome::Ok(rows)));
            }
        }
        entries.sort_by_key(|entry| entry.time_ns);
        History { entries }
    }

    fn is_linear(operations: &[(&str, u64, u64)]) -> bool {
        judge(&history(operations), true).is_ok()
    }

    #[test]
    fn known_histories() {
        assert!(is_linear(&[("w1", 1, 2), ("r1", 3, 4)]));
        assert!(!is_linear(&[("w1", 1, 2), ("r0", 3, 4)]), "stale read");
        assert!(is_linear(&[("w1", 1, 4), ("r0", 2, 3)]), "concurrent: may be before");
        assert!(!is_linear(&[("w1", 1, 9), ("r1", 2, 3), ("r0", 4, 5)]), "seen, then unseen");
        assert!(
            is_linear(&[("w1", 1, 0), ("r0", 5, 6), ("r1", 7, 8)]),
            "unknown, took effect late"
        );
        assert!(
            !is_linear(&[("w1", 1, 0), ("r1", 5, 6), ("r0", 7, 8)]),
            "unknown, seen, then lost"
        );
        assert!(!is_linear(&[("w1", 1, 2), ("w2", 3, 4), ("r1", 5, 6)]), "lost write");
        assert!(!is_linear(&[("r1", 1, 2), ("w1", 3, 4)]), "read before the write began");
        assert!(!is_linear(&[("r7", 1, 2)]), "a value nobody wrote");
    }

    /// Brute force: is there an order of all operations that respects time and reads the last write?
    fn brute(operations: &[(&str, u64, u64)]) -> bool {
        fn go(left: &[(&str, u64, u64)], value: &str) -> bool {
            if left.iter().all(|o| o.0.starts_with('w') && o.2 == 0) {
                return true;
            }
            let first_end = left.iter().filter(|o| o.2 > 0).map(|o| o.2).min().unwrap_or(u64::MAX);
            (0..left.len()).any(|k| {
                let (what, start, _) = left[k];
                if start > first_end || (what.starts_with('r') && &what[1..] != value) {
                    return false;
                }
                let mut rest = left.to_vec();
                rest.remove(k);
                go(&rest, what.strip_prefix('w').unwrap_or(value))
            })
        }
        go(operations, "0")
    }

    #[test]
    fn agrees_with_brute_force_on_random_histories() {
        let (mut good, mut bad) = (0, 0);
        for seed in 0..4_000 {
            let mut rng = Rng::from_u64(seed).fork("linear");
            let names = ["w1", "w2", "w3", "r0", "r1", "r2", "r3"];
            let mut operations = Vec::new();
            let mut times: Vec<u64> = (1..=12).collect();
            crate::faults::atlas::shuffle(&mut times, &mut rng);
            for pair in times.chunks(2) {
                let name = names[rng.below(7) as usize];
                let unused = !operations.iter().any(|o: &(&str, u64, u64)| o.0 == name);
                if name.starts_with('r') || unused {
                    let unknown = name.starts_with('w') && rng.below(4) == 0;
                    let (start, end) = (pair[0].min(pair[1]), pair[0].max(pair[1]));
                    operations.push((name, start, if unknown { 0 } else { end }));
                }
            }
            let expected = brute(&operations);
            assert_eq!(is_linear(&operations), expected, "seed {seed}: {operations:?}");
            if expected { good += 1 } else { bad += 1 }
        }
        assert!(good > 300 && bad > 300, "{good} good, {bad} bad");
    }
}
