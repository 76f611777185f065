//! What is related with everything stays within bounds.

use basalt_jepsen::history::{Atom, Outcome};
use basalt_jepsen::{CheckOptions, check_list_append, check_rw_register};

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
    assert!((1000..EDGES_MAX).contains(&verdict.statistics.edges), "{:?}", verdict.statistics);
    let registers = crowd(&OwnedStep::Read(key, Some(Atom::NIL)), OwnedStep::Write);
    let verdict = check_rw_register(&record(&registers), &options).unwrap();
    assert!(verdict.is_clean());
    assert!((1000..EDGES_MAX).contains(&verdict.statistics.edges), "{:?}", verdict.statistics);
}
