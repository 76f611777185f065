//! The simple query protocol over a Unix socket, blocking.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use fallible_iterator::FallibleIterator;
use postgres_protocol::message::backend::{ErrorFields, Message};
use postgres_protocol::message::frontend;

const USER: &str = "admin";
const DATABASE: &str = "basalt";

/// A session of the superuser.
pub struct Client {
    stream: UnixStream,
    received: BytesMut,
    /// What it was told as it came in.
    pub greeting: Vec<Report>,
}

/// What a query gave.
#[derive(Debug, Default)]
pub struct Results {
    pub complete: Vec<QueryResult>,
    pub notices: Vec<Report>,
    /// Why it went no further.
    pub error: Option<Report>,
}

/// One statement's result: a tag, and rows if it has columns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct QueryResult {
    pub tag: String,
    /// `None` for a statement without a result set.
    pub columns: Option<Vec<String>>,
    /// Rows × columns; `None` is NULL.
    pub rows: Vec<Vec<Option<String>>>,
}

/// An error or a notice.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    pub severity: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:  {}", self.severity, self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, "\nDETAIL:  {detail}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nHINT:  {hint}")?;
        }
        Ok(())
    }
}

impl Client {
    /// Connects and logs in.
    pub fn connect(socket: &Path) -> Result<Client> {
        let stream = UnixStream::connect(socket)
            .with_context(|| format!("cannot connect to admin socket {}", socket.display()))?;
        let mut client = Client { stream, received: BytesMut::new(), greeting: Vec::new() };
        let mut message = BytesMut::new();
        frontend::startup_message([("user", USER), ("database", DATABASE)], &mut message)?;
        client.stream.write_all(&message)?;
        let results = client.read_results().with_context(|| {
            format!("no session on {}; is it an admin socket?", socket.display())
        })?;
        match results.error {
            Some(error) => bail!("{}", error.message),
            None => {
                client.greeting = results.notices;
                Ok(client)
            }
        }
    }

    /// Runs statements. An error means that the connection is lost.
    pub fn query(&mut self, sql: &str) -> Result<Results> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message).context("the statement cannot be sent")?;
        self.stream.write_all(&message).context("the instance closed the connection")?;
        self.read_results().context("the instance closed the connection")
    }

    /// Reads until the instance is ready for the next query.
    fn read_results(&mut self) -> io::Result<Results> {
        let mut results = Results::default();
        let mut current = QueryResult::default();
        loop {
            match self.read_message() {
                Ok(Message::RowDescription(body)) => {
                    let names = body.fields().map(|field| Ok(field.name().to_owned()));
                    current.columns = Some(names.collect()?);
                }
                Ok(Message::DataRow(body)) => {
                    let text = |range: std::ops::Range<usize>| {
                        String::from_utf8_lossy(&body.buffer()[range]).into_owned()
                    };
                    current.rows.push(body.ranges().map(|range| Ok(range.map(text))).collect()?);
                }
                Ok(Message::CommandComplete(body)) => {
                    current.tag = body.tag()?.to_owned();
                    results.complete.push(std::mem::take(&mut current));
                }
                Ok(Message::NoticeResponse(body)) => results.notices.push(report(body.fields())?),
                Ok(Message::ErrorResponse(body)) => results.error = Some(report(body.fields())?),
                Ok(Message::ReadyForQuery(_)) => return Ok(results),
                Ok(_) => {}
                // A fatal error is followed by the end of the connection.
                Err(_) if results.error.is_some() => return Ok(results),
                Err(error) => return Err(error),
            }
        }
    }

    fn read_message(&mut self) -> io::Result<Message> {
        loop {
            if let Some(message) = Message::parse(&mut self.received)? {
                return Ok(message);
            }
            let mut part = [0; 16 << 10];
            match self.stream.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                len => self.received.extend_from_slice(&part[..len]),
            }
        }
    }
}

fn report(mut fields: ErrorFields<'_>) -> io::Result<Report> {
    let mut report = Report::default();
    while let Some(field) = fields.next()? {
        let value = String::from_utf8_lossy(field.value_bytes()).into_owned();
        match field.type_() {
            b'S' => report.severity = value,
            b'M' => report.message = value,
            b'D' => report.detail = Some(value),
            b'H' => report.hint = Some(value),
            _ => {}
        }
    }
    Ok(report)
}
