//! A recording fed to an instance again.
//!
//! The instance gets the configuration and the seed it had and, turn by turn, the events it was given
//! then. What it does must be what it did: the trace hash after each turn says so. The first turn that
//! goes differently was not decided by the events alone, or by this code.

use super::{Config, Instance, Msg};
use crate::seam::{
    BadRecording, Effects, Event, Item, Now, RecordingHeader, RecordingReader, RecordingWriter,
    TooLong, Trace,
};

impl Config {
    /// Begins the recording of an instance that is made of this configuration and seed.
    ///
    /// # Errors
    /// The configuration is longer than any can be.
    pub fn begin_recording(&self, seed: [u8; 32]) -> Result<RecordingWriter, TooLong> {
        let program = env!("CARGO_PKG_VERSION").to_owned();
        let config = serde_json::to_string(self).expect("plain data");
        RecordingWriter::new(&RecordingHeader { seed, program, config })
    }
}

/// Why a recording cannot be replayed to its end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    #[error(transparent)]
    Damaged(#[from] BadRecording),
    #[error("the configuration in the recording is none of this program: {0}")]
    Config(serde_json::Error),
}

/// An instance that is given a recording's events.
pub struct Replay {
    reader: RecordingReader,
    /// The instance and the program it ran in, once the start of the recording is read.
    begun: Option<(Instance, String)>,
    trace: Trace,
    turns: u64,
    events: Vec<(Now, Event<Msg>)>,
}

/// A turn that was carried out again.
#[derive(Debug)]
pub struct Turn {
    /// From 1.
    pub number: u64,
    pub now: Now,
    pub events: Vec<(Now, Event<Msg>)>,
    pub effects: Effects<Msg>,
    /// The trace hash after it; what was recorded and what came out now.
    pub recorded: Option<u64>,
    pub replayed: u64,
}

impl Turn {
    /// Whether the instance did what it did then, as far as that is known.
    pub fn is_same(&self) -> bool {
        self.recorded.is_none_or(|recorded| recorded == self.replayed)
    }
}

impl Default for Replay {
    fn default() -> Replay {
        Replay::new()
    }
}

impl Replay {
    pub fn new() -> Replay {
        Replay {
            reader: RecordingReader::new(),
            begun: None,
            trace: Trace::new(),
            turns: 0,
            events: Vec::new(),
        }
    }

    /// Takes the next bytes of the recording.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.reader.feed(bytes);
    }

    /// The version of the program that was recorded; `None` before the recording's start is read.
    pub fn program(&self) -> Option<&str> {
        self.begun.as_ref().map(|(_, program)| program.as_str())
    }

    /// Bytes that are not a whole record: at the end of the recording, what a cut left.
    pub fn bytes_left(&self) -> usize {
        self.reader.left()
    }

    /// Carries out the next turn; `None` until more bytes come.
    ///
    /// # Errors
    /// The recording is damaged or foreign.
    pub fn next_turn(&mut self) -> Result<Option<Turn>, ReplayError> {
        if self.begun.is_none() {
            let Some(header) = self.reader.header()? else { return Ok(None) };
            let config: Config =
                serde_json::from_str(&header.config).map_err(ReplayError::Config)?;
            self.begun = Some((Instance::new(config, header.seed), header.program));
        }
        while let Some(item) = self.reader.next_item()? {
            match item {
                Item::Event(now, event) => self.events.push((now, event)),
                Item::EndOfTurn(now, hash) => return Ok(self.carry_out(now, Some(hash))),
            }
        }
        Ok(None)
    }

    /// Carries out the events of a turn whose end was not recorded: the instance died in it, or the
    /// recording was cut short. `None` if there are none. Nothing may follow.
    pub fn unfinished_turn(&mut self) -> Option<Turn> {
        let (now, _) = *self.events.last()?;
        self.carry_out(now, None)
    }

    fn carry_out(&mut self, now: Now, recorded: Option<u64>) -> Option<Turn> {
        let (instance, _) = self.begun.as_mut()?;
        let events = std::mem::take(&mut self.events);
        let mut effects = Vec::new();
        for (now, event) in &events {
            self.trace.event(*now, event);
            instance.step(*now, event.clone(), &mut effects);
        }
        instance.end_turn(now, &mut effects);
        for effect in &effects {
            self.trace.effect(effect);
        }
        self.turns += 1;
        let replayed = self.trace.digest();
        Some(Turn { number: self.turns, now, events, effects, recorded, replayed })
    }
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replay({} turns, {:?})", self.turns, self.trace)
    }
}
