//! Predicate pushdown: a condition is checked as close to the table as its columns allow.
//!
//! ```text
//!   Filter a.x = 1 AND a.id = b.id          Join on a.id = b.id
//!   └── Join                        ──►     ├── Scan a  x = 1
//!       ├── Scan a                          └── Scan b
//!       └── Scan b
//! ```
//!
//! Not pushed: volatile conditions, anything below a LIMIT, and conditions on the side of an outer
//! join that may be filled with NULLs.

use super::{is_volatile, mark_columns};
use crate::expr::Expr;
use crate::sql::plan::Logical;
use crate::sql::plan::logical::{Group, Join, JoinKind, Mark, SetKind};

/// Moves every condition of the tree as far down as it goes.
pub fn pushdown(plan: Logical) -> Logical {
    push(plan, Vec::new())
}

/// The plan with `conditions` over its rows, and its own conditions, pushed down.
fn push(plan: Logical, conditions: Vec<Expr>) -> Logical {
    match plan {
        Logical::Filter { input, conditions: own } => {
            let all = own.into_iter().chain(conditions).collect();
            push(*input, all)
        }
        Logical::Scan(mut scan) => {
            for mut condition in conditions {
                condition.rewrite(&mut |e| {
                    if let Expr::Column { index, .. } = e {
                        *index = scan.columns[*index];
                    }
                });
                scan.conditions.push(condition);
            }
            Logical::Scan(scan)
        }
        Logical::Project { input, exprs } => {
            let (below, above) = split(conditions, |condition| can_substitute(condition, &exprs));
            let below = below.into_iter().map(|condition| substitute(condition, &exprs));
            let input = Box::new(push(*input, below.collect()));
            filter(Logical::Project { input, exprs }, above)
        }
        Logical::Join(join) => push_join(join, conditions),
        Logical::Mark(mark) => push_mark(mark, conditions),
        Logical::Aggregate(group) => push_group(group, conditions),
        Logical::Distinct { input } => {
            let (below, above) = split(conditions, |condition| !is_volatile(condition));
            filter(Logical::Distinct { input: Box::new(push(*input, below)) }, above)
        }
        Logical::Sort { input, keys } => {
            Logical::Sort { input: Box::new(push(*input, conditions)), keys }
        }
        Logical::SetOperation { kind, all, left, right } => {
            let (below, above) = split(conditions, |condition| !is_volatile(condition));
            let right_too = kind != SetKind::Except;
            let right_conditions = if right_too { below.clone() } else { Vec::new() };
            let left = Box::new(push(*left, below));
            let right = Box::new(push(*right, right_conditions));
            filter(Logical::SetOperation { kind, all, left, right }, above)
        }
        Logical::Limit { input, limit, offset } => {
            let input = Box::new(pushdown(*input));
            filter(Logical::Limit { input, limit, offset }, conditions)
        }
        leaf @ (Logical::Values { .. } | Logical::Series(_)) => filter(leaf, conditions),
    }
}

fn push_join(join: Join, conditions: Vec<Expr>) -> Logical {
    let Join { kind, left, right, on } = join;
    let left_width = left.width();
    let width = left_width + right.width();
    let (mut to_left, mut to_right, mut kept, mut above) = (vec![], vec![], vec![], vec![]);
    for condition in conditions {
        let side = side_of(&condition, left_width, width);
        match (kind, side) {
            _ if is_volatile(&condition) => above.push(condition),
            (JoinKind::Inner | JoinKind::Left, Side::Left) => to_left.push(condition),
            (JoinKind::Inner, Side::Right) => to_right.push(condition),
            (JoinKind::Inner, Side::Neither) => to_left.push(condition),
            (JoinKind::Inner, Side::Both) => kept.push(condition),
            _ => above.push(condition),
        }
    }
    for condition in on {
        let side = side_of(&condition, left_width, width);
        match (kind, side) {
            _ if is_volatile(&condition) => kept.push(condition),
            (JoinKind::Inner, Side::Left) => to_left.push(condition),
            (JoinKind::Inner | JoinKind::Left, Side::Right) => to_right.push(condition),
            _ => kept.push(condition),
        }
    }
    for condition in &mut to_right {
        condition.rewrite(&mut |e| {
            if let Expr::Column { index, .. } = e {
                *index -= left_width;
            }
        });
    }
    let left = Box::new(push(*left, to_left));
    let right = Box::new(push(*right, to_right));
    filter(Logical::Join(Join { kind, left, right, on: kept }), above)
}

fn push_mark(mark: Mark, conditions: Vec<Expr>) -> Logical {
    let Mark { input, subquery, kind, arguments, ty } = mark;
    let column = input.width();
    let (below, above) = split(conditions, |condition| {
        let mut needed = vec![false; column + 1];
        mark_columns(condition, &mut needed);
        !needed[column] && !is_volatile(condition)
    });
    let input = Box::new(push(*input, below));
    let subquery = Box::new(pushdown(*subquery));
    filter(Logical::Mark(Mark { input, subquery, kind, arguments, ty }), above)
}

/// A condition on group keys holds for a group exactly if it holds for each of its rows.
fn push_group(group: Group, conditions: Vec<Expr>) -> Logical {
    let Group { input, keys, calls } = group;
    let (below, above) = split(conditions, |condition| {
        let mut needed = vec![false; keys.len() + calls.len()];
        mark_columns(condition, &mut needed);
        !keys.is_empty()
            && needed.iter().skip(keys.len()).all(|needed| !needed)
            && can_substitute(condition, &keys)
    });
    let below = below.into_iter().map(|condition| substitute(condition, &keys)).collect();
    let input = Box::new(push(*input, below));
    filter(Logical::Aggregate(Group { input, keys, calls }), above)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Neither,
    Left,
    Right,
    Both,
}

fn side_of(condition: &Expr, left_width: usize, width: usize) -> Side {
    let mut needed = vec![false; width];
    mark_columns(condition, &mut needed);
    let (left, right) = needed.split_at(left_width);
    match (left.contains(&true), right.contains(&true)) {
        (false, false) => Side::Neither,
        (true, false) => Side::Left,
        (false, true) => Side::Right,
        (true, true) => Side::Both,
    }
}

fn can_substitute(condition: &Expr, exprs: &[Expr]) -> bool {
    let mut volatile = is_volatile(condition);
    condition.walk(&mut |e| {
        if let Expr::Column { index, .. } = e {
            volatile |= exprs.get(*index).is_none_or(is_volatile);
        }
    });
    !volatile
}

/// The condition over the input of a projection instead of over its output.
fn substitute(mut condition: Expr, exprs: &[Expr]) -> Expr {
    condition.rewrite(&mut |e| {
        if let Expr::Column { index, .. } = e {
            *e = exprs[*index].clone();
        }
    });
    condition
}

fn split(conditions: Vec<Expr>, goes_below: impl Fn(&Expr) -> bool) -> (Vec<Expr>, Vec<Expr>) {
    conditions.into_iter().partition(goes_below)
}

fn filter(plan: Logical, conditions: Vec<Expr>) -> Logical {
    if conditions.is_empty() {
        return plan;
    }
    Logical::Filter { input: Box::new(plan), conditions }
}
