use crate::base::{Datum, SqlState};
use crate::sql::golden;
use crate::sql::testing::{TestDb, shown_error};

/// Runs a script over one database. `\bind a, b` behind a statement gives its parameters.
fn check(name: &str, script: &str) {
    let mut db = TestDb::new();
    golden::check(name, script, |statement| {
        let (text, params) = statement.split_once("\\bind").unwrap_or((statement, ""));
        let params: Vec<&str> =
            params.split(',').map(str::trim).filter(|p| !p.is_empty()).collect();
        match db.try_run(text, &params) {
            Ok(lines) => lines.join("\n"),
            Err(e) => shown_error(&e),
        }
    });
}

#[test]
fn select_script() {
    check("select.txt", include_str!("../sql/golden/select.txt"));
}

#[test]
fn join_script() {
    check("join.txt", include_str!("../sql/golden/join.txt"));
}

#[test]
fn aggregate_script() {
    check("aggregate.txt", include_str!("../sql/golden/aggregate.txt"));
}

#[test]
fn change_script() {
    check("change.txt", include_str!("../sql/golden/change.txt"));
}

#[test]
fn schema_script() {
    check("schema.txt", include_str!("../sql/golden/schema.txt"));
}

#[test]
fn explain_script() {
    check("explain.txt", include_str!("../sql/golden/explain.txt"));
}

#[test]
fn error_script() {
    check("errors.txt", include_str!("../sql/golden/errors.txt"));
}

#[test]
fn memory_is_bounded() {
    let mut db = TestDb::new();
    db.memory_limit = 100_000;
    for query in [
        "select g from generate_series(1, 100000) g order by g desc",
        "select distinct g from generate_series(1, 100000) g",
        "select g, count(*) from generate_series(1, 100000) g group by g",
        "select count(*) from generate_series(1, 100000) a join generate_series(1, 100000) b on a.a = b.b",
        "select count(distinct g) from generate_series(1, 100000) g",
    ] {
        assert_eq!(db.try_run(query, &[]).unwrap_err().state, SqlState::OutOfMemory, "{query}");
    }
    let top = "select g from generate_series(1, 100000) g order by g desc limit 2";
    assert_eq!(db.run(top), "g\n100000\n99999\nSELECT 2");
}

#[test]
fn a_statement_of_many_rows_is_atomic() {
    let mut db = TestDb::new();
    db.run("create table t (id int primary key, v text)");
    assert_eq!(
        db.run("insert into t select g, 'x' from generate_series(1, 10000) g"),
        "INSERT 0 10000"
    );
    let clash =
        "insert into t select g, 'y' from generate_series(10001, 20000) g union all select 5, 'z'";
    assert!(db.run(clash).starts_with("ERROR 23505"), "one row of 10,001 is in the way");
    assert_eq!(db.run("select count(*) from t"), "count\n10000\nSELECT 1");
    assert_eq!(db.run("update t set id = id + 1"), "UPDATE 10000");
    assert_eq!(db.run("select min(id), max(id) from t"), "min | max\n2 | 10001\nSELECT 1");
}

#[test]
fn the_point_path_gives_what_the_general_one_gives() {
    let mut db = TestDb::new();
    db.run("create table t (a int, b text, v int, primary key (b, a)) distributed by (a)");
    db.run("insert into t select g % 10, 'k' || g, g from generate_series(1, 50) g");
    let point = db.prepare("select v, a from t where a = $1 and b = $2").unwrap();
    assert!(matches!(point.plan, crate::sql::plan::Plan::Point(_)), "{:?}", point.plan);
    let general = db.prepare("select v, a from t where a + 0 = $1 and b = $2").unwrap();
    for (a, b) in [(7, "k7"), (7, "k17"), (8, "k17"), (-1, "k1")] {
        let params = [Datum::Int4(a), Datum::text(b)];
        let (rows, outcome) = db.execute(&point, &params).unwrap();
        assert_eq!(rows, db.execute(&general, &params).unwrap().0);
        assert_eq!(outcome.tag.to_string(), format!("SELECT {}", rows.len()));
    }
    let nothing = db.execute(&point, &[Datum::Null, Datum::text("k7")]).unwrap();
    assert!(nothing.0.is_empty());
}
