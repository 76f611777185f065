//! Logical plans: relational algebra over rows whose columns are counted from 0.

use crate::base::SqlType;
use crate::expr::Expr;
use crate::expr::aggregate::Aggregate;
use crate::sql::catalog::Relation;

/// A relational expression. Each says what its rows look like.
#[derive(Clone, Debug, PartialEq)]
pub enum Logical {
    Scan(Scan),
    Series(Series),
    /// Literal rows, all of `width` columns.
    Values {
        width: usize,
        rows: Vec<Vec<Expr>>,
    },
    /// Rows of the input for which all conditions hold.
    Filter {
        input: Box<Logical>,
        conditions: Vec<Expr>,
    },
    /// One column per expression over the input's row.
    Project {
        input: Box<Logical>,
        exprs: Vec<Expr>,
    },
    /// The left row, then the right one.
    Join(Join),
    /// The input's row, then one column about it.
    Mark(Mark),
    Aggregate(Group),
    /// The input without duplicates.
    Distinct {
        input: Box<Logical>,
    },
    Sort {
        input: Box<Logical>,
        keys: Vec<SortKey>,
    },
    /// `None` is no limit; the expressions depend on no row and are int8.
    Limit {
        input: Box<Logical>,
        limit: Option<Expr>,
        offset: Option<Expr>,
    },
    SetOperation {
        kind: SetKind,
        all: bool,
        left: Box<Logical>,
        right: Box<Logical>,
    },
}

/// A relation: its columns at these positions, where all conditions hold. The conditions are over
/// all columns of the relation.
#[derive(Clone, Debug, PartialEq)]
pub struct Scan {
    pub relation: Relation,
    /// The name it goes by in the statement.
    pub alias: String,
    pub conditions: Vec<Expr>,
    pub columns: Vec<usize>,
}

/// `generate_series`: one column. The bounds depend on no row.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    pub start: Expr,
    pub stop: Expr,
    pub step: Expr,
    /// int4 or int8, as are the bounds.
    pub ty: SqlType,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    pub kind: JoinKind,
    pub left: Box<Logical>,
    pub right: Box<Logical>,
    /// All must hold; over the left row, then the right one.
    pub on: Vec<Expr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    Inner,
    /// A left row without a match comes once, with NULLs.
    Left,
    /// Both sides' rows without a match come once, with NULLs.
    Full,
}

/// What a subquery says about each row of the input, as a column of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    pub input: Box<Logical>,
    pub subquery: Box<Logical>,
    pub kind: MarkKind,
    /// Set before the subquery is run for a row; where there are none it is run once.
    pub arguments: Vec<MarkArgument>,
    /// Type of the column.
    pub ty: SqlType,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MarkKind {
    /// Whether the subquery has a row with these values: true, false or NULL by SQL's rules.
    /// `keys` are over the input's row; `matches`, equal in number and comparable with them, over
    /// the subquery's.
    In { keys: Vec<Expr>, matches: Vec<Expr> },
    /// The subquery's only value.
    Scalar,
    /// Whether the subquery has a row.
    Exists,
}

/// A parameter of a correlated subquery.
#[derive(Clone, Debug, PartialEq)]
pub struct MarkArgument {
    /// An [`Expr::Param`].
    pub param: Expr,
    /// Over the input's row.
    pub value: Expr,
}

impl Mark {
    /// The expressions over the input's row.
    pub fn input_exprs_mut(&mut self) -> Vec<&mut Expr> {
        let keys = match &mut self.kind {
            MarkKind::In { keys, .. } => keys.as_mut_slice(),
            MarkKind::Scalar | MarkKind::Exists => &mut [],
        };
        keys.iter_mut().chain(self.arguments.iter_mut().map(|a| &mut a.value)).collect()
    }

    /// The expressions over the subquery's row.
    pub fn matches_mut(&mut self) -> &mut [Expr] {
        match &mut self.kind {
            MarkKind::In { matches, .. } => matches,
            MarkKind::Scalar | MarkKind::Exists => &mut [],
        }
    }

    /// Every expression of the node.
    fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let (keys, matches) = match &mut self.kind {
            MarkKind::In { keys, matches } => (keys.as_mut_slice(), matches.as_mut_slice()),
            MarkKind::Scalar | MarkKind::Exists => (&mut [][..], &mut [][..]),
        };
        let arguments = self.arguments.iter_mut().flat_map(|a| [&mut a.param, &mut a.value]);
        keys.iter_mut().chain(matches).chain(arguments).collect()
    }
}

/// Groups: the keys, then the aggregates. Without keys exactly one group.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    pub input: Box<Logical>,
    pub keys: Vec<Expr>,
    pub calls: Vec<AggregateCall>,
}

/// An aggregate over the rows of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct AggregateCall {
    pub aggregate: &'static Aggregate,
    pub args: Vec<Expr>,
    pub distinct: bool,
    pub filter: Option<Expr>,
    /// The order in which the rows are taken; empty for any.
    pub order: Vec<SortKey>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SortKey {
    pub expr: Expr,
    pub descending: bool,
    pub nulls_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    Union,
    Intersect,
    Except,
}

impl Logical {
    /// Number of columns of the rows.
    pub fn width(&self) -> usize {
        match self {
            Logical::Scan(scan) => scan.columns.len(),
            Logical::Series(_) => 1,
            Logical::Values { width, .. } => *width,
            Logical::Project { exprs, .. } => exprs.len(),
            Logical::Join(join) => join.left.width() + join.right.width(),
            Logical::Mark(mark) => mark.input.width() + 1,
            Logical::Aggregate(group) => group.keys.len() + group.calls.len(),
            Logical::Filter { input, .. }
            | Logical::Distinct { input }
            | Logical::Sort { input, .. }
            | Logical::Limit { input, .. } => input.width(),
            Logical::SetOperation { left, .. } => left.width(),
        }
    }

    /// Types of the columns.
    pub fn types(&self) -> Vec<SqlType> {
        let of = |exprs: &[Expr]| exprs.iter().map(Expr::ty).collect();
        match self {
            Logical::Scan(scan) => {
                let ty = |at: &usize| scan.relation.column(*at).map_or(SqlType::Unknown, |c| c.1);
                scan.columns.iter().map(ty).collect()
            }
            Logical::Series(series) => vec![series.ty],
            Logical::Values { width, rows } => match rows.first() {
                Some(row) => of(row),
                None => vec![SqlType::Unknown; *width],
            },
            Logical::Project { exprs, .. } => of(exprs),
            Logical::Join(join) => [join.left.types(), join.right.types()].concat(),
            Logical::Mark(mark) => [mark.input.types(), vec![mark.ty]].concat(),
            Logical::Aggregate(group) => {
                let calls = group.calls.iter().map(|call| call.aggregate.result);
                group.keys.iter().map(Expr::ty).chain(calls).collect()
            }
            Logical::Filter { input, .. }
            | Logical::Distinct { input }
            | Logical::Sort { input, .. }
            | Logical::Limit { input, .. } => input.types(),
            Logical::SetOperation { left, .. } => left.types(),
        }
    }

    /// One row without columns: what a SELECT without FROM reads.
    pub fn one_row() -> Logical {
        Logical::Values { width: 0, rows: vec![Vec::new()] }
    }

    /// The inputs, left before right.
    pub fn inputs_mut(&mut self) -> Vec<&mut Logical> {
        match self {
            Logical::Scan(_) | Logical::Series(_) | Logical::Values { .. } => Vec::new(),
            Logical::Filter { input, .. }
            | Logical::Project { input, .. }
            | Logical::Distinct { input }
            | Logical::Sort { input, .. }
            | Logical::Limit { input, .. } => vec![input],
            Logical::Aggregate(group) => vec![&mut group.input],
            Logical::Join(join) => vec![&mut join.left, &mut join.right],
            Logical::Mark(mark) => vec![&mut mark.input, &mut mark.subquery],
            Logical::SetOperation { left, right, .. } => vec![left, right],
        }
    }

    /// The expressions of this node, not of its inputs.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Logical::Scan(scan) => scan.conditions.iter_mut().collect(),
            Logical::Series(series) => {
                vec![&mut series.start, &mut series.stop, &mut series.step]
            }
            Logical::Values { rows, .. } => rows.iter_mut().flatten().collect(),
            Logical::Filter { conditions, .. } => conditions.iter_mut().collect(),
            Logical::Project { exprs, .. } => exprs.iter_mut().collect(),
            Logical::Join(join) => join.on.iter_mut().collect(),
            Logical::Mark(mark) => mark.exprs_mut(),
            Logical::Aggregate(group) => {
                let calls = group.calls.iter_mut().flat_map(AggregateCall::exprs_mut);
                group.keys.iter_mut().chain(calls).collect()
            }
            Logical::Sort { keys, .. } => keys.iter_mut().map(|key| &mut key.expr).collect(),
            Logical::Limit { limit, offset, .. } => limit.iter_mut().chain(offset).collect(),
            Logical::Distinct { .. } | Logical::SetOperation { .. } => Vec::new(),
        }
    }

    /// Calls `change` on every expression of the tree.
    pub fn rewrite_exprs(&mut self, change: &mut dyn FnMut(&mut Expr)) {
        for input in self.inputs_mut() {
            input.rewrite_exprs(change);
        }
        for expr in self.exprs_mut() {
            change(expr);
        }
    }
}

impl AggregateCall {
    /// Arguments, filter and sort keys.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let order = self.order.iter_mut().map(|key| &mut key.expr);
        self.args.iter_mut().chain(&mut self.filter).chain(order).collect()
    }
}
