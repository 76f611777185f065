//! A session after login: what each message of the client does.
//!
//! Replies are written into the wire's stretch and leave it when the session waits, at `Flush`, or
//! when much has gathered. An error in an extended-protocol message makes the session ignore
//! everything up to `Sync`; the simple protocol answers each `Query` with its own `ReadyForQuery`.
//!
//! Each statement is a transaction of its own, also where PostgreSQL would make one of several: the
//! statements of one `Query` run in order up to the first error, those before it stay done; likewise
//! the `Execute`s before one `Sync`. Portals end with `Sync`, as they do outside a transaction block.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::command;
use super::engine::{Engine, Notice, SessionContext, Tag, depends_on_schema, session_values};
use super::execution::{self, Execution, Rows, complete};
use super::rows::ResultFormats;
use super::settings::{Fixed, Settings};
use super::statement::{Portal, PortalState, Portals, Statement, Statements};
use super::task::LoggedIn;
use super::text::{self, Text};
use super::turns::Share;
use super::wire::{Wire, drive};
use crate::base::{Datum, SqlError, SqlResult, SqlState, SqlType, binary_format, text_format};
use crate::exec::Memory;
use crate::pgwire::backend::{self, Field};
use crate::pgwire::frontend::{Oids, Parameters, utf8};
use crate::pgwire::{Bind, CancelKey, Format, Formats, Frame, Item, Message, Target};
use crate::sql::parse;
use crate::sql::plan::{Plan, Prepared};

/// The one database.
pub const DATABASE: &str = "basalt";

/// A logged-in session.
pub(super) struct Conversation<E> {
    pub(super) wire: Wire,
    engine: Rc<E>,
    context: SessionContext,
    pub(super) settings: Rc<RefCell<Settings>>,
    /// The changes of settings that are in force; see [`Settings::changes`].
    changes_in_force: u64,
    /// The changes of settings that the client was told of.
    changes_reported: u64,
    pub(super) statements: Statements,
    pub(super) portals: Portals,
    share: Share,
    startup_settings: Vec<(String, String)>,
}

impl<E: Engine> Conversation<E> {
    pub fn new(wire: Wire, engine: Rc<E>, login: LoggedIn, key: &CancelKey) -> Conversation<E> {
        let LoggedIn { user, startup, credentials } = login;
        let superuser = credentials.superuser;
        let settings = Settings::new(&Fixed { user: &user, superuser });
        let settings = Rc::new(RefCell::new(settings));
        let user: Arc<str> = user.into();
        let values = session_values(&user, &[], key.pid.cast_signed());
        let context = SessionContext {
            user: credentials.id,
            superuser,
            values,
            search_path: Arc::new([]),
            settings: settings.clone(),
            is_elsewhere: false,
        };
        Conversation {
            wire,
            engine,
            context,
            settings,
            changes_in_force: 0,
            changes_reported: 0,
            statements: Statements::default(),
            portals: Portals::default(),
            share: Share::default(),
            startup_settings: startup.settings,
        }
    }

    /// Takes the startup packet's settings and tells the client it may begin. `false`: a setting was
    /// wrong, which ends the connection.
    pub fn greet(&mut self, key: &CancelKey) -> bool {
        for (name, value) in std::mem::take(&mut self.startup_settings) {
            match self.settings.borrow_mut().start_with(&name, &value) {
                Ok(None) => {}
                Ok(Some(warning)) => self.wire.notice(&Notice::warning(warning)),
                Err(error) => {
                    self.wire.fatal(&error);
                    return false;
                }
            }
        }
        if let Some(notice) = self.engine.greeting() {
            self.wire.notice(&notice);
        }
        self.put_settings_in_force();
        self.report_settings();
        backend::backend_key_data(&mut self.wire.out.bytes, key.pid, &key.secret);
        self.ready();
        true
    }

    /// Serves messages until the connection ends.
    pub async fn serve(&mut self) {
        while let Some(item) = self.wire.next().await {
            if let Item::Frame(frame) = item {
                self.frame(&frame).await;
            }
        }
    }

    pub fn flush(&mut self) {
        self.wire.flush();
    }

    async fn frame(&mut self, frame: &Frame) {
        let message = match frame.message() {
            Ok(message) => message,
            Err(error) => return self.refuse(frame.tag, &error),
        };
        let done = match message {
            Message::Query(sql) => return self.query(sql).await,
            Message::Sync => return self.sync(),
            Message::FunctionCall => {
                let error = SqlError::unsupported("the function call message");
                return self.refuse(frame.tag, &error);
            }
            Message::Flush => {
                self.flush();
                Ok(())
            }
            Message::Parse { name, sql, types } => self.parse(name, sql, types).await,
            Message::Bind(bind) => self.bind(&bind).await,
            Message::Describe(target) => self.describe(target).await,
            Message::Execute { portal, max_rows } => self.execute(portal, max_rows).await,
            Message::Close(target) => {
                self.close(target);
                Ok(())
            }
            // Outside of COPY these are ignored, as in PostgreSQL: a client may have sent them
            // before it learnt that its COPY failed. Terminate never gets here.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::Terminate => Ok(()),
        };
        if let Err(error) = done {
            self.wire.error(&error);
            self.wire.connection.skip_to_sync();
        }
    }

    /// Answers a message that could not be understood.
    fn refuse(&mut self, tag: u8, error: &SqlError) {
        self.wire.error(error);
        match tag {
            b'Q' | b'F' => self.ready(),
            b'S' => self.sync(),
            _ => self.wire.connection.skip_to_sync(),
        }
    }

    fn sync(&mut self) {
        self.portals.clear();
        self.ready();
    }

    fn ready(&mut self) {
        self.wire.answering = false;
        if self.wire.shared.ending().is_some() {
            return;
        }
        if self.changes_reported != self.settings.borrow().changes() {
            self.report_settings();
        }
        backend::ready_for_query(&mut self.wire.out.bytes, b'I');
        self.wire.end_reply();
    }

    fn report_settings(&mut self) {
        let mut settings = self.settings.borrow_mut();
        self.changes_reported = settings.changes();
        for (name, value) in settings.unreported() {
            backend::parameter_status(&mut self.wire.out.bytes, name, &value);
        }
    }

    /// Lets the next statement see the settings as they are now.
    fn put_settings_in_force(&mut self) {
        let settings = self.settings.borrow();
        self.changes_in_force = settings.changes();
        let user = &self.context.values.current_user;
        let named = |name: String| if name == "$user" { user.to_string() } else { name };
        let path: Arc<[String]> = settings.search_path().into_iter().map(named).collect();
        if self.context.search_path != path {
            self.context.values = session_values(user, &path, self.context.values.backend_pid);
            self.context.search_path = path;
        }
    }

    // The simple protocol.

    async fn query(&mut self, sql: &str) {
        self.statements.remove("");
        self.portals.remove("");
        if let Err(error) = self.batch(sql).await {
            self.wire.error(&error);
        }
        self.sync();
    }

    /// Runs the statements of a text, after all of it was read: as in PostgreSQL, none runs of a text
    /// that has a syntax error.
    async fn batch(&mut self, sql: &str) -> SqlResult<()> {
        let pieces = match text::statements(sql)? {
            Text::One(Some(range)) => {
                self.take_turn(range.len()).await?;
                return self.run_part(sql, range, &mut 0).await;
            }
            Text::One(None) => {
                backend::empty_query_response(&mut self.wire.out.bytes);
                return Ok(());
            }
            Text::Pieces(pieces) => pieces,
        };
        for piece in pieces {
            self.take_turn(piece.range.len()).await?;
            text::check(sql, piece)?;
        }
        let mut count = 0;
        let mut writing = 0;
        for piece in pieces {
            count += 1;
            self.take_turn(piece.range.len()).await?;
            self.run_part(sql, piece.range, &mut writing).await?;
        }
        if count == 0 {
            backend::empty_query_response(&mut self.wire.out.bytes);
        }
        Ok(())
    }

    /// Runs one statement of a text. `writing` counts those of the text that write: at the second one
    /// the client is told, once, what they are not.
    async fn run_part(
        &mut self,
        sql: &str,
        range: Range<usize>,
        writing: &mut u64,
    ) -> SqlResult<()> {
        let start = range.start;
        let prepared = self.plan(&sql[range], &[]).await;
        let prepared = prepared.map_err(|e| parse::moved(e, sql, start))?;
        if command::writing(&prepared.plan).is_some() {
            *writing += 1;
            if *writing == 2 {
                self.wire.notice(&Notice::warning(no_common_transaction()));
            }
        }
        self.direct(&prepared).await.map_err(|e| parse::moved(e, sql, start))
    }

    /// Comes before each statement: where this turn had enough of them, waits for a later one. Error:
    /// the session was interrupted meanwhile.
    async fn take_turn(&mut self, text_bytes: usize) -> SqlResult<()> {
        if self.share.take(&self.wire.sessions.turns, text_bytes)
            && !self.engine.turn_is_full()
            && !self.wire.is_output_full()
        {
            return Ok(());
        }
        self.wire.pause().await?;
        self.share.take(&self.wire.sessions.turns, text_bytes);
        Ok(())
    }

    /// Runs a statement without parameters and sends all of its rows as text.
    async fn direct(&mut self, prepared: &Arc<Prepared>) -> SqlResult<()> {
        if !prepared.params.is_empty() {
            return Err(SqlError::new(SqlState::UndefinedParameter, "there is no parameter $1"));
        }
        let formats = ResultFormats::default();
        if prepared.columns.is_some() {
            self.row_description(prepared, &formats)?;
        }
        let tag = match &prepared.plan {
            Plan::Session(stmt) => command::run(self, stmt, prepared, &formats)?,
            _ => {
                self.check_may_write(prepared)?;
                let execution = execution(&self.context, &self.settings, prepared, &[], &formats);
                execution::run(&mut self.wire, &*self.engine, execution, Rows::Reply).await?
            }
        };
        complete(&mut self.wire, tag);
        Ok(())
    }

    /// `25006` for a statement that writes while the session only reads.
    fn check_may_write(&self, prepared: &Prepared) -> SqlResult<()> {
        match command::writing(&prepared.plan) {
            Some(words) if self.settings.borrow().read_only() => {
                let message = format!("cannot execute {words} in a read-only transaction");
                Err(SqlError::new(SqlState::ReadOnlySqlTransaction, message))
            }
            _ => Ok(()),
        }
    }

    // The extended protocol.

    /// The plan of one statement. What is wrong with it is told by the newest schema.
    async fn plan(&mut self, sql: &str, types: &[SqlType]) -> SqlResult<Arc<Prepared>> {
        match self.plan_now(sql, types) {
            Err(error) if depends_on_schema(&error) => {
                self.renew_catalog(&error).await?;
                self.plan_now(sql, types)
            }
            planned => planned,
        }
    }

    async fn renew_catalog(&mut self, doubt: &SqlError) -> SqlResult<()> {
        // Replies to earlier statements need not wait for this.
        self.wire.hand_over();
        let shared = self.wire.shared.clone();
        let timeout = self.settings.borrow().statement_timeout();
        let timer = timeout.map(|t| self.engine.deadline(self.engine.now() + t));
        shared.begin_statement();
        let renewing = self.engine.renew_catalog(doubt, &shared.interrupt);
        let renewed = drive(&shared, &self.wire.sessions, timer, renewing).await;
        shared.end_statement();
        renewed
    }

    /// The plan by the schema as it is known here, with the columns of session statements filled in.
    fn plan_now(&mut self, sql: &str, types: &[SqlType]) -> SqlResult<Arc<Prepared>> {
        if self.changes_in_force != self.settings.borrow().changes() {
            self.put_settings_in_force();
        }
        let prepared = self.engine.prepare(&self.context, sql, types)?;
        let Plan::Session(stmt) = &prepared.plan else { return Ok(prepared) };
        let mut own = Prepared::clone(&prepared);
        own.columns = command::columns(stmt, &self.settings.borrow())?;
        Ok(Arc::new(own))
    }

    async fn parse(&mut self, name: &str, sql: &str, types: Oids<'_>) -> SqlResult<()> {
        self.take_turn(sql.len()).await?;
        let types: Vec<SqlType> = types.iter().map(parameter_type).collect::<SqlResult<_>>()?;
        if name.is_empty() {
            self.statements.remove("");
        }
        let (sql, prepared) = match text::only_statement(sql)? {
            None => (String::new(), None),
            Some(range) => {
                let part = &sql[range.clone()];
                let prepared = self.plan(part, &types).await;
                let prepared = prepared.map_err(|e| parse::moved(e, sql, range.start))?;
                (part.to_owned(), Some(prepared))
            }
        };
        let limit = self.wire.sessions.limits.statements;
        self.statements.insert(name, Statement { sql, types, prepared }, limit)?;
        self.wire.announce();
        backend::parse_complete(&mut self.wire.out.bytes);
        Ok(())
    }

    /// The plan of a prepared statement, made anew if the schema changed since. Error: `0A000` when
    /// its columns or parameters are not what the client was told.
    async fn current_plan(&mut self, name: &str) -> SqlResult<Option<Arc<Prepared>>> {
        let version = self.engine.catalog_version();
        let statement = self.statements.get_mut(name)?;
        let Some(prepared) = &statement.prepared else { return Ok(None) };
        if is_current(prepared, version) {
            return Ok(Some(prepared.clone()));
        }
        let old = prepared.clone();
        let (sql, types) = (statement.sql.clone(), statement.types.clone());
        let new = self.plan(&sql, &types).await?;
        same_shape(&old, &new)?;
        self.statements.get_mut(name)?.prepared = Some(new.clone());
        Ok(Some(new))
    }

    async fn bind(&mut self, bind: &Bind<'_>) -> SqlResult<()> {
        let prepared = self.current_plan(bind.statement).await?;
        let types = prepared.as_ref().map_or(&[][..], |p| &p.params);
        let columns = prepared.as_ref().and_then(|p| p.columns.as_ref()).map_or(0, Vec::len);
        check_counts(bind, types.len(), columns)?;
        let limit = self.wire.sessions.limits.portals;
        let portal = self.portals.make(bind.portal, limit)?;
        let filled =
            fill_parameters(&mut portal.params, bind.parameters, bind.parameter_formats, types);
        if let Err(error) = filled {
            self.portals.remove(bind.portal);
            return Err(error);
        }
        portal.formats.assign(bind.result_formats);
        portal.prepared = prepared;
        self.wire.announce();
        backend::bind_complete(&mut self.wire.out.bytes);
        Ok(())
    }

    async fn describe(&mut self, target: Target<'_>) -> SqlResult<()> {
        match target {
            Target::Statement(name) => {
                let prepared = self.current_plan(name).await?;
                let types = prepared.as_ref().map_or(&[][..], |p| &p.params);
                let oids = types.iter().map(|ty| ty.info().oid);
                self.wire.announce();
                backend::parameter_description(&mut self.wire.out.bytes, oids)?;
                self.describe_rows(prepared.as_ref(), &ResultFormats::default())
            }
            Target::Portal(name) => {
                let portal = self.portals.get_mut(name)?;
                let (prepared, formats) = (portal.prepared.clone(), portal.formats.clone());
                self.describe_rows(prepared.as_ref(), &formats)
            }
        }
    }

    fn describe_rows(
        &mut self,
        prepared: Option<&Arc<Prepared>>,
        formats: &ResultFormats,
    ) -> SqlResult<()> {
        match prepared {
            Some(prepared) if prepared.columns.is_some() => self.row_description(prepared, formats),
            _ => {
                self.wire.announce();
                backend::no_data(&mut self.wire.out.bytes);
                Ok(())
            }
        }
    }

    fn row_description(&mut self, prepared: &Prepared, formats: &ResultFormats) -> SqlResult<()> {
        self.wire.announce();
        let columns = prepared.columns.as_deref().unwrap_or(&[]);
        let fields = columns.iter().enumerate().map(|(k, column)| {
            let (table, attnum) = column.origin.map_or((0, 0), |(table, n)| (table.0, n));
            let info = column.ty.info();
            Field {
                name: &column.name,
                table_oid: table,
                attnum,
                type_oid: info.oid,
                type_len: info.len,
                typmod: column.typmod,
                format: formats.of(k),
            }
        });
        backend::row_description(&mut self.wire.out.bytes, fields)
    }

    async fn execute(&mut self, name: &str, max_rows: u32) -> SqlResult<()> {
        self.take_turn(0).await?;
        let portal = self.portals.get_mut(name)?;
        let Some(prepared) = &portal.prepared else {
            backend::empty_query_response(&mut self.wire.out.bytes);
            self.wire.end_reply();
            return Ok(());
        };
        match &mut portal.state {
            PortalState::Finished if prepared.columns.is_some() => {
                complete(&mut self.wire, Tag { words: "SELECT", rows: Some(0) });
                Ok(())
            }
            PortalState::Finished => {
                let message = format!("portal \"{name}\" cannot be run");
                Err(SqlError::new(SqlState::ObjectNotInPrerequisiteState, message))
            }
            PortalState::Suspended { .. } => {
                send_rows(&mut self.wire, portal, max_rows);
                Ok(())
            }
            PortalState::Fresh => self.run_portal(name, max_rows).await,
        }
    }

    async fn run_portal(&mut self, name: &str, max_rows: u32) -> SqlResult<()> {
        let portal = self.portals.get_mut(name)?;
        let Some(prepared) = portal.prepared.clone() else { return Ok(()) };
        // Whatever comes of it, it runs once.
        portal.state = PortalState::Finished;
        if let Plan::Session(stmt) = &prepared.plan {
            let formats = portal.formats.clone();
            let tag = command::run(self, stmt, &prepared, &formats)?;
            complete(&mut self.wire, tag);
            return Ok(());
        }
        let version = self.engine.catalog_version();
        let prepared = if is_current(&prepared, version) {
            prepared
        } else {
            return Err(stale_portal());
        };
        self.check_may_write(&prepared)?;
        let portal = self.portals.get_mut(name)?;
        let Portal { params, formats, state, .. } = portal;
        let execution = execution(&self.context, &self.settings, &prepared, params, formats);
        if max_rows == 0 || prepared.columns.is_none() {
            let tag = execution::run(&mut self.wire, &*self.engine, execution, Rows::Reply).await?;
            complete(&mut self.wire, tag);
            return Ok(());
        }
        let mut rows = Vec::new();
        let kept = Memory::new(usize::MAX, &self.wire.sessions.results);
        let to = Rows::Portal(&mut rows, &kept);
        let tag = execution::run(&mut self.wire, &*self.engine, execution, to).await?;
        *state = PortalState::Suspended { rows, kept, sent: 0, tag };
        send_rows(&mut self.wire, portal, max_rows);
        Ok(())
    }

    /// Closing what does not exist is no error.
    fn close(&mut self, target: Target<'_>) {
        match target {
            Target::Statement(name) => self.statements.remove(name),
            Target::Portal(name) => self.portals.remove(name),
        };
        self.wire.announce();
        backend::close_complete(&mut self.wire.out.bytes);
    }
}

fn execution<'a>(
    context: &'a SessionContext,
    settings: &RefCell<Settings>,
    prepared: &'a Arc<Prepared>,
    params: &'a [Datum],
    formats: &'a ResultFormats,
) -> Execution<'a> {
    let timeout = settings.borrow().statement_timeout();
    Execution { prepared, params, formats, context, timeout }
}

/// Sends the next rows of a suspended portal: `max_rows` of them, or all for 0. As in PostgreSQL the
/// portal stays suspended when exactly the last row was sent.
fn send_rows(wire: &mut Wire, portal: &mut Portal, max_rows: u32) {
    let PortalState::Suspended { rows, kept, sent, tag } = &mut portal.state else { return };
    let rest = &rows[*sent..];
    let wanted = if max_rows == 0 { usize::MAX } else { max_rows as usize };
    let (len, count) = backend::leading_messages(rest, wanted);
    wire.out.kept.take_over(kept, len);
    wire.out.bytes.extend_from_slice(&rest[..len]);
    *sent += len;
    if count == wanted {
        forget_sent(rows, sent);
        backend::portal_suspended(&mut wire.out.bytes);
        wire.end_reply();
        return;
    }
    let mut tag = *tag;
    if tag.words == "SELECT" {
        tag.rows = Some(count as u64);
    }
    portal.state = PortalState::Finished;
    complete(wire, tag);
}

/// Frees what was sent of a portal, now and then: it is counted no more, so it may be no more than what is left.
fn forget_sent(rows: &mut Vec<u8>, sent: &mut usize) {
    if *sent >= rows.len() - *sent {
        rows.drain(..*sent);
        rows.shrink_to_fit();
        *sent = 0;
    }
}

fn is_current(prepared: &Prepared, version: crate::base::CatalogVersion) -> bool {
    prepared.catalog_version == version || matches!(prepared.plan, Plan::Session(_))
}

/// The client has been told parameters and columns: a new plan must have the same. The columns may be
/// those of another table of the same name, as in PostgreSQL.
fn same_shape(old: &Prepared, new: &Prepared) -> SqlResult<()> {
    let told = |prepared: &Prepared| -> Option<Vec<(String, SqlType, i32)>> {
        let columns = prepared.columns.as_ref()?;
        Some(columns.iter().map(|c| (c.name.clone(), c.ty, c.typmod)).collect())
    };
    if old.params == new.params && told(old) == told(new) {
        return Ok(());
    }
    Err(SqlError::plan_changed())
}

/// `01000`: a client may count on the atomicity it would have in PostgreSQL.
fn no_common_transaction() -> SqlError {
    SqlError::new(SqlState::Warning, "the statements of one query are not one transaction")
        .with_detail("Each one that completes stays done, also when a later one fails.")
}

/// A schema change came between `Bind` and `Execute`.
fn stale_portal() -> SqlError {
    let message = "the schema changed between Bind and Execute";
    SqlError::new(SqlState::SerializationFailure, message).with_hint("Run the statement again.")
}

fn parameter_type(oid: u32) -> SqlResult<SqlType> {
    if oid == 0 {
        return Ok(SqlType::Unknown);
    }
    SqlType::from_oid(oid).ok_or_else(|| {
        SqlError::unsupported(format_args!("a parameter of the type with OID {oid}"))
    })
}

/// `08P01` when a `Bind` does not fit its statement.
fn check_counts(bind: &Bind<'_>, parameters: usize, columns: usize) -> SqlResult<()> {
    let given = bind.parameters.count();
    if given != parameters {
        return Err(crate::pgwire::protocol_violation(format!(
            "bind message supplies {given} parameters, but prepared statement \"{}\" requires {parameters}",
            bind.statement
        )));
    }
    // Without columns the formats do not matter.
    if columns > 0 && !bind.result_formats.fit(columns) {
        return Err(crate::pgwire::protocol_violation(format!(
            "bind message has {} result formats but query has {columns} columns",
            bind.result_formats.count()
        )));
    }
    Ok(())
}

fn fill_parameters(
    params: &mut Vec<Datum>,
    values: Parameters<'_>,
    formats: Formats<'_>,
    types: &[SqlType],
) -> SqlResult<()> {
    for (k, (value, ty)) in values.iter().zip(types).enumerate() {
        params.push(match value {
            None => Datum::Null,
            Some(bytes) => match formats.of(k) {
                Format::Text => text_format::parse(*ty, -1, utf8(bytes)?)?,
                Format::Binary => binary_format::receive(*ty, bytes)?,
            },
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_a_portal_has_sent_it_keeps_no_more_than_what_is_left() {
        let mut rows: Vec<u8> = (0..100).collect();
        let (mut sent, mut most) = (0, 0);
        while sent < rows.len() {
            let left = rows.len() - sent;
            assert_eq!(usize::from(rows[sent]), 100 - left, "the rest is as it was");
            sent += 1;
            forget_sent(&mut rows, &mut sent);
            most = most.max(rows.capacity() - (rows.len() - sent));
            assert!(rows.capacity() <= 2 * left, "{} for {left}", rows.capacity());
        }
        assert_eq!(most, 49, "it is not moved at every step");
    }
}
