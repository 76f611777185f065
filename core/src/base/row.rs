//! Rows as bytes: what storage keeps, the log ships and the point path sends.
//!
//! Values are in PostgreSQL's binary form, so a driver that asks for it gets the stored bytes.
//! Header fields are little-endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 2 | schema version the row was written under |
//! | 2 | 2 | n, the columns it was written with |
//! | 4 | ⌈n/8⌉ | null bitmap: bit k of byte j is set where column 8j + k is NULL |
//! | | sum of widths | fixed-width columns in order, zeros where NULL |
//! | | 4 each | end of each variable-width column's bytes, counted from the start of those |
//! | | | bytes of the variable-width columns, in order |
//!
//! ```text
//!   (a int4, b text, c bool) = (7, 'hi', NULL), schema version 1
//!
//!   01 00   03 00   04   00 00 00 07  00   02 00 00 00   68 69
//!   version n       null a            c    end of b      b
//! ```
//!
//! Columns are only ever added at the end, so where a column lies follows from n and the columns
//! before it: a row written with fewer columns is read in place, the missing ones as NULL. A
//! [`RowLayout`] holds those positions for every n.

use super::schema::ColumnDef;
use super::{Datum, SqlError, SqlResult, SqlState, SqlType, binary_format, datetime, limits};

/// Bytes before the null bitmap.
const HEADER_BYTES: usize = 4;
/// Bytes of one end of a variable-width column.
const END_BYTES: usize = 4;

/// Where the bytes of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Bytes from the start of the fixed part.
    Fixed { offset: usize, width: usize },
    /// Position among the variable-width columns.
    Variable { index: usize },
}

/// Positions of a table's columns in its rows; computed once for a version of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowLayout {
    version: u16,
    types: Vec<SqlType>,
    places: Vec<Place>,
    /// At n: bytes of the fixed part, and count of variable-width columns, of the first n columns.
    sizes: Vec<(usize, usize)>,
}

impl RowLayout {
    /// The layout of rows with these columns, written under schema `version`.
    pub fn new(columns: &[ColumnDef], version: u16) -> RowLayout {
        RowLayout::of_types(columns.iter().map(|c| c.ty), version)
    }

    /// The layout of rows with columns of these types.
    pub fn of_types(types: impl IntoIterator<Item = SqlType>, version: u16) -> RowLayout {
        let mut layout = RowLayout {
            version,
            types: types.into_iter().collect(),
            places: Vec::new(),
            sizes: vec![(0, 0)],
        };
        let count = layout.types.len();
        assert!(count <= limits::TABLE_COLUMNS_MAX, "a table of {count} columns");
        let (mut offset, mut index) = (0, 0);
        for ty in &layout.types {
            match usize::try_from(ty.info().len) {
                Ok(width) if !matches!(ty, SqlType::Name | SqlType::Void) => {
                    layout.places.push(Place::Fixed { offset, width });
                    offset += width;
                }
                // A name is as long as it is, not always its 64 bytes.
                _ => {
                    layout.places.push(Place::Variable { index });
                    index += 1;
                }
            }
            layout.sizes.push((offset, index));
        }
        layout
    }

    /// How many columns rows of this layout have.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The column's type.
    pub fn column_type(&self, column: usize) -> Option<SqlType> {
        self.types.get(column).copied()
    }

    /// Appends the row. Values have the columns' types, one a column.
    ///
    /// Errors: XX000 for values that do not match the layout, 54000 for a row that is too large; what reading
    /// the row would give for a value that cannot be read.
    pub fn encode(&self, values: &[Datum], out: &mut Vec<u8>) -> SqlResult<()> {
        let count = self.types.len();
        if values.len() != count {
            let given = values.len();
            return Err(SqlError::internal(format!("{given} values for a row of {count} columns")));
        }
        let start = out.len();
        out.extend_from_slice(&self.version.to_le_bytes());
        out.extend_from_slice(&(count as u16).to_le_bytes());
        let (fixed_bytes, variable_count) = self.sizes[count];
        let bitmap = out.len();
        let fixed = bitmap + count.div_ceil(8);
        let ends = fixed + fixed_bytes;
        let variable = ends + variable_count * END_BYTES;
        out.resize(variable, 0);
        for (k, value) in values.iter().enumerate() {
            check_readable(value)?;
            if value.is_null() {
                out[bitmap + k / 8] |= 1 << (k % 8);
            }
            match self.places[k] {
                Place::Fixed { offset, width } => {
                    if !value.is_null() {
                        self.encode_fixed(k, value, fixed + offset, width, out)?;
                    }
                }
                Place::Variable { index } => {
                    if !value.is_null() {
                        binary_format::encode(self.types[k], value, out)?;
                    }
                    let at = ends + index * END_BYTES;
                    let end = row_end(out.len() - variable)?;
                    out[at..at + END_BYTES].copy_from_slice(&end.to_le_bytes());
                }
            }
        }
        row_end(out.len() - start)?;
        Ok(())
    }

    /// Encodes at the end, then moves the bytes to their place.
    fn encode_fixed(
        &self,
        column: usize,
        value: &Datum,
        place: usize,
        width: usize,
        out: &mut Vec<u8>,
    ) -> SqlResult<()> {
        let end = out.len();
        binary_format::encode(self.types[column], value, out)?;
        let written = out.len() - end;
        assert_eq!(written, width, "bytes of fixed-width column {column}");
        out.copy_within(end.., place);
        out.truncate(end);
        Ok(())
    }
}

/// Refuses what [`binary_format::decode`] refuses: a row with it could be neither read nor deleted. No
/// expression gives such a value unless we have missed one.
fn check_readable(value: &Datum) -> SqlResult<()> {
    match value {
        Datum::Date(days) if !datetime::date_is_valid(*days) => Err(datetime::out_of_range("date")),
        Datum::Timestamp(micros) if !datetime::timestamp_is_valid(*micros) => {
            Err(datetime::out_of_range("timestamp"))
        }
        Datum::Text(text) if text.contains('\0') => {
            binary_format::decode_text(text.as_bytes()).map(drop)
        }
        Datum::Array(elements) => elements.iter().try_for_each(check_readable),
        _ => Ok(()),
    }
}

/// A length within a row, checked against the bound of values.
fn row_end(bytes: usize) -> SqlResult<u32> {
    match u32::try_from(bytes) {
        Ok(end) if bytes <= limits::VALUE_BYTES_MAX => Ok(end),
        _ => Err(SqlError::new(
            SqlState::ProgramLimitExceeded,
            format!("row is too big: size {bytes}, maximum size {}", limits::VALUE_BYTES_MAX),
        )),
    }
}

fn corrupt(message: String) -> SqlError {
    SqlError::new(SqlState::DataCorrupted, message)
}

/// A row's bytes, read through a layout. Reading never looks outside the bytes, whatever they are.
#[derive(Clone, Copy, Debug)]
pub struct RowRef<'a> {
    layout: &'a RowLayout,
    bytes: &'a [u8],
    /// Columns in the bytes that the layout knows.
    present: usize,
    /// Start of the fixed part.
    fixed: usize,
    /// Start of the ends.
    ends: usize,
    /// Start of the variable-width bytes.
    variable: usize,
}

impl<'a> RowRef<'a> {
    /// Reads the header. XX001 for bytes shorter than their header says, or with more columns than
    /// the layout knows.
    pub fn new(layout: &'a RowLayout, bytes: &'a [u8]) -> SqlResult<RowRef<'a>> {
        let Some([_, _, low, high]) = bytes.first_chunk::<HEADER_BYTES>() else {
            return Err(corrupt(format!("a row of {} bytes has no header", bytes.len())));
        };
        let present = usize::from(u16::from_le_bytes([*low, *high]));
        let Some((fixed_bytes, variable_count)) = layout.sizes.get(present) else {
            let known = layout.types.len();
            return Err(corrupt(format!("a row of {present} columns in a table of {known}")));
        };
        let fixed = HEADER_BYTES + present.div_ceil(8);
        let ends = fixed + fixed_bytes;
        let variable = ends + variable_count * END_BYTES;
        if bytes.len() < variable {
            return Err(corrupt(format!("a row of {} bytes needs {variable}", bytes.len())));
        }
        Ok(RowRef { layout, bytes, present, fixed, ends, variable })
    }

    /// The schema version the row was written under.
    pub fn version(&self) -> u16 {
        u16::from_le_bytes([self.bytes[0], self.bytes[1]])
    }

    /// How many columns the layout has; all can be asked for.
    pub fn len(&self) -> usize {
        self.layout.types.len()
    }

    pub fn is_empty(&self) -> bool {
        self.layout.types.is_empty()
    }

    /// The column's bytes in PostgreSQL's binary form; `None` is NULL.
    pub fn raw(&self, column: usize) -> SqlResult<Option<&'a [u8]>> {
        let Some(place) = self.layout.places.get(column) else {
            return Err(SqlError::internal(format!("column {column} of {}", self.len())));
        };
        if column >= self.present || self.is_null_bit(column) {
            return Ok(None);
        }
        let range = match *place {
            Place::Fixed { offset, width } => self.fixed + offset..self.fixed + offset + width,
            Place::Variable { index } => {
                let start = if index == 0 { 0 } else { self.end(index - 1) };
                self.variable + start..self.variable + self.end(index)
            }
        };
        match self.bytes.get(range) {
            Some(bytes) => Ok(Some(bytes)),
            None => Err(corrupt(format!("column {column} lies outside its row"))),
        }
    }

    /// The column's value.
    pub fn datum(&self, column: usize) -> SqlResult<Datum> {
        match self.raw(column)? {
            Some(bytes) => binary_format::decode(self.layout.types[column], bytes),
            None => Ok(Datum::Null),
        }
    }

    /// Every column's value.
    pub fn datums(&self) -> SqlResult<Vec<Datum>> {
        (0..self.len()).map(|column| self.datum(column)).collect()
    }

    fn is_null_bit(&self, column: usize) -> bool {
        self.bytes[HEADER_BYTES + column / 8] & (1 << (column % 8)) != 0
    }

    fn end(&self, index: usize) -> usize {
        let at = self.ends + index * END_BYTES;
        let mut bytes = [0; END_BYTES];
        bytes.copy_from_slice(&self.bytes[at..at + END_BYTES]);
        u32::from_le_bytes(bytes) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::text_format;
    use proptest::prelude::*;

    fn encoded(layout: &RowLayout, values: &[Datum]) -> Vec<u8> {
        let mut out = Vec::new();
        layout.encode(values, &mut out).unwrap();
        out
    }

    /// Rows are on disk: these bytes may never change.
    #[test]
    fn golden_bytes() {
        let layout = RowLayout::of_types([SqlType::Int4, SqlType::Text, SqlType::Bool], 1);
        let row = encoded(&layout, &[Datum::Int4(7), Datum::text("hi"), Datum::Null]);
        assert_eq!(row, [1, 0, 3, 0, 4, 0, 0, 0, 7, 0, 2, 0, 0, 0, b'h', b'i']);

        let types = [SqlType::Numeric, SqlType::Name, SqlType::Timestamp, SqlType::Uuid];
        let layout = RowLayout::of_types(types, 0x0102);
        let text = ["1.5", "n", "2000-01-01 00:00:01", "00000000-0000-0000-0000-000000000001"];
        let values: Vec<Datum> = types
            .iter()
            .zip(text)
            .map(|(ty, text)| text_format::parse(*ty, -1, text).unwrap())
            .collect();
        let hex: String = encoded(&layout, &values).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            hex,
            "0201040000\
             00000000000f4240\
             00000000000000000000000000000001\
             0c0000000d000000\
             000200000000000100011388\
             6e"
        );
    }

    #[test]
    fn what_could_not_be_read_is_not_written() {
        let refused = |ty: SqlType, value: Datum| {
            RowLayout::of_types([ty], 1).encode(&[value], &mut Vec::new()).unwrap_err()
        };
        let array = Datum::Array([Datum::Null, Datum::text("a\0b")].into());
        for (ty, value, state) in [
            (SqlType::Timestamp, Datum::Timestamp(i64::MAX - 1), "22008"),
            (SqlType::TimestampTz, Datum::Timestamp(i64::MIN + 1), "22008"),
            (SqlType::Date, Datum::Date(i32::MAX - 1), "22008"),
            (SqlType::Text, Datum::text("\0"), "22021"),
            (SqlType::TextArray, array, "22021"),
        ] {
            let mut bytes = Vec::new();
            binary_format::encode(ty, &value, &mut bytes).unwrap();
            let unread = binary_format::decode(ty, &bytes).unwrap_err();
            let error = refused(ty, value);
            assert_eq!((error.state.code(), &error), (state, &unread));
        }
        let last = RowLayout::of_types([SqlType::Timestamp, SqlType::Date], 1);
        encoded(&last, &[Datum::Timestamp(i64::MAX), Datum::Date(i32::MIN)]);
    }

    #[test]
    fn rows_with_fewer_columns_read_as_null() {
        let old = RowLayout::of_types([SqlType::Text, SqlType::Int4], 1);
        let row = encoded(&old, &[Datum::text("a"), Datum::Int4(1)]);
        let types = [SqlType::Text, SqlType::Int4, SqlType::Text, SqlType::Int8];
        let new = RowLayout::of_types(types, 2);
        let row = RowRef::new(&new, &row).unwrap();
        assert_eq!(row.version(), 1);
        let expected = [Datum::text("a"), Datum::Int4(1), Datum::Null, Datum::Null];
        assert_eq!(row.datums().unwrap(), expected);
        assert!(RowRef::new(&old, &encoded(&new, &expected)).is_err());
    }

    #[test]
    fn raw_bytes_are_the_wire_form() {
        let layout = RowLayout::of_types([SqlType::Int8, SqlType::Text, SqlType::Text], 1);
        let row = encoded(&layout, &[Datum::Int8(1), Datum::Null, Datum::text("xy")]);
        let row = RowRef::new(&layout, &row).unwrap();
        assert_eq!(row.raw(0).unwrap(), Some(&[0, 0, 0, 0, 0, 0, 0, 1][..]));
        assert_eq!(row.raw(1).unwrap(), None);
        assert_eq!(row.raw(2).unwrap(), Some(&b"xy"[..]));
        assert!(row.raw(3).is_err());
    }

    #[test]
    fn values_must_match_the_layout() {
        let layout = RowLayout::of_types([SqlType::Int4], 1);
        assert!(layout.encode(&[Datum::text("x")], &mut Vec::new()).is_err());
        assert!(layout.encode(&[], &mut Vec::new()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            a in any::<Option<i32>>(), b in any::<Option<String>>(), c in any::<Option<Vec<u8>>>(),
            d in any::<Option<bool>>(), e in any::<Option<i64>>(),
        ) {
            let types = [SqlType::Int4, SqlType::Text, SqlType::Bytea, SqlType::Bool, SqlType::Int8];
            let layout = RowLayout::of_types(types, 9);
            let or_null = |v: Option<Datum>| v.unwrap_or(Datum::Null);
            let values = vec![
                or_null(a.map(Datum::Int4)),
                or_null(b.map(|s| Datum::text(s.replace('\0', "")))),
                or_null(c.map(|v| Datum::Bytea(v.into()))),
                or_null(d.map(Datum::Bool)),
                or_null(e.map(Datum::Int8)),
            ];
            let bytes = encoded(&layout, &values);
            prop_assert_eq!(RowRef::new(&layout, &bytes).unwrap().datums().unwrap(), values);
        }

        #[test]
        fn no_bytes_panic(mut bytes in any::<Vec<u8>>(), count in 0u8..5) {
            if bytes.len() > 3 {
                bytes[2] = count;
                bytes[3] = 0;
            }
            let types = [SqlType::Text, SqlType::Int4, SqlType::Numeric, SqlType::TextArray];
            let layout = RowLayout::of_types(types, 1);
            if let Ok(row) = RowRef::new(&layout, &bytes) {
                for column in 0..4 {
                    let _ = row.datum(column);
                }
            }
        }
    }
}
