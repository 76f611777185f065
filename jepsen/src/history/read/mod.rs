//! Reads a history from EDN (as Jepsen and Elle write it) or JSON lines, as a stream.
//!
//! A chunk of the text at a time is parsed into a [`Batch`] of events, so memory holds the history
//! and a few chunks, never the text. Events may be one a line, spread over lines, or inside one
//! top-level vector. With two threads one parses while the other assembles:
//!
//! ```text
//! bytes ─▶ parse (edn | json) ─▶ Batch: events, flat values ─▶ assemble (shape) ─▶ History
//!              ▲                                                            │
//!              └─────────────────── empty batches, at most three ───────────┘
//! ```
//!
//! Events of processes that are no clients (`:nemesis`) are skipped, and a history of nothing else is
//! refused. Every other event must make sense; what does not is an error with its line.

mod assemble;
mod cursor;
mod edn;
mod json;
mod parse;
mod scan;
mod shape;

use std::io::Read;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use super::{Atom, Dense, Function, History, Names, OperationId, Outcome};
use assemble::Assembler;
use parse::Parser;

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
    #[error("no event is of a client: the process of a client is a number")]
    NoClient,
}

/// Why a parser stopped.
#[derive(Debug, PartialEq)]
enum Stop {
    /// The text ends inside the event.
    More,
    Bad(Box<str>),
}

fn bad<T>(message: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Bad(message.into().into_boxed_str()))
}

/// A value flattened in pre-order: scalars, and heads of collections. A list of scalars is a slice
/// of atoms as it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Node {
    Scalar,
    /// A collection of a kind; its so many nodes follow.
    Head(Collection, usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Collection {
    Vector,
    Map,
    Set,
}

impl Node {
    fn of(atom: Atom) -> Node {
        let Some(head) = atom.as_head() else { return Node::Scalar };
        let kind = match head & 3 {
            0 => Collection::Vector,
            1 => Collection::Map,
            _ => Collection::Set,
        };
        Node::Head(kind, (head >> 2) as usize)
    }

    fn head(kind: Collection, span: usize) -> Atom {
        Atom::head((span as u64) << 2 | kind as u64)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventType {
    Invoke,
    End(Outcome),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FunctionName {
    Known(Function),
    Other(Atom),
}

/// The fields of one event.
#[derive(Clone, Debug, Default)]
struct Event {
    process: Option<Atom>,
    kind: Option<EventType>,
    function: Option<FunctionName>,
    time_ns: i64,
    /// Its value in the nodes of the batch.
    value: Range<u32>,
    /// Where it starts in the text of the batch.
    start: u32,
}

/// The events of one chunk of text.
#[derive(Default)]
struct Batch {
    text: Vec<u8>,
    /// The line of the file with which the text begins, counted from one.
    first_line: u64,
    events: Vec<Event>,
    /// The values of all events. See [`Node`].
    nodes: Vec<Atom>,
    /// Texts that were never seen before, in the order of their symbols.
    names: Vec<Arc<str>>,
    /// Whether an event was left out because its process is no client.
    has_others: bool,
    /// Where and why the parser gave up after these events.
    failure: Option<ReadError>,
}

impl Batch {
    fn clear(&mut self) {
        self.events.clear();
        self.nodes.clear();
        self.names.clear();
        self.has_others = false;
        self.failure = None;
    }

    /// An error at a place of the text; its end counts as its last line.
    fn malformed(&self, at: usize, message: String) -> ReadError {
        let last = self.text.len().saturating_sub(1);
        let line = self.first_line + count_lines(&self.text[..at.min(last)]);
        ReadError::Malformed { line, message }
    }
}

fn function_name(text: &[u8], names: &mut Names) -> FunctionName {
    let known = match text {
        b"txn" => Function::Transaction,
        b"read" | b"r" => Function::Read,
        b"write" | b"w" => Function::Write,
        b"cas" => Function::CompareAndSet,
        b"add" => Function::Add,
        b"transfer" => Function::Transfer,
        b"generate" => Function::Generate,
        b"init" => Function::Init,
        _ => return FunctionName::Other(names.intern(&format!(":{}", lossy(text)))),
    };
    FunctionName::Known(known)
}

fn event_type(text: &[u8]) -> Result<EventType, Stop> {
    Ok(match text {
        b"invoke" => EventType::Invoke,
        b"ok" => EventType::End(Outcome::Ok),
        b"fail" => EventType::End(Outcome::Fail),
        b"info" => EventType::End(Outcome::Info),
        _ => return bad(format!("type {} is none of invoke, ok, fail, info", lossy(text))),
    })
}

fn lossy(text: &[u8]) -> String {
    const LONGEST: usize = 40;
    let shown = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]).into_owned();
    shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Values inside values; deeper ones would use up the stack.
const DEPTH_MAX: u32 = 32;
const TOO_DEEP: &str = "values nested deeper than 32";

/// Bytes of text that are parsed at once; the nodes of so many fit into a core's cache.
const CHUNK_BYTES: usize = 64 << 10;
const EVENT_BYTES_MAX: usize = 256 << 20;
/// Batches on their way between two threads.
const BATCHES_MAX: usize = 3;

/// Reads a whole history.
///
/// # Errors
/// Where the source fails, or its text is no history: then with the line at which it is not.
pub fn read_history(source: impl Read, format: Format) -> Result<History, ReadError> {
    let mut parser = Parser::new(source, format, CHUNK_BYTES);
    let mut assembler = Assembler::default();
    let mut batch = Batch::default();
    loop {
        let may_be_more = parser.parse(&mut batch);
        assembler.take(&mut batch)?;
        if !may_be_more {
            return assembler.finish();
        }
    }
}

/// Reads a whole history, one thread parsing while another assembles. The result is the same as
/// that of [`read_history`].
///
/// # Errors
/// As [`read_history`].
pub fn read_history_on_two_threads(
    source: impl Read + Send,
    format: Format,
) -> Result<History, ReadError> {
    let (full, filled) = sync_channel::<Batch>(BATCHES_MAX);
    let (empty, emptied) = sync_channel::<Batch>(BATCHES_MAX);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut parser = Parser::new(source, format, CHUNK_BYTES);
            let mut unused: Vec<Batch> = (0..BATCHES_MAX).map(|_| Batch::default()).collect();
            loop {
                let Some(mut batch) = unused.pop().or_else(|| emptied.recv().ok()) else { return };
                let may_be_more = parser.parse(&mut batch);
                // An assembler that met an error listens no longer.
                if full.send(batch).is_err() || !may_be_more {
                    return;
                }
            }
        });
        let mut assembler = Assembler::default();
        for mut batch in filled {
            assembler.take(&mut batch)?;
            // A parser at the end of its text needs no more batches.
            let _ = empty.send(batch);
        }
        assembler.finish()
    })
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

/// Counts in bytes first, of which a vector register holds many.
fn count_lines(text: &[u8]) -> u64 {
    let few = text.chunks(usize::from(u8::MAX));
    few.map(|few| u64::from(few.iter().map(|&byte| u8::from(byte == b'\n')).sum::<u8>())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads with one thread and with two, which must agree.
    fn read(text: &str, format: Format) -> Result<History, String> {
        let alone = read_history(text.as_bytes(), format).map_err(|error| error.to_string());
        let both = read_history_on_two_threads(text.as_bytes(), format);
        match (&alone, both.map_err(|error| error.to_string())) {
            (Ok(one), Ok(two)) => assert_eq!(story(one), story(&two)),
            (Err(one), Err(two)) => assert_eq!(*one, two),
            (one, two) => panic!("{:?} but {:?}", one.is_ok(), two.is_ok()),
        }
        alone
    }

    fn edn(text: &str) -> Result<History, String> {
        read(text, Format::Edn)
    }

    fn json(text: &str) -> Result<History, String> {
        read(text, Format::JsonLines)
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
    fn events_may_be_cut_by_chunks() {
        let expected = story(&edn(EDN).unwrap());
        for capacity in 1..400 {
            let mut parser = Parser::new(Drip(EDN.as_bytes()), Format::Edn, capacity);
            let mut assembler = Assembler::default();
            let mut batch = Batch::default();
            while parser.parse(&mut batch) {
                assembler.take(&mut batch).unwrap();
            }
            assembler.take(&mut batch).unwrap();
            assert_eq!(story(&assembler.finish().unwrap()), expected, "chunks of {capacity} bytes");
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
{:process 0 :type :invoke :f :init :value {:x 1, :y 2}} {:process 0 :type :ok :f :init :value {:x 1, :y 2}}
{:process 0 :type :invoke :f :txn :value [[:insert :z 3] [:delete :x] [:rp :true nil] [:rp [:= 2] nil]]}
{:process 0 :type :ok :f :txn :value [[:insert :z 3] [:delete :x] [:rp :true {:y 2, :z 3}] [:rp [:mod 2 1] {}]]}
{:process 0 :type :invoke :f :txn :value [[:rp :true nil] [:rp [:= 2]]]}
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
            "write :x 1, write :y 2",
            "write :z 3, delete :x, read all {:y 2, :z 3}, read where mod 2 = 1 {}",
            "read all?, read where = 2?",
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
            ("{:process 1 :type :invoke :f :txn :value [[:delete 5 1]]}", ":delete"),
            ("{:process 1 :type :invoke :f :txn :value [[:rp :some nil]]}", "a predicate is"),
            ("{:process 1 :type :invoke :f :txn :value [[:rp [:mod 0 0] nil]]}", "positive"),
            ("{:process 1 :type :invoke :f :txn :value [[:rp [:mod :x 0] nil]]}", "two integers"),
            ("{:process 1 :type :invoke :f :txn :value [[:rp [:= nil] nil]]}", "nil"),
            ("{:process 1 :type :invoke :f :txn :value [[:rp :true 5]]}", "a map"),
            ("{:process 1 :type :invoke :f :txn :value [[:rp :true {1}]]}", "a map"),
            ("{:process 1 :type :invoke :f :txn :value [[:rp :true {1 []}]]}", "scalar"),
            ("{:process 1 :type :invoke :f :init :value 5}", "a map"),
            ("{:process 1 :type :invoke :f :init :value {:x nil}}", "nil"),
            ("{:process 1 :type :invoke :f :init :value {:x 1 :y}}", "a map"),
            ("{:process 1 :type :invoke :f :cas :value [1 2 3 4]}", "a cas needs"),
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
            ("{\"process\":1,\"type\":\"invoke\",\"f\":\"cas\",\"value\":[1,]}", "found \"]\""),
            ("{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":1x}", "a value"),
            ("{\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"value\":-}", "a value"),
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
        for discard in ["#_", "#_[", "#_ #x [", "[#_"] {
            let deep = discard.repeat(1_000_000);
            for text in [deep.clone(), format!("{{:process 1 :value {deep}")] {
                assert!(edn(&text).unwrap_err().contains("nested"), "{discard}");
            }
        }
        assert!(edn("#_{:a #_[1] 2} {:process 1 :type :invoke :f :read #_#_ 1 2}").is_ok());
    }

    #[test]
    fn only_names_that_are_of_use_are_kept() {
        let first = Names::default().intern("first");
        let events = |event: fn(u32) -> String| (0..100).map(event).collect::<String>();
        let text = events(|n| {
            format!("{{:process {n} :type :invoke :f :read :time 1e{n} :error \"e{n}\"}}\n")
        });
        assert_eq!(edn(&text).unwrap().name("first"), first);
        let text = events(|n| {
            let what = "\"type\":\"invoke\",\"f\":\"read\"";
            format!("{{\"process\":{n},{what},\"time\":1e{n},\"error\":\"e{n}\"}}\n")
        });
        assert_eq!(json(&text).unwrap().name("first"), first);
    }

    #[test]
    fn a_history_without_clients_is_refused() {
        let nemesis = "{:process :nemesis :type :info :f :start}\n";
        let client = "{:process 0 :type :invoke :f :read}\n";
        assert!(edn(nemesis).unwrap_err().contains("no event is of a client"));
        assert!(edn(&format!("{nemesis}{client}")).is_ok());
        assert!(edn("").is_ok());
        let text = "{\"process\":\"w1\",\"type\":\"invoke\",\"f\":\"read\"}";
        assert!(json(text).unwrap_err().contains("the process of a client is a number"));
    }
}
