//! From batches of events to a history.

use super::shape::Shaper;
use super::{Atom, Batch, Dense, Event, EventType, History, OperationId, Outcome, ReadError};

#[derive(Default)]
pub(super) struct Assembler {
    shaper: Shaper,
    history: History,
    processes: Dense,
    /// The open operation of each process.
    open: Vec<Option<OperationId>>,
    /// Whether events were left out.
    has_others: bool,
}

impl Assembler {
    /// Adds the events of a batch.
    ///
    /// # Errors
    /// Where an event makes no sense after those before it, or the batch ends in a failure.
    pub fn take(&mut self, batch: &mut Batch) -> Result<(), ReadError> {
        self.has_others |= batch.has_others;
        for text in &batch.names {
            self.history.names.learn(text);
        }
        for event in &batch.events {
            let value = &batch.nodes[event.value.start as usize..event.value.end as usize];
            if let Err(message) = self.accept(event, value) {
                return Err(batch.malformed(event.start as usize, message));
            }
        }
        batch.failure.take().map_or(Ok(()), Err)
    }

    /// # Errors
    /// Where all events were left out: then nothing would be checked.
    pub fn finish(self) -> Result<History, ReadError> {
        match self.has_others && self.history.operation_count() == 0 {
            true => Err(ReadError::NoClient),
            false => Ok(self.history),
        }
    }

    fn accept(&mut self, event: &Event, value: &[Atom]) -> Result<(), String> {
        let Some(process) = event.process else { return Err("the event has no process".into()) };
        let Some(kind) = event.kind else { return Err("the event has no type".into()) };
        let slot = self.processes.index(process) as usize;
        if self.open.len() <= slot {
            self.open.push(None);
        }
        match kind {
            EventType::Invoke => self.begin(event, value, process, slot),
            EventType::End(outcome) => self.end(event, value, process, slot, outcome),
        }
    }

    fn begin(
        &mut self,
        event: &Event,
        value: &[Atom],
        process: Atom,
        slot: usize,
    ) -> Result<(), String> {
        if let Some(open) = self.open[slot] {
            return Err(format!(
                "process {} invokes an operation while its T{} is still open",
                self.history.names.text(process),
                open.0
            ));
        }
        let function = self.shaper.shape(event, value, None, &self.history.names)?;
        let steps = self.shaper.steps(value);
        let id = self.history.begin(process, event.time_ns, function, steps);
        self.open[slot] = Some(id);
        Ok(())
    }

    fn end(
        &mut self,
        event: &Event,
        value: &[Atom],
        process: Atom,
        slot: usize,
        outcome: Outcome,
    ) -> Result<(), String> {
        let Some(id) = self.open[slot].take() else {
            let process = self.history.names.text(process);
            return Err(format!("process {process} ends an operation it did not invoke"));
        };
        if outcome == Outcome::Ok {
            let invoked = self.history.operation(id).function;
            self.shaper.shape(event, value, Some(invoked), &self.history.names)?;
        } else {
            self.shaper.clear();
        }
        self.history.end(id, event.time_ns, outcome, self.shaper.steps(value));
        Ok(())
    }
}
