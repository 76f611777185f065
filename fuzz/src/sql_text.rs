//! A query text, as a client may send any.

use std::sync::Arc;

use basalt_core::base::SqlResult;
use basalt_core::sql::parse::{self, Parsed, Source};
use basalt_core::sql::plan::{Explain, Plan, Prepared};
use basalt_core::sql::{explain, prepare};

use crate::schema::Schema;

/// See the module.
pub fn run(data: &[u8]) {
    plan_all(&String::from_utf8_lossy(data));
}

/// Plans every statement of the text twice; gives how many could be planned.
pub fn plan_all(text: &str) -> usize {
    let Ok(statements) = parse::parse(text) else { return 0 };
    let mut planned = 0;
    for statement in &statements {
        assert!(text.get(statement.range.clone()).is_some(), "{:?} of {text:?}", statement.range);
        let first = plan(text, statement);
        let again = plan(text, statement);
        planned += usize::from(first.is_ok());
        assert_eq!(shown(first), shown(again), "the same text, planned twice: {text:?}");
    }
    planned
}

fn plan(text: &str, statement: &Parsed) -> SqlResult<Prepared> {
    prepare(&statement.stmt, &Source::new(text), Schema::get().context(), Vec::new())
}

/// The plan as text, explained where it can be; or the error.
fn shown(plan: SqlResult<Prepared>) -> String {
    let prepared = match plan {
        Ok(prepared) => prepared,
        Err(error) => return format!("{error:?}"),
    };
    let text = format!("{prepared:?}");
    if matches!(prepared.plan, Plan::Query(_) | Plan::Point(_) | Plan::Update(_) | Plan::Delete(_))
    {
        let of = Arc::new(prepared);
        for json in [false, true] {
            assert!(!explain::lines(&Explain { of: of.clone(), buckets: true, json }).is_empty());
        }
    }
    text
}

/// Statements of every kind.
pub fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "SELECT id, owner, sum(balance) OVER () FROM accounts",
        "SELECT a.owner, count(*), sum(a.balance) FROM accounts a JOIN settings s ON a.owner = s.key \
         WHERE a.id BETWEEN 1 AND $1 GROUP BY a.owner HAVING count(*) > 2 ORDER BY 2 DESC LIMIT 10 OFFSET 1",
        "WITH w AS (SELECT * FROM accounts WHERE owner LIKE 'a%') SELECT * FROM w UNION ALL SELECT * FROM w",
        "INSERT INTO accounts (id, balance) VALUES ($1, 1.5), (2, '7'::numeric) \
         ON CONFLICT (id) DO UPDATE SET balance = excluded.balance RETURNING *",
        "UPDATE accounts SET balance = balance + $1, owner = upper(owner) WHERE id = 7 RETURNING id",
        "DELETE FROM accounts USING settings WHERE accounts.owner = settings.key",
        "CREATE TABLE t (a int PRIMARY KEY, b varchar(10) DEFAULT 'x', UNIQUE (a, b)) \
         USING memtx DISTRIBUTED BY (a) IN TIER \"default\" OPTION (TIMEOUT = 3.0)",
        "CREATE UNIQUE INDEX i ON accounts (owner DESC NULLS LAST, since); DROP TABLE IF EXISTS x, settings",
        "SELECT date '2024-02-30', interval '1 day', timestamp '2024-01-01 00:00:00' + 1, ARRAY[1,2][1]",
        "SELECT CASE WHEN id IS NULL THEN 1.0e10 ELSE -id END, NOT (owner IN ('a', NULL)), \
         (SELECT max(balance) FROM accounts b WHERE b.id = a.id) FROM accounts a",
        "BEGIN; SET search_path TO public, x; SHOW ALL; GRANT SELECT ON TABLE accounts TO admin; \
         ALTER SYSTEM SET a = 1; CREATE USER u WITH PASSWORD 'p'; ROLLBACK",
        "EXPLAIN (buckets, format json) SELECT * FROM pg_catalog.pg_class c, accounts WHERE c.oid = 1",
        "SELECT substring('abc' from 2 for 1), position('b' in 'abc'), extract(year from now()), \
         trim(both 'x' from 'xax'), 'a' ~ '(a|b)*c', E'\\\\x41'::bytea, $$q$$, U&'\\0061'",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}
