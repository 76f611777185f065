//! Plans: what a statement does, as data.
//!
//! A query is bound into a [`logical`] tree, rewritten by [`super::rules`], and lowered to a
//! [`physical`] tree that [`crate::exec`] runs. A statement that reads or changes one row by its
//! primary key becomes a [`PointPlan`] instead, which runs without a tree.

mod access;
pub mod ddl;
pub mod logical;
mod lower;
pub mod physical;
pub mod point;

pub use ddl::Ddl;
pub use logical::Logical;
pub use lower::{is_hashable, layout_of, lower};
pub use physical::Physical;
pub use point::PointPlan;

use std::sync::Arc;

use super::parse::{AccessStmt, AlterSystem, DdlOptions, SessionStmt};
use crate::base::row::RowLayout;
use crate::base::schema::{ColumnIndex, TableRef};
use crate::base::{CatalogVersion, SqlType, TableId};
use crate::expr::Expr;

/// A statement ready to run, as the plan cache keeps it.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The statement as the client wrote it: what is sent when another instance runs it.
    pub text: Arc<str>,
    pub plan: Plan,
    /// Types of `$1`…
    pub params: Vec<SqlType>,
    /// Columns of the rows it returns; `None` when it returns none.
    pub columns: Option<Vec<ResultColumn>>,
    /// Uncorrelated subqueries, to be run before `plan`, first one first. The value of the k-th
    /// is parameter `params.len() + k` of everything behind it.
    pub subqueries: Vec<Subquery>,
    /// Parameters behind those, which correlated subqueries take from the rows around them.
    pub outer_params: usize,
    pub touches: Touches,
    pub catalog_version: CatalogVersion,
}

/// A column of a result, as RowDescription reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResultColumn {
    pub name: String,
    pub ty: SqlType,
    pub typmod: i32,
    /// The table and `attnum` of a plain column; `None` for a computed one.
    pub origin: Option<(TableId, i16)>,
}

/// Relations a statement reads and writes: what its user needs rights for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touches {
    pub reads: Vec<TableId>,
    pub writes: Vec<TableId>,
}

impl Touches {
    pub fn read(&mut self, id: TableId) {
        if !self.reads.contains(&id) {
            self.reads.push(id);
        }
    }

    pub fn write(&mut self, id: TableId) {
        if !self.writes.contains(&id) {
            self.writes.push(id);
        }
    }
}

/// An uncorrelated subquery in an expression.
#[derive(Clone, Debug)]
pub struct Subquery {
    pub kind: SubqueryKind,
    pub plan: Physical,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubqueryKind {
    /// The only column of the only row; NULL without a row; 21000 with several.
    Scalar,
    /// Whether there is a row.
    Exists,
}

/// What a statement does.
#[derive(Clone, Debug)]
pub enum Plan {
    Query(Physical),
    Point(PointPlan),
    Insert(Insert),
    Update(Update),
    Delete(Delete),
    Explain(Explain),
    Ddl(Ddl, DdlOptions),
    Access(AccessStmt),
    AlterSystem(AlterSystem),
    Session(SessionStmt),
}

/// `EXPLAIN` of a statement.
#[derive(Clone, Debug)]
pub struct Explain {
    pub of: Arc<Prepared>,
    pub buckets: bool,
    pub json: bool,
}

/// `INSERT`.
#[derive(Clone, Debug)]
pub struct Insert {
    pub table: TableRef,
    pub layout: Arc<RowLayout>,
    /// Rows of all columns of the table, hidden ones too, in table order, of the columns' types.
    pub source: Physical,
    pub on_conflict: OnConflict,
    /// Expressions over the new row.
    pub returning: Option<Vec<Expr>>,
}

/// `ON CONFLICT`.
#[derive(Clone, Debug)]
pub enum OnConflict {
    /// No clause: 23505.
    Error,
    /// `None`: whatever the conflict.
    Nothing(Option<Arbiter>),
    Update(ConflictUpdate),
}

/// The unique index whose conflicts a clause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arbiter {
    PrimaryKey,
    /// Position in the table's list of indexes.
    Index(usize),
}

/// `ON CONFLICT … DO UPDATE`: expressions over the existing row's columns, then the new row's
/// (`excluded`).
#[derive(Clone, Debug)]
pub struct ConflictUpdate {
    pub arbiter: Arbiter,
    pub assignments: Vec<(ColumnIndex, Expr)>,
    pub condition: Option<Expr>,
}

/// `UPDATE`.
#[derive(Clone, Debug)]
pub struct Update {
    pub table: TableRef,
    pub layout: Arc<RowLayout>,
    /// Rows that begin with all columns of the table; columns of FROM follow.
    pub source: Physical,
    /// Expressions over a row of `source`.
    pub assignments: Vec<(ColumnIndex, Expr)>,
    /// Expressions over a row of `source` with the table's columns renewed.
    pub returning: Option<Vec<Expr>>,
}

/// `DELETE`.
#[derive(Clone, Debug)]
pub struct Delete {
    pub table: TableRef,
    pub layout: Arc<RowLayout>,
    /// Rows that begin with all columns of the table; columns of USING follow.
    pub source: Physical,
    /// Expressions over a row of `source`.
    pub returning: Option<Vec<Expr>>,
}
