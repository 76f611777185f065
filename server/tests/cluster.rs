//! A whole cluster behind the command line: started, asked, stopped, resumed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

fn basalt(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_basalt"));
    command.args(words);
    command
}

/// A running demo, killed if the test fails.
struct Demo {
    child: Child,
    /// What it printed once ready.
    greeting: String,
}

impl Demo {
    fn start(directory: &Path) -> Demo {
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

    fn admin_socket(&self) -> PathBuf {
        let line = self.greeting.lines().find(|line| line.contains("basalt admin ")).unwrap();
        PathBuf::from(line.rsplit(' ').next().unwrap())
    }

    /// Runs a script; gives whether it succeeded and what it printed, errors last.
    fn admin(&self, script: &str) -> (bool, String) {
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

    /// Ctrl-C.
    fn interrupt(mut self) -> bool {
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

#[test]
fn a_demo_serves_statements_and_resumes_where_it_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    assert_eq!(demo.greeting.matches("psql \"postgres://admin:").count(), 3);
    let script = "create table t (id int primary key, v text);\n\
                  insert into t values (1, 'a;b'), (2, null);\nselect * from t order by id";
    assert_eq!(demo.admin(script), (true, "id,v\n1,a;b\n2,\n".to_owned()));
    let (succeeded, printed) = demo.admin("select nonsense; select count(*) from t;");
    assert!(!succeeded);
    assert!(printed.starts_with("count\n2\nERROR:  "), "{printed}");
    assert!(demo.interrupt());

    let demo = Demo::start(directory.path());
    let online = "select count(*) from _pico_instance where current_state = 'Online';";
    assert_eq!(demo.admin(online), (true, "count\n3\n".to_owned()));
    assert_eq!(demo.admin("select id from t;"), (true, "id\n1\n2\n".to_owned()));
    assert!(demo.interrupt());
}
