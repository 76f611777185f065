//! Databases of known strength get the verdict they deserve.

use basalt_jepsen::generator::{Engine, GeneratorOptions, Workload, generate};
use basalt_jepsen::history::History;
use basalt_jepsen::history::read::{Format, read_history};
use basalt_jepsen::history::write::write_history;
use basalt_jepsen::{
    CheckOptions, Model, Verdict, check_list_append, check_register, check_rw_register,
};

const SEEDS: u64 = 12;

fn verdict(
    engine: Engine,
    workload: Workload,
    seed: u64,
    change: fn(&mut GeneratorOptions),
) -> Verdict {
    let mut options = GeneratorOptions::new(engine);
    options.workload = workload;
    options.seed = seed;
    options.operations = 1500;
    change(&mut options);
    let history = generate(&options);
    let check = match workload {
        Workload::ListAppend => check_list_append,
        Workload::RwRegister => check_rw_register,
        Workload::Register => check_register,
    };
    check(&history, &CheckOptions::default()).unwrap()
}

/// Each engine keeps what it promises and, with lists, is caught at what it does not.
#[test]
fn each_engine_gets_its_verdict() {
    use Model as M;
    let cases = [
        (Engine::Serial, M::StrictSerializable, None),
        (Engine::Crashed, M::StrictSerializable, None),
        (Engine::SerializableSnapshot, M::Serializable, None),
        (Engine::Snapshot, M::StrongSnapshotIsolation, Some(M::RepeatableRead)),
        (Engine::NonRepeatable, M::StrongReadCommitted, Some(M::ReadAtomic)),
        (Engine::ReadCommitted, M::StrongReadCommitted, Some(M::ReadAtomic)),
        (Engine::ReadUncommitted, M::StrongReadUncommitted, Some(M::ReadCommitted)),
        (Engine::StaleReplica, M::Serializable, Some(M::StrongSnapshotIsolation)),
        (Engine::LostWrite, M::ReadUncommitted, Some(M::StrictSerializable)),
    ];
    for (engine, kept, broken) in cases {
        for seed in 0..SEEDS {
            let lists = verdict(engine, Workload::ListAppend, seed, |_| {});
            assert!(lists.satisfies(kept), "{} {seed}\n{lists}", engine.name());
            if let Some(broken) = broken {
                assert!(!lists.satisfies(broken), "{} {seed}\n{lists}", engine.name());
            }
            let registers = verdict(engine, Workload::RwRegister, seed, |_| {});
            assert!(registers.satisfies(kept), "{} {seed}\n{registers}", engine.name());
        }
    }
}

/// There are more than are told of most kinds, and all that are told have words.
#[test]
fn every_example_is_told() {
    for engine in Engine::ALL {
        for workload in [Workload::ListAppend, Workload::RwRegister] {
            let verdict = verdict(engine, workload, 1, |options| options.operations = 4000);
            for (kind, count) in &verdict.counts {
                let of_kind = || verdict.anomalies.iter().filter(|a| a.kind == *kind);
                assert_eq!(of_kind().count(), (*count).min(4), "{}", kind.name());
                for anomaly in of_kind() {
                    let lines = anomaly.operations.len() + anomaly.cycle.len().max(1);
                    assert_eq!(anomaly.story.len(), lines, "{}: {anomaly}", engine.name());
                    let words = anomaly.cycle.iter().map(|edge| &edge.words);
                    let are_said = words.clone().all(|w| !w.is_empty() && !w.contains("precedes"));
                    assert!(are_said, "{}: {anomaly}", engine.name());
                }
            }
        }
    }
}

#[test]
fn unknown_outcomes_raise_no_alarm() {
    for (engine, kept) in
        [(Engine::Serial, Model::StrictSerializable), (Engine::Snapshot, Model::SnapshotIsolation)]
    {
        for seed in 0..SEEDS {
            let verdict = verdict(engine, Workload::ListAppend, seed, |options| {
                options.info = 0.4;
                options.abort = 0.2;
                options.processes = 20;
            });
            assert!(verdict.satisfies(kept), "{} {seed}\n{verdict}", engine.name());
        }
    }
}

#[test]
fn registers_are_linearizable_unless_reads_are_stale() {
    for seed in 0..SEEDS {
        for engine in [Engine::Serial, Engine::Crashed] {
            let clean = verdict(engine, Workload::Register, seed, |_| {});
            assert!(clean.is_clean(), "{} {seed}\n{clean}", engine.name());
        }
        let stale = verdict(Engine::StaleReplica, Workload::Register, seed, |_| {});
        assert_eq!(stale.names(), ["nonlinearizable"], "{seed}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_they_read_the_same() {
    for engine in Engine::ALL {
        let options = GeneratorOptions { operations: 300, ..GeneratorOptions::new(engine) };
        for format in [Format::Edn, Format::JsonLines] {
            let text = |history: &History| {
                let mut bytes = Vec::new();
                write_history(history, format, &mut bytes).unwrap();
                bytes
            };
            let bytes = text(&generate(&options));
            assert_eq!(bytes, text(&generate(&options)), "{}", engine.name());
            let again = read_history(bytes.as_slice(), format).unwrap();
            assert_eq!(bytes, text(&again), "{}", engine.name());
        }
    }
}
