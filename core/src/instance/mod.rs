//! The top: everything of one instance, behind one `step`.

pub mod config;
pub mod identity;
pub mod message;

pub use config::{Config, Limits, Times};
pub use message::Msg;
