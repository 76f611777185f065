//! Statements: from the parsed form to a bound one that the rules can work on.

use sqlparser::ast::{self, SetExpr, Statement, UtilityOption};

use super::Binder;
use crate::base::schema::{ColumnIndex, TableRef};
use crate::base::{SqlError, SqlResult, SqlState};
use crate::expr::Expr;
use crate::sql::plan::{Arbiter, Logical, ResultColumn};

/// A bound statement: logical plans, before any rule.
#[derive(Debug)]
pub enum Bound {
    Query { plan: Logical, columns: Vec<ResultColumn> },
    Insert(BoundInsert),
    Update(BoundUpdate),
    Delete(BoundDelete),
    Explain { of: Box<Bound>, buckets: bool, json: bool },
}

/// Columns and expressions of RETURNING.
pub type Returning = Option<(Vec<Expr>, Vec<ResultColumn>)>;

#[derive(Debug)]
pub struct BoundInsert {
    pub table: TableRef,
    pub source: Logical,
    pub on_conflict: BoundConflict,
    pub returning: Returning,
}

/// `ON CONFLICT`, as in [`crate::sql::plan::OnConflict`].
#[derive(Debug)]
pub enum BoundConflict {
    Error,
    Nothing(Option<Arbiter>),
    Update { arbiter: Arbiter, change: BoundChange },
}

/// Assignments, and the condition under which they are made.
#[derive(Debug)]
pub struct BoundChange {
    pub assignments: Vec<(ColumnIndex, Expr)>,
    pub condition: Option<Expr>,
}

#[derive(Debug)]
pub struct BoundUpdate {
    pub table: TableRef,
    pub source: Logical,
    pub assignments: Vec<(ColumnIndex, Expr)>,
    pub returning: Returning,
}

#[derive(Debug)]
pub struct BoundDelete {
    pub table: TableRef,
    pub source: Logical,
    pub returning: Returning,
}

impl Binder<'_> {
    /// Binds a query, a change of rows, or an EXPLAIN of one.
    pub fn statement(&mut self, statement: &Statement) -> SqlResult<Bound> {
        match statement {
            Statement::Query(query) => self.query_statement(query),
            Statement::Insert(insert) => self.insert(insert).map(Bound::Insert),
            Statement::Update(update) => self.update(update).map(Bound::Update),
            Statement::Delete(delete) => self.delete(delete).map(Bound::Delete),
            Statement::Explain { analyze, verbose, statement, format, options, .. } => {
                let _ = verbose;
                if format.is_some() {
                    return Err(SqlError::unsupported("this form of EXPLAIN"));
                }
                self.explain(*analyze, options.as_deref().unwrap_or(&[]), statement)
            }
            other => Err(SqlError::unsupported(statement_name(other))),
        }
    }

    fn query_statement(&mut self, query: &ast::Query) -> SqlResult<Bound> {
        let inner = match query.body.as_ref() {
            SetExpr::Insert(inner) | SetExpr::Update(inner) | SetExpr::Delete(inner) => inner,
            _ => {
                let bound = self.query(query)?;
                return Ok(Bound::Query { plan: bound.plan, columns: bound.columns });
            }
        };
        let before = self.ctes.len();
        self.with(query)?;
        let bound = self.statement(inner);
        self.ctes.truncate(before);
        bound
    }

    fn explain(
        &mut self,
        analyze: bool,
        options: &[UtilityOption],
        statement: &Statement,
    ) -> SqlResult<Bound> {
        let (mut analyze, mut buckets, mut json) = (analyze, false, false);
        for option in options {
            let name = option.name.value.to_lowercase();
            match name.as_str() {
                "analyze" => analyze = option_is_on(option)?,
                "buckets" => buckets = option_is_on(option)?,
                "format" => json = option_text(option) == "json",
                "costs" | "verbose" | "timing" | "summary" | "settings" | "wal" => {
                    option_is_on(option)?;
                }
                other => {
                    let message = format!("unrecognized EXPLAIN option \"{other}\"");
                    return Err(self.error_at(SqlState::SyntaxError, message, option.name.span));
                }
            }
        }
        let of = self.deeper(|binder| binder.statement(statement))?;
        if matches!(of, Bound::Explain { .. }) {
            return Err(SqlError::unsupported("EXPLAIN of this statement"));
        }
        if analyze {
            return Err(SqlError::unsupported("EXPLAIN ANALYZE"));
        }
        Ok(Bound::Explain { of: Box::new(of), buckets, json })
    }
}

fn option_text(option: &UtilityOption) -> String {
    let text = option.arg.as_ref().map(ToString::to_string).unwrap_or_default();
    text.trim_matches('\'').to_lowercase()
}

fn option_is_on(option: &UtilityOption) -> SqlResult<bool> {
    match option_text(option).as_str() {
        "" | "true" | "on" | "1" => Ok(true),
        "false" | "off" | "0" => Ok(false),
        _ => Err(SqlError::new(
            SqlState::SyntaxError,
            format!("{} requires a Boolean value", option.name.value.to_lowercase()),
        )),
    }
}

/// The first words of a statement, as a user knows it.
pub(super) fn statement_name(statement: &Statement) -> String {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    let is_word = |word: &&&str| word.chars().all(|c| c.is_ascii_uppercase());
    let words: Vec<&str> = words.iter().take_while(is_word).copied().collect();
    if words.is_empty() { "this statement".to_owned() } else { words.join(" ") }
}
