"""A private instance of the service for one test file, and what the tests do with it.

A test file registers its cases with @case and ends with main(). The instance lives in a directory of its own under
/tmp, on a port of its own; whatever ends the test, its processes are stopped by their recorded pids.

Environment: top_srcdir, top_builddir (as automake gives them); IT_KEEP=1 keeps the directory.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from client import Client, quote
from sale import Sale
from stores import Redis, Sql
from tap import bail_out, comment, need_all, run_cases, until

SOURCE = pathlib.Path(os.environ.get("top_srcdir") or pathlib.Path(__file__).parents[2]).resolve()
BUILD = pathlib.Path(os.environ.get("top_builddir") or SOURCE / "build").resolve()
PASSWORD = "correct horse"
POOLS = ("hot", "cold", "auth", "drain")
PARTS = ("redis", "mysql", *POOLS, "nginx")
SERVERS = ("redis-server", "redis-cli", "mariadbd", "mariadb", "mariadb-install-db", "nginx", "spawn-fcgi", "multiwatch", "curl")
# An fsync may take seconds on a busy disk; only tests of faults need the usual time-out.
PATIENT = {"SECKILL_REDIS_TIMEOUT_MS": "4000"}


class User:
    def __init__(self, name, id, token):
        self.name, self.id, self.token = name, int(id), token
        self.path = "/api/users/" + quote(name)

    def __repr__(self):
        return f"<{self.name} {self.id}>"


def claims_of(token):
    """The payload of a token, unverified."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Instance:
    """settings: environment of the programs, such as SECKILL_HOT=4; a function is given the instance's directory."""

    def __init__(self, **settings):
        self.run = pathlib.Path(tempfile.mkdtemp(prefix="sk", dir="/tmp"))
        self.environment = os.environ | {"SECKILL_RUN": str(self.run), "SECKILL_BUILD": str(BUILD)}
        self.environment |= PATIENT | {name: str(value(self.run) if callable(value) else value)
                                       for name, value in settings.items()}
        self.names = 0

    # starting and stopping

    def start(self):
        for attempt in range(5):  # another program may take the port before nginx binds it
            self.port = free_port()
            done = self._dev("start")
            if done.returncode == 0:
                break
            if "taken" not in done.stdout + done.stderr or attempt == 4:
                raise RuntimeError(f"./dev start: {done.stdout}{done.stderr}")
        self.client = Client(self.port)
        self.ask = self.client.ask
        self.sql = Sql(self.run / "etc/mysql-owner.cnf")
        self.redis = Redis(str(self.run / "redis.sock"), (self.run / "etc/redis-admin.password").read_text().strip())

    def _dev(self, *words):
        environment = self.environment | {"SECKILL_PORT": str(self.port)}
        return subprocess.run([SOURCE / "dev", *words], env=environment, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)

    def dev(self, *words):
        """./dev start redis, ./dev stop hot -9, ..."""
        done = self._dev(*words)
        assert done.returncode == 0, f"./dev {' '.join(words)}: {done.stdout}{done.stderr}"

    def restart(self, *parts):
        for part in parts:
            self.dev("stop", part)
            self.dev("start", part)

    def remove(self):
        """Stops everything and removes the directory. True when everything stopped when it was asked to."""
        stopped = subprocess.run([SOURCE / "dev", "stop"], env=self.environment, capture_output=True, text=True,
                                 stdin=subprocess.DEVNULL)
        left = [pid for part in PARTS for pid in self.pids(part)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        clean = stopped.returncode == 0 and not left and "killed" not in stopped.stdout
        if not clean:
            comment(f"./dev stop: {stopped.stdout}{stopped.stderr}; left: {left}")
        if not os.environ.get("IT_KEEP"):
            shutil.rmtree(self.run, ignore_errors=True)
        return clean

    def print_logs(self, lines=25):
        for log in sorted(self.run.glob("log/*.log")):
            comment(f"--- {log.name}")
            comment("\n".join(log.read_text(errors="backslashreplace").splitlines()[-lines:]))

    # processes

    def leader(self, part):
        """The pid that ./dev recorded for a part."""
        return int((self.run / "pid" / part).read_text().split()[0])

    def pids(self, part, program=None):
        """Processes of a part, which share a session; only those of one program when it is given."""
        try:
            leader = self.leader(part)
        except OSError:
            return []
        everyone = map(int, filter(str.isdigit, os.listdir("/proc")))
        return sorted(pid for pid in everyone if _is_member(pid, leader, program))

    def lasting(self, part):
        """The processes of a part that stay: not nginx's cache loader, which ends a minute after each start and reload."""
        return [pid for pid in self.pids(part) if "cache loader" not in _command_line(pid)]

    def workers(self, part):
        return self.pids(part, "seckill-orderd" if part == "drain" else "seckill-api")

    def pool_size(self, part):
        names = {"hot": "SECKILL_HOT", "cold": "SECKILL_COLD", "auth": "SECKILL_AUTH", "drain": "SECKILL_DRAINERS"}
        return int(self.environment.get(names[part], 2))

    def full(self, part):
        """Waits until all workers of a pool are there, and returns their pids."""
        size = self.pool_size(part)
        return until(lambda: len(pids := self.workers(part)) == size and pids, 10, f"{size} workers in the {part} pool")

    # accounts, tokens, sales

    def name(self, prefix):
        """A name that was not used before."""
        self.names += 1
        return f"{prefix}{self.names}"

    def new_client(self):
        return Client(self.port)

    @contextlib.contextmanager
    def asking(self, *question):
        """A request on a connection of its own: its answer comes into the list, at the latest when the block ends."""
        answers, client = [], self.new_client()
        thread = threading.Thread(target=lambda: answers.append(client.ask(*question)), daemon=True)
        thread.start()
        yield answers
        thread.join(30)
        assert answers, f"no answer to {question}"

    def ctl(self, *words, **more):
        writes_orders = {"recover", "rebuild", "dead", "--repair"} & set(map(str, words))
        return self.ctl_as("drain.conf" if writes_orders else "seckill.conf", *words, **more)

    def ctl_as(self, settings, *words, **more):
        return subprocess.run([BUILD / "seckillctl", "-c", self.run / settings, *map(str, words)], text=True,
                              capture_output=True, timeout=60, env=self.environment, **more)

    def load(self, sale, *words, port=None):
        """tests/load/load.c: claims with each token of a file once."""
        return subprocess.run([BUILD / "tests/load/load", f"http://127.0.0.1:{port or self.port}", sale, *map(str, words)],
                              text=True, capture_output=True, timeout=60)

    def users(self, count, kind="customer"):
        """New users with tokens but without passwords, which would take time to hash."""
        done = self.ctl("token", "--kind", kind, "--count", count, "--prefix", self.name(kind[0]) + "-")
        assert done.returncode == 0, done
        users = [User(*line.split("\t")) for line in done.stdout.splitlines()]
        assert len(users) == count, f"{len(users)} users, not {count}"
        return users

    def customer(self):
        return self.users(1)[0]

    def seller(self):
        return self.users(1, "seller")[0]

    def register(self, name, kind, password=PASSWORD):
        return self.ask("POST", "/api/users", body={"username": name, "password": password, "kind": kind})

    def log_in(self, name, password=PASSWORD):
        return self.ask("POST", "/api/auth", body={"username": name, "password": password})

    def account(self, name, kind):
        """Registers and logs in, as a person would."""
        self.register(name, kind).expect(201)
        token = self.log_in(name).expect(200).headers["Authorization"]
        return User(name, claims_of(token)["sub"], token)

    def sale(self, seller=None, name=None, amount=10, stock=100, description="a coupon", **more):
        """
        Puts a coupon on sale: in several segments, because most of what may go wrong goes wrong between segments. Servers
        that were away before may need a moment; a creation goes on where it has stopped.
        """
        seller, name = seller or self.seller(), name or self.name("sale")
        segments = min(max(amount // 10, 1), 16)
        body = {"name": name, "amount": amount, "stock": stock, "description": description, "segments": segments} | more
        def create():
            return self.ask("POST", seller.path + "/coupons", seller, body)
        answer = until(lambda: (a := create()).status != 503 and a, 10, "a new sale", every=0.1).expect(201)
        return Sale(self, seller, name, amount, answer.headers["Location"])

    def token_key(self):
        kid, key = (self.run / "etc/token.keys").read_text().split()
        return kid, bytes.fromhex(key)


def sign(header, claims, key, digest=hashlib.sha256):
    """A JWT that is signed with this key. claims: an object, or bytes."""
    def part(value):
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(text).rstrip(b"=")
    signed = part(header) + b"." + part(claims)
    mac = hmac.new(key, signed, digest).digest() if digest else b""
    return (signed + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")).decode()


def _is_member(pid, session, program):
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    name, fields = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
    return int(fields[3]) == session and fields[0] != "Z" and program in (None, name)


def _command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def exit_on_signals():
    """A signal ends the program like sys.exit(), so that everything it has started is stopped."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, frame: sys.exit(128 + n))


def main(before=None, **settings):
    """Runs the file's cases on an instance of their own. before: a function of the instance, called before it starts."""
    exit_on_signals()
    need_all(*SERVERS)
    instance, failures = Instance(**settings), 1
    began = time.monotonic()
    try:
        try:
            if before:
                before(instance)
            instance.start()
        except Exception as problem:
            instance.print_logs()
            bail_out(problem)
        failures = run_cases(instance)
        if failures:
            instance.print_logs()
    finally:
        clean = instance.remove()
    comment(f"all: {time.monotonic() - began:.1f} s")
    sys.exit(1 if failures or not clean else 0)
