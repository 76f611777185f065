//! What rows cost, and when more are refused.
//!
//! Bytes are counted as the allocator hands them out. A leader refuses growth at 85 % of the limit
//! and lets deletes through up to 95 %, so that a full table can still be emptied; what is in the log
//! is always applied.

use crate::base::{SqlError, SqlResult, SqlState};

/// Bytes the allocator takes for a block of `len`: a header of 8, in steps of 16, at least 32.
pub fn allocation_bytes(len: usize) -> u64 {
    if len == 0 { 0 } else { (len as u64 + 8).next_multiple_of(16).max(32) }
}

/// What a statement wants memory for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    Growth,
    /// A delete: its tombstone needs room before garbage collection gives more back.
    Delete,
}

/// The memory an instance may use for rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryLimit {
    pub bytes: u64,
}

impl MemoryLimit {
    /// Whether `extra` bytes may be added to `used`. 53200 if not; only leaders ask.
    pub fn admit(self, used: u64, extra: u64, demand: Demand) -> SqlResult<()> {
        let percent = match demand {
            Demand::Growth => 85,
            Demand::Delete => 95,
        };
        let allowed = (u128::from(self.bytes) * percent / 100) as u64;
        if used.saturating_add(extra) <= allowed {
            return Ok(());
        }
        crate::sometimes!("memory: refused by the leader");
        Err(SqlError::new(SqlState::OutOfMemory, "out of memory")
            .with_detail(format!(
                "{used} of {} bytes are in use; {extra} more exceed {percent} %",
                self.bytes
            ))
            .with_hint("Delete rows, or add instances and let buckets move to them."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_stops_at_85_percent_and_deletes_at_95() {
        let limit = MemoryLimit { bytes: 1000 };
        assert!(limit.admit(800, 50, Demand::Growth).is_ok());
        let refused = limit.admit(800, 51, Demand::Growth).unwrap_err();
        assert_eq!(refused.state, SqlState::OutOfMemory);
        assert!(limit.admit(900, 50, Demand::Delete).is_ok());
        assert!(limit.admit(900, 51, Demand::Delete).is_err());
        assert!(limit.admit(u64::MAX, 1, Demand::Growth).is_err());
    }
}
