//! The shell around an instance: one pinned thread, its sockets, timers and disk.
//!
//! `basalt-core` is a pure function of its events. This crate owns what the function must not:
//! clocks, sockets, files and threads. One *reactor* a thread turns what happens into events, gives
//! them to the [`Machine`], and carries out the effects that come back.
//!
//! ```text
//!   listeners      readers (a task a connection)      disk thread     other instances
//!       │                    │                             │               │
//!       └────────┬───────────┴──────────┬──────────────────┴───────┬───────┘
//!              inbox              completions                  mailboxes
//!                └──────────────── doorbell ──────────────────────┘
//!                                     │ one wake a turn
//!   turn:  drain inbox, mailboxes → disk completions → timer → step each event → end_turn
//!          → carry out effects → one write a connection and a link
//! ```
//!
//! A turn handles everything that arrived while the last one ran, so batches grow with load and no
//! timer delays anything. [`reactor`] holds the turn; every loop is written over [`Platform`], which
//! [`tokio_platform`] implements for production and the simulator implements over madsim's network.
//! A [`flight_recorder`] between reactor and machine keeps what the machine was given in a file.
//!
//! Not here: TLS for PostgreSQL clients (the core answers `SSLRequest` with `N`), authentication of
//! peers (the peer port belongs on a private network).

pub mod clients;
mod core_instance;
mod cores;
pub mod counters;
mod descriptors;
pub mod disk;
pub mod doorbell;
pub mod flight_recorder;
pub mod frame;
pub mod gate;
pub mod http;
pub mod inbound;
pub mod inbox;
pub mod instance;
pub mod links;
pub mod machine;
pub mod mailbox;
pub mod outlet;
pub mod peer_client;
pub mod platform;
pub mod reactor;
pub mod slots;
pub mod tokio_platform;

pub use doorbell::Doorbell;
pub use flight_recorder::{FlightRecorder, RecordingFile};
pub use instance::{InstanceThread, ThreadConfig};
pub use machine::{Machine, Wire};
pub use mailbox::Neighbours;
pub use platform::Platform;
pub use reactor::{Bound, Config, StartError};
