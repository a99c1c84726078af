"""The stock engine on the rig (rig.h): thousands of sales straight against a Redis of this test, every one of them checked.

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

from tap import case, comment, every, need_all, run_cases, same, until

SOURCE = pathlib.Path(os.environ.get("top_srcdir") or pathlib.Path(__file__).parents[2])
BUILD = pathlib.Path(os.environ.get("top_builddir") or SOURCE / "build")
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9))
SOAK = os.environ.get("SECKILL_SOAK") == "1"
MANY = 20 if SOAK else 1  # so many times more runs
SLOW = 3 if SOAK else 1  # of sales that open again, which lasts a second: workers must forget that they were sold out
# claim.h's PATIENCE_MS, once to wait for stock and once for the refill it joined; and a machine with other things to do.
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


def rig(server, runs, **options):
    """Sells so many times; what is wrong with any of these sales fails the case."""
    words = [str(BUILD / "tests/it/rig"), "--redis", f"unix:{server.path}", "--runs", str(runs), "--seed", str(SEED)]
    for name, value in options.items():
        words += ["--" + name, str(value)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3000)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stdout}{done.stderr[-3000:]}"
    report = json.loads(done.stdout)
    assert report["slowest_ms"] < SLOWEST_MS, f"a claim took {report['slowest_ms']} ms"
    return report


def seldom_busy(report, one_in):
    """Nothing was decided and the customer asked again: a whole crowd does when a machine that is busy with other things
    stood still for a claim's patience."""
    asked = report["won"] + report["refused"] + report["repeated"]
    assert report["busy"] <= asked / one_in + 30, f"{report['busy']} of {asked} busy"


def tell(report):
    comment(f"{report['runs']} sales: {report['won']} won, {report['refused']} refused, {report['busy']} busy, "
            f"the slowest claim {report['slowest_ms']} ms, {scripts(report):.3f} scripts a winning claim")


def scripts(report):
    return sum(report[kind] for kind in ("claim", "exchange", "debit", "flag")) / report["won"]


@case("the ancestor's experiment, over and over: 100 customers at once, 100 units, 10 segments: 100 sold, nobody refused")
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


@case("where stock is far away or hardly there: exactly the units are won, by as many customers")
def hard_cases(server):
    every(HARD, lambda *row: hard(server, *row))


@case("an order is cancelled while the hub decides: its unit is sold, and to one customer")
def cancelled(server):
    for units, segments in ((1, 2), (20, 10), (100, 10)):
        runs = 30 * SLOW
        report = rig(server, runs, units=units, segments=segments, customers=units + 20, cancel=1, late=2)
        tell(report)
        same(report["won"], (units + 1) * runs, "won")


@case("units are added to a sold-out sale: in every process the first claim after the acknowledgement wins")
def added(server):
    for processes in (2, 5):
        runs = 20 * SLOW
        report = rig(server, runs, customers=110, add=processes, late=processes, processes=processes)
        tell(report)
        same((report["late_won"], report["won"]), (processes * runs, (100 + processes) * runs), "won late, won")


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


@case("losers cost little: three of four customers are refused by a script each, and those of the last moment by two")
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
