//! Checks of the tree itself.
//!
//! `tidy` reads the sources and enforces what no compiler knows: layers, bans and sizes.
//! [`fuzz_targets`] runs the fuzz targets over their corpus.

pub mod fuzz_targets;
#[cfg(test)]
mod tidy;
