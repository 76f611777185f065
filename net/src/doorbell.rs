//! Wakes a reactor from anywhere, at the price of a system call only when it is asleep.
//!
//! A reactor that found nothing to do *parks*: it leaves its waker, raises `parked`, looks once more
//! and sleeps. Whoever brings work puts it in place first and rings after. Both sides put a full
//! fence between their store and their load, so either the ringer sees `parked` or the reactor,
//! looking once more, sees the work; never neither.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// One reactor's bell.
#[derive(Debug, Default)]
pub struct Doorbell {
    parked: AtomicBool,
    shutdown: AtomicBool,
    waker: Mutex<Option<Waker>>,
}

impl Doorbell {
    pub fn new() -> Doorbell {
        Doorbell::default()
    }

    /// Says that there is work. Cheap while the reactor is awake.
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.parked.load(Ordering::Relaxed) && self.parked.swap(false, Ordering::AcqRel) {
            let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(waker) = &*waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Asks the instance to shut down in good order.
    pub fn request_shutdown(&self) {
        self.shutdown.store(true, Ordering::Release);
        self.ring();
    }

    pub(crate) fn shutdown_requested(&self) -> bool {
        self.shutdown.load(Ordering::Acquire)
    }

    /// The request, once.
    pub(crate) fn take_shutdown(&self) -> bool {
        self.shutdown_requested() && self.shutdown.swap(false, Ordering::AcqRel)
    }

    /// From now on a ring wakes `waker`. The caller must look for work once more after this.
    pub(crate) fn park(&self, waker: &Waker) {
        let mut left = self.waker.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *left {
            Some(old) => old.clone_from(waker),
            None => *left = Some(waker.clone()),
        }
        drop(left);
        self.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn unpark(&self) {
        self.parked.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_ring_wakes_a_parked_reactor_once_and_a_running_one_never() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(count.clone());
        let doorbell = Doorbell::new();
        doorbell.ring();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        doorbell.park(&waker);
        doorbell.ring();
        doorbell.ring();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_request_to_shut_down_is_taken_once() {
        let doorbell = Doorbell::new();
        doorbell.request_shutdown();
        assert!(doorbell.take_shutdown());
        assert!(!doorbell.take_shutdown());
    }
}
