//! Collects the names of all `sometimes!` marks and `buggify!` sites in `core`, so that a sweep can list
//! those it never reached: a branch that never runs cannot report itself.

use std::fmt::Write;
use std::path::{Path, PathBuf};

fn main() {
    let root = PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let core = root.join("../core/src");
    println!("cargo::rerun-if-changed={}", core.display());
    let mut marks = Vec::new();
    collect(&core, &mut marks);
    marks.sort();
    marks.dedup();
    let mut out = String::from(
        "/// Every mark and every site of `buggify!` in `core`.\npub const MARKS: &[&str] = &[\n",
    );
    for mark in &marks {
        let _ = writeln!(out, "    {mark:?},");
    }
    out.push_str("];\n");
    let dir = PathBuf::from(std::env::var("OUT_DIR").expect("set by cargo"));
    std::fs::write(dir.join("marks.rs"), out).expect("the build directory can be written");
}

fn collect(dir: &Path, marks: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, marks);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("seam/probe.rs") {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            for begins in ["sometimes!(\"", "buggify!(\""] {
                let named = text.split(begins).skip(1);
                marks.extend(named.filter_map(|part| part.split('"').next()).map(str::to_owned));
            }
        }
    }
}
