"""PgJDBC against the server in $URL, driven from Python: $JAR is the driver, $JVM the library of a Java runtime.

The driver sends and reads text until a statement was run five times, then binary; `prepareThreshold` says otherwise, so
that every type goes both ways.
"""

import os
import sys
import urllib.parse

import jpype
import jpype.imports

from report import Report

jpype.startJVM(os.environ["JVM"], "--enable-native-access=ALL-UNNAMED", "-Xmx256m", "-Duser.timezone=UTC",
               classpath=[os.environ["JAR"]], convertStrings=True)

from java.lang import Boolean, Double, Float, Integer, Long, Short, String  # noqa: E402
from java.math import BigDecimal  # noqa: E402
from java.sql import BatchUpdateException, DriverManager, SQLException, Statement, Types  # noqa: E402
from java.time import LocalDate, LocalDateTime, OffsetDateTime  # noqa: E402
from java.util import Arrays, Properties, UUID  # noqa: E402

JdbcBytes = jpype.JArray(jpype.JByte)
TEXT, BINARY = 0, -1

TYPES = {
    "boolean": [Boolean(True), Boolean(False)],
    "smallint": [Short(-32768), Short(32767)],
    "integer": [Integer(-(2**31)), Integer(2**31 - 1)],
    "bigint": [Long(-(2**63)), Long(2**63 - 1)],
    "real": [Float(v) for v in (1.5, -0.0, 1e-45, 3.4028235e38, float("inf"), float("-inf"), float("nan"))],
    "double precision": [Double(v) for v in (0.1, -0.0, 1e-300, 5e-324, 1.7976931348623157e308, float("inf"),
                                             float("-inf"), float("nan"))],
    "numeric": [BigDecimal(t) for t in ("0", "-1.50", "1000000", "0.000000000000000000000000000001",
                                        "-12345678901234567890123456789012345678901234567890.00010", "9" * 1000)],
    "numeric(12,3)": [BigDecimal("-999999999.999"), BigDecimal("0.000")],
    "text": [String(t) for t in ("", "plain", "žluťoučký ☃ \U0001f40e", "it's \"quoted\" \\ \n", "x" * 100_000)],
    "varchar(5)": [String("12345"), String("☃☃☃☃☃")],
    "char(3)": [String("abc"), String("a  ")],
    "date": [LocalDate.parse(t) for t in ("0001-01-01", "1970-01-01", "2024-02-29", "9999-12-31")] + [LocalDate.MAX],
    "timestamp": [LocalDateTime.parse(t) for t in ("0001-01-01T00:00:00", "1969-12-31T23:59:59.999999",
                                                   "2024-02-29T12:34:56.789", "9999-12-31T23:59:59.999999")]
    + [LocalDateTime.MAX],
    "timestamptz": [OffsetDateTime.parse(t) for t in ("0001-01-01T00:00:00Z", "2024-02-29T12:34:56.789Z",
                                                      "9999-12-31T23:59:59.999999Z")],
    "uuid": [UUID.fromString(t) for t in ("00000000-0000-0000-0000-000000000000",
                                          "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
    "bytea": [JdbcBytes(b""), JdbcBytes(b"\x00\x01\x7f\xff")],
    "json": [String('{"a": [1, null, "ž"],  "b":{}}'), String("null")],
    "bigint[]": [jpype.JArray(Long)([Long(1), None, Long(-(2**63))]), jpype.JArray(Long)([])],
    "text[]": [jpype.JArray(String)(["", "NULL", 'a "b", {c}', None])],
}


def connect(threshold=5, user=None, password=None, database=None, **more):
    parts = urllib.parse.urlsplit(os.environ["URL"])
    properties = Properties()
    settings = {"user": user or parts.username, "password": password or parts.password,
                "prepareThreshold": threshold, "connectTimeout": 10, "socketTimeout": 60, **more}
    for name, value in settings.items():
        properties.setProperty(name, str(value))
    path = database or parts.path[1:]
    return DriverManager.getConnection(f"jdbc:postgresql://{parts.hostname}:{parts.port}/{path}", properties)


def equal(got, want, what="value"):
    assert got == want, f"{what}: got {got!r}, not {want!r}"


def rows(results):
    """All rows, as the driver's objects in strings."""
    width = results.getMetaData().getColumnCount()
    found = []
    while results.next():
        found.append(tuple(results.getString(k + 1) for k in range(width)))
    return found


def run(connection, sql):
    with connection.createStatement() as statement:
        if statement.execute(sql):
            return rows(statement.getResultSet())
        return statement.getUpdateCount()


def state(body):
    """The SQLSTATE that `body` ends with."""
    try:
        body()
    except SQLException as error:
        return str(error.getSQLState())
    raise AssertionError("no error")


# Every type.


def bind(statement, sql_type, value):
    if value is None:
        statement.setNull(1, Types.NULL)
    elif sql_type.endswith("[]"):
        statement.setArray(1, statement.getConnection().createArrayOf(sql_type[:-2], value))
    elif sql_type == "json":
        statement.setObject(1, value, Types.OTHER)
    else:
        statement.setObject(1, value)


def same(results, sql_type, value):
    if value is None:
        return results.getObject(1) is None and results.wasNull()
    if sql_type.endswith("[]"):
        return Arrays.equals(results.getArray(1).getArray(), value)
    if sql_type == "json":
        return value.equals(results.getString(1))
    if sql_type == "bytea":
        return Arrays.equals(results.getBytes(1), value)
    return value.equals(results.getObject(1, value.getClass()))


def round_trip(sql_type, threshold):
    """Each value and NULL: a constant back, and a row written and read."""
    with connect(threshold) as connection:
        run(connection, f"CREATE TABLE kept (id int PRIMARY KEY, v {sql_type})")
        try:
            constant = connection.prepareStatement(f"SELECT ?::{sql_type}")
            insert = connection.prepareStatement("INSERT INTO kept (v, id) VALUES (?, ?)")
            select = connection.prepareStatement("SELECT v FROM kept WHERE id = ?")
            for k, value in enumerate([*TYPES[sql_type], None]):
                bind(insert, sql_type, value)
                insert.setInt(2, k)
                equal(insert.executeUpdate(), 1, "inserted")
                bind(constant, sql_type, value)
                select.setInt(1, k)
                for what, statement in (("constant", constant), ("stored", select)):
                    with statement.executeQuery() as results:
                        assert results.next(), "no row"
                        assert same(results, sql_type, value), f"{what}: got {results.getString(1)!r}, not {value}"
        finally:
            run(connection, "DROP TABLE kept")


def text_then_binary(connection):
    """The sixth run of a statement asks for binary values, and the answers stay the same."""
    with connection.prepareStatement("SELECT ?::int8 * 2, ?::timestamp, ?::numeric") as statement:
        for k in range(20):
            statement.setLong(1, k)
            statement.setObject(2, LocalDateTime.of(2024, 2, 29, 0, 0, k))
            statement.setBigDecimal(3, BigDecimal("1.50"))
            equal(rows(statement.executeQuery()), [(str(2 * k), f"2024-02-29 00:00:{k:02}", "1.50")], f"run {k}")


def numeric_not_a_number(connection):
    with connection.prepareStatement("SELECT 'NaN'::numeric") as statement:
        for _ in range(8):
            with statement.executeQuery() as results:
                assert results.next() and Double(results.getDouble(1)).isNaN()


# Statements.


def batch(connection):
    with connection.prepareStatement("INSERT INTO entry (id, name) VALUES (?, ?)") as statement:
        for k in range(100, 200):
            statement.setLong(1, k)
            statement.setNull(2, Types.VARCHAR)
            statement.addBatch()
        equal(list(statement.executeBatch()), [1] * 100, "counts")


def rewritten_batch():
    """The driver makes INSERTs of many rows out of a batch of INSERTs."""
    with connect(reWriteBatchedInserts="true") as connection:
        with connection.prepareStatement("INSERT INTO entry (id, name) VALUES (?, ?)") as statement:
            for k in range(200, 300):
                statement.setLong(1, k)
                statement.setString(2, f"row {k}")
                statement.addBatch()
            equal(len(statement.executeBatch()), 100, "counts")
        found = run(connection, "SELECT count(*), max(name) FROM entry WHERE id BETWEEN 200 AND 299")
        equal(found, [("100", "row 299")])


def failing_batch(connection):
    """Everything after the row in error is left out, and the connection goes on."""
    with connection.prepareStatement("INSERT INTO entry (id) VALUES (?)") as statement:
        for k in (300, 300, 301):
            statement.setLong(1, k)
            statement.addBatch()
        try:
            statement.executeBatch()
            raise AssertionError("no error")
        except BatchUpdateException as error:
            equal(str(error.getSQLState()), "23505", "state")
    equal(run(connection, "SELECT count(*) FROM entry WHERE id = 301"), [("0",)], "rows after the error")


def limited_rows(connection):
    """`setMaxRows` is the row limit of the protocol's Execute: the portal stays suspended."""
    for prepared in (True, False):
        sql = "SELECT n FROM generate_series(1, 1000) AS g (n) ORDER BY n"
        statement = connection.prepareStatement(sql) if prepared else connection.createStatement()
        for _ in range(7):
            for limit in (1, 999, 1000, 1001, 0):
                statement.setMaxRows(limit)
                found = rows(statement.executeQuery() if prepared else statement.executeQuery(sql))
                last = min(limit or 1000, 1000)
                equal((len(found), found[-1]), (last, (str(last),)), "rows")
        statement.close()


def generated_keys(connection):
    with connection.prepareStatement("INSERT INTO entry (id, name) VALUES (?, 'g')",
                                     Statement.RETURN_GENERATED_KEYS) as statement:
        statement.setLong(1, 400)
        equal(statement.executeUpdate(), 1)
        equal([row[:2] for row in rows(statement.getGeneratedKeys())], [("400", "g")], "keys")


def several_statements(connection):
    with connection.createStatement() as statement:
        assert statement.execute("SELECT 1; UPDATE entry SET name = 'u' WHERE id = 100; SELECT 'x;y'")
        equal(rows(statement.getResultSet()), [("1",)], "first")
        assert not statement.getMoreResults()
        equal(statement.getUpdateCount(), 1, "second")
        assert statement.getMoreResults()
        equal(rows(statement.getResultSet()), [("x;y",)], "third")


def changed_table(connection):
    """The driver prepares a statement anew when its table was made anew with other columns."""
    run(connection, "CREATE TABLE changing (id int PRIMARY KEY, v text)")
    with connection.prepareStatement("SELECT * FROM changing") as statement:
        for _ in range(8):
            equal(rows(statement.executeQuery()), [])
        run(connection, "DROP TABLE changing")
        run(connection, "CREATE TABLE changing (id int PRIMARY KEY, w int, v text)")
        run(connection, "INSERT INTO changing VALUES (1, 2, 'new')")
        equal(rows(statement.executeQuery()), [("1", "2", "new")], "with the new columns")
    run(connection, "DROP TABLE changing")


# What the driver says about tables and columns.


def result_metadata(connection):
    with connection.prepareStatement("SELECT id, price, name AS label, 1 AS one FROM entry") as statement:
        found = statement.getMetaData()
        columns = range(1, found.getColumnCount() + 1)
        equal([found.getColumnLabel(k) for k in columns], ["id", "price", "label", "one"], "labels")
        equal([found.getColumnTypeName(k) for k in columns], ["int8", "numeric", "text", "int4"], "types")
        equal([(found.getPrecision(2), found.getScale(2))], [(10, 2)], "precision and scale")
        equal([found.getTableName(k) for k in columns], ["entry", "entry", "entry", ""], "tables")
        equal([found.isNullable(k) for k in columns], [0, 1, 1, 2], "nullable")


def parameter_metadata(connection):
    with connection.prepareStatement("SELECT * FROM entry WHERE id = ? AND price > ? AND name = ?") as statement:
        found = statement.getParameterMetaData()
        equal([found.getParameterTypeName(k) for k in (1, 2, 3)], ["int8", "numeric", "text"], "types")


def tables(connection):
    with connection.getMetaData().getTables(None, "public", "entry", ["TABLE"]) as results:
        equal([(row[1], row[2], row[3]) for row in rows(results)], [("public", "entry", "TABLE")], "tables")


def columns(connection):
    """The driver numbers the columns with row_number(), which the server does not have."""
    equal(state(lambda: connection.getMetaData().getColumns(None, "public", "entry", None)), "0A000", "state")


# Errors.


def errors(connection):
    def prepared(sql, *values):
        with connection.prepareStatement(sql) as statement:
            for k, value in enumerate(values):
                statement.setObject(k + 1, value)
            statement.execute()

    for expected, sql, values in [
        ("23505", "INSERT INTO entry (id) VALUES (?)", [Long(100)]),
        ("23502", "INSERT INTO entry (name) VALUES (?)", [String("x")]),
        ("22012", "SELECT 1 / ?", [Integer(0)]),
        ("22003", "SELECT ?::int2", [Integer(40000)]),
        ("22P02", "SELECT ?::text::int", [String("x")]),
        ("22001", "INSERT INTO entry (id, short) VALUES (1000, ?)", [String("too long")]),
        ("42601", "SELEC ?", [Integer(1)]),
        ("42P01", "SELECT * FROM nowhere WHERE id = ?", [Integer(1)]),
        ("42703", "SELECT nothing FROM entry WHERE id = ?", [Long(1)]),
        ("42883", "SELECT nosuch(?)", [Integer(1)]),
        ("42P07", "CREATE TABLE entry (id int PRIMARY KEY)", []),
    ]:
        for _ in range(7):
            equal(state(lambda: prepared(sql, *values)), expected, sql)
        equal(run(connection, "SELECT 1"), [("1",)], "after the error")
    try:
        prepared("INSERT INTO entry (id) VALUES (100)")
    except SQLException as error:
        said = error.getServerErrorMessage()
        equal((said.getTable(), said.getConstraint()), ("entry", "entry_pkey"), "fields of the error")


def refused(connection):
    """What the server does not have yet says so, and leaves the connection usable."""
    connection.setAutoCommit(False)
    equal(state(lambda: run(connection, "SELECT 1")), "0A000", "BEGIN")
    connection.setAutoCommit(True)
    copier = connection.unwrap(jpype.JClass("org.postgresql.PGConnection")).getCopyAPI()
    equal(state(lambda: copier.copyIn("COPY entry FROM STDIN")), "0A000", "COPY")
    equal(run(connection, "SELECT 1"), [("1",)], "after the refusals")


def idle_cancel(connection):
    """A cancel that comes when nothing runs does nothing, also not to the next statement."""
    with connection.createStatement() as statement:
        statement.setQueryTimeout(30)
        equal(rows(statement.executeQuery("SELECT 1")), [("1",)])
        statement.cancel()
    equal(run(connection, "SELECT 2"), [("2",)], "after the cancel")


def not_let_in():
    equal(state(lambda: connect(password="wrong")), "28P01", "a wrong password")
    equal(state(lambda: connect(user="nobody")), "28P01", "an unknown user")


def main():
    report = Report()
    for sql_type in TYPES:
        report.case(f"{sql_type} as text", lambda t=sql_type: round_trip(t, TEXT))
        report.case(f"{sql_type} as binary", lambda t=sql_type: round_trip(t, BINARY))
    with connect() as connection:
        run(connection, "CREATE TABLE entry (id bigint PRIMARY KEY, name text, price numeric(10,2), short varchar(3))")
        for body in (text_then_binary, numeric_not_a_number, batch, failing_batch, limited_rows, generated_keys,
                     several_statements, changed_table, result_metadata, parameter_metadata, tables, columns, errors,
                     refused, idle_cancel):
            report.case(body.__name__.replace("_", " "), lambda b=body: b(connection))
        report.case("rewritten batch", rewritten_batch)
        run(connection, "DROP TABLE entry")
    report.case("not let in", not_let_in)
    return 1 if report.failed else 0


sys.exit(main())
