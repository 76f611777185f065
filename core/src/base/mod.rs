//! Words everything else is written in: ids, types, values, rows, keys, errors, limits.

pub mod codec;
pub mod datum;
pub mod error;
pub mod ids;
pub mod schema;
mod schema_codec;
pub mod sqlstate;
pub mod types;
pub mod wire;
pub mod write;

pub use datum::{Datum, Numeric};
pub use error::{SqlError, SqlResult, SqlState};
pub use ids::*;
pub use types::SqlType;
pub use wire::Wire;
pub use write::RowWrite;
