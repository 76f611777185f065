//! Grouping and aggregates. Groups come out in the order of their keys.

use std::collections::{BTreeMap, BTreeSet};

use super::ExecContext;
use super::key::group_key;
use super::operator::{BATCH_ROWS, Operator, Row, open};
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
    groups: Option<std::vec::IntoIter<Row>>,
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
        Aggregation { plan, input: open(&plan.input), groups: None }
    }

    fn group(&mut self, context: &ExecContext<'_>) -> SqlResult<Vec<Row>> {
        let mut groups: BTreeMap<Vec<u8>, Group> = BTreeMap::new();
        if self.plan.keys.is_empty() {
            groups.insert(Vec::new(), self.new_group(Vec::new()));
        }
        let mut key = Vec::new();
        while let Some(batch) = self.input.next(context)? {
            for row in batch {
                key.clear();
                let mut values = Vec::with_capacity(self.plan.keys.len());
                for expr in &self.plan.keys {
                    let value = expr.eval(&row, &context.eval)?;
                    group_key(expr.ty(), &value, &mut key)?;
                    values.push(value);
                }
                if !groups.contains_key(&key) {
                    context.memory.take_row(&values)?;
                    context.memory.take(key.len() + self.plan.calls.len() * ACCUMULATOR_BYTES)?;
                    groups.insert(key.clone(), self.new_group(values));
                }
                let group = groups.get_mut(&key).expect("inserted above");
                for (call, state) in self.plan.calls.iter().zip(&mut group.states) {
                    state.add(call, &row, context)?;
                }
            }
        }
        groups.into_values().map(|group| group.finish(&self.plan.calls)).collect()
    }

    fn new_group(&self, keys: Row) -> Group {
        Group { keys, states: self.plan.calls.iter().map(State::new).collect() }
    }
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
    fn next(&mut self, context: &ExecContext<'_>) -> SqlResult<Option<Vec<Row>>> {
        if self.groups.is_none() {
            self.groups = Some(self.group(context)?.into_iter());
        }
        let Some(groups) = &mut self.groups else { return Ok(None) };
        let batch: Vec<Row> = groups.take(BATCH_ROWS).collect();
        Ok((!batch.is_empty()).then_some(batch))
    }
}
