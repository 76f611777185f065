//! A client's bytes, in one piece and cut.
//!
//! ```text
//! flags u8     bit 0: the login asks for a password; bit 1: a login without one goes before;
//!              bit 2: the bytes are messages, `tag u8, length u8, body`, whose lengths are right
//! step u8      where to cut: after step, 2·step, … bytes, modulo a prime
//! bytes        what the client sends
//! ```

use basalt_core::pgwire::{Connection, Item, Message, client, scram};
use basalt_core::seam::Rng;
use bytes::{Bytes, BytesMut};

use crate::Seeds;

const ASKS: u8 = 1;
const LOGGED_IN: u8 = 2;
const FRAMED: u8 = 4;
const MESSAGE_LIMIT: usize = 1 << 16;

/// See the module.
pub fn run(data: &[u8]) {
    let [flags, step, bytes @ ..] = data else { return };
    let framed = if flags & FRAMED != 0 { frames(bytes) } else { bytes.to_vec() };
    let bytes = framed.as_slice();
    let whole = converse(*flags, std::iter::once(bytes));
    let cut = converse(*flags, pieces(bytes, usize::from(*step)));
    assert_eq!(whole, cut, "the same bytes, cut differently");
}

/// Messages with the lengths that the protocol asks for.
fn frames(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [tag, len, after @ ..] = rest {
        let (body, after) = after.split_at(after.len().min(usize::from(*len)));
        out.push(*tag);
        out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        out.extend_from_slice(body);
        rest = after;
    }
    out
}

/// The messages of a conversation after login, for [`frames`].
fn unframed(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [tag, a, b, c, d, after @ ..] = rest {
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
        let (body, after) = after.split_at(len);
        out.extend_from_slice(&[*tag, u8::try_from(len).expect("a seed's messages are short")]);
        out.extend_from_slice(body);
        rest = after;
    }
    out
}

/// The bytes in pieces of uneven length.
fn pieces(bytes: &[u8], step: usize) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut size) = (bytes, 0);
    std::iter::from_fn(move || {
        size = (size + step) % 61;
        let (piece, after) = rest.split_at(rest.len().min(size + 1));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

/// What the connection made of the bytes: its items and its replies.
fn converse<'a>(flags: u8, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<String>, Vec<u8>) {
    let mut rng = Rng::from_u64(1);
    let mut connection = Connection::new(MESSAGE_LIMIT);
    let (mut seen, mut out) = (Vec::new(), Vec::new());
    let mut login = BytesMut::new();
    if flags & LOGGED_IN != 0 {
        client::startup_packet(&mut login, 0, &[("user", "u")]);
    }
    connection.push(login.freeze());
    take_items(&mut connection, flags & !ASKS, &mut rng, &mut seen, &mut out);
    for piece in pieces {
        connection.push(Bytes::copy_from_slice(piece));
        take_items(&mut connection, flags, &mut rng, &mut seen, &mut out);
    }
    (seen, out)
}

fn take_items(
    connection: &mut Connection,
    flags: u8,
    rng: &mut Rng,
    seen: &mut Vec<String>,
    out: &mut Vec<u8>,
) {
    loop {
        let item = connection.next(out);
        match &item {
            Item::Wait => return,
            Item::Startup(startup) if flags & ASKS != 0 => {
                let server = scram::Server::new(&startup.user, None, &[7; 32], rng);
                connection.challenge(server, out);
            }
            Item::Startup(_) => {
                connection.trust(out);
            }
            Item::Frame(frame) => match frame.message() {
                Ok(message) => seen.push(read_all(&message)),
                Err(error) => {
                    seen.push(error.to_string());
                    connection.skip_to_sync();
                }
            },
            _ => {}
        }
        seen.push(format!("{item:?}"));
    }
}

/// Follows every iterator of the message.
fn read_all(message: &Message<'_>) -> String {
    match message {
        Message::Parse { types, .. } => format!("{:?}", types.iter().collect::<Vec<_>>()),
        Message::Bind(bind) => {
            let values: Vec<_> = bind.parameters.iter().collect();
            assert_eq!(values.len(), bind.parameters.count(), "parameters of a checked message");
            let formats: Vec<_> = (0..values.len()).map(|k| bind.parameter_formats.of(k)).collect();
            format!("{values:?} {formats:?} {:?}", bind.result_formats.of(values.len()))
        }
        other => format!("{other:?}"),
    }
}

fn extended(out: &mut BytesMut) {
    client::parse(out, "s", "SELECT $1, $2", &[23, 0]);
    client::describe_statement(out, "s");
    client::extended_query(out, "SELECT $1, $2", &[Some("7"), None]);
    client::describe_portal(out, "");
    client::execute(out, "", -1);
    client::close_portal(out, "");
    client::close_statement(out, "s");
    client::flush(out);
    client::sync(out);
    client::terminate(out);
}

/// Conversations of a client.
pub fn seeds() -> Seeds {
    let start = |name: &str, flags: u8, fill: &dyn Fn(&mut BytesMut)| {
        let mut bytes = BytesMut::new();
        fill(&mut bytes);
        let sent = if flags & FRAMED != 0 { unframed(&bytes) } else { bytes.to_vec() };
        (name.to_owned(), [&[flags, 7][..], &sent].concat())
    };
    let login: &[(&str, &str)] = &[
        ("user", "admin"),
        ("database", "d"),
        ("options", "-c a=b --work_mem=1"),
        ("_pq_.x", "1"),
        ("application_name", "psql"),
    ];
    vec![
        start("login-query", 0, &|out| {
            client::ssl_request(out);
            client::startup_packet(out, 2, login);
            client::query(out, "SELECT 1; SELECT 2");
            client::terminate(out);
        }),
        start("password", ASKS, &|out| {
            client::startup_packet(out, 0, login);
            let first = b"n,,n=,r=rOprNGfwEbeRWgbNEkqO";
            let mut body = b"SCRAM-SHA-256\0".to_vec();
            body.extend_from_slice(&(first.len() as u32).to_be_bytes());
            body.extend_from_slice(first);
            out.extend_from_slice(b"p");
            out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
            out.extend_from_slice(&body);
            let last =
                b"c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
            out.extend_from_slice(b"p");
            out.extend_from_slice(&(last.len() as u32 + 4).to_be_bytes());
            out.extend_from_slice(last);
        }),
        start("extended-bytes", LOGGED_IN, &extended),
        start("extended", LOGGED_IN | FRAMED, &extended),
        start("error-in-the-middle", LOGGED_IN | FRAMED, &|out| {
            client::query(out, "");
            out.extend_from_slice(b"B\0\0\0\x06\0\0?\0\0\0\x04");
            client::flush(out);
            client::sync(out);
            client::query(out, "SELECT 1");
        }),
        start("binary-parameters", LOGGED_IN | FRAMED, &|out| {
            let body =
                b"p\0s\0\0\x02\0\x01\0\0\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff\0\x01\0\x01";
            out.extend_from_slice(b"B");
            out.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
            out.extend_from_slice(body);
            client::execute(out, "p", 2);
            client::sync(out);
        }),
        start("copy-and-function-call", LOGGED_IN | FRAMED, &|out| {
            out.extend_from_slice(
                b"d\0\0\0\x061\nc\0\0\0\x04f\0\0\0\x06x\0F\0\0\0\x04p\0\0\0\x05\0",
            );
            client::terminate(out);
        }),
        start("cancel", 0, &|out| {
            let key =
                basalt_core::pgwire::CancelKey { pid: 7, secret: Bytes::from_static(b"abcd") };
            client::cancel_request(out, &key);
        }),
    ]
}
