//! A query text, as a client may send any.

use std::sync::Arc;

use basalt_core::base::SqlResult;
use basalt_core::sql::parse::{self, Parsed, Source};
use basalt_core::sql::plan::{Explain, Plan, Prepared};
use basalt_core::sql::{explain, prepare};

use crate::Seeds;
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
        let source = statement.source(text);
        let first = plan(&source, statement);
        let again = plan(&source, statement);
        let (shown, shown_again) = (format!("{first:?}"), format!("{again:?}"));
        assert_eq!(shown, shown_again, "the same text, planned twice: {text:?}");
        if let Ok(prepared) = first {
            planned += 1;
            explain_all(prepared);
        }
    }
    planned
}

fn plan(source: &Source<'_>, statement: &Parsed) -> SqlResult<Prepared> {
    prepare(&statement.stmt, source, Schema::get().context(), Vec::new())
}

/// Explains what can be explained, in both forms.
fn explain_all(prepared: Prepared) {
    if !matches!(
        prepared.plan,
        Plan::Query(_) | Plan::Point(_) | Plan::Update(_) | Plan::Delete(_) | Plan::Insert(_)
    ) {
        return;
    }
    let of = Arc::new(prepared);
    for json in [false, true] {
        assert!(!explain::lines(&Explain { of: of.clone(), buckets: true, json }).is_empty());
    }
}

/// Statements of every kind.
pub fn seeds() -> Seeds {
    SEEDS.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect()
}

const SEEDS: [(&str, &str); 34] = [
    ("window.sql", "SELECT id, owner, sum(balance) OVER () FROM accounts"),
    (
        "select-join-group.sql",
        "SELECT a.owner, count(*), sum(a.balance) FROM accounts a JOIN settings s ON a.owner = s.key \
         WHERE a.id BETWEEN 1 AND $1 GROUP BY a.owner HAVING count(*) > 2 ORDER BY 2 DESC LIMIT 10 OFFSET 1",
    ),
    (
        "select-with-union.sql",
        "WITH w AS (SELECT * FROM accounts WHERE owner LIKE 'a%') SELECT * FROM w UNION ALL SELECT * FROM w",
    ),
    (
        "insert-conflict.sql",
        "INSERT INTO accounts (id, balance) VALUES ($1, 1.5), (2, '7'::numeric) \
         ON CONFLICT (id) DO UPDATE SET balance = excluded.balance RETURNING *",
    ),
    (
        "insert-select.sql",
        "INSERT INTO settings SELECT owner, 'x' FROM accounts ORDER BY id LIMIT 3",
    ),
    ("insert-default.sql", "INSERT INTO accounts (id, owner, balance) VALUES (1, DEFAULT, 0)"),
    (
        "update.sql",
        "UPDATE accounts SET balance = balance + $1, owner = upper(owner) WHERE id = 7 RETURNING id",
    ),
    (
        "update-from.sql",
        "UPDATE accounts a SET owner = s.value FROM settings s WHERE a.owner = s.key",
    ),
    ("delete-using.sql", "DELETE FROM accounts USING settings WHERE accounts.owner = settings.key"),
    ("delete-point.sql", "DELETE FROM everything WHERE id = -2147483648 RETURNING *"),
    (
        "create-table.sql",
        "CREATE TABLE t (a int PRIMARY KEY, b varchar(10) DEFAULT 'x', UNIQUE (a, b)) \
         USING memtx DISTRIBUTED BY (a) IN TIER \"default\" OPTION (TIMEOUT = 3.0)",
    ),
    (
        "create-table-global.sql",
        "CREATE UNLOGGED TABLE IF NOT EXISTS g (k uuid, v json, PRIMARY KEY (k)) DISTRIBUTED GLOBALLY WAIT APPLIED LOCALLY",
    ),
    (
        "create-index-drop.sql",
        "CREATE UNIQUE INDEX i ON accounts (owner DESC NULLS LAST, since); DROP TABLE IF EXISTS x, settings",
    ),
    (
        "alter-table.sql",
        "ALTER TABLE accounts ADD COLUMN note text DEFAULT 'n'; ALTER TABLE accounts RENAME COLUMN owner TO o; TRUNCATE accounts",
    ),
    (
        "types.sql",
        "SELECT date '2024-02-30', interval '1 day', timestamp '2024-01-01 00:00:00' + 1, ARRAY[1,2][1]",
    ),
    (
        "case-in-subquery.sql",
        "SELECT CASE WHEN id IS NULL THEN 1.0e10 ELSE -id END, NOT (owner IN ('a', NULL)), \
         (SELECT max(balance) FROM accounts b WHERE b.id = a.id) FROM accounts a",
    ),
    (
        "session.sql",
        "BEGIN; SET search_path TO public, x; SHOW ALL; GRANT SELECT ON TABLE accounts TO admin; \
         ALTER SYSTEM SET a = 1; CREATE USER u WITH PASSWORD 'p'; ROLLBACK",
    ),
    (
        "transaction.sql",
        "START TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY; SAVEPOINT s; ROLLBACK TO s; COMMIT AND CHAIN; END",
    ),
    (
        "explain-catalog.sql",
        "EXPLAIN (buckets, format json) SELECT * FROM pg_catalog.pg_class c, accounts WHERE c.oid = 1",
    ),
    (
        "explain-analyze.sql",
        "EXPLAIN ANALYZE SELECT 1 WHERE EXISTS (SELECT 1 FROM accounts WHERE id = ANY ('{1,2}'::int[]))",
    ),
    (
        "functions.sql",
        "SELECT substring('abc' from 2 for 1), position('b' in 'abc'), extract(year from now()), \
         trim(both 'x' from 'xax'), 'a' ~ '(a|b)*c', E'\\x41'::bytea, $$q$$, U&'\\0061'",
    ),
    (
        "prepare.sql",
        "PREPARE p (int, text) AS SELECT $1, $2; EXECUTE p (1, 'x'); DEALLOCATE ALL; DISCARD ALL",
    ),
    (
        "roles.sql",
        "CREATE ROLE r; ALTER USER u WITH PASSWORD 'x' USING md5; REVOKE WRITE ON TABLE accounts FROM u; DROP USER IF EXISTS u",
    ),
    (
        "plugin.sql",
        "CREATE PLUGIN p 0.1.0; ALTER PLUGIN p 0.1.0 ENABLE; ALTER PLUGIN p MIGRATE TO 0.2.0 OPTION (TIMEOUT = 1); DROP PLUGIN p 0.1.0 WITH DATA",
    ),
    (
        "copy-cursor.sql",
        "COPY accounts FROM STDIN; DECLARE c CURSOR FOR SELECT 1; FETCH 1 FROM c; CLOSE c; LISTEN l; VACUUM",
    ),
    (
        "comments.sql",
        "/* a /* nested */ b */ SELECT 1 -- end\n; ; SELECT \"Quoted \"\"name\", 'it''s', E'\\n\\u0041', 1e-3, .5, 0x1F",
    ),
    (
        "values-except.sql",
        "(VALUES (1, 'a'), (2, NULL)) EXCEPT ALL SELECT id::int, owner FROM accounts ORDER BY 1 NULLS FIRST",
    ),
    (
        "outer-joins.sql",
        "SELECT * FROM accounts a FULL JOIN everything e USING (id) LEFT JOIN LATERAL (SELECT 1) l ON TRUE",
    ),
    (
        "distinct-filter.sql",
        "SELECT DISTINCT count(DISTINCT owner) FILTER (WHERE balance > 0), string_agg(owner, ',') FROM accounts",
    ),
    (
        "every-type.sql",
        "SELECT c_int2 + c_int8, c_numeric / 0, c_float4 * 'NaN', c_bytea || '\\x00', c_uuid = c_text, c_json, c__text[1] FROM everything",
    ),
    (
        "limits.sql",
        "SELECT 99999999999999999999, -9223372036854775808 / -1, 1e131072, repeat('x', 2147483647), 'x'::varchar(0)",
    ),
    (
        "parameters.sql",
        "SELECT $1::int4 + $2, $65535, $0 FROM accounts WHERE owner = $3 OR $4 IS NULL",
    ),
    ("nested.sql", "SELECT ((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))"),
    (
        "system-tables.sql",
        "SELECT * FROM _pico_instance i JOIN _pico_replicaset r ON i.replicaset_uuid = r.uuid WHERE 'a' = ALL (SELECT name FROM _pico_tier)",
    ),
];
