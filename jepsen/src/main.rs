//! The command line of the checker. Exit status: 0 valid, 1 an anomaly, 64 bad usage or input, or
//! what cannot be decided.

mod check;
mod generate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Checks recorded histories of databases for anomalies, and generates histories.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says which anomalies a history shows and which consistency models survive.
    Check(check::Arguments),
    /// Writes a history of a database of known strength.
    Generate(generate::Arguments),
}

const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_error = error.use_stderr();
            // Nothing is left to be done where not even this can be printed.
            let _ = error.print();
            return if is_error { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let result = match arguments.command {
        Command::Check(arguments) => check::run(&arguments),
        Command::Generate(arguments) => generate::run(&arguments).map(|()| true),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(message) => {
            eprintln!("basalt-jepsen: {message}");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
