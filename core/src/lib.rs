//! Basalt: a database as a pure function of its events.

pub mod admin;
pub mod base;
pub mod bucket;
pub mod exec;
pub mod expr;
pub mod group;
pub mod instance;
pub mod pgwire;
pub mod raft;
pub mod route;
pub mod seam;
pub mod session;
pub mod sql;
pub mod storage;
pub mod topology;
pub mod txn;
