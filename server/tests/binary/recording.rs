//! The flight recorder of the real server: what its instances were given gives the same effects again.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use basalt_core::instance::replay::Replay;
use basalt_core::seam::Effect;

const READY_WITHIN: Duration = Duration::from_secs(30);

fn basalt(words: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
    command.args(words).stdin(Stdio::null());
    command
}

/// A server that records, killed if the test fails.
struct Server {
    child: Child,
    directory: PathBuf,
}

impl Server {
    /// Starts it on free ports and waits until it serves.
    fn start(directory: &Path) -> Server {
        let mut words = ["run", "--listen", ":0", "--pg-listen", ":0", "--http-listen", ":0"]
            .map(str::to_owned)
            .to_vec();
        for (flag, name) in [("--data-dir", "data"), ("--record", "recordings")] {
            words.extend([flag.to_owned(), directory.join(name).display().to_string()]);
        }
        let mut child = basalt(&words).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            assert!(log.read_line(&mut line).unwrap() > 0, "the server ended");
        }
        // Keeps the pipe from filling.
        std::thread::spawn(move || log.lines().count());
        let server = Server { child, directory: directory.to_owned() };
        let online = "SELECT count(*) FROM _pico_instance WHERE current_state = 'Online';";
        let begun = Instant::now();
        while server.try_admin(online) != (true, "count\n1\n".to_owned()) {
            assert!(begun.elapsed() < READY_WITHIN, "the server is not ready");
        }
        server
    }

    /// Runs a script as the superuser; gives what it printed.
    fn admin(&self, script: &str) -> String {
        let (succeeded, printed) = self.try_admin(script);
        assert!(succeeded, "{script} {printed}");
        printed
    }

    fn try_admin(&self, script: &str) -> (bool, String) {
        let socket = self.directory.join("data/admin.sock").display().to_string();
        let mut admin = basalt(&["admin".to_owned(), socket, "--csv".to_owned()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It may have ended already, for want of a server.
        let _ = admin.stdin.take().unwrap().write_all(script.as_bytes());
        let output = admin.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    /// SIGTERM or SIGKILL; whether it ended well.
    fn end(mut self, signal: &str) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The recording as a replay finds it: its turns, all the same, and whether it stopped by itself.
fn replay(directory: &Path, name: &str) -> (u64, bool) {
    let mut replay = Replay::new();
    replay.feed(&std::fs::read(directory.join("recordings").join(name)).unwrap());
    let (mut turns, mut stopped) = (0, false);
    while let Some(turn) = replay.next_turn().unwrap() {
        assert!(turn.is_same(), "{name}: {turn:?}");
        turns = turn.number;
        stopped |= turn.effects.iter().any(|effect| matches!(effect, Effect::Stop(_)));
    }
    assert_eq!(replay.bytes_left(), 0, "{name} ends within a record");
    if let Some(turn) = replay.unfinished_turn() {
        turns = turn.number;
    }
    (turns, stopped)
}

const SCRIPT: &str = "CREATE TABLE t (id INT PRIMARY KEY, v TEXT);\n\
                      INSERT INTO t VALUES (1, 'one'), (2, 'two');\n\
                      UPDATE t SET v = 'three' WHERE id = 2;\n\
                      SELECT id, v FROM t ORDER BY id;\n";

#[test]
fn each_life_of_a_server_is_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(directory.path());
    assert_eq!(server.admin(SCRIPT), "id,v\n1,one\n2,three\n");
    server.admin("CREATE USER ann WITH PASSWORD 'Secret-word1';");
    assert!(server.end("-TERM"));
    let (turns, stopped) = replay(directory.path(), "basalt-0-001.flight");
    assert!(turns > 20 && stopped, "{turns} turns, stopped: {stopped}");

    // From its disk, and without an end.
    let server = Server::start(directory.path());
    assert_eq!(server.admin("SELECT count(*) FROM t;"), "count\n2\n");
    assert!(!server.end("-KILL"));
    let (turns, stopped) = replay(directory.path(), "basalt-0-002.flight");
    assert!(turns > 10 && !stopped, "{turns} turns, stopped: {stopped}");
}

#[test]
fn recordings_that_cannot_be_made_are_named_and_nothing_starts() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("recordings"), "a file").unwrap();
    let data = directory.path().join("data").display().to_string();
    let recordings = directory.path().join("recordings").display().to_string();
    let words = ["run", "--listen", ":0", "--data-dir", &data, "--record", &recordings];
    let output = basalt(&words.map(str::to_owned)).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("basalt: cannot record in directory {recordings}: ");
    assert!(!output.status.success() && said.starts_with(&expected), "{said}");
    assert!(!directory.path().join("data/admin.sock").exists());
}
