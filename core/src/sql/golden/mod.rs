//! Golden scripts: statements in, what became of them out.
//!
//! A script is `> statement` lines (continued by `. more` lines), each followed by its expected
//! output up to the next `>` or blank line. Everything else is comment. A mismatch prints the
//! whole script as it would be now.

use std::fmt::Write as _;

/// Runs `run` on each statement of a script and compares. `name` is the file's, `script` its text.
pub fn check(name: &str, script: &str, run: impl FnMut(&str) -> String) {
    compare(name, script, run, |_, expected, got| expected == got);
}

/// As [`check`], where rows have no order unless the statement has an ORDER BY.
pub fn check_rows(name: &str, script: &str, run: impl FnMut(&str) -> String) {
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    compare(name, script, run, |statement, expected, got| {
        let has_order = statement.to_ascii_lowercase().contains("order by");
        expected == got || (!has_order && sorted(expected) == sorted(got))
    });
}

fn compare(
    name: &str,
    script: &str,
    mut run: impl FnMut(&str) -> String,
    is_same: impl Fn(&str, &str, &str) -> bool,
) {
    let mut actual = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(actual, "{line}").expect("strings take any text");
        let Some(first) = line.strip_prefix("> ") else { continue };
        let mut statement = first.to_owned();
        while let Some(more) = lines.peek().and_then(|next| next.strip_prefix(". ")) {
            writeln!(actual, ". {more}").expect("strings take any text");
            statement.push('\n');
            statement.push_str(more);
            lines.next();
        }
        let mut expected = Vec::new();
        while let Some(line) = lines.next_if(|next| !next.is_empty() && !next.starts_with("> ")) {
            expected.push(line);
        }
        let expected = expected.join("\n");
        let output = run(&statement);
        let output = output.trim_end();
        let shown = if is_same(&statement, &expected, output) { &expected } else { output };
        if !shown.is_empty() {
            writeln!(actual, "{shown}").expect("strings take any text");
        }
    }
    if actual == script {
        return;
    }
    let place = script.lines().zip(actual.lines()).position(|(expected, got)| expected != got);
    let line = place.unwrap_or(0);
    panic!(
        "{name}:{}: expected\n  {}\ngot\n  {}\n--- all:\n{actual}--- end",
        line + 1,
        script.lines().nth(line).unwrap_or(""),
        actual.lines().nth(line).unwrap_or("")
    )
}
