//! Statements the session carries out by itself: settings, prepared statements, transactions.
//!
//! Left out until transactions over several statements exist: `BEGIN`. It is refused rather than
//! accepted without effect, since a client that believes in a transaction it does not have loses data.
//! So there is never a transaction block, and what ends one, or belongs into one, is answered as
//! PostgreSQL answers it outside of one.

use std::borrow::Cow;

use super::conversation::Conversation;
use super::engine::{Engine, Notice, Tag};
use super::rows::{ResultFormats, RowWriter};
use super::settings::Settings;
use super::statement::no_statement;
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType};
use crate::exec::RowSink;
use crate::sql::parse::{
    AccessStmt, DiscardWhat, Isolation, Maintenance, SessionStmt, SetScope, SetValue,
    TransactionModes,
};
use crate::sql::plan::{Ddl, Plan, Prepared, ResultColumn};

/// The columns of what a statement returns. Error: 42704 for `SHOW` of an unknown setting.
pub(super) fn columns(
    stmt: &SessionStmt,
    settings: &Settings,
) -> SqlResult<Option<Vec<ResultColumn>>> {
    let text = |name: &str| ResultColumn {
        name: name.to_owned(),
        ty: SqlType::Text,
        typmod: -1,
        origin: None,
    };
    Ok(match stmt {
        SessionStmt::Show { name } => Some(vec![text(settings.show(name)?.0)]),
        SessionStmt::ShowAll => Some(vec![text("name"), text("setting"), text("description")]),
        _ => None,
    })
}

/// Carries a statement out; rows are written in `formats`.
pub(super) fn run<E: Engine>(
    session: &mut Conversation<E>,
    stmt: &SessionStmt,
    prepared: &Prepared,
    formats: &ResultFormats,
) -> SqlResult<Tag> {
    let done = |words| Ok(Tag { words, rows: None });
    match stmt {
        SessionStmt::Set { scope, name, value } => {
            set(session, *scope, name, value)?;
            done("SET")
        }
        SessionStmt::SetTransaction { modes, session: whole } => {
            set_transaction(session, *modes, *whole)?;
            done("SET")
        }
        SessionStmt::Reset { name } => {
            session.settings.borrow_mut().reset(name)?;
            done("RESET")
        }
        SessionStmt::ResetAll => {
            session.settings.borrow_mut().reset_all();
            done("RESET")
        }
        SessionStmt::Show { .. } | SessionStmt::ShowAll => show(session, stmt, prepared, formats),
        SessionStmt::Discard(what) => done(discard(session, *what)),
        SessionStmt::Deallocate { name: None } => {
            session.statements.clear();
            done("DEALLOCATE ALL")
        }
        SessionStmt::Deallocate { name: Some(name) } => {
            if !session.statements.remove(name) {
                return Err(no_statement(name));
            }
            done("DEALLOCATE")
        }
        SessionStmt::Close { name: None } => {
            session.portals.clear();
            done("CLOSE CURSOR ALL")
        }
        SessionStmt::Close { name: Some(name) } => {
            if !session.portals.remove(name) {
                let message = format!("cursor \"{name}\" does not exist");
                return Err(SqlError::new(SqlState::InvalidCursorName, message));
            }
            done("CLOSE CURSOR")
        }
        SessionStmt::Maintenance(what) => done(match what {
            Maintenance::Vacuum => "VACUUM",
            Maintenance::Analyze => "ANALYZE",
            Maintenance::Checkpoint => "CHECKPOINT",
        }),
        SessionStmt::SetConstraints => done("SET CONSTRAINTS"),
        SessionStmt::Unlisten => done("UNLISTEN"),
        SessionStmt::Begin { .. } => Err(no_transactions()),
        SessionStmt::Commit { chain: true } => Err(only_in_transaction("COMMIT AND CHAIN")),
        SessionStmt::Rollback { chain: true } => Err(only_in_transaction("ROLLBACK AND CHAIN")),
        SessionStmt::Commit { .. } => done(end(session, "COMMIT")),
        SessionStmt::Rollback { .. } => done(end(session, "ROLLBACK")),
        SessionStmt::RollbackTo { .. } => Err(only_in_transaction("ROLLBACK TO SAVEPOINT")),
        SessionStmt::Savepoint { .. } => Err(only_in_transaction("SAVEPOINT")),
        SessionStmt::Release { .. } => Err(only_in_transaction("RELEASE SAVEPOINT")),
    }
}

/// The end of a transaction, where there is none: a warning.
fn end<E: Engine>(session: &mut Conversation<E>, words: &'static str) -> &'static str {
    let message = "there is no transaction in progress";
    let warning = SqlError::new(SqlState::NoActiveSqlTransaction, message);
    session.wire.notice(&Notice::warning(warning));
    words
}

/// `25P01`.
fn only_in_transaction(what: &str) -> SqlError {
    let message = format!("{what} can only be used in transaction blocks");
    SqlError::new(SqlState::NoActiveSqlTransaction, message)
}

/// What a statement is called if it changes rows, schema or rights.
pub fn writing(plan: &Plan) -> Option<&'static str> {
    Some(match plan {
        Plan::Insert(_) => "INSERT",
        Plan::Update(_) => "UPDATE",
        Plan::Delete(_) => "DELETE",
        Plan::Ddl(Ddl::Nothing { .. }, _) => return None,
        Plan::Ddl(change, _) => change.tag(),
        Plan::Access(change) => match change {
            AccessStmt::CreateUser { .. } | AccessStmt::CreateRole { .. } => "CREATE ROLE",
            AccessStmt::AlterUser { .. } => "ALTER ROLE",
            AccessStmt::DropUser { .. } | AccessStmt::DropRole { .. } => "DROP ROLE",
            AccessStmt::Grant(_) => "GRANT",
            AccessStmt::Revoke(_) => "REVOKE",
        },
        Plan::Query(_)
        | Plan::Point(_)
        | Plan::Explain(_)
        | Plan::AlterSystem(_)
        | Plan::Session(_) => return None,
    })
}

fn no_transactions() -> SqlError {
    SqlError::unsupported("a transaction over several statements")
        .with_detail("Each statement is a transaction of its own.")
        .with_hint("Transactions over several statements come in a later release.")
}

fn set<E: Engine>(
    session: &mut Conversation<E>,
    scope: SetScope,
    name: &str,
    value: &SetValue,
) -> SqlResult<()> {
    if scope == SetScope::Local {
        let message = "SET LOCAL can only be used in transaction blocks";
        let warning = SqlError::new(SqlState::NoActiveSqlTransaction, message);
        session.wire.notice(&Notice::warning(warning));
        return Ok(());
    }
    match value {
        SetValue::Default => session.settings.borrow_mut().reset(name)?,
        SetValue::Values(values) => session.settings.borrow_mut().set(name, values)?,
    }
    Ok(())
}

/// `SET SESSION CHARACTERISTICS` changes the defaults; `SET TRANSACTION` needs a transaction.
fn set_transaction<E: Engine>(
    session: &mut Conversation<E>,
    modes: TransactionModes,
    whole_session: bool,
) -> SqlResult<()> {
    if !whole_session {
        let message = "SET TRANSACTION can only be used in transaction blocks";
        let warning = SqlError::new(SqlState::NoActiveSqlTransaction, message);
        session.wire.notice(&Notice::warning(warning));
        return Ok(());
    }
    let on_off = |on: bool| if on { "on" } else { "off" };
    let level = modes.isolation.map(|isolation| match isolation {
        Isolation::ReadUncommitted => "read uncommitted",
        Isolation::ReadCommitted => "read committed",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::Serializable => "serializable",
    });
    let changes = [
        ("default_transaction_isolation", level),
        ("default_transaction_read_only", modes.read_only.map(on_off)),
        ("default_transaction_deferrable", modes.deferrable.map(on_off)),
    ];
    for (name, value) in changes {
        if let Some(value) = value {
            session.settings.borrow_mut().set(name, &[value.to_owned()])?;
        }
    }
    Ok(())
}

fn show<E: Engine>(
    session: &mut Conversation<E>,
    stmt: &SessionStmt,
    prepared: &Prepared,
    formats: &ResultFormats,
) -> SqlResult<Tag> {
    let columns = prepared.columns.as_deref().unwrap_or(&[]);
    let limit = session.wire.sessions.limits.result_bytes;
    let settings = session.settings.borrow();
    let out = &mut session.wire.out;
    let mut rows = RowWriter::new(&mut out.bytes, columns, formats, limit, &out.kept);
    let text = |value: Cow<'_, str>| Datum::text(&*value);
    match stmt {
        SessionStmt::Show { name } => rows.row(&[text(settings.show(name)?.1)])?,
        _ => {
            for (name, value, description) in settings.all() {
                rows.row(&[Datum::text(name), text(value), Datum::text(description)])?;
            }
        }
    }
    Ok(Tag { words: "SHOW", rows: None })
}

fn discard<E: Engine>(session: &mut Conversation<E>, what: DiscardWhat) -> &'static str {
    match what {
        DiscardWhat::All => {
            session.portals.clear();
            session.statements.clear();
            session.settings.borrow_mut().reset_all();
            "DISCARD ALL"
        }
        DiscardWhat::Plans => "DISCARD PLANS",
        DiscardWhat::Sequences => "DISCARD SEQUENCES",
        DiscardWhat::Temp => "DISCARD TEMP",
    }
}
