//! The expression tree.
//!
//! Every node knows its type; operands already have the types their node expects. Comparisons are
//! a node of their own, not calls, so that the planner can see keys and ranges in them.

use std::cmp::Ordering;

use super::function::Function;
use crate::base::{Datum, SqlType};

/// How two values are compared.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum CompareOp {
    Eq = 0,
    Ne = 1,
    Lt = 2,
    Le = 3,
    Gt = 4,
    Ge = 5,
}

impl CompareOp {
    /// Every operator, in the order of discriminants.
    pub const ALL: [CompareOp; 6] =
        [CompareOp::Eq, CompareOp::Ne, CompareOp::Lt, CompareOp::Le, CompareOp::Gt, CompareOp::Ge];

    /// Whether values in this order satisfy the operator.
    pub fn holds(self, order: Ordering) -> bool {
        match self {
            CompareOp::Eq => order.is_eq(),
            CompareOp::Ne => order.is_ne(),
            CompareOp::Lt => order.is_lt(),
            CompareOp::Le => order.is_le(),
            CompareOp::Gt => order.is_gt(),
            CompareOp::Ge => order.is_ge(),
        }
    }

    /// The operator for exchanged operands: `a < b` is `b > a`.
    pub fn commuted(self) -> CompareOp {
        match self {
            CompareOp::Lt => CompareOp::Gt,
            CompareOp::Le => CompareOp::Ge,
            CompareOp::Gt => CompareOp::Lt,
            CompareOp::Ge => CompareOp::Le,
            same => same,
        }
    }

    /// The operator that holds exactly when this one does not (NULLs aside).
    pub fn negated(self) -> CompareOp {
        match self {
            CompareOp::Eq => CompareOp::Ne,
            CompareOp::Ne => CompareOp::Eq,
            CompareOp::Lt => CompareOp::Ge,
            CompareOp::Le => CompareOp::Gt,
            CompareOp::Gt => CompareOp::Le,
            CompareOp::Ge => CompareOp::Lt,
        }
    }

    /// The operator's name, as `<=`.
    pub fn name(self) -> &'static str {
        match self {
            CompareOp::Eq => "=",
            CompareOp::Ne => "<>",
            CompareOp::Lt => "<",
            CompareOp::Le => "<=",
            CompareOp::Gt => ">",
            CompareOp::Ge => ">=",
        }
    }
}

/// What `IS [NOT] …` asks of a boolean.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Truth {
    True,
    False,
    Unknown,
}

/// One arm of a CASE: its condition (boolean) and its result.
#[derive(Clone, Debug, PartialEq)]
pub struct CaseArm {
    pub when: Expr,
    pub then: Expr,
}

/// A typed expression over the columns of one row and the parameters of one statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    Constant {
        value: Datum,
        ty: SqlType,
    },
    /// A column of the input row, by position from 0.
    Column {
        index: usize,
        ty: SqlType,
        typmod: i32,
    },
    /// `$1` is index 0. `ty` is `Unknown` only until the builder gave it one.
    Param {
        index: usize,
        ty: SqlType,
    },
    /// A function or an operator other than the comparisons.
    Call {
        function: &'static Function,
        args: Vec<Expr>,
    },
    /// NULL when either side is. The operands' types are comparable with each other, though not
    /// always equal: int4 with int8, date with timestamp, as PostgreSQL's cross-type operators.
    Compare {
        op: CompareOp,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// Converts to `ty`, then applies `typmod` unless it is -1. `explicit` is `CAST` or `::`, which
    /// truncates varchar(n) silently where an assignment refuses.
    Cast {
        input: Box<Expr>,
        ty: SqlType,
        typmod: i32,
        explicit: bool,
    },
    /// At least two operands, flat; all boolean.
    And(Vec<Expr>),
    /// At least two operands, flat; all boolean.
    Or(Vec<Expr>),
    Not(Box<Expr>),
    IsNull {
        input: Box<Expr>,
        negated: bool,
    },
    /// `IS [NOT] TRUE | FALSE | UNKNOWN`.
    IsTruth {
        input: Box<Expr>,
        truth: Truth,
        negated: bool,
    },
    /// `IS [NOT] DISTINCT FROM`; operands comparable as in `Compare`.
    IsDistinct {
        left: Box<Expr>,
        right: Box<Expr>,
        negated: bool,
    },
    /// The first arm whose condition is true; `CASE x WHEN v` comes as conditions `x = v`. An operand is
    /// evaluated once, and is [`Expr::CaseOperand`] in the conditions; absent where it costs nothing to have
    /// it in them.
    Case {
        operand: Option<Box<Expr>>,
        arms: Vec<CaseArm>,
        otherwise: Option<Box<Expr>>,
        ty: SqlType,
    },
    /// The operand's value, in a condition of the CASE around it.
    CaseOperand {
        ty: SqlType,
    },
    Coalesce {
        args: Vec<Expr>,
        ty: SqlType,
    },
    /// NULL where the two are equal, else the first.
    NullIf {
        left: Box<Expr>,
        right: Box<Expr>,
    },
    /// The largest operand that is not NULL.
    Greatest {
        args: Vec<Expr>,
        ty: SqlType,
    },
    /// The smallest operand that is not NULL.
    Least {
        args: Vec<Expr>,
        ty: SqlType,
    },
    /// `input [NOT] IN (list)`; each element comparable with the input.
    InList {
        input: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
    },
    /// Operands are text. `escape` is a text operand of one character or none; absent means `\`.
    Like {
        input: Box<Expr>,
        pattern: Box<Expr>,
        escape: Option<Box<Expr>>,
        negated: bool,
        case_insensitive: bool,
    },
    /// `left op ANY (array)`, or ALL.
    AnyArray {
        left: Box<Expr>,
        op: CompareOp,
        array: Box<Expr>,
        all: bool,
    },
    /// `ARRAY[…]`; `ty` is an array type and the elements have its element type.
    Array {
        elements: Vec<Expr>,
        ty: SqlType,
    },
    /// `array[subscript]`, the subscript int4, from 1. NULL outside the bounds.
    Subscript {
        array: Box<Expr>,
        subscript: Box<Expr>,
        ty: SqlType,
    },
}

impl Expr {
    /// A constant of a known type.
    pub fn constant(value: Datum, ty: SqlType) -> Expr {
        Expr::Constant { value, ty }
    }

    /// NULL of a type.
    pub fn null(ty: SqlType) -> Expr {
        Expr::Constant { value: Datum::Null, ty }
    }

    /// TRUE or FALSE.
    pub fn bool(value: bool) -> Expr {
        Expr::Constant { value: Datum::Bool(value), ty: SqlType::Bool }
    }

    /// An untyped string literal; it takes its type from where it stands.
    pub fn literal(text: &str) -> Expr {
        Expr::Constant { value: Datum::text(text), ty: SqlType::Unknown }
    }

    /// A column of the input row.
    pub fn column(index: usize, ty: SqlType) -> Expr {
        Expr::Column { index, ty, typmod: -1 }
    }

    /// The conjunction: nothing becomes TRUE, nested ANDs are flattened.
    pub fn and(operands: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for operand in operands {
            match operand {
                Expr::And(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Expr::bool(true),
            1 => flat.remove(0),
            _ => Expr::And(flat),
        }
    }

    /// The disjunction: nothing becomes FALSE, nested ORs are flattened.
    pub fn or(operands: impl IntoIterator<Item = Expr>) -> Expr {
        let mut flat = Vec::new();
        for operand in operands {
            match operand {
                Expr::Or(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        match flat.len() {
            0 => Expr::bool(false),
            1 => flat.remove(0),
            _ => Expr::Or(flat),
        }
    }

    /// The operands of a conjunction; any other expression is its own single operand.
    pub fn conjuncts(self) -> Vec<Expr> {
        match self {
            Expr::And(operands) => operands,
            other => vec![other],
        }
    }

    /// The type of the value.
    pub fn ty(&self) -> SqlType {
        match self {
            Expr::Constant { ty, .. }
            | Expr::Column { ty, .. }
            | Expr::Param { ty, .. }
            | Expr::Cast { ty, .. }
            | Expr::Case { ty, .. }
            | Expr::CaseOperand { ty }
            | Expr::Coalesce { ty, .. }
            | Expr::Greatest { ty, .. }
            | Expr::Least { ty, .. }
            | Expr::Array { ty, .. }
            | Expr::Subscript { ty, .. } => *ty,
            Expr::Call { function, .. } => function.result,
            Expr::NullIf { left, .. } => left.ty(),
            Expr::Compare { .. }
            | Expr::And(_)
            | Expr::Or(_)
            | Expr::Not(_)
            | Expr::IsNull { .. }
            | Expr::IsTruth { .. }
            | Expr::IsDistinct { .. }
            | Expr::InList { .. }
            | Expr::Like { .. }
            | Expr::AnyArray { .. } => SqlType::Bool,
        }
    }

    /// The type modifier of the value, as RowDescription reports it; -1 for none.
    pub fn typmod(&self) -> i32 {
        match self {
            Expr::Column { typmod, .. } | Expr::Cast { typmod, .. } => *typmod,
            Expr::NullIf { left, .. } => left.typmod(),
            Expr::Case { arms, otherwise: Some(otherwise), ty, .. } => {
                let results = arms.iter().map(|arm| &arm.then).chain([otherwise.as_ref()]);
                common_typmod(*ty, results)
            }
            Expr::Coalesce { args, ty }
            | Expr::Greatest { args, ty }
            | Expr::Least { args, ty } => common_typmod(*ty, args),
            _ => -1,
        }
    }

    /// The direct operands, in evaluation order.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Param { .. }
            | Expr::CaseOperand { .. } => Vec::new(),
            Expr::Call { args, .. }
            | Expr::Coalesce { args, .. }
            | Expr::Greatest { args, .. }
            | Expr::Least { args, .. } => args.iter().collect(),
            Expr::And(operands) | Expr::Or(operands) => operands.iter().collect(),
            Expr::Array { elements, .. } => elements.iter().collect(),
            Expr::Cast { input, .. }
            | Expr::Not(input)
            | Expr::IsNull { input, .. }
            | Expr::IsTruth { input, .. } => vec![input],
            Expr::Compare { left, right, .. }
            | Expr::IsDistinct { left, right, .. }
            | Expr::NullIf { left, right } => vec![left, right],
            Expr::Case { operand, arms, otherwise, .. } => {
                let arms = arms.iter().flat_map(|arm| [&arm.when, &arm.then]);
                operand.as_deref().into_iter().chain(arms).chain(otherwise.as_deref()).collect()
            }
            Expr::InList { input, list, .. } => {
                std::iter::once(input.as_ref()).chain(list).collect()
            }
            Expr::Like { input, pattern, escape, .. } => {
                [input.as_ref(), pattern].into_iter().chain(escape.as_deref()).collect()
            }
            Expr::AnyArray { left, array, .. } => vec![left, array],
            Expr::Subscript { array, subscript, .. } => vec![array, subscript],
        }
    }

    /// The direct operands, to be replaced in place.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Constant { .. }
            | Expr::Column { .. }
            | Expr::Param { .. }
            | Expr::CaseOperand { .. } => Vec::new(),
            Expr::Call { args, .. }
            | Expr::Coalesce { args, .. }
            | Expr::Greatest { args, .. }
            | Expr::Least { args, .. } => args.iter_mut().collect(),
            Expr::And(operands) | Expr::Or(operands) => operands.iter_mut().collect(),
            Expr::Array { elements, .. } => elements.iter_mut().collect(),
            Expr::Cast { input, .. }
            | Expr::Not(input)
            | Expr::IsNull { input, .. }
            | Expr::IsTruth { input, .. } => vec![input],
            Expr::Compare { left, right, .. }
            | Expr::IsDistinct { left, right, .. }
            | Expr::NullIf { left, right } => vec![left, right],
            Expr::Case { operand, arms, otherwise, .. } => {
                let arms = arms.iter_mut().flat_map(|arm| [&mut arm.when, &mut arm.then]);
                let operand = operand.as_deref_mut().into_iter();
                operand.chain(arms).chain(otherwise.as_deref_mut()).collect()
            }
            Expr::InList { input, list, .. } => {
                std::iter::once(input.as_mut()).chain(list).collect()
            }
            Expr::Like { input, pattern, escape, .. } => {
                [input.as_mut(), pattern].into_iter().chain(escape.as_deref_mut()).collect()
            }
            Expr::AnyArray { left, array, .. } => vec![left, array],
            Expr::Subscript { array, subscript, .. } => vec![array, subscript],
        }
    }

    /// Calls `visit` on every node, parents first.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }

    /// Calls `change` on every node, children first.
    pub fn rewrite(&mut self, change: &mut dyn FnMut(&mut Expr)) {
        for child in self.children_mut() {
            child.rewrite(change);
        }
        change(self);
    }

    /// Whether the value depends on no column.
    pub fn is_row_independent(&self) -> bool {
        let mut free = true;
        self.walk(&mut |e| free &= !matches!(e, Expr::Column { .. }));
        free
    }
}

/// The type modifier that all of these have, of those that are of type `ty`; else -1.
fn common_typmod<'e>(ty: SqlType, exprs: impl IntoIterator<Item = &'e Expr>) -> i32 {
    let mut typmods =
        exprs.into_iter().map(|expr| if expr.ty() == ty { expr.typmod() } else { -1 });
    let first = typmods.next().unwrap_or(-1);
    if typmods.all(|typmod| typmod == first) { first } else { -1 }
}
