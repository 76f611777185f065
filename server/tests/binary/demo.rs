//! A demo cluster in a process of its own, killed when the test is over.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::process::{self, Process, basalt};

/// A running demo of three nodes.
pub struct Demo {
    process: Process,
    /// What it printed once ready.
    pub greeting: String,
}

impl Demo {
    /// Starts it or resumes the one that `directory` holds, and waits until it serves.
    pub fn start(directory: &Path) -> Demo {
        let directory = directory.display().to_string();
        let words = ["demo", "--nodes", "3", "--data-dir", &directory];
        let mut process = Process::start(basalt(&words).stdout(Stdio::piped()));
        let greeting = process.printed("Ctrl-C stops");
        Demo { process, greeting }
    }

    /// A URL of each node for the superuser.
    pub fn urls(&self) -> Vec<&str> {
        self.greeting.split('"').filter(|word| word.starts_with("postgres://")).collect()
    }

    fn admin_socket(&self) -> PathBuf {
        let line = self.greeting.lines().find(|line| line.contains("basalt admin ")).unwrap();
        PathBuf::from(line.rsplit(' ').next().unwrap())
    }

    /// Runs a script; gives whether it succeeded and what it printed, errors last.
    pub fn admin(&self, script: &str) -> (bool, String) {
        let (succeeded, printed, complaints) = process::admin(&self.admin_socket(), script);
        (succeeded, printed + &complaints)
    }

    /// Ctrl-C; gives whether it ended well.
    pub fn interrupt(self) -> bool {
        self.process.end("-INT")
    }
}
