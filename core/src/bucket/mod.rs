//! Which bucket a row belongs to.

pub mod hash;

pub use hash::{bucket_of, bucket_of_key};
