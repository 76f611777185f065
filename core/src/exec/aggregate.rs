//! Grouping and aggregates. Groups come out in the order of their keys.
//!
//! The rows of an aggregate are taken as they come, unless it has an ORDER BY: then they are kept until the
//! group is whole. With DISTINCT they are taken in the order of the arguments, as PostgreSQL does, which
//! finds what is distinct by sorting: where the result depends on it.

use std::collections::{BTreeMap, BTreeSet, btree_map};
use std::task::{Poll, ready};

use super::ExecContext;
use super::key::group_key;
use super::operator::{BATCH_ROWS, Input, Operator, Row, evaluated, open};
use super::sort::{Keyed, Order};
use crate::base::{Datum, SqlResult};
use crate::expr::Expr;
use crate::expr::aggregate::Accumulator;
use crate::sql::plan::logical::AggregateCall;
use crate::sql::plan::physical::HashAggregate;

/// Groups its input.
pub struct Aggregation<'p> {
    plan: &'p HashAggregate,
    input: Input<'p>,
    stage: Stage,
}

/// By the bytes of their keys.
type Groups = BTreeMap<Vec<u8>, Group>;

enum Stage {
    Grouping(Groups, Scratch),
    Giving(btree_map::IntoValues<Vec<u8>, Group>),
}

/// Room for what is worked out of one row, kept for the next.
#[derive(Default)]
struct Scratch {
    key: Vec<u8>,
    values: Row,
    args: Row,
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
    /// Arguments with the keys they are ordered by: those of ORDER BY, and with DISTINCT the arguments.
    ordered: Option<Vec<Keyed>>,
    /// Bytes of the accumulator that were counted.
    counted: usize,
}

impl<'p> Aggregation<'p> {
    pub fn new(plan: &'p HashAggregate) -> Aggregation<'p> {
        let mut groups = Groups::new();
        if plan.keys.is_empty() {
            groups.insert(Vec::new(), new_group(plan, Vec::new()));
        }
        let stage = Stage::Grouping(groups, Scratch::default());
        Aggregation { plan, input: Input::new(open(&plan.input)), stage }
    }
}

/// Adds a row to its group.
fn add(
    plan: &HashAggregate,
    groups: &mut Groups,
    scratch: &mut Scratch,
    row: &Row,
    context: &ExecContext<'_>,
) -> SqlResult<()> {
    let Scratch { key, values, args } = scratch;
    key.clear();
    values.clear();
    // The results come behind the keys.
    values.reserve_exact(plan.keys.len() + plan.calls.len());
    for expr in &plan.keys {
        let value = expr.eval(row, &context.eval)?;
        group_key(expr.ty(), &value, key)?;
        values.push(value);
    }
    if let Some(group) = groups.get_mut(key) {
        return group.add(plan, args, row, context);
    }
    context.memory.take_row(values)?;
    context.memory.take(key.len() + plan.calls.len() * size_of::<State>())?;
    let group = new_group(plan, std::mem::take(values));
    groups.entry(key.clone()).or_insert(group).add(plan, args, row, context)
}

fn new_group(plan: &HashAggregate, keys: Row) -> Group {
    Group { keys, states: plan.calls.iter().map(State::new).collect() }
}

/// Whether the rows of an aggregate are kept until the group is whole.
fn is_ordered(call: &AggregateCall) -> bool {
    !call.order.is_empty() || (call.distinct && call.aggregate.depends_on_order())
}

impl State {
    fn new(call: &AggregateCall) -> State {
        State {
            accumulator: Accumulator::new(call.aggregate),
            seen: call.distinct.then(BTreeSet::new),
            ordered: is_ordered(call).then(Vec::new),
            counted: 0,
        }
    }

    /// Adds a row; `args` is room for the arguments.
    fn add(
        &mut self,
        call: &AggregateCall,
        args: &mut Row,
        row: &Row,
        context: &ExecContext<'_>,
    ) -> SqlResult<()> {
        if let Some(filter) = &call.filter
            && !filter.eval_condition(row, &context.eval)?
        {
            return Ok(());
        }
        args.clear();
        args.reserve_exact(call.args.len());
        for arg in &call.args {
            args.push(arg.eval(row, &context.eval)?);
        }
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
            None => {
                self.accumulator.add(args)?;
                let bytes = self.accumulator.memory_bytes();
                if bytes > self.counted {
                    context.memory.take(bytes - self.counted)?;
                    self.counted = bytes;
                }
                Ok(())
            }
            Some(ordered) => {
                let mut keys = evaluated(call.order.iter().map(|key| &key.expr), row, context)?;
                if call.distinct {
                    keys.extend_from_slice(args);
                }
                context.memory.take_row(args)?;
                context.memory.take_row(&keys)?;
                ordered.push((keys, std::mem::take(args)));
                Ok(())
            }
        }
    }

    fn finish(mut self, call: &AggregateCall) -> SqlResult<Datum> {
        if let Some(mut ordered) = self.ordered {
            let distinct = call.args.iter().filter(|_| call.distinct);
            let order = Order::new(&call.order).then(distinct.map(Expr::ty));
            ordered.sort_by(|a, b| order.compare(&a.0, &b.0));
            for (_, args) in ordered {
                self.accumulator.add(&args)?;
            }
        }
        self.accumulator.finish()
    }
}

impl Group {
    /// Adds a row; `args` is room for the arguments.
    fn add(
        &mut self,
        plan: &HashAggregate,
        args: &mut Row,
        row: &Row,
        context: &ExecContext<'_>,
    ) -> SqlResult<()> {
        for (call, state) in plan.calls.iter().zip(&mut self.states) {
            state.add(call, args, row, context)?;
        }
        Ok(())
    }

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
        if let Stage::Grouping(groups, scratch) = &mut self.stage {
            let plan = self.plan;
            let add_row = |row: Row| add(plan, groups, scratch, &row, context);
            ready!(self.input.drain(context, add_row))?;
            self.stage = Stage::Giving(std::mem::take(groups).into_values());
        }
        let Stage::Giving(groups) = &mut self.stage else { return Poll::Ready(Ok(None)) };
        if context.slice.is_spent() {
            return Poll::Pending;
        }
        let rows = groups.take(BATCH_ROWS).map(|group| group.finish(&self.plan.calls));
        let batch = rows.collect::<SqlResult<Vec<Row>>>()?;
        context.slice.look_at(batch.len());
        Poll::Ready(Ok((!batch.is_empty()).then_some(batch)))
    }
}
