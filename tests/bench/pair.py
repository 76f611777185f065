#!/usr/bin/env python3
"""Pairs basalt with PostgreSQL under pgbench in one run and prints the ratios.

Both servers run on this machine, one after the other in turn (A B A B ...), each alone while it is
measured. A row gives transactions a second and server CPU microseconds a transaction (user + system,
as the kernel accounts them to the server's processes): min / median / max over the rounds.

    cargo build --release -p basalt-server && python3 tests/bench/pair.py [--rounds 3] [--seconds 5] [--only select]

Needs pgbench, postgres, initdb and psql on PATH. Everything runs on loopback in a temporary folder.
"""

import argparse
import os
import pathlib
import pwd
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/clients"))

from cluster import free_ports  # noqa: E402

ROWS = 100_000

CASES = {
    # name: (clients, script)
    "select": (8, "\\set id random(1, %d)\nSELECT abalance FROM bench WHERE aid = :id;\n" % ROWS),
    "select64": (64, "\\set id random(1, %d)\nSELECT abalance FROM bench WHERE aid = :id;\n" % ROWS),
    "insert": (32, "INSERT INTO sink (id, note) VALUES (gen_random_uuid(), 'a note of some length');\n"),
    "update": (64, "\\set id random(1, %d)\nUPDATE bench SET abalance = abalance + 1 WHERE aid = :id;\n" % ROWS),
}

SCHEMA = """
CREATE TABLE bench (aid INTEGER PRIMARY KEY, bid INTEGER, abalance INTEGER, filler TEXT);
CREATE TABLE sink (id UUID PRIMARY KEY, note TEXT);
"""


def children(pid):
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    found = [int(x) for x in out.stdout.split()]
    return found + [c for f in found for c in children(f)]


def cpu_seconds(pid):
    """User + system time of a process, its living children, and the dead ones it waited for."""
    tick = os.sysconf("SC_CLK_TCK")
    total = 0
    for p in [pid, *children(pid)]:
        try:
            fields = pathlib.Path(f"/proc/{p}/stat").read_text().rsplit(")", 1)[1].split()
        except FileNotFoundError:
            continue
        total += sum(int(fields[k]) for k in (11, 12, 13, 14))
    return total / tick


class Server:
    """One running server: where it is and which process to account."""

    def __init__(self, name, folder):
        self.name, self.folder, (self.port,) = name, folder, free_ports(1)
        self.process = None

    def psql(self, sql):
        return subprocess.run(
            ["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.url(), "-f", "-"],
            input=sql, text=True, check=True, capture_output=True,
        )

    def wait(self):
        for _ in range(150):
            try:
                self.psql("SELECT 1;")
                return
            except subprocess.CalledProcessError:
                time.sleep(0.2)
        sys.exit(f"{self.name} does not answer on port {self.port}")

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()


class Postgres(Server):
    def start(self):
        data = self.folder / "pg"
        user = None
        if os.getuid() == 0:
            user = "postgres"
            entry = pwd.getpwnam(user)
            data.mkdir()
            os.chown(data, entry.pw_uid, entry.pw_gid)
            os.chmod(self.folder, 0o755)
        self.user = user or pwd.getpwuid(os.getuid()).pw_name
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["initdb", "-D", str(data), "-A", "trust"], user=user, check=True, cwd="/", **quiet)
        self.process = subprocess.Popen(
            ["postgres", "-D", str(data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
             "-c", "unix_socket_directories=", "-c", "synchronous_commit=on", "-c", "max_connections=200",
             "-c", "shared_buffers=512MB"],
            user=user, cwd="/", **quiet)
        self.wait()

    def url(self):
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/postgres"


class Basalt(Server):
    def start(self):
        data = self.folder / "basalt"
        binary = ROOT / "target/release/basalt"
        if not binary.exists():
            sys.exit("build it first: cargo build --release -p basalt-server")
        self.process = subprocess.Popen(
            [str(binary), "run", "--data-dir", str(data), "--listen", f"127.0.0.1:{free_ports(1)[0]}",
             "--pg-listen", f"127.0.0.1:{self.port}", "--http-listen", f"127.0.0.1:{free_ports(1)[0]}"],
            stdout=open(self.folder / "basalt.log", "w"), stderr=subprocess.STDOUT)
        socket_path = data / "admin.sock"
        script = "CREATE USER bench WITH PASSWORD 'Bench-pass1';\nGRANT CREATE TABLE TO bench;\n"
        for _ in range(100):
            done = subprocess.run([str(binary), "admin", str(socket_path)], input=script,
                                  text=True, capture_output=True)
            if done.returncode == 0:
                break
            time.sleep(0.2)
        else:
            sys.exit(f"basalt admin: {done.stdout}{done.stderr}")
        self.wait()

    def url(self):
        return f"postgresql://bench:Bench-pass1@127.0.0.1:{self.port}/basalt"


def fill(server):
    server.psql(SCHEMA)
    step = 1000
    rows = []
    for first in range(1, ROWS + 1, step):
        values = ",".join(f"({k},1,0,'{'x' * 60}')" for k in range(first, first + step))
        rows.append(f"INSERT INTO bench VALUES {values};")
    server.psql("\n".join(rows))


def measure(server, case, seconds, folder):
    clients, script = CASES[case]
    path = folder / f"{case}.sql"
    path.write_text(script)
    before = cpu_seconds(server.process.pid)
    done = subprocess.run(
        ["pgbench", "-n", "-M", "prepared", "-f", str(path), "-c", str(clients), "-j", "1",
         "-T", str(seconds), server.url()],
        capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"pgbench on {server.name}: {done.stderr}")
    after = cpu_seconds(server.process.pid)
    fields = {}
    for line in done.stdout.splitlines():
        if line.startswith("tps = "):
            fields["tps"] = float(line.split()[2])
        if line.startswith("number of transactions actually processed"):
            fields["count"] = int(line.split(":")[1].split("/")[0])
    return fields["tps"], (after - before) * 1e6 / max(1, fields["count"])


def spread(values):
    return f"{min(values):10.1f} {statistics.median(values):10.1f} {max(values):10.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", choices=CASES, action="append")
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="basalt-pair-"))
    servers = [Basalt("basalt", folder), Postgres("postgres", folder)]
    try:
        for server in servers:
            server.start()
            fill(server)
        print(f"{'case':10} {'server':10} {'tps min':>10} {'median':>10} {'max':>10}   {'cpu us min':>10} {'median':>10} {'max':>10}")
        for case in args.only or CASES:
            results = {s.name: ([], []) for s in servers}
            for _ in range(args.rounds):
                for server in servers:
                    tps, cpu = measure(server, case, args.seconds, folder)
                    results[server.name][0].append(tps)
                    results[server.name][1].append(cpu)
            for name, (tps, cpu) in results.items():
                print(f"{case:10} {name:10} {spread(tps)}   {spread(cpu)}")
            a, b = results["basalt"], results["postgres"]
            ratio = [x / y for x, y in zip(a[0], b[0])]
            saved = [y / x for x, y in zip(a[1], b[1])]
            print(f"{case:10} {'ratio':10} {min(ratio):10.2f} {statistics.median(ratio):10.2f} {max(ratio):10.2f}"
                  f"   {min(saved):10.2f} {statistics.median(saved):10.2f} {max(saved):10.2f}", flush=True)
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
