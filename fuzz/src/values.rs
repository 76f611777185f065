//! Texts of values, as clients send them, and the printed and binary forms of what they mean.
//!
//! ```text
//! type u8, typmod i32 (little-endian), text
//! ```

use basalt_core::base::{Datum, SqlType, binary_format, compare, text_format};

use crate::Seeds;

/// See the module.
pub fn run(data: &[u8]) {
    let [tag, typmod @ ..] = data else { return };
    let Some((typmod, text)) = typmod.split_first_chunk() else { return };
    let ty = SqlType::ALL[usize::from(*tag) % SqlType::ALL.len()];
    let typmod = valid_typmod(ty, i32::from_le_bytes(*typmod));
    if let Ok(value) = binary_format::receive(ty, text) {
        check(ty, &value);
    }
    for typmod in [-1, typmod] {
        if let Ok(value) = text_format::parse(ty, typmod, &String::from_utf8_lossy(text)) {
            check(ty, &value);
        }
    }
}

/// A modifier that a column of the type may have; strings short, for the sake of speed.
fn valid_typmod(ty: SqlType, raw: i32) -> i32 {
    let within = |low: i32, high: i32| low + raw.rem_euclid(high - low + 1);
    match ty {
        SqlType::Varchar | SqlType::Bpchar => within(1, 40) + 4,
        SqlType::Numeric => {
            let scale = raw.wrapping_shr(16).rem_euclid(2001) - 1000;
            (within(1, 1000) << 16 | (scale & 0x7ff)) + 4
        }
        SqlType::Timestamp | SqlType::TimestampTz => within(0, 6),
        _ => -1,
    }
}

/// Printed and read, in both forms, the value is the same.
fn check(ty: SqlType, value: &Datum) {
    let text = text_format::to_string(ty, value);
    let parsed = text_format::parse(ty, -1, &text);
    let parsed = parsed.unwrap_or_else(|e| panic!("{ty:?} {value:?} is printed as {text:?}: {e}"));
    assert!(same(ty, value, &parsed), "{ty:?}: {value:?} as {text:?} became {parsed:?}");
    assert_eq!(text_format::to_string(ty, &parsed), text, "of {ty:?} {value:?}");
    let mut bytes = Vec::new();
    binary_format::encode(ty, value, &mut bytes).expect("a value of its own type");
    let decoded = binary_format::decode(ty, &bytes);
    let decoded = decoded.unwrap_or_else(|e| panic!("{ty:?} {value:?} as {bytes:?}: {e}"));
    assert!(same(ty, value, &decoded), "{ty:?}: {value:?} as {bytes:?} became {decoded:?}");
}

fn same(ty: SqlType, a: &Datum, b: &Datum) -> bool {
    compare::compare(ty, a, b).is_eq()
}

/// One text a type.
pub fn seeds() -> Seeds {
    let text = |ty: SqlType| match ty {
        SqlType::Bool => "true",
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 | SqlType::Oid => "  12_000 ",
        SqlType::Float4 | SqlType::Float8 => "-1.5e-7",
        SqlType::Numeric => "-00123.4500e2",
        SqlType::Bytea => "\\x00ff",
        SqlType::Date => "2024-02-29 BC",
        SqlType::Timestamp => "2024-02-29 23:59:59.999999",
        SqlType::TimestampTz => "Feb 29 2024 11:59 PM +05:30",
        SqlType::Uuid => "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}",
        SqlType::Json => r#"{"a": [1, -2.5e3, "\u00e9", null]}"#,
        SqlType::TextArray | SqlType::VarcharArray => r#"{a,"b \"c\"",NULL,"NULL",""}"#,
        array if array.element().is_some() => "[0:1]={1,2}",
        _ => "text",
    };
    let seed = |ty: SqlType| {
        let mut seed = vec![ty as u8];
        seed.extend_from_slice(&12i32.to_le_bytes());
        seed.extend_from_slice(text(ty).as_bytes());
        (format!("{ty:?}").to_lowercase(), seed)
    };
    SqlType::ALL.map(seed).to_vec()
}
