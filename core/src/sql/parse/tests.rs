use super::*;
use crate::base::SqlState;
use crate::sql::golden;
use proptest::prelude::*;
use sqlparser::ast::Expr;

fn show(text: &str) -> String {
    match parse(text) {
        Ok(statements) => statements
            .iter()
            .map(|parsed| format!("{:?} {}", parsed.range, shape(&parsed.stmt)))
            .collect::<Vec<_>>()
            .join("\n"),
        Err(e) => format!(
            "ERROR {} {}{}",
            e.state.code(),
            e.message,
            e.fields.position.map_or(String::new(), |p| format!(" @{p}"))
        ),
    }
}

fn shape(stmt: &Stmt) -> String {
    match stmt {
        Stmt::Sql(statement) => format!("Sql {statement}"),
        Stmt::Ddl(ddl) => format!(
            "Ddl {} | {:?} {} {:?} {:?}",
            ddl.base,
            ddl.engine,
            match &ddl.distribution {
                None => "None".to_owned(),
                Some(DistributedClause::Globally) => "Globally".to_owned(),
                Some(DistributedClause::By { columns, tier }) =>
                    format!("By {:?} tier {tier:?}", columns.iter().map(fold).collect::<Vec<_>>()),
            },
            ddl.options.wait,
            ddl.options.timeout
        ),
        Stmt::Session(s) => format!("Session {s:?}"),
        Stmt::Access(AccessStmt::Grant(g) | AccessStmt::Revoke(g)) => match &g.rights {
            Rights::Privileges { privileges, on: Objects::Tables(tables) } => format!(
                "Access {privileges:?} on {} to {:?}",
                tables.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                g.grantees
            ),
            rights => format!("Access {rights:?} to {:?}", g.grantees),
        },
        Stmt::Access(s) => format!("Access {s:?}"),
        Stmt::AlterSystem(s) => format!("AlterSystem {s:?}"),
    }
}

#[test]
fn parse_script() {
    golden::check("parse.txt", include_str!("../golden/parse.txt"), show);
}

/// An expression with all its parentheses.
fn tree(expr: &Expr) -> String {
    let not = |negated: &bool| if *negated { "NOT " } else { "" };
    match expr {
        Expr::Nested(inner) => tree(inner),
        Expr::BinaryOp { left, op, right } => format!("({} {op} {})", tree(left), tree(right)),
        Expr::UnaryOp { op, expr } => format!("({op} {})", tree(expr)),
        Expr::IsNull(of) => format!("({} IS NULL)", tree(of)),
        Expr::IsNotNull(of) => format!("({} IS NOT NULL)", tree(of)),
        Expr::IsTrue(of) => format!("({} IS TRUE)", tree(of)),
        Expr::IsDistinctFrom(a, b) => format!("({} IS DISTINCT FROM {})", tree(a), tree(b)),
        Expr::Between { expr, negated, low, high } => {
            let range = format!("{} AND {}", tree(low), tree(high));
            format!("({} {}BETWEEN {range})", tree(expr), not(negated))
        }
        Expr::InList { expr, negated, list } => {
            let list: Vec<String> = list.iter().map(tree).collect();
            format!("({} {}IN ({}))", tree(expr), not(negated), list.join(", "))
        }
        Expr::Like { expr, negated, pattern, .. } => {
            format!("({} {}LIKE {})", tree(expr), not(negated), tree(pattern))
        }
        Expr::Cast { expr, data_type, .. } => format!("({}::{data_type})", tree(expr)),
        Expr::Collate { expr, collation } => format!("({} COLLATE {collation})", tree(expr)),
        Expr::AtTimeZone { timestamp, time_zone } => {
            format!("({} AT TIME ZONE {})", tree(timestamp), tree(time_zone))
        }
        other => other.to_string(),
    }
}

#[test]
fn precedence_script() {
    golden::check("precedence.txt", include_str!("../golden/precedence.txt"), |text| {
        match parse_expression(text) {
            Ok(expr) => tree(&expr),
            Err(e) => format!("ERROR {} {}", e.state.code(), e.message),
        }
    });
}

/// Column defaults are kept as what is printed of them.
#[test]
fn what_is_printed_reads_as_the_same_tree() {
    let script = include_str!("../golden/precedence.txt");
    let strings = [
        "'a''b'",
        "'a''''b'",
        r"'\'''",
        r"'\\''''\'",
        r"E'\\\''",
        r"E'a\n\tb'",
        "N'a''b'",
        "$x$a''b$x$",
        r"'a\b'",
        r"U&'\0061''b'",
        "'''' || '\n'",
    ];
    let lines = script.lines().zip(script.lines().skip(1));
    let texts = lines.filter(|(_, expected)| !expected.starts_with("ERROR "));
    for text in texts.filter_map(|(line, _)| line.strip_prefix("> ")).chain(strings) {
        let expr = parse_expression(text).map_err(|e| e.message);
        let expr = expr.unwrap_or_else(|e| panic!("{text}: {e}"));
        let printed = expr.to_string();
        let again = parse_expression(&printed).map_err(|e| e.message);
        assert_eq!(again, Ok(expr), "{text} is printed as {printed}");
    }
}

#[test]
fn long_chains_are_refused_before_the_tree_is_built() {
    let parts = [
        "+1",
        " or 1",
        "::int",
        " is null",
        " isnull",
        " notnull",
        " collate c",
        " at time zone 'utc'",
        " between 1 and 2",
        " in (1)",
        " similar to 'a'",
        " overlaps 1",
        " operator(pg_catalog.+) 1",
        "[1]",
        " union select 1",
        " minus select 1",
        ", 2 union select 1",
    ];
    for part in parts {
        let text = format!("select 1{}", part.repeat(100_000));
        assert_eq!(parse(&text).unwrap_err().state, SqlState::StatementTooComplex, "{part}");
    }
    for part in [" join t", " pivot (sum(a) for b in (1, 2))", " unpivot (a for b in (c, d))"] {
        let text = format!("select 1 from t{}", part.repeat(100_000));
        assert_eq!(parse(&text).unwrap_err().state, SqlState::StatementTooComplex, "{part}");
    }
    let nested = format!("select {}1{}", "(".repeat(50_000), ")".repeat(50_000));
    assert_eq!(parse(&nested).unwrap_err().state, SqlState::StatementTooComplex);
    let types = format!("select null::int{}", "[]".repeat(100_000));
    assert_eq!(parse(&types).unwrap_err().state, SqlState::StatementTooComplex);
    let chain = "+1".repeat(1_500);
    let one = format!("select (1{chain})");
    assert_eq!(parse(&one).unwrap().len(), 1);
    let chains = format!("select {}1{}", "(".repeat(20), format!("{chain})").repeat(20));
    assert_eq!(parse(&chains).unwrap_err().state, SqlState::StatementTooComplex);
    let rows = vec!["(1+1, 'x')"; 20_000].join(",");
    assert_eq!(parse(&format!("insert into t values {rows}")).unwrap().len(), 1);
    let long = " ".repeat(TEXT_BYTES_MAX + 1);
    assert_eq!(parse(&long).unwrap_err().state, SqlState::StatementTooComplex);
}

#[test]
fn joins_that_wait_for_their_condition_take_little_stack() {
    let few = "select 1 from a join b join c on b.x = c.x on a.x = b.x";
    assert_eq!(parse(few).unwrap().len(), 1);
    let many = format!("select 1 from t{}", " join t".repeat(OPERATORS_MAX));
    assert_eq!(parse(&many).unwrap().len(), 1);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "(?s).{0,80}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_words_make_the_parser_panic(words in prop::collection::vec(prop::sample::select(vec![
        "select", "from", "where", "(", ")", ",", ";", "insert", "into", "t", "1", "'a'", "$1", "grant", "on",
        "table", "to", "create", "user", "with", "password", "distributed", "by", "using", "memtx", "set", "=",
        "order", "limit", "values", "case", "when", "end", "::", "int", "in", "not", "exists", "alter", "system",
        "explain", "join", "-", "[", "]", "begin", "union", "as", ".", "*", "interval", "e'\\", "\"", "/*",
        "+", "~", "^", "||", "<>-", "!=-", "|/", "isnull", "between", "like", "is", "all", "!", "==",
    ]), 0..24)) {
        let _ = parse(&words.join(" "));
    }
}

/// What [`dialect`] reads at a glance is what sqlparser reads, and what looks like it and is something else
/// stays that.
#[test]
fn operands_read_at_a_glance_are_those_sqlparser_reads() {
    let operands = [
        "1",
        "1.5e3",
        "'a'",
        "$1",
        "k",
        "\"K\"",
        "kK",
        "t.k",
        "s.t.k",
        "t.k[1]",
        "pg_catalog.int4[] '{1,2}'",
        "int4[] '{1,2}'",
        "k::int",
        "'a'::text",
        "k + 1",
        "1 + k",
        "f(1)",
        "f (k)",
        "s.f(k)",
        "k'x'",
        "k 'x'",
        "_utf8 'x'",
        "E'x'",
        "date '2020-01-01'",
        "date",
        "xml",
        "xml '<a/>'",
        "interval '1 day'",
        "k[1]",
        "k AND j",
        "k IS NULL",
        "k IN (1, j)",
        "k = ANY (j)",
        "k -> 'a'",
        "k COLLATE c",
        "(k, 1, 'a')",
        "CASE k WHEN 1 THEN 'a' ELSE j END",
        "k AT TIME ZONE 'UTC'",
        "k %",
        "k,",
    ];
    let base = sqlparser::dialect::PostgreSqlDialect {};
    for text in operands {
        let by_us = Parser::new(&DIALECT).try_with_sql(text).unwrap().parse_expr();
        let by_sqlparser = Parser::new(&base).try_with_sql(text).unwrap().parse_expr();
        assert_eq!(by_us, by_sqlparser, "{text}");
    }
}
