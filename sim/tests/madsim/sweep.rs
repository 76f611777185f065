//! Seeds: what each is, does, and comes to.

use std::fmt::Write;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use basalt_core::seam::Rng;
use basalt_sim::check::{Excuses, judge_history};
use basalt_sim::workload::{History, Outcome, Role};
use madsim::net::NetSim;
use madsim::runtime::Runtime;
use madsim::time::sleep;

use crate::clients::{self, Scene};
use crate::cluster::{self, Cluster};
use crate::{faults, platform, socket};

const SEEDS: Range<u64> = 0..20;
const CALM_SEEDS: Range<u64> = 0..4;
const SETUP_WITHIN: Duration = Duration::from_secs(30);
const HEAL_WITHIN: Duration = Duration::from_secs(60);
const AUDIT_WITHIN: Duration = Duration::from_secs(30);
const WORKERS: u64 = 6;
const OPS_EACH: u64 = 150;

/// What a run came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Verdict {
    digest: u64,
    failure: Option<String>,
    confirmed: u64,
    unknown: usize,
    killed: usize,
    messages: u64,
    simulated: Duration,
    faults: Vec<String>,
}

#[test]
fn a_cluster_keeps_its_word_under_partitions_and_restarts() {
    let seeds = seeds();
    let count = seeds.end - seeds.start;
    let sum = sweep(seeds, true);
    assert!(sum.confirmed >= count * 100, "only {} operations went well", sum.confirmed);
    assert!(sum.killed as u64 >= count, "only {} processes died", sum.killed);
    assert!(count < SEEDS.end || sum.unknown > 0, "no operation was ever cut short");
}

/// Sockets stall and take writes in part here as well, which alone must not cost anybody an answer.
#[test]
fn a_cluster_that_nothing_disturbs_answers_every_request() {
    let sum = sweep(CALM_SEEDS, false);
    assert_eq!(sum.unknown, 0, "operations were cut short");
    assert_eq!(sum.killed, 0, "processes died");
}

/// Runs seeds on all cores; fails if one of them does. Gives the sums.
fn sweep(seeds: Range<u64>, disturbed: bool) -> Verdict {
    let queue = Mutex::new(seeds);
    let total = Mutex::new((Verdict::default(), Vec::new()));
    let work = || {
        loop {
            let Some(seed) = queue.lock().unwrap().next() else { return };
            let verdict = judge_seed(seed, disturbed);
            let (sum, failed) = &mut *total.lock().unwrap();
            sum.confirmed += verdict.confirmed;
            sum.unknown += verdict.unknown;
            sum.killed += verdict.killed;
            failed.extend(verdict.failure.map(|failure| format!("seed {seed}: {failure}")));
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(4);
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    let (sum, failed) = total.into_inner().unwrap();
    assert!(failed.is_empty(), "{} seeds failed:\n{}", failed.len(), failed.join("\n"));
    sum
}

/// `BASALT_MADSIM_SEED`: a seed or a range of them.
fn seeds() -> Range<u64> {
    let Ok(text) = std::env::var("BASALT_MADSIM_SEED") else { return SEEDS };
    let (first, end) = match text.split_once("..") {
        Some((first, end)) => (first.parse().ok(), end.parse().ok()),
        None => (text.parse().ok(), text.parse::<u64>().ok().map(|seed| seed + 1)),
    };
    first.unwrap_or_else(|| panic!("not a seed: {text}"))
        ..end.unwrap_or_else(|| panic!("not a range of seeds: {text}"))
}

/// Runs a seed twice and prints what it came to.
fn judge_seed(seed: u64, disturbed: bool) -> Verdict {
    let mut verdict = run_apart(seed, disturbed);
    let again = run_apart(seed, disturbed);
    if verdict.failure.is_none() && again != verdict {
        let failure = format!("not the same twice: {verdict:?}, then {again:?}");
        verdict.failure = Some(failure);
    }
    let mut told = format!(
        "seed {seed:3}: {:016x}, {} confirmed, {} unknown, {} processes ended, {} messages, {:.1} s",
        verdict.digest,
        verdict.confirmed,
        verdict.unknown,
        verdict.killed,
        verdict.messages,
        verdict.simulated.as_secs_f64(),
    );
    if let Some(failure) = &verdict.failure {
        let _ = write!(told, "\n  FAILED: {failure}\n  {}", verdict.faults.join("\n  "));
        let _ = write!(told, "\n  repeat: BASALT_MADSIM_SEED={seed} cargo madsim -- --nocapture");
    }
    println!("{told}");
    verdict
}

/// On a thread of its own: what a thread keeps (hash keys above all) would reach from one run into
/// the next.
fn run_apart(seed: u64, disturbed: bool) -> Verdict {
    let run = move || {
        let mut runtime = Runtime::with_seed_and_config(seed, madsim::Config::default());
        // sqlparser asks for the bounds of the stack, which madsim takes for the start of a thread.
        runtime.set_allow_system_thread(true);
        let (mut verdict, history) = runtime.block_on(run(seed, disturbed));
        // The checks start threads, which a simulation may not.
        let judged = || {
            judge_history(&history, &Excuses::default(), None).map(|failed| format!("{failed:?}"))
        };
        verdict.failure = verdict.failure.or_else(judged);
        verdict
    };
    thread::spawn(run).join().unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| text.to_string()));
        let failure = format!("a panic: {}", text.unwrap_or_default());
        Verdict { failure: Some(failure), ..Verdict::default() }
    })
}

async fn run(seed: u64, disturbed: bool) -> (Verdict, History) {
    let root = Rng::from_u64(seed);
    let network = NetSim::current();
    network.set_ip(madsim::plugin::node(), "10.0.0.100".parse().unwrap());
    faults::calm_network();
    let cluster = Cluster::start(&mut root.fork("cluster")).await;
    let scene = Scene::new(&cluster.machines);
    let drawn = || faults::draw(&mut root.fork("faults"));
    let faults = if disturbed { drawn() } else { Vec::new() };
    let mut verdict =
        Verdict { faults: faults.iter().map(ToString::to_string).collect(), ..Verdict::default() };

    let outcome = carry_out(&cluster, &scene, &faults, &root, &mut verdict.killed).await;

    // Without this the tasks of the instances would keep each other for ever.
    for node in 0..cluster::NODES {
        cluster.kill(node, None);
    }
    sleep(Duration::from_millis(1)).await;
    let history = scene.history.take();
    verdict.failure = outcome.err();
    verdict.confirmed = history.ok_count();
    let is_unknown = |outcome: &Outcome| matches!(outcome, Outcome::Info(_));
    verdict.unknown = history.entries.iter().filter(|entry| is_unknown(&entry.outcome)).count();
    verdict.messages = network.stat().msg_count;
    verdict.simulated = Duration::from_nanos(platform::elapsed_ns());
    verdict.digest = digest(&history, verdict.messages);
    (verdict, history)
}

/// The phases of a run.
async fn carry_out(
    cluster: &Cluster,
    scene: &std::rc::Rc<Scene>,
    faults: &[faults::Fault],
    root: &Rng,
    killed: &mut usize,
) -> Result<(), String> {
    scene.spawn(Role::Setup, clients::setup(), 0, root);
    wait(cluster, scene, SETUP_WITHIN, "the tables were not made").await?;
    wait_until_ready(cluster).await?;

    let think_us = faults::CHAOS.as_micros() as u64 / OPS_EACH;
    for client in 0..WORKERS {
        let work = clients::draw_work(client, OPS_EACH, &mut root.fork(&format!("work/{client}")));
        scene.spawn(Role::Worker, work, think_us, root);
    }
    *killed = faults::rage(cluster, faults).await;
    scene.hurry.set(true);
    wait(cluster, scene, HEAL_WITHIN, "clients did not finish after everything healed").await?;

    for _ in 0..2 {
        scene.spawn(Role::Auditor, clients::audit(), 0, root);
    }
    wait(cluster, scene, AUDIT_WITHIN, "the last reads did not finish").await?;
    wait_until_ready(cluster).await
}

/// Until all clients are done.
async fn wait(
    cluster: &Cluster,
    scene: &Scene,
    within: Duration,
    what: &str,
) -> Result<(), String> {
    let end_ns = platform::elapsed_ns() + within.as_nanos() as u64;
    while !scene.all_done() {
        if let Some(told) = scene.breach.borrow().clone().or_else(|| cluster.ended()) {
            return Err(told);
        }
        if platform::elapsed_ns() > end_ns {
            return Err(format!("{what}: {}", scene.describe()));
        }
        sleep(Duration::from_millis(50)).await;
    }
    scene.breach.borrow().clone().or_else(|| cluster.ended()).map_or(Ok(()), Err)
}

/// Until every instance says over HTTP that it is ready.
async fn wait_until_ready(cluster: &Cluster) -> Result<(), String> {
    let end_ns = platform::elapsed_ns() + SETUP_WITHIN.as_nanos() as u64;
    for machine in &cluster.machines {
        loop {
            let answer = get(&machine.http_address(), "/health/ready").await;
            if answer.starts_with("HTTP/1.1 200 ") {
                break;
            }
            if platform::elapsed_ns() > end_ns {
                return Err(format!("{} is not ready: {answer}", machine.name));
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    Ok(())
}

async fn get(address: &str, path: &str) -> String {
    let Ok((mut reader, mut writer)) = socket::connect(address).await else {
        return String::new();
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let _ = clients::write_all(&mut writer, request.as_bytes()).await;
    let mut answer = Vec::new();
    while let Some(bytes) = clients::read(&mut reader).await {
        answer.extend(bytes);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// FNV-1a over everything the clients saw, and how many messages the network carried meanwhile.
fn digest(history: &History, messages: u64) -> u64 {
    let text = format!("{}{messages}", history.to_edn());
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
