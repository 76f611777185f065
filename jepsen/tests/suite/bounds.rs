//! What is related with everything stays within bounds.

use basalt_jepsen::history::{Atom, Outcome};
use basalt_jepsen::{AnomalyKind, CheckOptions, Verdict, check_list_append, check_rw_register};

use crate::story::{OwnedStep, Told, record};

/// A thousand readers of nothing and a thousand writers, all at once.
fn crowd(read: &OwnedStep, write: fn(Atom, Atom) -> OwnedStep) -> Vec<Told> {
    let told = |process, step| Told {
        process,
        begin: 0,
        end: Some(1),
        outcome: Outcome::Ok,
        steps: vec![step],
    };
    let writes = (0..1000).map(|n| told(n, write(Atom::from(7), Atom::from(n))));
    writes.chain((1000..2000).map(|n| told(n, read.clone()))).collect()
}

const EDGES_MAX: usize = 100_000;

#[test]
fn unread_appends_and_readers_of_nothing_are_not_all_related() {
    let key = Atom::from(7);
    let options = CheckOptions::default();
    let lists = crowd(&OwnedStep::ReadList(key, Vec::new()), OwnedStep::Append);
    let verdict = check_list_append(&record(&lists), &options).unwrap();
    assert!(verdict.is_clean());
    is_bounded(&verdict);
    let registers = crowd(&OwnedStep::Read(key, Some(Atom::NIL)), OwnedStep::Write);
    let verdict = check_rw_register(&record(&registers), &options).unwrap();
    assert!(verdict.is_clean());
    is_bounded(&verdict);
}

/// The verdict says that something was left out.
fn is_bounded(verdict: &Verdict) {
    assert!((1000..EDGES_MAX).contains(&verdict.statistics.edges), "{:?}", verdict.statistics);
    assert!(verdict.edges_left_out > 900_000, "{}", verdict.edges_left_out);
    assert!(verdict.to_string().contains("left out: "), "{verdict}");
}

/// A database that gives everyone the first version, to write over.
#[test]
fn a_version_that_all_read_and_write_over_is_told_in_short() {
    let key = Atom::from(7);
    let told = |process: i64, begin, steps| Told {
        process,
        begin,
        end: Some(begin + 1),
        outcome: Outcome::Ok,
        steps,
    };
    let first = told(0, 0, vec![OwnedStep::Write(key, Atom::from(0))]);
    let others = (1..2000).map(|n| {
        let read = OwnedStep::Read(key, Some(Atom::from(0)));
        told(n, 2, vec![read, OwnedStep::Write(key, Atom::from(n))])
    });
    let all: Vec<Told> = [first].into_iter().chain(others).collect();
    let verdict = check_rw_register(&record(&all), &CheckOptions::default()).unwrap();
    is_bounded(&verdict);
    let lost = &verdict.anomalies[0];
    assert_eq!((lost.kind, lost.operations.len()), (AnomalyKind::LostUpdate, 1999));
    assert!(lost.story.len() < 50, "{}", lost.story.len());
    assert!(lost.story.iter().any(|line| line == "… and 1959 more"), "{verdict}");
}

/// A process misses at the end what it did at the beginning, and there is a way in many steps.
#[test]
fn a_cycle_around_a_long_history_is_told_in_short() {
    let mut told = Vec::new();
    for n in 0..5000 {
        let key = Atom::from(1 + n / 10);
        let seen = ((n / 10 * 10).max(1)..n).map(Atom::from).collect();
        let steps = match n {
            0 => vec![OwnedStep::Append(Atom::from(0), Atom::from(1))],
            _ => vec![OwnedStep::ReadList(key, seen), OwnedStep::Append(key, Atom::from(n))],
        };
        let (begin, end) = (2 * n, Some(2 * n + 1));
        told.push(Told { process: n % 7, begin, end, outcome: Outcome::Ok, steps });
    }
    told[4999].steps = vec![OwnedStep::ReadList(Atom::from(0), Vec::new())];
    told[4999].process = 0;
    told[1].steps.remove(0);
    let verdict = check_list_append(&record(&told), &CheckOptions::default()).unwrap();
    assert_eq!(verdict.names(), ["G-single-process"], "{verdict}");
    assert_eq!(verdict.anomalies[0].cycle.len(), 2, "{verdict}");
}

/// Reads and appends of ever new keys, and at the end a read that misses the very first append: what
/// lies between is one component, in which almost every read has an anti-dependency.
#[test]
fn a_read_that_is_stale_by_a_whole_history_is_found_soon() {
    let told = |process, begin, step| Told {
        process,
        begin,
        end: Some(begin + 5),
        outcome: Outcome::Ok,
        steps: vec![step],
    };
    let first = told(-1, -10, OwnedStep::Append(Atom::from(-1), Atom::from(1)));
    let between = (0..40_000).map(|n| {
        let key = Atom::from(n / 20);
        let step = match n % 2 {
            0 => OwnedStep::Append(key, Atom::from(n)),
            _ => OwnedStep::ReadList(key, (n / 20 * 20..n).step_by(2).map(Atom::from).collect()),
        };
        told(n % 9, 2 * n, step)
    });
    let last = told(-2, 100_000, OwnedStep::ReadList(Atom::from(-1), Vec::new()));
    let all: Vec<Told> = [first].into_iter().chain(between).chain([last]).collect();
    let verdict = check_list_append(&record(&all), &CheckOptions::default()).unwrap();
    assert_eq!(verdict.names(), ["G-single-realtime"], "{verdict}");
    assert_eq!(verdict.anomalies[0].cycle.len(), 2, "{verdict}");
}
