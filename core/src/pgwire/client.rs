//! The client's end of the wire, without I/O: requests into a buffer, replies out of bytes.
//!
//! ```text
//! let mut client = Client::new(Login { user: "bob", database: "basalt", password: Some("x"), nonce });
//! client.startup(&mut out);                  // send out; then, for every chunk that comes back:
//! client.receive(bytes, &mut out)?;          // answers the password challenge by itself
//! while let Some(event) = client.event() {}  // Ready, one Reply a ReadyForQuery, Closed
//! client::query(&mut out, "SELECT 1");       // or parse, bind, execute, …, sync
//! ```
//!
//! One [`Reply`] gathers everything between two `ReadyForQuery`, so the k-th reply answers the k-th
//! `Query` or `Sync` however deep the pipeline. Requests are encoded by the crate `pgwire`; replies
//! are decoded here, because a bad reply must be an error and not a panic.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::{SASLInitialResponse, SASLResponse, SecretKey, SslRequest};
use pgwire::messages::{Message, extendedquery, simplequery, startup, terminate};

use super::connection::CancelKey;
use super::frontend::{Cursor, Format, Frame};
use super::input::Input;
use super::{protocol_violation, scram};
use crate::base::{SqlError, SqlResult, SqlState};

/// Who logs in.
#[derive(Clone, Copy, Debug)]
pub struct Login<'a> {
    pub user: &'a str,
    pub database: &'a str,
    pub password: Option<&'a str>,
    /// Fresh for each connection; printable ASCII without commas.
    pub nonce: &'a str,
}

/// What the server said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// Logged in; the first request may be sent.
    Ready,
    /// Everything up to a `ReadyForQuery`.
    Reply(Reply),
    /// A fatal error: the server closes the connection. Requests in flight got no reply.
    Closed(ServerError),
}

/// The answer to one `Query` or to everything up to one `Sync`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// One for each statement that ran or was described, in order.
    pub results: Vec<ResultSet>,
    /// What ended the batch early.
    pub error: Option<ServerError>,
    pub notices: Vec<ServerError>,
    /// Parameter types, one list for each described statement.
    pub parameter_types: Vec<Vec<u32>>,
    /// `I`, `T` or `E`.
    pub status: u8,
}

/// Rows and completion of one statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// From `RowDescription`, if there was one.
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Option<Bytes>>>,
    pub end: ResultEnd,
}

/// How a result ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResultEnd {
    /// Only described, or cut short by an error.
    #[default]
    Open,
    /// `CommandComplete`.
    Complete(String),
    /// More rows wait in the portal.
    Suspended,
    /// The statement was empty.
    Empty,
}

/// A column of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub table_oid: u32,
    pub attnum: i16,
    pub type_oid: u32,
    pub typmod: i32,
    pub format: Format,
}

/// An `ErrorResponse` or `NoticeResponse`, by field letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    pub fields: BTreeMap<u8, String>,
}

impl ServerError {
    fn field(&self, letter: u8) -> &str {
        self.fields.get(&letter).map_or("", String::as_str)
    }

    pub fn severity(&self) -> &str {
        self.field(b'V')
    }

    pub fn code(&self) -> &str {
        self.field(b'C')
    }

    /// The state, where this server knows the code.
    pub fn state(&self) -> Option<SqlState> {
        SqlState::from_code(self.code())
    }

    pub fn message(&self) -> &str {
        self.field(b'M')
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.severity(), self.code(), self.message())
    }
}

impl Reply {
    /// The tag of the last completed statement.
    pub fn tag(&self) -> Option<&str> {
        self.results.iter().rev().find_map(|result| match &result.end {
            ResultEnd::Complete(tag) => Some(tag.as_str()),
            _ => None,
        })
    }

    /// All rows, those of the first result first.
    pub fn rows(&self) -> impl Iterator<Item = &Vec<Option<Bytes>>> {
        self.results.iter().flat_map(|result| &result.rows)
    }

    /// The one value of a one-row, one-column answer, as text; `None` for anything else or NULL.
    pub fn single_value(&self) -> Option<&str> {
        let mut rows = self.rows();
        match (rows.next().map(Vec::as_slice), rows.next()) {
            (Some([Some(value)]), None) => std::str::from_utf8(value).ok(),
            _ => None,
        }
    }

    /// The result that still takes rows.
    fn open(&mut self) -> &mut ResultSet {
        if self.results.last().is_none_or(|result| result.end != ResultEnd::Open) {
            self.results.push(ResultSet::default());
        }
        self.results.last_mut().expect("a result was just pushed")
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    LoggingIn,
    Open,
    Closed,
}

/// One connection, seen from the client.
#[derive(Debug)]
pub struct Client {
    user: String,
    database: String,
    scram: Option<scram::Client>,
    phase: Phase,
    input: Input,
    reply: Reply,
    events: VecDeque<ClientEvent>,
    parameters: BTreeMap<String, String>,
    cancel_key: Option<CancelKey>,
    greeting: Vec<ServerError>,
}

impl Client {
    pub fn new(login: Login<'_>) -> Client {
        Client {
            user: login.user.to_owned(),
            database: login.database.to_owned(),
            scram: login.password.map(|p| scram::Client::new(p, login.nonce)),
            phase: Phase::LoggingIn,
            input: Input::default(),
            reply: Reply::default(),
            events: VecDeque::new(),
            parameters: BTreeMap::new(),
            cancel_key: None,
            greeting: Vec::new(),
        }
    }

    /// Appends the startup packet.
    pub fn startup(&self, out: &mut BytesMut) {
        let settings = [("user", self.user.as_str()), ("database", self.database.as_str())];
        startup_packet(out, 0, &settings);
    }

    /// The next thing the server said.
    pub fn event(&mut self) -> Option<ClientEvent> {
        self.events.pop_front()
    }

    /// Settings the server reported.
    pub fn parameters(&self) -> &BTreeMap<String, String> {
        &self.parameters
    }

    /// Notices that came with the login.
    pub fn greeting(&self) -> &[ServerError] {
        &self.greeting
    }

    /// Names this connection in a [`cancel_request`].
    pub fn cancel_key(&self) -> Option<&CancelKey> {
        self.cancel_key.as_ref()
    }

    /// Takes bytes of the server; answers of the login are appended to `out`.
    /// Error: the server broke the protocol; the connection is of no use any more.
    pub fn receive(&mut self, bytes: Bytes, out: &mut BytesMut) -> SqlResult<()> {
        self.input.push(bytes);
        while let Some(frame) = self.input.frame(i32::MAX as usize)? {
            self.message(&frame, out)?;
        }
        Ok(())
    }

    fn message(&mut self, frame: &Frame, out: &mut BytesMut) -> SqlResult<()> {
        let mut body = Cursor { rest: &frame.body };
        match frame.tag {
            b'R' => self.authentication(&mut body, out)?,
            b'S' => {
                let name = body.str()?.to_owned();
                self.parameters.insert(name, body.str()?.to_owned());
            }
            b'K' => {
                let pid = u32::from_be_bytes(body.i32()?.to_be_bytes());
                let secret = frame.body.slice(4..);
                self.cancel_key = Some(CancelKey { pid, secret });
            }
            b'Z' => self.ready(body.u8()?),
            b'E' => self.error(read_error(&mut body)?),
            b'N' => self.reply.notices.push(read_error(&mut body)?),
            b'T' => {
                let columns = read_columns(&mut body)?;
                self.reply.results.push(ResultSet { columns, ..ResultSet::default() });
            }
            b't' => {
                let count = body.u16()?;
                let types: SqlResult<Vec<u32>> =
                    (0..count).map(|_| Ok(body.i32()?.cast_unsigned())).collect();
                self.reply.parameter_types.push(types?);
            }
            b'D' => {
                let row = read_row(&frame.body)?;
                self.reply.open().rows.push(row);
            }
            b'C' => self.reply.open().end = ResultEnd::Complete(body.str()?.to_owned()),
            b's' => self.reply.open().end = ResultEnd::Suspended,
            b'I' => self.reply.open().end = ResultEnd::Empty,
            // ParseComplete, BindComplete, CloseComplete, NoData, NegotiateProtocolVersion.
            b'1' | b'2' | b'3' | b'n' | b'v' => {}
            tag => return Err(protocol_violation(format!("unknown reply {tag}"))),
        }
        Ok(())
    }

    fn ready(&mut self, status: u8) {
        if self.phase == Phase::LoggingIn {
            self.phase = Phase::Open;
            self.greeting = std::mem::take(&mut self.reply).notices;
            self.events.push_back(ClientEvent::Ready);
            return;
        }
        self.reply.status = status;
        self.events.push_back(ClientEvent::Reply(std::mem::take(&mut self.reply)));
    }

    fn error(&mut self, error: ServerError) {
        if error.severity() == "FATAL" {
            self.phase = Phase::Closed;
            self.events.push_back(ClientEvent::Closed(error));
        } else {
            self.reply.error = Some(error);
        }
    }

    fn authentication(&mut self, body: &mut Cursor<'_>, out: &mut BytesMut) -> SqlResult<()> {
        let step = body.i32()?;
        if step == 0 {
            return Ok(());
        }
        let Some(scram) = &mut self.scram else {
            return Err(protocol_violation("the server asks for a password"));
        };
        match step {
            10 => {
                let first = Bytes::from(scram.first());
                let method = scram::MECHANISM.to_owned();
                append(out, &SASLInitialResponse::new(method, Some(first)));
            }
            11 => {
                let answer = scram.answer(super::frontend::utf8(body.rest)?)?;
                append(out, &SASLResponse::new(Bytes::from(answer)));
            }
            12 => scram.check(super::frontend::utf8(body.rest)?)?,
            _ => {
                let message = format!("authentication method {step} is not known");
                return Err(SqlError::new(SqlState::FeatureNotSupported, message));
            }
        }
        Ok(())
    }
}

fn read_error(body: &mut Cursor<'_>) -> SqlResult<ServerError> {
    let mut fields = BTreeMap::new();
    loop {
        let letter = body.u8()?;
        if letter == 0 {
            return Ok(ServerError { fields });
        }
        fields.insert(letter, body.str()?.to_owned());
    }
}

fn read_columns(body: &mut Cursor<'_>) -> SqlResult<Vec<Column>> {
    let count = body.u16()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let name = body.str()?.to_owned();
        let table_oid = body.i32()?.cast_unsigned();
        let attnum = body.u16()?.cast_signed();
        let type_oid = body.i32()?.cast_unsigned();
        let _type_len = body.u16()?;
        let typmod = body.i32()?;
        let format = if body.u16()? == 1 { Format::Binary } else { Format::Text };
        columns.push(Column { name, table_oid, attnum, type_oid, typmod, format });
    }
    Ok(columns)
}

fn read_row(bytes: &Bytes) -> SqlResult<Vec<Option<Bytes>>> {
    let mut body = Cursor { rest: bytes };
    let count = body.u16()?;
    let mut row = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        row.push(body.value()?.map(|value| bytes.slice_ref(value)));
    }
    Ok(row)
}

fn append(out: &mut BytesMut, message: &impl Message) {
    message.encode(out).expect("a request within the limits of the protocol");
}

/// A startup packet for version 3.`minor`.
pub fn startup_packet(out: &mut BytesMut, minor: u16, parameters: &[(&str, &str)]) {
    let mut packet = startup::Startup::new();
    packet.protocol_number_minor = minor;
    for (name, value) in parameters {
        packet.parameters.insert((*name).to_owned(), (*value).to_owned());
    }
    append(out, &packet);
}

/// Asks for TLS; the server answers with one byte, `S` or `N`.
pub fn ssl_request(out: &mut BytesMut) {
    append(out, &SslRequest::new());
}

/// Asks to cancel what the connection with this key executes. Sent on a connection of its own.
pub fn cancel_request(out: &mut BytesMut, key: &CancelKey) {
    let secret = SecretKey::Bytes(key.secret.clone());
    append(out, &CancelRequest::new(key.pid.cast_signed(), secret));
}

/// One or more statements in the simple protocol.
pub fn query(out: &mut BytesMut, sql: &str) {
    append(out, &simplequery::Query::new(sql.to_owned()));
}

/// Prepares a statement; `types` are the oids of its first parameters.
pub fn parse(out: &mut BytesMut, name: &str, sql: &str, types: &[u32]) {
    append(out, &extendedquery::Parse::new(some(name), sql.to_owned(), types.to_vec()));
}

/// What [`bind`] puts together; each format holds for all values.
#[derive(Clone, Debug, Default)]
pub struct BindRequest<'a> {
    pub portal: &'a str,
    pub statement: &'a str,
    pub parameter_format: Format,
    pub parameters: Vec<Option<Bytes>>,
    pub result_format: Format,
}

/// Makes a portal of a statement and its parameters.
pub fn bind(out: &mut BytesMut, request: BindRequest<'_>) {
    let message = extendedquery::Bind::new(
        some(request.portal),
        some(request.statement),
        vec![request.parameter_format as i16],
        request.parameters,
        vec![request.result_format as i16],
    );
    append(out, &message);
}

/// Runs a portal; `max_rows` 0 is for all rows.
pub fn execute(out: &mut BytesMut, portal: &str, max_rows: i32) {
    append(out, &extendedquery::Execute::new(some(portal), max_rows));
}

pub fn describe_statement(out: &mut BytesMut, name: &str) {
    append(out, &extendedquery::Describe::new(b'S', some(name)));
}

pub fn describe_portal(out: &mut BytesMut, name: &str) {
    append(out, &extendedquery::Describe::new(b'P', some(name)));
}

pub fn close_statement(out: &mut BytesMut, name: &str) {
    append(out, &extendedquery::Close::new(b'S', some(name)));
}

pub fn close_portal(out: &mut BytesMut, name: &str) {
    append(out, &extendedquery::Close::new(b'P', some(name)));
}

pub fn flush(out: &mut BytesMut) {
    append(out, &extendedquery::Flush::new());
}

pub fn sync(out: &mut BytesMut) {
    append(out, &extendedquery::Sync::new());
}

pub fn terminate(out: &mut BytesMut) {
    append(out, &terminate::Terminate::new());
}

/// Parse, bind, describe, execute and sync of the unnamed statement, with text values.
pub fn extended_query(out: &mut BytesMut, sql: &str, parameters: &[Option<&str>]) {
    let parameters = parameters.iter().map(|p| p.map(|p| Bytes::copy_from_slice(p.as_bytes())));
    parse(out, "", sql, &[]);
    bind(out, BindRequest { parameters: parameters.collect(), ..BindRequest::default() });
    describe_portal(out, "");
    execute(out, "", 0);
    sync(out);
}

fn some(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Severity, backend};
    use super::*;
    use proptest::prelude::*;

    fn open_client() -> Client {
        let login = Login { user: "bob", database: "basalt", password: None, nonce: "n" };
        let mut client = Client::new(login);
        let mut replies = Vec::new();
        backend::authentication_ok(&mut replies);
        backend::parameter_status(&mut replies, "TimeZone", "UTC");
        backend::backend_key_data(&mut replies, 7, &[1, 2, 3, 4]);
        backend::ready_for_query(&mut replies, b'I');
        client.receive(replies.into(), &mut BytesMut::new()).unwrap();
        assert_eq!(client.event(), Some(ClientEvent::Ready));
        assert_eq!(client.parameters()["TimeZone"], "UTC");
        assert_eq!(client.cancel_key().unwrap().pid, 7);
        client
    }

    fn a_reply() -> Vec<u8> {
        let mut out = Vec::new();
        let field = backend::Field::of_int4("id");
        backend::row_description(&mut out, [field].into_iter()).unwrap();
        let mut row = backend::DataRow::begin(&mut out, 1).unwrap();
        row.bytes(&mut out, b"42").unwrap();
        row.end(&mut out).unwrap();
        backend::command_complete(&mut out, "SELECT", Some(1));
        let error = SqlError::new(SqlState::DivisionByZero, "division by zero");
        backend::error_response(&mut out, Severity::Error, &error);
        backend::ready_for_query(&mut out, b'I');
        out
    }

    #[test]
    fn a_reply_gathers_results_and_error() {
        let mut client = open_client();
        client.receive(a_reply().into(), &mut BytesMut::new()).unwrap();
        let Some(ClientEvent::Reply(reply)) = client.event() else { panic!() };
        assert_eq!(reply.single_value(), Some("42"));
        assert_eq!(reply.tag(), Some("SELECT 1"));
        assert_eq!(reply.error.unwrap().to_string(), "ERROR 22012: division by zero");
        assert_eq!(client.event(), None);
    }

    #[test]
    fn a_fatal_error_closes() {
        let mut client = open_client();
        let mut out = Vec::new();
        let error = SqlError::new(SqlState::AdminShutdown, "terminating connection");
        backend::error_response(&mut out, Severity::Fatal, &error);
        client.receive(out.into(), &mut BytesMut::new()).unwrap();
        assert!(matches!(client.event(), Some(ClientEvent::Closed(_))));
    }

    proptest! {
        #[test]
        fn replies_survive_any_cutting(cut in 1usize..60) {
            let mut client = open_client();
            for chunk in a_reply().chunks(cut) {
                client.receive(Bytes::copy_from_slice(chunk), &mut BytesMut::new()).unwrap();
            }
            let reply = client.event();
            prop_assert!(matches!(reply, Some(ClientEvent::Reply(_))));
        }

        #[test]
        fn garbage_is_an_error(tag in any::<u8>(), body in any::<Vec<u8>>()) {
            let mut client = open_client();
            let mut bytes = vec![tag];
            bytes.extend_from_slice(&(body.len() as i32 + 4).to_be_bytes());
            bytes.extend_from_slice(&body);
            let _ = client.receive(bytes.into(), &mut BytesMut::new());
        }
    }
}
