//! Client sessions: from messages of the protocol to statements and back to replies.
//!
//! A session is one `async fn` ([`task`]) on the instance's own executor; the only things it waits
//! for are events: bytes of the client, the end of a statement that another instance runs, a timer.
//!
//! ```text
//!  Handle::receive ─► inbox ─► pgwire::Connection ─► Conversation ─► Engine::try_execute
//!                                                        │   │            └► rows, gate
//!                                             settings ──┘   └── statements, portals
//!  Handle::drain ◄── Output (bytes behind commit gates) ◄── replies
//! ```
//!
//! A write is answered in memory when it is appended to the log; the reply is released when the log
//! position commits ([`output`]). The session goes on to the next message meanwhile, so pipelined
//! writes share their commit; what has to run on another instance, or for long, waits for it.
//!
//! | file | holds |
//! |---|---|
//! | [`engine`] | what a session asks of the database |
//! | [`sessions`], [`handle`] | what the owner of the sessions sees |
//! | [`task`] | login, then messages to the end |
//! | [`conversation`] | what each message does |
//! | [`command`], [`settings`] | statements the session carries out by itself |
//! | [`functions`] | SQL functions that look at the session |
//! | [`execution`], [`rows`] | one execution; result rows in the client's formats |
//! | [`statement`] | prepared statements and portals |
//! | [`turns`] | how much a session does at once |
//! | [`output`] | replies and the gates they wait for |

mod command;
mod conversation;
pub mod engine;
mod execution;
pub mod functions;
pub mod handle;
pub mod output;
pub mod rows;
pub mod sessions;
pub mod settings;
mod statement;
mod task;
#[cfg(test)]
mod tests;
mod text;
mod turns;
mod wire;

pub use command::writing;
pub use conversation::DATABASE;
pub use engine::{
    Attempt, Call, Credentials, Done, Engine, Interrupt, Notice, Outcome, Reason, SessionContext,
    Tag, depends_on_schema, session_values,
};
pub use handle::{Flush, Handle};
pub use output::{FlushList, Gate, GateState, outcome_unknown};
pub use rows::{ResultFormats, RowWriter};
pub use sessions::{Counters, SessionLimits, Sessions};
pub use settings::SERVER_VERSION;
pub use task::SUPERUSER;
pub use turns::Turns;
