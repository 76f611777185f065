//! SQL types: one row of the table per type, after PostgreSQL's `pg_type`.
//!
//! Everything that asks "what is the oid, the length, the category, the name" of a type reads
//! [`SqlType::info`]. A new type is a variant and a row.

/// A type of a column, parameter or expression.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum SqlType {
    /// A literal or parameter whose type is not yet known (PostgreSQL's `unknown`).
    Unknown = 0,
    Bool = 1,
    Int2 = 2,
    Int4 = 3,
    Int8 = 4,
    Float4 = 5,
    Float8 = 6,
    Numeric = 7,
    Text = 8,
    Varchar = 9,
    /// `char(n)`: blank-padded.
    Bpchar = 10,
    /// `name`: an identifier of the catalog.
    Name = 11,
    Bytea = 12,
    Date = 13,
    Timestamp = 14,
    TimestampTz = 15,
    Uuid = 16,
    Json = 17,
    Oid = 18,
    /// `"char"`: one byte, used by the catalog.
    Char = 19,
    /// `text[]`, used by the catalog and by `= ANY($1)`.
    TextArray = 20,
    Int4Array = 21,
    Int8Array = 22,
    Void = 23,
    BoolArray = 24,
    Int2Array = 25,
    Float4Array = 26,
    Float8Array = 27,
    NumericArray = 28,
    VarcharArray = 29,
    BpcharArray = 30,
    NameArray = 31,
    OidArray = 32,
    ByteaArray = 33,
    DateArray = 34,
    TimestampArray = 35,
    TimestampTzArray = 36,
    UuidArray = 37,
}

/// What PostgreSQL's `pg_type` says about a type.
#[derive(Debug, PartialEq, Eq)]
pub struct TypeInfo {
    pub oid: u32,
    /// `typname`: the internal name, as `int4`.
    pub name: &'static str,
    /// What `format_type` prints, as `integer`.
    pub sql_name: &'static str,
    /// Bytes of the binary form; -1 for variable length, -2 for a C string.
    pub len: i16,
    /// `typcategory`: N numeric, S string, D date/time, B boolean, U user-defined, A array, X unknown.
    pub category: char,
    /// `typispreferred`: wins among the candidates of its category.
    pub preferred: bool,
    /// Oid of the array type over this one; 0 where there is none.
    pub array_oid: u32,
}

const fn row(
    oid: u32,
    name: &'static str,
    sql_name: &'static str,
    len: i16,
    category: char,
    preferred: bool,
    array_oid: u32,
) -> TypeInfo {
    TypeInfo { oid, name, sql_name, len, category, preferred, array_oid }
}

/// One row a type, in the order of [`SqlType`]'s discriminants.
static TYPES: [TypeInfo; 38] = [
    row(705, "unknown", "unknown", -2, 'X', false, 0),
    row(16, "bool", "boolean", 1, 'B', true, 1000),
    row(21, "int2", "smallint", 2, 'N', false, 1005),
    row(23, "int4", "integer", 4, 'N', false, 1007),
    row(20, "int8", "bigint", 8, 'N', false, 1016),
    row(700, "float4", "real", 4, 'N', false, 1021),
    row(701, "float8", "double precision", 8, 'N', true, 1022),
    row(1700, "numeric", "numeric", -1, 'N', false, 1231),
    row(25, "text", "text", -1, 'S', true, 1009),
    row(1043, "varchar", "character varying", -1, 'S', false, 1015),
    row(1042, "bpchar", "character", -1, 'S', false, 1014),
    row(19, "name", "name", 64, 'S', false, 1003),
    row(17, "bytea", "bytea", -1, 'U', false, 1001),
    row(1082, "date", "date", 4, 'D', false, 1182),
    row(1114, "timestamp", "timestamp without time zone", 8, 'D', false, 1115),
    row(1184, "timestamptz", "timestamp with time zone", 8, 'D', true, 1185),
    row(2950, "uuid", "uuid", 16, 'U', false, 2951),
    row(114, "json", "json", -1, 'U', false, 199),
    row(26, "oid", "oid", 4, 'N', true, 1028),
    row(18, "char", "\"char\"", 1, 'Z', false, 1002),
    row(1009, "_text", "text[]", -1, 'A', false, 0),
    row(1007, "_int4", "integer[]", -1, 'A', false, 0),
    row(1016, "_int8", "bigint[]", -1, 'A', false, 0),
    row(2278, "void", "void", 4, 'P', false, 0),
    row(1000, "_bool", "boolean[]", -1, 'A', false, 0),
    row(1005, "_int2", "smallint[]", -1, 'A', false, 0),
    row(1021, "_float4", "real[]", -1, 'A', false, 0),
    row(1022, "_float8", "double precision[]", -1, 'A', false, 0),
    row(1231, "_numeric", "numeric[]", -1, 'A', false, 0),
    row(1015, "_varchar", "character varying[]", -1, 'A', false, 0),
    row(1014, "_bpchar", "character[]", -1, 'A', false, 0),
    row(1003, "_name", "name[]", -1, 'A', false, 0),
    row(1028, "_oid", "oid[]", -1, 'A', false, 0),
    row(1001, "_bytea", "bytea[]", -1, 'A', false, 0),
    row(1182, "_date", "date[]", -1, 'A', false, 0),
    row(1115, "_timestamp", "timestamp without time zone[]", -1, 'A', false, 0),
    row(1185, "_timestamptz", "timestamp with time zone[]", -1, 'A', false, 0),
    row(2951, "_uuid", "uuid[]", -1, 'A', false, 0),
];

impl SqlType {
    /// Every type, in discriminant order.
    pub const ALL: [SqlType; 38] = [
        SqlType::Unknown,
        SqlType::Bool,
        SqlType::Int2,
        SqlType::Int4,
        SqlType::Int8,
        SqlType::Float4,
        SqlType::Float8,
        SqlType::Numeric,
        SqlType::Text,
        SqlType::Varchar,
        SqlType::Bpchar,
        SqlType::Name,
        SqlType::Bytea,
        SqlType::Date,
        SqlType::Timestamp,
        SqlType::TimestampTz,
        SqlType::Uuid,
        SqlType::Json,
        SqlType::Oid,
        SqlType::Char,
        SqlType::TextArray,
        SqlType::Int4Array,
        SqlType::Int8Array,
        SqlType::Void,
        SqlType::BoolArray,
        SqlType::Int2Array,
        SqlType::Float4Array,
        SqlType::Float8Array,
        SqlType::NumericArray,
        SqlType::VarcharArray,
        SqlType::BpcharArray,
        SqlType::NameArray,
        SqlType::OidArray,
        SqlType::ByteaArray,
        SqlType::DateArray,
        SqlType::TimestampArray,
        SqlType::TimestampTzArray,
        SqlType::UuidArray,
    ];

    /// The `pg_type` row of this type.
    pub fn info(self) -> &'static TypeInfo {
        &TYPES[self as usize]
    }

    /// The type with this oid, or `None` if Basalt has no such type.
    pub fn from_oid(oid: u32) -> Option<SqlType> {
        Self::ALL.into_iter().find(|t| t.info().oid == oid)
    }

    /// The type of an array type's elements; `None` for a type that is no array.
    pub fn element(self) -> Option<SqlType> {
        match self {
            SqlType::TextArray => Some(SqlType::Text),
            SqlType::Int4Array => Some(SqlType::Int4),
            SqlType::Int8Array => Some(SqlType::Int8),
            SqlType::BoolArray => Some(SqlType::Bool),
            SqlType::Int2Array => Some(SqlType::Int2),
            SqlType::Float4Array => Some(SqlType::Float4),
            SqlType::Float8Array => Some(SqlType::Float8),
            SqlType::NumericArray => Some(SqlType::Numeric),
            SqlType::VarcharArray => Some(SqlType::Varchar),
            SqlType::BpcharArray => Some(SqlType::Bpchar),
            SqlType::NameArray => Some(SqlType::Name),
            SqlType::OidArray => Some(SqlType::Oid),
            SqlType::ByteaArray => Some(SqlType::Bytea),
            SqlType::DateArray => Some(SqlType::Date),
            SqlType::TimestampArray => Some(SqlType::Timestamp),
            SqlType::TimestampTzArray => Some(SqlType::TimestampTz),
            SqlType::UuidArray => Some(SqlType::Uuid),
            _ => None,
        }
    }

    /// The array type over this one, if Basalt has it.
    pub fn array(self) -> Option<SqlType> {
        Self::ALL.into_iter().find(|t| t.element() == Some(self))
    }

    /// The type with this discriminant, as stored in catalogs on disk.
    pub fn from_tag(tag: u8) -> Option<SqlType> {
        Self::ALL.get(usize::from(tag)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn discriminants_and_rows_agree() {
        for (k, t) in SqlType::ALL.into_iter().enumerate() {
            assert_eq!(t as usize, k);
            assert_eq!(SqlType::from_oid(t.info().oid), Some(t));
            assert_eq!(SqlType::from_tag(t as u8), Some(t));
        }
    }
}
