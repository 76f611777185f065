//! One row a setting, sorted by name: PostgreSQL 15's list as far as clients touch it.

/// Which values a setting takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Cannot be set.
    Fixed,
    Text,
    Bool,
    /// In the smallest unit.
    Int {
        min: i64,
        max: i64,
        unit: Unit,
    },
    Float,
    Enum(&'static [&'static str]),
    /// One value, in several spellings; others exist in PostgreSQL and are not supported here.
    Only {
        accepted: &'static [&'static str],
        canonical: &'static str,
    },
    /// An encoding that needs no conversion.
    Encoding,
    /// Names separated by commas.
    List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    None,
    Milliseconds,
    Kilobytes,
}

impl Unit {
    /// Units with their size in the smallest one, smallest first.
    pub fn scales(self) -> &'static [(&'static str, i64)] {
        match self {
            Unit::None => &[],
            Unit::Milliseconds => {
                &[("ms", 1), ("s", 1000), ("min", 60_000), ("h", 3_600_000), ("d", 86_400_000)]
            }
            Unit::Kilobytes => &[("kB", 1), ("MB", 1 << 10), ("GB", 1 << 20), ("TB", 1 << 30)],
        }
    }
}

/// A setting.
#[derive(Debug, PartialEq)]
pub struct Setting {
    /// As `SHOW` and `ParameterStatus` spell it.
    pub name: &'static str,
    pub default: &'static str,
    pub kind: Kind,
    /// Sent to the client at login and at every change.
    pub reported: bool,
    pub description: &'static str,
}

/// The version drivers see: they read the leading number, people the rest.
pub const SERVER_VERSION: &str = concat!("15.0 (Basalt ", env!("CARGO_PKG_VERSION"), ")");

const fn row(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> Setting {
    Setting { name, default, kind, reported: false, description }
}

const fn reported(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    description: &'static str,
) -> Setting {
    Setting { name, default, kind, reported: true, description }
}

const fn int(min: i64, max: i64) -> Kind {
    Kind::Int { min, max, unit: Unit::None }
}

/// A duration, 0 for none.
const MILLISECONDS: Kind = Kind::Int { min: 0, max: i32::MAX as i64, unit: Unit::Milliseconds };
const KILOBYTES: Kind = Kind::Int { min: 64, max: i32::MAX as i64, unit: Unit::Kilobytes };
const ISOLATION: Kind =
    Kind::Enum(&["serializable", "repeatable read", "read committed", "read uncommitted"]);
const LEVELS: Kind = Kind::Enum(&[
    "debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error",
]);
const UTC: Kind = Kind::Only {
    accepted: &[
        "UTC",
        "GMT",
        "Z",
        "Zulu",
        "Etc/UTC",
        "Etc/GMT",
        "Universal",
        "Etc/Universal",
        "Greenwich",
        "0",
        "+0",
        "+00",
        "+00:00",
        "UTC0",
        "UCT",
    ],
    canonical: "UTC",
};

/// The position of a setting this crate itself reads.
pub fn position(name: &str) -> usize {
    SETTINGS.iter().position(|s| s.name == name).expect("a name of the table")
}

pub static SETTINGS: &[Setting] = &[
    reported("application_name", "", Kind::Text, "Name of the application, for monitoring."),
    row(
        "array_nulls",
        "on",
        Kind::Only { accepted: &["on", "true", "1", "yes"], canonical: "on" },
        "NULL in array input means a null value.",
    ),
    row(
        "backslash_quote",
        "safe_encoding",
        Kind::Enum(&["safe_encoding", "on", "off"]),
        "Whether \\' is allowed in string literals.",
    ),
    row("block_size", "8192", Kind::Fixed, "Size of a disk block."),
    row(
        "bytea_output",
        "hex",
        Kind::Only { accepted: &["hex"], canonical: "hex" },
        "Text form of bytea.",
    ),
    row(
        "check_function_bodies",
        "on",
        Kind::Bool,
        "Checks bodies of functions when they are made.",
    ),
    reported("client_encoding", "UTF8", Kind::Encoding, "Encoding of the client."),
    row("client_min_messages", "notice", LEVELS, "Least severity of messages sent to the client."),
    reported(
        "DateStyle",
        "ISO, MDY",
        Kind::Only {
            accepted: &["ISO, MDY", "ISO,MDY", "ISO", "MDY", "ISO, US", "US", "MDY, ISO"],
            canonical: "ISO, MDY",
        },
        "Text form of dates.",
    ),
    row("deadlock_timeout", "1000", MILLISECONDS, "Not used: there are no deadlocks."),
    row("default_table_access_method", "heap", Kind::Text, "Not used: tables name their engine."),
    row("default_tablespace", "", Kind::Text, "Not used: there are no tablespaces."),
    row(
        "default_text_search_config",
        "pg_catalog.simple",
        Kind::Text,
        "Not used: there is no text search.",
    ),
    row("default_transaction_deferrable", "off", Kind::Bool, "Not used: reads never wait."),
    row(
        "default_transaction_isolation",
        "serializable",
        ISOLATION,
        "Isolation asked for; every level gets strict serializability.",
    ),
    reported(
        "default_transaction_read_only",
        "off",
        Kind::Bool,
        "Whether statements must not write.",
    ),
    row("effective_cache_size", "524288", KILOBYTES, "Not used: rows are in memory."),
    row("enable_bitmapscan", "on", Kind::Bool, "Not used by the planner."),
    row("enable_hashagg", "on", Kind::Bool, "Not used by the planner."),
    row("enable_hashjoin", "on", Kind::Bool, "Not used by the planner."),
    row("enable_indexonlyscan", "on", Kind::Bool, "Not used by the planner."),
    row("enable_indexscan", "on", Kind::Bool, "Not used by the planner."),
    row("enable_material", "on", Kind::Bool, "Not used by the planner."),
    row("enable_mergejoin", "on", Kind::Bool, "Not used by the planner."),
    row("enable_nestloop", "on", Kind::Bool, "Not used by the planner."),
    row("enable_seqscan", "on", Kind::Bool, "Not used by the planner."),
    row("enable_sort", "on", Kind::Bool, "Not used by the planner."),
    row("escape_string_warning", "on", Kind::Bool, "Warns of backslashes in plain strings."),
    row("extra_float_digits", "1", int(1, 3), "Floats are printed in their shortest exact form."),
    row(
        "force_parallel_mode",
        "off",
        Kind::Enum(&["off", "on", "regress"]),
        "Not used by the planner.",
    ),
    row("from_collapse_limit", "8", int(1, i32::MAX as i64), "Not used by the planner."),
    row("geqo", "on", Kind::Bool, "Not used by the planner."),
    row(
        "idle_in_transaction_session_timeout",
        "0",
        MILLISECONDS,
        "Ends sessions idle in a transaction.",
    ),
    reported("in_hot_standby", "off", Kind::Fixed, "Whether the server only reads."),
    reported("integer_datetimes", "on", Kind::Fixed, "Times are integers."),
    reported(
        "IntervalStyle",
        "postgres",
        Kind::Enum(&["postgres", "postgres_verbose", "sql_standard", "iso_8601"]),
        "Text form of intervals.",
    ),
    reported("is_superuser", "off", Kind::Fixed, "Whether the user is the superuser."),
    row("jit", "off", Kind::Bool, "Not used: nothing is compiled."),
    row("join_collapse_limit", "8", int(1, i32::MAX as i64), "Not used by the planner."),
    row("lc_collate", "C", Kind::Fixed, "Order of text: by bytes."),
    row("lc_ctype", "C", Kind::Fixed, "Classes of characters."),
    row("lc_messages", "C", Kind::Text, "Language of messages: English."),
    row("lc_monetary", "C", Kind::Text, "Form of amounts of money."),
    row("lc_numeric", "C", Kind::Text, "Form of numbers."),
    row("lc_time", "C", Kind::Text, "Form of dates."),
    row(
        "lock_timeout",
        "0",
        MILLISECONDS,
        "Longest wait for a lock; statements do not wait for locks.",
    ),
    row("log_duration", "off", Kind::Bool, "Not used: see the server's log settings."),
    row(
        "log_min_duration_statement",
        "-1",
        Kind::Int { min: -1, max: i32::MAX as i64, unit: Unit::Milliseconds },
        "Not used: see the server's log settings.",
    ),
    row(
        "log_statement",
        "none",
        Kind::Enum(&["none", "ddl", "mod", "all"]),
        "Not used: see the server's log settings.",
    ),
    row(
        "maintenance_work_mem",
        "65536",
        KILOBYTES,
        "Not used: no statement needs maintenance memory.",
    ),
    row("max_connections", "10000", Kind::Fixed, "Most connections of an instance."),
    row("max_identifier_length", "63", Kind::Fixed, "Longest name in bytes."),
    row("max_index_keys", "32", Kind::Fixed, "Most columns of an index."),
    row("max_parallel_workers_per_gather", "0", int(0, 1024), "Not used by the planner."),
    row(
        "password_encryption",
        "scram-sha-256",
        Kind::Only { accepted: &["scram-sha-256"], canonical: "scram-sha-256" },
        "How new passwords are stored.",
    ),
    row(
        "plan_cache_mode",
        "auto",
        Kind::Enum(&["auto", "force_generic_plan", "force_custom_plan"]),
        "Not used: plans are generic.",
    ),
    row("quote_all_identifiers", "off", Kind::Bool, "Not used when definitions are printed."),
    row("random_page_cost", "4", Kind::Float, "Not used by the planner."),
    row("role", "none", Kind::Text, "The role in force."),
    row("row_security", "on", Kind::Bool, "Row security; there are no policies."),
    row(
        "search_path",
        "\"$user\", public",
        Kind::List,
        "Schemas searched for names without a schema.",
    ),
    row("seq_page_cost", "1", Kind::Float, "Not used by the planner."),
    reported("server_encoding", "UTF8", Kind::Fixed, "Encoding of the database."),
    reported(
        "server_version",
        SERVER_VERSION,
        Kind::Fixed,
        "Version of PostgreSQL that is followed.",
    ),
    row("server_version_num", "150000", Kind::Fixed, "The same as a number."),
    reported("session_authorization", "", Kind::Fixed, "The user who logged in."),
    row(
        "session_replication_role",
        "origin",
        Kind::Enum(&["origin", "replica", "local"]),
        "Not used: there are no triggers.",
    ),
    reported(
        "standard_conforming_strings",
        "on",
        Kind::Only { accepted: &["on", "true", "t", "1", "yes", "y"], canonical: "on" },
        "Backslashes in plain strings are ordinary.",
    ),
    row("statement_timeout", "0", MILLISECONDS, "Longest time a statement may take."),
    row("synchronize_seqscans", "on", Kind::Bool, "Not used by scans."),
    row(
        "synchronous_commit",
        "on",
        Kind::Enum(&["on", "off", "local", "remote_write", "remote_apply"]),
        "Asked-for durability; every commit is on disk on a majority.",
    ),
    row(
        "tcp_keepalives_count",
        "0",
        int(0, i32::MAX as i64),
        "Not used: see the server's settings.",
    ),
    row(
        "tcp_keepalives_idle",
        "0",
        int(0, i32::MAX as i64),
        "Not used: see the server's settings.",
    ),
    row(
        "tcp_keepalives_interval",
        "0",
        int(0, i32::MAX as i64),
        "Not used: see the server's settings.",
    ),
    row("temp_buffers", "8192", KILOBYTES, "Not used: there are no temporary tables."),
    reported("TimeZone", "UTC", UTC, "Time zone of timestamps with time zone."),
    row("transaction_deferrable", "off", Kind::Bool, "Not used: reads never wait."),
    row(
        "transaction_isolation",
        "serializable",
        ISOLATION,
        "Isolation of the current transaction.",
    ),
    row("transaction_read_only", "off", Kind::Bool, "Whether the current transaction only reads."),
    row(
        "transform_null_equals",
        "off",
        Kind::Only { accepted: &["off", "false", "0", "no"], canonical: "off" },
        "x = NULL is never true.",
    ),
    row("wal_level", "replica", Kind::Fixed, "Kept for clients that ask."),
    row("work_mem", "4096", KILOBYTES, "Not used: statements are bounded by the server's memory."),
    row("xmloption", "content", Kind::Enum(&["content", "document"]), "Not used: there is no xml."),
];
