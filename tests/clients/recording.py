#!/usr/bin/env python3
"""What real instances were given is given again to the simulator's build: the same must come of it.

    cargo build --release -p basalt-server && cargo build --release -p basalt-sim
    python3 tests/clients/recording.py

Three instances record while one of them is killed and comes back, and then stop. Needs the standard library
only. BASALT and BASALT_SIM name other binaries.
"""

import os
import pathlib
import stat
import subprocess
import sys

from cluster import ROOT, Cluster

SIM = pathlib.Path(os.environ.get("BASALT_SIM", ROOT / "target/release/basalt-sim"))
ROWS = 200


def check(fact, text):
    if not fact:
        raise SystemExit(text)


def replay(path):
    """Exit status of a replay, and what it printed."""
    done = subprocess.run([str(SIM), "replay", str(path)], text=True, capture_output=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


def record(cluster):
    """A cluster's life; gives the directory of recordings, one of each start of an instance."""
    folder = cluster.folder / "recordings"
    for node in cluster.nodes:
        node.flags = ["--record", str(folder / node.folder.name)]
    with cluster:
        first, second, _ = cluster.nodes
        first.admin("CREATE TABLE t (id INT PRIMARY KEY, word TEXT);")
        for k in range(ROWS):
            node = second if k % 2 else first
            node.admin(f"INSERT INTO t VALUES ({k}, 'word {k}');")
            if k == ROWS // 2:
                cluster.nodes[2].kill()
                cluster.nodes[2].start()
        cluster.nodes[2].wait_ready()
        for node in cluster.nodes:
            check(node.value("SELECT count(*) FROM t") == str(ROWS), f"rows on {node.number}")
        for node in cluster.nodes:
            node.stop()
        judge(folder, cluster)


def judge(folder, cluster):
    files = sorted(folder.glob("*/*.flight"))
    check(len(files) == 4, f"one recording of each start, not {files}")
    for file in files:
        check(stat.S_IMODE(file.stat().st_mode) == 0o600, f"{file} can be read by others")
        status, said = replay(file)
        check(status == 0 and ": same" in said, f"{file}: {said}")
        print(said.strip())
    status, said = replay(cluster.nodes[2].folder.parent / "recordings" / "i3")
    check(status == 0 and said.count(": same") == 2, f"a directory: {said}")
    tamper(files[0])


def tamper(file):
    """A cut is a shorter run, a flipped bit is damage."""
    whole = file.read_bytes()
    # Behind a turn a cut cannot be told from an end; one byte before that it can.
    told = []
    for end in (len(whole) * 2 // 3, len(whole) * 2 // 3 - 1):
        file.write_bytes(whole[:end])
        status, said = replay(file)
        check(status == 0, f"cut: {said}")
        told.append("has no end" in said)
    check(any(told), f"cut: {said}")
    half = len(whole) // 2
    file.write_bytes(whole[:half] + bytes([whole[half] ^ 1]) + whole[half + 1:])
    status, said = replay(file)
    check(status == 64 and "at byte" in said, f"damaged: {status} {said}")
    file.write_text("something else")
    status, said = replay(file)
    check(status == 64 and "does not begin as a recording does" in said, f"foreign: {status} {said}")


if __name__ == "__main__":
    record(Cluster(3))
    print("every recording was repeated")
    sys.exit(0)
