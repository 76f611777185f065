//! `ALTER SYSTEM`.

use sqlparser::tokenizer::Token;

use super::session::{set_value, setting_name};
use crate::base::SqlResult;
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::statement::{AlterSystem, SystemScope};

pub fn parse(cursor: &mut Cursor<'_>) -> SqlResult<Option<AlterSystem>> {
    if !cursor.words(&["ALTER", "SYSTEM"]) {
        return Ok(None);
    }
    if cursor.word("RESET") {
        if cursor.word("ALL") {
            return Ok(Some(AlterSystem::ResetAll { scope: scope(cursor)? }));
        }
        let name = setting_name(cursor)?;
        return Ok(Some(AlterSystem::Reset { name, scope: scope(cursor)? }));
    }
    cursor.expect_word("SET")?;
    let name = setting_name(cursor)?;
    if !cursor.word("TO") {
        cursor.expect_token(&Token::Eq)?;
    }
    let value = set_value(cursor)?;
    Ok(Some(AlterSystem::Set { name, value, scope: scope(cursor)? }))
}

fn scope(cursor: &mut Cursor<'_>) -> SqlResult<SystemScope> {
    if cursor.words(&["FOR", "ALL", "TIERS"]) {
        Ok(SystemScope::AllTiers)
    } else if cursor.words(&["FOR", "TIER"]) {
        Ok(SystemScope::Tier(cursor.name()?))
    } else {
        Ok(SystemScope::Cluster)
    }
}
