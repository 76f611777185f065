//! Requests on the table `item`, in the extended protocol, with the replies they must have.
//!
//! ```text
//!   once:   Parse "get" · Parse "insert" · Sync
//!   then:   Bind Execute Sync               → BindComplete DataRow CommandComplete ReadyForQuery
//!   or 64:  Bind Execute Sync Bind Execute Sync …       in one piece, and all replies to it
//! ```
//! Parameters and results are in binary form.

use basalt_core::pgwire::Format;
use basalt_core::pgwire::client::{self, BindRequest, Client};
use basalt_fuzz::memory_disk::MemoryDisk;
use bytes::{BufMut as _, Bytes, BytesMut};

use crate::world::World;

/// Statements a client sends at once when it sends several.
pub const PIPELINE: i64 = 64;

/// Bytes a client sends, and what it must get.
#[derive(Debug)]
pub struct Exchange {
    pub request: Bytes,
    pub reply: Vec<u8>,
}

/// Which statement, of one row.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Get,
    Insert,
}

impl Exchange {
    /// One statement after another, each with its own `Sync`.
    pub fn new(kind: Kind, ids: impl IntoIterator<Item = i64>) -> Exchange {
        let (mut request, mut reply) = (BytesMut::new(), Vec::new());
        for id in ids {
            ask(&mut request, kind, id);
            message(&mut reply, b'2', &[]);
            if let Kind::Get = kind {
                message(&mut reply, b'D', &data_row(id));
            }
            message(&mut reply, b'C', kind.tag());
            message(&mut reply, b'Z', b"I");
        }
        Exchange { request: request.freeze(), reply }
    }
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Get => "get",
            Kind::Insert => "insert",
        }
    }

    fn tag(self) -> &'static [u8] {
        match self {
            Kind::Get => b"SELECT 1\0",
            Kind::Insert => b"INSERT 0 1\0",
        }
    }
}

/// An instance with the table `item`, empty, and a client that may ask.
pub fn founded() -> World {
    let mut world = World::start(MemoryDisk::default(), 0);
    let mut client = world.connect();
    world.query(&mut client, "CREATE TABLE item (id BIGINT PRIMARY KEY, content TEXT NOT NULL)");
    prepare(&mut world);
    world
}

/// As [`founded`], with rows 0 to `rows` − 1 inserted one a statement.
pub fn filled(rows: i64) -> World {
    let mut world = founded();
    for first in (0..rows).step_by(PIPELINE as usize) {
        let ids = first..rows.min(first + PIPELINE);
        world.exchange(&Exchange::new(Kind::Insert, ids));
    }
    world
}

/// Connects to an instance that has the table, ready for any [`Exchange`].
pub fn reconnected(world: &mut World) -> Client {
    let client = world.connect();
    prepare(world);
    client
}

fn prepare(world: &mut World) {
    let mut request = BytesMut::new();
    client::parse(&mut request, "get", "SELECT id, content FROM item WHERE id = $1", &[]);
    client::parse(&mut request, "insert", "INSERT INTO item (id, content) VALUES ($1, $2)", &[]);
    client::sync(&mut request);
    let mut reply = Vec::new();
    message(&mut reply, b'1', &[]);
    message(&mut reply, b'1', &[]);
    message(&mut reply, b'Z', b"I");
    world.exchange(&Exchange { request: request.freeze(), reply });
}

fn ask(request: &mut BytesMut, kind: Kind, id: i64) {
    let mut parameters = vec![Some(Bytes::copy_from_slice(&id.to_be_bytes()))];
    if let Kind::Insert = kind {
        parameters.push(Some(content(id).into()));
    }
    let bind = BindRequest {
        portal: "",
        statement: kind.name(),
        parameter_format: Format::Binary,
        parameters,
        result_format: Format::Binary,
    };
    client::bind(request, bind);
    client::execute(request, "", 0);
    client::sync(request);
}

/// 40 bytes that belong to the row.
fn content(id: i64) -> String {
    format!("the content of row {id:021}")
}

fn data_row(id: i64) -> Vec<u8> {
    let mut row = Vec::new();
    row.put_u16(2);
    for value in [id.to_be_bytes().as_slice(), content(id).as_bytes()] {
        row.put_u32(value.len() as u32);
        row.put_slice(value);
    }
    row
}

fn message(out: &mut Vec<u8>, tag: u8, body: &[u8]) {
    out.put_u8(tag);
    out.put_u32(body.len() as u32 + 4);
    out.put_slice(body);
}
