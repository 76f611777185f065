//! Arrays: their bounds, and to and from text.

use super::{check_length, count, elements, integer, text};
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType, limits, text_format};
use crate::expr::function::{ANY_ARRAY, Function, row};

const TEXT: SqlType = SqlType::Text;
const INT4: SqlType = SqlType::Int4;

/// The function that shows elements. The builder makes text of those whose representation does not say how.
pub(in crate::expr) const ARRAY_TO_STRING: &str = "array_to_string";

pub(super) static ROWS: &[Function] = &[
    row(2176, "array_length", &[ANY_ARRAY, INT4], INT4, |a, _| bound(a, |length| length)),
    row(2092, "array_upper", &[ANY_ARRAY, INT4], INT4, |a, _| bound(a, |length| length)),
    row(2091, "array_lower", &[ANY_ARRAY, INT4], INT4, |a, _| bound(a, |_| 1)),
    row(748, "array_ndims", &[ANY_ARRAY], INT4, |a, _| {
        Ok(if elements(a, 0)?.is_empty() { Datum::Null } else { Datum::Int4(1) })
    }),
    row(3179, "cardinality", &[ANY_ARRAY], INT4, |a, _| count(elements(a, 0)?.len())),
    row(395, ARRAY_TO_STRING, &[ANY_ARRAY, TEXT], TEXT, |a, _| to_text(a)).stable(),
    row(384, ARRAY_TO_STRING, &[ANY_ARRAY, TEXT, TEXT], TEXT, |a, _| to_text(a))
        .sees_nulls()
        .stable(),
    row(394, "string_to_array", &[TEXT, TEXT], SqlType::TextArray, |a, _| from_text(a))
        .sees_nulls(),
    row(376, "string_to_array", &[TEXT, TEXT, TEXT], SqlType::TextArray, |a, _| from_text(a))
        .sees_nulls(),
];

/// A bound of dimension 1; NULL for an empty array and other dimensions.
fn bound(args: &[Datum], of_length: fn(usize) -> usize) -> SqlResult<Datum> {
    let length = elements(args, 0)?.len();
    if integer(args, 1)? != 1 || length == 0 {
        return Ok(Datum::Null);
    }
    count(of_length(length))
}

fn to_text(args: &[Datum]) -> SqlResult<Datum> {
    if args[0].is_null() || args[1].is_null() {
        return Ok(Datum::Null);
    }
    let for_null = match args.get(2) {
        None | Some(Datum::Null) => None,
        Some(_) => Some(text(args, 2)?),
    };
    let delimiter = text(args, 1)?;
    let mut length = 0;
    let parts = elements(args, 0)?
        .iter()
        .filter_map(|value| match value {
            Datum::Null => for_null.map(str::to_owned),
            value => Some(text_format::to_string(TEXT, value)),
        })
        .map(|part| {
            length += part.len() + delimiter.len();
            check_length(length.saturating_sub(delimiter.len()))?;
            Ok(part)
        });
    let parts = parts.collect::<SqlResult<Vec<String>>>()?;
    Ok(Datum::text(parts.join(delimiter)))
}

fn from_text(args: &[Datum]) -> SqlResult<Datum> {
    if args[0].is_null() {
        return Ok(Datum::Null);
    }
    let s = text(args, 0)?;
    let null = match args.get(2) {
        None | Some(Datum::Null) => None,
        Some(_) => Some(text(args, 2)?),
    };
    let element = |part: &str| if Some(part) == null { Datum::Null } else { Datum::text(part) };
    // One more than an array may have, to see that there are too many.
    let enough = limits::ARRAY_ELEMENTS_MAX + 1;
    let parts: Vec<Datum> = match &args[1] {
        _ if s.is_empty() => Vec::new(),
        Datum::Null => {
            let chars = s.chars().take(enough);
            chars.map(|c| element(c.encode_utf8(&mut [0; 4]))).collect()
        }
        _ if text(args, 1)?.is_empty() => vec![element(s)],
        _ => s.split(text(args, 1)?).take(enough).map(element).collect(),
    };
    if parts.len() == enough {
        let message = format!("array size exceeds the maximum allowed ({})", enough - 1);
        return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
    }
    Ok(Datum::Array(parts.into()))
}
