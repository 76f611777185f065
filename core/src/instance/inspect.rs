//! What the shell and `basalt status` may ask.

use std::collections::BTreeMap;

use super::state::{Phase, State};
use crate::admin::metrics::{GroupMetrics, Metrics, TableMetrics, render};
use crate::admin::{ClusterView, cluster_json, status_text};
use crate::base::{GroupId, LogIndex};
use crate::group::Group;
use crate::seam::Inspect;

impl State {
    /// The answer to a question of the shell.
    pub fn inspect(&self, what: Inspect) -> String {
        match what {
            Inspect::Metrics => render(&self.metrics()),
            Inspect::Cluster => self.with_view(cluster_json),
            Inspect::Health => {
                let ready = self.is_ready();
                let live = self.phase != Phase::Stopped;
                serde_json::json!({ "live": live, "ready": ready }).to_string()
            }
        }
    }

    /// Whether it serves clients, as far as it knows.
    pub(super) fn is_ready(&self) -> bool {
        self.phase == Phase::Running
            && self.caught_up
            && self.leader_of(GroupId::RING).is_some()
            && self.leader_of(self.data_group()).is_some()
            && self.ring.as_ref().is_some_and(|r| r.state.cluster.is_some())
    }

    /// `basalt status`.
    pub fn status_text(&self) -> String {
        self.with_view(status_text)
    }

    fn with_view(&self, render: impl FnOnce(&ClusterView<'_>) -> String) -> String {
        let Some(ring) = &self.ring else { return String::new() };
        let (mut instances, mut groups) = (BTreeMap::new(), BTreeMap::new());
        if ring.group.is_leader() {
            instances = self.governing.instance_facts(self.now.mono);
            groups = self.governing.group_facts();
        }
        render(&ClusterView { ring: &ring.state, instances: &instances, groups: &groups })
    }

    fn metrics(&self) -> Metrics {
        let counting = &self.counting;
        let sessions = self.clients.counters();
        let mut metrics = Metrics {
            uptime_seconds: counting.uptime_seconds(self.now.mono),
            memory_limit_bytes: self.config.limits.memory,
            statements: sessions.statements,
            errors: sessions.errors,
            ..counting.metrics.clone()
        };
        let group_metrics = |group: &Group, applied: LogIndex| GroupMetrics {
            term: group.term().0,
            committed_index: group.committed().0,
            applied_index: applied.0,
            is_leader: group.is_leader(),
            elections_won: counting.elections_won(group.id()),
        };
        if let Some(ring) = &self.ring {
            metrics.groups.insert(GroupId::RING, group_metrics(&ring.group, ring.applied));
        }
        if let Some(shard) = &self.shard {
            metrics.memory_used_bytes = shard.store.bytes();
            metrics.groups.insert(shard.group.id(), group_metrics(&shard.group, shard.applied));
            for table in shard.store.tables() {
                let bytes = shard.store.table_bytes(table.id);
                let rows = shard.store.table_keys(table.id);
                metrics.tables.insert(table.name.clone(), TableMetrics { rows, bytes });
            }
        }
        metrics
    }
}
