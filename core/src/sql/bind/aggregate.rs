//! What the expressions of a grouped SELECT may refer to.
//!
//! They are bound over the rows before grouping, with aggregates as columns from
//! [`AGGREGATE_COLUMN`] on. Then each part that is a group key becomes the key's column, each
//! aggregate its column behind the keys, and a column of the ungrouped rows that is left over is
//! 42803:
//!
//! ```text
//!   SELECT a + 1, sum(b) … GROUP BY a        keys [#0 = a], calls [sum(#1)]
//!   bound:  #0 + 1,  #AGG0                   over (a, b)
//!   now:    #0 + 1,  #1                      over (key a, sum)
//! ```

use super::{AGGREGATE_COLUMN, MARK_COLUMN, Scope};
use crate::base::{SqlError, SqlResult, SqlState};
use crate::expr::Expr;

/// The keys of a grouped SELECT.
pub struct Grouping<'s> {
    pub scope: &'s Scope,
    pub keys: Vec<Expr>,
}

impl Grouping<'_> {
    /// Adds the columns that the keys determine: all columns of a table whose primary key is
    /// among the keys, where `expr` uses them.
    pub fn add_dependent(&mut self, expr: &Expr) {
        let mut columns = Vec::new();
        expr.walk(&mut |e| {
            if let Expr::Column { index, .. } = e
                && *index < MARK_COLUMN
            {
                columns.push((*index, e.clone()));
            }
        });
        for (index, column) in columns {
            if !self.keys.contains(&column) && self.is_determined(index) {
                self.keys.push(column);
            }
        }
    }

    fn is_determined(&self, column: usize) -> bool {
        let is_key = |at: &usize| {
            self.keys.iter().any(|key| matches!(key, Expr::Column { index, .. } if index == at))
        };
        self.scope.tables.iter().any(|table| {
            (table.first..table.first + table.count).contains(&column)
                && !table.key.is_empty()
                && table.key.iter().all(is_key)
        })
    }

    /// Makes `expr` an expression over the groups. All keys must be known.
    pub fn rewrite(&self, expr: &mut Expr) -> SqlResult<()> {
        if let Some(index) = self.keys.iter().position(|key| key == expr) {
            let (ty, typmod) = (expr.ty(), expr.typmod());
            *expr = Expr::Column { index, ty, typmod };
            return Ok(());
        }
        if let Expr::Column { index, .. } = expr {
            if *index < MARK_COLUMN {
                return Err(self.ungrouped(*index));
            }
            if *index < AGGREGATE_COLUMN {
                return Ok(());
            }
            *index = *index - AGGREGATE_COLUMN + self.keys.len();
            return Ok(());
        }
        for child in expr.children_mut() {
            self.rewrite(child)?;
        }
        Ok(())
    }

    fn ungrouped(&self, index: usize) -> SqlError {
        let message = format!(
            "column \"{}\" must appear in the GROUP BY clause or be used in an aggregate function",
            self.scope.display(index)
        );
        SqlError::new(SqlState::GroupingError, message)
    }
}
