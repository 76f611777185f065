//! The tree keeps its promises: dependencies point one way, and nothing outside leaks into `core`.
//!
//! `core` is one crate of layers, a folder each, and so is what is around it, with files for layers. A layer
//! uses only earlier ones; this module reads the [`paths`] that the sources name and says which break
//! the rule.

mod paths;

use std::fs;
use std::path::{Path, PathBuf};

use paths::{NamedPath, Whose, named_paths};

/// A crate and its layers, lowest first.
pub struct Crate {
    /// Where its sources are.
    pub sources: &'static str,
    pub layers: &'static [&'static str],
    /// Two that know each other, the earlier first.
    pub knots: &'static [(&'static str, &'static str)],
}

/// All crates that have layers.
pub const CRATES: [Crate; 5] = [
    Crate {
        sources: "core/src",
        layers: &[
            "base", "seam", "expr", "storage", "pgwire", "raft", "group", "txn", "bucket",
            "topology", "sql", "exec", "session", "admin", "instance",
        ],
        knots: &[],
    },
    Crate {
        sources: "net/src",
        layers: &[
            "cores",
            "counters",
            "doorbell",
            "frame",
            "gate",
            "machine",
            "slots",
            "core_instance",
            "flight_recorder",
            "mailbox",
            "peer_client",
            "platform",
            "inbox",
            "outlet",
            "clients",
            "links",
            "http",
            "inbound",
            "reactor",
            "descriptors",
            "disk",
            "tokio_platform",
            "instance",
        ],
        knots: &[],
    },
    Crate {
        sources: "server/src",
        layers: &[
            "settings",
            "arguments",
            "instances",
            "logging",
            "peers",
            "admin",
            "expel",
            "process",
            "status",
            "demo",
            "run",
        ],
        knots: &[],
    },
    Crate {
        sources: "sim/src",
        layers: &[
            "clock", "queue", "plan", "faults", "workload", "node", "check", "disk", "network",
            "world", "basalt", "toy", "scenario", "run", "shrink", "report", "mutants", "repeat",
            "replay", "sweep",
        ],
        // A plan is data: of faults, of operations.
        knots: &[("plan", "faults"), ("plan", "workload"), ("network", "world"), ("run", "report")],
    },
    Crate {
        sources: "jepsen/src",
        layers: &[
            "check",
            "generate",
            "history",
            "parallel",
            "generator",
            "verdict",
            "draw",
            "graph",
            "invariant",
            "register",
            "transaction",
        ],
        knots: &[],
    },
];

/// A foreign crate, or a module of one, and the one layer of `core` that may name it.
const ONE_DOOR: [(&[&str], &str); 2] = [(&["raft"], "raft"), (&["pgwire", "messages"], "pgwire")];

/// What must not appear in `core`, in code.
const BANNED: [&[&str]; 16] = [
    &["std", "*"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "thread"],
    // Their order is another in each process.
    &["std", "collections", "HashMap"],
    &["std", "collections", "HashSet"],
    &["std", "collections", "hash_map"],
    &["std", "collections", "hash_set"],
    &["std", "collections", "*"],
    &["std", "hash", "RandomState"],
    &["std", "hash", "*"],
    &["hashbrown"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["tokio"],
    &["rand"],
];

/// The same, by the end of its name, whatever it is called by.
const BANNED_CALLS: [&[&str]; 6] = [
    &["Instant", "now"],
    &["SystemTime", "now"],
    &["thread_rng"],
    &["HashMap"],
    &["HashSet"],
    &["RandomState"],
];

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub why: String,
}

/// Every `.rs` file under `root`, sorted.
///
/// # Panics
/// If a folder cannot be read.
pub fn sources(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the tree can be read") {
            let path = entry.expect("the tree can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Findings in the text of one file of a crate, named relative to its sources.
///
/// # Panics
/// If the text is not Rust.
pub fn check_file(of: &Crate, name: &str, text: &str) -> Vec<Finding> {
    let module = module_of(name);
    let layer = module.first().and_then(|first| of.layers.iter().position(|l| l == first));
    let paths = named_paths(text, &module).unwrap_or_else(|why| panic!("{name}: {why}"));
    let mut findings = Vec::new();
    for path in &paths {
        let mut report = |why| {
            findings.push(Finding { file: name.to_owned(), line: path.line, why });
        };
        if let Some(own) = layer.filter(|_| !path.in_tests && !is_test_code(name)) {
            upward(of, own, path).into_iter().for_each(&mut report);
        }
        if of.sources == "core/src" {
            foreign(&module, path).into_iter().for_each(&mut report);
        }
    }
    findings
}

/// What a file is, from the root of its crate.
fn module_of(name: &str) -> Vec<String> {
    let mut module: Vec<String> =
        name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        module.pop();
    }
    module
}

/// Files that are compiled for tests only: they may look at their layer from above.
fn is_test_code(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    name.contains("/tests/")
        || ["tests.rs", "testing.rs"].contains(&file)
        || file.ends_with("_tests.rs")
}

/// What is wrong with a path that layer `own` names.
fn upward(of: &Crate, own: usize, path: &NamedPath) -> Option<String> {
    if path.whose != Whose::Own {
        return None;
    }
    let own_name = of.layers[own];
    let Some(first) = path.segments.first().filter(|first| *first != "*") else {
        return Some(format!(
            "{own_name} names the root of the crate, behind which all layers are"
        ));
    };
    let later = *of.layers[own + 1..].iter().find(|layer| *layer == first)?;
    let known = of.knots.contains(&(own_name, later));
    (!known).then(|| format!("{own_name} uses {later}, a later layer"))
}

/// What does not belong in a module of `core`.
fn foreign(module: &[String], path: &NamedPath) -> Option<String> {
    let shown = path.segments.join("::");
    let begins = |words: &[&str]| {
        path.whose == Whose::Foreign
            && path.segments.len() >= words.len()
            && path.segments.iter().zip(words).all(|(a, b)| a == b)
    };
    let calls = |words: &&[&str]| path.segments.windows(words.len()).any(|some| some == *words);
    if BANNED.iter().any(|banned| begins(banned)) || BANNED_CALLS.iter().any(calls) {
        return Some(format!("{shown} does not belong in core"));
    }
    let outside = |door: &str| module.first().is_none_or(|layer| layer != door);
    let (_, door) = ONE_DOOR.iter().find(|(words, door)| begins(words) && outside(door))?;
    Some(format!("{shown} is named outside {door}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn every_crate_keeps_its_layers_and_core_its_bans() {
        let mut findings = Vec::new();
        for of in &CRATES {
            let folder = root().join(of.sources);
            for path in sources(&folder) {
                let name = path.strip_prefix(&folder).unwrap().to_string_lossy().into_owned();
                findings.extend(check_file(of, &name, &fs::read_to_string(&path).unwrap()));
            }
        }
        assert!(findings.is_empty(), "{findings:#?}");
    }

    #[test]
    fn each_layer_is_a_module_of_its_crate_and_the_other_way_round() {
        for of in &CRATES {
            let folder = root().join(of.sources);
            let modules = fs::read_dir(&folder).unwrap().map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.trim_end_matches(".rs").to_owned()
            });
            let is_root = |name: &String| ["lib", "main", "tests"].contains(&name.as_str());
            let mut found: Vec<String> = modules.filter(|name| !is_root(name)).collect();
            found.sort_unstable();
            let mut expected = of.layers.to_vec();
            expected.sort_unstable();
            assert_eq!(found, expected, "{}", of.sources);
        }
    }

    fn lines(of: usize, name: &str, text: &str) -> Vec<usize> {
        check_file(&CRATES[of], name, text).iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn an_upward_use_is_found_in_every_form() {
        let text = "use crate::raft::Node;\n// use crate::sql::Plan;\nuse crate::{base, exec};\n";
        assert_eq!(lines(0, "storage/table.rs", text), [1, 3]);
        let long = "use crate::{\n    base::Row,\n    sql::{\n        Plan,\n    },\n};\n";
        assert_eq!(lines(0, "storage/table.rs", long), [4]);
        assert_eq!(lines(0, "storage/wal/log.rs", "use super::super::super::exec::Run;"), [1]);
        assert_eq!(lines(0, "storage/mod.rs", "fn f() { g(super::exec::RUN) }"), [1]);
        assert_eq!(lines(0, "storage/mod.rs", "mod a {\n use super::super::exec;\n}"), [2]);
        assert_eq!(
            lines(0, "storage/mod.rs", "use crate::*; use super::*; use crate as c;"),
            [1, 1, 1]
        );
        assert_eq!(lines(0, "storage/mod.rs", "f!(matches!(x, crate::exec::Run))"), [1]);
        assert_eq!(lines(0, "group/mod.rs", "use crate::raft::Node; use super::base;"), [0; 0]);
        assert_eq!(lines(0, "storage/store_tests.rs", "use crate::exec::Run;"), [0; 0]);
        assert_eq!(lines(1, "frame.rs", "use crate::{\n  cores,\n  reactor::Reactor};"), [3]);
        assert_eq!(lines(2, "settings/mod.rs", "use super::run;"), [1]);
        assert_eq!(lines(3, "clock.rs", "use crate::world::World;"), [1]);
        assert_eq!(lines(4, "history/mod.rs", "use super::check;\nuse super::graph;"), [2]);
    }

    #[test]
    fn a_ban_is_found_in_every_form() {
        let text = "fn f() { let now = std::time::Instant::now();\nraft::RawNode::new() }\n";
        assert_eq!(lines(0, "group/mod.rs", text), [1, 2]);
        assert_eq!(lines(0, "raft/node.rs", "use raft::RawNode;"), [0; 0]);
        let groups = "use std::{\n    sync::Arc,\n    time::{Duration, SystemTime},\n    fs,\n};";
        assert_eq!(lines(0, "group/mod.rs", groups), [3, 4]);
        assert_eq!(
            lines(0, "group/mod.rs", "use std::time as t; fn f() { t::Instant::now() }"),
            [1]
        );
        let maps = "fn f() { std::collections::hash_map::HashMap::new()\n}\n\
                    use std::collections as c; fn g() {\nc::HashMap::new(); c::BTreeMap::new();\n\
                    c::hash_set::HashSet::new() }\nuse std::hash::{Hash,\n RandomState};\n\
                    use hashbrown::hash_table as h;\nuse std::collections::*; use std::hash::*;";
        assert_eq!(lines(0, "group/mod.rs", maps), [1, 4, 5, 7, 8, 9, 9]);
        assert_eq!(
            lines(0, "group/mod.rs", "use std::{collections::BTreeMap, hash::Hash};"),
            [0; 0]
        );
        assert_eq!(lines(0, "lib.rs", "use pgwire::{api, messages::data};"), [1]);
        assert_eq!(lines(0, "group/mod.rs", "use rand_chacha::ChaCha8Rng;"), [0; 0]);
        assert_eq!(lines(1, "frame.rs", "use std::fs;"), [0; 0]);
    }
}
