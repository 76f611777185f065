#!/usr/bin/env python3
"""What strangers send: garbage on every port, announced lengths of 2 GiB, far too many connections.

    cargo build --release -p basalt-server && python3 tests/clients/bad_input.py [case…]

Against one real server. After each case the server must answer queries, over PostgreSQL's protocol and over
the admin socket, hold every row it has acknowledged, and be no larger than its budget allows; at the end also
after a `kill -9`. Needs the standard library only. BASALT names another binary. The last line is
`N passed, N failed`.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import random
import resource
import select
import socket
import struct
import sys
import time
import zlib

from cluster import PASSWORD, USER, Cluster

SECONDS = 30
GIB = 1 << 30
MIB = 1 << 20
SSL_REQUEST = struct.pack("!II", 8, 80877103)
PG_TERMINATE = b"X" + struct.pack("!I", 4)
# A TLS 1.2 ClientHello's first bytes, and how a browser begins.
TLS_HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(range(200))
HTTP_GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def check(fact, text):
    if not fact:
        raise AssertionError(text)


# --- a client of PostgreSQL's protocol ---


def message(tag, body):
    return tag + struct.pack("!I", len(body) + 4) + body


def startup(user=USER):
    body = struct.pack("!I", 196608) + f"user\0{user}\0database\0basalt\0\0".encode()
    return struct.pack("!I", len(body) + 4) + body


class Refused(Exception):
    """An ErrorResponse: its SQLSTATE and message."""

    def __init__(self, body):
        fields = {f[:1]: f[1:].decode() for f in body.split(b"\0") if f}
        self.code = fields.get(b"C", "")
        super().__init__(f"{self.code} {fields.get(b'M', '')}")


class Pg:
    """A connection that is logged in by SCRAM-SHA-256; its server is found by port."""

    def __init__(self, port, seconds=SECONDS):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.held = b""
        try:
            self.socket.sendall(startup())
            self.login()
        except BaseException:
            self.socket.close()
            raise

    def receive(self):
        """The next message: tag and body. Errors are raised."""
        while len(self.held) < 5 or len(self.held) < 1 + struct.unpack("!I", self.held[1:5])[0]:
            read = self.socket.recv(65536)
            if not read:
                raise ConnectionError("the server closed the connection")
            self.held += read
        end = 1 + struct.unpack("!I", self.held[1:5])[0]
        tag, body, self.held = self.held[:1], self.held[5:end], self.held[end:]
        if tag == b"E":
            raise Refused(body)
        return tag, body

    def expect(self, wanted):
        while True:
            tag, body = self.receive()
            if tag == wanted:
                return body

    def login(self):
        check(b"SCRAM-SHA-256" in self.expect(b"R"), "the server asks for SCRAM")
        nonce = base64.b64encode(os.urandom(18)).decode()
        first = f"n=,r={nonce}"
        body = b"SCRAM-SHA-256\0" + struct.pack("!I", len(first) + 3) + b"n,," + first.encode()
        self.socket.sendall(message(b"p", body))
        challenge = self.expect(b"R")[4:].decode()
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), base64.b64decode(values["s"]),
                                     int(values["i"]))
        key = hmac.digest(salted, b"Client Key", "sha256")
        last = f"c=biws,r={values['r']}"
        signed = f"{first},{challenge},{last}".encode()
        signature = hmac.digest(hashlib.sha256(key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
        self.socket.sendall(message(b"p", f"{last},p={proof}".encode()))
        self.expect(b"Z")

    def query(self, sql):
        """The rows of a statement, as lists of texts."""
        self.socket.sendall(message(b"Q", sql.encode() + b"\0"))
        rows = []
        while True:
            tag, body = self.receive()
            if tag == b"Z":
                return rows
            if tag == b"D":
                rows.append(list(fields(body)))

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.sendall(PG_TERMINATE)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def fields(body):
    at = 2
    for _ in range(struct.unpack("!H", body[:2])[0]):
        length = struct.unpack("!i", body[at:at + 4])[0]
        yield None if length < 0 else body[at + 4:at + 4 + length].decode()
        at += 4 + max(length, 0)


# --- the server, from outside ---


class Watched:
    """The server under test and the rows it must hold."""

    def __init__(self, node):
        self.node = node
        self.rows = 0
        with Pg(node.pg) as pg:
            pg.query("CREATE TABLE kept (id BIGINT PRIMARY KEY, word TEXT)")

    def port(self, what):
        return {"peer": self.node.port, "pg": self.node.pg, "http": self.node.http}[what]

    def connect(self, what):
        """A connection to one of the ports; `admin` is the socket file."""
        if what == "admin":
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(SECONDS)
            s.connect(str(self.node.folder / "admin.sock"))
            return s
        return socket.create_connection(("127.0.0.1", self.port(what)), SECONDS)

    def add_row(self, pg):
        pg.query(f"INSERT INTO kept VALUES ({self.rows + 1}, 'row {self.rows + 1}')")
        self.rows += 1

    def is_well(self):
        """It answers on each port, and nothing acknowledged is missing."""
        check(self.node.alive(), f"the server has ended: {self.node.log.read_text()[-1000:]}")
        with Pg(self.node.pg) as pg:
            self.add_row(pg)
            [[count, top]] = pg.query("SELECT count(*), max(id) FROM kept")
        check(count == top == str(self.rows), f"{count} rows up to {top}, not {self.rows}")
        check(self.node.value("SELECT count(*) FROM kept") == str(self.rows), "admin: other rows")
        check('"ready": true' in self.node.get("/health/ready").replace('":true', '": true'),
              "not ready")

    def resident_bytes(self):
        with open(f"/proc/{self.node.process.pid}/status") as status:
            line = next(line for line in status if line.startswith("VmRSS:"))
        return int(line.split()[1]) << 10

    def cpu_seconds(self):
        with open(f"/proc/{self.node.process.pid}/stat") as stat:
            parts = stat.read().rsplit(")", 1)[1].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.node.process.pid}/fd"))


def send_all_it_takes(s, data):
    """Sends until the server has had enough."""
    with contextlib.suppress(OSError):
        s.sendall(data)


def ends(s, seconds):
    """Whether the server closes the connection within a time; what it says first is dropped."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        s.settimeout(left)
        try:
            if not s.recv(65536):
                return True
        except TimeoutError:
            return False
        except OSError:
            return True
    return False


# --- cases ---


def garbage(server):
    """Bytes of every kind on every port, whole, byte by byte and cut off."""
    draw = random.Random(7)
    kinds = [HTTP_GET, SSL_REQUEST, startup(), TLS_HELLO, bytes(1000), b"\xff" * 1000, b"\n" * 1000,
             b"Q" * 1000, b"{" * 1000]
    kinds += [draw.randbytes(draw.choice([1, 7, 8, 9, 100, 5_000, 200_000])) for _ in range(40)]
    for what in ("peer", "pg", "http", "admin"):
        for kind in kinds:
            with server.connect(what) as s:
                send_all_it_takes(s, kind)
            with server.connect(what) as s:
                # Its answer is read, so that the server's own words are part of the exchange.
                send_all_it_takes(s, kind)
                s.settimeout(0.02)
                with contextlib.suppress(OSError):
                    s.recv(65536)
        with server.connect(what) as s:
            for byte in kinds[-1][:200]:
                send_all_it_takes(s, bytes([byte]))
        with server.connect(what) as s:
            s.shutdown(socket.SHUT_WR)
        server.is_well()


def garbage_behind_a_login(server):
    """A client that is logged in sends messages nobody defined, and broken ones of each kind."""
    draw = random.Random(8)
    for tag in range(256):
        with Pg(server.node.pg) as pg:
            pg.socket.sendall(message(bytes([tag]), draw.randbytes(draw.randrange(40))))
            pg.socket.sendall(message(b"Q", b"SELECT 1\0"))
            pg.socket.settimeout(0.05)
            with contextlib.suppress(OSError):
                pg.socket.recv(65536)
    server.is_well()


def peer_frame(kind, payload):
    body = bytes([kind]) + payload
    return struct.pack("<II", len(body), zlib.crc32(body)) + body


def garbage_behind_a_hello(server):
    """A peer that greets well and then sends frames whose checksum is right and whose content is not."""
    draw = random.Random(9)
    version = struct.pack("<HH", 1, 1)
    for turn in range(500):
        # With an address of its own, or without, as `basalt status` asks.
        address = b"127.0.0.1:1" if turn % 2 else b""
        with server.connect("peer") as s:
            send_all_it_takes(s, peer_frame(2, b"BSLT" + version + bytes([len(address)]) + address))
            for _ in range(10):
                payload = bytes([1, draw.randrange(24)]) + draw.randbytes(draw.randrange(60))
                send_all_it_takes(s, peer_frame(draw.choice((0, 0, 0, 1, 2, 3)), payload))
            check(ends(s, 5), "a peer that sends garbage is kept")
    server.is_well()


def two_gib(server):
    """A length of 2 GiB is refused when it is announced; what follows is not kept."""
    huge = 0x7FFF_FFFF
    before = server.resident_bytes()
    filler = bytes(MIB)
    held = []
    for what, head in [
        ("pg", struct.pack("!I", huge)),
        ("pg", startup() + b"p" + struct.pack("!I", huge)),
        ("pg", struct.pack("!I", 0xFFFF_FFFF)),
        ("peer", struct.pack("<II", huge, 0)),
        ("peer", struct.pack("<II", 0xFFFF_FFFF, 0xFFFF_FFFF)),
        ("http", HTTP_GET[:-2] + b"Content-Length: 2147483647\r\n\r\n"),
        ("http", b"GET /" + b"a" * 100_000),
        ("admin", b"Q" + struct.pack("!I", huge)),
    ]:
        s = server.connect(what)
        send_all_it_takes(s, head)
        for _ in range(20):
            s.settimeout(0.5)
            send_all_it_takes(s, filler)
        held.append(s)
    pg = Pg(server.node.pg)
    pg.socket.sendall(b"Q" + struct.pack("!I", huge))
    for _ in range(20):
        pg.socket.settimeout(0.5)
        send_all_it_takes(pg.socket, filler)
    held.append(pg.socket)
    grown = server.resident_bytes() - before
    server.is_well()
    for s in held:
        check(ends(s, 15), "the server still listens to somebody who announced 2 GiB")
        s.close()
    check(grown < 100 * MIB, f"the server grew by {grown // MIB} MiB")


def slow_strangers(server):
    """Connections that say nothing, or half a word, are dropped where only strangers come."""
    held = {what: [server.connect(what) for _ in range(50)] for what in ("peer", "http")}
    for s in held["peer"][:25]:
        s.sendall(b"\x40\0\0\0")
    for s in held["http"][:25]:
        s.sendall(b"GET / HT")
    server.is_well()
    for what, sockets in held.items():
        for s in sockets:
            check(ends(s, 15), f"a silent stranger on the {what} port is kept")
            s.close()


def open_many(port, count, first=b""):
    """Opens connections at once, as many as the server's system lets in."""
    opened = []
    for _ in range(count):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", port))
        opened.append(s)
    poll = select.poll()
    waiting = {s.fileno(): s for s in opened}
    for number in waiting:
        poll.register(number, select.POLLOUT)
    end = time.monotonic() + SECONDS
    while waiting and time.monotonic() < end:
        for number, _ in poll.poll(1000):
            poll.unregister(number)
            s = waiting.pop(number)
            with contextlib.suppress(OSError):
                s.send(first)
    return opened


def first_words(opened, seconds=SECONDS):
    """What each connection hears first: bytes, b"" if it is closed. Silent ones are left out."""
    poll = select.poll()
    waiting = {s.fileno(): s for s in opened}
    for number in waiting:
        poll.register(number, select.POLLIN)
    heard = []
    end = time.monotonic() + seconds
    while waiting and time.monotonic() < end:
        for number, _ in poll.poll(500):
            poll.unregister(number)
            try:
                heard.append(waiting.pop(number).recv(4096))
            except OSError:
                heard.append(b"")
    return heard


def close_all(opened):
    for s in opened:
        s.close()


def ten_thousand(server):
    """10,000 clients at once, then more than the limit: the rest is told so, nobody else notices."""
    before = server.resident_bytes()
    with Pg(server.node.pg) as early:
        opened = open_many(server.node.pg, 10_000, startup())
        heard = first_words(opened)
        asked = sum(words[:1] == b"R" for words in heard)
        check(asked >= 9_900, f"{asked} of 10000 connections were asked for a password")
        more = open_many(server.node.pg, 1_000, startup())
        refused = first_words(more)
        told = sum(b"C53300\0" in words for words in refused)
        check(told >= 900, f"{told} of 1000 connections too many were refused with 53300")
        server.add_row(early)
        check(early.query("SELECT 1") == [["1"]], "an early client gets another answer")
        check(server.node.value("SELECT 1") == "1", "the superuser always fits")
        grown = server.resident_bytes() - before
        check(grown < 500 * MIB, f"the server grew by {grown // MIB} MiB for 10,000 connections")
        close_all(opened + more)
    wait_for_room(server)


def wait_for_room(server):
    end = time.monotonic() + SECONDS
    while True:
        try:
            return server.is_well()
        except (Refused, OSError):
            check(time.monotonic() < end, "there is no room after all clients have left")
            time.sleep(0.1)


def flood(server, seconds):
    """Too many connections on each port, while the log needs new files. Gives the processor time."""
    crowd = []
    with Pg(server.node.pg) as early:
        for what in ("peer", "pg", "http"):
            crowd += open_many(server.port(what), 1_000, startup() if what == "pg" else b"")
        # More than a segment of the log, which is 64 MiB.
        word = "x" * MIB
        for _ in range(80):
            server.add_row(early)
            early.query(f"UPDATE kept SET word = '{word}' WHERE id = {server.rows % 8 + 1}")
        spent = server.cpu_seconds()
        time.sleep(seconds)
        spent = server.cpu_seconds() - spent
        server.add_row(early)
        close_all(crowd)
    return spent


def few_descriptors(server):
    """A server that may open 256 files, flooded: it takes fewer clients, refuses, and goes on."""
    server.node.stop()
    server.node.open_files = 256
    server.node.start()
    server.node.wait_ready()
    spent = flood(server, 2)
    check(spent < 1, f"{spent:.1f} s of processor time in 2 s with nothing to do")
    wait_for_room(server)


def no_descriptor(server):
    """Not one descriptor is left for a while: the server waits, without spinning, and goes on."""
    used = server.descriptors()
    with Pg(server.node.pg) as early:
        resource.prlimit(server.node.process.pid, resource.RLIMIT_NOFILE, (used + 1, 256))
        crowd = open_many(server.node.pg, 50, startup())
        spent = server.cpu_seconds()
        time.sleep(2)
        spent = server.cpu_seconds() - spent
        server.add_row(early)
        resource.prlimit(server.node.process.pid, resource.RLIMIT_NOFILE, (256, 256))
        heard = first_words(crowd)
        close_all(crowd)
    check(spent < 1, f"{spent:.1f} s of processor time in 2 s without a descriptor")
    asked = sum(words[:1] == b"R" for words in heard)
    check(asked == 50, f"{asked} of 50 clients were served when there was room again")
    wait_for_room(server)


def nothing_is_lost(server):
    """After all that, and `kill -9`, every acknowledged row is there."""
    server.node.kill()
    server.node.start()
    server.node.wait_ready()
    server.is_well()


CASES = [garbage, garbage_behind_a_login, garbage_behind_a_hello, two_gib, slow_strangers,
         ten_thousand, few_descriptors, no_descriptor, nothing_is_lost]


def main():
    chosen = [c for c in CASES if len(sys.argv) < 2 or any(a in c.__name__ for a in sys.argv[1:])]
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    check(hard == resource.RLIM_INFINITY or hard >= 13_000, f"only {hard} file descriptors")
    passed = 0
    with Cluster(1) as cluster:
        server = Watched(cluster.nodes[0])
        for case in chosen:
            began = time.monotonic()
            try:
                case(server)
                verdict = "ok"
                passed += 1
            except (AssertionError, Refused, OSError, SystemExit) as why:
                verdict = f"FAIL {type(why).__name__}: {why}"
            print(f"{case.__name__:24} {time.monotonic() - began:6.1f} s   {verdict}", flush=True)
    print(f"{passed} passed, {len(chosen) - passed} failed")
    return 0 if passed == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
