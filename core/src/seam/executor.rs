//! The local executor: sessions as `async fn`s, polled inside `step`, first in, first out.
//!
//! A task waits for one thing only: a [`Completion`], which an event resolves. There are no wakers
//! from outside, no threads and no timers here; a completion remembers which task polled it and,
//! when resolved, puts that task at the end of the ready queue. Order of polling is therefore a
//! function of the order of events.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A running `async fn`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId(pub u64);

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// State shared between the executor and the completions it hands out.
#[derive(Debug, Default)]
struct Shared {
    ready: RefCell<VecDeque<TaskId>>,
    /// The task being polled now.
    current: Cell<Option<TaskId>>,
}

/// Spawns tasks and makes completions; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Spawner {
    shared: Rc<Shared>,
    spawned: Rc<RefCell<Vec<(TaskId, SpawnedTask)>>>,
    next: Rc<Cell<u64>>,
}

/// A task between `spawn` and its first poll.
struct SpawnedTask(Task);

impl std::fmt::Debug for SpawnedTask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("task")
    }
}

impl Spawner {
    /// Adds a task; it is polled for the first time in this turn, after those already ready.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> TaskId {
        let id = TaskId(self.next.get());
        self.next.set(id.0 + 1);
        self.spawned.borrow_mut().push((id, SpawnedTask(Box::pin(task))));
        self.shared.ready.borrow_mut().push_back(id);
        id
    }

    /// A pair: the side that is awaited and the side that an event resolves.
    pub fn completion<T>(&self) -> (Completion<T>, Resolver<T>) {
        let slot = Rc::new(Slot {
            value: RefCell::new(None),
            waiter: Cell::new(None),
            resolver_gone: Cell::new(false),
        });
        (
            Completion { slot: slot.clone(), shared: self.shared.clone() },
            Resolver { slot, shared: self.shared.clone() },
        )
    }
}

/// Runs tasks.
#[derive(Default)]
pub struct Executor {
    spawner: Spawner,
    tasks: BTreeMap<TaskId, Task>,
}

impl Executor {
    pub fn new() -> Executor {
        Executor::default()
    }

    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// How many tasks have not finished.
    pub fn len(&self) -> usize {
        self.tasks.len() + self.spawner.spawned.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether a task could make progress now.
    pub fn has_ready(&self) -> bool {
        !self.spawner.shared.ready.borrow().is_empty()
    }

    /// Polls the task at the head of the ready queue. `false` when none is ready.
    pub fn poll_one(&mut self) -> bool {
        let next = self.spawner.shared.ready.borrow_mut().pop_front();
        let Some(id) = next else { return false };
        self.adopt_spawned();
        // A task woken twice, or finished meanwhile, is simply not there.
        let Some(mut task) = self.tasks.remove(&id) else { return true };
        self.spawner.shared.current.set(Some(id));
        let mut context = Context::from_waker(Waker::noop());
        let outcome = task.as_mut().poll(&mut context);
        self.spawner.shared.current.set(None);
        if outcome.is_pending() {
            self.tasks.insert(id, task);
        }
        true
    }

    /// Polls until no task is ready.
    pub fn run_until_stalled(&mut self) {
        while self.poll_one() {}
    }

    fn adopt_spawned(&mut self) {
        for (id, SpawnedTask(task)) in self.spawner.spawned.borrow_mut().drain(..) {
            self.tasks.insert(id, task);
        }
    }
}

#[derive(Debug)]
struct Slot<T> {
    value: RefCell<Option<T>>,
    waiter: Cell<Option<TaskId>>,
    resolver_gone: Cell<bool>,
}

/// A value that an event will bring. Awaiting it gives `None` if its resolver was dropped.
#[derive(Debug)]
pub struct Completion<T> {
    slot: Rc<Slot<T>>,
    shared: Rc<Shared>,
}

/// The other side of a [`Completion`].
#[derive(Debug)]
pub struct Resolver<T> {
    slot: Rc<Slot<T>>,
    shared: Rc<Shared>,
}

impl<T> Resolver<T> {
    /// Gives the value; the waiting task, if any, becomes ready.
    pub fn resolve(self, value: T) {
        *self.slot.value.borrow_mut() = Some(value);
        // Dropping `self` wakes the waiter.
    }

    /// Whether nobody can receive the value any more.
    pub fn is_abandoned(&self) -> bool {
        Rc::strong_count(&self.slot) == 1
    }
}

impl<T> Drop for Resolver<T> {
    fn drop(&mut self) {
        self.slot.resolver_gone.set(true);
        if let Some(task) = self.slot.waiter.take() {
            self.shared.ready.borrow_mut().push_back(task);
        }
    }
}

impl<T> Future for Completion<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(value) = self.slot.value.borrow_mut().take() {
            return Poll::Ready(Some(value));
        }
        if self.slot.resolver_gone.get() {
            return Poll::Ready(None);
        }
        self.slot.waiter.set(self.shared.current.get());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_run_in_the_order_they_became_ready() {
        let mut executor = Executor::new();
        let spawner = executor.spawner();
        let log = Rc::new(RefCell::new(Vec::new()));
        let (first, resolve_first) = spawner.completion::<u32>();
        let (second, resolve_second) = spawner.completion::<u32>();
        for completion in [first, second] {
            let log = log.clone();
            spawner.spawn(async move {
                let value = completion.await;
                log.borrow_mut().push(value);
            });
        }
        executor.run_until_stalled();
        assert_eq!(executor.len(), 2);
        resolve_second.resolve(2);
        resolve_first.resolve(1);
        executor.run_until_stalled();
        assert_eq!(*log.borrow(), vec![Some(2), Some(1)]);
        assert!(executor.is_empty());
    }

    #[test]
    fn a_dropped_resolver_ends_the_wait() {
        let mut executor = Executor::new();
        let spawner = executor.spawner();
        let seen = Rc::new(Cell::new(false));
        let (completion, resolver) = spawner.completion::<u32>();
        let flag = seen.clone();
        spawner.spawn(async move { flag.set(completion.await.is_none()) });
        executor.run_until_stalled();
        drop(resolver);
        executor.run_until_stalled();
        assert!(seen.get());
    }
}
