//! Snapshots: provisional.
use super::message::{SnapshotChunk, SnapshotPull};
use super::state::{Shared, State};
use crate::base::GroupId;
use crate::raft::{Message, Ready, SnapshotMeta};
use crate::seam::{Mono, PeerAddr};

#[derive(Debug, Default)]
pub struct Snapshots;

impl Snapshots {
    pub fn arrived(&mut self, _: SnapshotChunk) {}
    pub fn next_wake(&self) -> Mono {
        Mono::NEVER
    }
}

pub fn offered(_: &Shared, _: &mut State, _: GroupId, _: SnapshotMeta, _: Message) {}
pub async fn send_chunk(_: Shared, _: PeerAddr, _: SnapshotPull) {}

impl State {
    pub fn snapshots_advance(&mut self) {}
    pub fn take_over_snapshot(&mut self, _: GroupId, _: &Ready) {}
}
