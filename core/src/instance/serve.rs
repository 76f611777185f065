//! Requests of other instances (and our own) to this one as the leader of a group.

use super::engine;
use super::forwarding;
use super::gates::Release;
use super::message::{Body, RequestKind, Response, ResponseKind};
use super::requests::Answer;
use super::ring::Proposed;
use super::serving;
use super::state::{Phase, Shared};
use crate::base::codec::CodecError;
use crate::base::{CatalogVersion, GroupId, InstanceId, LogIndex, SqlError, SqlState};
use crate::raft::{Change, ProposeError};
use crate::seam::{Completion, Lane, Mono, PeerAddr};
use crate::session::{self, Interrupt};
use crate::sql::parse::WaitApplied;
use crate::storage::MemoryLimit;
use crate::topology::RingEntry;
use crate::topology::ddl::SchemaChange;

use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Between two attempts to find a leader.
const RETRY: Duration = Duration::from_millis(20);
/// Between two attempts with a leader that says each time that it leads and cannot do it yet, at most.
const RETRY_MAX: Duration = Duration::from_millis(320);

/// Carries out a request that arrived from `from` and answers it.
pub async fn answer(me: Shared, from: PeerAddr, id: u64, what: RequestKind) {
    let interrupt = {
        let state = &mut *me.borrow_mut();
        state.serving.begin(&from, id, state.now.mono)
    };
    let what = serving::answer_of(serve(&me, what, &interrupt).await, &interrupt);
    me.borrow_mut().serving.end(&from, id);
    let body = Body::Response(Response { id, what });
    me.borrow_mut().send(from, Lane::Fast, body);
}

/// Carries out a request here, if this instance leads the group it is for.
pub async fn serve(me: &Shared, what: RequestKind, interrupt: &Interrupt) -> ResponseKind {
    match what {
        RequestKind::Statement { group, statement } => {
            if !leads(me, group)
                || !me.borrow().caught_up
                || crate::buggify!("serve: asks to be asked again")
            {
                return not_leader(me, group);
            }
            forwarding::run_forwarded(me, &statement, interrupt).await
        }
        RequestKind::Ring { entry } => ring(me, entry).await,
        RequestKind::Schema { group, version, change } => schema(me, group, version, change).await,
        RequestKind::Membership { group, changes } => membership(me, group, &changes),
        RequestKind::Transfer { group, to } => transfer(me, group, to),
        RequestKind::RingIndex => ring_index(me).await,
        RequestKind::RingReached { index } => ring_reached(me, index).await,
        RequestKind::Describe(_) if !leads(me, GroupId::RING) => not_leader(me, GroupId::RING),
        RequestKind::Describe(page) => ResponseKind::Text(me.borrow().page(page)),
    }
}

fn leads(me: &Shared, group: GroupId) -> bool {
    me.borrow().group(group).is_some_and(|g| g.is_leader())
}

fn not_leader(me: &Shared, group: GroupId) -> ResponseKind {
    let state = me.borrow();
    ResponseKind::NotLeader(state.leader_of(group).filter(|id| *id != state.me()))
}

fn malformed(error: &CodecError) -> ResponseKind {
    ResponseKind::Failed(SqlError::new(SqlState::ProtocolViolation, error.to_string()))
}

async fn ring(me: &Shared, entry: Bytes) -> ResponseKind {
    let entry = match RingEntry::decode(entry) {
        Ok(entry) => entry,
        Err(error) => return malformed(&error),
    };
    let proposed = {
        let state = &mut *me.borrow_mut();
        let Some(ring) = &mut state.ring else { return ResponseKind::NotLeader(None) };
        ring.propose(&state.spawner, &entry)
    };
    let Some(proposed) = proposed else { return not_leader(me, GroupId::RING) };
    match proposed.await {
        Some(Proposed::Applied(index, Ok(_))) => ResponseKind::Applied { index },
        Some(Proposed::Applied(_, Err(error))) => ResponseKind::Failed(error),
        Some(Proposed::Replaced) => not_leader(me, GroupId::RING),
        None => ResponseKind::Failed(outcome_unknown()),
    }
}

pub fn outcome_unknown() -> SqlError {
    crate::sometimes!("serve: an outcome nobody knows");
    session::outcome_unknown()
}

async fn schema(
    me: &Shared,
    group: GroupId,
    version: CatalogVersion,
    change: Bytes,
) -> ResponseKind {
    let change = match SchemaChange::decode(change) {
        Ok(change) => change,
        Err(error) => return malformed(&error),
    };
    let waiting = {
        let state = &mut *me.borrow_mut();
        let now = state.now;
        let Some(shard) = state.shard.as_mut().filter(|s| s.group.id() == group) else {
            return ResponseKind::NotLeader(None);
        };
        if shard.schema >= version && shard.group.may_serve(now.mono) {
            return ResponseKind::Done;
        }
        if let Some((refused, error)) = &shard.refused
            && *refused == version
        {
            return ResponseKind::Failed(error.clone());
        }
        // A change already in the log, not yet committed, must not be appended twice.
        if !shard.may_serve(now) {
            return ResponseKind::NotLeader(shard.group.leader());
        }
        // Nor one that is being carried out: the report tells its end, or who asks again.
        if shard.building().is_some() {
            return ResponseKind::NotLeader(shard.group.leader());
        }
        let limit = MemoryLimit { bytes: state.config.limits.memory };
        if let Err(error) = shard.admit_schema(limit, &change) {
            return ResponseKind::Failed(error);
        }
        match shard.propose_schema(version, &change) {
            Ok(index) => shard.wait_committed(&state.spawner, index),
            Err(_) => return ResponseKind::NotLeader(None),
        }
    };
    match waiting.await {
        Some(Release::Committed) => ResponseKind::Done,
        _ => ResponseKind::NotLeader(None),
    }
}

fn membership(me: &Shared, group: GroupId, changes: &[Change]) -> ResponseKind {
    let state = &mut *me.borrow_mut();
    let now = state.now.mono;
    let Some(member) = state.group_mut(group) else { return ResponseKind::NotLeader(None) };
    if !member.may_serve(now) {
        return ResponseKind::NotLeader(member.leader());
    }
    let proposed =
        if changes.is_empty() { member.leave_joint() } else { member.propose_change(changes) };
    match proposed {
        Ok(_) | Err(ProposeError::Busy) => ResponseKind::Done,
        Err(ProposeError::NotLeader) => ResponseKind::NotLeader(member.leader()),
    }
}

fn transfer(me: &Shared, group: GroupId, to: InstanceId) -> ResponseKind {
    let state = &mut *me.borrow_mut();
    let Some(member) = state.group_mut(group) else { return ResponseKind::NotLeader(None) };
    if !member.is_leader() {
        return ResponseKind::NotLeader(member.leader());
    }
    member.transfer_leader(to);
    ResponseKind::Done
}

/// Where the ring stands, from a leader that knows that it leads.
async fn ring_index(me: &Shared) -> ResponseKind {
    let (index, reached) = {
        let state = &mut *me.borrow_mut();
        let now = state.now.mono;
        let Some(ring) = &mut state.ring else { return ResponseKind::NotLeader(None) };
        if !ring.group.may_serve(now) {
            return ResponseKind::NotLeader(
                ring.group.leader().filter(|_| !ring.group.is_leader()),
            );
        }
        let index = ring.group.committed();
        (index, ring.wait_applied(&state.spawner, index))
    };
    reached.await;
    ResponseKind::Applied { index }
}

/// How long this instance may take to apply what others ask about. Who asks has given up by then, and one
/// that is not heard may never get there.
const REACHED_PATIENCE: Duration = Duration::from_secs(5);

/// Answers once this instance has applied the ring up to `index`.
async fn ring_reached(me: &Shared, index: LogIndex) -> ResponseKind {
    let (reached, late) = {
        let state = &mut *me.borrow_mut();
        let Some(ring) = &mut state.ring else { return ResponseKind::NotLeader(None) };
        let reached = ring.wait_applied(&state.spawner, index);
        let late = state.now.mono + REACHED_PATIENCE;
        (reached, state.deadline(late))
    };
    if in_time(reached, late).await.is_some() {
        return ResponseKind::Done;
    }
    crate::sometimes!("serve: the ring is not reached in time");
    if let Some(ring) = &mut me.borrow_mut().ring {
        ring.forget_abandoned();
    }
    ResponseKind::NotLeader(None)
}

/// Waits for `what`, but not after `late` has ended.
pub async fn in_time<T>(what: impl Future<Output = Option<T>>, late: Completion<()>) -> Option<T> {
    let (mut what, mut late) = (pin!(what), pin!(late));
    poll_fn(|context| match what.as_mut().poll(context) {
        Poll::Pending => late.as_mut().poll(context).map(|_| None),
        ended => ended,
    })
    .await
}

/// Waits until every instance that is online has applied the ring as far as this one has, so that a
/// client that heard of a change finds it wherever it connects. An instance that does not answer by
/// `deadline` is about to be called offline.
pub async fn everyone_reached(me: &Shared, deadline: Mono) {
    let index = ring_applied(me);
    let others = others_online(me);
    who_is_late(me, index, &others, deadline).await;
}

fn ring_applied(me: &Shared) -> LogIndex {
    me.borrow().ring.as_ref().map_or(LogIndex(0), |ring| ring.applied)
}

/// The members that are online, but for this one.
fn others_online(me: &Shared) -> BTreeSet<InstanceId> {
    let state = me.borrow();
    let Some(ring) = &state.ring else { return BTreeSet::new() };
    let online = ring.state.instances.values().filter(|i| i.is_online() && i.is_member());
    online.map(|instance| instance.id).filter(|id| *id != state.me()).collect()
}

/// Asks these whether they have applied the ring up to `index`, and waits for all of their answers. Gives
/// those that did not say by `deadline` that they have, or cannot be asked.
pub async fn who_is_late(
    me: &Shared,
    index: LogIndex,
    others: &BTreeSet<InstanceId>,
    deadline: Mono,
) -> BTreeSet<InstanceId> {
    let late = RefCell::new(BTreeSet::new());
    let ask = async |other| {
        let what = RequestKind::RingReached { index };
        let answer = ask(me, (other, GroupId::RING), what, deadline).await;
        if !matches!(answer, Answer::Response(ResponseKind::Done)) {
            late.borrow_mut().insert(other);
        }
    };
    let mut asked: Vec<_> = others.iter().map(|other| Box::pin(ask(*other))).collect();
    poll_fn(|context| {
        asked.retain_mut(|answer| answer.as_mut().poll(context).is_pending());
        if asked.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    drop(asked);
    late.into_inner()
}

/// Waits until a schema change is in force where `WAIT APPLIED` says; a warning where it may not be.
/// Where the statement says nothing, the others are waited for until `soon`.
pub async fn in_force(
    me: &Shared,
    interrupt: &Interrupt,
    wait: Option<WaitApplied>,
    soon: Mono,
    deadline: Mono,
) -> Option<String> {
    let late = match wait {
        None => {
            everyone_reached(me, soon).await;
            return None;
        }
        Some(WaitApplied::Locally) => return None,
        Some(WaitApplied::Globally) => everyone_surely_reached(me, deadline),
    };
    let why = match engine::unless_interrupted(interrupt, late).await {
        Some(late) if late.is_empty() => return None,
        Some(late) => format!("in time: {}", late.join(", ")),
        None => "before the statement was interrupted".to_owned(),
    };
    Some(format!("the change is made, but not every instance has it {why}"))
}

/// Between two looks at who is online and has not said that it has a change.
const EVERYONE_ROUND: Duration = Duration::from_secs(1);

/// As [`everyone_reached`], but asks again until `deadline`, each instance until it says once that it is as
/// far as this one was at the beginning: gives the names of those that are online and did not.
pub async fn everyone_surely_reached(me: &Shared, deadline: Mono) -> Vec<String> {
    let index = ring_applied(me);
    let mut reached = BTreeSet::new();
    loop {
        let until = deadline.min(me.borrow().now.mono + EVERYONE_ROUND);
        let asked = &others_online(me) - &reached;
        let late = who_is_late(me, index, &asked, until).await;
        if late.is_empty() {
            return Vec::new();
        }
        reached.extend(&asked - &late);
        // Who cannot be reached at all is known at once.
        let round = me.borrow_mut().sleep_until(until);
        round.await;
        if me.borrow().now.mono >= deadline {
            return names(me, &(&late & &others_online(me)));
        }
    }
}

fn names(me: &Shared, of: &BTreeSet<InstanceId>) -> Vec<String> {
    let state = me.borrow();
    let Some(ring) = &state.ring else { return Vec::new() };
    let known = ring.state.instances.values().filter(|instance| of.contains(&instance.id));
    known.map(|instance| instance.name.clone()).collect()
}

/// Asks whoever leads `group`, until an answer or `deadline`. Leadership changes that certainly did
/// nothing are retried here.
pub async fn ask_leader(me: &Shared, group: GroupId, what: RequestKind, deadline: Mono) -> Answer {
    ask_leader_telling(me, group, what, deadline, &Cell::new(false)).await
}

/// As [`ask_leader`]; `sent` is true while a leader may be carrying the request out.
pub async fn ask_leader_telling(
    me: &Shared,
    group: GroupId,
    what: RequestKind,
    deadline: Mono,
    sent: &Cell<bool>,
) -> Answer {
    let mut hint = None;
    let mut retry = RETRY;
    loop {
        // Short again but for one that leads and says that it cannot do it yet.
        let pause = std::mem::replace(&mut retry, RETRY);
        let (leader, here) = {
            let state = me.borrow();
            if state.phase == Phase::Stopped || state.now.mono >= deadline {
                return Answer::NotDone;
            }
            let leader = hint.take().or_else(|| state.leader_of(group));
            (leader, leader == Some(state.me()))
        };
        if let Some(leader) = leader {
            sent.set(true);
            let answer = if here {
                Answer::Response(serve_boxed(me, what.clone()).await)
            } else {
                ask(me, (leader, group), what.clone(), deadline).await
            };
            match answer {
                Answer::Response(ResponseKind::NotLeader(other)) => {
                    if other == Some(leader) {
                        retry = RETRY_MAX.min(pause * 2);
                    }
                    hint = other;
                }
                Answer::NotDone => {}
                decided => return decided,
            }
            sent.set(false);
        }
        pause_for(me, retry).await;
    }
}

/// `serve`, boxed: a forwarded statement may itself ask a leader.
fn serve_boxed<'a>(
    me: &'a Shared,
    what: RequestKind,
) -> std::pin::Pin<Box<dyn Future<Output = ResponseKind> + 'a>> {
    Box::pin(async move { serve(me, what, &Interrupt::default()).await })
}

/// Asks whoever leads `group`, once; `NotDone` if nobody but this instance does.
pub async fn ask_once(me: &Shared, group: GroupId, what: RequestKind, deadline: Mono) -> Answer {
    let leader = {
        let state = me.borrow();
        state.leader_of(group).filter(|id| *id != state.me())
    };
    match leader {
        Some(leader) => ask(me, (leader, group), what, deadline).await,
        None => Answer::NotDone,
    }
}

/// A short wait before the next attempt.
pub async fn pause(me: &Shared) {
    pause_for(me, RETRY).await;
}

async fn pause_for(me: &Shared, time: Duration) {
    let pause = {
        let state = &mut *me.borrow_mut();
        let at = state.now.mono + time;
        state.sleep_until(at)
    };
    pause.await;
}

/// Asks one instance once.
async fn ask(
    me: &Shared,
    (to, group): (InstanceId, GroupId),
    what: RequestKind,
    deadline: Mono,
) -> Answer {
    let (_asked, waiting) = {
        let state = &mut *me.borrow_mut();
        let Some(address) = state.address_of(to) else { return Answer::NotDone };
        // What is sent into a broken link is lost without a word.
        if state.broken_links.contains(&address) && state.reach.detour(&address).is_none() {
            return Answer::NotDone;
        }
        let is_change = matches!(what, RequestKind::Ring { .. });
        let (id, waiting) = state.requests.open(&state.spawner, (to, group), is_change, deadline);
        state.send_to(to, Lane::Fast, Body::Request(super::message::Request { id, what }));
        (Asked { me, to, id }, waiting)
    };
    waiting.await.unwrap_or(Answer::Unknown)
}

/// A request on its way. Dropped before its end, it is withdrawn.
struct Asked<'a> {
    me: &'a Shared,
    to: InstanceId,
    id: u64,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        // Tasks end while nobody has borrowed the instance; where it ends as a whole, nobody is told.
        let Ok(mut state) = self.me.try_borrow_mut() else { return };
        if state.requests.withdraw(self.id) {
            state.send_to(self.to, Lane::Fast, Body::Withdraw { request: self.id });
        }
    }
}
