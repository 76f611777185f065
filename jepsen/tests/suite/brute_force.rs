//! Small random histories against every serial order.
//!
//! `JEPSEN_HISTORIES=1000000` runs more of them.

use std::collections::BTreeMap;

use basalt_jepsen::history::{Atom, History, OperationId, Outcome, Predicate};
use basalt_jepsen::{
    CheckError, CheckOptions, Model, Verdict, check_closed_predicate, check_list_append,
    check_rw_register,
};

use crate::story::{OwnedStep, Told, record};

pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

const KEYS: i64 = 2;

/// Transactions over few keys. Each key has an order of its appends, every read is a prefix of it,
/// and a last transaction reads everything.
fn random_lists(dice: &mut Dice) -> Vec<Told> {
    let told = random_shape(dice);
    let (mut told, orders) = with_lists(told, dice);
    let all =
        (0..KEYS).map(|key| OwnedStep::ReadList(Atom::from(key), orders[key as usize].clone()));
    told.push(Told {
        process: 99,
        begin: 1000,
        end: Some(1001),
        outcome: Outcome::Ok,
        steps: all.collect(),
    });
    told
}

/// As [`random_lists`], but some operations fail, of some nobody knows the outcome, and often
/// nobody reads everything in the end.
fn random_unknown_lists(dice: &mut Dice) -> Vec<Told> {
    if dice.roll(4) == 0 {
        return random_lists(dice);
    }
    let mut told = random_shape(dice);
    for operation in &mut told {
        operation.outcome = match dice.roll(6) {
            0 => Outcome::Fail,
            1 => Outcome::Info,
            _ => Outcome::Ok,
        };
    }
    let (mut told, _) = with_lists(told, dice);
    for operation in told.iter_mut().filter(|operation| operation.outcome == Outcome::Info) {
        operation.end = operation.end.filter(|_| dice.roll(2) == 0);
    }
    told
}

/// Gives appends their elements and reads their lists, and returns the order of each key's.
fn with_lists(mut told: Vec<Told>, dice: &mut Dice) -> (Vec<Told>, Vec<Vec<Atom>>) {
    let mut orders: Vec<Vec<Atom>> = vec![Vec::new(); KEYS as usize];
    let mut next = 1;
    for operation in &mut told {
        for step in &mut operation.steps {
            if let OwnedStep::Append(key, value) = step {
                *value = Atom::from(next);
                next += 1;
                let is_there = match operation.outcome {
                    Outcome::Ok => true,
                    Outcome::Info => dice.roll(2) == 0,
                    Outcome::Fail => dice.roll(8) == 0,
                };
                if !is_there {
                    continue;
                }
                let order = &mut orders[key.as_integer().unwrap() as usize];
                // Mostly at the end, so that there is something to find on both sides.
                let place = if dice.roll(4) == 0 {
                    dice.roll(order.len() as u64 + 1)
                } else {
                    order.len() as u64
                };
                order.insert(place as usize, *value);
            }
        }
    }
    for operation in &mut told {
        for at in 0..operation.steps.len() {
            let OwnedStep::ReadList(key, _) = operation.steps[at] else { continue };
            let order = &orders[key.as_integer().unwrap() as usize];
            let own = operation.steps[..at].iter().rev().find_map(|step| match step {
                OwnedStep::Append(other, value) if *other == key => {
                    order.iter().position(|element| element == value).map(|place| place + 1)
                }
                OwnedStep::ReadList(other, list) if *other == key => Some(list.len()),
                _ => None,
            });
            let length = match own {
                Some(own) if dice.roll(8) > 0 => own,
                _ => dice.roll(order.len() as u64 + 1) as usize,
            };
            operation.steps[at] = OwnedStep::ReadList(key, order[..length].to_vec());
        }
    }
    (told, orders)
}

/// Up to six transactions of up to three steps, some at once, some one after the other.
fn random_shape(dice: &mut Dice) -> Vec<Told> {
    let count = 2 + dice.roll(5);
    (0..count)
        .map(|index| {
            let begin = dice.roll(12) as i64;
            let steps = (0..1 + dice.roll(3))
                .map(|_| {
                    let key = Atom::from(dice.roll(KEYS as u64) as i64);
                    match dice.roll(2) {
                        0 => OwnedStep::Append(key, Atom::NIL),
                        _ => OwnedStep::ReadList(key, Vec::new()),
                    }
                })
                .collect();
            let end = Some(begin + dice.roll(8) as i64);
            Told { process: index as i64, begin, end, outcome: Outcome::Ok, steps }
        })
        .collect()
}

/// Whether some order explains every read; in real time where that is asked for. What failed has
/// no place in it, and what nobody knows the outcome of one where it helps.
fn has_serial_order(told: &[Told], state: &mut [Vec<Atom>], left: u32, realtime: bool) -> bool {
    let is_certain = |index: usize| told[index].outcome == Outcome::Ok;
    let may_be = |index: usize| told[index].outcome != Outcome::Fail;
    let remaining = || (0..told.len()).filter(|index| left >> index & 1 == 1);
    if !remaining().any(is_certain) {
        return true;
    }
    for index in remaining().filter(|&index| may_be(index)) {
        let is_late = |other: usize| {
            is_certain(other) && told[other].end.is_some_and(|end| end < told[index].begin)
        };
        if realtime && remaining().any(is_late) {
            continue;
        }
        let lengths: Vec<usize> = state.iter().map(Vec::len).collect();
        let fits = apply(&told[index], state);
        if fits && has_serial_order(told, state, left & !(1 << index), realtime) {
            return true;
        }
        for (list, length) in state.iter_mut().zip(lengths) {
            list.truncate(length);
        }
    }
    false
}

fn apply(told: &Told, state: &mut [Vec<Atom>]) -> bool {
    let place = |key: &Atom| key.as_integer().unwrap() as usize;
    told.steps.iter().all(|step| match step {
        OwnedStep::Append(key, value) | OwnedStep::Write(key, value) => {
            state[place(key)].push(*value);
            true
        }
        // Nobody was told what it read.
        _ if told.outcome != Outcome::Ok => true,
        OwnedStep::ReadList(key, list) => state[place(key)] == *list,
        OwnedStep::Read(key, Some(value)) => {
            state[place(key)].last().copied().unwrap_or(Atom::NIL) == *value
        }
        _ => true,
    })
}

fn shown(told: &[Told]) -> String {
    let history = record(told);
    (0..told.len() as u32).map(|id| history.describe(OperationId(id)) + "\n").collect()
}

fn histories() -> u64 {
    let asked = std::env::var("JEPSEN_HISTORIES").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(100_000)
}

/// Lists show all there is to know, so the checker must be right in both directions.
#[test]
fn list_append_agrees_with_every_serial_order() {
    let mut serializable = [0u64; 2];
    let mut strict = [0u64; 2];
    for seed in 0..histories() {
        let told = random_lists(&mut Dice(seed));
        let verdict = check_list_append(&record(&told), &CheckOptions::default()).unwrap();
        let all = (1 << told.len()) - 1;
        let order =
            |realtime| has_serial_order(&told, &mut vec![Vec::new(); KEYS as usize], all, realtime);
        let (any, timely) = (order(false), order(true));
        assert_eq!(
            verdict.satisfies(Model::Serializable),
            any,
            "seed {seed}\n{}\n{verdict}",
            shown(&told)
        );
        assert_eq!(verdict.is_clean(), timely, "seed {seed}\n{}\n{verdict}", shown(&told));
        serializable[usize::from(any)] += 1;
        strict[usize::from(timely)] += 1;
    }
    let enough = histories() / 20;
    assert!(serializable.iter().chain(&strict).all(|&n| n > enough), "{serializable:?} {strict:?}");
}

type Check = fn(&History, &CheckOptions) -> Result<Verdict, CheckError>;

/// Where a history can be, nothing may be found; where it can be but for time, only what is of time.
fn holds_no_false_alarm(check: Check, histories: impl Iterator<Item = Vec<Told>>) {
    let (mut clean, mut found, mut count) = (0u64, 0u64, 0);
    for (number, told) in histories.enumerate() {
        let verdict = check(&record(&told), &CheckOptions::default()).unwrap();
        let all = (1 << told.len()) - 1;
        let order =
            |realtime| has_serial_order(&told, &mut vec![Vec::new(); KEYS as usize], all, realtime);
        if order(true) {
            assert!(verdict.is_clean(), "seed {number}\n{}\n{verdict}", shown(&told));
            clean += 1;
        } else if order(false) {
            let serializable = verdict.satisfies(Model::Serializable);
            assert!(serializable, "seed {number}\n{}\n{verdict}", shown(&told));
        }
        found += u64::from(!verdict.is_clean());
        count += 1;
    }
    assert!(clean > count / 20 && found > count / 20, "{clean} clean, {found} found");
}

/// What nobody read, nobody knows, so the checker may miss something.
#[test]
fn unknown_outcomes_and_unread_appends_raise_no_false_alarm() {
    let count = histories() / 2;
    let all = (0..count).map(|seed| random_unknown_lists(&mut Dice(seed)));
    holds_no_false_alarm(check_list_append, all);
}

/// Registers show less, so the checker may miss something but must never raise a false alarm.
#[test]
fn rw_register_never_raises_a_false_alarm() {
    let count = histories() / 4;
    let all = (0..count).map(|seed| {
        let dice = &mut Dice(seed);
        let mut told = match seed % 2 {
            0 => random_lists(dice),
            _ => random_unknown_lists(dice),
        };
        for step in told.iter_mut().flat_map(|operation| &mut operation.steps) {
            let changed = match &*step {
                OwnedStep::Append(key, value) => OwnedStep::Write(*key, *value),
                OwnedStep::ReadList(key, list) => {
                    OwnedStep::Read(*key, Some(list.last().copied().unwrap_or(Atom::NIL)))
                }
                other => other.clone(),
            };
            *step = changed;
        }
        told
    });
    holds_no_false_alarm(check_rw_register, all);
}

/// Whether some order of begins and commits explains every read under snapshot isolation: each
/// reads the state at its begin, and of two that write one key one commits before the other begins.
fn has_snapshot_order(told: &[Told], log: &mut Vec<usize>) -> bool {
    let place = |key: &Atom| key.as_integer().unwrap() as usize;
    let writes = |index: usize| -> Vec<usize> {
        told[index]
            .steps
            .iter()
            .filter_map(|step| match step {
                OwnedStep::Append(key, _) => Some(place(key)),
                _ => None,
            })
            .collect()
    };
    if log.len() == told.len() {
        return true;
    }
    for index in 0..told.len() {
        if log.contains(&index) {
            continue;
        }
        for snapshot in 0..=log.len() {
            let mut state: Vec<Vec<Atom>> = vec![Vec::new(); KEYS as usize];
            for &earlier in &log[..snapshot] {
                for step in &told[earlier].steps {
                    if let OwnedStep::Append(key, value) = step {
                        state[place(key)].push(*value);
                    }
                }
            }
            let own = writes(index);
            let conflicts = log[snapshot..]
                .iter()
                .any(|&other| writes(other).iter().any(|key| own.contains(key)));
            if conflicts || !apply(&told[index], &mut state) {
                continue;
            }
            log.push(index);
            if has_snapshot_order(told, log) {
                return true;
            }
            log.pop();
        }
    }
    false
}

/// Snapshot isolation is what has no cycle without two anti-dependencies in a row.
#[test]
fn list_append_agrees_with_every_order_of_snapshots() {
    let mut agreed = [0u64; 2];
    let count = histories() / 10;
    for seed in 0..count {
        let mut told = random_lists(&mut Dice(seed));
        if told.len() > 6 {
            continue;
        }
        told.last_mut().unwrap().begin = 0;
        let verdict = check_list_append(&record(&told), &CheckOptions::default()).unwrap();
        let exists = has_snapshot_order(&told, &mut Vec::new());
        let survives = verdict.satisfies(Model::SnapshotIsolation);
        assert_eq!(survives, exists, "seed {seed}\n{}\n{verdict}", shown(&told));
        agreed[usize::from(exists)] += 1;
    }
    assert!(agreed.iter().all(|&n| n > count / 20), "{agreed:?}");
}

type Rows = BTreeMap<Atom, Atom>;

/// An init of some keys, and transactions that read and change them, each key once. Every read is
/// answered from one of the states that lie between the init and the end.
fn random_predicates(dice: &mut Dice) -> Vec<Told> {
    let keys: Vec<Atom> = (0..3).map(Atom::from).collect();
    let is_there: Vec<bool> = keys.iter().map(|_| dice.roll(2) == 0).collect();
    let init: Vec<OwnedStep> = keys
        .iter()
        .zip(&is_there)
        .filter(|(_, is_there)| **is_there)
        .map(|(key, _)| OwnedStep::Init(*key, Atom::from(dice.roll(2) as i64)))
        .collect();
    let mut state = Rows::new();
    let mut told = Vec::new();
    let operation = |process, begin, end, steps| {
        let outcome = Outcome::Ok;
        Told { process, begin, end: Some(end), outcome, steps }
    };
    if !init.is_empty() {
        change(&init, &mut state);
        told.push(operation(99, -2, -1, init));
    }
    let mut unchanged = keys.clone();
    let mut states = vec![state.clone()];
    for process in 0..2 + dice.roll(3) {
        let snapshot =
            states[states.len() - 1 - dice.roll(states.len().min(3) as u64) as usize].clone();
        let mut seen = snapshot;
        let mut steps = Vec::new();
        for _ in 0..1 + dice.roll(3) {
            let step = match dice.roll(3) {
                0 if !unchanged.is_empty() => {
                    let key = unchanged.remove(dice.roll(unchanged.len() as u64) as usize);
                    match state.contains_key(&key) && dice.roll(2) == 0 {
                        true => OwnedStep::Delete(key),
                        false => OwnedStep::Write(key, Atom::from(2 + dice.roll(2) as i64)),
                    }
                }
                1 => {
                    let key = keys[dice.roll(3) as usize];
                    OwnedStep::Read(key, Some(seen.get(&key).copied().unwrap_or(Atom::NIL)))
                }
                _ => {
                    let remainder = dice.roll(2) as i64;
                    let predicate = match dice.roll(3) {
                        0 => Predicate::All,
                        1 => Predicate::Equals(Atom::from(dice.roll(4) as i64)),
                        _ => Predicate::Modulo { modulus: 2, remainder },
                    };
                    OwnedStep::ReadWhere(predicate, matching(predicate, &seen))
                }
            };
            change(std::slice::from_ref(&step), &mut seen);
            change(std::slice::from_ref(&step), &mut state);
            steps.push(step);
        }
        states.push(state.clone());
        let begin = dice.roll(6) as i64;
        told.push(operation(process as i64, begin, begin + dice.roll(6) as i64, steps));
    }
    told
}

fn change(steps: &[OwnedStep], state: &mut Rows) {
    for step in steps {
        match step {
            OwnedStep::Write(key, value) | OwnedStep::Init(key, value) => {
                state.insert(*key, *value);
            }
            OwnedStep::Delete(key) => {
                state.remove(key);
            }
            _ => {}
        }
    }
}

fn matching(predicate: Predicate, state: &Rows) -> Vec<[Atom; 2]> {
    let fits = |(_, value): &(&Atom, &Atom)| predicate.matches(**value);
    state.iter().filter(fits).map(|(key, value)| [*key, *value]).collect()
}

/// Whether some order, the init first, explains all reads.
fn has_predicate_order(told: &[Told], state: &Rows, left: u32, realtime: bool) -> bool {
    let remaining = || (0..told.len()).filter(|index| left >> index & 1 == 1);
    left == 0
        || remaining().any(|index| {
            let is_late = |other: usize| told[other].end.is_some_and(|end| end < told[index].begin);
            if realtime && remaining().any(is_late) {
                return false;
            }
            let mut state = state.clone();
            let explains = told[index].steps.iter().all(|step| {
                change(std::slice::from_ref(step), &mut state);
                match step {
                    OwnedStep::Read(key, Some(value)) => {
                        state.get(key).copied().unwrap_or(Atom::NIL) == *value
                    }
                    OwnedStep::ReadWhere(predicate, rows) => matching(*predicate, &state) == *rows,
                    _ => true,
                }
            });
            explains && has_predicate_order(told, &state, left & !(1 << index), realtime)
        })
}

/// What a predicate read did not return is known only in part, so something may be missed, but
/// never may there be a false alarm.
#[test]
fn closed_predicate_never_raises_a_false_alarm() {
    let (mut clean, mut found, mut missed) = (0u64, 0u64, 0u64);
    let count = histories() / 4;
    for seed in 0..count {
        let told = random_predicates(&mut Dice(seed));
        let verdict = check_closed_predicate(&record(&told), &CheckOptions::default()).unwrap();
        let (first, state) = match told[0].steps[0] {
            OwnedStep::Init(..) => {
                let mut state = Rows::new();
                change(&told[0].steps, &mut state);
                (1, state)
            }
            _ => (0, Rows::new()),
        };
        let rest = &told[first..];
        let order = |realtime| has_predicate_order(rest, &state, (1 << rest.len()) - 1, realtime);
        if order(true) {
            assert!(verdict.is_clean(), "seed {seed}\n{}\n{verdict}", shown(&told));
            clean += 1;
        } else if order(false) {
            let serializable = verdict.satisfies(Model::Serializable);
            assert!(serializable, "seed {seed}\n{}\n{verdict}", shown(&told));
        } else if verdict.satisfies(Model::Serializable) {
            missed += 1;
        } else {
            found += 1;
        }
    }
    assert!(clean > count / 20 && found > count / 20, "{clean} clean, {found} found");
    assert!(missed < found, "{missed} missed, {found} found");
}
