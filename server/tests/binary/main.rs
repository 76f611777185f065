//! The `basalt` binary from outside: its command line, a cluster, a real client. One program, so
//! that it is linked once.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod cluster;
mod command_line;
mod demo;
mod process;
mod recording;
mod tokio_client;
mod wire_values;
