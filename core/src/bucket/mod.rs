//! Which bucket a row belongs to.

pub mod hash;

pub use hash::bucket_of;
