//! INSERT.

use sqlparser::ast::{
    self, ConflictTarget, Insert, OnConflictAction, OnInsert, Query, SetExpr, TableObject,
};

use super::change::is_default;
use super::from::scope_columns;
use super::scope::{Scope, ScopeTable};
use super::statement::{BoundChange, BoundConflict, BoundInsert};
use super::{At, Binder};
use crate::base::schema::{ColumnIndex, TableRef};
use crate::base::{SqlError, SqlResult, SqlState};
use crate::expr::Expr;
use crate::sql::catalog::Relation;
use crate::sql::parse::{fold, object_name};
use crate::sql::plan::{Arbiter, Logical};

impl Binder<'_> {
    pub(super) fn insert(&mut self, insert: &Insert) -> SqlResult<BoundInsert> {
        refuse_extras(insert)?;
        let TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::unsupported("INSERT into anything but a table"));
        };
        let table = self.target(name)?;
        let alias = match &insert.table_alias {
            Some(alias) => fold(&alias.alias),
            None => table.name.clone(),
        };
        let targets = self.insert_targets(&table, &insert.columns)?;
        let source = self.insert_source(&table, &targets, insert)?;
        let on_conflict = self.on_conflict(&table, &alias, insert.on.as_ref())?;
        let scope = target_scope(&table, &alias)?;
        let returning = match &insert.returning {
            Some(items) => Some(self.returning(items, &scope)?),
            None => None,
        };
        Ok(BoundInsert { table, source, on_conflict, returning })
    }

    /// The columns that get values: those listed, else all declared ones. The flag says which.
    fn insert_targets(&self, table: &TableRef, listed: &[ast::ObjectName]) -> SqlResult<Targets> {
        if listed.is_empty() {
            let declared = table.columns.iter().enumerate().filter(|(_, column)| !column.hidden);
            let columns = declared.map(|(at, _)| at as ColumnIndex).collect();
            return Ok(Targets { columns, listed: false });
        }
        let mut columns = Vec::with_capacity(listed.len());
        for name in listed {
            let [ast::ObjectNamePart::Identifier(ident)] = name.0.as_slice() else {
                return Err(SqlError::unsupported("INSERT into a part of a column"));
            };
            let index = self.target_column(table, ident)?;
            if columns.contains(&index) {
                let message = format!("column \"{}\" specified more than once", fold(ident));
                return Err(self.error_at(SqlState::DuplicateColumn, message, ident.span));
            }
            columns.push(index);
        }
        Ok(Targets { columns, listed: true })
    }

    /// Rows of all columns of the table.
    fn insert_source(
        &mut self,
        table: &TableRef,
        targets: &Targets,
        insert: &Insert,
    ) -> SqlResult<Logical> {
        let Some(query) = &insert.source else {
            let row = self.full_row(table, &[], Vec::new())?;
            return Ok(Logical::Values { width: row.len(), rows: vec![row] });
        };
        match plain_values(query) {
            Some(values) => self.insert_values(table, targets, values),
            None => self.insert_query(table, targets, query),
        }
    }

    fn insert_values(
        &mut self,
        table: &TableRef,
        targets: &Targets,
        values: &ast::Values,
    ) -> SqlResult<Logical> {
        let scope = Scope::default();
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let mut rows = Vec::with_capacity(values.rows.len());
        for row in &values.rows {
            if row.content.len() != width {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    "VALUES lists must all be the same length",
                ));
            }
            targets.check(width)?;
            let mut at = At::new(&scope, "VALUES");
            let mut given = Vec::with_capacity(width);
            for (value, target) in row.content.iter().zip(&targets.columns) {
                let column = &table.columns[usize::from(*target)];
                given.push(if is_default(value) {
                    self.default_of(column)?
                } else {
                    self.assigned(value, column, &mut at)?
                });
            }
            at.no_marks()?;
            rows.push(self.full_row(table, &targets.columns, given)?);
        }
        Ok(Logical::Values { width: table.columns.len(), rows })
    }

    fn insert_query(
        &mut self,
        table: &TableRef,
        targets: &Targets,
        query: &Query,
    ) -> SqlResult<Logical> {
        let mut bound = self.untyped_query(query)?;
        targets.check(bound.columns.len())?;
        let mut given = Vec::with_capacity(bound.columns.len());
        for (index, target) in targets.columns.iter().take(bound.columns.len()).enumerate() {
            let column = &table.columns[usize::from(*target)];
            if bound.columns[index].ty == crate::base::SqlType::Unknown {
                let context = crate::expr::CastContext::Assignment;
                self.convert(&mut bound, index, column.ty, -1, context)?;
            }
            let value = super::query::column_expr(&bound.columns, index);
            given.push(self.assign(value, column)?);
        }
        let exprs = self.full_row(table, &targets.columns, given)?;
        Ok(Logical::Project { input: Box::new(bound.plan), exprs })
    }

    /// The values of all columns in table order: those given for `targets`, else the defaults.
    fn full_row(
        &mut self,
        table: &TableRef,
        targets: &[ColumnIndex],
        given: Vec<Expr>,
    ) -> SqlResult<Vec<Expr>> {
        let mut row: Vec<Option<Expr>> = vec![None; table.columns.len()];
        for (target, value) in targets.iter().zip(given) {
            row[usize::from(*target)] = Some(value);
        }
        let mut full = Vec::with_capacity(row.len());
        for (value, column) in row.into_iter().zip(&table.columns) {
            full.push(match value {
                Some(value) => value,
                None => self.default_of(column)?,
            });
        }
        Ok(full)
    }

    fn on_conflict(
        &mut self,
        table: &TableRef,
        alias: &str,
        on: Option<&OnInsert>,
    ) -> SqlResult<BoundConflict> {
        let conflict = match on {
            None => return Ok(BoundConflict::Error),
            Some(OnInsert::OnConflict(conflict)) => conflict,
            Some(_) => return Err(SqlError::unsupported("ON DUPLICATE KEY UPDATE")),
        };
        let arbiter = match &conflict.conflict_target {
            Some(target) => Some(self.arbiter(table, target)?),
            None => None,
        };
        let update = match &conflict.action {
            OnConflictAction::DoNothing => return Ok(BoundConflict::Nothing(arbiter)),
            OnConflictAction::DoUpdate(update) => update,
        };
        let Some(arbiter) = arbiter else {
            return Err(SqlError::new(
                SqlState::SyntaxError,
                "ON CONFLICT DO UPDATE requires inference specification or constraint name",
            )
            .with_hint("For example, ON CONFLICT (column_name)."));
        };
        self.touches.read(table.id);
        let mut scope = target_scope(table, alias)?;
        scope.append(target_scope(table, "excluded")?)?;
        let mut at = At::new(&scope, "ON CONFLICT");
        let assignments = self.assignments(table, &update.assignments, &mut at)?;
        let condition = match &update.selection {
            Some(condition) => Some(self.condition(condition, &mut at)?),
            None => None,
        };
        at.no_marks()?;
        Ok(BoundConflict::Update { arbiter, change: BoundChange { assignments, condition } })
    }

    /// The unique index with exactly the named columns, or of the constraint's name.
    fn arbiter(&self, table: &TableRef, target: &ConflictTarget) -> SqlResult<Arbiter> {
        match target {
            ConflictTarget::OnConstraint(name) => {
                let name = object_name(name)?.name;
                if name == table.primary_key_name {
                    return Ok(Arbiter::PrimaryKey);
                }
                let found = table.indexes.iter().position(|i| i.unique && i.name == name);
                found.map(Arbiter::Index).ok_or_else(|| {
                    let table = &table.name;
                    let message =
                        format!("constraint \"{name}\" for table \"{table}\" does not exist");
                    SqlError::new(SqlState::UndefinedObject, message)
                })
            }
            ConflictTarget::Columns(idents) => {
                let mut named = Vec::with_capacity(idents.len());
                for ident in idents {
                    named.push(self.conflict_column(table, ident)?);
                }
                named.sort_unstable();
                named.dedup();
                arbiter_of(table, &named).ok_or_else(|| {
                    SqlError::new(
                        SqlState::InvalidColumnReference,
                        "there is no unique or exclusion constraint matching the ON CONFLICT specification",
                    )
                })
            }
        }
    }

    fn conflict_column(&self, table: &TableRef, ident: &ast::Ident) -> SqlResult<ColumnIndex> {
        let name = fold(ident);
        table.column(&name).ok_or_else(|| {
            let message = format!("column \"{name}\" does not exist");
            self.error_at(SqlState::UndefinedColumn, message, ident.span)
        })
    }
}

/// The columns an INSERT gives values for.
struct Targets {
    columns: Vec<ColumnIndex>,
    listed: bool,
}

impl Targets {
    /// Whether a row of `width` values fits. Without a column list it may be shorter.
    fn check(&self, width: usize) -> SqlResult<()> {
        let what = if width > self.columns.len() {
            "INSERT has more expressions than target columns"
        } else if self.listed && width < self.columns.len() {
            "INSERT has more target columns than expressions"
        } else {
            return Ok(());
        };
        Err(SqlError::new(SqlState::SyntaxError, what))
    }
}

fn arbiter_of(table: &TableRef, sorted: &[ColumnIndex]) -> Option<Arbiter> {
    let same = |mut columns: Vec<ColumnIndex>| {
        columns.sort_unstable();
        columns == sorted
    };
    if same(table.primary_key.clone()) {
        return Some(Arbiter::PrimaryKey);
    }
    let matches = |index: &crate::base::schema::IndexDef| {
        index.unique && same(index.columns.iter().map(|c| c.column).collect())
    };
    table.indexes.iter().position(matches).map(Arbiter::Index)
}

/// The columns of a table that a statement changes, under a name.
pub(super) fn target_scope(table: &TableRef, name: &str) -> SqlResult<Scope> {
    let mut scope = Scope::default();
    let key = table.primary_key.iter().map(|c| usize::from(*c)).collect();
    let entry = ScopeTable { name: name.to_owned(), schema: None, first: 0, count: 0, key };
    scope.add(entry, scope_columns(&Relation::Table(table.clone())))?;
    Ok(scope)
}

/// The rows of a query that is nothing but VALUES.
fn plain_values(query: &Query) -> Option<&ast::Values> {
    let plain = query.with.is_none()
        && query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none();
    match query.body.as_ref() {
        SetExpr::Values(values) if plain => Some(values),
        _ => None,
    }
}

fn refuse_extras(insert: &Insert) -> SqlResult<()> {
    let extra = insert.or.is_some()
        || insert.ignore
        || insert.overwrite
        || !insert.assignments.is_empty()
        || insert.partitioned.is_some()
        || !insert.after_columns.is_empty()
        || insert.output.is_some()
        || insert.replace_into
        || insert.insert_alias.is_some()
        || insert.multi_table_insert_type.is_some();
    if extra { Err(SqlError::unsupported("this clause of INSERT")) } else { Ok(()) }
}
