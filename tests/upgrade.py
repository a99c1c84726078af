#!/usr/bin/env -S python3 -B
"""Earlier versions, built from this repository's history, are started, sell, and are upgraded in place by `./dev up`.

Customers claim all the time, also while the programs are replaced; six hundred orders wait on lists. Whatever a customer
was told stays true, every order reaches MySQL, every sale goes on, and the audit balances. Needs git and the history (a
full clone). Takes some minutes; ./dev soak runs it.
"""

import os
import pathlib
import subprocess
import sys
import threading

sys.path.append(str(pathlib.Path(__file__).resolve().parent / "it"))

import harness  # noqa: E402
from client import LOST, Client  # noqa: E402
from tap import case, comment, need_all, run_cases, same, until  # noqa: E402

NEW, NEW_BUILD = harness.SOURCE, harness.BUILD
VERSIONS = ("c034750", "3600dfe")  # each of another layout, or schema


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


def goes_on(version):
    harness.SOURCE = build(version)
    it = harness.Instance(SECKILL_PASSWORD_COST=1, SECKILL_NO_INSTALL=1)
    it.environment["SECKILL_BUILD"] = str(harness.SOURCE / "build")
    try:
        it.start()
        harness.BUILD = harness.SOURCE / "build"
        it.environment["SECKILL_PORT"] = str(it.port)
        seller, users = it.seller(), it.users(1600)
        sale = it.sale(seller, amount=1500, segments=8)
        it.dev("stop", "drain")
        told = {user: sale.win(user) for user in users[:600]}
        same(sale.queued(), 600, "orders on the lists")
        customers = Customers(sale, users[600:1400])
        until(lambda: len(customers.told) > 50, 30, "customers claim")
        harness.SOURCE, harness.BUILD = NEW, NEW_BUILD
        it.environment["SECKILL_BUILD"] = str(NEW_BUILD)
        upgrade(it)
        it.client.close()
        it.redis.file = None  # that server has ended
        before = len(customers.told)
        until(lambda: len(customers.told) > before + 20, 30, "customers claim after the upgrade")
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


if __name__ == "__main__":
    need_all("git", "tar")
    sys.exit(1 if run_cases() else 0)
