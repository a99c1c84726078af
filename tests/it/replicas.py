#!/usr/bin/env -S python3 -B
"""A replica that is behind becomes the master: acknowledged orders are gone there. What happens then, without WAIT and with it."""

import contextlib
import signal
import sys
import time

from harness import main
from ledger import Ledger
from nodes import Cluster
from tap import case, comment, same, until

nodes = Cluster()


@contextlib.contextmanager
def stopped(some):
    """They stand still, and this test asks others meanwhile."""
    nodes.lost.update(some)
    for node in some:
        node.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for node in some:
            node.process.send_signal(signal.SIGCONT)
        nodes.lost.difference_update(some)


def fall_back(master, action):
    """While its replica stands still, the master does something; then it dies, and the replica takes its place."""
    replica = nodes.replica_of(master)
    until(master.replicated, 5, "the replica has everything")
    with stopped([replica]):
        master("CLIENT", "KILL", "TYPE", "REPLICA")  # else what is on the line arrives all the same
        action()
        nodes.lost.add(master)
        master.kill()
    until(lambda: replica.info()["role"] == "master", 20, "the replica takes over")
    until(lambda: replica in nodes.masters(), 20, "the others know")


@case("a replica that is behind takes over: the sale closes, is recovered, and what can be known is kept")
def without_wait(it):
    it.redis = nodes
    books = Ledger(it, amount=300, segments=6, customers=400)
    books.sell(100)
    books.sale.drained()
    before = set(books.told)
    hub = nodes.master_of(nodes.slot(books.sale.key("hub")))
    master = next(n for n in nodes.masters() if n is not hub and nodes.segments_of(books.sale, n))
    home = nodes.segments_of(books.sale, master)
    it.dev("stop", "drain")
    fall_back(master, lambda: books.sell(90))
    it.dev("start", "drain")
    until(lambda: books.sale.title in it.ask("GET", "/readyz").json.get("closed", []), 15, "readyz names it")
    gone = {u for u, order in books.told.items() if u not in before and int(order.split("-")[1]) in home}
    found = books.recover()
    comment(f"{len(gone)} acknowledged orders were only on the master that died: {found['rescued']} were rescued from "
            f"the customers' lists on other masters, {found['unknown']} are named as lost")
    named = {f"{books.sale.id}-{segment}-{seq}" for segment, seq, _ in books.dead()}
    lost = {u for u in gone if books.told[u] in named}
    same(len(named), len(lost), "numbers named, each told to somebody")
    assert found["rescued"] > 0 and len(lost) == found["unknown"] < len(gone), found
    books.keeps(lost)
    books.sells_the_rest(held=len(lost), lost=lost)
    nodes.revive(master)


@case("the hub alone goes back to before its grants: closed before it grants the same units again, recovered, exact")
def forgotten_grants(it):
    it.redis = nodes
    books = Ledger(it, amount=120, segments=6, customers=400)
    master = nodes.master_of(nodes.slot(books.sale.key("hub")))
    elsewhere = set(range(books.sale.segments)) - set(nodes.segments_of(books.sale, master))
    available = int(it.redis("HGET", books.sale.key("hub"), "avail"))
    it.dev("stop", "drain")  # who drains later enters orders again in customers' lists that went back, too
    count = 115 - 15 * len(nodes.segments_of(books.sale, master))
    fall_back(master, lambda: books.sell(count, elsewhere))
    it.dev("start", "drain")
    until(lambda: books.sale.title in it.ask("GET", "/readyz").json.get("closed", []), 15, "readyz names it")
    same(int(it.redis("HGET", books.sale.key("hub"), "avail")), available, "units that the hub believes it has")
    found = books.recover()
    same((found["unknown"], found["orders"]), (0, len(books.told)), "unknown, orders")
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()
    nodes.revive(master)


@case("with WAIT nobody is told of an order that the replica does not have, and nothing is lost with the master")
def with_wait(it):
    it.redis = nodes
    it.environment |= {"SECKILL_WAIT_REPLICAS": "1", "SECKILL_WAIT_MS": "100"}
    it.dev("stop", "hot")
    it.dev("start", "hot")
    books = Ledger(it, amount=300, segments=6, customers=400)
    books.sell(100)
    master = next(n for n in nodes.masters() if nodes.segments_of(books.sale, n))
    home = nodes.segments_of(books.sale, master)
    unsure = []

    def ask():
        fresh = [u for u in books.users if u.id not in books.told and books.sale.home(u) in home]
        for user in fresh[:10]:
            books.sale.claim(user).expect(503, "not-replicated")
            books.sale.claim(user).expect(503, "not-replicated")
            unsure.append(user)
    fall_back(master, ask)
    nodes.revive(master)  # without a replica nobody would be told that an order is theirs
    if any(books.insist(user).code == "fenced" for user in unsure):  # MySQL knows orders that the replica did not have
        same(books.recover()["unknown"], 0, "orders lost")
    for user in unsure:
        books.told[user.id] = books.insist(user).json["order"]
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@case("with WAIT, a replica that was away for a while: who asks again gets the order of before")
def comes_back(it):
    it.redis = nodes
    books = Ledger(it, amount=30, segments=3, customers=40)
    user = books.users[0]
    with stopped(nodes.replicas()):
        books.sale.claim(user).expect(503, "not-replicated")
    answer = until(lambda: (a := books.sale.claim(user)).status < 500 and a, 20, "an answer", every=0.05)
    same(answer.status, 200, "the order is there already")
    books.told[user.id] = answer.json["order"]
    books.sells_the_rest()
    books.sale.audit()


@case("a master that was overtaken and comes back to its place with older data, without a restart: its old fence is worth nothing")
def back_again(it):
    it.redis = nodes
    it.environment |= {"SECKILL_WAIT_REPLICAS": "0"}
    it.dev("stop", "hot")
    it.dev("start", "hot")
    books = Ledger(it, amount=60, segments=6, customers=90)
    books.sell(10)
    books.sale.drained()
    hub = nodes.master_of(nodes.slot(books.sale.key("hub")))
    master = next(n for n in nodes.masters() if n is not hub and nodes.segments_of(books.sale, n))
    home = nodes.segments_of(books.sale, master)
    replica = nodes.replica_of(master)
    until(master.replicated, 5, "the replica has everything")
    it.dev("stop", "drain")
    with stopped([replica]):
        master("CLIENT", "KILL", "TYPE", "REPLICA")
        books.sell(20)
        master.process.send_signal(signal.SIGSTOP)
    nodes.lost.add(master)
    until(lambda: replica in nodes.masters(), 20, "the replica takes over")
    master.process.send_signal(signal.SIGCONT)
    nodes.lost.discard(master)
    until(lambda: master.info()["role"] == "slave" and master.whole(), 20, "the old master follows")
    nodes.take_over(master)
    it.dev("start", "drain")
    it.environment["SECKILL_MARKS"] = str(it.run / "other-marks")  # as another host's workers, which saw none of it
    it.dev("stop", "hot")
    it.dev("start", "hot")
    known = set(books.told.values())
    for user in [u for u in books.users if u.id not in books.told and books.sale.home(u) in home][:10]:
        answer = books.sale.claim(user)
        assert answer.status == 503, f"{user} was answered by a slot that went back in time: {answer}"
    comment(f"{len(known)} numbers were told before")
    del it.environment["SECKILL_MARKS"]
    until(lambda: books.sale.title in it.ask("GET", "/readyz").json.get("closed", []), 15, "readyz names it")


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda n, frame: sys.exit(128 + n))
    began = time.monotonic()
    with nodes:
        comment(f"cluster: {time.monotonic() - began:.1f} s")
        main(SECKILL_REDIS=nodes.setting(), SECKILL_REDIS_USER="", SECKILL_REDIS_PASSWORD_FILE="",
             SECKILL_REDIS_TIMEOUT_MS=1000, SECKILL_WAIT_REPLICAS=0)
