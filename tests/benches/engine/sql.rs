//! From text to plan: what a client pays that does not prepare its statements.

use std::hint::black_box;

use basalt_core::base::SqlResult;
use basalt_core::sql::parse::{Parsed, Source, parse};
use basalt_core::sql::plan::{Plan, Prepared};
use basalt_core::sql::prepare;
use basalt_fuzz::schema::Schema;
use criterion::Criterion;

type IsExpected = fn(&Plan) -> bool;

const STATEMENTS: [(&str, &str, IsExpected); 3] = [
    ("point select", "SELECT id, owner, balance FROM accounts WHERE id = $1", |plan| {
        matches!(plan, Plan::Point(_))
    }),
    ("insert", "INSERT INTO accounts (id, owner, balance) VALUES ($1, $2, $3)", |plan| {
        matches!(plan, Plan::Insert(_))
    }),
    (
        "report",
        "SELECT owner, count(*), sum(balance) FROM accounts WHERE since > $1 AND balance > 0 \
         GROUP BY owner ORDER BY 3 DESC LIMIT 10",
        |plan| matches!(plan, Plan::Query(_)),
    ),
];

pub fn sql(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sql");
    for (name, text, is_expected) in STATEMENTS {
        let source = Source::new(text);
        let statements = parse(text).expect("correct SQL");
        let [statement] = statements.as_slice() else { panic!("one statement: {text}") };
        let prepared = plan(&source, statement).expect("names and types that exist");
        assert!(is_expected(&prepared.plan), "the plan of {text}: {:?}", prepared.plan);
        group.bench_function(format!("{name}, parse"), |bencher| {
            bencher.iter(|| parse(black_box(text)).expect("as above"));
        });
        group.bench_function(format!("{name}, bind and plan"), |bencher| {
            bencher.iter(|| plan(&source, black_box(statement)).expect("as above"));
        });
    }
    group.finish();
}

fn plan(source: &Source<'_>, statement: &Parsed) -> SqlResult<Prepared> {
    prepare(&statement.stmt, source, Schema::get().context(), Vec::new())
}
