//! `basalt-jepsen generate`: writes a history of a toy database.

use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use basalt_jepsen::generator::{Engine, GeneratorOptions, Workload, generate};
use basalt_jepsen::history::read::Format;
use basalt_jepsen::history::write::write_history;
use clap::{Args, ValueEnum, value_parser};

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
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(..1 << 30))]
    operations: u32,
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..=1_000_000))]
    processes: u32,
    /// Keys in use at one time.
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1_000_000))]
    keys: u32,
    /// A key is replaced by a new one after so many writes.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(1..))]
    writes_per_key: u32,
    /// Most steps of a transaction.
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// All transactions have the most steps.
    #[arg(long)]
    steps_fixed: bool,
    /// The probability that a step is a read.
    #[arg(long, default_value_t = 0.5, value_parser = probability)]
    reads: f64,
    /// The probability that the outcome of an operation stays unknown.
    #[arg(long, value_parser = probability)]
    info: Option<f64>,
    /// The probability that a transaction is aborted.
    #[arg(long, value_parser = probability)]
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
    let defaults = GeneratorOptions::new(engine);
    let options = GeneratorOptions {
        workload: match arguments.model {
            Model::ListAppend => Workload::ListAppend,
            Model::RwRegister => Workload::RwRegister,
            Model::Register => Workload::Register,
        },
        seed: arguments.seed,
        operations: arguments.operations as usize,
        processes: arguments.processes as usize,
        keys: arguments.keys as usize,
        writes_per_key: arguments.writes_per_key as usize,
        steps_max: arguments.steps as usize,
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
    match result {
        // Who reads no further, as `head` does, has seen enough.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(format!("cannot write {}: {error}", path.display()))
        }
        _ => Ok(()),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(probability) if (0.0..=1.0).contains(&probability) => Ok(probability),
        _ => Err("a probability is a number from 0 to 1".into()),
    }
}
