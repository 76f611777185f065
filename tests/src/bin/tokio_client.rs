//! tokio-postgres against the server in `$URL`: one line a case, `ok name` or `FAIL name: why`.
//!
//! This driver speaks the extended protocol with binary values only. `tests/clients/run.py` starts
//! the server and runs this.

use std::error::Error;
use std::process::ExitCode;

use tokio_postgres::{Client, NoTls, types::Type};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("FAIL connection: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every case passed.
async fn run() -> Result<bool, Box<dyn Error>> {
    let url = std::env::var("URL")?;
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    client
        .batch_execute("CREATE TABLE reading (id bigint PRIMARY KEY, name text, v float8)")
        .await?;
    let passed = [
        told("values both ways", values(&client).await),
        told("statement describes its parameters and columns", described(&client).await),
        told("queries in flight together", together(&client).await),
        told("errors have their states", errors(&client).await),
    ];
    client.batch_execute("DROP TABLE reading").await?;
    Ok(passed.into_iter().all(|passed| passed))
}

fn told(name: &str, outcome: Outcome) -> bool {
    match &outcome {
        Ok(()) => println!("ok {name}"),
        Err(error) => println!("FAIL {name}: {error}"),
    }
    outcome.is_ok()
}

fn equal<T: PartialEq + std::fmt::Debug>(got: T, want: T) -> Outcome {
    if got == want { Ok(()) } else { Err(format!("got {got:?}, not {want:?}").into()) }
}

async fn values(client: &Client) -> Outcome {
    let rows = [(1_i64, Some("žluť ☃"), Some(0.1_f64)), (i64::MAX, None, None)];
    for (id, name, value) in rows {
        let insert = "INSERT INTO reading VALUES ($1, $2, $3)";
        equal(client.execute(insert, &[&id, &name, &value]).await?, 1)?;
        let row = client.query_one("SELECT * FROM reading WHERE id = $1", &[&id]).await?;
        equal((row.get(0), row.get(1), row.get(2)), (id, name, value))?;
    }
    Ok(())
}

async fn described(client: &Client) -> Outcome {
    let statement = client.prepare("SELECT id, name FROM reading WHERE v > $1").await?;
    equal(statement.params(), &[Type::FLOAT8][..])?;
    let columns: Vec<_> =
        statement.columns().iter().map(|c| (c.name(), c.type_().clone())).collect();
    equal(columns, vec![("id", Type::INT8), ("name", Type::TEXT)])
}

async fn together(client: &Client) -> Outcome {
    let statement = client.prepare("SELECT $1::int4 + $2::int4").await?;
    let one = async |k: i32| client.query_one(&statement, &[&k, &1_i32]).await;
    let (first, second, third) = tokio::join!(one(1), one(2), one(3));
    equal([first?.get(0), second?.get(0), third?.get(0)], [2, 3, 4])
}

async fn errors(client: &Client) -> Outcome {
    for (sql, state) in [
        ("INSERT INTO reading (id) VALUES (1)", "23505"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT 1/0", "22012"),
    ] {
        let code = match client.execute(sql, &[]).await {
            Err(error) => error.code().map(|c| c.code().to_owned()),
            Ok(_) => None,
        };
        equal(code.as_deref(), Some(state))?;
    }
    Ok(())
}
