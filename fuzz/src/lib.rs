//! What may never happen, whatever bytes come from outside.
//!
//! A target is a function of bytes that panics when a promise is broken: that bytes from a client, a
//! peer or a disk give a value or an error, and that what was read means the same when it is written
//! and read again. libFuzzer calls it in `fuzz_targets/`.
//!
//! | target | bytes are | promise |
//! |---|---|---|
//! | [`pgwire`] | what a client sends | cut anywhere, they mean the same |
//! | [`sql_text`] | a query text | planned or refused; planned again, the same plan |
//! | [`sql_tree`] | choices of a query's parts | as above; most get as far as the binder |
//! | [`wal`] | segments of the log | recovered, recovered again the same, and the log goes on |
//! | [`codec`] | messages, log entries, snapshots, recordings | decoded, encoded, decoded: equal |
//! | [`keys`] | keys and rows, and values for them | order of keys is the order of values |
//! | [`values`] | a type and a text | parsed, printed, parsed: equal; in binary form too |
//!
//! ```text
//! cd fuzz                                                          # needs nightly and cargo-fuzz
//! cargo +nightly fuzz build --sanitizer none
//! mkdir -p /tmp/wal                                                # what is found new goes here
//! cargo +nightly fuzz run --sanitizer none wal /tmp/wal corpus/wal -- \
//!     -runs=1000000 -max_len=2048 -timeout=10 -rss_limit_mb=2048 -print_funcs=0
//! cargo +nightly fuzz run --sanitizer none wal artifacts/wal/…     # one input again
//! cargo run --bin wal                                              # writes the seeds
//! ```
//!
//! Our code has no `unsafe`, so an address sanitizer would only make it five times slower. Texts are
//! short for `values` (`-max_len=120`), `sql_tree` (160), `sql_text` and `keys` (300); 1024 for the
//! others. `cargo test -p basalt-tests` runs the corpus, and a few thousand changes of it, without
//! nightly and without libFuzzer.
//!
//! Checksums would hide all that is behind them, so targets that meet one can repair it first: an
//! input says whether. An input that once broke a promise stays in the corpus under a name that says
//! what it is.

pub mod codec;
pub mod keys;
mod log_builder;
pub mod memory_disk;
pub mod pgwire;
pub mod schema;
pub mod sql_text;
pub mod sql_tree;
pub mod values;
pub mod wal;

/// A target, as its tests need it.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Inputs to start from, made by the code under test itself.
    pub seeds: fn() -> Seeds,
}

/// Inputs by the names of their files.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// Every target; its corpus is `corpus/<name>`.
pub const TARGETS: [Target; 7] = [
    Target { name: "pgwire", run: pgwire::run, seeds: pgwire::seeds },
    Target { name: "sql_text", run: sql_text::run, seeds: sql_text::seeds },
    Target { name: "sql_tree", run: sql_tree::run, seeds: sql_tree::seeds },
    Target { name: "wal", run: wal::run, seeds: wal::seeds },
    Target { name: "codec", run: codec::run, seeds: codec::seeds },
    Target { name: "keys", run: keys::run, seeds: keys::seeds },
    Target { name: "values", run: values::run, seeds: values::seeds },
];

/// Writes seeds into the corpus of the binary that runs.
///
/// # Errors
/// The corpus cannot be written.
pub fn write_seeds(target: &str, seeds: &Seeds) -> std::io::Result<()> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    for (name, bytes) in seeds {
        std::fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}

/// A binary of one target: libFuzzer's under `cargo fuzz`, else one that writes the seeds.
#[macro_export]
macro_rules! target {
    ($run:path, $seeds:path) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $run(data));

        #[cfg(not(fuzzing))]
        fn main() -> std::io::Result<()> {
            $crate::write_seeds(env!("CARGO_BIN_NAME"), &$seeds())
        }
    };
}
