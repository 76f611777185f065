//! The flight recorder: a machine whose events are kept in a file, to be replayed elsewhere.
//!
//! ```text
//!   reactor ──step──▶ held ──end_turn──▶ 1. write the events  2. give them to the machine
//!                                        3. write the hash of all events and effects so far
//! ```
//! The events of a turn are in the file before the machine sees the first one, so that a turn in which
//! the process dies is there too. The file is never synced: it survives the process, not the power.
//!
//! A recording holds everything clients and other instances send and everything read from the disk,
//! hence a file that only its owner may read. Each start of an instance has a file of its own. If it
//! cannot be written any more, the recording ends there and the instance goes on.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use basalt_core::seam::{Effect, Effects, Event, Now, Recorded, RecordingWriter, TooLong, Traced};

use crate::machine::Machine;

/// The end of a recording's file name.
pub const EXTENSION: &str = "flight";

/// A new file for a recording; gone again if nothing is ever written to it.
#[derive(Debug)]
pub struct RecordingFile {
    path: PathBuf,
    file: File,
    is_empty: bool,
}

impl Drop for RecordingFile {
    fn drop(&mut self) {
        if self.is_empty {
            // Of an instance that could not start, which is what there is to report.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl RecordingFile {
    /// Makes `NAME-001.flight` in a directory, which is made too, or the next number that is free.
    pub fn create(directory: &Path, name: &str) -> io::Result<RecordingFile> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        for number in 1u32.. {
            let path = directory.join(format!("{name}-{number:03}.{EXTENSION}"));
            match OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(RecordingFile { path, file, is_empty: true }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A machine, and the recording of what it is given if there is one.
pub struct FlightRecorder<M: Machine> {
    machine: M,
    tape: Option<Tape<M::Msg>>,
}

struct Tape<T> {
    file: RecordingFile,
    writer: RecordingWriter,
    /// The events of the turn so far.
    held: Vec<(Now, Event<T>)>,
}

/// Why a recording ends before its instance.
#[derive(Debug, thiserror::Error)]
enum TapeError {
    #[error(transparent)]
    Write(#[from] io::Error),
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

impl<M: Machine> FlightRecorder<M> {
    /// The machine without a recording.
    pub fn off(machine: M) -> FlightRecorder<M> {
        FlightRecorder { machine, tape: None }
    }

    /// The machine, recorded from its first event on. `writer` has made the recording's start.
    pub fn on(machine: M, file: RecordingFile, writer: RecordingWriter) -> FlightRecorder<M> {
        FlightRecorder { machine, tape: Some(Tape { file, writer, held: Vec::new() }) }
    }
}

impl<T: Recorded + Traced> Tape<T> {
    /// Writes the events of the turn, before anything else happens to them.
    fn begin(&mut self) -> Result<(), TapeError> {
        for (now, event) in &self.held {
            self.writer.event(*now, event)?;
        }
        self.write()
    }

    fn end(&mut self, now: Now, effects: &[Effect<T>]) -> Result<(), TapeError> {
        self.writer.end_turn(now, effects);
        self.write()
    }

    fn write(&mut self) -> Result<(), TapeError> {
        self.file.is_empty = false;
        self.file.file.write_all(self.writer.bytes())?;
        self.writer.clear();
        Ok(())
    }
}

impl<M: Machine> Machine for FlightRecorder<M>
where
    M::Msg: Recorded + Traced,
{
    type Msg = M::Msg;

    fn step(&mut self, now: Now, event: Event<M::Msg>, effects: &mut Effects<M::Msg>) {
        match &mut self.tape {
            Some(tape) => tape.held.push((now, event)),
            None => self.machine.step(now, event, effects),
        }
    }

    fn end_turn(&mut self, now: Now, effects: &mut Effects<M::Msg>) {
        let Some(tape) = &mut self.tape else { return self.machine.end_turn(now, effects) };
        let begun = tape.begin();
        let of_this_turn = effects.len();
        for (now, event) in tape.held.drain(..) {
            self.machine.step(now, event, effects);
        }
        self.machine.end_turn(now, effects);
        let recorded = begun.and_then(|()| tape.end(now, &effects[of_this_turn..]));
        if let Err(error) = recorded {
            let path = tape.file.path.display();
            tracing::error!(%path, %error, "the recording ends here; the instance goes on");
            self.tape = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_core::base::ConnId;
    use basalt_core::base::codec::CodecResult;
    use basalt_core::seam::{Item, Mono, RecordingHeader, RecordingReader, Trace, Wall};
    use bytes::Bytes;

    use crate::machine::Wire;

    #[derive(Debug)]
    struct Silence;

    impl Wire for Silence {
        fn encode(&self, _out: &mut Vec<u8>) {}
        fn decode(_bytes: Bytes) -> CodecResult<Silence> {
            Ok(Silence)
        }
    }

    impl Recorded for Silence {
        fn to_wire(&self) -> Vec<u8> {
            Vec::new()
        }
        fn from_wire(_bytes: Bytes) -> CodecResult<Silence> {
            Ok(Silence)
        }
    }

    impl Traced for Silence {
        fn with_wire(&self, see: &mut dyn FnMut(&[u8])) {
            see(&[]);
        }
    }

    /// Closes each connection it hears, at the end of the turn; may look at a file meanwhile.
    struct Closer {
        heard: Vec<ConnId>,
        watched: Option<PathBuf>,
    }

    impl Machine for Closer {
        type Msg = Silence;

        fn step(&mut self, _now: Now, event: Event<Silence>, _effects: &mut Effects<Silence>) {
            let Event::Bytes { conn, .. } = event else { return };
            if let Some(path) = &self.watched {
                let written = std::fs::read(path).unwrap();
                assert!(written.windows(4).any(|bytes| bytes == b"word"), "not written before");
            }
            self.heard.push(conn);
        }

        fn end_turn(&mut self, _now: Now, effects: &mut Effects<Silence>) {
            effects.extend(self.heard.drain(..).map(|conn| Effect::Close { conn }));
        }
    }

    fn writer() -> RecordingWriter {
        let header = RecordingHeader { seed: [1; 32], program: "1".into(), config: "{}".into() };
        RecordingWriter::new(&header).unwrap()
    }

    /// Two events in one turn; gives the effects.
    fn turn(machine: &mut impl Machine<Msg = Silence>, at: u64) -> Effects<Silence> {
        let now = Now { mono: Mono(at), wall: Wall(at) };
        // What the reactor has not carried out yet is no part of this turn.
        let mut effects = vec![Effect::Wake { at: Mono(at) }];
        for conn in [1, 2] {
            let event = Event::Bytes { conn: ConnId(conn), bytes: Bytes::from_static(b"word") };
            machine.step(now, event, &mut effects);
        }
        machine.end_turn(now, &mut effects);
        effects
    }

    #[test]
    fn a_recorded_machine_does_what_it_did_and_its_file_says_what() {
        let directory = tempfile::tempdir().unwrap();
        let file = RecordingFile::create(&directory.path().join("new"), "a").unwrap();
        let path = file.path().to_owned();
        let closer = Closer { heard: Vec::new(), watched: Some(path.clone()) };
        let mut recorded = FlightRecorder::on(closer, file, writer());
        let mut plain = FlightRecorder::off(Closer { heard: Vec::new(), watched: None });
        for at in 0..3 {
            let (a, b) = (turn(&mut recorded, at), turn(&mut plain, at));
            assert_eq!(format!("{a:?}"), format!("{b:?}"));
        }
        let mut reader = RecordingReader::new();
        reader.feed(&std::fs::read(path).unwrap());
        assert_eq!(reader.header().unwrap().unwrap().config, "{}");
        let (mut trace, mut turns) = (Trace::new(), 0);
        while let Some(item) = reader.next_item::<Silence>().unwrap() {
            match item {
                Item::Event(now, event) => trace.event(now, &event),
                Item::EndOfTurn(_, hash) => {
                    turns += 1;
                    for conn in [1, 2] {
                        trace.effect::<Silence>(&Effect::Close { conn: ConnId(conn) });
                    }
                    assert_eq!(hash, trace.digest(), "turn {turns}");
                }
            }
        }
        assert_eq!((turns, reader.left()), (3, 0));
    }

    #[test]
    fn each_recording_has_a_file_of_its_own_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let unused = RecordingFile::create(directory.path(), "basalt-0").unwrap();
        let path = unused.path().to_owned();
        drop(unused);
        assert!(!path.exists(), "nothing was recorded");
        let names = [(); 3].map(|()| {
            let mut made = RecordingFile::create(directory.path(), "basalt-0").unwrap();
            made.is_empty = false;
            let mode = std::fs::metadata(made.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            made.path().file_name().unwrap().to_str().unwrap().to_owned()
        });
        assert_eq!(names, [1, 2, 3].map(|k| format!("basalt-0-00{k}.flight")));
        let inside_a_file = directory.path().join(&names[0]).join("deeper");
        assert!(RecordingFile::create(&inside_a_file, "a").is_err());
    }

    #[test]
    fn on_a_full_disk_the_recording_ends_and_the_machine_goes_on() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let file = RecordingFile { path: "/dev/full".into(), file: full, is_empty: false };
        let closer = Closer { heard: Vec::new(), watched: None };
        let mut machine = FlightRecorder::on(closer, file, writer());
        for at in 0..3 {
            assert_eq!(turn(&mut machine, at).len(), 3, "turn {at}");
        }
        assert!(machine.tape.is_none());
    }
}
