//! This instance's member of the ring: the group, its state, and who waits for it.
//!
//! The ring applies entries when they are committed, never before: it is small and rarely written,
//! and everybody must agree on it.

use std::collections::BTreeMap;

use crate::base::{LogIndex, Term};
use crate::group::Group;
use crate::raft::{Entry, EntryKind};
use crate::seam::{Completion, Resolver, Spawner};
use crate::topology::{Applied, ApplyOutcome, RingEntry, RingState};

/// What became of a proposal.
#[derive(Debug)]
pub enum Proposed {
    /// It was applied; the state machine says what came of it.
    Applied(LogIndex, ApplyOutcome),
    /// Another leader's entry took its place: it will never be applied.
    Replaced,
}

/// The member.
#[derive(Debug)]
pub struct RingMember {
    pub group: Group,
    pub state: RingState,
    /// Everything up to here is in `state`.
    pub applied: LogIndex,
    /// Who waits for the entry at an index, proposed in a term.
    proposals: BTreeMap<LogIndex, (Term, Resolver<Proposed>)>,
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
            proposals: BTreeMap::new(),
            readers: BTreeMap::new(),
            next_reader: 0,
        }
    }

    /// Appends an entry, if this member leads; the completion tells what became of it. It ends
    /// without an answer if this member stops leading before the entry is decided.
    pub fn propose(
        &mut self,
        spawner: &Spawner,
        entry: &RingEntry,
    ) -> Option<Completion<Proposed>> {
        let index = self.group.propose(entry.encode()).ok()?;
        let (completion, resolver) = spawner.completion();
        self.proposals.insert(index, (self.group.term(), resolver));
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
        self.proposals.len() + self.readers.len()
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
        if let Some((term, resolver)) = self.proposals.remove(&entry.index) {
            resolver.resolve(if term == entry.term {
                Proposed::Applied(entry.index, outcome)
            } else {
                Proposed::Replaced
            });
        }
        Ok(())
    }

    /// Takes over the state of a snapshot.
    pub fn restore(&mut self, state: RingState, index: LogIndex) {
        self.state = state;
        self.moved_to(index);
        self.proposals.retain(|at, _| *at > index);
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

    /// After each turn: proposals of a lost leadership have no answer here any more.
    pub fn forget_lost_proposals(&mut self) {
        if !self.group.is_leader() {
            self.proposals.clear();
        }
    }
}
