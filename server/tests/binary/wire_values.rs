//! Values of every type, as PostgreSQL writes them: as text and as the bytes of its binary format.
//!
//! The bytes are written out here from the format's definition (the `…send` functions in PostgreSQL's
//! `src/backend/utils/adt`), not by code of ours.

use tokio_postgres::types::Type;

/// A value as text, and the same in binary.
pub struct WireValue {
    pub text: String,
    pub bytes: Vec<u8>,
}

/// A type by its name in SQL, as clients know it, with its extremes.
pub struct WireType {
    pub sql: &'static str,
    pub ty: Type,
    pub values: Vec<WireValue>,
}

fn value(text: impl Into<String>, bytes: impl AsRef<[u8]>) -> WireValue {
    WireValue { text: text.into(), bytes: bytes.as_ref().to_vec() }
}

pub fn all() -> Vec<WireType> {
    let mut types = numbers();
    types.extend(strings());
    types.extend(times());
    types.extend(arrays());
    types
}

fn numbers() -> Vec<WireType> {
    let integer = |text: &str, bytes: &[u8]| value(text, bytes);
    vec![
        WireType {
            sql: "boolean",
            ty: Type::BOOL,
            values: vec![value("true", [1]), value("false", [0])],
        },
        WireType {
            sql: "smallint",
            ty: Type::INT2,
            values: vec![
                integer("-32768", &i16::MIN.to_be_bytes()),
                integer("32767", &i16::MAX.to_be_bytes()),
            ],
        },
        WireType {
            sql: "integer",
            ty: Type::INT4,
            values: [i32::MIN, -1, 0, i32::MAX]
                .map(|n| value(n.to_string(), n.to_be_bytes()))
                .into(),
        },
        WireType {
            sql: "bigint",
            ty: Type::INT8,
            values: [i64::MIN, -1, 0, i64::MAX]
                .map(|n| value(n.to_string(), n.to_be_bytes()))
                .into(),
        },
        WireType {
            sql: "oid",
            ty: Type::OID,
            values: vec![value("0", [0; 4]), value("4294967295", [0xff; 4])],
        },
        WireType {
            sql: "real",
            ty: Type::FLOAT4,
            values: [
                ("-0", -0.0_f32),
                ("0.1", 0.1),
                ("1e-45", 1e-45),
                ("3.4028235e+38", f32::MAX),
                ("Infinity", f32::INFINITY),
                ("NaN", f32::NAN),
            ]
            .map(|(text, number)| value(text, number.to_be_bytes()))
            .into(),
        },
        WireType {
            sql: "double precision",
            ty: Type::FLOAT8,
            values: [
                ("-0", -0.0_f64),
                ("0.1", 0.1),
                ("1e-300", 1e-300),
                ("5e-324", 5e-324),
                ("1.7976931348623157e+308", f64::MAX),
                ("-Infinity", f64::NEG_INFINITY),
                ("NaN", f64::NAN),
            ]
            .map(|(text, number)| value(text, number.to_be_bytes()))
            .into(),
        },
        WireType { sql: "numeric", ty: Type::NUMERIC, values: numerics() },
        WireType {
            sql: "numeric(12,3)",
            ty: Type::NUMERIC,
            values: vec![value("-999999999.999", numeric(2, NEGATIVE, 3, &[9, 9999, 9999, 9990]))],
        },
    ]
}

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
// PostgreSQL sends a scale of 32 with the infinities: a bit of its own form on disk.
const NAN: u16 = 0xc000;
const INFINITY: u16 = 0xd000;
const MINUS_INFINITY: u16 = 0xf000;

/// Digits to the base of 10,000, the first of which counts 10,000 to the power of `weight`.
fn numeric(weight: i16, sign: u16, scale: u16, digits: &[i16]) -> Vec<u8> {
    let count = i16::try_from(digits.len()).unwrap();
    let mut bytes =
        [count.to_be_bytes(), weight.to_be_bytes(), sign.to_be_bytes(), scale.to_be_bytes()]
            .concat();
    bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
    bytes
}

fn numerics() -> Vec<WireValue> {
    let nines = "9".repeat(1000);
    vec![
        value("0", numeric(0, POSITIVE, 0, &[])),
        value("0.00", numeric(0, POSITIVE, 2, &[])),
        value("-1.50", numeric(0, NEGATIVE, 2, &[1, 5000])),
        value("10000", numeric(1, POSITIVE, 0, &[1])),
        value(
            "12345678901234567890.5",
            numeric(4, POSITIVE, 1, &[1234, 5678, 9012, 3456, 7890, 5000]),
        ),
        value("0.000000000000000000000000000001", numeric(-8, POSITIVE, 30, &[100])),
        value(nines, numeric(249, POSITIVE, 0, &[9999; 250])),
        value("NaN", numeric(0, NAN, 0, &[])),
        value("Infinity", numeric(0, INFINITY, 32, &[])),
        value("-Infinity", numeric(0, MINUS_INFINITY, 32, &[])),
    ]
}

fn strings() -> Vec<WireType> {
    let as_is = |text: &str| value(text, text);
    let uuid = [
        0xa0, 0xee, 0xbc, 0x99, 0x9c, 0x0b, 0x4e, 0xf8, 0xbb, 0x6d, 0x6b, 0xb9, 0xbd, 0x38, 0x0a,
        0x11,
    ];
    vec![
        WireType {
            sql: "text",
            ty: Type::TEXT,
            values: vec![
                as_is(""),
                as_is("NULL"),
                as_is("žluťoučký ☃ \u{1f40e}"),
                as_is("it's \"quoted\" \\ \t\n"),
                as_is(&"long".repeat(250_000)),
            ],
        },
        WireType {
            sql: "varchar(5)", ty: Type::VARCHAR, values: vec![as_is(""), as_is("☃☃☃☃☃")]
        },
        WireType { sql: "char(3)", ty: Type::BPCHAR, values: vec![as_is("abc")] },
        WireType { sql: "name", ty: Type::NAME, values: vec![as_is("pg_class")] },
        WireType {
            sql: "bytea",
            ty: Type::BYTEA,
            values: vec![value("\\x", []), value("\\x00017f80ff", [0, 1, 0x7f, 0x80, 0xff])],
        },
        WireType {
            sql: "uuid",
            ty: Type::UUID,
            values: vec![
                value("00000000-0000-0000-0000-000000000000", [0; 16]),
                value("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", uuid),
            ],
        },
        WireType {
            sql: "json",
            ty: Type::JSON,
            values: vec![
                as_is("null"),
                as_is("{\"a\": [1, null, \"ž\"],  \"b\":{}}"),
                as_is("1e400"),
            ],
        },
    ]
}

fn times() -> Vec<WireType> {
    /// Days from 2000-01-01.
    fn days(text: &str, days: i32) -> WireValue {
        value(text, days.to_be_bytes())
    }
    /// Microseconds from 2000-01-01 00:00:00.
    fn micros(text: String, micros: i64) -> WireValue {
        value(text, micros.to_be_bytes())
    }
    let moments = [
        ("4714-11-24 00:00:00", " BC", -211_813_488_000_000_000),
        ("0001-01-01 00:00:00", "", -63_082_281_600_000_000),
        ("1999-12-31 23:59:59.999999", "", -1),
        ("2000-01-01 00:00:00", "", 0),
        ("2024-02-29 12:34:56.789", "", 762_525_296_789_000),
        ("9999-12-31 23:59:59.999999", "", 252_455_615_999_999_999),
        ("294276-12-31 23:59:59.999999", "", 9_223_371_331_199_999_999),
    ];
    let with_infinities = |zone: &str| {
        let mut values: Vec<_> = moments
            .iter()
            .map(|(text, era, at)| micros(format!("{text}{zone}{era}"), *at))
            .collect();
        values.push(micros("infinity".to_owned(), i64::MAX));
        values.push(micros("-infinity".to_owned(), i64::MIN));
        values
    };
    vec![
        WireType {
            sql: "date",
            ty: Type::DATE,
            values: vec![
                days("4714-11-24 BC", -2_451_545),
                days("0001-01-01", -730_119),
                days("2000-01-01", 0),
                days("2024-02-29", 8_825),
                days("9999-12-31", 2_921_939),
                days("5874897-12-31", 2_145_031_948),
                days("infinity", i32::MAX),
                days("-infinity", i32::MIN),
            ],
        },
        WireType { sql: "timestamp", ty: Type::TIMESTAMP, values: with_infinities("") },
        WireType { sql: "timestamptz", ty: Type::TIMESTAMPTZ, values: with_infinities("+00") },
    ]
}

/// An array of one dimension that begins at 1; of none when it is empty.
fn array(element: &Type, elements: &[Option<&[u8]>]) -> Vec<u8> {
    let word = |n: usize| u32::try_from(n).unwrap().to_be_bytes();
    let nulls = usize::from(elements.contains(&None));
    let dimensions = usize::from(!elements.is_empty());
    let mut bytes = [word(dimensions), word(nulls), element.oid().to_be_bytes()].concat();
    if dimensions == 1 {
        bytes.extend([word(elements.len()), word(1)].concat());
    }
    for element in elements {
        match element {
            None => bytes.extend((-1_i32).to_be_bytes()),
            Some(element) => {
                bytes.extend(word(element.len()));
                bytes.extend_from_slice(element);
            }
        }
    }
    bytes
}

fn arrays() -> Vec<WireType> {
    let (one, minus) = (1_i32.to_be_bytes(), (-2_i32).to_be_bytes());
    let wide = i64::MIN.to_be_bytes();
    vec![
        WireType {
            sql: "integer[]",
            ty: Type::INT4_ARRAY,
            values: vec![
                value("{}", array(&Type::INT4, &[])),
                value("{1,NULL,-2}", array(&Type::INT4, &[Some(&one), None, Some(&minus)])),
            ],
        },
        WireType {
            sql: "bigint[]",
            ty: Type::INT8_ARRAY,
            values: vec![value("{-9223372036854775808}", array(&Type::INT8, &[Some(&wide)]))],
        },
        WireType {
            sql: "boolean[]",
            ty: Type::BOOL_ARRAY,
            values: vec![value("{t,f}", array(&Type::BOOL, &[Some(&[1]), Some(&[0])]))],
        },
        WireType {
            sql: "text[]",
            ty: Type::TEXT_ARRAY,
            values: vec![value(
                r#"{"","NULL",NULL,"a \"b\", {c}",☃}"#,
                array(
                    &Type::TEXT,
                    &[Some(b""), Some(b"NULL"), None, Some(b"a \"b\", {c}"), Some("☃".as_bytes())],
                ),
            )],
        },
        WireType {
            sql: "numeric[]",
            ty: Type::NUMERIC_ARRAY,
            values: vec![value(
                "{-1.50}",
                array(&Type::NUMERIC, &[Some(&numeric(0, NEGATIVE, 2, &[1, 5000]))]),
            )],
        },
        WireType {
            sql: "uuid[]",
            ty: Type::UUID_ARRAY,
            values: vec![value(
                "{00000000-0000-0000-0000-000000000000}",
                array(&Type::UUID, &[Some(&[0; 16])]),
            )],
        },
    ]
}
