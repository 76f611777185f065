//! `basalt status`: asks one instance for the table of all.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use basalt_core::instance::message::{Body, Msg};
use basalt_net::peer_client::PeerClient;

use crate::say;
use crate::settings::HostPort;

const PATIENCE: Duration = Duration::from_secs(5);

/// Prints what the instance at `peer` knows of its cluster.
pub fn run(peer: &str) -> Result<ExitCode> {
    let mut client = PeerClient::connect(&HostPort::parse(peer)?.to_string(), PATIENCE)?;
    let request = 1;
    client.send(&Msg { cluster: 0, body: Body::Status { request } })?;
    match client.receive::<Msg>(PATIENCE)?.body {
        Body::StatusReply { text, .. } => {
            say(&format!("{}\n", text.trim_end()));
            Ok(ExitCode::SUCCESS)
        }
        other => bail!("{peer} answered something else: {other:?}"),
    }
}
