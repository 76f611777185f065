//! What the reactor's loops need of the world, and nothing more.
//!
//! Production implements this with tokio, the simulator with madsim. No type of either appears in a
//! signature, so `net` is compiled once and driven by both.

use std::future::Future;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use basalt_core::base::OpId;
use basalt_core::seam::{DiskOp, DiskResult, Now};

use crate::doorbell::Doorbell;

/// Where to listen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Endpoint {
    /// `host:port`; port 0 takes a free one.
    Tcp(String),
    /// A socket file, readable by its owner only.
    Unix(PathBuf),
}

/// Clocks, network, tasks and disk of one instance. A handle: clones share everything.
#[expect(async_fn_in_trait, reason = "a reactor and its tasks stay on one thread")]
pub trait Platform: Clone + 'static {
    type Listener: Listener<Reader = Self::Reader, Writer = Self::Writer>;
    type Reader: Reader;
    type Writer: Writer;
    type Disk: Disk;

    fn now(&self) -> Now;

    /// Fresh randomness: the instance's seed, the jitter of reconnects.
    fn seed(&self) -> [u8; 32];

    async fn listen(&self, endpoint: &Endpoint) -> io::Result<Self::Listener>;

    /// Connects to a peer's `host:port`; gives up by itself after a few seconds at most.
    async fn connect(&self, address: &str) -> io::Result<(Self::Reader, Self::Writer)>;

    async fn sleep(&self, duration: Duration);

    /// Lets every ready task run and the sockets be polled once, without blocking.
    async fn yield_now(&self);

    /// Runs a task on this thread until it ends or the reactor's runtime does.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// The instance's disk. It rings `doorbell` when operations have completed.
    fn disk(&self, doorbell: Arc<Doorbell>) -> io::Result<Self::Disk>;
}

/// An open listening socket.
#[expect(async_fn_in_trait, reason = "a reactor and its tasks stay on one thread")]
pub trait Listener: 'static {
    type Reader;
    type Writer;

    /// The next connection's halves, and its remote address for people to read.
    async fn accept(&self) -> io::Result<(Self::Reader, Self::Writer, String)>;

    /// The address bound, with the port that was chosen for port 0.
    fn address(&self) -> String;
}

/// The receiving half of a connection.
pub trait Reader: 'static {
    /// Reads into the front of `buffer`; 0 bytes mean the other side will send no more.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>>;
}

/// The sending half of a connection. Dropping it tells the other side that no more will come.
pub trait Writer: 'static {
    /// Writes from the front of `chunks`, which are not all empty; gives the bytes taken.
    fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        chunks: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Tells the other side that no more will come.
    fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// Carries out disk operations elsewhere; those on one file in the order they were submitted.
pub trait Disk: 'static {
    fn submit(&mut self, op: OpId, what: DiskOp);

    /// Whether [`Disk::take_done`] would give something.
    fn has_done(&self) -> bool;

    /// Appends the operations completed since the last call.
    fn take_done(&mut self, done: &mut Vec<(OpId, DiskResult)>);
}
