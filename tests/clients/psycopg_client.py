"""psycopg 3 against the server in $URL: every type both ways, errors, batches, pipelines, fetching."""

import datetime
import decimal
import math
import os
import sys
import urllib.parse
import uuid

import psycopg
from psycopg import errors
from psycopg.types.json import Json

from report import Report

UTC = datetime.timezone.utc
INFINITY, NOT_A_NUMBER = float("inf"), float("nan")
TYPES = {
    "boolean": [True, False],
    "smallint": [-32768, 32767],
    "integer": [-(2**31), 2**31 - 1],
    "bigint": [-(2**63), 2**63 - 1],
    "real": [1.5, -0.25, INFINITY, -INFINITY, NOT_A_NUMBER],
    "double precision": [0.1, 1e300, 1e-300, 5e-324, 1.7976931348623157e308, INFINITY, -INFINITY, NOT_A_NUMBER],
    "numeric": [decimal.Decimal(t) for t in ("0", "-1.50", "1000000", "123456789012345678901234567890.5", "0.00001",
                                             "1E-30", "9" * 1000, "NaN", "Infinity", "-Infinity")],
    "numeric(12,3)": [decimal.Decimal("-999999999.999"), decimal.Decimal("0.000")],
    "text": ["", "NULL", "žluťoučký ☃ \U0001f40e", "it's \"quoted\" \\ \n", "x" * 1_000_000],
    "varchar(5)": ["", "12345", "☃☃☃☃☃"],
    "char(3)": ["abc", "a  "],
    "bytea": [b"", b"\x00\x01\xff", bytes(range(256))],
    "date": [datetime.date.min, datetime.date(2024, 2, 29), datetime.date.max],
    "timestamp": [datetime.datetime.min, datetime.datetime(2024, 2, 29, 23, 59, 59, 999999), datetime.datetime.max],
    "timestamptz": [datetime.datetime(1, 1, 1, tzinfo=UTC), datetime.datetime(2024, 2, 29, 12, 0, 0, 1, UTC),
                    datetime.datetime.max.replace(tzinfo=UTC)],
    "uuid": [uuid.UUID(int=0), uuid.UUID("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), uuid.UUID(int=2**128 - 1)],
    "json": [{"a": [1, None, "ž"], "b": {}}, [], "text", 1.5],
    "oid": [0, 2**32 - 1],
    "integer[]": [[], [1, None, -(2**31)]],
    "bigint[]": [[2**63 - 1]],
    "double precision[]": [[0.5, INFINITY, None]],
    "text[]": [["", "NULL", None, 'a "b", {c}\\', "☃"]],
    "numeric[]": [[decimal.Decimal("1.50")]],
    "bytea[]": [[b"", b"\x00\xff"]],
    "uuid[]": [[uuid.UUID(int=1)]],
    "date[]": [[datetime.date(2024, 2, 29)]],
}
MODES = {
    # How values are sent, in what format they come back, the kind of cursor.
    "as text": ("%t", False, psycopg.Cursor),
    "as binary": ("%b", True, psycopg.Cursor),
    "as literals": ("%s", False, psycopg.ClientCursor),
}


def equal(got, want, what):
    assert got == want, f"{what}: got {got!r}, not {want!r}"


def same(got, want):
    if isinstance(want, float):
        return math.isnan(got) if math.isnan(want) else got == want
    if isinstance(want, decimal.Decimal):
        return got.as_tuple() == want.as_tuple()
    return got == want


def round_trip(connection, sql_type, mode):
    """A constant back, a stored row back, and NULL."""
    mark, binary, kind = MODES[mode]
    cursor = kind(connection)
    # A name of its own: a driver's prepared statement must not find another type of column.
    table = "".join(c if c.isalnum() else "_" for c in f"kept {sql_type} {mode}")
    cursor.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, v {sql_type})")
    for k, value in enumerate([*TYPES[sql_type], None]):
        sent = Json(value) if sql_type == "json" and value is not None else value
        # The client's own literals name no format for what comes back.
        format = {} if kind is psycopg.ClientCursor else {"binary": binary}
        direct = cursor.execute(f"SELECT ({mark})::{sql_type}", [sent], **format).fetchone()[0]
        assert same(direct, value), f"SELECT of {sql_type}: got {direct!r:.200}, not {value!r:.200}"
        cursor.execute(f"INSERT INTO {table} VALUES (%s, ({mark})::{sql_type})", [k, sent])
        stored = cursor.execute(f"SELECT v FROM {table} WHERE id = %s", [k], **format).fetchone()[0]
        assert same(stored, value), f"stored {sql_type}: got {stored!r:.200}, not {value!r:.200}"
    cursor.execute(f"DROP TABLE {table}")


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
        ("SELECT '2024-02-30'::date", errors.DatetimeFieldOverflow),
        ("SELECT 9223372036854775807 + 1", errors.NumericValueOutOfRange),
        ("SELECT '{'::json", errors.InvalidTextRepresentation),
        ("CREATE TABLE unique_rows (id int PRIMARY KEY)", errors.DuplicateTable),
        ("DROP TABLE nowhere", errors.UndefinedTable),
        ("CREATE TABLE nothing (id int PRIMARY KEY, v interval)", errors.FeatureNotSupported),
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


def broken_pipeline(connection):
    """What was synced before the error stays, what stands behind the error is not run, up to the next Sync."""
    try:
        with connection.pipeline() as pipe:
            connection.execute("UPDATE batch SET v = 'before' WHERE id = 150")
            pipe.sync()
            connection.execute("SELECT 1/0")
            connection.execute("UPDATE batch SET v = 'behind' WHERE id = 151")
        raise AssertionError("no error from the pipeline")
    except errors.DivisionByZero:
        pass
    rows = connection.execute("SELECT v FROM batch WHERE id IN (150, 151) ORDER BY id").fetchall()
    equal(rows, [("before",), ("row 151",)], "rows")


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


def refused(connection):
    """What the server does not have yet says so, and leaves the connection usable."""
    for sql in ("BEGIN", "COPY batch TO STDOUT", "DECLARE c CURSOR FOR SELECT 1", "LISTEN c"):
        try:
            connection.execute(sql)
            raise AssertionError(f"{sql}: no error")
        except errors.FeatureNotSupported:
            pass
    try:
        with connection.cursor().copy("COPY batch FROM STDIN"):
            raise AssertionError("COPY: no error")
    except errors.FeatureNotSupported:
        pass
    with psycopg.connect(os.environ["URL"], connect_timeout=10) as second:
        try:
            second.execute("SELECT 1")
            raise AssertionError("a transaction: no error")
        except errors.FeatureNotSupported:
            pass
    equal(connection.execute("SELECT 1").fetchone(), (1,), "after the refusals")


def notices(connection):
    heard = []
    connection.add_notice_handler(lambda notice: heard.append((notice.severity, notice.message_primary)))
    connection.execute("DROP TABLE IF EXISTS nowhere")
    equal(heard, [("NOTICE", 'table "nowhere" does not exist, skipping')], "notices")


def not_let_in():
    parts = urllib.parse.urlsplit(os.environ["URL"])
    for user, password in [(parts.username, "wrong"), ("nobody", parts.password)]:
        try:
            psycopg.connect(os.environ["URL"], user=user, password=password, connect_timeout=10)
        except psycopg.OperationalError as error:
            assert f'password authentication failed for user "{user}"' in str(error), error
            continue
        raise AssertionError(f"{user} logged in")


def any_database():
    """There is one database, whatever it is called."""
    with psycopg.connect(os.environ["URL"], dbname="any", autocommit=True) as connection:
        equal(connection.execute("SELECT current_database()").fetchone(), ("basalt",), "database")


def main():
    report = Report()
    with psycopg.connect(os.environ["URL"], autocommit=True, connect_timeout=10) as connection:
        for sql_type in TYPES:
            for mode in MODES:
                report.case(f"{sql_type} {mode}", lambda t=sql_type, m=mode: round_trip(connection, t, m))
        for body in (error_states, many, pipeline, broken_pipeline, fetching, prepared, type_lookup, refused, notices):
            report.case(body.__name__.replace("_", " "), lambda b=body: b(connection))
        connection.execute("DROP TABLE unique_rows")
        connection.execute("DROP TABLE batch")
    report.case("not let in", not_let_in)
    report.case("any database", any_database)
    return 1 if report.failed else 0


sys.exit(main())
