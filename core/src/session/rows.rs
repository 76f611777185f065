//! Result rows, written in the formats the client asked for.
//!
//! Values come as [`Datum`]s from the executor, or as stored bytes on the point path. Storage keeps
//! values in PostgreSQL's binary form, so a stored value goes to a binary column as it is and to a
//! text column through a few digits, without a `Datum` between for the common types.

use crate::base::schema::ColumnIndex;
use crate::base::{
    Datum, RowRef, SqlError, SqlResult, SqlState, SqlType, binary_format, text_format,
};
use crate::exec::{Memory, RowSink};
use crate::pgwire::backend::DataRow;
use crate::pgwire::{Format, Formats};
use crate::sql::plan::ResultColumn;

/// Bytes of a result that are not counted; what is counted grows in steps of as many.
const UNCOUNTED_BYTES: usize = 64 << 10;

/// The formats of a result's columns: none (all text), one for all, or one a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultFormats {
    codes: Vec<Format>,
}

impl ResultFormats {
    /// Takes over the codes of a `Bind`, keeping the allocation.
    pub fn assign(&mut self, formats: Formats<'_>) {
        self.codes.clear();
        self.codes.extend((0..formats.count()).map(|k| formats.of(k)));
    }

    pub fn of(&self, column: usize) -> Format {
        match self.codes.as_slice() {
            [] => Format::Text,
            [all] => *all,
            each => each.get(column).copied().unwrap_or_default(),
        }
    }
}

/// Appends `DataRow` messages to a buffer.
#[derive(Debug)]
pub struct RowWriter<'a> {
    out: &'a mut Vec<u8>,
    columns: &'a [ResultColumn],
    formats: &'a ResultFormats,
    /// The buffer may grow to this length.
    limit: usize,
    /// It is counted up to this length; beyond it, more has to be taken.
    counted: usize,
    kept: &'a Memory,
    rows: u64,
    start: usize,
}

impl<'a> RowWriter<'a> {
    /// At most `limit` bytes of rows are taken, and as many as `kept` has room for, which counts them as
    /// long as the rows are kept.
    pub fn new(
        out: &'a mut Vec<u8>,
        columns: &'a [ResultColumn],
        formats: &'a ResultFormats,
        limit: usize,
        kept: &'a Memory,
    ) -> RowWriter<'a> {
        let start = out.len();
        let limit = start.saturating_add(limit);
        let counted = limit.min(start + UNCOUNTED_BYTES);
        RowWriter { out, columns, formats, limit, counted, kept, rows: 0, start }
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    fn check_width(&self, width: usize) -> SqlResult<()> {
        if width == self.columns.len() {
            return Ok(());
        }
        let columns = self.columns.len();
        Err(SqlError::internal(format!("a row of {width} values for {columns} columns")))
    }

    fn write(
        &mut self,
        column: impl FnMut(&mut Self, usize, &mut DataRow) -> SqlResult<()>,
    ) -> SqlResult<()> {
        let mut data = DataRow::begin(self.out, self.columns.len())?;
        if let Err(error) = self.values(column, &mut data) {
            data.abandon(self.out);
            return Err(error);
        }
        self.rows += 1;
        Ok(())
    }

    /// Each value is bounded by itself, so that the buffer never holds more than one beyond the limit.
    fn values(
        &mut self,
        mut column: impl FnMut(&mut Self, usize, &mut DataRow) -> SqlResult<()>,
        data: &mut DataRow,
    ) -> SqlResult<()> {
        for k in 0..self.columns.len() {
            column(self, k, data)?;
            if self.out.len() > self.counted {
                self.count()?;
            }
        }
        data.end(self.out)
    }

    /// Counts what was written since the last time, and room for some more.
    #[cold]
    fn count(&mut self) -> SqlResult<()> {
        if self.out.len() > self.limit {
            return Err(too_large());
        }
        let reach = self.limit.min(self.out.len() + UNCOUNTED_BYTES);
        self.kept.take(reach - self.counted)?;
        self.counted = reach;
        Ok(())
    }

    fn datum(&mut self, k: usize, value: &Datum, data: &mut DataRow) -> SqlResult<()> {
        if value.is_null() {
            data.null(self.out);
            return Ok(());
        }
        let ty = self.columns[k].ty;
        match self.formats.of(k) {
            Format::Text => data.value(self.out, |out| {
                text_format::write(ty, value, out);
                Ok(())
            }),
            Format::Binary => data.value(self.out, |out| binary_format::encode(ty, value, out)),
        }
    }

    fn stored_value(
        &mut self,
        k: usize,
        value: Option<&[u8]>,
        data: &mut DataRow,
    ) -> SqlResult<()> {
        let Some(bytes) = value else {
            data.null(self.out);
            return Ok(());
        };
        if self.formats.of(k) == Format::Binary {
            return data.bytes(self.out, bytes);
        }
        let ty = self.columns[k].ty;
        match ty {
            SqlType::Text
            | SqlType::Varchar
            | SqlType::Bpchar
            | SqlType::Name
            | SqlType::Json
            | SqlType::Unknown => data.bytes(self.out, bytes),
            // Wide values are rare and cost an allocation; fixed ones fit the stack.
            _ => {
                let value = binary_format::decode(ty, bytes)?;
                self.datum(k, &value, data)
            }
        }
    }
}

/// `54000`.
fn too_large() -> SqlError {
    SqlError::new(SqlState::ProgramLimitExceeded, "the result of the statement is too large")
        .with_hint("Ask for fewer rows, with LIMIT or a narrower condition.")
}

impl RowSink for RowWriter<'_> {
    /// Error: 54000 for a result too large, 53200 where all results together are, and `XX000` for a
    /// row of another width.
    fn row(&mut self, values: &[Datum]) -> SqlResult<()> {
        self.check_width(values.len())?;
        self.write(|writer, k, data| writer.datum(k, &values[k], data))
    }

    fn restart(&mut self) {
        self.out.truncate(self.start);
        self.kept.keep_at_most(self.start);
        self.counted = self.limit.min(self.start + UNCOUNTED_BYTES);
        self.rows = 0;
    }

    fn stored(&mut self, row: RowRef<'_>, columns: &[ColumnIndex]) -> SqlResult<()> {
        self.check_width(columns.len())?;
        self.write(|writer, k, data| {
            writer.stored_value(k, row.raw(usize::from(columns[k]))?, data)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::row::RowLayout;
    use crate::exec::Pool;

    fn plenty() -> Memory {
        Memory::new(usize::MAX, &Pool::new(usize::MAX, "All"))
    }

    fn column(ty: SqlType) -> ResultColumn {
        ResultColumn { name: "c".into(), ty, typmod: -1, origin: None }
    }

    fn values() -> Vec<(SqlType, Datum)> {
        vec![
            (SqlType::Int4, Datum::Int4(-42)),
            (SqlType::Int8, Datum::Int8(i64::MAX)),
            (SqlType::Bool, Datum::Bool(true)),
            (SqlType::Text, Datum::text("käse")),
            (SqlType::Float8, Datum::Float8(1.5)),
            (SqlType::Uuid, Datum::Uuid([7; 16])),
            (SqlType::TimestampTz, Datum::Timestamp(86_400_000_000)),
            (SqlType::Text, Datum::Null),
        ]
    }

    /// A row from stored bytes and one from values are the same bytes, in both formats.
    #[test]
    fn stored_rows_and_value_rows_agree() {
        let columns: Vec<ResultColumn> = values().iter().map(|(ty, _)| column(*ty)).collect();
        let datums: Vec<Datum> = values().into_iter().map(|(_, value)| value).collect();
        let layout = RowLayout::of_types(values().iter().map(|(ty, _)| *ty), 1);
        let mut stored = Vec::new();
        layout.encode(&datums, &mut stored).unwrap();
        let all: Vec<ColumnIndex> = (0..columns.len() as ColumnIndex).collect();
        for codes in [vec![], vec![Format::Binary]] {
            let formats = ResultFormats { codes };
            let (mut a, mut b) = (Vec::new(), Vec::new());
            RowWriter::new(&mut a, &columns, &formats, 1 << 20, &plenty()).row(&datums).unwrap();
            RowWriter::new(&mut b, &columns, &formats, 1 << 20, &plenty())
                .stored(RowRef::new(&layout, &stored).unwrap(), &all)
                .unwrap();
            assert_eq!(a, b);
            assert_eq!(a[0], b'D');
        }
    }

    #[test]
    fn results_are_bounded() {
        let columns = [column(SqlType::Text)];
        let formats = ResultFormats::default();
        let mut out = b"earlier".to_vec();
        let kept = plenty();
        let mut writer = RowWriter::new(&mut out, &columns, &formats, 40, &kept);
        writer.row(&[Datum::text("0123456789")]).unwrap();
        let error = writer.row(&[Datum::text("0123456789")]).unwrap_err();
        assert_eq!(error.state, SqlState::ProgramLimitExceeded);
        writer.restart();
        assert_eq!(writer.rows(), 0);
        assert_eq!(out, b"earlier");
    }

    #[test]
    fn long_results_count_together_until_they_are_gone() {
        let columns = [column(SqlType::Text)];
        let formats = ResultFormats::default();
        let pool = Pool::new(1 << 20, "Results");
        let kept = Memory::new(usize::MAX, &pool);
        let mut out = b"earlier".to_vec();
        let mut writer = RowWriter::new(&mut out, &columns, &formats, 10 << 20, &kept);
        let row = [Datum::text("x".repeat(10_000))];
        let rows = (0..200).take_while(|_| writer.row(&row).is_ok()).count();
        assert!((100..=110).contains(&rows), "{rows}");
        let error = writer.row(&row).unwrap_err();
        assert_eq!(error.state, SqlState::OutOfMemory);
        writer.restart();
        assert_eq!(pool.used(), 7, "as much as stays");
        for _ in 0..50 {
            writer.row(&row).unwrap();
        }
        assert!(kept.used() <= out.len() && pool.used() > 400_000, "{}", pool.used());
        drop(kept);
        assert_eq!(pool.used(), 0);
    }

    /// A row that selects one long value often ends at the limit, not at the end of the row; from
    /// values and from stored bytes, in text and in binary.
    #[test]
    fn one_row_is_bounded() {
        let columns: Vec<ResultColumn> = (0..1_000).map(|_| column(SqlType::Text)).collect();
        let long = Datum::text("x".repeat(10_000));
        let layout = RowLayout::of_types([SqlType::Text], 1);
        let mut stored = Vec::new();
        layout.encode(std::slice::from_ref(&long), &mut stored).unwrap();
        for codes in [vec![], vec![Format::Binary]] {
            let formats = ResultFormats { codes };
            let mut out = b"earlier".to_vec();
            let kept = plenty();
            let mut writer = RowWriter::new(&mut out, &columns, &formats, 25_000, &kept);
            let errors = [
                writer.row(&vec![long.clone(); 1_000]).unwrap_err(),
                writer.stored(RowRef::new(&layout, &stored).unwrap(), &[0; 1_000]).unwrap_err(),
            ];
            assert!(errors.iter().all(|error| error.state == SqlState::ProgramLimitExceeded));
            assert_eq!(out, b"earlier");
            assert!(out.capacity() < 100_000, "{}", out.capacity());
        }
    }
}
