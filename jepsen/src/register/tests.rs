//! Each way of deciding against all orders, and against the others.

use super::*;
use crate::history::{Function, Step};

/// A small deterministic generator, so that a failure names its seed.
pub(crate) struct Dice(pub u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

/// Tries every order.
fn brute_force(calls: &[Call], value: u32, left: u32) -> bool {
    let certain = |index: usize| calls[index].deadline != NEVER;
    let remaining: Vec<usize> = (0..calls.len()).filter(|index| left >> index & 1 == 1).collect();
    if remaining.iter().all(|&index| !certain(index)) {
        return true;
    }
    remaining.iter().any(|&index| {
        let call = &calls[index];
        if remaining.iter().any(|&other| calls[other].deadline < call.invoked) {
            return false;
        }
        let after = match call.action {
            Action::Read(read) if read == value => value,
            Action::Write(written) => written,
            Action::Swap { old, new } if old == value => new,
            _ => return false,
        };
        brute_force(calls, after, left & !(1 << index))
    })
}

/// Random operations; values beyond the writes are unique if `unique`.
fn random_calls(dice: &mut Dice, unique: bool) -> (Vec<Call>, usize) {
    let count = 2 + dice.roll(7) as usize;
    let mut moments: Vec<u32> = (0..2 * count as u32).collect();
    for index in (1..moments.len()).rev() {
        moments.swap(index, dice.roll(index as u64 + 1) as usize);
    }
    let value_count = if unique { count + 1 } else { 3 };
    let mut calls: Vec<Call> = moments
        .chunks(2)
        .enumerate()
        .map(|(index, pair)| {
            let any = dice.roll(value_count as u64) as u32;
            let written = if unique { index as u32 + 1 } else { any };
            let action = match dice.roll(if unique { 4 } else { 6 }) {
                0 | 1 => Action::Read(any),
                2 | 3 => Action::Write(written),
                _ => Action::Swap { old: any, new: dice.roll(3) as u32 },
            };
            let is_info = dice.roll(6) == 0 && !matches!(action, Action::Read(_));
            let deadline = if is_info { NEVER } else { pair[0].max(pair[1]) };
            let id = OperationId(index as u32);
            Call { id, action, invoked: pair[0].min(pair[1]), deadline }
        })
        .collect();
    calls.sort_by_key(|call| call.invoked);
    (calls, value_count)
}

#[test]
fn the_search_agrees_with_trying_every_order() {
    let mut linearizable = 0;
    for seed in 0..60_000 {
        let (calls, values) = random_calls(&mut Dice(seed), seed % 2 == 0);
        let expected = brute_force(&calls, NIL_VALUE, (1 << calls.len()) - 1);
        let found = search::decide(&calls, values).unwrap();
        assert_eq!(found.is_none(), expected, "seed {seed}: {calls:#?}");
        linearizable += usize::from(expected);
    }
    assert!((10_000..50_000).contains(&linearizable), "{linearizable} of both kinds");
}

#[test]
fn the_zones_agree_with_the_search() {
    let mut decided = 0;
    for seed in 0..40_000 {
        let (calls, values) = random_calls(&mut Dice(seed), true);
        let Some(found) = zones::decide(&calls, values) else { continue };
        let expected = search::decide(&calls, values).unwrap();
        assert_eq!(found.is_none(), expected.is_none(), "seed {seed}: {calls:#?}");
        decided += 1;
    }
    assert!(decided > 30_000, "{decided}");
}

/// More than a word of slots, and far too many subsets to try them all.
#[test]
fn a_hundred_writes_at_once_are_decided_soon() {
    let call = |id: u32, action, invoked, deadline| Call {
        id: OperationId(id),
        action,
        invoked,
        deadline,
    };
    let mut calls: Vec<Call> =
        (0..100).map(|n| call(n, Action::Write(1 + n % 50), n, 200 + n)).collect();
    calls.push(call(100, Action::Read(7), 400, 401));
    assert!(zones::decide(&calls, 51).is_none(), "values are written twice");
    assert!(search::decide(&calls, 51).unwrap().is_none());
    calls.push(call(101, Action::Read(8), 402, 403));
    let refutation = search::decide(&calls, 51).unwrap().expect("only one value was last");
    assert_eq!(refutation.operations[0], OperationId(101));
}

/// Only what is open at once takes a slot.
#[test]
fn any_number_of_operations_one_after_another_is_decided() {
    let calls: Vec<Call> = (0..5000)
        .map(|n| {
            let value = 1 + n / 2 % 2;
            let action = if n % 2 == 0 { Action::Write(value) } else { Action::Read(value) };
            Call { id: OperationId(n), action, invoked: 2 * n, deadline: 2 * n + 1 }
        })
        .collect();
    assert!(zones::decide(&calls, 3).is_none(), "values are written twice");
    assert!(search::decide(&calls, 3).unwrap().is_none());
}

fn write(history: &mut History, process: i64, value: i64) -> OperationId {
    let step = Step::Write { key: Atom::from(7), value: Atom::from(value) };
    history.invoke(Atom::from(process), 0, Function::Write, &[step])
}

fn end(history: &mut History, id: OperationId) {
    let steps = history.steps(id);
    let owned: Vec<Step<'static>> = steps
        .iter()
        .map(|step| match *step {
            Step::Write { key, value } => Step::Write { key, value },
            _ => unreachable!("only writes end here"),
        })
        .collect();
    history.complete(id, 0, Outcome::Ok, &owned);
}

fn read(history: &mut History, process: i64, value: i64) {
    let key = Atom::from(7);
    let step = Step::Read { key, value: None };
    let id = history.invoke(Atom::from(process), 0, Function::Read, &[step]);
    let answer = Step::Read { key, value: Some(Atom::from(value)) };
    history.complete(id, 0, Outcome::Ok, &[answer]);
}

#[test]
fn a_stale_read_is_told_with_the_operations_that_show_it() {
    let mut history = History::new();
    for value in [1, 2] {
        let id = write(&mut history, 0, value);
        end(&mut history, id);
    }
    read(&mut history, 1, 2);
    assert!(check_register(&history, &CheckOptions::default()).unwrap().is_clean());
    read(&mut history, 1, 1);
    let verdict = check_register(&history, &CheckOptions::default()).unwrap();
    assert_eq!(verdict.names(), ["nonlinearizable"]);
    assert_eq!(verdict.ruled_out, [Model::Linearizable]);
    let text = verdict.to_string();
    assert!(text.contains("register 7: two values were both current at one time"), "{text}");
    assert!(text.contains("T3 (process 1, events 6–7, ok): read 7 1"), "{text}");
}

#[test]
fn an_unknown_write_may_take_effect_late_or_never() {
    let mut history = History::new();
    write(&mut history, 0, 1);
    let second = write(&mut history, 1, 2);
    end(&mut history, second);
    read(&mut history, 2, 2);
    assert!(check_register(&history, &CheckOptions::default()).unwrap().is_clean());
    read(&mut history, 2, 1);
    assert!(check_register(&history, &CheckOptions::default()).unwrap().is_clean());
    read(&mut history, 2, 2);
    assert!(!check_register(&history, &CheckOptions::default()).unwrap().is_clean());
}

#[test]
fn threads_do_not_change_the_verdict() {
    let mut history = History::new();
    for key in 0..50 {
        for value in [1, 2] {
            let step = Step::Write { key: Atom::from(key), value: Atom::from(value) };
            let id = history.invoke(Atom::from(0), 0, Function::Write, &[step]);
            history.complete(id, 0, Outcome::Ok, &[step]);
        }
        let value = Some(Atom::from(1 + key % 2));
        let step = Step::Read { key: Atom::from(key), value };
        let id = history.invoke(Atom::from(0), 0, Function::Read, &[step]);
        history.complete(id, 0, Outcome::Ok, &[step]);
    }
    let run = |threads| {
        let options = CheckOptions { threads, examples_max: 100 };
        check_register(&history, &options).unwrap().to_string()
    };
    assert_eq!(run(1).matches("register").count(), 25);
    assert_eq!(run(1), run(3));
}
