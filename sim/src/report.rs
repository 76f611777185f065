//! What a failing run leaves behind: a directory with everything to understand and repeat it.
//!
//! | file | holds |
//! |---|---|
//! | `plan.json` | the plan; `basalt-sim run --plan` runs it, `basalt-sim replay` the directory |
//! | `minimal.json` | the shrunk plan, if it was shrunk |
//! | `verdict.txt` | the check, its message, the trace hash |
//! | `story.txt` | what happened, the last 200 lines |
//! | `history.edn` | every operation, as Jepsen writes it |
//! | `space-time.html` | a column an instance, a row an event of the last moments |

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::Plan;
use crate::run::{Verdict, run_recorded};

/// Lines of a story that are kept.
pub const STORY_LINES: usize = 200;
/// Events shown in a space-time diagram.
const DIAGRAM_EVENTS: usize = 1_500;

/// Writes the bundle of a run; gives its directory.
pub fn write_bundle(root: &Path, plan: &Plan, verdict: &Verdict) -> io::Result<PathBuf> {
    let dir = root.join(format!("{}-{}", plan.scenario, plan.seed));
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("plan.json"), plan.to_json())?;
    fs::write(dir.join("verdict.txt"), describe(plan, verdict))?;
    fs::write(dir.join("story.txt"), story(verdict, STORY_LINES))?;
    fs::write(dir.join("history.edn"), verdict.history.to_edn())?;
    Ok(dir)
}

/// What is printed of a failed run: seed, check, the end of the story and how to repeat it.
pub fn describe(plan: &Plan, verdict: &Verdict) -> String {
    let mut out = String::new();
    match &verdict.failure {
        None => {
            let _ = writeln!(out, "seed {} scenario {}: clean", plan.seed, plan.scenario);
        }
        Some(failure) => {
            let _ = writeln!(
                out,
                "seed {} scenario {}: check {} failed: {}",
                plan.seed,
                plan.scenario,
                failure.check.name(),
                failure.message
            );
            out.push_str(&story(verdict, 20));
            let _ = writeln!(out, "replay: {}", replay_command(plan));
        }
    }
    let _ = writeln!(out, "trace hash {:016x}", verdict.trace_hash);
    out
}

/// The command that runs exactly this again.
pub fn replay_command(plan: &Plan) -> String {
    let mut command = format!("basalt-sim run --seed {} --scenario {}", plan.seed, plan.scenario);
    let _ = write!(command, " --subject {}", plan.subject);
    for canary in &plan.canaries {
        let _ = write!(command, " --canary {canary}");
    }
    command
}

/// The last lines of what happened.
pub fn story(verdict: &Verdict, lines: usize) -> String {
    let skip = verdict.story.len().saturating_sub(lines);
    let mut out = String::new();
    for line in &verdict.story[skip..] {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// Runs the plan once more and draws the last moments: a column an instance, a row an event.
pub fn space_time(plan: &Plan) -> String {
    let mut rows = std::collections::VecDeque::new();
    let mut record = |at_ns: u64, node: u16, text: String| {
        if rows.len() == DIAGRAM_EVENTS {
            rows.pop_front();
        }
        rows.push_back((at_ns, node, text));
    };
    let verdict = run_recorded(plan, Some(&mut record));
    let nodes = plan.topology.nodes.len();
    let mut html = String::from(HEAD);
    let title = match &verdict.failure {
        Some(failure) => format!("{}: {}", failure.check.name(), failure.message),
        None => "clean".to_owned(),
    };
    let _ = write!(
        html,
        "<h1>{} seed {}</h1><p>{}</p><pre>{}</pre><table><tr><th>time (s)</th>",
        plan.scenario,
        plan.seed,
        escape(&title),
        escape(&story(&verdict, STORY_LINES))
    );
    for node in 1..=nodes {
        let _ = write!(html, "<th>n{node}</th>");
    }
    html.push_str("</tr>\n");
    for (at_ns, node, text) in rows {
        let seconds = at_ns as f64 / 1e9;
        let _ = write!(html, "<tr><td>{seconds:.6}</td>");
        for column in 0..nodes {
            let cell =
                if column == usize::from(node) { escape(&shorten(&text)) } else { String::new() };
            let class = if text.starts_with("=>") { "effect" } else { "event" };
            let _ = write!(html, "<td class=\"{class}\">{cell}</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table></body></html>\n");
    html
}

const HEAD: &str = "<!doctype html><html><head><meta charset=\"utf-8\"><title>basalt-sim</title><style>\
body{font:13px monospace;margin:1em}table{border-collapse:collapse}td,th{border-left:1px solid #bbb;\
padding:1px 6px;vertical-align:top;max-width:36em;overflow-wrap:anywhere}.effect{color:#06c}\
th{position:sticky;top:0;background:#fff}</style></head><body>";

fn shorten(text: &str) -> String {
    text.chars().take(160).collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
