//! Leases: who may serve reads without asking anyone is alone in it, in true time.

use std::collections::BTreeMap;

use basalt_core::base::GroupId;
use basalt_core::seam::Mono;

use crate::clock::Clock;
use crate::node::GroupView;

/// What was last seen of a member's lease.
#[derive(Clone, Copy)]
struct Lease {
    until: Mono,
    until_true_ns: Option<u64>,
}

/// The leases held, by group and host.
#[derive(Default)]
pub struct LeaseCheck {
    held: BTreeMap<(GroupId, u16), Lease>,
}

impl LeaseCheck {
    /// A process ends or begins: what the last one held is nothing to the next.
    pub fn process_changed(&mut self, host: u16) {
        self.held.retain(|(_, of), _| *of != host);
    }

    pub fn look(
        &mut self,
        now_ns: u64,
        host: u16,
        views: &[GroupView],
        clock: &Clock,
    ) -> Result<(), String> {
        for view in views {
            self.look_at_one(now_ns, host, view, clock)
                .map_err(|what| format!("{:?} at n{}: {what}", view.group, host + 1))?;
        }
        Ok(())
    }

    fn look_at_one(
        &mut self,
        now_ns: u64,
        host: u16,
        view: &GroupView,
        clock: &Clock,
    ) -> Result<(), String> {
        let key = (view.group, host);
        let Some(until) = view.lease_until else {
            self.held.remove(&key);
            return Ok(());
        };
        if until < clock.mono(now_ns) {
            return Err(format!("serves at {now_ns} ns though its lease has ended"));
        }
        let known = self.held.get(&key).filter(|lease| lease.until == until);
        let until_true_ns = known.map_or_else(|| clock.when(until), |lease| lease.until_true_ns);
        self.held.insert(key, Lease { until, until_true_ns });
        if until_true_ns.is_some_and(|until_ns| until_ns > now_ns) {
            self.is_alone(now_ns, key)?;
        }
        Ok(())
    }

    fn is_alone(&self, now_ns: u64, (group, host): (GroupId, u16)) -> Result<(), String> {
        let held = self.held.range((group, 0)..=(group, u16::MAX));
        for ((_, other), lease) in held.filter(|((_, other), _)| *other != host) {
            if lease.until_true_ns.is_some_and(|until_ns| until_ns > now_ns) {
                return Err(format!(
                    "holds a lease at {now_ns} ns while n{} holds one until {:?} ns",
                    other + 1,
                    lease.until_true_ns
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use basalt_core::base::{InstanceId, LogIndex, Term};

    use super::*;

    fn view(lease: Option<u64>) -> GroupView {
        GroupView {
            group: GroupId(1),
            member: InstanceId(7),
            term: Term(1),
            is_leader: true,
            last: LogIndex(1),
            commit: LogIndex(1),
            applied: LogIndex(1),
            lease_until: lease.map(Mono),
            votes: crate::node::Votes::default(),
        }
    }

    #[test]
    fn two_leases_at_one_moment_and_one_that_has_ended_are_found() {
        let clock = Clock::new(0, 0);
        let look = |check: &mut LeaseCheck, now_ns, host, lease| {
            check.look(now_ns, host, &[view(lease)], &clock)
        };
        let mut check = LeaseCheck::default();
        look(&mut check, 100, 0, Some(500)).unwrap();
        assert!(look(&mut check, 100, 0, Some(50)).unwrap_err().contains("has ended"));
        look(&mut check, 100, 1, None).unwrap();
        assert!(look(&mut check, 499, 1, Some(900)).unwrap_err().contains("n1 holds one"));
        look(&mut check, 500, 1, Some(900)).unwrap();
        check.process_changed(1);
        look(&mut check, 600, 0, Some(900)).unwrap();
        look(&mut check, 700, 0, None).unwrap();
        look(&mut check, 700, 1, Some(900)).unwrap();
    }
}
