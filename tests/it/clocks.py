#!/usr/bin/env -S python3 -B
"""Clocks are set back and forward, and differ: nobody is refused for it, or shown what is not so any more.

Every program but MariaDB has a wall clock that can be set while it runs (wall_clock.c): those of the host (nginx, the
workers, the drainers) have one, Redis has another one. The monotonic clock is the real one.
"""

import contextlib
import os
import pathlib
import shutil
import struct
import tempfile
import threading
import time

from harness import BUILD, main
from losers import by_nginx, crowd, sold_out
from tap import bail_out, case, pause, same, until

LIBRARY = BUILD / "tests/it/wall_clock.so"
HOST, REDIS = "host", "redis"
PROGRAMS = {"nginx": HOST, "spawn-fcgi": HOST, "multiwatch": HOST, "redis-server": REDIS}


class Clocks:
    """Wrappers that come first in PATH and start the real programs with a clock that can be set."""

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="skclock", dir="/tmp"))
        self.ahead = {HOST: 0, REDIS: 0}  # seconds
        self.step(0)
        for program, clock in PROGRAMS.items():
            self._wrap(program, clock)

    def _wrap(self, program, clock):
        real = shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
        if not real:
            bail_out(f"there is no {program}")
        wrapper = self.directory / program
        wrapper.write_text(f'#!/bin/sh\nLD_PRELOAD={LIBRARY} WALL_CLOCK={self.directory / clock} exec {real} "$@"\n')
        wrapper.chmod(0o755)

    def step(self, seconds, *clocks):
        for clock in clocks or self.ahead:
            self.ahead[clock] += seconds
            file = self.directory / clock
            with open(file, "r+b" if file.exists() else "wb") as f:  # in place: it is mapped
                f.write(struct.pack("=q", self.ahead[clock] * 1000))

    @contextlib.contextmanager
    def stepped(self, seconds, *clocks):
        """Steps the clocks now, and back at the end."""
        self.step(seconds, *clocks)
        try:
            yield
        finally:
            self.step(-seconds, *clocks)
            pause(0.5, "all processes notice, before the next case")

    def now(self, clock=HOST):
        return time.time() + self.ahead[clock]


CLOCKS = None


def add(it, sale, units):
    return it.new_client().ask("PATCH", sale.path + "/stock", sale.seller, {"add": units})


def spread(seconds, count):
    """Yields so many times, evenly spread over so many seconds."""
    began = time.monotonic()
    for i in range(count):
        pause(max(0, began + i * seconds / count - time.monotonic()), "the pace")
        yield i


def by_nginx_alone(it, sale, losers):
    crowd(sale, losers, sale.claim_compat)
    until(lambda: by_nginx(it, sale, losers[0]), 5, "nginx answers alone")


def nobody_is_refused(sale, users, seconds):
    """From now on, whoever comes."""
    clients = sale.instance.new_client, sale.instance.new_client
    refused = []
    began = time.monotonic()
    for i in spread(seconds, len(users)):
        answer = sale.claim_compat(users[i], clients[i % 2]())
        if answer.status != 201:
            refused.append((round(time.monotonic() - began, 2), answer.status, answer.code))
    same(refused, [], "answers besides 201, and when")


@case("sold out, the clock is set back, units are added: later customers get them, also when the same times are reached again")
def sold_out_before(it):
    for seconds in (-3, -6):
        sale, _, losers = sold_out(it, losers=100)
        by_nginx_alone(it, sale, losers)
        with CLOCKS.stepped(seconds):
            add(it, sale, 90).expect(200)
            nobody_is_refused(sale, losers[:80], -seconds + 1.5)


@case("a worker with a sold-out notice stands still, the clock is set back, and another host adds units: nobody is refused")
def left_behind(it):
    sale, _, losers = sold_out(it, amount=100, losers=10, segments=1)
    fresh = it.sale(seller=sale.seller, amount=100)
    by_nginx_alone(it, sale, losers)
    for quarter in range(4 * int(CLOCKS.now()), 4 * int(CLOCKS.now()) + 7):  # what its word was, of a sale that is open
        left = it.run / "soldout" / f"{quarter // 4}.{quarter % 4 * 25:02}" / sale.seller.name / fresh.name
        left.parent.mkdir(parents=True, exist_ok=True)
        left.touch()
    with CLOCKS.stepped(-2):
        until(lambda: not any(fresh.name in files for _, _, files in os.walk(it.run / "soldout")), 1, "they are removed")
        nobody_is_refused(fresh, it.users(50), 3.5)


@case("the clock is set back: a coupon's page is current, not the one that was kept for that time")
def pages(it):
    sale, users = it.sale(amount=30), it.users(20)

    def read():
        return it.ask("GET", sale.path).expect(200).json["left"]
    for _ in spread(2.5, 100):
        same(read(), 30, "left")
    with CLOCKS.stepped(-2):
        for user in users:
            sale.win(user)
        pause(0.6, "pages that nginx kept expire, and workers notice")
        same({read() for _ in spread(2.5, 100)}, {10}, "left")
    until(lambda: not (it.run / "soldout/set-back").exists(), 5, "pages are kept again")


@case("Redis's clock is set while a sale opens again: units are sold once all sold-out notices have expired, not before")
def opens_again(it):
    for seconds in (-30, +30):
        sale, _, losers = sold_out(it, losers=40)
        crowd(sale, losers[:20])
        answers = {}
        seller = threading.Thread(target=lambda: answers.update(seller=add(it, sale, 20)))
        epoch = it.redis("HGET", sale.key("hub"), "epoch")
        seller.start()
        until(lambda: it.redis("HGET", sale.key("hub"), "epoch") != epoch, 5, "the hub knows of the units")
        began = time.monotonic()
        with CLOCKS.stepped(seconds, REDIS):
            while time.monotonic() < began + 0.4:
                answer = sale.claim(losers[-1], it.new_client())
                assert answer.status != 201 or time.monotonic() > began + 0.55, f"won at {time.monotonic() - began:.2f} s"
            seller.join()
            answers["seller"].expect(200)
            for user in losers[-20:]:
                assert sale.claim(user, it.new_client()).status in (200, 201), "a unit is left"


@case("a drainer is killed while it holds a lease and Redis's clock is set back: orders do not wait for the old end of the lease")
def drain_lease(it):
    sale, user = it.sale(), it.customer()
    with CLOCKS.stepped(-3600, REDIS):
        it.redis("SET", sale.key("l"), "a drainer that is gone", "PX", 3600_000)
        sale.win(user)
        sale.drained(10)


@case("a customer who logged in before the clock was set back stays logged in")
def tokens(it):
    user = it.account(it.name("early"), "customer")
    sale = it.sale()
    with CLOCKS.stepped(-600, HOST):
        it.ask("GET", user.path + "/orders", user).expect(200)
        sale.claim(user).expect(201)


@case("a host's clock is ahead of Redis's: sales are created, sell and drain, and metrics stay in bounds")
def ahead(it):
    with CLOCKS.stepped(600, HOST):
        ends = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(CLOCKS.now(REDIS) + 300))
        sale = it.sale(ends_at=ends, seller=it.seller())
        sale.win(it.customer())
        sale.drained()
        crowd(sale, it.users(5))
    with CLOCKS.stepped(-600, HOST):
        sale = it.sale()
        sale.win(it.customer())
        sale.drained()
        text = it.ask("GET", "/metrics").expect(200).body.decode()
        ages = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("seckill_drain_oldest")]
        assert ages and all(0 <= age < 1e6 for age in ages), ages


if __name__ == "__main__":
    CLOCKS = Clocks()
    try:
        main(SECKILL_PASSWORD_COST=1, PATH=f"{CLOCKS.directory}:{os.environ['PATH']}")
    finally:
        shutil.rmtree(CLOCKS.directory, ignore_errors=True)
