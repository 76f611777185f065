//! The program as a user runs it: what it prints and how it exits.

use std::io::Write;
use std::process::{Child, Command, Stdio};

fn spawn(arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_basalt-jepsen"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs `check` on a text and returns the exit status, the output and the messages.
fn check(arguments: &[&str], text: &[u8]) -> (i32, String, String) {
    let mut child = spawn(&[&["check"], arguments, &["-"]].concat());
    child.stdin.take().unwrap().write_all(text).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

const LISTS: [&str; 2] = ["--model", "list-append"];

const SKEW: &str = r#"
{:process 0 :type :invoke :f :txn :value [[:r :x nil] [:append :y 1]]}
{:process 1 :type :invoke :f :txn :value [[:r :y nil] [:append :x 1]]}
{:process 0 :type :ok :f :txn :value [[:r :x []] [:append :y 1]]}
{:process 1 :type :ok :f :txn :value [[:r :y []] [:append :x 1]]}
{:process 0 :type :invoke :f :txn :value [[:r :y nil] [:r :x nil]]}
{:process 0 :type :ok :f :txn :value [[:r :y [1]] [:r :x [1]]]}
"#;

#[test]
fn a_write_skew_is_told_with_its_cycle() {
    let (status, output, _) = check(&LISTS, SKEW.as_bytes());
    assert_eq!(status, 1);
    let expected = "\
G2-item (1): a circle with reads of overwritten versions in a row
  - T0 (process 0, events 0–2, ok): read :x [], append :y 1
    T1 (process 1, events 1–3, ok): read :y [], append :x 1
    T0 -rw-> T1: T0 read :x as [], without 1, which T1 appended
    T1 -rw-> T0: T1 read :y as [], without 1, which T0 appended
ruled out: repeatable-read and all stronger
not ruled out: strong-snapshot-isolation and all weaker
invalid under strict-serializable: G2-item
";
    assert_eq!(output, expected);
}

#[test]
fn what_the_promised_model_allows_is_valid() {
    let promise = [&LISTS[..], &["--consistency", "snapshot-isolation"]].concat();
    let (status, output, _) = check(&promise, SKEW.as_bytes());
    assert_eq!(status, 0);
    assert!(output.ends_with("valid under snapshot-isolation\n"), "{output}");
}

#[test]
fn what_is_no_history_exits_64_with_one_line() {
    let binary: Vec<u8> = (0..=255).cycle().take(5000).collect();
    let truncated = &SKEW.as_bytes()[..SKEW.len() - 20];
    let twice = SKEW.replace(":x 1", ":y 1").replace(":y []] [:append", ":x []] [:append");
    for text in [&binary, truncated, b"{", b"hello", b"{\"process\":0,", twice.as_bytes()] {
        let (status, output, messages) = check(&LISTS, text);
        assert_eq!(status, 64, "{messages}");
        assert!(output.is_empty());
        assert_eq!(messages.lines().count(), 1, "{messages}");
    }
    let (_, _, messages) = check(&LISTS, truncated);
    assert_eq!(messages, "basalt-jepsen: -: line 7: the file ends inside an operation\n");
}

#[test]
fn bad_usage_exits_64() {
    let cases: [&[&str]; 7] = [
        &["--model", "list-append", "--threads", "0"],
        &["--model", "list-append", "--threads", "4294967296"],
        &["--model", "dance"],
        &[],
        &["--model", "list-append", "--consistency", "perfect"],
        &["--model", "register", "--consistency", "serializable"],
        &["--model", "list-append", "--bogus"],
    ];
    for arguments in cases {
        assert_eq!(check(arguments, b"").0, 64, "{arguments:?}");
    }
    assert_eq!(check(&LISTS, b"").0, 0, "an empty history shows nothing");
    let generate = |option: &str, value: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_basalt-jepsen"));
        command.args(["generate", "--operations", "9", option, value, "-"]);
        let output = command.output().unwrap();
        (output.status.code(), output.stdout.is_empty())
    };
    for (option, value) in [
        ("--keys", "0"),
        ("--keys", "4294967296"),
        ("--processes", "0"),
        ("--steps", "0"),
        ("--writes-per-key", "0"),
        ("--operations", "4294967296"),
        ("--reads", "7"),
        ("--info", "NaN"),
        ("--abort", "-1"),
        ("--engine", "perfect"),
    ] {
        assert_eq!(generate(option, value), (Some(64), true), "{option} {value}");
    }
    assert_eq!(generate("--reads", "1"), (Some(0), false));
}

#[test]
fn who_reads_no_further_is_no_error() {
    for arguments in [&["generate", "-"][..], &["check", "--model", "list-append", "-"]] {
        let mut child = spawn(arguments);
        drop(child.stdout.take());
        child.stdin.take().unwrap().write_all(SKEW.as_bytes()).unwrap_or_default();
        let output = child.wait_with_output().unwrap();
        let messages = String::from_utf8(output.stderr).unwrap();
        assert!(!messages.contains("cannot"), "{messages}");
        assert_ne!(output.status.code(), Some(64), "{arguments:?}");
    }
}
