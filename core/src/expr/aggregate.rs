//! The table of aggregates and their accumulators.
//!
//! An accumulator takes the rows of one group and gives one value. It can also give its state as
//! plain values and take over such a state, which is how a distributed aggregation works: each
//! shard accumulates its rows, the states travel as rows, and one instance merges them.
//!
//! ```text
//!   shard 1: avg(7), avg(8)  ─ state (15, 2) ─┐
//!   shard 2: avg(3)          ─ state (3, 1)  ─┴─ merge ─ finish ─ 6.0000000000000000
//! ```
//!
//! NULL arguments are skipped, but by `count(*)` and `array_agg`. Sums of integers are exact;
//! sums of floats depend on the order of rows in their last digits, as everywhere.

use super::cast::{CastContext, can_coerce, float_overflow};
use super::function::ANY;
use super::resolve::{self, Choice};
use crate::base::{Datum, Numeric, SqlError, SqlResult, SqlType, compare, limits, numeric};

/// What an aggregate computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    CountRows,
    CountValues,
    SumInteger,
    SumNumeric,
    SumFloat,
    AverageInteger,
    AverageNumeric,
    AverageFloat,
    Min,
    Max,
    BoolAnd,
    BoolOr,
    BitAnd,
    BitOr,
    StringAgg,
    ArrayAgg,
}

/// A row of the table.
#[derive(Debug)]
pub struct Aggregate {
    /// PostgreSQL's oid in `pg_proc`: identity in plans on the wire.
    pub oid: u32,
    pub name: &'static str,
    /// Types of the arguments; empty for `count(*)`; [`ANY`] takes any type.
    pub args: &'static [SqlType],
    pub result: SqlType,
    kind: Kind,
}

impl PartialEq for Aggregate {
    fn eq(&self, other: &Aggregate) -> bool {
        self.oid == other.oid
    }
}

const fn row(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    kind: Kind,
) -> Aggregate {
    Aggregate { oid, name, args, result, kind }
}

const BOOL: SqlType = SqlType::Bool;
const INT2: SqlType = SqlType::Int2;
const INT4: SqlType = SqlType::Int4;
const INT8: SqlType = SqlType::Int8;
const FLOAT4: SqlType = SqlType::Float4;
const FLOAT8: SqlType = SqlType::Float8;
const NUMERIC: SqlType = SqlType::Numeric;
const TEXT: SqlType = SqlType::Text;
const BYTEA: SqlType = SqlType::Bytea;
const BPCHAR: SqlType = SqlType::Bpchar;
const DATE: SqlType = SqlType::Date;
const TIMESTAMP: SqlType = SqlType::Timestamp;
const TIMESTAMPTZ: SqlType = SqlType::TimestampTz;
const OID: SqlType = SqlType::Oid;

/// Every aggregate. PostgreSQL's one polymorphic `array_agg` is a row for each element type here;
/// all but the first have oids from the range it leaves to system objects made at initdb.
#[rustfmt::skip]
pub static AGGREGATES: &[Aggregate] = &[
    row(2803, "count", &[], INT8, Kind::CountRows),
    row(2147, "count", &[ANY], INT8, Kind::CountValues),
    row(2109, "sum", &[INT2], INT8, Kind::SumInteger),
    row(2108, "sum", &[INT4], INT8, Kind::SumInteger),
    row(2107, "sum", &[INT8], NUMERIC, Kind::SumInteger),
    row(2114, "sum", &[NUMERIC], NUMERIC, Kind::SumNumeric),
    row(2110, "sum", &[FLOAT4], FLOAT4, Kind::SumFloat),
    row(2111, "sum", &[FLOAT8], FLOAT8, Kind::SumFloat),
    row(2102, "avg", &[INT2], NUMERIC, Kind::AverageInteger),
    row(2101, "avg", &[INT4], NUMERIC, Kind::AverageInteger),
    row(2100, "avg", &[INT8], NUMERIC, Kind::AverageInteger),
    row(2103, "avg", &[NUMERIC], NUMERIC, Kind::AverageNumeric),
    row(2104, "avg", &[FLOAT4], FLOAT8, Kind::AverageFloat),
    row(2105, "avg", &[FLOAT8], FLOAT8, Kind::AverageFloat),
    row(2133, "min", &[INT2], INT2, Kind::Min),
    row(2132, "min", &[INT4], INT4, Kind::Min),
    row(2131, "min", &[INT8], INT8, Kind::Min),
    row(2134, "min", &[OID], OID, Kind::Min),
    row(2135, "min", &[FLOAT4], FLOAT4, Kind::Min),
    row(2136, "min", &[FLOAT8], FLOAT8, Kind::Min),
    row(2146, "min", &[NUMERIC], NUMERIC, Kind::Min),
    row(2138, "min", &[DATE], DATE, Kind::Min),
    row(2142, "min", &[TIMESTAMP], TIMESTAMP, Kind::Min),
    row(2143, "min", &[TIMESTAMPTZ], TIMESTAMPTZ, Kind::Min),
    row(2145, "min", &[TEXT], TEXT, Kind::Min),
    row(2245, "min", &[BPCHAR], BPCHAR, Kind::Min),
    row(2117, "max", &[INT2], INT2, Kind::Max),
    row(2116, "max", &[INT4], INT4, Kind::Max),
    row(2115, "max", &[INT8], INT8, Kind::Max),
    row(2118, "max", &[OID], OID, Kind::Max),
    row(2119, "max", &[FLOAT4], FLOAT4, Kind::Max),
    row(2120, "max", &[FLOAT8], FLOAT8, Kind::Max),
    row(2130, "max", &[NUMERIC], NUMERIC, Kind::Max),
    row(2122, "max", &[DATE], DATE, Kind::Max),
    row(2126, "max", &[TIMESTAMP], TIMESTAMP, Kind::Max),
    row(2127, "max", &[TIMESTAMPTZ], TIMESTAMPTZ, Kind::Max),
    row(2129, "max", &[TEXT], TEXT, Kind::Max),
    row(2244, "max", &[BPCHAR], BPCHAR, Kind::Max),
    row(2517, "bool_and", &[BOOL], BOOL, Kind::BoolAnd),
    row(2519, "every", &[BOOL], BOOL, Kind::BoolAnd),
    row(2518, "bool_or", &[BOOL], BOOL, Kind::BoolOr),
    row(2236, "bit_and", &[INT2], INT2, Kind::BitAnd),
    row(2238, "bit_and", &[INT4], INT4, Kind::BitAnd),
    row(2240, "bit_and", &[INT8], INT8, Kind::BitAnd),
    row(2237, "bit_or", &[INT2], INT2, Kind::BitOr),
    row(2239, "bit_or", &[INT4], INT4, Kind::BitOr),
    row(2241, "bit_or", &[INT8], INT8, Kind::BitOr),
    row(3538, "string_agg", &[TEXT, TEXT], TEXT, Kind::StringAgg),
    row(3545, "string_agg", &[BYTEA, BYTEA], BYTEA, Kind::StringAgg),
    row(2335, "array_agg", &[TEXT], SqlType::TextArray, Kind::ArrayAgg),
    row(16_310, "array_agg", &[INT4], SqlType::Int4Array, Kind::ArrayAgg),
    row(16_311, "array_agg", &[INT8], SqlType::Int8Array, Kind::ArrayAgg),
    row(16_312, "array_agg", &[INT2], SqlType::Int2Array, Kind::ArrayAgg),
    row(16_313, "array_agg", &[BOOL], SqlType::BoolArray, Kind::ArrayAgg),
    row(16_314, "array_agg", &[FLOAT4], SqlType::Float4Array, Kind::ArrayAgg),
    row(16_315, "array_agg", &[FLOAT8], SqlType::Float8Array, Kind::ArrayAgg),
    row(16_316, "array_agg", &[NUMERIC], SqlType::NumericArray, Kind::ArrayAgg),
    row(16_317, "array_agg", &[SqlType::Varchar], SqlType::VarcharArray, Kind::ArrayAgg),
    row(16_318, "array_agg", &[BPCHAR], SqlType::BpcharArray, Kind::ArrayAgg),
    row(16_319, "array_agg", &[SqlType::Name], SqlType::NameArray, Kind::ArrayAgg),
    row(16_320, "array_agg", &[OID], SqlType::OidArray, Kind::ArrayAgg),
    row(16_321, "array_agg", &[BYTEA], SqlType::ByteaArray, Kind::ArrayAgg),
    row(16_322, "array_agg", &[DATE], SqlType::DateArray, Kind::ArrayAgg),
    row(16_323, "array_agg", &[TIMESTAMP], SqlType::TimestampArray, Kind::ArrayAgg),
    row(16_324, "array_agg", &[TIMESTAMPTZ], SqlType::TimestampTzArray, Kind::ArrayAgg),
    row(16_325, "array_agg", &[SqlType::Uuid], SqlType::UuidArray, Kind::ArrayAgg),
];

/// Whether `name` is an aggregate, whatever its arguments.
pub fn is_aggregate(name: &str) -> bool {
    AGGREGATES.iter().any(|a| a.name == name)
}

/// The aggregate with this oid.
pub fn by_oid(oid: u32) -> Option<&'static Aggregate> {
    AGGREGATES.iter().find(|a| a.oid == oid)
}

/// The aggregate for arguments of these types; `count(*)` has none.
///
/// Errors: as [`resolve::resolve_function`].
pub fn resolve_aggregate(name: &str, args: &[SqlType]) -> SqlResult<&'static Aggregate> {
    let candidates = AGGREGATES.iter().filter(|a| a.name == name && a.args.len() == args.len());
    let with_types = candidates.map(|a| {
        let wanted = a.args.iter().zip(args).map(|(w, given)| match (*w, *given) {
            (ANY, SqlType::Unknown) => TEXT,
            (ANY, given) => given,
            (wanted, _) => wanted,
        });
        (a, wanted.collect())
    });
    match resolve::choose(with_types.collect(), args, args) {
        Choice::One(aggregate) => Ok(aggregate),
        Choice::None => Err(resolve::no_function(name, args)),
        Choice::Many => Err(resolve::ambiguous_function(name, args)),
    }
}

impl Aggregate {
    /// The type that argument `at`, given as `given`, is converted to.
    pub fn argument_type(&self, at: usize, given: SqlType) -> SqlType {
        match self.args.get(at) {
            Some(&ANY) | None if given == SqlType::Unknown => TEXT,
            Some(&ANY) | None => given,
            Some(wanted) => {
                assert!(can_coerce(given, *wanted, CastContext::Implicit), "{self:?} of {given:?}");
                *wanted
            }
        }
    }

    /// Whether the result may be another for the same rows in another order.
    pub fn depends_on_order(&self) -> bool {
        matches!(self.kind, Kind::SumFloat | Kind::AverageFloat | Kind::StringAgg | Kind::ArrayAgg)
    }

    /// Types of the values that [`Accumulator::state`] gives.
    pub fn state_types(&self) -> Vec<SqlType> {
        match self.kind {
            Kind::CountRows | Kind::CountValues => vec![INT8],
            Kind::SumInteger | Kind::SumNumeric => vec![NUMERIC],
            Kind::SumFloat => vec![self.result],
            Kind::AverageInteger | Kind::AverageNumeric => vec![NUMERIC, INT8],
            Kind::AverageFloat => vec![FLOAT8, INT8],
            Kind::Min
            | Kind::Max
            | Kind::BoolAnd
            | Kind::BoolOr
            | Kind::BitAnd
            | Kind::BitOr
            | Kind::ArrayAgg => vec![self.result],
            Kind::StringAgg => vec![self.result, self.result],
        }
    }
}

/// The state of one aggregate over one group of rows. DISTINCT, ORDER BY and FILTER are the
/// executor's: it does not add what they leave out.
#[derive(Clone, Debug)]
pub struct Accumulator {
    aggregate: &'static Aggregate,
    /// Rows (`count(*)`) or values that are not NULL.
    count: i64,
    /// Sum of integers: 2^63 rows of 2^63 fit.
    integers: i128,
    /// The value so far of every other aggregate; NULL before the first.
    value: Datum,
    /// `string_agg`: the values joined so far.
    joined: Vec<u8>,
    /// `string_agg`: the delimiter that came with the first value, needed when merged after
    /// others.
    delimiter: Datum,
    elements: Vec<Datum>,
    /// Bytes of the elements.
    elements_bytes: usize,
}

impl Accumulator {
    pub fn new(aggregate: &'static Aggregate) -> Accumulator {
        Accumulator {
            aggregate,
            count: 0,
            integers: 0,
            value: Datum::Null,
            joined: Vec::new(),
            delimiter: Datum::Null,
            elements: Vec::new(),
            elements_bytes: 0,
        }
    }

    /// Bytes of what it keeps, beside its own size.
    pub fn memory_bytes(&self) -> usize {
        let beyond = |value: &Datum| value.memory_bytes() - size_of::<Datum>();
        beyond(&self.value) + beyond(&self.delimiter) + self.joined.len() + self.elements_bytes
    }

    /// Takes one row's arguments, of the aggregate's types.
    ///
    /// Errors: 22003 for a float that overflows, 54000 for a string or array that grows too large.
    pub fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let kind = self.aggregate.kind;
        let Some(value) = args.first() else {
            self.count += 1;
            return Ok(());
        };
        if kind == Kind::ArrayAgg {
            return self.add_elements(std::slice::from_ref(value));
        }
        if value.is_null() {
            return Ok(());
        }
        match kind {
            Kind::CountRows | Kind::CountValues | Kind::ArrayAgg => {}
            Kind::SumInteger | Kind::AverageInteger => {
                self.integers += i128::from(self.integer(value)?);
            }
            Kind::StringAgg => self.add_string(value, args.get(1).unwrap_or(&Datum::Null))?,
            _ => self.combine(value)?,
        }
        self.count += 1;
        Ok(())
    }

    /// The state as values of [`Aggregate::state_types`].
    pub fn state(self) -> SqlResult<Vec<Datum>> {
        let integers = || match self.count {
            0 => Datum::Null,
            _ => Datum::Numeric(Numeric::from_i128(self.integers)),
        };
        Ok(match self.aggregate.kind {
            Kind::CountRows | Kind::CountValues => vec![Datum::Int8(self.count)],
            Kind::SumInteger => vec![integers()],
            Kind::AverageInteger => vec![integers(), Datum::Int8(self.count)],
            Kind::AverageNumeric | Kind::AverageFloat => vec![self.value, Datum::Int8(self.count)],
            Kind::StringAgg => {
                let delimiter = self.delimiter.clone();
                vec![self.joined()?, delimiter]
            }
            Kind::ArrayAgg if self.elements.is_empty() => vec![Datum::Null],
            Kind::ArrayAgg => vec![Datum::Array(self.elements.into())],
            _ => vec![self.value],
        })
    }

    /// Merges the state of the same aggregate over rows that come after those seen so far.
    pub fn merge(&mut self, state: &[Datum]) -> SqlResult<()> {
        let (Some(first), second) = (state.first(), state.get(1)) else {
            return Err(SqlError::internal("an aggregate's state is empty"));
        };
        let kind = self.aggregate.kind;
        if let (Kind::CountRows | Kind::CountValues, Datum::Int8(count)) = (kind, first) {
            self.count += count;
            return Ok(());
        }
        if first.is_null() {
            return Ok(());
        }
        match (kind, first) {
            (Kind::SumInteger | Kind::AverageInteger, Datum::Numeric(sum)) => {
                self.integers += sum.to_i128().ok_or_else(|| self.broken(first))?;
            }
            (Kind::StringAgg, value) => {
                let delimiter = second.cloned().unwrap_or(Datum::Null);
                self.add_string(value, &delimiter)?;
            }
            (Kind::ArrayAgg, Datum::Array(elements)) => self.add_elements(elements)?,
            (_, value) => self.combine(value)?,
        }
        self.count += match second {
            Some(Datum::Int8(count)) => *count,
            _ => 1,
        };
        Ok(())
    }

    /// The value of the group.
    ///
    /// Errors: 22003 for a sum that does not fit its type.
    pub fn finish(self) -> SqlResult<Datum> {
        let kind = self.aggregate.kind;
        if matches!(kind, Kind::CountRows | Kind::CountValues) {
            return Ok(Datum::Int8(self.count));
        }
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        match kind {
            Kind::SumInteger if self.aggregate.result == INT8 => match i64::try_from(self.integers)
            {
                Ok(sum) => Ok(Datum::Int8(sum)),
                Err(_) => Err(numeric::out_of_range("bigint")),
            },
            Kind::SumInteger => Ok(Datum::Numeric(Numeric::from_i128(self.integers))),
            Kind::AverageInteger => {
                let sum = Numeric::from_i128(self.integers);
                sum.divide(&Numeric::from(self.count)).map(Datum::Numeric)
            }
            Kind::AverageNumeric => match &self.value {
                Datum::Numeric(sum) => sum.divide(&Numeric::from(self.count)).map(Datum::Numeric),
                other => Err(self.broken(other)),
            },
            Kind::AverageFloat => match &self.value {
                Datum::Float8(sum) => Ok(Datum::Float8(sum / self.count as f64)),
                other => Err(self.broken(other)),
            },
            Kind::ArrayAgg => Ok(Datum::Array(self.elements.into())),
            Kind::StringAgg => self.joined(),
            _ => Ok(self.value),
        }
    }

    fn broken(&self, value: &Datum) -> SqlError {
        SqlError::internal(format!("{:?} got {value:?}", self.aggregate))
    }

    fn integer(&self, value: &Datum) -> SqlResult<i64> {
        match value {
            Datum::Int2(v) => Ok(i64::from(*v)),
            Datum::Int4(v) => Ok(i64::from(*v)),
            Datum::Int8(v) => Ok(*v),
            other => Err(self.broken(other)),
        }
    }

    /// Joins a value to the value so far.
    fn combine(&mut self, value: &Datum) -> SqlResult<()> {
        // An average of floats is summed in double precision whatever its argument.
        let value = match (self.aggregate.kind, value) {
            (Kind::AverageFloat, Datum::Float4(v)) => Datum::Float8(f64::from(*v)),
            (_, value) => value.clone(),
        };
        if self.value.is_null() {
            self.value = value;
            return Ok(());
        }
        let ty = self.aggregate.result;
        let joined = match (self.aggregate.kind, &self.value, &value) {
            (Kind::SumNumeric | Kind::AverageNumeric, Datum::Numeric(a), Datum::Numeric(b)) => {
                Datum::Numeric(a.add(b)?)
            }
            (Kind::SumFloat, Datum::Float4(a), Datum::Float4(b)) => {
                let sum = a + b;
                check_sum(sum.is_infinite(), a.is_infinite() || b.is_infinite())?;
                Datum::Float4(sum)
            }
            (Kind::SumFloat | Kind::AverageFloat, Datum::Float8(a), Datum::Float8(b)) => {
                let sum = a + b;
                check_sum(sum.is_infinite(), a.is_infinite() || b.is_infinite())?;
                Datum::Float8(sum)
            }
            (Kind::Min, a, b) if compare::compare(ty, b, a).is_lt() => value,
            (Kind::Max, a, b) if compare::compare(ty, b, a).is_gt() => value,
            (Kind::Min | Kind::Max, ..) => return Ok(()),
            (Kind::BoolAnd, Datum::Bool(a), Datum::Bool(b)) => Datum::Bool(*a && *b),
            (Kind::BoolOr, Datum::Bool(a), Datum::Bool(b)) => Datum::Bool(*a || *b),
            (Kind::BitAnd, Datum::Int2(a), Datum::Int2(b)) => Datum::Int2(a & b),
            (Kind::BitAnd, Datum::Int4(a), Datum::Int4(b)) => Datum::Int4(a & b),
            (Kind::BitAnd, Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(a & b),
            (Kind::BitOr, Datum::Int2(a), Datum::Int2(b)) => Datum::Int2(a | b),
            (Kind::BitOr, Datum::Int4(a), Datum::Int4(b)) => Datum::Int4(a | b),
            (Kind::BitOr, Datum::Int8(a), Datum::Int8(b)) => Datum::Int8(a | b),
            (_, _, other) => return Err(self.broken(other)),
        };
        self.value = joined;
        Ok(())
    }

    /// Appends a string, behind the delimiter unless it is the first.
    fn add_string(&mut self, value: &Datum, delimiter: &Datum) -> SqlResult<()> {
        let bytes = |datum: &Datum| match datum {
            Datum::Text(text) => Ok(text.as_bytes().to_vec()),
            Datum::Bytea(bytes) => Ok(bytes.to_vec()),
            Datum::Null => Ok(Vec::new()),
            other => Err(self.broken(other)),
        };
        let (value, between) = (bytes(value)?, bytes(delimiter)?);
        if self.count == 0 {
            self.delimiter = delimiter.clone();
        } else {
            self.joined.extend(between);
        }
        self.joined.extend(value);
        check_size(self.joined.len())
    }

    /// What was joined, as the result's type.
    fn joined(self) -> SqlResult<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        if self.aggregate.result == BYTEA {
            return Ok(Datum::Bytea(self.joined.into()));
        }
        String::from_utf8(self.joined)
            .map(Datum::text)
            .map_err(|_| SqlError::internal("joined text is not UTF-8"))
    }

    fn add_elements(&mut self, elements: &[Datum]) -> SqlResult<()> {
        self.count += 1;
        if self.elements.len() + elements.len() > limits::ARRAY_ELEMENTS_MAX {
            return Err(too_large());
        }
        self.elements_bytes += elements.iter().map(Datum::memory_bytes).sum::<usize>();
        self.elements.extend_from_slice(elements);
        Ok(())
    }
}

fn check_sum(infinite: bool, given_infinite: bool) -> SqlResult<()> {
    if infinite && !given_infinite { Err(float_overflow()) } else { Ok(()) }
}

fn check_size(bytes: usize) -> SqlResult<()> {
    if bytes > limits::VALUE_BYTES_MAX { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> SqlError {
    SqlError::new(
        crate::base::SqlState::ProgramLimitExceeded,
        "the result of an aggregate is too large",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text_format;
    use std::collections::BTreeSet;

    fn ty(name: &str) -> SqlType {
        SqlType::ALL.into_iter().find(|t| t.info().name == name).unwrap()
    }

    /// The value over rows of texts, and over the same rows split among shards.
    fn over(name: &str, type_name: &str, rows: &[&str], split: Option<usize>) -> String {
        let given = ty(type_name);
        let mut types = vec![given];
        if name == "string_agg" {
            types.push(given);
        }
        let aggregate = match resolve_aggregate(name, &types) {
            Ok(aggregate) => aggregate,
            Err(error) => return error.message,
        };
        let wanted = aggregate.argument_type(0, given);
        let add = |accumulator: &mut Accumulator, rows: &[&str]| -> SqlResult<()> {
            for row in rows {
                let value = match *row {
                    "NULL" => Datum::Null,
                    text => text_format::parse(wanted, -1, text)?,
                };
                accumulator
                    .add(&[value, text_format::parse(wanted, -1, ",").unwrap_or(Datum::Null)])?;
            }
            Ok(())
        };
        let mut whole = Accumulator::new(aggregate);
        let result = match split {
            None => add(&mut whole, rows),
            Some(at) => [&rows[..at], &rows[at..]].into_iter().try_for_each(|part| {
                let mut shard = Accumulator::new(aggregate);
                add(&mut shard, part)?;
                let state = shard.state()?;
                assert_eq!(state.len(), aggregate.state_types().len());
                whole.merge(&state)
            }),
        };
        match result.and_then(|()| whole.finish()) {
            Ok(Datum::Null) => "NULL".to_owned(),
            Ok(value) => {
                let result = aggregate.result;
                format!("{} {}", result.info().name, text_format::to_string(result, &value))
            }
            Err(error) => error.message,
        }
    }

    /// As PostgreSQL 15 answers; however the rows are split, the answer is the same.
    #[test]
    fn values_of_groups() {
        for (name, ty, rows, expected) in [
            ("count", "int4", &["1", "NULL", "3"][..], "int8 2"),
            ("count", "json", &["{}"], "int8 1"),
            ("count", "int4", &[], "int8 0"),
            ("sum", "int4", &["2147483647", "1", "NULL"], "int8 2147483648"),
            ("sum", "int2", &["1", "2"], "int8 3"),
            ("sum", "int8", &["9223372036854775807", "1"], "numeric 9223372036854775808"),
            ("sum", "numeric", &["1.5", "2.25"], "numeric 3.75"),
            ("sum", "float8", &["1.5", "2.5"], "float8 4"),
            ("sum", "float4", &["0.1", "0.2"], "float4 0.3"),
            ("sum", "float8", &["1e308", "1e308"], "value out of range: overflow"),
            ("sum", "int4", &["NULL"], "NULL"),
            ("sum", "text", &[], "function sum(text) does not exist"),
            ("avg", "int4", &["1", "2"], "numeric 1.5000000000000000"),
            ("avg", "int8", &["1", "2", "4"], "numeric 2.3333333333333333"),
            ("avg", "numeric", &["1.5", "2"], "numeric 1.7500000000000000"),
            ("avg", "float4", &["1", "2"], "float8 1.5"),
            ("min", "int4", &["3", "NULL", "1", "2"], "int4 1"),
            ("max", "float8", &["1", "NaN", "2"], "float8 NaN"),
            ("max", "varchar", &["a", "b"], "text b"),
            ("min", "bpchar", &["b ", "a "], "bpchar a "),
            ("max", "date", &["2020-01-01", "infinity"], "date infinity"),
            ("min", "uuid", &[], "function min(uuid) does not exist"),
            ("min", "bool", &[], "function min(boolean) does not exist"),
            ("bool_and", "bool", &["t", "NULL", "f"], "bool f"),
            ("bool_or", "bool", &["f", "f"], "bool f"),
            ("every", "bool", &["t"], "bool t"),
            ("bit_or", "int4", &["1", "6"], "int4 7"),
            ("bit_and", "int8", &["3", "6"], "int8 2"),
            ("string_agg", "text", &["a", "NULL", "b", "c"], "text a,b,c"),
            ("string_agg", "varchar", &["a", "b"], "text a,b"),
            ("array_agg", "int4", &["1", "NULL", "2"], "_int4 {1,NULL,2}"),
            ("array_agg", "text", &[], "NULL"),
            (
                "array_agg",
                "uuid",
                &["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
                "_uuid {a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
            ),
        ] {
            assert_eq!(over(name, ty, rows, None), expected, "{name} {ty} {rows:?}");
            for at in 0..=rows.len() {
                assert_eq!(over(name, ty, rows, Some(at)), expected, "{name} {ty} split at {at}");
            }
        }
    }

    #[test]
    fn rows_are_counted_without_arguments() {
        let mut count = Accumulator::new(resolve_aggregate("count", &[]).unwrap());
        count.add(&[]).unwrap();
        count.add(&[]).unwrap();
        assert_eq!(count.finish().unwrap(), Datum::Int8(2));
    }

    #[test]
    fn rows_of_the_table_are_distinct() {
        let oids: BTreeSet<u32> = AGGREGATES.iter().map(|a| a.oid).collect();
        assert_eq!(oids.len(), AGGREGATES.len());
        assert!(AGGREGATES.iter().all(|a| super::super::function::by_oid(a.oid).is_none()));
    }
}
