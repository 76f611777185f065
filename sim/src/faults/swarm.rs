//! Drawing the faults of a seed.
//!
//! First the kinds: each allowed kind is in with the seed's own probability, so that some seeds see
//! two kinds often and others see many. Then occurrences, each with a start, a duration, targets
//! and an intensity from the kind's range. A stop in good order is often one of a rolling restart, and
//! who stopped may be late to hear the others again.

use basalt_core::seam::Rng;

use super::atlas::{Budget, shuffle};
use super::kind::{Area, Damage, Kind};
use crate::plan::{Fault, Topology};

/// What a scenario asks of the draw.
#[derive(Clone, Copy, Debug)]
pub struct Swarm<'a> {
    pub allowed: &'a [Kind],
    pub chaos_ms: u64,
    /// On average, how many occurrences a simulated second brings.
    pub rate_per_second: u64,
}

/// The kinds of some areas that fit a survivable run.
pub fn survivable(areas: &[Area]) -> Vec<Kind> {
    let fits = |kind: &Kind| {
        areas.contains(&kind.area())
            && kind.damage() != Damage::BeyondBudget
            && *kind != Kind::PermanentLoss
    };
    Kind::ALL.iter().copied().filter(fits).collect()
}

/// Draws the faults of a run, in order of time.
pub fn draw(swarm: Swarm<'_>, topology: &Topology, budget: &Budget, rng: &mut Rng) -> Vec<Fault> {
    let kinds = choose_kinds(swarm.allowed, topology, budget, rng);
    let mut faults = Vec::new();
    if kinds.is_empty() || swarm.chaos_ms == 0 {
        return faults;
    }
    let expected = (swarm.chaos_ms * swarm.rate_per_second / 1_000).max(1);
    let count = rng.range(1, expected * 2);
    for _ in 0..count {
        let kind = *rng.choose(&kinds).expect("kinds were chosen");
        let at_ms = rng.below(swarm.chaos_ms);
        let first = faults.len();
        occurrences(kind, at_ms, topology, budget, rng, &mut faults);
        if kind == Kind::ProcessStop {
            roll(&mut faults, first, topology, rng);
        }
        if kind == Kind::ProcessStop && swarm.allowed.contains(&Kind::NetDelay) {
            let late = late_to_hear(&faults[first..], topology, rng);
            faults.extend(late);
        }
    }
    faults.sort_by_key(|fault| fault.at_ms);
    once_each(&mut faults);
    faults
}

/// Every other stop becomes a rolling restart, as operators do it: of every instance, one after the other,
/// whoever leads.
fn roll(faults: &mut Vec<Fault>, first: usize, topology: &Topology, rng: &mut Rng) {
    if rng.below(2) != 0 {
        return;
    }
    let Some(stop) = faults.drain(first..).next() else { return };
    let mut nodes: Vec<u16> = (0..topology.nodes.len() as u16).collect();
    shuffle(&mut nodes, rng);
    let gap_ms = rng.range(200, 2_000);
    let stops = nodes.into_iter().zip(0..).map(|(node, k)| Fault {
        at_ms: stop.at_ms + k * gap_ms,
        for_ms: stop.for_ms.map(|length_ms| length_ms.min(gap_ms)),
        nodes: vec![node],
        ..stop.clone()
    });
    faults.extend(stops);
}

/// Of the instances told to stop, every other hears the rest late meanwhile: others have a leader, which
/// may serve, before it knows that its work is taken over.
fn late_to_hear(stops: &[Fault], topology: &Topology, rng: &mut Rng) -> Vec<Fault> {
    let mut late = Vec::new();
    for stop in stops {
        for node in stop.nodes.iter().copied() {
            let nodes: Vec<u16> =
                (0..topology.nodes.len() as u16).filter(|other| *other != node).collect();
            if rng.below(2) == 0 && !nodes.is_empty() {
                let (kind, peers) = (Kind::NetDelay, vec![node]);
                let most_us = 60_000 << rng.below(4);
                let amount = rng.range(20_000, most_us);
                let for_ms = Some(rng.range(200, 2_000));
                late.push(Fault { kind, at_ms: stop.at_ms, for_ms, nodes, peers, amount });
            }
        }
    }
    late
}

/// An instance that comes back empty is a new one, and the old one a voter that is gone for good:
/// more than one a machine would cost more than the budget says. Nobody is expelled or comes late twice.
fn once_each(faults: &mut Vec<Fault>) {
    let mut done = Vec::new();
    let once = [Kind::ProcessWiped, Kind::Expel, Kind::LateJoin];
    for fault in faults.iter_mut().filter(|fault| once.contains(&fault.kind)) {
        fault.nodes.retain(|node| !done.contains(&(fault.kind, *node)));
        done.extend(fault.nodes.iter().map(|node| (fault.kind, *node)));
    }
    faults.retain(|fault| !fault.nodes.is_empty());
}

fn choose_kinds(
    allowed: &[Kind],
    topology: &Topology,
    budget: &Budget,
    rng: &mut Rng,
) -> Vec<Kind> {
    let possible: Vec<Kind> = allowed
        .iter()
        .copied()
        .filter(|kind| !budget.candidates(*kind, topology).is_empty() && fits(*kind, topology))
        .collect();
    let share_ppm = [80_000, 200_000, 500_000, 900_000][rng.below(4) as usize];
    let chosen: Vec<Kind> = possible.iter().copied().filter(|_| rng.chance(share_ppm)).collect();
    if chosen.is_empty() { rng.choose(&possible).copied().into_iter().collect() } else { chosen }
}

/// Whether a cluster of this shape can show the fault at all.
fn fits(kind: Kind, topology: &Topology) -> bool {
    let nodes = topology.nodes.len();
    match kind {
        Kind::NetBridge | Kind::NetRing => nodes >= 3,
        _ if kind.area() == Area::Topology && kind != Kind::PermanentLoss => topology.dcs() > 1,
        _ if kind.area() == Area::Network => nodes > 1,
        _ => true,
    }
}

fn occurrences(
    kind: Kind,
    at_ms: u64,
    topology: &Topology,
    budget: &Budget,
    rng: &mut Rng,
    out: &mut Vec<Fault>,
) {
    let mut nodes = budget.candidates(kind, topology);
    shuffle(&mut nodes, rng);
    let for_ms = duration_ms(kind, rng);
    let mut fault = Fault {
        kind,
        at_ms,
        for_ms: (kind != Kind::Expel).then_some(for_ms),
        nodes: Vec::new(),
        peers: Vec::new(),
        amount: amount(kind, rng),
    };
    match kind.area() {
        Area::Topology if kind != Kind::PermanentLoss => {
            let dc = rng.below(u64::from(topology.dcs())) as u8;
            fault.nodes = topology.in_dc(dc).collect();
            if fault.nodes.is_empty() {
                return;
            }
            spread_over_dc(fault, rng, out);
            return;
        }
        Area::Network => aim_at_links(&mut fault, nodes, rng),
        _ => {
            let most = if rng.below(4) == 0 { nodes.len() as u64 } else { 1 };
            nodes.truncate(rng.range(1, most) as usize);
            fault.nodes = nodes;
        }
    }
    if kind == Kind::NetSwizzle {
        swizzle(fault, rng, out);
    } else {
        out.push(fault);
    }
}

/// Which links a network fault hits: from `nodes` to `peers`.
fn aim_at_links(fault: &mut Fault, mut nodes: Vec<u16>, rng: &mut Rng) {
    let count = nodes.len() as u64;
    match fault.kind {
        // The whole order matters: the bridge first, then two sides; or around the ring.
        Kind::NetBridge | Kind::NetRing | Kind::NetSwizzle => fault.nodes = nodes,
        Kind::NetHalves => {
            let cut = rng.range(1, count - 1) as usize;
            fault.peers = nodes.split_off(cut);
            fault.nodes = nodes;
        }
        Kind::NetIsolateLeader => fault.nodes = nodes[..1].to_vec(),
        _ if rng.below(3) == 0 => {
            fault.peers = nodes.clone();
            fault.nodes = nodes;
        }
        _ => {
            let from = nodes.pop().expect("at least two instances");
            let most = nodes.len() as u64;
            nodes.truncate(rng.range(1, most) as usize);
            fault.nodes = vec![from];
            fault.peers = nodes;
        }
    }
}

/// Each instance is clogged a little later than the one before; they clear in another order.
fn swizzle(fault: Fault, rng: &mut Rng, out: &mut Vec<Fault>) {
    let length = fault.for_ms.unwrap_or(1_000).max(10);
    let count = fault.nodes.len() as u64;
    let mut ends: Vec<u64> = (0..count).map(|k| length + k * length / count).collect();
    shuffle(&mut ends, rng);
    for (k, (node, end)) in fault.nodes.iter().zip(ends).enumerate() {
        let start = k as u64 * length / count;
        out.push(Fault {
            at_ms: fault.at_ms + start,
            for_ms: Some(end - start),
            nodes: vec![*node],
            ..fault.clone()
        });
    }
}

/// A data centre goes down or comes back as its kind says, as one fault or one an instance.
fn spread_over_dc(fault: Fault, rng: &mut Rng, out: &mut Vec<Fault>) {
    let length = fault.for_ms.unwrap_or(1_000);
    let staggered = fault.kind == Kind::DcStaggered;
    if !staggered && fault.kind != Kind::DcRandomReturn {
        out.push(fault);
        return;
    }
    let mut nodes = fault.nodes.clone();
    shuffle(&mut nodes, rng);
    for node in nodes {
        let late = rng.below(length / 2 + 1);
        let (at_ms, for_ms) = if staggered {
            (fault.at_ms + late, length - late)
        } else {
            (fault.at_ms, length + late)
        };
        out.push(Fault { at_ms, for_ms: Some(for_ms), nodes: vec![node], ..fault.clone() });
    }
}

/// Mostly short, sometimes past every timeout.
fn duration_ms(kind: Kind, rng: &mut Rng) -> u64 {
    let (low, high) = match kind {
        Kind::ProcessPause => (20, 2_500),
        Kind::DiskStall => (10, 1_500),
        Kind::DiskReadError | Kind::DiskWriteError | Kind::DiskSyncError => (10, 800),
        Kind::NetClog | Kind::NetSwizzle => (50, 2_000),
        Kind::NetDuplicate | Kind::NetLateReplay => (500, 8_000),
        _ => (50, 4_000),
    };
    if rng.below(3) == 0 { rng.range(low, high) } else { rng.range(low, low + (high - low) / 4) }
}

/// The intensity, in the kind's own unit: parts per million for the probabilities, µs for times,
/// a factor for slowness, a count for the rest.
fn amount(kind: Kind, rng: &mut Rng) -> u64 {
    use Kind::*;
    let (low, high) = match kind {
        NetDelay | NetJitter | ClientDelay => (1_000, 400_000),
        DcLatency => (5_000, 150_000),
        NetDrop | NetReorder => (10_000, 600_000),
        // What arrives twice costs nobody time, and only few messages change anything.
        NetDuplicate => (100_000, 900_000),
        NetLateReplay => (5_000, 200_000),
        NetCorrupt | NetTruncate => (1_000, 50_000),
        ClientReset | ClientSplit => (10_000, 500_000),
        NetBandwidth => (4_000, 400_000),
        DiskSyncError | DiskReadError | DiskWriteError => (10_000, 500_000),
        DiskMisdirected => (20_000, 400_000),
        // An instance reads a few times in its life.
        DiskStaleRead => (100_000, 1_000_000),
        DiskBitRot => (1, 4),
        DiskSlow => (3, 100),
        ProcessSlow => (5, 500),
        ProcessKillIo | ProcessKillRecovery => (1, 60),
        ClockDrift => (1, 1_000),
        ClockStepForward | ClockStepBack | ClockStrobe => (1_000, 5_000_000),
        ClockSkew => (10_000_000, 36_000_000_000),
        MonoJump => (100_000, 5_000_000),
        _ => (1, 1_000_000),
    };
    // Even over the orders of magnitude, so that small intensities are as likely as large ones.
    let mut top = high;
    while top / 2 > low && rng.below(3) != 0 {
        top /= 2;
    }
    rng.range(low, top)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(nodes: usize, dcs: u8) -> Topology {
        Topology {
            nodes: (0..nodes).map(|k| k as u8 % dcs).collect(),
            replication_factor: nodes as u8,
            latency_us: vec![vec![100; usize::from(dcs)]; usize::from(dcs)],
        }
    }

    #[test]
    fn survivable_draws_stay_survivable_and_every_kind_comes_up() {
        let areas = [
            Area::Network,
            Area::Client,
            Area::Disk,
            Area::Files,
            Area::Clock,
            Area::Process,
            Area::Topology,
            Area::Members,
        ];
        let allowed = survivable(&areas);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..600 {
            let mut rng = Rng::from_u64(seed).fork("faults");
            let topology = topology([1, 2, 3, 4, 5][seed as usize % 5], 1 + (seed % 2) as u8 * 2);
            let topology = if topology.nodes.len() == 1 { self::topology(1, 1) } else { topology };
            let budget = Budget::draw(&topology, false, &mut rng);
            let swarm = Swarm { allowed: &allowed, chaos_ms: 10_000, rate_per_second: 2 };
            let faults = draw(swarm, &topology, &budget, &mut rng);
            assert!(Budget::is_survivable(&topology, &faults), "seed {seed}");
            seen.extend(faults.iter().map(|fault| fault.kind));
        }
        let missing: Vec<_> = allowed.iter().filter(|kind| !seen.contains(kind)).collect();
        assert!(missing.is_empty(), "never drawn: {missing:?}");
    }

    #[test]
    fn the_atlas_knows_a_lost_majority() {
        let wipe = |nodes: Vec<u16>| Fault {
            kind: Kind::ProcessWiped,
            at_ms: 0,
            for_ms: Some(1),
            nodes,
            peers: vec![],
            amount: 1,
        };
        for (copies, lost) in [(1, 0), (2, 0), (3, 1), (4, 1), (5, 2)] {
            let topology = topology(copies, 1);
            let survives = |lost| Budget::is_survivable(&topology, &[wipe((0..lost).collect())]);
            assert!(survives(lost) && !survives(lost + 1), "{copies} copies");
        }
    }

    #[test]
    fn stops_are_rolling_restarts_and_some_hear_the_rest_late() {
        let allowed = [Kind::ProcessStop, Kind::NetDelay];
        let (mut stops, mut late, mut rolling) = (0, 0, 0);
        for seed in 0..50 {
            let mut rng = Rng::from_u64(seed).fork("faults");
            let topology = topology(3, 1);
            let budget = Budget::draw(&topology, false, &mut rng);
            let swarm = Swarm { allowed: &allowed, chaos_ms: 10_000, rate_per_second: 2 };
            let faults = draw(swarm, &topology, &budget, &mut rng);
            let alone = |node| {
                let stops = |fault: &&Fault| fault.kind == Kind::ProcessStop;
                faults.iter().filter(stops).any(|fault| fault.nodes == [node])
            };
            rolling += usize::from((0..3).all(alone));
            for stop in faults.iter().filter(|fault| fault.kind == Kind::ProcessStop) {
                let hears_late = |fault: &&Fault| {
                    fault.kind == Kind::NetDelay
                        && fault.at_ms == stop.at_ms
                        && stop.nodes.contains(&fault.peers[0])
                };
                stops += 1;
                late += usize::from(faults.iter().any(|fault| hears_late(&fault)));
            }
        }
        assert!(stops > 100 && late * 3 > stops && late * 4 < stops * 3, "{late} of {stops}");
        assert!(rolling > 10, "{rolling} seeds with a rolling restart");
    }
}
