//! Typed expressions and the tables of operators, functions, casts and aggregates.
//!
//! A statement's text becomes an [`Expr`] in the binder, through [`ExprBuilder`]: it looks names up
//! in the tables below by PostgreSQL's rules for types (chapter 10 of its manual), adds the implicit
//! casts, and gives types to untyped literals and parameters. What comes out is fully typed and is
//! evaluated over a row by [`Expr::eval`], which resolves nothing any more.
//!
//! ```text
//!   price * 2 > $1          price is numeric, $1 untyped
//!
//!   Compare Gt numeric
//!   ├── Call numeric_mul
//!   │   ├── Column 3 : numeric
//!   │   └── Constant 2 : numeric      the literal 2 was integer; the cast is folded
//!   └── Param 0 : numeric             $1 took the type of the other side
//! ```
//!
//! | file | holds |
//! |---|---|
//! | [`tree`] | [`Expr`], its type, walks over it |
//! | [`build`] | [`ExprBuilder`]: names and untyped parts in, typed trees out |
//! | [`resolve`] | choice among overloaded operators and functions; common types |
//! | [`function`], `functions`, [`operator`], [`cast`] | the tables, after `pg_proc`, `pg_operator`, `pg_cast` |
//! | [`like`], [`regex`] | pattern matching |
//! | [`context`] | [`EvalContext`] and [`ColumnSource`]: what evaluation may look at |
//! | [`eval`] | evaluation, three-valued logic |
//! | [`fold`] | constant folding |
//! | [`aggregate`] | accumulators |
//! | [`codec`] | expressions as bytes |
//! | [`work`] | what bounds the time of one evaluation |
//!
//! Functions of a row are pure: time, user and randomness come from the context.

pub mod aggregate;
pub mod build;
pub mod cast;
pub mod codec;
pub mod context;
pub mod eval;
pub mod fold;
pub mod function;
mod functions;
pub mod like;
pub mod operator;
pub mod regex;
pub mod resolve;
pub mod tree;
pub mod work;

pub use aggregate::{Accumulator, Aggregate};
pub use build::{ExprBuilder, ParamTypes};
pub use cast::CastContext;
pub use context::{CatalogFunctions, ColumnSource, EvalContext, Failure, SessionValues};
pub use function::{Function, Volatility};
pub use operator::Operator;
pub use tree::{CompareOp, Expr};
