//! Statements of one row through a whole instance: one at a time, and pipelined.
//!
//! One at a time is the latency of the core: every request is a turn of its own, with all that ends a
//! turn. Pipelined, 64 statements share their turn, and inserts one write of the log.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};

use crate::statements::{Exchange, Kind, PIPELINE, filled, founded};

const ROWS: i64 = 100_000;
/// Has no factor in common with [`ROWS`]: a walk by it meets every row, far from the one before.
const STRIDE: i64 = 61_803;

/// Point get, from a table of [`ROWS`].
pub fn get(criterion: &mut Criterion) {
    let mut world = filled(ROWS);
    let mut ids = (0..).map(|k: i64| k * STRIDE % ROWS);
    let mut group = criterion.benchmark_group("instance/get");
    for depth in [1, PIPELINE] {
        group.throughput(Throughput::Elements(depth.unsigned_abs()));
        group.bench_function(BenchmarkId::from_parameter(depth), |bencher| {
            bencher.iter_batched_ref(
                || Exchange::new(Kind::Get, ids.by_ref().take(depth as usize)),
                |exchange| world.exchange(exchange),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

/// Insert of one row, into a table that grows from empty to some hundred thousand rows.
pub fn insert(criterion: &mut Criterion) {
    let mut world = founded();
    let mut ids = 0..;
    let mut group = criterion.benchmark_group("instance/insert");
    for depth in [1, PIPELINE] {
        group.throughput(Throughput::Elements(depth.unsigned_abs()));
        group.bench_function(BenchmarkId::from_parameter(depth), |bencher| {
            bencher.iter_batched_ref(
                || Exchange::new(Kind::Insert, ids.by_ref().take(depth as usize)),
                |exchange| world.exchange(exchange),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}
