//! Simulated lives, recorded as a real instance's is, are replayed; what was tampered with is found.

use std::cell::RefCell;
use std::io::Cursor;

use basalt_core::base::codec::CodecResult;
use basalt_core::base::{GroupId, InstanceId, LogIndex, Term};
use basalt_core::instance::Msg;
use basalt_core::seam::probe::{self, Canary};
use basalt_core::seam::{
    DiskError, DiskErrorKind, Effects, Event, Inspect, Now, RecordingHeader, RecordingReader,
    RecordingWriter,
};
use bytes::Bytes;

use super::*;
use crate::basalt::{Basalt, config};
use crate::node::{GroupView, Identity, Inspectable, Node};
use crate::scenario::{Scenario, plan};
use crate::workload::PgWire;
use crate::world::World;

thread_local! {
    /// Recordings of every process of this thread's world, with the machine's name.
    static TAPES: RefCell<Vec<(String, Vec<u8>)>> = RefCell::default();
}

/// The database with a flight recorder in it.
struct Taped {
    inner: Basalt<PgWire>,
    writer: RecordingWriter,
    /// Its place in `TAPES`.
    tape: usize,
}

impl Taped {
    fn save(&mut self) {
        TAPES.with_borrow_mut(|tapes| tapes[self.tape].1.extend_from_slice(self.writer.bytes()));
        self.writer.clear();
    }
}

impl Node for Taped {
    type Msg = Msg;
    type Wire = PgWire;
    const SUBJECT: &'static str = "basalt-taped";
    const OPEN_FILES: u64 = 2;

    fn boot(identity: &Identity, seed: [u8; 32]) -> Taped {
        let tape = TAPES.with_borrow_mut(|tapes| {
            tapes.push((identity.name.clone(), Vec::new()));
            tapes.len() - 1
        });
        let writer = config(identity).begin_recording(seed).unwrap();
        Taped { inner: Basalt::boot(identity, seed), writer, tape }
    }

    fn step(&mut self, now: Now, event: Event<Msg>, effects: &mut Effects<Msg>) {
        self.writer.event(now, &event).unwrap();
        self.inner.step(now, event, effects);
    }

    fn end_turn(&mut self, now: Now, effects: &mut Effects<Msg>) {
        self.inner.end_turn(now, effects);
        // The world gives each turn an empty list.
        self.writer.end_turn(now, effects);
        self.save();
    }

    fn encode(msg: &Msg, out: &mut Vec<u8>) {
        msg.encode(out);
    }

    fn decode(bytes: Bytes) -> CodecResult<Msg> {
        Msg::decode(bytes)
    }
}

impl Inspectable for Taped {
    fn groups(&self, now: Now, out: &mut Vec<GroupView>) {
        self.inner.groups(now, out);
    }

    fn electorates(&self, out: &mut Vec<(GroupId, Vec<InstanceId>)>) {
        self.inner.electorates(out);
    }

    fn keeps_state(&self, group: GroupId) -> bool {
        self.inner.keeps_state(group)
    }

    fn entry(&self, group: GroupId, index: LogIndex) -> Option<(Term, u64)> {
        self.inner.entry(group, index)
    }

    fn states(
        &self,
        wanted: &dyn Fn(GroupId, LogIndex) -> bool,
        out: &mut Vec<(GroupId, LogIndex, u64)>,
    ) {
        self.inner.states(wanted, out);
    }

    fn is_formed(&self, instances: usize) -> bool {
        self.inner.is_formed(instances)
    }

    fn is_ready(&self) -> bool {
        self.inner.is_ready()
    }
}

/// Every life of every instance in one simulated cluster, kills and power failures among them.
fn lives(scenario: &str, seed: u64) -> Vec<(String, Vec<u8>)> {
    let scenario = Scenario::by_name(scenario).unwrap();
    let mut plan = plan(scenario, seed, crate::run::subject("basalt").unwrap());
    // Its draws are the world's, not the instance's.
    plan.buggify = false;
    TAPES.take();
    let finished = World::<Taped>::new(&plan, None).run(&|| "a panic".to_owned());
    assert_eq!(finished.failure, None);
    TAPES.take()
}

fn play(bytes: &[u8]) -> Result<Replayed, String> {
    replay("test", Cursor::new(bytes))
}

/// The life in which most was asked.
fn eventful() -> Vec<u8> {
    let lives = lives("net", 1).into_iter().map(|(_, bytes)| bytes);
    lives.max_by_key(|bytes| statements(bytes)).unwrap()
}

fn statements(bytes: &[u8]) -> usize {
    let mut replay = Replay::new();
    replay.feed(bytes);
    let mut count = 0;
    while let Some(turn) = replay.next_turn().unwrap() {
        count += turn.events.iter().filter(|(_, event)| is_statement(event)).count();
    }
    count
}

fn is_statement(event: &Event<Msg>) -> bool {
    matches!(event, Event::Bytes { .. })
}

/// What is done to the events of a turn.
type Change<'a> = &'a dyn Fn(Now, &mut Vec<(Now, Event<Msg>)>);

/// The recording, but with the events of one turn changed. What came of them is what came then.
fn rewritten(bytes: &[u8], target: u64, change: Change<'_>) -> Vec<u8> {
    let mut reader = RecordingReader::new();
    reader.feed(bytes);
    let mut writer = RecordingWriter::new(&reader.header().unwrap().unwrap()).unwrap();
    let mut replay = Replay::new();
    replay.feed(bytes);
    while let Some(mut turn) = replay.next_turn().unwrap() {
        if turn.number == target {
            change(turn.now, &mut turn.events);
        }
        for (now, event) in &turn.events {
            writer.event(*now, event).unwrap();
        }
        writer.end_turn(turn.now, &turn.effects);
    }
    writer.bytes().to_vec()
}

/// The first turn behind so many that has an event of this kind.
fn turn_with(bytes: &[u8], after: u64, is_it: &dyn Fn(&Event<Msg>) -> bool) -> u64 {
    let mut replay = Replay::new();
    replay.feed(bytes);
    loop {
        let turn = replay.next_turn().unwrap().expect("the recording has such a turn");
        if turn.number > after && turn.events.iter().any(|(_, event)| is_it(event)) {
            return turn.number;
        }
    }
}

#[test]
fn every_life_of_a_simulated_instance_is_repeated() {
    let (mut processes, mut restarts, mut turns) = (0, 0, 0);
    for scenario in ["everything", "disk"] {
        for seed in 0..4 {
            let lives = lives(scenario, seed);
            for (k, (name, bytes)) in lives.iter().enumerate() {
                let replayed = play(bytes).unwrap();
                let place = format!("{scenario} seed {seed} {name}");
                assert_eq!(replayed.outcome, Outcome::Same, "{place}");
                assert!(!replayed.ends_in_a_turn && replayed.bytes_left == 0, "{place}");
                processes += 1;
                restarts += usize::from(lives[..k].iter().any(|(earlier, _)| earlier == name));
                turns += replayed.turns;
            }
        }
    }
    assert!(restarts > 10, "{restarts} restarts in {processes} lives");
    assert!(turns > 50_000, "{turns} turns");
}

#[test]
fn a_program_that_does_something_else_is_found_at_the_first_turn_that_shows_it() {
    let bytes = eventful();
    probe::begin_run(vec![Canary::SkipSyncDir], None);
    let replayed = play(&bytes);
    probe::begin_run(Vec::new(), None);
    let replayed = replayed.unwrap();
    let Outcome::Differs { turn, lines } = &replayed.outcome else { panic!("{replayed:?}") };
    assert_eq!((replayed.turns, replayed.exit_status()), (*turn, 1));
    assert!(lines.iter().any(|line| line.starts_with("=> ")), "{lines:?}");
    assert_eq!(play(&bytes).unwrap().outcome, Outcome::Same);
}

#[test]
fn other_events_with_the_same_effects_are_found() {
    let bytes = eventful();
    let half = play(&bytes).unwrap().turns / 2;
    let differs_at = |target: u64, change: Change<'_>| {
        let replayed = play(&rewritten(&bytes, target, change)).unwrap();
        let Outcome::Differs { turn, .. } = replayed.outcome else { panic!("{replayed:?}") };
        turn
    };
    let is_disk = |event: &Event<Msg>| matches!(event, Event::DiskDone { .. });

    let asked = turn_with(&bytes, half / 4, &is_statement);
    let unasked = differs_at(asked, &|_, events| events.retain(|(_, event)| !is_statement(event)));
    assert!(unasked >= asked, "turn {unasked} before {asked}");

    let inspected = differs_at(half, &|now, events| {
        events.push((now, Event::Inspect { request: 1, what: Inspect::Health }));
    });
    assert_eq!(inspected, half);

    let written = turn_with(&bytes, half, &is_disk);
    let failed = differs_at(written, &|_, events| {
        for (_, event) in events {
            if let Event::DiskDone { result, .. } = event {
                let message = "no".to_owned();
                *result = Err(DiskError { kind: DiskErrorKind::Io, message });
            }
        }
    });
    assert_eq!(failed, written);

    let unchanged = play(&rewritten(&bytes, half, &|_, _| {})).unwrap();
    assert_eq!(unchanged.outcome, Outcome::Same);
}

#[test]
fn a_recording_cut_short_is_replayed_as_far_as_it_goes() {
    let bytes = eventful();
    let whole = play(&bytes).unwrap();
    let mut turns = Vec::new();
    for part in 1..20 {
        let cut = bytes.len() * part / 20 + part;
        let replayed = play(&bytes[..cut]).unwrap();
        assert_eq!(replayed.outcome, Outcome::Same, "cut at {cut}");
        turns.push(replayed.turns);
    }
    assert!(turns.is_sorted() && turns[18] < whole.turns && turns[0] > 0, "{turns:?}");
}

#[test]
fn a_damaged_or_foreign_file_is_refused_with_the_place() {
    let mut bytes = eventful();
    let place = bytes.len() / 2;
    bytes[place] ^= 4;
    let said = play(&bytes).unwrap_err();
    let offset = said.strip_prefix("at byte ").and_then(|rest| rest.split(':').next());
    let offset: usize = offset.and_then(|text| text.parse().ok()).unwrap();
    assert!(offset <= place && place - offset < 1 << 20, "{said} for byte {place}");

    assert!(play(b"").unwrap_err().contains("not a recording"));
    assert!(play(b"BSLT").unwrap_err().contains("not a recording"));
    assert!(play(b"{\"seed\": 1}").unwrap_err().starts_with("at byte 0: "));
    let header =
        RecordingHeader { seed: [0; 32], program: "0".to_owned(), config: "{}".to_owned() };
    let other = RecordingWriter::new(&header).unwrap();
    let said = play(other.bytes()).unwrap_err();
    assert!(said.contains("missing field"), "{said}");
}

/// Gives some bytes, then panics.
struct Trap<'a>(&'a [u8]);

impl Read for Trap<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        assert!(!self.0.is_empty(), "caught");
        self.0.read(buffer)
    }
}

#[test]
fn a_panic_is_the_next_turns() {
    let bytes = eventful();
    let whole = play(&bytes).unwrap();
    let replayed = replay("test", Trap(&bytes)).unwrap();
    let Outcome::Crashed { turn, message } = &replayed.outcome else { panic!("{replayed:?}") };
    assert_eq!((*turn, replayed.exit_status()), (whole.turns + 1, 3));
    assert!(message.contains("caught"), "{message}");
}

#[test]
fn recordings_are_found_by_their_names_in_order() {
    let directory = std::env::temp_dir().join(format!("basalt-replay-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    for name in ["b-001.flight", "a-002.flight", "a-001.flight", "notes.txt"] {
        std::fs::write(directory.join(name), "").unwrap();
    }
    let found = recordings(&directory).unwrap();
    let names: Vec<_> = found.iter().map(|path| path.file_name().unwrap()).collect();
    assert_eq!(names, ["a-001.flight", "a-002.flight", "b-001.flight"]);
    assert_eq!(recordings(&found[1]).unwrap(), found[1..2]);
    std::fs::remove_dir_all(&directory).unwrap();
    assert!(recordings(&directory).is_err());
}
