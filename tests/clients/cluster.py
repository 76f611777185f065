"""A local Basalt cluster of real processes, for tests: start, kill, pause, restart, stop.

Everything is on loopback, in a temporary folder, bounded in time, and stopped by pid.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("BASALT", ROOT / "target/release/basalt"))
USER, PASSWORD = "app", "App-pass1"


def free_ports(count, taken=set()):
    """Ports nobody listens on and no outgoing connection is given: below the ephemeral range.

    A node that is down for a while finds its own again. None is handed out twice.
    """
    found = []
    while len(found) < count:
        port = random.randrange(10_000, 32_000)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in taken:
            taken.add(port)
            found.append(port)
    return found


class Node:
    """One `basalt run` process and its data directory."""

    def __init__(self, folder, number, peer, factor, domain):
        self.number = number
        self.folder = folder / f"i{number}"
        self.port, self.pg, self.http = free_ports(3)
        self.peer = peer or f"127.0.0.1:{self.port}"
        self.factor, self.domain = factor, domain
        self.log = folder / f"i{number}.log"
        self.process = None
        self.open_files = None  # a limit for the process, if it is to have one
        self.flags = []  # more of the command line

    def start(self):
        args = [
            str(BINARY), "run", "--data-dir", str(self.folder),
            "--listen", f"127.0.0.1:{self.port}", "--peer", self.peer,
            "--pg-listen", f"127.0.0.1:{self.pg}", "--http-listen", f"127.0.0.1:{self.http}",
            "--init-replication-factor", str(self.factor),
            "--failure-domain", json.dumps({"dc": self.domain}), *self.flags,
        ]
        if self.open_files is not None:
            args = ["sh", "-c", 'ulimit -n "$0" && exec "$@"', str(self.open_files), *args]
        self.process = subprocess.Popen(args, stdout=open(self.log, "a"), stderr=subprocess.STDOUT)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self):
        if self.alive():
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=2) as answer:
            return answer.read().decode()

    def wait_ready(self, seconds=20):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.alive():
                raise SystemExit(f"node {self.number} ended:\n{self.log.read_text()[-2000:]}")
            try:
                if json.loads(self.get("/health/ready"))["ready"]:
                    return
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(0.05)
        raise SystemExit(f"node {self.number} is not ready:\n{self.log.read_text()[-2000:]}")

    def admin(self, script):
        done = subprocess.run([str(BINARY), "admin", str(self.folder / "admin.sock"), "-j"],
                              input=script, text=True, capture_output=True, timeout=30)
        if done.returncode != 0:
            raise SystemExit(f"admin on node {self.number}: {done.stdout}{done.stderr}")
        return done.stdout

    def value(self, query):
        """The only value of a query, run as the superuser."""
        rows = json.loads(self.admin(query + ";\n").strip().splitlines()[-1])
        return next(iter(rows[0].values())) if rows else None

    def url(self):
        return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{self.pg}/basalt"


class Cluster:
    """`count` nodes of one replica set, each in a data centre of its own. A context manager."""

    def __init__(self, count=3, factor=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="basalt-test-"))
        self.nodes = []
        factor = factor or count
        for k in range(1, count + 1):
            peer = f"127.0.0.1:{self.nodes[0].port}" if self.nodes else None
            self.nodes.append(Node(self.folder, k, peer, factor, f"dc{k}"))

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def start(self):
        for node in self.nodes:
            node.start()
            node.wait_ready()
        self.nodes[0].admin(
            f"CREATE USER {USER} WITH PASSWORD '{PASSWORD}';\nGRANT CREATE TABLE TO {USER};\n")
        self.wait_online(len(self.nodes))

    def __exit__(self, *_):
        for node in self.nodes:
            if node.process is not None:
                node.stop()
        if os.environ.get("KEEP"):
            print(f"kept {self.folder}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)

    def state(self):
        """The cluster as some living node sees it."""
        for node in self.nodes:
            if node.alive():
                try:
                    return json.loads(node.get("/api/v1/cluster"))
                except (OSError, ValueError):
                    continue
        return {}

    def wait_online(self, count, seconds=30):
        end = time.monotonic() + seconds
        online = ""
        while time.monotonic() < end:
            live = next(n for n in self.nodes if n.alive())
            online = live.value("SELECT count(*) FROM _pico_instance WHERE current_state = 'Online'")
            if online == str(count):
                return
            time.sleep(0.1)
        raise SystemExit(f"{online} of {count} instances are online")

    def leader(self):
        """The node that leads the replica set."""
        name = self.live().value("SELECT current_master_name FROM _pico_replicaset")
        port = self.live().value(
            "SELECT a.address FROM _pico_peer_address a JOIN _pico_instance i ON a.raft_id = i.raft_id "
            f"WHERE i.name = '{name}' AND a.connection_type = 'iproto'").rsplit(":", 1)[1]
        return next(n for n in self.nodes if str(n.port) == port)

    def live(self):
        return next(n for n in self.nodes if n.alive())
