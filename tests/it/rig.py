#!/usr/bin/env -S python3 -B
"""The stock engine on the rig (rig.h): thousands of sales on a private Redis, each of which is checked.

Environment: top_srcdir, top_builddir; SEED repeats a run; SECKILL_SOAK=1: ten thousand sales instead of hundreds.
"""

import json
import os
import pathlib
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from tap import case, comment, every, need_all, run_cases, same, until

SOURCE = pathlib.Path(os.environ.get("top_srcdir") or pathlib.Path(__file__).parents[2])
BUILD = pathlib.Path(os.environ.get("top_builddir") or SOURCE / "build")
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
SOAK = os.environ.get("SECKILL_SOAK") == "1"
MANY = 20 if SOAK else 1  # so many times more runs
SLOW = 3 if SOAK else 1  # for sales that open again, which takes a second: sold-out notices must expire
# PATIENCE_MS of claim.h, once to wait for stock and once for the refill that it joined; and a second for a busy machine.
SLOWEST_MS = 2 * 250 + 1000


class Server:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="seckill-rig-", dir="/tmp")
        self.path = self.folder + "/sock"
        self.process = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", self.path, "--dir", self.folder,
                                         "--save", "", "--logfile", self.folder + "/log"])

    def ready(self):
        def answers():
            with socket.socket(socket.AF_UNIX) as s:
                return s.connect_ex(self.path) == 0
        until(answers, 10, "redis-server")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        shutil.rmtree(self.folder, ignore_errors=True)


def side_by_side(work, rows):
    """Calls work(server, *row) for every row, each with a Redis of its own: for sales that mostly wait."""
    def alone(row):
        server = Server()
        try:
            server.ready()
            work(server, *row)
        finally:
            server.stop()
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(alone, row) for row in rows]:
            done.result()


def rig(server, runs, seed=SEED, **options):
    """Makes so many sales; anything wrong with one of them fails the case."""
    words = [str(BUILD / "tests/it/rig"), "--redis", f"unix:{server.path}", "--runs", str(runs), "--seed", str(seed)]
    for name, value in options.items():
        words += ["--" + name, str(value)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr[-3000:]}"
    report = json.loads(done.stdout)
    assert report["slowest_ms"] < SLOWEST_MS, f"a claim took {report['slowest_ms']} ms"
    return report


def seldom_busy(report, one_in):
    """A claim was answered "busy" and repeated. When a busy machine stands still for a claim's patience, a whole crowd does so."""
    asked = report["won"] + report["refused"] + report["repeated"]
    assert report["busy"] <= asked / one_in + 30, f"{report['busy']} of {asked} busy"


def tell(report):
    comment(f"{report['runs']} sales: {report['won']} won, {report['refused']} refused, {report['busy']} busy, "
            f"the slowest claim {report['slowest_ms']} ms, {scripts(report):.3f} scripts a winning claim")


def scripts(report):
    return sum(report[kind] for kind in ("claim", "exchange", "debit", "flag")) / report["won"]


@case("100 customers at once on 100 units in 10 segments, again and again: 100 sold, nobody refused")
def experiment(server):
    runs = 500 * MANY
    report = rig(server, runs, late=1)
    tell(report)
    # the 101st customer is the only one who is refused, as often as he asks
    same((report["won"], report["late_won"], report["refused"]), (100 * runs, 0, 2 * runs), "won, won late, refused")
    seldom_busy(report, 1000)


HARD = (
    # units, segments, customers, further options
    ("all customers live in one segment", 100, 10, 100, {"homes": "one"}),
    ("the same, and they are more than units", 60, 10, 90, {"homes": "one", "late": 2}),
    ("fewer units than segments", 5, 64, 20, {"late": 2}),
    ("one unit, many segments", 1, 64, 16, {"late": 2}),
    ("one segment", 50, 1, 60, {"late": 2}),
    ("256 segments", 300, 256, 320, {"late": 2}),
    ("256 segments, a unit for everyone", 300, 256, 300, {}),
    ("two processes in two segments pull the last unit to and fro", 1, 2, 2, {"homes": "each", "late": 2}),
    ("eight processes in eight segments pull at two units", 2, 8, 8, {"homes": "each", "processes": 8, "late": 8}),
)


def hard(server, name, units, segments, customers, options):
    runs = (8 if segments >= 256 else 25) * MANY
    report = rig(server, runs, units=units, segments=segments, customers=customers, **options)
    comment(name)
    tell(report)
    same(report["won"], units * runs, "won")
    seldom_busy(report, 10)


@case("stock is far away or scarce: every unit is won, by as many customers")
def hard_cases(server):
    every(HARD, lambda *row: hard(server, *row))


PARTS = 3  # of the sales of one kind, each with its own seed


@case("an order is cancelled while the hub decides: its unit is sold, and to one customer")
def cancelled(_):
    def sell(server, units, segments, part):
        runs = 30 // PARTS * SLOW
        report = rig(server, runs, SEED + part, units=units, segments=segments, customers=units + 20, cancel=1, late=2)
        tell(report)
        same(report["won"], (units + 1) * runs, "won")
    side_by_side(sell, [(*sale, part) for sale in ((1, 2), (20, 10), (100, 10)) for part in range(PARTS)])


@case("units are added to a sold-out sale: in every process the first claim after the acknowledgement wins")
def added(_):
    def sell(server, processes, part):
        runs = 21 // PARTS * SLOW
        report = rig(server, runs, SEED + part, customers=110, add=processes, late=processes, processes=processes)
        tell(report)
        same((report["late_won"], report["won"]), (processes * runs, (100 + processes) * runs), "won late, won")
    side_by_side(sell, [(processes, part) for processes in (2, 5) for part in range(PARTS)])


def simulated(*words):
    done = subprocess.run([BUILD / "tests/model/simulate", *map(str, words)], capture_output=True, text=True, check=True)
    return float(done.stdout)


def cost(server, units, segments, limit, concurrency, processes):
    runs = (60 if units == 100 else 1) * MANY
    report = rig(server, runs, units=units, segments=segments, customers=units, processes=processes,
                 concurrency=concurrency // processes)
    measured, expected = scripts(report), simulated(units, segments, concurrency, processes)
    comment(f"{units} units, {segments} segments, {concurrency} claims at a time from {processes}: {measured:.3f} scripts "
            f"a winning claim: claim {report['claim'] / report['won']:.3f}, exchange "
            f"{report['exchange'] / report['won']:.3f}, debit {report['debit'] / report['won']:.3f}; simulated {expected:.3f}")
    assert measured < limit, f"{measured:.3f} scripts a winning claim, not below {limit}"
    assert abs(measured - expected) < 0.05 * expected, f"measured {measured:.3f}, simulated {expected:.3f}"


@case("to the last unit, a winning claim costs less than 1.7 scripts of 100 units, less than 1.2 of 10,000, as simulated")
def costs(server):
    every([(units, segments, limit, concurrency, processes)
           for units, segments, limit in ((100, 10, 1.7), (10000, 64, 1.2))
           for concurrency, processes in ((1, 1), (8, 1), (8, 2), (64, 1), (64, 2))],
          lambda *row: cost(server, *row))


@case("losers cost one script each, and two at the last moment")
def losers(server):
    report = rig(server, 20 * MANY, customers=400, concurrency=32)
    each = (scripts(report) - 1.7) * 100 / 300
    comment(f"{scripts(report):.2f} scripts a winning claim in all; beyond 1.7 of them, {each:.2f} a loser; flags "
            f"{report['flag'] / report['runs']:.0f} a sale")
    assert each < 1.6, each


def main():
    need_all("redis-server")
    comment(f"SEED={SEED}")
    server = Server()
    try:
        server.ready()
        return run_cases(server)
    finally:
        server.stop()


if __name__ == "__main__":
    sys.exit(main())
