//! `basalt admin`: SQL as the superuser, typed by a person or read from a script.
//!
//! A statement ends at its `;`, on whatever line that is. In a script every statement runs, and the
//! status tells whether one failed.

mod client;
mod format;
mod statements;

use std::io::{IsTerminal, Read};
use std::process::ExitCode;

use anyhow::{Context, Result};
use rustyline::error::ReadlineError;

use crate::arguments::AdminArguments;
use crate::{complain, say};
pub use client::Client;
use format::Format;
use statements::Statements;

const PROMPT: &str = "basalt=# ";
const PROMPT_WITHIN: &str = "basalt-# ";

/// Runs the console until its input ends.
pub fn run(arguments: &AdminArguments) -> Result<ExitCode> {
    let format = match (arguments.json, arguments.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Table,
    };
    let client = Client::connect(&arguments.socket)?;
    for notice in &client.greeting {
        complain(&format!("{notice}\n"));
    }
    let mut console = Console { client, format, failed: false };
    if std::io::stdin().is_terminal() {
        console.interactive()?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut script = String::new();
    std::io::stdin().read_to_string(&mut script).context("cannot read the script")?;
    console.script(&script)?;
    Ok(if console.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

struct Console {
    client: Client,
    format: Format,
    /// Whether any statement failed.
    failed: bool,
}

impl Console {
    fn script(&mut self, script: &str) -> Result<()> {
        let mut statements = Statements::default();
        statements.push(script);
        while let Some(statement) = statements.next_statement() {
            self.run(&statement)?;
        }
        // The last statement may lack its semicolon.
        let rest = statements.take_rest();
        if !rest.trim().is_empty() {
            self.run(&rest)?;
        }
        Ok(())
    }

    fn interactive(&mut self) -> Result<()> {
        let version = env!("CARGO_PKG_VERSION");
        say(&format!("basalt {version}. End statements with ; and leave with \\q.\n"));
        let mut editor = rustyline::DefaultEditor::new().context("cannot use the terminal")?;
        let mut statements = Statements::default();
        loop {
            let prompt = if statements.is_within() { PROMPT_WITHIN } else { PROMPT };
            let line = match editor.readline(prompt) {
                Ok(line) => line,
                // Forgets what was typed, as psql does.
                Err(ReadlineError::Interrupted) => {
                    statements = Statements::default();
                    continue;
                }
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(error).context("cannot read the terminal"),
            };
            if !statements.is_within() && matches!(line.trim(), "\\q" | "quit" | "exit") {
                return Ok(());
            }
            statements.push(&line);
            statements.push("\n");
            while let Some(statement) = statements.next_statement() {
                let _ = editor.add_history_entry(statement.trim());
                self.run(&statement)?;
            }
        }
    }

    /// Runs one statement and prints its results. An error means that the connection is lost.
    fn run(&mut self, statement: &str) -> Result<()> {
        let results = self.client.query(statement.trim())?;
        for notice in &results.notices {
            complain(&format!("{notice}\n"));
        }
        for result in &results.complete {
            say(&format::render(result, self.format));
        }
        if let Some(error) = &results.error {
            self.failed = true;
            complain(&format!("{error}\n"));
        }
        Ok(())
    }
}
