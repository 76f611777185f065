//! Consistency models, which implies which, and which anomaly rules out which.
//!
//! ```text
//!                       strict serializable
//!                      /                   \
//!       strong session serializable    strong snapshot isolation
//!            |              \             /            |
//!       serializable    strong session snapshot     strong read committed
//!        /        \          isolation                 |
//!  repeatable   snapshot isolation      strong session read committed   strong read uncommitted
//!     read        /      \                             |                       |
//!       |   consistent   read              strong session read uncommitted ────┘
//!       |      view     atomic
//!     cursor stability    /
//!                \       /
//!              read committed
//!                    |
//!             read uncommitted
//! ```
//! Sources: Adya, *Weak Consistency* (1999), chapter 4; Cerone, Bernardi and Gotsman, *A Framework
//! for Transactional Consistency Models with Atomic Visibility* (2015); Cerone and Gotsman,
//! *Analysing Snapshot Isolation* (2016), for the cycles without adjacent anti-dependencies;
//! Kingsbury and Alvaro, *Elle* (2020), for the strong and strong-session forms.

use super::anomaly::{AnomalyKind, CycleClass, Family};

/// What a database may promise. See the page of this module for their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Model {
    ReadUncommitted,
    ReadCommitted,
    ReadAtomic,
    CursorStability,
    ConsistentView,
    RepeatableRead,
    SnapshotIsolation,
    Serializable,
    StrongSessionReadUncommitted,
    StrongSessionReadCommitted,
    StrongSessionSnapshotIsolation,
    StrongSessionSerializable,
    StrongReadUncommitted,
    StrongReadCommitted,
    StrongSnapshotIsolation,
    StrictSerializable,
    /// Of single registers.
    Linearizable,
}

use Model as M;

impl Model {
    /// The models a history of transactions can be held against.
    pub const TRANSACTIONAL: [Model; 16] = [
        M::ReadUncommitted,
        M::ReadCommitted,
        M::ReadAtomic,
        M::CursorStability,
        M::ConsistentView,
        M::RepeatableRead,
        M::SnapshotIsolation,
        M::Serializable,
        M::StrongSessionReadUncommitted,
        M::StrongSessionReadCommitted,
        M::StrongSessionSnapshotIsolation,
        M::StrongSessionSerializable,
        M::StrongReadUncommitted,
        M::StrongReadCommitted,
        M::StrongSnapshotIsolation,
        M::StrictSerializable,
    ];

    pub fn name(self) -> &'static str {
        match self {
            M::ReadUncommitted => "read-uncommitted",
            M::ReadCommitted => "read-committed",
            M::ReadAtomic => "read-atomic",
            M::CursorStability => "cursor-stability",
            M::ConsistentView => "consistent-view",
            M::RepeatableRead => "repeatable-read",
            M::SnapshotIsolation => "snapshot-isolation",
            M::Serializable => "serializable",
            M::StrongSessionReadUncommitted => "strong-session-read-uncommitted",
            M::StrongSessionReadCommitted => "strong-session-read-committed",
            M::StrongSessionSnapshotIsolation => "strong-session-snapshot-isolation",
            M::StrongSessionSerializable => "strong-session-serializable",
            M::StrongReadUncommitted => "strong-read-uncommitted",
            M::StrongReadCommitted => "strong-read-committed",
            M::StrongSnapshotIsolation => "strong-snapshot-isolation",
            M::StrictSerializable => "strict-serializable",
            M::Linearizable => "linearizable",
        }
    }

    /// The model of that name, in Elle's spelling.
    pub fn named(name: &str) -> Option<Model> {
        let all = M::TRANSACTIONAL.into_iter().chain([M::Linearizable]);
        all.into_iter().find(|model| model.name() == name).or(match name {
            "strong-serializable" => Some(M::StrictSerializable),
            _ => None,
        })
    }

    /// The next weaker models.
    fn weaker(self) -> &'static [Model] {
        match self {
            M::ReadUncommitted | M::Linearizable => &[],
            M::ReadCommitted => &[M::ReadUncommitted],
            M::ReadAtomic | M::CursorStability => &[M::ReadCommitted],
            M::ConsistentView => &[M::CursorStability],
            M::RepeatableRead => &[M::CursorStability],
            M::SnapshotIsolation => &[M::ConsistentView, M::ReadAtomic],
            M::Serializable => &[M::RepeatableRead, M::SnapshotIsolation],
            M::StrongSessionReadUncommitted => &[M::ReadUncommitted],
            M::StrongSessionReadCommitted => &[M::ReadCommitted, M::StrongSessionReadUncommitted],
            M::StrongSessionSnapshotIsolation => {
                &[M::SnapshotIsolation, M::StrongSessionReadCommitted]
            }
            M::StrongSessionSerializable => &[M::Serializable, M::StrongSessionSnapshotIsolation],
            M::StrongReadUncommitted => &[M::StrongSessionReadUncommitted],
            M::StrongReadCommitted => &[M::StrongSessionReadCommitted, M::StrongReadUncommitted],
            M::StrongSnapshotIsolation => {
                &[M::StrongSessionSnapshotIsolation, M::StrongReadCommitted]
            }
            M::StrictSerializable => &[M::StrongSessionSerializable, M::StrongSnapshotIsolation],
        }
    }

    /// Whether every history of this model is one of `other`.
    pub fn implies(self, other: Model) -> bool {
        self == other || self.weaker().iter().any(|weaker| weaker.implies(other))
    }

    /// Whether no history of this model shows that anomaly.
    pub fn forbids(self, kind: AnomalyKind) -> bool {
        first_forbidding(kind).iter().any(|model| self.implies(*model))
    }
}

/// The weakest models that forbid an anomaly.
fn first_forbidding(kind: AnomalyKind) -> &'static [Model] {
    use AnomalyKind as Kind;
    match kind {
        Kind::DuplicateElements | Kind::CyclicVersions => &[M::ReadUncommitted],
        Kind::IncompatibleOrder
        | Kind::GarbageRead
        | Kind::DirtyUpdate
        | Kind::G1a
        | Kind::G1b
        | Kind::FutureRead => &[M::ReadCommitted],
        Kind::Internal => &[M::ReadAtomic, M::RepeatableRead],
        Kind::LostUpdate => &[M::CursorStability],
        Kind::LongFork => &[M::SnapshotIsolation, M::RepeatableRead],
        Kind::PredicateReadMiss => &[M::Serializable],
        Kind::Cycle(family, class) => first_forbidding_cycle(family, class),
        Kind::Nonlinearizable => &[M::Linearizable],
        Kind::LostElement
        | Kind::UnexpectedElement
        | Kind::WrongTotal
        | Kind::NegativeBalance
        | Kind::DuplicateId => &[],
    }
}

fn first_forbidding_cycle(family: Family, class: CycleClass) -> &'static [Model] {
    use CycleClass as Class;
    match (family, class) {
        (Family::Plain, Class::G0) => &[M::ReadUncommitted],
        (Family::Plain, Class::G1c) => &[M::ReadCommitted],
        (Family::Plain, Class::GSingle) => &[M::ConsistentView, M::RepeatableRead],
        (Family::Plain, Class::GSinglePredicate) => &[M::ConsistentView],
        (Family::Plain, Class::GNonadjacentPredicate) => &[M::SnapshotIsolation],
        (Family::Plain, Class::GNonadjacent) => &[M::SnapshotIsolation, M::RepeatableRead],
        (Family::Plain, Class::G2Item) => &[M::RepeatableRead],
        (Family::Plain, Class::G2) => &[M::Serializable],
        (Family::Process, Class::G0) => &[M::StrongSessionReadUncommitted],
        (Family::Process, Class::G1c) => &[M::StrongSessionReadCommitted],
        (Family::Process, Class::G2Item | Class::G2) => &[M::StrongSessionSerializable],
        (Family::Realtime, Class::G0) => &[M::StrongReadUncommitted],
        (Family::Realtime, Class::G1c) => &[M::StrongReadCommitted],
        (Family::Realtime, Class::G2Item | Class::G2) => &[M::StrictSerializable],
        (Family::Process, _) => &[M::StrongSessionSnapshotIsolation],
        (Family::Realtime, _) => &[M::StrongSnapshotIsolation],
    }
}

/// The strongest candidates that survive, and the weakest that do not.
pub(super) fn boundary(kinds: &[AnomalyKind], candidates: &[Model]) -> (Vec<Model>, Vec<Model>) {
    let (ruled_out, surviving): (Vec<Model>, Vec<Model>) =
        candidates.iter().partition(|model| kinds.iter().any(|kind| model.forbids(*kind)));
    let strongest = surviving
        .iter()
        .filter(|model| !surviving.iter().any(|other| other != *model && other.implies(**model)));
    let weakest = ruled_out
        .iter()
        .filter(|model| !ruled_out.iter().any(|other| other != *model && model.implies(*other)));
    (strongest.copied().collect(), weakest.copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_skew_leaves_snapshot_isolation_and_no_more() {
        let skew = AnomalyKind::Cycle(Family::Plain, CycleClass::G2Item);
        let (strongest, ruled_out) = boundary(&[skew], &Model::TRANSACTIONAL);
        assert_eq!(strongest, [M::StrongSnapshotIsolation]);
        assert_eq!(ruled_out, [M::RepeatableRead]);
    }

    #[test]
    fn a_stale_read_leaves_serializable() {
        let stale = AnomalyKind::Cycle(Family::Realtime, CycleClass::GSingle);
        let (strongest, ruled_out) = boundary(&[stale], &Model::TRANSACTIONAL);
        assert_eq!(strongest, [M::StrongSessionSerializable, M::StrongReadCommitted]);
        assert_eq!(ruled_out, [M::StrongSnapshotIsolation]);
    }

    #[test]
    fn strict_serializable_is_above_all_and_forbids_all_that_is_about_transactions() {
        assert_eq!(Model::named("strong-serializable"), Some(M::StrictSerializable));
        assert_eq!(Model::named("linearizable"), Some(M::Linearizable));
        assert_eq!(Model::named("perfect"), None);
        for model in Model::TRANSACTIONAL {
            assert!(M::StrictSerializable.implies(model), "{}", model.name());
            assert!(model.implies(M::ReadUncommitted), "{}", model.name());
            assert_eq!(Model::named(model.name()), Some(model));
        }
        for family in [Family::Plain, Family::Process, Family::Realtime] {
            for class in [CycleClass::G0, CycleClass::G2] {
                assert!(M::StrictSerializable.forbids(AnomalyKind::Cycle(family, class)));
            }
        }
    }
}
