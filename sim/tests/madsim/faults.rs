//! What goes wrong in a run: drawn from its seed before it begins, carried out by the clock.

use std::fmt;
use std::time::Duration;

use basalt_core::seam::Rng;
use basalt_sim::disk::Loss;
use madsim::net::NetSim;
use madsim::time::sleep;

use crate::cluster::{Cluster, NODES, draw_loss};

/// How long faults rage.
pub const CHAOS: Duration = Duration::from_secs(12);
const FAULTS_MIN: u64 = 6;
const FAULTS_MAX: u64 = 14;
const LATENCY_USUAL: (u64, u64) = (100, 1_000);

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `kill -9`: the operating system keeps what was written.
    Kill {
        node: usize,
    },
    PowerLoss {
        node: usize,
        loss: Loss,
    },
    /// Nothing leaves, nothing arrives, or neither; clients are cut off as well.
    Isolate {
        node: usize,
        outgoing: bool,
        incoming: bool,
    },
    /// Two instances do not hear each other; everybody else hears both.
    Cut {
        between: (usize, usize),
        one_way: bool,
    },
    /// Every message takes so long, in milliseconds.
    SlowLinks {
        ms: u64,
    },
    /// Segments are sent again: this share of them is lost.
    Loss {
        percent: u64,
    },
    SlowDisk {
        node: usize,
        factor: u32,
    },
}

/// One occurrence.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    pub at: Duration,
    pub lasts: Duration,
    pub kind: Kind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at {:?} for {:?}: {:?}", self.at, self.lasts, self.kind)
    }
}

/// The faults of a seed, in order of time. At least one process dies.
pub fn draw(rng: &mut Rng) -> Vec<Fault> {
    let chaos_ms = CHAOS.as_millis() as u64;
    let mut faults: Vec<Fault> = (0..rng.range(FAULTS_MIN, FAULTS_MAX))
        .map(|k| {
            let kind = if k == 0 { draw_end(rng) } else { draw_kind(rng) };
            let at = Duration::from_millis(rng.below(chaos_ms * 3 / 4));
            let lasts = Duration::from_millis(rng.range(200, chaos_ms / 4));
            Fault { at, lasts, kind }
        })
        .collect();
    faults.sort_by_key(|fault| fault.at);
    faults
}

fn draw_node(rng: &mut Rng) -> usize {
    rng.below(NODES as u64) as usize
}

fn draw_end(rng: &mut Rng) -> Kind {
    let node = draw_node(rng);
    match rng.below(2) {
        0 => Kind::Kill { node },
        _ => Kind::PowerLoss { node, loss: draw_loss(rng) },
    }
}

fn draw_kind(rng: &mut Rng) -> Kind {
    let node = draw_node(rng);
    match rng.below(10) {
        0..=2 => draw_end(rng),
        3..=4 => {
            let way = rng.below(3);
            Kind::Isolate { node, outgoing: way != 1, incoming: way != 2 }
        }
        5..=6 => {
            let other = (node + rng.range(1, NODES as u64 - 1) as usize) % NODES;
            Kind::Cut { between: (node, other), one_way: rng.below(2) == 0 }
        }
        7 => Kind::SlowLinks { ms: rng.range(5, 80) },
        8 => Kind::Loss { percent: rng.range(1, 15) },
        _ => Kind::SlowDisk { node, factor: rng.range(5, 200) as u32 },
    }
}

/// Carries out the faults, then heals everything. Gives how many processes were ended.
pub async fn rage(cluster: &Cluster, faults: &[Fault]) -> usize {
    // Begins and ends, by time; an end before a begin of the same moment.
    let begins = faults.iter().map(|fault| (fault.at, true, fault));
    let ends = faults.iter().map(|fault| (fault.at + fault.lasts, false, fault));
    let mut steps: Vec<_> = begins.chain(ends).collect();
    steps.sort_by_key(|(at, begins, _)| (*at, *begins));
    let mut now = Duration::ZERO;
    let mut down = [false; NODES];
    let mut killed = 0;
    for (at, begins, fault) in steps {
        if at > now {
            sleep(at - now).await;
            now = at;
        }
        killed += usize::from(begins && begin(cluster, fault.kind, &mut down));
        if !begins {
            end(cluster, fault.kind, &mut down);
        }
    }
    heal(cluster, &mut down);
    if CHAOS > now {
        sleep(CHAOS - now).await;
    }
    killed
}

/// Whether a process was ended.
fn begin(cluster: &Cluster, kind: Kind, down: &mut [bool; NODES]) -> bool {
    match kind {
        Kind::Kill { node } | Kind::PowerLoss { node, .. } if down[node] => {}
        Kind::Kill { node } => {
            cluster.kill(node, None);
            down[node] = true;
            return true;
        }
        Kind::PowerLoss { node, loss } => {
            cluster.kill(node, Some(loss));
            down[node] = true;
            return true;
        }
        Kind::Isolate { node, outgoing, incoming } => cluster.isolate(node, outgoing, incoming),
        Kind::Cut { between: (one, other), one_way } => {
            cluster.cut(one, other);
            if !one_way {
                cluster.cut(other, one);
            }
        }
        Kind::SlowLinks { ms } => set_latency_us((ms * 500, ms * 1_000)),
        Kind::Loss { percent } => set_loss(percent as f64 / 100.0),
        Kind::SlowDisk { node, factor } => {
            cluster.machines[node].disk().faults.slow_factor = factor;
        }
    }
    false
}

fn end(cluster: &Cluster, kind: Kind, down: &mut [bool; NODES]) {
    match kind {
        Kind::Kill { node } | Kind::PowerLoss { node, .. } => {
            if std::mem::take(&mut down[node]) {
                cluster.restart(node);
            }
        }
        Kind::Isolate { node, .. } => cluster.rejoin(node),
        Kind::Cut { between: (one, other), .. } => {
            cluster.join(one, other);
            cluster.join(other, one);
        }
        Kind::SlowLinks { .. } => set_latency_us(LATENCY_USUAL),
        Kind::Loss { .. } => set_loss(0.0),
        Kind::SlowDisk { node, .. } => cluster.machines[node].disk().faults.slow_factor = 0,
    }
}

fn heal(cluster: &Cluster, down: &mut [bool; NODES]) {
    for node in 0..NODES {
        end(cluster, Kind::Kill { node }, down);
        end(cluster, Kind::SlowDisk { node, factor: 0 }, down);
        cluster.rejoin(node);
        for other in 0..NODES {
            cluster.join(node, other);
        }
    }
    calm_network();
}

/// The network as it usually is.
pub fn calm_network() {
    set_latency_us(LATENCY_USUAL);
    set_loss(0.0);
}

fn set_latency_us((least, most): (u64, u64)) {
    let range = Duration::from_micros(least)..Duration::from_micros(most);
    NetSim::current().update_config(|config| config.send_latency = range);
}

fn set_loss(share: f64) {
    NetSim::current().update_config(|config| config.packet_loss_rate = share);
}
