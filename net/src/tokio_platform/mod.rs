//! [`Platform`] on tokio: a current-thread runtime and a disk thread for each instance.

mod socket;

use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use basalt_core::seam::{Mono, Now, Wall};

use crate::cores::Cores;
use crate::disk::DiskThread;
use crate::doorbell::Doorbell;
use crate::platform::{Endpoint, Platform};
pub use socket::{ReadHalf, SocketListener, WriteHalf};

/// How long a connect may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Tasks run between two looks at the sockets: a turn should see a whole burst.
const TASKS_A_POLL: u32 = 512;

/// The real world, as one instance sees it.
#[derive(Clone, Debug)]
pub struct TokioPlatform {
    data_dir: Arc<PathBuf>,
    /// Where the disk's thread runs; where its starter does if `None`.
    disk_cores: Option<Cores>,
}

impl TokioPlatform {
    /// `data_dir` must be locked by the caller for as long as the platform is used.
    pub(crate) fn new(data_dir: PathBuf, disk_cores: Option<Cores>) -> TokioPlatform {
        TokioPlatform { data_dir: Arc::new(data_dir), disk_cores }
    }
}

/// Runs a reactor's future on this thread, as a task of a fresh runtime: a task is woken without the
/// system call that waking a runtime's outermost future costs.
pub fn block_on<T: 'static>(future: impl Future<Output = T> + 'static) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS_A_POLL)
        .build_local(tokio::runtime::LocalOptions::default())?;
    // The reactor yields by itself; tokio's budget would make writable sockets look full.
    let task = runtime.spawn_local(tokio::task::unconstrained(future));
    runtime.block_on(task).map_err(io::Error::other)
}

impl Platform for TokioPlatform {
    type Listener = SocketListener;
    type Reader = ReadHalf;
    type Writer = WriteHalf;
    type Disk = DiskThread;

    fn now(&self) -> Now {
        static START: OnceLock<Instant> = OnceLock::new();
        let mono = START.get_or_init(Instant::now).elapsed();
        // A clock set before 1970 reads as 1970.
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(mono.as_nanos() as u64), wall: Wall(wall.as_micros() as u64) }
    }

    fn seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut seed));
        read.expect("the system has a source of randomness");
        seed
    }

    async fn listen(&self, endpoint: &Endpoint) -> io::Result<SocketListener> {
        match endpoint {
            Endpoint::Tcp(address) => SocketListener::tcp(address).await,
            Endpoint::Unix(path) => SocketListener::unix(path),
        }
    }

    async fn connect(&self, address: &str) -> io::Result<(ReadHalf, WriteHalf)> {
        match tokio::time::timeout(CONNECT_WITHIN, socket::connect(address)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    async fn yield_now(&self) {
        tokio::task::yield_now().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(task);
    }

    fn disk(&self, doorbell: Arc<Doorbell>) -> io::Result<DiskThread> {
        DiskThread::start(&self.data_dir, doorbell, self.disk_cores)
    }
}
