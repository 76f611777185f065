//! The leader's lease: until when no other member can have been elected.
//!
//! raft-rs' own lease reads only check the role, so an old leader could serve for almost an election
//! timeout after a partition. Here the leader asks a quorum "do I still lead?" with its own clock
//! reading `asked` as the question's name. A member that answers will not vote for anyone else for
//! one election timeout *after* it got the question, hence after `asked`. So once a quorum has
//! answered, nobody else leads before
//!
//! ```text
//!     lease_until = asked + 0.8 · election_timeout
//! ```
//!
//! 0.8 leaves room for one tick of granularity and for clocks that differ in rate by far more than
//! the 0.05 % that is assumed. Only the *rate* of clocks matters, never what they show.
//!
//! Three promises make it true: votes need an election timeout of silence (`check_quorum` and
//! `pre_vote`); a member that restarts refuses to vote for one election timeout, since the promise
//! was not on disk; and a leader drops its lease before it hands leadership over, for the rest of
//! the term, because a transfer forces votes and its message may arrive late.
//!
//! Where answers take longer than 0.8 election timeouts there is never a lease, though the followers hear the
//! leader and elect nobody else. Such a leader steps down after some election timeouts.

use std::time::Duration;

use crate::base::Term;
use crate::seam::Mono;

/// The lease of one member of one group.
#[derive(Debug, Default)]
pub struct Lease {
    /// Valid strictly before this time of this instance's monotonic clock.
    until: Mono,
    /// The term in which `until` was earned.
    term: Term,
    /// A term in which leadership was offered to somebody else.
    given_up: Option<Term>,
}

/// Numerator and denominator of the safe part of an election timeout.
const SAFE_PART: (u32, u32) = (8, 10);

impl Lease {
    /// A quorum answered, in `term`, the question asked at `asked`.
    pub fn renew(&mut self, term: Term, asked: Mono, election_timeout: Duration) {
        if self.given_up == Some(term) || crate::buggify!("lease: an answer renews nothing") {
            return;
        }
        let until = if crate::canary!(LeaseTooLong) {
            asked + election_timeout * 2
        } else {
            asked + election_timeout * SAFE_PART.0 / SAFE_PART.1
        };
        if self.term != term {
            self.term = term;
            self.until = until;
        }
        self.until = self.until.max(until);
    }

    /// Whether reads may be served in `term` at `now`, a time read after the request arrived.
    pub fn is_valid(&self, term: Term, now: Mono) -> bool {
        self.term == term && now < self.until
    }

    /// Leadership is about to be offered to somebody else: no lease again in this term.
    pub fn give_up(&mut self, term: Term) {
        self.given_up = Some(term);
        self.until = Mono::default();
    }

    /// Whether leadership was offered to somebody else in `term`.
    pub fn is_given_up(&self, term: Term) -> bool {
        self.given_up == Some(term)
    }

    /// The end of the lease, for checks and metrics.
    pub fn until(&self) -> Mono {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);

    #[test]
    fn it_ends_before_the_election_timeout_after_the_question() {
        let mut lease = Lease::default();
        lease.renew(Term(3), Mono(1_000_000_000), TIMEOUT);
        assert!(lease.is_valid(Term(3), Mono(1_079_999_999)));
        assert!(!lease.is_valid(Term(3), Mono(1_080_000_000)));
        assert!(!lease.is_valid(Term(4), Mono(1_000_000_001)), "a lease is of one term");
    }

    #[test]
    fn an_old_answer_does_not_shorten_it_and_a_transfer_ends_it_for_the_term() {
        let mut lease = Lease::default();
        lease.renew(Term(3), Mono(1_000_000_000), TIMEOUT);
        lease.renew(Term(3), Mono(900_000_000), TIMEOUT);
        assert!(lease.is_valid(Term(3), Mono(1_079_999_999)));
        lease.give_up(Term(3));
        lease.renew(Term(3), Mono(1_010_000_000), TIMEOUT);
        assert!(!lease.is_valid(Term(3), Mono(1_010_000_001)));
        lease.renew(Term(4), Mono(1_020_000_000), TIMEOUT);
        assert!(lease.is_valid(Term(4), Mono(1_020_000_001)));
    }
}
