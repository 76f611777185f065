//! Functions that ask the catalog or the session's settings: rows only, their answers come through
//! [`crate::expr::CatalogFunctions`].
//!
//! Where PostgreSQL takes `regclass` or `pg_node_tree`, these take `oid` and `text`. The input and
//! output functions of `regclass` and its relatives are casts between `text` and `oid`: there are no
//! types of their own.

use crate::base::SqlType;
use crate::expr::function::Function;

const TEXT: SqlType = SqlType::Text;
const NAME: SqlType = SqlType::Name;
const OID: SqlType = SqlType::Oid;
const INT4: SqlType = SqlType::Int4;
const INT8: SqlType = SqlType::Int8;
const BOOL: SqlType = SqlType::Bool;

#[rustfmt::skip]
pub(super) static ROWS: &[Function] = &[
    Function::catalog(1403, "current_schemas", &[BOOL], SqlType::NameArray),
    Function::catalog(2077, "current_setting", &[TEXT], TEXT),
    Function::catalog(3294, "current_setting", &[TEXT, BOOL], TEXT),
    Function::catalog(2078, "set_config", &[TEXT, TEXT, BOOL], TEXT).sees_nulls().volatile(),
    Function::catalog(1642, "pg_get_userbyid", &[OID], NAME),
    Function::catalog(2079, "pg_table_is_visible", &[OID], BOOL),
    Function::catalog(2080, "pg_type_is_visible", &[OID], BOOL),
    Function::catalog(2081, "pg_function_is_visible", &[OID], BOOL),
    Function::catalog(1643, "pg_get_indexdef", &[OID], TEXT),
    Function::catalog(2507, "pg_get_indexdef", &[OID, INT4, BOOL], TEXT),
    Function::catalog(1387, "pg_get_constraintdef", &[OID], TEXT),
    Function::catalog(2508, "pg_get_constraintdef", &[OID, BOOL], TEXT),
    Function::catalog(1716, "pg_get_expr", &[TEXT, OID], TEXT),
    Function::catalog(2509, "pg_get_expr", &[TEXT, OID, BOOL], TEXT),
    Function::catalog(1641, "pg_get_viewdef", &[OID], TEXT),
    Function::catalog(2506, "pg_get_viewdef", &[OID, BOOL], TEXT),
    Function::catalog(3352, "pg_get_partkeydef", &[OID], TEXT),
    Function::catalog(1665, "pg_get_serial_sequence", &[TEXT, TEXT], TEXT),
    Function::catalog(1348, "obj_description", &[OID], TEXT),
    Function::catalog(1215, "obj_description", &[OID, NAME], TEXT),
    Function::catalog(1993, "shobj_description", &[OID, NAME], TEXT),
    Function::catalog(1216, "col_description", &[OID, INT4], TEXT),
    Function::catalog(3495, "to_regclass", &[TEXT], OID),
    Function::catalog(3493, "to_regtype", &[TEXT], OID),
    Function::catalog(1926, "has_table_privilege", &[TEXT, TEXT], BOOL),
    Function::catalog(1927, "has_table_privilege", &[OID, TEXT], BOOL),
    Function::catalog(1922, "has_table_privilege", &[NAME, TEXT, TEXT], BOOL),
    Function::catalog(1923, "has_table_privilege", &[NAME, OID, TEXT], BOOL),
    Function::catalog(2272, "has_schema_privilege", &[TEXT, TEXT], BOOL),
    Function::catalog(2273, "has_schema_privilege", &[OID, TEXT], BOOL),
    Function::catalog(2268, "has_schema_privilege", &[NAME, TEXT, TEXT], BOOL),
    Function::catalog(2254, "has_database_privilege", &[TEXT, TEXT], BOOL),
    Function::catalog(2255, "has_database_privilege", &[OID, TEXT], BOOL),
    Function::catalog(2709, "pg_has_role", &[NAME, TEXT], BOOL),
    Function::catalog(2710, "pg_has_role", &[OID, TEXT], BOOL),
    Function::catalog(2325, "pg_relation_size", &[OID], INT8).volatile(),
    Function::catalog(2997, "pg_table_size", &[OID], INT8).volatile(),
    Function::catalog(2998, "pg_indexes_size", &[OID], INT8).volatile(),
    Function::catalog(2286, "pg_total_relation_size", &[OID], INT8).volatile(),
    Function::catalog(3810, "pg_is_in_recovery", &[], BOOL).volatile(),
    Function::catalog(2560, "pg_postmaster_start_time", &[], SqlType::TimestampTz),
    Function::catalog(6174, "pg_get_statisticsobjdef_columns", &[OID], TEXT),
    Function::catalog(2218, "regclassin", &[TEXT], OID),
    Function::catalog(2219, "regclassout", &[OID], TEXT),
    Function::catalog(2220, "regtypein", &[TEXT], OID),
    Function::catalog(2221, "regtypeout", &[OID], TEXT),
    Function::catalog(44, "regprocin", &[TEXT], OID),
    Function::catalog(45, "regprocout", &[OID], TEXT),
    Function::catalog(4084, "regnamespacein", &[TEXT], OID),
    Function::catalog(4085, "regnamespaceout", &[OID], TEXT),
    Function::catalog(4098, "regrolein", &[TEXT], OID),
    Function::catalog(4092, "regroleout", &[OID], TEXT),
    Function::catalog(6121, "pg_relation_is_publishable", &[OID], BOOL),
];
