#!/usr/bin/env -S python3 -B
"""What a long waiting list costs: Redis's memory for each person, and commands and CPU of each join and each question for a place.

usage: tests/load/waiting.py [PEOPLE]        (100000)

A sold-out sale in 16 segments, on an instance of this script (SECKILL_BUILD as in tests/it/harness.py). PEOPLE join over HTTP,
then 20,000 of them ask for their places, and 200 units come back.
"""

import pathlib
import re
import sys
import threading
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent.parent / "it"), str(pathlib.Path(__file__).resolve().parent)]

from bench_rig import cpu_us
from ended import cancel, settled
from harness import main
from stores import SqlError
from tap import case, comment, pause, until
from waiters import join, place, queue, taken

PEOPLE = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
POLLS, THREADS, BACK = 20_000, 8, 200


def redis_info(it):
    text = it.redis("INFO", "everything")
    commands = {name: int(calls) for name, calls in re.findall(r"^cmdstat_([a-z|]+):calls=(\d+)", text, re.M)}
    return int(re.search(r"^used_memory:(\d+)", text, re.M)[1]), commands


def spent(it, work, count):
    """What this work costs for each of `count` requests."""
    groups = ("nginx", "hot", "redis", "drain", "mysql")
    before, (_, commands) = {g: cpu_us(it.pids(g)) for g in groups}, redis_info(it)
    began = time.monotonic()
    work()
    seconds = time.monotonic() - began
    cpu = ", ".join(f"{g} {(cpu_us(it.pids(g)) - before[g]) / count:.1f}" for g in groups)
    more = {name: n - commands.get(name, 0) for name, n in redis_info(it)[1].items()}
    often = ", ".join(f"{name} {n / count:.2f}" for name, n in sorted(more.items()) if n > count / 50)
    comment(f"{count} in {seconds:.1f} s; CPU us each: {cpu}; commands each: {often}")


def side_by_side(it, users, ask):
    def work(some):
        client = it.new_client()
        for user in some:
            answer = ask(user, client)
            assert answer.status in (200, 201), answer
        client.close()
    threads = [threading.Thread(target=work, args=(users[i::THREADS],)) for i in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def cancelled(it, order):
    """False: MySQL has chosen this transaction as the victim of a deadlock with a drainer's."""
    try:
        cancel(it, order)
    except SqlError:
        return False
    return True


@case(f"{PEOPLE:,} people wait")
def many(it):
    sale, orders = taken(it, amount=400, segments=16, pay_within=3600)
    users = [user for _ in range(0, PEOPLE, 10_000) for user in it.users(min(PEOPLE, 10_000))]
    before, _ = redis_info(it)
    spent(it, lambda: side_by_side(it, users, lambda user, client: join(it, sale, user, client)), len(users))
    until(lambda: not it.redis("LLEN", sale.key("j")), 120, "MySQL has all of them")
    after, _ = redis_info(it)
    comment(f"bytes of Redis's memory for each: {(after - before) / len(users):.1f}; {queue(it, sale)} wait")
    spent(it, lambda: side_by_side(it, users[-POLLS:], lambda user, client: place(it, sale, user, client)), min(POLLS, len(users)))
    pause(1, "the drainers have nothing else to do")
    began = time.monotonic()
    for order in list(orders)[:BACK]:
        until(lambda: cancelled(it, order), 5, "a cancellation")
    until(lambda: queue(it, sale) == len(users) - BACK, 30, "all are promoted")
    comment(f"{BACK} units, cancelled one by one, were promoted within {time.monotonic() - began:.2f} s")
    sale.drained(60)
    settled(it, sale, 30)
    rows = it.sql(f"SELECT p.claimed_at_ms - e.at_ms FROM orders p JOIN (SELECT at_ms, ROW_NUMBER() OVER (ORDER BY at_ms) n FROM order_events "
                  f"WHERE coupon_id = {sale.id} AND kind = 2) e JOIN (SELECT promotion, ROW_NUMBER() OVER (ORDER BY promotion) n FROM orders "
                  f"WHERE coupon_id = {sale.id} AND promotion > 0) k ON k.n = e.n AND k.promotion = p.promotion WHERE p.coupon_id = {sale.id}")
    took = sorted(int(row[0]) for row in rows)
    comment(f"from a cancellation to the promoted order: p50 {took[len(took) // 2]} ms, p99 {took[len(took) * 99 // 100]} ms")


if __name__ == "__main__":
    main()
