//! Drawing the clients of a seed and their operations.

use basalt_core::seam::Rng;

use super::op::{
    ACCOUNTS, GROUPS, ITEM_ROWS, Item, ItemChange, ItemKey, Op, PAIRS, REGISTERS, SchemaChange,
    TEXT_BYTES_MAX, UNIQUES, text_number,
};
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

/// Own rows of each client.
const OWN_ROWS: u64 = 3;

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
    let has_builder = mix == Mix::Sql && count <= FEW && rng.below(4) == 0;
    let weights = Weights::draw(mix, count <= FEW, has_builder, rng);
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
    if has_builder {
        clients.push(draw(&Weights::builder(), count, BUILDER_OPS, rng));
    }
    clients
}

/// Clients among whom some do what takes long, at most.
const FEW: u16 = 7;
/// About so many operations has the client that changes the schema.
const BUILDER_OPS: u64 = 24;

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
    /// `is_few`: so few clients that some may do what takes long; `has_scratch`: a table comes and goes.
    fn draw(mix: Mix, is_few: bool, has_scratch: bool, rng: &mut Rng) -> Weights {
        let registers: [Make; 2] = [write, read];
        let sql: [Make; 9] = [
            insert, pair_write, pair_read, transfer, bank_read, own_update, own_read, item_write,
            item_read,
        ];
        let rare: [Make; 2] = [read_inserted, batch];
        let scratch: [Make; 2] = [scratch_insert, scratch_read];
        let mut of: Vec<_> = registers.iter().map(|op| (rng.range(1, 8), *op)).collect();
        if mix == Mix::Sql {
            of.extend(sql.iter().map(|op| (rng.below(6), *op)));
            of.iter_mut().for_each(|(weight, _)| *weight *= RARITY);
            if is_few {
                of.extend(rare.iter().map(|op| (rng.below(RARITY), *op)));
            }
        }
        if has_scratch {
            of.extend(scratch.iter().map(|op| (rng.range(1, 5) * RARITY, *op)));
        }
        Weights { of, keys: rng.range(1, REGISTERS) }
    }

    /// Those of the client that changes the schema.
    fn builder() -> Weights {
        let makes: [Make; 2] = [schema, scratch_read];
        Weights { of: makes.into_iter().map(|make| (1, make)).collect(), keys: 1 }
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

/// How much rarer than others the operations are that take long.
const RARITY: u64 = 16;

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

/// The number of a text: short, now and then long or NULL.
fn text(client: u16, k: u64, rng: &mut Rng) -> Option<i64> {
    let bytes = match rng.below(96) {
        0 => rng.below(TEXT_BYTES_MAX + 1),
        1..4 => rng.below(10_000),
        4..12 => return None,
        _ => rng.below(60),
    };
    Some(text_number(bytes, u64::from(client) << 12 | k))
}

fn item_read(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    let g = rng.below(GROUPS as u64) as i64;
    let by = match rng.below(6) {
        0 | 1 => ItemKey::Row(rng.below(ITEM_ROWS as u64) as usize),
        2 => ItemKey::U(rng.below(UNIQUES as u64) as i64),
        3 => ItemKey::Group(g),
        4 => ItemKey::GroupByScan(g),
        _ => ItemKey::All,
    };
    Op::ItemRead { by }
}

fn read_inserted(_: u16, _: u64, _: u64, _: &mut Rng) -> Op {
    Op::ReadInserted
}

fn batch(client: u16, k: u64, _: u64, rng: &mut Rng) -> Op {
    let most = *rng.choose(&[10, 100, 100, 3_000]).expect("four to choose from");
    match rng.below(2) {
        0 => Op::BatchInsert { batch: unique(client, k), rows: rng.range(1, most) },
        _ => Op::BatchRead,
    }
}

fn scratch_insert(client: u16, k: u64, _: u64, _: &mut Rng) -> Op {
    Op::ScratchInsert { id: unique(client, k) }
}

fn scratch_read(_: u16, _: u64, _: u64, _: &mut Rng) -> Op {
    Op::ScratchRead
}

fn schema(_: u16, _: u64, _: u64, rng: &mut Rng) -> Op {
    let change = match rng.below(8) {
        0..3 => SchemaChange::CreateScratch,
        3 => SchemaChange::DropScratch,
        4 => SchemaChange::TruncateScratch,
        5 => SchemaChange::AddColumn,
        6 => SchemaChange::CreateIndex,
        _ => SchemaChange::DropIndex,
    };
    Op::Schema { change }
}
