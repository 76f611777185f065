//! `basalt-jepsen check`: a file in, a verdict out.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use basalt_jepsen::history::History;
use basalt_jepsen::history::read::{Format, guess_format, read_history};
use basalt_jepsen::{
    BankOptions, CheckOptions, Model, Verdict, check_bank, check_list_append, check_long_fork,
    check_register, check_rw_register, check_set, check_unique_ids, draw,
};
use clap::{Args, ValueEnum};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Transactions that append unique elements to lists and read lists.
    ListAppend,
    /// Transactions that write unique values to registers and read them.
    RwRegister,
    /// Single reads, writes and compare-and-set of registers.
    Register,
    /// Additions to sets that never shrink, and reads of them.
    Set,
    /// Transfers between accounts, and reads of all balances.
    Bank,
    /// Values that are handed out once each.
    UniqueIds,
    /// Single writes of keys, and transactions that read several keys.
    LongFork,
}

#[derive(Args)]
pub struct Arguments {
    /// What the operations of the history are.
    #[arg(long, value_enum)]
    model: Workload,
    /// What the database promises: read-uncommitted, read-committed, snapshot-isolation,
    /// repeatable-read, serializable, strict-serializable, a strong-session- or strong- form of
    /// one of them, or linearizable.
    #[arg(long, value_name = "MODEL")]
    consistency: Option<String>,
    /// The format, where the name of the file does not say it.
    #[arg(long, value_parser = ["edn", "json"])]
    format: Option<String>,
    /// Threads to use; all cores where not given.
    #[arg(long)]
    threads: Option<usize>,
    /// How many anomalies of each kind are explained.
    #[arg(long, default_value_t = 4)]
    examples: usize,
    /// Draws the cycles for Graphviz.
    #[arg(long, value_name = "FILE")]
    dot: Option<PathBuf>,
    /// Draws the cycles.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Draws a page with the verdict, the cycles and a timeline.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// What the balances of a bank add up to; where not given, that of the first read.
    #[arg(long)]
    total: Option<i64>,
    /// Accounts of a bank may be overdrawn.
    #[arg(long)]
    allow_negative: bool,
    /// The history, in EDN or JSON lines; `-` is the standard input.
    file: PathBuf,
}

/// Checks the history and prints the verdict. Returns whether the history is valid.
pub fn run(arguments: &Arguments) -> Result<bool, String> {
    let promised = promised(arguments)?;
    let started = Instant::now();
    let (history, bytes) = read(arguments)?;
    let read_seconds = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let verdict = check(arguments, &history)?;
    let check_seconds = started.elapsed().as_secs_f64();
    draw_all(arguments, &history, &verdict)?;
    let is_valid = match promised {
        Some(model) => verdict.satisfies(model),
        None => verdict.is_clean(),
    };
    print(&verdict, promised, is_valid).map_err(|error| format!("cannot print: {error}"))?;
    let statistics = &verdict.statistics;
    eprintln!(
        "{}: read {:.1} MB in {read_seconds:.2} s ({:.0} MB/s); checked {} operations in \
         {check_seconds:.2} s ({:.0}/s), {} keys, {} edges, {} components",
        machine(),
        bytes as f64 / 1e6,
        bytes as f64 / 1e6 / read_seconds.max(1e-9),
        statistics.operations,
        statistics.operations as f64 / check_seconds.max(1e-9),
        statistics.keys,
        statistics.edges,
        statistics.components,
    );
    Ok(is_valid)
}

fn promised(arguments: &Arguments) -> Result<Option<Model>, String> {
    let fits = |model: Model| match arguments.model {
        Workload::Register => model == Model::Linearizable,
        Workload::ListAppend | Workload::RwRegister | Workload::LongFork => {
            model != Model::Linearizable
        }
        _ => false,
    };
    match (&arguments.consistency, arguments.model) {
        (Some(name), _) => {
            let known = Model::TRANSACTIONAL.map(|model| model.name()).join(", ");
            let model = Model::named(name).ok_or_else(|| {
                format!("unknown consistency model {name}; known are {known}, linearizable")
            })?;
            match fits(model) {
                true => Ok(Some(model)),
                false => Err(format!("this workload says nothing about {name}")),
            }
        }
        (None, Workload::Register) => Ok(Some(Model::Linearizable)),
        (None, Workload::ListAppend | Workload::RwRegister | Workload::LongFork) => {
            Ok(Some(Model::StrictSerializable))
        }
        (None, _) => Ok(None),
    }
}

/// Reads from the source and counts.
struct Counted<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

fn read(arguments: &Arguments) -> Result<(History, u64), String> {
    let path = arguments.file.as_path();
    let name = path.display();
    let mut source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| format!("cannot open {name}: {error}"))?)
    };
    let mut head = Vec::new();
    const HEAD_BYTES: u64 = 4096;
    let taken = source.by_ref().take(HEAD_BYTES).read_to_end(&mut head);
    taken.map_err(|error| format!("cannot read {name}: {error}"))?;
    let format = match arguments.format.as_deref() {
        Some("edn") => Format::Edn,
        Some(_) => Format::JsonLines,
        None => guess_format(&path.to_string_lossy(), &head),
    };
    let mut counted = Counted { source: head.as_slice().chain(source), bytes: 0 };
    let history = read_history(&mut counted, format).map_err(|error| format!("{name}: {error}"))?;
    Ok((history, counted.bytes))
}

fn check(arguments: &Arguments, history: &History) -> Result<Verdict, String> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let options = CheckOptions {
        threads: arguments.threads.unwrap_or_else(cores),
        examples_max: arguments.examples,
    };
    let bank = BankOptions { total: arguments.total, allow_negative: arguments.allow_negative };
    match arguments.model {
        Workload::ListAppend => check_list_append(history, &options),
        Workload::RwRegister => check_rw_register(history, &options),
        Workload::Register => check_register(history, &options),
        Workload::Set => check_set(history, &options),
        Workload::Bank => check_bank(history, &bank, &options),
        Workload::UniqueIds => check_unique_ids(history, &options),
        Workload::LongFork => check_long_fork(history, &options),
    }
    .map_err(|error| format!("{}: {error}", arguments.file.display()))
}

fn draw_all(arguments: &Arguments, history: &History, verdict: &Verdict) -> Result<(), String> {
    let write = |path: &Option<PathBuf>, picture: &dyn Fn() -> String| match path {
        None => Ok(()),
        Some(path) => std::fs::write(path, picture())
            .map_err(|error| format!("cannot write {}: {error}", path.display())),
    };
    write(&arguments.dot, &|| draw::dot(history, verdict))?;
    write(&arguments.svg, &|| draw::svg(history, verdict))?;
    let title = arguments.file.display().to_string();
    write(&arguments.html, &|| draw::html(history, verdict, &title))
}

fn print(verdict: &Verdict, promised: Option<Model>, is_valid: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{verdict}")?;
    let promise = promised.map_or_else(String::new, |model| format!(" under {}", model.name()));
    if is_valid {
        writeln!(out, "valid{promise}")
    } else {
        let forbidden = verdict
            .counts
            .iter()
            .map(|(kind, _)| *kind)
            .filter(|kind| promised.is_none_or(|model| model.forbids(*kind)));
        let names: Vec<&str> = forbidden.map(|kind| kind.name()).collect();
        writeln!(out, "invalid{promise}: {}", names.join(", "))
    }
}

/// The processor and the number of its cores.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    format!("{cores} × {}", model.unwrap_or("unknown processor"))
}
