//! The tree keeps its promises: dependencies of `core` point one way, and nothing outside leaks in.
//!
//! `core` is one crate of layers, a folder each. A layer uses only earlier ones; this module reads the
//! `use` lines (and other paths beginning with `crate::`) and says which line breaks the rule.

use std::fs;
use std::path::{Path, PathBuf};

/// The layers of `core`, lowest first.
pub const LAYERS: [&str; 16] = [
    "base", "seam", "expr", "storage", "pgwire", "raft", "group", "txn", "bucket", "topology",
    "sql", "exec", "route", "session", "admin", "instance",
];

/// A foreign library and the one place of `core` that may name it.
const ONE_DOOR: [(&str, &str); 2] = [("raft::", "raft/"), ("pgwire::messages", "pgwire/")];

/// What must not appear in `core`, in code.
const BANNED: [&str; 8] = [
    "std::fs",
    "std::net",
    "std::thread",
    "tokio::",
    "thread_rng",
    "Instant::now",
    "SystemTime::now",
    "rand::",
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

/// Findings in the text of one file of `core`, named relative to `core/src`.
pub fn check_core_file(name: &str, text: &str) -> Vec<Finding> {
    let layer = LAYERS
        .iter()
        .position(|l| name.starts_with(&format!("{l}/")))
        .filter(|_| !is_test_code(name));
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or("");
        let mut report =
            |why: String| findings.push(Finding { file: name.to_owned(), line: at + 1, why });
        if let Some(own) = layer {
            for upward in upward_uses(code, own) {
                report(format!("{} uses {upward}, a later layer", LAYERS[own]));
            }
        }
        for ban in BANNED {
            if code.contains(ban) && !code.contains("rand_chacha::") {
                report(format!("{ban} does not belong in core"));
            }
        }
        for (library, door) in ONE_DOOR {
            let foreign = code.trim_start().starts_with(&format!("use {library}"));
            if foreign && !name.starts_with(door) {
                report(format!("{library} is named outside {door}"));
            }
        }
    }
    findings
}

/// Files that are compiled for tests only: they may look at their layer from above.
fn is_test_code(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    name.contains("/tests/")
        || ["tests.rs", "testing.rs"].contains(&file)
        || file.ends_with("_tests.rs")
}

/// Layers after `own` that a line names by `crate::`.
fn upward_uses(code: &str, own: usize) -> Vec<&'static str> {
    let named = |layer: &str| {
        code.match_indices("crate::").any(|(at, found)| {
            let rest = &code[at + found.len()..];
            let word: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            word == layer
                || (rest.starts_with('{')
                    && rest.split([',', '{', '}', ' ', ':']).any(|w| w == layer))
        })
    };
    LAYERS[own + 1..].iter().filter(|layer| named(layer)).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    #[test]
    fn core_keeps_its_layers_and_bans() {
        let core = root().join("core/src");
        let mut findings = Vec::new();
        for path in sources(&core) {
            let name = path.strip_prefix(&core).unwrap().to_string_lossy().into_owned();
            findings.extend(check_core_file(&name, &fs::read_to_string(&path).unwrap()));
        }
        assert!(findings.is_empty(), "{findings:#?}");
    }

    #[test]
    fn each_layer_is_a_module_of_core_and_the_other_way_round() {
        let lib = fs::read_to_string(root().join("core/src/lib.rs")).unwrap();
        let modules: Vec<&str> =
            lib.lines().filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
        let mut expected = LAYERS.to_vec();
        expected.sort_unstable();
        let mut found = modules.clone();
        found.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_upward_use_is_found() {
        let text = "use crate::raft::Node;\n// use crate::sql::Plan;\nuse crate::{base, exec};\n";
        let lines: Vec<usize> =
            check_core_file("storage/table.rs", text).iter().map(|f| f.line).collect();
        assert_eq!(lines, [1, 3]);
        assert!(check_core_file("group/mod.rs", "use crate::raft::Node;").is_empty());
    }

    #[test]
    fn a_ban_is_found() {
        let text = "let now = std::time::Instant::now();\nuse raft::RawNode;\n";
        assert_eq!(check_core_file("group/mod.rs", text).len(), 2);
    }
}
