#!/usr/bin/env -S python3 -B
"""The load test plan of compat clients: 200 customers, 5 sellers of 10 coupons of 20 units, 64 connections."""

import json
import subprocess
import sys

from harness import SOURCE, main
from tap import case, comment, same, until


@case("every answer of the plan is right; 1,000 of 1,000 units are sold")
def plan(it):
    done = subprocess.run([sys.executable, "-B", SOURCE / "tests/load/compat.py", str(it.port), "--prefix", "compat"],
                          capture_output=True, text=True, timeout=600)
    comment(done.stdout + done.stderr)
    same(done.returncode, 0, "exit of the plan")
    report = json.loads(done.stdout)
    same((report["sold"], report["units"], report["coupons"]), (1000, 1000, 50), "units sold, on sale, coupons")


@case("1,000 rows in MySQL, 20 customers a coupon, each of them once")
def rows(it):
    until(lambda: it.sql.number("SELECT COUNT(*) FROM orders") == 1000, 15, "1,000 rows", every=0.05)
    winners = it.sql("SELECT COUNT(*), COUNT(DISTINCT user_id) FROM orders GROUP BY coupon_id")
    same(winners, 50 * [["20", "20"]], "orders and customers of a coupon")
    same(it.sql("SELECT sold, amount FROM coupons"), 50 * [["20", "20"]], "sold and amount")
    same(it.sql("SELECT * FROM dead_letters"), [], "dead letters")


@case("the audit is balanced")
def audit(it):
    audit = it.ctl("audit")
    same((audit.returncode, audit.stderr), (0, ""), audit.stdout)


if __name__ == "__main__":
    main()
