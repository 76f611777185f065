//! The disk of one instance: its data directory, locked, and the thread that works on it.

mod data_dir;
mod files;
mod thread;

pub use data_dir::{DataDir, DataDirError};
pub use files::Files;
pub use thread::DiskThread;
