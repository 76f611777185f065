//! What a parsed statement is: sqlparser's tree where it has one, our own where it has none.

use std::ops::Range;
use std::time::Duration;

use sqlparser::ast;

use super::Source;
use crate::base::schema::Engine;

/// One statement and the bytes of the query text it came from.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub stmt: Stmt,
    /// Without the semicolon and surrounding blanks.
    pub range: Range<usize>,
}

impl Parsed {
    /// What the places in the statement are places of: `text`, which it came from, from its start on.
    pub fn source<'a>(&self, text: &'a str) -> Source<'a> {
        Source::new(text.get(self.range.clone()).unwrap_or(""))
    }
}

/// A statement.
#[derive(Clone, Debug)]
pub enum Stmt {
    /// A query, a change of rows, or an `EXPLAIN` of one.
    Sql(Box<ast::Statement>),
    /// A change of the schema.
    Ddl(Box<DdlStmt>),
    /// What the session does by itself.
    Session(SessionStmt),
    /// Users, roles and their rights.
    Access(AccessStmt),
    AlterSystem(AlterSystem),
}

/// sqlparser's DDL tree and the clauses it does not know.
#[derive(Clone, Debug)]
pub struct DdlStmt {
    pub base: ast::Statement,
    pub engine: Option<Engine>,
    pub distribution: Option<DistributedClause>,
    pub options: DdlOptions,
}

/// `DISTRIBUTED …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DistributedClause {
    Globally,
    By { columns: Vec<ast::Ident>, tier: Option<String> },
}

/// `WAIT APPLIED …` and `OPTION (TIMEOUT = seconds)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DdlOptions {
    /// Where not told, the statement waits for the others for a moment.
    pub wait: Option<WaitApplied>,
    pub timeout: Option<Duration>,
}

/// Where a schema change must be in force before the statement answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitApplied {
    Globally,
    Locally,
}

/// Statements about the session: transactions, settings, prepared statements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionStmt {
    Begin {
        modes: TransactionModes,
        start: bool,
    },
    Commit {
        chain: bool,
    },
    Rollback {
        chain: bool,
    },
    RollbackTo {
        savepoint: String,
    },
    Savepoint {
        name: String,
    },
    Release {
        savepoint: String,
    },
    SetTransaction {
        modes: TransactionModes,
        session: bool,
    },
    Set {
        scope: SetScope,
        name: String,
        value: SetValue,
    },
    Show {
        name: String,
    },
    ShowAll,
    Reset {
        name: String,
    },
    ResetAll,
    Discard(DiscardWhat),
    /// `None` is `ALL`.
    Deallocate {
        name: Option<String>,
    },
    /// `None` is `ALL`.
    Close {
        name: Option<String>,
    },
    /// `UNLISTEN …`: nobody listens.
    Unlisten,
    /// `VACUUM`, `ANALYZE`, `CHECKPOINT`: versions, statistics and the log take care of themselves.
    Maintenance(Maintenance),
    /// `SET CONSTRAINTS …`: there is no deferrable constraint, so nothing changes.
    SetConstraints,
}

/// The modes of `BEGIN` and `SET TRANSACTION`; `None` where not given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransactionModes {
    pub isolation: Option<Isolation>,
    pub read_only: Option<bool>,
    pub deferrable: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    ReadUncommitted,
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetScope {
    Session,
    Local,
}

/// The value of a `SET`, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetValue {
    Default,
    /// Each value unquoted; several for list settings such as `search_path`.
    Values(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscardWhat {
    All,
    Plans,
    Sequences,
    Temp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    Vacuum,
    Analyze,
    Checkpoint,
}

/// Users, roles and rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessStmt {
    CreateUser { name: String, if_not_exists: bool, options: UserOptions },
    AlterUser { name: String, change: UserChange },
    DropUser { names: Vec<String>, if_exists: bool },
    CreateRole { name: String, if_not_exists: bool },
    DropRole { names: Vec<String>, if_exists: bool },
    Grant(Grant),
    Revoke(Grant),
}

/// What `CREATE USER` and `ALTER USER` may say about a user.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct UserOptions {
    pub password: Option<String>,
    pub method: Option<AuthMethod>,
    pub login: Option<bool>,
}

impl std::fmt::Debug for UserOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let password = self.password.as_ref().map(|_| "…");
        write!(f, "password {password:?}, method {:?}, login {:?}", self.method, self.login)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserChange {
    Options(UserOptions),
    Rename(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    ScramSha256,
    Md5,
}

/// `GRANT` or `REVOKE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub rights: Rights,
    /// Users or roles.
    pub grantees: Vec<String>,
}

/// What is granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Membership of roles.
    Roles(Vec<String>),
    Privileges {
        privileges: Vec<Privilege>,
        on: Objects,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Privilege {
    All,
    Read,
    Write,
    Create,
    Alter,
    Drop,
    Execute,
    Login,
}

/// What a privilege is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objects {
    AllTables,
    AllUsers,
    AllRoles,
    Tables(Vec<ast::ObjectName>),
    Users(Vec<String>),
    Roles(Vec<String>),
}

/// `ALTER SYSTEM …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlterSystem {
    Set { name: String, value: SetValue, scope: SystemScope },
    Reset { name: String, scope: SystemScope },
    ResetAll { scope: SystemScope },
}

/// Which tiers `ALTER SYSTEM` is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemScope {
    Cluster,
    AllTiers,
    Tier(String),
}
