#!/usr/bin/env -S python3 -B
"""The pools: what is slow in one does not delay the other, and connections may be many more than processes."""

import collections
import http.client
import itertools
import os
import statistics
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fcgi
from harness import PASSWORD, main
from tap import case, comment, every, same, until


def timed(ask):
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


class Flood:
    """Logins without an end, on a number of connections."""

    def __init__(self, it, name, connections):
        self.it, self.name, self.over, self.times = it, name, threading.Event(), []
        self.statuses = collections.Counter()
        self.threads = [threading.Thread(target=self._log_in, daemon=True) for _ in range(connections)]
        for thread in self.threads:
            thread.start()

    def _log_in(self):
        client, who = self.it.new_client(), {"username": self.name, "password": PASSWORD}
        while not self.over.is_set():
            answer, seconds = timed(lambda: client.ask("POST", "/api/auth", body=who))
            self.statuses[answer.status] += 1
            self.times.append(seconds)
        client.close()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


@case("a flood of logins does not delay claims")
def login_flood(it):
    name, sale, users = it.name("flood"), it.sale(amount=200, segments=8), it.users(120)
    it.account(name, "customer")
    flood = Flood(it, name, connections=16)
    until(lambda: len(flood.times) > 16, 10, "the flood runs")
    claims = [timed(lambda: sale.claim(user)) for user in users]
    flood.end()
    same({answer.status for answer, _ in claims}, {201}, "statuses of the claims")
    same(set(flood.statuses), {200}, "statuses of the logins")
    seconds = sorted(s for _, s in claims)
    median, slow, login = statistics.median(seconds), seconds[-2], statistics.median(flood.times)
    comment(f"claims: median {median * 1000:.1f} ms, 99 % {slow * 1000:.1f} ms; logins: median {login * 1000:.1f} ms")
    assert median < 0.1 and median < login / 2, f"a claim takes {median:.3f} s, a login {login:.3f} s"
    assert slow < 1, f"slow claims take {slow:.3f} s"


@case("200 kept connections of clients all get their answers, again and again")
def kept_connections(it):
    sale, users = it.sale(amount=1000, segments=8), it.users(200)
    clients = [it.new_client() for _ in users]
    with ThreadPoolExecutor(32) as pool:
        for status in (201, 200, 200):
            answers = list(pool.map(sale.claim, users, clients))
            same({a.status for a in answers}, {status}, "statuses")
    for client in clients:  # still open, still served, one by one
        same(client.ask("GET", "/api/time").status, 200, "status of a connection that was idle")
        client.close()
    same(sale.claimed(), 200, "units claimed")


@case("200 requests on 200 connections at once")
def at_once(it):
    connections = [http.client.HTTPConnection("127.0.0.1", it.port, timeout=20) for _ in range(200)]
    for connection in connections:
        connection.connect()
    for connection in connections:
        connection.request("GET", "/api/time")
    answers = [connection.getresponse() for connection in connections]
    same(collections.Counter(a.status for a in answers), {200: 200}, "statuses")
    for answer, connection in zip(answers, connections):
        answer.read()
        connection.close()


@case("300 connections from nginx's side, kept open, all get their answers from 2 workers")
def fastcgi_connections(it):
    connections = [fcgi.Connection(it.run / "hot.sock") for _ in range(300)]
    for _ in range(3):
        for connection in connections:
            connection.send(fcgi.request("GET", "/healthz"))
        for connection in connections:
            assert b"Status: 200" in connection.answer()
    comment(f"files open in the workers: {[open_files(pid) for pid in it.workers('hot')]}")
    for connection in connections:
        connection.close()


def open_files(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def slowest_answer(it, seconds):
    """How long the slowest of many requests takes, on connections to all workers, for so many seconds."""
    deadline = time.monotonic() + seconds

    def ask(client):
        slowest = 0
        while time.monotonic() < deadline:
            answer, took = timed(lambda: client.ask("GET", "/api/time"))
            same(answer.status, 200, "status")
            slowest = max(slowest, took)
        client.close()
        return slowest
    with ThreadPoolExecutor(12) as pool:
        return max(pool.map(ask, [it.new_client() for _ in range(12)]))


@case("a request that never gets complete holds nobody up for more than 3 s")
def half_requests(it):
    whole = fcgi.request("GET", "/api/time")
    halves = {"a byte": whole[:1], "half a header": whole[:5], "half of the parameters": whole[:-40],
              "no end of the body": whole[:-8]}

    def bounded(what, half):
        connection = fcgi.Connection(it.run / "hot.sock")
        connection.send(half)
        slowest = slowest_answer(it, 0.5)
        connection.close()
        comment(f"{what}: the slowest answer took {slowest:.2f} s")
        assert slowest < 3, f"an answer took {slowest:.2f} s"
    every(list(halves.items()), bounded)
    assert slowest_answer(it, 0.3) < 1, "it is still slow"


def drip(connection, data, seconds):
    """Sends a byte at a time until it is sent away; says whether it was."""
    deadline = time.monotonic() + seconds
    for byte in itertools.cycle(data):
        try:
            connection.send(bytes([byte]))
        except OSError:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)


@case("requests that libfcgi would not take, and then a byte at a time: no worker waits for the next one")
def dripped(it):
    begin = fcgi.record(fcgi.BEGIN, struct.pack(">HB5x", 1, 1))
    params = fcgi.record(fcgi.PARAMS, fcgi.pairs({"REQUEST_METHOD": "GET", "REQUEST_URI": "/healthz", "REQUEST_ID": "x"}))
    ends = fcgi.record(fcgi.PARAMS) + fcgi.record(fcgi.STDIN)
    starts = {"the end of another request's body": begin + params + fcgi.record(fcgi.PARAMS) + fcgi.record(fcgi.STDIN, id=2),
              "another request's parameters": begin + fcgi.record(fcgi.PARAMS, b"x", id=7) + fcgi.record(fcgi.STDIN),
              "another role": fcgi.record(fcgi.BEGIN, struct.pack(">HB5x", 99, 1)) + params + ends,
              "lengths that lie": begin + fcgi.record(fcgi.PARAMS, b"\x01\x7fx") + ends,
              "no parameters": begin + fcgi.record(fcgi.STDIN), "management": fcgi.record(9, id=0) + fcgi.record(fcgi.STDIN)}

    def bounded(what, start):
        connection = fcgi.Connection(it.run / "hot.sock")
        connection.send(start)
        with ThreadPoolExecutor(1) as pool:
            sent_away = pool.submit(drip, connection, fcgi.record(fcgi.PARAMS, b"x", id=2), 4)
            slowest = slowest_answer(it, 0.5)
            assert sent_away.result(), "it may go on"
        connection.close()
        comment(f"{what}: the slowest answer took {slowest:.2f} s")
        assert slowest < 2, f"an answer took {slowest:.2f} s"
    every(list(starts.items()), bounded)


def gulp(connection, seconds):
    """Asks and asks, and reads an answer only now and then, until it is sent away; says whether it was."""
    ask, deadline, last = fcgi.request("GET", "/healthz"), time.monotonic() + seconds, time.monotonic()
    connection.socket.setblocking(False)
    while time.monotonic() < deadline:
        try:
            connection.send(ask)
        except BlockingIOError:
            pass
        except OSError:
            return True
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            connection.socket.recv(300)
        time.sleep(0.001)
    return False


@case("whoever asks and asks and hardly reads the answers is sent away: no worker waits for him")
def unread_answers(it):
    connection = fcgi.Connection(it.run / "hot.sock")
    with ThreadPoolExecutor(1) as pool:
        sent_away = pool.submit(gulp, connection, 8)
        slowest = slowest_answer(it, 3)
        assert sent_away.result(), f"it may go on; the slowest answer took {slowest:.2f} s"
    connection.close()
    comment(f"the slowest answer took {slowest:.2f} s")


@case("the longest answers come whole: a page of descriptions that JSON makes six times as long")
def long_answers(it):
    seller, user = it.seller(), it.customer()
    for _ in range(20):
        it.sale(seller, description="\x01" * 2000)
    peers = [fcgi.Connection(it.run / "hot.sock") for _ in range(4)]
    for peer in peers:
        peer.send(fcgi.request("GET", seller.path + "/coupons", HTTP_AUTHORIZATION=user.token))
    time.sleep(0.3)  # nobody reads meanwhile
    for peer in peers:
        answer = peer.answer()
        assert answer.count(b"\\u0001") == 20 * 2000 and answer.endswith(b"}"), len(answer)
        peer.close()
    comment(f"{len(answer)} bytes")


@case("whoever keeps a connection to the cold pool after its answer has no worker")
def kept_cold(it):
    peers = [fcgi.Connection(it.run / "cold.sock") for _ in it.full("cold")]
    for peer in peers:
        assert b"Status: 200" in peer.ask("GET", "/readyz")
    answer, seconds = timed(lambda: it.ask("GET", "/readyz"))
    same(answer.status, 200, "status")
    assert seconds < 3, f"an answer took {seconds:.2f} s"
    for peer in peers:
        peer.close()


@case("a request in small pieces is answered")
def pieces(it):
    connection = fcgi.Connection(it.run / "hot.sock")
    whole = fcgi.request("GET", "/healthz")
    for at in range(0, len(whole), 40):
        connection.send(whole[at:at + 40])
    assert b"Status: 200" in connection.answer()
    connection.close()


@case("rubbish, a lost end, a request without its last parameter, a lie about its length: the worker lives")
def rubbish(it):
    workers = it.full("hot")
    begin = fcgi.record(fcgi.BEGIN, struct.pack(">HB5x", 1, 1))
    cut = fcgi.pairs({"REQUEST_METHOD": "GET", "REQUEST_URI": "/healthz"})
    lie = fcgi.pairs({"REQUEST_METHOD": "POST", "REQUEST_URI": "/api/users/a/coupons/b/claims", "CONTENT_LENGTH": "100",
                      "REQUEST_ID": "x"})
    end, body_end = fcgi.record(fcgi.PARAMS), fcgi.record(fcgi.STDIN)
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\0" * 64, b"\xff" * 64, begin, begin + end,
                 begin + fcgi.record(fcgi.PARAMS, cut) + end + body_end,
                 begin + fcgi.record(fcgi.PARAMS, lie) + end + fcgi.record(fcgi.STDIN, b"{}") + body_end,
                 fcgi.record(99, b"x" * 100), struct.pack(">BBHHBx", 1, fcgi.PARAMS, 7, 65535, 255)):
        connection = fcgi.Connection(it.run / "hot.sock")
        connection.send(data)
        connection.close()
        it.ask("GET", "/healthz").expect(200)
    same(it.full("hot"), workers, "workers")


@case("whoever asked leaves while the password is hashed, again and again: the cold pool still takes connections")
def left_during_the_answer(it):
    body = b'{"username": "nobody at all", "password": "correct horse"}'
    asked = fcgi.request("POST", "/api/auth", CONTENT_LENGTH=str(len(body)))[:-8]  # without the end of the body
    for wait in 4 * [0.002, 0.005, 0.008]:
        peer = fcgi.Connection(it.run / "cold.sock")
        peer.send(asked + fcgi.record(fcgi.STDIN, body) + fcgi.record(fcgi.STDIN))
        time.sleep(wait)  # into the hashing, which takes 20 ms
        peer.close()
    for _ in range(4):
        it.ask("GET", "/readyz").expect(200)


@case("a client that leaves at once, a hundred times: the workers live, and nothing piles up")
def leavers(it):
    workers, sale, user = it.full("hot"), it.sale(), it.customer()
    before = [open_files(pid) for pid in workers]
    for _ in range(100):
        connection = fcgi.Connection(it.run / "hot.sock")
        connection.send(fcgi.request("POST", sale.path + "/claims", HTTP_AUTHORIZATION=user.token))
        connection.close()
    assert sale.claim(user).status in (200, 201)
    same(it.full("hot"), workers, "workers")
    until(lambda: all(open_files(p) <= b + 2 for p, b in zip(workers, before)), 5, "the connections are closed")
    sale.drained()
    sale.audit()


if __name__ == "__main__":
    main()
