//! Constant folding: `1 + 1` is 2, `WHERE true` is no condition, `WHERE false` gives no rows.

use crate::base::Datum;
use crate::expr::Expr;
use crate::sql::plan::Logical;

/// Folds every expression and drops conditions that always hold.
pub fn fold(mut plan: Logical) -> Logical {
    plan.rewrite_exprs(&mut |expr| {
        let taken = std::mem::replace(expr, Expr::bool(true));
        *expr = taken.fold();
    });
    simplify(plan)
}

fn simplify(mut plan: Logical) -> Logical {
    for input in plan.inputs_mut() {
        let taken = std::mem::replace(input, Logical::one_row());
        *input = simplify(taken);
    }
    match plan {
        Logical::Filter { input, conditions } => filter(*input, conditions),
        other => other,
    }
}

fn filter(input: Logical, conditions: Vec<Expr>) -> Logical {
    let mut kept = Vec::with_capacity(conditions.len());
    for condition in conditions.into_iter().flat_map(Expr::conjuncts) {
        match condition {
            Expr::Constant { value: Datum::Bool(true), .. } => {}
            Expr::Constant { .. } => {
                return Logical::Values { width: input.width(), rows: Vec::new() };
            }
            other => kept.push(other),
        }
    }
    if kept.is_empty() {
        return input;
    }
    Logical::Filter { input: Box::new(input), conditions: kept }
}
