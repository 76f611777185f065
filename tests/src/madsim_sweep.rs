//! `cargo madsim` as one test of plain `cargo test`.
//!
//! madsim's own sources need a compiler flag, and no other crate may be built with it. So the sweep is a
//! build of its own, which this test starts as a user would.

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    #[test]
    fn net_passes_on_madsim() {
        let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let status = Command::new(cargo)
            .args(["madsim", "--locked"])
            .current_dir(root)
            // Flags from outside would replace the one that the command sets.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status();
        let status = status.expect("cargo can be started");
        assert!(status.success(), "cargo madsim: {status}");
    }
}
