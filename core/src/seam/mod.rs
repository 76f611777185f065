//! The seam between the core and the world: events in, effects out, time and randomness as data.
//!
//! A shell (pinned tokio threads in `net`, the simulated world in `sim`) owns clocks, sockets and
//! files. It calls the instance with one [`Event`] and carries out the [`Effect`]s it gets back.
//! Nothing else crosses.

pub mod disk;
pub mod effect;
pub mod event;
pub mod executor;
pub mod probe;
pub mod record;
pub mod rng;
pub mod time;
pub mod trace;

pub use disk::{DiskError, DiskErrorKind, DiskOk, DiskOp, DiskResult, FileId, OpenMode, Sync};
pub use effect::{Effect, Effects, Lane, StopReason};
pub use event::{ConnKind, Event, Inspect, PeerAddr};
pub use executor::{Completion, Executor, Resolver, Spawner, TaskId};
pub use record::{
    BadRecording, Item, Recorded, RecordingHeader, RecordingReader, RecordingWriter, TooLong,
};
pub use rng::Rng;
pub use time::{Mono, Now, Wall};
pub use trace::{Trace, Traced};
