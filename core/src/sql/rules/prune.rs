//! Column pruning: a scan gives only the columns that something above it reads.
//!
//! Going down, each node is told which of its columns are needed; coming up, it says where they
//! went. When all are needed nothing moves.

use super::mark_columns;
use crate::expr::Expr;
use crate::sql::plan::Logical;
use crate::sql::plan::logical::{Group, Join, Mark, MarkKind};

/// Where each old column is now; `None` for a dropped one.
type Moves = Vec<Option<usize>>;

/// Drops the columns that are not needed for the plan's result.
pub fn prune(plan: Logical) -> Logical {
    let needed = vec![true; plan.width()];
    prune_to(plan, &needed).0
}

fn prune_to(plan: Logical, needed: &[bool]) -> (Logical, Moves) {
    match plan {
        Logical::Scan(mut scan) => {
            let moves = compact(needed);
            let mut at = needed.iter();
            scan.columns.retain(|_| at.next() == Some(&true));
            (Logical::Scan(scan), moves)
        }
        Logical::Project { input, exprs } => {
            let moves = compact(needed);
            let mut exprs: Vec<Expr> =
                exprs.into_iter().zip(needed).filter(|(_, n)| **n).map(|(e, _)| e).collect();
            let mut below = vec![false; input.width()];
            exprs.iter().for_each(|e| mark_columns(e, &mut below));
            let (input, moved) = prune_to(*input, &below);
            exprs.iter_mut().for_each(|e| relocate(e, &moved));
            (Logical::Project { input: Box::new(input), exprs }, moves)
        }
        Logical::Filter { input, mut conditions } => {
            let mut below = needed.to_vec();
            conditions.iter().for_each(|e| mark_columns(e, &mut below));
            let (input, moves) = prune_to(*input, &below);
            conditions.iter_mut().for_each(|e| relocate(e, &moves));
            (Logical::Filter { input: Box::new(input), conditions }, moves)
        }
        Logical::Sort { input, mut keys } => {
            let mut below = needed.to_vec();
            keys.iter().for_each(|key| mark_columns(&key.expr, &mut below));
            let (input, moves) = prune_to(*input, &below);
            keys.iter_mut().for_each(|key| relocate(&mut key.expr, &moves));
            (Logical::Sort { input: Box::new(input), keys }, moves)
        }
        Logical::Limit { input, limit, offset } => {
            let (input, moves) = prune_to(*input, needed);
            (Logical::Limit { input: Box::new(input), limit, offset }, moves)
        }
        Logical::Join(join) => prune_join(join, needed),
        Logical::Mark(mark) => prune_mark(mark, needed),
        Logical::Aggregate(group) => prune_group(group, needed),
        Logical::Distinct { input } => {
            let width = input.width();
            (Logical::Distinct { input: Box::new(prune(*input)) }, unmoved(width))
        }
        Logical::SetOperation { kind, all, left, right } => {
            let width = left.width();
            let (left, right) = (Box::new(prune(*left)), Box::new(prune(*right)));
            (Logical::SetOperation { kind, all, left, right }, unmoved(width))
        }
        leaf @ (Logical::Values { .. } | Logical::Series(_)) => {
            let width = leaf.width();
            (leaf, unmoved(width))
        }
    }
}

fn prune_join(join: Join, needed: &[bool]) -> (Logical, Moves) {
    let Join { kind, left, right, mut on } = join;
    let mut below = needed.to_vec();
    on.iter().for_each(|e| mark_columns(e, &mut below));
    let (left_needed, right_needed) = below.split_at(left.width());
    let (left, mut moves) = prune_to(*left, left_needed);
    let (right, right_moves) = prune_to(*right, right_needed);
    let shift = left.width();
    moves.extend(right_moves.into_iter().map(|to| to.map(|to| to + shift)));
    on.iter_mut().for_each(|e| relocate(e, &moves));
    let (left, right) = (Box::new(left), Box::new(right));
    (Logical::Join(Join { kind, left, right, on }), moves)
}

fn prune_mark(mut mark: Mark, needed: &[bool]) -> (Logical, Moves) {
    let mut below = needed[..mark.input.width()].to_vec();
    mark.input_exprs_mut().iter().for_each(|e| mark_columns(e, &mut below));
    let (input, mut moves) = prune_to(*mark.input, &below);
    moves.push(Some(input.width()));
    let mut inner = vec![mark.kind == MarkKind::Scalar; mark.subquery.width()];
    if let MarkKind::In { matches, .. } = &mark.kind {
        matches.iter().for_each(|e| mark_columns(e, &mut inner));
    }
    let (subquery, inner_moves) = prune_to(*mark.subquery, &inner);
    (mark.input, mark.subquery) = (Box::new(input), Box::new(subquery));
    mark.input_exprs_mut().into_iter().for_each(|e| relocate(e, &moves));
    mark.matches_mut().iter_mut().for_each(|e| relocate(e, &inner_moves));
    (Logical::Mark(mark), moves)
}

fn prune_group(group: Group, needed: &[bool]) -> (Logical, Moves) {
    let Group { input, mut keys, calls } = group;
    let mut kept = vec![true; keys.len()];
    kept.extend(&needed[keys.len()..]);
    let moves = compact(&kept);
    let mut calls: Vec<_> =
        calls.into_iter().zip(&kept[keys.len()..]).filter(|(_, n)| **n).map(|(c, _)| c).collect();
    let mut below = vec![false; input.width()];
    keys.iter().for_each(|e| mark_columns(e, &mut below));
    for call in &mut calls {
        call.exprs_mut().iter().for_each(|e| mark_columns(e, &mut below));
    }
    let (input, moved) = prune_to(*input, &below);
    keys.iter_mut().for_each(|e| relocate(e, &moved));
    for call in &mut calls {
        call.exprs_mut().into_iter().for_each(|e| relocate(e, &moved));
    }
    (Logical::Aggregate(Group { input: Box::new(input), keys, calls }), moves)
}

fn compact(needed: &[bool]) -> Moves {
    let mut next = 0;
    needed
        .iter()
        .map(|needed| {
            needed.then(|| {
                next += 1;
                next - 1
            })
        })
        .collect()
}

fn unmoved(width: usize) -> Moves {
    (0..width).map(Some).collect()
}

fn relocate(expr: &mut Expr, moves: &Moves) {
    expr.rewrite(&mut |e| {
        if let Expr::Column { index, .. } = e {
            *index = moves[*index].expect("a column that is read was kept");
        }
    });
}
