//! Scenarios: how a seed becomes a plan.
//!
//! | name | faults | what it is after |
//! |---|---|---|
//! | `calm-big` | none | size boundaries, which frequent faults would hide |
//! | `net` | network, client connections, kills | ordering, leases, retries |
//! | `disk` | disk, files, kills | durability and recovery |
//! | `clock` | clocks, pauses, cuts | leases and timeouts |
//! | `dc3` | three data centres, topology faults | elections across distance |
//! | `everything` | all that is survivable | combinations |
//! | `forever` | a minority lost, cut off or on bad disks, or nobody hears all, for good | what never heals |
//! | `beyond-budget` | more than a cluster survives | stop or refuse, never lie |
//!
//! In part of the seeds of each there are more instances than one replica set takes, and in part of them
//! instances have too little room for what clients ask. In every other one the founder is told of nobody,
//! as an operator leaves it. In part of those of `net`, `disk`, `clock`, `dc3` and `everything` only a core
//! of the cluster heals, and the rest stays as broken as it is.

use std::collections::BTreeMap;

use basalt_core::group::GroupTimes;
use basalt_core::seam::Rng;

use crate::faults::atlas::shuffle;
use crate::faults::{Area, Budget, Damage, Kind, swarm};
use crate::plan::{ClientPlan, FORMAT, Fault, Plan, TIGHT_LIMITS, Topology};
use crate::workload::{Mix, Op, ROWS_OF_SETUP, draw_clients, draw_fill, draw_followers};

/// One scenario.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub what: &'static str,
    areas: &'static [Area],
    also: &'static [Kind],
    shape: Shape,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Any,
    Big,
    ThreeDcs,
    Forever,
    BeyondBudget,
}

const ALL_AREAS: &[Area] = &[
    Area::Network,
    Area::Client,
    Area::Disk,
    Area::Files,
    Area::Clock,
    Area::Process,
    Area::Topology,
    Area::Members,
];

pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "calm-big",
        what: "no faults, many operations, every size boundary; a million rows in seeds 77, 177, …",
        areas: &[],
        also: &[],
        shape: Shape::Big,
    },
    Scenario {
        name: "net",
        what: "the network and client connections fail, processes die",
        areas: &[Area::Network, Area::Client],
        also: &[Kind::ProcessKill, Kind::ProcessPause, Kind::ProcessStop],
        shape: Shape::Any,
    },
    Scenario {
        name: "disk",
        what: "disks fail, power fails, files come back torn",
        areas: &[Area::Disk, Area::Files],
        also: &[
            Kind::ProcessKill,
            Kind::ProcessKillIo,
            Kind::ProcessKillRecovery,
            Kind::ProcessWiped,
        ],
        shape: Shape::Any,
    },
    Scenario {
        name: "clock",
        what: "clocks drift, jump and stand still; processes pause; links are cut or slow",
        areas: &[Area::Clock],
        also: &[
            Kind::ProcessPause,
            Kind::ProcessSlow,
            Kind::NetHalves,
            Kind::NetIsolateLeader,
            Kind::NetOneWay,
            Kind::NetDelay,
            Kind::ProcessKill,
            Kind::ProcessStop,
        ],
        shape: Shape::Any,
    },
    Scenario {
        name: "dc3",
        what: "three data centres, one is cut off, dark or far away",
        areas: &[Area::Topology, Area::Members],
        also: &[Kind::NetDelay, Kind::NetDrop, Kind::ProcessKill, Kind::NetOneWay],
        shape: Shape::ThreeDcs,
    },
    Scenario {
        name: "everything",
        what: "all survivable faults",
        areas: ALL_AREAS,
        also: &[],
        shape: Shape::Any,
    },
    Scenario {
        name: "forever",
        what: "a minority is lost or half cut off, or a bridge is all there is, and it never heals",
        areas: &[Area::Network, Area::Process],
        also: &[],
        shape: Shape::Forever,
    },
    Scenario {
        name: "beyond-budget",
        what: "more than a cluster survives: it may stop, it must not lie",
        areas: &[Area::Disk, Area::Process],
        also: &[],
        shape: Shape::BeyondBudget,
    },
];

impl Scenario {
    pub fn by_name(name: &str) -> Option<&'static Scenario> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }
}

/// What the system under test can take part in.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    pub subject: &'static str,
    pub mix: Mix,
    /// Whether it notices damaged and empty disks, and comes back from them.
    pub survives_damage: bool,
    /// Whether its instances come and go in good order: stopped, expelled, added later.
    pub has_members: bool,
}

/// In one of so many seeds of `calm-big` a table grows to a million rows. By number, so that a sweep's cost
/// is known: each takes 4 to 13 s and 0.6 to 2 GB. None of these is run again in another process.
const FILL_EVERY: u64 = 100;
const FILL_AT: u64 = 77;
const FILL_CLIENTS: u16 = 4;

/// One in so many runs of `calm-big` is of the largest kind: what the others find, they find sooner.
const BIGGEST_EVERY: u64 = 12;

/// Draws the plan of a seed.
pub fn plan(scenario: &Scenario, seed: u64, abilities: Abilities) -> Plan {
    let root = Rng::from_u64(seed).fork(&format!("plan/{}", scenario.name));
    let topology = draw_topology(scenario.shape, &mut root.fork("topology"));
    let beyond = scenario.shape == Shape::BeyondBudget;
    let chaos_ms = match scenario.shape {
        Shape::Big => 20_000,
        _ => root.fork("length").range(4, 20) * 1_000,
    };
    let mut rng = root.fork("faults");
    let budget = Budget::draw(&topology, beyond, &mut rng);
    let lies = beyond && root.fork("lies").below(4) == 0;
    let allowed = allowed_kinds(scenario, abilities, lies);
    let rate_per_second = rng.range(1, 4);
    let draw = swarm::Swarm { allowed: &allowed, chaos_ms, rate_per_second };
    let mut faults = if allowed.is_empty() {
        Vec::new()
    } else {
        swarm::draw(draw, &topology, &budget, &mut rng)
    };
    if scenario.shape == Shape::Forever {
        faults.extend(permanent_fault(&topology, &budget, chaos_ms, &mut rng));
    }
    let mut rng = root.fork("clients");
    let (count, ops) = match scenario.shape {
        Shape::Big if rng.below(BIGGEST_EVERY) == 0 => (rng.range(8, 32) as u16, 400),
        Shape::Big => (rng.range(4, 12) as u16, rng.range(40, 150)),
        _ => (rng.range(1, 8) as u16, rng.range(20, 150)),
    };
    let mut clients = draw_clients(abilities.mix, count, ops, chaos_ms, &topology, &mut rng);
    if abilities.mix == Mix::Sql && !allowed.is_empty() {
        draw_followers(&mut clients, &mut root.fork("followers"));
    }
    let fills =
        scenario.shape == Shape::Big && abilities.mix == Mix::Sql && seed % FILL_EVERY == FILL_AT;
    if fills {
        clients = draw_fill(FILL_CLIENTS, chaos_ms, &topology, &mut root.fork("fill"));
    }
    let mut limits = draw_limits(&topology, &mut root.fork("limits"));
    if faults.iter().any(|fault| NEED_SMALL_FILES.contains(&fault.kind)) {
        limits.extend(small_files());
    }
    if fills {
        limits.retain(|name, _| !SIZES.contains(&name.as_str()));
        limits.extend(large_files());
    } else {
        fit_chunks(&mut limits, rows_at_most(&clients));
        limits.extend(draw_slices(&clients, &mut root.fork("slices")));
        limits.extend(draw_tightness(&clients, &mut root.fork("tightness")));
    }
    limits.extend(draw_connections(&topology, &clients, &mut root.fork("connections")));
    let core = match scenario.shape {
        Shape::Any | Shape::ThreeDcs if abilities.has_members => {
            draw_core(&topology, &faults, &mut root.fork("core"))
        }
        _ => Vec::new(),
    };
    let founder_is_told_of_nobody =
        abilities.has_members && root.fork("founder").below(FOUNDER_ALONE_EVERY) == 0;
    let mut knobs = root.fork("knobs");
    Plan {
        format: FORMAT,
        seed,
        scenario: scenario.name.to_owned(),
        subject: abilities.subject.to_owned(),
        chaos_ms,
        // Clients of `calm-big` far away still have most of their work before them.
        heal_ms: if scenario.shape == Shape::Big { 240_000 } else { 60_000 },
        clients,
        limits,
        topology,
        faults,
        buggify: knobs.below(4) == 0,
        passwords: knobs.below(8) == 0,
        founder_is_told_of_nobody,
        core,
        canaries: Vec::new(),
        beyond_budget: beyond,
    }
}

fn allowed_kinds(scenario: &Scenario, abilities: Abilities, lies: bool) -> Vec<Kind> {
    let mut kinds = [swarm::survivable(scenario.areas), scenario.also.to_vec()].concat();
    if lies {
        kinds.extend(Kind::ALL.iter().filter(|kind| kind.damage() == Damage::BeyondBudget));
    }
    kinds.sort();
    kinds.dedup();
    kinds.retain(|kind| match kind {
        // The old identity stays behind as a voter that is gone for good: one loss more.
        Kind::ProcessWiped if scenario.shape == Shape::Forever => false,
        Kind::ProcessStop | Kind::Expel | Kind::LateJoin => abilities.has_members,
        _ => abilities.survives_damage || kind.damage() == Damage::None,
    });
    kinds
}

fn draw_topology(shape: Shape, rng: &mut Rng) -> Topology {
    let mut beyond = rng.fork("beyond the factor");
    let count = match shape {
        Shape::ThreeDcs => [3, 5][rng.below(2) as usize],
        // Of two, none may be lost for good.
        Shape::Forever => [3, 4, 5][rng.below(3) as usize],
        _ => [1, 2, 3, 3, 3, 4, 5][rng.below(7) as usize],
    };
    let (count, factor) = more_than_the_factor(shape, &mut beyond).unwrap_or((count, count));
    let dcs = match shape {
        Shape::ThreeDcs => 3,
        _ if count == 1 => 1,
        _ => [1, 1, 3][rng.below(3) as usize],
    };
    let mut latency_us = vec![vec![0; dcs]; dcs];
    for (from, to) in (0..dcs).flat_map(|from| (0..=from).map(move |to| (from, to))) {
        let one_way_us = if from == to { rng.range(30, 300) } else { rng.range(300, 40_000) };
        latency_us[from][to] = one_way_us;
        latency_us[to][from] = one_way_us;
    }
    Topology {
        nodes: (0..count).map(|k| (k % dcs) as u8).collect(),
        replication_factor: factor as u8,
        latency_us,
    }
}

/// In every fourth seed there are more instances than one replica set takes: those of the others hold no
/// rows, and pass on what clients ask.
fn more_than_the_factor(shape: Shape, rng: &mut Rng) -> Option<(usize, usize)> {
    let all: &[(usize, usize)] = match shape {
        // One in each data centre, twice.
        Shape::ThreeDcs => &[(6, 3)],
        // No replica set may be too small to lose one.
        Shape::Forever => &[(6, 3)],
        _ => &[(2, 1), (3, 1), (3, 2), (4, 3), (5, 3), (6, 3), (7, 3)],
    };
    let chosen = rng.choose(all).copied();
    chosen.filter(|_| rng.below(4) == 0)
}

/// How many times the longest way between two instances fits into an election timeout, at least.
const ONE_WAYS_IN_ELECTION: u64 = 8;

/// Sizes and times far from production's, so that their boundaries are met; each is left alone in
/// every third seed, except for those that only cost time.
fn draw_limits(topology: &Topology, rng: &mut Rng) -> BTreeMap<String, u64> {
    let ranges = [
        ("wal_segment_bytes", 16 << 10, 1 << 20),
        ("log_before_snapshot_bytes", 8 << 10, 4 << 20),
        ("snapshot_chunk_bytes", 64, 64 << 10),
        ("tick_ms", 5, 20),
        ("election_ticks", 10, 40),
        ("join_retry_ms", 20, 500),
        ("report_ms", 50, 1_000),
    ];
    let mut limits = BTreeMap::new();
    for (name, low, high) in ranges {
        let top = [high, low * 4, low * 16][rng.below(3) as usize].min(high);
        let value = rng.range(low, top);
        if name == "wal_segment_bytes" || rng.below(3) != 0 {
            limits.insert(name.to_owned(), value);
        }
    }
    let usual = GroupTimes::default();
    let ticks = limits.get("election_ticks").copied().unwrap_or(usual.election_ticks as u64);
    // A leader asks this often in an election timeout: more often would cost time and show nothing.
    limits.insert("heartbeat_ticks".to_owned(), (ticks / rng.range(3, 8)).max(1));
    // An election timeout must be long against a round trip, or no lease ever lasts.
    let one_way_us = topology.latency_us.iter().flatten().max().copied().unwrap_or(0);
    let tick_ms = limits.get("tick_ms").copied().unwrap_or(usual.tick.as_millis() as u64);
    if tick_ms * ticks * 1_000 < one_way_us * ONE_WAYS_IN_ELECTION {
        limits.insert(
            "tick_ms".to_owned(),
            (one_way_us * ONE_WAYS_IN_ELECTION).div_ceil(ticks * 1_000),
        );
    }
    limits
}

/// What these break is there only while one file of the log follows another, or a snapshot is written.
const NEED_SMALL_FILES: &[Kind] = &[
    Kind::DiskReorder,
    Kind::FileLostRename,
    Kind::FileLostEntry,
    Kind::FileTruncatedTail,
    Kind::FileZeroTail,
];

fn small_files() -> [(String, u64); 2] {
    [("wal_segment_bytes", 8 << 10), ("log_before_snapshot_bytes", 8 << 10)]
        .map(|(name, bytes)| (name.to_owned(), bytes))
}

/// Sizes that are production's while a table of a million rows grows.
const SIZES: &[&str] = &["wal_segment_bytes", "log_before_snapshot_bytes", "snapshot_chunk_bytes"];

/// But for these: at 128 MiB no snapshot of a million rows would ever be due.
fn large_files() -> [(String, u64); 2] {
    [("wal_segment_bytes", 8 << 20), ("log_before_snapshot_bytes", 24 << 20)]
        .map(|(name, bytes)| (name.to_owned(), bytes))
}

/// A statement is done in so many small slices, at most, and a snapshot of rows of the usual length is
/// fetched in so many pieces: each costs a pause or a round trip.
const SLICES_MAX: u64 = 128;
const CHUNKS_MAX: u64 = 64;
/// Bytes of a row in a snapshot, about.
const ROW_BYTES: u64 = 64;

/// No table has more rows than this.
fn rows_at_most(clients: &[ClientPlan]) -> u64 {
    let ops = clients.iter().flat_map(|client| &client.ops);
    ROWS_OF_SETUP + ops.map(|op| op.rows_added()).sum::<u64>()
}

fn fit_chunks(limits: &mut BTreeMap<String, u64>, rows: u64) {
    if let Some(chunk) = limits.get_mut("snapshot_chunk_bytes") {
        *chunk = (*chunk).max(rows * ROW_BYTES / CHUNKS_MAX);
    }
}

/// In every third seed, and in every other in which the schema changes, statements and the building of
/// indexes go on a few rows at a time.
fn draw_slices(clients: &[ClientPlan], rng: &mut Rng) -> Option<(String, u64)> {
    let mut ops = clients.iter().flat_map(|client| &client.ops);
    let has_changes = ops.any(|op| matches!(op, Op::Schema { .. }));
    let least = rows_at_most(clients).div_ceil(SLICES_MAX);
    let drawn = rng.below(if has_changes { 2 } else { 3 }) == 0;
    drawn.then(|| ("slice_rows".to_owned(), rng.range(least, least * 8)))
}

/// In every other seed an instance takes fewer clients than there are. Two instances together take
/// them all, so that whoever was refused finds a place elsewhere.
fn draw_connections(
    topology: &Topology,
    clients: &[ClientPlan],
    rng: &mut Rng,
) -> Option<(String, u64)> {
    let all: u64 = clients.iter().map(|client| 1 + u64::from(client.followers)).sum();
    let drawn = rng.below(2) == 0 && topology.nodes.len() > 2;
    drawn.then(|| ("connections".to_owned(), rng.range(all / 2 + 2, all + 2)))
}

/// What the tables take in memory before clients add anything, and the bytes of one of their rows with
/// all that is kept of it.
const SETUP_MEMORY: u64 = 40 << 10;
const ROW_MEMORY: u64 = 200;

/// In every eighth seed there is too little room of one kind: for the rows, for what nobody has confirmed,
/// for a message or for what a statement keeps. The tables can be made all the same.
fn draw_tightness(clients: &[ClientPlan], rng: &mut Rng) -> Option<(String, u64)> {
    if rng.below(8) != 0 {
        return None;
    }
    let name = *rng.choose(&TIGHT_LIMITS).expect("there are some");
    let limit = match name {
        "memory_bytes" => {
            let ops = clients.iter().flat_map(|client| &client.ops);
            let added: u64 = ops.map(|op| op.rows_added() * ROW_MEMORY + op.text_bytes()).sum();
            let most = added / rng.range(1, 8);
            SETUP_MEMORY + rng.below(most + 1)
        }
        "uncommitted_bytes" => rng.range(512, 8 << 10),
        "message_bytes" => rng.range(4 << 10, 64 << 10),
        _ => rng.range(16 << 10, 128 << 10),
    };
    Some((name.to_owned(), limit))
}

/// In one of so many seeds the founder is told of nobody.
const FOUNDER_ALONE_EVERY: u64 = 2;

/// In one of so many seeds only a core heals.
const CORE_EVERY: u64 = 3;

/// The order in which instances are taken into a core that alone heals; empty where everything does, as
/// where somebody is gone for good anyway, or too few are there to do without one.
fn draw_core(topology: &Topology, faults: &[Fault], rng: &mut Rng) -> Vec<u16> {
    let mut order: Vec<u16> = (0..topology.nodes.len() as u16).collect();
    shuffle(&mut order, rng);
    let drawn = rng.below(CORE_EVERY) == 0;
    let fits = order.len() >= 3 && !faults.is_empty();
    if drawn && fits && faults.iter().all(|fault| fault.for_ms.is_some()) {
        order
    } else {
        Vec::new()
    }
}

/// What stays broken in `forever`: victims die, alone or with their data centre, or live on with a disk
/// that is no good; they are cut off, wholly or one way; or everyone lives and nobody hears all others.
fn permanent_fault(
    topology: &Topology,
    budget: &Budget,
    chaos_ms: u64,
    rng: &mut Rng,
) -> Option<Fault> {
    let mut all: Vec<u16> = (0..topology.nodes.len() as u16).collect();
    let budgeted = budget.candidates(Kind::PermanentLoss, topology);
    let mut victims = budgeted.clone();
    victims.truncate(rng.range(1, (victims.len() as u64).max(1)) as usize);
    let rest: Vec<u16> = all.iter().copied().filter(|node| !victims.contains(node)).collect();
    shuffle(&mut all, rng);
    let mut dcs = (0..topology.dcs()).map(|dc| topology.in_dc(dc).collect::<Vec<u16>>());
    let dark = dcs.find(|nodes| nodes.iter().all(|node| budgeted.contains(node)));
    let (kind, nodes, peers) = match rng.below(10) {
        0 => (Kind::PermanentLoss, victims, Vec::new()),
        // It hears and is not heard; it is heard and does not hear.
        1 => (Kind::NetOneWay, victims, rest),
        2 => (Kind::NetOneWay, rest, victims),
        3 => (Kind::NetHalves, victims, rest),
        // Heard by one of the others only.
        4 => (Kind::NetOneWay, victims, rest[1..].to_vec()),
        5 => (Kind::NetBridge, all, Vec::new()),
        6 => (Kind::NetRing, all, Vec::new()),
        7 => (Kind::DcPowerLoss, dark.unwrap_or(victims), Vec::new()),
        8 => (Kind::DiskFull, victims, Vec::new()),
        _ => (Kind::DiskSlow, victims, Vec::new()),
    };
    let at_ms = rng.below(chaos_ms);
    let amount = if kind == Kind::DiskSlow { rng.range(20, 200) } else { 1 };
    Some(Fault { kind, at_ms, for_ms: None, nodes, peers, amount })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;

    const ABILITIES: Abilities = Abilities {
        subject: "toy-quorum",
        mix: Mix::Sql,
        survives_damage: true,
        has_members: true,
    };

    #[test]
    fn a_seed_gives_the_same_plan_and_a_plan_survives_json() {
        for scenario in SCENARIOS {
            let first = plan(scenario, 7, ABILITIES);
            assert_eq!(first, plan(scenario, 7, ABILITIES));
            assert_eq!(Plan::from_json(&first.to_json()).unwrap(), first);
        }
    }

    #[test]
    fn the_founder_is_told_of_nobody_in_about_every_other_seed() {
        for scenario in SCENARIOS {
            let told_of_nobody =
                |seed: &u64| plan(scenario, *seed, ABILITIES).founder_is_told_of_nobody;
            let count = (0..100).filter(told_of_nobody).count();
            assert!((30..70).contains(&count), "{}: {count} of 100", scenario.name);
        }
    }

    #[test]
    fn only_beyond_budget_plans_take_more_than_a_minority() {
        for scenario in SCENARIOS.iter().filter(|s| s.shape != Shape::BeyondBudget) {
            for seed in 0..100 {
                let plan = plan(scenario, seed, ABILITIES);
                let survivable = Budget::is_survivable(&plan.topology, &plan.faults);
                assert!(survivable, "{} seed {seed}: {:?}", scenario.name, plan.faults);
            }
        }
    }
}
