//! Raft messages on the wire.
//!
//! ```text
//! version  u8        1
//! type     u8        raft's MessageType
//! flags    u8        1 reject · 2 has snapshot · 4 has context
//! to, from, term, log_term, index, commit, commit_term, reject_hint, request_snapshot   varint
//! priority           varint, zigzag
//! snapshot           index, term varint; membership          (flag 2)
//! context            bytes                                    (flag 4)
//! entries            count, then: kind u8, term varint, index varint, data bytes
//! ```
//! Data of entries is shared with the frame it arrived in, not copied.

use protobuf::ProtobufEnum as _;
use raft::eraftpb::{self, EntryType, MessageType};

use super::types::{Membership, SnapshotMeta};
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{InstanceId, LogIndex, Term};

const VERSION: u8 = 1;
const REJECT: u8 = 1;
const SNAPSHOT: u8 = 2;
const CONTEXT: u8 = 4;

/// A message between two members of one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Message(pub(super) eraftpb::Message);

/// Messages that only a member sends to itself, or that we carry in other ways.
fn may_travel(kind: MessageType) -> bool {
    !matches!(
        kind,
        MessageType::MsgHup
            | MessageType::MsgBeat
            | MessageType::MsgPropose
            | MessageType::MsgUnreachable
            | MessageType::MsgSnapStatus
            | MessageType::MsgCheckQuorum
    )
}

impl Message {
    pub fn to(&self) -> InstanceId {
        InstanceId(self.0.to)
    }

    pub fn from(&self) -> InstanceId {
        InstanceId(self.0.from)
    }

    pub fn term(&self) -> Term {
        Term(self.0.term)
    }

    /// The snapshot this message offers, if it offers one.
    pub fn snapshot(&self) -> Option<SnapshotMeta> {
        (self.0.get_msg_type() == MessageType::MsgSnapshot)
            .then(|| SnapshotMeta::from_raft(self.0.get_snapshot()))
    }

    /// Whether it asks for a vote, real or preliminary.
    pub fn asks_for_vote(&self) -> bool {
        matches!(
            self.0.get_msg_type(),
            MessageType::MsgRequestVote | MessageType::MsgRequestPreVote
        )
    }

    /// Whether it is a heartbeat that asks nothing.
    pub fn is_bare_heartbeat(&self) -> bool {
        self.0.get_msg_type() == MessageType::MsgHeartbeat && self.0.context.is_empty()
    }

    /// The highest entry this message says the sender knows to be committed.
    pub fn commit(&self) -> LogIndex {
        LogIndex(self.0.commit)
    }

    /// Bytes of the entries it carries.
    pub fn entry_bytes(&self) -> usize {
        self.0.entries.iter().map(|entry| entry.data.len()).sum()
    }

    pub fn encode(&self, w: &mut Writer) {
        let m = &self.0;
        let snapshot = self.snapshot();
        w.u8(VERSION);
        w.u8(m.get_msg_type().value() as u8);
        let mut flags = 0;
        flags |= if m.reject { REJECT } else { 0 };
        flags |= if snapshot.is_some() { SNAPSHOT } else { 0 };
        flags |= if m.context.is_empty() { 0 } else { CONTEXT };
        w.u8(flags);
        for field in [
            m.to,
            m.from,
            m.term,
            m.log_term,
            m.index,
            m.commit,
            m.commit_term,
            m.reject_hint,
            m.request_snapshot,
        ] {
            w.varint(field);
        }
        w.varint(((m.priority << 1) ^ (m.priority >> 63)) as u64);
        if let Some(snapshot) = snapshot {
            w.varint(snapshot.index.0);
            w.varint(snapshot.term.0);
            snapshot.membership.encode(w);
        }
        if !m.context.is_empty() {
            w.bytes(&m.context);
        }
        w.varint(m.entries.len() as u64);
        for entry in m.entries.iter() {
            w.u8(entry.get_entry_type().value() as u8);
            w.varint(entry.term);
            w.varint(entry.index);
            w.bytes(&entry.data);
        }
    }

    pub fn decode(r: &mut Reader) -> CodecResult<Message> {
        let version = r.u8()?;
        if version != VERSION {
            return Err(CodecError::NewerVersion { what: "raft message", version: version.into() });
        }
        let mut m = eraftpb::Message::default();
        let tag = r.u8()?;
        match MessageType::from_i32(tag.into()) {
            Some(kind) if may_travel(kind) => m.set_msg_type(kind),
            _ => return r.unknown_tag(tag),
        }
        let flags = r.u8()?;
        if flags & !(REJECT | SNAPSHOT | CONTEXT) != 0 {
            return r.unknown_tag(flags);
        }
        if (flags & SNAPSHOT != 0) != (m.get_msg_type() == MessageType::MsgSnapshot) {
            return r.invalid("a snapshot in a message that offers none, or none in one that does");
        }
        m.reject = flags & REJECT != 0;
        for field in [
            &mut m.to,
            &mut m.from,
            &mut m.term,
            &mut m.log_term,
            &mut m.index,
            &mut m.commit,
            &mut m.commit_term,
            &mut m.reject_hint,
            &mut m.request_snapshot,
        ] {
            *field = r.varint()?;
        }
        let zigzag = r.varint()?;
        m.priority = ((zigzag >> 1) as i64) ^ -((zigzag & 1) as i64);
        if flags & SNAPSHOT != 0 {
            let (index, term) = (LogIndex(r.varint()?), Term(r.varint()?));
            let membership = Membership::decode(r)?;
            m.set_snapshot(SnapshotMeta { index, term, membership }.to_raft());
        }
        if flags & CONTEXT != 0 {
            m.context = r.bytes()?;
        }
        m.entries = Self::decode_entries(r, m.index)?.into();
        Ok(Message(m))
    }

    /// Entries must follow one another: raft-rs asserts it.
    fn decode_entries(r: &mut Reader, after: u64) -> CodecResult<Vec<eraftpb::Entry>> {
        let mut next = after.checked_add(1);
        r.list(|r| {
            let mut entry = eraftpb::Entry::default();
            let tag = r.u8()?;
            match EntryType::from_i32(tag.into()) {
                Some(kind) => entry.set_entry_type(kind),
                None => return r.unknown_tag(tag),
            }
            entry.term = r.varint()?;
            entry.index = r.varint()?;
            // A read request carries one entry without a position.
            if entry.index != 0 {
                if Some(entry.index) != next {
                    return r.invalid("entries that do not follow one another");
                }
                next = entry.index.checked_add(1);
            }
            entry.data = r.bytes()?;
            Ok(entry)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn sample() -> Message {
        let mut m = eraftpb::Message::default();
        m.set_msg_type(MessageType::MsgAppend);
        m.to = 2;
        m.from = 1;
        m.term = 300;
        m.index = 7;
        m.log_term = 3;
        m.commit = 6;
        m.priority = -2;
        let mut entry = eraftpb::Entry::default();
        entry.index = 8;
        entry.term = 300;
        entry.data = Bytes::from_static(b"row");
        m.entries = vec![entry].into();
        Message(m)
    }

    #[test]
    fn golden_bytes() {
        let mut w = Writer::new();
        sample().encode(&mut w);
        let hex: String = w.as_slice().iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "0103000201ac0203070600000003".to_owned() + "0100ac020803726f77");
        let mut r = Reader::new(w.into_bytes(), "raft message");
        assert_eq!(Message::decode(&mut r).unwrap(), sample());
        r.finish().unwrap();
    }

    #[test]
    fn members_in_any_order_mean_the_same_snapshot() {
        let decode = |voters: [u64; 2]| {
            let mut w = Writer::new();
            w.raw(&[VERSION, MessageType::MsgSnapshot.value() as u8, SNAPSHOT]);
            (0..12).for_each(|_| w.varint(0));
            let voters = voters.map(InstanceId).to_vec();
            Membership { voters, ..Membership::default() }.encode(&mut w);
            w.varint(0);
            Message::decode(&mut Reader::new(w.into_bytes(), "raft message")).unwrap()
        };
        assert_eq!(decode([5, 2]), decode([2, 5]));
    }

    #[test]
    fn a_snapshot_is_in_the_messages_that_offer_one_and_in_no_other() {
        let decode = |kind: MessageType, flags: u8| {
            let mut w = Writer::new();
            let kind = kind.value() as u8;
            w.raw(&[VERSION, kind, flags]);
            (0..10).for_each(|_| w.varint(0));
            if flags & SNAPSHOT != 0 {
                w.varint(9);
                w.varint(2);
                Membership::default().encode(&mut w);
            }
            w.varint(0);
            Message::decode(&mut Reader::new(w.into_bytes(), "raft message"))
        };
        assert!(decode(MessageType::MsgSnapshot, SNAPSHOT).is_ok());
        assert!(decode(MessageType::MsgSnapshot, 0).is_err());
        assert!(decode(MessageType::MsgHeartbeat, 0).is_ok());
        assert!(decode(MessageType::MsgHeartbeat, SNAPSHOT).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(input in any::<Vec<u8>>()) {
            let mut bytes = vec![VERSION, 3];
            bytes.extend(input);
            let _ = Message::decode(&mut Reader::new(Bytes::from(bytes), "raft message"));
        }
    }
}
