//! Changes to a history that must not change its verdict.

use std::collections::BTreeMap;

use basalt_jepsen::generator::{Engine, GeneratorOptions, Workload, generate};
use basalt_jepsen::history::read::{Format, read_history};
use basalt_jepsen::history::write::write_history;
use basalt_jepsen::history::{Atom, Function, History, OperationId, Step};
use basalt_jepsen::{CheckOptions, check_list_append, check_rw_register};

/// A history as text, changed line by line, and read again.
fn rewritten(history: &History, change: impl Fn(&str) -> String) -> History {
    let mut bytes = Vec::new();
    write_history(history, Format::Edn, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let changed: Vec<String> = text.lines().map(change).collect();
    read_history(changed.join("\n").as_bytes(), Format::Edn).unwrap()
}

fn counts(history: &History, workload: Workload, threads: usize) -> Vec<(String, usize)> {
    let options = CheckOptions { threads, examples_max: 1 };
    let verdict = match workload {
        Workload::ListAppend => check_list_append(history, &options),
        _ => check_rw_register(history, &options),
    };
    let verdict = verdict.unwrap();
    verdict.counts.iter().map(|(kind, count)| (kind.name().to_string(), *count)).collect()
}

fn each_history(run: impl Fn(&History, Workload, &str)) {
    for engine in Engine::ALL {
        for workload in [Workload::ListAppend, Workload::RwRegister] {
            for seed in 0..3 {
                let options = GeneratorOptions {
                    workload,
                    seed,
                    operations: 400,
                    ..GeneratorOptions::new(engine)
                };
                run(&generate(&options), workload, &format!("{} {seed}", engine.name()));
            }
        }
    }
}

#[test]
fn renaming_keys_changes_nothing() {
    each_history(|history, workload, name| {
        let renamed = rewritten(history, |line| {
            let mut line = line.to_string();
            for verb in [":r ", ":append ", ":w "] {
                line = line.replace(verb, &format!("{verb}:key-"));
            }
            line
        });
        assert_eq!(counts(&renamed, workload, 1), counts(history, workload, 1), "{name}");
    });
}

#[test]
fn permuting_processes_changes_nothing() {
    each_history(|history, workload, name| {
        let renamed = rewritten(history, |line| {
            let (before, after) = line.split_once(":process ").unwrap();
            let (process, rest) = after.split_once(',').unwrap();
            let process: i64 = process.parse().unwrap();
            format!("{before}:process {},{rest}", 7_000 - process)
        });
        assert_eq!(counts(&renamed, workload, 1), counts(history, workload, 1), "{name}");
    });
}

#[test]
fn threads_and_the_format_change_nothing() {
    each_history(|history, workload, name| {
        let same = rewritten(history, str::to_string);
        assert_eq!(counts(&same, workload, 2), counts(history, workload, 1), "{name}");
    });
}

/// Two histories on different keys, one after the other, show what each of them shows.
#[test]
fn joining_two_histories_adds_up() {
    for engine in Engine::ALL {
        let part = |seed, keys_from: i64| {
            let options =
                GeneratorOptions { seed, operations: 300, ..GeneratorOptions::new(engine) };
            (generate(&options), keys_from)
        };
        let parts = [part(1, 0), part(2, FAR)];
        let mut joined = History::new();
        for (history, keys_from) in &parts {
            copy(history, *keys_from, &mut joined);
        }
        let mut sum = BTreeMap::new();
        for (history, _) in &parts {
            for (name, count) in counts(history, Workload::ListAppend, 1) {
                *sum.entry(name).or_insert(0) += count;
            }
        }
        let joined: BTreeMap<String, usize> =
            counts(&joined, Workload::ListAppend, 1).into_iter().collect();
        assert_eq!(joined, sum, "{}", engine.name());
    }
}

/// A history on two sets of keys that no transaction mixes shows what its two parts show. Only
/// cycles that need the order of time may be there in addition, for they may lead through both.
#[test]
fn splitting_by_keys_adds_up() {
    for engine in Engine::ALL {
        for seed in 0..3 {
            let part = |seed| {
                let operations = 300;
                generate(&GeneratorOptions { seed, operations, ..GeneratorOptions::new(engine) })
            };
            let whole = interleaved([&part(seed), &part(seed + 100)]);
            let parts = [false, true].map(|moved| part_of(&whole, moved));
            let mut sum = BTreeMap::new();
            for part in &parts {
                for (name, count) in counts(part, Workload::ListAppend, 1) {
                    *sum.entry(name).or_insert(0) += count;
                }
            }
            let whole = counts(&whole, Workload::ListAppend, 1);
            let is_timed = |name: &String| name.ends_with("-realtime");
            let untimed = |counts: &mut dyn Iterator<Item = (String, usize)>| {
                counts.filter(|(name, _)| !is_timed(name)).collect::<BTreeMap<_, _>>()
            };
            let is_clean = whole.is_empty();
            assert!(sum.is_empty() || !is_clean, "{} {seed}", engine.name());
            let whole = untimed(&mut whole.into_iter());
            assert_eq!(whole, untimed(&mut sum.into_iter()), "{} {seed}", engine.name());
        }
    }
}

const FAR: i64 = 100_000;

/// Two histories at the same time, the keys and processes of the second moved.
fn interleaved(parts: [&History; 2]) -> History {
    let events = parts.map(|history| {
        let mut events = Vec::new();
        for_each_event(history, |id, process, begins| events.push((id, process, begins)));
        events
    });
    let mut whole = History::new();
    let mut copied = BTreeMap::new();
    for at in 0..events[0].len().max(events[1].len()) {
        for (part, history) in parts.iter().enumerate() {
            let Some(&(id, process, begins)) = events[part].get(at) else { continue };
            let steps = moved(history, id, FAR * part as i64);
            if begins {
                let name = Atom::from(process.as_integer().unwrap() + FAR * part as i64);
                let steps: Vec<Step<'_>> = steps.iter().map(hidden).collect();
                let copy = whole.invoke(name, 0, Function::Transaction, &steps);
                copied.insert((part, id), copy);
            } else {
                whole.complete(copied[&(part, id)], 0, history.outcome(id), &steps);
            }
        }
    }
    whole
}

/// The operations on moved keys, or those on the others.
fn part_of(whole: &History, is_moved: bool) -> History {
    let mut part = History::new();
    let mut copied = BTreeMap::new();
    for_each_event(whole, |id, process, begins| {
        if (process.as_integer().unwrap() >= FAR) != is_moved {
            return;
        }
        let steps = moved(whole, id, 0);
        if begins {
            let steps: Vec<Step<'_>> = steps.iter().map(hidden).collect();
            copied.insert(id, part.invoke(process, 0, Function::Transaction, &steps));
        } else {
            part.complete(copied[&id], 0, whole.outcome(id), &steps);
        }
    });
    part
}

/// Calls with the operation, its process, and whether it begins, in the order of events.
fn for_each_event(history: &History, mut call: impl FnMut(OperationId, Atom, bool)) {
    let mut bytes = Vec::new();
    write_history(history, Format::Edn, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut open = BTreeMap::new();
    let mut next = 0;
    for line in text.lines() {
        let process = line.split_once(":process ").unwrap().1.split(',').next().unwrap();
        let process = Atom::from(process.parse::<i64>().unwrap());
        if line.contains(":type :invoke") {
            open.insert(process, OperationId(next));
            call(OperationId(next), process, true);
            next += 1;
        } else {
            call(open.remove(&process).unwrap(), process, false);
        }
    }
}

/// The step as its invocation shows it.
fn hidden<'a>(step: &Step<'a>) -> Step<'a> {
    match *step {
        Step::ReadList { key, .. } => Step::Read { key, value: None },
        other => other,
    }
}

/// Appends the events of a history to another, its keys moved.
fn copy(history: &History, keys_from: i64, to: &mut History) {
    let mut copied = BTreeMap::new();
    for_each_event(history, |id, process, is_invocation| {
        let steps = moved(history, id, keys_from);
        if is_invocation {
            let steps: Vec<Step<'_>> = steps.iter().map(hidden).collect();
            copied.insert(id, to.invoke(process, 0, Function::Transaction, &steps));
        } else {
            to.complete(copied[&id], 0, history.outcome(id), &steps);
        }
    });
}

fn moved(history: &History, id: OperationId, keys_from: i64) -> Vec<Step<'_>> {
    let shift = |key: Atom| Atom::from(key.as_integer().unwrap() + keys_from);
    history
        .steps(id)
        .into_iter()
        .map(|step| match step {
            Step::Read { key, value } => Step::Read { key: shift(key), value },
            Step::ReadList { key, elements } => Step::ReadList { key: shift(key), elements },
            Step::Append { key, value } => Step::Append { key: shift(key), value },
            other => other,
        })
        .collect()
}
