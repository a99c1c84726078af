#!/usr/bin/env -S python3 -B
"""What a request costs a hot worker, counted and not timed: instructions, allocations, system calls, scripts.

A clock on a shared machine tells little; these counts are the same on every run to a few percent, so a regression shows
as soon as it is made. The limits are 5 to 15 % above what was reached. When a change is worth its price, run this
test, look at the "got" lines, and raise the limit to 1.15 times that; when a change made something cheaper, lower it.
Instructions are those of Debian 12's libraries on x86-64 (HMAC in software: valgrind knows no SHA instructions).
"""

import contextlib
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fcgi
from harness import BUILD, main
from tap import Skip, case, comment, every, need, pause, until

# request: (status, instructions, allocations)
COSTS = {"healthz": (200, 14_500, 20), "claim, won": (201, 47_500, 30), "claim, sold out": (410, 41_500, 24),
         "coupon, read": (200, 56_500, 66)}
# request: (system calls when asked one by one, when 32 are asked at once)
CALLS = {"healthz": (200, 5.75, 3.7), "claim, won": (201, 10.4, 3.9), "claim, sold out": (410, 8.7, 3.9)}
WAVE = 32
REQUESTS = 160
IDLE_S = 3


class Worker:
    """A hot worker under a tool, on a socket of its own beside the pool's."""

    def __init__(self, it, *tool):
        self.directory = pathlib.Path(tempfile.mkdtemp(dir=it.run))
        self.out = self.directory / "out"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.directory / "s"))
            listener.listen(WAVE)
            words = [word.format(out=self.out) for word in tool]
            worker = [BUILD / "seckill-api", "-c", it.run / "seckill.conf", "-p", "hot"]
            with open(self.directory / "log", "w") as log:
                self.process = subprocess.Popen([*words, *worker], stdin=listener, stdout=log, stderr=log,
                                                env=it.environment)
        self.connections = [fcgi.Connection(self.directory / "s", 30) for _ in range(WAVE)]
        for connection in self.connections:
            connection.ask("GET", "/healthz")

    def ask(self, requests, status):
        """One by one, on one connection."""
        for request in requests:
            self.connections[0].send(request)
            self._check(self.connections[0], status)

    def ask_at_once(self, requests, status):
        """The worker sleeps until all of them are there."""
        pid = self._pid()
        os.kill(pid, signal.SIGSTOP)
        until(lambda: state(pid) == "T", 5, "the worker sleeps", 0.001)
        for connection, request in zip(self.connections, requests):
            connection.send(request)
        os.kill(pid, signal.SIGCONT)
        for connection in self.connections:
            self._check(connection, status)

    @staticmethod
    def _check(connection, status):
        answer = connection.answer()
        assert b"Status: %d" % status in answer, answer

    def _pid(self):
        """strace runs the worker as its child, valgrind is the worker."""
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0]) if children else self.process.pid

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        """However the case ended, nothing is left behind."""
        if self.process.poll() is None:
            os.kill(self._pid(), signal.SIGKILL)
            self.process.wait(30)

    def end(self):
        os.kill(self._pid(), signal.SIGTERM)
        for connection in self.connections:
            connection.close()
        self.process.wait(30)
        return self.out.read_text()


def state(pid):
    """T when it is stopped, t when a tracer holds it."""
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0].upper()


def requests_of(it, name, users, count):
    """Requests of one kind, ready to be sent; what they need is there."""
    def post(path, user):
        return fcgi.request("POST", path + "/claims", HTTP_AUTHORIZATION="Bearer " + user.token, REQUEST_ID="")

    if name == "healthz":
        return [fcgi.request("GET", "/healthz", HTTP_AUTHORIZATION="", REMOTE_ADDR="127.0.0.1")] * count
    if name == "claim, won":
        sale = it.sale(amount=1_000_000, segments=1)
        return [post(sale.path, user) for user in users[:count]]
    sale = it.sale(amount=1, segments=1)
    sale.win(users[0])
    sale.claim(users[1]).expect(410)
    if name == "coupon, read":
        return [fcgi.request("GET", sale.path, HTTP_AUTHORIZATION="", REMOTE_ADDR="127.0.0.1")] * count
    return [post(sale.path, user) for user in users[1:count + 1]]


def buyers(it, cache=[]):
    cache.extend(it.users(300) if not cache else [])
    return cache


def need_tool(tool):
    need(tool)
    flags = re.search(r"^CFLAGS = (.*)$", (BUILD / "Makefile").read_text(), re.M).group(1)
    checks = re.search(r"^CHECK_CFLAGS = (.*)$", (BUILD / "Makefile").read_text(), re.M).group(1)
    if re.search("-fsanitize|--coverage", flags + checks) or not re.search("-O[23]", flags):
        raise Skip(f"built with CFLAGS {flags} {checks}")


def least(count, most, got=None):
    """Counts again, twice at most, while it is too much: timers and waits beside the requests are more on a busy machine."""
    got = got or count()
    for _ in range(2):
        if any(g > m for g, m in zip(got, most)):
            got = tuple(map(min, got, count()))
    return got


def judge(name, what, got, limit):
    comment(f"{name}: got {got:.2f} {what}, limit {limit}")
    assert got <= limit, f"{got:.2f} {what}, limit {limit}"


# System calls

def system_calls(it, name, way):
    requests = requests_of(it, name, buyers(it), WAVE + 1)
    with Worker(it, "strace", "-f", "-qq", "-o", "{out}") as worker:
        worker.ask(requests[:1], CALLS[name][0])  # learns the coupon, and the script
        before = len(worker.out.read_text().splitlines())
        way(worker, requests[1:], CALLS[name][0])
        lines = worker.out.read_text().splitlines()[before:]
        worker.end()
    return sum(1 for line in lines if not re.search(r"--- SIG|<\.\.\. |resumed|restart_syscall", line)) / WAVE


@case("system calls of a request, by strace")
def calls(it):
    need_tool("strace")

    def check(name):
        alone, together = CALLS[name][1:]
        for what, way, most in (("one by one", Worker.ask, alone), ("32 at once", Worker.ask_at_once, together)):
            got, = least(lambda way=way: (system_calls(it, name, way),), (most,))
            judge(name, f"system calls, {what}", got, most)
    every(list(CALLS), check)


# Scripts

def scripts(it):
    """Scripts sent so far, of every kind."""
    lines = it.ask("GET", "/metrics").expect(200).body.decode().splitlines()
    return sum(int(line.split()[-1]) for line in lines if line.startswith("seckill_scripts_total{"))


@case("scripts of a winning claim, to the last unit of 300 in 8 segments")
def scripts_of_a_claim(it):
    sale, users = it.sale(amount=300, segments=8), buyers(it)
    before = scripts(it)
    for user in users:
        sale.win(user)
    judge("claim, won", "scripts", (scripts(it) - before) / 300, 1.5)


# Reading pages without end

READERS, WATCHED_S = 8, 2
READ_COMMANDS_S = 2 * 16_000 * 1.15  # of two workers: src/page/availability.c, COMMANDS_MS


@case(f"commands to Redis while {READERS} connections read without end: a list of 20 coupons with 256 segments each, and one of them")
def reading_without_end(it):
    seller = it.seller()
    it.redis("CONFIG", "SET", "appendfsync", "no")  # to create them in seconds
    sales = [it.sale(seller, amount=256, segments=256) for _ in range(20)]
    it.redis("CONFIG", "SET", "appendfsync", "always")

    def commands():
        counts = re.findall(r"cmdstat_(?:hmget|llen):calls=(\d+)", it.redis("INFO", "commandstats"))
        return sum(map(int, counts))

    def check(name, path):
        over = threading.Event()

        def read():
            with contextlib.closing(it.new_client()) as client:
                while not over.is_set():
                    client.ask("GET", path, seller).expect(200)
        with ThreadPoolExecutor(READERS) as pool:
            readers = [pool.submit(read) for _ in range(READERS)]
            pause(1, "what the workers had saved is spent")
            before, began = commands(), time.monotonic()
            pause(WATCHED_S, "the measured period")
            found = (commands() - before) / (time.monotonic() - began)
            over.set()
            for reader in readers:
                reader.result()
        judge(name, "commands a second", found, READ_COMMANDS_S)
    every([("list", seller.path + "/coupons"), ("coupon", sales[0].path)], check)


@case("bytes that a winning claim adds to Redis's file, 32 at once in one segment")
def file_bytes(it):
    sale, users = it.sale(amount=1000, segments=None), buyers(it)[:WAVE * 3 + 1]
    requests = [fcgi.request("POST", sale.path + "/claims", HTTP_AUTHORIZATION="Bearer " + user.token, REMOTE_ADDR="127.0.0.1")
                for user in users]

    def size():
        lines = it.redis("INFO", "persistence").splitlines()
        return next(int(line.split(":")[1]) for line in lines if line.startswith("aof_current_size:"))
    it.dev("stop", "drain")
    with Worker(it, "env") as worker:
        worker.ask(requests[:1], 201)
        before = size()
        for i in range(1, len(requests), WAVE):
            worker.ask_at_once(requests[i:i + WAVE], 201)
        judge("claim, won", "bytes", (size() - before) / (len(requests) - 1), 90)
    it.dev("start", "drain")


# Instructions and allocations

def total(text):
    return int(re.search(r"^totals: (\d+)", text, re.M).group(1))


def allocations(text):
    """Calls of malloc, calloc and realloc. callgrind writes a name once and its number from then on."""
    names, count, called = {}, 0, None
    for line in text.splitlines():
        if function := re.match(r"(c?)fn=(\(\d+\))(?: (.+))?", line):
            names[function[2]] = function[3] or names[function[2]]
            called = names[function[2]] if function[1] else called
        elif line.startswith("calls=") and called in ("malloc", "calloc", "realloc"):
            count += int(line[6:].split()[0])
    return count


@case("instructions and allocations of a request, by callgrind")
def instructions(it):
    need_tool("valgrind")
    if platform.machine() != "x86_64":
        raise Skip(f"the limits are those of x86_64, not of {platform.machine()}")

    def run(name, requests, seconds=0):
        """Instructions and allocations of a worker, and how long it was asked, or had nothing to do."""
        with Worker(it, "valgrind", "--tool=callgrind", "--callgrind-out-file={out}") as worker:
            began = time.monotonic()
            if name:
                worker.ask(requests, COSTS[name][0])
            pause(seconds, "what a worker does by the clock")
            took, text = time.monotonic() - began, worker.end()
        return total(text), allocations(text), took

    def work(name):
        return requests_of(it, name, buyers(it), REQUESTS)

    with ThreadPoolExecutor(2) as pool:
        idle, *counted = pool.map(run, [None, *COSTS], [None, *map(work, COSTS)])
    counted = dict(zip(COSTS, counted))
    rest = run(None, None, IDLE_S)

    def each(counted):
        """Of a request: without what the worker does at its start and, more on a slow machine, by the clock."""
        def one(i):
            by_clock = (rest[i] - idle[i]) / IDLE_S * counted[2]
            return (counted[i] - idle[i] - by_clock) / REQUESTS
        return one(0), one(1)

    def check(name):
        got = least(lambda: each(run(name, work(name))), COSTS[name][1:], each(counted[name]))
        judge(name, "instructions", got[0], COSTS[name][1])
        judge(name, "allocations", got[1], COSTS[name][2])
    every(list(COSTS), check)


if __name__ == "__main__":
    main()
