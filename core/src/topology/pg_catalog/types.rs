//! Types, the functions that read and write them, and collations.
//!
//! `pg_proc` lists only the input and output functions that `pg_type` points to: drivers ask whether
//! `typinput` is `array_in`, or join `typreceive` with `pg_proc`.

use super::{
    C_COLLATION, DEFAULT_COLLATION, PG_CATALOG_OID, alignment, collation, is_by_value, storage,
    table,
};
use crate::base::SqlType::{Bool, Char, Float4, Int2, Int4, Int4Array, Name, Oid, Text, TextArray};
use crate::base::{Datum, SqlType};
use crate::topology::users::ADMIN;
use crate::topology::virtual_table::{View, VirtualTable, array, letter, small, text};

pub(super) static TABLES: [VirtualTable; 3] = [
    table(
        1247,
        "pg_type",
        &[
            ("oid", Oid),
            ("typname", Name),
            ("typnamespace", Oid),
            ("typowner", Oid),
            ("typlen", Int2),
            ("typbyval", Bool),
            ("typtype", Char),
            ("typcategory", Char),
            ("typispreferred", Bool),
            ("typisdefined", Bool),
            ("typdelim", Char),
            ("typrelid", Oid),
            ("typsubscript", Oid),
            ("typelem", Oid),
            ("typarray", Oid),
            ("typinput", Oid),
            ("typoutput", Oid),
            ("typreceive", Oid),
            ("typsend", Oid),
            ("typmodin", Oid),
            ("typmodout", Oid),
            ("typanalyze", Oid),
            ("typalign", Char),
            ("typstorage", Char),
            ("typnotnull", Bool),
            ("typbasetype", Oid),
            ("typtypmod", Int4),
            ("typndims", Int4),
            ("typcollation", Oid),
            ("typdefaultbin", Text),
            ("typdefault", Text),
            ("typacl", TextArray),
        ],
        types,
    ),
    table(
        1255,
        "pg_proc",
        &[
            ("oid", Oid),
            ("proname", Name),
            ("pronamespace", Oid),
            ("proowner", Oid),
            ("prolang", Oid),
            ("procost", Float4),
            ("prorows", Float4),
            ("provariadic", Oid),
            ("prosupport", Oid),
            ("prokind", Char),
            ("prosecdef", Bool),
            ("proleakproof", Bool),
            ("proisstrict", Bool),
            ("proretset", Bool),
            ("provolatile", Char),
            ("proparallel", Char),
            ("pronargs", Int2),
            ("pronargdefaults", Int2),
            ("prorettype", Oid),
            ("proargtypes", Int4Array),
            ("proallargtypes", Int4Array),
            ("proargmodes", TextArray),
            ("proargnames", TextArray),
            ("proargdefaults", Text),
            ("protrftypes", Int4Array),
            ("prosrc", Text),
            ("probin", Text),
            ("prosqlbody", Text),
            ("proconfig", TextArray),
            ("proacl", TextArray),
        ],
        functions,
    ),
    table(
        3456,
        "pg_collation",
        &[
            ("oid", Oid),
            ("collname", Name),
            ("collnamespace", Oid),
            ("collowner", Oid),
            ("collprovider", Char),
            ("collisdeterministic", Bool),
            ("collencoding", Int4),
            ("collcollate", Text),
            ("collctype", Text),
            ("colliculocale", Text),
            ("collversion", Text),
        ],
        collations,
    ),
];

/// Input, output, receive and send functions of a type, by PostgreSQL's oids.
struct Io {
    input: u32,
    output: u32,
    receive: u32,
    send: u32,
    /// What the four names have in front of `in`, `out`, `recv`, `send`.
    prefix: &'static str,
}

const ARRAY_IO: Io = Io { input: 750, output: 751, receive: 2400, send: 2401, prefix: "array_" };
/// Internal language, as all of these functions.
const INTERNAL: u32 = 12;

fn io(ty: SqlType) -> Io {
    let (input, output, receive, send, prefix) = match ty {
        SqlType::Unknown => (109, 110, 2416, 2417, "unknown"),
        SqlType::Bool => (1242, 1243, 2436, 2437, "bool"),
        SqlType::Int2 => (38, 39, 2404, 2405, "int2"),
        SqlType::Int4 => (42, 43, 2406, 2407, "int4"),
        SqlType::Int8 => (460, 461, 2408, 2409, "int8"),
        SqlType::Float4 => (200, 201, 2424, 2425, "float4"),
        SqlType::Float8 => (214, 215, 2426, 2427, "float8"),
        SqlType::Numeric => (1701, 1702, 2460, 2461, "numeric_"),
        SqlType::Text => (46, 47, 2414, 2415, "text"),
        SqlType::Varchar => (1046, 1047, 2432, 2433, "varchar"),
        SqlType::Bpchar => (1044, 1045, 2430, 2431, "bpchar"),
        SqlType::Name => (34, 35, 2422, 2423, "name"),
        SqlType::Bytea => (1244, 31, 2412, 2413, "bytea"),
        SqlType::Date => (1084, 1085, 2468, 2469, "date_"),
        SqlType::Timestamp => (1312, 1313, 2474, 2475, "timestamp_"),
        SqlType::TimestampTz => (1150, 1151, 2476, 2477, "timestamptz_"),
        SqlType::Uuid => (2952, 2953, 2961, 2962, "uuid_"),
        SqlType::Json => (321, 322, 323, 324, "json_"),
        SqlType::Oid => (1798, 1799, 2418, 2419, "oid"),
        SqlType::Char => (1245, 33, 2434, 2435, "char"),
        SqlType::Void => (2298, 2299, 3120, 3121, "void_"),
        _ => return ARRAY_IO,
    };
    Io { input, output, receive, send, prefix }
}

fn is_array(ty: SqlType) -> bool {
    ty.info().category == 'A'
}

fn types(_: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for ty in SqlType::ALL.into_iter().filter(|ty| !is_array(*ty)) {
        let pseudo = matches!(ty, SqlType::Unknown | SqlType::Void);
        rows.push(type_row(&TypeRow {
            oid: ty.info().oid,
            name: ty.info().name.to_owned(),
            len: ty.info().len,
            by_value: is_by_value(ty),
            kind: if pseudo { 'p' } else { 'b' },
            category: ty.info().category,
            preferred: ty.info().preferred,
            element: 0,
            array: ty.info().array_oid,
            io: io(ty),
            alignment: alignment(ty),
            storage: storage(ty),
            collation: collation(ty),
        }));
        if ty.info().array_oid != 0 {
            rows.push(type_row(&TypeRow {
                oid: ty.info().array_oid,
                name: format!("_{}", ty.info().name),
                len: -1,
                by_value: false,
                kind: 'b',
                category: 'A',
                preferred: false,
                element: ty.info().oid,
                array: 0,
                io: ARRAY_IO,
                alignment: if alignment(ty) == 'd' { 'd' } else { 'i' },
                storage: 'x',
                collation: collation(ty),
            }));
        }
    }
    rows
}

struct TypeRow {
    oid: u32,
    name: String,
    len: i16,
    by_value: bool,
    kind: char,
    category: char,
    preferred: bool,
    element: u32,
    array: u32,
    io: Io,
    alignment: char,
    storage: char,
    collation: u32,
}

fn type_row(t: &TypeRow) -> Vec<Datum> {
    vec![
        Datum::Oid(t.oid),
        text(t.name.as_str()),
        Datum::Oid(PG_CATALOG_OID),
        Datum::Oid(ADMIN.0),
        Datum::Int2(t.len),
        Datum::Bool(t.by_value),
        letter(t.kind),
        letter(t.category),
        Datum::Bool(t.preferred),
        Datum::Bool(true),
        letter(','),
        Datum::Oid(0),
        Datum::Oid(0),
        Datum::Oid(t.element),
        Datum::Oid(t.array),
        Datum::Oid(t.io.input),
        Datum::Oid(t.io.output),
        Datum::Oid(t.io.receive),
        Datum::Oid(t.io.send),
        Datum::Oid(0),
        Datum::Oid(0),
        Datum::Oid(0),
        letter(t.alignment),
        letter(t.storage),
        Datum::Bool(false),
        Datum::Oid(0),
        Datum::Int4(-1),
        Datum::Int4(0),
        Datum::Oid(t.collation),
        Datum::Null,
        Datum::Null,
        Datum::Null,
    ]
}

fn functions(_: &View<'_>) -> Vec<Vec<Datum>> {
    let mut rows = Vec::new();
    for ty in SqlType::ALL.into_iter().filter(|ty| !is_array(*ty)) {
        io_functions(&io(ty), ty.info().oid, &mut rows);
    }
    io_functions(&ARRAY_IO, 0, &mut rows);
    rows
}

/// The four functions of a type; what they take and give besides it is left open.
fn io_functions(io: &Io, ty: u32, rows: &mut Vec<Vec<Datum>>) {
    let four = [(io.input, "in"), (io.output, "out"), (io.receive, "recv"), (io.send, "send")];
    for (oid, suffix) in four {
        let name = format!("{}{suffix}", io.prefix);
        let reads = matches!(suffix, "in" | "recv");
        let returns = match suffix {
            "send" => SqlType::Bytea.info().oid,
            "out" => 2275, // cstring
            _ => ty,
        };
        let mut row = vec![
            Datum::Oid(oid),
            text(name.as_str()),
            Datum::Oid(PG_CATALOG_OID),
            Datum::Oid(ADMIN.0),
            Datum::Oid(INTERNAL),
            Datum::Float4(1.0),
            Datum::Float4(0.0),
            Datum::Oid(0),
            Datum::Oid(0),
            letter('f'),
            Datum::Bool(false),
            Datum::Bool(false),
            Datum::Bool(true),
            Datum::Bool(false),
            letter('i'),
            letter('s'),
            small(1),
            small(0),
            Datum::Oid(returns),
            array([Datum::Int4(if reads { 2275 } else { i32::try_from(ty).unwrap_or(0) })]),
        ];
        row.resize(25, Datum::Null);
        row.push(text(name.as_str()));
        row.resize(30, Datum::Null);
        rows.push(row);
    }
}

fn collations(_: &View<'_>) -> Vec<Vec<Datum>> {
    let row = |oid, name: &str, provider, locale: Option<&str>| {
        let locale = locale.map_or(Datum::Null, text);
        vec![
            Datum::Oid(oid),
            text(name),
            Datum::Oid(PG_CATALOG_OID),
            Datum::Oid(ADMIN.0),
            letter(provider),
            Datum::Bool(true),
            Datum::Int4(-1),
            locale.clone(),
            locale,
            Datum::Null,
            Datum::Null,
        ]
    };
    vec![
        row(DEFAULT_COLLATION, "default", 'd', None),
        row(C_COLLATION, "C", 'c', Some("C")),
        row(951, "POSIX", 'c', Some("POSIX")),
    ]
}
