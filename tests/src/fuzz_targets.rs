//! The fuzz targets, without libFuzzer: each over its corpus, and over what a few thousand random
//! changes make of it.
//!
//! An input that broke a promise once lies in `fuzz/corpus/<target>/`, so it is tried on every run.

use std::path::{Path, PathBuf};

use basalt_fuzz::Target;

/// The inputs of a target that are checked in, sorted by name.
///
/// # Panics
/// If the corpus cannot be read.
pub fn corpus(target: &Target) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target.name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("the corpus {} can be read: {e}", folder.display()))
        .map(|entry| entry.expect("the corpus can be read").path())
        .collect();
    paths.sort();
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).expect("the corpus can be read");
        (path, bytes)
    };
    paths.into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use basalt_fuzz::{codec, keys, pgwire, sql_text, sql_tree, values, wal};
    use proptest::prelude::*;
    use proptest::sample::{Index, select};

    /// A small change of an input.
    #[derive(Clone, Debug)]
    enum Change {
        Set(Index, u8),
        Flip(Index, u8),
        Insert(Index, Vec<u8>),
        Remove(Index, usize),
        Copy(Index, Index, usize),
        Truncate(Index),
    }

    fn change() -> impl Strategy<Value = Change> {
        let edge = select(vec![0u8, 1, 0x7f, 0x80, 0xff, b'\'', b'(', b'$', b',']);
        let some = prop::collection::vec(any::<u8>(), 1..9);
        prop_oneof![
            (any::<Index>(), edge).prop_map(|(at, byte)| Change::Set(at, byte)),
            (any::<Index>(), 0..8u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
            (any::<Index>(), some).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
            (any::<Index>(), 1..64usize).prop_map(|(at, len)| Change::Remove(at, len)),
            (any::<Index>(), any::<Index>(), 1..64usize)
                .prop_map(|(a, b, n)| Change::Copy(a, b, n)),
            any::<Index>().prop_map(Change::Truncate),
        ]
    }

    fn apply(bytes: &mut Vec<u8>, change: &Change) {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match change {
            Change::Set(at, byte) => bytes[at.index(len)] = *byte,
            Change::Flip(at, bit) => bytes[at.index(len)] ^= 1 << bit,
            Change::Insert(at, more) => {
                let at = at.index(len);
                bytes.splice(at..at, more.iter().copied());
            }
            Change::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..len.min(at + count));
            }
            Change::Copy(from, to, count) => {
                let from = from.index(len);
                let piece = bytes[from..len.min(from + count)].to_vec();
                let to = to.index(len);
                bytes.splice(to..to, piece);
            }
            Change::Truncate(at) => bytes.truncate(at.index(len)),
        }
    }

    fn target(name: &str) -> Target {
        let found = basalt_fuzz::TARGETS.into_iter().find(|t| t.name == name);
        found.expect("a target of this name")
    }

    /// Inputs near the corpus, and some far from it.
    fn inputs(name: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
        let corpus: Vec<Vec<u8>> = corpus(&target(name)).into_iter().map(|(_, b)| b).collect();
        let changed = (select(corpus), prop::collection::vec(change(), 1..6));
        let near = changed.prop_map(|(mut bytes, changes)| {
            changes.iter().for_each(|change| apply(&mut bytes, change));
            bytes
        });
        prop_oneof![4 => near, 1 => prop::collection::vec(any::<u8>(), 0..300)]
    }

    #[test]
    fn the_corpus_breaks_no_promise() {
        for target in basalt_fuzz::TARGETS {
            for (path, bytes) in corpus(&target) {
                println!("{}", path.display());
                (target.run)(&bytes);
            }
        }
    }

    #[test]
    fn the_seeds_are_checked_in_as_this_build_writes_them() {
        for target in basalt_fuzz::TARGETS {
            let corpus: Vec<Vec<u8>> = corpus(&target).into_iter().map(|(_, b)| b).collect();
            for (seed, bytes) in (target.seeds)() {
                let name = target.name;
                assert!(corpus.contains(&bytes), "{seed} of {name}: cargo run --bin {name}");
            }
        }
    }

    #[test]
    fn the_seeds_of_texts_are_all_planned_or_refused_for_a_reason() {
        let planned: usize = sql_text::seeds()
            .iter()
            .map(|(_, seed)| sql_text::plan_all(std::str::from_utf8(seed).unwrap()))
            .sum();
        assert!(planned >= 12, "only {planned} statements of the seeds get through");
    }

    /// Before, again and again, inside, behind as often.
    const DEEP: [(&str, &str, &str, &str); 45] = [
        ("SELECT ", "(", "1", ")"),
        ("SELECT ", "NOT ", "TRUE", ""),
        ("SELECT ", "- ", "1", ""),
        ("SELECT ", "~", "1", ""),
        ("SELECT 1", "+1", "", ""),
        ("SELECT 1=1", " AND 1=1", "", ""),
        ("SELECT 'a'", "||'a'", "", ""),
        ("SELECT ", "(SELECT ", "1", ")"),
        ("SELECT * FROM ", "(SELECT * FROM ", "settings", ") q"),
        ("SELECT ", "CASE WHEN ", "TRUE", " THEN TRUE END"),
        ("SELECT 1", "::int", "", ""),
        ("SELECT ", "CAST(", "1", " AS int)"),
        ("SELECT '{1}'::int[]", "[1]", "", ""),
        ("SELECT NULL::int", "[]", "", ""),
        ("SELECT a", ".a", "", ""),
        ("SELECT 1", " IS NULL", "", ""),
        ("SELECT 1", " UNION ALL SELECT 1", "", ""),
        ("", "(", "SELECT 1", ") UNION SELECT 1"),
        ("SELECT 1 FROM settings", " CROSS JOIN pg_class", "", ""),
        ("SELECT 1 FROM (SELECT 1) q", ", (SELECT 1) q", "", ""),
        ("SELECT 1 FROM ", "(", "settings", " CROSS JOIN pg_class)"),
        ("", "PREPARE p AS ", "SELECT 1", ""),
        ("", "DESC ", "SELECT 1", ""),
        ("", "CASE a WHEN 1 THEN ", "SELECT 1", "; END CASE"),
        ("", "IF TRUE THEN ", "SELECT 1", "; END IF"),
        ("", "BEGIN ", "SELECT 1", "; END"),
        ("", "CREATE PROCEDURE p AS BEGIN ", "SELECT 1", "; END"),
        ("", "EXPLAIN ", "SELECT 1", ""),
        ("", "/*", "SELECT 1", "*/"),
        ("SELECT ", "ARRAY[", "1", "]"),
        ("", "WITH w AS (", "SELECT 1", ") SELECT 1"),
        ("SELECT ", "abs(", "1", ")"),
        ("SELECT 1 IN ", "(", "1", ")"),
        ("SELECT EXISTS ", "(SELECT 1 WHERE EXISTS ", "(SELECT 1)", ")"),
        ("SELECT ", "1 BETWEEN 1 AND ", "1", ""),
        ("VALUES (1)", ",(1)", "", ""),
        ("", "SELECT 1;", "", ""),
        ("SELECT 1", ",1", "", ""),
        ("SELECT * FROM accounts WHERE id=1", " OR id=1", "", ""),
        ("SELECT 'a'", " COLLATE \"C\"", "", ""),
        ("SELECT ", "ROW(", "1", ")"),
        ("CREATE TABLE t (a int PRIMARY KEY", ", a int", "", ")"),
        ("SELECT 1 = ANY ", "(", "1", ")"),
        ("INSERT INTO settings ", "(", "SELECT 1, 2", ")"),
        ("SELECT 1 GROUP BY ", "(", "1", ")"),
    ];

    #[test]
    fn no_statement_is_too_deep_to_be_planned_or_refused() {
        for (start, open, inner, close) in DEEP {
            for n in [100, 1_900, 20_000] {
                let text = [start, &open.repeat(n), inner, &close.repeat(n)].concat();
                sql_text::run(text.as_bytes());
            }
            // Chains in nested parentheses: each is short enough, all together are not.
            let chains = format!("{}{inner}{}", "(".repeat(60), format!("{open})").repeat(60));
            sql_text::run([start, &chains].concat().as_bytes());
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn what_a_client_sends_may_be_anything(bytes in inputs("pgwire")) {
            pgwire::run(&bytes);
        }

        #[test]
        fn a_query_text_may_be_anything(bytes in inputs("sql_text")) {
            sql_text::run(&bytes);
        }

        #[test]
        fn a_query_may_be_any_that_parses(bytes in inputs("sql_tree")) {
            sql_tree::run(&bytes);
        }

        #[test]
        fn a_log_may_be_anything(bytes in inputs("wal")) {
            wal::run(&bytes);
        }

        #[test]
        fn messages_and_files_may_be_anything(bytes in inputs("codec")) {
            codec::run(&bytes);
        }

        #[test]
        fn keys_and_rows_may_be_anything(bytes in inputs("keys")) {
            keys::run(&bytes);
        }

        #[test]
        fn values_may_be_anything(bytes in inputs("values")) {
            values::run(&bytes);
        }
    }
}
