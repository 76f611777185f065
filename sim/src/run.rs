//! Running one plan to its verdict.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};

use basalt_core::seam::Rng;
use basalt_core::seam::probe::{self, Canary};

use crate::basalt::{Basalt, Spoken};
use crate::check::{Calm, Excuses, Failure, judge_history};
use crate::faults::Struck;
use crate::node::Node;
use crate::plan::Plan;
use crate::scenario::Abilities;
use crate::toy::{Clockwork, Quorum};
use crate::workload::{History, Mix, NoWire, PgWire};
use crate::world::{Recorder, World};

include!(concat!(env!("OUT_DIR"), "/marks.rs"));

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Verdict {
    pub failure: Option<Failure>,
    pub trace_hash: u64,
    /// Digest of the trace every so many events, to find where two runs part.
    pub checkpoints: Vec<u64>,
    /// Events and effects that crossed the seam.
    pub events: u64,
    pub happenings: u64,
    pub simulated_ns: u64,
    /// Operations confirmed.
    pub confirmed: u64,
    /// How often a fault of each kind did something.
    pub struck: Struck,
    pub history: History,
    pub story: Vec<String>,
    /// Rare branches reached, and how often.
    pub marks: std::collections::BTreeMap<&'static str, u64>,
}

/// The systems that can be tested.
pub const SUBJECTS: &[Abilities] = &[
    Abilities {
        subject: <PgWire as Spoken>::SUBJECT,
        mix: Mix::Sql,
        survives_damage: true,
        has_members: true,
    },
    Abilities {
        subject: <NoWire as Spoken>::SUBJECT,
        mix: Mix::Nothing,
        survives_damage: true,
        has_members: true,
    },
    Abilities {
        subject: Quorum::SUBJECT,
        mix: Mix::Registers,
        survives_damage: false,
        has_members: false,
    },
    Abilities {
        subject: Clockwork::SUBJECT,
        mix: Mix::Registers,
        survives_damage: false,
        has_members: false,
    },
];

/// The abilities of a subject by name.
pub fn subject(name: &str) -> Option<Abilities> {
    SUBJECTS.iter().copied().find(|abilities| abilities.subject == name)
}

/// Runs a plan. A panic in the system under test is a verdict like any other.
pub fn run(plan: &Plan) -> Verdict {
    run_recorded(plan, None)
}

/// Runs a plan and hands every event and effect to `recorder`.
pub fn run_recorded<'a>(plan: &'a Plan, recorder: Option<Recorder<'a>>) -> Verdict {
    match plan.subject.as_str() {
        <PgWire as Spoken>::SUBJECT => run_node::<Basalt<PgWire>>(plan, recorder),
        <NoWire as Spoken>::SUBJECT => run_node::<Basalt<NoWire>>(plan, recorder),
        Quorum::SUBJECT => run_node::<Quorum>(plan, recorder),
        Clockwork::SUBJECT => run_node::<Clockwork>(plan, recorder),
        other => panic!("no subject is called {other}"),
    }
}

fn run_node<'a, N: Node>(plan: &'a Plan, recorder: Option<Recorder<'a>>) -> Verdict {
    let planted = plan.canaries.iter().filter_map(|name| Canary::by_name(name)).collect();
    let buggify = plan.buggify.then(|| Rng::from_u64(plan.seed).fork("buggify"));
    probe::begin_run(planted, buggify);
    quiet_panics();
    // Only asked for where a panic ends the process.
    if cfg!(panic = "abort") {
        let of_seed = crate::report::seed_command(plan);
        RUNNING
            .set(of_seed.unwrap_or_else(|| "the same command: this plan is no seed's".to_owned()));
    }
    let world = World::<N>::new(plan, recorder);
    let finished = world.run(&last_panic);
    IN_RUN.set(false);
    let marks = probe::marks_reached();
    probe::begin_run(Vec::new(), None);
    // The toys may refuse at any time.
    let is_calm = plan.faults.is_empty() && plan.subject == <PgWire as Spoken>::SUBJECT;
    let calm = is_calm.then(|| Calm { tight: plan.tight() });
    let judge = || judge_history(&finished.history, &Excuses::of(plan), calm);
    Verdict {
        failure: finished.failure.clone().or_else(judge),
        trace_hash: finished.trace_hash,
        checkpoints: finished.checkpoints,
        events: finished.events,
        happenings: finished.happenings,
        simulated_ns: finished.simulated_ns,
        confirmed: finished.history.ok_count(),
        struck: finished.struck,
        history: finished.history,
        story: finished.story,
        marks,
    }
}

/// Does what may panic, and gives what the panic said. `repeat` is the command that does it again.
pub(crate) fn guarded<T>(repeat: String, what: impl FnOnce() -> T) -> Result<T, String> {
    quiet_panics();
    RUNNING.set(repeat);
    let done = catch_unwind(AssertUnwindSafe(what));
    IN_RUN.set(false);
    done.map_err(|_| last_panic())
}

thread_local! {
    /// Where the last panic of this thread was, and what it said.
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The command that repeats the run of this thread.
    static RUNNING: RefCell<String> = const { RefCell::new(String::new()) };
    /// Whether this thread runs a world, whose panics are verdicts.
    static IN_RUN: Cell<bool> = const { Cell::new(false) };
}

fn last_panic() -> String {
    LAST_PANIC.with_borrow_mut(Option::take).unwrap_or_default()
}

/// Keeps the text of a panic for the verdict instead of printing it.
fn quiet_panics() {
    IN_RUN.set(true);
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IN_RUN.get() {
                LAST_PANIC.with_borrow_mut(|last| *last = Some(info.to_string()));
                // Where a panic ends the process there is no verdict: say what can be said.
                if cfg!(panic = "abort") {
                    let run = RUNNING.with_borrow(String::clone);
                    eprintln!("check crash failed: {info}\nreplay: {run}");
                    std::process::exit(3);
                }
            } else {
                usual(info);
            }
        }));
    });
}
