//! Followers that are sent a snapshot, as the leader sees them.
//!
//! ```text
//!   raft offers one ─> asks for chunk 0, 1, … ─> has it ─> has all that a snapshot covers by now: forgotten
//!          └──────────── asks no more ──┴─> raft is told, and offers the newest
//! ```
//! Until one is forgotten, the log in memory is kept from where it will go on, up to twice the bound of
//! followers that are a little behind.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::base::{GroupId, InstanceId, LogIndex};
use crate::group::Group;
use crate::raft::Progress;
use crate::seam::Mono;

/// A follower that has begun to ask for chunks and asks for nothing more for so long is offered a snapshot
/// again.
pub const PULL_PATIENCE: Duration = Duration::from_secs(5);
/// So is one that has not begun, or could not be sent what it asked for: the offer was lost, perhaps, or the
/// file cannot be read.
const OFFER_PATIENCE: Duration = Duration::from_secs(1);

/// A follower in need of a snapshot.
struct Receiver {
    offered: LogIndex,
    /// When it was offered, or when a chunk was first asked for.
    progress: Mono,
    /// The first chunk that was never asked for.
    next_chunk: u32,
    /// Raft knows, or is being told: it is sent entries then.
    has_it: bool,
}

impl Receiver {
    fn new(offered: LogIndex, now: Mono) -> Receiver {
        Receiver { offered, progress: now, next_chunk: 0, has_it: false }
    }

    fn has_stopped(&self, now: Mono) -> bool {
        let has_begun = self.next_chunk > 0;
        now.since(self.progress) > if has_begun { PULL_PATIENCE } else { OFFER_PATIENCE }
    }
}

/// What a look at a group found.
#[derive(Default)]
pub struct Seen {
    /// Raft is to be told that they have their snapshot, or not.
    pub reports: Vec<(InstanceId, bool)>,
    /// Somebody needs a snapshot no more that was kept for it.
    pub somebody_left: bool,
}

/// Those of all groups that are led here.
#[derive(Default)]
pub struct Receivers {
    all: BTreeMap<(GroupId, InstanceId), Receiver>,
}

impl Receivers {
    fn of(&self, group: GroupId) -> impl Iterator<Item = (InstanceId, &Receiver)> {
        let range = (group, InstanceId(0))..=(group, InstanceId(u64::MAX));
        self.all.range(range).map(|((_, id), receiver)| (*id, receiver))
    }

    /// A chunk is asked for, by anybody who may say anything.
    pub fn asks(&mut self, group: GroupId, id: InstanceId, index: LogIndex, chunk: u32, now: Mono) {
        let Some(receiver) = self.all.get_mut(&(group, id)) else { return };
        if receiver.offered == index && chunk >= receiver.next_chunk {
            receiver.progress = now;
            receiver.next_chunk = chunk.saturating_add(1);
        }
    }

    /// What was asked for could not be sent.
    pub fn was_sent_nothing(&mut self, group: GroupId, id: InstanceId, index: LogIndex, now: Mono) {
        if let Some(receiver) = self.all.get_mut(&(group, id))
            && receiver.offered == index
        {
            *receiver = Receiver::new(index, now);
        }
    }

    /// Follows what raft knows of a group's members.
    pub fn look(&mut self, group: GroupId, member: Option<&Group>, now: Mono) -> Seen {
        let mut seen = Seen::default();
        let Some(member) = member.filter(|member| member.is_leader()) else {
            let before = self.all.len();
            self.all.retain(|(of, _), _| *of != group);
            seen.somebody_left = self.all.len() < before;
            return seen;
        };
        for (id, offered, has_it) in member.node().snapshot_receivers() {
            let receiver =
                self.all.entry((group, id)).or_insert_with(|| Receiver::new(offered, now));
            if receiver.offered != offered || receiver.has_it {
                *receiver = Receiver::new(offered, now);
                seen.somebody_left = true;
            }
            if has_it {
                crate::sometimes!("snapshots: a heartbeat tells of one that was taken over");
                seen.reports.push((id, true));
            } else if receiver.has_stopped(now) {
                seen.reports.push((id, false));
            }
        }
        if self.of(group).next().is_some() {
            self.forget(group, member, &mut seen);
        }
        seen.reports.sort_unstable();
        seen
    }

    /// Those that stopped, went silent, or have all that the newest snapshot covers: no log is cut that they need.
    fn forget(&mut self, group: GroupId, member: &Group, seen: &mut Seen) {
        let covered = member.node().snapshot().index;
        let receiving: BTreeMap<InstanceId, bool> =
            (member.node().snapshot_receivers()).map(|(id, _, has_it)| (id, has_it)).collect();
        let progress = member.progress();
        let before = self.all.len();
        self.all.retain(|(of, id), receiver| {
            if *of != group {
                return true;
            }
            if receiving.get(id) == Some(&false) {
                return !seen.reports.contains(&(*id, false));
            }
            receiver.has_it = true;
            progress.iter().any(|p| p.id == *id && p.recent_active && p.matched < covered)
        });
        seen.somebody_left |= self.all.len() < before;
    }

    /// From where on the followers of a group need its log.
    pub fn needs(&self, member: &Group) -> Vec<Need> {
        let known = self.of(member.id()).map(|(id, receiver)| (id, receiver.offered));
        let offered = member.node().snapshot_receivers().map(|(id, offered, _)| (id, offered));
        let sent: BTreeMap<InstanceId, LogIndex> = known.chain(offered).collect();
        let need = |p: Progress| match sent.get(&p.id) {
            Some(offered) => Some(Need { behind: p.matched.max(*offered), is_receiver: true }),
            None => p.recent_active.then_some(Need { behind: p.matched, is_receiver: false }),
        };
        member.progress().into_iter().filter_map(need).collect()
    }
}

/// A follower's need of a log.
#[derive(Clone, Copy, Debug)]
pub struct Need {
    /// The position from which it goes on; 0 if that is not known: its leader is new, or it is.
    pub behind: LogIndex,
    /// It is sent a snapshot, or was and is not forgotten.
    pub is_receiver: bool,
}

/// How far a log of so many `bytes` may be cut in memory that begins at `first` and that a snapshot covers up
/// to `covered`. While the log has at most twice the `limit`, in bytes, it is kept for everybody who can go on
/// from an entry in it; up to four times, for those who are sent a snapshot.
pub fn may_cut(
    needs: &[Need],
    (first, covered): (LogIndex, LogIndex),
    bytes: u64,
    limit: u64,
) -> LogIndex {
    let gone = LogIndex(first.0 - 1);
    let counts = |need: &&Need| {
        let bound = if need.is_receiver { 4 * limit } else { 2 * limit };
        // Who is known to be further behind is not served from here.
        let is_served = need.behind >= gone || need.behind == LogIndex(0);
        is_served && bytes <= bound
    };
    let kept = needs.iter().filter(counts).map(|need| need.behind).min();
    kept.map_or(covered, |kept| kept.min(covered)).max(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_kept_for_those_it_serves_and_within_bounds() {
        let need = |behind, is_receiver| Need { behind: LogIndex(behind), is_receiver };
        let (near, far, sent) = (need(95, false), need(50, false), need(60, true));
        // A log from 41 on, with a snapshot at 90.
        let cut =
            |needs: &[Need], bytes| may_cut(needs, (LogIndex(41), LogIndex(90)), bytes, 100).0;
        assert_eq!(cut(&[near], 10), 90);
        assert_eq!(cut(&[near, far], 200), 50, "one that is a little behind");
        assert_eq!(cut(&[near, far], 201), 90, "up to a bound");
        assert_eq!(cut(&[near, far, sent], 200), 50);
        assert_eq!(cut(&[near, far, sent], 201), 60, "one that is sent a snapshot counts longer");
        assert_eq!(cut(&[near, sent], 400), 60);
        assert_eq!(cut(&[near, sent], 401), 90);
        assert_eq!(cut(&[near, need(39, true), need(20, false)], 10), 90, "too far behind");
        assert_eq!(cut(&[near, need(40, true)], 10), 40, "just not too far");
        assert_eq!(cut(&[near, need(0, false)], 200), 40, "one of which nothing is known yet");
        assert_eq!(cut(&[near, need(0, false)], 201), 90);
        assert_eq!(cut(&[], 10), 90);
        assert_eq!(may_cut(&[], (LogIndex(96), LogIndex(90)), 10, 100).0, 95, "never back");
    }
}
