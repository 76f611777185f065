//! The ring's state machine: what its log, applied in order, adds up to.
//!
//! [`RingState::apply`] runs on every instance, only for committed entries, so nothing is ever
//! undone. It reads the state and the entry and nothing else, and it iterates in key order, so the
//! same log gives the same state, byte for byte ([`RingState::hash`]).
//!
//! An entry that lost a race — the name was taken meanwhile, the user is gone — is *rejected*: apply
//! returns an error, the state stays as it was except for `applied`, and every replica agrees. The
//! proposer passes the error on. An entry that changes nothing is [`Applied::Nothing`], so that
//! proposing one twice is harmless.
//!
//! Snapshot: format byte, then the fields of [`RingState`] in order, see the end of this file.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::catalog::Catalog;
use super::config;
use super::ddl::{
    DdlRequest, DdlResult, DdlState, PendingDdl, QueuedDdl, Resolution, Resolver, SchemaChange,
    SchemaOp,
};
use super::entry::{Bootstrap, CreateUser, RingEntry};
use super::model::{
    BucketRange, Cluster, FormatVersion, Instance, InstanceSeed, Presence, PresenceAt, Replicaset,
    ReplicasetSeed, ReplicasetState, Tier,
};
use super::placement;
use super::users::{ADMIN, Grant, GrantedBy, Object, Secret, User, UserChange};
use crate::base::codec::{CodecError, CodecResult, Reader, Writer};
use crate::base::schema::{TableDef, TableRef};
use crate::base::{
    CatalogVersion, GroupId, InstanceId, LogIndex, SqlError, SqlResult, SqlState, UserId, Wire,
};
use crate::seam::Wall;

/// What an applied entry did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Applied {
    Done,
    /// It was so already; the text is a notice for the client, or empty.
    Nothing(String),
    /// The schema change is in progress or in the queue: ask [`DdlState::status`] for this ticket.
    Ddl(LogIndex),
    User(UserId),
}

/// What apply returns: an error is a deterministic rejection.
pub type ApplyOutcome = SqlResult<Applied>;

/// The state of the cluster after entry `applied`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RingState {
    /// The last entry applied.
    pub applied: LogIndex,
    /// `None` before the Bootstrap entry.
    pub cluster: Option<Cluster>,
    pub tiers: BTreeMap<String, Tier>,
    pub replicasets: BTreeMap<GroupId, Replicaset>,
    /// Expelled ones stay, so that no id and no data directory comes back.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// Owner of each bucket, by tier and first bucket of a run; runs do not overlap and leave no gap.
    pub buckets: BTreeMap<(String, u16), BucketRange>,
    pub catalog: Arc<Catalog>,
    pub ddl: DdlState,
    /// Parameters that differ from their defaults, by name and tier (empty: all).
    pub config: BTreeMap<(String, String), String>,
    /// `None` in a cluster that an instance of format 1 founded.
    pub secret: Option<Secret>,
}

impl RingState {
    pub fn new() -> RingState {
        RingState::default()
    }

    /// The id the next instance gets.
    pub fn next_instance_id(&self) -> InstanceId {
        InstanceId(self.instances.keys().next_back().map_or(1, |id| id.0 + 1))
    }

    /// The id the next replica set gets.
    pub fn next_group_id(&self) -> GroupId {
        GroupId(self.replicasets.keys().next_back().map_or(1, |id| id.0 + 1))
    }

    /// Instances of a replica set that nobody has asked to remove, by id.
    pub fn members(&self, set: GroupId) -> impl Iterator<Item = &Instance> {
        self.instances.values().filter(move |i| i.replicaset == set && i.is_member())
    }

    pub fn instance_by_name(&self, name: &str) -> Option<&Instance> {
        let named = || self.instances.values().filter(|i| i.name == name);
        named().find(|i| i.is_member()).or_else(|| named().next())
    }

    pub fn replicaset_by_name(&self, name: &str) -> Option<&Replicaset> {
        self.replicasets.values().find(|set| set.name == name)
    }

    /// The replica set that owns a bucket of a tier, as far as the ring knows.
    pub fn bucket_owner(&self, tier: &str, bucket: u16) -> Option<GroupId> {
        let (_, range) = self
            .buckets
            .range((tier.to_owned(), 0)..=(tier.to_owned(), bucket))
            .next_back()
            .filter(|((name, _), range)| name == tier && range.last >= bucket)?;
        Some(range.owner)
    }

    /// Whether a replica set is to hold rows.
    pub fn owns_buckets(&self, set: GroupId) -> bool {
        self.buckets.values().any(|range| range.owner == set)
    }

    /// The value of a cluster parameter, or of a tier's where it has its own.
    pub fn config_value(&self, key: &str, tier: &str) -> SqlResult<String> {
        let parameter = config::find(key)?;
        let own = self.config.get(&(key.to_owned(), tier.to_owned()));
        let value = own.or_else(|| self.config.get(&(key.to_owned(), String::new())));
        Ok(value.cloned().unwrap_or_else(|| parameter.default.to_owned()))
    }

    /// A numeric cluster parameter. `key` must be one of [`config::PARAMETERS`].
    pub fn config_number(&self, key: &str) -> u64 {
        let value = self.config_value(key, "").expect("a parameter of this build");
        value.parse().expect("values are checked when they are set")
    }

    /// A boolean cluster parameter. `key` must be one of [`config::PARAMETERS`].
    pub fn config_bool(&self, key: &str) -> bool {
        self.config_value(key, "").expect("a parameter of this build") == "true"
    }

    /// The tables as shards have them once they are at `schema_version`: without what is pending.
    pub fn committed_tables(&self) -> Vec<TableRef> {
        let creating = self.ddl.pending.as_ref().and_then(|p| match &p.change.op {
            SchemaOp::CreateTable(table) => Some(table.id),
            _ => None,
        });
        let tables = self.catalog.tables.iter().filter(|t| Some(t.id) != creating);
        tables.map(|t| Arc::new(TableDef { operable: true, ..TableDef::clone(t) })).collect()
    }

    /// Applies the committed entry at `index`, which follows `applied`.
    pub fn apply(&mut self, index: LogIndex, entry: &RingEntry) -> ApplyOutcome {
        assert!(index > self.applied, "entry {index} applied after {}", self.applied);
        self.applied = index;
        if self.cluster.is_none() && !matches!(entry, RingEntry::Bootstrap(..)) {
            return Err(conflict("there is no cluster yet"));
        }
        match entry {
            RingEntry::Bootstrap(bootstrap, secret) => self.bootstrap(bootstrap, secret.clone()),
            RingEntry::AddReplicaset(seed) => self.add_replicaset(seed),
            RingEntry::AddInstance { seed, at } => self.add_instance(seed, *at),
            RingEntry::UpdateInstance { .. } => self.update_instance(entry),
            RingEntry::SetInstanceState { id, current, target, reason, at } => {
                self.set_instance_state(*id, *current, *target, reason, *at)
            }
            RingEntry::Expel { id, force, at } => self.expel(*id, *force, *at),
            RingEntry::SetReplicasetMaster { id, current, target } => {
                self.set_master(*id, *current, *target)
            }
            RingEntry::SetReplicasetState { id, state, weight } => {
                let set = self.replicaset_mut(*id)?;
                let before = (set.state, set.weight);
                (set.state, set.weight) = (*state, *weight);
                Ok(done_if(before != (*state, *weight)))
            }
            RingEntry::DdlPrepare { by, request } => self.ddl_prepare(index, *by, request),
            RingEntry::DdlCommit { version } => self.ddl_commit(*version),
            RingEntry::DdlAbort { version, error } => self.ddl_abort(*version, error),
            RingEntry::CreateUser(create) => self.create_user(create),
            RingEntry::AlterUser { id, change } => self.alter_user(*id, change),
            RingEntry::DropUser { id } => self.drop_user(*id),
            RingEntry::Grant { grantor, grant } => self.grant(*grantor, grant),
            RingEntry::Revoke { grant } => self.revoke(grant),
            RingEntry::SetConfig { key, tier, value } => {
                self.set_config(key, tier, value.as_deref())
            }
            RingEntry::SetClusterVersion { version } => self.set_cluster_version(*version),
        }
    }

    fn bootstrap(&mut self, bootstrap: &Bootstrap, secret: Option<Secret>) -> ApplyOutcome {
        if let Some(cluster) = &self.cluster {
            return Err(conflict(format!("cluster \"{}\" exists already", cluster.name)));
        }
        let mut tiers = bootstrap.tiers.clone();
        placement::check_tiers(&mut tiers)?;
        if tiers.iter().all(|t| t.name != bootstrap.replicaset.tier) {
            return Err(SqlError::new(
                SqlState::InvalidParameterValue,
                format!("tier \"{}\" is not described", bootstrap.replicaset.tier),
            ));
        }
        let mut state = RingState { applied: self.applied, secret, ..RingState::default() };
        state.cluster = Some(Cluster {
            uuid: bootstrap.cluster_uuid,
            name: bootstrap.cluster_name.clone(),
            version: bootstrap.version,
        });
        state.tiers = tiers.into_iter().map(|t| (t.name.clone(), t)).collect();
        state.add_replicaset(&bootstrap.replicaset)?;
        state.add_instance(&bootstrap.instance, bootstrap.at)?;
        if bootstrap.admin.is_some() {
            state.alter_user(ADMIN, &UserChange::Password(bootstrap.admin.clone()))?;
        }
        *self = state;
        Ok(Applied::Done)
    }

    fn add_replicaset(&mut self, seed: &ReplicasetSeed) -> ApplyOutcome {
        if seed.id < self.next_group_id() || seed.id == GroupId::RING {
            return Err(conflict(format!("replica set id {} is taken", seed.id)));
        }
        if self.replicaset_by_name(&seed.name).is_some() {
            return Err(conflict(format!("replica set \"{}\" exists already", seed.name)));
        }
        let Some(tier) = self.tiers.get(&seed.tier) else {
            return Err(conflict(format!("tier \"{}\" does not exist", seed.tier)));
        };
        if tier.bucket_count > 0 && !self.buckets.keys().any(|(name, _)| *name == tier.name) {
            let range = BucketRange { last: tier.bucket_count, owner: seed.id };
            self.buckets.insert((tier.name.clone(), 1), range);
        }
        self.replicasets.insert(seed.id, Replicaset::new(seed.clone()));
        Ok(Applied::Done)
    }

    fn add_instance(&mut self, seed: &InstanceSeed, at: Wall) -> ApplyOutcome {
        if seed.id < self.next_instance_id() {
            return Err(conflict(format!("instance id {} is taken", seed.id)));
        }
        let twin = |i: &&Instance| i.uuid == seed.uuid || (i.is_member() && i.name == seed.name);
        if let Some(twin) = self.instances.values().find(twin) {
            return Err(conflict(format!("instance {} ({}) exists already", twin.name, twin.uuid)));
        }
        let count = self.members(seed.replicaset).count();
        let Some(set) = self.replicasets.get_mut(&seed.replicaset) else {
            return Err(conflict(format!("replica set {} does not exist", seed.replicaset)));
        };
        let factor = self.tiers.get(&set.tier).map_or(0, |t| usize::from(t.replication_factor));
        let has_ended =
            set.state == ReplicasetState::Expelled || (set.founder.is_some() && count == 0);
        if count >= factor || has_ended {
            return Err(conflict(format!("replica set \"{}\" takes no more instances", set.name)));
        }
        set.founder.get_or_insert(seed.id);
        let tier = set.tier.clone();
        self.instances.insert(seed.id, Instance::new(seed.clone(), tier, at));
        Ok(Applied::Done)
    }

    fn update_instance(&mut self, entry: &RingEntry) -> ApplyOutcome {
        let RingEntry::UpdateInstance { id, endpoints, failure_domain, version, format_version } =
            entry
        else {
            return Err(SqlError::internal("not an UpdateInstance"));
        };
        let written = self.cluster.as_ref().map_or(0, |c| c.version);
        if *format_version < written {
            return Err(conflict(format!("the cluster writes format {written} by now")));
        }
        let instance = self.member_mut(*id)?;
        let before = instance.clone();
        instance.endpoints.clone_from(endpoints);
        instance.failure_domain.clone_from(failure_domain);
        instance.version.clone_from(version);
        instance.format_version = *format_version;
        Ok(done_if(*instance != before))
    }

    fn set_instance_state(
        &mut self,
        id: InstanceId,
        current: Option<Presence>,
        target: Option<Presence>,
        reason: &str,
        at: Wall,
    ) -> ApplyOutcome {
        let instance = self.instance_mut(id)?;
        let before = (instance.current, instance.target);
        if instance.current.presence == Presence::Expelled {
            return Err(conflict(format!("instance {} is expelled", instance.name)));
        }
        if !instance.is_member() && target.is_some_and(|t| t != Presence::Expelled) {
            return Err(conflict(format!("instance {} is being expelled", instance.name)));
        }
        if let Some(presence) = target.filter(|t| *t != instance.target.presence) {
            let again = u64::from(presence == Presence::Online);
            let incarnation = instance.target.incarnation + again;
            instance.target = PresenceAt { presence, incarnation };
            reason.clone_into(&mut instance.target_reason);
            instance.target_changed = at;
        }
        if let Some(presence) = current {
            instance.current = PresenceAt { presence, incarnation: instance.target.incarnation };
        }
        Ok(done_if((instance.current, instance.target) != before))
    }

    fn expel(&mut self, id: InstanceId, force: bool, at: Wall) -> ApplyOutcome {
        let instance = self.instance_mut(id)?;
        if !instance.is_member() {
            return Ok(Applied::Nothing(format!("instance {} is expelled", instance.name)));
        }
        let (name, set, online) =
            (instance.name.clone(), instance.replicaset, instance.is_online());
        if online && !force {
            return Err(SqlError::new(SqlState::ObjectInUse, format!("instance {name} is Online"))
                .with_hint("Stop it first, or use --force."));
        }
        let last_of_set = self.members(set).count() == 1;
        if last_of_set && self.owns_buckets(set) {
            return Err(SqlError::new(
                SqlState::DependentObjectsStillExist,
                format!("instance {name} is the last one of a replica set that owns buckets"),
            )
            .with_hint("Add another instance to the replica set first."));
        }
        self.set_instance_state(id, None, Some(Presence::Expelled), "expel", at)
    }

    fn set_master(
        &mut self,
        id: GroupId,
        current: Option<InstanceId>,
        target: Option<InstanceId>,
    ) -> ApplyOutcome {
        for master in [current, target].into_iter().flatten() {
            if self.instances.get(&master).is_none_or(|i| i.replicaset != id) {
                return Err(conflict(format!("instance {master} is not of replica set {id}")));
            }
        }
        let set = self.replicaset_mut(id)?;
        let before = (set.current_master, set.target_master);
        (set.current_master, set.target_master) = (current, target);
        Ok(done_if(before != (current, target)))
    }

    fn ddl_prepare(&mut self, ticket: LogIndex, by: UserId, request: &DdlRequest) -> ApplyOutcome {
        if self.ddl.pending.is_some() {
            self.ddl.enqueue(QueuedDdl { ticket, by, request: request.clone() })?;
            return Ok(Applied::Ddl(ticket));
        }
        match self.start_ddl(ticket, by, request)? {
            None => Ok(Applied::Ddl(ticket)),
            Some(notice) => Ok(Applied::Nothing(notice)),
        }
    }

    /// Makes a request the pending change. The notice, if there was nothing to do.
    fn start_ddl(
        &mut self,
        ticket: LogIndex,
        by: UserId,
        request: &DdlRequest,
    ) -> SqlResult<Option<String>> {
        let version = CatalogVersion(self.catalog.version.0 + 1);
        let mut resolver = Resolver {
            tables: &self.catalog.tables,
            tiers: &self.tiers,
            users: &self.catalog.users,
            version,
            next_oid: self.catalog.next_oid,
        };
        let op = match resolver.resolve(request)? {
            Resolution::Nothing(notice) => return Ok(Some(notice)),
            Resolution::Change(op) => op,
        };
        let next_oid = resolver.next_oid;
        let previous = self.catalog.schema_version;
        let catalog = Arc::make_mut(&mut self.catalog);
        catalog.next_oid = next_oid;
        catalog.version = version;
        match &op {
            SchemaOp::CreateTable(table) => {
                let table = TableDef { operable: false, ..TableDef::clone(table) };
                catalog.tables.put(Arc::new(table));
            }
            SchemaOp::DropTable(id) => catalog.tables.set_operable(*id, false),
            _ => {}
        }
        let change = SchemaChange { previous, version, op };
        self.ddl.pending = Some(PendingDdl { ticket, by, change });
        Ok(None)
    }

    /// The pending change, if it is the one of this version.
    fn take_pending(&mut self, version: CatalogVersion) -> SqlResult<PendingDdl> {
        match self.ddl.pending.take_if(|p| p.change.version == version) {
            Some(pending) => Ok(pending),
            None => Err(conflict(format!("schema change {version} is not in progress"))),
        }
    }

    fn ddl_commit(&mut self, version: CatalogVersion) -> ApplyOutcome {
        let pending = self.take_pending(version)?;
        let catalog = self.bump_catalog();
        catalog.schema_version = version;
        match &pending.change.op {
            SchemaOp::CreateTable(table) => catalog.tables.set_operable(table.id, true),
            SchemaOp::DropTable(id) => {
                catalog.tables.remove(*id);
                catalog.users.forget_table(*id);
            }
            SchemaOp::AlterTable(table)
            | SchemaOp::CreateIndex { table, .. }
            | SchemaOp::DropIndex { table, .. } => catalog.tables.put(table.clone()),
            SchemaOp::Truncate(_) | SchemaOp::Everything(_) => {}
        }
        self.ddl.finish(pending.ticket, DdlResult::Done);
        self.start_next_ddl();
        Ok(Applied::Done)
    }

    /// Shards that already made the change are told everything anew, under a new version.
    fn ddl_abort(&mut self, version: CatalogVersion, error: &SqlError) -> ApplyOutcome {
        let can_abort = self.ddl.pending.as_ref().is_none_or(PendingDdl::can_abort);
        if !can_abort {
            return Err(conflict("a shard may have removed rows already: it must go on"));
        }
        let pending = self.take_pending(version)?;
        let catalog = self.bump_catalog();
        catalog.schema_version = catalog.version;
        if let SchemaOp::CreateTable(table) = &pending.change.op {
            catalog.tables.remove(table.id);
        }
        self.ddl.finish(pending.ticket, DdlResult::Failed(error.clone()));
        self.start_next_ddl();
        Ok(Applied::Done)
    }

    /// Starts waiting changes until one is in progress; those with nothing to do finish at once.
    fn start_next_ddl(&mut self) {
        while self.ddl.pending.is_none() {
            let Some(next) = self.ddl.queue.pop_front() else { return };
            match self.start_ddl(next.ticket, next.by, &next.request) {
                Ok(None) => {}
                Ok(Some(notice)) => self.ddl.finish(next.ticket, DdlResult::Nothing(notice)),
                Err(error) => self.ddl.finish(next.ticket, DdlResult::Failed(error)),
            }
        }
    }

    /// The catalog under the next version, to be changed.
    fn bump_catalog(&mut self) -> &mut Catalog {
        let catalog = Arc::make_mut(&mut self.catalog);
        catalog.version.0 += 1;
        catalog
    }

    fn create_user(&mut self, create: &CreateUser) -> ApplyOutcome {
        if create.if_not_exists && self.catalog.users.by_name(&create.name).is_some() {
            let notice = format!("role \"{}\" already exists, skipping", create.name);
            return Ok(Applied::Nothing(notice));
        }
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.version.0 += 1;
        let id = UserId(catalog.next_oid);
        catalog.next_oid += 1;
        catalog.users.create(User {
            id,
            name: create.name.clone(),
            kind: create.kind,
            superuser: false,
            login: create.login,
            verifier: create.verifier.clone(),
            owner: create.owner,
            schema_version: catalog.version.0,
        })?;
        self.catalog = Arc::new(catalog);
        Ok(Applied::User(id))
    }

    fn alter_user(&mut self, id: UserId, change: &UserChange) -> ApplyOutcome {
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.version.0 += 1;
        catalog.users.alter(id, change, catalog.version.0)?;
        self.catalog = Arc::new(catalog);
        Ok(Applied::Done)
    }

    fn drop_user(&mut self, id: UserId) -> ApplyOutcome {
        if let Some(table) = self.catalog.tables.iter().find(|t| t.owner == id) {
            let name = self.catalog.users.get(id).map_or("?", |u| u.name.as_str());
            return Err(SqlError::new(
                SqlState::DependentObjectsStillExist,
                format!("role \"{name}\" cannot be dropped because some objects depend on it"),
            )
            .with_detail(format!("owner of table {}", table.name)));
        }
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.version.0 += 1;
        catalog.users.drop(id)?;
        self.catalog = Arc::new(catalog);
        Ok(Applied::Done)
    }

    fn grant(&mut self, grantor: UserId, grant: &Grant) -> ApplyOutcome {
        if let Object::Table(Some(table)) = grant.object
            && self.catalog.by_id(table).is_none()
        {
            return Err(SqlError::new(
                SqlState::UndefinedTable,
                format!("relation with OID {table} does not exist"),
            ));
        }
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.version.0 += 1;
        let by = GrantedBy { grantor, schema_version: catalog.version.0 };
        if !catalog.users.grant(*grant, by)? {
            return Ok(Applied::Nothing(String::new()));
        }
        self.catalog = Arc::new(catalog);
        Ok(Applied::Done)
    }

    fn revoke(&mut self, grant: &Grant) -> ApplyOutcome {
        let mut catalog = Catalog::clone(&self.catalog);
        catalog.version.0 += 1;
        if !catalog.users.revoke(grant) {
            return Ok(Applied::Nothing(String::new()));
        }
        self.catalog = Arc::new(catalog);
        Ok(Applied::Done)
    }

    fn set_config(&mut self, key: &str, tier: &str, value: Option<&str>) -> ApplyOutcome {
        let parameter = config::find(key)?;
        if !tier.is_empty() && !self.tiers.contains_key(tier) {
            return Err(SqlError::new(
                SqlState::UndefinedObject,
                format!("tier \"{tier}\" does not exist"),
            ));
        }
        let place = (key.to_owned(), tier.to_owned());
        let before = match value {
            Some(value) => {
                let value = parameter.check(value)?;
                self.config.insert(place.clone(), value)
            }
            None => self.config.remove(&place),
        };
        Ok(done_if(self.config.get(&place) != before.as_ref()))
    }

    fn set_cluster_version(&mut self, version: FormatVersion) -> ApplyOutcome {
        let behind = self.instances.values().find(|i| i.is_member() && i.format_version < version);
        if let Some(instance) = behind {
            return Err(conflict(format!(
                "instance {} reads formats up to {} only",
                instance.name, instance.format_version
            )));
        }
        let Some(cluster) = &mut self.cluster else {
            return Err(conflict("there is no cluster yet"));
        };
        if version < cluster.version {
            return Err(conflict(format!("the cluster writes format {} already", cluster.version)));
        }
        let raised = version > cluster.version;
        cluster.version = version;
        Ok(done_if(raised))
    }

    fn instance_mut(&mut self, id: InstanceId) -> SqlResult<&mut Instance> {
        self.instances.get_mut(&id).ok_or_else(|| conflict(format!("instance {id} does not exist")))
    }

    fn member_mut(&mut self, id: InstanceId) -> SqlResult<&mut Instance> {
        let instance = self.instance_mut(id)?;
        if instance.is_member() {
            Ok(instance)
        } else {
            Err(conflict(format!("instance {} is expelled", instance.name)))
        }
    }

    fn replicaset_mut(&mut self, id: GroupId) -> SqlResult<&mut Replicaset> {
        self.replicasets
            .get_mut(&id)
            .ok_or_else(|| conflict(format!("replica set {id} does not exist")))
    }

    /// The whole state: format byte, then the fields in the order below. Without a secret it is as
    /// format 1 has it.
    pub fn encode_snapshot(&self) -> Bytes {
        let mut w = Writer::with_capacity(4096);
        w.u8(if self.secret.is_some() { SNAPSHOT_FORMAT } else { SNAPSHOT_WITHOUT_SECRET });
        self.applied.write(&mut w);
        self.cluster.write(&mut w);
        self.tiers.write(&mut w);
        self.replicasets.write(&mut w);
        self.instances.write(&mut w);
        self.buckets.write(&mut w);
        self.catalog.write(&mut w);
        self.ddl.write(&mut w);
        self.config.write(&mut w);
        if let Some(secret) = &self.secret {
            secret.write(&mut w);
        }
        w.into_bytes()
    }

    pub fn decode_snapshot(bytes: Bytes) -> CodecResult<RingState> {
        let mut r = Reader::new(bytes, "ring snapshot");
        let version = r.u8()?;
        if version > SNAPSHOT_FORMAT {
            return Err(CodecError::NewerVersion {
                what: "ring snapshot",
                version: version.into(),
            });
        }
        let state = RingState {
            applied: Wire::read(&mut r)?,
            cluster: Wire::read(&mut r)?,
            tiers: Wire::read(&mut r)?,
            replicasets: Wire::read(&mut r)?,
            instances: Wire::read(&mut r)?,
            buckets: Wire::read(&mut r)?,
            catalog: Wire::read(&mut r)?,
            ddl: Wire::read(&mut r)?,
            config: Wire::read(&mut r)?,
            secret: match version {
                SNAPSHOT_WITHOUT_SECRET => None,
                _ => Some(Wire::read(&mut r)?),
            },
        };
        r.finish()?;
        Ok(state)
    }

    /// A fingerprint of the whole state: equal on every replica that applied the same entries.
    pub fn hash(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.encode_snapshot())
    }
}

const SNAPSHOT_FORMAT: u8 = 2;
const SNAPSHOT_WITHOUT_SECRET: u8 = 1;

fn done_if(changed: bool) -> Applied {
    if changed { Applied::Done } else { Applied::Nothing(String::new()) }
}

/// A rejection of an entry that came too late: the proposer looks again and decides anew.
fn conflict(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::SerializationFailure, message)
}
