#!/usr/bin/env -S python3 -B
"""The pools: slow requests in one do not delay the others, and there may be many more connections than processes."""

import collections
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import resource
import select
import signal
import socket
import statistics
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fcgi
from client import Answer
from harness import PASSWORD, main
from storm import kill
from tap import case, comment, every, faster, pause, quick, same, until


def timed(ask):
    began = time.monotonic()
    answer = ask()
    return answer, time.monotonic() - began


class Flood:
    """Endless logins on a number of connections."""

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
            self.statuses["too late" if answer.status == 503 and seconds >= 10 else answer.status] += 1
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
    same(set(flood.statuses) - {"too late"}, {200}, "statuses of the logins")
    seconds = sorted(s for _, s in claims)
    median, slow, login = statistics.median(seconds), seconds[-2], statistics.median(flood.times)
    comment(f"claims: median {median * 1000:.1f} ms, 99 % {slow * 1000:.1f} ms; logins: median {login * 1000:.1f} ms")
    faster(median, login / 2, f"a claim takes {median:.3f} s, a login {login:.3f} s")
    quick(median, 0.1, "the median of claims")
    quick(slow, 1, "slow claims")


class Wave:
    """Many logins at once, a connection each."""

    def __init__(self, it, name, count):
        body = json.dumps({"username": name, "password": PASSWORD}).encode()
        request = b"POST /api/auth HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        self.waiting = [socket.create_connection(("127.0.0.1", it.port), 60) for _ in range(count)]
        for connection in self.waiting:
            connection.sendall(request)

    def answers(self, patience=0):
        """Those that have come by now."""
        poll, by_number = select.poll(), {connection.fileno(): connection for connection in self.waiting}
        for number in by_number:
            poll.register(number, select.POLLIN)
        came = {by_number[number] for number, _ in poll.poll(patience * 1000)}
        self.waiting = [connection for connection in self.waiting if connection not in came]
        return [self._answer(connection) for connection in came]

    def _answer(self, connection):
        with connection, http.client.HTTPResponse(connection) as response:
            response.begin()
            return Answer(response.status, response.headers, response.read())

    def leave(self, count):
        for connection in self.waiting[:count]:
            connection.close()
        del self.waiting[:count]


def metric(it, name):
    text = it.ask("GET", "/metrics").expect(200).body.decode()
    return int(re.search(rf"^seckill_{re.escape(name)} (\d+)", text, re.M)[1])


def asks_of_the_cold_pool(sale, user):
    return (("GET", "/readyz", None, None), ("GET", "/metrics", None, None), ("GET", user.path + "/orders", user, None),
            ("PATCH", sale.path + "/stock", sale.seller, {"add": 1}), ("POST", "/api/auth/logout", user, None))


@case("700 logins at once: 500 wait, the others are refused at once, and no other request waits")
def login_wave(it):
    name, sale, users = it.name("wave"), it.sale(), it.users(12)
    it.account(name, "customer")
    before, wave, refused = metric(it, 'logins_total{end="ok"}'), Wave(it, name, 700), []

    def many_are_refused():
        refused.extend(answer for answer in wave.answers() if answer.status != 200)
        return len(refused) >= 100
    until(many_are_refused, 20, "answers to those for whom there is no room")
    for answer in refused:
        answer.expect(503, "busy").names("logins")
        assert int(answer.headers["Retry-After"]) >= 5 and "claim" not in answer.json["detail"], answer
    seconds = sorted(timed(lambda: it.ask(*asked).expect(200))[1]
                     for user in users for asked in asks_of_the_cold_pool(sale, user))
    wave.answers()
    comment(f"{len(refused)} refused; {len(wave.waiting)} still wait after {len(seconds)} requests to the cold pool, of "
            f"which the slowest took {seconds[-1] * 1000:.0f} ms, 99 % {seconds[-2] * 1000:.0f} ms")
    assert len(wave.waiting) > 100, f"only {len(wave.waiting)} wait"
    wave.leave(len(wave.waiting) - 40)
    last = []
    until(lambda: last.extend(wave.answers(1)) or not wave.waiting, 60, "the last answers")
    same({answer.status for answer in last} - {200, 503}, set(), "statuses")  # 503: after 10 s, on a busy machine
    begun = metric(it, 'logins_total{end="ok"}') - before
    assert begun < 500, f"{begun} logins were begun, although most had left"
    quick(seconds[-1], 3, "a request to the cold pool")


@case("a login that has waited for more than 10 s is refused")
def too_late(it):
    body = json.dumps({"username": it.name("nobody"), "password": PASSWORD}).encode()

    def answer(seconds_ago):
        connection, at = fcgi.Connection(it.run / "auth.sock"), f"{time.time() - seconds_ago:.3f}"
        asked = fcgi.request("POST", "/api/auth", CONTENT_LENGTH=str(len(body)), QUEUED_AT=at)
        connection.send(asked[:-8] + fcgi.record(fcgi.STDIN, body) + fcgi.record(fcgi.STDIN))
        text = connection.answer().decode()
        connection.close()
        return text
    before = metric(it, "queue_expired_total")
    for seconds_ago, status in ((0, 401), (-3600, 401), (11, 503), (3600, 503)):
        same(answer(seconds_ago)[:11], f"Status: {status}", f"after {seconds_ago} s")
    late = answer(11)
    assert '"code":"busy"' in late and "Retry-After: 5\r\n" in late and "nothing was done" in late, late
    same(metric(it, "queue_expired_total") - before, 3, "those that were too late")


class AuthPool:
    """Auth workers under other settings, of which it can tell how many hash a password at one moment."""
    ONE_HASH = 16_000_000  # bytes that yescrypt maps for each

    def __init__(self, it, **settings):
        self.it, self.settings = it, settings

    def __enter__(self):
        self.it.environment |= self.settings
        self.it.restart("auth")
        self.idle = {pid: memory(pid) for pid in self.it.full("auth")}
        return self

    def __exit__(self, *_):
        self.signal(signal.SIGCONT)
        for name in self.settings:
            del self.it.environment[name]
        self.it.restart("auth")

    def signal(self, number, pids=None):
        for pid in pids or self.idle:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def hashing(self):
        """Lets the workers run for a moment, and stops them. Those that hash: the first that was stopped still did at the last."""
        self.signal(signal.SIGCONT)
        pause(0.02, "some work is done")
        self.signal(signal.SIGSTOP)
        until(lambda: {state(pid) for pid in self.idle} == {"T"}, 5, "all workers stand still")
        return [pid for pid in self.idle if memory(pid) > self.idle[pid] + self.ONE_HASH]


def memory(pid):
    """Bytes that the process has mapped."""
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def state(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@case("never more passwords are hashed at the same moment than passwords_at_once, and every login is answered")
def bound_of_hashes(it):
    name = it.name("bound")
    it.account(name, "customer")
    for most in (1, 2):
        with AuthPool(it, SECKILL_AUTH="4", SECKILL_PASSWORDS_AT_ONCE=str(most)) as pool:
            flood = Flood(it, name, connections=6)
            seen = collections.Counter(len(pool.hashing()) for _ in range(30))
            pool.signal(signal.SIGCONT)
            flood.end()
        comment(f"passwords_at_once {most}: {dict(seen)} of 4 workers hashed; {len(flood.times)} logins, median "
                f"{statistics.median(flood.times):.2f} s, slowest {max(flood.times):.2f} s")
        same(set(flood.statuses) - {"too late"}, {200}, "statuses of the logins")
        same(max(seen), most, "passwords hashed at the same moment")


@case("a worker hangs while it hashes: the next one refuses, can be stopped, and has its permit once it is killed")
def hangs_with_its_permit(it):
    name = it.name("permit")
    it.account(name, "customer")
    login = {"username": name, "password": PASSWORD}
    with AuthPool(it, SECKILL_AUTH="2", SECKILL_PASSWORDS_AT_ONCE="1") as pool, ThreadPoolExecutor(1) as waiting:
        flood = Flood(it, name, connections=1)
        hangs, = until(pool.hashing, 10, "a worker hashes")
        flood.over.set()
        other, = set(pool.idle) - {hangs}
        pool.signal(signal.SIGCONT, [other])
        it.ask("POST", "/api/auth", body=login).expect(503, "busy").names("nothing was done")
        answer = waiting.submit(it.new_client().ask, "POST", "/api/auth", body=login)
        pause(0.5, "the worker waits for a permit")
        pool.signal(signal.SIGTERM, [other])
        until(lambda: other not in it.workers("auth"), 8, "the waiting worker stops")
        answer.result().expect(503, "busy")
        pool.signal(signal.SIGKILL, [hangs])
        flood.end()
        it.ask("POST", "/api/auth", body=login).expect(200)


@case("no worker is there: the answer says that nothing was done")
def nobody_there(it):
    sale, user = it.sale(), it.customer()
    it.dev("stop", "hot", "cold", "auth", "-9")
    try:
        for method, path, who, body in (
                ("POST", "/api/auth", None, {"username": user.name, "password": PASSWORD}), ("POST", "/api/users", None, {}),
                ("GET", user.path + "/orders", user, None), ("PATCH", sale.path + "/stock", sale.seller, {"add": 1}),
                ("POST", sale.path + "/claims", user, None), ("PATCH", sale.path, user, None)):
            answer = it.ask(method, path, who, body).expect(503, "busy").names("nothing was done")
            assert "stays yours" not in answer.json["detail"], answer
    finally:
        it.dev("start", "hot", "cold", "auth")


def peers(path):
    """The number of sockets with this name: the listening one, and one for each connection to it."""
    with open("/proc/net/unix") as file:
        return sum(line.rstrip().endswith(" " + str(path)) for line in file)


@case("a request is lost with its worker: it may have been carried out, and only a claim is safe to repeat")
def lost_with_its_worker(it):
    sale, user = it.sale(), it.customer()

    def lost(part, *requests):
        for pid in it.full(part):
            os.kill(pid, signal.SIGSTOP)
        before = peers(it.run / f"{part}.sock")
        with ThreadPoolExecutor(len(requests)) as pool:
            answers = [pool.submit(it.new_client().ask, *asked) for asked in requests]
            # nginx waits 4 s for a hot worker on a kept connection before it opens another
            until(lambda: peers(it.run / f"{part}.sock") >= before + len(requests), 20, "the requests are on their way")
            it.dev("stop", part, "-9")
            answers = [answer.result().expect(503, "outcome-unknown") for answer in answers]
        it.dev("start", part)
        return answers
    account = {"username": it.name("x"), "password": PASSWORD, "kind": "saler"}
    answers = lost("cold", ("PATCH", sale.path + "/stock", sale.seller, {"add": 1}), ("POST", "/api/auth/logout", user))
    answers += lost("auth", ("POST", "/api/auth", None, account), ("POST", "/api/users", None, account))
    for answer in answers:
        answer.names("may have been carried out")
        assert "stays yours" not in answer.json["detail"], answer
    for answer in lost("hot", ("POST", sale.path + "/claims", it.customer()), ("PATCH", sale.path, it.customer())):
        answer.names("an order that you won stays yours")


class Readers:
    """A seller reads a page again and again on a number of connections."""

    def __init__(self, it, path, seller, connections):
        self.over, self.times = threading.Event(), []

        def read():
            client = it.new_client()
            while not self.over.is_set():
                answer, seconds = timed(lambda: client.ask("GET", path, seller))
                same(answer.status, 200, "status of the page")
                self.times.append(seconds)
            client.close()
        self.threads = [threading.Thread(target=read, daemon=True) for _ in range(connections)]
        for thread in self.threads:
            thread.start()

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


@case("sellers who read pages of 20 coupons in 256 segments do not delay claims")
def heavy_pages(it):
    seller, sale, users = it.seller(), it.sale(amount=200, segments=8), it.users(120)
    for _ in range(20):
        it.sale(seller, amount=1000, segments=256)
    readers = Readers(it, seller.path + "/coupons", seller, connections=8)
    until(lambda: len(readers.times) > 8, 30, "the pages are read")
    claims = [timed(lambda: sale.claim(user)) for user in users]
    readers.end()
    same({answer.status for answer, _ in claims}, {201}, "statuses of the claims")
    claim, page = statistics.median(seconds for _, seconds in claims), statistics.median(readers.times)
    comment(f"claims: median {claim * 1000:.1f} ms; pages: median {page * 1000:.1f} ms")
    faster(claim, page / 8, f"a claim takes {claim:.4f} s, a page {page:.4f} s")


def sold_out(it, seller):
    """A sale whose one unit is won, and which the hub has declared sold out."""
    sale = it.sale(seller, amount=1, segments=1)
    winner, loser = it.users(2)
    sale.win(winner)
    sale.claim(loser).expect(410, "sold-out")
    return sale


def add_unit(it, sale, client=None):
    return (client or it.new_client()).ask("PATCH", sale.path + "/stock", sale.seller, {"add": 1})


class Slowest:
    """Sends other requests to the cold pool all the time. Returns the time of the slowest answer."""

    def __init__(self, it):
        self.over, self.seconds, self.problems, user = threading.Event(), 0, [], it.customer()

        def ask():
            client = it.new_client()
            while not self.over.is_set():
                for path, who in (("/readyz", None), ("/metrics", None), (user.path + "/orders", user)):
                    answer, seconds = timed(lambda: client.ask("GET", path, who))
                    self.seconds = max(self.seconds, seconds)
                    if answer.status != 200:
                        self.problems.append(answer)
            client.close()
        self.thread = threading.Thread(target=ask, daemon=True)
        self.thread.start()

    def end(self):
        self.over.set()
        self.thread.join()
        same(self.problems, [], "answers that were none")
        return self.seconds


@case("24 sellers add units to sold-out sales at once: only they wait, all at the same time, and the units are on sale")
def stock_waits(it):
    sales, others = [sold_out(it, seller) for seller in it.users(24, "seller")], Slowest(it)

    def add_and_buy(sale, user):
        client = it.new_client()
        added = add_unit(it, sale, client)
        bought = until(lambda: (a := sale.claim(user, client)).status != 503 and a, 20, "an answer")  # on a busy machine
        client.close()
        return added.status, bought.status
    with ThreadPoolExecutor(24) as pool:
        answers, seconds = timed(lambda: list(pool.map(add_and_buy, sales, it.users(24))))
    slowest = others.end()
    comment(f"all have their units after {seconds:.2f} s; the slowest of the others took {slowest:.2f} s")
    same(set(answers), {(200, 201)}, "statuses")
    quick(seconds, 5, "it took as long as one after the other")
    quick(slowest, 3, "others waited")


@case("a seller adds units to 60 sold-out sales: some requests are refused, change nothing, and nobody else waits")
def stock_of_one_seller(it):
    seller = it.seller()
    sales = [sold_out(it, seller) for _ in range(60)]
    others = Slowest(it)
    with ThreadPoolExecutor(60) as pool:
        answers, seconds = timed(lambda: list(pool.map(lambda sale: add_unit(it, sale), sales)))
    slowest, statuses = others.end(), collections.Counter(a.status for a in answers)
    comment(f"{dict(statuses)} after {seconds:.2f} s; the slowest of the others took {slowest:.2f} s")
    same(set(statuses), {200, 429}, "statuses")
    for sale, answer in zip(sales, answers):
        answer.expect(answer.status, "rate-limited" if answer.status == 429 else None)
        assert answer.status == 200 or int(answer.headers["Retry-After"]) >= 1, answer
        same(sale.read()["amount"], 2 if answer.status == 200 else 1, "units on sale")
    quick(slowest, 3, "others waited")


@case("a worker that is asked to stop answers a waiting request for more units")
def stock_and_stop(it):
    sale, workers = sold_out(it, it.seller()), it.full("cold")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(add_unit, it, sale)
        until(lambda: sale.read()["amount"] == 2, 10, "the unit is there")
        for pid in workers:
            os.kill(pid, signal.SIGTERM)
        answer.result().expect(200)
    same(set(it.full("cold")) & set(workers), set(), "workers that are still the old ones")


@case("200 kept connections of clients get all their answers")
def kept_connections(it):
    sale, users = it.sale(amount=1000, segments=8), it.users(200)
    clients = [it.new_client() for _ in users]
    with ThreadPoolExecutor(32) as pool:
        for status in (201, 200, 200):
            answers = list(pool.map(sale.claim, users, clients))
            same({a.status for a in answers}, {status}, "statuses")
    for client in clients:  # still open and served, one by one
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


@case("300 kept FastCGI connections get all their answers from 2 workers")
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


@contextlib.contextmanager
def without_files(pids):
    """These workers cannot get new descriptors."""
    limits = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in pids}
    try:
        for pid, (_, hard) in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        yield
    finally:
        for pid, limit in limits.items():
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


@case("workers run out of descriptors: their connections are served, new ones wait without using CPU, and are answered later")
def accept_fails(it):
    for pool, uri in (("hot", "/api/time"), ("cold", "/readyz"), ("auth", "/healthz")):
        workers, log, path = it.full(pool), it.run / f"log/{pool}.log", it.run / f"{pool}.sock"
        start, kept = log.stat().st_size, pool == "hot" and fcgi.Connection(path)
        if kept:
            kept.ask("GET", uri)
        with without_files(workers):
            before = sum(map(cpu_seconds, workers))
            waiting = [fcgi.Connection(path) for _ in range(20)]
            for connection in waiting:
                connection.send(fcgi.request("GET", uri, keep=False))

            def failed():
                return re.findall("accept_failed pid=(\\d+) reason=(\\S+)", log.read_text()[start:])
            until(lambda: {int(pid) for pid, _ in failed()} == set(workers), 15, f"accepting fails in the {pool} pool")
            if kept:
                assert b"Status: 200" in kept.ask("GET", uri), "a connection that was there"
            pause(1, "the time of measurement")
            same({reason for _, reason in failed()}, {"Too\\x20many\\x20open\\x20files"}, "reasons")
            assert len(failed()) < 3 * len(workers), f"{len(failed())} lines"
            burnt = sum(map(cpu_seconds, workers)) - before
            assert burnt < 0.4, f"{burnt} s of CPU"
            same([select.select([c.socket], [], [], 0)[0] for c in waiting], [[]] * len(waiting), "answers without descriptors")
        for connection in waiting:
            assert connection.answer(), "an answer"
            connection.close()
        if kept:
            kept.close()
        same(it.full(pool), workers, "workers")


@contextlib.contextmanager
def stopped(pids):
    kill(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        kill(pids, signal.SIGCONT)


@case("one of two workers runs out of descriptors, or is stopped: the other one serves")
def accept_fails_in_one(it):
    def ask():
        connection = fcgi.Connection(it.run / "hot.sock")
        assert b"Status: 200" in connection.ask("GET", "/api/time")
        connection.close()
    for disabled in (without_files, stopped):
        with disabled(it.full("hot")[:1]):
            slowest = max(timed(ask)[1] for _ in range(30))
        comment(f"{disabled.__name__}: the slowest answer took {slowest:.2f} s")
        quick(slowest, 3, f"{disabled.__name__}: an answer")


def slowest_answer(it, seconds):
    """The time of the slowest request in so many seconds, on connections to all workers."""
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


@case("an incomplete request delays others for 3 s at most")
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
    """Sends a byte at a time until the connection is closed. Returns whether it was."""
    deadline = time.monotonic() + seconds
    for byte in itertools.cycle(data):
        try:
            connection.send(bytes([byte]))
        except OSError:
            return True
        if time.monotonic() > deadline:
            return False
        pause(0.03, "the pace of the bytes")


@case("requests that libfcgi would skip, and then a byte at a time: no worker waits for the next byte")
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
    """Sends many requests and reads few answers until the connection is closed. Returns whether it was."""
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
        pause(0.001, "the pace of the requests")
    return False


@case("a peer that sends many requests and reads few answers is disconnected: no worker waits for it")
def unread_answers(it):
    connection = fcgi.Connection(it.run / "hot.sock")
    with ThreadPoolExecutor(1) as pool:
        sent_away = pool.submit(gulp, connection, 8)
        slowest = slowest_answer(it, 3)
        assert sent_away.result(), f"it may go on; the slowest answer took {slowest:.2f} s"
    connection.close()
    comment(f"the slowest answer took {slowest:.2f} s")


@case("the longest answers are complete: a page of descriptions that JSON makes six times as long")
def long_answers(it):
    seller, user = it.seller(), it.customer()
    for _ in range(20):
        it.sale(seller, description="\x01" * 2000)
    peers = [fcgi.Connection(it.run / "hot.sock") for _ in range(4)]
    for peer in peers:
        peer.send(fcgi.request("GET", seller.path + "/coupons", HTTP_AUTHORIZATION=user.token))
    pause(0.3, "nobody reads the answers meanwhile")
    for peer in peers:
        answer = peer.answer()
        assert answer.count(b"\\u0001") == 20 * 2000 and answer.endswith(b"}"), len(answer)
        peer.close()
    comment(f"{len(answer)} bytes")


@case("a connection to the cold pool that is kept after its answer occupies no worker")
def kept_cold(it):
    peers = [fcgi.Connection(it.run / "cold.sock") for _ in it.full("cold")]
    for peer in peers:
        assert b"Status: 200" in peer.ask("GET", "/readyz")
    answer, seconds = timed(lambda: it.ask("GET", "/readyz"))
    same(answer.status, 200, "status")
    for peer in peers:
        peer.close()
    quick(seconds, 3, "an answer")


@case("a request in small pieces is answered")
def pieces(it):
    connection = fcgi.Connection(it.run / "hot.sock")
    whole = fcgi.request("GET", "/healthz")
    for at in range(0, len(whole), 40):
        connection.send(whole[at:at + 40])
    assert b"Status: 200" in connection.answer()
    connection.close()


@case("garbage, a missing end, a missing last parameter, a wrong length: the worker lives")
def garbage(it):
    workers = it.full("hot")
    begin = fcgi.record(fcgi.BEGIN, struct.pack(">HB5x", 1, 1))
    cut = fcgi.pairs({"REQUEST_METHOD": "GET", "DOCUMENT_URI": "/healthz"})
    lie = fcgi.pairs({"REQUEST_METHOD": "POST", "DOCUMENT_URI": "/api/users/a/coupons/b/claims", "CONTENT_LENGTH": "100",
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


@case("a body that is shorter or longer than its Content-Length, or too long: refused, nothing is done, the connection ends")
def body_lengths(it):
    user, seller = it.customer(), it.seller()
    sale = it.sale(seller)
    texts = {"auth.sock": ("POST", "/api/users", None, b'{"username": "%s", "password": "correct horse", "kind": "customer"}'),
             "cold.sock": ("POST", f"{seller.path}/coupons", seller, b'{"name": "%s", "amount": 5, "stock": 1, "description": ""}'),
             "hot.sock": ("POST", f"{sale.path}/claims", user, b'{"a": "%s"}')}

    def ask(connection, socket, length, cut=None):
        method, uri, who, text = texts[socket]
        text %= it.name("body").encode()
        token = {"HTTP_AUTHORIZATION": who.token} if who else {}
        head = fcgi.request(method, uri, CONTENT_LENGTH=str(length(len(text))), **token)[:-8]
        connection.send(head + fcgi.record(fcgi.STDIN, text[:cut]) + fcgi.record(fcgi.STDIN))
        return connection.answer()
    before = everything(it)

    def refused(socket, what, length, status, cut=None):
        with fcgi.Connection(it.run / socket) as connection:
            answer = ask(connection, socket, length, cut)
            assert b"Status: %d" % status in answer, answer
            same(connection.socket.recv(1), b"", "what comes after the answer")
    kinds = [("said to be longer", lambda n: n + 1, 400, None), ("said to be shorter", lambda n: n - 1, 400, None),
             ("cut short", lambda n: n, 400, -1), ("not there", lambda n: n, 400, 0), ("said to be none", lambda n: 0, 400, None),
             ("no number", lambda n: "1x", 400, None), ("negative", lambda n: -1, 400, None),
             ("too long", lambda n: 65537, 413, None), ("far too long", lambda n: 2**63, 400, None)]
    every([(socket, *kind) for socket in texts for kind in kinds], refused)
    same(everything(it), before, "users, coupons, orders")
    for socket in texts:
        with fcgi.Connection(it.run / socket) as connection:
            assert b"Status: 201" in ask(connection, socket, lambda n: n), socket


def everything(it):
    return it.sql("SELECT (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM coupons), (SELECT COUNT(*) FROM orders)")


@case("clients leave while their passwords are hashed: the auth pool still accepts connections")
def left_during_the_answer(it):
    body = b'{"username": "nobody at all", "password": "correct horse"}'
    asked = fcgi.request("POST", "/api/auth", CONTENT_LENGTH=str(len(body)))[:-8]  # without the end of the body
    for wait in 4 * [0.002, 0.005, 0.008]:
        peer = fcgi.Connection(it.run / "auth.sock")
        peer.send(asked + fcgi.record(fcgi.STDIN, body) + fcgi.record(fcgi.STDIN))
        pause(wait, "during the hashing, which takes 20 ms")
        peer.close()
    for _ in range(4):
        it.ask("POST", "/api/auth", body={}).expect(400)


@case("a client that leaves at once, a hundred times: the workers live, and no connection is left over")
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
