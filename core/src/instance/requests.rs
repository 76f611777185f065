//! Questions to whoever leads a group, and the wait for their answers.
//!
//! A request has three ends: the leader answered; nobody did anything (ask again, it is safe); or
//! nobody knows (the link broke or the time ran out after the request had left). Only the asker can
//! tell whether repeating an unknown one is harmless.

use std::collections::BTreeMap;

use super::message::ResponseKind;
use crate::base::{GroupId, InstanceId};
use crate::seam::{Completion, Mono, Resolver, Spawner};

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
    deadline: Mono,
    resolver: Resolver<Answer>,
}

/// Requests that have left and not ended.
#[derive(Debug, Default)]
pub struct Requests {
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

impl Requests {
    /// A new request to `to` as the leader of `group`: its id for the message, and its end.
    pub fn open(
        &mut self,
        spawner: &Spawner,
        (to, group): (InstanceId, GroupId),
        deadline: Mono,
    ) -> (u64, Completion<Answer>) {
        self.next += 1;
        let (completion, resolver) = spawner.completion();
        self.waiting.insert(self.next, Waiting { to, group, deadline, resolver });
        (self.next, completion)
    }

    /// The answer to request `id`; a late or foreign one is dropped.
    pub fn answered(&mut self, id: u64, from: Option<InstanceId>, response: ResponseKind) {
        let asked = self.waiting.get(&id).map(|w| w.to);
        if asked.is_some() && asked == from {
            self.end(id, Answer::Response(response));
        }
    }

    /// The way to `peer` broke: what was asked of it may or may not have arrived.
    pub fn link_down(&mut self, peer: InstanceId) {
        let lost: Vec<u64> =
            self.waiting.iter().filter(|(_, w)| w.to == peer).map(|(id, _)| *id).collect();
        for id in lost {
            self.end(id, Answer::Unknown);
        }
    }

    /// Somebody else leads `group` now: whoever was asked before has until `deadline` to answer.
    pub fn leader_changed(&mut self, group: GroupId, leader: InstanceId, deadline: Mono) {
        for waiting in self.waiting.values_mut() {
            if waiting.group == group && waiting.to != leader {
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

    fn end(&mut self, id: u64, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&id) {
            waiting.resolver.resolve(answer);
        }
    }
}
