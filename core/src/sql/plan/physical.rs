//! Physical plans: which operator, which index, in which buckets.

use std::sync::Arc;

use super::logical::{AggregateCall, JoinKind, MarkArgument, MarkKind, Series, SetKind, SortKey};
use crate::base::SqlType;
use crate::base::row::RowLayout;
use crate::base::schema::{ColumnIndex, TableRef};
use crate::expr::Expr;
use crate::sql::catalog::VirtualTable;

/// An operator and its inputs. Rows are as in the logical plan.
#[derive(Clone, Debug, PartialEq)]
pub enum Physical {
    Scan(TableScan),
    VirtualScan(VirtualScan),
    Series(Series),
    Values {
        rows: Vec<Vec<Expr>>,
    },
    Filter {
        input: Box<Physical>,
        condition: Expr,
    },
    Project {
        input: Box<Physical>,
        exprs: Vec<Expr>,
    },
    HashJoin(HashJoin),
    NestedLoop(NestedLoop),
    Mark(MarkJoin),
    Aggregate(HashAggregate),
    /// Rows of these types, each once.
    Distinct {
        input: Box<Physical>,
        types: Vec<SqlType>,
    },
    /// At most `top` rows when given, which makes it a heap instead of a sort.
    Sort {
        input: Box<Physical>,
        keys: Vec<SortKey>,
        top: Option<Top>,
    },
    Limit {
        input: Box<Physical>,
        limit: Option<Expr>,
        offset: Option<Expr>,
    },
    Append {
        left: Box<Physical>,
        right: Box<Physical>,
    },
    /// INTERSECT and EXCEPT; UNION is an append, with a distinct above.
    SetOperation {
        kind: SetKind,
        all: bool,
        left: Box<Physical>,
        right: Box<Physical>,
        types: Vec<SqlType>,
    },
}

/// The limit and offset above a sort.
#[derive(Clone, Debug, PartialEq)]
pub struct Top {
    pub limit: Expr,
    pub offset: Option<Expr>,
}

/// Reads a table. The row has the table's columns at `columns`.
#[derive(Clone, Debug, PartialEq)]
pub struct TableScan {
    pub table: TableRef,
    pub layout: Arc<RowLayout>,
    pub alias: String,
    pub access: Access,
    /// What `access` does not ensure; over all columns of the table.
    pub filter: Option<Expr>,
    pub columns: Vec<ColumnIndex>,
    /// The conditions that `access` ensures, for EXPLAIN.
    pub ensured: Vec<Expr>,
}

/// How the rows are found. The expressions depend on no row.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Rows by whole primary keys, in one bucket each.
    Get {
        keys: Vec<Vec<Expr>>,
    },
    /// A range of the primary key in the named buckets.
    KeyRange {
        range: RangeExprs,
        buckets: Buckets,
    },
    /// A range of a secondary index, by its position in the table.
    Index {
        index: usize,
        range: RangeExprs,
    },
    Full,
}

/// The buckets a scan must look at.
#[derive(Clone, Debug, PartialEq)]
pub enum Buckets {
    All,
    /// The bucket of these values of the distribution columns.
    One(Vec<Expr>),
}

/// A range of keys: equal in the first columns, bounded in the next one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RangeExprs {
    pub equal: Vec<Expr>,
    pub lower: Option<Limit>,
    pub upper: Option<Limit>,
}

/// One end of a range.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    pub value: Expr,
    pub inclusive: bool,
}

/// Reads a virtual table. The row has the columns at `columns`.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualScan {
    pub table: Arc<VirtualTable>,
    pub alias: String,
    /// Over all columns of the table.
    pub filter: Option<Expr>,
    pub columns: Vec<usize>,
}

/// Joins by equal keys: hashes the right side, looks up the left one.
#[derive(Clone, Debug, PartialEq)]
pub struct HashJoin {
    pub kind: JoinKind,
    pub left: Box<Physical>,
    pub right: Box<Physical>,
    /// Over a left row; each of the same type as its partner.
    pub left_keys: Vec<Expr>,
    /// Over a right row.
    pub right_keys: Vec<Expr>,
    pub right_width: usize,
    pub left_width: usize,
    /// Over both; what the keys do not ensure.
    pub condition: Option<Expr>,
}

/// Joins by looking at every pair.
#[derive(Clone, Debug, PartialEq)]
pub struct NestedLoop {
    pub kind: JoinKind,
    pub left: Box<Physical>,
    pub right: Box<Physical>,
    pub left_width: usize,
    pub right_width: usize,
    pub condition: Option<Expr>,
}

/// Adds what the subquery says about each row; the parts as in the logical plan.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkJoin {
    pub input: Box<Physical>,
    pub subquery: Box<Physical>,
    pub kind: MarkKind,
    pub arguments: Vec<MarkArgument>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HashAggregate {
    pub input: Box<Physical>,
    pub keys: Vec<Expr>,
    pub calls: Vec<AggregateCall>,
}

impl Physical {
    /// The inputs, left before right.
    pub fn inputs(&self) -> Vec<&Physical> {
        match self {
            Physical::Scan(_)
            | Physical::VirtualScan(_)
            | Physical::Series(_)
            | Physical::Values { .. } => Vec::new(),
            Physical::Filter { input, .. }
            | Physical::Project { input, .. }
            | Physical::Distinct { input, .. }
            | Physical::Sort { input, .. }
            | Physical::Limit { input, .. } => vec![input],
            Physical::Aggregate(node) => vec![&node.input],
            Physical::HashJoin(join) => vec![&join.left, &join.right],
            Physical::NestedLoop(join) => vec![&join.left, &join.right],
            Physical::Mark(mark) => vec![&mark.input, &mark.subquery],
            Physical::Append { left, right } | Physical::SetOperation { left, right, .. } => {
                vec![left, right]
            }
        }
    }
}
