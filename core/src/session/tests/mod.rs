//! Whole conversations, byte by byte, against a database in memory.

mod conversations;
mod fake;
mod script;
