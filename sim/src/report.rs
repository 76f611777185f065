//! What a failing run leaves behind: a directory with everything to understand and repeat it.
//!
//! | file | holds |
//! |---|---|
//! | `plan.json` | the plan; `basalt-sim run --plan` runs it, `basalt-sim replay` the directory |
//! | `minimal.json` | the shrunk plan, where shrinking found a smaller one |
//! | `verdict.txt` | the check, its message, the trace hash |
//! | `story.txt` | what happened, the last 200 lines |
//! | `history.edn` | every operation, as Jepsen writes it |
//! | `space-time.html` | the smallest plan's run: its story, and a column an instance, a row an event |

use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::Plan;
use crate::run::{Verdict, run_recorded, subject};
use crate::scenario::{Scenario, plan as plan_of_seed};
use crate::shrink::{Bounds, Shrunk, shrink};

/// Lines of a story that are kept.
pub const STORY_LINES: usize = 200;
/// Events shown in a space-time diagram.
const DIAGRAM_EVENTS: usize = 1_500;

/// A bundle of a failed run.
#[derive(Debug)]
pub struct Bundle {
    pub dir: PathBuf,
    /// A smaller plan with the same failure, as `minimal.json` has it.
    pub shrunk: Option<Shrunk>,
}

/// Where the bundle of a run is, below `root`. An edited plan has a place of its own, so that running a
/// `minimal.json` leaves the bundle it came from as it is.
pub fn bundle_dir(root: &Path, plan: &Plan) -> PathBuf {
    let name = format!("{}-{}", plan.scenario, plan.seed);
    if is_of_its_seed(plan) {
        return root.join(name);
    }
    root.join(format!("{name}-{:08x}", crc32fast::hash(plan.to_json().as_bytes())))
}

/// Where a bundle has its plan.
pub fn plan_file(dir: &Path) -> PathBuf {
    dir.join("plan.json")
}

/// Writes the bundle of a failed run below `root`. The plan is shrunk within `bounds`, and `progress`
/// hears of each run that takes.
///
/// # Errors
/// A file cannot be written.
pub fn write_bundle(
    root: &Path,
    plan: &Plan,
    verdict: &Verdict,
    bounds: Bounds,
    progress: &mut dyn FnMut(u32, &Plan),
) -> io::Result<Bundle> {
    let dir = bundle_dir(root, plan);
    fs::create_dir_all(&dir)?;
    fs::write(plan_file(&dir), plan.to_json())?;
    fs::write(dir.join("verdict.txt"), describe(plan, verdict, &plan_file(&dir)))?;
    fs::write(dir.join("story.txt"), story(verdict, STORY_LINES))?;
    fs::write(dir.join("history.edn"), verdict.history.to_edn())?;
    let minimal = dir.join("minimal.json");
    let shrunk = shrink(plan, verdict, bounds, progress).filter(|shrunk| shrunk.plan != *plan);
    match &shrunk {
        Some(shrunk) => fs::write(&minimal, shrunk.plan.to_json())?,
        // One of an earlier run may be there.
        None if minimal.exists() => fs::remove_file(&minimal)?,
        None => {}
    }
    let smallest = shrunk.as_ref().map_or(plan, |shrunk| &shrunk.plan);
    fs::write(dir.join("space-time.html"), space_time(smallest))?;
    Ok(Bundle { dir, shrunk })
}

/// What is printed of a run: seed, and if it failed the check, the end of the story and how to repeat
/// it, by `file` where the seed is not enough.
pub fn describe(plan: &Plan, verdict: &Verdict, file: &Path) -> String {
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
            let _ = writeln!(out, "replay: {}", replay_command(plan, file));
        }
    }
    let _ = writeln!(out, "trace hash {:016x}", verdict.trace_hash);
    out
}

/// The command that runs exactly this again: by its seed where this build draws this plan from it, else
/// by the `file` that holds it.
pub fn replay_command(plan: &Plan, file: &Path) -> String {
    seed_command(plan).unwrap_or_else(|| format!("basalt-sim run --plan {}", file.display()))
}

/// The command that runs this again by its seed, where this build draws this plan from it.
pub fn seed_command(plan: &Plan) -> Option<String> {
    if !is_of_its_seed(plan) {
        return None;
    }
    let mut command = format!("basalt-sim run --seed {} --scenario {}", plan.seed, plan.scenario);
    let _ = write!(command, " --subject {}", plan.subject);
    for canary in &plan.canaries {
        let _ = write!(command, " --canary {canary}");
    }
    Some(command)
}

/// Whether seed and scenario make this plan, but for the bugs planted.
fn is_of_its_seed(plan: &Plan) -> bool {
    let (scenario, abilities) = (Scenario::by_name(&plan.scenario), subject(&plan.subject));
    let drawn = scenario.zip(abilities).map(|(s, abilities)| plan_of_seed(s, plan.seed, abilities));
    drawn.is_some_and(|drawn| Plan { canaries: plan.canaries.clone(), ..drawn } == *plan)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Check;
    use crate::run::run;

    fn toy_plan(seed: u64) -> Plan {
        let scenario = Scenario::by_name("disk").expect("a scenario");
        plan_of_seed(scenario, seed, subject("toy-quorum").expect("the toy"))
    }

    #[test]
    fn the_replay_line_names_what_makes_this_very_plan() {
        let file = Path::new("somewhere/plan.json");
        let mut plan = toy_plan(3);
        plan.canaries = vec!["toy-ack-before-sync".to_owned()];
        let by_seed = "basalt-sim run --seed 3 --scenario disk --subject toy-quorum \
                       --canary toy-ack-before-sync";
        assert_eq!(replay_command(&plan, file), by_seed);
        assert_eq!(bundle_dir(Path::new("b"), &plan), Path::new("b/disk-3"));
        plan.clients.pop();
        assert_eq!(replay_command(&plan, file), "basalt-sim run --plan somewhere/plan.json");
        assert_ne!(bundle_dir(Path::new("b"), &plan), Path::new("b/disk-3"));
    }

    #[test]
    fn a_bundle_holds_the_smaller_plan_and_its_diagram() {
        let mut plan = toy_plan(3);
        plan.canaries = vec!["toy-ack-before-sync".to_owned()];
        let verdict = run(&plan);
        let root = std::env::temp_dir().join(format!("basalt-bundle-{}", std::process::id()));
        let bounds = Bounds { runs: 100, until: None };
        let bundle = write_bundle(&root, &plan, &verdict, bounds, &mut |_, _| {}).unwrap();
        let read = |name: &str| fs::read_to_string(bundle.dir.join(name)).unwrap();
        assert_eq!(Plan::from_json(&read("plan.json")).unwrap(), plan);
        let minimal = Plan::from_json(&read("minimal.json")).unwrap();
        assert!(minimal.faults.len() < plan.faults.len());
        assert_eq!(run(&minimal).failure.map(|f| f.check), Some(Check::Linearizability));
        let html = read("space-time.html");
        assert!(html.contains("linearizability") && html.contains("class=\"event\""));
        // Nothing smaller is looked for now, so the older one must not stay.
        let none = Bounds { runs: 0, until: None };
        write_bundle(&root, &plan, &verdict, none, &mut |_, _| {}).unwrap();
        assert!(!bundle.dir.join("minimal.json").exists());
        fs::remove_dir_all(root).unwrap();
    }
}
