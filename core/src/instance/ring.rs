//! This instance's member of the ring: the group, its state, and who waits for it.
//!
//! The ring applies entries when they are committed, never before: it is small and rarely written,
//! and everybody must agree on it.
//!
//! Whoever proposed an entry hears what came of it even if the lead is lost meanwhile: the log of the next
//! leader tells, as it does for the rows ([`Gates`]).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::gates::{Gated, Gates, Release};
use crate::base::{LogIndex, Term};
use crate::group::Group;
use crate::raft::{Entry, EntryKind};
use crate::seam::{Completion, Mono, Resolver, Spawner};
use crate::topology::{Applied, ApplyOutcome, RingEntry, RingState};

/// What became of a proposal.
#[derive(Debug)]
pub enum Proposed {
    /// It was applied; the state machine says what came of it.
    Applied(LogIndex, ApplyOutcome),
    /// Another leader's entry took its place: it will never be applied.
    Replaced,
}

/// What the entry that is being applied came to.
type Outcomes = Rc<RefCell<Option<(LogIndex, ApplyOutcome)>>>;

/// Who waits for what becomes of a proposal.
struct Proposer {
    resolver: Resolver<Proposed>,
    outcomes: Outcomes,
}

impl Gated for Proposer {
    fn release(self: Box<Self>, release: Release) {
        match release {
            Release::Committed => {
                if let Some((index, outcome)) = self.outcomes.take() {
                    self.resolver.resolve(Proposed::Applied(index, outcome));
                }
            }
            Release::Undone => {
                crate::sometimes!("ring: a proposal replaced by the next leader");
                self.resolver.resolve(Proposed::Replaced);
            }
            Release::Lost => {}
        }
    }
}

/// The member.
pub struct RingMember {
    pub group: Group,
    pub state: RingState,
    /// Everything up to here is in `state`.
    pub applied: LogIndex,
    /// Who waits for an entry of its own.
    proposers: Gates,
    outcomes: Outcomes,
    /// The term in which this member leads.
    leading: Option<Term>,
    /// Who waits until `applied` has reached an index.
    readers: BTreeMap<(LogIndex, u64), Resolver<()>>,
    next_reader: u64,
}

impl RingMember {
    pub fn new(group: Group, state: RingState, applied: LogIndex) -> RingMember {
        RingMember {
            group,
            state,
            applied,
            proposers: Gates::default(),
            outcomes: Outcomes::default(),
            leading: None,
            readers: BTreeMap::new(),
            next_reader: 0,
        }
    }

    /// Appends an entry, if this member leads; the completion tells what became of it. It ends
    /// without an answer if the lead is lost and the next leader's log does not tell for long.
    pub fn propose(
        &mut self,
        spawner: &Spawner,
        entry: &RingEntry,
    ) -> Option<Completion<Proposed>> {
        let index = self.group.propose(entry.encode()).ok()?;
        let (completion, resolver) = spawner.completion();
        let proposer = Proposer { resolver, outcomes: self.outcomes.clone() };
        self.proposers.add(index, self.group.term(), Box::new(proposer));
        Some(completion)
    }

    /// Resolves once everything up to `index` is applied here.
    pub fn wait_applied(&mut self, spawner: &Spawner, index: LogIndex) -> Completion<()> {
        let (completion, resolver) = spawner.completion();
        if self.applied >= index {
            resolver.resolve(());
        } else {
            self.next_reader += 1;
            self.readers.insert((index, self.next_reader), resolver);
        }
        completion
    }

    /// Forgets those whose task does not wait any longer.
    pub fn forget_abandoned(&mut self) {
        self.readers.retain(|_, resolver| !resolver.is_abandoned());
    }

    /// How many wait for an entry of theirs, or for a position.
    pub fn waiting(&self) -> usize {
        self.proposers.len() + self.readers.len()
    }

    /// Applies one committed entry.
    ///
    /// # Errors
    /// This build cannot read it: the instance must stop, since other builds can, and their state would
    /// differ from this one.
    pub fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        assert_eq!(entry.index.0, self.applied.0 + 1, "the ring applies in order");
        let outcome = match entry.kind {
            EntryKind::Config => match self.group.apply_change(entry) {
                Ok(_) => Ok(Applied::Done),
                Err(error) => {
                    tracing::warn!(%error, index = %entry.index, "membership change refused");
                    Ok(Applied::Done)
                }
            },
            EntryKind::Normal if entry.data.is_empty() => Ok(Applied::Done),
            EntryKind::Normal => match RingEntry::decode(entry.data.clone()) {
                Ok(decoded) => self.state.apply(entry.index, &decoded),
                Err(error) => {
                    let index = entry.index;
                    return Err(format!("entry {index} of the ring cannot be read: {error}"));
                }
            },
        };
        self.moved_to(entry.index);
        self.outcomes.replace(Some((entry.index, outcome)));
        if self.leading == Some(entry.term) {
            self.proposers.committed(entry.index);
        }
        self.proposers.applied(entry.index, entry.term);
        Ok(())
    }

    /// Takes over the state of a snapshot.
    pub fn restore(&mut self, state: RingState, index: LogIndex) {
        self.state = state;
        self.moved_to(index);
        self.proposers.restored(index);
    }

    fn moved_to(&mut self, index: LogIndex) {
        self.applied = index;
        while let Some(entry) = self.readers.first_entry() {
            if entry.key().0 > index {
                break;
            }
            entry.remove().resolve(());
        }
    }

    /// After all that may have taken the lead away or brought it: what was proposed in one that is lost is
    /// waited for until `until`.
    pub fn follow_role(&mut self, until: Mono) {
        let leads = self.group.is_leader().then(|| self.group.term());
        if self.leading != leads {
            self.proposers.lead_lost(self.applied, until);
            self.leading = leads;
        }
    }

    /// Gives up those that have waited for too long for what became of a lost lead's entries.
    pub fn expire(&mut self, now: Mono) {
        self.proposers.expire(now);
    }

    /// This instance is about to stop: whoever waits for a lost lead's entries is told what is known.
    pub fn stop_waiting(&mut self) {
        self.proposers.expire(Mono::NEVER);
    }

    /// When this member should be looked at next, at the latest.
    pub fn next_wake(&self) -> Mono {
        self.group.next_wake().min(self.proposers.next_wake())
    }
}
