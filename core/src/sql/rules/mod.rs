//! Rewriting of logical plans into cheaper ones with the same rows.
//!
//! In this order: [`fold`] evaluates what is constant, [`pushdown`] moves conditions towards the
//! tables, [`prune`] drops columns nobody reads. Each rule is a function from plan to plan.

mod fold;
mod prune;
mod pushdown;

use super::plan::Logical;
use crate::expr::{Expr, Volatility};

/// Applies every rule. The columns of the result are those of `plan`.
pub fn rewrite(plan: Logical) -> Logical {
    let width = plan.width();
    let plan = prune::prune(pushdown::pushdown(fold::fold(plan)));
    assert_eq!(plan.width(), width, "rules changed the number of columns");
    plan
}

/// Whether evaluating the expression more or fewer times could be noticed.
fn is_volatile(expr: &Expr) -> bool {
    let mut volatile = false;
    expr.walk(&mut |e| {
        if let Expr::Call { function, .. } = e {
            volatile |= function.volatility == Volatility::Volatile;
        }
    });
    volatile
}

/// Marks the columns an expression reads.
fn mark_columns(expr: &Expr, needed: &mut [bool]) {
    expr.walk(&mut |e| {
        if let Expr::Column { index, .. } = e {
            needed[*index] = true;
        }
    });
}
