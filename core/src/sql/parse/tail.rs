//! The clauses behind a DDL statement that sqlparser does not know.

use std::time::Duration;

use sqlparser::ast::{CreateTable, Statement};
use sqlparser::tokenizer::Token;

use super::cursor::Cursor;
use super::statement::{DdlOptions, DdlStmt, DistributedClause, WaitApplied};
use crate::base::SqlResult;
use crate::base::schema::Engine;

/// Whether a statement changes the schema, and so may have a tail.
pub fn is_ddl(statement: &Statement) -> bool {
    matches!(
        statement,
        Statement::CreateTable(_)
            | Statement::CreateIndex(_)
            | Statement::AlterTable(_)
            | Statement::AlterIndex { .. }
            | Statement::Drop { .. }
            | Statement::Truncate(_)
            | Statement::CreateSchema { .. }
    )
}

/// Reads the tail behind `base`.
pub fn parse(cursor: &mut Cursor<'_>, base: Statement) -> SqlResult<DdlStmt> {
    let mut ddl =
        DdlStmt { base, engine: None, distribution: None, options: DdlOptions::default() };
    if matches!(ddl.base, Statement::CreateTable(CreateTable { .. })) {
        if cursor.word("USING") {
            ddl.engine = Some(engine(cursor)?);
        }
        if cursor.word("DISTRIBUTED") {
            ddl.distribution = Some(distributed(cursor)?);
        }
    }
    if cursor.words(&["WAIT", "APPLIED"]) {
        ddl.options.wait = Some(wait(cursor)?);
    }
    if cursor.word("OPTION") {
        ddl.options.timeout = Some(timeout(cursor)?);
    }
    Ok(ddl)
}

fn engine(cursor: &mut Cursor<'_>) -> SqlResult<Engine> {
    if cursor.word("MEMTX") {
        Ok(Engine::Memtx)
    } else if cursor.word("VINYL") {
        Ok(Engine::Vinyl)
    } else {
        Err(cursor.unexpected())
    }
}

fn distributed(cursor: &mut Cursor<'_>) -> SqlResult<DistributedClause> {
    if cursor.word("GLOBALLY") {
        return Ok(DistributedClause::Globally);
    }
    cursor.expect_word("BY")?;
    cursor.expect_token(&Token::LParen)?;
    let mut columns = vec![cursor.ident()?];
    while cursor.token(&Token::Comma) {
        columns.push(cursor.ident()?);
    }
    cursor.expect_token(&Token::RParen)?;
    let tier = if cursor.words(&["IN", "TIER"]) { Some(cursor.name()?) } else { None };
    Ok(DistributedClause::By { columns, tier })
}

fn wait(cursor: &mut Cursor<'_>) -> SqlResult<WaitApplied> {
    if cursor.word("GLOBALLY") {
        Ok(WaitApplied::Globally)
    } else if cursor.word("LOCALLY") {
        Ok(WaitApplied::Locally)
    } else {
        Err(cursor.unexpected())
    }
}

fn timeout(cursor: &mut Cursor<'_>) -> SqlResult<Duration> {
    cursor.expect_token(&Token::LParen)?;
    cursor.expect_word("TIMEOUT")?;
    cursor.expect_token(&Token::Eq)?;
    let timeout = cursor.seconds()?;
    cursor.expect_token(&Token::RParen)?;
    Ok(timeout)
}
