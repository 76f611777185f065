//! The atlas: what a survivable run may take from a cluster.
//!
//! A cluster survives the loss of so many instances ([`Topology::survives`]). So at most that many of a run are
//! *victims*: only they may lose durable copies or be lost for good. Everything else — crashes of all at once,
//! cuts, slow disks — leaves the copies where they are, and the cluster has to be back once it is over.

use basalt_core::seam::Rng;

use super::kind::{Damage, Kind};
use crate::plan::{Fault, Topology};

/// Who may lose what in one run.
#[derive(Clone, Debug)]
pub struct Budget {
    /// May lose durable copies.
    victims: Vec<u16>,
    beyond: bool,
}

impl Budget {
    /// Draws the victims of a run. A beyond-budget run has no others.
    pub fn draw(topology: &Topology, beyond: bool, rng: &mut Rng) -> Budget {
        let count = topology.nodes.len();
        let allowed = if beyond { count } else { topology.survives() };
        let mut nodes: Vec<u16> = (0..count as u16).collect();
        shuffle(&mut nodes, rng);
        nodes.truncate(allowed);
        nodes.sort_unstable();
        Budget { victims: nodes, beyond }
    }

    /// The instances a fault of this kind may hit.
    pub fn candidates(&self, kind: Kind, topology: &Topology) -> Vec<u16> {
        match kind.damage() {
            Damage::None if matches!(kind, Kind::PermanentLoss | Kind::Expel) => {
                self.victims.clone()
            }
            // The cluster begins without it, so it is one copy less; the founder cannot come late.
            Damage::None if kind == Kind::LateJoin => {
                self.victims.iter().copied().filter(|node| *node != 0).collect()
            }
            Damage::None => (0..topology.nodes.len() as u16).collect(),
            Damage::OneCopy => self.victims.clone(),
            Damage::BeyondBudget if self.beyond => (0..topology.nodes.len() as u16).collect(),
            Damage::BeyondBudget => Vec::new(),
        }
    }

    /// Whether a plan keeps to the rule, however it was made.
    pub fn is_survivable(topology: &Topology, faults: &[Fault]) -> bool {
        let mut harmed: Vec<u16> = Vec::new();
        for fault in faults {
            match fault.kind.damage() {
                Damage::BeyondBudget => return false,
                Damage::None if fault.kind == Kind::LateJoin => harmed.extend(&fault.nodes),
                Damage::None if fault.for_ms.is_some() => {}
                Damage::None | Damage::OneCopy if fault.for_ms.is_none() => {
                    harmed.extend(fault.outcasts());
                }
                Damage::None | Damage::OneCopy => harmed.extend(&fault.nodes),
            }
        }
        harmed.sort_unstable();
        harmed.dedup();
        harmed.len() <= topology.survives()
    }
}

/// A random order of all elements.
pub fn shuffle<T>(items: &mut [T], rng: &mut Rng) {
    for k in (1..items.len()).rev() {
        items.swap(k, rng.below(k as u64 + 1) as usize);
    }
}
