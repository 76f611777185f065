//! Golden pages: the status table, the JSON, the metrics.

use std::time::Duration;

use super::metrics::{GroupMetrics, TableMetrics, render};
use super::*;
use crate::base::SqlState;
use crate::topology::RingEntry;
use crate::topology::governor::GroupFacts;
use crate::topology::placement::parse_failure_domain;
use crate::topology::tests::{apply, cluster, join, join_request, set_online};

struct Sample {
    ring: RingState,
    instances: BTreeMap<InstanceId, InstanceFacts>,
    groups: BTreeMap<GroupId, GroupFacts>,
}

fn sample() -> Sample {
    let mut ring = cluster(3, "dc=a");
    for (k, dc) in [(2, "dc=b"), (3, "dc=c")] {
        let domain = parse_failure_domain(dc).unwrap();
        join(&mut ring, &join_request(k, "default", domain)).unwrap();
    }
    set_online(&mut ring, InstanceId(1));
    set_online(&mut ring, InstanceId(2));
    let facts = |learners: &[u64]| GroupFacts {
        leader: Some(InstanceId(2)),
        voters: [InstanceId(1), InstanceId(2)].into(),
        learners: learners.iter().map(|id| InstanceId(*id)).collect(),
        lag: [(InstanceId(1), 4), (InstanceId(3), 1_200)].into(),
        ..GroupFacts::default()
    };
    let reachable = InstanceFacts { reachable: true, for_time: Duration::from_secs(1) };
    Sample {
        ring,
        instances: [(InstanceId(1), reachable)].into(),
        groups: [(GroupId::RING, facts(&[])), (GroupId(1), facts(&[3]))].into(),
    }
}

impl Sample {
    fn view(&self) -> ClusterView<'_> {
        ClusterView { ring: &self.ring, instances: &self.instances, groups: &self.groups }
    }
}

#[test]
fn status_fits_on_a_screen() {
    let text = status_text(&sample().view());
    assert_eq!(text, include_str!("golden/status.txt"), "\n--- got ---\n{text}");
}

#[test]
fn status_says_what_it_does_not_know() {
    let sample = sample();
    let (instances, groups) = (BTreeMap::new(), BTreeMap::new());
    let view = ClusterView { ring: &sample.ring, instances: &instances, groups: &groups };
    let text = status_text(&view);
    assert!(text.contains("default_1_1  Online   default_1    -     -     -"), "{text}");
    let empty = RingState::new();
    let view = ClusterView { ring: &empty, instances: &instances, groups: &groups };
    assert_eq!(status_text(&view), "no cluster yet\n");
    assert!(cluster_json(&view).contains("\"name\":null"));
}

#[test]
fn the_cluster_is_json() {
    let value: serde_json::Value = serde_json::from_str(&cluster_json(&sample().view())).unwrap();
    let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
    assert_eq!(text, include_str!("golden/cluster.json"), "\n--- got ---\n{text}");
}

#[test]
fn a_set_whose_leader_is_gone_has_none_whoever_the_ring_recorded() {
    let mut sample = sample();
    let leader = |sample: &Sample| {
        let value: serde_json::Value = serde_json::from_str(&cluster_json(&sample.view())).unwrap();
        value["tiers"][0]["replicasets"][0]["leader"].clone()
    };
    let master = Some(InstanceId(1));
    let recorded =
        RingEntry::SetReplicasetMaster { id: GroupId(1), current: master, target: master };
    apply(&mut sample.ring, recorded).unwrap();
    assert_eq!(leader(&sample), 2);
    sample.groups.get_mut(&GroupId(1)).unwrap().leader = None;
    assert_eq!(leader(&sample), serde_json::Value::Null);
    sample.groups.remove(&GroupId(1));
    assert_eq!(leader(&sample), 1);
}

#[test]
fn metrics_are_prometheus_text() {
    let mut metrics = Metrics {
        uptime_seconds: 60,
        connections_opened: 3,
        connections_closed: 1,
        statements: 7,
        ..Metrics::default()
    };
    metrics.errors.insert(SqlState::SerializationFailure, 2);
    for us in [5, 10, 11, 1_500_000, 20_000_000] {
        metrics.statement_time.observe(Duration::from_micros(us));
    }
    let group =
        GroupMetrics { term: 3, committed_index: 9, applied_index: 9, ..Default::default() };
    metrics.groups.insert(GroupId(1), group);
    metrics.tables.insert("od\"d".into(), TableMetrics { rows: 1, bytes: 100 });
    let text = render(&metrics);
    assert_eq!(text, include_str!("golden/metrics.txt"), "\n--- got ---\n{text}");
}

/// Every line is a comment or `name{labels} number`, and each name is announced once, before use.
#[test]
fn every_metric_is_announced_before_it_is_used() {
    let text = render(&Metrics::default());
    let mut announced = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(announced.insert(name.to_owned()), "{name} announced twice");
        } else if !line.starts_with('#') {
            let name = line.split(['{', ' ']).next().unwrap();
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
            assert!(
                announced.contains(name) || base.is_some_and(|b| announced.contains(b)),
                "{line}"
            );
            assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
        }
    }
}
