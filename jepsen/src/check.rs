//! `basalt-jepsen check`: a file in, a verdict out.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use basalt_jepsen::history::History;
use basalt_jepsen::history::read::{
    Format, guess_format, read_history, read_history_on_two_threads,
};
use basalt_jepsen::{
    BankOptions, CheckOptions, Model, Statistics, Verdict, check_bank, check_closed_predicate,
    check_list_append, check_long_fork, check_register, check_rw_register, check_set,
    check_unique_ids, draw,
};
use clap::{Args, ValueEnum};

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Transactions that append unique elements to lists and read lists.
    ListAppend,
    /// Transactions that write unique values to registers and read them.
    RwRegister,
    /// Transactions that change each key once, by a write, an insert or a delete, and read keys or
    /// all that match a predicate. Only this model can tell G2 from G2-item.
    ClosedPredicate,
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
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
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
    let clock = Clock::start();
    let (history, bytes) = read(arguments)?;
    let reading = clock.stop();
    let clock = Clock::start();
    let verdict = check(arguments, &history)?;
    let checking = clock.stop();
    draw_all(arguments, &history, &verdict)?;
    let is_valid = match promised {
        Some(model) => verdict.satisfies(model),
        None => verdict.is_clean(),
    };
    print(&verdict, promised, is_valid)?;
    let megabytes = bytes as f64 / 1e6;
    let Statistics { operations, keys, edges, components } = verdict.statistics;
    eprintln!(
        "{}; read {megabytes:.1} MB in {} ({} MB/s); checked {operations} operations in {} \
         ({} k/s), {keys} keys, {edges} edges, {components} components; {} MB of memory at most",
        machine(),
        reading.seconds(),
        reading.rate(megabytes),
        checking.seconds(),
        checking.rate(operations as f64 / 1e3),
        memory_bytes_max() / 1_000_000,
    );
    Ok(is_valid)
}

/// When a part of the work began.
struct Clock {
    wall: Instant,
    processor_s: f64,
}

/// How long it took. On a machine that does other things too, the processor's time says more.
struct Took {
    wall_s: f64,
    processor_s: f64,
}

impl Clock {
    fn start() -> Clock {
        Clock { wall: Instant::now(), processor_s: processor_s() }
    }

    fn stop(&self) -> Took {
        Took {
            wall_s: self.wall.elapsed().as_secs_f64(),
            processor_s: processor_s() - self.processor_s,
        }
    }
}

impl Took {
    fn seconds(&self) -> String {
        format!("{:.2} s, {:.2} s of processor", self.wall_s, self.processor_s)
    }

    /// How much of something was done a second of each clock.
    fn rate(&self, amount: f64) -> String {
        const SHORTEST_S: f64 = 0.01;
        let rate = |seconds: f64| amount / seconds.max(SHORTEST_S);
        format!("{:.0} and {:.0}", rate(self.wall_s), rate(self.processor_s))
    }
}

/// Seconds of processor time of this process, all threads together; 0 where the system does not
/// say.
fn processor_s() -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program, in brackets, may hold blanks; after it come the state, ten numbers,
    // and the time in user mode and in the kernel.
    let fields = text.rsplit(") ").next().unwrap_or_default().split(' ').skip(11);
    let ticks: f64 = fields.take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / TICKS_A_SECOND
}

/// The most memory this process had at one time; 0 where the system does not say.
fn memory_bytes_max() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn promised(arguments: &Arguments) -> Result<Option<Model>, String> {
    let fits = |model: Model| match arguments.model {
        Workload::Register => model == Model::Linearizable,
        Workload::ListAppend
        | Workload::RwRegister
        | Workload::ClosedPredicate
        | Workload::LongFork => model != Model::Linearizable,
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
        (
            None,
            Workload::ListAppend
            | Workload::RwRegister
            | Workload::ClosedPredicate
            | Workload::LongFork,
        ) => Ok(Some(Model::StrictSerializable)),
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
    let mut source: Box<dyn Read + Send> = if path == Path::new("-") {
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
    let history = match threads(arguments) {
        1 => read_history(&mut counted, format),
        _ => read_history_on_two_threads(&mut counted, format),
    };
    Ok((history.map_err(|error| format!("{name}: {error}"))?, counted.bytes))
}

/// How many threads to use, at least one.
fn threads(arguments: &Arguments) -> usize {
    arguments.threads.map_or_else(cores, usize::from)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn check(arguments: &Arguments, history: &History) -> Result<Verdict, String> {
    let options = CheckOptions { threads: threads(arguments), examples_max: arguments.examples };
    let bank = BankOptions { total: arguments.total, allow_negative: arguments.allow_negative };
    match arguments.model {
        Workload::ListAppend => check_list_append(history, &options),
        Workload::RwRegister => check_rw_register(history, &options),
        Workload::ClosedPredicate => check_closed_predicate(history, &options),
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

fn print(verdict: &Verdict, promised: Option<Model>, is_valid: bool) -> Result<(), String> {
    let mut text = verdict.to_string();
    let promise = promised.map_or_else(String::new, |model| format!(" under {}", model.name()));
    if is_valid {
        text += &format!("valid{promise}\n");
    } else {
        let forbidden = verdict
            .counts
            .iter()
            .map(|(kind, _)| *kind)
            .filter(|kind| promised.is_none_or(|model| model.forbids(*kind)));
        let names: Vec<&str> = forbidden.map(|kind| kind.name()).collect();
        text += &format!("invalid{promise}: {}\n", names.join(", "));
    }
    match std::io::stdout().write_all(text.as_bytes()) {
        // Who reads no further, as `head` does, has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot print: {error}"))
        }
        _ => Ok(()),
    }
}

/// The processor and the number of its cores.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    format!("{} × {}", cores(), model.unwrap_or("unknown processor"))
}
