//! The table of functions, after PostgreSQL's `pg_proc`.
//!
//! Rows stand beside the bodies, in [`super::functions`]. The functions behind operators are rows
//! too, as in PostgreSQL: `1 + 2` is `int4pl(1, 2)`.

use super::context::EvalContext;
use super::functions;
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

/// Computes a value from arguments of the declared types.
pub type NativeBody = fn(&[Datum], &EvalContext) -> SqlResult<Datum>;

/// What computes a function.
#[derive(Clone, Copy)]
pub enum Body {
    /// Computed from arguments and context.
    Native(NativeBody),
    /// Answered by [`super::context::CatalogFunctions`].
    Catalog,
}

/// In [`Function::args`]: a value of any type, PostgreSQL's `"any"`. No function takes `unknown`.
pub const ANY: SqlType = SqlType::Unknown;
/// In [`Function::args`]: an array of any type, `anyarray`. No function takes `void`.
pub const ANY_ARRAY: SqlType = SqlType::Void;

/// A row of the table.
pub struct Function {
    /// PostgreSQL's oid of the function: its identity in plans on the wire and in `pg_proc`.
    pub oid: u32,
    pub name: &'static str,
    /// Types of the arguments, [`ANY`] and [`ANY_ARRAY`] among them. For a variadic function the
    /// last one repeats, at least once.
    pub args: &'static [SqlType],
    pub result: SqlType,
    /// NULL as soon as an argument is NULL, without calling the body.
    pub strict: bool,
    pub variadic: bool,
    pub volatility: Volatility,
    pub body: Body,
}

/// A row of a table of functions: a strict, immutable one.
pub(super) const fn row(
    oid: u32,
    name: &'static str,
    args: &'static [SqlType],
    result: SqlType,
    body: NativeBody,
) -> Function {
    Function {
        oid,
        name,
        args,
        result,
        strict: true,
        variadic: false,
        volatility: Volatility::Immutable,
        body: Body::Native(body),
    }
}

impl Function {
    /// A strict, stable function that the catalog answers.
    pub(super) const fn catalog(
        oid: u32,
        name: &'static str,
        args: &'static [SqlType],
        result: SqlType,
    ) -> Function {
        Function {
            oid,
            name,
            args,
            result,
            strict: true,
            variadic: false,
            volatility: Volatility::Stable,
            body: Body::Catalog,
        }
    }

    pub(super) const fn stable(mut self) -> Function {
        self.volatility = Volatility::Stable;
        self
    }

    pub(super) const fn volatile(mut self) -> Function {
        self.volatility = Volatility::Volatile;
        self
    }

    /// The body sees NULL arguments.
    pub(super) const fn sees_nulls(mut self) -> Function {
        self.strict = false;
        self
    }

    pub(super) const fn variadic(mut self) -> Function {
        self.variadic = true;
        self
    }
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

/// Every function.
pub fn all() -> impl Iterator<Item = &'static Function> {
    functions::TABLES.iter().flat_map(|table| table.iter())
}

/// Every function of this name.
pub fn named(name: &str) -> impl Iterator<Item = &'static Function> {
    all().filter(move |f| f.name == name)
}

/// The function with this oid.
pub fn by_oid(oid: u32) -> Option<&'static Function> {
    all().find(|f| f.oid == oid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn rows_are_distinct() {
        let mut oids = BTreeSet::new();
        let mut signatures = BTreeSet::new();
        for f in all() {
            assert!(oids.insert(f.oid), "{f:?} shares its oid");
            assert!(signatures.insert((f.name, f.args)), "{f:?} {:?} is there twice", f.args);
            assert!(!f.variadic || !f.args.is_empty(), "{f:?}");
        }
    }
}
