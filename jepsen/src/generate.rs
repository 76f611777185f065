//! `basalt-jepsen generate`: writes a history of a toy database.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use basalt_jepsen::generator::{Engine, GeneratorOptions, Workload, generate};
use basalt_jepsen::history::read::Format;
use basalt_jepsen::history::write::write_history;
use clap::{Args, ValueEnum};

#[derive(Clone, Copy, ValueEnum)]
enum Model {
    ListAppend,
    RwRegister,
    Register,
}

#[derive(Args)]
pub struct Arguments {
    /// How the database isolates transactions: serial, ssi, si, non-repeatable, read-committed,
    /// read-uncommitted, stale-replica, lost-write or crashed.
    #[arg(long, default_value = "serial")]
    engine: String,
    /// What the operations are.
    #[arg(long, value_enum, default_value = "list-append")]
    model: Model,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    #[arg(long, default_value_t = 1000)]
    operations: usize,
    #[arg(long, default_value_t = 10)]
    processes: usize,
    /// Keys in use at one time.
    #[arg(long, default_value_t = 5)]
    keys: usize,
    /// A key is replaced by a new one after so many writes.
    #[arg(long, default_value_t = 64)]
    writes_per_key: usize,
    /// Most steps of a transaction.
    #[arg(long, default_value_t = 4)]
    steps: usize,
    /// All transactions have the most steps.
    #[arg(long)]
    steps_fixed: bool,
    /// The probability that a step is a read.
    #[arg(long, default_value_t = 0.5)]
    reads: f64,
    /// The probability that the outcome of an operation stays unknown.
    #[arg(long)]
    info: Option<f64>,
    /// The probability that a transaction is aborted.
    #[arg(long)]
    abort: Option<f64>,
    /// The history, in EDN (`.edn`) or JSON lines (any other name); `-` is the standard output,
    /// in EDN.
    file: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<(), String> {
    let engine = Engine::named(&arguments.engine).ok_or_else(|| {
        let known = Engine::ALL.map(Engine::name).join(", ");
        format!("unknown engine {}; known are {known}", arguments.engine)
    })?;
    for (name, value) in [("processes", arguments.processes), ("keys", arguments.keys)] {
        if value == 0 {
            return Err(format!("--{name} must not be 0"));
        }
    }
    let defaults = GeneratorOptions::new(engine);
    let options = GeneratorOptions {
        workload: match arguments.model {
            Model::ListAppend => Workload::ListAppend,
            Model::RwRegister => Workload::RwRegister,
            Model::Register => Workload::Register,
        },
        seed: arguments.seed,
        operations: arguments.operations,
        processes: arguments.processes,
        keys: arguments.keys,
        writes_per_key: arguments.writes_per_key.max(1),
        steps_max: arguments.steps.max(1),
        steps_fixed: arguments.steps_fixed,
        reads: arguments.reads,
        info: arguments.info.unwrap_or(defaults.info),
        abort: arguments.abort.unwrap_or(defaults.abort),
        ..defaults
    };
    let history = generate(&options);
    let path = arguments.file.as_path();
    let is_edn = path == Path::new("-") || path.extension().is_some_and(|end| end == "edn");
    let format = if is_edn { Format::Edn } else { Format::JsonLines };
    let result = if path == Path::new("-") {
        write_history(&history, format, &mut std::io::stdout().lock())
    } else {
        File::create(path).and_then(|file| {
            let mut sink = BufWriter::new(file);
            write_history(&history, format, &mut sink)?;
            sink.flush()
        })
    };
    result.map_err(|error| format!("cannot write {}: {error}", path.display()))
}
