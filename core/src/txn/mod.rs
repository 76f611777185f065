//! Timestamps and commit rules.

pub mod clock;
