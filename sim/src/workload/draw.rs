//! Drawing the clients of a seed and their operations.

use std::collections::BTreeSet;

use basalt_core::seam::Rng;

use super::op::{ACCOUNTS, Op, PAIRS, REGISTERS};
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
    let weights = Weights::draw(mix, rng);
    (0..count)
        .map(|client| {
            let ops_here = rng.range(ops / 2 + 1, ops + ops / 2 + 1);
            ClientPlan {
                dc: rng.below(u64::from(topology.dcs())) as u8,
                think_us: chaos_ms * 1_000 / ops_here,
                ops: weights.ops(client, ops_here, rng),
                followers: 0,
            }
        })
        .collect()
}

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
    fn draw(mix: Mix, rng: &mut Rng) -> Weights {
        let registers: [Make; 2] = [write, read];
        let sql: [Make; 7] =
            [insert, pair_write, pair_read, transfer, bank_read, own_update, own_read];
        let mut of: Vec<_> = registers.iter().map(|op| (rng.range(1, 8), *op)).collect();
        if mix == Mix::Sql {
            of.extend(sql.iter().map(|op| (rng.below(6), *op)));
        }
        Weights { of, keys: rng.range(1, REGISTERS) }
    }

    /// A client that changes rows of its own looks at them once more at the end.
    fn ops(&self, client: u16, count: u64, rng: &mut Rng) -> Vec<Op> {
        let mut ops: Vec<Op> = (0..count).map(|k| self.op(client, k, rng)).collect();
        let own: BTreeSet<u64> = ops.iter().filter_map(own_row_written).collect();
        ops.extend(own.into_iter().map(|row| Op::OwnRead { row }));
        ops
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_looks_at_the_rows_it_changed_last() {
        let weights = Weights { of: vec![(1, own_update), (3, read)], keys: 2 };
        let ops = weights.ops(1, 40, &mut Rng::from_u64(1));
        let changed: BTreeSet<u64> = ops.iter().filter_map(own_row_written).collect();
        let last: Vec<Op> = changed.iter().map(|row| Op::OwnRead { row: *row }).collect();
        assert!(!last.is_empty() && ops.ends_with(&last), "{ops:?}");
        assert_eq!(ops.len(), 40 + last.len());
    }
}
