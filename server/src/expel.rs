//! `basalt expel`: takes an instance out of its cluster for good.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use basalt_core::instance::message::{Body, Msg};
use basalt_net::peer_client::PeerClient;

use crate::arguments::ExpelArguments;
use crate::{peers, say};

/// Longer than an instance waits for a leader of the ring.
const PATIENCE: Duration = Duration::from_secs(15);

/// Asks an instance of the cluster to have another one expelled. Once one is asked no other is.
pub fn run(arguments: &ExpelArguments) -> Result<ExitCode> {
    let Some(uuid) = arguments.uuid.or(arguments.instance_uuid) else { bail!("no UUID is given") };
    let (mut client, peer) = peers::first_of(&arguments.peer, |peer| {
        Ok((PeerClient::connect(peer, PATIENCE)?, peer.to_owned()))
    })?;
    let body = Body::Expel { request: 1, uuid, force: arguments.force };
    client.send(&Msg { cluster: 0, body })?;
    match client.receive::<Msg>(PATIENCE)?.body {
        Body::ExpelReply { outcome: Ok(name), .. } => {
            say(&format!("instance {name} is expelled\n"));
            Ok(ExitCode::SUCCESS)
        }
        Body::ExpelReply { outcome: Err(error), .. } => match &error.fields.hint {
            Some(hint) => bail!("{}. {}", error.message, hint.trim_end_matches('.')),
            None => bail!("{}", error.message),
        },
        other => bail!("{peer} answered something else: {other:?}"),
    }
}
