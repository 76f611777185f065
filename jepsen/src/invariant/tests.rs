//! Each invariant broken, and a near miss.

use super::*;
use crate::history::History;
use crate::history::read::{Format, read_history};
use crate::verdict::{AnomalyKind, CheckError, CheckOptions, Verdict};

/// Lines of `process type function value`, ended by what happened.
fn history(lines: &str) -> History {
    let mut text = String::new();
    for line in lines.trim().lines() {
        let words: Vec<&str> = line.trim().splitn(4, ' ').collect();
        let [process, kind, function, value] = words[..] else { panic!("{line}") };
        text += &format!("{{:process {process} :type :{kind} :f :{function} :value {value}}}\n");
    }
    read_history(text.as_bytes(), Format::Edn).unwrap()
}

fn set(lines: &str) -> Verdict {
    counted(&history(lines), |history| check_set(history, &CheckOptions::default()))
}

/// The verdict, whose statistics are those of the history.
fn counted(history: &History, check: impl Fn(&History) -> Result<Verdict, CheckError>) -> Verdict {
    let verdict = check(history).unwrap();
    assert_eq!(verdict.statistics.operations, history.operation_count());
    assert!(verdict.statistics.keys > 0);
    verdict
}

#[test]
fn a_set_keeps_what_was_added() {
    let adds = "0 invoke add 1\n0 ok add 1\n1 invoke add 2\n1 info add 2\n2 invoke read nil\n";
    for read in ["2 ok read #{1}", "2 ok read [2 1]", "2 fail read nil"] {
        assert!(set(&format!("{adds}{read}")).is_clean(), "{read}");
    }
    let cases = [
        ("2 ok read #{2}", "lost-element"),
        ("2 ok read #{}", "lost-element"),
        ("2 ok read #{1 3}", "unexpected-element"),
        ("2 ok read [1 1]", "duplicate-elements"),
        ("2 ok read #{1 9}\n0 invoke add 9\n0 ok add 9", "unexpected-element"),
        ("2 ok read #{1 2}\n3 invoke read nil\n3 ok read #{1}", "lost-element"),
    ];
    for (read, expected) in cases {
        assert_eq!(set(&format!("{adds}{read}")).names(), [expected], "{read}");
    }
    let empty = "2 ok read #{}\n2 invoke read nil\n".repeat(9);
    let lost = set(&format!("{adds}{empty}2 ok read #{{2}}"));
    assert_eq!(lost.counts, [(AnomalyKind::LostElement, 1)], "an element is lost once");
    let failed = "0 invoke add 1\n0 fail add 1\n2 invoke read nil\n";
    assert!(set(&format!("{failed}2 ok read #{{}}")).is_clean());
    assert_eq!(set(&format!("{failed}2 ok read #{{1}}")).names(), ["unexpected-element"]);
}

fn bank(lines: &str, options: &BankOptions) -> Vec<&'static str> {
    counted(&history(lines), |history| check_bank(history, options, &CheckOptions::default()))
        .names()
}

#[test]
fn a_bank_has_one_total() {
    let read = |balances: &str| format!("0 invoke read nil\n0 ok read {{{balances}}}\n");
    let transfer = "1 invoke transfer {:from 0 :to 1 :amount 5}\n1 info transfer nil\n";
    let good = read("0 10, 1 10") + transfer + &read("0 5, 1 15");
    let any = BankOptions::default();
    assert!(bank(&good, &any).is_empty());
    assert_eq!(bank(&good, &BankOptions { total: Some(30), ..any }), ["wrong-total"]);
    assert_eq!(bank(&(good.clone() + &read("0 5, 1 14")), &any), ["wrong-total"]);
    assert_eq!(bank(&(good.clone() + &read("")), &any), ["wrong-total"], "no account is there");
    assert!(bank(&(read("") + &good), &any).is_empty(), "nothing is a total of nothing");
    let account = |n: i64| format!("{n} 999999999999999999, ");
    let large = read(&(0..10).map(account).collect::<String>());
    assert!(bank(&(large.clone() + &large), &any).is_empty(), "a total larger than its parts");
    let overdrawn = good + &read("0 -1, 1 21");
    assert_eq!(bank(&overdrawn, &any), ["negative-balance"]);
    assert!(bank(&overdrawn, &BankOptions { allow_negative: true, ..any }).is_empty());
}

#[test]
fn ids_are_unique() {
    let generate = |id: &str| format!("0 invoke generate nil\n0 ok generate {id}\n");
    let ids = |text: &str| {
        counted(&history(text), |history| check_unique_ids(history, &CheckOptions::default()))
            .names()
    };
    let two = generate("1") + &generate("2") + "0 invoke generate nil\n0 info generate 1\n";
    assert!(ids(&two).is_empty());
    assert_eq!(ids(&(two + &generate("1"))), ["duplicate-id"]);
}
