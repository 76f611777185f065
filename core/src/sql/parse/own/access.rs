//! Users, roles, grants.

use sqlparser::tokenizer::Token;

use crate::base::{SqlError, SqlResult};
use crate::sql::parse::cursor::Cursor;
use crate::sql::parse::statement::{
    AccessStmt, AuthMethod, Grant, Objects, Privilege, Rights, UserChange, UserOptions,
};

pub fn parse(cursor: &mut Cursor<'_>) -> SqlResult<Option<AccessStmt>> {
    let stmt = if cursor.words(&["CREATE", "USER"]) {
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.name()?;
        AccessStmt::CreateUser { name, if_not_exists, options: user_options(cursor)? }
    } else if cursor.words(&["ALTER", "USER"]) || cursor.words(&["ALTER", "ROLE"]) {
        let name = cursor.name()?;
        AccessStmt::AlterUser { name, change: user_change(cursor)? }
    } else if cursor.words(&["DROP", "USER"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        AccessStmt::DropUser { names: cursor.names()?, if_exists }
    } else if cursor.words(&["CREATE", "ROLE"]) {
        create_role(cursor)?
    } else if cursor.words(&["DROP", "ROLE"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        AccessStmt::DropRole { names: cursor.names()?, if_exists }
    } else if cursor.word("GRANT") {
        AccessStmt::Grant(grant(cursor, "TO")?)
    } else if cursor.word("REVOKE") {
        if cursor.words(&["GRANT", "OPTION", "FOR"]) {
            return Err(SqlError::unsupported("GRANT OPTION"));
        }
        AccessStmt::Revoke(grant(cursor, "FROM")?)
    } else {
        return Ok(None);
    };
    Ok(Some(stmt))
}

/// PostgreSQL's `CREATE ROLE r LOGIN …` makes a user; without `LOGIN` it is a role.
fn create_role(cursor: &mut Cursor<'_>) -> SqlResult<AccessStmt> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name()?;
    let options = user_options(cursor)?;
    if options.login == Some(true) {
        return Ok(AccessStmt::CreateUser { name, if_not_exists, options });
    }
    if options.password.is_some() {
        return Err(SqlError::unsupported("a password of a role that cannot log in"));
    }
    Ok(AccessStmt::CreateRole { name, if_not_exists })
}

fn user_change(cursor: &mut Cursor<'_>) -> SqlResult<UserChange> {
    if cursor.words(&["RENAME", "TO"]) {
        return Ok(UserChange::Rename(cursor.name()?));
    }
    if cursor.sees(&["SET"]) || cursor.sees(&["RESET"]) {
        return Err(SqlError::unsupported("ALTER USER … SET"));
    }
    let options = user_options(cursor)?;
    if options == UserOptions::default() {
        return Err(cursor.unexpected());
    }
    Ok(UserChange::Options(options))
}

/// `[WITH] [ENCRYPTED] PASSWORD 'x' [USING method] | LOGIN | NOLOGIN …`, in any order.
fn user_options(cursor: &mut Cursor<'_>) -> SqlResult<UserOptions> {
    cursor.word("WITH");
    let mut options = UserOptions::default();
    loop {
        if cursor.words(&["PASSWORD", "NULL"]) {
            return Err(SqlError::unsupported("PASSWORD NULL"));
        } else if cursor.word("PASSWORD") || cursor.words(&["ENCRYPTED", "PASSWORD"]) {
            options.password = Some(cursor.string()?);
        } else if cursor.word("USING") {
            options.method = Some(auth_method(cursor)?);
        } else if cursor.word("LOGIN") {
            options.login = Some(true);
        } else if cursor.word("NOLOGIN") {
            options.login = Some(false);
        } else if let Some(word) = other_option(cursor) {
            return Err(SqlError::unsupported(format_args!("{word} of a user")));
        } else {
            return Ok(options);
        }
    }
}

/// Options of PostgreSQL's users that mean nothing here.
fn other_option(cursor: &Cursor<'_>) -> Option<&'static str> {
    const WORDS: &[&str] = &[
        "SUPERUSER",
        "CREATEDB",
        "CREATEROLE",
        "REPLICATION",
        "BYPASSRLS",
        "CONNECTION",
        "VALID",
        "IN",
        "ADMIN",
        "INHERIT",
        "NOINHERIT",
    ];
    WORDS.iter().find(|word| cursor.sees(&[word])).copied()
}

/// `md5` or `scram-sha256`, which is three tokens; PostgreSQL's spelling is `scram-sha-256`.
fn auth_method(cursor: &mut Cursor<'_>) -> SqlResult<AuthMethod> {
    let word = match cursor.optional_string() {
        Some(text) => text,
        None => {
            let mut text = cursor.name()?;
            while cursor.token(&Token::Minus) {
                text.push('-');
                match cursor.optional_number() {
                    Some(digits) => text.push_str(&digits),
                    None => text.push_str(&cursor.name()?),
                }
            }
            text
        }
    };
    match word.as_str() {
        "md5" => Ok(AuthMethod::Md5),
        "scram-sha256" | "scram-sha-256" => Ok(AuthMethod::ScramSha256),
        other => Err(SqlError::unsupported(format_args!("authentication method \"{other}\""))),
    }
}

/// Behind `GRANT` or `REVOKE`: privileges or roles, then `to` (`TO` or `FROM`) and the grantees.
fn grant(cursor: &mut Cursor<'_>, to: &str) -> SqlResult<Grant> {
    let rights = match privileges(cursor)? {
        Some(privileges) => Rights::Privileges { privileges, on: objects(cursor)? },
        None => Rights::Roles(cursor.names()?),
    };
    cursor.expect_word(to)?;
    let mut grantees = vec![grantee(cursor)?];
    while cursor.token(&Token::Comma) {
        grantees.push(grantee(cursor)?);
    }
    if cursor.sees(&["WITH", "GRANT", "OPTION"]) || cursor.sees(&["WITH", "ADMIN", "OPTION"]) {
        return Err(SqlError::unsupported("GRANT OPTION"));
    }
    let _ = cursor.word("RESTRICT");
    Ok(Grant { rights, grantees })
}

fn grantee(cursor: &mut Cursor<'_>) -> SqlResult<String> {
    let _ = cursor.word("ROLE") || cursor.word("USER");
    cursor.name()
}

/// A list of privileges; `None` when the next words are not privileges but role names.
fn privileges(cursor: &mut Cursor<'_>) -> SqlResult<Option<Vec<Privilege>>> {
    let Some(first) = privilege(cursor) else { return Ok(None) };
    let mut privileges = vec![first];
    while cursor.token(&Token::Comma) {
        let Some(next) = privilege(cursor) else { return Err(cursor.unexpected()) };
        privileges.push(next);
    }
    privileges.sort_unstable();
    privileges.dedup();
    Ok(Some(privileges))
}

fn privilege(cursor: &mut Cursor<'_>) -> Option<Privilege> {
    const NAMES: &[(&str, Privilege)] = &[
        ("ALL", Privilege::All),
        ("READ", Privilege::Read),
        ("SELECT", Privilege::Read),
        ("WRITE", Privilege::Write),
        ("INSERT", Privilege::Write),
        ("UPDATE", Privilege::Write),
        ("DELETE", Privilege::Write),
        ("TRUNCATE", Privilege::Write),
        ("CREATE", Privilege::Create),
        ("ALTER", Privilege::Alter),
        ("DROP", Privilege::Drop),
        ("EXECUTE", Privilege::Execute),
        ("LOGIN", Privilege::Login),
    ];
    let (_, privilege) = NAMES.iter().find(|(name, _)| cursor.word(name))?;
    if *privilege == Privilege::All {
        cursor.word("PRIVILEGES");
    }
    Some(*privilege)
}

fn objects(cursor: &mut Cursor<'_>) -> SqlResult<Objects> {
    if !cursor.word("ON") {
        return Ok(if cursor.word("TABLE") {
            Objects::AllTables
        } else if cursor.word("USER") || cursor.sees(&["TO"]) || cursor.sees(&["FROM"]) {
            Objects::AllUsers
        } else if cursor.word("ROLE") {
            Objects::AllRoles
        } else if cursor.sees(&["PROCEDURE"]) {
            return Err(SqlError::unsupported("a privilege on procedures"));
        } else {
            return Err(cursor.unexpected());
        });
    }
    if cursor.words(&["ALL", "TABLES", "IN", "SCHEMA"]) {
        cursor.name()?;
        return Ok(Objects::AllTables);
    }
    if cursor.word("USER") {
        return Ok(Objects::Users(cursor.names()?));
    }
    if cursor.word("ROLE") {
        return Ok(Objects::Roles(cursor.names()?));
    }
    for other in ["PROCEDURE", "FUNCTION", "SCHEMA", "DATABASE", "SEQUENCE", "TYPE", "LANGUAGE"] {
        if cursor.sees(&[other]) {
            return Err(SqlError::unsupported(format_args!("a privilege on a {other}")));
        }
    }
    cursor.word("TABLE");
    let mut tables = vec![cursor.foreign(|parser| parser.parse_object_name(false))?];
    while cursor.token(&Token::Comma) {
        tables.push(cursor.foreign(|parser| parser.parse_object_name(false))?);
    }
    Ok(Objects::Tables(tables))
}
