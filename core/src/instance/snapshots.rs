//! Snapshots: cutting logs, and bringing newcomers up to date.
//!
//! ```text
//!   log too long ─> take: scan in slices ─> file ─> mark in the log ─> forget entries
//!
//!   leader                                   follower that is too far behind
//!   MsgSnapshot (position only) ───────────> offered: pull chunk 0, 1, …
//!   send_chunk, from its file   <─── pull ──   each is checked, written, loaded aside
//!                               ─── chunk ─>   the last: file durable, then raft takes the message,
//!                                              and the loaded state takes the place of the old one
//! ```
//! A follower acknowledges through raft only, after the file and its mark are durable. A pull that
//! stops tells the leader, which then tries again from the beginning. Where what the follower acknowledged is
//! lost, its heartbeats tell.
//!
//! A group's own snapshot and one that is fetched are never written at the same time: who is offered
//! one gives up its own. Where the newest cannot be read while somebody pulls it, another one is taken.
//! One that a follower was offered stays on disk while newer ones are taken, and up to a bound the log behind
//! it in memory ([`receivers`]): to pull it may take longer than the leader takes to fill its log.
//!
//! # Two snapshots back each other
//!
//! ```text
//!      older          newest                    end of the log
//!   ─────┴───────────────┴───────────────────────────┴
//!        │ on disk: kept for a start from the older   │
//!        in memory: some of it, for followers that are a little behind
//! ```
//! The log on disk is cut below the older of the last two snapshots. Where a start finds the newest
//! damaged, it loads the older one, runs what the log holds behind it, and takes another. The
//! state that a group begins with counts as a snapshot that is never damaged. Older files go when the
//! mark of the newer one is durable; until then, recovery would ask for them.
//!
//! The log on disk has a bound, while snapshots can be taken: `3 * log_before_snapshot + 5 * wal_segment`.
//! Beyond two of each, groups whose old entries keep it long take a snapshot, and a group that rests gets an
//! entry without a meaning to have something new to show. With one more of each, the log begins behind the
//! newest snapshot. It goes by whole segments, once what was written meanwhile is durable: that takes the last
//! two. Where no snapshot can be taken, the log behind the newest one grows as long as the disk has room. So
//! does the log behind the older one where the newest is known to be damaged: there is nothing else to start
//! from until another is taken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::boot;
use super::message::{Body, SnapshotChunk, SnapshotPull};
use super::receivers::{self, PULL_PATIENCE, Receivers};
use super::serve;
use super::shard::ShardPosition;
use super::state::{Phase, Shared, State};
use crate::base::codec::{CodecResult, Reader, Writer};
use crate::base::schema::{TableDef, TableRef};
use crate::base::{CatalogVersion, GroupId, LogIndex, Timestamp, Wire};
use crate::group::Group;
use crate::raft::{self, Message, Ready};
use crate::seam::{Completion, Lane, Mono, PeerAddr, Resolver, StopReason};
use crate::storage::snapshot::{
    self, ScanStep, SliceLimits, SnapshotDamage, SnapshotLoad, SnapshotMeta, SnapshotReader,
    SnapshotScan, SnapshotWriter,
};
use crate::storage::wal::Wal;
use crate::storage::{DiskHandle, Store};
use crate::topology::RingState;

/// How long a follower waits for a chunk before it asks again.
const CHUNK_PATIENCE: Duration = Duration::from_secs(1);
/// Times a follower asks for one chunk.
const CHUNK_TRIES: usize = 3;
/// Readers kept open for followers that pull.
const OPEN_READERS: usize = 8;
/// Pause after a snapshot that failed: the disk is full, perhaps.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

/// What a snapshot brought, ready to take the place of what is there.
enum Staged {
    Ring(Box<RingState>),
    Shard(Box<Store>, ShardPosition),
}

/// Snapshots under way on this instance.
#[derive(Default)]
pub struct Snapshots {
    /// One is being written, or files that nobody needs are being removed.
    taking: BTreeMap<GroupId, ()>,
    /// After a failure, when the next one may be tried.
    not_before: BTreeMap<GroupId, Mono>,
    fetching: BTreeMap<GroupId, LogIndex>,
    /// The one whose log is kept on disk besides the newest.
    older: BTreeMap<GroupId, LogIndex>,
    /// The newest one of a group that this member knows, if it, or one that was newer, could not be read.
    unreadable: BTreeMap<GroupId, LogIndex>,
    staged: BTreeMap<GroupId, (LogIndex, Staged)>,
    waiting: BTreeMap<GroupId, (LogIndex, u32, Resolver<SnapshotChunk>)>,
    /// Open for who pulls.
    readers: BTreeMap<ReaderKey, OpenReader>,
    receivers: Receivers,
    /// Groups of which there may be files that nobody needs any more.
    unswept: BTreeSet<GroupId>,
    /// When to see again what is due.
    next_look: Mono,
}

/// Which snapshot, and who is sent it.
type ReaderKey = (GroupId, LogIndex, PeerAddr);

/// A snapshot's file that a follower is being sent.
struct OpenReader {
    reader: SnapshotReader,
    next_chunk: u32,
    /// Chunk `next_chunk - 1`, should it get lost on its way.
    sent: Bytes,
    used: Mono,
}

impl Snapshots {
    #[cfg(test)]
    pub fn looks_next(&self) -> Mono {
        self.next_look
    }

    /// Raft takes a fetched state over in the round in which it gets the leader's message, or never:
    /// the leader of a later term has sent what made it needless.
    pub fn drop_staged(&mut self) {
        self.staged.clear();
    }

    /// What recovery has loaded of a group.
    pub fn loaded(&mut self, group: GroupId, loaded: &Loaded) {
        self.older.extend(loaded.older.map(|older| (group, older)));
        if loaded.newest_is_damaged {
            self.unreadable.insert(group, loaded.index);
        }
    }

    /// Being taken or fetched.
    pub fn under_way(&self) -> usize {
        self.taking.len() + self.fetching.len() + self.waiting.len()
    }

    /// Fetched, and not yet taken over.
    pub fn staged(&self) -> usize {
        self.staged.len()
    }

    /// Files open for followers that pull.
    pub fn readers(&self) -> usize {
        self.readers.len()
    }

    /// Keeps a file open for who pulls it; what is to be closed instead.
    fn keep_open(&mut self, key: ReaderKey, open: OpenReader) -> Option<SnapshotReader> {
        if let Some(other) = self.readers.get_mut(&key) {
            // Two answers to one question: who was asked for more goes on.
            let less = if other.next_chunk < open.next_chunk {
                std::mem::replace(other, open)
            } else {
                open
            };
            return Some(less.reader);
        }
        let full = self.readers.len() >= OPEN_READERS;
        let idle = self.readers.iter().filter(|_| full).min_by_key(|(_, open)| open.used);
        let idle = idle.map(|(key, _)| key.clone());
        self.readers.insert(key, open);
        idle.and_then(|key| self.readers.remove(&key)).map(|open| open.reader)
    }

    /// A chunk arrived.
    pub fn arrived(&mut self, chunk: SnapshotChunk) {
        let expected = self
            .waiting
            .get(&chunk.group)
            .is_some_and(|(index, number, _)| *index == chunk.index && *number == chunk.chunk);
        if expected && let Some((_, _, resolver)) = self.waiting.remove(&chunk.group) {
            resolver.resolve(chunk);
        }
    }
}

/// Once a tick, in the first turn with something to do: begins what is due.
pub fn advance(me: &Shared) {
    let (due, unswept) = {
        let state = &mut *me.borrow_mut();
        let now = state.now.mono;
        if now < state.snapshots.next_look || state.phase != Phase::Running {
            return;
        }
        state.snapshots.next_look = now + state.config.times.group.tick;
        state.watch_receivers();
        state.close_idle_readers();
        let pinned = state.pinned();
        state.release_covered(&pinned);
        state.keep_within_bounds(&pinned);
        state.make_news(&pinned);
        let due = state.snapshots_due(&pinned);
        // Who takes one sweeps at its end.
        let unswept = state.sweeps_due(&due);
        let begun = due.iter().chain(&unswept).map(|group| (*group, ()));
        state.snapshots.taking.extend(begun);
        (due, unswept)
    };
    for group in due {
        let task = take(me.clone(), group);
        me.borrow().spawner.spawn(task);
    }
    for group in unswept {
        let task = sweep_alone(me.clone(), group);
        me.borrow().spawner.spawn(task);
    }
}

impl State {
    /// Groups whose oldest entries keep a log on disk that is too long.
    fn pinned(&self) -> Vec<GroupId> {
        let limits = &self.config.limits;
        let Some(wal) = self.durability.wal() else { return Vec::new() };
        // Up to the newest snapshot, and behind it.
        let long = 2 * limits.log_before_snapshot + 2 * limits.wal_segment;
        let full = wal.retains_more_than(long);
        if full { wal.pinned_by().into_iter().map(|(g, _)| g).collect() } else { Vec::new() }
    }

    /// Gives up the log of older snapshots where new ones do not come, or not fast enough, but for those that
    /// a start would need: their newest cannot be read.
    fn keep_within_bounds(&mut self, pinned: &[GroupId]) {
        let limits = &self.config.limits;
        let bound = 3 * limits.log_before_snapshot + 3 * limits.wal_segment;
        let too_long = |wal: &Wal| wal.retains_more_than(bound);
        if pinned.is_empty() || !self.durability.wal().is_some_and(too_long) {
            return;
        }
        for group in pinned {
            let Some(member) = self.group(*group) else { continue };
            let newest = member.node().snapshot().index;
            if self.snapshots.unreadable.get(group) == Some(&newest) {
                continue;
            }
            let Some(older) = self.snapshots.older.remove(group) else { continue };
            crate::sometimes!("snapshots: the log grew too long for an older snapshot");
            tracing::warn!(%group, %older, %newest, "the log is too long to be kept for two snapshots");
            self.durability.release(*group, newest);
        }
    }

    /// Lets go of entries that a snapshot covers and that were kept in memory for followers which have
    /// them by now. A group that is hardly ever written to would keep them until its next entry.
    fn release_covered(&mut self, pinned: &[GroupId]) {
        let limit = self.config.limits.log_before_snapshot;
        let groups: Vec<GroupId> = self.applied_positions().map(|(group, _)| group).collect();
        for group in groups {
            let Some(member) = self.group(group) else { continue };
            let long = member.node().log_bytes() as u64 > limit;
            if !long && !pinned.contains(&group) {
                continue;
            }
            let cut = self.may_cut(member, member.node().snapshot().index);
            let Some(member) = self.group_mut(group) else { continue };
            if cut >= member.node().first_index() {
                crate::sometimes!("snapshots: log kept for followers let go later");
                member.truncate(cut);
            }
        }
    }

    /// Groups whose log should be cut now.
    fn snapshots_due(&self, pinned: &[GroupId]) -> Vec<GroupId> {
        let limits = &self.config.limits;
        let mut due = Vec::new();
        for (group, applied) in self.applied_positions() {
            let Some(member) = self.group(group) else { continue };
            let long =
                member.node().log_bytes_behind_snapshot() as u64 > limits.log_before_snapshot;
            let news = applied > member.node().snapshot().index;
            let damaged =
                self.snapshots.unreadable.get(&group) == Some(&member.node().snapshot().index);
            let needed =
                long || damaged || pinned.contains(&group) || member.node().needs_newer_snapshot();
            let may = !self.is_building(group)
                && !self.snapshots.taking.contains_key(&group)
                && !self.snapshots.fetching.contains_key(&group)
                && self.snapshots.not_before.get(&group).is_none_or(|at| *at <= self.now.mono);
            if needed && news && may {
                due.push(group);
            }
        }
        due
    }

    /// Groups whose files can be looked through now, besides those a snapshot of which is `due`.
    fn sweeps_due(&mut self, due: &[GroupId]) -> Vec<GroupId> {
        let Snapshots { unswept, taking, fetching, .. } = &mut self.snapshots;
        unswept.retain(|group| !due.contains(group));
        let may = |group: &GroupId| !taking.contains_key(group) && !fetching.contains_key(group);
        let swept: Vec<GroupId> = unswept.iter().copied().filter(may).collect();
        unswept.retain(|group| !swept.contains(group));
        swept
    }

    /// A snapshot that takes the place of one that cannot be read, or lets the log be cut, shows something
    /// newer: in a group that rests, an entry without a meaning.
    fn make_news(&mut self, pinned: &[GroupId]) {
        if pinned.is_empty() && self.snapshots.unreadable.is_empty() {
            return;
        }
        let mut unreadable = std::mem::take(&mut self.snapshots.unreadable);
        unreadable.retain(|group, index| {
            self.group(*group).is_some_and(|member| member.node().snapshot().index == *index)
        });
        let resting = pinned.iter().filter(|group| !self.snapshots.taking.contains_key(group));
        let groups: BTreeSet<GroupId> = unreadable.keys().chain(resting).copied().collect();
        self.snapshots.unreadable = unreadable;
        for group in groups {
            let Some(member) = self.group_mut(group) else { continue };
            if member.is_leader() && member.last_index() == member.node().snapshot().index {
                crate::sometimes!("snapshots: nothing is newer than the newest");
                // Refused only by a leader that makes way; who follows it offers its own.
                let _ = member.propose(Bytes::new());
            }
        }
    }

    /// The file of a snapshot could not be read.
    fn found_unreadable(&mut self, group: GroupId, index: LogIndex) {
        if self.group(group).is_some_and(|member| member.node().snapshot().index == index) {
            crate::sometimes!("snapshots: the newest one cannot be read");
            self.counting.metrics.snapshots_unreadable += 1;
            self.snapshots.unreadable.insert(group, index);
        }
    }

    /// A snapshot is of one schema: it waits for an index that is being built.
    fn is_building(&self, group: GroupId) -> bool {
        let shard = self.shard.as_ref().filter(|shard| shard.group.id() == group);
        shard.is_some_and(|shard| shard.building().is_some())
    }

    fn applied_positions(&self) -> impl Iterator<Item = (GroupId, LogIndex)> + use<> {
        let ring = self.ring.as_ref().map(|r| (GroupId::RING, r.applied));
        let shard = self.shard.as_ref().map(|s| (s.group.id(), s.applied));
        ring.into_iter().chain(shard)
    }

    /// Tells raft of followers that were offered a snapshot, and have it or stopped pulling it.
    fn watch_receivers(&mut self) {
        let now = self.now.mono;
        let groups: Vec<GroupId> = self.applied_positions().map(|(group, _)| group).collect();
        for group in groups {
            let mut receivers = std::mem::take(&mut self.snapshots.receivers);
            let seen = receivers.look(group, self.group(group), now);
            self.snapshots.receivers = receivers;
            if seen.somebody_left {
                self.snapshots.unswept.insert(group);
            }
            let Some(member) = self.group_mut(group) else { continue };
            for (id, has_it) in seen.reports {
                member.report_snapshot(id, has_it);
            }
        }
    }

    /// How far the log of a group may be cut in memory that a snapshot covers up to `covered`.
    fn may_cut(&self, member: &Group, covered: LogIndex) -> LogIndex {
        let needs = match crate::buggify!("snapshots: cut for all") {
            true => Vec::new(),
            false => self.snapshots.receivers.needs(member),
        };
        let limit = self.config.limits.log_before_snapshot;
        let bytes = member.node().log_bytes() as u64;
        receivers::may_cut(&needs, (member.node().first_index(), covered), bytes, limit)
    }

    /// A file that nobody reads from keeps its place on the disk.
    fn close_idle_readers(&mut self) {
        let now = self.now.mono;
        let idle = |open: &OpenReader| now.since(open.used) > PULL_PATIENCE;
        if !self.snapshots.readers.values().any(idle) {
            return;
        }
        for (key, open) in std::mem::take(&mut self.snapshots.readers) {
            if idle(&open) {
                self.spawner.spawn(close(open.reader));
            } else {
                self.snapshots.readers.insert(key, open);
            }
        }
    }

    /// Puts a fetched state in place, in the turn in which raft takes the snapshot over.
    pub fn take_over_snapshot(&mut self, group: GroupId, ready: &Ready) {
        let Some(meta) = &ready.snapshot else { return };
        // The log begins with this one.
        self.snapshots.older.remove(&group);
        match self.snapshots.staged.remove(&group) {
            Some((index, Staged::Ring(state))) if index == meta.index => {
                if let Some(ring) = &mut self.ring {
                    ring.restore(*state, index);
                }
            }
            Some((index, Staged::Shard(store, position))) if index == meta.index => {
                if let Some(shard) = &mut self.shard {
                    shard.restore(*store, index, meta.term, position);
                }
            }
            _ => self.stop(StopReason::Unusable(format!(
                "group {group} took over a snapshot at {} that was never loaded",
                meta.index
            ))),
        }
    }
}

/// What a shard keeps besides rows, as a snapshot's state.
fn encode_position(position: &ShardPosition, tables: &[TableRef]) -> Bytes {
    let mut w = Writer::new();
    w.u64(position.applied_at.0);
    w.varint(position.schema.0);
    w.list(tables, |w, table| table.write(w));
    w.into_bytes()
}

fn decode_position(bytes: Bytes) -> CodecResult<(ShardPosition, Vec<TableRef>)> {
    let mut r = Reader::new(bytes, "shard snapshot");
    let applied_at = Timestamp(r.u64()?);
    let schema = CatalogVersion(r.varint()?);
    let tables = r.list(|r| Ok(TableRef::new(TableDef::read(r)?)))?;
    r.finish()?;
    Ok((ShardPosition { applied_at, schema }, tables))
}

/// Takes a snapshot of a group and cuts its log.
pub(super) async fn take(me: Shared, group: GroupId) {
    if let Err(damage) = write_snapshot(&me, group).await {
        // The log stays as it is; with more room on the disk a later attempt works.
        tracing::warn!(%group, %damage, "no snapshot was taken");
        let state = &mut *me.borrow_mut();
        let again = state.now.mono + AFTER_FAILURE;
        state.snapshots.not_before.insert(group, again);
    }
    me.borrow_mut().snapshots.taking.remove(&group);
}

async fn write_snapshot(me: &Shared, group: GroupId) -> Result<(), SnapshotDamage> {
    let disk = me.borrow().disk.clone();
    let (meta, position, mut scan) = {
        let state = &mut *me.borrow_mut();
        let Some(begun) = state.begin_snapshot(group) else { return Ok(()) };
        begun
    };
    let written = match SnapshotWriter::create(disk.clone(), &meta).await {
        Ok(mut writer) => match write_chunks(me, &mut writer, &mut scan).await {
            Ok(true) => Ok(Some(writer)),
            Ok(false) => writer.abandon().await.map(|()| None),
            Err(damage) => writer.abandon().await.and(Err(damage)),
        },
        Err(damage) => Err(damage),
    };
    // Whatever came of it, rows that were kept for this scan alone may go.
    if crate::canary!(KeepHold) {
        std::mem::forget(scan);
    } else {
        drop(scan);
    }
    let Some(writer) = written? else { return Ok(()) };
    writer.finish().await?;
    me.borrow_mut().snapshot_taken(group, position);
    sweep(me, group).await
}

/// Removes a group's files that nobody needs, once the log tells so too.
async fn sweep(me: &Shared, group: GroupId) -> Result<(), SnapshotDamage> {
    boot::log_is_durable(me).await;
    let (disk, needed) = {
        let state = me.borrow();
        (state.disk.clone(), state.snapshots_needed(group))
    };
    match needed {
        Some(needed) => snapshot::file::clean(&disk, group, &needed).await,
        None => Ok(()),
    }
}

/// After somebody who was sent a snapshot; none is taken meanwhile.
async fn sweep_alone(me: Shared, group: GroupId) {
    if let Err(damage) = sweep(&me, group).await {
        tracing::warn!(%group, %damage, "files of old snapshots stay until another is taken");
    }
    me.borrow_mut().snapshots.taking.remove(&group);
}

/// Writes all that a scan finds; `false` if a snapshot of the leader is to take this shard's place.
async fn write_chunks(
    me: &Shared,
    writer: &mut SnapshotWriter,
    scan: &mut Option<SnapshotScan>,
) -> Result<bool, SnapshotDamage> {
    let limits = slice_limits(me);
    while let Some(running) = scan {
        let Some(step) = next_slice(me, running, limits) else { return Ok(false) };
        match step {
            ScanStep::Chunk(chunk) => writer.append(chunk).await?,
            ScanStep::Nothing => {
                let pause = {
                    let state = &mut *me.borrow_mut();
                    let at = state.now.mono;
                    state.sleep_until(at)
                };
                pause.await;
            }
            ScanStep::Done => break,
        }
    }
    Ok(true)
}

/// The next slice of a scan; `None` if a snapshot of the leader is to take this shard's place.
fn next_slice(me: &Shared, scan: &mut SnapshotScan, limits: SliceLimits) -> Option<ScanStep> {
    let state = me.borrow();
    let shard = state.shard.as_ref().filter(|shard| scan.is_of(&shard.store))?;
    if state.snapshots.fetching.contains_key(&shard.group.id()) {
        return None;
    }
    let one = SliceLimits { bytes: 1, keys: 1 };
    let limits = if crate::buggify!("snapshots: a slice of one row") { one } else { limits };
    Some(scan.next_chunk(&shard.store, limits))
}

fn slice_limits(me: &Shared) -> SliceLimits {
    SliceLimits { bytes: me.borrow().config.limits.snapshot_chunk, ..SliceLimits::default() }
}

impl State {
    /// Fixes what a snapshot of `group` will show.
    fn begin_snapshot(
        &mut self,
        group: GroupId,
    ) -> Option<(SnapshotMeta, raft::SnapshotMeta, Option<SnapshotScan>)> {
        let member = self.group(group)?;
        let membership = member.membership().clone();
        if group == GroupId::RING {
            let ring = self.ring.as_ref()?;
            let (index, term) = (ring.applied, member.node().entry_term(ring.applied)?);
            let state = ring.state.encode_snapshot();
            let meta = SnapshotMeta { group, index, term, ts: Timestamp(0), state };
            return Some((meta, raft::SnapshotMeta { index, term, membership }, None));
        }
        let shard = self.shard.as_mut().filter(|shard| shard.building().is_none())?;
        let (index, term) = (shard.applied, shard.applied_term);
        let position = ShardPosition { applied_at: shard.applied_at, schema: shard.schema };
        let tables: Vec<TableRef> = shard.store.tables().cloned().collect();
        let state = encode_position(&position, &tables);
        let meta = SnapshotMeta { group, index, term, ts: shard.applied_at, state };
        let scan = shard.begin_snapshot(&meta);
        Some((meta, raft::SnapshotMeta { index, term, membership }, Some(scan)))
    }

    /// A snapshot is durable: marks it in the log and forgets what it covers.
    fn snapshot_taken(&mut self, group: GroupId, position: raft::SnapshotMeta) {
        let Some(member) = self.group(group) else { return };
        if position.index <= member.node().snapshot().index {
            return;
        }
        let before = member.node().snapshot().index;
        let cut = self.may_cut(member, position.index);
        let Some(member) = self.group_mut(group) else { return };
        member.set_snapshot(position.clone());
        member.truncate(cut);
        if self.snapshots.unreadable.get(&group) != Some(&before) {
            self.snapshots.older.insert(group, before);
        }
        let older = self.snapshots.older.get(&group).copied().unwrap_or(position.index);
        self.durability.mark_snapshot(group, &position, older);
        self.counting.metrics.snapshots_written += 1;
    }

    /// The snapshots that recovery would ask for, and those that followers are being sent; `None` if this
    /// instance looks after no files any more.
    fn snapshots_needed(&self, group: GroupId) -> Option<Vec<LogIndex>> {
        let member = self.group(group).filter(|_| self.phase != Phase::Stopped)?;
        let older = self.snapshots.older.get(&group).copied();
        let offered = member.node().snapshot_receivers().map(|(_, offered, _)| offered);
        Some(older.into_iter().chain(offered).chain([member.node().snapshot().index]).collect())
    }
}

/// A snapshot that recovery has loaded.
pub struct Loaded {
    pub index: LogIndex,
    /// The log holds everything behind this one too, which is sound as far as is known.
    pub older: Option<LogIndex>,
    /// There is a newer one, which could not be read.
    pub newest_is_damaged: bool,
}

/// Loads the ring's snapshot at a position that a mark in the log names.
pub async fn load_ring(disk: &DiskHandle, index: LogIndex) -> Result<RingState, SnapshotDamage> {
    let mut reader = SnapshotReader::open(disk.clone(), GroupId::RING, index).await?;
    let first = first_chunk(&mut reader).await;
    // A damaged one is closed as well.
    let closed = reader.close().await;
    let state = RingState::decode_snapshot(SnapshotMeta::from_chunk(&first?)?.state)?;
    closed?;
    Ok(state)
}

/// Loads a replica set's snapshot at a position that a mark in the log names.
pub async fn load_shard(
    disk: &DiskHandle,
    group: GroupId,
    index: LogIndex,
) -> Result<(Store, ShardPosition), SnapshotDamage> {
    let mut reader = SnapshotReader::open(disk.clone(), group, index).await?;
    let loaded = read_shard(&mut reader).await;
    let closed = reader.close().await;
    let loaded = loaded?;
    closed?;
    Ok(loaded)
}

async fn read_shard(reader: &mut SnapshotReader) -> Result<(Store, ShardPosition), SnapshotDamage> {
    let first = first_chunk(reader).await?;
    let (mut load, mut store, position) = begin_load(&first)?;
    while let Some(chunk) = reader.next_chunk().await? {
        load.chunk(&mut store, &chunk)?;
    }
    load.finish(&mut store);
    Ok((store, position))
}

async fn first_chunk(reader: &mut SnapshotReader) -> Result<Bytes, SnapshotDamage> {
    match reader.next_chunk().await? {
        Some(chunk) => Ok(chunk),
        None => Err(SnapshotDamage::Corrupt("a snapshot without chunks".into())),
    }
}

fn begin_load(first: &Bytes) -> Result<(SnapshotLoad, Store, ShardPosition), SnapshotDamage> {
    let load = SnapshotLoad::start(first)?;
    let (position, tables) = decode_position(load.meta().state.clone())?;
    let mut store = Store::new();
    for table in tables {
        store.create_table(table);
    }
    Ok((load, store, position))
}

/// Answers a follower that pulls.
pub async fn send_chunk(me: Shared, to: PeerAddr, pull: SnapshotPull) {
    let key = (pull.group, pull.index, to.clone());
    let (disk, open, receiver) = {
        let state = &mut *me.borrow_mut();
        let receiver = state.instance_at(&to);
        if let Some(id) = receiver {
            let now = state.now.mono;
            state.snapshots.receivers.asks(pull.group, id, pull.index, pull.chunk, now);
        }
        (state.disk.clone(), state.snapshots.readers.remove(&key), receiver)
    };
    // Files nobody reads from any more: an open one keeps its place on the disk.
    let mut done = Vec::new();
    let (last, data, reader) = match read_chunk(&disk, &pull, open, &mut done).await {
        Ok((Some(data), reader)) => (false, data, Some(reader)),
        Ok((None, reader)) => {
            done.push(reader);
            (true, Bytes::new(), None)
        }
        Err(damage) => {
            tracing::warn!(group = %pull.group, index = %pull.index, %damage, "no chunk to send");
            let state = &mut *me.borrow_mut();
            state.found_unreadable(pull.group, pull.index);
            if let Some(id) = receiver {
                let now = state.now.mono;
                state.snapshots.receivers.was_sent_nothing(pull.group, id, pull.index, now);
            }
            (false, Bytes::new(), None)
        }
    };
    {
        let state = &mut *me.borrow_mut();
        if let Some(reader) = reader {
            let (next_chunk, used) = (pull.chunk.saturating_add(1), state.now.mono);
            let open = OpenReader { reader, next_chunk, sent: data.clone(), used };
            done.extend(state.snapshots.keep_open(key, open));
        }
        let SnapshotPull { group, index, chunk } = pull;
        let body = Body::SnapshotChunk(SnapshotChunk { group, index, chunk, last, data });
        state.send(to, Lane::Bulk, body);
    }
    for reader in done {
        close(reader).await;
    }
}

/// What cannot be closed is open until the process ends; there is nobody to tell.
async fn close(reader: SnapshotReader) {
    let _ = reader.close().await;
}

/// The chunk asked for, from the reader that is at it or a new one. Readers that are of no use any more
/// go to `done`.
async fn read_chunk(
    disk: &DiskHandle,
    pull: &SnapshotPull,
    open: Option<OpenReader>,
    done: &mut Vec<SnapshotReader>,
) -> Result<(Option<Bytes>, SnapshotReader), SnapshotDamage> {
    let (mut reader, mut skip) = match open {
        Some(open) if open.next_chunk == pull.chunk => (open.reader, 0),
        Some(open) if open.next_chunk == pull.chunk.saturating_add(1) => {
            crate::sometimes!("snapshots: a chunk sent again");
            return Ok((Some(open.sent), open.reader));
        }
        other => {
            done.extend(other.map(|open| open.reader));
            let reader = SnapshotReader::open(disk.clone(), pull.group, pull.index).await?;
            if u64::from(pull.chunk) >= reader.chunks_left() {
                // Who asks for the end anew has had all that is before.
                return Ok((None, reader));
            }
            (reader, pull.chunk)
        }
    };
    loop {
        match reader.next_chunk().await {
            Ok(Some(_)) if skip > 0 => skip -= 1,
            Ok(data) => return Ok((data, reader)),
            Err(damage) => {
                done.push(reader);
                return Err(damage);
            }
        }
    }
}

/// The leader offers a snapshot: fetch it, then let raft take the message.
pub fn offered(
    shared: &Shared,
    state: &mut State,
    group: GroupId,
    offer: raft::SnapshotMeta,
    message: Message,
) {
    let now = state.now.mono;
    if state.snapshots.fetching.contains_key(&group) {
        return;
    }
    let Some(member) = state.group_mut(group) else { return };
    if offer.index <= member.committed() {
        // Raft answers that it needs nothing.
        member.message(now, message);
        return;
    }
    let leader = message.from();
    let Some(address) = state.address_of(leader) else { return };
    state.snapshots.fetching.insert(group, offer.index);
    let me = shared.clone();
    state.spawner.spawn(async move {
        match fetch(&me, group, offer.index, &address).await {
            Ok(staged) => {
                let state = &mut *me.borrow_mut();
                state.snapshots.staged.insert(group, (offer.index, staged));
                let now = state.now.mono;
                if let Some(member) = state.group_mut(group) {
                    member.message(now, message);
                }
            }
            Err(damage) => tracing::warn!(%group, %damage, "the snapshot could not be fetched"),
        }
        me.borrow_mut().snapshots.fetching.remove(&group);
    });
}

async fn fetch(
    me: &Shared,
    group: GroupId,
    index: LogIndex,
    from: &PeerAddr,
) -> Result<Staged, SnapshotDamage> {
    let disk = me.borrow().disk.clone();
    while me.borrow().snapshots.taking.contains_key(&group) {
        crate::sometimes!("snapshots: a fetch waits for the end of the own snapshot");
        serve::pause(me).await;
    }
    let first = match pull(me, group, index, 0, from).await? {
        Some(first) => first,
        None => return Err(SnapshotDamage::Corrupt("a snapshot without chunks".into())),
    };
    let meta = SnapshotMeta::from_chunk(&first)?;
    if meta.group != group || meta.index != index {
        return Err(SnapshotDamage::Corrupt("another snapshot than was offered".into()));
    }
    let mut writer = SnapshotWriter::create(disk, &meta).await?;
    match fetch_rest(me, &mut writer, &meta, &first, from).await {
        Ok(staged) => writer.finish().await.map(|()| staged),
        Err(damage) => writer.abandon().await.and(Err(damage)),
    }
}

async fn fetch_rest(
    me: &Shared,
    writer: &mut SnapshotWriter,
    meta: &SnapshotMeta,
    first: &Bytes,
    from: &PeerAddr,
) -> Result<Staged, SnapshotDamage> {
    let (group, index) = (meta.group, meta.index);
    if group == GroupId::RING {
        while let Some(chunk) = pull(me, group, index, 1, from).await? {
            writer.append(chunk).await?;
        }
        return Ok(Staged::Ring(Box::new(RingState::decode_snapshot(meta.state.clone())?)));
    }
    let (mut load, mut store, position) = begin_load(first)?;
    let mut number = 1;
    while let Some(chunk) = pull(me, group, index, number, from).await? {
        load.chunk(&mut store, &chunk)?;
        writer.append(chunk).await?;
        number += 1;
    }
    load.finish(&mut store);
    Ok(Staged::Shard(Box::new(store), position))
}

/// One chunk; `None` after the last.
async fn pull(
    me: &Shared,
    group: GroupId,
    index: LogIndex,
    chunk: u32,
    from: &PeerAddr,
) -> Result<Option<Bytes>, SnapshotDamage> {
    for attempt in 0..CHUNK_TRIES {
        let waiting = ask_chunk(me, SnapshotPull { group, index, chunk }, from);
        match waiting.await {
            Some(_) if attempt == 0 && crate::buggify!("snapshots: a chunk asked for twice") => {}
            Some(arrived) if arrived.last => return Ok(None),
            Some(arrived) if arrived.data.is_empty() => break,
            Some(arrived) => return Ok(Some(arrived.data)),
            None => {}
        }
    }
    Err(SnapshotDamage::Corrupt(format!("chunk {chunk} did not come")))
}

/// Sends a pull; the completion ends without a value when the chunk does not come in time.
fn ask_chunk(me: &Shared, pull: SnapshotPull, from: &PeerAddr) -> Completion<SnapshotChunk> {
    let state = &mut *me.borrow_mut();
    let (completion, resolver) = state.spawner.completion();
    state.snapshots.waiting.insert(pull.group, (pull.index, pull.chunk, resolver));
    state.send(from.clone(), Lane::Bulk, Body::SnapshotPull(pull));
    let at = state.now.mono + CHUNK_PATIENCE;
    let late = state.sleep_until(at);
    let me = me.clone();
    state.spawner.spawn(async move {
        late.await;
        let waiting = &mut me.borrow_mut().snapshots.waiting;
        let same = waiting
            .get(&pull.group)
            .is_some_and(|(index, chunk, _)| *index == pull.index && *chunk == pull.chunk);
        if same {
            waiting.remove(&pull.group);
        }
    });
    completion
}
