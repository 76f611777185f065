//! Operations.

use std::fmt::Write as _;
use std::ops::RangeInclusive;

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
/// Rows of `items` that belong to one client.
pub const ITEM_ROWS: usize = 4;
/// Rows of a batch, at most.
pub const BATCH_ROWS_MAX: u64 = 100_000;
/// Values of `u` and `g` in `items`: from 0 up to these, or NULL.
pub const UNIQUES: i64 = 16;
pub const GROUPS: i64 = 4;
/// Texts grow up to this; a text is told by its number, see [`text`].
pub const TEXT_BYTES_MAX: u64 = 200_000;
const TEXT_LENGTH_SHIFT: u32 = 24;
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
    /// The rows of all clients, for the last reads.
    OwnReadAll,
    /// Adds one of the client's rows to `items`; another client may have its `u`.
    ItemInsert {
        row: usize,
        item: Item,
    },
    ItemUpdate {
        row: usize,
        to: ItemChange,
    },
    ItemDelete {
        row: usize,
    },
    /// Deletes the client's rows of one `g`.
    ItemDeleteGroup {
        g: i64,
    },
    ItemRead {
        by: ItemKey,
    },
    /// Adds many rows, at most [`BATCH_ROWS_MAX`], in one statement, all with the number of this batch, never used before.
    BatchInsert {
        batch: i64,
        rows: u64,
    },
    /// How many rows there are of each batch.
    BatchRead,
    /// Changes tables or indexes; only one client of a run does.
    Schema {
        change: SchemaChange,
    },
    /// Adds a row to the table that comes and goes, under an id never used before.
    ScratchInsert {
        id: i64,
    },
    /// All rows of the table that comes and goes.
    ScratchRead,
    /// What the catalog says of the tables.
    CatalogRead,
}

/// The values of a row of `items` besides its key.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct Item {
    /// Unique over all rows.
    pub u: Option<i64>,
    /// Under an index.
    pub g: Option<i64>,
    /// The number of a text, see [`text`].
    pub t: Option<i64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemChange {
    U(Option<i64>),
    G(Option<i64>),
    T(Option<i64>),
}

/// Which rows of `items` a read wants, and by which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemKey {
    /// One of the client's rows, by the primary key.
    Row(usize),
    U(i64),
    Group(i64),
    /// Those of a group, by a look at every row.
    GroupByScan(i64),
    All,
}

impl ItemKey {
    /// Whether a row is wanted, whoever's it is.
    pub fn takes(self, row: usize, item: Item) -> bool {
        match self {
            ItemKey::Row(wanted) => row == wanted,
            ItemKey::U(u) => item.u == Some(u),
            ItemKey::Group(g) | ItemKey::GroupByScan(g) => item.g == Some(g),
            ItemKey::All => true,
        }
    }
}

/// A change of the schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchemaChange {
    CreateScratch,
    DropScratch,
    TruncateScratch,
    AddColumn,
    /// The index of `items` on `g`.
    CreateIndex,
    DropIndex,
    /// A unique index of `items` that no row can be against, for its first column is the key.
    CreateUnique,
    DropUnique,
}

/// The text with this number: the number itself, then so many bytes as its upper bits say.
pub fn text(number: i64) -> String {
    let length = (number >> TEXT_LENGTH_SHIFT) as usize;
    let mut text = format!("{number}:");
    text.reserve(length);
    while text.len() < length {
        let word = text.len() as i64 ^ number;
        write!(text, "{word:x}.").expect("a string takes what is written to it");
    }
    text.truncate(length.max(text.find(':').map_or(0, |at| at + 1)));
    text
}

/// The number of a text of about so many bytes; the lower bits are `mark`.
pub fn text_number(bytes: u64, mark: u64) -> i64 {
    let length = bytes.min(TEXT_BYTES_MAX) << TEXT_LENGTH_SHIFT;
    let mark = mark % (1 << TEXT_LENGTH_SHIFT);
    (length | mark) as i64
}

impl Op {
    /// The operation as its `attempt`-th retry sends it.
    pub fn attempt(self, attempt: u32) -> Op {
        let mark = i64::from(attempt) << ATTEMPT_SHIFT;
        match self {
            Op::Write { key, value } => Op::Write { key, value: value + mark },
            Op::PairWrite { pair, value } => Op::PairWrite { pair, value: value + mark },
            Op::Insert { id } => Op::Insert { id: id + mark },
            Op::ScratchInsert { id } => Op::ScratchInsert { id: id + mark },
            Op::BatchInsert { batch, rows } => Op::BatchInsert { batch: batch + mark, rows },
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
                | Op::OwnReadAll
                | Op::ItemRead { .. }
                | Op::BatchRead
                | Op::ScratchRead
                | Op::CatalogRead
        )
    }

    /// Whether it takes rows away and adds none.
    pub fn deletes(self) -> bool {
        matches!(self, Op::ItemDelete { .. } | Op::ItemDeleteGroup { .. })
    }

    /// Whether it needs room for rows: an update does for the row's new version.
    pub fn adds(self) -> bool {
        match self {
            Op::Schema { change } => {
                matches!(change, SchemaChange::CreateIndex | SchemaChange::CreateUnique)
            }
            _ => !self.is_read() && !self.deletes(),
        }
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

    /// How many rows a write may report; where that is not one number, what it reports is an
    /// outcome.
    pub fn rows_written(self) -> RangeInclusive<u64> {
        match self {
            Op::Write { .. }
            | Op::Insert { .. }
            | Op::OwnUpdate { .. }
            | Op::ItemInsert { .. }
            | Op::ScratchInsert { .. } => 1..=1,
            Op::PairWrite { .. } | Op::Transfer { .. } => 2..=2,
            Op::BatchInsert { rows, .. } => rows..=rows,
            Op::ItemUpdate { .. } | Op::ItemDelete { .. } => 0..=1,
            Op::ItemDeleteGroup { .. } => 0..=ITEM_ROWS as u64,
            _ => 0..=0,
        }
    }

    /// How many rows it may add to a table.
    pub fn rows_added(self) -> u64 {
        match self {
            Op::Insert { .. } | Op::ItemInsert { .. } | Op::ScratchInsert { .. } => 1,
            Op::BatchInsert { rows, .. } => rows,
            _ => 0,
        }
    }

    /// Bytes of the text it may leave in a table.
    pub fn text_bytes(self) -> u64 {
        match self {
            Op::ItemInsert { item: Item { t: Some(text), .. }, .. }
            | Op::ItemUpdate { to: ItemChange::T(Some(text)), .. } => {
                (text >> TEXT_LENGTH_SHIFT) as u64
            }
            _ => 0,
        }
    }

    /// Whether the data or the schema may be such that this is refused with the SQLSTATE; whether it
    /// was so is for the checks to say.
    pub fn may_be_refused(self, code: &str) -> bool {
        match self {
            Op::ItemInsert { .. } | Op::ItemUpdate { to: ItemChange::U(_), .. } => code == "23505",
            Op::ScratchInsert { .. } | Op::ScratchRead => code == "42P01",
            Op::Schema { change } => code == change.refusal(),
            _ => false,
        }
    }
}

impl SchemaChange {
    /// The SQLSTATE when what is made is there already, or what is changed is not.
    pub fn refusal(self) -> &'static str {
        match self {
            SchemaChange::CreateScratch
            | SchemaChange::CreateIndex
            | SchemaChange::CreateUnique => "42P07",
            SchemaChange::DropIndex | SchemaChange::DropUnique => "42704",
            _ => "42P01",
        }
    }
}

/// The value of a client's own row after an update.
pub fn own_row_next(value: i64, factor: i64, add: i64) -> i64 {
    (value * factor + add) % OWN_MODULUS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_long_as_its_number_says_and_starts_with_it() {
        for bytes in [0, 30, 1_000, TEXT_BYTES_MAX] {
            let number = text_number(bytes, 12_345);
            let text = text(number);
            assert!(text.starts_with(&format!("{number}:")));
            assert!(bytes < 30 || text.len() as u64 == bytes, "{} for {bytes}", text.len());
        }
    }
}
