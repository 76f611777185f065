//! What a session asks of the database.
//!
//! The instance implements [`Engine`] over its replica set; tests implement it over rows in memory.
//! A statement is tried first as a plain call ([`Engine::try_execute`]): where this instance leads
//! the shard that is all there is, without a future or a copy. Only what has to wait (another
//! instance leads, a schema change, a lock) becomes a future.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use super::conversation::DATABASE;
use super::output::Gate;
use super::rows::RowWriter;
use super::settings::{SERVER_VERSION, Settings};
use crate::base::{CatalogVersion, Datum, SqlError, SqlResult, SqlState, SqlType, UserId};
use crate::exec::CommandTag;
use crate::expr::SessionValues;
use crate::pgwire::scram::Verifier;
use crate::seam::{Completion, Mono};
use crate::sql::plan::Prepared;

/// A database as sessions use it.
pub trait Engine: 'static {
    /// The user called `name`, if there is one that may log in.
    fn login(&self, name: &str) -> Option<Credentials>;

    /// Makes the salts shown to users that do not exist: the same on all instances of a cluster, and
    /// known to nobody outside.
    fn salt_secret(&self) -> [u8; 32];

    /// What a client has to know as it comes in.
    fn greeting(&self) -> Option<Notice> {
        None
    }

    /// The version of the schema statements are prepared against now.
    fn catalog_version(&self) -> CatalogVersion;

    /// The plan of one statement. `types` are the declared types of its first parameters,
    /// `Unknown` where open. Called again for a statement whose plan has become old, so it caches.
    fn prepare(
        &self,
        context: &SessionContext,
        sql: &str,
        types: &[SqlType],
    ) -> SqlResult<Arc<Prepared>>;

    /// Waits until statements are prepared against a schema as new as any was when this was called. It comes
    /// before a client is told `doubt`, an error by a schema that may be old; the statement is then prepared
    /// once more.
    ///
    /// # Errors
    /// `57P03`, with `doubt` as its detail, where nobody says in time how new the schema is; that of
    /// `interrupt`.
    fn renew_catalog<'a>(
        &'a self,
        doubt: &'a SqlError,
        interrupt: &'a Interrupt,
    ) -> impl Future<Output = SqlResult<()>> + 'a;

    /// Runs a statement if that needs no waiting. Rows are written before the call returns.
    fn try_execute(&self, call: &Call<'_>, rows: &mut RowWriter<'_>) -> Attempt;

    /// Runs a statement that `try_execute` said must wait. Whenever polled it looks at
    /// `call.interrupt` and ends early if it still can; it is never dropped half-way.
    fn execute<'a>(
        &'a self,
        call: &'a Call<'a>,
        rows: &'a mut RowWriter<'_>,
    ) -> impl Future<Output = Outcome> + 'a;

    /// Whether statements looked at so many rows in this turn that the next one is for a later turn.
    fn turn_is_full(&self) -> bool;

    /// Resolves at `at` or soon after.
    fn timer(&self, at: Mono) -> Completion<()>;

    /// As [`Engine::timer`], for a task that waits for something else too, and most often gets it first.
    fn deadline(&self, at: Mono) -> Completion<()> {
        self.timer(at)
    }

    /// The monotonic time of this turn.
    fn now(&self) -> Mono;
}

/// Whether a statement may be right by another schema than the one that gave this error.
pub fn depends_on_schema(error: &SqlError) -> bool {
    error.state != SqlState::SyntaxError && error.state.code().starts_with("42")
}

/// What is known of a user at login.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub id: UserId,
    pub superuser: bool,
    /// `None`: no password was set, so no password is right.
    pub verifier: Option<Verifier>,
}

/// What a session brings to planning and execution.
#[derive(Clone, Debug)]
pub struct SessionContext {
    pub user: UserId,
    pub superuser: bool,
    pub values: SessionValues,
    /// `search_path`, with `$user` replaced.
    pub search_path: Arc<[String]>,
    /// For functions that read or change settings, see [`super::functions`].
    pub settings: Rc<RefCell<Settings>>,
    /// The session is on another instance: its settings are read here, not changed.
    pub is_elsewhere: bool,
}

/// What SQL functions say of a session of `user`; in `search_path`, `$user` is replaced.
pub fn session_values(user: &Arc<str>, search_path: &[String], backend_pid: i32) -> SessionValues {
    // There is no schema of the user's own name.
    let schema = search_path.iter().find(|name| name.as_str() != &**user);
    SessionValues {
        current_user: user.clone(),
        session_user: user.clone(),
        database: DATABASE.into(),
        schema: schema.map(|name| name.as_str().into()),
        version: format!("PostgreSQL {SERVER_VERSION}").into(),
        backend_pid,
    }
}

/// One execution of a statement.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    pub prepared: &'a Arc<Prepared>,
    /// Values of `$1`…, of the types the plan gives them.
    pub params: &'a [Datum],
    pub context: &'a SessionContext,
    pub interrupt: &'a Interrupt,
}

/// What came of a statement tried without waiting.
#[derive(Debug)]
pub enum Attempt {
    Done(Outcome),
    /// Nothing was done or written; run it with [`Engine::execute`].
    MustWait,
}

/// What came of a statement.
#[derive(Debug)]
pub struct Outcome {
    /// On an error the rows written so far are thrown away.
    pub result: SqlResult<Done>,
    /// Rows, completion and error alike wait for it: an error too may tell of what is not committed.
    pub gate: Option<Gate>,
}

/// A statement that succeeded.
#[derive(Debug, Default)]
pub struct Done {
    pub tag: Tag,
    pub notices: Vec<Notice>,
}

/// What `CommandComplete` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tag {
    /// As `SELECT`, `INSERT 0` or `CREATE TABLE`.
    pub words: &'static str,
    /// Rows returned or changed, for the statements that count them.
    pub rows: Option<u64>,
}

impl From<CommandTag> for Tag {
    fn from(tag: CommandTag) -> Tag {
        let (words, rows) = match tag {
            CommandTag::Select(rows) => ("SELECT", Some(rows)),
            CommandTag::Insert(rows) => ("INSERT 0", Some(rows)),
            CommandTag::Update(rows) => ("UPDATE", Some(rows)),
            CommandTag::Delete(rows) => ("DELETE", Some(rows)),
            CommandTag::Explain => ("EXPLAIN", None),
        };
        Tag { words, rows }
    }
}

/// A message beside the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// `WARNING`, `NOTICE` or `INFO`.
    pub severity: &'static str,
    pub message: SqlError,
}

impl Notice {
    pub fn warning(message: SqlError) -> Notice {
        Notice { severity: "WARNING", message }
    }
}

/// Why a running statement should end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// A `CancelRequest`.
    Cancelled,
    /// `statement_timeout`.
    TimedOut,
    /// The server stops.
    Shutdown,
    /// The client did not say who it is for too long.
    LoginTimedOut,
    /// The client is gone.
    Disconnected,
}

impl Reason {
    /// `57014` or `57P01`.
    pub fn error(self) -> SqlError {
        let (state, message) = match self {
            Reason::Cancelled => {
                (SqlState::QueryCanceled, "canceling statement due to user request")
            }
            Reason::TimedOut => {
                (SqlState::QueryCanceled, "canceling statement due to statement timeout")
            }
            Reason::Shutdown => {
                (SqlState::AdminShutdown, "terminating connection due to administrator command")
            }
            Reason::LoginTimedOut => {
                (SqlState::QueryCanceled, "canceling authentication due to timeout")
            }
            Reason::Disconnected => (SqlState::ConnectionFailure, "connection to client lost"),
        };
        SqlError::new(state, message)
    }
}

/// Whether the statement being run should end; looked at by whoever runs it.
#[derive(Debug, Default)]
pub struct Interrupt {
    reason: Cell<Option<Reason>>,
}

impl Interrupt {
    pub fn reason(&self) -> Option<Reason> {
        self.reason.get()
    }

    /// `Err` with the reason's error, if there is one.
    pub fn check(&self) -> SqlResult<()> {
        self.reason.get().map_or(Ok(()), |reason| Err(reason.error()))
    }

    /// The first reason stays, except that the end of the connection outweighs the others.
    pub fn raise(&self, reason: Reason) {
        if self.reason.get().is_none() || reason == Reason::Disconnected {
            self.reason.set(Some(reason));
        }
    }

    pub(super) fn clear(&self) {
        self.reason.set(None);
    }
}
