//! Client sessions.

pub mod output;
