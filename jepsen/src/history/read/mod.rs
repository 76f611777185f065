//! Reads a history from EDN (as Jepsen and Elle write it) or JSON lines, as a stream.
//!
//! One operation event at a time is parsed from a buffer that is refilled when an event does not
//! end within it, so memory holds the history and one buffer, never the text. Events may be one a
//! line, spread over lines, or inside one top-level vector.
//!
//! ```text
//! bytes ──▶ edn | json: fields of one event, its value as Nodes ──▶ shape: Steps ──▶ History
//! ```
//!
//! Events of processes that are no clients (`:nemesis`) are skipped. Every other event must make
//! sense; what does not is an error with its line.

mod edn;
mod json;
mod shape;

use std::io::Read;

use super::{Atom, Dense, Function, History, Names, OperationId, Outcome};
use shape::Shaper;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Edn,
    JsonLines,
}

#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read the history: {0}")]
    Io(#[from] std::io::Error),
    #[error("line {line}: {message}")]
    Malformed { line: u64, message: String },
}

/// Why a parser stopped.
#[derive(Debug, PartialEq)]
pub(crate) enum Stop {
    /// The buffer ends inside the event.
    More,
    Bad(String),
}

pub(crate) fn bad<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Bad(message.into()))
}

/// A value flattened in pre-order: a collection is followed by its `span` nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Node {
    pub kind: NodeKind,
    pub span: u32,
    pub atom: Atom,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeKind {
    Scalar,
    Vector,
    Map,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EventType {
    Invoke,
    End(Outcome),
}

/// The fields of one event. `value` is reused from event to event.
#[derive(Debug, Default)]
pub(crate) struct Event {
    pub process: Option<Atom>,
    pub kind: Option<EventType>,
    pub function: Option<FunctionName>,
    pub time_ns: i64,
    pub value: Vec<Node>,
}

impl Event {
    fn clear(&mut self) {
        self.process = None;
        self.kind = None;
        self.function = None;
        self.time_ns = 0;
        self.value.clear();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FunctionName {
    Known(Function),
    Other(Atom),
}

pub(crate) fn function_name(text: &[u8], names: &mut Names) -> FunctionName {
    let known = match text {
        b"txn" => Function::Transaction,
        b"read" | b"r" => Function::Read,
        b"write" | b"w" => Function::Write,
        b"cas" => Function::CompareAndSet,
        b"add" => Function::Add,
        b"transfer" => Function::Transfer,
        b"generate" => Function::Generate,
        _ => return FunctionName::Other(names.intern(&format!(":{}", lossy(text)))),
    };
    FunctionName::Known(known)
}

pub(crate) fn event_type(text: &[u8]) -> Result<EventType, Stop> {
    Ok(match text {
        b"invoke" => EventType::Invoke,
        b"ok" => EventType::End(Outcome::Ok),
        b"fail" => EventType::End(Outcome::Fail),
        b"info" => EventType::End(Outcome::Info),
        _ => return bad(format!("type {} is none of invoke, ok, fail, info", lossy(text))),
    })
}

pub(crate) fn lossy(text: &[u8]) -> String {
    const LONGEST: usize = 40;
    let shown = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).into_owned();
    shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Bytes of the text that are in memory at once; an event that is longer is an error.
const CHUNK_BYTES: usize = 256 << 10;
const EVENT_BYTES_MAX: usize = 256 << 20;

/// Reads a whole history.
///
/// # Errors
/// Where the source fails, or its text is no history: then with the line at which it is not.
pub fn read_history(source: impl Read, format: Format) -> Result<History, ReadError> {
    let mut reader = Reader::new(source, format);
    while reader.read_chunk()? {}
    reader.finish()
}

/// Tells the formats apart by name and, where that does not help, by the first bytes.
pub fn guess_format(file_name: &str, head: &[u8]) -> Format {
    let named = |suffix: &str| file_name.to_ascii_lowercase().ends_with(suffix);
    if named(".edn") {
        return Format::Edn;
    }
    if named(".jsonl") || named(".json") || named(".ndjson") {
        return Format::JsonLines;
    }
    let mut rest = head.iter().copied().filter(|b| !b.is_ascii_whitespace());
    match (rest.next(), rest.next()) {
        (Some(b'{'), Some(b'"')) => Format::JsonLines,
        _ => Format::Edn,
    }
}

struct Reader<R> {
    source: R,
    format: Format,
    buffer: Vec<u8>,
    filled: usize,
    at_end: bool,
    /// Lines that were consumed and left the buffer.
    lines: u64,
    depth: u32,
    event: Event,
    shaper: Shaper,
    history: History,
    processes: Dense,
    /// The open operation of each process.
    open: Vec<Option<OperationId>>,
}

impl<R: Read> Reader<R> {
    fn new(source: R, format: Format) -> Reader<R> {
        Reader {
            source,
            format,
            buffer: vec![0; CHUNK_BYTES],
            filled: 0,
            at_end: false,
            lines: 1,
            depth: 0,
            event: Event::default(),
            shaper: Shaper::default(),
            history: History::new(),
            processes: Dense::default(),
            open: Vec::new(),
        }
    }

    /// Fills the buffer, takes every whole event out of it, and says whether there may be more.
    fn read_chunk(&mut self) -> Result<bool, ReadError> {
        self.fill()?;
        let buffer = std::mem::take(&mut self.buffer);
        let result = self.take_events(&buffer[..self.filled]);
        self.buffer = buffer;
        let consumed = result?;
        self.lines += count_lines(&self.buffer[..consumed]);
        self.buffer.copy_within(consumed..self.filled, 0);
        self.filled -= consumed;
        if consumed == 0 && !self.at_end && self.filled == self.buffer.len() {
            if self.buffer.len() >= EVENT_BYTES_MAX {
                return Err(self.malformed(&[], 0, "an operation longer than 256 MiB".into()));
            }
            self.buffer.resize(self.buffer.len() * 4, 0);
        }
        Ok(!self.at_end)
    }

    fn fill(&mut self) -> Result<(), ReadError> {
        while self.filled < self.buffer.len() {
            match self.source.read(&mut self.buffer[self.filled..]) {
                Ok(0) => {
                    // Ends a last word or comment.
                    self.buffer[self.filled] = b'\n';
                    self.filled += 1;
                    self.at_end = true;
                    return Ok(());
                }
                Ok(count) => self.filled += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Returns how many bytes were used up.
    fn take_events(&mut self, text: &[u8]) -> Result<usize, ReadError> {
        let mut at = 0;
        loop {
            let (start, parsed) = match self.format {
                Format::Edn => self.next_edn(text, at),
                Format::JsonLines => self.next_json(text, at),
            };
            match parsed {
                Ok(Some(end)) => {
                    if let Err(message) = self.accept() {
                        return Err(self.malformed(text, start, message));
                    }
                    at = end;
                }
                Ok(None) => return Ok(start),
                Err(Stop::More) if !self.at_end => return Ok(start),
                Err(Stop::More) => {
                    let message = "the file ends inside an operation".to_string();
                    return Err(self.malformed(text, start, message));
                }
                Err(Stop::Bad(message)) => return Err(self.malformed(text, start, message)),
            }
        }
    }

    /// Where the next event starts, and where it ends; `None` where there is none.
    fn next_edn(&mut self, text: &[u8], from: usize) -> (usize, Result<Option<usize>, Stop>) {
        let mut at = from;
        loop {
            at = match edn::skip_blank(text, at) {
                Ok(at) => at,
                Err(stop) => return (at, Err(stop)),
            };
            match text.get(at) {
                None => return (at, self.check_depth().map(|()| None)),
                Some(b'[' | b'(') if self.depth == 0 => self.depth += 1,
                Some(b']' | b')') if self.depth == 1 => self.depth -= 1,
                Some(_) => break,
            }
            at += 1;
        }
        self.event.clear();
        let parsed = edn::event(text, at, &mut self.event, &mut self.history.names);
        (at, parsed.map(Some))
    }

    fn next_json(&mut self, text: &[u8], from: usize) -> (usize, Result<Option<usize>, Stop>) {
        let mut at = json::skip_blank(text, from);
        while self.depth == 0 && text.get(at) == Some(&b'[') || self.depth == 1 {
            match text.get(at) {
                Some(b'[') => self.depth += 1,
                Some(b']') => self.depth -= 1,
                Some(b',') => {}
                _ => break,
            }
            at = json::skip_blank(text, at + 1);
        }
        if at == text.len() {
            return (at, self.check_depth().map(|()| None));
        }
        self.event.clear();
        let parsed = json::event(text, at, &mut self.event, &mut self.history.names);
        (at, parsed.map(Some))
    }

    fn check_depth(&self) -> Result<(), Stop> {
        if self.depth > 0 { Err(Stop::More) } else { Ok(()) }
    }

    fn malformed(&self, text: &[u8], at: usize, message: String) -> ReadError {
        let last = text.len().saturating_sub(1);
        let line = self.lines + count_lines(&text[..at.min(last)]);
        ReadError::Malformed { line, message }
    }

    /// Adds the parsed event to the history.
    fn accept(&mut self) -> Result<(), String> {
        let event = &self.event;
        let Some(process) = event.process else { return Err("the event has no process".into()) };
        let Some(kind) = event.kind else { return Err("the event has no type".into()) };
        if process.as_integer().is_none() {
            return Ok(());
        }
        let slot = self.processes.index(process) as usize;
        if self.open.len() <= slot {
            self.open.push(None);
        }
        match kind {
            EventType::Invoke => self.accept_invocation(process, slot),
            EventType::End(outcome) => self.accept_end(process, slot, outcome),
        }
    }

    fn accept_invocation(&mut self, process: Atom, slot: usize) -> Result<(), String> {
        if let Some(open) = self.open[slot] {
            return Err(format!(
                "process {} invokes an operation while its T{} is still open",
                self.history.names.text(process),
                open.0
            ));
        }
        let function = self.shaper.shape(&self.event, None, &mut self.history.names)?;
        let steps = self.shaper.steps();
        let id = self.history.invoke(process, self.event.time_ns, function, &steps);
        self.open[slot] = Some(id);
        Ok(())
    }

    fn accept_end(&mut self, process: Atom, slot: usize, outcome: Outcome) -> Result<(), String> {
        let Some(id) = self.open[slot].take() else {
            let process = self.history.names.text(process);
            return Err(format!("process {process} ends an operation it did not invoke"));
        };
        if outcome != Outcome::Ok {
            self.history.complete(id, self.event.time_ns, outcome, &[]);
            return Ok(());
        }
        let invoked = self.history.operation(id).function;
        self.shaper.shape(&self.event, Some(invoked), &mut self.history.names)?;
        let steps = self.shaper.steps();
        self.history.complete(id, self.event.time_ns, outcome, &steps);
        Ok(())
    }

    fn finish(self) -> Result<History, ReadError> {
        Ok(self.history)
    }
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edn(text: &str) -> Result<History, String> {
        read_history(text.as_bytes(), Format::Edn).map_err(|error| error.to_string())
    }

    fn json(text: &str) -> Result<History, String> {
        read_history(text.as_bytes(), Format::JsonLines).map_err(|error| error.to_string())
    }

    fn story(history: &History) -> Vec<String> {
        history.operations().map(|(id, _)| history.describe(id)).collect()
    }

    const EDN: &str = r#"
{:process 0, :type :invoke, :f :txn, :value [[:append 5 1] [:r 6 nil]], :index 0, :time 12}
{:process :nemesis, :type :info, :f :start, :value {:n #{"a b" 1.5}}, :error [:x "y\"]"]} ; why
#jepsen.history.Op{:index 2, :time 15, :type :ok, :process 0, :f :txn,
  :value [[:append 5 1] [:r 6 [2 3]]]}
{:process 1 :type :invoke :f :txn :value [[:append :k "v"]]} #_{:process 1}
"#;

    const JSON: &str = r#"
{"process":0,"type":"invoke","f":"txn","value":[["append",5,1],["r",6,null]],"index":0,"time":12}
{"process":"nemesis","type":"info","f":"start","value":{"n":["a b",1.5]},"error":["x","y\"]"]}
{"index":2,"time":15,"type":"ok","process":0,"f":"txn","value":[["append",5,1],["r",6,[2,3]]]}
{"process":1,"type":"invoke","f":"txn","value":[["append",":k","v"]]}
"#;

    #[test]
    fn edn_and_json_lines_say_the_same() {
        let expected = [
            "T0 (process 0, events 0–1, ok): append 5 1, read 6 [2 3]",
            "T1 (process 1, events 2–…, info): append :k \"v\"",
        ];
        assert_eq!(story(&edn(EDN).unwrap()), expected);
        assert_eq!(story(&json(JSON).unwrap()), expected);
        let lines: Vec<&str> = JSON.trim().lines().collect();
        assert_eq!(story(&json(&format!("[{}]", lines.join(",\n"))).unwrap()), expected);
        assert_eq!(story(&edn(&format!("[{EDN}]")).unwrap()), expected);
    }

    /// Gives one byte at a time, so that every event is cut everywhere.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = usize::from(!self.0.is_empty());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    #[test]
    fn events_may_be_cut_by_the_buffer() {
        let expected = story(&edn(EDN).unwrap());
        for capacity in 1..400 {
            let mut reader = Reader::new(Drip(EDN.as_bytes()), Format::Edn);
            reader.buffer = vec![0; capacity];
            while reader.read_chunk().unwrap() {}
            assert_eq!(story(&reader.finish().unwrap()), expected, "buffer of {capacity}");
        }
    }

    #[test]
    fn every_function_has_its_shape() {
        let text = r#"
{:process 0 :type :invoke :f :read :value nil}    {:process 0 :type :ok :f :read :value 3}
{:process 0 :type :invoke :f :read :value [7 nil]} {:process 0 :type :ok :f :read :value [7 4]}
{:process 0 :type :invoke :f :write :value 3}     {:process 0 :type :ok :f :write :value 3}
{:process 0 :type :invoke :f :write :value [7 3]} {:process 0 :type :fail :f :write :value [7 3]}
{:process 0 :type :invoke :f :cas :value [1 2]}   {:process 0 :type :info :f :cas :value [1 2]}
{:process 0 :type :invoke :f :cas :value [7 [1 2]]} {:process 0 :type :ok :f :cas :value [7 [1 2]]}
{:process 0 :type :invoke :f :add :value 9}       {:process 0 :type :ok :f :add :value 9}
{:process 0 :type :invoke :f :read :value nil}    {:process 0 :type :ok :f :read :value #{9}}
{:process 0 :type :invoke :f :read :value nil}    {:process 0 :type :ok :f :read :value {0 10, 1 20}}
{:process 0 :type :invoke :f :transfer :value {:from 0 :to 1 :amount 5}}
{:process 0 :type :ok :f :transfer :value {:from 0 :to 1 :amount 5}}
{:process 0 :type :invoke :f :generate :value nil} {:process 0 :type :ok :f :generate :value 77}
{:process 0 :type :invoke :f :txn :value [[:w :x 1] [:r :x nil]]}
{:process 0 :type :ok :f :txn :value [[:w :x 1] [:r :x 1]]}
"#;
        let history = edn(text).unwrap();
        let steps: Vec<String> =
            history.operations().map(|(id, _)| history.describe_steps(id)).collect();
        let expected = [
            "read 3",
            "read 7 4",
            "write 3",
            "write 7 3",
            "cas 1 → 2",
            "cas 7 1 → 2",
            "append 9",
            "read [9]",
            "read 0 10, read 1 20",
            "debit 0 5, credit 1 5",
            "generate 77",
            "write :x 1, read :x 1",
        ];
        assert_eq!(steps, expected);
    }

    #[test]
    fn what_is_no_history_is_an_error_with_its_line() {
        let ok = "{:process 0 :type :invoke :f :txn :value [[:append 5 1]]}\n";
        let cases = [
            ("{:process 0 :type :invoke :f :txn :value [[:append 5", "ends inside an operation"),
            ("{:process 0 :type :maybe}", "none of invoke, ok, fail, info"),
            ("{:process 1 :type :ok :f :txn :value []}", "did not invoke"),
            (ok.trim(), "still open"),
            ("{:type :ok}", "no process"),
            ("{:process 1}", "no type"),
            ("hello", "expected an operation"),
            ("{:process 1 :type :invoke :f :txn :value [[:jump 5 1]]}", ":jump"),
            ("{:process 1 :type :invoke :f :dance :value 5}", ":dance"),
            ("{:process 1 :type :invoke :f :txn :value [[:append 5 nil]]}", "nil"),
            ("\u{0}\u{1}\u{ff}", "expected an operation"),
            ("{:process 1 :type :invoke :f :txn :value [[:append [1] 1]]}", "scalar"),
            ("]", "expected an operation"),
            ("[", "ends inside"),
        ];
        for (text, expected) in cases {
            let error = edn(&format!("{ok}\n{text}")).unwrap_err();
            assert!(error.starts_with("line 3: ") && error.contains(expected), "{text}: {error}");
        }
        let ok = "{\"process\":0,\"type\":\"invoke\",\"f\":\"txn\",\"value\":[[\"append\",5,1]]}\n";
        let cases = [
            ("{\"process\":0,", "ends inside an operation"),
            ("{\"process\":1,\"type\":\"x\"}", "none of invoke"),
            ("{process:1}", "expected"),
            ("{\"process\":1,\"type\":\"invoke\",\"f\":\"txn\",\"value\":[[\"r\"]]}", "key"),
            ("nonsense", "expected"),
        ];
        for (text, expected) in cases {
            let error = json(&format!("{ok}{text}")).unwrap_err();
            assert!(error.starts_with("line 2: ") && error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_and_does_not_exhaust_the_stack() {
        let deep = "[".repeat(1_000_000);
        let text = format!("{{:process 1 :type :invoke :f :txn :value {deep}");
        assert!(edn(&text).unwrap_err().contains("nested"));
        let text = format!("{{\"process\":1,\"value\":{deep}");
        assert!(json(&text).unwrap_err().contains("nested"));
    }
}
