//! The flight recorder of the real server: what its instances were given gives the same effects again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use basalt_core::instance::replay::Replay;
use basalt_core::seam::Effect;

use crate::process::{self, Process, basalt, on_free_ports};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// A server that records, killed if the test fails.
struct Server {
    process: Process,
    directory: PathBuf,
}

impl Server {
    /// Starts it on free ports and waits until it serves.
    fn start(directory: &Path) -> Server {
        let recordings = directory.join("recordings").display().to_string();
        let mut flags = on_free_ports(directory);
        flags.extend(["--record".to_owned(), recordings]);
        let (process, _) = Process::listening(&flags);
        let server = Server { process, directory: directory.to_owned() };
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
        let socket = self.directory.join("data/admin.sock");
        let (succeeded, printed, _) = process::admin(&socket, script);
        (succeeded, printed)
    }

    /// SIGTERM or SIGKILL; whether it ended well.
    fn end(self, signal: &str) -> bool {
        self.process.end(signal)
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
    let output = basalt(&words).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    let expected = format!("basalt: cannot record in directory {recordings}: ");
    assert!(!output.status.success() && said.starts_with(&expected), "{said}");
    assert!(!directory.path().join("data/admin.sock").exists());
}
