#!/usr/bin/env python3
"""Real clients against one real server: psql, psycopg, node-postgres, PgJDBC, tokio-postgres.

    cargo build --release -p basalt-server && python3 tests/clients/run.py [client…]

Drivers are fetched into target/clients on first use; PGJDBC may name a jar that is there already. A client whose language is not installed is
skipped with a line that says so. The last line is `N passed, N failed`.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import urllib.parse
import venv

from cluster import ROOT, Cluster

HERE = pathlib.Path(__file__).resolve().parent
CACHE = ROOT / "target/clients"
JDBC = "org.postgresql:postgresql:42.7.4"
SECONDS = 300


class Skip(Exception):
    """The client's language is not on this machine; says what is missing."""


class SetupFailed(Exception):
    """A driver could not be fetched: a failure, not a skip."""


def need(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")


def setup(*command, folder=None):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise SetupFailed(f"{' '.join(map(str, command[:4]))}: {(done.stdout + done.stderr)[-300:]}")


def psql(url):
    """Compares what the script prints with psql.expected; -u on the command line rewrites it."""
    need("psql")
    command = ["psql", "-X", "-a", "-q", "-f", str(HERE / "psql.sql"), url]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=60, cwd=HERE, env={**os.environ, "PGTZ": "UTC", "LC_ALL": "C"})
    got = done.stdout.replace(str(HERE) + "/", "")
    expected = HERE / "psql.expected"
    if "-u" in sys.argv:
        expected.write_text(got)
    if got == expected.read_text():
        return ["ok psql.sql"]
    (CACHE / "psql.got").write_text(got)
    difference = subprocess.run(["diff", "-u", str(expected), str(CACHE / "psql.got")],
                                capture_output=True, text=True).stdout
    return [f"FAIL psql.sql:\n{difference}"]


def psycopg(url):
    python = CACHE / "venv/bin/python"
    if not python.exists():
        venv.create(CACHE / "venv", with_pip=True)
    setup(python, "-m", "pip", "-q", "install", "psycopg[binary]>=3.2,<4")
    return cases([python, HERE / "psycopg_client.py"], url)


def node(url):
    need("node", "npm")
    folder = CACHE / "node"
    folder.mkdir(exist_ok=True)
    if not (folder / "node_modules/pg").exists():
        setup("npm", "--silent", "--no-fund", "--no-audit", "install", "pg@8", folder=folder)
    return cases(["node", HERE / "pg_client.cjs"], url, NODE_PATH=str(folder / "node_modules"))


def jdbc(url):
    need("java")
    jar = pathlib.Path(os.environ.get("PGJDBC", CACHE / "postgresql-42.7.4.jar"))
    if not jar.exists():
        need("mvn")
        setup("mvn", "-q", "dependency:copy", f"-Dartifact={JDBC}", f"-DoutputDirectory={CACHE}")
    parts = urllib.parse.urlsplit(url)
    jdbc_url = (f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}"
                f"?user={parts.username}&password={parts.password}")
    return cases(["java", "-cp", jar, HERE / "Clients.java"], jdbc_url)


def tokio(url):
    need("cargo")
    return cases(["cargo", "run", "-q", "-p", "basalt-tests", "--bin", "tokio-client"], url)


def cases(command, url, **environment):
    """Runs a client program; its lines `ok …` and `FAIL …` are its cases."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT,
                          env={**os.environ, **environment, "URL": url})
    lines = [l for l in done.stdout.splitlines() if l.startswith(("ok ", "FAIL "))]
    if not lines or done.returncode != 0 and not any(l.startswith("FAIL") for l in lines):
        lines.append(f"FAIL program: exit {done.returncode}\n{(done.stdout + done.stderr)[-1500:]}")
    return lines


CLIENTS = {"psql": psql, "psycopg": psycopg, "node": node, "jdbc": jdbc, "tokio": tokio}


def main():
    chosen = [c for c in sys.argv[1:] if not c.startswith("-")] or list(CLIENTS)
    CACHE.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    with Cluster(1) as cluster:
        for name in chosen:
            try:
                lines = CLIENTS[name](cluster.nodes[0].url())
            except Skip as why:
                print(f"{name}: skipped: {why}")
                continue
            except SetupFailed as why:
                lines = [f"FAIL setup: {why}"]
            for line in lines:
                print(f"{name}: {line}", flush=True)
            failures = sum(line.startswith("FAIL") for line in lines)
            failed, passed = failed + failures, passed + len(lines) - failures
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
