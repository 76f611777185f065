//! Where a joining instance goes, what it is called, and which instances vote in the ring.
//!
//! Pure choices over the ring's state. The rule of a join (Picodata's): the first replica set of the
//! tier that has room and no member with a failure-domain value in common with the newcomer; if
//! there is none, a new replica set.
//!
//! ```text
//!   factor 2     default_1: dc=a, dc=b   full
//!                default_2: dc=a         newcomer dc=b → default_2; newcomer dc=a → default_3 (new)
//! ```
//!
//! A key that only one of two instances names sets them neither apart nor together.
//!
//! An instance whose disk was lost or damaged comes back as a new one: by its address, or because it
//! says so, it takes the place of the old one, which is expelled in the same breath. Its replica set
//! has to have another member, or no buckets, or the rows would be gone without a word. A replica set
//! whose last instance goes ends with it: nobody is left to take a newcomer in. Whoever replaces that
//! instance gets a new one, also where it asks for the old one by name.
//!
//! The entries of a join are proposed one by one, and what comes in between has the rest planned anew:
//! another join, the loss of the leader. Whatever part of them is applied by then, the new plan goes on from
//! there. It knows the instance that was replaced though it is expelled already, and finds the replica set
//! that was added and has nobody in it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::entry::RingEntry;
use super::model::{
    Endpoints, FailureDomain, FormatVersion, Instance, InstanceSeed, Replicaset, ReplicasetSeed,
    ReplicasetState, Tier,
};
use super::ring::RingState;
use crate::base::{GroupId, InstanceId, SqlError, SqlResult, SqlState};
use crate::seam::Wall;

/// The largest replication factor.
pub const REPLICATION_FACTOR_MAX: u8 = 31;
/// Instances a cluster may ever have had.
pub const INSTANCES_MAX: usize = 10_000;

/// What a newcomer says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRequest {
    pub uuid: Uuid,
    /// For the replica set, should a new one be needed; drawn by whoever asks.
    pub new_replicaset_uuid: Uuid,
    /// The instance that the newcomer was, before its data was lost or damaged.
    pub replaces: Option<Uuid>,
    pub tier: String,
    pub failure_domain: FailureDomain,
    pub instance_name: Option<String>,
    pub replicaset_name: Option<String>,
    pub endpoints: Endpoints,
    pub version: String,
    pub format_version: FormatVersion,
}

/// The answer to a join.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinPlan {
    /// It is a member already: a lost reply, asked again.
    Member(InstanceId),
    /// Propose these in order; it is a member when the last is applied. A rejection (40001) means
    /// that another join came first: plan again.
    Propose(Vec<RingEntry>),
}

/// Plans the join of one instance. Errors are for the newcomer and final.
pub fn plan_join(state: &RingState, request: &JoinRequest, at: Wall) -> SqlResult<JoinPlan> {
    if let Some(known) = state.instances.values().find(|i| i.uuid == request.uuid) {
        if known.is_member() {
            return Ok(JoinPlan::Member(known.id));
        }
        return Err(refused(format!("instance {} was expelled", known.name))
            .with_hint("Start it with a new, empty data directory."));
    }
    check_version(state, request)?;
    if state.instances.len() >= INSTANCES_MAX {
        return Err(refused(format!("a cluster has at most {INSTANCES_MAX} instances")));
    }
    let tier = state.tiers.get(&request.tier).ok_or_else(|| {
        let names: Vec<&str> = state.tiers.keys().map(String::as_str).collect();
        refused(format!("tier \"{}\" does not exist", request.tier))
            .with_hint(format!("Tiers of this cluster: {}.", names.join(", ")))
    })?;
    let mut entries = Vec::new();
    let old = predecessor(state, request);
    if let Some(old) = old {
        check_replaceable(state, old)?;
        entries.push(RingEntry::Expel { id: old.id, force: true, at });
    }
    let (replicaset, replicaset_name) = match choose_replicaset(state, tier, request, old)? {
        ReplicasetChoice::Existing(id) => (id, state.replicasets[&id].name.clone()),
        ReplicasetChoice::New(name) => {
            let id = state.next_group_id();
            entries.push(RingEntry::AddReplicaset(ReplicasetSeed {
                id,
                name: name.clone(),
                uuid: request.new_replicaset_uuid,
                tier: tier.name.clone(),
            }));
            (id, name)
        }
    };
    let name = instance_name(state, request.instance_name.as_deref(), &replicaset_name, old)?;
    let seed = InstanceSeed {
        id: state.next_instance_id(),
        name,
        uuid: request.uuid,
        replicaset,
        failure_domain: request.failure_domain.clone(),
        endpoints: request.endpoints.clone(),
        version: request.version.clone(),
        format_version: request.format_version,
    };
    entries.push(RingEntry::AddInstance { seed: Box::new(seed), at });
    Ok(JoinPlan::Propose(entries))
}

/// The member whose place the newcomer takes: the one it says it was, or the one of its address.
pub fn predecessor<'a>(state: &'a RingState, request: &JoinRequest) -> Option<&'a Instance> {
    if state.instances.values().any(|i| i.uuid == request.uuid) {
        return None;
    }
    state.instances.values().find(|i| i.is_member() && was(i, request))
}

/// Whether the newcomer was this instance, which may be expelled.
fn was(instance: &Instance, request: &JoinRequest) -> bool {
    request.replaces == Some(instance.uuid) || instance.endpoints.peer == request.endpoints.peer
}

/// The only copy of a replica set's rows is not given up because somebody came up with an empty disk.
fn check_replaceable(state: &RingState, old: &Instance) -> SqlResult<()> {
    let was_online = old.target.incarnation > 0;
    let alone = state.members(old.replicaset).count() == 1;
    if was_online && alone && state.owns_buckets(old.replicaset) {
        let set = state.replicasets.get(&old.replicaset).map_or("", |set| set.name.as_str());
        return Err(refused(format!(
            "instance {} was here and holds the only copy of replica set \"{set}\"",
            old.name
        ))
        .with_hint("Start it with its data directory, or expel it first."));
    }
    Ok(())
}

/// An instance may join that understands what the cluster writes.
fn check_version(state: &RingState, request: &JoinRequest) -> SqlResult<()> {
    let Some(cluster) = &state.cluster else {
        return Err(refused("there is no cluster yet"));
    };
    if request.format_version < cluster.version {
        return Err(refused(format!(
            "version {} of the joining instance is too old: the cluster writes format {}, it reads up to {}",
            request.version, cluster.version, request.format_version
        ))
        .with_hint("Start it with a newer build."));
    }
    Ok(())
}

/// Where a newcomer goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicasetChoice {
    Existing(GroupId),
    /// A new one, of this name.
    New(String),
}

/// Picks the replica set: that of the instance replaced, else the one asked for by name, else the one it
/// was in before or the first, of those that fit, else a new one.
pub fn choose_replicaset(
    state: &RingState,
    tier: &Tier,
    request: &JoinRequest,
    old: Option<&Instance>,
) -> SqlResult<ReplicasetChoice> {
    let asked_for =
        |set: &Replicaset| request.replicaset_name.as_ref().is_none_or(|n| *n == set.name);
    if let Some(set) = set_of_others(state, tier, old).filter(|set| asked_for(set)) {
        return Ok(ReplicasetChoice::Existing(set.id));
    }
    if let Some(name) = &request.replicaset_name {
        return named_replicaset(state, tier, name, request, old);
    }
    let fits = |set: &&Replicaset| {
        set.tier == tier.name
            && !has_ended(state, set, old)
            && !waits_for_founder(set)
            && has_room(state, set.id, tier)
            && !state
                .members(set.id)
                .any(|member| member.failure_domain.shares_with(&request.failure_domain))
    };
    let last = state.instances.values().rfind(|i| was(i, request));
    let before = last.and_then(|last| state.replicasets.get(&last.replicaset));
    Ok(match before.into_iter().chain(state.replicasets.values()).find(fits) {
        Some(set) => ReplicasetChoice::Existing(set.id),
        None => ReplicasetChoice::New(new_replicaset_name(state, tier)),
    })
}

fn named_replicaset(
    state: &RingState,
    tier: &Tier,
    name: &str,
    request: &JoinRequest,
    old: Option<&Instance>,
) -> SqlResult<ReplicasetChoice> {
    super::ddl::check_name(name)?;
    let Some(set) = state.replicasets.values().find(|set| set.name == name) else {
        return Ok(ReplicasetChoice::New(name.to_owned()));
    };
    if set.tier != tier.name {
        return Err(refused(format!(
            "replica set \"{name}\" belongs to tier \"{}\", not \"{}\"",
            set.tier, tier.name
        )));
    }
    if has_ended(state, set, old) {
        // Whoever was the last one of a set has to go somewhere, at every start with this name.
        let is_last = old.is_some_and(|old| state.members(old.replicaset).count() == 1);
        let was_in_it = |i: &Instance| i.replicaset == set.id && was(i, request);
        if is_last || state.instances.values().any(was_in_it) {
            return Ok(in_place_of_ended(state, tier, old));
        }
        return Err(refused(format!("replica set \"{name}\" was expelled")));
    }
    if !has_room(state, set.id, tier) {
        return Err(refused(format!(
            "replica set \"{name}\" is full: it has {} of {} instances",
            state.members(set.id).count(),
            tier.replication_factor
        )));
    }
    Ok(ReplicasetChoice::Existing(set.id))
}

/// Where an instance goes whose own replica set has ended: to those it was with since then, else to a set
/// that nobody has been in, which an earlier try may have added for it, else to a new one.
fn in_place_of_ended(state: &RingState, tier: &Tier, old: Option<&Instance>) -> ReplicasetChoice {
    let unused = || {
        let mut sets = state.replicasets.values();
        sets.find(|s| s.tier == tier.name && s.founder.is_none() && !waits_for_founder(s))
    };
    match set_of_others(state, tier, old).or_else(unused) {
        Some(set) => ReplicasetChoice::Existing(set.id),
        None => ReplicasetChoice::New(new_replicaset_name(state, tier)),
    }
}

/// The replica set of the instance replaced, if it has another member.
fn set_of_others<'a>(
    state: &'a RingState,
    tier: &Tier,
    old: Option<&Instance>,
) -> Option<&'a Replicaset> {
    let old = old.filter(|old| state.members(old.replicaset).count() > 1)?;
    state.replicasets.get(&old.replicaset).filter(|set| set.tier == tier.name)
}

/// Whether a replica set was added for somebody who asked for it by name and is not there yet: the first
/// one to come by would take the place.
fn waits_for_founder(set: &Replicaset) -> bool {
    let number = set.name.strip_prefix(&set.tier).and_then(|rest| rest.strip_prefix('_'));
    let is_numbered = number.is_some_and(|number| number.parse::<u32>().is_ok());
    set.founder.is_none() && !is_numbered
}

/// Whether nobody is, or will be, left of those that were in a replica set, now that `old` is replaced.
fn has_ended(state: &RingState, set: &Replicaset, old: Option<&Instance>) -> bool {
    let stays = |member: &Instance| old.is_none_or(|old| old.id != member.id);
    set.state == ReplicasetState::Expelled
        || (set.founder.is_some() && !state.members(set.id).any(stays))
}

fn has_room(state: &RingState, set: GroupId, tier: &Tier) -> bool {
    state.members(set).count() < usize::from(tier.replication_factor)
}

/// `<tier>_<k>` with the lowest free k.
fn new_replicaset_name(state: &RingState, tier: &Tier) -> String {
    let taken: BTreeSet<&str> = state.replicasets.values().map(|set| set.name.as_str()).collect();
    numbered(&tier.name, &taken)
}

/// The wanted name if no member that stays has it, else `<replica set>_<n>` with the lowest free n.
fn instance_name(
    state: &RingState,
    wanted: Option<&str>,
    replicaset: &str,
    old: Option<&Instance>,
) -> SqlResult<String> {
    let taken: BTreeSet<&str> = state.instances.values().map(|i| i.name.as_str()).collect();
    let Some(name) = wanted else { return Ok(numbered(replicaset, &taken)) };
    super::ddl::check_name(name)?;
    let stays = |i: &&Instance| i.is_member() && old.is_none_or(|old| old.id != i.id);
    if state.instances.values().filter(stays).any(|i| i.name == name) {
        return Err(refused(format!("instance name \"{name}\" is taken")));
    }
    Ok(name.to_owned())
}

fn numbered(prefix: &str, taken: &BTreeSet<&str>) -> String {
    (1u32..)
        .map(|k| format!("{prefix}_{k}"))
        .find(|name| !taken.contains(name.as_str()))
        .expect("fewer than 2^32 names are taken")
}

fn refused(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::ObjectNotInPrerequisiteState, message)
}

/// Checks the tiers a cluster is to start with: exactly one default is marked if none was.
pub fn check_tiers(tiers: &mut [Tier]) -> SqlResult<()> {
    let invalid = |m: String| Err(SqlError::new(SqlState::InvalidParameterValue, m));
    let mut names = BTreeSet::new();
    for tier in tiers.iter() {
        super::ddl::check_name(&tier.name)?;
        if !names.insert(tier.name.as_str()) {
            return invalid(format!("tier \"{}\" is described twice", tier.name));
        }
        if !(1..=REPLICATION_FACTOR_MAX).contains(&tier.replication_factor) {
            return invalid(format!(
                "replication factor {} of tier \"{}\" is not from 1 to {REPLICATION_FACTOR_MAX}",
                tier.replication_factor, tier.name
            ));
        }
    }
    if !tiers.iter().any(|t| t.can_vote) {
        return invalid("no tier may vote: set can_vote for at least one".into());
    }
    match tiers.iter().filter(|t| t.is_default).count() {
        1 => return Ok(()),
        0 => {}
        _ => return invalid("more than one tier is marked as the default".into()),
    }
    let named = tiers.iter().position(|t| t.name == super::model::DEFAULT_TIER);
    if let Some(first) = named.or_else(|| tiers.iter().position(|t| t.bucket_count > 0)) {
        tiers[first].is_default = true;
    }
    Ok(())
}

/// Reads a failure domain: a JSON object of strings, or `K=V,K=V`. Keys are upper-cased.
pub fn parse_failure_domain(text: &str) -> SqlResult<FailureDomain> {
    let text = text.trim();
    let pairs = if text.starts_with('{') { json_pairs(text)? } else { list_pairs(text)? };
    let mut domain = BTreeMap::new();
    for (key, value) in pairs {
        let key = check_label(&key)?.to_uppercase();
        let value = check_label(&value)?.to_owned();
        if domain.contains_key(&key) {
            return Err(bad_domain(format!("{key} is given twice")));
        }
        domain.insert(key, value);
    }
    Ok(FailureDomain(domain))
}

fn json_pairs(text: &str) -> SqlResult<Vec<(String, String)>> {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text).map_err(|error| bad_domain(error.to_string()))?;
    object
        .into_iter()
        .map(|(key, value)| match value {
            serde_json::Value::String(value) => Ok((key, value)),
            serde_json::Value::Number(value) => Ok((key, value.to_string())),
            _ => Err(bad_domain(format!("the value of {key} is neither text nor a number"))),
        })
        .collect()
}

fn list_pairs(text: &str) -> SqlResult<Vec<(String, String)>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',')
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
            None => Err(bad_domain(format!("\"{}\" has no '='", pair.trim()))),
        })
        .collect()
}

fn check_label(label: &str) -> SqlResult<&str> {
    let fine = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    if label.is_empty() || label.len() > 63 || !label.chars().all(fine) {
        return Err(bad_domain(format!("\"{label}\" is not a label")));
    }
    Ok(label)
}

fn bad_domain(why: String) -> SqlError {
    SqlError::new(SqlState::InvalidParameterValue, format!("invalid failure domain: {why}"))
        .with_hint("Write {\"dc\": \"a\", \"rack\": \"7\"} or dc=a,rack=7.")
}

/// An instance that may vote in the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoterCandidate {
    pub id: InstanceId,
    pub failure_domain: FailureDomain,
    pub online: bool,
    pub votes_now: bool,
}

/// Voters for so many candidates: 1, 2, 3, 3, 5, 5, …
pub fn voter_count(candidates: usize) -> usize {
    match candidates {
        0..=2 => candidates,
        3 | 4 => 3,
        _ => 5,
    }
}

/// Picks the ring's voters: online before offline, spread over failure domains, and no change
/// unless it makes the set better in that order.
pub fn choose_ring_voters(candidates: &[VoterCandidate]) -> BTreeSet<InstanceId> {
    let count = voter_count(candidates.len());
    let mut chosen: Vec<&VoterCandidate> = Vec::with_capacity(count);
    while chosen.len() < count {
        let next = candidates
            .iter()
            .filter(|c| chosen.iter().all(|taken| taken.id != c.id))
            .min_by_key(|c| (!c.online, neighbours(c, &chosen), !c.votes_now, c.id))
            .expect("count is at most the number of candidates");
        chosen.push(next);
    }
    let now: Vec<&VoterCandidate> = candidates.iter().filter(|c| c.votes_now).collect();
    let keep = now.len() == count && badness(&now) <= badness(&chosen);
    let best = if keep { now } else { chosen };
    best.into_iter().map(|c| c.id).collect()
}

/// How many of `others` may fail together with `candidate`.
fn neighbours(candidate: &VoterCandidate, others: &[&VoterCandidate]) -> usize {
    others.iter().filter(|o| o.failure_domain.shares_with(&candidate.failure_domain)).count()
}

/// Offline members, then pairs that may fail together.
fn badness(set: &[&VoterCandidate]) -> (usize, usize) {
    let offline = set.iter().filter(|c| !c.online).count();
    let pairs = (0..set.len()).map(|k| neighbours(set[k], &set[..k])).sum();
    (offline, pairs)
}
