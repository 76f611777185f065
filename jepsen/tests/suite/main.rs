//! The checker held against hand-made histories, all serial orders, databases of known strength,
//! and itself.

#![allow(clippy::unwrap_used, reason = "a helper of tests that fails is a test that fails")]

mod bounds;
mod brute_force;
mod command_line;
mod engines;
mod golden;
mod metamorphic;
mod story;
