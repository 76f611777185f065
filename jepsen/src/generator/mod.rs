//! Histories of databases of known strength.
//!
//! A toy database runs transactions of many processes, a step at a time in random order, under one
//! of several [`Engine`]s whose guarantees are known by construction. They show that the checker
//! finds what is there and nothing else.

mod dice;
mod engine;

use crate::history::{Atom, Function, History, OperationId, Outcome, Step};
use dice::Dice;
use engine::{Database, Running};

/// How the toy database isolates transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One transaction at a time: strictly serializable.
    Serial,
    /// Snapshots, first committer wins, and no pivot of two anti-dependencies: serializable.
    SerializableSnapshot,
    /// Snapshots and first committer wins: write skew.
    Snapshot,
    /// Writes are checked as under `Snapshot`, but every read sees the newest commit.
    NonRepeatable,
    /// Every read sees the newest commit and nothing is checked.
    ReadCommitted,
    /// Reads see writes of open transactions, some of which abort.
    ReadUncommitted,
    /// Serial, but transactions that only read get a snapshot of some commits ago.
    StaleReplica,
    /// Serial, but some acknowledged writes vanish.
    LostWrite,
    /// Serial; many transactions end with an unknown outcome.
    Crashed,
}

impl Engine {
    pub const ALL: [Engine; 9] = [
        Engine::Serial,
        Engine::SerializableSnapshot,
        Engine::Snapshot,
        Engine::NonRepeatable,
        Engine::ReadCommitted,
        Engine::ReadUncommitted,
        Engine::StaleReplica,
        Engine::LostWrite,
        Engine::Crashed,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Engine::Serial => "serial",
            Engine::SerializableSnapshot => "ssi",
            Engine::Snapshot => "si",
            Engine::NonRepeatable => "non-repeatable",
            Engine::ReadCommitted => "read-committed",
            Engine::ReadUncommitted => "read-uncommitted",
            Engine::StaleReplica => "stale-replica",
            Engine::LostWrite => "lost-write",
            Engine::Crashed => "crashed",
        }
    }

    pub fn named(name: &str) -> Option<Engine> {
        Engine::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

/// What the transactions do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    ListAppend,
    RwRegister,
    /// Single reads, writes and compare-and-set.
    Register,
}

#[derive(Clone, Debug)]
pub struct GeneratorOptions {
    pub engine: Engine,
    pub workload: Workload,
    pub seed: u64,
    pub operations: usize,
    pub processes: usize,
    /// Keys in use at one time.
    pub keys: usize,
    /// A key is replaced by a new one after so many writes.
    pub writes_per_key: usize,
    /// Steps of a transaction, at least 1.
    pub steps_max: usize,
    /// Whether all transactions have `steps_max` steps.
    pub steps_fixed: bool,
    /// The probability that a step is a read.
    pub reads: f64,
    /// The probability that the outcome of an operation stays unknown.
    pub info: f64,
    /// The probability that a transaction is aborted for no reason.
    pub abort: f64,
}

impl GeneratorOptions {
    pub fn new(engine: Engine) -> GeneratorOptions {
        GeneratorOptions {
            engine,
            workload: Workload::ListAppend,
            seed: 0,
            operations: 1000,
            processes: 10,
            keys: 5,
            writes_per_key: 64,
            steps_max: 4,
            steps_fixed: false,
            reads: 0.5,
            info: if engine == Engine::Crashed { 0.2 } else { 0.0 },
            abort: 0.02,
        }
    }
}

/// What a process is doing.
enum Phase {
    Idle,
    Running {
        id: OperationId,
        transaction: Running,
    },
    /// The database has decided; the process does not know yet.
    Decided {
        id: OperationId,
        outcome: Outcome,
        steps: Vec<PlannedStep>,
    },
}

/// A step with what was read, once it was.
#[derive(Clone, Debug)]
pub(crate) struct PlannedStep {
    pub key: u32,
    pub action: PlannedAction,
}

#[derive(Clone, Debug)]
pub(crate) enum PlannedAction {
    Write(i64),
    /// The versions seen, oldest first.
    Read(Option<Vec<i64>>),
    Swap {
        old: i64,
        new: i64,
    },
}

/// Runs the toy database and records what its processes saw.
pub fn generate(options: &GeneratorOptions) -> History {
    let mut generator = Generator {
        options,
        dice: Dice::new(options.seed),
        database: Database::new(options.engine),
        history: History::new(),
        time_ns: 0,
        keys: (0..options.keys as u32).map(|key| (key, 0)).collect(),
        next_key: options.keys as u32,
        process_names: (0..options.processes as i64).collect(),
    };
    generator.run();
    generator.history
}

struct Generator<'a> {
    options: &'a GeneratorOptions,
    dice: Dice,
    database: Database,
    history: History,
    time_ns: i64,
    /// Keys in use and how often each was written.
    keys: Vec<(u32, i64)>,
    next_key: u32,
    /// A process whose operation has an unknown outcome is replaced by a new one.
    process_names: Vec<i64>,
}

impl Generator<'_> {
    fn run(&mut self) {
        let mut phases: Vec<Phase> = Vec::new();
        phases.resize_with(self.options.processes, || Phase::Idle);
        let mut open = 0;
        loop {
            let begun_all = self.history.operation_count() >= self.options.operations;
            if begun_all && open == 0 {
                return;
            }
            let process = self.dice.roll(self.options.processes);
            self.time_ns += 1 + self.dice.roll(1000) as i64;
            let phase = std::mem::replace(&mut phases[process], Phase::Idle);
            phases[process] = match phase {
                Phase::Idle if begun_all => Phase::Idle,
                Phase::Idle => {
                    open += 1;
                    self.begin(process)
                }
                Phase::Running { id, transaction } => self.advance(id, transaction),
                Phase::Decided { id, outcome, steps } => {
                    open -= 1;
                    self.reply(process, id, outcome, &steps);
                    Phase::Idle
                }
            };
        }
    }

    fn begin(&mut self, process: usize) -> Phase {
        let steps = self.plan();
        let function = match (self.options.workload, &steps[0].action) {
            (Workload::Register, PlannedAction::Read(_)) => Function::Read,
            (Workload::Register, PlannedAction::Write(_)) => Function::Write,
            (Workload::Register, PlannedAction::Swap { .. }) => Function::CompareAndSet,
            _ => Function::Transaction,
        };
        let name = Atom::from(self.process_names[process]);
        let mut lists = Vec::new();
        let told = told(self.options.workload, &steps, &mut lists);
        let id = self.history.invoke(name, self.time_ns, function, &told);
        Phase::Running { id, transaction: self.database.begin(steps, &mut self.dice) }
    }

    fn plan(&mut self) -> Vec<PlannedStep> {
        let most = self.options.steps_max.max(1);
        let count = match self.options.workload {
            Workload::Register => 1,
            _ if self.options.steps_fixed => most,
            _ => 1 + self.dice.roll(most),
        };
        (0..count).map(|_| self.plan_step()).collect()
    }

    fn plan_step(&mut self) -> PlannedStep {
        let place = self.dice.roll(self.keys.len());
        let (key, written) = self.keys[place];
        if self.dice.chance(self.options.reads) {
            return PlannedStep { key, action: PlannedAction::Read(None) };
        }
        let value = written + 1;
        self.keys[place].1 = value;
        if value as usize >= self.options.writes_per_key {
            self.keys[place] = (self.next_key, 0);
            self.next_key += 1;
        }
        let swaps = self.options.workload == Workload::Register && self.dice.chance(0.3);
        let action = match swaps {
            true => PlannedAction::Swap { old: self.database.current(key), new: value },
            false => PlannedAction::Write(value),
        };
        PlannedStep { key, action }
    }

    /// Lets a transaction do its next step, or ends it.
    fn advance(&mut self, id: OperationId, mut transaction: Running) -> Phase {
        if self.database.step(&mut transaction) {
            return Phase::Running { id, transaction };
        }
        let aborts = self.dice.chance(self.options.abort);
        let is_unknown = self.dice.chance(self.options.info);
        let (committed, steps) = self.database.end(transaction, aborts, &mut self.dice);
        let outcome = match (is_unknown, committed) {
            (true, _) => Outcome::Info,
            (false, true) => Outcome::Ok,
            (false, false) => Outcome::Fail,
        };
        Phase::Decided { id, outcome, steps }
    }

    fn reply(&mut self, process: usize, id: OperationId, outcome: Outcome, steps: &[PlannedStep]) {
        let mut lists = Vec::new();
        let told = told(self.options.workload, steps, &mut lists);
        self.history.complete(id, self.time_ns, outcome, &told);
        if outcome == Outcome::Info {
            self.process_names[process] += self.options.processes as i64;
        }
    }
}

/// The steps as a history tells them. `lists` holds the lists that were read.
fn told<'a>(
    workload: Workload,
    steps: &[PlannedStep],
    lists: &'a mut Vec<Vec<Atom>>,
) -> Vec<Step<'a>> {
    lists.extend(steps.iter().map(|step| match &step.action {
        PlannedAction::Read(Some(versions)) if workload == Workload::ListAppend => {
            versions.iter().map(|&version| Atom::from(version)).collect()
        }
        _ => Vec::new(),
    }));
    steps
        .iter()
        .zip(lists.iter())
        .map(|(step, list)| {
            let key = Atom::from(i64::from(step.key));
            match &step.action {
                PlannedAction::Write(value) if workload == Workload::ListAppend => {
                    Step::Append { key, value: Atom::from(*value) }
                }
                PlannedAction::Write(value) => Step::Write { key, value: Atom::from(*value) },
                PlannedAction::Swap { old, new } => Step::CompareAndSet {
                    key,
                    old: if *old == 0 { Atom::NIL } else { Atom::from(*old) },
                    new: Atom::from(*new),
                },
                PlannedAction::Read(None) => Step::Read { key, value: None },
                PlannedAction::Read(Some(_)) if workload == Workload::ListAppend => {
                    Step::ReadList { key, elements: list }
                }
                PlannedAction::Read(Some(versions)) => {
                    let last = versions.last().map_or(Atom::NIL, |&last| Atom::from(last));
                    Step::Read { key, value: Some(last) }
                }
            }
        })
        .collect()
}
