//! The store alone: no log, no transaction, no SQL.

use std::sync::Arc;

use basalt_core::base::schema::TableDef;
use basalt_core::base::{LogIndex, RowWrite, Timestamp};
use basalt_core::storage::Store;
use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion};

use crate::accounts::Accounts;

const ROWS: i64 = 1_000_000;
/// Has no factor in common with [`ROWS`].
const STRIDE: i64 = 618_033;

pub fn storage(criterion: &mut Criterion) {
    let indexed = Accounts::new();
    let table = TableDef { indexes: Vec::new(), ..TableDef::clone(&indexed.table) };
    let plain = Accounts { table: Arc::new(table), layout: indexed.layout.clone() };
    let mut group = criterion.benchmark_group("storage");
    let mut store = filled(&plain);
    let mut ids = (0..).map(|k: i64| k * STRIDE % ROWS);
    group.bench_function("get", |bencher| {
        bencher.iter_batched_ref(
            || plain.write(ids.next().expect("endless")),
            |written| check(&store, written),
            BatchSize::LargeInput,
        );
    });
    apply_each(&mut group, "apply", &mut store, &plain);
    drop(store);
    apply_each(&mut group, "apply with two indexes", &mut filled(&indexed), &indexed);
    group.finish();
}

/// Rows that are new, one a log entry.
fn apply_each(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    store: &mut Store,
    accounts: &Accounts,
) {
    let mut ids = ROWS..;
    group.bench_function(name, |bencher| {
        bencher.iter_batched_ref(
            || accounts.write(ids.next().expect("endless")),
            |write| apply(store, write),
            BatchSize::LargeInput,
        );
    });
}

fn filled(accounts: &Accounts) -> Store {
    let mut store = Store::new();
    store.create_table(accounts.table.clone());
    (0..ROWS).for_each(|id| apply(&mut store, &accounts.write(id)));
    store
}

fn apply(store: &mut Store, write: &RowWrite) {
    let log_index = LogIndex(store.applied().0 + 1);
    let applied = store.apply(log_index, Timestamp(log_index.0), std::slice::from_ref(write));
    assert!(applied, "entry {log_index} is new");
    store.committed(log_index);
}

fn check(store: &Store, written: &RowWrite) {
    let seen = store.get(written.table, written.bucket, &written.key, Timestamp::MAX);
    assert_eq!(seen.and_then(|seen| seen.row), written.row.as_deref());
}
