#!/usr/bin/env -S python3 -B
"""Bytes that mean something to Redis, SQL, a log or FastCGI: they are data to us, wherever they are sent."""

import atexit
import contextlib
import json
import os
import pathlib
import re
import struct
import tempfile
import threading
import time

import fcgi
from client import quote
from harness import PASSWORD, POOLS, main
from tap import case, comment, pause, quick, same, until

ACCESS_LOG = tempfile.mkstemp(prefix="sk", suffix=".log")[1]
atexit.register(os.unlink, ACCESS_LOG)

HOSTILE = ("{}", "{1}", "{1:0}", "sk:{1:h}:hub", "sk:revoked", ":", "|", "1|2|3", "*", "?", "[a]", "a b", "'",
           '"', "\\", "`", "$(x)",
           "'; DROP TABLE users; --", "1 OR 1=1", "%s%n", "%00", "%0d%0a", "é", "名前", "\U0001f3ab",
           "<script>alert(1)<script>",
           "=", "a=b c=d", "level=error", "-1", "0", "null", "{\"a\":1}", "x" * 60, "é" * 60)
KEY = re.compile(r"sk:(dirty|doubt|closed|layout|revoked|[a-z]:\{\d+\}(:\d+)?|\{\d+:(h|\d+)\}:(hub|[a-z]))")


@case("names full of braces, colons and quotes are sold, drained and audited; Redis's keys are made of our integers alone")
def injection(it):
    buyer = it.customer()
    for name in HOSTILE:
        it.log_in(name).expect(401)  # a failure is counted by name
        seller = it.account("S" + name[:59], "saler")
        sale = it.sale(seller, name, amount=2, segments=2)
        order = sale.win(buyer)
        person = it.account("C" + name[:59], "customer")
        sale.win(person)
        same(sale.claim_compat(buyer).expect(204, "already-claimed").headers["Seckill-Order"], order, "order")
        assert name in [c["name"] for c in it.ask("GET", seller.path + "/coupons", buyer).expect(200).json["data"]], name
        sale.drained()
        same(it.sql(f"SELECT HEX(name) FROM coupons WHERE id = {sale.id}"), [[name.encode().hex().upper()]],
             "name in MySQL")
        sale.audit()
    for name in ("%00", "%0a", "%C0%80", "%ED%A0%80", "a%2fb", "%E2%80%AE", "%ff"):
        for method, path in (("GET", "/api/users/{}/coupons"), ("POST", "/api/users/{}/coupons/x/claims"),
                             ("PATCH", "/api/users/x/coupons/{}"), ("GET", "/api/orders/{}")):
            assert it.ask(method, path.format(name), buyer).status in (400, 404), (method, path, name)
    same({key for key in it.redis.keys() if not KEY.fullmatch(key)}, set(), "keys of another form")


LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (info|warn|error) [a-z_]+ pid=\d+( [a-z_]+=[!-~]*)*")
VALUE = re.compile(r"([^ =\"\\]|\\x[0-9a-f]{2})*(\\(x[0-9a-f]?)?)?")  # the end: a line is cut at 2 KB
EVIL = ("\n", "\r\n2026-01-01T00:00:00.000Z error forged pid=1", "\x1b[31m", "\0", " level=error",
        '"', "\\", "\\x0a", "é", "\u2028",
        "' x='y", "=" * 20, "x" * 900)


@case("whatever is sent, in every place: each line of the logs is one line in our form")
def log_lines(it):
    before = {part: len(log_of(it, part)) for part in POOLS}
    user, sale, asked = it.customer(), it.sale(), 0
    for evil in EVIL:
        text = quote(evil)
        bodies = ({"username": evil, "password": evil, "kind": evil}, {"username": evil, "password": PASSWORD})
        requests = [("POST", "/api/users", bodies[0]), ("POST", "/api/auth", bodies[1]),
                    ("POST", sale.seller.path + "/coupons", {"name": evil, "description": evil, "amount": evil})]
        requests += [(method, path.format(text), None) for method, path in (
            ("GET", "/api/users/{0}/coupons?page={0}"), ("POST", "/api/users/{0}/coupons/{0}/claims"),
            ("PATCH", "/api/users/{0}/coupons/{0}"), ("GET", "/api/orders/{0}?x={0}"), ("GET", "/healthz?{0}"),
            ("GET", "/api/{0}"), ("GET", "/{0}"), ("GET", "/metrics?{0}"))]
        for method, path, body in requests:
            for authorization in ("Bearer " + user.token, "Bearer " + evil.encode("unicode_escape").decode()):
                answer = it.ask(method, path, body=body, authorization=authorization,
                                headers={"Idempotency-Key": "x", "User-Agent": evil.encode("unicode_escape")})
                assert answer.status < 500, f"{method} {path}: {answer}"
                asked += 1
    for uri in ("/healthz?a=b c", "/api/time?" + "".join(map(chr, range(1, 256)))):  # what nginx would not pass on
        connection = fcgi.Connection(it.run / "hot.sock")
        assert b"Status: 200" in connection.ask("GET", uri)
        connection.close()
    lines = {part: log_of(it, part)[before[part]:] for part in before}
    assert len(lines["hot"]) > asked / 3, f"{len(lines['hot'])} lines for {asked} requests"
    for part in lines:
        for line in lines[part]:
            assert LINE.fullmatch(line), f"{part}: {line!r}"
            for pair in line.split(" ")[3:]:
                assert VALUE.fullmatch(pair.partition("=")[2]), f"{part}: {pair!r} in {line!r}"
            assert " forged " not in line and len(line) <= 2048, line
    access = until(lambda: access_lines(asked), 10, "nginx has written its log")
    for line in access:
        assert re.fullmatch(r'127\.[0-9.]+ - \S* \[[^\]]+\] "[ !#-~]*" \d{3} \d+ "[ !#-~]*" "[ !#-~]*"', line), line


def log_of(it, part):
    return (it.run / f"log/{part}.log").read_bytes().decode("utf-8", "backslashreplace").split("\n")[:-1]


def access_lines(count):
    lines = pathlib.Path(ACCESS_LOG).read_bytes().decode("utf-8", "backslashreplace").split("\n")[:-1]
    return len(lines) >= count and lines


BEGIN = fcgi.record(fcgi.BEGIN, struct.pack(">HB5x", fcgi.RESPONDER, fcgi.KEEP))


class Steady:
    """Asks on connections that are open already, for as long as the block runs; then: how long the slowest answer took."""

    def __init__(self, it, path="/api/time"):
        self.client, self.path, self.over, self.slowest, self.answers = it.new_client(), path, threading.Event(), 0, 0
        self.thread = threading.Thread(target=self._ask)

    def _ask(self):
        while not self.over.is_set():
            began = time.monotonic()
            self.client.ask("GET", self.path).expect(200)
            self.slowest, self.answers = max(self.slowest, time.monotonic() - began), self.answers + 1

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def parts_of(whole):
    return {"a byte": whole[:1], "half a header": whole[:5], "the beginning": BEGIN, "half of the parameters": whole[:-40],
            "all parameters": whole[:-8], "all but a byte": whole[:-1]}


def sent_away(connection):
    """Waits for the worker to close it, with bytes unread or without."""
    try:
        return connection.socket.recv(1) == b""
    except ConnectionResetError:
        return True
    finally:
        connection.close()


@case("hundreds of incomplete requests delay nobody, and are ended after 5 s")
def half_requests(it):
    workers, halves = it.full("hot"), []
    with Steady(it) as steady:
        for what, half in parts_of(fcgi.request("GET", "/api/time")).items():
            for _ in range(60):
                halves.append((what, fcgi.Connection(it.run / "hot.sock", timeout=15)))
                halves[-1][1].send(half)
        sent = time.monotonic()
        for what, connection in halves:
            assert sent_away(connection), what
        took = time.monotonic() - sent
    comment(f"the slowest of {steady.answers} answers took {steady.slowest:.3f} s")
    assert 3 < took < 12, f"they were sent away after {took:.1f} s"
    same(it.full("hot"), workers, "workers")
    assert steady.answers > 100, steady.answers
    quick(steady.slowest, 0.8, "an answer")


@case("a request in pieces is answered when its last byte comes, and kept connections may rest for longer than that")
def pieces(it):
    whole = fcgi.request("GET", "/healthz")
    resting, slow = fcgi.Connection(it.run / "hot.sock"), fcgi.Connection(it.run / "hot.sock")
    assert b"Status: 200" in resting.ask("GET", "/healthz")
    for at in range(0, len(whole), 4):
        slow.send(whole[at:at + 4])
    assert b"Status: 200" in slow.answer()
    body = json.dumps({"username": "x", "password": "y" * 3900}).encode()
    head = fcgi.request("POST", "/api/users", CONTENT_LENGTH=str(len(body)))[:-8]
    whole = head + fcgi.record(fcgi.STDIN, body) + fcgi.record(fcgi.STDIN)
    for at in range(0, len(whole), 500):
        slow.send(whole[at:at + 500])
        pause(0.005, "so that the worker sees pieces")
    assert b"X-Accel-Redirect: @auth" in slow.answer()
    pause(6, "longer than an incomplete request may take")
    for connection in (resting, slow):
        assert b"Status: 200" in connection.ask("GET", "/healthz")
        connection.close()


@case("cold and auth pool: a connection without a complete request occupies a worker for a second at most")
def halves(it):
    for part, path, status in (("cold", "/readyz", 200), ("auth", "/api/auth", 405)):
        whole, workers = fcgi.request("GET", path, keep=False), it.full(part)
        for half in (b"", BEGIN, whole[:-1]):
            peers = [fcgi.Connection(it.run / f"{part}.sock") for _ in workers]
            for peer in peers:
                peer.send(half)
            began = time.monotonic()
            it.ask("GET", path).expect(status)
            took = time.monotonic() - began
            assert all(map(sent_away, peers)), half
            quick(took, 3, f"{half}: an answer")
        same(it.full(part), workers, "workers")


def crafted():
    """Parameters whose lengths lie, in requests that are complete."""
    rest = fcgi.record(fcgi.PARAMS) + fcgi.record(fcgi.STDIN)
    for name, value in ((0x7fffffff, 0x7fffffff), (0x7ffffffe, 0x7ffffffe), (0x40000000, 0x40000000), (0x3fffffff, 0x3fffffff),
                        (0x7fffffff, 0), (0, 0x7fffffff), (100, 0), (0, 100), (65536, 65536)):
        yield BEGIN + fcgi.record(fcgi.PARAMS, struct.pack(">II", name | 1 << 31, value | 1 << 31) + b"x" * 64) + rest
    for lengths in (b"\x80", b"\xff\xff", b"\xff\xff\xff\xff", b"\x01", b"\x80\0\0\0\x80\0\0\0" * 100):
        yield BEGIN + fcgi.record(fcgi.PARAMS, lengths) + rest
    yield struct.pack(">BBHHBx", 1, fcgi.PARAMS, 1, 8, 255) + b"x" * (8 + 255) + rest
    yield fcgi.record(fcgi.BEGIN, struct.pack(">HB5x", 99, 1)) + rest
    yield fcgi.record(fcgi.BEGIN, b"") + rest
    yield fcgi.record(fcgi.BEGIN, b"x" * 600) + rest
    yield BEGIN + fcgi.record(2) + rest
    yield BEGIN * 50 + rest
    yield BEGIN + fcgi.record(fcgi.PARAMS, b"x" * 60000) * 4


@case("wrong lengths kill no worker, and a sale goes on meanwhile")
def lies(it):
    sale, users, workers = it.sale(amount=50, segments=4), it.users(100), it.full("hot")
    outcomes = []
    rush = threading.Thread(target=lambda: outcomes.extend(sale.rush(users, 20)))
    rush.start()
    for data in crafted():
        with contextlib.suppress(OSError):
            connection = fcgi.Connection(it.run / "hot.sock", timeout=1)
            connection.send(data)
            connection.socket.recv(1)
            connection.close()
        it.ask("GET", sale.path).expect(200)
    rush.join()
    sale.prove(outcomes)
    same(it.full("hot"), workers, "workers")
    it.ask("GET", "/healthz").expect(200)


if __name__ == "__main__":
    main(SECKILL_LOGIN_DELAY=30, SECKILL_PASSWORD_COST=1, SECKILL_DEBUG="yes", SECKILL_ACCESS_LOG=ACCESS_LOG, SECKILL_HOT=3)
