//! A run as data: the cluster, its clients' operations and every fault, with times.
//!
//! A seed and a scenario make a plan; only the plan is carried out. Shrinking edits it, a bundle
//! holds it as JSON, and a change of the code that draws plans leaves old plans as they were.
//! What the world still draws while it runs (latencies, the fate of a write) comes from streams
//! named after their place, so that leaving out one fault does not shift the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::faults::Kind;
use crate::workload::{Manner, Op};

/// Version of the JSON form.
pub const FORMAT: u32 = 1;

/// Limits at which an instance refuses what it has no room for.
pub const TIGHT_LIMITS: [&str; 4] =
    ["memory_bytes", "uncommitted_bytes", "message_bytes", "statement_bytes"];

/// Everything a run follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub format: u32,
    pub seed: u64,
    pub scenario: String,
    /// Which system is under test: `basalt`, or one of the toys.
    pub subject: String,
    /// How long faults rage once the cluster is set up.
    pub chaos_ms: u64,
    /// How long all clients may take to finish once everything is healed.
    pub heal_ms: u64,
    pub topology: Topology,
    /// Sizes and times of the instances, by name; what is not named is as in production.
    pub limits: BTreeMap<String, u64>,
    pub clients: Vec<ClientPlan>,
    pub faults: Vec<Fault>,
    /// Whether legal but unlikely ways are taken in the code.
    pub buggify: bool,
    /// Whether clients come over the network and log in with a password.
    #[serde(default)]
    pub passwords: bool,
    /// Bugs planted, by name.
    pub canaries: Vec<String>,
    /// More is taken than a cluster can survive: it may stop, it must not lie, unless disks or clocks
    /// lie to it in ways nobody can notice.
    pub beyond_budget: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    /// For each instance, its data centre.
    pub nodes: Vec<u8>,
    pub replication_factor: u8,
    /// One-way latency in µs between data centres; the diagonal is within one.
    pub latency_us: Vec<Vec<u64>>,
}

impl Topology {
    pub fn in_dc(&self, dc: u8) -> impl Iterator<Item = u16> + '_ {
        (0u16..).zip(&self.nodes).filter(move |(_, its)| **its == dc).map(|(node, _)| node)
    }

    pub fn dcs(&self) -> u8 {
        self.latency_us.len() as u8
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClientPlan {
    pub dc: u8,
    /// Average pause between operations while faults rage.
    pub think_us: u64,
    pub ops: Vec<Op>,
    /// So many others read what it writes, right behind it and on the same instance.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub followers: u8,
}

fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// One occurrence of a fault. What `nodes`, `peers` and `amount` mean depends on the kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    pub kind: Kind,
    /// After the cluster was set up.
    pub at_ms: u64,
    /// How long it lasts, a power failure from when it strikes. `None`: it never heals.
    pub for_ms: Option<u64>,
    pub nodes: Vec<u16>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<u16>,
    pub amount: u64,
}

impl Fault {
    /// Instances that are lost to the cluster as long as it lasts: the smaller side of what is cut
    /// apart, and nobody where a way round is left.
    pub fn outcasts(&self) -> &[u16] {
        match self.kind {
            Kind::NetBridge | Kind::NetRing => &[],
            Kind::NetOneWay if self.peers.len() < self.nodes.len() => &self.peers,
            _ => &self.nodes,
        }
    }

    /// One line of a story.
    pub fn describe(&self) -> String {
        let names =
            |list: &[u16]| list.iter().map(|n| format!("n{}", n + 1)).collect::<Vec<_>>().join(",");
        let mut text = format!("{} on {}", self.kind.name(), names(&self.nodes));
        if !self.peers.is_empty() {
            text += &format!(" against {}", names(&self.peers));
        }
        match self.for_ms {
            Some(ms) => text += &format!(", {ms} ms, amount {}", self.amount),
            None => text += &format!(", for good, amount {}", self.amount),
        }
        text
    }
}

impl Plan {
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a plan is plain data")
    }

    pub fn from_json(text: &str) -> Result<Plan, String> {
        let plan: Plan = serde_json::from_str(text).map_err(|e| format!("not a plan: {e}"))?;
        if plan.format != FORMAT {
            return Err(format!("a plan of format {}, this build reads {FORMAT}", plan.format));
        }
        Ok(plan)
    }

    /// Whether an instance may have no room for a statement.
    pub fn is_tight(&self) -> bool {
        TIGHT_LIMITS.iter().any(|limit| self.limits.contains_key(*limit))
    }

    /// How its clients come in.
    pub fn manner(&self) -> Manner {
        Manner { has_password: self.passwords, is_tight: self.is_tight() }
    }

    /// Whether an instance starts for the first time while faults rage.
    pub fn joins_late(&self, node: u16) -> bool {
        let joins = |fault: &&Fault| fault.kind == Kind::LateJoin;
        self.faults.iter().filter(joins).any(|fault| fault.nodes.contains(&node))
    }

    /// Instances that are lost for good, which neither liveness nor the last reads count on.
    pub fn lost_for_good(&self) -> Vec<u16> {
        let mut lost: Vec<u16> = self
            .faults
            .iter()
            .filter(|fault| fault.for_ms.is_none())
            .flat_map(|fault| fault.outcasts().iter().copied())
            .collect();
        lost.sort_unstable();
        lost.dedup();
        lost
    }
}
