#!/usr/bin/env -S python3 -B
"""A disk is full: MySQL's, Redis's, or one of the service's own. Nothing acknowledged is lost, and all goes on when there
is room.

The disks are small file systems in memory, mounted where nobody but this test and its processes sees them: the file runs
itself again in a mount namespace (and in a user namespace, where it is not root's). They are gone with the last process.
"""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys

from harness import main
from storm import steady
from tap import Skip, case, same, until

SMALL = {"mysql": "192m", "redis": "8m"}


def on_small_disks():
    """Not where mounting is forbidden, as in some containers."""
    if os.environ.get("IT_SMALL_DISKS"):
        return
    unshare = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-rm"]
    works = subprocess.run([*unshare, "mount", "-t", "tmpfs", "tmpfs", "/tmp"], capture_output=True).returncode == 0
    os.environ["IT_SMALL_DISKS"] = "yes" if works else "no"
    if works:
        os.execvp(unshare[0], [*unshare, sys.executable, "-B", *sys.argv])


def move(it, part):
    """The data of a part move to a small disk."""
    if os.environ["IT_SMALL_DISKS"] == "no":
        raise Skip("nothing can be mounted here")
    data, old = it.run / "data" / part, it.run / "data" / f"{part}-old"
    it.dev("stop", part)
    data.rename(old)
    data.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SMALL[part]},mode=0700", "tmpfs", data], check=True)
    shutil.copytree(old, data, dirs_exist_ok=True)
    shutil.rmtree(old)
    it.dev("start", part)
    return data


@contextlib.contextmanager
def full(data):
    """No room at all; what is written for that goes again."""
    rest = data / "rest"
    with open(rest, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)):
            pass
    try:
        yield
    finally:
        rest.unlink()


@case("MySQL's disk is full: claims go on, orders wait; with room, they are rows")
def mysql_full(it):
    data, log = move(it, "mysql"), it.run / "log/drain.log"
    sale, users = it.sale(amount=9000, segments=4), it.users(8000)
    start = log.stat().st_size
    with full(data):
        outcomes = sale.rush(users, connections=16)
        same([o.codes for o in outcomes if o.codes], [], "refusals")
        until(lambda: "full" in log.read_text()[start:], 20, "MySQL has refused a batch")
        assert sale.queued() > 0, "every order has a row"
    sale.drained(30)
    same(it.sql("SELECT * FROM dead_letters"), [], "dead letters")
    sale.prove(outcomes)


def ends(it):
    """Under appendfsync always Redis ends itself at a write that does not fit; nobody starts it again."""
    until(lambda: not it.pids("redis"), 10, "Redis ends itself")
    it.redis.close()
    assert "Can't recover from AOF write error" in (it.run / "log/redis.log").read_text().splitlines()[-1], "its log"


@case("Redis's disk is full: Redis ends and acknowledges nothing that it cannot keep; with room it has all that it acknowledged")
def redis_full(it):
    data = move(it, "redis")
    it.redis.close()
    until(lambda: all(it.new_client().ask("GET", "/api/time").status == 200 for _ in range(20)), 10, "workers have Redis again")
    sale, users = it.sale(amount=4000, segments=4), it.users(4000)
    orders = {user: sale.win(user) for user in users[:300]}
    with full(data):
        for user in users[300:]:
            answer = sale.claim(user)
            if answer.status != 201:
                break
            orders[user] = answer.json["order"]
        same(answer.status, 503, "the answer without a disk")
        ends(it)
        with contextlib.suppress(AssertionError):
            it.dev("start", "redis")  # without room it loads all, and ends again, perhaps before ./dev has seen it
        until(lambda: sale.claim(users[-1]).status == 503 and not it.pids("redis"), 10, "it is gone again")
        ends(it)
    it.dev("start", "redis")
    steady(it, sale)
    until(lambda: sale.claim(users[0]).status == 200, 10, "the sale is inspected")
    for user, order in orders.items():
        same(sale.claim(user).expect(200).json["order"], order, "the order of before")
    sale.drained()
    sale.audit()


@contextlib.contextmanager
def small(directory, size, **more):
    """A small file system over a directory."""
    if os.environ["IT_SMALL_DISKS"] == "no":
        raise Skip("nothing can be mounted here")
    options = ",".join(f"{name}={value}" for name, value in {"size": size, "mode": "0700", **more}.items())
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def restart(it, *parts):
    it.dev("stop", *parts)
    it.dev("start", *parts)


def metric(it, name):
    text = it.ask("GET", "/metrics").expect(200).body.decode()
    return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"seckill_{name} "))


def sell_on(it):
    """60 claims, all won, and not one worker dies."""
    workers = [it.full(part) for part in ("hot", "cold", "drain")]
    sale = it.sale(amount=60, segments=4)
    outcomes = sale.rush(it.users(60), connections=8)
    same([o.codes for o in outcomes if o.codes], [], "refusals")
    sale.prove(outcomes)
    same([it.full(part) for part in ("hot", "cold", "drain")], workers, "workers")


def warned(it, *names):
    """/readyz has a warning for each of these, and for nothing else."""
    answer = it.ask("GET", "/readyz").expect(200).json
    same([warning.split(":")[0] for warning in answer["warnings"]], list(names), "warnings")


@contextlib.contextmanager
def shared_files_in(it, directory):
    """Workers and drainers have board and marks there, and afterwards where they were."""
    names = {"SECKILL_BOARD": "board", "SECKILL_MARKS": "marks"}
    it.environment |= {setting: str(directory / name) for setting, name in names.items()}
    try:
        restart(it, "hot", "cold", "drain")
        yield
    finally:
        for setting in names:
            del it.environment[setting]
        restart(it, "hot", "cold", "drain")


@case("stats and high-water table do not fit on their disk: the service reports it and goes on with memory of its own")
def no_room_for_shared_files(it):
    directory = it.run / "shared"
    directory.mkdir()
    log = it.run / "log/hot.log"
    with small(directory, "64k"), shared_files_in(it, directory):
        warned(it, "board", "marks")
        same([metric(it, f'private_memory{{file="{file}"}}') for file in ("board", "marks")], [1, 1], "metrics")
        assert "private_memory" in log.read_text() and "No\\x20space" in log.read_text(), "the log says nothing"
        sell_on(it)
        same(sorted(path.name for path in directory.iterdir()), [], "files left behind")
        for name, size in (("board", 100), ("marks", 1 << 22)):  # sparse, as a version before wrote it: it fits
            os.truncate(os.open(directory / name, os.O_CREAT | os.O_WRONLY, 0o600), size)
        restart(it, "hot", "cold", "drain")
        warned(it, "board", "marks")
        sell_on(it)
    warned(it)
    sell_on(it)


@case("nginx's directory of pages is full, then gone: every page is answered, without being kept")
def no_room_for_pages(it):
    sales, cache = [it.sale() for _ in range(3)], it.run / "cache"

    def pages():
        for _ in range(5):
            for sale in sales:
                it.ask("GET", sale.path).expect(200)
    with small(cache, "8m"), full(cache):
        warned(it, "page_cache")
        pages()
    shutil.rmtree(cache)
    warned(it, "page_cache")
    pages()
    cache.mkdir(mode=0o700)
    warned(it)
    until(lambda: pages() or any(path.is_file() for path in cache.rglob("*")), 10, "pages are kept again")


@case("no room for nginx's temporary files: a long answer for a slow client comes whole")
def no_room_for_long_answers(it):
    seller, user = it.seller(), it.customer()
    for _ in range(20):
        it.sale(seller, description="\x01" * 2000)  # in JSON six times as long
    with small(it.run / "tmp/fastcgi", "64k") as directory, full(directory), socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 536)  # else nginx's side of a loopback takes it all
        slow.settimeout(20)
        slow.connect(("127.0.0.1", it.port))
        slow.sendall(f"GET {seller.path}/coupons HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     f"Authorization: {user.token}\r\n\r\n".encode())
        it.ask("GET", "/healthz").expect(200)
        answer = b"".join(iter(lambda: slow.recv(2048), b""))
    same(answer.count(b"\\u0001"), 20 * 2000, "characters that came")


@case("there is no room for nginx's sold-out markers: workers answer instead, and it is counted")
def no_room_for_sold_out(it):
    sale, users = it.sale(amount=4, segments=2), it.users(60)
    with small(it.run / "soldout", "64k", nr_inodes=1):
        warned(it, "sold_out_dir")

        def counted():
            for user in users:
                assert sale.claim_compat(user).status < 500
            return metric(it, "sold_out_files_failed_total")
        until(counted, 20, "files fail")
        assert "sold_out_file_failed" in (it.run / "log/hot.log").read_text(), "the log says nothing"
    sale.drained()
    sale.audit()


def programs(it):
    """Processes of this instance's pools, whether they are on record or not."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if str(it.run / "seckill.conf").encode() in words and b"hot" in words:
                found.append(int(path.parent.name))
    return found


@case("a part whose pid cannot be recorded is not left running")
def no_room_for_a_pid(it):
    it.dev("stop", "hot")
    pids = it.run / "pid"
    records = {path.name: path.read_bytes() for path in pids.iterdir()}
    with small(pids, "256k"):
        for name, record in records.items():
            (pids / name).write_bytes(record)
        with full(pids):
            done = it._dev("start", "hot")
            same(done.returncode, 1, f"exit: {done.stdout}{done.stderr}")
            assert "cannot write" in done.stderr and "disk" in done.stderr, done.stderr
            until(lambda: not programs(it), 10, "nothing is left running")
    it.dev("start", "hot")
    sell_on(it)


if __name__ == "__main__":
    on_small_disks()
    main(SECKILL_PASSWORD_COST=1)
