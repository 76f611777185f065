//! From parsed statements to typed plans: names, types, and PostgreSQL's errors about both.
//!
//! ```text
//!   SELECT a + $1 AS s FROM t WHERE b = 'x' ORDER BY s
//!
//!   Sort s
//!   └── Project  a + $1          scope of the expression: the columns of t
//!       └── Filter  b = 'x'      'x' took the type of b, $1 the type of a
//!           └── Scan t
//! ```
//!
//! A [`Scope`] says which names stand for which column of the input row; [`At`] says what else an
//! expression may contain where it stands. Subqueries are described in [`subquery`].

mod aggregate;
mod alter;
mod change;
mod delete;
mod expr;
mod from;
mod function;
mod insert;
mod query;
mod schema;
mod scope;
mod select;
mod statement;
mod subquery;
mod types;
mod update;

pub use query::BoundQuery;
pub use scope::Scope;
pub use statement::{
    Bound, BoundChange, BoundConflict, BoundDelete, BoundInsert, BoundUpdate, Returning,
};

use std::rc::Rc;

use sqlparser::tokenizer::Span;

use super::catalog::{Catalog, Relation};
use super::parse::Source;
use super::parse::names::QualifiedName;
use super::plan::logical::AggregateCall;
use super::plan::{Logical, SubqueryKind, Touches};
use crate::base::limits::EXPR_DEPTH_MAX;
use crate::base::{SqlError, SqlResult, SqlState, SqlType, UserId};
use crate::expr::{ExprBuilder, ParamTypes};
use subquery::{Outer, PendingMark};

/// The first index of the parameters that stand for subqueries, while binding; a statement's own
/// parameters are below it. [`super::prepare`] moves them behind the last of those.
pub const SUBQUERY_PARAM: usize = 1 << 20;
/// Likewise the first one that carries a column into a correlated subquery; behind the former.
pub const OUTER_PARAM: usize = 1 << 21;
/// The first column index that stands for an aggregate, while a SELECT is bound.
const AGGREGATE_COLUMN: usize = 1 << 24;
/// The first column index that stands for a mark, while a clause is bound.
const MARK_COLUMN: usize = 1 << 23;
/// The schema searched when the search path does not say otherwise.
pub const DEFAULT_SCHEMA: &str = "public";
/// The schema searched before all others.
pub const CATALOG_SCHEMA: &str = "pg_catalog";

/// Who asks, and over what.
#[derive(Clone, Copy)]
pub struct BindContext<'a> {
    pub catalog: &'a dyn Catalog,
    /// Schemas to look for unqualified names in, after `pg_catalog`.
    pub search_path: &'a [String],
    /// Owner of what is created.
    pub user: UserId,
}

/// Binds one statement.
pub struct Binder<'a> {
    context: BindContext<'a>,
    source: &'a Source<'a>,
    exprs: ExprBuilder,
    pub subqueries: Vec<BoundSubquery>,
    pub touches: Touches,
    /// Common table expressions in scope; later ones hide earlier ones.
    ctes: Vec<(String, Rc<BoundQuery>)>,
    /// Scopes around the query being bound, innermost last.
    outer: Vec<Outer>,
    /// Parameters given to columns of scopes around.
    pub outer_params: usize,
    /// How often such a column was named.
    outer_uses: usize,
    depth: usize,
    /// Items of FROM clauses met so far, in the whole statement.
    relations: usize,
}

/// A subquery that depends on nothing around it.
#[derive(Debug)]
pub struct BoundSubquery {
    pub kind: SubqueryKind,
    pub plan: Logical,
}

/// Where an expression stands.
pub struct At<'s> {
    pub scope: &'s Scope,
    /// The clause, as errors name it: `WHERE`, `RETURNING`.
    pub clause: &'static str,
    /// Aggregates met so far; `None` where they are not allowed.
    aggregates: Option<Vec<AggregateCall>>,
    /// Subqueries met so far that become columns of the input: [`MARK_COLUMN`] and following.
    marks: Vec<PendingMark>,
    in_aggregate: bool,
    /// Columns named outside of aggregates, with their places.
    columns: Vec<(usize, Span)>,
}

impl<'s> At<'s> {
    /// In a clause without aggregates, over the rows of a scope.
    pub fn new(scope: &'s Scope, clause: &'static str) -> At<'s> {
        At {
            scope,
            clause,
            aggregates: None,
            marks: Vec::new(),
            in_aggregate: false,
            columns: Vec::new(),
        }
    }
}

impl<'a> Binder<'a> {
    pub fn new(
        context: BindContext<'a>,
        source: &'a Source<'a>,
        params: Vec<SqlType>,
    ) -> Binder<'a> {
        Binder {
            context,
            source,
            exprs: ExprBuilder::new(ParamTypes::declared(params)),
            subqueries: Vec::new(),
            touches: Touches::default(),
            ctes: Vec::new(),
            outer: Vec::new(),
            outer_params: 0,
            outer_uses: 0,
            depth: 0,
            relations: 0,
        }
    }

    /// The types of the statement's parameters.
    pub fn param_types(&self) -> SqlResult<Vec<SqlType>> {
        self.exprs.params.clone().finish()
    }

    /// Runs `bind` one level deeper; 54001 when that is too deep to recurse.
    fn deeper<T>(&mut self, bind: impl FnOnce(&mut Self) -> SqlResult<T>) -> SqlResult<T> {
        if self.depth >= EXPR_DEPTH_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded"));
        }
        self.depth += 1;
        let result = bind(self);
        self.depth -= 1;
        result
    }

    /// The error at a place of the text.
    fn at(&self, error: SqlError, span: Span) -> SqlError {
        if error.fields.position.is_some() {
            return error;
        }
        match self.source.position(span.start) {
            Some(position) => error.at(position),
            None => error,
        }
    }

    fn error_at(&self, state: SqlState, message: impl Into<String>, span: Span) -> SqlError {
        self.at(SqlError::new(state, message), span)
    }

    /// The relation of a name, or 42P01.
    fn relation(&mut self, name: &QualifiedName) -> SqlResult<Relation> {
        match self.find_relation(name) {
            Some(relation) => Ok(relation),
            None => Err(self.error_at(
                SqlState::UndefinedTable,
                format!("relation \"{}\" does not exist", name.display()),
                name.span,
            )),
        }
    }

    fn find_relation(&self, name: &QualifiedName) -> Option<Relation> {
        let catalog = self.context.catalog;
        if let Some(schema) = &name.schema {
            return catalog.relation(schema, &name.name);
        }
        self.schemas().find_map(|schema| catalog.relation(schema, &name.name))
    }

    /// The schemas to look in, in order.
    fn schemas(&self) -> impl Iterator<Item = &'a str> {
        let path = self.context.search_path.iter().map(String::as_str);
        let implicit = (!self.context.search_path.iter().any(|s| s == CATALOG_SCHEMA))
            .then_some(CATALOG_SCHEMA);
        implicit.into_iter().chain(path)
    }

    /// The schema that an unqualified name is created in.
    fn creation_schema(&self, name: &QualifiedName) -> SqlResult<String> {
        let catalog = self.context.catalog;
        if let Some(schema) = &name.schema {
            if catalog.has_schema(schema) {
                return Ok(schema.clone());
            }
            let message = format!("schema \"{schema}\" does not exist");
            return Err(self.error_at(SqlState::InvalidSchemaName, message, name.span));
        }
        let schema = self.context.search_path.iter().find(|s| catalog.has_schema(s));
        schema.cloned().ok_or_else(|| {
            SqlError::new(SqlState::InvalidSchemaName, "no schema has been selected to create in")
        })
    }
}
