//! A run as data: the cluster, its clients' operations and every fault, with times.
//!
//! A seed and a scenario make a plan; only the plan is carried out. Shrinking edits it, a bundle
//! holds it as JSON, and a change of the code that draws plans leaves old plans as they were.
//! What the world still draws while it runs (latencies, the fate of a write) comes from streams
//! named after their place, so that leaving out one fault does not shift the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::faults::Kind;
use crate::workload::{Manner, Op, Tight};

/// Version of the JSON form.
pub const FORMAT: u32 = 1;

/// Limits at which an instance refuses what it has no room for; a plan names one of them at most.
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
    /// Whether the first instance is told no peer but itself, as the README has it, until its disk is
    /// wiped; else it is given its peers once the cluster is set up.
    #[serde(default)]
    pub founder_is_told_of_nobody: bool,
    /// Where not empty, only a core heals when faults are over: the first of these instances that hold a
    /// quorum of every group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub core: Vec<u16>,
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
    /// Instances beyond it form more replica sets, which hold no rows.
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

    /// Whether each replica set has a member in each data centre, and never two in one.
    pub fn has_one_in_each_dc(&self) -> bool {
        let dcs = usize::from(self.dcs());
        dcs == self.copies() && self.nodes.len().is_multiple_of(dcs)
    }

    /// Members of a replica set that is full.
    pub fn copies(&self) -> usize {
        usize::from(self.replication_factor).min(self.nodes.len()).max(1)
    }

    /// Instances that may be lost, whichever they are: a group of 2·f + 1 or 2·f + 2 copies survives the loss
    /// of f. The last replica set has what is left, and who is in it depends on who came when.
    pub fn survives(&self) -> usize {
        let rest = self.nodes.len() % self.copies();
        let least = if rest == 0 { self.copies() } else { rest };
        (least - 1) / 2
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

    /// What an instance may have no room for.
    pub fn tight(&self) -> Option<Tight> {
        let name = TIGHT_LIMITS.into_iter().find(|name| self.limits.contains_key(*name))?;
        let bytes = self.limits[name];
        Some(match name {
            "memory_bytes" => Tight::Rows,
            "uncommitted_bytes" => Tight::Unconfirmed,
            "message_bytes" => Tight::Message { bytes },
            _ => Tight::Statement,
        })
    }

    /// How its clients come in.
    pub fn manner(&self) -> Manner {
        Manner { has_password: self.passwords, tight: self.tight() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_may_be_lost_as_the_smallest_replica_set_survives() {
        let survives = |instances: usize, factor: u8| {
            let nodes = vec![0; instances];
            Topology { nodes, replication_factor: factor, latency_us: vec![vec![100]] }.survives()
        };
        assert_eq!([1, 2, 3, 4, 5].map(|n| survives(n, n as u8)), [0, 0, 1, 1, 2]);
        assert_eq!([4, 5, 6, 7].map(|n| survives(n, 3)), [0, 0, 1, 0]);
        assert_eq!([survives(3, 1), survives(8, 5), survives(2, 5)], [0, 1, 0]);
    }
}
