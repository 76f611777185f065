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
//! back without its vote, and nobody otherwise: then its data is not to be given up. Two groups have to
//! have a majority without it, the ring and its own replica set:
//!
//! ```text
//!   ring voters   its replica set       the file names
//!   1,2,3         1,2,3                 the others
//!   1,2           1,2                   nobody: the ring could not decide
//!   1,2,3         1,2                   nobody: the rows would have no leader ever again
//!   1,2,3         1, holds rows         nobody: they would be gone
//!   1,2,3         1, never had buckets  the others: there is nothing to lose
//! ```
//!
//! It is written whenever the ring says something else than it does, under another name first, synced and
//! renamed. It is a hint: of a crash between the change and the rename, the older one is left, and
//! who joins asks everybody it was ever told of in turn. One that cannot be read or is absent names
//! nobody. It stays where it is when data is set aside, so that an instance that loses its identity in
//! the middle of that does not found a cluster of its own: none is founded where there is such a file.
//! Without an identity, an instance that is told of others asks them alone: whoever took the identity
//! away may want it in another cluster.

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use super::small_file::{self, Frame, read_uuid};
use super::state::{Phase, Shared, State};
use crate::base::codec::{CodecResult, Reader};
use crate::base::{InstanceId, LogIndex};
use crate::raft::Membership;

const FRAME: Frame = Frame { what: "members file", magic: *b"BSLTMB\0\0", version: 1 };

/// Name of the file.
pub const FILE: &str = "members";
/// Addresses in it, at most: enough that one of them answers.
const ADDRESSES_MAX: usize = 64;
/// More than so many addresses take: a host's name has at most 255 bytes.
pub const MAX_BYTES: u64 = 32 << 10;
/// Why an instance with damaged data, told of nobody else, does not come back as a new one.
const NOBODY_DECIDES: &str = "; the file `members` names nobody, as the others cannot do without this \
     instance: its data stays in place, restore it from a copy";
const NOBODY_IS_KNOWN: &str = "; the file `members` cannot be read, or is another cluster's: give --peer of \
     another instance to be taken back as a new one";
/// Pause after a write that failed: the disk is full, perhaps.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Members {
    pub cluster: Uuid,
    pub addresses: Vec<String>,
}

/// What is in the place of the file.
#[derive(Debug, Default, PartialEq, Eq)]
enum Found {
    #[default]
    Nothing,
    /// It is damaged, or another cluster's, or the disk does not give it.
    Unreadable,
    Members(Members),
}

/// The file as this instance knows it.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Those in the file, if they are to be asked.
    addresses: Vec<String>,
    file: Found,
    /// What it was compared with last: a state of the ring, and whether the replica set does without
    /// this instance.
    seen: Option<(LogIndex, bool)>,
    writing: bool,
}

impl Remembered {
    /// What was found in the file.
    pub fn recall(&mut self, members: Members) {
        self.addresses.clone_from(&members.addresses);
        self.file = Found::Members(members);
    }

    /// There is a file, or may be, and what it says is not known.
    pub fn cannot_recall(&mut self) {
        self.file = Found::Unreadable;
    }

    /// Whether this instance was a member of a cluster with others, whoever they are.
    pub fn had_others(&self) -> bool {
        self.file != Found::Nothing
    }

    /// This instance belongs to `cluster`: a file that was copied here from another tells nothing.
    pub fn forget_others_than(&mut self, cluster: Uuid) {
        if let Found::Members(members) = &self.file
            && members.cluster != cluster
        {
            self.file = Found::Unreadable;
            self.forget();
        }
    }

    /// What to say after why data cannot be used, where nobody is there to be asked.
    pub fn why_nobody_is_asked(&self) -> &'static str {
        match &self.file {
            Found::Nothing => "",
            Found::Members(members) if members.addresses.is_empty() => NOBODY_DECIDES,
            Found::Unreadable | Found::Members(_) => NOBODY_IS_KNOWN,
        }
    }

    /// Those in the file are not to be asked.
    pub fn forget(&mut self) {
        self.addresses.clear();
    }

    fn is(&self, members: &Members) -> bool {
        matches!(&self.file, Found::Members(found) if found == members)
    }
}

impl Members {
    fn encode(&self) -> Bytes {
        FRAME.encode(|w| {
            w.raw(self.cluster.as_bytes());
            w.list(&self.addresses, |w, address| w.str(address));
        })
    }

    /// # Errors
    /// The file is not one of members, is damaged, or was written by a newer version.
    pub fn decode(bytes: Bytes) -> CodecResult<Members> {
        FRAME.decode(bytes, |r| {
            Ok(Members { cluster: read_uuid(r)?, addresses: r.list(Reader::string)? })
        })
    }
}

/// In every turn with something to do: writes down what changed.
pub fn advance(me: &Shared) {
    let members = {
        let state = &mut *me.borrow_mut();
        if state.phase != Phase::Running || state.members.writing {
            return;
        }
        let Some((ring, shard)) = state.ring.as_ref().zip(state.shard.as_ref()) else { return };
        let now = (ring.applied, decides_without(shard.group.membership(), state.me()));
        if state.members.seen == Some(now) {
            return;
        }
        state.members.seen = Some(now);
        let Some(members) = state.members_to_remember() else { return };
        if state.members.is(&members) {
            return;
        }
        state.members.writing = true;
        members
    };
    let task = remember(me.clone(), members);
    me.borrow().spawner.spawn(task);
}

async fn remember(me: Shared, members: Members) {
    let disk = me.borrow().disk.clone();
    match small_file::write(&disk, FILE, members.encode()).await {
        Ok(()) => me.borrow_mut().members.recall(members),
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
    /// What the file is to say; `None` where there is to be none: this instance knows of no cluster that
    /// it is a member of, or has always been alone in it.
    fn members_to_remember(&self) -> Option<Members> {
        let cluster = self.identity.as_ref()?.cluster;
        let ring = self.ring.as_ref().filter(|r| r.state.instances.contains_key(&self.me()))?;
        let others = ring.state.instances.values().filter(|i| i.is_member() && i.id != self.me());
        let mut addresses: Vec<String> = others.map(|i| i.endpoints.peer.clone()).collect();
        if addresses.is_empty() && !self.members.had_others() {
            return None;
        }
        if !self.can_be_given_up() {
            addresses.clear();
        }
        addresses.sort_unstable();
        addresses.truncate(ADDRESSES_MAX);
        Some(Members { cluster, addresses })
    }

    /// Whether the others can do without this instance and its data: the ring, which is to take it back,
    /// and its replica set, which is to be led. One that it has to itself ends with it, rows and all.
    fn can_be_given_up(&self) -> bool {
        let Some((ring, shard)) = self.ring.as_ref().zip(self.shard.as_ref()) else { return false };
        let set = shard.group.id();
        let ends_empty = ring.state.members(set).count() == 1 && !ring.state.owns_buckets(set);
        decides_without(ring.group.membership(), self.me())
            && (ends_empty || decides_without(shard.group.membership(), self.me()))
    }

    /// Whether a peer other than this instance is configured.
    pub fn is_told_of_others(&self) -> bool {
        self.config.peers.iter().any(|peer| *peer != self.config.address)
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

/// Whether a group has a majority without one of its voters; while its voters change, of the old ones
/// and of the new ones.
fn decides_without(membership: &Membership, me: InstanceId) -> bool {
    let decide = |voters: &[InstanceId]| {
        let others = voters.iter().filter(|voter| **voter != me).count();
        2 * others > voters.len()
    };
    let Membership { voters, voters_outgoing, .. } = membership;
    decide(voters) && (voters_outgoing.is_empty() || decide(voters_outgoing))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_decide_alone_if_they_are_a_majority_before_and_after_a_change() {
        let decides = |voters: &[u64], outgoing: &[u64]| {
            let ids = |all: &[u64]| all.iter().copied().map(InstanceId).collect();
            let membership = Membership {
                voters: ids(voters),
                voters_outgoing: ids(outgoing),
                ..Membership::default()
            };
            decides_without(&membership, InstanceId(1))
        };
        assert!(decides(&[1, 2, 3], &[]) && decides(&[2], &[]) && !decides(&[1, 2], &[]));
        assert!(!decides(&[1], &[]) && !decides(&[], &[]));
        assert!(decides(&[2, 3, 4], &[1, 2, 3]));
        assert!(!decides(&[1, 2, 3], &[1, 2]), "the old ones still decide too");
        assert!(!decides(&[1, 2], &[1, 2, 3]));
    }

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
