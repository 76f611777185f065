//! Toys: small machines behind the same seam, to test the simulator itself.
//!
//! - [`Quorum`]: replicated registers that survive everything a survivable run does, with bugs that
//!   can be planted; the checks must find each.
//! - [`Clockwork`]: does nothing but wake up, to measure the event loop.

mod clockwork;
mod line;
mod quorum;

pub use clockwork::Clockwork;
pub use line::LineWire;
pub use quorum::{BUGS, Quorum};
