//! From a log to an instance that serves.
//!
//! The clock runs until the row inserted last is read: by then the log was read and checked, the
//! instance was elected by itself, and everything in the log was applied. That really every row is
//! back is counted behind the clock.

use std::time::{Duration, Instant};

use basalt_core::seam::Inspect;
use criterion::{Criterion, SamplingMode, Throughput};

use crate::statements::{Exchange, Kind, filled, reconnected};
use crate::world::World;

const ROWS: i64 = 100_000;

pub fn recovery(criterion: &mut Criterion) {
    let mut before = filled(ROWS);
    let (elements, bytes) = (ROWS.unsigned_abs(), log_bytes(&mut before));
    let last = Exchange::new(Kind::Get, [ROWS - 1]);
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::ElementsAndBytes { elements, bytes });
    group.bench_function("inserts", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| recover(&before, &last)).sum());
    });
    group.finish();
}

fn recover(before: &World, last: &Exchange) -> Duration {
    let disk = before.copy_disk();
    let start = Instant::now();
    let mut world = World::start(disk, before.now_ns());
    let mut client = reconnected(&mut world);
    world.exchange(last);
    let took = start.elapsed();
    let reply = world.query(&mut client, "SELECT count(*) FROM item");
    assert_eq!(reply.single_value(), Some(ROWS.to_string().as_str()), "rows are back");
    took
}

/// Bytes the log was given, as the instance counts them.
fn log_bytes(world: &mut World) -> u64 {
    let page = world.inspect(Inspect::Metrics);
    let value = page.lines().find_map(|line| line.strip_prefix("basalt_wal_bytes_total "));
    value.and_then(|value| value.parse().ok()).expect("the log's bytes are among the metrics")
}
