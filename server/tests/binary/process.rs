//! The `basalt` binary as a process that ends with its test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The binary with these words, and nothing to read.
pub fn basalt<S: AsRef<OsStr>>(words: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
    command.args(words).stdin(Stdio::null());
    command
}

/// Flags of an instance on free ports, its data below `directory`.
pub fn on_free_ports(directory: &Path) -> Vec<String> {
    let data_dir = directory.join("data").display().to_string();
    ["run", "--data-dir", &data_dir, "--listen", ":0", "--pg-listen", ":0", "--http-listen", ":0"]
        .map(str::to_owned)
        .to_vec()
}

/// A process, killed if its test fails.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Process {
        Process(command.spawn().unwrap())
    }

    /// Starts a server and waits until it listens; the line of its log that says so.
    pub fn listening(flags: &[String]) -> (Process, String) {
        let (process, log) = Process::listening_told(flags);
        (process, log.lines().last().unwrap().to_owned())
    }

    /// As [`Process::listening`], with its whole log up to there.
    pub fn listening_told(flags: &[String]) -> (Process, String) {
        let mut process = Process::start(basalt(flags).stderr(Stdio::piped()));
        let log = process.0.stderr.take().unwrap();
        let said = process.wait_for(log, "listening");
        (process, said)
    }

    /// As [`Process::listening`], and from then on nobody reads its log: what it writes fails.
    pub fn listening_unread(flags: &[String]) -> Process {
        let mut process = Process::start(basalt(flags).stderr(Stdio::piped()));
        let mut log = BufReader::new(process.0.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "{:?} ended", process.0.id());
        }
        process
    }

    /// Waits until it printed a line with `text`; everything up to there.
    pub fn printed(&mut self, text: &str) -> String {
        let out = self.0.stdout.take().unwrap();
        self.wait_for(out, text)
    }

    fn wait_for(&self, from: impl Read + Send + 'static, text: &str) -> String {
        let mut from = BufReader::new(from);
        let mut said = String::new();
        while !said.contains(text) {
            assert!(from.read_line(&mut said).unwrap() > 0, "{:?} ended: {said}", self.0.id());
        }
        // Keeps the pipe from filling.
        std::thread::spawn(move || from.lines().count());
        said
    }

    /// Sends it a signal by name; whether it ended well.
    pub fn end(mut self, signal: &str) -> bool {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.0.wait().unwrap().success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a script as the superuser; whether it succeeded, what it printed and what it complained of.
pub fn admin(socket: &Path, script: &str) -> (bool, String, String) {
    let mut admin = basalt(&["admin".as_ref(), socket.as_os_str(), "--csv".as_ref()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have ended already, for want of a server.
    let _ = admin.stdin.take().unwrap().write_all(script.as_bytes());
    let output = admin.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}
