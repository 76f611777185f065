//! What a subquery says about each row: `IN`, and correlated subqueries.

use std::collections::BTreeSet;

use super::key::hash_key;
use super::operator::{Operator, Row, drain, open};
use super::{ExecContext, exists, scalar};
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
}

/// The outcome of a subquery.
enum Answer {
    Value(Datum),
    Set(MatchSet),
}

impl<'p> Marking<'p> {
    pub fn new(plan: &'p MarkJoin) -> Marking<'p> {
        Marking { plan, input: open(&plan.input), known: None }
    }

    fn answer(&self, context: &ExecContext<'_>) -> SqlResult<Answer> {
        let subquery = &self.plan.subquery;
        Ok(match &self.plan.kind {
            MarkKind::Scalar => Answer::Value(scalar(subquery, context)?),
            MarkKind::Exists => Answer::Value(exists(subquery, context)?),
            MarkKind::In { keys, matches } => {
                let mut set = MatchSet::new(keys, matches);
                drain(open(subquery).as_mut(), context, |row| set.add(matches, &row, context))?;
                Answer::Set(set)
            }
        })
    }

    /// The subquery's outcome for one row, with its columns as parameters.
    fn answer_for(&self, row: &Row, context: &ExecContext<'_>) -> SqlResult<Answer> {
        let mut params = context.eval.params.to_vec();
        for argument in &self.plan.arguments {
            let Expr::Param { index, .. } = argument.param else {
                return Err(SqlError::internal("an argument that is no parameter"));
            };
            params[index] = argument.value.eval(row, &context.eval)?;
        }
        let used = context.memory.used();
        let eval = EvalContext { params: &params, ..context.eval };
        let inner = ExecContext { reader: context.reader, eval, memory: context.memory };
        let answer = self.answer(&inner)?;
        context.memory.give(context.memory.used() - used);
        Ok(answer)
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
    fn next(&mut self, context: &ExecContext<'_>) -> SqlResult<Option<Vec<Row>>> {
        let Some(mut batch) = self.input.next(context)? else { return Ok(None) };
        if self.known.is_none() && self.plan.arguments.is_empty() {
            self.known = Some(self.answer(context)?);
        }
        for row in &mut batch {
            let value = match &self.known {
                Some(answer) => self.mark(answer, row, context)?,
                None => self.mark(&self.answer_for(row, context)?, row, context)?,
            };
            row.push(value);
        }
        Ok(Some(batch))
    }
}

/// The rows that keys are looked for in.
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
