//! The toy database: versions of keys in order of commit, and a rule for each engine.
//!
//! A version is an element of a list or a value of a register; a snapshot at time `s` sees of each
//! key the versions committed at or before `s`.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::{Engine, PlannedAction, PlannedStep};

/// A transaction under way.
pub(super) struct Running {
    steps: Vec<PlannedStep>,
    next_step: usize,
    /// The number of the last commit it sees.
    snapshot: u64,
    /// It could not get a lock and will abort.
    is_doomed: bool,
}

#[derive(Clone, Copy)]
struct Version {
    value: i64,
    commit: u64,
}

/// What serializable snapshots remember of a committed transaction.
struct Committed {
    snapshot: u64,
    commit: u64,
    reads: Vec<u32>,
    writes: Vec<u32>,
    /// Some concurrent transaction has read what this one wrote over.
    has_in: bool,
    /// This one has read what some concurrent transaction wrote over.
    has_out: bool,
}

#[derive(Default)]
struct Key {
    versions: Vec<Version>,
    /// Of read uncommitted: writes in place, and who holds the lock.
    dirty: Vec<i64>,
    locked: bool,
}

pub(super) struct Database {
    engine: Engine,
    commits: u64,
    keys: Vec<Key>,
    recent: Vec<Committed>,
}

/// Stale replicas are at most so many commits behind.
const LAG_MAX: usize = 40;
const LOST_CHANCE: f64 = 0.02;
const ABORT_DIRTY_CHANCE: f64 = 0.1;
/// Committed transactions that are remembered; more than ever run beside one.
const RECENT_MAX: usize = 512;

impl Database {
    pub fn new(engine: Engine) -> Database {
        Database { engine, commits: 0, keys: Vec::new(), recent: Vec::new() }
    }

    fn key(&mut self, key: u32) -> &mut Key {
        if self.keys.len() <= key as usize {
            self.keys.resize_with(key as usize + 1, Key::default);
        }
        &mut self.keys[key as usize]
    }

    /// The newest committed value of a key, 0 where there is none.
    pub fn current(&mut self, key: u32) -> i64 {
        self.key(key).versions.last().map_or(0, |version| version.value)
    }

    fn versions_at(&mut self, key: u32, commit: u64) -> Vec<i64> {
        let versions = &self.key(key).versions;
        let seen = versions.partition_point(|version| version.commit <= commit);
        versions[..seen].iter().map(|version| version.value).collect()
    }

    pub fn begin(&mut self, steps: Vec<PlannedStep>, dice: &mut Dice) -> Running {
        let only_reads = steps.iter().all(|step| matches!(step.action, PlannedAction::Read(_)));
        let lag = match self.engine {
            Engine::StaleReplica if only_reads => dice.roll(LAG_MAX) as u64,
            _ => 0,
        };
        let snapshot = self.commits.saturating_sub(lag);
        Running { steps, next_step: 0, snapshot, is_doomed: false }
    }

    /// Does the next step. Returns false where none is left.
    pub fn step(&mut self, transaction: &mut Running) -> bool {
        let at = transaction.next_step;
        if at == transaction.steps.len() || transaction.is_doomed {
            return false;
        }
        transaction.next_step += 1;
        let key = transaction.steps[at].key;
        let engine = self.engine;
        match engine {
            Engine::ReadUncommitted => self.step_in_place(transaction, at),
            Engine::ReadCommitted if !self.takes_lock(transaction, at) => {}
            Engine::ReadCommitted | Engine::NonRepeatable => {
                let commits = self.commits;
                self.read_at(transaction, at, key, commits);
            }
            Engine::Snapshot | Engine::SerializableSnapshot => {
                let snapshot = transaction.snapshot;
                self.read_at(transaction, at, key, snapshot);
            }
            // All at once, at the end.
            Engine::Serial | Engine::StaleReplica | Engine::LostWrite | Engine::Crashed => {}
        }
        true
    }

    /// A read at a commit, with the transaction's own writes after it.
    fn read_at(&mut self, transaction: &mut Running, at: usize, key: u32, commit: u64) {
        if !matches!(transaction.steps[at].action, PlannedAction::Read(_)) {
            return;
        }
        let mut versions = self.versions_at(key, commit);
        versions.extend(transaction.steps[..at].iter().filter_map(|step| match step.action {
            PlannedAction::Write(value) if step.key == key => Some(value),
            _ => None,
        }));
        transaction.steps[at].action = PlannedAction::Read(Some(versions));
    }

    fn step_in_place(&mut self, transaction: &mut Running, at: usize) {
        if !self.takes_lock(transaction, at) {
            return;
        }
        let place = self.key(transaction.steps[at].key);
        match &mut transaction.steps[at].action {
            PlannedAction::Read(seen) => *seen = Some(place.dirty.clone()),
            PlannedAction::Write(value) => place.dirty.push(*value),
            PlannedAction::Swap { .. } => {}
        }
    }

    /// Locks the key of a write until the transaction ends. One that cannot is doomed.
    fn takes_lock(&mut self, transaction: &mut Running, at: usize) -> bool {
        let is_write = |step: &PlannedStep| matches!(step.action, PlannedAction::Write(_));
        if !is_write(&transaction.steps[at]) {
            return true;
        }
        let key = transaction.steps[at].key;
        let is_own = transaction.steps[..at].iter().any(|step| step.key == key && is_write(step));
        let place = self.key(key);
        if place.locked && !is_own {
            transaction.is_doomed = true;
            transaction.next_step = at;
            return false;
        }
        place.locked = true;
        true
    }

    fn unlock(&mut self, transaction: &Running) {
        for step in &transaction.steps[..transaction.next_step] {
            if let PlannedAction::Write(_) = step.action {
                self.key(step.key).locked = false;
            }
        }
    }

    /// Commits or aborts. Returns whether it committed, and the steps with what they saw.
    pub fn end(
        &mut self,
        mut transaction: Running,
        aborts: bool,
        dice: &mut Dice,
    ) -> (bool, Vec<PlannedStep>) {
        let committed = match self.engine {
            Engine::ReadUncommitted => self.end_in_place(&transaction, aborts, dice),
            Engine::ReadCommitted => {
                self.unlock(&transaction);
                !aborts && !transaction.is_doomed
            }
            _ if aborts => false,
            Engine::Snapshot | Engine::NonRepeatable => self.is_first_committer(&transaction),
            Engine::SerializableSnapshot => {
                self.is_first_committer(&transaction) && self.has_no_pivot(&transaction)
            }
            Engine::Serial | Engine::StaleReplica | Engine::LostWrite | Engine::Crashed => {
                self.run_at_once(&mut transaction)
            }
        };
        let is_lost = self.engine == Engine::LostWrite && dice.chance(LOST_CHANCE);
        if committed && !is_lost && self.engine != Engine::ReadUncommitted {
            self.apply(&transaction);
        }
        (committed, transaction.steps)
    }

    fn apply(&mut self, transaction: &Running) {
        self.commits += 1;
        let commit = self.commits;
        for step in &transaction.steps {
            let (PlannedAction::Write(value) | PlannedAction::Swap { new: value, .. }) =
                step.action
            else {
                continue;
            };
            self.key(step.key).versions.push(Version { value, commit });
        }
    }

    /// Runs all steps now, or on the replica's snapshot where only reads are left to it.
    fn run_at_once(&mut self, transaction: &mut Running) -> bool {
        let only_reads =
            transaction.steps.iter().all(|step| matches!(step.action, PlannedAction::Read(_)));
        let commit = match self.engine {
            Engine::StaleReplica if only_reads => transaction.snapshot,
            _ => self.commits,
        };
        for at in 0..transaction.steps.len() {
            let key = transaction.steps[at].key;
            if let PlannedAction::Swap { old, .. } = transaction.steps[at].action
                && self.current(key) != old
            {
                return false;
            }
            self.read_at(transaction, at, key, commit);
        }
        true
    }

    fn is_first_committer(&mut self, transaction: &Running) -> bool {
        transaction.steps.iter().all(|step| match step.action {
            PlannedAction::Read(_) => true,
            _ => {
                let last = self.key(step.key).versions.last();
                last.is_none_or(|version| version.commit <= transaction.snapshot)
            }
        })
    }

    /// Cahill's rule: no transaction may have anti-dependencies on both sides with concurrent ones.
    fn has_no_pivot(&mut self, transaction: &Running) -> bool {
        let keys = |reads: bool| -> Vec<u32> {
            let fits = |step: &&PlannedStep| matches!(step.action, PlannedAction::Read(_)) == reads;
            transaction.steps.iter().filter(fits).map(|step| step.key).collect()
        };
        let (reads, writes) = (keys(true), keys(false));
        let meets = |one: &[u32], other: &[u32]| one.iter().any(|key| other.contains(key));
        let is_concurrent = |other: &Committed| other.commit > transaction.snapshot;
        let concurrent = || self.recent.iter().filter(|other| is_concurrent(other));
        // Who read the old version of what is written now; who wrote over what was read.
        let into = |other: &Committed| meets(&other.reads, &writes);
        let out_of = |other: &Committed| meets(&reads, &other.writes);
        let has_in = concurrent().any(into);
        let has_out = concurrent().any(out_of);
        let makes_pivot =
            concurrent().any(|other| into(other) && other.has_in || out_of(other) && other.has_out);
        if has_in && has_out || makes_pivot {
            return false;
        }
        let snapshot = transaction.snapshot;
        for other in self.recent.iter_mut().filter(|other| other.commit > snapshot) {
            other.has_out |= meets(&other.reads, &writes);
            other.has_in |= meets(&reads, &other.writes);
        }
        let commit = self.commits + 1;
        self.recent.push(Committed { snapshot, commit, reads, writes, has_in, has_out });
        if self.recent.len() > 2 * RECENT_MAX {
            self.recent.drain(..RECENT_MAX);
        }
        debug_assert!(self.recent.iter().all(|other| other.snapshot < other.commit));
        true
    }

    fn end_in_place(&mut self, transaction: &Running, aborts: bool, dice: &mut Dice) -> bool {
        let done = &transaction.steps[..transaction.next_step];
        let mut own: BTreeMap<u32, Vec<i64>> = BTreeMap::new();
        for step in done {
            if let PlannedAction::Write(value) = step.action {
                own.entry(step.key).or_default().push(value);
            }
        }
        let fails = aborts || transaction.is_doomed || dice.chance(ABORT_DIRTY_CHANCE);
        self.unlock(transaction);
        for (key, values) in own.into_iter().filter(|_| fails) {
            self.key(key).dirty.retain(|value| !values.contains(value));
        }
        !fails
    }
}
