//! The columns an expression may name, and where they are in its input row.

use sqlparser::ast::Ident;
use sqlparser::tokenizer::Span;

use crate::base::{SqlError, SqlResult, SqlState, SqlType, TableId};
use crate::sql::parse::fold;

/// A column in scope. Its position in [`Scope::columns`] is its position in the row.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeColumn {
    pub name: String,
    pub ty: SqlType,
    pub typmod: i32,
    pub origin: Option<(TableId, i16)>,
    /// Only a qualified name finds it: a column a user did not declare, or the right one of two
    /// that USING merged.
    pub shy: bool,
}

/// A table in scope.
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeTable {
    /// Its alias, or its name.
    pub name: String,
    /// `None` once it has an alias.
    pub schema: Option<String>,
    pub first: usize,
    pub count: usize,
    /// Columns of the primary key, by position in the row; none where rows have no key.
    pub key: Vec<usize>,
}

/// What is in scope, in row order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    pub columns: Vec<ScopeColumn>,
    pub tables: Vec<ScopeTable>,
    /// What `*` stands for, in order.
    pub star: Vec<usize>,
}

/// Result of looking a name up.
#[derive(Debug, PartialEq)]
pub enum Found {
    Column(usize),
    Nothing,
    Ambiguous,
}

impl Scope {
    /// Adds a table whose columns follow those in scope.
    ///
    /// Errors: 42712 when the name is taken.
    pub fn add(&mut self, mut table: ScopeTable, columns: Vec<ScopeColumn>) -> SqlResult<()> {
        if let Some(error) = self.taken(&table) {
            return Err(error);
        }
        table.first = self.columns.len();
        table.count = columns.len();
        for key in &mut table.key {
            *key += table.first;
        }
        let visible = columns.iter().enumerate().filter(|(_, column)| !column.shy);
        self.star.extend(visible.map(|(at, _)| table.first + at));
        self.tables.push(table);
        self.columns.extend(columns);
        Ok(())
    }

    /// Appends another scope: its row follows this one.
    pub fn append(&mut self, other: Scope) -> SqlResult<()> {
        let shift = self.columns.len();
        for mut table in other.tables {
            if let Some(error) = self.taken(&table) {
                return Err(error);
            }
            table.first += shift;
            for key in &mut table.key {
                *key += shift;
            }
            self.tables.push(table);
        }
        self.star.extend(other.star.into_iter().map(|at| at + shift));
        self.columns.extend(other.columns);
        Ok(())
    }

    fn taken(&self, table: &ScopeTable) -> Option<SqlError> {
        let same = |other: &&ScopeTable| {
            other.name == table.name
                && (other.schema == table.schema
                    || other.schema.is_none()
                    || table.schema.is_none())
        };
        self.tables.iter().find(same).map(|_| {
            let message = format!("table name \"{}\" specified more than once", table.name);
            SqlError::new(SqlState::DuplicateAlias, message)
        })
    }

    /// Looks up an unqualified column.
    pub fn column(&self, name: &str) -> Found {
        let mut matches = self.columns.iter().enumerate().filter(|(_, c)| !c.shy && c.name == name);
        match (matches.next(), matches.next()) {
            (None, _) => Found::Nothing,
            (Some((at, _)), None) => Found::Column(at),
            _ => Found::Ambiguous,
        }
    }

    /// The table that a qualifier names.
    pub fn table(&self, schema: Option<&str>, name: &str) -> Option<&ScopeTable> {
        self.tables
            .iter()
            .find(|t| t.name == name && (schema.is_none() || t.schema.as_deref() == schema))
    }

    /// Looks up a column of a table in scope.
    pub fn column_of(&self, table: &ScopeTable, name: &str) -> Found {
        let range = table.first..table.first + table.count;
        let mut matches = range.filter(|at| self.columns[*at].name == name);
        match (matches.next(), matches.next()) {
            (None, _) => Found::Nothing,
            (Some(at), None) => Found::Column(at),
            _ => Found::Ambiguous,
        }
    }

    /// The columns `table.*` stands for.
    pub fn star_of(&self, table: &ScopeTable) -> Vec<usize> {
        let declared = |at: &usize| {
            let column = &self.columns[*at];
            !column.shy || self.columns.iter().any(|other| !other.shy && other.name == column.name)
        };
        (table.first..table.first + table.count).filter(declared).collect()
    }

    /// `table.column`, as errors name a column.
    pub fn display(&self, at: usize) -> String {
        let name = self.columns.get(at).map_or("?column?", |c| c.name.as_str());
        match self.tables.iter().find(|t| (t.first..t.first + t.count).contains(&at)) {
            Some(table) => format!("{}.{name}", table.name),
            None => name.to_owned(),
        }
    }
}

/// 42703 for a name that no column has.
pub fn no_column(qualifier: Option<&str>, ident: &Ident) -> (SqlError, Span) {
    let name = fold(ident);
    let message = match qualifier {
        Some(table) => format!("column {table}.{name} does not exist"),
        None => format!("column \"{name}\" does not exist"),
    };
    (SqlError::new(SqlState::UndefinedColumn, message), ident.span)
}

/// 42702 for a name that several columns have.
pub fn ambiguous(ident: &Ident) -> (SqlError, Span) {
    let message = format!("column reference \"{}\" is ambiguous", fold(ident));
    (SqlError::new(SqlState::AmbiguousColumn, message), ident.span)
}
