//! `basalt run`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use basalt_core::seam::StopReason;

use crate::process::{Process, Signals, judge, runtime};
use crate::settings::ServerOptions;
use crate::{instances, logging};

/// What a shell gives a process that a second interrupt ended.
const INTERRUPTED: i32 = 130;

/// Runs the instances of a server until a signal, or until one of them ends.
pub fn run(options: &ServerOptions) -> Result<ExitCode> {
    logging::start(&options.log_level, options.log_format)?;
    let runtime = runtime()?;
    let signals = Signals::listen(&runtime)?;
    let process = Process::start(instances::of_server(options)?)?;
    for bound in &process.bound {
        tracing::info!(
            peers = bound.listen,
            advertised = %bound.advertise.0,
            postgres = bound.pg,
            http = bound.http,
            admin = bound.admin,
            "listening"
        );
    }
    runtime.block_on(serve(process, signals))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(mut process: Process, mut signals: Signals) -> Result<()> {
    let first = tokio::select! {
        biased;
        outcome = process.ended() => outcome,
        () = signals.next() => {
            tracing::info!("stopping; a second signal stops at once");
            None
        }
    };
    let stopped = tokio::select! {
        biased;
        stopped = process.stop() => stopped,
        () = signals.next() => std::process::exit(INTERRUPTED),
    };
    match first {
        Some(Ok(StopReason::Expelled)) => tracing::info!("expelled from the cluster"),
        Some(outcome) => judge(outcome)?,
        None => {}
    }
    if let Err(error) = stopped {
        bail!(error);
    }
    tracing::info!("stopped");
    Ok(())
}
