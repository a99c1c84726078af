#!/usr/bin/env -S python3 -B
"""A replica that is behind becomes the master: acknowledged orders are gone there. What happens then, without WAIT and with it."""

import signal

from clustered import main, nodes, on_cluster
from ledger import Ledger
from tap import comment, same, until


def gone_from(books, home, before):
    """Who was told of an order that only the master that is gone had."""
    return {u for u, order in books.told.items() if u not in before and int(order.split("-")[1]) in home}


def named(books):
    return {f"{books.sale.id}-{segment}-{seq}" for segment, seq, _ in books.dead(state=0)}


def goes_on(books, gone):
    """By itself; what is lost is named as lost, and nothing else."""
    until(lambda: len(named(books)) == len(gone), 20, f"{len(gone)} orders are named as lost")
    same(named(books), {books.told[u] for u in gone}, "numbers named as lost")
    same(books.it.ask("GET", "/readyz").json["closed"], [], "sales that are closed")


@on_cluster("a replica that is behind takes over: the sale goes on, lost orders are named, and a recovery finds those that lists elsewhere name")
def without_wait(it):
    books = Ledger(it, amount=390, segments=6, customers=400)  # each segment has units for all that it loses
    books.sell(100)
    books.sale.drained()
    before = set(books.told)
    master = nodes.master_without_hub(books.sale)
    home = nodes.segments_of(books.sale, master)
    it.dev("stop", "drain")
    nodes.fall_back(master, lambda: books.sell(90))
    it.dev("start", "drain")
    gone = gone_from(books, home, before)
    goes_on(books, gone)
    books.keeps(gone)
    books.balanced()
    found = books.recover()
    comment(f"{len(gone)} acknowledged orders were only on the master that died, and were named as lost: "
            f"{found['rescued']} were found by the customers' lists on other masters")
    lost = {u for u in gone if books.told[u] in named(books)}
    same((found["unknown"], found["renumbered"], found["rescued"]), (0, 0, len(gone) - len(lost)), "unknown, renumbered, rescued")
    assert 0 < len(lost) < len(gone), f"{len(lost)} of {len(gone)} are lost"
    books.keeps(lost)
    books.sells_the_rest(held=len(lost), lost=lost)
    nodes.revive(master)


@on_cluster("the hub alone is rolled back to before its grants: it waits for all segments before it grants again")
def forgotten_grants(it):
    books = Ledger(it, amount=120, segments=6, customers=400)
    master = nodes.hub_master(books.sale)
    elsewhere = set(range(books.sale.segments)) - set(nodes.segments_of(books.sale, master))
    it.dev("stop", "drain")  # who drains later enters orders again in customers' lists that went back, too
    count = 115 - 15 * len(nodes.segments_of(books.sale, master))
    nodes.fall_back(master, lambda: books.sell(count, elsewhere))
    it.dev("start", "drain")
    books.keeps()
    same(named(books), set(), "numbers named as lost")
    books.sells_the_rest()
    books.sale.audit()
    nodes.revive(master)


@on_cluster("with WAIT nobody is told of an order that the replica does not have, and nothing is lost with the master")
def with_wait(it):
    it.environment |= {"SECKILL_WAIT_REPLICAS": "1", "SECKILL_WAIT_MS": "100"}
    it.restart("hot")
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
    nodes.fall_back(master, ask)
    nodes.revive(master)  # without a replica nobody would be told that an order is theirs
    for user in unsure:
        books.told[user.id] = books.insist(user).json["order"]
    books.keeps()
    books.sells_the_rest()
    books.sale.audit()


@on_cluster("with WAIT, a replica is away for a while: a repeated claim returns the same order")
def comes_back(it):
    books = Ledger(it, amount=30, segments=3, customers=40)
    user = books.users[0]
    with nodes.stopped(nodes.replicas()):
        books.sale.claim(user).expect(503, "not-replicated")
    answer = until(lambda: (a := books.sale.claim(user)).status < 500 and a, 20, "an answer", every=0.05)
    same(answer.status, 200, "the order is there already")
    books.told[user.id] = answer.json["order"]
    books.sells_the_rest()
    books.sale.audit()


@on_cluster("a master that was overtaken and comes back with older data: another host gives no number twice, and a recovery there finds orders")
def back_again(it):
    it.environment |= {"SECKILL_WAIT_REPLICAS": "0"}
    it.restart("hot")
    books = Ledger(it, amount=60, segments=6, customers=90)
    books.sell(10)
    books.sale.drained()
    master = nodes.master_without_hub(books.sale)
    home, before = nodes.segments_of(books.sale, master), set(books.told)
    it.dev("stop", "drain")
    with nodes.behind(master) as replica:
        books.sell(20)
        master.process.send_signal(signal.SIGSTOP)
    nodes.lost.add(master)
    until(lambda: replica in nodes.masters(), 20, "the replica takes over")
    master.process.send_signal(signal.SIGCONT)
    nodes.lost.discard(master)
    until(lambda: master.info()["role"] == "slave" and master.whole(), 20, "the old master follows")
    nodes.take_over(master)
    it.environment["SECKILL_MARKS"] = str(it.run / "other-marks")  # as on another host, which saw none of it
    it.dev("start", "drain")
    it.restart("hot")
    known, gone = set(books.told.values()), gone_from(books, home, before)
    for user in [u for u in books.users if u.id not in books.told and books.sale.home(u) in home][:10]:
        books.told[user.id] = books.insist(user).won()
        assert books.told[user.id] not in known, f"{user} was given {books.told[user.id]}, which was another's"
    books.sale.drained()
    same(named(books), set(), "numbers named as lost by a host that was told of none")
    found = books.recover()
    del it.environment["SECKILL_MARKS"]
    last = books.recover()
    comment(f"{len(gone)} orders were lost; by the customers' lists on other masters {found['rescued']} were found, and "
            f"{found['unknown']} named as lost; {last['unknown']} by the marks of the host that was told of them")
    lost = {u for u in gone if books.told[u] in named(books)}
    same((len(lost), len(named(books)), found["renumbered"], last["rescued"]),
         (len(gone) - found["rescued"], found["unknown"] + last["unknown"], 0, 0), "lost, named, renumbered, rescued later")
    assert found["rescued"] > 0, found
    books.keeps(lost)
    books.sells_the_rest(held=len(lost), lost=lost)


if __name__ == "__main__":
    main(SECKILL_WAIT_REPLICAS=0)
