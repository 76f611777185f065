//! Checks of what must always hold, without an order of operations.

mod bank;
mod set;
mod unique_ids;

pub use bank::{BankOptions, check_bank};
pub use set::check_set;
pub use unique_ids::check_unique_ids;

#[cfg(test)]
mod tests;
