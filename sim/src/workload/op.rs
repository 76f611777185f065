//! Operations.

use serde::{Deserialize, Serialize};

/// Rows of the register table: keys `0..REGISTERS`, all 0 at first.
pub const REGISTERS: u64 = 12;
/// Pairs of rows that are only ever written together: pair `p` is rows `2p` and `2p + 1`.
pub const PAIRS: u64 = 4;
/// Accounts of the bank and what each starts with.
pub const ACCOUNTS: u64 = 6;
pub const ACCOUNT_START: i64 = 100;
/// Rows that belong to one client count in this ring.
pub const OWN_MODULUS: i64 = 1_000_003;
/// A retried write writes `value + (attempt << ATTEMPT_SHIFT)`, so that each attempt is told apart.
pub const ATTEMPT_SHIFT: u32 = 40;

/// One operation, one statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "kebab-case")]
pub enum Op {
    /// Sets a register; no two writes of a run set the same value.
    Write {
        key: u64,
        value: i64,
    },
    Read {
        key: u64,
    },
    /// Adds a row under an id never used before.
    Insert {
        id: i64,
    },
    /// All ids inserted.
    ReadInserted,
    /// Whether one id was inserted.
    ReadOneInserted {
        id: i64,
    },
    /// Sets both rows of a pair in one statement; values are unique as for `Write`.
    PairWrite {
        pair: u64,
        value: i64,
    },
    PairRead {
        pair: u64,
    },
    /// Moves money between two accounts in one statement.
    Transfer {
        from: u64,
        to: u64,
        amount: i64,
    },
    BankRead,
    /// `v = (v * factor + add) % OWN_MODULUS` on a row only this client uses.
    OwnUpdate {
        row: u64,
        factor: i64,
        add: i64,
    },
    OwnRead {
        row: u64,
    },
}

impl Op {
    /// The operation as its `attempt`-th retry sends it.
    pub fn attempt(self, attempt: u32) -> Op {
        let mark = i64::from(attempt) << ATTEMPT_SHIFT;
        match self {
            Op::Write { key, value } => Op::Write { key, value: value + mark },
            Op::PairWrite { pair, value } => Op::PairWrite { pair, value: value + mark },
            Op::Insert { id } => Op::Insert { id: id + mark },
            other => other,
        }
    }

    /// Whether it leaves the data as it is, so that an unknown outcome is as good as none.
    pub fn is_read(self) -> bool {
        matches!(
            self,
            Op::Read { .. }
                | Op::ReadInserted
                | Op::ReadOneInserted { .. }
                | Op::PairRead { .. }
                | Op::BankRead
                | Op::OwnRead { .. }
        )
    }

    /// The read that shows what this write did, where any client may know what it must show.
    pub fn shown_by(self) -> Option<Op> {
        match self {
            Op::Write { key, .. } => Some(Op::Read { key }),
            Op::PairWrite { pair, .. } => Some(Op::PairRead { pair }),
            Op::Insert { id } => Some(Op::ReadOneInserted { id }),
            _ => None,
        }
    }

    /// How many rows a write must report.
    pub fn rows_written(self) -> u64 {
        match self {
            Op::Write { .. } | Op::Insert { .. } | Op::OwnUpdate { .. } => 1,
            Op::PairWrite { .. } | Op::Transfer { .. } => 2,
            _ => 0,
        }
    }
}

/// The value of a client's own row after an update.
pub fn own_row_next(value: i64, factor: i64, add: i64) -> i64 {
    (value * factor + add) % OWN_MODULUS
}
