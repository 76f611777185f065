//! The `_pico_*` tables: topology, catalog, users and parameters, as Picodata's scripts read them.
//!
//! Structured values are JSON. No password, verifier or other secret is in any of them.

use serde_json::{Value, json};

use super::config::PARAMETERS;
use super::model::{FailureDomain, Instance};
use super::users::User;
use super::virtual_table::{
    PG_CATALOG, View, VirtualColumn, VirtualTable, bigint, no_rows, text, text_or_null,
};
use crate::base::SqlType::{Bool, Float8, Int8, Json, Text, TimestampTz};
use crate::base::schema::{Distribution, Engine, IndexColumn, TableDef};
use crate::base::{CatalogVersion, Datum, GroupId, IndexId, InstanceId};
use crate::seam::Wall;

/// Seconds from the Unix epoch to PostgreSQL's, 2000-01-01.
const POSTGRES_EPOCH_SECONDS: i64 = 946_684_800;
/// Oids of the system tables count from here; PostgreSQL leaves the range free for us.
const FIRST_OID: u32 = 15_000;

const fn table(
    offset: u32,
    name: &'static str,
    columns: &'static [VirtualColumn],
    rows: fn(&View<'_>) -> Vec<Vec<Datum>>,
) -> VirtualTable {
    VirtualTable { schema: PG_CATALOG, name, oid: FIRST_OID + offset, columns, rows }
}

/// Every system table. An offset is given once and never again.
pub static TABLES: [VirtualTable; 16] = [
    table(
        0,
        "_pico_instance",
        &[
            ("name", Text),
            ("uuid", Text),
            ("raft_id", Int8),
            ("replicaset_name", Text),
            ("replicaset_uuid", Text),
            ("current_state", Text),
            ("target_state", Text),
            ("failure_domain", Json),
            ("tier", Text),
            ("picodata_version", Text),
            ("sync_incarnation", Int8),
            ("target_state_reason", Text),
            ("target_state_change_time", TimestampTz),
        ],
        instances,
    ),
    table(
        1,
        "_pico_replicaset",
        &[
            ("name", Text),
            ("uuid", Text),
            ("current_master_name", Text),
            ("target_master_name", Text),
            ("tier", Text),
            ("weight", Float8),
            ("weight_origin", Text),
            ("state", Text),
            ("current_config_version", Int8),
            ("target_config_version", Int8),
        ],
        replicasets,
    ),
    table(
        2,
        "_pico_tier",
        &[
            ("name", Text),
            ("replication_factor", Int8),
            ("can_vote", Bool),
            ("bucket_count", Int8),
            ("is_default", Bool),
            ("vshard_bootstrapped", Bool),
        ],
        tiers,
    ),
    table(
        3,
        "_pico_bucket",
        &[
            ("tier_name", Text),
            ("bucket_id_start", Int8),
            ("bucket_id_end", Int8),
            ("state", Text),
            ("current_replicaset_name", Text),
            ("target_replicaset_name", Text),
        ],
        buckets,
    ),
    table(
        4,
        "_pico_table",
        &[
            ("id", Int8),
            ("name", Text),
            ("distribution", Json),
            ("format", Json),
            ("schema_version", Int8),
            ("operable", Bool),
            ("engine", Text),
            ("owner", Int8),
            ("description", Text),
            ("opts", Json),
        ],
        tables,
    ),
    table(
        5,
        "_pico_index",
        &[
            ("table_id", Int8),
            ("id", Int8),
            ("name", Text),
            ("type", Text),
            ("opts", Json),
            ("parts", Json),
            ("operable", Bool),
            ("schema_version", Int8),
        ],
        indexes,
    ),
    table(
        6,
        "_pico_peer_address",
        &[("raft_id", Int8), ("address", Text), ("connection_type", Text)],
        peer_addresses,
    ),
    table(7, "_pico_property", &[("key", Text), ("value", Text)], properties),
    table(8, "_pico_db_config", &[("key", Text), ("scope", Text), ("value", Text)], db_config),
    table(
        9,
        "_pico_user",
        &[
            ("id", Int8),
            ("name", Text),
            ("schema_version", Int8),
            ("auth", Text),
            ("owner", Int8),
            ("type", Text),
        ],
        users,
    ),
    table(
        10,
        "_pico_privilege",
        &[
            ("grantor_id", Int8),
            ("grantee_id", Int8),
            ("privilege", Text),
            ("object_type", Text),
            ("object_id", Int8),
            ("schema_version", Int8),
        ],
        privileges,
    ),
    table(
        11,
        "_pico_plugin",
        &[
            ("name", Text),
            ("enabled", Bool),
            ("services", Json),
            ("version", Text),
            ("description", Text),
            ("migration_list", Json),
        ],
        no_rows,
    ),
    table(
        12,
        "_pico_service",
        &[
            ("plugin_name", Text),
            ("name", Text),
            ("version", Text),
            ("tiers", Json),
            ("description", Text),
        ],
        no_rows,
    ),
    table(
        13,
        "_pico_service_route",
        &[
            ("plugin_name", Text),
            ("plugin_version", Text),
            ("service_name", Text),
            ("instance_name", Text),
            ("poison", Bool),
        ],
        no_rows,
    ),
    table(
        14,
        "_pico_plugin_migration",
        &[("plugin_name", Text), ("migration_file", Text), ("hash", Text)],
        no_rows,
    ),
    table(
        15,
        "_pico_plugin_config",
        &[("plugin", Text), ("version", Text), ("entity", Text), ("key", Text), ("value", Json)],
        no_rows,
    ),
];

fn instances(view: &View<'_>) -> Vec<Vec<Datum>> {
    view.ring.instances.values().map(|i| instance(view, i)).collect()
}

fn instance(view: &View<'_>, i: &Instance) -> Vec<Datum> {
    let set = view.ring.replicasets.get(&i.replicaset);
    vec![
        text(i.name.as_str()),
        text(i.uuid.to_string()),
        bigint(i.id.0),
        text_or_null(set.map(|s| s.name.as_str())),
        text_or_null(set.map(|s| s.uuid.to_string())),
        text(i.current.presence.name()),
        text(i.target.presence.name()),
        failure_domain(&i.failure_domain),
        text(i.tier.as_str()),
        text(i.version.as_str()),
        bigint(i.current.incarnation),
        text(i.target_reason.as_str()),
        timestamp(i.target_changed),
    ]
}

fn failure_domain(domain: &FailureDomain) -> Datum {
    json_text(&json!(domain.0))
}

fn json_text(value: &Value) -> Datum {
    text(value.to_string())
}

fn timestamp(at: Wall) -> Datum {
    let micros = i64::try_from(at.0).unwrap_or(i64::MAX);
    Datum::Timestamp(micros.saturating_sub(POSTGRES_EPOCH_SECONDS * 1_000_000))
}

fn replicasets(view: &View<'_>) -> Vec<Vec<Datum>> {
    let name = |id: Option<InstanceId>| {
        text_or_null(id.and_then(|id| view.ring.instances.get(&id)).map(|i| i.name.as_str()))
    };
    let row = |s: &super::model::Replicaset| {
        vec![
            text(s.name.as_str()),
            text(s.uuid.to_string()),
            name(s.current_master),
            name(s.target_master),
            text(s.tier.as_str()),
            Datum::Float8(f64::from(s.weight)),
            text("auto"),
            text(s.state.name()),
            bigint(u64::from(s.current_master.is_some())),
            bigint(u64::from(s.target_master.is_some())),
        ]
    };
    view.ring.replicasets.values().map(row).collect()
}

fn tiers(view: &View<'_>) -> Vec<Vec<Datum>> {
    let has_owner = |name: &str| view.ring.buckets.keys().any(|(tier, _)| tier == name);
    let row = |t: &super::model::Tier| {
        vec![
            text(t.name.as_str()),
            bigint(t.replication_factor),
            Datum::Bool(t.can_vote),
            bigint(t.bucket_count),
            Datum::Bool(t.is_default),
            Datum::Bool(has_owner(&t.name)),
        ]
    };
    view.ring.tiers.values().map(row).collect()
}

fn buckets(view: &View<'_>) -> Vec<Vec<Datum>> {
    let name = |id: GroupId| text_or_null(view.ring.replicasets.get(&id).map(|s| s.name.as_str()));
    let rows = view.ring.buckets.iter().map(|((tier, first), range)| {
        vec![
            text(tier.as_str()),
            bigint(*first),
            bigint(range.last),
            text("active"),
            name(range.owner),
            name(range.owner),
        ]
    });
    rows.collect()
}

fn tables(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |t: &TableDef| {
        let opts = if t.unlogged { json!([{"unlogged": true}]) } else { json!([]) };
        vec![
            bigint(t.id.0),
            text(t.name.as_str()),
            json_text(&distribution(t)),
            json_text(&format(t)),
            bigint(t.version.0),
            Datum::Bool(t.operable),
            text(match t.engine {
                Engine::Memtx => "memtx",
                Engine::Vinyl => "vinyl",
            }),
            bigint(t.owner.0),
            text(""),
            json_text(&opts),
        ]
    };
    view.ring.catalog.tables.iter().map(|t| row(t)).collect()
}

/// As Picodata writes it: `{"ShardedImplicitly":[["a"],"murmur3","default"]}` or `{"Global":null}`.
fn distribution(table: &TableDef) -> Value {
    match &table.distribution {
        Distribution::Global => json!({"Global": null}),
        Distribution::Sharded { columns, tier } => {
            let names: Vec<&str> =
                columns.iter().map(|&k| table.columns[usize::from(k)].name.as_str()).collect();
            json!({"ShardedImplicitly": [names, "murmur3", tier]})
        }
    }
}

fn format(table: &TableDef) -> Value {
    let column = |c: &crate::base::schema::ColumnDef| json!({"name": c.name, "field_type": c.ty.info().sql_name, "is_nullable": c.nullable});
    table.columns.iter().map(column).collect()
}

fn indexes(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for table in view.ring.catalog.tables.iter() {
        let key: Vec<IndexColumn> = table
            .primary_key
            .iter()
            .map(|&column| IndexColumn { column, descending: false, nulls_first: false })
            .collect();
        rows.push(index(table, table.primary_key_id, &table.primary_key_name, &key, true));
        for i in &table.indexes {
            rows.push(index(table, i.id, &i.name, &i.columns, i.unique));
        }
    }
    rows
}

fn index(
    table: &TableDef,
    id: IndexId,
    name: &str,
    columns: &[IndexColumn],
    unique: bool,
) -> Vec<Datum> {
    let part = |key: &IndexColumn| {
        let column = &table.columns[usize::from(key.column)];
        json!({
            "field": column.name,
            "type": column.ty.info().sql_name,
            "is_nullable": column.nullable,
            "sort_order": if key.descending { "desc" } else { "asc" },
        })
    };
    vec![
        bigint(table.id.0),
        bigint(id.0),
        text(name),
        text("tree"),
        json_text(&json!([{"unique": unique}])),
        json_text(&columns.iter().map(part).collect()),
        Datum::Bool(table.operable),
        bigint(table.version.0),
    ]
}

fn peer_addresses(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for i in view.ring.instances.values().filter(|i| i.is_member()) {
        let e = &i.endpoints;
        for (address, kind) in [(&e.peer, "iproto"), (&e.pg, "pgproto"), (&e.http, "http")] {
            if !address.is_empty() {
                rows.push(vec![bigint(i.id.0), text(address.as_str()), text(kind)]);
            }
        }
    }
    rows
}

fn properties(view: &View<'_>) -> Vec<Vec<Datum>> {
    let ring = view.ring;
    let mut rows = Vec::new();
    let mut add = |key: &str, value: String| rows.push(vec![text(key), text(value)]);
    if let Some(cluster) = &ring.cluster {
        add("cluster_name", cluster.name.clone());
        add("cluster_uuid", cluster.uuid.to_string());
        add("cluster_version", cluster.version.to_string());
    }
    add("system_catalog_version", ring.catalog.version.to_string());
    add("global_schema_version", ring.catalog.schema_version.to_string());
    add("next_schema_version", CatalogVersion(ring.catalog.version.0 + 1).to_string());
    if let Some(pending) = &ring.ddl.pending {
        add("pending_schema_version", pending.change.version.to_string());
        add("pending_schema_change", pending.change.op.to_string());
    }
    rows
}

fn db_config(view: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for parameter in &PARAMETERS {
        let own = view.ring.config.iter().filter(|((key, _), _)| key == parameter.name);
        let of_tiers = own.filter(|((_, tier), _)| !tier.is_empty());
        let everywhere = view.ring.config.get(&(parameter.name.to_owned(), String::new()));
        let value = everywhere.map_or(parameter.default, String::as_str);
        rows.push(vec![text(parameter.name), text(""), text(value)]);
        for ((_, tier), value) in of_tiers {
            rows.push(vec![text(parameter.name), text(tier.as_str()), text(value.as_str())]);
        }
    }
    rows
}

fn users(view: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |u: &User| {
        vec![
            bigint(u.id.0),
            text(u.name.as_str()),
            bigint(u.schema_version),
            text_or_null(u.verifier.as_ref().map(|_| "scram-sha256")),
            bigint(u.owner.0),
            text(u.kind.name()),
        ]
    };
    view.ring.catalog.users.iter().map(row).collect()
}

fn privileges(view: &View<'_>) -> Vec<Vec<Datum>> {
    let grants = view.ring.catalog.users.grants();
    let rows = grants.map(|(grant, by)| {
        vec![
            bigint(by.grantor.0),
            bigint(grant.grantee.0),
            text(grant.privilege.name()),
            text(grant.object.kind_name()),
            Datum::Int8(grant.object.id()),
            bigint(by.schema_version),
        ]
    });
    rows.collect()
}
