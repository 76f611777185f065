//! `basalt-sim`: one seed, a sweep, a replay, a shrink, the mutants.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use basalt_sim::check::Check;
use basalt_sim::faults;
use basalt_sim::faults::Kind;
use basalt_sim::mutants::{Catch, Caught, Mutant, hunt, mutants};
use basalt_sim::plan::Plan;
use basalt_sim::repeat::{ECHO_PREFIX, Window, compare, echo};
use basalt_sim::replay::{Replayed, recordings};
use basalt_sim::report::{self, Bundle};
use basalt_sim::run::{MARKS, SUBJECTS, Verdict, run, run_recorded, subject};
use basalt_sim::scenario::{SCENARIOS, Scenario, plan};
use basalt_sim::shrink::Bounds;
use basalt_sim::sweep::{Summary, sweep};
use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

/// Runs whole Basalt clusters in a simulated world.
#[derive(Parser)]
#[command(name = "basalt-sim", version)]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Runs one seed and prints its verdict and trace hash.
    Run {
        #[command(flatten)]
        which: Which,
        /// Writes every event and effect, one JSON object a line.
        #[arg(long)]
        trace: Option<PathBuf>,
        /// Writes a space-time diagram.
        #[arg(long)]
        report: Option<PathBuf>,
        #[command(flatten)]
        leaves: Leaves,
    },
    /// Runs many seeds.
    Sweep {
        /// First and last seed: A..B, B not included.
        #[arg(long, value_parser = seed_range)]
        seeds: (u64, u64),
        /// A scenario, or `all`.
        #[arg(long, default_value = "all")]
        scenario: String,
        #[arg(long)]
        jobs: Option<usize>,
        /// Writes the results as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
        /// Fails, too, when a mark was never reached or a kind of fault never did anything.
        #[arg(long)]
        thorough: bool,
        #[command(flatten)]
        subject: Subject,
        #[command(flatten)]
        leaves: Leaves,
    },
    /// Finds a smaller plan with the same failure.
    Shrink {
        #[command(flatten)]
        which: Which,
        /// Runs at most.
        #[arg(long, default_value_t = 600)]
        runs: u32,
        #[command(flatten)]
        leaves: Leaves,
    },
    /// Plants each known bug and reports in how many seeds it was caught.
    Mutants {
        /// Seeds of the scenario in which the bug shows soonest; then as many of all others together.
        #[arg(long, default_value_t = 100)]
        seeds: u64,
        /// Only this bug.
        #[arg(long)]
        only: Option<String>,
        #[arg(long)]
        jobs: Option<usize>,
        #[command(flatten)]
        subject: Subject,
    },
    /// Prints the plan of a seed, as the corpus keeps it.
    Plan {
        #[command(flatten)]
        which: Which,
    },
    /// Runs what a directory holds: the plan of a bundle, or recordings of `basalt run --record`.
    Replay {
        /// The directory, or one recording.
        dir: PathBuf,
    },
    /// Lists scenarios, faults, workloads, checks, subjects and bugs that can be planted.
    List,
    /// Reads a plan and prints what its run came to; how runs are repeated in another process.
    #[command(hide = true)]
    Echo {
        #[arg(long)]
        from: Option<u64>,
        #[arg(long)]
        to: Option<u64>,
    },
}

#[derive(Args)]
struct Subject {
    /// The system under test.
    #[arg(long, default_value = SUBJECTS[0].subject)]
    subject: String,
}

/// What a failing run leaves behind.
#[derive(Args)]
struct Leaves {
    /// Where failing runs leave their bundles.
    #[arg(long, default_value = "target/sim-failures")]
    bundles: PathBuf,
    /// A failing plan is made smaller for so many seconds at most; `shrink` itself takes its time
    /// unless told.
    #[arg(long)]
    shrink_seconds: Option<u64>,
}

#[derive(Args)]
struct Which {
    #[arg(long, required_unless_present = "plan")]
    seed: Option<u64>,
    #[arg(long, default_value = "everything")]
    scenario: String,
    /// A plan from a file instead of a seed.
    #[arg(long)]
    plan: Option<PathBuf>,
    /// Plants a bug.
    #[arg(long)]
    canary: Vec<String>,
    #[command(flatten)]
    subject: Subject,
}

/// Prints a line; a reader that went away is no reason to fail.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}

/// A failing plan of `run` and `sweep` is made smaller with at most so many runs, in so many seconds.
/// Of a sweep only the first few are: what fails often mostly fails for one reason.
const SHRINK_RUNS: u32 = 300;
const SHRINK_SECONDS: u64 = 20;
const SHRUNK_PER_SWEEP: u64 = 8;

/// Exit status of a wrong command line.
const USAGE: u8 = 64;

/// Worlds are made of small objects: a faster allocator is a tenth more seeds.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        What::Run { which, trace, report, leaves } => {
            run_one(&which, trace.as_deref(), report.as_deref(), &leaves)
        }
        What::Sweep { seeds, scenario, jobs, json, thorough, subject, leaves } => {
            let out = SweepOut { json: json.as_deref(), thorough, leaves: &leaves };
            run_sweep(seeds, &scenario, jobs, out, &subject)
        }
        What::Shrink { which, runs, leaves } => run_shrink(&which, runs, &leaves),
        What::Mutants { seeds, only, jobs, subject } => {
            run_mutants(seeds, only.as_deref(), jobs, &subject)
        }
        What::Plan { which } => chosen_plan(&which).map(|plan| {
            say!("{}", plan.to_json());
            0
        }),
        What::Replay { dir } => replay(&dir),
        What::List => {
            list();
            Ok(0)
        }
        What::Echo { from, to } => print_echo(from.zip(to)),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(message) => {
            eprintln!("basalt-sim: {message}");
            ExitCode::from(USAGE)
        }
    }
}

fn seed_range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("a range like 0..1000")?;
    let from: u64 = from.parse().map_err(|_| format!("not a seed: {from}"))?;
    let to: u64 = to.parse().map_err(|_| format!("not a seed: {to}"))?;
    if from < to { Ok((from, to)) } else { Err(format!("{from}..{to} is empty")) }
}

fn make_plan(subject_name: &str, seed: u64, scenario: &str) -> Result<Plan, String> {
    let abilities = subject(subject_name).ok_or(format!("no subject is called {subject_name}"))?;
    let scenario = Scenario::by_name(scenario)
        .ok_or(format!("no scenario is called {scenario}; see basalt-sim list"))?;
    Ok(plan(scenario, seed, abilities))
}

fn chosen_plan(which: &Which) -> Result<Plan, String> {
    let mut plan = match (&which.plan, which.seed) {
        (Some(path), _) => read_plan(path)?,
        (None, Some(seed)) => make_plan(&which.subject.subject, seed, &which.scenario)?,
        (None, None) => return Err("a seed or a plan is needed".to_owned()),
    };
    plan.canaries.extend(which.canary.iter().cloned());
    Ok(plan)
}

fn read_plan(path: &Path) -> Result<Plan, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Plan::from_json(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// This program again, in another environment, reading a plan.
fn other(window: Option<Window>) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.arg("echo").env_clear().env("PADDING", "x".repeat(777));
    if let Some(window) = window {
        command.args(["--from", &window.from.to_string(), "--to", &window.to.to_string()]);
    }
    command
}

fn print_echo(window: Option<(u64, u64)>) -> Result<u8, String> {
    let text = std::io::read_to_string(std::io::stdin()).map_err(|e| e.to_string())?;
    let plan = Plan::from_json(&text)?;
    let echo = echo(&plan, window.map(|(from, to)| Window { from, to }));
    let line = serde_json::to_string(&echo).map_err(|e| e.to_string())?;
    say!("{ECHO_PREFIX}{line}");
    Ok(0)
}

fn run_one(
    which: &Which,
    trace: Option<&Path>,
    diagram: Option<&Path>,
    leaves: &Leaves,
) -> Result<u8, String> {
    let plan = chosen_plan(which)?;
    let verdict = match trace {
        None => run(&plan),
        Some(path) => run_traced(&plan, path)?,
    };
    if let Some(path) = diagram {
        write(path, &report::space_time(&plan))?;
    }
    Ok(finish_one(&plan, &verdict, leaves))
}

fn run_traced(plan: &Plan, path: &Path) -> Result<Verdict, String> {
    use std::io::Write;
    let file = std::fs::File::create(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut file = std::io::BufWriter::new(file);
    let mut failed = None;
    let mut record = |at_ns: u64, node: u16, text: String| {
        let line = serde_json::json!({"time_ns": at_ns, "node": node + 1, "what": text});
        if let Err(error) = writeln!(file, "{line}") {
            failed.get_or_insert(error);
        }
    };
    let verdict = run_recorded(plan, Some(&mut record));
    match failed.or(file.flush().err()) {
        Some(error) => Err(format!("{}: {error}", path.display())),
        None => Ok(verdict),
    }
}

fn finish_one(plan: &Plan, verdict: &Verdict, leaves: &Leaves) -> u8 {
    let dir = report::bundle_dir(&leaves.bundles, plan);
    say!("{}", report::describe(plan, verdict, &report::plan_file(&dir)).trim_end());
    say!(
        "simulated {:.1} s, events {}, operations confirmed {}",
        verdict.simulated_ns as f64 / 1e9,
        verdict.events,
        verdict.confirmed
    );
    let Some(failure) = &verdict.failure else { return 0 };
    let bounds = bounds(leaves);
    match report::write_bundle(&leaves.bundles, plan, verdict, bounds, &mut |_, _| {}) {
        Ok(bundle) => say!("{}", describe_bundle(plan, &bundle)),
        Err(error) => no_bundle(leaves, &error),
    }
    failure.check.exit_status()
}

/// The verdict stands all the same.
fn no_bundle(leaves: &Leaves, error: &std::io::Error) {
    eprintln!("basalt-sim: no bundle could be left in {}: {error}", leaves.bundles.display());
}

/// What a failing plan of `run` and `sweep` may cost besides.
fn bounds(leaves: &Leaves) -> Bounds {
    let seconds = leaves.shrink_seconds.unwrap_or(SHRINK_SECONDS);
    Bounds { runs: SHRINK_RUNS, until: Some(Instant::now() + Duration::from_secs(seconds)) }
}

fn describe_bundle(plan: &Plan, bundle: &Bundle) -> String {
    let dir = bundle.dir.display();
    match &bundle.shrunk {
        Some(shrunk) => format!(
            "bundle: {dir}\nshrunk in {} runs from {} to {}: basalt-sim run --plan {dir}/minimal.json",
            shrunk.runs,
            size(plan),
            size(&shrunk.plan)
        ),
        None => format!("bundle: {dir}"),
    }
}

fn replay(dir: &Path) -> Result<u8, String> {
    if report::plan_file(dir).exists() {
        return replay_bundle(dir);
    }
    let found = recordings(dir)?;
    if found.is_empty() {
        return Err(format!("{} holds neither a plan.json nor a recording", dir.display()));
    }
    let mut worst = 0;
    for path in found {
        let name = path.display().to_string();
        let status = match replay_recording(&name, &path) {
            Ok(replayed) => {
                say!("{name}: {}", replayed.describe());
                replayed.exit_status()
            }
            Err(message) => {
                eprintln!("basalt-sim: {name}: {message}");
                USAGE
            }
        };
        worst = worst.max(status);
    }
    Ok(worst)
}

fn replay_recording(name: &str, path: &Path) -> Result<Replayed, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    basalt_sim::replay::replay(name, file)
}

fn replay_bundle(dir: &Path) -> Result<u8, String> {
    let file = report::plan_file(dir);
    let plan = read_plan(&file)?;
    let verdict = run(&plan);
    say!("{}", report::describe(&plan, &verdict, &file).trim_end());
    if let Err(message) = compare(&plan, &verdict, &other) {
        say!("check determinism failed: {message}");
        return Ok(Check::Determinism.exit_status());
    }
    Ok(verdict.failure.map_or(0, |failure| failure.check.exit_status()))
}

fn bar(length: u64) -> ProgressBar {
    let style = "{bar:40} {pos}/{len} {elapsed} (left {eta}) {msg}";
    let style = ProgressStyle::with_template(style).expect("a fixed template");
    ProgressBar::new(length).with_style(style)
}

fn jobs_or_all(jobs: Option<usize>) -> usize {
    jobs.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}

/// What is made of a sweep's results.
#[derive(Clone, Copy)]
struct SweepOut<'a> {
    json: Option<&'a Path>,
    thorough: bool,
    leaves: &'a Leaves,
}

fn run_sweep(
    (from, to): (u64, u64),
    scenario: &str,
    jobs: Option<usize>,
    out: SweepOut<'_>,
    which: &Subject,
) -> Result<u8, String> {
    let names: Vec<&str> = match scenario {
        "all" => SCENARIOS.iter().map(|scenario| scenario.name).collect(),
        one => vec![one],
    };
    // Complains now rather than on a worker.
    for name in &names {
        make_plan(&which.subject, from, name)?;
    }
    let plans: Vec<(u64, String)> =
        (from..to).flat_map(|seed| names.iter().map(move |n| (seed, (*n).to_owned()))).collect();
    let progress = bar(plans.len() as u64);
    let failed = Mutex::new(0u64);
    let make = |seed: u64, name: &str| {
        make_plan(&which.subject, seed, name).expect("subject and scenario were looked up before")
    };
    let leaves = out.leaves;
    let each = |plan: &Plan, verdict: &Verdict| {
        if verdict.failure.is_some() {
            let earlier = {
                let mut failed = failed.lock().expect("no worker panics");
                *failed += 1;
                *failed - 1
            };
            let file = report::plan_file(&report::bundle_dir(&leaves.bundles, plan));
            let text = report::describe(plan, verdict, &file);
            progress.suspend(|| say!("{}", text.trim_end()));
            let mut bounds = bounds(leaves);
            bounds.runs *= u32::from(earlier < SHRUNK_PER_SWEEP);
            let bundle =
                report::write_bundle(&leaves.bundles, plan, verdict, bounds, &mut |_, _| {});
            let (seed, scenario) = (plan.seed, &plan.scenario);
            progress.suspend(|| match bundle {
                Ok(b) => say!("seed {seed} scenario {scenario}: {}\n", describe_bundle(plan, &b)),
                Err(error) => no_bundle(leaves, &error),
            });
        }
        progress.set_message(format!("{} failed", failed.lock().expect("no worker panics")));
        progress.inc(1);
    };
    let summary = sweep(&plans, &make, jobs_or_all(jobs), Some(&other), &each);
    progress.finish_and_clear();
    let gaps = if which.subject.starts_with("toy-") { Vec::new() } else { gaps(&summary) };
    print_summary(&summary, &gaps);
    if let Some(path) = out.json {
        write(path, &summary_json(&summary))?;
    }
    let status = summary.exit_status();
    Ok(if status == 0 { u8::from(out.thorough && !gaps.is_empty()) } else { status })
}

/// What a sweep did not show.
fn gaps(summary: &Summary) -> Vec<String> {
    let unreached = MARKS.iter().filter(|mark| !summary.marks.contains_key(*mark));
    let idle = summary.idle();
    let idle = idle.iter().map(|kind| format!("planned and never did anything: {}", kind.name()));
    unreached.map(|mark| format!("never reached: {mark}")).chain(idle).collect()
}

fn print_summary(summary: &Summary, gaps: &[String]) {
    for gap in gaps {
        say!("{gap}");
    }
    for done in summary.failures() {
        if let Some(failure) = &done.failure {
            say!(
                "failing: seed {} scenario {} check {}",
                done.seed,
                done.scenario,
                failure.check.name()
            );
        }
    }
    say!("{}", summary.rates_line());
    say!("{}", summary.last_line());
}

fn summary_json(summary: &Summary) -> String {
    let runs: Vec<serde_json::Value> = summary
        .runs
        .iter()
        .map(|done| {
            serde_json::json!({
                "seed": done.seed,
                "scenario": done.scenario,
                "hash": format!("{:016x}", done.trace_hash),
                "check": done.failure.as_ref().map(|f| f.check.name()),
                "message": done.failure.as_ref().map(|f| &f.message),
                "confirmed": done.confirmed,
            })
        })
        .collect();
    let faults: serde_json::Map<String, serde_json::Value> = Kind::ALL
        .iter()
        .map(|kind| (*kind, summary.planned.of(*kind), summary.struck.of(*kind)))
        .filter(|(_, planned, _)| *planned > 0)
        .map(|(kind, planned, struck)| {
            let counts = serde_json::json!({ "planned": planned, "struck": struck });
            (kind.name().to_owned(), counts)
        })
        .collect();
    let all = serde_json::json!({
        "runs": runs,
        "failures": summary.failures().count(),
        "simulated_hours": summary.simulated_ns as f64 / 3.6e12,
        "wall_seconds": summary.wall_s,
        "events": summary.events,
        "confirmed": summary.confirmed,
        "determinism_checked": summary.repeated,
        "marks": summary.marks,
        "faults": faults,
    });
    serde_json::to_string_pretty(&all).expect("plain data")
}

fn run_shrink(which: &Which, runs: u32, leaves: &Leaves) -> Result<u8, String> {
    let plan = chosen_plan(which)?;
    let verdict = run(&plan);
    let Some(failure) = &verdict.failure else {
        say!("seed {} scenario {} does not fail", plan.seed, plan.scenario);
        return Ok(0);
    };
    let progress = bar(u64::from(runs));
    let mut show = |done: u32, best: &Plan| {
        progress.set_position(u64::from(done));
        progress.set_message(size(best));
    };
    let until = leaves.shrink_seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let bounds = Bounds { runs, until };
    let bundle = report::write_bundle(&leaves.bundles, &plan, &verdict, bounds, &mut show);
    progress.finish_and_clear();
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(error) => {
            no_bundle(leaves, &error);
            return Ok(failure.check.exit_status());
        }
    };
    match &bundle.shrunk {
        Some(shrunk) => {
            let minimal = bundle.dir.join("minimal.json");
            say!("{}", report::describe(&shrunk.plan, &shrunk.verdict, &minimal).trim_end());
        }
        None => {
            let file = report::plan_file(&bundle.dir);
            say!("{}", report::describe(&plan, &verdict, &file).trim_end());
            say!("no smaller plan found");
        }
    }
    say!("{}", describe_bundle(&plan, &bundle));
    Ok(failure.check.exit_status())
}

fn size(plan: &Plan) -> String {
    format!(
        "{} faults, {} operations, {} instances, {:.1} s",
        plan.faults.len(),
        plan.clients.iter().map(|client| client.ops.len()).sum::<usize>(),
        plan.topology.nodes.len(),
        plan.chaos_ms as f64 / 1e3
    )
}

fn run_mutants(
    seeds: u64,
    only: Option<&str>,
    jobs: Option<usize>,
    which: &Subject,
) -> Result<u8, String> {
    make_plan(&which.subject, 0, "everything")?;
    let wanted: Vec<_> =
        mutants(&which.subject).into_iter().filter(|m| only.is_none_or(|o| o == m.name)).collect();
    let progress = bar(wanted.len() as u64);
    let queue = Mutex::new(wanted.clone().into_iter());
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs_or_all(jobs) {
            scope.spawn(|| {
                loop {
                    let next = queue.lock().expect("no worker panics").next();
                    let Some(mutant) = next else { return };
                    let make = |seed: u64, name: &str| {
                        make_plan(&which.subject, seed, name).expect("looked up before")
                    };
                    let caught = hunt(mutant, seeds, &make);
                    results.lock().expect("no worker panics").push(caught);
                    progress.inc(1);
                }
            });
        }
    });
    progress.finish_and_clear();
    let mut results = results.into_inner().expect("no worker panics");
    results.sort_by_key(|caught| wanted.iter().position(|m| m.name == caught.mutant.name));
    let is_caught = |caught: &&Caught| caught.before.is_some() || caught.by_fitting.is_some();
    let caught = results.iter().filter(is_caught).count();
    let fitting = results.iter().filter(|caught| caught.by_fitting.is_some()).count();
    for result in &results {
        print_caught(result);
    }
    say!("mutants {}, caught {caught}, by a fitting check {fitting}", results.len());
    Ok(u8::from(fitting < results.len()))
}

/// A line for the fitting check, and one before it where another check failed first.
fn print_caught(caught: &Caught) {
    let Mutant { name, fitting, .. } = caught.mutant;
    let line = |catch: &Catch, note: &str| {
        let Catch { seeds, check, message } = catch;
        let message: String = message.chars().take(100).collect();
        say!("{name:<20} seeds {seeds:>6}  by {check:<16} {note} {fitting:<36} {message}");
    };
    if let Some(catch) = &caught.before {
        line(catch, "not of");
    }
    match &caught.by_fitting {
        Some(catch) => line(catch, "one of"),
        None => say!("{name:<20} missed by {fitting}"),
    }
}

fn list() {
    say!("scenarios");
    for scenario in SCENARIOS {
        say!("  {:<16} {}", scenario.name, scenario.what);
    }
    say!("faults");
    for kind in Kind::ALL {
        let damage = match kind.damage() {
            faults::Damage::None => "",
            faults::Damage::OneCopy => " (costs a copy)",
            faults::Damage::BeyondBudget => " (beyond budget only)",
        };
        say!("  {:>2} {:<24} {}{damage}", kind.id(), kind.name(), kind.what());
    }
    say!("workloads");
    for (name, what) in WORKLOADS {
        say!("  {name:<16} {what}");
    }
    say!("checks");
    for (check, what) in Check::ALL {
        say!("  {:<16} {what}", check.name());
    }
    say!("subjects");
    for abilities in SUBJECTS {
        let bugs: Vec<&str> = mutants(abilities.subject).iter().map(|m| m.name).collect();
        say!("  {:<16} bugs: {}", abilities.subject, bugs.join(", "));
    }
}

const WORKLOADS: &[(&str, &str)] = &[
    ("registers", "writes of unique values and reads, one row a statement"),
    ("inserts", "rows added once, read all together"),
    ("pairs", "two rows written by one statement, read by one"),
    ("bank", "transfers between accounts, the total read"),
    ("own rows", "arithmetic on rows of one client, against a model"),
    ("items", "rows with a unique and an indexed column and texts, added, changed and deleted"),
    ("batches", "thousands of rows by one statement, counted by another"),
    ("schema", "a table and indexes come and go while others use them"),
    ("followers", "reads right behind another client's write, on the same instance"),
];
