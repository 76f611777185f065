//! From text to plan.
//!
//! 1. [`parse`]: text → statements, ours and sqlparser's.

#[cfg(test)]
mod golden;
pub mod parse;
