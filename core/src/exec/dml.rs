//! INSERT, UPDATE and DELETE.

use super::changes::{Changes, Place};
use super::operator::{Row, open};
use super::sink::RowSink;
use super::{CommandTag, ExecContext, ExecOutcome};
use crate::base::schema::ColumnIndex;
use crate::base::{Datum, SqlError, SqlResult, SqlState};
use crate::expr::Expr;
use crate::sql::plan::{ConflictUpdate, Delete, Insert, OnConflict, Update, layout_of};

/// Runs an INSERT.
pub fn insert(
    plan: &Insert,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<ExecOutcome> {
    let mut changes = Changes::new(&plan.table, &plan.layout);
    let mut source = open(&plan.source);
    let mut count = 0;
    while let Some(batch) = source.next(context)? {
        for row in batch {
            if let Some(row) = insert_row(plan, row, &mut changes, context)? {
                count += 1;
                send(plan.returning.as_deref(), &row, context, sink)?;
            }
        }
    }
    Ok(changes.finish(CommandTag::Insert(count)))
}

/// Inserts a row, or does what the statement says about the one in its way. The row as it is now,
/// `None` if nothing was done.
fn insert_row(
    plan: &Insert,
    row: Row,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
) -> SqlResult<Option<Row>> {
    changes.check_not_null(&row)?;
    let place = changes.place(&row, context)?;
    let Some(conflict) = changes.conflict(&place, &row, context)? else {
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
}

/// Runs an UPDATE.
pub fn update(
    plan: &Update,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<ExecOutcome> {
    let width = plan.table.columns.len();
    let mut changes = Changes::new(&plan.table, &plan.layout);
    let mut source = open(&plan.source);
    let mut renewals = Vec::new();
    while let Some(batch) = source.next(context)? {
        for row in batch {
            let old_place = changes.place(&row[..width], context)?;
            if changes.has(&old_place) {
                // A row that FROM matched several times is updated once.
                continue;
            }
            let new = assigned(&row, width, &plan.assignments, context)?;
            changes.check_not_null(&new)?;
            let place = changes.place(&new, context)?;
            changes.delete(old_place.clone(), context)?;
            context.memory.take_row(&row)?;
            context.memory.take_row(&new)?;
            let returned = renewed(plan.returning.is_some(), &row, &new);
            renewals.push((Renewal { old_place, place, old: row, new }, returned));
        }
    }
    let count = renewals.len() as u64;
    for (renewal, _) in &renewals {
        put_back(renewal, width, &mut changes, context)?;
    }
    for (_, returned) in renewals {
        if let Some(row) = returned {
            send(plan.returning.as_deref(), &row, context, sink)?;
        }
    }
    Ok(changes.finish(CommandTag::Update(count)))
}

/// The source row with the table's columns renewed, where RETURNING needs it.
fn renewed(needed: bool, row: &Row, new: &Row) -> Option<Row> {
    needed.then(|| new.iter().chain(&row[new.len()..]).cloned().collect())
}

fn put_back(
    renewal: &Renewal,
    width: usize,
    changes: &mut Changes<'_>,
    context: &ExecContext<'_>,
) -> SqlResult<()> {
    let Renewal { old_place, place, old, new } = renewal;
    let conflict = if place == old_place {
        changes.unique_conflict(place, new, Some(&old[..width]), context)?
    } else {
        changes.conflict(place, new, context)?
    };
    if let Some(conflict) = conflict {
        return Err(changes.violation(conflict.arbiter, new));
    }
    changes.put(place.clone(), new, context)
}

/// Runs a DELETE.
pub fn delete(
    plan: &Delete,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<ExecOutcome> {
    let layout = layout_of(&plan.table);
    let width = plan.table.columns.len();
    let mut changes = Changes::new(&plan.table, &layout);
    let mut source = open(&plan.source);
    let mut count = 0;
    while let Some(batch) = source.next(context)? {
        for row in batch {
            let place = changes.place(&row[..width], context)?;
            if changes.has(&place) {
                continue;
            }
            changes.delete(place, context)?;
            count += 1;
            send(plan.returning.as_deref(), &row, context, sink)?;
        }
    }
    Ok(changes.finish(CommandTag::Delete(count)))
}

fn send(
    returning: Option<&[Expr]>,
    row: &Row,
    context: &ExecContext<'_>,
    sink: &mut dyn RowSink,
) -> SqlResult<()> {
    let Some(exprs) = returning else { return Ok(()) };
    let values: SqlResult<Vec<Datum>> =
        exprs.iter().map(|expr| expr.eval(row, &context.eval)).collect();
    sink.row(&values?)
}
