//! Drawing the clients of a seed and their operations.

use std::collections::BTreeSet;

use basalt_core::seam::Rng;

use super::op::{
    ACCOUNTS, BATCH_ROWS_MAX, GROUPS, ITEM_ROWS, Item, ItemChange, ItemKey, Op, PAIRS, REGISTERS,
    SchemaChange, TEXT_BYTES_MAX, UNIQUES, text_number,
};
use super::pg::OWN_ROWS;
use crate::plan::{ClientPlan, Topology};

/// Which operations a subject can carry out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mix {
    Nothing,
    /// Registers only.
    Registers,
    /// Everything.
    Sql,
}

/// `count` clients with about `ops` operations each.
pub fn draw_clients(
    mix: Mix,
    count: u16,
    ops: u64,
    chaos_ms: u64,
    topology: &Topology,
    rng: &mut Rng,
) -> Vec<ClientPlan> {
    if mix == Mix::Nothing {
        return Vec::new();
    }
    let has = Features::draw(mix, rng);
    let weights = Weights::draw(mix, has, rng);
    let draw = |weights: &Weights, client: u16, ops: u64, rng: &mut Rng| {
        let ops_here = rng.range(ops / 2 + 1, ops + ops / 2 + 1);
        ClientPlan {
            dc: rng.below(u64::from(topology.dcs())) as u8,
            think_us: chaos_ms * 1_000 / ops_here,
            ops: (0..ops_here).map(|k| weights.op(client, k, rng)).collect(),
            followers: 0,
        }
    };
    let mut clients: Vec<ClientPlan> =
        (0..count).map(|client| draw(&weights, client, ops, rng)).collect();
    for (times, make) in has.large(mix) {
        replace(&mut clients, rng.range(1, times), make, rng);
    }
    clients.iter_mut().for_each(|client| look_last(&mut client.ops));
    if has.changes {
        clients.push(draw(&Weights::changes(), count, CHANGES, rng));
    }
    clients
}

/// A client that changes rows of its own looks at them once more at the end.
fn look_last(ops: &mut Vec<Op>) {
    let own: BTreeSet<u64> = ops.iter().filter_map(own_row_written).collect();
    ops.extend(own.into_iter().map(|row| Op::OwnRead { row }));
}

/// About so many operations has the client that changes the schema.
const CHANGES: u64 = 60;

/// What only some seeds have, so that those that have it have much of it.
#[derive(Clone, Copy, Debug)]
struct Features {
    items: bool,
    long_texts: bool,
    batches: bool,
    /// One client changes the schema.
    changes: bool,
}

impl Features {
    fn draw(mix: Mix, rng: &mut Rng) -> Features {
        let mut one_in = |n: u64| mix == Mix::Sql && rng.below(n) == 0;
        let (items, long_texts) = (one_in(2), one_in(4));
        let (batches, changes) = (one_in(4), one_in(4));
        Features { items: items || changes, long_texts, batches, changes }
    }

    /// Operations that take long, each at most so often in a run, however many clients it has.
    fn large(self, mix: Mix) -> Vec<(u64, Make)> {
        let sql = mix == Mix::Sql;
        let all: [(bool, u64, Make); 6] = [
            (sql, 12, read_inserted),
            (self.items, 24, item_read_all),
            (self.long_texts, 4, item_long_text),
            (self.batches, 6, batch_insert),
            (self.batches, 12, batch_read),
            (self.changes, 24, scratch_read),
        ];
        let wanted = all.into_iter().filter(|(wanted, ..)| *wanted);
        wanted.map(|(_, times, make)| (times, make)).collect()
    }
}

/// Puts so many operations in the place of others, anywhere.
fn replace(clients: &mut [ClientPlan], times: u64, make: Make, rng: &mut Rng) {
    for _ in 0..times {
        let client = rng.below(clients.len() as u64) as usize;
        let ops = &mut clients[client].ops;
        let k = rng.below(ops.len() as u64);
        ops[k as usize] = make(client as u16, k, 1, rng);
    }
}

/// The clients of a seed in which a table grows to about this many rows, in statements
/// of up to [`BATCH_ROWS_MAX`].
pub fn draw_fill(
    clients: u16,
    chaos_ms: u64,
    topology: &Topology,
    rng: &mut Rng,
) -> Vec<ClientPlan> {
    let mut ops: Vec<Vec<Op>> = vec![Vec::new(); usize::from(clients)];
    let mut left = FILL_ROWS;
    while left > 0 {
        let client = rng.below(u64::from(clients)) as u16;
        let most = *rng.choose(&[3_000, 30_000, BATCH_ROWS_MAX]).expect("three to choose from");
        let rows = rng.range(1, most).min(left);
        left -= rows;
        let list = &mut ops[usize::from(client)];
        list.push(Op::BatchInsert { batch: unique(client, list.len() as u64), rows });
        if rng.below(FILL_READ_EVERY) == 0 {
            list.push(Op::BatchRead);
        }
    }
    let plan = |ops: Vec<Op>, rng: &mut Rng| ClientPlan {
        dc: rng.below(u64::from(topology.dcs())) as u8,
        think_us: chaos_ms * 1_000 / (ops.len() as u64 + 1),
        ops,
        followers: 0,
    };
    ops.into_iter().map(|ops| plan(ops, rng)).collect()
}

/// Rows that [`draw_fill`] adds. Some statements are refused, so it is more than the million aimed at.
const FILL_ROWS: u64 = 1_200_000;
/// One in so many of its statements is followed by a look at all rows.
const FILL_READ_EVERY: u64 = 12;

/// In every other seed each client has one or two others right behind it.
pub fn draw_followers(clients: &mut [ClientPlan], rng: &mut Rng) {
    if rng.below(2) == 0 {
        for client in clients {
            client.followers = *rng.choose(&[1, 1, 1, 2]).expect("four to choose from");
        }
    }
}

/// Draws an operation for a client, at a position in its list, over so many keys.
type Make = fn(u16, u64, u64, &mut Rng) -> Op;

/// How often each operation comes up, and on how few keys: drawn per seed.
struct Weights {
    of: Vec<(u64, Make)>,
    keys: u64,
}

impl Weights {
    fn draw(mix: Mix, has: Features, rng: &mut Rng) -> Weights {
        let registers: [Make; 2] = [write, read];
        let sql: [Make; 7] =
            [insert, pair_write, pair_read, transfer, bank_read, own_update, own_read];
        let items: [Make; 2] = [item_write, item_read];
        let mut of: Vec<_> = registers.iter().map(|op| (rng.range(1, 8), *op)).collect();
        if mix == Mix::Sql {
            of.extend(sql.iter().map(|op| (rng.below(6), *op)));
        }
        if has.items {
            of.extend(items.iter().map(|op| (rng.range(2, 8), *op)));
        }
        if has.changes {
            of.push((rng.range(1, 5), scratch_insert));
        }
        Weights { of, keys: rng.range(1, REGISTERS) }
    }

    /// Those of the client that changes the schema.
    fn changes() -> Weights {
        Weights { of: vec![(3, schema), (1, scratch_read)], keys: 1 }
    }

    fn op(&self, client: u16, k: u64, rng: &mut Rng) -> Op {
        let total: u64 = self.of.iter().map(|(weight, _)| weight).sum();
        let mut draw = rng.below(total);
        for (weight, make) in &self.of {
            if draw < *weight {
                return make(client, k, self.keys, rng);
            }
            draw -= weight;
        }
        unreachable!("a draw below the total falls on a weight")
    }
}

fn own_row_written(op: &Op) -> Option<u64> {
    let Op::OwnUpdate { row, .. } = op else { return None };
    Some(*row)
}

/// Unique over the run and never 0, which is what a register starts with.
fn unique(client: u16, k: u64) -> i64 {
    (i64::from(client) + 1) * 1_000_000 + k as i64
}

fn write(client: u16, k: u64, keys: u64, rng: &mut Rng) -> Op {
    Op::Write { key: rng.below(keys), value: unique(client, k) }
}

fn read(_: u16, _: u64, keys: u64, rng: &mut Rng) -> Op {
    Op::Read { key: rng.below(keys) }
}

fn insert(client: u16, k: u64, _: u64, _: &mut Rng) -> Op {
    Op::Insert { id: unique(client, k) }
}

fn pair_write(client: u16, k: u64, _: u64, rng: &mut Rng) -> Op {
    Op::PairWrite { pair: rng.below(PAIRS), value: unique(client, k) }
}

fn pair_read(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    Op::PairRead { pair: rng.below(PAIRS) }
}

fn transfer(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    let from = rng.below(ACCOUNTS);
    let to = (from + rng.range(1, ACCOUNTS - 1)) % ACCOUNTS;
    Op::Transfer { from, to, amount: rng.range(1, 9) as i64 }
}

fn bank_read(_: u16, _: u64, _: u64, _: &mut Rng) -> Op {
    Op::BankRead
}

fn own_update(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    Op::OwnUpdate {
        row: rng.below(OWN_ROWS),
        factor: rng.range(2, 9) as i64,
        add: rng.range(1, 999) as i64,
    }
}

fn own_read(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    Op::OwnRead { row: rng.below(OWN_ROWS) }
}

fn item_write(client: u16, k: u64, _: u64, rng: &mut Rng) -> Op {
    let row = rng.below(ITEM_ROWS as u64) as usize;
    match rng.below(8) {
        0..3 => {
            let item =
                Item { u: one_of(UNIQUES, rng), g: one_of(GROUPS, rng), t: text(client, k, rng) };
            Op::ItemInsert { row, item }
        }
        3 => Op::ItemUpdate { row, to: ItemChange::U(one_of(UNIQUES, rng)) },
        4 => Op::ItemUpdate { row, to: ItemChange::G(one_of(GROUPS, rng)) },
        5 => Op::ItemUpdate { row, to: ItemChange::T(text(client, k, rng)) },
        6 => Op::ItemDelete { row },
        _ => Op::ItemDeleteGroup { g: rng.below(GROUPS as u64) as i64 },
    }
}

/// A value below `count`, or now and then NULL.
fn one_of(count: i64, rng: &mut Rng) -> Option<i64> {
    (rng.below(6) != 0).then(|| rng.below(count as u64) as i64)
}

/// The number of a text: short or, now and then, NULL.
fn text(client: u16, k: u64, rng: &mut Rng) -> Option<i64> {
    (rng.below(12) != 0).then(|| text_number(rng.below(60), text_mark(client, k)))
}

/// Tells the texts of a run apart.
fn text_mark(client: u16, k: u64) -> u64 {
    (u64::from(client) << 12) | k
}

fn item_long_text(client: u16, k: u64, _: u64, rng: &mut Rng) -> Op {
    let most = *rng.choose(&[10_000, 10_000, TEXT_BYTES_MAX]).expect("three to choose from");
    let text = text_number(rng.range(1_000, most), text_mark(client, k));
    let row = rng.below(ITEM_ROWS as u64) as usize;
    let item = Item { u: None, g: one_of(GROUPS, rng), t: Some(text) };
    match rng.below(2) {
        0 => Op::ItemInsert { row, item },
        _ => Op::ItemUpdate { row, to: ItemChange::T(item.t) },
    }
}

fn item_read(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    let by = match rng.below(5) {
        0 | 1 => ItemKey::Row(rng.below(ITEM_ROWS as u64) as usize),
        2 => ItemKey::U(rng.below(UNIQUES as u64) as i64),
        _ => ItemKey::Group(rng.below(GROUPS as u64) as i64),
    };
    Op::ItemRead { by }
}

fn item_read_all(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    let by = match rng.below(2) {
        0 => ItemKey::GroupByScan(rng.below(GROUPS as u64) as i64),
        _ => ItemKey::All,
    };
    Op::ItemRead { by }
}

fn read_inserted(_: u16, _: u64, _: u64, _: &mut Rng) -> Op {
    Op::ReadInserted
}

fn batch_insert(client: u16, k: u64, _: u64, rng: &mut Rng) -> Op {
    let most = *rng.choose(&[10, 100, 3_000]).expect("three to choose from");
    Op::BatchInsert { batch: unique(client, k), rows: rng.range(1, most) }
}

fn batch_read(_: u16, _: u64, _: u64, _: &mut Rng) -> Op {
    Op::BatchRead
}

fn scratch_insert(client: u16, k: u64, _: u64, _: &mut Rng) -> Op {
    Op::ScratchInsert { id: unique(client, k) }
}

fn scratch_read(_: u16, _: u64, _: u64, _: &mut Rng) -> Op {
    Op::ScratchRead
}

fn schema(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    let change = match rng.below(14) {
        0..3 => SchemaChange::CreateScratch,
        3 => SchemaChange::DropScratch,
        4 => SchemaChange::TruncateScratch,
        5 => SchemaChange::AddColumn,
        6 | 7 => SchemaChange::CreateIndex,
        8 | 9 => SchemaChange::DropIndex,
        10 | 11 => SchemaChange::CreateUnique,
        _ => SchemaChange::DropUnique,
    };
    Op::Schema { change }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_looks_at_the_rows_it_changed_last() {
        let weights = Weights { of: vec![(1, own_update), (3, read)], keys: 2 };
        let mut rng = Rng::from_u64(1);
        let mut ops: Vec<Op> = (0..40).map(|k| weights.op(1, k, &mut rng)).collect();
        look_last(&mut ops);
        let changed: BTreeSet<u64> = ops.iter().filter_map(own_row_written).collect();
        let last: Vec<Op> = changed.iter().map(|row| Op::OwnRead { row: *row }).collect();
        assert!(!last.is_empty() && ops.ends_with(&last), "{ops:?}");
        assert_eq!(ops.len(), 40 + last.len());
    }
}
