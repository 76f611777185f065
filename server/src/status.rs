//! `basalt status`: asks one instance for the table of all.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use basalt_core::instance::message::{Body, Msg};
use basalt_net::peer_client::PeerClient;

use crate::{peers, say};

const PATIENCE: Duration = Duration::from_secs(5);

/// Prints what the first of `list` that answers knows of its cluster.
pub fn run(list: &str) -> Result<ExitCode> {
    let text = peers::first_of(list, ask)?;
    say(&format!("{}\n", text.trim_end()));
    Ok(ExitCode::SUCCESS)
}

fn ask(peer: &str) -> Result<String> {
    let mut client = PeerClient::connect(peer, PATIENCE)?;
    let request = 1;
    client.send(&Msg { cluster: 0, body: Body::Status { request } })?;
    match client.receive::<Msg>(PATIENCE)?.body {
        Body::StatusReply { text, .. } => Ok(text),
        other => bail!("{peer} answered something else: {other:?}"),
    }
}
