//! The table of casts, after PostgreSQL's `pg_cast`, and the conversions themselves.

/// Where a conversion stands, which decides whether it is allowed. Each context allows what the
/// ones before it allow.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CastContext {
    /// Anywhere in an expression.
    Implicit,
    /// The value of a column in INSERT or UPDATE.
    Assignment,
    /// `CAST(x AS t)` or `x::t`.
    Explicit,
}
