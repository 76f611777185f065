//! Grouping and aggregates. Groups come out in the order of their keys.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::task::{Poll, ready};

use super::ExecContext;
use super::key::group_key;
use super::operator::{BATCH_ROWS, Operator, Row, drain, open};
use super::sort::{Keyed, Order};
use crate::base::{Datum, SqlResult};
use crate::expr::aggregate::Accumulator;
use crate::sql::plan::logical::AggregateCall;
use crate::sql::plan::physical::HashAggregate;

/// Bytes an accumulator is counted with.
const ACCUMULATOR_BYTES: usize = 64;

/// Groups its input.
pub struct Aggregation<'p> {
    plan: &'p HashAggregate,
    input: Box<dyn Operator + 'p>,
    stage: Stage,
}

/// By the bytes of their keys.
type Groups = BTreeMap<Vec<u8>, Group>;

enum Stage {
    Grouping(Groups),
    Giving(btree_map::IntoValues<Vec<u8>, Group>),
}

/// A group: its keys' values and its aggregates.
struct Group {
    keys: Row,
    states: Vec<State>,
}

/// One aggregate over one group.
struct State {
    accumulator: Accumulator,
    /// Arguments already seen, for DISTINCT.
    seen: Option<BTreeSet<Vec<u8>>>,
    /// Arguments with the keys they are ordered by, for ORDER BY.
    ordered: Option<Vec<Keyed>>,
}

impl<'p> Aggregation<'p> {
    pub fn new(plan: &'p HashAggregate) -> Aggregation<'p> {
        let mut groups = Groups::new();
        if plan.keys.is_empty() {
            groups.insert(Vec::new(), new_group(plan, Vec::new()));
        }
        Aggregation { plan, input: open(&plan.input), stage: Stage::Grouping(groups) }
    }
}

/// Adds a row to its group.
fn add(
    plan: &HashAggregate,
    groups: &mut Groups,
    row: &Row,
    context: &ExecContext<'_>,
) -> SqlResult<()> {
    let mut key = Vec::new();
    let mut values = Vec::with_capacity(plan.keys.len());
    for expr in &plan.keys {
        let value = expr.eval(row, &context.eval)?;
        group_key(expr.ty(), &value, &mut key)?;
        values.push(value);
    }
    let group = match groups.entry(key) {
        btree_map::Entry::Occupied(known) => known.into_mut(),
        btree_map::Entry::Vacant(vacant) => {
            context.memory.take_row(&values)?;
            context.memory.take(vacant.key().len() + plan.calls.len() * ACCUMULATOR_BYTES)?;
            vacant.insert(new_group(plan, values))
        }
    };
    for (call, state) in plan.calls.iter().zip(&mut group.states) {
        state.add(call, row, context)?;
    }
    Ok(())
}

fn new_group(plan: &HashAggregate, keys: Row) -> Group {
    Group { keys, states: plan.calls.iter().map(State::new).collect() }
}

impl State {
    fn new(call: &AggregateCall) -> State {
        State {
            accumulator: Accumulator::new(call.aggregate),
            seen: call.distinct.then(BTreeSet::new),
            ordered: (!call.order.is_empty()).then(Vec::new),
        }
    }

    fn add(&mut self, call: &AggregateCall, row: &Row, context: &ExecContext<'_>) -> SqlResult<()> {
        if let Some(filter) = &call.filter
            && !filter.eval_condition(row, &context.eval)?
        {
            return Ok(());
        }
        let args: SqlResult<Vec<Datum>> =
            call.args.iter().map(|arg| arg.eval(row, &context.eval)).collect();
        let args = args?;
        if let Some(seen) = &mut self.seen {
            let mut key = Vec::new();
            for (arg, expr) in args.iter().zip(&call.args) {
                group_key(expr.ty(), arg, &mut key)?;
            }
            if seen.contains(&key) {
                return Ok(());
            }
            context.memory.take_key(&key)?;
            seen.insert(key);
        }
        match &mut self.ordered {
            None => self.accumulator.add(&args),
            Some(ordered) => {
                context.memory.take_row(&args)?;
                let keys: SqlResult<Row> =
                    call.order.iter().map(|key| key.expr.eval(row, &context.eval)).collect();
                ordered.push((keys?, args));
                Ok(())
            }
        }
    }

    fn finish(mut self, call: &AggregateCall) -> SqlResult<Datum> {
        if let Some(mut ordered) = self.ordered {
            let order = Order::new(&call.order);
            ordered.sort_by(|a, b| order.compare(&a.0, &b.0));
            for (_, args) in ordered {
                self.accumulator.add(&args)?;
            }
        }
        self.accumulator.finish()
    }
}

impl Group {
    fn finish(self, calls: &[AggregateCall]) -> SqlResult<Row> {
        let mut row = self.keys;
        for (state, call) in self.states.into_iter().zip(calls) {
            row.push(state.finish(call)?);
        }
        Ok(row)
    }
}

impl Operator for Aggregation<'_> {
    fn next(&mut self, context: &ExecContext<'_>) -> Poll<SqlResult<Option<Vec<Row>>>> {
        if let Stage::Grouping(groups) = &mut self.stage {
            let plan = self.plan;
            ready!(drain(self.input.as_mut(), context, |row| add(plan, groups, &row, context)))?;
            self.stage = Stage::Giving(std::mem::take(groups).into_values());
        }
        let Stage::Giving(groups) = &mut self.stage else { return Poll::Ready(Ok(None)) };
        let rows = groups.take(BATCH_ROWS).map(|group| group.finish(&self.plan.calls));
        let batch = rows.collect::<SqlResult<Vec<Row>>>()?;
        Poll::Ready(Ok((!batch.is_empty()).then_some(batch)))
    }
}
