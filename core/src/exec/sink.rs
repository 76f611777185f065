//! Where rows of a result go.

use super::operator::project;
use crate::base::schema::ColumnIndex;
use crate::base::{Datum, RowRef, SqlResult};

/// Takes the rows of a result, one by one. The session encodes them for the wire as they come.
pub trait RowSink {
    /// One row, of the types that [`crate::sql::plan::Prepared::columns`] names.
    fn row(&mut self, values: &[Datum]) -> SqlResult<()>;

    /// Throws the rows away: the statement is run again.
    fn restart(&mut self);

    /// One stored row, of which the result has these columns.
    fn stored(&mut self, row: RowRef<'_>, columns: &[ColumnIndex]) -> SqlResult<()> {
        self.row(&project(row, columns)?)
    }
}

/// Keeps the rows.
impl RowSink for Vec<Vec<Datum>> {
    fn row(&mut self, values: &[Datum]) -> SqlResult<()> {
        self.push(values.to_vec());
        Ok(())
    }

    fn restart(&mut self) {
        self.clear();
    }
}
