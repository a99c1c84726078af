#!/usr/bin/env -S python3 -B
"""Segments on one Redis and on a cluster: CPU time of each Redis server for each claim.

usage: tests/load/segments.py [CLAIMS]        (100000)

Sales of so many units to so many customers, 256 claims under way for each server, by the rig (tests/it/rig.h): the engine
without HTTP, on a redis-server of this script, and on a Redis Cluster of three masters on loopback. Their configuration is
the service's (docker/redis.conf), but they write no file, so that what is measured is the claims and not the disk. CPU time
and not speed, because the nodes of a cluster that share the cores of one machine cannot be faster together than one of them.

Environment: top_builddir, where `make tests/it/rig` or `make check` has built the rig.
"""

import contextlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests/it"))
from harness import BUILD  # noqa: E402
from nodes import free_ports  # noqa: E402
from tap import until  # noqa: E402

SEGMENTS = (1, 4, 16, 64, 256)
ROUNDS = 2  # the lower figure counts, because other work on the machine only adds to it
UNDER_WAY = 256  # claims for each server, from two processes: a claim costs more on a server that is sometimes idle


class Server:
    def __init__(self, folder, port, *options):
        self.port = str(port)
        where = pathlib.Path(folder) / self.port
        where.mkdir()
        self.process = subprocess.Popen(
            ["redis-server", TOP / "docker/redis.conf", "--bind", "127.0.0.1", "--port", self.port, "--dir", where,
             "--appendonly", "no", *options], stdout=subprocess.DEVNULL)

    def ask(self, *words):
        return subprocess.run(["redis-cli", "-p", self.port, *words], capture_output=True, text=True).stdout


@contextlib.contextmanager
def servers(count, *options):
    """Starts so many servers; more than one are a cluster."""
    folder = tempfile.mkdtemp(prefix="seckill-segments-", dir="/tmp")
    options += ("--cluster-enabled", "yes") if count > 1 else ()
    started = []
    try:
        for port in free_ports(count):
            started.append(Server(folder, port, *options))
        until(lambda: all(s.ask("PING") == "PONG\n" for s in started), 20, "the servers answer")
        if count > 1:
            subprocess.run(["redis-cli", "--cluster", "create", *(f"127.0.0.1:{s.port}" for s in started), "--cluster-yes"],
                           check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
            until(lambda: all("cluster_state:ok" in s.ask("CLUSTER", "INFO") for s in started), 30, "the cluster is whole")
        yield started
    finally:
        for server in started:
            server.process.kill()
            server.process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def sell(started, segments, claims):
    addresses = ",".join(f"127.0.0.1:{s.port}" for s in started)
    done = subprocess.run(
        [BUILD / "tests/it/rig", "--redis", ("cluster:" if len(started) > 1 else "tcp:") + addresses, "--servers",
         ",".join(str(s.process.pid) for s in started), "--units", str(claims), "--customers", str(claims), "--segments",
         str(segments), "--concurrency", str(UNDER_WAY * len(started) // 2), "--seed", str(segments)],
        stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def cheapest(started, segments, claims):
    return min((sell(started, segments, claims) for _ in range(ROUNDS)), key=lambda report: sum(report["cpu_s"]))


def row(segments, one, three):
    alone = one["cpu_s"][0] / one["won"] * 1e6
    nodes = sorted((cpu / three["won"] * 1e6 for cpu in three["cpu_s"]), reverse=True)
    scripts = sum(one[kind] for kind in ("claim", "exchange", "debit", "flag")) / one["won"]
    print(f"| {segments} | {scripts:.3f} | {alone:.1f} | {sum(nodes):.1f} | {' + '.join(f'{n:.1f}' for n in nodes)} "
          f"| {nodes[0] / sum(nodes):.0%} | {nodes[0] / alone:.2f} |", flush=True)


def main():
    claims = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print("| segments | scripts a claim | one Redis: us a claim | cluster: us a claim, all nodes | each node "
          "| share of the busiest | busiest node to one Redis |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    with servers(1) as one, servers(3) as three:
        for segments in SEGMENTS:
            row(segments, cheapest(one, segments, claims), cheapest(three, segments, claims))


if __name__ == "__main__":
    main()
