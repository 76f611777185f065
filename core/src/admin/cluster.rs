//! `/api/v1/cluster`: the cluster as JSON, for the cluster page and for scripts.

use serde_json::{Value, json};

use super::ClusterView;
use crate::base::GroupId;
use crate::topology::model::{Instance, Replicaset, Tier};

/// One JSON object; `null` where this instance does not know.
pub fn cluster_json(view: &ClusterView<'_>) -> String {
    let ring = view.ring;
    let facts = view.groups.get(&GroupId::RING);
    let online = ring.instances.values().filter(|i| i.is_online() && i.is_member()).count();
    let members = ring.instances.values().filter(|i| i.is_member()).count();
    json!({
        "name": ring.cluster.as_ref().map(|c| &c.name),
        "uuid": ring.cluster.as_ref().map(|c| c.uuid.to_string()),
        "version": ring.cluster.as_ref().map(|c| c.version),
        "instances_online": online,
        "instances_total": members,
        "replicasets_total": ring.replicasets.len(),
        "ring": {
            "applied": ring.applied.0,
            "leader": facts.and_then(|f| f.leader).map(|id| id.0),
            "voters": facts.map(|f| f.voters.iter().map(|id| id.0).collect::<Vec<_>>()),
        },
        "schema": {
            "catalog_version": ring.catalog.version.0,
            "schema_version": ring.catalog.schema_version.0,
            "tables": ring.catalog.tables.len(),
            "pending": ring.ddl.pending.as_ref().map(|p| p.change.op.to_string()),
            "waiting": ring.ddl.queue.len(),
        },
        "tiers": ring.tiers.values().map(|t| tier(view, t)).collect::<Vec<_>>(),
    })
    .to_string()
}

fn tier(view: &ClusterView<'_>, tier: &Tier) -> Value {
    let sets = view.ring.replicasets.values().filter(|s| s.tier == tier.name);
    json!({
        "name": tier.name,
        "replication_factor": tier.replication_factor,
        "can_vote": tier.can_vote,
        "bucket_count": tier.bucket_count,
        "is_default": tier.is_default,
        "replicasets": sets.map(|s| replicaset(view, s)).collect::<Vec<_>>(),
    })
}

fn replicaset(view: &ClusterView<'_>, set: &Replicaset) -> Value {
    let instances = view.ring.instances.values().filter(|i| i.replicaset == set.id);
    json!({
        "id": set.id.0,
        "name": set.name,
        "uuid": set.uuid.to_string(),
        "state": set.state.name(),
        "weight": set.weight,
        "leader": view.leader(set.id).map(|id| id.0),
        "buckets": view.bucket_count(set.id),
        "schema_version": view.groups.get(&set.id).map(|f| f.schema.0),
        "instances": instances.map(|i| instance(view, i)).collect::<Vec<_>>(),
    })
}

fn instance(view: &ClusterView<'_>, i: &Instance) -> Value {
    json!({
        "id": i.id.0,
        "name": i.name,
        "uuid": i.uuid.to_string(),
        "current_state": i.current.presence.name(),
        "target_state": i.target.presence.name(),
        "target_state_reason": i.target_reason,
        "reachable": view.instances.get(&i.id).map(|f| f.reachable),
        "role": view.part(i.replicaset, i.id).map(super::Part::name),
        "ring_role": view.part(GroupId::RING, i.id).map(super::Part::name),
        "lag": view.lag(i.replicaset, i.id),
        "failure_domain": i.failure_domain.0,
        "version": i.version,
        "address": i.endpoints.peer,
        "pg_address": i.endpoints.pg,
        "http_address": i.endpoints.http,
    })
}
