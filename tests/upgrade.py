#!/usr/bin/env -S python3 -B
"""Earlier versions, built from this repository's history, are started, sell, and are upgraded in place by `./dev up`.

Customers claim all the time, also while the programs are replaced; six hundred orders wait on lists. Whatever a customer
was told stays true, every order reaches MySQL, every sale goes on, and the audit balances. Needs git and the history (a
full clone). Takes some minutes; ./dev soak runs it.
"""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import threading

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "it"))

import harness  # noqa: E402
from client import LOST, Client  # noqa: E402
from nodes import Cluster  # noqa: E402
from tap import case, comment, need_all, run_cases, same, until  # noqa: E402

NEW, NEW_BUILD = harness.SOURCE, harness.BUILD
VERSIONS = {"c034750": None, "3600dfe": None, "0375a1f": 78, "165c73a": 78}  # each of another layout or schema; how its drainer ends
THIS_LAYOUT = {"165c73a"}  # only the schema is another


def build(version):
    """The tree of a version, built: unpacked below the build directory and kept there."""
    tree = NEW_BUILD / "earlier" / version
    if not (tree / "build/seckill-api").exists():
        tree.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "-C", NEW, "archive", version], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
        environment = {k: v for k, v in os.environ.items() if k not in ("SECKILL_BUILD", "MAKEFLAGS", "MAKELEVEL")}
        done = subprocess.run([tree / "dev", "build"], env=environment | {"SECKILL_NO_INSTALL": "1"}, capture_output=True,
                              text=True, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return tree


class Customers:
    """Each claims again and again, on a connection of its own; what a customer is told must never change."""

    def __init__(self, sale, users):
        self.sale, self.told, self.wrong, self.stop = sale, {}, [], threading.Event()
        self.answers = 0
        self.users, self.lock = iter(users), threading.Lock()
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(8)]
        for thread in self.threads:
            thread.start()

    def _work(self):
        client, mine = Client(self.sale.instance.port), []
        while not self.stop.wait(0.02):
            with self.lock:
                user = next(self.users, None)
            mine += [user] if user else []
            for one in mine[-3:]:
                try:
                    answer = self.sale.claim(one, client)
                except LOST:
                    continue
                if answer.status in (200, 201):
                    number = answer.json["order"]
                    self.answers += 1
                    if self.told.setdefault(one, number) != number:
                        self.wrong.append((one, self.told[one], number))
        client.close()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)


def upgrade(it):
    """What a user of the new version types, beside servers of the old one that run."""
    done = subprocess.run([NEW / "dev", "up"], env=it.environment, capture_output=True, text=True, timeout=300,
                          stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    comment(done.stdout)


def refuses(it, tree):
    """A hot worker of the old version, which asks no MySQL: it names the layout that Redis has."""
    words = [tree / "build/seckill-api", "-c", it.run / "tmp/old-hot.conf", "-p", "hot"]
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(it.run / "tmp/old.sock"))
        listening.listen()
        done = subprocess.run(words, stdin=listening, env=it.environment, capture_output=True, text=True, timeout=20)
    assert done.returncode == 78 and "layout 2" in done.stderr, f"an old worker: {done}"


def is_open(it, sale):
    fences = [it.redis("HGET", key, "fence") for key in (sale.key("hub"), *(sale.key("s", i) for i in range(sale.segments)))]
    return all(re.fullmatch("2:[0-9]+@[0-9a-f]+", fence) for fence in fences)


def left_over(it, sale, users, tree, code):
    """A drainer of the old version that somebody has forgotten to stop, or starts again, touches no list."""
    until(lambda: is_open(it, sale), 30, "every slot is up to date")
    it.dev("stop", "drain")
    told = {user: sale.win(user) for user in users}
    queued = sale.queued()
    words = [tree / "build/seckill-orderd", "-c", it.run / "tmp/old.conf"]
    with subprocess.Popen(words, env=it.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as drainer:
        try:
            same(drainer.wait(5), code, "exit of an old drainer")
        except subprocess.TimeoutExpired:
            same(None, code, "an old drainer goes on, but")
            drainer.terminate()
        said = drainer.stderr.read()
    for word in ("version",) if code else ("next_seq",):
        assert word in said, f"an old drainer says: {said}"
    if code and tree.name not in THIS_LAYOUT:
        refuses(it, tree)
    assert sale.queued() >= queued, f"an old drainer takes orders off their lists: {queued}, then {sale.queued()}"
    it.dev("start", "drain")
    return told


def on(nodes):
    return {"SECKILL_REDIS": nodes.setting(), "SECKILL_REDIS_USER": "", "SECKILL_REDIS_PASSWORD_FILE": "",
            "SECKILL_REDIS_TIMEOUT_MS": 1000}


def goes_on(version, nodes=None):
    """nodes: a cluster, in place of the instance's Redis."""
    harness.SOURCE = build(version)
    it = harness.Instance(SECKILL_PASSWORD_COST=1, SECKILL_NO_INSTALL=1, **(on(nodes) if nodes else {}))
    it.environment["SECKILL_BUILD"] = str(harness.SOURCE / "build")
    try:
        it.start()
        it.redis = nodes or it.redis
        harness.BUILD = harness.SOURCE / "build"
        it.environment["SECKILL_PORT"] = str(it.port)
        seller, users = it.seller(), it.users(1600)
        sale = it.sale(seller, amount=1500, segments=8)
        it.dev("stop", "drain")
        told = {user: sale.win(user) for user in users[:600]}
        same(sale.queued(), 600, "orders on the lists")
        shutil.copy(it.run / ("drain.conf" if version != "c034750" else "seckill.conf"), it.run / "tmp/old.conf")
        shutil.copy(it.run / "seckill.conf", it.run / "tmp/old-hot.conf")
        customers = Customers(sale, users[600:1400])
        until(lambda: len(customers.told) > 50, 30, "customers claim")
        harness.SOURCE, harness.BUILD = NEW, NEW_BUILD
        it.environment["SECKILL_BUILD"] = str(NEW_BUILD)
        upgrade(it)
        it.client.close()
        if not nodes:
            it.redis.file = None  # that server has ended
        before, answers = len(customers.told), customers.answers
        told |= left_over(it, sale, users[1400:1430], build(version), VERSIONS[version])
        until(lambda: customers.answers > answers + 20, 30, "customers are answered after the upgrade")
        customers.end()
        same(customers.wrong, [], "customers who were told one number, then another")
        told |= customers.told
        same(len(set(told.values())), len(told), "different numbers")
        for user, number in told.items():
            same(sale.claim(user).expect(200).json["order"], number, f"the order of {user}")
        sale.drained(60)
        same({number: user.id for user, number in told.items()}, sale.rows(), "rows")
        same(it.ask("GET", "/readyz").expect(200).json["closed"], [], "closed sales")
        done = it.ctl("audit")
        same(done.returncode, 0, f"exit of the audit: {done.stdout}")
        comment(f"{version}: {len(told)} orders, {before} of them told before the new version ran")
        upgrade(it)  # a second time changes nothing
    except Exception:
        it.print_logs()
        raise
    finally:
        it.remove()


def version_case(version):
    @case(f"{version} under load, with 600 orders on lists: ./dev up of this version, nothing is lost")
    def _():
        goes_on(version)


for _version in VERSIONS:
    version_case(_version)


@case("0375a1f on a cluster, the same")
def on_a_cluster():
    with Cluster() as nodes:
        try:
            goes_on("0375a1f", nodes)
        except Exception:
            nodes.print_logs()
            raise


if __name__ == "__main__":
    need_all("git", "tar")
    sys.exit(1 if run_cases() else 0)
