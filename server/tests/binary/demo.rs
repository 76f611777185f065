//! A demo cluster in a process of its own, killed when the test is over.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn basalt(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
    command.args(words);
    command
}

/// A running demo of three nodes.
pub struct Demo {
    child: Child,
    /// What it printed once ready.
    pub greeting: String,
}

impl Demo {
    /// Starts it or resumes the one that `directory` holds, and waits until it serves.
    pub fn start(directory: &Path) -> Demo {
        let directory = directory.display().to_string();
        let mut child = basalt(&["demo", "--nodes", "3", "--data-dir", &directory])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut greeting = String::new();
        while !greeting.contains("Ctrl-C stops") {
            assert!(out.read_line(&mut greeting).unwrap() > 0, "the demo ended: {greeting}");
        }
        Demo { child, greeting }
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
        let socket = self.admin_socket().display().to_string();
        let mut admin = basalt(&["admin", &socket, "--csv"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        admin.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = admin.wait_with_output().unwrap();
        (
            output.status.success(),
            String::from_utf8([output.stdout, output.stderr].concat()).unwrap(),
        )
    }

    /// Ctrl-C; gives whether it ended well.
    pub fn interrupt(mut self) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
