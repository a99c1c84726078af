#!/usr/bin/env -S python3 -B
"""./dev bench: the speed of the service beside that of nginx, FastCGI and an nginx + Lua peer, on this machine, in one run.

Everything is measured in interleaved rounds; a ratio is the median of the ratios of the rounds. Then the orders are
counted: the answers of clients, the units sold in Redis and the rows in MySQL must agree, or the run fails.
docs/performance.md explains the report.
"""

import argparse
import json
import os
import platform
import resource
import signal
import sys

import books
import expiry
import growth
import overload
import report
from bench_cases import drain, engine, login_flood, long_list, oldest, rounds
from bench_run import Bench

COMMANDS = {"expiry": expiry.measure, "growth": growth.measure, "overload": overload.measure}


def options():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("all", *COMMANDS), default="all")
    parser.add_argument("--quick", action="store_true", help="one round of a second, to check that it works")
    parser.add_argument("--json", action="store_true", help="JSON on standard output")
    parser.add_argument("--only", default="", help="cases to measure, with commas between; and drain, flood, lists, engine")
    parser.add_argument("--seconds", type=int, help="of each case in each round (2; quick: 1)")
    parser.add_argument("--rounds", type=int, help="(5; quick: 1)")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--tokens", type=int, help="customers, each of whom wins once in a round (40,000 a second)")
    parser.add_argument("--backlog", type=int, help="orders to drain (100,000; quick: 5,000)")
    parser.add_argument("--most-orders", type=int, default=1_000_000, help="growth: rows that MySQL has already")
    o = parser.parse_args()
    o.seconds = o.seconds or (1 if o.quick else 2)
    o.rounds = o.rounds or (1 if o.quick else 5)
    o.backlog = o.backlog or (5_000 if o.quick else 100_000)
    o.tokens = max(o.tokens or 40_000 * o.seconds, o.backlog)
    o.only = [word for word in o.only.split(",") if word]
    return o


def measure_all(bench):
    cases = rounds(bench)
    result = {"cases": cases, "oldest_order_ms": oldest(bench, cases)}
    if bench.wants("drain"):
        result["drain"] = drain(bench)
    if bench.wants("flood"):
        result["login_flood"] = login_flood(bench)
    if bench.wants("lists"):
        result["long_list"] = long_list(bench)
    if bench.wants("engine"):
        result["engine"] = engine(bench)
    return result


def machine(bench):
    def first_line(command):
        return os.popen(f"PATH=$PATH:/usr/sbin; {command} 2>&1").readline().strip()
    return {"cores": os.cpu_count(), "kernel": platform.release(), "load_before": round(os.getloadavg()[0], 2),
            "nginx": first_line("nginx -v"), "redis": first_line("redis-server -v"), "mariadb": first_line("mariadbd -V"),
            "peer": bench.rig.has_peer}


def raise_file_limit():
    """As ./dev does for the service: the generator and the rig need thousands of connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def run(o):
    raise_file_limit()
    bench = Bench(o)
    try:
        bench.start()
        result = {"machine": machine(bench), "options": vars(o)}
        result |= COMMANDS.get(o.what, measure_all)(bench)
        result["counts"] = books.balance(bench)
    except Exception:
        bench.it.print_logs()
        raise
    finally:
        bench.stop()
    result["ratios"] = report.ratios(result.get("cases", {}), result) + result.pop("judged", [])
    result["cases"] = {name: report.summary(runs) for name, runs in result.get("cases", {}).items()}
    print(json.dumps(result, indent=2) if o.json else report.text(result))
    return 1 if result["counts"]["problems"] else 0


def on_signal(number, frame):
    sys.exit(128 + number)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    sys.exit(run(options()))
