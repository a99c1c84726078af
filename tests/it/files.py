#!/usr/bin/env -S python3 -B
"""What processes share beside the servers: the files of a host, sockets, and standard error, when they are gone, another's,
or not read."""

import contextlib
import fcntl
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess

import fcgi
from harness import BUILD, main
from tap import case, same, until

PIPE = 4096
F_SETPIPE_SZ = 1031


@contextlib.contextmanager
def unread_pipe(is_full):
    """The end to write to of a small pipe that nobody reads; a program that set O_NONBLOCK on it did so for all."""
    reader, writer = os.pipe()
    same(fcntl.fcntl(writer, F_SETPIPE_SZ, PIPE), PIPE, "size of the pipe")
    if is_full:
        os.write(writer, bytes(PIPE))
    yield writer
    same(fcntl.fcntl(writer, fcntl.F_GETFL) & os.O_NONBLOCK, 0, "O_NONBLOCK for everybody")
    os.close(reader)
    os.close(writer)


@contextlib.contextmanager
def program(it, errors, *words, **more):
    """One of our programs with this standard error."""
    process = subprocess.Popen([BUILD / words[0], "-c", it.run / words[1], *words[2:]], stderr=errors, env=it.environment,
                               stdout=subprocess.DEVNULL, **more)
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        same(process.wait(15), 0, "exit")
    finally:
        process.kill()
        process.wait()


def metric(it, name):
    return int(it.ask("GET", "/metrics").expect(200).body.decode().split(f"\n{name} ")[1].split()[0])


def dropped(it):
    return metric(it, "seckill_log_lines_dropped_total")


@case("a log that is not read stops no worker, while Redis is away and every request is logged")
def unread_workers(it):
    sale, user = it.sale(), it.customer()
    before = dropped(it)
    for pool in ("hot", "cold"):
        path = it.run / f"own-{pool}.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
        with unread_pipe(is_full=False) as errors, program(it, errors, "seckill-api", "seckill.conf", "-p", pool, "-s",
                                                           "debug=yes", stdin=listener):
            connection = fcgi.Connection(path, timeout=20)
            assert b"Status: 200" in connection.ask("GET", "/api/time" if pool == "hot" else "/readyz")
            it.dev("stop", "redis", "-9")
            it.redis.close()
            for _ in range(100):
                if pool == "hot":
                    answer = connection.ask("POST", sale.path + "/claims", HTTP_AUTHORIZATION=user.token)
                else:
                    answer = fcgi.Connection(path, timeout=20).ask("GET", "/readyz")
                assert b"Status: 503" in answer, answer
            it.dev("start", "redis")
        listener.close()
        now = until(lambda: dropped(it), 10, "the metric")
        assert now > before, f"{now} lines were dropped, {before} before"
        before = now
    until(lambda: sale.claim(user).status in (200, 201), 10, "the sale goes on")


@case("a log that is not read stops no drainer")
def unread_drainer(it):
    it.dev("stop", "drain")
    with unread_pipe(is_full=True) as errors, program(it, errors, "seckill-orderd", "drain.conf"):
        sale = it.sale(amount=5)
        sale.win(it.customer())
        sale.drained(20)
    it.dev("start", "drain")
    assert dropped(it), "nothing was counted"


@case("a log that is not read stops no command of an operator")
def unread_ctl(it):
    with unread_pipe(is_full=True) as errors:
        done = subprocess.run([BUILD / "seckillctl", "-c", it.run / "seckill.conf", "-s", f"redis=unix:{it.run}/none", "check"],
                              stderr=errors, stdout=subprocess.DEVNULL, timeout=30)
        same(done.returncode, 2, "exit: Redis is away")


@case("an operator's commands never make the service's files; the service does, at its start")
def never_made(it):
    files = [it.run / "board", it.run / "marks"]
    it.dev("stop", "hot", "cold", "drain")
    for file in files:
        file.unlink()
    for words in (["status"], ["check"], ["audit"], ["token", "--count", 2, "--prefix", it.name("t")], ["dead", "list"],
                  ["recover", "--all"]):
        it.ctl(*words)
        same([file.exists() for file in files], [False, False], f"files made by {words[0]}")
    done = it.ctl("status")
    same(done.returncode, 0, "exit of status")
    assert "no counters of this host" in done.stderr, done
    done = it.ctl("check")
    same((done.returncode, done.stdout.count("not there yet")), (0, 2), f"check: {done}")
    it.dev("start", "hot", "cold", "drain")
    same(it.ask("GET", "/readyz").expect(200).json["warnings"], [], "warnings")
    same([file.exists() for file in files], [True, True], "files made by the service")


@case("files that the service cannot use are named by /readyz and check, and are left alone; it sells all the same")
def unusable(it):
    it.dev("stop", "hot", "cold", "drain")
    (it.run / "board").unlink()
    (it.run / "board").mkdir()
    (it.run / "marks").write_text("not ours")
    it.dev("start", "hot", "cold", "drain")
    warnings = it.ask("GET", "/readyz").expect(200).json["warnings"]
    same([warning.split(":")[0] for warning in warnings], ["board", "marks"], "warnings")
    done = it.ctl("check")
    same(done.returncode, 1, "exit of check")
    for path in ("board", "marks"):
        assert f"{it.run}/{path}: " in done.stdout, done.stdout
    sale = it.sale(amount=4)
    outcomes = sale.rush(it.users(8))
    sale.prove(outcomes)
    same((it.run / "marks").read_text(), "not ours", "the file")
    it.dev("stop", "hot", "cold", "drain")
    (it.run / "board").rmdir()
    (it.run / "marks").unlink()
    it.dev("start", "hot", "cold", "drain")
    same(it.ask("GET", "/readyz").expect(200).json["warnings"], [], "warnings")
    (it.run / "marks").unlink()
    warning, = it.ask("GET", "/readyz").expect(200).json["warnings"]
    assert "removed" in warning, warning
    it.dev("stop", "hot", "cold", "drain")
    it.dev("start", "hot", "cold", "drain")


@case("files of the wrong owner: check run by root says so")
def wrong_owner(it):
    if os.getuid() != 0:
        return  # nobody else can make a file that is another's
    folder = it.run / "theirs"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    for name in ("board", "marks"):
        (folder / name).write_bytes((it.run / name).read_bytes())
    done = it.ctl("-s", f"board={folder}/board", "-s", f"marks={folder}/marks", "check")
    same((done.returncode, done.stdout.count("owner")), (1, 4), f"check: {done.stdout}")


MARKS = 1 << 18  # places


def marked(it, sale):
    """The segments of a sale that have a mark, and the highest number that is known of each."""
    words = struct.unpack(f"<{2 * MARKS}Q", (it.run / "marks").read_bytes()[:16 * MARKS])
    places = dict(zip(words[::2], words[1::2]))
    keys = {segment: sale.id * 256 + segment for segment in range(sale.segments)}
    return {segment: places[key] & ((1 << 54) - 1) for segment, key in keys.items() if key in places}


def highest(orders):
    numbers = {}
    for order in orders:
        _, segment, number = map(int, order.split("-"))
        numbers[segment] = max(number, numbers.get(segment, 0))
    return numbers


@case("high-water table: a segment has an entry from its first order on, and frees it when the sale is over and its orders are in MySQL")
def marks(it):
    sold_out, ended, running = (it.sale(amount=amount, segments=4) for amount in (6, 20, 20))
    it.dev("stop", "redis")
    it.dev("start", "redis")  # every slot of every sale is looked at
    it.redis.close()
    until(lambda: sold_out.claim(it.customer()).status == 201, 15, "a sale goes on")
    same([len(marked(it, sale)) for sale in (sold_out, ended, running)], [1, 0, 0], "segments with a mark")
    orders = {sale: [sale.win(user) for user in it.users(5)] for sale in (sold_out, ended, running)}
    for sale in orders:
        numbers = marked(it, sale)
        same(numbers | highest(orders[sale]), numbers, f"the highest numbers of {sale.title}")
    for sale in orders:
        sale.drained()
    it.sql(f"UPDATE coupons SET starts_at_ms = 1, ends_at_ms = 2 WHERE id = {ended.id}")
    used = metric(it, "seckill_marks_used")
    it.dev("stop", "drain")
    it.dev("start", "drain")  # a drainer begins with a look at all marks
    until(lambda: not marked(it, sold_out) and not marked(it, ended), 15, "places are given back")
    same(marked(it, running), highest(orders[running]), "marks of the sale that goes on")
    assert metric(it, "seckill_marks_used") < used, "the gauge does not fall"


def insist(sale, user):
    return until(lambda: sale.claim(user).json.get("order"), 15, "an order")


def fill_marks(it):
    """Every place is taken by a segment that does not exist."""
    with open(it.run / "marks", "r+b") as file, mmap.mmap(file.fileno(), 16 * MARKS) as places:
        words = memoryview(places).cast("Q")
        for i in range(MARKS):
            if words[2 * i] < 2:
                words[2 * i + 1], words[2 * i] = 1, (i << 46 | 1) * pow(0x9e3779b97f4a7c15, -1, 1 << 64) % (1 << 64)
        words.release()


@case("the high-water table is full: /readyz warns, sales go on, and the drainers free entries of sales that are over")
def full_marks(it):
    sale = it.sale(amount=100, segments=2)
    it.dev("stop", "drain")
    fill_marks(it)
    warnings = it.ask("GET", "/readyz").expect(200).json["warnings"]
    assert any(w.startswith(f"marks: {MARKS} of {MARKS} places are taken") for w in warnings), warnings
    same(metric(it, "seckill_marks_used"), MARKS, "the gauge")
    for user in it.users(6):
        sale.win(user)
    same((marked(it, sale), metric(it, "seckill_marks_refused_total")), ({}, 6), "marks, and what found no place")
    it.dev("start", "drain")
    until(lambda: metric(it, "seckill_marks_used") < MARKS // 4, 120, "room is made", every=0.2)
    same(it.ask("GET", "/readyz").expect(200).json["warnings"], [], "warnings")
    until(lambda: sale.win(it.customer()) and marked(it, sale), 15, "a segment has a mark again", every=0.3)


@case("the high-water table is full and Redis is rolled back: no number is given twice, and MySQL has one row for each")
def rollback_without_marks(it):
    sale, redis = it.sale(amount=60, segments=2), it.run / "data/redis"
    it.dev("stop", "drain")
    copy = shutil.copytree(redis, it.run / "tmp/redis-of-before")
    fill_marks(it)
    users = it.users(24)
    lost = {user: insist(sale, user) for user in users[:8]}
    it.dev("stop", "redis", "-9")
    it.redis.close()
    shutil.rmtree(redis)
    shutil.copytree(copy, redis)
    it.dev("start", "redis")
    warnings = it.ask("GET", "/readyz").expect(200).json["warnings"]
    assert any(w.startswith(f"marks: {MARKS} of {MARKS} places are taken") for w in warnings), warnings
    it.dev("start", "drain")
    won = {user: insist(sale, user) for user in users}
    same(set(won.values()) & set(lost.values()), set(), "numbers that were given twice")
    same(len(set(won.values())), len(users), "numbers")
    sale.drained()
    same(sorted(sale.rows()), sorted(won.values()), "orders in MySQL")
    sale.audit()
    until(lambda: metric(it, "seckill_marks_used") < MARKS // 4, 120, "room is made", every=0.2)


@case("a part whose socket was removed: status says so, start repairs it, and orders are where they were")
def lost_sockets(it):
    sale, user = it.sale(), it.customer()
    order = sale.win(user)
    for part in ("hot", "cold", "redis", "mysql"):
        (it.run / f"{part}.sock").unlink()
        status = it._dev("status")
        line = next(line for line in status.stdout.splitlines() if line.startswith(part + " "))
        assert "socket" in line and f"start {part}" in line, line
        assert status.returncode, "status says that all is well"
        it.dev("start", part)
        same([line for line in it._dev("status").stdout.splitlines() if "socket" in line], [], "status")
    it.redis.close()
    answer = until(lambda: (a := sale.claim(user)).status < 500 and a, 20, "the sale goes on")
    same(answer.expect(200).json["order"], order, "the order")
    sale.drained()
    sale.audit()


if __name__ == "__main__":
    main(SECKILL_PASSWORD_COST=1, SECKILL_REDIS_TIMEOUT_MS=500)
