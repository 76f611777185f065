//! What a subquery says about each row: `IN`, and correlated subqueries.

use std::collections::BTreeSet;
use std::task::{Poll, ready};

use super::ExecContext;
use super::inquiry::Inquiry;
use super::key::hash_key;
use super::operator::{BATCH_BYTES, Input, Operator, Row, open};
use crate::base::{Datum, SqlError, SqlResult, SqlType, compare};
use crate::expr::{EvalContext, Expr};
use crate::sql::plan::is_hashable;
use crate::sql::plan::logical::MarkKind;
use crate::sql::plan::physical::MarkJoin;

/// Adds a column about each row of its input.
pub struct Marking<'p> {
    plan: &'p MarkJoin,
    input: Box<dyn Operator + 'p>,
    /// What the subquery says about every row, if it depends on none.
    known: Option<Answer>,
    /// Rows of the input, of which the first `marked` have their column.
    batch: Vec<Row>,
    marked: usize,
    /// Bytes of those columns.
    marked_bytes: usize,
    /// The subquery under way: about the next row, or about all.
    asking: Option<Asking<'p>>,
}

/// The outcome of a subquery.
enum Answer {
    Value(Datum),
    Set(MatchSet),
}

/// A subquery under way.
struct Asking<'p> {
    subquery: Subquery<'p>,
    /// Parameters with the values of the outer row; `None` if it depends on no row.
    params: Option<Vec<Datum>>,
    /// Memory of the statement before.
    used: usize,
}

enum Subquery<'p> {
    Value(Inquiry<'p>),
    Set { rows: Input<'p>, set: MatchSet, matches: &'p [Expr] },
}

impl<'p> Subquery<'p> {
    fn new(plan: &'p MarkJoin) -> Subquery<'p> {
        match &plan.kind {
            MarkKind::Scalar => Subquery::Value(Inquiry::scalar(&plan.subquery)),
            MarkKind::Exists => Subquery::Value(Inquiry::exists(&plan.subquery)),
            MarkKind::In { keys, matches } => Subquery::Set {
                rows: Input::new(open(&plan.subquery)),
                set: MatchSet::new(keys, matches),
                matches,
            },
        }
    }

    fn answer(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Answer>> {
        Poll::Ready(Ok(match self {
            Subquery::Value(inquiry) => Answer::Value(ready!(inquiry.answer(context))?),
            Subquery::Set { rows, set, matches } => {
                let add = |row| set.add(matches, &row, context);
                ready!(rows.drain(context, add))?;
                Answer::Set(std::mem::take(set))
            }
        }))
    }
}

impl<'p> Marking<'p> {
    pub fn new(plan: &'p MarkJoin) -> Marking<'p> {
        let input = open(&plan.input);
        let (batch, marked, marked_bytes) = (Vec::new(), 0, 0);
        Marking { plan, input, known: None, batch, marked, marked_bytes, asking: None }
    }

    /// The subquery's outcome about every row, or with the columns of `row` as parameters.
    fn ask(&mut self, row: Option<usize>, context: &ExecContext<'_>) -> Poll<SqlResult<Answer>> {
        let asking = match &mut self.asking {
            Some(asking) => asking,
            None => {
                let params = match row {
                    Some(at) => Some(self.params_for(&self.batch[at], context)?),
                    None => None,
                };
                let subquery = Subquery::new(self.plan);
                self.asking.insert(Asking { subquery, params, used: context.memory.used() })
            }
        };
        let params = asking.params.as_deref().unwrap_or(context.eval.params);
        let eval = EvalContext { params, ..context.eval };
        let answer = ready!(asking.subquery.answer(&ExecContext { eval, ..*context }));
        if asking.params.is_some() {
            context.memory.give(context.memory.used() - asking.used);
        }
        self.asking = None;
        Poll::Ready(answer)
    }

    fn params_for(&self, row: &Row, context: &ExecContext<'_>) -> SqlResult<Vec<Datum>> {
        let mut params = context.eval.params.to_vec();
        for argument in &self.plan.arguments {
            let Expr::Param { index, .. } = argument.param else {
                return Err(SqlError::internal("an argument that is no parameter"));
            };
            params[index] = argument.value.eval(row, &context.eval)?;
        }
        Ok(params)
    }

    fn mark(&self, answer: &Answer, row: &Row, context: &ExecContext<'_>) -> SqlResult<Datum> {
        match (answer, &self.plan.kind) {
            (Answer::Value(value), _) => Ok(value.clone()),
            (Answer::Set(set), MarkKind::In { keys, .. }) => set.find(keys, row, context),
            _ => Err(SqlError::internal("a set without keys")),
        }
    }
}

impl Operator for Marking<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        if self.batch.is_empty() {
            match ready!(self.input.next(context))? {
                Some(batch) => self.batch = batch,
                None => return Poll::Ready(Ok(None)),
            }
        } else if context.slice.is_spent() {
            return Poll::Pending;
        }
        if self.known.is_none() && self.plan.arguments.is_empty() {
            self.known = Some(ready!(self.ask(None, context))?);
        }
        while self.marked < self.batch.len() && self.marked_bytes < BATCH_BYTES {
            let at = self.marked;
            let value = match &self.known {
                Some(answer) => self.mark(answer, &self.batch[at], context)?,
                None => {
                    let answer = ready!(self.ask(Some(at), context))?;
                    self.mark(&answer, &self.batch[at], context)?
                }
            };
            self.marked_bytes += value.memory_bytes();
            self.batch[at].push(value);
            self.marked += 1;
            if context.slice.tire() {
                break;
            }
        }
        let unmarked = self.batch.split_off(self.marked);
        (self.marked, self.marked_bytes) = (0, 0);
        Poll::Ready(Ok(Some(std::mem::replace(&mut self.batch, unmarked))))
    }
}

/// The rows that keys are looked for in.
#[derive(Default)]
struct MatchSet {
    types: Vec<SqlType>,
    /// Whether equal values have equal bytes.
    hashable: bool,
    /// Bytes of the rows without NULL, if hashable.
    keys: BTreeSet<Vec<u8>>,
    rows: Vec<Row>,
    /// The rows that hold a NULL.
    with_null: Vec<usize>,
}

impl MatchSet {
    fn new(keys: &[Expr], matches: &[Expr]) -> MatchSet {
        let mut pairs = keys.iter().zip(matches);
        MatchSet {
            types: matches.iter().map(Expr::ty).collect(),
            hashable: pairs.all(|(k, m)| is_hashable(k.ty(), m.ty())),
            keys: BTreeSet::new(),
            rows: Vec::new(),
            with_null: Vec::new(),
        }
    }

    fn add(&mut self, exprs: &[Expr], row: &Row, context: &ExecContext<'_>) -> SqlResult<()> {
        let (values, key) = keyed(exprs, row, context)?;
        context.memory.take_row(&values)?;
        match key {
            None => self.with_null.push(self.rows.len()),
            Some(key) if self.hashable => {
                context.memory.take_key(&key)?;
                self.keys.insert(key);
            }
            Some(_) => {}
        }
        self.rows.push(values);
        Ok(())
    }

    /// True if a row equals the keys, NULL if one would were its or the keys' NULLs the right
    /// values, else false.
    fn find(&self, keys: &[Expr], row: &Row, context: &ExecContext<'_>) -> SqlResult<Datum> {
        let (values, key) = keyed(keys, row, context)?;
        let maybe = match key {
            Some(key) if self.hashable => {
                if self.keys.contains(&key) {
                    return Ok(Datum::Bool(true));
                }
                self.with_null.iter().any(|at| self.may_equal(&values, &self.rows[*at]))
            }
            _ => {
                let mut candidates = self.rows.iter().filter(|row| self.may_equal(&values, row));
                let has_null = |row: &Row| row.iter().chain(&values).any(Datum::is_null);
                match candidates.clone().any(|row| !has_null(row)) {
                    true => return Ok(Datum::Bool(true)),
                    false => candidates.next().is_some(),
                }
            }
        };
        Ok(if maybe { Datum::Null } else { Datum::Bool(false) })
    }

    /// Whether no column says that the rows differ.
    fn may_equal(&self, a: &Row, b: &Row) -> bool {
        let mut columns = self.types.iter().zip(a.iter().zip(b));
        columns.all(|(ty, (a, b))| a.is_null() || b.is_null() || compare::equal(*ty, a, b))
    }
}

/// The values of expressions, and their bytes if none is NULL.
fn keyed(
    exprs: &[Expr],
    row: &Row,
    context: &ExecContext<'_>,
) -> SqlResult<(Row, Option<Vec<u8>>)> {
    let mut values = Vec::with_capacity(exprs.len());
    let mut key = Vec::new();
    let mut whole = true;
    for expr in exprs {
        let value = expr.eval(row, &context.eval)?;
        whole = whole && hash_key(expr.ty(), &value, &mut key)?;
        values.push(value);
    }
    Ok((values, whole.then_some(key)))
}
