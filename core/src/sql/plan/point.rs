//! The plan of a statement that reads one row by its whole primary key.
//!
//! `SELECT a, b FROM t WHERE id = $1` needs no operators: encode the key, find the bucket, get the
//! row, send columns a and b of it as they are stored. [`crate::exec::point`] runs it.

use std::sync::Arc;

use super::physical::{Access, Physical, TableScan};
use crate::base::row::RowLayout;
use crate::base::schema::{ColumnIndex, TableRef};
use crate::base::{Datum, SqlType};
use crate::expr::Expr;

/// One row by key.
#[derive(Clone, Debug, PartialEq)]
pub struct PointPlan {
    pub table: TableRef,
    pub layout: Arc<RowLayout>,
    /// One a column of the primary key.
    pub key: Vec<KeySlot>,
    /// Whether the distribution columns are the first ones of the primary key, in order, so that
    /// the key's first bytes give the bucket; and how many they are.
    pub distribution_prefix: Option<usize>,
    /// Columns of the result.
    pub columns: Vec<ColumnIndex>,
}

/// Where a key column's value comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct KeySlot {
    pub source: SlotSource,
    /// The column's type.
    pub ty: SqlType,
}

#[derive(Clone, Debug, PartialEq)]
pub enum SlotSource {
    /// One of the statement's own: `$1` is 0. What stands for a subquery has no value here.
    Param(usize),
    Constant(Datum),
}

impl PointPlan {
    /// The point plan of a scan that is nothing but a look-up of one key, made of constants and of the
    /// statement's own parameters: it has `params` of them, and further ones stand for subqueries.
    pub fn of(plan: &Physical, params: usize) -> Option<PointPlan> {
        let Physical::Scan(scan) = plan else { return None };
        let TableScan { access: Access::Get { keys }, filter: None, .. } = scan else {
            return None;
        };
        let [key] = keys.as_slice() else { return None };
        let types = scan.table.primary_key.iter().map(|c| scan.table.columns[usize::from(*c)].ty);
        let slots: Option<Vec<KeySlot>> =
            key.iter().zip(types).map(|(expr, ty)| slot(expr, ty, params)).collect();
        let distribution = scan.table.distribution_columns();
        let distribution_prefix =
            scan.table.primary_key.starts_with(distribution).then_some(distribution.len());
        Some(PointPlan {
            table: scan.table.clone(),
            layout: scan.layout.clone(),
            key: slots?,
            distribution_prefix,
            columns: scan.columns.clone(),
        })
    }
}

fn slot(expr: &Expr, ty: SqlType, params: usize) -> Option<KeySlot> {
    let source = match expr {
        Expr::Param { index, .. } if *index < params => SlotSource::Param(*index),
        Expr::Constant { value, .. } => SlotSource::Constant(value.clone()),
        _ => return None,
    };
    Some(KeySlot { source, ty })
}
