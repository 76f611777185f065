//! From text to plan.
//!
//! 1. [`parse`]: text → statements, ours and sqlparser's.
//! 2. [`bind`]: names and types, against a [`catalog`] → a [`plan::logical`] tree.
//! 3. [`rules`]: a cheaper tree with the same rows.
//! 4. [`plan`]: → a [`plan::physical`] tree, or a [`plan::PointPlan`] for one row by key.
//!
//! [`prepare`] does 2 to 4; [`cache`] keeps what it made. [`explain`] prints a plan.
//! [`crate::exec`] runs it.

pub mod bind;
pub mod cache;
pub mod catalog;
pub mod explain;
#[cfg(test)]
pub mod golden;
pub mod parse;
pub mod plan;
mod prepare;
mod rules;
#[cfg(test)]
pub mod testing;

pub use bind::BindContext;
pub use prepare::prepare;
