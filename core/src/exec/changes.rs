//! The changes of one statement, before they become writes.
//!
//! [`Changes`] lies over the snapshot like a sheet: a row it holds is the row's new state (or its
//! deletion), everything else is as the reader says. Uniqueness is decided against both. An UPDATE
//! takes all its rows out first and puts the new ones in at the end, so the order of rows never
//! matters: `UPDATE t SET id = id + 1` works, as the SQL standard asks.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::key::{bucket, check_length, prefix_range, primary_key, unique_prefix};
use super::reader::{ScanPosition, ScanRequest, ScanSource};
use super::{CommandTag, ExecContext, ExecOutcome};
use crate::base::schema::{IndexDef, TableDef};
use crate::base::{
    BucketId, Datum, RowLayout, RowRef, RowWrite, SqlError, SqlResult, SqlState, text_format,
};
use crate::sql::plan::Arbiter;

/// Where a row is: its bucket and primary key.
pub type Place = (BucketId, Vec<u8>);

/// Rows looked at in one go when a unique index is probed.
const PROBE_ROWS: usize = 16;

/// The changes of a statement to one table.
pub struct Changes<'a> {
    table: &'a TableDef,
    layout: &'a RowLayout,
    rows: BTreeMap<Place, Option<Bytes>>,
    /// Per unique index, in the table's order: keys of rows that the statement put, and where.
    uniques: Vec<BTreeMap<Vec<u8>, Place>>,
}

/// A row that is in the way of a new one.
#[derive(Debug)]
pub struct Conflict {
    pub arbiter: Arbiter,
    pub place: Place,
    /// Its values.
    pub row: Vec<Datum>,
    /// Whether this same statement put it there.
    pub is_ours: bool,
}

impl<'a> Changes<'a> {
    pub fn new(table: &'a TableDef, layout: &'a RowLayout) -> Changes<'a> {
        let uniques = table.indexes.iter().map(|_| BTreeMap::new()).collect();
        Changes { table, layout, rows: BTreeMap::new(), uniques }
    }

    /// The place of a row with these values.
    pub fn place(&self, row: &[Datum], context: &ExecContext<'_>) -> SqlResult<Place> {
        let count = || context.reader.bucket_count(self.table);
        let bucket = bucket(self.table, count, |column| &row[usize::from(column)])?;
        Ok((bucket, primary_key(self.table, row)?))
    }

    /// Whether the statement already changed the row at this place.
    pub fn has(&self, place: &Place) -> bool {
        self.rows.contains_key(place)
    }

    /// Whether the statement has put a row there.
    pub fn puts(&self, place: &Place) -> bool {
        matches!(self.rows.get(place), Some(Some(_)))
    }

    pub fn delete(&mut self, place: Place, context: &ExecContext<'_>) -> SqlResult<()> {
        context.memory.take_key(&place.1)?;
        self.rows.insert(place, None);
        Ok(())
    }

    /// Puts a row that conflicts with nothing, or that takes the place of its older self.
    pub fn put(&mut self, place: Place, row: &[Datum], context: &ExecContext<'_>) -> SqlResult<()> {
        let mut bytes = Vec::new();
        self.layout.encode(row, &mut bytes)?;
        context.memory.take(2 * place.1.len() + bytes.len())?;
        for (index, keys) in self.table.indexes.iter().zip(&mut self.uniques) {
            if index.unique
                && let Some(key) = unique_prefix(self.table, index, row)?
            {
                check_length(&key)?;
                keys.insert(key, place.clone());
            }
        }
        self.rows.insert(place, Some(bytes.into()));
        Ok(())
    }

    /// The first row in the way of `row` at `place`: by primary key, then by unique index.
    pub fn conflict(
        &self,
        place: &Place,
        row: &[Datum],
        context: &ExecContext<'_>,
    ) -> SqlResult<Option<Conflict>> {
        if let Some(found) = self.row_at(place, context)? {
            return Ok(Some(found));
        }
        self.unique_conflict(place, row, None, context)
    }

    /// The row in the way of `row` at `place` by this key alone.
    pub fn conflict_in(
        &self,
        arbiter: Arbiter,
        place: &Place,
        row: &[Datum],
        context: &ExecContext<'_>,
    ) -> SqlResult<Option<Conflict>> {
        match arbiter {
            Arbiter::PrimaryKey => self.row_at(place, context),
            Arbiter::Index(at) => self.conflict_in_index(at, None, row, None, context),
        }
    }

    /// The first row other than the one at `place` that has the same key in a unique index.
    /// `before` are the values the row had: an index whose key did not change is not probed.
    pub fn unique_conflict(
        &self,
        place: &Place,
        row: &[Datum],
        before: Option<&[Datum]>,
        context: &ExecContext<'_>,
    ) -> SqlResult<Option<Conflict>> {
        for at in 0..self.table.indexes.len() {
            let found = self.conflict_in_index(at, Some(place), row, before, context)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// As [`Changes::unique_conflict`], in one index, which need not be unique. `except`: the row that `row`
    /// takes the place of.
    fn conflict_in_index(
        &self,
        at: usize,
        except: Option<&Place>,
        row: &[Datum],
        before: Option<&[Datum]>,
        context: &ExecContext<'_>,
    ) -> SqlResult<Option<Conflict>> {
        let index = &self.table.indexes[at];
        if !index.unique || crate::canary!(SkipUniqueCheck) {
            return Ok(None);
        }
        let Some(key) = unique_prefix(self.table, index, row)? else { return Ok(None) };
        if let Some(other) = self.uniques[at].get(&key)
            && Some(other) != except
            && self.puts(other)
            && let Some(found) = self.row_at(other, context)?
        {
            return Ok(Some(Conflict { arbiter: Arbiter::Index(at), ..found }));
        }
        let unchanged = match before {
            Some(before) => unique_prefix(self.table, index, before)?.as_ref() == Some(&key),
            None => false,
        };
        if unchanged { Ok(None) } else { self.probe(at, index, key, except, context) }
    }

    /// The row at a place as the statement sees it now.
    fn row_at(&self, place: &Place, context: &ExecContext<'_>) -> SqlResult<Option<Conflict>> {
        let (bytes, is_ours) = match self.rows.get(place) {
            Some(Some(bytes)) => (bytes.clone(), true),
            Some(None) => return Ok(None),
            None => match context.reader.get(self.table, place.0, &place.1)? {
                Some(bytes) => (bytes, false),
                None => return Ok(None),
            },
        };
        let row = RowRef::new(self.layout, &bytes)?.datums()?;
        Ok(Some(Conflict { arbiter: Arbiter::PrimaryKey, place: place.clone(), row, is_ours }))
    }

    /// Looks for a stored row with this key in a unique index. Rows that the statement changed are
    /// passed over: their new keys are in `uniques`.
    fn probe(
        &self,
        at: usize,
        index: &IndexDef,
        key: Vec<u8>,
        except: Option<&Place>,
        context: &ExecContext<'_>,
    ) -> SqlResult<Option<Conflict>> {
        let source = ScanSource::Index(index.id);
        let request = ScanRequest { table: self.table, source, range: prefix_range(key) };
        let mut position = ScanPosition::default();
        while !position.done {
            let mut found = Vec::new();
            context.reader.scan(&request, &mut position, PROBE_ROWS, &mut found)?;
            for bytes in found {
                let row = RowRef::new(self.layout, &bytes)?.datums()?;
                let place = self.place(&row, context)?;
                if Some(&place) != except && !self.has(&place) {
                    let arbiter = Arbiter::Index(at);
                    return Ok(Some(Conflict { arbiter, place, row, is_ours: false }));
                }
            }
        }
        Ok(None)
    }

    /// The outcome of the statement.
    pub fn finish(&mut self, tag: CommandTag) -> ExecOutcome {
        let table = self.table.id;
        let writes = std::mem::take(&mut self.rows)
            .into_iter()
            .map(|((bucket, key), row)| RowWrite { table, bucket, key: key.into(), row });
        ExecOutcome { tag, writes: writes.collect() }
    }

    /// 23502 if a column that must not be NULL is.
    pub fn check_not_null(&self, row: &[Datum]) -> SqlResult<()> {
        let missing = self.table.columns.iter().zip(row).find(|(c, v)| !c.nullable && v.is_null());
        let Some((column, _)) = missing else { return Ok(()) };
        let message = format!(
            "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
            column.name, self.table.name
        );
        Err(SqlError::new(SqlState::NotNullViolation, message)
            .with_detail(format!("Failing row contains ({}).", self.shown_row(row)))
            .with_table(&self.table.schema, &self.table.name)
            .with_column(&column.name))
    }

    /// 23505 for a conflict with `row`.
    pub fn violation(&self, arbiter: Arbiter, row: &[Datum]) -> SqlError {
        let (name, columns) = match arbiter {
            Arbiter::PrimaryKey => (&self.table.primary_key_name, self.table.primary_key.clone()),
            Arbiter::Index(at) => {
                let index = &self.table.indexes[at];
                (&index.name, index.columns.iter().map(|c| c.column).collect())
            }
        };
        let names: Vec<&str> =
            columns.iter().map(|c| self.table.columns[usize::from(*c)].name.as_str()).collect();
        let values: Vec<String> =
            columns.iter().map(|c| self.shown(usize::from(*c), row)).collect();
        let message = format!("duplicate key value violates unique constraint \"{name}\"");
        SqlError::new(SqlState::UniqueViolation, message)
            .with_detail(format!(
                "Key ({})=({}) already exists.",
                names.join(", "),
                values.join(", ")
            ))
            .with_table(&self.table.schema, &self.table.name)
            .with_constraint(name)
    }

    fn shown_row(&self, row: &[Datum]) -> String {
        let declared = (0..row.len()).filter(|at| !self.table.columns[*at].hidden);
        declared.map(|at| self.shown(at, row)).collect::<Vec<_>>().join(", ")
    }

    fn shown(&self, column: usize, row: &[Datum]) -> String {
        match &row[column] {
            Datum::Null => "null".to_owned(),
            value => text_format::to_string(self.table.columns[column].ty, value),
        }
    }
}
