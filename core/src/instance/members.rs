//! Where the others are: the file `members`, beside the identity.
//!
//! ```text
//! magic      8 bytes  "BSLTMB\0\0"
//! version    u8       1
//! cluster    uuid
//! addresses  list of bytes   of the other members, where they are reached by instances
//! crc32      u32      of everything before
//! ```
//! The founder of a cluster is told no peer but itself. With a damaged log it would not know whom to ask
//! to be taken back: the file tells. It names the others as long as they could take this instance
//! back without its vote, and nobody otherwise: then its data is not to be given up.
//!
//! It is written whenever the ring says something else than it does, under another name first, synced and
//! renamed. It is a hint: of a crash between the change and the rename, the older one is left, and
//! who joins asks everybody it was ever told of in turn. One that is damaged or absent tells nothing.
//! It stays where it is when data is set aside, so that an instance that loses its identity in the
//! middle of that does not found a cluster of its own.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::boot;
use super::state::{Phase, Shared, State};
use crate::base::LogIndex;
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};

const MAGIC: &[u8; 8] = b"BSLTMB\0\0";
const VERSION: u8 = 1;

/// Name of the file.
pub const FILE: &str = "members";
/// Addresses in it, at most: enough that one of them answers.
const ADDRESSES_MAX: usize = 64;
/// More than so many addresses take: a host's name has at most 255 bytes.
pub const MAX_BYTES: u64 = 32 << 10;
/// Pause after a write that failed: the disk is full, perhaps.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    pub cluster: Uuid,
    pub addresses: Vec<String>,
}

/// The file as this instance knows it.
#[derive(Debug, Default)]
pub struct Remembered {
    /// In the file; empty if there is none.
    pub addresses: Vec<String>,
    /// Of which cluster they are members.
    cluster: Option<Uuid>,
    /// There is one, and it is damaged.
    pub is_unreadable: bool,
    /// The state of the ring that it was compared with last.
    seen: Option<LogIndex>,
    writing: bool,
}

impl Remembered {
    /// What was found in the file.
    pub fn recall(&mut self, members: Members) {
        self.addresses = members.addresses;
        self.cluster = Some(members.cluster);
    }

    /// This instance belongs to `cluster`: a file that was copied here from another tells nothing.
    pub fn forget_others_than(&mut self, cluster: Uuid) {
        if self.cluster.is_some_and(|other| other != cluster) {
            self.addresses.clear();
        }
    }
}

impl Members {
    fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        w.raw(MAGIC);
        w.u8(VERSION);
        w.raw(self.cluster.as_bytes());
        w.list(&self.addresses, |w, address| w.str(address));
        let crc = crc32fast::hash(w.as_slice());
        w.u32(crc);
        w.into_bytes()
    }

    /// # Errors
    /// The file is not one of members, is damaged, or was written by a newer version.
    pub fn decode(bytes: Bytes) -> CodecResult<Members> {
        let what = "members file";
        let Some(body) = bytes.len().checked_sub(4) else {
            return Err(CodecError::Truncated { what, needed: 4, left: bytes.len() });
        };
        let mut r = Reader::new(bytes.slice(..body), what);
        if r.raw(8)? != MAGIC.as_slice() {
            return r.invalid("it does not begin as a list of members does");
        }
        let version = r.u8()?;
        if version != VERSION {
            return Err(CodecError::NewerVersion { what, version: version.into() });
        }
        let crc = Reader::new(bytes.slice(body..), what).u32()?;
        if crc != crc32fast::hash(&bytes[..body]) {
            return r.invalid("its checksum is wrong");
        }
        let cluster = r.raw(16)?;
        let cluster =
            Uuid::from_slice(&cluster).or_else(|_| r.invalid("a uuid of other than 16 bytes"))?;
        let addresses = r.list(Reader::string)?;
        r.finish()?;
        Ok(Members { cluster, addresses })
    }
}

/// Once a turn: writes down what changed.
pub fn advance(me: &Shared) {
    let others = {
        let state = &mut *me.borrow_mut();
        let applied = state.ring.as_ref().map(|ring| ring.applied);
        if state.phase != Phase::Running || state.members.writing || state.members.seen == applied {
            return;
        }
        state.members.seen = applied;
        let Some(others) = state.others_to_ask() else { return };
        if others == state.members.addresses {
            return;
        }
        state.members.writing = true;
        others
    };
    let task = remember(me.clone(), others);
    me.borrow().spawner.spawn(task);
}

async fn remember(me: Shared, addresses: Vec<String>) {
    let (disk, members) = {
        let state = me.borrow();
        let Some(identity) = &state.identity else { return };
        (state.disk.clone(), Members { cluster: identity.cluster, addresses })
    };
    match boot::write_durably(&disk, FILE, members.encode()).await {
        Ok(()) => me.borrow_mut().members.addresses = members.addresses,
        Err(error) => {
            tracing::warn!(error = error.message, "the other members were not written down");
            let pause = {
                let state = &mut *me.borrow_mut();
                state.members.seen = None;
                let at = state.now.mono + AFTER_FAILURE;
                state.sleep_until(at)
            };
            pause.await;
        }
    }
    me.borrow_mut().members.writing = false;
}

impl State {
    /// The other members, if they can decide without this one to take it back; `None` while this one
    /// knows of no cluster that it is a member of.
    fn others_to_ask(&self) -> Option<Vec<String>> {
        let ring = self.ring.as_ref().filter(|r| r.state.instances.contains_key(&self.me()))?;
        let voters = &ring.group.membership().voters;
        let others = voters.iter().filter(|voter| **voter != self.me()).count();
        if 2 * others <= voters.len() {
            return Some(Vec::new());
        }
        let members = ring.state.instances.values().filter(|i| i.is_member() && i.id != self.me());
        let mut addresses: Vec<String> = members.map(|i| i.endpoints.peer.clone()).collect();
        addresses.sort_unstable();
        addresses.truncate(ADDRESSES_MAX);
        Some(addresses)
    }

    /// Everybody this instance was told of who may take it as a member, in the order in which to ask.
    pub fn peers_to_ask(&self) -> Vec<String> {
        let own = &self.config.address;
        let mut all: Vec<String> = Vec::new();
        for peer in self.config.peers.iter().chain(&self.members.addresses) {
            if peer != own && !all.contains(peer) {
                all.push(peer.clone());
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Members {
        let addresses = ["i2:3301", "i3:3301"].map(str::to_owned).to_vec();
        Members { cluster: Uuid::from_u128(1), addresses }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = sample().encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "42534c544d4200000100000000000000000000000000000001020769323a333330310769333a3333\
             3031cbd6e2ad"
        );
        assert_eq!(Members::decode(sample().encode()).unwrap(), sample());
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found() {
        let bytes = sample().encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(Members::decode(damaged.into()).is_err(), "byte {at} flipped");
            assert!(Members::decode(bytes.slice(..at)).is_err(), "cut at {at}");
        }
    }
}
