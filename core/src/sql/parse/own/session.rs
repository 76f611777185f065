//! Transactions, settings and prepared statements.

use sqlparser::tokenizer::Token;

use crate::base::{SqlError, SqlResult};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::statement::{
    DiscardWhat, Isolation, Maintenance, SessionStmt, SetScope, SetValue, TransactionModes,
};

pub fn parse(cursor: &mut Cursor<'_>) -> SqlResult<Option<SessionStmt>> {
    let stmt = if cursor.word("BEGIN") {
        transaction_word(cursor);
        SessionStmt::Begin { modes: modes(cursor)?, start: false }
    } else if cursor.words(&["START", "TRANSACTION"]) {
        SessionStmt::Begin { modes: modes(cursor)?, start: true }
    } else if cursor.sees(&["COMMIT", "PREPARED"]) || cursor.sees(&["ROLLBACK", "PREPARED"]) {
        return Err(SqlError::unsupported("two-phase commit by the client"));
    } else if cursor.word("COMMIT") || cursor.word("END") {
        transaction_word(cursor);
        SessionStmt::Commit { chain: chain(cursor)? }
    } else if cursor.word("ROLLBACK") || cursor.word("ABORT") {
        rollback(cursor)?
    } else if cursor.word("SAVEPOINT") {
        SessionStmt::Savepoint { name: cursor.name()? }
    } else if cursor.word("RELEASE") {
        cursor.word("SAVEPOINT");
        SessionStmt::Release { savepoint: cursor.name()? }
    } else if cursor.word("SET") {
        set(cursor)?
    } else if cursor.word("SHOW") {
        show(cursor)?
    } else if cursor.word("RESET") {
        reset(cursor)?
    } else if cursor.word("DISCARD") {
        SessionStmt::Discard(discard(cursor)?)
    } else if cursor.word("DEALLOCATE") {
        cursor.word("PREPARE");
        SessionStmt::Deallocate { name: all_or_name(cursor)? }
    } else if cursor.word("CLOSE") {
        SessionStmt::Close { name: all_or_name(cursor)? }
    } else if cursor.word("UNLISTEN") {
        if !cursor.token(&Token::Mul) {
            cursor.name()?;
        }
        SessionStmt::Unlisten
    } else if let Some(what) = maintenance(cursor) {
        cursor.skip_statement();
        SessionStmt::Maintenance(what)
    } else {
        return Ok(None);
    };
    Ok(Some(stmt))
}

fn transaction_word(cursor: &mut Cursor<'_>) {
    let _ = cursor.word("WORK") || cursor.word("TRANSACTION");
}

fn rollback(cursor: &mut Cursor<'_>) -> SqlResult<SessionStmt> {
    transaction_word(cursor);
    if cursor.word("TO") {
        cursor.word("SAVEPOINT");
        return Ok(SessionStmt::RollbackTo { savepoint: cursor.name()? });
    }
    Ok(SessionStmt::Rollback { chain: chain(cursor)? })
}

fn chain(cursor: &mut Cursor<'_>) -> SqlResult<bool> {
    if !cursor.word("AND") {
        return Ok(false);
    }
    let no = cursor.word("NO");
    cursor.expect_word("CHAIN")?;
    Ok(!no)
}

/// Modes separated by blanks or commas, none to many.
fn modes(cursor: &mut Cursor<'_>) -> SqlResult<TransactionModes> {
    let mut modes = TransactionModes::default();
    loop {
        if cursor.words(&["ISOLATION", "LEVEL"]) {
            modes.isolation = Some(isolation(cursor)?);
        } else if cursor.words(&["READ", "ONLY"]) {
            modes.read_only = Some(true);
        } else if cursor.words(&["READ", "WRITE"]) {
            modes.read_only = Some(false);
        } else if cursor.word("DEFERRABLE") {
            modes.deferrable = Some(true);
        } else if cursor.words(&["NOT", "DEFERRABLE"]) {
            modes.deferrable = Some(false);
        } else {
            return Ok(modes);
        }
        cursor.token(&Token::Comma);
    }
}

fn isolation(cursor: &mut Cursor<'_>) -> SqlResult<Isolation> {
    if cursor.word("SERIALIZABLE") {
        Ok(Isolation::Serializable)
    } else if cursor.words(&["REPEATABLE", "READ"]) {
        Ok(Isolation::RepeatableRead)
    } else if cursor.words(&["READ", "COMMITTED"]) {
        Ok(Isolation::ReadCommitted)
    } else if cursor.words(&["READ", "UNCOMMITTED"]) {
        Ok(Isolation::ReadUncommitted)
    } else {
        Err(cursor.unexpected())
    }
}

fn set(cursor: &mut Cursor<'_>) -> SqlResult<SessionStmt> {
    if cursor.words(&["SESSION", "CHARACTERISTICS", "AS", "TRANSACTION"]) {
        return Ok(SessionStmt::SetTransaction { modes: modes(cursor)?, session: true });
    }
    if cursor.words(&["TRANSACTION", "SNAPSHOT"]) {
        return Err(SqlError::unsupported("SET TRANSACTION SNAPSHOT"));
    }
    if cursor.word("TRANSACTION") {
        return Ok(SessionStmt::SetTransaction { modes: modes(cursor)?, session: false });
    }
    if cursor.word("CONSTRAINTS") {
        cursor.skip_statement();
        return Ok(SessionStmt::SetConstraints);
    }
    let scope = if cursor.word("LOCAL") {
        SetScope::Local
    } else {
        cursor.word("SESSION");
        SetScope::Session
    };
    let name = if cursor.words(&["TIME", "ZONE"]) {
        let value = time_zone(cursor)?;
        return Ok(SessionStmt::Set { scope, name: "timezone".into(), value });
    } else if cursor.word("NAMES") {
        let value = set_value(cursor)?;
        return Ok(SessionStmt::Set { scope, name: "client_encoding".into(), value });
    } else if cursor.word("ROLE") {
        let value = set_value(cursor)?;
        return Ok(SessionStmt::Set { scope, name: "role".into(), value });
    } else if cursor.word("AUTHORIZATION") {
        if cursor.word("DEFAULT") {
            let name = "session_authorization".into();
            return Ok(SessionStmt::Set { scope, name, value: SetValue::Default });
        }
        return Err(SqlError::unsupported("SET SESSION AUTHORIZATION"));
    } else {
        setting_name(cursor)?
    };
    if !cursor.word("TO") {
        cursor.expect_token(&Token::Eq)?;
    }
    Ok(SessionStmt::Set { scope, name, value: set_value(cursor)? })
}

fn time_zone(cursor: &mut Cursor<'_>) -> SqlResult<SetValue> {
    if cursor.word("LOCAL") { Ok(SetValue::Default) } else { set_value(cursor) }
}

/// `a` or `a.b`, in lower case.
pub fn setting_name(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    let mut name = cursor.name()?;
    while cursor.token(&Token::Period) {
        name.push('.');
        name.push_str(&cursor.name()?);
    }
    Ok(name.to_lowercase())
}

/// `DEFAULT`, or values separated by commas: strings, numbers, words.
pub fn set_value(cursor: &mut Cursor<'_>) -> SqlResult<SetValue> {
    if cursor.word("DEFAULT") {
        return Ok(SetValue::Default);
    }
    let mut values = vec![one_value(cursor)?];
    while cursor.token(&Token::Comma) {
        values.push(one_value(cursor)?);
    }
    Ok(SetValue::Values(values))
}

fn one_value(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    if let Some(text) = cursor.optional_string() {
        return Ok(text);
    }
    if cursor.token(&Token::Minus) {
        let Some(digits) = cursor.optional_number() else { return Err(cursor.unexpected()) };
        return Ok(format!("-{digits}"));
    }
    cursor.token(&Token::Plus);
    if let Some(digits) = cursor.optional_number() {
        return Ok(digits);
    }
    cursor.name()
}

fn show(cursor: &mut Cursor<'_>) -> SqlResult<SessionStmt> {
    if cursor.word("ALL") {
        return Ok(SessionStmt::ShowAll);
    }
    let name = if cursor.words(&["TIME", "ZONE"]) {
        "timezone".into()
    } else if cursor.words(&["TRANSACTION", "ISOLATION", "LEVEL"]) {
        "transaction_isolation".into()
    } else if cursor.words(&["SESSION", "AUTHORIZATION"]) {
        "session_authorization".into()
    } else {
        setting_name(cursor)?
    };
    Ok(SessionStmt::Show { name })
}

fn reset(cursor: &mut Cursor<'_>) -> SqlResult<SessionStmt> {
    if cursor.word("ALL") {
        return Ok(SessionStmt::ResetAll);
    }
    let name = if cursor.words(&["TIME", "ZONE"]) {
        "timezone".into()
    } else if cursor.words(&["SESSION", "AUTHORIZATION"]) {
        "session_authorization".into()
    } else {
        setting_name(cursor)?
    };
    Ok(SessionStmt::Reset { name })
}

fn discard(cursor: &mut Cursor<'_>) -> SqlResult<DiscardWhat> {
    if cursor.word("ALL") {
        Ok(DiscardWhat::All)
    } else if cursor.word("PLANS") {
        Ok(DiscardWhat::Plans)
    } else if cursor.word("SEQUENCES") {
        Ok(DiscardWhat::Sequences)
    } else if cursor.word("TEMP") || cursor.word("TEMPORARY") {
        Ok(DiscardWhat::Temp)
    } else {
        Err(cursor.unexpected())
    }
}

fn all_or_name(cursor: &mut Cursor<'_>) -> SqlResult<Option<String>> {
    if cursor.word("ALL") { Ok(None) } else { cursor.name().map(Some) }
}

fn maintenance(cursor: &mut Cursor<'_>) -> Option<Maintenance> {
    if cursor.word("VACUUM") {
        Some(Maintenance::Vacuum)
    } else if cursor.word("ANALYZE") || cursor.word("ANALYSE") {
        Some(Maintenance::Analyze)
    } else if cursor.word("CHECKPOINT") {
        Some(Maintenance::Checkpoint)
    } else {
        None
    }
}
