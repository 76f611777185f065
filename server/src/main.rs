//! `basalt`: the production server and its commands.
//!
//! ```text
//!   arguments ─▶ settings (flag > -c > environment > file > default) ─▶ ServerOptions
//!                                                                       │
//!   instances: one instance::Config, data directory and thread a core ◀─┘
//!   run: start them, wait for a signal or for one to stop, stop the rest
//! ```
//! Everything that goes wrong before or while serving ends as one line on stderr and a status
//! other than 0.

mod admin;
mod arguments;
mod demo;
mod expel;
mod instances;
mod logging;
mod peers;
mod process;
mod run;
mod settings;
mod status;

use std::io::Write;
use std::process::ExitCode;

use arguments::{Arguments, Command, ConfigCommand};

/// A panic is a bug of ours: what the instance holds in memory can no longer be trusted, so the whole
/// process ends at once and recovers from its disk. Unwinding would leave the other threads serving.
fn end_at_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::abort();
    }));
}

fn main() -> ExitCode {
    end_at_panics();
    let command = match Arguments::read() {
        Ok(arguments) => arguments.command,
        Err(status) => return status,
    };
    match carry_out(command) {
        Ok(status) => status,
        Err(error) => {
            complain(&format!("basalt: {}\n", one_line(&with_causes(&error))));
            ExitCode::FAILURE
        }
    }
}

fn carry_out(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(arguments) => run::run(&arguments.sources()?.resolve()?),
        Command::Admin(arguments) => admin::run(&arguments),
        Command::Status(arguments) => status::run(&arguments.peer),
        Command::Expel(arguments) => expel::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Version => {
            say(&format!("basalt {}\n", env!("CARGO_PKG_VERSION")));
            Ok(ExitCode::SUCCESS)
        }
        Command::Config(ConfigCommand::Default) => {
            say(&settings::default_file());
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Prints at once. Nobody may be reading any more, which is no reason to fail.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// As [`say`], on stderr.
fn complain(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// An error and its causes, but for those that it names itself.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text.push_str(if text.is_empty() { "" } else { ": " });
            text.push_str(&cause);
        }
    }
    text
}

/// Log shippers and people both read errors by the line.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn each_cause_is_named_once() {
        let refused = || std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let address = "n1:3301".to_owned();
        let named = basalt_net::peer_client::AskError::Connect { address, source: refused() };
        assert_eq!(with_causes(&named.into()), "cannot connect to n1:3301: connection refused");
        let context = Err::<(), _>(refused()).context("no answer").unwrap_err();
        assert_eq!(with_causes(&context), "no answer: connection refused");
    }
}
