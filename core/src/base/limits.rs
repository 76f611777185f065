//! Bounds on what a statement may hold, each with the SQLSTATE a client sees at the bound.
//!
//! Where PostgreSQL has a limit, ours is the same or lower, so that what fits here fits there.

/// Columns of a table (54011), as PostgreSQL.
pub const TABLE_COLUMNS_MAX: usize = 1600;
/// Columns of what a statement returns (54011), as PostgreSQL; the protocol counts them in 16 bits.
pub const TARGETS_MAX: usize = 1664;
/// Bytes of an identifier; longer ones are cut, as PostgreSQL does with a notice.
pub const NAME_BYTES_MAX: usize = 63;
/// Parameters of a statement: the protocol counts them in 16 bits.
pub const PARAMS_MAX: usize = 65_535;
/// Arguments of a function (54023), as PostgreSQL.
pub const ARGUMENTS_MAX: usize = 100;
/// Bytes of one value (54000): what `repeat`, `lpad` and `||` may make, and a row may hold.
pub const VALUE_BYTES_MAX: usize = 16 << 20;
/// Bytes of keys and rows that one statement may write (54000): they are one entry of the log, which
/// travels in one piece.
pub const WRITE_BYTES_MAX: usize = 32 << 20;
/// Bytes of a statement's parameters, or of its result, between two instances (54000).
pub const FORWARDED_BYTES_MAX: usize = 48 << 20;
/// Elements of an array value.
pub const ARRAY_ELEMENTS_MAX: usize = 1 << 20;
/// Bytes of an encoded key (54000): keys are copied into log entries, locks and range ends.
pub const KEY_BYTES_MAX: usize = 8 << 10;
/// Changes of users, rights and parameters that one statement may make (54000): each is an entry of the
/// ring, and grantees, privileges and objects multiply.
pub const CATALOG_CHANGES_MAX: usize = 1_000;
/// Items of all FROM clauses of a statement (54001): each makes the tree of joins one level deeper.
pub const RELATIONS_MAX: usize = 500;
/// Depth of a parsed or built expression (54001): evaluation recurses once a level.
pub const EXPR_DEPTH_MAX: usize = 256;

const _: () = assert!(TABLE_COLUMNS_MAX <= TARGETS_MAX && TARGETS_MAX <= u16::MAX as usize);
const _: () = assert!(KEY_BYTES_MAX + VALUE_BYTES_MAX < WRITE_BYTES_MAX);
const _: () = assert!(WRITE_BYTES_MAX < FORWARDED_BYTES_MAX);
