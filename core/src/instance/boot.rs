//! From a data directory to a running instance.
//!
//! ```text
//!   identity? ── yes ──> recover the log ──> load snapshots ──> run
//!      │ no                     │ damaged or gone, and peers are given: ask them to take this instance back
//!      │                        ▼ as a new one; what is left of its data is set aside
//!      ├─ peers are given ──> ask them to join ──> first log ──> identity ──> run, with empty groups
//!      └─ none ──> found a cluster ──> first log ──> identity ──> run
//! ```
//! The identity is the last thing written: a crash before it leaves a directory to start over with,
//! a crash after it one to recover. Nothing that was ever written is removed: what is in the way goes
//! to `damaged/`. An instance that lost what it had acknowledged must not vote under its old name
//! again, so it comes back under a new identity, as a learner first, while the others still have
//! every row. The only instance of a cluster stops instead. The founder of one, which is told no peer
//! but itself, has written down who the others are ([`members`](super::members)); where they could not
//! do without it, it stops too, and its data stays in place.
//!
//! Of a damaged snapshot the instance knows what it had: it goes on from the one before
//! ([`snapshots`](super::snapshots)).
//!
//! A torn end of the log looks like a crash in the middle of a write, and a directory that was copied
//! back from an earlier day looks sound: only the leader of a group can tell, when it names an entry
//! that this instance has acknowledged and does not have. The instance then notes that beside its
//! identity and stops; its next start comes back as a new one.

use std::collections::BTreeMap;
use std::time::Duration;

use super::catch_up;
use super::durability::{from_log, meta_from_mark};
use super::identity::{self, Identity};
use super::members::{self, Members};
use super::message::{Body, Join, JoinReply};
use super::ring::RingMember;
use super::shard::{ShardMember, ShardPosition};
use super::small_file;
use super::snapshots::{self, Loaded};
use super::state::{Phase, Shared, State};
use crate::base::{GroupId, InstanceId, LogIndex, Term};
use crate::group::Group;
use crate::raft::{Entry, HardState, Membership, SnapshotMeta};
use crate::seam::{DiskError, DiskErrorKind, DiskOp, Lane, PeerAddr, StopReason};
use crate::storage::Store;
use crate::storage::disk::{DiskHandle, ROOT_DIR};
use crate::storage::snapshot::{self, SNAPSHOT_DIR, SnapshotDamage};
use crate::storage::wal::{
    self, RecoveredGroup, SnapshotMark, WAL_DIR, WalConfig, WalDamage, WalOwner,
};
use crate::topology::RingState;

/// Where every group's log begins: one voter, nothing in its state.
const ORIGIN: (LogIndex, Term) = (LogIndex(1), Term(1));

/// Why an instance does not start.
enum Failure {
    Disk(DiskError),
    Stop(StopReason),
    /// What is on disk cannot be what was written.
    Damaged(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Disk(error) => f.write_str(&error.message),
            Failure::Stop(reason) => write!(f, "{reason:?}"),
            Failure::Damaged(why) => f.write_str(why),
        }
    }
}

/// Why an instance without an identity does not found a cluster.
const NOBODY_TO_ASK: &str = "there is no identity, and the file `members` shows that there was a cluster with \
     others, but names nobody to ask: give --peer of another instance, or remove the data directory to found a \
     new cluster";

/// How often a new instance looks whether its first log batch is on disk.
const LOG_POLL: Duration = Duration::from_millis(1);

/// Answers to a request to join that wait to be read, at most.
const JOIN_REPLIES_MAX: usize = 16;

/// Where data goes that is in the way.
const ASIDE_DIR: &str = "damaged";

impl From<DiskError> for Failure {
    fn from(error: DiskError) -> Failure {
        Failure::Disk(error)
    }
}

/// The first task of an instance.
pub async fn boot(me: Shared) {
    if let Err(failure) = start(&me).await {
        let reason = match failure {
            Failure::Disk(error) => StopReason::DiskFailed(error.message),
            Failure::Stop(reason) => reason,
            Failure::Damaged(why) => StopReason::Unusable(why),
        };
        me.borrow_mut().stop(reason);
    }
}

async fn start(me: &Shared) -> Result<(), Failure> {
    let disk = me.borrow().disk.clone();
    recall_members(me, &disk).await;
    match resume(me, &disk).await {
        Ok(true) => {}
        Ok(false) => {
            if me.borrow().is_told_of_others() {
                me.borrow_mut().members.forget();
            }
            let identity = match founds_cluster(me) {
                // Somebody who lost its identity: the others may live on.
                true if me.borrow().members.had_others() => {
                    return Err(Failure::Stop(StopReason::Unusable(NOBODY_TO_ASK.into())));
                }
                true => found_cluster(me),
                false => join(me, None).await?,
            };
            begin(me, &disk, identity).await?;
        }
        Err(Failure::Damaged(why)) if !founds_cluster(me) => {
            tracing::error!(%why, "the data here cannot be used: asking to be taken back as a new instance");
            crate::sometimes!("boot: damaged data set aside");
            let old = me.borrow_mut().identity.take();
            let identity = match old {
                Some(old) if crate::canary!(KeepIdentity) => old,
                old => join(me, old.map(|old| old.uuid)).await?,
            };
            begin(me, &disk, identity).await?;
        }
        Err(Failure::Damaged(why)) => {
            let hint = me.borrow().members.why_nobody_is_asked();
            return Err(Failure::Damaged(format!("{why}{hint}")));
        }
        Err(failure) => return Err(failure),
    }
    me.borrow_mut().caught_up = crate::canary!(ServeOldCatalog);
    me.borrow().spawner.spawn(catch_up::catch_up(me.clone()));
    let mut state = me.borrow_mut();
    if state.phase != Phase::Stopped {
        state.phase = Phase::Running;
        tracing::info!(address = state.config.address, "running");
    }
    Ok(())
}

/// Goes on where an earlier life ended; `false` if there was none.
async fn resume(me: &Shared, disk: &DiskHandle) -> Result<bool, Failure> {
    let Some(identity) = read_identity(disk).await? else { return Ok(false) };
    tracing::info!(name = identity.name, id = %identity.id, "resuming");
    me.borrow_mut().identity = Some(identity.clone());
    me.borrow_mut().members.forget_others_than(identity.cluster);
    if let Some(why) = small_file::read(disk, identity::LOST_FILE, identity::MAX_BYTES).await? {
        return Err(Failure::Damaged(String::from_utf8_lossy(&why).into_owned()));
    }
    start_groups(me, disk, &identity, true).await?;
    Ok(true)
}

/// Finds out whom to ask if the rest of the data cannot be used. A hint that cannot be read keeps no
/// sound instance down: it is written anew.
async fn recall_members(me: &Shared, disk: &DiskHandle) {
    let found = match small_file::read(disk, members::FILE, members::MAX_BYTES).await {
        Ok(Some(bytes)) => Members::decode(bytes).map_err(|error| error.to_string()),
        Ok(None) => return,
        Err(error) => Err(error.message),
    };
    match found {
        Ok(members) => me.borrow_mut().members.recall(members),
        Err(error) => {
            tracing::warn!(%error, "who the other members are cannot be read");
            me.borrow_mut().members.cannot_recall();
        }
    }
}

/// Ends an instance that is shown to have lost what it acknowledged. It takes part in nothing from
/// here on.
pub fn end_if_lost(me: &Shared) {
    let why = {
        let state = &mut *me.borrow_mut();
        if !matches!(state.phase, Phase::Running | Phase::Leaving) {
            return;
        }
        let groups =
            [state.ring.as_ref().map(|r| &r.group), state.shard.as_ref().map(|s| &s.group)];
        let Some(why) = groups.into_iter().flatten().find_map(Group::lost_entries) else { return };
        let why = why.to_owned();
        state.phase = Phase::Damaged;
        why
    };
    let task = end_as_lost(me.clone(), why);
    me.borrow().spawner.spawn(task);
}

async fn end_as_lost(me: Shared, why: String) {
    tracing::error!(%why, "what was acknowledged is gone: stopping, to come back as a new instance");
    crate::sometimes!("boot: acknowledged entries found lost");
    let disk = me.borrow().disk.clone();
    let noted = small_file::write(&disk, identity::LOST_FILE, why.clone().into()).await;
    let reason = match noted {
        Ok(()) => StopReason::LostEntries(why),
        Err(error) => StopReason::DiskFailed(error.message),
    };
    me.borrow_mut().stop(reason);
}

/// Starts as a new instance.
async fn begin(me: &Shared, disk: &DiskHandle, identity: Identity) -> Result<(), Failure> {
    set_aside(disk, &identity.uuid.simple().to_string()).await?;
    me.borrow_mut().identity = Some(identity.clone());
    start_groups(me, disk, &identity, false).await?;
    log_is_durable(me).await;
    small_file::write(disk, identity::FILE, identity.encode()).await?;
    tracing::info!(name = identity.name, id = %identity.id, "new instance");
    Ok(())
}

/// Waits until what the log was given so far is on disk. The turns in between write it.
pub async fn log_is_durable(me: &Shared) {
    let target = me.borrow().durability.wal().map_or(0, |wal| wal.last_lsn().0);
    loop {
        let pause = {
            let state = &mut *me.borrow_mut();
            if state.phase == Phase::Stopped || state.durability.durable() >= target {
                return;
            }
            let at = state.now.mono + LOG_POLL;
            state.sleep_until(at)
        };
        pause.await;
    }
}

impl State {
    /// Takes an answer to this instance's request to join; later ones are of no use.
    pub fn join_replied(&mut self, reply: JoinReply) {
        if self.phase == Phase::Joining && self.join_replies.len() < JOIN_REPLIES_MAX {
            self.join_replies.push(reply);
        }
    }
}

/// Moves whatever is in the directory out of the way, the identity first: without it, nothing of the
/// rest is ever taken for data again.
async fn set_aside(disk: &DiskHandle, mark: &str) -> Result<(), Failure> {
    let names = disk.list(ROOT_DIR).await?;
    let own = [identity::FILE, identity::LOST_FILE].map(str::to_owned).into_iter();
    let mut files: Vec<String> = own.filter(|name| names.contains(name)).collect();
    let mut dirs: Vec<String> = vec![ASIDE_DIR.into(), ROOT_DIR.into()];
    let mut holders = vec![WAL_DIR.to_owned()];
    // A group's snapshots have a directory of their own.
    let groups = disk.list(SNAPSHOT_DIR).await?;
    holders.extend(groups.into_iter().map(|group| format!("{SNAPSHOT_DIR}/{group}")));
    for dir in holders {
        let names = disk.list(&dir).await?;
        files.extend(names.iter().map(|name| format!("{dir}/{name}")));
        dirs.extend((!names.is_empty()).then_some(dir));
    }
    if files.is_empty() {
        return Ok(());
    }
    disk.run(DiskOp::MakeDir { dir: ASIDE_DIR.into() }).await?;
    for file in &files {
        let to = format!("{ASIDE_DIR}/{mark}-{}", file.replace('/', "-"));
        disk.run(DiskOp::Rename { from: file.as_str().into(), to: to.into() }).await?;
        if file == identity::FILE {
            disk.sync_dir(ROOT_DIR).await?;
        }
    }
    for dir in &dirs {
        disk.sync_dir(dir).await?;
    }
    tracing::warn!(
        files = files.len(),
        "older data was moved to {ASIDE_DIR}/; remove it when it is not needed"
    );
    Ok(())
}

/// Recovers the log and brings both groups to life.
async fn start_groups(
    me: &Shared,
    disk: &DiskHandle,
    identity: &Identity,
    restarted: bool,
) -> Result<(), Failure> {
    let owner =
        WalOwner { cluster: *identity.cluster.as_bytes(), instance: *identity.uuid.as_bytes() };
    let segment_bytes = me.borrow().config.limits.wal_segment;
    let mut config = WalConfig { segment_bytes, ..WalConfig::default() };
    if crate::buggify!("wal: segments in four pieces") {
        config.piece_bytes = segment_bytes / 4;
    }
    let (log, mut recovered) = wal::recover(disk.clone(), owner, config).await.map_err(bad_log)?;
    if restarted && recovered.fresh {
        return Err(unusable("the log is gone: its votes and entries must not be forgotten"));
    }
    let ring = recovered.groups.remove(&GroupId::RING).unwrap_or_default();
    let data = recovered.groups.remove(&identity.group).unwrap_or_default();
    let load_ring = async |index| match index {
        index if index == ORIGIN.0 => Ok(RingState::new()),
        index => snapshots::load_ring(disk, index).await,
    };
    let (ring, ring_state) =
        load(disk, GroupId::RING, &ring, identity.ring_founder, load_ring).await?;
    let load_shard = async |index| match index {
        index if index == ORIGIN.0 => Ok((Store::new(), ShardPosition::default())),
        index => snapshots::load_shard(disk, identity.group, index).await,
    };
    let (data, (store, position)) =
        load(disk, identity.group, &data, identity.group_founder, load_shard).await?;
    let state = &mut *me.borrow_mut();
    let hard: BTreeMap<GroupId, HardState> =
        [(ring.group, ring.hard_state), (data.group, data.hard_state)].into();
    state.durability.start(log, &hard);
    for start in [&ring, &data] {
        if start.fresh {
            state.durability.mark_snapshot(start.group, &start.meta, start.meta.index);
        } else {
            // What no snapshot needs was not read into memory: it serves nobody any more.
            let loaded = &start.loaded;
            state.durability.release(start.group, loaded.older.unwrap_or(loaded.index));
            state.snapshots.loaded(start.group, loaded);
            state.counting.metrics.snapshots_unreadable += u64::from(loaded.newest_is_damaged);
        }
    }
    let seed = state.rng.fork("elections").next_u64();
    let (now, times) = (state.now.mono, state.config.times.group);
    let begin = |start: &GroupStart| {
        let recovered = (start.meta.clone(), start.hard_state, start.entries.as_slice());
        let mut group =
            Group::new(start.group, identity.id, times, seed, now, restarted, recovered);
        if start.meta.membership == Membership::single(identity.id) {
            group.campaign();
        }
        group
    };
    state.ring = Some(RingMember::new(begin(&ring), ring_state, ring.meta.index));
    let (applied, term) = (data.meta.index, data.meta.term);
    let index_rows = state.config.limits.slice_rows;
    state.shard = Some(ShardMember::new(begin(&data), store, applied, term, position, index_rows));
    Ok(())
}

/// A disk that fails now may be sound after a restart; damage stays. What is sound and not for this
/// program or this instance is an operator's mistake, and nothing is given up for it.
fn bad_log(damage: WalDamage) -> Failure {
    match damage {
        WalDamage::Disk(error) => Failure::Disk(error),
        other @ (WalDamage::Newer { .. } | WalDamage::Foreign { .. }) => {
            Failure::Stop(StopReason::Unusable(other.to_string()))
        }
        other => unusable(&other.to_string()),
    }
}

fn bad_snapshot(damage: SnapshotDamage) -> Failure {
    match damage {
        SnapshotDamage::Disk(error) if error.kind == DiskErrorKind::NotFound => {
            unusable(&format!("the snapshot that the log begins with is gone: {}", error.message))
        }
        SnapshotDamage::Disk(error) => Failure::Disk(error),
        newer @ SnapshotDamage::Newer(_) => Failure::Stop(StopReason::Unusable(newer.to_string())),
        other => unusable(&other.to_string()),
    }
}

/// What a group starts from.
struct GroupStart {
    group: GroupId,
    /// The log knows nothing of the group yet.
    fresh: bool,
    meta: SnapshotMeta,
    hard_state: HardState,
    /// Everything behind the snapshot.
    entries: Vec<Entry>,
    loaded: Loaded,
}

/// Loads the newest snapshot of a group that can be read, of those that the log can go on from.
async fn load<T>(
    disk: &DiskHandle,
    group: GroupId,
    recovered: &RecoveredGroup,
    founder: InstanceId,
    read: impl AsyncFn(LogIndex) -> Result<T, SnapshotDamage>,
) -> Result<(GroupStart, T), Failure> {
    let mut newest = GroupStart::new(group, recovered, founder, None)?;
    let index = newest.meta.index;
    let failure = match read(index).await {
        Ok(state) => {
            newest.loaded.older = backed_by(disk, group, &recovered.older_marks).await?;
            return Ok((newest, state));
        }
        Err(damage) => bad_snapshot(damage),
    };
    if matches!(failure, Failure::Stop(_)) {
        return Err(failure);
    }
    for mark in recovered.older_marks.iter().rev() {
        let start = GroupStart::new(group, recovered, founder, Some(mark))?;
        match read(mark.index).await {
            Ok(state) => {
                crate::sometimes!("boot: an older snapshot in the place of a damaged one");
                tracing::warn!(%group, %index, %failure, older = %mark.index,
                    "the newest snapshot cannot be used: going on from an older one");
                return Ok((start, state));
            }
            Err(damage) => {
                tracing::warn!(%group, index = %mark.index, %damage, "nor can an older snapshot");
            }
        }
    }
    Err(failure)
}

/// The oldest of the older snapshots that is there: behind it the log holds what is behind any other of them.
///
/// As a rule there is one, since what no start would need is removed once another snapshot is durable. After
/// a crash before that, there may be two: the one that the log was kept for, and behind it one that was
/// replaced, perhaps because it was damaged. The log names that one as well, and only its rows would tell.
/// So the first it is, which costs some log until the next snapshot.
async fn backed_by(
    disk: &DiskHandle,
    group: GroupId,
    older: &[SnapshotMark],
) -> Result<Option<LogIndex>, Failure> {
    if older.is_empty() {
        return Ok(None);
    }
    let there = snapshot::file::list(disk, group).await.map_err(bad_snapshot)?;
    let mut oldest_first = older.iter().map(|mark| mark.index);
    Ok(oldest_first.find(|index| *index == ORIGIN.0 || there.contains(index)))
}

impl GroupStart {
    /// Begins behind the newest snapshot, or behind an older one that the log can go on from.
    fn new(
        group: GroupId,
        recovered: &RecoveredGroup,
        founder: InstanceId,
        older: Option<&SnapshotMark>,
    ) -> Result<GroupStart, Failure> {
        let damaged = |why: String| unusable(&format!("group {group} in the log: {why}"));
        let meta = match older.or(recovered.mark.as_ref()) {
            Some(mark) => meta_from_mark(mark).map_err(damaged)?,
            None => {
                let (index, term) = ORIGIN;
                SnapshotMeta { index, term, membership: Membership::single(founder) }
            }
        };
        let entries: Result<Vec<Entry>, String> =
            recovered.entries.iter().filter(|e| e.index > meta.index).map(from_log).collect();
        let hs = recovered.hard_state;
        // What any snapshot covers was committed.
        let (index, term) =
            recovered.mark.as_ref().map_or((meta.index, meta.term), |mark| (mark.index, mark.term));
        let hard_state =
            HardState { term: hs.term.max(term), vote: hs.vote, commit: hs.commit.max(index) };
        let fresh = recovered.mark.is_none();
        let loaded = Loaded {
            index: meta.index,
            older: older.map(|mark| mark.index),
            newest_is_damaged: older.is_some(),
        };
        let entries = entries.map_err(damaged)?;
        Ok(GroupStart { group, fresh, meta, hard_state, entries, loaded })
    }
}

/// The identity of the first instance of a new cluster.
fn found_cluster(me: &Shared) -> Identity {
    let state = &mut *me.borrow_mut();
    let first = InstanceId(1);
    Identity {
        cluster: state.random_uuid(),
        uuid: state.random_uuid(),
        id: first,
        group: GroupId(1),
        ring_founder: first,
        group_founder: first,
        name: state.config.instance_name.clone().unwrap_or_else(|| {
            let tier = &state.config.tier;
            format!("{tier}_1_1")
        }),
    }
}

async fn read_identity(disk: &DiskHandle) -> Result<Option<Identity>, Failure> {
    let Some(bytes) = small_file::read(disk, identity::FILE, identity::MAX_BYTES).await? else {
        return Ok(None);
    };
    match Identity::decode(bytes) {
        Ok(identity) => Ok(Some(identity)),
        Err(error) => Err(unusable(&format!(
            "{error}; restore the file `identity` from a backup, or remove the data directory to join as a new instance"
        ))),
    }
}

fn unusable(why: &str) -> Failure {
    Failure::Damaged(why.to_owned())
}

/// Whether this instance is the first of a cluster: it was told no peer but itself, and has written
/// down nobody.
fn founds_cluster(me: &Shared) -> bool {
    me.borrow().peers_to_ask().is_empty()
}

/// Asks the peers, in turn, until one of them makes this instance a member, in the place of the one
/// it was before, if any.
async fn join(me: &Shared, replaces: Option<uuid::Uuid>) -> Result<Identity, Failure> {
    let (request, peers) = {
        let mut state = me.borrow_mut();
        state.phase = Phase::Joining;
        let uuid = state.random_uuid();
        if !state.is_told_of_others() {
            crate::sometimes!("boot: the others are known from the list of members only");
        }
        (join_request(&state.config, uuid, replaces), state.peers_to_ask())
    };
    let mut next = 0;
    let mut ask: Option<String> = None;
    loop {
        let address = ask.take().unwrap_or_else(|| {
            next += 1;
            peers[(next - 1) % peers.len()].clone()
        });
        tracing::info!(peer = address, "asking to join");
        let pause = {
            let mut state = me.borrow_mut();
            state.join_replies.clear();
            let to = PeerAddr::new(address);
            state.send(to, Lane::Fast, Body::Join(Box::new(request.clone())));
            let at = state.now.mono + state.config.times.join_retry;
            state.sleep_until(at)
        };
        pause.await;
        let replies = std::mem::take(&mut me.borrow_mut().join_replies);
        for reply in replies {
            match reply {
                JoinReply::Accepted { uuid, .. } if uuid != request.uuid => {
                    tracing::warn!("a late answer to an earlier request to join was dropped");
                }
                JoinReply::Accepted {
                    cluster,
                    uuid,
                    id,
                    name,
                    group,
                    ring_founder,
                    group_founder,
                    addresses,
                } => {
                    for (id, address) in addresses {
                        me.borrow_mut().learned(id, &PeerAddr::new(address));
                    }
                    return Ok(Identity {
                        cluster,
                        uuid,
                        id,
                        group,
                        ring_founder,
                        group_founder,
                        name,
                    });
                }
                JoinReply::Elsewhere(address) => ask = address,
                JoinReply::Later(why) => tracing::warn!(%why, "not taken as a member yet"),
                JoinReply::Refused(why) => return Err(Failure::Stop(StopReason::Refused(why))),
            }
        }
    }
}

fn join_request(config: &super::Config, uuid: uuid::Uuid, replaces: Option<uuid::Uuid>) -> Join {
    Join {
        uuid,
        address: config.address.clone(),
        pg_address: config.pg_address.clone(),
        http_address: config.http_address.clone(),
        name: config.instance_name.clone(),
        replicaset: config.replicaset_name.clone(),
        tier: config.tier.clone(),
        failure_domain: config.failure_domain.clone().into_iter().collect(),
        version: env!("CARGO_PKG_VERSION").into(),
        cluster_name: config.cluster_name.clone(),
        replaces,
    }
}
