//! The rows of `items` against a model: a unique column, an indexed one, deletes.
//!
//! Only its owner changes a row, so each client's rows are known as [`Possible`] states over time,
//! and whatever anybody reads of them, by key, by either index or by a look at every row, must be
//! what some state of that time shows. Values of the unique column are shared: a change may be
//! refused for one (23505) only where another row can have had it meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use super::possible::{Possible, Timeline};
use crate::workload::{
    History, ITEM_ROWS, Item, ItemChange, ItemKey, KEYS_PER_CLIENT, Op, Operation, Outcome, Rows,
};

/// The rows of one client.
type State = [Option<Item>; ITEM_ROWS];

pub fn judge(history: &History) -> Result<(), String> {
    let operations = history.operations();
    let timelines = timelines(&operations)?;
    for operation in &operations {
        let told = |why| format!("c{} {:?}: {why}", operation.begun.client, operation.begun.op);
        match (operation.begun.op, operation.outcome()) {
            (Op::ItemRead { by }, Some(Outcome::Ok(rows))) => {
                read_fits(operation, by, rows, &timelines).map_err(told)?;
            }
            (op, Some(Outcome::Fail(why))) if conflict(op, why) == Some(Conflict::Unique) => {
                was_taken(operation, &timelines).map_err(told)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What each client's rows can have been, and when. `Err`: a client was answered what cannot be.
fn timelines(operations: &[Operation<'_>]) -> Result<BTreeMap<u16, Timeline<State>>, String> {
    let mut clients = BTreeMap::new();
    for operation in operations {
        let (op, client) = (operation.begun.op, operation.begun.client);
        if !touches_items(op) {
            continue;
        }
        let (possible, timeline) = clients.entry(client).or_insert_with(|| {
            (Possible::new(State::default(), next), Timeline::new(State::default()))
        });
        learn(possible, client, op, operation.outcome()).map_err(|before| {
            let outcome = operation.outcome();
            format!("c{client} {op:?} ended as {outcome:?}, the model allows {before:?} before")
        })?;
        let until = operation.ended.map_or(u64::MAX, |(_, at)| at);
        timeline.then(operation.begun_at, until, possible.states());
    }
    Ok(clients.into_iter().map(|(client, (_, timeline))| (client, timeline)).collect())
}

fn touches_items(op: Op) -> bool {
    matches!(
        op,
        Op::ItemInsert { .. }
            | Op::ItemUpdate { .. }
            | Op::ItemDelete { .. }
            | Op::ItemDeleteGroup { .. }
            | Op::ItemRead { .. }
    )
}

/// Takes in what a client was answered. `Err`: the states before, none of which fits.
fn learn(
    possible: &mut Possible<State, Op>,
    client: u16,
    op: Op,
    outcome: Option<&Outcome>,
) -> Result<(), BTreeSet<State>> {
    match (op, outcome) {
        (Op::ItemRead { by }, Some(Outcome::Ok(rows))) => {
            let seen = of_client(client, rows);
            possible.go(|state| (shown(state, by) == seen).then_some(*state))
        }
        (Op::ItemRead { .. }, _) => Ok(()),
        (_, Some(Outcome::Ok(rows))) => {
            let count = rows.first().map_or(1, |(count, _)| *count);
            possible.go(|state| apply(state, op).filter(|(_, c)| *c == count).map(|(s, _)| s))
        }
        (_, Some(Outcome::Fail(why))) => match conflict(op, why) {
            Some(Conflict::PrimaryKey) => {
                possible.go(|state| own_row(state, op).is_some().then_some(*state))
            }
            // The primary key is looked at first.
            Some(Conflict::Unique) => {
                let is_there = matches!(op, Op::ItemUpdate { .. });
                possible.go(|state| (own_row(state, op).is_some() == is_there).then_some(*state))
            }
            None => Ok(()),
        },
        _ => {
            possible.may(op);
            Ok(())
        }
    }
}

fn next(state: &State, op: &Op) -> Option<State> {
    apply(state, *op).map(|(state, _)| state)
}

/// The rows after a change and how many it touches; `None` if it must be refused.
fn apply(state: &State, op: Op) -> Option<(State, i64)> {
    let mut after = *state;
    let count = match op {
        Op::ItemInsert { row, item } => {
            if state[row].is_some() || has_elsewhere(state, row, item.u) {
                return None;
            }
            after[row] = Some(item);
            1
        }
        Op::ItemUpdate { row, to } => {
            let Some(item) = &mut after[row] else { return Some((after, 0)) };
            match to {
                ItemChange::U(u) if has_elsewhere(state, row, u) => return None,
                ItemChange::U(u) => item.u = u,
                ItemChange::G(g) => item.g = g,
                ItemChange::T(t) => item.t = t,
            }
            1
        }
        Op::ItemDelete { row } => i64::from(after[row].take().is_some()),
        Op::ItemDeleteGroup { g } => {
            let gone = after.iter_mut().filter(|row| row.is_some_and(|item| item.g == Some(g)));
            gone.map(|row| *row = None).count() as i64
        }
        _ => 0,
    };
    Some((after, count))
}

fn has_elsewhere(state: &State, row: usize, u: Option<i64>) -> bool {
    let others = (0..ITEM_ROWS).filter(|other| *other != row).filter_map(|other| state[other]);
    u.is_some() && others.into_iter().any(|item| item.u == u)
}

fn own_row(state: &State, op: Op) -> Option<Item> {
    match op {
        Op::ItemInsert { row, .. } | Op::ItemUpdate { row, .. } => state[row],
        _ => None,
    }
}

/// What was in the way of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Conflict {
    PrimaryKey,
    Unique,
}

fn conflict(op: Op, why: &str) -> Option<Conflict> {
    if !touches_items(op) || !why.starts_with("23505") {
        return None;
    }
    Some(if why.contains("items_pkey") { Conflict::PrimaryKey } else { Conflict::Unique })
}

/// Whether another row can have had the value that a change was refused for.
fn was_taken(
    operation: &Operation<'_>,
    timelines: &BTreeMap<u16, Timeline<State>>,
) -> Result<(), String> {
    let (row, u) = match operation.begun.op {
        Op::ItemInsert { row, item } => (row, item.u),
        Op::ItemUpdate { row, to: ItemChange::U(u) } => (row, u),
        other => return Err(format!("{other:?} was refused for a value it does not set")),
    };
    let Some(u) = u else { return Err("refused for a NULL".to_owned()) };
    let (from, until) = place(operation);
    let had = |(client, timeline): (&u16, &Timeline<State>)| {
        timeline.had(from, until, |state| {
            let is_own = |at: usize| *client == operation.begun.client && at == row;
            (0..ITEM_ROWS).any(|at| !is_own(at) && state[at].is_some_and(|i| i.u == Some(u)))
        })
    };
    if timelines.iter().any(had) {
        return Ok(());
    }
    Err(format!("refused for u = {u}, which no other row can have had"))
}

/// Whether each client's part of a read is what its rows can have shown at the time.
fn read_fits(
    operation: &Operation<'_>,
    by: ItemKey,
    rows: &Rows,
    timelines: &BTreeMap<u16, Timeline<State>>,
) -> Result<(), String> {
    let clients = whole(rows)?;
    let (from, until) = place(operation);
    if let Some(unknown) = clients.iter().find(|client| !timelines.contains_key(*client)) {
        return Err(format!("a row of c{unknown}, which wrote none: {rows:?}"));
    }
    for (client, timeline) in timelines {
        if matches!(by, ItemKey::Row(_)) && *client != operation.begun.client {
            continue;
        }
        let seen = of_client(*client, rows);
        if !timeline.had(from, until, |state| shown(state, by) == seen) {
            return Err(format!("c{client} never had such rows: {seen:?}"));
        }
    }
    Ok(())
}

/// The clients whose rows were read. `Err` if a key or a unique value is there twice.
fn whole(rows: &Rows) -> Result<BTreeSet<u16>, String> {
    let items: Vec<(i64, Item)> = items(rows).collect();
    let keys: BTreeSet<i64> = items.iter().map(|(key, _)| *key).collect();
    let uniques: Vec<i64> = items.iter().filter_map(|(_, item)| item.u).collect();
    let distinct: BTreeSet<&i64> = uniques.iter().collect();
    if !rows.len().is_multiple_of(3) || keys.len() * 3 != rows.len() {
        return Err(format!("a row is there twice: {rows:?}"));
    }
    if distinct.len() < uniques.len() {
        return Err(format!("a value of the unique column is there twice: {items:?}"));
    }
    Ok(keys.into_iter().map(|key| (key / KEYS_PER_CLIENT) as u16).collect())
}

/// Key and values of the rows of a read.
fn items(rows: &Rows) -> impl Iterator<Item = (i64, Item)> {
    rows.chunks_exact(3).map(|row| (row[0].0, Item { u: row[0].1, g: row[1].1, t: row[2].1 }))
}

/// A client's rows among those of a read.
fn of_client(client: u16, rows: &Rows) -> State {
    let mut seen = State::default();
    for (key, item) in items(rows) {
        let row = (key % KEYS_PER_CLIENT) as usize;
        if key / KEYS_PER_CLIENT == i64::from(client) && row < ITEM_ROWS {
            seen[row] = Some(item);
        }
    }
    seen
}

/// What a read shows of a state.
fn shown(state: &State, by: ItemKey) -> State {
    std::array::from_fn(|row| state[row].filter(|item| by.takes(row, *item)))
}

/// Where in the history an operation was under way.
fn place(operation: &Operation<'_>) -> (u64, u64) {
    (operation.begun_at, operation.ended.map_or(u64::MAX, |(_, at)| at))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations of these clients, one after the other.
    fn run(operations: &[(u16, Op, Outcome)]) -> Result<(), String> {
        judge(&History::one_by_one(operations.iter().cloned()))
    }

    fn insert(client: u16, u: i64) -> (u16, Op, Outcome) {
        let item = Item { u: Some(u), g: Some(1), t: None };
        (client, Op::ItemInsert { row: 0, item }, Outcome::Ok(vec![]))
    }

    fn read(client: u16, by: ItemKey, seen: &[(i64, i64)]) -> (u16, Op, Outcome) {
        let row = |(key, u): &(i64, i64)| [(*key, Some(*u)), (*key, Some(1)), (*key, None)];
        (client, Op::ItemRead { by }, Outcome::Ok(seen.iter().flat_map(row).collect()))
    }

    fn refused(client: u16, u: i64, name: &str) -> (u16, Op, Outcome) {
        let (client, op, _) = insert(client, u);
        (client, op, Outcome::Fail(format!("23505 duplicate key of \"{name}\"")))
    }

    const ALL: ItemKey = ItemKey::All;

    #[test]
    fn rows_are_what_their_owner_made_them_whoever_reads_them() {
        let first = insert(1, 7);
        assert!(run(&[first.clone(), read(2, ALL, &[(1_000, 7)])]).is_ok());
        assert!(run(&[first.clone(), read(1, ItemKey::Row(0), &[(1_000, 8)])]).is_err(), "other");
        assert!(
            run(&[first.clone(), read(2, ItemKey::Group(1), &[])]).is_err(),
            "not in the index"
        );
        assert!(run(&[first.clone(), read(2, ItemKey::U(8), &[(1_000, 7)])]).is_err(), "too much");
        let delete = |count| (1, Op::ItemDelete { row: 0 }, Outcome::Ok(vec![(count, None)]));
        assert!(run(&[first.clone(), delete(1), read(2, ALL, &[])]).is_ok());
        assert!(run(&[first.clone(), delete(1), read(2, ALL, &[(1_000, 7)])]).is_err(), "back");
        assert!(run(&[first.clone(), delete(0)]).is_err(), "a wrong count");
        let group = |count| (1, Op::ItemDeleteGroup { g: 1 }, Outcome::Ok(vec![(count, None)]));
        assert!(run(&[first.clone(), group(1), delete(0)]).is_ok());
        assert!(run(&[first, group(2)]).is_err());
    }

    #[test]
    fn a_unique_value_is_there_once_and_refused_only_where_it_can_be_there() {
        let both = [insert(1, 7), insert(2, 7)];
        let all = read(3, ALL, &[(1_000, 7), (2_000, 7)]);
        assert!(run(&[both[0].clone(), both[1].clone(), all]).is_err(), "there twice");
        assert!(run(&[insert(1, 7), refused(2, 7, "items_u_key")]).is_ok());
        assert!(run(&[insert(1, 7), refused(2, 8, "items_u_key")]).is_err(), "nobody has it");
        assert!(run(&[insert(1, 7), refused(1, 8, "items_pkey")]).is_ok());
        assert!(run(&[insert(1, 7), refused(2, 8, "items_pkey")]).is_err(), "no such row");
        let to_own = (
            1,
            Op::ItemUpdate { row: 0, to: ItemChange::U(Some(7)) },
            refused(1, 7, "items_u_key").2,
        );
        assert!(run(&[insert(1, 7), to_own]).is_err(), "its own value is not in its way");
    }

    #[test]
    fn an_unknown_change_may_show_and_then_stays() {
        let (client, op, _) = insert(1, 7);
        let unknown = (client, op, Outcome::Info(String::new()));
        let (none, one) = (read(1, ALL, &[]), read(1, ALL, &[(1_000, 7)]));
        assert!(run(&[unknown.clone(), none.clone(), one.clone()]).is_ok());
        assert!(run(&[unknown.clone(), one, none]).is_err(), "undone");
        assert!(run(&[unknown, refused(2, 7, "items_u_key")]).is_ok());
    }
}
