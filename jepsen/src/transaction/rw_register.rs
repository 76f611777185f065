//! Rw-register: transactions write unique values to registers and read them.
//!
//! A read shows which write it saw, but not what came before that. The order of versions is known
//! only in part: nil comes before everything, and what a transaction read comes before what it
//! wrote to the same key.
//!
//! ```text
//!   T1: r x nil, w x 1        T2: r x 1, w x 2        versions nil ─▶ 1 ─▶ 2
//!   wr T1 ─▶ T2, ww T1 ─▶ T2; and rw to T2 from every other reader of 1
//! ```

use std::collections::BTreeSet;

use super::cycles::cyclic_anomalies;
use super::is_repeated;
use super::readers::relate;
use super::story::{anomaly, tell};
use super::writers::{Writer, Writers};
use crate::graph::EdgeList;
use crate::history::{Atom, History, KeyId, OperationId, Outcome, PackedStep, StepKind};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, EdgeReason, Verdict};

/// Checks a history of register writes and reads.
///
/// # Errors
/// Where an operation does anything else, or two write the same value to the same key.
pub fn check_rw_register(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    for (id, operation) in history.operations() {
        for step in history.steps_of(operation) {
            if !matches!(step.kind, StepKind::Write | StepKind::Read | StepKind::ReadUnknown) {
                let words = history.describe(id);
                return Err(CheckError(format!(
                    "rw-register knows writes and reads of registers; {words} is something else"
                )));
            }
        }
    }
    let checker = Checker::new(history)?;
    let mut found = checker.direct_anomalies();
    let (edges, edges_left_out) = checker.edges();
    let (cyclic, statistics) = cyclic_anomalies(history, vec![edges]);
    found.extend(cyclic);
    let explain = |from, to, reason| checker.explain(from, to, reason);
    let verdict = tell(history, found, statistics, options, &explain);
    Ok(Verdict { edges_left_out, ..verdict })
}

/// What a committed transaction read of a key before it wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ExternalRead {
    key: KeyId,
    value: Atom,
    reader: OperationId,
}

/// A version and the transaction that wrote the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Successor {
    key: KeyId,
    value: Atom,
    next: OperationId,
    next_value: Atom,
}

struct Checker<'a> {
    history: &'a History,
    writers: Writers,
    /// Sorted.
    reads: Vec<ExternalRead>,
    /// Sorted. Of nil, those that follow nothing else.
    successors: Vec<Successor>,
    /// Keys whose versions go round in a circle, with the transactions that say so.
    cyclic: Vec<(KeyId, Vec<OperationId>)>,
}

impl<'a> Checker<'a> {
    fn new(history: &'a History) -> Result<Checker<'a>, CheckError> {
        let writers = Writers::new(history, StepKind::Write)?;
        let mut checker = Checker {
            history,
            writers,
            reads: Vec::new(),
            successors: Vec::new(),
            cyclic: Vec::new(),
        };
        checker.gather();
        checker.cyclic = checker.find_circles();
        let cyclic: BTreeSet<KeyId> = checker.cyclic.iter().map(|(key, _)| *key).collect();
        checker.successors.retain(|successor| !cyclic.contains(&successor.key));
        checker.add_successors_of_nil(&cyclic);
        Ok(checker)
    }

    fn gather(&mut self) {
        let mut reads = Vec::new();
        let mut successors = Vec::new();
        for (reader, steps) in self.history.committed() {
            for (index, step) in steps.iter().enumerate() {
                if step.kind != StepKind::Read || is_repeated(steps, index) {
                    continue;
                }
                let (key, value) = (step.key, step.atom());
                // Its own value, read before it was written, comes from no other version.
                if self.writers.writer(key, value).operation() == Some(reader) {
                    continue;
                }
                reads.push(ExternalRead { key, value, reader });
                let mut later = steps[index..].iter().rev();
                let last = later.find(|later| later.key == key && later.kind == StepKind::Write);
                if let Some(last) = last {
                    let next_value = last.atom();
                    successors.push(Successor { key, value, next: reader, next_value });
                }
            }
        }
        reads.sort_unstable();
        successors.sort_unstable();
        (self.reads, self.successors) = (reads, successors);
    }

    fn readers(&self, key: KeyId, value: Atom) -> &[ExternalRead] {
        let from = self.reads.partition_point(|read| (read.key, read.value) < (key, value));
        let rest = &self.reads[from..];
        &rest[..rest.partition_point(|read| (read.key, read.value) == (key, value))]
    }

    /// Each version follows at most one other, so circles are found by following back.
    fn find_circles(&self) -> Vec<(KeyId, Vec<OperationId>)> {
        let mut before: Vec<(KeyId, Atom, Atom, OperationId)> =
            self.successors.iter().map(|s| (s.key, s.next_value, s.value, s.next)).collect();
        before.sort_unstable();
        let find = |key: KeyId, value: Atom| {
            let at = before.binary_search_by_key(&(key, value), |entry| (entry.0, entry.1)).ok()?;
            Some(at)
        };
        let mut visited = vec![0u32; before.len()];
        let mut circles: Vec<(KeyId, Vec<OperationId>)> = Vec::new();
        for start in 0..before.len() {
            let walk = start as u32 + 1;
            let mut path = Vec::new();
            let mut at = Some(start);
            while let Some(place) = at.filter(|&place| visited[place] == 0) {
                visited[place] = walk;
                path.push(place);
                at = find(before[place].0, before[place].2);
            }
            let Some(end) = at.filter(|&place| visited[place] == walk) else { continue };
            let from = path.iter().position(|&place| place == end).expect("it is on this path");
            let operations = path[from..].iter().rev().map(|&place| before[place].3).collect();
            circles.push((before[end].0, operations));
        }
        circles
    }

    /// Nil comes before all versions; it is enough to say so of those that follow nothing else.
    fn add_successors_of_nil(&mut self, cyclic: &BTreeSet<KeyId>) {
        let follows: BTreeSet<(KeyId, Atom)> =
            self.successors.iter().map(|s| (s.key, s.next_value)).collect();
        for key in (0..self.history.key_count() as u32).map(KeyId) {
            if self.readers(key, Atom::NIL).is_empty() || cyclic.contains(&key) {
                continue;
            }
            let first = self.writers.of(key).iter().filter_map(|write| {
                let next = write.writer.operation()?;
                let is_known = self.history.operation(next).outcome == Outcome::Ok
                    || !self.readers(key, write.value).is_empty();
                let is_first = !follows.contains(&(key, write.value));
                let is_last = !write.writer.is_intermediate();
                (is_known && is_first && is_last).then_some(Successor {
                    key,
                    value: Atom::NIL,
                    next,
                    next_value: write.value,
                })
            });
            let first: Vec<Successor> = first.collect();
            self.successors.extend(first);
        }
        self.successors.sort_unstable();
        self.successors.dedup();
    }

    /// All dependencies, and how many are left out because they were too many.
    fn edges(&self) -> (EdgeList, usize) {
        let mut edges = EdgeList::default();
        for read in &self.reads {
            if let Some(writer) = self.writers.writer(read.key, read.value).operation() {
                edges.push(writer.0, read.reader.0, EdgeReason::WriteRead);
            }
        }
        let mut left_out = 0;
        for same in self.successors.chunk_by(|a, b| (a.key, a.value) == (b.key, b.value)) {
            let Successor { key, value, .. } = same[0];
            if let Some(writer) = self.writers.writer(key, value).operation() {
                for successor in same {
                    edges.push(writer.0, successor.next.0, EdgeReason::WriteWrite);
                }
            }
            let readers: Vec<OperationId> =
                self.readers(key, value).iter().map(|read| read.reader).collect();
            let next = same.iter().map(|successor| successor.next).collect();
            left_out += relate(self.history, &readers, next, &mut edges);
        }
        (edges, left_out)
    }

    fn direct_anomalies(&self) -> Vec<Anomaly> {
        let mut found = Vec::new();
        for (key, operations) in &self.cyclic {
            let words = format!(
                "each of them wrote {} over what another wrote",
                self.history.key_name(*key)
            );
            found.push(anomaly(AnomalyKind::CyclicVersions, operations.clone(), words));
        }
        for (id, steps) in self.history.committed() {
            for index in 0..steps.len() {
                if steps[index].kind == StepKind::Read {
                    self.find_in_read(id, steps, index, &mut found);
                }
            }
        }
        self.find_lost_updates(&mut found);
        found
    }

    fn find_in_read(
        &self,
        id: OperationId,
        steps: &[PackedStep],
        index: usize,
        found: &mut Vec<Anomaly>,
    ) {
        let step = &steps[index];
        let (key, value) = (step.key, step.atom());
        let name = self.history.key_name(key);
        let text = self.history.names.text(value);
        let mut push = |kind, operations, words| {
            found.push(anomaly(kind, operations, words));
        };
        let is_write = |other: &&PackedStep| other.key == key && other.kind == StepKind::Write;
        let mut later = steps[index..].iter().filter(is_write);
        if !value.is_nil() && later.any(|later| later.atom() == value) {
            let words = format!("T{} read {text} of {name} before it wrote it", id.0);
            push(AnomalyKind::FutureRead, vec![id], words);
            return;
        }
        let earlier = steps[..index].iter().rev().find(|earlier| {
            earlier.key == key && matches!(earlier.kind, StepKind::Write | StepKind::Read)
        });
        if let Some(earlier) = earlier {
            if earlier.atom() == value {
                return;
            }
            let expected = self.history.names.text(earlier.atom());
            let words =
                format!("T{} should have read {name} as {expected}, after its own steps", id.0);
            push(AnomalyKind::Internal, vec![id], words);
        }
        if value.is_nil() {
            return;
        }
        let writer = self.writers.writer(key, value);
        if writer == Writer::NOBODY {
            push(AnomalyKind::GarbageRead, vec![id], format!("nobody wrote {text} to {name}"));
        } else if writer == Writer::ABORTED {
            let by: Vec<OperationId> = self.writers.aborted_by(key, value).into_iter().collect();
            let operations: Vec<OperationId> = by.into_iter().chain([id]).collect();
            let words = format!("{text} was written to {name} by a failed operation");
            push(AnomalyKind::G1a, operations.clone(), words);
            if steps[index..].iter().any(|later| is_write(&later)) {
                let words = format!("T{} wrote {name} on top of {text}, which failed", id.0);
                push(AnomalyKind::DirtyUpdate, operations, words);
            }
        } else if let Some(by) =
            writer.operation().filter(|&by| by != id && writer.is_intermediate())
        {
            let words =
                format!("T{} read {text} of {name}, over which T{} wrote itself", id.0, by.0);
            push(AnomalyKind::G1b, vec![by, id], words);
        }
    }

    fn find_lost_updates(&self, found: &mut Vec<Anomaly>) {
        let mut updates: Vec<(KeyId, Atom, OperationId)> = self
            .successors
            .iter()
            .filter(|s| {
                self.reads
                    .binary_search(&ExternalRead { key: s.key, value: s.value, reader: s.next })
                    .is_ok()
            })
            .map(|s| (s.key, s.value, s.next))
            .collect();
        updates.dedup();
        for same in updates.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|s| s.len() >= 2) {
            let operations = same.iter().map(|update| update.2).collect();
            let words = format!(
                "all of them read {} as {} and wrote it",
                self.history.key_name(same[0].0),
                self.history.names.text(same[0].1)
            );
            found.push(anomaly(AnomalyKind::LostUpdate, operations, words));
        }
    }

    fn explain(&self, from: OperationId, to: OperationId, reason: EdgeReason) -> String {
        let text = |atom: Atom| self.history.names.text(atom);
        let by_from =
            |key: KeyId, value: Atom| self.writers.writer(key, value).operation() == Some(from);
        let successor = self.successors.iter().filter(|s| s.next == to).find(|s| match reason {
            EdgeReason::WriteWrite => by_from(s.key, s.value),
            _ => self.readers(s.key, s.value).iter().any(|read| read.reader == from),
        });
        match (reason, successor) {
            (EdgeReason::WriteRead, _) => {
                let read = self.reads.iter().find(|r| r.reader == to && by_from(r.key, r.value));
                read.map(|read| {
                    let (value, name) = (text(read.value), self.history.key_name(read.key));
                    format!("T{} read {value} of {name}, which T{} wrote", to.0, from.0)
                })
            }
            (_, Some(s)) => {
                let (value, next) = (text(s.value), text(s.next_value));
                let verb = if reason == EdgeReason::WriteWrite { "wrote" } else { "read" };
                let name = self.history.key_name(s.key);
                Some(format!(
                    "T{} {verb} {name} as {value}, over which T{} wrote {next}",
                    from.0, to.0
                ))
            }
            (_, None) => None,
        }
        .unwrap_or_else(|| format!("T{} precedes T{}", from.0, to.0))
    }
}
