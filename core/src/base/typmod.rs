//! Type modifiers: the `(3)` of `varchar(3)`, as a number, and what they do to a value.
//!
//! | type | modifier |
//! |---|---|
//! | `varchar(n)`, `char(n)` | n + 4, n in characters |
//! | `numeric(p,s)` | (p << 16 \| s & 0x7ff) + 4 |
//! | `timestamp(p)`, `timestamptz(p)` | p |
//!
//! -1 is no modifier.

use std::sync::Arc;

use super::{Datum, SqlError, SqlResult, SqlState, SqlType, datetime, numeric};

/// The value made to fit. `explicit` is a cast the user wrote, which cuts a string silently; else
/// only blanks are cut, and more is 22001.
pub fn apply(ty: SqlType, typmod: i32, value: Datum, explicit: bool) -> SqlResult<Datum> {
    match value {
        Datum::Text(text) if ty == SqlType::Varchar || ty == SqlType::Bpchar => {
            fit_text(ty, typmod, text, explicit).map(Datum::Text)
        }
        Datum::Numeric(n) if typmod >= 4 => n.apply_typmod(typmod).map(Datum::Numeric),
        Datum::Timestamp(micros) if typmod >= 0 => {
            datetime::round_timestamp(micros, typmod).map(Datum::Timestamp)
        }
        other => Ok(other),
    }
}

fn fit_text(ty: SqlType, typmod: i32, text: Arc<str>, explicit: bool) -> SqlResult<Arc<str>> {
    let Some(length) = usize::try_from(typmod - 4).ok() else { return Ok(text) };
    let mut ends = text.char_indices().skip(length);
    let Some((end, _)) = ends.next() else {
        let missing = length - text.chars().count();
        if ty == SqlType::Varchar || missing == 0 {
            return Ok(text);
        }
        return Ok(format!("{text}{}", " ".repeat(missing)).into());
    };
    let (kept, lost) = text.split_at(end);
    if !explicit && lost.bytes().any(|b| b != b' ') {
        return Err(SqlError::new(
            SqlState::StringDataRightTruncation,
            format!("value too long for type {}({length})", ty.info().sql_name),
        ));
    }
    Ok(kept.into())
}

/// The type as PostgreSQL's `format_type` prints it, as `character varying(3)`.
pub fn format_type(ty: SqlType, typmod: i32) -> String {
    let name = ty.info().sql_name;
    if typmod < 0 {
        // `character` alone would mean one character.
        return if ty == SqlType::Bpchar { "bpchar".to_owned() } else { name.to_owned() };
    }
    match ty {
        SqlType::Varchar | SqlType::Bpchar => format!("{name}({})", typmod - 4),
        SqlType::Numeric => match numeric::typmod_parts(typmod) {
            Some((precision, scale)) => format!("numeric({precision},{scale})"),
            None => name.to_owned(),
        },
        SqlType::Timestamp => format!("timestamp({typmod}) without time zone"),
        SqlType::TimestampTz => format!("timestamp({typmod}) with time zone"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(ty: SqlType, length: i32, text: &str, explicit: bool) -> SqlResult<String> {
        match apply(ty, length + 4, Datum::text(text), explicit)? {
            Datum::Text(t) => Ok(t.to_string()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn strings_are_cut_padded_or_refused() {
        assert_eq!(fitted(SqlType::Varchar, 3, "abc   ", false).unwrap(), "abc");
        assert_eq!(fitted(SqlType::Varchar, 3, "abcdef", true).unwrap(), "abc");
        assert_eq!(fitted(SqlType::Varchar, 3, "äöü", false).unwrap(), "äöü");
        assert_eq!(fitted(SqlType::Bpchar, 4, "äö", false).unwrap(), "äö  ");
        let error = fitted(SqlType::Varchar, 3, "abcd", false).unwrap_err();
        assert_eq!(error.message, "value too long for type character varying(3)");
        assert_eq!(error.state.code(), "22001");
        let error = fitted(SqlType::Bpchar, 3, "abcd", false).unwrap_err();
        assert_eq!(error.message, "value too long for type character(3)");
    }

    #[test]
    fn types_are_named_with_their_modifiers() {
        assert_eq!(format_type(SqlType::Varchar, 7), "character varying(3)");
        assert_eq!(format_type(SqlType::Bpchar, 5), "character(1)");
        assert_eq!(format_type(SqlType::Bpchar, -1), "bpchar");
        assert_eq!(format_type(SqlType::Numeric, ((4 << 16) | 2) + 4), "numeric(4,2)");
        assert_eq!(format_type(SqlType::TimestampTz, 3), "timestamp(3) with time zone");
        assert_eq!(format_type(SqlType::Int4, -1), "integer");
    }
}
