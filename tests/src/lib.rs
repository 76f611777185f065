//! Checks of the tree itself.
//!
//! [`tidy`] reads the sources and enforces what no compiler knows: layers, bans and sizes.

pub mod tidy;
