//! What an instance is told at its start. As JSON it begins a recording.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::base::limits;
use crate::exec::slice::SLICE_ROWS;
use crate::group::GroupTimes;
use crate::pgwire::scram;

/// Everything `basalt run` says about one instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where other instances reach this one.
    pub address: String,
    /// Where PostgreSQL clients reach it; shown in `_pico_peer_address`.
    pub pg_address: String,
    pub http_address: String,
    /// Instances to join through. Empty, or only this instance's own address: bootstrap a cluster.
    pub peers: Vec<String>,
    pub cluster_name: Option<String>,
    pub instance_name: Option<String>,
    pub replicaset_name: Option<String>,
    pub tier: String,
    /// Replication factor of the default tier; used by the instance that bootstraps.
    pub replication_factor: u8,
    /// Sorted by key; keys are upper case.
    pub failure_domain: BTreeMap<String, String>,
    pub limits: Limits,
    pub times: Times,
}

/// What bounds an instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Memory for rows and their indexes, in bytes.
    pub memory: u64,
    /// Size of a segment of the write-ahead log, in bytes.
    pub wal_segment: u64,
    /// Log of a group, in bytes, beyond which a snapshot is taken and the log cut. In memory up to twice as much
    /// stays for followers that are a little behind, and four times for those that are sent a snapshot.
    pub log_before_snapshot: u64,
    /// Target size of a chunk of a snapshot, in bytes.
    pub snapshot_chunk: usize,
    /// Client connections.
    pub connections: usize,
    /// A message of a client, in bytes.
    pub message: usize,
    /// Rows and values a statement may hold at once, in bytes.
    pub statement_memory: usize,
    /// What all statements under way may hold together, in bytes.
    #[serde(default = "statements_memory")]
    pub statements_memory: usize,
    /// Rounds of hashing that a new password takes, as PostgreSQL's `scram_iterations`.
    pub scram_iterations: u32,
    /// Bytes of the log that may wait for a majority before the next write waits too: twice what one
    /// statement may write, so that the disks have enough to do and a client that never waits for its
    /// replies still cannot fill the memory of a leader that nobody confirms.
    #[serde(default = "uncommitted_max")]
    pub uncommitted: u64,
    /// Rows that a statement looks at before others have their turn, and that an index which is being built
    /// takes in a turn. Below the usual number a slice stands for a long one: time passes between two, so
    /// that a small table is to a simulation what a large one is to a cluster.
    #[serde(default = "slice_rows")]
    pub slice_rows: usize,
}

fn slice_rows() -> usize {
    SLICE_ROWS
}

fn statements_memory() -> usize {
    512 << 20
}

fn uncommitted_max() -> u64 {
    2 * limits::WRITE_BYTES_MAX as u64
}

/// Periods and patience.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    pub group: GroupTimes,
    /// Between two reports to the leader of the ring.
    pub report: Duration,
    /// How long a statement waits for a leader before it fails.
    pub statement_patience: Duration,
    /// Between two attempts of an instance to join.
    pub join_retry: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            memory: 1 << 30,
            wal_segment: 64 << 20,
            log_before_snapshot: 128 << 20,
            snapshot_chunk: 256 << 10,
            connections: 10_000,
            message: 64 << 20,
            statement_memory: 256 << 20,
            statements_memory: statements_memory(),
            scram_iterations: scram::DEFAULT_ITERATIONS,
            uncommitted: uncommitted_max(),
            slice_rows: slice_rows(),
        }
    }
}

impl Limits {
    /// Of an instance with so many bytes for its rows. Beside them, the statements under way may keep half as
    /// much, at least 32 MiB; less than the usual gibibyte bounds a single statement and the tails of
    /// the logs as well.
    pub fn of_memory(memory: u64) -> Limits {
        let usual = Limits::default();
        let part = |n: u64, least: u64| (memory / n).max(least);
        let statement_memory = usual.statement_memory.min(part(4, 16 << 20) as usize);
        Limits {
            memory,
            log_before_snapshot: usual.log_before_snapshot.min(part(8, 8 << 20)),
            statement_memory,
            statements_memory: (part(2, 32 << 20) as usize).max(2 * statement_memory),
            ..usual
        }
    }
}

impl Default for Times {
    fn default() -> Times {
        Times {
            group: GroupTimes::default(),
            report: Duration::from_millis(250),
            statement_patience: Duration::from_secs(10),
            join_retry: Duration::from_millis(250),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn little_memory_bounds_statements_and_logs_as_well() {
        let bounds = |memory: u64| {
            let limits = Limits::of_memory(memory);
            let statements = (limits.statement_memory >> 20, limits.statements_memory >> 20);
            (limits.memory >> 20, limits.log_before_snapshot >> 20, statements)
        };
        assert_eq!(bounds(1 << 30), (1024, 128, (256, 512)));
        assert_eq!(bounds(64 << 20), (64, 8, (16, 32)));
        assert_eq!(bounds(1 << 20), (1, 8, (16, 32)));
        assert_eq!(bounds(64 << 30), (64 << 10, 128, (256, 32 << 10)));
    }
}
