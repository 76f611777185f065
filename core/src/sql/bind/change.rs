//! What INSERT, UPDATE and DELETE share: their target, assignments, defaults.

use sqlparser::ast::{self, Assignment, AssignmentTarget, Ident, ObjectName, Spanned, TableFactor};

use super::scope::Scope;
use super::{At, Binder};
use crate::base::schema::{ColumnDef, ColumnIndex, TableRef};
use crate::base::{SqlError, SqlResult, SqlState};
use crate::expr::Expr;
use crate::sql::catalog::Relation;
use crate::sql::parse::{fold, object_name, parse_expression};

/// What a new row has in the hidden key of a table without a primary key.
const HIDDEN_KEY: &str = "gen_random_uuid()";

impl Binder<'_> {
    /// The table a statement changes.
    pub(super) fn target(&mut self, name: &ObjectName) -> SqlResult<TableRef> {
        let name = object_name(name)?;
        match self.relation(&name)? {
            Relation::Table(table) => {
                self.touches.write(table.id);
                Ok(table)
            }
            Relation::Virtual(table) => Err(SqlError::new(
                SqlState::InsufficientPrivilege,
                format!("permission denied: \"{}\" is a system catalog", table.name),
            )),
        }
    }

    /// The table of UPDATE or DELETE, and its alias.
    pub(super) fn target_factor<'q>(
        &mut self,
        factor: &'q TableFactor,
    ) -> SqlResult<(TableRef, Option<&'q ast::TableAlias>)> {
        let TableFactor::Table { name, alias, args: None, .. } = factor else {
            return Err(SqlError::unsupported("a change of anything but a table"));
        };
        Ok((self.target(name)?, alias.as_ref()))
    }

    /// The column of a table that a statement assigns to.
    pub(super) fn target_column(&self, table: &TableRef, ident: &Ident) -> SqlResult<ColumnIndex> {
        let name = fold(ident);
        match table.column(&name) {
            Some(index) if !table.columns[usize::from(index)].hidden => Ok(index),
            _ => Err(self.error_at(
                SqlState::UndefinedColumn,
                format!("column \"{name}\" of relation \"{}\" does not exist", table.name),
                ident.span,
            )),
        }
    }

    /// The assignments of SET, each column at most once.
    pub(super) fn assignments(
        &mut self,
        table: &TableRef,
        list: &[Assignment],
        at: &mut At<'_>,
    ) -> SqlResult<Vec<(ColumnIndex, Expr)>> {
        let mut bound: Vec<(ColumnIndex, Expr)> = Vec::with_capacity(list.len());
        for assignment in list {
            for (target, value) in pairs(assignment)? {
                let [ast::ObjectNamePart::Identifier(ident)] = target.0.as_slice() else {
                    return Err(SqlError::unsupported("an assignment to a part of a column"));
                };
                let index = self.target_column(table, ident)?;
                if bound.iter().any(|(other, _)| *other == index) {
                    let message =
                        format!("multiple assignments to same column \"{}\"", fold(ident));
                    return Err(SqlError::new(SqlState::SyntaxError, message));
                }
                let column = &table.columns[usize::from(index)];
                bound.push((index, self.assigned(value, column, at)?));
            }
        }
        Ok(bound)
    }

    /// The value of a column: an expression, or DEFAULT.
    pub(super) fn assigned(
        &mut self,
        value: &ast::Expr,
        column: &ColumnDef,
        at: &mut At<'_>,
    ) -> SqlResult<Expr> {
        if is_default(value) {
            return self.default_of(column);
        }
        let bound = self.expr(value, at)?;
        self.assign(bound, column).map_err(|error| self.at(error, value.span()))
    }

    /// The default of a column; NULL when it has none.
    pub(super) fn default_of(&mut self, column: &ColumnDef) -> SqlResult<Expr> {
        let text = match &column.default {
            Some(text) => text,
            None if column.hidden => HIDDEN_KEY,
            None => return Ok(Expr::null(column.ty)),
        };
        let parsed = parse_expression(text)?;
        let scope = Scope::default();
        let mut at = At::new(&scope, "DEFAULT");
        let bound = self.expr(&parsed, &mut at)?;
        at.no_marks()?;
        self.assign(bound, column)
    }
}

fn pairs(assignment: &Assignment) -> SqlResult<Vec<(&ObjectName, &ast::Expr)>> {
    match &assignment.target {
        AssignmentTarget::ColumnName(name) => Ok(vec![(name, &assignment.value)]),
        AssignmentTarget::Tuple(names) => match &assignment.value {
            ast::Expr::Tuple(values) if values.len() == names.len() => {
                Ok(names.iter().zip(values).collect())
            }
            ast::Expr::Tuple(_) => Err(SqlError::new(
                SqlState::SyntaxError,
                "number of columns does not match number of values",
            )),
            ast::Expr::Nested(value) if names.len() == 1 => Ok(vec![(&names[0], value)]),
            _ => Err(SqlError::unsupported("an assignment of several columns from a subquery")),
        },
    }
}

/// The word DEFAULT in place of a value.
pub(super) fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}
