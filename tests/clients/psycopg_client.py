"""psycopg 3 against the server in $URL: every type both ways, errors, batches, pipelines, fetching."""

import datetime
import decimal
import os
import sys
import uuid

import psycopg
from psycopg import errors

from report import Report

UTC = datetime.timezone.utc
TYPES = {
    "boolean": [True, False],
    "smallint": [-32768, 32767],
    "integer": [-(2**31), 2**31 - 1],
    "bigint": [-(2**63), 2**63 - 1],
    "real": [1.5, -0.25, float("inf")],
    "double precision": [0.1, 1e300, float("-inf")],
    "numeric": [decimal.Decimal(t) for t in ("0", "-1.50", "123456789012345678901234567890.5", "0.00001")],
    "text": ["", "plain", "žluťoučký ☃ \U0001f40e", "it's \"quoted\" \\ \n"],
    "varchar(5)": ["12345"],
    "char(3)": ["abc"],
    "bytea": [b"", b"\x00\x01\xff"],
    "date": [datetime.date(1, 1, 1), datetime.date(2024, 2, 29), datetime.date(9999, 12, 31)],
    "timestamp": [datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), datetime.datetime(1901, 1, 1)],
    "timestamptz": [datetime.datetime(2024, 2, 29, 12, 0, 0, 1, UTC)],
    "uuid": [uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
}


def equal(got, want, what):
    assert got == want, f"{what}: got {got!r}, not {want!r}"


def round_trip(connection, sql_type, binary):
    """A constant back, a stored row back, and NULL, as text or binary in both directions."""
    mark = "%b" if binary else "%t"
    # A name of its own: a driver's prepared statement must not find another type of column.
    table = f"kept_{sql_type.split('(')[0].replace(' ', '_')}_{'binary' if binary else 'text'}"
    connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {sql_type})")
    for k, value in enumerate([*TYPES[sql_type], None]):
        direct = connection.execute(f"SELECT {mark}::{sql_type}", [value], binary=binary).fetchone()[0]
        equal(direct, value, f"SELECT of {sql_type}")
        connection.execute(f"INSERT INTO {table} VALUES (%s, {mark}::{sql_type})", [k, value])
        query = f"SELECT v FROM {table} WHERE id = %s"
        stored = connection.execute(query, [k], binary=binary).fetchone()[0]
        equal(stored, value, f"stored {sql_type}")


def error_states(connection):
    connection.execute("CREATE TABLE unique_rows (id int PRIMARY KEY, v int NOT NULL)")
    connection.execute("INSERT INTO unique_rows VALUES (1, 1)")
    for sql, kind in [
        ("INSERT INTO unique_rows VALUES (1, 2)", errors.UniqueViolation),
        ("INSERT INTO unique_rows VALUES (2, NULL)", errors.NotNullViolation),
        ("SELECT 1/0", errors.DivisionByZero),
        ("SELECT * FROM nowhere", errors.UndefinedTable),
        ("SELECT nothing FROM unique_rows", errors.UndefinedColumn),
        ("SELEC 1", errors.SyntaxError),
        ("SELECT 'x'::int", errors.InvalidTextRepresentation),
        ("SELECT 32768::smallint", errors.NumericValueOutOfRange),
        ("SELECT nosuch(1)", errors.UndefinedFunction),
        ("CREATE TABLE unique_rows (id int PRIMARY KEY)", errors.DuplicateTable),
    ]:
        try:
            connection.execute(sql)
        except kind:
            continue
        except psycopg.Error as error:
            raise AssertionError(f"{sql}: {error.sqlstate} {error}, not {kind.__name__}") from error
        raise AssertionError(f"{sql}: no error")
    equal(connection.execute("SELECT 1").fetchone(), (1,), "after the errors")


def many(connection):
    connection.execute("CREATE TABLE batch (id int PRIMARY KEY, v text)")
    cursor = connection.cursor()
    cursor.executemany("INSERT INTO batch VALUES (%s, %s)", [(k, f"row {k}") for k in range(200)])
    equal(cursor.rowcount, 200, "rowcount")
    equal(connection.execute("SELECT count(*) FROM batch").fetchone(), (200,), "count")


def pipeline(connection):
    with connection.pipeline():
        cursors = [connection.execute("SELECT %s::int * 2", [k]) for k in range(50)]
    equal([c.fetchone()[0] for c in cursors], [k * 2 for k in range(50)], "pipeline")
    try:
        with connection.pipeline():
            connection.execute("SELECT 1")
            connection.execute("SELECT 1/0")
            connection.execute("SELECT 2")
        raise AssertionError("no error from the pipeline")
    except errors.DivisionByZero:
        pass
    equal(connection.execute("SELECT 3").fetchone(), (3,), "after a broken pipeline")


def fetching(connection):
    cursor = connection.execute("SELECT id, v FROM batch ORDER BY id")
    equal([c.name for c in cursor.description], ["id", "v"], "names")
    equal(cursor.fetchone(), (0, "row 0"), "fetchone")
    equal(len(cursor.fetchmany(9)), 9, "fetchmany")
    equal(len(cursor.fetchall()), 190, "fetchall")
    streamed = sum(1 for _ in connection.cursor().stream("SELECT id FROM batch"))
    equal(streamed, 200, "streamed")


def prepared(connection):
    for k in range(20):
        row = connection.execute("SELECT v FROM batch WHERE id = %s", [k], prepare=True).fetchone()
        equal(row, (f"row {k}",), "prepared")
    connection.execute("DROP TABLE batch")
    connection.execute("CREATE TABLE batch (id int PRIMARY KEY, w int, v text)")
    connection.execute("INSERT INTO batch VALUES (1, 2, 'new')")
    row = connection.execute("SELECT v FROM batch WHERE id = %s", [1], prepare=True).fetchone()
    equal(row, ("new",), "prepared, after the table changed")


def type_lookup(connection):
    query = "SELECT typname, oid, typarray, oid::regtype::text FROM pg_type WHERE oid = to_regtype(%s)"
    equal(connection.execute(query, ["uuid"]).fetchone(), ("uuid", 2950, 2951, "uuid"), "uuid")
    equal(connection.execute(query, ["nothing"]).fetchone(), None, "no type")


def wrong_password():
    url = os.environ["URL"].replace("App-pass1", "wrong")
    try:
        psycopg.connect(url, connect_timeout=10)
    except psycopg.OperationalError as error:
        assert "password authentication failed" in str(error), error
        return
    raise AssertionError("logged in")


def main():
    report = Report()
    with psycopg.connect(os.environ["URL"], autocommit=True, connect_timeout=10) as connection:
        for sql_type in TYPES:
            report.case(f"{sql_type} as text", lambda t=sql_type: round_trip(connection, t, False))
            report.case(f"{sql_type} as binary", lambda t=sql_type: round_trip(connection, t, True))
        for body in (error_states, many, pipeline, fetching, prepared, type_lookup):
            report.case(body.__name__, lambda b=body: b(connection))
    report.case("wrong password", wrong_password)
    return 1 if report.failed else 0


sys.exit(main())
