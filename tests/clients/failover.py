#!/usr/bin/env python3
"""Kills and pauses real instances under a writing client: no acknowledged row may be lost.

    python3 -m pip install 'psycopg[binary]' && python3 tests/clients/failover.py

Each case runs writers that record every acknowledged row, disturbs the cluster, and then reads all
rows back from every instance. A row whose outcome was unknown may be there or not; a row that was
refused must not be.
"""

import signal
import sys
import threading
import time

import psycopg

from cluster import Cluster

WRITERS = 4


class Writer(threading.Thread):
    """Inserts increasing ids through whichever node answers, and records what became of each."""

    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.number = cluster, number
        self.acked, self.refused, self.unknown = set(), set(), set()
        self.acks = []
        self.done = threading.Event()

    def run(self):
        turn, connection, n = self.number, None, 0
        while not self.done.is_set():
            n += 1
            row = self.number * 1_000_000 + n
            try:
                if connection is None:
                    turn += 1
                    node = self.cluster.nodes[turn % len(self.cluster.nodes)]
                    connection = psycopg.connect(node.url(), autocommit=True, connect_timeout=2)
                    connection.execute("SET statement_timeout = '3s'")
            except psycopg.Error:
                time.sleep(0.02)
                n -= 1
                continue
            try:
                connection.execute("INSERT INTO kept (id, writer) VALUES (%s, %s)", (row, self.number))
                self.acked.add(row)
                self.acks.append(time.monotonic())
            except psycopg.Error as error:
                # A class 40 or 53 error says that nothing was done; anything else leaves it open.
                state = error.sqlstate or ""
                (self.refused if state.startswith(("40", "53")) and state != "40003" else self.unknown).add(row)
                connection.close()
                connection = None
        if connection is not None:
            connection.close()


def rows_of(node):
    with psycopg.connect(node.url(), autocommit=True, connect_timeout=5) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM kept")}


def longest_gap(writers, since, until):
    """The longest time without an acknowledgement between the two moments."""
    times = sorted(t for w in writers for t in w.acks if since <= t <= until)
    return max(b - a for a, b in zip([since] + times, times + [until]))


def disturbed(name, disturb, resumes_within=None):
    with Cluster(3) as cluster:
        with psycopg.connect(cluster.nodes[0].url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id BIGINT PRIMARY KEY, writer INTEGER)")
        writers = [Writer(cluster, k) for k in range(1, WRITERS + 1)]
        for writer in writers:
            writer.start()
        time.sleep(1.5)
        before = time.monotonic()
        disturb(cluster)
        time.sleep(3)
        after = time.monotonic()
        for writer in writers:
            writer.done.set()
        for writer in writers:
            writer.join(15)
        gap = longest_gap(writers, before, after)
        for node in cluster.nodes:
            if not node.alive():
                node.start()
                node.wait_ready()
        cluster.wait_online(3)
        acked = set().union(*(w.acked for w in writers))
        refused = set().union(*(w.refused for w in writers))
        unknown = set().union(*(w.unknown for w in writers))
        problems = []
        for node in cluster.nodes:
            found = rows_of(node)
            if acked - found:
                problems.append(f"node {node.number} lost {len(acked - found)} acknowledged rows")
            if refused & found:
                problems.append(f"node {node.number} shows {len(refused & found)} refused rows")
            if found - acked - unknown - refused:
                problems.append(f"node {node.number} shows rows nobody wrote")
        if resumes_within is not None and gap > resumes_within:
            problems.append(f"writes stood still for {gap:.2f} s, more than {resumes_within} s")
        verdict = "; ".join(problems) or "ok"
        print(f"{name:28} acked {len(acked):6} unknown {len(unknown):4} refused {len(refused):4} "
              f"longest gap {gap:5.2f} s   {verdict}", flush=True)
        return not problems


def kill_leader(cluster):
    cluster.leader().kill()


def kill_follower(which):
    def disturb(cluster):
        leader = cluster.leader()
        [n for n in cluster.nodes if n is not leader][which].kill()
    return disturb


def kill_all(cluster):
    for node in cluster.nodes:
        node.signal(signal.SIGKILL)
    for node in cluster.nodes:
        node.process.wait(10)
    for node in cluster.nodes:
        node.start()
    for node in cluster.nodes:
        node.wait_ready()


def pause_leader(cluster):
    """A paused leader wakes up and must not serve what it remembers."""
    leader = cluster.leader()
    with psycopg.connect(leader.url(), autocommit=True) as old:
        old.execute("SELECT count(*) FROM kept").fetchone()
        leader.signal(signal.SIGSTOP)
        time.sleep(5)
        other = next(n for n in cluster.nodes if n is not leader)
        with psycopg.connect(other.url(), autocommit=True) as new:
            new.execute("INSERT INTO kept (id, writer) VALUES (99000001, 99)")
        marker = 99000001
        leader.signal(signal.SIGCONT)
        try:
            seen = old.execute("SELECT count(*) FROM kept WHERE id = %s", (marker,)).fetchone()[0]
        except psycopg.Error:
            seen = 1
        with psycopg.connect(other.url(), autocommit=True) as new:
            new.execute("DELETE FROM kept WHERE id = 99000001")
    if seen != 1:
        raise SystemExit("stale read: the old leader answered from before its pause")


CASES = {
    "kill -9 leader": (kill_leader, 1.0),
    "kill -9 follower 1": (kill_follower(0), 1.0),
    "kill -9 follower 2": (kill_follower(1), 1.0),
    "kill -9 all three": (kill_all, None),
    "SIGSTOP leader 5 s": (pause_leader, None),
}


def main():
    wanted = sys.argv[1:]
    good = 0
    cases = [(n, c) for n, c in CASES.items() if not wanted or any(w in n for w in wanted)]
    for name, (disturb, within) in cases:
        good += disturbed(name, disturb, within)
    print(f"{good} passed, {len(cases) - good} failed")
    sys.exit(0 if good == len(cases) else 1)


if __name__ == "__main__":
    main()
