//! A connection's gate: how the reactor pauses or ends the tasks that serve the connection.

use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Open,
    /// Reading waits; writing goes on.
    Paused,
    /// Both tasks end.
    Shut,
}

/// Shared by the reactor, the reading task and the draining task of one connection.
#[derive(Debug)]
pub struct Gate {
    state: Cell<State>,
    reading: RefCell<Option<Waker>>,
    writing: RefCell<Option<Waker>>,
}

/// The gate was shut: the task that sees this ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shut;

impl Default for Gate {
    fn default() -> Gate {
        Gate {
            state: Cell::new(State::Open),
            reading: RefCell::new(None),
            writing: RefCell::new(None),
        }
    }
}

impl Gate {
    /// Pauses or resumes reading. Has no effect on a shut gate.
    pub fn set_paused(&self, paused: bool) {
        match (self.state.get(), paused) {
            (State::Open, true) => self.state.set(State::Paused),
            (State::Paused, false) => {
                self.state.set(State::Open);
                wake(&self.reading);
            }
            _ => {}
        }
    }

    /// Ends both tasks.
    pub fn shut(&self) {
        self.state.set(State::Shut);
        wake(&self.reading);
        wake(&self.writing);
    }

    pub fn is_shut(&self) -> bool {
        self.state.get() == State::Shut
    }

    /// Ready when reading may go on. Else the task is woken when that changes.
    pub fn poll_may_read(&self, context: &mut Context<'_>) -> Poll<Result<(), Shut>> {
        let answer = match self.state.get() {
            State::Open => Poll::Ready(Ok(())),
            State::Paused => Poll::Pending,
            State::Shut => return Poll::Ready(Err(Shut)),
        };
        leave(&self.reading, context);
        answer
    }

    /// Ready unless shut; the task is woken when the gate is shut.
    pub fn poll_may_write(&self, context: &mut Context<'_>) -> Result<(), Shut> {
        if self.is_shut() {
            return Err(Shut);
        }
        leave(&self.writing, context);
        Ok(())
    }
}

fn wake(slot: &RefCell<Option<Waker>>) {
    if let Some(waker) = slot.borrow_mut().take() {
        waker.wake();
    }
}

fn leave(slot: &RefCell<Option<Waker>>, context: &Context<'_>) {
    let mut slot = slot.borrow_mut();
    if !slot.as_ref().is_some_and(|left| left.will_wake(context.waker())) {
        *slot = Some(context.waker().clone());
    }
}
