//! The table of functions, after PostgreSQL's `pg_proc`.

use super::context::EvalContext;
use crate::base::{Datum, SqlResult, SqlType};

/// How the value of a function may change between calls with the same arguments.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Volatility {
    /// Never: may be folded.
    Immutable,
    /// Not within one statement: `now()`.
    Stable,
    /// Each call: `gen_random_uuid()`.
    Volatile,
}

/// What computes a function.
#[derive(Clone, Copy)]
pub enum Body {
    /// Computed from arguments and context.
    Native(fn(&[Datum], &EvalContext) -> SqlResult<Datum>),
    /// Answered by [`super::context::CatalogFunctions`].
    Catalog,
}

/// A row of the table.
pub struct Function {
    /// PostgreSQL's oid of the function: its identity in plans on the wire and in `pg_proc`.
    pub oid: u32,
    pub name: &'static str,
    /// Types of the arguments. For a variadic function the last one repeats, at least once.
    pub args: &'static [SqlType],
    pub result: SqlType,
    /// NULL as soon as an argument is NULL, without calling the body.
    pub strict: bool,
    pub variadic: bool,
    pub volatility: Volatility,
    pub body: Body,
}

impl PartialEq for Function {
    fn eq(&self, other: &Function) -> bool {
        self.oid == other.oid
    }
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}#{}", self.name, self.oid)
    }
}

/// The function with this oid.
pub fn by_oid(oid: u32) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|f| f.oid == oid)
}

/// Every function, by name.
pub static FUNCTIONS: &[Function] = &[];
