//! Leases: who may serve reads without asking anyone is alone in it, in true time.

use basalt_core::base::GroupId;
use basalt_core::seam::Mono;

use crate::clock::Clock;
use crate::node::GroupView;

/// What was last seen of a member's lease.
struct Lease {
    group: GroupId,
    host: u16,
    until: Mono,
    until_true_ns: Option<u64>,
}

/// The leases held: hardly ever more than one a group.
#[derive(Default)]
pub struct LeaseCheck {
    held: Vec<Lease>,
}

impl Lease {
    fn runs_at(&self, now_ns: u64) -> bool {
        self.until_true_ns.is_some_and(|until_ns| until_ns > now_ns)
    }
}

impl LeaseCheck {
    /// A process ends or begins: what the last one held is nothing to the next.
    pub fn process_changed(&mut self, host: u16) {
        self.held.retain(|lease| lease.host != host);
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
        let group = view.group;
        let known = self.held.iter().position(|lease| (lease.group, lease.host) == (group, host));
        let Some(until) = view.lease_until else {
            if let Some(at) = known {
                self.held.swap_remove(at);
            }
            return Ok(());
        };
        if until < clock.mono(now_ns) {
            return Err(format!("serves at {now_ns} ns though its lease has ended"));
        }
        let at = known.unwrap_or_else(|| {
            self.held.push(Lease { group, host, until, until_true_ns: clock.when(until) });
            self.held.len() - 1
        });
        let lease = &mut self.held[at];
        if lease.until != until {
            (lease.until, lease.until_true_ns) = (until, clock.when(until));
        }
        if lease.runs_at(now_ns) { self.is_alone(now_ns, group, host) } else { Ok(()) }
    }

    fn is_alone(&self, now_ns: u64, group: GroupId, host: u16) -> Result<(), String> {
        let mut others =
            self.held.iter().filter(|lease| lease.group == group && lease.host != host);
        match others.find(|lease| lease.runs_at(now_ns)) {
            Some(lease) => Err(format!(
                "holds a lease at {now_ns} ns while n{} holds one until {:?} ns",
                lease.host + 1,
                lease.until_true_ns
            )),
            None => Ok(()),
        }
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
