//! List-append: transactions append unique elements to lists and read whole lists.
//!
//! A read of `[1 2 4]` shows that the appends of 1, 2 and 4 came in this order and that no other
//! append of the key came before it. So of each key the longest list read gives
//!
//! ```text
//!   ww  the writer of an element ─▶ the writer of the next
//!   wr  the writer of the last element of a list ─▶ its reader
//!   rw  the reader of a list ─▶ the writer of the element after its last
//! ```
//!
//! An element that no read shows, although its operation was acknowledged, comes after all that
//! any read shows; only the order among such elements is unknown.

use std::ops::Range;

use super::cycles::cyclic_anomalies;
use super::is_repeated;
use super::list_versions::ListVersions;
use super::readers::relate;
use super::story::{anomaly, tell};
use super::writers::Writer;
use crate::graph::EdgeList;
use crate::history::{Atom, History, KeyId, OperationId, Outcome, PackedStep, StepKind};
use crate::parallel::{map_parts, ranges};
use crate::verdict::{Anomaly, AnomalyKind, CheckError, CheckOptions, EdgeReason, Verdict};

/// Checks a history of appends and list reads.
///
/// # Errors
/// Where an operation does anything else, or two append the same element to the same key.
pub fn check_list_append(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    refuse_others(history)?;
    let versions = ListVersions::new(history)?;
    let checker = Checker { history, versions };
    let (edges, edges_left_out) = checker.edges(options.threads);
    let mut found = checker.direct_anomalies(options.threads);
    let (cyclic, statistics) = cyclic_anomalies(history, edges);
    found.extend(cyclic);
    let explain = |from, to, reason| checker.explain(from, to, reason);
    let verdict = tell(history, found, statistics, options, &explain);
    Ok(Verdict { edges_left_out, ..verdict })
}

fn refuse_others(history: &History) -> Result<(), CheckError> {
    for (id, operation) in history.operations() {
        for step in history.steps_of(operation) {
            let fits = match step.kind {
                StepKind::Append | StepKind::ReadUnknown => true,
                StepKind::ReadPrefix | StepKind::ReadStray => true,
                StepKind::Read => step.atom().is_nil(),
                _ => false,
            };
            if !fits {
                let words = history.describe(id);
                return Err(CheckError(format!(
                    "list-append knows appends and reads of lists; {words} is something else"
                )));
            }
        }
    }
    Ok(())
}

struct Checker<'a> {
    history: &'a History,
    versions: ListVersions,
}

/// A first read of a key in a transaction, without what the transaction appended itself before.
#[derive(Clone, Copy)]
enum ExternalRead {
    /// The first so many elements of the longest list.
    Prefix(usize),
    /// A list that is no prefix, by its last element.
    Stray(Option<Atom>),
}

/// A list of a key, by its length, that an operation read and appended to.
type Update = (KeyId, u32, OperationId);

impl Checker<'_> {
    /// The external version that the read at `index` shows; `None` where it is not the first read
    /// of its key, is no read, or does not end in what the transaction appended before, so that
    /// nobody knows what came from outside.
    fn external_read(&self, steps: &[PackedStep], index: usize) -> Option<ExternalRead> {
        let step = &steps[index];
        let elements = self.history.elements(step)?;
        let mut own: Vec<Atom> = Vec::new();
        if is_repeated(steps, index) {
            for earlier in steps[..index].iter().filter(|earlier| earlier.key == step.key) {
                match earlier.kind {
                    StepKind::Append => own.push(earlier.atom()),
                    _ => return None,
                }
            }
        }
        let external = elements.strip_suffix(own.as_slice())?;
        Some(match step.kind {
            StepKind::ReadStray => ExternalRead::Stray(external.last().copied()),
            _ => ExternalRead::Prefix(external.len()),
        })
    }

    /// All dependencies, and how many are left out because they were too many.
    fn edges(&self, threads: usize) -> (Vec<EdgeList>, usize) {
        let reads = ranges(self.history.operation_count() as u32, threads);
        let mut lists = map_parts(reads, |range| self.read_edges(range));
        lists.push(self.write_edges());
        let (unread, left_out) = self.unread_edges();
        lists.push(unread);
        (lists, left_out)
    }

    fn keys(&self) -> impl Iterator<Item = KeyId> {
        (0..self.history.key_count() as u32).map(KeyId)
    }

    fn write_edges(&self) -> EdgeList {
        let mut edges = EdgeList::default();
        for key in self.keys() {
            let mut before: Option<OperationId> = None;
            for id in self.versions.agreed(key).iter().filter_map(|writer| writer.operation()) {
                if let Some(before) = before {
                    edges.push(before.0, id.0, EdgeReason::WriteWrite);
                }
                before = Some(id);
            }
            for id in self.versions.unread(key) {
                if let Some(before) = before {
                    edges.push(before.0, id.0, EdgeReason::WriteWrite);
                }
            }
        }
        edges
    }

    fn read_edges(&self, range: Range<u32>) -> EdgeList {
        let mut edges = EdgeList::default();
        for (id, steps) in self.history.committed_of(range) {
            for (index, step) in steps.iter().enumerate() {
                let Some(read) = self.external_read(steps, index) else { continue };
                if let Some(writer) = self.writer_of_version(step.key, read) {
                    edges.push(writer.0, id.0, EdgeReason::WriteRead);
                }
                if let Some(next) = self.next_writer(step.key, read, id) {
                    edges.push(id.0, next.0, EdgeReason::ReadWrite);
                }
            }
        }
        edges
    }

    /// The last operation whose append a read shows, aborted ones left out.
    fn writer_of_version(&self, key: KeyId, read: ExternalRead) -> Option<OperationId> {
        match read {
            ExternalRead::Prefix(length) => {
                let shown = &self.versions.writers(key)[..length];
                shown.iter().rev().find_map(|writer| writer.operation())
            }
            ExternalRead::Stray(last) => self.versions.writer(key, last?).operation(),
        }
    }

    /// The first operation that changed what was read, other than the reader and the writer whose
    /// intermediate version it was.
    fn next_writer(
        &self,
        key: KeyId,
        read: ExternalRead,
        reader: OperationId,
    ) -> Option<OperationId> {
        let ExternalRead::Prefix(length) = read else { return None };
        let (shown, later) = self.versions.agreed(key).split_at_checked(length)?;
        let last = shown.last().and_then(|writer| writer.operation());
        let mut later = later.iter().filter_map(|writer| writer.operation());
        let next = later.find(|&id| Some(id) != last)?;
        (next != reader).then_some(next)
    }

    /// From the readers of all that is known of a key to what was appended unseen.
    fn unread_edges(&self) -> (EdgeList, usize) {
        let mut edges = EdgeList::default();
        if self.keys().all(|key| self.versions.unread(key).is_empty()) {
            return (edges, 0);
        }
        let mut readers: Vec<Vec<OperationId>> = vec![Vec::new(); self.history.key_count()];
        for (id, steps) in self.history.committed() {
            for (index, step) in steps.iter().enumerate() {
                if self.versions.unread(step.key).is_empty() {
                    continue;
                }
                let Some(read) = self.external_read(steps, index) else { continue };
                let ExternalRead::Prefix(length) = read else { continue };
                let later = &self.versions.writers(step.key)[length..];
                if later.iter().all(|writer| writer.operation().is_none()) {
                    readers[step.key.0 as usize].push(id);
                }
            }
        }
        let mut left_out = 0;
        for key in self.keys() {
            let unread = self.versions.unread(key).to_vec();
            left_out += relate(self.history, &readers[key.0 as usize], unread, &mut edges);
        }
        (edges, left_out)
    }

    fn direct_anomalies(&self, threads: usize) -> Vec<Anomaly> {
        let mut found = Vec::new();
        let mut updates = Vec::new();
        let parts = ranges(self.history.operation_count() as u32, threads);
        for (found_there, updates_there) in map_parts(parts, |range| self.find_in_reads(range)) {
            found.extend(found_there);
            updates.extend(updates_there);
        }
        self.find_disordered(&mut found);
        self.find_incompatible(&mut found);
        self.find_dirty_updates(&mut found);
        self.find_lost_updates(updates, &mut found);
        found
    }

    /// What single operations of a range show, and the versions that they read and changed.
    fn find_in_reads(&self, range: Range<u32>) -> (Vec<Anomaly>, Vec<Update>) {
        let mut found = Vec::new();
        let mut updates: Vec<Update> = Vec::new();
        for (id, steps) in self.history.committed_of(range) {
            for (index, step) in steps.iter().enumerate() {
                if self.history.elements(step).is_none() {
                    continue;
                }
                self.find_in_list(id, step, &mut found);
                self.find_internal(id, steps, index, &mut found);
                let Some(read) = self.external_read(steps, index) else { continue };
                self.find_intermediate(id, step.key, read, &mut found);
                let is_update =
                    |later: &PackedStep| later.kind == StepKind::Append && later.key == step.key;
                if let ExternalRead::Prefix(length) = read
                    && steps[index..].iter().any(is_update)
                {
                    updates.push((step.key, length as u32, id));
                }
            }
        }
        (found, updates)
    }

    /// Duplicates, elements nobody wrote, and elements of failed operations.
    fn find_in_list(&self, id: OperationId, step: &PackedStep, found: &mut Vec<Anomaly>) {
        let key = step.key;
        let elements = self.history.elements(step).unwrap_or_default();
        let odd = match step.kind {
            StepKind::ReadStray => self.oddities_of(key, elements),
            _ => {
                let oddities = &self.versions.oddities[key.0 as usize];
                let within = |place: u32| elements.get(place as usize).copied();
                [
                    within(oddities.first_duplicate),
                    within(oddities.first_garbage),
                    within(oddities.first_aborted),
                ]
            }
        };
        if odd == [None; 3] {
            return;
        }
        let name = self.history.key_name(key);
        let text = |atom: Atom| self.history.names.text(atom);
        if let Some(element) = odd[0] {
            let words = format!("{} is twice in the list of {name}", text(element));
            found.push(anomaly(AnomalyKind::DuplicateElements, vec![id], words));
        }
        if let Some(element) = odd[1] {
            let words = format!("nobody appended {} to {name}", text(element));
            found.push(anomaly(AnomalyKind::GarbageRead, vec![id], words));
        }
        if let Some(element) = odd[2] {
            let writer = self.versions.aborted_by(key, element);
            let words = format!("{} was appended to {name} by a failed operation", text(element));
            let operations = writer.into_iter().chain([id]).collect();
            found.push(anomaly(AnomalyKind::G1a, operations, words));
        }
    }

    /// The first duplicate, unwritten and aborted element of a list.
    fn oddities_of(&self, key: KeyId, elements: &[Atom]) -> [Option<Atom>; 3] {
        let mut sorted = elements.to_vec();
        sorted.sort_unstable();
        let duplicate = sorted.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        let by = |wanted: Writer| {
            elements.iter().copied().find(|&value| self.versions.writer(key, value) == wanted)
        };
        [duplicate, by(Writer::NOBODY), by(Writer::ABORTED)]
    }

    /// A read that contradicts what its own transaction read, wrote or will write.
    fn find_internal(
        &self,
        id: OperationId,
        steps: &[PackedStep],
        index: usize,
        found: &mut Vec<Anomaly>,
    ) {
        let step = &steps[index];
        let elements = self.history.elements(step).unwrap_or_default();
        let of_key = |step: &&PackedStep, key: KeyId| step.key == key;
        let future = steps[index..].iter().find(|later| {
            of_key(later, step.key)
                && later.kind == StepKind::Append
                && elements.contains(&later.atom())
        });
        if let Some(later) = future {
            let element = self.history.names.text(later.atom());
            let words = format!(
                "T{} read {element} of {} before it appended it",
                id.0,
                self.history.key_name(step.key)
            );
            found.push(anomaly(AnomalyKind::FutureRead, vec![id], words));
            return;
        }
        if !is_repeated(steps, index) {
            return;
        }
        let mut own: Vec<Atom> = Vec::new();
        let mut known: Option<&[Atom]> = None;
        for earlier in steps[..index].iter().filter(|earlier| of_key(earlier, step.key)) {
            if earlier.kind == StepKind::Append {
                own.push(earlier.atom());
            } else if let Some(elements) = self.history.elements(earlier) {
                known = Some(elements);
                own.clear();
            }
        }
        let fits = elements.strip_suffix(own.as_slice()).is_some_and(|base| match known {
            Some(known) => base == known,
            None => true,
        });
        if !fits {
            let expected = [known.unwrap_or_default(), &own].concat();
            let words = format!(
                "T{} should have read {} {}{}, after its own steps",
                id.0,
                self.history.key_name(step.key),
                if known.is_some() { "as " } else { "ending in " },
                self.history.list_words(&expected)
            );
            found.push(anomaly(AnomalyKind::Internal, vec![id], words));
        }
    }

    /// G1b: the last element was not the last its writer appended.
    fn find_intermediate(
        &self,
        id: OperationId,
        key: KeyId,
        read: ExternalRead,
        found: &mut Vec<Anomaly>,
    ) {
        let (last, writer) = match read {
            ExternalRead::Prefix(0) | ExternalRead::Stray(None) => return,
            ExternalRead::Prefix(length) => {
                (self.history.longest(key)[length - 1], self.versions.writers(key)[length - 1])
            }
            ExternalRead::Stray(Some(last)) => (last, self.versions.writer(key, last)),
        };
        if let Some(by) = writer.operation().filter(|&by| by != id && writer.is_intermediate()) {
            let words = format!(
                "T{} read {} up to {}, after which T{} appended more to it",
                id.0,
                self.history.key_name(key),
                self.history.names.text(last),
                by.0
            );
            found.push(anomaly(AnomalyKind::G1b, vec![by, id], words));
        }
    }

    /// Elements of one transaction that are not in the order in which it appended them.
    fn find_disordered(&self, found: &mut Vec<Anomaly>) {
        for key in self.keys() {
            let longest = self.history.longest(key);
            for (place, writer) in self.versions.agreed(key).iter().enumerate() {
                let Some(id) = writer.operation().filter(|_| writer.is_repeat()) else { continue };
                let element = longest[place];
                let steps = self.history.steps_of(self.history.operation(id));
                let own = || {
                    let fits = |s: &&PackedStep| s.kind == StepKind::Append && s.key == key;
                    steps.iter().filter(fits).map(PackedStep::atom)
                };
                let before = own().take_while(|&other| other != element).last();
                let Some(before) = before.filter(|before| !longest[..place].ends_with(&[*before]))
                else {
                    continue;
                };
                // What others put in between is told as a cycle.
                if !longest[..place].contains(&before) {
                    let text = |atom| self.history.names.text(atom);
                    let words = format!(
                        "{} is in {} without {} before it, which T{} appended first",
                        text(element),
                        self.history.key_name(key),
                        text(before),
                        id.0
                    );
                    found.push(anomaly(AnomalyKind::Internal, vec![id], words));
                }
            }
        }
    }

    fn find_incompatible(&self, found: &mut Vec<Anomaly>) {
        if !self.history.has_stray_lists() {
            return;
        }
        let mut strays: Vec<(KeyId, OperationId)> = Vec::new();
        for (id, steps) in self.history.committed() {
            let is_stray = |step: &&PackedStep| step.kind == StepKind::ReadStray;
            strays.extend(steps.iter().filter(is_stray).map(|step| (step.key, id)));
        }
        let mut longest: Vec<Option<OperationId>> = vec![None; self.history.key_count()];
        for (id, steps) in self.history.committed() {
            for step in steps.iter().filter(|step| step.kind == StepKind::ReadPrefix) {
                if step.length() == self.history.longest(step.key).len() {
                    longest[step.key.0 as usize].get_or_insert(id);
                }
            }
        }
        for (key, id) in strays {
            let operations = longest[key.0 as usize].into_iter().chain([id]).collect();
            let words =
                format!("neither list of {} begins with the other", self.history.key_name(key));
            found.push(anomaly(AnomalyKind::IncompatibleOrder, operations, words));
        }
    }

    fn find_dirty_updates(&self, found: &mut Vec<Anomaly>) {
        for key in self.keys() {
            let first = self.versions.oddities[key.0 as usize].first_aborted as usize;
            let writers = self.versions.writers(key);
            let Some(later) = writers.get(first..) else { continue };
            let Some(committed) = later.iter().find_map(|writer| writer.operation()) else {
                continue;
            };
            if self.history.operation(committed).outcome != Outcome::Ok {
                continue;
            }
            let element = self.history.longest(key)[first];
            let aborted = self.versions.aborted_by(key, element);
            let words = format!(
                "T{} appended to {} on top of {}, which failed",
                committed.0,
                self.history.key_name(key),
                self.history.names.text(element)
            );
            let operations = aborted.into_iter().chain([committed]).collect();
            found.push(anomaly(AnomalyKind::DirtyUpdate, operations, words));
        }
    }

    fn find_lost_updates(&self, mut updates: Vec<Update>, found: &mut Vec<Anomaly>) {
        updates.sort_unstable();
        updates.dedup();
        for same in updates.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)).filter(|s| s.len() >= 2) {
            let operations: Vec<OperationId> = same.iter().map(|update| update.2).collect();
            let list = &self.history.longest(same[0].0)[..same[0].1 as usize];
            let words = format!(
                "all of them read {} as {} and appended to it",
                self.history.key_name(same[0].0),
                self.history.list_words(list)
            );
            found.push(anomaly(AnomalyKind::LostUpdate, operations, words));
        }
    }

    /// Why `from` precedes `to`: finds the steps again that made the edge.
    fn explain(&self, from: OperationId, to: OperationId, reason: EdgeReason) -> String {
        let steps_of = |id| self.history.steps_of(self.history.operation(id));
        let (before, after) = (steps_of(from), steps_of(to));
        let appends = |steps: &[PackedStep], key: KeyId| -> Vec<Atom> {
            let of_key = |s: &&PackedStep| s.kind == StepKind::Append && s.key == key;
            steps.iter().filter(of_key).map(PackedStep::atom).collect()
        };
        let text = |atom: Atom| self.history.names.text(atom);
        for (index, step) in before.iter().enumerate() {
            let key = step.key;
            let name = self.history.key_name(key);
            match reason {
                EdgeReason::WriteWrite if step.kind == StepKind::Append => {
                    for next in appends(after, key) {
                        if self.follows(key, step.atom(), next) {
                            let (one, other) = (text(step.atom()), text(next));
                            return format!(
                                "T{} appended {other} to {name} after T{} appended {one}",
                                to.0, from.0
                            );
                        }
                    }
                }
                EdgeReason::ReadWrite => {
                    let Some(read) = self.external_read(before, index) else { continue };
                    let ExternalRead::Prefix(length) = read else { continue };
                    let next = self.next_writer(key, read, from);
                    let list = &self.history.longest(key)[..length];
                    let appended = appends(after, key);
                    if (next.is_none() || next == Some(to))
                        && let Some(missed) = appended.iter().find(|value| !list.contains(value))
                    {
                        let list = self.history.list_words(list);
                        return format!(
                            "T{} read {name} as {list}, without {}, which T{} appended",
                            from.0,
                            text(*missed),
                            to.0
                        );
                    }
                }
                _ => {}
            }
        }
        for (index, step) in after.iter().enumerate().filter(|_| reason == EdgeReason::WriteRead) {
            let Some(read) = self.external_read(after, index) else { continue };
            if self.writer_of_version(step.key, read) == Some(from) {
                let list = self.history.elements(step).unwrap_or_default();
                let appended = appends(before, step.key);
                let shown = appended.iter().rev().find(|value| list.contains(value));
                let shown = shown.copied().map_or_else(String::new, text);
                let name = self.history.key_name(step.key);
                return format!("T{} read {shown} of {name}, which T{} appended", to.0, from.0);
            }
        }
        format!("T{} precedes T{}", from.0, to.0)
    }

    /// Whether `next` is the first element after `element` in the versions of a key, those of the
    /// same and of failed operations left out.
    fn follows(&self, key: KeyId, element: Atom, next: Atom) -> bool {
        let longest = self.history.longest(key);
        let Some(place) = longest.iter().position(|&other| other == element) else { return false };
        let by = self.versions.writer(key, element);
        let wanted = self.versions.writer(key, next).operation();
        let mut later =
            self.versions.writers(key)[place + 1..].iter().filter_map(|w| w.operation());
        match later.find(|id| Some(*id) != by.operation()) {
            Some(id) => Some(id) == wanted,
            None => !longest.contains(&next),
        }
    }
}
