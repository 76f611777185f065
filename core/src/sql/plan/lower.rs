//! From logical to physical: access paths, join algorithms, top-N.

use std::sync::Arc;

use super::access;
use super::logical::{Join, JoinKind, Logical, Mark, Scan, SetKind};
use super::physical::{
    Buckets, HashAggregate, HashJoin, MarkJoin, NestedLoop, Physical, TableScan, Top, VirtualScan,
};
use crate::base::row::RowLayout;
use crate::base::schema::{ColumnIndex, TableRef};
use crate::base::{SqlType, keycode};
use crate::expr::{CompareOp, Expr};
use crate::sql::catalog::Relation;

/// The physical plan of a logical one, with the same rows.
pub fn lower(plan: Logical) -> Physical {
    match plan {
        Logical::Scan(scan) => lower_scan(scan),
        Logical::Series(series) => Physical::Series(series),
        Logical::Values { rows, .. } => Physical::Values { rows },
        Logical::Filter { input, conditions } => {
            Physical::Filter { input: Box::new(lower(*input)), condition: Expr::and(conditions) }
        }
        Logical::Project { input, exprs } => lower_project(*input, exprs),
        Logical::Join(join) => lower_join(join),
        Logical::Mark(mark) => lower_mark(mark),
        Logical::Aggregate(group) => Physical::Aggregate(HashAggregate {
            input: Box::new(lower(*group.input)),
            keys: group.keys,
            calls: group.calls,
        }),
        Logical::Distinct { input } => {
            let types = input.types();
            Physical::Distinct { input: Box::new(lower(*input)), types }
        }
        Logical::Sort { input, keys } => {
            Physical::Sort { input: Box::new(lower(*input)), keys, top: None }
        }
        Logical::Limit { input, limit, offset } => lower_limit(*input, limit, offset),
        Logical::SetOperation { kind, all, left, right } => {
            let types = left.types();
            let (left, right) = (Box::new(lower(*left)), Box::new(lower(*right)));
            match (kind, all) {
                (SetKind::Union, true) => Physical::Append { left, right },
                (SetKind::Union, false) => {
                    let input = Box::new(Physical::Append { left, right });
                    Physical::Distinct { input, types }
                }
                _ => Physical::SetOperation { kind, all, left, right, types },
            }
        }
    }
}

/// The layout of a table's rows. The version in a row's header is the table's, cut to its width.
pub fn layout_of(table: &TableRef) -> Arc<RowLayout> {
    Arc::new(RowLayout::new(&table.columns, table.version.0 as u16))
}

fn lower_scan(scan: Scan) -> Physical {
    let Scan { relation, alias, conditions, columns } = scan;
    let table = match relation {
        Relation::Table(table) => table,
        Relation::Virtual(table) => {
            let filter = conjunction(conditions);
            return Physical::VirtualScan(VirtualScan { table, alias, filter, columns });
        }
    };
    let path = access::choose(&table, &conditions);
    let mut ensured = Vec::new();
    let mut left = Vec::new();
    for (at, condition) in conditions.into_iter().enumerate() {
        if path.ensured.contains(&at) { ensured.push(condition) } else { left.push(condition) }
    }
    Physical::Scan(TableScan {
        layout: layout_of(&table),
        alias,
        access: path.access,
        filter: conjunction(left),
        columns: columns.into_iter().map(|at| at as ColumnIndex).collect(),
        ensured,
        table,
    })
}

fn conjunction(conditions: Vec<Expr>) -> Option<Expr> {
    (!conditions.is_empty()).then(|| Expr::and(conditions))
}

/// A projection of all columns in order is left out.
fn lower_project(input: Logical, exprs: Vec<Expr>) -> Physical {
    let width = input.width();
    let is_identity = exprs.len() == width
        && exprs
            .iter()
            .enumerate()
            .all(|(at, e)| matches!(e, Expr::Column { index, .. } if *index == at));
    let input = lower(input);
    if is_identity && width > 0 {
        return input;
    }
    match input {
        // Plain columns of a scan: let the scan give them in this order.
        Physical::Scan(mut scan) => match plain_columns(&exprs) {
            Some(columns) => {
                scan.columns = columns.iter().map(|at| scan.columns[*at]).collect();
                Physical::Scan(scan)
            }
            None => Physical::Project { input: Box::new(Physical::Scan(scan)), exprs },
        },
        input => Physical::Project { input: Box::new(input), exprs },
    }
}

fn plain_columns(exprs: &[Expr]) -> Option<Vec<usize>> {
    let column = |e: &Expr| match e {
        Expr::Column { index, .. } => Some(*index),
        _ => None,
    };
    exprs.iter().map(column).collect()
}

fn lower_limit(input: Logical, limit: Option<Expr>, offset: Option<Expr>) -> Physical {
    let input = match (input, &limit) {
        (Logical::Sort { input, keys }, Some(limit)) => {
            let top = Some(Top { limit: limit.clone(), offset: offset.clone() });
            Physical::Sort { input: Box::new(lower(*input)), keys, top }
        }
        (other, _) => lower(other),
    };
    Physical::Limit { input: Box::new(input), limit, offset }
}

fn lower_join(join: Join) -> Physical {
    let Join { kind, left, right, on } = join;
    let (left_width, right_width) = (left.width(), right.width());
    let (mut left_keys, mut right_keys, mut rest) = (Vec::new(), Vec::new(), Vec::new());
    for condition in on {
        match equal_sides(condition, left_width) {
            Ok((l, r)) => {
                left_keys.push(l);
                right_keys.push(r);
            }
            Err(condition) => rest.push(condition),
        }
    }
    let (left, right) = (Box::new(lower(*left)), Box::new(lower(*right)));
    let condition = conjunction(rest);
    if left_keys.is_empty() {
        return Physical::NestedLoop(NestedLoop {
            kind,
            left,
            right,
            left_width,
            right_width,
            condition,
        });
    }
    Physical::HashJoin(HashJoin {
        kind,
        left,
        right,
        left_keys,
        right_keys,
        left_width,
        right_width,
        condition,
    })
}

/// The sides of `left = right` over one side each; the condition itself if it is not of that form.
fn equal_sides(condition: Expr, left_width: usize) -> Result<(Expr, Expr), Expr> {
    let Expr::Compare { op: CompareOp::Eq, left, right } = condition else {
        return Err(condition);
    };
    let sides = (side(&left, left_width), side(&right, left_width));
    if !is_hashable(left.ty(), right.ty()) {
        return Err(Expr::Compare { op: CompareOp::Eq, left, right });
    }
    let (left, mut right) = match sides {
        (Some(true), Some(false)) => (*left, *right),
        (Some(false), Some(true)) => (*right, *left),
        _ => return Err(Expr::Compare { op: CompareOp::Eq, left, right }),
    };
    right.rewrite(&mut |e| {
        if let Expr::Column { index, .. } = e {
            *index -= left_width;
        }
    });
    Ok((left, right))
}

/// Whether an expression reads only the left side (true) or only the right (false).
fn side(expr: &Expr, left_width: usize) -> Option<bool> {
    let (mut left, mut right) = (false, false);
    expr.walk(&mut |e| {
        if let Expr::Column { index, .. } = e {
            if *index < left_width {
                left = true;
            } else {
                right = true;
            }
        }
    });
    (left != right).then_some(left)
}

/// Whether equal values of the two types have equal bytes in [`crate::exec::key`]'s form.
pub fn is_hashable(a: SqlType, b: SqlType) -> bool {
    let class = |ty| match ty {
        SqlType::Int2 | SqlType::Int4 | SqlType::Int8 => SqlType::Int8,
        SqlType::Float4 | SqlType::Float8 => SqlType::Float8,
        SqlType::Text | SqlType::Varchar | SqlType::Name => SqlType::Text,
        SqlType::Timestamp | SqlType::TimestampTz => ty,
        other => other,
    };
    keycode::is_orderable(a) && class(a) == class(b)
}

fn lower_mark(mark: Mark) -> Physical {
    Physical::Mark(MarkJoin {
        input: Box::new(lower(*mark.input)),
        subquery: Box::new(lower(*mark.subquery)),
        kind: mark.kind,
        arguments: mark.arguments,
    })
}

impl JoinKind {
    /// As EXPLAIN names it.
    pub fn name(self) -> &'static str {
        match self {
            JoinKind::Inner => "",
            JoinKind::Left => "Left ",
            JoinKind::Full => "Full ",
        }
    }
}

impl Buckets {
    /// Whether one bucket is enough.
    pub fn is_one(&self) -> bool {
        matches!(self, Buckets::One(_))
    }
}
