//! Statements this instance runs for others.
//!
//! Whoever asked is told now and then that its statement is still being worked on, so that it can wait
//! for a long one and yet notices soon when nobody works on it any more. It may withdraw it. A broken
//! link to it ends it too: whoever asked may be gone and would never withdraw it. If it is still there,
//! which only the way to it tells, it hears that nothing was done and asks again; its client notices
//! nothing but the time.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::message::ResponseKind;
use crate::base::SqlState;
use crate::seam::{Mono, PeerAddr};
use crate::session::{Interrupt, Reason};

/// Between two notices.
const NOTICE_PERIOD: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Running {
    since: Mono,
    interrupt: Rc<Interrupt>,
}

/// By who asked, and under which id.
#[derive(Debug, Default)]
pub struct Serving {
    running: BTreeMap<(PeerAddr, u64), Running>,
    next_notice: Mono,
}

impl Serving {
    /// A statement begins: what tells it to end early.
    pub fn begin(&mut self, from: &PeerAddr, id: u64, now: Mono) -> Rc<Interrupt> {
        let interrupt = Rc::new(Interrupt::default());
        if self.running.is_empty() {
            self.next_notice = now + NOTICE_PERIOD;
        }
        let running = Running { since: now, interrupt: interrupt.clone() };
        self.running.insert((from.clone(), id), running);
        interrupt
    }

    /// Whether nothing runs for others.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    pub fn end(&mut self, from: &PeerAddr, id: u64) {
        self.running.remove(&(from.clone(), id));
    }

    /// Statements and questions being worked on.
    pub fn len(&self) -> usize {
        self.running.len()
    }

    /// Whoever asked does not want it any more.
    pub fn withdrawn(&mut self, from: &PeerAddr, id: u64) {
        if let Some(running) = self.running.get(&(from.clone(), id)) {
            running.interrupt.raise(Reason::Cancelled);
        }
    }

    /// The way to `peer` broke.
    pub fn link_down(&mut self, peer: &PeerAddr) {
        let of_peer = self.running.range((peer.clone(), 0)..=(peer.clone(), u64::MAX));
        of_peer.for_each(|(_, running)| running.interrupt.raise(Reason::Disconnected));
    }

    /// The statements whose asker should be told now that they go on.
    pub fn notices(&mut self, now: Mono) -> Vec<(PeerAddr, u64)> {
        if now < self.next_wake() {
            return Vec::new();
        }
        self.next_notice = now + NOTICE_PERIOD;
        let old = self.running.iter().filter(|(_, r)| r.since + NOTICE_PERIOD <= now);
        old.map(|(key, _)| key.clone()).collect()
    }

    /// When [`Serving::notices`] should be called next.
    pub fn next_wake(&self) -> Mono {
        if self.running.is_empty() { Mono::NEVER } else { self.next_notice }
    }
}

/// What is answered to whoever asked. A statement ends early only before it has changed anything, so
/// after a broken link it may be asked again.
pub fn answer_of(what: ResponseKind, interrupt: &Interrupt) -> ResponseKind {
    match what {
        ResponseKind::Failed(error)
            if interrupt.reason() == Some(Reason::Disconnected)
                && error.state == SqlState::ConnectionFailure =>
        {
            crate::sometimes!("serving: ended by a broken link, to be asked again");
            ResponseKind::NotLeader(None)
        }
        what => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_told_of_long_statements_only() {
        let at = |ms| Mono(0) + Duration::from_millis(ms);
        let (a, b) = (PeerAddr::new("a:1"), PeerAddr::new("b:1"));
        let mut serving = Serving::default();
        assert_eq!(serving.next_wake(), Mono::NEVER);
        let long = serving.begin(&a, 1, at(0));
        let short = serving.begin(&b, 7, at(900));
        assert_eq!(serving.next_wake(), at(1000));
        assert_eq!(serving.notices(at(999)), []);
        assert_eq!(serving.notices(at(1000)), [(a.clone(), 1)]);
        assert_eq!(serving.notices(at(1500)), []);
        serving.link_down(&a);
        assert!(long.reason().is_some() && short.reason().is_none());
        serving.withdrawn(&b, 7);
        assert_eq!(short.reason(), Some(Reason::Cancelled));
        serving.end(&a, 1);
        assert_eq!(serving.notices(at(2100)), [(b.clone(), 7)]);
        serving.end(&b, 7);
        assert_eq!(serving.next_wake(), Mono::NEVER);
    }
}
