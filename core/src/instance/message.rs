//! What instances say to each other.
//!
//! ```text
//! version   u8       1
//! cluster   u64      first 8 bytes of the cluster's uuid; 0 while the sender has none
//! tag       u8       below
//! body               per variant, fields in the order of the struct
//! ```
//! Tags are append-only. A message of another cluster is dropped by the receiver.

use bytes::Bytes;
use uuid::Uuid;

use super::result_rows::ResultRows;
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{CatalogVersion, GroupId, InstanceId, LogIndex, SqlError, Term, UserId, Wire};
use crate::raft;
use crate::seam::{Lane, Recorded, Traced};

const VERSION: u8 = 1;

/// A message with the cluster it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Msg {
    pub cluster: u64,
    pub body: Body,
}

/// What a message says.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// What a turn had for one peer, of any number of groups.
    Raft(Vec<(GroupId, raft::Message)>),
    /// Boxed, since it is by far the largest and hardly ever sent.
    Join(Box<Join>),
    JoinReply(JoinReply),
    /// Statement or ring change for the instance that leads.
    Request(Request),
    Response(Response),
    SnapshotPull(SnapshotPull),
    SnapshotChunk(SnapshotChunk),
    Report(Report),
    Status {
        request: u64,
    },
    StatusReply {
        request: u64,
        text: String,
    },
    Hello(Hello),
    Envelope(Envelope),
    /// An operator takes an instance out of the cluster.
    Expel {
        request: u64,
        uuid: Uuid,
        /// Also if it is online.
        force: bool,
    },
    /// The name of the instance, or why not.
    ExpelReply {
        request: u64,
        outcome: Result<String, SqlError>,
    },
    /// The receiver was expelled and can stop; nobody else tells it, since it hears no ring any more.
    Expelled(InstanceId),
    /// The sender does not want the answer to its request any more.
    Withdraw {
        request: u64,
    },
}

/// Whom the sender hears, and what it knows that others said of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub from: InstanceId,
    pub rows: Vec<HelloRow>,
}

/// Whom an instance hears without a detour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelloRow {
    pub of: InstanceId,
    /// How long ago it said so.
    pub age_ns: u64,
    pub hears: Vec<InstanceId>,
}

/// A message on a detour: whoever gets it hands it on, or opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// Addresses of the first sender and the last receiver.
    pub from: String,
    pub to: String,
    pub lane: Lane,
    /// A [`Msg`].
    pub message: Bytes,
}

/// An instance without an identity wants one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    pub uuid: Uuid,
    pub address: String,
    pub pg_address: String,
    pub http_address: String,
    pub name: Option<String>,
    pub replicaset: Option<String>,
    pub tier: String,
    /// Key, value; sorted by key.
    pub failure_domain: Vec<(String, String)>,
    pub version: String,
    /// The cluster name the joiner was told, if any.
    pub cluster_name: Option<String>,
    /// The instance whose data was lost or damaged here, if its uuid is still known.
    pub replaces: Option<Uuid>,
}

/// The answer to [`Join`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinReply {
    Accepted {
        cluster: Uuid,
        /// Who is accepted: an answer to an earlier life's request may come late.
        uuid: Uuid,
        id: InstanceId,
        name: String,
        /// The data group the instance belongs to.
        group: GroupId,
        ring_founder: InstanceId,
        group_founder: InstanceId,
        /// Where the instances known so far are reached.
        addresses: Vec<(InstanceId, String)>,
    },
    /// Ask this one: it leads the ring. `None`: nobody is known to lead, ask again later.
    Elsewhere(Option<String>),
    /// Never ask again; the text says why.
    Refused(String),
    /// Not now; the text says why.
    Later(String),
}

/// A request to the leader of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Chosen by the sender, unique in its process.
    pub id: u64,
    pub what: RequestKind,
}

/// A statement of a session on another instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forwarded {
    pub user: UserId,
    pub sql: String,
    /// Type tag and binary value of each parameter; `None` is NULL.
    pub parameters: Vec<(u8, Option<Bytes>)>,
    pub search_path: Vec<String>,
    /// What the session changed, as `SET` takes it.
    pub settings: Vec<(String, String)>,
    /// What `pg_backend_pid()` gives.
    pub backend_pid: i32,
}

impl Wire for Forwarded {
    fn write(&self, w: &mut Writer) {
        w.u32(self.user.0);
        w.str(&self.sql);
        w.list(&self.parameters, |w, (tag, value)| {
            w.u8(*tag);
            w.option(value.as_deref(), Writer::bytes);
        });
        w.list(&self.search_path, |w, schema| w.str(schema));
        w.list(&self.settings, write_pair);
        w.u32(self.backend_pid.cast_unsigned());
    }

    fn read(r: &mut Reader) -> CodecResult<Forwarded> {
        Ok(Forwarded {
            user: UserId(r.u32()?),
            sql: r.string()?,
            parameters: r.list(|r| Ok((r.u8()?, r.option(Reader::bytes)?)))?,
            search_path: r.list(Reader::string)?,
            settings: r.list(read_pair)?,
            backend_pid: r.u32()?.cast_signed(),
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// Run one statement on the leader of `group`.
    Statement { group: GroupId, statement: Forwarded },
    /// Append an entry to the ring and answer once it is applied.
    Ring { entry: Bytes },
    /// Append this schema change to the group's log, unless it is there.
    Schema { group: GroupId, version: CatalogVersion, change: Bytes },
    /// Change the membership of the group.
    Membership { group: GroupId, changes: Vec<raft::Change> },
    /// Hand leadership of the group to an instance.
    Transfer { group: GroupId, to: InstanceId },
    /// Answer the ring's last applied index, once the leader is sure that it leads.
    RingIndex,
    /// Answer once the ring is applied up to this index here; of any instance, leader or not.
    RingReached { index: LogIndex },
    /// Describe the cluster, if this instance leads the ring. Since format 2.
    Describe(Page),
}

/// A description of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    /// As `basalt status` prints it.
    Status,
    /// As JSON.
    Cluster,
}

crate::wire_tags!(Page { Status = 1, Cluster = 2 });

/// The answer to a [`Request`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub id: u64,
    pub what: ResponseKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseKind {
    /// A statement's result: command tag and count, type tags of the columns, rows of binary values.
    Rows {
        tag: u8,
        count: u64,
        types: Vec<u8>,
        rows: ResultRows,
    },
    /// A ring entry was applied at this index; or the ring stands there.
    Applied {
        index: LogIndex,
    },
    Done,
    Failed(SqlError),
    /// Nothing was done. The leader may be there.
    NotLeader(Option<InstanceId>),
    /// Not an answer yet: it is being worked on.
    StillRunning,
    /// What was to be described. Since format 2.
    Text(String),
}

/// The follower asks for one chunk of the snapshot it was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotPull {
    pub group: GroupId,
    pub index: LogIndex,
    pub chunk: u32,
}

/// One chunk; an empty one says that the snapshot is not there any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotChunk {
    pub group: GroupId,
    pub index: LogIndex,
    pub chunk: u32,
    pub last: bool,
    pub data: Bytes,
}

/// What an instance tells the leader of the ring about itself, now and then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub from: InstanceId,
    /// A clean stop is under way.
    pub leaving: bool,
    pub groups: Vec<GroupReport>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupReport {
    pub group: GroupId,
    pub term: Term,
    /// It leads the group and is not stalled.
    pub leads: bool,
    pub committed: LogIndex,
    pub applied: LogIndex,
    /// The schema version the group's log has reached here.
    pub schema: CatalogVersion,
    /// The leader only: the membership in force.
    pub membership: Option<raft::Membership>,
    /// The leader only: how far each member is.
    pub progress: Vec<(InstanceId, LogIndex, bool)>,
    /// The leader only: a change of the membership is in the log and not done.
    pub changing: bool,
    /// The schema change this group refused last, and why.
    pub refused: Option<(CatalogVersion, SqlError)>,
}

impl Msg {
    /// The cluster's short name in messages.
    pub fn cluster_tag(cluster: Uuid) -> u64 {
        cluster.as_u64_pair().0
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut w = Writer::append_to(std::mem::take(out));
        self.write(&mut w);
        *out = w.into_vec();
    }

    fn write(&self, w: &mut Writer) {
        w.u8(VERSION);
        w.u64(self.cluster);
        match &self.body {
            Body::Raft(messages) => {
                w.u8(1);
                w.list(messages, |w, (group, message)| {
                    w.varint(group.0);
                    message.encode(w);
                });
            }
            Body::Join(join) => {
                w.u8(2);
                join.write(w);
            }
            Body::JoinReply(reply) => {
                w.u8(3);
                reply.write(w);
            }
            Body::Request(request) => {
                w.u8(4);
                w.varint(request.id);
                request.what.write(w);
            }
            Body::Response(response) => {
                w.u8(5);
                w.varint(response.id);
                response.what.write(w);
            }
            Body::SnapshotPull(pull) => {
                w.u8(6);
                w.varint(pull.group.0);
                w.varint(pull.index.0);
                w.u32(pull.chunk);
            }
            Body::SnapshotChunk(chunk) => {
                w.u8(7);
                w.varint(chunk.group.0);
                w.varint(chunk.index.0);
                w.u32(chunk.chunk);
                w.bool(chunk.last);
                w.bytes(&chunk.data);
            }
            Body::Report(report) => {
                w.u8(8);
                report.write(w);
            }
            Body::Status { request } => {
                w.u8(9);
                w.varint(*request);
            }
            Body::StatusReply { request, text } => {
                w.u8(10);
                w.varint(*request);
                w.str(text);
            }
            Body::Hello(hello) => {
                w.u8(11);
                hello.write(w);
            }
            Body::Envelope(envelope) => {
                w.u8(12);
                envelope.write(w);
            }
            Body::Expel { request, uuid, force } => {
                w.u8(13);
                w.varint(*request);
                uuid.write(w);
                w.bool(*force);
            }
            Body::ExpelReply { request, outcome } => {
                w.u8(14);
                w.varint(*request);
                w.bool(outcome.is_ok());
                match outcome {
                    Ok(name) => w.str(name),
                    Err(error) => error.write(w),
                }
            }
            Body::Expelled(id) => {
                w.u8(15);
                w.varint(id.0);
            }
            Body::Withdraw { request } => {
                w.u8(16);
                w.varint(*request);
            }
        }
    }

    pub fn decode(bytes: Bytes) -> CodecResult<Msg> {
        let mut r = Reader::new(bytes, "peer message");
        let version = r.u8()?;
        if version != VERSION {
            return Err(CodecError::NewerVersion { what: "peer message", version: version.into() });
        }
        let cluster = r.u64()?;
        let body = match r.u8()? {
            1 => {
                let message =
                    |r: &mut Reader| Ok((GroupId(r.varint()?), raft::Message::decode(r)?));
                Body::Raft(r.list(message)?)
            }
            2 => Body::Join(Box::new(Join::read(&mut r)?)),
            3 => Body::JoinReply(JoinReply::read(&mut r)?),
            4 => Body::Request(Request { id: r.varint()?, what: RequestKind::read(&mut r)? }),
            5 => Body::Response(Response { id: r.varint()?, what: ResponseKind::read(&mut r)? }),
            6 => Body::SnapshotPull(SnapshotPull {
                group: GroupId(r.varint()?),
                index: LogIndex(r.varint()?),
                chunk: r.u32()?,
            }),
            7 => Body::SnapshotChunk(SnapshotChunk {
                group: GroupId(r.varint()?),
                index: LogIndex(r.varint()?),
                chunk: r.u32()?,
                last: r.bool()?,
                data: r.bytes()?,
            }),
            8 => Body::Report(Report::read(&mut r)?),
            9 => Body::Status { request: r.varint()? },
            10 => Body::StatusReply { request: r.varint()?, text: r.string()? },
            11 => Body::Hello(Hello::read(&mut r)?),
            12 => Body::Envelope(Envelope::read(&mut r)?),
            13 => Body::Expel { request: r.varint()?, uuid: Wire::read(&mut r)?, force: r.bool()? },
            14 => {
                let request = r.varint()?;
                let outcome =
                    if r.bool()? { Ok(r.string()?) } else { Err(SqlError::read(&mut r)?) };
                Body::ExpelReply { request, outcome }
            }
            15 => Body::Expelled(InstanceId(r.varint()?)),
            16 => Body::Withdraw { request: r.varint()? },
            tag => return r.unknown_tag(tag),
        };
        r.finish()?;
        Ok(Msg { cluster, body })
    }
}

impl Traced for Msg {
    fn with_wire(&self, see: &mut dyn FnMut(&[u8])) {
        let mut w = Writer::new();
        self.write(&mut w);
        see(w.as_slice());
    }
}

impl Recorded for Msg {
    fn to_wire(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        bytes
    }

    fn from_wire(bytes: Bytes) -> CodecResult<Msg> {
        Msg::decode(bytes)
    }
}

fn write_pair(w: &mut Writer, pair: &(String, String)) {
    w.str(&pair.0);
    w.str(&pair.1);
}

fn read_pair(r: &mut Reader) -> CodecResult<(String, String)> {
    Ok((r.string()?, r.string()?))
}

impl Join {
    fn write(&self, w: &mut Writer) {
        self.uuid.write(w);
        w.str(&self.address);
        w.str(&self.pg_address);
        w.str(&self.http_address);
        w.option(self.name.as_deref(), Writer::str);
        w.option(self.replicaset.as_deref(), Writer::str);
        w.str(&self.tier);
        w.list(&self.failure_domain, write_pair);
        w.str(&self.version);
        w.option(self.cluster_name.as_deref(), Writer::str);
        w.option(self.replaces.as_ref(), |w, uuid| uuid.write(w));
    }

    fn read(r: &mut Reader) -> CodecResult<Join> {
        Ok(Join {
            uuid: Wire::read(r)?,
            address: r.string()?,
            pg_address: r.string()?,
            http_address: r.string()?,
            name: r.option(Reader::string)?,
            replicaset: r.option(Reader::string)?,
            tier: r.string()?,
            failure_domain: r.list(read_pair)?,
            version: r.string()?,
            cluster_name: r.option(Reader::string)?,
            replaces: r.option(Wire::read)?,
        })
    }
}

impl JoinReply {
    fn write(&self, w: &mut Writer) {
        match self {
            JoinReply::Accepted {
                cluster,
                uuid,
                id,
                name,
                group,
                ring_founder,
                group_founder,
                addresses,
            } => {
                w.u8(1);
                cluster.write(w);
                uuid.write(w);
                w.varint(id.0);
                w.str(name);
                w.varint(group.0);
                w.varint(ring_founder.0);
                w.varint(group_founder.0);
                w.list(addresses, |w, (id, address)| {
                    w.varint(id.0);
                    w.str(address);
                });
            }
            JoinReply::Elsewhere(address) => {
                w.u8(2);
                w.option(address.as_deref(), Writer::str);
            }
            JoinReply::Refused(why) => {
                w.u8(3);
                w.str(why);
            }
            JoinReply::Later(why) => {
                w.u8(4);
                w.str(why);
            }
        }
    }

    fn read(r: &mut Reader) -> CodecResult<JoinReply> {
        Ok(match r.u8()? {
            1 => JoinReply::Accepted {
                cluster: Wire::read(r)?,
                uuid: Wire::read(r)?,
                id: InstanceId(r.varint()?),
                name: r.string()?,
                group: GroupId(r.varint()?),
                ring_founder: InstanceId(r.varint()?),
                group_founder: InstanceId(r.varint()?),
                addresses: r.list(|r| Ok((InstanceId(r.varint()?), r.string()?)))?,
            },
            2 => JoinReply::Elsewhere(r.option(Reader::string)?),
            3 => JoinReply::Refused(r.string()?),
            4 => JoinReply::Later(r.string()?),
            tag => return r.unknown_tag(tag),
        })
    }
}

fn write_change(w: &mut Writer, change: &raft::Change) {
    let (tag, id) = match change {
        raft::Change::AddVoter(id) => (1, id),
        raft::Change::AddLearner(id) => (2, id),
        raft::Change::Remove(id) => (3, id),
    };
    w.u8(tag);
    w.varint(id.0);
}

fn read_change(r: &mut Reader) -> CodecResult<raft::Change> {
    let tag = r.u8()?;
    let id = InstanceId(r.varint()?);
    match tag {
        1 => Ok(raft::Change::AddVoter(id)),
        2 => Ok(raft::Change::AddLearner(id)),
        3 => Ok(raft::Change::Remove(id)),
        tag => r.unknown_tag(tag),
    }
}

impl RequestKind {
    fn write(&self, w: &mut Writer) {
        match self {
            RequestKind::Statement { group, statement } => {
                w.u8(1);
                w.varint(group.0);
                statement.write(w);
            }
            RequestKind::Ring { entry } => {
                w.u8(2);
                w.bytes(entry);
            }
            RequestKind::Schema { group, version, change } => {
                w.u8(3);
                w.varint(group.0);
                w.varint(version.0);
                w.bytes(change);
            }
            RequestKind::Membership { group, changes } => {
                w.u8(4);
                w.varint(group.0);
                w.list(changes, write_change);
            }
            RequestKind::Transfer { group, to } => {
                w.u8(5);
                w.varint(group.0);
                w.varint(to.0);
            }
            RequestKind::RingIndex => w.u8(6),
            RequestKind::RingReached { index } => {
                w.u8(7);
                w.varint(index.0);
            }
            RequestKind::Describe(page) => {
                w.u8(8);
                page.write(w);
            }
        }
    }

    fn read(r: &mut Reader) -> CodecResult<RequestKind> {
        Ok(match r.u8()? {
            1 => RequestKind::Statement { group: GroupId(r.varint()?), statement: Wire::read(r)? },
            2 => RequestKind::Ring { entry: r.bytes()? },
            3 => RequestKind::Schema {
                group: GroupId(r.varint()?),
                version: CatalogVersion(r.varint()?),
                change: r.bytes()?,
            },
            4 => RequestKind::Membership {
                group: GroupId(r.varint()?),
                changes: r.list(read_change)?,
            },
            5 => RequestKind::Transfer { group: GroupId(r.varint()?), to: InstanceId(r.varint()?) },
            6 => RequestKind::RingIndex,
            7 => RequestKind::RingReached { index: LogIndex(r.varint()?) },
            8 => RequestKind::Describe(Wire::read(r)?),
            tag => return r.unknown_tag(tag),
        })
    }
}

impl ResponseKind {
    fn write(&self, w: &mut Writer) {
        match self {
            ResponseKind::Rows { tag, count, types, rows } => {
                w.u8(1);
                w.u8(*tag);
                w.varint(*count);
                w.bytes(types);
                rows.write(w);
            }
            ResponseKind::Applied { index } => {
                w.u8(2);
                w.varint(index.0);
            }
            ResponseKind::Done => w.u8(3),
            ResponseKind::Failed(error) => {
                w.u8(4);
                error.write(w);
            }
            ResponseKind::NotLeader(leader) => {
                w.u8(5);
                w.option(leader.map(|id| id.0), Writer::varint);
            }
            ResponseKind::StillRunning => w.u8(6),
            ResponseKind::Text(text) => {
                w.u8(7);
                w.str(text);
            }
        }
    }

    fn read(r: &mut Reader) -> CodecResult<ResponseKind> {
        Ok(match r.u8()? {
            1 => ResponseKind::Rows {
                tag: r.u8()?,
                count: r.varint()?,
                types: r.bytes()?.to_vec(),
                rows: ResultRows::read(r)?,
            },
            2 => ResponseKind::Applied { index: LogIndex(r.varint()?) },
            3 => ResponseKind::Done,
            4 => ResponseKind::Failed(Wire::read(r)?),
            5 => ResponseKind::NotLeader(r.option(|r| Ok(InstanceId(r.varint()?)))?),
            6 => ResponseKind::StillRunning,
            7 => ResponseKind::Text(r.string()?),
            tag => return r.unknown_tag(tag),
        })
    }
}

impl Report {
    fn write(&self, w: &mut Writer) {
        w.varint(self.from.0);
        w.bool(self.leaving);
        w.list(&self.groups, |w, g| {
            w.varint(g.group.0);
            w.varint(g.term.0);
            w.bool(g.leads);
            w.varint(g.committed.0);
            w.varint(g.applied.0);
            w.varint(g.schema.0);
            w.option(g.membership.as_ref(), |w, m| m.encode(w));
            w.list(&g.progress, |w, (id, matched, active)| {
                w.varint(id.0);
                w.varint(matched.0);
                w.bool(*active);
            });
            w.bool(g.changing);
            w.option(g.refused.as_ref(), |w, (version, error)| {
                w.varint(version.0);
                error.write(w);
            });
        });
    }

    fn read(r: &mut Reader) -> CodecResult<Report> {
        Ok(Report {
            from: InstanceId(r.varint()?),
            leaving: r.bool()?,
            groups: r.list(|r| {
                Ok(GroupReport {
                    group: GroupId(r.varint()?),
                    term: Term(r.varint()?),
                    leads: r.bool()?,
                    committed: LogIndex(r.varint()?),
                    applied: LogIndex(r.varint()?),
                    schema: CatalogVersion(r.varint()?),
                    membership: r.option(raft::Membership::decode)?,
                    progress: r.list(|r| {
                        Ok((InstanceId(r.varint()?), LogIndex(r.varint()?), r.bool()?))
                    })?,
                    changing: r.bool()?,
                    refused: r.option(|r| Ok((CatalogVersion(r.varint()?), Wire::read(r)?)))?,
                })
            })?,
        })
    }
}

impl Hello {
    fn write(&self, w: &mut Writer) {
        w.varint(self.from.0);
        w.list(&self.rows, |w, row| {
            w.varint(row.of.0);
            w.varint(row.age_ns);
            w.list(&row.hears, |w, id| w.varint(id.0));
        });
    }

    fn read(r: &mut Reader) -> CodecResult<Hello> {
        Ok(Hello {
            from: InstanceId(r.varint()?),
            rows: r.list(|r| {
                Ok(HelloRow {
                    of: InstanceId(r.varint()?),
                    age_ns: r.varint()?,
                    hears: r.list(|r| Ok(InstanceId(r.varint()?)))?,
                })
            })?,
        })
    }
}

impl Envelope {
    fn write(&self, w: &mut Writer) {
        w.str(&self.from);
        w.str(&self.to);
        w.u8(match self.lane {
            Lane::Fast => 0,
            Lane::Bulk => 1,
        });
        w.bytes(&self.message);
    }

    fn read(r: &mut Reader) -> CodecResult<Envelope> {
        Ok(Envelope {
            from: r.string()?,
            to: r.string()?,
            lane: match r.u8()? {
                0 => Lane::Fast,
                1 => Lane::Bulk,
                tag => return r.unknown_tag(tag),
            },
            message: r.bytes()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::result_rows::ResultWriter;
    use super::*;
    use crate::base::{Datum, SqlState, SqlType};
    use crate::exec::{Pool, RowSink};
    use proptest::prelude::*;

    fn round_trip(body: Body) {
        let msg = Msg { cluster: 7, body };
        let mut bytes = Vec::new();
        msg.encode(&mut bytes);
        assert_eq!(Msg::decode(Bytes::from(bytes)).unwrap(), msg);
    }

    #[test]
    fn each_body_is_read_as_written() {
        round_trip(Body::Join(Box::new(Join {
            uuid: Uuid::from_u128(5),
            address: "a:1".into(),
            pg_address: "a:2".into(),
            http_address: String::new(),
            name: Some("i1".into()),
            replicaset: None,
            tier: "default".into(),
            failure_domain: vec![("DC".into(), "dc1".into())],
            version: "0.1.0".into(),
            cluster_name: None,
            replaces: Some(Uuid::from_u128(6)),
        })));
        round_trip(Body::JoinReply(JoinReply::Accepted {
            uuid: Uuid::from_u128(3),
            cluster: Uuid::from_u128(9),
            id: InstanceId(3),
            name: "default_1_3".into(),
            group: GroupId(1),
            ring_founder: InstanceId(1),
            group_founder: InstanceId(2),
            addresses: vec![(InstanceId(1), "a:1".into())],
        }));
        round_trip(Body::Request(Request {
            id: 4,
            what: RequestKind::Statement {
                group: GroupId(1),
                statement: Forwarded {
                    user: UserId(10),
                    sql: "select $1".into(),
                    parameters: vec![(3, Some(Bytes::from_static(&[0, 0, 0, 1]))), (3, None)],
                    search_path: vec!["s".into(), "public".into()],
                    settings: vec![("datestyle".into(), "ISO".into())],
                    backend_pid: 77,
                },
            },
        }));
        round_trip(Body::Request(Request {
            id: 5,
            what: RequestKind::Membership {
                group: GroupId(0),
                changes: vec![raft::Change::AddLearner(InstanceId(2))],
            },
        }));
        let pool = Pool::new(usize::MAX, "All");
        let mut rows = ResultWriter::new(vec![SqlType::Int4, SqlType::Text], &pool);
        rows.row(&[Datum::Null, Datum::text("x")]).unwrap();
        round_trip(Body::Response(Response {
            id: 4,
            what: ResponseKind::Rows { tag: 1, count: 1, types: vec![3], rows: rows.finish().0 },
        }));
        round_trip(Body::Response(Response {
            id: 4,
            what: ResponseKind::Failed(
                SqlError::new(SqlState::UniqueViolation, "duplicate").with_table("public", "t"),
            ),
        }));
        round_trip(Body::Report(Report {
            from: InstanceId(2),
            leaving: false,
            groups: vec![GroupReport {
                group: GroupId(1),
                term: Term(4),
                leads: true,
                committed: LogIndex(9),
                applied: LogIndex(9),
                schema: CatalogVersion(2),
                membership: Some(raft::Membership::single(InstanceId(2))),
                progress: vec![(InstanceId(1), LogIndex(3), true)],
                changing: true,
                refused: Some((CatalogVersion(2), SqlError::internal("no"))),
            }],
        }));
        let what = RequestKind::Describe(Page::Cluster);
        round_trip(Body::Request(Request { id: 6, what }));
        let what = ResponseKind::Text("two instances".into());
        round_trip(Body::Response(Response { id: 6, what }));
        round_trip(Body::Status { request: 8 });
        round_trip(Body::Expel { request: 9, uuid: Uuid::from_u128(5), force: true });
        round_trip(Body::ExpelReply { request: 9, outcome: Ok("i2".into()) });
        round_trip(Body::Expelled(InstanceId(4)));
        round_trip(Body::Withdraw { request: 9 });
        round_trip(Body::Response(Response { id: 9, what: ResponseKind::StillRunning }));
        let outcome = Err(SqlError::new(SqlState::UndefinedObject, "no such instance"));
        round_trip(Body::ExpelReply { request: 9, outcome });
        round_trip(Body::Hello(Hello {
            from: InstanceId(2),
            rows: vec![HelloRow { of: InstanceId(3), age_ns: 1 << 40, hears: vec![InstanceId(1)] }],
        }));
        round_trip(Body::Envelope(Envelope {
            from: "a:1".into(),
            to: "b:1".into(),
            lane: Lane::Bulk,
            message: Bytes::from_static(b"anything"),
        }));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(tag in 0u8..16, input in any::<Vec<u8>>()) {
            let mut bytes = vec![VERSION];
            bytes.extend([0; 8]);
            bytes.push(tag);
            bytes.extend(input);
            let _ = Msg::decode(Bytes::from(bytes));
        }
    }
}
