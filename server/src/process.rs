//! The instances of a process: started together, watched, stopped together.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use basalt_core::instance::{Config, Instance};
use basalt_core::seam::{PeerAddr, StopReason, probe};
use basalt_net::disk::DataDir;
use basalt_net::{
    Bound, FlightRecorder, InstanceThread, Neighbours, RecordingFile, StartError, ThreadConfig,
};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc as channel;

use crate::instances::InstanceOptions;

/// How long instances may take to hand over and stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);

/// How an instance ended.
pub type Outcome = Result<StopReason, StartError>;

/// Running instances.
pub struct Process {
    threads: Vec<InstanceThread>,
    running: usize,
    outcomes: channel::UnboundedReceiver<Outcome>,
    pub bound: Vec<Bound>,
}

impl Process {
    /// Locks the data directories and starts the instances; returns once all of them listen.
    pub fn start(all: Vec<InstanceOptions>) -> Result<Process> {
        raise_open_files_limit();
        let addresses: Vec<_> =
            all.iter().map(|one| PeerAddr::new(one.address.to_string())).collect();
        let (sender, mut outcomes) = channel::unbounded_channel();
        let mut starting = Vec::new();
        for (number, (one, neighbours)) in
            all.into_iter().zip(Neighbours::connect(&addresses)).enumerate()
        {
            let data_dir = DataDir::lock(&one.data_dir)?;
            let name = format!("basalt-{number}");
            let recording = one.record.map(|directory| new_recording(&directory, &name));
            let recording = recording.transpose()?;
            let (send_bound, bound) = mpsc::channel();
            let config = ThreadConfig { name, core: one.core, data_dir, reactor: one.reactor };
            let make = move |bound: &Bound, seed| {
                let _ = send_bound.send(bound.clone());
                new_instance(with_chosen_ports(one.instance, bound), seed, recording)
            };
            let sender = sender.clone();
            let ended = move |outcome| {
                let _ = sender.send(outcome);
            };
            starting.push((InstanceThread::spawn(config, neighbours, make, ended)?, bound));
        }
        let (mut threads, mut all_bound) = (Vec::new(), Vec::new());
        for (thread, bound) in starting {
            match bound.recv() {
                Ok(bound) => all_bound.push(bound),
                Err(_) => bail!(failure(outcomes.blocking_recv())),
            }
            threads.push(thread);
        }
        if probe::PRESENT {
            tracing::warn!(
                "the simulator's planted bugs are in this program, switched off: it was built together with \
                 the simulator; `cargo build --release -p basalt-server` makes one without them"
            );
        }
        Ok(Process { running: threads.len(), threads, outcomes, bound: all_bound })
    }

    /// The end of the first instance that ends while others should go on. One of several may be
    /// expelled; the others then do go on.
    pub async fn ended(&mut self) -> Option<Outcome> {
        loop {
            let outcome = self.outcomes.recv().await;
            self.running = self.running.saturating_sub(1);
            match outcome {
                Some(Ok(StopReason::Expelled)) if self.running > 0 => {
                    tracing::info!("an instance was expelled from the cluster");
                }
                outcome => return outcome,
            }
        }
    }

    /// Stops every instance that still runs. An error if one of them failed or took too long.
    pub async fn stop(mut self) -> Result<()> {
        for thread in &self.threads {
            thread.request_shutdown();
        }
        let mut failed = None;
        let all_ended = async {
            while let Some(outcome) = self.outcomes.recv().await {
                if let Err(error) = judge(outcome) {
                    failed.get_or_insert(error);
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, all_ended).await.is_err() {
            bail!("gave up waiting for instances to stop after {} s", STOP_WITHIN.as_secs());
        }
        for thread in self.threads {
            thread.join();
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Whether an instance ended as it should.
pub fn judge(outcome: Outcome) -> Result<()> {
    match outcome {
        Ok(StopReason::Shutdown | StopReason::Expelled) => Ok(()),
        outcome => Err(failure(Some(outcome))),
    }
}

fn failure(outcome: Option<Outcome>) -> anyhow::Error {
    match outcome {
        Some(Err(error)) => error.into(),
        Some(Ok(StopReason::DiskFailed(text))) => anyhow!("the disk failed: {text}"),
        Some(Ok(StopReason::Unusable(text))) => {
            anyhow!("the data directory cannot be used: {text}")
        }
        Some(Ok(StopReason::LostEntries(text))) => {
            anyhow!("the disk lost what was acknowledged: {text}; start this instance again")
        }
        Some(Ok(StopReason::Refused(text))) => anyhow!("the cluster refused this instance: {text}"),
        Some(Ok(StopReason::Shutdown)) => anyhow!("an instance stopped before it had started"),
        Some(Ok(StopReason::Expelled)) => anyhow!("this instance was expelled from its cluster"),
        None => anyhow!("an instance stopped without a reason"),
    }
}

fn new_recording(directory: &Path, name: &str) -> Result<RecordingFile> {
    RecordingFile::create(directory, name)
        .with_context(|| format!("cannot record in directory {}", directory.display()))
}

fn new_instance(
    config: Config,
    seed: [u8; 32],
    recording: Option<RecordingFile>,
) -> FlightRecorder<Instance> {
    let Some(file) = recording else { return FlightRecorder::off(Instance::new(config, seed)) };
    match config.begin_recording(seed) {
        Ok(writer) => {
            tracing::info!(file = %file.path().display(), "recording");
            FlightRecorder::on(Instance::new(config, seed), file, writer)
        }
        Err(error) => {
            tracing::error!(%error, "nothing is recorded");
            FlightRecorder::off(Instance::new(config, seed))
        }
    }
}

/// Puts the bound addresses where port 0 left the choice to the system. Other addresses stay as
/// they were told: peers know an instance by that text.
fn with_chosen_ports(mut config: Config, bound: &Bound) -> Config {
    let choose = |address: &mut String, bound: Option<&str>| {
        if let Some(bound) = bound.filter(|_| address.ends_with(":0")) {
            bound.clone_into(address);
        }
    };
    choose(&mut config.address, Some(&*bound.advertise.0));
    choose(&mut config.pg_address, bound.pg.as_deref());
    choose(&mut config.http_address, bound.http.as_deref());
    config
}

/// Ten thousand clients need as many descriptors; the hard limit is what we may take.
fn raise_open_files_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// SIGINT and SIGTERM, remembered from when this is made.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn listen(runtime: &Runtime) -> std::io::Result<Signals> {
        let _inside = runtime.enter();
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub async fn next(&mut self) {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The runtime in which the main thread waits.
pub fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
