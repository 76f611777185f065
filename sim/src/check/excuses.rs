//! What a lie of the hardware may break.
//!
//! A *lie* is a fault that no instance can notice (`Damage::BeyondBudget`). In a plan that holds lies
//! the checks they may break are not made; everything else still is, and an assertion that fails is
//! a bug all the same: an instance may be wronged, it may stop, it must not crash.
//!
//! | lie | so it may break |
//! |---|---|
//! | `disk.lying-fsync`, `disk.stale-read`, `process.old-image` | a member forgets a vote or entries that it acknowledged: two leaders in a term, another entry where one was committed, and all that rests on it |
//! | `clock.mono-jump` | a follower gives up on a leader whose lease runs on: two leases, and reads that are stale |
//! | `disk.misdirected-write` | nothing: checksums show it, so at most an instance stops or starts over |

use std::collections::BTreeSet;

use super::Check;
use crate::faults::Kind;
use crate::plan::Plan;

/// The checks that are not made.
#[derive(Clone, Debug, Default)]
pub struct Excuses {
    checks: BTreeSet<Check>,
}

/// Everything but assertions, bounds and repeatability.
const AMNESIA: &[Check] = &[
    Check::Raft,
    Check::Leases,
    Check::Replicas,
    Check::Linearizability,
    Check::Invariants,
    Check::Sql,
    Check::Acks,
    Check::Liveness,
];
const STALE_READS: &[Check] = &[Check::Leases, Check::Linearizability, Check::Sql, Check::Acks];

impl Excuses {
    pub fn of(plan: &Plan) -> Excuses {
        let kinds: BTreeSet<Kind> = plan.faults.iter().map(|fault| fault.kind).collect();
        let checks = kinds.iter().flat_map(|kind| may_break(*kind)).copied().collect();
        Excuses { checks }
    }

    pub fn cover(&self, check: Check) -> bool {
        self.checks.contains(&check)
    }
}

fn may_break(kind: Kind) -> &'static [Check] {
    match kind {
        Kind::DiskLyingSync | Kind::DiskStaleRead | Kind::ProcessOldImage => AMNESIA,
        Kind::MonoJump => STALE_READS,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Damage;
    use crate::run::subject;
    use crate::scenario::{Scenario, plan};

    #[test]
    fn only_lies_excuse_and_never_a_crash() {
        for kind in Kind::ALL {
            let broken = may_break(*kind);
            assert!(broken.is_empty() || kind.damage() == Damage::BeyondBudget, "{kind:?}");
            assert!(!broken.contains(&Check::Crash), "{kind:?}");
            assert!(!broken.contains(&Check::Resources), "{kind:?}");
        }
    }

    #[test]
    fn a_plan_is_excused_by_what_is_in_it() {
        let scenario = Scenario::by_name("beyond-budget").expect("a scenario");
        let mut plan = plan(scenario, 1, subject("basalt").expect("the database"));
        for (kind, checks) in [
            (Kind::MonoJump, STALE_READS),
            (Kind::ProcessOldImage, AMNESIA),
            (Kind::DiskMisdirected, &[]),
            (Kind::ProcessWiped, &[]),
        ] {
            plan.faults.truncate(1);
            plan.faults[0].kind = kind;
            let excuses = Excuses::of(&plan);
            for (check, _) in Check::ALL {
                assert_eq!(excuses.cover(*check), checks.contains(check), "{kind:?} {check:?}");
            }
        }
    }
}
