//! Scripts of schema changes: what is decided, what shards are told, what is refused.

use std::fmt::Write as _;

use super::*;
use crate::base::schema::{ColumnDef, Engine, TableDef};
use crate::base::{SqlError, SqlState, SqlType, UserId};
use crate::topology::ddl::{
    AlterTableRequest, CreateIndexRequest, CreateTableRequest, DdlRequest, DdlResult, DdlStatus,
    DistributionRequest, DropRequest, IndexKeyRequest, QUEUE_MAX, SchemaChange, SchemaOp,
    TableAlteration, UniqueRequest,
};
use crate::topology::ring::Applied;
use crate::topology::users::ADMIN;

pub(super) fn column(name: &str, ty: SqlType) -> ColumnDef {
    ColumnDef { name: name.into(), ty, typmod: -1, nullable: true, default: None, hidden: false }
}

/// `a int4, b text, c json`, primary key (a), sharded by it.
pub(super) fn table(name: &str) -> CreateTableRequest {
    CreateTableRequest {
        schema: "public".into(),
        name: name.into(),
        if_not_exists: false,
        owner: ADMIN,
        columns: vec![
            column("a", SqlType::Int4),
            column("b", SqlType::Text),
            column("c", SqlType::Json),
        ],
        primary_key: vec![0],
        primary_key_name: None,
        uniques: Vec::new(),
        distribution: DistributionRequest::Sharded { columns: Vec::new(), tier: None },
        engine: Engine::Memtx,
        unlogged: false,
    }
}

fn prepare(state: &mut RingState, request: DdlRequest) -> ApplyOutcome {
    apply(state, RingEntry::DdlPrepare { by: ADMIN, request: Box::new(request) })
}

fn commit(state: &mut RingState) -> ApplyOutcome {
    let version = state.ddl.pending.as_ref().unwrap().change.version;
    apply(state, RingEntry::DdlCommit { version })
}

/// Prepares and commits.
pub(super) fn run(state: &mut RingState, request: DdlRequest) -> SqlResult<()> {
    prepare(state, request)?;
    if state.ddl.pending.is_some() {
        commit(state)?;
    }
    Ok(())
}

fn drop_request(name: &str, if_exists: bool) -> DropRequest {
    DropRequest { schema: "public".into(), name: name.into(), if_exists }
}

fn index(table: &str, columns: &[&str], unique: bool) -> DdlRequest {
    let key =
        |c: &&str| IndexKeyRequest { column: (*c).into(), descending: false, nulls_first: false };
    DdlRequest::CreateIndex(CreateIndexRequest {
        schema: "public".into(),
        table: table.into(),
        name: None,
        if_not_exists: false,
        columns: columns.iter().map(key).collect(),
        unique,
    })
}

fn alter(table: &str, alteration: TableAlteration) -> DdlRequest {
    DdlRequest::AlterTable(AlterTableRequest {
        schema: "public".into(),
        name: table.into(),
        if_exists: false,
        alteration,
    })
}

fn show(state: &RingState) -> String {
    let mut out = format!("catalog {}", state.catalog.version);
    for table in state.catalog.tables.iter() {
        write!(out, "; {}", show_table(table)).unwrap();
    }
    out
}

fn show_table(table: &TableDef) -> String {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|c| format!("{}{}", c.name, if c.nullable { "" } else { "!" }))
        .collect();
    let indexes: Vec<String> =
        table.indexes.iter().map(|i| format!(" {}#{}", i.name, i.id)).collect();
    format!(
        "{}#{} v{}{} ({}) key {}#{} {:?} by {:?}{}",
        table.name,
        table.id,
        table.version,
        if table.operable { "" } else { " inoperable" },
        columns.join(" "),
        table.primary_key_name,
        table.primary_key_id,
        table.primary_key,
        table.distribution_columns(),
        indexes.concat(),
    )
}

#[test]
fn a_table_becomes_usable_when_every_shard_has_it() {
    let mut state = cluster(1, "");
    let ticket = LogIndex(state.applied.0 + 1);
    assert_eq!(prepare(&mut state, DdlRequest::CreateTable(table("t"))), Ok(Applied::Ddl(ticket)));
    assert_eq!(
        show(&state),
        "catalog 1; t#16384 v1 inoperable (a! b c) key t_pkey#16385 [0] by [0]"
    );
    assert!(state.catalog.lookup(None, "t").is_none());
    assert!(state.committed_tables().is_empty());
    assert_eq!(state.ddl.status(ticket), DdlStatus::InProgress);
    commit(&mut state).unwrap();
    assert_eq!(show(&state), "catalog 2; t#16384 v1 (a! b c) key t_pkey#16385 [0] by [0]");
    assert_eq!(state.catalog.table(None, "t").unwrap().name, "t");
    assert!(matches!(state.ddl.status(ticket), DdlStatus::Finished(_)));
    assert_eq!(state.catalog.schema_version.0, 1);
}

#[test]
fn how_a_change_ended_is_forgotten_after_many_others() {
    let mut state = cluster(1, "");
    let Ok(Applied::Ddl(first)) = prepare(&mut state, DdlRequest::CreateTable(table("t0"))) else {
        panic!("a change that takes time");
    };
    commit(&mut state).unwrap();
    for n in 1..128 {
        run(&mut state, DdlRequest::CreateTable(table(&format!("t{n}")))).unwrap();
    }
    assert_eq!(state.ddl.status(first), DdlStatus::Finished(DdlResult::Done));
    assert_eq!(state.ddl.status(LogIndex(first.0 - 1)), DdlStatus::Forgotten);
    run(&mut state, DdlRequest::CreateTable(table("t128"))).unwrap();
    assert_eq!(state.ddl.status(first), DdlStatus::Forgotten);
    assert_eq!(state.ddl.status(LogIndex(1_000_000)), DdlStatus::Decided);
}

#[test]
fn a_refused_index_leaves_the_table_and_resets_shards() {
    let mut state = cluster(1, "");
    run(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    prepare(&mut state, index("t", &["a", "b"], true)).unwrap();
    let version = state.ddl.pending.as_ref().unwrap().change.version;
    let error = SqlError::new(SqlState::UniqueViolation, "could not create unique index");
    apply(&mut state, RingEntry::DdlAbort { version, error }).unwrap();
    assert_eq!(show(&state), "catalog 4; t#16384 v1 (a! b c) key t_pkey#16385 [0] by [0]");
    assert_eq!(state.catalog.schema_version.0, 4, "newer than what any shard may have");
    assert!(commit_again(&mut state, version.0).is_err());
}

fn commit_again(state: &mut RingState, version: u64) -> ApplyOutcome {
    apply(state, RingEntry::DdlCommit { version: crate::base::CatalogVersion(version) })
}

#[test]
fn a_drop_cannot_be_aborted_and_hides_the_table_at_once() {
    let mut state = cluster(1, "");
    run(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    prepare(&mut state, DdlRequest::DropTable(drop_request("t", false))).unwrap();
    assert!(state.catalog.lookup(None, "t").is_none());
    assert_eq!(state.committed_tables().len(), 1);
    let version = state.ddl.pending.as_ref().unwrap().change.version;
    let error = SqlError::new(SqlState::QueryCanceled, "timeout");
    assert!(apply(&mut state, RingEntry::DdlAbort { version, error }).is_err());
    commit(&mut state).unwrap();
    assert_eq!(show(&state), "catalog 4");
}

#[test]
fn changes_wait_in_line_and_are_decided_in_their_turn() {
    let mut state = cluster(1, "");
    prepare(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    let second = LogIndex(state.applied.0 + 1);
    prepare(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    let third = LogIndex(state.applied.0 + 1);
    prepare(&mut state, index("t", &["b"], false)).unwrap();
    assert_eq!(state.ddl.status(second), DdlStatus::Waiting);
    commit(&mut state).unwrap();
    let DdlStatus::Finished(crate::topology::ddl::DdlResult::Failed(error)) =
        state.ddl.status(second)
    else {
        panic!("{:?}", state.ddl.status(second));
    };
    assert_eq!(error.state, SqlState::DuplicateTable);
    assert_eq!(state.ddl.status(third), DdlStatus::InProgress);
    commit(&mut state).unwrap();
    assert!(show(&state).ends_with(" t_b_idx#16386"), "{}", show(&state));
}

#[test]
fn the_queue_is_bounded() {
    let mut state = cluster(1, "");
    for k in 0..=QUEUE_MAX {
        prepare(&mut state, DdlRequest::CreateTable(table(&format!("t{k}")))).unwrap();
    }
    let error = prepare(&mut state, DdlRequest::CreateTable(table("one_more"))).unwrap_err();
    assert_eq!(error.state, SqlState::ConfigurationLimitExceeded);
}

#[test]
fn a_table_without_a_key_gets_a_hidden_one() {
    let mut state = cluster(1, "");
    let plain = CreateTableRequest { primary_key: Vec::new(), ..table("plain") };
    run(&mut state, DdlRequest::CreateTable(plain)).unwrap();
    let by_b = CreateTableRequest {
        primary_key: Vec::new(),
        distribution: DistributionRequest::Sharded { columns: vec![1], tier: None },
        ..table("by_b")
    };
    run(&mut state, DdlRequest::CreateTable(by_b)).unwrap();
    assert_eq!(
        show(&state),
        "catalog 4; plain#16384 v1 (a b c _rowid!) key plain_pkey#16385 [3] by [3]; \
         by_b#16386 v3 (a b c _rowid!) key by_b_pkey#16387 [1, 3] by [1]"
    );
}

#[test]
fn names_are_chosen_as_postgresql_does() {
    let mut state = cluster(1, "");
    let unique =
        |name: Option<&str>| UniqueRequest { name: name.map(str::to_owned), columns: vec![0, 1] };
    let long = "t".repeat(63);
    let request = CreateTableRequest {
        uniques: vec![unique(None), unique(None), unique(Some("mine"))],
        ..table(&long)
    };
    run(&mut state, DdlRequest::CreateTable(request)).unwrap();
    let table = state.catalog.table(None, &long).unwrap();
    assert_eq!(table.primary_key_name, format!("{}_pkey", "t".repeat(58)));
    let names: Vec<&str> = table.indexes.iter().map(|i| i.name.as_str()).collect();
    let (first, second) =
        (format!("{}_a_b_key", "t".repeat(55)), format!("{}_a_b_key1", "t".repeat(54)));
    assert_eq!(names, [first.as_str(), second.as_str(), "mine"]);
}

#[test]
fn renames_and_new_columns_make_a_new_definition() {
    let mut state = cluster(1, "");
    run(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    run(&mut state, alter("t", TableAlteration::RenameTo("u".into()))).unwrap();
    let rename = TableAlteration::RenameColumn { from: "b".into(), to: "bb".into() };
    run(&mut state, alter("u", rename)).unwrap();
    let add =
        TableAlteration::AddColumn { column: column("d", SqlType::Int8), if_not_exists: false };
    run(&mut state, alter("u", add)).unwrap();
    assert_eq!(show(&state), "catalog 8; u#16384 v7 (a! bb c d) key t_pkey#16385 [0] by [0]");
    let rename_index = DdlRequest::RenameIndex {
        schema: "public".into(),
        name: "t_pkey".into(),
        to: "u_pkey".into(),
    };
    run(&mut state, rename_index).unwrap();
    assert!(show(&state).contains("key u_pkey#16385"));
    run(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
}

#[test]
fn what_cannot_be_is_refused_with_its_state() {
    let mut state = cluster(1, "");
    run(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    run(&mut state, index("t", &["b"], false)).unwrap();
    let with = |change: fn(&mut CreateTableRequest)| {
        let mut request = table("n");
        change(&mut request);
        DdlRequest::CreateTable(request)
    };
    let unique_b = UniqueRequest { name: None, columns: vec![1] };
    let by = |columns, tier: Option<&str>| DistributionRequest::Sharded {
        columns,
        tier: tier.map(str::to_owned),
    };
    let not_null = ColumnDef { nullable: false, ..column("d", SqlType::Int4) };
    let cases: Vec<(&str, DdlRequest)> = vec![
        ("42P07", DdlRequest::CreateTable(table("t"))),
        ("42P07", DdlRequest::CreateTable(table("t_pkey"))),
        ("42939", DdlRequest::CreateTable(table("_pico_x"))),
        ("42622", DdlRequest::CreateTable(table(&"x".repeat(64)))),
        ("3F000", with(|r| r.schema = "other".into())),
        ("42501", with(|r| r.schema = "pg_catalog".into())),
        ("42701", with(|r| r.columns[1].name = "a".into())),
        ("42704", with(|r| r.primary_key = vec![2])),
        ("42704", with(|r| r.owner = UserId(99))),
        ("42P16", with(|r| r.columns[1].ty = SqlType::Unknown)),
        (
            "0A000",
            with(|r| {
                r.distribution = DistributionRequest::Global;
                r.engine = Engine::Vinyl;
            }),
        ),
        (
            "42P16",
            DdlRequest::CreateTable(CreateTableRequest {
                distribution: by(vec![1], None),
                ..table("n")
            }),
        ),
        (
            "42704",
            DdlRequest::CreateTable(CreateTableRequest {
                distribution: by(vec![], Some("cold")),
                ..table("n")
            }),
        ),
        (
            "42P16",
            DdlRequest::CreateTable(CreateTableRequest { uniques: vec![unique_b], ..table("n") }),
        ),
        ("42P16", index("t", &["b"], true)),
        ("42703", index("t", &["z"], false)),
        ("42704", index("t", &["c"], false)),
        ("42P01", index("nowhere", &["a"], false)),
        ("42809", index("t_pkey", &["a"], false)),
        ("42P01", DdlRequest::DropTable(drop_request("nowhere", false))),
        ("42809", DdlRequest::DropTable(drop_request("t_b_idx", false))),
        ("2BP01", DdlRequest::DropIndex(drop_request("t_pkey", false))),
        ("42704", DdlRequest::DropIndex(drop_request("nowhere", false))),
        ("42809", DdlRequest::DropIndex(drop_request("t", false))),
        ("42P07", alter("t", TableAlteration::RenameTo("t_b_idx".into()))),
        ("42701", alter("t", TableAlteration::RenameColumn { from: "a".into(), to: "b".into() })),
        (
            "0A000",
            alter("t", TableAlteration::AddColumn { column: not_null, if_not_exists: false }),
        ),
    ];
    for (wanted, request) in cases {
        let before = show(&state);
        let error = prepare(&mut state, request.clone()).unwrap_err();
        assert_eq!(error.state.code(), wanted, "{request:?}: {error}");
        assert_eq!(show(&state), before, "a rejection changes nothing");
    }
}

#[test]
fn if_exists_makes_a_notice_of_it() {
    let mut state = cluster(1, "");
    run(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    let again = CreateTableRequest { if_not_exists: true, ..table("t") };
    assert_eq!(
        prepare(&mut state, DdlRequest::CreateTable(again)),
        Ok(Applied::Nothing("relation \"t\" already exists, skipping".into()))
    );
    assert_eq!(
        prepare(&mut state, DdlRequest::DropTable(drop_request("u", true))),
        Ok(Applied::Nothing("table \"u\" does not exist, skipping".into()))
    );
    assert_eq!(state.ddl.pending, None);
}

#[test]
fn dropping_and_creating_an_index_tells_shards_the_whole_definition() {
    let mut state = cluster(1, "");
    run(&mut state, DdlRequest::CreateTable(table("t"))).unwrap();
    prepare(&mut state, index("t", &["b"], false)).unwrap();
    let change: SchemaChange = state.ddl.pending.as_ref().unwrap().change.clone();
    assert_eq!((change.previous.0, change.version.0), (1, 3));
    let SchemaOp::CreateIndex { table, index } = &change.op else { panic!("{change:?}") };
    assert_eq!(table.indexes[0].id, *index);
    assert_eq!(SchemaChange::decode(change.encode().into()), Ok(change.clone()));
    assert!(state.catalog.index(None, "t_b_idx").is_none(), "not yet");
    commit(&mut state).unwrap();
    assert_eq!(state.catalog.index(None, "t_b_idx").unwrap().1, *index);
    assert_eq!(state.catalog.index(Some("public"), "t_pkey").unwrap().0.name, "t");
    assert!(state.catalog.index(None, "t").is_none());
    run(&mut state, DdlRequest::DropIndex(drop_request("t_b_idx", false))).unwrap();
    assert!(state.catalog.table(None, "t").unwrap().indexes.is_empty());
}

/// With a key, all 1,600 columns are the user's; without one, the hidden key is one of them. A table
/// that is accepted has rows of its shape.
#[test]
fn a_table_has_at_most_as_many_columns_as_a_row() {
    for (declared, has_key, accepted) in [
        (1_599, true, true),
        (1_600, true, true),
        (1_601, true, false),
        (1_599, false, true),
        (1_600, false, false),
        (1_601, false, false),
    ] {
        let mut state = cluster(1, "");
        let request = CreateTableRequest {
            columns: (0..declared).map(|k| column(&format!("c{k}"), SqlType::Int4)).collect(),
            primary_key: if has_key { vec![0] } else { Vec::new() },
            ..table("t")
        };
        let done = run(&mut state, DdlRequest::CreateTable(request));
        if accepted {
            assert_eq!(done, Ok(()), "{declared} columns, key: {has_key}");
            let table = state.catalog.table(None, "t").unwrap();
            crate::base::row::RowLayout::new(&table.columns, 1);
            let another = TableAlteration::AddColumn {
                column: column("another", SqlType::Int4),
                if_not_exists: false,
            };
            let full = table.columns.len() == 1_600;
            let added = run(&mut state, alter("t", another));
            assert_eq!(added.is_err(), full, "{declared} columns, key: {has_key}");
        } else {
            assert_eq!(done.unwrap_err().state, SqlState::TooManyColumns);
        }
    }
}
