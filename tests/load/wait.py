#!/usr/bin/env -S python3 -B
"""The cost of WAIT: claims a second on a cluster of three masters and three replicas on loopback, without it and with one replica.

usage: tests/load/wait.py [rounds]     interleaved rounds of 20,000 claims over 64 connections, 64 segments

Environment: SECKILL_BUILD, where the programs were built.
"""

import json
import os
import pathlib
import statistics
import sys

HERE = pathlib.Path(__file__).resolve().parent
os.environ.setdefault("top_srcdir", str(HERE.parents[1]))
os.environ.setdefault("top_builddir", os.environ.get("SECKILL_BUILD", str(HERE.parents[1] / "build")))
sys.path.insert(0, str(HERE.parent / "it"))

from harness import Instance  # noqa: E402
from nodes import Cluster  # noqa: E402

CLAIMS, SETTINGS = 20000, (0, 1)


def restart_hot(it, replicas):
    it.environment["SECKILL_WAIT_REPLICAS"] = str(replicas)
    it.dev("stop", "hot")
    it.dev("start", "hot")


def measure(it, tokens):
    sale = it.sale(amount=CLAIMS, segments=64)
    done = it.load(sale.title, "--tokens", tokens)
    said = json.loads(done.stdout)
    sale.drained(60)
    sale.audit()
    return said


def main(rounds):
    with Cluster() as nodes:
        it = Instance(SECKILL_REDIS=nodes.setting(), SECKILL_REDIS_USER="", SECKILL_REDIS_PASSWORD_FILE="")
        try:
            it.start()
            it.redis = nodes
            tokens = it.run / "tokens"
            it.ctl("token", "--count", CLAIMS, "--prefix", "w", "--out", tokens)
            seen = {setting: [] for setting in SETTINGS}
            for _ in range(rounds):
                for setting in SETTINGS:
                    restart_hot(it, setting)
                    seen[setting].append(measure(it, tokens))
            for setting, said in seen.items():
                print(f"wait_replicas = {setting}: {statistics.median(s['per_second'] for s in said):,.0f} claims a second, "
                      f"p50 {statistics.median(s['latency']['p50_us'] for s in said) / 1000:.1f} ms, "
                      f"p99 {statistics.median(s['latency']['p99_us'] for s in said) / 1000:.1f} ms, "
                      f"{sum(s['won'] for s in said)} won")
        finally:
            it.remove()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
