#!/usr/bin/env python3
"""What a client can do about a statement that waits for a majority, or that is long: cancel it, or let it time out.

    python3 -m pip install 'psycopg[binary]' && python3 tests/clients/cancel.py

Two of three instances stand still, so statements on the third wait. Each case ends one of them, within a second of
when it should, and with its SQLSTATE; the connection goes on when the others do. Then all work, and a statement that
would take hours runs on the leader, for a client of its own and for one of a follower: while it does, others are
answered, nobody else is elected, and it ends when it should. The last line is `N passed, N failed`.
"""

import contextlib
import signal
import sys
import threading
import time

import psycopg
from psycopg import errors

from cluster import Cluster
from report import Report

AFTER = 0.5
SLACK = 1.0


def connect(node):
    return psycopg.connect(node.url(), autocommit=True, connect_timeout=5)


@contextlib.contextmanager
def standing_still(nodes):
    for node in nodes:
        node.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for node in nodes:
            node.signal(signal.SIGCONT)


def ends_with(kind, message, body):
    """`body` ends with this error, about half a second after its start."""
    begin = time.monotonic()
    try:
        body()
        raise AssertionError("no error")
    except kind as error:
        assert message in str(error), error
    took = time.monotonic() - begin
    assert AFTER - 0.1 <= took <= AFTER + SLACK, f"took {took:.2f} s"


def cancelled(connection, body):
    timer = threading.Timer(AFTER, connection.cancel_safe)
    timer.start()
    try:
        ends_with(errors.QueryCanceled, "canceling statement due to user request", body)
    finally:
        timer.join()


def timed_out(connection, body):
    connection.execute(f"SET statement_timeout = '{int(AFTER * 1000)}ms'")
    try:
        ends_with(errors.QueryCanceled, "canceling statement due to statement timeout", body)
    finally:
        connection.execute("RESET statement_timeout")


def wait_for(connection, seconds=20):
    """Statements are answered again."""
    end = time.monotonic() + seconds
    while True:
        try:
            return connection.execute("SELECT count(*) FROM kept").fetchone()
        except psycopg.Error:
            if time.monotonic() > end or connection.closed:
                raise


def main():
    report = Report()
    with Cluster(3) as cluster:
        leader = cluster.leader()
        asked = next(node for node in cluster.nodes if node is not leader)
        with connect(asked) as connection:
            connection.execute("CREATE TABLE kept (id int PRIMARY KEY)")
            connection.execute("INSERT INTO kept VALUES (1)")
            select = "SELECT count(*) FROM kept"
            ways = {
                "simple": lambda: psycopg.ClientCursor(connection).execute(select),
                "prepared": lambda: connection.execute(select, prepare=True),
                "pipelined": lambda: pipelined(connection, select),
            }
            with standing_still([node for node in cluster.nodes if node is not asked]):
                for name, body in ways.items():
                    report.case(f"cancelled, {name}", lambda b=body: cancelled(connection, b))
                    report.case(f"timed out, {name}", lambda b=body: timed_out(connection, b))
                report.case("what needs no other instance is answered", lambda: settings(connection))
            report.case("the connection goes on", lambda: goes_on(connection))
        for where, node in {"leader": leader, "follower": asked}.items():
            with connect(node) as connection:
                report.case(f"a long one cancelled, {where}", lambda: cancelled(connection, lambda: long(connection)))
                report.case(f"a long one timed out, {where}", lambda: timed_out(connection, lambda: long(connection)))
                report.case(f"beside a long one, {where}", lambda: beside_a_long_one(cluster, connection))
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


def pipelined(connection, select):
    with connection.pipeline():
        connection.execute("SELECT 1")
        connection.execute(select)


HOURS = "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b"


def long(connection):
    connection.execute(f"{HOURS}, kept")


def beside_a_long_one(cluster, connection):
    """For three seconds, each of many short statements is answered at once, by the same leader."""
    leader = cluster.leader()
    slowest, end = 0, time.monotonic() + 3
    runner = threading.Thread(target=lambda: ends(connection))
    runner.start()
    try:
        with connect(leader) as other:
            while time.monotonic() < end:
                begin = time.monotonic()
                other.execute("SELECT count(*) FROM kept")
                slowest = max(slowest, time.monotonic() - begin)
    finally:
        connection.cancel_safe()
        runner.join()
    assert slowest < 0.25, f"one took {slowest:.3f} s"
    assert cluster.leader() is leader


def ends(connection):
    with contextlib.suppress(errors.QueryCanceled):
        long(connection)


def settings(connection):
    assert connection.execute("SHOW statement_timeout").fetchone() == ("0",)
    assert connection.execute("SELECT count(*) FROM _pico_instance").fetchone() == (3,)


def goes_on(connection):
    assert wait_for(connection) == (1,)
    connection.execute("INSERT INTO kept VALUES (2)")
    assert wait_for(connection) == (2,)


if __name__ == "__main__":
    sys.exit(main())
