//! What the shell and `basalt status` may ask.
//!
//! Who is what in which group only the ring's leader hears of all instances. So it is asked for the pages
//! that show this; without an answer this instance shows what it knows itself of its own groups.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::{Body, Page, RequestKind, ResponseKind};
use super::requests::Answer;
use super::serve;
use super::state::{Phase, Shared, State};
use crate::admin::metrics::{GroupMetrics, Metrics, TableMetrics, render};
use crate::admin::{ClusterView, cluster_json, status_text};
use crate::base::{CatalogVersion, GroupId, LogIndex};
use crate::group::Group;
use crate::seam::{Effect, Inspect, Lane, PeerAddr};
use crate::topology::governor::GroupFacts;

/// How long the ring's leader may take to describe the cluster.
const LEADER_PATIENCE: Duration = Duration::from_millis(500);
/// From this format of the cluster on all instances understand the question.
const DESCRIBED_SINCE: u32 = 2;

/// Answers `basalt status`.
pub async fn tell_status(me: Shared, from: PeerAddr, request: u64) {
    let text = described(&me, Page::Status).await;
    me.borrow_mut().send(from, Lane::Fast, Body::StatusReply { request, text });
}

/// Answers the shell's question for the cluster page.
pub async fn show_cluster(me: Shared, request: u64) {
    let body = described(&me, Page::Cluster).await;
    me.borrow_mut().effects.push(Effect::Inspected { request, body });
}

/// The page as the ring's leader has it, or as this instance has.
async fn described(me: &Shared, page: Page) -> String {
    let (understood, deadline) = {
        let state = me.borrow();
        let cluster = state.ring.as_ref().and_then(|ring| ring.state.cluster.as_ref());
        let understood = cluster.is_some_and(|cluster| cluster.version >= DESCRIBED_SINCE);
        (understood, state.now.mono + LEADER_PATIENCE)
    };
    if understood {
        let what = RequestKind::Describe(page);
        let answer = serve::ask_once(me, GroupId::RING, what, deadline).await;
        if let Answer::Response(ResponseKind::Text(text)) = answer {
            return text;
        }
    }
    me.borrow().page(page)
}

/// What any member knows of its group. Of a leader's followers only the leader knows how far they are.
fn own_facts(group: &Group, schema: CatalogVersion) -> GroupFacts {
    let membership = group.membership();
    let committed = group.committed().0;
    let lag = |matched: LogIndex| committed.saturating_sub(matched.0);
    GroupFacts {
        leader: group.leader(),
        voters: membership.voters.iter().copied().collect(),
        learners: membership.learners.iter().copied().collect(),
        lag: group.progress().into_iter().map(|p| (p.id, lag(p.matched))).collect(),
        schema,
        ..GroupFacts::default()
    }
}

impl State {
    /// The answer to a question of the shell.
    pub fn inspect(&self, what: Inspect) -> String {
        match what {
            Inspect::Metrics => render(&self.metrics()),
            Inspect::Cluster => self.page(Page::Cluster),
            Inspect::Health => {
                let ready = self.is_ready();
                let live = self.phase != Phase::Stopped;
                serde_json::json!({ "live": live, "ready": ready }).to_string()
            }
        }
    }

    /// A page with what this instance knows.
    pub fn page(&self, page: Page) -> String {
        match page {
            Page::Status => self.with_view(status_text),
            Page::Cluster => self.with_view(cluster_json),
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

    fn with_view(&self, render: impl FnOnce(&ClusterView<'_>) -> String) -> String {
        let Some(ring) = &self.ring else { return String::new() };
        let mut instances = BTreeMap::new();
        let of_ring = own_facts(&ring.group, ring.state.catalog.schema_version);
        let mut groups: BTreeMap<_, _> = [(GroupId::RING, of_ring)].into();
        if let Some(shard) = &self.shard {
            groups.insert(shard.group.id(), own_facts(&shard.group, shard.schema));
        }
        if ring.group.is_leader() {
            instances = self.governing.instance_facts(self.now.mono);
            groups.extend(self.governing.group_facts());
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
