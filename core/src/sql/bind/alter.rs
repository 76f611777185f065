//! ALTER TABLE, ALTER INDEX: what can be done without touching the rows there are.

use sqlparser::ast::{
    self, AlterColumnOperation, AlterIndexOperation, AlterTableOperation, ColumnOption, Owner,
    RenameTableNameKind,
};

use super::{Binder, types};
use crate::base::schema::{ColumnDef, TableRef};
use crate::base::{SqlError, SqlResult, SqlState, UserId};
use crate::sql::catalog::Relation;
use crate::sql::parse::names::QualifiedName;
use crate::sql::parse::{fold, object_name};
use crate::sql::plan::Ddl;
use crate::topology::ddl::{AlterTableRequest, TableAlteration};

impl Binder<'_> {
    pub(super) fn alter_table(&mut self, alter: &ast::AlterTable) -> SqlResult<Ddl> {
        let name = object_name(&alter.name)?;
        let table = match self.find_relation(&name) {
            None if alter.if_exists => {
                let notice = format!("relation \"{}\" does not exist, skipping", name.display());
                return Ok(Ddl::Nothing { tag: "ALTER TABLE", notice });
            }
            _ => self.alterable(&name)?,
        };
        let [operation] = alter.operations.as_slice() else {
            return Err(SqlError::unsupported("ALTER TABLE with several actions")
                .with_hint("Write a statement for each."));
        };
        let alteration = self.alteration(&table, operation)?;
        let (schema, name) = (table.schema.clone(), table.name.clone());
        let if_exists = alter.if_exists;
        Ok(Ddl::AlterTable(AlterTableRequest { schema, name, if_exists, alteration }))
    }

    fn alterable(&mut self, name: &QualifiedName) -> SqlResult<TableRef> {
        match self.relation(name)? {
            Relation::Table(table) => Ok(table),
            Relation::Virtual(table) => Err(SqlError::new(
                SqlState::InsufficientPrivilege,
                format!("permission denied: \"{}\" is a system catalog", table.name),
            )),
        }
    }

    fn alteration(
        &mut self,
        table: &TableRef,
        operation: &AlterTableOperation,
    ) -> SqlResult<TableAlteration> {
        match operation {
            AlterTableOperation::RenameTable {
                table_name: RenameTableNameKind::To(to) | RenameTableNameKind::As(to),
            } => self.rename_table(table, &object_name(to)?),
            AlterTableOperation::RenameColumn { old_column_name, new_column_name } => {
                self.target_column(table, old_column_name)?;
                let to = fold(new_column_name);
                if table.column(&to).is_some() {
                    return Err(duplicate_column(table, &to));
                }
                Ok(TableAlteration::RenameColumn { from: fold(old_column_name), to })
            }
            AlterTableOperation::AddColumn { if_not_exists, column_def, .. } => {
                let column = self.added_column(column_def)?;
                if table.column(&column.name).is_some() && !if_not_exists {
                    return Err(duplicate_column(table, &column.name));
                }
                Ok(TableAlteration::AddColumn { column, if_not_exists: *if_not_exists })
            }
            AlterTableOperation::AlterColumn { column_name, op } => {
                self.changed_default(table, column_name, op)
            }
            AlterTableOperation::OwnerTo { new_owner } => {
                Ok(TableAlteration::OwnerTo(self.owner(new_owner)?))
            }
            other => Err(SqlError::unsupported(format_args!("ALTER TABLE … {}", words(other)))),
        }
    }

    fn rename_table(&self, table: &TableRef, to: &QualifiedName) -> SqlResult<TableAlteration> {
        if self.context.catalog.relation(&table.schema, &to.name).is_some() {
            let message = format!("relation \"{}\" already exists", to.name);
            return Err(SqlError::new(SqlState::DuplicateTable, message));
        }
        Ok(TableAlteration::RenameTo(to.name.clone()))
    }

    fn added_column(&mut self, column: &ast::ColumnDef) -> SqlResult<ColumnDef> {
        let (ty, typmod) =
            types::resolve(&column.data_type).map_err(|error| self.at(error, column.name.span))?;
        if let Some(option) = column.options.iter().find(|o| o.option != ColumnOption::Null) {
            let what = format!("ADD COLUMN with {}", words(&option.option));
            return Err(SqlError::unsupported(what)
                .with_hint("Add the column without it, then fill the rows."));
        }
        let name = fold(&column.name);
        Ok(ColumnDef { name, ty, typmod, nullable: true, default: None, hidden: false })
    }

    fn changed_default(
        &mut self,
        table: &TableRef,
        column: &ast::Ident,
        operation: &AlterColumnOperation,
    ) -> SqlResult<TableAlteration> {
        let index = self.target_column(table, column)?;
        let default = match operation {
            AlterColumnOperation::SetDefault { value } => {
                Some(self.default_text(value, &table.columns[usize::from(index)])?)
            }
            AlterColumnOperation::DropDefault => None,
            other => {
                let what = format!("ALTER COLUMN … {}", words(other));
                return Err(SqlError::unsupported(what));
            }
        };
        Ok(TableAlteration::SetDefault { column: fold(column), default })
    }

    fn owner(&self, owner: &Owner) -> SqlResult<UserId> {
        let Owner::Ident(ident) = owner else { return Ok(self.context.user) };
        let name = fold(ident);
        self.context.catalog.user(&name).ok_or_else(|| {
            let message = format!("role \"{name}\" does not exist");
            SqlError::new(SqlState::UndefinedObject, message)
        })
    }

    pub(super) fn alter_index(
        &mut self,
        name: &ast::ObjectName,
        operation: &AlterIndexOperation,
    ) -> SqlResult<Ddl> {
        let AlterIndexOperation::RenameIndex { index_name } = operation;
        let name = object_name(name)?;
        let Some((schema, name)) = self.existing_index(&name, false)? else {
            let message = format!("relation \"{}\" does not exist", name.display());
            return Err(SqlError::new(SqlState::UndefinedTable, message));
        };
        let to = object_name(index_name)?.name;
        let catalog = self.context.catalog;
        if catalog.index(&schema, &to).is_some() || catalog.relation(&schema, &to).is_some() {
            let message = format!("relation \"{to}\" already exists");
            return Err(SqlError::new(SqlState::DuplicateTable, message));
        }
        Ok(Ddl::RenameIndex { schema, name, to })
    }
}

fn duplicate_column(table: &TableRef, column: &str) -> SqlError {
    let message = format!("column \"{column}\" of relation \"{}\" already exists", table.name);
    SqlError::new(SqlState::DuplicateColumn, message)
}

/// The first two words of a clause.
fn words(clause: &impl std::fmt::Display) -> String {
    clause.to_string().split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
