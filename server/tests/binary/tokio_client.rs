//! tokio-postgres against a demo cluster. This driver prepares every statement and has all values
//! in binary. It asks each of the three nodes in turn: one has the rows, two send statements on to it.

use std::error::Error;
use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use tokio_postgres::error::DbError;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use crate::demo::Demo;
use crate::wire_values::{self, WireType};

/// Far more than any of the tests takes.
const PATIENCE: Duration = Duration::from_secs(100);

/// A value as its bytes on the wire, whatever its type.
#[derive(Clone, PartialEq, Debug)]
struct Raw(Vec<u8>);

impl ToSql for Raw {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.extend_from_slice(&self.0);
        Ok(IsNull::No)
    }
    fn accepts(_: &Type) -> bool {
        true
    }
    to_sql_checked!();
}

impl FromSql<'_> for Raw {
    fn from_sql(_: &Type, bytes: &[u8]) -> Result<Raw, Box<dyn Error + Sync + Send>> {
        Ok(Raw(bytes.to_vec()))
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Runs a test with a client of each node, one after the other.
fn with_each_node(test: impl AsyncFn(&Client)) {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    assert_eq!(demo.urls().len(), 3);
    for url in demo.urls() {
        bounded(async {
            let client = connect(&url.parse().unwrap()).await.unwrap();
            test(&client).await;
        });
    }
    assert!(demo.interrupt());
}

fn bounded(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, test).await.expect("the test hangs");
    });
}

async fn connect(config: &Config) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// What the server said, which must be an error.
fn refusal<T>(result: Result<T, tokio_postgres::Error>) -> DbError {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => error.as_db_error().unwrap_or_else(|| panic!("{error:?}")).clone(),
    }
}

fn state<T>(result: Result<T, tokio_postgres::Error>) -> String {
    refusal(result).code().code().to_owned()
}

async fn run(client: &Client, sql: &str) {
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

#[test]
fn every_type_goes_both_ways() {
    with_each_node(async |client| {
        for ty in wire_values::all() {
            round_trips(client, &ty).await;
        }
        own_types(client).await;
    });
}

/// A value goes out in binary and comes back in binary, from text, as text, out of a table; so does
/// NULL.
async fn round_trips(client: &Client, WireType { sql, ty, values }: &WireType) {
    run(client, &format!("CREATE TABLE kept (id int PRIMARY KEY, v {sql})")).await;
    let constant = client.prepare(&format!("SELECT $1::{sql}")).await.unwrap();
    assert_eq!(constant.params(), std::slice::from_ref(ty));
    assert_eq!(*constant.columns()[0].type_(), *ty);
    let as_text = client.prepare(&format!("SELECT ($1::{sql})::text")).await.unwrap();
    let from_text = client.prepare(&format!("SELECT $1::text::{sql}")).await.unwrap();
    let insert = client.prepare("INSERT INTO kept (v, id) VALUES ($1, $2)").await.unwrap();
    let select = client.prepare("SELECT v FROM kept WHERE id = $1").await.unwrap();
    assert_eq!(*select.columns()[0].type_(), *ty);
    let values = values.iter().map(|v| (Some(v.text.clone()), Some(Raw(v.bytes.clone()))));
    for (id, (text, bytes)) in (0_i32..).zip(values.chain([(None, None)])) {
        let what = || format!("{sql} {:.60}", text.as_deref().unwrap_or("NULL"));
        let got: Option<Raw> = client.query_one(&constant, &[&bytes]).await.unwrap().get(0);
        assert_eq!(got, bytes, "{}", what());
        let got: Option<String> = client.query_one(&as_text, &[&bytes]).await.unwrap().get(0);
        assert_eq!(got, text, "{}", what());
        let got: Option<Raw> = client.query_one(&from_text, &[&text]).await.unwrap().get(0);
        assert_eq!(got, bytes, "{}", what());
        assert_eq!(client.execute(&insert, &[&bytes, &id]).await.unwrap(), 1);
        let got: Option<Raw> = client.query_one(&select, &[&id]).await.unwrap().get(0);
        assert_eq!(got, bytes, "stored {}", what());
    }
    run(client, "DROP TABLE kept").await;
}

/// Types the driver knows itself.
async fn own_types(client: &Client) {
    let at = SystemTime::UNIX_EPOCH + Duration::from_micros(1_709_210_096_789_001);
    let row = client
        .query_one(
            "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, \
             $8::bytea, $9::timestamptz, $10::timestamp, $11::int4[], $12::text",
            &[
                &true,
                &i16::MIN,
                &i32::MIN,
                &i64::MIN,
                &f32::MIN_POSITIVE,
                &f64::MIN_POSITIVE,
                &"žluť",
                &&b"\0\xff"[..],
                &at,
                &at,
                &vec![1, 2],
                &None::<&str>,
            ],
        )
        .await
        .unwrap();
    let numbers = (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4), row.get(5));
    assert_eq!(numbers, (true, i16::MIN, i32::MIN, i64::MIN, f32::MIN_POSITIVE, f64::MIN_POSITIVE));
    assert_eq!((row.get(6), row.get(7)), ("žluť", &b"\0\xff"[..]));
    assert_eq!((row.get(8), row.get(9)), (at, at));
    assert_eq!((row.get(10), row.get(11)), (vec![1, 2], None::<String>));
}

#[test]
fn statements_are_prepared_pipelined_and_refused() {
    with_each_node(async |client| {
        run(
            client,
            "CREATE TABLE reading \
             (id bigint PRIMARY KEY, name text NOT NULL, v float8, short varchar(3))",
        )
        .await;
        described(client).await;
        changes(client).await;
        pipelined(client).await;
        errors(client).await;
        wrong_parameters(client).await;
        not_yet(client).await;
        simple_protocol(client).await;
        changed_table(client).await;
        large_results(client).await;
        idle_cancel(client).await;
        run(client, "DROP TABLE reading").await;
    });
}

async fn described(client: &Client) {
    let statement =
        client.prepare("SELECT id, name AS label, 1 FROM reading WHERE v > $1 AND id = $2").await;
    let statement = statement.unwrap();
    assert_eq!(statement.params(), [Type::FLOAT8, Type::INT8]);
    let columns: Vec<_> = statement.columns().iter().map(|c| (c.name(), c.type_())).collect();
    assert_eq!(columns, [("id", &Type::INT8), ("label", &Type::TEXT), ("?column?", &Type::INT4)]);
    assert!(statement.columns()[0].table_oid().is_some());
    assert_eq!(statement.columns()[1].column_id(), Some(2));
    assert_eq!(statement.columns()[2].table_oid(), None);
    let insert = client.prepare_typed("INSERT INTO reading VALUES ($1, $2)", &[Type::INT8]).await;
    assert_eq!(insert.unwrap().params(), [Type::INT8, Type::TEXT]);
    // Closed when dropped; their names can be used for ever.
    for k in 0..300 {
        let statement = client.prepare(&format!("SELECT {k}::int8")).await.unwrap();
        assert_eq!(client.query_one(&statement, &[]).await.unwrap().get::<_, i64>(0), k);
    }
}

async fn changes(client: &Client) {
    let insert = client.prepare("INSERT INTO reading (id, name, v) VALUES ($1, $2, $3)");
    let insert = insert.await.unwrap();
    for id in 0..20_i64 {
        let v = (id % 2 == 0).then_some(0.5);
        assert_eq!(client.execute(&insert, &[&id, &format!("row {id}"), &v]).await.unwrap(), 1);
    }
    let sql = "UPDATE reading SET v = v * $1 WHERE v IS NOT NULL";
    assert_eq!(client.execute(sql, &[&4.0_f64]).await.unwrap(), 10);
    let sql = "DELETE FROM reading WHERE id >= $1 RETURNING id, name";
    let deleted = client.query(sql, &[&18_i64]).await.unwrap();
    let mut deleted: Vec<&str> = deleted.iter().map(|row| row.get("name")).collect();
    deleted.sort_unstable();
    assert_eq!(deleted, ["row 18", "row 19"]);
    let row =
        client.query_one("SELECT count(*), sum(v), count(v) FROM reading", &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1), row.get(2)), (18_i64, 18.0, 9_i64));
    assert!(client.query_opt("SELECT 1 FROM reading WHERE id = 18", &[]).await.unwrap().is_none());
}

/// Many statements are sent before the first answer comes; one in error does not touch the others.
async fn pipelined(client: &Client) {
    let double = client.prepare("SELECT $1::int4 * 2").await.unwrap();
    let divide = client.prepare("SELECT 1 / $1::int4").await.unwrap();
    let twice = async |k: i32| client.query_one(&double, &[&k]).await.unwrap().get::<_, i32>(0);
    let (first, failed, second, again, third) = tokio::join!(
        twice(1),
        client.query_one(&divide, &[&0]),
        twice(2),
        client.execute("INSERT INTO reading (id, name) VALUES (0, 'again')", &[]),
        twice(3),
    );
    assert_eq!([first, second, third], [2, 4, 6]);
    assert_eq!(state(failed), "22012");
    assert_eq!(state(again), "23505");
}

async fn errors(client: &Client) {
    for (sql, expected) in [
        ("SELEC 1", "42601"),
        ("SELECT 'a' 'b'", "42601"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT nothing FROM reading", "42703"),
        ("SELECT nosuch(1)", "42883"),
        ("CREATE TABLE reading (id int PRIMARY KEY)", "42P07"),
        ("SELECT 1 / 0", "22012"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT 32768::smallint", "22003"),
        ("SELECT '2024-02-30'::date", "22008"),
        ("SELECT '{'::json", "22P02"),
        ("INSERT INTO reading (id, name) VALUES (0, 'x')", "23505"),
        ("INSERT INTO reading (id) VALUES (100)", "23502"),
        ("INSERT INTO reading (id, name, short) VALUES (100, 'x', 'long')", "22001"),
    ] {
        assert_eq!(state(client.execute(sql, &[]).await), expected, "{sql}");
        let row = client.query_one("SELECT count(*) FROM reading", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 18, "after {sql}");
    }
    let sql = "INSERT INTO reading (id, name) VALUES ($1, 'x')";
    let error = refusal(client.execute(sql, &[&3_i64]).await);
    assert_eq!(error.detail(), Some("Key (id)=(3) already exists."));
    assert_eq!((error.table(), error.constraint()), (Some("reading"), Some("reading_pkey")));
}

/// Values that cannot be: refused one by one, and the client goes on.
async fn wrong_parameters(client: &Client) {
    for (sql, bytes, expected) in [
        ("SELECT $1::int4", &[0, 0, 1][..], "08P01"),
        ("SELECT $1::int4", &[0; 5], "22P03"),
        ("SELECT $1::text", &[0xff], "22021"),
        ("SELECT $1::uuid", &[0; 15], "08P01"),
        ("SELECT $1::numeric", &[0, 1, 0, 0, 0x12, 0x34, 0, 0, 0, 1], "22P03"),
        ("SELECT $1::timestamp", &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0], "22008"),
        ("SELECT $1::int4[]", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25], "42804"),
    ] {
        let value = Raw(bytes.to_vec());
        assert_eq!(state(client.query(sql, &[&value]).await), expected, "{sql} of {bytes:?}");
    }
    assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
}

/// What is missing says so by its name, and the client goes on.
async fn not_yet(client: &Client) {
    assert_eq!(state(client.batch_execute("BEGIN").await), "0A000");
    assert_eq!(state(client.copy_in::<_, &[u8]>("COPY reading FROM STDIN").await), "0A000");
    assert_eq!(state(client.copy_out("COPY reading TO STDOUT").await), "0A000");
    for ty in ["interval", "time", "jsonb"] {
        let error = refusal(client.query(&format!("SELECT '1'::{ty}"), &[]).await);
        assert_eq!(
            (error.code().code(), error.message()),
            ("0A000", &*format!("type {ty} is not supported"))
        );
    }
    assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
}

/// Several statements in one message, all values as text. The first error ends it.
async fn simple_protocol(client: &Client) {
    let answers =
        client.simple_query("SELECT id, v FROM reading WHERE id < 2 ORDER BY id; SELECT 'x;y'");
    let rows: Vec<Vec<_>> = answers
        .await
        .unwrap()
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|k| row.get(k).map(str::to_owned)).collect())
            }
            _ => None,
        })
        .collect();
    let text = |text: &str| Some(text.to_owned());
    assert_eq!(rows, [vec![text("0"), text("2")], vec![text("1"), None], vec![text("x;y")]]);
    let sql = "UPDATE reading SET short = 'a'; SELECT 1/0; UPDATE reading SET short = 'b'";
    assert_eq!(state(client.simple_query(sql).await), "22012");
    let row = client.query_one("SELECT max(short) FROM reading", &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "a");
}

/// A prepared statement lives through a new table of the same name; with other columns it is refused
/// in the words by which drivers know to prepare it anew.
async fn changed_table(client: &Client) {
    run(client, "CREATE TABLE changing (id int PRIMARY KEY, v text)").await;
    let statement = client.prepare("SELECT * FROM changing").await.unwrap();
    run(client, "DROP TABLE changing; CREATE TABLE changing (id int PRIMARY KEY, v text)").await;
    run(client, "INSERT INTO changing VALUES (1, 'new')").await;
    let row = client.query_one(&statement, &[]).await.unwrap();
    assert_eq!((row.get(0), row.get(1)), (1, "new"));
    run(client, "DROP TABLE changing").await;
    assert_eq!(state(client.query(&statement, &[]).await), "42P01");
    run(client, "CREATE TABLE changing (id int PRIMARY KEY, w int, v text)").await;
    let error = refusal(client.query(&statement, &[]).await);
    assert_eq!((error.code().code(), error.routine()), ("0A000", Some("RevalidateCachedQuery")));
    run(client, "DROP TABLE changing").await;
}

async fn large_results(client: &Client) {
    let sql = "SELECT n, repeat('x', 100) FROM generate_series(1, $1::int4) AS g (n)";
    let rows = client.query(sql, &[&20_000]).await.unwrap();
    assert!(rows.iter().zip(1..).all(|(row, n)| row.get::<_, i32>(0) == n));
    assert_eq!(rows.len(), 20_000);
}

/// A cancel request that finds nothing to cancel does no harm.
async fn idle_cancel(client: &Client) {
    client.cancel_token().cancel_query(NoTls).await.unwrap();
    for _ in 0..10 {
        assert_eq!(client.query_one("SELECT 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    }
}

#[test]
fn logins() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    let config: Config = demo.urls()[0].parse().unwrap();
    bounded(async {
        let wrong_password = connect(config.clone().password("wrong")).await;
        let said = refusal(wrong_password);
        assert_eq!(said.code().code(), "28P01");
        assert_eq!(said.message(), "password authentication failed for user \"admin\"");
        assert_eq!(said.severity(), "FATAL");
        assert_eq!(state(connect(config.clone().user("nobody")).await), "28P01");
        assert_eq!(state(connect(config.clone().options("-c nothing=1")).await), "42704");
        // There is one database, whatever it is called.
        let client = connect(config.clone().dbname("any").application_name("test")).await.unwrap();
        let row = client.query_one("SELECT current_database(), current_user::text", &[]).await;
        let row = row.unwrap();
        assert_eq!((row.get(0), row.get(1)), ("basalt", "admin"));
        let row = client.query_one("SHOW application_name", &[]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "test");
    });
    assert!(demo.interrupt());
}
