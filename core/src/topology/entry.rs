//! The entries of the ring's log and their byte form.
//!
//! | offset | field |
//! |---|---|
//! | 0 | format version, 1 |
//! | 1 | tag of the variant |
//! | 2… | the variant's fields, in the order of its declaration |
//!
//! Tags and fields are append-only: a new field means a new tag, so that a log written by any
//! release can be read by every later one. An entry whose format or tag is unknown stops the
//! replica; `cluster_version` keeps a leader from writing what a member cannot read.

use bytes::Bytes;
use uuid::Uuid;

use super::ddl::DdlRequest;
use super::model::{
    Endpoints, FailureDomain, FormatVersion, InstanceSeed, Presence, ReplicasetSeed,
    ReplicasetState, Tier,
};
use super::users::{Grant, Secret, UserChange, UserKind, Verifier};
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::{CatalogVersion, GroupId, InstanceId, SqlError, UserId, Wire};
use crate::seam::Wall;
use crate::wire_struct;

/// The first entry of every cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    pub cluster_uuid: Uuid,
    pub cluster_name: String,
    pub version: FormatVersion,
    pub tiers: Vec<Tier>,
    pub replicaset: ReplicasetSeed,
    pub instance: InstanceSeed,
    /// The superuser's password, if it was given one at the start.
    pub admin: Option<Verifier>,
    pub at: Wall,
}

/// A new user or role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateUser {
    pub name: String,
    pub kind: UserKind,
    pub if_not_exists: bool,
    pub login: bool,
    pub verifier: Option<Verifier>,
    pub owner: UserId,
}

/// One committed decision about the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingEntry {
    /// The first entry. Clusters of format 1 have no secret.
    Bootstrap(Box<Bootstrap>, Option<Secret>),
    AddReplicaset(ReplicasetSeed),
    /// The replica set exists; placement chose it.
    AddInstance {
        seed: Box<InstanceSeed>,
        at: Wall,
    },
    /// An instance came back, perhaps elsewhere and with a new build.
    UpdateInstance {
        id: InstanceId,
        endpoints: Endpoints,
        failure_domain: FailureDomain,
        version: String,
        format_version: FormatVersion,
    },
    /// `None` leaves that half as it is.
    SetInstanceState {
        id: InstanceId,
        current: Option<Presence>,
        target: Option<Presence>,
        reason: String,
        at: Wall,
    },
    /// Somebody asked to remove the instance for ever. Without `force` it must not be Online.
    Expel {
        id: InstanceId,
        force: bool,
        at: Wall,
    },
    SetReplicasetMaster {
        id: GroupId,
        current: Option<InstanceId>,
        target: Option<InstanceId>,
    },
    SetReplicasetState {
        id: GroupId,
        state: ReplicasetState,
        weight: u32,
    },
    DdlPrepare {
        by: UserId,
        request: Box<DdlRequest>,
    },
    /// Every shard has the change of this version.
    DdlCommit {
        version: CatalogVersion,
    },
    /// A shard refused the change of this version, or its session gave up.
    DdlAbort {
        version: CatalogVersion,
        error: SqlError,
    },
    CreateUser(CreateUser),
    AlterUser {
        id: UserId,
        change: UserChange,
    },
    DropUser {
        id: UserId,
    },
    Grant {
        grantor: UserId,
        grant: Grant,
    },
    Revoke {
        grant: Grant,
    },
    /// `tier` is empty for the whole cluster; no value resets to the default.
    SetConfig {
        key: String,
        tier: String,
        value: Option<String>,
    },
    SetClusterVersion {
        version: FormatVersion,
    },
}

const FORMAT: u8 = 1;

/// The tags, in one place.
mod tag {
    pub const BOOTSTRAP: u8 = 1;
    pub const ADD_REPLICASET: u8 = 2;
    pub const ADD_INSTANCE: u8 = 3;
    pub const UPDATE_INSTANCE: u8 = 4;
    pub const SET_INSTANCE_STATE: u8 = 5;
    pub const EXPEL: u8 = 6;
    pub const SET_REPLICASET_MASTER: u8 = 7;
    pub const SET_REPLICASET_STATE: u8 = 8;
    pub const DDL_PREPARE: u8 = 9;
    pub const DDL_COMMIT: u8 = 10;
    pub const DDL_ABORT: u8 = 11;
    pub const CREATE_USER: u8 = 12;
    pub const ALTER_USER: u8 = 13;
    pub const DROP_USER: u8 = 14;
    pub const GRANT: u8 = 15;
    pub const REVOKE: u8 = 16;
    pub const SET_CONFIG: u8 = 17;
    pub const SET_CLUSTER_VERSION: u8 = 18;
    pub const BOOTSTRAP_WITH_SECRET: u8 = 19;
}

impl RingEntry {
    pub fn encode(&self) -> Bytes {
        let mut w = Writer::new();
        w.u8(FORMAT);
        self.write(&mut w);
        w.into_bytes()
    }

    pub fn decode(bytes: Bytes) -> CodecResult<RingEntry> {
        let mut r = Reader::new(bytes, "ring entry");
        let version = r.u8()?;
        if version > FORMAT {
            return Err(CodecError::NewerVersion { what: "ring entry", version: version.into() });
        }
        let entry = RingEntry::read(&mut r)?;
        r.finish()?;
        Ok(entry)
    }
}

/// Writes a tag and then fields.
macro_rules! put {
    ($w:ident, $tag:expr $(, $field:expr)* $(,)?) => {{
        $w.u8($tag);
        $($field.write($w);)*
    }};
}

impl Wire for RingEntry {
    fn write(&self, w: &mut Writer) {
        match self {
            RingEntry::Bootstrap(bootstrap, None) => put!(w, tag::BOOTSTRAP, bootstrap),
            RingEntry::Bootstrap(bootstrap, Some(secret)) => {
                put!(w, tag::BOOTSTRAP_WITH_SECRET, bootstrap, secret);
            }
            RingEntry::AddReplicaset(seed) => put!(w, tag::ADD_REPLICASET, seed),
            RingEntry::AddInstance { seed, at } => put!(w, tag::ADD_INSTANCE, seed, at),
            RingEntry::UpdateInstance {
                id,
                endpoints,
                failure_domain,
                version,
                format_version,
            } => put!(
                w,
                tag::UPDATE_INSTANCE,
                id,
                endpoints,
                failure_domain,
                version,
                format_version
            ),
            RingEntry::SetInstanceState { id, current, target, reason, at } => {
                put!(w, tag::SET_INSTANCE_STATE, id, current, target, reason, at);
            }
            RingEntry::Expel { id, force, at } => put!(w, tag::EXPEL, id, force, at),
            RingEntry::SetReplicasetMaster { id, current, target } => {
                put!(w, tag::SET_REPLICASET_MASTER, id, current, target);
            }
            RingEntry::SetReplicasetState { id, state, weight } => {
                put!(w, tag::SET_REPLICASET_STATE, id, state, weight);
            }
            RingEntry::DdlPrepare { by, request } => put!(w, tag::DDL_PREPARE, by, request),
            RingEntry::DdlCommit { version } => put!(w, tag::DDL_COMMIT, version),
            RingEntry::DdlAbort { version, error } => put!(w, tag::DDL_ABORT, version, error),
            RingEntry::CreateUser(create) => put!(w, tag::CREATE_USER, create),
            RingEntry::AlterUser { id, change } => put!(w, tag::ALTER_USER, id, change),
            RingEntry::DropUser { id } => put!(w, tag::DROP_USER, id),
            RingEntry::Grant { grantor, grant } => put!(w, tag::GRANT, grantor, grant),
            RingEntry::Revoke { grant } => put!(w, tag::REVOKE, grant),
            RingEntry::SetConfig { key, tier, value } => {
                put!(w, tag::SET_CONFIG, key, tier, value);
            }
            RingEntry::SetClusterVersion { version } => {
                put!(w, tag::SET_CLUSTER_VERSION, version);
            }
        }
    }

    fn read(r: &mut Reader) -> CodecResult<Self> {
        Ok(match r.u8()? {
            tag::BOOTSTRAP => RingEntry::Bootstrap(Wire::read(r)?, None),
            tag::ADD_REPLICASET => RingEntry::AddReplicaset(Wire::read(r)?),
            tag::ADD_INSTANCE => {
                RingEntry::AddInstance { seed: Wire::read(r)?, at: Wire::read(r)? }
            }
            tag::UPDATE_INSTANCE => RingEntry::UpdateInstance {
                id: Wire::read(r)?,
                endpoints: Wire::read(r)?,
                failure_domain: Wire::read(r)?,
                version: Wire::read(r)?,
                format_version: Wire::read(r)?,
            },
            tag::SET_INSTANCE_STATE => RingEntry::SetInstanceState {
                id: Wire::read(r)?,
                current: Wire::read(r)?,
                target: Wire::read(r)?,
                reason: Wire::read(r)?,
                at: Wire::read(r)?,
            },
            tag::EXPEL => {
                RingEntry::Expel { id: Wire::read(r)?, force: Wire::read(r)?, at: Wire::read(r)? }
            }
            tag::SET_REPLICASET_MASTER => RingEntry::SetReplicasetMaster {
                id: Wire::read(r)?,
                current: Wire::read(r)?,
                target: Wire::read(r)?,
            },
            tag::SET_REPLICASET_STATE => RingEntry::SetReplicasetState {
                id: Wire::read(r)?,
                state: Wire::read(r)?,
                weight: Wire::read(r)?,
            },
            tag::DDL_PREPARE => {
                RingEntry::DdlPrepare { by: Wire::read(r)?, request: Wire::read(r)? }
            }
            tag::DDL_COMMIT => RingEntry::DdlCommit { version: Wire::read(r)? },
            tag::DDL_ABORT => {
                RingEntry::DdlAbort { version: Wire::read(r)?, error: Wire::read(r)? }
            }
            tag::CREATE_USER => RingEntry::CreateUser(Wire::read(r)?),
            tag::ALTER_USER => RingEntry::AlterUser { id: Wire::read(r)?, change: Wire::read(r)? },
            tag::DROP_USER => RingEntry::DropUser { id: Wire::read(r)? },
            tag::GRANT => RingEntry::Grant { grantor: Wire::read(r)?, grant: Wire::read(r)? },
            tag::REVOKE => RingEntry::Revoke { grant: Wire::read(r)? },
            tag::SET_CONFIG => RingEntry::SetConfig {
                key: Wire::read(r)?,
                tier: Wire::read(r)?,
                value: Wire::read(r)?,
            },
            tag::SET_CLUSTER_VERSION => RingEntry::SetClusterVersion { version: Wire::read(r)? },
            tag::BOOTSTRAP_WITH_SECRET => {
                RingEntry::Bootstrap(Wire::read(r)?, Some(Wire::read(r)?))
            }
            tag => return r.unknown_tag(tag),
        })
    }
}

wire_struct!(Bootstrap {
    cluster_uuid,
    cluster_name,
    version,
    tiers,
    replicaset,
    instance,
    admin,
    at
});
wire_struct!(CreateUser { name, kind, if_not_exists, login, verifier, owner });
