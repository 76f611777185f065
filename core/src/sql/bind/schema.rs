//! CREATE TABLE, CREATE INDEX, DROP, TRUNCATE. `ALTER` is in [`super::alter`].
//!
//! The primary key of a sharded table contains its distribution columns, and so does every unique
//! index: two rows with the same key are then in the same bucket, where one look decides.

use sqlparser::ast::{
    self, ColumnOption, CreateIndex, CreateTableOptions, IndexType, ObjectType, Statement,
    TableConstraint,
};

use super::scope::Scope;
use super::{At, Binder, types};
use crate::base::limits::TABLE_COLUMNS_MAX;
use crate::base::schema::{ColumnDef, ColumnIndex, Engine, TableRef};
use crate::base::{SqlError, SqlResult, SqlState};
use crate::expr::CastContext;
use crate::sql::catalog::Relation;
use crate::sql::parse::names::QualifiedName;
use crate::sql::parse::{DdlStmt, DistributedClause, fold, object_name};
use crate::sql::plan::Ddl;
use crate::sql::plan::ddl::Drop;
use crate::topology::ddl::{
    CreateIndexRequest, CreateTableRequest, DistributionRequest, IndexKeyRequest, UniqueRequest,
};

impl Binder<'_> {
    /// Binds a schema change.
    pub fn schema_change(&mut self, stmt: &DdlStmt) -> SqlResult<Ddl> {
        match &stmt.base {
            Statement::CreateTable(create) => self.create_table(create, stmt),
            Statement::CreateIndex(create) => self.create_index(create),
            Statement::Drop { object_type, if_exists, names, cascade, .. } => {
                let _ = cascade;
                self.drop_objects(*object_type, *if_exists, names)
            }
            Statement::Truncate(truncate) => self.truncate(truncate),
            Statement::AlterTable(alter) => self.alter_table(alter),
            Statement::AlterIndex { name, operation } => self.alter_index(name, operation),
            other => Err(SqlError::unsupported(super::statement::statement_name(other))),
        }
    }

    fn create_table(&mut self, create: &ast::CreateTable, stmt: &DdlStmt) -> SqlResult<Ddl> {
        refuse_table_extras(create)?;
        let name = object_name(&create.name)?;
        let schema = self.creation_schema(&name)?;
        if self.context.catalog.relation(&schema, &name.name).is_some() {
            return already_exists(&name.name, create.if_not_exists, "CREATE TABLE");
        }
        if create.columns.len() > TABLE_COLUMNS_MAX {
            let message = format!("tables can have at most {TABLE_COLUMNS_MAX} columns");
            return Err(SqlError::new(SqlState::TooManyColumns, message));
        }
        let mut table = CreateTableRequest {
            schema,
            name: name.name,
            if_not_exists: create.if_not_exists,
            owner: self.context.user,
            columns: Vec::with_capacity(create.columns.len()),
            primary_key: Vec::new(),
            primary_key_name: None,
            uniques: Vec::new(),
            distribution: DistributionRequest::Sharded { columns: Vec::new(), tier: None },
            engine: stmt.engine.unwrap_or(Engine::Memtx),
            unlogged: create.unlogged,
        };
        for column in &create.columns {
            self.table_column_def(column, &mut table)?;
        }
        for constraint in &create.constraints {
            self.constraint(constraint, &mut table)?;
        }
        for key in &table.primary_key {
            table.columns[usize::from(*key)].nullable = false;
        }
        self.place(stmt.distribution.as_ref(), &mut table)?;
        check_orderable(&table)?;
        check_distribution(&table)?;
        Ok(Ddl::CreateTable(table))
    }

    fn table_column_def(
        &mut self,
        column: &ast::ColumnDef,
        table: &mut CreateTableRequest,
    ) -> SqlResult<()> {
        let name = fold(&column.name);
        if table.columns.iter().any(|known| known.name == name) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(self.error_at(SqlState::DuplicateColumn, message, column.name.span));
        }
        let (ty, typmod) =
            types::resolve(&column.data_type).map_err(|error| self.at(error, column.name.span))?;
        let index = table.columns.len() as ColumnIndex;
        table.columns.push(ColumnDef {
            name,
            ty,
            typmod,
            nullable: true,
            default: None,
            hidden: false,
        });
        for option in &column.options {
            self.column_option(option, index, table)?;
        }
        Ok(())
    }

    fn column_option(
        &mut self,
        option: &ast::ColumnOptionDef,
        index: ColumnIndex,
        table: &mut CreateTableRequest,
    ) -> SqlResult<()> {
        let name = option.name.as_ref().map(fold);
        let column = &mut table.columns[usize::from(index)];
        match &option.option {
            ColumnOption::Null => {}
            ColumnOption::NotNull => column.nullable = false,
            ColumnOption::Default(expr) => {
                column.default = Some(self.default_text(expr, column)?);
            }
            ColumnOption::PrimaryKey(_) => set_primary_key(table, vec![index], name)?,
            ColumnOption::Unique(_) => {
                table.uniques.push(UniqueRequest { name, columns: vec![index] })
            }
            ColumnOption::Collation(collation) => {
                let collation = object_name(collation)?.name;
                if !matches!(collation.as_str(), "default" | "C" | "POSIX") {
                    let what = format!("collation \"{collation}\"");
                    return Err(SqlError::unsupported(what));
                }
            }
            ColumnOption::ForeignKey(_) => return Err(SqlError::unsupported("FOREIGN KEY")),
            ColumnOption::Check(_) => return Err(SqlError::unsupported("CHECK")),
            ColumnOption::Generated { .. } | ColumnOption::Identity(_) => {
                return Err(SqlError::unsupported("a generated column"));
            }
            other => return Err(SqlError::unsupported(format_args!("column option {other}"))),
        }
        Ok(())
    }

    /// Checks a default and gives its text.
    pub(super) fn default_text(
        &mut self,
        expr: &ast::Expr,
        column: &ColumnDef,
    ) -> SqlResult<String> {
        let scope = Scope::default();
        let mut at = At::new(&scope, "DEFAULT expressions");
        let subqueries = self.subqueries.len();
        let bound = self.expr(expr, &mut at).map_err(|error| {
            let names_column = error.state == SqlState::UndefinedColumn;
            if !names_column {
                return error;
            }
            let message = "cannot use column reference in DEFAULT expression";
            SqlError { message: message.into(), state: SqlState::FeatureNotSupported, ..error }
        })?;
        at.no_marks()?;
        if self.subqueries.len() > subqueries {
            let message = "cannot use subquery in DEFAULT expression";
            return Err(SqlError::new(SqlState::FeatureNotSupported, message));
        }
        let from = bound.ty();
        let converted = self.exprs.coerce(bound, column.ty, column.typmod, CastContext::Assignment);
        if let Err(error) = converted {
            if error.state != SqlState::CannotCoerce {
                return Err(error);
            }
            let message = format!(
                "column \"{}\" is of type {} but default expression is of type {}",
                column.name,
                column.ty.info().sql_name,
                from.info().sql_name
            );
            return Err(SqlError::new(SqlState::DatatypeMismatch, message)
                .with_hint("You will need to rewrite or cast the expression."));
        }
        Ok(expr.to_string())
    }

    fn constraint(
        &mut self,
        constraint: &TableConstraint,
        table: &mut CreateTableRequest,
    ) -> SqlResult<()> {
        match constraint {
            TableConstraint::PrimaryKey(key) => {
                let columns = self.key_columns(&key.columns, table)?;
                set_primary_key(table, columns, key.name.as_ref().map(fold))
            }
            TableConstraint::Unique(unique) => {
                let columns = self.key_columns(&unique.columns, table)?;
                table.uniques.push(UniqueRequest { name: unique.name.as_ref().map(fold), columns });
                Ok(())
            }
            TableConstraint::ForeignKey(_) => Err(SqlError::unsupported("FOREIGN KEY")),
            TableConstraint::Check(_) => Err(SqlError::unsupported("CHECK")),
            TableConstraint::Exclude(_) => Err(SqlError::unsupported("EXCLUDE")),
            _ => Err(SqlError::unsupported("this table constraint")),
        }
    }

    fn key_columns(
        &self,
        columns: &[ast::IndexColumn],
        table: &CreateTableRequest,
    ) -> SqlResult<Vec<ColumnIndex>> {
        let mut keys = Vec::with_capacity(columns.len());
        for column in columns {
            let ast::Expr::Identifier(ident) = &column.column.expr else {
                return Err(SqlError::unsupported("an expression in a key"));
            };
            if matches!(column.column.options.sort, Some(ast::OrderBySort::Desc)) {
                return Err(SqlError::unsupported("a descending primary key"));
            }
            let index = self.table_column(ident, table)?;
            if keys.contains(&index) {
                let message =
                    format!("column \"{}\" appears twice in primary key constraint", fold(ident));
                return Err(self.error_at(SqlState::DuplicateColumn, message, ident.span));
            }
            keys.push(index);
        }
        Ok(keys)
    }

    fn table_column(
        &self,
        ident: &ast::Ident,
        table: &CreateTableRequest,
    ) -> SqlResult<ColumnIndex> {
        let name = fold(ident);
        match table.columns.iter().position(|column| column.name == name) {
            Some(index) => Ok(index as ColumnIndex),
            None => {
                let message = format!("column \"{name}\" named in key does not exist");
                Err(self.error_at(SqlState::UndefinedColumn, message, ident.span))
            }
        }
    }

    fn place(
        &self,
        clause: Option<&DistributedClause>,
        table: &mut CreateTableRequest,
    ) -> SqlResult<()> {
        table.distribution = match clause {
            None => return Ok(()),
            Some(DistributedClause::Globally) => DistributionRequest::Global,
            Some(DistributedClause::By { columns: idents, tier }) => {
                let mut columns = Vec::with_capacity(idents.len());
                for ident in idents {
                    let index = self.table_column(ident, table)?;
                    if columns.contains(&index) {
                        let message =
                            format!("column \"{}\" specified more than once", fold(ident));
                        return Err(self.error_at(SqlState::DuplicateColumn, message, ident.span));
                    }
                    columns.push(index);
                }
                if let Some(tier) = tier
                    && !self.context.catalog.has_tier(tier)
                {
                    let message = format!("tier \"{tier}\" does not exist");
                    return Err(SqlError::new(SqlState::UndefinedObject, message));
                }
                DistributionRequest::Sharded { columns, tier: tier.clone() }
            }
        };
        Ok(())
    }

    fn create_index(&mut self, create: &CreateIndex) -> SqlResult<Ddl> {
        refuse_index_extras(create)?;
        let (schema, table) = self.index_table(create)?;
        let name = match &create.name {
            Some(name) => Some(object_name(name)?.name),
            None => None,
        };
        if let Some(name) = &name {
            let taken = self.context.catalog.index(&schema, name).is_some()
                || self.context.catalog.relation(&schema, name).is_some();
            if taken {
                return already_exists(name, create.if_not_exists, "CREATE INDEX");
            }
        }
        let mut columns = Vec::with_capacity(create.columns.len());
        let mut indexes = Vec::with_capacity(create.columns.len());
        for column in &create.columns {
            let ast::Expr::Identifier(ident) = &column.column.expr else {
                return Err(SqlError::unsupported("an index on an expression"));
            };
            if column.operator_class.is_some() {
                return Err(SqlError::unsupported("an operator class"));
            }
            let at = self.indexed_column(&table, ident)?;
            indexes.push(at);
            let options = &column.column.options;
            let descending = matches!(options.sort, Some(ast::OrderBySort::Desc));
            let nulls_first = options.nulls_first.unwrap_or(descending);
            columns.push(IndexKeyRequest { column: fold(ident), descending, nulls_first });
        }
        if create.unique {
            check_unique(table.distribution_columns(), &indexes, |at| {
                table.columns[usize::from(at)].name.clone()
            })?;
        }
        Ok(Ddl::CreateIndex(CreateIndexRequest {
            schema,
            table: table.name.clone(),
            name,
            if_not_exists: create.if_not_exists,
            columns,
            unique: create.unique,
        }))
    }

    fn index_table(&mut self, create: &CreateIndex) -> SqlResult<(String, TableRef)> {
        let name = object_name(&create.table_name)?;
        match self.relation(&name)? {
            Relation::Table(table) => Ok((table.schema.clone(), table)),
            Relation::Virtual(table) => Err(SqlError::new(
                SqlState::InsufficientPrivilege,
                format!("permission denied: \"{}\" is a system catalog", table.name),
            )),
        }
    }

    fn indexed_column(&self, table: &TableRef, ident: &ast::Ident) -> SqlResult<ColumnIndex> {
        let name = fold(ident);
        let Some(index) = table.column(&name) else {
            let message = format!("column \"{name}\" does not exist");
            return Err(self.error_at(SqlState::UndefinedColumn, message, ident.span));
        };
        let ty = table.columns[usize::from(index)].ty;
        if !crate::base::keycode::is_orderable(ty) {
            return Err(no_order(ty));
        }
        Ok(index)
    }

    fn drop_objects(
        &mut self,
        kind: ObjectType,
        if_exists: bool,
        names: &[ast::ObjectName],
    ) -> SqlResult<Ddl> {
        let mut dropped = Drop { names: Vec::new(), if_exists, notices: Vec::new() };
        for name in names {
            let name = object_name(name)?;
            let found = match kind {
                ObjectType::Table => self.table_to_drop(&name)?,
                ObjectType::Index => self.existing_index(&name, true)?,
                other => return Err(SqlError::unsupported(format_args!("DROP {other}"))),
            };
            let what = if kind == ObjectType::Table { "table" } else { "index" };
            match found {
                Some(found) if !dropped.names.contains(&found) => dropped.names.push(found),
                Some(_) => {}
                None if if_exists => dropped
                    .notices
                    .push(format!("{what} \"{}\" does not exist, skipping", name.display())),
                None => {
                    let state = if kind == ObjectType::Table {
                        SqlState::UndefinedTable
                    } else {
                        SqlState::UndefinedObject
                    };
                    let message = format!("{what} \"{}\" does not exist", name.display());
                    return Err(SqlError::new(state, message));
                }
            }
        }
        Ok(if kind == ObjectType::Table {
            Ddl::DropTables(dropped)
        } else {
            Ddl::DropIndexes(dropped)
        })
    }

    fn table_to_drop(&self, name: &QualifiedName) -> SqlResult<Option<(String, String)>> {
        match self.find_relation(name) {
            Some(Relation::Table(table)) => Ok(Some((table.schema.clone(), table.name.clone()))),
            Some(Relation::Virtual(table)) => Err(SqlError::new(
                SqlState::InsufficientPrivilege,
                format!("permission denied: \"{}\" is a system catalog", table.name),
            )),
            None => Ok(None),
        }
    }

    pub(super) fn existing_index(
        &self,
        name: &QualifiedName,
        to_drop: bool,
    ) -> SqlResult<Option<(String, String)>> {
        let catalog = self.context.catalog;
        let found = match &name.schema {
            Some(schema) => catalog.index(schema, &name.name),
            None => self.schemas().find_map(|schema| catalog.index(schema, &name.name)),
        };
        let Some((table, id)) = found else { return Ok(None) };
        if to_drop && id == table.primary_key_id {
            let message = format!(
                "cannot drop index {} because constraint {} on table {} requires it",
                name.name, name.name, table.name
            );
            return Err(SqlError::new(SqlState::DependentObjectsStillExist, message));
        }
        Ok(Some((table.schema.clone(), name.name.clone())))
    }

    fn truncate(&mut self, truncate: &ast::Truncate) -> SqlResult<Ddl> {
        if truncate.partitions.is_some() || truncate.on_cluster.is_some() {
            return Err(SqlError::unsupported("this clause of TRUNCATE"));
        }
        let mut names = Vec::with_capacity(truncate.table_names.len());
        for target in &truncate.table_names {
            let table = self.target(&target.name)?;
            let name = (table.schema.clone(), table.name.clone());
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Ok(Ddl::Truncate(Drop { names, if_exists: false, notices: Vec::new() }))
    }
}

fn already_exists(name: &str, if_not_exists: bool, tag: &'static str) -> SqlResult<Ddl> {
    let message = format!("relation \"{name}\" already exists");
    if if_not_exists {
        return Ok(Ddl::Nothing { tag, notice: format!("{message}, skipping") });
    }
    Err(SqlError::new(SqlState::DuplicateTable, message))
}

fn set_primary_key(
    table: &mut CreateTableRequest,
    columns: Vec<ColumnIndex>,
    name: Option<String>,
) -> SqlResult<()> {
    if !table.primary_key.is_empty() {
        let message = format!("multiple primary keys for table \"{}\" are not allowed", table.name);
        return Err(SqlError::new(SqlState::InvalidTableDefinition, message));
    }
    table.primary_key = columns;
    table.primary_key_name = name;
    Ok(())
}

fn no_order(ty: crate::base::SqlType) -> SqlError {
    let name = ty.info().name;
    SqlError::new(
        SqlState::UndefinedObject,
        format!("data type {name} has no default operator class for access method \"btree\""),
    )
    .with_hint(
        "You must specify an operator class for the index or define a default operator class for the data type.",
    )
}

fn check_orderable(table: &CreateTableRequest) -> SqlResult<()> {
    let uniques = table.uniques.iter().flat_map(|unique| &unique.columns);
    for key in table.primary_key.iter().chain(uniques) {
        let ty = table.columns[usize::from(*key)].ty;
        if !crate::base::keycode::is_orderable(ty) {
            return Err(no_order(ty));
        }
    }
    Ok(())
}

/// The columns that decide the bucket must be in the primary key and in every unique constraint.
fn check_distribution(table: &CreateTableRequest) -> SqlResult<()> {
    let name = |at: ColumnIndex| table.columns[usize::from(at)].name.clone();
    let DistributionRequest::Sharded { columns, .. } = &table.distribution else {
        if table.engine == Engine::Vinyl {
            return Err(SqlError::unsupported("a global table with the vinyl engine"));
        }
        if table.unlogged {
            return Err(SqlError::unsupported("an unlogged global table"));
        }
        return Ok(());
    };
    let by = if columns.is_empty() { &table.primary_key } else { columns };
    if let Some(missing) = columns.iter().find(|column| !table.primary_key.contains(column)) {
        if table.primary_key.is_empty() {
            return Err(SqlError::new(
                SqlState::InvalidTableDefinition,
                "a table that is distributed by columns needs a primary key that contains them",
            ));
        }
        let message = format!(
            "primary key of table \"{}\" must contain distribution column \"{}\"",
            table.name,
            name(*missing)
        );
        return Err(SqlError::new(SqlState::InvalidTableDefinition, message).with_detail(
            "Rows with the same primary key must be in the same bucket to be kept unique.",
        ));
    }
    for unique in &table.uniques {
        check_unique(by, &unique.columns, name)?;
    }
    if by.is_empty() && !table.uniques.is_empty() {
        return Err(SqlError::unsupported("UNIQUE on a sharded table without a primary key"));
    }
    Ok(())
}

fn check_unique(
    distribution: &[ColumnIndex],
    unique: &[ColumnIndex],
    name: impl Fn(ColumnIndex) -> String,
) -> SqlResult<()> {
    let Some(missing) = distribution.iter().find(|column| !unique.contains(column)) else {
        return Ok(());
    };
    let error = SqlError::unsupported(format_args!(
        "a unique constraint without distribution column \"{}\"",
        name(*missing)
    ));
    Err(error.with_hint(
        "Add the column to the constraint, or distribute the table by the constraint's columns.",
    ))
}

fn refuse_table_extras(create: &ast::CreateTable) -> SqlResult<()> {
    let refused = [
        (create.query.is_some(), "CREATE TABLE AS"),
        (create.temporary, "a temporary table"),
        (create.or_replace, "CREATE OR REPLACE TABLE"),
        (create.like.is_some(), "CREATE TABLE LIKE"),
        (create.partition_by.is_some(), "PARTITION BY"),
        (create.partition_of.is_some(), "PARTITION OF"),
        (create.inherits.is_some(), "INHERITS"),
        (create.on_commit.is_some(), "ON COMMIT"),
        (create.external, "an external table"),
        (create.columns.is_empty(), "a table without columns"),
    ];
    if let Some((_, what)) = refused.iter().find(|(present, _)| *present) {
        return Err(SqlError::unsupported(what));
    }
    match &create.table_options {
        CreateTableOptions::None | CreateTableOptions::With(_) => Ok(()),
        _ => Err(SqlError::unsupported("this clause of CREATE TABLE")),
    }
}

fn refuse_index_extras(create: &CreateIndex) -> SqlResult<()> {
    let tree = match &create.using {
        None | Some(IndexType::BTree) => true,
        Some(IndexType::Custom(name)) => name.value.eq_ignore_ascii_case("tree"),
        Some(_) => false,
    };
    let refused = [
        (!tree, "an index that is no tree"),
        (!create.include.is_empty(), "INCLUDE"),
        (create.predicate.is_some(), "a partial index"),
        (create.nulls_distinct == Some(false), "NULLS NOT DISTINCT"),
    ];
    match refused.iter().find(|(present, _)| *present) {
        Some((_, what)) => Err(SqlError::unsupported(what)),
        None => Ok(()),
    }
}
