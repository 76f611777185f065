//! Every case of `jepsen/golden/*.txt` shows exactly the anomalies it says, and what is told of it
//! is the text beside it in `*.verdicts`.

use std::collections::BTreeSet;
use std::fs::read_to_string;
use std::path::Path;

use basalt_jepsen::history::History;
use basalt_jepsen::{
    CheckError, CheckOptions, Verdict, check_closed_predicate, check_list_append, check_long_fork,
    check_register, check_rw_register, draw,
};

use crate::story::{parse, record};

type Check = fn(&History, &CheckOptions) -> Result<Verdict, CheckError>;

struct Case {
    name: String,
    lines: Vec<String>,
    expected: Vec<String>,
    strongest: Option<Vec<String>>,
}

fn cases(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let (head, rest) = line.split_once(' ').expect("a line has words");
        let words = || rest.split_whitespace().map(str::to_string).collect::<Vec<_>>();
        if head == "case" {
            let name = rest.to_string();
            cases.push(Case { name, lines: vec![], expected: vec![], strongest: None });
            continue;
        }
        let case = cases.last_mut().expect("a case comes first");
        match head {
            "expect" => case.expected = words().into_iter().filter(|w| w != "none").collect(),
            "strongest" => case.strongest = Some(words()),
            _ => case.lines.push(line.to_string()),
        }
    }
    cases
}

/// Runs all cases of a file and returns how many there are and what they expect.
fn run(name: &str, check: Check) -> (usize, BTreeSet<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let cases = cases(&read_to_string(folder.join(format!("{name}.txt"))).unwrap());
    let mut told_all = String::new();
    let mut expected = BTreeSet::new();
    for case in &cases {
        let verdict = run_case(case, check);
        told_all += &format!("case {}\n", case.name);
        told_all += &with_letters(&format!("{verdict}{:?}\n\n", verdict.statistics));
        expected.extend(case.expected.iter().cloned());
    }
    compare(&folder.join(format!("{name}.verdicts")), &told_all);
    (cases.len(), expected)
}

/// Keys are letters, and told as their numbers.
fn with_letters(text: &str) -> String {
    ('a'..='z').fold(text.to_string(), |text, letter| {
        text.replace(&u32::from(letter).to_string(), &letter.to_string())
    })
}

fn run_case(case: &Case, check: Check) -> Verdict {
    let told: Vec<_> = case.lines.iter().map(|line| parse(line)).collect();
    let history = record(&told);
    let verdict = check(&history, &CheckOptions::default()).expect("it fits the model");
    assert_eq!(verdict.names(), case.expected, "{}\n{verdict}", case.name);
    if let Some(strongest) = &case.strongest {
        let mut names: Vec<&str> = verdict.strongest.iter().map(|m| m.name()).collect();
        let mut wanted: Vec<&str> = strongest.iter().map(String::as_str).collect();
        names.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(names, wanted, "{}\n{verdict}", case.name);
    }
    for anomaly in &verdict.anomalies {
        assert!(!anomaly.story.is_empty(), "{} has no story", case.name);
        for (edge, next) in anomaly.cycle.iter().zip(anomaly.cycle.iter().cycle().skip(1)) {
            assert_eq!(edge.to, next.from, "{}: the cycle is closed", case.name);
            assert!(!edge.words.contains("precedes"), "{}: {}", case.name, edge.words);
        }
    }
    assert!(draw::dot(&history, &verdict).starts_with("digraph"));
    assert!(draw::html(&history, &verdict, &case.name).contains("Timeline"));
    verdict
}

/// Compares what is told of all cases with the file; `GOLDEN_UPDATE=1` writes it anew.
fn compare(path: &Path, told: &str) {
    if std::env::var_os("GOLDEN_UPDATE").is_some() {
        std::fs::write(path, told).unwrap();
    }
    let known = read_to_string(path).unwrap_or_default();
    for (now, before) in told.split("\n\n").zip(known.split("\n\n")) {
        assert_eq!(now, before, "{} differs", path.display());
    }
    assert_eq!(told.len(), known.len(), "{} has as many cases", path.display());
}

#[test]
fn every_case_shows_exactly_what_it_says() {
    let files: [(&str, Check); 5] = [
        ("list-append", check_list_append),
        ("rw-register", check_rw_register),
        ("closed-predicate", check_closed_predicate),
        ("long-fork", check_long_fork),
        ("register", check_register),
    ];
    let mut count = 0;
    let mut shown = BTreeSet::new();
    for (name, check) in files {
        let (cases, expected) = run(name, check);
        count += cases;
        shown.extend(expected);
    }
    assert!(count >= 60, "{count} cases");
    let named = "duplicate-elements incompatible-order internal G1a G1b dirty-update lost-update \
                 future-read cyclic-versions garbage-read long-fork nonlinearizable \
                 predicate-read-miss";
    let cyclic = [
        "G0",
        "G1c",
        "G-single",
        "G-single-predicate",
        "G-nonadjacent",
        "G-nonadjacent-predicate",
        "G2-item",
        "G2",
    ];
    let forms = cyclic
        .iter()
        .flat_map(|name| ["", "-process", "-realtime"].map(|form| format!("{name}{form}")));
    for name in named.split_whitespace().map(str::to_string).chain(forms) {
        assert!(shown.contains(&name), "no case shows {name}");
    }
}
