//! Prometheus text from plain counters.
//!
//! [`Metrics`] is filled by whoever counts; this file only knows names, help texts and the text
//! format (exposition format 0.0.4). Names start with `basalt_`, units are in the name, counters end
//! in `_total`. Labels are few and bounded: a group, a SQLSTATE, a table; never a query or a user.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::base::histogram::{BOUNDS_US, Histogram};
use crate::base::{GroupId, SqlState};

/// What one instance counts. Counters only grow while the process lives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    pub uptime_seconds: u64,
    pub turns: u64,
    /// Gauges of memory the instance accounts for.
    pub memory_used_bytes: u64,
    pub memory_limit_bytes: u64,

    pub connections_opened: u64,
    pub connections_closed: u64,
    pub connections_refused: u64,
    pub statements: u64,
    /// Time from the turn a statement arrived in to the turn its reply may leave in.
    pub statement_time: Histogram,
    /// Errors sent to clients, by SQLSTATE.
    pub errors: BTreeMap<SqlState, u64>,
    pub plan_cache_hits: u64,
    pub plan_cache_misses: u64,

    /// Time from the arrival of a statement that writes to its commit.
    pub commit_time: Histogram,

    pub wal_batches: u64,
    pub wal_bytes: u64,
    pub wal_sync_time: Histogram,
    pub snapshots_written: u64,
    pub snapshots_unreadable: u64,

    pub messages_sent: u64,
    pub messages_received: u64,

    /// Each group this instance is a member of; the ring is 0.
    pub groups: BTreeMap<GroupId, GroupMetrics>,
    /// Each table of this replica set, by name.
    pub tables: BTreeMap<String, TableMetrics>,
    pub governor_steps: u64,
}

/// One group, as this member sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupMetrics {
    pub term: u64,
    pub committed_index: u64,
    pub applied_index: u64,
    pub is_leader: bool,
    /// Times this member became leader.
    pub elections_won: u64,
}

/// One table on this instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableMetrics {
    pub rows: u64,
    pub bytes: u64,
}

/// A counter or gauge without labels: kind, name, help, and where its value is.
struct Plain {
    kind: &'static str,
    name: &'static str,
    help: &'static str,
    value: fn(&Metrics) -> u64,
}

const fn counter(name: &'static str, help: &'static str, value: fn(&Metrics) -> u64) -> Plain {
    Plain { kind: "counter", name, help, value }
}

const fn gauge(name: &'static str, help: &'static str, value: fn(&Metrics) -> u64) -> Plain {
    Plain { kind: "gauge", name, help, value }
}

static PLAIN: [Plain; 19] = [
    gauge("uptime_seconds", "Time since the process started.", |m| m.uptime_seconds),
    counter("turns_total", "Turns of the reactor.", |m| m.turns),
    gauge("memory_used_bytes", "Memory in use by data.", |m| m.memory_used_bytes),
    gauge("memory_limit_bytes", "Memory data may use.", |m| m.memory_limit_bytes),
    gauge("connections", "Open client connections.", |m| {
        m.connections_opened.saturating_sub(m.connections_closed)
    }),
    counter("connections_opened_total", "Client connections accepted.", |m| m.connections_opened),
    counter("connections_refused_total", "Client connections turned away.", |m| {
        m.connections_refused
    }),
    counter("statements_total", "Statements completed.", |m| m.statements),
    counter("plan_cache_hits_total", "Statements whose plan was cached.", |m| m.plan_cache_hits),
    counter("plan_cache_misses_total", "Statements that had to be planned.", |m| {
        m.plan_cache_misses
    }),
    counter("wal_batches_total", "Batches written to the log.", |m| m.wal_batches),
    counter("wal_bytes_total", "Bytes written to the log.", |m| m.wal_bytes),
    counter("snapshots_written_total", "Snapshots written.", |m| m.snapshots_written),
    counter("snapshots_unreadable_total", "Snapshots that were found damaged.", |m| {
        m.snapshots_unreadable
    }),
    counter("messages_sent_total", "Messages sent to other instances.", |m| m.messages_sent),
    counter("messages_received_total", "Messages received from other instances.", |m| {
        m.messages_received
    }),
    counter("governor_steps_total", "Steps begun by the governor here.", |m| m.governor_steps),
    gauge("groups", "Raft groups this instance is a member of.", |m| m.groups.len() as u64),
    gauge("tables", "Tables of this replica set.", |m| m.tables.len() as u64),
];

/// The metrics page. Same metrics, same bytes.
pub fn render(metrics: &Metrics) -> String {
    let mut out = String::with_capacity(8 << 10);
    for plain in &PLAIN {
        header(&mut out, plain.name, plain.help, plain.kind);
        sample(&mut out, plain.name, "", (plain.value)(metrics));
    }
    header(&mut out, "errors_total", "Errors sent to clients, by SQLSTATE.", "counter");
    for (state, count) in &metrics.errors {
        sample(&mut out, "errors_total", &label("sqlstate", state.code()), *count);
    }
    histogram(&mut out, "statement_seconds", "Time of a statement.", &metrics.statement_time);
    histogram(
        &mut out,
        "commit_seconds",
        "Time of a statement that writes until its commit.",
        &metrics.commit_time,
    );
    histogram(&mut out, "wal_sync_seconds", "Time of a log sync.", &metrics.wal_sync_time);
    groups(&mut out, &metrics.groups);
    tables(&mut out, &metrics.tables);
    out
}

fn header(out: &mut String, name: &str, help: &str, kind: &str) {
    put(out, format_args!("# HELP basalt_{name} {help}\n# TYPE basalt_{name} {kind}\n"));
}

fn sample(out: &mut String, name: &str, labels: &str, value: u64) {
    put(out, format_args!("basalt_{name}{labels} {value}\n"));
}

fn put(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

/// `{name="value"}`, with what the format wants escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{{{name}=\"{value}\"}}")
}

/// Seconds with the digits they need.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn histogram(out: &mut String, name: &str, help: &str, histogram: &Histogram) {
    header(out, name, help, "histogram");
    let bucket = format!("{name}_bucket");
    let mut below = 0;
    for (bound, count) in BOUNDS_US.iter().zip(&histogram.buckets) {
        below += count;
        sample(out, &bucket, &label("le", &seconds(*bound)), below);
    }
    sample(out, &bucket, &label("le", "+Inf"), histogram.count);
    put(out, format_args!("basalt_{name}_sum {}\n", seconds(histogram.sum_us)));
    sample(out, &format!("{name}_count"), "", histogram.count);
}

/// A labelled metric: kind, name, help, and its value in a `T`.
type Column<T> = (&'static str, &'static str, &'static str, fn(&T) -> u64);

fn groups(out: &mut String, groups: &BTreeMap<GroupId, GroupMetrics>) {
    let columns: [Column<GroupMetrics>; 5] = [
        ("gauge", "raft_term", "Term of the group.", |g| g.term),
        ("gauge", "raft_committed_index", "Last committed entry known.", |g| g.committed_index),
        ("gauge", "raft_applied_index", "Last applied entry.", |g| g.applied_index),
        ("gauge", "raft_is_leader", "1 if this member leads.", |g| u64::from(g.is_leader)),
        ("counter", "raft_elections_won_total", "Times this member became leader.", |g| {
            g.elections_won
        }),
    ];
    for (kind, name, help, value) in columns {
        header(out, name, help, kind);
        for (id, group) in groups {
            sample(out, name, &label("group", &id.to_string()), value(group));
        }
    }
}

fn tables(out: &mut String, tables: &BTreeMap<String, TableMetrics>) {
    let columns: [Column<TableMetrics>; 2] = [
        ("gauge", "table_rows", "Rows of the table here.", |t| t.rows),
        ("gauge", "table_bytes", "Memory of the table here.", |t| t.bytes),
    ];
    for (kind, name, help, value) in columns {
        header(out, name, help, kind);
        for (table, metrics) in tables {
            sample(out, name, &label("table", table), value(metrics));
        }
    }
}
