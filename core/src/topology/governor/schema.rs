//! Schema changes: push to each shard, then commit, or abort if one refuses.
//!
//! Only the shards that own buckets decide. A replica set without buckets keeps no rows, so it cannot have
//! a reason against a change, and must not hold it up when it is away: it is told everything at once when
//! it is back, and has to be where the catalog is before it takes a bucket.

use super::Step;
use super::view::{GovernorView, GroupFacts};
use crate::base::{CatalogVersion, GroupId};
use crate::topology::ddl::{PendingDdl, SchemaChange, SchemaOp};
use crate::topology::entry::RingEntry;
use crate::topology::model::ReplicasetState;

pub(super) fn plan(view: &GovernorView<'_>, steps: &mut Vec<Step>) {
    let pending = view.ring.ddl.pending.as_ref();
    if let Some(entry) = pending.and_then(|pending| decision(view, pending)) {
        steps.push(Step::ProposeRing(entry));
        return;
    }
    for group in shards(view) {
        let Some(facts) = view.groups.get(&group) else { continue };
        if facts.leader.is_some() {
            steps.extend(next_change(view, facts).map(|c| Step::PushSchema { group, change: c }));
        }
    }
}

/// The groups that keep tables: of every replica set that was founded and not given up.
fn shards<'a>(view: &'a GovernorView<'a>) -> impl Iterator<Item = GroupId> + 'a {
    let sets = view.ring.replicasets.values();
    sets.filter(|s| s.founder.is_some() && s.state != ReplicasetState::Expelled).map(|s| s.id)
}

/// The groups that keep rows.
fn deciders<'a>(view: &'a GovernorView<'a>) -> impl Iterator<Item = GroupId> + 'a {
    shards(view).filter(|set| view.ring.owns_buckets(*set))
}

/// Commit when all deciders have the change, abort when one refused it, else nothing yet.
fn decision(view: &GovernorView<'_>, pending: &PendingDdl) -> Option<RingEntry> {
    let version = pending.change.version;
    if pending.can_abort()
        && let Some(error) = deciders(view).find_map(|g| refusal(view, g, version))
    {
        return Some(RingEntry::DdlAbort { version, error });
    }
    let has_it = |group| view.groups.get(&group).is_some_and(|facts| facts.schema == version);
    deciders(view).all(has_it).then_some(RingEntry::DdlCommit { version })
}

fn refusal(
    view: &GovernorView<'_>,
    group: GroupId,
    version: CatalogVersion,
) -> Option<crate::base::SqlError> {
    let (refused, error) = view.groups.get(&group)?.refused.as_ref()?;
    (*refused == version).then(|| error.clone())
}

/// What brings a shard forward: the pending change if it is where that starts, else everything.
fn next_change(view: &GovernorView<'_>, facts: &GroupFacts) -> Option<SchemaChange> {
    let version = view.ring.catalog.schema_version;
    match &view.ring.ddl.pending {
        Some(pending) if facts.schema == pending.change.version => None,
        Some(pending) if facts.schema == pending.change.previous => Some(pending.change.clone()),
        _ if facts.schema == version => None,
        _ => Some(SchemaChange {
            previous: facts.schema,
            version,
            op: SchemaOp::Everything(view.ring.committed_tables()),
        }),
    }
}
