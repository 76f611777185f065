//! Questions to whoever leads a group, and the wait for their answers.
//!
//! A request has three ends: the leader answered; nobody did anything (ask again, it is safe); or
//! nobody knows (the link broke or the time ran out after the request had left). Only the asker can
//! tell whether repeating an unknown one is harmless.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::message::ResponseKind;
use crate::base::{GroupId, InstanceId};
use crate::seam::{Completion, Mono, PeerAddr, Resolver, Spawner};

/// How a request ended.
#[derive(Debug)]
pub enum Answer {
    Response(ResponseKind),
    /// Certainly not carried out: nobody leads, or the time ran out before it was sent.
    NotDone,
    /// Sent, and perhaps carried out.
    Unknown,
}

#[derive(Debug)]
struct Waiting {
    to: InstanceId,
    group: GroupId,
    /// Whether it changes the catalog.
    is_change: bool,
    deadline: Mono,
    resolver: Resolver<Answer>,
}

/// Requests that have left and not ended.
#[derive(Debug)]
pub struct Requests {
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

/// Requests that arrived, so that a message delivered twice is carried out once.
///
/// Remembers the newest [`SEEN_MAX`] ids of each sender. Ids start at random in each life of a sender.
#[derive(Debug, Default)]
pub struct Arrived {
    seen: BTreeMap<PeerAddr, (BTreeSet<u64>, VecDeque<u64>)>,
}

/// Ids remembered of a sender.
const SEEN_MAX: usize = 16_384;

impl Arrived {
    /// Whether request `id` of `from` arrives for the first time.
    pub fn is_new(&mut self, from: &PeerAddr, id: u64) -> bool {
        if !self.seen.contains_key(from) {
            self.seen.insert(from.clone(), Default::default());
        }
        let Some((ids, order)) = self.seen.get_mut(from) else { return true };
        if !ids.insert(id) {
            crate::sometimes!("requests: one that arrived twice");
            return crate::canary!(CarryOutTwice);
        }
        order.push_back(id);
        if order.len() > SEEN_MAX
            && let Some(oldest) = order.pop_front()
        {
            ids.remove(&oldest);
        }
        true
    }
}

impl Requests {
    /// `first` is drawn at random: a sender that restarted must not use ids again.
    pub fn new(first: u64) -> Requests {
        Requests { waiting: BTreeMap::new(), next: first >> 1 }
    }

    /// A new request to `to` as the leader of `group`: its id for the message, and its end.
    pub fn open(
        &mut self,
        spawner: &Spawner,
        (to, group): (InstanceId, GroupId),
        is_change: bool,
        deadline: Mono,
    ) -> (u64, Completion<Answer>) {
        self.next += 1;
        let (completion, resolver) = spawner.completion();
        self.waiting.insert(self.next, Waiting { to, group, is_change, deadline, resolver });
        (self.next, completion)
    }

    /// Nobody waits for request `id` any more; `false` if it has ended already.
    pub fn withdraw(&mut self, id: u64) -> bool {
        self.waiting.remove(&id).is_some()
    }

    /// Request `id` is being worked on by `from`: its end is waited for until `deadline` now.
    pub fn goes_on(&mut self, id: u64, from: Option<InstanceId>, deadline: Mono) {
        if let Some(waiting) = self.waiting.get_mut(&id)
            && Some(waiting.to) == from
        {
            waiting.deadline = waiting.deadline.max(deadline);
        }
    }

    /// The answer to request `id`; a late or foreign one is dropped.
    pub fn answered(&mut self, id: u64, from: Option<InstanceId>, response: ResponseKind) {
        let asked = self.waiting.get(&id).map(|w| w.to);
        if asked.is_some() && asked == from {
            self.end(id, Answer::Response(response));
        }
    }

    /// The way to `peer` broke: what was asked of it may or may not have arrived. Answers come another
    /// way, and one sent just before may still be read until `deadline`.
    pub fn link_down(&mut self, peer: InstanceId, deadline: Mono) {
        for waiting in self.waiting.values_mut().filter(|w| w.to == peer) {
            waiting.deadline = waiting.deadline.min(deadline);
        }
    }

    /// Somebody else leads `group` now: whoever was asked before has until `soon` to answer, or until `later`
    /// if it was asked for a change of the catalog.
    pub fn leader_changed(&mut self, group: GroupId, leader: InstanceId, soon: Mono, later: Mono) {
        for waiting in self.waiting.values_mut() {
            if waiting.group == group && waiting.to != leader {
                let deadline = if waiting.is_change { later } else { soon };
                waiting.deadline = waiting.deadline.min(deadline);
            }
        }
    }

    /// Ends what has waited too long.
    pub fn expire(&mut self, now: Mono) {
        let late: Vec<u64> =
            self.waiting.iter().filter(|(_, w)| w.deadline <= now).map(|(id, _)| *id).collect();
        for id in late {
            self.end(id, Answer::Unknown);
        }
    }

    /// When [`Requests::expire`] should be called next.
    pub fn next_wake(&self) -> Mono {
        self.waiting.values().map(|w| w.deadline).min().unwrap_or(Mono::NEVER)
    }

    /// Requests without an answer.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    fn end(&mut self, id: u64, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&id) {
            waiting.resolver.resolve(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_arrives_twice_is_new_once() {
        let mut arrived = Arrived::default();
        let (a, b) = (PeerAddr::new("a:1"), PeerAddr::new("b:1"));
        assert!(arrived.is_new(&a, 7));
        assert!(arrived.is_new(&b, 7));
        assert!(!arrived.is_new(&a, 7));
        for id in 8..8 + SEEN_MAX as u64 {
            assert!(arrived.is_new(&a, id));
        }
        assert_eq!(arrived.seen[&a].0.len(), SEEN_MAX, "memory of a sender is bounded");
    }
}
