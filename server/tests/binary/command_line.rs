//! The `basalt` binary as a shell sees it: one clear line for each mistake, and a clean end.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::net::TcpListener;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::process::{Process, admin, basalt, on_free_ports};

/// Runs to the end; expects a failure told in one line, and gives that line.
fn refused<S: AsRef<OsStr> + Debug>(words: &[S]) -> String {
    let output = basalt(words).output().unwrap();
    refusal(&words, output)
}

fn refusal(words: &impl Debug, output: Output) -> String {
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{words:?} succeeded: {said}");
    let lines: Vec<_> = said.lines().filter(|line| line.starts_with("basalt: ")).collect();
    assert_eq!(lines.len(), 1, "{words:?}: {said}");
    assert_eq!(said.lines().last(), Some(lines[0]), "{words:?}: {said}");
    lines[0].trim_start_matches("basalt: ").to_owned()
}

fn start(directory: &Path) -> (Process, String) {
    Process::listening(&on_free_ports(directory))
}

#[test]
fn mistakes_on_the_command_line_are_named() {
    let cases = [
        (&["run", "--nonsense"][..], "unexpected argument '--nonsense' found"),
        (&["run", "--listen", "nowhere"], "--listen: \"nowhere\" has no port"),
        (&["run", "--listen", ":1", "--listen", ":2"], "--listen is given more than once"),
        (&["run", "--memory", "lots"], "--memory: \"lots\" is not a size"),
        (&["run", "-c", "instance.wings=2"], "unknown key instance.wings"),
        (&["run", "--config", "/none.yaml"], "cannot read configuration file /none.yaml"),
        (&["run", "--listen", "0.0.0.0:1"], "listening on 0.0.0.0:1 needs --advertise"),
        (&["admin", "/none/admin.sock"], "cannot connect to admin socket /none/admin.sock"),
        (&["status", "--peer", "127.0.0.1:1"], "cannot connect to 127.0.0.1:1"),
        (&["status", "--peer", "127.0.0.1:1,127.0.0.1:2"], "cannot connect to 127.0.0.1:2"),
        (&["run", "--log-level", "warning"], "\"warning\" is not a log level"),
        (&["demo", "--nodes", "1", "--replication-factor", "3"], "1 nodes cannot hold 3 copies"),
        (&["fly"], "unrecognized subcommand 'fly'"),
    ];
    for (words, expected) in cases {
        let said = refused(words);
        assert!(said.starts_with(expected), "{words:?}: {said}");
    }
}

#[test]
fn a_port_in_use_is_named_and_the_data_directory_stays_usable() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut flags = on_free_ports(directory.path());
    let position = flags.iter().position(|flag| flag == "--pg-listen").unwrap();
    flags[position + 1] = address.clone();
    let said = refused(&flags);
    let expected = format!("cannot listen on {address} for PostgreSQL clients: ");
    assert!(said.starts_with(&expected), "{said}");
    assert!(start(directory.path()).0.end("-TERM"));
}

#[test]
fn a_data_directory_in_use_is_refused_and_its_owner_is_not_disturbed() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = start(directory.path());
    let flags = on_free_ports(directory.path());
    let said = refused(&flags);
    assert!(said.starts_with("data directory ") && said.contains("in use"), "{said}");
    assert!(server.end("-TERM"));
}

/// The tests are built together with the simulator; a build of the server alone has nothing to warn of.
#[test]
fn a_server_that_bugs_can_be_planted_in_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (server, log) = Process::listening_told(&on_free_ports(directory.path()));
    let said = log.contains("planted bugs are in this program");
    assert_eq!(said, basalt_core::seam::probe::PRESENT, "{log}");
    assert!(server.end("-TERM"));
}

#[test]
fn several_instances_do_not_start_where_one_has_its_data() {
    let directory = tempfile::tempdir().unwrap();
    let (server, _) = start(directory.path());
    let (ok, _, said) = until_ready(&directory.path().join("data/admin.sock"));
    assert!(ok && server.end("-TERM"), "{said}");
    let flags =
        on_free_ports(directory.path()).into_iter().chain(["--cores", "0,1"].map(str::to_owned));
    let said = refused(&flags.collect::<Vec<_>>());
    assert!(said.starts_with("data directory ") && said.contains("holds one instance"), "{said}");
    assert!(start(directory.path()).0.end("-TERM"), "nothing was harmed");
}

#[test]
fn a_setting_from_the_environment_is_named_by_its_variable() {
    let words = ["run"];
    let output = basalt(&words).env("BASALT_PG_LISTEN", "x").output().unwrap();
    let said = refusal(&words, output);
    assert!(said.starts_with("BASALT_PG_LISTEN: "), "{said}");
}

#[test]
fn a_terminated_server_ends_cleanly_and_starts_again() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (server, listening) = start(directory.path());
        assert!(listening.contains("127.0.0.1:"), "{listening}");
        assert!(directory.path().join("data/admin.sock").exists());
        assert!(server.end("-TERM"));
        assert!(!directory.path().join("data/admin.sock").exists());
    }
}

#[test]
fn a_server_whose_log_nobody_reads_any_more_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let mut flags = on_free_ports(directory.path());
    flags.extend(["--log-level", "trace"].map(str::to_owned));
    let server = Process::listening_unread(&flags);
    let socket = directory.path().join("data/admin.sock");
    let (ok, out, said) = until_ready(&socket);
    assert!(ok && out.contains('1'), "{out}{said}");
    assert!(server.end("-TERM"), "it ended cleanly");
}

/// Asks until the server is up, which a new cluster is a moment after it listens.
fn until_ready(socket: &Path) -> (bool, String, String) {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = admin(socket, "CREATE TABLE told (id int PRIMARY KEY); SELECT 1;");
        if answer.0 || Instant::now() > end {
            return answer;
        }
    }
}

#[test]
fn version_and_default_configuration_are_printed() {
    let version = basalt(&["version"]).output().unwrap();
    assert!(String::from_utf8(version.stdout).unwrap().starts_with("basalt "));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("basalt.yaml");
    let printed = basalt(&["config", "default"]).output().unwrap().stdout;
    std::fs::write(&file, printed).unwrap();
    // A file is accepted if only what comes after it is refused.
    let file = file.display().to_string();
    let said = refused(&["run", "--config", &file, "--memory", "lots"]);
    assert!(said.starts_with("--memory: "), "{said}");
}
