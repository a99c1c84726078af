#!/usr/bin/env -S python3 -B
"""tests/load/load.c: claims once with every token, counts every answer, and measures open-loop latencies from the schedule."""

import json
import socket
import subprocess
import threading

from harness import BUILD, main
from tap import case, faster, quick, same, until


def tokens(it, users):
    path = it.run / it.name("tokens")
    path.write_text("".join(f"{u.name}\t{u.id}\t{u.token}\n" for u in users))
    return path


def load(it, sale, users, *words):
    done = it.load(sale.title, "--tokens", tokens(it, users), *words)
    assert done.returncode == 0 and not done.stderr, done
    return json.loads(done.stdout)


def counts(report):
    return {name: answer["count"] for name, answer in report["answers"].items()}


@case("every token claims once, and the report agrees with what was sold")
def _(it):
    sale, users = it.sale(amount=100), it.users(300)
    report = load(it, sale, users, "--connections", 16)
    same(counts(report), {"201": 100, "410 sold-out": 200}, "answers")
    same([report[n] for n in ("sent", "unsent", "won", "lost")], [300, 0, 100, 0], "sent, unsent, won, lost")
    same(report["latency"]["count"], 300, "latencies")
    assert 0 < report["latency"]["p50_us"] <= report["latency"]["p99_us"] <= report["latency"]["max_us"], report
    same(sale.claimed(), 100, "sold in Redis")


@case("the compat route is counted by Seckill-Result")
def _(it):
    sale, users = it.sale(amount=3, name="täg and night"), it.users(8)
    same(counts(load(it, sale, users, "--compat")), {"201": 3, "204 sold-out": 5}, "answers")
    same(counts(load(it, sale, users, "--compat", "--connections", 1)),
         {"204 already-claimed": 3, "204 sold-out": 5}, "again")


@case("an open loop keeps its rate and ends in time")
def _(it):
    sale, users = it.sale(amount=500), it.users(500)
    report = load(it, sale, users, "--rate", 200, "--seconds", 1)
    same([report["sent"], report["won"]], [200, 200], "sent, won")
    assert 900_000 < report["elapsed_us"], report
    quick(report["elapsed_us"] / 1e6, 5, "200 claims")


@case("a stalled server raises all latencies of an open loop, not only one")
def _(it):
    sale, users = it.sale(amount=400), it.users(400)

    def stall():
        until(sale.claimed, 20, "the first claim")
        it.redis("CLIENT", "PAUSE", 750, "ALL")
    stalling = threading.Thread(target=stall)
    stalling.start()
    report = load(it, sale, users, "--rate", 400, "--seconds", 1, "--connections", 4)
    stalling.join()
    late = report["latency"]
    same(late["count"] + report["unsent"], 400, "claims that fell due, answered or given up")
    faster(50_000, late["p50_us"], f"not half of the claims waited: {report}")
    quick(late["max_us"] / 1e6, 5, "the latest answer")
    same(report["won"], sum(n for name, n in counts(report).items() if name == "201"), "won")


@case("a token that is listed twice claims twice and gets the same order")
def _(it):
    sale, users = it.sale(amount=50), it.users(50)
    same(counts(load(it, sale, users + [users[7]])), {"201": 50, "200": 1}, "answers")


@case("lost answers are counted; exit 69 when there was none")
def _(it):
    with socket.create_server(("127.0.0.1", 0)) as server:
        def hang_up():
            for _ in range(5):
                server.accept()[0].close()
        threading.Thread(target=hang_up, daemon=True).start()
        file = tokens(it, it.users(5))
        done = it.load("shop/sale", "--tokens", file, "--connections", 2, port=server.getsockname()[1])
    same(done.returncode, 69, "exit code")
    report = json.loads(done.stdout)
    same([report["sent"], report["lost"], report["latency"]["count"]], [5, 5, 0], "sent, lost, answered")


@case("wrong arguments, a missing file and an absent server have their exit codes")
def _(it):
    sale, url = it.sale(), f"http://127.0.0.1:{it.port}"
    file = tokens(it, it.users(1))
    for words, code in ([[url, sale.title], 64], [[url, "nobody", "--tokens", file], 64],
                        [[url, sale.title, "--tokens", file, "--rate", "-1"], 64],
                        [[url, sale.title, "--tokens", "/nowhere"], 71],
                        [["https://127.0.0.1", sale.title, "--tokens", file], 69],
                        [["http://127.0.0.1:1", sale.title, "--tokens", file], 69]):
        done = subprocess.run([BUILD / "tests/load/load", *words], text=True, capture_output=True, timeout=60)
        same((done.returncode, bool(done.stderr)), (code, True), str(words))


if __name__ == "__main__":
    main(SECKILL_APPENDFSYNC="everysec")
