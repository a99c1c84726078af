#!/usr/bin/env -S python3 -B
"""The benchmark counts right: a short run balances, and an order that is lost or invented fails it. No speed is judged.

Without the packages of [bench] the peer is left out.
"""

import argparse
import pathlib
import sys

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "load"))

import bench_cases  # noqa: E402
import books  # noqa: E402
import report  # noqa: E402
from bench_run import Bench  # noqa: E402
from harness import main  # noqa: E402
from tap import case, need_all, same  # noqa: E402

CASES = ["hello", "won", "peer_won", "sold_out", "patch_sold_out"]
run = None


@case("a short run measures, and its books balance")
def _(it):
    global run
    options = argparse.Namespace(seconds=1, rounds=1, connections=4, tokens=40_000, backlog=0, only=CASES, quick=True)
    run = Bench(options, it)
    run.start()
    try:
        cases = bench_cases.rounds(run)
        counts = books.balance(run)
    finally:
        run.rig.stop()
    same(counts["problems"], [], "problems")
    same(counts["redis"], counts["mysql"], "orders in Redis and in MySQL")
    assert 0 < counts["told"] <= counts["redis"] <= counts["told_or_unknown"], counts
    same([name for name in CASES if name in cases], [n for n in CASES if run.rig.has_peer or n != "peer_won"], "cases")
    ratios = report.ratios(cases, {})
    assert len(ratios) >= 3 and all(r["ratio"] > 0 for r in ratios), ratios
    won = report.summary(cases["won"])
    assert won["scripts"] >= 1 and 0 < won["p50_us"] <= won["p99_us"], won
    same(won["segments"], 1, "segments of the sale, which nobody asked for")
    assert all(won["cpu_us"][group] > 0 for group in ("nginx", "worker", "redis", "client")), won


@case("a target is met or missed by the median of the rounds")
def _(it):
    parts = {"engine": {"everysec": [90_000, 120_000, 110_000], "always": [70_000, 50_000, 40_000]},
             "drain": {"file_bytes": [170.0], "memory_bytes": [150.4]}}
    met = {r["what"]: (r["ratio"], r["met"]) for r in report.ratios({}, parts)}
    same(met, {"without HTTP: wins a second, everysec": (110_000, True), "without HTTP: wins a second, always": (50_000, False),
               "Redis's file, bytes a winning claim": (170, True), "Redis's memory, bytes an order in MySQL": (150.4, False)}, "judged")


@case("tests/load/load.c counts exactly what was sold")
def _(it):
    exact = next(book for name, book in run.books.items() if name.startswith("exact"))
    same((exact["least"], exact["most"]), (5_000, 5_000), "orders that clients know of")


def wrong(it, statement, undo):
    run.peer_sales = []  # its Redis has gone
    it.sql(statement)
    problems = books.count(run)["problems"]
    it.sql(undo)
    same(books.count(run)["problems"], [], "problems afterwards")
    return problems


@case("an order that MySQL lost fails a run")
def _(it):
    which = "WHERE status = 5 ORDER BY coupon_id DESC, segment, seq LIMIT 1"
    columns = "coupon_id, segment, seq, user_id, status, claimed_at_ms, confirmed_at_ms"
    row = ", ".join(it.sql(f"SELECT {columns} FROM orders {which}")[0])
    problems = wrong(it, f"DELETE FROM orders {which}", f"INSERT INTO orders ({columns}) VALUES ({row})")
    assert any("MySQL has" in problem for problem in problems), problems


@case("an order that nobody was told of fails a run")
def _(it):
    name = next(name for name in run.books if name.startswith("exact"))
    run.books[name]["most"] -= 1
    run.peer_sales = []
    problems = books.count(run)["problems"]
    assert len(problems) == 1 and "clients were told" in problems[0], problems


if __name__ == "__main__":
    need_all("wrk")
    main(SECKILL_APPENDFSYNC="everysec")
