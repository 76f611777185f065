//! The state machine of one connection: bytes in, items for the session out.
//!
//! ```text
//!             SSLRequest, GSSENCRequest: 'N'
//!                 ┌──┐
//!                 ▼  │
//!   accepted ──► Negotiating ──Startup──► Deciding ──trust────────────────► Open ──► messages
//!                 │                          └─────challenge──► Proving ────┘
//!                 └─CancelRequest──► Ended                          └──► Ended (28P01)
//! ```
//!
//! The session asks for the next item with [`Connection::next`] until it gets [`Item::Wait`]. After
//! [`Item::Startup`] it decides with [`Connection::trust`] or [`Connection::challenge`]. After an
//! error in the extended protocol it calls [`Connection::skip_to_sync`]. Whatever ends a connection
//! ends it for good: later bytes are thrown away.
//!
//! TLS is terminated in front of this machine, so `SSLRequest` is answered `N` here.

use bytes::Bytes;

use super::frontend::{Cursor, Frame, unknown_tag};
use super::input::{Input, LOGIN_LIMIT_BYTES};
use super::scram::{self, Progress};
use super::{backend, protocol_violation};
use crate::base::{SqlError, SqlResult, SqlState};

const CODE_CANCEL: i32 = 80_877_102;
const CODE_SSL: i32 = 80_877_103;
const CODE_GSS: i32 = 80_877_104;

/// The newest minor version spoken. Version 3.2 has longer cancel keys and nothing else new.
const NEWEST_MINOR: u16 = 2;

/// What a `CancelRequest` names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CancelKey {
    pub pid: u32,
    pub secret: Bytes,
}

/// What a client said at startup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Startup {
    pub user: String,
    /// As asked for; the user name when not given.
    pub database: String,
    /// Minor version agreed on: 0 or 2.
    pub minor: u16,
    /// Settings in the order given: first those of `options`, then parameters of their own.
    pub settings: Vec<(String, String)>,
}

/// What the session has to deal with next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// Nothing complete has arrived.
    Wait,
    /// Decide on the login, then go on.
    Startup(Startup),
    /// The login is complete; `AuthenticationOk` is written.
    Authenticated,
    /// Cancel a statement of another connection. This one is over.
    Cancel(CancelKey),
    /// A message after login.
    Frame(Frame),
    /// The client said goodbye.
    Terminate,
    /// Report the error as fatal. The connection is over.
    Fatal(SqlError),
}

#[derive(Debug)]
enum State {
    Negotiating,
    Deciding,
    Proving(Box<scram::Server>),
    Open,
    Ended,
}

/// One connection of a client.
#[derive(Debug)]
pub struct Connection {
    input: Input,
    state: State,
    /// Largest body of a message after login, in bytes.
    message_limit: usize,
    /// Codes of encryption requests already answered; each may come once.
    refused: Vec<i32>,
    /// An extended-protocol message failed: ignore everything up to `Sync`.
    skipping: bool,
}

impl Connection {
    pub fn new(message_limit: usize) -> Connection {
        Connection {
            input: Input::default(),
            state: State::Negotiating,
            message_limit,
            refused: Vec::new(),
            skipping: false,
        }
    }

    /// Takes bytes of the client.
    pub fn push(&mut self, bytes: Bytes) {
        if !matches!(self.state, State::Ended) {
            self.input.push(bytes);
        }
    }

    /// Bytes taken and not yet turned into items.
    pub fn buffered(&self) -> usize {
        self.input.len()
    }

    /// Whether a message waits, so that reading on could be put off.
    pub fn has_frame(&self) -> bool {
        self.input.has_frame()
    }

    /// The next item; replies of the login are appended to `out`.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Item {
        let item = match &mut self.state {
            State::Open => self.next_frame(),
            State::Negotiating => self.negotiate(out),
            State::Proving(_) => self.prove(out),
            State::Deciding | State::Ended => return Item::Wait,
        };
        item.unwrap_or_else(|error| {
            self.end();
            Item::Fatal(error)
        })
    }

    /// Lets the client in without a password.
    pub fn trust(&mut self, out: &mut Vec<u8>) -> Item {
        assert!(matches!(self.state, State::Deciding), "a decision in state {:?}", self.state);
        backend::authentication_ok(out);
        self.state = State::Open;
        Item::Authenticated
    }

    /// Asks the client to prove its password.
    pub fn challenge(&mut self, server: scram::Server, out: &mut Vec<u8>) {
        assert!(matches!(self.state, State::Deciding), "a decision in state {:?}", self.state);
        backend::authentication_sasl(out, &[scram::MECHANISM]);
        self.state = State::Proving(Box::new(server));
    }

    /// Ignores messages up to the next `Sync`, which is still given out.
    pub fn skip_to_sync(&mut self) {
        self.skipping = true;
    }

    /// Takes nothing any more.
    pub fn end(&mut self) {
        self.state = State::Ended;
        self.input.clear();
    }

    fn next_frame(&mut self) -> SqlResult<Item> {
        loop {
            let Some(frame) = self.input.frame(self.message_limit)? else { return Ok(Item::Wait) };
            match frame.tag {
                b'X' => {
                    self.end();
                    return Ok(Item::Terminate);
                }
                b'S' => self.skipping = false,
                _ if !frame.is_known() => return Err(unknown_tag(frame.tag)),
                _ if self.skipping => continue,
                _ => {}
            }
            return Ok(Item::Frame(frame));
        }
    }

    fn negotiate(&mut self, out: &mut Vec<u8>) -> SqlResult<Item> {
        loop {
            let Some(packet) = self.input.startup_packet()? else { return Ok(Item::Wait) };
            let mut body = Cursor { rest: &packet };
            let code = body.i32()?;
            match code {
                CODE_CANCEL => {
                    let pid = u32::from_be_bytes(body.i32()?.to_be_bytes());
                    let secret = packet.slice(8..);
                    self.end();
                    return Ok(Item::Cancel(CancelKey { pid, secret }));
                }
                CODE_SSL | CODE_GSS if !self.refused.contains(&code) => {
                    self.refused.push(code);
                    out.extend_from_slice(b"N");
                }
                _ => {
                    let startup = startup(code, body.rest, out)?;
                    self.state = State::Deciding;
                    return Ok(Item::Startup(startup));
                }
            }
        }
    }

    fn prove(&mut self, out: &mut Vec<u8>) -> SqlResult<Item> {
        let State::Proving(server) = &mut self.state else { return Ok(Item::Wait) };
        loop {
            let Some(frame) = self.input.frame(LOGIN_LIMIT_BYTES)? else { return Ok(Item::Wait) };
            match frame.tag {
                b'p' => {}
                b'X' => {
                    self.end();
                    return Ok(Item::Terminate);
                }
                tag => {
                    let message = format!("expected SASL response, got message type {tag}");
                    return Err(protocol_violation(message));
                }
            }
            let first = server.expects_first();
            let data = if first { sasl_initial_response(&frame.body)? } else { &frame.body };
            match server.receive(data)? {
                Progress::Continue(data) => backend::authentication_sasl_continue(out, &data),
                Progress::Proven(data) => {
                    backend::authentication_sasl_final(out, &data);
                    backend::authentication_ok(out);
                    self.state = State::Open;
                    return Ok(Item::Authenticated);
                }
            }
        }
    }
}

/// The data in a `SASLInitialResponse`: `mechanism c-string, length i32, data`.
fn sasl_initial_response(body: &[u8]) -> SqlResult<&[u8]> {
    let mut body = Cursor { rest: body };
    if body.str()? != scram::MECHANISM {
        return Err(protocol_violation("client selected an invalid SASL authentication mechanism"));
    }
    match body.value()? {
        Some(data) if body.rest.is_empty() => Ok(data),
        _ => Err(protocol_violation("invalid message format")),
    }
}

/// Reads a `StartupMessage`; agrees on a version lower than asked for where need be.
fn startup(version: i32, body: &[u8], out: &mut Vec<u8>) -> SqlResult<Startup> {
    let (major, minor) = (version >> 16, version & 0xffff);
    if major != 3 {
        let message = format!(
            "unsupported frontend protocol {}.{minor}: server supports 3.0 to 3.{NEWEST_MINOR}",
            major & 0xffff
        );
        return Err(SqlError::new(SqlState::FeatureNotSupported, message));
    }
    let mut parameters = Parameters::read(body)?;
    let asked = u16::try_from(minor).unwrap_or(u16::MAX);
    let minor = if asked >= NEWEST_MINOR { NEWEST_MINOR } else { 0 };
    if asked > NEWEST_MINOR || !parameters.unknown.is_empty() {
        backend::negotiate_protocol_version(out, minor, &parameters.unknown);
    }
    let Some(user) = parameters.user.take().filter(|u| !u.is_empty()) else {
        let message = "no PostgreSQL user name specified in startup packet";
        return Err(SqlError::new(SqlState::InvalidAuthorizationSpecification, message));
    };
    let database = parameters.database.filter(|d| !d.is_empty()).unwrap_or_else(|| user.clone());
    let mut settings = match &parameters.options {
        Some(options) => command_line_settings(options)?,
        None => Vec::new(),
    };
    settings.append(&mut parameters.settings);
    Ok(Startup { user, database, minor, settings })
}

/// The name-value pairs of a startup packet, sorted by what they are.
#[derive(Default)]
struct Parameters {
    user: Option<String>,
    database: Option<String>,
    options: Option<String>,
    settings: Vec<(String, String)>,
    /// Names of protocol options, `_pq_.…`; none is known.
    unknown: Vec<String>,
}

impl Parameters {
    fn read(body: &[u8]) -> SqlResult<Parameters> {
        let mut body = Cursor { rest: body };
        let mut parameters = Parameters::default();
        loop {
            let name = body.str()?;
            if name.is_empty() {
                break;
            }
            parameters.add(name, body.str()?)?;
        }
        if !body.rest.is_empty() {
            let message = "invalid startup packet layout: expected terminator as last byte";
            return Err(protocol_violation(message));
        }
        Ok(parameters)
    }

    fn add(&mut self, name: &str, value: &str) -> SqlResult<()> {
        let value = value.to_owned();
        match name {
            "user" => self.user = Some(value),
            "database" => self.database = Some(value),
            "options" => self.options = Some(value),
            "replication" if matches!(value.as_str(), "false" | "off" | "no" | "0") => {}
            "replication" => return Err(SqlError::unsupported("the replication protocol")),
            _ if name.starts_with("_pq_.") => self.unknown.push(name.to_owned()),
            _ => self.settings.push((name.to_owned(), value)),
        }
        Ok(())
    }
}

/// Settings in `-c name=value`, `-cname=value` and `--name=value`, separated by blanks; a backslash
/// takes the next character as it is.
fn command_line_settings(options: &str) -> SqlResult<Vec<(String, String)>> {
    let mut settings = Vec::new();
    let mut words = split_words(options).into_iter();
    while let Some(word) = words.next() {
        let setting = match (word.strip_prefix("--"), word.strip_prefix("-c")) {
            (Some(long), _) => long.to_owned(),
            (None, Some("")) => words.next().unwrap_or_default(),
            (None, Some(joined)) => joined.to_owned(),
            (None, None) => return Err(bad_option(&word)),
        };
        let Some((name, value)) = setting.split_once('=') else { return Err(bad_option(&setting)) };
        settings.push((name.replace('-', "_"), value.to_owned()));
    }
    Ok(settings)
}

fn bad_option(word: &str) -> SqlError {
    let message = format!("invalid command-line argument for server process: {word}");
    SqlError::new(SqlState::SyntaxError, message)
        .with_hint("Use \"-c name=value\" to set a parameter for the connection.")
}

fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut inside = false;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        if c.is_ascii_whitespace() {
            if inside {
                words.push(std::mem::take(&mut word));
            }
            inside = false;
            continue;
        }
        inside = true;
        word.push(if c == '\\' { characters.next().unwrap_or('\\') } else { c });
    }
    if inside {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::BufMut;
    use proptest::prelude::*;

    fn packet(code: i32, body: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_i32(body.len() as i32 + 8);
        out.put_i32(code);
        out.put_slice(body);
        out
    }

    fn first_item(packet: &[u8]) -> (Item, Vec<u8>) {
        let mut connection = Connection::new(1 << 20);
        connection.push(Bytes::copy_from_slice(packet));
        let mut out = Vec::new();
        let item = connection.next(&mut out);
        (item, out)
    }

    const V3_0: i32 = 3 << 16;

    #[test]
    fn a_startup_packet_names_user_database_and_settings() {
        let body = b"user\0bob\0options\0-c geqo=off --search-path=a\\ b -cx=1\0DateStyle\0ISO\0\0";
        let (item, out) = first_item(&packet(V3_0, body));
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = Startup {
            user: "bob".into(),
            database: "bob".into(),
            minor: 0,
            settings: vec![
                setting("geqo", "off"),
                setting("search_path", "a b"),
                setting("x", "1"),
                setting("DateStyle", "ISO"),
            ],
        };
        assert_eq!(item, Item::Startup(expected));
        assert!(out.is_empty());
    }

    #[test]
    fn newer_minor_versions_are_negotiated_down() {
        let (item, out) = first_item(&packet(V3_0 | 9999, b"user\0bob\0_pq_.x\0y\0\0"));
        let Item::Startup(startup) = item else { panic!("{item:?}") };
        assert_eq!(startup.minor, 2);
        assert_eq!(out, b"v\0\0\0\x13\0\x03\0\x02\0\0\0\x01_pq_.x\0");
        let (item, out) = first_item(&packet(V3_0 | 2, b"user\0bob\0\0"));
        assert!(matches!(item, Item::Startup(Startup { minor: 2, .. })));
        assert!(out.is_empty());
    }

    #[test]
    fn encryption_is_refused_once_and_startup_follows() {
        let mut stream = packet(CODE_SSL, b"");
        stream.extend(packet(CODE_GSS, b""));
        stream.extend(packet(V3_0, b"user\0bob\0\0"));
        let (item, out) = first_item(&stream);
        assert!(matches!(item, Item::Startup(_)));
        assert_eq!(out, b"NN");
        let mut twice = packet(CODE_SSL, b"");
        twice.extend(packet(CODE_SSL, b""));
        let (item, _) = first_item(&twice);
        let Item::Fatal(error) = item else { panic!("{item:?}") };
        assert_eq!(
            error.message,
            "unsupported frontend protocol 1234.5679: server supports 3.0 to 3.2"
        );
    }

    #[test]
    fn a_cancel_request_is_passed_on() {
        let (item, _) = first_item(&packet(CODE_CANCEL, b"\0\0\0\x07\x01\x02\x03\x04"));
        let key = CancelKey { pid: 7, secret: Bytes::from_static(&[1, 2, 3, 4]) };
        assert_eq!(item, Item::Cancel(key));
        assert!(matches!(first_item(&packet(CODE_CANCEL, b"\0")).0, Item::Fatal(_)));
    }

    #[test]
    fn bad_startups_are_refused() {
        let script: [(&[u8], &str); 6] = [
            (b"\0", "no PostgreSQL user name specified in startup packet (SQLSTATE 28000)"),
            (b"user\0bob", "invalid string in message (SQLSTATE 08P01)"),
            (
                b"user\0bob\0\0x",
                "invalid startup packet layout: expected terminator as last byte (SQLSTATE 08P01)",
            ),
            (
                b"user\0bob\0replication\0database\0\0",
                "the replication protocol is not supported (SQLSTATE 0A000)",
            ),
            (
                b"user\0bob\0options\0-x\0\0",
                "invalid command-line argument for server process: -x (SQLSTATE 42601)",
            ),
            (
                b"user\0b\xff\0\0",
                "invalid byte sequence for encoding \"UTF8\": 0xff (SQLSTATE 22021)",
            ),
        ];
        for (body, expected) in script {
            let (item, _) = first_item(&packet(V3_0, body));
            let Item::Fatal(error) = item else { panic!("{item:?}") };
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn after_an_error_everything_up_to_sync_is_skipped() {
        let mut connection = Connection::new(1 << 20);
        let mut out = Vec::new();
        connection.push(packet(V3_0, b"user\0bob\0\0").into());
        assert!(matches!(connection.next(&mut out), Item::Startup(_)));
        assert_eq!(connection.trust(&mut out), Item::Authenticated);
        connection.skip_to_sync();
        connection.push(Bytes::from_static(b"B\0\0\0\x04E\0\0\0\x04S\0\0\0\x04H\0\0\0\x04"));
        let tags: Vec<u8> = std::iter::from_fn(|| match connection.next(&mut out) {
            Item::Frame(frame) => Some(frame.tag),
            _ => None,
        })
        .collect();
        assert_eq!(tags, b"SH");
        connection.push(Bytes::from_static(b"z\0\0\0\x04S\0\0\0\x04"));
        assert!(matches!(connection.next(&mut out), Item::Fatal(_)));
        assert_eq!(connection.next(&mut out), Item::Wait);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(chunks in prop::collection::vec(any::<Vec<u8>>(), 0..8), trust in any::<bool>()) {
            let mut connection = Connection::new(1000);
            let mut rng = crate::seam::Rng::from_u64(0);
            let mut out = Vec::new();
            // A sound start, so that garbage reaches the later states too.
            connection.push(packet(V3_0, b"user\0bob\0\0").into());
            for chunk in chunks {
                connection.push(chunk.into());
                loop {
                    match connection.next(&mut out) {
                        Item::Wait => break,
                        Item::Startup(_) if trust => {
                            connection.trust(&mut out);
                        }
                        Item::Startup(startup) => {
                            let server = scram::Server::new(&startup.user, None, &[0; 32], &mut rng);
                            connection.challenge(server, &mut out);
                        }
                        Item::Frame(frame) => drop(frame.message()),
                        _ => {}
                    }
                }
            }
        }
    }
}
