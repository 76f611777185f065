//! What a real instance was given, given again: the other end of `basalt run --record`.
//!
//! A recording is read piece by piece and carried out turn by turn, so its length does not matter.
//! The replay ends at the first turn that went differently: what comes after follows from that one.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use basalt_core::instance::replay::{Replay, ReplayError, Turn};

use crate::run::guarded;

#[cfg(test)]
mod tests;

/// How recordings' file names end.
const EXTENSION: &str = "flight";
const PIECE_BYTES: usize = 1 << 20;
/// Of the turn that went differently, what is shown at most.
const LINES_MAX: usize = 40;
const LINE_CHARS_MAX: usize = 300;

/// What a replay came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every turn went as recorded.
    Same,
    /// This turn is the first that went differently: its events and what came of them now.
    Differs { turn: u64, lines: Vec<String> },
    /// The instance panicked in a turn, with these words.
    Crashed { turn: u64, message: String },
}

/// A recording that was replayed as far as it goes.
#[derive(Debug)]
pub struct Replayed {
    pub outcome: Outcome,
    pub turns: u64,
    pub events: u64,
    /// The time from its first event to its last.
    pub nanoseconds: u64,
    /// The trace hash that came out.
    pub hash: u64,
    /// Whether the last turn has no end: the process ended in it, or the recording was cut short.
    pub ends_in_a_turn: bool,
    /// Bytes at the end that are not a whole record: the recording was cut short.
    pub bytes_left: usize,
    /// The version that was recorded, if it is not this one.
    pub other_program: Option<String>,
}

/// Recordings in a directory, in the order of their names, or the one that a path names itself.
pub fn recordings(path: &Path) -> Result<Vec<PathBuf>, String> {
    let told = |error| format!("{}: {error}", path.display());
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).map_err(told)? {
        let file = entry.map_err(told)?.path();
        if file.extension().is_some_and(|extension| extension == EXTENSION) {
            found.push(file);
        }
    }
    found.sort();
    Ok(found)
}

/// Replays a recording; `name` is what to say when asked to repeat it.
///
/// # Errors
/// It cannot be read, is damaged, or is no recording.
pub fn replay(name: &str, recording: impl Read) -> Result<Replayed, String> {
    let mut player = Player::new();
    let repeat = format!("basalt-sim replay {name}");
    match guarded(repeat, || player.play(recording)) {
        Ok(played) => played?,
        Err(message) => {
            player.so_far.outcome = Outcome::Crashed { turn: player.so_far.turns + 1, message };
        }
    }
    Ok(player.so_far)
}

struct Player {
    replay: Replay,
    so_far: Replayed,
    began_ns: Option<u64>,
}

impl Player {
    fn new() -> Player {
        let so_far = Replayed {
            outcome: Outcome::Same,
            turns: 0,
            events: 0,
            nanoseconds: 0,
            hash: 0,
            ends_in_a_turn: false,
            bytes_left: 0,
            other_program: None,
        };
        Player { replay: Replay::new(), so_far, began_ns: None }
    }

    fn play(&mut self, mut recording: impl Read) -> Result<(), String> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let read = match recording.read(&mut piece) {
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.to_string()),
            };
            self.replay.feed(&piece[..read]);
            while let Some(turn) = self.replay.next_turn().map_err(said)? {
                self.note(turn);
                if self.so_far.outcome != Outcome::Same {
                    return Ok(());
                }
            }
            if read == 0 {
                return self.end();
            }
        }
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(program) = self.replay.program() else {
            return Err("it ends before its start does: not a recording".to_owned());
        };
        let program = program.to_owned();
        self.so_far.other_program = Some(program).filter(|p| p != env!("CARGO_PKG_VERSION"));
        self.so_far.bytes_left = self.replay.bytes_left();
        if let Some(turn) = self.replay.unfinished_turn() {
            self.so_far.ends_in_a_turn = true;
            self.note(turn);
        }
        Ok(())
    }

    fn note(&mut self, turn: Turn) {
        let began_ns = *self.began_ns.get_or_insert(turn.now.mono.0);
        let so_far = &mut self.so_far;
        so_far.turns = turn.number;
        so_far.events += turn.events.len() as u64;
        so_far.nanoseconds = turn.now.mono.0.saturating_sub(began_ns);
        so_far.hash = turn.replayed;
        if !turn.is_same() {
            so_far.outcome = Outcome::Differs { turn: turn.number, lines: lines(&turn) };
        }
    }
}

fn said(error: ReplayError) -> String {
    error.to_string()
}

/// A turn for people to read.
fn lines(turn: &Turn) -> Vec<String> {
    let events = turn.events.iter().map(|(_, event)| format!("{event:?}"));
    let effects = turn.effects.iter().map(|effect| format!("=> {effect:?}"));
    let all = turn.events.len() + turn.effects.len();
    let short = |line: String| match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    };
    let mut lines: Vec<String> = events.chain(effects).take(LINES_MAX).map(short).collect();
    if all > lines.len() {
        lines.push(format!("… and {} more", all - lines.len()));
    }
    lines
}

impl Replayed {
    /// As of the whole program; see `basalt-sim run`.
    pub fn exit_status(&self) -> u8 {
        match self.outcome {
            Outcome::Same => 0,
            Outcome::Differs { .. } => 1,
            Outcome::Crashed { .. } => 3,
        }
    }

    /// What to print, in lines.
    pub fn describe(&self) -> String {
        let mut text = match &self.outcome {
            Outcome::Same => "same".to_owned(),
            Outcome::Differs { turn, lines } => {
                format!("turn {turn} went differently:\n  {}", lines.join("\n  "))
            }
            Outcome::Crashed { turn, message } => format!("turn {turn} crashed: {message}"),
        };
        text.push_str(&format!(
            "\nturns {}, events {}, {:.1} s, trace hash {:016x}",
            self.turns,
            self.events,
            self.nanoseconds as f64 / 1e9,
            self.hash
        ));
        if self.ends_in_a_turn || self.bytes_left > 0 {
            text.push_str("\nthe recording has no end: the process died, or it was cut short");
        }
        if let Some(program) = &self.other_program {
            text.push_str(&format!(
                "\nrecorded by version {program}; this is {}, which may rightly differ",
                env!("CARGO_PKG_VERSION")
            ));
        }
        text
    }
}
