//! INSERT, UPDATE and DELETE.

use std::task::{Poll, ready};

use super::changes::{Changes, Conflict, Place};
use super::operator::{Operator, Row, evaluated, open};
use super::sink::RowSink;
use super::{CommandTag, ExecContext, ExecOutcome, next_batch};
use crate::base::schema::ColumnIndex;
use crate::base::{SqlError, SqlResult, SqlState};
use crate::expr::Expr;
use crate::sql::plan::{ConflictUpdate, Delete, Insert, OnConflict, Update};

/// A change of rows under way: nothing is changed before its end.
pub struct Change<'p> {
    kind: Kind<'p>,
    source: Box<dyn Operator + 'p>,
    /// Rows of the source that are still to be looked at.
    rest: std::vec::IntoIter<Row>,
    changes: Changes<'p>,
    /// Rows inserted or deleted so far.
    count: u64,
}

enum Kind<'p> {
    Insert(&'p Insert),
    /// The renewals before `put_back` are put back, and those before `sent` are sent.
    Update {
        plan: &'p Update,
        renewals: Vec<Renewal>,
        put_back: usize,
        sent: usize,
    },
    Delete(&'p Delete),
}

impl<'p> Change<'p> {
    pub fn insert(plan: &'p Insert) -> Change<'p> {
        let changes = Changes::new(&plan.table, &plan.layout);
        Change::new(Kind::Insert(plan), open(&plan.source), changes)
    }

    pub fn update(plan: &'p Update) -> Change<'p> {
        let kind = Kind::Update { plan, renewals: Vec::new(), put_back: 0, sent: 0 };
        let changes = Changes::new(&plan.table, &plan.layout);
        Change::new(kind, open(&plan.source), changes)
    }

    pub fn delete(plan: &'p Delete) -> Change<'p> {
        let changes = Changes::new(&plan.table, &plan.layout);
        Change::new(Kind::Delete(plan), open(&plan.source), changes)
    }

    fn new(kind: Kind<'p>, source: Box<dyn Operator + 'p>, changes: Changes<'p>) -> Change<'p> {
        Change { kind, source, rest: Vec::new().into_iter(), changes, count: 0 }
    }

    /// Goes on until the end, or until the slice is spent.
    pub fn advance(
        &mut self,
        context: &ExecContext<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<SqlResult<ExecOutcome>> {
        ready!(self.take_rows(context, sink))?;
        let Change { kind, changes, count, .. } = self;
        let tag = match kind {
            Kind::Insert(_) => CommandTag::Insert(*count),
            Kind::Delete(_) => CommandTag::Delete(*count),
            Kind::Update { plan, renewals, put_back, sent } => {
                ready!(put_all_back(plan, renewals, put_back, changes, context))?;
                ready!(send_all(plan, renewals, sent, context, sink))?;
                CommandTag::Update(*count)
            }
        };
        Poll::Ready(Ok(changes.finish(tag)))
    }

    /// Does to each row of the source what is done row by row.
    fn take_rows(
        &mut self,
        context: &ExecContext<'_>,
        sink: &mut dyn RowSink,
    ) -> Poll<SqlResult<()>> {
        let Change { kind, source, rest, changes, count } = self;
        loop {
            if rest.len() == 0 {
                match ready!(next_batch(source.as_mut(), context))? {
                    Some(batch) => *rest = batch.into_iter(),
                    None => return Poll::Ready(Ok(())),
                }
            } else if context.slice.is_spent() {
                return Poll::Pending;
            }
            for row in rest.by_ref() {
                *count += u64::from(match kind {
                    Kind::Insert(plan) => insert_row(plan, row, changes, context, sink)?,
                    Kind::Update { plan, renewals, .. } => {
                        take_out(plan, row, renewals, changes, context)?
                    }
                    Kind::Delete(plan) => delete_row(plan, row, changes, context, sink)?,
                });
                if context.slice.tire() {
                    break;
                }
            }
        }
    }
}

/// Whether a row was inserted, or the one in its way changed.
fn insert_row(
    plan: &Insert,
    row: Row,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<bool> {
    let Some(row) = put_new(plan, row, changes, context)? else { return Ok(false) };
    send(plan.returning.as_deref(), &row, context, sink)?;
    Ok(true)
}

/// Inserts a row, or does what the statement says about the one in its way. The row as it is now,
/// `None` if nothing was done.
fn put_new(
    plan: &Insert,
    row: Row,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
) -> SqlResult<Option<Row>> {
    changes.check_not_null(&row)?;
    let place = changes.place(&row, context)?;
    let Some(conflict) = conflict(plan, &place, &row, changes, context)? else {
        changes.put(place, &row, context)?;
        return Ok(Some(row));
    };
    match &plan.on_conflict {
        OnConflict::Nothing(arbiter) if arbiter.is_none_or(|a| a == conflict.arbiter) => Ok(None),
        OnConflict::Update(update) if update.arbiter == conflict.arbiter => {
            if conflict.is_ours {
                return Err(SqlError::new(
                    SqlState::CardinalityViolation,
                    "ON CONFLICT DO UPDATE command cannot affect row a second time",
                )
                .with_hint(
                    "Ensure that no rows proposed for insertion within the same command have duplicate constrained values.",
                ));
            }
            update_conflicting(update, conflict.place, conflict.row, row, changes, context)
        }
        _ => Err(changes.violation(conflict.arbiter, &row)),
    }
}

/// What is in the way of a new row: first what the statement says something about.
fn conflict(
    plan: &Insert,
    place: &Place,
    row: &Row,
    changes: &Changes<'_>,
    context: &ExecContext<'_>,
) -> SqlResult<Option<Conflict>> {
    let arbiter = match &plan.on_conflict {
        OnConflict::Error | OnConflict::Nothing(None) => None,
        OnConflict::Nothing(Some(arbiter)) => Some(*arbiter),
        OnConflict::Update(update) => Some(update.arbiter),
    };
    if let Some(arbiter) = arbiter
        && let Some(found) = changes.conflict_in(arbiter, place, row, context)?
    {
        return Ok(Some(found));
    }
    changes.conflict(place, row, context)
}

fn update_conflicting(
    update: &ConflictUpdate,
    place: Place,
    old: Row,
    excluded: Row,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
) -> SqlResult<Option<Row>> {
    let width = old.len();
    let mut both = old;
    both.extend(excluded);
    if let Some(condition) = &update.condition
        && !condition.eval_condition(&both, &context.eval)?
    {
        return Ok(None);
    }
    let new = assigned(&both, width, &update.assignments, context)?;
    changes.check_not_null(&new)?;
    let new_place = changes.place(&new, context)?;
    let moved = new_place != place;
    if moved {
        changes.delete(place, context)?;
    }
    let conflict = if moved {
        changes.conflict(&new_place, &new, context)?
    } else {
        changes.unique_conflict(&new_place, &new, Some(&both[..width]), context)?
    };
    if let Some(conflict) = conflict {
        return Err(changes.violation(conflict.arbiter, &new));
    }
    changes.put(new_place, &new, context)?;
    Ok(Some(new))
}

/// The first `width` values of a row with the assignments made.
fn assigned(
    row: &Row,
    width: usize,
    assignments: &[(ColumnIndex, Expr)],
    context: &ExecContext<'_>,
) -> SqlResult<Row> {
    let mut new = row[..width].to_vec();
    for (column, expr) in assignments {
        new[usize::from(*column)] = expr.eval(row, &context.eval)?;
    }
    Ok(new)
}

/// A row taken out by an UPDATE, to be put back changed.
struct Renewal {
    old_place: Place,
    place: Place,
    old: Row,
    new: Row,
    /// What RETURNING looks at, where there is one.
    returned: Row,
}

/// Whether a row was taken out to be changed: one that FROM matched several times is updated once.
fn take_out(
    plan: &Update,
    row: Row,
    renewals: &mut Vec<Renewal>,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
) -> SqlResult<bool> {
    let width = plan.table.columns.len();
    let old_place = changes.place(&row[..width], context)?;
    if changes.has(&old_place) {
        return Ok(false);
    }
    let new = assigned(&row, width, &plan.assignments, context)?;
    changes.check_not_null(&new)?;
    let place = changes.place(&new, context)?;
    changes.delete(old_place.clone(), context)?;
    context.memory.take_row(&row)?;
    context.memory.take_row(&new)?;
    let returned = renewed(plan.returning.is_some(), &row, &new);
    renewals.push(Renewal { old_place, place, old: row, new, returned });
    Ok(true)
}

fn put_all_back(
    plan: &Update,
    renewals: &[Renewal],
    done: &mut usize,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
) -> Poll<SqlResult<()>> {
    while let Some(renewal) = renewals.get(*done) {
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        context.slice.look_at(1);
        put_back(renewal, plan.table.columns.len(), changes, context)?;
        *done += 1;
    }
    Poll::Ready(Ok(()))
}

/// Gives the rows of RETURNING, once all are put back.
fn send_all(
    plan: &Update,
    renewals: &[Renewal],
    done: &mut usize,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> Poll<SqlResult<()>> {
    if plan.returning.is_none() {
        return Poll::Ready(Ok(()));
    }
    while let Some(renewal) = renewals.get(*done) {
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        context.slice.look_at(1);
        send(plan.returning.as_deref(), &renewal.returned, context, sink)?;
        *done += 1;
        context.slice.tire();
    }
    Poll::Ready(Ok(()))
}

/// The source row with the table's columns renewed, where RETURNING needs it.
fn renewed(needed: bool, row: &Row, new: &Row) -> Row {
    if !needed {
        return Row::new();
    }
    new.iter().chain(&row[new.len()..]).cloned().collect()
}

fn put_back(
    renewal: &Renewal,
    width: usize,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
) -> SqlResult<()> {
    let Renewal { old_place, place, old, new, .. } = renewal;
    let conflict = if place == old_place && !changes.puts(place) {
        changes.unique_conflict(place, new, Some(&old[..width]), context)?
    } else {
        changes.conflict(place, new, context)?
    };
    if let Some(conflict) = conflict {
        return Err(changes.violation(conflict.arbiter, new));
    }
    changes.put(place.clone(), new, context)
}

/// Whether the row was there to be deleted.
fn delete_row(
    plan: &Delete,
    row: Row,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<bool> {
    let place = changes.place(&row[..plan.table.columns.len()], context)?;
    if changes.has(&place) {
        return Ok(false);
    }
    changes.delete(place, context)?;
    send(plan.returning.as_deref(), &row, context, sink)?;
    Ok(true)
}

fn send(
    returning: Option<&[Expr]>,
    row: &Row,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<()> {
    let Some(exprs) = returning else { return Ok(()) };
    sink.row(&evaluated(exprs.iter(), row, context)?)
}
