//! A reactor on a thread of its own, pinned to a core.

use std::sync::Arc;
use std::thread::JoinHandle;

use basalt_core::seam::StopReason;

use crate::cores::Cores;
use crate::descriptors::Budget;
use crate::disk::DataDir;
use crate::doorbell::Doorbell;
use crate::machine::Machine;
use crate::mailbox::Neighbours;
use crate::reactor::{self, Bound, Config, StartError};
use crate::tokio_platform::{TokioPlatform, block_on};

/// How one instance's thread runs.
#[derive(Debug)]
pub struct ThreadConfig {
    /// For logs and `top`.
    pub name: String,
    /// The core to stay on; any if `None`.
    pub core: Option<usize>,
    pub data_dir: DataDir,
    pub reactor: Config,
}

/// A running instance.
#[derive(Debug)]
pub struct InstanceThread {
    doorbell: Arc<Doorbell>,
    thread: JoinHandle<()>,
}

impl InstanceThread {
    /// Starts an instance. `make` builds the machine on the new thread, after the sockets are bound;
    /// `ended` is called there with the outcome.
    pub fn spawn<M: Machine>(
        config: ThreadConfig,
        neighbours: Neighbours<M::Msg>,
        make: impl FnOnce(&Bound, [u8; 32]) -> M + Send + 'static,
        ended: impl FnOnce(Result<StopReason, StartError>) + Send + 'static,
    ) -> Result<InstanceThread, StartError> {
        let doorbell = neighbours.doorbell().clone();
        let thread = std::thread::Builder::new()
            .name(config.name.clone())
            .spawn(move || ended(run(config, neighbours, make)))
            .map_err(StartError::Thread)?;
        Ok(InstanceThread { doorbell, thread })
    }

    /// Asks the instance to hand over and stop.
    pub fn request_shutdown(&self) {
        self.doorbell.request_shutdown();
    }

    /// Waits for the thread's end.
    pub fn join(self) {
        // A panic has printed itself; the outcome that `ended` never got tells the rest.
        let _ = self.thread.join();
    }
}

fn run<M: Machine>(
    mut config: ThreadConfig,
    neighbours: Neighbours<M::Msg>,
    make: impl FnOnce(&Bound, [u8; 32]) -> M + 'static,
) -> Result<StopReason, StartError> {
    let instances = neighbours.addresses().count() + 1;
    let budget = Budget::of_process(instances, config.reactor.connections_max);
    config.reactor.connections_max = budget.clients;
    config.reactor.peer_connections_max = config.reactor.peer_connections_max.min(budget.peers);
    // The disk is not to wait for the core that waits for it.
    let disk_cores = Cores::of_this_thread().ok();
    if let Some(core) = config.core {
        let pinned = Cores::only(core).and_then(|one| one.take());
        pinned.map_err(|source| StartError::Pin { core, source })?;
    }
    let platform = TokioPlatform::new(config.data_dir.path().to_owned(), disk_cores);
    block_on(reactor::run(platform, config.reactor, neighbours, make))
        .map_err(StartError::Thread)?
}
