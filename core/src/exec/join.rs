//! Joins.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Poll, ready};

use super::ExecContext;
use super::key::hash_key;
use super::memory::row_bytes;
use super::operator::{BATCH_BYTES, BATCH_ROWS, Input, Operator, Row, open};
use crate::base::{Datum, SqlResult};
use crate::expr::Expr;
use crate::sql::plan::Physical;
use crate::sql::plan::logical::JoinKind;
use crate::sql::plan::physical::{HashJoin, NestedLoop};

/// What both joins do with a left row and its candidates.
struct Matcher<'p> {
    kind: JoinKind,
    condition: Option<&'p Expr>,
    left_width: usize,
    right_width: usize,
    right: Vec<Row>,
    joining: Option<Joining>,
    /// Right rows that found a match, for a full join.
    matched: Vec<bool>,
    /// Joined rows not yet given.
    ready: VecDeque<Row>,
    /// Bytes of the left rows that went into them; the right rows are kept anyway.
    ready_bytes: usize,
    /// Whether the right rows without a match were added.
    finished: bool,
}

/// A left row on its way through its candidates.
struct Joining {
    row: Row,
    /// Candidates before this one are done.
    next: usize,
    found: bool,
}

impl<'p> Matcher<'p> {
    fn new(
        kind: JoinKind,
        condition: Option<&'p Expr>,
        left_width: usize,
        right_width: usize,
    ) -> Matcher<'p> {
        let (right, matched, ready) = (Vec::new(), Vec::new(), VecDeque::new());
        let (joining, finished) = (None, false);
        Matcher {
            kind,
            condition,
            left_width,
            right_width,
            right,
            joining,
            matched,
            ready,
            ready_bytes: 0,
            finished,
        }
    }

    fn add_right(&mut self, row: Row, context: &ExecContext<'_>) -> SqlResult<()> {
        context.memory.take_row(&row)?;
        self.right.push(row);
        self.matched.push(false);
        Ok(())
    }

    /// Begins with the next left row.
    fn begin(&mut self, row: Row) {
        self.ready_bytes += row_bytes(&row);
        self.joining = Some(Joining { row, next: 0, found: false });
    }

    /// Joins the left row under way with a batch of its candidates: `count` in all, of which
    /// `candidate` says where each is among the right rows.
    fn join(
        &mut self,
        count: usize,
        candidate: impl Fn(usize) -> usize,
        context: &ExecContext<'_>,
    ) -> SqlResult<()> {
        let Some(joining) = &mut self.joining else { return Ok(()) };
        let end = count.min(joining.next + context.slice.batch_rows());
        // A left row without candidates was looked at, too.
        context.slice.look_at((end - joining.next).max(1));
        while joining.next < end {
            let at = candidate(joining.next);
            joining.next += 1;
            let mut row = Vec::with_capacity(self.left_width + self.right_width);
            row.extend_from_slice(&joining.row);
            row.extend_from_slice(&self.right[at]);
            let holds = match self.condition {
                Some(condition) => condition.eval_condition(&row, &context.eval)?,
                None => true,
            };
            if holds {
                joining.found = true;
                self.matched[at] = true;
                self.ready.push_back(row);
            }
            if context.slice.tire() {
                break;
            }
        }
        if joining.next == count
            && let Some(joining) = self.joining.take()
            && !joining.found
            && self.kind != JoinKind::Inner
        {
            let mut row = joining.row;
            row.resize(self.left_width + self.right_width, Datum::Null);
            self.ready.push_back(row);
        }
        Ok(())
    }

    /// Adds the right rows that found no match, once.
    fn finish(&mut self) {
        if self.finished || self.kind != JoinKind::Full {
            return;
        }
        self.finished = true;
        for (right, matched) in self.right.iter().zip(&self.matched) {
            if !matched {
                let mut row = vec![Datum::Null; self.left_width];
                row.extend_from_slice(right);
                self.ready.push_back(row);
            }
        }
    }

    /// Whether another left row fits in the batch.
    fn wants_more(&mut self) -> bool {
        if self.ready.is_empty() {
            self.ready_bytes = 0;
        }
        self.ready.len() < BATCH_ROWS && self.ready_bytes < BATCH_BYTES
    }

    fn batch(&mut self) -> Option<Vec<Row>> {
        let count = self.ready.len().min(BATCH_ROWS);
        (count > 0).then(|| self.ready.drain(..count).collect())
    }
}

/// The left rows of a join, one by one.
struct Left<'p> {
    operator: Box<dyn Operator + 'p>,
    waiting: VecDeque<Row>,
}

impl<'p> Left<'p> {
    fn new(plan: &'p Physical) -> Left<'p> {
        Left { operator: open(plan), waiting: VecDeque::new() }
    }

    /// Sees to it that a left row is under way; `false` when there is none left.
    fn feed(
        &mut self,
        matcher: &mut Matcher<'_>,
        context: &ExecContext<'_>,
    ) -> Poll<SqlResult<bool>> {
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        if matcher.joining.is_none() {
            match ready!(self.row(context))? {
                Some(row) => matcher.begin(row),
                None => return Poll::Ready(Ok(false)),
            }
        }
        Poll::Ready(Ok(true))
    }

    fn row(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Row>>> {
        if self.waiting.is_empty() {
            match ready!(self.operator.next(context))? {
                Some(batch) => self.waiting.extend(batch),
                None => return Poll::Ready(Ok(None)),
            }
        }
        Poll::Ready(Ok(self.waiting.pop_front()))
    }
}

/// A join by equal keys.
pub struct HashJoining<'p> {
    plan: &'p HashJoin,
    left: Left<'p>,
    /// `None` once its rows are in the table.
    right: Option<Input<'p>>,
    table: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Of the left row under way, evaluated once: it may take long, or be another one each time.
    key: Option<Vec<u8>>,
    matcher: Matcher<'p>,
}

impl<'p> HashJoining<'p> {
    pub fn new(plan: &'p HashJoin) -> HashJoining<'p> {
        let condition = plan.condition.as_ref();
        HashJoining {
            left: Left::new(&plan.left),
            right: Some(Input::new(open(&plan.right))),
            table: BTreeMap::new(),
            key: None,
            matcher: Matcher::new(plan.kind, condition, plan.left_width, plan.right_width),
            plan,
        }
    }

    fn build(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<()>> {
        let Some(right) = &mut self.right else { return Poll::Ready(Ok(())) };
        ready!(right.drain(context, |row| {
            if let Some(key) = join_key(&self.plan.right_keys, &row, context)? {
                context.memory.take_key(&key)?;
                self.table.entry(key).or_default().push(self.matcher.right.len());
            }
            self.matcher.add_right(row, context)
        }))?;
        self.right = None;
        Poll::Ready(Ok(()))
    }
}

impl Operator for HashJoining<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        ready!(self.build(context))?;
        while self.matcher.wants_more() {
            if !ready!(self.left.feed(&mut self.matcher, context))? {
                self.matcher.finish();
                break;
            }
            let Some(joining) = &self.matcher.joining else { break };
            if joining.next == 0 {
                self.key = join_key(&self.plan.left_keys, &joining.row, context)?;
            }
            let found = self.key.as_ref().and_then(|key| self.table.get(key));
            let candidates = found.map_or(&[][..], Vec::as_slice);
            self.matcher.join(candidates.len(), |n| candidates[n], context)?;
            context.slice.tire();
        }
        Poll::Ready(Ok(self.matcher.batch()))
    }
}

/// The bytes of the keys; `None` when one is NULL.
fn join_key(exprs: &[Expr], row: &Row, context: &ExecContext<'_>) -> SqlResult<Option<Vec<u8>>> {
    let mut key = Vec::new();
    for expr in exprs {
        let value = expr.eval(row, &context.eval)?;
        if !hash_key(expr.ty(), &value, &mut key)? {
            return Ok(None);
        }
    }
    Ok(Some(key))
}

/// A join that looks at every pair.
pub struct LoopJoining<'p> {
    left: Left<'p>,
    /// `None` once the matcher has its rows.
    right: Option<Input<'p>>,
    matcher: Matcher<'p>,
}

impl<'p> LoopJoining<'p> {
    pub fn new(plan: &'p NestedLoop) -> LoopJoining<'p> {
        let condition = plan.condition.as_ref();
        LoopJoining {
            left: Left::new(&plan.left),
            right: Some(Input::new(open(&plan.right))),
            matcher: Matcher::new(plan.kind, condition, plan.left_width, plan.right_width),
        }
    }

    fn build(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<()>> {
        let Some(right) = &mut self.right else { return Poll::Ready(Ok(())) };
        ready!(right.drain(context, |row| self.matcher.add_right(row, context)))?;
        self.right = None;
        Poll::Ready(Ok(()))
    }
}

impl Operator for LoopJoining<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        ready!(self.build(context))?;
        while self.matcher.wants_more() {
            if !ready!(self.left.feed(&mut self.matcher, context))? {
                self.matcher.finish();
                break;
            }
            self.matcher.join(self.matcher.right.len(), |n| n, context)?;
        }
        Poll::Ready(Ok(self.matcher.batch()))
    }
}
