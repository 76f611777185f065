//! How many events a second a core simulates, beside what madsim does with nodes that do nothing.
//!
//! One round after the other in one run, so that both see the same machine. An event, here and there, is what
//! crosses the line between a node and its world: a timer asked for or fired, a message sent or received.
//! Ours are the whole database with all checks on, the plans of scenario `net`; madsim's nodes count what
//! they hear and throw it away.
//!
//! ```text
//! cargo bench -p basalt-sim
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use basalt_sim::run::{SUBJECTS, run};
use basalt_sim::scenario::{Scenario, plan};
use madsim::net::Endpoint;
use madsim::runtime::Runtime;

/// As in `basalt-sim`; for both sides.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: u64 = 5;
/// Plans a round.
const PLANS: u64 = 40;
/// What madsim simulates a round.
const SIMULATED: Duration = Duration::from_secs(600);
const NODES: u8 = 3;
/// Between two messages of a node to each other one.
const PERIOD: Duration = Duration::from_millis(10);

fn main() {
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    println!("events a second on one core       basalt-sim    empty madsim     ratio");
    for round in 0..ROUNDS {
        let own = a_second(|| database(round * PLANS));
        let other = a_second(|| empty_madsim(round));
        println!("round {round} {own:>38.0} {other:>15.0} {:>9.2}", own / other);
        ours.push(own);
        theirs.push(other);
        ratios.push(own / other);
    }
    for (name, all) in [("basalt-sim", ours), ("empty madsim", theirs), ("ratio", ratios)] {
        let [least, median, most] = spread(all);
        println!("{name:<12} min {least:.2}, median {median:.2}, max {most:.2}");
    }
}

/// Of an odd number of figures.
fn spread(mut all: Vec<f64>) -> [f64; 3] {
    all.sort_by(f64::total_cmp);
    [all[0], all[all.len() / 2], all[all.len() - 1]]
}

fn a_second(events: impl FnOnce() -> u64) -> f64 {
    let began = Instant::now();
    let events = events();
    events as f64 / began.elapsed().as_secs_f64()
}

fn database(first: u64) -> u64 {
    let net = Scenario::by_name("net").expect("there is such a scenario");
    let events = (first..first + PLANS).map(|seed| {
        let verdict = run(&plan(net, seed, SUBJECTS[0]));
        assert!(verdict.failure.is_none(), "seed {seed}: {:?}", verdict.failure);
        verdict.events
    });
    events.sum()
}

fn empty_madsim(seed: u64) -> u64 {
    let runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
    let events = Arc::new(AtomicU64::new(0));
    let addresses = (1..=NODES).map(|node| SocketAddr::from(([10, 0, 0, node], 1)));
    let addresses: Vec<SocketAddr> = addresses.collect();
    for own in &addresses {
        let others = addresses.iter().copied().filter(|other| other != own).collect();
        let node = runtime.create_node().ip(own.ip()).build();
        node.spawn(speak_and_hear(*own, others, events.clone()));
    }
    // Only within it may anything sleep.
    runtime.block_on(async {
        madsim::time::sleep(SIMULATED).await;
    });
    events.load(Ordering::Relaxed)
}

async fn speak_and_hear(own: SocketAddr, others: Vec<SocketAddr>, events: Arc<AtomicU64>) {
    let endpoint = Arc::new(Endpoint::bind(own).await.expect("the address is free"));
    let (ears, heard) = (endpoint.clone(), events.clone());
    madsim::task::spawn(async move {
        let mut message = [0; 64];
        while ears.recv_from(0, &mut message).await.is_ok() {
            heard.fetch_add(1, Ordering::Relaxed);
        }
    });
    loop {
        madsim::time::sleep(PERIOD).await;
        events.fetch_add(2, Ordering::Relaxed);
        for other in &others {
            // Before the other one listens nobody takes it.
            let sent = endpoint.send_to(*other, 0, &[7; 48]).await;
            events.fetch_add(u64::from(sent.is_ok()), Ordering::Relaxed);
        }
    }
}
