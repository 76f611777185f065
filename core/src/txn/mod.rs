//! Timestamps and commit rules.
