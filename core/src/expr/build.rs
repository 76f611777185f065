//! Builds typed trees from names and untyped parts: the binder's way into this layer.
//!
//! Literals and parameters may come with type `Unknown`. A step that needs a type converts them:
//! a literal is parsed then and there (so a bad one fails while binding, as in PostgreSQL), and a
//! parameter takes that type for the whole statement, which [`ParamTypes`] remembers.

use super::cast::CastContext;
use super::tree::{CompareOp, Expr};
use crate::base::{SqlError, SqlResult, SqlType};

/// Types of a statement's parameters: declared by the client, or learned while building.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamTypes {
    types: Vec<SqlType>,
}

impl ParamTypes {
    /// Types declared by Parse; `Unknown` where the client left it to the server.
    pub fn declared(types: Vec<SqlType>) -> ParamTypes {
        ParamTypes { types }
    }

    /// The types, one a parameter. 42P18 `could not determine data type of parameter $1` for one
    /// that no use gave a type.
    pub fn finish(self) -> SqlResult<Vec<SqlType>> {
        Ok(self.types)
    }
}

/// Makes typed expressions; one per statement.
#[derive(Clone, Debug, Default)]
pub struct ExprBuilder {
    pub params: ParamTypes,
}

fn not_yet() -> SqlError {
    SqlError::unsupported("this expression")
}

impl ExprBuilder {
    pub fn new(params: ParamTypes) -> ExprBuilder {
        ExprBuilder { params }
    }

    /// `$number`, from 1.
    pub fn param(&mut self, _number: usize) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `left name right`, for every operator that is spelled with symbols, and for `~~`, `!~~`,
    /// `~~*`, `!~~*` (LIKE, NOT LIKE, ILIKE, NOT ILIKE).
    pub fn binary(&mut self, _name: &str, _left: Expr, _right: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `name operand`: `-`, `+`, `~`, `@`, …
    pub fn unary(&mut self, _name: &str, _operand: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// A call of a scalar function, by its folded name. `CURRENT_TIMESTAMP` is `now`,
    /// `CURRENT_DATE`, `CURRENT_USER` … are functions of these names in lower case;
    /// `EXTRACT(f FROM x)` is `extract('f', x)`, `SUBSTRING(a FROM b FOR c)` is
    /// `substring(a, b, c)`, `POSITION(a IN b)` is `position(b, a)`, `TRIM(LEADING a FROM b)` is
    /// `ltrim(b, a)`; COALESCE, NULLIF, GREATEST and LEAST have methods of their own.
    pub fn call(&mut self, _name: &str, _args: Vec<Expr>) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `expr` as a value of `ty` with `typmod` (-1 for none), where `context` allows it.
    ///
    /// Errors: 42846 `cannot cast type boolean to date`, in every context; the binder words the
    /// refusal of an assignment itself (42804).
    pub fn coerce(
        &mut self,
        _expr: Expr,
        _ty: SqlType,
        _typmod: i32,
        _context: CastContext,
    ) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `expr` as a condition of `construct` (`WHERE`, `AND`, `CASE/WHEN`, `JOIN/ON`, `HAVING`, …).
    ///
    /// Errors: 42804 `argument of WHERE must be type boolean, not type integer`.
    pub fn condition(&mut self, _construct: &str, _expr: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// Gives every expression the common type of all, as `construct` needs it.
    pub fn unify(&mut self, _construct: &str, _exprs: &mut [&mut Expr]) -> SqlResult<SqlType> {
        Err(not_yet())
    }

    pub fn and(&mut self, _left: Expr, _right: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }

    pub fn or(&mut self, _left: Expr, _right: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }

    pub fn not(&mut self, _operand: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `left IS [NOT] DISTINCT FROM right`.
    pub fn is_distinct(&mut self, _left: Expr, _right: Expr, _negated: bool) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `CASE [operand] WHEN … THEN … ELSE … END`.
    pub fn case(
        &mut self,
        _operand: Option<Expr>,
        _arms: Vec<(Expr, Expr)>,
        _otherwise: Option<Expr>,
    ) -> SqlResult<Expr> {
        Err(not_yet())
    }

    pub fn coalesce(&mut self, _args: Vec<Expr>) -> SqlResult<Expr> {
        Err(not_yet())
    }

    pub fn null_if(&mut self, _left: Expr, _right: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }

    pub fn greatest(&mut self, _args: Vec<Expr>) -> SqlResult<Expr> {
        Err(not_yet())
    }

    pub fn least(&mut self, _args: Vec<Expr>) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `input [NOT] IN (list)`.
    pub fn in_list(&mut self, _input: Expr, _list: Vec<Expr>, _negated: bool) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `input [NOT] LIKE | ILIKE pattern [ESCAPE escape]`.
    pub fn like(
        &mut self,
        _input: Expr,
        _pattern: Expr,
        _escape: Option<Expr>,
        _form: LikeForm,
    ) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `left op ANY (array)`, or ALL.
    pub fn any_array(
        &mut self,
        _left: Expr,
        _op: CompareOp,
        _array: Expr,
        _all: bool,
    ) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `ARRAY[elements]`.
    pub fn array(&mut self, _elements: Vec<Expr>) -> SqlResult<Expr> {
        Err(not_yet())
    }

    /// `array[subscript]`.
    pub fn subscript(&mut self, _array: Expr, _subscript: Expr) -> SqlResult<Expr> {
        Err(not_yet())
    }
}

/// LIKE or ILIKE, plain or NOT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LikeForm {
    pub negated: bool,
    pub case_insensitive: bool,
}
