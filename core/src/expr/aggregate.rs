//! The table of aggregates and their accumulators.

use crate::base::{Datum, SqlError, SqlResult, SqlType};

/// A row of the table.
#[derive(Debug)]
pub struct Aggregate {
    /// PostgreSQL's oid in `pg_proc`: identity in plans on the wire.
    pub oid: u32,
    pub name: &'static str,
    /// Types of the arguments; empty for `count(*)`.
    pub args: &'static [SqlType],
    pub result: SqlType,
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Aggregate) -> bool {
        self.oid == other.oid
    }
}

/// Every aggregate.
pub static AGGREGATES: &[Aggregate] = &[];

/// Whether `name` is an aggregate, whatever its arguments.
pub fn is_aggregate(name: &str) -> bool {
    AGGREGATES.iter().any(|a| a.name == name)
}

/// The aggregate for arguments of these types; `count(*)` has none.
pub fn resolve_aggregate(name: &str, args: &[SqlType]) -> SqlResult<&'static Aggregate> {
    let _ = args;
    Err(SqlError::unsupported(format!("aggregate {name}")))
}

/// The state of one aggregate over one group of rows. DISTINCT and FILTER are the executor's: it
/// does not add what they leave out.
#[derive(Clone, Debug)]
pub struct Accumulator {
    aggregate: &'static Aggregate,
}

impl Accumulator {
    pub fn new(aggregate: &'static Aggregate) -> Accumulator {
        Accumulator { aggregate }
    }

    /// Takes one row's arguments, of the aggregate's types.
    pub fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let _ = args;
        Err(SqlError::unsupported(self.aggregate.name))
    }

    /// Merges the state of the same aggregate over other rows.
    pub fn merge(&mut self, other: Accumulator) -> SqlResult<()> {
        let _ = other;
        Err(SqlError::unsupported(self.aggregate.name))
    }

    /// The value of the group.
    pub fn finish(self) -> SqlResult<Datum> {
        Err(SqlError::unsupported(self.aggregate.name))
    }
}
