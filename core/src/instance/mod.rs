//! The top: everything of one instance, behind one `step`.

pub mod message;

pub use message::Msg;
