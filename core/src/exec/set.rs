//! DISTINCT, INTERSECT and EXCEPT.

use std::collections::{BTreeMap, BTreeSet};
use std::task::{Poll, ready};

use super::ExecContext;
use super::key::group_key;
use super::operator::{Input, Operator, Row};
use crate::base::{SqlResult, SqlType};
use crate::sql::plan::logical::SetKind;

fn row_key(types: &[SqlType], row: &Row) -> SqlResult<Vec<u8>> {
    let mut key = Vec::new();
    for (ty, value) in types.iter().zip(row) {
        group_key(*ty, value, &mut key)?;
    }
    Ok(key)
}

/// Gives each row once, at its first place.
pub struct Distinguishing<'p> {
    input: Box<dyn Operator + 'p>,
    types: &'p [SqlType],
    seen: BTreeSet<Vec<u8>>,
}

impl<'p> Distinguishing<'p> {
    pub fn new(input: Box<dyn Operator + 'p>, types: &'p [SqlType]) -> Distinguishing<'p> {
        Distinguishing { input, types, seen: BTreeSet::new() }
    }
}

impl Operator for Distinguishing<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        while let Some(batch) = ready!(self.input.next(context))? {
            let mut kept = Vec::new();
            for row in batch {
                let key = row_key(self.types, &row)?;
                if !self.seen.contains(&key) {
                    context.memory.take_key(&key)?;
                    self.seen.insert(key);
                    kept.push(row);
                }
            }
            if !kept.is_empty() {
                return Poll::Ready(Ok(Some(kept)));
            }
        }
        Poll::Ready(Ok(None))
    }
}

/// INTERSECT and EXCEPT: counts the rows of the right side, then picks from the left.
pub struct SetMerging<'p> {
    kind: SetKind,
    all: bool,
    left: Box<dyn Operator + 'p>,
    right: Option<Input<'p>>,
    types: &'p [SqlType],
    counts: BTreeMap<Vec<u8>, u64>,
    given: BTreeSet<Vec<u8>>,
}

impl<'p> SetMerging<'p> {
    pub fn new(
        kind: SetKind,
        all: bool,
        left: Box<dyn Operator + 'p>,
        right: Box<dyn Operator + 'p>,
        types: &'p [SqlType],
    ) -> SetMerging<'p> {
        let (counts, given) = (BTreeMap::new(), BTreeSet::new());
        let right = Some(Input::new(right));
        SetMerging { kind, all, left, right, types, counts, given }
    }

    fn count_right(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<()>> {
        let Some(right) = &mut self.right else { return Poll::Ready(Ok(())) };
        ready!(right.drain(context, |row| {
            let key = row_key(self.types, &row)?;
            context.memory.take_key(&key)?;
            *self.counts.entry(key).or_default() += 1;
            Ok(())
        }))?;
        self.right = None;
        Poll::Ready(Ok(()))
    }

    /// Whether a left row belongs to the result.
    fn picks(&mut self, key: Vec<u8>, context: &ExecContext<'_>) -> SqlResult<bool> {
        let wants_match = self.kind == SetKind::Intersect;
        if self.all {
            // Each right row matches one left row.
            let left = self.counts.get_mut(&key).filter(|count| **count > 0);
            let matched = left.is_some();
            if let Some(count) = left {
                *count -= 1;
            }
            return Ok(matched == wants_match);
        }
        if self.counts.contains_key(&key) != wants_match || self.given.contains(&key) {
            return Ok(false);
        }
        context.memory.take_key(&key)?;
        self.given.insert(key);
        Ok(true)
    }
}

impl Operator for SetMerging<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        ready!(self.count_right(context))?;
        while let Some(batch) = ready!(self.left.next(context))? {
            let mut kept = Vec::new();
            for row in batch {
                let key = row_key(self.types, &row)?;
                if self.picks(key, context)? {
                    kept.push(row);
                }
            }
            if !kept.is_empty() {
                return Poll::Ready(Ok(Some(kept)));
            }
        }
        Poll::Ready(Ok(None))
    }
}
