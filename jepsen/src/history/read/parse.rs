//! From bytes to batches of events.

use std::io::{ErrorKind, Read};

use super::cursor::{self, Syntax};
use super::edn::Edn;
use super::json::Json;
use super::{Atom, Batch, EVENT_BYTES_MAX, Event, Format, Names, Stop, count_lines};

pub(super) struct Parser<R> {
    source: R,
    format: Format,
    names: Names,
    /// How many of the names were told with a batch.
    names_told: usize,
    chunk_bytes: usize,
    /// The beginning of an event whose end is not read yet.
    rest: Vec<u8>,
    /// The line with which `rest` begins.
    line: u64,
    at_end: bool,
    /// How many top-level vectors are open: 0 or 1.
    depth: u32,
}

impl<R: Read> Parser<R> {
    pub fn new(source: R, format: Format, chunk_bytes: usize) -> Parser<R> {
        Parser {
            source,
            format,
            names: Names::default(),
            names_told: 0,
            chunk_bytes,
            rest: Vec::new(),
            line: 1,
            at_end: false,
            depth: 0,
        }
    }

    /// Fills a batch with the next whole events, and says whether there may be more of them. A
    /// failure is in the batch, after the events before it, and ends the history.
    pub fn parse(&mut self, batch: &mut Batch) -> bool {
        batch.clear();
        batch.first_line = self.line;
        batch.text.clear();
        batch.text.append(&mut self.rest);
        let mut chunk_bytes = self.chunk_bytes.max(batch.text.len() * 2);
        let consumed = loop {
            if let Err(error) = self.fill(&mut batch.text, chunk_bytes) {
                batch.failure = Some(error.into());
                return false;
            }
            let consumed = self.take_events(batch);
            if consumed > 0 || self.at_end || batch.failure.is_some() {
                break consumed;
            }
            if chunk_bytes >= EVENT_BYTES_MAX {
                let message = "an operation longer than 256 MiB".to_string();
                batch.failure = Some(batch.malformed(0, message));
                return false;
            }
            chunk_bytes *= 4;
        };
        self.rest.extend_from_slice(&batch.text[consumed..]);
        self.line += count_lines(&batch.text[..consumed]);
        batch.names.extend(self.names.texts_from(self.names_told));
        self.names_told += batch.names.len();
        !self.at_end && batch.failure.is_none()
    }

    /// Reads until the text has so many bytes, or to the end.
    fn fill(&mut self, text: &mut Vec<u8>, bytes: usize) -> std::io::Result<()> {
        let mut filled = text.len();
        // One more byte is for the blank at the end of the file.
        text.resize(bytes.max(filled + 1) + 1, 0);
        while filled < text.len() - 1 && !self.at_end {
            let last = text.len() - 1;
            match self.source.read(&mut text[filled..last]) {
                Ok(0) => {
                    // Ends a last word or comment.
                    text[filled] = b'\n';
                    filled += 1;
                    self.at_end = true;
                }
                Ok(count) => filled += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        text.truncate(filled);
        Ok(())
    }

    /// Parses every whole event of the text and returns how many bytes were used up.
    fn take_events(&mut self, batch: &mut Batch) -> usize {
        let mut at = 0;
        loop {
            let first_node = batch.nodes.len();
            let mut event = Event::default();
            let (start, parsed) = match self.format {
                Format::Edn => self.next::<Edn>(batch, at, &mut event),
                Format::JsonLines => self.next::<Json>(batch, at, &mut event),
            };
            match parsed {
                Ok(Some(end)) => {
                    event.start = start as u32;
                    if event.process.is_none_or(is_client) {
                        batch.events.push(event);
                    } else {
                        batch.nodes.truncate(first_node);
                        batch.has_others = true;
                    }
                    at = end;
                }
                Ok(None) => return start,
                Err(Stop::More) if !self.at_end => {
                    batch.nodes.truncate(first_node);
                    return start;
                }
                Err(Stop::More) => {
                    let message = "the file ends inside an operation".to_string();
                    batch.failure = Some(batch.malformed(start, message));
                    return start;
                }
                Err(Stop::Bad(message)) => {
                    batch.failure = Some(batch.malformed(start, message.into_string()));
                    return start;
                }
            }
        }
    }

    /// Where the next event starts, and where it ends; `None` where there is none.
    fn next<S: Syntax>(
        &mut self,
        batch: &mut Batch,
        from: usize,
        event: &mut Event,
    ) -> (usize, Result<Option<usize>, Stop>) {
        let text = batch.text.as_slice();
        let mut at = from;
        loop {
            at = match S::skip_blank(text, at, 0) {
                Ok(at) => at,
                Err(stop) => return (at, Err(stop)),
            };
            match text.get(at) {
                None => return (at, self.end_of_text()),
                Some(byte) if self.depth == 0 && S::LIST_OPEN.contains(byte) => self.depth += 1,
                Some(byte) if self.depth == 1 && S::LIST_CLOSE.contains(byte) => self.depth -= 1,
                Some(b',') if self.depth == 1 => {}
                Some(_) => break,
            }
            at += 1;
        }
        let parsed = cursor::event::<S>(text, at, event, &mut batch.nodes, &mut self.names);
        (at, parsed.map(Some))
    }

    /// No event is left in the text; an open vector must end in it, if it is the last.
    fn end_of_text(&self) -> Result<Option<usize>, Stop> {
        if self.at_end && self.depth > 0 { Err(Stop::More) } else { Ok(None) }
    }
}

/// Processes that are no numbers are not clients of the database.
fn is_client(process: Atom) -> bool {
    process.as_integer().is_some()
}
