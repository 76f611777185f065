//! Rows of the table `accounts`: bigint, text, numeric and timestamp.

use basalt_core::base::schema::TableRef;
use basalt_core::base::{Datum, KeyOrder, Numeric, RowLayout, RowWrite, SqlType, keycode};
use basalt_core::bucket::bucket_of_key;
use basalt_fuzz::schema::Schema;
use bytes::Bytes;

/// Buckets of a tier, unless it is told otherwise.
const BUCKETS: u16 = 3_000;

/// The table, and how its rows lie.
pub struct Accounts {
    pub table: TableRef,
    pub layout: RowLayout,
}

impl Accounts {
    pub fn new() -> Accounts {
        let table = Schema::get().accounts().clone();
        Accounts { layout: RowLayout::new(&table.columns, 0), table }
    }

    pub fn write(&self, id: i64) -> RowWrite {
        let mut row = Vec::new();
        self.layout.encode(&values(id), &mut row).expect("values of the columns' types");
        let key = key(id);
        let bucket = bucket_of_key(&key, BUCKETS);
        RowWrite { table: self.table.id, bucket, key, row: Some(row.into()) }
    }
}

/// A row's values, in the order of the columns.
pub fn values(id: i64) -> [Datum; 4] {
    [
        Datum::Int8(id),
        Datum::text(format!("owner {:06}", id % 10_000)),
        Datum::Numeric(Numeric::from_parts(id * 101 % 1_000_000_007, 2)),
        Datum::Timestamp(id * 1_000_000),
    ]
}

/// The primary key.
pub fn key(id: i64) -> Bytes {
    let id = Datum::Int8(id);
    let key = keycode::encode_key([(SqlType::Int8, &id, KeyOrder::ASCENDING)]);
    key.expect("a short key").into()
}
