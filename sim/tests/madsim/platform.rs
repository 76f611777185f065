//! `net`'s [`Platform`] on madsim: its clock, network and tasks, and a disk of ours.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use basalt_core::seam::{Mono, Now, Wall};
use basalt_net::platform::{Endpoint, Listener, Platform};
use basalt_net::{Doorbell, StartError};
use basalt_sim::disk::Disk;
use madsim::net::TcpListener;
use madsim::rand::{RngCore, thread_rng};
use madsim::time::{TimeHandle, sleep};

use crate::disk::SimDisk;
use crate::socket::{self, SimReader, SimWriter};

/// Stands for the socket file of the admin console, which madsim does not have.
const ADMIN_PORT: u16 = 1_001;

/// One machine of the cluster: what outlives the processes on it.
pub struct Machine {
    pub name: String,
    pub ip: String,
    /// How far its wall clock is ahead.
    pub clock_ahead: Duration,
    disk: Mutex<Disk>,
    /// Why its process ended by itself, which none should.
    ended: Mutex<Option<String>>,
}

impl Machine {
    pub fn new(name: String, ip: String, clock_ahead: Duration, disk: Disk) -> Machine {
        Machine { name, ip, clock_ahead, disk: Mutex::new(disk), ended: Mutex::new(None) }
    }

    pub fn peer_address(&self) -> String {
        format!("{}:3301", self.ip)
    }

    pub fn pg_address(&self) -> String {
        format!("{}:4327", self.ip)
    }

    pub fn http_address(&self) -> String {
        format!("{}:5327", self.ip)
    }

    pub fn admin_address(&self) -> String {
        format!("{}:{ADMIN_PORT}", self.ip)
    }

    pub fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_ended(&self, outcome: Result<impl std::fmt::Debug, StartError>) {
        let told = match outcome {
            Ok(reason) => format!("{} stopped: {reason:?}", self.name),
            Err(error) => format!("{} did not start: {error}", self.name),
        };
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
    }

    pub fn ended(&self) -> Option<String> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Nanoseconds since the simulation began.
pub fn elapsed_ns() -> u64 {
    TimeHandle::current().elapsed().as_nanos() as u64
}

/// The world as one process sees it.
#[derive(Clone)]
pub struct SimPlatform {
    machine: Arc<Machine>,
    /// When the process began: its monotonic clock starts at 0.
    began_ns: u64,
}

impl SimPlatform {
    /// For a process that begins now.
    pub fn begin(machine: Arc<Machine>) -> SimPlatform {
        SimPlatform { machine, began_ns: elapsed_ns() }
    }
}

impl Platform for SimPlatform {
    type Listener = SimListener;
    type Reader = SimReader;
    type Writer = SimWriter;
    type Disk = SimDisk;

    fn now(&self) -> Now {
        let wall = SystemTime::now() + self.machine.clock_ahead;
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Now { mono: Mono(elapsed_ns() - self.began_ns), wall: Wall(wall.as_micros() as u64) }
    }

    fn seed(&self) -> [u8; 32] {
        let mut seed = [0; 32];
        thread_rng().fill_bytes(&mut seed);
        seed
    }

    async fn listen(&self, endpoint: &Endpoint) -> io::Result<SimListener> {
        let address = match endpoint {
            Endpoint::Tcp(address) => address.clone(),
            Endpoint::Unix(_) => self.machine.admin_address(),
        };
        Ok(SimListener(TcpListener::bind(address).await?))
    }

    async fn connect(&self, address: &str) -> io::Result<(SimReader, SimWriter)> {
        socket::connect(address).await
    }

    async fn sleep(&self, duration: Duration) {
        sleep(duration).await;
    }

    async fn yield_now(&self) {
        madsim::task::yield_now().await;
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        madsim::task::spawn_local(task);
    }

    fn disk(&self, doorbell: Arc<Doorbell>) -> io::Result<SimDisk> {
        Ok(SimDisk::start(self.machine.clone(), doorbell))
    }
}

/// A listening socket of madsim.
pub struct SimListener(TcpListener);

impl Listener for SimListener {
    type Reader = SimReader;
    type Writer = SimWriter;

    async fn accept(&self) -> io::Result<(SimReader, SimWriter, String)> {
        let (stream, remote) = self.0.accept().await?;
        let (reader, writer) = socket::split(stream);
        Ok((reader, writer, remote.to_string()))
    }

    fn address(&self) -> String {
        self.0.local_addr().map(|address| address.to_string()).unwrap_or_default()
    }
}
