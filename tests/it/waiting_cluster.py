#!/usr/bin/env -S python3 -B
"""A waiting list on a Redis Cluster: the list is on one master, the homes of those who wait are on several, which fail over."""

import faultpoints
from clustered import main, nodes, on_cluster
from ended import PAY_GRACE, cancel, settled
from sale import siphash
from tap import comment, pause, same, until
from waiters import in_line, join, place, promoted, queue, taken


def ask(it, sale, user):
    """After a failover of an earlier case, slots may still be inspected."""
    return until(lambda: (a := place(it, sale, user)).status == 200 and a.json, 20, "an answer")


def catalog(sale):
    """The master that has the sale's name: a worker that does not know the sale cannot find it without that master."""
    hash = siphash(bytes(16), sale.title.encode()) >> 1
    return nodes.master_of_key("sk:n:{%d}" % (hash % 1024))


def homes(sale, users):
    """Which master has the home of each."""
    return {user: nodes.master_of_key(sale.key("s", sale.home(user))) for user in users}


@on_cluster("the master of some homes is away: those keep their places, the others are promoted past them; then it is their turn")
def home_away(it):
    sale, orders = taken(it, amount=18, segments=6, pay_within=600)
    users = it.users(12)
    in_line(it, sale, users)
    away = next(n for n in nodes.masters() if n not in (nodes.hub_master(sale), catalog(sale)) and nodes.segments_of(sale, n))
    there = [user for user, master in homes(sale, users).items() if master is not away]
    skipped = [user for user in users if user not in there]
    ending = [order for order in orders if nodes.master_of_key(sale.key("s", order.split("-")[1])) is not away]
    comment(f"{len(skipped)} of 12 are skipped")
    replica = nodes.replica_of(away)
    with nodes.stopped([away, replica]):
        nodes.until_failed(away)
        pause(1, "the drainers know it, too")
        for order in ending[:3]:
            cancel(it, order)
        for user in there[:3]:
            promoted(it, sale, user, 20)
        ahead = [user for user in users if user not in there[:3]]
        same([ask(it, sale, user)["position"] for user in ahead], list(range(1, 10)), "places of the others")
    nodes.until_whole()
    pause(3, "the drainers are connected again, and leave nobody alone any more")
    for order in [order for order in orders if order not in ending[:3]][:2]:
        cancel(it, order)
    for user in ahead[:2]:
        promoted(it, sale, user, 30)
    same([ask(it, sale, user)["position"] for user in ahead[2:]], list(range(1, 8)), "places afterwards")
    sale.drained(30)
    settled(it, sale, 30)
    sale.audit()


@on_cluster("the master of the list dies: its replica has every place, and people are promoted in their order")
def hub_dies(it):
    sale, orders = taken(it, amount=8, segments=6, pay_within=600)
    users = it.users(10)
    in_line(it, sale, users)
    master = nodes.hub_master(sale)
    nodes.lost.add(master)
    master.kill()
    same([ask(it, sale, user)["position"] for user in users], list(range(1, 11)), "the places")
    for order in list(orders)[:3]:
        cancel(it, order)
    for user in users[:3]:
        promoted(it, sale, user, 30)
    same([ask(it, sale, user)["position"] for user in users[3:]], list(range(1, 8)), "the others' places")
    nodes.revive(master)
    sale.drained(30)
    settled(it, sale, 30)
    sale.audit()


@on_cluster("a worker is killed when an entry is replicated: the customer has one place")
def worker_killed(it):
    sale, _ = taken(it, amount=6, segments=6, pay_within=600)
    users = it.users(3)
    for user in users:
        struck = faultpoints.arm("waiting_replicated", "kill")
        until(lambda: join(it, sale, user).status in (200, 201), 10, f"{user} joins")
        assert struck(), "waiting_replicated"
        it.full("hot")
    same([ask(it, sale, user)["position"] for user in users], [1, 2, 3], "the places")
    same(queue(it, sale), 3, "how many wait")


if __name__ == "__main__":
    faultpoints.build()
    main(**PAY_GRACE, **faultpoints.SETTINGS)
