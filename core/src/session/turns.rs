//! How much a session does before others have their turn.
//!
//! An instance answers nobody while a session works: no client, no peer, no cancel request, and a
//! leader whose heartbeats stay away is replaced. So a session that has many short statements at once
//! does its share of them in a turn and the rest in later ones; a statement that is long by itself is
//! cut into slices instead ([`crate::exec::slice`]).
//!
//! ```text
//!   turn 1            turn 2            turn 3
//!   A: 256 INSERTs    A: 256 INSERTs    A: 88 INSERTs    600 of them in one Query
//!   B: SELECT         … heartbeats …    B: SELECT
//! ```
//!
//! Those that wait go on in the order they came. What is left out: the text of a single statement is
//! read in one go, however long it is.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use crate::seam::{Completion, Resolver, Spawner};

/// Statements of one session in a turn: about a millisecond of the shortest, and more than clients
/// keep in a pipeline.
const STATEMENTS: u32 = 256;
/// Bytes of text of one session that are read in a turn: some milliseconds.
const TEXT_BYTES: usize = 64 << 10;
/// Sessions that go on in a turn out of those that wait: with their shares, a fraction of an election
/// timeout.
const RESUMED: usize = 4;

/// The turns of an instance, as its sessions see them.
#[derive(Debug)]
pub struct Turns {
    /// From 1: a new session has no share of any turn yet.
    number: Cell<u64>,
    waiting: RefCell<VecDeque<Resolver<()>>>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { number: Cell::new(1), waiting: RefCell::default() }
    }
}

impl Turns {
    /// A turn begins: those who wait longest go on.
    pub fn begin(&self) {
        self.number.set(self.number.get() + 1);
        let mut waiting = self.waiting.borrow_mut();
        let resumed = waiting.len().min(RESUMED);
        for session in waiting.drain(..resumed) {
            session.resolve(());
        }
    }

    /// Whether a session waits for the next turn.
    pub fn are_wanted(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    /// Resolves in a later turn.
    pub(super) fn later(&self, spawner: &Spawner) -> Completion<()> {
        let (completion, resolver) = spawner.completion();
        self.waiting.borrow_mut().push_back(resolver);
        completion
    }
}

/// What a session may still do in a turn.
#[derive(Debug, Default)]
pub(super) struct Share {
    turn: u64,
    statements: u32,
    text_bytes: usize,
}

impl Share {
    /// Takes a statement of `text_bytes` out of the share of this turn; `false` if that is used up.
    /// The last statement may be longer than what is left.
    pub fn take(&mut self, turns: &Turns, text_bytes: usize) -> bool {
        let turn = turns.number.get();
        if self.turn != turn {
            *self = Share { turn, statements: STATEMENTS, text_bytes: TEXT_BYTES };
        }
        let spent = self.statements == 0 || self.text_bytes == 0;
        if spent || crate::buggify!("session: a share spent early") {
            return false;
        }
        self.statements -= 1;
        self.text_bytes = self.text_bytes.saturating_sub(text_bytes);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;
    use crate::seam::Executor;

    #[test]
    fn a_share_is_statements_and_text() {
        let turns = Turns::default();
        turns.begin();
        let mut share = Share::default();
        let taken = (0..1_000).take_while(|_| share.take(&turns, 10)).count();
        assert_eq!(taken, STATEMENTS as usize);
        turns.begin();
        assert!(share.take(&turns, TEXT_BYTES - 1));
        assert!(share.take(&turns, 1_000_000));
        assert!(!share.take(&turns, 1));
        turns.begin();
        assert!(share.take(&turns, 1));
    }

    #[test]
    fn who_waits_longest_goes_on_first() {
        let turns = Turns::default();
        let mut executor = Executor::new();
        let gone_on = Rc::new(RefCell::new(Vec::new()));
        for k in 0..6 {
            let (turn, gone_on) = (turns.later(&executor.spawner()), gone_on.clone());
            executor.spawner().spawn(async move {
                turn.await;
                gone_on.borrow_mut().push(k);
            });
        }
        executor.run_until_stalled();
        for expected in [&[0, 1, 2, 3][..], &[0, 1, 2, 3, 4, 5]] {
            assert!(turns.are_wanted());
            turns.begin();
            executor.run_until_stalled();
            assert_eq!(*gone_on.borrow(), expected);
        }
        assert!(!turns.are_wanted());
    }
}
