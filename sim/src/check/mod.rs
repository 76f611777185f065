//! Checks: what must hold in every run, and the name of what broke.
//!
//! Some watch while the run goes on ([`Monitor`]: groups at each turn, digests now and then), some
//! read the history afterwards ([`judge_history`]). The first failure ends a run.

mod accounts;
mod acks;
mod calm;
mod excuses;
mod items;
mod leases;
mod linear;
mod possible;
mod raft;
mod replicas;
mod rows;
mod scratch;
mod second;

use crate::clock::Clock;
use crate::node::{GroupView, Inspectable};
use crate::workload::History;
pub use calm::Calm;
pub use excuses::Excuses;

/// The checks by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Check {
    Linearizability,
    Invariants,
    Raft,
    Leases,
    Replicas,
    Sql,
    Acks,
    Liveness,
    Resources,
    Crash,
    Determinism,
}

impl Check {
    pub const ALL: &'static [(Check, &'static str)] = &[
        (Check::Linearizability, "each register acts at one instant between call and answer"),
        (
            Check::Invariants,
            "the bank keeps its total; pairs are seen together; indexes fit their rows",
        ),
        (Check::Raft, "one leader a term, committed entries agree and stay"),
        (Check::Leases, "no two members serve reads on their own at one moment of true time"),
        (Check::Replicas, "equal state at equal applied index, also of who would recover now"),
        (Check::Sql, "every answer has the right shape and the value of a plain model"),
        (Check::Acks, "nothing acknowledged is lost, nothing refused is seen, unknowns resolve"),
        (Check::Liveness, "once everything, or a quorum, is healed all clients finish"),
        (Check::Resources, "queues and sizes are back in their bounds after a rest"),
        (Check::Crash, "no assertion fails"),
        (Check::Determinism, "the same plan gives the same trace in another process"),
    ];

    pub fn name(self) -> &'static str {
        match self {
            Check::Linearizability => "linearizability",
            Check::Invariants => "invariants",
            Check::Raft => "raft",
            Check::Leases => "leases",
            Check::Replicas => "replicas",
            Check::Sql => "sql",
            Check::Acks => "acks",
            Check::Liveness => "liveness",
            Check::Resources => "resources",
            Check::Crash => "crash",
            Check::Determinism => "determinism",
        }
    }

    /// The exit status of a run in which it failed.
    pub fn exit_status(self) -> u8 {
        match self {
            Check::Liveness => 2,
            Check::Crash => 3,
            _ => 1,
        }
    }
}

/// A check that failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub check: Check,
    pub message: String,
}

impl Failure {
    pub fn new(check: Check, message: impl Into<String>) -> Failure {
        Failure { check, message: message.into() }
    }
}

/// Checks that watch a run.
pub struct Monitor {
    raft: raft::RaftCheck,
    leases: leases::LeaseCheck,
    replicas: replicas::ReplicaCheck,
    excuses: Excuses,
    failure: Option<Failure>,
}

impl Monitor {
    pub fn new(hosts: usize, excuses: Excuses) -> Monitor {
        Monitor {
            raft: raft::RaftCheck::new(hosts),
            leases: leases::LeaseCheck::default(),
            replicas: replicas::ReplicaCheck::default(),
            excuses,
            failure: None,
        }
    }

    /// After a turn of an instance.
    pub fn look(
        &mut self,
        now_ns: u64,
        host: u16,
        views: &[GroupView],
        clock: &Clock,
        node: &impl Inspectable,
    ) {
        if !self.excuses.cover(Check::Raft) {
            let result = self.raft.look(host, views, node);
            self.note(Check::Raft, result);
        }
        if !self.excuses.cover(Check::Leases) {
            let result = self.leases.look(now_ns, host, views, clock);
            self.note(Check::Leases, result);
        }
    }

    /// Now and then, for what is too dear to compute at each turn.
    pub fn sample(&mut self, host: u16, node: &impl Inspectable) {
        if self.excuses.cover(Check::Replicas) {
            return;
        }
        let result = self.replicas.sample(host, node);
        self.note(Check::Replicas, result);
    }

    /// Of an instance whose store is small, or that rests.
    pub fn check_stores(&mut self, host: u16, node: &impl Inspectable) {
        let result =
            node.check_stores().map_err(|what| format!("the store of n{}: {what}", host + 1));
        self.note(Check::Invariants, result);
    }

    /// Of a shadow: what a host would come back with. `durable` are the host's own views, where all that
    /// they rest on is durable.
    pub fn shadow(
        &mut self,
        host: u16,
        durable: &[GroupView],
        views: &[GroupView],
        node: &impl Inspectable,
    ) {
        let kept = self.raft.keeps_acknowledged(views, node);
        let kept = kept.and_then(|()| replicas::keeps_votes(durable, views));
        let stores = kept.and_then(|()| node.check_stores());
        let committed = |group| self.raft.last_committed(group);
        let result = stores.and_then(|()| self.replicas.shadow(host, node, &committed));
        let shadow = |what: String| {
            format!("n{} would come back from a power failure as another: {what}", host + 1)
        };
        self.note(Check::Replicas, result.map_err(shadow));
    }

    pub fn process_began(&mut self, host: u16) {
        self.raft.process_began(host);
        self.leases.process_changed(host);
        self.replicas.process_began(host);
    }

    pub fn process_ended(&mut self, host: u16) {
        self.raft.process_ended(host);
        self.leases.process_changed(host);
    }

    pub fn take_failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    fn note(&mut self, check: Check, result: Result<(), String>) {
        if let (None, Err(message)) = (&self.failure, result) {
            self.failure = Some(Failure { check, message });
        }
    }
}

/// Reads a history.
type Judge = fn(&History) -> Result<(), String>;

/// Checks that read the whole history; `calm`: of a run without faults.
pub fn judge_history(history: &History, excuses: &Excuses, calm: Option<Calm>) -> Option<Failure> {
    let judges: [(Check, Judge); 6] = [
        (Check::Acks, acks::judge),
        (Check::Linearizability, linear::judge),
        (Check::Invariants, accounts::judge),
        (Check::Sql, rows::judge),
        (Check::Sql, items::judge),
        (Check::Sql, scratch::judge),
    ];
    let found = judges
        .into_iter()
        .filter(|(check, _)| !excuses.cover(*check))
        .find_map(|(check, judge)| judge(history).err().map(|what| Failure::new(check, what)));
    found.or_else(|| Some(Failure::new(Check::Acks, calm?.judge(history).err()?)))
}
