#!/usr/bin/env -S python3 -B
"""The memory of a sale in Redis: bytes for each order, before it is drained and after.

usage: tests/load/memory.py [UNITS...]        (10000 100000 1000000)

Sales to five times as many customers as there are units, in 64 segments, by the rig (tests/it/rig.h), on a redis-server of this
script. Losers leave nothing there. Environment: as in segments.py.
"""

import re
import subprocess
import sys

from segments import BUILD, servers

SIZES = [int(word) for word in sys.argv[1:]] or [10_000, 100_000, 1_000_000]
SEGMENTS = 64


def used(server):
    return int(re.search(r"^used_memory:(\d+)", server.ask("INFO", "memory"), re.M)[1])


def row(server, units):
    server.ask("FLUSHALL")
    empty = used(server)
    subprocess.run([BUILD / "tests/it/rig", "--redis", f"tcp:127.0.0.1:{server.port}", "--units", str(units), "--customers",
                    str(5 * units), "--segments", str(SEGMENTS), "--concurrency", "256"], stdout=subprocess.DEVNULL, check=True)
    sold = used(server) - empty
    lists = [key for key in server.ask("KEYS", "sk:*:q").split()]
    server.ask("UNLINK", *lists)  # as after all orders are drained
    print(f"| {units:,} | {sold / units:.0f} | {(used(server) - empty) / units:.0f} |", flush=True)


def main():
    print("| units | bytes an order, on its list | bytes an order, in MySQL |")
    print("| --- | --- | --- |")
    with servers(1) as (server,):
        for units in SIZES:
            row(server, units)


if __name__ == "__main__":
    main()
