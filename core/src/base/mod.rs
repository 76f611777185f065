//! Words everything else is written in: ids, types, values, rows, keys, errors, limits.

pub mod array_text;
pub mod binary_format;
pub mod codec;
pub mod compare;
pub mod datetime;
mod datetime_input;
pub mod datum;
pub mod error;
pub mod float;
pub mod histogram;
pub mod ids;
pub mod keycode;
pub mod limits;
pub mod numeric;
pub mod row;
pub mod schema;
mod schema_codec;
pub mod sqlstate;
pub mod text_format;
pub mod types;
pub mod typmod;
pub mod wire;
pub mod write;

pub use datum::{Datum, Numeric};
pub use error::{SqlError, SqlResult, SqlState};
pub use ids::*;
pub use keycode::KeyOrder;
pub use row::{RowLayout, RowRef};
pub use types::SqlType;
pub use wire::Wire;
pub use write::RowWrite;
