//! The rows of a result on their way from one instance to another: encoded as they come, decoded as they go.
//!
//! ```text
//! rows    varint count, count × row
//! row     varint number of values, each
//!           0                      NULL
//!           1, varint length, …    its binary format
//! ```
//! They are kept in this form, so that a result takes no more memory than it takes on the way. It grows to
//! [`FORWARDED_BYTES_MAX`]: the statement that makes a longer one is refused before it changes anything.

use std::rc::Rc;

use bytes::Bytes;

use crate::base::codec::{CodecResult, Reader, Writer};
use crate::base::limits::FORWARDED_BYTES_MAX;
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType, binary_format};
use crate::exec::{Memory, Pool, RowSink};

/// Bytes of a result that are not counted; what is counted grows in steps of as many.
const UNCOUNTED_BYTES: usize = 64 << 10;

/// Rows of a result, of types that are told beside them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultRows {
    count: u64,
    /// `count` rows, whole ones.
    encoded: Bytes,
}

impl ResultRows {
    pub fn write(&self, w: &mut Writer) {
        w.varint(self.count);
        w.raw(&self.encoded);
    }

    pub fn read(r: &mut Reader) -> CodecResult<ResultRows> {
        let count = r.varint()?;
        let mut encoded = r.clone();
        for _ in 0..count {
            let values = r.varint()?;
            for _ in 0..values {
                r.option(Reader::bytes)?;
            }
        }
        let len = encoded.left() - r.left();
        Ok(ResultRows { count, encoded: encoded.raw(len)? })
    }

    /// Hands each row to `see`.
    ///
    /// # Errors
    /// Those of `see`; `XX000` where the values are not of these types.
    pub fn each(
        &self,
        types: &[SqlType],
        mut see: impl FnMut(&[Datum]) -> SqlResult<()>,
    ) -> SqlResult<()> {
        let mut reader = Reader::new(self.encoded.clone(), "the rows of a result");
        let mut row = Vec::with_capacity(types.len());
        for _ in 0..self.count {
            read_row(&mut reader, types, &mut row)?;
            see(&row)?;
        }
        Ok(())
    }
}

fn read_row(reader: &mut Reader, types: &[SqlType], row: &mut Vec<Datum>) -> SqlResult<()> {
    let malformed = |error| SqlError::internal(format!("a malformed reply: {error}"));
    row.clear();
    let values = reader.varint().map_err(malformed)?;
    if values != types.len() as u64 {
        let columns = types.len();
        return Err(SqlError::internal(format!(
            "a reply of {values} values for {columns} columns"
        )));
    }
    for ty in types {
        row.push(match reader.option(Reader::bytes).map_err(malformed)? {
            None => Datum::Null,
            Some(bytes) => binary_format::decode(*ty, &bytes)?,
        });
    }
    Ok(())
}

/// Takes the rows of a result that is to travel.
#[derive(Debug)]
pub struct ResultWriter {
    types: Vec<SqlType>,
    count: u64,
    encoded: Writer,
    /// Counts what is encoded; never more than that.
    kept: Memory,
    /// One value; kept for its allocation.
    value: Vec<u8>,
}

impl ResultWriter {
    /// For rows of these types, which count in `results` while they are here.
    pub fn new(types: Vec<SqlType>, results: &Rc<Pool>) -> ResultWriter {
        let kept = Memory::new(usize::MAX, results);
        ResultWriter { types, count: 0, encoded: Writer::new(), kept, value: Vec::new() }
    }

    pub fn types(&self) -> &[SqlType] {
        &self.types
    }

    /// The rows, and what counts them.
    pub fn finish(self) -> (ResultRows, Memory) {
        (ResultRows { count: self.count, encoded: self.encoded.into_bytes() }, self.kept)
    }
}

impl RowSink for ResultWriter {
    fn row(&mut self, values: &[Datum]) -> SqlResult<()> {
        if values.len() != self.types.len() {
            let (values, columns) = (values.len(), self.types.len());
            return Err(SqlError::internal(format!(
                "a row of {values} values for {columns} columns"
            )));
        }
        self.encoded.varint(values.len() as u64);
        for (ty, value) in self.types.iter().zip(values) {
            self.encoded.bool(!value.is_null());
            if !value.is_null() {
                self.value.clear();
                binary_format::encode(*ty, value, &mut self.value)?;
                self.encoded.bytes(&self.value);
            }
            // Each value is bounded by itself: there is never more than one beyond the limit.
            if self.encoded.len() > FORWARDED_BYTES_MAX {
                return Err(too_large());
            }
            let uncounted = self.encoded.len() - self.kept.used();
            if uncounted > UNCOUNTED_BYTES {
                self.kept.take(uncounted)?;
            }
        }
        self.count += 1;
        Ok(())
    }

    fn restart(&mut self) {
        (self.count, self.encoded) = (0, Writer::new());
        self.kept.keep_at_most(0);
    }
}

fn too_large() -> SqlError {
    let message = format!(
        "a result of more than {FORWARDED_BYTES_MAX} bytes, the maximum through another instance"
    );
    SqlError::new(SqlState::ProgramLimitExceeded, message)
        .with_hint("Connect to the instance that leads the replica set.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer(types: &[SqlType]) -> ResultWriter {
        ResultWriter::new(types.to_vec(), &Pool::new(usize::MAX, "All"))
    }

    fn written(rows: &[Vec<Datum>], types: &[SqlType]) -> ResultRows {
        let mut writer = writer(types);
        rows.iter().for_each(|row| writer.row(row).unwrap());
        writer.finish().0
    }

    #[test]
    fn rows_come_back_as_they_went() {
        let types = [SqlType::Int4, SqlType::Text];
        let rows = [
            vec![Datum::Int4(7), Datum::text("seven")],
            vec![Datum::Null, Datum::text("")],
            vec![Datum::Int4(-1), Datum::Null],
        ];
        let result = written(&rows, &types);
        let mut w = Writer::new();
        result.write(&mut w);
        w.u8(99);
        let mut r = Reader::new(w.into_bytes(), "a test");
        let read = ResultRows::read(&mut r).unwrap();
        assert_eq!((&read, r.left()), (&result, 1), "what follows is not part of it");
        let mut seen = Vec::new();
        read.each(&types, |row| seen.row(row)).unwrap();
        assert_eq!(seen, rows);
        let error = read.each(&types[..1], |_| Ok(())).unwrap_err();
        assert_eq!(error.state, SqlState::InternalError, "of other columns");
    }

    #[test]
    fn a_result_without_columns_has_a_number_of_rows() {
        let result = written(&[vec![], vec![]], &[]);
        let mut count = 0;
        let mut see = |_: &[Datum]| {
            count += 1;
            Ok(())
        };
        result.each(&[], &mut see).unwrap();
        assert_eq!(count, 2);
    }

    #[test]
    fn a_run_that_starts_over_leaves_nothing() {
        let mut writer = writer(&[SqlType::Text]);
        writer.row(&[Datum::text("x".repeat(1 << 20))]).unwrap();
        writer.restart();
        let (rows, kept) = writer.finish();
        assert_eq!((rows, kept.used()), (ResultRows::default(), 0));
    }

    #[test]
    fn it_grows_to_a_bound() {
        let mut writer = writer(&[SqlType::Text]);
        let row = [Datum::text("x".repeat(1 << 20))];
        let took = (0..100).take_while(|_| writer.row(&row).is_ok()).count();
        assert_eq!(took, FORWARDED_BYTES_MAX / (1 << 20) - 1);
        assert!(writer.encoded.len() < FORWARDED_BYTES_MAX + (2 << 20));
    }

    #[test]
    fn all_results_together_have_a_bound() {
        let pool = Pool::new(3 << 20, "Results");
        let row = [Datum::text("x".repeat(1 << 20))];
        let mut first = ResultWriter::new(vec![SqlType::Text], &pool);
        let mut second = ResultWriter::new(vec![SqlType::Text], &pool);
        first.row(&row).unwrap();
        second.row(&row).unwrap();
        assert_eq!(second.row(&row).unwrap_err().state, SqlState::OutOfMemory);
        second.restart();
        second.row(&[Datum::text("short")]).unwrap();
        first.row(&row).unwrap();
        let (_, kept) = first.finish();
        assert!((2 << 20..3 << 20).contains(&pool.used()), "{}", pool.used());
        drop((kept, second));
        assert_eq!(pool.used(), 0);
    }
}
