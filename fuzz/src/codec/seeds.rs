//! One of each kind, as this build writes them.

use basalt_core::base::codec::Writer;
use basalt_core::base::schema::TableRef;
use basalt_core::base::{
    BucketId, CatalogVersion, Datum, GroupId, InstanceId, LogIndex, RowWrite, SqlError, SqlState,
    SqlType, TableId, Term, Timestamp, UserId,
};
use basalt_core::exec::{Pool, RowSink};
use basalt_core::expr::Expr;
use basalt_core::instance::message::{
    Body, Envelope, Forwarded, GroupReport, Hello, HelloRow, Join, JoinReply, Msg, Report, Request,
    RequestKind, Response, ResponseKind, SnapshotChunk, SnapshotPull,
};
use basalt_core::instance::result_rows::ResultWriter;
use basalt_core::raft::{Change, Membership};
use basalt_core::seam::{ConnKind, Event, Lane, Mono, Now, RecordingHeader, RecordingWriter, Wall};
use basalt_core::storage::snapshot::SnapshotMeta;
use basalt_core::topology::ddl::{DdlRequest, DropRequest, SchemaChange, SchemaOp};
use basalt_core::topology::entry::{Bootstrap, CreateUser};
use basalt_core::topology::model::{Endpoints, FailureDomain, InstanceSeed, ReplicasetSeed, Tier};
use basalt_core::topology::users::UserKind;
use basalt_core::topology::{RingEntry, RingState};
use basalt_core::txn::entry::ShardEntry;
use bytes::Bytes;

use super::{REPAIR, encode_expr};
use crate::Seeds;
use crate::schema::Schema;

/// See the module.
pub fn seeds() -> Seeds {
    let mut seeds = Seeds::new();
    let mut add = |kind: u8, name: &str, bytes: &[u8]| {
        seeds.push((name.to_owned(), [&[kind], bytes].concat()));
    };
    for (name, body) in bodies() {
        let mut bytes = Vec::new();
        Msg { cluster: 3, body }.encode(&mut bytes);
        add(0, &format!("message-{name}"), &bytes);
    }
    for (name, bytes) in raft_messages() {
        add(0, &format!("raft-{name}"), &bytes);
    }
    for (name, entry) in ring_entries() {
        add(1, &format!("ring-{name}"), &entry.encode());
    }
    for (name, entry) in shard_entries() {
        add(2, &format!("shard-{name}"), &entry.encode());
    }
    add(3 | REPAIR, "snapshot-of-one-row", &snapshot());
    add(4 | REPAIR, "recording", &recording());
    let mut state = RingState::new();
    add(5, "ring-state-empty", &state.encode_snapshot());
    for (index, (_, entry)) in (1..).zip(ring_entries()) {
        let _ = state.apply(LogIndex(index), &entry);
    }
    add(5, "ring-state", &state.encode_snapshot());
    let operands = [Expr::column(1, SqlType::Bool), Expr::bool(true), Expr::literal("t")];
    add(6, "expression-and", &encode_expr(&Expr::and(operands)));
    for (name, change) in schema_changes() {
        add(7, &format!("schema-{name}"), &change.encode());
    }
    seeds
}

fn bodies() -> Vec<(&'static str, Body)> {
    let pool = Pool::new(usize::MAX, "All");
    let mut rows = ResultWriter::new(vec![SqlType::Int4], &pool);
    for row in [Datum::Null, Datum::Int4(0)] {
        rows.row(&[row]).expect("a short row");
    }
    let (group, id, index) = (GroupId(1), InstanceId(2), LogIndex(300));
    let error = SqlError::new(SqlState::UniqueViolation, "no").with_detail("because");
    let refusal = error.clone();
    let row = HelloRow { of: id, age_ns: 5, hears: vec![id] };
    let envelope = Envelope {
        from: "h:1".into(),
        to: "h:2".into(),
        lane: Lane::Fast,
        message: Bytes::from_static(b"a message"),
    };
    let request = |what| Body::Request(Request { id: 7, what });
    let response = |what| Body::Response(Response { id: 7, what });
    let statement = Forwarded {
        user: UserId(1),
        sql: "SELECT $1".into(),
        parameters: vec![(SqlType::Int4 as u8, Some(Bytes::from_static(&[0, 0, 0, 1])))],
        search_path: vec!["public".into()],
        settings: vec![("a".into(), "b".into())],
        backend_pid: 5,
    };
    let statement = RequestKind::Statement { group, statement };
    let schema = RequestKind::Schema {
        group,
        version: CatalogVersion(3),
        change: Bytes::from_static(b"change"),
    };
    let chunk = SnapshotChunk { group, index, chunk: 0, last: true, data: Bytes::new() };
    let accepted = JoinReply::Accepted {
        uuid: Default::default(),
        cluster: Default::default(),
        id,
        name: "n".into(),
        group,
        ring_founder: id,
        group_founder: id,
        addresses: vec![(id, "h:1".into())],
    };
    vec![
        ("join", Body::Join(Box::new(join()))),
        ("join-accepted", Body::JoinReply(accepted)),
        ("join-elsewhere", Body::JoinReply(JoinReply::Elsewhere(Some("h:1".into())))),
        ("statement", request(statement)),
        ("ring", request(RequestKind::Ring { entry: ring_entries()[1].1.encode() })),
        ("schema", request(schema)),
        (
            "membership",
            request(RequestKind::Membership { group, changes: vec![Change::AddVoter(id)] }),
        ),
        ("transfer", request(RequestKind::Transfer { group, to: id })),
        ("ring-index", request(RequestKind::RingIndex)),
        ("failed", response(ResponseKind::Failed(error.clone()))),
        (
            "rows",
            response(ResponseKind::Rows {
                tag: 1,
                count: 1,
                types: vec![3],
                rows: rows.finish().0,
            }),
        ),
        ("not-leader", response(ResponseKind::NotLeader(Some(id)))),
        ("snapshot-pull", Body::SnapshotPull(SnapshotPull { group, index, chunk: 1 })),
        ("snapshot-chunk", Body::SnapshotChunk(chunk)),
        (
            "report",
            Body::Report(Report { from: id, leaving: false, groups: vec![group_report(error)] }),
        ),
        ("status", Body::StatusReply { request: 1, text: "ok".into() }),
        ("hello", Body::Hello(Hello { from: id, rows: vec![row] })),
        ("envelope", Body::Envelope(envelope)),
        ("expel", Body::Expel { request: 1, uuid: Default::default(), force: true }),
        ("expelled", Body::ExpelReply { request: 1, outcome: Ok("i2".into()) }),
        ("not-expelled", Body::ExpelReply { request: 1, outcome: Err(refusal) }),
        ("join-later", Body::JoinReply(JoinReply::Later("not yet".into()))),
    ]
}

fn join() -> Join {
    Join {
        uuid: Default::default(),
        address: "h:1".into(),
        pg_address: "h:2".into(),
        http_address: "h:3".into(),
        name: Some("n".into()),
        replicaset: None,
        tier: "default".into(),
        failure_domain: vec![("DC".into(), "A".into())],
        version: "1".into(),
        cluster_name: None,
        replaces: None,
    }
}

fn group_report(error: SqlError) -> GroupReport {
    let (id, index) = (InstanceId(2), LogIndex(300));
    GroupReport {
        group: GroupId(1),
        term: Term(2),
        leads: true,
        committed: index,
        applied: index,
        schema: CatalogVersion(1),
        membership: Some(Membership { voters: vec![id], ..Membership::default() }),
        progress: vec![(id, index, true)],
        changing: false,
        refused: Some((CatalogVersion(1), error)),
    }
}

/// Raft's own messages are made by Raft only, so these are written field by field.
fn raft_messages() -> Vec<(&'static str, Vec<u8>)> {
    const APPEND: u8 = 3;
    const APPEND_RESPONSE: u8 = 4;
    const REQUEST_VOTE: u8 = 5;
    const SNAPSHOT: u8 = 7;
    const HEARTBEAT: u8 = 8;
    let message = |kind: u8, flags: u8, rest: &dyn Fn(&mut Writer)| {
        let mut w = Writer::new();
        w.u8(1);
        w.u64(3);
        w.u8(1);
        // One message, of group 1.
        w.varint(1);
        w.varint(1);
        w.raw(&[1, kind, flags]);
        for field in [2, 1, 300, 3, 7, 6, 0, 0, 0, 3] {
            w.varint(field);
        }
        rest(&mut w);
        w.into_vec()
    };
    let no_entries: &dyn Fn(&mut Writer) = &|w| w.varint(0);
    vec![
        (
            "append",
            message(APPEND, 0, &|w| {
                w.varint(2);
                for index in [8, 9] {
                    w.u8(0);
                    w.varint(300);
                    w.varint(index);
                    w.bytes(b"row");
                }
            }),
        ),
        ("append-refused", message(APPEND_RESPONSE, 1, no_entries)),
        ("vote", message(REQUEST_VOTE, 0, no_entries)),
        (
            "snapshot",
            message(SNAPSHOT, 2, &|w| {
                w.varint(9);
                w.varint(2);
                let voters = vec![InstanceId(1), InstanceId(2)];
                Membership { voters, ..Membership::default() }.encode(w);
                w.varint(0);
            }),
        ),
        (
            "heartbeat-with-context",
            message(HEARTBEAT, 4, &|w| {
                w.bytes(b"read 7");
                w.varint(0);
            }),
        ),
    ]
}

fn ring_entries() -> Vec<(&'static str, RingEntry)> {
    let error = SqlError::new(SqlState::DuplicateTable, "it is there");
    let drop = DropRequest { schema: "public".into(), name: "t".into(), if_exists: true };
    let user = CreateUser {
        name: "u".into(),
        kind: UserKind::User,
        if_not_exists: false,
        login: true,
        verifier: None,
        owner: UserId(1),
    };
    vec![
        ("bootstrap", RingEntry::Bootstrap(Box::new(bootstrap()), None)),
        (
            "ddl-prepare",
            RingEntry::DdlPrepare { by: UserId(1), request: Box::new(DdlRequest::DropTable(drop)) },
        ),
        ("ddl-commit", RingEntry::DdlCommit { version: CatalogVersion(129) }),
        ("ddl-abort", RingEntry::DdlAbort { version: CatalogVersion(129), error }),
        ("create-user", RingEntry::CreateUser(user)),
        ("expel", RingEntry::Expel { id: InstanceId(3), force: true, at: Wall(300) }),
        (
            "set-config",
            RingEntry::SetConfig { key: "k".into(), tier: String::new(), value: Some("v".into()) },
        ),
    ]
}

fn bootstrap() -> Bootstrap {
    Bootstrap {
        cluster_uuid: Default::default(),
        cluster_name: "demo".into(),
        version: 1,
        tiers: vec![Tier::default_with_factor(2)],
        replicaset: ReplicasetSeed {
            id: GroupId(1),
            name: "default_1".into(),
            uuid: Default::default(),
            tier: "default".into(),
        },
        instance: InstanceSeed {
            id: InstanceId(1),
            name: "default_1_1".into(),
            uuid: Default::default(),
            replicaset: GroupId(1),
            failure_domain: FailureDomain::default(),
            endpoints: Endpoints { peer: "h:1".into(), pg: "h:2".into(), http: "h:3".into() },
            version: "0.1.0".into(),
            format_version: 1,
        },
        admin: None,
        at: Wall(1_000_000),
    }
}

fn shard_entries() -> Vec<(&'static str, ShardEntry)> {
    let write = |row| RowWrite {
        table: TableId(16_400),
        bucket: BucketId(7),
        key: Bytes::from_static(b"k"),
        row,
    };
    let writes = vec![write(Some(Bytes::from_static(b"row"))), write(None)];
    let (_, change) = schema_changes().remove(0);
    vec![
        ("write", ShardEntry::Write { timestamp: Timestamp(9), writes }),
        ("schema", ShardEntry::Schema { version: change.version, change: change.encode().into() }),
    ]
}

fn schema_changes() -> Vec<(&'static str, SchemaChange)> {
    let table: TableRef = Schema::get().accounts().clone();
    let change = |op| SchemaChange { previous: CatalogVersion(1), version: CatalogVersion(2), op };
    let index = table.indexes[0].id;
    vec![
        ("create-index", change(SchemaOp::CreateIndex { table: table.clone(), index })),
        ("truncate", change(SchemaOp::Truncate(table.id))),
        ("everything", change(SchemaOp::Everything(vec![table]))),
    ]
}

/// A snapshot of one row, sealed by the target's own repair.
fn snapshot() -> Vec<u8> {
    let meta = SnapshotMeta {
        group: GroupId(1),
        index: LogIndex(5),
        term: Term(2),
        ts: Timestamp(9),
        state: Bytes::from_static(b"state"),
    };
    let mut w = Writer::new();
    for field in [16_400, 7] {
        w.varint(field);
    }
    w.bytes(b"key");
    w.varint(8);
    w.varint(4);
    w.bytes(b"row");
    let payload = w.into_vec();
    let mut bytes = meta.to_chunk().to_vec();
    bytes.extend_from_slice(b"BSNP\x01\x00\x02\x00\x01\0\0\0\0\0\0\0");
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&payload);
    bytes
}

fn recording() -> Vec<u8> {
    let now = Now { mono: Mono(1), wall: Wall(2) };
    let conn = basalt_core::base::ConnId(4);
    let header = RecordingHeader { seed: [7; 32], program: "1".into(), config: "{}".into() };
    let mut writer = RecordingWriter::new(&header).expect("a short start");
    let peer = Event::Peer {
        from: basalt_core::seam::PeerAddr::new("h:1"),
        msg: Msg { cluster: 3, body: Body::Status { request: 1 } },
    };
    let events = [
        Event::Boot,
        Event::Accepted { conn, kind: ConnKind::Postgres, remote: "h".into() },
        Event::Bytes { conn, bytes: Bytes::from_static(b"Q") },
        peer,
    ];
    for event in events {
        writer.event(now, &event).expect("a short event");
        writer.end_turn::<Msg>(now, &[]);
    }
    writer.bytes().to_vec()
}
