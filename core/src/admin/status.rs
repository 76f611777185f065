//! `basalt status`: the cluster on one screen.

use super::ClusterView;
use super::table::Table;
use crate::base::{GroupId, InstanceId};
use crate::topology::model::Instance;

/// The cluster in three parts: a summary, replica sets, instances. Ends with a newline.
pub fn status_text(view: &ClusterView<'_>) -> String {
    let Some(cluster) = &view.ring.cluster else {
        return "no cluster yet\n".into();
    };
    let instances = view.ring.instances.values().filter(|i| i.is_member());
    let online = instances.clone().filter(|i| i.is_online()).count();
    let total = instances.count();
    let mut out = format!("cluster      {} ({})\n", cluster.name, cluster.uuid);
    let mut line = |label: &str, text: String| out.push_str(&format!("{label:<12} {text}\n"));
    line("version", cluster.version.to_string());
    line("instances", format!("{online} of {total} online"));
    line("ring", ring(view));
    line("schema", schema(view));
    format!("{out}\n{}\n{}", replicasets(view), instance_table(view))
}

fn ring(view: &ClusterView<'_>) -> String {
    let Some(facts) = view.groups.get(&GroupId::RING) else {
        return format!("applied {}", view.ring.applied);
    };
    let voters: Vec<String> = facts.voters.iter().map(|id| name(view, *id)).collect();
    let leader = facts.leader.map_or("nobody".to_owned(), |id| name(view, id));
    format!("{leader} leads, voters {}", voters.join(" "))
}

fn schema(view: &ClusterView<'_>) -> String {
    let tables = view.ring.catalog.tables.len();
    let text = format!("{tables} tables, catalog version {}", view.ring.catalog.version);
    match &view.ring.ddl.pending {
        Some(pending) => format!(
            "{text}, in progress: {} ({} waiting)",
            pending.change.op,
            view.ring.ddl.queue.len()
        ),
        None => text,
    }
}

fn name(view: &ClusterView<'_>, id: InstanceId) -> String {
    view.ring.instances.get(&id).map_or_else(|| format!("#{id}"), |i| i.name.clone())
}

fn replicasets(view: &ClusterView<'_>) -> String {
    let mut table = Table::new(&["REPLICA SET", "TIER", "STATE", "LEADER", "ONLINE", "BUCKETS"]);
    for set in view.ring.replicasets.values() {
        let factor = view.ring.tiers.get(&set.tier).map_or(0, |t| t.replication_factor);
        let online = view.ring.members(set.id).filter(|i| i.is_online()).count();
        table.row(vec![
            set.name.clone(),
            set.tier.clone(),
            set.state.name().to_owned(),
            view.leader(set.id).map_or(String::new(), |id| name(view, id)),
            format!("{online}/{factor}"),
            view.bucket_count(set.id).to_string(),
        ]);
    }
    table.render()
}

fn instance_table(view: &ClusterView<'_>) -> String {
    let mut table = Table::new(&[
        "INSTANCE",
        "STATE",
        "REPLICA SET",
        "ROLE",
        "RING",
        "LAG",
        "FAILURE DOMAIN",
        "ADDRESS",
        "UUID",
    ]);
    for instance in view.ring.instances.values() {
        table.row(instance_row(view, instance));
    }
    table.render()
}

fn instance_row(view: &ClusterView<'_>, i: &Instance) -> Vec<String> {
    let (current, target) = (i.current.presence.name(), i.target.presence.name());
    let state =
        if current == target { current.to_owned() } else { format!("{current}→{target}") };
    let part = |group| view.part(group, i.id).map_or(String::new(), |p| p.name().to_owned());
    let domain: Vec<String> = i.failure_domain.0.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let set = view.ring.replicasets.get(&i.replicaset);
    vec![
        i.name.clone(),
        state,
        set.map_or(String::new(), |s| s.name.clone()),
        part(i.replicaset),
        part(GroupId::RING),
        view.lag(i.replicaset, i.id).map_or(String::new(), |lag| lag.to_string()),
        domain.join(","),
        i.endpoints.peer.clone(),
        i.uuid.to_string(),
    ]
}
