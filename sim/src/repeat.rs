//! Running a plan again in another process, and finding where two runs part.
//!
//! The other process has another address space layout and another environment. It gets the plan on
//! its standard input and prints the trace hash with its checkpoints. Where they differ, both runs
//! are made once more, listing the events between the last equal checkpoint and the first unequal one.

use std::io::Write;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::run::{Verdict, run, run_recorded};
use crate::world::CHECKPOINT_EVERY;

/// What the other process prints.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    pub hash: u64,
    pub failure: Option<String>,
    pub checkpoints: Vec<u64>,
    /// Lines of the events asked for.
    pub lines: Vec<String>,
}

/// Which events to list, counted from the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub from: u64,
    pub to: u64,
}

/// How the other process is started: the command line that reads a plan and prints an [`Echo`].
pub type Other<'a> = &'a (dyn Fn(Option<Window>) -> Command + Sync);

/// Runs a plan here and gives what the other process prints.
pub fn echo(plan: &Plan, window: Option<Window>) -> Echo {
    let mut lines = Vec::new();
    let verdict = match window {
        None => run(plan),
        Some(window) => {
            let mut count = 0;
            let mut record = |at_ns: u64, node: u16, text: String| {
                if (window.from..window.to).contains(&count) {
                    lines.push(format!("{at_ns} n{} {text}", node + 1));
                }
                count += 1;
            };
            run_recorded(plan, Some(&mut record))
        }
    };
    Echo {
        hash: verdict.trace_hash,
        failure: verdict.failure.map(|f| format!("{}: {}", f.check.name(), f.message)),
        checkpoints: verdict.checkpoints,
        lines,
    }
}

/// Runs the plan in another process and compares. `Err` tells the first difference.
pub fn compare(plan: &Plan, verdict: &Verdict, other: Other<'_>) -> Result<(), String> {
    let there = run_there(plan, other(None))?;
    let failure = verdict.failure.as_ref().map(|f| format!("{}: {}", f.check.name(), f.message));
    if there.hash == verdict.trace_hash && there.failure == failure {
        return Ok(());
    }
    let equal =
        verdict.checkpoints.iter().zip(&there.checkpoints).take_while(|(a, b)| a == b).count();
    let from = equal as u64 * CHECKPOINT_EVERY;
    // A turn may run past a checkpoint before it is taken.
    let window = Some(Window { from, to: from + 2 * CHECKPOINT_EVERY });
    let here = echo(plan, window);
    let there_again = run_there(plan, other(window))?;
    let first = here.lines.iter().zip(&there_again.lines).position(|(a, b)| a != b);
    let detail = match first {
        Some(k) => format!(
            "first divergent event is number {}:\n  here:  {}\n  there: {}",
            from + k as u64,
            here.lines[k],
            there_again.lines[k]
        ),
        None => "the runs agree when listed, so the difference comes and goes".to_owned(),
    };
    Err(format!(
        "hash {:016x} here, {:016x} in another process; checkpoint {equal} is the first to differ; \
         {detail}",
        verdict.trace_hash, there.hash
    ))
}

fn run_there(plan: &Plan, mut command: Command) -> Result<Echo, String> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start another process: {error}"))?;
    let mut stdin = child.stdin.take().expect("stdin was piped");
    // The child reads all of it before it writes anything.
    let sent = stdin.write_all(plan.to_json().as_bytes());
    drop(stdin);
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    sent.map_err(|error| format!("the other process took no plan: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix(ECHO_PREFIX));
    let line = line.ok_or_else(|| format!("the other process said: {text}"))?;
    serde_json::from_str(line).map_err(|error| format!("not an echo: {error}"))
}

/// Begins the line that holds an [`Echo`].
pub const ECHO_PREFIX: &str = "echo ";
