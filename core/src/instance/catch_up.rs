//! Whether the catalog here is new enough to answer by.
//!
//! An instance that starts takes no clients before its ring member is where the ring's leader was. Later the
//! member may stay behind for good, on a disk without room for a snapshot, say, and the rows here go on in the
//! same log all the same. Statements are planned by the catalog where the rows are led: where that is too old
//! for too long, somebody else is to lead them.

use super::message::{RequestKind, ResponseKind};
use super::requests::Answer;
use super::serve;
use super::state::{Phase, Shared, State};
use crate::base::{GroupId, LogIndex};
use crate::seam::Mono;

/// An attempt to catch up with the ring takes this part of what a statement is given.
const CATCH_UP_PART: u32 = 4;

/// Rows that are ahead of the catalog for so many election timeouts are doubtful: a schema change is finished
/// soon after they carry it out.
const DOUBTFUL_TIMEOUTS: u32 = 16;

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
        if let Some(index) = reach_ring(&me, deadline).await {
            me.borrow_mut().caught_up = true;
            tracing::info!(ring = %index, "caught up with the ring: taking clients");
            return;
        }
        me.borrow_mut().give_way();
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

/// Where nobody leads the ring, no other instance would have a newer catalog.
async fn give_way_if_behind(me: Shared) {
    let deadline = me.borrow().catch_up_deadline();
    let Some(index) = ring_index(&me, deadline).await else { return };
    let deadline = me.borrow().catch_up_deadline();
    if !reaches(&me, index, deadline).await {
        crate::sometimes!("catch-up: a catalog that stays behind the rows");
        me.borrow_mut().give_way();
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
        if !is_ahead {
            self.rows_ahead_since = None;
            return false;
        }
        let now = self.now.mono;
        let since = *self.rows_ahead_since.get_or_insert(now);
        let is_doubtful =
            now.since(since) > self.config.times.group.election_timeout() * DOUBTFUL_TIMEOUTS;
        if is_doubtful {
            self.rows_ahead_since = Some(now);
        }
        is_doubtful
    }

    /// Hands the lead of the replica set to somebody who may have the catalog that this instance lacks.
    pub fn give_way(&mut self) {
        let Some(shard) = self.shard.as_mut().filter(|shard| shard.group.is_leader()) else {
            return;
        };
        if let Some(successor) = shard.group.successor() {
            crate::sometimes!("catch-up: the lead handed over for want of a catalog");
            tracing::warn!(to = %successor, "behind the ring: handing the replica set over");
            shard.group.transfer_leader(successor);
        }
    }
}
