//! Constant folding: work that is the same for every row is done once, while planning.

use super::context::{NoRow, detached};
use super::function::{Body, Volatility};
use super::tree::Expr;
use crate::base::{Datum, SqlType};

/// A value replaces an expression if it is at most so many bytes longer than the constants in it.
const GROWTH_BYTES_MAX: usize = 256;
/// Steps of an expression that is folded; what takes more is left to the statement's run, which others can
/// interrupt.
const STEPS_MAX: u64 = 100_000;

impl Expr {
    /// Replaces what depends on neither row, parameters, session nor time by its value. A part
    /// whose evaluation fails stays as it is and fails when, and only if, it is reached.
    #[must_use]
    pub fn fold(mut self) -> Expr {
        self.rewrite(&mut |e| fold_node(e));
        self
    }

    /// The value of an expression that [`Expr::fold`] made a constant.
    pub fn as_constant(&self) -> Option<&Datum> {
        match self {
            Expr::Constant { value, .. } => Some(value),
            _ => None,
        }
    }
}

fn fold_node(expr: &mut Expr) {
    match expr {
        Expr::Constant { .. }
        | Expr::Column { .. }
        | Expr::Param { .. }
        | Expr::CaseOperand { .. } => return,
        Expr::Call { function, .. } => {
            let is_native = matches!(function.body, Body::Native(_));
            if !is_native || function.volatility != Volatility::Immutable {
                return;
            }
        }
        Expr::And(operands) => fold_junction(operands, false),
        Expr::Or(operands) => fold_junction(operands, true),
        _ => {}
    }
    if let Expr::And(operands) | Expr::Or(operands) = expr
        && operands.len() == 1
    {
        *expr = operands.remove(0);
        return;
    }
    if expr.children().iter().any(|c| c.as_constant().is_none()) {
        return;
    }
    let ty = expr.ty();
    if let Ok(value) = detached(STEPS_MAX, |context| expr.eval(&NoRow, context))
        && may_replace(&value, expr)
    {
        *expr = Expr::Constant { value, ty };
    }
}

/// Whether a value takes little more room than the constants it is made of: a plan is kept, and
/// `repeat('x', 16000000)` is not to be kept in it.
fn may_replace(value: &Datum, expr: &Expr) -> bool {
    let constants = expr.children();
    let constants = constants.iter().filter_map(|child| child.as_constant());
    value.memory_bytes() <= GROWTH_BYTES_MAX + constants.map(Datum::memory_bytes).sum::<usize>()
}

/// Drops the operands that cannot matter; a decisive constant drops all the others.
fn fold_junction(operands: &mut Vec<Expr>, decisive: bool) {
    let is = |e: &Expr, wanted: bool| e.as_constant() == Some(&Datum::Bool(wanted));
    if operands.iter().any(|e| is(e, decisive)) {
        *operands = vec![Expr::bool(decisive)];
        return;
    }
    operands.retain(|e| !is(e, !decisive));
    if operands.is_empty() {
        operands.push(Expr::constant(Datum::Bool(!decisive), SqlType::Bool));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::ExprBuilder;

    fn int(v: i32) -> Expr {
        Expr::constant(Datum::Int4(v), SqlType::Int4)
    }

    #[test]
    fn constants_fold_and_the_rest_stays() {
        let mut b = ExprBuilder::default();
        let sum = b.binary("+", int(1), int(2)).unwrap();
        assert_eq!(sum.fold(), int(3));
        let column = Expr::column(0, SqlType::Int4);
        let two = b.binary("*", int(1), int(2)).unwrap();
        let mixed = b.binary("+", column.clone(), two).unwrap().fold();
        assert_eq!(mixed, b.binary("+", column, int(2)).unwrap());
        let now = b.call("now", vec![]).unwrap();
        assert_eq!(now.clone().fold(), now);
    }

    /// What would make a plan much longer than its text is made when the statement runs.
    #[test]
    fn long_values_are_not_folded() {
        let mut b = ExprBuilder::default();
        let text = |length| Expr::constant(Datum::text("x".repeat(length)), SqlType::Text);
        let mut repeat = |text, times| b.call("repeat", vec![text, int(times)]).unwrap();
        assert_eq!(repeat(text(1), 200).fold(), text(200));
        assert!(repeat(text(1), 10_000).fold().as_constant().is_none());
        assert_eq!(repeat(text(10_000), 1).fold(), text(10_000));
        let nested = repeat(text(100), 100);
        assert!(repeat(nested, 100).fold().as_constant().is_none());
    }

    #[test]
    fn failing_parts_fail_only_when_reached() {
        let mut b = ExprBuilder::default();
        let bad = b.binary("/", int(1), int(0)).unwrap();
        assert_eq!(bad.clone().fold(), bad);
        let guarded = b.case(None, vec![(Expr::bool(true), int(1))], Some(bad)).unwrap().fold();
        assert!(guarded.as_constant().is_none());
        assert_eq!(detached(STEPS_MAX, |c| guarded.eval(&NoRow, c)).unwrap(), Datum::Int4(1));
    }

    #[test]
    fn junctions_drop_what_cannot_matter() {
        let column = Expr::column(0, SqlType::Bool);
        let and = |others: Vec<Expr>| Expr::And(others).fold();
        assert_eq!(and(vec![Expr::bool(true), column.clone()]), column);
        assert_eq!(and(vec![Expr::bool(false), column.clone()]), Expr::bool(false));
        assert_eq!(Expr::Or(vec![Expr::bool(true), column.clone()]).fold(), Expr::bool(true));
        let null = Expr::null(SqlType::Bool);
        assert_eq!(and(vec![null.clone(), column.clone()]), Expr::And(vec![null, column]));
    }
}
