#!/usr/bin/env python3
"""Kills, pauses and stops real instances under a writing client: no acknowledged row may be lost.

    python3 -m pip install 'psycopg[binary]' && python3 tests/clients/failover.py

Each case runs writers that record every acknowledged row, disturbs the cluster, and then lets each
instance lead in turn and reads all rows back from it. A row whose outcome was unknown may be there or
not; a row that was refused must not be. Rows must have been acknowledged before the disturbance and
after it, and the time without any is bounded: by what the cluster promises where one instance is lost,
by what a start takes where all are.
"""

import signal
import sys
import threading
import time

import psycopg

from cluster import Cluster

WRITERS = 4
# What a client hears of an instance that is stopped cleanly: the end of its connection between two
# statements, and that it comes too early or too late for a new one.
STOPS = {"57P01", "57P03"}
# libpq takes the first as a notice where it follows a reply at once, and then knows of a closed connection
# only.
CLOSED = "server closed the connection unexpectedly"


class Writer(threading.Thread):
    """Inserts increasing ids through whichever node answers, and records what became of each."""

    def __init__(self, cluster, number):
        super().__init__(daemon=True)
        self.cluster, self.number = cluster, number
        self.acked, self.refused, self.unknown = set(), set(), set()
        self.acks = []
        self.errors = []  # the SQLSTATE and the message of each statement that failed
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
                # A class 40 or 53 error says that nothing was done, and so do those of a stop; anything
                # else leaves it open.
                state = error.sqlstate or ""
                self.errors.append((state, str(error).strip()))
                nothing_done = state.startswith(("40", "53")) and state != "40003" or state in STOPS
                (self.refused if nothing_done else self.unknown).add(row)
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


def make_lead(cluster, node):
    """Stops whoever else leads, and starts it again, until `node` does."""
    end = time.monotonic() + 60
    while True:
        leader = cluster.leader()
        if leader is node:
            return
        if time.monotonic() > end:
            raise SystemExit(f"node {node.number} does not get to lead")
        # With the third one silent, leadership goes here; it is back before this one needs it.
        third = next(n for n in cluster.nodes if n is not leader and n is not node)
        third.signal(signal.SIGSTOP)
        time.sleep(0.5)
        leader.signal(signal.SIGTERM)
        leader.process.wait(15)
        third.signal(signal.SIGCONT)
        leader.start()
        leader.wait_ready()
        cluster.wait_online(len(cluster.nodes))


def problems_of(node, acked, refused, unknown):
    found = rows_of(node)
    if acked - found:
        yield f"node {node.number} lost {len(acked - found)} acknowledged rows"
    if refused & found:
        yield f"node {node.number} shows {len(refused & found)} refused rows"
    if found - acked - unknown - refused:
        yield f"node {node.number} shows rows nobody wrote"


def disturbed(name, disturb, resumes_within, judge=lambda writers, found: []):
    with Cluster(3) as cluster:
        with psycopg.connect(cluster.nodes[0].url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (id BIGINT PRIMARY KEY, writer INTEGER)")
        writers = [Writer(cluster, k) for k in range(1, WRITERS + 1)]
        for writer in writers:
            writer.start()
        time.sleep(1.5)
        before = time.monotonic()
        disturb(cluster)
        disturbed_until = time.monotonic()
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
        problems = list(judge(writers, rows_of(cluster.nodes[0])))
        times = [t for w in writers for t in w.acks]
        for when, some in (("before", any(t < before for t in times)),
                           ("after", any(t > disturbed_until for t in times))):
            if not some:
                problems.append(f"nothing was acknowledged {when} the disturbance")
        for node in cluster.nodes:
            make_lead(cluster, node)
            problems.extend(problems_of(node, acked, refused, unknown))
        if gap > resumes_within:
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


def damage_the_founder(cluster):
    """The first instance, which is told no peer but itself, comes back as a new one when its log is damaged."""
    founder = cluster.nodes[0]
    newest = "SELECT max(raft_id) FROM _pico_instance"
    before = founder.value(newest)
    founder.kill()
    segment = sorted((founder.folder / "wal").iterdir())[0]
    with open(segment, "r+b") as file:
        file.seek(3)  # in the header of the first batch: no torn end
        byte = file.read(1)[0]
        file.seek(3)
        file.write(bytes([byte ^ 1]))
    founder.start()
    founder.wait_ready()
    cluster.wait_online(len(cluster.nodes))
    if founder.value(newest) == before:
        raise SystemExit("the founder goes on as if its log were sound")


def stop_in_turn(cluster):
    """A rolling restart: each instance is told to stop, and started again."""
    for node in cluster.nodes:
        node.signal(signal.SIGTERM)
        node.process.wait(15)
        if node.process.returncode != 0:
            raise SystemExit(f"node {node.number} ended with {node.process.returncode}")
        node.start()
        node.wait_ready()
        cluster.wait_online(len(cluster.nodes))


def only_reconnects(writers, found):
    """A clean stop costs a client its connection, between two statements, and nothing else."""
    for state, message in (error for w in writers for error in w.errors):
        if state not in STOPS and not (state == "" and CLOSED in message):
            yield f"a client heard {state or 'no SQLSTATE'}: {message.splitlines()[0]}"
    cut = found & set().union(*(w.unknown for w in writers))
    if cut:
        yield f"{len(cut)} statements were carried out and not answered"


CASES = {
    "kill -9 leader": (kill_leader, 1.0),
    "kill -9 follower 1": (kill_follower(0), 1.0),
    "kill -9 follower 2": (kill_follower(1), 1.0),
    "kill -9 all three": (kill_all, 5.0),
    "flipped bit in the founder's log": (damage_the_founder, 1.0),
    # The writers that had asked it hear nothing until it goes on; the others do.
    "SIGSTOP leader 5 s": (pause_leader, 1.0),
    "SIGTERM each in turn": (stop_in_turn, 1.0, only_reconnects),
}


def main():
    wanted = sys.argv[1:]
    good = 0
    cases = [(n, c) for n, c in CASES.items() if not wanted or any(w in n for w in wanted)]
    for name, case in cases:
        good += disturbed(name, *case)
    print(f"{good} passed, {len(cases) - good} failed")
    sys.exit(0 if good == len(cases) else 1)


if __name__ == "__main__":
    main()
