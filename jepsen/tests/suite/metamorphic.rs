//! Changes to a history that must not change its verdict.

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
        let parts = [part(1, 0), part(2, 100_000)];
        let mut joined = History::new();
        for (history, keys_from) in &parts {
            copy(history, *keys_from, &mut joined);
        }
        let mut sum = std::collections::BTreeMap::new();
        for (history, _) in &parts {
            for (name, count) in counts(history, Workload::ListAppend, 1) {
                *sum.entry(name).or_insert(0) += count;
            }
        }
        let joined: std::collections::BTreeMap<String, usize> =
            counts(&joined, Workload::ListAppend, 1).into_iter().collect();
        assert_eq!(joined, sum, "{}", engine.name());
    }
}

/// Appends the events of a history to another, its keys moved.
fn copy(history: &History, keys_from: i64, to: &mut History) {
    let mut bytes = Vec::new();
    write_history(history, Format::Edn, &mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let mut open: Vec<(String, OperationId)> = Vec::new();
    let mut next = 0;
    for line in text.lines() {
        let process = line.split_once(":process ").unwrap().1.split(',').next().unwrap();
        let time = 0;
        if line.contains(":type :invoke") {
            let id = OperationId(next);
            next += 1;
            let steps = moved(history, id, keys_from);
            let steps: Vec<Step<'_>> = steps
                .iter()
                .map(|step| match *step {
                    Step::ReadList { key, .. } => Step::Read { key, value: None },
                    other => other,
                })
                .collect();
            let name = Atom::from(process.parse::<i64>().unwrap());
            let copied = to.invoke(name, time, Function::Transaction, &steps);
            open.push((process.to_string(), copied));
            open.last_mut().unwrap().0 = format!("{process}/{}", id.0);
        } else {
            let place = open.iter().position(|(name, _)| name.split('/').next() == Some(process));
            let (name, copied) = open.remove(place.unwrap());
            let id = OperationId(name.split('/').nth(1).unwrap().parse().unwrap());
            to.complete(copied, time, history.outcome(id), &moved(history, id, keys_from));
        }
    }
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
