//! Simulated clients: operations, the retry logic of an application, and what they saw.
//!
//! - [`Op`]: one operation as the plan holds it.
//! - [`Wire`]: how operations become bytes and bytes become answers; PostgreSQL's protocol for the
//!   database, a line protocol for the toys.
//! - [`Client`]: connects, asks, waits, gives up, goes elsewhere.
//! - [`History`]: every operation's invocation and outcome, for the checks and as EDN.

mod client;
mod draw;
mod history;
mod op;
mod pg;
mod wire;

pub use client::{Client, Move, Role, Situation};
pub use draw::{Mix, draw_clients, draw_fill, draw_followers};
pub use history::{Entry, History, Operation, Outcome, Rows};
pub use op::{
    ACCOUNT_START, ACCOUNTS, ATTEMPT_SHIFT, ITEM_ROWS, Item, ItemChange, ItemKey, OWN_MODULUS, Op,
    PAIRS, REGISTERS, SchemaChange, own_row_next,
};
pub use pg::{KEYS_PER_CLIENT, PASSWORD, PgWire, ROWS_OF_SETUP, own_keys};
pub use wire::{Answer, Manner, NoWire, Request, Said, Tight, Wire};
