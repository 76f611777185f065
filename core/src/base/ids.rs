//! The identities everything else is keyed by.
//!
//! Each is a newtype, so that an index cannot be passed for an id, nor a table for a bucket.
//! Widths are part of the disk and wire formats and never depend on the machine.

use std::fmt;

/// Declares a newtype over an integer with the traits every id needs.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id!(
    /// One shard replica: one core, one thread, one data directory. Also its Raft id in every
    /// group, and `_pico_instance.raft_id`. Never reused; 0 means "not yet given".
    InstanceId(u64)
);
id!(
    /// A Raft group. 0 is the ring; replica sets count from 1.
    GroupId(u64)
);
id!(
    /// A bucket, 1..=bucket count of its tier (3,000 by default). Global tables use [`BucketId::GLOBAL`].
    BucketId(u16)
);
id!(
    /// A table; also its PostgreSQL oid. User tables start at [`TableId::FIRST_USER`].
    TableId(u32)
);
id!(
    /// An index; also its PostgreSQL oid, drawn from the same counter as [`TableId`].
    IndexId(u32)
);
id!(
    /// A database user or role; also its PostgreSQL oid.
    UserId(u32)
);
id!(
    /// A client connection, unique for the lifetime of one instance process.
    ConnId(u64)
);
id!(
    /// One disk operation in flight, unique for the lifetime of one instance process.
    OpId(u64)
);
id!(
    /// Position in a group's Raft log. The first entry is 1; 0 is "before everything".
    LogIndex(u64)
);
id!(
    /// A Raft term.
    Term(u64)
);
id!(
    /// Version of the catalog; it grows by one with every committed change of schema or rights.
    CatalogVersion(u64)
);
id!(
    /// Hybrid logical time of a version: 52 bits of microseconds, 12 bits of counter.
    Timestamp(u64)
);

impl GroupId {
    /// The group that holds the catalog and the topology.
    pub const RING: GroupId = GroupId(0);
}

impl BucketId {
    /// The one bucket of a global table.
    pub const GLOBAL: BucketId = BucketId(0);
}

impl TableId {
    /// The first id given to a table of a user; PostgreSQL reserves the oids below.
    pub const FIRST_USER: TableId = TableId(16_384);
}

impl Timestamp {
    /// Bits of the logical counter below the microseconds.
    pub const COUNTER_BITS: u32 = 12;
    /// After every version that can exist.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// The first timestamp of a microsecond since the Unix epoch.
    pub fn from_micros(micros: u64) -> Timestamp {
        Timestamp(micros << Self::COUNTER_BITS)
    }

    /// Microseconds since the Unix epoch.
    pub fn micros(self) -> u64 {
        self.0 >> Self::COUNTER_BITS
    }
}
