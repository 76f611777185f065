//! The kinds of anomalies, named as Elle names them, and one found anomaly with its story.

use std::fmt;

use crate::history::OperationId;

/// The shape of a cycle of dependencies, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CycleClass {
    /// Only writes over writes.
    G0,
    /// Writes and reads of writes.
    G1c,
    /// Exactly one anti-dependency: a read skew.
    GSingle,
    /// As `GSingle`, the anti-dependency being of a predicate.
    GSinglePredicate,
    /// Several anti-dependencies, no two in a row: a long fork.
    GNonadjacent,
    /// As `GNonadjacent`, with an anti-dependency of a predicate.
    GNonadjacentPredicate,
    /// Anti-dependencies in a row, all on single items: a write skew.
    G2Item,
    /// As `G2Item`, with an anti-dependency of a predicate.
    G2,
}

impl CycleClass {
    /// Whether an anti-dependency of a predicate is in the cycle.
    pub(crate) fn has_predicate(self) -> bool {
        use CycleClass::{G2, GNonadjacentPredicate, GSinglePredicate};
        matches!(self, GSinglePredicate | GNonadjacentPredicate | G2)
    }

    /// How bad it is, 0 the worst, whether of items or of predicates.
    pub(crate) fn rank(self) -> u32 {
        match self {
            CycleClass::G0 => 0,
            CycleClass::G1c => 1,
            CycleClass::GSingle | CycleClass::GSinglePredicate => 2,
            CycleClass::GNonadjacent | CycleClass::GNonadjacentPredicate => 3,
            CycleClass::G2Item | CycleClass::G2 => 4,
        }
    }
}

/// What orders operations besides their data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Nothing.
    Plain,
    /// What one process did before and after.
    Process,
    /// What ended before something else began.
    Realtime,
}

/// What can be found. The order is by severity, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnomalyKind {
    /// A list holds an element twice.
    DuplicateElements,
    /// The versions of a key have no order.
    CyclicVersions,
    /// Two reads of a list, neither a prefix of the other.
    IncompatibleOrder,
    /// A read of what nobody wrote.
    GarbageRead,
    /// A committed write over an aborted one.
    DirtyUpdate,
    /// A read of an aborted write.
    G1a,
    /// A read of a version its transaction wrote over.
    G1b,
    /// A transaction read what it wrote only later.
    FutureRead,
    /// A transaction contradicts itself.
    Internal,
    /// Two transactions changed the same version.
    LostUpdate,
    /// Two reads saw two writes in opposite orders.
    LongFork,
    /// A predicate read missed a key all of whose versions match.
    PredicateReadMiss,
    Cycle(Family, CycleClass),
    /// No order of a register's operations explains what they returned.
    Nonlinearizable,
    /// An element of a set that was added and is gone.
    LostElement,
    /// An element of a set that was never added.
    UnexpectedElement,
    /// A bank whose balances do not add up.
    WrongTotal,
    NegativeBalance,
    /// A value that was handed out twice.
    DuplicateId,
}

impl AnomalyKind {
    /// The name as Elle writes it, where Elle has one.
    pub fn name(self) -> &'static str {
        use AnomalyKind as Kind;
        use CycleClass as Class;
        use Family::{Plain, Process, Realtime};
        match self {
            Kind::DuplicateElements => "duplicate-elements",
            Kind::CyclicVersions => "cyclic-versions",
            Kind::IncompatibleOrder => "incompatible-order",
            Kind::GarbageRead => "garbage-read",
            Kind::DirtyUpdate => "dirty-update",
            Kind::G1a => "G1a",
            Kind::G1b => "G1b",
            Kind::FutureRead => "future-read",
            Kind::Internal => "internal",
            Kind::LostUpdate => "lost-update",
            Kind::LongFork => "long-fork",
            Kind::PredicateReadMiss => "predicate-read-miss",
            Kind::Cycle(Plain, Class::G0) => "G0",
            Kind::Cycle(Plain, Class::G1c) => "G1c",
            Kind::Cycle(Plain, Class::GSingle) => "G-single",
            Kind::Cycle(Plain, Class::GSinglePredicate) => "G-single-predicate",
            Kind::Cycle(Plain, Class::GNonadjacent) => "G-nonadjacent",
            Kind::Cycle(Plain, Class::GNonadjacentPredicate) => "G-nonadjacent-predicate",
            Kind::Cycle(Plain, Class::G2Item) => "G2-item",
            Kind::Cycle(Plain, Class::G2) => "G2",
            Kind::Cycle(Process, Class::G0) => "G0-process",
            Kind::Cycle(Process, Class::G1c) => "G1c-process",
            Kind::Cycle(Process, Class::GSingle) => "G-single-process",
            Kind::Cycle(Process, Class::GSinglePredicate) => "G-single-predicate-process",
            Kind::Cycle(Process, Class::GNonadjacent) => "G-nonadjacent-process",
            Kind::Cycle(Process, Class::GNonadjacentPredicate) => "G-nonadjacent-predicate-process",
            Kind::Cycle(Process, Class::G2Item) => "G2-item-process",
            Kind::Cycle(Process, Class::G2) => "G2-process",
            Kind::Cycle(Realtime, Class::G0) => "G0-realtime",
            Kind::Cycle(Realtime, Class::G1c) => "G1c-realtime",
            Kind::Cycle(Realtime, Class::GSingle) => "G-single-realtime",
            Kind::Cycle(Realtime, Class::GSinglePredicate) => "G-single-predicate-realtime",
            Kind::Cycle(Realtime, Class::GNonadjacent) => "G-nonadjacent-realtime",
            Kind::Cycle(Realtime, Class::GNonadjacentPredicate) => {
                "G-nonadjacent-predicate-realtime"
            }
            Kind::Cycle(Realtime, Class::G2Item) => "G2-item-realtime",
            Kind::Cycle(Realtime, Class::G2) => "G2-realtime",
            Kind::Nonlinearizable => "nonlinearizable",
            Kind::LostElement => "lost-element",
            Kind::UnexpectedElement => "unexpected-element",
            Kind::WrongTotal => "wrong-total",
            Kind::NegativeBalance => "negative-balance",
            Kind::DuplicateId => "duplicate-id",
        }
    }

    /// The kind in words.
    pub fn meaning(self) -> &'static str {
        use AnomalyKind as Kind;
        use CycleClass as Class;
        match self {
            Kind::DuplicateElements => "a list was read that holds an element twice",
            Kind::CyclicVersions => "the versions of a key cannot be ordered",
            Kind::IncompatibleOrder => "two reads of a list, neither a prefix of the other",
            Kind::GarbageRead => "a value was read that nobody wrote",
            Kind::DirtyUpdate => "a committed write was made on top of an aborted one",
            Kind::G1a => "an aborted write was read",
            Kind::G1b => "a version was read that its own transaction had written over",
            Kind::FutureRead => "a transaction read what it wrote only later",
            Kind::Internal => "a transaction contradicts what it read or wrote itself",
            Kind::LostUpdate => "several transactions changed the same version of a key",
            Kind::PredicateReadMiss => "a predicate read missed a key all versions of which match",
            Kind::LongFork => "two reads saw two independent writes in opposite orders",
            Kind::Cycle(_, Class::G0) => "writes depend on each other in a circle",
            Kind::Cycle(_, Class::G1c) => "writes and reads of them form a circle",
            Kind::Cycle(_, Class::GSingle) => "a circle with one read of an overwritten version",
            Kind::Cycle(_, Class::GSinglePredicate) => {
                "a circle with one predicate that was changed after it was read"
            }
            Kind::Cycle(_, Class::GNonadjacentPredicate) => {
                "a circle with predicates that were changed after, no two of them in a row"
            }
            Kind::Cycle(_, Class::GNonadjacent) => {
                "a circle with reads of overwritten versions, no two of them in a row"
            }
            Kind::Cycle(_, Class::G2Item) => "a circle with reads of overwritten versions in a row",
            Kind::Cycle(_, Class::G2) => "a circle through a predicate that was changed after",
            Kind::Nonlinearizable => "no order of the operations explains what they returned",
            Kind::LostElement => "an element was added and is gone",
            Kind::UnexpectedElement => "an element is there that was not added",
            Kind::WrongTotal => "the balances do not add up",
            Kind::NegativeBalance => "an account is overdrawn",
            Kind::DuplicateId => "a value was handed out twice",
        }
    }
}

/// Why one operation of a cycle comes before the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EdgeReason {
    /// The second wrote over what the first wrote.
    WriteWrite,
    /// The second read what the first wrote.
    WriteRead,
    /// The second wrote over what the first read.
    ReadWrite,
    /// The second changed which keys match what the first asked for.
    PredicateReadWrite,
    /// The same process ran both in this order.
    Process,
    /// The first ended before the second began.
    Realtime,
}

impl EdgeReason {
    /// Whether the second changed what the first read.
    pub fn is_anti(self) -> bool {
        matches!(self, EdgeReason::ReadWrite | EdgeReason::PredicateReadWrite)
    }

    pub fn name(self) -> &'static str {
        match self {
            EdgeReason::WriteWrite => "ww",
            EdgeReason::WriteRead => "wr",
            EdgeReason::ReadWrite => "rw",
            EdgeReason::PredicateReadWrite => "rwp",
            EdgeReason::Process => "process",
            EdgeReason::Realtime => "realtime",
        }
    }
}

/// One step of a cycle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CycleEdge {
    pub from: OperationId,
    pub to: OperationId,
    pub reason: EdgeReason,
    /// The reason in words, with the key and the values.
    pub words: String,
}

/// One thing that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anomaly {
    pub kind: AnomalyKind,
    /// The operations that show it, in the order of the story.
    pub operations: Vec<OperationId>,
    /// The story, a line each: first the operations, then why they cannot be.
    pub story: Vec<String>,
    /// The shortest cycle, where it is one; the last edge leads back to the first operation.
    pub cycle: Vec<CycleEdge>,
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, line) in self.story.iter().enumerate() {
            writeln!(f, "  {} {line}", if index == 0 { "-" } else { " " })?;
        }
        Ok(())
    }
}
