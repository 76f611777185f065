//! Whether the catalog here is new enough to answer by.
//!
//! An instance that starts takes no clients before its ring member is where the ring's leader was. Later the
//! member may stay behind for good, on a disk without room for a snapshot, say, and the rows here go on in the
//! same log all the same. Statements are planned by the catalog where the rows are led: where that is too old
//! for too long, somebody else is to lead them.

use std::collections::BTreeSet;

use super::message::{RequestKind, ResponseKind};
use super::requests::Answer;
use super::serve;
use super::state::{Phase, Shared, State};
use crate::base::{GroupId, InstanceId, LogIndex, Term};
use crate::seam::Mono;

/// An attempt to catch up with the ring takes this part of what a statement is given.
const CATCH_UP_PART: u32 = 4;

/// Rows that are ahead of the catalog for so many election timeouts are doubtful: a schema change is finished
/// soon after they carry it out.
const DOUBTFUL_TIMEOUTS: u32 = 16;

/// Whoever could lead the rows has so many election timeouts to say that it has the catalog.
const HEIR_TIMEOUTS: u32 = 2;

/// How the rows led here stand to the catalog here.
#[derive(Clone, Copy, Default, Debug)]
pub enum RowsAhead {
    /// They are not ahead of it, as far as is known.
    #[default]
    No,
    Since(Mono),
    /// A task is finding out what to do about it.
    Asking,
}

/// Asks the ring's leader how far the ring is, and waits until this instance is there. Until then it
/// takes no clients: what it remembers of the catalog may be long outdated. Nor does it run statements
/// as the leader of its replica set, so where this takes long, somebody else is to lead it.
pub async fn catch_up(me: Shared) {
    loop {
        let deadline = {
            let state = me.borrow();
            if matches!(state.phase, Phase::Damaged | Phase::Stopped) {
                return;
            }
            state.catch_up_deadline()
        };
        let index = ring_index(&me, deadline).await;
        if let Some(index) = index
            && reaches(&me, index, deadline).await
        {
            me.borrow_mut().caught_up = true;
            tracing::info!(ring = %index, "caught up with the ring: taking clients");
            return;
        }
        give_way(&me, index).await;
        serve::pause(&me).await;
    }
}

/// Where the ring stood a moment ago, once this instance is there; `None` at `deadline`.
pub async fn reach_ring(me: &Shared, deadline: Mono) -> Option<LogIndex> {
    let index = ring_index(me, deadline).await?;
    reaches(me, index, deadline).await.then_some(index)
}

/// Where the ring is now, by its leader; `None` if nobody says so before `deadline`.
async fn ring_index(me: &Shared, deadline: Mono) -> Option<LogIndex> {
    loop {
        match serve::ask_leader(me, GroupId::RING, RequestKind::RingIndex, deadline).await {
            Answer::Response(ResponseKind::Applied { index }) => return Some(index),
            // An answer was lost, and nothing is changed by asking again.
            Answer::Unknown if me.borrow().now.mono < deadline => serve::pause(me).await,
            _ => return None,
        }
    }
}

/// Whether this instance has applied the ring's log up to `index` before `deadline`.
async fn reaches(me: &Shared, index: LogIndex, deadline: Mono) -> bool {
    loop {
        {
            let state = me.borrow();
            if state.ring.as_ref().is_some_and(|ring| ring.applied >= index) {
                return true;
            }
            if state.phase == Phase::Stopped || state.now.mono >= deadline {
                return false;
            }
        }
        serve::pause(me).await;
    }
}

/// In every turn with something to do: whether the catalog here has fallen behind the rows led here.
pub fn advance(me: &Shared) {
    if me.borrow_mut().doubts_catalog() {
        let task = give_way_if_behind(me.clone());
        me.borrow().spawner.spawn(task);
    }
}

/// Where nobody leads the ring, nobody can say who has a newer catalog.
async fn give_way_if_behind(me: Shared) {
    let deadline = me.borrow().catch_up_deadline();
    if let Some(index) = ring_index(&me, deadline).await {
        let deadline = me.borrow().catch_up_deadline();
        if !reaches(&me, index, deadline).await {
            crate::sometimes!("catch-up: a catalog that stays behind the rows");
            give_way(&me, Some(index)).await;
        }
    }
    me.borrow_mut().rows_ahead = RowsAhead::No;
}

/// Hands the lead of the rows to somebody who has the ring's log up to `index`; where that is not known, to
/// whoever may have it. Who lacks it as well would only hand the lead back.
pub async fn give_way(me: &Shared, index: Option<LogIndex>) {
    let Some((term, heirs)) = me.borrow().heirs() else { return };
    let late = match index {
        Some(index) => {
            let soon = {
                let state = me.borrow();
                state.now.mono + state.config.times.group.election_timeout() * HEIR_TIMEOUTS
            };
            serve::who_is_late(me, index, &heirs, soon).await
        }
        None => BTreeSet::new(),
    };
    let state = &mut *me.borrow_mut();
    let is_here = |index| state.ring.as_ref().is_some_and(|ring| ring.applied >= index);
    if !index.is_some_and(is_here) {
        state.hand_rows_over(term, &(&heirs - &late));
    }
}

impl State {
    fn catch_up_deadline(&self) -> Mono {
        self.now.mono + self.config.times.statement_patience / CATCH_UP_PART
    }

    /// Whether to ask the ring's leader now: rows led here have long had a schema that the catalog lacks.
    fn doubts_catalog(&mut self) -> bool {
        let is_ahead = match (&self.ring, &self.shard) {
            (Some(ring), Some(shard)) if self.caught_up && shard.group.is_leader() => {
                shard.schema > ring.state.catalog.schema_version
            }
            _ => false,
        };
        let now = self.now.mono;
        let long = self.config.times.group.election_timeout() * DOUBTFUL_TIMEOUTS;
        self.rows_ahead = match self.rows_ahead {
            RowsAhead::Asking => return false,
            _ if !is_ahead => RowsAhead::No,
            RowsAhead::No => RowsAhead::Since(now),
            RowsAhead::Since(since) if now.since(since) > long => RowsAhead::Asking,
            waits => waits,
        };
        matches!(self.rows_ahead, RowsAhead::Asking)
    }

    /// Who could lead the rows that this instance leads in the term given.
    fn heirs(&self) -> Option<(Term, BTreeSet<InstanceId>)> {
        let group = &self.shard.as_ref().filter(|shard| shard.group.is_leader())?.group;
        Some((group.term(), group.heirs().map(|heir| heir.id).collect()))
    }

    /// Unless somebody leads them meanwhile, or this instance anew.
    fn hand_rows_over(&mut self, term: Term, to: &BTreeSet<InstanceId>) {
        let Some(shard) = &mut self.shard else { return };
        if !shard.group.is_leader() || shard.group.term() != term {
            return;
        }
        if let Some(successor) = shard.group.successor_of(|id| to.contains(&id)) {
            crate::sometimes!("catch-up: the lead handed over for want of a catalog");
            tracing::warn!(to = %successor, "behind the ring: handing the replica set over");
            shard.group.transfer_leader(successor);
        }
    }
}
