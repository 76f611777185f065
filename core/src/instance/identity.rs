//! Who this data directory belongs to: the file `identity`, written once.
//!
//! ```text
//! magic      8 bytes  "BSLTID\0\0"
//! version    u8       1
//! cluster    uuid
//! uuid       uuid     of the instance
//! id         varint   Raft id
//! group      varint   the data group
//! founders   varint ×2  first voter of the ring, first voter of the data group
//! name       bytes
//! crc32      u32      of everything before
//! ```
//! It is written to `identity.new`, synced, renamed, and the directory synced, before the instance
//! takes part in anything. A crash before the rename leaves a directory that was never anybody's.
//!
//! Beside it, the file `members` says where the others are ([`members`](super::members)), and the
//! file `lost` says, in words, why nobody may go on under this identity: entries that
//! were acknowledged under it are gone. It counts from the moment its name is durable.

use bytes::Bytes;
use uuid::Uuid;

use super::small_file::{Frame, read_uuid};
use crate::base::codec::CodecResult;
use crate::base::{GroupId, InstanceId};

const FRAME: Frame = Frame { what: "identity file", magic: *b"BSLTID\0\0", version: 1 };

/// Name of the file.
pub const FILE: &str = "identity";
/// Name of the file that says that entries were lost.
pub const LOST_FILE: &str = "lost";
/// More than any identity, or the story of its end, takes.
pub const MAX_BYTES: u64 = 4096;

/// An instance's identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub cluster: Uuid,
    pub uuid: Uuid,
    pub id: InstanceId,
    /// The replica set it belongs to.
    pub group: GroupId,
    /// The first voter of the ring: every log of the ring begins with it as the only member.
    pub ring_founder: InstanceId,
    /// The first voter of the data group.
    pub group_founder: InstanceId,
    pub name: String,
}

impl Identity {
    pub fn encode(&self) -> Bytes {
        FRAME.encode(|w| {
            w.raw(self.cluster.as_bytes());
            w.raw(self.uuid.as_bytes());
            w.varint(self.id.0);
            w.varint(self.group.0);
            w.varint(self.ring_founder.0);
            w.varint(self.group_founder.0);
            w.str(&self.name);
        })
    }

    /// # Errors
    /// The file is not an identity, is damaged, or was written by a newer version.
    pub fn decode(bytes: Bytes) -> CodecResult<Identity> {
        FRAME.decode(bytes, |r| {
            Ok(Identity {
                cluster: read_uuid(r)?,
                uuid: read_uuid(r)?,
                id: InstanceId(r.varint()?),
                group: GroupId(r.varint()?),
                ring_founder: InstanceId(r.varint()?),
                group_founder: InstanceId(r.varint()?),
                name: r.string()?,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Identity {
        Identity {
            cluster: Uuid::from_u128(1),
            uuid: Uuid::from_u128(2),
            id: InstanceId(3),
            group: GroupId(1),
            ring_founder: InstanceId(1),
            group_founder: InstanceId(1),
            name: "default_1_3".into(),
        }
    }

    #[test]
    fn golden_bytes() {
        let hex: String = sample().encode().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "42534c5449440000010000000000000000000000000000000100000000000000000000000000000002\
             030101010b64656661756c745f315f33a95423d1"
        );
        assert_eq!(Identity::decode(sample().encode()).unwrap(), sample());
    }

    #[test]
    fn every_flipped_or_missing_byte_is_found() {
        let bytes = sample().encode();
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(Identity::decode(damaged.into()).is_err(), "byte {at} flipped");
            assert!(Identity::decode(bytes.slice(..at)).is_err(), "cut at {at}");
        }
    }
}
