use crate::base::{Datum, SqlState};
use crate::exec::operator::BATCH_ROWS;
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
fn subquery_script() {
    check("subquery.txt", include_str!("../sql/golden/subquery.txt"));
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
        "select array_agg(g order by repeat('x', 1000 + g)) from generate_series(1, 1000) g",
        "select g % 100, max(repeat('x', 2000 + g)) from generate_series(1, 1000) g group by 1",
        "select string_agg(repeat('x', 1000), '') from generate_series(1, 1000)",
        "select array_agg(repeat('x', 1000)) from generate_series(1, 1000)",
        "select array_agg(distinct repeat('x', 1000) || g) from generate_series(1, 1000) g",
        "select repeat('x', 10000) || g from generate_series(1, 1000) g order by 1 limit 100",
        "(select g from generate_series(1, 1000) g) order by repeat('x', 1000 + g)",
        "select repeat('x', g % 2) from generate_series(1, 2000) g order by 1 limit 950",
    ] {
        assert_eq!(db.try_run(query, &[]).unwrap_err().state, SqlState::OutOfMemory, "{query}");
    }
    let top = "select g from generate_series(1, 100000) g order by g desc limit 2";
    assert_eq!(db.run(top), "g\n100000\n99999\nSELECT 2");
    // What is dropped or replaced is not counted again and again.
    let top = "select length(s) from (select repeat('x', g) s from generate_series(1, 3000) g) t \
               order by s desc limit 1";
    assert_eq!(db.run(top), "length\n3000\nSELECT 1");
    let longest = "select length(max(repeat('x', g))) from generate_series(1, 10000) g";
    assert_eq!(db.run(longest), "length\n10000\nSELECT 1");
}

/// Whatever a statement is busy with, it stops where its slice is spent.
#[test]
fn a_long_statement_lets_others_have_their_turn() {
    let mut db = TestDb::new();
    db.memory_limit = 256 << 20;
    db.run("create table t (id int primary key, v int)");
    db.run("insert into t select g, g from generate_series(1, 300) g");
    for (query, slices) in [
        ("select v from t", 6),
        ("select count(*) from t, t u", 900),
        ("select count(*) from t join t u on t.v = u.v", 9),
        ("select count(*) from t where v > (select count(*) from t u where u.id > t.id)", 600),
        ("select v from t order by v desc", 6),
        ("select v, count(*) from t group by v", 6),
        ("select count(*) from generate_series(1, 100000)", 1_000),
        ("update t set v = 0 where v in (select u.v from t u)", 12),
        ("delete from t where v > (select min(v) from t)", 9),
        ("insert into t select g, g from generate_series(1001, 1300) g", 6),
    ] {
        let taken = db.slices(query, 100);
        assert!((slices / 2..=slices * 2).contains(&taken), "{query}: {taken} slices");
    }
    // Rows that were kept count where they are given, though none gets to the top.
    let rows = "generate_series(1, 20000) g";
    for kept in [
        format!("select count(*) from (select g from {rows} order by g offset 1) s where g < 0"),
        format!("select g from {rows} group by g having count(*) > 1"),
    ] {
        assert_eq!(db.slices(&kept, 10_000), 4, "{kept}");
    }
    // Left rows without candidates count as well.
    let none = "join (values (0)) v(x) on g = x";
    for (join, slices) in [
        (format!("select count(*) from {rows} {none}"), 4),
        (
            format!(
                "select count(*) from (select g from {rows} order by g offset 1) s left {none}"
            ),
            5,
        ),
    ] {
        let taken = db.slices(&join, 10_000);
        assert!(taken >= slices, "{join}: {taken} slices");
    }
}

/// A key that is another one each time it is evaluated is evaluated once a row, however the work is cut.
#[test]
fn a_volatile_key_of_a_join_is_evaluated_once() {
    let mut db = TestDb::new();
    let joined = "select a, b from generate_series(1, 20) a join generate_series(1, 20) b \
                  on a.a * 0 + (random() * 9)::int = b.b % 10 order by 1, 2";
    let result = db.run(joined);
    assert!(result.ends_with("SELECT 40"), "{result}");
}

/// A row that takes long ends its slice, whatever the operator above it asks for; what was done for the rows
/// before it stays done.
#[test]
fn rows_of_long_expressions_let_others_have_their_turn() {
    let mut db = TestDb::new();
    db.memory_limit = 256 << 20;
    db.run("create table t (id int primary key, v text)");
    db.run("insert into t select g, repeat('a', 600000) || g from generate_series(1, 9) g");
    for n in 1..9 {
        db.run(&format!("create table u{n} (id int primary key)"));
    }
    let nine = "generate_series(1, 9) g";
    let long = "repeat('a', 5000000 + g)";
    let heavy = "repeat('a', 5000000 + g) like '%b%'";
    let once = "select repeat('a', 5000000)";
    let of_row = "lower(upper(lower(upper(v)))) like '%b'";
    for query in [
        format!("select id from t where {of_row}"),
        format!("select {of_row} from t"),
        format!("select length(v) from t order by {of_row}"),
        format!("delete from t where id > 0 returning {of_row}"),
        format!("update t set v = v returning {of_row}"),
        format!(
            "insert into t select id, v from t \
             on conflict (id) do update set v = excluded.v returning {of_row}"
        ),
        format!("select g from {nine} where {heavy}"),
        format!("select g from {nine} where g > (select 0) and not {heavy}"),
        format!("select {heavy} from {nine}"),
        format!("select g from {nine} order by {heavy}"),
        format!("select count(*) filter (where {heavy}) from {nine}"),
        format!("select g from {nine} join (values (1)) v(x) on x > 1 or {heavy}"),
        format!("select g from (values (1)) v(x) join {nine} on x > 1 or {heavy}"),
        format!("select g from {nine} join (values ('b')) v(x) on {long} = x"),
        format!("select g from {nine} left join (values ('b')) v(x) on {long} = x"),
        format!("select g from (values ('b')) v(x) join {nine} on {long} = x"),
        format!("select g from {nine} where {long} in (select x from (values ('b')) v(x))"),
        format!("select {long} in (select x from (values ('b')) v(x)) from {nine} order by 1"),
        format!("select count(*) from ({}) s(x) where x like '%b'", [once; 9].join(" union all ")),
        format!("select {}", [format!("(({once}) like '%b')").as_str(); 9].join(", ")),
        "select count(*) from pg_tables where repeat('a', 5000000) || tablename like '%b'".into(),
        format!(
            "select (select count(*) from (values (1)) v(x) where x > 1 or {heavy}) from {nine}"
        ),
        format!("insert into t select g + 10, ({heavy})::text from {nine}"),
    ] {
        let taken = db.slices(&query, 1_000);
        assert!((9..=20).contains(&taken), "{query}: {taken} slices");
    }
    // Together they take more than a row may.
    let sum = "select sum(length(repeat('a', 5000000))) from generate_series(1, 100)";
    assert!((100..=105).contains(&db.slices(sum, 1_000)));
}

/// Patterns and values that would take minutes or gigabytes, with the bounds next to them.
#[test]
fn one_expression_does_not_stop_an_instance() {
    let mut db = TestDb::new();
    let steps = "ERROR 54000 evaluation of an expression takes too many steps";
    let length = "ERROR 54000 requested length too large";
    let elements = "ERROR 54000 array size exceeds the maximum allowed (1048576)";
    for (expr, expected) in [
        ("repeat('a', 2000000) like '%' || repeat('a', 20000) || 'b'", "f"),
        ("repeat('a', 2000000) like '%' || repeat('a', 20000) || '%b'", "f"),
        ("repeat('a', 2000000) like '%' || repeat('a', 20000) || 'b%'", "f"),
        ("repeat('a', 20000) like '%_' || repeat('a', 1000) || 'b%'", "f"),
        ("repeat('a', 2000000) like '%_' || repeat('a', 20000) || 'b%'", steps),
        ("repeat('a', 2000000) ilike '%_' || repeat('A', 20000) || 'b%'", steps),
        ("repeat('a', 10000) ~ '(a?){255}b'", "f"),
        ("repeat('a', 10000000) ~ '(a?){255}b'", steps),
        ("length(translate(repeat('a', 1000000), repeat('b', 1000000) || 'a', 'c'))", "0"),
        ("length(btrim(repeat('a', 1000000), repeat('b', 1000000) || 'a'))", "0"),
        ("length(array_to_string(array['a', 'b', 'c'], repeat(',', 8000000)))", "16000003"),
        ("length(array_to_string(array['a', 'b', 'c'], repeat(',', 9000000)))", length),
        ("cardinality(string_to_array(repeat(',', 1048575), ','))", "1048576"),
        ("cardinality(string_to_array(repeat(',', 1048576), ','))", elements),
        ("cardinality(string_to_array(repeat('a', 1048577), null))", elements),
        ("cardinality(('{' || repeat('1,', 1048575) || '1}')::int[])", "1048576"),
        ("cardinality(('{' || repeat('1,', 1048576) || '1}')::int[])", elements),
        ("length(quote_literal(repeat('''', 8000000)))", "16000002"),
        ("length(quote_literal(repeat('''', 9000000)))", length),
        ("length(array[repeat('a', 9000000)]::text)", "9000002"),
        ("length(array[t, t]::text) from (select repeat('a', 9000000) t) s", length),
    ] {
        let result = db.run(&format!("select {expr}"));
        let line = if result.starts_with("ERROR") { 0 } else { 1 };
        assert_eq!(result.lines().nth(line), Some(expected), "{expr}");
    }
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

/// Types and type modifiers as PostgreSQL reports them.
#[test]
fn one_of_several_values_keeps_what_they_have_in_common() {
    use crate::base::SqlType::{Numeric, Text, Varchar};
    let mut db = TestDb::new();
    db.run("create table t (id int primary key, v varchar(5), n numeric(10,2))");
    let (five, ten_two) = (5 + 4, (10 << 16 | 2) + 4);
    for (expr, ty, typmod) in [
        ("case when id > 0 then v end", Varchar, -1),
        ("case when id > 0 then v else v end", Varchar, five),
        ("case when id > 0 then v else 'abc' end", Varchar, -1),
        ("case when id > 0 then n else 1 end", Numeric, -1),
        ("coalesce(v, v)", Varchar, five),
        ("coalesce(v, 'x')", Varchar, -1),
        ("coalesce(n, n)", Numeric, ten_two),
        ("coalesce(n, 1)", Numeric, -1),
        ("greatest(n, n)", Numeric, ten_two),
        ("nullif(v, 'y')", Text, -1),
        ("nullif(n, 1)", Numeric, ten_two),
    ] {
        let columns = db.prepare(&format!("select {expr} from t")).unwrap().columns.unwrap();
        assert_eq!((columns[0].ty, columns[0].typmod), (ty, typmod), "{expr}");
    }
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

/// Conditions on keys and the same ones hidden from the planner find the same rows.
#[test]
fn access_paths_find_what_full_scans_find() {
    let mut db = TestDb::new();
    db.run(
        "create table t (a int, b text, c bigint, d int, primary key (a, b)) distributed by (a)",
    );
    db.run("create index t_c on t (c desc, d)");
    db.run("create unique index t_u on t (d desc nulls last, a)");
    db.run(
        "insert into t select g % 7, 'k' || g % 5, case when g % 4 > 0 then g % 3 end, nullif(g, 9) \
         from generate_series(1, 60) g on conflict do nothing",
    );
    let mut rng = crate::seam::Rng::from_u64(7);
    for _ in 0..400 {
        let (mut seen, mut hidden) = (Vec::new(), Vec::new());
        for _ in 0..=rng.below(3) {
            let op = rng.choose(&["=", "<", "<=", ">", ">=", "<>"]).unwrap();
            let number = rng.below(9) as i64 - 1;
            let (plain, disguised, value) = match rng.below(4) {
                0 => ("a", "a + 0", number.to_string()),
                1 => ("b", "b || ''", format!("'k{number}'")),
                2 => ("c", "c + 0", number.to_string()),
                _ => ("d", "d + 0", (number * 7).to_string()),
            };
            seen.push(format!("{plain} {op} {value}"));
            hidden.push(format!("{disguised} {op} {value}"));
        }
        let query = |parts: &[String]| {
            format!("select * from t where {} order by 1, 2", parts.join(" and "))
        };
        assert_eq!(db.run(&query(&seen)), db.run(&query(&hidden)), "{seen:?}");
    }
}

mod random {
    use super::*;
    use proptest::prelude::*;

    const WORDS: &[&str] = &[
        "select",
        "select *",
        "from t",
        "from",
        "t",
        "u",
        "a",
        "b",
        "t.a",
        "u.x",
        "where",
        "and",
        "or",
        "not",
        "=",
        "<",
        "+",
        "-",
        "||",
        "(",
        ")",
        ",",
        "1",
        "2.5",
        "'x'",
        "null",
        "true",
        "$1",
        "::int",
        "::text",
        "group by",
        "having",
        "order by",
        "limit",
        "offset",
        "distinct",
        "count(*)",
        "sum(a)",
        "max(b)",
        "(select a from t)",
        "exists (select 1 from u where x = a)",
        "in (select x from u)",
        "in (1, 2)",
        "join u on",
        "left join u on",
        "cross join u",
        "using (a)",
        "union",
        "union all",
        "except",
        "values (1, 'x')",
        "insert into t",
        "update t set a =",
        "delete from t",
        "returning *",
        "on conflict do nothing",
        "as",
        "case when",
        "then",
        "else",
        "end",
        "between",
        "is null",
        "like",
        "coalesce(a, 1)",
        "upper(b)",
        "with w as (select a from t)",
        "w",
        "explain",
        "default",
        "array[1]",
        "any",
        "generate_series(1, 3) g",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// Whatever the words: an answer or an error of the user's, never a panic or one of ours.
        #[test]
        fn no_statement_breaks_us(words in prop::collection::vec(prop::sample::select(WORDS), 1..14)) {
            let mut db = TestDb::new();
            db.run("create table t (a int primary key, b text)");
            db.run("create table u (x int primary key, y text)");
            db.run("insert into t values (1, 'x'), (2, null)");
            db.run("insert into u values (1, 'x'), (3, 'z')");
            db.run(&words.join(" "));
            let select = format!("select {}", words.join(" "));
            db.run(&select);
            db.run(&format!("select a from t where {}", words.join(" ")));
        }
    }

    #[test]
    fn deep_expressions_are_refused() {
        let mut db = TestDb::new();
        db.run("create table t (a int primary key, b text)");
        for part in ["+1", "::int", " is null", " union select 1"] {
            for count in [100, 240, 300, 1500] {
                let result = db.run(&format!("select 1{}", part.repeat(count)));
                let refused =
                    result.starts_with("ERROR 54001") || result.starts_with("ERROR 22003");
                let fine = result.ends_with("SELECT 1") || result.starts_with("ERROR 42846");
                assert!(refused || fine, "{part} {count}: {result}");
            }
        }
        let many = format!("select 1 where false{}", " or 1 = 2".repeat(900));
        assert_eq!(db.run(&many), "?column?\nSELECT 0");
        let nested = format!("select {}1{}", "(".repeat(100), ")".repeat(100));
        assert!(db.run(&nested).ends_with("SELECT 1"));
        let nested = format!("select {}1{}", "abs(".repeat(60), ")".repeat(60));
        assert!(db.run(&nested).ends_with("SELECT 1"));
        let subqueries = format!("select {}1{}", "(select ".repeat(60), ")".repeat(60));
        let result = db.run(&subqueries);
        assert!(result.ends_with("SELECT 1") || result.starts_with("ERROR 54001"), "{result}");
    }
}

/// Long values end a batch early, so that not a thousand of them are in memory at once; they count for
/// the slice like the rows they are made instead of.
#[test]
fn batches_of_long_values_are_short() {
    let db = TestDb::new();
    let rows = "select repeat('x', 1000000 + g * 0) from generate_series(1, 40) g";
    let values = format!("values {}", vec!["(repeat('x', 1000000))"; 40].join(", "));
    for text in [rows, &values] {
        assert_eq!(db.slices(text, usize::MAX), 1);
        assert!(db.slices(text, 2 * BATCH_ROWS) >= 4, "{text:.40}");
    }
    let joined = format!("select * from ({rows}) t cross join (values (1), (2)) u(v)");
    let marked = "select g, (select repeat('x', 1000000 + g)) from generate_series(1, 40) g";
    for (text, count) in [(rows, 40), (&values, 40), (&joined, 80), (marked, 40)] {
        let batches = db.batches(text);
        assert!(batches.iter().all(|rows| *rows <= 10), "{text:.60}: {batches:?}");
        assert_eq!(batches.iter().sum::<usize>(), count);
    }
}
