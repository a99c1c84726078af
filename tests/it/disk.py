#!/usr/bin/env -S python3 -B
"""A disk is full: MySQL's, and Redis's. Nothing acknowledged is lost, and all goes on when there is room.

The disks are small file systems in memory, mounted where nobody but this test and its processes sees them: the file runs
itself again in a mount namespace (and in a user namespace, where it is not root's). They are gone with the last process.
"""

import contextlib
import os
import shutil
import subprocess
import sys

from harness import main
from storm import steady
from tap import Skip, case, same, until

SMALL = {"mysql": "96m", "redis": "8m"}


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


@case("Redis's disk is full: it ends itself, acknowledges nothing that it cannot keep, and with room knows all that it did")
def redis_full(it):
    data = move(it, "redis")
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


if __name__ == "__main__":
    on_small_disks()
    main(SECKILL_PASSWORD_COST=1)
