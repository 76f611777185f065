//! The table that comes and goes, and indexes that do, while others use them.
//!
//! One client changes the schema, so what is there is known as [`Possible`] states over time.
//! Statements of others may find the table missing (42P01) only where it can have been. A row that
//! was added and confirmed is in every later read until the table is dropped or emptied; then it,
//! and every other row confirmed before, is gone for good.

use std::collections::{BTreeMap, BTreeSet};

use super::possible::{Possible, Timeline};
use crate::workload::{History, Op, Operation, Outcome, Rows, SchemaChange};

/// What is there: the table, and two indexes of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Schema {
    table: bool,
    index: bool,
    unique: bool,
}

const START: Schema = Schema { table: false, index: true, unique: false };

pub fn judge(history: &History) -> Result<(), String> {
    let operations = history.operations();
    let timeline = timeline(&operations)?;
    statements_fit(&operations, &timeline)?;
    Contents::gather(&operations).judge(&operations)?;
    catalogs_agree(&operations)
}

fn timeline(operations: &[Operation<'_>]) -> Result<Timeline<Schema>, String> {
    let mut possible = Possible::new(START, |schema, change| next(schema, *change));
    let mut timeline = Timeline::new(START);
    for operation in operations {
        let Op::Schema { change } = operation.begun.op else { continue };
        let fits = match operation.outcome() {
            Some(Outcome::Ok(_)) => possible.go(|schema| next(schema, change)),
            Some(Outcome::Fail(why)) if why.starts_with(change.refusal()) => {
                possible.go(|schema| next(schema, change).is_none().then_some(*schema))
            }
            Some(Outcome::Fail(_)) => Ok(()),
            _ => {
                possible.may(change);
                Ok(())
            }
        };
        let outcome = operation.outcome();
        fits.map_err(|before| {
            format!("{change:?} ended as {outcome:?}, the model allows {before:?} before")
        })?;
        timeline.then(operation.begun_at, ended_at(operation), possible.states());
    }
    Ok(timeline)
}

/// What is there after a change; `None` if it must be refused.
fn next(schema: &Schema, change: SchemaChange) -> Option<Schema> {
    let now = *schema;
    match change {
        SchemaChange::CreateScratch if !now.table => Some(Schema { table: true, ..now }),
        SchemaChange::DropScratch if now.table => Some(Schema { table: false, ..now }),
        SchemaChange::TruncateScratch | SchemaChange::AddColumn if now.table => Some(now),
        SchemaChange::CreateIndex if !now.index => Some(Schema { index: true, ..now }),
        SchemaChange::DropIndex if now.index => Some(Schema { index: false, ..now }),
        SchemaChange::CreateUnique if !now.unique => Some(Schema { unique: true, ..now }),
        SchemaChange::DropUnique if now.unique => Some(Schema { unique: false, ..now }),
        _ => None,
    }
}

fn ended_at(operation: &Operation<'_>) -> u64 {
    operation.ended.map_or(u64::MAX, |(_, at)| at)
}

fn statements_fit(operations: &[Operation<'_>], timeline: &Timeline<Schema>) -> Result<(), String> {
    for operation in operations {
        let (Op::ScratchInsert { .. } | Op::ScratchRead) = operation.begun.op else { continue };
        let was_there = match operation.outcome() {
            Some(Outcome::Ok(_)) => true,
            Some(Outcome::Fail(why)) if why.starts_with("42P01") => false,
            _ => continue,
        };
        let (from, until) = (operation.begun_at, ended_at(operation));
        if !timeline.had(from, until, |schema| schema.table == was_there) {
            let (client, op) = (operation.begun.client, operation.begun.op);
            let found = if was_there { "was done" } else { "found no table" };
            return Err(format!("c{client} {op:?} {found}, which cannot be at that time"));
        }
    }
    Ok(())
}

/// Which rows can have been in the table.
#[derive(Default)]
struct Contents {
    /// Rows not refused: from when to when their insert was under way; for ever if it was not
    /// confirmed.
    added: BTreeMap<i64, (u64, u64)>,
    /// Drops and truncates not refused.
    emptied: Vec<Emptied>,
}

struct Emptied {
    from: u64,
    /// For ever if it was not confirmed.
    until: u64,
}

impl Contents {
    fn gather(operations: &[Operation<'_>]) -> Contents {
        let mut contents = Contents::default();
        for operation in operations {
            let until = match operation.outcome() {
                Some(Outcome::Fail(_)) => continue,
                Some(Outcome::Ok(_)) => ended_at(operation),
                _ => u64::MAX,
            };
            let from = operation.begun_at;
            match operation.begun.op {
                Op::ScratchInsert { id } => {
                    contents.added.insert(id, (from, until));
                }
                Op::Schema {
                    change: SchemaChange::DropScratch | SchemaChange::TruncateScratch,
                } => {
                    contents.emptied.push(Emptied { from, until });
                }
                _ => {}
            }
        }
        contents
    }

    fn judge(&self, operations: &[Operation<'_>]) -> Result<(), String> {
        let mut gone: BTreeMap<i64, u64> = BTreeMap::new();
        for read in operations {
            let (Op::ScratchRead, Some(Outcome::Ok(rows))) = (read.begun.op, read.outcome()) else {
                continue;
            };
            let ids: BTreeSet<i64> = rows.iter().map(|(id, _)| *id).collect();
            self.seen_fit(read, rows, &gone)?;
            // A table was not emptied after any row that is there was confirmed.
            let confirmed = |id| self.added.get(id).map_or(u64::MAX, |(_, until)| *until);
            let earliest = ids.iter().map(confirmed).min().unwrap_or(u64::MAX).min(ended_at(read));
            let may_be: Vec<&Emptied> = self.emptied.iter().filter(|e| e.from < earliest).collect();
            let missing = self.added.iter().filter(|(id, _)| !ids.contains(id));
            for (id, (from, until)) in missing.filter(|(_, (_, until))| *until < read.begun_at) {
                if !may_be.iter().any(|emptied| *from < emptied.until) {
                    return Err(format!("row {id} was confirmed at {until}, and it is gone"));
                }
                let since = gone.entry(*id).or_insert(u64::MAX);
                *since = ended_at(read).min(*since);
            }
        }
        Ok(())
    }

    /// Whether rows that were read can have been there.
    fn seen_fit(
        &self,
        read: &Operation<'_>,
        rows: &Rows,
        gone: &BTreeMap<i64, u64>,
    ) -> Result<(), String> {
        for (id, _) in rows {
            let Some((from, until)) = self.added.get(id).filter(|a| a.0 < ended_at(read)) else {
                return Err(format!("row {id} is there, and nobody added it"));
            };
            let emptied = |e: &Emptied| *until < e.from && e.until < read.begun_at;
            if self.emptied.iter().any(emptied) {
                return Err(format!(
                    "row {id}, added at {from}, is there after the table was emptied"
                ));
            }
            if gone.get(id).is_some_and(|since| *since < read.begun_at) {
                return Err(format!("row {id} was gone, and is there again"));
            }
        }
        Ok(())
    }
}

/// Whether all instances know the same tables at the end, when no change can be under way.
fn catalogs_agree(operations: &[Operation<'_>]) -> Result<(), String> {
    let is_change = |o: &&Operation<'_>| matches!(o.begun.op, Op::Schema { .. });
    let is_known =
        |o: Operation<'_>| matches!(o.outcome(), Some(Outcome::Ok(_) | Outcome::Fail(_)));
    if !operations.iter().filter(is_change).copied().all(is_known) {
        return Ok(());
    }
    let reads = operations.iter().filter(|o| o.begun.op == Op::CatalogRead);
    let mut seen = reads.filter_map(|o| match o.outcome() {
        Some(Outcome::Ok(rows)) => Some(rows),
        _ => None,
    });
    let Some(first) = seen.next() else { return Ok(()) };
    match seen.find(|rows| *rows != first) {
        Some(other) => Err(format!("two instances know other tables: {first:?} and {other:?}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(operations: &[(Op, Outcome)]) -> Result<(), String> {
        let of_one = operations.iter().cloned().map(|(op, outcome)| (0, op, outcome));
        judge(&History::one_by_one(of_one))
    }

    fn schema(change: SchemaChange) -> (Op, Outcome) {
        (Op::Schema { change }, Outcome::Ok(vec![]))
    }

    fn add(id: i64) -> (Op, Outcome) {
        (Op::ScratchInsert { id }, Outcome::Ok(vec![]))
    }

    fn read(ids: &[i64]) -> (Op, Outcome) {
        (Op::ScratchRead, Outcome::Ok(ids.iter().map(|id| (*id, None)).collect()))
    }

    fn failed((op, _): (Op, Outcome), code: &str) -> (Op, Outcome) {
        (op, Outcome::Fail(code.to_owned()))
    }

    fn unknown((op, _): (Op, Outcome)) -> (Op, Outcome) {
        (op, Outcome::Info(String::new()))
    }

    use SchemaChange::{CreateIndex, CreateScratch, DropIndex, DropScratch, TruncateScratch};

    #[test]
    fn the_table_is_missing_only_when_it_can_be() {
        let made = schema(CreateScratch);
        assert!(run(&[failed(add(1), "42P01"), made.clone(), add(1)]).is_ok());
        assert!(run(&[made.clone(), failed(add(1), "42P01")]).is_err());
        assert!(run(&[add(1)]).is_err(), "not made yet");
        assert!(run(&[made.clone(), schema(DropScratch), read(&[])]).is_err());
        assert!(run(&[unknown(made.clone()), failed(add(1), "42P01"), add(1)]).is_ok());
        assert!(run(&[made.clone(), failed(made, "42P07")]).is_ok());
        assert!(run(&[schema(DropIndex), schema(CreateIndex)]).is_ok());
        assert!(run(&[schema(CreateIndex)]).is_err(), "it was there");
    }

    #[test]
    fn rows_stay_until_the_table_is_emptied_and_then_never_come_back() {
        let (made, emptied) = (schema(CreateScratch), schema(TruncateScratch));
        assert!(run(&[made.clone(), add(1), read(&[1])]).is_ok());
        assert!(run(&[made.clone(), add(1), read(&[])]).is_err(), "lost");
        assert!(run(&[made.clone(), add(1), emptied.clone(), read(&[])]).is_ok());
        assert!(run(&[made.clone(), add(1), emptied.clone(), read(&[1])]).is_err(), "kept");
        let maybe = unknown(emptied);
        assert!(run(&[made.clone(), add(1), maybe.clone(), read(&[1]), read(&[])]).is_ok());
        assert!(
            run(&[made.clone(), add(1), maybe.clone(), read(&[]), read(&[1])]).is_err(),
            "back"
        );
        let both = [made.clone(), add(1), add(2), maybe];
        assert!(run(&[&both[..], &[read(&[1])]].concat()).is_err(), "emptied by half");
        assert!(run(&[made, read(&[3])]).is_err(), "nobody added it");
    }

    #[test]
    fn instances_agree_on_the_tables() {
        let catalog = |id| (Op::CatalogRead, Outcome::Ok(vec![(id, Some(1))]));
        assert!(run(&[catalog(1), catalog(1)]).is_ok());
        assert!(run(&[catalog(1), catalog(2)]).is_err());
    }
}
