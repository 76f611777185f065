//! Who waits for a position of a log.
//!
//! A reply waits for an entry: the one at a position, of a term, of the log of the rows or of the ring's.
//! While the member that took it leads, the commit index answers. After it has lost the lead the entry may
//! still be committed, by the next leader, or another one may take its place; what is applied at that
//! position tells which, so the wait goes on for a while before it is given up:
//!
//! ```text
//!   gates, by position:   [5 t2] [6 t2] [7 t2]        the lead of term 2 is lost
//!   applied here next:     5 t2   6 t3                by the leader of term 3
//!   released:            Committed  Undone  Undone    terms do not decrease along a log
//! ```

use std::collections::VecDeque;

use crate::base::{LogIndex, Term};
use crate::seam::{Mono, Resolver};

/// How the wait for a position ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Release {
    Committed,
    /// Another entry is committed in its place: it never happened.
    Undone,
    /// It may be committed or not: nobody will tell this member.
    Lost,
}

/// Somebody who hears of a release.
pub trait Gated {
    /// The lead is lost, and the wait goes on.
    fn doubt(&self) {}

    fn release(self: Box<Self>, release: Release);
}

impl Gated for Resolver<Release> {
    fn release(self: Box<Self>, release: Release) {
        self.resolve(release);
    }
}

struct Waiting {
    index: LogIndex,
    /// Of the entry at `index`.
    term: Term,
    waiter: Box<dyn Gated>,
    /// Until when, once its leader leads no more.
    until: Mono,
}

/// Everybody who waits.
#[derive(Default)]
pub struct Gates {
    /// For the leader that this member is, by position.
    waiting: VecDeque<Waiting>,
    /// Their leader, which was this member, leads no more.
    bereft: Vec<Waiting>,
}

impl Gates {
    /// Tells `waiter` how the entry of `term` at `index`, which this member has as a leader, ends.
    pub fn add(&mut self, index: LogIndex, term: Term, waiter: Box<dyn Gated>) {
        // Positions are asked for in ascending order but for reads between writes.
        let at = self.waiting.partition_point(|other| other.index <= index);
        self.waiting.insert(at, Waiting { index, term, waiter, until: Mono::NEVER });
    }

    /// This member leads, and everything up to `index` is committed.
    pub fn committed(&mut self, index: LogIndex) {
        while self.waiting.front().is_some_and(|first| first.index <= index) {
            let Some(first) = self.waiting.pop_front() else { break };
            first.waiter.release(Release::Committed);
        }
    }

    /// The lead is lost; up to `kept` everything was committed before. Whoever waits for more waits
    /// until `until`.
    pub fn lead_lost(&mut self, kept: LogIndex, until: Mono) {
        self.committed(kept);
        if self.waiting.is_empty() {
            return;
        }
        crate::sometimes!("gates: a reply whose leader stepped down");
        if crate::canary!(AckAfterLosingLead) {
            return self.committed(LogIndex(u64::MAX));
        }
        self.waiting.iter().for_each(|waiting| waiting.waiter.doubt());
        self.bereft.extend(self.waiting.drain(..).map(|waiting| Waiting { until, ..waiting }));
    }

    /// The entry of `term` at `index` is applied here, behind all those before it.
    pub fn applied(&mut self, index: LogIndex, term: Term) {
        if self.bereft.is_empty() {
            return;
        }
        let is_decided = |waiting: &mut Waiting| waiting.index <= index || waiting.term < term;
        for waiting in self.bereft.extract_if(.., is_decided) {
            let same = (waiting.index, waiting.term) == (index, term);
            let release = if same || crate::canary!(AckReplaced) {
                crate::sometimes!("gates: committed by the next leader");
                Release::Committed
            } else {
                crate::sometimes!("gates: replaced by the next leader");
                Release::Undone
            };
            waiting.waiter.release(release);
        }
    }

    /// A snapshot took the place of the log up to `index`: which entries it stands for is not known.
    pub fn restored(&mut self, index: LogIndex) {
        self.give_up(|waiting| waiting.index <= index);
    }

    /// Gives up those that have waited for too long.
    pub fn expire(&mut self, now: Mono) {
        self.give_up(|waiting| waiting.until <= now);
    }

    /// When [`Gates::expire`] should be called next.
    pub fn next_wake(&self) -> Mono {
        self.bereft.iter().map(|waiting| waiting.until).min().unwrap_or(Mono::NEVER)
    }

    fn give_up(&mut self, which: impl Fn(&Waiting) -> bool) {
        for waiting in self.bereft.extract_if(.., |waiting| which(waiting)) {
            crate::sometimes!("gates: nobody tells how it ended");
            waiting.waiter.release(Release::Lost);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.bereft.len()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    #[derive(Clone, Default)]
    struct Heard(Rc<RefCell<Vec<(u64, Release)>>>);

    struct Waiter(u64, Heard);

    impl Gated for Waiter {
        fn release(self: Box<Self>, release: Release) {
            self.1.0.borrow_mut().push((self.0, release));
        }
    }

    /// Gates of a leader of term 2 at these positions.
    fn gates(positions: &[u64]) -> (Gates, Heard) {
        let (mut gates, heard) = (Gates::default(), Heard::default());
        for index in positions {
            let waiter = Box::new(Waiter(*index, heard.clone()));
            gates.add(LogIndex(*index), Term(2), waiter);
        }
        (gates, heard)
    }

    #[test]
    fn what_was_committed_before_the_lead_was_lost_is_told_at_once() {
        let (mut gates, heard) = gates(&[7, 5, 6]);
        gates.committed(LogIndex(5));
        assert_eq!(heard.0.take(), [(5, Release::Committed)]);
        gates.lead_lost(LogIndex(6), Mono(90));
        assert_eq!(heard.0.take(), [(6, Release::Committed)]);
        assert_eq!((gates.len(), gates.next_wake()), (1, Mono(90)));
    }

    #[test]
    fn the_next_leaders_log_tells_what_became_of_the_rest() {
        let (mut gates, heard) = gates(&[5, 6, 7]);
        gates.lead_lost(LogIndex(4), Mono(90));
        gates.applied(LogIndex(5), Term(2));
        gates.applied(LogIndex(6), Term(3));
        let expected = [(5, Release::Committed), (6, Release::Undone), (7, Release::Undone)];
        assert_eq!(heard.0.take(), expected, "nothing of an older term comes behind 6");
        assert_eq!((gates.len(), gates.next_wake()), (0, Mono::NEVER));
    }

    #[test]
    fn a_member_that_leads_again_tells_those_of_both_leads() {
        let (mut gates, heard) = gates(&[5, 6]);
        gates.lead_lost(LogIndex(4), Mono(90));
        gates.add(LogIndex(6), Term(4), Box::new(Waiter(60, heard.clone())));
        gates.lead_lost(LogIndex(4), Mono(95));
        assert_eq!(gates.next_wake(), Mono(90), "those of the first lead wait no longer for that");
        gates.expire(Mono(89));
        gates.applied(LogIndex(5), Term(2));
        gates.applied(LogIndex(6), Term(4));
        let expected = [(5, Release::Committed), (6, Release::Undone), (60, Release::Committed)];
        assert_eq!(heard.0.take(), expected);
    }

    #[test]
    fn behind_a_snapshot_or_after_a_while_nobody_can_tell() {
        let (mut gates, heard) = gates(&[5, 6, 7]);
        gates.lead_lost(LogIndex(4), Mono(90));
        gates.restored(LogIndex(6));
        assert_eq!(heard.0.take(), [(5, Release::Lost), (6, Release::Lost)]);
        gates.expire(Mono(90));
        assert_eq!(heard.0.take(), [(7, Release::Lost)]);
    }
}
