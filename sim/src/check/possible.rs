//! What the data of one client can be like, when some of its changes have an unknown outcome.
//!
//! Confirmed changes apply in order; one of unknown outcome applies at any later time or never. So
//! the model is the set of states, each with the unknown changes already in it. What a client was
//! answered keeps those states that fit; at least one must be left.
//!
//! ```text
//!   x = 1 unknown      {0, 1ᵃ}       ᵃ: with the unknown change in it
//!   x += 2 confirmed   {2, 3ᵃ, 1ᵃ}   also: it came after the confirmed one
//!   read 3             {3ᵃ}          a read of 1 later on is a failure
//! ```

use std::collections::BTreeSet;

/// Past this many open changes, or so many states, the data is no longer judged.
const OPEN_MAX: usize = 6;
const STATES_MAX: usize = 5_000;

/// The possible states `S`; `C` are changes.
pub struct Possible<S, C> {
    /// Each with the open changes that are in it, a bit each. `None`: too many to judge.
    states: Option<BTreeSet<(S, u32)>>,
    /// Changes of unknown outcome.
    open: Vec<C>,
    next: fn(&S, &C) -> Option<S>,
}

impl<S: Ord + Clone, C> Possible<S, C> {
    /// `next`: the state after a change; `None` where the change cannot be made.
    pub fn new(start: S, next: fn(&S, &C) -> Option<S>) -> Possible<S, C> {
        Possible { states: Some(BTreeSet::from([(start, 0)])), open: Vec::new(), next }
    }

    /// The states now; `None` if anything is possible.
    pub fn states(&self) -> Option<BTreeSet<S>> {
        let states = self.states.as_ref()?;
        Some(states.iter().map(|(state, _)| state.clone()).collect())
    }

    /// Something was done or seen: `step` gives the state after it, `None` where it cannot be.
    /// `Err`: it cannot be in any; holds the states there were.
    pub fn go(&mut self, step: impl Fn(&S) -> Option<S>) -> Result<(), BTreeSet<S>> {
        let Some(states) = &self.states else { return Ok(()) };
        let after: BTreeSet<(S, u32)> =
            states.iter().filter_map(|(state, open)| Some((step(state)?, *open))).collect();
        if after.is_empty() {
            return Err(self.states().unwrap_or_default());
        }
        self.states = Some(after);
        self.settle();
        Ok(())
    }

    /// From now on the change may happen at any time.
    pub fn may(&mut self, change: C) {
        if self.open.len() == OPEN_MAX {
            self.forget_certain();
        }
        if self.open.len() == OPEN_MAX {
            self.states = None;
            return;
        }
        self.open.push(change);
        self.settle();
    }

    /// Lets any open changes happen, in any order.
    fn settle(&mut self) {
        let Some(states) = &mut self.states else { return };
        let mut todo: Vec<(S, u32)> = states.iter().cloned().collect();
        while let Some((state, made)) = todo.pop() {
            for (k, change) in self.open.iter().enumerate() {
                if made & (1 << k) == 0
                    && let Some(after) = (self.next)(&state, change)
                {
                    let next = (after, made | 1 << k);
                    if states.insert(next.clone()) {
                        todo.push(next);
                    }
                }
            }
        }
        if states.len() > STATES_MAX {
            self.states = None;
        }
    }

    /// Open changes that are in every state are open no more.
    fn forget_certain(&mut self) {
        let Some(states) = &mut self.states else { return };
        let certain = states.iter().fold(u32::MAX, |all, (_, made)| all & made);
        for k in (0..self.open.len()).rev().filter(|k| certain & (1 << k) != 0) {
            self.open.remove(k);
            let low = (1u32 << k) - 1;
            let without = |made: u32| (made & low) | ((made >> 1) & !low);
            *states =
                std::mem::take(states).into_iter().map(|(s, made)| (s, without(made))).collect();
        }
    }
}

/// The possible states from some place in the history to another.
struct Window<S> {
    from: u64,
    until: u64,
    /// `None`: any.
    states: Option<BTreeSet<S>>,
}

/// What was possible when. Two windows overlap while the operation between them is under way.
pub struct Timeline<S> {
    windows: Vec<Window<S>>,
}

impl<S: Ord + Clone> Timeline<S> {
    pub fn new(start: S) -> Timeline<S> {
        let states = Some(BTreeSet::from([start]));
        Timeline { windows: vec![Window { from: 0, until: u64::MAX, states }] }
    }

    /// The states after an operation that was under way `from` one place `until` another.
    pub fn then(&mut self, from: u64, until: u64, states: Option<BTreeSet<S>>) {
        let last = self.windows.last_mut().expect("there is one from the start");
        last.until = until;
        self.windows.push(Window { from, until: u64::MAX, states });
    }

    /// Whether at some time between these places a state may have been such.
    pub fn had(&self, from: u64, until: u64, is_such: impl Fn(&S) -> bool) -> bool {
        // Both ends grow from window to window.
        let first = self.windows.partition_point(|window| window.until < from);
        let mut meeting = self.windows[first..].iter().take_while(|window| window.from <= until);
        meeting.any(|window| match &window.states {
            None => true,
            Some(states) => states.iter().any(&is_such),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `x = x * factor + add`, where that stays small.
    fn next(x: &i64, (factor, add): &(i64, i64)) -> Option<i64> {
        Some(x * factor + add).filter(|x| *x < 1_000)
    }

    #[test]
    fn an_open_change_happens_once_at_any_time_or_never() {
        let confirm = |possible: &mut Possible<i64, (i64, i64)>| {
            possible.go(|x| next(x, &(3, 1))).unwrap();
        };
        let mut possible = Possible::new(0, next);
        possible.may((2, 5));
        confirm(&mut possible);
        assert_eq!(possible.states(), Some(BTreeSet::from([1, 7, 16])));
        possible.go(|x| (*x == 7).then_some(7)).unwrap();
        assert_eq!(possible.go(|x| (*x == 1).then_some(1)), Err(BTreeSet::from([7])), "undone");
    }

    #[test]
    fn what_is_certain_makes_place_for_more_and_too_much_is_not_judged() {
        let mut possible = Possible::new(0, next);
        for k in 0..20 {
            possible.may((1, 1));
            possible.go(|x| (*x == k + 1).then_some(k + 1)).unwrap();
        }
        assert_eq!(possible.states(), Some(BTreeSet::from([20])));
        (0..=OPEN_MAX).for_each(|_| possible.may((1, 1)));
        assert_eq!(possible.states(), None);
        assert_eq!(possible.go(|_| None), Ok(()));
    }

    #[test]
    fn windows_overlap_while_an_operation_is_under_way() {
        let mut timeline = Timeline::new('a');
        timeline.then(10, 20, Some(BTreeSet::from(['b'])));
        let had = |from, until, what: char| timeline.had(from, until, |state| *state == what);
        assert!(had(1, 5, 'a') && !had(1, 5, 'b'));
        assert!(had(12, 14, 'a') && had(12, 14, 'b'));
        assert!(!had(21, 30, 'a') && had(21, 30, 'b'));
    }
}
